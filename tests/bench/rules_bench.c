/* rules_bench.c: the rule classifier alone: CPU nanoseconds a lookup, time
 * to build and memory, by number of rules and seed.
 *
 *     rules_bench [--json] [--quick] [--six] [--form=FORM]
 *                 [--variant=VARIANT] [FILE...]
 *
 * With --six the addresses are those of IPv6, behind 2001:db8::/32.  FORM is
 * auto, scan, trees or bits; VARIANT best, plain, avx2 or avx512.
 * FILEs are rules in the format of ClassBench; without one, the twelve of
 * $HEADGATE_CORPUS.  Each seed is measured in five sizes:
 *
 *   10, 32, 100   rules taken from it at equal distances, in their order
 *   its own       about a thousand
 *   10,000        copies of it, each moved elsewhere: what bits addresses
 *                 specify are flipped by a pattern of the copy's own, and
 *                 ports are moved where neither address says much; rule i
 *                 of every copy stands before rule i + 1 of any
 *
 * and all seeds together, taking turns, as one set.
 *
 * A lookup's key lies at a random place inside a random rule, one in sixteen
 * anywhere; keys are made before the clock starts and looked up in batches of
 * 64.  A figure is the median of the rounds. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <headgate/rules.h>
#include <jansson.h>

enum { N_KEYS = 16384, ROUNDS = 7, LARGE = 10000, SEEDS_MAX = 64 };

static bool quick;
static bool six;
static enum hg_rules_form form = HG_RULES_AUTO;
static FILE *table; /* Where the table goes. */
static json_t *results;

static uint64_t state = 88172645463325252u;

static uint32_t
chance(uint64_t n)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)((state >> 16) % n);
}

static uint64_t
cpu_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void
fail_without_memory(void)
{
    fputs("rules_bench: no memory\n", stderr);
    exit(1);
}

static void *
allocate(size_t n, size_t size)
{
    void *p = calloc(n ? n : 1, size);

    if (!p)
        fail_without_memory();
    return p;
}

/* ---- Rules ------------------------------------------------------------ */

static void
make_six(struct hg_prefix *p)
{
    struct hg_addr addr = {.family = 6, .byte = {0x20, 0x01, 0x0d, 0xb8}};

    memcpy(addr.byte + 4, p->addr.byte, 4);
    p->addr = addr;
    p->len = (uint8_t)(p->len ? p->len + 32 : 0);
}

struct set {
    char name[64];
    size_t n;
    struct hg_rule *rule;
};

static struct set
thin(const struct set *seed, size_t n)
{
    struct set s = *seed;
    size_t i;

    s.n = n;
    s.rule = allocate(n, sizeof *s.rule);
    for (i = 0; i < n; i++)
        s.rule[i] = seed->rule[i * seed->n / n];
    return s;
}

/* Flips the bits that the prefix specifies, below the first two. */
static void
move_prefix(struct hg_prefix *prefix, uint32_t pattern)
{
    unsigned i;

    for (i = six ? 34 : 2; i < prefix->len; i++)
        if (pattern >> (i % 32) & 1)
            prefix->addr.byte[i / 8] ^= (uint8_t)(0x80u >> i % 8);
}

static void
move_range(struct hg_port_range *range, uint32_t pattern)
{
    uint32_t room = 65536u - (range->high - range->low);
    uint16_t low = (uint16_t)((range->low + (pattern >> 16)) % room);

    range->high = (uint16_t)(low + (range->high - range->low));
    range->low = low;
}

static void
move_rule(struct hg_rule *r, uint32_t copy)
{
    uint32_t pattern = copy * 0x9e3779b1u;

    move_prefix(&r->src, pattern);
    move_prefix(&r->dst, pattern);
    if (r->src.len < (six ? 40 : 8) && r->dst.len < (six ? 40 : 8)) {
        move_range(&r->sport, pattern);
        move_range(&r->dport, pattern);
    }
}

static struct set
expand(const struct set *seed, size_t n)
{
    size_t copies = (n + seed->n - 1) / seed->n, i;
    struct set s = *seed;

    s.n = n;
    s.rule = allocate(n, sizeof *s.rule);
    for (i = 0; i < n; i++) {
        s.rule[i] = seed->rule[i / copies];
        move_rule(&s.rule[i], (uint32_t)(i % copies));
    }
    return s;
}

static struct set
combine(const struct set *seeds, unsigned n_seeds)
{
    struct set s = {.name = "all"};
    size_t i;
    unsigned k;

    for (k = 0; k < n_seeds; k++)
        s.n += seeds[k].n;
    s.rule = allocate(s.n, sizeof *s.rule);
    s.n = 0;
    for (i = 0; i < LARGE; i++)
        for (k = 0; k < n_seeds; k++)
            if (i < seeds[k].n)
                s.rule[s.n++] = seeds[k].rule[i];
    return s;
}

/* ---- Keys ------------------------------------------------------------- */

static struct hg_addr
random_addr(const struct hg_prefix *prefix, uint8_t family)
{
    struct hg_addr addr = prefix->addr;
    unsigned bits = family == 4 ? 32 : 128, i;

    if (addr.family != family)
        addr = (struct hg_addr){.family = family};
    for (i = prefix->addr.family == family ? prefix->len : 0; i < bits; i++)
        if (chance(2))
            addr.byte[i / 8] |= (uint8_t)(0x80u >> i % 8);
    return addr;
}

static uint16_t
random_port(const struct hg_port_range *range)
{
    return (uint16_t)(range->low + chance(range->high - range->low + 1u));
}

static void
random_key(const struct set *s, struct hg_rule_key *key)
{
    struct hg_rule any;
    const struct hg_rule *r = &s->rule[chance(s->n)];
    uint8_t family = r->family            ? r->family
                     : r->src.addr.family ? r->src.addr.family
                     : r->dst.addr.family ? r->dst.addr.family
                                          : 4;
    struct hg_addr src, dst;

    hg_rule_init(&any);
    if (!chance(16))
        r = &any;
    src = random_addr(&r->src, family);
    dst = random_addr(&r->dst, family);
    hg_rule_key_init(key, &src, &dst,
                     (uint8_t)(r->protocol >= 0 ? r->protocol
                               : chance(2)      ? 6
                                                : 17));
    hg_rule_key_set_ports(key, random_port(&r->sport), random_port(&r->dport));
}

/* N_KEYS of them, HG_RULE_KEYS at a time. */
static struct hg_rule_keys *
random_keys(const struct set *s)
{
    struct hg_rule_keys *keys;
    struct hg_rule_key key[HG_RULE_KEYS];
    unsigned i, k;

    keys = aligned_alloc(64, N_KEYS / HG_RULE_KEYS * sizeof *keys);
    if (!keys)
        fail_without_memory();
    for (i = 0; i < N_KEYS / HG_RULE_KEYS; i++) {
        for (k = 0; k < HG_RULE_KEYS; k++)
            random_key(s, &key[k]);
        hg_rule_keys_set(&keys[i], key, HG_RULE_KEYS);
    }
    return keys;
}

/* ---- Measuring -------------------------------------------------------- */

static int
compare_doubles(const void *a_, const void *b_)
{
    double a = *(const double *)a_, b = *(const double *)b_;

    return (a > b) - (a < b);
}

/* Nanoseconds a lookup, of one round. */
static double
round_ns(const struct hg_rules *t, const struct hg_rule_keys *keys,
         uint64_t *found)
{
    const uint64_t least = quick ? 3000000 : 20000000;
    uint64_t began = cpu_ns(), n = 0, spent;
    uint32_t index[HG_RULE_KEYS];
    uint8_t all[HG_RULE_KEYS];
    unsigned i;

    for (i = 0; i < HG_RULE_KEYS; i++)
        all[i] = (uint8_t)i;
    do {
        for (i = 0; i < N_KEYS / HG_RULE_KEYS; i++) {
            hg_rules_first_batch(t, &keys[i], HG_RULE_KEYS, all, index);
            *found += index[i % HG_RULE_KEYS];
        }
        n += N_KEYS;
        spent = cpu_ns() - began;
    } while (spent < least);
    return (double)spent / (double)n;
}

static void
measure(const struct set *s)
{
    struct hg_rule_keys *keys = random_keys(s);
    uint64_t began = cpu_ns(), found = 0;
    struct hg_rules *t = hg_rules_create(s->rule, s->n, form);
    double build_ms = (double)(cpu_ns() - began) / 1e6, ns[ROUNDS];
    size_t bytes = hg_rules_bytes(t);
    char what[64], name[80];
    unsigned i;

    hg_rules_describe(t, six ? 6 : 4, what, sizeof what);
    round_ns(t, keys, &found);
    for (i = 0; i < ROUNDS; i++)
        ns[i] = round_ns(t, keys, &found);
    qsort(ns, ROUNDS, sizeof *ns, compare_doubles);
    fprintf(table, "%-6s %6zu %8.1f %8.1f %9.2f %9zu  %s\n", s->name, s->n,
            ns[ROUNDS / 2], ns[0], build_ms, bytes, what);
    snprintf(name, sizeof name, "%s, %zu rules", s->name, s->n);
    json_array_append_new(
        results,
        json_pack("{s:s, s:s, s:f, s:f, s:I, s:s, s:f, s:I, s:s}", "group",
                  "rules", "name", name, "ns", ns[ROUNDS / 2], "min", ns[0],
                  "size", (json_int_t)s->n, "unit", "ns/lookup", "build_ms",
                  build_ms, "bytes", (json_int_t)bytes, "form", what));
    hg_rules_destroy(t);
    free(keys);
}

static void
measure_seed(const struct set *seed)
{
    static const size_t few[] = {10, 32, 100};
    struct set s;
    unsigned i;

    for (i = 0; i < sizeof few / sizeof few[0]; i++) {
        if (few[i] > seed->n)
            continue;
        s = thin(seed, few[i]);
        measure(&s);
        free(s.rule);
    }
    measure(seed);
    s = expand(seed, LARGE);
    measure(&s);
    free(s.rule);
}

/* ---- Which rules ------------------------------------------------------ */

static void
read_seed(const char *path, struct set *seed)
{
    const char *slash = strrchr(path, '/');
    struct hg_error error = {""};
    size_t i;

    if (!hg_rules_read_classbench(path, &seed->rule, &seed->n, &error) ||
        !seed->n) {
        fprintf(stderr, "rules_bench: %s\n",
                error.text[0] ? error.text : "a file without rules");
        exit(1);
    }
    snprintf(seed->name, sizeof seed->name, "%s", slash ? slash + 1 : path);
    seed->name[strcspn(seed->name, "_.")] = '\0';
    for (i = 0; six && i < seed->n; i++) {
        make_six(&seed->rule[i].src);
        make_six(&seed->rule[i].dst);
    }
}

static int
is_seed(const struct dirent *entry)
{
    return strstr(entry->d_name, "_1k") != NULL;
}

static unsigned
read_corpus(struct set *seeds)
{
    const char *corpus = getenv("HEADGATE_CORPUS");
    struct dirent **entry = NULL;
    char folder[4096], path[4400];
    int n = 0, i;

    if (corpus) {
        snprintf(folder, sizeof folder, "%s/acl/neurocuts/classbench", corpus);
        n = scandir(folder, &entry, is_seed, alphasort);
    }
    if (n <= 0) {
        fputs("rules_bench: skipped: name files of rules, or a corpus in "
              "HEADGATE_CORPUS\n",
              stderr);
        exit(77);
    }
    for (i = 0; i < n; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, entry[i]->d_name);
        if (i < SEEDS_MAX)
            read_seed(path, &seeds[i]);
        free(entry[i]);
    }
    free(entry);
    return n < SEEDS_MAX ? (unsigned)n : SEEDS_MAX;
}

static int
index_of(const char *word, const char *const *words, int n)
{
    int i;

    for (i = 0; i < n; i++)
        if (!strcmp(word, words[i]))
            return i;
    fprintf(stderr, "rules_bench: no '%s'\n", word);
    exit(2);
}

/* An option other than --json, or a file. */
static bool
read_argument(const char *argument, struct set *seeds, unsigned *n)
{
    static const char *const forms[] = {"auto", "scan", "trees", "bits"};
    static const char *const variants[] = {"best", "plain", "avx2", "avx512"};

    if (!strcmp(argument, "--quick"))
        quick = true;
    else if (!strcmp(argument, "--six"))
        six = true;
    else if (!strncmp(argument, "--form=", 7))
        form = (enum hg_rules_form)index_of(argument + 7, forms, 4);
    else if (!strncmp(argument, "--variant=", 10))
        return hg_rules_use(
            (enum hg_rules_variant)index_of(argument + 10, variants, 4));
    else if (argument[0] == '-' || *n == SEEDS_MAX)
        return false;
    else
        read_seed(argument, &seeds[(*n)++]);
    return true;
}

int
main(int argc, char **argv)
{
    struct set seeds[SEEDS_MAX], all;
    unsigned n = 0, k;
    bool json = false;
    int i;

    for (i = 1; i < argc; i++)
        if (!strcmp(argv[i], "--json"))
            json = true;
        else if (!read_argument(argv[i], seeds, &n)) {
            fprintf(stderr,
                    "usage: rules_bench [--json] [--quick] [--six] "
                    "[--form=FORM] [--variant=VARIANT] [FILE...]\n"
                    "no '%s', or not on this machine\n",
                    argv[i]);
            return 2;
        }
    if (!n)
        n = read_corpus(seeds);
    table = json ? stderr : stdout;
    results = json_array();
    fprintf(table, "set     rules       ns   ns min  build ms     bytes  "
                   "form\n");
    for (k = 0; k < n; k++)
        measure_seed(&seeds[k]);
    all = combine(seeds, n);
    if (n > 1)
        measure(&all);
    if (json) {
        json_dumpf(results, stdout, JSON_INDENT(1));
        putchar('\n');
    }
    for (k = 0; k < n; k++)
        free(seeds[k].rule);
    free(all.rule);
    json_decref(results);
    return 0;
}
