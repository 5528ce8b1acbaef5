/* test_security_group.c: SecurityGroup: what groups allow, what is tracked and
 * for how long, limits, ICMP, fragments, interfaces and live changes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <headgate/graph.h>
#include <headgate/inventory.h>

#include "group_table.h"
#include "harness.h"
#include "notation.h"

#define PORTS                                                                 \
    "TestSource e {} TestSource i {} TestSink eo {} TestSink io {}\n"         \
    "TestSink no {}\n"                                                        \
    "connect(\"e -> CheckIP -> [egress]dut[egress] -> eo\")\n"                \
    "connect(\"i -> CheckIP -> [ingress]dut[ingress] -> io\")\n"              \
    "connect(\"dut[deny] -> no\")\n"
#define GROUP(rules) PORTS "SecurityGroup dut { group sg-1 { " rules " } }\n"
#define OPTIONS(options, rules)                                               \
    PORTS "SecurityGroup dut { " options " group sg-1 { " rules " } }\n"

#define ANYWHERE "source = { 0.0.0.0/0, ::/0 }"
#define SSH "inbound { protocol = tcp ports = 22 source = 198.51.100.7/32 }"
#define WEB "inbound { protocol = tcp ports = 80 " ANYWHERE " }"
#define DNS "inbound { protocol = udp ports = 53 source = 198.51.100.0/24 }"
#define PING "inbound { protocol = icmp type = 8 source = 0.0.0.0/0 }"
#define NO_OUTBOUND "allow-all-outbound = false"

/* 10.0.0.5 is the instance. */
#define SSH_IN "tcp 198.51.100.7:4000 > 10.0.0.5:22 "
#define SSH_OUT "tcp 10.0.0.5:22 > 198.51.100.7:4000 "
#define WEB_IN "tcp 203.0.113.9:5000 > 10.0.0.5:80 "
#define WEB_OUT "tcp 10.0.0.5:80 > 203.0.113.9:5000 "
#define DNS_IN "udp 198.51.100.8:900 > 10.0.0.5:53"
#define DNS_OUT "udp 10.0.0.5:53 > 198.51.100.8:900"
#define OUT "udp 10.0.0.5:40000 > 203.0.113.9:123"
#define BACK "udp 203.0.113.9:123 > 10.0.0.5:40000"

enum { MS = 1000000 };
#define SEC(n) ((uint64_t)(n)*HG_SEC)

/* A packet of the instance ('e') or to it ('i') at a time; whether it passes:
 * true, false, or one of those below.  Flows in a compact table may end so
 * many milliseconds too late, and the packet is sent so much later. */
struct step {
    uint64_t at;
    const char *in;
    const char *packet;
    int passes;
};

enum { GONE = -17, GONE_UDP = -34, GONE_MINUTES = -135, GONE_DAYS = -137440 };

static void
push(struct bench *b, const struct step *s)
{
    bool passes = s->passes > 0;
    const char *out = !passes ? "no" : *s->in == 'e' ? "eo" : "io";
    int late_ms = passes || !groups_are_compact() ? 0 : -s->passes;

    bench_push(b, s->in, s->packet, s->at + (uint64_t)late_ms * MS);
    if (!bench_waiting(b, out))
        FAIL("at %llu ms, %s: %s should%s have passed",
             (unsigned long long)(s->at / MS), s->in, s->packet,
             passes ? "" : " not");
    bench_expect(b, out, s->packet);
    bench_forget(b, NULL);
}

static void
run(const char *graph, const struct step *steps, size_t n)
{
    struct bench *b = group_load(graph);
    size_t i;

    for (i = 0; i < n; i++)
        push(b, &steps[i]);
    bench_destroy(b);
}

#define RUN(graph, ...)                                                       \
    do {                                                                      \
        static const struct step steps_[] = {__VA_ARGS__};                    \
                                                                              \
        run(graph, steps_, sizeof steps_ / sizeof steps_[0]);                 \
    } while (0)

/* ---- Rules ------------------------------------------------------------ */

TEST(a_new_group_lets_nothing_in_and_everything_out)
{
    RUN(GROUP(""), {0, "i", SSH_IN "S", false}, {1, "i", DNS_IN, false},
        {2, "i", "icmp 203.0.113.9 > 10.0.0.5 echo 7 seq 1", false},
        {3, "e", OUT, true},
        {4, "e", "tcp 10.0.0.5:1 > 203.0.113.9:2 S", true},
        {5, "e", "udp [fd00::5]:1 > [fd00::9]:2", true},
        {6, "e", "ip 10.0.0.5 > 203.0.113.9 proto 47 len 4", true});
}

TEST(rules_match_protocol_port_and_source)
{
    RUN(GROUP(SSH DNS), {0, "i", SSH_IN "S", true},
        {1, "i", "tcp 198.51.100.8:4000 > 10.0.0.5:22 S", false},
        {2, "i", "tcp 198.51.100.7:4000 > 10.0.0.5:23 S", false},
        {3, "i", "udp 198.51.100.7:4000 > 10.0.0.5:22", false},
        {4, "i", DNS_IN, true},
        {5, "i", "udp 198.51.101.8:900 > 10.0.0.5:53", false},
        {6, "i", "tcp [fd00::1]:4000 > [fd00::5]:22 S", false});
}

TEST(rules_of_all_groups_count)
{
    const char *graph = PORTS "SecurityGroup dut { groups = { sg-1, sg-2 }\n"
                              "group sg-1 { " SSH " } group sg-2 { " DNS " }\n"
                              "group sg-3 { " PING " } }\n";

    RUN(graph, {0, "i", SSH_IN "S", true}, {1, "i", DNS_IN, true},
        {2, "i", "icmp 203.0.113.9 > 10.0.0.5 echo 7 seq 1", false});
}

TEST(outbound_rules_replace_the_one_that_allows_all)
{
    RUN(GROUP("outbound { protocol = tcp ports = { 443, 8000-8080 }"
              " destination = 203.0.113.0/24 }"),
        {0, "e", "tcp 10.0.0.5:1 > 203.0.113.9:443 S", true},
        {1, "e", "tcp 10.0.0.5:1 > 203.0.113.9:8080 S", true},
        {2, "e", "tcp 10.0.0.5:1 > 203.0.113.9:8081 S", false},
        {3, "e", "tcp 10.0.0.5:1 > 203.0.114.9:443 S", false},
        {4, "e", OUT, false});
    RUN(GROUP(NO_OUTBOUND), {0, "e", OUT, false});
}

TEST(prefix_lists_and_icmp_types_in_rules)
{
    const char *graph =
        PORTS "SecurityGroup dut {\n"
              "prefix-list pl-1 { entries = { 192.0.2.0/24, fd01::/16 } }\n"
              "group sg-1 { inbound { protocol = udp source = pl-1 }\n"
              "inbound { protocol = icmp type = 3 code = 4"
              " source = 0.0.0.0/0 } } }\n";

    RUN(graph, {0, "i", "udp 192.0.2.9:1 > 10.0.0.5:2", true},
        {1, "i", "udp 192.0.3.9:1 > 10.0.0.5:2", false},
        {2, "i", "udp [fd01::1]:1 > [fd00::5]:2", true},
        {3, "i", "udp [fd02::1]:1 > [fd00::5]:2", false},
        {4, "i",
         "icmp 10.9.0.1 > 10.0.0.5 unreachable 4 mtu 1400 "
         "(udp 10.0.0.5:1 > 10.0.0.9:2 len 4)",
         true},
        {5, "i",
         "icmp 10.9.0.1 > 10.0.0.5 unreachable 1 "
         "(udp 10.0.0.5:1 > 10.0.0.9:2 len 4)",
         false});
}

/* ---- Tracking --------------------------------------------------------- */

TEST(answers_to_what_was_allowed_pass)
{
    RUN(GROUP(SSH NO_OUTBOUND), {0, "e", SSH_OUT "S.", false},
        {1, "i", SSH_IN "S", true}, {2, "e", SSH_OUT "S.", true},
        {3, "i", SSH_IN ".", true}, {4, "e", SSH_OUT ".", true},
        {5, "e", "tcp 10.0.0.5:22 > 198.51.100.7:4001 .", false});
    RUN(GROUP(""), {0, "i", BACK, false}, {1, "e", OUT, true},
        {2, "i", BACK, true});
}

/* Values of the idle timeouts; a nanosecond before and at each. */
TEST(idle_flows_are_forgotten_in_time)
{
    /* UDP in one direction: 30 s. */
    RUN(GROUP(""), {0, "e", OUT, true}, {SEC(30) - 1, "i", BACK, true});
    RUN(GROUP(""), {0, "e", OUT, true}, {SEC(30), "i", BACK, GONE});
    /* One request and its answer: still 30 s. */
    RUN(GROUP(""), {0, "e", OUT, true}, {0, "i", BACK, true},
        {SEC(30), "i", BACK, GONE});
    /* A second exchange: 180 s. */
    RUN(GROUP(""), {0, "e", OUT, true}, {0, "i", BACK, true},
        {0, "e", OUT, true}, {SEC(180) - 1, "i", BACK, true},
        {SEC(360) - 1, "i", BACK, GONE_UDP});
    /* TCP: opening, established, closing. */
    RUN(GROUP(SSH NO_OUTBOUND), {0, "i", SSH_IN "S", true},
        {SEC(60), "e", SSH_OUT "S.", GONE});
    RUN(GROUP(SSH NO_OUTBOUND), {0, "i", SSH_IN "S", true},
        {0, "e", SSH_OUT "S.", true}, {0, "i", SSH_IN ".", true},
        {SEC(432000) - 1, "e", SSH_OUT ".", true},
        {SEC(864000) - 1, "e", SSH_OUT ".", GONE_DAYS});
    RUN(GROUP(SSH NO_OUTBOUND), {0, "i", SSH_IN "S", true},
        {0, "e", SSH_OUT "S.", true}, {0, "i", SSH_IN ".", true},
        {1, "e", SSH_OUT "F.", true}, {1, "i", SSH_IN "F.", true},
        {SEC(10), "e", SSH_OUT ".", true},
        {SEC(10) + 1, "e", SSH_OUT ".", GONE});
    RUN(GROUP(SSH NO_OUTBOUND), {0, "i", SSH_IN "S", true},
        {0, "e", SSH_OUT "S.", true}, {0, "i", SSH_IN "R", true},
        {SEC(10), "e", SSH_OUT ".", GONE});
    /* ICMP: 60 s. */
    RUN(GROUP(""), {0, "e", "icmp 10.0.0.5 > 203.0.113.9 echo 7 seq 1", true},
        {SEC(60) - 1, "i", "icmp 203.0.113.9 > 10.0.0.5 reply 7 seq 1", true},
        {SEC(120) - 1, "i", "icmp 203.0.113.9 > 10.0.0.5 reply 7 seq 1",
         GONE});
    /* Others: 600 s from the last request; answers do not prolong. */
    RUN(GROUP(""), {0, "e", "ip 10.0.0.5 > 203.0.113.9 proto 47 len 4", true},
        {SEC(599), "i", "ip 203.0.113.9 > 10.0.0.5 proto 47 len 4", true},
        {SEC(600), "i", "ip 203.0.113.9 > 10.0.0.5 proto 47 len 4",
         GONE_MINUTES});
}

TEST(an_interface_forgets_a_flow_that_another_one_remembers)
{
    RUN(GROUP("inbound { protocol = udp ports = 123 source = 10.0.0.5/32 }"),
        {0, "e", OUT, true}, {SEC(1), "i", OUT, true},
        {SEC(2), "i", BACK, true}, {SEC(20), "i", OUT, true},
        {SEC(33), "i", BACK, false}, {SEC(34), "i", OUT, true});
}

TEST(timeouts_are_options)
{
    RUN(OPTIONS("udp-timeout = 45s", ""), {0, "e", OUT, true},
        {SEC(45) - 1, "i", BACK, true}, {SEC(90), "i", BACK, GONE});
    RUN(OPTIONS("tcp-established-timeout = 350s", SSH NO_OUTBOUND),
        {0, "i", SSH_IN "S", true}, {0, "e", SSH_OUT "S.", true},
        {0, "i", SSH_IN ".", true},
        {SEC(350), "e", SSH_OUT ".", GONE_MINUTES});
}

TEST(timeouts_have_the_ranges_of_the_real_thing)
{
    bench_refuses("SecurityGroup dut { udp-timeout = 61s group a {} }", "*");
    bench_refuses("SecurityGroup dut { udp-timeout = 29s group a {} }", "*");
    bench_refuses("SecurityGroup dut { udp-stream-timeout = 181s group a {} }",
                  "*");
    bench_refuses(
        "SecurityGroup dut { tcp-established-timeout = 59s group a {} }", "*");
    bench_refuses(
        "SecurityGroup dut { tcp-established-timeout = 432001s group a {} }",
        "*");
}

/* The table of vpc-semantics 3.3: how many flows are tracked. */
struct tracking {
    const char *rules;
    const char *in;
    const char *packet;
    bool tracked;
};

TEST(what_is_tracked_follows_the_published_table)
{
    static const struct tracking rows[] = {
        {GROUP(SSH), "i", SSH_IN "S", true},
        {GROUP(WEB), "i", WEB_IN "S", false},
        {GROUP(WEB), "i", "tcp [fd01::1]:9 > [fd00::5]:80 S", false},
        {GROUP(PING), "i", "icmp 203.0.113.9 > 10.0.0.5 echo 7 seq 1", true},
        /* The way back is not open: outbound allow-all removed. */
        {GROUP(WEB NO_OUTBOUND), "i", WEB_IN "S", true},
        {GROUP(WEB " outbound { protocol = tcp ports = 1024-65535"
                   " destination = 0.0.0.0/0 }"),
         "i", WEB_IN "S", true},
        {GROUP(WEB " outbound { protocol = tcp destination = 0.0.0.0/0 }"),
         "i", WEB_IN "S", false},
        {GROUP(WEB " outbound { protocol = tcp ports = 0-65535"
                   " destination = 0.0.0.0/0 }"),
         "i", WEB_IN "S", false},
        {GROUP(WEB " outbound { protocol = udp destination = 0.0.0.0/0 }"),
         "i", WEB_IN "S", true},
        /* Open for IPv4 only. */
        {GROUP(WEB " outbound { protocol = tcp destination = 0.0.0.0/0 }"),
         "i", "tcp [fd01::1]:9 > [fd00::5]:80 S", true},
        /* What the instance begins, since not all ports are open to it. */
        {GROUP(WEB), "e", OUT, true},
        {GROUP("inbound { source = 0.0.0.0/0 }"), "e", OUT, false},
        /* An answer of an untracked flow. */
        {GROUP(WEB), "e", WEB_OUT "S.", false},
        /* Neither TCP nor UDP. */
        {GROUP("inbound { source = 0.0.0.0/0 }"), "i",
         "ip 203.0.113.9 > 10.0.0.5 proto 47 len 4", true},
        {OPTIONS("always-tracked = 203.0.113.0/24", WEB), "i", WEB_IN "S",
         true},
        {OPTIONS("always-tracked = 10.0.0.5", WEB), "i", WEB_IN "S", true},
        {OPTIONS("always-tracked = 192.0.2.0/24", WEB), "i", WEB_IN "S",
         false},
    };
    size_t i;

    for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bench *b = group_load(rows[i].rules);
        const struct step step = {0, rows[i].in, rows[i].packet, true};

        push(b, &step);
        if (!CHECK_EQ(bench_counter(b, "tracked"), rows[i].tracked) ||
            !CHECK_EQ(bench_counter(b, "untracked"), !rows[i].tracked))
            FAIL("row %zu", i);
        bench_destroy(b);
    }
}

TEST(a_tracked_flow_survives_its_rule_and_an_untracked_one_does_not)
{
    static const struct step before[] = {
        {0, "i", SSH_IN "S", true},   {1, "e", SSH_OUT "S.", true},
        {2, "i", SSH_IN ".", true},   {3, "i", WEB_IN "S", true},
        {4, "e", WEB_OUT "S.", true}, {5, "i", WEB_IN ".", true}};
    static const struct step after[] = {
        {6, "i", SSH_IN ".", true},
        {7, "e", SSH_OUT ".", true},
        {8, "i", WEB_IN ".", false},
        {9, "i", "tcp 198.51.100.7:4001 > 10.0.0.5:22 S", false}};
    struct bench *b = group_load(GROUP(SSH WEB));
    size_t i;

    for (i = 0; i < sizeof before / sizeof before[0]; i++)
        push(b, &before[i]);
    bench_write(b, "remove-rule", "1");
    bench_write(b, "remove-rule", "2");
    for (i = 0; i < sizeof after / sizeof after[0]; i++)
        push(b, &after[i]);
    bench_destroy(b);
}

TEST(a_closed_connection_does_not_stand_for_a_new_one)
{
    struct bench *b = group_load(GROUP(SSH NO_OUTBOUND));
    static const struct step before[] = {{0, "i", SSH_IN "S", true},
                                         {0, "e", SSH_OUT "S.", true},
                                         {0, "i", SSH_IN ".", true},
                                         {1, "i", SSH_IN "R", true}};
    static const struct step again = {2, "i", SSH_IN "S", true},
                             refused = {3, "i", SSH_IN "S", false};
    size_t i;

    for (i = 0; i < sizeof before / sizeof before[0]; i++)
        push(b, &before[i]);
    push(b, &again);
    CHECK_EQ(bench_counter(b, "opened"), 2);
    CHECK_EQ(bench_counter(b, "tracked"), 1);
    bench_push(b, "i", SSH_IN "R", 2);
    bench_forget(b, NULL);
    bench_write(b, "remove-rule", "1");
    push(b, &refused);
    bench_destroy(b);
}

TEST(added_rules_act_on_the_next_packet)
{
    struct bench *b = group_load(GROUP(""));
    static const struct step no = {0, "i", SSH_IN "S", false},
                             yes = {1, "i", SSH_IN "S", true};

    push(b, &no);
    bench_write(b, "add-rule", "sg-1 inbound tcp 22 198.51.100.0/24");
    push(b, &yes);
    bench_destroy(b);
}

/* ---- ICMP ------------------------------------------------------------- */

#define ERROR                                                                 \
    "icmp 10.9.0.1 > 10.0.0.5 unreachable 4 mtu 1400 "                        \
    "(udp 10.0.0.5:40000 > 203.0.113.9:123 len 4)"
#define OTHER_ERROR                                                           \
    "icmp 10.9.0.1 > 10.0.0.5 unreachable 4 mtu 1400 "                        \
    "(udp 10.0.0.5:40001 > 203.0.113.9:123 len 4)"

TEST(icmp_errors_need_a_rule_unless_related_ones_are_let_in)
{
    RUN(GROUP(""), {0, "e", OUT, true}, {1, "i", ERROR, false});
    RUN(OPTIONS("related-icmp-errors = true", ""), {0, "i", ERROR, false},
        {1, "e", OUT, true}, {2, "i", ERROR, true},
        {3, "i", OTHER_ERROR, false}, {SEC(31), "i", ERROR, false});
    /* What the instance did not send itself is not its flow. */
    RUN(OPTIONS("related-icmp-errors = true", ""), {0, "e", OUT, true},
        {1, "i",
         "icmp 10.9.0.1 > 203.0.113.9 unreachable 1 "
         "(udp 203.0.113.9:123 > 10.0.0.5:40000 len 4)",
         false});
    /* An error that the instance sends about what it received. */
    RUN(OPTIONS("related-icmp-errors = true", DNS NO_OUTBOUND),
        {0, "i", DNS_IN, true},
        {1, "e",
         "icmp 10.0.0.5 > 198.51.100.8 unreachable 3 "
         "(udp 198.51.100.8:900 > 10.0.0.5:53 len 4)",
         true});
}

TEST(only_the_answer_to_an_icmp_query_passes)
{
    RUN(GROUP(""), {0, "e", "icmp 10.0.0.5 > 203.0.113.9 echo 7 seq 1", true},
        {1, "i", "icmp 203.0.113.9 > 10.0.0.5 reply 8 seq 1", false},
        {2, "i", "icmp 203.0.113.9 > 10.0.0.5 echo 7 seq 1", false},
        {3, "i", "icmp 203.0.113.9 > 10.0.0.5 reply 7 seq 1", true});
    /* Both ends may ask with one identifier. */
    RUN(GROUP(PING " outbound { protocol = icmp type = 8"
                   " destination = 0.0.0.0/0 }"),
        {0, "e", "icmp 10.0.0.5 > 203.0.113.9 echo 7 seq 1", true},
        {1, "i", "icmp 203.0.113.9 > 10.0.0.5 echo 7 seq 1", true},
        {2, "e", "icmp 10.0.0.5 > 203.0.113.9 reply 7 seq 1", true},
        {3, "i", "icmp 203.0.113.9 > 10.0.0.5 reply 7 seq 1", true});
    /* Errors and answers open nothing. */
    RUN(GROUP(""),
        {0, "e",
         "icmp 10.0.0.5 > 203.0.113.9 unreachable 3 "
         "(udp 203.0.113.9:1 > 10.0.0.5:2 len 4)",
         true},
        {1, "i",
         "icmp 203.0.113.9 > 10.0.0.5 unreachable 1 "
         "(udp 10.0.0.5:1 > 203.0.113.9:2 len 4)",
         false},
        {2, "e", "icmp 10.0.0.5 > 203.0.113.9 reply 7 seq 1", true},
        {3, "i", "icmp 203.0.113.9 > 10.0.0.5 echo 7 seq 1", false});
}

/* Queries without an identifier are of one flow; there is room for four, one
 * after the other and again when the first have ended. */
TEST(several_queries_at_once_each_have_their_answer)
{
    struct bench *b = group_load(GROUP("inbound { protocol = icmp type = 13"
                                       "          source = 0.0.0.0/0 }"));
    unsigned round;

    for (round = 0; round < 3; round++) {
        static const struct step steps[] = {
#define Q "icmp 10.0.0.5 > 203.0.113.9 type "
#define A "icmp 203.0.113.9 > 10.0.0.5 type "
            {0, "e", Q "13 code 0 len 16", true},
            {1, "e", Q "15 code 0 len 4", true},
            {2, "i", A "18 code 0 len 8", false},
            {2, "e", Q "17 code 0 len 8", true},
            {3, "i", A "13 code 0 len 16", true},
            {4, "i", A "14 code 0 len 16", true},
            {5, "i", A "16 code 0 len 4", true},
            {6, "i", A "18 code 0 len 8", true},
            {7, "e", Q "14 code 0 len 16", true},
            /* The others end; one goes on. */
            {SEC(40), "e", Q "17 code 0 len 8", true},
            {SEC(70), "i", A "14 code 0 len 16", false},
            {SEC(70), "i", A "18 code 0 len 8", true},
            {SEC(71), "e", Q "15 code 0 len 4", true},
            {SEC(72), "i", A "16 code 0 len 4", true},
#undef Q
#undef A
        };
        size_t i;

        for (i = 0; i < sizeof steps / sizeof steps[0]; i++) {
            struct step s = steps[i];

            s.at += round * SEC(1000);
            push(b, &s);
        }
        CHECK_STR(bench_read(b, "count", ""), "2");
    }
    bench_destroy(b);
}

/* ---- Limits ----------------------------------------------------------- */

static void
push_numbered(struct bench *b, const char *in, unsigned n, uint64_t at)
{
    char text[96];

    snprintf(text, sizeof text, "udp 10.0.0.5:%u > 203.0.113.9:123", n);
    bench_push(b, in, text, at);
}

TEST(an_interface_tracks_no_more_than_its_allowance)
{
    struct bench *b = group_load(OPTIONS("max-per-eni = 10", ""));
    unsigned i;

    for (i = 1; i <= 15; i++)
        push_numbered(b, "e", i, 0);
    CHECK_EQ(bench_waiting(b, "eo"), 10);
    CHECK_EQ(bench_counter(b, "tracked"), 10);
    CHECK_EQ(bench_counter(b, "conntrack_allowance_exceeded"), 5);
    /* What is tracked goes on, and what has ended makes room. */
    push_numbered(b, "e", 1, SEC(20));
    push_numbered(b, "e", 20, SEC(20));
    CHECK_EQ(bench_waiting(b, "eo"), 11);
    push_numbered(b, "e", 21, SEC(30) + (uint64_t)-GONE * MS);
    CHECK_EQ(bench_waiting(b, "eo"), 12);
    CHECK_STR(bench_read(b, "count", ""), "2");
    bench_forget(b, NULL);
    bench_destroy(b);
}

/* Behind another group that tracks some of the flows, and so has records made
 * before this one does if the packets come together. */
static void
expect_allowance(bool together)
{
    static const char *const texts[] = {OUT,
                                        "tcp 10.0.0.5:1 > 203.0.113.9:80 S"};
    struct bench *b = group_load(
        "TestSource e {} TestSource i {} TestSink eo {} TestSink io {}\n"
        "TestSource j {} TestSink jo {} TestSink no {}\n"
        "SecurityGroup first { group sg-1 { outbound { protocol = tcp\n"
        "  destination = 203.0.113.9/32 }\n"
        "  outbound { protocol = udp destination = 0.0.0.0/0 }\n"
        "  inbound { protocol = udp source = 0.0.0.0/0 } } }\n"
        "SecurityGroup dut { max-per-eni = 2 group sg-1 { } }\n"
        "connect(\"e -> CheckIP -> [egress]first[egress] -> [egress]dut\")\n"
        "connect(\"dut[egress] -> eo; dut[ingress] -> io; dut[deny] -> no\")\n"
        "connect(\"i -> CheckIP -> [ingress]dut; j -> CheckIP -> "
        "[ingress]first\")\n"
        "connect(\"first[ingress] -> jo\")\n");
    struct hg_graph *g = bench_graph(b);
    struct hg_error error;
    struct hg_packet *p[2];
    unsigned i;

    for (i = 0; i < 2; i++) {
        p[i] = notation_parse(bench_pool(b), texts[i], &error);
        REQUIRE(p[i]);
        p[i]->time_ns = BENCH_START;
        hg_graph_inject(g, hg_graph_find(g, "e"), 0, &p[i], 1);
        if (i || !together)
            hg_graph_dispatch(g);
    }
    bench_forget(b, "eo");
    bench_push(b, "e", "udp 10.0.0.5:3 > 203.0.113.9:3", 29500 * HG_MSEC);
    bench_push(b, "e", "udp 10.0.0.5:3 > 203.0.113.9:3", 30400 * HG_MSEC);
    CHECK_EQ(bench_counter(b, "conntrack_allowance_exceeded"), 2);
    bench_push(b, "e", "udp 10.0.0.5:3 > 203.0.113.9:3", 30500 * HG_MSEC);
    CHECK_EQ(bench_counter(b, "conntrack_allowance_exceeded"), 2);
    bench_forget(b, NULL);
    bench_destroy(b);
}

TEST(what_ran_out_counts_until_the_next_look_whoever_met_it_before)
{
    expect_allowance(false);
    expect_allowance(true);
}

TEST(a_flood_pushes_out_only_flows_that_nobody_answered)
{
    struct bench *b = group_load(OPTIONS("max-flows = 50", ""));
    unsigned i;
    static const struct step established[] = {
        {0, "e", OUT, true}, {0, "i", BACK, true}, {0, "e", OUT, true}};

    for (i = 0; i < 3; i++)
        push(b, &established[i]);
    /* It would end sooner than what comes. */
    for (i = 1; i <= 1000; i++)
        push_numbered(b, "e", i, SEC(160) + i);
    bench_forget(b, NULL);
    CHECK_EQ(bench_counter(b, "tracked"), 50);
    CHECK_EQ(bench_counter(b, "evicted"), 951);
    CHECK_EQ(bench_counter(b, "table_full"), 0);
    bench_push(b, "i", BACK, SEC(161));
    bench_expect(b, "io", BACK);
    bench_destroy(b);
}

/* ---- Fragments and what is not filtered ------------------------------- */

#define FIRST "udp 198.51.100.8:900 > 10.0.0.5:53 len 1472 frag 0+ id 7"
#define LATER "ip 198.51.100.8 > 10.0.0.5 proto 17 len 100 frag 1480 id 7"

TEST(later_fragments_go_where_the_first_went)
{
    RUN(GROUP(DNS), {0, "i", LATER, false}, {1, "i", FIRST, true},
        {2, "i", LATER, true}, {3, "e", LATER, true},
        {4, "i", "ip 198.51.100.8 > 10.0.0.5 proto 17 len 9 frag 1480 id 8",
         false},
        {SEC(31), "i", LATER, false});
    RUN(GROUP(SSH), {0, "i", FIRST, false}, {1, "i", LATER, false});
    RUN(GROUP("inbound { protocol = udp source = 198.51.100.0/24 }"),
        {0, "i", LATER, true});
}

TEST(services_of_the_platform_are_not_filtered)
{
    RUN(GROUP(NO_OUTBOUND),
        {0, "e", "tcp 10.0.0.5:1 > 169.254.169.254:80 S", true},
        {1, "i", "tcp 169.254.169.254:80 > 10.0.0.5:1 S.", true},
        {2, "e", "udp 10.0.0.5:1 > 169.254.169.253:53", true},
        {3, "e", "udp 10.0.0.5:1 > 169.254.169.123:123", true},
        {4, "e", "udp 10.0.0.5:1 > 169.254.169.251:1688", true},
        {5, "e", "udp 10.0.0.5:1 > 169.254.169.252:1688", false},
        {6, "e", "udp [fd00::5]:1 > [fd00:ec2::254]:80", true},
        {7, "e", "udp 10.0.0.5:68 > 255.255.255.255:67", true},
        {8, "e", "udp 10.0.0.5:68 > 203.0.113.9:67", false},
        {9, "i", "udp 203.0.113.9:67 > 10.0.0.5:68", false},
        {10, "e", "udp [fe80::5]:546 > [ff02::1:2]:547", true},
        {11, "i", "udp [fe80::1]:547 > [fe80::5]:546", true},
        {12, "i", "udp [fd00::1]:547 > [fe80::5]:546", false});
}

/* ---- Handlers and mistakes -------------------------------------------- */

TEST(handlers_show_and_forget_flows)
{
    struct bench *b = group_load(GROUP(SSH));
    static const struct step in = {0, "i", SSH_IN "S", true};

    push(b, &in);
#define FLOW                                                                  \
    "{\"eni\":null,\"vpc\":0,\"protocol\":6,\"source\":\"198.51.100.7\","     \
    "\"source-port\":4000,\"destination\":\"10.0.0.5\","                      \
    "\"destination-port\":22,\"opened-by\":\"ingress\","                      \
    "\"state\":\"tcp-opening\",\"expires-in-ms\":"
    CHECK_STR(bench_read(b, "flows", ""),
              groups_are_compact() ? FLOW "60009}" : FLOW "60000}");
    CHECK_STR(bench_read(b, "count", ""), "1");
    bench_write(b, "delete", "all");
    CHECK_STR(bench_read(b, "flows", ""), "");
    CHECK_STR(bench_read(b, "count", ""), "0");
    CHECK_EQ(bench_counter(b, "tracked"), 0);
    bench_destroy(b);
}

TEST(handlers_show_and_change_rules)
{
    struct bench *b = group_load(GROUP(SSH NO_OUTBOUND));

    bench_write(b, "remove-rule", "1");
    bench_write(b, "add-rule", "sg-1 outbound icmp 3/4 self");
    CHECK_STR(bench_read(b, "rules", ""),
              "{\"rule\":2,\"group\":\"sg-1\",\"direction\":\"outbound\","
              "\"protocol\":1,\"ports\":[],\"peers\":[\"self\"],\"type\":3,"
              "\"code\":4}");
    bench_destroy(b);
}

struct bad_write {
    const char *handler;
    const char *value;
    const char *why;
};

TEST(mistakes_in_handlers_are_explained)
{
    static const struct bad_write rows[] = {
        {"add-rule", "sg-1 inbound tcp 22",
         "'sg-1 inbound tcp 22' is no rule; write 'GROUP inbound tcp 443 "
         "10.0.0.0/8'"},
        {"add-rule", "sg-2 inbound tcp 22 10.0.0.0/8",
         "there is no group 'sg-2'"},
        {"add-rule", "sg-1 in tcp 22 10.0.0.0/8",
         "'in' is neither inbound nor outbound"},
        {"add-rule", "sg-1 inbound tpc 22 10.0.0.0/8",
         "'tpc' is no protocol; write tcp, udp, icmp, icmpv6, all or a number "
         "up to 255"},
        {"add-rule", "sg-1 inbound tcp 22x 10.0.0.0/8",
         "'22x' is no port, range, ICMP type/code or 'all'"},
        {"add-rule", "sg-1 inbound icmp 3abc 10.0.0.0/8",
         "'3abc' is no port, range, ICMP type/code or 'all'"},
        {"add-rule", "sg-1 inbound icmp 8/ 10.0.0.0/8",
         "'8/' is no port, range, ICMP type/code or 'all'"},
        {"add-rule", "sg-1 inbound icmp 3/4/5 10.0.0.0/8",
         "'3/4/5' is no port, range, ICMP type/code or 'all'"},
        {"add-rule", "sg-1 inbound icmp 256 10.0.0.0/8",
         "'256' is no port, range, ICMP type/code or 'all'"},
        {"add-rule", "sg-1 inbound icmp -1 10.0.0.0/8",
         "'-1' is no port, range, ICMP type/code or 'all'"},
        {"add-rule", "sg-1 inbound 47 22 10.0.0.0/8",
         "only tcp and udp have ports; leave 'ports' out or name the "
         "protocol"},
        {"add-rule", "sg-1 inbound tcp 22 sg-9",
         "'sg-9' is no address block, 'self', group or prefix list of this "
         "element"},
        {"remove-rule", "99",
         "there is no rule '99'; read 'rules' for their numbers"},
        {"delete", "eni-1",
         "there is no ENI 'eni-1'; name one of the inventory, or 'all'"},
    };
    struct bench *b = group_load(GROUP(SSH));
    struct hg_element *dut = hg_graph_find(bench_graph(b), "dut");
    size_t i;

    for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct hg_error error = {""};

        CHECK(!hg_element_write(dut, rows[i].handler, rows[i].value, &error));
        CHECK_STR(error.text, rows[i].why);
    }
    bench_destroy(b);
}

TEST(mistakes_in_groups_are_explained)
{
    static const char *const rows[][2] = {
        {"group a { inbound { protocol = tpc source = 0.0.0.0/0 } }",
         "*'tpc' is no protocol; write tcp, udp, icmp, icmpv6, all or a "
         "number up to 255*"},
        {"group a { inbound { protocol = icmp ports = 3 source = self } }",
         "*inbound rule: only tcp and udp have ports; leave 'ports' out or "
         "name the protocol*"},
        {"group a { outbound { protocol = tcp type = 3 destination = self } }",
         "*outbound rule: only icmp and icmpv6 have a type and a code; leave "
         "them out*"},
        {"group a { inbound { protocol = icmp code = 3 source = self } }",
         "*inbound rule: an ICMP code needs a type*"},
        {"group a { inbound { source = sg-b } }",
         "*inbound rule: 'sg-b' is no address block, 'self', group or prefix "
         "list of this element*"},
        {"group a { } prefix-list a { entries = 10.0.0.0/8 }",
         "*'a' is there twice; rename one*"},
        {"groups = b group a { }", "*there is no group 'b' in this element*"},
    };
    size_t i;

    for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[1024];

        snprintf(text, sizeof text, PORTS "SecurityGroup dut { %s }\n",
                 rows[i][0]);
        bench_refuses(text, rows[i][1]);
    }
}

/* ---- Files ------------------------------------------------------------ */

static void
write_file(char path[static 32], const char *suffix, const char *text)
{
    int fd;

    snprintf(path, 32, "/tmp/rules-XXXXXX%s", suffix);
    fd = mkstemps(path, (int)strlen(suffix));
    REQUIRE(fd >= 0);
    dprintf(fd, "%s", text);
    close(fd);
}

TEST(rules_come_from_files_too)
{
    static const char *const texts[][2] = {
        {".csv", "group,direction,protocol,service,peer\n"
                 "sg-1,inbound,tcp,22,198.51.100.7/32\n"
                 "sg-1,inbound,icmp,8/0,0.0.0.0/0\n"},
        {".json", "[{\"group\": \"sg-1\", \"direction\": \"inbound\", "
                  "\"protocol\": \"tcp\", \"service\": 22, "
                  "\"peer\": \"198.51.100.7\"},"
                  "{\"group\": \"sg-1\", \"direction\": \"inbound\", "
                  "\"protocol\": 1, \"service\": 8, "
                  "\"peer\": \"0.0.0.0/0\"}]\n"}};
    static const struct step steps[] = {
        {0, "i", SSH_IN "S", true},
        {1, "i", "icmp 203.0.113.9 > 10.0.0.5 echo 7 seq 1", true},
        {2, "i", DNS_IN, false}};
    size_t i;

    for (i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        char path[32], graph[1024];

        write_file(path, texts[i][0], texts[i][1]);
        snprintf(graph, sizeof graph,
                 PORTS "SecurityGroup dut { file = \"%s\" group sg-1 { } }\n",
                 path);
        run(graph, steps, sizeof steps / sizeof steps[0]);
        unlink(path);
    }
}

TEST(mistakes_in_files_have_their_place)
{
    char path[32], graph[1024], expected[1024];

    write_file(path, ".csv",
               "group,direction,protocol,service,peer\n"
               "sg-1,inbound,tpc,22,10.0.0.0/8\n"
               "sg-2,inbound,tcp,22,10.0.0.0/8\n"
               "sg-1,inbound,tcp,22,\n");
    snprintf(graph, sizeof graph,
             PORTS "SecurityGroup dut { file = \"%s\" group sg-1 { } }\n",
             path);
    snprintf(expected, sizeof expected,
             "*%s:2:*'tpc' is no protocol*%s:3:*there is no group 'sg-2'*"
             "%s:4:*it has no peer*",
             path, path, path);
    bench_refuses(graph, expected);
    unlink(path);
}
