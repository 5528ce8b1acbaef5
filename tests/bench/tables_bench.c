/* tables_bench.c: the large tables in one run: the longest prefix match and
 * RouteTable with a million prefixes, the inventory and MappingLookup with a
 * million mappings.
 *
 *     tables_bench [--json] [--quick] [--only lpm|routes|route-table|mapping]
 *
 * Times are of the CPU: medians of several rounds, in which keys are drawn at
 * random beforehand and looked up 64 at a time.  The prefixes are generated,
 * or with $HEADGATE_CORPUS those of a real table (tables_data.h).  Elements
 * are found along $HEADGATE_PLUGIN_PATH, and without it left out. */
#include <headgate/graph.h>
#include <headgate/inventory.h>
#include <headgate/lpm.h>
#include <headgate/routes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "pace.h"
#include "tables_data.h"

enum { BATCH = 64, ROUNDS = 7, FRAME_LEN = 60, FRAME6_LEN = 62 };

static bool quick;
static json_t *results;
static struct pace pace;
static FILE *out;

/* ---- Figures ---------------------------------------------------------- */

__attribute__((noreturn)) static void
fail(const char *what)
{
    fprintf(stderr, "tables_bench: %s\n", what);
    exit(1);
}

static uint64_t
cpu_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * HG_SEC + (uint64_t)t.tv_nsec;
}

static void *
must_alloc(size_t n, size_t size)
{
    void *p = calloc(n ? n : 1, size);

    if (!p)
        fail("no memory");
    return p;
}

static int
compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* What several rounds gave, and at what pace of the machine (pace.h). */
struct figure {
    double median;
    double least;
    double pace; /* 0: none. */
};

/* One figure, its target (0: none) and how many entries the table has. */
static void
report_rounds(const char *group, const char *name, struct figure figure,
              const char *unit, double target, size_t entries)
{
    json_t *row =
        json_pack("{s:s, s:s, s:f, s:f, s:s, s:I}", "group", group, "name",
                  name, "ns", figure.median, "min", figure.least, "unit", unit,
                  "size", (json_int_t)entries);

    if (target > 0)
        json_object_set_new(row, "target", json_real(target));
    if (target > 0 && figure.pace > 0)
        json_object_set_new(row, "pace", json_real(figure.pace));
    json_array_append_new(results, row);
    fprintf(out, "%-8s %-44s %10.1f %10.1f %-9s", group, name, figure.median,
            figure.least, unit);
    if (target > 0)
        fprintf(out, " %7g", target);
    if (target > 0 && figure.pace > 0)
        fprintf(out, " %5.2f", figure.pace);
    fputc('\n', out);
}

/* The same of something that was measured once. */
static void
report(const char *group, const char *name, double value, const char *unit,
       double target, size_t entries)
{
    report_rounds(group, name, (struct figure){value, value, 0}, unit, target,
                  entries);
}

static struct figure
figure_of(double *v)
{
    struct figure figure;

    qsort(v, ROUNDS, sizeof *v, compare_doubles);
    figure = (struct figure){v[ROUNDS / 2], v[0], pace_value(&pace)};
    pace_forget(&pace);
    return figure;
}

/* The rounds of 'fn', in ns for each of n. */
static struct figure
rounds_of(void (*fn)(void *aux), void *aux, size_t n)
{
    double ns[ROUNDS];
    unsigned i;

    for (i = 0; i < ROUNDS; i++) {
        uint64_t begin = cpu_ns();

        fn(aux);
        ns[i] = (double)(cpu_ns() - begin) / (double)n;
        pace_look(&pace);
    }
    return figure_of(ns);
}

/* ---- Longest prefix match --------------------------------------------- */

struct lookups {
    const struct hg_lpm *lpm;
    uint32_t *ip4;
    const uint8_t **ip6;
    size_t n;
    uint32_t sum; /* So that nothing is optimised away. */
};

static void
look_up4(void *aux)
{
    struct lookups *l = aux;
    uint32_t value[BATCH];
    size_t i;

    for (i = 0; i + BATCH <= l->n; i += BATCH) {
        hg_lpm_lookup4(l->lpm, BATCH, l->ip4 + i, value);
        l->sum += value[i % BATCH];
    }
}

static void
look_up6(void *aux)
{
    struct lookups *l = aux;
    uint32_t value[BATCH];
    size_t i;

    for (i = 0; i + BATCH <= l->n; i += BATCH) {
        hg_lpm_lookup6(l->lpm, BATCH, l->ip6 + i, value);
        l->sum += value[i % BATCH];
    }
}

/* A prefix goes or comes back. */
static void
update(struct hg_lpm *lpm, const struct hg_prefix *prefix, uint32_t value)
{
    if (hg_lpm_remove(lpm, prefix) == HG_LPM_NONE)
        hg_lpm_set(lpm, prefix, value);
}

/* One update, of any prefix or (p is NULL) of the one that covers most slots
 * of the direct root, after each batch of look-ups; returns the time that an
 * update takes, in ns. */
static double
update_ns(struct hg_lpm *lpm, const struct prefixes *p, struct lookups *l)
{
    const struct hg_prefix widest = {hg_addr_from_ip4(0x0a800000), 9};
    const size_t n = quick ? 100000 : 400000;
    uint32_t value[BATCH];
    uint64_t spent[2];
    unsigned round;

    for (round = 0; round < 2; round++) { /* Without and with updates. */
        uint64_t state = 777, begin = cpu_ns();
        size_t i;

        for (i = 0; i < n; i++) {
            uint64_t chosen = random_next(&state);

            hg_lpm_lookup4(lpm, BATCH, l->ip4 + chosen % (l->n - BATCH),
                           value);
            if (round)
                update(lpm, p ? &p->v[(chosen >> 20) % p->n] : &widest,
                       value[0] % 16);
        }
        spent[round] = cpu_ns() - begin;
    }
    return (double)(spent[1] - spent[0]) / (double)n;
}

static struct hg_lpm *
load_lpm(const struct hg_prefix *v, size_t n, double *seconds)
{
    struct hg_lpm *lpm = hg_lpm_create();
    uint64_t begin = cpu_ns();
    size_t i;

    for (i = 0; i < n; i++)
        hg_lpm_set(lpm, &v[i], (uint32_t)i % 16);
    *seconds = (double)(cpu_ns() - begin) / HG_SEC;
    return lpm;
}

static void
bench_lpm(struct prefixes *p)
{
    struct lookups l = {.n = quick ? 1 << 19 : 1 << 21};
    uint64_t state = 4711;
    struct hg_addr *addr6;
    struct hg_lpm *lpm;
    double seconds;
    size_t i, n6 = p->n - p->n4;

    l.ip4 = must_alloc(l.n, sizeof *l.ip4);
    l.ip6 = must_alloc(l.n, sizeof *l.ip6);
    addr6 = must_alloc(l.n, sizeof *addr6);
    for (i = 0; i < l.n; i++) {
        const struct hg_prefix *prefix = &p->v[random_next(&state) % p->n4];
        const struct hg_addr addr = address_within(prefix, &state);

        l.ip4[i] = hg_addr_ip4(&addr);
        prefix = &p->v[p->n4 + random_next(&state) % n6];
        addr6[i] = address_within(prefix, &state);
        l.ip6[i] = addr6[i].byte;
    }
    lpm = load_lpm(p->v, p->n4, &seconds);
    report("lpm", "IPv4: memory",
           (double)hg_lpm_bytes(lpm) / (double)hg_lpm_count(lpm), "B/prefix",
           0, p->n4);
    hg_lpm_destroy(lpm);
    lpm = load_lpm(p->v + p->n4, n6, &seconds);
    report("lpm", "IPv6: memory",
           (double)hg_lpm_bytes(lpm) / (double)hg_lpm_count(lpm), "B/prefix",
           0, n6);
    hg_lpm_destroy(lpm);
    lpm = load_lpm(p->v, p->n, &seconds);
    report("lpm", "load in order of address", seconds * 1000, "ms", 500, p->n);
    hg_lpm_destroy(lpm);
    prefixes_shuffle(p);
    lpm = load_lpm(p->v, p->n, &seconds);
    report("lpm", "load in random order", seconds * 1000, "ms", 0, p->n);
    report("lpm", "memory", (double)hg_lpm_bytes(lpm) / (1 << 20), "MiB", 0,
           p->n);
    l.lpm = lpm;
    report_rounds("lpm", "IPv4: lookup, an address of a random prefix",
                  rounds_of(look_up4, &l, l.n), "ns", 13, p->n);
    report_rounds("lpm", "IPv6: lookup, an address of a random prefix",
                  rounds_of(look_up6, &l, l.n), "ns", 0, p->n);
    for (i = 0; i < l.n; i++)
        l.ip4[i] = (uint32_t)(random_next(&state) >> 16);
    report_rounds("lpm", "IPv4: lookup, any address",
                  rounds_of(look_up4, &l, l.n), "ns", 13, p->n);
    report("lpm", "update between lookups", update_ns(lpm, p, &l), "ns", 10000,
           p->n);
    report("lpm", "update of a /9 between lookups", update_ns(lpm, NULL, &l),
           "ns", 10000, p->n);
    hg_lpm_destroy(lpm);
    free(l.ip4);
    free(l.ip6);
    free(addr6);
}

static void
bench_routes(const struct prefixes *p)
{
    struct hg_routes *r =
        hg_routes_create(16, &(const struct hg_prefix_list){0, NULL});
    struct hg_route route = {.table = hg_routes_add_table(r),
                             .type = HG_ROUTE_PROPAGATED};
    const size_t n = quick ? 100000 : 400000;
    uint64_t begin = cpu_ns(), state = 777;
    size_t i;

    for (i = 0; i < p->n; i++) {
        route.prefix = p->v[i];
        route.target = i % 16;
        hg_routes_add(r, &route);
    }
    report("routes", "load in order of address",
           (double)(cpu_ns() - begin) / 1e6, "ms", 500, p->n);
    report("routes", "memory", (double)hg_routes_bytes(r) / (1 << 20), "MiB",
           0, p->n);
    begin = cpu_ns();
    for (i = 0; i < n; i++) {
        route.prefix = p->v[random_next(&state) % p->n];
        if (!hg_routes_remove(r, route.table, &route.prefix, route.type, 0))
            hg_routes_add(r, &route);
    }
    report("routes", "update", (double)(cpu_ns() - begin) / (double)n, "ns",
           10000, p->n);
    hg_routes_destroy(r);
}

/* ---- Graphs ----------------------------------------------------------- */

/* A graph "Interface in { } ... connect("in -> ... -> Discard")". */
struct lane {
    struct hg_plugins *plugins;
    struct hg_graph *graph;
    struct hg_element *source;
    const struct hg_addr *dst;
    size_t n;
};

static const struct hg_device_ops lane_ops = {.scheme = "memory"};
static struct hg_device lane_device = {.ops = &lane_ops, .can_send = true};

static void
lane_init(struct lane *lane, const char *text)
{
    char path[] = "/tmp/headgate-tables-XXXXXX";
    int fd = mkstemp(path);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "w");
    struct hg_diags *diags = hg_diags_create();
    struct hg_graph_config config = {.seed = 1};
    struct hg_error error;

    if (!file)
        fail("cannot write to /tmp");
    fputs(text, file);
    fclose(file);
    lane->plugins = config.plugins = hg_plugins_create(NULL);
    lane->graph = hg_graph_load(path, &config, diags);
    unlink(path);
    if (!lane->graph) {
        hg_diags_print(diags, stderr, false);
        fail("a graph does not load");
    }
    hg_diags_destroy(diags);
    lane->source = hg_graph_find(lane->graph, "in");
    hg_element_bind(lane->source, &lane_device);
    if (!hg_graph_start(lane->graph, HG_SEC, &error))
        fail(error.text);
}

static void
lane_uninit(struct lane *lane)
{
    hg_graph_stop(lane->graph);
    hg_graph_destroy(lane->graph);
    hg_plugins_destroy(lane->plugins);
}

static void
make_frame4(struct hg_packet *p, const struct hg_addr *dst)
{
    static const uint8_t head[FRAME_LEN] = {
        2, 0,   0,    0, 0, 1,  2, 0, 0, 0, 0,  2,
        8, 0,   0x45, 0, 0, 46, 0, 0, 0, 0, 64, HG_PROTO_UDP,
        0, 0,   10,   0, 0, 1,  0, 0, 0, 0, 4,  0,
        1, 187, 0,    26};
    struct hg_ipv4 *ip = (struct hg_ipv4 *)(p->data + 14);
    uint32_t to = hg_addr_ip4(dst), sum = 0x4500 + 46 + 0x4011 + 0x0a00 + 1;

    memcpy(p->data, head, FRAME_LEN);
    ip->dst = hg_be32_of(to);
    sum += (to >> 16) + (to & 0xffff);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    ip->checksum = hg_be16_of((uint16_t)~sum);
}

/* With UDP and no payload: two bytes longer than the others. */
static void
make_frame6(struct hg_packet *p, const struct hg_addr *dst)
{
    static const uint8_t head[FRAME6_LEN] = {
        2,        0,    0, 0,    0,    1,        2,
        0,        0,    0, 0,    2,    0x86,     0xdd,
        0x60,     0,    0, 0,    0,    8,        HG_PROTO_UDP,
        64,       0x20, 1, 0x0d, 0xb8, [37] = 1, [54] = 4,
        [56] = 1, 187,  0, 8,    0xff, 0xff};

    memcpy(p->data, head, FRAME6_LEN);
    memcpy(((struct hg_ipv6 *)(p->data + 14))->dst, dst->byte, 16);
}

static struct hg_packet *
make_packet(struct hg_pool *pool, const struct hg_addr *dst)
{
    bool six = dst->family == 6;
    struct hg_packet *p = hg_packet_alloc(pool, six ? FRAME6_LEN : FRAME_LEN);

    (six ? make_frame6 : make_frame4)(p, dst);
    p->time_ns = HG_SEC;
    return p;
}

static void
lane_run(const struct lane *lane)
{
    struct hg_pool *pool = hg_graph_pool(lane->graph);
    struct hg_packet *packets[BATCH];
    size_t at;
    unsigned i;

    for (at = 0; at + BATCH <= lane->n; at += BATCH) {
        for (i = 0; i < BATCH; i++)
            packets[i] = make_packet(pool, &lane->dst[at + i]);
        hg_graph_inject(lane->graph, lane->source, 0, packets, BATCH);
        hg_graph_dispatch(lane->graph);
    }
}

/* What 'text' costs a packet more than 'floor', which takes turns with it so
 * that both meet the same machine. */
static struct figure
net_ns(const char *floor, const char *text, const struct hg_addr *dst,
       size_t n)
{
    struct lane lane[2] = {{.dst = dst, .n = n}, {.dst = dst, .n = n}};
    double net[ROUNDS], ns[2];
    unsigned i, k;

    lane_init(&lane[0], floor);
    lane_init(&lane[1], text);
    for (i = 0; i < ROUNDS; i++) {
        for (k = 0; k < 2; k++) {
            uint64_t begin = cpu_ns();

            lane_run(&lane[k]);
            ns[k] = (double)(cpu_ns() - begin) / (double)n;
        }
        net[i] = ns[1] - ns[0];
        pace_look(&pace);
    }
    lane_uninit(&lane[0]);
    lane_uninit(&lane[1]);
    return figure_of(net);
}

/* Loading and starting a graph, in ms. */
static struct figure
starts_ms(const char *text)
{
    double ms[ROUNDS];
    unsigned i;

    for (i = 0; i < ROUNDS; i++) {
        struct lane lane = {.n = 0};
        uint64_t begin = cpu_ns();

        lane_init(&lane, text);
        ms[i] = (double)(cpu_ns() - begin) / 1e6;
        lane_uninit(&lane);
        pace_look(&pace);
    }
    return figure_of(ms);
}

/* 'n' addresses, each of a random one of these prefixes. */
static void
destinations(struct hg_addr *dst, size_t n, const struct hg_prefix *v,
             size_t n_prefixes)
{
    uint64_t state = 4712;
    size_t i;

    for (i = 0; i < n; i++)
        dst[i] = address_within(&v[random_next(&state) % n_prefixes], &state);
}

#define NOTHING "Interface in { }\nconnect(\"in -> Discard\")\n"
#define CHECKED                                                               \
    "Interface in { }\nconnect(\"in -> CheckIP -> DecTTL -> Discard\")\n"

static void
bench_route_table(const struct prefixes *p)
{
    const size_t n = quick ? 1 << 19 : 1 << 21;
    struct hg_addr *dst = must_alloc(n, sizeof *dst);
    char path[] = "/tmp/headgate-routes-XXXXXX", text[1024];
    char buf[HG_PREFIX_STRLEN];
    int fd = mkstemp(path);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "w");
    size_t i;

    if (!file)
        fail("cannot write to /tmp");
    fputs("destination,target\n", file);
    for (i = 0; i < p->n; i++)
        fprintf(file, "%s,%c\n", hg_prefix_format(&p->v[i], buf),
                (int)('a' + i % 4));
    fclose(file);
    snprintf(text, sizeof text,
             "Interface in { }\n"
             "RouteTable rt { file = \"%s\" target a { } target b { } "
             "target c { } target d { } }\n"
             "connect(\"in -> CheckIP -> DecTTL -> rt; rt[a] -> Discard; "
             "rt[b] -> Discard; rt[c] -> Discard; rt[d] -> Discard\")\n",
             path);
    report_rounds("element", "RouteTable: start with a file, in order",
                  starts_ms(text), "ms", 500, p->n);
    destinations(dst, n, p->v, p->n4);
    report_rounds("element", "CheckIP + DecTTL + RouteTable",
                  net_ns(NOTHING, text, dst, n), "ns", 25, p->n);
    report_rounds("element", "RouteTable alone", net_ns(CHECKED, text, dst, n),
                  "ns", 0, p->n);
    destinations(dst, n, p->v + p->n4, p->n - p->n4);
    report_rounds("element", "CheckIP + DecTTL + RouteTable, IPv6",
                  net_ns(NOTHING, text, dst, n), "ns", 25, p->n);
    report_rounds("element", "RouteTable alone, IPv6",
                  net_ns(CHECKED, text, dst, n), "ns", 0, p->n);
    unlink(path);
    free(dst);
}

/* ---- Mappings --------------------------------------------------------- */

struct finds {
    const struct hg_inventory *inventory;
    const struct hg_addr *addr;
    size_t n;
    uintptr_t sum;
};

static void
find_all(void *aux)
{
    struct finds *f = aux;
    const struct hg_eni *eni[BATCH];
    uint32_t vpc[BATCH] = {0};
    size_t i;

    for (i = 0; i + BATCH <= f->n; i += BATCH) {
        hg_inventory_find_batch(f->inventory, BATCH, vpc, f->addr + i, eni);
        f->sum += (uintptr_t)eni[i % BATCH];
    }
}

static void
bench_inventory(struct hg_element *service, const struct hg_addr *addr,
                size_t n, size_t n_mappings)
{
    struct finds f = {.inventory = hg_service(hg_element_self(service),
                                              service, "inventory"),
                      .addr = addr,
                      .n = n};
    struct hg_inventory_memory m;

    hg_inventory_memory(f.inventory, &m);
    report("mapping", "lookup structure",
           (double)m.mapping_bytes / (double)m.mappings, "B/mapping", 24,
           n_mappings);
    report("mapping", "ENI record",
           (double)m.record_bytes / (double)m.mappings, "B/mapping", 0,
           n_mappings);
    report("mapping", "indexes by id, MAC and public address",
           (double)m.index_bytes / (double)m.mappings, "B/mapping", 0,
           n_mappings);
    report_rounds("mapping", "find", rounds_of(find_all, &f, n), "ns", 25,
                  n_mappings);
}

static void
bench_mappings(void)
{
    const size_t n_mappings = quick ? 100000 : 1000000;
    const size_t n = quick ? 1 << 19 : 1 << 21;
    struct hg_addr *addr = must_alloc(n, sizeof *addr);
    char path[] = "/tmp/headgate-mappings-XXXXXX", text[1024];
    int fd = mkstemp(path);
    uint64_t state = 4713;
    struct lane lane = {.n = 0};
    size_t i;

    if (fd < 0 || close(fd) || !mappings_write(path, n_mappings))
        fail("cannot write to /tmp");
    snprintf(text, sizeof text,
             "Interface in { }\nMappingService map { file = \"%s\" }\n"
             "MappingLookup where { }\n"
             "connect(\"in -> CheckIP -> where -> Discard\")\n",
             path);
    for (i = 0; i < n; i++)
        addr[i] =
            hg_addr_from_ip4(mapping_ip(random_next(&state) % n_mappings));
    report_rounds("mapping", "start with a file", starts_ms(text), "ms", 1000,
                  n_mappings);
    lane_init(&lane, text);
    bench_inventory(hg_graph_find(lane.graph, "map"), addr, n, n_mappings);
    lane_uninit(&lane);
    report_rounds("element", "MappingLookup, hit",
                  net_ns("Interface in { }\nconnect(\"in -> CheckIP -> "
                         "Discard\")\n",
                         text, addr, n),
                  "ns", 25, n_mappings);
    unlink(path);
    free(addr);
}

int
main(int argc, char **argv)
{
    const char *only = NULL;
    struct prefixes p;
    bool json = false, graphs = getenv("HEADGATE_PLUGIN_PATH") != NULL;
    int i;

    for (i = 1; i < argc; i++)
        if (!strcmp(argv[i], "--json"))
            json = true;
        else if (!strcmp(argv[i], "--quick"))
            quick = true;
        else if (!strcmp(argv[i], "--only") && i + 1 < argc)
            only = argv[++i];
        else
            fail("usage: tables_bench [--json] [--quick] [--only lpm | routes "
                 "| route-table | mapping]");
    results = json_array();
    out = json ? stderr : stdout;
    fprintf(out, "%-8s %-44s %10s %10s %-9s %7s %5s\n", "", "", "median",
            "least", "", "target", "pace");
    p = prefixes_get(quick);
    pace_init(&pace, p.n);
    if (!only || !strcmp(only, "routes"))
        bench_routes(&p);
    if (graphs && (!only || !strcmp(only, "route-table")))
        bench_route_table(&p);
    if (graphs && (!only || !strcmp(only, "mapping")))
        bench_mappings();
    if (!only || !strcmp(only, "lpm"))
        bench_lpm(&p);
    free(p.v);
    pace_uninit(&pace);
    if (json)
        json_dumpf(results, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(5));
    json_decref(results);
    return 0;
}
