/* nat_table.c: headgate/nat_table.h as two chained hashes over one array.
 *
 *     out_heads[hash of inside tuple]   -> flow -> flow.next_out
 *     in_heads[hash of external tuple]  -> flow -> link.next_in
 *     slots[deadline / SLOT_NS]         -> link.next_due, doubly linked
 *
 * An index names a flow; 0 is none.  What a packet needs is in 'flow' (half a
 * cache line), what only insertion and removal need is in 'link' beside it.
 * Flows are counted by destination in 'dest', so that a limit is exact.
 *
 * The slots are a calendar of deadlines.  A packet that puts a deadline off
 * does not move its flow, which is found there too early, once, and put
 * where it belongs; one that brings a deadline forward does move it. */
#include <headgate/nat_table.h>

#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define FIRST_CAPACITY 1024u
#define HEADS 2u      /* For each entry: chains are short. */
#define SLOT_SHIFT 28 /* 268 ms */
#define N_SLOTS 4096u /* 18 minutes; what is later waits in the last. */

struct flow {
    uint32_t inside;
    uint32_t remote;
    uint32_t external;
    uint16_t inside_port;
    uint16_t remote_port;
    uint16_t external_port;
    uint8_t protocol; /* 0: this entry is free. */
    uint8_t state;
    uint32_t next_out; /* Of a free entry: the next free one. */
    uint64_t deadline_ns;
};
_Static_assert(sizeof(struct flow) == 32, "two flows to a cache line");

struct link {
    uint32_t next_in;
    uint32_t next_due;
    uint32_t prev_due; /* 0: the first of its slot. */
    uint16_t slot;
};

/* Flows towards one remote endpoint from one external address. */
struct dest {
    uint32_t external;
    uint32_t remote;
    uint16_t remote_port;
    uint8_t protocol;
    uint8_t zero;
    uint32_t n; /* 0: free. */
    uint32_t next;
};
#define DEST_KEY_SIZE offsetof(struct dest, n)

struct hg_nat_table {
    struct hg_nat_config config;
    uint32_t n_ports;
    uint32_t limit; /* Flows for each destination. */
    uint64_t seed_out, seed_in, seed_dest, seed_pair, seed_port;
    uint64_t n_inserted;

    uint32_t n;
    uint32_t capacity; /* Entries, without the unused entry 0; power of 2. */
    uint32_t n_used;   /* Entries that were ever in use. */
    uint32_t free;
    struct flow *flow;
    struct link *link;
    uint32_t head_mask;
    uint32_t *out_heads;
    uint32_t *in_heads;

    uint32_t dest_capacity;
    uint32_t n_dests_used;
    uint32_t free_dest;
    struct dest *dest;
    uint32_t *dest_heads;

    uint64_t tick;   /* Of the slot that is due first. */
    uint64_t due_ns; /* No deadline is earlier than this. */
    uint32_t slots[N_SLOTS];
};

/* ---- Hashes ----------------------------------------------------------- */

/* Not masked: the table may grow before the hash is used. */
static uint32_t
hash_out(const struct hg_nat_table *t, const struct hg_nat_tuple *tuple)
{
    return (uint32_t)XXH3_64bits_withSeed(tuple, sizeof(*tuple), t->seed_out);
}

static uint32_t
hash_in(const struct hg_nat_table *t, const struct hg_nat_tuple *tuple)
{
    return (uint32_t)XXH3_64bits_withSeed(tuple, sizeof(*tuple), t->seed_in);
}

static uint32_t *
out_head(const struct hg_nat_table *t, uint32_t hash)
{
    return &t->out_heads[hash & t->head_mask];
}

static uint32_t *
in_head(const struct hg_nat_table *t, uint32_t hash)
{
    return &t->in_heads[hash & t->head_mask];
}

static uint32_t
hash_dest(const struct hg_nat_table *t, const struct dest *key)
{
    return (uint32_t)XXH3_64bits_withSeed(key, DEST_KEY_SIZE, t->seed_dest) &
           (t->dest_capacity - 1);
}

static struct hg_nat_tuple
tuple_out(const struct flow *f)
{
    return (struct hg_nat_tuple){.addr = f->inside,
                                 .remote = f->remote,
                                 .port = f->inside_port,
                                 .remote_port = f->remote_port,
                                 .protocol = f->protocol};
}

static struct hg_nat_tuple
tuple_in(const struct flow *f)
{
    return (struct hg_nat_tuple){.addr = f->external,
                                 .remote = f->remote,
                                 .port = f->external_port,
                                 .remote_port = f->remote_port,
                                 .protocol = f->protocol};
}

static uint32_t
find_out(const struct hg_nat_table *t, const struct hg_nat_tuple *k,
         uint32_t hash)
{
    uint32_t i = *out_head(t, hash);

    for (; i; i = t->flow[i].next_out) {
        const struct flow *f = &t->flow[i];

        if (f->inside == k->addr && f->remote == k->remote &&
            f->inside_port == k->port && f->remote_port == k->remote_port &&
            f->protocol == k->protocol)
            break;
    }
    return i;
}

static uint32_t
find_in(const struct hg_nat_table *t, const struct hg_nat_tuple *k,
        uint32_t hash)
{
    uint32_t i = *in_head(t, hash);

    for (; i; i = t->link[i].next_in) {
        const struct flow *f = &t->flow[i];

        if (f->external == k->addr && f->remote == k->remote &&
            f->external_port == k->port && f->remote_port == k->remote_port &&
            f->protocol == k->protocol)
            break;
    }
    return i;
}

static void
copy_out(const struct hg_nat_table *t, uint32_t i, struct hg_nat_flow *flow)
{
    const struct flow *f = &t->flow[i];

    flow->inside = f->inside;
    flow->external = f->external;
    flow->remote = f->remote;
    flow->inside_port = f->inside_port;
    flow->external_port = f->external_port;
    flow->remote_port = f->remote_port;
    flow->protocol = f->protocol;
    flow->state = f->state;
    flow->deadline_ns = f->deadline_ns;
    flow->id = i;
}

/* ---- Destinations ----------------------------------------------------- */

static struct dest
dest_key(const struct flow *f)
{
    return (struct dest){.external = f->external,
                         .remote = f->remote,
                         .remote_port = f->remote_port,
                         .protocol = f->protocol};
}

/* The place that holds the index of the destination, or 0 at the end of its
 * chain. */
static uint32_t *
find_dest(const struct hg_nat_table *t, const struct dest *key)
{
    uint32_t *at = &t->dest_heads[hash_dest(t, key)];

    while (*at && memcmp(&t->dest[*at], key, DEST_KEY_SIZE))
        at = &t->dest[*at].next;
    return at;
}

static bool
grow_dests(struct hg_nat_table *t)
{
    uint32_t capacity =
        t->dest_capacity ? t->dest_capacity * 2 : FIRST_CAPACITY;
    struct dest *dest = realloc(t->dest, (capacity + 1ul) * sizeof(*dest));
    uint32_t *heads;
    uint32_t i;

    if (!dest)
        return false;
    t->dest = dest;
    heads = calloc(capacity, sizeof(*heads));
    if (!heads)
        return false;
    free(t->dest_heads);
    t->dest_heads = heads;
    t->dest_capacity = capacity;
    for (i = 1; i <= t->n_dests_used; i++) {
        uint32_t *head = &heads[hash_dest(t, &dest[i])];

        dest[i].next = *head;
        *head = i;
    }
    return true;
}

/* Counts a flow towards its destination; false without memory. */
static bool
add_to_dest(struct hg_nat_table *t, const struct flow *f)
{
    struct dest key = dest_key(f);
    uint32_t *at = find_dest(t, &key);
    uint32_t i = *at;

    if (i) {
        t->dest[i].n++;
        return true;
    }
    if (!t->free_dest && t->n_dests_used == t->dest_capacity) {
        if (!grow_dests(t))
            return false;
        at = find_dest(t, &key);
    }
    i = t->free_dest;
    if (i)
        t->free_dest = t->dest[i].next;
    else
        i = ++t->n_dests_used;
    key.n = 1;
    key.next = 0;
    t->dest[i] = key;
    *at = i;
    return true;
}

static void
take_from_dest(struct hg_nat_table *t, const struct flow *f)
{
    struct dest key = dest_key(f);
    uint32_t *at = find_dest(t, &key);
    uint32_t i = *at;

    if (--t->dest[i].n)
        return;
    *at = t->dest[i].next;
    t->dest[i].next = t->free_dest;
    t->free_dest = i;
}

static bool
dest_is_full(const struct hg_nat_table *t, const struct flow *f)
{
    struct dest key = dest_key(f);
    uint32_t i = *find_dest(t, &key);

    return i && t->dest[i].n >= t->limit;
}

/* ---- Deadlines -------------------------------------------------------- */

static uint64_t
tick_of(const struct hg_nat_table *t, uint64_t deadline_ns)
{
    uint64_t tick = deadline_ns >> SLOT_SHIFT;

    if (tick < t->tick)
        return t->tick;
    return tick < t->tick + N_SLOTS ? tick : t->tick + N_SLOTS - 1;
}

static void
put_in_slot(struct hg_nat_table *t, uint32_t i)
{
    uint64_t deadline_ns = t->flow[i].deadline_ns;
    uint16_t slot = (uint16_t)(tick_of(t, deadline_ns) & (N_SLOTS - 1));
    struct link *link = &t->link[i];

    link->slot = slot;
    link->prev_due = 0;
    link->next_due = t->slots[slot];
    if (link->next_due)
        t->link[link->next_due].prev_due = i;
    t->slots[slot] = i;
    if (deadline_ns < t->due_ns)
        t->due_ns = deadline_ns;
}

static void
take_from_slot(struct hg_nat_table *t, uint32_t i)
{
    const struct link *link = &t->link[i];

    if (link->next_due)
        t->link[link->next_due].prev_due = link->prev_due;
    if (link->prev_due)
        t->link[link->prev_due].next_due = link->next_due;
    else
        t->slots[link->slot] = link->next_due;
}

/* ---- Adding and removing ---------------------------------------------- */

static void
chain(struct hg_nat_table *t, uint32_t i)
{
    struct hg_nat_tuple out = tuple_out(&t->flow[i]);
    struct hg_nat_tuple in = tuple_in(&t->flow[i]);
    uint32_t *head = out_head(t, hash_out(t, &out));

    t->flow[i].next_out = *head;
    *head = i;
    head = in_head(t, hash_in(t, &in));
    t->link[i].next_in = *head;
    *head = i;
}

static void
unchain(struct hg_nat_table *t, uint32_t i)
{
    struct hg_nat_tuple out = tuple_out(&t->flow[i]);
    struct hg_nat_tuple in = tuple_in(&t->flow[i]);
    uint32_t *at = out_head(t, hash_out(t, &out));

    while (*at != i)
        at = &t->flow[*at].next_out;
    *at = t->flow[i].next_out;
    at = in_head(t, hash_in(t, &in));
    while (*at != i)
        at = &t->link[*at].next_in;
    *at = t->link[i].next_in;
}

static bool
grow(struct hg_nat_table *t)
{
    uint32_t capacity = t->capacity ? t->capacity * 2 : FIRST_CAPACITY;
    struct flow *flow = realloc(t->flow, (capacity + 1ul) * sizeof(*flow));
    struct link *link;
    uint32_t *heads;
    uint32_t i;

    if (!flow)
        return false;
    t->flow = flow;
    link = realloc(t->link, (capacity + 1ul) * sizeof(*link));
    if (!link)
        return false;
    t->link = link;
    heads = calloc(capacity, 2 * HEADS * sizeof(*heads));
    if (!heads)
        return false;
    free(t->out_heads);
    t->out_heads = heads;
    t->in_heads = heads + HEADS * (size_t)capacity;
    t->head_mask = HEADS * capacity - 1;
    t->capacity = capacity;
    for (i = 1; i <= t->n_used; i++)
        chain(t, i);
    return true;
}

/* Adds 'f', which clashes with nothing; returns its index, 0 if full. */
static uint32_t
add(struct hg_nat_table *t, const struct flow *f, uint64_t now_ns)
{
    uint32_t i;

    if (t->n >= t->config.max_flows)
        hg_nat_expire(t, now_ns);
    if (t->n >= t->config.max_flows)
        return 0;
    if (!t->free && t->n_used == t->capacity && !grow(t))
        return 0;
    if (!add_to_dest(t, f))
        return 0;
    i = t->free;
    if (i)
        t->free = t->flow[i].next_out;
    else
        i = ++t->n_used;
    if (!t->n++) {
        t->tick = now_ns >> SLOT_SHIFT;
        t->due_ns = HG_NEVER;
    }
    t->flow[i] = *f;
    chain(t, i);
    put_in_slot(t, i);
    return i;
}

void
hg_nat_remove(struct hg_nat_table *t, uint32_t id)
{
    struct flow *f = &t->flow[id];

    unchain(t, id);
    take_from_slot(t, id);
    take_from_dest(t, f);
    f->protocol = 0;
    f->next_out = t->free;
    t->free = id;
    t->n--;
}

static void
run_out(struct hg_nat_table *t, uint32_t i)
{
    struct hg_nat_flow flow;

    copy_out(t, i, &flow);
    hg_nat_remove(t, i);
    if (t->config.expired)
        t->config.expired(t->config.aux, &flow);
}

/* 'i' if that flow lives at 'now_ns', else 0. */
static uint32_t
if_alive(struct hg_nat_table *t, uint32_t i, uint64_t now_ns)
{
    if (!i || now_ns < t->flow[i].deadline_ns)
        return i;
    run_out(t, i);
    return 0;
}

void
hg_nat_expire(struct hg_nat_table *t, uint64_t now_ns)
{
    uint64_t tick = t->tick, last = now_ns >> SLOT_SHIFT;

    if (now_ns < t->due_ns || !t->n)
        return;
    t->due_ns = (last + 1) << SLOT_SHIFT;
    if (last >= tick + N_SLOTS)
        tick = last - (N_SLOTS - 1);
    if (last > t->tick)
        t->tick = last;
    for (; tick <= last; tick++) {
        uint32_t i = t->slots[tick & (N_SLOTS - 1)];
        uint32_t next;

        for (; i; i = next) {
            next = t->link[i].next_due;
            if (!if_alive(t, i, now_ns))
                continue;
            take_from_slot(t, i);
            put_in_slot(t, i);
        }
    }
}

/* ---- Choosing an external endpoint ------------------------------------ */

static uint32_t
gcd(uint32_t a, uint32_t b)
{
    while (b) {
        uint32_t r = a % b;

        a = b;
        b = r;
    }
    return a;
}

/* Sets f->external_port to a random one among those free for f->external and
 * f's remote endpoint.  A random stride that shares no divisor with the
 * number of ports visits each port once. */
static bool
choose_port(struct hg_nat_table *t, struct flow *f, uint64_t now_ns)
{
    uint64_t what[3] = {(uint64_t)f->inside << 32 | f->remote,
                        (uint64_t)f->inside_port << 48 |
                            (uint64_t)f->remote_port << 32 | f->protocol,
                        t->n_inserted};
    uint64_t r = XXH3_64bits_withSeed(what, sizeof(what), t->seed_port);
    uint32_t n = t->n_ports, tries;
    uint32_t at = (uint32_t)((r >> 32) * n >> 32);
    uint32_t step = 1 + (uint32_t)((r & UINT32_MAX) * n >> 32);

    while (gcd(step, n) != 1)
        step++;
    step %= n;
    for (tries = 0; tries < n; tries++) {
        struct hg_nat_tuple in;

        f->external_port = (uint16_t)(t->config.ports.low + at);
        in = tuple_in(f);
        if (!if_alive(t, find_in(t, &in, hash_in(t, &in)), now_ns))
            return true;
        at += step;
        if (at >= n)
            at -= n;
    }
    return false;
}

enum hg_nat_result
hg_nat_insert(struct hg_nat_table *t, const struct hg_nat_tuple *inside,
              uint8_t state, uint64_t now_ns, uint64_t deadline_ns,
              struct hg_nat_flow *flow)
{
    struct flow f = {.inside = inside->addr,
                     .remote = inside->remote,
                     .inside_port = inside->port,
                     .remote_port = inside->remote_port,
                     .protocol = inside->protocol,
                     .state = state,
                     .deadline_ns = deadline_ns};
    unsigned n = t->config.n_external, k;
    unsigned first =
        (unsigned)(XXH3_64bits_withSeed(&f.inside, sizeof(f.inside),
                                        t->seed_pair) %
                   n);

    if (if_alive(t, find_out(t, inside, hash_out(t, inside)), now_ns))
        return HG_NAT_EXISTS;
    for (k = 0; k < n; k++) {
        uint32_t i;

        f.external = t->config.external[(first + k) % n];
        if (dest_is_full(t, &f))
            hg_nat_expire(t, now_ns);
        if (dest_is_full(t, &f) || !choose_port(t, &f, now_ns))
            continue;
        i = add(t, &f, now_ns);
        if (!i)
            return HG_NAT_FULL;
        t->n_inserted++;
        copy_out(t, i, flow);
        return HG_NAT_OK;
    }
    return HG_NAT_NO_PORT;
}

enum hg_nat_result
hg_nat_install(struct hg_nat_table *t, struct hg_nat_flow *flow,
               uint64_t now_ns)
{
    struct flow f = {.inside = flow->inside,
                     .remote = flow->remote,
                     .external = flow->external,
                     .inside_port = flow->inside_port,
                     .remote_port = flow->remote_port,
                     .external_port = flow->external_port,
                     .protocol = flow->protocol,
                     .state = flow->state,
                     .deadline_ns = flow->deadline_ns};
    struct hg_nat_tuple out = tuple_out(&f), in = tuple_in(&f);
    unsigned k = 0;

    while (k < t->config.n_external && t->config.external[k] != f.external)
        k++;
    if (k == t->config.n_external)
        return HG_NAT_FOREIGN;
    if (if_alive(t, find_out(t, &out, hash_out(t, &out)), now_ns))
        return HG_NAT_EXISTS;
    if (if_alive(t, find_in(t, &in, hash_in(t, &in)), now_ns))
        return HG_NAT_TAKEN;
    if (dest_is_full(t, &f))
        hg_nat_expire(t, now_ns);
    if (dest_is_full(t, &f))
        return HG_NAT_NO_PORT;
    flow->id = add(t, &f, now_ns);
    return flow->id ? HG_NAT_OK : HG_NAT_FULL;
}

/* ---- Looking ---------------------------------------------------------- */

bool
hg_nat_lookup_out(struct hg_nat_table *t, const struct hg_nat_tuple *inside,
                  uint64_t now_ns, struct hg_nat_flow *flow)
{
    uint32_t i = if_alive(t, find_out(t, inside, hash_out(t, inside)), now_ns);

    if (i)
        copy_out(t, i, flow);
    return i != 0;
}

bool
hg_nat_lookup_in(struct hg_nat_table *t, const struct hg_nat_tuple *external,
                 uint64_t now_ns, struct hg_nat_flow *flow)
{
    uint32_t i =
        if_alive(t, find_in(t, external, hash_in(t, external)), now_ns);

    if (i)
        copy_out(t, i, flow);
    return i != 0;
}

void
hg_nat_prepare(const struct hg_nat_table *t, struct hg_nat_key *key,
               unsigned n)
{
    unsigned i;

    for (i = 0; i < n; i++) {
        if (!key[i].tuple.protocol)
            continue;
        if (key[i].from_inside) {
            key[i].hash = hash_out(t, &key[i].tuple);
            __builtin_prefetch(out_head(t, key[i].hash));
        } else {
            key[i].hash = hash_in(t, &key[i].tuple);
            __builtin_prefetch(in_head(t, key[i].hash));
        }
    }
    for (i = 0; i < n; i++)
        if (key[i].tuple.protocol)
            __builtin_prefetch(
                &t->flow[key[i].from_inside ? *out_head(t, key[i].hash)
                                            : *in_head(t, key[i].hash)]);
}

bool
hg_nat_lookup(struct hg_nat_table *t, const struct hg_nat_key *key,
              uint64_t now_ns, struct hg_nat_flow *flow)
{
    uint32_t i =
        if_alive(t,
                 key->from_inside ? find_out(t, &key->tuple, key->hash)
                                  : find_in(t, &key->tuple, key->hash),
                 now_ns);

    if (i)
        copy_out(t, i, flow);
    return i != 0;
}

void
hg_nat_update(struct hg_nat_table *t, uint32_t id, uint8_t state,
              uint64_t deadline_ns)
{
    struct flow *f = &t->flow[id];
    bool sooner = deadline_ns < f->deadline_ns;

    f->state = state;
    f->deadline_ns = deadline_ns;
    if (sooner) {
        take_from_slot(t, id);
        put_in_slot(t, id);
    }
}

bool
hg_nat_next(const struct hg_nat_table *t, uint64_t now_ns, uint32_t *at,
            struct hg_nat_flow *flow)
{
    while (*at < t->n_used) {
        const struct flow *f = &t->flow[++*at];

        if (f->protocol && now_ns < f->deadline_ns) {
            copy_out(t, *at, flow);
            return true;
        }
    }
    return false;
}

uint32_t
hg_nat_count(const struct hg_nat_table *t)
{
    return t->n;
}

/* ---- Creating --------------------------------------------------------- */

struct hg_nat_table *
hg_nat_table_create(const struct hg_nat_config *config)
{
    struct hg_nat_table *t = calloc(1, sizeof(*t));

    if (!t)
        return NULL;
    t->config = *config;
    t->n_ports = 1u + config->ports.high - config->ports.low;
    t->limit = config->per_destination < t->n_ports ? config->per_destination
                                                    : t->n_ports;
    t->seed_out = XXH3_64bits_withSeed("out", 3, config->seed);
    t->seed_in = XXH3_64bits_withSeed("in", 2, config->seed);
    t->seed_dest = XXH3_64bits_withSeed("dest", 4, config->seed);
    t->seed_pair = XXH3_64bits_withSeed("pair", 4, config->seed);
    t->seed_port = XXH3_64bits_withSeed("port", 4, config->seed);
    t->due_ns = HG_NEVER;
    if (!grow(t) || !grow_dests(t)) {
        hg_nat_table_destroy(t);
        return NULL;
    }
    return t;
}

void
hg_nat_table_destroy(struct hg_nat_table *t)
{
    if (!t)
        return;
    free(t->flow);
    free(t->link);
    free(t->out_heads);
    free(t->dest);
    free(t->dest_heads);
    free(t);
}
