/* nat_fill.c: the compact table of NAT flows (headgate/nat_compact.h) at any
 * size: filled, looked up in both directions, churned, expired.
 *
 *     nat_fill [--json] [--quick]            1 M and 10 M flows
 *     nat_fill [--json] --flows N [--full] [--pauses]
 *                                            N flows ("100M", "1G")
 *
 * The table has room for 9/7 of the flows, so that it stays at its usual 70 %;
 * with --full it has room for just as many.  Flow i is computed from i, so
 * nothing but the table takes memory.  Keys are made before the clock starts
 * and go through the table 64 at a time.  Every flow that is looked up must be
 * found, and be the same from both sides; a mistake ends with status 1.
 *
 * How long 64 insertions take at most, by the clock on the wall, is what a
 * user notices.  Those in which the kernel gave the processor to others do not
 * count, those in which it gave memory are told apart.  Small tables, and
 * others with --pauses, are filled three times, which is the same work each
 * time, and each 64 insertions count with their least time. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>

#include <headgate/headers.h>
#include <headgate/nat_compact.h>

#include "pace.h"

enum { BATCH = 64, BLOCK = 1 << 16, ROUNDS = 7 };

static const uint64_t START_NS = UINT64_C(1700000000) * HG_SEC;
static const uint64_t LIFE_NS = 6 * HG_HOUR;
static const uint64_t EVERY_NS = HG_USEC; /* A flow begins. */

static const uint32_t EXTERNAL[8] = {0xc6336401, 0xc6336402, 0xc6336403,
                                     0xc6336404, 0xc6336405, 0xc6336406,
                                     0xc6336407, 0xc6336408};

/* Flows replaced, at most: three times all flows, or a tenth of the most. */
static const uint64_t CHURN_MOST = 100000000;

static struct {
    bool json, quick, full, pauses;
} options;

struct pause {
    uint32_t ns; /* The least so far; UINT32_MAX: none. */
    bool faulted;
};

struct run {
    struct hg_nat_compact *table;
    uint64_t first, end; /* Flows [first, end) live. */
    uint64_t n_flows;
    uint64_t now_ns;
    uint64_t n_failed;
    uint64_t n_expired;
    struct pause *pauses; /* Of each 64 insertions. */
    uint64_t n_pauses;
    uint64_t random;
    struct hg_nat_compact_tuple *tuples; /* BLOCK of them. */
    struct pace pace;
};

__attribute__((noreturn, format(printf, 2, 3))) static void
fail(int status, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fputs("nat_fill: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    exit(status);
}

static uint64_t
read_clock(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * HG_SEC + (uint64_t)t.tv_nsec;
}

/* Of all threads. */
static uint64_t
cpu_ns(void)
{
    return read_clock(CLOCK_PROCESS_CPUTIME_ID);
}

static uint64_t
mix(uint64_t x)
{
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

/* ---- Figures ---------------------------------------------------------- */

struct figure {
    const char *name, *unit;
    double median, least;
    uint64_t n;
    double target; /* 0: none. */
};

static void
print_figure(const struct run *r, const struct figure *f)
{
    const double pace = !strncmp(f->unit, "ns/", 3) ? pace_value(&r->pace) : 0;
    static unsigned n;

    if (!options.json) {
        printf("%14llu flows%s  %-42s %10.1f %s",
               (unsigned long long)r->n_flows, options.full ? ", full" : "",
               f->name, f->median, f->unit);
        if (f->target > 0)
            printf("   (target %g)", f->target);
        if (f->target > 0 && pace > 0)
            printf("   at a pace of %.2f", pace);
        if (f->n)
            printf("   of %llu", (unsigned long long)f->n);
        putchar('\n');
        fflush(stdout);
        return;
    }
    printf("%s{\"group\": \"compact NAT table\", \"name\": \"%s, %llu "
           "flows%s\", \"ns\": %.2f, \"unit\": \"%s\", \"flows\": %llu, "
           "\"size\": %llu",
           n++ ? ",\n " : "", f->name, (unsigned long long)r->n_flows,
           options.full ? ", full" : "", f->median, f->unit,
           (unsigned long long)r->n_flows, (unsigned long long)r->n_flows);
    if (f->least > 0)
        printf(", \"min\": %.2f", f->least);
    if (f->n)
        printf(", \"n\": %llu", (unsigned long long)f->n);
    if (f->target > 0)
        printf(", \"target\": %g", f->target);
    if (f->target > 0 && pace > 0)
        printf(", \"pace\": %.3f", pace);
    putchar('}');
}

static int
compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* ---- Flows ------------------------------------------------------------ */

/* 64 flows a host, 16 a remote endpoint. */
static void
make_tuple(const struct run *r, uint64_t i, struct hg_nat_compact_tuple *t)
{
    memset(t, 0, sizeof(*t));
    t->addr = 0x0a000000 + (uint32_t)(i / 64 % (1 << 24));
    t->port = (uint16_t)(1024 + i % 64 + (i / 64 >> 24) * 64 % 64000);
    t->remote = 0x40000000 + (uint32_t)(mix(i) % (r->n_flows / 16 + 1));
    t->remote_port = 443;
    t->protocol = HG_PROTO_TCP;
}

/* What an element does before it asks. */
static void
make_keys(struct hg_nat_compact_key *key, const struct hg_nat_compact_tuple *t,
          unsigned n, bool from_inside)
{
    unsigned i;

    for (i = 0; i < n; i++) {
        key[i].tuple = t[i];
        key[i].from_inside = from_inside;
    }
}

static uint64_t
draw(struct run *r)
{
    r->random = mix(r->random + UINT64_C(0x9e3779b97f4a7c15));
    return r->first +
           (uint64_t)((r->random >> 32) * (r->end - r->first) >> 32);
}

/* ---- What is measured ------------------------------------------------- */

/* What happened to this thread so far. */
struct moment {
    uint64_t wall_ns, cpu_ns;
    long faults, preemptions;
};

static struct moment
now(void)
{
    struct rusage usage;

    getrusage(RUSAGE_THREAD, &usage);
    return (struct moment){.wall_ns = read_clock(CLOCK_MONOTONIC),
                           .cpu_ns = cpu_ns(),
                           .faults = usage.ru_minflt,
                           .preemptions = usage.ru_nivcsw};
}

/* Notes how long that took; returns the CPU time. */
static uint64_t
note_time(struct run *r, const struct moment *begin)
{
    struct moment end = now();
    struct pause *pause = &r->pauses[r->n_pauses++];
    uint64_t ns = end.wall_ns - begin->wall_ns;

    if (end.preemptions == begin->preemptions && ns < pause->ns)
        pause->ns = (uint32_t)ns;
    pause->faulted |= end.faults > begin->faults;
    return end.cpu_ns - begin->cpu_ns;
}

/* Adds flows [r->end, r->end + n), and takes out as many old ones if 'churn';
 * returns the CPU time it took. */
static uint64_t
insert(struct run *r, unsigned n, bool churn)
{
    struct hg_nat_compact_tuple old_tuples[BATCH];
    struct hg_nat_compact_key old[BATCH], key[BATCH];
    struct moment begin;
    uint64_t took = 0;
    unsigned i, j, m;

    for (i = 0; i < n; i += m) {
        struct hg_nat_compact_flow flow;

        m = n - i < BATCH ? n - i : BATCH;
        for (j = 0; churn && j < m; j++)
            make_tuple(r, r->first++, &old_tuples[j]);
        begin = now();
        if (churn) {
            make_keys(old, old_tuples, m, true);
            hg_nat_compact_prepare(r->table, old, m);
        }
        make_keys(key, r->tuples + i, m, true);
        hg_nat_compact_prepare(r->table, key, m);
        for (j = 0; j < m; j++) {
            r->now_ns += EVERY_NS;
            if (churn &&
                hg_nat_compact_lookup(r->table, &old[j], r->now_ns, &flow))
                hg_nat_compact_remove(r->table, &flow);
            if (hg_nat_compact_insert(r->table, &key[j], 1, r->now_ns,
                                      r->now_ns + LIFE_NS,
                                      &flow) != HG_NAT_COMPACT_OK)
                r->n_failed++;
        }
        took += note_time(r, &begin);
    }
    r->end += n;
    return took;
}

static double
add(struct run *r, uint64_t n, bool churn)
{
    uint64_t took = 0, done = 0;
    unsigned i;

    pace_forget(&r->pace);
    while (done < n) {
        unsigned m = n - done < BLOCK ? (unsigned)(n - done) : BLOCK;

        for (i = 0; i < m; i++)
            make_tuple(r, r->end + i, &r->tuples[i]);
        took += insert(r, m, churn);
        pace_look(&r->pace);
        done += m;
    }
    return (double)took / (double)n;
}

/* Turns flows into what their replies are found by. */
static void
turn(struct run *r)
{
    struct hg_nat_compact_flow flow;
    unsigned i;

    for (i = 0; i < BLOCK; i++) {
        struct hg_nat_compact_tuple *t = &r->tuples[i];

        if (!hg_nat_compact_find(r->table, t, true, r->now_ns, &flow))
            fail(1, "a flow is not there");
        t->addr = flow.external;
        t->port = flow.external_port;
    }
}

/* Looks the block up, and adds up what tells one flow from another; returns
 * how many are there. */
static unsigned
look_up_block(struct run *r, bool from_inside, uint64_t *sum)
{
    unsigned i, j, found = 0;

    for (i = 0; i < BLOCK; i += BATCH) {
        struct hg_nat_compact_key key[BATCH];

        make_keys(key, r->tuples + i, BATCH, from_inside);
        hg_nat_compact_prepare(r->table, key, BATCH);
        for (j = 0; j < BATCH; j++) {
            struct hg_nat_compact_flow flow;

            if (!hg_nat_compact_lookup(r->table, &key[j], r->now_ns, &flow))
                continue;
            *sum += flow.inside ^ flow.inside_port;
            found++;
        }
    }
    return found;
}

/* Time of looking up a block of flows drawn at random. */
static double
look_up(struct run *r, bool from_inside)
{
    uint64_t i, begin, sum = 0, expected = 0;
    unsigned found;

    for (i = 0; i < BLOCK; i++) {
        make_tuple(r, draw(r), &r->tuples[i]);
        expected += r->tuples[i].addr ^ r->tuples[i].port;
    }
    if (!from_inside)
        turn(r);
    begin = cpu_ns();
    found = look_up_block(r, from_inside, &sum);
    begin = cpu_ns() - begin;
    if (found != BLOCK || sum != expected)
        fail(1, "%u of %u flows are found, or other ones", found, BLOCK);
    return (double)begin / BLOCK;
}

/* Each round is several blocks of its own, drawn anew. */
static void
measure_lookups(struct run *r, bool from_inside, double target)
{
    const unsigned blocks = options.quick ? 2 : 16;
    double round[ROUNDS];
    unsigned i, j;

    look_up(r, from_inside);
    pace_forget(&r->pace);
    for (i = 0; i < ROUNDS; i++) {
        pace_look(&r->pace);
        round[i] = 0;
        for (j = 0; j < blocks; j++)
            round[i] += look_up(r, from_inside) / blocks;
    }
    qsort(round, ROUNDS, sizeof(round[0]), compare);
    print_figure(r, &(struct figure){from_inside ? "lookup from inside"
                                                 : "lookup from outside",
                                     "ns/lookup", round[ROUNDS / 2], round[0],
                                     (uint64_t)BLOCK * blocks, target});
}

/* Unknown packets from inside, which have to search the longest. */
static void
measure_misses(struct run *r)
{
    uint64_t i, begin, sum = 0;

    for (i = 0; i < BLOCK; i++)
        make_tuple(r, r->end + r->n_flows + i, &r->tuples[i]);
    begin = cpu_ns();
    if (look_up_block(r, true, &sum))
        fail(1, "a flow is there that nobody added");
    print_figure(r, &(struct figure){"lookup of an unknown flow", "ns/lookup",
                                     (double)(cpu_ns() - begin) / BLOCK, 0,
                                     BLOCK, 0});
}

/* The floor: one cache line out of as much memory, 64 begun at a time.  All of
 * it is touched, so that a table made afterwards gets memory that the machine
 * has: in a virtual machine, the first touch of a page is its host's work. */
static void
measure_floor(struct run *r, uint64_t bytes)
{
    uint64_t n, i, begin, sum = 0;
    uint64_t *line[BATCH];
    double round[ROUNDS];
    unsigned j, k;
    char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (memory == MAP_FAILED)
        fail(77, "no memory");
    madvise(memory, bytes, MADV_HUGEPAGE);
    for (i = 0; i < bytes; i += 4096)
        memory[i] = 1;
    n = bytes / 64;
    for (k = 0; k < ROUNDS; k++) {
        begin = cpu_ns();
        for (i = 0; i < BLOCK; i += BATCH) {
            for (j = 0; j < BATCH; j++) {
                r->random = mix(r->random + 1);
                line[j] =
                    (uint64_t *)(void *)(memory +
                                         ((r->random >> 32) * n >> 32) * 64);
                __builtin_prefetch(line[j]);
            }
            for (j = 0; j < BATCH; j++)
                sum += *line[j];
        }
        round[k] = (double)(cpu_ns() - begin) / BLOCK;
    }
    qsort(round, ROUNDS, sizeof(round[0]), compare);
    munmap(memory, bytes);
    print_figure(r, &(struct figure){"the floor: one line of as much memory",
                                     "ns/line", round[ROUNDS / 2], round[0],
                                     BLOCK, sum ? 0 : 1});
}

static void
print_bytes(const struct run *r, const char *name, double target)
{
    struct hg_nat_compact_stats s;

    hg_nat_compact_get_stats(r->table, &s);
    print_figure(r, &(struct figure){name, "bytes/flow",
                                     (double)s.bytes / (double)s.flows, 0, 0,
                                     target});
    if (!options.json)
        printf("%20s  %llu bytes, %llu flows, %llu without a place, %llu "
               "crowded destinations, %llu renewals\n",
               "", (unsigned long long)s.bytes, (unsigned long long)s.flows,
               (unsigned long long)s.elsewhere, (unsigned long long)s.crowded,
               (unsigned long long)s.renewals);
}

static void
measure_expiry(struct run *r)
{
    uint64_t n = hg_nat_compact_count(r->table), at = 0, begin;
    struct hg_nat_compact_flow one;

    /* If nothing could have run out it would not even look. */
    if (hg_nat_compact_next(r->table, r->now_ns, &at, &one))
        hg_nat_compact_update(r->table, &one, one.state,
                              r->now_ns + LIFE_NS / 4);
    begin = cpu_ns();
    hg_nat_compact_sweep(r->table, r->now_ns + LIFE_NS / 2, UINT64_MAX);
    print_figure(r, &(struct figure){"sweep that finds one", "ns/flow",
                                     (double)(cpu_ns() - begin) / (double)n, 0,
                                     n, 0});
    begin = cpu_ns();
    hg_nat_compact_sweep(r->table, r->now_ns + 2 * LIFE_NS, UINT64_MAX);
    print_figure(r, &(struct figure){"sweep that ends all", "ns/flow",
                                     (double)(cpu_ns() - begin) / (double)n, 0,
                                     n, 0});
    if (hg_nat_compact_count(r->table) || r->n_expired != n)
        fail(1, "%llu of %llu flows expired, %llu are still there",
             (unsigned long long)r->n_expired, (unsigned long long)n,
             (unsigned long long)hg_nat_compact_count(r->table));
}

/* ---- A run ------------------------------------------------------------ */

static unsigned
n_fills(uint64_t n_flows)
{
    return options.pauses || n_flows <= 1000000 ? 3 : 1;
}

static void
count_expired(void *aux, const struct hg_nat_compact_flow *flow)
{
    struct run *r = aux;

    (void)flow;
    r->n_expired++;
}

static void
check_memory(uint64_t needed)
{
    FILE *in = fopen("/proc/meminfo", "r");
    unsigned long long available = 0;
    char line[128];

    while (in && fgets(line, sizeof(line), in))
        if (sscanf(line, "MemAvailable: %llu kB", &available) == 1)
            break;
    if (in)
        fclose(in);
    if (available && needed > available * 1024)
        fail(77, "this needs %llu MiB of memory, %llu MiB are available",
             (unsigned long long)(needed >> 20), available >> 10);
}

static void
print_longest(const struct run *r, const char *name, uint64_t first,
              uint64_t end, bool faulted, double target)
{
    const struct pause *longest = NULL, *p;

    for (p = r->pauses + first; p < r->pauses + end; p++)
        if (p->faulted == faulted && p->ns != UINT32_MAX &&
            (!longest || p->ns > longest->ns))
            longest = p;
    if (!longest)
        return;
    print_figure(
        r, &(struct figure){name, "us", longest->ns / 1e3, 0, 0, target});
    if (!options.json)
        printf("%20s  flows %llu and on; least of %u fills\n", "",
               (unsigned long long)(longest - r->pauses - (long)first) * BATCH,
               n_fills(r->n_flows));
}

/* An empty table, with the random numbers of the first one. */
static void
begin_table(struct run *r, uint64_t room)
{
    struct hg_nat_compact_config config = {.ports = {1024, 65535},
                                           .per_destination = 55000,
                                           .max_flows = (uint32_t)room,
                                           .seed = 1,
                                           .expired = count_expired,
                                           .aux = r};

    r->first = r->end = r->n_pauses = r->n_failed = 0;
    r->now_ns = START_NS;
    r->random = 1;
    r->table = hg_nat_compact_create(&config);
    if (!r->table)
        fail(77, "no memory");
    hg_nat_compact_add_gateway(r->table, EXTERNAL, 8);
    hg_nat_compact_add_tenant(r->table, 0);
}

static void
measure_both_lookups(struct run *r)
{
    const uint64_t n = r->n_flows;

    measure_lookups(r, true, n <= 100000 ? 30 : n <= 1000000 ? 50 : 100);
    measure_lookups(r, false, 40);
    measure_misses(r);
}

static void
measure(struct run *r, uint64_t n, uint64_t churn)
{
    uint64_t filled;

    print_figure(r, &(struct figure){"new flow", "ns/flow", add(r, n, false),
                                     0, n, 350});
    filled = r->n_pauses;
    print_bytes(r, "memory", options.full ? 18 : 24);
    measure_both_lookups(r);
    print_figure(r, &(struct figure){"old flow out, new flow in", "ns/flow",
                                     add(r, churn, true), 0, churn, 350});
    print_bytes(r, "memory in churn", options.full ? 0 : 24);
    measure_both_lookups(r);
    print_longest(r, "longest 64 new flows", 0, filled, false, 1000);
    print_longest(r, "longest that got memory, too", 0, filled, true, 0);
    print_longest(r, "longest 64 replaced flows", filled, r->n_pauses, false,
                  1000);
    measure_expiry(r);
    print_figure(r, &(struct figure){"flows refused", "flows",
                                     (double)r->n_failed, 0, 0, 0});
}

static void
run(uint64_t n)
{
    const uint64_t room = options.full ? n : n * 9 / 7;
    const uint64_t most = options.quick || n > CHURN_MOST / 3 ? n : n * 3;
    const uint64_t churn = most < CHURN_MOST ? most : CHURN_MOST;
    const uint64_t n_pauses = (n + churn) / BATCH + 2;
    /* Beside a billion flows there is no room for as much memory again. */
    const uint64_t pace_entries = n > CHURN_MOST ? CHURN_MOST / 10 : n;
    struct run r = {.n_flows = n, .random = 1};
    uint64_t i;

    check_memory(room * 19 + n_pauses * sizeof(*r.pauses) +
                 pace_bytes(pace_entries) + (64u << 20));
    r.tuples = malloc(BLOCK * sizeof(*r.tuples));
    r.pauses = malloc(n_pauses * sizeof(*r.pauses));
    if (!r.tuples || !r.pauses)
        fail(77, "no memory");
    for (i = 0; i < n_pauses; i++)
        r.pauses[i] = (struct pause){.ns = UINT32_MAX};
    measure_floor(&r, room * 18);
    pace_init(&r.pace, pace_entries);
    for (i = 1; i < n_fills(n); i++) {
        begin_table(&r, room);
        add(&r, n, false);
        add(&r, churn, true);
        hg_nat_compact_destroy(r.table);
    }
    begin_table(&r, room);
    measure(&r, n, churn);
    hg_nat_compact_destroy(r.table);
    pace_uninit(&r.pace);
    free(r.tuples);
    free(r.pauses);
}

static uint64_t
parse_flows(const char *text)
{
    char *end;
    uint64_t n = strtoull(text, &end, 10);

    n *= *end == 'k'   ? 1000
         : *end == 'M' ? 1000000
         : *end == 'G' ? 1000000000
                       : 1;
    if (*text < '0' || *text > '9' || (*end && end[1]) ||
        (*end && !strchr("kMG", *end)) || n < 1000 ||
        (options.full ? n : n * 9 / 7) > HG_NAT_COMPACT_FLOWS)
        fail(2,
             "'%s' is not a number of flows such as 1000, 10M, 1G; at most "
             "835 M, or with --full 1 G",
             text);
    return n;
}

int
main(int argc, char **argv)
{
    const char *flows = NULL;
    int i;

    for (i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--json"))
            options.json = true;
        else if (!strcmp(argv[i], "--quick"))
            options.quick = true;
        else if (!strcmp(argv[i], "--full"))
            options.full = true;
        else if (!strcmp(argv[i], "--pauses"))
            options.pauses = true;
        else if (!strcmp(argv[i], "--flows") && i + 1 < argc)
            flows = argv[++i];
        else
            fail(2,
                 "no option '%s'; usage: nat_fill [--json] [--quick] "
                 "[--full] [--pauses] [--flows N]",
                 argv[i]);
    }
    if (options.json)
        putchar('[');
    if (flows) {
        run(parse_flows(flows));
    } else {
        run(100000);
        run(1000000);
        if (!options.quick)
            run(10000000);
    }
    if (options.json)
        puts("]");
    return 0;
}
