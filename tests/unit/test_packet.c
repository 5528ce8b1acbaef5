/* test_packet.c: the pool, frames that grow and shrink, and headers that are
 * rewritten (headgate/packet.h). */
#include "test.h"
#include "notation.h"
#include "pool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static struct hg_packet *
packet_of(struct hg_pool *pool, const char *text)
{
    struct hg_error error = {""};
    struct hg_packet *p = notation_parse(pool, text, &error);

    if (!p) {
        FAIL("'%s': %s", text, error.text);
        test_end();
    }
    return p;
}

static void
check_text(struct test_place at, const struct hg_packet *p,
           const char *expected)
{
    char text[512];

    test_check_str(at, "the packet", hg_packet_format(p, text, sizeof text),
                   expected);
}

#define CHECK_TEXT(p, expected) check_text(TEST_HERE, p, expected)

/* ---- The pool --------------------------------------------------------- */

TEST(a_new_packet_has_headroom_and_is_otherwise_zero)
{
    struct hg_pool *pool = hg_pool_create(0);
    struct hg_packet *p = hg_packet_alloc(pool, 60);
    static const uint8_t zero[HG_PACKET_META];

    REQUIRE(p);
    CHECK_EQ(p->len, 60);
    CHECK_EQ(p->wire_len, 60);
    CHECK_EQ(p->data - (uint8_t *)(p + 1), HG_HEADROOM);
    CHECK_EQ((uintptr_t)p % 64, 0);
    CHECK_EQ(p->flags | p->mark | p->vpc | p->hash, 0);
    CHECK(!p->src_eni && !p->dst_eni && !p->next);
    CHECK_MEM(p->meta, zero, sizeof zero);
    hg_packet_free(p);
    hg_pool_destroy(pool);
}

TEST(packets_of_all_lengths_fit_their_slots_and_come_back)
{
    static const uint32_t lens[] = {
        0,     1,     60,    1514,  1792,   1793,          9216,
        16128, 16129, 65535, 65549, 200000, HG_PACKET_MAX,
    };
    struct hg_pool *pool = hg_pool_create(0);
    struct hg_packet *p[LENGTH(lens)];
    size_t i;

    for (i = 0; i < LENGTH(lens); i++) {
        p[i] = hg_packet_alloc(pool, lens[i]);
        REQUIRE(p[i]);
        memset(p[i]->data, (int)i, lens[i]);
        CHECK(p[i]->capacity >= lens[i] + HG_HEADROOM);
    }
    CHECK(!hg_packet_alloc(pool, HG_PACKET_MAX + 1));
    CHECK_EQ(hg_pool_in_use(pool), LENGTH(lens));
    for (i = 0; i < LENGTH(lens); i++)
        if (lens[i])
            CHECK_EQ(p[i]->data[lens[i] - 1], i);
    hg_packet_free_many(p, LENGTH(lens));
    CHECK_EQ(hg_pool_in_use(pool), 0);
    hg_pool_destroy(pool);
}

TEST(the_pool_gives_no_more_than_its_limit_over_all_sizes)
{
    struct hg_pool *pool = hg_pool_create(3);
    struct hg_packet *p[3] = {hg_packet_alloc(pool, 60),
                              hg_packet_alloc(pool, 9000),
                              hg_packet_alloc(pool, 100000)};

    REQUIRE(p[0] && p[1] && p[2]);
    CHECK(!hg_packet_alloc(pool, 60));
    CHECK(!hg_packet_copy(p[0]));
    hg_packet_free(p[1]);
    p[1] = hg_packet_copy(p[0]);
    CHECK(p[1]);
    hg_packet_free_many(p, 3);
    hg_pool_destroy(pool);
}

TEST(packets_taken_together_are_as_if_taken_one_by_one_up_to_the_limit)
{
    static const uint32_t len[] = {60, 9000, 0, 1793, 100000, 1500};
    struct hg_pool *pool = hg_pool_create(5);
    struct hg_packet *p[6];
    unsigned i;

    REQUIRE(hg_packet_alloc_many(pool, len, p, 6) == 5);
    for (i = 0; i < 5; i++) {
        CHECK_EQ(p[i]->len, len[i]);
        CHECK_EQ(p[i]->wire_len, len[i]);
        CHECK_EQ(p[i]->vpc | p[i]->mark | p[i]->flags, 0);
        CHECK(p[i]->capacity >= HG_HEADROOM + len[i]);
    }
    CHECK_EQ(hg_pool_in_use(pool), 5);
    CHECK_EQ(hg_packet_alloc_many(pool, len, p + 5, 1), 0);
    hg_packet_free_many(p, 5);
    CHECK_EQ(hg_pool_in_use(pool), 0);
    hg_pool_destroy(pool);
}

TEST(slots_freed_together_are_given_out_by_their_sizes_and_the_last_first)
{
    static const uint32_t len[] = {60, 9000, 61, 1793, 100000, 62};
    static const unsigned order[] = {5, 3, 2, 1, 0, 4};
    struct hg_pool *pool = hg_pool_create(0);
    struct hg_packet *p[6];
    unsigned i;

    REQUIRE(hg_packet_alloc_many(pool, len, p, 6) == 6);
    hg_packet_free_many(p, 6);
    for (i = 0; i < 6; i++)
        CHECK(hg_packet_alloc(pool, len[order[i]]) == p[order[i]]);
    CHECK_EQ(hg_pool_in_use(pool), 6);
    hg_packet_free_many(p, 6);
    hg_pool_destroy(pool);
}

TEST(packets_of_several_pools_that_are_freed_together_come_back_to_theirs)
{
    struct hg_pool *pool[2] = {hg_pool_create(0), hg_pool_create(0)};
    struct hg_packet *p[6];
    unsigned i;

    for (i = 0; i < 6; i++)
        REQUIRE((p[i] = hg_packet_alloc(pool[i / 2 % 2], 60)) != NULL);
    hg_packet_free_many(p, 6);
    for (i = 0; i < 2; i++)
        CHECK_EQ(hg_pool_in_use(pool[i]), 0);
    CHECK(hg_packet_alloc(pool[0], 60) == p[5]);
    CHECK(hg_packet_alloc(pool[1], 60) == p[3]);
    hg_packet_free(p[3]);
    hg_packet_free(p[5]);
    for (i = 0; i < 2; i++)
        hg_pool_destroy(pool[i]);
}

TEST(the_slot_that_came_back_last_is_given_out_first)
{
    struct hg_pool *pool = hg_pool_create(0);
    struct hg_packet *a = hg_packet_alloc(pool, 60);
    struct hg_packet *b = hg_packet_alloc(pool, 60);

    hg_packet_free(a);
    hg_packet_free(b);
    CHECK(hg_packet_alloc(pool, 60) == b);
    CHECK(hg_packet_alloc(pool, 60) == a);
    hg_packet_free(a);
    hg_packet_free(b);
    hg_pool_destroy(pool);
}

TEST(a_used_slot_is_clean_when_it_is_given_out_again)
{
    struct hg_pool *pool = hg_pool_create(0);
    struct hg_packet *p;

    hg_pool_set_meta(pool, 24);
    p = hg_packet_alloc(pool, 60);
    p->vpc = 7;
    p->mark = 8;
    p->flags = HG_PACKET_IP4;
    memset(p->meta, 0xff, 24);
    hg_packet_free(p);
    CHECK(hg_packet_alloc(pool, 60) == p);
    CHECK_EQ(p->vpc | p->mark | p->flags | p->meta[0] | p->meta[23], 0);
    hg_packet_free(p);
    hg_pool_destroy(pool);
}

TEST(a_copy_is_equal_and_independent)
{
    struct hg_pool *pool = hg_pool_create(0);
    struct hg_packet *p = packet_of(pool, "udp 10.0.0.1:1 > 10.0.0.2:2 len 9");
    struct hg_packet *q;

    p->vpc = 5;
    p->seq = 6;
    p->meta[3] = 7;
    p->flags |= HG_PACKET_HELD;
    hg_packet_pull(p, 0);
    REQUIRE(hg_packet_push(p, 4));
    q = hg_packet_copy(p);
    REQUIRE(q);
    CHECK_EQ(q->len, p->len);
    CHECK_MEM(q->data, p->data, p->len);
    CHECK_EQ(q->data - (uint8_t *)(q + 1), p->data - (uint8_t *)(p + 1));
    CHECK_EQ(q->vpc, 5);
    CHECK_EQ(q->seq, 6);
    CHECK_EQ(q->meta[3], 7);
    CHECK_EQ(q->flags, p->flags & ~(uint32_t)HG_PACKET_HELD);
    q->data[20] ^= 1;
    CHECK(q->data[20] != p->data[20]);
    hg_packet_free(p);
    hg_packet_free(q);
    hg_pool_destroy(pool);
}

/* ---- Length ----------------------------------------------------------- */

TEST(a_frame_pushed_and_pulled_is_what_it_was)
{
    struct hg_pool *pool = hg_pool_create(0);
    struct hg_packet *p = packet_of(pool, "udp 10.0.0.1:1 > 10.0.0.2:2 len 9");
    uint8_t *before = p->data;

    CHECK(hg_packet_push(p, 50) == before - 50);
    CHECK_EQ(p->len, 50 + 14 + 28 + 9);
    CHECK_EQ(p->wire_len, p->len);
    CHECK_EQ(p->l3_offset, 64);
    CHECK_EQ(p->l4_offset, 84);
    CHECK_EQ(hg_packet_dport(p), 2);
    hg_packet_pull(p, 50);
    CHECK_TEXT(p, "udp 10.0.0.1:1 > 10.0.0.2:2 len 9 ttl 64");
    hg_packet_free(p);
    hg_pool_destroy(pool);
}

TEST(pulling_a_header_away_forgets_it)
{
    struct hg_pool *pool = hg_pool_create(0);
    struct hg_packet *p = packet_of(pool, "udp 10.0.0.1:1 > 10.0.0.2:2 len 9");

    hg_packet_pull(p, 14);
    CHECK(hg_packet_ipv4(p) && hg_packet_udp(p));
    hg_packet_pull(p, 1);
    CHECK(!hg_packet_is_ip(p) && !hg_packet_udp(p));
    hg_packet_free(p);
    hg_pool_destroy(pool);
}

TEST(a_frame_moves_in_its_slot_when_the_headroom_is_short)
{
    struct hg_pool *pool = hg_pool_create(0);
    struct hg_packet *p = packet_of(pool, "udp 10.0.0.1:1 > 10.0.0.2:2 len 9");
    unsigned n;

    for (n = 0; n < 30; n++) {
        REQUIRE(hg_packet_push(p, 50));
        memset(p->data, 0xee, 50);
        CHECK(p->data >= (uint8_t *)(p + 1));
        CHECK(p->data + p->len <= (uint8_t *)(p + 1) + p->capacity);
    }
    hg_packet_pull(p, 30 * 50);
    CHECK_TEXT(p, "udp 10.0.0.1:1 > 10.0.0.2:2 len 9 ttl 64");
    hg_packet_free(p);
    hg_pool_destroy(pool);
}

TEST(a_slot_can_be_filled_to_its_last_byte_and_no_further)
{
    struct hg_pool *pool = hg_pool_create(0);
    struct hg_packet *p = hg_packet_alloc(pool, 100);
    uint32_t room = p->capacity - p->len;
    uint8_t *end;

    memset(p->data, 0xaa, 100);
    CHECK(!hg_packet_put(p, room + 1));
    CHECK(!hg_packet_push(p, room + 1));
    CHECK_EQ(p->len, 100);
    end = hg_packet_put(p, room);
    REQUIRE(end);
    memset(end, 0xbb, room);
    CHECK_EQ(p->data[99], 0xaa);
    CHECK(!hg_packet_put(p, 1));
    CHECK(!hg_packet_push(p, 1));
    hg_packet_trim(p, 100);
    REQUIRE(hg_packet_push(p, room));
    memset(p->data, 0xcc, room);
    CHECK_EQ(p->data[room], 0xaa);
    CHECK_EQ(p->data[room + 99], 0xaa);
    hg_packet_free(p);
    hg_pool_destroy(pool);
}

TEST(a_header_that_is_trimmed_away_is_no_longer_announced)
{
    struct hg_pool *pool = hg_pool_create(0);
    struct hg_packet *p = packet_of(pool, "udp 10.0.0.1:1 > 10.0.0.2:2 len 9");

    hg_packet_trim(p, 1000);
    CHECK_EQ(p->len, 51);
    hg_packet_trim(p, 42);
    CHECK_EQ(p->len, 42);
    CHECK_EQ(p->wire_len, 42);
    CHECK(hg_packet_udp(p));
    hg_packet_trim(p, 41);
    CHECK(hg_packet_ipv4(p) && !hg_packet_udp(p));
    hg_packet_trim(p, 33);
    CHECK(!hg_packet_ipv4(p));
    hg_packet_free(p);
    hg_pool_destroy(pool);
}

/* ---- Rewriting -------------------------------------------------------- */

static struct hg_addr
addr_of(const char *text)
{
    struct hg_addr a = {0};

    REQUIRE(hg_addr_parse(text, &a));
    return a;
}

/* A wrong checksum would show in the text. */
TEST(rewritten_addresses_and_ports_keep_every_checksum_right)
{
    static const struct {
        const char *before, *src, *dst;
        uint16_t sport, dport;
        const char *after;
    } rows[] = {
        {"tcp 10.0.0.5:40000 > 203.0.113.9:443 S len 7", "198.51.100.1",
         "192.0.2.7", 1024, 80,
         "tcp 198.51.100.1:1024 > 192.0.2.7:80 S len 7 ttl 9 seq 0 ack 0"},
        {"udp 10.0.0.5:53 > 203.0.113.9:53 len 3", "198.51.100.1", "192.0.2.7",
         1024, 80, "udp 198.51.100.1:1024 > 192.0.2.7:80 len 3 ttl 9"},
        {"icmp 10.0.0.5 > 203.0.113.9 echo 7 seq 2 len 3", "198.51.100.1",
         "192.0.2.7", 80, 80,
         "icmp 198.51.100.1 > 192.0.2.7 echo 80 seq 2 len 3 ttl 9"},
        {"icmp 10.0.0.5 > 203.0.113.9 unreachable 1 (udp 203.0.113.9:1 > "
         "10.0.0.5:2)",
         "198.51.100.1", "192.0.2.7", 80, 80,
         "icmp 198.51.100.1 > 192.0.2.7 unreachable 1 ttl 9 "
         "(udp 203.0.113.9:1 > 10.0.0.5:2 len 0 ttl 64)"},
        {"ip 10.0.0.5 > 203.0.113.9 proto 17 len 16 frag 1480 id 9",
         "198.51.100.1", "192.0.2.7", 1, 2,
         "ip 198.51.100.1 > 192.0.2.7 proto 17 len 16 ttl 9 frag 1480 id 9"},
        {"tcp [2001:db8::1]:1 > [2001:db8::2]:2 . len 1", "2001:db8:ffff::3",
         "fd00::4", 3, 4,
         "tcp [2001:db8:ffff::3]:3 > [fd00::4]:4 . len 1 ttl 9 seq 0 ack 0"},
        {"udp [2001:db8::1]:1 > [2001:db8::2]:2 len 1", "2001:db8:ffff::3",
         "fd00::4", 3, 4,
         "udp [2001:db8:ffff::3]:3 > [fd00::4]:4 len 1 ttl 9"},
        {"icmp 2001:db8::1 > 2001:db8::2 reply 5 seq 6", "2001:db8:ffff::3",
         "fd00::4", 4, 4,
         "icmp 2001:db8:ffff::3 > fd00::4 reply 4 seq 6 len 0 ttl 9"},
        {"icmp 2001:db8::1 > 2001:db8::2 type 135 code 0 len 16",
         "2001:db8:ffff::3", "fd00::4", 4, 4,
         "icmp 2001:db8:ffff::3 > fd00::4 type 135 code 0 len 16 ttl 9"},
    };
    struct hg_pool *pool = hg_pool_create(0);
    size_t i;

    for (i = 0; i < LENGTH(rows); i++) {
        struct hg_packet *p = packet_of(pool, rows[i].before);
        struct hg_addr src = addr_of(rows[i].src);
        struct hg_addr dst = addr_of(rows[i].dst);
        struct hg_addr read;

        hg_packet_set_src(p, &src);
        hg_packet_set_dst(p, &dst);
        hg_packet_set_sport(p, rows[i].sport);
        hg_packet_set_dport(p, rows[i].dport);
        hg_packet_set_ttl(p, 9);
        CHECK_TEXT(p, rows[i].after);
        CHECK_EQ(hg_packet_ttl(p), 9);
        read = hg_packet_src(p);
        CHECK(hg_addr_equal(&read, &src));
        read = hg_packet_dst(p);
        CHECK(hg_addr_equal(&read, &dst));
        hg_packet_free(p);
    }
    hg_pool_destroy(pool);
}

TEST(a_first_fragment_keeps_the_checksum_of_the_whole_datagram_right)
{
    struct hg_pool *pool = hg_pool_create(0);
    struct hg_packet *p = packet_of(
        pool, "udp 10.0.0.5:53 > 203.0.113.9:53 len 16 frag 0+ id 9");
    struct hg_addr src = addr_of("198.51.100.1");

    hg_packet_set_src(p, &src);
    hg_packet_set_sport(p, 1024);
    CHECK_TEXT(p, "udp 198.51.100.1:1024 > 203.0.113.9:53 len 16 ttl 64 "
                  "frag 0+ id 9");
    /* Seen as not a fragment, it is right as it was before. */
    hg_packet_ipv4(p)->frag = hg_be16_of(0);
    hg_packet_parse(p);
    CHECK(hg_packet_l4_checksum_ok(p));
    hg_packet_free(p);
    hg_pool_destroy(pool);
}

TEST(an_address_of_the_other_family_changes_nothing)
{
    struct hg_pool *pool = hg_pool_create(0);
    struct hg_packet *p = packet_of(pool, "udp 10.0.0.1:1 > 10.0.0.2:2");
    struct hg_addr a = addr_of("2001:db8::1");

    hg_packet_set_src(p, &a);
    hg_packet_set_dst(p, &a);
    CHECK_TEXT(p, "udp 10.0.0.1:1 > 10.0.0.2:2 len 0 ttl 64");
    hg_packet_free(p);
    hg_pool_destroy(pool);
}

TEST(udp_over_ip4_without_a_checksum_stays_without)
{
    struct hg_pool *pool = hg_pool_create(0);
    struct hg_packet *p = packet_of(pool, "udp 10.0.0.1:1 > 10.0.0.2:2 len 4");
    struct hg_addr a = addr_of("192.0.2.1");

    hg_packet_udp(p)->checksum = hg_be16_of(0);
    CHECK(hg_packet_l4_checksum_ok(p));
    hg_packet_set_src(p, &a);
    hg_packet_set_sport(p, 9);
    CHECK_EQ(hg_get16(hg_packet_udp(p)->checksum), 0);
    hg_packet_free(p);
    hg_pool_destroy(pool);
}

TEST(a_udp_checksum_of_zero_is_written_as_ffff)
{
    struct hg_pool *pool = hg_pool_create(0);
    struct hg_packet *p = packet_of(pool, "udp 10.0.0.1:0 > 10.0.0.2:2 len 4");
    uint16_t sum = hg_get16(hg_packet_udp(p)->checksum);

    /* The port that takes all of the checksum. */
    hg_packet_udp(p)->sport = hg_be16_of(sum);
    hg_packet_set_checksums(p);
    CHECK_EQ(hg_get16(hg_packet_udp(p)->checksum), 0xffff);
    CHECK(hg_packet_l4_checksum_ok(p));
    hg_packet_set_sport(p, 0);
    CHECK_EQ(hg_get16(hg_packet_udp(p)->checksum), sum);
    hg_packet_set_sport(p, sum);
    CHECK_EQ(hg_get16(hg_packet_udp(p)->checksum), 0xffff);
    hg_packet_free(p);
    hg_pool_destroy(pool);
}

/* RFC 8200 8.1, also where a right sum would be the same. */
TEST(a_udp_checksum_of_zero_is_wrong_over_ip6)
{
    struct hg_pool *pool = hg_pool_create(0);
    struct hg_packet *p =
        packet_of(pool, "udp [2001:db8::1]:0 > [2001:db8::2]:2 len 4");

    hg_packet_udp(p)->sport = hg_packet_udp(p)->checksum;
    hg_packet_set_checksums(p);
    CHECK_EQ(hg_get16(hg_packet_udp(p)->checksum), 0xffff);
    CHECK(hg_packet_l4_checksum_ok(p));
    hg_packet_udp(p)->checksum = hg_be16_of(0);
    CHECK(!hg_packet_l4_checksum_ok(p));
    hg_packet_free(p);
    hg_pool_destroy(pool);
}

TEST(a_checksum_is_judged_only_where_all_it_covers_is_here)
{
    static const struct {
        const char *text;
        bool ok;
    } rows[] = {
        {"tcp 10.0.0.1:1 > 10.0.0.2:2 S len 9", true},
        {"tcp 10.0.0.1:1 > 10.0.0.2:2 S len 9 bad-checksum", false},
        {"tcp 10.0.0.1:1 > 10.0.0.2:2 S len 9 cut 1", false},
        {"tcp 10.0.0.1:1 > 10.0.0.2:2 S len 9 cut 20", false},
        {"udp 10.0.0.1:1 > 10.0.0.2:2 len 9 cut 9", false},
        {"udp 10.0.0.1:1 > 10.0.0.2:2 len 9 pad 3", true},
        {"icmp 10.0.0.1 > 10.0.0.2 echo 1 seq 1 bad-checksum", false},
        {"ip 10.0.0.1 > 10.0.0.2 proto 47 len 9 cut 1", true},
        {"ip 10.0.0.1 > 10.0.0.2 proto 17 len 8 frag 8 id 1", true},
        {"arp who-has 10.0.0.1 tell 10.0.0.2", true},
    };
    struct hg_pool *pool = hg_pool_create(0);
    size_t i;

    for (i = 0; i < LENGTH(rows); i++) {
        struct hg_packet *p = packet_of(pool, rows[i].text);

        if (hg_packet_l4_checksum_ok(p) != rows[i].ok)
            FAIL("%s", rows[i].text);
        hg_packet_free(p);
    }
    hg_pool_destroy(pool);
}

TEST(a_partial_checksum_is_taken_as_right_until_it_is_computed)
{
    struct hg_pool *pool = hg_pool_create(0);
    struct hg_packet *p =
        packet_of(pool, "tcp 10.0.0.1:1 > 10.0.0.2:2 S bad-checksum");

    p->flags |= HG_PACKET_NEEDS_CSUM;
    CHECK(hg_packet_l4_checksum_ok(p));
    hg_packet_set_checksums(p);
    CHECK(!(p->flags & HG_PACKET_NEEDS_CSUM));
    CHECK(hg_packet_l4_checksum_ok(p));
    hg_packet_free(p);
    hg_pool_destroy(pool);
}

/* Offsets of lengths in frames without tags. */
TEST(an_ip_packet_has_the_bytes_of_its_header_or_all_that_came_if_that_says_0)
{
    static const struct {
        const char *text;
        unsigned at; /* Of the length; 0: none. */
        uint32_t bytes, whole;
    } row[] = {{"udp 10.0.0.1:1 > 10.0.0.2:2 len 2", 16, 30, 46},
               {"udp [2001:db8::1]:1 > [2001:db8::2]:2 len 4", 18, 52, 52},
               {"arp who-has 10.0.0.1 tell 10.0.0.2", 0, 60, 60}};
    struct hg_pool *pool = hg_pool_create(0);
    unsigned i;

    for (i = 0; i < LENGTH(row); i++) {
        struct hg_packet *p = packet_of(pool, row[i].text);

        p->wire_len = row[i].at ? 14 + row[i].whole : row[i].whole;
        CHECK_EQ(hg_packet_ip_bytes(p), row[i].bytes);
        if (row[i].at)
            hg_store16(p->data + row[i].at, 0);
        CHECK_EQ(hg_packet_ip_bytes(p), row[i].whole);
        hg_packet_free(p);
    }
    hg_pool_destroy(pool);
}

/* ---- Hashing ---------------------------------------------------------- */

static uint32_t
hash_of(struct hg_pool *pool, const char *text)
{
    struct hg_packet *p = packet_of(pool, text);
    uint32_t hash = hg_packet_hash(p);

    CHECK(p->flags & HG_PACKET_HASHED);
    CHECK_EQ(hg_packet_hash(p), hash);
    hg_packet_free(p);
    return hash;
}

TEST(both_directions_of_a_flow_have_one_hash)
{
    static const char *const rows[][2] = {
        {"tcp 10.0.0.1:1 > 10.0.0.2:2 S", "tcp 10.0.0.2:2 > 10.0.0.1:1 S."},
        {"udp 10.0.0.1:9 > 10.0.0.1:2", "udp 10.0.0.1:2 > 10.0.0.1:9"},
        {"udp [2001:db8::1]:1 > [2001:db8::2]:2",
         "udp [2001:db8::2]:2 > [2001:db8::1]:1"},
        {"icmp 10.0.0.1 > 10.0.0.2 echo 7 seq 1",
         "icmp 10.0.0.2 > 10.0.0.1 reply 7 seq 9"},
        {"icmp fd00::1 > fd00::2 echo 7 seq 1",
         "icmp fd00::2 > fd00::1 reply 7 seq 9"},
        {"udp 10.0.0.1:1 > 10.0.0.2:2 len 8 frag 0+ id 1",
         "ip 10.0.0.1 > 10.0.0.2 proto 17 len 8 frag 16 id 1"},
    };
    struct hg_pool *pool = hg_pool_create(0);
    size_t i;

    for (i = 0; i < LENGTH(rows); i++)
        CHECK_EQ(hash_of(pool, rows[i][0]), hash_of(pool, rows[i][1]));
    hg_pool_destroy(pool);
}

TEST(different_flows_have_different_hashes)
{
    static const char *const flows[] = {
        "tcp 10.0.0.1:1 > 10.0.0.2:2 S",
        "udp 10.0.0.1:1 > 10.0.0.2:2",
        "udp 10.0.0.1:2 > 10.0.0.2:1",
        "udp 10.0.0.1:1 > 10.0.0.3:2",
        "udp 10.0.0.1:1 > 10.0.0.2:3",
        "icmp 10.0.0.1 > 10.0.0.2 echo 1",
        "udp 10.0.0.1:1 > 10.0.0.2:2 len 8 frag 0+ id 1",
        "arp who-has 10.0.0.1 tell 10.0.0.2",
        "udp [fd00::1]:1 > [fd00::2]:2",
        "udp [fd00::1]:2 > [fd00::2]:1",
    };
    struct hg_pool *pool = hg_pool_create(0);
    size_t i, k;

    for (i = 0; i < LENGTH(flows); i++)
        for (k = 0; k < i; k++)
            if (hash_of(pool, flows[i]) == hash_of(pool, flows[k]))
                FAIL("%s and %s", flows[i], flows[k]);
    hg_pool_destroy(pool);
}

TEST(hashes_of_many_are_those_of_each)
{
    static const char *const flows[] = {
        "tcp 10.0.0.1:1 > 10.0.0.2:2 S",
        "udp 10.0.0.9:1 > 10.0.0.2:2",
        "icmp 10.0.0.1 > 10.0.0.2 echo 1",
        "udp 10.0.0.1:1 > 10.0.0.2:2 len 8 frag 0+ id 1",
        "arp who-has 10.0.0.1 tell 10.0.0.2",
        "udp [fd00::1]:1 > [fd00::2]:2",
        "udp 10.0.0.1:3 > 10.0.0.2:4",
    };
    struct hg_pool *pool = hg_pool_create(0);
    struct hg_packet *p[LENGTH(flows)];
    uint32_t hash[LENGTH(flows)];
    size_t i;

    hg_pool_set_seed(pool, 7);
    for (i = 0; i < LENGTH(flows); i++)
        p[i] = packet_of(pool, flows[i]);
    p[LENGTH(flows) - 1]->flags |= HG_PACKET_HASHED; /* Which it knows. */
    p[LENGTH(flows) - 1]->hash = 12345;
    hg_packet_hash_many(p, LENGTH(flows), hash);
    for (i = 0; i < LENGTH(flows); i++) {
        CHECK_EQ(hash[i], hg_packet_hash(p[i]));
        hg_packet_free(p[i]);
    }
    hg_packet_hash_many(p, 0, hash);
    hg_pool_destroy(pool);
}

TEST(the_hash_depends_on_seed_and_vpc_and_follows_rewriting)
{
    struct hg_pool *pool = hg_pool_create(0);
    struct hg_packet *p = packet_of(pool, "udp 10.0.0.1:1 > 10.0.0.2:2");
    struct hg_addr a = addr_of("10.0.0.9");
    uint32_t hash = hg_packet_hash(p);

    hg_packet_set_src(p, &a);
    CHECK(hg_packet_hash(p) != hash);
    CHECK_EQ(hg_packet_hash(p), hash_of(pool, "udp 10.0.0.9:1 > 10.0.0.2:2"));
    hg_packet_set_dport(p, 7);
    CHECK_EQ(hg_packet_hash(p), hash_of(pool, "udp 10.0.0.9:1 > 10.0.0.2:7"));
    hash = hg_packet_hash(p);
    p->vpc = 1;
    CHECK(hg_packet_hash_slow(p) != hash);
    p->vpc = 0;
    hg_pool_set_seed(pool, 1);
    CHECK(hg_packet_hash_slow(p) != hash);
    hg_packet_free(p);
    hg_pool_destroy(pool);
}
