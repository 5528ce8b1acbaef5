/* parts.c: instances of a graph that do only a part of its work, so that
 * several workers share it (graph.h, "Parts of a graph"; spread.c says which
 * parts).
 *
 * A batch leaves an instance where an element was diverted: the element gets a
 * class of its own, whose batch function hands the packets over.  So nothing
 * is asked on the way of a batch that stays. */
#include <stdlib.h>
#include <string.h>

#include "graph_internal.h"
#include "pool.h"

void
hg_element_set_working(struct hg_element *e, bool working)
{
    e->is_away = !working;
}

bool
hg_element_is_working(const struct hg_element *e)
{
    return !e->is_away;
}

void
hg_element_set_reporting(struct hg_element *e)
{
    e->is_away = e->reports = true;
}

bool
hg_element_is_reporting(const struct hg_element *e)
{
    return e->reports;
}

bool
element_is_idle(const struct hg_element *e)
{
    return e->is_away && !e->reports;
}

void
hg_graph_leave_gaps(struct hg_graph *g)
{
    g->seq_stride = UINT64_C(1) << 20;
}

/* ---- Diversions ------------------------------------------------------- */

static void
diverted_batch(struct hg_element *e, struct hg_batch *b)
{
    struct diversion *d = (struct diversion *)(uintptr_t)e->cls;
    unsigned i;

    e->graph->current = NULL;
    if (e->n_inputs == 1) /* Ports are marked where there are several. */
        for (i = 0; i < b->n; i++)
            b->p[i]->in_port = 0;
    d->fn(d->aux, e, b->p, b->n);
    batch_put(e->graph, b);
}

void
hg_element_divert(struct hg_element *e, hg_divert_fn *fn, void *aux)
{
    struct diversion *d = xcalloc(1, sizeof *d);

    d->cls = *e->cls;
    d->cls.batch = diverted_batch;
    d->fn = fn;
    d->aux = aux;
    d->next = e->graph->diversions;
    e->graph->diversions = d;
    e->cls = &d->cls;
}

void
diversions_free(struct hg_graph *g)
{
    while (g->diversions) {
        struct diversion *d = g->diversions;

        g->diversions = d->next;
        free(d);
    }
}

/* ---- Reports ---------------------------------------------------------- */

bool
hg_reports(const void *self)
{
    return element_of(self)->reports;
}

void
hg_report(void *self, const struct hg_arrival *at, const void *record,
          size_t size)
{
    struct hg_element *e = hg_element_of(self);

    e->graph->report(e->graph->report_aux, e, at, record, size);
}

void
hg_graph_take_reports(struct hg_graph *g, hg_report_fn *fn, void *aux)
{
    g->report = fn;
    g->report_aux = aux;
}

void
hg_graph_report(struct hg_graph *g)
{
    size_t i;

    for (i = 0; i < g->n_elements; i++) {
        struct hg_element *e = g->sorted[i];

        if (e->reports && e->started && e->cls->report)
            e->cls->report(hg_element_self(e));
    }
}

void
hg_element_reported(struct hg_element *e, const void *const *records,
                    unsigned n)
{
    e->cls->reported(hg_element_self(e), records, n);
}

/* ---- What instances share --------------------------------------------- */

void *
hg_kin(void *self)
{
    struct hg_element *e = hg_element_of(self), *first;

    first = e->graph->kin ? hg_graph_element(e->graph->kin, e->index) : NULL;
    if (!first || strcmp(first->name, e->name) != 0 ||
        strcmp(first->cls->name, e->cls->name) != 0)
        return NULL; /* The file changed before it was read again. */
    first->is_lent = true;
    return hg_element_self(first);
}

bool
hg_element_is_lent(const struct hg_element *e)
{
    return e->is_lent;
}

void
hg_graph_settle(struct hg_graph *g)
{
    size_t i;

    for (i = 0; i < g->n_elements; i++)
        if (g->elements[i]->started && g->elements[i]->cls->settle)
            g->elements[i]->cls->settle(hg_element_self(g->elements[i]));
}

/* ---- What elements say and ask ---------------------------------------- */

void
hg_one_worker(void *self)
{
    hg_element_of(self)->is_one_worker = true;
}

unsigned
hg_n_workers(const void *self)
{
    return element_of(self)->graph->n_workers;
}

unsigned
hg_worker(const void *self)
{
    return element_of(self)->graph->worker;
}
