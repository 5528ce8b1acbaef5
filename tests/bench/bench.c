/* bench.c: nanoseconds of CPU time a packet, and ratios, in one run.
 *
 * Three groups of figures: each element alone, from memory, net of the same
 * graph without it; the NAT gateway's graph from memory; and pcap to pcap
 * against the floor, which is libpcap reading and writing with nothing
 * between.  Packets are made before the clock starts.  A graph without and
 * with an element take turns, so that both meet the same machine.
 *
 *     bench [--json] [--quick]        (tests/bench/run.sh sets the stage)
 *     bench copy IN.pcap OUT.pcap     the floor, in a process of its own */
#include <headgate/graph.h>
#include <jansson.h>
#include <pcap/pcap.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    FRAME_LEN = 60, /* 64 bytes on the wire, without the FCS. */
    SLOT = 64,
    BATCH = 64,
    ROUNDS = 7,
    MAX_ROUNDS = 15
};

static const uint64_t START_NS = UINT64_C(1700000000) * HG_SEC;

static bool quick;
static struct hg_plugins *plugins;
static json_t *results;
static FILE *table; /* Where the table goes. */

__attribute__((noreturn, format(printf, 1, 2))) static void
fail(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fputs("bench: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    exit(1);
}

static uint64_t
cpu_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * HG_SEC + (uint64_t)t.tv_nsec;
}

/* ---- Elements that cost nothing --------------------------------------- */

struct pass {
    uint64_t bytes;
};

static void
pass_batch(struct hg_element *element, struct hg_batch *batch)
{
    hg_pass(hg_element_self(element), 0, batch);
}

static void
look_batch(struct hg_element *element, struct hg_batch *batch)
{
    struct pass *self = hg_element_self(element);
    unsigned i;

    for (i = 0; i < batch->n; i++)
        self->bytes += batch->p[i]->data[0];
    hg_pass(self, 0, batch);
}

#define BENCH_CLASS(class_name, function)                                     \
    {                                                                         \
        .magic = HG_MAGIC, .abi = HG_ABI,                                     \
        .class_size = sizeof(struct hg_class), .name = class_name,            \
        .summary = "for measurements", .inputs = "in", .outputs = "out",      \
        .self_size = sizeof(struct pass), .batch = function                   \
    }

static const struct hg_class pass_class = BENCH_CLASS("Pass", pass_batch);
static const struct hg_class look_class = BENCH_CLASS("Look", look_batch);

/* ---- Frames ----------------------------------------------------------- */

struct frames {
    size_t n;
    size_t capacity;
    uint8_t (*v)[SLOT];
};

static void
frames_init(struct frames *f, size_t capacity)
{
    f->n = 0;
    f->capacity = capacity;
    f->v = aligned_alloc(SLOT, capacity * SLOT);
    if (!f->v)
        fail("no memory for %zu frames", capacity);
}

static void
frames_add(struct frames *f, const struct hg_packet *p)
{
    if (f->n < f->capacity && p->len == FRAME_LEN)
        memcpy(f->v[f->n++], p->data, FRAME_LEN);
}

static uint64_t
random_next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* The UDP packet of flow 'i' into 'p', which has FRAME_LEN bytes. */
static void
make_frame(struct hg_packet *p, uint32_t i)
{
    struct hg_eth *eth = (struct hg_eth *)p->data;
    struct hg_ipv4 *ip = (struct hg_ipv4 *)(p->data + sizeof *eth);
    struct hg_udp *udp = (struct hg_udp *)(ip + 1);
    const uint16_t ip_len = FRAME_LEN - sizeof *eth;

    memset(p->data, 0, FRAME_LEN);
    eth->dst.byte[0] = eth->src.byte[0] = 2;
    eth->dst.byte[5] = 1;
    eth->type = hg_be16_of(HG_ETH_IP4);
    ip->version_ihl = 0x45;
    ip->total_length = hg_be16_of(ip_len);
    ip->ttl = 64;
    ip->protocol = HG_PROTO_UDP;
    ip->src = hg_be32_of(0x0a000000 + i % 65536);
    ip->dst = hg_be32_of(0xcb000000 + i % 40009);
    udp->sport = hg_be16_of((uint16_t)(1024 + i % 60000));
    udp->dport = hg_be16_of(443);
    udp->length = hg_be16_of((uint16_t)(ip_len - sizeof *ip));
    hg_packet_parse(p);
    hg_packet_set_checksums(p);
}

/* One frame of each of 'n_flows' flows. */
static void
frames_of_flows(struct frames *f, size_t n_flows)
{
    struct hg_pool *pool = hg_pool_create(0);
    struct hg_packet *p = hg_packet_alloc(pool, FRAME_LEN);
    uint32_t i;

    frames_init(f, n_flows);
    for (i = 0; i < n_flows; i++) {
        make_frame(p, i);
        frames_add(f, p);
    }
    hg_packet_free(p);
    hg_pool_destroy(pool);
}

/* 'n' frames drawn uniformly from 'flows'. */
static void
frames_draw(struct frames *f, const struct frames *flows, size_t n)
{
    uint64_t state = 88172645463325252;
    size_t i;

    frames_init(f, n);
    for (i = 0; i < n; i++)
        memcpy(f->v[i], flows->v[random_next(&state) % flows->n], SLOT);
    f->n = n;
}

/* Turns what left on the outside into what its receivers answer. */
static void
frames_answer(struct frames *f)
{
    size_t i;

    for (i = 0; i < f->n; i++) {
        uint8_t *ip = f->v[i] + sizeof(struct hg_eth), swap[4];

        memcpy(swap, ip + 12, 4);
        memcpy(ip + 12, ip + 16, 4);
        memcpy(ip + 16, swap, 4);
        memcpy(swap, ip + 20, 2);
        memcpy(ip + 20, ip + 22, 2);
        memcpy(ip + 22, swap, 2);
    }
}

/* ---- A graph between memory and nothing ------------------------------- */

struct lane {
    struct hg_device device; /* First: the callbacks get a pointer to it. */
    struct hg_graph *graph;
    uint64_t now_ns;
    struct frames *record; /* NULL, or takes what is sent. */
};

static unsigned
lane_send(struct hg_device *device, struct hg_packet *const *packets,
          unsigned n)
{
    struct frames *record = ((struct lane *)device)->record;
    unsigned i;

    for (i = 0; record && i < n; i++)
        frames_add(record, packets[i]);
    hg_packet_free_many(packets, n);
    return n;
}

static const struct hg_device_ops lane_ops = {.scheme = "memory",
                                              .send = lane_send};

static void
lane_load(struct lane *lane, const char *path)
{
    const struct hg_graph_config config = {.plugins = plugins, .seed = 1};
    struct hg_diags *diags = hg_diags_create();
    struct hg_error error;
    size_t i;

    memset(lane, 0, sizeof *lane);
    lane->graph = hg_graph_load(path, &config, diags);
    if (!lane->graph) {
        hg_diags_print(diags, stderr, false);
        fail("'%s' is no graph", path);
    }
    hg_diags_destroy(diags);
    lane->device.ops = &lane_ops;
    lane->device.can_send = true;
    for (i = 0; i < hg_graph_n_elements(lane->graph); i++) {
        struct hg_element *e = hg_graph_element(lane->graph, i);

        if (hg_element_class(e)->flags & HG_CLASS_DEVICE)
            hg_element_bind(e, &lane->device);
    }
    lane->now_ns = START_NS;
    if (!hg_graph_start(lane->graph, lane->now_ns, &error))
        fail("%s", error.text);
}

/* The same from the text of a graph file. */
static void
lane_init(struct lane *lane, const char *declarations, const char *connections)
{
    char path[] = "/tmp/headgate-bench-XXXXXX";
    int fd = mkstemp(path);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "w");

    if (!file)
        fail("cannot write '%s'", path);
    fprintf(file, "%s\n%s\n", declarations, connections);
    if (fclose(file))
        fail("cannot write '%s'", path);
    lane_load(lane, path);
    unlink(path);
}

static void
lane_uninit(struct lane *lane)
{
    struct hg_account account;

    hg_graph_stop(lane->graph);
    if (!hg_graph_account(lane->graph, &account))
        fail("packets were lost: the figures mean nothing");
    hg_graph_destroy(lane->graph);
}

/* Sends the frames in at 'name'; returns the CPU time it took. */
static uint64_t
lane_run(struct lane *lane, const char *name, const struct frames *f)
{
    struct hg_element *source = hg_graph_find(lane->graph, name);
    struct hg_pool *pool = hg_graph_pool(lane->graph);
    struct hg_packet *packets[BATCH];
    uint64_t begin = cpu_ns();
    size_t at = 0;

    while (at < f->n) {
        unsigned i, n = f->n - at < BATCH ? (unsigned)(f->n - at) : BATCH;

        lane->now_ns += BATCH * 100;
        for (i = 0; i < n; i++, at++) {
            packets[i] = hg_packet_alloc(pool, FRAME_LEN);
            if (!packets[i])
                fail("no memory for packets");
            memcpy(packets[i]->data, f->v[at], FRAME_LEN);
            packets[i]->time_ns = lane->now_ns;
        }
        hg_graph_inject(lane->graph, source, 0, packets, n);
        hg_graph_advance(lane->graph, lane->now_ns);
        hg_graph_dispatch(lane->graph);
    }
    return cpu_ns() - begin;
}

/* ---- Figures ---------------------------------------------------------- */

static int
compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

struct figure {
    double median;
    double least;
};

static struct figure
figure_of(double *v, unsigned n)
{
    qsort(v, n, sizeof *v, compare_doubles);
    return (struct figure){v[n / 2], v[0]};
}

/* Prints one figure and stores it; 'over' is what it is a ratio to, 0 for
 * none. */
static void
report(const char *group, const char *name, struct figure ns, size_t packets,
       size_t flows, const char *to, double over)
{
    json_t *row =
        json_pack("{s:s, s:s, s:f, s:f, s:I, s:I}", "group", group, "name",
                  name, "ns", ns.median, "ns_min", ns.least, "packets",
                  (json_int_t)packets, "flows", (json_int_t)flows);
    char ratio[96] = "";

    if (over > 0) {
        json_object_set_new(row, "ratio", json_real(ns.median / over));
        json_object_set_new(row, "ratio_to", json_string(to));
        snprintf(ratio, sizeof ratio, "%5.2f x %s", ns.median / over, to);
    }
    json_array_append_new(results, row);
    fprintf(table, "%-8s %-34s %7.1f %7.1f  %8zu %8zu  %s\n", group, name,
            ns.median, ns.least, packets, flows, ratio);
}

/* ---- Each element alone ----------------------------------------------- */

/* The cost of what 'with' has more than 'without', 'times' times.  Each is
 * the part of connect() between in and out, "" for nothing. */
struct element_row {
    const char *name;
    unsigned times;
    const char *declarations;
    const char *without;
    const char *with;
    const char *more; /* Further connections of 'with'. */
};

#define CHECKED "CheckIP -> "
#define FIVE(element) element element element element element

static const struct element_row element_rows[] = {
    {"hop, batch untouched", 5, "", "", FIVE("Pass -> "), ""},
    {"hop, each packet looked at", 5, "", "", FIVE("Look -> "), ""},
    {"Counter", 5, "", "", FIVE("Counter -> "), ""},
    {"CheckIP", 5, "", "", FIVE(CHECKED), ""},
    {"DecTTL", 5, "", CHECKED, CHECKED FIVE("DecTTL -> "), ""},
    {"EtherRewrite", 1,
     "EtherRewrite x { src = \"02:00:00:00:00:01\" "
     "dst = \"02:00:00:00:00:02\" }",
     "", "x -> ", ""},
    {"Classifier, second of two filters", 1,
     "Classifier x { match web { filter = \"tcp port 80\" } "
     "match dns { filter = \"udp\" } }",
     "", "x[dns] -> ", "connect(\"x[web] -> out; x[rest] -> out\")"},
    {"Hash over four outputs", 1, "Hash x { outputs = 4 }", "", "x[0] -> ",
     "connect(\"x[1] -> out; x[2] -> out; x[3] -> out\")"},
    {"Tee, second copy included", 1, "Tee x { }", "", "x[0] -> ",
     "connect(\"x[1] -> out\")"},
    {"Shaper, never over its rate", 1,
     "Shaper x { rate = 100Gbps  burst = 1M }", "", "x -> ", ""},
    {"Queue and Shaper, never full", 1,
     "Shaper x { rate = 100Gbps  burst = 1M }", "", "Queue -> x -> ", ""},
    {"Fragment, nothing to cut", 1, "Fragment x { mtu = 1500 }", CHECKED,
     CHECKED "x -> ", "connect(\"x[too-big] -> Discard\")"},
};

static void
element_lane(struct lane *lane, const struct element_row *row, bool with)
{
    char declarations[512], connections[512];

    snprintf(declarations, sizeof declarations,
             "Interface in { }\nInterface out { }\n%s",
             with ? row->declarations : "");
    snprintf(connections, sizeof connections, "connect(\"in -> %sout\")\n%s",
             with ? row->with : row->without, with ? row->more : "");
    lane_init(lane, declarations, connections);
}

static void
bench_element(const struct element_row *row, const struct frames *f,
              double hop)
{
    struct lane without, with;
    double net[ROUNDS];
    unsigned i;

    element_lane(&without, row, false);
    element_lane(&with, row, true);
    lane_run(&without, "in", f);
    lane_run(&with, "in", f);
    for (i = 0; i < ROUNDS; i++) {
        double base = (double)lane_run(&without, "in", f);
        double full = (double)lane_run(&with, "in", f);

        net[i] = (full - base) / (double)f->n / row->times;
    }
    lane_uninit(&without);
    lane_uninit(&with);
    report("element", row->name, figure_of(net, ROUNDS), f->n, 1000,
           "source to sink", hop);
}

/* What the bench itself costs: a pool slot, a copy of 60 bytes, parsing,
 * source, sink.  The figures of elements are net of it. */
static double
bench_source_to_sink(const struct frames *f)
{
    struct lane lane;
    double ns[ROUNDS];
    struct figure figure;
    unsigned i;

    lane_init(&lane, "Interface in { }\nInterface out { }",
              "connect(\"in -> out\")");
    lane_run(&lane, "in", f);
    for (i = 0; i < ROUNDS; i++)
        ns[i] = (double)lane_run(&lane, "in", f) / (double)f->n;
    lane_uninit(&lane);
    figure = figure_of(ns, ROUNDS);
    report("floor", "copy, parse, source to sink", figure, f->n, 1000, "", 0);
    return figure.median;
}

static void
bench_elements(void)
{
    struct frames flows, f;
    double hop;
    size_t i;

    frames_of_flows(&flows, 1000);
    frames_draw(&f, &flows, quick ? 200000 : 500000);
    hop = bench_source_to_sink(&f);
    for (i = 0; i < sizeof element_rows / sizeof element_rows[0]; i++)
        bench_element(&element_rows[i], &f, hop);
    free(f.v);
    free(flows.v);
}

/* ---- NAT -------------------------------------------------------------- */

static const char nat_declarations[] =
    "Interface inside { }\nInterface outside { }\n"
    "HyperplaneNAT nat { public = { 198.51.100.1, 198.51.100.2, "
    "198.51.100.3, 198.51.100.4 } }";
static const char nat_connections[] =
    "connect(\"inside -> CheckIP -> [inside]nat[outside] -> outside\")\n"
    "connect(\"outside -> CheckIP -> [outside]nat[inside] -> inside\")";

/* New, outbound and inbound packets of 'n_flows' flows, net of a graph that
 * ends behind CheckIP. */
static void
bench_nat(size_t n_flows)
{
    const size_t n = quick ? 300000 : 1000000;
    double new[MAX_ROUNDS], out[ROUNDS], in[ROUNDS];
    struct frames flows, drawn, replies, drawn_replies;
    struct lane base, nat;
    const unsigned rounds = quick ? 3 : 5;
    unsigned i = 0;

    frames_of_flows(&flows, n_flows);
    frames_draw(&drawn, &flows, n);
    frames_init(&replies, n_flows);
    lane_init(&base, "Interface in { }\nInterface out { }",
              "connect(\"in -> CheckIP -> out\")");
    lane_run(&base, "in", &drawn);
    do {
        double floor = (double)lane_run(&base, "in", &flows);

        if (i > 0)
            lane_uninit(&nat);
        lane_init(&nat, nat_declarations, nat_connections);
        new[i] = ((double)lane_run(&nat, "inside", &flows) - floor) /
                 (double)n_flows;
    } while (++i < rounds);
    nat.record = &replies;
    lane_run(&nat, "inside", &flows);
    nat.record = NULL;
    if (replies.n != n_flows)
        fail("only %zu of %zu flows were translated", replies.n, n_flows);
    frames_answer(&replies);
    frames_draw(&drawn_replies, &replies, n);
    for (i = 0; i < ROUNDS; i++) {
        double floor = (double)lane_run(&base, "in", &drawn);

        out[i] =
            ((double)lane_run(&nat, "inside", &drawn) - floor) / (double)n;
        in[i] = ((double)lane_run(&nat, "outside", &drawn_replies) - floor) /
                (double)n;
    }
    lane_uninit(&nat);
    lane_uninit(&base);
    report("nat", "HyperplaneNAT, new flow", figure_of(new, rounds), n_flows,
           n_flows, "", 0);
    report("nat", "HyperplaneNAT, outbound", figure_of(out, ROUNDS), n,
           n_flows, "", 0);
    report("nat", "HyperplaneNAT, inbound", figure_of(in, ROUNDS), n, n_flows,
           "", 0);
    free(flows.v);
    free(drawn.v);
    free(replies.v);
    free(drawn_replies.v);
}

/* The whole of graphs/nat-gateway.conf, from memory to nothing. */
static void
bench_gateway(const char *graph, size_t n_flows)
{
    const size_t n = quick ? 300000 : 1000000;
    struct frames flows, drawn;
    struct lane lane;
    double ns[ROUNDS];
    unsigned i;

    frames_of_flows(&flows, n_flows);
    frames_draw(&drawn, &flows, n);
    lane_load(&lane, graph);
    lane_run(&lane, "inside", &flows);
    for (i = 0; i < ROUNDS; i++)
        ns[i] = (double)lane_run(&lane, "inside", &drawn) / (double)n;
    lane_uninit(&lane);
    report("graph", "nat-gateway.conf from memory", figure_of(ns, ROUNDS), n,
           n_flows, "", 0);
    free(flows.v);
    free(drawn.v);
}

/* ---- pcap to pcap ----------------------------------------------------- */

/* The floor: what reading and writing with libpcap costs. */
static int
copy_capture(const char *from, const char *to)
{
    char error[PCAP_ERRBUF_SIZE];
    pcap_t *in = pcap_open_offline(from, error);
    pcap_dumper_t *out;
    struct pcap_pkthdr *header;
    const u_char *data;

    if (!in)
        fail("%s", error);
    out = pcap_dump_open(in, to);
    if (!out)
        fail("%s", pcap_geterr(in));
    while (pcap_next_ex(in, &header, &data) == 1)
        pcap_dump((u_char *)out, header, data);
    pcap_dump_close(out);
    pcap_close(in);
    return 0;
}

static void
write_capture(const char *path, const struct frames *f)
{
    pcap_t *pcap = pcap_open_dead(DLT_EN10MB, 65535);
    pcap_dumper_t *out = pcap_dump_open(pcap, path);
    struct pcap_pkthdr header = {.caplen = FRAME_LEN, .len = FRAME_LEN};
    size_t i;

    if (!out)
        fail("%s", pcap_geterr(pcap));
    for (i = 0; i < f->n; i++) {
        header.ts.tv_sec = 1700000000 + (time_t)(i / 1000000);
        header.ts.tv_usec = (suseconds_t)(i % 1000000);
        pcap_dump((u_char *)out, &header, f->v[i]);
    }
    pcap_dump_close(out);
    pcap_close(pcap);
}

static double
seconds(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

/* User and system time of a command, in nanoseconds. */
static double
command_ns(char *const *argv)
{
    struct rusage usage;
    pid_t child;
    int status;

    fflush(table);
    child = fork();
    if (child < 0)
        fail("cannot fork");
    if (!child) {
        if (!freopen("/dev/null", "w", stdout))
            _exit(126);
        execv(argv[0], argv);
        _exit(127);
    }
    if (wait4(child, &status, 0, &usage) != child || status != 0)
        fail("'%s %s' failed", argv[0], argv[1]);
    return (seconds(usage.ru_utime) + seconds(usage.ru_stime)) * 1e9;
}

/* Not timed: says whether 'path' holds a packet for each of 'n'. */
static void
expect_size(const char *path, size_t n)
{
    struct stat st;

    if (stat(path, &st) || (size_t)st.st_size != 24 + n * (16 + FRAME_LEN))
        fail("'%s' does not hold %zu packets", path, n);
}

struct command_row {
    const char *name;
    char **argv;
    double ns[ROUNDS];
};

static void
bench_captures(const char *headgate, const char *gateway, size_t n_flows)
{
    const size_t n = quick ? 300000 : 1000000;
    char dir[] = "/tmp/headgate-bench-XXXXXX", in[64], out[64], wire[64];
    char in_device[80], out_device[80], self[] = "/proc/self/exe";
    char *copy[] = {self, "copy", in, out, NULL};
    char *through_wire[] = {(char *)headgate, "run",     wire, in_device,
                            out_device,       "--quiet", NULL};
    char *through_nat[] = {
        (char *)headgate, "run", (char *)gateway, in_device, out_device,
        "--quiet",        NULL};
    struct command_row rows[] = {
        {"libpcap read and write", copy, {0}},
        {"headgate, a wire", through_wire, {0}},
        {"headgate, nat-gateway.conf", through_nat, {0}}};
    struct frames flows, drawn;
    struct figure floor = {0, 0};
    unsigned i, round;
    FILE *file;

    if (!mkdtemp(dir))
        fail("cannot make a folder in /tmp");
    snprintf(in, sizeof in, "%s/in.pcap", dir);
    snprintf(out, sizeof out, "%s/out.pcap", dir);
    snprintf(wire, sizeof wire, "%s/wire.conf", dir);
    snprintf(in_device, sizeof in_device, "inside=%s", in);
    snprintf(out_device, sizeof out_device, "outside=:%s", out);
    file = fopen(wire, "w");
    if (!file)
        fail("cannot write '%s'", wire);
    fputs("Interface inside { }\nInterface outside { }\n"
          "connect(\"inside -> outside\")\n",
          file);
    fclose(file);
    frames_of_flows(&flows, n_flows);
    frames_draw(&drawn, &flows, n);
    write_capture(in, &drawn);
    free(flows.v);
    free(drawn.v);

    for (round = 0; round < ROUNDS; round++)
        for (i = 0; i < 3; i++) {
            unlink(out);
            rows[i].ns[round] = command_ns(rows[i].argv) / (double)n;
            expect_size(out, n);
        }
    for (i = 0; i < 3; i++) {
        struct figure ns = figure_of(rows[i].ns, ROUNDS);

        if (i == 0)
            floor = ns;
        report("pcap", rows[i].name, ns, n, n_flows, "libpcap's copy",
               floor.median);
    }
    unlink(in);
    unlink(out);
    unlink(wire);
    rmdir(dir);
}

static const char *
environment(const char *name)
{
    const char *value = getenv(name);

    if (!value)
        fail("%s is not set; use tests/bench/run.sh", name);
    return value;
}

int
main(int argc, char **argv)
{
    bool json = false;
    int i;

    if (argc == 4 && !strcmp(argv[1], "copy"))
        return copy_capture(argv[2], argv[3]);
    for (i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--json"))
            json = true;
        else if (!strcmp(argv[i], "--quick"))
            quick = true;
        else
            fail("no option '%s'", argv[i]);
    }
    results = json_array();
    table = json ? stderr : stdout;
    fprintf(table, "%-8s %-34s %7s %7s  %8s %8s\n", "", "CPU ns/packet",
            "median", "least", "packets", "flows");
    bench_captures(environment("HEADGATE"), environment("HEADGATE_GRAPH"),
                   100000);
    plugins = hg_plugins_create(NULL);
    hg_plugins_add(plugins, &pass_class);
    hg_plugins_add(plugins, &look_class);
    bench_elements();
    bench_nat(100000);
    if (!quick)
        bench_nat(1000000);
    bench_gateway(environment("HEADGATE_GRAPH"), 100000);
    hg_plugins_destroy(plugins);
    if (json)
        json_dumpf(results, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(5));
    json_decref(results);
    return 0;
}
