/* graph_internal.h: what graph.c (building), dispatch.c (running) and
 * element.c (handlers, reports) share. */
#ifndef GRAPH_INTERNAL_H
#define GRAPH_INTERNAL_H 1

#include <headgate/graph.h>

struct lang_section;
struct hg_fragment_table;

/* An output port and the connection that leaves it. */
struct output {
    struct hg_element *peer; /* NULL: unwired. */
    uint16_t peer_port;
    bool tags;     /* The peer has several inputs: mark packets with ours. */
    bool back;     /* Closes a cycle in which packets may go round. */
    bool optional; /* May stay unwired. */
    uint64_t packets;
    uint64_t bytes;
    struct hg_batch *stage; /* hg_route() collects here. */
    char *name;
    struct output *next; /* That leads to the same input. */
};

struct input {
    char *name;
    struct output *feeds; /* All that lead here, once the graph is whole. */
    bool optional;
};

/* How packets pass a cycle (cycle.c). */
enum passage {
    PASS_ONE_BY_ONE,
    PASS_BY_OWNER, /* Together, but for those that have the same owner. */
    PASS_AT_ONCE
};

/* The framework's part of an element; its own struct follows it. */
struct hg_element {
    /* Dispatch. */
    const struct hg_class *cls;
    struct hg_graph *graph;
    struct output *outputs;
    struct hg_batch *pending; /* Oldest first. */
    struct hg_batch *pending_tail;
    bool pending_sorted;
    bool in_cycle;
    bool goes_round; /* In a cycle in which packets may go round. */
    enum passage passage;
    uint16_t n_outputs;
    uint16_t n_inputs;
    uint32_t order;       /* Index into graph->sorted. */
    uint32_t cycle_begin; /* If in_cycle: its elements are those from ... */
    uint32_t cycle_end;   /* ... here to before there. */

    /* Account; see struct hg_account. */
    uint64_t received;
    uint64_t sent;
    uint64_t made;
    uint64_t dropped;
    uint64_t held;
    uint64_t unwired;
    uint64_t loop;

    /* Building and looking. */
    char *name;
    struct input *inputs;
    struct hg_device *device;
    uint64_t seed;
    uint64_t random;
    uint32_t index;        /* Order of declaration. */
    uint64_t given[2];     /* Bit i: option i was given. */
    uint32_t flow_user;    /* Number among users of the flow service + 1. */
    uint32_t flow_offset;  /* Of its block in the records of flows. */
    uint32_t flow_verdict; /* ... among those whose verdicts flows remember. */
    const struct lang_section *section; /* While building, or NULL. */
    uint64_t span_ns; /* Its smallest promise, or HG_NEVER. */
    bool started;
    bool is_away;       /* Not at work in this instance, or ... */
    bool reports;       /* ... only for another one, which speaks for it. */
    bool is_lent;       /* Others borrow what it has (hg_kin). */
    bool is_one_worker; /* Asked for one instance. */
    bool failed;        /* Its configuration has a mistake. */
};

_Static_assert(sizeof(struct hg_element) <= HG_ELEMENT_SIZE,
               "the element's own struct follows at HG_ELEMENT_SIZE");

/* The framework's part of an element that is only looked at. */
static inline const struct hg_element *
element_of(const void *self)
{
    return hg_element_of((void *)(uintptr_t)self);
}

/* Neither at work in this instance nor reporting from it (parts.c). */
bool element_is_idle(const struct hg_element *);

/* An element's class with another batch function (parts.c). */
struct diversion {
    struct hg_class cls;
    hg_divert_fn *fn;
    void *aux;
    struct diversion *next;
};

/* External addresses of NATs (owner.c). */
struct externals {
    uint32_t *slot; /* NULL: none. */
    uint32_t mask;
    uint32_t n;
};

struct metadata {
    char *name;
    size_t size;
    int offset;
};

struct hg_graph {
    struct hg_pool *pool;
    struct hg_wheel *wheel;
    struct hg_element **sorted; /* In topological order. */
    uint64_t *pending_bits;     /* Bit i: sorted[i] has a pending batch. */
    size_t n_words;
    uint64_t seq;        /* Of the packet that arrived last. */
    uint64_t seq_stride; /* Between packets that arrive. */
    struct hg_batch *free_batches;
    const struct hg_batch *current; /* Now in the hands of an element. */
    struct hg_packet **scratch;     /* For restoring the order. */
    size_t scratch_size;
    struct entry *entries; /* For passing cycles, as the following. */
    size_t n_entries;
    uint64_t *owners;

    struct hg_element **elements; /* In order of declaration. */
    size_t n_elements;
    struct hg_plugins *plugins;
    struct hg_diags *diags;
    uint64_t seed;
    uint64_t span_ns;              /* Of the flow service. */
    const struct hg_element *torn; /* Not at work here, but asked to serve. */
    struct hg_graph *kin;          /* NULL: this is the first or only one. */
    unsigned n_workers;
    unsigned worker; /* Which one of them this is for. */
    struct externals externals;
    hg_report_fn *report;
    void *report_aux;
    struct diversion *diversions;
    bool live;
    bool started;
    struct metadata *metadata;
    size_t n_metadata;
    size_t metadata_used;

    struct flow_table *flows; /* flow.c; NULL: nobody asked for it. */

    void *building; /* build.c: what must live as long as the graph. */
    void (*free_building)(void *);
};

/* xmalloc and friends: a program that cannot get a few bytes while building
 * a graph ends with a sentence. */
void *xcalloc(size_t n, size_t size);
void *xrealloc(void *p, size_t size);
char *xstrdup(const char *s);
char *xasprintf(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* cycle.c: decides how packets pass each cycle, when all is connected. */
void cycles_judge(struct hg_graph *);

/* owner.c: the worker, of 'n', for a packet that state of flows waits for;
 * 'firsts' is what is remembered of fragments, or NULL. */
unsigned owner_deal(const struct hg_graph *, struct hg_packet *, unsigned n,
                    struct hg_fragment_table *firsts);

/* The same from the addresses of Ethernet frames alone: hg_spread_glance(). */
uint64_t owner_glance(const struct hg_graph *, const struct hg_frame *frame,
                      unsigned n_frames, unsigned n, unsigned mine,
                      uint64_t *unsaid);

/* flow_table.c */
/* Whether 'n' new flows might be more than there is room for. */
bool flow_table_is_short(const struct hg_graph *, uint64_t n);
bool flow_table_start(struct hg_graph *, struct hg_error *);
/* Ends what has run out by now, whatever the sweep has seen. */
void flow_table_settle(struct hg_graph *);
void flow_table_destroy(struct hg_graph *);

/* parts.c */
void diversions_free(struct hg_graph *);

/* dispatch.c */
struct hg_batch *batch_get(struct hg_graph *);
void batch_put(struct hg_graph *, struct hg_batch *);

#endif
