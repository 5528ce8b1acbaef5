/* streams.c: see streams.h. */
#include "streams.h"

#include <stdlib.h>

#include "cli.h"

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
            hg_packet_free(s->v[i].v[k].packet);
        free(s->v[i].v);
    }
    free(s->v);
}

void
streams_put(struct streams *s, size_t element, struct hg_packet *p)
{
    struct stream *stream = &s->v[element];

    if (stream->n == stream->size) {
        stream->size = stream->size ? 2 * stream->size : 256;
        stream->v = cli_realloc(stream->v, stream->size, sizeof *stream->v);
    }
    stream->v[stream->n++] = feed_entry(p, element);
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
            if (all[i]->v[k].n)
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

void
streams_merge(struct streams *const *all, size_t n,
              const struct hg_spread *plan, uint64_t *seq, struct feed *feed)
{
    struct head *heads = cli_alloc(n * plan->n + 1, sizeof *heads);
    size_t n_heads = find_heads(all, n, plan, heads);
    struct feed_entry last = {0}; /* No key is that. */

    feed_reset(feed);
    while (n_heads) {
        struct head *h = &heads[0];

        sort_first_two(heads, n_heads);
        do {
            struct feed_entry e = *entry_of(h);

            if (seq) {
                *seq += feed_compare(&e, &last) != 0;
                last = e;
                e.seq = *seq;
            }
            feed_put(feed, e);
            h->stream->at++;
        } while (h->stream->at < h->stream->n &&
                 (n_heads == 1 || is_before(h, &heads[1])));
        if (h->stream->at == h->stream->n) {
            h->stream->n = h->stream->at = 0;
            heads[0] = heads[--n_heads];
        }
    }
    free(heads);
}
