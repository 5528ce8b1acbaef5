/* test_rules.c: rule tables against a scan of our own, over rules made here
 * and over ClassBench's. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <headgate/rules.h>

#include "test.h"

enum { TABLES_MAX = 12 };

static uint64_t state = 1;

static uint32_t
chance(uint32_t n)
{
    state = state * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (uint32_t)((state >> 33) % n);
}

/* ---- The model -------------------------------------------------------- */

/* A header in the words of a test. */
struct header {
    struct hg_addr src, dst;
    uint8_t protocol;
    bool has_ports, has_icmp;
    uint16_t sport, dport;
    uint8_t type, code;
};

static bool
in_prefix(const struct hg_prefix *p, const struct hg_addr *a)
{
    return !p->addr.family || hg_prefix_contains(p, a);
}

static bool
in_range(const struct hg_port_range *r, const struct header *h, uint16_t port)
{
    if (r->low == 0 && r->high == 65535)
        return true;
    return h->has_ports && port >= r->low && port <= r->high;
}

static bool
model_matches(const struct hg_rule *r, const struct header *h)
{
    if (r->family && r->family != h->src.family)
        return false;
    if (!in_prefix(&r->src, &h->src) || !in_prefix(&r->dst, &h->dst))
        return false;
    if (r->protocol >= 0 && r->protocol != h->protocol)
        return false;
    if (!in_range(&r->sport, h, h->sport) || !in_range(&r->dport, h, h->dport))
        return false;
    if (r->icmp_type < 0)
        return true;
    return h->has_icmp && r->icmp_type == h->type &&
           (r->icmp_code < 0 || r->icmp_code == h->code);
}

static uint32_t
model_next(const struct hg_rule *rules, size_t n, const struct header *h,
           uint32_t from)
{
    uint32_t i;

    for (i = from; i < n; i++)
        if (model_matches(&rules[i], h))
            return i;
    return HG_RULES_NONE;
}

static struct hg_rule_key
key_of(const struct header *h)
{
    struct hg_rule_key key;

    hg_rule_key_init(&key, &h->src, &h->dst, h->protocol);
    if (h->has_ports)
        hg_rule_key_set_ports(&key, h->sport, h->dport);
    if (h->has_icmp)
        hg_rule_key_set_icmp(&key, h->type, h->code);
    return key;
}

/* ---- Headers near rules ----------------------------------------------- */

static uint16_t
near_port(const struct hg_port_range *r)
{
    switch (chance(6)) {
    case 0:
        return r->low;
    case 1:
        return r->high;
    case 2:
        return (uint16_t)(r->low - 1);
    case 3:
        return (uint16_t)(r->high + 1);
    case 4:
        return (uint16_t)(chance(2) ? 0 : 65535);
    default:
        return (uint16_t)chance(65536);
    }
}

/* The first or last address of the prefix, one beyond, or one inside. */
static struct hg_addr
near_addr(const struct hg_prefix *p, uint8_t family)
{
    struct hg_addr addr = p->addr;
    unsigned bytes = family == 4 ? 4 : 16, how = chance(6), i;

    if (addr.family != family || how == 0) {
        addr = (struct hg_addr){.family = family};
        for (i = 0; i < bytes; i++)
            addr.byte[i] = (uint8_t)chance(256);
        return addr;
    }
    for (i = p->len; i < bytes * 8; i++) {
        unsigned bit = 0x80u >> i % 8;

        if (how == 1 || how == 4 || (how == 2 && chance(2)))
            addr.byte[i / 8] = (uint8_t)(addr.byte[i / 8] | bit);
    }
    /* One beyond the last address, one before the first. */
    for (i = bytes; how >= 4 && i-- > 0;) {
        addr.byte[i] = (uint8_t)(addr.byte[i] + (how == 4 ? 1 : -1));
        if (addr.byte[i] != (how == 4 ? 0 : 255))
            break;
    }
    return addr;
}

/* What the rule asks for, most of the time. */
static uint8_t
near_value(int16_t wanted)
{
    return (uint8_t)(wanted >= 0 && chance(4) ? (uint32_t)wanted
                                              : chance(256));
}

/* What the rule asks for, if that has ports or is ICMP where the header does
 * or is. */
static uint8_t
near_protocol(int16_t wanted, const struct header *h)
{
    uint8_t icmp = h->src.family == 4 ? HG_PROTO_ICMP : HG_PROTO_ICMP6;

    if (h->has_icmp)
        return icmp;
    if (!h->has_ports)
        return near_value(wanted);
    if (wanted == HG_PROTO_TCP || wanted == HG_PROTO_UDP)
        return chance(4) ? (uint8_t)wanted : HG_PROTO_TCP;
    return chance(2) ? HG_PROTO_TCP : HG_PROTO_UDP;
}

static struct header
near_header(const struct hg_rule *rules, size_t n, bool always_ports)
{
    const struct hg_rule *r = &rules[chance((uint32_t)n)];
    uint8_t family = r->family ? r->family : r->src.addr.family;
    struct header h;

    if (!family)
        family = r->dst.addr.family;
    if (!family)
        family = chance(2) ? 4 : 6;
    h.src = near_addr(&r->src, family);
    h.dst = near_addr(&r->dst, family);
    h.sport = near_port(&r->sport);
    h.dport = near_port(&r->dport);
    h.type = near_value(r->icmp_type);
    h.code = near_value(r->icmp_code);
    h.has_icmp = !always_ports && chance(r->icmp_type >= 0 ? 2 : 8) == 0;
    h.has_ports = !h.has_icmp && (always_ports || chance(8));
    h.protocol = near_protocol(r->protocol, &h);
    return h;
}

/* ---- Comparing -------------------------------------------------------- */

/* One set of rules in each form, for each kind of processor that this machine
 * can be. */
struct tables {
    const struct hg_rule *rules;
    size_t n;
    unsigned n_tables;
    struct hg_rules *table[TABLES_MAX];
};

static void
tables_init(struct tables *t, const struct hg_rule *rules, size_t n)
{
    static const enum hg_rules_variant variants[] = {
        HG_RULES_PLAIN, HG_RULES_AVX2, HG_RULES_AVX512};
    static const enum hg_rules_form forms[] = {HG_RULES_SCAN, HG_RULES_TREES,
                                               HG_RULES_BITS, HG_RULES_AUTO};
    unsigned i, k;

    *t = (struct tables){.rules = rules, .n = n};
    for (i = 0; i < 3; i++)
        if (hg_rules_use(variants[i]))
            for (k = 0; k < 4; k++)
                t->table[t->n_tables++] = hg_rules_create(rules, n, forms[k]);
    CHECK(hg_rules_use(HG_RULES_BEST));
    CHECK(t->n_tables >= 4);
}

static void
tables_uninit(struct tables *t)
{
    unsigned i;

    for (i = 0; i < t->n_tables; i++)
        hg_rules_destroy(t->table[i]);
}

static void
expect(const struct hg_rules *t, const struct hg_rule_key *key,
       const char *asked, uint32_t found, uint32_t expected)
{
    char text[64];

    if (found != expected)
        FAIL("%s of %zu rules (%s): rule %u instead of %u", asked,
             hg_rules_count(t), hg_rules_describe(t, key->family, text, 64),
             found, expected);
}

static void
check_batch(const struct tables *t, bool always_ports)
{
    struct hg_rule_key key[HG_RULE_KEYS];
    uint32_t index[HG_RULE_KEYS], expected[HG_RULE_KEYS];
    struct hg_rule_keys keys;
    unsigned i, k, size = 1 + chance(HG_RULE_KEYS), n = 0, every;
    uint8_t which[HG_RULE_KEYS];

    for (i = 0; i < size; i++) {
        struct header h = near_header(t->rules, t->n, always_ports);

        key[i] = key_of(&h);
        expected[i] = model_next(t->rules, t->n, &h, 0);
    }
    hg_rule_keys_set(&keys, key, size);
    every = 1 + chance(4);
    for (i = 0; i < size; i += every)
        which[n++] = (uint8_t)i;
    for (k = 0; k < t->n_tables; k++) {
        hg_rules_first_batch(t->table[k], &keys, n, which, index);
        for (i = 0; i < n; i++)
            expect(t->table[k], &key[which[i]], "batch",
                   index[which[i]] < t->n ? index[which[i]] : HG_RULES_NONE,
                   expected[which[i]]);
        for (i = 0; i < size; i++)
            expect(t->table[k], &key[i], "first",
                   hg_rules_first(t->table[k], &key[i]), expected[i]);
    }
}

static uint32_t
check_next(const struct tables *t, const struct header *h, uint32_t from)
{
    uint32_t expected = model_next(t->rules, t->n, h, from);
    struct hg_rule_key key = key_of(h);
    unsigned k;

    for (k = 0; k < t->n_tables; k++)
        expect(t->table[k], &key, "next",
               hg_rules_next(t->table[k], &key, from), expected);
    return expected;
}

/* All matches of a header, one after the other; and from anywhere on. */
static void
check_walk(const struct tables *t)
{
    struct header h = near_header(t->rules, t->n, false);
    uint32_t from = 0;

    do
        from = check_next(t, &h, from) + 1;
    while (from);
    for (from = 0; from < t->n; from += 1 + chance((uint32_t)t->n / 4 + 1))
        check_next(t, &h, from);
}

static void
check_all(const struct hg_rule *rules, size_t n, unsigned rounds)
{
    struct tables t;

    for (tables_init(&t, rules, n); rounds; rounds--) {
        check_batch(&t, false);
        check_walk(&t);
    }
    tables_uninit(&t);
}

/* ---- Rules made here -------------------------------------------------- */

/* Prefixes that nest, of a few beginnings. */
static struct hg_prefix
random_prefix(uint8_t family)
{
    static const uint8_t len4[] = {0, 1, 8, 16, 24, 31, 32};
    static const uint8_t len6[] = {0, 1, 32, 48, 64, 127, 128};
    struct hg_prefix p = {.addr = {.family = family}};
    unsigned bytes = family == 4 ? 4 : 16, i;

    if (!chance(4))
        return (struct hg_prefix){.len = 0};
    p.len = (family == 4 ? len4 : len6)[chance(sizeof len4)];
    for (i = 0; i < p.len; i++)
        if (chance(5) == 0)
            p.addr.byte[i / 8] |= (uint8_t)(0x80u >> i % 8);
    for (; i < bytes * 8; i++)
        p.addr.byte[i / 8] &= (uint8_t) ~(0x80u >> i % 8);
    return p;
}

static struct hg_port_range
random_range(void)
{
    uint16_t a = (uint16_t)chance(65536), b = (uint16_t)chance(65536);

    switch (chance(5)) {
    case 0:
        return (struct hg_port_range){a, a};
    case 1:
        return (struct hg_port_range){a < b ? a : b, a < b ? b : a};
    case 2:
        return (struct hg_port_range){1024, 65535};
    default:
        return (struct hg_port_range){0, 65535};
    }
}

static struct hg_rule *
random_rules(size_t n)
{
    static const uint8_t families[] = {0, 4, 4, 6};
    struct hg_rule *rules = calloc(n ? n : 1, sizeof *rules);
    size_t i;

    REQUIRE(rules);
    for (i = 0; i < n; i++) {
        struct hg_rule *r = &rules[i];

        hg_rule_init(r);
        r->family = families[chance(4)];
        r->src = random_prefix(chance(2) ? 4 : 6);
        r->dst = random_prefix(r->src.addr.family ? r->src.addr.family
                               : chance(2)        ? 4
                                                  : 6);
        if (chance(4))
            r->protocol = (int16_t)(chance(3) ? 6 : chance(256));
        if (chance(3)) {
            r->sport = random_range();
            r->dport = random_range();
        }
        if (!chance(6))
            r->icmp_type = (int16_t)chance(20);
        if (r->icmp_type >= 0 && chance(2))
            r->icmp_code = (int16_t)chance(4);
    }
    return rules;
}

/* The same with addresses here and there, most of them of hosts. */
static struct hg_rule *
sparse_rules(size_t n)
{
    struct hg_rule *rules = random_rules(n);
    size_t i;
    unsigned k;

    for (i = 0; i < n; i++) {
        struct hg_prefix *side[] = {&rules[i].src, &rules[i].dst};
        uint8_t family = chance(3) ? 4 : 6;

        rules[i].family = 0;
        for (k = 0; k < 2; k++) {
            side[k]->addr = near_addr(&(struct hg_prefix){.len = 0}, family);
            side[k]->len = (uint8_t)(chance(3) ? (family == 4 ? 32 : 128)
                                               : 8 + chance(24));
            if (!chance(8))
                *side[k] = (struct hg_prefix){.len = 0};
        }
    }
    return rules;
}

/* What network ACLs and security groups ask for: one address and a service. */
TEST(rules_that_ask_one_side_only_are_found_as_well)
{
    static const size_t sizes[] = {1, 16, 17, 64, 65, 300, 2049};
    size_t i, k;

    for (i = 0; i < 2 * sizeof sizes / sizeof sizes[0]; i++) {
        size_t n = sizes[i / 2];
        struct hg_rule *rules = i % 2 ? sparse_rules(n) : random_rules(n);
        bool is_source = chance(2);

        for (k = 0; k < n; k++) {
            *(is_source ? &rules[k].dst : &rules[k].src) =
                (struct hg_prefix){.len = 0};
            rules[k].sport = (struct hg_port_range){0, 65535};
        }
        check_all(rules, n, 12);
        free(rules);
    }
}

TEST(all_forms_on_all_processors_find_what_the_model_finds)
{
    static const size_t sizes[] = {1,  2,   15,  16,   17,   33,   63,  64,
                                   65, 511, 513, 2047, 2048, 2049, 4500};
    size_t i;

    for (i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct hg_rule *rules = random_rules(sizes[i]);
        struct hg_rule *sparse = sparse_rules(sizes[i]);

        check_all(rules, sizes[i], 12);
        check_all(sparse, sizes[i], 12);
        free(rules);
        free(sparse);
    }
}

TEST(each_form_is_used_where_it_is_good)
{
    static const struct {
        struct hg_rule *(*make)(size_t n);
        size_t n;
        const char *form;
    } row[] = {
        {sparse_rules, 32, "scan"},
        {sparse_rules, 1000, "tree"},
        {random_rules, 4000, "bits"},
    };
    unsigned i;

    for (i = 0; i < sizeof row / sizeof row[0]; i++) {
        struct hg_rule *rules = row[i].make(row[i].n);
        struct hg_rules *t = hg_rules_create(rules, row[i].n, HG_RULES_AUTO);
        char text[64];

        hg_rules_describe(t, 4, text, sizeof text);
        if (!strstr(text, row[i].form))
            FAIL("%s instead of %s", text, row[i].form);
        hg_rules_destroy(t);
        free(rules);
    }
}

TEST(what_fills_up_a_table_matches_nothing)
{
    struct hg_addr zero = hg_addr_from_ip4(0);
    struct hg_rule_key key;
    struct hg_rule rules[17];
    struct tables t;
    unsigned i;

    for (i = 0; i < 17; i++) {
        hg_rule_init(&rules[i]);
        rules[i].protocol = HG_PROTO_TCP;
    }
    hg_rule_key_init(&key, &zero, &zero, 0);
    hg_rule_key_set_ports(&key, 0, 0);
    tables_init(&t, rules, 17);
    for (i = 0; i < t.n_tables; i++)
        expect(t.table[i], &key, "first", hg_rules_first(t.table[i], &key),
               HG_RULES_NONE);
    tables_uninit(&t);
}

TEST(a_table_without_rules_matches_nothing)
{
    static const enum hg_rules_form forms[] = {HG_RULES_AUTO, HG_RULES_SCAN,
                                               HG_RULES_BITS};
    struct hg_rule any;
    struct hg_rule_key key;
    struct hg_rule_keys keys;
    struct header h;
    unsigned i;

    hg_rule_init(&any);
    h = near_header(&any, 1, false);
    key = key_of(&h);
    for (i = 0; i < 3; i++) {
        struct hg_rules *t = hg_rules_create(NULL, 0, forms[i]);
        uint32_t index[HG_RULE_KEYS] = {7};

        CHECK(!hg_rules_any(t, &key));
        CHECK_EQ(hg_rules_next(t, &key, 0), HG_RULES_NONE);
        hg_rule_keys_set(&keys, &key, 1);
        hg_rules_first_batch(t, &keys, 1, &(uint8_t){0}, index);
        CHECK_EQ(index[0], 0);
        hg_rules_destroy(t);
    }
    hg_rules_destroy(NULL);
}

TEST(what_is_not_ip_matches_no_rule)
{
    struct hg_rule any;
    struct hg_rule_key key;
    struct hg_addr none = {.family = 4};
    struct hg_rules *t;

    hg_rule_init(&any);
    hg_rule_key_init(&key, &none, &none, 0);
    key.family = 0;
    t = hg_rules_create(&any, 1, HG_RULES_AUTO);
    CHECK(!hg_rules_any(t, &key));
    CHECK(!hg_rule_matches(&any, &key));
    key.family = 6;
    CHECK(hg_rules_any(t, &key));
    CHECK(hg_rule_matches(&any, &key));
    hg_rules_destroy(t);
}

TEST(ports_and_icmp_are_asked_only_of_packets_that_have_them)
{
    struct hg_rule r;
    struct hg_addr a = hg_addr_from_ip4(0x0a000001);
    struct hg_rule_key key;

    hg_rule_init(&r);
    r.dport = (struct hg_port_range){0, 65534};
    hg_rule_key_init(&key, &a, &a, HG_PROTO_UDP);
    CHECK(!hg_rule_matches(&r, &key));
    hg_rule_key_set_ports(&key, 1, 0);
    CHECK(hg_rule_matches(&r, &key));
    hg_rule_key_init(&key, &a, &a, HG_PROTO_ICMP);
    hg_rule_key_set_icmp(&key, 0, 0);
    CHECK(!hg_rule_matches(&r, &key));
    r.icmp_type = 0;
    CHECK(!hg_rule_matches(&r, &key));
    r.dport.high = 65535;
    CHECK(hg_rule_matches(&r, &key));
    hg_rule_key_init(&key, &a, &a, HG_PROTO_TCP);
    hg_rule_key_set_ports(&key, 1, 0);
    CHECK(!hg_rule_matches(&r, &key));
}

/* ---- Rules that mean harm --------------------------------------------- */

static void
make_equal(struct hg_rule *r, uint32_t i)
{
    (void)i;
    r->dport = (struct hg_port_range){80, 90};
}

static void
make_nested(struct hg_rule *r, uint32_t i)
{
    r->src.addr = r->dst.addr = hg_addr_from_ip4(0);
    r->src.len = (uint8_t)(32 - i % 33);
    r->dst.len = (uint8_t)(32 - i / 33 % 33);
}

/* Every source with any destination, and the other way round. */
static void
make_crossing(struct hg_rule *r, uint32_t i)
{
    struct hg_prefix *p = i % 2 ? &r->src : &r->dst;

    p->addr = hg_addr_from_ip4(i / 2 * 2654435761u);
    p->len = 32;
}

static void
make_overlapping_ports(struct hg_rule *r, uint32_t i)
{
    r->sport = (struct hg_port_range){(uint16_t)i, (uint16_t)(i + 30000)};
    r->dport = (struct hg_port_range){(uint16_t)(30000 - i % 30000),
                                      (uint16_t)(65535 - i)};
}

static void
make_crossing6(struct hg_rule *r, uint32_t i)
{
    struct hg_prefix *p = i % 2 ? &r->src : &r->dst;

    p->addr = (struct hg_addr){.family = 6};
    p->addr.byte[i / 2 % 16] = (uint8_t)(i >> 3);
    p->len = (uint8_t)(8 * (i / 2 % 16 + 1));
}

TEST(no_rules_make_a_table_wrong_or_its_memory_explode)
{
    static void (*const make[])(struct hg_rule *, uint32_t) = {
        make_equal, make_nested, make_crossing, make_overlapping_ports,
        make_crossing6};
    enum { N = 3000, BITS_BYTES = 11 * 2 * HG_RULES_GROUP / 8 };
    struct hg_rule *rules = calloc(N, sizeof *rules);
    struct hg_rules *t;
    unsigned i;
    uint32_t k;

    REQUIRE(rules);
    for (i = 0; i < sizeof make / sizeof make[0]; i++) {
        for (k = 0; k < N; k++) {
            hg_rule_init(&rules[k]);
            make[i](&rules[k], k);
        }
        check_all(rules, N, 8);
        t = hg_rules_create(rules, N, HG_RULES_AUTO);
        CHECK(hg_rules_bytes(t) < N * (size_t)BITS_BYTES);
        hg_rules_destroy(t);
    }
    free(rules);
}

TEST(memory_grows_with_the_number_of_rules)
{
    enum { SMALL = HG_RULES_GROUP, LARGE = 8 * HG_RULES_GROUP };
    static const enum hg_rules_form forms[] = {HG_RULES_BITS, HG_RULES_AUTO};
    struct hg_rule *rules = random_rules(LARGE);
    struct hg_rules *small, *large;
    size_t i;

    for (i = 0; i < LARGE; i++) {
        rules[i].family = 4;
        rules[i].src = rules[i].dst = (struct hg_prefix){.len = 0};
        rules[i].icmp_type = rules[i].icmp_code = HG_RULE_ANY;
    }
    for (i = 0; i < 2; i++) {
        small = hg_rules_create(rules, SMALL, forms[i]);
        large = hg_rules_create(rules, LARGE, forms[i]);
        CHECK(hg_rules_bytes(large) < 9 * hg_rules_bytes(small));
        hg_rules_destroy(small);
        hg_rules_destroy(large);
    }
    free(rules);
}

/* ---- ClassBench ------------------------------------------------------- */

/* Writes the text to a file and reads it as rules. */
static bool
read_text(const char *text, struct hg_rule **rules, size_t *n,
          struct hg_error *error)
{
    char path[] = "/tmp/test_rules.XXXXXX";
    int fd = mkstemp(path);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "w");
    const char *at;
    bool ok;

    REQUIRE(file);
    fputs(text, file);
    fclose(file);
    ok = hg_rules_read_classbench(path, rules, n, error);
    remove(path);
    at = strchr(error->text, ':');
    if (!ok && at)
        memmove(error->text, at + 1, strlen(at));
    return ok;
}

TEST(a_classbench_line_is_a_rule)
{
    struct hg_error error = {""};
    struct hg_rule *r;
    char buf[HG_PREFIX_STRLEN];
    size_t n;

    REQUIRE(read_text("@10.1.2.3/8\t192.0.2.1/32\t0 : 65535\t22 : 23\t"
                      "0x06/0xFF\t0x0000/0x0200\t\n\n"
                      "@0.0.0.0/0 ::/0 1 : 1 0 : 65535 0x00/0x00\n",
                      &r, &n, &error));
    REQUIRE(n == 2);
    CHECK_STR(hg_prefix_format(&r[0].src, buf), "10.0.0.0/8");
    CHECK_STR(hg_prefix_format(&r[0].dst, buf), "192.0.2.1/32");
    CHECK_EQ(r[0].sport.high, 65535);
    CHECK_EQ(r[0].dport.low, 22);
    CHECK_EQ(r[0].dport.high, 23);
    CHECK_EQ(r[0].protocol, 6);
    CHECK_EQ(r[1].protocol, HG_RULE_ANY);
    CHECK_EQ(r[1].sport.high, 1);
    free(r);
}

TEST(a_mistake_in_a_classbench_file_has_its_place)
{
    static const struct {
        const char *text, *error;
    } row[] = {
        {"10.0.0.0/8", "1:1: expected '@'"},
        {"\n@10.0.0.0/33 1.2.3.4/32",
         "2:2: expected a prefix such as 10.0.0.0/8"},
        {"@10.0.0.0/8 1.2.3.4/32 2 : 1 0 : 1 0x06/0xFF",
         "1:24: expected ports such as 0 : 65535"},
        {"@10.0.0.0/8 1.2.3.4/32 1 : 2 0 : 70000 0x06/0xFF",
         "1:30: expected ports such as 0 : 65535"},
        {"@10.0.0.0/8 1.2.3.4/32 1 : 2 0 : 1 0x06/0x0F",
         "1:36: expected a protocol such as 0x06/0xFF, or 0x00/0x00 for any"},
        {"@10.0.0.0/8 1.2.3.4/32 1 : 2 0 : 1 0x06/0xFF nonsense",
         "1:46: expected flags such as 0x0000/0x0000 or the end of the line"},
    };
    unsigned i;

    for (i = 0; i < sizeof row / sizeof row[0]; i++) {
        struct hg_error error = {""};
        struct hg_rule *r;
        size_t n;

        CHECK(!read_text(row[i].text, &r, &n, &error));
        CHECK_STR(error.text, row[i].error);
        CHECK(!r && !n);
    }
}

/* The same addresses behind 2001:db8::/32. */
static void
make_six(struct hg_prefix *p)
{
    struct hg_addr six = {.family = 6, .byte = {0x20, 0x01, 0x0d, 0xb8}};

    if (!p->len)
        return;
    memcpy(six.byte + 4, p->addr.byte, 4);
    p->addr = six;
    p->len = (uint8_t)(p->len + 32);
}

static void
check_classbench(const char *path, bool six)
{
    struct hg_error error = {""};
    struct hg_rule *rules;
    struct tables t;
    size_t n, i;

    if (!hg_rules_read_classbench(path, &rules, &n, &error)) {
        FAIL("%s", error.text);
        return;
    }
    for (i = 0; six && i < n; i++) {
        make_six(&rules[i].src);
        make_six(&rules[i].dst);
        rules[i].family = 6;
    }
    tables_init(&t, rules, n);
    for (i = 0; i < (six ? 40 : 120); i++)
        check_batch(&t, true);
    tables_uninit(&t);
    free(rules);
}

TEST(classbench_sets_give_what_a_scan_gives)
{
    const char *corpus = getenv("HEADGATE_CORPUS");
    char folder[512], path[800];
    struct dirent *entry;
    unsigned n = 0;
    DIR *dir;

    if (!corpus)
        return;
    snprintf(folder, sizeof folder, "%s/acl/neurocuts/classbench", corpus);
    dir = opendir(folder);
    REQUIRE(dir);
    while ((entry = readdir(dir))) {
        if (!strstr(entry->d_name, "_1k"))
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        check_classbench(path, false);
        check_classbench(path, true);
        n++;
    }
    closedir(dir);
    CHECK_EQ(n, 12);
}
