/* test_route_table.c: packets where their routes say.  Tables that depend on
 * a mapping service: test_route_table_vpc.c. */
#include "harness.h"
#include "notation.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <headgate/inventory.h>

#define N(array) (sizeof(array) / sizeof *(array))

#define SINKS "TestSource in {} TestSink up {} TestSink down {}\n"
#define WIRES "connect(\"in -> dut[up] -> up; dut[down] -> down\")"

/* A RouteTable with outputs local, up and down. */
#define ROUTER(options)                                                       \
    SINKS "TestSink local {}\n"                                               \
          "RouteTable dut { target up {} target down {}\n" options            \
          "\n}\n" WIRES "\nconnect(\"dut[local] -> local\")"

#define REFUSES(options, expected)                                            \
    bench_refuses(ROUTER(options), "'dut': " expected)

static void
rewrite_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");

    REQUIRE(file != NULL);
    fputs(text, file);
    fclose(file);
}

static void
write_file(char *path, int suffix, const char *text)
{
    int fd = mkstemps(path, suffix);

    REQUIRE(fd >= 0 && close(fd) == 0);
    rewrite_file(path, text);
}

TEST(the_longest_prefix_wins)
{
    struct bench *b = bench_load(ROUTER("route 0.0.0.0/0 { target = up }"
                                        "route 10.0.0.0/8 { target = down }"
                                        "route 10.1.0.0/16 { target = up }"
                                        "route ::/0 { target = up }"
                                        "route 2001:db8::/32 { target = down"
                                        "}"));

    bench_push(b, "in", "udp 192.0.2.1:1 > 203.0.113.9:53", 0);
    bench_expect(b, "up", "udp 192.0.2.1:1 > 203.0.113.9:53");
    bench_push(b, "in", "udp 192.0.2.1:1 > 10.0.0.1:53", 0);
    bench_expect(b, "down", "udp 192.0.2.1:1 > 10.0.0.1:53");
    bench_push(b, "in", "udp 192.0.2.1:1 > 10.1.0.1:53", 0);
    bench_expect(b, "up", "udp 192.0.2.1:1 > 10.1.0.1:53");
    bench_push(b, "in", "udp [2001:db8:1::1]:1 > [2001:db8::1]:53", 0);
    bench_expect(b, "down", "udp [2001:db8:1::1]:1 > [2001:db8::1]:53");
    bench_push(b, "in", "udp [2001:db8::1]:1 > [2001:db9::1]:53", 0);
    bench_expect(b, "up", "udp [2001:db8::1]:1 > [2001:db9::1]:53");
    CHECK_EQ(bench_counter(b, "routes"), 5);
    bench_destroy(b);
}

TEST(an_only_input_does_not_ask_which_one_the_element_before_it_had)
{
    struct bench *b = bench_load(
        "TestSource in {} TestSource out {} TestSink up {} NACL a {}"
        "RouteTable dut { route 0.0.0.0/0 { target = up } }"
        "connect(\"in -> [inbound]a[inbound] -> Discard\")"
        "connect(\"out -> [outbound]a[outbound] -> dut[up] -> up\")");

    bench_push(b, "out", "udp 192.0.2.1:1 > 203.0.113.9:53", 0);
    bench_expect(b, "up", "udp 192.0.2.1:1 > 203.0.113.9:53");
    bench_destroy(b);
}

TEST(what_has_no_route_is_dropped_with_its_reason)
{
    struct bench *b =
        bench_load(ROUTER("route 10.0.0.0/8 { target = up }"
                          "route 10.9.0.0/16 { target = blackhole }"
                          "route 169.254.0.0/16 { target = up }"));

    bench_push(b, "in", "udp 10.0.0.1:1 > 11.0.0.1:53", 0);
    CHECK_EQ(bench_counter(b, "no_route"), 1);
    bench_push(b, "in", "udp 10.0.0.1:1 > 10.9.0.1:53", 0);
    CHECK_EQ(bench_counter(b, "blackhole"), 1);
    bench_push(b, "in", "udp 10.0.0.1:1 > 169.254.169.253:53", 0);
    bench_push(b, "in", "udp [2001:db8::1]:1 > [fd00:ec2::253]:53", 0);
    CHECK_EQ(bench_counter(b, "forbidden"), 2);
    bench_push(b, "in", "udp 10.0.0.1:1 > 169.254.1.1:53", 0);
    bench_expect(b, "up", "udp 10.0.0.1:1 > 169.254.1.1:53");
    bench_push(b, "in", "arp who-has 10.0.0.1 tell 10.0.0.2", 0);
    CHECK_EQ(bench_counter(b, "not_ip"), 1);
    bench_destroy(b);
}

TEST(forbidden_destinations_can_be_chosen)
{
    struct bench *b =
        bench_load(ROUTER("forbidden-destinations = 203.0.113.0/24"
                          " route 0.0.0.0/0 { target = up }"));

    bench_push(b, "in", "udp 10.0.0.1:1 > 169.254.169.253:53", 0);
    bench_expect(b, "up", "udp 10.0.0.1:1 > 169.254.169.253:53");
    bench_push(b, "in", "udp 10.0.0.1:1 > 203.0.113.1:53", 0);
    CHECK_EQ(bench_counter(b, "forbidden"), 1);
    bench_destroy(b);
}

TEST(addresses_of_the_vpc_are_local)
{
    struct bench *b =
        bench_load(ROUTER("cidr = { 10.0.0.0/16, 2001:db8::/56 }"
                          " target nat { kind = nat-gateway }"
                          " route 0.0.0.0/0 { target = up }"
                          " route 10.0.9.0/24 { target = down }") //
                   "TestSink nat {} connect(\"dut[nat] -> nat\")");

    bench_push(b, "in", "udp 10.0.0.1:1 > 10.0.1.1:53", 0);
    bench_expect(b, "local", "udp 10.0.0.1:1 > 10.0.1.1:53");
    bench_push(b, "in", "udp [2001:db8::1]:1 > [2001:db8::2]:53", 0);
    bench_expect(b, "local", "udp [2001:db8::1]:1 > [2001:db8::2]:53");
    bench_push(b, "in", "udp 10.0.0.1:1 > 10.0.9.1:53", 0);
    bench_expect(b, "down", "udp 10.0.0.1:1 > 10.0.9.1:53");

    /* Propagated: more specific than local, and still not in force. */
    bench_write(b, "add",
                "10.0.1.0/24 target=up type=propagated origin=vgw\n"
                "10.0.0.0/15 target=down type=propagated origin=vgw");
    bench_push(b, "in", "udp 10.0.0.1:1 > 10.0.1.1:53", 0);
    bench_expect(b, "local", "udp 10.0.0.1:1 > 10.0.1.1:53");
    bench_push(b, "in", "udp 10.0.0.1:1 > 10.1.1.1:53", 0);
    bench_expect(b, "down", "udp 10.0.0.1:1 > 10.1.1.1:53");

    /* Local itself can be replaced. */
    bench_write(b, "add", "10.0.0.0/16 target=nat");
    bench_push(b, "in", "udp 10.0.0.1:1 > 10.0.1.1:53", 0);
    bench_expect(b, "nat", "udp 10.0.0.1:1 > 10.0.1.1:53");
    bench_write(b, "remove", "10.0.0.0/16");
    bench_push(b, "in", "udp 10.0.0.1:1 > 10.0.1.1:53", 0);
    bench_expect(b, "local", "udp 10.0.0.1:1 > 10.0.1.1:53");
    bench_destroy(b);
}

TEST(static_over_prefix_list_over_propagated)
{
    struct bench *b =
        bench_load(ROUTER("prefix-list office { prefixes = 192.0.2.0/24 }"
                          " route office { target = up }"));
    const char *packet = "udp 10.0.0.1:1 > 192.0.2.1:53";

    bench_write(b, "add", "192.0.2.0/24 target=down type=propagated");
    bench_push(b, "in", packet, 0);
    bench_expect(b, "up", packet);
    bench_write(b, "add", "192.0.2.0/24 target=down");
    bench_push(b, "in", packet, 0);
    bench_expect(b, "down", packet);
    bench_write(b, "remove", "192.0.2.0/24");
    bench_push(b, "in", packet, 0);
    bench_expect(b, "up", packet);
    bench_write(b, "remove", "office");
    bench_push(b, "in", packet, 0);
    bench_expect(b, "down", packet);
    bench_destroy(b);
}

TEST(propagated_routes_come_and_go_with_their_origin)
{
    struct bench *b = bench_load(ROUTER(""));
    const char *packet = "udp 10.0.0.1:1 > 192.0.2.1:53";

    bench_write(b, "add",
                "192.0.2.0/24 target=up type=propagated origin=vpn "
                "source=bgp-vpn; 192.0.2.0/24 target=down type=propagated "
                "origin=dx source=direct-connect as-path=5");
    bench_push(b, "in", packet, 0);
    bench_expect(b, "down", packet);
    CHECK_STR(bench_read(b, "list", ""),
              "{\"table\":\"main\",\"destination\":\"192.0.2.0/24\",\"type\":"
              "\"propagated\",\"state\":\"active\",\"target\":[\"down\"],"
              "\"origin\":\"dx\"}\n"
              "{\"table\":\"main\",\"destination\":\"192.0.2.0/24\",\"type\":"
              "\"propagated\",\"state\":\"waiting\",\"target\":[\"up\"],"
              "\"origin\":\"vpn\"}");
    bench_write(b, "withdraw", "dx");
    bench_push(b, "in", packet, 0);
    bench_expect(b, "up", packet);
    bench_write(b, "withdraw", "vpn");
    bench_push(b, "in", packet, 0);
    CHECK_EQ(bench_counter(b, "no_route"), 1);
    CHECK_EQ(bench_counter(b, "updates"), 4);
    CHECK_EQ(bench_counter(b, "routes"), 0);
    bench_destroy(b);
}

/* A file of 5,000 routes, to be freed. */
static char *
many_routes(void)
{
    char *text = NULL;
    size_t size, i;
    FILE *out = open_memstream(&text, &size);

    REQUIRE(out != NULL);
    fputs("destination,target\n10.0.0.0/8,down\n", out);
    for (i = 0; i < 5000; i++)
        fprintf(out, "11.%zu.%zu.0/24,up\n", i / 256, i % 256);
    fclose(out);
    return text;
}

/* A router with many routes behind a SecurityGroup, and more in its section,
 * through which the first packet of KNOWN has gone.  Flows that a
 * SecurityGroup knows remember their routes, if there are many. */
#define KNOWN "tcp 192.0.2.1:1 > 10.0.0.1:53"

static struct bench *
behind_group(const char *more, const char *connections)
{
    char path[] = "/tmp/headgate-XXXXXX.csv", text[800];
    char *csv = many_routes();
    struct bench *b;

    write_file(path, 4, csv);
    free(csv);
    snprintf(text, sizeof text,
             SINKS "TestSource back {} RouteTable dut { file = \"%s\"\n"
                   "target up {} target down {}\n%s }\n"
                   "SecurityGroup sg { group g { outbound { destination = "
                   "0.0.0.0/0 } } }\n%s"
                   "connect(\"dut[up] -> up; dut[down] -> down\")\n"
                   "connect(\"back -> [ingress]sg[ingress] -> Discard\")",
             path, more, connections);
    b = bench_load(text);
    unlink(path);
    bench_push(b, "in", KNOWN " S", 0);
    bench_expect(b, "down", KNOWN " S");
    return b;
}

TEST(a_changed_route_acts_on_the_very_next_packet_of_a_known_flow)
{
    static const struct {
        const char *handler, *value, *sink; /* Where it leaves then. */
    } row[] = {{"add", "10.0.0.0/24 target=up", "up"},
               {"remove", "10.0.0.0/24", "down"},
               {"add", "10.0.0.1/32 target=up; 10.0.0.2/32 target=down", "up"},
               {"down", "up", NULL},
               {"up", "up", "up"},
               {"add", "10.0.0.1/32 target=down", "down"},
               {"add", "10.0.0.1/32 target=up; a mistake", "up"}};
    struct bench *b =
        behind_group("", "connect(\"in -> [egress]sg[egress] -> dut\")\n");
    struct hg_element *dut = hg_graph_find(bench_graph(b), "dut");
    struct hg_error error;
    unsigned i, k;

    for (i = 0; i < sizeof row / sizeof row[0]; i++) {
        CHECK_EQ(hg_element_write(dut, row[i].handler, row[i].value, &error),
                 !strstr(row[i].value, "mistake"));
        for (k = 0; k < 2; k++) {
            bench_push(b, "in", KNOWN " .", 0);
            if (row[i].sink)
                bench_expect(b, row[i].sink, KNOWN " .");
        }
    }
    CHECK_EQ(bench_counter(b, "blackhole"), 2);
    bench_destroy(b);
}

/* Also where the change cannot be followed to its end: table b has lost its
 * VPC. */
TEST(a_changed_local_prefix_acts_on_the_very_next_packet_of_a_known_flow)
{
#define NETWORKS(a, b)                                                        \
    "kind,id,cidr,vni,subnet,address,security-groups,vpc\n"                   \
    "vpc,a,192.0.2.0/24 " a ",1,,,,\n" b                                      \
    "subnet,s,192.0.2.0/24,,,,,a\neni,e,,,s,192.0.2.9,g,a\n"
    static const char *const networks[] = {
        NETWORKS("10.1.0.0/16", "vpc,b,10.2.0.0/16,2,,,,\n"),
        NETWORKS("10.0.0.0/16", "")};
    char map[] = "/tmp/headgate-XXXXXX.csv",
         file[] = "/tmp/headgate-XXXXXX.csv";
    char text[1000], *routes = many_routes();
    struct hg_element *service;
    struct bench *b;
    unsigned i;

    write_file(map, 4, networks[0]);
    write_file(file, 4, routes);
    free(routes);
    snprintf(text, sizeof text,
             SINKS "TestSink local {} TestSource back {}\n"
                   "MappingService map { file = \"%s\" }\n"
                   "RouteTable dut { target up {} target down {}\n"
                   "  table a { vpc = a  main = true  file = \"%s\" }\n"
                   "  table b { vpc = b } }\n"
                   "SecurityGroup sg { group g { outbound { destination = "
                   "0.0.0.0/0 } } }\n"
                   "connect(\"in -> [egress]sg[egress] -> dut[up] -> up\")\n"
                   "connect(\"dut[down] -> down; dut[local] -> local\")\n"
                   "connect(\"back -> [ingress]sg[ingress] -> Discard\")",
             map, file);
    b = bench_load(text);
    service = hg_graph_find(bench_graph(b), "map");
    unlink(file);
    for (i = 0; i < 2; i++) {
        struct hg_packet *p = notation_parse(bench_pool(b), KNOWN " S", NULL);

        p->vpc = 1;
        p->src_eni =
            hg_inventory_eni(hg_element_class(service)->service(
                                 hg_element_self(service), "inventory"),
                             "e");
        bench_push_packet(b, "in", p, 0);
        bench_expect(b, i ? "local" : "down", KNOWN " S");
        rewrite_file(map, networks[1]);
        CHECK(hg_element_write(service, "reload", "", NULL));
    }
    unlink(map);
    bench_destroy(b);
}

/* What such a flow remembers is of the table of one of its packets. */
TEST(a_known_flow_meets_the_table_of_the_input_at_which_it_comes_in)
{
    struct bench *b = behind_group(
        "table edge { gateways = { edge } route 10.0.0.0/8 { target = up } }",
        "Switch side { outputs = { in, edge } to = in }\n"
        "connect(\"in -> [egress]sg[egress] -> side[in] -> dut; "
        "side[edge] -> [edge]dut\")\n");
    struct hg_element *side = hg_graph_find(bench_graph(b), "side");
    struct hg_error error;
    unsigned i, k;

    for (i = 0; i < 4; i++) {
        CHECK(hg_element_write(side, "to", i % 2 ? "in" : "edge", &error));
        for (k = 0; k < 2; k++) {
            bench_push(b, "in", KNOWN " .", 0);
            bench_expect(b, i % 2 ? "down" : "up", KNOWN " .");
        }
    }
    bench_destroy(b);
}

TEST(a_target_that_is_gone_makes_its_routes_blackholes)
{
    struct bench *b = bench_load(ROUTER("route 0.0.0.0/0 { target = up }"
                                        "route 10.0.0.0/8 { target = down }"));
    const char *packet = "udp 192.0.2.1:1 > 10.0.0.1:53";

    bench_write(b, "down", "down");
    bench_push(b, "in", packet, 0);
    CHECK_EQ(bench_counter(b, "blackhole"), 1);
    CHECK_STR(bench_read(b, "lookup", "10.0.0.1"),
              "{\"table\":\"main\",\"destination\":\"10.0.0.0/8\",\"type\":"
              "\"static\",\"state\":\"blackhole\",\"target\":[\"down\"]}");
    bench_write(b, "up", "down");
    bench_push(b, "in", packet, 0);
    bench_expect(b, "down", packet);
    CHECK_STR(bench_read(b, "lookup", "::1"), "{\"state\":\"no-route\"}");
    bench_destroy(b);
}

static void
push_flows(struct bench *b, unsigned n)
{
    char text[80];
    unsigned i;

    for (i = 0; i < n; i++) {
        snprintf(text, sizeof text, "udp 10.0.0.1:%u > 192.0.2.9:53",
                 1024 + i);
        bench_push(b, "in", text, 0);
    }
}

TEST(several_targets_share_the_flows_and_only_those_of_one_that_fails_move)
{
    struct bench *b =
        bench_load(ROUTER("route 0.0.0.0/0 { target = { up, down } }"));
    unsigned up;

    push_flows(b, 400);
    up = bench_waiting(b, "up");
    CHECK(up > 150 && up < 250);
    CHECK_EQ(bench_waiting(b, "down"), 400 - up);
    bench_forget(b, NULL);
    push_flows(b, 400);
    CHECK_EQ(bench_waiting(b, "up"), up);
    bench_forget(b, NULL);
    bench_write(b, "down", "up");
    push_flows(b, 400);
    CHECK_EQ(bench_waiting(b, "down"), 400);
    bench_forget(b, NULL);
    bench_write(b, "down", "down");
    push_flows(b, 10);
    CHECK_EQ(bench_counter(b, "blackhole"), 10);
    bench_destroy(b);
}

TEST(equal_propagated_routes_share_with_ecmp_only)
{
    static const char *const routes =
        "192.0.2.0/24 target=up type=propagated origin=a source=bgp-vpn\n"
        "192.0.2.0/24 target=down type=propagated origin=b source=bgp-vpn";
    struct bench *b = bench_load(ROUTER("ecmp = true"));

    bench_write(b, "add", routes);
    push_flows(b, 400);
    CHECK(bench_waiting(b, "up") > 150 && bench_waiting(b, "down") > 150);
    bench_forget(b, NULL);
    bench_destroy(b);
    b = bench_load(ROUTER(""));
    bench_write(b, "add", routes);
    push_flows(b, 400);
    CHECK_EQ(bench_waiting(b, "up"), 400);
    bench_forget(b, NULL);
    bench_destroy(b);
}

TEST(what_comes_through_a_gateway_is_looked_up_in_its_table)
{
    struct bench *b = bench_load(
        ROUTER("cidr = 10.0.0.0/16  route 0.0.0.0/0 { target = up }"
               " table ingress { gateways = igw  cidr = 10.0.0.0/16"
               "   route 10.0.1.0/24 { target = down } }"
               " table attached { attachments = { vpn1, vpn2 }"
               "   route 10.0.0.0/8 { target = up } }") //
        "TestSource igw {} TestSource vpn {}\n"
        "connect(\"igw -> [igw]dut; vpn -> [vpn2]dut; vpn1 -> [vpn1]dut\")"
        "TestSource vpn1 {}");
    const char *packet = "udp 203.0.113.1:1 > 10.0.1.1:53";

    bench_push(b, "in", packet, 0);
    bench_expect(b, "local", packet);
    bench_push(b, "igw", packet, 0);
    bench_expect(b, "down", packet);
    bench_push(b, "vpn", packet, 0);
    bench_expect(b, "up", packet);
    bench_push(b, "igw", "udp 203.0.113.1:1 > 8.8.8.8:53", 0);
    CHECK_EQ(bench_counter(b, "no_route"), 1);
    bench_destroy(b);
}

TEST(each_vpc_has_its_own_tables)
{
    struct bench *b =
        bench_load(ROUTER("table a { vpc = 1 main = true"
                          " route 10.0.0.0/8 { target = up } }"
                          "table b { vpc = 2 main = true"
                          " route 10.0.0.0/8 { target = down } }"));
    struct hg_packet *p;
    unsigned vpc;

    for (vpc = 1; vpc <= 3; vpc++) {
        bench_push(b, "in", "udp 192.0.2.1:1 > 10.0.0.1:53", 0);
        CHECK_EQ(bench_counter(b, "no_table"), vpc);
        p = hg_packet_alloc(bench_pool(b), 42);
        memset(p->data, 0, 42);
        memcpy(p->data + 12, "\x08\x00\x45\0\0\x1c", 6);
        p->data[22] = 64;
        p->data[23] = HG_PROTO_UDP;
        p->data[30] = 10;
        p->vpc = vpc;
        bench_push_packet(b, "in", p, 0);
        CHECK_EQ(bench_waiting(b, "up"), vpc == 1);
        CHECK_EQ(bench_waiting(b, "down"), vpc == 2);
        bench_forget(b, NULL);
        if (vpc == 3)
            CHECK_EQ(bench_counter(b, "no_table"), 4);
    }
    bench_destroy(b);
}

TEST(the_only_table_is_not_for_packets_of_other_vpcs)
{
    struct bench *b = bench_load(ROUTER("table a { vpc = 1 main = true"
                                        " route 0.0.0.0/0 { target = up } }"));
    struct hg_error error;
    struct hg_packet *p;
    uint32_t vpc;

    for (vpc = 1; vpc <= 2; vpc++) {
        p = notation_parse(bench_pool(b), "udp 10.0.0.1:1 > 10.0.0.2:2",
                           &error);
        p->vpc = vpc;
        bench_push_packet(b, "in", p, 0);
        CHECK_EQ(bench_waiting(b, "up"), 1);
        CHECK_EQ(bench_counter(b, "no_table"), vpc - 1);
    }
    bench_forget(b, NULL);
    bench_destroy(b);
}

TEST(a_batch_of_all_kinds_meets_the_only_table_as_packets_alone_do)
{
    static const char *const kinds[] = {
        "udp 10.0.0.1:1 > 10.0.0.2:2", "udp [2001:db8::1]:1 > [2001:db8::2]:2",
        "arp who-has 10.0.0.1 tell 10.0.0.2"};
    struct bench *b = bench_load(ROUTER("route 0.0.0.0/0 { target = up }"
                                        "route ::/0 { target = down }"));
    struct hg_graph *g = bench_graph(b);
    struct hg_packet *p[9];
    struct hg_error error;
    unsigned first, i;

    for (first = 1; first <= 3; first++) { /* Of each kind. */
        for (i = 0; i < N(p); i++)
            p[i] =
                notation_parse(bench_pool(b), kinds[(first + i) % 3], &error);
        hg_graph_inject(g, hg_graph_find(g, "in"), 0, p, N(p));
        hg_graph_dispatch(g);
        CHECK_EQ(bench_waiting(b, "up"), 3 * first);
        CHECK_EQ(bench_waiting(b, "down"), 3 * first);
        CHECK_EQ(bench_counter(b, "not_ip"), 3 * first);
    }
    bench_forget(b, NULL);
    bench_destroy(b);
}

TEST(routes_that_may_not_be_are_refused)
{
    REFUSES("route 10.0.0.0/33 { target = up }",
            "'10.0.0.0/33' is neither a prefix such as 10.0.0.0/8 nor a "
            "prefix-list of this element");
    REFUSES("route 169.254.169.0/24 { target = up }",
            "route '169.254.169.0/24' is within 169.254.168.0/22, which is "
            "never forwarded; 'forbidden-destinations' says so");
    REFUSES("target x { kind = peering } cidr = 10.0.0.0/16"
            " route 10.0.1.0/24 { target = x }",
            "route '10.0.1.0/24' is within the local '10.0.0.0/16', where "
            "only a nat-gateway, network-interface or gwlb-endpoint may be "
            "the target");
    REFUSES("target x { kind = egress-only-internet-gateway }"
            " route 0.0.0.0/0 { target = x }",
            "target 'x': an egress-only internet gateway takes IPv6 only");
    REFUSES("target x { kind = gateway-endpoint }"
            " route 192.0.2.0/24 { target = x }",
            "target 'x': the destination of a gateway endpoint is a prefix "
            "list");
    REFUSES("target x { kind = nat-gateway } table t { gateways = igw"
            " route 10.0.0.0/8 { target = x } }",
            "target 'x': the table of a gateway leads only to local, a "
            "network-interface or a gwlb-endpoint");
    REFUSES("target vgw { kind = virtual-private-gateway }"
            " target x { kind = gwlb-endpoint } table t { gateways = vgw"
            " route 10.0.0.0/8 { target = x } }",
            "target 'x': what comes through a virtual private gateway cannot "
            "go to a gwlb-endpoint");
    REFUSES("table t { gateways = igw cidr = 10.0.0.0/16"
            " route 10.1.0.0/16 { target = up } }",
            "route '10.1.0.0/16': the table of a gateway takes only the CIDRs "
            "of its VPC and of its subnets");
    REFUSES("prefix-list l { prefixes = 10.0.0.0/8 } table t { gateways = g"
            " route l { target = up } }",
            "the table of a gateway takes neither prefix lists nor propagated "
            "routes");
    REFUSES("prefix-list l { }", "prefix-list 'l' is empty");
    REFUSES("table t {} table t {}", "two tables are called 't'");
}

TEST(handlers_say_what_is_wrong)
{
    static const char *const cases[][3] = {
        {"add", "10.0.0.0/8 target=sideways",
         "no target 'sideways'; a section target sideways { } would declare "
         "it"},
        {"add", "10.0.0.0/8", "route '10.0.0.0/8' has no target"},
        {"add", "10.0.0.0/8 target=up table=x",
         "no table 'x'; the handler 'table-list' names them"},
        {"remove", "10.0.0.0/8",
         "table 'main' has no such route "
         "'10.0.0.0/8'"},
        {"withdraw", "vgw", "nothing was propagated by 'vgw'"},
        {"down", "vgw", "no target 'vgw'"}};
    struct bench *b = bench_load(ROUTER(""));
    struct hg_element *dut = hg_graph_find(bench_graph(b), "dut");
    struct hg_error error;
    unsigned i;

    for (i = 0; i < sizeof cases / sizeof *cases; i++) {
        CHECK(!hg_element_write(dut, cases[i][0], cases[i][1], &error));
        CHECK_STR(error.text, cases[i][2]);
    }
    CHECK_STR(bench_read(b, "table-list", ""),
              "{\"table\":\"main\",\"vpc\":0,\"prefixes\":2,\"main\":true}");
    bench_destroy(b);
}

/* ---- Files ------------------------------------------------------------ */

TEST(routes_and_prefix_lists_come_from_files)
{
    char csv[] = "/tmp/headgate-XXXXXX.csv", txt[] = "/tmp/headgate-XXXXXX";
    char text[1024];
    struct bench *b;

    write_file(csv, 4,
               "destination,target,type\n10.0.0.0/8,up,\n"
               "11.0.0.0/8,down,propagated\n");
    write_file(txt, 0, "12.0.0.0/8\n13.0.0.0/8\n");
    snprintf(text, sizeof text,
             ROUTER("file = \"%s\" prefix-list l { file = \"%s\" }"
                    " route l { target = up }"),
             csv, txt);
    b = bench_load(text);
    unlink(csv);
    unlink(txt);
    CHECK_EQ(bench_counter(b, "routes"), 4);
    bench_push(b, "in", "udp 192.0.2.1:1 > 11.0.0.1:53", 0);
    bench_expect(b, "down", "udp 192.0.2.1:1 > 11.0.0.1:53");
    bench_push(b, "in", "udp 192.0.2.1:1 > 13.0.0.1:53", 0);
    bench_expect(b, "up", "udp 192.0.2.1:1 > 13.0.0.1:53");
    bench_destroy(b);
}

TEST(mistakes_in_files_have_their_place)
{
    char csv[] = "/tmp/headgate-XXXXXX.csv", text[1024];

    write_file(csv, 4,
               "destination,target\n10.0.0.0/8,up\n"
               "10.0.0.0/40,up\n11.0.0.0/8,left\n");
    snprintf(text, sizeof text, ROUTER("file = \"%s\""), csv);
    bench_refuses(text,
                  "'dut': *.csv:3:1: '10.0.0.0/40' is neither a prefix such "
                  "as 10.0.0.0/8 nor a prefix-list of this element\n"
                  "'dut': *.csv:4:1: no target 'left'; a section target left "
                  "{ } would declare it");
    unlink(csv);
}
