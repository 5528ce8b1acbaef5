/* test_shuffle_shard.c: tenants on their shards. */
#include "harness.h"

#include <stdio.h>
#include <string.h>

#define GRAPH(options)                                                        \
    "TestSource in {}  TestSink n1 {}  TestSink n2 {}  TestSink n3 {}\n"      \
    "TestSink n4 {}\n"                                                        \
    "ShuffleShard dut { shard-size = 2  key = source\n" options "\n"          \
    "  node n1 { zone = a }  node n2 { zone = a }\n"                          \
    "  node n3 { zone = b }  node n4 { zone = b }\n"                          \
    "}\n"                                                                     \
    "connect(\"in -> dut; dut[n1] -> n1; dut[n2] -> n2; dut[n3] -> n3; "      \
    "dut[n4] -> n4\")"

static void
push_flows(struct bench *b, const char *source, unsigned n)
{
    char text[80];
    unsigned i;

    for (i = 0; i < n; i++) {
        snprintf(text, sizeof text, "udp %s:%u > 203.0.113.9:53", source,
                 1024 + i);
        bench_push(b, "in", text, 0);
    }
}

TEST(a_tenant_uses_the_nodes_of_its_shard_and_no_others)
{
    struct bench *b = bench_load(GRAPH(""));
    const char *shard;
    char name[4] = "n?";
    unsigned i, used = 0;

    push_flows(b, "10.0.0.5", 200);
    shard = bench_read(b, "shard", "10.0.0.5");
    for (i = 1; i <= 4; i++) {
        name[1] = (char)('0' + i);
        CHECK_EQ(bench_waiting(b, name) > 0, strstr(shard, name) != NULL);
        used += bench_waiting(b, name) > 0;
    }
    CHECK_EQ(used, 2);
    CHECK_EQ(bench_counter(b, "tenants"), 1);
    bench_forget(b, NULL);
    bench_destroy(b);
}

TEST(flows_of_a_node_that_is_down_go_to_the_other_one_of_the_shard)
{
    struct bench *b = bench_load(GRAPH(""));
    char down[3] = "", up[3] = "";
    const char *shard = bench_read(b, "shard", "10.0.0.5");

    CHECK_EQ(sscanf(shard, "10.0.0.5: %2s %2s", down, up), 2);
    bench_write(b, "down", down);
    push_flows(b, "10.0.0.5", 50);
    CHECK_EQ(bench_waiting(b, down), 0);
    CHECK_EQ(bench_waiting(b, up), 50);
    bench_write(b, "down", up);
    push_flows(b, "10.0.0.5", 50);
    CHECK_EQ(bench_counter(b, "shard_down"), 50);
    bench_write(b, "up", down);
    push_flows(b, "10.0.0.5", 50);
    CHECK_EQ(bench_waiting(b, down), 50);
    bench_forget(b, NULL);
    bench_destroy(b);
}

TEST(both_directions_of_a_flow_meet_on_one_node)
{
    struct bench *b = bench_load(GRAPH("max-tenants = 10"));
    char text[80];
    unsigned i, n;

    for (i = 0; i < 50; i++) {
        snprintf(text, sizeof text, "udp 10.0.0.5:%u > 10.0.0.5:53", 1024 + i);
        bench_push(b, "in", text, 0);
        n = bench_waiting(b, "n1") + 10 * bench_waiting(b, "n2") +
            100 * bench_waiting(b, "n3") + 1000 * bench_waiting(b, "n4");
        snprintf(text, sizeof text, "udp 10.0.0.5:53 > 10.0.0.5:%u", 1024 + i);
        bench_push(b, "in", text, 0);
        CHECK_EQ(bench_waiting(b, "n1") + 10 * bench_waiting(b, "n2") +
                     100 * bench_waiting(b, "n3") +
                     1000 * bench_waiting(b, "n4"),
                 2 * n);
        bench_forget(b, NULL);
    }
    bench_destroy(b);
}

TEST(guaranteed_shards_run_out_and_say_so)
{
    /* Two of four, one from each zone, none in common: two shards. */
    struct bench *b = bench_load(GRAPH("mode = guaranteed  overlap = 0"));

    push_flows(b, "10.0.0.1", 20);
    push_flows(b, "10.0.0.2", 20);
    CHECK_STR(bench_read(b, "overlap-with", "10.0.0.1"), "");
    push_flows(b, "10.0.0.3", 20);
    CHECK_EQ(bench_counter(b, "no_shard"), 20);
    bench_forget(b, NULL);
    bench_destroy(b);
}

TEST(packets_without_a_tenant_and_tenants_beyond_the_limit_are_dropped)
{
    struct bench *b = bench_load(GRAPH("max-tenants = 1"));

    bench_push(b, "in", "arp who-has 10.0.0.1 tell 10.0.0.2", 0);
    CHECK_EQ(bench_counter(b, "no_tenant"), 1);
    push_flows(b, "10.0.0.1", 1);
    push_flows(b, "10.0.0.2", 1);
    CHECK_EQ(bench_counter(b, "too_many_tenants"), 1);
    bench_forget(b, NULL);
    bench_destroy(b);
}

/* More tenants than can all be remembered by their address. */
TEST(tenants_that_take_turns_keep_their_shards)
{
    enum { TENANTS = 200 };
    struct bench *b = bench_load(GRAPH("max-tenants = 200"));
    unsigned before[4] = {0}, i, k;
    char name[4] = "n?", source[16];

    for (i = 0; i < 3 * TENANTS; i++) {
        snprintf(source, sizeof source, "10.0.0.%u", 1 + i % TENANTS);
        push_flows(b, source, 1);
        for (k = 0; k < 4; k++) {
            unsigned now;

            name[1] = (char)('1' + k);
            now = (unsigned)bench_waiting(b, name);
            if (now != before[k])
                CHECK(strstr(bench_read(b, "shard", source), name) != NULL);
            before[k] = now;
        }
    }
    CHECK_EQ(before[0] + before[1] + before[2] + before[3], 3 * TENANTS);
    CHECK_EQ(bench_counter(b, "tenants"), TENANTS);
    bench_forget(b, NULL);
    bench_destroy(b);
}

TEST(shards_that_cannot_be_are_refused)
{
    bench_refuses("TestSource in {} TestSink out {}\n"
                  "ShuffleShard dut { shard-size = 2 overlap = 2 node a {} }\n"
                  "connect(\"in -> dut[a] -> out\")",
                  "'dut': shards of 2 nodes need at least as many; there are "
                  "1\n'dut': an overlap of 2 allows any two shards of 2 "
                  "nodes; it must be smaller");
}
