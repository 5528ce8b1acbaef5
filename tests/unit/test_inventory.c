/* test_inventory.c: the inventory against a plain list, and what it refuses
 * or keeps when it changes. */
#include <stdio.h>
#include <string.h>

#include <headgate/inventory.h>

#include "notation.h"
#include "test.h"

static struct hg_prefix
prefix(const char *text)
{
    struct hg_prefix p = {0};

    REQUIRE(hg_prefix_parse(text, &p));
    return p;
}

static const struct hg_vpc *
add_vpc(struct hg_inventory *inventory, const char *id, uint32_t vni,
        const char *cidr)
{
    struct hg_prefix block = prefix(cidr);
    struct hg_vpc vpc = {
        .id = (char *)(uintptr_t)id, .vni = vni, .cidr = {1, &block}};
    struct hg_error error;

    return hg_inventory_add_vpc(inventory, &vpc, &error);
}

static const struct hg_subnet *
add_subnet(struct hg_inventory *inventory, const char *id,
           const struct hg_vpc *vpc, const char *cidr)
{
    struct hg_prefix block = prefix(cidr);
    struct hg_subnet subnet = {
        .id = (char *)(uintptr_t)id, .vpc = vpc, .cidr = {1, &block}};
    struct hg_error error;

    return hg_inventory_add_subnet(inventory, &subnet, &error);
}

static const struct hg_eni *
add_eni(struct hg_inventory *inventory, const char *id,
        const struct hg_subnet *subnet, struct hg_addr addr, uint8_t mac)
{
    const struct hg_eni_details details = {.address = {1, &addr}};
    struct hg_eni eni = {.id = (char *)(uintptr_t)id,
                         .vpc = subnet->vpc,
                         .subnet = subnet,
                         .details = &details};
    struct hg_error error;

    eni.mac.byte[5] = mac;
    return hg_inventory_add_eni(inventory, &eni, &error);
}

TEST(vpcs_with_the_same_addresses_are_kept_apart)
{
    struct hg_inventory *inventory = hg_inventory_create();
    const struct hg_vpc *a = add_vpc(inventory, "a", 1, "10.0.0.0/16");
    const struct hg_vpc *b = add_vpc(inventory, "b", 2, "10.0.0.0/16");
    const struct hg_subnet *in_a =
        add_subnet(inventory, "sa", a, "10.0.1.0/24");
    const struct hg_subnet *in_b =
        add_subnet(inventory, "sb", b, "10.0.1.0/24");
    struct hg_addr addr = hg_addr_from_ip4(0x0a000109);
    const struct hg_eni *x = add_eni(inventory, "x", in_a, addr, 7);
    const struct hg_eni *y = add_eni(inventory, "y", in_b, addr, 7);
    struct hg_mac mac = {{0, 0, 0, 0, 0, 7}};

    REQUIRE(x && y);
    CHECK(hg_inventory_find(inventory, a->number, &addr) == x);
    CHECK(hg_inventory_find(inventory, b->number, &addr) == y);
    CHECK(hg_inventory_find(inventory, 0, &addr) == NULL);
    CHECK(hg_inventory_find_mac(inventory, a->number, &mac) == x);
    CHECK(hg_inventory_find_mac(inventory, b->number, &mac) == y);
    CHECK(add_eni(inventory, "z", in_b, hg_addr_from_ip4(0x0a00010a), 7) ==
          NULL);
    CHECK(hg_inventory_subnet_of(inventory, b->number, &addr) == in_b);
    CHECK(hg_inventory_vpc_by_vni(inventory, 2) == b);
    hg_inventory_destroy(inventory);
}

TEST(macs_are_found_in_batches_of_any_length)
{
    enum { N = 250, BATCH = 600 }; /* More than HG_BATCH_MAX. */
    static struct hg_mac mac[BATCH];
    static const struct hg_eni *found[BATCH], *eni[N];
    struct hg_inventory *inventory = hg_inventory_create();
    const struct hg_vpc *vpc = add_vpc(inventory, "a", 1, "10.0.0.0/16");
    const struct hg_subnet *subnet =
        add_subnet(inventory, "sa", vpc, "10.0.0.0/22");
    char id[8];
    unsigned i;

    for (i = 1; i < N; i++) {
        snprintf(id, sizeof id, "e%u", i);
        eni[i] = add_eni(inventory, id, subnet,
                         hg_addr_from_ip4(0x0a000100 + i), (uint8_t)i);
    }
    hg_inventory_remove_eni(inventory, "e9");
    eni[9] = NULL;
    for (i = 0; i < BATCH; i++)
        mac[i].byte[5] = (uint8_t)(i * 7);
    hg_inventory_find_mac_batch(inventory, vpc->number, BATCH, mac, found);
    for (i = 0; i < BATCH; i++)
        CHECK(found[i] == (i * 7 % 256 < N ? eni[i * 7 % 256] : NULL));
    hg_inventory_find_mac_batch(inventory, vpc->number + 1, 9, mac, found);
    for (i = 0; i < 9; i++)
        CHECK(found[i] == NULL);
    hg_inventory_destroy(inventory);
}

/* Packets of all kinds lead where their addresses do one by one. */
TEST(both_ends_of_packets_are_found)
{
    static const char *const texts[] = {
        "udp 10.0.0.9:1 > 10.0.0.10:2 len 1",
        "arp who-has 10.0.0.9 tell 10.0.0.10",
        "udp 10.0.0.11:1 > 10.0.0.9:2 len 1",
        "udp [2001:db8::9]:1 > [2001:db8::10]:2 len 1",
        "tcp [2001:db8::10]:1 > [2001:db8::9]:2 S"};
    enum { N_TEXTS = sizeof texts / sizeof texts[0], N = 100 };
    struct hg_inventory *inventory = hg_inventory_create();
    const struct hg_vpc *vpc = add_vpc(inventory, "a", 1, "10.0.0.0/16");
    const struct hg_vpc *six = add_vpc(inventory, "b", 2, "2001:db8::/56");
    const struct hg_subnet *subnet =
        add_subnet(inventory, "sa", vpc, "10.0.0.0/24");
    const struct hg_subnet *subnet6 =
        add_subnet(inventory, "sb", six, "2001:db8::/64");
    struct hg_pool *pool = hg_pool_create(0);
    struct hg_packet *p[N];
    const struct hg_eni *src[N], *dst[N], *dst_alone[N];
    struct hg_addr addr;
    struct hg_error error;
    unsigned i;

    for (i = 0; i < N; i++) {
        p[i] = notation_parse(pool, texts[i % N_TEXTS], &error);
        if (!p[i])
            FAIL("%s: %s", texts[i % N_TEXTS], error.text);
        p[i]->vpc = i % N_TEXTS < 3 ? vpc->number : six->number;
    }
    hg_inventory_find_ends(inventory, N, p, src, dst);
    for (i = 0; i < N; i++)
        CHECK(!src[i] && !dst[i]); /* Not even a table. */
    CHECK(add_eni(inventory, "e9", subnet, hg_addr_from_ip4(0x0a000009), 1));
    CHECK(add_eni(inventory, "e10", subnet, hg_addr_from_ip4(0x0a00000a), 2));
    REQUIRE(hg_addr_parse("2001:db8::9", &addr));
    CHECK(add_eni(inventory, "s9", subnet6, addr, 3));
    hg_inventory_find_ends(inventory, N, p, src, dst);
    hg_inventory_find_dst(inventory, N, p, dst_alone);
    for (i = 0; i < N; i++) {
        static const char *const expected[N_TEXTS][2] = {{"e9", "e10"},
                                                         {"e10", "e9"},
                                                         {NULL, "e9"},
                                                         {"s9", NULL},
                                                         {NULL, "s9"}};
        const char *const *ids = expected[i % N_TEXTS];

        CHECK(src[i] == (ids[0] ? hg_inventory_eni(inventory, ids[0]) : NULL));
        CHECK(dst[i] == (ids[1] ? hg_inventory_eni(inventory, ids[1]) : NULL));
        CHECK(dst_alone[i] == dst[i]);
        hg_packet_free(p[i]);
    }
    hg_pool_destroy(pool);
    hg_inventory_destroy(inventory);
}

TEST(subnets_that_overlap_in_any_way_are_refused)
{
    struct hg_inventory *inventory = hg_inventory_create();
    const struct hg_vpc *vpc = add_vpc(inventory, "v", 1, "10.0.0.0/8");
    char id[16], cidr[32];
    unsigned i;

    for (i = 0; i < 1000; i++) {
        snprintf(id, sizeof id, "s%u", i);
        snprintf(cidr, sizeof cidr, "10.%u.%u.0/25", i % 250, i / 250 * 2);
        REQUIRE(add_subnet(inventory, id, vpc, cidr) != NULL);
    }
    CHECK(add_subnet(inventory, "t", vpc, "10.7.0.64/26") == NULL);
    CHECK(add_subnet(inventory, "t", vpc, "10.7.0.0/25") == NULL);
    CHECK(add_subnet(inventory, "t", vpc, "10.7.0.0/24") == NULL);
    CHECK(add_subnet(inventory, "t", vpc, "10.0.0.0/9") == NULL);
    CHECK(add_subnet(inventory, "t", vpc, "11.0.0.0/24") == NULL);
    CHECK(add_subnet(inventory, "t", vpc, "10.7.0.128/25") != NULL);
    CHECK(add_subnet(inventory, "s7", vpc, "10.7.0.0/24") == NULL);
    CHECK(add_subnet(inventory, "s7", vpc, "10.7.0.0/26") != NULL);
    CHECK(add_subnet(inventory, "u", vpc, "10.7.0.64/26") != NULL);
    hg_inventory_destroy(inventory);
}

TEST(reserved_addresses_are_known)
{
    static const struct {
        const char *addr;
        enum hg_reserved reserved;
    } row[] = {
        {"10.0.1.0", HG_RESERVED_NETWORK},  {"10.0.1.1", HG_RESERVED_ROUTER},
        {"10.0.1.2", HG_RESERVED_RESOLVER}, {"10.0.1.3", HG_RESERVED_FUTURE},
        {"10.0.1.4", HG_RESERVED_NOT},      {"10.0.1.126", HG_RESERVED_NOT},
        {"10.0.1.127", HG_RESERVED_LAST},   {"10.0.1.128", HG_RESERVED_NOT},
        {"10.0.2.1", HG_RESERVED_NOT},
    };
    struct hg_inventory *inventory = hg_inventory_create();
    const struct hg_vpc *vpc = add_vpc(inventory, "v", 1, "10.0.0.0/16");
    const struct hg_subnet *subnet =
        add_subnet(inventory, "s", vpc, "10.0.1.0/25");
    struct hg_addr addr;
    size_t i;

    REQUIRE(subnet != NULL);
    for (i = 0; i < sizeof row / sizeof row[0]; i++) {
        REQUIRE(hg_addr_parse(row[i].addr, &addr));
        if (!CHECK_EQ(hg_subnet_reserved(subnet, &addr), row[i].reserved))
            FAIL("%s", row[i].addr);
    }
    hg_inventory_destroy(inventory);
}

enum { N = 50000 };

/* Adds and removes at random; afterwards every address must lead where a
 * plain array says, alone and in batches. */
static void
check_against_array(uint8_t family)
{
    struct hg_inventory *inventory = hg_inventory_create();
    const struct hg_vpc *vpc = add_vpc(
        inventory, "v", 1, family == 4 ? "10.0.0.0/8" : "2001:db8::/32");
    const struct hg_subnet *subnet = add_subnet(
        inventory, "s", vpc, family == 4 ? "10.0.0.0/8" : "2001:db8::/64");
    static const struct hg_eni *expected[N];
    static const struct hg_eni *found[N];
    static struct hg_addr addr[N];
    static uint32_t vpcs[N];
    uint32_t random = 12345;
    char id[16];
    unsigned i;

    REQUIRE(subnet != NULL);
    memset(expected, 0, sizeof expected);
    for (i = 0; i < N; i++) {
        addr[i] = hg_addr_from_ip4(0x0a000000 + 16 + i * 37);
        if (family == 6) {
            REQUIRE(hg_addr_parse("2001:db8::", &addr[i]));
            addr[i].byte[13] = (uint8_t)(i >> 8);
            addr[i].byte[14] = (uint8_t)i;
            addr[i].byte[15] = 9;
        }
        vpcs[i] = 1;
    }
    for (i = 0; i < 3 * N; i++) {
        unsigned k;

        random = random * 1664525 + 1013904223;
        k = (random >> 8) % N;
        snprintf(id, sizeof id, "e%u", k);
        if (expected[k]) {
            CHECK(hg_inventory_remove_eni(inventory, id));
            expected[k] = NULL;
        } else {
            expected[k] = add_eni(inventory, id, subnet, addr[k], 0);
            REQUIRE(expected[k] != NULL);
        }
    }
    hg_inventory_find_batch(inventory, N, vpcs, addr, found);
    for (i = 0; i < N; i++)
        if (found[i] != expected[i] ||
            hg_inventory_find(inventory, 0, &addr[i]) != expected[i])
            FAIL("address %u", i);
    hg_inventory_destroy(inventory);
}

TEST(every_address_is_found_through_changes)
{
    check_against_array(4);
    check_against_array(6);
}

/* In a small table the search for many keys goes on, also from its end to its
 * beginning. */
TEST(every_address_of_a_small_inventory_is_found)
{
    enum { TRIES = 200, SMALL = 26, BATCH = 2 * SMALL };
    static const uint32_t vpcs[BATCH];
    unsigned try, i;

    for (try = 0; try < TRIES; try++) {
        struct hg_inventory *inventory = hg_inventory_create();
        const struct hg_vpc *vpc = add_vpc(inventory, "v", 1, "10.0.0.0/8");
        const struct hg_subnet *subnet =
            add_subnet(inventory, "s", vpc, "10.0.0.0/8");
        const struct hg_eni *found[BATCH], *expected[BATCH] = {NULL};
        struct hg_addr addr[BATCH];
        char id[16];

        for (i = 0; i < BATCH; i++) {
            addr[i] = hg_addr_from_ip4(0x0a000010 + try * BATCH + i);
            snprintf(id, sizeof id, "e%u", i);
            if (i % 2)
                expected[i] = add_eni(inventory, id, subnet, addr[i], 0);
        }
        hg_inventory_find_batch(inventory, BATCH, vpcs, addr, found);
        for (i = 0; i < BATCH; i++)
            if (found[i] != expected[i])
                FAIL("address %u of try %u", i, try);
        hg_inventory_destroy(inventory);
    }
}

TEST(a_replacement_keeps_numbers_and_old_records)
{
    struct hg_inventory *inventory = hg_inventory_create();
    const struct hg_vpc *vpc = add_vpc(inventory, "v", 1, "10.0.0.0/16");
    const struct hg_subnet *subnet =
        add_subnet(inventory, "s", vpc, "10.0.1.0/24");
    struct hg_addr a = hg_addr_from_ip4(0x0a000109);
    struct hg_addr b = hg_addr_from_ip4(0x0a00010a);
    const struct hg_eni *gone = add_eni(inventory, "gone", subnet, a, 1);
    const struct hg_eni *stays = add_eni(inventory, "stays", subnet, b, 2);
    uint64_t generation = hg_inventory_generation(inventory);
    struct hg_inventory *next = hg_inventory_create_next(inventory);
    const struct hg_eni *now;

    vpc = add_vpc(next, "v", 1, "10.0.0.0/16");
    subnet = add_subnet(next, "s", vpc, "10.0.1.0/24");
    REQUIRE(subnet != NULL);
    CHECK(add_eni(next, "new", subnet, a, 3) != NULL);
    CHECK(add_eni(next, "stays", subnet, b, 2) != NULL);
    CHECK(hg_inventory_find(inventory, 0, &a) == gone);
    hg_inventory_replace(inventory, next);
    CHECK(hg_inventory_generation(inventory) > generation);
    CHECK_STR(hg_inventory_find(inventory, 0, &a)->id, "new");
    now = hg_inventory_find(inventory, 0, &b);
    CHECK(now != stays);
    CHECK_EQ(now->number, stays->number);
    CHECK(hg_inventory_eni(inventory, "gone") == NULL);
    CHECK(hg_inventory_eni_at(inventory, gone->number - 1) == NULL);
    CHECK_STR(gone->id, "gone");
    CHECK_EQ(hg_inventory_n_vpcs(inventory), 1);
    hg_inventory_destroy(inventory);
}

/* Replaces all by VPCs of these ids, each with the VNI 7, 8, ... */
static void
replace_vpcs(struct hg_inventory *inventory, const char *a, const char *b)
{
    struct hg_inventory *next = hg_inventory_create_next(inventory);

    REQUIRE(add_vpc(next, a, 7, "10.0.0.0/16") != NULL);
    if (b)
        REQUIRE(add_vpc(next, b, 8, "10.0.0.0/16") != NULL);
    hg_inventory_replace(inventory, next);
}

static uint32_t
number_of(const struct hg_inventory *inventory, const char *id)
{
    return hg_inventory_vpc(inventory, id)->number;
}

TEST(a_vpc_that_was_replaced_is_not_counted_and_has_its_number_when_it_returns)
{
    struct hg_inventory *inventory = hg_inventory_create();
    const struct hg_vpc *v = add_vpc(inventory, "v", 7, "10.0.0.0/16");
    const uint32_t number = v->number;

    CHECK(hg_inventory_vpc_by_number(inventory, 0) == v);
    replace_vpcs(inventory, "w", NULL);
    CHECK_STR(hg_inventory_vpc_by_number(inventory, 0)->id, "w");
    CHECK(hg_inventory_vpc_by_number(inventory, number) == NULL);
    replace_vpcs(inventory, "w", "v");
    CHECK(hg_inventory_vpc_by_number(inventory, 0) == NULL);
    CHECK_EQ(number_of(inventory, "v"), number);
    replace_vpcs(inventory, "v", NULL);
    CHECK_EQ(hg_inventory_vpc_by_number(inventory, 0)->number, number);
    replace_vpcs(inventory, "w", NULL);
    REQUIRE(add_vpc(inventory, "v", 9, "10.0.0.0/16") != NULL);
    CHECK_EQ(number_of(inventory, "v"), number);
    hg_inventory_destroy(inventory);
}

TEST(a_mapping_takes_at_most_24_bytes)
{
    struct hg_inventory *inventory = hg_inventory_create();
    const struct hg_vpc *vpc = add_vpc(inventory, "v", 1, "10.0.0.0/8");
    const struct hg_subnet *subnet =
        add_subnet(inventory, "s", vpc, "10.0.0.0/8");
    struct hg_inventory_memory memory;
    char id[16];
    unsigned i;

    for (i = 0; i < 200000; i++) {
        snprintf(id, sizeof id, "e%u", i);
        REQUIRE(add_eni(inventory, id, subnet,
                        hg_addr_from_ip4(0x0a000010 + i), 0) != NULL);
    }
    hg_inventory_memory(inventory, &memory);
    CHECK_EQ(memory.mappings, 200000);
    CHECK(memory.mapping_bytes <= 24 * memory.mappings);
    hg_inventory_destroy(inventory);
}
