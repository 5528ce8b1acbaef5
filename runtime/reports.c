/* reports.c: see reports.h. */
#include "reports.h"

#include <stdlib.h>
#include <string.h>

#include <headgate/memory.h>

#include "cli.h"

enum {
    AT_ONCE = 64,           /* Records that an element is given. */
    SIZE_FIRST = 256 << 20, /* Of a stream: addresses, not memory. */
    SIZE_KEPT = 64 << 10    /* Memory beyond is given back after delivery. */
};

struct report {
    struct hg_arrival at;
    uint32_t size; /* Of the record behind this, in whole words. */
};

void
reports_init(struct reports *r, size_t n_elements)
{
    r->v = cli_alloc(n_elements, sizeof *r->v);
    r->n = n_elements;
}

static void
forget(struct report_stream *s)
{
    hg_memory_release(s->v, s->size, SIZE_KEPT);
    *s = (struct report_stream){0};
}

static void
grow(struct report_stream *s)
{
    size_t size = s->size ? 2 * s->size : SIZE_FIRST;
    uint8_t *v = hg_memory_reserve(size, SIZE_KEPT);

    if (!v)
        cli_no_memory();
    if (s->n)
        memcpy(v, s->v, s->n);
    hg_memory_release(s->v, s->size, SIZE_KEPT);
    s->v = v;
    s->size = size;
}

void
reports_uninit(struct reports *r)
{
    size_t i;

    for (i = 0; i < r->n; i++)
        forget(&r->v[i]);
    free(r->v);
}

void
reports_put(struct reports *r, const struct hg_element *e,
            const struct hg_arrival *at, const void *record, size_t size)
{
    struct report_stream *s = &r->v[hg_element_index(e)];
    struct report head = {*at, (uint32_t)((size + 7) & ~(size_t)7)};

    while (s->size - s->n < sizeof head + head.size)
        grow(s);
    memcpy(s->v + s->n, &head, sizeof head);
    memcpy(s->v + s->n + sizeof head, record, size);
    s->n += sizeof head + head.size;
    r->n_waiting++;
}

static const struct report *
next_of(const struct report_stream *s)
{
    return s->at < s->n ? (const struct report *)(const void *)(s->v + s->at)
                        : NULL;
}

/* As feed_compare(). */
static bool
is_before(const struct report *a, const struct report *b)
{
    if (a->at.time_ns != b->at.time_ns)
        return a->at.time_ns < b->at.time_ns;
    if (a->at.origin != b->at.origin)
        return a->at.origin < b->at.origin;
    return a->at.seq < b->at.seq;
}

/* The instance whose next report for an element is first, of equals the first
 * one. */
static struct reports *
first_of(struct reports *const *all, size_t n, size_t element)
{
    struct reports *first = NULL;
    size_t i;

    for (i = 0; i < n; i++) {
        const struct report *next = next_of(&all[i]->v[element]);

        if (next && (!first || is_before(next, next_of(&first->v[element]))))
            first = all[i];
    }
    return first;
}

static void
deliver_to(struct hg_element *e, struct reports *const *all, size_t n,
           uint64_t until_ns)
{
    size_t element = hg_element_index(e);
    const void *records[AT_ONCE];
    const struct report *next;
    unsigned n_records = 0;
    struct reports *r;

    while ((r = first_of(all, n, element)) != NULL) {
        next = next_of(&r->v[element]);
        if (next->at.time_ns >= until_ns)
            break;
        records[n_records++] = next + 1;
        r->v[element].at += sizeof *next + next->size;
        r->n_waiting--;
        if (n_records == AT_ONCE) {
            hg_element_reported(e, records, n_records);
            n_records = 0;
        }
    }
    if (n_records)
        hg_element_reported(e, records, n_records);
}

/* Room for what is to come, where all has been delivered. */
static void
make_room(struct report_stream *s)
{
    if (s->at < s->n)
        return;
    if (s->n > SIZE_KEPT)
        forget(s);
    s->at = s->n = 0;
}

void
reports_deliver(struct reports *const *all, size_t n, struct hg_graph *graph,
                uint64_t until_ns)
{
    size_t n_waiting = 0, i, k;

    for (i = 0; i < n; i++)
        n_waiting += all[i]->n_waiting;
    for (k = 0; n_waiting && k < all[0]->n; k++) {
        deliver_to(hg_graph_element(graph, k), all, n, until_ns);
        for (i = 0; i < n; i++)
            make_room(&all[i]->v[k]);
    }
}
