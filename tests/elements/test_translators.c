/* test_translators.c: elements that translate addresses, among others of the
 * flow service: what each of them does is what it would do alone. */
#include <stdio.h>

#include "harness.h"

#define ENDS                                                                  \
    "TestSource inside {} TestSource outside {}\n"                            \
    "TestSink to-inside {} TestSink to-outside {}\n"

/* A capture of both sides of a conversation comes from inside. */
TEST(filters_on_both_sides_of_a_nat_know_a_flow_against_another)
{
    struct bench *b = bench_load(
        ENDS "SecurityGroup host { group sg-1 { } }\n"
             "SecurityGroup gateway { group sg-2 { } }\n"
             "HyperplaneNAT dut { public = 198.51.100.1  ports = 7-7 }\n"
             "connect(\"inside -> [egress]host[egress] -> [inside]dut[outside]"
             " -> [egress]gateway[egress] -> to-outside\")\n"
             "connect(\"outside -> [ingress]gateway[ingress] -> "
             "[outside]dut[inside] -> [ingress]host[ingress] -> "
             "to-inside\")\n");
    unsigned i;

    for (i = 0; i < 2; i++) {
        bench_push(b, "inside", "udp 10.0.0.5:1 > 10.0.0.6:2", i);
        bench_expect(b, "to-outside", "udp 198.51.100.1:7 > 10.0.0.6:2");
        bench_push(b, "inside", "udp 10.0.0.6:2 > 10.0.0.5:1", i);
        bench_expect(b, "to-outside", "udp 198.51.100.1:7 > 10.0.0.5:1");
        bench_push(b, "outside", "udp 10.0.0.5:1 > 198.51.100.1:7", i);
        bench_expect(b, "to-inside", "udp 10.0.0.5:1 > 10.0.0.6:2");
        bench_push(b, "outside", "udp 10.0.0.6:2 > 198.51.100.1:7", i);
        bench_expect(b, "to-inside", "udp 10.0.0.6:2 > 10.0.0.5:1");
    }
    bench_destroy(b);
}
