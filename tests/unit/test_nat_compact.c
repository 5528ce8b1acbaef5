/* test_nat_compact.c: what headgate/nat_compact.h promises, point by point;
 * test_nat_compact_model.c compares all of it with a plain map. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <headgate/headers.h>
#include <headgate/nat_compact.h>

#include "test.h"

#define START (UINT64_C(1700000000) * HG_SEC)
#define PUBLIC_A UINT32_C(0xc6336401) /* 198.51.100.1 */
#define PUBLIC_B UINT32_C(0xc6336402)
#define SERVER UINT32_C(0xcb007109) /* 203.0.113.9 */
#define CLIENT UINT32_C(0x0a000005) /* 10.0.0.5 */

enum { INIT = 1, ESTABLISHED = 2 };

static unsigned n_expired;

static void
count_expired(void *aux, const struct hg_nat_compact_flow *flow)
{
    (void)aux;
    (void)flow;
    n_expired++;
}

static struct hg_nat_compact_config
config(uint16_t low, uint16_t high)
{
    n_expired = 0;
    return (struct hg_nat_compact_config){.ports = {low, high},
                                          .per_destination = 55000,
                                          .max_flows = 1u << 20,
                                          .seed = 1,
                                          .expired = count_expired};
}

/* With one gateway, of 'n_external' addresses, and one tenant. */
static struct hg_nat_compact *
create(const struct hg_nat_compact_config *c, unsigned n_external)
{
    static const uint32_t external[] = {PUBLIC_A, PUBLIC_B, PUBLIC_B + 1};
    struct hg_nat_compact *t = hg_nat_compact_create(c);

    CHECK_EQ(hg_nat_compact_add_gateway(t, external, n_external), 0);
    CHECK_EQ(hg_nat_compact_add_tenant(t, 0), 0);
    return t;
}

static struct hg_nat_compact_tuple
tcp(uint32_t addr, uint16_t port, uint32_t remote, uint16_t remote_port)
{
    return (struct hg_nat_compact_tuple){.addr = addr,
                                         .remote = remote,
                                         .port = port,
                                         .remote_port = remote_port,
                                         .protocol = HG_PROTO_TCP};
}

static struct hg_nat_compact_tuple
in_of(const struct hg_nat_compact_flow *f)
{
    return tcp(f->external, f->external_port, f->remote, f->remote_port);
}

static enum hg_nat_compact_result
insert(struct hg_nat_compact *t, struct hg_nat_compact_tuple tuple,
       uint64_t now_ns, uint64_t life_ns, struct hg_nat_compact_flow *flow)
{
    struct hg_nat_compact_key key = {.tuple = tuple, .from_inside = true};

    hg_nat_compact_prepare(t, &key, 1);
    return hg_nat_compact_insert(t, &key, tuple.protocol == HG_PROTO_TCP,
                                 now_ns, now_ns + life_ns, flow);
}

static bool
find_out(struct hg_nat_compact *t, struct hg_nat_compact_tuple tuple,
         uint64_t now_ns, struct hg_nat_compact_flow *flow)
{
    return hg_nat_compact_find(t, &tuple, true, now_ns, flow);
}

static bool
find_in(struct hg_nat_compact *t, struct hg_nat_compact_tuple tuple,
        uint64_t now_ns, struct hg_nat_compact_flow *flow)
{
    return hg_nat_compact_find(t, &tuple, false, now_ns, flow);
}

TEST(a_flow_is_found_from_both_sides)
{
    struct hg_nat_compact_config c = config(1024, 65535);
    struct hg_nat_compact *t = create(&c, 2);
    struct hg_nat_compact_tuple out = tcp(CLIENT, 40000, SERVER, 443), in;
    struct hg_nat_compact_flow flow, found;

    CHECK(!find_out(t, out, START, &found));
    REQUIRE(insert(t, out, START, HG_MINUTE, &flow) == HG_NAT_COMPACT_OK);
    CHECK(flow.external == PUBLIC_A || flow.external == PUBLIC_B);
    CHECK(flow.external_port >= 1024);
    REQUIRE(find_out(t, out, START, &found));
    CHECK_EQ(found.external_port, flow.external_port);
    in = in_of(&flow);
    REQUIRE(find_in(t, in, START, &found));
    CHECK_EQ(found.inside, CLIENT);
    CHECK_EQ(found.inside_port, 40000);
    CHECK_EQ(found.state, INIT);
    in.remote_port++;
    CHECK(!find_in(t, in, START, &found));
    CHECK_EQ(insert(t, out, START, HG_MINUTE, &found), HG_NAT_COMPACT_EXISTS);
    hg_nat_compact_remove(t, &flow);
    CHECK(!find_out(t, out, START, &found));
    CHECK_EQ(hg_nat_compact_count(t), 0);
    CHECK_EQ(n_expired, 0);
    hg_nat_compact_destroy(t);
}

/* One flow by each address, as there is but one port. */
TEST(any_eight_addresses_of_a_gateway_are_told_apart)
{
    struct hg_nat_compact_config c = config(7000, 7000);
    struct hg_nat_compact *t = hg_nat_compact_create(&c);
    struct hg_nat_compact_flow flow, found;
    uint16_t gateway;
    uint32_t i;

    for (gateway = 0; gateway < 500; gateway++) {
        uint32_t external[8];

        for (i = 0; i < 8; i++)
            external[i] = PUBLIC_A + i * (gateway * gateway * 4099u + 1);
        CHECK_EQ(hg_nat_compact_add_gateway(t, external, 8), gateway);
        CHECK_EQ(hg_nat_compact_add_tenant(t, gateway), gateway);
        for (i = 0; i < 8; i++) {
            struct hg_nat_compact_tuple out =
                tcp(CLIENT + i, 40000, SERVER, 443);

            out.realm = gateway;
            REQUIRE(insert(t, out, START, HG_MINUTE, &flow) ==
                    HG_NAT_COMPACT_OK);
            out = in_of(&flow);
            out.realm = gateway;
            REQUIRE(find_in(t, out, START, &found));
            CHECK_EQ(found.inside, CLIENT + i);
            out.addr = PUBLIC_A - 1 - i;
            CHECK(!find_in(t, out, START, &found));
        }
    }
    hg_nat_compact_destroy(t);
}

/* ---- Ports ------------------------------------------------------------ */

/* Fills one destination; every port must be given once. */
static void
exhaust(uint16_t low, uint16_t high, uint32_t limit, unsigned n_external)
{
    struct hg_nat_compact_config c = config(low, high);
    uint32_t n_ports = 1u + high - low, n, i;
    bool *used = calloc(n_external, 65536);
    struct hg_nat_compact_flow flow, first = {0};
    struct hg_nat_compact *t;

    c.per_destination = limit;
    t = create(&c, n_external);
    n = (limit < n_ports ? limit : n_ports) * n_external;
    for (i = 0; i < n; i++) {
        bool *port;

        REQUIRE(
            insert(t,
                   tcp(CLIENT + i % 1000, (uint16_t)(i / 1000), SERVER, 443),
                   START, HG_HOUR, &flow) == HG_NAT_COMPACT_OK);
        REQUIRE(flow.external_port >= low && flow.external_port <= high);
        port = &used[(flow.external - PUBLIC_A) * 65536 + flow.external_port];
        REQUIRE(!*port);
        *port = true;
        first = i ? first : flow;
    }
    CHECK_EQ(insert(t, tcp(1, 1, SERVER, 443), START, HG_HOUR, &flow),
             HG_NAT_COMPACT_NO_PORT);
    CHECK_EQ(insert(t, tcp(1, 1, SERVER, 80), START, HG_HOUR, &flow),
             HG_NAT_COMPACT_OK);
    CHECK_EQ(insert(t, tcp(1, 1, SERVER + 1, 443), START, HG_HOUR, &flow),
             HG_NAT_COMPACT_OK);
    REQUIRE(find_in(t, in_of(&first), START, &first));
    hg_nat_compact_remove(t, &first);
    CHECK_EQ(insert(t, tcp(1, 1, SERVER, 443), START, HG_HOUR, &flow),
             HG_NAT_COMPACT_OK);
    CHECK_EQ(flow.external, first.external);
    CHECK_EQ(flow.external_port, first.external_port);
    CHECK_EQ(insert(t, tcp(2, 1, SERVER, 443), START, HG_HOUR, &flow),
             HG_NAT_COMPACT_NO_PORT);
    hg_nat_compact_destroy(t);
    free(used);
}

TEST(flows_to_one_destination_never_share_a_port_and_use_them_all)
{
    static const struct {
        uint16_t low, high;
        uint32_t limit;
        unsigned n_external;
    } rows[] = {{7777, 7777, 55000, 1},  {65535, 65535, 1, 3},
                {2001, 2003, 55000, 2},  {2002, 2103, 55000, 3},
                {0, 65535, 65536, 1},    {1024, 65535, 55000, 2},
                {1025, 41027, 40001, 1}, {3, 1000, 997, 3}};
    size_t i;

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        exhaust(rows[i].low, rows[i].high, rows[i].limit, rows[i].n_external);
}

TEST(the_limit_for_a_destination_is_exact_and_ends_with_the_flows)
{
    struct hg_nat_compact_config c = config(1024, 65535);
    struct hg_nat_compact_flow flow, first = {0}, last = {0};
    struct hg_nat_compact *t;
    uint16_t i;

    c.per_destination = 10;
    t = create(&c, 1);
    for (i = 0; i < 10; i++) {
        REQUIRE(insert(t, tcp(CLIENT, i, SERVER, 443), START,
                       HG_MINUTE + i * HG_SEC, &flow) == HG_NAT_COMPACT_OK);
        first = i ? first : flow;
    }
    CHECK_EQ(insert(t, tcp(CLIENT, 99, SERVER, 443), START, HG_HOUR, &flow),
             HG_NAT_COMPACT_NO_PORT);
    CHECK_EQ(insert(t, tcp(CLIENT, 99, SERVER, 443), first.deadline_ns - 1,
                    HG_HOUR, &flow),
             HG_NAT_COMPACT_NO_PORT);
    CHECK_EQ(n_expired, 0);
    CHECK_EQ(insert(t, tcp(CLIENT, 99, SERVER, 443), first.deadline_ns,
                    HG_HOUR, &last),
             HG_NAT_COMPACT_OK);
    CHECK_EQ(n_expired, 1);
    CHECK_EQ(insert(t, tcp(CLIENT, 98, SERVER, 443), first.deadline_ns,
                    HG_HOUR, &flow),
             HG_NAT_COMPACT_NO_PORT);
    /* A deadline that is brought forward counts, too. */
    REQUIRE(find_in(t, in_of(&last), first.deadline_ns, &last));
    hg_nat_compact_update(t, &last, ESTABLISHED, first.deadline_ns + 1);
    CHECK(last.deadline_ns < first.deadline_ns + 20 * HG_MSEC);
    CHECK_EQ(insert(t, tcp(CLIENT, 98, SERVER, 443), last.deadline_ns, HG_HOUR,
                    &flow),
             HG_NAT_COMPACT_OK);
    hg_nat_compact_destroy(t);
}

TEST(an_inside_address_keeps_its_external_address)
{
    struct hg_nat_compact_config c = config(1024, 65535);
    struct hg_nat_compact *t = create(&c, 2);
    unsigned n_a = 0;
    uint32_t client;
    uint16_t i;

    for (client = CLIENT; client < CLIENT + 100; client++) {
        uint32_t external = 0;

        for (i = 0; i < 20; i++) {
            struct hg_nat_compact_flow flow;

            REQUIRE(insert(t, tcp(client, i, SERVER + i, 443), START,
                           HG_MINUTE, &flow) == HG_NAT_COMPACT_OK);
            if (external)
                CHECK_EQ(flow.external, external);
            external = flow.external;
        }
        n_a += external == PUBLIC_A;
    }
    CHECK(n_a > 25 && n_a < 75);
    hg_nat_compact_destroy(t);
}

TEST(ports_are_repeatable_under_a_seed_and_differ_with_another)
{
    struct hg_nat_compact_config c = config(1024, 65535);
    struct hg_nat_compact *t[3];
    unsigned same = 0, neighbours = 0, i;
    uint16_t last = 0;

    t[0] = create(&c, 1);
    t[1] = create(&c, 1);
    c.seed = 2;
    t[2] = create(&c, 1);
    for (i = 0; i < 1000; i++) {
        struct hg_nat_compact_flow f[3];
        unsigned k;

        for (k = 0; k < 3; k++)
            REQUIRE(insert(t[k], tcp(CLIENT, (uint16_t)i, SERVER, 443), START,
                           HG_MINUTE, &f[k]) == HG_NAT_COMPACT_OK);
        CHECK_EQ(f[0].external_port, f[1].external_port);
        same += f[0].external_port == f[2].external_port;
        neighbours += abs(f[0].external_port - last) < 10;
        last = f[0].external_port;
    }
    CHECK(same < 5);
    CHECK(neighbours < 10);
    for (i = 0; i < 3; i++)
        hg_nat_compact_destroy(t[i]);
}

/* What an inside endpoint gets towards one destination says nothing about
 * what it gets towards another (but for neighbours within a /20). */
TEST(ports_towards_two_destinations_have_nothing_in_common)
{
    struct hg_nat_compact_config c = config(1024, 65535);
    struct hg_nat_compact *t = create(&c, 1);
    static uint8_t seen[65536];
    unsigned most = 0, i;

    memset(seen, 0, sizeof(seen));
    for (i = 0; i < 20000; i++) {
        struct hg_nat_compact_flow a, b;
        uint16_t differ;

        insert(t, tcp(CLIENT + i, 4000, SERVER, 443), START, HG_HOUR, &a);
        insert(t, tcp(CLIENT + i, 4000, SERVER + 4096, 443), START, HG_HOUR,
               &b);
        differ = (uint16_t)(a.external_port - b.external_port);
        if (++seen[differ] > most)
            most = seen[differ];
    }
    CHECK(most < 12); /* Of 20,000 in 64 Ki: mean 0.3. */
    hg_nat_compact_destroy(t);
}

/* ---- Tenants and gateways --------------------------------------------- */

TEST(tenants_with_the_same_addresses_have_flows_of_their_own)
{
    static const uint32_t external[] = {PUBLIC_A};
    struct hg_nat_compact_config c = config(2000, 2009);
    struct hg_nat_compact *t = create(&c, 1);
    struct hg_nat_compact_flow flow, found;
    uint16_t tenant, i;

    /* Tenants 0 and 1 share gateway 0, tenant 2 has gateway 1, which has the
     * same address. */
    CHECK_EQ(hg_nat_compact_add_tenant(t, 0), 1);
    CHECK_EQ(hg_nat_compact_add_gateway(t, external, 1), 1);
    CHECK_EQ(hg_nat_compact_add_tenant(t, 1), 2);
    CHECK_EQ(hg_nat_compact_add_tenant(t, 2), -1);
    for (i = 0; i < 10; i++)
        for (tenant = 0; tenant < 3; tenant++) {
            struct hg_nat_compact_tuple out = tcp(CLIENT, i, SERVER, 443), in;
            bool has_port = tenant == 2 || i < 5;

            out.realm = tenant;
            CHECK(!find_out(t, out, START, &found));
            CHECK_EQ(insert(t, out, START, HG_HOUR, &flow),
                     has_port ? HG_NAT_COMPACT_OK : HG_NAT_COMPACT_NO_PORT);
            if (!has_port)
                continue;
            CHECK_EQ(flow.tenant, tenant);
            in = in_of(&flow);
            in.realm = tenant == 2;
            REQUIRE(find_in(t, in, START, &found));
            CHECK_EQ(found.tenant, tenant);
            CHECK_EQ(found.inside_port, i);
        }
    hg_nat_compact_destroy(t);
}

TEST(what_the_table_does_not_know_is_foreign)
{
    struct hg_nat_compact_config c = config(1024, 65535);
    struct hg_nat_compact *t = create(&c, 1);
    struct hg_nat_compact_tuple tuple = tcp(CLIENT, 1, SERVER, 443);
    struct hg_nat_compact_flow flow;

    tuple.realm = 1;
    CHECK_EQ(insert(t, tuple, START, HG_HOUR, &flow), HG_NAT_COMPACT_FOREIGN);
    CHECK(!find_out(t, tuple, START, &flow));
    CHECK(!find_in(t, tuple, START, &flow));
    tuple.realm = 0;
    CHECK(!find_in(t, tuple, START, &flow));
    tuple.protocol = 47;
    CHECK_EQ(insert(t, tuple, START, HG_HOUR, &flow), HG_NAT_COMPACT_FOREIGN);
    hg_nat_compact_destroy(t);
    c.per_destination = 0;
    CHECK(!hg_nat_compact_create(&c));
    c = config(2, 1);
    CHECK(!hg_nat_compact_create(&c));
    c = config(1, 2);
    c.max_flows = HG_NAT_COMPACT_FLOWS + 1;
    CHECK(!hg_nat_compact_create(&c));
}

TEST(protocols_have_flows_of_their_own)
{
    static const uint8_t protocols[] = {HG_PROTO_TCP, HG_PROTO_UDP,
                                        HG_PROTO_ICMP};
    struct hg_nat_compact_config c = config(7777, 7777);
    struct hg_nat_compact *t = create(&c, 1);
    struct hg_nat_compact_flow flow;
    unsigned i;

    for (i = 0; i < 3; i++) {
        struct hg_nat_compact_tuple tuple = tcp(CLIENT, 1, SERVER, 0);

        tuple.protocol = protocols[i];
        CHECK(!find_out(t, tuple, START, &flow));
        CHECK_EQ(insert(t, tuple, START, HG_HOUR, &flow), HG_NAT_COMPACT_OK);
        CHECK_EQ(flow.protocol, protocols[i]);
        CHECK_EQ(flow.external_port, 7777);
        tuple = in_of(&flow);
        tuple.protocol = protocols[i];
        CHECK(find_in(t, tuple, START, &flow));
        CHECK_EQ(flow.protocol, protocols[i]);
        CHECK_EQ(flow.state, i == 0);
    }
    hg_nat_compact_destroy(t);
}

/* ---- Time ------------------------------------------------------------- */

/* Odd times since an odd start, so that no tick is met by chance. */
TEST(a_flow_is_gone_at_its_deadline_which_is_as_near_as_promised)
{
    static const struct {
        uint64_t life_ns, at_most_later_ns;
    } rows[] = {{1, 17 * HG_MSEC},
                {30 * HG_SEC, 17 * HG_MSEC},
                {73 * HG_SEC, 17 * HG_MSEC},
                {74 * HG_SEC, 269 * HG_MSEC},
                {350 * HG_SEC, 269 * HG_MSEC},
                {35 * HG_MINUTE, 269 * HG_MSEC},
                {36 * HG_MINUTE, 4300 * HG_MSEC},
                {9 * HG_HOUR, 4300 * HG_MSEC},
                {10 * HG_HOUR, 69 * HG_SEC},
                {5 * HG_DAY, 69 * HG_SEC}};
    struct hg_nat_compact_tuple out = tcp(CLIENT, 1, SERVER, 443);
    size_t i;

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct hg_nat_compact_config c = config(1024, 65535);
        struct hg_nat_compact *t = create(&c, 1);
        uint64_t now = START + 123456789123 * (i + 1);
        struct hg_nat_compact_flow flow, found;

        insert(t, out, now, rows[i].life_ns, &flow);
        CHECK(flow.deadline_ns >= now + rows[i].life_ns);
        CHECK(flow.deadline_ns - now - rows[i].life_ns <=
              rows[i].at_most_later_ns);
        REQUIRE(find_out(t, out, flow.deadline_ns - 1, &found));
        CHECK_EQ(found.deadline_ns, flow.deadline_ns);
        CHECK_EQ(n_expired, 0);
        CHECK(!find_out(t, out, flow.deadline_ns, &found));
        CHECK_EQ(n_expired, 1);
        CHECK_EQ(hg_nat_compact_count(t), 0);
        hg_nat_compact_destroy(t);
    }
}

TEST(a_deadline_beyond_the_horizon_is_brought_forward_to_it)
{
    struct hg_nat_compact_config c = config(1024, 65535);
    struct hg_nat_compact *t = create(&c, 1);
    struct hg_nat_compact_tuple out = tcp(CLIENT, 1, SERVER, 443);
    struct hg_nat_compact_flow flow;

    insert(t, out, START, 30 * HG_DAY, &flow);
    CHECK(flow.deadline_ns >= START + HG_NAT_COMPACT_HORIZON_NS);
    CHECK(flow.deadline_ns <= START + HG_NAT_COMPACT_HORIZON_NS + 69 * HG_SEC);
    hg_nat_compact_update(t, &flow, ESTABLISHED, HG_NEVER);
    CHECK(flow.deadline_ns <= START + HG_NAT_COMPACT_HORIZON_NS + 69 * HG_SEC);
    CHECK(find_out(t, out, flow.deadline_ns - 1, &flow));
    hg_nat_compact_destroy(t);
}

TEST(a_jump_of_the_clock_ends_what_is_due_and_nothing_else)
{
    static const uint64_t jumps[] = {
        HG_MINUTE,  137 * HG_SEC, HG_HOUR,     6 * HG_HOUR,  HG_DAY,
        6 * HG_DAY, 10 * HG_DAY,  13 * HG_DAY, 100 * HG_DAY, 3650 * HG_DAY};
    static const uint64_t lives[] = {HG_SEC,         30 * HG_SEC, 350 * HG_SEC,
                                     30 * HG_MINUTE, 2 * HG_HOUR, 9 * HG_HOUR,
                                     3 * HG_DAY,     6 * HG_DAY};
    struct hg_nat_compact_config c = config(1024, 65535);
    uint16_t i, k;

    for (i = 0; i < sizeof(jumps) / sizeof(jumps[0]); i++) {
        struct hg_nat_compact *t = create(&c, 1);
        struct hg_nat_compact_flow flow;
        uint64_t now = START, deadline_ns[8];

        for (k = 0; k < 8; k++) {
            insert(t, tcp(CLIENT, k, SERVER, 443), now, lives[k], &flow);
            deadline_ns[k] = flow.deadline_ns;
        }
        now += jumps[i];
        /* Some are met first by an insertion, some by a lookup. */
        insert(t, tcp(CLIENT + 1, 1, SERVER, 443), now, HG_SEC, &flow);
        for (k = 0; k < 8; k++)
            CHECK_EQ(find_out(t, tcp(CLIENT, k, SERVER, 443), now, &flow),
                     now < deadline_ns[k]);
        hg_nat_compact_destroy(t);
    }
}

/* Tags of epochs come round again. */
TEST(flows_live_on_through_any_number_of_epochs)
{
    struct hg_nat_compact_config c = config(1024, 65535);
    struct hg_nat_compact *t = create(&c, 1);
    struct hg_nat_compact_tuple kept = tcp(CLIENT, 1, SERVER, 443);
    struct hg_nat_compact_flow flow, quiet;
    uint64_t now = START;
    unsigned i;

    insert(t, kept, now, HG_HOUR, &flow);
    insert(t, tcp(CLIENT, 2, SERVER, 443), now, HG_NAT_COMPACT_HORIZON_NS,
           &quiet);
    for (i = 0; i < 20000; i++) {
        now += 33 * HG_SEC;
        REQUIRE(find_out(t, kept, now, &flow));
        hg_nat_compact_update(t, &flow, ESTABLISHED, now + HG_HOUR);
        if (i % 100 == 0)
            CHECK_EQ(find_out(t, tcp(CLIENT, 2, SERVER, 443), now, &flow),
                     now < quiet.deadline_ns);
    }
    CHECK_EQ(hg_nat_compact_count(t), 1);
    CHECK_EQ(n_expired, 1);
    hg_nat_compact_destroy(t);
}

TEST(time_that_goes_back_stands_still)
{
    struct hg_nat_compact_config c = config(1024, 65535);
    struct hg_nat_compact *t = create(&c, 1);
    struct hg_nat_compact_tuple out = tcp(CLIENT, 1, SERVER, 443);
    struct hg_nat_compact_flow flow;

    hg_nat_compact_sweep(t, START + HG_HOUR, 1);
    insert(t, out, START, HG_HOUR + HG_SEC, &flow);
    CHECK(find_out(t, out, START, &flow));
    CHECK(find_out(t, out, START + HG_HOUR + HG_SEC - 1, &flow));
    CHECK(!find_out(t, out, START + HG_HOUR + 2 * HG_SEC, &flow));
    hg_nat_compact_destroy(t);
}

TEST(the_hand_takes_out_what_nobody_looks_at)
{
    struct hg_nat_compact_config c = config(1024, 65535);
    struct hg_nat_compact *t = create(&c, 1);
    struct hg_nat_compact_stats s;
    struct hg_nat_compact_flow flow;
    uint16_t i;

    for (i = 0; i < 10000; i++)
        insert(t, tcp(CLIENT, i, SERVER + i, 443), START, HG_MINUTE, &flow);
    hg_nat_compact_get_stats(t, &s);
    hg_nat_compact_sweep(t, START + HG_MINUTE - 1, UINT64_MAX);
    CHECK_EQ(hg_nat_compact_count(t), 10000);
    hg_nat_compact_sweep(t, START + 2 * HG_MINUTE, s.buckets / 2);
    CHECK(hg_nat_compact_count(t) > 4500 && hg_nat_compact_count(t) < 5500);
    hg_nat_compact_sweep(t, START + 2 * HG_MINUTE, s.buckets - 1);
    CHECK_EQ(hg_nat_compact_count(t), 0);
    CHECK_EQ(n_expired, 10000);
    hg_nat_compact_destroy(t);
}

TEST(the_hand_takes_out_what_has_its_place_elsewhere)
{
    struct hg_nat_compact_config c = config(1024, 65535);
    struct hg_nat_compact *t = create(&c, 1);
    struct hg_nat_compact_flow flow = {.inside = CLIENT,
                                       .external = PUBLIC_A,
                                       .remote = SERVER,
                                       .inside_port = 1,
                                       .external_port = 20000,
                                       .remote_port = 443,
                                       .protocol = HG_PROTO_TCP,
                                       .deadline_ns = START + HG_MINUTE};
    struct hg_nat_compact_stats s;

    CHECK_EQ(hg_nat_compact_install(t, &flow, START), HG_NAT_COMPACT_OK);
    hg_nat_compact_get_stats(t, &s);
    CHECK_EQ(s.elsewhere, 1);
    hg_nat_compact_sweep(t, START + 2 * HG_MINUTE, UINT64_MAX);
    CHECK_EQ(hg_nat_compact_count(t), 0);
    hg_nat_compact_destroy(t);
}

/* ---- Size ------------------------------------------------------------- */

TEST(a_table_starts_small_and_stays_within_24_bytes_a_flow)
{
    struct hg_nat_compact_config c = config(1024, 65535);
    struct hg_nat_compact *t;
    struct hg_nat_compact_stats s;
    struct hg_nat_compact_flow flow;
    uint32_t i;

    c.max_flows = 1u << 30;
    t = create(&c, 1);
    hg_nat_compact_get_stats(t, &s);
    CHECK(s.bytes < 7u << 20);
    for (i = 0; i < 400000; i++) {
        REQUIRE(insert(t, tcp(CLIENT + i, 1, SERVER + i / 16, 443), START,
                       HG_HOUR, &flow) == HG_NAT_COMPACT_OK);
        hg_nat_compact_get_stats(t, &s);
        if (i > 250000 && (i & 1023) == 0) /* And two huge pages. */
            CHECK(s.bytes < i * 24 + (4u << 20));
    }
    hg_nat_compact_destroy(t);
}

TEST(a_full_table_refuses_and_pushes_nothing_out)
{
    struct hg_nat_compact_config c = config(1024, 65535);
    struct hg_nat_compact *t;
    struct hg_nat_compact_flow flow;
    uint16_t i;

    c.max_flows = 100;
    t = create(&c, 1);
    for (i = 0; i < 100; i++)
        CHECK_EQ(
            insert(t, tcp(CLIENT, i, SERVER, 443), START, HG_MINUTE, &flow),
            HG_NAT_COMPACT_OK);
    CHECK_EQ(insert(t, tcp(CLIENT, 100, SERVER, 443), START, HG_MINUTE, &flow),
             HG_NAT_COMPACT_FULL);
    for (i = 0; i < 100; i++)
        CHECK(find_out(t, tcp(CLIENT, i, SERVER, 443), START, &flow));
    hg_nat_compact_remove(t, &flow);
    CHECK_EQ(insert(t, tcp(CLIENT, 100, SERVER, 443), START, HG_MINUTE, &flow),
             HG_NAT_COMPACT_OK);
    hg_nat_compact_destroy(t);
}

TEST(prepared_keys_stay_good_while_the_table_grows)
{
    struct hg_nat_compact_config c = config(1024, 65535);
    struct hg_nat_compact *t = create(&c, 2);
    static struct hg_nat_compact_key key[300];
    struct hg_nat_compact_flow flow;
    uint32_t i;

    memset(key, 0, sizeof(key));
    for (i = 0; i < 200; i++) {
        key[i].tuple = tcp(CLIENT, (uint16_t)i, SERVER + i, 443);
        key[i].from_inside = true;
        insert(t, key[i].tuple, START, HG_HOUR, &flow);
        if (i >= 100) {
            key[i].tuple = in_of(&flow);
            key[i].from_inside = false;
        }
    }
    for (; i < 300; i++) {
        key[i].tuple = tcp(CLIENT, (uint16_t)i, SERVER + i, 443);
        key[i].from_inside = true;
    }
    hg_nat_compact_prepare(t, key, 300);
    for (i = 0; i < 300000; i++)
        insert(t, tcp(CLIENT + 1 + i, 1, SERVER + i / 4, 443), START, HG_HOUR,
               &flow);
    for (i = 0; i < 300; i++) {
        CHECK_EQ(hg_nat_compact_lookup(t, &key[i], START, &flow), i < 200);
        if (i < 200)
            CHECK_EQ(flow.inside_port, i);
        else
            CHECK_EQ(hg_nat_compact_insert(t, &key[i], INIT, START,
                                           START + HG_HOUR, &flow),
                     HG_NAT_COMPACT_OK);
    }
    hg_nat_compact_destroy(t);
}

/* ---- Reload ----------------------------------------------------------- */

/* All of one table into another; returns how many found no place there. */
static uint64_t
reload(uint64_t seed, uint16_t low, uint16_t high)
{
    struct hg_nat_compact_config c = config(1024, 65535);
    struct hg_nat_compact *old = create(&c, 2), *new;
    struct hg_nat_compact_flow flow, found;
    struct hg_nat_compact_stats s;
    uint64_t at = 0;
    uint16_t i;

    for (i = 0; i < 20000; i++)
        insert(old, tcp(CLIENT + i % 7, i, SERVER + i % 3, 443), START,
               350 * HG_SEC, &flow);
    c.seed = seed;
    c.ports = (struct hg_port_range){low, high};
    new = create(&c, 2);
    while (hg_nat_compact_next(old, START, &at, &flow))
        CHECK_EQ(hg_nat_compact_install(new, &flow, START), HG_NAT_COMPACT_OK);
    for (i = 0; i < 20000; i++) {
        struct hg_nat_compact_tuple out =
            tcp(CLIENT + i % 7, i, SERVER + i % 3, 443);

        REQUIRE(find_out(old, out, START, &flow));
        REQUIRE(find_out(new, out, START, &found));
        CHECK_EQ(found.external, flow.external);
        CHECK_EQ(found.external_port, flow.external_port);
        CHECK_EQ(found.deadline_ns, flow.deadline_ns);
        REQUIRE(find_in(new, in_of(&flow), START, &found));
        CHECK_EQ(found.inside_port, i);
    }
    CHECK_EQ(hg_nat_compact_install(new, &flow, START), HG_NAT_COMPACT_EXISTS);
    flow.inside++;
    flow.inside_port = 60000;
    CHECK_EQ(hg_nat_compact_install(new, &flow, START), HG_NAT_COMPACT_TAKEN);
    flow.external = 7;
    CHECK_EQ(hg_nat_compact_install(new, &flow, START),
             HG_NAT_COMPACT_FOREIGN);
    hg_nat_compact_get_stats(new, &s);
    /* New flows get none of the ports that installed ones have. */
    for (i = 0; i < 20000; i++)
        CHECK_EQ(insert(new, tcp(CLIENT + 9, i, SERVER, 443), START,
                        350 * HG_SEC, &flow),
                 HG_NAT_COMPACT_OK);
    hg_nat_compact_destroy(old);
    hg_nat_compact_destroy(new);
    return s.elsewhere;
}

TEST(a_walk_and_install_make_the_same_table)
{
    CHECK(reload(1, 1024, 65535) < 20); /* The same seed: all have places. */
    CHECK(reload(2, 1024, 65535) > 15000);
    CHECK(reload(1, 30001, 55012) > 15000);
}

/* Sanitizers have memory of their own to touch. */
#ifndef HEADGATE_SANITIZED

/* Page faults of a thread (RUSAGE_THREAD) or all (RUSAGE_SELF). */
static long
n_faults(int who)
{
    struct rusage usage;

    getrusage(who, &usage);
    return usage.ru_minflt;
}

static bool
has_huge_pages(void)
{
    FILE *in = fopen("/sys/kernel/mm/transparent_hugepage/enabled", "r");
    char line[80] = "[never]";

    if (in && !fgets(line, sizeof(line), in))
        line[0] = '\0';
    if (in)
        fclose(in);
    return !strstr(line, "[never]");
}

/* 28 MiB: 14 huge pages or 7,000 small ones. */
TEST(whoever_adds_flows_does_not_wait_for_the_memory_of_a_growing_table)
{
    struct hg_nat_compact_config c = config(1024, 65535);
    struct hg_nat_compact *t;
    struct hg_nat_compact_flow flow;
    long own = 0, all = 0;
    uint32_t i;

    c.max_flows = 1u << 22;
    t = create(&c, 3);
    for (i = 0; i < 1500000; i++) {
        if (i == 250000) {
            own = n_faults(RUSAGE_THREAD);
            all = n_faults(RUSAGE_SELF);
        }
        REQUIRE(insert(t, tcp(CLIENT + i / 64, (uint16_t)i, SERVER + i, 443),
                       START, 350 * HG_SEC, &flow) == HG_NAT_COMPACT_OK);
    }
    CHECK(n_faults(RUSAGE_THREAD) - own < 8);
    if (has_huge_pages())
        CHECK(n_faults(RUSAGE_SELF) - all < 3000);
    hg_nat_compact_destroy(t);
}
#endif
