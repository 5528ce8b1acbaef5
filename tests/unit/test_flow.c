/* test_flow.c: the flow service (headgate/flow.h) against a plain list, over
 * sizes of batches, when it is full, and the keys of packets and of what ICMP
 * errors quote. */
#include <stdlib.h>
#include <string.h>

#include <headgate/flow.h>
#include <headgate/graph.h>

#include "notation.h"
#include "test.h"

#define START (UINT64_C(1700000000) * HG_SEC)

/* ---- A graph of elements that keep flows ------------------------------ */

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

static void
add_judges(struct rig *r)
{
    struct hg_element *judge = hg_graph_add(r->graph, &judge_class, "judge");
    struct hg_element *other = hg_graph_add(r->graph, &judge_class, "other");
    struct hg_element *narrow =
        hg_graph_add(r->graph, &narrow_class, "narrow");

    REQUIRE(hg_graph_connect(r->graph, other, 0, judge, 1, NULL));
    r->judge = hg_element_self(judge);
    r->narrow = hg_element_self(narrow);
    hg_flow_declare_verdict(r->judge, sizeof(uint32_t));
    hg_flow_declare_verdict(r->narrow, sizeof(uint32_t));
}

/* What a keeper has in each flow.  The first one's second keys are beside the
 * records. */
struct kept {
    uint64_t word[2];
    struct hg_flow_ends second; /* The second one's. */
};

static void
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

static void
start(struct rig *r)
{
    struct hg_error error;

    hg_graph_finish(r->graph);
    REQUIRE(hg_graph_start(r->graph, START, &error));
}

static void
rig_init(struct rig *r, unsigned n_keepers, uint64_t limit)
{
    build(r, n_keepers);
    if (limit)
        hg_flow_limit(r->keeper[0], limit);
    start(r);
}

static void
rig_uninit(struct rig *r)
{
    hg_graph_stop(r->graph);
    hg_graph_destroy(r->graph);
    hg_plugins_destroy(r->plugins);
}

static void
rig_advance(struct rig *r, uint64_t now)
{
    r->now = now;
    hg_graph_advance(r->graph, now);
}

static struct hg_packet *
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

static struct hg_flow_stats
stats(const struct rig *r)
{
    struct hg_flow_stats s;

    hg_flow_get_stats(r->keeper[0], &s);
    return s;
}

/* ---- Against a list --------------------------------------------------- */

struct model_interest {
    uint64_t deadline;
    uint64_t value;
    bool against;
};

struct model_flow {
    struct hg_flow_key key[2];
    bool has_second;
    unsigned second_user;
    struct model_interest user[MAX_KEEPERS];
};

enum { MODEL_MAX = 4096, N_PACKETS = 60 };

static struct model_flow model[MODEL_MAX];
static size_t n_model;
static uint64_t next_value;
static uint64_t deadline_of[1 << 20]; /* By value, while in use. */

static bool
same_end(const struct hg_addr *a, uint16_t port, const struct hg_addr *b,
         uint16_t other_port)
{
    return hg_addr_equal(a, b) && port == other_port;
}

/* 1: the same direction, -1: the other, 0: another flow. */
static int
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

static bool
model_wanted(const struct model_flow *m, uint64_t now)
{
    return m->user[0].deadline > now || m->user[1].deadline > now;
}

/* 'direction' as of compare(), relative to the first key. */
static struct model_flow *
model_find(const struct hg_flow_key *key, uint64_t now, int *direction)
{
    size_t i;

    for (i = 0; i < n_model; i++) {
        struct model_flow *m = &model[i];

        if (!model_wanted(m, now))
            continue;
        if ((*direction = compare(&m->key[0], key)) != 0)
            return m;
        if (m->has_second && m->user[m->second_user].deadline > now &&
            (*direction = compare(&m->key[1], key)) != 0)
            return m;
    }
    return NULL;
}

static struct model_flow *
model_create(unsigned user, const struct hg_flow_key *key, uint64_t now)
{
    int direction = 1;
    struct model_flow *m = model_find(key, now, &direction);

    if (!m) {
        size_t i = 0;

        while (i < n_model && model_wanted(&model[i], now))
            i++;
        REQUIRE(i < MODEL_MAX);
        n_model += i == n_model;
        m = &model[i];
        *m = (struct model_flow){.key = {*key}};
        direction = 1;
    }
    if (m->user[user].deadline <= now) {
        m->user[user] = (struct model_interest){.against = direction < 0};
        if (m->second_user == user)
            m->has_second = false;
    }
    return m;
}

static void
model_end(struct model_flow *m, unsigned user)
{
    m->user[user].deadline = 0;
    if (m->second_user == user)
        m->has_second = false;
}

static bool
model_add_key(struct model_flow *m, unsigned user,
              const struct hg_flow_key *key, uint64_t now)
{
    int direction;
    struct model_flow *other = model_find(key, now, &direction);

    if (other && other != m)
        return false;
    m->has_second = !compare(&m->key[0], key);
    if (!m->has_second)
        return true;
    m->second_user = user;
    m->key[1] = *key;
    if (m->user[user].against) {
        m->key[1].src = key->dst;
        m->key[1].dst = key->src;
        m->key[1].sport = key->dport;
        m->key[1].dport = key->sport;
    }
    return true;
}

/* What is told to have expired did so then. */
static void
check_expired(struct keeper *k, const uint64_t *state, uint64_t when)
{
    (void)k;
    CHECK_EQ(when, deadline_of[state[0]]);
    CHECK_EQ(state[1], ~state[0]);
    deadline_of[state[0]] = 0;
}

static void
check_find(struct rig *r, unsigned user, struct hg_packet *p)
{
    struct keeper *k = r->keeper[user];
    struct hg_flow *flow = hg_flow_find(k, p);
    struct hg_flow_key key;
    struct model_flow *m;
    int direction;

    REQUIRE(hg_flow_key_of(p, &key));
    CHECK((hg_flow_find_key(k, &key, p->time_ns) != NULL) == (flow != NULL));
    m = model_find(&key, p->time_ns, &direction);
    if (m && m->user[user].deadline <= p->time_ns)
        m = NULL;
    REQUIRE((m != NULL) == (flow != NULL));
    if (!flow)
        return;
    CHECK_EQ(*(uint64_t *)hg_flow_state(k, flow, p->time_ns),
             m->user[user].value);
    CHECK_EQ(hg_flow_is_reply(flow, p),
             (direction < 0) != m->user[user].against);
}

static void
check_create(struct rig *r, unsigned user, struct hg_packet *p)
{
    struct keeper *k = r->keeper[user];
    struct hg_flow *flow = hg_flow_create(k, p);
    uint64_t until = p->time_ns + 1 + (uint64_t)(rand() % 40) * HG_SEC / 4;
    struct hg_flow_key key;
    struct model_flow *m;
    struct model_interest *interest;
    uint64_t *state;

    REQUIRE(flow && hg_flow_key_of(p, &key));
    m = model_create(user, &key, p->time_ns);
    interest = &m->user[user];
    state = hg_flow_state(k, flow, p->time_ns);
    REQUIRE(CHECK_EQ(state[0], interest->value));
    if (!state[0]) {
        CHECK_EQ(state[1], 0);
        state[0] = interest->value = ++next_value;
        state[1] = ~state[0];
    }
    hg_flow_keep(k, flow, until);
    interest->deadline = deadline_of[state[0]] = until;
}

static void
check_end(struct rig *r, unsigned user, struct hg_packet *p)
{
    struct hg_flow *flow = hg_flow_find(r->keeper[user], p);
    struct hg_flow_key key;
    int direction;

    if (!flow)
        return;
    REQUIRE(hg_flow_key_of(p, &key));
    hg_flow_keep(r->keeper[user], flow, 0);
    model_end(model_find(&key, p->time_ns, &direction), user);
}

static void
check_add_key(struct rig *r, unsigned user, struct hg_packet *p,
              struct hg_packet *second)
{
    struct hg_flow *flow = hg_flow_find(r->keeper[user], p);
    struct hg_flow_key key, other;
    int direction;
    struct model_flow *m;

    if (!flow)
        return;
    REQUIRE(hg_flow_key_of(p, &key) && hg_flow_key_of(second, &other));
    m = model_find(&key, p->time_ns, &direction);
    CHECK_EQ(hg_flow_add_key(r->keeper[user], flow, &other, p->time_ns),
             model_add_key(m, user, &other, p->time_ns));
}

struct walk {
    size_t n;
    uint64_t sum;
};

static bool
walk_one(void *aux, struct hg_flow *flow, void *state)
{
    struct walk *w = aux;

    (void)flow;
    w->n++;
    w->sum += *(uint64_t *)state;
    return true;
}

static void
check_walk(struct rig *r, unsigned user)
{
    struct walk walk = {0, 0}, expected = {0, 0};
    size_t i;

    hg_flow_foreach(r->keeper[user], r->now, walk_one, &walk);
    for (i = 0; i < n_model; i++)
        if (model[i].user[user].deadline > r->now) {
            expected.n++;
            expected.sum += model[i].user[user].value;
        }
    CHECK_EQ(walk.n, expected.n);
    CHECK_EQ(walk.sum, expected.sum);
}

static void
make_packets(struct rig *r, struct hg_packet *packets[N_PACKETS])
{
    static const char *const ends[] = {"10.0.0.1:1", "10.0.0.1:2",
                                       "10.0.0.2:1", "10.9.0.1:2"};
    static const char *const ends6[] = {"[fd00::1]:1", "[fd00::1]:2",
                                        "[fd00::2]:1", "[a00:1::]:2"};
    unsigned i;

    for (i = 0; i < N_PACKETS; i++) {
        const char *const *e = i % 3 == 2 ? ends6 : ends;
        unsigned from = (unsigned)rand() % 4;
        unsigned to = (from + 1 + (unsigned)rand() % 3) % 4;
        char text[128];

        snprintf(text, sizeof text, "%s %s > %s%s", i % 5 ? "udp" : "tcp",
                 e[from], e[to], i % 5 ? "" : " S");
        packets[i] = packet(r, text);
        packets[i]->vpc = i % 2;
    }
}

/* Looks up all packets, so that those of no flow know that for a while. */
static void
look_ahead(struct rig *r, struct hg_packet *const *packets)
{
    struct hg_batch *b = calloc(1, sizeof *b);

    for (b->n = 0; b->n < N_PACKETS; b->n++) {
        b->p[b->n] = packets[b->n];
        b->p[b->n]->time_ns = r->now;
        hg_packet_forget_flow(b->p[b->n]);
    }
    hg_flow_find_batch(r->keeper[0], b);
    free(b);
}

static void
step(struct rig *r, struct hg_packet *const *packets)
{
    unsigned user = (unsigned)rand() % 2;
    struct hg_packet *p = packets[rand() % N_PACKETS];

    if (rand() % 8 == 0)
        look_ahead(r, packets);
    p->time_ns = r->now;
    if (p->flow || rand() % 4 == 0)
        hg_packet_forget_flow(p);
    switch (rand() % 16) {
    case 0:
        check_walk(r, user);
        break;
    case 1:
        check_end(r, user, p);
        break;
    case 2:
    case 3:
        check_add_key(r, user, p, packets[rand() % N_PACKETS]);
        break;
    case 4:
    case 5:
    case 6:
    case 7:
        check_find(r, user, p);
        check_find(r, !user, p);
        break;
    default:
        check_create(r, user, p);
        if (rand() % 2)
            check_create(r, !user, p);
    }
}

TEST(flows_are_what_a_list_of_them_would_be)
{
    struct hg_packet *packets[N_PACKETS];
    struct rig r;
    unsigned round, i;

    for (round = 0; round < 20; round++) {
        rig_init(&r, 2, 0);
        srand(round);
        n_model = 0;
        next_value = 0;
        memset(deadline_of, 0, sizeof deadline_of);
        r.keeper[0]->expired = r.keeper[1]->expired = check_expired;
        make_packets(&r, packets);
        for (i = 0; i < 5000; i++) {
            if (rand() % 2)
                rig_advance(&r, r.now + (uint64_t)rand() % HG_SEC);
            step(&r, packets);
        }
        CHECK(r.keeper[0]->n_expired > 100);
        rig_advance(&r, r.now + HG_MINUTE);
        CHECK_EQ(stats(&r).flows, 0);
        CHECK_EQ(stats(&r).evicted + stats(&r).refused, 0);
        for (i = 0; i < N_PACKETS; i++)
            hg_packet_free(packets[i]);
        rig_uninit(&r);
    }
}

/* ---- Sizes of batches ------------------------------------------------- */

enum { RUN_PACKETS = 6000 };

struct seen {
    uint64_t count;
    bool reply;
};

/* Two elements, one behind the other, that count the packets of flows, each
 * with timeouts of its own. */
static void
count_batch(struct keeper *k, struct hg_batch *b, uint64_t timeout,
            struct seen *seen)
{
    unsigned i;

    hg_flow_find_batch(k, b);
    for (i = 0; i < b->n; i++) {
        struct hg_packet *p = b->p[i];
        struct hg_flow *flow = hg_flow_create(k, p);
        uint64_t *state;

        REQUIRE(flow);
        state = hg_flow_state(k, flow, p->time_ns);
        seen[i] = (struct seen){++state[0], hg_flow_is_reply(flow, p)};
        /* Some packets do not prolong. */
        if (state[0] == 1 || p->len % 2)
            hg_flow_keep(k, flow, p->time_ns + timeout);
    }
}

static void
run_in_batches(unsigned size, struct seen *seen)
{
    struct hg_batch *b = calloc(1, sizeof *b);
    struct rig r;
    unsigned at, i;
    uint64_t times[RUN_PACKETS];

    rig_init(&r, 2, 0);
    srand(5);
    times[0] = START;
    for (at = 1; at < RUN_PACKETS; at++)
        times[at] = times[at - 1] + (uint64_t)rand() % (50 * HG_MSEC);
    for (at = 0; at < RUN_PACKETS; at += b->n) {
        rig_advance(&r, times[at]);
        for (b->n = 0; b->n < size && at + b->n < RUN_PACKETS; b->n++) {
            char text[128];
            unsigned v = ((at + b->n) * 2654435761u) >> 16;

            if (b->n && times[at + b->n] >= hg_graph_next_timer(r.graph))
                break;
            snprintf(text, sizeof text, "udp 10.0.0.%u:1 > 10.0.0.%u:1 len %u",
                     1 + v % 4, 1 + v / 4 % 4, v / 16 % 8);
            b->p[b->n] = packet(&r, text);
            b->p[b->n]->time_ns = times[at + b->n];
        }
        count_batch(r.keeper[0], b, 300 * HG_MSEC, &seen[at * 2]);
        count_batch(r.keeper[1], b, 310 * HG_MSEC, &seen[at * 2 + b->n]);
        for (i = 0; i < b->n; i++)
            hg_packet_free(b->p[i]);
    }
    free(b);
    rig_uninit(&r);
}

TEST(the_size_of_batches_does_not_matter)
{
    static const unsigned sizes[] = {7, 64, 256};
    static struct seen one[2 * RUN_PACKETS], many[2 * RUN_PACKETS];
    uint64_t fresh = 0, replies = 0;
    size_t i, k;

    run_in_batches(1, one);
    for (i = 0; i < 2 * RUN_PACKETS; i++) {
        fresh += one[i].count == 1;
        replies += one[i].reply;
    }
    CHECK(fresh > 500 && replies > 500);
    for (k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
        uint64_t sum = 0, sum_one = 0;

        /* Packets of one element stand together in each batch: compare what
         * each packet saw by a sum over its place. */
        run_in_batches(sizes[k], many);
        for (i = 0; i < 2 * RUN_PACKETS; i++) {
            sum += many[i].count * many[i].count * 2 + many[i].reply;
            sum_one += one[i].count * one[i].count * 2 + one[i].reply;
        }
        CHECK_EQ(sum, sum_one);
    }
}

/* ---- When it is full -------------------------------------------------- */

static struct hg_flow *
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

struct census {
    unsigned below;
    unsigned n;
};

static bool
count_below(void *aux, struct hg_flow *flow, void *state)
{
    struct census *c = aux;

    (void)flow;
    c->n += *(uint64_t *)state < c->below;
    return true;
}

static unsigned
n_below(struct rig *r, unsigned i)
{
    struct census c = {i, 0};

    hg_flow_foreach(r->keeper[0], r->now, count_below, &c);
    return c.n;
}

TEST(a_flood_of_new_flows_pushes_out_no_confirmed_one)
{
    static const unsigned limits[] = {2, 100, 5000};
    size_t k;

    for (k = 0; k < sizeof limits / sizeof limits[0]; k++) {
        unsigned limit = limits[k], i;
        struct rig r;

        rig_init(&r, 1, limit);
        for (i = 0; i < limit; i++) {
            struct hg_flow *flow = open_flow(&r, i, HG_HOUR);

            REQUIRE(flow);
            if (i < limit / 2)
                hg_flow_confirm(flow);
        }
        for (; i < 20000; i++)
            REQUIRE(open_flow(&r, i, HG_MINUTE));
        CHECK_EQ(n_below(&r, limit / 2), limit / 2);
        CHECK_EQ(stats(&r).flows, limit);
        CHECK_EQ(stats(&r).evicted, 20000 - limit);
        CHECK_EQ(stats(&r).refused, 0);
        CHECK_EQ(r.keeper[0]->n_expired, 20000 - limit);
        rig_uninit(&r);
    }
}

TEST(a_table_of_confirmed_flows_refuses_new_ones)
{
    struct rig r;
    unsigned i;

    rig_init(&r, 1, 50);
    for (i = 0; i < 50; i++) {
        struct hg_flow *flow = open_flow(&r, i, HG_SEC);

        REQUIRE(flow);
        hg_flow_confirm(flow);
    }
    for (; i < 150; i++)
        CHECK(!open_flow(&r, i, HG_SEC));
    CHECK_EQ(stats(&r).refused, 100);
    CHECK_EQ(n_below(&r, 50), 50);

    /* What has run out gives way at once. */
    rig_advance(&r, r.now + HG_SEC);
    for (; i < 200; i++)
        CHECK(open_flow(&r, i, HG_SEC) != NULL);
    CHECK_EQ(stats(&r).evicted, 0);
    rig_uninit(&r);
}

TEST(the_largest_limit_asked_for_counts)
{
    struct rig r;

    build(&r, 1);
    CHECK_EQ(stats(&r).limit, 1048576);
    hg_flow_limit(r.keeper[0], 10);
    CHECK_EQ(stats(&r).limit, 10);
    hg_flow_limit(r.keeper[0], 5);
    CHECK_EQ(stats(&r).limit, 10);
    hg_flow_limit(r.keeper[0], UINT64_MAX);
    CHECK_EQ(stats(&r).limit, UINT32_MAX / 4);
    start(&r);
    REQUIRE(open_flow(&r, 1, HG_SEC));
    rig_uninit(&r);
}

TEST(a_flow_that_was_confirmed_once_is_not_for_ever)
{
    struct rig r;

    rig_init(&r, 1, 1);
    hg_flow_confirm(open_flow(&r, 1, HG_MSEC));
    CHECK(!open_flow(&r, 2, HG_MSEC));
    r.now += HG_MSEC; /* No sweep has come by. */
    CHECK(open_flow(&r, 1, HG_MSEC) != NULL);
    CHECK(open_flow(&r, 2, HG_MSEC) != NULL);
    CHECK_EQ(stats(&r).evicted, 1);
    rig_uninit(&r);
}

TEST(many_flows_are_all_found_again)
{
    enum { N = 300000 };
    struct rig r;
    unsigned i;

    rig_init(&r, 1, 0);
    for (i = 0; i < N; i++)
        REQUIRE(open_flow(&r, i, HG_MINUTE));
    CHECK_EQ(stats(&r).flows, N);
    for (i = 0; i < N; i++) {
        struct hg_flow *flow = open_flow(&r, i, HG_MINUTE);

        REQUIRE(flow);
    }
    CHECK_EQ(stats(&r).flows, N);
    rig_advance(&r, r.now + 2 * HG_MINUTE);
    CHECK_EQ(stats(&r).flows, 0);
    CHECK_EQ(r.keeper[0]->n_expired, N);
    rig_uninit(&r);
}

/* ---- At scale --------------------------------------------------------- */

/* Makes 'p' a packet of flow 'i'. */
static void
set_flow(struct hg_packet *p, uint32_t i)
{
    uint8_t *at = hg_packet_l3(p) + (p->flags & HG_PACKET_IP6 ? 8 : 12);

    hg_store32(at, 0x0a000000 + (i & 0xffffff));
    hg_store16(hg_packet_l4(p), (uint16_t)(1 + i % 60000));
    hg_packet_forget_flow(p);
}

static struct hg_flow *
open_number(struct rig *r, struct hg_packet *p, uint32_t i)
{
    struct hg_flow *flow;

    set_flow(p, i);
    p->time_ns = r->now;
    flow = hg_flow_create(r->keeper[0], p);
    if (flow) {
        *(uint64_t *)hg_flow_state(r->keeper[0], flow, r->now) = i;
        hg_flow_keep(r->keeper[0], flow, r->now + HG_MINUTE);
    }
    return flow;
}

static bool
is_there(struct rig *r, struct hg_packet *p, uint32_t i)
{
    struct hg_flow *flow;

    set_flow(p, i);
    flow = hg_flow_find(r->keeper[0], p);
    return flow && *(uint64_t *)hg_flow_state(r->keeper[0], flow, r->now) == i;
}

TEST(a_flood_leaves_a_large_table_of_established_flows_as_it_is)
{
    enum { LIMIT = 200000, ESTABLISHED = LIMIT - 1000, FLOOD = 600000 };
    struct rig r;
    struct hg_packet *p;
    uint32_t i, n = 0, refused = 0;

    rig_init(&r, 1, LIMIT);
    p = packet(&r, "tcp 10.0.0.1:1 > 10.0.0.2:80 S");
    for (i = 0; i < ESTABLISHED; i++)
        REQUIRE(open_number(&r, p, i));
    /* Not as they begin: they are all in the queue of the unconfirmed. */
    for (i = 0; i < ESTABLISHED; i++) {
        set_flow(p, i);
        hg_flow_confirm(hg_flow_find(r.keeper[0], p));
    }
    for (; i < FLOOD; i++)
        refused += !open_number(&r, p, i);
    for (i = 0; i < ESTABLISHED; i++)
        n += is_there(&r, p, i);
    CHECK_EQ(n, ESTABLISHED);
    CHECK_EQ(stats(&r).flows, LIMIT);
    CHECK_EQ(stats(&r).refused, refused);
    CHECK_EQ(stats(&r).evicted, FLOOD - LIMIT - refused);
    /* New flows get in once the queue holds only what is not confirmed. */
    CHECK(refused <= ESTABLISHED / 32);
    hg_packet_free(p);
    rig_uninit(&r);
}

TEST(flows_of_both_families_are_found_by_both_keys_while_the_table_grows)
{
    enum { N = 60000 };
    static const char *const texts[] = {"udp 10.0.0.1:1 > 10.0.0.2:80",
                                        "udp [fd00::1]:1 > [fd00::2]:80"};
    struct rig r;
    unsigned k;
    uint32_t i;

    rig_init(&r, 1, 0);
    for (k = 0; k < 2; k++) {
        struct hg_packet *p = packet(&r, texts[k]);

        for (i = 0; i < N; i++) {
            struct hg_flow *flow = open_number(&r, p, i);
            struct hg_flow_key key;

            REQUIRE(flow && hg_flow_key_of(p, &key));
            key.vpc = 7;
            REQUIRE(hg_flow_add_key(r.keeper[0], flow, &key, r.now));
        }
        hg_packet_free(p);
    }
    CHECK_EQ(stats(&r).flows, 2 * N);
    for (k = 0; k < 2; k++) {
        struct hg_packet *p = packet(&r, texts[k]);
        uint32_t found = 0, left = 0;

        for (i = 0; i < N; i++) {
            p->vpc = 0;
            found += is_there(&r, p, i);
            p->vpc = 7;
            found += is_there(&r, p, i);
            /* One in three goes. */
            if (i % 3 == 0)
                hg_flow_keep(r.keeper[0], p->flow, 0);
        }
        CHECK_EQ(found, 2 * N);
        rig_advance(&r, r.now + 20 * HG_SEC);
        for (i = 0; i < N; i++) {
            p->vpc = i % 2 ? 7 : 0;
            left += is_there(&r, p, i);
        }
        CHECK_EQ(left, N - N / 3);
        hg_packet_free(p);
    }
    CHECK_EQ(stats(&r).flows, 2 * (N - N / 3));
    rig_uninit(&r);
}

TEST(a_flow_costs_little_memory)
{
    enum { N = 100000 };
    struct rig r;
    struct hg_packet *p;
    uint32_t i;

    rig_init(&r, 1, 0); /* Keeps 16 bytes, and 6 verdicts of two words. */
    p = packet(&r, "udp 10.0.0.1:1 > 10.0.0.2:80");
    for (i = 0; i < N; i++)
        REQUIRE(open_number(&r, p, i));
    CHECK(stats(&r).bytes / N <= 128 + 4 + 18);
    hg_packet_free(p);
    rig_uninit(&r);
}

TEST(a_batch_finds_what_packets_find_one_by_one)
{
    struct hg_batch *b = calloc(1, sizeof *b);
    struct hg_packet *p;
    struct rig r;
    unsigned i;

    rig_init(&r, 2, 0);
    p = packet(&r, "udp 10.0.0.1:1 > 10.0.0.2:80");
    for (i = 0; i < 1000; i += 2)
        REQUIRE(open_number(&r, p, i));
    for (b->n = 0; b->n < HG_BATCH_MAX; b->n++) {
        b->p[b->n] = packet(&r, "udp 10.0.0.1:1 > 10.0.0.2:80");
        set_flow(b->p[b->n], b->n * 3u);
        if (b->n % 5 == 0)
            hg_flow_find(r.keeper[0], b->p[b->n]);
    }
    hg_flow_find_batch(r.keeper[1], b);
    for (i = 0; i < b->n; i++) {
        struct hg_flow *flow = b->p[i]->flow;

        CHECK((flow != NULL) == (i * 3 % 2 == 0 && i * 3 < 1000));
        CHECK(hg_flow_find(r.keeper[0], b->p[i]) == flow);
        CHECK(is_there(&r, p, i * 3) == (flow != NULL));
        hg_packet_free(b->p[i]);
    }
    hg_packet_free(p);
    free(b);
    rig_uninit(&r);
}

/* A flow that another packet of the batch begins, and what is rewritten. */
TEST(a_packet_of_no_flow_is_looked_up_again_when_it_may_have_one)
{
    const struct hg_addr elsewhere = {4, {10, 0, 0, 9}};
    struct hg_batch *b = calloc(1, sizeof *b);
    struct hg_flow *flow, *other;
    void *state, *again;
    struct rig r;
    unsigned i;

    rig_init(&r, 1, 0);
    b->p[0] = packet(&r, "udp 10.0.0.1:1 > 10.0.0.9:2");
    b->p[1] = packet(&r, "udp 10.0.0.1:1 > 10.0.0.2:2");
    b->p[2] = packet(&r, "udp 10.0.0.2:2 > 10.0.0.1:1");
    b->p[3] = packet(&r, "udp 10.0.0.1:1 > 10.0.0.3:2");
    b->n = 4;
    other = hg_flow_create(r.keeper[0], b->p[0]);
    hg_flow_keep(r.keeper[0], other, r.now + HG_SEC);
    hg_flow_find_batch(r.keeper[0], b);
    CHECK(hg_flow_find(r.keeper[0], b->p[0]) == other);
    for (i = 1; i < 4; i++)
        CHECK(!hg_flow_find(r.keeper[0], b->p[i]));
    flow = hg_flow_create_state(r.keeper[0], b->p[1], &state);
    REQUIRE(flow && flow != other);
    hg_flow_keep_state(state, r.now + HG_SEC);
    CHECK(hg_flow_create_state(r.keeper[0], b->p[2], &again) == flow);
    CHECK(again == state);
    CHECK(hg_flow_is_reply(flow, b->p[2]));
    CHECK(!hg_flow_find(r.keeper[0], b->p[3]));
    hg_packet_set_dst(b->p[3], &elsewhere);
    CHECK(hg_flow_find(r.keeper[0], b->p[3]) == other);
    for (i = 0; i < 4; i++)
        hg_packet_free(b->p[i]);
    free(b);
    rig_uninit(&r);
}

TEST(what_flows_seldom_need_costs_memory_only_where_it_is_used)
{
    enum { N = 1000, SELDOM = 12 };
    struct hg_flow *flow[N];
    uint64_t bytes;
    struct rig r;
    unsigned i;

    build(&r, 2);
    hg_flow_declare_seldom(r.keeper[1], SELDOM);
    start(&r);
    for (i = 0; i < N; i++)
        flow[i] = open_flow(&r, i, HG_MINUTE);
    bytes = stats(&r).bytes;
    for (i = 0; i < N; i += 3)
        memset(hg_flow_seldom(r.keeper[1], flow[i]), (int)i, SELDOM);
    CHECK_EQ(stats(&r).bytes, bytes + N * SELDOM);
    for (i = 0; i < N; i += 3) {
        const uint8_t *at = hg_flow_seldom(r.keeper[1], flow[i]);

        CHECK_EQ(at[0], i & 0xff);
        CHECK_EQ(at[SELDOM - 1], i & 0xff);
    }
    rig_uninit(&r);
}

/* ---- Translated flows ------------------------------------------------- */

TEST(bytes_found_with_a_flow_are_its_own_and_move_its_deadline)
{
    struct rig r;
    struct hg_packet *p;
    struct hg_flow *flow;
    void *state;
    unsigned i;

    rig_init(&r, 2, 0);
    p = packet(&r, "udp 10.0.0.1:1000 > 10.9.9.9:53");
    CHECK(!hg_flow_find_state(r.keeper[1], p, &state) && !state);
    flow = hg_flow_create(r.keeper[1], p);
    REQUIRE(flow);
    hg_flow_keep(r.keeper[1], flow, START + HG_SEC);
    CHECK(!hg_flow_find_state(r.keeper[0], p, &state) && !state);
    for (i = 0; i < 3; i++) {
        CHECK(hg_flow_find_state(r.keeper[1], p, &state) == flow);
        CHECK(state == hg_flow_state(r.keeper[1], flow, p->time_ns));
        hg_flow_keep_state(state, START + (i + 2) * HG_SEC);
        p->time_ns = START + (i + 2) * HG_SEC - 1;
    }
    p->time_ns++;
    CHECK(!hg_flow_find_state(r.keeper[1], p, &state) && !state);
    hg_packet_free(p);
    rig_uninit(&r);
}

TEST(replies_to_a_translated_flow_find_it_by_its_second_key)
{
    struct rig r;
    struct hg_packet *first, *translated, *reply;
    struct hg_flow_key key, out;
    struct hg_flow *flow;

    rig_init(&r, 2, 0);
    first = packet(&r, "udp 10.0.0.5:40000 > 203.0.113.9:53");
    translated = packet(&r, "udp 198.51.100.1:1024 > 203.0.113.9:53");
    reply = packet(&r, "udp 203.0.113.9:53 > 198.51.100.1:1024");
    flow = hg_flow_create(r.keeper[0], first);
    REQUIRE(flow && hg_flow_key_of(translated, &key));
    hg_flow_keep(r.keeper[0], flow, r.now + HG_SEC);
    CHECK(!hg_flow_find(r.keeper[0], reply));
    CHECK(hg_flow_add_key(r.keeper[0], flow, &key, r.now));
    CHECK(hg_flow_find(r.keeper[0], reply) == flow);
    CHECK(hg_flow_is_reply(flow, reply));
    CHECK(!hg_flow_is_reply(flow, first));
    hg_flow_first_key(flow, &out);
    CHECK_EQ(out.sport, 40000);
    CHECK_EQ(out.dport, 53);

    /* The second element shares the record, but knows of it only once it
     * asks for it. */
    CHECK(!hg_flow_find(r.keeper[1], translated));
    CHECK(hg_flow_create(r.keeper[1], translated) == flow);
    CHECK_EQ(stats(&r).flows, 1);
    hg_packet_free(first);
    hg_packet_free(translated);
    hg_packet_free(reply);
    rig_uninit(&r);
}

TEST(a_second_key_is_where_its_element_wants_it_and_lies_so_in_the_record)
{
    static const char *const sources[] = {"198.51.100.1", "10.0.0.5",
                                          "203.0.113.10"};
    size_t i;

    for (i = 0; i < sizeof sources / sizeof *sources; i++) {
        const uint32_t remote = 0xcb007109, inside = 0x0a000005;
        struct rig r;
        struct hg_packet *p;
        struct hg_flow_key key;
        struct hg_flow *flow;
        const struct kept *kept;
        uint32_t outside;
        unsigned end;

        rig_init(&r, 2, 0);
        p = packet(&r, "udp 10.0.0.5:40000 > 203.0.113.9:53");
        flow = hg_flow_create(r.keeper[1], p);
        REQUIRE(flow && hg_flow_key_of(p, &key));
        REQUIRE(hg_addr_parse(sources[i], &key.src));
        outside = hg_addr_ip4(&key.src);
        key.vpc = i == 1 ? 0 : 9;
        key.sport = i == 1 ? 40000 : 1024; /* The first key once more. */
        CHECK(hg_flow_add_key(r.keeper[1], flow, &key, r.now));
        kept = hg_flow_state(r.keeper[1], flow, r.now);
        end = outside > remote;
        CHECK_EQ(kept->second.addr[end], outside);
        CHECK_EQ(kept->second.port[end], key.sport);
        CHECK_EQ(kept->second.addr[!end], remote);
        CHECK_EQ(kept->second.port[!end], 53);
        CHECK_EQ(kept->second.vpc, key.vpc);
        CHECK_EQ(flow->ends.addr[0], inside);
        CHECK_EQ(flow->ends.port[0], 40000);
        hg_packet_free(p);
        rig_uninit(&r);
    }
}

TEST(an_interest_that_was_not_kept_leaves_no_second_key)
{
    struct hg_packet *p, *translated;
    struct hg_flow_key key;
    struct hg_flow *flow;
    unsigned user;

    for (user = 0; user < 2; user++) {
        struct rig r;

        rig_init(&r, 2, 0);
        p = packet(&r, "udp 10.0.0.5:40000 > 203.0.113.9:53");
        translated = packet(&r, "udp 198.51.100.1:1024 > 203.0.113.9:53");
        flow = hg_flow_create(r.keeper[!user], p);
        hg_flow_keep(r.keeper[!user], flow, r.now + HG_MINUTE);
        REQUIRE(hg_flow_create(r.keeper[user], p) == flow);
        REQUIRE(hg_flow_key_of(translated, &key));
        CHECK(hg_flow_add_key(r.keeper[user], flow, &key, r.now));
        CHECK(hg_flow_create(r.keeper[user], p) == flow);
        hg_flow_keep(r.keeper[user], flow, r.now + HG_MINUTE);
        CHECK(!hg_flow_find(r.keeper[user], translated));
        CHECK(hg_flow_create(r.keeper[user], translated) != flow);
        hg_packet_free(p);
        hg_packet_free(translated);
        rig_uninit(&r);
    }
}

TEST(two_live_flows_cannot_have_one_key)
{
    struct rig r;
    struct hg_flow *a, *b;
    struct hg_flow_key key;
    struct hg_packet *p;

    rig_init(&r, 1, 0);
    a = open_flow(&r, 1, HG_SEC);
    b = open_flow(&r, 2, 2 * HG_SEC);
    p = packet(&r, "udp 198.51.100.1:1024 > 203.0.113.9:53");
    REQUIRE(hg_flow_key_of(p, &key));
    CHECK(hg_flow_add_key(r.keeper[0], a, &key, r.now));
    CHECK(hg_flow_add_key(r.keeper[0], a, &key, r.now));
    CHECK(!hg_flow_add_key(r.keeper[0], b, &key, r.now));
    CHECK(hg_flow_add_key(r.keeper[0], b, &key, r.now + HG_SEC));
    p->time_ns = r.now + HG_SEC;
    CHECK(hg_flow_find(r.keeper[0], p) == b);
    hg_packet_free(p);
    rig_uninit(&r);
}

/* ---- Remembered verdicts ---------------------------------------------- */

struct verdict_case {
    const char *name;
    const char *first; /* Its flow is made, and remembers. */
    const char *then;
    uint16_t first_port;
    uint16_t then_port;
    bool remembered;
};

static bool
remembers(void *self, struct hg_packet *p, uint32_t value)
{
    const uint32_t *v = hg_flow_verdict(self, p);

    return v && *v == value;
}

TEST(a_flow_remembers_a_verdict_for_each_direction_and_input)
{
#define GO "udp 10.0.0.1:1 > 10.0.0.2:2"
#define BACK "udp 10.0.0.2:2 > 10.0.0.1:1"
#define PING "icmp 10.0.0.1 > 10.0.0.2 echo 7 seq 1"
#define PIECE "udp 10.0.0.1:1 > 10.0.0.2:2 len 16 frag 0+ id 7"
    static const struct verdict_case cases[] = {
        {"the same", GO, GO, 0, 0, true},
        {"another input", GO, GO, 0, 1, false},
        {"the same other input", GO, GO, 1, 1, true},
        {"the other direction", GO, BACK, 0, 0, false},
        {"IPv6", "tcp [fd00::2]:1 > [fd00::1]:2 S",
         "tcp [fd00::2]:1 > [fd00::1]:2 S", 0, 0, true},
        {"ICMP", PING, PING, 0, 0, false},
        {"a fragment", PIECE, PIECE, 0, 0, false},
        {"a fragment of a known flow", GO, PIECE, 0, 0, false},
        {"another flow", GO, "udp 10.0.0.1:1 > 10.0.0.2:3", 0, 0, false},
    };
    size_t i;

    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct verdict_case *c = &cases[i];
        struct hg_packet *first, *then;
        const uint32_t verdict = 7;
        struct hg_flow *flow;
        struct rig r;

        rig_init(&r, 1, 0);
        first = packet(&r, c->first);
        then = packet(&r, c->then);
        first->in_port = c->first_port;
        then->in_port = c->then_port;
        hg_flow_remember(r.judge, first, &verdict);
        CHECK(!hg_flow_verdict(r.judge, first)); /* No flow is known. */
        flow = hg_flow_create(r.keeper[0], first);
        REQUIRE(flow);
        hg_flow_keep(r.keeper[0], flow, r.now + HG_SEC);
        CHECK(!hg_flow_verdict(r.judge, first));
        hg_flow_remember(r.judge, first, &verdict);
        CHECK(!hg_flow_verdict(r.judge, then));
        hg_flow_find(r.keeper[0], then);
        if (!CHECK_EQ(remembers(r.judge, then, 7), c->remembered))
            FAIL("%s", c->name);
        hg_packet_free(first);
        hg_packet_free(then);
        rig_uninit(&r);
    }
}

TEST(only_elements_of_several_inputs_look_at_where_a_packet_came_in)
{
    const uint32_t seven = 7, eight = 8, nine = 9;
    struct hg_packet *go, *back;
    struct hg_flow *flow;
    struct rig r;

    rig_init(&r, 1, 0);
    go = packet(&r, GO);
    flow = hg_flow_create(r.keeper[0], go);
    REQUIRE(flow);
    hg_flow_keep(r.keeper[0], flow, r.now + HG_SEC);
    back = packet(&r, BACK);
    hg_flow_find(r.keeper[0], back);
    hg_flow_remember(r.judge, go, &seven);
    hg_flow_remember(r.judge, back, &eight);
    go->in_port = 3; /* Of an element that was there before. */
    hg_flow_remember(r.narrow, go, &nine);
    CHECK(remembers(r.narrow, go, 9));
    CHECK(!hg_flow_verdict(r.judge, go));
    go->in_port = 0;
    CHECK(remembers(r.narrow, go, 9));
    CHECK(remembers(r.judge, go, 7));
    CHECK(remembers(r.judge, back, 8));
    hg_packet_free(go);
    hg_packet_free(back);
    rig_uninit(&r);
}

/* GO, translated by the keeper, which sees 'source' in place of port 1. */
static struct hg_packet *
translated(struct rig *r, struct hg_flow *flow, uint16_t source)
{
    struct hg_packet *p = packet(r, GO);
    uint32_t before;

    CHECK(hg_flow_find(r->keeper[0], p) == flow);
    before = p->flow_generation;
    hg_packet_set_sport(p, source);
    CHECK(!hg_flow_verdict(r->judge, p));
    hg_flow_translated(p, before);
    return p;
}

static void
translate(struct rig *r, struct hg_flow *flow, uint16_t source)
{
    const struct hg_flow_key key = {.src = hg_addr_from_ip4(0x0a000001),
                                    .dst = hg_addr_from_ip4(0x0a000002),
                                    .sport = source,
                                    .dport = 2,
                                    .protocol = HG_PROTO_UDP};

    REQUIRE(hg_flow_add_key(r->keeper[0], flow, &key, r->now));
}

TEST(a_translated_packet_has_verdicts_of_its_own)
{
    const uint32_t seven = 7, eight = 8, nine = 9;
    struct hg_packet *go, *out, *late, *back;
    struct hg_flow *flow;
    uint32_t before;
    struct rig r;

    rig_init(&r, 1, 0);
    go = packet(&r, GO);
    flow = hg_flow_create(r.keeper[0], go);
    REQUIRE(flow);
    hg_flow_keep(r.keeper[0], flow, r.now + HG_SEC);
    translate(&r, flow, 99);
    out = translated(&r, flow, 99);
    hg_flow_remember(r.judge, go, &seven);
    CHECK(remembers(r.judge, go, 7));
    CHECK(!hg_flow_verdict(r.judge, out));
    hg_flow_remember(r.judge, out, &eight);
    CHECK(remembers(r.judge, out, 8));
    CHECK(!hg_flow_verdict(r.judge, go)); /* There is room for one. */

    back = packet(&r, "udp 10.0.0.2:2 > 10.0.0.1:99");
    CHECK(hg_flow_find(r.keeper[0], back) == flow);
    CHECK(!hg_flow_verdict(r.judge, back));
    hg_flow_remember(r.judge, back, &nine);
    CHECK(remembers(r.judge, back, 9));
    before = back->flow_generation;
    hg_packet_set_dport(back, 1);
    hg_flow_translated(back, before);
    CHECK(!hg_flow_verdict(r.judge, back));
    CHECK(remembers(r.judge, out, 8));

    /* Another second key, while packets of the first are on their way. */
    translate(&r, flow, 100);
    late = translated(&r, flow, 100);
    CHECK(!hg_flow_verdict(r.judge, out));
    hg_flow_remember(r.judge, out, &eight);
    CHECK(!hg_flow_verdict(r.judge, late));
    hg_packet_free(go);
    hg_packet_free(out);
    hg_packet_free(late);
    hg_packet_free(back);
    rig_uninit(&r);
}

TEST(a_remembered_verdict_ends_with_tables_rewriting_and_flow)
{
    const uint32_t verdict = 7;
    struct hg_packet *p;
    struct hg_flow *flow;
    struct hg_addr addr = {4, {10, 0, 0, 9}};
    struct rig r;

    rig_init(&r, 1, 1);
    p = packet(&r, "udp 10.0.0.1:1 > 10.0.0.2:2");
    flow = hg_flow_create(r.keeper[0], p);
    REQUIRE(flow);
    hg_flow_keep(r.keeper[0], flow, r.now + HG_SEC);
    hg_flow_remember(r.judge, p, &verdict);
    CHECK(remembers(r.judge, p, 7));
    hg_tables_changed(r.judge);
    CHECK(!hg_flow_verdict(r.judge, p));
    hg_flow_remember(r.judge, p, &verdict);
    CHECK(remembers(r.judge, p, 7));
    hg_packet_set_dst(p, &addr);
    CHECK(!hg_flow_verdict(r.judge, p));

    /* The record is used again, by another flow. */
    hg_packet_forget_flow(p);
    r.now = p->time_ns += 2 * HG_SEC;
    CHECK(hg_flow_create(r.keeper[0], p) == flow);
    CHECK(!hg_flow_verdict(r.judge, p));
    hg_packet_free(p);
    rig_uninit(&r);
}

/* ---- Keys of packets -------------------------------------------------- */

struct key_case {
    const char *packet;
    const char *same; /* A packet of the same direction of the same flow. */
};

TEST(an_icmp_error_leads_to_the_flow_it_quotes)
{
    static const struct key_case cases[] = {
        {"icmp 10.9.0.1 > 10.0.0.5 unreachable 1 "
         "(udp 10.0.0.5:1 > 10.0.0.9:2 len 4)",
         "udp 10.0.0.5:1 > 10.0.0.9:2"},
        {"icmp 10.9.0.1 > 10.0.0.5 unreachable 1 "
         "(tcp 10.0.0.5:1 > 10.0.0.9:2)",
         "tcp 10.0.0.5:1 > 10.0.0.9:2 S"},
        {"icmp 10.9.0.1 > 10.0.0.5 time-exceeded 0 "
         "(icmp 10.0.0.5 > 10.0.0.9 echo 7 seq 1)",
         "icmp 10.0.0.5 > 10.0.0.9 echo 7 seq 9"},
        {"icmp fd00::9 > fd00::5 unreachable 1 "
         "(udp [fd00::5]:1 > [fd00::7]:2 len 4)",
         "udp [fd00::5]:1 > [fd00::7]:2"},
    };
    struct rig r;
    size_t i;

    rig_init(&r, 1, 0);
    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct hg_packet *p = packet(&r, cases[i].packet);
        struct hg_packet *q = packet(&r, cases[i].same);
        struct hg_flow_key quoted, key;

        p->vpc = q->vpc = 3;
        CHECK(hg_flow_key_quoted(p, &quoted));
        CHECK(hg_flow_key_of(q, &key));
        if (!CHECK_EQ(compare(&quoted, &key), 1))
            FAIL("%s", cases[i].packet);
        hg_packet_free(p);
        hg_packet_free(q);
    }
    rig_uninit(&r);
}

TEST(what_is_no_error_or_quotes_too_little_leads_nowhere)
{
    static const char *const cases[] = {
        "udp 10.0.0.5:1 > 10.0.0.9:2 len 40",
        "icmp 10.0.0.5 > 10.0.0.9 echo 7 seq 1 len 56",
        "arp who-has 10.0.0.1 tell 10.0.0.2",
        ("icmp 10.9.0.1 > 10.0.0.5 unreachable 1 "
         "(ip 10.0.0.5 > 10.0.0.9 proto 17 len 16 frag 1480 id 7)"),
    };
    struct rig r;
    struct hg_packet *p;
    struct hg_flow_key key;
    uint32_t len;
    size_t i;

    rig_init(&r, 1, 0);
    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        p = packet(&r, cases[i]);
        if (!CHECK(!hg_flow_key_quoted(p, &key)))
            FAIL("%s", cases[i]);
        hg_packet_free(p);
    }
    /* Every length: what is cut before the ports end is not used. */
    p = packet(&r, "icmp 10.9.0.1 > 10.0.0.5 unreachable 1 "
                   "(udp 10.0.0.5:1 > 10.0.0.9:2 len 0)");
    for (len = p->len; len-- > 0;) {
        hg_packet_trim(p, len);
        hg_packet_parse(p);
        CHECK(!hg_flow_key_quoted(p, &key));
    }
    hg_packet_free(p);
    rig_uninit(&r);
}
