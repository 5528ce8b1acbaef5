/* progress.h: how far a long replay has come, on one line of a terminal.
 *
 *     42 %  1.3 of 3.1 GB  2.41 Mpps  9 s left
 *
 * Thread-safety: one thread. */
#ifndef RUNTIME_PROGRESS_H
#define RUNTIME_PROGRESS_H 1

#include "setup.h"

struct progress {
    bool shown;            /* A line is on the terminal. */
    bool active;           /* Standard error is a terminal, not --quiet. */
    uint64_t start_ns;     /* Wall clock (monotonic) ... */
    uint64_t next_ns;      /* ... of the next update. */
    uint64_t then_ns;      /* Of the last one ... */
    uint64_t then_packets; /* ... and how many there were. */
};

void progress_init(struct progress *, bool quiet);

/* Shows the line anew if the last time was long enough ago. */
void progress_update(struct progress *, const struct bindings *);

/* Clears the line, for other output. */
void progress_clear(struct progress *);

/* CLOCK_MONOTONIC in ns. */
uint64_t progress_clock(void);

#endif
