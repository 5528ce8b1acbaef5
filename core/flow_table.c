/* flow_table.c: where the records of the flow service live (flow_table.h):
 * memory, chains, eviction and the sweep.  flow.c is what elements call.
 *
 * Records live in chunks and never move.  A hash table with chains leads to
 * them by either of their two keys; a link is a record's number times two plus
 * the number of the key plus one, so that zero ends a chain.  Behind the
 * record's header lie the deadline of each user (an element that declared
 * state), the users' bytes, and the second key. */
#include <stdlib.h>
#include <string.h>

#include "flow_table.h"

enum {
    CANDIDATES = 8,   /* Unconfirmed flows compared to evict one. */
    QUICK_LOOKS = 8,  /* Records looked at for one that has run out, */
    LOOKS = 64,       /* ... before and after unconfirmed ones. */
    MAX_USERS = 32,   /* Bits of hg_flow.against. */
    SWEEP_ROUNDS = 16 /* Timer rounds until every record was looked at. */
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
        if (flow->deadline[i] > now_ns)
            return true;
    return false;
}

void
flow_table_link(struct flow_table *t, struct hg_flow *flow, unsigned k)
{
    uint32_t *head = &t->heads[flow->hash[k] & (t->n_heads - 1)];

    flow->next[k] = *head;
    *head = flow->number * 2 + k + 1;
}

static void
unlink_key(struct flow_table *t, struct hg_flow *flow, unsigned k)
{
    uint32_t *link = &t->heads[flow->hash[k] & (t->n_heads - 1)];

    while (*link != flow->number * 2 + k + 1)
        link = &flow_table_record(t, (*link - 1) / 2)->next[(*link - 1) & 1];
    *link = flow->next[k];
}

void
flow_table_drop_second(struct flow_table *t, struct hg_flow *flow)
{
    if (flow->has_second)
        unlink_key(t, flow, 1);
    flow->has_second = false;
}

static void
grow_heads(struct flow_table *t)
{
    uint64_t i;

    free(t->heads);
    t->n_heads = t->n_heads ? t->n_heads * 2 : FLOW_CHUNK;
    t->heads = xcalloc(t->n_heads, sizeof *t->heads);
    for (i = 0; i < t->n_begun; i++) {
        struct hg_flow *flow = flow_table_record(t, i);

        if (!flow->used)
            continue;
        flow_table_link(t, flow, 0);
        if (flow->has_second)
            flow_table_link(t, flow, 1);
    }
}

/* One more chunk of records; false without memory. */
static bool
grow(struct flow_table *t)
{
    uint64_t n_chunks = t->n_made / FLOW_CHUNK;
    uint8_t *chunk = aligned_alloc(64, FLOW_CHUNK * t->record_size);

    if (!chunk)
        return false;
    memset(chunk, 0, FLOW_CHUNK * t->record_size);
    t->chunks = xrealloc(t->chunks, (n_chunks + 1) * sizeof *t->chunks);
    t->chunks[n_chunks] = chunk;
    t->n_made += FLOW_CHUNK;
    t->free = xrealloc(t->free, t->n_made * sizeof *t->free);
    if (t->n_made > t->n_heads)
        grow_heads(t);
    return true;
}

void
flow_table_end_interest(struct flow_table *t, struct hg_flow *flow,
                        unsigned user, uint64_t now_ns, bool tell)
{
    struct user *u = &t->users[user];
    uint64_t when = flow->deadline[user];
    void *bytes = flow_table_bytes(t, flow, user);

    flow->deadline[user] = 0;
    if (tell && u->element->cls->flow_expired)
        u->element->cls->flow_expired(hg_element_self(u->element), bytes,
                                      when < now_ns ? when : now_ns);
    memset(bytes, 0, u->size);
    if (flow->second_user == user)
        flow_table_drop_second(t, flow);
}

void
flow_table_release(struct flow_table *t, struct hg_flow *flow, uint64_t now_ns)
{
    unsigned i;

    for (i = 0; i < t->n_users; i++)
        if (flow->deadline[i])
            flow_table_end_interest(t, flow, i, now_ns, true);
    unlink_key(t, flow, 0);
    flow_table_drop_second(t, flow);
    flow->used = false;
    flow->generation++;
    t->free[t->n_free++] = flow->number;
    t->n_used--;
}

struct hg_flow *
flow_table_find(const struct flow_table *t, const struct normal_key *key,
                uint32_t hash, uint64_t now_ns, unsigned *which)
{
    uint32_t link = t->heads[hash & (t->n_heads - 1)];

    while (link) {
        struct hg_flow *flow = flow_table_record(t, (link - 1) / 2);
        unsigned k = (link - 1) & 1;

        link = flow->next[k];
        if (flow->hash[k] != hash ||
            memcmp(flow_table_key(t, flow, k), key, sizeof *key) != 0)
            continue;
        /* A second key ends with the interest of who added it. */
        if (k && flow->deadline[flow->second_user] <= now_ns)
            continue;
        *which = k;
        return flow;
    }
    return NULL;
}

/* ---- Room ------------------------------------------------------------- */

void
flow_table_queue(struct flow_table *t, struct hg_flow *flow)
{
    uint32_t link = flow->number + 1;

    if (flow->queued)
        return;
    flow->queued = true;
    flow->queue_next = 0;
    if (t->queue_tail)
        flow_table_record(t, t->queue_tail - 1)->queue_next = link;
    else
        t->queue_head = link;
    t->queue_tail = link;
}

/* The unconfirmed flow that was queued longest, or NULL. */
static struct hg_flow *
dequeue(struct flow_table *t)
{
    while (t->queue_head) {
        struct hg_flow *flow = flow_table_record(t, t->queue_head - 1);

        t->queue_head = flow->queue_next;
        if (!t->queue_head)
            t->queue_tail = 0;
        flow->queued = false;
        if (flow->used && !flow->confirmed)
            return flow;
    }
    return NULL;
}

static uint64_t
last_deadline(const struct flow_table *t, const struct hg_flow *flow)
{
    uint64_t latest = 0;
    size_t i;

    for (i = 0; i < t->n_users; i++)
        if (flow->deadline[i] > latest)
            latest = flow->deadline[i];
    return latest;
}

/* Of a few unconfirmed flows the one that would end first, or NULL. */
static struct hg_flow *
choose_victim(struct flow_table *t)
{
    struct hg_flow *victim = NULL, *flow;
    unsigned i;

    for (i = 0; i < CANDIDATES && (flow = dequeue(t)) != NULL; i++) {
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

/* Ends one of the next 'n' records if it has run out. */
static bool
release_expired(struct flow_table *t, unsigned n, uint64_t now_ns)
{
    unsigned i;

    for (i = 0; i < n && i < t->n_begun; i++) {
        struct hg_flow *flow = flow_table_record(t, t->hand++ % t->n_begun);

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

    if ((t->n_used >= t->limit && !make_room(t, now_ns)) ||
        (!t->n_free && t->n_begun == t->n_made && !grow(t))) {
        t->refused++;
        return NULL;
    }
    number = t->n_free ? t->free[--t->n_free] : t->n_begun++;
    flow = flow_table_record(t, number);
    /* An empty table is not swept. */
    if (!t->sweep.pending || t->sweep.deadline_ns > now_ns + SWEEP_INTERVAL)
        hg_wheel_set(t->graph->wheel, &t->sweep, now_ns + SWEEP_INTERVAL);
    t->n_used++;
    flow->number = (uint32_t)number;
    flow->used = true;
    flow->confirmed = false;
    flow->has_second = false;
    flow->first_against = false;
    flow->against = 0;
    flow_table_queue(t, flow);
    return flow;
}

/* ---- The table's life ------------------------------------------------- */

static struct flow_table *
get_table(struct hg_graph *g)
{
    if (!g->flows) {
        g->flows = xcalloc(1, sizeof *g->flows);
        g->flows->graph = g;
        g->flows->limit = DEFAULT_LIMIT;
        if (g->span_ns > SWEEP_INTERVAL)
            g->span_ns = SWEEP_INTERVAL;
    }
    return g->flows;
}

bool
hg_flow_declare(void *self, size_t size)
{
    struct hg_element *e = hg_element_of(self);
    struct flow_table *t = get_table(e->graph);

    if (t->n_users == MAX_USERS)
        return hg_config_error(self, NULL, -1,
                               "at most %d elements of a graph keep flows; "
                               "leave one out",
                               MAX_USERS);
    t->users = xrealloc(t->users, (t->n_users + 1) * sizeof *t->users);
    t->users[t->n_users++] = (struct user){e, 0, (size + 7) & ~(size_t)7};
    e->flow_user = (uint32_t)t->n_users;
    return true;
}

void
hg_flow_limit(void *self, uint64_t max_flows)
{
    struct flow_table *t = get_table(hg_element_of(self)->graph);

    if (max_flows > MAX_LIMIT)
        max_flows = MAX_LIMIT;
    if (!t->limited || max_flows > t->limit)
        t->limit = max_flows;
    t->limited = true;
}

void
hg_flow_get_stats(const void *self, struct hg_flow_stats *out)
{
    const struct flow_table *t =
        hg_element_of((void *)(uintptr_t)self)->graph->flows;

    *out = (struct hg_flow_stats){
        .flows = t->n_used,
        .limit = t->limit,
        .evicted = t->evicted,
        .refused = t->refused,
        .bytes = t->n_made * (t->record_size + sizeof *t->free) +
                 t->n_heads * sizeof *t->heads};
}

/* Looks at a share of the table in each round and frees what has expired. */
static void
sweep(void *owner, struct hg_timer *timer, uint64_t now_ns)
{
    struct flow_table *t = owner;
    uint64_t share = t->n_begun / SWEEP_ROUNDS + 1, i;

    for (i = 0; i < share && t->n_begun; i++) {
        struct hg_flow *flow = flow_table_record(t, t->hand++ % t->n_begun);

        if (flow->used && !flow_table_is_wanted(t, flow, now_ns))
            flow_table_release(t, flow, now_ns);
    }
    if (t->n_used)
        hg_wheel_set(t->graph->wheel, timer, now_ns + SWEEP_INTERVAL);
}

void
flow_table_start(struct hg_graph *g)
{
    struct flow_table *t = g->flows;
    size_t i, size;

    if (!t)
        return;
    size = sizeof(struct hg_flow) + t->n_users * sizeof(uint64_t);
    for (i = 0; i < t->n_users; i++) {
        t->users[i].offset = size;
        size += t->users[i].size;
    }
    t->second_offset = size;
    t->record_size = (size + sizeof(struct normal_key) + 63) & ~(size_t)63;
    grow_heads(t);
    t->sweep = (struct hg_timer){
        .fn = sweep, .owner = t, .deadline_ns = HG_NEVER, .order = UINT32_MAX};
}

void
flow_table_destroy(struct hg_graph *g)
{
    struct flow_table *t = g->flows;
    uint64_t i;

    if (!t)
        return;
    for (i = 0; i < t->n_made / FLOW_CHUNK; i++)
        free(t->chunks[i]);
    free(t->chunks);
    free(t->free);
    free(t->heads);
    free(t->users);
    free(t);
}
