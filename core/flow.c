/* flow.c: the flow service; flow.h says what it promises.
 *
 * Records live in chunks and never move.  A hash table with chains leads to
 * them by either of their two keys; a link is a record's number times two plus
 * the number of the key plus one, so that zero ends a chain.  Behind the
 * record's header lie the deadline of each user (an element that declared
 * state) and then the users' bytes. */
#include <stdlib.h>
#include <string.h>

#include <headgate/flow.h>

#include "graph_internal.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

enum {
    CHUNK = 4096,        /* Records allocated at once. */
    EVICTION_LOOKS = 64, /* Candidates looked at when the table is full. */
    SWEEP_ROUNDS = 16    /* Timer rounds until every record was looked at. */
};

#define SWEEP_INTERVAL HG_SEC
#define DEFAULT_LIMIT UINT64_C(1048576)

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
    uint8_t zero[6];
};

struct hg_flow {
    struct normal_key key[2];
    uint64_t deadline_max; /* No user's deadline is later. */
    uint32_t hash[2];
    uint32_t next[2]; /* Links of the chains of both keys. */
    uint32_t number;
    uint32_t generation; /* Advances when the record is used anew. */
    bool swapped[2];     /* The first packet's source is 'high'. */
    bool has_second;
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
    uint64_t n_made; /* Records that exist. */
    uint64_t n_used;
    uint64_t limit;
    uint32_t *free; /* Numbers of records not used, a stack. */
    uint64_t n_free;
    uint32_t *heads;
    uint64_t n_heads; /* A power of two. */
    uint64_t hand;    /* Sweep and eviction go round from here. */
    uint64_t evicted;
    uint64_t refused;
    struct user *users;
    size_t n_users;
    struct hg_timer sweep;
};

/* ---- Keys ------------------------------------------------------------- */

bool
hg_flow_key_of(const struct hg_packet *p, struct hg_flow_key *out)
{
    if (!hg_packet_is_ip(p))
        return false;
    *out = (struct hg_flow_key){.vpc = p->vpc,
                                .src = hg_packet_src(p),
                                .dst = hg_packet_dst(p),
                                .sport = hg_packet_sport(p),
                                .dport = hg_packet_dport(p),
                                .protocol = p->protocol};
    return true;
}

bool
hg_flow_key_quoted(const struct hg_packet *p, struct hg_flow_key *out)
{
    const struct hg_icmp *icmp = hg_packet_icmp(p);
    unsigned version = p->flags & HG_PACKET_IP6 ? 6 : 4;
    struct hg_packet quote = {0};
    const uint8_t *l4;

    if (!icmp || !hg_icmp_is_error(version, icmp->type))
        return false;
    quote.data = hg_packet_l4(p) + sizeof *icmp;
    quote.len = hg_packet_l4_len(p) - (uint32_t)sizeof *icmp;
    hg_packet_parse_l3(&quote, version == 6 ? HG_ETH_IP6 : HG_ETH_IP4, 0);
    if (!hg_packet_is_ip(&quote) || !quote.l4_offset ||
        quote.l4_offset + 8u > quote.len)
        return false;
    l4 = hg_packet_l4(&quote);
    *out = (struct hg_flow_key){.vpc = p->vpc,
                                .src = hg_packet_src(&quote),
                                .dst = hg_packet_dst(&quote),
                                .protocol = quote.protocol};
    if (quote.protocol == HG_PROTO_TCP || quote.protocol == HG_PROTO_UDP) {
        out->sport = hg_load16(l4);
        out->dport = hg_load16(l4 + 2);
    } else if (quote.protocol == HG_PROTO_ICMP ||
               quote.protocol == HG_PROTO_ICMP6) {
        out->sport = out->dport = hg_load16(l4 + 4);
    }
    return true;
}

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
grow_heads(struct flow_table *t)
{
    uint64_t i;

    free(t->heads);
    t->n_heads = t->n_heads ? t->n_heads * 2 : CHUNK;
    t->heads = xcalloc(t->n_heads, sizeof *t->heads);
    for (i = 0; i < t->n_made; i++) {
        struct hg_flow *flow = record(t, i);

        if (!flow->used)
            continue;
        link_key(t, flow, 0);
        if (flow->has_second)
            link_key(t, flow, 1);
    }
}

static void
grow(struct flow_table *t)
{
    uint64_t n_chunks = t->n_made / CHUNK, i;
    uint8_t *chunk = aligned_alloc(64, CHUNK * t->record_size);

    if (!chunk) {
        fputs("headgate: out of memory for flows; lower their limit\n",
              stderr);
        exit(1);
    }
    memset(chunk, 0, CHUNK * t->record_size);
    t->chunks = xrealloc(t->chunks, (n_chunks + 1) * sizeof *t->chunks);
    t->chunks[n_chunks] = chunk;
    t->free = xrealloc(t->free, (t->n_made + CHUNK) * sizeof *t->free);
    for (i = CHUNK; i-- > 0;) {
        uint32_t number = (uint32_t)(t->n_made + i);

        record(t, number)->number = number;
        t->free[t->n_free++] = number;
    }
    t->n_made += CHUNK;
    if (t->n_made > t->n_heads)
        grow_heads(t);
}

/* Ends one user's interest: tells it, and zeroes its bytes. */
static void
end_interest(struct flow_table *t, struct hg_flow *flow, size_t user)
{
    struct user *u = &t->users[user];
    uint64_t when = flow->deadline[user];
    void *bytes = user_bytes(t, flow, user);

    flow->deadline[user] = 0;
    if (u->element->cls->flow_expired)
        u->element->cls->flow_expired(hg_element_self(u->element), bytes,
                                      when);
    memset(bytes, 0, u->size);
}

static void
release(struct flow_table *t, struct hg_flow *flow)
{
    size_t i;

    for (i = 0; i < t->n_users; i++)
        if (flow->deadline[i])
            end_interest(t, flow, i);
    unlink_key(t, flow, 0);
    if (flow->has_second)
        unlink_key(t, flow, 1);
    flow->used = false;
    flow->generation++;
    t->free[t->n_free++] = flow->number;
    t->n_used--;
}

/* Whether somebody is still interested at 'now_ns'; brings deadline_max up to
 * date when it has become too large. */
static bool
is_live(const struct flow_table *t, struct hg_flow *flow, uint64_t now_ns)
{
    uint64_t latest = 0;
    size_t i;

    if (flow->deadline_max <= now_ns)
        return false;
    for (i = 0; i < t->n_users; i++)
        if (flow->deadline[i] > latest)
            latest = flow->deadline[i];
    flow->deadline_max = latest;
    return latest > now_ns;
}

/* ---- Finding ---------------------------------------------------------- */

static struct hg_flow *
find(struct flow_table *t, const struct normal_key *key, uint32_t hash,
     uint64_t now_ns, unsigned *which)
{
    uint32_t link = t->heads[hash & (t->n_heads - 1)];

    while (link) {
        struct hg_flow *flow = record(t, (link - 1) / 2);
        unsigned k = (link - 1) & 1;

        if (flow->hash[k] == hash &&
            !memcmp(&flow->key[k], key, sizeof *key)) {
            if (is_live(t, flow, now_ns)) {
                *which = k;
                return flow;
            }
            release(t, flow);
            return NULL;
        }
        link = flow->next[k];
    }
    return NULL;
}

static struct flow_table *
table_of(const void *self)
{
    return hg_element_of((void *)(uintptr_t)self)->graph->flows;
}

static void
remember(struct hg_packet *p, struct hg_flow *flow, bool reply)
{
    p->flow = flow;
    p->flow_generation = flow->generation;
    p->flags &= ~(uint32_t)HG_PACKET_REPLY;
    if (reply)
        p->flags |= HG_PACKET_REPLY;
}

void
hg_flow_forget(struct hg_packet *p)
{
    p->flow = NULL;
}

/* The record that the packet remembers, if it is still that flow's. */
static struct hg_flow *
remembered(const struct flow_table *t, const struct hg_packet *p)
{
    if (p->flow && p->flow->used &&
        p->flow_generation == p->flow->generation &&
        is_live(t, p->flow, p->time_ns))
        return p->flow;
    return NULL;
}

static struct hg_flow *
look_up(struct flow_table *t, struct hg_packet *p,
        const struct normal_key *key, uint32_t hash, bool swapped)
{
    unsigned k;
    struct hg_flow *flow = find(t, key, hash, p->time_ns, &k);

    if (flow)
        remember(p, flow, swapped != flow->swapped[k]);
    return flow;
}

struct hg_flow *
hg_flow_find(void *self, struct hg_packet *p)
{
    struct flow_table *t = table_of(self);
    struct hg_flow *flow = remembered(t, p);
    struct hg_flow_key key;
    struct normal_key normal;
    bool swapped;

    if (flow || !hg_flow_key_of(p, &key))
        return flow;
    swapped = normalise(&key, &normal);
    return look_up(t, p, &normal, hash_key(t, &normal), swapped);
}

struct hg_flow *
hg_flow_find_key(void *self, const struct hg_flow_key *key, uint64_t now_ns)
{
    struct flow_table *t = table_of(self);
    struct normal_key normal;
    unsigned k;

    normalise(key, &normal);
    return find(t, &normal, hash_key(t, &normal), now_ns, &k);
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

        wanted[i] = !remembered(t, p) && hg_flow_key_of(p, &key);
        if (!wanted[i])
            continue;
        swapped[i] = normalise(&key, &normal[i]);
        hash[i] = hash_key(t, &normal[i]);
        __builtin_prefetch(&t->heads[hash[i] & (t->n_heads - 1)]);
    }
    for (i = 0; i < batch->n; i++)
        if (wanted[i]) {
            uint32_t link = t->heads[hash[i] & (t->n_heads - 1)];

            if (link)
                __builtin_prefetch(record(t, (link - 1) / 2));
        }
    for (i = 0; i < batch->n; i++)
        if (wanted[i])
            look_up(t, batch->p[i], &normal[i], hash[i], swapped[i]);
}

/* ---- Making ----------------------------------------------------------- */

/* Makes room by ending a flow that has expired or that nobody confirmed. */
static bool
make_room(struct flow_table *t, uint64_t now_ns)
{
    struct hg_flow *victim = NULL;
    unsigned i;

    for (i = 0; i < EVICTION_LOOKS; i++) {
        struct hg_flow *flow = record(t, t->hand++ % t->n_made);

        if (!flow->used)
            continue;
        if (!is_live(t, flow, now_ns)) {
            release(t, flow);
            return true;
        }
        if (!flow->confirmed &&
            (!victim || flow->deadline_max < victim->deadline_max))
            victim = flow;
    }
    if (!victim) {
        t->refused++;
        return false;
    }
    release(t, victim);
    t->evicted++;
    return true;
}

static struct hg_flow *
take_record(struct flow_table *t, uint64_t now_ns)
{
    struct hg_flow *flow;

    if (t->n_used >= t->limit && !make_room(t, now_ns))
        return NULL;
    if (!t->n_free)
        grow(t);
    flow = record(t, t->free[--t->n_free]);
    t->n_used++;
    flow->used = true;
    flow->confirmed = false;
    flow->has_second = false;
    flow->deadline_max = 0;
    return flow;
}

struct hg_flow *
hg_flow_create(void *self, struct hg_packet *p)
{
    struct flow_table *t = table_of(self);
    struct hg_flow *flow = hg_flow_find(self, p);
    struct hg_flow_key key;

    if (flow)
        return flow;
    if (!hg_flow_key_of(p, &key))
        return NULL;
    flow = take_record(t, p->time_ns);
    if (!flow)
        return NULL;
    flow->swapped[0] = normalise(&key, &flow->key[0]);
    flow->hash[0] = hash_key(t, &flow->key[0]);
    link_key(t, flow, 0);
    remember(p, flow, false);
    return flow;
}

bool
hg_flow_add_key(void *self, struct hg_flow *flow,
                const struct hg_flow_key *key, uint64_t now_ns)
{
    struct flow_table *t = table_of(self);
    struct normal_key normal;
    bool swapped = normalise(key, &normal);
    uint32_t hash = hash_key(t, &normal);
    unsigned k;
    struct hg_flow *other = find(t, &normal, hash, now_ns, &k);

    if (other)
        return other == flow;
    if (flow->has_second)
        unlink_key(t, flow, 1);
    flow->key[1] = normal;
    flow->hash[1] = hash;
    flow->swapped[1] = swapped;
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

    if (p->flow == flow && p->flow_generation == flow->generation)
        return p->flags & HG_PACKET_REPLY;
    if (!hg_flow_key_of(p, &key))
        return false;
    swapped = normalise(&key, &normal);
    if (!memcmp(&normal, &flow->key[0], sizeof normal))
        return swapped != flow->swapped[0];
    return flow->has_second && swapped != flow->swapped[1];
}

void
hg_flow_first_key(const struct hg_flow *flow, struct hg_flow_key *out)
{
    const struct normal_key *key = &flow->key[0];
    bool swapped = flow->swapped[0];

    *out = (struct hg_flow_key){.vpc = key->vpc, .protocol = key->protocol};
    out->src.family = out->dst.family = key->family;
    memcpy(out->src.byte, swapped ? key->high : key->low, 16);
    memcpy(out->dst.byte, swapped ? key->low : key->high, 16);
    out->sport = swapped ? key->high_port : key->low_port;
    out->dport = swapped ? key->low_port : key->high_port;
}

static size_t
user_of(const void *self)
{
    return hg_element_of((void *)(uintptr_t)self)->flow_user - 1;
}

void *
hg_flow_state(void *self, struct hg_flow *flow, uint64_t now_ns)
{
    struct flow_table *t = table_of(self);
    size_t user = user_of(self);

    if (flow->deadline[user] && flow->deadline[user] <= now_ns)
        end_interest(t, flow, user);
    return user_bytes(t, flow, user);
}

void
hg_flow_keep(void *self, struct hg_flow *flow, uint64_t until_ns)
{
    struct flow_table *t = table_of(self);
    size_t user = user_of(self);

    flow->deadline[user] = until_ns;
    if (until_ns > flow->deadline_max)
        flow->deadline_max = until_ns;
    if (!until_ns)
        memset(user_bytes(t, flow, user), 0, t->users[user].size);
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
    size_t user = user_of(self);
    uint64_t i;

    for (i = 0; i < t->n_made; i++) {
        struct hg_flow *flow = record(t, i);

        if (flow->used && flow->deadline[user] > now_ns &&
            !fn(aux, flow, user_bytes(t, flow, user)))
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

    t->users = xrealloc(t->users, (t->n_users + 1) * sizeof *t->users);
    t->users[t->n_users++] = (struct user){e, 0, (size + 7) & ~(size_t)7};
    e->flow_user = (uint32_t)t->n_users;
    return true;
}

void
hg_flow_limit(void *self, uint64_t max_flows)
{
    struct flow_table *t = get_table(hg_element_of(self)->graph);

    t->limit = max_flows < UINT32_MAX / 4 ? max_flows : UINT32_MAX / 4;
}

/* Looks at a share of the table in each round and frees what has expired. */
static void
sweep(void *owner, struct hg_timer *timer, uint64_t now_ns)
{
    struct flow_table *t = owner;
    uint64_t share = t->n_made / SWEEP_ROUNDS + 1, i;

    for (i = 0; i < share && t->n_made; i++) {
        struct hg_flow *flow = record(t, t->hand++ % t->n_made);

        if (flow->used && !is_live(t, flow, now_ns))
            release(t, flow);
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
    t->record_size = (size + 63) & ~(size_t)63;
    grow(t);
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
