/* summary.h: the account that a run ends with.
 *
 * It is collected as JSON, of which the table for a person is a view.  All
 * that depends on the machine and its mood is under "timing", so that the
 * rest of two runs can be compared.
 *
 * Thread-safety: main thread only. */
#ifndef RUNTIME_SUMMARY_H
#define RUNTIME_SUMMARY_H 1

#include <jansson.h>

#include "loop.h"

struct summary {
    json_t *root;
    bool balanced;
};

/* Begins one for a run of 'graph_path'. */
void summary_init(struct summary *, const char *graph_path, uint64_t seed);
void summary_uninit(struct summary *);

/* Adds what a handler said: 'name' as on the command line, one item for each
 * line of 'text'. */
void summary_add_read(struct summary *, const char *name, const char *text);

/* Adds the devices as they are now, before they are closed. */
void summary_add_devices(struct summary *, const struct bindings *);

/* Adds why devices failed, once they are closed. */
void summary_add_failures(struct summary *, const struct bindings *);

/* Adds the elements of the graph, over all its 'n' instances, and the sum;
 * finds whether all balances. */
void summary_add_elements(struct summary *, struct hg_graph *const *,
                          size_t n);

/* Adds the span of packet time and how long it took. */
void summary_add_times(struct summary *, const struct loop *, uint64_t wall_ns,
                       uint64_t cpu_ns);

/* Prints it as a table, or as JSON. */
void summary_print(const struct summary *, FILE *out, bool as_json);

#endif
