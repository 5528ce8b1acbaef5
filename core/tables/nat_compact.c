/* nat_compact.c: see headgate/nat_compact.h, which explains the scheme, and
 * nat_compact_internal.h: creating, adding, removing, walking. */
#include <string.h>

#include "nat_compact_internal.h"

/* ---- Entries ---------------------------------------------------------- */

void
nat_take_out(struct hg_nat_compact *t, uint64_t b, unsigned slot)
{
    struct nat_entry *e = &t->buckets[b].e[slot];
    unsigned k = nat_candidate(e->rest);

    if (k || t->crowds.n) {
        struct hg_nat_compact_key key;
        uint32_t group = nat_key_of(t, b, slot, &key);

        t->notes.n_stale += k;
        nat_crowd_note(t, &key, group * SLOTS + slot, false, 0);
    }
    e->ends = 0;
    e->rest &= SHARE_MASK;
    t->n--;
}

/* ---- Adding ----------------------------------------------------------- */

static bool
has_room(struct hg_nat_compact *t)
{
    if (t->n >= t->config.max_flows)
        hg_nat_compact_sweep(t, t->clock_ns, 1024);
    return t->n < t->config.max_flows;
}

/* A free entry of a bucket whose port is free, too; 'at' has the group. */
static bool
choose_slot(struct hg_nat_compact *t, const struct hg_nat_compact_key *key,
            unsigned first, struct nat_spot *at)
{
    const struct nat_bucket *bucket = &t->buckets[at->b];
    unsigned i;

    for (i = 0; i < SLOTS; i++) {
        uint32_t place;

        at->slot = (first + i) % SLOTS;
        place = at->group * SLOTS + at->slot;
        if (nat_code(bucket->e[at->slot].rest) == CODE_FREE &&
            place < t->n_places &&
            nat_others_find_port(t, key, nat_port_of(t, key, place)) ==
                NOWHERE)
            return true;
    }
    return false;
}

/* Goes through the buckets of a key, whose numbers are written down, for its
 * flow, which ends the search and returns true, and for the first free place;
 * vacancy->k is n_candidates if there is none. */
static bool
find_vacancy(struct hg_nat_compact *t, const struct hg_nat_compact_key *key,
             uint64_t *seen, struct nat_spot *vacancy)
{
    const unsigned first = (unsigned)nat_random(t) % SLOTS;
    struct nat_spot at = {.group = key->group};
    uint64_t hash = nat_bucket_hash(t, key->dest_hash, key->group);
    bool may_be_there = true, found = false;

    vacancy->k = t->n_candidates;
    for (; at.k < t->n_candidates && (may_be_there || !found); at.k++) {
        const struct nat_bucket *bucket;

        seen[at.k] = at.b = nat_bucket_at(t, hash, key->tuple.remote);
        bucket = nat_bucket(t, at.b);
        if (may_be_there && nat_is_at(bucket, key, &at)) {
            if (nat_lives(t, &at))
                return true;
            may_be_there = false;
        }
        may_be_there = may_be_there && nat_passed(t, bucket, key);
        if (!found && choose_slot(t, key, first, &at)) {
            *vacancy = at;
            found = true;
        }
        at.group = nat_next_group(t, key, at.group);
        hash = nat_bucket_hash(t, key->dest_hash, at.group);
    }
    return nat_others_find(t, key) != NOWHERE;
}

/* Makes the free entry at 'at' the flow; 'seen' are the buckets of candidates
 * 0 to at->k. */
static void
put(struct hg_nat_compact *t, const struct hg_nat_compact_key *key,
    const uint64_t *seen, const struct nat_spot *at, uint8_t state,
    uint64_t deadline_ns)
{
    struct nat_entry *e = &t->buckets[at->b].e[at->slot];

    e->ends = key->ends;
    e->rest = key->bits | (uint64_t)at->k << CANDIDATE_SHIFT |
              nat_code_of(key->tuple.protocol, state) |
              nat_time_bits(t, &deadline_ns) | (e->rest & SHARE_MASK);
    t->n++;
    nat_note_deadline(t, deadline_ns);
    nat_note_passing(t, key, seen, at->k);
    nat_crowd_note(t, key, at->group * SLOTS + at->slot, true, deadline_ns);
}

static enum hg_nat_compact_result
put_elsewhere(struct hg_nat_compact *t, const struct hg_nat_compact_key *key,
              uint16_t port, uint8_t state, uint64_t deadline_ns,
              struct hg_nat_compact_flow *flow)
{
    uint32_t i = nat_others_add(t, key, port, state, deadline_ns);

    if (i == NOWHERE)
        return HG_NAT_COMPACT_FULL;
    nat_others_flow(t, i, flow);
    return HG_NAT_COMPACT_OK;
}

/* Looks for a port at each address, one by one. */
static enum hg_nat_compact_result
insert_elsewhere(struct hg_nat_compact *t,
                 const struct hg_nat_compact_key *key, uint8_t state,
                 uint64_t deadline_ns, struct hg_nat_compact_flow *flow)
{
    struct hg_nat_compact_key at = *key;
    unsigned n = t->gateways[key->gateway].n, i;

    for (i = 0; i < n; i++) {
        uint16_t port;

        if (nat_find_port(t, &at, &port))
            return put_elsewhere(t, &at, port, state, deadline_ns, flow);
        nat_set_external(t, &at, (uint8_t)((at.external + 1u) % n));
    }
    return HG_NAT_COMPACT_NO_PORT;
}

enum hg_nat_compact_result
hg_nat_compact_insert(struct hg_nat_compact *t,
                      const struct hg_nat_compact_key *key, uint8_t state,
                      uint64_t now_ns, uint64_t deadline_ns,
                      struct hg_nat_compact_flow *flow)
{
    uint64_t seen[MAX_CANDIDATES];
    struct nat_spot at;

    nat_set_clock(t, now_ns);
    if (!key->valid || !key->from_inside)
        return HG_NAT_COMPACT_FOREIGN;
    nat_grow(t);
    nat_move_hand(t);
    if (find_vacancy(t, key, seen, &at))
        return HG_NAT_COMPACT_EXISTS;
    if (!has_room(t))
        return HG_NAT_COMPACT_FULL;
    if (at.k == t->n_candidates)
        return insert_elsewhere(t, key, state, deadline_ns, flow);
    put(t, key, seen, &at, state, deadline_ns);
    nat_fill_flow(t, key, &at, flow);
    return HG_NAT_COMPACT_OK;
}

/* Whether a flow with this port can be at its place, where 'at' is then;
 * 'seen' are the buckets up to there. */
static bool
find_place(struct hg_nat_compact *t, const struct hg_nat_compact_key *key,
           uint16_t port, uint64_t *seen, struct nat_spot *at)
{
    uint32_t place = nat_place_of(t, key, port);

    if (place >= t->n_places)
        return false;
    at->group = key->group;
    for (at->k = 0; at->k < t->n_candidates; at->k++) {
        seen[at->k] = at->b =
            nat_bucket_at(t, nat_bucket_hash(t, key->dest_hash, at->group),
                          key->tuple.remote);
        if (at->group == place / SLOTS)
            break;
        at->group = nat_next_group(t, key, at->group);
    }
    at->slot = place % SLOTS;
    return at->k < t->n_candidates &&
           nat_code(nat_bucket(t, at->b)->e[at->slot].rest) == CODE_FREE;
}

enum hg_nat_compact_result
hg_nat_compact_install(struct hg_nat_compact *t,
                       struct hg_nat_compact_flow *flow, uint64_t now_ns)
{
    struct hg_nat_compact_key out = {
        .tuple = {flow->inside, flow->remote, flow->inside_port,
                  flow->remote_port, flow->tenant, flow->protocol},
        .from_inside = true};
    struct hg_nat_compact_key in = out;
    struct hg_nat_compact_flow other;
    uint64_t seen[MAX_CANDIDATES];
    struct nat_spot at;

    nat_prepare(t, &out);
    if (!out.valid)
        return HG_NAT_COMPACT_FOREIGN;
    in.tuple.addr = flow->external;
    in.tuple.port = flow->external_port;
    in.tuple.realm = out.gateway;
    in.from_inside = false;
    nat_prepare(t, &in);
    if (!in.valid)
        return HG_NAT_COMPACT_FOREIGN;
    if (hg_nat_compact_lookup(t, &out, now_ns, &other))
        return HG_NAT_COMPACT_EXISTS;
    if (hg_nat_compact_lookup(t, &in, now_ns, &other))
        return HG_NAT_COMPACT_TAKEN;
    nat_grow(t);
    nat_move_hand(t);
    if (!has_room(t))
        return HG_NAT_COMPACT_FULL;
    if (out.external != in.external) {
        nat_set_external(t, &out, in.external);
    } else if (find_place(t, &out, flow->external_port, seen, &at)) {
        put(t, &out, seen, &at, flow->state, flow->deadline_ns);
        nat_fill_flow(t, &out, &at, flow);
        return HG_NAT_COMPACT_OK;
    }
    return put_elsewhere(t, &out, flow->external_port, flow->state,
                         flow->deadline_ns, flow);
}

/* ---- Flows that are there --------------------------------------------- */

/* Whether a flow has this deadline already, as exactly as it can. */
static inline bool
is_due(const struct hg_nat_compact *t, const struct hg_nat_compact_flow *flow,
       uint64_t deadline_ns)
{
    unsigned shift =
        nat_scale_shift(nat_scale_of(nat_time_left(t, deadline_ns)));

    return flow->deadline_ns - deadline_ns < UINT64_C(1) << shift;
}

static __attribute__((noinline)) void
update(struct hg_nat_compact *t, struct hg_nat_compact_flow *flow,
       uint8_t state, uint64_t deadline_ns)
{
    bool sooner = deadline_ns < flow->deadline_ns;

    flow->state = state;
    flow->deadline_ns = deadline_ns;
    if (flow->id & ELSEWHERE) {
        struct nat_other *o = nat_other(t, flow->id & ~ELSEWHERE);

        o->state = state;
        o->deadline_ns = deadline_ns;
    } else {
        uint64_t b = flow->id / SLOTS;
        struct nat_entry *e = &nat_bucket(t, b)->e[flow->id % SLOTS];

        e->rest = (e->rest & ~STATE_MASK) |
                  nat_code_of(flow->protocol, state) |
                  nat_time_bits(t, &flow->deadline_ns);
        if (sooner)
            nat_note_deadline(t, flow->deadline_ns);
    }
    if (sooner && t->crowds.n)
        nat_crowd_sooner(t, flow);
}

/* Mostly there is nothing to do: a tick is longer than the time between two
 * packets of most flows. */
void
hg_nat_compact_update(struct hg_nat_compact *t,
                      struct hg_nat_compact_flow *flow, uint8_t state,
                      uint64_t deadline_ns)
{
    if (state != flow->state || !is_due(t, flow, deadline_ns))
        update(t, flow, state, deadline_ns);
}

void
hg_nat_compact_remove(struct hg_nat_compact *t,
                      const struct hg_nat_compact_flow *flow)
{
    if (flow->id & ELSEWHERE)
        nat_others_remove(t, flow->id & ~ELSEWHERE);
    else
        nat_take_out(t, flow->id / SLOTS, flow->id % SLOTS);
}

uint64_t
hg_nat_compact_count(const struct hg_nat_compact *t)
{
    return t->n;
}

static bool
next_of_others(const struct hg_nat_compact *t, uint64_t now_ns, uint64_t *at,
               struct hg_nat_compact_flow *flow)
{
    const uint64_t first = t->n_buckets * SLOTS;

    while (*at - first < t->others.n_used) {
        uint32_t i = (uint32_t)((*at)++ - first);
        const struct nat_other *o = nat_other(t, i);

        if (o->protocol && now_ns < o->deadline_ns) {
            nat_others_flow(t, i, flow);
            return true;
        }
    }
    return false;
}

bool
hg_nat_compact_next(const struct hg_nat_compact *t, uint64_t now_ns,
                    uint64_t *at, struct hg_nat_compact_flow *flow)
{
    if (now_ns < t->clock_ns)
        now_ns = t->clock_ns;
    while (*at < t->n_buckets * SLOTS) {
        uint64_t b = *at / SLOTS;
        unsigned slot = (unsigned)((*at)++ % SLOTS);
        const struct nat_bucket *bucket = &t->buckets[b];
        const struct nat_entry *e = &bucket->e[slot];

        if (nat_code(e->rest) != CODE_FREE &&
            now_ns < nat_deadline(e->rest, t->epochs[nat_epoch_of(bucket)])) {
            nat_flow_at(t, b, slot, flow);
            return true;
        }
    }
    return next_of_others(t, now_ns, at, flow);
}

/* ---- Creating --------------------------------------------------------- */

static void
set_seeds(struct hg_nat_compact *t)
{
    const struct {
        const char *name;
        struct nat_seed *seed;
    } seeds[] = {{"destination", &t->seed_dest},  {"inside", &t->seed_inside},
                 {"bucket", &t->seed_bucket},     {"pair", &t->seed_pair},
                 {"rotation", &t->seed_rotation}, {"other", &t->seed_other},
                 {"random", &t->seed_random}};
    size_t i;

    for (i = 0; i < sizeof(seeds) / sizeof(seeds[0]); i++) {
        const size_t len = strlen(seeds[i].name);
        XXH128_hash_t h =
            XXH3_128bits_withSeed(seeds[i].name, len, t->config.seed);

        *seeds[i].seed = (struct nat_seed){h.low64, h.high64};
    }
}

struct hg_nat_compact *
hg_nat_compact_create(const struct hg_nat_compact_config *config)
{
    struct hg_nat_compact *t;

    if (!config->per_destination || !config->max_flows ||
        config->max_flows > HG_NAT_COMPACT_FLOWS ||
        config->ports.high < config->ports.low ||
        !hg_port_parts(config->ports, config->workers).n)
        return NULL;
    t = calloc(1, sizeof(*t));
    if (!t)
        return NULL;
    t->config = *config;
    t->ports = hg_port_parts(config->ports, config->workers);
    t->n_places = config->per_destination < t->ports.n
                      ? config->per_destination
                      : t->ports.n;
    t->n_groups = (t->n_places + SLOTS - 1) / SLOTS;
    t->n_candidates =
        t->n_groups < MAX_CANDIDATES ? t->n_groups : MAX_CANDIDATES;
    t->due_ns = t->next_due_ns = HG_NEVER;
    set_seeds(t);
    nat_notes_init(&t->notes);
    if (nat_grow_init(t) && nat_others_init(t))
        return t;
    hg_nat_compact_destroy(t);
    return NULL;
}

void
hg_nat_compact_destroy(struct hg_nat_compact *t)
{
    if (!t)
        return;
    area_release(&t->area);
    nat_others_uninit(t);
    nat_crowds_uninit(t);
    free(t->gateways);
    free(t);
}

/* Whether this factor sends no two of the addresses to one place. */
static bool
try_factor(struct nat_gateway *gateway, uint32_t factor)
{
    unsigned i;

    gateway->factor = factor;
    memset(gateway->which, 0, sizeof(gateway->which));
    for (i = gateway->n; i-- > 0;)
        gateway->which[nat_external_place(gateway, gateway->external[i])] =
            (uint8_t)i;
    for (i = 0; i < gateway->n; i++) {
        uint32_t addr = gateway->external[i];

        if (gateway->external[gateway->which[nat_external_place(
                gateway, addr)]] != addr)
            return false;
    }
    return true;
}

int
hg_nat_compact_add_gateway(struct hg_nat_compact *t, const uint32_t *external,
                           unsigned n)
{
    struct nat_gateway *more;
    uint32_t factor = 1;

    if (!n || n > HG_NAT_COMPACT_EXTERNAL_MAX ||
        t->n_gateways == HG_NAT_COMPACT_TENANTS)
        return -1;
    more = realloc(t->gateways, (t->n_gateways + 1) * sizeof(*more));
    if (!more)
        return -1;
    t->gateways = more;
    more[t->n_gateways].n = n;
    memcpy(more[t->n_gateways].external, external, n * sizeof(*external));
    while (!try_factor(&more[t->n_gateways], factor))
        factor = factor * 5 + 0x9e3779b8; /* Odd ones, two of three will do. */
    return (int)t->n_gateways++;
}

int
hg_nat_compact_add_tenant(struct hg_nat_compact *t, unsigned gateway)
{
    if (gateway >= t->n_gateways || t->n_tenants == HG_NAT_COMPACT_TENANTS)
        return -1;
    t->tenant[t->n_tenants] = (uint16_t)gateway;
    return (int)t->n_tenants++;
}
