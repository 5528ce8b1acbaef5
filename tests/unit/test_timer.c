/* test_timer.c: the timer wheel (headgate/timer.h), above all against a plain
 * list that is searched for the next timer. */
#include "test.h"

#include <headgate/timer.h>

#include <stdlib.h>
#include <string.h>

TEST(timers_fire_in_the_order_of_deadline_then_order_then_setting)
{
    struct hg_timer t[5] = {{.order = 2}, {.order = 1}, {.order = 1}};
    struct hg_wheel *w = hg_wheel_create();

    hg_wheel_set(w, &t[0], 100);
    hg_wheel_set(w, &t[2], 100);
    hg_wheel_set(w, &t[1], 100);
    hg_wheel_set(w, &t[3], 99);
    hg_wheel_set(w, &t[4], 101);
    CHECK(hg_wheel_advance(w, 1000) == &t[3]);
    CHECK_EQ(hg_wheel_now(w), 99);
    CHECK(hg_wheel_advance(w, 1000) == &t[2]);
    CHECK(hg_wheel_advance(w, 1000) == &t[1]);
    CHECK(hg_wheel_advance(w, 1000) == &t[0]);
    CHECK_EQ(hg_wheel_now(w), 100);
    CHECK(hg_wheel_advance(w, 1000) == &t[4]);
    CHECK(!hg_wheel_advance(w, 1000));
    CHECK_EQ(hg_wheel_now(w), 1000);
    hg_wheel_destroy(w);
}

TEST(a_deadline_in_the_past_is_the_next_nanosecond)
{
    struct hg_wheel *w = hg_wheel_create();
    struct hg_timer t = {0};

    CHECK(!hg_wheel_advance(w, 500));
    hg_wheel_set(w, &t, 3);
    CHECK_EQ(t.deadline_ns, 501);
    CHECK(!hg_wheel_advance(w, 500));
    CHECK(hg_wheel_advance(w, 501) == &t);
    CHECK(!t.pending);
    hg_wheel_destroy(w);
}

TEST(a_timer_that_fires_may_be_set_again)
{
    struct hg_wheel *w = hg_wheel_create();
    struct hg_timer t = {0};
    unsigned n = 0;

    hg_wheel_set(w, &t, 10);
    while (hg_wheel_advance(w, 100)) {
        n++;
        hg_wheel_set(w, &t, hg_wheel_now(w) + 10);
    }
    CHECK_EQ(n, 10);
    CHECK_EQ(hg_wheel_next(w), 110);
    hg_wheel_destroy(w);
}

TEST(a_due_timer_can_still_be_cancelled_or_moved)
{
    struct hg_wheel *w = hg_wheel_create();
    struct hg_timer t[3] = {{0}};
    unsigned i;

    for (i = 0; i < 3; i++)
        hg_wheel_set(w, &t[i], 10);
    CHECK(hg_wheel_advance(w, 10) == &t[0]);
    hg_wheel_cancel(w, &t[1]);
    hg_wheel_set(w, &t[2], 5);
    CHECK_EQ(t[2].deadline_ns, 11);
    CHECK(!hg_wheel_advance(w, 10));
    CHECK_EQ(hg_wheel_next(w), 11);
    CHECK(hg_wheel_advance(w, 20) == &t[2]);
    hg_wheel_destroy(w);
}

TEST(a_timer_set_to_never_is_not_set)
{
    struct hg_wheel *w = hg_wheel_create();
    struct hg_timer t = {0};

    hg_wheel_set(w, &t, 10);
    hg_wheel_set(w, &t, HG_NEVER);
    CHECK(!t.pending);
    CHECK_EQ(hg_wheel_next(w), HG_NEVER);
    hg_wheel_cancel(w, &t);
    CHECK(!hg_wheel_advance(w, HG_NEVER - 1));
    hg_wheel_destroy(w);
}

TEST(the_whole_range_of_times_is_usable)
{
    struct hg_wheel *w = hg_wheel_create();
    struct hg_timer t[64] = {{0}};
    unsigned i;

    for (i = 0; i < 64; i++)
        hg_wheel_set(w, &t[i], (UINT64_C(1) << i) - (i == 63));
    for (i = 0; i < 64; i++) {
        CHECK_EQ(hg_wheel_next(w), (UINT64_C(1) << i) - (i == 63));
        CHECK(hg_wheel_advance(w, HG_NEVER) == &t[i]);
    }
    CHECK(!hg_wheel_advance(w, HG_NEVER));
    hg_wheel_set(w, &t[0], 7);
    CHECK(!t[0].pending);
    hg_wheel_destroy(w);
}

/* The same as the wheel, by looking at every timer. */
enum { N_TIMERS = 300 };

struct model {
    uint64_t now_ns;
    uint64_t last_id;
    uint64_t deadline_ns[N_TIMERS]; /* HG_NEVER: not set. */
    uint64_t id[N_TIMERS];
};

static int
model_first(const struct model *m, const struct hg_timer *t)
{
    int first = -1;
    int i;

    for (i = 0; i < N_TIMERS; i++) {
        if (m->deadline_ns[i] == HG_NEVER)
            continue;
        if (first < 0 || m->deadline_ns[i] < m->deadline_ns[first] ||
            (m->deadline_ns[i] == m->deadline_ns[first] &&
             (t[i].order < t[first].order ||
              (t[i].order == t[first].order && m->id[i] < m->id[first]))))
            first = i;
    }
    return first;
}

static uint64_t
random64(void)
{
    return (uint64_t)rand() << 33 ^ (uint64_t)rand() << 16 ^ (uint64_t)rand();
}

/* Near, far and equal deadlines alike. */
static uint64_t
random_time(const struct model *m)
{
    uint64_t span = random64() >> (rand() % 60 + 4);
    uint64_t t = m->now_ns + span;

    if (t < m->now_ns || t == HG_NEVER)
        t = m->now_ns + 1;
    if (rand() % 4 == 0) /* One of its companions. */
        t = m->deadline_ns[rand() % N_TIMERS];
    return t;
}

static void
set_both(struct model *m, struct hg_wheel *w, struct hg_timer *t, int i,
         uint64_t deadline)
{
    hg_wheel_set(w, &t[i], deadline);
    if (deadline <= m->now_ns)
        deadline = m->now_ns + 1;
    m->deadline_ns[i] = deadline;
    m->id[i] = ++m->last_id;
}

/* One call of hg_wheel_advance(); whether the wheel did as the model. */
static bool
advance_both(struct model *m, struct hg_wheel *w, struct hg_timer *t,
             uint64_t to)
{
    int first;

    do {
        struct hg_timer *fired = hg_wheel_advance(w, to);

        first = model_first(m, t);
        if (first >= 0 && m->deadline_ns[first] <= to) {
            if (fired != &t[first])
                return false;
            m->now_ns = m->deadline_ns[first];
            m->deadline_ns[first] = HG_NEVER;
            if (rand() % 4 == 0)
                set_both(m, w, t, first, random_time(m));
        } else {
            if (fired)
                return false;
            first = -1;
            m->now_ns = to;
        }
        if (hg_wheel_now(w) != m->now_ns)
            return false;
    } while (first >= 0);
    return true;
}

static bool
random_run(unsigned seed)
{
    static struct hg_timer t[N_TIMERS];
    struct hg_wheel *w = hg_wheel_create();
    struct model m = {0};
    bool same = true;
    int i, step;

    srand(seed);
    memset(t, 0, sizeof t);
    for (i = 0; i < N_TIMERS; i++) {
        t[i].order = (uint32_t)(rand() % 3);
        m.deadline_ns[i] = HG_NEVER;
    }
    for (step = 0; step < 3000 && same; step++) {
        i = rand() % N_TIMERS;
        switch (rand() % 8) {
        case 0:
            hg_wheel_cancel(w, &t[i]);
            m.deadline_ns[i] = HG_NEVER;
            break;
        case 1: {
            uint64_t to = m.now_ns + (random64() >> (rand() % 40 + 24));

            same = advance_both(&m, w, t, to);
            break;
        }
        default: {
            uint64_t deadline = random_time(&m);

            if (deadline != HG_NEVER)
                set_both(&m, w, t, i, deadline);
        }
        }
        i = model_first(&m, t);
        same =
            same && hg_wheel_next(w) == (i < 0 ? HG_NEVER : m.deadline_ns[i]);
    }
    hg_wheel_destroy(w);
    return same;
}

TEST(random_operations_give_what_a_searched_list_gives)
{
    unsigned seed;

    for (seed = 1; seed <= 60; seed++)
        if (!random_run(seed))
            FAIL("seed %u", seed);
}
