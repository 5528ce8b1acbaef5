/* reports.h: what elements of one instance report to those of a later one
 * (hg_report, headgate/element.h), and how it comes together (workers.h).
 *
 * Records stand one behind the other, each with when and where the packet that
 * it is about entered the graph, by which those of several instances merge.
 *
 * Thread-safety: whoever has the reports. */
#ifndef RUNTIME_REPORTS_H
#define RUNTIME_REPORTS_H 1

#include <headgate/spread.h>

struct reports {
    uint8_t *v;
    size_t n; /* Bytes, with those below. */
    size_t size;
    size_t at; /* Of the next to be delivered. */
};

void reports_uninit(struct reports *);

/* Adds a copy of the record that an element made about 'p'. */
void reports_put(struct reports *, const struct hg_element *,
                 const struct hg_packet *p, const void *record, size_t size);

/* Gives those about packets before 'until_ns' to the elements of 'graph', in
 * order. */
void reports_deliver(struct reports *const *, size_t n,
                     const struct hg_spread *, struct hg_graph *,
                     uint64_t until_ns);

#endif
