/* nat_compact_crowd.c: destinations nearly all places of which are taken, and
 * finding a free port where no bucket has one (nat_compact_internal.h). */
#include "../graph_internal.h"
#include "nat_compact_internal.h"

enum { PORT_TRIES = 256 };

/* ---- Crowded destinations --------------------------------------------- */

static uint32_t
crowd_hash(const struct hg_nat_compact *t,
           const struct hg_nat_compact_key *key)
{
    return (uint32_t)nat_hash_next(
        key->dest_hash, key->tuple.remote & LOW_MASK, &t->seed_other);
}

static struct nat_crowd *
find_crowd(const struct hg_nat_compact *t,
           const struct hg_nat_compact_key *key)
{
    const struct nat_crowds *c = &t->crowds;
    uint32_t hash, i;
    size_t at;

    if (!c->n)
        return NULL;
    hash = crowd_hash(t, key);
    at = hash_index_start(&c->index, hash);
    while ((i = hash_index_candidate(&c->index, hash, &at)) !=
           HASH_INDEX_END) {
        struct nat_crowd *crowd = c->v[i];

        if (crowd->key.tuple.remote == key->tuple.remote &&
            crowd->key.dest_hash == key->dest_hash &&
            crowd->key.tuple.remote_port == key->tuple.remote_port &&
            crowd->key.tuple.protocol == key->tuple.protocol &&
            crowd->key.gateway == key->gateway &&
            crowd->key.external == key->external)
            return crowd;
    }
    return NULL;
}

static void
set_taken(struct nat_crowd *crowd, uint32_t place, bool taken)
{
    uint64_t *word = &crowd->taken[place / 64];
    uint64_t bit = UINT64_C(1) << place % 64;

    if (taken == ((*word & bit) != 0))
        return;
    *word ^= bit;
    crowd->n = taken ? crowd->n + 1 : crowd->n - 1;
}

void
nat_crowd_note(struct hg_nat_compact *t, const struct hg_nat_compact_key *key,
               uint32_t place, bool taken, uint64_t deadline_ns)
{
    struct nat_crowd *crowd = find_crowd(t, key);

    if (!crowd || place >= t->n_places)
        return;
    set_taken(crowd, place, taken);
    if (taken && deadline_ns < crowd->due_ns)
        crowd->due_ns = deadline_ns;
}

void
nat_crowd_sooner(struct hg_nat_compact *t,
                 const struct hg_nat_compact_flow *flow)
{
    struct hg_nat_compact_key key = {
        .tuple = {flow->external, flow->remote, flow->external_port,
                  flow->remote_port, t->tenant[flow->tenant], flow->protocol}};
    struct nat_crowd *crowd;

    nat_prepare(t, &key);
    crowd = find_crowd(t, &key);
    if (crowd && flow->deadline_ns < crowd->due_ns)
        crowd->due_ns = flow->deadline_ns;
}

/* The deadline of the flow that has a place, 0 if none lives there. */
static uint64_t
look_at_place(struct hg_nat_compact *t, const struct hg_nat_compact_key *key,
              uint64_t b, uint32_t place)
{
    const struct nat_bucket *bucket = nat_bucket(t, b);
    const struct nat_entry *e = &bucket->e[place % SLOTS];
    uint32_t i;

    if (nat_is_of(t, e, key, place / SLOTS)) {
        uint64_t deadline_ns = nat_deadline(e->rest, t->epoch_ns);

        if (t->clock_ns < deadline_ns)
            return deadline_ns;
        nat_run_out(t, b, place % SLOTS);
        return 0;
    }
    if (!t->others.n)
        return 0;
    i = nat_others_find_port(t, key, nat_port_of(t, key, place));
    return i == NOWHERE ? 0 : nat_other(t, i)->deadline_ns;
}

static uint64_t
bucket_of(const struct hg_nat_compact *t, const struct hg_nat_compact_key *key,
          uint32_t group)
{
    return nat_bucket_at(t, nat_bucket_hash(t, key->dest_hash, group),
                         key->tuple.remote);
}

/* Looks at all places of the destination, a few groups ahead. */
static void
look_at_all(struct hg_nat_compact *t, struct nat_crowd *crowd)
{
    enum { AHEAD = 16 };
    uint64_t b[AHEAD], due_ns = HG_NEVER;
    uint32_t group, place;

    for (group = 0; group < t->n_groups + AHEAD; group++) {
        if (group >= AHEAD) {
            uint32_t end = (group - AHEAD + 1) * SLOTS;

            for (place = end - SLOTS; place < end && place < t->n_places;
                 place++) {
                uint64_t deadline_ns =
                    look_at_place(t, &crowd->key, b[group % AHEAD], place);

                set_taken(crowd, place, deadline_ns != 0);
                if (deadline_ns && deadline_ns < due_ns)
                    due_ns = deadline_ns;
            }
        }
        if (group < t->n_groups) {
            b[group % AHEAD] = bucket_of(t, &crowd->key, group);
            __builtin_prefetch(&t->buckets[b[group % AHEAD]]);
        }
    }
    crowd->due_ns = due_ns;
}

static struct nat_crowd *
make_crowd(struct hg_nat_compact *t, const struct hg_nat_compact_key *key)
{
    struct nat_crowds *c = &t->crowds;
    struct nat_crowd *crowd = xcalloc(1, sizeof(*crowd));

    crowd->key = *key;
    crowd->taken = xcalloc((t->n_places + 63) / 64, sizeof(*crowd->taken));
    if (c->n == c->capacity) {
        c->capacity = c->capacity ? c->capacity * 2 : 16;
        c->v = xrealloc(c->v, c->capacity * sizeof(struct nat_crowd *));
    }
    look_at_all(t, crowd);
    hash_index_add(&c->index, crowd_hash(t, key), c->n);
    c->v[c->n++] = crowd;
    return crowd;
}

static void
drop_crowd(struct hg_nat_compact *t, uint32_t i)
{
    struct nat_crowds *c = &t->crowds;
    struct nat_crowd *crowd = c->v[i], *last = c->v[--c->n];

    hash_index_remove(&c->index, crowd_hash(t, &crowd->key), i);
    if (last != crowd) {
        uint32_t hash = crowd_hash(t, &last->key);

        hash_index_remove(&c->index, hash, c->n);
        hash_index_add(&c->index, hash, i);
        c->v[i] = last;
    }
    free(crowd->taken);
    free(crowd);
}

void
nat_crowds_sweep(struct hg_nat_compact *t)
{
    struct nat_crowds *c = &t->crowds;

    if (c->hand >= c->n)
        c->hand = 0;
    if (c->v[c->hand]->n * 2 < t->n_places)
        drop_crowd(t, c->hand);
    c->hand++;
}

void
nat_crowds_uninit(struct hg_nat_compact *t)
{
    while (t->crowds.n)
        drop_crowd(t, t->crowds.n - 1);
    hash_index_uninit(&t->crowds.index);
    free(t->crowds.v);
}

/* ---- Finding a port --------------------------------------------------- */

/* A free place of a crowd that is not full, at or behind 'first'. */
static uint32_t
free_place(const struct hg_nat_compact *t, const struct nat_crowd *crowd,
           uint32_t first)
{
    const uint32_t n_words = (t->n_places + 63) / 64;
    uint32_t word = first / 64, i;

    for (i = 0; i <= n_words; i++) {
        uint64_t free_bits = ~crowd->taken[word];

        if (!i)
            free_bits &= UINT64_MAX << first % 64;
        if (word == n_words - 1 && t->n_places % 64)
            free_bits &= UINT64_MAX >> (64 - t->n_places % 64);
        if (free_bits)
            return word * 64 + (uint32_t)__builtin_ctzll(free_bits);
        word = word + 1 == n_words ? 0 : word + 1;
    }
    return NOWHERE;
}

bool
nat_find_port(struct hg_nat_compact *t, const struct hg_nat_compact_key *key,
              uint16_t *port)
{
    uint32_t first = nat_below(nat_random(t), t->n_places), place = first, i;
    struct nat_crowd *crowd = find_crowd(t, key);

    for (i = 0; !crowd && i < PORT_TRIES && i < t->n_places; i++) {
        if (!look_at_place(t, key, bucket_of(t, key, place / SLOTS), place)) {
            *port = nat_port_of(t, key, place);
            return true;
        }
        place = place + 1 == t->n_places ? 0 : place + 1;
    }
    if (!crowd)
        crowd = make_crowd(t, key);
    else if (crowd->n == t->n_places && t->clock_ns >= crowd->due_ns)
        look_at_all(t, crowd);
    place = free_place(t, crowd, first);
    if (place == NOWHERE)
        return false;
    *port = nat_port_of(t, key, place);
    return true;
}
