/* handlers.h: the handlers that "headgate run" is asked to read and write,
 * over all instances of the graph.
 *
 * With several workers a value is written wherever the element works, and
 * first to the instance that lends its tables to the others; it is read as
 * one: counters and gauges, and what else is a single number, as
 * their sum; what all say alike, once; the rest in order of the workers.
 *
 * Thread-safety: main thread only, while no worker runs. */
#ifndef RUNTIME_HANDLERS_H
#define RUNTIME_HANDLERS_H 1

#include "summary.h"

struct instances {
    struct hg_graph *const *graphs;
    size_t n;
};

/* False after reporting names that are not there, and writes without a value.
 */
bool handlers_check(const struct hg_graph *, const struct cli_pairs *reads,
                    const struct cli_pairs *writes);

/* False after reporting one that was refused. */
bool handlers_write(const struct instances *, const struct cli_pairs *writes);

/* Adds what they say to the summary; false after reporting one that failed. */
bool handlers_read(const struct instances *, const struct cli_pairs *reads,
                   struct summary *);

#endif
