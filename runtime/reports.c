/* reports.c: see reports.h. */
#include "reports.h"

#include <stdlib.h>
#include <string.h>

#include "cli.h"

enum { AT_ONCE = 64 }; /* Records that an element is given. */

struct report {
    uint64_t time_ns;
    uint64_t seq;
    uint32_t size; /* Of the record behind this, in whole words. */
    uint16_t element;
    uint8_t origin;
};

void
reports_uninit(struct reports *r)
{
    free(r->v);
}

void
reports_put(struct reports *r, const struct hg_element *e,
            const struct hg_packet *p, const void *record, size_t size)
{
    struct report head = {.time_ns = p->time_ns,
                          .seq = p->seq,
                          .size = (uint32_t)((size + 7) & ~(size_t)7),
                          .element = (uint16_t)hg_element_index(e),
                          .origin = p->origin};

    while (r->size - r->n < sizeof head + head.size) {
        r->size = r->size ? 2 * r->size : 1 << 16;
        r->v = cli_realloc(r->v, r->size, 1);
    }
    memcpy(r->v + r->n, &head, sizeof head);
    memcpy(r->v + r->n + sizeof head, record, size);
    r->n += sizeof head + head.size;
}

static const struct report *
next_of(const struct reports *r)
{
    return r->at < r->n ? (const struct report *)(const void *)(r->v + r->at)
                        : NULL;
}

/* As feed_compare(): of equal ones goes first what is further back. */
static bool
is_before(const struct report *a, const struct report *b,
          const uint32_t *order)
{
    if (a->time_ns != b->time_ns)
        return a->time_ns < b->time_ns;
    if (a->origin != b->origin)
        return a->origin < b->origin;
    if (a->seq != b->seq)
        return a->seq < b->seq;
    return order[a->element] > order[b->element];
}

static struct reports *
first_of(struct reports *const *all, size_t n, const uint32_t *order)
{
    struct reports *first = NULL;
    size_t i;

    for (i = 0; i < n; i++)
        if (next_of(all[i]) &&
            (!first || is_before(next_of(all[i]), next_of(first), order)))
            first = all[i];
    return first;
}

void
reports_deliver(struct reports *const *all, size_t n,
                const struct hg_spread *plan, struct hg_graph *graph,
                uint64_t until_ns)
{
    const void *records[AT_ONCE];
    unsigned n_records = 0;
    uint16_t element = 0;
    struct reports *r;
    size_t i;

    while ((r = first_of(all, n, plan->order)) != NULL &&
           next_of(r)->time_ns < until_ns) {
        const struct report *head = next_of(r);

        if (n_records == AT_ONCE || (n_records && head->element != element)) {
            hg_element_reported(hg_graph_element(graph, element), records,
                                n_records);
            n_records = 0;
        }
        element = head->element;
        records[n_records++] = head + 1;
        r->at += sizeof *head + head->size;
    }
    if (n_records)
        hg_element_reported(hg_graph_element(graph, element), records,
                            n_records);
    for (i = 0; i < n; i++)
        if (all[i]->at == all[i]->n)
            all[i]->at = all[i]->n = 0;
}
