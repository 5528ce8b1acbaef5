/* capture_reader.c: reading captures through libpcap (see capture_reader.h).
 *
 * libpcap knows the formats, input_stream.c the compression, linktype.c the
 * link layers. */
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
broken(struct capture_reader *r, struct hg_error *error)
{
    const char *why = input_error(r->input);
    const char *name = input_name(r->input);
    const char *what =
        feof(r->file) || *why ? "is cut after" : "cannot be read past";

    hg_error_set(error, "%s %s packet %llu (byte %lld): %s", name, what,
                 (unsigned long long)r->n_frames, (long long)ftello(r->file),
                 *why ? why : pcap_geterr(r->pcap));
    return CAPTURE_BROKEN;
}

enum capture_result
capture_reader_next(struct capture_reader *r, struct capture_frame *f,
                    struct hg_error *error)
{
    struct pcap_pkthdr *header;
    int status = pcap_next_ex(r->pcap, &header, &f->data);

    if (status == PCAP_ERROR_BREAK)
        return CAPTURE_END;
    if (status != 1)
        return broken(r, error);
    r->n_frames++;
    f->len = header->caplen < HG_PACKET_MAX ? header->caplen : HG_PACKET_MAX;
    f->wire_len = header->len > f->len ? header->len : f->len;
    f->time_ns = nanoseconds(&header->ts);
    if (r->link->convert && f->len > 0 && !convert(r, f))
        return CAPTURE_UNUSABLE;
    return CAPTURE_FRAME;
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
    return true;
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
    free(r->converted);
    free(r);
}
