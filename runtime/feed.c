/* feed.c: see feed.h. */
#include "feed.h"

#include <stdlib.h>

#include <headgate/flow.h>

#include "cli.h"
#include "device.h"

enum { AHEAD = 64 }; /* Packets between fetching one and its turn. */

static uint64_t
feed_next_ns(struct hg_device *dev)
{
    struct feed *f = (struct feed *)dev;

    return f->head < f->n ? f->v[f->head].time_ns : HG_NEVER;
}

/* Header and beginning of the frame, where it stands in a packet that came
 * from a device. */
static void
fetch(const struct hg_packet *p)
{
    const uint8_t *frame = (const uint8_t *)(p + 1) + HG_HEADROOM;

    __builtin_prefetch(p, 1);
    __builtin_prefetch((const uint8_t *)p + 64, 1);
    __builtin_prefetch(frame, 1);
}

bool
feed_goes_down(const struct feed *f)
{
    return f->head > 0 && f->head < f->n &&
           f->v[f->head].seq < f->v[f->head - 1].seq;
}

static unsigned
feed_receive(struct hg_device *dev, struct hg_pool *pool,
             struct hg_packet **out, unsigned max, uint64_t until_ns)
{
    struct feed *f = (struct feed *)dev;
    unsigned n = 0;

    (void)pool;
    while (n < max && f->head < f->n && f->v[f->head].time_ns <= until_ns &&
           !(n && feed_goes_down(f))) {
        if (f->head + AHEAD < f->n)
            fetch(f->v[f->head + AHEAD].packet);
        out[n++] = f->v[f->head++].packet;
    }
    return n;
}

static const struct hg_device_ops feed_ops = {
    .scheme = "feed",
    .next_ns = feed_next_ns,
    .receive = feed_receive,
    .send = device_swallow,
};

void
feed_init(struct feed *f)
{
    *f = (struct feed){0};
    device_init(&f->dev, &feed_ops);
}

void
feed_uninit(struct feed *f)
{
    for (; f->head < f->n; f->head++)
        hg_packet_free(f->v[f->head].packet);
    free(f->v);
}

struct feed_entry
feed_entry(struct hg_packet *p, size_t element)
{
    hg_packet_forget_flow(p); /* The next instance has flows of its own. */
    return (struct feed_entry){.packet = p,
                               .time_ns = p->time_ns,
                               .seq = p->seq,
                               .element = (uint16_t)element,
                               .port = p->in_port,
                               .origin = p->origin};
}

size_t
feed_reset(struct feed *f)
{
    if (f->n > f->entered)
        memmove(f->v, f->v + f->entered, (f->n - f->entered) * sizeof *f->v);
    f->n -= f->entered;
    f->head -= f->entered;
    f->entered = 0;
    return f->n;
}

void
feed_put(struct feed *f, struct feed_entry entry)
{
    if (f->n == f->size) {
        f->size = f->size ? 2 * f->size : 1024;
        f->v = cli_realloc(f->v, f->size, sizeof *f->v);
    }
    f->v[f->n++] = entry;
}

void
feed_enter(struct feed *f, struct hg_graph *g, unsigned n)
{
    size_t end = f->entered + n;

    while (f->entered < end) {
        const struct feed_entry *first = &f->v[f->entered];
        struct hg_packet *same[HG_BATCH_MAX];
        unsigned k = 0;

        while (f->entered < end &&
               f->v[f->entered].element == first->element &&
               f->v[f->entered].port == first->port) {
            same[k] = f->v[f->entered].packet;
            same[k++]->seq = f->v[f->entered++].seq;
        }
        hg_graph_enter(g, hg_graph_element(g, first->element), first->port,
                       same, k);
    }
}

/* ---- Order ------------------------------------------------------------ */

int
feed_compare(const struct feed_entry *a, const struct feed_entry *b)
{
    if (a->time_ns != b->time_ns)
        return a->time_ns < b->time_ns ? -1 : 1;
    if (a->origin != b->origin)
        return a->origin < b->origin ? -1 : 1;
    if (a->seq != b->seq)
        return a->seq < b->seq ? -1 : 1;
    return 0;
}

static bool
is_before(const struct feed_entry *a, const struct feed_entry *b,
          const uint32_t *order)
{
    int way = feed_compare(a, b);

    return way ? way < 0 : order[a->element] > order[b->element];
}

/* Length of the run that is in order at the start of v[0..n). */
static size_t
run_length(const struct feed_entry *v, size_t n, const uint32_t *order)
{
    size_t i = 1;

    while (i < n && !is_before(&v[i], &v[i - 1], order))
        i++;
    return i < n ? i : n;
}

/* Merges v[0..mid) and v[mid..n) by way of 'tmp'. */
static void
merge(struct feed_entry *v, size_t mid, size_t n, struct feed_entry *tmp,
      const uint32_t *order)
{
    size_t a = 0, b = mid, to = 0;

    while (a < mid && b < n)
        tmp[to++] = is_before(&v[b], &v[a], order) ? v[b++] : v[a++];
    memcpy(tmp + to, v + a, (mid - a) * sizeof *v);
    memcpy(v, tmp, (to + mid - a) * sizeof *v);
}

void
feed_sort(struct feed *f, size_t from, const uint32_t *order)
{
    struct feed_entry *v, *tmp;
    size_t n = f->n - from, at, first;

    if (!n) /* There may be no array yet. */
        return;
    v = f->v + from;
    if (run_length(v, n, order) == n)
        return;
    tmp = cli_alloc(n, sizeof *tmp);
    while ((first = run_length(v, n, order)) < n)
        for (at = 0; at < n; at += first) {
            size_t second;

            first = run_length(v + at, n - at, order);
            second = at + first < n
                         ? run_length(v + at + first, n - at - first, order)
                         : 0;
            merge(v + at, first, first + second, tmp, order);
            first += second;
        }
    free(tmp);
}
