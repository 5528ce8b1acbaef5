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

/* Packets of a batch looked up at once: few enough that what was fetched for
 * them is still in the first caches when its turn comes. */
enum { LOOKUP_MAX = 64 };

static struct flow_table *
table_of(const void *self)
{
    return element_of(self)->graph->flows;
}

static unsigned
user_of(const void *self)
{
    const struct hg_element *e = element_of(self);

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

static inline void
remember(struct hg_packet *p, struct hg_flow *flow, unsigned k,
         const struct flow_tuple *key)
{
    flow_remember(p, flow, k, flow_is_against(flow, k, key));
}

/* Looks up and remembers a packet's record. */
static struct hg_flow *
look_up(const struct flow_table *t, struct hg_packet *p,
        const struct flow_tuple *key)
{
    unsigned k;
    struct hg_flow *flow = flow_index_find(t, key, p->time_ns, &k);

    if (flow)
        remember(p, flow, k, key);
    else
        hg_packet_forget_flow(p);
    return flow;
}

/* The same where it is most probably this record's, as key 'k'. */
FLOW_INLINE bool
look_up_in(const struct flow_table *t, struct hg_packet *p,
           const struct flow_tuple *key, struct hg_flow *flow, unsigned k)
{
    if (!flow_table_check(t, flow, k, key, p->time_ns))
        return look_up(t, p, key) != NULL;
    remember(p, flow, k, key);
    return true;
}

_Static_assert(HG_FLOW_AGAINST == 1, "as a bit of hg_flow.against");

/* The packet's record for a user that is interested in it. */
FLOW_INLINE struct hg_flow *
for_user(const struct flow_table *t, struct hg_packet *p, unsigned user)
{
    struct hg_flow *flow = p->flow;

    if (*flow_table_deadline(t, flow, user) <= p->time_ns)
        return NULL;
    /* It is as the first key says, whatever became of second ones. */
    if (!flow_is_as_remembered(p) &&
        !(p->flow_generation & (HG_FLOW_SECOND | HG_FLOW_REWRITTEN)))
        p->flow_generation =
            flow->generation | (p->flow_generation & HG_FLOW_AGAINST);
    hg_flow_tell_direction(p, flow, user);
    return flow;
}

FLOW_INLINE struct hg_flow *
find(const struct flow_table *t, struct hg_packet *p, unsigned user)
{
    struct flow_tuple key;

    if (!flow_is_remembered(p) &&
        (flow_is_known_to_be_none(p, &t->index) ||
         !flow_tuple_of_packet(p, t->seed, &key) || !look_up(t, p, &key)))
        return NULL;
    return for_user(t, p, user);
}

struct hg_flow *
hg_flow_find(void *self, struct hg_packet *p)
{
    return find(table_of(self), p, user_of(self));
}

static __attribute__((noinline)) struct hg_flow *
find_state_any(void *self, struct hg_packet *p, void **state)
{
    const struct flow_table *t = table_of(self);
    unsigned user = user_of(self);
    struct hg_flow *flow = find(t, p, user);

    *state = flow ? flow_table_bytes(t, flow, user) : NULL;
    return flow;
}

/* Most packets were looked up with their batch, whether they have a flow or
 * not: then little is left to do, and no register to be saved. */
struct hg_flow *
hg_flow_find_state(void *self, struct hg_packet *p, void **state)
{
    const struct hg_element *e = element_of(self);
    const struct hg_flow_place place = {e->flow_offset, e->flow_user - 1};

    if (e->flow_user && flow_is_known_to_be_none(p, &e->graph->flows->index)) {
        *state = NULL;
        return NULL;
    }
    if (!e->flow_user || !flow_is_as_remembered(p))
        return find_state_any(self, p, state);
    *state = hg_flow_known_state(&place, p);
    return *state ? p->flow : NULL;
}

struct hg_flow_place
hg_flow_place(const void *self)
{
    return (struct hg_flow_place){element_of(self)->flow_offset,
                                  user_of(self)};
}

struct hg_flow *
hg_flow_find_key(void *self, const struct hg_flow_key *key, uint64_t now_ns)
{
    struct flow_table *t = table_of(self);
    struct flow_tuple tuple;
    struct hg_flow *flow;
    unsigned k;

    flow_tuple_of_key(key, t->seed, &tuple);
    flow = flow_index_find(t, &tuple, now_ns, &k);
    return flow && *flow_table_deadline(t, flow, user_of(self)) > now_ns
               ? flow
               : NULL;
}

/* A packet that has no record yet, on its way to one. */
struct wanted {
    struct flow_tuple key;
    struct hg_packet *p;
    const struct flow_bucket *first;
    struct hg_flow *record; /* If there is a link. */
    uint32_t link;
};

/* Guesses the links of keys by their first buckets, which were fetched.  Those
 * few that are in none of these are searched on in a loop of their own, when
 * what their chains go on with has come, too. */
static inline void
guess(const struct flow_index *x, struct wanted *w, const struct wanted *end)
{
    struct wanted *other[LOOKUP_MAX];
    unsigned n_others = 0, i;

    for (; w < end; w++) {
        w->link = flow_index_guess(w->first, w->key.hash);
        if (!w->link && w->first->next) {
            __builtin_prefetch(flow_bucket_next(x, w->first));
            other[n_others++] = w;
        }
    }
    for (i = 0; i < n_others; i++)
        other[i]->link =
            flow_index_guess_on(x, other[i]->first, other[i]->key.hash);
}

/* Fetches the records to which links lead with the user's block, of all of
 * them one line after the other. */
FLOW_FETCH
fetch_records(const struct flow_table *t, const struct flow_user *u,
              struct wanted *begin, const struct wanted *end)
{
    const struct flow_lines *lines = &u->lines;
    uint32_t any_link = 0, any_kind = 0;
    struct wanted *w;
    unsigned i;

    for (w = begin; w < end; w++) {
        if (!w->link)
            continue;
        w->record = flow_table_record(t, flow_link_number(w->link));
        __builtin_prefetch((const uint8_t *)w->record + lines->at[0], 1);
        any_link |= w->link - 1;
        any_kind |= w->key.kind;
    }
    for (i = 1; i < lines->n; i++)
        for (w = begin; w < end; w++)
            if (w->link)
                __builtin_prefetch((const uint8_t *)w->record + lines->at[i],
                                   1);
    if (!(t->verdict_size | (any_link & 1) | (any_kind & FLOW_SIX)))
        return;
    for (w = begin; w < end; w++)
        if (w->link)
            flow_fetch_more(t, u, w->link, w->record, &w->key);
}

/* Looks up at most LOOKUP_MAX packets, and returns how many have no record.
 * Each loop fetches for all of them what the next one reads, and those that
 * fetch do nothing else: a processor waits for several page walks at once only
 * if they stand close together. */
static unsigned
find_many(const struct flow_table *t, unsigned user, struct hg_packet **p,
          unsigned n)
{
    const struct flow_user *u = &t->users[user];
    const struct hash_seed seed = t->seed;
    const struct hg_flow *known[LOOKUP_MAX];
    struct wanted wanted[LOOKUP_MAX], *end = wanted, *w;
    unsigned n_known = 0, i;

    for (i = 0; i < n; i++) {
        if (p[i]->flow) {
            known[n_known++] = p[i]->flow;
        } else if (flow_tuple_of_packet(p[i], seed, &end->key)) {
            end->p = p[i];
            end++;
        }
    }
    for (w = wanted; w < end; w++) {
        w->first = flow_bucket_of(&t->index, w->key.hash);
        __builtin_prefetch(w->first);
    }
    for (i = 0; i < n_known; i++)
        flow_fetch_lines(known[i], &u->lines, u->lines.n_block);
    guess(&t->index, wanted, end);
    fetch_records(t, u, wanted, end);
    for (w = wanted; w < end; w++)
        if (w->link)
            n_known += flow_link_key(w->link)
                           ? look_up_in(t, w->p, &w->key, w->record, 1)
                           : look_up_in(t, w->p, &w->key, w->record, 0);
        else
            flow_remember_none(w->p, &t->index, w->key.hash);
    return n - n_known;
}

unsigned
hg_flow_find_batch(void *self, struct hg_batch *batch)
{
    const struct flow_table *t = table_of(self);
    unsigned user = user_of(self), n_without = 0, at, n;

    for (at = 0; at < batch->n; at += n) {
        n = batch->n - at < LOOKUP_MAX ? batch->n - at : LOOKUP_MAX;
        n_without += find_many(t, user, &batch->p[at], n);
    }
    return n_without;
}

/* Together, as above; inlined, since GCC takes a function that only prefetches
 * for one without effect. */
FLOW_FETCH
fetch_buckets(const struct flow_index *x, const uint32_t *hash, unsigned n)
{
    unsigned i;

    for (i = 0; i < n; i++)
        __builtin_prefetch(flow_bucket_of(x, hash[i]));
}

/* ---- Making --------------------------------------------------------------
 */

/* This user's first packet of the flow: begins with nothing of what it knew of
 * an earlier one. */
static void
begin_interest(struct flow_table *t, struct hg_flow *flow, unsigned user,
               struct hg_packet *p)
{
    bool against = p->flow_generation & HG_FLOW_AGAINST;

    if (!flow_table_is_wanted(t, flow, p->time_ns)) {
        flow->confirmed = false;
        flow->first_against = against;
        flow_table_queue(t, flow);
    }
    if (*flow_table_deadline(t, flow, user))
        flow_table_end_interest(t, flow, user, p->time_ns, true);
    else if (flow->second_user == user)
        flow_table_drop_second(t, flow); /* Of an interest never kept. */
    memset(flow_table_bytes(t, flow, user), 0, t->users[user].size);
    flow->against &= ~(UINT32_C(1) << user);
    if (against)
        flow->against |= UINT32_C(1) << user;
    p->flags &= ~(uint32_t)HG_PACKET_REPLY;
}

/* The first interest of all in a new record. */
static struct hg_flow *
begin_record(struct flow_table *t, const struct flow_tuple *key, unsigned user,
             struct hg_packet *p)
{
    struct hg_flow *flow = flow_table_take(t, p->time_ns);

    if (!flow)
        return NULL;
    flow_table_set_key(t, flow, 0, key);
    flow_remember(p, flow, 0, false);
    memset(flow_table_bytes(t, flow, user), 0, t->users[user].size);
    p->flags &= ~(uint32_t)HG_PACKET_REPLY;
    return flow;
}

static inline struct hg_flow *
create(struct flow_table *t, struct hg_packet *p, unsigned user)
{
    struct flow_tuple key;
    struct hg_flow *flow;

    if (!flow_is_remembered(p)) {
        if (!flow_tuple_of_packet(p, t->seed, &key))
            return NULL;
        if (flow_is_known_to_be_none(p, &t->index) || !look_up(t, p, &key))
            return begin_record(t, &key, user, p);
    }
    flow = for_user(t, p, user);
    if (flow)
        return flow;
    begin_interest(t, p->flow, user, p);
    return p->flow;
}

struct hg_flow *
hg_flow_create(void *self, struct hg_packet *p)
{
    return create(table_of(self), p, user_of(self));
}

struct hg_flow *
hg_flow_create_state(void *self, struct hg_packet *p, void **state)
{
    struct flow_table *t = table_of(self);
    unsigned user = user_of(self);
    struct hg_flow *flow = create(t, p, user);

    *state = flow ? flow_table_bytes(t, flow, user) : NULL;
    return flow;
}

void
hg_flow_fetch_keys(void *self, const struct hg_flow_key *const *key,
                   unsigned n)
{
    const struct flow_table *t = table_of(self);
    uint32_t hash[LOOKUP_MAX];
    unsigned i, k;

    for (i = 0; i < n; i += k) {
        for (k = 0; k < LOOKUP_MAX && i + k < n; k++) {
            struct flow_tuple tuple;

            flow_tuple_of_key(key[i + k], t->seed, &tuple);
            hash[k] = tuple.hash;
        }
        fetch_buckets(&t->index, hash, k);
    }
}

bool
hg_flow_add_key(void *self, struct hg_flow *flow,
                const struct hg_flow_key *key, uint64_t now_ns)
{
    struct flow_table *t = table_of(self);
    unsigned user = user_of(self);
    struct flow_tuple tuple;
    struct hg_flow *other;
    unsigned k = 0;

    flow_tuple_of_key(key, t->seed, &tuple);
    other = flow_index_find(t, &tuple, now_ns, &k);
    if (other && other != flow) {
        if (k || flow_table_is_wanted(t, other, now_ns))
            return false;
        flow_table_release(t, other, now_ns);
    }
    flow_table_drop_second(t, flow);
    if (other == flow && k == 0) {
        flow->second_user = user & (FLOW_USERS - 1);
        flow->second_is_first = true;
        if (t->users[user].second)
            *flow_ends_of(t, flow, 1) = flow->ends; /* For it to read. */
        return true;
    }
    if (flow->against >> user & 1)
        tuple.kind ^= FLOW_SWAPPED;
    flow->second_user = user & (FLOW_USERS - 1);
    flow_table_set_key(t, flow, 1, &tuple);
    return true;
}

/* ---- Using ---------------------------------------------------------------
 */

bool
hg_flow_is_reply(const struct hg_flow *flow, const struct hg_packet *p)
{
    struct flow_tuple key;

    if (p->flow == flow && flow_is_remembered(p))
        return p->flags & HG_PACKET_REPLY;
    if (!flow_tuple_of_packet(p, (struct hash_seed){0}, &key))
        return false;
    if (flow_tuple_is(&key, flow_kind(flow, 0), &flow->ends))
        return flow_is_against(flow, 0, &key) != flow->first_against;
    return flow->has_second &&
           flow_is_against(flow, 1, &key) != flow->first_against;
}

bool
hg_flow_is_reply_key(void *self, const struct hg_flow *flow,
                     const struct hg_flow_key *key)
{
    struct flow_tuple tuple;
    bool is_first;

    flow_tuple_of_key(key, (struct hash_seed){0}, &tuple);
    is_first = flow_tuple_is(&tuple, flow_kind(flow, 0), &flow->ends);
    return flow_is_against(flow, !is_first, &tuple) !=
           (flow->against >> user_of(self) & 1);
}

static struct hg_addr
address(const struct hg_flow *flow, bool high)
{
    const struct hg_flow_ends *ends = &flow->ends;
    struct hg_addr a = {.family = flow_kind(flow, 0) & FLOW_SIX ? 6 : 4};

    if (a.family == 4)
        hg_store32(a.byte, ends->addr[high]);
    else
        memcpy(a.byte, high ? ends->wide->high : ends->wide->low, 16);
    return a;
}

void
hg_flow_first_key(const struct hg_flow *flow, struct hg_flow_key *out)
{
    const struct hg_flow_ends *ends = &flow->ends;
    uint32_t kind = flow_kind(flow, 0);
    bool swapped = !(kind & FLOW_SWAPPED) == flow->first_against;

    *out =
        (struct hg_flow_key){.vpc = ends->vpc,
                             .src = address(flow, swapped),
                             .dst = address(flow, !swapped),
                             .sport = swapped ? ends->port[1] : ends->port[0],
                             .dport = swapped ? ends->port[0] : ends->port[1],
                             .protocol = kind & UINT8_MAX};
}

void *
hg_flow_state(void *self, struct hg_flow *flow, uint64_t now_ns)
{
    struct flow_table *t = table_of(self);
    unsigned user = user_of(self);
    uint64_t deadline = *flow_table_deadline(t, flow, user);

    if (deadline && deadline <= now_ns)
        flow_table_end_interest(t, flow, user, now_ns, true);
    return flow_table_bytes(t, flow, user);
}

void *
hg_flow_seldom(void *self, const struct hg_flow *flow)
{
    struct flow_user *u = &table_of(self)->users[user_of(self)];

    flow_note_used(&u->n_seldom, flow);
    return u->seldom + (size_t)flow->number * u->seldom_size;
}

void
hg_flow_keep(void *self, struct hg_flow *flow, uint64_t until_ns)
{
    struct flow_table *t = table_of(self);
    unsigned user = user_of(self);

    if (until_ns)
        *flow_table_deadline(t, flow, user) = until_ns;
    else
        flow_table_end_interest(t, flow, user, 0, false);
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
        uint64_t deadline = *flow_table_deadline(t, flow, user);

        if (!flow->used || !deadline)
            continue;
        if (deadline <= now_ns)
            flow_table_end_interest(t, flow, user, now_ns, true);
        else if (!fn(aux, flow, flow_table_bytes(t, flow, user)))
            return;
    }
}
