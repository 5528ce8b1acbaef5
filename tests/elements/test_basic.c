/* test_basic.c: the elements of basic/ and io/: what moves, copies, counts,
 * delays and ends packets without changing them. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness.h"
#include "notation.h"

#define WEB "tcp 10.0.0.5:40000 > 203.0.113.9:80 S"
#define DNS "udp 10.0.0.5:40000 > 203.0.113.9:53 len 12"

/* ---- Interface -------------------------------------------------------- */

struct sink_device {
    struct hg_device device;
    unsigned room; /* Packets it takes before it fails. */
    unsigned taken;
};

static unsigned
sink_send(struct hg_device *device, struct hg_packet *const *packets,
          unsigned n)
{
    struct sink_device *sink = (struct sink_device *)device;
    unsigned sent = n < sink->room ? n : sink->room;

    hg_packet_free_many(packets, n);
    sink->room -= sent;
    sink->taken += sent;
    return sent;
}

static const struct hg_device_ops sink_ops = {.scheme = "sink",
                                              .send = sink_send};

TEST(interface_hands_packets_to_its_device_and_counts_what_it_refuses)
{
    struct sink_device sink = {.device = {.ops = &sink_ops, .can_send = true},
                               .room = 2};
    struct bench *b = bench_load("TestSource in {} Interface dut {}\n"
                                 "connect(\"in -> dut\")\n");
    struct hg_element *dut = hg_graph_find(bench_graph(b), "dut");
    struct hg_account account;

    hg_element_bind(dut, &sink.device);
    bench_push(b, "in", WEB, 0);
    bench_push(b, "in", WEB, 1);
    bench_push(b, "in", WEB, 2);
    hg_element_account(dut, &account);
    CHECK_EQ(sink.taken, 2);
    CHECK_EQ(account.sent, 2);
    CHECK_EQ(bench_counter(b, "send_failed"), 1);
    bench_destroy(b);
}

/* ---- Discard, Counter, Tee -------------------------------------------- */

TEST(discard_drops_and_counts)
{
    struct bench *b = bench_create("Discard");

    bench_push(b, "in", WEB, 0);
    bench_push(b, "in", "arp who-has 10.0.0.1 tell 10.0.0.2", 1);
    CHECK_EQ(bench_counter(b, "discarded"), 2);
    bench_expect_none(b, NULL);
    bench_destroy(b);
}

TEST(counter_counts_packets_and_bytes_on_the_wire)
{
    struct bench *b = bench_create("Counter");
    struct hg_error error;
    struct hg_packet *cut = notation_parse(bench_pool(b), DNS, &error);

    bench_push(b, "in", DNS, 0);
    hg_packet_trim(cut, 40);
    cut->wire_len = 54;
    bench_push_packet(b, "in", cut, 2 * HG_SEC);
    CHECK_EQ(bench_counter(b, "packets"), 2);
    CHECK_EQ(bench_counter(b, "bytes"), 108);
    CHECK_STR(bench_read(b, "rate", ""),
              "{\"first_ns\": 1700000000000000000, "
              "\"last_ns\": 1700000002000000000, "
              "\"packets_per_second\": 1, \"bits_per_second\": 432}");
    bench_forget(b, "out");
    bench_destroy(b);
}

TEST(counter_of_a_single_moment_has_no_rate)
{
    struct bench *b = bench_create("Counter");

    CHECK_STR(bench_read(b, "rate", ""),
              "{\"first_ns\": 0, \"last_ns\": 0, "
              "\"packets_per_second\": 0, \"bits_per_second\": 0}");
    bench_destroy(b);
}

TEST(tee_sends_equal_packets_to_all_outputs)
{
    struct bench *b = bench_create("Tee", "outputs=3");

    bench_push(b, "in", WEB, 5);
    bench_expect(b, "0", WEB);
    bench_expect(b, "1", WEB);
    bench_expect(b, "2", WEB);
    bench_expect_none(b, NULL);
    bench_destroy(b);
}

TEST(copies_of_tee_are_independent_of_each_other)
{
    struct bench *b =
        bench_load("TestSource in {} TestSink left {} TestSink right {}\n"
                   "Tee dut {} EtherRewrite mac { swap = true }\n"
                   "connect(\"in -> dut\")\n"
                   "connect(\"dut[0] -> mac -> left\")\n"
                   "connect(\"dut[1] -> right\")\n");

    bench_push(b, "in", WEB, 0);
    bench_expect(b, "left", WEB " smac 02:00:00:00:00:02");
    bench_expect(b, "right", WEB " smac 02:00:00:00:00:01");
    bench_destroy(b);
}

/* ---- Classifier, Hash, Switch ----------------------------------------- */

TEST(classifier_sends_packets_to_the_first_filter_that_matches)
{
    struct bench *b = bench_load(
        "TestSource in {} TestSink web {} TestSink tcp {} TestSink rest {}\n"
        "Classifier dut {\n"
        "    match web { filter = \"tcp port 80\" }\n"
        "    match tcp { filter = \"tcp\" }\n"
        "}\n"
        "connect(\"in -> dut\")\n"
        "connect(\"dut[web] -> web\")\n"
        "connect(\"dut[tcp] -> tcp\")\n"
        "connect(\"dut[rest] -> rest\")\n");

    bench_push(b, "in", WEB, 0);
    bench_push(b, "in", "tcp 10.0.0.5:40000 > 203.0.113.9:81 S", 1);
    bench_push(b, "in", DNS, 2);
    bench_push(b, "in", "runt 9", 3);
    bench_expect(b, "web", WEB);
    bench_expect(b, "tcp", "tcp 10.0.0.5:40000 > 203.0.113.9:81 S");
    bench_expect(b, "rest", DNS);
    bench_expect(b, "rest", "runt 9");
    bench_destroy(b);
}

TEST(classifier_drops_what_nothing_matches_if_rest_is_not_wired)
{
    struct bench *b =
        bench_load("TestSource in {} TestSink web {}\n"
                   "Classifier dut { match web { filter = \"port 80\" } }\n"
                   "connect(\"in -> dut\")\n"
                   "connect(\"dut[web] -> web\")\n");

    bench_push(b, "in", DNS, 0);
    bench_expect_none(b, NULL);
    bench_destroy(b);
}

TEST(classifier_quotes_a_filter_that_libpcap_refuses)
{
    bench_refuses("TestSource in {} TestSink a {} TestSink b {}\n"
                  "Classifier dut {\n"
                  "    match a { filter = \"tcp prot 80\" }\n"
                  "    match b { filter = \"tcp\" }\n"
                  "}\n"
                  "connect(\"in -> dut\")\n"
                  "connect(\"dut[a] -> a\")\n"
                  "connect(\"dut[b] -> b\")\n",
                  "*'tcp prot 80' is no filter in pcap syntax:*");
}

TEST(hash_sends_both_directions_of_a_flow_the_same_way)
{
    struct bench *b = bench_create("Hash", "outputs=4");
    unsigned used[4] = {0}, flow, port;

    for (flow = 0; flow < 200; flow++) {
        char there[80], back[80], name[8];

        snprintf(there, sizeof there, "udp 10.0.0.5:%u > 203.0.113.9:53",
                 1024 + flow);
        snprintf(back, sizeof back, "udp 203.0.113.9:53 > 10.0.0.5:%u",
                 1024 + flow);
        bench_push(b, "in", there, 2 * flow);
        bench_push(b, "in", back, 2 * flow + 1);
        for (port = 0; port < 4; port++) {
            snprintf(name, sizeof name, "%u", port);
            if (bench_waiting(b, name)) {
                bench_expect(b, name, there);
                bench_expect(b, name, back);
                used[port]++;
            }
        }
    }
    for (port = 0; port < 4; port++) /* 50 each, give or take five sigma. */
        CHECK(used[port] > 20 && used[port] < 80);
    bench_destroy(b);
}

TEST(switch_changes_over_while_it_runs)
{
    struct bench *b = bench_create("Switch", "outputs=main spare", "to=spare");

    bench_push(b, "in", WEB, 0);
    bench_expect(b, "spare", WEB);
    bench_write(b, "to", "main");
    CHECK_STR(bench_read(b, "to", ""), "main");
    bench_push(b, "in", DNS, 1);
    bench_expect(b, "main", DNS);
    bench_destroy(b);
}

TEST(switch_starts_with_its_first_output)
{
    struct bench *b = bench_create("Switch", "outputs=main spare");

    bench_push(b, "in", WEB, 0);
    bench_expect(b, "main", WEB);
    bench_destroy(b);
}

TEST(switch_refuses_an_output_that_it_has_not)
{
    struct bench *b = bench_create("Switch", "outputs=main spare");
    struct hg_error error = {""};

    CHECK(!hg_element_write(hg_graph_find(bench_graph(b), "dut"), "to", "mian",
                            &error));
    CHECK_STR(error.text, "no output 'mian'; 'outputs' names them");
    bench_push(b, "in", WEB, 0);
    bench_expect(b, "main", WEB);
    bench_destroy(b);
    bench_refuses("TestSource in {} TestSink a {}\n"
                  "Switch dut { outputs = { a }  to = b }\n"
                  "connect(\"in -> dut\")\n"
                  "connect(\"dut[a] -> a\")\n",
                  "*no output 'b'; 'outputs' names them");
}

/* ---- Shaper ----------------------------------------------------------- */

TEST(shaper_alone_lets_the_burst_pass_and_then_the_rate)
{
    struct bench *b = bench_create("Shaper", "rate=10pps", "burst=3");
    unsigned i;

    for (i = 0; i < 5; i++)
        bench_push(b, "in", DNS, 0);
    CHECK_EQ(bench_waiting(b, "out"), 3);
    CHECK_EQ(bench_waiting(b, "excess"), 2);
    bench_push(b, "in", DNS, 100 * HG_MSEC - 1);
    CHECK_EQ(bench_waiting(b, "out"), 3);
    bench_push(b, "in", DNS, 100 * HG_MSEC);
    CHECK_EQ(bench_waiting(b, "out"), 4);
    for (i = 0; i < 5; i++) /* A long pause earns no more than a burst. */
        bench_push(b, "in", DNS, HG_HOUR);
    CHECK_EQ(bench_waiting(b, "out"), 7);
    CHECK_EQ(bench_counter(b, "conforming"), 7);
    CHECK_EQ(bench_counter(b, "excess"), 5);
    bench_forget(b, NULL);
    bench_destroy(b);
}

TEST(shaper_drops_the_excess_if_that_is_not_wired)
{
    struct bench *b = bench_load("TestSource in {} TestSink out {}\n"
                                 "Shaper dut { rate = 1pps }\n"
                                 "connect(\"in -> dut -> out\")\n");

    bench_push(b, "in", DNS, 0);
    bench_push(b, "in", DNS, 1);
    bench_expect(b, "out", DNS);
    CHECK_EQ(bench_counter(b, "over_rate"), 1);
    bench_destroy(b);
}

TEST(shaper_counts_bits_of_whole_frames)
{
    /* 54 bytes are 432 bits: one frame a second, the debt paid exactly. */
    struct bench *b = bench_create("Shaper", "rate=432bps");

    bench_push(b, "in", DNS, 0);
    bench_push(b, "in", DNS, HG_SEC - HG_SEC * 8 / 432);
    bench_push(b, "in", DNS, HG_SEC);
    CHECK_EQ(bench_counter(b, "conforming"), 2);
    bench_forget(b, NULL);
    bench_destroy(b);
}

/* In any time T no more than burst + rate * T and one packet pass, and what
 * is offered in excess makes full use of that. */
TEST(shaper_never_passes_more_bits_than_it_may_nor_wastes_any)
{
    enum { N = 400, RATE = 1000000, BURST = 2000, LARGEST = 14 + 1028 };
    struct bench *b = bench_create("Shaper", "rate=1Mbps", "burst=2000");
    static uint64_t time_ns[N], bits[N];
    uint64_t now_ns = 0, total = 0;
    unsigned n = 0, i, k;

    srand(1);
    for (i = 0; i < N; i++) {
        char text[80];
        struct hg_packet *p;

        now_ns += (uint64_t)(rand() % 3000) * HG_USEC;
        snprintf(text, sizeof text, "udp 10.0.0.5:1 > 10.0.0.9:2 len %d",
                 rand() % 1000);
        bench_push(b, "in", text, now_ns);
        if (bench_waiting(b, "out")) {
            p = bench_take(b, "out");
            time_ns[n] = now_ns;
            bits[n++] = 8 * p->len;
            total += 8 * p->len;
        }
        bench_forget(b, "excess");
    }
    for (i = 0; i < n; i++) {
        uint64_t sum = 0;

        for (k = i; k < n; k++) {
            sum += bits[k];
            if (!CHECK(sum * HG_SEC <= 8 * (BURST + LARGEST) * HG_SEC +
                                           RATE * (time_ns[k] - time_ns[i])))
                goto done;
        }
    }
    /* Offered: about 2.9 times the rate. */
    CHECK(total * HG_SEC > RATE * now_ns * 9 / 10);
done:
    bench_destroy(b);
}

/* ---- Queue ------------------------------------------------------------ */

TEST(queue_releases_packets_when_the_shaper_can_take_them)
{
    struct bench *b = bench_load("TestSource in {} TestSink out {}\n"
                                 "Queue dut {} Shaper slow { rate = 3pps }\n"
                                 "connect(\"in -> dut -> slow -> out\")\n");
    uint64_t k;

    for (k = 0; k < 31; k++)
        bench_push(b, "in", DNS, 0);
    CHECK_EQ(bench_counter(b, "queued"), 30);
    CHECK_EQ(bench_counter(b, "queued_bytes"), 30 * 54);
    bench_advance(b, 10 * HG_SEC);
    for (k = 0; k < 31; k++) { /* No drift: the k-th after k thirds. */
        struct hg_packet *p = bench_take(b, "out");

        REQUIRE(p != NULL);
        CHECK_EQ(p->time_ns, BENCH_START + (k * HG_SEC + 2) / 3);
    }
    CHECK_EQ(bench_counter(b, "delayed"), 30);
    CHECK_EQ(bench_counter(b, "queued"), 0);
    CHECK_EQ(bench_counter(b, "most"), 30);
    bench_destroy(b);
}

TEST(queue_lets_packets_within_the_rate_pass_at_once)
{
    struct bench *b =
        bench_load("TestSource in {} TestSink out {}\n"
                   "Queue dut {} Shaper slow { rate = 1000pps }\n"
                   "connect(\"in -> dut -> slow -> out\")\n");
    unsigned k;

    for (k = 0; k < 10; k++) {
        bench_push(b, "in", DNS, k * HG_MSEC);
        bench_expect(b, "out", DNS);
    }
    CHECK_EQ(bench_counter(b, "delayed"), 0);
    bench_destroy(b);
}

/* Pushes UDP packets with source ports 1 to 'n' at one moment into a Queue
 * with these options, and writes the ports that left at last to 'left'. */
static void
overflow(const char *options, unsigned n, char left[256])
{
    char text[512];
    struct bench *b;
    unsigned k;
    size_t at = 0;

    snprintf(text, sizeof text,
             "TestSource in {} TestSink out {}\n"
             "Queue dut { %s } Shaper slow { rate = 1pps }\n"
             "connect(\"in -> dut -> slow -> out\")\n",
             options);
    b = bench_load(text);
    for (k = 1; k <= n; k++) {
        snprintf(text, sizeof text, "udp 10.0.0.5:%u > 10.0.0.9:2 len 100", k);
        bench_push(b, "in", text, 0);
    }
    bench_advance(b, HG_MINUTE);
    left[0] = '\0';
    while (bench_waiting(b, "out"))
        at += (size_t)snprintf(left + at, 256 - at, "%u ",
                               hg_packet_sport(bench_take(b, "out")));
    CHECK_EQ(bench_counter(b, "queued"), 0);
    bench_destroy(b);
}

TEST(a_full_queue_drops_the_newest_or_the_oldest)
{
    char left[256];

    overflow("length = 3", 7, left);
    CHECK_STR(left, "1 2 3 4 ");
    overflow("length = 3  drop = head", 7, left);
    CHECK_STR(left, "1 5 6 7 ");
    overflow("bytes = 300", 7, left); /* 142 each. */
    CHECK_STR(left, "1 2 3 ");
    overflow("bytes = 300  drop = head", 7, left);
    CHECK_STR(left, "1 6 7 ");
    overflow("bytes = 100  drop = head", 7, left);
    CHECK_STR(left, "1 ");
}

static void
set_rate(struct bench *b, const char *rate)
{
    struct hg_error error;

    CHECK(hg_element_write(hg_graph_find(bench_graph(b), "slow"), "rate", rate,
                           &error));
}

TEST(queue_asks_again_when_the_rate_behind_it_changes)
{
    struct bench *b = bench_load("TestSource in {} TestSink out {}\n"
                                 "Queue dut {} Shaper slow { rate = 1pps }\n"
                                 "connect(\"in -> dut -> slow -> out\")\n");
    unsigned i;

    for (i = 0; i < 4; i++)
        bench_push(b, "in", DNS, 0);
    bench_advance(b, HG_SEC / 2);
    set_rate(b, "10pps"); /* Half a packet is there, the rest takes 50 ms. */
    bench_advance(b, HG_SEC / 2 + 50 * HG_MSEC - 1);
    CHECK_EQ(bench_waiting(b, "out"), 1);
    bench_advance(b, HG_SEC / 2 + 50 * HG_MSEC);
    CHECK_EQ(bench_waiting(b, "out"), 2);
    set_rate(b, "1pps"); /* And what was promised for 100 ms waits. */
    bench_advance(b, HG_SEC + 50 * HG_MSEC);
    CHECK_EQ(bench_waiting(b, "out"), 2);
    bench_advance(b, HG_SEC + HG_SEC / 2 + 50 * HG_MSEC);
    CHECK_EQ(bench_waiting(b, "out"), 3);
    bench_forget(b, NULL);
    bench_destroy(b);
}

TEST(shaper_does_not_apply_a_new_rate_to_the_past)
{
    struct bench *b = bench_create("Shaper", "rate=1pps", "burst=100");
    unsigned i;

    for (i = 0; i < 100; i++)
        bench_push(b, "in", DNS, 0);
    bench_advance(b, HG_SEC);
    bench_write(b, "rate", "100pps");
    for (i = 0; i < 9; i++)
        bench_push(b, "in", DNS, HG_SEC);
    CHECK_EQ(bench_counter(b, "conforming"), 101);
    bench_forget(b, NULL);
    bench_destroy(b);
}

TEST(shaper_does_not_take_a_debt_in_bits_for_one_in_packets)
{
    struct bench *b = bench_create("Shaper", "rate=1kbps");

    bench_push(b, "in", DNS, 0);
    bench_write(b, "rate", "1pps");
    bench_push(b, "in", DNS, HG_SEC);
    bench_push(b, "in", DNS, HG_SEC);
    CHECK_EQ(bench_counter(b, "conforming"), 2);
    bench_forget(b, NULL);
    bench_destroy(b);
}

TEST(packets_that_wait_at_the_end_are_accounted_for_as_held)
{
    struct bench *b = bench_load("TestSource in {} TestSink out {}\n"
                                 "Queue dut {} Shaper slow { rate = 1pps }\n"
                                 "connect(\"in -> dut -> slow -> out\")\n");
    struct hg_account account;

    bench_push(b, "in", DNS, 0);
    bench_push(b, "in", DNS, 0);
    bench_expect(b, "out", DNS);
    hg_element_account(hg_graph_find(bench_graph(b), "dut"), &account);
    CHECK_EQ(account.held, 1);
    bench_destroy(b);
}

/* Injects 'n' packets of mixed sizes, in groups of one timestamp and batches
 * of up to 'batch', and describes when each left, if it did. */
static char *
run_queue(const char *text, unsigned n, unsigned group, unsigned batch)
{
    struct bench *b = bench_load(text);
    struct hg_graph *g = bench_graph(b);
    struct hg_element *in = hg_graph_find(g, "in");
    struct hg_packet *v[HG_BATCH_MAX];
    struct hg_error error;
    size_t size = 0, i = 0, k;
    uint64_t time_ns = 0;
    char *log = NULL;
    FILE *out = open_memstream(&log, &size);

    while (i < n) {
        size_t end = i / group * group + group; /* Of this timestamp. */

        for (k = 0; k < batch && i < n && i < end; k++, i++) {
            char packet[80];

            snprintf(packet, sizeof packet,
                     "udp 10.0.0.5:%zu > 10.0.0.9:2 len %zu", i + 1,
                     i * 7919 % 1000);
            v[k] = notation_parse(bench_pool(b), packet, &error);
            v[k]->time_ns = BENCH_START + time_ns;
        }
        bench_advance(b, time_ns);
        hg_graph_inject(g, in, 0, v, (unsigned)k);
        hg_graph_dispatch(g);
        if (i == end)
            time_ns += 3 * HG_MSEC;
    }
    bench_advance(b, HG_DAY);
    while (bench_waiting(b, "out")) {
        struct hg_packet *p = bench_take(b, "out");

        fprintf(out, "%u %" PRIu64 "\n", hg_packet_sport(p),
                p->time_ns - BENCH_START);
    }
    fprintf(out, "full %" PRIu64 " delayed %" PRIu64 " most %" PRIu64 "\n",
            bench_counter(b, "full"), bench_counter(b, "delayed"),
            bench_counter(b, "most"));
    fclose(out);
    bench_destroy(b);
    return log;
}

static void
check_batches(const char *text, unsigned n, unsigned group)
{
    static const unsigned batches[] = {7, 64, 256};
    char *one = run_queue(text, n, group, 1);
    size_t i;

    CHECK(strlen(one) > 20); /* Something left. */
    for (i = 0; i < sizeof batches / sizeof batches[0]; i++) {
        char *other = run_queue(text, n, group, batches[i]);

        CHECK_STR(other, one);
        free(other);
    }
    free(one);
}

#define SHAPED(queue, shaper)                                                 \
    "TestSource in {} TestSink out {}\n"                                      \
    "Queue dut { " queue " } Shaper slow { " shaper " }\n"                    \
    "connect(\"in -> dut -> slow -> out\")\n"

TEST(queue_gives_the_same_whatever_the_size_of_batches)
{
    check_batches(SHAPED("", "rate = 1000pps burst = 10"), 1000, 1000);
    check_batches(SHAPED("length = 20", "rate = 1000pps burst = 5"), 500, 9);
    check_batches(SHAPED("length = 20 drop = head", "rate = 1kpps"), 500, 40);
    check_batches(SHAPED("bytes = 9000", "rate = 10Mbps burst = 8k"), 700, 90);
    check_batches(SHAPED("bytes = 9000 drop = head", "rate = 7Mbps"), 700, 33);
}

/* A Tee makes more of a batch than fits into one. */
TEST(queue_counts_what_is_still_on_its_way_to_the_shaper)
{
    check_batches("TestSource in {} TestSink out {}\n"
                  "Tee tee { outputs = 2 }\n"
                  "Queue dut { length = 300 }\n"
                  "Shaper slow { rate = 1000pps burst = 400 }\n"
                  "connect(\"in -> tee\")\n"
                  "connect(\"tee[0] -> dut\")\n"
                  "connect(\"tee[1] -> dut\")\n"
                  "connect(\"dut -> slow -> out\")\n",
                  1000, 1000);
}

TEST(a_shaper_behind_a_queue_never_sees_excess)
{
    struct bench *b =
        bench_load("TestSource in {} TestSink out {} TestSink excess {}\n"
                   "Queue wait {} Shaper dut { rate = 1Mbps burst = 3000 }\n"
                   "connect(\"in -> wait -> dut -> out\")\n"
                   "connect(\"dut[excess] -> excess\")\n");
    unsigned i;

    for (i = 0; i < 300; i++)
        bench_push(b, "in", "udp 10.0.0.5:1 > 10.0.0.9:2 len 700",
                   i * HG_MSEC);
    bench_advance(b, HG_MINUTE);
    CHECK_EQ(bench_counter(b, "conforming"), 300);
    CHECK_EQ(bench_counter(b, "excess"), 0);
    bench_forget(b, "out");
    bench_destroy(b);
}

/* ---- Trace ------------------------------------------------------------ */

static char *
read_all(const char *path)
{
    static char text[4096];
    FILE *file = fopen(path, "r");
    size_t n = file ? fread(text, 1, sizeof text - 1, file) : 0;

    if (file)
        fclose(file);
    text[n] = '\0';
    return text;
}

TEST(trace_prints_time_prefix_and_packet_up_to_its_limit)
{
    char path[] = "/tmp/headgate-trace-XXXXXX";
    char option[64];
    struct bench *b;
    int fd = mkstemp(path);

    REQUIRE(fd >= 0);
    close(fd);
    snprintf(option, sizeof option, "file=%s", path);
    b = bench_create("Trace", option, "prefix=lan", "limit=2");
    bench_push(b, "in", "udp 10.0.0.5:1 > 10.0.0.9:2 len 12", 7);
    bench_push(b, "in", "arp who-has 10.0.0.1 tell 10.0.0.2", HG_SEC);
    bench_push(b, "in", WEB, HG_SEC);
    CHECK_EQ(bench_waiting(b, "out"), 3);
    CHECK_EQ(bench_counter(b, "printed"), 2);
    bench_forget(b, NULL);
    bench_destroy(b);
    CHECK_STR(read_all(path), "1700000000.000000007 lan: "
                              "udp 10.0.0.5:1 > 10.0.0.9:2 len 12 ttl 64\n"
                              "1700000001.000000000 lan: "
                              "arp who-has 10.0.0.1 tell 10.0.0.2\n");
    unlink(path);
}

TEST(trace_warns_when_the_disk_is_full_and_lets_packets_pass)
{
    char path[] = "/tmp/headgate-warning-XXXXXX";
    int fd = mkstemp(path), saved = dup(STDERR_FILENO);
    struct bench *b;
    unsigned i;

    REQUIRE(fd >= 0 && saved >= 0);
    dup2(fd, STDERR_FILENO);
    b = bench_create("Trace", "file=/dev/full");
    for (i = 0; i < 300; i++)
        bench_push(b, "in", WEB, i);
    CHECK_EQ(bench_waiting(b, "out"), 300);
    bench_forget(b, NULL);
    bench_destroy(b);
    fflush(stderr);
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(fd);
    CHECK_STR(read_all(path),
              "headgate: 'dut': the trace in '/dev/full' is not complete: "
              "No space left on device\n");
    unlink(path);
}
