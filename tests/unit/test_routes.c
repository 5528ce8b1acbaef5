/* test_routes.c: which route is in force, against a linear scan of all. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <headgate/route_text.h>
#include <headgate/routes.h>

#include "test.h"

enum { PORTS = 8, MODEL_MAX = 1000, TABLES = 3 };

static uint64_t state = 7;

static uint32_t
chance(uint32_t n)
{
    state = state * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (uint32_t)((state >> 33) % n);
}

static struct hg_prefix
prefix_of(const char *text)
{
    struct hg_prefix prefix;

    REQUIRE(hg_prefix_parse(text, &prefix));
    return prefix;
}

static struct hg_addr
addr_of(const char *text)
{
    struct hg_addr addr;

    REQUIRE(hg_addr_parse(text, &addr));
    return addr;
}

static uint32_t
target_of(const struct hg_routes *r, uint32_t table, const char *addr)
{
    struct hg_addr a = addr_of(addr);

    return hg_lpm_lookup(hg_routes_lpm(r, table), &a);
}

/* Adds a route that 'origin' propagates or that is static. */
static void
add(struct hg_routes *r, const char *prefix, enum hg_route_type type,
    uint32_t origin, uint32_t target, uint64_t preference)
{
    const struct hg_route route = {.prefix = prefix_of(prefix),
                                   .type = (uint8_t)type,
                                   .origin = origin,
                                   .target = target,
                                   .preference = preference};

    hg_routes_add(r, &route);
}

static struct hg_routes *
one_table(void)
{
    struct hg_prefix forbidden = prefix_of("169.254.168.0/22");
    struct hg_prefix_list list = {1, &forbidden};
    struct hg_routes *r = hg_routes_create(PORTS, &list);

    CHECK_EQ(hg_routes_add_table(r), 0);
    return r;
}

TEST(static_wins_over_a_prefix_list_and_that_over_a_propagated_route)
{
    struct hg_routes *r = one_table();
    struct hg_prefix prefix = prefix_of("10.0.0.0/8");

    add(r, "10.0.0.0/8", HG_ROUTE_PROPAGATED, 1, 1, 0);
    CHECK_EQ(target_of(r, 0, "10.1.1.1"), 1);
    add(r, "10.0.0.0/8", HG_ROUTE_PREFIX_LIST, 0, 2, 0);
    CHECK_EQ(target_of(r, 0, "10.1.1.1"), 2);
    add(r, "10.0.0.0/8", HG_ROUTE_STATIC, 0, 3, 0);
    CHECK_EQ(target_of(r, 0, "10.1.1.1"), 3);
    add(r, "10.0.0.0/8", HG_ROUTE_PROPAGATED, 1, 4, 0);
    CHECK_EQ(target_of(r, 0, "10.1.1.1"), 3);
    CHECK_EQ(hg_routes_count(r), 3);
    CHECK(hg_routes_remove(r, 0, &prefix, HG_ROUTE_STATIC, 0));
    CHECK(!hg_routes_remove(r, 0, &prefix, HG_ROUTE_STATIC, 0));
    CHECK_EQ(target_of(r, 0, "10.1.1.1"), 2);
    CHECK(hg_routes_remove(r, 0, &prefix, HG_ROUTE_PREFIX_LIST, 0));
    CHECK_EQ(target_of(r, 0, "10.1.1.1"), 4);
    CHECK_EQ(hg_routes_withdraw(r, HG_LPM_NONE, 1), 1);
    CHECK_EQ(target_of(r, 0, "10.1.1.1"), HG_LPM_NONE);
    hg_routes_destroy(r);
}

TEST(a_longer_prefix_wins_whatever_the_type)
{
    struct hg_routes *r = one_table();

    add(r, "10.0.0.0/8", HG_ROUTE_STATIC, 0, 1, 0);
    add(r, "10.1.0.0/16", HG_ROUTE_PROPAGATED, 1, 2, 9);
    CHECK_EQ(target_of(r, 0, "10.1.1.1"), 2);
    CHECK_EQ(target_of(r, 0, "10.2.1.1"), 1);
    hg_routes_destroy(r);
}

TEST(what_is_propagated_within_a_local_prefix_does_not_count)
{
    struct hg_prefix cidr[] = {prefix_of("10.0.0.0/16"),
                               prefix_of("2001:db8::/56")};
    struct hg_routes *r = one_table();
    struct hg_route over = {.prefix = prefix_of("10.0.2.0/24"),
                            .type = HG_ROUTE_STATIC,
                            .target = 3,
                            .over_local = true};

    add(r, "10.0.1.0/24", HG_ROUTE_PROPAGATED, 1, 1, 0);
    add(r, "2001:db8::/64", HG_ROUTE_PROPAGATED, 1, 1, 0);
    add(r, "10.0.0.0/15", HG_ROUTE_PROPAGATED, 1, 2, 0);
    CHECK_EQ(target_of(r, 0, "10.0.1.1"), 1);
    hg_routes_set_local(r, 0, &(struct hg_prefix_list){2, cidr}, 0);
    CHECK_EQ(target_of(r, 0, "10.0.1.1"), 0);
    CHECK_EQ(target_of(r, 0, "2001:db8::1"), 0);
    CHECK_EQ(target_of(r, 0, "10.1.0.1"), 2);
    hg_routes_add(r, &over);
    CHECK_EQ(target_of(r, 0, "10.0.2.1"), 3);
    over.prefix = cidr[0];
    hg_routes_add(r, &over);
    CHECK_EQ(target_of(r, 0, "10.0.1.1"), 3);
    hg_routes_set_local(r, 0, &(struct hg_prefix_list){1, cidr + 1}, 0);
    CHECK_EQ(target_of(r, 0, "10.0.1.1"), 1);
    CHECK_EQ(target_of(r, 0, "10.0.3.1"), 3);
    hg_routes_destroy(r);
}

TEST(forbidden_addresses_stay_so)
{
    struct hg_routes *r = one_table();

    add(r, "169.254.168.7/32", HG_ROUTE_STATIC, 0, 1, 0);
    add(r, "0.0.0.0/0", HG_ROUTE_STATIC, 0, 2, 0);
    CHECK_EQ(target_of(r, 0, "169.254.168.7"), HG_ROUTES_FORBIDDEN);
    CHECK_EQ(target_of(r, 0, "169.254.171.255"), HG_ROUTES_FORBIDDEN);
    CHECK_EQ(target_of(r, 0, "169.254.172.0"), 2);
    hg_routes_destroy(r);
}

TEST(equal_propagated_routes_share_where_they_may)
{
    struct hg_routes *r = one_table();
    struct hg_route route = {.prefix = prefix_of("10.0.0.0/8"),
                             .type = HG_ROUTE_PROPAGATED,
                             .shareable = true};
    const uint16_t *port;
    unsigned n, i;

    for (i = 1; i <= 3; i++) {
        route.origin = route.target = i;
        route.preference = i == 3;
        hg_routes_add(r, &route);
    }
    port = hg_routes_ports(r, target_of(r, 0, "10.0.0.1"), &n);
    CHECK_EQ(n, 2);
    CHECK_EQ(port[0], 1);
    CHECK_EQ(port[1], 2);
    CHECK_EQ(hg_routes_withdraw(r, 0, 2), 1);
    CHECK_EQ(target_of(r, 0, "10.0.0.1"), 1);
    route.origin = 4;
    route.target = 4;
    route.preference = 0;
    route.shareable = false;
    hg_routes_add(r, &route);
    CHECK_EQ(target_of(r, 0, "10.0.0.1"), 1);
    hg_routes_destroy(r);
}

TEST(one_that_may_not_share_stands_between_equals_that_do)
{
    struct hg_routes *r = one_table();
    struct hg_route route = {.prefix = prefix_of("10.0.0.0/8"),
                             .type = HG_ROUTE_PROPAGATED};
    const struct hg_route **list;
    size_t n_list, i, in_force = 0;
    unsigned n;

    for (i = 1; i <= 3; i++) {
        route.origin = route.target = (uint32_t)i;
        route.shareable = i != 2;
        hg_routes_add(r, &route);
    }
    hg_routes_ports(r, target_of(r, 0, "10.0.0.1"), &n);
    CHECK_EQ(n, 2);
    list = hg_routes_list(r, 0, &n_list);
    for (i = 0; i < n_list; i++)
        in_force += hg_routes_in_force(r, list[i]);
    CHECK_EQ(in_force, 2);
    free(list);
    hg_routes_destroy(r);
}

TEST(sets_of_ports_are_one_target_in_any_order)
{
    struct hg_routes *r = one_table();
    const uint16_t a[] = {3, 1}, b[] = {1, 3, 3}, c[] = {5, 5};

    CHECK_EQ(hg_routes_target(r, a, 2), hg_routes_target(r, b, 3));
    CHECK(hg_routes_target(r, a, 2) >= PORTS);
    CHECK_EQ(hg_routes_target(r, c, 2), 5);
    hg_routes_destroy(r);
}

/* ---- Against a linear scan -------------------------------------------- */

struct model {
    struct hg_route route[MODEL_MAX];
    size_t n;
    struct hg_prefix_list local[TABLES];
};

static bool
within(const struct hg_prefix_list *list, const struct hg_prefix *prefix)
{
    size_t i;

    for (i = 0; i < list->n; i++)
        if (list->v[i].len <= prefix->len &&
            hg_prefix_contains(&list->v[i], &prefix->addr))
            return true;
    return false;
}

static bool
model_better(const struct hg_route *a, const struct hg_route *b)
{
    if (a->prefix.len != b->prefix.len)
        return a->prefix.len > b->prefix.len;
    if (a->type != b->type)
        return a->type < b->type;
    return a->preference < b->preference;
}

/* The best target; preferences of the model are all different. */
static uint32_t
scan(const struct model *m, uint32_t table, const struct hg_addr *addr)
{
    const struct hg_route *best = NULL;
    struct hg_route local = {.type = HG_ROUTE_LOCAL};
    size_t i;

    for (i = 0; i < m->local[table].n; i++) {
        local.prefix = m->local[table].v[i];
        if (hg_prefix_contains(&local.prefix, addr))
            best = &local;
    }
    for (i = 0; i < m->n; i++) {
        const struct hg_route *route = &m->route[i];

        if (route->table == table &&
            hg_prefix_contains(&route->prefix, addr) &&
            (route->over_local || !within(&m->local[table], &route->prefix)) &&
            (!best || model_better(route, best)))
            best = route;
    }
    return best ? best->target : HG_LPM_NONE;
}

static struct hg_addr
random_addr(void)
{
    struct hg_addr addr = {.family = chance(2) ? 4 : 6};
    unsigned i, n = addr.family == 4 ? 4 : 16;

    for (i = 0; i < n; i++)
        addr.byte[i] = (uint8_t)(chance(4) ? chance(2) << 7 : chance(256));
    return addr;
}

static struct hg_prefix
random_prefix(void)
{
    struct hg_addr addr = random_addr();
    char text[HG_PREFIX_STRLEN + 8], buf[HG_ADDR_STRLEN];

    snprintf(text, sizeof text, "%s/%u", hg_addr_format(&addr, buf),
             chance(addr.family == 4 ? 25 : 40));
    return prefix_of(text);
}

static void
model_add(struct model *m, struct hg_routes *r)
{
    static uint64_t preference;
    static const uint8_t types[] = {HG_ROUTE_STATIC, HG_ROUTE_PREFIX_LIST,
                                    HG_ROUTE_PROPAGATED};
    struct hg_route route = {
        .prefix = random_prefix(),
        .type = types[chance(3)],
        .table = chance(TABLES),
        .origin = chance(4),
        .target = chance(PORTS),
        .preference = chance(2) ? ++preference : UINT32_MAX - ++preference};
    size_t i;

    if (m->n && chance(2))
        route.prefix = m->route[chance((uint32_t)m->n)].prefix;
    route.over_local = route.type == HG_ROUTE_STATIC && chance(2);
    for (i = 0; i < m->n; i++)
        if (m->route[i].table == route.table &&
            m->route[i].type == route.type &&
            m->route[i].origin == route.origin &&
            m->route[i].prefix.len == route.prefix.len &&
            hg_addr_equal(&m->route[i].prefix.addr, &route.prefix.addr))
            break;
    hg_routes_add(r, &route);
    m->route[i] = route;
    m->n += i == m->n;
}

static void
model_remove(struct model *m, struct hg_routes *r)
{
    size_t i = chance((uint32_t)m->n);
    struct hg_route route = m->route[i];

    CHECK(hg_routes_remove(r, route.table, &route.prefix, route.type,
                           route.origin));
    m->route[i] = m->route[--m->n];
}

TEST(routes_in_force_equal_a_linear_scan_while_they_change)
{
    static struct model m;
    static struct hg_prefix local[TABLES][2];
    struct hg_routes *r = hg_routes_create(PORTS, &m.local[0]);
    unsigned round, i, t;

    for (t = 0; t < TABLES; t++)
        CHECK_EQ(hg_routes_add_table(r), t);
    for (round = 0; round < 200; round++) {
        for (i = 0; i < 30; i++)
            if (m.n > MODEL_MAX - 100 || (m.n && chance(5) < 2))
                model_remove(&m, r);
            else
                model_add(&m, r);
        t = chance(TABLES);
        m.local[t] = (struct hg_prefix_list){chance(2), local[t]};
        local[t][0] = random_prefix();
        hg_routes_set_local(r, t, &m.local[t], 0);
        for (i = 0; i < 100; i++) {
            struct hg_addr addr =
                chance(2) && m.n ? m.route[chance((uint32_t)m.n)].prefix.addr
                                 : random_addr();
            const struct hg_route *route;

            t = chance(TABLES);
            CHECK_EQ(hg_lpm_lookup(hg_routes_lpm(r, t), &addr),
                     scan(&m, t, &addr));
            route = hg_routes_match(r, t, &addr);
            CHECK_EQ(route ? route->target : HG_LPM_NONE, scan(&m, t, &addr));
            CHECK(!route || hg_routes_in_force(r, route));
        }
    }
    hg_routes_destroy(r);
}

/* ---- As text ---------------------------------------------------------- */

static uint64_t
preference(enum hg_route_order order, const char *text)
{
    struct hg_route_text route;
    struct hg_error error = {""};

    if (!hg_route_text_parse(&route, text, &error))
        FAIL("%s", error.text);
    return hg_route_preference(&route, order);
}

TEST(a_virtual_private_gateway_prefers_direct_connect)
{
    static const char *const best_first[] = {
        "10.0.0.0/8 source=direct-connect as-path=9 med=1000",
        "10.0.0.0/8 source=static-vpn",
        "10.0.0.0/8 source=bgp-vpn as-path=1",
        "10.0.0.0/8 source=bgp-vpn as-path=2 med=10",
        "10.0.0.0/8 source=bgp-vpn as-path=2",
        "10.0.0.0/8 source=bgp-vpn as-path=2 med=101"};
    unsigned i;

    for (i = 1; i < sizeof best_first / sizeof *best_first; i++)
        CHECK(preference(HG_ROUTE_VGW, best_first[i - 1]) <
              preference(HG_ROUTE_VGW, best_first[i]));
}

TEST(a_transit_gateway_prefers_static_vpn)
{
    static const char *const best_first[] = {
        "::/0 source=static-vpn",     "::/0 source=vpc",
        "::/0 source=direct-connect", "::/0 source=connect",
        "::/0 source=private-ip-vpn", "::/0 source=bgp-vpn",
        "::/0 source=peering"};
    unsigned i;

    for (i = 1; i < sizeof best_first / sizeof *best_first; i++)
        CHECK(preference(HG_ROUTE_TGW, best_first[i - 1]) <
              preference(HG_ROUTE_TGW, best_first[i]));
}

TEST(a_route_that_is_written_wrong_is_refused_with_a_reason)
{
    static const char *const cases[][2] = {
        {"", "no destination; a route is written 10.0.0.0/8 target=NAME"},
        {"10.0.0.0/8 up", "'up' is not NAME=VALUE"},
        {"10.0.0.0/8 type=dynamic",
         "type 'dynamic' is neither static nor propagated"},
        {"10.0.0.0/8 med=much", "med 'much' is not a number up to 4294967295"},
        {"10.0.0.0/8 as-path=65536",
         "as-path '65536' is not a number up to 65535"},
        {"10.0.0.0/8 source=rip",
         "source 'rip' is none of: " HG_ROUTE_SOURCES},
        {"10.0.0.0/8 via=up",
         "no 'via' in a route; it has destination, target, table, type, "
         "origin, source, as-path and med"}};
    struct hg_route_text route;
    struct hg_error error;
    unsigned i;

    for (i = 0; i < sizeof cases / sizeof *cases; i++) {
        CHECK(!hg_route_text_parse(&route, cases[i][0], &error));
        CHECK_STR(error.text, cases[i][1]);
    }
}
