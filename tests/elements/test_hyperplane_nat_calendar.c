/* test_hyperplane_nat_calendar.c: HyperplaneNAT's flows in the flow service
 * end in time, against a plain list of deadlines. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"

enum { FLOWS = 300, STEPS = 20000 };

#define MS (HG_SEC / 1000)
#define OPENING (4 * HG_SEC)
#define CLOSING (5 * HG_SEC)
#define IDLE (3000 * HG_SEC) /* Beyond what the calendar can see. */
#define UDP (10 * HG_SEC)

enum state { NONE, OPENED, ESTABLISHED, RESET, QUERY };

struct flow {
    enum state state;
    uint64_t deadline_ns;
};

struct model {
    struct bench *b;
    struct flow flow[FLOWS];
    uint64_t random, now_ns, ran_out;
};

static uint64_t
draw(struct model *m, uint64_t n)
{
    m->random = m->random * UINT64_C(6364136223846793005) + 1442695;
    return (m->random >> 33) % n;
}

static uint64_t
n_alive(struct model *m)
{
    uint64_t n = 0;
    unsigned i;

    for (i = 0; i < FLOWS; i++) {
        struct flow *f = &m->flow[i];

        if (f->state != NONE && f->deadline_ns <= m->now_ns) {
            m->ran_out += f->state != RESET;
            f->state = NONE;
        }
        n += f->state != NONE;
    }
    return n;
}

static void
send(struct model *m, bool is_out, unsigned i, const char *flags)
{
    const char *protocol = *flags ? "tcp" : "udp";
    char text[120];

    if (is_out)
        snprintf(text, sizeof(text), "%s 10.0.0.5:%u > 203.0.113.9:%u %s",
                 protocol, 1000 + i, 1 + i, flags);
    else
        snprintf(text, sizeof(text),
                 "%s 203.0.113.9:%u > 198.51.100.1:7000 %s", protocol, 1 + i,
                 flags);
    bench_push(m->b, is_out ? "inside" : "outside", text, m->now_ns);
    if (bench_waiting(m->b, is_out ? "outside" : "inside") != 1)
        FAIL("'%s' does not come through at %" PRIu64, text, m->now_ns);
    bench_forget(m->b, NULL);
}

static void
set(struct model *m, struct flow *f, enum state state, uint64_t timeout_ns)
{
    f->state = state;
    f->deadline_ns = m->now_ns + timeout_ns;
}

/* A packet of one of the flows; even ones are UDP. */
static void
step(struct model *m)
{
    unsigned i = (unsigned)draw(m, FLOWS);
    struct flow *f = &m->flow[i];

    if (i % 2 == 0) {
        send(m, true, i, "");
        set(m, f, QUERY, UDP);
    } else if (f->state == NONE) {
        send(m, true, i, "S");
        set(m, f, OPENED, OPENING);
    } else if (f->state == OPENED) {
        send(m, false, i, "S.");
        set(m, f, ESTABLISHED, IDLE);
    } else if (f->state == ESTABLISHED && draw(m, 2)) {
        send(m, draw(m, 2), i, "R");
        set(m, f, RESET, CLOSING);
    } else {
        send(m, draw(m, 2), i, ".");
        set(m, f, ESTABLISHED, IDLE);
    }
}

/* Mostly a moment, now and then beyond the calendar. */
static uint64_t
pause(struct model *m)
{
    switch (draw(m, 400)) {
    case 0:
        return draw(m, 2 * IDLE);
    case 1:
    case 2:
        return draw(m, 20 * HG_SEC);
    default:
        return draw(m, draw(m, 2) ? 2 * MS : 300 * MS);
    }
}

static uint64_t
active(struct bench *b)
{
    const char *at =
        strstr(bench_read(b, "metrics", ""), "\"ActiveConnectionCount\":");

    return at ? strtoull(strchr(at, ':') + 1, NULL, 10) : UINT64_MAX;
}

TEST(the_number_of_flows_is_exact_at_any_time)
{
    struct model m = {.random = 1};
    unsigned i;

    m.b = bench_create("HyperplaneNAT", "public=198.51.100.1", "ports=7000",
                       "tcp-opening-timeout=4s", "tcp-closing-timeout=5s",
                       "tcp-idle-timeout=3000s", "udp-timeout=10s");
    for (i = 0; i < STEPS; i++) {
        uint64_t n;

        m.now_ns += pause(&m);
        n = n_alive(&m);
        bench_advance(m.b, m.now_ns);
        if (active(m.b) != n ||
            bench_counter(m.b, "idle_timeout_count") != m.ran_out)
            FAIL("step %u at %" PRIu64 ": %" PRIu64 " flows, not %" PRIu64, i,
                 m.now_ns, active(m.b), n);
        step(&m);
    }
    bench_destroy(m.b);
}

TEST(a_flow_that_ended_makes_room_at_once)
{
    struct bench *b = bench_create("HyperplaneNAT", "public=198.51.100.1",
                                   "max-flows=3", "udp-timeout=1s");
    unsigned i;

    for (i = 0; i < 3; i++) {
        bench_push(b, "inside", "udp 10.0.0.5:1 > 203.0.113.9:1", i * MS);
        bench_push(b, "inside", "udp 10.0.0.5:2 > 203.0.113.9:1", i * MS);
        bench_push(b, "inside", "udp 10.0.0.5:3 > 203.0.113.9:1", i * MS);
    }
    bench_push(b, "inside", "udp 10.0.0.5:4 > 203.0.113.9:1",
               HG_SEC + 2 * MS - 1);
    CHECK_EQ(bench_counter(b, "table_full"), 1);
    bench_push(b, "inside", "udp 10.0.0.5:4 > 203.0.113.9:1", HG_SEC + 2 * MS);
    CHECK_EQ(bench_counter(b, "table_full"), 1);
    CHECK_EQ(bench_counter(b, "active_connection_count"), 1);
    bench_forget(b, NULL);
    bench_destroy(b);
}

/* The calendar is looked at in the slot, of 268 ms, where a flow is noted;
 * then the flow is put off; then it is looked at in the slot where that ends.
 */
TEST(a_flow_that_was_put_off_for_a_moment_ends_in_time)
{
    const uint64_t slot = UINT64_C(1) << 28;
    const uint64_t at = (BENCH_START / slot + 9) * slot - BENCH_START;
    const uint64_t end = at + 1050 * MS;
    struct bench *b =
        bench_create("HyperplaneNAT", "public=198.51.100.1", "udp-timeout=1s");

    bench_push(b, "inside", "udp 10.0.0.5:1 > 203.0.113.9:1",
               at + MS - HG_SEC);
    bench_push(b, "inside", "udp 10.0.0.5:2 > 203.0.113.9:1",
               at + 200 * MS - HG_SEC);
    bench_push(b, "outside", "udp 203.0.113.9:1 > 198.51.100.1:1",
               at + 9 * MS);
    bench_push(b, "inside", "udp 10.0.0.5:2 > 203.0.113.9:1", end - HG_SEC);
    bench_push(b, "outside", "udp 203.0.113.9:1 > 198.51.100.1:1",
               at + 900 * MS);
    bench_advance(b, end - 1);
    CHECK_EQ(active(b), 1);
    bench_advance(b, end);
    CHECK_EQ(active(b), 0);
    CHECK_EQ(bench_counter(b, "idle_timeout_count"), 2);
    bench_forget(b, NULL);
    bench_destroy(b);
}
