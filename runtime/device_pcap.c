/* device_pcap.c: capture files as a device: IN, IN:OUT or :OUT.
 *
 * Puts capture_reader.c (looking ahead by what is at hand, since the run loop
 * asks for the next timestamp first) and capture_writer.c behind the device
 * interface.  What is written has microseconds if the file that the same
 * device reads has, else nanoseconds. */
#include "device.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "capture_reader.h"
#include "capture_writer.h"

enum { WINDOW = DEVICE_OWN_MAX }; /* Frames that are looked at ahead. */

struct pcap_device {
    struct hg_device dev;
    struct capture_reader *reader;
    struct capture_writer *writer;
    struct device_filter filter;
    uint32_t snaplen;

    bool ended;
    unsigned n; /* Frames read, of which 'at' have been received. */
    unsigned at;
    struct hg_frame frame[WINDOW];
    uint64_t own; /* With a share: bit i says that frame i is the device's. */
    uint64_t last_ns;
};

/* Leaves of 'n' new frames those that pass the filter. */
static unsigned
filter(struct pcap_device *d, unsigned n)
{
    unsigned i, passed = 0;

    for (i = 0; i < n; i++) {
        const struct hg_frame *f = &d->frame[i];

        if (device_filter_pass(&d->filter, f->data, f->len, f->wire_len))
            d->frame[passed++] = *f;
    }
    if (device_counts(&d->dev))
        d->dev.rx_filtered += n - passed;
    return passed;
}

/* Makes 'n' new frames the next ones. */
static void
admit(struct pcap_device *d, unsigned n)
{
    unsigned i;

    d->n = d->filter.active ? filter(d, n) : n;
    d->at = 0;
    for (i = 0; i < d->n; i++) {
        struct hg_frame *f = &d->frame[i];

        f->time_ns = device_clock(&d->dev, &d->last_ns, f->time_ns);
        f->len = f->len < d->snaplen ? f->len : d->snaplen;
    }
    if (d->dev.share && d->n)
        d->own = device_own(d->dev.share, d->frame, d->n);
}

/* Whether there is a frame to be received; reads on if need be. */
static bool
look_ahead(struct pcap_device *d)
{
    struct hg_error error;
    unsigned n;

    while (d->at == d->n && !d->ended) {
        switch (capture_reader_next(d->reader, d->frame, WINDOW, &n, &error)) {
        case CAPTURE_FRAMES:
            admit(d, n);
            break;
        case CAPTURE_UNUSABLE:
            d->dev.rx_unusable += device_counts(&d->dev);
            break;
        case CAPTURE_BROKEN:
            device_fail(&d->dev, "%s", error.text);
            d->ended = true;
            break;
        case CAPTURE_END:
            d->ended = true;
            break;
        }
    }
    return d->at < d->n;
}

static uint64_t
pcap_device_next_ns(struct hg_device *dev)
{
    struct pcap_device *d = (struct pcap_device *)dev;

    return look_ahead(d) ? d->frame[d->at].time_ns : HG_NEVER;
}

/* How many of the frames at hand, up to 'max', arrive by 'until_ns'. */
static unsigned
count_due(const struct pcap_device *d, unsigned max, uint64_t until_ns)
{
    const struct hg_frame *f = &d->frame[d->at];
    unsigned n = d->n - d->at;

    if (n > max)
        n = max;
    while (n > 0 && f[n - 1].time_ns > until_ns)
        n--;
    return n;
}

/* Makes packets of 'n' frames; returns of how many. */
static unsigned
take_frames(struct pcap_device *d, struct hg_pool *pool,
            struct hg_packet **out, const struct hg_frame *f, unsigned n)
{
    uint32_t len[WINDOW];
    unsigned i, made;

    for (i = 0; i < n; i++)
        len[i] = f[i].len;
    made = hg_packet_alloc_many(pool, len, out, n);
    for (i = 0; i < made; i++) {
        struct hg_packet *p = out[i];

        if (len[i] > 0)
            memcpy(p->data, f[i].data, len[i]);
        p->wire_len = f[i].wire_len;
        p->time_ns = f[i].time_ns;
        d->dev.rx_bytes += len[i];
    }
    d->dev.rx_packets += made;
    d->dev.rx_unusable += n - made;
    return made;
}

static unsigned
take(struct pcap_device *d, struct hg_pool *pool, struct hg_packet **out,
     unsigned n)
{
    unsigned made = take_frames(d, pool, out, &d->frame[d->at], n);

    d->at += n;
    return made;
}

/* Passes the next 'n' > 0 frames, or so many that 'max' > 0 of them are the
 * device's own, and makes packets of these. */
static unsigned
take_own(struct pcap_device *d, struct hg_pool *pool, struct hg_packet **out,
         unsigned n, unsigned max)
{
    const uint64_t own = d->own >> d->at & UINT64_MAX >> (WINDOW - n);
    struct hg_frame *f = &d->frame[d->at];
    unsigned n_own = 0, made, i, which = 0;
    uint64_t left;

    for (left = own; left && n_own < max; left &= left - 1) {
        which = (unsigned)__builtin_ctzll(left);
        f[n_own++] = f[which];
    }
    if (n_own == max)
        n = which + 1;
    d->dev.passed_ns = f[n - 1].time_ns;
    made = take_frames(d, pool, out, f, n_own);
    for (i = 0, left = own; i < made; i++, left &= left - 1)
        out[i]->seq = d->dev.n_passed + (unsigned)__builtin_ctzll(left) + 1;
    d->dev.n_passed += n;
    d->at += n;
    return made;
}

static unsigned
pcap_device_receive(struct hg_device *dev, struct hg_pool *pool,
                    struct hg_packet **out, unsigned max, uint64_t until_ns)
{
    struct pcap_device *d = (struct pcap_device *)dev;
    unsigned n = 0, due;

    while (n < max && look_ahead(d) &&
           (due = count_due(d, device_max(dev, dev->share ? WINDOW : max - n),
                            until_ns)) > 0)
        n += dev->share ? take_own(d, pool, out + n, due, max - n)
                        : take(d, pool, out + n, due);
    if (d->reader)
        dev->input_done = input_done(capture_reader_input(d->reader));
    return n;
}

static unsigned
pcap_device_send(struct hg_device *dev, struct hg_packet *const *p, unsigned n)
{
    struct pcap_device *d = (struct pcap_device *)dev;
    struct hg_error error;
    unsigned sent = 0, i;

    if (d->writer)
        sent = capture_writer_put(d->writer, p, n, &error);
    for (i = 0; i < sent; i++)
        dev->tx_bytes += p[i]->len;
    if (sent < n && d->writer)
        device_fail(dev, "%s", error.text);
    dev->tx_packets += sent;
    dev->tx_failed += n - sent;
    hg_packet_free_many(p, n);
    return sent;
}

static void
pcap_device_flush(struct hg_device *dev)
{
    struct pcap_device *d = (struct pcap_device *)dev;
    struct hg_error error;

    if (d->writer && !capture_writer_flush(d->writer, &error))
        device_fail(dev, "%s", error.text);
}

static bool
pcap_device_close(struct hg_device *dev, struct hg_error *error)
{
    struct pcap_device *d = (struct pcap_device *)dev;
    bool stored = capture_writer_close(d->writer, error);

    capture_reader_close(d->reader);
    device_filter_uninit(&d->filter);
    device_uninit(dev);
    free(d);
    return stored;
}

static const struct hg_device_ops pcap_device_ops = {
    .scheme = "pcap",
    .next_ns = pcap_device_next_ns,
    .receive = pcap_device_receive,
    .send = pcap_device_send,
    .flush = pcap_device_flush,
    .close = pcap_device_close,
};

/* Splits "IN", "IN:OUT" and ":OUT" into two copies, NULL for what is not
 * there.  An existing file may have colons in its name. */
static bool
split(const char *spec, char **in, char **out, struct hg_error *error)
{
    const char *colon = access(spec, F_OK) == 0 ? NULL : strrchr(spec, ':');

    *in = *out = NULL;
    if (colon && !colon[1])
        return hg_error_set(error,
                            "'%s' names no output file behind ':'; "
                            "write IN:OUT, or IN to only read",
                            spec);
    if (!*spec)
        return hg_error_set(error, "a capture needs the name of a file");
    if (colon != spec)
        *in = strndup(spec, colon ? (size_t)(colon - spec) : strlen(spec));
    if (colon)
        *out = strdup(colon + 1);
    if ((colon != spec && !*in) || (colon && !*out))
        return hg_error_set(error, "no memory to open '%s'", spec);
    return true;
}

static bool
check_output(const char *path, struct hg_error *error)
{
    const char *dot = strstr(path, ".pcapng");

    if (dot && (!dot[7] || dot[7] == '.'))
        return hg_error_set(error,
                            "cannot write '%s': captures are written "
                            "as pcap; name it .pcap, .pcap.gz or "
                            ".pcap.zst",
                            path);
    return true;
}

static bool
open_files(struct pcap_device *d, const char *in, const char *out,
           struct hg_error *error)
{
    const struct input_stream *source = NULL;
    bool ns = true;

    if (out && !check_output(out, error))
        return false;
    if (in) {
        d->reader = capture_reader_open(in, error);
        if (!d->reader)
            return false;
        source = capture_reader_input(d->reader);
        ns = capture_reader_is_ns(d->reader);
        d->dev.input_size = input_size(source);
        d->dev.can_share = input_is_plain(source);
    }
    if (out) {
        d->writer = capture_writer_open(out, ns, source, error);
        if (!d->writer)
            return false;
    }
    d->dev.can_receive = in != NULL;
    d->dev.can_send = out != NULL;
    d->ended = !in;
    return true;
}

struct hg_device *
device_pcap_open(const char *rest, const struct device_options *options,
                 struct hg_error *error)
{
    struct pcap_device *d = calloc(1, sizeof *d);
    char *in = NULL, *out = NULL;
    bool open;

    if (!d) {
        hg_error_set(error, "no memory to open '%s'", rest);
        return NULL;
    }
    device_init(&d->dev, &pcap_device_ops);
    d->dev.share = options->share;
    d->snaplen = options->snaplen ? options->snaplen : HG_PACKET_MAX;
    open = device_filter_init(&d->filter, options->filter, error) &&
           split(rest, &in, &out, error) &&
           open_files(d, in, options->share ? NULL : out, error);
    free(in);
    free(out);
    if (open)
        return &d->dev;
    pcap_device_close(&d->dev, NULL);
    return NULL;
}
