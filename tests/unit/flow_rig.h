/* flow_rig.h: a graph of elements that keep flows, for test_flow*.c. */
#ifndef FLOW_RIG_H
#define FLOW_RIG_H 1

#include <stdlib.h>
#include <string.h>

#include <headgate/flow.h>
#include <headgate/graph.h>

#include "notation.h"
#include "test.h"

#define START (UINT64_C(1700000000) * HG_SEC)

enum { MAX_KEEPERS = 2 };

struct keeper {
    uint64_t n_expired;
    void (*expired)(struct keeper *, const uint64_t *state, uint64_t when_ns);
};

static void
keeper_expired(void *self_, void *state, uint64_t when_ns)
{
    struct keeper *self = self_;

    self->n_expired++;
    if (self->expired)
        self->expired(self, state, when_ns);
}

static const struct hg_class keeper_class = {
    .magic = HG_MAGIC,
    .abi = HG_ABI,
    .class_size = sizeof(struct hg_class),
    .flags = HG_CLASS_PASSIVE,
    .name = "Keeper",
    .self_size = sizeof(struct keeper),
    .flow_expired = keeper_expired};

static void
judge_batch(struct hg_element *element, struct hg_batch *batch)
{
    hg_pass(hg_element_self(element), 0, batch);
}

#define JUDGE(name_, inputs_)                                                 \
    {                                                                         \
        .magic = HG_MAGIC, .abi = HG_ABI,                                     \
        .class_size = sizeof(struct hg_class), .name = name_,                 \
        .inputs = inputs_, .outputs = "out?", .self_size = sizeof(uint64_t),  \
        .batch = judge_batch                                                  \
    }

static const struct hg_class judge_class = JUDGE("Judge", "a b");
static const struct hg_class narrow_class = JUDGE("Narrow", "in");

struct rig {
    struct hg_plugins *plugins;
    struct hg_graph *graph;
    struct keeper *keeper[MAX_KEEPERS];
    void *judge;  /* Lets flows remember a word for either of its inputs, */
    void *narrow; /* ... and this one for its only input. */
    uint64_t now;
};

static inline void
add_judges(struct rig *r)
{
    struct hg_element *judge = hg_graph_add(r->graph, &judge_class, "judge");
    struct hg_element *other = hg_graph_add(r->graph, &judge_class, "other");
    struct hg_element *narrow =
        hg_graph_add(r->graph, &narrow_class, "narrow");

    REQUIRE(hg_graph_connect(r->graph, other, 0, judge, 1, NULL));
    r->judge = hg_element_self(judge);
    r->narrow = hg_element_self(narrow);
    hg_flow_declare_verdict(r->judge, sizeof(uint32_t), true);
    hg_flow_declare_verdict(r->narrow, sizeof(uint32_t), true);
}

/* What a keeper has in each flow.  The first one's second keys are beside the
 * records. */
struct kept {
    uint64_t word[2];
    struct hg_flow_ends second; /* The second one's. */
};

static inline void
build(struct rig *r, unsigned n_keepers)
{
    struct hg_graph_config config = {0};
    unsigned i;

    *r = (struct rig){.plugins = hg_plugins_create(NULL), .now = START};
    config.plugins = r->plugins;
    config.seed = 7;
    r->graph = hg_graph_create(&config);
    for (i = 0; i < n_keepers; i++) {
        struct hg_element *e =
            hg_graph_add(r->graph, &keeper_class, i ? "b" : "a");

        r->keeper[i] = hg_element_self(e);
        REQUIRE(hg_flow_declare(r->keeper[i], i ? sizeof(struct kept)
                                                : 2 * sizeof(uint64_t)));
        if (i)
            hg_flow_declare_second(r->keeper[i],
                                   offsetof(struct kept, second));
    }
    add_judges(r);
}

static inline void
start(struct rig *r)
{
    struct hg_error error;

    hg_graph_finish(r->graph);
    REQUIRE(hg_graph_start(r->graph, START, &error));
}

static inline void
rig_init(struct rig *r, unsigned n_keepers, uint64_t limit)
{
    build(r, n_keepers);
    if (limit)
        hg_flow_limit(r->keeper[0], limit);
    start(r);
}

static inline void
rig_uninit(struct rig *r)
{
    hg_graph_stop(r->graph);
    hg_graph_destroy(r->graph);
    hg_plugins_destroy(r->plugins);
}

static inline void
rig_advance(struct rig *r, uint64_t now)
{
    r->now = now;
    hg_graph_advance(r->graph, now);
}

static inline struct hg_packet *
packet(struct rig *r, const char *text)
{
    struct hg_error error = {""};
    struct hg_packet *p =
        notation_parse(hg_graph_pool(r->graph), text, &error);

    if (!p) {
        FAIL("'%s': %s", text, error.text);
        test_end();
    }
    p->time_ns = r->now;
    return p;
}

static inline struct hg_flow_stats
stats(const struct rig *r)
{
    struct hg_flow_stats s;

    hg_flow_get_stats(r->keeper[0], &s);
    return s;
}

/* Makes flow i of the first keeper, which keeps its number. */
static inline struct hg_flow *
open_flow(struct rig *r, unsigned i, uint64_t timeout)
{
    char text[128];
    struct hg_packet *p;
    struct hg_flow *flow;

    snprintf(text, sizeof text, "tcp 10.%u.%u.%u:%u > 10.0.0.1:80 S",
             i >> 16 & 255, i >> 8 & 255, i & 255, 1 + i % 60000);
    p = packet(r, text);
    flow = hg_flow_create(r->keeper[0], p);
    if (flow) {
        *(uint64_t *)hg_flow_state(r->keeper[0], flow, r->now) = i;
        hg_flow_keep(r->keeper[0], flow, r->now + timeout);
    }
    hg_packet_free(p);
    return flow;
}

static inline bool
same_end(const struct hg_addr *a, uint16_t port, const struct hg_addr *b,
         uint16_t other_port)
{
    return hg_addr_equal(a, b) && port == other_port;
}

/* 1: the same direction, -1: the other, 0: another flow. */
static inline int
compare(const struct hg_flow_key *a, const struct hg_flow_key *b)
{
    if (a->vpc != b->vpc || a->protocol != b->protocol)
        return 0;
    if (same_end(&a->src, a->sport, &b->src, b->sport) &&
        same_end(&a->dst, a->dport, &b->dst, b->dport))
        return 1;
    if (same_end(&a->src, a->sport, &b->dst, b->dport) &&
        same_end(&a->dst, a->dport, &b->src, b->sport))
        return -1;
    return 0;
}

#endif
