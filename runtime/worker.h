/* worker.h: one worker of several (workers.h), and what it shares with the
 * main thread.
 *
 * A worker has an instance of the graph, of which it does what is in SPREAD
 * (headgate/spread.h), round after round.  What leaves for BACK goes to the
 * main thread, and so does a copy of what leaves for a device.
 *
 * Thread-safety: what a pipe carries belongs to the thread that took it. */
#ifndef RUNTIME_WORKER_H
#define RUNTIME_WORKER_H 1

#include <pthread.h>
#include <semaphore.h>

#include <ck_ring.h>

#include "device.h"
#include "loop.h"
#include "reports.h"
#include "streams.h"

enum {
    N_ROUNDS = 4, /* Under way at a time. */
    RING_SIZE = 8 /* A power of two above that. */
};

/* Free slots that a thread keeps, by size: what two rounds need. */
static const uint32_t worker_keep[HG_POOL_SIZES] = {4096, 32, 2};

/* A pipe from one thread to another: ck_ring for what, a semaphore for when,
 * since a thread without work sleeps. */
struct pipe {
    ck_ring_t ring;
    ck_ring_buffer_t buffer[RING_SIZE];
    sem_t filled;
};

void pipe_init(struct pipe *);
void pipe_put(struct pipe *, void *);
void *pipe_take(struct pipe *); /* Waits. */

/* What a worker is given to do, and what has become of it. */
struct round {
    struct feed_entry *in; /* Dealt by the main thread. */
    size_t n_in;
    size_t in_size;
    uint64_t n_share;    /* Packets to pass, while sharing. */
    uint64_t horizon_ns; /* Nothing later than this is to happen. */
    bool goes_on;        /* There are packets beyond it. */
    bool is_last;        /* The thread is to end. */
    struct outcome {
        struct streams packets;
        struct reports reports;
    } out;              /* For BACK and devices. */
    uint64_t *n_passed; /* By device: how far it is. */
    uint64_t *n_done;   /* The same in bytes. */
    struct hg_spares to_worker;
    struct hg_spares to_main;
};

/* A device that the worker shares with others, and how it knows what is its
 * own: by asking about the element that is behind. */
struct door {
    const struct team *team;
    const struct hg_element *element; /* NULL: none. */
    unsigned port;
    struct hg_pool *pool;             /* Of team->front. */
    struct hg_fragment_table *firsts; /* hg_spread_worker() */
    struct hg_share share;
};

/* What is the same for all workers. */
struct team {
    unsigned n;
    struct worker *v;
    struct hg_spread plan;
    struct hg_graph *front; /* Whom to ask for owners. */
    bool shares;            /* Each reads the sources itself. */
};

struct worker {
    const struct team *team;
    unsigned number;
    pthread_t thread;
    bool is_running;
    struct hg_graph *graph; /* NULL: none yet. */
    struct loop loop;
    size_t n_devices;
    struct hg_device **devices; /* Its own, or NULL. */
    struct door *doors;
    struct feed *feeds; /* Of the devices that the main thread reads. */
    size_t *before;     /* By feed: entries before this round. */
    struct round rounds[N_ROUNDS];
    struct round *round; /* The one at hand. */
    struct pipe tasks;
    struct pipe results;
};

void worker_init(struct worker *, const struct team *, unsigned number,
                 size_t n_devices);
void worker_uninit(struct worker *);

/* Diversions (hg_divert_fn, hg_report_fn) of a worker, which is 'aux', to the
 * main thread: as packets or copies. */
void worker_bring_back(void *aux, struct hg_element *,
                       struct hg_packet *const *, unsigned n);
void worker_copy_back(void *aux, struct hg_element *,
                      struct hg_packet *const *, unsigned n);
void worker_bring_report(void *aux, struct hg_element *,
                         const struct hg_arrival *, const void *record,
                         size_t size);

void outcome_init(struct outcome *, const struct team *);
void outcome_uninit(struct outcome *);
bool outcome_is_empty(const struct outcome *);

bool worker_start(struct worker *, struct hg_error *);
void worker_end(struct worker *);

/* Once the thread is gone: takes in what has been dealt since. */
void worker_take_rest(struct worker *);

#endif
