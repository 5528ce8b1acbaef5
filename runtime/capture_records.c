/* capture_records.c: see capture_records.h. */
#include "capture_records.h"

#include <stdlib.h>
#include <string.h>

#include <headgate/memory.h>

/* What is read at once fits the second-level cache: a record is hot when its
 * packet is made.  (Mapping the file instead costs far more where page faults
 * are dear, as in virtual machines, and a file cut meanwhile would be fatal.)
 */
enum { READ_SIZE = 128 << 10 };
enum { HEADER = 16, PIECE = READ_SIZE + HEADER + HG_PACKET_MAX };

struct record_reader {
    struct input_stream *input;
    struct record_format format;
    bool cut;      /* The file ends within a record. */
    uint64_t done; /* Bytes of the records seen. */
    size_t at;     /* Of the next record in 'piece'. */
    size_t n;      /* Bytes in it. */
    uint8_t *piece;
};

struct record_reader *
record_reader_create(struct input_stream *input,
                     const struct record_format *format)
{
    struct record_reader *r = calloc(1, sizeof *r);

    if (!r)
        return NULL;
    r->piece = malloc(PIECE);
    if (!r->piece) {
        free(r);
        return NULL;
    }
    hg_memory_populate(r->piece, READ_SIZE);
    r->input = input;
    r->format = *format;
    return r;
}

void
record_reader_destroy(struct record_reader *r)
{
    if (r)
        free(r->piece);
    free(r);
}

bool
record_reader_is_cut(const struct record_reader *r)
{
    return r->cut;
}

uint64_t
record_reader_done(const struct record_reader *r)
{
    return r->done;
}

/* Makes 'size' bytes stand at r->at, reading the next piece if they do not
 * yet; returns how many there are, less only at the end of the file. */
static size_t
have(struct record_reader *r, size_t size)
{
    size_t left = r->n - r->at;

    if (left >= size)
        return size;
    memmove(r->piece, r->piece + r->at, left);
    r->at = 0;
    r->n = left;
    while (r->n < size) {
        ssize_t got = input_read(r->input, r->piece + r->n, READ_SIZE);

        if (got <= 0)
            break;
        r->n += (size_t)got;
    }
    return r->n < size ? r->n : size;
}

/* What stands before each frame (draft-ietf-opsawg-pcap, 5). */
struct record {
    uint32_t sec;
    uint32_t fraction;
    uint32_t len;
    uint32_t wire_len;
};

/* The header of a record; a reader is mostly inlined with 'swapped' known. */
static inline struct record
record_at(const uint8_t *at, bool swapped)
{
    struct record h;

    memcpy(&h, at, sizeof h);
    if (swapped)
        h = (struct record){.sec = __builtin_bswap32(h.sec),
                            .fraction = __builtin_bswap32(h.fraction),
                            .len = __builtin_bswap32(h.len),
                            .wire_len = __builtin_bswap32(h.wire_len)};
    return h;
}

/* The file ends 'wanted - got' bytes too early. */
static bool
truncated(struct record_reader *r, struct hg_error *error, const char *what,
          size_t wanted, size_t got)
{
    r->done += r->n - r->at;
    r->cut = true;
    return hg_error_set(
        error, "truncated dump file; tried to read %zu %s bytes, only got %zu",
        wanted, what, got);
}

/* Reads on until the next record is here, of which 'got' bytes, a header or
 * less, are. */
static bool
complete(struct record_reader *r, size_t got, struct hg_error *error)
{
    uint32_t len;

    if (got < HEADER)
        return truncated(r, error, "header", HEADER, got);
    len = record_at(r->piece + r->at, r->format.swapped).len;
    if (len > HG_PACKET_MAX)
        return hg_error_set(error,
                            "invalid packet capture length %u, bigger than "
                            "maximum of %u",
                            len, HG_PACKET_MAX);
    got = have(r, HEADER + (size_t)len);
    return got == HEADER + (size_t)len ||
           truncated(r, error, "captured", len, got - HEADER);
}

/* Hands out up to 'max' of the records that are here as a whole, until one
 * is longer than any may be; returns how many. */
static inline unsigned
take(struct record_reader *r, struct hg_frame *f, unsigned max, bool swapped)
{
    const struct record_format format = r->format;
    size_t at = r->at, n = r->n;
    unsigned i;

    for (i = 0; i < max && n - at >= HEADER; i++) {
        struct record h = record_at(r->piece + at, swapped);
        uint32_t len = h.len < format.snaplen ? h.len : format.snaplen;

        if (h.len > HG_PACKET_MAX || n - at - HEADER < h.len)
            break;
        f[i].data = r->piece + at + HEADER;
        f[i].len = len;
        f[i].wire_len = capture_wire_len(h.wire_len, len);
        f[i].time_ns = h.sec * HG_SEC + (uint64_t)h.fraction * format.unit_ns;
        at += HEADER + h.len;
    }
    r->done += at - r->at;
    r->at = at;
    return i;
}

int
record_reader_next(struct record_reader *r, struct hg_frame *out, unsigned max,
                   struct hg_error *error)
{
    size_t got = have(r, HEADER);

    if (got == 0)
        return 0;
    if (!complete(r, got, error))
        return -1;
    return (int)(r->format.swapped ? take(r, out, max, true)
                                   : take(r, out, max, false));
}
