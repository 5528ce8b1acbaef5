/* test_translators.c: elements that translate addresses, among others of the
 * flow service: what each of them does is what it would do alone. */
#include <stdio.h>

#include "harness.h"

#define S (HG_SEC)

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

#define BALANCER                                                              \
    "NLB nlb { node a { address = 192.0.2.10 }\n"                             \
    "    listener 53 { protocol = udp  target-group = u }\n"                  \
    "    target-group u { target t { address = 192.0.2.21 port = 5353 } } "   \
    "}\n"

/* The NAT's flow ends, the load balancer's lives. */
TEST(a_nat_behind_a_load_balancer_begins_a_flow_again)
{
    struct bench *b = bench_load(
        ENDS BALANCER
        "HyperplaneNAT dut { public = 198.51.100.1  ports = 7-7\n"
        "    udp-timeout = 30s }\n"
        "connect(\"inside -> [clients]nlb[targets] -> [inside]dut[outside] -> "
        "to-outside\")\n"
        "connect(\"outside -> [outside]dut[inside] -> [targets]nlb[clients] "
        "-> to-inside\")\n");
    unsigned i;

    for (i = 0; i < 3; i++) {
        bench_push(b, "inside", "udp 10.0.0.5:1 > 192.0.2.10:53", i * 60 * S);
        bench_expect(b, "to-outside", "udp 198.51.100.1:7 > 192.0.2.21:5353");
        bench_push(b, "outside", "udp 192.0.2.21:5353 > 198.51.100.1:7",
                   i * 60 * S);
        bench_expect(b, "to-inside", "udp 192.0.2.10:53 > 10.0.0.5:1");
    }
    bench_push(b, "outside",
               "icmp 192.0.2.21 > 198.51.100.1 unreachable 3 "
               "(udp 198.51.100.1:7 > 192.0.2.21:5353)",
               130 * S);
    bench_expect(b, "to-inside",
                 "icmp 192.0.2.10 > 10.0.0.5 unreachable 3 "
                 "(udp 10.0.0.5:1 > 192.0.2.10:53)");
    bench_destroy(b);
}

/* The load balancer's flow ends, the NAT's lives. */
TEST(a_load_balancer_behind_a_nat_begins_a_flow_again)
{
    struct bench *b = bench_load(
        ENDS BALANCER
        "HyperplaneNAT dut { public = 198.51.100.1  ports = 7-7 }\n"
        "SecurityGroup groups { group sg-1 { } }\n"
        "connect(\"inside -> [inside]dut[outside] -> [egress]groups[egress] "
        "-> "
        "[clients]nlb[targets] -> to-outside\")\n"
        "connect(\"outside -> [targets]nlb[clients] -> "
        "[ingress]groups[ingress] -> [outside]dut[inside] -> to-inside\")\n");
    unsigned i;

    for (i = 0; i < 6; i++) {
        uint64_t now_ns = i / 2 * 150 * S + i % 2;

        bench_push(b, "inside", "udp 10.0.0.5:1 > 192.0.2.10:53", now_ns);
        bench_expect(b, "to-outside", "udp 198.51.100.1:7 > 192.0.2.21:5353");
        bench_push(b, "outside", "udp 192.0.2.21:5353 > 198.51.100.1:7",
                   now_ns);
        bench_expect(b, "to-inside", "udp 192.0.2.10:53 > 10.0.0.5:1");
    }
    bench_destroy(b);
}
