/* test_harness.c: the bench itself, with elements that ship. */
#include "harness.h"

TEST(a_packet_pushed_in_is_found_where_it_left)
{
    struct bench *b = bench_create("DecTTL", "floor=5");

    bench_push(b, "in", "udp 10.0.0.5:1 > 10.0.0.9:2 len 3 ttl 6", 0);
    bench_push(b, "in", "udp 10.0.0.5:1 > 10.0.0.9:2 len 4 ttl 5", 7);
    bench_expect(b, "out", "udp 10.0.0.5:1 > 10.0.0.9:2 len 3 ttl 5");
    CHECK_EQ(bench_waiting(b, "expired"), 1);
    CHECK_EQ(bench_take(b, "expired")->time_ns, BENCH_START + 7);
    bench_expect_none(b, NULL);
    CHECK_EQ(bench_counter(b, "expired"), 1);
    CHECK_STR(bench_read(b, "floor", ""), "5");
    bench_write(b, "floor", "9");
    bench_push(b, "in", "udp 10.0.0.5:1 > 10.0.0.9:2 ttl 9", HG_SEC);
    CHECK_EQ(bench_waiting(b, "out"), 0);
    CHECK_EQ(bench_waiting(b, "expired"), 1);
    bench_forget(b, NULL);
    CHECK_EQ(hg_graph_now(bench_graph(b)), BENCH_START + HG_SEC);
    bench_destroy(b);
}

TEST(a_list_is_given_as_words)
{
    struct bench *b = bench_create("Switch", "outputs=one two", "to=two");

    bench_push(b, "in", "arp who-has 10.0.0.1 tell 10.0.0.2", 0);
    bench_expect(b, "two", "arp who-has 10.0.0.1");
    bench_destroy(b);
}

TEST(a_graph_may_stand_on_the_bench)
{
    struct bench *b = bench_load("TestSource in {} TestSink out {}\n"
                                 "TestSink late {} DecTTL dut { floor = 2 }\n"
                                 "connect(\"in -> dut -> out\")\n"
                                 "connect(\"dut[expired] -> late\")\n");

    bench_push(b, "in", "udp 10.0.0.5:1 > 10.0.0.9:2 ttl 2", 0);
    bench_push(b, "in", "udp 10.0.0.5:1 > 10.0.0.9:2 ttl 3", 0);
    bench_expect(b, "late", "udp 10.0.0.5:1 > * smac 02:00:00:00:00:01");
    bench_expect(b, "out", "udp 10.0.0.5:1 > 10.0.0.9:2 ttl 2 mark 0");
    CHECK_EQ(bench_counter(b, "expired"), 1);
    bench_destroy(b);
}

TEST(a_graph_with_a_mistake_is_refused)
{
    bench_refuses("TestSource in {} TestSink out {}\n"
                  "DecTTL dut { floor = 255 }\n"
                  "connect(\"in -> dut -> out\")\n",
                  ":2:*error:*floor*255");
}
