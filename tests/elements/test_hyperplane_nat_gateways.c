/* test_hyperplane_nat_gateways.c: several gateways in one HyperplaneNAT,
 * private ones, their ports and metrics; what is too big; the flow service
 * under it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <headgate/flow.h>

#include "harness.h"
#include "nat_table.h"
#include "notation.h"

#define S (HG_SEC)

/* A NAT with these options between two sources and two sinks. */
#define GRAPH(options)                                                        \
    "TestSource inside {} TestSource outside {}\n"                            \
    "TestSink to-inside {} TestSink to-outside {}\n"                          \
    "HyperplaneNAT dut { " options " }\n"                                     \
    "connect(\"inside -> [inside]dut[outside] -> to-outside\")\n"             \
    "connect(\"outside -> [outside]dut[inside] -> to-inside\")\n"
#define LOAD(options) NAT_LOAD(GRAPH, options)

/* A packet of a VPC and with a mark. */
static void
push(struct bench *b, const char *in, const char *text, uint32_t vpc,
     uint16_t mark, uint64_t time_ns)
{
    struct hg_error error;
    struct hg_packet *p = notation_parse(bench_pool(b), text, &error);

    REQUIRE(p != NULL);
    p->vpc = vpc;
    p->mark = mark;
    bench_push_packet(b, in, p, time_ns);
}

static const char ask[] = "udp 10.0.0.5:4000 > 203.0.113.9:53";

TEST(the_same_address_in_two_vpcs_goes_out_by_two_gateways_and_comes_back)
{
    struct bench *b = LOAD("ports = 7000\n"
                           "gateway a { vpc = 1 public = 198.51.100.1 }\n"
                           "gateway b { vpc = 2 public = 198.51.100.2 }");

    push(b, "inside", ask, 1, 0, 0);
    bench_expect(b, "to-outside", "udp 198.51.100.1:7000 > 203.0.113.9:53");
    push(b, "inside", ask, 2, 0, 0);
    bench_expect(b, "to-outside", "udp 198.51.100.2:7000 > 203.0.113.9:53");
    push(b, "outside", "udp 203.0.113.9:53 > 198.51.100.2:7000", 0, 0, S);
    bench_expect(b, "to-inside", "udp 203.0.113.9:53 > 10.0.0.5:4000 vpc 2");
    push(b, "outside", "udp 203.0.113.9:53 > 198.51.100.1:7000", 0, 0, S);
    bench_expect(b, "to-inside", "udp 203.0.113.9:53 > 10.0.0.5:4000 vpc 1");
    push(b, "outside",
         "icmp 192.0.2.1 > 198.51.100.2 unreachable 3 "
         "(udp 198.51.100.2:7000 > 203.0.113.9:53 ttl 9)",
         0, 0, S);
    bench_expect(b, "to-inside",
                 "icmp 192.0.2.1 > 10.0.0.5 unreachable 3 vpc 2 "
                 "(udp 10.0.0.5:4000 > 203.0.113.9:53 ttl 9)");
    push(b, "inside", ask, 3, 0, S);
    CHECK_EQ(bench_counter(b, "not_inside"), 1);
    bench_destroy(b);
}

TEST(one_gateway_for_all_vpcs_sends_replies_to_the_vpc_they_are_for)
{
    struct bench *b = LOAD("public = 198.51.100.1 ports = 7000-7001");
    struct hg_packet *p;
    uint16_t port;

    push(b, "inside", ask, 5, 0, 0);
    p = bench_take(b, "to-outside");
    REQUIRE(p != NULL);
    port = hg_packet_sport(p);
    push(b, "inside", ask, 6, 0, 0);
    p = bench_take(b, "to-outside");
    REQUIRE(p != NULL);
    CHECK_EQ(hg_packet_sport(p), 14001u - port);
    push(b, "outside",
         port == 7000 ? "udp 203.0.113.9:53 > 198.51.100.1:7000"
                      : "udp 203.0.113.9:53 > 198.51.100.1:7001",
         0, 0, S);
    bench_expect(b, "to-inside", "udp 203.0.113.9:53 > 10.0.0.5:4000 vpc 5");
    push(b, "outside",
         port == 7000 ? "udp 203.0.113.9:53 > 198.51.100.1:7001"
                      : "udp 203.0.113.9:53 > 198.51.100.1:7000",
         9, 0, S);
    bench_expect(b, "to-inside", "udp 203.0.113.9:53 > 10.0.0.5:4000 vpc 6");
    bench_destroy(b);
}

/* So each worker gives a host the same address, whatever came to it before. */
TEST(which_address_a_host_gets_does_not_depend_on_the_order_of_vpcs)
{
    uint8_t address[2][32];
    unsigned way, i;

    for (way = 0; way < 2; way++) {
        struct bench *b = LOAD("public = { 198.51.100.1, 198.51.100.2 }");

        for (i = 0; i < 32; i++) {
            unsigned vpc = way ? 31 - i : i;
            struct hg_packet *p;

            push(b, "inside", ask, vpc, 0, 0);
            p = bench_take(b, "to-outside");
            REQUIRE(p != NULL);
            address[way][vpc] = hg_packet_src(p).byte[3];
        }
        bench_destroy(b);
    }
    for (i = 0; i < 32; i++)
        CHECK_EQ(address[1][i], address[0][i]);
}

/* Flow 'flow' of host i goes out; returns by which address. */
static unsigned
address_of(struct bench *b, unsigned i, unsigned flow, uint64_t time_ns)
{
    const struct hg_packet *p;
    char text[64];

    snprintf(text, sizeof(text), "udp 10.0.0.%u:%u > 203.0.113.9:53", i, flow);
    push(b, "inside", text, 0, 0, time_ns);
    p = bench_take(b, "to-outside");
    REQUIRE(p != NULL);
    return hg_packet_src(p).byte[3];
}

TEST(a_flow_that_ran_out_begins_anew_with_the_address_of_its_host)
{
    struct bench *b = LOAD("public = { 198.51.100.1, 198.51.100.2 }");
    unsigned address[16], i;

    for (i = 0; i < 16; i++)
        address[i] = address_of(b, i, 1, i * HG_MSEC);
    for (i = 0; i < 16; i++) {
        uint64_t end_ns = 350 * S + i * HG_MSEC;

        CHECK_EQ(address_of(b, 15 - i, 2, end_ns), address[15 - i]);
        CHECK_EQ(address_of(b, i, 1, end_ns), address[i]);
    }
    bench_destroy(b);
}

TEST(a_gateway_is_chosen_by_vpc_then_mark_then_prefix)
{
    static const struct {
        const char *packet;
        uint32_t vpc;
        uint16_t mark;
        const char *out; /* NULL: for no gateway. */
    } rows[] = {
        {"udp 10.0.0.5:1 > 203.0.113.9:53", 1, 0, "udp 198.51.100.1:* > *"},
        {"udp 10.0.0.6:1 > 203.0.113.9:53", 1, 9, "udp 198.51.100.2:* > *"},
        {"udp 10.0.1.7:1 > 203.0.113.9:53", 4, 0, "udp 198.51.100.3:* > *"},
        {"udp 10.0.1.8:1 > 203.0.113.9:53", 1, 0, "udp 198.51.100.1:* > *"},
        {"udp 10.0.2.5:1 > 203.0.113.9:53", 4, 0, NULL},
    };
    struct bench *b = LOAD(
        "gateway prefix { public = 198.51.100.3 inside = 10.0.1.0/24 }\n"
        "gateway marked { vpc = 1 mark = { 7, 9 } public = 198.51.100.2 }\n"
        "gateway other { vpc = 1 public = 198.51.100.1 }\n");
    unsigned n_refused = 0;
    size_t i;

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        push(b, "inside", rows[i].packet, rows[i].vpc, rows[i].mark, 0);
        n_refused += !rows[i].out;
        CHECK_EQ(bench_counter(b, "not_inside"), n_refused);
        if (rows[i].out)
            bench_expect(b, "to-outside", rows[i].out);
        bench_expect_none(b, NULL);
    }
    bench_destroy(b);
}

TEST(a_gateway_is_chosen_by_an_ipv6_prefix)
{
    struct bench *b =
        bench_load(GRAPH("gateway prefix { public = 198.51.100.3 "
                         "inside = { 10.0.1.0/24, fd00::/64 } }\n"
                         "gateway other { public = 198.51.100.1 vpc = 1 }"));

    push(b, "inside", "udp [fd00::5]:1 > [64:ff9b::cb00:7109]:53", 4, 0, 0);
    bench_expect(b, "to-outside", "udp 198.51.100.3:* > *");
    push(b, "inside", "udp [fd01::5]:1 > [64:ff9b::cb00:7109]:53", 4, 0, 0);
    bench_expect_none(b, NULL);
    CHECK_EQ(bench_counter(b, "not_inside"), 1);
    bench_destroy(b);
}

TEST(the_compact_table_drops_ipv6_and_refuses_to_import_it)
{
    static const char six[] =
        "{\"proto\":\"udp\",\"inside\":{\"addr\":\"fd00::5\",\"port\":4},"
        "\"external\":{\"addr\":\"198.51.100.1\",\"port\":7000},"
        "\"remote\":{\"addr\":\"203.0.113.9\",\"port\":53}}";
    struct bench *b =
        bench_load(GRAPH("table = compact public = 198.51.100.1"));
    struct hg_error error = {""};

    push(b, "inside", "udp [fd00::5]:1 > [64:ff9b::cb00:7109]:53", 0, 0, 0);
    bench_expect_none(b, NULL);
    CHECK_EQ(bench_counter(b, "not_ipv4"), 1);
    CHECK(!hg_element_write(hg_graph_find(bench_graph(b), "dut"), "import",
                            six, &error));
    CHECK(strstr(error.text, "'table = compact' has no flows from IPv6"));
    bench_destroy(b);
}

TEST(pairs_of_vpc_and_gateway_beyond_4096_are_refused_by_the_compact_table)
{
    struct bench *b =
        bench_load(GRAPH("table = compact public = 198.51.100.1"));
    unsigned vpc;

    for (vpc = 1; vpc <= 4097; vpc++)
        push(b, "inside", ask, vpc, 0, 0);
    CHECK_EQ(bench_waiting(b, "to-outside"), 4096);
    CHECK_EQ(bench_counter(b, "table_full"), 1);
    bench_forget(b, NULL);
    push(b, "inside", ask, 4096, 0, 0);
    bench_expect(b, "to-outside", "udp 198.51.100.1:* > 203.0.113.9:53");
    bench_destroy(b);
}

#define OWN_INPUTS(gateways)                                                  \
    "TestSource one {} TestSource two {} TestSource outside {}\n"             \
    "TestSink to-inside {} TestSink to-outside {}\n"                          \
    "HyperplaneNAT dut { " gateways " }\n"                                    \
    "connect(\"one -> [nat-1]dut[outside] -> to-outside\")\n"                 \
    "connect(\"two -> [nat-2]dut\")\n"                                        \
    "connect(\"outside -> [outside]dut[inside] -> to-inside\")\n"

TEST(a_gateway_with_an_input_takes_what_comes_in_there)
{
    struct bench *b = NAT_LOAD(
        OWN_INPUTS, "ports = 7000\n"
                    "gateway nat-1 { public = 198.51.100.1 input = true }\n"
                    "gateway nat-2 { public = 198.51.100.2 input = true "
                    "inside = 10.0.0.0/24 }\n");

    bench_push(b, "one", ask, 0);
    bench_expect(b, "to-outside", "udp 198.51.100.1:7000 > 203.0.113.9:53");
    /* Routed to another gateway: that one does not know the flow. */
    bench_push(b, "two", ask, S);
    bench_expect(b, "to-outside", "udp 198.51.100.2:7000 > 203.0.113.9:53");
    bench_push(b, "outside", "udp 203.0.113.9:53 > 198.51.100.1:7000", S);
    CHECK_EQ(bench_counter(b, "unknown_inbound"), 1);
    bench_push(b, "outside", "udp 203.0.113.9:53 > 198.51.100.2:7000", S);
    bench_expect(b, "to-inside", "udp 203.0.113.9:53 > 10.0.0.5:4000");
    CHECK_STR(bench_read(b, "count", ""), "1");
    bench_push(b, "two", "udp 10.9.0.5:4000 > 203.0.113.9:53", S);
    CHECK_EQ(bench_counter(b, "not_inside"), 1);
    bench_push(b, "one", "tcp 10.0.0.5:1 > 203.0.113.9:80 S", S);
    bench_forget(b, NULL);
    bench_push(b, "two", "tcp 10.0.0.5:1 > 203.0.113.9:80 .", S);
    bench_expect(b, "to-inside", "tcp 203.0.113.9:80 > 10.0.0.5:1 R");
    bench_destroy(b);
}

TEST(a_private_gateway_gives_out_its_private_address)
{
    struct bench *b = LOAD("ports = 7000\n"
                           "gateway a { vpc = 1 private = 10.0.0.220 }\n"
                           "gateway b { vpc = 2 private = 10.0.0.220 }\n");

    push(b, "inside", "tcp 10.0.0.5:4000 > 192.168.0.9:80 S", 1, 0, 0);
    bench_expect(b, "to-outside",
                 "tcp 10.0.0.220:7000 > 192.168.0.9:80 S vpc 1");
    push(b, "inside", "tcp 10.0.0.6:4000 > 192.168.0.9:80 S", 2, 0, 0);
    bench_expect(b, "to-outside",
                 "tcp 10.0.0.220:7000 > 192.168.0.9:80 S vpc 2");
    push(b, "outside", "tcp 192.168.0.9:80 > 10.0.0.220:7000 S.", 2, 0, 0);
    bench_expect(b, "to-inside", "tcp 192.168.0.9:80 > 10.0.0.6:4000 S.");
    push(b, "outside", "tcp 192.168.0.9:80 > 10.0.0.220:7000 S.", 1, 0, 0);
    bench_expect(b, "to-inside", "tcp 192.168.0.9:80 > 10.0.0.5:4000 S.");
    push(b, "outside", "tcp 192.168.0.9:80 > 10.0.0.220:7000 S.", 3, 0, 0);
    CHECK_EQ(bench_counter(b, "wrong_destination"), 1);
    push(b, "inside", "icmp 10.0.0.5 > 10.0.0.220 echo 1 seq 1", 1, 0, 0);
    CHECK_EQ(bench_counter(b, "hairpin"), 1);
    bench_destroy(b);
}

TEST(gateways_that_cannot_be_told_apart_are_refused)
{
    static const struct {
        const char *gateways, *why;
    } rows[] = {
        {"gateway a { public = 192.0.2.1 } gateway b { public = 192.0.2.1 }",
         "*gateways 'a' and 'b' have the same address 192.0.2.1*"},
        {"gateway a { private = 10.0.0.2 vpc = 7 } "
         "gateway b { private = 10.0.0.2 vpc = 7 }",
         "*gateways 'a' and 'b' have the same address 10.0.0.2*"},
    };
    size_t i;

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        nat_refuses(rows[i].gateways, rows[i].why);
}

/* ---- Limits ----------------------------------------------------------- */

TEST(the_last_free_port_is_found_and_no_port_is_given_twice)
{
    enum { N = 1000 };
    struct bench *b =
        NAT_CREATE("public=198.51.100.1", "ports=2000-2999", "too-big-rate=0");
    static bool used[N];
    unsigned i;

    memset(used, 0, sizeof(used));
    for (i = 0; i < N; i++) {
        char text[80];
        struct hg_packet *p;
        unsigned port;

        snprintf(text, sizeof(text), "udp 10.0.%u.%u:%u > 203.0.113.9:53",
                 i / 200, i % 200, i);
        bench_push(b, "inside", text, 0);
        p = bench_take(b, "outside");
        REQUIRE(p != NULL);
        port = hg_packet_sport(p) - 2000u;
        REQUIRE(port < N && !used[port]);
        used[port] = true;
    }
    bench_push(b, "inside", ask, 0);
    CHECK_EQ(bench_counter(b, "error_port_allocation"), 1);
    bench_write(b, "delete", ":2500");
    bench_push(b, "inside", ask, 0);
    bench_expect(b, "outside", "udp 198.51.100.1:2500 > 203.0.113.9:53");
    CHECK_EQ(bench_counter(b, "active_connection_count"), N);
    bench_advance(b, 400 * S);
    CHECK_EQ(bench_counter(b, "active_connection_count"), 0);
    bench_push(b, "inside", ask, 400 * S);
    bench_expect(b, "outside", "udp 198.51.100.1:2* > 203.0.113.9:53");
    bench_destroy(b);
}

TEST(a_full_table_refuses_and_pushes_nothing_out)
{
    struct bench *b =
        NAT_CREATE("public=198.51.100.1", "max-flows=3", "udp-timeout=10s");
    unsigned i;

    for (i = 1; i <= 4; i++) {
        char text[80];

        snprintf(text, sizeof(text), "udp 10.0.0.%u:1 > 203.0.113.9:53", i);
        bench_push(b, "inside", text, 0);
    }
    CHECK_EQ(bench_waiting(b, "outside"), 3);
    bench_forget(b, NULL);
    CHECK_EQ(bench_counter(b, "table_full"), 1);
    bench_push(b, "inside", "udp 10.0.0.4:1 > 203.0.113.9:53", 10 * S - 1);
    CHECK_EQ(bench_counter(b, "table_full"), 2);
    bench_push(b, "inside", "udp 10.0.0.4:1 > 203.0.113.9:53", 10 * S + LATE);
    bench_expect(b, "outside", "udp 198.51.100.1:* > 203.0.113.9:53");
    bench_destroy(b);
}

/* Both addresses have 'n' flows, all to one destination. */
static void
check_addresses(struct bench *b, unsigned n)
{
    char most[40] = "", text[256];

    if (!nat_is_compact())
        snprintf(most, sizeof(most), "\"most-to-one-destination\":%u,", n);
    snprintf(text, sizeof(text),
             "{\"gateway\":\"dut\",\"addr\":\"198.51.100.1\",\"flows\":%u,"
             "%s\"limit\":2}\n"
             "{\"gateway\":\"dut\",\"addr\":\"198.51.100.2\",\"flows\":%u,"
             "%s\"limit\":2}",
             n, most, n, most);
    CHECK_STR(bench_read(b, "addresses", ""), text);
}

TEST(ports_are_accounted_for_by_address)
{
    struct bench *b =
        NAT_CREATE("public=198.51.100.1 198.51.100.2",
                   "connections-per-destination=2", "udp-timeout=10s");
    unsigned i;

    for (i = 0; i < 4; i++) {
        char text[80];

        snprintf(text, sizeof(text), "udp 10.0.0.5:%u > 203.0.113.9:53", i);
        bench_push(b, "inside", text, 0);
    }
    bench_forget(b, NULL);
    check_addresses(b, 2);
    bench_advance(b, 10 * S + LATE);
    check_addresses(b, 0);
    bench_destroy(b);
}

/* A capture of both sides of a conversation comes from inside. */
TEST(a_flow_and_one_against_it_are_two)
{
    struct bench *b = NAT_CREATE("public=198.51.100.1", "ports=7-8");
    char flows[1024];

    bench_push(b, "inside", "udp 10.0.0.5:1 > 10.0.0.6:2", 0);
    bench_expect(b, "outside", "udp 198.51.100.1:* > 10.0.0.6:2");
    bench_push(b, "inside", "udp 10.0.0.6:2 > 10.0.0.5:1", 0);
    bench_expect(b, "outside", "udp 198.51.100.1:* > 10.0.0.5:1");
    bench_push(b, "inside", "udp 10.0.0.6:2 > 10.0.0.5:1", 200 * S);
    bench_expect(b, "outside", "udp 198.51.100.1:* > 10.0.0.5:1");
    CHECK_EQ(bench_counter(b, "active_connection_count"), 2);
    snprintf(flows, sizeof flows, "%s", bench_read(b, "export", ""));
    CHECK(!strstr(flows, "vpc")); /* That of the second's record is ours. */
    bench_write(b, "delete", "all");
    bench_write(b, "import", flows);
    CHECK_STR(bench_read(b, "export", ""), flows);

    /* The first one is over, the other goes on as it was. */
    bench_push(b, "inside", "udp 10.0.0.6:2 > 10.0.0.5:1", 400 * S);
    bench_expect(b, "outside", "udp 198.51.100.1:* > 10.0.0.5:1");
    CHECK_EQ(bench_counter(b, "active_connection_count"), 1);
    bench_destroy(b);
}

/* ---- Against a plain list --------------------------------------------- */

enum { MODEL_STEPS = 20000, MODEL_HOSTS = 12, MODEL_PORTS = 30 };
enum { MODEL_RANGE = 70, MODEL_LIMIT = 60, MODEL_SERVERS = 3 };

struct model_flow {
    unsigned host, port, server; /* Inside endpoint and remote address. */
    unsigned address, external;  /* 1 or 2, and the port. */
    uint64_t deadline_ns;
};

static struct model_flow model[MODEL_HOSTS * MODEL_PORTS * MODEL_SERVERS];
static unsigned n_model;

static unsigned
draw(uint64_t *state, unsigned n)
{
    *state = *state * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (unsigned)((*state >> 33) % n);
}

static void
model_expire(uint64_t now_ns)
{
    unsigned i = 0;

    while (i < n_model)
        if (model[i].deadline_ns <= now_ns)
            model[i] = model[--n_model];
        else
            i++;
}

static unsigned
model_count(unsigned address, unsigned server)
{
    unsigned n = 0, i;

    for (i = 0; i < n_model; i++)
        n += model[i].address == address && model[i].server == server;
    return n;
}

/* The flow with this external endpoint, or (address 0) inside endpoint. */
static struct model_flow *
model_find(unsigned server, unsigned address, unsigned host, unsigned port)
{
    unsigned i;

    for (i = 0; i < n_model; i++)
        if (model[i].server == server &&
            (address ? model[i].address == address && model[i].external == port
                     : model[i].host == host && model[i].port == port))
            return &model[i];
    return NULL;
}

/* The flow was refreshed; when it ends now is what the NAT says: never too
 * early, and no later than a tick of the table. */
static void
refresh(struct bench *b, struct model_flow *f, uint64_t deadline_ns)
{
    const uint64_t tick = nat_is_compact() ? UINT64_C(1) << 24 : 1;
    const char *text;
    char filter[80];

    snprintf(filter, sizeof(filter), "10.0.0.%u:%u 203.0.113.%u:53", f->host,
             f->port, f->server);
    text = strstr(bench_read(b, "flows", filter), "\"expires\":");
    REQUIRE(text != NULL);
    f->deadline_ns =
        strtoull(text + strlen("\"expires\":"), NULL, 10) - BENCH_START;
    CHECK(f->deadline_ns - deadline_ns < tick);
}

/* A packet from inside: it keeps its external endpoint, or gets one that
 * nobody has; none only if both addresses are full. */
static void
step_out(struct bench *b, uint64_t *random, uint64_t now_ns, uint64_t idle_ns)
{
    unsigned host = draw(random, MODEL_HOSTS);
    unsigned port = draw(random, MODEL_PORTS);
    unsigned server = draw(random, MODEL_SERVERS);
    struct model_flow *f = model_find(server, 0, host, port);
    const struct hg_packet *p;
    unsigned address, external;
    char text[80];

    snprintf(text, sizeof(text), "udp 10.0.0.%u:%u > 203.0.113.%u:53", host,
             port, server);
    bench_push(b, "inside", text, now_ns);
    if (!bench_waiting(b, "outside")) {
        CHECK(!f);
        CHECK_EQ(model_count(1, server), MODEL_LIMIT);
        CHECK_EQ(model_count(2, server), MODEL_LIMIT);
        return;
    }
    p = bench_take(b, "outside");
    address = hg_packet_src(p).byte[3];
    external = hg_packet_sport(p);
    if (!f) {
        CHECK(!model_find(server, address, 0, external));
        f = &model[n_model++];
        *f = (struct model_flow){host, port, server, address, external, 0};
        CHECK(model_count(address, server) <= MODEL_LIMIT);
    }
    CHECK_EQ(address, f->address);
    CHECK_EQ(external, f->external);
    refresh(b, f, now_ns + idle_ns);
}

/* A packet from outside reaches whom the list says, or nobody. */
static void
step_in(struct bench *b, uint64_t *random, uint64_t now_ns, uint64_t idle_ns)
{
    unsigned server = draw(random, MODEL_SERVERS);
    unsigned address = 1 + draw(random, 2);
    unsigned external = 3000 + draw(random, MODEL_RANGE);
    struct model_flow *f = model_find(server, address, 0, external);
    char text[80];

    snprintf(text, sizeof(text), "udp 203.0.113.%u:53 > 198.51.100.%u:%u",
             server, address, external);
    bench_push(b, "outside", text, now_ns);
    if (!f) {
        bench_expect_none(b, NULL);
        return;
    }
    snprintf(text, sizeof(text), "udp 203.0.113.%u:53 > 10.0.0.%u:%u", server,
             f->host, f->port);
    bench_expect(b, "inside", text);
    refresh(b, f, now_ns + idle_ns);
}

TEST(twenty_thousand_random_steps_agree_with_a_list)
{
    struct bench *b = NAT_CREATE(
        "public=198.51.100.1 198.51.100.2", "ports=3000-3069",
        "connections-per-destination=60", "udp-timeout=4s", "max-flows=1000");
    uint64_t random = 7, now_ns = 0;
    unsigned step;

    n_model = 0;
    for (step = 0; step < MODEL_STEPS; step++) {
        now_ns += draw(&random, 16) * HG_MSEC;
        model_expire(now_ns);
        if (draw(&random, 3))
            step_out(b, &random, now_ns, 4 * S);
        else
            step_in(b, &random, now_ns, 4 * S);
        if (step % 500 == 0) {
            char n[16];

            snprintf(n, sizeof(n), "%u", n_model);
            CHECK_STR(bench_read(b, "count", ""), n);
        }
    }
    CHECK(bench_counter(b, "error_port_allocation") > 100);
    CHECK(bench_counter(b, "idle_timeout_count") > 1000);
    bench_destroy(b);
}

/* ---- The flow service ------------------------------------------------- */

TEST(both_directions_share_the_record_that_other_elements_see)
{
    static const char graph[] =
        "TestSource inside {} TestSource outside {}\n"
        "TestSink to-inside {} TestSink to-outside {}\n"
        "HyperplaneNAT dut { public = 198.51.100.1 ports = 7000 }\n"
        "NLB balancer { node n { address = 198.51.100.200 } }\n"
        "connect(\"inside -> [inside]dut[outside] -> to-outside\")\n"
        "connect(\"outside -> [outside]dut[inside] -> to-inside\")\n"
        "TestSource c {} TestSink d {} TestSource e {} TestSink f {}\n"
        "connect(\"c -> [clients]balancer[targets] -> d\")\n"
        "connect(\"e -> [targets]balancer[clients] -> f\")\n";
    struct bench *b = bench_load(graph);
    struct hg_packet *p;

    bench_push(b, "inside", ask, 0);
    p = bench_take(b, "to-outside");
    REQUIRE(p && p->flow);
    bench_push(b, "outside", "udp 203.0.113.9:53 > 198.51.100.1:7000", S);
    p = bench_take(b, "to-inside");
    REQUIRE(p && p->flow);
    CHECK(p->flags & HG_PACKET_REPLY);
    bench_destroy(b);
}

/* Both keep something in the record of one flow, whose first key only the
 * inner one can read as its inside. */
TEST(a_flow_through_two_gateways_behind_each_other_comes_back_through_both)
{
    static const char graph[] =
        "TestSource inside {} TestSource outside {}\n"
        "TestSink to-inside {} TestSink to-outside {}\n"
        "HyperplaneNAT inner { public = 100.64.0.1 ports = 5000 }\n"
        "HyperplaneNAT dut { public = 198.51.100.1 ports = 7000 }\n"
        "connect(\"inside -> [inside]inner[outside] -> [inside]dut[outside] "
        "-> to-outside\")\n"
        "connect(\"outside -> [outside]dut[inside] -> [outside]inner[inside] "
        "-> to-inside\")\n";
    struct bench *b = bench_load(graph);
    char flows[1024];
    unsigned i;

    for (i = 0; i < 4; i++) {
        bench_push(b, "inside", ask, i * 300 * S);
        bench_expect(b, "to-outside",
                     "udp 198.51.100.1:7000 > 203.0.113.9:53");
        bench_push(b, "outside", "udp 203.0.113.9:53 > 198.51.100.1:7000",
                   (i * 300 + 1) * S);
        bench_expect(b, "to-inside", "udp 203.0.113.9:53 > 10.0.0.5:4000");
        snprintf(flows, sizeof flows, "%s", bench_read(b, "export", ""));
        CHECK(strstr(flows, "{\"addr\":\"100.64.0.1\",\"port\":5000}"));
        CHECK(strstr(flows, "{\"addr\":\"198.51.100.1\",\"port\":7000}"));
    }
    bench_destroy(b);
}

/* ---- Metrics ---------------------------------------------------------- */

TEST(metrics_are_those_of_cloudwatch_for_each_gateway)
{
    struct bench *b = LOAD("ports = 7000\n"
                           "gateway a { vpc = 1 public = 198.51.100.1 }\n"
                           "gateway b { vpc = 2 public = 198.51.100.2 }");

    push(b, "inside", "tcp 10.0.0.5:1 > 203.0.113.9:80 S", 1, 0, 0);
    push(b, "outside", "tcp 203.0.113.9:80 > 198.51.100.1:7000 S.", 0, 0, 0);
    push(b, "inside", "tcp 10.0.0.6:1 > 203.0.113.9:80 S", 1, 0, 0);
    push(b, "inside", "tcp 10.0.0.6:1 > 203.0.113.8:80 S len 60", 1, 0,
         15 * S);
    bench_forget(b, NULL);
    CHECK_STR(bench_read(b, "metrics", "a"),
              "{\"gateway\":\"a\",\"ActiveConnectionCount\":2,"
              "\"BytesInFromDestination\":40,\"BytesInFromSource\":180,"
              "\"BytesOutToDestination\":140,\"BytesOutToSource\":40,"
              "\"ConnectionAttemptCount\":3,\"ConnectionEstablishedCount\":1,"
              "\"ErrorPortAllocation\":1,\"IdleTimeoutCount\":0,"
              "\"PacketsDropCount\":1,\"PacketsInFromDestination\":1,"
              "\"PacketsInFromSource\":3,\"PacketsOutToDestination\":2,"
              "\"PacketsOutToSource\":1,\"PeakBytesPerSecond\":12,"
              "\"PeakPacketsPerSecond\":0}");
    CHECK(strstr(bench_read(b, "metrics", "b"),
                 "{\"gateway\":\"b\",\"ActiveConnectionCount\":0,"
                 "\"BytesInFromDestination\":0,\"BytesInFromSource\":0,"));
    CHECK_EQ(bench_counter(b, "peak_bytes_per_second"), 12);
    bench_advance(b, 400 * S);
    CHECK(strstr(bench_read(b, "metrics", "a"), "\"IdleTimeoutCount\":2,"));
    bench_destroy(b);
}

TEST(a_flow_of_a_named_gateway_says_so_and_can_be_imported)
{
    char flow[] =
        "{\"proto\":\"udp\",\"inside\":{\"addr\":\"10.0.0.5\",\"port\":4000},"
        "\"external\":{\"addr\":\"198.51.100.1\",\"port\":7000},"
        "\"remote\":{\"addr\":\"203.0.113.9\",\"port\":53},"
        "\"state\":\"query\",\"expires\":1700000350000000000,"
        "\"gateway\":\"a\",\"vpc\":1}";
    struct bench *b = LOAD("ports = 7000\n"
                           "gateway a { vpc = 1 public = 198.51.100.1 }");

    memcpy(strstr(flow, ":17000003") + 1, ENDS, strlen(ENDS));
    push(b, "inside", ask, 1, 0, 0);
    bench_forget(b, NULL);
    CHECK_STR(bench_read(b, "export", ""), flow);
    bench_write(b, "delete", "all");
    CHECK_STR(bench_read(b, "count", ""), "0");
    bench_write(b, "import", flow);
    push(b, "outside", "udp 203.0.113.9:53 > 198.51.100.1:7000", 0, 0, 0);
    bench_expect(b, "to-inside", "udp 203.0.113.9:53 > 10.0.0.5:4000 vpc 1");
    bench_destroy(b);
}

/* ---- MTU and MSS ------------------------------------------------------ */

TEST(what_is_too_big_and_not_to_be_cut_is_answered)
{
    struct bench *b =
        NAT_CREATE("public=198.51.100.1", "ports=7000", "private=10.0.0.220",
                   "mtu=1400", "inside-mtu=1450");

    bench_push(b, "inside", "udp 10.0.0.5:1 > 203.0.113.9:53 len 1372 df", 0);
    bench_expect(b, "outside", "udp 198.51.100.1:7000 > 203.0.113.9:53 df");
    bench_push(b, "inside", "udp 10.0.0.5:1 > 203.0.113.9:53 len 1373 df", 0);
    bench_expect(b, "inside",
                 "icmp 10.0.0.220 > 10.0.0.5 unreachable 4 mtu 1400 "
                 "(udp 10.0.0.5:1 > 203.0.113.9:53 len 1373 df ttl 64 *)");
    bench_push(b, "inside", "udp 10.0.0.5:1 > 203.0.113.9:53 len 1373", 0);
    bench_expect(b, "outside", "udp 198.51.100.1:7000 > 203.0.113.9:53");
    bench_push(b, "outside",
               "udp 203.0.113.9:53 > 198.51.100.1:7000 len 1423 df", 0);
    bench_expect(
        b, "outside",
        "icmp 198.51.100.1 > 203.0.113.9 unreachable 4 mtu 1450 "
        "(udp 203.0.113.9:53 > 198.51.100.1:7000 len 1423 df ttl 64 *)");
    CHECK_EQ(bench_counter(b, "too_big"), 2);
    CHECK_EQ(bench_counter(b, "too_big_sent"), 2);
    bench_push(b, "outside",
               "udp 203.0.113.9:53 > 198.51.100.1:7001 len 1423 df", 0);
    CHECK_EQ(bench_counter(b, "unknown_inbound"), 1);
    bench_destroy(b);
}

TEST(answers_are_limited_and_zero_is_no_mtu)
{
    struct bench *b =
        NAT_CREATE("public=198.51.100.1", "ports=7000", "too-big-rate=2");
    unsigned i;

    for (i = 0; i < 5; i++)
        bench_push(b, "inside", "udp 10.0.0.5:1 > 203.0.113.9:53 len 1473 df",
                   i);
    CHECK_EQ(bench_waiting(b, "inside"), 2);
    bench_push(b, "inside", "udp 10.0.0.5:1 > 203.0.113.9:53 len 1473 df", S);
    CHECK_EQ(bench_waiting(b, "inside"), 3);
    bench_forget(b, NULL);
    CHECK_EQ(bench_counter(b, "too_big"), 6);
    bench_destroy(b);
    b = NAT_CREATE("public=198.51.100.1", "mtu=0");
    bench_push(b, "inside", "udp 10.0.0.5:1 > 203.0.113.9:53 len 9000 df", 0);
    bench_expect(b, "outside", "udp 198.51.100.1:* > 203.0.113.9:53 len 9000");
    bench_destroy(b);
}

TEST(the_mss_of_syns_is_lowered_both_ways_and_never_raised)
{
    struct bench *b = NAT_CREATE("public=198.51.100.1", "ports=7000");

    bench_push(b, "inside", "tcp 10.0.0.5:1 > 203.0.113.9:80 S mss 8460", 0);
    bench_expect(b, "outside", "tcp 198.51.100.1:7000 > * S mss 1460");
    bench_push(b, "outside",
               "tcp 203.0.113.9:80 > 198.51.100.1:7000 S. mss 8960", 0);
    bench_expect(b, "inside", "tcp 203.0.113.9:80 > 10.0.0.5:1 S. mss 1460");
    bench_push(b, "inside", "tcp 10.0.0.5:1 > 203.0.113.8:80 S mss 1300", 0);
    bench_expect(b, "outside", "tcp 198.51.100.1:7000 > * S mss 1300");
    CHECK_EQ(bench_counter(b, "mss_clamped"), 2);
    bench_destroy(b);
    b = NAT_CREATE("public=198.51.100.1", "mss-clamp=off");
    bench_push(b, "inside", "tcp 10.0.0.5:1 > 203.0.113.9:80 S mss 8460", 0);
    bench_expect(b, "outside", "tcp 198.51.100.1:* > * S mss 8460");
    bench_destroy(b);
}

/* A SYN whose MSS stands behind one no-operation, at an odd offset. */
TEST(an_mss_at_an_odd_offset_keeps_the_checksum_right)
{
    static const uint8_t options[8] = {1, 2, 4, 0x21, 0x0c, 1, 1, 0};
    struct bench *b = NAT_CREATE("public=198.51.100.1", "ports=7000");
    struct hg_error error;
    struct hg_packet *p = notation_parse(
        bench_pool(b), "tcp 10.0.0.5:1 > 203.0.113.9:80 S len 8", &error);
    uint8_t *tcp;

    REQUIRE(p != NULL);
    tcp = hg_packet_l4(p);
    tcp[12] = 7 << 4;
    memcpy(tcp + 20, options, sizeof(options));
    hg_packet_parse(p);
    hg_packet_set_checksums(p);
    bench_push_packet(b, "inside", p, 0);
    bench_expect(b, "outside", "tcp 198.51.100.1:7000 > * S mss 1460");
    bench_destroy(b);
}
