/* test_flow_straight.c: SecurityGroup and NLB have a short way for packets of
 * flows that a batch's look-up finds, and one for all packets; nobody can tell
 * which one a packet took.
 *
 * Packets that come one by one go the short way where they can.  Those that
 * come in one batch with the first packet of their flow have none when they
 * are looked up, and go the long way. */
#include <stdio.h>
#include <string.h>

#include <headgate/graph.h>

#include "harness.h"
#include "notation.h"

enum { SEQUENCES = 200, PACKETS = 40, PORTS = 2 };

#define SWEPT_NS (30 * HG_SEC)

/* What goes through an element: packets of a few flows with either end as
 * their source, any flags, at either of its ports. */
struct rig {
    const char *graph;
    const char *in[PORTS];
    const char *out[PORTS + 1];
    const char *const *counters; /* NULL behind the last. */
    const char *handler;         /* NULL: none. */
    const char *const (*flows)[PORTS];
    unsigned n_flows;
};

struct step {
    char text[120];
    unsigned port;
    uint64_t time_ns;
};

static uint64_t
draw(uint64_t *random, uint64_t n)
{
    *random = *random * UINT64_C(6364136223846793005) + 1442695;
    return (*random >> 33) % n;
}

/* Most go on with what is there: by the port that is right for them, soon
 * after the others, without flags that change anything. */
static void
make_steps(const struct rig *rig, uint64_t seed, struct step *step)
{
    static const char *const flags[] = {
        ". ack 7", ". ack 9", "P. ack 9 len 5", ". ack 11", "S.", "F.",
        "R",       "S"};
    uint64_t random = seed, now_ns = 0;
    unsigned i;

    for (i = 0; i < PACKETS; i++, step++) {
        unsigned flow = (unsigned)draw(&random, rig->n_flows);
        unsigned side = (unsigned)draw(&random, PORTS);
        const char *flag = flags[draw(&random, draw(&random, 3) ? 4 : 8)];
        const char *text;

        if (i < 2) { /* The first flow begins as it should. */
            flow = 0;
            side = i;
            flag = i ? "S." : "S";
        }
        text = rig->flows[flow][side];
        now_ns += draw(&random, draw(&random, 8) ? HG_SEC : 40 * HG_SEC);
        snprintf(step->text, sizeof step->text, "%s %s", text,
                 strncmp(text, "tcp", 3) ? "" : flag);
        step->port = draw(&random, 10) ? side : !side;
        step->time_ns = now_ns;
    }
}

static void
inject(struct bench *b, const struct rig *rig, const struct step *step)
{
    struct hg_graph *g = bench_graph(b);
    struct hg_error error = {""};
    struct hg_packet *p = notation_parse(bench_pool(b), step->text, &error);

    if (!p) {
        FAIL("'%s': %s", step->text, error.text);
        test_end();
    }
    p->time_ns = BENCH_START + step->time_ns;
    hg_graph_inject(g, hg_graph_find(g, rig->in[step->port]), 0, &p, 1);
}

/* In any order: records are used again as the sweep meets them. */
static void
check_same_lines(const char *lines, const char *expected)
{
    size_t n;

    CHECK_EQ(strlen(lines), strlen(expected));
    for (; *lines; lines += n) {
        char line[512];

        n = strcspn(lines, "\n");
        snprintf(line, sizeof line, "%.*s", (int)n, lines);
        if (!strstr(expected, line))
            FAIL("'%s' is not in\n%s", line, expected);
        n += lines[n] == '\n';
    }
}

static void
check_same(const struct rig *rig, struct bench *one, struct bench *all)
{
    const char *const *counter;
    char text[4096];
    unsigned i;

    for (i = 0; i < PORTS + 1; i++) {
        unsigned n = bench_waiting(one, rig->out[i]);

        CHECK_EQ(n, bench_waiting(all, rig->out[i]));
        while (n-- && bench_waiting(all, rig->out[i])) {
            const struct hg_packet *p = bench_take(one, rig->out[i]);
            const struct hg_packet *q = bench_take(all, rig->out[i]);

            CHECK_EQ(p->time_ns, q->time_ns);
            CHECK_EQ(p->flags, q->flags);
            CHECK_EQ(p->len, q->len);
            CHECK_MEM(p->data, q->data, p->len);
        }
    }
    for (counter = rig->counters; *counter; counter++)
        CHECK_EQ(bench_counter(one, *counter), bench_counter(all, *counter));
    if (!rig->handler)
        return;
    snprintf(text, sizeof text, "%s", bench_read(one, rig->handler, ""));
    check_same_lines(text, bench_read(all, rig->handler, ""));
}

static void
compare_sequence(const struct rig *rig, uint64_t seed)
{
    struct bench *one = bench_load(rig->graph), *all = bench_load(rig->graph);
    struct step step[PACKETS];
    unsigned i;

    make_steps(rig, seed, step);
    for (i = 0; i < PACKETS; i++) {
        bench_advance(one, step[i].time_ns);
        inject(one, rig, &step[i]);
        hg_graph_dispatch(bench_graph(one));
        inject(all, rig, &step[i]);
    }
    hg_graph_dispatch(bench_graph(all));
    /* By then the sweep has met every flow that ran out. */
    bench_advance(one, step[PACKETS - 1].time_ns + SWEPT_NS);
    bench_advance(all, step[PACKETS - 1].time_ns + SWEPT_NS);
    check_same(rig, one, all);
    bench_forget(one, NULL);
    bench_forget(all, NULL);
    bench_destroy(one);
    bench_destroy(all);
}

static void
compare_ways(const struct rig *rig)
{
    uint64_t seed;

    for (seed = 0; seed < SEQUENCES; seed++)
        compare_sequence(rig, seed);
}

TEST(security_group_comes_to_the_same_either_way)
{
    static const char *const flows[][PORTS] = {
        {"tcp 10.0.0.5:4000 > 203.0.113.9:80",
         "tcp 203.0.113.9:80 > 10.0.0.5:4000"},
        {"tcp 203.0.113.9:5000 > 10.0.0.5:22",
         "tcp 10.0.0.5:22 > 203.0.113.9:5000"},
        {"udp 10.0.0.5:4000 > 203.0.113.9:53",
         "udp 203.0.113.9:53 > 10.0.0.5:4000"},
        {"icmp 10.0.0.5 > 203.0.113.9 echo 7 seq 1",
         "icmp 203.0.113.9 > 10.0.0.5 reply 7 seq 1"},
        {"udp [2001:db8::5]:4000 > [2001:db8::9]:53",
         "udp [2001:db8::9]:53 > [2001:db8::5]:4000"}};
    static const char *const counters[] = {"opened", "untracked", "rejected",
                                           "evicted", NULL};
    static const struct rig rig = {
        .graph = "TestSource e {} TestSource i {}\n"
                 "TestSink eo {} TestSink io {} TestSink no {}\n"
                 "SecurityGroup dut {\n"
                 "  tcp-opening-timeout = 20s  tcp-established-timeout = 60s\n"
                 "  udp-stream-timeout = 60s\n"
                 "  group sg-1 { inbound { protocol = tcp  ports = 22\n"
                 "                         source = 203.0.113.0/24 } } }\n"
                 "connect(\"e -> CheckIP -> [egress]dut[egress] -> eo\")\n"
                 "connect(\"i -> CheckIP -> [ingress]dut[ingress] -> io\")\n"
                 "connect(\"dut[deny] -> no\")\n",
        .in = {"e", "i"},
        .out = {"eo", "io", "no"},
        .counters = counters,
        .handler = "flows",
        .flows = flows,
        .n_flows = sizeof flows / sizeof flows[0]};

    compare_ways(&rig);
}

TEST(nlb_comes_to_the_same_either_way)
{
    static const char *const flows[][PORTS] = {
        {"tcp 192.0.2.5:4000 > 10.0.0.10:80",
         "tcp 10.0.1.1:80 > 192.0.2.5:4000"},
        {"tcp 192.0.2.5:4000 > 10.0.0.10:80",
         "tcp 10.0.0.10:80 > 192.0.2.5:4000"},
        {"udp 192.0.2.5:4000 > 10.0.0.10:53",
         "udp 10.0.1.2:53 > 192.0.2.5:4000"},
        {"tcp 192.0.2.6:4000 > 10.0.0.10:81",
         "tcp 10.0.1.3:80 > 192.0.2.6:4000"},
        {"tcp 192.0.2.7:4000 > 10.0.0.10:82",
         "tcp 10.0.1.4:80 > 10.0.0.10:4000"},
        {"tcp [2001:db8::5]:4000 > [2001:db8::10]:86",
         "tcp [2001:db8:1::1]:80 > [2001:db8::5]:4000"}};
    static const char *const counters[] = {"active_flow_count",
                                           "new_flow_count",
                                           "processed_bytes",
                                           "processed_bytes_tcp",
                                           "processed_bytes_udp",
                                           "processed_packets",
                                           "peak_bytes_per_second",
                                           "peak_packets_per_second",
                                           "tcp_client_reset_count",
                                           "tcp_elb_reset_count",
                                           "tcp_target_reset_count",
                                           "no_flow",
                                           NULL};
    static const struct rig rig = {
        .graph = "TestSource c {} TestSource t {}\n"
                 "TestSink co {} TestSink to {} TestSink other {}\n"
                 "NLB dut {\n"
                 "  answer-timeout = 20s\n"
                 "  node a { address = { 10.0.0.10, 2001:db8::10 } }\n"
                 "  listener 80 { target-group = { tcp }  tcp-idle-timeout = "
                 "60s }\n"
                 "  listener 53 { protocol = udp  target-group = { udp } }\n"
                 "  listener 81 { target-group = { proxy } }\n"
                 "  listener 82 { target-group = { nat } }\n"
                 "  listener 86 { target-group = { six } }\n"
                 "  target-group tcp { target a { address = 10.0.1.1 port = "
                 "80 } }\n"
                 "  target-group udp { target b { address = 10.0.1.2 port = "
                 "53 } }\n"
                 "  target-group proxy { proxy-protocol-v2 = true\n"
                 "    target c { address = 10.0.1.3 port = 80 } }\n"
                 "  target-group nat { preserve-client-ip = false\n"
                 "    target d { address = 10.0.1.4 port = 80 } }\n"
                 "  target-group six {\n"
                 "    target e { address = 2001:db8:1::1 port = 80 } } }\n"
                 "connect(\"c -> CheckIP -> [clients]dut[clients] -> co\")\n"
                 "connect(\"t -> CheckIP -> [targets]dut[targets] -> to\")\n"
                 "connect(\"dut[other] -> other\")\n",
        .in = {"c", "t"},
        .out = {"co", "to", "other"},
        .counters = counters,
        .flows = flows,
        .n_flows = sizeof flows / sizeof flows[0]};

    compare_ways(&rig);
}
