/* nat_compact_else.c: flows that have no place (headgate/nat_compact.h).
 *
 * The second table is chained both ways.  Its hashes grow by linear hashing,
 * too: each new flow splits one chain of both. */
#include "nat_compact_internal.h"

enum { FIRST_HEADS = 64 };

struct nat_other *
nat_other(const struct hg_nat_compact *t, uint32_t i)
{
    return (struct nat_other *)(void *)t->others.flows.at + i;
}

static uint32_t
hash_out(const struct hg_nat_compact *t,
         const struct hg_nat_compact_tuple *inside)
{
    const uint64_t what[2] = {
        (uint64_t)inside->addr << 32 | inside->remote,
        (uint64_t)inside->port << 48 | (uint64_t)inside->remote_port << 32 |
            (uint64_t)inside->realm << 16 | inside->protocol};

    return (uint32_t)XXH3_64bits_withSeed(what, sizeof(what), t->seed_other.a);
}

static uint32_t
hash_in(const struct hg_nat_compact *t, uint16_t gateway, uint8_t external,
        uint16_t port, const struct hg_nat_compact_tuple *remote)
{
    const uint64_t what[2] = {
        (uint64_t)external << 48 | (uint64_t)gateway << 32 | remote->remote,
        (uint64_t)port << 48 | (uint64_t)remote->remote_port << 32 |
            remote->protocol};

    return (uint32_t)XXH3_64bits_withSeed(what, sizeof(what), t->seed_other.b);
}

static struct hg_nat_compact_tuple
tuple_of(const struct nat_other *o)
{
    return (struct hg_nat_compact_tuple){.addr = o->inside,
                                         .remote = o->remote,
                                         .port = o->inside_port,
                                         .remote_port = o->remote_port,
                                         .realm = o->tenant,
                                         .protocol = o->protocol};
}

static uint32_t
hash_of(const struct hg_nat_compact *t, const struct nat_other *o, bool out)
{
    struct hg_nat_compact_tuple tuple = tuple_of(o);

    return out ? hash_out(t, &tuple)
               : hash_in(t, t->tenant[o->tenant], o->external, o->port,
                         &tuple);
}

/* The head of the chain, which holds number + 1 of its first flow. */
static uint32_t *
head(const struct nat_others *o, bool out, uint32_t hash)
{
    const struct area *heads = out ? &o->out_heads : &o->in_heads;
    uint32_t i = hash & o->mask;

    if (i < o->split)
        i = hash & (o->mask * 2 + 1);
    return (uint32_t *)(void *)heads->at + i;
}

static uint32_t *
next_of(struct nat_other *o, bool out)
{
    return out ? &o->next_out : &o->next_in;
}

bool
nat_others_init(struct hg_nat_compact *t)
{
    struct nat_others *o = &t->others;
    const size_t n = t->config.max_flows;
    const size_t heads =
        (n > FIRST_HEADS ? n : FIRST_HEADS) * sizeof(uint32_t);

    o->n_heads = FIRST_HEADS;
    o->mask = FIRST_HEADS - 1;
    return area_reserve(&o->flows, n * sizeof(struct nat_other)) &&
           area_reserve(&o->out_heads, heads) &&
           area_reserve(&o->in_heads, heads) &&
           area_grow(&o->out_heads, FIRST_HEADS * sizeof(uint32_t)) &&
           area_grow(&o->in_heads, FIRST_HEADS * sizeof(uint32_t));
}

void
nat_others_uninit(struct hg_nat_compact *t)
{
    area_release(&t->others.flows);
    area_release(&t->others.out_heads);
    area_release(&t->others.in_heads);
}

static void
split_chain(struct hg_nat_compact *t, bool out)
{
    struct nat_others *o = &t->others;
    const struct area *heads = out ? &o->out_heads : &o->in_heads;
    uint32_t *from = (uint32_t *)(void *)heads->at + o->split;
    uint32_t *to = (uint32_t *)(void *)heads->at + o->n_heads;

    while (*from) {
        struct nat_other *flow = nat_other(t, *from - 1);
        uint32_t *next = next_of(flow, out);

        if (hash_of(t, flow, out) & (o->mask + 1)) {
            *to = *from;
            to = next;
            *from = *next;
        } else {
            from = next;
        }
    }
    *to = 0;
}

/* One more chain if there are as many flows; chains are longer without
 * memory. */
static void
grow_heads(struct hg_nat_compact *t)
{
    struct nat_others *o = &t->others;
    size_t size = (o->n_heads + 1ul) * sizeof(uint32_t);

    if (o->n < o->n_heads || !area_grow(&o->out_heads, size) ||
        !area_grow(&o->in_heads, size))
        return;
    split_chain(t, true);
    split_chain(t, false);
    o->n_heads++;
    if (++o->split == o->mask + 1) {
        o->mask = o->mask * 2 + 1;
        o->split = 0;
    }
}

static void
chain(struct hg_nat_compact *t, uint32_t i, bool out)
{
    struct nat_other *flow = nat_other(t, i);
    uint32_t *first = head(&t->others, out, hash_of(t, flow, out));

    *next_of(flow, out) = *first;
    *first = i + 1;
}

static void
unchain(struct hg_nat_compact *t, uint32_t i, bool out)
{
    struct nat_other *flow = nat_other(t, i);
    uint32_t *at = head(&t->others, out, hash_of(t, flow, out));

    while (*at != i + 1)
        at = next_of(nat_other(t, *at - 1), out);
    *at = *next_of(flow, out);
}

/* Notes for the destination of 'flow' that its port is taken or free. */
static void
note(struct hg_nat_compact *t, const struct nat_other *flow, bool taken)
{
    struct hg_nat_compact_key key = {.tuple = tuple_of(flow),
                                     .from_inside = true};

    if (!t->crowds.n)
        return;
    nat_prepare(t, &key);
    nat_set_external(t, &key, flow->external);
    nat_crowd_note(t, &key, nat_place_of(t, &key, flow->port), taken,
                   flow->deadline_ns);
}

uint32_t
nat_others_add(struct hg_nat_compact *t, const struct hg_nat_compact_key *key,
               uint16_t port, uint8_t state, uint64_t deadline_ns)
{
    struct nat_others *o = &t->others;
    uint32_t i = o->free;
    struct nat_other *flow;

    if (!i) {
        i = o->n_used + 1;
        if (!area_grow(&o->flows, i * sizeof(*flow)))
            return NOWHERE;
        o->n_used = i;
    } else {
        o->free = nat_other(t, i - 1)->next_out;
    }
    grow_heads(t);
    flow = nat_other(t, --i);
    *flow = (struct nat_other){.inside = key->tuple.addr,
                               .remote = key->tuple.remote,
                               .inside_port = key->tuple.port,
                               .remote_port = key->tuple.remote_port,
                               .port = port,
                               .tenant = key->tuple.realm,
                               .protocol = key->tuple.protocol,
                               .state = state,
                               .external = key->external,
                               .deadline_ns = deadline_ns};
    chain(t, i, true);
    chain(t, i, false);
    o->n++;
    t->n++;
    note(t, flow, true);
    return i;
}

void
nat_others_remove(struct hg_nat_compact *t, uint32_t i)
{
    struct nat_others *o = &t->others;
    struct nat_other *flow = nat_other(t, i);

    unchain(t, i, true);
    unchain(t, i, false);
    o->n--;
    t->n--;
    note(t, flow, false);
    flow->protocol = 0;
    flow->next_out = o->free;
    o->free = i + 1;
}

void
nat_others_flow(const struct hg_nat_compact *t, uint32_t i,
                struct hg_nat_compact_flow *flow)
{
    const struct nat_other *o = nat_other(t, i);
    const struct nat_gateway *gateway = &t->gateways[t->tenant[o->tenant]];

    *flow = (struct hg_nat_compact_flow){.inside = o->inside,
                                         .external =
                                             gateway->external[o->external],
                                         .remote = o->remote,
                                         .inside_port = o->inside_port,
                                         .external_port = o->port,
                                         .remote_port = o->remote_port,
                                         .tenant = o->tenant,
                                         .protocol = o->protocol,
                                         .state = o->state,
                                         .id = i | ELSEWHERE,
                                         .deadline_ns = o->deadline_ns};
}

static bool
lives(struct hg_nat_compact *t, uint32_t i)
{
    struct hg_nat_compact_flow flow;

    if (t->clock_ns < nat_other(t, i)->deadline_ns)
        return true;
    nat_others_flow(t, i, &flow);
    nat_others_remove(t, i);
    if (t->config.expired)
        t->config.expired(t->config.aux, &flow);
    return false;
}

static bool
is_same_remote(const struct nat_other *o,
               const struct hg_nat_compact_tuple *tuple)
{
    return o->remote == tuple->remote &&
           o->remote_port == tuple->remote_port &&
           o->protocol == tuple->protocol;
}

static uint32_t
find_out(struct hg_nat_compact *t, const struct hg_nat_compact_tuple *tuple)
{
    uint32_t i = *head(&t->others, true, hash_out(t, tuple));

    for (; i; i = nat_other(t, i - 1)->next_out) {
        const struct nat_other *o = nat_other(t, i - 1);

        if (o->inside == tuple->addr && o->inside_port == tuple->port &&
            o->tenant == tuple->realm && is_same_remote(o, tuple))
            return lives(t, i - 1) ? i - 1 : NOWHERE;
    }
    return NOWHERE;
}

uint32_t
nat_others_find_port(struct hg_nat_compact *t,
                     const struct hg_nat_compact_key *key, uint16_t port)
{
    uint32_t hash, i;

    if (!t->others.n)
        return NOWHERE;
    hash = hash_in(t, key->gateway, key->external, port, &key->tuple);
    i = *head(&t->others, false, hash);
    for (; i; i = nat_other(t, i - 1)->next_in) {
        const struct nat_other *o = nat_other(t, i - 1);

        if (o->port == port && o->external == key->external &&
            t->tenant[o->tenant] == key->gateway &&
            is_same_remote(o, &key->tuple))
            return lives(t, i - 1) ? i - 1 : NOWHERE;
    }
    return NOWHERE;
}

uint32_t
nat_others_find(struct hg_nat_compact *t, const struct hg_nat_compact_key *key)
{
    if (!t->others.n)
        return NOWHERE;
    return key->from_inside ? find_out(t, &key->tuple)
                            : nat_others_find_port(t, key, key->tuple.port);
}

void
nat_others_sweep(struct hg_nat_compact *t, uint64_t n)
{
    struct nat_others *o = &t->others;

    while (n-- && o->n_used) {
        if (o->hand >= o->n_used)
            o->hand = 0;
        if (nat_other(t, o->hand)->protocol)
            lives(t, o->hand);
        o->hand++;
    }
}
