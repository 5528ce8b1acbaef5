/* test_security_group_tables.c: a SecurityGroup decides alike whichever of its
 * tables its connections are in: random packets of a few hosts through two of
 * them.
 *
 * Packets are sent at whole seconds and timeouts end at half ones, so that the
 * compact table, which may be some milliseconds late, has no excuse. */
#include <stdio.h>
#include <string.h>

#include "harness.h"

enum { ROUNDS = 60000 };

#define GRAPH(table, options)                                                 \
    "TestSource e {} TestSource i {} TestSink eo {} TestSink io {}\n"         \
    "TestSink no {}\n"                                                        \
    "connect(\"e -> CheckIP -> [egress]dut[egress] -> eo\")\n"                \
    "connect(\"i -> CheckIP -> [ingress]dut[ingress] -> io\")\n"              \
    "connect(\"dut[deny] -> no\")\n"                                          \
    "SecurityGroup dut {\n"                                                   \
    "table = " table " related-icmp-errors = true " options "\n"              \
    "tcp-established-timeout = 400500ms tcp-opening-timeout = 20500ms\n"      \
    "tcp-closing-timeout = 5500ms udp-timeout = 30500ms\n"                    \
    "udp-stream-timeout = 90500ms icmp-timeout = 60500ms\n"                   \
    "other-timeout = 200500ms\n"                                              \
    "group sg-1 {\n"                                                          \
    "inbound { protocol = tcp ports = 2 source = 0.0.0.0/0 }\n"               \
    "inbound { protocol = udp source = { 203.0.113.1/32, ::/0 } }\n"          \
    "inbound { protocol = icmp type = 8 source = 203.0.113.2/32 }\n"          \
    "inbound { protocol = 47 source = 203.0.113.2/32 }\n"                     \
    "outbound { protocol = tcp ports = 1 destination = 0.0.0.0/0 }\n"         \
    "outbound { protocol = udp destination = { 203.0.113.2/32, ::/0 } }\n"    \
    "outbound { protocol = icmp destination = 203.0.113.0/31 }\n"             \
    "outbound { protocol = 47 destination = 203.0.113.1/32 }\n"               \
    "} }\n"

static uint64_t state;

static unsigned
draw(unsigned n)
{
    state = state * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (unsigned)(state >> 33) % n;
}

struct ends {
    char src[24];
    char dst[24];
};

/* Of an instance and somebody else, or both the same. */
static struct ends
draw_ends(bool out)
{
    struct ends e;
    char own[16], other[16];

    snprintf(own, sizeof own, "10.0.0.%u", 5 + draw(2));
    snprintf(other, sizeof other, "203.0.113.%u", draw(3));
    if (!draw(8))
        snprintf(other, sizeof other, "%s", own);
    snprintf(e.src, sizeof e.src, "%s", out ? own : other);
    snprintf(e.dst, sizeof e.dst, "%s", out ? other : own);
    return e;
}

static void
draw_tcp_or_udp(bool out, char *text, size_t size)
{
    static const char *const flags[] = {"S", "S.", ".",  ".", ".",
                                        ".", "F.", "F.", "R", "R."};
    struct ends e = draw_ends(out);
    unsigned sport = 1 + draw(3), dport = 1 + draw(3);

    if (draw(2))
        snprintf(text, size, "tcp %s:%u > %s:%u %s", e.src, sport, e.dst,
                 dport, flags[draw(10)]);
    else
        snprintf(text, size, "udp %s:%u > %s:%u", e.src, sport, e.dst, dport);
}

static void
draw_packet(bool out, char *text, size_t size)
{
    struct ends e = draw_ends(out), back = draw_ends(!out);
    unsigned n = draw(3);

    switch (draw(20)) {
    case 0:
        snprintf(text, size, "icmp %s > %s echo %u seq 1", e.src, e.dst, n);
        break;
    case 1:
        snprintf(text, size, "icmp %s > %s reply %u seq 1", e.src, e.dst, n);
        break;
    case 2:
        snprintf(text, size, "icmp %s > %s type %u code 0 len 16", e.src,
                 e.dst, 13 + draw(6));
        break;
    case 3:
        snprintf(text, size,
                 "icmp %s > %s unreachable 1 (udp %s:%u > %s:%u len 4)", e.src,
                 back.src, back.src, 1 + n, back.dst, 1 + draw(3));
        break;
    case 4:
        snprintf(text, size,
                 "icmp %s > %s unreachable 1 (icmp %s > %s echo %u seq 1)",
                 e.src, back.src, back.src, back.dst, n);
        break;
    case 5:
        snprintf(text, size, "ip %s > %s proto 47 len 4", e.src, e.dst);
        break;
    case 6:
        snprintf(text, size, "ip %s > %s proto 17 len 9 frag 1480 id %u",
                 e.src, e.dst, n);
        break;
    case 7:
        snprintf(text, size, "udp %s:1 > %s:2 len 1472 frag 0+ id %u", e.src,
                 e.dst, n);
        break;
    case 8:
        snprintf(text, size, "udp [fd00::%u]:1 > [fd00::%u]:%u",
                 out ? 5 : 9 + n, out ? 9 + n : 5, 1 + draw(2));
        break;
    default:
        draw_tcp_or_udp(out, text, size);
    }
}

/* The sink that has the packet. */
static const char *
where(struct bench *b)
{
    const char *at = bench_waiting(b, "eo")   ? "eo"
                     : bench_waiting(b, "io") ? "io"
                     : bench_waiting(b, "no") ? "no"
                                              : "dropped";

    bench_forget(b, NULL);
    return at;
}

static const char *const counters[] = {"tracked",
                                       "opened",
                                       "untracked",
                                       "bypassed",
                                       "rejected",
                                       "related",
                                       "evicted",
                                       "not_ip",
                                       "denied",
                                       "table_full",
                                       "conntrack_allowance_exceeded"};

static void
compare(const char *service, const char *compact)
{
    struct bench *a = bench_load(service), *b = bench_load(compact);
    uint64_t now = 0;
    unsigned i, n_wrong = 0;

    state = 7;
    for (i = 0; i < ROUNDS && n_wrong < 5; i++) {
        bool out = draw(2);
        const char *in = out ? "e" : "i", *one, *other;
        char text[160];

        now += draw(8) ? 0 : draw(draw(20) ? 8 : 200) * HG_SEC;
        draw_packet(out, text, sizeof text);
        bench_push(a, in, text, now);
        bench_push(b, in, text, now);
        one = where(a);
        other = where(b);
        if (strcmp(one, other) != 0 && n_wrong++ < 5)
            FAIL("packet %u, %s: %s at %llu s: %s, but compact %s", i, in,
                 text, (unsigned long long)(now / HG_SEC), one, other);
        if (i % 500 == 0) {
            char count[32];

            snprintf(count, sizeof count, "%s", bench_read(a, "count", ""));
            CHECK_STR(bench_read(b, "count", ""), count);
        }
    }
    bench_read(a, "count", ""); /* Ends what has run out. */
    bench_read(b, "count", "");
    for (i = 0; i < sizeof counters / sizeof counters[0]; i++)
        CHECK_EQ(bench_counter(b, counters[i]), bench_counter(a, counters[i]));
    CHECK(bench_counter(a, "opened") > 1000);
    CHECK(bench_counter(a, "related") > 100);
    CHECK(bench_counter(a, "tracked") > 0);
    bench_destroy(a);
    bench_destroy(b);
}

TEST(random_packets_fare_alike_in_both_tables)
{
    compare(GRAPH("flow-service", ""), GRAPH("compact", ""));
}

TEST(random_packets_fare_alike_with_an_allowance)
{
    compare(GRAPH("flow-service", "max-per-eni = 25"),
            GRAPH("compact", "max-per-eni = 25"));
}
