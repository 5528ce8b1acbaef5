/* flow_table.c: where the records of the flow service live (flow_table.h):
 * memory, eviction and the sweep.  flow.c is what elements call.
 *
 * Records never move and are numbered from 0 as they are first used.  None is
 * looked at without bound: the sweep takes a part of the table at a time, and
 * who makes room looks at a few. */
#include <stdlib.h>
#include <string.h>

#include "flow_table.h"

enum {
    CANDIDATES = 8,   /* Unconfirmed flows compared to evict one, */
    QUEUE_LOOKS = 64, /* ... out of so many of the queue. */
    QUICK_LOOKS = 8,  /* Records looked at for one that has run out, */
    LOOKS = 64,       /* ... before and after unconfirmed ones. */
    SWEEP_MAX = 8192, /* Records looked at in one round of the sweep. */
    SWEEP_ROUNDS = 16 /* Seconds until every record was looked at. */
};

#define SWEEP_INTERVAL HG_SEC
#define DEFAULT_LIMIT UINT64_C(1048576)
#define MAX_LIMIT (UINT32_MAX / 4) /* Two links each fit 32 bits. */

bool
flow_table_is_wanted(const struct flow_table *t, const struct hg_flow *flow,
                     uint64_t now_ns)
{
    size_t i;

    for (i = 0; i < t->n_users; i++)
        if (*flow_table_deadline(t, flow, i) > now_ns)
            return true;
    return false;
}

void
flow_table_set_key(struct flow_table *t, struct hg_flow *flow, unsigned k,
                   const struct flow_tuple *key)
{
    struct hg_flow_ends ends = key->ends;

    if (key->kind & FLOW_SIX) {
        ends.wide = &t->wide[k][flow->number];
        t->wide[k][flow->number] = key->wide;
        flow_note_used(&t->n_wide, flow);
    }
    flow_set_kind(flow, k, key->kind);
    if (k) {
        flow->has_second = true;
        if (!t->users[flow->second_user].second)
            flow_note_used(&t->n_second, flow);
    }
    *flow_ends_of(t, flow, k) = ends;
    flow_index_add(&t->index, flow->number, k, key->hash);
}

static void
remove_key(struct flow_table *t, struct hg_flow *flow, unsigned k)
{
    flow_index_remove(
        &t->index, flow->number, k,
        flow_ends_hash(flow_ends_of(t, flow, k), flow_kind(flow, k), t->seed));
}

void
flow_table_drop_second(struct flow_table *t, struct hg_flow *flow)
{
    if (!flow->has_second && !flow->second_is_first)
        return;
    if (flow->has_second)
        remove_key(t, flow, 1);
    flow->has_second = flow->second_is_first = false;
    flow_count_second(flow);
    flow_verdicts_clear(t, flow);
}

void
flow_table_end_interest(struct flow_table *t, struct hg_flow *flow,
                        unsigned user, uint64_t now_ns, bool tell)
{
    struct flow_user *u = &t->users[user];
    uint64_t when = *flow_table_deadline(t, flow, user);
    void *bytes = flow_table_bytes(t, flow, user);

    *flow_table_deadline(t, flow, user) = 0;
    if (tell && u->element->cls->flow_expired)
        u->element->cls->flow_expired(hg_element_self(u->element), bytes,
                                      when < now_ns ? when : now_ns);
    if (flow->second_user == user)
        flow_table_drop_second(t, flow);
    memset(bytes, 0, u->size);
}

void
flow_table_release(struct flow_table *t, struct hg_flow *flow, uint64_t now_ns)
{
    unsigned i;

    for (i = 0; i < t->n_users; i++)
        if (*flow_table_deadline(t, flow, i))
            flow_table_end_interest(t, flow, i, now_ns, true);
    remove_key(t, flow, 0);
    flow_table_drop_second(t, flow);
    flow->used = false;
    flow_use_anew(flow);
    flow->ends.addr[0] = t->free;
    t->free = flow->number + 1;
    t->n_used--;
}

/* ---- Room ------------------------------------------------------------- */

static uint32_t
queue_at(const struct flow_table *t, uint32_t i)
{
    uint64_t at = (uint64_t)t->queue_head + i;

    return t->queue[at < t->limit ? at : at - t->limit];
}

void
flow_table_queue(struct flow_table *t, struct hg_flow *flow)
{
    uint64_t at = (uint64_t)t->queue_head + t->queue_length;

    if (flow->queued)
        return;
    flow->queued = true;
    t->queue[at < t->limit ? at : at - t->limit] = flow->number;
    t->queue_length++;
}

/* Takes the first record off the queue. */
static struct hg_flow *
dequeue(struct flow_table *t)
{
    struct hg_flow *flow = flow_table_record(t, queue_at(t, 0));

    if (++t->queue_head == t->limit)
        t->queue_head = 0;
    t->queue_length--;
    flow->queued = false;
    return flow;
}

static bool
is_candidate(const struct hg_flow *flow)
{
    return flow->used && !flow->confirmed;
}

/* Takes off the queue up to 'n' first records that are no candidates. */
static void
clear_queue(struct flow_table *t, uint64_t n)
{
    while (t->queue_length && n-- &&
           !is_candidate(flow_table_record(t, queue_at(t, 0))))
        dequeue(t);
    if (t->queue_length) /* For the next time. */
        __builtin_prefetch(flow_table_record(t, queue_at(t, 0)), 1);
}

static uint64_t
last_deadline(const struct flow_table *t, const struct hg_flow *flow)
{
    uint64_t latest = 0;
    size_t i;

    for (i = 0; i < t->n_users; i++) {
        uint64_t deadline = *flow_table_deadline(t, flow, i);

        if (deadline > latest)
            latest = deadline;
    }
    return latest;
}

/* Of a few unconfirmed flows the one that would end first, or NULL. */
static struct hg_flow *
choose_victim(struct flow_table *t)
{
    struct hg_flow *victim = NULL;
    uint32_t length = t->queue_length, looks, i, n = 0;

    looks = length < QUEUE_LOOKS ? length : QUEUE_LOOKS;
    for (i = 0; i < CANDIDATES && i < looks; i++)
        __builtin_prefetch(flow_table_record(t, queue_at(t, i)), 1);
    for (i = 0; i < looks && n < CANDIDATES; i++) {
        struct hg_flow *flow = dequeue(t);

        if (i + CANDIDATES < looks)
            __builtin_prefetch(
                flow_table_record(t, queue_at(t, CANDIDATES - 1)), 1);
        if (!is_candidate(flow))
            continue;
        n++;
        if (!victim || last_deadline(t, flow) < last_deadline(t, victim)) {
            struct hg_flow *other = victim;

            victim = flow;
            flow = other;
        }
        if (flow)
            flow_table_queue(t, flow);
    }
    return victim;
}

/* The next record in turn. */
static struct hg_flow *
next_in_turn(struct flow_table *t)
{
    if (t->hand >= t->n_begun)
        t->hand = 0;
    return flow_table_record(t, t->hand++);
}

/* Ends one of the next 'n' records if it has run out. */
static bool
release_expired(struct flow_table *t, unsigned n, uint64_t now_ns)
{
    unsigned i;

    for (i = 0; i < n && i < t->n_begun; i++) {
        struct hg_flow *flow = next_in_turn(t);

        if (flow->used && !flow_table_is_wanted(t, flow, now_ns)) {
            flow_table_release(t, flow, now_ns);
            return true;
        }
    }
    return false;
}

/* Makes room by ending a record that has run out or that nobody confirmed. */
static bool
make_room(struct flow_table *t, uint64_t now_ns)
{
    struct hg_flow *victim;

    if (release_expired(t, QUICK_LOOKS, now_ns))
        return true;
    victim = choose_victim(t);
    if (!victim)
        return release_expired(t, LOOKS, now_ns);
    if (flow_table_is_wanted(t, victim, now_ns))
        t->evicted++;
    flow_table_release(t, victim, now_ns);
    return true;
}

struct hg_flow *
flow_table_take(struct flow_table *t, uint64_t now_ns)
{
    struct hg_flow *flow;
    uint64_t number;

    if (t->n_used >= t->limit && !make_room(t, now_ns)) {
        t->refused++;
        return NULL;
    }
    number = t->free ? t->free - 1 : t->n_begun++;
    flow = flow_table_record(t, number);
    if (t->free)
        t->free = flow->ends.addr[0];
    if (t->free)
        __builtin_prefetch(flow_table_record(t, t->free - 1), 1);
    /* An empty table is not swept. */
    if (!t->sweep.pending || t->sweep.deadline_ns > now_ns + SWEEP_INTERVAL)
        hg_wheel_set(t->graph->wheel, &t->sweep, now_ns + SWEEP_INTERVAL);
    t->n_used++;
    flow->number = (uint32_t)number;
    flow->used = true;
    flow->confirmed = false;
    flow->has_second = flow->second_is_first = false;
    flow->first_against = false;
    flow->against = 0;
    flow_verdicts_clear(t, flow);
    clear_queue(t, 2);
    flow_table_queue(t, flow);
    return flow;
}

bool
flow_table_is_short(const struct hg_graph *g, uint64_t n)
{
    return g->flows && g->flows->limit - g->flows->n_used < n;
}

/* ---- The table's life ------------------------------------------------- */

struct flow_table *
flow_table_get(struct hg_graph *g)
{
    if (!g->flows) {
        g->flows = xcalloc(1, sizeof *g->flows);
        g->flows->graph = g;
        g->flows->limit = DEFAULT_LIMIT;
    }
    return g->flows;
}

bool
hg_flow_declare(void *self, size_t size)
{
    struct hg_element *e = hg_element_of(self);
    struct flow_table *t = flow_table_get(e->graph);

    if (t->n_users == FLOW_USERS)
        return hg_config_error(self, NULL, -1,
                               "at most %d elements of a graph keep flows; "
                               "leave one out",
                               FLOW_USERS);
    t->users = xrealloc(t->users, (t->n_users + 1) * sizeof *t->users);
    t->users[t->n_users++] =
        (struct flow_user){.element = e, .size = (size + 7) & ~(size_t)7};
    e->flow_user = (uint32_t)t->n_users;
    if (e->graph->span_ns > SWEEP_INTERVAL)
        e->graph->span_ns = SWEEP_INTERVAL;
    return true;
}

void
hg_flow_declare_seldom(void *self, size_t size)
{
    struct hg_element *e = hg_element_of(self);

    e->graph->flows->users[e->flow_user - 1].seldom_size = size;
}

void
hg_flow_declare_second(void *self, size_t offset)
{
    struct hg_element *e = hg_element_of(self);

    e->graph->flows->users[e->flow_user - 1].second =
        sizeof(uint64_t) + offset; /* In its block. */
}

void
hg_flow_limit(void *self, uint64_t max_flows)
{
    struct flow_table *t = flow_table_get(hg_element_of(self)->graph);

    if (max_flows > MAX_LIMIT)
        max_flows = MAX_LIMIT;
    if (!t->limited || max_flows > t->limit)
        t->limit = max_flows;
    t->limited = true;
}

void
hg_flow_get_stats(const void *self, struct hg_flow_stats *out)
{
    const struct flow_table *t = element_of(self)->graph->flows;
    size_t i;

    *out = (struct hg_flow_stats){
        .flows = t->n_used,
        .limit = t->limit,
        .evicted = t->evicted,
        .refused = t->refused,
        .bytes = t->n_begun * (t->record_size + sizeof *t->queue) +
                 t->n_second * sizeof *t->second +
                 t->n_wide * 2 * sizeof *t->wide[0] +
                 flow_index_bytes(&t->index)};
    for (i = 0; i < t->n_users; i++)
        out->bytes += t->users[i].n_seldom * t->users[i].seldom_size;
}

/* How long after a round of the sweep the next is due. */
static uint64_t
sweep_interval(const struct flow_table *t)
{
    uint64_t rounds = t->n_begun / SWEEP_MAX + 1;

    return rounds < SWEEP_ROUNDS ? SWEEP_INTERVAL
                                 : SWEEP_ROUNDS * SWEEP_INTERVAL / rounds;
}

/* Looks at a share of the table in each round and frees what has expired. */
static void
sweep(void *owner, struct hg_timer *timer, uint64_t now_ns)
{
    struct flow_table *t = owner;
    uint64_t share = t->n_begun / SWEEP_ROUNDS + 1, i;

    if (share > SWEEP_MAX)
        share = SWEEP_MAX;
    clear_queue(t, share);
    for (i = 0; i < share && t->n_begun; i++) {
        struct hg_flow *flow = next_in_turn(t);

        if (flow->used && !flow_table_is_wanted(t, flow, now_ns))
            flow_table_release(t, flow, now_ns);
    }
    if (t->n_used)
        hg_wheel_set(t->graph->wheel, timer, now_ns + sweep_interval(t));
}

static void *
reserve(uint64_t size)
{
    return hg_memory_reserve(size, FLOW_SMALL);
}

static void
release(void *p, uint64_t size)
{
    hg_memory_release(p, size, FLOW_SMALL);
}

/* Cache lines are counted from the beginning of a record, if all are equally
 * far from the beginning of one; halves of them are in any case. */
static void
add_line(const struct flow_table *t, struct flow_lines *lines, size_t at)
{
    const size_t unit = t->record_size % 64 ? 32 : 64;
    unsigned i;

    for (i = 0; i < lines->n; i++)
        if (lines->at[i] / unit == at / unit)
            return;
    if (lines->n < sizeof lines->at / sizeof *lines->at)
        lines->at[lines->n++] = (uint32_t)at;
}

/* Lists what the user needs of a record: its block and what is the
 * service's. */
static void
list_lines(const struct flow_table *t, struct flow_user *u)
{
    const size_t last = u->offset + sizeof(uint64_t) + u->size - 1;
    size_t at;

    for (at = u->offset; at < last; at += 64)
        add_line(t, &u->lines, at);
    add_line(t, &u->lines, last);
    u->lines.n_block = u->lines.n;
    add_line(t, &u->lines, 0);
}

/* Says where in a record what is. */
static void
lay_out(struct flow_table *t)
{
    size_t i, size = sizeof(struct hg_flow);

    for (i = 0; i < t->n_users; i++) {
        t->users[i].offset = size;
        t->users[i].element->flow_offset = (uint32_t)size;
        if (t->users[i].second)
            t->second_place = t->users[i].second += size;
        size += sizeof(uint64_t) + t->users[i].size;
    }
    t->verdict_offset = size;
    t->verdict_size = flow_verdicts_lay_out(t);
    size += 2 * t->verdict_size;
    /* Whole halves of cache lines: none that could be spared is touched.  What
     * is longer than two lines begins with one, so that those who need its
     * first parts meet two. */
    t->record_size =
        size > 128 ? (size + 63) & ~(size_t)63 : (size + 31) & ~(size_t)31;
    for (i = 0; i < t->n_users; i++)
        list_lines(t, &t->users[i]);
}

static bool
reserve_arrays(struct flow_table *t)
{
    uint64_t n = t->n_reserved;
    bool ok;
    size_t i;

    t->records = reserve(n * t->record_size);
    t->queue = reserve(n * sizeof *t->queue);
    t->second = reserve(n * sizeof *t->second);
    t->wide[0] = reserve(n * sizeof *t->wide[0]);
    t->wide[1] = reserve(n * sizeof *t->wide[1]);
    ok = flow_index_init(&t->index, n) && t->records && t->queue &&
         t->second && t->wide[0] && t->wide[1];
    for (i = 0; i < t->n_users; i++) {
        struct flow_user *u = &t->users[i];

        if (u->seldom_size)
            ok &= (u->seldom = reserve(n * u->seldom_size)) != NULL;
    }
    return ok;
}

bool
flow_table_start(struct hg_graph *g, struct hg_error *error)
{
    struct flow_table *t = g->flows;

    if (!t || !t->n_users)
        return true;
    lay_out(t);
    t->seed = hash_seed_of(g->seed);
    t->limit = (t->limit + g->n_workers - 1) / g->n_workers;
    t->n_reserved = t->limit;
    t->sweep = (struct hg_timer){
        .fn = sweep, .owner = t, .deadline_ns = HG_NEVER, .order = UINT32_MAX};
    return reserve_arrays(t) ||
           hg_error_set(error,
                        "there is no address space for %llu flows; lower "
                        "their limit",
                        (unsigned long long)t->limit);
}

void
flow_table_settle(struct hg_graph *g)
{
    struct flow_table *t = g->flows;
    uint64_t now_ns = hg_graph_now(g), i;

    for (i = 0; t && i < t->n_begun; i++) {
        struct hg_flow *flow = flow_table_record(t, i);

        if (flow->used && !flow_table_is_wanted(t, flow, now_ns))
            flow_table_release(t, flow, now_ns);
    }
}

void
flow_table_destroy(struct hg_graph *g)
{
    struct flow_table *t = g->flows;
    uint64_t n;
    size_t i;

    if (!t)
        return;
    n = t->n_reserved;
    flow_index_uninit(&t->index, n);
    release(t->records, n * t->record_size);
    release(t->queue, n * sizeof *t->queue);
    release(t->second, n * sizeof *t->second);
    release(t->wide[0], n * sizeof *t->wide[0]);
    release(t->wide[1], n * sizeof *t->wide[1]);
    for (i = 0; i < t->n_users; i++)
        release(t->users[i].seldom, n * t->users[i].seldom_size);
    free(t->users);
    free(t->verdicts);
    free(t);
}
