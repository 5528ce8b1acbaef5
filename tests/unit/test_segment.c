/* Cutting large frames (runtime/segment.c), which is compiled into this test:
 * it belongs to the program, not to libheadgate. */
#include "../../runtime/segment.c"

#include <headgate/checksum.h>

#include "test.h"

enum { MAX_FRAME = 14 + 8 + 60 + 60 + 4000, PAYLOAD = 2500, SIZE = 1000 };

/* Two bytes: that many bytes of headers, and the payload. */
#define LEN(headers) (PAYLOAD + headers) >> 8, (PAYLOAD + headers) & 255

/* clang-format off */
static const uint8_t tcp4[] = {
    2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x08, 0x00,
    /* IPv4: id 65535, DF, TCP. */
    0x45, 0, LEN(44), 0xff, 0xff, 0x40, 0, 64, 6, 0, 0,
    10, 0, 0, 1, 10, 0, 0, 2,
    /* TCP: a sequence number about to wrap, four bytes of options. */
    0x12, 0x34, 0, 80, 0xff, 0xff, 0xff, 0x00, 0, 0, 0, 9,
    0x60, HG_TCP_ACK | HG_TCP_PSH | HG_TCP_FIN | HG_TCP_CWR, 1, 0,
    0, 0, 0, 0, 1, 1, 1, 1,
};

static const uint8_t udp6[] = {
    2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x81, 0x00, 0, 5, 0x86, 0xdd,
    /* IPv6: UDP, hop limit 64, from fd00::1 to fd00::2. */
    0x60, 0, 0, 0, LEN(8), 17, 64,
    0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1,
    0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2,
    0, 53, 0, 54, LEN(8), 0, 0,
};
/* clang-format on */

static uint8_t frame[MAX_FRAME];

/* Puts the headers before PAYLOAD bytes; returns the frame's length. */
static uint32_t
make_frame(const uint8_t *headers, uint32_t len)
{
    memcpy(frame, headers, len);
    for (uint32_t i = 0; i < PAYLOAD; i++)
        frame[len + i] = (uint8_t)(i * 7 + i / 256);
    return len + PAYLOAD;
}

/* The piece has the next bytes of payload and is sound. */
static void
check_piece(const struct hg_packet *p, uint32_t headers, uint32_t from,
            uint32_t n)
{
    REQUIRE(p != NULL);
    CHECK_EQ(p->len, headers + n);
    CHECK_MEM(p->data + headers, frame + headers + from, n);
    CHECK_EQ(hg_packet_l3_len(p), headers + n - p->l3_offset);
    CHECK(hg_packet_l4_checksum_ok(p));
    if (p->flags & HG_PACKET_IP4)
        CHECK_EQ(hg_checksum_fold(hg_checksum_add(0, hg_packet_l3(p), 20)), 0);
}

TEST(tcp_is_cut_as_a_network_card_would)
{
    static const uint8_t flags[] = {HG_TCP_ACK | HG_TCP_CWR, HG_TCP_ACK,
                                    HG_TCP_ACK | HG_TCP_PSH | HG_TCP_FIN};
    struct hg_pool *pool = hg_pool_create(0);
    struct segmenter s;
    uint32_t len = make_frame(tcp4, sizeof tcp4);

    REQUIRE(segmenter_begin(&s, frame, len, 34, SIZE));
    for (unsigned i = 0; i < 3; i++) {
        struct hg_packet *p;

        REQUIRE(segmenter_busy(&s));
        p = segmenter_next(&s, pool);
        check_piece(p, sizeof tcp4, i * SIZE, i < 2 ? SIZE : 500);
        CHECK_EQ(hg_get16(hg_packet_ipv4(p)->id), (uint16_t)(0xffff + i));
        CHECK_EQ(hg_get32(hg_packet_tcp(p)->seq),
                 (uint32_t)(0xffffff00 + i * SIZE));
        CHECK_EQ(hg_packet_tcp(p)->flags, flags[i]);
        hg_packet_free(p);
    }
    CHECK(!segmenter_busy(&s));
    hg_pool_destroy(pool);
}

TEST(udp_is_cut_behind_a_vlan_tag)
{
    struct hg_pool *pool = hg_pool_create(0);
    struct segmenter s;
    uint32_t len = make_frame(udp6, sizeof udp6);

    REQUIRE(segmenter_begin(&s, frame, len, 58, SIZE));
    for (unsigned i = 0; i < 3; i++) {
        struct hg_packet *p = segmenter_next(&s, pool);
        uint32_t n = i < 2 ? SIZE : 500;

        check_piece(p, sizeof udp6, i * SIZE, n);
        CHECK_EQ(hg_get16(hg_packet_udp(p)->length), 8 + n);
        CHECK_EQ(hg_get16(hg_packet_ipv6(p)->payload_length), 8 + n);
        hg_packet_free(p);
    }
    CHECK(!segmenter_busy(&s));
    hg_pool_destroy(pool);
}

TEST(a_payload_of_whole_pieces_leaves_no_empty_one)
{
    struct hg_pool *pool = hg_pool_create(0);
    struct segmenter s;
    uint32_t len = make_frame(tcp4, sizeof tcp4);

    REQUIRE(segmenter_begin(&s, frame, len, 34, PAYLOAD / 2));
    hg_packet_free(segmenter_next(&s, pool));
    CHECK(segmenter_busy(&s));
    hg_packet_free(segmenter_next(&s, pool));
    CHECK(!segmenter_busy(&s));
    hg_pool_destroy(pool);
}

TEST(a_pool_without_packets_loses_pieces_but_goes_on)
{
    struct hg_pool *pool = hg_pool_create(1);
    struct segmenter s;
    uint32_t len = make_frame(tcp4, sizeof tcp4);
    struct hg_packet *p;

    REQUIRE(segmenter_begin(&s, frame, len, 34, SIZE));
    p = segmenter_next(&s, pool);
    CHECK(segmenter_next(&s, pool) == NULL);
    hg_packet_free(p);
    p = segmenter_next(&s, pool);
    check_piece(p, sizeof tcp4, 2 * SIZE, 500);
    CHECK(!segmenter_busy(&s));
    hg_packet_free(p);
    hg_pool_destroy(pool);
}

TEST(what_is_not_plain_tcp_or_udp_is_refused)
{
    struct segmenter s;
    uint32_t len = make_frame(tcp4, sizeof tcp4);

    CHECK(!segmenter_begin(&s, frame, len, 34, 0));
    /* The L4 header is elsewhere: it is an inner one that is meant. */
    CHECK(!segmenter_begin(&s, frame, len, 54, SIZE));
    /* Nothing behind the headers. */
    CHECK(!segmenter_begin(&s, frame, sizeof tcp4, 34, SIZE));
    frame[14 + 9] = HG_PROTO_GRE;
    CHECK(!segmenter_begin(&s, frame, len, 34, SIZE));
    frame[14 + 9] = HG_PROTO_TCP;
    frame[14 + 6] = HG_IP4_MF >> 8;
    CHECK(!segmenter_begin(&s, frame, len, 34, SIZE));
}
