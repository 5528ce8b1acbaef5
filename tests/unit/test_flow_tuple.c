/* test_flow_tuple.c: which keys of flows are the same.  In the flow service
 * their hashes differ before they do, so that nothing else would tell. */
#include <string.h>

#include "flow_tuple.h"
#include "test.h"

static struct hg_addr
address(const char *text)
{
    struct hg_addr a;

    REQUIRE(hg_addr_parse(text, &a));
    return a;
}

static struct hg_flow_key
key_of(const char *src, const char *dst)
{
    return (struct hg_flow_key){.vpc = 7,
                                .src = address(src),
                                .dst = address(dst),
                                .sport = 4000,
                                .dport = 53,
                                .protocol = HG_PROTO_UDP};
}

static struct flow_tuple
tuple_of(const struct hg_flow_key *key)
{
    struct flow_tuple tuple;

    memset(&tuple, 0, sizeof tuple);
    flow_tuple_of_key(key, hash_seed_of(1), &tuple);
    return tuple;
}

/* Whether a record with the one key has the other. */
static bool
is_same(const struct hg_flow_key *recorded, const struct hg_flow_key *key)
{
    struct flow_tuple a = tuple_of(recorded), b = tuple_of(key);
    struct hg_flow_ends ends = a.ends;

    if (a.kind & FLOW_SIX)
        ends.wide = &a.wide;
    return flow_tuple_is(&b, a.kind, &ends);
}

static void
check_each_part(const char *src, const char *dst, const char *third)
{
    const struct hg_flow_key key = key_of(src, dst);
    struct hg_flow_key other[7];
    size_t i;

    for (i = 0; i < sizeof other / sizeof other[0]; i++)
        other[i] = key;
    other[0].vpc = 8;
    other[1].src = address(third);
    other[2].dst = address(third);
    other[3].sport = 4001;
    other[4].dport = 54;
    other[5].protocol = HG_PROTO_TCP;
    other[6].src = key.dst;
    other[6].dst = key.src;
    for (i = 0; i < sizeof other / sizeof other[0]; i++)
        if (is_same(&key, &other[i]))
            FAIL("what differs in part %zu is the same", i);
    other[6].sport = key.dport;
    other[6].dport = key.sport;
    CHECK(is_same(&key, &key));
    CHECK(is_same(&key, &other[6]));
    CHECK_EQ(tuple_of(&key).kind ^ tuple_of(&other[6]).kind, FLOW_SWAPPED);
    CHECK_EQ(tuple_of(&key).hash, tuple_of(&other[6]).hash);
}

TEST(keys_are_the_same_either_way_and_in_all_parts)
{
    check_each_part("10.0.0.5", "203.0.113.9", "10.0.0.6");
    check_each_part("2001:db8::5", "2001:db8::9", "2001:db8::6");
}

/* The ends of an IPv4 key as those of an IPv6 one might happen to be. */
TEST(a_key_of_another_ip_version_is_another_one)
{
    const struct hg_flow_key key = key_of("10.0.0.5", "203.0.113.9");
    const struct flow_tuple tuple = tuple_of(&key);

    CHECK(flow_tuple_is(&tuple, tuple.kind, &tuple.ends));
    CHECK(!flow_tuple_is(&tuple, tuple.kind ^ FLOW_SIX, &tuple.ends));
}
