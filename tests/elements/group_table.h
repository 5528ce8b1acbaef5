/* group_table.h: tests of SecurityGroup run over both of its tables: over the
 * compact one where $HEADGATE_GROUP_TABLE says so (CMakeLists.txt). */
#ifndef GROUP_TABLE_H
#define GROUP_TABLE_H 1

#include <stdlib.h>
#include <string.h>

#include "harness.h"

static inline bool
groups_are_compact(void)
{
    const char *table = getenv("HEADGATE_GROUP_TABLE");

    return table && !strcmp(table, "compact");
}

/* The graph, whose group is declared by "SecurityGroup dut {", with the table
 * that the test is to use. */
static inline struct bench *
group_load(const char *graph)
{
    static const char declares[] = "SecurityGroup dut {";
    const char *at = strstr(graph, declares);
    size_t before = at ? (size_t)(at - graph) + strlen(declares) : 0;
    struct bench *b;
    char *text;

    REQUIRE(at);
    if (!groups_are_compact())
        return bench_load(graph);
    REQUIRE(asprintf(&text, "%.*s table = compact%s", (int)before, graph,
                     graph + before) > 0);
    b = bench_load(text);
    free(text);
    return b;
}

#endif
