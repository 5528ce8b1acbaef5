/* headgate/track.h: connections over IPv4 as one side of them sees them, 16
 * bytes each: what a stateful filter has to know.
 *
 * A connection is found by its own and its remote endpoint and a realm (a
 * number for what else tells connections apart, such as VPC and interface).
 * It has a state of seven bits that mean what the user likes, and a deadline:
 * so long after the last update as its state says.
 *
 *     for each of a batch: fill in key[i]
 *     hg_track_prepare(t, key, n)            their cache misses, together
 *     for each of a batch:
 *         c = hg_track_follow(t, &key[i], p->time_ns, next, &state)
 *         if it is not known:
 *             c = hg_track_insert(t, &key[i], state)     NULL: full
 *
 * Theory of operation
 *
 * An entry is 16 bytes, four make a bucket, which is a cache line.  A keyed
 * hash of a connection names its home, a bucket.  Entries live at home
 * while there is room: one that comes home where strangers are sends one of
 * these on.  Where all four are at home the fifth goes to the first free place
 * among 14 other buckets, those whose number differs from its home's in one
 * bit, the one beside it first; each bucket notes how far away the farthest of
 * its own is.  Where all of them are full one of their entries, which has
 * other neighbours, is moved.  So six of seven are found in one line even when
 * nine tenths of the places are taken, the others in one or two more, which a
 * batch has fetched, and what is not there costs hardly more.
 *
 * An entry says how far from home it is; thus its home is known, and 14 bits
 * of the realm need not be kept: they are the exclusive or of home and a hash
 * of the rest (quotienting: Knuth, TAOCP 3, 6.4, exercise 13).
 *
 * Growth.  The upper half of the hash times the number of blocks of 16,384
 * buckets says in which block an entry is: blocks are in the order of hashes.
 * So the table is stretched in its place when a quarter is added, from its end
 * to its beginning, a few buckets with each insertion; each entry goes where
 * it was or further back, whence others have gone.  It begins at 85 %, when a
 * thread has touched the new memory.  So a large table is between 70 and 88 %
 * full (18 to 23 bytes a connection), and no insertion waits for others or for
 * memory.  It does not shrink.
 *
 * Time.  A deadline is 13 bits of ticks, whose length depends on the state's
 * timeout T: 17 ms up to 73 s, else at most T / 2,100.  It is rounded up, so
 * that a connection never ends too early, and less than a tick too late.  It
 * is judged by the time of whoever looks.  A hand goes round every 8 seconds
 * of the clock, takes out what nobody looked at, and moves strangers home; so
 * what ran out is gone before its ticks could be taken for later ones.  The
 * clock may jump by any time; it never goes back: an earlier 'now' counts as
 * the latest one seen.
 *
 * Eviction.  In a full table connections whose state is not 'kept' give way to
 * new ones: of the next eight that a second hand meets, the one that would end
 * first.  Others are never pushed out.
 *
 * What happens depends on the order of calls and on the times given to
 * hg_track_clock(), and not on how they are made into batches.
 *
 * Thread-safety: a table belongs to one worker. */
#ifndef HEADGATE_TRACK_H
#define HEADGATE_TRACK_H 1

#include <headgate/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HG_TRACK_REALMS (1u << 21)
#define HG_TRACK_STATES 128
#define HG_TRACK_MAX (UINT32_MAX / 4)

/* The longest timeout: 20 days. */
#define HG_TRACK_TIMEOUT_MAX (UINT64_C(1728000) * HG_SEC)

/* A connection in the table, until the next insertion or move of the clock. */
struct hg_track_entry;

/* What is looked up: addresses and ports in host order.  'state' is compared
 * as far as 'mask' goes: those bits belong to the key. */
struct hg_track_key {
    uint64_t addresses; /* Its own in the upper half, the remote one below. */
    uint32_t ports;     /* The same. */
    uint32_t realm;     /* Below HG_TRACK_REALMS. */
    uint8_t state;
    uint8_t mask;

    /* For the table: */
    uint32_t hash;
    uint32_t low;
    uint32_t changes; /* As many as there had been when it was looked up, */
    struct hg_track_entry *seen; /* ... here, or NULL. */
    uint64_t bits;
    uint64_t care; /* Which of the bits are compared. */
};

struct hg_track {
    uint32_t local;
    uint32_t remote;
    uint16_t local_port;
    uint16_t remote_port;
    uint32_t realm;
    uint8_t state;
    uint64_t deadline_ns; /* It lives before this time. */
    struct hg_track_entry *entry;
};

struct hg_track_config {
    uint64_t max; /* Connections, 1 to HG_TRACK_MAX. */
    uint64_t seed;
    /* By state: 1 ns to HG_TRACK_TIMEOUT_MAX, and whether it is never pushed
     * out.  State 0 is none. */
    uint64_t timeout_ns[HG_TRACK_STATES];
    bool kept[HG_TRACK_STATES];
    /* Called for each connection that ran out or was pushed out, as it is
     * taken out; may be NULL.  It must not change the table. */
    void (*ended)(void *aux, const struct hg_track *, bool pushed_out);
    void *aux;
};

struct hg_track_table;

/* NULL without memory or address space.  hg_track_destroy(NULL) does
 * nothing. */
HG_API struct hg_track_table *hg_track_create(const struct hg_track_config *);
HG_API void hg_track_destroy(struct hg_track_table *);

/* The number of a pair of numbers, the next one if it is new;
 * HG_TRACK_REALMS if there are too many.  Numbers are never given back. */
HG_API uint32_t hg_track_realm(struct hg_track_table *, uint32_t a,
                               uint32_t b);

/* The pair of a number that was got so. */
HG_API void hg_track_realm_pair(const struct hg_track_table *, uint32_t realm,
                                uint32_t *a, uint32_t *b);

/* Says what time it is, and takes out a little of what ran out. */
HG_API void hg_track_clock(struct hg_track_table *, uint64_t now_ns);

/* Computes what the table wants to know of 'n' keys and begins their cache
 * misses together.  The keys stay good whatever changes later. */
HG_API void hg_track_prepare(const struct hg_track_table *,
                             struct hg_track_key *, unsigned n);

/* The living connection of a prepared key and its state; or NULL. */
HG_API struct hg_track_entry *hg_track_find(struct hg_track_table *,
                                            const struct hg_track_key *,
                                            uint8_t *state);

/* Gives it a state and begins its timeout anew.  The bits by which it is
 * found must be the same. */
HG_API void hg_track_update(struct hg_track_table *, struct hg_track_entry *,
                            uint8_t state);

/* hg_track_clock() and hg_track_find(), and hg_track_update() to next[*state],
 * where that is not 0: all that the next packet of a connection does. */
HG_API struct hg_track_entry *
hg_track_follow(struct hg_track_table *, const struct hg_track_key *,
                uint64_t now_ns, const uint8_t next[HG_TRACK_STATES],
                uint8_t *state);

/* Adds a connection that is not there; NULL if there is no room. */
HG_API struct hg_track_entry *hg_track_insert(struct hg_track_table *,
                                              const struct hg_track_key *,
                                              uint8_t state);

/* Takes one out, without a call of 'ended'. */
HG_API void hg_track_remove(struct hg_track_table *, struct hg_track_entry *);

/* Takes out all that ran out: some nanoseconds for each four places. */
HG_API void hg_track_expire(struct hg_track_table *);

/* Steps through the living: "uint64_t at = 0; while (hg_track_next(t, &at,
 * &c))".  Meanwhile the one just returned may be removed. */
HG_API bool hg_track_next(const struct hg_track_table *, uint64_t *at,
                          struct hg_track *out);

struct hg_track_stats {
    uint64_t n; /* Those included that ran out and were not met since. */
    uint64_t buckets;
    uint64_t strangers; /* Not in their own bucket. */
    uint64_t evicted;   /* Pushed out so far, */
    uint64_t refused;   /* ... and not taken in. */
    uint64_t bytes;     /* Of memory. */
};

/* Walks the table to count the strangers. */
HG_API void hg_track_get_stats(const struct hg_track_table *,
                               struct hg_track_stats *);

#ifdef __cplusplus
}
#endif
#endif
