/* test_flow_full.c: the flow service when it is full, and with many
 * flows. */
#include "flow_rig.h"

/* ---- When it is full -------------------------------------------------- */

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

/* Whatever the packet before, or an interest that was never kept, left. */
TEST(a_record_that_is_used_anew_begins_with_nothing)
{
    static const char *const texts[] = {"udp 10.0.0.1:1 > 10.0.0.2:53",
                                        "udp 10.0.0.1:2 > 10.0.0.2:53"};
    struct hg_flow *flow[2];
    struct rig r;
    unsigned i;

    rig_init(&r, 2, 1);
    for (i = 0; i < 2; i++) {
        struct hg_packet *p = packet(&r, texts[i]);
        uint64_t *word;
        void *state;

        p->flags |= HG_PACKET_REPLY;
        flow[i] = hg_flow_create_state(r.keeper[0], p, &state);
        REQUIRE(flow[i]);
        word = state;
        CHECK_EQ(word[0] | word[1], 0);
        CHECK(!(p->flags & HG_PACKET_REPLY));
        word[0] = word[1] = UINT64_MAX;
        hg_packet_free(p);
    }
    CHECK(flow[0] == flow[1]);
    CHECK_EQ(stats(&r).flows, 1);
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
