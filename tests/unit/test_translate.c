/* test_translate.c: IPv4 packets that become IPv6 ones and the reverse
 * (headgate/translate.h): rows of a packet and what RFC 7915 makes of it,
 * compared byte for byte.  tests/interop/live_nat64.py asks two kernels. */
#include <string.h>

#include <headgate/translate.h>

#include "notation.h"
#include "test.h"

/* Host and server of IPv4, and their addresses in IPv6. */
#define H4 "192.0.2.33"
#define S4 "203.0.113.9"
#define H6 "2001:db8::5"
#define S6 "64:ff9b::cb00:7109"

static struct hg_pool *pool;

static struct hg_packet *
parse(const char *text)
{
    struct hg_error error;
    struct hg_packet *p;

    if (!pool)
        pool = hg_pool_create(0);
    p = notation_parse(pool, text, &error);
    if (!p)
        FAIL("'%s': %s", text, error.text);
    return p;
}

/* The IP packet must be the one that 'expected' describes, byte for byte (but
 * for wrong checksums: how wrong they are is not described). */
static void
check_same(const char *from, const struct hg_packet *p, const char *expected)
{
    struct hg_packet *want = parse(expected);
    uint32_t n = hg_packet_l3_len(p);
    char text[400];

    REQUIRE(want != NULL);
    if (strstr(expected, "bad-checksum")) {
        struct hg_error error = {""};

        hg_packet_format(p, text, sizeof text);
        if (!notation_matches(text, expected, &error))
            FAIL("'%s'\n  becomes  '%s': %s", from, text, error.text);
        hg_packet_free(want);
        return;
    }
    if (p->ether_type != want->ether_type || n != hg_packet_l3_len(want) ||
        memcmp(hg_packet_l3(p), hg_packet_l3(want), n) != 0)
        FAIL("'%s'\n  becomes  '%s'\n  and not  '%s'", from,
             hg_packet_format(p, text, sizeof text), expected);
    CHECK_EQ(p->len, p->l3_offset + n);
    CHECK_EQ(hg_load16(p->data + p->l3_offset - 2), p->ether_type);
    hg_packet_free(want);
}

static void
addr6(const char *text, uint8_t to[16])
{
    struct hg_addr a;

    REQUIRE(hg_addr_parse(text, &a));
    memcpy(to, a.byte, 16);
}

static uint32_t
addr4(const char *text)
{
    struct hg_addr a;

    REQUIRE(hg_addr_parse(text, &a));
    return hg_addr_ip4(&a);
}

/* From the server back to the host; errors quote the way there. */
static enum hg_translate_result
to6(struct hg_packet *p)
{
    struct hg_translation t;

    memset(&t, 0, sizeof t);
    addr6(S6, t.to6.ends.src);
    addr6(H6, t.to6.ends.dst);
    addr6(H6, t.to6.quoted.src);
    addr6(S6, t.to6.quoted.dst);
    t.mtu4 = 1500;
    t.mtu6 = 9000;
    return hg_translate_4to6(p, &t);
}

/* From the host to the server; errors quote the way back. */
static enum hg_translate_result
to4(struct hg_packet *p)
{
    struct hg_translation t;

    memset(&t, 0, sizeof t);
    t.to4.ends = (struct hg_ends4){addr4(H4), addr4(S4)};
    t.to4.quoted = (struct hg_ends4){addr4(S4), addr4(H4)};
    t.to4.id = 77;
    t.mtu4 = 1500;
    t.mtu6 = 9000;
    return hg_translate_6to4(p, &t);
}

struct row {
    const char *from, *to;
};

#define ROWS(rows, function)                                                  \
    do {                                                                      \
        size_t i_;                                                            \
                                                                              \
        for (i_ = 0; i_ < sizeof(rows) / sizeof((rows)[0]); i_++) {           \
            struct hg_packet *p_ = parse((rows)[i_].from);                    \
                                                                              \
            REQUIRE(p_ != NULL);                                              \
            if (function(p_) != HG_TRANSLATED)                                \
                FAIL("'%s' is not translated", (rows)[i_].from);              \
            else                                                              \
                check_same((rows)[i_].from, p_, (rows)[i_].to);               \
            hg_packet_free(p_);                                               \
        }                                                                     \
    } while (0)

TEST(packets_from_ipv6_become_ipv4)
{
    static const struct row rows[] = {
        {"udp [" H6 "]:4000 > [" S6 "]:53 len 30 ttl 9",
         "udp " H4 ":4000 > " S4 ":53 len 30 ttl 9 id 77"},
        {"udp [" H6 "]:4000 > [" S6 "]:53 len 31 tos 184",
         "udp " H4 ":4000 > " S4 ":53 len 31 tos 184 id 77"},
        {"tcp [" H6 "]:4000 > [" S6 "]:443 S mss 1220 seq 5",
         "tcp " H4 ":4000 > " S4 ":443 S mss 1220 seq 5 id 77"},
        {"tcp [" H6 "]:4000 > [" S6 "]:443 . len 1220",
         "tcp " H4 ":4000 > " S4 ":443 . len 1220 id 77"},
        /* Longer than 1260: not to be cut (RFC 7915 5.1). */
        {"tcp [" H6 "]:4000 > [" S6 "]:443 . len 1221",
         "tcp " H4 ":4000 > " S4 ":443 . len 1221 df"},
        {"icmp " H6 " > " S6 " echo 7 seq 1 len 56",
         "icmp " H4 " > " S4 " echo 7 seq 1 len 56 id 77"},
        {"icmp " H6 " > " S6 " reply 7 seq 1 len 57",
         "icmp " H4 " > " S4 " reply 7 seq 1 len 57 id 77"},
        {"udp [" H6 "]:4000 > [" S6 "]:53 len 80 frag 0+ id 74565",
         "udp " H4 ":4000 > " S4 ":53 len 80 frag 0+ id 9029"},
        {"ip " H6 " > " S6 " proto 17 len 80 frag 1480 id 74565",
         "ip " H4 " > " S4 " proto 17 len 80 frag 1480 id 9029"},
        {"udp [" H6 "]:4000 > [" S6 "]:53 len 30 bad-checksum",
         "udp " H4 ":4000 > " S4 ":53 len 30 id 77 bad-checksum"},
        {"udp [" H6 "]:4000 > [" S6 "]:53 len 3 pad 9",
         "udp " H4 ":4000 > " S4 ":53 len 3 id 77"},
    };

    ROWS(rows, to4);
}

TEST(packets_from_ipv4_become_ipv6)
{
    static const struct row rows[] = {
        {"udp " S4 ":53 > " H4 ":4000 len 30 ttl 9 df",
         "udp [" S6 "]:53 > [" H6 "]:4000 len 30 ttl 9"},
        {"tcp " S4 ":443 > " H4 ":4000 S. mss 1460 tos 3",
         "tcp [" S6 "]:443 > [" H6 "]:4000 S. mss 1460 tos 3"},
        {"icmp " S4 " > " H4 " reply 7 seq 1 len 56",
         "icmp " S6 " > " H6 " reply 7 seq 1 len 56"},
        {"icmp " S4 " > " H4 " echo 7 seq 1 len 3 pad 7",
         "icmp " S6 " > " H6 " echo 7 seq 1 len 3"},
        {"udp " S4 ":53 > " H4 ":4000 len 80 frag 0+ id 9029",
         "udp [" S6 "]:53 > [" H6 "]:4000 len 80 frag 0+ id 9029"},
        {"ip " S4 " > " H4 " proto 17 len 80 frag 1480 id 9029",
         "ip " S6 " > " H6 " proto 17 len 80 frag 1480 id 9029"},
        {"tcp " S4 ":443 > " H4 ":4000 . len 9 bad-checksum",
         "tcp [" S6 "]:443 > [" H6 "]:4000 . len 9 bad-checksum"},
    };

    ROWS(rows, to6);
}

#define SENT4 "(udp " H4 ":4000 > " S4 ":53 len 30 ttl 60)"
#define SENT6 "(udp [" H6 "]:4000 > [" S6 "]:53 len 30 ttl 60)"
#define GOT4 "(udp " S4 ":53 > " H4 ":4000 len 30 ttl 60 id 0)"
#define GOT6 "(udp [" S6 "]:53 > [" H6 "]:4000 len 30 ttl 60)"

#define ERROR6(from, to)                                                      \
    {                                                                         \
        "icmp " S4 " > " H4 " " from " " SENT4,                               \
            "icmp " S6 " > " H6 " " to " " SENT6                              \
    }
#define ERROR4(from, to)                                                      \
    {                                                                         \
        "icmp " H6 " > " S6 " " from " " GOT6,                                \
            "icmp " H4 " > " S4 " " to " id 77 " GOT4                         \
    }

TEST(icmp_errors_become_icmpv6_as_rfc_7915_4_2_says)
{
    static const struct row rows[] = {
        ERROR6("unreachable 0", "unreachable 0"),
        ERROR6("unreachable 1", "unreachable 0"),
        ERROR6("unreachable 2", "parameter 1 mtu 6"),
        ERROR6("unreachable 3", "unreachable 4"),
        ERROR6("unreachable 4 mtu 1400", "too-big 0 mtu 1420"),
        ERROR6("unreachable 4 mtu 600", "too-big 0 mtu 1280"),
        ERROR6("unreachable 4 mtu 4000", "too-big 0 mtu 1520"),
        ERROR6("unreachable 5", "unreachable 0"),
        ERROR6("unreachable 9", "unreachable 1"),
        ERROR6("unreachable 10", "unreachable 1"),
        ERROR6("unreachable 11", "unreachable 0"),
        ERROR6("unreachable 13", "unreachable 1"),
        ERROR6("unreachable 15", "unreachable 1"),
        ERROR6("time-exceeded 0", "time-exceeded 0"),
        ERROR6("time-exceeded 1", "time-exceeded 1"),
        {"icmp " S4 " > " H4 " unreachable 3 (tcp " H4 ":4000 > " S4 ":443 "
         "ttl 60)",
         "icmp " S6 " > " H6 " unreachable 4 (tcp [" H6 "]:4000 > [" S6
         "]:443 ttl 60)"},
        {"icmp " S4 " > " H4 " unreachable 3 (icmp " H4 " > " S4 " echo 7 "
         "seq 1 len 56 ttl 60)",
         "icmp " S6 " > " H6 " unreachable 4 (icmp " H6 " > " S6 " echo 7 "
         "seq 1 len 56 ttl 60)"},
        {"icmp " S4 " > " H4 " unreachable 3 bad-checksum " SENT4,
         "icmp " S6 " > " H6 " unreachable 4 bad-checksum " SENT6},
    };

    ROWS(rows, to6);
}

TEST(icmpv6_errors_become_icmp_as_rfc_7915_5_2_says)
{
    static const struct row rows[] = {
        ERROR4("unreachable 0", "unreachable 1"),
        ERROR4("unreachable 1", "unreachable 10"),
        ERROR4("unreachable 2", "unreachable 1"),
        ERROR4("unreachable 3", "unreachable 1"),
        ERROR4("unreachable 4", "unreachable 3"),
        ERROR4("too-big 0 mtu 1400", "unreachable 4 mtu 1380"),
        ERROR4("too-big 0 mtu 9000", "unreachable 4 mtu 1500"),
        ERROR4("time-exceeded 0", "time-exceeded 0"),
        ERROR4("parameter 1 mtu 6", "unreachable 2"),
        {"icmp " H6 " > " S6 " unreachable 4 (icmp " S6 " > " H6 " reply 7 "
         "seq 1 len 56 ttl 60)",
         "icmp " H4 " > " S4 " unreachable 3 id 77 (icmp " S4 " > " H4
         " reply 7 seq 1 len 56 ttl 60)"},
    };

    ROWS(rows, to4);
}

TEST(what_has_no_counterpart_is_refused_and_stays_as_it_is)
{
    static const struct {
        const char *packet;
        enum hg_translate_result result;
    } rows[] = {
        {"icmp " S4 " > " H4 " unreachable 14 " SENT4, HG_TRANSLATE_NO_ICMP},
        {"icmp " S4 " > " H4 " redirect 0 " SENT4, HG_TRANSLATE_NO_ICMP},
        {"icmp " S4 " > " H4 " quench 0 " SENT4, HG_TRANSLATE_NO_ICMP},
        {"icmp " S4 " > " H4 " type 13 code 0", HG_TRANSLATE_NO_ICMP},
        {"icmp " S4 " > " H4 " parameter 1 " SENT4, HG_TRANSLATE_NO_ICMP},
        {"icmp " S4 " > " H4 " unreachable 3 (icmp " H4 " > " S4
         " type 13 code 0 ttl 60)",
         HG_TRANSLATE_NO_ICMP},
        {"icmp " H6 " > " S6 " type 135 code 0 len 16", HG_TRANSLATE_NO_ICMP},
        {"icmp " H6 " > " S6 " unreachable 5 " GOT6, HG_TRANSLATE_NO_ICMP},
        {"icmp " H6 " > " S6 " parameter 2 " GOT6, HG_TRANSLATE_NO_ICMP},
    };
    size_t i;

    for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct hg_packet *p = parse(rows[i].packet), *copy;
        enum hg_translate_result result;

        REQUIRE(p != NULL);
        copy = hg_packet_copy(p);
        result = p->flags & HG_PACKET_IP6 ? to4(p) : to6(p);
        if (result != rows[i].result)
            FAIL("'%s' gives %d", rows[i].packet, (int)result);
        CHECK_EQ(p->len, copy->len);
        CHECK(!memcmp(p->data, copy->data, p->len));
        hg_packet_free(p);
        hg_packet_free(copy);
    }
}

TEST(udp_without_a_checksum_gets_one)
{
    struct hg_packet *p = parse("udp " S4 ":53 > " H4 ":4000 len 31");

    REQUIRE(p != NULL);
    hg_packet_udp(p)->checksum = hg_be16_of(0);
    CHECK_EQ(to6(p), HG_TRANSLATED);
    check_same("no checksum", p, "udp [" S6 "]:53 > [" H6 "]:4000 len 31");
    hg_packet_free(p);
    p = parse("udp " S4 ":53 > " H4 ":4000 len 80 frag 0+ id 5");
    REQUIRE(p != NULL);
    hg_packet_udp(p)->checksum = hg_be16_of(0);
    CHECK_EQ(to6(p), HG_TRANSLATE_NO_CHECKSUM);
    hg_packet_free(p);
}

/* Inserts bytes behind the IPv4 header of an IPv4 packet. */
static struct hg_packet *
with_options(const char *text, const uint8_t *options, unsigned n)
{
    struct hg_packet *p = parse(text);
    struct hg_ipv4 *ip;

    REQUIRE(p && hg_packet_put(p, n));
    ip = (struct hg_ipv4 *)hg_packet_l3(p);
    memmove((uint8_t *)(ip + 1) + n, ip + 1, hg_packet_l3_len(p) - sizeof *ip);
    memcpy(ip + 1, options, n);
    ip->version_ihl = (uint8_t)(ip->version_ihl + n / 4);
    ip->total_length = hg_be16_of((uint16_t)(hg_get16(ip->total_length) + n));
    hg_packet_parse(p);
    hg_packet_set_checksums(p);
    return p;
}

TEST(ipv4_options_are_left_out_but_source_routes_are_refused)
{
    static const uint8_t nops[40] = {1, 1, 1, 1};
    static const uint8_t route[8] = {1, 131, 7, 4, 192, 0, 2, 1};
    static const uint8_t done[8] = {1, 131, 7, 8, 192, 0, 2, 1};
    static const char text[] = "udp " S4 ":53 > " H4 ":4000 len 30";
    static const char out[] = "udp [" S6 "]:53 > [" H6 "]:4000 len 30";
    struct hg_packet *p = with_options(text, nops, sizeof nops);

    CHECK_EQ(to6(p), HG_TRANSLATED);
    check_same("no operation", p, out);
    hg_packet_free(p);
    p = with_options(text, route, sizeof route);
    CHECK_EQ(to6(p), HG_TRANSLATE_SOURCE_ROUTE);
    hg_packet_free(p);
    p = with_options(text, done, sizeof done);
    CHECK_EQ(to6(p), HG_TRANSLATED);
    check_same("a route at its end", p, out);
    hg_packet_free(p);
}

/* Inserts an extension header of eight bytes into an IPv6 packet. */
static struct hg_packet *
with_extension(const char *text, uint8_t type, uint8_t fourth)
{
    struct hg_packet *p = parse(text);
    struct hg_ipv6 *ip;
    uint8_t *ext;

    REQUIRE(p && hg_packet_put(p, 8));
    ip = (struct hg_ipv6 *)hg_packet_l3(p);
    ext = (uint8_t *)(ip + 1);
    memmove(ext + 8, ext, hg_packet_l3_len(p) - sizeof *ip);
    memset(ext, 0, 8);
    ext[0] = ip->next_header;
    ext[3] = fourth;
    ip->next_header = type;
    ip->payload_length =
        hg_be16_of((uint16_t)(hg_get16(ip->payload_length) + 8));
    hg_packet_parse(p);
    return p;
}

TEST(ipv6_extension_headers_are_left_out_but_routes_are_refused)
{
    static const char text[] = "udp [" H6 "]:4000 > [" S6 "]:53 len 30";
    struct hg_packet *p = with_extension(text, HG_PROTO_DSTOPTS, 0);

    CHECK_EQ(hg_translate_len4(p), 58);
    CHECK_EQ(to4(p), HG_TRANSLATED);
    check_same("destination options", p,
               "udp " H4 ":4000 > " S4 ":53 len 30 id 77");
    hg_packet_free(p);
    p = with_extension(text, HG_PROTO_ROUTING, 0);
    CHECK_EQ(to4(p), HG_TRANSLATED);
    hg_packet_free(p);
    p = with_extension(text, HG_PROTO_ROUTING, 1);
    CHECK_EQ(to4(p), HG_TRANSLATE_SOURCE_ROUTE);
    hg_packet_free(p);
}

TEST(an_icmpv6_error_is_no_longer_than_1280_bytes)
{
    struct hg_packet *p =
        parse("icmp " S4 " > " H4 " unreachable 4 mtu 1300 (udp " H4
              ":4000 > " S4 ":53 len 1301 ttl 60)");

    REQUIRE(p != NULL);
    CHECK_EQ(to6(p), HG_TRANSLATED);
    CHECK_EQ(hg_packet_l3_len(p), 1280);
    CHECK(hg_packet_l4_checksum_ok(p));
    hg_packet_free(p);
}

TEST(extensions_of_errors_end_the_quote)
{
    struct hg_packet *p = parse("icmp " S4 " > " H4 " unreachable 3 (udp " H4
                                ":4000 > " S4 ":53 len 200 ttl 60)");

    REQUIRE(p != NULL);
    hg_packet_l4(p)[5] = 128 / 4; /* RFC 4884 4.1: the quote's words. */
    hg_packet_set_checksums(p);
    CHECK_EQ(to6(p), HG_TRANSLATED);
    CHECK_EQ(hg_packet_l4_len(p), 8 + 128 + 20);
    CHECK(hg_packet_l4_checksum_ok(p));
    hg_packet_free(p);
}

TEST(a_packet_that_was_cut_keeps_its_lengths)
{
    static const struct row rows[] = {
        {"udp " S4 ":53 > " H4 ":4000 len 300 df cut 200",
         "udp [" S6 "]:53 > [" H6 "]:4000 len 300 cut 200"},
    };

    ROWS(rows, to6);
}

TEST(addresses_are_embedded_as_in_rfc_6052_2_4)
{
    static const struct {
        const char *prefix, *addr;
    } rows[] = {
        {"2001:db8::/32", "2001:db8:c000:221::"},
        {"2001:db8:100::/40", "2001:db8:1c0:2:21::"},
        {"2001:db8:122::/48", "2001:db8:122:c000:2:2100::"},
        {"2001:db8:122:300::/56", "2001:db8:122:3c0:0:221::"},
        {"2001:db8:122:344::/64", "2001:db8:122:344:c0:2:2100::"},
        {"2001:db8:122:344::/96", "2001:db8:122:344::192.0.2.33"},
        {"64:ff9b::/96", "64:ff9b::192.0.2.33"},
    };
    struct hg_prefix prefix;
    uint8_t bytes[16], expected[16];
    uint32_t ip4;
    size_t i;

    for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        REQUIRE(hg_prefix_parse(rows[i].prefix, &prefix));
        CHECK(hg_embed_prefix_ok(&prefix));
        hg_embed_ip4(&prefix, addr4("192.0.2.33"), bytes);
        addr6(rows[i].addr, expected);
        if (memcmp(bytes, expected, 16))
            FAIL("%s: not %s", rows[i].prefix, rows[i].addr);
        CHECK(hg_embedded_ip4(&prefix, expected, &ip4));
        CHECK_EQ(ip4, addr4("192.0.2.33"));
        expected[0] ^= 0x40;
        CHECK(!hg_embedded_ip4(&prefix, expected, &ip4));
    }
    REQUIRE(hg_prefix_parse("2001:db8::/33", &prefix));
    CHECK(!hg_embed_prefix_ok(&prefix));
}
