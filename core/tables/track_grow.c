/* track_grow.c: memory, stretching and the hands of a table of connections
 * (headgate/track.h). */
#include <stdlib.h>

#include <headgate/memory.h>

#include "track_internal.h"

enum {
    GROW_PERCENT = 85, /* More than that in use: a quarter more is wanted. */
    MAX_PERCENT = 88,  /* In use, at most, when all is there. */
    STRETCHED = 8,     /* Buckets stretched with each insertion. */
    ROUND_S = 8,       /* In which the hand goes round; */
    LATE_S = 16,       /* so much late it does so at once, */
    JUMP_S = 12,       /* ... and when the clock jumps. */
    STEP_BUCKETS = 64, /* That it goes over at a time, and more if late. */
    QUICK_LOOKS = 4,   /* Buckets for one that has run out, */
    LOOKS = 64,        /* ... before and after others. */
    CANDIDATES = 8,    /* For being pushed out, */
    GROUPS = 9 /* ... and groups to look for them, the first in part. */
};

#define STEP_NS HG_MSEC

/* ---- Memory ----------------------------------------------------------- */

static uint64_t
n_groups(const struct hg_track_table *t)
{
    return (uint64_t)t->max_blocks << (LOW_BITS - GROUP_BITS);
}

static void
set_blocks(struct hg_track_table *t, uint32_t n)
{
    t->n_blocks = t->next_blocks = t->wanted_blocks = n;
    t->grow_at = n < t->max_blocks
                     ? ((uint64_t)n << LOW_BITS) * SLOTS * GROW_PERCENT / 100
                     : UINT64_MAX;
}

static bool
get_memory(struct hg_track_table *t, uint64_t n_buckets)
{
    return area_grow(&t->area, n_buckets * sizeof *t->buckets);
}

bool
track_grow_init(struct hg_track_table *t)
{
    const uint64_t in_block = BLOCK * SLOTS * MAX_PERCENT / 100;

    t->max_blocks = (uint32_t)((t->config.max + in_block - 1) / in_block);
    set_blocks(t, 1);
    t->n_unkept = hg_memory_reserve(n_groups(t) * sizeof *t->n_unkept, 4096);
    if (!t->n_unkept ||
        !area_reserve(&t->area, ((size_t)t->max_blocks << LOW_BITS) *
                                    sizeof *t->buckets))
        return false;
    t->buckets = (struct track_bucket *)(void *)t->area.at;
    return get_memory(t, BLOCK);
}

void
hg_track_destroy(struct hg_track_table *t)
{
    if (!t)
        return;
    area_release(&t->area);
    hg_memory_release(t->n_unkept, n_groups(t) * sizeof *t->n_unkept, 4096);
    hash_index_uninit(&t->realm_index);
    free(t->realms);
    free(t);
}

/* ---- Stretching ------------------------------------------------------- */

/* Those on their way. */
struct moved {
    struct hg_track_entry e;
    uint64_t from; /* Home. */
    uint64_t to;
};

/* Takes what lives in a bucket and is to move; returns how many. */
static unsigned
take_moved(struct hg_track_table *t, uint64_t home, struct moved *m)
{
    unsigned reach = track_reach(&t->buckets[home]), n = 0, d, i;

    for (d = 0; d <= reach; d++) {
        struct track_bucket *b = &t->buckets[track_away(home, d)];

        for (i = 0; i < SLOTS; i++) {
            struct hg_track_entry *e = &b->e[i];
            uint64_t hash, to;

            if (!track_state_of(e) || track_distance(e) != d)
                continue;
            hash = track_hash(t, e->ends, e->rest);
            to = track_home(t, (uint32_t)(hash >> 32),
                            (uint32_t)home & LOW_MASK);
            if (to == home)
                continue;
            if (!track_lives(t, e)) {
                track_end(t, e, false);
                continue;
            }
            __builtin_prefetch(&t->buckets[to], 1);
            m[n++] = (struct moved){*e, home, to};
            track_take(t, e);
        }
    }
    if (reach)
        track_tidy(t, home);
    return n;
}

static void
put_moved(struct hg_track_table *t, const struct moved *m)
{
    struct hg_track_entry *to = track_free_in(&t->buckets[m->to]);

    if (to)
        track_put(t, to, m->to, 0, m->e);
    else if (!track_place(t, m->to, m->e)) /* Not to be expected. */
        track_lose(t, &m->e, (uint32_t)m->from & LOW_MASK);
}

/* Moves what is at home in the buckets before the boundary to where its home
 * is with more blocks. */
static void
stretch(struct hg_track_table *t)
{
    struct moved moved[STRETCHED * SLOTS * (REACH_MAX + 1)];
    unsigned n = 0, i;

    for (i = 0; i < STRETCHED; i++) {
        uint64_t home = --t->boundary;

        /* For the next time. */
        __builtin_prefetch(&t->buckets[home] - STRETCHED, 1);
        n += take_moved(t, home, &moved[n]);
    }
    for (i = 0; i < n; i++)
        put_moved(t, &moved[i]);
    if (!t->boundary)
        set_blocks(t, t->next_blocks);
}

/* Gets so much of the memory with each insertion that all is there when the
 * table is two percent fuller. */
static void
get_ready(struct hg_track_table *t)
{
    uint64_t more = t->wanted_blocks - t->n_blocks;
    uint64_t step = 12 * more / t->n_blocks + 1;
    uint64_t since = t->n > t->grow_at ? t->n - t->grow_at : 0;
    uint64_t now = ((uint64_t)t->n_blocks << LOW_BITS) + since * step;
    uint64_t all = (uint64_t)t->wanted_blocks << LOW_BITS;

    if (!get_memory(t, now < all ? now : all))
        return;
    if (now < all)
        return;
    t->next_blocks = t->wanted_blocks;
    t->boundary = (uint64_t)t->n_blocks << LOW_BITS;
}

void
track_grow(struct hg_track_table *t)
{
    uint32_t more = t->n_blocks < 4 ? 1 : t->n_blocks / 4;

    if (t->boundary) {
        stretch(t);
    } else if (t->n > t->grow_at) {
        t->wanted_blocks = t->max_blocks - t->n_blocks < more
                               ? t->max_blocks
                               : t->n_blocks + more;
        get_ready(t);
    }
}

/* ---- The hand --------------------------------------------------------- */

/* Whether an entry has run out by a time that is not before the clock's. */
static bool
ends_by(const struct hg_track_table *t, const struct hg_track_entry *e,
        uint64_t when_ns)
{
    unsigned shift = t->state[track_state_of(e)].shift;

    return !track_lives(t, e) ||
           ((t->clock_ns >> shift) + track_to_go(t, e)) << shift <= when_ns;
}

static void
clean(struct hg_track_table *t, uint64_t b, uint64_t when_ns)
{
    unsigned i;

    for (i = 0; i < SLOTS; i++) {
        struct hg_track_entry *e = &t->buckets[b].e[i];

        if (track_state_of(e) && ends_by(t, e, when_ns))
            track_end(t, e, false);
    }
}

void
track_sweep(struct hg_track_table *t, uint64_t n_buckets)
{
    uint64_t n = track_n_buckets(t);

    for (; n_buckets; n_buckets--) {
        if (t->hand >= n)
            t->hand = 0;
        clean(t, t->hand, t->clock_ns);
        if (track_reach(&t->buckets[t->hand]))
            track_tidy(t, t->hand);
        t->hand++;
    }
}

/* Ticks would be ambiguous behind a jump, so what runs out in it is taken out
 * before. */
void
track_set_clock(struct hg_track_table *t, uint64_t now_ns)
{
    uint64_t n = track_n_buckets(t), b;

    if (now_ns - t->clock_ns > JUMP_S * HG_SEC) {
        for (b = 0; t->n && b < n; b++)
            clean(t, b, now_ns);
        t->swept_ns = now_ns;
    }
    t->clock_ns = now_ns;
}

void
track_step(struct hg_track_table *t)
{
    uint64_t n = track_n_buckets(t), owed_us, owed, pays;

    t->step_ns = t->clock_ns + STEP_NS;
    if (!t->n || t->clock_ns - t->swept_ns > LATE_S * HG_SEC) {
        t->swept_ns = t->clock_ns;
        if (t->n)
            track_sweep(t, n);
        return;
    }
    owed_us = (t->clock_ns - t->swept_ns) / 1000;
    owed = owed_us * n / (ROUND_S * UINT64_C(1000000));
    pays = STEP_BUCKETS + owed / 64;
    if (pays >= owed) {
        pays = owed;
        t->swept_ns = t->clock_ns;
    } else {
        t->swept_ns += pays * (ROUND_S * HG_SEC / n);
    }
    track_sweep(t, pays);
}

/* ---- Room ------------------------------------------------------------- */

/* Moves on to a bucket of a group that has somebody to push out. */
static bool
find_group(struct hg_track_table *t)
{
    uint64_t n = track_n_buckets(t) >> GROUP_BITS, i;
    uint64_t g = t->turn >> GROUP_BITS;

    if (g < n && t->n_unkept[g])
        return true;
    for (i = 0; i < n; i++) {
        g = g + 1 < n ? g + 1 : 0;
        if (t->n_unkept[g]) {
            t->turn = g << GROUP_BITS;
            return true;
        }
    }
    return false;
}

static uint64_t
time_to_go(const struct hg_track_table *t, const struct hg_track_entry *e)
{
    return track_lives(t, e) ? (uint64_t)track_to_go(t, e)
                                   << t->state[track_state_of(e)].shift
                             : 0;
}

/* Looks at the rest of a group, until it has met enough: of those that may be
 * pushed out the one that would end first, if before '*least'. */
static struct hg_track_entry *
look_through_group(struct hg_track_table *t, unsigned *n_met, uint64_t *least)
{
    uint64_t end = ((t->turn >> GROUP_BITS) + 1) << GROUP_BITS;
    struct hg_track_entry *victim = NULL;
    unsigned i;

    for (; t->turn < end && *n_met < CANDIDATES; t->turn++)
        for (i = 0; i < SLOTS; i++) {
            struct hg_track_entry *e = &t->buckets[t->turn].e[i];
            uint64_t left;

            if (!track_state_of(e) || t->state[track_state_of(e)].kept)
                continue;
            ++*n_met;
            left = time_to_go(t, e);
            if (left < *least) {
                *least = left;
                victim = e;
            }
        }
    return victim;
}

static struct hg_track_entry *
choose_victim(struct hg_track_table *t)
{
    struct hg_track_entry *victim = NULL, *other;
    uint64_t least = UINT64_MAX;
    unsigned n_met = 0, groups;

    for (groups = 0; groups < GROUPS && n_met < CANDIDATES && find_group(t);
         groups++) {
        other = look_through_group(t, &n_met, &least);
        victim = other ? other : victim;
    }
    return victim;
}

bool
track_make_room(struct hg_track_table *t)
{
    struct hg_track_entry *victim;

    track_sweep(t, QUICK_LOOKS);
    if (t->n < t->config.max)
        return true;
    victim = choose_victim(t);
    if (victim) {
        track_end(t, victim, track_lives(t, victim));
        return true;
    }
    track_sweep(t, LOOKS);
    return t->n < t->config.max;
}
