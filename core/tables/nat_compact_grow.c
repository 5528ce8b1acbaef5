/* nat_compact_grow.c: splitting, notes, the hand and epochs
 * (nat_compact_internal.h). */
#include "nat_compact_internal.h"

/* Above SPLIT_PERCENT the table grows, until max_flows fill it to
 * FULL_PERCENT. */
enum { SPLIT_PERCENT = 70, FULL_PERCENT = 90, MOST_ROWS = 32 };

/* Begins with up to MOST_ROWS rows, which hold max_flows when they doubled
 * some times.  So all buckets are split as often when the table is as large as
 * it gets, and equally full then. */
bool
nat_grow_init(struct hg_nat_compact *t)
{
    uint64_t n =
        (uint64_t)t->config.max_flows * 100 / FULL_PERCENT / SLOTS + 1;
    uint64_t rows = (n + ROW - 1) / ROW;
    unsigned doublings = 0;

    while (rows > (uint64_t)MOST_ROWS << doublings)
        doublings++;
    t->unit = (uint32_t)((rows + (1u << doublings) - 1) >> doublings);
    t->n_buckets = t->n_unsplit = (uint64_t)t->unit * ROW;
    t->copy_mask = 1;
    t->max_buckets = t->n_buckets << doublings;
    if (!area_reserve(&t->area, t->max_buckets * sizeof(*t->buckets)) ||
        !area_grow(&t->area, t->n_buckets * sizeof(*t->buckets)))
        return false;
    t->buckets = (struct nat_bucket *)(void *)t->area.at;
    return true;
}

/* ---- Splitting -------------------------------------------------------- */

/* Moves those that belong there from a bucket to a new one.  The notes are
 * both's, as nobody knows whose they are. */
static void
split_bucket(struct hg_nat_compact *t, uint64_t from, uint64_t to)
{
    struct nat_bucket *old = &t->buckets[from], *new = &t->buckets[to];
    const uint64_t bit = (t->copy_mask + 1) / 2 << LOW_BITS;
    uint64_t goes[SLOTS];
    unsigned i;

    /* All of them, as nothing else can be foretold. */
    for (i = 0; i < SLOTS; i++)
        goes[i] = -(uint64_t)((nat_hash_of(t, &old->e[i]) & bit) != 0);
    for (i = 0; i < SLOTS; i++) {
        struct nat_entry *e = &old->e[i];

        new->e[i].ends = e->ends &goes[i];
        new->e[i].rest = e->rest &(goes[i] | SHARE_MASK);
        e->ends &= ~goes[i];
        e->rest &= ~goes[i] | SHARE_MASK;
    }
}

static bool
split_one(struct hg_nat_compact *t)
{
    uint64_t to = t->n_buckets, from = to - t->n_unsplit;

    if (!area_grow(&t->area, (to + 1) * sizeof(*t->buckets)))
        return false;
    __builtin_prefetch(&t->buckets[from + 8]);
    nat_clean(t, from);
    split_bucket(t, from, to);
    t->notes.n_stale += 2;
    if (++t->n_buckets == 2 * t->n_unsplit) {
        t->n_unsplit = t->n_buckets;
        t->copy_mask = t->copy_mask * 2 + 1;
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

    for (i = 0; i < SLOTS; i++) {
        uint64_t deadline_ns;

        if (nat_code(bucket->e[i].rest) == CODE_FREE)
            continue;
        deadline_ns = nat_deadline(bucket->e[i].rest, t->epochs[epoch]);
        if (deadline_ns <= t->clock_ns)
            nat_run_out(t, b, i);
        else if (deadline_ns < t->next_due_ns)
            t->next_due_ns = deadline_ns;
    }
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

void
nat_move_hand(struct hg_nat_compact *t)
{
    uint64_t b = t->hand++;

    if (t->owed)
        t->owed--;
    __builtin_prefetch(&t->buckets[b + 8]);
    nat_clean(t, b);
    nat_notes_move(t, b);
    if (t->others.n)
        nat_others_sweep(t, 1);
    if (t->crowds.n && !(b & 63))
        nat_crowds_sweep(t);
    if (t->hand == t->n_buckets) {
        t->hand = 0;
        t->due_ns = t->next_due_ns;
        t->next_due_ns = HG_NEVER;
        nat_notes_end_round(t);
    }
}

void
hg_nat_compact_sweep(struct hg_nat_compact *t, uint64_t now_ns,
                     uint64_t n_buckets)
{
    nat_set_clock(t, now_ns);
    if (t->clock_ns < t->due_ns && !t->others.n && !t->crowds.n)
        return;
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
        .renewals = t->notes.n_renewed,
        .bytes = sizeof(*t) +
                 area_bytes(&t->area, t->n_buckets * sizeof(*t->buckets)) +
                 area_bytes(&o->flows, o->n_used * sizeof(struct nat_other)) +
                 area_bytes(&o->out_heads, heads) +
                 area_bytes(&o->in_heads, heads) +
                 t->crowds.n * (sizeof(struct nat_crowd) +
                                (t->n_places + 63) / 64 * sizeof(uint64_t)) +
                 t->crowds.index.n_slots * sizeof(struct hash_slot)};
}
