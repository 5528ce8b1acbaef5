/* nat_compact_grow.c: memory that grows, splitting, notes, the hand and epochs
 * (nat_compact_internal.h). */
#include <sys/mman.h>

#include "nat_compact_internal.h"

/* Above SPLIT_PERCENT the table grows, until max_flows fill it to
 * FULL_PERCENT. */
enum { SPLIT_PERCENT = 70, FULL_PERCENT = 90 };

/* Areas that may become larger than LARGE are on huge pages. */
static const size_t HUGE_PAGE = (size_t)1 << 21;
static const size_t LARGE = (size_t)1 << 25;

/* ---- Memory ----------------------------------------------------------- */

static size_t
round_up(size_t size, size_t to)
{
    return (size + to - 1) / to * to;
}

bool
nat_area_reserve(struct nat_area *a, size_t size)
{
    a->reserved = round_up(size, HUGE_PAGE);
    a->map_size = a->reserved + HUGE_PAGE;
    a->map = mmap(NULL, a->map_size, PROT_NONE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (a->map == MAP_FAILED) {
        *a = (struct nat_area){0};
        return false;
    }
    a->at =
        a->map + (round_up((uintptr_t)a->map, HUGE_PAGE) - (uintptr_t)a->map);
    if (a->reserved > LARGE)
        madvise(a->at, a->reserved, MADV_HUGEPAGE); /* Only for speed. */
    return true;
}

void
nat_area_release(struct nat_area *a)
{
    if (a->map)
        munmap(a->map, a->map_size);
    *a = (struct nat_area){0};
}

bool
nat_area_grow(struct nat_area *a, size_t size)
{
    size_t to;

    if (size <= a->usable)
        return true;
    if (size > a->reserved)
        return false;
    to = round_up(size, size < HUGE_PAGE ? HUGE_PAGE / 8 : 8 * HUGE_PAGE);
    if (to > a->reserved)
        to = a->reserved;
    if (mprotect(a->at + a->usable, to - a->usable, PROT_READ | PROT_WRITE))
        return false;
    a->usable = to;
    return true;
}

size_t
nat_area_bytes(const struct nat_area *a, size_t used)
{
    return round_up(used, used > HUGE_PAGE && a->reserved > LARGE ? HUGE_PAGE
                                                                  : 4096);
}

/* As many rows to begin with as, doubled often enough, just hold max_flows. */
bool
nat_grow_init(struct hg_nat_compact *t)
{
    uint64_t n =
        (uint64_t)t->config.max_flows * 100 / FULL_PERCENT / SLOTS + 1;
    uint64_t rows = (n + ROW - 1) / ROW;

    while (rows > 16)
        rows = (rows + 1) / 2;
    t->unit = (uint32_t)rows;
    t->n_buckets = rows * ROW;
    t->max_buckets = n > t->n_buckets ? n : t->n_buckets;
    if (!nat_area_reserve(&t->area, t->max_buckets * sizeof(*t->buckets)) ||
        !nat_area_grow(&t->area, t->n_buckets * sizeof(*t->buckets)))
        return false;
    t->buckets = (struct nat_bucket *)(void *)t->area.at;
    return true;
}

/* ---- Flows that pass by ----------------------------------------------- */

static void
note_passing(struct hg_nat_compact *t, const struct hg_nat_compact_key *key,
             unsigned k, unsigned where)
{
    const uint64_t bit = UINT64_C(1) << key->kind;
    uint32_t group = key->group;
    unsigned j;

    for (j = 0; j < k; j++) {
        uint64_t hash = nat_bucket_hash(t, key->dest_hash, group);
        uint64_t b = nat_bucket_at(t, hash, key->tuple.remote);

        t->buckets[b].e[where].rest |= bit;
        group = nat_next_group(t, group, key->step);
    }
}

void
nat_note_passing(struct hg_nat_compact *t,
                 const struct hg_nat_compact_key *key, unsigned k, uint64_t b)
{
    if (!k)
        return;
    note_passing(t, key, k, t->noting);
    /* Else the hand will come by. */
    if (t->renew == RENEW_NOTE && b < t->hand)
        note_passing(t, key, k, !t->noting);
}

/* Notes anew which buckets the flows in 'b' passed by. */
static void
note_anew(struct hg_nat_compact *t, uint64_t b)
{
    const struct nat_bucket *bucket = &t->buckets[b];
    unsigned i;

    for (i = 0; i < SLOTS; i++) {
        struct hg_nat_compact_key key;
        unsigned k = nat_candidate(bucket->e[i].rest);

        if (nat_code(bucket->e[i].rest) == CODE_FREE || !k)
            continue;
        nat_key_of(t, b, i, &key);
        note_passing(t, &key, k, !t->noting);
    }
}

/* ---- Splitting -------------------------------------------------------- */

/* Moves those that belong there from a bucket to a new one.  The notes are
 * both's, as nobody knows whose they are. */
static void
split_bucket(struct hg_nat_compact *t, uint64_t from, uint64_t to)
{
    struct nat_bucket *old = &t->buckets[from], *new = &t->buckets[to];
    uint64_t bit = (t->row_mask + 1) << LOW_BITS;
    unsigned i;

    for (i = 0; i < SLOTS; i++) {
        struct nat_entry *e = &old->e[i];
        uint64_t share = e->rest & SHARE_MASK;
        struct hg_nat_compact_key key;

        new->e[i] = (struct nat_entry){0, share};
        if (nat_code(e->rest) == CODE_FREE)
            continue;
        nat_key_of(t, from, i, &key);
        if (!(key.bucket_hash & bit))
            continue;
        new->e[i] = *e;
        *e = (struct nat_entry){0, share};
    }
}

static bool
split_one(struct hg_nat_compact *t)
{
    uint64_t from = t->split, to = t->n_buckets;

    if (!nat_area_grow(&t->area, (to + 1) * sizeof(*t->buckets)))
        return false;
    __builtin_prefetch(&t->buckets[from + 8]);
    nat_clean(t, from);
    split_bucket(t, from, to);
    t->n_buckets++;
    t->n_stale += 2;
    if (++t->split == (t->row_mask + 1) * t->unit * ROW) {
        t->row_mask = t->row_mask * 2 + 1;
        t->split = 0;
    }
    return true;
}

void
nat_grow(struct hg_nat_compact *t)
{
    unsigned i;

    for (i = 0; i < 2; i++)
        if (t->n * 100 <= t->n_buckets * SLOTS * SPLIT_PERCENT ||
            t->n_buckets == t->max_buckets || !split_one(t))
            return;
}

/* ---- Time ------------------------------------------------------------- */

void
nat_run_out(struct hg_nat_compact *t, uint64_t b, unsigned slot)
{
    struct hg_nat_compact_flow flow;

    if (t->config.expired)
        nat_flow_at(t, b, slot, &flow);
    nat_take_out(t, b, slot);
    if (t->config.expired)
        t->config.expired(t->config.aux, &flow);
}

void
nat_clean(struct hg_nat_compact *t, uint64_t b)
{
    struct nat_bucket *bucket = &t->buckets[b];
    uint32_t epoch = nat_epoch_of(bucket);
    unsigned i;

    for (i = 0; i < SLOTS; i++)
        if (nat_code(bucket->e[i].rest) != CODE_FREE &&
            nat_deadline(bucket->e[i].rest, t->epochs[epoch]) <= t->clock_ns)
            nat_run_out(t, b, i);
    if (epoch != t->epoch)
        nat_set_epoch(bucket, t->epoch);
}

/* A tag may be used again when the hand has been everywhere since.  So it has
 * to go round in N_EPOCHS / 2 of them; what it owes is paid by whoever moves
 * it, and at once only if nobody did for long. */
void
nat_next_epoch(struct hg_nat_compact *t)
{
    t->epoch = (t->epoch + 1) % N_EPOCHS;
    t->epoch_ns = t->clock_ns;
    t->epochs[t->epoch] = t->clock_ns;
    t->owed += t->n_buckets / (N_EPOCHS / 2) + 1;
    while (t->owed > t->n_buckets / 8)
        nat_move_hand(t);
}

/* Notes are cleared in one round, made in the next, and count from then on.
 * It is worth it when each bucket has a stale one. */
static void
end_round(struct hg_nat_compact *t)
{
    t->hand = 0;
    switch (t->renew) {
    case RENEW_IDLE:
        if (t->n_stale > t->n_buckets)
            t->renew = RENEW_CLEAR;
        break;
    case RENEW_CLEAR:
        t->renew = RENEW_NOTE;
        t->n_stale = 0;
        break;
    case RENEW_NOTE:
        t->renew = RENEW_IDLE;
        t->noting = !t->noting;
        t->n_renewed++;
        break;
    }
}

void
nat_move_hand(struct hg_nat_compact *t)
{
    uint64_t b = t->hand++;

    if (t->owed)
        t->owed--;
    __builtin_prefetch(&t->buckets[b + 8]);
    nat_clean(t, b);
    if (t->renew == RENEW_CLEAR)
        t->buckets[b].e[!t->noting].rest &= ~SHARE_MASK;
    else if (t->renew == RENEW_NOTE)
        note_anew(t, b);
    if (t->others.n)
        nat_others_sweep(t, 1);
    if (t->crowds.n && !(b & 63))
        nat_crowds_sweep(t);
    if (t->hand == t->n_buckets)
        end_round(t);
}

void
hg_nat_compact_sweep(struct hg_nat_compact *t, uint64_t now_ns,
                     uint64_t n_buckets)
{
    nat_set_clock(t, now_ns);
    if (n_buckets >= t->n_buckets) {
        n_buckets = t->n_buckets;
        nat_others_sweep(t, t->others.n_used);
    }
    while (n_buckets--)
        nat_move_hand(t);
}

void
hg_nat_compact_get_stats(const struct hg_nat_compact *t,
                         struct hg_nat_compact_stats *s)
{
    const struct nat_others *o = &t->others;
    size_t heads = o->n_heads * sizeof(uint32_t);

    *s = (struct hg_nat_compact_stats){
        .flows = t->n,
        .buckets = t->n_buckets,
        .elsewhere = o->n,
        .crowded = t->crowds.n,
        .renewals = t->n_renewed,
        .bytes =
            sizeof(*t) +
            nat_area_bytes(&t->area, t->n_buckets * sizeof(*t->buckets)) +
            nat_area_bytes(&o->flows, o->n_used * sizeof(struct nat_other)) +
            nat_area_bytes(&o->out_heads, heads) +
            nat_area_bytes(&o->in_heads, heads) +
            t->crowds.n * (sizeof(struct nat_crowd) +
                           (t->n_places + 63) / 64 * sizeof(uint64_t)) +
            t->crowds.index.n_slots * sizeof(struct hash_slot)};
}
