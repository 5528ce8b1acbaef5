/* track.c: see headgate/track.h; keys, finding, adding and removing. */
#include <stdlib.h>
#include <string.h>

#include "hash_words.h"
#include "track_internal.h"

/* Keys that are prepared together. */
enum { AT_ONCE = 64 };

/* ---- Keys ------------------------------------------------------------- */

static inline uint64_t
hash_of(const struct hg_track_table *t, uint64_t ends, uint64_t rest)
{
    return hash_words64(ends, rest & KEY_MASK, t->seed);
}

uint64_t
track_hash(const struct hg_track_table *t, uint64_t ends, uint64_t rest)
{
    return hash_of(t, ends, rest);
}

/* 'seen' is its home until that has been looked at. */
static inline void
prepare(const struct hg_track_table *t, struct hg_track_key *k)
{
    uint64_t hash;

    k->bits = (uint64_t)k->ports << PORTS_SHIFT |
              (uint64_t)(k->realm >> LOW_BITS) << REALM_SHIFT |
              (uint64_t)(k->state & k->mask) << STATE_SHIFT;
    k->care = KEY_MASK | (uint64_t)k->mask << STATE_SHIFT | DISTANCE_MASK;
    hash = hash_of(t, k->addresses, k->bits);
    k->hash = (uint32_t)(hash >> 32);
    k->low = ((uint32_t)hash ^ k->realm) & LOW_MASK;
    k->seen = t->buckets[track_home(t, k->hash, k->low)].e;
}

static inline unsigned
is_same(const struct hg_track_entry *e, uint64_t ends, uint64_t bits,
        uint64_t care)
{
    return ((e->ends ^ ends) | ((e->rest ^ bits) & care)) == 0;
}

/* An entry of the bucket, so far from its home; without a branch for each, and
 * without a loop. */
static inline struct hg_track_entry *
match(struct track_bucket *b, const struct hg_track_key *k, unsigned distance)
{
    uint64_t ends = k->addresses, care = k->care;
    uint64_t bits = k->bits | (uint64_t)distance << DISTANCE_SHIFT;
    struct hg_track_entry *e = NULL;

    e = is_same(&b->e[0], ends, bits, care) ? &b->e[0] : e;
    e = is_same(&b->e[1], ends, bits, care) ? &b->e[1] : e;
    e = is_same(&b->e[2], ends, bits, care) ? &b->e[2] : e;
    return is_same(&b->e[3], ends, bits, care) ? &b->e[3] : e;
}

/* Looks whether it is at home. */
static inline void
look(const struct hg_track_table *t, struct hg_track_key *k)
{
    k->changes = t->changes;
    k->seen = match((struct track_bucket *)(void *)k->seen, k, 0);
}

/* Fetches what is nearest to its home, where it is if it is there, and where a
 * new one might go.  Returns whether it may be there. */
static inline bool
fetch_away(const struct hg_track_table *t, const struct hg_track_key *k)
{
    uint64_t home = track_home(t, k->hash, k->low);
    struct track_bucket *b = &t->buckets[home];
    unsigned reach = track_reach(b), last = reach + !track_free_in(b), d;

    for (d = 1; d <= last && d <= REACH_MAX; d++)
        __builtin_prefetch(&t->buckets[track_away(home, d)], 1);
    return reach > 0;
}

/* Looks whether it is so far away.  Returns whether it may be further. */
static inline bool
look_away(const struct hg_track_table *t, struct hg_track_key *k, unsigned d)
{
    uint64_t home = track_home(t, k->hash, k->low);

    k->seen = match(&t->buckets[track_away(home, d)], k, d);
    return !k->seen & (track_reach(&t->buckets[home]) > d);
}

/* Up to AT_ONCE keys.  A prefetch waits until its address is translated, so
 * they stand in a row, and wait together.  Those not at home are put aside,
 * without a branch that nobody could predict, and are looked for when what is
 * around has come. */
static void
prepare_some(const struct hg_track_table *t, struct hg_track_key *key,
             unsigned n)
{
    uint8_t away[AT_ONCE];
    unsigned n_away = 0, n_left = 0, d, i;

    for (i = 0; i < n; i++)
        prepare(t, &key[i]);
    for (i = 0; i < n; i++)
        __builtin_prefetch(key[i].seen, 1);
    for (i = 0; i < n; i++) {
        look(t, &key[i]);
        away[n_away] = (uint8_t)i;
        n_away += !key[i].seen;
    }
    for (i = 0; i < n_away; i++) {
        away[n_left] = away[i];
        n_left += fetch_away(t, &key[away[i]]);
    }
    for (d = 1; n_left; d++)
        for (n_away = n_left, n_left = i = 0; i < n_away; i++) {
            away[n_left] = away[i];
            n_left += look_away(t, &key[away[i]], d);
        }
}

void
hg_track_prepare(const struct hg_track_table *t, struct hg_track_key *key,
                 unsigned n)
{
    for (; n > AT_ONCE; n -= AT_ONCE, key += AT_ONCE)
        prepare_some(t, key, AT_ONCE);
    prepare_some(t, key, n);
}

/* ---- Finding ---------------------------------------------------------- */

/* One that was not seen, or that may have moved since. */
__attribute__((noinline)) static struct hg_track_entry *
search(const struct hg_track_table *t, const struct hg_track_key *k)
{
    uint64_t home = track_home(t, k->hash, k->low);
    struct track_bucket *b = &t->buckets[home];
    struct hg_track_entry *e = match(b, k, 0);
    unsigned reach = track_reach(b), d;

    for (d = 1; !e && d <= reach; d++)
        e = match(&t->buckets[track_away(home, d)], k, d);
    return e;
}

static inline struct hg_track_entry *
find(struct hg_track_table *t, const struct hg_track_key *k, uint8_t *state)
{
    struct hg_track_entry *e = k->seen;

    if (!e || k->changes != t->changes)
        e = search(t, k);
    if (!e)
        return NULL;
    *state = track_state_of(e);
    if (track_lives(t, e))
        return e;
    track_end(t, e, false);
    return NULL;
}

struct hg_track_entry *
hg_track_find(struct hg_track_table *t, const struct hg_track_key *k,
              uint8_t *state)
{
    return find(t, k, state);
}

/* What an entry is whose home has these low bits. */
static struct hg_track
view(const struct hg_track_table *t, const struct hg_track_entry *e,
     uint32_t low)
{
    uint8_t state = track_state_of(e);
    unsigned shift = t->state[state].shift;
    uint32_t hash = (uint32_t)track_hash(t, e->ends, e->rest);

    return (struct hg_track){
        .local = (uint32_t)(e->ends >> 32),
        .remote = (uint32_t)e->ends,
        .local_port = (uint16_t)(e->rest >> (PORTS_SHIFT + 16)),
        .remote_port = (uint16_t)(e->rest >> PORTS_SHIFT),
        .realm = ((uint32_t)(e->rest >> REALM_SHIFT) & 127) << LOW_BITS |
                 ((hash ^ low) & LOW_MASK),
        .state = state,
        .deadline_ns = ((t->clock_ns >> shift) + track_to_go(t, e)) << shift};
}

static struct hg_track
view_in_place(const struct hg_track_table *t, const struct hg_track_entry *e)
{
    uint64_t home = track_away(track_bucket_of(t, e), track_distance(e));
    struct hg_track c = view(t, e, (uint32_t)home & LOW_MASK);

    c.entry = (struct hg_track_entry *)(uintptr_t)e;
    return c;
}

/* ---- Changing --------------------------------------------------------- */

static inline void
update(struct hg_track_table *t, struct hg_track_entry *e, uint8_t before,
       uint8_t state)
{
    if (state != before) {
        track_count(t, track_bucket_of(t, e), before, -1);
        track_count(t, track_bucket_of(t, e), state, 1);
    }
    track_set_state(t, e, state);
}

void
hg_track_update(struct hg_track_table *t, struct hg_track_entry *e,
                uint8_t state)
{
    update(t, e, track_state_of(e), state);
}

/* All but the commonest case, which makes no calls. */
__attribute__((noinline)) static struct hg_track_entry *
follow_other(struct hg_track_table *t, const struct hg_track_key *k,
             uint64_t now_ns, const uint8_t next[HG_TRACK_STATES],
             uint8_t *state)
{
    struct hg_track_entry *e;

    hg_track_clock(t, now_ns);
    e = find(t, k, state);
    if (e && next[*state])
        update(t, e, *state, next[*state]);
    return e;
}

struct hg_track_entry *
hg_track_follow(struct hg_track_table *t, const struct hg_track_key *k,
                uint64_t now_ns, const uint8_t next[HG_TRACK_STATES],
                uint8_t *state)
{
    struct hg_track_entry *e = k->seen;

    if (now_ns >= t->step_ns || !e || k->changes != t->changes)
        return follow_other(t, k, now_ns, next, state);
    if (now_ns > t->clock_ns)
        t->clock_ns = now_ns;
    if (!track_lives(t, e))
        return follow_other(t, k, now_ns, next, state);
    *state = track_state_of(e);
    if (next[*state] == *state)
        track_renew(t, e);
    else if (next[*state])
        update(t, e, *state, next[*state]);
    return e;
}

struct hg_track_entry *
hg_track_insert(struct hg_track_table *t, const struct hg_track_key *k,
                uint8_t state)
{
    struct hg_track_entry e = {k->addresses, k->bits}, *placed = NULL;

    if (t->n < t->config.max || track_make_room(t)) {
        track_grow(t);
        track_set_state(t, &e, state);
        placed = track_place(t, track_home(t, k->hash, k->low), e);
    }
    if (placed)
        t->n++;
    else
        t->refused++;
    return placed;
}

void
hg_track_remove(struct hg_track_table *t, struct hg_track_entry *e)
{
    track_take(t, e);
    t->n--;
}

void
track_end(struct hg_track_table *t, struct hg_track_entry *e, bool pushed_out)
{
    struct hg_track c = view_in_place(t, e);

    hg_track_remove(t, e);
    t->evicted += pushed_out;
    if (t->config.ended)
        t->config.ended(t->config.aux, &c, pushed_out);
}

void
track_lose(struct hg_track_table *t, const struct hg_track_entry *e,
           uint32_t low)
{
    struct hg_track c = view(t, e, low);

    t->n--;
    t->evicted++;
    if (t->config.ended)
        t->config.ended(t->config.aux, &c, true);
}

void
hg_track_clock(struct hg_track_table *t, uint64_t now_ns)
{
    if (now_ns <= t->clock_ns)
        return;
    track_set_clock(t, now_ns);
    if (now_ns >= t->step_ns)
        track_step(t);
}

void
hg_track_expire(struct hg_track_table *t)
{
    track_sweep(t, track_n_buckets(t));
}

/* ---- All of them ------------------------------------------------------ */

bool
hg_track_next(const struct hg_track_table *t, uint64_t *at,
              struct hg_track *out)
{
    uint64_t n = track_n_buckets(t) * SLOTS;

    while (*at < n) {
        const struct hg_track_entry *e =
            &t->buckets[*at / SLOTS].e[*at % SLOTS];

        ++*at;
        if (track_state_of(e) && track_lives(t, e)) {
            *out = view_in_place(t, e);
            return true;
        }
    }
    return false;
}

void
hg_track_get_stats(const struct hg_track_table *t, struct hg_track_stats *out)
{
    uint64_t n = track_n_buckets(t), b;
    unsigned i;

    *out = (struct hg_track_stats){
        .n = t->n,
        .buckets = n,
        .evicted = t->evicted,
        .refused = t->refused,
        .bytes = sizeof *t + area_bytes(&t->area, n * sizeof *t->buckets) +
                 (n >> GROUP_BITS) * sizeof *t->n_unkept +
                 t->realm_index.n_slots * sizeof *t->realm_index.slots +
                 t->n_realms * sizeof *t->realms};
    for (b = 0; b < n; b++)
        for (i = 0; i < SLOTS; i++)
            out->strangers += track_distance(&t->buckets[b].e[i]) != 0;
}

/* ---- Realms ----------------------------------------------------------- */

uint32_t
hg_track_realm(struct hg_track_table *t, uint32_t a, uint32_t b)
{
    uint64_t pair = (uint64_t)a << 32 | b, *more;
    uint32_t hash =
        (uint32_t)XXH3_64bits_withSeed(&pair, sizeof pair, t->seed);
    size_t at = hash_index_start(&t->realm_index, hash);
    uint32_t i;

    while ((i = hash_index_candidate(&t->realm_index, hash, &at)) !=
           HASH_INDEX_END)
        if (t->realms[i] == pair)
            return i;
    i = t->n_realms;
    if (i == HG_TRACK_REALMS)
        return i;
    if (!(i & (i - 1))) { /* 0 or a power of two: full. */
        more = realloc(t->realms, (i ? 2 * (size_t)i : 1) * sizeof *more);
        if (!more)
            return HG_TRACK_REALMS;
        t->realms = more;
    }
    t->realms[t->n_realms++] = pair;
    hash_index_add(&t->realm_index, hash, i);
    return i;
}

void
hg_track_realm_pair(const struct hg_track_table *t, uint32_t realm,
                    uint32_t *a, uint32_t *b)
{
    *a = (uint32_t)(t->realms[realm] >> 32);
    *b = (uint32_t)t->realms[realm];
}

/* ---- The table's life ------------------------------------------------- */

/* The shortest ticks, from 17 ms on, of which so many fit that nothing that
 * ran out looks alive before the hand has met it, four rounds later at the
 * latest. */
static bool
set_up_state(struct track_state *s, uint64_t timeout_ns, bool kept)
{
    const uint64_t late_ns = 64 * HG_SEC;

    if (!timeout_ns || timeout_ns > HG_TRACK_TIMEOUT_MAX)
        return false;
    *s = (struct track_state){
        .timeout_ns = timeout_ns, .shift = 24, .kept = kept};
    while ((timeout_ns >> s->shift) + (late_ns >> s->shift) + 4 > TICK_MASK)
        s->shift++;
    s->ticks = (uint16_t)((timeout_ns >> s->shift) + 2);
    return true;
}

struct hg_track_table *
hg_track_create(const struct hg_track_config *config)
{
    struct hg_track_table *t;
    bool ok = config->max && config->max <= HG_TRACK_MAX;
    unsigned i;

    t = ok ? calloc(1, sizeof *t) : NULL;
    if (!t)
        return NULL;
    t->config = *config;
    t->seed = config->seed;
    for (i = 1; ok && i < HG_TRACK_STATES; i++)
        ok =
            set_up_state(&t->state[i], config->timeout_ns[i], config->kept[i]);
    if (ok && track_grow_init(t))
        return t;
    hg_track_destroy(t);
    return NULL;
}
