/* test_maglev.c: Maglev tables, the choice of targets by them, and the PROXY
 * header: what a load balancer is made of. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <headgate/headers.h>
#include <headgate/maglev.h>
#include <headgate/proxy_v2.h>
#include <headgate/target_group.h>

#include "test.h"

static uint16_t table[HG_MAGLEV_LARGE], other[HG_MAGLEV_LARGE];

/* Eisenbud et al., section 3.4, table 1. */
TEST(the_example_of_the_paper)
{
    struct hg_maglev_backend b[] = {{3, 4, 1}, {0, 2, 1}, {3, 1, 1}};
    static const uint16_t expected[] = {1, 0, 1, 0, 2, 2, 0};
    static const uint16_t without_1[] = {0, 0, 0, 0, 2, 2, 2};

    REQUIRE(hg_maglev_fill(table, 7, b, 3));
    CHECK_MEM(table, expected, sizeof expected);
    b[1].weight = 0;
    REQUIRE(hg_maglev_fill(table, 7, b, 3));
    CHECK_MEM(table, without_1, sizeof without_1);
}

TEST(only_primes_are_sizes)
{
    static const uint32_t primes[] = {2, 7, 65537, 655373, 5000011};
    static const uint32_t others[] = {0,      1,       9,      65536,
                                      655371, 5000012, 5000077};
    size_t i;

    for (i = 0; i < sizeof primes / sizeof *primes; i++)
        CHECK(hg_maglev_is_size(primes[i]));
    for (i = 0; i < sizeof others / sizeof *others; i++)
        CHECK(!hg_maglev_is_size(others[i]));
}

static void
name_backends(struct hg_maglev_backend *b, unsigned n, uint32_t size)
{
    char name[16];
    unsigned i;

    for (i = 0; i < n; i++) {
        snprintf(name, sizeof name, "b%04u", i);
        hg_maglev_prefer(name, 0, size, &b[i]);
        b[i].weight = 1;
        CHECK(b[i].offset < size && b[i].skip >= 1 && b[i].skip < size);
    }
}

static void
count_slots(uint32_t size, uint32_t *count, unsigned n)
{
    uint32_t i;

    memset(count, 0, n * sizeof *count);
    for (i = 0; i < size; i++) {
        REQUIRE(table[i] < n);
        count[table[i]]++;
    }
}

TEST(slots_are_shared_out_evenly)
{
    struct hg_maglev_backend b[1000];
    uint32_t count[1000];
    unsigned i;

    name_backends(b, 1000, HG_MAGLEV_SMALL);
    REQUIRE(hg_maglev_fill(table, HG_MAGLEV_SMALL, b, 1000));
    count_slots(HG_MAGLEV_SMALL, count, 1000);
    for (i = 0; i < 1000; i++)
        CHECK(count[i] == 65 || count[i] == 66);
}

TEST(slots_follow_weights)
{
    struct hg_maglev_backend b[4];
    uint32_t count[4];
    unsigned i;

    name_backends(b, 4, HG_MAGLEV_SMALL);
    for (i = 0; i < 4; i++)
        b[i].weight = i * 10; /* 0, 1/6, 2/6 and 3/6 of 65537. */
    REQUIRE(hg_maglev_fill(table, HG_MAGLEV_SMALL, b, 4));
    count_slots(HG_MAGLEV_SMALL, count, 4);
    CHECK_EQ(count[0], 0);
    for (i = 1; i < 4; i++)
        CHECK(labs((long)count[i] - (long)i * 65537 / 6) <= 2);
    memset(b, 0, sizeof b);
    CHECK(!hg_maglev_fill(table, HG_MAGLEV_SMALL, b, 4));
}

/* Removes the middle one of n backends; the part of all slots that moved
 * without need, in millionths. */
static uint64_t
disruption(unsigned n, uint32_t size)
{
    static struct hg_maglev_backend b[1000];
    uint32_t i, moved = 0;

    name_backends(b, n, size);
    REQUIRE(hg_maglev_fill(other, size, b, n));
    b[n / 2].weight = 0;
    REQUIRE(hg_maglev_fill(table, size, b, n));
    for (i = 0; i < size; i++)
        moved += other[i] != n / 2 && table[i] != other[i];
    return moved * UINT64_C(1000000) / size;
}

/* vpc-semantics derives 0.19 and 0.15 % for 10 backends, 0.62 and 0.14 % for
 * 100, 0.60 and 0.34 % for 1000, with other hashes. */
TEST(removing_a_backend_moves_few_slots_of_others)
{
    static const struct {
        unsigned n;
        uint32_t size;
        uint64_t most;
    } rows[] = {
        {10, HG_MAGLEV_SMALL, 5000},    {10, HG_MAGLEV_LARGE, 5000},
        {100, HG_MAGLEV_SMALL, 12000},  {100, HG_MAGLEV_LARGE, 5000},
        {1000, HG_MAGLEV_SMALL, 12000}, {1000, HG_MAGLEV_LARGE, 8000},
    };
    size_t i;

    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint64_t moved = disruption(rows[i].n, rows[i].size);

        if (moved > rows[i].most || !moved)
            FAIL("%u of %u slots: %lu millionths moved", rows[i].n,
                 rows[i].size, (unsigned long)moved);
    }
}

/* ---- Targets ---------------------------------------------------------- */

static struct hg_target_group *
three_targets(const char *const *ids)
{
    const struct hg_target_group_config config = {.table_size = 251,
                                                  .minimum_count = 1};
    struct hg_target_group *g = hg_target_group_create(&config);
    unsigned i;

    for (i = 0; i < 3; i++) {
        char id[8];
        struct hg_target t = {.id = id,
                              .addr = {4, {10, 0, 0, (uint8_t)ids[i][1]}},
                              .port = 80,
                              .zone = ids[i][1] == '1',
                              .weight = 1,
                              .state = HG_TARGET_HEALTHY};

        snprintf(id, sizeof id, "%s", ids[i]);
        REQUIRE(hg_target_add(g, &t, NULL) == i);
    }
    return g;
}

TEST(the_order_of_registration_does_not_matter)
{
    struct hg_target_group *a =
        three_targets((const char *const[]){"t1", "t2", "t3"});
    struct hg_target_group *b =
        three_targets((const char *const[]){"t3", "t1", "t2"});
    uint32_t i;
    bool open;

    for (i = 0; i < 1000; i++) {
        uint32_t hash = i * UINT32_C(4294967);

        CHECK_STR(
            hg_target_at(a, hg_target_choose(a, HG_ZONE_ANY, hash, &open))->id,
            hg_target_at(b, hg_target_choose(b, HG_ZONE_ANY, hash, &open))
                ->id);
    }
    hg_target_group_destroy(a);
    hg_target_group_destroy(b);
}

TEST(zones_and_states_decide_who_is_chosen)
{
    struct hg_target_group *g =
        three_targets((const char *const[]){"t1", "t2", "t3"});
    uint32_t n, healthy;
    bool open;

    CHECK_EQ(hg_target_choose(g, 1, 7, &open), 0);
    CHECK(!open);
    CHECK_EQ(hg_target_choose(g, 2, 7, &open), HG_TARGET_NONE);
    hg_target_set_state(g, 1, HG_TARGET_UNHEALTHY);
    CHECK_EQ(hg_target_choose(g, 0, 7, &open), 2);
    hg_target_set_state(g, 0, HG_TARGET_UNHEALTHY);
    CHECK_EQ(hg_target_choose(g, 1, 7, &open), 0);
    CHECK(open);
    hg_target_health(g, &n, &healthy);
    CHECK_EQ(n, 3);
    CHECK_EQ(healthy, 1);
    hg_target_set_state(g, 0, HG_TARGET_DRAINING);
    CHECK_EQ(hg_target_choose(g, 1, 7, &open), HG_TARGET_NONE);
    hg_target_group_destroy(g);
}

TEST(a_place_is_given_again_when_its_flows_are_gone)
{
    struct hg_target_group *g =
        three_targets((const char *const[]){"t1", "t2", "t3"});
    char id[] = "new";
    struct hg_target t = {.id = id, .addr = {4, {10, 0, 0, 9}}, .port = 1};
    struct hg_error error;

    hg_target_at(g, 1)->n_flows = 1;
    hg_target_set_state(g, 1, HG_TARGET_GONE);
    CHECK_EQ(hg_target_find(g, "t2"), HG_TARGET_NONE);
    CHECK_EQ(hg_target_add(g, &t, &error), 3);
    CHECK_EQ(hg_target_add(g, &t, &error), HG_TARGET_NONE);
    CHECK_STR(error.text, "target 'new' is there already");
    hg_target_at(g, 1)->n_flows = 0;
    strcpy(id, "too");
    t.port = 2;
    CHECK_EQ(hg_target_add(g, &t, &error), 1);
    CHECK_EQ(hg_target_find_address(g, &t.addr, 2), 1);
    hg_target_group_destroy(g);
}

/* ---- PROXY ------------------------------------------------------------ */

TEST(crc32c_of_rfc_3720)
{
    uint8_t bytes[32] = {0};
    unsigned i;

    CHECK_EQ(hg_crc32c("123456789", 9), 0xe3069283);
    CHECK_EQ(hg_crc32c(bytes, sizeof bytes), 0x8a9136aa);
    memset(bytes, 0xff, sizeof bytes);
    CHECK_EQ(hg_crc32c(bytes, sizeof bytes), 0x62a8ab43);
    for (i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)i;
    CHECK_EQ(hg_crc32c(bytes, sizeof bytes), 0x46dd794e);
}

/* The header that AWS's ProProt library is tested with. */
TEST(the_header_is_the_one_that_aws_sends)
{
    static const uint8_t expected[HG_PROXY_V2_LEN4] = {
        0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54,
        0x0a, 0x21, 0x11, 0x00, 0x54, 0xac, 0x1f, 0x07, 0x71, 0xac, 0x1f,
        0x0a, 0x1f, 0xc8, 0xf2, 0x00, 0x50, 0x03, 0x00, 0x04, 0xe8, 0xd6,
        0x89, 0x2d, 0xea, 0x00, 0x17, 0x01, 0x76, 0x70, 0x63, 0x65, 0x2d,
        0x30, 0x38, 0x64, 0x32, 0x62, 0x66, 0x31, 0x35, 0x66, 0x61, 0x63,
        0x35, 0x30, 0x30, 0x31, 0x63, 0x39, 0x04, 0x00, 0x24};
    const struct hg_proxy_v2 proxy = {.src = {4, {172, 31, 7, 113}},
                                      .dst = {4, {172, 31, 10, 31}},
                                      .sport = 51442,
                                      .dport = 80,
                                      .endpoint = "vpce-08d2bf15fac5001c9"};
    uint8_t header[HG_PROXY_V2_LEN4];

    hg_proxy_v2_write(&proxy, header);
    CHECK_MEM(header, expected, sizeof expected);
}

TEST(a_header_over_ipv6_and_a_local_one)
{
    static const uint8_t local[] = {0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d,
                                    0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a,
                                    0x20, 0x00, 0x00, 0x00};
    struct hg_proxy_v2 proxy = {.sport = 1, .dport = 2};
    uint8_t header[HG_PROXY_V2_LEN6];
    uint32_t crc;

    REQUIRE(hg_addr_parse("2001:db8::1", &proxy.src));
    REQUIRE(hg_addr_parse("2001:db8::2", &proxy.dst));
    hg_proxy_v2_write(&proxy, header);
    CHECK_EQ(header[13], 0x21);
    CHECK_EQ(hg_load16(header + 14), sizeof header - 16);
    CHECK_MEM(header + 32, proxy.dst.byte, 16);
    CHECK_EQ(hg_load16(header + 50), 2);
    crc = hg_load32(header + 55);
    hg_store32(header + 55, 0);
    CHECK_EQ(hg_crc32c(header, sizeof header), crc);
    CHECK_EQ(header[59], 0x04);
    CHECK_EQ(hg_load16(header + 60), sizeof header - 62);
    hg_proxy_v2_write_local(header);
    CHECK_MEM(header, local, sizeof local);
}
