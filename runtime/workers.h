/* workers.h: running a graph on several workers (headgate/spread.h).
 *
 * Each worker, a thread (worker.h), reads all devices and passes over what is
 * not its own; or, where FRONT has something to do or a device cannot be read
 * twice, the main thread reads and merges the devices as ever, and deals the
 * packets.  The workers run their instances of SPREAD; the main thread runs
 * BACK on what they bring back, and writes.  That goes in rounds of some
 * hundred packets or more, several of which are under way.  A round says up to
 * when it reaches, so that the timers of a worker without packets fire as
 * well, and BACK gets what came from all workers in order of arrival.  Hence
 * results depend on the number of workers only where elements share a limit,
 * and on the threads' timing not at all.
 *
 * A device that answers (echo:) is with the workers, each its own.
 *
 * Offline only. */
#ifndef RUNTIME_WORKERS_H
#define RUNTIME_WORKERS_H 1

#include "loop.h"

#define WORKERS_MAX 64

struct workers;

/* Makes what 'n' workers need beside 'front', the graph as first loaded, and
 * binds the devices.  NULL after reporting why it cannot be. */
struct workers *workers_create(struct setup *, uint64_t seed, unsigned n,
                               struct hg_graph *front, struct bindings *);
void workers_destroy(struct workers *);

/* All instances, 'front' first, and how many. */
struct hg_graph *const *workers_graphs(const struct workers *, size_t *n);

/* Starts all instances and the threads.  'loop' has batch and progress set. */
bool workers_start(struct workers *, struct loop *, struct hg_error *);

/* Runs until the sources end or a signal comes; the threads are gone
 * afterwards, and loop->last_ns is when the last packet or timer was. */
void workers_run(struct workers *);

#endif
