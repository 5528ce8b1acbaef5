/* bench_measure.c: how a row is measured (see bench.h).
 *
 * A graph without the element and one with it take turns, so that both meet
 * the same machine; what is reported is the median of the differences and the
 * difference of the minima.  A frame is copied into a pool slot right before
 * it enters: packet data is warm, tables are as warm as their size lets them
 * be when flows are drawn at random. */
#include "bench.h"
#include "pace.h"

#include <stdlib.h>
#include <unistd.h>

enum {
    CHUNK = 1 << 16, /* Frames made at once, where all are too many. */
    TINY = 1000,
    ROUNDS = 21,
    ROUNDS_QUICK = 11,
    ROUNDS_LONG = 5, /* Of what takes seconds. */
    ROUNDS_MAX = 1000
};

static int
compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double
median(const double *v, unsigned n)
{
    double sorted[ROUNDS_MAX];

    memcpy(sorted, v, n * sizeof *v);
    qsort(sorted, n, sizeof *sorted, compare_doubles);
    return sorted[n / 2];
}

static double
least(const double *v, unsigned n)
{
    double min = v[0];
    unsigned i;

    for (i = 1; i < n; i++)
        if (v[i] < min)
            min = v[i];
    return min;
}

/* Bytes of memory that this process really has. */
static size_t
resident(void)
{
    unsigned long total, pages;
    FILE *file = fopen("/proc/self/statm", "r");

    if (!file || fscanf(file, "%lu %lu", &total, &pages) != 2)
        fail("cannot read /proc/self/statm");
    fclose(file);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* Entries of the row's table. */
static size_t
entries(const struct row *row)
{
    return row->tables & ROUTES && !row->size ? table_n_routes() : row->size;
}

/* ---- One measurement -------------------------------------------------- */

struct bench {
    const struct row *row;
    const char *in;
    traffic_fn *traffic;
    uint32_t n_flows;
    size_t n; /* Packets of a round. */
    unsigned rounds;
    struct frames drawn; /* What is measured, but for NEW and WINDOW. */
    struct frames chunk;
    struct lane with, without;
    struct pace pace;
    double ns[ROUNDS_MAX]; /* Of the whole round, net. */
    double full[ROUNDS_MAX], base[ROUNDS_MAX];
};

void
row_text(const struct row *row, bool with, char *text, size_t size)
{
    FILE *file = fmemopen(text, size, "w");

    if (!file)
        fail("no memory for a graph");
    fprintf(file,
            "Interface in { }\nInterface out { }\n%s%s\n"
            "connect(\"in -> %s%sout\")\n",
            row->common ? row->common : "", with ? row->declarations : "",
            row->base, with ? row->way : "");
    if (row->back)
        fprintf(file, "connect(\"out -> %s%sin\")\n", row->base,
                with ? row->back : "");
    if (with && row->more)
        fprintf(file, "connect(\"%s\")\n", row->more);
    if (ftell(file) >= (long)size || fclose(file))
        fail("the graph of '%s' is too long", row->name);
}

static void
load(struct bench *b, struct lane *lane, bool with)
{
    char text[4096];

    if (b->row->graph) {
        lane_load(lane, b->row->graph);
        return;
    }
    row_text(b->row, with, text, sizeof text);
    lane_init(lane, text);
}

/* The first packet of each flow; returns the CPU time it took. */
static uint64_t
send_all(struct bench *b, struct lane *lane)
{
    uint64_t sum = 0;
    uint32_t at, n;

    for (at = 0; at < b->n_flows; at += n) {
        n = b->n_flows - at < CHUNK ? b->n_flows - at : CHUNK;
        frames_of_flows(&b->chunk, b->traffic, b->row->size, at, n);
        sum += lane_run(lane, b->in, &b->chunk);
    }
    return sum;
}

/* Runs 'n' packets, and fails if the element did not see all of them. */
static uint64_t
checked(struct bench *b, uint64_t (*run)(struct bench *, struct lane *),
        struct lane *lane, size_t n)
{
    const char *sees = lane == &b->with ? b->row->sees : NULL;
    uint64_t before = sees ? lane_count(lane, sees) : 0, ns = run(b, lane);

    if (sees)
        lane_expect(lane, sees, before, n);
    return ns;
}

static uint64_t
send_drawn(struct bench *b, struct lane *lane)
{
    return lane_run(lane, b->row->stage == ANSWER ? "out" : b->in, &b->drawn);
}

/* How many flows or entries are in the largest of the row's tables. */
static size_t
largest(const struct bench *b)
{
    return b->n_flows > entries(b->row) ? b->n_flows : entries(b->row);
}

static void
report(const struct bench *b, const char *unit, double divisor)
{
    const struct row *row = b->row;
    bool is_start = row->stage == START;

    figure_print(&(struct figure){
        .group = row->group,
        .name = row->name,
        .unit = unit,
        .median = median(b->ns, b->rounds) / divisor,
        .least =
            (least(b->full, b->rounds) - least(b->base, b->rounds)) / divisor,
        .n = is_start ? 0 : b->n,
        .flows = is_start ? 0 : b->n_flows,
        .size = entries(row),
        .target = row->target,
        .pace = pace_value(&b->pace)});
}

static void
report_bytes(const struct bench *b, size_t bytes, size_t n, const char *unit)
{
    figure_print(&(struct figure){.group = "memory",
                                  .name = b->row->name,
                                  .unit = unit,
                                  .median = (double)bytes / (double)n,
                                  .flows = b->n_flows,
                                  .size = entries(b->row),
                                  .target = b->row->bytes_target});
}

static void
round_ends(struct bench *b, unsigned i, uint64_t full, uint64_t base)
{
    b->full[i] = (double)full;
    b->base[i] = (double)base;
    b->ns[i] = b->full[i] - b->base[i];
    pace_look(&b->pace);
}

/* ---- Stages ----------------------------------------------------------- */

static void
record_answers(struct bench *b)
{
    struct frames replies;

    frames_init(&replies, b->n_flows);
    b->with.record = &replies;
    send_all(b, &b->with);
    b->with.record = NULL;
    if (replies.n != b->n_flows)
        fail("%s: only %zu of %u flows came through", b->row->name, replies.n,
             b->n_flows);
    frames_answer(&replies);
    frames_draw_from(&b->drawn, &replies, b->n);
    frames_uninit(&replies);
}

/* Every flow has its record wherever it is to have one. */
static void
check_flows(struct bench *b)
{
    const char *at = b->row->holds;

    while (at && *at) {
        char term[80];
        int n;

        if (sscanf(at, "%79[^ ] %n", term, &n) != 1)
            fail("'%s' are no terms", b->row->holds);
        at += n;
        lane_expect(&b->with, term, 0, b->n_flows);
    }
}

/* Every flow sends once, the answers where they are wanted too. */
static void
warm_up(struct bench *b)
{
    size_t before;

    if (b->row->stage == ANSWER) {
        record_answers(b);
    } else {
        frames_touch(&b->chunk); /* Not what flows take. */
        before = resident();
        send_all(b, &b->with);
        if (b->row->bytes)
            report_bytes(b, resident() - before, b->n_flows, "bytes/flow");
        frames_draw(&b->drawn, b->traffic, b->row->size, b->n_flows, b->n);
    }
    lane_advance(&b->with, HG_MSEC); /* What waits for answers has them. */
    check_flows(b);
    send_drawn(b, &b->with);
    if (!b->row->whole)
        send_drawn(b, &b->without);
}

static void
steady(struct bench *b)
{
    unsigned i;

    for (i = 0; i < b->rounds; i++) {
        uint64_t base =
            b->row->whole ? 0 : checked(b, send_drawn, &b->without, b->n);

        round_ends(b, i, checked(b, send_drawn, &b->with, b->n), base);
    }
}

static void
measure_steady(struct bench *b)
{
    load(b, &b->with, true);
    if (!b->row->whole)
        load(b, &b->without, false);
    warm_up(b);
    steady(b);
    report(b, "ns/packet", (double)b->n * (b->row->times ? b->row->times : 1));
    lane_uninit(&b->with, b->row->drops);
    if (!b->row->whole)
        lane_uninit(&b->without, false);
}

static void
measure_batches(struct bench *b)
{
    static const unsigned sizes[] = {1, 4, 16, 32, 64, 256};
    double one = 0;
    char name[128];
    unsigned i;

    load(b, &b->with, true);
    warm_up(b);
    for (i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        double ns;

        b->with.batch = sizes[i];
        steady(b);
        ns = median(b->ns, b->rounds) / (double)b->n;
        snprintf(name, sizeof name, "%s, batches of %u", b->row->name,
                 sizes[i]);
        figure_print(
            &(struct figure){.group = b->row->group,
                             .name = name,
                             .unit = "ns/packet",
                             .median = ns,
                             .least = least(b->full, b->rounds) / (double)b->n,
                             .n = b->n,
                             .flows = b->n_flows});
        if (sizes[i] == 1)
            one = ns;
        if (sizes[i] != 64)
            continue;
        snprintf(name, sizeof name, "%s, 64 against 1", b->row->name);
        figure_print(&(struct figure){.group = b->row->group,
                                      .name = name,
                                      .unit = "x",
                                      .median = one / ns,
                                      .target = b->row->target});
    }
    lane_uninit(&b->with, b->row->drops);
}

/* Each round begins with a graph that has seen nothing. */
static void
measure_new(struct bench *b)
{
    unsigned i;

    load(b, &b->without, false);
    send_all(b, &b->without);
    for (i = 0; i < b->rounds; i++) {
        uint64_t full, base = checked(b, send_all, &b->without, b->n_flows);

        load(b, &b->with, true);
        full = checked(b, send_all, &b->with, b->n_flows);
        check_flows(b);
        lane_uninit(&b->with, b->row->drops);
        round_ends(b, i, full, base);
    }
    b->n = b->n_flows;
    report(b, "ns/packet", (double)b->n);
    lane_uninit(&b->without, false);
}

static void
measure_window(struct bench *b)
{
    unsigned i;

    load(b, &b->with, true);
    for (i = 0; i < b->rounds; i++) {
        uint64_t before, ns;

        send_all(b, &b->with);
        before = lane_count(&b->with, b->row->sees);
        ns = lane_advance(&b->with, b->row->advance_s * HG_SEC);
        lane_expect(&b->with, b->row->sees, before, b->n_flows);
        round_ends(b, i, ns, 0);
    }
    b->n = b->n_flows;
    report(b, "ns/record", (double)b->n);
    lane_uninit(&b->with, b->row->drops);
}

static void
measure_start(struct bench *b)
{
    size_t bytes = 0;
    unsigned i;

    for (i = 0; i < b->rounds; i++) {
        size_t before = resident();
        uint64_t begin = cpu_ns();

        load(b, &b->with, true);
        round_ends(b, i, cpu_ns() - begin, 0);
        if (i == 0)
            bytes = resident() - before;
        lane_uninit(&b->with, false);
    }
    report(b, "s", HG_SEC);
    if (b->row->bytes)
        report_bytes(b, bytes, entries(b->row), "bytes/entry");
}

static void
choose_amounts(struct bench *b)
{
    const struct row *row = b->row;

    b->n_flows = quick && row->flows_quick ? row->flows_quick : row->flows;
    b->n = row->packets ? row->packets : quick ? 200000 : 500000;
    b->rounds = row->stage == START || row->stage == NEW ? ROUNDS_LONG
                : quick                                  ? ROUNDS_QUICK
                                                         : ROUNDS;
    if (rounds_wanted && rounds_wanted <= ROUNDS_MAX)
        b->rounds = rounds_wanted;
    if (!tiny)
        return;
    b->n = TINY;
    b->rounds = 1;
    if (b->n_flows > TINY)
        b->n_flows = TINY;
}

void
measure_row(const struct row *row)
{
    const bool one_by_one = row->stage == NEW || row->stage == WINDOW;
    struct bench b = {.row = row,
                      .in = row->in ? row->in : "in",
                      .traffic = row->traffic ? row->traffic : traffic_plain};

    choose_amounts(&b);
    pace_init(&b.pace, tiny ? 0 : largest(&b));
    frames_init(&b.chunk, CHUNK);
    if (!one_by_one && row->stage != START)
        frames_init(&b.drawn, b.n);
    if (row->stage == NEW)
        measure_new(&b);
    else if (row->stage == WINDOW)
        measure_window(&b);
    else if (row->stage == START)
        measure_start(&b);
    else if (row->stage == BATCHES)
        measure_batches(&b);
    else
        measure_steady(&b);
    frames_uninit(&b.chunk);
    frames_uninit(&b.drawn);
    pace_uninit(&b.pace);
}
