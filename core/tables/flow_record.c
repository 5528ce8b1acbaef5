/* flow_record.c: the records of one window (headgate/flow_record.h).
 *
 * Records are cache lines in one array.  An index leads to them: a table of
 * open addressing, in whose slots is the number of a record and, in the bits
 * that this leaves free, as much of its hash.  Nothing else needs as little of
 * the cache.  Slots are searched four at a time, from the group where a hash
 * belongs on, which takes no branch for most.  Samples go through in three
 * rounds: hash and prefetch the index, find the candidate and prefetch the
 * record, compare and count. */
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <headgate/flow_record.h>
#include <headgate/headers.h>

#include "graph_internal.h"
#include "large.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define NONE UINT32_MAX

enum { KEY_SIZE = offsetof(struct hg_record_key, tcp_flags) };
enum { FIRST_BYTES = 64 << 10, FIRST_SLOTS = 1024 };
enum { GROUP = 4 }; /* Slots; its used ones are the first. */

_Static_assert(sizeof(struct hg_flow_record) == 64, "a cache line");

struct hg_flow_records {
    uint32_t *slot; /* Number of a record + 1 in the bits of 'mask', and above
                     * them what its hash has there; 0: free. */
    uint32_t mask;  /* Slots, a power of two, - 1. */
    struct stretch slots;
    struct stretch records;
    uint32_t n;
    uint32_t max;
    uint64_t seed;
};

static void
make_slots(struct hg_flow_records *r, uint32_t mask)
{
    stretch_grow(&r->slots, ((size_t)mask + 1) * sizeof *r->slot);
    r->slot = r->slots.at;
    r->mask = mask;
}

static void
clear_slots(struct hg_flow_records *r)
{
    memset(r->slot, 0, r->slots.size);
}

struct hg_flow_records *
hg_flow_records_create(uint32_t max, uint64_t seed)
{
    struct hg_flow_records *r = xcalloc(1, sizeof *r);

    r->max = max;
    r->seed = seed;
    make_slots(r, FIRST_SLOTS - 1);
    return r;
}

void
hg_flow_records_destroy(struct hg_flow_records *r)
{
    if (!r)
        return;
    stretch_uninit(&r->slots);
    stretch_uninit(&r->records);
    free(r);
}

static inline struct hg_flow_record *
record_at(const struct hg_flow_records *r, uint32_t i)
{
    return (struct hg_flow_record *)r->records.at + i;
}

/* Behind their first four bytes IPv4 addresses are zero. */
static inline bool
same_key(const struct hg_record_key *a, const struct hg_record_key *b)
{
    const size_t rest = offsetof(struct hg_record_key, interface);

    if (a->kind & HG_RECORD_IP6)
        return memcmp(a, b, KEY_SIZE) == 0;
    return memcmp(&a->interface, &b->interface, KEY_SIZE - rest) == 0 &&
           memcmp(a->src, b->src, 4) == 0 && memcmp(a->dst, b->dst, 4) == 0;
}

/* Of IPv4 addresses no more than is there; in words, since what was stored in
 * small pieces cannot be loaded in large ones at once.  16 bytes are the
 * fastest length; the rest goes into the seed. */
__attribute__((always_inline)) static inline uint32_t
hash_of(const struct hg_flow_records *r, const struct hg_record_key *key)
{
    uint64_t word[2];

    if (key->kind & HG_RECORD_IP6)
        return (uint32_t)XXH3_64bits_withSeed(key, KEY_SIZE, r->seed);
    word[0] = (uint64_t)hg_load32(key->src) << 32 | hg_load32(key->dst);
    word[1] = (uint64_t)key->sport << 48 | (uint64_t)key->dport << 32 |
              key->interface;
    return (uint32_t)XXH3_64bits_withSeed(
        word, sizeof word,
        r->seed + ((uint64_t)key->protocol << 8 | key->kind) * XXH_PRIME64_1);
}

/* ---- Index ------------------------------------------------------------ */

static inline uint32_t
first_group(const struct hg_flow_records *r, uint32_t hash)
{
    return hash & r->mask & ~(uint32_t)(GROUP - 1);
}

static inline uint32_t
next_group(const struct hg_flow_records *r, uint32_t at)
{
    return (at + GROUP) & r->mask;
}

static void
put(struct hg_flow_records *r, uint32_t i, uint32_t hash)
{
    uint32_t at = first_group(r, hash);

    while (r->slot[at + GROUP - 1])
        at = next_group(r, at);
    while (r->slot[at])
        at++;
    r->slot[at] = (hash & ~r->mask) | (i + 1);
}

/* Bit k: slot k of the group at 'at' has a record that may be of this hash. */
static inline unsigned
candidates(const struct hg_flow_records *r, uint32_t at, uint32_t hash)
{
    const uint32_t *slot = &r->slot[at];
#ifdef __SSE2__
    const __m128i zero = _mm_setzero_si128();
    __m128i v = _mm_loadu_si128((const __m128i *)(const void *)slot);
    __m128i other =
        _mm_and_si128(_mm_xor_si128(v, _mm_set1_epi32((int32_t)hash)),
                      _mm_set1_epi32((int32_t)~r->mask));
    __m128i found = _mm_andnot_si128(_mm_cmpeq_epi32(v, zero),
                                     _mm_cmpeq_epi32(other, zero));

    return (unsigned)_mm_movemask_ps(_mm_castsi128_ps(found));
#else
    unsigned m = 0, k;

    for (k = 0; k < GROUP; k++)
        m |= (unsigned)(slot[k] && ((slot[k] ^ hash) & ~r->mask) == 0) << k;
    return m;
#endif
}

/* The first record that may be of this hash, or NONE. */
static inline uint32_t
candidate(const struct hg_flow_records *r, uint32_t hash)
{
    uint32_t at = first_group(r, hash);
    unsigned m;

    while (!(m = candidates(r, at, hash))) {
        if (!r->slot[at + GROUP - 1])
            return NONE;
        at = next_group(r, at);
    }
    return (r->slot[at + (unsigned)__builtin_ctz(m)] & r->mask) - 1;
}

/* The record of the key, or NONE. */
static uint32_t
find(const struct hg_flow_records *r, const struct hg_record_key *key,
     uint32_t hash)
{
    uint32_t at = first_group(r, hash);

    for (;;) {
        unsigned m = candidates(r, at, hash);

        for (; m; m &= m - 1) {
            uint32_t i =
                (r->slot[at + (unsigned)__builtin_ctz(m)] & r->mask) - 1;

            if (same_key(&record_at(r, i)->key, key))
                return i;
        }
        if (!r->slot[at + GROUP - 1])
            return NONE;
        at = next_group(r, at);
    }
}

/* Makes room for one more. */
static void
grow(struct hg_flow_records *r)
{
    size_t size = r->records.size ? 2 * r->records.size : FIRST_BYTES;
    uint32_t i;

    if ((r->n + UINT64_C(1)) * sizeof(struct hg_flow_record) > r->records.size)
        stretch_grow(&r->records, size);
    if (r->n < r->mask / 4 * 3)
        return;
    clear_slots(r);
    make_slots(r, 2 * r->mask + 1);
    for (i = 0; i < r->n; i++)
        put(r, i, hash_of(r, &record_at(r, i)->key));
}

/* A new record without packets. */
static struct hg_flow_record *
insert(struct hg_flow_records *r, const struct hg_record_key *key,
       uint32_t hash, uint16_t second)
{
    struct hg_flow_record *record;

    grow(r);
    put(r, r->n, hash);
    record = record_at(r, r->n++);
    record->key = *key;
    record->start_s = record->end_s = second;
    record->packets = record->bytes = 0;
    return record;
}

/* ---- Counting --------------------------------------------------------- */

/* A key, and the record that is probably its own. */
struct probe {
    const struct hg_record_key *key;
    uint32_t hash;
    uint32_t record; /* Or NONE. */
};

/* Makes guesses for all and fetches the records.  The index is fetched by a
 * loop that does nothing else: a processor waits for several page walks at
 * once only if they stand close together. */
static void
guess(const struct hg_flow_records *r, struct probe *p, unsigned n)
{
    unsigned i;

    for (i = 0; i < n; i++)
        p[i].hash = hash_of(r, p[i].key);
    for (i = 0; i < n; i++)
        __builtin_prefetch(&r->slot[p[i].hash & r->mask]);
    for (i = 0; i < n; i++) {
        p[i].record = candidate(r, p[i].hash);
        if (p[i].record != NONE)
            __builtin_prefetch(record_at(r, p[i].record), 1);
    }
}

/* The record of a key that was guessed; NULL if there is none. */
static inline struct hg_flow_record *
look_up(const struct hg_flow_records *r, const struct probe *p)
{
    uint32_t i = p->record;

    if (i == NONE || !same_key(&record_at(r, i)->key, p->key))
        i = find(r, p->key, p->hash);
    return i == NONE ? NULL : record_at(r, i);
}

unsigned
hg_flow_records_add(struct hg_flow_records *r, struct hg_flow_sample *s,
                    unsigned n)
{
    struct probe probe[HG_FLOW_SAMPLES];
    unsigned i, n_refused = 0;

    for (i = 0; i < n; i++)
        probe[i].key = &s[i].key;
    guess(r, probe, n);
    for (i = 0; i < n; i++) {
        struct hg_flow_record *record = look_up(r, &probe[i]);

        s[i].is_first = !record && r->n < r->max;
        s[i].refused = !record && !s[i].is_first;
        if (s[i].refused) {
            n_refused++;
            continue;
        }
        if (!record)
            record = insert(r, &s[i].key, probe[i].hash, s[i].second);
        s[i].record = (uint32_t)(record - record_at(r, 0));
        hg_flow_record_count(record, s[i].bytes, s[i].key.tcp_flags,
                             s[i].second);
    }
    return n_refused;
}

void
hg_flow_records_merge(struct hg_flow_records *r,
                      const struct hg_flow_record *const *from, unsigned n)
{
    struct probe probe[HG_FLOW_SAMPLES];
    unsigned i;

    for (i = 0; i < n; i++)
        probe[i].key = &from[i]->key;
    guess(r, probe, n);
    for (i = 0; i < n; i++) {
        const struct hg_flow_record *more = from[i];
        struct hg_flow_record *record = look_up(r, &probe[i]);

        if (!record) {
            record = insert(r, &more->key, probe[i].hash, more->start_s);
            record->end_s = more->end_s;
        }
        record->packets += more->packets;
        record->bytes += more->bytes;
        record->key.tcp_flags |= more->key.tcp_flags;
        if (record->end_s < more->end_s)
            record->end_s = more->end_s;
    }
}

const struct hg_flow_record *
hg_flow_records_all(const struct hg_flow_records *r, uint32_t *n)
{
    *n = r->n;
    return r->records.at;
}

struct hg_flow_record *
hg_flow_records_at(struct hg_flow_records *r, uint32_t number)
{
    return record_at(r, number);
}

void
hg_flow_records_clear(struct hg_flow_records *r)
{
    if (r->n)
        clear_slots(r);
    r->n = 0;
}

uint8_t
hg_flow_tcp_flags(uint8_t flags)
{
    uint8_t seen = flags & (HG_TCP_FIN | HG_TCP_SYN | HG_TCP_RST);

    if (!(flags & HG_TCP_SYN))
        return seen;
    if (flags & (HG_TCP_FIN | HG_TCP_RST))
        return seen | HG_RECORD_IMPOSSIBLE;
    return seen | (flags & HG_TCP_ACK);
}
