/* test_nat_compact_model.c: the compact table (headgate/nat_compact.h)
 * against a plain hash map, over millions of random operations.
 *
 * The map knows each flow that was added and not removed since, with the
 * deadline that the table told.  A flow may leave the table otherwise only
 * through the 'expired' callback, when it is due. */
#include <stdlib.h>
#include <string.h>

#include <headgate/headers.h>
#include <headgate/nat_compact.h>

#include "test.h"

/* What the build without sanitizers has compared need not be compared again
 * as often: under them it takes three times as long. */
#ifdef HEADGATE_SANITIZED
enum { SHARE = 4 };
#else
enum { SHARE = 1 };
#endif

#define START (UINT64_C(1700000000) * HG_SEC)
#define HEADS (1u << 18)

/* What a run is like. */
struct row {
    const char *name;
    struct hg_port_range ports;
    uint32_t limit; /* For each destination. */
    uint32_t max_flows;
    unsigned n_external, n_gateways, n_tenants;
    unsigned n_remotes, n_endpoints; /* To choose from, for each tenant. */
    unsigned n_ops;
    unsigned remove;  /* Of 16 operations on a flow, how many remove it. */
    uint64_t step_ns; /* Of the clock, at most, with each operation. */
    uint64_t jump_ns; /* Once in 2000 operations; 0: never. */
    uint64_t life_ns; /* At most. */
    unsigned wants;   /* What must have happened in the end. */
    unsigned workers; /* Who divide the ports; 0: nobody. */
};

enum {
    GROWS = 1,
    RENEWS = 2,
    REFUSES = 4,
    HAS_OTHERS = 8,
    CROWDS = 16,
    FOLLOWS = 32 /* All rows do. */
};

struct node {
    struct hg_nat_compact_flow flow;
    uint16_t gateway;
    uint32_t next[2]; /* By inside and by external tuple; 0: none. */
    uint32_t at;      /* Its place in 'alive'. */
};

static struct {
    const struct row *row;
    struct hg_nat_compact *table;
    struct node *nodes; /* 1 to n_nodes. */
    uint32_t n_nodes, free;
    uint32_t *alive, n;
    uint32_t heads[2][HEADS];
    uint64_t now_ns, random;
    uint64_t n_buckets; /* At the beginning. */
    unsigned n_wrong;
    unsigned seen; /* Of what a row may want. */
} m;

static uint64_t
mix(uint64_t x)
{
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

static uint64_t
draw(uint64_t n)
{
    m.random += UINT64_C(0x9e3779b97f4a7c15);
    return mix(m.random) % n;
}

/* A mistake, of which the first few are told. */
static void
wrong(const char *what, const struct hg_nat_compact_tuple *tuple)
{
    if (m.n_wrong++ < 5)
        FAIL("%s: %s: %08x:%u %08x:%u realm %u protocol %u", m.row->name, what,
             tuple->addr, tuple->port, tuple->remote, tuple->remote_port,
             tuple->realm, tuple->protocol);
}

/* ---- The map ---------------------------------------------------------- */

static struct hg_nat_compact_tuple
side(const struct node *node, bool in)
{
    const struct hg_nat_compact_flow *f = &node->flow;

    return (struct hg_nat_compact_tuple){
        .addr = in ? f->external : f->inside,
        .remote = f->remote,
        .port = in ? f->external_port : f->inside_port,
        .remote_port = f->remote_port,
        .realm = in ? node->gateway : f->tenant,
        .protocol = f->protocol};
}

static uint32_t *
head(const struct hg_nat_compact_tuple *t, bool in)
{
    uint64_t hash =
        mix(((uint64_t)t->addr << 32 | t->remote) +
            mix((uint64_t)t->port << 48 | (uint64_t)t->remote_port << 32 |
                (uint64_t)t->realm << 16 | t->protocol));

    return &m.heads[in][hash % HEADS];
}

static bool
is_same(const struct hg_nat_compact_tuple *a,
        const struct hg_nat_compact_tuple *b)
{
    return a->addr == b->addr && a->remote == b->remote &&
           a->port == b->port && a->remote_port == b->remote_port &&
           a->realm == b->realm && a->protocol == b->protocol;
}

static struct node *
map_find(const struct hg_nat_compact_tuple *t, bool in)
{
    uint32_t i = *head(t, in);

    for (; i; i = m.nodes[i].next[in]) {
        struct hg_nat_compact_tuple its = side(&m.nodes[i], in);

        if (is_same(t, &its))
            return &m.nodes[i];
    }
    return NULL;
}

static bool
is_alive(const struct node *node)
{
    return node && m.now_ns < node->flow.deadline_ns;
}

static void
map_add(const struct hg_nat_compact_flow *flow, uint16_t gateway)
{
    uint32_t i = m.free ? m.free : ++m.n_nodes;
    struct node *node = &m.nodes[i];
    int in;

    if (m.free)
        m.free = node->next[0];
    node->flow = *flow;
    node->gateway = gateway;
    for (in = 0; in < 2; in++) {
        struct hg_nat_compact_tuple t = side(node, in);

        node->next[in] = *head(&t, in);
        *head(&t, in) = i;
    }
    node->at = m.n;
    m.alive[m.n++] = i;
}

static void
map_remove(struct node *node)
{
    uint32_t i = (uint32_t)(node - m.nodes);
    int in;

    for (in = 0; in < 2; in++) {
        struct hg_nat_compact_tuple t = side(node, in);
        uint32_t *at = head(&t, in);

        while (*at != i)
            at = &m.nodes[*at].next[in];
        *at = node->next[in];
    }
    m.alive[node->at] = m.alive[--m.n];
    m.nodes[m.alive[node->at]].at = node->at;
    node->next[0] = m.free;
    m.free = i;
}

/* Living flows from an external address to a remote endpoint. */
static uint32_t
map_count(uint32_t external, uint16_t gateway,
          const struct hg_nat_compact_tuple *t)
{
    uint32_t n = 0, i;

    for (i = 0; i < m.n; i++) {
        const struct node *node = &m.nodes[m.alive[i]];

        n += node->flow.external == external && node->gateway == gateway &&
             node->flow.remote == t->remote &&
             node->flow.remote_port == t->remote_port &&
             node->flow.protocol == t->protocol && is_alive(node);
    }
    return n;
}

/* ---- Comparing -------------------------------------------------------- */

static bool
is_same_flow(const struct hg_nat_compact_flow *a,
             const struct hg_nat_compact_flow *b)
{
    return a->inside == b->inside && a->external == b->external &&
           a->remote == b->remote && a->inside_port == b->inside_port &&
           a->external_port == b->external_port &&
           a->remote_port == b->remote_port && a->tenant == b->tenant &&
           a->protocol == b->protocol && a->state == b->state &&
           a->deadline_ns == b->deadline_ns;
}

static void
flow_expired(void *aux, const struct hg_nat_compact_flow *flow)
{
    struct hg_nat_compact_tuple t = {flow->inside,      flow->remote,
                                     flow->inside_port, flow->remote_port,
                                     flow->tenant,      flow->protocol};
    struct node *node = map_find(&t, false);

    (void)aux;
    if (!node || !is_same_flow(&node->flow, flow)) {
        wrong("a flow expired that is not there like this", &t);
        return;
    }
    if (is_alive(node))
        wrong("a flow expired too early", &t);
    map_remove(node);
}

/* How much later than asked for a deadline may be, as the header says. */
static uint64_t
resolution(uint64_t life_ns)
{
    if (life_ns <= 73 * HG_SEC)
        return 17 * HG_MSEC;
    if (life_ns <= 35 * HG_MINUTE)
        return 269 * HG_MSEC;
    return life_ns <= 97 * HG_HOUR / 10 ? 4300 * HG_MSEC : 69 * HG_SEC;
}

static void
check_deadline(uint64_t asked_ns, const struct hg_nat_compact_tuple *t,
               uint64_t got_ns)
{
    if (got_ns < asked_ns ||
        got_ns - asked_ns > resolution(asked_ns - m.now_ns))
        wrong("a deadline is not near the one asked for", t);
}

static void
check_lookup(const struct hg_nat_compact_tuple *t, bool in,
             struct hg_nat_compact_flow *flow)
{
    struct node *node = map_find(t, in);
    bool expected = is_alive(node);

    if (hg_nat_compact_find(m.table, t, !in, m.now_ns, flow) != expected)
        wrong(expected ? "a flow is not found" : "a flow is found", t);
    else if (expected && !is_same_flow(flow, &node->flow))
        wrong("a flow is another one", t);
}

/* ---- Operations ------------------------------------------------------- */

static uint32_t
external(unsigned gateway, unsigned i)
{
    return 0xc6336400 + (gateway / 2) * 16 + i; /* Two share theirs. */
}

static struct hg_nat_compact_tuple
any_inside(void)
{
    static const uint8_t protocols[] = {HG_PROTO_TCP, HG_PROTO_TCP,
                                        HG_PROTO_UDP, HG_PROTO_ICMP};
    uint32_t endpoint = (uint32_t)draw(m.row->n_endpoints);
    uint32_t remote = (uint32_t)draw(m.row->n_remotes);
    struct hg_nat_compact_tuple t = {
        .addr = 0x0a000000 + endpoint % 251,
        .remote = 0xcb007100 + remote / 2 * 7,
        .port = (uint16_t)(endpoint / 251),
        .remote_port = (uint16_t)(443 + remote % 2),
        .realm = (uint16_t)draw(m.row->n_tenants),
        .protocol = m.row->n_remotes < 4 ? HG_PROTO_TCP : protocols[draw(4)]};

    if (t.protocol == HG_PROTO_ICMP)
        t.remote_port = 0;
    return t;
}

/* Which part of the ports flows to a remote endpoint have. */
static unsigned
part_towards(const void *aux, uint32_t remote, uint16_t remote_port)
{
    (void)aux;
    return (remote + remote_port) % m.row->workers;
}

static void
check_port(const struct hg_nat_compact_flow *f,
           const struct hg_nat_compact_tuple *t)
{
    if (f->external_port < m.row->ports.low ||
        f->external_port > m.row->ports.high)
        wrong("a port is out of range", t);
    if (m.row->workers > 1 &&
        f->external_port / 4u % m.row->workers !=
            part_towards(NULL, f->remote, t->remote_port))
        wrong("a port is in another part", t);
}

static void
check_refused(const struct hg_nat_compact_tuple *t, uint16_t gateway,
              enum hg_nat_compact_result result)
{
    const uint32_t n_ports = hg_port_parts(m.row->ports, m.row->workers).n;
    const uint32_t limit = m.row->limit < n_ports ? m.row->limit : n_ports;
    unsigned i;

    m.seen |= REFUSES;
    if (result == HG_NAT_COMPACT_FULL) {
        if (hg_nat_compact_count(m.table) < m.row->max_flows)
            wrong("full, but it is not", t);
        return;
    }
    if (result != HG_NAT_COMPACT_NO_PORT)
        wrong("refused for another reason", t);
    for (i = 0; i < m.row->n_external; i++)
        if (map_count(external(gateway, i), gateway, t) != limit)
            wrong("no port, but there is one", t);
}

static void
insert(void)
{
    struct hg_nat_compact_key key = {.tuple = any_inside(),
                                     .from_inside = true};
    const uint16_t gateway = (uint16_t)(key.tuple.realm % m.row->n_gateways);
    const uint8_t state = key.tuple.protocol == HG_PROTO_TCP;
    const uint64_t deadline_ns = m.now_ns + 1 + draw(m.row->life_ns);
    struct hg_nat_compact_flow flow;
    struct node *node = map_find(&key.tuple, false);
    enum hg_nat_compact_result result;
    bool was_alive = is_alive(node);

    hg_nat_compact_prepare(m.table, &key, 1);
    result = hg_nat_compact_insert(m.table, &key, state, m.now_ns, deadline_ns,
                                   &flow);
    if (was_alive != (result == HG_NAT_COMPACT_EXISTS))
        wrong("it exists, or does not", &key.tuple);
    if (was_alive)
        return;
    if (result != HG_NAT_COMPACT_OK) {
        check_refused(&key.tuple, gateway, result);
        return;
    }
    check_deadline(deadline_ns, &key.tuple, flow.deadline_ns);
    check_port(&flow, &key.tuple);
    map_add(&flow, gateway);
    node = &m.nodes[m.alive[m.n - 1]];
    key.tuple = side(node, true);
    if (node->next[1] && map_find(&key.tuple, true) != node)
        wrong("two flows have one external tuple", &key.tuple);
}

/* A packet follows its flow only if that is in this state and has, as nearly
 * as it can, this deadline already. */
static void
check_follow(const struct node *node, const struct hg_nat_compact_tuple *t,
             bool in)
{
    const struct hg_nat_compact_flow *flow = &node->flow;
    struct hg_nat_compact_key key = {.tuple = *t, .from_inside = !in};
    const bool is_tcp = t->protocol == HG_PROTO_TCP;
    uint8_t state = (uint8_t)((flow->state + (is_tcp && !draw(8))) % 7);
    uint64_t deadline_ns = flow->deadline_ns - draw(18 * HG_MSEC);
    struct hg_nat_compact_end end;

    if (deadline_ns <= m.now_ns)
        deadline_ns = m.now_ns + 1;
    hg_nat_compact_prepare(m.table, &key, 1);
    if (!hg_nat_compact_follow(m.table, &key, m.now_ns, state, deadline_ns,
                               &end))
        return;
    m.seen |= FOLLOWS;
    if (!is_alive(node) || state != flow->state)
        wrong("a flow is followed that is not like this", t);
    check_deadline(deadline_ns, t, flow->deadline_ns);
    if (end.addr != (in ? flow->inside : flow->external) ||
        end.port != (in ? flow->inside_port : flow->external_port) ||
        (in && end.tenant != flow->tenant))
        wrong("a flow leads to another endpoint", t);
}

/* Updates, removes or only finds a flow, from either side. */
static void
use(void)
{
    bool in = draw(2);
    struct node *node = &m.nodes[m.alive[draw(m.n)]];
    struct hg_nat_compact_tuple t = side(node, in);
    struct hg_nat_compact_flow flow;
    unsigned what = (unsigned)draw(16);
    bool alive = is_alive(node);

    check_follow(node, &t, in);
    check_lookup(&t, in, &flow);
    if (!alive || m.n_wrong)
        return;
    if (what < m.row->remove) {
        hg_nat_compact_remove(m.table, &flow);
        map_remove(node);
    } else if (what < 12) {
        uint64_t deadline_ns = m.now_ns + 1 + draw(m.row->life_ns);
        uint8_t state =
            t.protocol == HG_PROTO_TCP ? (uint8_t)(1 + draw(6)) : 0;

        hg_nat_compact_update(m.table, &flow, state, deadline_ns);
        check_deadline(deadline_ns, &t, flow.deadline_ns);
        node->flow = flow;
    }
}

static void
look_for_nobody(void)
{
    struct hg_nat_compact_tuple t = any_inside();
    struct hg_nat_compact_flow flow;

    check_lookup(&t, false, &flow);
    t.addr = external(t.realm % m.row->n_gateways,
                      (unsigned)draw(m.row->n_external));
    t.realm = (uint16_t)(t.realm % m.row->n_gateways);
    t.port = (uint16_t)(m.row->ports.low - 2 + draw(200));
    check_lookup(&t, true, &flow);
}

/* The table and the map have the same flows. */
static void
check_all(void)
{
    struct hg_nat_compact_flow flow;
    uint64_t at = 0;
    uint32_t n = 0, n_alive = 0, i;

    while (hg_nat_compact_next(m.table, m.now_ns, &at, &flow)) {
        struct hg_nat_compact_tuple t = {flow.inside,      flow.remote,
                                         flow.inside_port, flow.remote_port,
                                         flow.tenant,      flow.protocol};
        struct node *node = map_find(&t, false);

        if (!is_alive(node) || !is_same_flow(&flow, &node->flow))
            wrong("a walk meets a flow that is not there", &t);
        n++;
    }
    for (i = 0; i < m.n; i++)
        n_alive += is_alive(&m.nodes[m.alive[i]]);
    CHECK_EQ(n, n_alive);
    CHECK_EQ(hg_nat_compact_count(m.table), m.n);
    hg_nat_compact_sweep(m.table, m.now_ns, UINT64_MAX);
    CHECK_EQ(hg_nat_compact_count(m.table), n_alive);
    CHECK_EQ(m.n, n_alive);
}

static void
note_what_happens(void)
{
    struct hg_nat_compact_stats s;

    hg_nat_compact_get_stats(m.table, &s);
    if (s.flows != m.n && !m.n_wrong++)
        FAIL("%s: %llu flows, expected %u", m.row->name,
             (unsigned long long)s.flows, m.n);
    m.seen |= (s.buckets > m.n_buckets ? GROWS : 0) |
              (s.renewals >= 32 ? RENEWS : 0) | /* All kinds, twice. */
              (s.elsewhere ? HAS_OTHERS : 0) | (s.crowded ? CROWDS : 0);
}

static void
operate(void)
{
    unsigned what = (unsigned)draw(100);

    m.now_ns += draw(m.row->step_ns + 1);
    if (m.row->jump_ns && !draw(2000))
        m.now_ns += draw(m.row->jump_ns);
    if (what < 50 || !m.n)
        insert();
    else if (what < 92)
        use();
    else if (what < 98)
        look_for_nobody();
    else
        hg_nat_compact_sweep(m.table, m.now_ns, draw(64));
}

/* Returns a hash of all flows that there are in the end. */
static uint64_t
run_row(const struct row *row, uint64_t seed)
{
    struct hg_nat_compact_config config = {.ports = row->ports,
                                           .workers = row->workers,
                                           .part = row->workers ? part_towards
                                                                : NULL,
                                           .per_destination = row->limit,
                                           .max_flows = row->max_flows,
                                           .seed = seed,
                                           .expired = flow_expired};
    struct hg_nat_compact_stats stats;
    struct hg_nat_compact_flow flow;
    uint64_t sum = 0, at = 0;
    uint32_t addresses[8];
    unsigned n_ops = row->n_ops / SHARE, i, k;

    memset(&m, 0, sizeof(m));
    m.row = row;
    m.now_ns = START;
    m.random = 1;
    m.nodes = calloc(row->max_flows + 2ul, sizeof(*m.nodes));
    m.alive = calloc(row->max_flows + 2ul, sizeof(*m.alive));
    m.table = hg_nat_compact_create(&config);
    for (i = 0; i < row->n_gateways; i++) {
        for (k = 0; k < row->n_external; k++)
            addresses[k] = external(i, k);
        CHECK_EQ(hg_nat_compact_add_gateway(m.table, addresses, k), i);
    }
    for (i = 0; i < row->n_tenants; i++)
        CHECK_EQ(hg_nat_compact_add_tenant(m.table, i % row->n_gateways), i);
    hg_nat_compact_get_stats(m.table, &stats);
    m.n_buckets = stats.buckets;
    for (i = 0; i < n_ops && !m.n_wrong; i++) {
        operate();
        note_what_happens();
        if (!m.n_wrong && i % (n_ops / 5) == n_ops / 5 - 1)
            check_all();
    }
    while (hg_nat_compact_next(m.table, m.now_ns, &at, &flow))
        sum += mix(((uint64_t)flow.external_port << 32 | flow.inside) +
                   flow.deadline_ns);
    if (SHARE == 1 &&
        (m.seen & (row->wants | FOLLOWS)) != (row->wants | FOLLOWS))
        FAIL("%s: wants 0x%x to happen, 0x%x did", row->name, row->wants,
             m.seen);
    m.now_ns += 8 * HG_DAY;
    check_all();
    CHECK_EQ(m.n, 0);
    hg_nat_compact_destroy(m.table);
    free(m.nodes);
    free(m.alive);
    return sum;
}

#define ALL_PORTS                                                             \
    {                                                                         \
        1024, 65535                                                           \
    }
#define MS HG_MSEC
#define MINUTE HG_MINUTE
#define HOUR HG_HOUR

/* clang-format off */
static const struct row rows[] = {
    {"many destinations", ALL_PORTS, 55000, 1u << 20, 2, 2, 3, 9000, 3000,
     500000, 1, 1 * MS, 0, 6 * HOUR, .wants = GROWS},
    {"growth and churn", ALL_PORTS, 55000, 1u << 19, 2, 1, 1, 9000, 9000,
     600000, 4, 1 * MS, 0, HOUR, .wants = GROWS},
    {"churn at 90 %", ALL_PORTS, 55000, 14600, 2, 1, 1, 9000, 9000,
     600000, 4, 1 * MS, 0, 2 * MINUTE, .wants = REFUSES | HAS_OTHERS | RENEWS},
    {"full to 90 %", ALL_PORTS, 55000, 58900, 2, 1, 1, 9000, 9000,
     300000, 4, 1 * MS, 0, HOUR, .wants = REFUSES | HAS_OTHERS},
    {"short lives", {5000, 60000}, 55000, 1u << 17, 1, 1, 2, 5000, 4000,
     200000, 0, 2 * MS, 3 * MINUTE, 70 * HG_SEC, .wants = 0},
    {"one remote endpoint", {2003, 9011}, 55000, 1u << 17, 2, 1, 1, 1, 60000,
     90000, 1, 1 * MS, 0, 10 * MINUTE, .wants = REFUSES | HAS_OTHERS | CROWDS},
    {"one remote, limit", ALL_PORTS, 3001, 1u << 17, 3, 1, 1, 1, 30000,
     90000, 2, 1 * MS, 0, HOUR, .wants = REFUSES | HAS_OTHERS | CROWDS},
    {"many gateways", {1031, 1131}, 55000, 1u << 17, 3, 6, 17, 2, 900,
     200000, 2, 1 * MS, MINUTE, 10 * MINUTE,
     .wants = REFUSES | HAS_OTHERS | CROWDS},
    {"ten ports, limit seven", {65526, 65535}, 7, 1u << 16, 8, 2, 5, 9, 300,
     200000, 2, 1 * MS, MINUTE, MINUTE,
     .wants = REFUSES | HAS_OTHERS | CROWDS},
    {"one port", {7777, 7777}, 1, 1u << 16, 2, 2, 2, 300, 100,
     100000, 1, 1 * MS, 0, MINUTE, .wants = REFUSES | HAS_OTHERS | CROWDS},
    {"jumps of hours", ALL_PORTS, 55000, 1u << 17, 2, 1, 2, 900, 900,
     300000, 1, 40 * MS, 9 * HOUR, 6 * HOUR, .wants = 0},
    {"jumps of days", ALL_PORTS, 55000, 1u << 17, 2, 1, 2, 900, 900,
     300000, 1, 100 * MS, 12 * HG_DAY, 6 * HG_DAY, .wants = 0},
    {"seldom a packet", ALL_PORTS, 100, 1u << 16, 2, 1, 2, 20, 90,
     200000, 1, 3 * MINUTE, HG_DAY, 3 * HOUR, .wants = 0},
    {"no room", ALL_PORTS, 55000, 500, 1, 1, 1, 90, 900,
     100000, 1, 1 * MS, MINUTE, 2 * MINUTE, .wants = REFUSES},
    {"a third of the ports", {1026, 65533}, 55000, 1u << 19, 2, 1, 1, 9000,
     9000, 150000, 4, 1 * MS, 0, HOUR, .wants = 0, .workers = 3},
    {"one remote, a fifth", {2003, 9011}, 55000, 1u << 17, 2, 1, 1, 1, 60000,
     40000, 1, 1 * MS, 0, 10 * MINUTE, .wants = REFUSES | HAS_OTHERS | CROWDS,
     .workers = 5},
    {"eight ports of 16, limit seven", {65520, 65535}, 7, 1u << 16, 8, 2, 5,
     9, 300, 60000, 2, 1 * MS, MINUTE, MINUTE,
     .wants = REFUSES | HAS_OTHERS | CROWDS, .workers = 2},
};
/* clang-format on */

TEST(any_operations_do_what_they_do_to_a_plain_map)
{
    size_t i;

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        run_row(&rows[i], i);
}

TEST(a_seed_repeats_everything_and_another_one_does_not)
{
    struct row row = rows[1];
    uint64_t sum;

    row.n_ops = 60000;
    row.wants = 0;
    sum = run_row(&row, 1);
    CHECK_EQ(run_row(&row, 1), sum);
    CHECK(run_row(&row, 2) != sum);
}
