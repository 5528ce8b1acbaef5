/* capture_writer.c: pcap records into an output stream (see
 * capture_writer.h).  Format: draft-ietf-opsawg-pcap. */
#include "capture_writer.h"

#include <stdlib.h>

#include <pcap/dlt.h>

enum {
    MAGIC_US = 0xa1b2c3d4, /* 4: what the fraction of a second counts. */
    MAGIC_NS = 0xa1b23c4d
};

struct capture_writer {
    struct output_stream *out;
    bool ns; /* What the timestamps' fraction counts; else us. */
};

struct file_header {
    uint32_t magic;
    uint16_t major;
    uint16_t minor;
    uint32_t zone;
    uint32_t accuracy;
    uint32_t snaplen;
    uint32_t linktype;
};

/* Written where it stays: loaded at once, right after it was stored in
 * pieces, it would be waited for. */
struct record_header {
    uint32_t seconds;
    uint32_t fraction;
    uint32_t len;
    uint32_t wire_len;
} __attribute__((packed));

struct capture_writer *
capture_writer_open(const char *path, bool ns,
                    const struct input_stream *source, struct hg_error *error)
{
    struct file_header header = {
        ns ? MAGIC_NS : MAGIC_US, 2, 4, 0, 0, HG_PACKET_MAX, DLT_EN10MB};
    struct capture_writer *w = calloc(1, sizeof *w);

    if (!w) {
        hg_error_set(error, "no memory to write '%s'", path);
        return NULL;
    }
    w->ns = ns;
    w->out = output_open(path, source, error);
    if (!w->out) {
        free(w);
        return NULL;
    }
    output_append(w->out, &header, sizeof header);
    return w;
}

static inline void
set_header(struct record_header *h, bool ns, const struct hg_packet *p,
           uint32_t len)
{
    uint32_t fraction = (uint32_t)(p->time_ns % HG_SEC);

    h->seconds = (uint32_t)(p->time_ns / HG_SEC);
    h->fraction = ns ? fraction : fraction / (uint32_t)HG_USEC;
    h->len = len;
    h->wire_len = p->wire_len;
}

/* Appends a packet, no more of it than any reader takes (an element may have
 * made it longer); false if it or one before it was not stored. */
static inline bool
put(struct output_stream *out, bool ns, const struct hg_packet *p)
{
    struct record_header header;
    uint32_t len = p->len < HG_PACKET_MAX ? p->len : HG_PACKET_MAX;
    uint8_t *at = output_room(out, sizeof header + len);

    if (at) {
        set_header((struct record_header *)at, ns, p, len);
        memcpy(at + sizeof header, p->data, len);
    } else {
        set_header(&header, ns, p, len);
        output_append(out, &header, sizeof header);
        output_append(out, p->data, len);
    }
    return !out->failed;
}

unsigned
capture_writer_put(struct capture_writer *w, struct hg_packet *const *packets,
                   unsigned n, struct hg_error *error)
{
    const bool ns = w->ns;
    struct output_stream *out = w->out;
    unsigned i;

    for (i = 0; i < n && put(out, ns, packets[i]); i++)
        continue;
    if (i < n)
        hg_error_set(error, "%s", out->error.text);
    return i;
}

bool
capture_writer_flush(struct capture_writer *w, struct hg_error *error)
{
    if (w->out->n > 0 && output_is_pipe(w->out))
        output_flush(w->out);
    return !w->out->failed || hg_error_set(error, "%s", w->out->error.text);
}

bool
capture_writer_close(struct capture_writer *w, struct hg_error *error)
{
    bool stored = true;

    if (w)
        stored = output_close(w->out, error);
    free(w);
    return stored;
}
