/* flow_bench.c: the flow service alone (headgate/flow.h), CPU nanoseconds a
 * packet in batches of 64, flows drawn uniformly.
 *
 *     flow_bench [--json] [--quick] [FLOWS ...]    default: 100000 1000000
 *
 * With --json it prints figures as bench/README.md has them.
 *
 * 'made' is hg_flow_create() of flows that are not there, 'found' is
 * hg_flow_find_batch(), hg_flow_find() and one change of the user's bytes.
 * What the packets themselves cost (their addresses are written for each
 * look-up) is measured in the same slices and taken off.  Slices are shorter
 * than a time slice of the kernel, and the figure is their lower quartile, so
 * that what else runs on the machine shows little. */
#include <headgate/flow.h>
#include <headgate/graph.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BATCH = 64, SLICE = 4096, SLICES = 400, STATE = 24 };

static const uint64_t START_NS = UINT64_C(1700000000) * HG_SEC;

static const struct hg_class keeper_class = {.magic = HG_MAGIC,
                                             .abi = HG_ABI,
                                             .class_size =
                                                 sizeof(struct hg_class),
                                             .flags = HG_CLASS_PASSIVE,
                                             .name = "Keeper",
                                             .self_size = sizeof(uint64_t)};

struct rig {
    struct hg_plugins *plugins;
    struct hg_graph *graph;
    void *keeper;
    struct hg_batch batch;
    uint64_t now;
    uint64_t random;
};

static bool json;

static void
report(const char *what, double value, uint32_t n_flows, const char *unit)
{
    static bool has_more;

    printf("%s{\"group\": \"flow service\", \"name\": \"%s, %u flows\", "
           "\"ns\": %.1f, \"flows\": %u, \"unit\": \"%s\"}",
           has_more ? ",\n" : "", what, n_flows, value, n_flows, unit);
    has_more = true;
}

static double
cpu_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void
rig_init(struct rig *r, uint32_t n_flows)
{
    struct hg_graph_config config = {.seed = 1};
    struct hg_error error;
    unsigned i;

    *r = (struct rig){.plugins = hg_plugins_create(NULL),
                      .now = START_NS,
                      .random = 88172645463325252};
    config.plugins = r->plugins;
    r->graph = hg_graph_create(&config);
    r->keeper =
        hg_element_self(hg_graph_add(r->graph, &keeper_class, "keeper"));
    hg_flow_declare(r->keeper, STATE);
    hg_flow_limit(r->keeper, n_flows);
    hg_graph_finish(r->graph);
    if (!hg_graph_start(r->graph, r->now, &error)) {
        fprintf(stderr, "flow_bench: %s\n", error.text);
        exit(1);
    }
    r->batch.n = BATCH;
    for (i = 0; i < BATCH; i++) {
        static const uint8_t frame[60] = {
            [12] = 8, [14] = 0x45, [17] = 46, [22] = 64, [23] = 17, [39] = 26};

        r->batch.p[i] = hg_packet_alloc(hg_graph_pool(r->graph), sizeof frame);
        memcpy(r->batch.p[i]->data, frame, sizeof frame);
        hg_packet_parse(r->batch.p[i]);
        r->batch.p[i]->time_ns = r->now;
    }
}

static void
rig_uninit(struct rig *r)
{
    hg_packet_free_many(r->batch.p, BATCH);
    hg_graph_stop(r->graph);
    hg_graph_destroy(r->graph);
    hg_plugins_destroy(r->plugins);
}

/* Makes 'p' a packet of flow 'i'. */
static void
set_flow(struct hg_packet *p, uint32_t i)
{
    uint8_t *ip = p->data + 14;

    hg_store32(ip + 12, 0x0a000000 + i % 65521);
    hg_store32(ip + 16, 0x0a800000 + i % 40009);
    hg_store16(ip + 20, (uint16_t)(i >> 16));
    hg_store16(ip + 22, 443);
    hg_packet_forget_flow(p);
}

static uint32_t
draw(struct rig *r, uint32_t n)
{
    r->random ^= r->random << 13;
    r->random ^= r->random >> 7;
    r->random ^= r->random << 17;
    return (uint32_t)((r->random >> 32) * n >> 32);
}

static void
create(struct rig *r, uint32_t n)
{
    uint32_t at, i;

    for (at = 0; at < n; at += BATCH) {
        for (i = 0; i < BATCH; i++)
            set_flow(r->batch.p[i], (at + i) % n);
        hg_flow_find_batch(r->keeper, &r->batch);
        for (i = 0; i < BATCH; i++) {
            struct hg_flow *flow = hg_flow_create(r->keeper, r->batch.p[i]);

            if (flow)
                hg_flow_keep(r->keeper, flow, r->now + HG_HOUR);
        }
    }
}

static void
find(struct rig *r, uint32_t n, bool look)
{
    uint32_t at, i;

    for (at = 0; at < SLICE; at += BATCH) {
        for (i = 0; i < BATCH; i++)
            set_flow(r->batch.p[i], draw(r, n));
        if (!look)
            continue;
        hg_flow_find_batch(r->keeper, &r->batch);
        for (i = 0; i < BATCH; i++) {
            struct hg_flow *flow = hg_flow_find(r->keeper, r->batch.p[i]);
            uint64_t *state = hg_flow_state(r->keeper, flow, r->now);

            state[0]++;
            hg_flow_keep(r->keeper, flow, r->now + HG_HOUR);
        }
    }
}

static int
compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double
found_ns(struct rig *r, uint32_t n, bool look)
{
    static double ns[SLICES];
    unsigned i;

    for (i = 0; i < SLICES; i++) {
        double begin = cpu_ns();

        find(r, n, look);
        ns[i] = (cpu_ns() - begin) / SLICE;
    }
    qsort(ns, SLICES, sizeof *ns, compare);
    return ns[SLICES / 4];
}

static void
measure(uint32_t n)
{
    struct hg_flow_stats stats;
    double begin, made, found;
    struct rig r;

    rig_init(&r, n);
    begin = cpu_ns();
    create(&r, n);
    made = (cpu_ns() - begin) / n;
    found = found_ns(&r, n, true) - found_ns(&r, n, false);
    hg_flow_get_stats(r.keeper, &stats);
    if (json) {
        report("made", made, n, "ns/packet");
        report("found", found, n, "ns/packet");
        report("memory", (double)stats.bytes / (double)stats.flows, n,
               "bytes/flow");
    } else {
        printf("%10u flows: made %6.1f  found %6.1f ns  %6.1f bytes a "
               "flow\n",
               n, made, found, (double)stats.bytes / (double)stats.flows);
    }
    rig_uninit(&r);
}

int
main(int argc, char **argv)
{
    bool quick = false, given = false;
    int i;

    for (i = 1; i < argc; i++) {
        json |= !strcmp(argv[i], "--json");
        quick |= !strcmp(argv[i], "--quick");
    }
    if (json)
        putchar('[');
    for (i = 1; i < argc; i++)
        if (argv[i][0] != '-') {
            measure((uint32_t)strtoul(argv[i], NULL, 10));
            given = true;
        }
    if (!given)
        measure(100000);
    if (!given && !quick)
        measure(1000000);
    if (json)
        puts("]");
    return 0;
}
