/* track_internal.h: what the files of headgate/track.h share.
 *
 *     track.c        keys, finding, adding and removing; realms
 *     track_place.c  where entries are put, and who makes way
 *     track_grow.c   memory, stretching, the hands
 *
 * The header explains the scheme. */
#ifndef TRACK_INTERNAL_H
#define TRACK_INTERNAL_H 1

#include <headgate/track.h>

#include "area.h"
#include "hash_index.h"

enum {
    SLOTS = 4,
    LOW_BITS = 14, /* Of the realm, found from the place of an entry. */
    BLOCK = 1 << LOW_BITS, /* Buckets. */
    REACH_MAX = LOW_BITS,  /* How far from its home an entry may be. */
    TICK_BITS = 13,
    GROUP_BITS = 8 /* Buckets for which there is one counter. */
};

#define LOW_MASK (BLOCK - 1u)
#define TICK_MASK ((1u << TICK_BITS) - 1)

/* An entry:
 *     ends   own address 32 | remote address 32
 *     rest   own port 16 | remote port 16 | realm 7 | state 7 | ticks 13 |
 *            distance from home 4 | share 1
 * 'state' is 0 if the entry is free.  The shares of the four entries are the
 * bucket's: how far away the farthest entry is whose home it is. */
struct hg_track_entry {
    uint64_t ends;
    uint64_t rest;
};

enum {
    DISTANCE_SHIFT = 1,
    TICK_SHIFT = 5,
    STATE_SHIFT = 18,
    REALM_SHIFT = 25,
    PORTS_SHIFT = 32
};

#define SHARE_MASK UINT64_C(1)
#define DISTANCE_MASK (UINT64_C(15) << DISTANCE_SHIFT)
#define STATE_MASK (UINT64_C(127) << STATE_SHIFT)
#define TIME_MASK ((uint64_t)TICK_MASK << TICK_SHIFT)
/* What is the same wherever it is and whatever becomes of it. */
#define KEY_MASK (~UINT64_C(0) << REALM_SHIFT)

struct track_bucket {
    _Alignas(64) struct hg_track_entry e[SLOTS];
};
_Static_assert(sizeof(struct track_bucket) == 64, "a bucket is a cache line");

/* What the table does with a state. */
struct track_state {
    uint64_t timeout_ns;
    uint16_t ticks; /* No living entry has more to go. */
    uint8_t shift;  /* A tick is 2^shift ns. */
    bool kept;
};

struct hg_track_table {
    struct track_bucket *buckets;
    uint32_t n_blocks;
    uint32_t next_blocks;   /* More while the table is stretched, */
    uint64_t boundary;      /* ... when buckets from here on are done. */
    uint32_t wanted_blocks; /* For which memory is being got. */
    uint32_t max_blocks;
    uint64_t clock_ns;
    uint64_t step_ns; /* When the hand is to move next. */
    uint64_t seed;
    uint64_t n;
    uint64_t grow_at; /* When n is more. */
    uint32_t changes; /* Of what is in which place. */
    struct track_state state[HG_TRACK_STATES];

    uint64_t hand;      /* Bucket. */
    uint64_t swept_ns;  /* Until then it has done its work. */
    uint64_t turn;      /* Bucket where the next victim is looked for. */
    uint16_t *n_unkept; /* Entries that may be pushed out, by group. */
    uint64_t evicted, refused;

    struct area area;
    struct hg_track_config config;
    struct hash_index realm_index;
    uint64_t *realms; /* Pairs of numbers. */
    uint32_t n_realms;
};

/* ---- Buckets ---------------------------------------------------------- */

static inline uint64_t
track_n_buckets(const struct hg_track_table *t)
{
    return (uint64_t)t->next_blocks << LOW_BITS;
}

/* The home of what has this hash. */
static inline uint64_t
track_home(const struct hg_track_table *t, uint32_t hash, uint32_t low)
{
    uint64_t before;

    if (t->boundary) { /* It is being stretched. */
        before = (uint64_t)hash * t->n_blocks >> 32 << LOW_BITS | low;
        if (before < t->boundary)
            return before;
    }
    return (uint64_t)hash * t->next_blocks >> 32 << LOW_BITS | low;
}

/* The bucket at some distance d from home, or the home at that distance from
 * a bucket: the one whose number differs in bit d - 1.  So every bucket has
 * other neighbours, and where many meet in one place there is room not far
 * away. */
static inline uint64_t
track_away(uint64_t b, unsigned distance)
{
    return b ^ (1u << distance >> 1);
}

static inline unsigned
track_reach(const struct track_bucket *b)
{
    return (unsigned)((b->e[0].rest & 1) | (b->e[1].rest & 1) << 1 |
                      (b->e[2].rest & 1) << 2 | (b->e[3].rest & 1) << 3);
}

static inline void
track_set_reach(struct track_bucket *b, unsigned reach)
{
    unsigned i;

    for (i = 0; i < SLOTS; i++)
        b->e[i].rest = (b->e[i].rest & ~SHARE_MASK) | (reach >> i & 1);
}

/* ---- Entries ---------------------------------------------------------- */

static inline uint8_t
track_state_of(const struct hg_track_entry *e)
{
    return (uint8_t)(e->rest >> STATE_SHIFT) & 127;
}

static inline unsigned
track_distance(const struct hg_track_entry *e)
{
    return (unsigned)(e->rest >> DISTANCE_SHIFT) & 15;
}

static inline uint64_t
track_bucket_of(const struct hg_track_table *t, const struct hg_track_entry *e)
{
    return (uint64_t)((const struct track_bucket *)(const void *)e -
                      t->buckets);
}

/* Ticks that an entry has to go; 0 or many if it has run out. */
static inline unsigned
track_to_go(const struct hg_track_table *t, const struct hg_track_entry *e)
{
    unsigned shift = t->state[track_state_of(e)].shift;

    return ((unsigned)(e->rest >> TICK_SHIFT) -
            (unsigned)(t->clock_ns >> shift)) &
           TICK_MASK;
}

static inline bool
track_lives(const struct hg_track_table *t, const struct hg_track_entry *e)
{
    return track_to_go(t, e) - 1 < t->state[track_state_of(e)].ticks;
}

/* Begins the timeout of its state anew. */
static inline void
track_renew(const struct hg_track_table *t, struct hg_track_entry *e)
{
    const struct track_state *s = &t->state[track_state_of(e)];
    uint64_t last = t->clock_ns + s->timeout_ns - 1;
    uint64_t ticks = ((last >> s->shift) + 1) & TICK_MASK;

    e->rest = (e->rest & ~TIME_MASK) | ticks << TICK_SHIFT;
}

static inline void
track_set_state(const struct hg_track_table *t, struct hg_track_entry *e,
                uint8_t state)
{
    e->rest = (e->rest & ~STATE_MASK) | (uint64_t)state << STATE_SHIFT;
    track_renew(t, e);
}

/* An entry was put into bucket 'b' or taken out. */
static inline void
track_count(struct hg_track_table *t, uint64_t b, uint8_t state, int change)
{
    if (!t->state[state].kept)
        t->n_unkept[b >> GROUP_BITS] =
            (uint16_t)(t->n_unkept[b >> GROUP_BITS] + change);
}

static inline struct hg_track_entry *
track_free_in(struct track_bucket *b)
{
    unsigned i;

    for (i = 0; i < SLOTS; i++)
        if (!track_state_of(&b->e[i]))
            return &b->e[i];
    return NULL;
}

/* Fills a free entry, so far from 'home'; its distance and share are not
 * looked at. */
static inline void
track_put(struct hg_track_table *t, struct hg_track_entry *to, uint64_t home,
          unsigned distance, struct hg_track_entry from)
{
    struct track_bucket *b = &t->buckets[home];

    t->changes++;
    to->ends = from.ends;
    to->rest = (from.rest & ~(DISTANCE_MASK | SHARE_MASK)) |
               (uint64_t)distance << DISTANCE_SHIFT | (to->rest & SHARE_MASK);
    track_count(t, track_bucket_of(t, to), track_state_of(to), 1);
    if (distance && distance > track_reach(b))
        track_set_reach(b, distance);
}

/* Makes an entry free. */
static inline void
track_take(struct hg_track_table *t, struct hg_track_entry *e)
{
    t->changes++;
    track_count(t, track_bucket_of(t, e), track_state_of(e), -1);
    e->ends = 0;
    e->rest &= SHARE_MASK;
}

/* ---- track.c ---------------------------------------------------------- */

/* The hash by which the home of an entry is found. */
uint64_t track_hash(const struct hg_track_table *, uint64_t ends,
                    uint64_t rest);

/* Takes an entry out that ran out or is pushed out, and tells. */
void track_end(struct hg_track_table *, struct hg_track_entry *,
               bool pushed_out);

/* Tells that one is lost that was taken and has no place; 'low' are the low
 * bits of its home. */
void track_lose(struct hg_track_table *, const struct hg_track_entry *,
                uint32_t low);

/* ---- track_place.c ---------------------------------------------------- */

/* Puts an entry where its home is, or not far away.  NULL if there is no
 * place. */
struct hg_track_entry *track_place(struct hg_track_table *, uint64_t home,
                                   struct hg_track_entry);

/* Moves entries home for which there is room there. */
void track_tidy(struct hg_track_table *, uint64_t home);

/* ---- track_grow.c ----------------------------------------------------- */

bool track_grow_init(struct hg_track_table *);

/* With each insertion: gets memory or stretches, if it is time. */
void track_grow(struct hg_track_table *);

/* Moves the hand over some buckets. */
void track_sweep(struct hg_track_table *, uint64_t n_buckets);

/* It is later. */
void track_set_clock(struct hg_track_table *, uint64_t now_ns);

/* The hand's share, some time after the last. */
void track_step(struct hg_track_table *);

/* Makes room in a full table; false if there is none to be made. */
bool track_make_room(struct hg_track_table *);

#endif
