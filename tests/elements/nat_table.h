/* nat_table.h: tests of HyperplaneNAT run over both of its tables: over the
 * compact one where $HEADGATE_NAT_TABLE says so (CMakeLists.txt). */
#ifndef NAT_TABLE_H
#define NAT_TABLE_H 1

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"

static inline bool
nat_is_compact(void)
{
    const char *table = getenv("HEADGATE_NAT_TABLE");

    return table && !strcmp(table, "compact");
}

#define NAT_CREATE(...)                                                       \
    (nat_is_compact()                                                         \
         ? bench_create("HyperplaneNAT", "table=compact", __VA_ARGS__)        \
         : bench_create("HyperplaneNAT", __VA_ARGS__))

/* One that has a single address and port to give. */
#define NAT(...)                                                              \
    NAT_CREATE("public=198.51.100.1", "ports=7000" __VA_OPT__(, ) __VA_ARGS__)

/* GRAPH(options) is a graph whose NAT has these. */
#define NAT_LOAD(GRAPH, options)                                              \
    (nat_is_compact() ? bench_load(GRAPH("table = compact\n" options))        \
                      : bench_load(GRAPH(options)))

/* So much too late the compact table may let a flow end that has at most 35
 * minutes to live; the flow service is exact. */
#define LATE (nat_is_compact() ? HG_SEC * 269 / 1000 : 0)

/* When a flow ends that has 350 s from BENCH_START on, as text. */
#define ENDS (nat_is_compact() ? "1700000350204854272" : "1700000350000000000")

/* An element with these options is a mistake. */
static inline void
nat_refuses(const char *options, const char *why)
{
    char text[512];

    snprintf(text, sizeof(text),
             "TestSource a {} TestSource b {}\n"
             "TestSink c {} TestSink d {}\n"
             "HyperplaneNAT nat { %s }\n"
             "connect(\"a -> [inside]nat[outside] -> c\")\n"
             "connect(\"b -> [outside]nat[inside] -> d\")\n",
             options);
    bench_refuses(text, why);
}

#endif
