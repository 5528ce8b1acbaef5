/* test_ip.c: the elements of ip/: what checks, rewrites, answers and cuts IP
 * packets. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"
#include "notation.h"

#define UDP "udp 10.0.0.5:40000 > 203.0.113.9:53 len 12"
#define UDP6 "udp [2001:db8::5]:40000 > [2001:db8:1::9]:53 len 12"

static struct hg_packet *
packet(struct bench *b, const char *text)
{
    struct hg_error error = {""};
    struct hg_packet *p = notation_parse(bench_pool(b), text, &error);

    if (!p) {
        FAIL("'%s': %s", text, error.text);
        test_end();
    }
    return p;
}

static void
fix_header_checksum(struct hg_packet *p)
{
    struct hg_ipv4 *ip = (struct hg_ipv4 *)(p->data + sizeof(struct hg_eth));

    ip->checksum = hg_be16_of(0);
    ip->checksum = hg_be16_of(
        hg_checksum_fold(hg_checksum_add(0, ip, hg_ipv4_header_len(ip))));
}

/* ---- CheckIP ---------------------------------------------------------- */

TEST(check_ip_lets_good_packets_pass)
{
    static const char *const good[] = {
        UDP,
        UDP6,
        "tcp 10.0.0.5:40000 > 203.0.113.9:443 S mss 1460",
        "icmp 10.0.0.5 > 10.0.0.9 echo 7 seq 1 len 56",
        "icmp 2001:db8::5 > 2001:db8::9 echo 7 seq 1 len 56",
        "ip 10.0.0.1 > 10.0.0.2 proto 47 len 10",
        "ip 10.0.0.1 > 10.0.0.2 proto 17 len 3 frag 1480 id 7",
        ("vlan 5 " UDP),
    };
    struct bench *b = bench_create("CheckIP", "l4-checksums=true");
    size_t i;

    for (i = 0; i < sizeof good / sizeof good[0]; i++) {
        bench_push(b, "in", good[i], i);
        bench_expect(b, "out", good[i]);
    }
    bench_expect_none(b, NULL);
    bench_destroy(b);
}

/* One mistake: bytes at offsets of the frame, or the frame's length. */
struct mistake {
    const char *reason; /* Counter. */
    const char *packet;
    bool fix;    /* Make the IPv4 header checksum right again. */
    uint32_t at; /* Offset of the byte that changes; 0: none. */
    uint8_t byte;
    uint32_t len;      /* The frame is this long; 0: as it was. */
    uint32_t wire_len; /* And was this long on the wire; 0: len. */
};

/* Offsets: Ethernet 14; IPv4 version 14, length 16, source 26, UDP length 38;
 * IPv6 version 14, payload length 18, source 22. */
static const struct mistake mistakes[] = {
    {"too_short", .packet = UDP, .len = 14},
    {"too_short", .packet = UDP, .len = 33},
    {"too_short", .packet = UDP6, .len = 53},
    {"truncated", .packet = UDP, .len = 33, .wire_len = 54},
    {"truncated", .packet = UDP, .len = 53, .wire_len = 54},
    {"truncated", .packet = UDP6, .len = 60, .wire_len = 74},
    {"bad_version", .packet = UDP, .fix = true, .at = 14, .byte = 0x55},
    {"bad_version", .packet = UDP6, .at = 14, .byte = 0x40},
    {"bad_header_length", .packet = UDP, .at = 14, .byte = 0x44},
    {"bad_header_length", .packet = UDP, .at = 14, .byte = 0x4f},
    {"bad_checksum", .packet = UDP, .at = 22, .byte = 1},
    {"bad_checksum", .packet = UDP, .at = 24, .byte = 0xff},
    {"bad_total_length", .packet = UDP, .fix = true, .at = 17, .byte = 19},
    {"bad_total_length", .packet = UDP, .fix = true, .at = 17, .byte = 41},
    {"bad_total_length", .packet = UDP6, .at = 19, .byte = 21},
    {"bad_source", .packet = "udp 0.0.0.0:68 > 255.255.255.255:67 len 12"},
    {"bad_source", .packet = "udp 127.0.0.1:1 > 10.0.0.9:2 len 12"},
    {"bad_source", .packet = "udp 224.0.0.5:1 > 10.0.0.9:2 len 12"},
    {"bad_source", .packet = "udp 240.0.0.5:1 > 10.0.0.9:2 len 12"},
    {"bad_source", .packet = "udp 255.255.255.255:1 > 10.0.0.9:2 len 12"},
    {"bad_source", .packet = "udp [::]:1 > [2001:db8::9]:2 len 12"},
    {"bad_source", .packet = "udp [::1]:1 > [2001:db8::9]:2 len 12"},
    {"bad_source", .packet = "udp [ff02::1]:1 > [2001:db8::9]:2 len 12"},
    /* A hop-by-hop header (0) that claims 8 * (1 + 64) bytes. */
    {"bad_extension", .packet = UDP6, .at = 20, .byte = 0},
    {"bad_l4_header", .packet = "ip 10.0.0.1 > 10.0.0.2 proto 6 len 19"},
    {"bad_l4_header", .packet = "ip 10.0.0.1 > 10.0.0.2 proto 17 len 7"},
    {"bad_l4_header", .packet = "ip 10.0.0.1 > 10.0.0.2 proto 1 len 4"},
    {"bad_l4_header", .packet = UDP, .at = 39, .byte = 7},
    {"bad_l4_header", .packet = UDP, .at = 39, .byte = 21},
    {"bad_l4_checksum", .packet = UDP, .at = 50, .byte = 0xee},
    {"bad_l4_checksum", .packet = UDP6, .at = 70, .byte = 0xee},
    {"bad_l4_checksum",
     .packet = "icmp 10.0.0.5 > 10.0.0.9 echo 7 seq 1 len 56", .at = 70,
     .byte = 0xee},
    {"not_ip", .packet = "arp who-has 10.0.0.1 tell 10.0.0.2"},
    {"not_ip", .packet = "runt 9"},
};

#define CHECKED_BY(options)                                                   \
    "TestSource in {} TestSink out {}\n"                                      \
    "CheckIP dut { " options " }\n"                                           \
    "connect(\"in -> dut -> out\")\n"

static void
check_mistake(const struct mistake *m, const char *graph)
{
    struct bench *b = bench_load(graph);
    struct hg_packet *p = packet(b, m->packet);

    if (m->at)
        p->data[m->at] = m->byte;
    if (m->fix)
        fix_header_checksum(p);
    if (m->len) {
        hg_packet_trim(p, m->len);
        p->wire_len = m->wire_len ? m->wire_len : m->len;
    }
    bench_push_packet(b, "in", p, 0);
    if (!CHECK_EQ(bench_counter(b, m->reason), 1))
        FAIL("%s: %s", m->reason, m->packet);
    bench_destroy(b);
}

TEST(check_ip_drops_each_mistake_for_its_own_reason)
{
    size_t i;

    for (i = 0; i < sizeof mistakes / sizeof mistakes[0]; i++)
        check_mistake(&mistakes[i], CHECKED_BY("l4-checksums = true"));
}

/* Most packets go a short way then. */
TEST(check_ip_does_so_without_transport_checksums)
{
    size_t i;

    for (i = 0; i < sizeof mistakes / sizeof mistakes[0]; i++)
        if (strcmp(mistakes[i].reason, "bad_l4_checksum"))
            check_mistake(&mistakes[i], CHECKED_BY(""));
}

/* An IPv4 packet with 12 bytes of options and 'payload_len' bytes behind. */
static struct hg_packet *
packet_with_options(struct bench *b, const uint8_t options[12],
                    uint16_t payload_len)
{
    uint32_t header_len = 32, i;
    struct hg_packet *p =
        hg_packet_alloc(bench_pool(b), 14 + header_len + payload_len);
    struct hg_ipv4 *ip = (struct hg_ipv4 *)(p->data + 14);

    memset(p->data, 2, 12);
    hg_store16(p->data + 12, HG_ETH_IP4);
    *ip = (struct hg_ipv4){
        .version_ihl = 0x48,
        .total_length = hg_be16_of((uint16_t)(header_len + payload_len)),
        .ttl = 64,
        .protocol = 253, /* RFC 3692: for experiments. */
        .src = hg_be32_of(0x0a000005),
        .dst = hg_be32_of(0x0a000009)};
    memcpy(ip + 1, options, 12);
    for (i = 0; i < payload_len; i++)
        p->data[14 + header_len + i] = (uint8_t)i;
    fix_header_checksum(p);
    return p;
}

/* NOP, end, and what would be a UDP header's length if it were one. */
TEST(check_ip_counts_options_into_the_checksum)
{
    static const uint8_t options[12] = {1, 1, 1, 0, 0, 20};
    struct bench *b = bench_create("CheckIP");
    struct hg_packet *p = packet_with_options(b, options, 20);
    struct hg_ipv4 *ip = (struct hg_ipv4 *)(p->data + sizeof(struct hg_eth));

    ip->protocol = HG_PROTO_UDP;
    hg_store16(p->data + 14 + 32 + 4, 20);
    fix_header_checksum(p);
    bench_push_packet(b, "in", hg_packet_copy(p), 0);
    CHECK(bench_take(b, "out"));
    ip->checksum = hg_be16_of(0);
    ip->checksum =
        hg_be16_of(hg_checksum_fold(hg_checksum_add(0, ip, sizeof *ip)));
    bench_push_packet(b, "in", p, 0);
    CHECK_EQ(bench_counter(b, "bad_checksum"), 1);
    bench_destroy(b);
}

TEST(check_ip_verifies_transport_checksums_only_if_told)
{
    struct bench *b = bench_create("CheckIP");
    struct hg_packet *p = packet(b, UDP);

    p->data[50] ^= 1;
    bench_push_packet(b, "in", p, 0);
    bench_expect(b, "out", UDP " bad-checksum");
    bench_destroy(b);
}

TEST(check_ip_sends_arp_to_other_if_that_is_wired)
{
    struct bench *b = bench_create("CheckIP");

    bench_push(b, "in", "arp who-has 10.0.0.1 tell 10.0.0.2", 0);
    bench_expect(b, "other", "arp who-has 10.0.0.1 tell 10.0.0.2");
    bench_destroy(b);
}

TEST(check_ip_takes_a_list_of_martians_of_ones_own)
{
    struct bench *b =
        bench_create("CheckIP", "martians=10.0.0.4/30 2001:db8::/32");

    bench_push(b, "in", UDP, 0);
    bench_push(b, "in", UDP6, 1);
    CHECK_EQ(bench_counter(b, "bad_source"), 2);
    bench_push(b, "in", "udp 0.0.0.0:68 > 255.255.255.255:67 len 12", 2);
    bench_expect(b, "out", "udp 0.0.0.0:68 > 255.255.255.255:67");
    bench_destroy(b);
}

/* Whose first byte is not the prefix's. */
TEST(check_ip_knows_all_that_a_short_martian_holds)
{
    static const struct {
        const char *source;
        bool dropped;
    } rows[] = {{"7.255.255.255", false}, {"8.0.0.0", true},
                {"15.255.255.255", true}, {"16.0.0.0", false},
                {"[1fff::1]", false},     {"[2000::]", true},
                {"[3fff::ffff]", true},   {"[4000::]", false}};
    struct bench *b = bench_create("CheckIP", "martians=8.0.0.0/5 2000::/3");
    uint64_t n = 0;
    size_t i;

    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        bool six = rows[i].source[0] == '[';
        char text[80];

        snprintf(text, sizeof text, "udp %s:1 > %s:2", rows[i].source,
                 six ? "[5000::1]" : "192.0.2.1");
        bench_push(b, "in", text, i);
        n += rows[i].dropped;
        if (!CHECK_EQ(bench_counter(b, "bad_source"), n))
            FAIL("%s", rows[i].source);
        bench_forget(b, NULL);
    }
    bench_destroy(b);
}

/* ---- DecTTL, EtherRewrite --------------------------------------------- */

TEST(dec_ttl_lowers_ttl_and_hop_limit)
{
    struct bench *b = bench_create("DecTTL");

    bench_push(b, "in", UDP " ttl 64", 0);
    bench_expect(b, "out", UDP " ttl 63");
    bench_push(b, "in", UDP6 " ttl 2", 1);
    bench_expect(b, "out", UDP6 " ttl 1");
    bench_destroy(b);
}

TEST(dec_ttl_keeps_the_header_checksum_right_for_every_ttl)
{
    struct bench *b = bench_create("DecTTL");
    unsigned ttl;

    for (ttl = 2; ttl < 256; ttl++) {
        char text[80];

        snprintf(text, sizeof text, UDP " ttl %u id 65279", ttl);
        bench_push(b, "in", text, ttl);
        snprintf(text, sizeof text, UDP " ttl %u", ttl - 1);
        bench_expect(b, "out", text);
    }
    bench_destroy(b);
}

TEST(dec_ttl_sends_packets_out_of_ttl_to_expired_unchanged)
{
    struct bench *b = bench_create("DecTTL");

    bench_push(b, "in", UDP " ttl 1", 0);
    bench_push(b, "in", UDP " ttl 0", 1);
    bench_expect(b, "expired", UDP " ttl 1");
    bench_expect(b, "expired", UDP " ttl 0");
    CHECK_EQ(bench_counter(b, "expired"), 2);
    bench_write(b, "floor", "9");
    bench_push(b, "in", UDP " ttl 9", 2);
    bench_expect(b, "expired", UDP " ttl 9");
    bench_push(b, "in", "arp who-has 10.0.0.1 tell 10.0.0.2", 3);
    CHECK_EQ(bench_counter(b, "not_ip"), 1);
    bench_destroy(b);
}

TEST(ether_rewrite_sets_addresses_and_leaves_the_rest)
{
    struct bench *b = bench_create("EtherRewrite", "src=02:00:00:00:00:aa",
                                   "dst=02:00:00:00:00:bb");

    bench_push(b, "in", "vlan 5 " UDP, 0);
    bench_expect(b, "out",
                 "vlan 5 " UDP
                 " smac 02:00:00:00:00:aa dmac 02:00:00:00:00:bb");
    bench_write(b, "dst", "02:00:00:00:00:cc");
    bench_push(b, "in", UDP, 1);
    bench_expect(b, "out", UDP " dmac 02:00:00:00:00:cc");
    bench_push(b, "in", "runt 9", 2);
    CHECK_EQ(bench_counter(b, "too_short"), 1);
    bench_destroy(b);
}

TEST(ether_rewrite_swaps_before_it_sets)
{
    struct bench *b =
        bench_create("EtherRewrite", "swap=true", "src=02:00:00:00:00:aa");

    bench_push(b, "in", UDP, 0);
    bench_expect(b, "out",
                 UDP " smac 02:00:00:00:00:aa dmac 02:00:00:00:00:01");
    bench_destroy(b);
}

TEST(ether_rewrite_that_changes_nothing_is_a_mistake)
{
    bench_refuses("TestSource in {} TestSink out {} EtherRewrite dut {}\n"
                  "connect(\"in -> dut -> out\")\n",
                  "*it would change nothing; give 'src', 'dst' or "
                  "'swap = true'");
}

/* ---- IcmpError -------------------------------------------------------- */

#define ICMP_ERROR(...)                                                       \
    bench_create("IcmpError", "source=10.0.0.1", "source6=2001:db8::1",       \
                 __VA_ARGS__)

TEST(icmp_error_answers_the_sender)
{
    static const struct {
        const char *type, *code, *answer4, *answer6;
    } rows[] = {
        {"time-exceeded", NULL, "time-exceeded 0", "time-exceeded 0"},
        {"unreachable", "net", "unreachable 0", "unreachable 0"},
        {"unreachable", "host", "unreachable 1", "unreachable 3"},
        {"unreachable", "port", "unreachable 3", "unreachable 4"},
        {"unreachable", "prohibited", "unreachable 13", "unreachable 1"},
        {"fragmentation-needed", NULL, "unreachable 4 mtu 1400",
         "too-big 0 mtu 1400"},
    };
    size_t i;

    for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char type[64], code[64], answer[256];
        struct bench *b;

        snprintf(type, sizeof type, "type=%s", rows[i].type);
        snprintf(code, sizeof code, "code=%s", rows[i].code);
        if (rows[i].code)
            b = ICMP_ERROR(type, code);
        else if (strstr(rows[i].answer4, "mtu"))
            b = ICMP_ERROR(type, "mtu=1400");
        else
            b = ICMP_ERROR(type);
        bench_push(b, "in", UDP " ttl 1", 0);
        snprintf(answer, sizeof answer,
                 "icmp 10.0.0.1 > 10.0.0.5 %s ttl 64 tos 192 "
                 "smac 02:00:00:00:00:02 dmac 02:00:00:00:00:01 "
                 "(" UDP " ttl 1)",
                 rows[i].answer4);
        bench_expect(b, "out", answer);
        bench_push(b, "in", UDP6 " ttl 1", 1);
        snprintf(answer, sizeof answer,
                 "icmp 2001:db8::1 > 2001:db8::5 %s ttl 64 (" UDP6 " ttl 1)",
                 rows[i].answer6);
        bench_expect(b, "out", answer);
        CHECK_EQ(bench_counter(b, "answered"), 2);
        bench_destroy(b);
    }
}

TEST(icmp_error_quotes_as_much_as_fits)
{
    struct bench *b = ICMP_ERROR("type=time-exceeded");
    struct hg_packet *p, *answer;

    bench_push(b, "in", "udp 10.0.0.5:1 > 10.0.0.9:2 len 4000", 0);
    answer = bench_take(b, "out");
    REQUIRE(answer != NULL);
    CHECK_EQ(answer->len, 14 + 576);
    p = packet(b, "udp 10.0.0.5:1 > 10.0.0.9:2 len 4000");
    CHECK_MEM(answer->data + 14 + 28, p->data + 14, 548);
    hg_packet_free(p);

    bench_push(b, "in", "udp [2001:db8::5]:1 > [2001:db8::9]:2 len 4000", 1);
    answer = bench_take(b, "out");
    REQUIRE(answer != NULL);
    CHECK_EQ(answer->len, 14 + 1280);

    /* Ethernet padding is no part of the packet. */
    bench_push(b, "in", "udp 10.0.0.5:1 > 10.0.0.9:2 len 4 pad 14", 2);
    answer = bench_take(b, "out");
    REQUIRE(answer != NULL);
    CHECK_EQ(answer->len, 14 + 28 + 32);

    bench_push(b, "in", "vlan 5 " UDP, 3);
    bench_expect(b, "out", "vlan 5 icmp 10.0.0.1 > 10.0.0.5 time-exceeded 0");
    bench_destroy(b);
}

TEST(icmp_error_is_silent_where_the_rfcs_say_so)
{
    static const struct {
        const char *reason, *packet;
    } rows[] = {
        {"icmp_error", "icmp 10.0.0.9 > 10.0.0.5 unreachable 1 "
                       "(udp 10.0.0.5:1 > 10.0.0.9:2 len 4)"},
        {"icmp_error", "icmp 2001:db8::9 > 2001:db8::5 too-big 0 mtu 1300 "
                       "(udp [2001:db8::5]:1 > [2001:db8::9]:2 len 4)"},
        {"icmp_error", "icmp 10.0.0.9 > 10.0.0.5 type 5 code 0 len 0"},
        {"icmp_error", "icmp 2001:db8::9 > 2001:db8::5 type 137 code 0 len 8"},
        {"icmp_error", "ip 10.0.0.9 > 10.0.0.5 proto 1 len 4"},
        {"later_fragment",
         "ip 10.0.0.1 > 10.0.0.2 proto 17 len 3 frag 1480 id 7"},
        {"multicast", "udp 10.0.0.5:1 > 224.0.0.251:5353 len 4"},
        {"multicast", "udp 10.0.0.5:1 > 255.255.255.255:67 len 4"},
        {"multicast", "udp [2001:db8::5]:1 > [ff02::fb]:5353 len 4"},
        {"multicast",
         "udp 10.0.0.5:1 > 10.0.0.255:67 len 4 dmac ff:ff:ff:ff:ff:ff"},
        {"bad_source", "udp 0.0.0.0:68 > 10.0.0.9:67 len 4"},
        {"bad_source", "udp 127.0.0.1:1 > 10.0.0.9:67 len 4"},
        {"bad_source", "udp 224.0.0.1:1 > 10.0.0.9:67 len 4"},
        {"bad_source", "udp 255.255.255.255:1 > 10.0.0.9:67 len 4"},
        {"bad_source", "udp [::]:1 > [2001:db8::9]:2 len 4"},
        {"bad_source", "udp [ff02::1]:1 > [2001:db8::9]:2 len 4"},
        {"not_ip", "arp who-has 10.0.0.1 tell 10.0.0.2"},
    };
    size_t i;

    for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bench *b = ICMP_ERROR("type=time-exceeded");

        bench_push(b, "in", rows[i].packet, 0);
        bench_expect_none(b, "out");
        if (!CHECK_EQ(bench_counter(b, rows[i].reason), 1))
            FAIL("%s: %s", rows[i].reason, rows[i].packet);
        bench_destroy(b);
    }
}

TEST(icmp_error_answers_echoes_and_first_fragments)
{
    struct bench *b = ICMP_ERROR("type=time-exceeded");

    bench_push(b, "in", "icmp 10.0.0.5 > 10.0.0.9 echo 7 seq 1 len 56", 0);
    bench_expect(b, "out", "icmp 10.0.0.1 > 10.0.0.5 time-exceeded 0");
    bench_push(b, "in", "udp 10.0.0.5:1 > 10.0.0.9:2 len 16 frag 0+ id 7", 1);
    bench_expect(b, "out", "icmp 10.0.0.1 > 10.0.0.5 time-exceeded 0");
    bench_destroy(b);
}

TEST(packet_too_big_answers_ipv6_multicast)
{
    struct bench *b = ICMP_ERROR("type=fragmentation-needed");

    bench_push(b, "in", "udp [2001:db8::5]:1 > [ff0e::9]:2 len 4", 0);
    bench_expect(b, "out",
                 "icmp 2001:db8::1 > 2001:db8::5 too-big 0 mtu 1500");
    bench_push(b, "in", "udp 10.0.0.5:1 > 224.0.0.251:5353 len 4", 1);
    CHECK_EQ(bench_counter(b, "multicast"), 1);
    bench_destroy(b);
}

TEST(icmp_error_limits_its_rate)
{
    struct bench *b =
        ICMP_ERROR("type=time-exceeded", "rate=10pps", "burst=2");
    unsigned i;

    for (i = 0; i < 5; i++)
        bench_push(b, "in", UDP, 0);
    CHECK_EQ(bench_waiting(b, "out"), 2);
    CHECK_EQ(bench_counter(b, "rate_limited"), 3);
    bench_push(b, "in", UDP, 100 * HG_MSEC - 1);
    CHECK_EQ(bench_waiting(b, "out"), 2);
    bench_push(b, "in", UDP, 100 * HG_MSEC);
    CHECK_EQ(bench_waiting(b, "out"), 3);
    bench_forget(b, NULL);
    bench_destroy(b);
}

TEST(icmp_error_without_a_source_of_its_version_is_silent)
{
    struct bench *b =
        bench_create("IcmpError", "type=time-exceeded", "source=10.0.0.1");

    bench_push(b, "in", UDP6, 0);
    CHECK_EQ(bench_counter(b, "no_source"), 1);
    bench_destroy(b);
}

TEST(icmp_error_says_all_that_is_wrong_with_its_options)
{
    bench_refuses("TestSource in {} TestSink out {} CheckIP check {}\n"
                  "IcmpError dut {\n"
                  "    type = time-exceeded\n"
                  "    code = port\n"
                  "    mtu = 1400\n"
                  "    rate = 10kbps\n"
                  "}\n"
                  "connect(\"in -> check -> dut -> out\")\n",
                  "*it has no address to answer from; give 'source', "
                  "'source6' or both\n"
                  "*only 'type = unreachable' has a choice of codes\n"
                  "*only 'type = fragmentation-needed' tells an mtu\n"
                  "*the rate counts packets, such as 100pps");
}

/* ---- Fragment --------------------------------------------------------- */

/* What a receiver does (RFC 791 3.2): puts the fragments that wait on "out"
 * together, checking each; returns how many there were.  'payload' has room
 * for 65,536 bytes; *len is how many were filled, without a hole. */
static unsigned
reassemble(struct bench *b, unsigned mtu, uint8_t *payload, uint32_t *len,
           bool *last_came)
{
    unsigned n = 0;

    *len = 0;
    *last_came = false;
    while (bench_waiting(b, "out")) {
        struct hg_packet *p = bench_take(b, "out");
        const struct hg_ipv4 *ip = hg_packet_ipv4(p);
        unsigned header_len = hg_ipv4_header_len(ip);
        uint16_t frag = hg_get16(ip->frag);
        uint32_t here = hg_get16(ip->total_length) - header_len;

        CHECK(hg_get16(ip->total_length) <= mtu);
        CHECK_EQ(p->len, p->l3_offset + header_len + here);
        CHECK_EQ(p->wire_len, p->len);
        CHECK_EQ(hg_checksum_fold(hg_checksum_add(0, ip, header_len)), 0);
        CHECK_EQ((frag & HG_IP4_OFFSET) * 8, *len);
        CHECK(!*last_came);
        if (frag & HG_IP4_MF)
            CHECK_EQ(here % 8, 0);
        else
            *last_came = true;
        memcpy(payload + *len, (const uint8_t *)ip + header_len, here);
        *len += here;
        n++;
    }
    return n;
}

TEST(fragments_put_together_are_the_packet)
{
    static const unsigned mtus[] = {68, 69, 75, 76, 576, 1499, 1500, 4000};
    static const unsigned lens[] = {0,    20,   41,   500,  1472,
                                    1473, 1480, 2952, 2953, 9000};
    static uint8_t payload[65536];
    size_t i, k;

    for (i = 0; i < sizeof mtus / sizeof mtus[0]; i++) {
        for (k = 0; k < sizeof lens / sizeof lens[0]; k++) {
            char option[32], text[128];
            struct bench *b;
            struct hg_packet *p;
            uint32_t len, whole = lens[k] + 8;
            unsigned n, each = (mtus[i] - 20) / 8 * 8;
            bool last_came;

            snprintf(option, sizeof option, "mtu=%u", mtus[i]);
            b = bench_create("Fragment", option);
            snprintf(text, sizeof text,
                     "vlan 5 udp 10.0.0.5:1 > 10.0.0.9:2 len %u id 77",
                     lens[k]);
            bench_push(b, "in", text, 0);
            n = reassemble(b, mtus[i], payload, &len, &last_came);
            CHECK(last_came);
            CHECK_EQ(len, whole);
            if (whole + 20 <= mtus[i])
                CHECK_EQ(n, 1);
            else /* As few as possible; the last may be up to 7 longer. */
                CHECK(n == (whole + each - 1) / each ||
                      n + 1 == (whole + each - 1) / each);
            p = packet(b, text);
            CHECK_MEM(payload, hg_packet_l4(p), whole);
            hg_packet_free(p);
            bench_destroy(b);
        }
    }
}

TEST(fragments_have_the_identity_and_order_of_their_packet)
{
    struct bench *b = bench_create("Fragment", "mtu=576");

    bench_push(b, "in", "udp 10.0.0.5:1 > 10.0.0.9:2 len 1200 id 9 ttl 7", 3);
    bench_expect(b, "out", "udp 10.0.0.5:1 > 10.0.0.9:2 frag 0+ id 9 ttl 7");
    bench_expect(b, "out",
                 "ip 10.0.0.5 > 10.0.0.9 proto 17 len 552 frag 552+ id 9");
    bench_expect(b, "out",
                 "ip 10.0.0.5 > 10.0.0.9 proto 17 len 104 frag 1104 id 9");
    CHECK_EQ(bench_counter(b, "cut"), 1);
    CHECK_EQ(bench_counter(b, "fragments"), 3);
    bench_destroy(b);
}

TEST(a_fragment_is_cut_again)
{
    struct bench *b = bench_create("Fragment", "mtu=68");

    bench_push(b, "in",
               "ip 10.0.0.5 > 10.0.0.9 proto 17 len 96 frag 1480+ id 9", 0);
    bench_expect(b, "out",
                 "ip 10.0.0.5 > 10.0.0.9 proto 17 len 48 frag 1480+ id 9");
    bench_expect(b, "out",
                 "ip 10.0.0.5 > 10.0.0.9 proto 17 len 48 frag 1528+ id 9");
    bench_push(b, "in",
               "ip 10.0.0.5 > 10.0.0.9 proto 17 len 49 frag 1480 id 9", 1);
    bench_expect(b, "out",
                 "ip 10.0.0.5 > 10.0.0.9 proto 17 len 48 frag 1480+ id 9");
    bench_expect(b, "out",
                 "ip 10.0.0.5 > 10.0.0.9 proto 17 len 1 frag 1528 id 9");
    bench_destroy(b);
}

/* Of what would be behind 65,535 bytes no offset can tell. */
TEST(a_fragment_that_no_packet_has_is_not_cut)
{
    struct bench *b = bench_create("Fragment", "mtu=68");

    bench_push(b, "in",
               "ip 10.0.0.5 > 10.0.0.9 proto 17 len 55 frag 65480 id 9", 0);
    CHECK_EQ(bench_waiting(b, "out"), 2);
    bench_forget(b, NULL);
    bench_push(b, "in",
               "ip 10.0.0.5 > 10.0.0.9 proto 17 len 56 frag 65480 id 9", 0);
    bench_push(b, "in",
               "ip 10.0.0.5 > 10.0.0.9 proto 17 len 96 frag 65520 id 9", 0);
    CHECK_EQ(bench_counter(b, "bad_length"), 2);
    bench_destroy(b);
}

TEST(packets_that_must_not_be_cut_leave_on_too_big)
{
    struct bench *b = bench_create("Fragment", "mtu=1280");

    bench_push(b, "in", "udp 10.0.0.5:1 > 10.0.0.9:2 len 1253 df", 0);
    bench_expect(b, "too-big", "udp 10.0.0.5:1 > 10.0.0.9:2 len 1253 df");
    bench_push(b, "in", "udp 10.0.0.5:1 > 10.0.0.9:2 len 1252 df", 1);
    bench_expect(b, "out", "udp 10.0.0.5:1 > 10.0.0.9:2 len 1252 df");
    bench_push(b, "in", "udp [2001:db8::5]:1 > [2001:db8::9]:2 len 1233", 2);
    bench_expect(b, "too-big", "udp [2001:db8::5]:1 > [2001:db8::9]:2");
    bench_push(b, "in", "udp [2001:db8::5]:1 > [2001:db8::9]:2 len 1232", 3);
    bench_expect(b, "out", "udp [2001:db8::5]:1 > [2001:db8::9]:2");
    CHECK_EQ(bench_counter(b, "too_big"), 2);
    bench_destroy(b);
}

TEST(later_fragments_have_only_the_options_to_be_copied)
{
    /* Record route (7, not copied), NOP, stream id (0x88, copied), end. */
    static const uint8_t options[12] = {7, 7, 4, 0, 0, 0, 0, 1, 0x88, 4, 1, 2};
    static const uint8_t copied[4] = {0x88, 4, 1, 2};
    struct bench *b = bench_create("Fragment", "mtu=100");
    struct hg_packet *p;

    bench_push_packet(b, "in", packet_with_options(b, options, 140), 0);
    p = bench_take(b, "out"); /* 32 + 64 */
    REQUIRE(p && hg_packet_ipv4(p));
    CHECK_EQ(hg_packet_ipv4(p)->version_ihl, 0x48);
    CHECK_MEM(hg_packet_l3(p) + 20, options, 12);
    CHECK_EQ(p->len, 14 + 96);
    p = bench_take(b, "out"); /* 24 + 76 */
    REQUIRE(p && hg_packet_ipv4(p));
    CHECK_EQ(hg_packet_ipv4(p)->version_ihl, 0x46);
    CHECK_MEM(hg_packet_l3(p) + 20, copied, 4);
    CHECK_EQ(p->len, 14 + 100);
    CHECK_EQ(hg_packet_l3(p)[24], 64);
    bench_destroy(b);
}

TEST(malformed_options_are_not_copied)
{
    static const uint8_t options[][12] = {
        {0x88, 0},                               /* No length. */
        {0x88, 1},                               /* Shorter than itself. */
        {0x88, 13},                              /* Longer than the header. */
        {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0x88}, /* Length outside. */
    };
    size_t i;

    for (i = 0; i < sizeof options / sizeof options[0]; i++) {
        struct bench *b = bench_create("Fragment", "mtu=100");
        struct hg_packet *p;

        bench_push_packet(b, "in", packet_with_options(b, options[i], 140), 0);
        bench_take(b, "out");
        p = bench_take(b, "out");
        REQUIRE(p && hg_packet_ipv4(p));
        CHECK_EQ(hg_packet_ipv4(p)->version_ihl, 0x45);
        bench_forget(b, NULL);
        bench_destroy(b);
    }
}

/* ---- All of them ------------------------------------------------------ */

/* Random frames, most of them nearly right, through every element; the bench
 * checks the account and ASan the rest. */
TEST(garbage_harms_no_element)
{
    static const char *const kinds[] = {
        UDP,
        UDP6,
        "tcp 10.0.0.5:40000 > 203.0.113.9:443 S mss 1460 len 300",
        ("icmp 10.0.0.9 > 10.0.0.5 unreachable 1 "
         "(udp 10.0.0.5:1 > 10.0.0.9:2 len 4)"),
        "vlan 5 ip 10.0.0.1 > 10.0.0.2 proto 17 len 30 frag 1480 id 7",
        "arp who-has 10.0.0.1 tell 10.0.0.2",
    };
    static const char *const graphs[] = {
        "CheckIP dut { l4-checksums = true }\n"
        "connect(\"in -> dut -> out\")\n",
        "DecTTL dut {}\n"
        "connect(\"in -> CheckIP -> dut -> out\")\n",
        "Fragment dut { mtu = 68 }\n"
        "connect(\"in -> CheckIP -> dut -> out\")\n",
        "IcmpError dut { type = time-exceeded  source = 10.0.0.1\n"
        "                source6 = fd00::1  rate = 1Mpps }\n"
        "connect(\"in -> CheckIP -> dut -> out\")\n",
        "EtherRewrite dut { swap = true }\n"
        "connect(\"in -> dut -> out\")\n",
        "Trace dut { file = /dev/null }\n"
        "connect(\"in -> dut -> out\")\n",
        "Classifier dut { match out { filter = \"ip6 or tcp[13] & 2 != 0\" } "
        "}\n"
        "connect(\"in -> dut\") connect(\"dut[out] -> out\")\n",
    };
    size_t i, k, n_kinds = sizeof kinds / sizeof kinds[0];

    srand(2);
    for (i = 0; i < sizeof graphs / sizeof graphs[0]; i++) {
        char text[512];
        struct bench *b;

        snprintf(text, sizeof text, "TestSource in {} TestSink out {}\n%s",
                 graphs[i]);
        b = bench_load(text);
        for (k = 0; k < 3000; k++) {
            struct hg_packet *p = packet(b, kinds[(size_t)rand() % n_kinds]);
            int changes = rand() % 4;

            while (changes--)
                p->data[(uint32_t)rand() % p->len] = (uint8_t)rand();
            if (rand() % 2)
                fix_header_checksum(p);
            if (rand() % 4 == 0)
                hg_packet_trim(p, (uint32_t)rand() % (p->len + 1));
            if (rand() % 2)
                p->wire_len = p->len;
            bench_push_packet(b, "in", p, k);
        }
        bench_forget(b, NULL);
        bench_destroy(b);
    }
}
