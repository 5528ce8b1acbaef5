/* test_endpoint.c: packets and quotes with another end (headgate/endpoint.h)
 * must be, byte for byte, what one gets by writing them that way at once; and
 * resets must be what RFC 9293 3.10.7.1 says. */
#include <string.h>

#include <headgate/endpoint.h>
#include <headgate/inventory.h>

#include "test.h"

#define CLIENT UINT32_C(0x0a000005)
#define PUBLIC UINT32_C(0xc6336401)
#define SERVER UINT32_C(0xcb007109)
#define ROUTER UINT32_C(0xc0000201)

enum { L2 = sizeof(struct hg_eth), PAYLOAD = 21 };

/* One quoted packet: what it is and how much of it the error quotes. */
struct row {
    uint8_t protocol;
    unsigned option_len;  /* Of its IP header. */
    unsigned l4_quoted;   /* Bytes behind it. */
    bool has_no_checksum; /* UDP. */
};

/* Writes an IP header of 'len' bytes for 'payload_len' more. */
static void
write_ip(uint8_t *at, unsigned len, unsigned payload_len, uint8_t protocol,
         uint32_t src, uint32_t dst)
{
    struct hg_ipv4 *ip = (struct hg_ipv4 *)at;

    memset(at, 0, sizeof(*ip));
    memset(at + sizeof(*ip), 1, len - sizeof(*ip)); /* No operation. */
    ip->version_ihl = (uint8_t)(0x40 | len / 4);
    ip->total_length = hg_be16_of((uint16_t)(len + payload_len));
    ip->id = hg_be16_of(0x1234);
    ip->ttl = 9;
    ip->protocol = protocol;
    ip->src = hg_be32_of(src);
    ip->dst = hg_be32_of(dst);
    ip->checksum = hg_be16_of(hg_checksum_fold(hg_checksum_add(0, at, len)));
}

/* Writes a transport header and payload with the right checksum; returns its
 * length. */
static unsigned
write_l4(uint8_t *at, const struct row *row, uint32_t src, uint16_t sport,
         uint32_t dst, uint16_t dport)
{
    unsigned header = row->protocol == HG_PROTO_TCP ? 20 : 8;
    unsigned len = header + PAYLOAD, i;
    uint32_t sum = hg_checksum_pseudo4(src, dst, row->protocol, len);

    memset(at, 0, header);
    for (i = header; i < len; i++)
        at[i] = (uint8_t)(i * 7);
    if (row->protocol == HG_PROTO_ICMP) {
        at[0] = HG_ICMP_ECHO;
        hg_store16(at + 4, sport);
        sum = 0;
    } else {
        hg_store16(at, sport);
        hg_store16(at + 2, dport);
    }
    if (row->protocol == HG_PROTO_TCP)
        at[12] = 0x50;
    if (row->protocol == HG_PROTO_UDP)
        hg_store16(at + 4, (uint16_t)len);
    if (!row->has_no_checksum)
        hg_store16(at + hg_checksum_offset(row->protocol),
                   hg_checksum_fold(hg_checksum_add(sum, at, len)));
    return len;
}

/* The frame of an ICMP error from ROUTER to 'src', about a packet from there
 * to SERVER. */
static struct hg_packet *
make_error(struct hg_pool *pool, const struct row *row, uint32_t src,
           uint16_t sport)
{
    uint8_t frame[256] = {0};
    unsigned ip_len = 20 + row->option_len;
    unsigned icmp_len = 8 + ip_len + row->l4_quoted;
    uint8_t *icmp = frame + L2 + 20;
    unsigned l4_len =
        write_l4(icmp + 8 + ip_len, row, src, sport, SERVER, 443);
    struct hg_packet *p = hg_packet_alloc(pool, L2 + 20 + icmp_len);

    write_ip(icmp + 8, ip_len, l4_len, row->protocol, src, SERVER);
    hg_store16(frame + 12, HG_ETH_IP4);
    write_ip(frame + L2, 20, icmp_len, HG_PROTO_ICMP, ROUTER, src);
    icmp[0] = HG_ICMP_UNREACH;
    icmp[1] = 3;
    hg_store16(icmp + 2, hg_checksum_fold(hg_checksum_add(0, icmp, icmp_len)));
    memcpy(p->data, frame, p->len);
    hg_packet_parse(p);
    return p;
}

static const struct row rows[] = {
    {HG_PROTO_UDP, 0, 8, false},   {HG_PROTO_UDP, 0, 8, true},
    {HG_PROTO_UDP, 12, 9, false},  {HG_PROTO_UDP, 0, 29, false},
    {HG_PROTO_TCP, 0, 8, false},   {HG_PROTO_TCP, 0, 16, false},
    {HG_PROTO_TCP, 0, 18, false},  {HG_PROTO_TCP, 40, 20, false},
    {HG_PROTO_TCP, 0, 41, false},  {HG_PROTO_ICMP, 0, 8, false},
    {HG_PROTO_ICMP, 4, 29, false},
};

TEST(a_translated_error_is_as_if_it_had_been_about_the_other_packet)
{
    struct hg_pool *pool = hg_pool_create(0);
    size_t i;

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct hg_packet *p = make_error(pool, &rows[i], PUBLIC, 7000);
        struct hg_packet *expected = make_error(pool, &rows[i], CLIENT, 40000);
        struct hg_quote q;

        if (hg_quote_find(p, &q) != HG_QUOTE_OK) {
            FAIL("row %zu: the quote is not found", i);
            continue;
        }
        CHECK_EQ(hg_quote_addr(&q, HG_END_SRC), PUBLIC);
        CHECK_EQ(hg_quote_addr(&q, HG_END_DST), SERVER);
        CHECK_EQ(hg_quote_port(&q, HG_END_SRC), 7000);
        hg_quote_set(&q, HG_END_SRC, CLIENT, 40000);
        hg_end_set_addr(p, HG_END_DST, CLIENT);
        CHECK_MEM(p->data, expected->data, p->len);
        hg_packet_free(p);
        hg_packet_free(expected);
    }
    hg_pool_destroy(pool);
}

TEST(half_a_quoted_checksum_stays_as_it_is)
{
    struct hg_pool *pool = hg_pool_create(0);
    struct row row = {HG_PROTO_TCP, 0, 17, false};
    struct hg_packet *p = make_error(pool, &row, PUBLIC, 7000);
    struct hg_quote q;
    uint8_t half;

    REQUIRE(hg_quote_find(p, &q) == HG_QUOTE_OK);
    half = q.l4[16];
    hg_quote_set(&q, HG_END_SRC, CLIENT, 40000);
    CHECK_EQ(q.l4[16], half);
    CHECK(hg_packet_l4_checksum_ok(p));
    hg_packet_free(p);
    hg_pool_destroy(pool);
}

TEST(a_quote_that_is_cut_or_wrong_is_not_found)
{
    static const struct {
        unsigned offset; /* Of the byte changed, from the quoted packet. */
        uint8_t to;
        enum hg_quote_result result;
    } changes[] = {
        {0, 0x44, HG_QUOTE_BROKEN},        /* A header of 16 bytes. */
        {0, 0x55, HG_QUOTE_BROKEN},        /* Version 5. */
        {0, 0x4f, HG_QUOTE_BROKEN},        /* Longer than the quote. */
        {3, 27, HG_QUOTE_BROKEN},          /* Seven bytes of transport. */
        {7, 1, HG_QUOTE_BROKEN},           /* A later fragment. */
        {11, 0xee, HG_QUOTE_BROKEN},       /* A wrong checksum. */
        {9, HG_PROTO_GRE, HG_QUOTE_BROKEN} /* Of which that is the cause. */
    };
    struct row row = rows[0];
    struct hg_pool *pool = hg_pool_create(0);
    struct hg_packet *p;
    struct hg_quote q;
    size_t i;

    for (i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        p = make_error(pool, &row, PUBLIC, 7000);
        hg_packet_l4(p)[8 + changes[i].offset] = changes[i].to;
        CHECK_EQ(hg_quote_find(p, &q), HG_QUOTE_BAD_CHECKSUM);
        hg_packet_set_checksums(p);
        CHECK_EQ(hg_quote_find(p, &q), changes[i].result);
        hg_packet_free(p);
    }
    row.l4_quoted = 7;
    p = make_error(pool, &row, PUBLIC, 7000);
    CHECK_EQ(hg_quote_find(p, &q), HG_QUOTE_BROKEN);
    hg_packet_free(p);
    row = (struct row){HG_PROTO_GRE, 0, 8, false};
    p = make_error(pool, &row, PUBLIC, 7000);
    CHECK_EQ(hg_quote_find(p, &q), HG_QUOTE_NO_PORTS);
    hg_packet_free(p);
    hg_pool_destroy(pool);
}

/* The frame of a whole packet. */
static struct hg_packet *
make_packet(struct hg_pool *pool, const struct row *row, uint32_t src,
            uint16_t sport, uint32_t dst, uint16_t dport)
{
    uint8_t frame[256] = {0};
    unsigned ip_len = 20 + row->option_len;
    unsigned l4_len =
        write_l4(frame + L2 + ip_len, row, src, sport, dst, dport);
    struct hg_packet *p = hg_packet_alloc(pool, L2 + ip_len + l4_len);

    hg_store16(frame + 12, HG_ETH_IP4);
    write_ip(frame + L2, ip_len, l4_len, row->protocol, src, dst);
    memcpy(p->data, frame, p->len);
    hg_packet_parse(p);
    return p;
}

TEST(a_packet_with_another_end_is_as_if_it_had_been_written_that_way)
{
    struct hg_pool *pool = hg_pool_create(0);
    size_t i;

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct hg_packet *p =
            make_packet(pool, &rows[i], CLIENT, 40000, SERVER, 443);
        struct hg_packet *expected =
            make_packet(pool, &rows[i], PUBLIC, 7000, SERVER, 443);

        hg_packet_hash(p);
        hg_end_set(p, HG_END_SRC, PUBLIC, 7000);
        CHECK_MEM(p->data, expected->data, p->len);
        CHECK_EQ(hg_packet_hash(p), hg_packet_hash(expected));
        if (rows[i].protocol != HG_PROTO_ICMP) {
            hg_packet_free(expected);
            expected = make_packet(pool, &rows[i], PUBLIC, 7000, ROUTER, 80);
            hg_end_set(p, HG_END_DST, ROUTER, 80);
            CHECK_MEM(p->data, expected->data, p->len);
        }
        hg_packet_free(p);
        hg_packet_free(expected);
    }
    hg_pool_destroy(pool);
}

TEST(a_udp_checksum_never_becomes_zero)
{
    struct hg_pool *pool = hg_pool_create(0);
    struct hg_packet *p = make_packet(pool, &rows[0], CLIENT, 1, SERVER, 443);
    unsigned port, n_ffff = 0;

    for (port = 0; port < 65536; port++) {
        uint16_t checksum;

        hg_end_set(p, HG_END_SRC, CLIENT, (uint16_t)port);
        checksum = hg_get16(hg_packet_udp(p)->checksum);
        if (!checksum || !hg_packet_l4_checksum_ok(p))
            FAIL("port %u: checksum 0x%04x", port, checksum);
        n_ffff += checksum == 0xffff;
    }
    CHECK(n_ffff >= 1);
    hg_packet_free(p);
    hg_pool_destroy(pool);
}

TEST(resets_answer_as_rfc_9293_says)
{
    static const struct hg_eni eni;
    static const struct {
        uint8_t flags;
        uint32_t reset_seq;
        uint32_t reset_ack;
        uint8_t reset_flags;
    } segments[] = {
        {HG_TCP_ACK, 5000, 0, HG_TCP_RST},
        {HG_TCP_SYN | HG_TCP_ACK, 5000, 0, HG_TCP_RST},
        {HG_TCP_SYN, 0, 0xfffffff0u + PAYLOAD + 1, HG_TCP_RST | HG_TCP_ACK},
        {HG_TCP_FIN, 0, 0xfffffff0u + PAYLOAD + 1, HG_TCP_RST | HG_TCP_ACK},
        {0, 0, 0xfffffff0u + PAYLOAD, HG_TCP_RST | HG_TCP_ACK},
    };
    struct hg_pool *pool = hg_pool_create(0);
    size_t i;

    for (i = 0; i < sizeof(segments) / sizeof(segments[0]); i++) {
        struct hg_packet *p =
            make_packet(pool, &rows[7], CLIENT, 40000, SERVER, 443);
        struct hg_packet *r = hg_packet_alloc(pool, hg_reset_len(p));
        struct hg_tcp *tcp = hg_packet_tcp(p);
        const struct hg_tcp *rtcp;

        REQUIRE(tcp != NULL);
        p->data[11] = 0x55;
        p->src_eni = r->src_eni = &eni;
        tcp->seq = hg_be32_of(0xfffffff0u);
        tcp->ack = hg_be32_of(5000);
        tcp->flags = segments[i].flags;
        hg_reset_fill(r, p);
        rtcp = hg_packet_tcp(r);
        REQUIRE(rtcp != NULL);
        CHECK_EQ(r->data[5], 0x55);
        CHECK_EQ(hg_get32(hg_packet_ipv4(r)->src), SERVER);
        CHECK_EQ(hg_get32(hg_packet_ipv4(r)->dst), CLIENT);
        CHECK_EQ(hg_get16(rtcp->sport), 443);
        CHECK_EQ(hg_get16(rtcp->dport), 40000);
        CHECK_EQ(hg_get32(rtcp->seq), segments[i].reset_seq);
        CHECK_EQ(hg_get32(rtcp->ack), segments[i].reset_ack);
        CHECK_EQ(rtcp->flags, segments[i].reset_flags);
        CHECK(hg_packet_l4_checksum_ok(r));
        CHECK_EQ(hg_packet_l4_len(r), sizeof(*rtcp));
        CHECK(r->dst_eni == &eni && !r->src_eni);
        hg_packet_free(p);
        hg_packet_free(r);
    }
    hg_pool_destroy(pool);
}
