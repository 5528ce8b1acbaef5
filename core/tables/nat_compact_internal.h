/* nat_compact_internal.h: what the files of headgate/nat_compact.h share.
 *
 *     nat_compact.c        creating, adding, removing, walking
 *     nat_compact_find.c   keys, and finding flows by them
 *     nat_compact_grow.c   memory, splitting, the hand, epochs
 *     nat_compact_notes.c  who passed by a bucket
 *     nat_compact_else.c   the second table
 *     nat_compact_crowd.c  crowded destinations, and finding a free port
 *
 * The header explains the scheme. */
#ifndef NAT_COMPACT_INTERNAL_H
#define NAT_COMPACT_INTERNAL_H 1

#include <stdlib.h>
#include <string.h>

#include <headgate/headers.h>
#include <headgate/nat_compact.h>

#include "area.h"
#include "hash_index.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

enum {
    SLOTS = 4,     /* Entries of a bucket, and places of a group. */
    LOW_BITS = 12, /* Of a remote address, found from the bucket's number. */
    ROW = 1 << LOW_BITS, /* Buckets with the same hash but for these. */
    EXTERNAL_BITS = 6,   /* Of a perfect hash of external addresses. */
    MAX_CANDIDATES = 31, /* Groups that an inside endpoint tries. */
    N_EPOCHS = 1 << 12,  /* Tags of buckets. */
    EPOCH_SECONDS = 32,
    TICK_BITS = 13,
    N_SCALES = 4,
    N_RENEWED = 2, /* Kinds of flows whose notes are made anew at a time. */
    N_KINDS = 20 - 2 * N_RENEWED,
    NOTES_AHEAD = 32,
    NOTES_FETCHED = 16 /* Together. */
};

#define LOW_MASK (ROW - 1u)
#define EPOCH_NS (EPOCH_SECONDS * HG_SEC)
#define NOWHERE UINT32_MAX
#define ELSEWHERE                                                             \
    (UINT32_C(1) << 31) /* Bit of an id: in the second table.                 \
                         */

/* An entry:
 *     ends   inside address 32 | inside port 16 | remote port 16
 *     rest   remote address 20 | tenant 12 | code 4 | candidate 5 | time 15 |
 *            share 8
 * 'code' is 0 if the entry is free, else protocol and state.  The shares of
 * the four entries are the bucket's: 20 columns of notes, one for each kind of
 * flows that pass by and a few for those that are made anew, and 12 bits of
 * the epoch. */
struct nat_entry {
    uint64_t ends;
    uint64_t rest;
};

struct nat_bucket {
    _Alignas(64) struct nat_entry e[SLOTS];
};
_Static_assert(sizeof(struct nat_bucket) == 64, "a bucket is a cache line");

enum {
    TIME_SHIFT = 8,
    CANDIDATE_SHIFT = 23,
    CODE_SHIFT = 28,
    TENANT_SHIFT = 32,
    REMOTE_SHIFT = 44
};

#define SHARE_MASK UINT64_C(0xff)
#define CANDIDATE_ONE (UINT64_C(1) << CANDIDATE_SHIFT)
#define CANDIDATE_MASK (UINT64_C(31) << CANDIDATE_SHIFT)
#define CODE_MASK (UINT64_C(15) << CODE_SHIFT)
#define STATE_MASK (CODE_MASK | UINT64_C(0x7fff) << TIME_SHIFT)
#define TENANT_MASK (UINT64_C(0xfff) << TENANT_SHIFT)
#define REMOTE_MASK (UINT64_C(0xfffff) << REMOTE_SHIFT)

enum { CODE_FREE, CODE_ICMP, CODE_UDP, CODE_TCP = 8 }; /* TCP: plus state. */

/* What a hash is keyed by. */
struct nat_seed {
    uint64_t a, b;
};

struct nat_gateway {
    uint32_t external[HG_NAT_COMPACT_EXTERNAL_MAX];
    unsigned n;
    uint32_t factor; /* Sends each to a place of its own among these: */
    uint8_t which[1 << EXTERNAL_BITS];
};

/* A flow of the second table. */
struct nat_other {
    uint32_t inside;
    uint32_t remote;
    uint16_t inside_port;
    uint16_t remote_port;
    uint16_t port; /* External. */
    uint16_t tenant;
    uint8_t protocol; /* 0: free. */
    uint8_t state;
    uint8_t external;
    uint8_t zero;
    uint32_t next_out; /* Number + 1; of a free one: the next free one. */
    uint32_t next_in;
    uint64_t deadline_ns;
};
_Static_assert(sizeof(struct nat_other) == 40, "as the header says");

struct nat_others {
    struct area flows, out_heads, in_heads;
    uint32_t n, n_used, free, hand;
    uint32_t n_heads, mask, split; /* Linear hashing of both. */
};

/* A destination of which nearly all places were taken. */
struct nat_crowd {
    struct hg_nat_compact_key key; /* Whose inside endpoint does not matter. */
    uint32_t n;                    /* Places taken. */
    uint64_t due_ns;               /* No deadline is earlier than this. */
    uint64_t *taken;               /* A bit for each place. */
};

struct nat_crowds {
    struct hash_index index;
    struct nat_crowd **v;
    uint32_t n, capacity, hand;
};

/* A note to be made when its bucket's line, which was asked for, is there. */
struct nat_note {
    uint64_t hash; /* Of the bucket. */
    uint32_t remote;
    uint8_t column;
};

/* Where notes are, and making them anew: columns 'made' get those of N_RENEWED
 * kinds and take the place of their present ones when the hand went round; it
 * clears columns 'old' meanwhile. */
struct nat_notes {
    uint8_t column[N_KINDS];
    uint8_t made[N_RENEWED];
    uint8_t old[N_RENEWED];
    uint64_t old_mask[3]; /* Of the entries' shares. */
    bool is_renewing;
    unsigned kind;    /* The first of those that are renewed. */
    uint64_t n_stale; /* Notes that mean nothing, about. */
    uint64_t n_renewed;
    struct nat_note ring[NOTES_AHEAD];
    uint32_t n_asked, n_made;
};

struct hg_nat_compact {
    struct nat_bucket *buckets;
    uint64_t n_buckets;
    uint64_t n_unsplit; /* When this doubling began; those beyond are new. */
    uint64_t copy_mask; /* Bits of the hash that new buckets use. */
    uint32_t unit;      /* Rows at the beginning. */
    struct hg_port_parts ports;
    uint32_t n_places, n_groups, n_candidates;
    uint64_t clock_ns;
    uint64_t epoch_ns; /* When the present epoch began. */
    uint32_t epoch;
    struct nat_seed seed_dest, seed_inside, seed_bucket, seed_rotation,
        seed_pair, seed_other, seed_random;
    uint16_t tenant[HG_NAT_COMPACT_TENANTS]; /* Its gateway. */
    unsigned n_tenants, n_gateways;
    struct nat_gateway *gateways;

    uint64_t n;
    uint64_t random;
    struct nat_others others;
    struct nat_crowds crowds;

    uint64_t max_buckets;
    uint64_t hand;
    uint64_t owed;        /* Buckets that it has to go over soon. */
    uint64_t due_ns;      /* No entry runs out before, */
    uint64_t next_due_ns; /* ... nor before this one that the hand has met in
                           * this round, or that is new. */
    struct nat_notes notes;
    struct area area;
    struct hg_nat_compact_config config;
    uint64_t epochs[N_EPOCHS]; /* When each began. */
};

/* ---- Hashes ----------------------------------------------------------- */

static inline uint32_t
nat_below(uint64_t hash, uint32_t n) /* Of its upper half. */
{
    return (uint32_t)((hash >> 32) * n >> 32);
}

/* The product of two numbers of 64 bits, its halves exclusive-ored: each bit
 * depends on all of theirs. */
static inline uint64_t
nat_fold(uint64_t a, uint64_t b)
{
    return XXH3_mul128_fold64(a, b);
}

/* A keyed hash of 64 bits: the step of wyhash and wyrand (Wang Yi, 2019), a
 * product of both factors of which the input and a secret are in.  That is not
 * linear, so that equal distances of inputs are none of hashes, and what
 * counts further on has been through two such steps or more. */
static inline uint64_t
nat_hash(uint64_t what, const struct nat_seed *seed)
{
    return nat_fold(what ^ seed->a, what ^ seed->b);
}

/* The same of a hash and a small number. */
static inline uint64_t
nat_hash_next(uint64_t hash, uint32_t i, const struct nat_seed *seed)
{
    return nat_hash(hash + i * UINT64_C(0x9e3779b97f4a7c15), seed);
}

/* Of an inside endpoint and a destination: where its groups begin, how far
 * they are apart (its upper and lower half), of which kind the flow is (its
 * last bits, which hardly count there). */
static inline uint64_t
nat_flow_hash(const struct hg_nat_compact *t, uint64_t ends, uint16_t tenant,
              uint64_t dest_hash)
{
    uint64_t inside = (ends & ~UINT64_C(0xffff)) | tenant;

    return nat_fold(nat_hash(inside, &t->seed_inside), dest_hash);
}

/* One of the kinds of flows that pass buckets by. */
static inline uint8_t
nat_kind(const struct hg_nat_compact_key *key)
{
    return key->spread % N_KINDS;
}

/* Where four places of a destination are.  The lower bits are exclusive-ored
 * with the remote address's to find the bucket. */
static inline uint64_t
nat_bucket_hash(const struct hg_nat_compact *t, uint64_t dest_hash,
                uint32_t group)
{
    return nat_hash_next(dest_hash, group, &t->seed_bucket);
}

/* Linear hashing over rows: bits 44 and up of the hash choose one of 'unit'
 * rows, those from LOW_BITS on which copy of it; the first of these bits does
 * not count where there is no such bucket yet. */
static inline uint64_t
nat_bucket_at(const struct hg_nat_compact *t, uint64_t hash, uint32_t remote)
{
    uint64_t part = (hash >> 44) * t->unit >> 20;
    uint64_t copy = hash >> LOW_BITS & t->copy_mask;
    uint64_t b =
        (copy * t->unit + part) << LOW_BITS | ((hash ^ remote) & LOW_MASK);

    /* No branch: which it is can't be foretold. */
    return b - (t->n_unsplit & -(uint64_t)(b >= t->n_buckets));
}

static inline uint32_t
nat_external_place(const struct nat_gateway *gateway, uint32_t addr)
{
    return addr * gateway->factor >> (32 - EXTERNAL_BITS);
}

/* By the gateway and not the tenant, whose number may be another in another
 * worker's table. */
static inline uint8_t
nat_pair(const struct hg_nat_compact *t, uint16_t tenant, uint32_t inside)
{
    uint64_t gateway = t->tenant[tenant];
    uint32_t n = t->gateways[gateway].n;

    if (n == 1)
        return 0;
    return (uint8_t)nat_below(nat_hash(gateway << 32 | inside, &t->seed_pair),
                              n);
}

/* Of the ports, for a flow's whole remote endpoint. */
static inline uint8_t
nat_part(const struct hg_nat_compact *t,
         const struct hg_nat_compact_tuple *tuple)
{
    return t->config.part
               ? (uint8_t)t->config.part(t->config.aux, tuple->remote,
                                         tuple->remote_port)
               : 0;
}

/* How far apart the groups of a key are. */
static inline uint32_t
nat_step(const struct hg_nat_compact *t, const struct hg_nat_compact_key *key)
{
    return t->n_groups > 2 * MAX_CANDIDATES
               ? 1 + nat_below((uint64_t)key->spread << 32, t->n_groups - 1)
               : 1;
}

static inline uint32_t
nat_next_group(const struct hg_nat_compact *t,
               const struct hg_nat_compact_key *key, uint32_t group)
{
    group += nat_step(t, key);
    return group >= t->n_groups ? group - t->n_groups : group;
}

static inline uint32_t
nat_rotation(const struct hg_nat_compact *t,
             const struct hg_nat_compact_key *key)
{
    return nat_below(nat_hash_next(key->dest_hash,
                                   key->tuple.remote & LOW_MASK,
                                   &t->seed_rotation),
                     t->ports.n);
}

static inline uint16_t
nat_port_of(const struct hg_nat_compact *t,
            const struct hg_nat_compact_key *key, uint32_t place)
{
    uint32_t at = place + nat_rotation(t, key);

    if (at >= t->ports.n)
        at -= t->ports.n;
    return hg_port_at(&t->ports, key->part, at);
}

/* The place of an external port, n_places or more if it is none. */
static inline uint32_t
nat_place_of(const struct hg_nat_compact *t,
             const struct hg_nat_compact_key *key, uint16_t port)
{
    uint32_t at = hg_port_number(&t->ports, key->part, port);

    if (at >= t->ports.n)
        return NOWHERE;
    at += t->ports.n - nat_rotation(t, key);
    return at >= t->ports.n ? at - t->ports.n : at;
}

/* The bucket of a prepared key where its flow was last seen. */
static inline uint64_t
nat_near_bucket(const struct hg_nat_compact *t,
                const struct hg_nat_compact_key *key)
{
    if (key->n_buckets == t->n_buckets)
        return key->bucket;
    return nat_bucket_at(t,
                         nat_bucket_hash(t, key->dest_hash, key->near_group),
                         key->tuple.remote);
}

/* ---- Entries ---------------------------------------------------------- */

static inline uint32_t
nat_code(uint64_t rest)
{
    return (uint32_t)(rest >> CODE_SHIFT) & 15;
}

static inline uint16_t
nat_tenant(uint64_t rest)
{
    return (uint16_t)(rest >> TENANT_SHIFT & 0xfff);
}

static inline unsigned
nat_candidate(uint64_t rest)
{
    return (unsigned)(rest >> CANDIDATE_SHIFT) & 31;
}

static inline uint8_t
nat_protocol(uint32_t code)
{
    return code >= CODE_TCP   ? HG_PROTO_TCP
           : code == CODE_UDP ? HG_PROTO_UDP
                              : HG_PROTO_ICMP;
}

static inline uint32_t
nat_epoch_of(const struct nat_bucket *bucket)
{
    return (uint32_t)(bucket->e[2].rest & 0xf0) >> 4 |
           (uint32_t)(bucket->e[3].rest & 0xff) << 4;
}

static inline void
nat_set_epoch(struct nat_bucket *bucket, uint32_t epoch)
{
    bucket->e[2].rest = (bucket->e[2].rest & ~UINT64_C(0xf0)) | (epoch & 0xf)
                                                                    << 4;
    bucket->e[3].rest = (bucket->e[3].rest & ~SHARE_MASK) | epoch >> 4;
}

/* Whether a flow may have passed the bucket by. */
static inline bool
nat_passed(const struct hg_nat_compact *t, const struct nat_bucket *bucket,
           const struct hg_nat_compact_key *key)
{
    unsigned column = t->notes.column[nat_kind(key)];

    return bucket->e[column / 8].rest >> column % 8 & 1;
}

static inline unsigned
nat_scale_shift(unsigned scale)
{
    return 24 + 4 * scale;
}

/* The deadline of an entry in a bucket that was last looked at in an epoch
 * that began at 'since_ns': the first time after that with these ticks. */
static inline uint64_t
nat_deadline(uint64_t rest, uint64_t since_ns)
{
    unsigned shift = nat_scale_shift((unsigned)(rest >> 21) & 3);
    uint64_t ticks = rest >> TIME_SHIFT, since = since_ns >> shift;

    return (since + ((ticks - since) & ((1u << TICK_BITS) - 1))) << shift;
}

/* The scale for a flow that has so long to live: ticks are told apart over its
 * range, less an epoch and what rounding adds. */
static inline unsigned
nat_scale_of(uint64_t left_ns)
{
#define MOST(scale)                                                           \
    ((UINT64_C(1) << (nat_scale_shift(scale) + TICK_BITS)) - 2 * EPOCH_NS)
    return left_ns <= MOST(0)   ? 0
           : left_ns <= MOST(1) ? 1
           : left_ns <= MOST(2) ? 2
                                : 3;
#undef MOST
}

/* How long that is, at most as long as can be. */
static inline uint64_t
nat_time_left(const struct hg_nat_compact *t, uint64_t deadline_ns)
{
    uint64_t left = deadline_ns > t->clock_ns ? deadline_ns - t->clock_ns : 0;

    return left < HG_NAT_COMPACT_HORIZON_NS ? left : HG_NAT_COMPACT_HORIZON_NS;
}

/* The next tick. */
static inline uint64_t
nat_round_up(uint64_t deadline_ns, unsigned scale)
{
    unsigned shift = nat_scale_shift(scale);

    return (deadline_ns + (UINT64_C(1) << shift) - 1) >> shift;
}

/* The time bits of a deadline on this scale. */
static inline uint64_t
nat_ticks(uint64_t deadline_ns, unsigned scale)
{
    uint64_t ticks = nat_round_up(deadline_ns, scale);

    return ((ticks & ((1u << TICK_BITS) - 1)) | (uint64_t)scale << TICK_BITS)
           << TIME_SHIFT;
}

/* The same, and the deadline becomes the one that they mean. */
static inline uint64_t
nat_time_bits(const struct hg_nat_compact *t, uint64_t *deadline_ns)
{
    uint64_t left = nat_time_left(t, *deadline_ns);
    uint64_t until_ns = t->clock_ns + left;
    unsigned scale = nat_scale_of(left);

    *deadline_ns = nat_round_up(until_ns, scale) << nat_scale_shift(scale);
    return nat_ticks(until_ns, scale);
}

/* Where a flow is, or could be. */
struct nat_spot {
    uint64_t b;
    uint32_t group;
    unsigned k;
    unsigned slot;
};

/* ---- Keys and entries ------------------------------------------------- */

/* Which bits of a code tell the protocol; TCP has its state in the others. */
static inline uint64_t
nat_code_mask(uint64_t code)
{
    return (code == CODE_TCP ? code : UINT64_C(15)) << CODE_SHIFT;
}

static inline uint64_t
nat_code_of(uint8_t protocol, uint8_t state)
{
    uint64_t code = protocol == HG_PROTO_TCP   ? CODE_TCP + (state & 7u)
                    : protocol == HG_PROTO_UDP ? CODE_UDP
                                               : CODE_ICMP;

    return code << CODE_SHIFT;
}

/* Bit i is set if entry i is the flow of the key, as its candidate 'k'. */
static inline unsigned
nat_match(const struct nat_bucket *bucket,
          const struct hg_nat_compact_key *key, unsigned k)
{
    uint64_t bits = key->bits | (uint64_t)k << CANDIDATE_SHIFT;
    unsigned found = 0, i;

#pragma GCC unroll 4
    for (i = 0; i < SLOTS; i++)
        found |= (unsigned)(((bucket->e[i].ends ^ key->ends) |
                             ((bucket->e[i].rest & key->mask) ^ bits)) == 0)
                 << i;
    return found;
}

/* Whether the flow is in this bucket, as its candidate at->k. */
static inline bool
nat_is_at(const struct nat_bucket *bucket,
          const struct hg_nat_compact_key *key, struct nat_spot *at)
{
    unsigned found = nat_match(bucket, key, at->k);

    if (found)
        at->slot = (unsigned)__builtin_ctz(found);
    return found;
}

/* ---- nat_compact_find.c ----------------------------------------------------
 */

/* Fills in all that follows from 'tuple' and 'from_inside'. */
void nat_prepare(const struct hg_nat_compact *, struct hg_nat_compact_key *);

/* Makes key->external that of another of the gateway's addresses; only
 * dest_hash follows it. */
void nat_set_external(const struct hg_nat_compact *,
                      struct hg_nat_compact_key *, uint8_t external);

/* The hash of the bucket of the flow in an entry. */
uint64_t nat_hash_of(const struct hg_nat_compact *, const struct nat_entry *);

/* The key of the flow in an entry as if from inside, prepared; returns the
 * group where it is. */
uint32_t nat_key_of(const struct hg_nat_compact *, uint64_t b, unsigned slot,
                    struct hg_nat_compact_key *);

void nat_flow_at(const struct hg_nat_compact *, uint64_t b, unsigned slot,
                 struct hg_nat_compact_flow *);

/* Whether an entry is a flow of this destination and group. */
bool nat_is_of(const struct hg_nat_compact *, const struct nat_entry *,
               const struct hg_nat_compact_key *, uint32_t group);

/* Whether the flow lives; takes it out if not. */
bool nat_lives(struct hg_nat_compact *, const struct nat_spot *);

/* The flow at 'at', for its key from inside. */
void nat_fill_flow(const struct hg_nat_compact *,
                   const struct hg_nat_compact_key *, const struct nat_spot *,
                   struct hg_nat_compact_flow *);

/* ---- nat_compact.c ---------------------------------------------------- */

/* Takes an entry out, without telling anybody. */
void nat_take_out(struct hg_nat_compact *, uint64_t b, unsigned slot);

/* ---- nat_compact_grow.c ----------------------------------------------- */

bool nat_grow_init(struct hg_nat_compact *);

/* Splits a bucket or two if the table is full enough. */
void nat_grow(struct hg_nat_compact *);

/* A new epoch, which moves the hand a little. */
void nat_next_epoch(struct hg_nat_compact *);

/* Takes out what ran out in a bucket, which is of the present epoch then. */
void nat_clean(struct hg_nat_compact *, uint64_t b);

/* Moves the hand over a bucket. */
void nat_move_hand(struct hg_nat_compact *);

/* An entry has this deadline. */
static inline void
nat_note_deadline(struct hg_nat_compact *t, uint64_t deadline_ns)
{
    if (deadline_ns < t->due_ns)
        t->due_ns = deadline_ns;
    if (deadline_ns < t->next_due_ns)
        t->next_due_ns = deadline_ns;
}

/* Takes a flow that ran out, and tells. */
void nat_run_out(struct hg_nat_compact *, uint64_t b, unsigned slot);

static inline void
nat_set_clock(struct hg_nat_compact *t, uint64_t now_ns)
{
    if (now_ns <= t->clock_ns)
        return;
    t->clock_ns = now_ns;
    if (now_ns - t->epoch_ns >= EPOCH_NS)
        nat_next_epoch(t);
}

/* The bucket, free of what ran out in earlier epochs. */
static inline struct nat_bucket *
nat_bucket(struct hg_nat_compact *t, uint64_t b)
{
    struct nat_bucket *bucket = &t->buckets[b];

    if (nat_epoch_of(bucket) != t->epoch)
        nat_clean(t, b);
    return bucket;
}

/* ---- nat_compact_notes.c ---------------------------------------------- */

void nat_notes_init(struct nat_notes *);

/* Notes that a flow that is in bucket passed[k] passed those before it. */
void nat_note_passing(struct hg_nat_compact *,
                      const struct hg_nat_compact_key *,
                      const uint64_t *passed, unsigned k);

/* The hand is at this bucket; it went round. */
void nat_notes_move(struct hg_nat_compact *, uint64_t b);
void nat_notes_end_round(struct hg_nat_compact *);

/* ---- nat_compact_else.c ----------------------------------------------- */

bool nat_others_init(struct hg_nat_compact *);
void nat_others_uninit(struct hg_nat_compact *);

/* Number of the living flow, or NOWHERE; keys are prepared. */
uint32_t nat_others_find(struct hg_nat_compact *,
                         const struct hg_nat_compact_key *);

/* The same for one with this external port (key->external, any side). */
uint32_t nat_others_find_port(struct hg_nat_compact *,
                              const struct hg_nat_compact_key *,
                              uint16_t port);

/* Number of the new flow, or NOWHERE without memory. */
uint32_t nat_others_add(struct hg_nat_compact *,
                        const struct hg_nat_compact_key *, uint16_t port,
                        uint8_t state, uint64_t deadline_ns);
void nat_others_remove(struct hg_nat_compact *, uint32_t i);
void nat_others_flow(const struct hg_nat_compact *, uint32_t i,
                     struct hg_nat_compact_flow *);
struct nat_other *nat_other(const struct hg_nat_compact *, uint32_t i);

/* Looks at up to 'n' of them for those that ran out. */
void nat_others_sweep(struct hg_nat_compact *, uint64_t n);

/* ---- nat_compact_crowd.c ---------------------------------------------- */

/* A free port at key->external; false if there is none. */
bool nat_find_port(struct hg_nat_compact *, const struct hg_nat_compact_key *,
                   uint16_t *port);

/* A place of the destination was taken, until then, or is free now. */
void nat_crowd_note(struct hg_nat_compact *, const struct hg_nat_compact_key *,
                    uint32_t place, bool taken, uint64_t deadline_ns);

/* A flow's deadline is earlier than it was. */
void nat_crowd_sooner(struct hg_nat_compact *,
                      const struct hg_nat_compact_flow *);

/* Forgets destinations that are not crowded any more, one of them a call. */
void nat_crowds_sweep(struct hg_nat_compact *);
void nat_crowds_uninit(struct hg_nat_compact *);

static inline uint64_t
nat_random(struct hg_nat_compact *t)
{
    t->random += UINT64_C(0x9e3779b97f4a7c15);
    return nat_hash(t->random, &t->seed_random);
}

#endif
