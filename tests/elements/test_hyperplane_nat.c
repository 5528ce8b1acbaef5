/* test_hyperplane_nat.c: HyperplaneNAT packet by packet.  Where a test needs
 * to know the external port it allows a single one, 7000. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"
#include "nat_table.h"
#include "notation.h"

#define S (HG_SEC)

/* A handshake between 10.0.0.5:40000 and 203.0.113.9:443 at START. */
static void
open_connection(struct bench *b)
{
    bench_push(b, "inside", "tcp 10.0.0.5:40000 > 203.0.113.9:443 S", 0);
    bench_expect(b, "outside", "tcp 198.51.100.1:7000 > 203.0.113.9:443 S");
    bench_push(b, "outside", "tcp 203.0.113.9:443 > 198.51.100.1:7000 S.", 0);
    bench_expect(b, "inside", "tcp 203.0.113.9:443 > 10.0.0.5:40000 S.");
    bench_push(b, "inside", "tcp 10.0.0.5:40000 > 203.0.113.9:443 .", 0);
    bench_expect(b, "outside", "tcp 198.51.100.1:7000 > 203.0.113.9:443 .");
}

/* One packet in, which is dropped for this reason. */
static void
drops(struct bench *b, const char *in, const char *packet, const char *reason,
      uint64_t time_ns)
{
    uint64_t before = bench_counter(b, reason);
    uint64_t all = bench_counter(b, "packets_drop_count");

    bench_push(b, in, packet, time_ns);
    bench_expect_none(b, NULL);
    if (bench_counter(b, reason) != before + 1)
        FAIL("'%s' is not dropped as %s", packet, reason);
    CHECK_EQ(bench_counter(b, "packets_drop_count"), all + 1);
}

/* ---- Translation ------------------------------------------------------ */

TEST(udp_goes_out_and_its_answer_comes_back)
{
    struct bench *b = NAT();

    bench_push(b, "inside", "udp 10.0.0.5:40000 > 203.0.113.9:53 len 30", 0);
    bench_expect(b, "outside",
                 "udp 198.51.100.1:7000 > 203.0.113.9:53 len 30 ttl 64");
    bench_push(b, "outside", "udp 203.0.113.9:53 > 198.51.100.1:7000 len 99",
               S);
    bench_expect(b, "inside",
                 "udp 203.0.113.9:53 > 10.0.0.5:40000 len 99 ttl 64");
    CHECK_EQ(bench_counter(b, "active_connection_count"), 1);
    bench_destroy(b);
}

TEST(ping_goes_out_with_another_identifier_and_comes_back)
{
    struct bench *b = NAT();

    bench_push(b, "inside", "icmp 10.0.0.5 > 203.0.113.9 echo 7 seq 1 len 56",
               0);
    bench_expect(b, "outside",
                 "icmp 198.51.100.1 > 203.0.113.9 echo 7000 seq 1 len 56");
    bench_push(b, "outside",
               "icmp 203.0.113.9 > 198.51.100.1 reply 7000 seq 1 len 56", S);
    bench_expect(b, "inside",
                 "icmp 203.0.113.9 > 10.0.0.5 reply 7 seq 1 len 56");
    bench_destroy(b);
}

TEST(udp_without_checksum_stays_without)
{
    struct bench *b = NAT();
    struct hg_packet *p;
    struct hg_udp *udp;

    bench_push(b, "inside", "udp 10.0.0.5:40000 > 203.0.113.9:53 len 3", 0);
    p = hg_packet_copy(bench_take(b, "outside"));
    REQUIRE(p != NULL);
    bench_push(b, "outside", "udp 203.0.113.9:53 > 198.51.100.1:7000 len 3",
               0);
    bench_forget(b, "inside");
    udp = hg_packet_udp(p);
    udp->checksum = hg_be16_of(0);
    hg_packet_set_src(p, &(struct hg_addr){4, {10, 0, 0, 5}});
    udp->sport = hg_be16_of(40000);
    bench_push_packet(b, "inside", p, 0);
    p = bench_take(b, "outside");
    REQUIRE(p && hg_packet_udp(p));
    CHECK_EQ(hg_get16(hg_packet_udp(p)->checksum), 0);
    bench_destroy(b);
}

TEST(every_source_port_keeps_the_udp_checksum_right)
{
    struct bench *b = NAT_CREATE("public=198.51.100.1", "public=198.51.100.2");
    unsigned port;

    for (port = 1; port < 65536; port += 61) {
        char text[80];

        snprintf(text, sizeof(text), "udp 10.0.0.5:%u > 203.0.113.9:53 len %u",
                 port, port % 3);
        bench_push(b, "inside", text, 0);
        bench_expect(b, "outside", "udp 198.51.100.*:* > 203.0.113.9:53");
    }
    bench_destroy(b);
}

TEST(a_wrong_checksum_stays_wrong)
{
    struct bench *b = NAT();

    bench_push(b, "inside",
               "udp 10.0.0.5:40000 > 203.0.113.9:53 len 8 bad-checksum", 0);
    bench_expect(b, "outside",
                 "udp 198.51.100.1:7000 > 203.0.113.9:53 bad-checksum");
    bench_destroy(b);
}

TEST(two_clients_to_one_server_get_distinct_ports)
{
    struct bench *b = NAT_CREATE("public=198.51.100.1", "ports=7000-7001");
    uint16_t port[2];
    unsigned i;

    for (i = 0; i < 2; i++) {
        struct hg_packet *p;

        bench_push(b, "inside",
                   i ? "udp 10.0.0.6:40000 > 203.0.113.9:53"
                     : "udp 10.0.0.5:40000 > 203.0.113.9:53",
                   0);
        p = bench_take(b, "outside");
        REQUIRE(p != NULL);
        port[i] = hg_packet_sport(p);
    }
    CHECK(port[0] != port[1]);
    drops(b, "inside", "udp 10.0.0.7:40000 > 203.0.113.9:53",
          "error_port_allocation", 0);
    bench_push(b, "inside", "udp 10.0.0.7:40000 > 203.0.113.9:54", 0);
    bench_expect(b, "outside", "udp 198.51.100.1:700* > 203.0.113.9:54");
    bench_push(b, "inside", "udp 10.0.0.7:40000 > 203.0.113.8:53", 0);
    bench_expect(b, "outside", "udp 198.51.100.1:700* > 203.0.113.8:53");
    bench_push(b, "inside", "tcp 10.0.0.7:40000 > 203.0.113.9:53 S", 0);
    bench_expect(b, "outside", "tcp 198.51.100.1:700* > 203.0.113.9:53");
    bench_destroy(b);
}

TEST(a_second_public_address_takes_over_when_the_first_is_exhausted)
{
    struct bench *b = NAT_CREATE("public=198.51.100.1 198.51.100.2",
                                 "connections-per-destination=2");
    unsigned n[3] = {0};
    unsigned i;

    for (i = 0; i < 4; i++) {
        char text[80];
        struct hg_packet *p;
        struct hg_addr src;

        snprintf(text, sizeof(text), "udp 10.0.0.5:%u > 203.0.113.9:53", i);
        bench_push(b, "inside", text, 0);
        p = bench_take(b, "outside");
        REQUIRE(p != NULL);
        src = hg_packet_src(p);
        REQUIRE(src.byte[3] == 1 || src.byte[3] == 2);
        n[src.byte[3]]++;
    }
    CHECK_EQ(n[1], 2);
    CHECK_EQ(n[2], 2);
    drops(b, "inside", "udp 10.0.0.5:9 > 203.0.113.9:53",
          "error_port_allocation", 0);
    bench_destroy(b);
}

TEST(what_is_not_for_a_nat_gateway_has_a_reason_each)
{
    static const struct {
        const char *in;
        const char *packet;
        const char *reason;
    } rows[] = {
        {"inside", "ip 10.0.0.5 > 203.0.113.9 proto 47 len 8",
         "unsupported_protocol"},
        {"inside", "udp [2001:db8::1]:1 > [2001:db8::2]:2", "not_ipv4"},
        {"inside", "udp 10.0.0.5:1 > 198.51.100.1:7000", "hairpin"},
        {"inside", "udp 10.1.0.5:1 > 203.0.113.9:53", "not_inside"},
        {"inside", "icmp 10.0.0.5 > 203.0.113.9 reply 7 seq 1",
         "unsupported_icmp"},
        {"inside", "icmp 10.0.0.5 > 203.0.113.9 type 13 code 0",
         "unsupported_icmp"},
        {"inside", "icmp 10.0.0.5 > 203.0.113.9 echo 7 seq 1 frag 0+",
         "icmp_fragment"},
        {"inside", "tcp 10.0.0.5:1 > 203.0.113.9:80 S frag 0+",
         "tcp_fragment"},
        {"inside", "ip 10.0.0.5 > 203.0.113.9 proto 6 frag 1480 len 8",
         "tcp_fragment"},
        {"inside", "ip 10.0.0.5 > 203.0.113.9 proto 1 frag 1480 len 8",
         "icmp_fragment"},
        {"inside", "ip 10.0.0.5 > 203.0.113.9 proto 17 len 4", "truncated"},
        {"inside", "tcp 10.0.0.5:1 > 203.0.113.9:80 R", "no_connection"},
        {"inside", "udp 10.0.0.5:1 > 203.0.113.9:80 frag 0+ len 8",
         "error_port_allocation"},
        {"outside", "udp 203.0.113.9:53 > 198.51.100.1:7001",
         "unknown_inbound"},
        {"outside", "tcp 203.0.113.9:53 > 198.51.100.1:7000 S",
         "unknown_inbound"},
        {"outside", "udp 203.0.113.8:80 > 198.51.100.1:7000",
         "unknown_inbound"},
        {"outside", "udp 203.0.113.9:53 > 198.51.100.2:7000",
         "wrong_destination"},
        {"outside", "icmp 203.0.113.9 > 198.51.100.1 echo 7000 seq 1",
         "ping_to_gateway"},
        {"outside", "icmp 203.0.113.9 > 198.51.100.1 reply 7000 seq 1",
         "unknown_inbound"},
        {"outside", "icmp 203.0.113.9 > 198.51.100.1 type 13 code 0",
         "unsupported_icmp"},
        {"outside", "ip 203.0.113.9 > 198.51.100.1 proto 50 len 8",
         "unsupported_protocol"},
        {"outside", "tcp 203.0.113.9:53 > 198.51.100.1:7000 S frag 0+",
         "tcp_fragment"},
    };
    struct bench *b = NAT("inside=10.0.0.0/24");
    size_t i;

    bench_push(b, "inside", "udp 10.0.0.9:1 > 203.0.113.9:80", 0);
    bench_expect(b, "outside", "udp 198.51.100.1:7000 > 203.0.113.9:80");
    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        drops(b, rows[i].in, rows[i].packet, rows[i].reason, 0);
    bench_destroy(b);
}

/* ---- TCP and time ----------------------------------------------------- */

TEST(a_connection_lives_while_it_is_used)
{
    struct bench *b = NAT();
    unsigned i;

    open_connection(b);
    for (i = 1; i < 5; i++) {
        bench_push(b, i % 2 ? "inside" : "outside",
                   i % 2 ? "tcp 10.0.0.5:40000 > 203.0.113.9:443 ."
                         : "tcp 203.0.113.9:443 > 198.51.100.1:7000 .",
                   i * 349 * S);
        bench_forget(b, NULL);
    }
    CHECK_EQ(bench_counter(b, "connection_attempt_count"), 1);
    CHECK_EQ(bench_counter(b, "connection_established_count"), 1);
    CHECK_EQ(bench_counter(b, "active_connection_count"), 1);
    CHECK_EQ(bench_counter(b, "idle_timeout_count"), 0);
    bench_advance(b, 4 * 349 * S + 351 * S);
    CHECK_EQ(bench_counter(b, "active_connection_count"), 0);
    CHECK_EQ(bench_counter(b, "idle_timeout_count"), 1);
    bench_destroy(b);
}

TEST(an_expired_connection_is_answered_with_a_reset)
{
    struct bench *b = NAT();

    open_connection(b);
    bench_push(b, "inside",
               "tcp 10.0.0.5:40000 > 203.0.113.9:443 . seq 5000 ack 777",
               350 * S - 1);
    bench_forget(b, NULL);
    bench_push(b, "inside",
               "tcp 10.0.0.5:40000 > 203.0.113.9:443 P. seq 5000 ack 777 "
               "len 10",
               700 * S - 1 + LATE);
    bench_expect(b, "inside",
                 "tcp 203.0.113.9:443 > 10.0.0.5:40000 R seq 777 len 0");
    CHECK_EQ(bench_counter(b, "no_connection"), 1);
    CHECK_EQ(bench_counter(b, "idle_timeout_count"), 1);
    bench_push(b, "outside", "tcp 203.0.113.9:443 > 198.51.100.1:7000 .",
               700 * S + LATE);
    CHECK_EQ(bench_counter(b, "unknown_inbound"), 1);
    bench_push(b, "inside",
               "tcp 10.0.0.5:40000 > 203.0.113.9:443 F seq 5000 len 10",
               700 * S + LATE);
    bench_expect(b, "inside",
                 "tcp 203.0.113.9:443 > 10.0.0.5:40000 R. ack 5011");
    drops(b, "inside", "tcp 10.0.0.5:40000 > 203.0.113.9:443 R.",
          "no_connection", 700 * S + LATE);
    CHECK_EQ(bench_counter(b, "resets_sent"), 2);
    bench_destroy(b);
}

TEST(without_the_option_nothing_is_answered)
{
    struct bench *b = NAT("rst-on-expired=false");

    drops(b, "inside", "tcp 10.0.0.5:40000 > 203.0.113.9:443 .",
          "no_connection", 0);
    bench_destroy(b);
}

TEST(a_port_is_free_again_when_its_flow_ran_out)
{
    struct bench *b = NAT("udp-timeout=10s");

    bench_push(b, "inside", "udp 10.0.0.5:1 > 203.0.113.9:53", 0);
    bench_forget(b, NULL);
    drops(b, "inside", "udp 10.0.0.6:1 > 203.0.113.9:53",
          "error_port_allocation", 10 * S - 1);
    bench_push(b, "inside", "udp 10.0.0.6:1 > 203.0.113.9:53", 10 * S + LATE);
    bench_expect(b, "outside", "udp 198.51.100.1:7000 > 203.0.113.9:53");
    bench_push(b, "outside", "udp 203.0.113.9:53 > 198.51.100.1:7000",
               10 * S + LATE);
    bench_expect(b, "inside", "udp 203.0.113.9:53 > 10.0.0.6:1");
    CHECK_EQ(bench_counter(b, "idle_timeout_count"), 1);
    bench_destroy(b);
}

TEST(an_unanswered_syn_waits_as_long_as_opening_may_take)
{
    struct bench *b = NAT("tcp-opening-timeout=5s");

    bench_push(b, "inside", "tcp 10.0.0.5:1 > 203.0.113.9:80 S", 0);
    bench_push(b, "inside", "tcp 10.0.0.5:1 > 203.0.113.9:80 S", 3 * S);
    bench_forget(b, NULL);
    bench_push(b, "outside", "tcp 203.0.113.9:80 > 198.51.100.1:7000 S.",
               8 * S - 1);
    bench_expect(b, "inside", "tcp 203.0.113.9:80 > 10.0.0.5:1 S.");
    CHECK_EQ(bench_counter(b, "connection_attempt_count"), 1);
    bench_push(b, "inside", "tcp 10.0.0.6:1 > 203.0.113.8:80 S", 8 * S);
    bench_forget(b, NULL);
    drops(b, "outside", "tcp 203.0.113.8:80 > 198.51.100.1:7000 S.",
          "unknown_inbound", 13 * S + LATE);
    bench_destroy(b);
}

TEST(after_both_fins_a_connection_stays_for_the_closing_timeout)
{
    struct bench *b = NAT("tcp-closing-timeout=60s");

    open_connection(b);
    bench_push(b, "inside", "tcp 10.0.0.5:40000 > 203.0.113.9:443 F.", S);
    bench_push(b, "outside", "tcp 203.0.113.9:443 > 198.51.100.1:7000 .",
               100 * S);
    bench_push(b, "outside", "tcp 203.0.113.9:443 > 198.51.100.1:7000 F.",
               101 * S);
    bench_push(b, "inside", "tcp 10.0.0.5:40000 > 203.0.113.9:443 .", 102 * S);
    CHECK_EQ(bench_waiting(b, "outside"), 2);
    CHECK_EQ(bench_waiting(b, "inside"), 2);
    bench_forget(b, NULL);
    bench_push(b, "outside", "tcp 203.0.113.9:443 > 198.51.100.1:7000 F.",
               161 * S - 1);
    bench_expect(b, "inside", "tcp 203.0.113.9:443 > 10.0.0.5:40000 F.");
    drops(b, "outside", "tcp 203.0.113.9:443 > 198.51.100.1:7000 F.",
          "unknown_inbound", 161 * S + LATE);
    CHECK_EQ(bench_counter(b, "idle_timeout_count"), 0);
    bench_destroy(b);
}

TEST(a_closed_connection_may_begin_again_from_the_same_port)
{
    struct bench *b = NAT();

    open_connection(b);
    bench_push(b, "outside", "tcp 203.0.113.9:443 > 198.51.100.1:7000 R", S);
    bench_expect(b, "inside", "tcp 203.0.113.9:443 > 10.0.0.5:40000 R");
    bench_push(b, "inside", "tcp 10.0.0.5:40000 > 203.0.113.9:443 S", 2 * S);
    bench_expect(b, "outside", "tcp 198.51.100.1:7000 > 203.0.113.9:443 S");
    bench_push(b, "outside", "tcp 203.0.113.9:443 > 198.51.100.1:7000 S.",
               2 * S);
    bench_expect(b, "inside", "tcp 203.0.113.9:443 > 10.0.0.5:40000 S.");
    CHECK_EQ(bench_counter(b, "connection_attempt_count"), 2);
    CHECK_EQ(bench_counter(b, "connection_established_count"), 2);
    bench_destroy(b);
}

TEST(a_reset_that_was_not_meant_does_not_end_a_connection)
{
    struct bench *b = NAT("tcp-closing-timeout=60s");

    open_connection(b);
    bench_push(b, "outside", "tcp 203.0.113.9:443 > 198.51.100.1:7000 R", S);
    bench_push(b, "inside", "tcp 10.0.0.5:40000 > 203.0.113.9:443 .", 60 * S);
    bench_push(b, "inside", "tcp 10.0.0.5:40000 > 203.0.113.9:443 .", 400 * S);
    CHECK_EQ(bench_waiting(b, "outside"), 2);
    bench_forget(b, NULL);
    CHECK_EQ(bench_counter(b, "connection_established_count"), 1);
    bench_destroy(b);
}

/* ---- ICMP errors ------------------------------------------------------ */

TEST(an_error_from_outside_reaches_the_host_with_its_own_packet_inside)
{
    static const struct {
        const char *out, *error, *in;
    } rows[] = {
        {"udp 10.0.0.5:40000 > 203.0.113.9:53 len 30",
         "icmp 192.0.2.1 > 198.51.100.1 unreachable 3 "
         "(udp 198.51.100.1:7000 > 203.0.113.9:53 len 30 ttl 60)",
         "icmp 192.0.2.1 > 10.0.0.5 unreachable 3 "
         "(udp 10.0.0.5:40000 > 203.0.113.9:53 len 30 ttl 60)"},
        {"tcp 10.0.0.5:40000 > 203.0.113.9:443 S",
         "icmp 192.0.2.1 > 198.51.100.1 unreachable 4 mtu 1400 "
         "(tcp 198.51.100.1:7000 > 203.0.113.9:443 S ttl 60)",
         "icmp 192.0.2.1 > 10.0.0.5 unreachable 4 mtu 1400 "
         "(tcp 10.0.0.5:40000 > 203.0.113.9:443 S ttl 60)"},
        {"tcp 10.0.0.5:40000 > 203.0.113.8:443 S",
         "icmp 192.0.2.1 > 198.51.100.1 time-exceeded 0 "
         "(tcp 198.51.100.1:7000 > 203.0.113.8:443 ttl 1)",
         "icmp 192.0.2.1 > 10.0.0.5 time-exceeded 0 "
         "(tcp 10.0.0.5:40000 > 203.0.113.8:443 ttl 1)"},
        {"icmp 10.0.0.5 > 203.0.113.9 echo 7 seq 1 len 56",
         "icmp 192.0.2.1 > 198.51.100.1 time-exceeded 0 "
         "(icmp 198.51.100.1 > 203.0.113.9 echo 7000 seq 1 len 56 ttl 1)",
         "icmp 192.0.2.1 > 10.0.0.5 time-exceeded 0 "
         "(icmp 10.0.0.5 > 203.0.113.9 echo 7 seq 1 len 56 ttl 1)"},
    };
    struct bench *b = NAT();
    size_t i;

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        bench_push(b, "inside", rows[i].out, 0);
        bench_forget(b, "outside");
        bench_push(b, "outside", rows[i].error, S);
        bench_expect(b, "inside", rows[i].in);
    }
    bench_destroy(b);
}

TEST(an_error_from_inside_leaves_with_the_packet_as_outside_knows_it)
{
    struct bench *b = NAT();

    bench_push(b, "inside", "udp 10.0.0.5:40000 > 203.0.113.9:53", 0);
    bench_push(b, "outside", "udp 203.0.113.9:53 > 198.51.100.1:7000 len 9",
               S);
    bench_forget(b, NULL);
    bench_push(b, "inside",
               "icmp 10.0.0.5 > 203.0.113.9 unreachable 3 "
               "(udp 203.0.113.9:53 > 10.0.0.5:40000 len 9 ttl 60)",
               S);
    bench_expect(b, "outside",
                 "icmp 198.51.100.1 > 203.0.113.9 unreachable 3 "
                 "(udp 203.0.113.9:53 > 198.51.100.1:7000 len 9 ttl 60)");
    bench_push(b, "inside",
               "icmp 10.0.0.1 > 203.0.113.9 time-exceeded 0 "
               "(udp 203.0.113.9:53 > 10.0.0.5:40000 len 9 ttl 1)",
               S);
    bench_expect(b, "outside",
                 "icmp 198.51.100.1 > 203.0.113.9 time-exceeded 0 "
                 "(udp 203.0.113.9:53 > 198.51.100.1:7000 len 9 ttl 1)");
    bench_destroy(b);
}

TEST(errors_neither_refresh_nor_end_a_flow)
{
    static const char error[] =
        "icmp 192.0.2.1 > 198.51.100.1 unreachable 3 "
        "(udp 198.51.100.1:7000 > 203.0.113.9:53 ttl 60)";
    struct bench *b = NAT("udp-timeout=10s");

    bench_push(b, "inside", "udp 10.0.0.5:40000 > 203.0.113.9:53", 0);
    bench_push(b, "outside", error, 5 * S);
    bench_push(b, "outside", "udp 203.0.113.9:53 > 198.51.100.1:7000", 9 * S);
    CHECK_EQ(bench_waiting(b, "inside"), 2);
    bench_push(b, "outside", error, 18 * S);
    bench_forget(b, NULL);
    drops(b, "outside", error, "icmp_error_unmapped", 19 * S + LATE);
    bench_destroy(b);
}

TEST(errors_that_cannot_be_translated_have_a_reason_each)
{
    static const struct {
        const char *in;
        const char *packet;
        const char *reason;
    } rows[] = {
        {"outside",
         "icmp 192.0.2.1 > 198.51.100.1 unreachable 3 bad-checksum "
         "(udp 198.51.100.1:7000 > 203.0.113.9:53)",
         "bad_icmp_checksum"},
        {"outside",
         "icmp 192.0.2.1 > 198.51.100.1 unreachable 3 "
         "(udp 198.51.100.1:7000 > 203.0.113.9:53 bad-header-checksum)",
         "bad_quote"},
        {"outside",
         "icmp 192.0.2.1 > 198.51.100.1 unreachable 3 "
         "(udp 198.51.100.1:7001 > 203.0.113.9:53)",
         "icmp_error_unmapped"},
        {"outside",
         "icmp 192.0.2.1 > 198.51.100.1 unreachable 3 "
         "(ip 198.51.100.1 > 203.0.113.9 proto 47 len 8)",
         "icmp_error_unmapped"},
        {"outside",
         "icmp 192.0.2.1 > 198.51.100.1 unreachable 3 "
         "(ip 198.51.100.1 > 203.0.113.9 proto 17 len 16 frag 1480 id 7)",
         "bad_quote"},
        {"inside",
         "icmp 10.0.0.5 > 203.0.113.9 unreachable 3 "
         "(udp 203.0.113.9:53 > 10.0.0.5:40001)",
         "icmp_error_unmapped"},
    };
    struct bench *b = NAT();
    size_t i;

    bench_push(b, "inside", "udp 10.0.0.5:40000 > 203.0.113.9:53", 0);
    bench_forget(b, NULL);
    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        drops(b, rows[i].in, rows[i].packet, rows[i].reason, 0);
    bench_destroy(b);
}

/* ---- Fragments -------------------------------------------------------- */

#define FIRST "udp 10.0.0.5:40000 > 203.0.113.9:53 len 1472 frag 0+ id 7"
#define SECOND "ip 10.0.0.5 > 203.0.113.9 proto 17 len 1480 frag 1480+ id 7"
#define THIRD "ip 10.0.0.5 > 203.0.113.9 proto 17 len 90 frag 2960 id 7"
#define FIRST_OUT "udp 198.51.100.1:7000 > 203.0.113.9:53 frag 0+ id 7"
#define SECOND_OUT                                                            \
    "ip 198.51.100.1 > 203.0.113.9 proto 17 len 1480 frag 1480+ id 7"
#define THIRD_OUT                                                             \
    "ip 198.51.100.1 > 203.0.113.9 proto 17 len 90 frag 2960 id 7"

TEST(udp_fragments_follow_their_first)
{
    struct bench *b = NAT();

    bench_push(b, "inside", FIRST, 0);
    bench_expect(b, "outside", FIRST_OUT);
    bench_push(b, "inside", SECOND, S);
    bench_expect(b, "outside", SECOND_OUT);
    bench_push(b, "inside", THIRD, 2 * S);
    bench_expect(b, "outside", THIRD_OUT);
    bench_push(b, "outside",
               "udp 203.0.113.9:53 > 198.51.100.1:7000 len 1472 frag 0+ id 9",
               3 * S);
    bench_expect(b, "inside",
                 "udp 203.0.113.9:53 > 10.0.0.5:40000 frag 0+ id 9");
    bench_push(b, "outside",
               "ip 203.0.113.9 > 198.51.100.1 proto 17 len 8 frag 1480 id 9",
               3 * S);
    bench_expect(b, "inside",
                 "ip 203.0.113.9 > 10.0.0.5 proto 17 len 8 frag 1480 id 9");
    bench_destroy(b);
}

TEST(fragments_that_overtook_their_first_wait_for_it)
{
    struct bench *b = NAT();
    const struct hg_packet *released;

    bench_push(b, "inside", THIRD, 0);
    bench_push(b, "inside", SECOND, S);
    bench_expect_none(b, NULL);
    CHECK_EQ(bench_counter(b, "fragments_held"), 2);
    bench_push(b, "inside", FIRST, 2 * S);
    bench_expect(b, "outside", THIRD_OUT);
    released = bench_take(b, "outside");
    REQUIRE(released != NULL);
    CHECK_EQ(released->time_ns, BENCH_START + 2 * S);
    bench_expect(b, "outside", FIRST_OUT);
    CHECK_EQ(bench_counter(b, "fragments_held"), 0);
    CHECK_EQ(bench_counter(b, "packets_out_to_destination"), 3);
    bench_destroy(b);
}

TEST(fragments_wait_no_longer_than_the_timeout_and_not_too_many)
{
    struct bench *b = NAT("fragment-timeout=2s", "fragment-hold=2");

    bench_push(b, "inside", SECOND, 0);
    bench_push(b, "inside", THIRD, S);
    drops(b, "inside", THIRD, "fragment_out_of_order", S);
    bench_advance(b, 2 * S - 1);
    CHECK_EQ(bench_counter(b, "fragments_held"), 2);
    bench_advance(b, 2 * S);
    CHECK_EQ(bench_counter(b, "fragment_timed_out"), 2);
    CHECK_EQ(bench_counter(b, "packets_drop_count"), 3);
    bench_push(b, "inside", FIRST, 3 * S);
    bench_expect(b, "outside", FIRST_OUT);
    bench_push(b, "inside", SECOND, 5 * S);
    bench_expect_none(b, NULL);
    bench_destroy(b);
}

TEST(without_room_to_wait_they_are_dropped)
{
    struct bench *b = NAT("fragment-hold=0");

    drops(b, "inside", THIRD, "fragment_out_of_order", 0);
    bench_destroy(b);
}

/* ---- Batches ---------------------------------------------------------- */

enum { MIX = 1500 };

/* Packet number 'i' of a mixture of everything, with many fragments and few
 * ports; returns its input. */
static const char *
mix(unsigned i, char *text, size_t size)
{
    unsigned r = i * 2654435761u >> 7, host = r % 5, id = r / 5 % 6;
    unsigned port = r / 30 % 4;

    switch (r / 120 % 9) {
    case 0:
        snprintf(text, size, "udp 10.0.0.%u:%u > 203.0.113.9:53 len 99", host,
                 port);
        return "inside";
    case 1:
        snprintf(text, size, "tcp 10.0.0.%u:%u > 203.0.113.9:80 %s", host,
                 port, id % 2 ? "S" : "F.");
        return "inside";
    case 2:
        snprintf(text, size,
                 "udp 10.0.0.%u:%u > 203.0.113.9:53 len 80 frag 0+ id %u",
                 host, port, id);
        return "inside";
    case 3:
    case 4:
    case 5:
        snprintf(text, size,
                 "ip 10.0.0.%u > 203.0.113.9 proto 17 len 80 frag %u%s id %u",
                 host, 80 + id * 8, id % 2 ? "+" : "", r / 5 % 3);
        return "inside";
    case 6:
        snprintf(text, size,
                 "udp 203.0.113.9:53 > 198.51.100.1:%u len 8 frag 0+ id %u",
                 7000 + port * 3 + host, id);
        return "outside";
    case 7:
        snprintf(text, size,
                 "ip 203.0.113.9 > 198.51.100.1 proto 17 len 8 frag 16 id %u",
                 id);
        return "outside";
    default:
        snprintf(text, size, "tcp 203.0.113.9:80 > 198.51.100.1:%u S.",
                 7000 + port * 3 + host);
        return "outside";
    }
}

/* Sends the mixture through in batches, and writes what left to 'out'. */
static void
run_mix(unsigned batch_size, FILE *out)
{
    struct bench *b =
        NAT_CREATE("public=198.51.100.1 198.51.100.2", "ports=7000-7007",
                   "idle-timeout=2s", "tcp-opening-timeout=1s",
                   "fragment-timeout=1s", "fragment-hold=20");
    struct hg_graph *g = bench_graph(b);
    static const char *const fields[] = {
        "idle_timeout_count", "no_connection",         "error_port_allocation",
        "unknown_inbound",    "fragment_out_of_order", "fragment_timed_out",
        "fragments_held",     "packets_drop_count",    "resets_sent",
        "bytes_out_to_source"};
    uint64_t span = hg_graph_span(g), first_ns = 0, last_ns;
    unsigned i, n = 0;

    for (i = 0; i < MIX; i++) {
        char text[160], name[32];
        const char *in = mix(i, text, sizeof(text));
        struct hg_error error;
        struct hg_packet *p = notation_parse(bench_pool(b), text, &error);
        uint64_t time_ns = i * 3 * HG_MSEC;

        REQUIRE(p != NULL);
        p->time_ns = BENCH_START + time_ns;
        last_ns = time_ns;
        if (n == batch_size || (n && last_ns - first_ns >= span) ||
            p->time_ns >= hg_graph_next_timer(g)) {
            hg_graph_dispatch(g);
            n = 0;
        }
        if (!n++) {
            bench_advance(b, time_ns);
            first_ns = time_ns;
        }
        snprintf(name, sizeof(name), "input-%s", in);
        hg_graph_inject(g, hg_graph_find(g, name), 0, &p, 1);
    }
    hg_graph_dispatch(g);
    for (i = 0; i < 2; i++) {
        const char *port = i ? "outside" : "inside";

        while (bench_waiting(b, port)) {
            const struct hg_packet *p = bench_take(b, port);
            char text[160];

            fprintf(out, "%s %llu %s\n", port, (unsigned long long)p->time_ns,
                    hg_packet_format(p, text, sizeof(text)));
        }
    }
    for (i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
        fprintf(out, "%s %llu\n", fields[i],
                (unsigned long long)bench_counter(b, fields[i]));
    fprintf(out, "%s\n", bench_read(b, "export", ""));
    bench_destroy(b);
}

TEST(the_size_of_batches_makes_no_difference)
{
    static const unsigned sizes[] = {1, 7, 64, 256};
    char *text[4] = {NULL};
    size_t i, size;

    for (i = 0; i < 4; i++) {
        FILE *out = open_memstream(&text[i], &size);

        run_mix(sizes[i], out);
        fclose(out);
        if (strcmp(text[i], text[0]))
            FAIL("batches of %u differ from batches of 1", sizes[i]);
    }
    CHECK(size > 10000);
    CHECK(!strstr(text[0], "fragment_timed_out 0\n"));
    CHECK(!strstr(text[0], "fragment_out_of_order 0\n"));
    CHECK(!strstr(text[0], "idle_timeout_count 0\n"));
    for (i = 0; i < 4; i++)
        free(text[i]);
}
