/* test_nlb_files.c: lists of targets in files, and what is wrong with
 * an NLB. */
#include <unistd.h>

#include "harness.h"
#include "nlb_graph.h"

/* ---- Files ------------------------------------------------------------ */

#define FILE_GRAPH                                                            \
    "TestSource in {} TestSource back {} TestSink out {}\n"                   \
    "NLB dut { node a { address = { 10.0.0.10 } } file = \"%s\"\n" WEB(       \
        "") " }\nconnect(\"in -> [clients]dut[clients] -> out\")\n"           \
            "connect(\"back -> [targets]dut[targets] -> out\")"

TEST(targets_come_from_files_too)
{
    static const char *const texts[][2] = {
        {".csv", "group,target,address,port,zone,weight\n"
                 "web,t1,10.0.1.1,8080,a,5\n"
                 "web,t2,10.0.1.2,8081,,\n"},
        {".json", "[{\"group\": \"web\", \"target\": \"t1\", \"address\": "
                  "\"10.0.1.1\", \"port\": 8080, \"zone\": \"a\", "
                  "\"weight\": 5}, {\"group\": \"web\", \"target\": \"t2\", "
                  "\"address\": \"10.0.1.2\", \"port\": 8081}]"}};
    size_t i;

    for (i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        char path[TEST_PATH], graph[512];
        struct bench *b;

        test_write_file(path, texts[i][0], texts[i][1]);
        snprintf(graph, sizeof graph, FILE_GRAPH, path);
        b = bench_load(graph);
        CHECK_STR(bench_read(b, "targets", "web"),
                  "{\"group\": \"web\", \"target\": \"t1\", \"address\": "
                  "\"10.0.1.1\", \"port\": 8080, \"zone\": \"a\", "
                  "\"weight\": 5, \"state\": \"healthy\", \"flows\": 0}\n"
                  "{\"group\": \"web\", \"target\": \"t2\", \"address\": "
                  "\"10.0.1.2\", \"port\": 8081, \"zone\": \"all\", "
                  "\"weight\": 1, \"state\": \"healthy\", \"flows\": 0}");
        bench_destroy(b);
        unlink(path);
    }
}

TEST(mistakes_in_files_of_targets_have_their_place)
{
    char path[TEST_PATH], graph[512], expected[512];

    test_write_file(path, ".csv",
                    "group,target,address,port,zone\n"
                    "web,t1,10.0.1,8080,\n"
                    "app,t1,10.0.1.1,8080,\n"
                    "web,t1,10.0.1.1,0,\n"
                    "web,t1,10.0.1.1,80,b\n"
                    "web,t1,,80,\n"
                    "web,t1,10.0.1.1,80,a\n"
                    "web,t2,10.0.1.1,80,a\n");
    snprintf(graph, sizeof graph, FILE_GRAPH, path);
    snprintf(expected, sizeof expected,
             "*%1$s:2:8:*'10.0.1' is not an address*"
             "%1$s:3:1:*no target group 'app'*"
             "%1$s:4:17:*'0' is not a number from 1 to 65535*"
             "%1$s:5:*no node stands in zone 'b'*"
             "%1$s:6:8:*'' is not an address*"
             "%1$s:8:*another one has address 10.0.1.1 and port 80*",
             path);
    bench_refuses(graph, expected);
    unlink(path);
}

/* ---- Mistakes --------------------------------------------------------- */

#define REFUSED(text)                                                         \
    "TestSource in {} TestSource back {} TestSink out {}\n"                   \
    "NLB dut { node a { address = { 10.0.0.10 } }\n" text "}\n"               \
    "connect(\"in -> [clients]dut[clients] -> out\")"

TEST(load_balancers_that_cannot_be_are_refused)
{
    static const struct {
        const char *text;
        const char *expected;
    } rows[] = {
        {REFUSED("maglev-table-size = 65536"), "*65536 is not a prime*"},
        {REFUSED("listener 80 { target-group = { web } }"),
         "*no target group 'web'*"},
        {REFUSED("target-group web { target t { address = 10.0.1.1 port = 1 "
                 "zone = b } }"),
         "*target 't': no node stands in zone 'b'*"},
        {REFUSED("target-group web { target t { address = 10.0.1.1 port = 1 }"
                 " target u { address = 10.0.1.1 port = 1 } }"),
         "*target 'u': another one has address 10.0.1.1 and port 1*"},
        {REFUSED("target-group web { target t { address = 10.0.1.1 port = 1 }"
                 " target u { address = 2001:db8::1 port = 1 } }"),
         "*2001:db8::1 is not an IPv4 address*"},
        {REFUSED("listener 80 { target-group = { w } weight = { 1, 2 } }\n"
                 "target-group w { }"),
         "*2 weights for 1 target groups*"},
        {REFUSED("listener 80 { protocol = udp target-group = { w } }\n"
                 "target-group w { target-type = ip "
                 "preserve-client-ip = false }"),
         "*must preserve clients*"},
        {REFUSED("listener 80 { target-group = { w } }\n"
                 "listener 80 { target-group = { w } }\n"
                 "target-group w { }"),
         "*port 80 has a listener already*"},
    };
    size_t i;

    for (i = 0; i < sizeof rows / sizeof *rows; i++)
        bench_refuses(rows[i].text, rows[i].expected);
}

#define TO_US WEB("target us { address = 10.0.9.9 port = 80 }\n")
#define TO_ONE WEB(ONE_TARGET)
#define TWO_IN_A_ROW                                                          \
    "TestSource clients {} TestSource astray {}\n"                            \
    "TestSource t1 {} TestSource t2 {}\n"                                     \
    "TestSink to-targets {} TestSink other {} TestSink c {}\n"                \
    "NLB first { node a { address = { 10.0.0.10 } }\n" TO_US "}\n"            \
    "NLB dut { node a { address = { 10.0.9.9 } }\n" TO_ONE "}\n"              \
    "connect(\"clients -> [clients]first[targets] -> [clients]dut\")\n"       \
    "connect(\"astray -> [clients]dut; dut[targets] -> to-targets\")\n"       \
    "connect(\"dut[other] -> other; dut[clients] -> c\")\n"                   \
    "connect(\"t1 -> [targets]first; first[clients] -> c\")\n"                \
    "connect(\"t2 -> [targets]dut\")"

/* What another load balancer sent here is of one flow with what came to that
 * one; which is not for us. */
TEST(a_packet_of_a_flow_that_came_translated_is_not_for_us_as_it_was)
{
    struct bench *b = bench_load(TWO_IN_A_ROW);

    client(b, "S seq 100", 0);
    expect_target(b, "S");
    client(b, ". seq 101 ack 1", 0);
    expect_target(b, ".");
    bench_push(b, "astray", "tcp " CLIENT " > 10.0.0.10:80 . seq 101 ack 1",
               0);
    bench_expect(b, "other", "tcp " CLIENT " > 10.0.0.10:80 .");
    bench_destroy(b);
}
