/* test_lpm.c: the longest prefix match against a linear scan. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <headgate/lpm.h>

#include "tables/lpm_internal.h"
#include "test.h"

enum { MODEL_MAX = 2000, PROBES = 500 };

static uint64_t state = 1;

static uint32_t
chance(uint32_t n)
{
    state = state * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (uint32_t)((state >> 33) % n);
}

struct model {
    struct hg_prefix prefix[MODEL_MAX];
    uint32_t value[MODEL_MAX];
    size_t n;
};

static uint32_t
scan(const struct model *m, const struct hg_addr *addr)
{
    uint32_t value = HG_LPM_NONE;
    int len = -1;
    size_t i;

    for (i = 0; i < m->n; i++)
        if (m->prefix[i].len > len &&
            hg_prefix_contains(&m->prefix[i], addr)) {
            len = m->prefix[i].len;
            value = m->value[i];
        }
    return value;
}

static bool
same_prefix(const struct hg_prefix *a, const struct hg_prefix *b)
{
    return a->len == b->len && hg_addr_equal(&a->addr, &b->addr);
}

static uint32_t
model_set(struct model *m, const struct hg_prefix *prefix, uint32_t value)
{
    uint32_t old = HG_LPM_NONE;
    size_t i;

    for (i = 0; i < m->n; i++)
        if (same_prefix(&m->prefix[i], prefix)) {
            old = m->value[i];
            m->value[i] = value;
            return old;
        }
    m->prefix[m->n] = *prefix;
    m->value[m->n++] = value;
    return old;
}

static uint32_t
model_remove(struct model *m, const struct hg_prefix *prefix)
{
    uint32_t old;
    size_t i;

    for (i = 0; i < m->n; i++)
        if (same_prefix(&m->prefix[i], prefix)) {
            old = m->value[i];
            m->prefix[i] = m->prefix[--m->n];
            m->value[i] = m->value[m->n];
            return old;
        }
    return HG_LPM_NONE;
}

/* Addresses that share long beginnings, so that prefixes nest. */
static struct hg_addr
random_addr(unsigned family)
{
    struct hg_addr addr = {.family = (uint8_t)family};
    unsigned i, n = family == 4 ? 4 : 16;

    for (i = 0; i < n; i++)
        addr.byte[i] = (uint8_t)(chance(3) ? 0xa0 | chance(4) : chance(256));
    return addr;
}

static struct hg_prefix
random_prefix(unsigned family)
{
    struct hg_addr addr = random_addr(family);
    char text[HG_PREFIX_STRLEN + 8], buf[HG_ADDR_STRLEN];
    struct hg_prefix prefix;

    snprintf(text, sizeof text, "%s/%u", hg_addr_format(&addr, buf),
             chance(family == 4 ? 33 : 129));
    REQUIRE(hg_prefix_parse(text, &prefix));
    return prefix;
}

/* For each kind of processor that this one can do as. */
static void
compare(struct hg_lpm *t, const struct model *m)
{
    struct hg_addr addr[PROBES];
    uint32_t expected[2][PROBES], ip4[PROBES], value[PROBES];
    const uint8_t *ip6[PROBES];
    unsigned i, n[2] = {0, 0}, kind;

    for (i = 0; i < PROBES; i++) {
        addr[i] = random_addr(chance(2) ? 4 : 6);
        if (m->n && chance(2))
            addr[i] = m->prefix[chance((uint32_t)m->n)].addr;
    }
    for (i = 0; i < PROBES; i++) {
        bool six = addr[i].family == 6;

        if (six)
            ip6[n[1]] = addr[i].byte;
        else
            ip4[n[0]] = hg_addr_ip4(&addr[i]);
        expected[six][n[six]++] = scan(m, &addr[i]);
    }
    for (kind = 0; kind < N_LPM_KINDS; kind++) {
        if (!lpm_use(t, kind))
            continue;
        hg_lpm_lookup4(t, n[0], ip4, value);
        for (i = 0; i < n[0]; i++)
            if (!CHECK_EQ(value[i], expected[0][i]))
                FAIL("kind %u", kind);
        hg_lpm_lookup6(t, n[1], ip6, value);
        for (i = 0; i < n[1]; i++)
            if (!CHECK_EQ(value[i], expected[1][i]))
                FAIL("kind %u", kind);
    }
    for (i = 0; i < PROBES; i++)
        CHECK_EQ(hg_lpm_lookup(t, &addr[i]), scan(m, &addr[i]));
}

/* One of 'ip6' prefixes is of IPv6. */
static void
come_and_go(unsigned rounds, uint32_t ip6)
{
    static struct model m;
    struct hg_lpm *t = hg_lpm_create();
    unsigned round, i;

    m.n = 0;
    for (round = 0; round < rounds; round++) {
        for (i = 0; i < 100; i++) {
            struct hg_prefix prefix = random_prefix(chance(ip6) ? 4 : 6);

            if (m.n && chance(3) == 0)
                prefix = m.prefix[chance((uint32_t)m.n)];
            if (m.n > MODEL_MAX - 200 || (m.n && chance(5) < 2)) {
                CHECK_EQ(hg_lpm_remove(t, &prefix), model_remove(&m, &prefix));
            } else {
                uint32_t value = chance(1000);

                CHECK_EQ(hg_lpm_set(t, &prefix, value),
                         model_set(&m, &prefix, value));
                CHECK_EQ(hg_lpm_get(t, &prefix), value);
            }
        }
        CHECK_EQ(hg_lpm_count(t), m.n);
        compare(t, &m);
    }
    while (m.n) {
        struct hg_prefix prefix = m.prefix[0];

        CHECK_EQ(hg_lpm_remove(t, &prefix), model_remove(&m, &prefix));
    }
    compare(t, &m);
    hg_lpm_destroy(t);
}

TEST(lookups_equal_a_linear_scan_while_prefixes_come_and_go)
{
    come_and_go(60, 2);
}

TEST(a_large_ipv4_table_equals_a_linear_scan_too)
{
    come_and_go(120, 50);
}

/* The i-th prefix of a family that a table may find hard; false behind the
 * last. */
enum hard { NESTED4, NESTED6, TENTHS, NINETEENTHS, THIRTIETHS, FORTYEIGHTHS };

static bool
hard_prefix(enum hard kind, unsigned i, struct hg_prefix *prefix)
{
    static const struct {
        const char *first;
        unsigned n;
        uint8_t len; /* 0: the first i bits of 'first'. */
    } rows[] = {[NESTED4] = {"10.171.205.239", 33, 0},
                [NESTED6] = {"2001:db8:aaaa:5555:ffff:1:8000:1", 129, 0},
                [TENTHS] = {"0.0.0.0", 1024, 10},
                [NINETEENTHS] = {"10.128.0.0", 1024, 19},
                [THIRTIETHS] = {"10.128.16.0", 1024, 30},
                [FORTYEIGHTHS] = {"2001:db8:400::", 1024, 48}};
    unsigned len = rows[kind].len ? rows[kind].len : i;
    char text[HG_PREFIX_STRLEN + 8];
    struct hg_addr addr;

    REQUIRE(hg_addr_parse(rows[kind].first, &addr));
    if (rows[kind].len && addr.family == 4)
        addr = hg_addr_from_ip4(hg_addr_ip4(&addr) + (i << (32 - len)));
    else if (rows[kind].len) {
        addr.byte[4] = (uint8_t)(addr.byte[4] + (i >> 8));
        addr.byte[5] = (uint8_t)i;
    }
    hg_addr_format(&addr, text);
    sprintf(text + strlen(text), "/%u", len);
    return i < rows[kind].n && hg_prefix_parse(text, prefix);
}

/* All of a kind come and go, in order and backwards, above and below others
 * that are there. */
static void
come_and_go_hard(enum hard kind)
{
    static struct model m;
    struct hg_lpm *t = hg_lpm_create();
    struct hg_prefix prefix;
    unsigned i, n = 0, round;

    m.n = 0;
    for (i = 0; i < 300; i++) {
        prefix = random_prefix(i % 2 ? 4 : 6);
        CHECK_EQ(hg_lpm_set(t, &prefix, i), model_set(&m, &prefix, i));
    }
    for (round = 0; round < 3; round++) {
        for (n = 0; hard_prefix(kind, n, &prefix); n++) {
            CHECK_EQ(hg_lpm_set(t, &prefix, n), model_set(&m, &prefix, n));
            if (n % 100 == 0)
                compare(t, &m);
        }
        compare(t, &m);
        for (i = 0; i < n; i++) {
            REQUIRE(hard_prefix(kind, round == 1 ? n - 1 - i : i, &prefix));
            if (round == 2 && i % 3 == 0)
                continue;
            CHECK_EQ(hg_lpm_remove(t, &prefix), model_remove(&m, &prefix));
            if (i % 100 == 0)
                compare(t, &m);
        }
        compare(t, &m);
        CHECK_EQ(hg_lpm_count(t), m.n);
    }
    hg_lpm_destroy(t);
}

TEST(nested_prefixes_from_0_to_32_bits_equal_a_linear_scan)
{
    come_and_go_hard(NESTED4);
}

TEST(nested_prefixes_from_0_to_128_bits_equal_a_linear_scan)
{
    come_and_go_hard(NESTED6);
}

TEST(all_siblings_equal_a_linear_scan)
{
    come_and_go_hard(TENTHS);
    come_and_go_hard(NINETEENTHS);
    come_and_go_hard(THIRTIETHS);
    come_and_go_hard(FORTYEIGHTHS);
}

TEST(notes_stay_with_their_prefixes)
{
    struct hg_lpm *t = hg_lpm_create_with_notes();
    struct hg_prefix prefix;
    unsigned i;

    for (i = 0; hard_prefix(NINETEENTHS, i, &prefix); i++) {
        hg_lpm_set(t, &prefix, 7);
        CHECK_EQ(*hg_lpm_note(t, &prefix), HG_LPM_NONE);
        *hg_lpm_note(t, &prefix) = i;
    }
    for (i = 0; hard_prefix(NINETEENTHS, i, &prefix); i += 2)
        hg_lpm_remove(t, &prefix);
    for (i = 0; hard_prefix(NINETEENTHS, i, &prefix); i++)
        if (i % 2)
            CHECK_EQ(*hg_lpm_note(t, &prefix), i);
        else
            CHECK(hg_lpm_note(t, &prefix) == NULL);
    hg_lpm_destroy(t);
}

static bool
collect(void *aux, const struct hg_prefix *prefix, uint32_t value)
{
    char buf[HG_PREFIX_STRLEN];
    char *text = aux;

    sprintf(text + strlen(text), "%s=%u ", hg_prefix_format(prefix, buf),
            value);
    return true;
}

TEST(a_walk_gives_every_prefix_in_order)
{
    static const char *const given[] = {
        "2001:db8::/32", "10.0.0.0/8",     "0.0.0.0/0", "10.0.0.0/24",
        "10.1.0.0/16",   "10.0.0.0/32",    "::/0",      "255.255.255.255/32",
        "10.0.0.128/25", "2001:db8::1/128"};
    struct hg_lpm *t = hg_lpm_create();
    char text[1024] = "";
    unsigned i;

    for (i = 0; i < sizeof given / sizeof *given; i++) {
        struct hg_prefix prefix;

        REQUIRE(hg_prefix_parse(given[i], &prefix));
        hg_lpm_set(t, &prefix, i);
    }
    hg_lpm_foreach(t, collect, text);
    CHECK_STR(text, "0.0.0.0/0=2 10.0.0.0/8=1 10.0.0.0/24=3 10.0.0.0/32=5 "
                    "10.0.0.128/25=8 10.1.0.0/16=4 255.255.255.255/32=7 "
                    "::/0=6 2001:db8::/32=0 2001:db8::1/128=9 ");
    hg_lpm_destroy(t);
}

TEST(an_empty_table_matches_nothing)
{
    struct hg_lpm *t = hg_lpm_create();
    struct hg_addr addr = hg_addr_from_ip4(0x0a000001);
    struct hg_addr none = {0};

    CHECK_EQ(hg_lpm_lookup(t, &addr), HG_LPM_NONE);
    CHECK_EQ(hg_lpm_lookup(t, &none), HG_LPM_NONE);
    CHECK_EQ(hg_lpm_count(t), 0);
    hg_lpm_destroy(t);
    hg_lpm_destroy(NULL);
}

/* ---- A table of the Internet ------------------------------------------ */

struct internet {
    struct hg_prefix *prefix;
    bool *present;
    size_t n;
};

/* The prefixes of the corpus; false if there is none. */
static bool
load_internet(struct internet *net)
{
    const char *corpus = getenv("HEADGATE_CORPUS");
    char command[1024], line[128];
    FILE *in;

    *net = (struct internet){NULL, NULL, 0};
    if (!corpus)
        return false;
    snprintf(command, sizeof command,
             "gzip -dc '%s'/prefix/bart/internal/tests/testdata/"
             "prefixes.txt.gz",
             corpus);
    in = popen(command, "r");
    REQUIRE(in != NULL);
    while (fgets(line, sizeof line, in)) {
        line[strcspn(line, "\r\n")] = '\0';
        if (!(net->n & (net->n - 1)))
            net->prefix = realloc(net->prefix, (net->n ? net->n * 2 : 1) *
                                                   sizeof *net->prefix);
        REQUIRE(net->prefix && hg_prefix_parse(line, &net->prefix[net->n]));
        net->n++;
    }
    pclose(in);
    net->present = calloc(net->n + 1, sizeof *net->present);
    return net->n > 0;
}

/* The present prefix with the highest length, by looking at all. */
static uint32_t
scan_internet(const struct internet *net, const struct hg_addr *addr)
{
    uint32_t best = HG_LPM_NONE;
    size_t i;

    for (i = 0; i < net->n; i++)
        if (net->present[i] && hg_prefix_contains(&net->prefix[i], addr) &&
            (best == HG_LPM_NONE ||
             net->prefix[i].len > net->prefix[best].len))
            best = (uint32_t)i;
    return best;
}

static void
compare_internet(struct hg_lpm *t, const struct internet *net)
{
    unsigned i, kind;

    for (i = 0; i < 60; i++) {
        struct hg_addr addr = net->prefix[chance((uint32_t)net->n)].addr;
        uint32_t expected;

        addr.byte[addr.family == 4 ? 3 : 7] ^= (uint8_t)chance(256);
        if (chance(4) == 0)
            addr.byte[chance(4)] ^= (uint8_t)chance(256);
        expected = scan_internet(net, &addr);
        for (kind = 0; kind < N_LPM_KINDS; kind++)
            if (lpm_use(t, kind))
                CHECK_EQ(hg_lpm_lookup(t, &addr), expected);
    }
}

TEST(a_table_of_the_internet_equals_a_linear_scan_while_it_changes)
{
    struct hg_lpm *t = hg_lpm_create();
    struct internet net;
    unsigned round;
    size_t i, n;

    if (!load_internet(&net))
        puts("skipped: HEADGATE_CORPUS names no corpus");
    for (i = 0; i < net.n; i++) {
        CHECK(hg_lpm_set(t, &net.prefix[i], (uint32_t)i) == HG_LPM_NONE);
        net.present[i] = true;
    }
    CHECK_EQ(hg_lpm_count(t), net.n);
    for (round = 0; net.n && round < 3; round++) {
        compare_internet(t, &net);
        for (n = net.n / 5; n; n--) {
            i = chance((uint32_t)net.n);
            if (net.present[i])
                CHECK(hg_lpm_remove(t, &net.prefix[i]) == i);
            else
                hg_lpm_set(t, &net.prefix[i], (uint32_t)i);
            net.present[i] = !net.present[i];
        }
    }
    free(net.present);
    free(net.prefix);
    hg_lpm_destroy(t);
}
