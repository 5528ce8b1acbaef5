/* nat_compact_find.c: keys, and finding flows by them
 * (nat_compact_internal.h). */
#include "nat_compact_internal.h"

/* Keys that are prepared together, and how often they ask for the next line
 * of those that need one. */
enum { PREPARED = 64, STAGES = 6, FETCHED = 16 };

/* ---- Keys ------------------------------------------------------------- */

/* No two destinations share these 64 bits, but for those with remote addresses
 * in one /20. */
static inline __attribute__((always_inline)) uint64_t
dest_hash(const struct hg_nat_compact *t, const struct hg_nat_compact_key *key)
{
    return nat_hash((uint64_t)(key->tuple.remote >> LOW_BITS) << 44 |
                        (uint64_t)key->gateway << 32 |
                        (uint64_t)key->tuple.remote_port << 16 |
                        (uint64_t)key->external << 8 | key->tuple.protocol,
                    &t->seed_dest);
}

/* The sequence of groups of an inside endpoint towards a destination. */
static inline __attribute__((always_inline)) void
set_groups(const struct hg_nat_compact *t, uint64_t flow_hash,
           struct hg_nat_compact_key *key)
{
    key->group = nat_below(flow_hash, t->n_groups);
    key->spread = (uint32_t)flow_hash;
}

static inline uint32_t
group_of(const struct hg_nat_compact *t, const struct hg_nat_compact_key *key,
         unsigned k)
{
    return (key->group + k * nat_step(t, key)) % t->n_groups;
}

static inline void
set_bucket(const struct hg_nat_compact *t, struct hg_nat_compact_key *key)
{
    uint64_t hash = nat_bucket_hash(t, key->dest_hash, key->near_group);

    key->bucket = (uint32_t)nat_bucket_at(t, hash, key->tuple.remote);
}

/* Codes of the protocols that may have flows. */
static const uint8_t CODES[256] = {[HG_PROTO_ICMP] = CODE_ICMP,
                                   [HG_PROTO_UDP] = CODE_UDP,
                                   [HG_PROTO_TCP] = CODE_TCP};

static inline __attribute__((always_inline)) bool
prepare_in(const struct hg_nat_compact *t, struct hg_nat_compact_key *key)
{
    const struct nat_gateway *gateway;
    uint32_t place;

    if (key->tuple.realm >= t->n_gateways)
        return false;
    gateway = &t->gateways[key->tuple.realm];
    key->external =
        gateway->which[nat_external_place(gateway, key->tuple.addr)];
    if (gateway->external[key->external] != key->tuple.addr)
        return false;
    key->valid = true;
    key->part = nat_part(t, &key->tuple);
    key->gateway = key->tuple.realm;
    key->dest_hash = dest_hash(t, key);
    place = nat_place_of(t, key, key->tuple.port);
    key->slot = place % SLOTS;
    key->group = key->near_group =
        place < t->n_places ? place / SLOTS : NOWHERE;
    set_bucket(t, key);
    return true;
}

/* What an entry has of a remote address, and its protocol. */
static inline uint64_t
remote_bits(const struct hg_nat_compact_tuple *tuple, uint64_t code)
{
    return (uint64_t)(tuple->remote >> LOW_BITS) << REMOTE_SHIFT |
           code << CODE_SHIFT;
}

/* What the entry of a flow from inside looks like. */
static inline void
set_look(struct hg_nat_compact_key *key)
{
    const struct hg_nat_compact_tuple *tuple = &key->tuple;
    const uint64_t code = CODES[tuple->protocol];

    key->ends = (uint64_t)tuple->addr << 32 | (uint64_t)tuple->port << 16 |
                tuple->remote_port;
    key->bits = remote_bits(tuple, code) | (uint64_t)tuple->realm
                                               << TENANT_SHIFT;
    key->mask =
        REMOTE_MASK | TENANT_MASK | CANDIDATE_MASK | nat_code_mask(code);
}

/* What follows from where a packet from inside comes from and goes to. */
static inline __attribute__((always_inline)) void
set_sequence(const struct hg_nat_compact *t, struct hg_nat_compact_key *key)
{
    uint64_t flow_hash;

    set_look(key);
    key->gateway = t->tenant[key->tuple.realm];
    key->external = nat_pair(t, key->tuple.realm, key->tuple.addr);
    key->dest_hash = dest_hash(t, key);
    flow_hash = nat_flow_hash(t, key->ends, key->tuple.realm, key->dest_hash);
    set_groups(t, flow_hash, key);
}

/* Whether there may be such a flow. */
static inline __attribute__((always_inline)) bool
prepare(const struct hg_nat_compact *t, struct hg_nat_compact_key *key)
{
    key->valid = false;
    key->n_buckets = (uint32_t)t->n_buckets;
    if (!CODES[key->tuple.protocol])
        return false;
    if (!key->from_inside)
        return prepare_in(t, key);
    if (key->tuple.realm >= t->n_tenants)
        return false;
    key->valid = true;
    key->part = nat_part(t, &key->tuple);
    set_sequence(t, key);
    key->near = key->slot = 0;
    key->near_group = key->group;
    set_bucket(t, key);
    return true;
}

void
nat_prepare(const struct hg_nat_compact *t, struct hg_nat_compact_key *key)
{
    prepare(t, key);
}

void
nat_set_external(const struct hg_nat_compact *t,
                 struct hg_nat_compact_key *key, uint8_t external)
{
    key->external = external;
    key->dest_hash = dest_hash(t, key);
}

/* The key of the flow in an entry as if from inside, with its sequence of
 * groups but without the lower bits of the remote address; returns the hash of
 * its bucket. */
static inline uint64_t
entry_key(const struct hg_nat_compact *t, const struct nat_entry *e,
          struct hg_nat_compact_key *key)
{
    key->tuple = (struct hg_nat_compact_tuple){
        .addr = (uint32_t)(e->ends >> 32),
        .remote = (uint32_t)(e->rest >> REMOTE_SHIFT) << LOW_BITS,
        .port = (uint16_t)(e->ends >> 16),
        .remote_port = (uint16_t)e->ends,
        .realm = nat_tenant(e->rest),
        .protocol = nat_protocol(nat_code(e->rest))};
    key->valid = key->from_inside = true;
    set_sequence(t, key);
    return nat_bucket_hash(t, key->dest_hash,
                           group_of(t, key, nat_candidate(e->rest)));
}

uint64_t
nat_hash_of(const struct hg_nat_compact *t, const struct nat_entry *e)
{
    struct hg_nat_compact_key key;

    return entry_key(t, e, &key);
}

uint32_t
nat_key_of(const struct hg_nat_compact *t, uint64_t b, unsigned slot,
           struct hg_nat_compact_key *key)
{
    const struct nat_entry *e = &t->buckets[b].e[slot];
    uint64_t hash = entry_key(t, e, key);

    key->tuple.remote |= (uint32_t)(hash ^ b) & LOW_MASK;
    key->part = nat_part(t, &key->tuple);
    return group_of(t, key, nat_candidate(e->rest));
}

/* ---- Entries ---------------------------------------------------------- */

/* Whether an entry is the flow of this key as its candidate key->near. */
static inline bool
is_seen(const struct nat_entry *e, const struct hg_nat_compact_key *key)
{
    uint64_t bits = key->bits | (uint64_t)key->near << CANDIDATE_SHIFT;

    return ((e->ends ^ key->ends) | ((e->rest & key->mask) ^ bits)) == 0;
}

/* Whether an entry that has this protocol and the upper bits of this remote
 * address is a flow of this destination and group. */
static inline bool
is_in(const struct hg_nat_compact *t, const struct nat_entry *e,
      const struct hg_nat_compact_key *key, uint32_t group)
{
    struct hg_nat_compact_key its;
    uint16_t tenant = nat_tenant(e->rest);

    if ((uint16_t)e->ends != key->tuple.remote_port)
        return false;
    if (t->tenant[tenant] != key->gateway ||
        nat_pair(t, tenant, (uint32_t)(e->ends >> 32)) != key->external)
        return false;
    /* Its group says that its remote address, too, is the same. */
    set_groups(t, nat_flow_hash(t, e->ends, tenant, key->dest_hash), &its);
    return group_of(t, &its, nat_candidate(e->rest)) == group;
}

static inline bool
is_of(const struct hg_nat_compact *t, const struct nat_entry *e,
      const struct hg_nat_compact_key *key, uint32_t group)
{
    const uint64_t code = CODES[key->tuple.protocol];
    const uint64_t mask = REMOTE_MASK | nat_code_mask(code);

    return (e->rest & mask) == remote_bits(&key->tuple, code) &&
           is_in(t, e, key, group);
}

bool
nat_is_of(const struct hg_nat_compact *t, const struct nat_entry *e,
          const struct hg_nat_compact_key *key, uint32_t group)
{
    return is_of(t, e, key, group);
}

/* 'out' is what key->from_inside is. */
static inline __attribute__((always_inline)) void
fill_flow(const struct hg_nat_compact *t, const struct hg_nat_compact_key *key,
          const struct nat_spot *at, bool out,
          struct hg_nat_compact_flow *flow)
{
    const struct nat_bucket *bucket = &t->buckets[at->b];
    const struct nat_entry *e = &bucket->e[at->slot];
    uint32_t code = nat_code(e->rest);

    flow->inside = (uint32_t)(e->ends >> 32);
    flow->external = t->gateways[key->gateway].external[key->external];
    flow->remote = key->tuple.remote;
    flow->inside_port = (uint16_t)(e->ends >> 16);
    flow->external_port =
        out ? nat_port_of(t, key, at->group * SLOTS + at->slot)
            : key->tuple.port;
    flow->remote_port = key->tuple.remote_port;
    flow->tenant = nat_tenant(e->rest);
    flow->protocol = key->tuple.protocol;
    flow->state = (uint8_t)(code >= CODE_TCP ? code - CODE_TCP : 0);
    flow->id = (uint32_t)(at->b * SLOTS + at->slot);
    flow->deadline_ns = nat_deadline(e->rest, t->epochs[nat_epoch_of(bucket)]);
}

void
nat_fill_flow(const struct hg_nat_compact *t,
              const struct hg_nat_compact_key *key, const struct nat_spot *at,
              struct hg_nat_compact_flow *flow)
{
    fill_flow(t, key, at, true, flow);
}

void
nat_flow_at(const struct hg_nat_compact *t, uint64_t b, unsigned slot,
            struct hg_nat_compact_flow *flow)
{
    struct hg_nat_compact_key key;
    struct nat_spot at = {.b = b, .slot = slot};

    at.group = nat_key_of(t, b, slot, &key);
    fill_flow(t, &key, &at, true, flow);
}

/* ---- Looking ---------------------------------------------------------- */

bool
nat_lives(struct hg_nat_compact *t, const struct nat_spot *at)
{
    const struct nat_entry *e = &t->buckets[at->b].e[at->slot];

    if (t->clock_ns < nat_deadline(e->rest, t->epoch_ns))
        return true;
    nat_run_out(t, at->b, at->slot);
    return false;
}

/* Goes through the candidates from the first one on. */
static bool
search(struct hg_nat_compact *t, const struct hg_nat_compact_key *key,
       struct nat_spot *at)
{
    at->group = key->group;
    for (at->k = 0; at->k < t->n_candidates; at->k++) {
        const struct nat_bucket *bucket;

        at->b = nat_bucket_at(t, nat_bucket_hash(t, key->dest_hash, at->group),
                              key->tuple.remote);
        bucket = &t->buckets[at->b];
        if (nat_is_at(bucket, key, at))
            return true;
        if (!nat_passed(t, bucket, key))
            return false;
        at->group = nat_next_group(t, key, at->group);
    }
    return false;
}

/* Whether a flow that was copied lives; takes it out if not. */
static inline bool
is_alive(struct hg_nat_compact *t, const struct hg_nat_compact_flow *flow)
{
    if (t->clock_ns < flow->deadline_ns)
        return true;
    nat_run_out(t, flow->id / SLOTS, flow->id % SLOTS);
    return false;
}

/* A flow that is not where it was last seen. */
static __attribute__((noinline)) bool
look_further(struct hg_nat_compact *t, const struct hg_nat_compact_key *key,
             struct hg_nat_compact_flow *flow)
{
    struct nat_spot at;
    uint32_t i;

    if (key->from_inside && search(t, key, &at)) {
        fill_flow(t, key, &at, true, flow);
        return is_alive(t, flow);
    }
    i = nat_others_find(t, key);
    if (i == NOWHERE)
        return false;
    nat_others_flow(t, i, flow);
    return true;
}

/* Where a flow was last seen. */
static inline struct nat_spot
near_spot(const struct hg_nat_compact *t, const struct hg_nat_compact_key *key)
{
    return (struct nat_spot){.b = nat_near_bucket(t, key),
                             .group = key->near_group,
                             .slot = key->slot};
}

static __attribute__((noinline)) bool
look_up_out(struct hg_nat_compact *t, const struct hg_nat_compact_key *key,
            struct hg_nat_compact_flow *flow)
{
    struct nat_spot at = near_spot(t, key);

    if (!is_seen(&t->buckets[at.b].e[at.slot], key))
        return look_further(t, key, flow);
    fill_flow(t, key, &at, true, flow);
    return is_alive(t, flow);
}

static __attribute__((noinline)) bool
look_up_in(struct hg_nat_compact *t, const struct hg_nat_compact_key *key,
           struct hg_nat_compact_flow *flow)
{
    struct nat_spot at = near_spot(t, key);

    if (!is_of(t, &t->buckets[at.b].e[at.slot], key, key->group))
        return look_further(t, key, flow);
    fill_flow(t, key, &at, false, flow);
    return is_alive(t, flow);
}

bool
hg_nat_compact_lookup(struct hg_nat_compact *t,
                      const struct hg_nat_compact_key *key, uint64_t now_ns,
                      struct hg_nat_compact_flow *flow)
{
    nat_set_clock(t, now_ns);
    if (!key->valid)
        return false;
    return key->from_inside ? look_up_out(t, key, flow)
                            : look_up_in(t, key, flow);
}

/* ---- Following -------------------------------------------------------- */

/* Whether an entry has this deadline and state, and whatever else 'bits' says
 * in 'mask'.  In a bucket that was looked at in this epoch the ticks of one to
 * come are those of no other. */
static inline bool
is_due_in(const struct hg_nat_compact *t, const struct nat_bucket *bucket,
          uint64_t rest, uint64_t mask, uint64_t bits, uint8_t state,
          uint64_t deadline_ns)
{
    const uint64_t left_ns = deadline_ns - t->clock_ns;

    if (left_ns > HG_NAT_COMPACT_HORIZON_NS)
        return false;
    bits |= (uint64_t)state << CODE_SHIFT |
            nat_ticks(deadline_ns, nat_scale_of(left_ns));
    return ((rest ^ bits) & mask) == 0 && nat_epoch_of(bucket) == t->epoch;
}

static __attribute__((noinline)) bool
follow_out(const struct hg_nat_compact *t,
           const struct hg_nat_compact_key *key, uint8_t state,
           uint64_t deadline_ns, struct hg_nat_compact_end *end)
{
    const struct nat_bucket *bucket = &t->buckets[nat_near_bucket(t, key)];
    const struct nat_entry *e = &bucket->e[key->slot];

    if (e->ends != key->ends ||
        !is_due_in(t, bucket, e->rest, ~SHARE_MASK,
                   key->bits | (uint64_t)key->near << CANDIDATE_SHIFT, state,
                   deadline_ns))
        return false;
    end->addr = t->gateways[key->gateway].external[key->external];
    end->port = nat_port_of(t, key, key->near_group * SLOTS + key->slot);
    return true;
}

static __attribute__((noinline)) bool
follow_in(const struct hg_nat_compact *t, const struct hg_nat_compact_key *key,
          uint8_t state, uint64_t deadline_ns, struct hg_nat_compact_end *end)
{
    const struct nat_bucket *bucket = &t->buckets[nat_near_bucket(t, key)];
    const struct nat_entry *e = &bucket->e[key->slot];

    if (!is_due_in(t, bucket, e->rest, REMOTE_MASK | STATE_MASK,
                   remote_bits(&key->tuple, CODES[key->tuple.protocol]), state,
                   deadline_ns) ||
        !is_in(t, e, key, key->group))
        return false;
    end->addr = (uint32_t)(e->ends >> 32);
    end->port = (uint16_t)(e->ends >> 16);
    end->tenant = nat_tenant(e->rest);
    return true;
}

bool
hg_nat_compact_follow(struct hg_nat_compact *t,
                      const struct hg_nat_compact_key *key, uint64_t now_ns,
                      uint8_t state, uint64_t deadline_ns,
                      struct hg_nat_compact_end *end)
{
    nat_set_clock(t, now_ns);
    if (!key->valid)
        return false;
    return key->from_inside ? follow_out(t, key, state, deadline_ns, end)
                            : follow_in(t, key, state, deadline_ns, end);
}

bool
hg_nat_compact_find(struct hg_nat_compact *t,
                    const struct hg_nat_compact_tuple *tuple, bool from_inside,
                    uint64_t now_ns, struct hg_nat_compact_flow *flow)
{
    struct hg_nat_compact_key key = {.tuple = *tuple,
                                     .from_inside = from_inside};

    nat_prepare(t, &key);
    return hg_nat_compact_lookup(t, &key, now_ns, flow);
}

/* Begins the misses of some keys.  A prefetch waits until its address is
 * translated, so some stand in a row, and wait together; not too many, for
 * then they wait for each other.  (Always inline: gcc 12 drops calls of
 * functions that do nothing else.) */
static inline __attribute__((always_inline)) void
fetch(const struct hg_nat_compact *t, struct hg_nat_compact_key *const *key,
      unsigned n)
{
    unsigned i;

    for (i = 0; i < n; i++)
        __builtin_prefetch(&t->buckets[key[i]->bucket]);
}

/* Looks for a key's flow in the bucket that was fetched.  No branches here and
 * below: nothing can be foretold.  Where two flows of an inside endpoint, to
 * equal ports, meet in a bucket, they are looked for again. */
static inline bool
is_near(const struct hg_nat_compact *t, struct hg_nat_compact_key *key)
{
    const struct nat_bucket *bucket = &t->buckets[key->bucket];
    const uint64_t ends = key->ends;
    unsigned slot = 0, i;

#pragma GCC unroll 4
    for (i = 1; i < SLOTS; i++)
        slot |= (bucket->e[i].ends == ends) * i;
    key->slot = (uint8_t)slot;
    return is_seen(&bucket->e[slot], key);
}

/* Whether a flow that is not in that bucket, or a free entry for it, may be
 * further away. */
static inline bool
wants_more(const struct hg_nat_compact *t,
           const struct hg_nat_compact_key *key)
{
    const struct nat_bucket *bucket = &t->buckets[key->bucket];
    bool is_full = true;
    unsigned i;

#pragma GCC unroll 4
    for (i = 0; i < SLOTS; i++)
        is_full &= (bucket->e[i].rest & CODE_MASK) != 0;
    return (is_full | nat_passed(t, bucket, key)) &
           (key->near + 1u < t->n_candidates);
}

static inline void
go_on(const struct hg_nat_compact *t, struct hg_nat_compact_key *key)
{
    key->near++;
    key->near_group = nat_next_group(t, key, key->near_group);
    set_bucket(t, key);
}

/* Keeps those of the keys that want to look further. */
static inline unsigned
look_near(const struct hg_nat_compact *t, struct hg_nat_compact_key **key,
          unsigned n)
{
    unsigned i, m = 0, n_left = 0;

    for (i = 0; i < n; i++) {
        key[m] = key[i];
        m += !is_near(t, key[i]);
    }
    for (i = 0; i < m; i++) {
        key[n_left] = key[i];
        n_left += wants_more(t, key[i]);
    }
    return n_left;
}

static void
prepare_some(const struct hg_nat_compact *t, struct hg_nat_compact_key *key,
             unsigned n)
{
    struct hg_nat_compact_key *valid[PREPARED], *left[PREPARED];
    unsigned n_valid = 0, n_fetched = 0, n_left = 0, stage, i;

    for (i = 0; i < n; i++) {
        const bool is_valid = prepare(t, &key[i]);

        valid[n_valid] = left[n_left] = &key[i];
        n_valid += is_valid;
        n_left += is_valid & key[i].from_inside;
        if (n_valid < n_fetched + FETCHED)
            continue;
        fetch(t, valid + n_fetched, FETCHED);
        n_fetched = n_valid;
    }
    fetch(t, valid + n_fetched, n_valid - n_fetched);
    for (stage = 0; n_left && stage < STAGES; stage++) {
        n_left = look_near(t, left, n_left);
        for (i = 0; i < n_left; i++)
            go_on(t, left[i]);
        fetch(t, left, n_left);
    }
}

void
hg_nat_compact_prepare(const struct hg_nat_compact *t,
                       struct hg_nat_compact_key *key, unsigned n)
{
    unsigned i;

    for (i = 0; i < n; i += PREPARED)
        prepare_some(t, key + i, n - i < PREPARED ? n - i : PREPARED);
}
