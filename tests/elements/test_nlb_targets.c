/* test_nlb_targets.c: which target a new flow gets from NLB. */
#include "harness.h"
#include "nlb_graph.h"

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

TEST(a_weight_that_is_none_is_refused)
{
    static const char *const words[] = {"1000", "-1", "2x", "x"};
    struct bench *b = NLB(WEB(FOUR_TARGETS));
    char text[80];
    size_t i;

    for (i = 0; i < 4; i++) {
        struct hg_error error = {""};

        snprintf(text, sizeof text, "web t5 10.0.1.5:80 all %s", words[i]);
        CHECK(!hg_element_write(hg_graph_find(bench_graph(b), "dut"),
                                "register", text, &error));
        snprintf(text, sizeof text, "'%s' is not a number from 0 to 999",
                 words[i]);
        CHECK_STR(error.text, text);
    }
    bench_write(b, "register", "web t5 10.0.1.5:80 all 999");
    CHECK(strstr(bench_read(b, "targets", ""), "\"weight\": 999"));
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
