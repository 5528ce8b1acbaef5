/* reports.h: what elements of one instance report to those of a later one
 * (hg_report, headgate/element.h), and how it comes together (workers.h).
 *
 * Each element's records stand one behind the other, each with the place in
 * the order of arrival by which those of several instances merge.
 *
 * Thread-safety: whoever has the reports. */
#ifndef RUNTIME_REPORTS_H
#define RUNTIME_REPORTS_H 1

#include <headgate/spread.h>

/* Those of one element. */
struct report_stream {
    uint8_t *v;
    size_t n; /* Bytes, with those below. */
    size_t size;
    size_t at; /* Of the next to be delivered. */
};

/* Those of one instance, by element. */
struct reports {
    struct report_stream *v;
    size_t n;
    size_t n_waiting; /* Records. */
};

void reports_init(struct reports *, size_t n_elements);
void reports_uninit(struct reports *);

/* Adds a copy of a record that an element made. */
void reports_put(struct reports *, const struct hg_element *,
                 const struct hg_arrival *, const void *record, size_t size);

/* Gives those of before 'until_ns' to the elements of 'graph', to each in
 * order. */
void reports_deliver(struct reports *const *, size_t n, struct hg_graph *graph,
                     uint64_t until_ns);

#endif
