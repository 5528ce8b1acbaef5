/* headgate/spread.h: how several workers share the work of a graph.
 *
 * Packets cross three zones, each in an instance of the graph of its own:
 *
 *     HG_FRONT   one instance: what must be done before it can be said which
 *                worker a packet belongs to, and what needs all packets
 *     HG_SPREAD  an instance for each worker: packets are dealt by the owner
 *                of the state that they will meet (class.owner), or by their
 *                flow hash where no state waits for them
 *     HG_BACK    one instance: what needs all packets and lies behind
 *
 * Packets go from zone to zone but never back, and enter each in order of
 * arrival.  So FRONT and BACK do what a single worker would do, and SPREAD
 * does for each owner and flow.  An element is in SPREAD only where its class
 * allows it (HG_CLASS_PARALLEL, owner, reported), and one with an owner only
 * if every packet that comes to it was dealt by that owner and has it still
 * (HG_CLASS_KEEPS_FLOW, _KEEPS_OWNER); else it is in BACK, which is always
 * right.  What no packet can reach, because nothing arrives at the devices
 * before it, has no say.
 *
 * Thread-safety: a plan is made and used by one thread, and read by any. */
#ifndef HEADGATE_SPREAD_H
#define HEADGATE_SPREAD_H 1

#include <headgate/fragment_table.h>
#include <headgate/graph.h>

#ifdef __cplusplus
extern "C" {
#endif

enum hg_zone { HG_FRONT, HG_SPREAD, HG_BACK };

/* Whose question it is which worker a packet belongs to: that of 'element',
 * as if the packet came in at 'port'.  NULL: by flow hash. */
struct hg_ask {
    const struct hg_element *element;
    unsigned port;
    bool for_flow; /* It is that of all who keep state of flows (owner.h). */
};

struct hg_spread {
    size_t n;           /* Elements, as hg_graph_element() numbers them. */
    enum hg_zone *zone; /* Of each; meaningless for devices and passive ones.
                         */
    struct hg_ask *ask; /* Where packets come into SPREAD at this element. */
    uint32_t *order;    /* Topological. */
    bool has_front;     /* Something other than devices works there. */
};

/* What an element is bound to, if it is a device. */
struct hg_spread_device {
    bool receives; /* Packets can arrive there. */
    bool answers;  /* What is sent there is answered (echo:); it is with the
                    * worker that sends. */
};

/* Makes a plan for a graph that hg_graph_finish() has ordered; 'devices' has
 * an entry for each element.  False, with a sentence, if the graph cannot run
 * on several workers or would not gain from it. */
HG_API bool hg_spread_plan(struct hg_spread *, const struct hg_graph *,
                           const struct hg_spread_device *devices,
                           struct hg_error *);
HG_API void hg_spread_uninit(struct hg_spread *);

/* The worker, of 'n', for a packet that comes into SPREAD at 'port' of an
 * element.  'firsts' is what the caller, who sees all packets in
 * order, remembers of first fragments (owner.h): HG_SPREAD_FIRSTS records that
 * time does not end, of its own; NULL: nothing. */
enum { HG_SPREAD_FIRSTS = 4096 };
HG_API unsigned hg_spread_worker(const struct hg_spread *,
                                 const struct hg_element *, unsigned port,
                                 struct hg_packet *, unsigned n,
                                 struct hg_fragment_table *firsts);

/* What a glance at the addresses of 'n_frames' Ethernet frames, at most 64,
 * says: bit i of the result, that frame[i] is of worker 'mine' of 'n'; bit i
 * of '*unsaid', that hg_spread_worker() has to be asked. */
HG_API uint64_t hg_spread_glance(const struct hg_spread *,
                                 const struct hg_element *,
                                 const struct hg_frame *frame,
                                 unsigned n_frames, unsigned n, unsigned mine,
                                 uint64_t *unsaid);

/* Number of an element, as hg_graph_element() takes it. */
HG_API size_t hg_element_index(const struct hg_element *);

#ifdef __cplusplus
}
#endif
#endif
