/* test_hyperplane_nat_six.c: HyperplaneNAT's IPv6 inside (NAT64, RFC 6146).
 * What headers become is shown by tests/unit/test_translate.c; here it is
 * flows, ports, errors and fragments. */
#include <stdio.h>
#include <string.h>

#include "harness.h"

#define NAT(...)                                                              \
    bench_create("HyperplaneNAT", "public=198.51.100.1", "private=10.0.0.7",  \
                 "ports=7000" __VA_OPT__(, ) __VA_ARGS__)

#define S (HG_SEC)

#define HOST "2001:db8::5"
#define SERVER "64:ff9b::cb00:7109" /* 203.0.113.9 */

TEST(a_connection_from_ipv6_goes_out_as_ipv4_and_comes_back)
{
    struct bench *b = NAT();

    bench_push(b, "inside",
               "tcp [" HOST "]:4000 > [" SERVER "]:443 S mss 8440", 0);
    bench_expect(b, "outside",
                 "tcp 198.51.100.1:7000 > 203.0.113.9:443 S mss 1460 ttl 64");
    bench_push(b, "outside",
               "tcp 203.0.113.9:443 > 198.51.100.1:7000 S. mss 8960 ttl 50",
               0);
    bench_expect(b, "inside",
                 "tcp [" SERVER "]:443 > [" HOST "]:4000 S. mss 1460 ttl 50");
    bench_push(b, "inside", "tcp [" HOST "]:4000 > [" SERVER "]:443 . len 9",
               0);
    bench_expect(b, "outside",
                 "tcp 198.51.100.1:7000 > 203.0.113.9:443 . len 9");
    CHECK_EQ(bench_counter(b, "connection_established_count"), 1);
    bench_destroy(b);
}

TEST(udp_and_ping_are_translated_both_ways)
{
    struct bench *b = NAT();

    bench_push(b, "inside", "udp [" HOST "]:4000 > [" SERVER "]:53 len 30", 0);
    bench_expect(b, "outside",
                 "udp 198.51.100.1:7000 > 203.0.113.9:53 len 30");
    bench_push(b, "outside", "udp 203.0.113.9:53 > 198.51.100.1:7000 len 99",
               S);
    bench_expect(b, "inside", "udp [" SERVER "]:53 > [" HOST "]:4000 len 99");
    bench_push(b, "inside", "icmp " HOST " > " SERVER " echo 7 seq 1 len 56",
               0);
    bench_expect(b, "outside",
                 "icmp 198.51.100.1 > 203.0.113.9 echo 7000 seq 1 len 56");
    bench_push(b, "outside",
               "icmp 203.0.113.9 > 198.51.100.1 reply 7000 seq 1 len 56", S);
    bench_expect(b, "inside",
                 "icmp " SERVER " > " HOST " reply 7 seq 1 len 56");
    bench_destroy(b);
}

TEST(ipv4_and_ipv6_hosts_share_the_ports_of_an_address)
{
    struct bench *b = NAT();

    bench_push(b, "inside", "udp [" HOST "]:4000 > [" SERVER "]:53", 0);
    bench_expect(b, "outside", "udp 198.51.100.1:7000 > 203.0.113.9:53");
    bench_push(b, "inside", "udp 10.0.0.5:4000 > 203.0.113.9:53", 0);
    CHECK_EQ(bench_counter(b, "error_port_allocation"), 1);
    bench_push(b, "inside", "udp 10.0.0.5:4000 > 203.0.113.9:54", 0);
    bench_expect(b, "outside", "udp 198.51.100.1:7000 > 203.0.113.9:54");
    bench_push(b, "outside", "udp 203.0.113.9:54 > 198.51.100.1:7000", 0);
    bench_expect(b, "inside", "udp 203.0.113.9:54 > 10.0.0.5:4000");
    bench_push(b, "outside", "udp 203.0.113.9:53 > 198.51.100.1:7000", 0);
    bench_expect(b, "inside", "udp [" SERVER "]:53 > [" HOST "]:4000");
    bench_destroy(b);
}

TEST(a_udp_mapping_of_ipv6_lives_350_seconds)
{
    struct bench *b = NAT();

    bench_push(b, "inside", "udp [" HOST "]:4000 > [" SERVER "]:53", 0);
    bench_forget(b, NULL);
    bench_push(b, "outside", "udp 203.0.113.9:53 > 198.51.100.1:7000",
               350 * S - 1);
    bench_expect(b, "inside", "udp [" SERVER "]:53 > [" HOST "]:4000");
    bench_push(b, "outside", "udp 203.0.113.9:53 > 198.51.100.1:7000",
               700 * S - 1);
    CHECK_EQ(bench_counter(b, "unknown_inbound"), 1);
    CHECK_EQ(bench_counter(b, "idle_timeout_count"), 1);
    bench_destroy(b);
}

TEST(an_expired_ipv6_connection_is_answered_with_a_reset)
{
    struct bench *b = NAT();

    bench_push(b, "inside",
               "tcp [" HOST "]:4000 > [" SERVER "]:443 P. seq 9 ack 777 len 3",
               0);
    bench_expect(b, "inside",
                 "tcp [" SERVER "]:443 > [" HOST "]:4000 R seq 777 len 0");
    bench_push(b, "inside",
               "tcp [" HOST "]:4000 > [" SERVER "]:443 F seq 5000 len 10", 0);
    bench_expect(b, "inside",
                 "tcp [" SERVER "]:443 > [" HOST "]:4000 R. ack 5011");
    bench_destroy(b);
}

TEST(another_prefix_may_be_chosen)
{
    struct bench *b = NAT("nat64-prefix=2001:db8:64::/48");

    bench_push(b, "inside",
               "udp [" HOST "]:4000 > [2001:db8:64:cb00:71:900::]:53", 0);
    bench_expect(b, "outside", "udp 198.51.100.1:7000 > 203.0.113.9:53");
    bench_push(b, "outside", "udp 203.0.113.9:53 > 198.51.100.1:7000", 0);
    bench_expect(b, "inside",
                 "udp [2001:db8:64:cb00:71:900::]:53 > [" HOST "]:4000");
    bench_push(b, "inside", "udp [" HOST "]:4000 > [" SERVER "]:53", 0);
    CHECK_EQ(bench_counter(b, "not_ipv4"), 1);
    bench_destroy(b);
}

TEST(what_cannot_be_translated_has_a_reason_each)
{
    static const struct {
        const char *in, *packet, *reason;
    } rows[] = {
        {"inside", "udp [" HOST "]:1 > [2001:db8::9]:2", "not_ipv4"},
        {"inside", "udp [" HOST "]:1 > [64:ff9b::c633:6401]:2", "hairpin"},
        {"inside", "ip " HOST " > " SERVER " proto 47 len 8",
         "unsupported_protocol"},
        {"inside", "tcp [" HOST "]:1 > [" SERVER "]:80 S frag 0+ id 1",
         "tcp_fragment"},
        {"inside", "icmp " HOST " > " SERVER " echo 7 seq 1 frag 0+ id 1",
         "icmp_fragment"},
        {"inside", "icmp " HOST " > " SERVER " reply 7 seq 1",
         "unsupported_icmp"},
        {"inside", "icmp " HOST " > " SERVER " type 135 code 0 len 16",
         "unsupported_icmp"},
        {"inside",
         "icmp " HOST " > " SERVER " unreachable 4 "
         "(udp [" SERVER "]:54 > [" HOST "]:4000 ttl 9)",
         "icmp_error_unmapped"},
        {"inside",
         "icmp " HOST " > " SERVER " unreachable 4 bad-checksum "
         "(udp [" SERVER "]:53 > [" HOST "]:4000 ttl 9)",
         "bad_icmp_checksum"},
        {"outside",
         "icmp 192.0.2.1 > 198.51.100.1 redirect 0 "
         "(udp 198.51.100.1:7000 > 203.0.113.9:53 ttl 9)",
         "unsupported_icmp"},
        {"outside", "udp [" SERVER "]:53 > [" HOST "]:4000", "not_ipv4"},
    };
    struct bench *b = NAT();
    size_t i;

    bench_push(b, "inside", "udp [" HOST "]:4000 > [" SERVER "]:53", 0);
    bench_forget(b, NULL);
    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint64_t before = bench_counter(b, rows[i].reason);

        bench_push(b, rows[i].in, rows[i].packet, 0);
        bench_expect_none(b, NULL);
        if (bench_counter(b, rows[i].reason) != before + 1)
            FAIL("'%s' is not dropped as %s", rows[i].packet, rows[i].reason);
    }
    bench_destroy(b);
}

/* ---- ICMP errors ------------------------------------------------------ */

TEST(errors_from_outside_reach_an_ipv6_host_with_its_own_packet_inside)
{
    static const struct {
        const char *out, *error, *in;
    } rows[] = {
        {"udp [" HOST "]:4000 > [" SERVER "]:53 len 30",
         "icmp 192.0.2.1 > 198.51.100.1 unreachable 3 "
         "(udp 198.51.100.1:7000 > 203.0.113.9:53 len 30 ttl 60)",
         "icmp 64:ff9b::c000:201 > " HOST " unreachable 4 "
         "(udp [" HOST "]:4000 > [" SERVER "]:53 len 30 ttl 60)"},
        {"tcp [" HOST "]:4000 > [" SERVER "]:443 S",
         "icmp 192.0.2.1 > 198.51.100.1 unreachable 4 mtu 1400 "
         "(tcp 198.51.100.1:7000 > 203.0.113.9:443 S ttl 60)",
         "icmp 64:ff9b::c000:201 > " HOST " too-big 0 mtu 1420 "
         "(tcp [" HOST "]:4000 > [" SERVER "]:443 S ttl 60)"},
        {"icmp " HOST " > " SERVER " echo 7 seq 1 len 56",
         "icmp 192.0.2.1 > 198.51.100.1 time-exceeded 0 "
         "(icmp 198.51.100.1 > 203.0.113.9 echo 7000 seq 1 len 56 ttl 1)",
         "icmp 64:ff9b::c000:201 > " HOST " time-exceeded 0 "
         "(icmp " HOST " > " SERVER " echo 7 seq 1 len 56 ttl 1)"},
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

TEST(an_error_from_an_ipv6_host_leaves_with_the_packet_as_outside_knows_it)
{
    struct bench *b = NAT();

    bench_push(b, "inside", "udp [" HOST "]:4000 > [" SERVER "]:53", 0);
    bench_push(b, "outside", "udp 203.0.113.9:53 > 198.51.100.1:7000 len 9",
               S);
    bench_forget(b, NULL);
    bench_push(b, "inside",
               "icmp " HOST " > " SERVER " unreachable 4 "
               "(udp [" SERVER "]:53 > [" HOST "]:4000 len 9 ttl 60)",
               S);
    bench_expect(b, "outside",
                 "icmp 198.51.100.1 > 203.0.113.9 unreachable 3 "
                 "(udp 203.0.113.9:53 > 198.51.100.1:7000 len 9 ttl 60)");
    bench_destroy(b);
}

/* ---- MTU -------------------------------------------------------------- */

TEST(ipv6_that_is_too_big_is_answered_with_packet_too_big)
{
    struct bench *b = NAT("mtu=1400", "inside-mtu=1500");

    bench_push(b, "inside", "udp [" HOST "]:1 > [" SERVER "]:53 len 1372", 0);
    bench_expect(b, "outside",
                 "udp 198.51.100.1:7000 > 203.0.113.9:53 len 1372 df");
    bench_push(b, "inside", "udp [" HOST "]:1 > [" SERVER "]:53 len 1373", 0);
    bench_expect(b, "inside",
                 "icmp 64:ff9b::a00:7 > " HOST " too-big 0 mtu 1420 "
                 "(udp [" HOST "]:1 > [" SERVER "]:53 len 1373 ttl 64 *)");
    bench_push(b, "outside",
               "udp 203.0.113.9:53 > 198.51.100.1:7000 len 1452 df", 0);
    bench_expect(b, "inside", "udp [" SERVER "]:53 > [" HOST "]:1 len 1452");
    bench_push(b, "outside",
               "udp 203.0.113.9:53 > 198.51.100.1:7000 len 1453 df", 0);
    bench_expect(
        b, "outside",
        "icmp 198.51.100.1 > 203.0.113.9 unreachable 4 mtu 1480 "
        "(udp 203.0.113.9:53 > 198.51.100.1:7000 len 1453 df ttl 64 *)");
    bench_destroy(b);
}

TEST(what_may_be_cut_is_cut_to_1280_bytes_of_ipv6)
{
    struct bench *b = NAT();
    struct hg_packet *p;

    bench_push(b, "inside", "udp [" HOST "]:1 > [" SERVER "]:53", 0);
    bench_forget(b, NULL);
    bench_push(b, "outside", "udp 203.0.113.9:53 > 198.51.100.1:7000 len 1232",
               0);
    bench_expect(b, "inside", "udp [" SERVER "]:53 > [" HOST "]:1 len 1232");
    bench_push(b, "outside",
               "udp 203.0.113.9:53 > 198.51.100.1:7000 len 1233 id 5", 0);
    p = bench_take(b, "inside");
    REQUIRE(p != NULL);
    CHECK_EQ(hg_packet_l3_len(p), 1280);
    CHECK(p->flags & HG_PACKET_FRAGMENT);
    bench_expect(b, "inside",
                 "ip " SERVER " > " HOST " proto 17 len 9 frag 1232 id 5");
    bench_destroy(b);
}

/* ---- Fragments -------------------------------------------------------- */

TEST(ipv6_fragments_follow_their_first_and_wait_for_it)
{
    struct bench *b = NAT();

    bench_push(b, "inside",
               "ip " HOST " > " SERVER " proto 17 len 80 frag 1480 id 65543",
               0);
    bench_expect_none(b, NULL);
    bench_push(b, "inside",
               "udp [" HOST "]:4000 > [" SERVER "]:53 len 1472 frag 0+ id "
               "65543",
               0);
    bench_expect(b, "outside",
                 "ip 198.51.100.1 > 203.0.113.9 proto 17 len 80 frag 1480 id "
                 "7");
    bench_expect(b, "outside",
                 "udp 198.51.100.1:7000 > 203.0.113.9:53 len 1472 frag 0+ id "
                 "7");
    bench_push(b, "outside",
               "udp 203.0.113.9:53 > 198.51.100.1:7000 len 1192 frag 0+ id 9",
               S);
    bench_expect(b, "inside",
                 "udp [" SERVER "]:53 > [" HOST "]:4000 len 1192 frag 0+ id "
                 "9");
    bench_push(b, "outside",
               "ip 203.0.113.9 > 198.51.100.1 proto 17 len 8 frag 1200 id 9",
               S);
    bench_expect(b, "inside",
                 "ip " SERVER " > " HOST " proto 17 len 8 frag 1200 id 9");
    bench_destroy(b);
}

TEST(a_fragment_that_grows_too_long_is_cut_again)
{
    struct bench *b = NAT();
    struct hg_packet *p;

    bench_push(b, "inside", "udp [" HOST "]:4000 > [" SERVER "]:53", 0);
    bench_forget(b, NULL);
    bench_push(b, "outside",
               "udp 203.0.113.9:53 > 198.51.100.1:7000 len 1472 frag 0+ id 9",
               S);
    p = bench_take(b, "inside");
    REQUIRE(p != NULL);
    CHECK_EQ(hg_packet_l3_len(p), 1280);
    bench_expect(b, "inside",
                 "ip " SERVER " > " HOST " proto 17 len 248 frag 1232+ id 9");
    bench_push(b, "outside",
               "ip 203.0.113.9 > 198.51.100.1 proto 17 len 1300 frag 1480 id "
               "9",
               S);
    bench_expect(b, "inside",
                 "ip " SERVER " > " HOST " proto 17 len 1232 frag 1480+ id 9");
    bench_expect(b, "inside",
                 "ip " SERVER " > " HOST " proto 17 len 68 frag 2712 id 9");
    bench_destroy(b);
}

/* ---- Handlers --------------------------------------------------------- */

TEST(an_ipv6_flow_is_listed_and_imported)
{
    static const char flow[] =
        "{\"proto\":\"icmp\",\"inside\":{\"addr\":\"2001:db8::5\","
        "\"port\":7},\"external\":{\"addr\":\"198.51.100.1\",\"port\":7000},"
        "\"remote\":{\"addr\":\"203.0.113.9\",\"port\":0},"
        "\"state\":\"query\",\"expires\":1700000350000000000}";
    struct bench *b = NAT();

    bench_push(b, "inside", "icmp " HOST " > " SERVER " echo 7 seq 1", 0);
    bench_forget(b, NULL);
    CHECK_STR(bench_read(b, "export", "[2001:db8::5]:7"), flow);
    bench_write(b, "delete", "2001:db8::/32");
    CHECK_STR(bench_read(b, "count", ""), "0");
    bench_write(b, "import", flow);
    CHECK_STR(bench_read(b, "export", ""), flow);
    bench_push(b, "outside",
               "icmp 203.0.113.9 > 198.51.100.1 reply 7000 seq 1", 0);
    bench_expect(b, "inside", "icmp " SERVER " > " HOST " reply 7 seq 1");
    bench_destroy(b);
}
