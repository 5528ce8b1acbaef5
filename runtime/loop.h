/* loop.h: the run loop, which moves packets from devices through a graph.
 *
 * Offline the clock is the packets': the loop merges the devices by timestamp
 * and fires each timer before the first packet at or behind its deadline.
 * Live (loop_live.c) the clock is the kernel's; the same step runs up to now,
 * then the loop sleeps in libevent.
 *
 * A batch lies wholly before the next timer and, offline, spans less time
 * than any element or device takes to answer.  Hence nothing that a packet of
 * the batch causes could have come between two of them, and the batch size
 * does not change what comes out.
 *
 * Thread-safety: one thread. */
#ifndef RUNTIME_LOOP_H
#define RUNTIME_LOOP_H 1

#include "feed.h"
#include "progress.h"
#include "setup.h"

/* How the timestamps of a device are to be taken. */
enum pace {
    PACE_STAMPED, /* As they are. */
    PACE_SHIFTED, /* Live, gen: with a rate: relative to the start. */
    PACE_AT_ONCE  /* Live, other files: as fast as they come. */
};

struct source {
    struct binding *binding; /* NULL: a feed, or a worker's own device. */
    struct hg_element *element;
    struct hg_device *device;
    struct feed *feed; /* The device, if it is one. */
    bool is_shared;    /* With other loops (hg_share). */
    uint8_t origin;    /* Its number, for packets (hg_packet.origin). */
    enum pace pace;
    uint64_t shift_ns; /* PACE_SHIFTED: to add. */
    uint64_t next_ns;  /* When its next packet arrives, as last asked. */
};

struct loop {
    struct hg_graph *graph;
    struct bindings *bindings;
    struct source *sources;
    size_t n_sources;
    unsigned batch; /* Packets at once, 1 to HG_BATCH_MAX. */
    bool live;
    uint64_t span_ns;   /* Of a batch; HG_NEVER: any. */
    uint64_t first_ns;  /* When the graph was started. */
    uint64_t last_ns;   /* Of the packet or timer that came last. */
    uint64_t now_ns;    /* Live: the clock. */
    uint64_t held;      /* Draining: packets held at the last look ... */
    unsigned n_idle;    /* ... and timers fired since that changed. */
    uint64_t n_packets; /* Received. */
    bool is_part;       /* Devices that answer are elsewhere (workers.h). */

    /* Of all shared sources: packets that arrived, for whomever, how many
     * there may be, when the last one did, and whether there are to be no
     * more at present. */
    uint64_t n_arrived;
    uint64_t max_arrived;
    uint64_t arrived_ns;
    bool is_shut;
    struct progress progress;
};

/* Prepares running 'graph' on its bound devices and starts it; the clock is
 * that of the first packet, or live the kernel's.  The bindings must outlive
 * the loop. */
bool loop_start(struct loop *, struct hg_graph *graph, struct bindings *,
                struct hg_error *);

/* Runs until the sources end or a signal (SIGINT, SIGTERM) comes; a second
 * signal ends the program.  Devices that fail are reported. */
void loop_run(struct loop *);

void loop_uninit(struct loop *);

/* ---- For workers.c, which runs several loops at once -------------------- */

/* Adds a source; 'number' is the origin of its packets.  If its device has a
 * share, all loops that share it number its packets alike. */
void loop_add(struct loop *, struct hg_element *, struct hg_device *,
              struct feed *, size_t number);

/* Starts 'graph' on the sources that were added, at 'first_ns'. */
bool loop_start_part(struct loop *, struct hg_graph *graph, uint64_t first_ns,
                     struct hg_error *);

/* Does what is due next at or before 'horizon_ns': one timer, or one batch;
 * false if nothing is. */
bool loop_step(struct loop *, uint64_t horizon_ns);

/* Takes the next 'n' packets of the shared sources, or what is left of them,
 * and does all that is due until they have arrived, and as far as possible
 * until the one after them does; that moment is 'horizon_ns', the same in all
 * loops that share.  False if there are no more. */
bool loop_share(struct loop *, uint64_t n, uint64_t *horizon_ns);

/* Asks the sources when their next packets arrive; HG_NEVER: no more. */
uint64_t loop_look(struct loop *);

/* At the end of all sources: whether timers of these loops may still free
 * packets that are held; 'l' keeps count. */
bool loop_may_drain(struct loop *l, const struct loop *const *, size_t n);

void loop_catch_signals(void);
bool loop_is_stopped(void);

/* ---- Between loop.c and loop_live.c ----------------------------------- */

/* Does what is due next at or before 'now_ns', the clock: one timer, or one
 * batch; false if nothing is. */
bool loop_step_live(struct loop *, uint64_t now_ns);

/* What a signal does: the first ends the run, the next one the program. */
void loop_stop(int signal_number);

/* When the next timer fires or the next packet arrives, as far as the last
 * step saw. */
uint64_t loop_due(const struct loop *);

/* Reports devices that have failed since. */
void loop_notice(struct loop *);

/* The kernel's clock in ns of Unix time. */
uint64_t loop_clock(void);

void loop_run_live(struct loop *);

#endif
