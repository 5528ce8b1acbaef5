/* test_track.c: connections of 16 bytes (headgate/track.h) against a plain
 * array of them, over millions of random operations; limits, who is pushed
 * out, memory. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <headgate/track.h>

#include "test.h"

#define START (UINT64_C(1700000000) * HG_SEC)

/* States: two kinds with a bit that says which, and a third of which every bit
 * counts.  Bit 1 says that it is kept. */
enum { WIDE = 0x40, NARROW = 0x10, EXACT = 0x20, KEPT = 2 };

static uint64_t
mix(uint64_t x)
{
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

/* ---- A model ---------------------------------------------------------- */

struct row {
    const char *name;
    uint32_t n_keys; /* To choose from. */
    uint64_t max;
    unsigned n_ops;
    unsigned removes; /* Of 16 operations on what is there, so many. */
    uint64_t step_ns; /* Of the clock, at most, with each operation. */
    uint64_t jump_ns; /* At most, once in 5000 operations. */
    uint64_t life_ns; /* Of WIDE; of the others a third and a 50th. */
    unsigned wants;   /* What must have happened in the end. */
};

enum { GROWS = 1, EVICTS = 2, REFUSES = 4, EXPIRES = 8 };

/* What the model knows of a connection. */
struct known {
    uint8_t state; /* 0: not there. */
    uint64_t since_ns;
};

static struct {
    const struct row *row;
    struct hg_track_table *table;
    struct hg_track_config config;
    struct known *known;
    uint32_t n;
    uint32_t n_unkept;
    uint64_t now_ns, random;
    unsigned n_wrong, seen;
    uint64_t n_evicted;
} m;

static uint64_t
draw(uint64_t n)
{
    m.random += UINT64_C(0x9e3779b97f4a7c15);
    return mix(m.random) % n;
}

static void
wrong(const char *what, uint32_t i)
{
    if (m.n_wrong++ < 5)
        FAIL("%s: connection %u: %s", m.row->name, i, what);
}

/* Each eight share their ends and differ in realm or kind. */
static const uint32_t realms[4] = {0, 16383, 16384, HG_TRACK_REALMS - 1};

static struct hg_track_key
key_of(uint32_t i)
{
    static const uint8_t kinds[2][2] = {{WIDE, 0x40}, {NARROW, 0x70}};
    uint64_t ends = mix(i / 8);
    const uint8_t *kind = kinds[i / 4 % 2];

    /* A few are found by all bits. */
    return (struct hg_track_key){.addresses =
                                     (uint64_t)(i / 8) << 32 | (uint32_t)ends,
                                 .ports = 7u << 16 | (uint16_t)(ends >> 32),
                                 .realm = realms[i % 4],
                                 .state = i % 8 == 7 ? EXACT | KEPT : kind[0],
                                 .mask = i % 8 == 7 ? 0x7f : kind[1]};
}

static uint32_t
number_of(const struct hg_track *c)
{
    uint32_t i = c->local * 8, k;

    if ((c->state & 0x70) == EXACT)
        return i + 7;
    for (k = 0; k < 3 && realms[k] != c->realm; k++)
        ;
    return i + k + (c->state & WIDE ? 0 : 4);
}

static uint64_t
timeout_of(uint8_t state)
{
    return m.config.timeout_ns[state];
}

/* When it has ended at the latest: a tick late. */
static uint64_t
latest(const struct known *k)
{
    uint64_t timeout = timeout_of(k->state), tick = timeout / 2100;

    return k->since_ns + timeout + (tick > 1u << 24 ? tick : 1u << 24);
}

static void
forget(struct known *k)
{
    m.n--;
    m.n_unkept -= !m.config.kept[k->state];
    k->state = 0;
}

static void
model_ended(void *aux, const struct hg_track *c, bool pushed_out)
{
    uint32_t i = number_of(c);
    struct known *k = &m.known[i];

    (void)aux;
    if (!k->state || k->state != c->state)
        wrong("ended, but was not there", i);
    else if (!pushed_out && m.now_ns < k->since_ns + timeout_of(k->state))
        wrong("ended too early", i);
    else if (pushed_out && (m.config.kept[k->state] || m.n < m.row->max))
        wrong("was pushed out", i);
    if (pushed_out) {
        m.n_evicted++;
        m.seen |= EVICTS;
    } else {
        m.seen |= EXPIRES;
    }
    if (k->state)
        forget(k);
}

static uint8_t
new_state(const struct hg_track_key *k)
{
    return k->mask == 0x7f ? k->state
                           : (uint8_t)(k->state | draw(16) | (draw(2) * KEPT));
}

static void
set(struct known *k, uint8_t state)
{
    k->state = state;
    k->since_ns = m.now_ns;
    m.n++;
    m.n_unkept += !m.config.kept[state];
}

static void
add(uint32_t i, const struct hg_track_key *key)
{
    uint8_t state = new_state(key);
    bool evicts = m.n >= m.row->max && m.n_unkept;

    if (hg_track_insert(m.table, key, state)) {
        set(&m.known[i], state);
        return;
    }
    m.seen |= REFUSES;
    if (evicts || m.n < m.row->max)
        wrong("was refused", i);
}

static void
operate_on(uint32_t i, const struct hg_track_key *key)
{
    struct known *k = &m.known[i];
    uint64_t ends_ns = k->since_ns + timeout_of(k->state);
    bool was_there = k->state != 0;
    uint64_t last = latest(k);
    uint8_t before = k->state, state = 0;
    uint8_t next[HG_TRACK_STATES] = {0}, found = 0;
    struct hg_track_entry *e =
        draw(2) ? hg_track_find(m.table, key, &state)
                : hg_track_follow(m.table, key, m.now_ns, next, &state);

    if (e && (!was_there || m.now_ns >= last))
        wrong("is found", i);
    else if (e && state != before)
        wrong("has another state", i);
    else if (!e && was_there && m.now_ns < ends_ns)
        wrong("is not found", i);
    else if (!e && k->state)
        wrong("was not told to have ended", i);
    if (m.n_wrong)
        return;
    if (!e) {
        add(i, key);
    } else if (draw(16) < m.row->removes) {
        hg_track_remove(m.table, e);
        forget(k);
    } else {
        state = new_state(key);
        next[before] = state;
        if (draw(2))
            hg_track_update(m.table, e, state);
        else if (hg_track_follow(m.table, key, 0, next, &found) != e ||
                 found != before)
            wrong("is not followed", i);
        forget(k);
        set(k, state);
    }
}

/* Looks up some together, as a batch does. */
static void
operate(void)
{
    struct hg_track_key key[16];
    uint32_t number[16];
    unsigned i;

    for (i = 0; i < 16; i++) {
        number[i] = (uint32_t)draw(m.row->n_keys);
        key[i] = key_of(number[i]);
    }
    hg_track_prepare(m.table, key, 16);
    for (i = 0; i < 16; i++) {
        m.now_ns += draw(m.row->step_ns);
        if (m.row->jump_ns && !draw(5000))
            m.now_ns += draw(m.row->jump_ns);
        hg_track_clock(m.table, m.now_ns);
        operate_on(number[i], &key[i]);
    }
}

/* The table has what the model has, and nothing twice. */
static uint64_t
check_all(void)
{
    struct hg_track_stats stats;
    uint64_t at = 0, sum = 0;
    uint32_t n = 0, living = 0, i;
    struct hg_track c;

    hg_track_get_stats(m.table, &stats);
    CHECK_EQ(stats.n, m.n);
    CHECK_EQ(stats.evicted, m.n_evicted);
    while (hg_track_next(m.table, &at, &c)) {
        struct hg_track_key key = key_of(i = number_of(&c));
        const struct known *k = &m.known[i];

        n++;
        sum += mix(i + c.deadline_ns) + c.state;
        if (k->state != c.state || (uint32_t)key.addresses != c.remote ||
            key.ports >> 16 != c.local_port ||
            (uint16_t)key.ports != c.remote_port || key.realm != c.realm)
            wrong("is another one", i);
        else if (c.deadline_ns < k->since_ns + timeout_of(k->state) ||
                 c.deadline_ns > latest(k))
            wrong("ends at another time", i);
    }
    for (i = 0; i < m.row->n_keys; i++)
        living += m.known[i].state != 0 && m.now_ns < latest(&m.known[i]);
    CHECK(n <= living);
    return sum;
}

static struct hg_track_config
config(uint64_t max, uint64_t seed)
{
    struct hg_track_config c = {.max = max, .seed = seed};
    unsigned i;

    for (i = 0; i < HG_TRACK_STATES; i++) {
        c.timeout_ns[i] = 350 * HG_SEC;
        c.kept[i] = (i & KEPT) != 0;
    }
    return c;
}

static uint64_t
run_row(const struct row *row, uint64_t seed)
{
    struct hg_track_stats stats;
    unsigned i;
    uint64_t sum, n_buckets;

    memset(&m, 0, sizeof m);
    m.row = row;
    m.random = seed;
    m.now_ns = START;
    m.config = config(row->max, seed);
    m.config.ended = model_ended;
    for (i = 0; i < HG_TRACK_STATES; i++)
        m.config.timeout_ns[i] = i & WIDE     ? row->life_ns
                                 : i & NARROW ? row->life_ns / 3
                                              : row->life_ns / 50;
    m.known = calloc(row->n_keys, sizeof *m.known);
    m.table = hg_track_create(&m.config);
    REQUIRE(m.known && m.table);
    hg_track_get_stats(m.table, &stats);
    n_buckets = stats.buckets;
    for (i = 0; i < row->n_ops && !m.n_wrong; i += 16)
        operate();
    sum = check_all();
    hg_track_get_stats(m.table, &stats);
    if (stats.buckets > n_buckets)
        m.seen |= GROWS;
    if ((m.seen & row->wants) != row->wants)
        FAIL("%s: wants 0x%x to happen, 0x%x did", row->name, row->wants,
             m.seen);
    m.now_ns += 21 * HG_DAY;
    hg_track_clock(m.table, m.now_ns);
    check_all();
    CHECK_EQ(m.n, 0);
    hg_track_destroy(m.table);
    free(m.known);
    return sum;
}

#define MS HG_MSEC

/* clang-format off */
static const struct row rows[] = {
    {"growth", 500000, 1u << 20, 800000, 0, MS, 0, HG_HOUR, GROWS},
    {"growth and churn", 500000, 1u << 20, 800000, 6, MS, 0, HG_HOUR,
     GROWS},
    {"full", 200000, 65000, 600000, 1, MS, 0, HG_HOUR,
     EVICTS | REFUSES | GROWS},
    {"short lives", 100000, 1u << 20, 500000, 1, 2 * MS, 3 * HG_MINUTE,
     70 * HG_SEC, EXPIRES},
    {"shorter lives", 20000, 1u << 20, 300000, 1, MS, 0, 2 * HG_SEC,
     EXPIRES},
    {"jumps of hours", 90000, 1u << 17, 300000, 1, 40 * MS, 9 * HG_HOUR,
     6 * HG_HOUR, EXPIRES},
    {"jumps of days", 90000, 1u << 17, 300000, 1, 100 * MS, 12 * HG_DAY,
     5 * HG_DAY, EXPIRES},
    {"jumps of as many ticks as there are", 9000, 1u << 17, 300000, 0, 1,
     UINT64_C(3) << 37, 70 * HG_SEC, EXPIRES},
    {"seldom a packet", 900, 1u << 17, 12000, 0, 13 * HG_SEC, 0,
     70 * HG_SEC, EXPIRES},
    {"very seldom a packet", 900, 1u << 17, 6000, 0, 3 * HG_MINUTE, HG_DAY,
     3 * HG_HOUR, EXPIRES},
    {"no room", 9000, 100, 200000, 1, MS, HG_MINUTE, 2 * HG_MINUTE,
     EVICTS | REFUSES | EXPIRES},
};
/* clang-format on */

TEST(any_operations_do_what_they_do_to_a_plain_array)
{
    size_t i;

    for (i = 0; i < sizeof rows / sizeof rows[0]; i++)
        run_row(&rows[i], i + 1);
}

TEST(a_seed_repeats_everything)
{
    struct row row = rows[2];
    uint64_t sum;

    row.n_ops = 200000;
    row.wants = 0;
    sum = run_row(&row, 1);
    CHECK_EQ(run_row(&row, 1), sum);
    CHECK(run_row(&row, 2) != sum);
}

/* ---- Limits ----------------------------------------------------------- */

static struct hg_track_entry *
insert(struct hg_track_table *t, uint32_t i, uint8_t state)
{
    struct hg_track_key k = {.addresses = (uint64_t)i << 32 | (uint32_t)mix(i),
                             .state = NARROW,
                             .mask = 0x70};
    uint8_t found;

    hg_track_prepare(t, &k, 1);
    if (hg_track_find(t, &k, &found))
        return NULL;
    return hg_track_insert(t, &k, state);
}

static bool
has(struct hg_track_table *t, uint32_t i)
{
    struct hg_track_key k = {.addresses = (uint64_t)i << 32 | (uint32_t)mix(i),
                             .state = NARROW,
                             .mask = 0x70};
    uint8_t state;

    hg_track_prepare(t, &k, 1);
    return hg_track_find(t, &k, &state) != NULL;
}

TEST(the_one_that_would_end_first_is_pushed_out_and_kept_ones_never)
{
    struct hg_track_config c = config(8, 1);
    struct hg_track_table *t = hg_track_create(&c);
    uint32_t i;

    REQUIRE(t);
    hg_track_clock(t, START);
    for (i = 0; i < 4; i++)
        CHECK(insert(t, i, NARROW | KEPT));
    for (i = 4; i < 40; i++) {
        hg_track_clock(t, START + i * HG_SEC);
        CHECK(insert(t, i, NARROW));
        CHECK(i < 8 || !has(t, i - 4));
    }
    for (i = 0; i < 4; i++)
        CHECK(has(t, i));
    for (i = 36; i < 40; i++)
        CHECK(has(t, i));
    hg_track_destroy(t);
}

TEST(what_must_be_kept_leaves_no_room_until_it_ends)
{
    struct hg_track_config c = config(3, 1);
    struct hg_track_table *t = hg_track_create(&c);
    uint32_t i;

    REQUIRE(t);
    hg_track_clock(t, START);
    for (i = 0; i < 3; i++)
        CHECK(insert(t, i, NARROW | KEPT));
    CHECK(!insert(t, 3, NARROW));
    hg_track_clock(t, START + 351 * HG_SEC);
    CHECK(insert(t, 3, NARROW));
    hg_track_destroy(t);
}

TEST(a_table_refuses_what_it_cannot_be)
{
    struct hg_track_config c = config(0, 1);

    CHECK(!hg_track_create(&c));
    c.max = (uint64_t)HG_TRACK_MAX + 1;
    CHECK(!hg_track_create(&c));
    c.max = 1;
    c.timeout_ns[5] = HG_TRACK_TIMEOUT_MAX + 1;
    CHECK(!hg_track_create(&c));
    c.timeout_ns[5] = 0;
    CHECK(!hg_track_create(&c));
    hg_track_destroy(NULL);
}

TEST(each_pair_of_numbers_is_a_realm)
{
    struct hg_track_config c = config(1, 1);
    struct hg_track_table *t = hg_track_create(&c);
    uint32_t i, a, b;

    REQUIRE(t);
    for (i = 0; i < HG_TRACK_REALMS; i++)
        REQUIRE(hg_track_realm(t, i / 3, i % 3 * 1000000007u) == i);
    CHECK_EQ(hg_track_realm(t, UINT32_MAX, 0), HG_TRACK_REALMS);
    CHECK_EQ(hg_track_realm(t, 5, 2000000014u), 17);
    hg_track_realm_pair(t, 17, &a, &b);
    CHECK_EQ(a, 5);
    CHECK_EQ(b, 2000000014u);
    hg_track_destroy(t);
}

/* ---- Memory ----------------------------------------------------------- */

TEST(a_connection_takes_less_than_24_bytes_while_the_table_grows)
{
    struct hg_track_config c = config(2000000, 7);
    struct hg_track_table *t = hg_track_create(&c);
    struct hg_track_stats s;
    uint32_t i;

    REQUIRE(t);
    for (i = 0; i < 2000000; i++) {
        REQUIRE(insert(t, i, NARROW));
        if (i < 300000 || i % 20000)
            continue;
        hg_track_get_stats(t, &s); /* Memory is got in pieces. */
        if (s.bytes > 47 * s.n / 2 + (4 << 20))
            FAIL("%llu bytes for %llu", (unsigned long long)s.bytes,
                 (unsigned long long)s.n);
    }
    for (i = 0; i < 2000000; i += 7)
        REQUIRE(has(t, i));
    hg_track_get_stats(t, &s);
    CHECK_EQ(s.refused, 0);
    CHECK_EQ(s.evicted, 0);
    CHECK(s.strangers < s.n / 6);
    hg_track_destroy(t);
}

/* Sanitizers have memory of their own to touch. */
#ifndef HEADGATE_SANITIZED

static long
n_faults(void)
{
    struct rusage usage;

    getrusage(RUSAGE_THREAD, &usage);
    return usage.ru_minflt;
}

TEST(whoever_inserts_does_not_wait_for_the_memory_of_a_growing_table)
{
    struct hg_track_config c = config(4000000, 7);
    struct hg_track_table *t = hg_track_create(&c);
    long before = 0;
    uint32_t i;

    REQUIRE(t);
    for (i = 0; i < 2000000; i++) {
        if (i == 250000)
            before = n_faults();
        REQUIRE(insert(t, i, NARROW | KEPT));
    }
    CHECK(n_faults() - before < 8);
    hg_track_destroy(t);
}
#endif
