/* streams.c: see streams.h. */
#include "streams.h"

#include <stdlib.h>

#include "cli.h"

/* How far what another thread wrote is fetched before it is read. */
enum { AHEAD = 32, BYTES_AHEAD = 2048 };

/* Before each frame that was copied. */
struct frame_head {
    uint32_t len;
    uint32_t wire_len;
};

/* One of the streams being merged. */
struct head {
    struct stream *stream;
    uint32_t order; /* Of equal keys what lies further back goes first, as it
                     * would with one worker: it had the shorter way. */
};

void
streams_init(struct streams *s, size_t n_elements)
{
    s->v = cli_alloc(n_elements, sizeof *s->v);
    s->n = n_elements;
}

void
streams_uninit(struct streams *s)
{
    size_t i, k;

    for (i = 0; i < s->n; i++) {
        for (k = s->v[i].at; k < s->v[i].n; k++)
            if (s->v[i].v[k].packet)
                hg_packet_free(s->v[i].v[k].packet);
        free(s->v[i].v);
        free(s->v[i].frames.v);
    }
    free(s->v);
}

static void
put_entry(struct stream *stream, struct feed_entry entry)
{
    if (stream->n == stream->size) {
        stream->size = stream->size ? 2 * stream->size : 256;
        stream->v = cli_realloc(stream->v, stream->size, sizeof *stream->v);
    }
    stream->v[stream->n++] = entry;
}

void
streams_put(struct streams *s, size_t element, struct hg_packet *p)
{
    put_entry(&s->v[element], feed_entry(p, element));
}

void
streams_copy(struct streams *s, size_t element, struct hg_packet *p)
{
    struct frame_head head = {p->len, p->wire_len};
    struct frames *f = &s->v[element].frames;
    struct feed_entry entry = feed_entry(p, element);

    while (f->size - f->n < sizeof head + p->len) {
        f->size = f->size ? 2 * f->size : 1 << 16;
        f->v = cli_realloc(f->v, f->size, 1);
    }
    memcpy(f->v + f->n, &head, sizeof head);
    memcpy(f->v + f->n + sizeof head, p->data, p->len);
    f->n += sizeof head + p->len;
    entry.packet = NULL;
    put_entry(&s->v[element], entry);
}

/* Makes a packet of the next copy.  An element may have made it longer than
 * packets come in. */
static struct hg_packet *
unpack(struct frames *f, const struct feed_entry *e, struct hg_pool *pool)
{
    struct frame_head head;
    struct hg_packet *p;
    uint32_t more;

    memcpy(&head, f->v + f->at, sizeof head);
    __builtin_prefetch(f->v + f->at + BYTES_AHEAD);
    more = head.len > HG_PACKET_MAX ? head.len - HG_PACKET_MAX : 0;
    p = hg_packet_alloc(pool, head.len - more);
    if (!p || (more && !hg_packet_put(p, more)))
        cli_no_memory();
    memcpy(p->data, f->v + f->at + sizeof head, head.len);
    f->at += sizeof head + head.len;
    p->wire_len = head.wire_len;
    p->time_ns = e->time_ns;
    p->origin = e->origin;
    return p;
}

static const struct feed_entry *
entry_of(const struct head *h)
{
    return &h->stream->v[h->stream->at];
}

/* Whether the next of 'a' goes before the next of 'b'. */
static bool
is_before(const struct head *a, const struct head *b)
{
    int order = feed_compare(entry_of(a), entry_of(b));

    return order ? order < 0 : a->order > b->order;
}

/* Collects what is not empty; equal ones stay in order of instances. */
static size_t
find_heads(struct streams *const *all, size_t n, const struct hg_spread *plan,
           struct head *heads)
{
    size_t i, k, n_heads = 0;

    for (i = 0; i < n; i++)
        for (k = 0; k < all[i]->n; k++)
            if (all[i]->v[k].at < all[i]->v[k].n)
                heads[n_heads++] =
                    (struct head){&all[i]->v[k], plan->order[k]};
    return n_heads;
}

/* Brings the head that goes first to heads[0], and what would go next to
 * heads[1]. */
static void
sort_first_two(struct head *heads, size_t n)
{
    size_t i, place;

    for (place = 0; place < 2 && place + 1 < n; place++)
        for (i = place + 1; i < n; i++)
            if (is_before(&heads[i], &heads[place])) {
                struct head t = heads[i];

                heads[i] = heads[place];
                heads[place] = t;
            }
}

static void
arrive(struct arrivals *a, struct frames *frames, struct feed_entry *e)
{
    if (!e->packet)
        e->packet = unpack(frames, e, a->pool);
    a->seq += feed_compare(e, &a->last) != 0;
    a->last = *e;
    e->seq = a->seq;
}

/* Moves entries of the first head as long as they go before those of others;
 * returns how many. */
static size_t
move_first(struct head *heads, size_t n_heads, struct arrivals *arrivals,
           size_t max, struct feed *feed)
{
    struct stream *s = heads->stream;
    size_t n = 0;

    do {
        struct feed_entry e = s->v[s->at];

        __builtin_prefetch(&s->v[s->at + AHEAD]);
        if (arrivals)
            arrive(arrivals, &s->frames, &e);
        feed_put(feed, e);
        s->at++;
        n++;
    } while (n < max && s->at < s->n &&
             (n_heads == 1 || is_before(heads, &heads[1])));
    return n;
}

static void
empty(struct stream *s)
{
    s->n = s->at = 0;
    s->frames.n = s->frames.at = 0;
}

bool
streams_merge(struct streams *const *all, size_t n,
              const struct hg_spread *plan, struct arrivals *arrivals,
              size_t max, struct feed *feed)
{
    struct head *heads = cli_alloc(n * plan->n + 1, sizeof *heads);
    size_t n_heads = find_heads(all, n, plan, heads);

    feed_reset(feed);
    while (n_heads && max) {
        sort_first_two(heads, n_heads);
        max -= move_first(heads, n_heads, arrivals, max, feed);
        if (heads->stream->at == heads->stream->n) {
            empty(heads->stream);
            heads[0] = heads[--n_heads];
        }
    }
    free(heads);
    return n_heads > 0;
}
