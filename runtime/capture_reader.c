/* capture_reader.c: reading captures (see capture_reader.h).
 *
 * libpcap knows the formats, input_stream.c the compression, linktype.c the
 * link layers; capture_records.c takes over behind the header of a classic
 * pcap file. */
#include "capture_reader.h"

#include <stdlib.h>

#include <headgate/packet.h>
#include <pcap/pcap.h>

#include "linktype.h"

struct capture_reader {
    FILE *file; /* Closed by pcap_close(). */
    pcap_t *pcap;
    struct input_stream *input;
    const struct linktype *link;
    uint8_t *converted; /* A frame behind its new Ethernet header. */
    struct record_reader *records; /* NULL: libpcap reads them. */
    uint64_t n_frames;
};

enum { FILE_HEADER = 24 };

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

/* libpcap reads the 32-bit seconds of pcap files as signed.  What would not
 * fit into 64 bits of nanoseconds (pcapng) is the year 2262. */
static uint64_t
nanoseconds(const struct timeval *ts)
{
    uint64_t sec =
        ts->tv_sec < 0 ? (uint32_t)ts->tv_sec : (uint64_t)ts->tv_sec;
    uint64_t ns = (uint64_t)ts->tv_usec; /* pcap's precision is nano. */

    return sec > INT64_MAX / HG_SEC - HG_SEC ? INT64_MAX : sec * HG_SEC + ns;
}

static bool
convert(struct capture_reader *r, struct capture_frame *f)
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
next_records(struct capture_reader *r, struct capture_frame *f, unsigned max,
             unsigned *n, struct hg_error *error)
{
    struct hg_error why;
    int status;

    why.text[0] = '\0'; /* Not the whole of it, for each packet. */
    status =
        record_reader_next(r->records, f, r->link->convert ? 1 : max, &why);

    if (status < 0 || (status == 0 && *input_error(r->input)))
        return broken(r, record_reader_is_cut(r->records),
                      FILE_HEADER + record_reader_done(r->records), why.text,
                      error);
    if (status == 0)
        return CAPTURE_END;
    *n = (unsigned)status;
    return CAPTURE_FRAMES;
}

static enum capture_result
next_of_libpcap(struct capture_reader *r, struct capture_frame *f, unsigned *n,
                struct hg_error *error)
{
    struct pcap_pkthdr *header;
    int status = pcap_next_ex(r->pcap, &header, &f->data);

    if (status == PCAP_ERROR_BREAK)
        return CAPTURE_END;
    if (status != 1)
        return broken(r, feof(r->file), (uint64_t)ftello(r->file),
                      pcap_geterr(r->pcap), error);
    f->len = header->caplen < HG_PACKET_MAX ? header->caplen : HG_PACKET_MAX;
    f->wire_len = header->len;
    f->time_ns = nanoseconds(&header->ts);
    *n = 1;
    return CAPTURE_FRAMES;
}

enum capture_result
capture_reader_next(struct capture_reader *r, struct capture_frame *f,
                    unsigned max, unsigned *n, struct hg_error *error)
{
    enum capture_result result = r->records ? next_records(r, f, max, n, error)
                                            : next_of_libpcap(r, f, n, error);
    unsigned i;

    if (result != CAPTURE_FRAMES)
        return result;
    r->n_frames += *n;
    for (i = 0; i < *n; i++)
        if (f[i].wire_len < f[i].len)
            f[i].wire_len = f[i].len;
    if (r->link->convert && f->len > 0 && !convert(r, f))
        return CAPTURE_UNUSABLE;
    return CAPTURE_FRAMES;
}

/* Takes the records of a classic pcap file over from libpcap, which has read
 * the file's header.  Old versions of the format keep lengths the other way
 * round, some relatives have longer records: those stay with libpcap. */
static bool
open_records(struct capture_reader *r, struct hg_error *error)
{
    static const uint8_t magic[4][4] = {{0xa1, 0xb2, 0xc3, 0xd4},
                                        {0xd4, 0xc3, 0xb2, 0xa1},
                                        {0xa1, 0xb2, 0x3c, 0x4d},
                                        {0x4d, 0x3c, 0xb2, 0xa1}};
    const uint8_t *head = input_head(r->input);
    struct record_format format;
    unsigned i;

    for (i = 0; i < 4 && memcmp(head, magic[i], 4) != 0; i++)
        ;
    if (i == 4 || input_size(r->input) == 0 ||
        pcap_major_version(r->pcap) != PCAP_VERSION_MAJOR ||
        pcap_minor_version(r->pcap) != PCAP_VERSION_MINOR) {
        input_buffer(r->file, r->input);
        return true;
    }
    format.swapped = pcap_is_swapped(r->pcap) != 0;
    format.snaplen = (uint32_t)pcap_snapshot(r->pcap);
    format.unit_ns = i < 2 ? HG_USEC : 1;
    r->records = record_reader_create(r->input, &format);
    return r->records ||
           hg_error_set(error, "no memory to read %s", input_name(r->input));
}

static bool
open_pcap(struct capture_reader *r, struct hg_error *error)
{
    char why[PCAP_ERRBUF_SIZE];
    const char *name = input_name(r->input);

    r->pcap = pcap_fopen_offline_with_tstamp_precision(
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
    r->link = linktype_find(pcap_datalink(r->pcap), name, error);
    if (!r->link)
        return false;
    if (r->link->convert)
        r->converted = malloc(HG_PACKET_MAX);
    if (r->link->convert && !r->converted)
        return hg_error_set(error, "no memory to read %s", name);
    return open_records(r, error);
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
    if (r->file && open_pcap(r, error))
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
        pcap_close(r->pcap);
    else if (r->file)
        fclose(r->file);
    record_reader_destroy(r->records);
    free(r->converted);
    free(r);
}
