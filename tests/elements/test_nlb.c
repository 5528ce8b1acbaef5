/* test_nlb.c: NLB packet by packet.  With one target in a group it is known
 * where a flow goes. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <headgate/proxy_v2.h>

#include "harness.h"
#include "notation.h"

#define S (HG_SEC)

/* A load balancer 10.0.0.10 (zone a) and 10.0.0.20 (zone b) with these
 * options, listeners and groups, all of its ports at hand. */
#define NLB(text)                                                             \
    bench_load("TestSource clients {} TestSource targets {}\n"                \
               "TestSink to-clients {} TestSink to-targets {}\n"              \
               "TestSink other {}\n"                                          \
               "NLB dut {\n"                                                  \
               "  node a { address = { 10.0.0.10, 2001:db8::10 } }\n"         \
               "  node b { address = { 10.0.0.20 } }\n" text "\n}\n"          \
               "connect(\"clients -> [clients]dut[clients] -> to-clients\")"  \
               "connect(\"targets -> [targets]dut[targets] -> to-targets\")"  \
               "connect(\"dut[other] -> other\")")

#define ONE_TARGET "target t1 { address = 10.0.1.1 port = 8080 }\n"

#define WEB(options)                                                          \
    "listener 80 { target-group = { web } }\n"                                \
    "target-group web { " options " }\n"

#define CLIENT "192.0.2.5:40000"

static void
client(struct bench *b, const char *words, uint64_t time_ns)
{
    char text[160];

    snprintf(text, sizeof text, "tcp " CLIENT " > 10.0.0.10:80 %s", words);
    bench_push(b, "clients", text, time_ns);
}

static void
target(struct bench *b, const char *words, uint64_t time_ns)
{
    char text[160];

    snprintf(text, sizeof text, "tcp 10.0.1.1:8080 > " CLIENT " %s", words);
    bench_push(b, "targets", text, time_ns);
}

static void
expect_target(struct bench *b, const char *words)
{
    char text[160];

    snprintf(text, sizeof text, "tcp " CLIENT " > 10.0.1.1:8080 %s", words);
    bench_expect(b, "to-targets", text);
}

static void
expect_client(struct bench *b, const char *words)
{
    char text[160];

    snprintf(text, sizeof text, "tcp 10.0.0.10:80 > " CLIENT " %s", words);
    bench_expect(b, "to-clients", text);
}

/* A handshake with t1 at START: sequence numbers 100 and 500. */
static void
open_connection(struct bench *b)
{
    client(b, "S seq 100", 0);
    expect_target(b, "S seq 100");
    target(b, "S. seq 500 ack 101", 0);
    expect_client(b, "S. seq 500 ack 101");
    client(b, ". seq 101 ack 501", 0);
    expect_target(b, ". seq 101 ack 501");
}

static void
drops(struct bench *b, const char *in, const char *packet, const char *reason,
      uint64_t time_ns)
{
    uint64_t before = bench_counter(b, reason);

    bench_push(b, in, packet, time_ns);
    if (bench_counter(b, reason) != before + 1)
        FAIL("'%s' is not dropped as %s", packet, reason);
}

/* ---- Flows ------------------------------------------------------------ */

TEST(a_connection_goes_to_its_target_and_back)
{
    struct bench *b = NLB(WEB(ONE_TARGET));

    open_connection(b);
    client(b, "P. seq 101 ack 501 len 30", S);
    expect_target(b, "P. seq 101 ack 501 len 30 ttl 64");
    target(b, "P. seq 501 ack 131 len 99", S);
    expect_client(b, "P. seq 501 ack 131 len 99 ttl 64");
    CHECK_EQ(bench_counter(b, "active_flow_count"), 1);
    CHECK_EQ(bench_counter(b, "active_flow_count_tcp"), 1);
    CHECK_EQ(bench_counter(b, "new_flow_count_tcp"), 1);
    CHECK_EQ(bench_counter(b, "processed_packets"), 5);
    CHECK_EQ(bench_counter(b, "processed_bytes"), 5 * 40 + 129);
    CHECK_EQ(bench_counter(b, "peak_packets_per_second"), 3);
    CHECK_EQ(bench_counter(b, "peak_bytes_per_second"), 2 * 40 + 129);
    bench_destroy(b);
}

TEST(udp_needs_no_beginning_and_is_answered)
{
    struct bench *b =
        NLB("listener 53 { protocol = udp target-group = { dns } }\n"
            "target-group dns { target d { address = 10.0.1.9 port = 5353 }}");

    bench_push(b, "clients", "udp " CLIENT " > 10.0.0.10:53 len 7", 0);
    bench_expect(b, "to-targets", "udp " CLIENT " > 10.0.1.9:5353 len 7");
    bench_push(b, "targets", "udp 10.0.1.9:5353 > " CLIENT " len 8", S);
    bench_expect(b, "to-clients", "udp 10.0.0.10:53 > " CLIENT " len 8");
    CHECK_EQ(bench_counter(b, "active_flow_count_udp"), 1);
    drops(b, "clients", "tcp " CLIENT " > 10.0.0.10:53 S", "no_listener", S);
    /* 120 s after the last packet it is a new flow (5.2). */
    bench_push(b, "clients", "udp " CLIENT " > 10.0.0.10:53", 120 * S);
    bench_forget(b, NULL);
    CHECK_EQ(bench_counter(b, "new_flow_count"), 1);
    bench_push(b, "clients", "udp " CLIENT " > 10.0.0.10:53", 240 * S);
    bench_forget(b, NULL);
    CHECK_EQ(bench_counter(b, "new_flow_count"), 2);
    CHECK_EQ(bench_counter(b, "active_flow_count_udp"), 1);
    bench_destroy(b);
}

TEST(both_protocols_on_one_port)
{
    struct bench *b =
        NLB("listener 53 { protocol = tcp-udp target-group = { dns } }\n"
            "target-group dns { target d { address = 10.0.1.9 port = 53 } }");

    bench_push(b, "clients", "udp " CLIENT " > 10.0.0.10:53", 0);
    bench_expect(b, "to-targets", "udp " CLIENT " > 10.0.1.9:53");
    bench_push(b, "clients", "tcp " CLIENT " > 10.0.0.10:53 S", 0);
    bench_expect(b, "to-targets", "tcp " CLIENT " > 10.0.1.9:53 S");
    bench_destroy(b);
}

TEST(ipv6_clients_have_ipv6_targets)
{
    struct bench *b =
        NLB(WEB("target s { address = 2001:db8:1::1 port = 8080 }"));

    bench_push(b, "clients",
               "tcp [2001:db8:5::1]:40000 > [2001:db8::10]:80 S seq 100", 0);
    bench_expect(b, "to-targets",
                 "tcp [2001:db8:5::1]:40000 > [2001:db8:1::1]:8080 S seq 100");
    bench_push(b, "targets",
               "tcp [2001:db8:1::1]:8080 > [2001:db8:5::1]:40000 S.", 0);
    bench_expect(b, "to-clients",
                 "tcp [2001:db8::10]:80 > [2001:db8:5::1]:40000 S.");
    drops(b, "clients", "tcp " CLIENT " > 10.0.0.10:80 S", "no_target", 0);
    bench_push(b, "clients",
               "tcp [2001:db8:5::1]:4 > [2001:db8::10]:80 . seq 7 ack 9", 0);
    bench_expect(b, "to-clients",
                 "tcp [2001:db8::10]:80 > [2001:db8:5::1]:4 R seq 9");
    bench_destroy(b);
}

TEST(what_is_not_for_the_load_balancer)
{
    static const struct {
        const char *in;
        const char *packet;
        const char *reason; /* NULL: leaves on "other". */
    } rows[] = {
        {"clients", "tcp " CLIENT " > 10.0.0.11:80 S", NULL},
        {"clients", "tcp " CLIENT " > 10.0.0.10:81 S", "no_listener"},
        {"clients", "udp " CLIENT " > 10.0.0.10:80", "no_listener"},
        {"clients", "ip 192.0.2.5 > 10.0.0.10 proto 47 len 8", "no_listener"},
        {"clients", "tcp " CLIENT " > 10.0.0.10:80 S frag 0+", "fragment"},
        {"clients", "icmp 192.0.2.5 > 10.0.0.10 echo 7 seq 1",
         "unsupported_icmp"},
        {"clients",
         "icmp 192.0.2.5 > 10.0.0.10 time-exceeded 0 "
         "(udp 10.0.0.10:80 > " CLIENT " ttl 1)",
         "unsupported_icmp"},
        {"targets", "tcp 10.0.1.1:9 > " CLIENT " S", NULL},
        {"targets", "udp 10.0.1.1:8080 > " CLIENT, NULL},
        {"targets", "icmp 10.0.1.1 > 192.0.2.5 echo 7 seq 1", NULL},
        {"targets", "udp 10.0.1.1:8080 > 10.0.0.10:99", "no_flow"},
        {"targets", "udp 10.0.1.1:8080 > " CLIENT " frag 0+", "fragment"},
    };
    struct bench *b = NLB(WEB(ONE_TARGET));
    size_t i;

    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (rows[i].reason) {
            drops(b, rows[i].in, rows[i].packet, rows[i].reason, 0);
            bench_expect_none(b, NULL);
            continue;
        }
        bench_push(b, rows[i].in, rows[i].packet, 0);
        bench_expect(b, "other", rows[i].packet);
    }
    bench_destroy(b);
}

TEST(a_segment_of_no_flow_is_answered_with_a_reset)
{
    struct bench *b = NLB(WEB(ONE_TARGET));

    drops(b, "clients", "tcp " CLIENT " > 10.0.0.10:80 . seq 7 ack 9",
          "no_flow", 0);
    expect_client(b, "R seq 9");
    drops(b, "clients", "tcp " CLIENT " > 10.0.0.10:80 F seq 7 len 3",
          "no_flow", 0);
    expect_client(b, "R. seq 0 ack 11");
    drops(b, "clients", "tcp " CLIENT " > 10.0.0.10:80 R seq 7", "no_flow", 0);
    drops(b, "targets", "tcp 10.0.1.1:8080 > " CLIENT " . seq 7 ack 9",
          "no_flow", 0);
    expect_target(b, "R seq 9");
    CHECK_EQ(bench_counter(b, "tcp_elb_reset_count"), 3);
    bench_destroy(b);
}

TEST(after_the_idle_timeout_either_side_gets_a_reset)
{
    struct bench *b = NLB(WEB(ONE_TARGET));

    open_connection(b);
    client(b, ". seq 101 ack 501", 349 * S);
    expect_target(b, ".");
    target(b, ". seq 501 ack 101", 698 * S);
    expect_client(b, ".");
    target(b, ". seq 501 ack 101", 1048 * S);
    expect_target(b, "R seq 101");
    client(b, ". seq 101 ack 501", 1049 * S);
    expect_client(b, "R seq 501");
    CHECK_EQ(bench_counter(b, "active_flow_count"), 0);
    bench_destroy(b);
}

TEST(a_listener_has_its_own_idle_timeout)
{
    struct bench *b = NLB("listener 80 { target-group = { web } "
                          "tcp-idle-timeout = 60s }\n"
                          "target-group web { " ONE_TARGET " }");

    open_connection(b);
    client(b, ". seq 101 ack 501", 60 * S);
    expect_client(b, "R seq 501");
    bench_destroy(b);
}

TEST(a_target_has_30_seconds_to_answer_a_syn)
{
    struct bench *b = NLB(WEB(ONE_TARGET));

    client(b, "S seq 100", 0);
    expect_target(b, "S seq 100");
    client(b, "S seq 100", 10 * S);
    expect_target(b, "S seq 100");
    target(b, "S. seq 500 ack 101", 30 * S);
    expect_target(b, "R seq 101");
    bench_destroy(b);
}

TEST(a_closed_flow_lets_a_new_connection_begin)
{
    struct bench *b = NLB(WEB(ONE_TARGET));

    open_connection(b);
    client(b, "F. seq 101 ack 501", S);
    expect_target(b, "F.");
    CHECK_EQ(bench_counter(b, "active_flow_count"), 1);
    target(b, "F. seq 501 ack 102", S);
    expect_client(b, "F.");
    CHECK_EQ(bench_counter(b, "active_flow_count"), 0);
    client(b, ". seq 102 ack 502", 2 * S);
    expect_target(b, ". seq 102");
    client(b, "S seq 9000", 3 * S);
    expect_target(b, "S seq 9000");
    CHECK_EQ(bench_counter(b, "new_flow_count"), 2);
    client(b, "R seq 9001", 3 * S);
    expect_target(b, "R");
    CHECK_EQ(bench_counter(b, "tcp_client_reset_count"), 1);
    client(b, "S seq 9900", 4 * S);
    expect_target(b, "S seq 9900");
    target(b, "R. seq 0 ack 9901", 4 * S);
    expect_client(b, "R. ack 9901");
    CHECK_EQ(bench_counter(b, "tcp_target_reset_count"), 1);
    CHECK_EQ(bench_counter(b, "active_flow_count"), 0);
    bench_destroy(b);
}

/* ---- Which target ----------------------------------------------------- */

#define FOUR_TARGETS                                                          \
    "target t1 { address = 10.0.1.1 port = 80 }\n"                            \
    "target t2 { address = 10.0.1.2 port = 80 }\n"                            \
    "target t3 { address = 10.0.1.3 port = 80 }\n"                            \
    "target t4 { address = 10.0.1.4 port = 80 }\n"

/* Opens (S) or goes on with (.) 400 connections from as many ports; notes in
 * 'who' the last byte of the target's address of each, and counts them. */
static void
many(struct bench *b, const char *flag, uint8_t who[400], unsigned count[10])
{
    unsigned i;

    memset(count, 0, 10 * sizeof *count);
    for (i = 0; i < 400; i++) {
        char text[80];
        struct hg_packet *p;

        snprintf(text, sizeof text, "tcp 192.0.2.5:%u > 10.0.0.10:80 %s",
                 1000 + i, flag);
        bench_push(b, "clients", text, 0);
        p = bench_take(b, "to-targets");
        REQUIRE(p != NULL);
        who[i] = hg_packet_dst(p).byte[3];
        REQUIRE(who[i] < 10);
        count[who[i]]++;
    }
}

TEST(adding_or_removing_a_target_moves_no_established_flow)
{
    struct bench *b = NLB(WEB(FOUR_TARGETS));
    uint8_t before[400], after[400];
    unsigned n[10], i;

    many(b, "S", before, n);
    for (i = 1; i <= 4; i++)
        CHECK(n[i] > 60);
    bench_write(b, "register", "web t5 10.0.1.5:80");
    bench_write(b, "deregister", "web t2");
    bench_write(b, "health", "web t3 healthy");
    many(b, ".", after, n);
    CHECK_MEM(after, before, sizeof before);
    bench_destroy(b);
}

TEST(new_flows_go_to_those_that_are_registered)
{
    struct bench *b = NLB(WEB(FOUR_TARGETS));
    uint8_t who[400];
    unsigned n[10];

    bench_write(b, "register", "web t5 10.0.1.5:80");
    bench_write(b, "deregister", "web t2");
    many(b, "S", who, n);
    CHECK_EQ(n[2], 0);
    CHECK(n[1] > 60 && n[3] > 60 && n[4] > 60 && n[5] > 60);
    bench_destroy(b);
}

TEST(unhealthy_targets_get_no_new_flows_until_all_are)
{
    struct bench *b = NLB(WEB(FOUR_TARGETS));
    uint8_t who[400];
    unsigned n[10];

    bench_write(b, "health", "web t1 unhealthy");
    bench_write(b, "health", "web t2 unhealthy");
    bench_write(b, "health", "web t3 unhealthy");
    CHECK_EQ(bench_counter(b, "healthy_host_count"), 1);
    CHECK_EQ(bench_counter(b, "unhealthy_host_count"), 3);
    many(b, "S", who, n);
    CHECK_EQ(n[4], 400);
    CHECK_EQ(bench_counter(b, "unhealthy_routing_flow_count"), 0);
    bench_write(b, "health", "web t4 unhealthy");
    bench_advance(b, 400 * S);
    bench_push(b, "clients", "tcp 192.0.2.6:1 > 10.0.0.10:80 S", 400 * S);
    bench_expect(b, "to-targets", "tcp 192.0.2.6:1 > 10.0.1.*:80 S");
    CHECK_EQ(bench_counter(b, "unhealthy_routing_flow_count"), 1);
    bench_destroy(b);
}

TEST(fewer_healthy_targets_than_asked_for_open_the_group)
{
    struct bench *b =
        NLB(WEB("minimum-healthy-percentage = 50 " FOUR_TARGETS));
    uint8_t who[400];
    unsigned n[10];

    bench_write(b, "health", "web t1 unhealthy");
    bench_write(b, "health", "web t2 unhealthy");
    bench_write(b, "health", "web t3 unhealthy");
    many(b, "S", who, n);
    CHECK(n[1] > 60 && n[2] > 60 && n[3] > 60 && n[4] > 60);
    CHECK_EQ(bench_counter(b, "unhealthy_routing_flow_count"), 400);
    bench_destroy(b);
}

TEST(weights_share_flows_out)
{
    struct bench *b =
        NLB(WEB("target t1 { address = 10.0.1.1 port = 80 weight = 3 }\n"
                "target t2 { address = 10.0.1.2 port = 80 weight = 1 }\n"
                "target t3 { address = 10.0.1.3 port = 80 weight = 0 }"));
    uint8_t who[400];
    unsigned n[10];

    many(b, "S", who, n);
    CHECK(n[1] > 260 && n[1] < 340);
    CHECK_EQ(n[3], 0);
    bench_destroy(b);
}

TEST(weighted_target_groups)
{
    struct bench *b =
        NLB("listener 80 { target-group = { x, y } weight = { 3, 1 } }\n"
            "target-group x { target t1 { address = 10.0.1.1 port = 80 } }\n"
            "target-group y { target t2 { address = 10.0.1.2 port = 80 } }");
    uint8_t who[400];
    unsigned n[10];

    many(b, "S", who, n);
    CHECK(n[1] > 260 && n[1] < 340);
    CHECK_EQ(n[1] + n[2], 400);
    bench_destroy(b);
}

TEST(a_sticky_client_has_one_target)
{
    struct bench *b = NLB(WEB("stickiness = source-ip\n" FOUR_TARGETS));
    uint8_t who[400];
    unsigned n[10];

    many(b, "S", who, n);
    CHECK_EQ(n[who[0]], 400);
    bench_destroy(b);
}

TEST(a_reused_tuple_with_another_sequence_number_may_go_elsewhere)
{
    struct bench *b = NLB(WEB(FOUR_TARGETS));
    bool seen[10] = {false};
    unsigned i;

    for (i = 0; i < 40; i++) {
        char text[80];
        struct hg_packet *p;

        snprintf(text, sizeof text, "S seq %u", i * 1000);
        client(b, text, 0);
        p = bench_take(b, "to-targets");
        REQUIRE(p != NULL);
        seen[hg_packet_dst(p).byte[3] % 10] = true;
        client(b, "R", 0);
        bench_forget(b, NULL);
    }
    CHECK(seen[1] && seen[2] && seen[3] && seen[4]);
    bench_destroy(b);
}

#define TWO_ZONES                                                             \
    "target t1 { address = 10.0.1.1 port = 80 zone = a }\n"                   \
    "target t2 { address = 10.0.1.2 port = 80 zone = b }\n"                   \
    "target t3 { address = 10.0.1.3 port = 80 zone = b }\n"

TEST(a_node_uses_the_targets_of_its_zone)
{
    struct bench *b = NLB(WEB(TWO_ZONES));
    uint8_t who[400];
    unsigned n[10];

    many(b, "S", who, n);
    CHECK_EQ(n[1], 400);
    bench_push(b, "clients", "tcp " CLIENT " > 10.0.0.20:80 S", 0);
    bench_expect(b, "to-targets", "tcp " CLIENT " > 10.0.1.*:80 S");
    bench_write(b, "deregister", "web t1");
    drops(b, "clients", "tcp 192.0.2.6:1 > 10.0.0.10:80 S", "no_target", 0);
    CHECK_EQ(bench_counter(b, "rejected_flow_count"), 1);
    CHECK_EQ(bench_counter(b, "rejected_flow_count_tcp"), 1);
    bench_destroy(b);
}

TEST(cross_zone_uses_all)
{
    struct bench *b = NLB("cross-zone = true\n" WEB(TWO_ZONES));
    struct bench *c = NLB(WEB("cross-zone = true\n" TWO_ZONES));
    struct bench *d =
        NLB("cross-zone = true\n" WEB("cross-zone = false\n" TWO_ZONES));
    uint8_t who[400];
    unsigned n[10];

    many(b, "S", who, n);
    CHECK(n[1] > 90 && n[2] > 90 && n[3] > 90);
    many(c, "S", who, n);
    CHECK(n[1] > 90 && n[2] > 90 && n[3] > 90);
    many(d, "S", who, n);
    CHECK_EQ(n[1], 400);
    bench_destroy(b);
    bench_destroy(c);
    bench_destroy(d);
}

/* ---- Client addresses ------------------------------------------------- */

TEST(without_preservation_targets_see_the_node)
{
    struct bench *b = NLB(WEB("preserve-client-ip = false " ONE_TARGET));
    struct hg_packet *p;
    char text[80];
    uint16_t port;

    client(b, "S seq 100", 0);
    p = bench_take(b, "to-targets");
    REQUIRE(p != NULL);
    port = hg_packet_sport(p);
    CHECK(port >= 1024);
    snprintf(text, sizeof text, "tcp 10.0.1.1:8080 > 10.0.0.10:%u S. ack 101",
             port);
    bench_push(b, "targets", text, 0);
    expect_client(b, "S. ack 101");
    client(b, ". seq 101 ack 501", 0);
    snprintf(text, sizeof text, "tcp 10.0.0.10:%u > 10.0.1.1:8080 .", port);
    bench_expect(b, "to-targets", text);
    bench_destroy(b);
}

TEST(preservation_depends_on_type_and_protocol)
{
    struct bench *b =
        NLB("listener 80 { target-group = { tcp } }\n"
            "listener 53 { protocol = udp target-group = { udp } }\n"
            "target-group tcp { target-type = ip " ONE_TARGET " }\n"
            "target-group udp { target-type = ip " ONE_TARGET " }");

    client(b, "S", 0);
    bench_expect(b, "to-targets", "tcp 10.0.0.10:* > 10.0.1.1:8080 S");
    bench_push(b, "clients", "udp " CLIENT " > 10.0.0.10:53", 0);
    bench_expect(b, "to-targets", "udp " CLIENT " > 10.0.1.1:8080");
    bench_destroy(b);
}

TEST(connections_of_a_target_are_limited)
{
    struct bench *b = NLB("connections-per-target = 2\n" WEB(ONE_TARGET));
    struct bench *c = NLB("connections-per-target = 2\n" WEB(
        "preserve-client-ip = false " ONE_TARGET));
    unsigned i;

    for (i = 0; i < 2; i++) {
        char text[80];

        snprintf(text, sizeof text, "tcp 192.0.2.5:%u > 10.0.0.10:80 S", i);
        bench_push(b, "clients", text, 0);
        bench_push(c, "clients", text, 0);
    }
    drops(b, "clients", "tcp 192.0.2.5:9 > 10.0.0.10:80 S",
          "port_allocation_error_count", 0);
    drops(b, "clients", "tcp 192.0.2.5:9 > 10.0.0.20:80 S",
          "port_allocation_error_count", 0);
    drops(c, "clients", "tcp 192.0.2.5:9 > 10.0.0.10:80 S",
          "port_allocation_error_count", 0);
    bench_forget(c, NULL);
    bench_push(c, "clients", "tcp 192.0.2.5:9 > 10.0.0.20:80 S", 0);
    bench_expect(c, "to-targets", "tcp 10.0.0.20:* > 10.0.1.1:8080 S");
    bench_forget(b, NULL);
    bench_destroy(b);
    bench_destroy(c);
}

TEST(one_socket_through_two_nodes_collides_on_the_target)
{
    struct bench *b = NLB(WEB(ONE_TARGET));

    client(b, "S", 0);
    expect_target(b, "S");
    drops(b, "clients", "tcp " CLIENT " > 10.0.0.20:80 S", "socket_reuse", 0);
    bench_destroy(b);
}

TEST(a_target_cannot_be_its_own_client_where_clients_are_preserved)
{
    struct bench *b = NLB(WEB(ONE_TARGET));

    drops(b, "clients", "tcp 10.0.1.1:40000 > 10.0.0.10:80 S", "hairpin", 0);
    bench_destroy(b);
}

/* ---- ICMP ------------------------------------------------------------- */

TEST(unreachable_finds_the_other_side)
{
    struct bench *b = NLB(WEB(ONE_TARGET));

    open_connection(b);
    bench_push(b, "clients",
               "icmp 192.0.2.1 > 10.0.0.10 unreachable 4 mtu 1400 "
               "(tcp 10.0.0.10:80 > " CLIENT " ttl 60)",
               S);
    bench_expect(b, "to-targets",
                 "icmp 192.0.2.1 > 10.0.1.1 unreachable 4 mtu 1400 "
                 "(tcp 10.0.1.1:8080 > " CLIENT " ttl 60)");
    bench_push(b, "targets",
               "icmp 10.0.1.1 > 192.0.2.5 unreachable 3 "
               "(tcp " CLIENT " > 10.0.1.1:8080 ttl 60)",
               S);
    bench_expect(b, "to-clients",
                 "icmp 10.0.0.10 > 192.0.2.5 unreachable 3 "
                 "(tcp " CLIENT " > 10.0.0.10:80 ttl 60)");
    bench_destroy(b);
}

/* ---- Health ----------------------------------------------------------- */

TEST(checks_count_up_to_their_thresholds)
{
    struct bench *b = NLB(WEB("healthy-threshold = 3 " FOUR_TARGETS));
    unsigned i;

    bench_write(b, "check", "web t1 failed");
    CHECK_EQ(bench_counter(b, "healthy_host_count"), 4);
    bench_write(b, "check", "web t1 ok");
    bench_write(b, "check", "web t1 failed");
    CHECK_EQ(bench_counter(b, "healthy_host_count"), 4);
    bench_write(b, "check", "web t1 failed");
    CHECK_EQ(bench_counter(b, "healthy_host_count"), 3);
    for (i = 0; i < 2; i++)
        bench_write(b, "check", "web t1 ok");
    CHECK_EQ(bench_counter(b, "healthy_host_count"), 3);
    bench_write(b, "check", "web t1 ok");
    CHECK_EQ(bench_counter(b, "healthy_host_count"), 4);
    bench_destroy(b);
}

/* t2 is there so that not all are unhealthy; flows go to t1. */
#define T1_AND_IDLE                                                           \
    ONE_TARGET "target t2 { address = 10.0.1.2 port = 8080 weight = 0 }\n"

TEST(connections_of_an_unhealthy_target_are_reset)
{
    struct bench *b = NLB(WEB(T1_AND_IDLE));

    open_connection(b);
    client(b, "P. seq 101 ack 501 len 9", S);
    expect_target(b, "P.");
    bench_write(b, "health", "web t1 unhealthy");
    bench_advance(b, 2 * S);
    /* Back to where the connection came from, and on as it went. */
    expect_client(b, "R seq 501 smac 02:00:00:00:00:02 "
                     "dmac 02:00:00:00:00:01");
    expect_target(b, "R seq 101 smac 02:00:00:00:00:01 "
                     "dmac 02:00:00:00:00:02");
    CHECK_EQ(bench_counter(b, "active_flow_count"), 0);
    CHECK_EQ(bench_counter(b, "tcp_elb_reset_count"), 2);
    bench_destroy(b);
}

TEST(a_connection_that_waits_is_refused_when_its_target_is_unhealthy)
{
    struct bench *b = NLB(WEB(T1_AND_IDLE));

    client(b, "S seq 100", 0);
    expect_target(b, "S");
    bench_write(b, "health", "web t1 unhealthy");
    bench_advance(b, S);
    expect_client(b, "R. seq 0 ack 101");
    bench_destroy(b);
}

TEST(connections_stay_where_all_are_unhealthy_or_if_told)
{
    struct bench *b = NLB(WEB(ONE_TARGET));
    struct bench *c = NLB(WEB("unhealthy-termination = false " T1_AND_IDLE));

    open_connection(b);
    open_connection(c);
    bench_write(b, "health", "web t1 unhealthy");
    bench_write(c, "health", "web t1 unhealthy");
    client(b, ". seq 101 ack 501", S);
    expect_target(b, ".");
    client(c, ". seq 101 ack 501", S);
    expect_target(c, ".");
    bench_destroy(b);
    bench_destroy(c);
}

TEST(the_drain_interval_delays_resets_and_recovery_prevents_them)
{
    struct bench *b = NLB(WEB("unhealthy-drain = 10s " T1_AND_IDLE));

    open_connection(b);
    bench_write(b, "health", "web t1 unhealthy");
    CHECK(strstr(bench_read(b, "targets", "web"), "unhealthy.draining"));
    bench_advance(b, 9 * S);
    bench_expect_none(b, NULL);
    bench_write(b, "health", "web t1 healthy");
    bench_advance(b, 20 * S);
    bench_expect_none(b, NULL);
    bench_write(b, "health", "web t1 unhealthy");
    bench_advance(b, 31 * S);
    expect_client(b, "R");
    expect_target(b, "R");
    bench_destroy(b);
}

TEST(deregistration_lets_connections_go_on)
{
    struct bench *b = NLB(WEB("deregistration-delay = 100s " T1_AND_IDLE));

    open_connection(b);
    bench_write(b, "deregister", "web t1");
    CHECK(strstr(bench_read(b, "targets", ""), "\"draining\""));
    client(b, ". seq 101 ack 501", 99 * S);
    expect_target(b, ".");
    client(b, ". seq 101 ack 501", 101 * S);
    expect_target(b, ".");
    CHECK(!strstr(bench_read(b, "targets", ""), "t1"));
    bench_destroy(b);
}

TEST(deregistration_may_end_connections)
{
    struct bench *b =
        NLB(WEB("deregistration-delay = 100s "
                "deregistration-termination = true " T1_AND_IDLE));

    open_connection(b);
    bench_write(b, "deregister", "web t1");
    bench_advance(b, 99 * S);
    bench_expect_none(b, NULL);
    bench_advance(b, 101 * S);
    expect_client(b, "R seq 501");
    expect_target(b, "R seq 101");
    bench_destroy(b);
}

/* ---- The PROXY header ------------------------------------------------- */

#define PROXY WEB("proxy-protocol-v2 = true " ONE_TARGET)

static void
check_header(const struct hg_packet *p, const char *endpoint)
{
    uint8_t expected[HG_PROXY_V2_LEN4];
    struct hg_proxy_v2 proxy = {.src = {4, {192, 0, 2, 5}},
                                .dst = {4, {10, 0, 0, 10}},
                                .sport = 40000,
                                .dport = 80,
                                .endpoint = endpoint};

    REQUIRE(p != NULL && hg_packet_tcp(p) != NULL);
    hg_proxy_v2_write(&proxy, expected);
    CHECK_EQ(hg_packet_l4_len(p), 20 + sizeof expected);
    CHECK_MEM(hg_packet_l4(p) + 20, expected, sizeof expected);
    CHECK(hg_packet_l4_checksum_ok(p));
}

TEST(a_proxy_header_goes_ahead_of_the_first_data)
{
    struct bench *b = NLB(PROXY);
    struct hg_packet *p;

    open_connection(b);
    client(b, "P. seq 101 ack 501 len 30", S);
    p = bench_take(b, "to-targets");
    check_header(p, NULL);
    CHECK_EQ(hg_get32(hg_packet_tcp(p)->seq), 101);
    CHECK_EQ(hg_get32(hg_packet_tcp(p)->ack), 501);
    expect_target(b, "P. seq 201 ack 501 len 30");
    /* The header alone is no news to the client. */
    target(b, ". seq 501 ack 201", S);
    expect_client(b, ". seq 501 ack 101");
    target(b, ". seq 501 ack 231", S);
    expect_client(b, ". seq 501 ack 131");
    client(b, "P. seq 131 ack 501 len 5", S);
    expect_target(b, "P. seq 231 ack 501 len 5");
    client(b, "F. seq 136 ack 501", S);
    expect_target(b, "F. seq 236");
    bench_destroy(b);
}

TEST(a_lost_proxy_header_is_sent_again_with_the_first_data)
{
    struct bench *b = NLB(PROXY);

    open_connection(b);
    client(b, "P. seq 101 ack 501 len 30", S);
    check_header(bench_take(b, "to-targets"), NULL);
    expect_target(b, "P. seq 201");
    target(b, ". seq 501 ack 101", S);
    expect_client(b, ". ack 101");
    client(b, "P. seq 131 ack 501 len 30", S);
    expect_target(b, "P. seq 231");
    client(b, "P. seq 101 ack 501 len 30", 2 * S);
    check_header(bench_take(b, "to-targets"), NULL);
    expect_target(b, "P. seq 201");
    bench_destroy(b);
}

TEST(the_proxy_header_names_the_endpoint)
{
    struct bench *b = bench_load(
        "TestSource clients {} TestSink to-targets {} TestSink c {}\n"
        "TestSource t {}\n"
        "NLB dut { node a { address = { 10.0.0.10 } "
        "endpoint = vpce-08d2bf15fac5001c9 } " PROXY " }\n"
        "connect(\"clients -> [clients]dut[clients] -> c; "
        "t -> [targets]dut[targets] -> to-targets\")");

    client(b, "S seq 100", 0);
    /* PrivateLink: never preserved (5.3). */
    bench_expect(b, "to-targets", "tcp 10.0.0.10:* > 10.0.1.1:8080 S");
    client(b, "P. seq 101 ack 501 len 30", 0);
    check_header(bench_take(b, "to-targets"), "vpce-08d2bf15fac5001c9");
    bench_expect(b, "to-targets", "tcp 10.0.0.10:* > 10.0.1.1:8080 seq 201");
    bench_destroy(b);
}

TEST(selective_acknowledgements_shrink_with_the_header)
{
    /* NOP, and so at an odd place: SACK of 331-431. */
    static const uint8_t options[] = {1,    5, 10, 0, 0,    1,
                                      0x4b, 0, 0,  1, 0xaf, 0};
    struct bench *b = NLB(PROXY);
    struct hg_packet *p;
    struct hg_error error;
    uint8_t *tcp;

    open_connection(b);
    client(b, "P. seq 101 ack 501 len 30", S);
    bench_forget(b, "to-targets");
    p = notation_parse(bench_pool(b),
                       "tcp 10.0.1.1:8080 > " CLIENT " . ack 231 len 12",
                       &error);
    REQUIRE(p != NULL);
    tcp = hg_packet_l4(p);
    memcpy(tcp + 20, options, sizeof options);
    ((struct hg_tcp *)tcp)->data_offset = 8 << 4;
    hg_packet_set_checksums(p);
    bench_push_packet(b, "targets", p, S);
    p = bench_take(b, "to-clients");
    REQUIRE(p != NULL);
    CHECK(hg_packet_l4_checksum_ok(p));
    tcp = hg_packet_l4(p);
    CHECK_EQ(hg_load32(tcp + 8), 131);
    CHECK_EQ(hg_load32(tcp + 23), 231);
    CHECK_EQ(hg_load32(tcp + 27), 331);
    bench_destroy(b);
}

TEST(resets_of_ours_know_of_the_header)
{
    struct bench *b = NLB(WEB("proxy-protocol-v2 = true " T1_AND_IDLE));

    open_connection(b);
    client(b, "P. seq 101 ack 501 len 30", S);
    bench_forget(b, "to-targets");
    target(b, ". seq 501 ack 231", S);
    expect_client(b, ". ack 131");
    bench_write(b, "health", "web t1 unhealthy");
    bench_advance(b, 2 * S);
    expect_client(b, "R seq 501");
    expect_target(b, "R seq 231");
    bench_destroy(b);
}

TEST(a_syn_with_data_has_no_place_for_a_header)
{
    struct bench *b = NLB(PROXY);

    drops(b, "clients", "tcp " CLIENT " > 10.0.0.10:80 S len 4",
          "syn_with_data", 0);
    bench_destroy(b);
}

/* ---- Tenants ---------------------------------------------------------- */

TEST(a_load_balancer_in_a_vpc_is_not_seen_from_others)
{
    static const char packet[] = "tcp " CLIENT " > 10.0.0.10:80 S";
    struct bench *b = bench_load(
        "TestSource clients {} TestSink to-targets {} TestSink c {}\n"
        "TestSource t {} TestSink other {}\n"
        "MappingService map { vpc vpc-1 { vni = 1 cidr = 10.0.0.0/16 }\n"
        "                     vpc vpc-2 { vni = 2 cidr = 10.0.0.0/16 } }\n"
        "NLB dut { node a { address = { 10.0.0.10 } } vpc = vpc-2\n" WEB(
            ONE_TARGET) " }\n"
                        "connect(\"clients -> [clients]dut[clients] -> c; "
                        "t -> [targets]dut[targets] -> to-targets; dut[other] "
                        "-> other\")");
    struct hg_error error;
    unsigned vpc;

    for (vpc = 1; vpc <= 2; vpc++) {
        struct hg_packet *p = notation_parse(bench_pool(b), packet, &error);

        REQUIRE(p != NULL);
        p->vpc = vpc;
        bench_push_packet(b, "clients", p, 0);
    }
    bench_expect(b, "other", "tcp " CLIENT " > 10.0.0.10:80 S vpc 1");
    bench_expect(b, "to-targets", "tcp " CLIENT " > 10.0.1.1:8080 S vpc 2");
    bench_destroy(b);
}

/* ---- Files ------------------------------------------------------------ */

#define FILE_GRAPH                                                            \
    "TestSource in {} TestSource back {} TestSink out {}\n"                   \
    "NLB dut { node a { address = { 10.0.0.10 } } file = \"%s\"\n" WEB(       \
        "") " }\nconnect(\"in -> [clients]dut[clients] -> out\")\n"           \
            "connect(\"back -> [targets]dut[targets] -> out\")"

TEST(targets_come_from_files_too)
{
    static const char *const texts[][2] = {
        {".csv", "group,target,address,port,zone,weight\n"
                 "web,t1,10.0.1.1,8080,a,5\n"
                 "web,t2,10.0.1.2,8081,,\n"},
        {".json", "[{\"group\": \"web\", \"target\": \"t1\", \"address\": "
                  "\"10.0.1.1\", \"port\": 8080, \"zone\": \"a\", "
                  "\"weight\": 5}, {\"group\": \"web\", \"target\": \"t2\", "
                  "\"address\": \"10.0.1.2\", \"port\": 8081}]"}};
    size_t i;

    for (i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        char path[TEST_PATH], graph[512];
        struct bench *b;

        test_write_file(path, texts[i][0], texts[i][1]);
        snprintf(graph, sizeof graph, FILE_GRAPH, path);
        b = bench_load(graph);
        CHECK_STR(bench_read(b, "targets", "web"),
                  "{\"group\": \"web\", \"target\": \"t1\", \"address\": "
                  "\"10.0.1.1\", \"port\": 8080, \"zone\": \"a\", "
                  "\"weight\": 5, \"state\": \"healthy\", \"flows\": 0}\n"
                  "{\"group\": \"web\", \"target\": \"t2\", \"address\": "
                  "\"10.0.1.2\", \"port\": 8081, \"zone\": \"all\", "
                  "\"weight\": 1, \"state\": \"healthy\", \"flows\": 0}");
        bench_destroy(b);
        unlink(path);
    }
}

TEST(mistakes_in_files_of_targets_have_their_place)
{
    char path[TEST_PATH], graph[512], expected[512];

    test_write_file(path, ".csv",
                    "group,target,address,port,zone\n"
                    "web,t1,10.0.1,8080,\n"
                    "app,t1,10.0.1.1,8080,\n"
                    "web,t1,10.0.1.1,0,\n"
                    "web,t1,10.0.1.1,80,b\n"
                    "web,t1,,80,\n"
                    "web,t1,10.0.1.1,80,a\n"
                    "web,t2,10.0.1.1,80,a\n");
    snprintf(graph, sizeof graph, FILE_GRAPH, path);
    snprintf(expected, sizeof expected,
             "*%1$s:2:8:*'10.0.1' is not an address*"
             "%1$s:3:1:*no target group 'app'*"
             "%1$s:4:17:*'0' is not a number from 1 to 65535*"
             "%1$s:5:*no node stands in zone 'b'*"
             "%1$s:6:8:*'' is not an address*"
             "%1$s:8:*another one has address 10.0.1.1 and port 80*",
             path);
    bench_refuses(graph, expected);
    unlink(path);
}

/* ---- Mistakes --------------------------------------------------------- */

#define REFUSED(text)                                                         \
    "TestSource in {} TestSource back {} TestSink out {}\n"                   \
    "NLB dut { node a { address = { 10.0.0.10 } }\n" text "}\n"               \
    "connect(\"in -> [clients]dut[clients] -> out\")"

TEST(load_balancers_that_cannot_be_are_refused)
{
    static const struct {
        const char *text;
        const char *expected;
    } rows[] = {
        {REFUSED("maglev-table-size = 65536"), "*65536 is not a prime*"},
        {REFUSED("listener 80 { target-group = { web } }"),
         "*no target group 'web'*"},
        {REFUSED("target-group web { target t { address = 10.0.1.1 port = 1 "
                 "zone = b } }"),
         "*target 't': no node stands in zone 'b'*"},
        {REFUSED("target-group web { target t { address = 10.0.1.1 port = 1 }"
                 " target u { address = 10.0.1.1 port = 1 } }"),
         "*target 'u': another one has address 10.0.1.1 and port 1*"},
        {REFUSED("target-group web { target t { address = 10.0.1.1 port = 1 }"
                 " target u { address = 2001:db8::1 port = 1 } }"),
         "*2001:db8::1 is not an IPv4 address*"},
        {REFUSED("listener 80 { target-group = { w } weight = { 1, 2 } }\n"
                 "target-group w { }"),
         "*2 weights for 1 target groups*"},
        {REFUSED("listener 80 { protocol = udp target-group = { w } }\n"
                 "target-group w { target-type = ip "
                 "preserve-client-ip = false }"),
         "*must preserve clients*"},
        {REFUSED("listener 80 { target-group = { w } }\n"
                 "listener 80 { target-group = { w } }\n"
                 "target-group w { }"),
         "*port 80 has a listener already*"},
    };
    size_t i;

    for (i = 0; i < sizeof rows / sizeof *rows; i++)
        bench_refuses(rows[i].text, rows[i].expected);
}

#define TO_US WEB("target us { address = 10.0.9.9 port = 80 }\n")
#define TO_ONE WEB(ONE_TARGET)
#define TWO_IN_A_ROW                                                          \
    "TestSource clients {} TestSource astray {}\n"                            \
    "TestSource t1 {} TestSource t2 {}\n"                                     \
    "TestSink to-targets {} TestSink other {} TestSink c {}\n"                \
    "NLB first { node a { address = { 10.0.0.10 } }\n" TO_US "}\n"            \
    "NLB dut { node a { address = { 10.0.9.9 } }\n" TO_ONE "}\n"              \
    "connect(\"clients -> [clients]first[targets] -> [clients]dut\")\n"       \
    "connect(\"astray -> [clients]dut; dut[targets] -> to-targets\")\n"       \
    "connect(\"dut[other] -> other; dut[clients] -> c\")\n"                   \
    "connect(\"t1 -> [targets]first; first[clients] -> c\")\n"                \
    "connect(\"t2 -> [targets]dut\")"

/* What another load balancer sent here is of one flow with what came to that
 * one; which is not for us. */
TEST(a_packet_of_a_flow_that_came_translated_is_not_for_us_as_it_was)
{
    struct bench *b = bench_load(TWO_IN_A_ROW);

    client(b, "S seq 100", 0);
    expect_target(b, "S");
    client(b, ". seq 101 ack 1", 0);
    expect_target(b, ".");
    bench_push(b, "astray", "tcp " CLIENT " > 10.0.0.10:80 . seq 101 ack 1",
               0);
    bench_expect(b, "other", "tcp " CLIENT " > 10.0.0.10:80 .");
    bench_destroy(b);
}
