/* capture_records.c: see capture_records.h. */
#include "capture_records.h"

#include <stdlib.h>
#include <string.h>

#include <headgate/memory.h>
#include <headgate/packet.h>

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

static uint32_t
word(const struct record_reader *r, size_t offset)
{
    uint32_t v;

    memcpy(&v, r->piece + r->at + offset, sizeof v);
    return r->format.swapped ? __builtin_bswap32(v) : v;
}

/* Length of the frame of the next record, whose header is here. */
static uint32_t
frame_len(const struct record_reader *r)
{
    return word(r, 8);
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
    len = frame_len(r);
    if (len > HG_PACKET_MAX)
        return hg_error_set(error,
                            "invalid packet capture length %u, bigger than "
                            "maximum of %u",
                            len, HG_PACKET_MAX);
    got = have(r, HEADER + (size_t)len);
    return got == HEADER + (size_t)len ||
           truncated(r, error, "captured", len, got - HEADER);
}

/* Hands out the next record, which is here. */
static void
take(struct record_reader *r, struct capture_frame *f)
{
    uint32_t len = frame_len(r);

    f->data = r->piece + r->at + HEADER;
    f->len = len < r->format.snaplen ? len : r->format.snaplen;
    f->wire_len = word(r, 12);
    f->time_ns =
        word(r, 0) * HG_SEC + (uint64_t)word(r, 4) * r->format.unit_ns;
    r->at += HEADER + (size_t)len;
    r->done += HEADER + (size_t)len;
}

/* Whether the next record is here as a whole, and not longer than any may
 * be. */
static bool
is_here(const struct record_reader *r)
{
    return r->n - r->at >= HEADER && frame_len(r) <= HG_PACKET_MAX &&
           r->n - r->at - HEADER >= frame_len(r);
}

int
record_reader_next(struct record_reader *r, struct capture_frame *out,
                   unsigned max, struct hg_error *error)
{
    size_t got = have(r, HEADER);
    unsigned n = 0;

    if (got == 0)
        return 0;
    if (!complete(r, got, error))
        return -1;
    do {
        take(r, &out[n++]);
    } while (n < max && is_here(r));
    return (int)n;
}
