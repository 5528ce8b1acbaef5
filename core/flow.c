/* flow.c: the flow service; flow.h says what it promises.
 *
 * Records live in chunks and never move.  A hash table with chains leads to
 * them by either of their two keys; a link is a record's number times two plus
 * the number of the key plus one, so that zero ends a chain.  Behind the
 * record's header lie the deadline of each user (an element that declared
 * state), the users' bytes, and the second key.
 *
 * Several users share a record, and a whole batch is with one of them before
 * the next sees its first packet.  So that results do not depend on the size
 * of batches, a user is told only about its own interest in a record, which
 * nobody else can end, and looking up changes nothing: a record whose users
 * have all lost interest stays until the sweep (a timer, which no batch spans)
 * or until room is needed. */
#include <stdlib.h>
#include <string.h>

#include <headgate/flow.h>

#include "graph_internal.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

enum {
    CHUNK = 4096,       /* Records allocated at once. */
    CANDIDATES = 8,     /* Unconfirmed flows compared to evict one. */
    EXPIRED_LOOKS = 64, /* Others looked at for one that has run out. */
    MAX_USERS = 32,     /* Bits of hg_flow.against. */
    SWEEP_ROUNDS = 16   /* Timer rounds until every record was looked at. */
};

#define SWEEP_INTERVAL HG_SEC
#define DEFAULT_LIMIT UINT64_C(1048576)
#define MAX_LIMIT (UINT32_MAX / 4) /* Two links each fit 32 bits. */

/* A key with its ends in a fixed order; no padding, so that it can be hashed
 * and compared as bytes. */
struct normal_key {
    uint8_t low[16];
    uint8_t high[16];
    uint16_t low_port;
    uint16_t high_port;
    uint32_t vpc;
    uint8_t family;
    uint8_t protocol;
    uint8_t zero[2];
};

_Static_assert(sizeof(struct normal_key) == 44, "keys must have no padding");

/* The first cache line is all that a lookup needs. */
struct hg_flow {
    uint32_t next[2]; /* Links of the chains of both keys. */
    uint32_t hash[2];
    struct normal_key key;
    uint32_t generation; /* Advances when the record is used anew. */
    uint32_t number;
    uint32_t against;     /* Bit u: the first packet of user u travelled
                           * against the one that made the record. */
    uint32_t second_user; /* Who added the second key, */
    bool has_second;      /* if there is one. */
    bool queued;          /* Is in the queue of unconfirmed flows, */
    uint32_t queue_next;  /* before this one, + 1. */
    bool swapped[2];      /* The source of 'against' 0 is 'high'. */
    bool first_against;   /* As 'against', of the flow as a whole. */
    bool confirmed;
    bool used;
    uint64_t deadline[]; /* By user; 0: no interest. */
};

struct user {
    struct hg_element *element;
    size_t offset; /* Of its bytes in the record. */
    size_t size;
};

struct flow_table {
    struct hg_graph *graph;
    uint8_t **chunks;
    size_t record_size;
    size_t second_offset; /* Of the second key in a record. */
    uint64_t n_made;      /* Records there is memory for, */
    uint64_t n_begun;     /* ... of which these were ever used, */
    uint64_t n_used;      /* ... and these are now. */
    uint64_t limit;
    bool limited;   /* Somebody set the limit. */
    uint32_t *free; /* Numbers of records no longer used, a stack. */
    uint64_t n_free;
    uint32_t *heads;
    uint64_t n_heads;    /* A power of two. */
    uint64_t hand;       /* Sweep and eviction go round from here. */
    uint32_t queue_head; /* Unconfirmed flows, + 1; those that have ended or
                          * were confirmed leave it when they come up. */
    uint32_t queue_tail;
    uint64_t evicted;
    uint64_t refused;
    struct user *users;
    size_t n_users;
    struct hg_timer sweep;
};

/* ---- Keys ------------------------------------------------------------- */

/* Returns whether the source became 'high'. */
static bool
normalise(const struct hg_flow_key *key, struct normal_key *out)
{
    int order = memcmp(key->src.byte, key->dst.byte, sizeof key->src.byte);
    bool swap = order > 0 || (!order && key->sport > key->dport);
    const struct hg_addr *low = swap ? &key->dst : &key->src;
    const struct hg_addr *high = swap ? &key->src : &key->dst;

    *out = (struct normal_key){.low_port = swap ? key->dport : key->sport,
                               .high_port = swap ? key->sport : key->dport,
                               .vpc = key->vpc,
                               .family = key->src.family,
                               .protocol = key->protocol};
    memcpy(out->low, low->byte, sizeof out->low);
    memcpy(out->high, high->byte, sizeof out->high);
    return swap;
}

static uint32_t
hash_key(const struct flow_table *t, const struct normal_key *key)
{
    return (uint32_t)XXH3_64bits_withSeed(key, sizeof *key, t->graph->seed);
}

/* ---- Records ---------------------------------------------------------- */

static struct flow_table *
table_of(const void *self)
{
    return hg_element_of((void *)(uintptr_t)self)->graph->flows;
}

static unsigned
user_of(const void *self)
{
    const struct hg_element *e = hg_element_of((void *)(uintptr_t)self);

    if (!e->flow_user) {
        fprintf(stderr,
                "headgate: class %s uses flows without hg_flow_declare(); "
                "its author must fix it\n",
                e->cls->name);
        abort();
    }
    return e->flow_user - 1;
}

static struct hg_flow *
record(const struct flow_table *t, uint64_t number)
{
    return (struct hg_flow *)(void *)(t->chunks[number / CHUNK] +
                                      number % CHUNK * t->record_size);
}

static void *
user_bytes(const struct flow_table *t, struct hg_flow *flow, size_t user)
{
    return (uint8_t *)flow + t->users[user].offset;
}

static struct normal_key *
key_at(const struct flow_table *t, struct hg_flow *flow, unsigned k)
{
    return k ? (void *)((uint8_t *)flow + t->second_offset) : &flow->key;
}

static bool
is_wanted(const struct flow_table *t, const struct hg_flow *flow,
          uint64_t now_ns)
{
    size_t i;

    for (i = 0; i < t->n_users; i++)
        if (flow->deadline[i] > now_ns)
            return true;
    return false;
}

static void
link_key(struct flow_table *t, struct hg_flow *flow, unsigned k)
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
        link = &record(t, (*link - 1) / 2)->next[(*link - 1) & 1];
    *link = flow->next[k];
}

static void
drop_second_key(struct flow_table *t, struct hg_flow *flow)
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
    t->n_heads = t->n_heads ? t->n_heads * 2 : CHUNK;
    t->heads = xcalloc(t->n_heads, sizeof *t->heads);
    for (i = 0; i < t->n_begun; i++) {
        struct hg_flow *flow = record(t, i);

        if (!flow->used)
            continue;
        link_key(t, flow, 0);
        if (flow->has_second)
            link_key(t, flow, 1);
    }
}

/* One more chunk of records; false without memory. */
static bool
grow(struct flow_table *t)
{
    uint64_t n_chunks = t->n_made / CHUNK;
    uint8_t *chunk = aligned_alloc(64, CHUNK * t->record_size);

    if (!chunk)
        return false;
    memset(chunk, 0, CHUNK * t->record_size);
    t->chunks = xrealloc(t->chunks, (n_chunks + 1) * sizeof *t->chunks);
    t->chunks[n_chunks] = chunk;
    t->n_made += CHUNK;
    t->free = xrealloc(t->free, t->n_made * sizeof *t->free);
    if (t->n_made > t->n_heads)
        grow_heads(t);
    return true;
}

/* Ends one user's interest; 'now_ns' is when, if that is before its deadline.
 * Tells the user unless it ends it itself. */
static void
end_interest(struct flow_table *t, struct hg_flow *flow, unsigned user,
             uint64_t now_ns, bool tell)
{
    struct user *u = &t->users[user];
    uint64_t when = flow->deadline[user];
    void *bytes = user_bytes(t, flow, user);

    flow->deadline[user] = 0;
    if (tell && u->element->cls->flow_expired)
        u->element->cls->flow_expired(hg_element_self(u->element), bytes,
                                      when < now_ns ? when : now_ns);
    memset(bytes, 0, u->size);
    if (flow->second_user == user)
        drop_second_key(t, flow);
}

static void
release(struct flow_table *t, struct hg_flow *flow, uint64_t now_ns)
{
    unsigned i;

    for (i = 0; i < t->n_users; i++)
        if (flow->deadline[i])
            end_interest(t, flow, i, now_ns, true);
    unlink_key(t, flow, 0);
    drop_second_key(t, flow);
    flow->used = false;
    flow->generation++;
    t->free[t->n_free++] = flow->number;
    t->n_used--;
}

/* ---- Finding ---------------------------------------------------------- */

/* The record of this key, whoever is still interested in it. */
static struct hg_flow *
find(const struct flow_table *t, const struct normal_key *key, uint32_t hash,
     uint64_t now_ns, unsigned *which)
{
    uint32_t link = t->heads[hash & (t->n_heads - 1)];

    while (link) {
        struct hg_flow *flow = record(t, (link - 1) / 2);
        unsigned k = (link - 1) & 1;

        link = flow->next[k];
        if (flow->hash[k] != hash ||
            memcmp(key_at(t, flow, k), key, sizeof *key) != 0)
            continue;
        /* A second key ends with the interest of who added it. */
        if (k && flow->deadline[flow->second_user] <= now_ns)
            continue;
        *which = k;
        return flow;
    }
    return NULL;
}

/* A packet remembers its record, its generation, and in the lowest bit of
 * that whether it travels against the record's own direction. */
static void
remember(struct hg_packet *p, struct hg_flow *flow, bool against)
{
    p->flow = flow;
    p->flow_generation = flow->generation << 1 | against;
}

void
hg_flow_forget(struct hg_packet *p)
{
    p->flow = NULL;
}

static bool
is_remembered(const struct hg_packet *p)
{
    return p->flow && p->flow->used &&
           p->flow_generation >> 1 == (p->flow->generation & INT32_MAX);
}

/* Looks up and remembers a packet's record. */
static struct hg_flow *
look_up(const struct flow_table *t, struct hg_packet *p,
        const struct normal_key *key, uint32_t hash, bool swapped)
{
    unsigned k;
    struct hg_flow *flow = find(t, key, hash, p->time_ns, &k);

    p->flow = NULL;
    if (flow)
        remember(p, flow, swapped != flow->swapped[k]);
    return flow;
}

/* The packet's record for a user that is interested in it. */
static struct hg_flow *
for_user(struct hg_packet *p, struct hg_flow *flow, unsigned user)
{
    bool against = p->flow_generation & 1;

    if (flow->deadline[user] <= p->time_ns)
        return NULL;
    p->flags &= ~(uint32_t)HG_PACKET_REPLY;
    if (against != (flow->against >> user & 1))
        p->flags |= HG_PACKET_REPLY;
    return flow;
}

struct hg_flow *
hg_flow_find(void *self, struct hg_packet *p)
{
    struct flow_table *t = table_of(self);
    struct hg_flow_key key;
    struct normal_key normal;
    bool swapped;

    if (!is_remembered(p)) {
        if (!hg_flow_key_of(p, &key))
            return NULL;
        swapped = normalise(&key, &normal);
        if (!look_up(t, p, &normal, hash_key(t, &normal), swapped))
            return NULL;
    }
    return for_user(p, p->flow, user_of(self));
}

struct hg_flow *
hg_flow_find_key(void *self, const struct hg_flow_key *key, uint64_t now_ns)
{
    struct flow_table *t = table_of(self);
    struct normal_key normal;
    struct hg_flow *flow;
    unsigned k;

    normalise(key, &normal);
    flow = find(t, &normal, hash_key(t, &normal), now_ns, &k);
    return flow && flow->deadline[user_of(self)] > now_ns ? flow : NULL;
}

void
hg_flow_find_batch(void *self, struct hg_batch *batch)
{
    struct flow_table *t = table_of(self);
    struct normal_key normal[HG_BATCH_MAX];
    uint32_t hash[HG_BATCH_MAX];
    bool swapped[HG_BATCH_MAX], wanted[HG_BATCH_MAX];
    struct hg_flow_key key;
    unsigned i;

    for (i = 0; i < batch->n; i++) {
        struct hg_packet *p = batch->p[i];

        wanted[i] = !is_remembered(p) && hg_flow_key_of(p, &key);
        if (!wanted[i])
            continue;
        swapped[i] = normalise(&key, &normal[i]);
        hash[i] = hash_key(t, &normal[i]);
        __builtin_prefetch(&t->heads[hash[i] & (t->n_heads - 1)]);
    }
    for (i = 0; i < batch->n; i++)
        if (wanted[i]) {
            uint32_t link = t->heads[hash[i] & (t->n_heads - 1)];

            if (link) {
                const struct hg_flow *flow = record(t, (link - 1) / 2);

                __builtin_prefetch(flow);
                __builtin_prefetch(&flow->number);
            }
        }
    for (i = 0; i < batch->n; i++)
        if (wanted[i])
            look_up(t, batch->p[i], &normal[i], hash[i], swapped[i]);
}

/* ---- Making ----------------------------------------------------------- */

static void
enqueue(struct flow_table *t, struct hg_flow *flow)
{
    uint32_t link = flow->number + 1;

    if (flow->queued)
        return;
    flow->queued = true;
    flow->queue_next = 0;
    if (t->queue_tail)
        record(t, t->queue_tail - 1)->queue_next = link;
    else
        t->queue_head = link;
    t->queue_tail = link;
}

/* The unconfirmed flow that was queued longest, or NULL. */
static struct hg_flow *
dequeue(struct flow_table *t)
{
    while (t->queue_head) {
        struct hg_flow *flow = record(t, t->queue_head - 1);

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
            enqueue(t, flow);
    }
    return victim;
}

/* Makes room by ending a record that nobody wants any more or that nobody
 * confirmed. */
static bool
make_room(struct flow_table *t, uint64_t now_ns)
{
    struct hg_flow *flow = choose_victim(t);
    unsigned i;

    if (flow) {
        if (is_wanted(t, flow, now_ns))
            t->evicted++;
        release(t, flow, now_ns);
        return true;
    }
    for (i = 0; i < EXPIRED_LOOKS && i < t->n_begun; i++) {
        flow = record(t, t->hand++ % t->n_begun);
        if (flow->used && !is_wanted(t, flow, now_ns)) {
            release(t, flow, now_ns);
            return true;
        }
    }
    return false;
}

static struct hg_flow *
take_record(struct flow_table *t, uint64_t now_ns)
{
    struct hg_flow *flow;
    uint64_t number;

    if ((t->n_used >= t->limit && !make_room(t, now_ns)) ||
        (!t->n_free && t->n_begun == t->n_made && !grow(t))) {
        t->refused++;
        return NULL;
    }
    number = t->n_free ? t->free[--t->n_free] : t->n_begun++;
    flow = record(t, number);
    t->n_used++;
    flow->number = (uint32_t)number;
    flow->used = true;
    flow->confirmed = false;
    flow->has_second = false;
    flow->first_against = false;
    flow->against = 0;
    enqueue(t, flow);
    return flow;
}

/* This user's first packet of the flow: begins with nothing of what it knew of
 * an earlier one. */
static void
begin_interest(struct flow_table *t, struct hg_flow *flow, unsigned user,
               struct hg_packet *p)
{
    bool against = p->flow_generation & 1;

    if (!is_wanted(t, flow, p->time_ns)) {
        flow->confirmed = false;
        flow->first_against = against;
        enqueue(t, flow);
    }
    if (flow->deadline[user])
        end_interest(t, flow, user, p->time_ns, true);
    memset(user_bytes(t, flow, user), 0, t->users[user].size);
    flow->against &= ~(UINT32_C(1) << user);
    if (against)
        flow->against |= UINT32_C(1) << user;
    p->flags &= ~(uint32_t)HG_PACKET_REPLY;
}

struct hg_flow *
hg_flow_create(void *self, struct hg_packet *p)
{
    struct flow_table *t = table_of(self);
    unsigned user = user_of(self);
    struct hg_flow *flow = hg_flow_find(self, p);
    struct hg_flow_key key;

    if (flow)
        return flow;
    if (!is_remembered(p)) {
        if (!hg_flow_key_of(p, &key))
            return NULL;
        flow = take_record(t, p->time_ns);
        if (!flow)
            return NULL;
        flow->swapped[0] = normalise(&key, &flow->key);
        flow->hash[0] = hash_key(t, &flow->key);
        link_key(t, flow, 0);
        remember(p, flow, false);
    }
    begin_interest(t, p->flow, user, p);
    return p->flow;
}

bool
hg_flow_add_key(void *self, struct hg_flow *flow,
                const struct hg_flow_key *key, uint64_t now_ns)
{
    struct flow_table *t = table_of(self);
    unsigned user = user_of(self);
    struct normal_key normal;
    bool swapped = normalise(key, &normal);
    uint32_t hash = hash_key(t, &normal);
    unsigned k = 0;
    struct hg_flow *other = find(t, &normal, hash, now_ns, &k);

    if (other && other != flow) {
        if (k || is_wanted(t, other, now_ns))
            return false;
        release(t, other, now_ns);
    }
    drop_second_key(t, flow);
    if (other == flow && k == 0)
        return true;
    *key_at(t, flow, 1) = normal;
    flow->hash[1] = hash;
    flow->swapped[1] = swapped != (flow->against >> user & 1);
    flow->second_user = user;
    flow->has_second = true;
    link_key(t, flow, 1);
    return true;
}

/* ---- Using ------------------------------------------------------------ */

bool
hg_flow_is_reply(const struct hg_flow *flow, const struct hg_packet *p)
{
    struct hg_flow_key key;
    struct normal_key normal;
    bool swapped;

    if (p->flow == flow && is_remembered(p))
        return p->flags & HG_PACKET_REPLY;
    if (!hg_flow_key_of(p, &key))
        return false;
    swapped = normalise(&key, &normal);
    if (!memcmp(&normal, &flow->key, sizeof normal))
        return (swapped != flow->swapped[0]) != flow->first_against;
    return flow->has_second &&
           (swapped != flow->swapped[1]) != flow->first_against;
}

void
hg_flow_first_key(const struct hg_flow *flow, struct hg_flow_key *out)
{
    const struct normal_key *key = &flow->key;
    bool swapped = flow->swapped[0] != flow->first_against;

    *out = (struct hg_flow_key){.vpc = key->vpc, .protocol = key->protocol};
    out->src.family = out->dst.family = key->family;
    memcpy(out->src.byte, swapped ? key->high : key->low, 16);
    memcpy(out->dst.byte, swapped ? key->low : key->high, 16);
    out->sport = swapped ? key->high_port : key->low_port;
    out->dport = swapped ? key->low_port : key->high_port;
}

void *
hg_flow_state(void *self, struct hg_flow *flow, uint64_t now_ns)
{
    struct flow_table *t = table_of(self);
    unsigned user = user_of(self);

    if (flow->deadline[user] && flow->deadline[user] <= now_ns)
        end_interest(t, flow, user, now_ns, true);
    return user_bytes(t, flow, user);
}

void
hg_flow_keep(void *self, struct hg_flow *flow, uint64_t until_ns)
{
    unsigned user = user_of(self);

    if (until_ns)
        flow->deadline[user] = until_ns;
    else
        end_interest(table_of(self), flow, user, 0, false);
}

void
hg_flow_confirm(struct hg_flow *flow)
{
    flow->confirmed = true;
}

void
hg_flow_foreach(void *self, uint64_t now_ns,
                bool (*fn)(void *aux, struct hg_flow *, void *state),
                void *aux)
{
    struct flow_table *t = table_of(self);
    unsigned user = user_of(self);
    uint64_t i;

    for (i = 0; i < t->n_begun; i++) {
        struct hg_flow *flow = record(t, i);

        if (!flow->used || !flow->deadline[user])
            continue;
        if (flow->deadline[user] <= now_ns)
            end_interest(t, flow, user, now_ns, true);
        else if (!fn(aux, flow, user_bytes(t, flow, user)))
            return;
    }
}

void
hg_flow_get_stats(const void *self, struct hg_flow_stats *out)
{
    const struct flow_table *t = table_of(self);

    *out = (struct hg_flow_stats){
        .flows = t->n_used,
        .limit = t->limit,
        .evicted = t->evicted,
        .refused = t->refused,
        .bytes = t->n_made * (t->record_size + sizeof *t->free) +
                 t->n_heads * sizeof *t->heads};
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

/* Looks at a share of the table in each round and frees what has expired. */
static void
sweep(void *owner, struct hg_timer *timer, uint64_t now_ns)
{
    struct flow_table *t = owner;
    uint64_t share = t->n_begun / SWEEP_ROUNDS + 1, i;

    for (i = 0; i < share && t->n_begun; i++) {
        struct hg_flow *flow = record(t, t->hand++ % t->n_begun);

        if (flow->used && !is_wanted(t, flow, now_ns))
            release(t, flow, now_ns);
    }
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
    hg_wheel_set(g->wheel, &t->sweep, hg_wheel_now(g->wheel) + SWEEP_INTERVAL);
}

void
flow_table_destroy(struct hg_graph *g)
{
    struct flow_table *t = g->flows;
    uint64_t i;

    if (!t)
        return;
    for (i = 0; i < t->n_made / CHUNK; i++)
        free(t->chunks[i]);
    free(t->chunks);
    free(t->free);
    free(t->heads);
    free(t->users);
    free(t);
}
