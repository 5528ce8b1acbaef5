/* test_nacl_files.c: where a network ACL's rules come from, and what is said
 * of those that cannot be. */
#include "harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "nacl_graph.h"

/* ---- Mistakes --------------------------------------------------------- */

TEST(acls_that_cannot_be_are_refused)
{
    bench_refuses(GRAPH("inbound 1 { cidr = ::/0 action = deny }\n"
                        "inbound 1 { cidr = ::/0 action = deny }"),
                  "'dut': inbound rule 1 of ACL 'default': there is a rule 1 "
                  "already");
    bench_refuses(GRAPH("acl a { outbound 1 { cidr = 10/8 action = deny } }"),
                  "'dut': outbound rule 1 of ACL 'a': '10/8' is not a CIDR "
                  "such as 10.0.0.0/8 or ::/0");
    bench_refuses(GRAPH("acl a { } acl a { }"),
                  "'dut': there is an ACL 'a' already");
    bench_refuses(GRAPH("acl \"a b\" { }"),
                  "'dut': 'a b' is not a name of letters, digits, '-', '_' "
                  "and '.'");
    bench_refuses(GRAPH("acl a { is-default = yes } acl b { is-default = yes "
                        "}"),
                  "'dut': 'b' cannot be the default too: that is 'a'");
    bench_refuses(GRAPH("quota = 2\n"
                        "inbound 1 { cidr = ::/0 action = deny }\n"
                        "inbound 2 { cidr = 0.0.0.0/0 action = deny }\n"
                        "inbound 3 { cidr = ::/0 action = deny }"),
                  "'dut': inbound rule 3 of ACL 'default': rule 3 is more "
                  "than the 2 for a direction and address family, the final "
                  "deny included; raise quota");
}

/* One takes the place of the rule that had its number. */
TEST(a_rule_that_replaces_another_is_within_the_quota_of_its_family)
{
    struct bench *b =
        bench_load(GRAPH("quota = 2\n"
                         "inbound 4 { cidr = 0.0.0.0/0 action = deny }\n"
                         "inbound 6 { cidr = ::/0 action = deny }"));
    struct hg_element *dut = hg_graph_find(bench_graph(b), "dut");
    struct hg_error error = {""};

    bench_write(b, "replace-rule", "default inbound 6 action=allow cidr=::/1");
    CHECK(!hg_element_write(dut, "replace-rule",
                            "default inbound 6 action=allow cidr=10.0.0.0/8",
                            &error));
    CHECK_STR(error.text,
              "rule 6 is more than the 2 for a direction and address family, "
              "the final deny included; raise quota");
    bench_destroy(b);
}

/* ---- Files ------------------------------------------------------------ */

/* A graph whose rules are in a file of this text. */
static char *
graph_with_file(const char *text, char *path)
{
    int fd = mkstemps(path, 4);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "w");
    char *graph;

    REQUIRE(file);
    fputs(text, file);
    fclose(file);
    REQUIRE(asprintf(&graph,
                     PORTS "NACL dut { file = \"%s\" }" WIRES
                           "connect(\"dut[deny] -> no\")",
                     path) > 0);
    return graph;
}

TEST(rules_come_from_a_file)
{
    char path[] = "/tmp/test_nacl.XXXXXX.csv";
    char *graph =
        graph_with_file("acl,direction,number,action,protocol,cidr,ports\n"
                        ",inbound,100,allow,tcp,10.0.0.0/8,22\n"
                        ",inbound,110,deny,all,0.0.0.0/0,\n",
                        path);
    struct bench *b = bench_load(graph);

    bench_push(b, "in", "tcp 10.8.1.1:1 > 10.0.1.5:22 S", 0);
    bench_expect(b, "ok-in", "tcp 10.8.1.1:1 > 10.0.1.5:22 S");
    bench_push(b, "in", "tcp 11.8.1.1:1 > 10.0.1.5:22 S", 0);
    bench_expect(b, "no", "tcp 11.8.1.1:1 > 10.0.1.5:22 S");
    bench_destroy(b);
    remove(path);
    free(graph);
}

#define CLASSBENCH(options)                                                   \
    PORTS "NACL dut { classbench = \"%s\"\n" options "}" WIRES                \
          "connect(\"dut[deny] -> no\")"

TEST(rules_come_in_the_format_of_classbench)
{
    static const struct {
        const char *in, *packet;
        bool passes;
    } steps[] = {
        {"in", "tcp 10.8.1.1:1 > 192.0.2.1:22 S", true},
        {"in", "tcp 10.8.1.1:1 > 192.0.2.1:23 S", false},
        {"in", "tcp 192.0.2.1:1 > 10.8.1.1:22 S", false},
        {"out", "tcp 10.8.1.1:1 > 192.0.2.1:22 S", true},
        {"out", "tcp 10.8.1.1:1 > 192.0.2.2:22 S", false},
        {"in", "icmp 10.8.1.1 > 192.0.2.1 echo 1 seq 1", false},
        {"in", "udp 172.16.1.1:1 > 192.0.2.1:9", true},
    };
    char path[TEST_PATH], graph[1024];
    struct bench *b;
    size_t i;

    test_write_file(path, ".rules",
                    "@10.0.0.0/8 192.0.2.1/32 0 : 65535 22 : 22 0x06/0xFF\n"
                    "@10.0.0.0/8 192.0.2.1/32 0 : 65535 5 : 5 0x01/0xFF\n"
                    "@172.16.0.0/12 192.0.2.9/32 0 : 65535 0 : 65535 "
                    "0x00/0x00 0x0000/0x0000\n");
    snprintf(graph, sizeof graph, CLASSBENCH(""), path);
    b = bench_load(graph);
    for (i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        const char *out = !strcmp(steps[i].in, "in") ? "ok-in" : "ok-out";

        bench_push(b, steps[i].in, steps[i].packet, 0);
        bench_expect(b, steps[i].passes ? out : "no", steps[i].packet);
    }
    bench_destroy(b);
    snprintf(graph, sizeof graph, CLASSBENCH("quota = 3\n"), path);
    bench_refuses(graph, "'dut': *: rule 3 is more than the 3 *");
    unlink(path);
    test_write_file(path, ".rules",
                    "@10.0.0.0/8 192.0.2.1/32 0 : 65535 22 : 21 0x06/0xFF\n");
    snprintf(graph, sizeof graph, CLASSBENCH(""), path);
    bench_refuses(graph, "'dut': *:1:*: expected ports such as 0 : 65535");
    unlink(path);
}

TEST(all_mistakes_of_a_file_are_shown)
{
    char path[] = "/tmp/test_nacl.XXXXXX.csv";
    char *graph = graph_with_file("direction,number,action,protocol,cidr\n"
                                  "inbound,0,allow,tcp,10.0.0.0/8\n"
                                  "inbound,1,allow,tcp,10.0.0.0/8\n"
                                  "inbound,2,allow,tpc,10.0.0.0/8\n",
                                  path);

    bench_refuses(graph,
                  "'dut': *:2:9: '0' is not a rule number; they go from 1 to "
                  "32766\n"
                  "'dut': *:4:17: 'tpc' is not a protocol; it is tcp, udp, "
                  "icmp, icmpv6, all or a number up to 255");
    remove(path);
    free(graph);
}
