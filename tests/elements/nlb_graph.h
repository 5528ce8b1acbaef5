/* nlb_graph.h: the load balancer that test_nlb*.c test, and what goes through
 * it.  With one target in a group it is known where a flow goes. */
#ifndef NLB_GRAPH_H
#define NLB_GRAPH_H 1

#include <stdio.h>
#include <string.h>

#include "harness.h"
#include "notation.h"

#define S (HG_SEC)

/* A load balancer 10.0.0.10 (zone a) and 10.0.0.20 (zone b) with these
 * options, listeners and groups, all of its ports at hand. */
#define NLB(text)                                                             \
    bench_load("TestSource clients {} TestSource targets {}\n"                \
               "TestSink to-clients {} TestSink to-targets {}\n"              \
               "TestSink other {}\n"                                          \
               "NLB dut {\n"                                                  \
               "  node a { address = { 10.0.0.10, 2001:db8::10 } }\n"         \
               "  node b { address = { 10.0.0.20 } }\n" text "\n}\n"          \
               "connect(\"clients -> [clients]dut[clients] -> to-clients\")"  \
               "connect(\"targets -> [targets]dut[targets] -> to-targets\")"  \
               "connect(\"dut[other] -> other\")")

#define ONE_TARGET "target t1 { address = 10.0.1.1 port = 8080 }\n"

#define T1_AND_IDLE                                                           \
    ONE_TARGET "target t2 { address = 10.0.1.2 port = 8080 weight = 0 }\n"

#define WEB(options)                                                          \
    "listener 80 { target-group = { web } }\n"                                \
    "target-group web { " options " }\n"

#define CLIENT "192.0.2.5:40000"

static inline void
client(struct bench *b, const char *words, uint64_t time_ns)
{
    char text[160];

    snprintf(text, sizeof text, "tcp " CLIENT " > 10.0.0.10:80 %s", words);
    bench_push(b, "clients", text, time_ns);
}

static inline void
target(struct bench *b, const char *words, uint64_t time_ns)
{
    char text[160];

    snprintf(text, sizeof text, "tcp 10.0.1.1:8080 > " CLIENT " %s", words);
    bench_push(b, "targets", text, time_ns);
}

static inline void
expect_target(struct bench *b, const char *words)
{
    char text[160];

    snprintf(text, sizeof text, "tcp " CLIENT " > 10.0.1.1:8080 %s", words);
    bench_expect(b, "to-targets", text);
}

static inline void
expect_client(struct bench *b, const char *words)
{
    char text[160];

    snprintf(text, sizeof text, "tcp 10.0.0.10:80 > " CLIENT " %s", words);
    bench_expect(b, "to-clients", text);
}

/* A handshake with t1 at START: sequence numbers 100 and 500. */
static inline void
open_connection(struct bench *b)
{
    client(b, "S seq 100", 0);
    expect_target(b, "S seq 100");
    target(b, "S. seq 500 ack 101", 0);
    expect_client(b, "S. seq 500 ack 101");
    client(b, ". seq 101 ack 501", 0);
    expect_target(b, ". seq 101 ack 501");
}

static inline void
drops(struct bench *b, const char *in, const char *packet, const char *reason,
      uint64_t time_ns)
{
    uint64_t before = bench_counter(b, reason);

    bench_push(b, in, packet, time_ns);
    if (bench_counter(b, reason) != before + 1)
        FAIL("'%s' is not dropped as %s", packet, reason);
}

#endif
