/* capture_reader.c: reading captures (see capture_reader.h).
 *
 * capture_records.c reads classic pcap files, libpcap the other formats;
 * input_stream.c knows the compression, linktype.c the link layers. */
#include "capture_reader.h"

#include <stdlib.h>

#include <headgate/packet.h>

#include "libpcap.h"
#include "linktype.h"

struct capture_reader {
    FILE *file; /* Closed by pcap_close(). */
    struct input_stream *input;
    const struct libpcap *libpcap;
    pcap_t *pcap; /* NULL: 'records' reads them. */
    const struct linktype *link;
    uint8_t *converted; /* A frame behind its new Ethernet header. */
    struct record_reader *records;
    uint64_t n_frames;
};

const struct input_stream *
capture_reader_input(const struct capture_reader *r)
{
    return r->input;
}

bool
capture_reader_is_ns(const struct capture_reader *r)
{
    static const uint8_t us[2][4] = {{0xa1, 0xb2, 0xc3, 0xd4},
                                     {0xd4, 0xc3, 0xb2, 0xa1}};
    const uint8_t *magic = input_head(r->input);

    return memcmp(magic, us[0], 4) != 0 && memcmp(magic, us[1], 4) != 0;
}

/* libpcap reads the 32-bit seconds of pcap files as signed, and in part their
 * fractions, which may then be negative where a file is damaged: these count
 * 'unit_ns'.  What would not fit into 64 bits of nanoseconds (pcapng) is the
 * year 2262. */
static uint64_t
nanoseconds(const struct timeval *ts, uint64_t unit_ns)
{
    uint64_t sec =
        ts->tv_sec < 0 ? (uint32_t)ts->tv_sec : (uint64_t)ts->tv_sec;
    uint64_t ns = (uint64_t)ts->tv_usec; /* pcap's precision is nano. */

    if (ts->tv_usec < 0)
        ns += unit_ns << 32;
    return sec > INT64_MAX / HG_SEC - HG_SEC ? INT64_MAX : sec * HG_SEC + ns;
}

static bool
convert(struct capture_reader *r, struct hg_frame *f)
{
    struct hg_eth eth;

    if (!r->link->convert(f->data, f->len, &eth))
        return false;
    f->data += r->link->skip;
    f->len -= r->link->skip;
    f->wire_len -= r->link->skip;
    if (f->len > HG_PACKET_MAX - sizeof eth)
        f->len = HG_PACKET_MAX - sizeof eth;
    memcpy(r->converted, &eth, sizeof eth);
    memcpy(r->converted + sizeof eth, f->data, f->len);
    f->data = r->converted;
    f->len += (uint32_t)sizeof eth;
    f->wire_len += (uint32_t)sizeof eth;
    return true;
}

static enum capture_result
broken(struct capture_reader *r, bool cut, uint64_t byte, const char *why,
       struct hg_error *error)
{
    const char *decoder = input_error(r->input);

    hg_error_set(error, "%s %s packet %llu (byte %llu): %s",
                 input_name(r->input),
                 cut || *decoder ? "is cut after" : "cannot be read past",
                 (unsigned long long)r->n_frames, (unsigned long long)byte,
                 *decoder ? decoder : why);
    return CAPTURE_BROKEN;
}

/* The converted frames share one buffer. */
static enum capture_result
next_records(struct capture_reader *r, struct hg_frame *f, unsigned max,
             unsigned *n, struct hg_error *error)
{
    struct hg_error why;
    int status;

    why.text[0] = '\0'; /* Not the whole of it, for each packet. */
    status =
        record_reader_next(r->records, f, r->link->convert ? 1 : max, &why);

    if (status < 0 || (status == 0 && *input_error(r->input)))
        return broken(r, record_reader_is_cut(r->records),
                      INPUT_HEAD + record_reader_done(r->records), why.text,
                      error);
    if (status == 0)
        return CAPTURE_END;
    *n = (unsigned)status;
    return CAPTURE_FRAMES;
}

static enum capture_result
next_of_libpcap(struct capture_reader *r, struct hg_frame *f, unsigned *n,
                struct hg_error *error)
{
    struct pcap_pkthdr *header;
    int status = r->libpcap->next_ex(r->pcap, &header, &f->data);

    if (status == PCAP_ERROR_BREAK)
        return CAPTURE_END;
    if (status != 1)
        return broken(r, feof(r->file), (uint64_t)ftello(r->file),
                      r->libpcap->geterr(r->pcap), error);
    f->len = header->caplen < HG_PACKET_MAX ? header->caplen : HG_PACKET_MAX;
    f->wire_len = capture_wire_len(header->len, f->len);
    f->time_ns =
        nanoseconds(&header->ts, capture_reader_is_ns(r) ? 1 : HG_USEC);
    *n = 1;
    return CAPTURE_FRAMES;
}

enum capture_result
capture_reader_next(struct capture_reader *r, struct hg_frame *f, unsigned max,
                    unsigned *n, struct hg_error *error)
{
    enum capture_result result = r->records ? next_records(r, f, max, n, error)
                                            : next_of_libpcap(r, f, n, error);

    if (result != CAPTURE_FRAMES)
        return result;
    r->n_frames += *n;
    if (r->link->convert && f->len > 0 && !convert(r, f))
        return CAPTURE_UNUSABLE;
    return CAPTURE_FRAMES;
}

/* A number of 'size' bytes in the header of a pcap file. */
static uint32_t
number(const uint8_t *at, unsigned size, bool big_endian)
{
    uint32_t v = 0;
    unsigned i;

    for (i = 0; i < size; i++)
        v |= (uint32_t)at[i] << 8 * (big_endian ? size - 1 - i : i);
    return v;
}

/* Whether what the file begins with is the header of a classic pcap file that
 * capture_records.c can read, and how then
 * (draft-ietf-opsawg-pcap, 4).  Old versions keep lengths the other way round,
 * some relatives have longer records. */
static bool
is_classic(const uint8_t *head, struct record_format *format,
           const struct linktype **link)
{
    bool big_endian = head[0] == 0xa1;
    uint32_t magic = number(head, 4, big_endian);
    uint32_t snaplen = number(head + 16, 4, big_endian);

    if ((magic != 0xa1b2c3d4 && magic != 0xa1b23c4d) ||
        number(head + 4, 2, big_endian) != PCAP_VERSION_MAJOR ||
        number(head + 6, 2, big_endian) != PCAP_VERSION_MINOR)
        return false;
    *link = linktype_of_file(number(head + 20, 4, big_endian));
    format->swapped = big_endian != (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__);
    /* As libpcap takes those that cannot be meant. */
    format->snaplen =
        snaplen && snaplen <= INT32_MAX ? snaplen : HG_PACKET_MAX;
    format->unit_ns = magic == 0xa1b2c3d4 ? HG_USEC : 1;
    return *link != NULL;
}

/* Opens a classic pcap file; false if it is none. */
static bool
open_records(struct capture_reader *r)
{
    uint8_t head[INPUT_HEAD];
    struct record_format format;
    size_t n = 0;
    ssize_t got;

    if (!input_size(r->input))
        return false;
    while (n < sizeof head &&
           (got = input_read(r->input, head + n, sizeof head - n)) > 0)
        n += (size_t)got;
    if (n == sizeof head && is_classic(head, &format, &r->link))
        r->records = record_reader_create(r->input, &format);
    if (!r->records)
        input_again(r->input);
    return r->records != NULL;
}

static bool
open_pcap(struct capture_reader *r, struct hg_error *error)
{
    char why[PCAP_ERRBUF_SIZE];
    const char *name = input_name(r->input);

    r->libpcap = libpcap_load(error);
    if (!r->libpcap)
        return false;
    r->pcap = r->libpcap->fopen_offline_with_tstamp_precision(
        r->file, PCAP_TSTAMP_PRECISION_NANO, why);
    if (!r->pcap && *input_error(r->input))
        return hg_error_set(error, "cannot read %s: %s", name,
                            input_error(r->input));
    if (!r->pcap && ftello(r->file) == 0)
        return hg_error_set(error,
                            "%s is empty; a capture starts with a "
                            "file header",
                            name);
    if (!r->pcap)
        return hg_error_set(error, "%s is not a capture: %s", name, why);
    input_buffer(r->file, r->input);
    r->link = linktype_find(r->libpcap->datalink(r->pcap), name, error);
    return r->link != NULL;
}

static bool
open_format(struct capture_reader *r, struct hg_error *error)
{
    if (!open_records(r) && !open_pcap(r, error))
        return false;
    if (r->link->convert)
        r->converted = malloc(HG_PACKET_MAX);
    return !r->link->convert || r->converted ||
           hg_error_set(error, "no memory to read %s", input_name(r->input));
}

struct capture_reader *
capture_reader_open(const char *path, struct hg_error *error)
{
    struct capture_reader *r = calloc(1, sizeof *r);

    if (!r) {
        hg_error_set(error, "no memory to read '%s'", path);
        return NULL;
    }
    r->file = input_open(path, &r->input, error);
    if (r->file && open_format(r, error))
        return r;
    capture_reader_close(r);
    return NULL;
}

void
capture_reader_close(struct capture_reader *r)
{
    if (!r)
        return;
    if (r->pcap)
        r->libpcap->close(r->pcap);
    else if (r->file)
        fclose(r->file);
    record_reader_destroy(r->records);
    free(r->converted);
    free(r);
}
