/* flow.c: the flow service as elements see it (flow.h): finding, making and
 * using flows.  flow_table.c is where they are.
 *
 * Several users share a record, and a whole batch is with one of them before
 * the next sees its first packet.  So that results do not depend on the size
 * of batches, a user is told only about its own interest in a record, which
 * nobody else can end, and looking up changes nothing: a record whose users
 * have all lost interest stays until the sweep (a timer, which no batch spans)
 * or until room is needed. */
#include <stdlib.h>
#include <string.h>

#include "flow_table.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

/* ---- Keys ----------------------------------------------------------------
 */

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

/* ---- Finding -------------------------------------------------------------
 */

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
    struct hg_flow *flow = flow_table_find(t, key, hash, p->time_ns, &k);

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
    flow = flow_table_find(t, &normal, hash_key(t, &normal), now_ns, &k);
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
                const struct hg_flow *flow =
                    flow_table_record(t, (link - 1) / 2);

                __builtin_prefetch(flow);
                __builtin_prefetch(&flow->number);
            }
        }
    for (i = 0; i < batch->n; i++)
        if (wanted[i])
            look_up(t, batch->p[i], &normal[i], hash[i], swapped[i]);
}

/* ---- Making --------------------------------------------------------------
 */

/* This user's first packet of the flow: begins with nothing of what it knew of
 * an earlier one. */
static void
begin_interest(struct flow_table *t, struct hg_flow *flow, unsigned user,
               struct hg_packet *p)
{
    bool against = p->flow_generation & 1;

    if (!flow_table_is_wanted(t, flow, p->time_ns)) {
        flow->confirmed = false;
        flow->first_against = against;
        flow_table_queue(t, flow);
    }
    if (flow->deadline[user])
        flow_table_end_interest(t, flow, user, p->time_ns, true);
    memset(flow_table_bytes(t, flow, user), 0, t->users[user].size);
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
        flow = flow_table_take(t, p->time_ns);
        if (!flow)
            return NULL;
        flow->swapped[0] = normalise(&key, &flow->key);
        flow->hash[0] = hash_key(t, &flow->key);
        flow_table_link(t, flow, 0);
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
    struct hg_flow *other = flow_table_find(t, &normal, hash, now_ns, &k);

    if (other && other != flow) {
        if (k || flow_table_is_wanted(t, other, now_ns))
            return false;
        flow_table_release(t, other, now_ns);
    }
    flow_table_drop_second(t, flow);
    if (other == flow && k == 0)
        return true;
    *flow_table_key(t, flow, 1) = normal;
    flow->hash[1] = hash;
    flow->swapped[1] = swapped != (flow->against >> user & 1);
    flow->second_user = user;
    flow->has_second = true;
    flow_table_link(t, flow, 1);
    return true;
}

/* ---- Using ---------------------------------------------------------------
 */

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
        flow_table_end_interest(t, flow, user, now_ns, true);
    return flow_table_bytes(t, flow, user);
}

void
hg_flow_keep(void *self, struct hg_flow *flow, uint64_t until_ns)
{
    unsigned user = user_of(self);

    if (until_ns)
        flow->deadline[user] = until_ns;
    else
        flow_table_end_interest(table_of(self), flow, user, 0, false);
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
        struct hg_flow *flow = flow_table_record(t, i);

        if (!flow->used || !flow->deadline[user])
            continue;
        if (flow->deadline[user] <= now_ns)
            flow_table_end_interest(t, flow, user, now_ns, true);
        else if (!fn(aux, flow, flow_table_bytes(t, flow, user)))
            return;
    }
}
