/* test_shuffle.c: shards against the specification (rows computed by a
 * program of another language that follows headgate/shuffle.h), against the
 * hypergeometric law, and against the promise of "guaranteed". */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <headgate/shuffle.h>

#include "test.h"

enum { TENANTS = 60000 };

static struct hg_shuffle *
make(unsigned n, unsigned zones, unsigned size, uint64_t seed)
{
    struct hg_shuffle *s = hg_shuffle_create(size, seed);
    char name[16], zone[2] = "";
    unsigned i;

    for (i = 0; i < n; i++) {
        snprintf(name, sizeof name, "n%u", i);
        zone[0] = (char)('a' + i % zones);
        CHECK_EQ(hg_shuffle_add(s, name, zone), i);
    }
    return s;
}

TEST(signatures_are_those_of_the_specification)
{
    static const char long_name[] =
        "a tenant with quite a long name, over 32 bytes";
    static const struct {
        const char *tenant;
        uint64_t seed;
        uint32_t one_zone[3];
        uint32_t three_zones[4];
    } row[] = {
        {"vpc-1", 0, {1, 2, 7}, {0, 1, 2, 3}},
        {"vpc-1", 42, {0, 2, 4}, {2, 3, 4, 6}},
        {"vpc-2", 0, {1, 3, 7}, {1, 2, 3, 4}},
        {"vpc-2", 42, {0, 3, 4}, {3, 4, 5, 6}},
        {"10.0.0.5", 0, {1, 4, 6}, {3, 6, 7, 8}},
        {"10.0.0.5", 42, {0, 2, 6}, {1, 2, 3, 5}},
        {long_name, 0, {2, 4, 5}, {3, 4, 5, 7}},
        {long_name, 42, {0, 1, 4}, {0, 2, 3, 4}},
    };
    size_t i;

    for (i = 0; i < sizeof row / sizeof *row; i++) {
        struct hg_shuffle *one = make(8, 1, 3, row[i].seed);
        struct hg_shuffle *three = make(10, 3, 4, row[i].seed);
        uint32_t node[HG_SHARD_MAX];

        hg_shuffle_signature(one, row[i].tenant, node);
        CHECK_MEM(node, row[i].one_zone, sizeof row[i].one_zone);
        hg_shuffle_signature(three, row[i].tenant, node);
        CHECK_MEM(node, row[i].three_zones, sizeof row[i].three_zones);
        hg_shuffle_destroy(one);
        hg_shuffle_destroy(three);
    }
}

static unsigned
shared(const uint32_t *a, const uint32_t *b, unsigned size)
{
    unsigned n = 0, i, k;

    for (i = 0; i < size; i++)
        for (k = 0; k < size; k++)
            n += a[i] == b[k];
    return n;
}

TEST(pairs_of_shards_overlap_as_the_hypergeometric_law_says)
{
    /* Nodes, size and the table of vpc-semantics 10.1, in percent. */
    static const struct {
        unsigned n, size;
        double percent[6];
    } row[] = {
        {8, 2, {53.57, 42.86, 3.571}},
        {8, 3, {17.86, 53.57, 26.79, 1.786}},
        {8, 4, {1.43, 22.86, 51.43, 22.86, 1.429}},
        {16, 4, {27.20, 48.35, 21.76, 2.64, 0.0549}},
        {52, 4, {71.87, 25.56, 2.50, 0.0709, 0.00037}},
        {100, 5, {76.96, 21.14, 1.838, 0.0593, 0.00063, 0.0000013}},
        {2048, 4, {99.22, 0.778, 0.00171}},
    };
    size_t r;

    for (r = 0; r < sizeof row / sizeof *row; r++) {
        struct hg_shuffle *s = make(row[r].n, 1, row[r].size, 7);
        unsigned pairs = row[r].n > 1000 ? 4000 : TENANTS, i, k;
        double seen[6] = {0};

        for (i = 0; i < pairs; i++) {
            uint32_t a[HG_SHARD_MAX], b[HG_SHARD_MAX];
            char tenant[16];

            snprintf(tenant, sizeof tenant, "a%u", i);
            hg_shuffle_signature(s, tenant, a);
            tenant[0] = 'b';
            hg_shuffle_signature(s, tenant, b);
            seen[shared(a, b, row[r].size)]++;
        }
        for (k = 0; k <= row[r].size; k++) {
            double p = row[r].percent[k] / 100;
            double sigma = sqrt(pairs * p * (1 - p));

            if (fabs(seen[k] - pairs * p) > 5 * sigma + 1)
                FAIL("%u of %u: %g pairs share %u, %g expected", row[r].size,
                     row[r].n, seen[k], k, pairs * p);
        }
        hg_shuffle_destroy(s);
    }
}

TEST(guaranteed_shards_never_share_more_than_allowed)
{
    static uint32_t shard[200][HG_SHARD_MAX];
    struct hg_shuffle *s = make(20, 1, 4, 1);
    unsigned n = 0, i;
    char tenant[16];
    uint64_t steps;

    for (;; n++) {
        steps = UINT64_C(1) << 40;
        snprintf(tenant, sizeof tenant, "t%u", n);
        if (!hg_shuffle_guaranteed(s, tenant, 1, &steps, shard[n]))
            break;
        for (i = 0; i < n; i++)
            CHECK(shared(shard[i], shard[n], 4) <= 1);
    }
    CHECK(steps > 0); /* It did look everywhere. */
    CHECK(n >= 10);
    CHECK(n <= 20 * 19 / (4 * 3)); /* The packing bound of 10.2. */
    hg_shuffle_destroy(s);
}

TEST(five_nodes_in_threes_with_one_in_common_give_two_shards)
{
    struct hg_shuffle *s = make(5, 1, 3, 3); /* Example of 10.2. */
    uint32_t node[HG_SHARD_MAX];
    uint64_t steps = 1000000;

    CHECK(hg_shuffle_guaranteed(s, "a", 1, &steps, node));
    CHECK(hg_shuffle_guaranteed(s, "b", 1, &steps, node));
    CHECK(!hg_shuffle_guaranteed(s, "c", 1, &steps, node));
    CHECK(steps > 0);
    hg_shuffle_destroy(s);
}

/* Of the 20 shards of three of six nodes, two stand in one zone only. */
TEST(every_even_shard_is_found_before_none_is_left)
{
    struct hg_shuffle *s = make(6, 2, 3, 7);
    uint64_t steps = 100000;
    uint32_t node[HG_SHARD_MAX];
    char name[8];
    unsigned i;

    for (i = 0; i < 19; i++) {
        snprintf(name, sizeof name, "t%u", i);
        CHECK_EQ(hg_shuffle_guaranteed(s, name, 2, &steps, node), i < 18);
    }
    hg_shuffle_destroy(s);
}

TEST(a_search_that_runs_out_of_steps_says_so)
{
    struct hg_shuffle *s = make(100, 1, 5, 3);
    uint32_t node[HG_SHARD_MAX];
    uint64_t steps = 4;

    CHECK(!hg_shuffle_guaranteed(s, "a", 2, &steps, node));
    CHECK_EQ(steps, 0);
    hg_shuffle_destroy(s);
}

TEST(shards_spread_evenly_over_zones_in_both_ways)
{
    struct hg_shuffle *s = make(12, 3, 6, 5);
    uint32_t node[HG_SHARD_MAX];
    uint64_t steps = 1000000;
    unsigned way, i, z;

    for (way = 0; way < 2; way++) {
        unsigned in_zone[3] = {0};

        if (way)
            CHECK(hg_shuffle_guaranteed(s, "tenant", 3, &steps, node));
        else
            hg_shuffle_signature(s, "tenant", node);
        for (i = 0; i < 6; i++)
            in_zone[node[i] % 3]++;
        for (z = 0; z < 3; z++)
            CHECK_EQ(in_zone[z], 2);
    }
    hg_shuffle_destroy(s);
}

TEST(a_node_that_goes_down_moves_only_its_own_flows)
{
    struct hg_shuffle *s = make(8, 1, 4, 9);
    uint32_t node[] = {1, 3, 4, 6}, before, after, flow, moved = 0;
    bool up[8] = {true, true, true, true, true, true, true, true};
    unsigned taken[8] = {0};

    for (flow = 0; flow < 40000; flow++) {
        before = hg_shuffle_pick(s, node, 4, up, flow * 2654435761u);
        up[3] = false;
        after = hg_shuffle_pick(s, node, 4, up, flow * 2654435761u);
        up[3] = true;
        CHECK(before == after || before == 3);
        CHECK(after != 3);
        moved += before != after;
        taken[before]++;
    }
    CHECK_EQ(moved, taken[3]);
    CHECK(taken[3] > 9500 && taken[3] < 10500);
    up[1] = up[3] = up[4] = up[6] = false;
    CHECK_EQ(hg_shuffle_pick(s, node, 4, up, 1), HG_SHARD_NONE);
    hg_shuffle_destroy(s);
}

TEST(a_flood_of_one_tenant_troubles_fewer_than_plain_sharding_does)
{
    struct hg_shuffle *s = make(8, 1, 2, 11);
    struct hg_shuffle *pairs = make(4, 1, 1, 11); /* Plain: four pairs. */
    uint32_t flooded_pair, pair;
    uint32_t flooded[HG_SHARD_MAX], node[HG_SHARD_MAX];
    unsigned all_lost = 0, some_lost = 0, plain_lost = 0, i;
    char tenant[16];

    hg_shuffle_signature(s, "flooder", flooded);
    hg_shuffle_signature(pairs, "flooder", &flooded_pair);
    for (i = 0; i < TENANTS; i++) {
        unsigned n;

        snprintf(tenant, sizeof tenant, "t%u", i);
        hg_shuffle_signature(s, tenant, node);
        n = shared(flooded, node, 2);
        all_lost += n == 2;
        some_lost += n > 0;
        hg_shuffle_signature(pairs, tenant, &pair);
        plain_lost += pair == flooded_pair;
    }
    CHECK(all_lost > TENANTS * 30 / 1000 && all_lost < TENANTS * 42 / 1000);
    CHECK(plain_lost > 5 * all_lost);
    CHECK(some_lost < TENANTS / 2);
    hg_shuffle_destroy(pairs);
    hg_shuffle_destroy(s);
}
