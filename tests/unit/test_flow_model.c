/* test_flow_model.c: the flow service (headgate/flow.h) against a plain
 * list, and over sizes of batches. */
#include "flow_rig.h"

/* ---- Against a list --------------------------------------------------- */

struct model_interest {
    uint64_t deadline;
    uint64_t value;
    bool against;
};

struct model_flow {
    struct hg_flow_key key[2];
    bool has_second;
    unsigned second_user;
    struct model_interest user[MAX_KEEPERS];
};

enum { MODEL_MAX = 4096, N_PACKETS = 60 };

static struct model_flow model[MODEL_MAX];
static size_t n_model;
static uint64_t next_value;
static uint64_t deadline_of[1 << 20]; /* By value, while in use. */

static bool
model_wanted(const struct model_flow *m, uint64_t now)
{
    return m->user[0].deadline > now || m->user[1].deadline > now;
}

/* 'direction' as of compare(), relative to the first key. */
static struct model_flow *
model_find(const struct hg_flow_key *key, uint64_t now, int *direction)
{
    size_t i;

    for (i = 0; i < n_model; i++) {
        struct model_flow *m = &model[i];

        if (!model_wanted(m, now))
            continue;
        if ((*direction = compare(&m->key[0], key)) != 0)
            return m;
        if (m->has_second && m->user[m->second_user].deadline > now &&
            (*direction = compare(&m->key[1], key)) != 0)
            return m;
    }
    return NULL;
}

static struct model_flow *
model_create(unsigned user, const struct hg_flow_key *key, uint64_t now)
{
    int direction = 1;
    struct model_flow *m = model_find(key, now, &direction);

    if (!m) {
        size_t i = 0;

        while (i < n_model && model_wanted(&model[i], now))
            i++;
        REQUIRE(i < MODEL_MAX);
        n_model += i == n_model;
        m = &model[i];
        *m = (struct model_flow){.key = {*key}};
        direction = 1;
    }
    if (m->user[user].deadline <= now) {
        m->user[user] = (struct model_interest){.against = direction < 0};
        if (m->second_user == user)
            m->has_second = false;
    }
    return m;
}

static void
model_end(struct model_flow *m, unsigned user)
{
    m->user[user].deadline = 0;
    if (m->second_user == user)
        m->has_second = false;
}

static bool
model_add_key(struct model_flow *m, unsigned user,
              const struct hg_flow_key *key, uint64_t now)
{
    int direction;
    struct model_flow *other = model_find(key, now, &direction);

    if (other && other != m)
        return false;
    m->has_second = !compare(&m->key[0], key);
    if (!m->has_second)
        return true;
    m->second_user = user;
    m->key[1] = *key;
    if (m->user[user].against) {
        m->key[1].src = key->dst;
        m->key[1].dst = key->src;
        m->key[1].sport = key->dport;
        m->key[1].dport = key->sport;
    }
    return true;
}

/* What is told to have expired did so then. */
static void
check_expired(struct keeper *k, const uint64_t *state, uint64_t when)
{
    (void)k;
    CHECK_EQ(when, deadline_of[state[0]]);
    CHECK_EQ(state[1], ~state[0]);
    deadline_of[state[0]] = 0;
}

static void
check_find(struct rig *r, unsigned user, struct hg_packet *p)
{
    struct keeper *k = r->keeper[user];
    struct hg_flow *flow = hg_flow_find(k, p);
    struct hg_flow_key key;
    struct model_flow *m;
    int direction;

    REQUIRE(hg_flow_key_of(p, &key));
    CHECK((hg_flow_find_key(k, &key, p->time_ns) != NULL) == (flow != NULL));
    m = model_find(&key, p->time_ns, &direction);
    if (m && m->user[user].deadline <= p->time_ns)
        m = NULL;
    REQUIRE((m != NULL) == (flow != NULL));
    if (!flow)
        return;
    CHECK_EQ(*(uint64_t *)hg_flow_state(k, flow, p->time_ns),
             m->user[user].value);
    CHECK_EQ(hg_flow_is_reply(flow, p),
             (direction < 0) != m->user[user].against);
}

static void
check_create(struct rig *r, unsigned user, struct hg_packet *p)
{
    struct keeper *k = r->keeper[user];
    struct hg_flow *flow = hg_flow_create(k, p);
    uint64_t until = p->time_ns + 1 + (uint64_t)(rand() % 40) * HG_SEC / 4;
    struct hg_flow_key key;
    struct model_flow *m;
    struct model_interest *interest;
    uint64_t *state;

    REQUIRE(flow && hg_flow_key_of(p, &key));
    m = model_create(user, &key, p->time_ns);
    interest = &m->user[user];
    state = hg_flow_state(k, flow, p->time_ns);
    REQUIRE(CHECK_EQ(state[0], interest->value));
    if (!state[0]) {
        CHECK_EQ(state[1], 0);
        state[0] = interest->value = ++next_value;
        state[1] = ~state[0];
    }
    hg_flow_keep(k, flow, until);
    interest->deadline = deadline_of[state[0]] = until;
}

static void
check_end(struct rig *r, unsigned user, struct hg_packet *p)
{
    struct hg_flow *flow = hg_flow_find(r->keeper[user], p);
    struct hg_flow_key key;
    int direction;

    if (!flow)
        return;
    REQUIRE(hg_flow_key_of(p, &key));
    hg_flow_keep(r->keeper[user], flow, 0);
    model_end(model_find(&key, p->time_ns, &direction), user);
}

static void
check_add_key(struct rig *r, unsigned user, struct hg_packet *p,
              struct hg_packet *second)
{
    struct hg_flow *flow = hg_flow_find(r->keeper[user], p);
    struct hg_flow_key key, other;
    int direction;
    struct model_flow *m;

    if (!flow)
        return;
    REQUIRE(hg_flow_key_of(p, &key) && hg_flow_key_of(second, &other));
    m = model_find(&key, p->time_ns, &direction);
    CHECK_EQ(hg_flow_add_key(r->keeper[user], flow, &other, p->time_ns),
             model_add_key(m, user, &other, p->time_ns));
}

struct walk {
    size_t n;
    uint64_t sum;
};

static bool
walk_one(void *aux, struct hg_flow *flow, void *state)
{
    struct walk *w = aux;

    (void)flow;
    w->n++;
    w->sum += *(uint64_t *)state;
    return true;
}

static void
check_walk(struct rig *r, unsigned user)
{
    struct walk walk = {0, 0}, expected = {0, 0};
    size_t i;

    hg_flow_foreach(r->keeper[user], r->now, walk_one, &walk);
    for (i = 0; i < n_model; i++)
        if (model[i].user[user].deadline > r->now) {
            expected.n++;
            expected.sum += model[i].user[user].value;
        }
    CHECK_EQ(walk.n, expected.n);
    CHECK_EQ(walk.sum, expected.sum);
}

static void
make_packets(struct rig *r, struct hg_packet *packets[N_PACKETS])
{
    static const char *const ends[] = {"10.0.0.1:1", "10.0.0.1:2",
                                       "10.0.0.2:1", "10.9.0.1:2"};
    static const char *const ends6[] = {"[fd00::1]:1", "[fd00::1]:2",
                                        "[fd00::2]:1", "[a00:1::]:2"};
    unsigned i;

    for (i = 0; i < N_PACKETS; i++) {
        const char *const *e = i % 3 == 2 ? ends6 : ends;
        unsigned from = (unsigned)rand() % 4;
        unsigned to = (from + 1 + (unsigned)rand() % 3) % 4;
        char text[128];

        snprintf(text, sizeof text, "%s %s > %s%s", i % 5 ? "udp" : "tcp",
                 e[from], e[to], i % 5 ? "" : " S");
        packets[i] = packet(r, text);
        packets[i]->vpc = i % 2;
    }
}

/* Looks up all packets, so that those of no flow know that for a while. */
static void
look_ahead(struct rig *r, struct hg_packet *const *packets)
{
    struct hg_batch *b = calloc(1, sizeof *b);

    for (b->n = 0; b->n < N_PACKETS; b->n++) {
        b->p[b->n] = packets[b->n];
        b->p[b->n]->time_ns = r->now;
        hg_packet_forget_flow(b->p[b->n]);
    }
    hg_flow_find_batch(r->keeper[0], b);
    free(b);
}

static void
step(struct rig *r, struct hg_packet *const *packets)
{
    unsigned user = (unsigned)rand() % 2;
    struct hg_packet *p = packets[rand() % N_PACKETS];

    if (rand() % 8 == 0)
        look_ahead(r, packets);
    p->time_ns = r->now;
    if (p->flow || rand() % 4 == 0)
        hg_packet_forget_flow(p);
    switch (rand() % 16) {
    case 0:
        check_walk(r, user);
        break;
    case 1:
        check_end(r, user, p);
        break;
    case 2:
    case 3:
        check_add_key(r, user, p, packets[rand() % N_PACKETS]);
        break;
    case 4:
    case 5:
    case 6:
    case 7:
        check_find(r, user, p);
        check_find(r, !user, p);
        break;
    default:
        check_create(r, user, p);
        if (rand() % 2)
            check_create(r, !user, p);
    }
}

TEST(flows_are_what_a_list_of_them_would_be)
{
    struct hg_packet *packets[N_PACKETS];
    struct rig r;
    unsigned round, i;

    for (round = 0; round < 20; round++) {
        rig_init(&r, 2, 0);
        srand(round);
        n_model = 0;
        next_value = 0;
        memset(deadline_of, 0, sizeof deadline_of);
        r.keeper[0]->expired = r.keeper[1]->expired = check_expired;
        make_packets(&r, packets);
        for (i = 0; i < 5000; i++) {
            if (rand() % 2)
                rig_advance(&r, r.now + (uint64_t)rand() % HG_SEC);
            step(&r, packets);
        }
        CHECK(r.keeper[0]->n_expired > 100);
        rig_advance(&r, r.now + HG_MINUTE);
        CHECK_EQ(stats(&r).flows, 0);
        CHECK_EQ(stats(&r).evicted + stats(&r).refused, 0);
        for (i = 0; i < N_PACKETS; i++)
            hg_packet_free(packets[i]);
        rig_uninit(&r);
    }
}

/* ---- Sizes of batches ------------------------------------------------- */

enum { RUN_PACKETS = 6000 };

struct seen {
    uint64_t count;
    bool reply;
};

/* Two elements, one behind the other, that count the packets of flows, each
 * with timeouts of its own. */
static void
count_batch(struct keeper *k, struct hg_batch *b, uint64_t timeout,
            struct seen *seen)
{
    unsigned i;

    hg_flow_find_batch(k, b);
    for (i = 0; i < b->n; i++) {
        struct hg_packet *p = b->p[i];
        struct hg_flow *flow = hg_flow_create(k, p);
        uint64_t *state;

        REQUIRE(flow);
        state = hg_flow_state(k, flow, p->time_ns);
        seen[i] = (struct seen){++state[0], hg_flow_is_reply(flow, p)};
        /* Some packets do not prolong. */
        if (state[0] == 1 || p->len % 2)
            hg_flow_keep(k, flow, p->time_ns + timeout);
    }
}

static void
run_in_batches(unsigned size, struct seen *seen)
{
    struct hg_batch *b = calloc(1, sizeof *b);
    struct rig r;
    unsigned at, i;
    uint64_t times[RUN_PACKETS];

    rig_init(&r, 2, 0);
    srand(5);
    times[0] = START;
    for (at = 1; at < RUN_PACKETS; at++)
        times[at] = times[at - 1] + (uint64_t)rand() % (50 * HG_MSEC);
    for (at = 0; at < RUN_PACKETS; at += b->n) {
        rig_advance(&r, times[at]);
        for (b->n = 0; b->n < size && at + b->n < RUN_PACKETS; b->n++) {
            char text[128];
            unsigned v = ((at + b->n) * 2654435761u) >> 16;

            if (b->n && times[at + b->n] >= hg_graph_next_timer(r.graph))
                break;
            snprintf(text, sizeof text, "udp 10.0.0.%u:1 > 10.0.0.%u:1 len %u",
                     1 + v % 4, 1 + v / 4 % 4, v / 16 % 8);
            b->p[b->n] = packet(&r, text);
            b->p[b->n]->time_ns = times[at + b->n];
        }
        count_batch(r.keeper[0], b, 300 * HG_MSEC, &seen[at * 2]);
        count_batch(r.keeper[1], b, 310 * HG_MSEC, &seen[at * 2 + b->n]);
        for (i = 0; i < b->n; i++)
            hg_packet_free(b->p[i]);
    }
    free(b);
    rig_uninit(&r);
}

TEST(the_size_of_batches_does_not_matter)
{
    static const unsigned sizes[] = {7, 64, 256};
    static struct seen one[2 * RUN_PACKETS], many[2 * RUN_PACKETS];
    uint64_t fresh = 0, replies = 0;
    size_t i, k;

    run_in_batches(1, one);
    for (i = 0; i < 2 * RUN_PACKETS; i++) {
        fresh += one[i].count == 1;
        replies += one[i].reply;
    }
    CHECK(fresh > 500 && replies > 500);
    for (k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
        uint64_t sum = 0, sum_one = 0;

        /* Packets of one element stand together in each batch: compare what
         * each packet saw by a sum over its place. */
        run_in_batches(sizes[k], many);
        for (i = 0; i < 2 * RUN_PACKETS; i++) {
            sum += many[i].count * many[i].count * 2 + many[i].reply;
            sum_one += one[i].count * one[i].count * 2 + one[i].reply;
        }
        CHECK_EQ(sum, sum_one);
    }
}
