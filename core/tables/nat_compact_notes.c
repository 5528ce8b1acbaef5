/* nat_compact_notes.c: who passed by a bucket (nat_compact_internal.h).
 *
 * A flow that is not in the first bucket of its sequence is noted in those
 * before it, so that a search knows that it has to go on.  Notes outlive their
 * flows, and a split doubles them.  So the hand makes those of a few kinds of
 * flows anew in each of its rounds, in columns of their own, as long as many
 * mean nothing. */
#include <string.h>

#include "nat_compact_internal.h"

static void
set_old(struct nat_notes *notes, unsigned i, uint8_t column)
{
    notes->old[i] = column;
    notes->old_mask[column / 8] |= UINT64_C(1) << column % 8;
}

void
nat_notes_init(struct nat_notes *notes)
{
    unsigned i;

    for (i = 0; i < N_KINDS; i++)
        notes->column[i] = (uint8_t)i;
    for (i = 0; i < N_RENEWED; i++) {
        notes->made[i] = (uint8_t)(N_KINDS + i);
        set_old(notes, i, (uint8_t)(N_KINDS + N_RENEWED + i));
    }
}

static inline void
note(struct nat_bucket *bucket, unsigned column)
{
    bucket->e[column / 8].rest |= UINT64_C(1) << column % 8;
}

/* Whether a kind's notes are made anew; 'column' is where. */
static inline bool
is_renewed(const struct nat_notes *notes, unsigned kind, unsigned *column)
{
    unsigned i = kind - notes->kind;

    if (!notes->is_renewing || i >= N_RENEWED)
        return false;
    *column = notes->made[i];
    return true;
}

void
nat_note_passing(struct hg_nat_compact *t,
                 const struct hg_nat_compact_key *key, const uint64_t *passed,
                 unsigned k)
{
    unsigned column, j;

    for (j = 0; j < k; j++)
        note(&t->buckets[passed[j]], t->notes.column[nat_kind(key)]);
    /* Else the hand will come by. */
    if (is_renewed(&t->notes, nat_kind(key), &column) && passed[k] < t->hand)
        for (j = 0; j < k; j++)
            note(&t->buckets[passed[j]], column);
}

/* ---- Making them anew ------------------------------------------------- */

static struct nat_bucket *
bucket_of(const struct hg_nat_compact *t, const struct nat_note *next)
{
    return &t->buckets[nat_bucket_at(t, next->hash, next->remote)];
}

/* Makes notes until no more than 'n' are left to be made. */
static void
make_notes(struct hg_nat_compact *t, uint32_t n)
{
    struct nat_notes *notes = &t->notes;

    while (notes->n_asked - notes->n_made > n) {
        const struct nat_note *next =
            &notes->ring[notes->n_made++ % NOTES_AHEAD];

        note(bucket_of(t, next), next->column);
    }
}

/* Begins the misses of the last notes that were asked for, together.  (Always
 * inline: gcc drops calls of functions that do nothing else.) */
__attribute__((always_inline)) static inline void
fetch_notes(struct hg_nat_compact *t)
{
    const struct nat_bucket *line[NOTES_FETCHED];
    unsigned i;

    for (i = 0; i < NOTES_FETCHED; i++)
        line[i] = bucket_of(
            t, &t->notes.ring[(t->notes.n_asked - 1 - i) % NOTES_AHEAD]);
    for (i = 0; i < NOTES_FETCHED; i++)
        __builtin_prefetch(line[i], 1);
}

/* Asks for a note in each bucket that the flow of this key passed before
 * candidate 'k'. */
static void
ask_for_notes(struct hg_nat_compact *t, const struct hg_nat_compact_key *key,
              unsigned k, unsigned column)
{
    struct nat_notes *notes = &t->notes;
    uint32_t group = key->group;
    unsigned j;

    for (j = 0; j < k; j++) {
        make_notes(t, NOTES_AHEAD - 1);
        notes->ring[notes->n_asked++ % NOTES_AHEAD] =
            (struct nat_note){nat_bucket_hash(t, key->dest_hash, group),
                              key->tuple.remote, (uint8_t)column};
        if (notes->n_asked % NOTES_FETCHED == 0)
            fetch_notes(t);
        group = nat_next_group(t, key, group);
    }
}

/* The same for the flows in 'b' whose kinds have their turn. */
static void
note_anew(struct hg_nat_compact *t, uint64_t b)
{
    unsigned i;

    for (i = 0; i < SLOTS; i++) {
        const struct nat_entry *e = &t->buckets[b].e[i];
        unsigned k = nat_candidate(e->rest), column;
        struct hg_nat_compact_key key;

        if (!k)
            continue;
        nat_key_of(t, b, i, &key);
        if (is_renewed(&t->notes, nat_kind(&key), &column))
            ask_for_notes(t, &key, k, column);
    }
}

void
nat_notes_move(struct hg_nat_compact *t, uint64_t b)
{
    struct nat_bucket *bucket = &t->buckets[b];
    const uint64_t *mask = t->notes.old_mask;
    unsigned i;

    for (i = 0; i < 3; i++)
        if (bucket->e[i].rest & mask[i])
            bucket->e[i].rest &= ~mask[i];
    if (t->notes.is_renewing)
        note_anew(t, b);
}

/* The notes that were made count from now on. */
static void
change_columns(struct nat_notes *notes)
{
    unsigned i;

    memset(notes->old_mask, 0, sizeof(notes->old_mask));
    for (i = 0; i < N_RENEWED; i++) {
        uint8_t *column = &notes->column[notes->kind + i], was = *column;

        *column = notes->made[i];
        notes->made[i] = notes->old[i]; /* Cleared meanwhile. */
        set_old(notes, i, was);
    }
    notes->kind = (notes->kind + N_RENEWED) % N_KINDS;
}

/* It is worth it as long as each bucket has a stale note. */
void
nat_notes_end_round(struct hg_nat_compact *t)
{
    struct nat_notes *notes = &t->notes;

    if (notes->is_renewing) {
        make_notes(t, 0);
        change_columns(notes);
        notes->n_renewed += N_RENEWED;
    }
    notes->is_renewing = notes->n_stale > t->n_buckets;
    if (notes->is_renewing)
        notes->n_stale -= notes->n_stale * N_RENEWED / N_KINDS;
}
