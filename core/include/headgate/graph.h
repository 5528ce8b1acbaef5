/* headgate/graph.h: a processing graph, made from a file or by hand, and run.
 *
 *     hg_graph_load()       a file into a graph: parsed, configured, wired,
 *                           checked; every mistake goes to 'diags'
 *     hg_graph_create() ... or made piece by piece: _add, _connect, _finish
 *     hg_graph_start()      state and timers; the clock must be set by now
 *     hg_graph_inject()     packets into the output of an element
 *     hg_graph_dispatch()   runs what is pending, in topological order
 *     hg_graph_advance()    moves the clock and fires timers
 *     hg_graph_stop()       elements write out what is left
 *
 * Dispatch.  An element's output goes into its successor's one pending batch.
 * The pending element nearest the sources runs first, so that a batch split
 * by a branch joins again behind it; where that disturbed the order of
 * arrival (seq) it is restored.  A cycle of the graph is passed by as many
 * packets at once as cannot meet each other's state, often by one at a time,
 * which is slow, but gives what any batch size gives; a packet that goes
 * round more than 64 times is dropped as "loop".
 *
 * Thread-safety: a graph belongs to one worker. */
#ifndef HEADGATE_GRAPH_H
#define HEADGATE_GRAPH_H 1

#include <headgate/device.h>
#include <headgate/diag.h>
#include <headgate/element.h>
#include <headgate/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

struct hg_graph_config {
    struct hg_plugins *plugins;
    uint64_t seed;
    uint32_t max_packets; /* Of the pool; 0: no limit. */
    bool live;
    const char *const *overrides; /* "nat.idle-timeout=60s", or NULL. */
    size_t n_overrides;
    unsigned n_workers;   /* That share the work; 0 and 1: nobody else. */
    unsigned worker;      /* Which of them this instance is for, from 0. */
    struct hg_graph *kin; /* The first graph made from the same file for
                           * these workers, which is destroyed last: its
                           * passive elements serve this one too, elements
                           * may borrow tables of theirs there (hg_kin,
                           * element.h), and both pools are of one family
                           * (packet.h).  NULL: this is the first. */
};

/* Reads, configures, wires and checks the graph in 'path' ("-": standard
 * input).  Mistakes and warnings go to 'diags'; returns NULL if there was a
 * mistake.  The caller owns the graph. */
HG_API struct hg_graph *hg_graph_load(const char *path,
                                      const struct hg_graph_config *,
                                      struct hg_diags *diags);

/* An empty graph.  Never NULL (memory running out ends the program). */
HG_API struct hg_graph *hg_graph_create(const struct hg_graph_config *);
HG_API void hg_graph_destroy(struct hg_graph *);

/* Adds an element with every option at its default. */
HG_API struct hg_element *
hg_graph_add(struct hg_graph *, const struct hg_class *, const char *name);

/* Sets an option from text, before hg_element_configure: 'values' as a graph
 * file would say them.  False, and why. */
HG_API bool hg_element_set(struct hg_element *, const char *option,
                           const char *const *values, size_t n,
                           struct hg_error *);

/* Calls the class's configure; false if it reported mistakes to the graph's
 * diags (hg_graph_set_diags; printed to stderr if there are none). */
HG_API bool hg_element_configure(struct hg_element *);
HG_API void hg_graph_set_diags(struct hg_graph *, struct hg_diags *);

/* Connects output 'out' of 'from' to input 'in' of 'to'; false, and why
 * (the output is taken, no such port). */
HG_API bool hg_graph_connect(struct hg_graph *, struct hg_element *from,
                             unsigned out, struct hg_element *to, unsigned in,
                             struct hg_error *);

/* Orders the elements topologically.  Call once, when all is connected. */
HG_API void hg_graph_finish(struct hg_graph *);

/* Sets the clock, then starts every element in topological order. */
HG_API bool hg_graph_start(struct hg_graph *, uint64_t now_ns,
                           struct hg_error *);
HG_API void hg_graph_stop(struct hg_graph *);

HG_API struct hg_pool *hg_graph_pool(struct hg_graph *);
HG_API uint64_t hg_graph_now(const struct hg_graph *);

/* The packets are from now on those of a batch at input 'port' of 'element',
 * in order of arrival as their seq says; takes ownership. */
HG_API void hg_graph_enter(struct hg_graph *, struct hg_element *element,
                           unsigned port, struct hg_packet *const *,
                           unsigned n);

/* Gives the packets their place in the order of arrival, parses their headers
 * and puts them out of output 'port' of 'source'; takes ownership. */
HG_API void hg_graph_inject(struct hg_graph *, struct hg_element *source,
                            unsigned port, struct hg_packet *const *,
                            unsigned n);

/* The same for packets that know their place: their seq, of which each is
 * greater than the one before. */
HG_API void hg_graph_inject_numbered(struct hg_graph *,
                                     struct hg_element *source, unsigned port,
                                     struct hg_packet *const *, unsigned n);

/* Runs until nothing is pending. */
HG_API void hg_graph_dispatch(struct hg_graph *);

/* Moves the clock to 'now_ns', firing every timer due by then in order and
 * dispatching after each. */
HG_API void hg_graph_advance(struct hg_graph *, uint64_t now_ns);

/* The next timer's deadline, or HG_NEVER. */
HG_API uint64_t hg_graph_next_timer(const struct hg_graph *);

/* The packets of one batch must lie less than this apart in time (the
 * smallest promise of an element, hg_promise_delay); HG_NEVER: any. */
HG_API uint64_t hg_graph_span(const struct hg_graph *);

/* ---- Parts of a graph -------------------------------------------------- */
/* Workers run parts of the same graph, each in an instance of its own
 * (spread.h).  All of this before hg_graph_start(), but for settling and
 * reports. */

/* An element that is not at work here is neither started nor stopped, and its
 * promises do not count.  All are at work at first. */
HG_API void hg_element_set_working(struct hg_element *, bool working);
HG_API bool hg_element_is_working(const struct hg_element *);

/* An element (of a class with 'reported') that is at work here, but only to
 * report to another instance: started and stopped as if it were working, and
 * asked for nothing, since hg_element_is_working() is false. */
HG_API void hg_element_set_reporting(struct hg_element *);
HG_API bool hg_element_is_reporting(const struct hg_element *);

/* Whether other instances borrow from this element (hg_kin): a write must
 * reach it before theirs, at work here or not. */
HG_API bool hg_element_is_lent(const struct hg_element *);

/* When all instances have started and been written to, before threads run
 * them: calls class.settle of those that were started. */
HG_API void hg_graph_settle(struct hg_graph *);

/* Packets that arrive here get numbers (seq) far apart, so that those which
 * arrive in another instance, between packets that came from here, find room.
 */
HG_API void hg_graph_leave_gaps(struct hg_graph *);

/* Batches that come to the element go to 'fn' instead, which takes ownership
 * of the packets (p->in_port says where they came in). */
typedef void hg_divert_fn(void *aux, struct hg_element *,
                          struct hg_packet *const *, unsigned n);
HG_API void hg_element_divert(struct hg_element *, hg_divert_fn *, void *aux);

/* What elements report here (hg_report, element.h) goes to 'fn', which copies
 * the record. */
typedef void hg_report_fn(void *aux, struct hg_element *,
                          const struct hg_arrival *, const void *record,
                          size_t size);
HG_API void hg_graph_take_reports(struct hg_graph *, hg_report_fn *,
                                  void *aux);

/* ... and from there to the element that is at work, in order. */
HG_API void hg_element_reported(struct hg_element *,
                                const void *const *records, unsigned n);

/* When all packets have passed: has elements report what they have not yet
 * (class.report). */
HG_API void hg_graph_report(struct hg_graph *);

/* ---- Looking at a graph ----------------------------------------------- */

HG_API size_t hg_graph_n_elements(const struct hg_graph *);
HG_API struct hg_element *hg_graph_element(const struct hg_graph *, size_t i);
HG_API struct hg_element *hg_graph_find(const struct hg_graph *,
                                        const char *name);

HG_API const struct hg_class *hg_element_class(const struct hg_element *);
HG_API const char *hg_element_name(const struct hg_element *);
HG_API void hg_element_bind(struct hg_element *, struct hg_device *);

struct hg_port_info {
    const char *name;
    bool optional;
    struct hg_element *peer; /* Outputs: where it leads, or NULL. */
    unsigned peer_port;
    uint64_t packets;
    uint64_t bytes;
};

HG_API unsigned hg_element_n_outputs(const struct hg_element *);
HG_API unsigned hg_element_n_inputs(const struct hg_element *);
HG_API void hg_element_output(const struct hg_element *, unsigned port,
                              struct hg_port_info *);
/* Packets and bytes are sums over the connections that lead there. */
HG_API void hg_element_input(const struct hg_element *, unsigned port,
                             struct hg_port_info *);
HG_API int hg_element_find_output(const struct hg_element *, const char *);
HG_API int hg_element_find_input(const struct hg_element *, const char *);

/* The account of one element.  Conservation:
 *     in + received + made == out + sent + dropped + held. */
struct hg_account {
    uint64_t in, in_bytes;   /* From other elements. */
    uint64_t out, out_bytes; /* To other elements. */
    uint64_t received;       /* From its device. */
    uint64_t sent;           /* To its device. */
    uint64_t made;           /* Made or copied by it. */
    uint64_t dropped;        /* For all reasons. */
    uint64_t held;           /* Now. */
    uint64_t unwired;        /* Dropped: left on an output not connected. */
    uint64_t loop;           /* Dropped: went round too often. */
};

HG_API void hg_element_account(const struct hg_element *, struct hg_account *);

/* The sum over all elements of received, made, sent, dropped and held, the
 * rest zero; and whether it and each element balances. */
HG_API bool hg_graph_account(const struct hg_graph *, struct hg_account *);

/* The value of a field as a number (counters, gauges, numeric options). */
HG_API uint64_t hg_element_number(const struct hg_element *,
                                  const struct hg_field *);

/* Reads and writes handlers by name: options, counters and gauges (name with
 * hyphens or underscores), the class's own, and "name", "class". */
HG_API bool hg_element_read(struct hg_element *, const char *handler,
                            const char *argument, FILE *out,
                            struct hg_error *);
HG_API bool hg_element_write(struct hg_element *, const char *handler,
                             const char *value, struct hg_error *);

#ifdef __cplusplus
}
#endif
#endif
