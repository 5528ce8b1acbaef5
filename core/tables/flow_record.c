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

#include <headgate/flow_record.h>

#include "graph_internal.h"
#include "hash_words.h"
#include "large.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* The number of no record.  Its place has one whose key is nobody's, so that
 * a guess need not be asked whether there is one. */
#define NONE 0
#define NOBODY UINT8_MAX /* As 'kind'. */

enum { FIRST_BYTES = 64 << 10, FIRST_SLOTS = 1024 };
enum { GROUP = 4 }; /* Slots; its used ones are the first. */

_Static_assert(sizeof(struct hg_flow_record) == 64, "a cache line");

/* Handed over by value, so that loops have it in registers. */
struct index {
    uint32_t *slot; /* Number of a record in the bits of 'mask', and above them
                     * what its hash has there; 0: free. */
    uint32_t mask;  /* Slots, a power of two, - 1. */
};

struct hg_flow_records {
    struct index index;
    struct stretch slots;
    struct stretch records;
    uint32_t n;
    uint32_t max;
    uint64_t seed;
    hg_flow_left_out *left_out;
    const void *aux;
    bool asks_each; /* Also of what has a record. */
};

static void
make_slots(struct hg_flow_records *r, uint32_t mask)
{
    stretch_grow(&r->slots, ((size_t)mask + 1) * sizeof(uint32_t));
    r->index = (struct index){r->slots.at, mask};
}

static void
clear_slots(struct hg_flow_records *r)
{
    memset(r->slots.at, 0, r->slots.size);
}

static inline struct hg_flow_record *
record_at(const struct hg_flow_records *r, uint32_t i)
{
    return (struct hg_flow_record *)r->records.at + i;
}

struct hg_flow_records *
hg_flow_records_create(uint32_t max, uint64_t seed, hg_flow_left_out *left_out,
                       const void *aux)
{
    struct hg_flow_records *r = xcalloc(1, sizeof *r);

    r->max = max;
    r->seed = seed;
    r->left_out = left_out;
    r->aux = aux;
    make_slots(r, FIRST_SLOTS - 1);
    stretch_grow(&r->records, FIRST_BYTES);
    record_at(r, NONE)->key.kind = NOBODY;
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

/* A key in words.  Of IPv4 that is all of it. */
struct key_words {
    uint64_t addresses;
    uint64_t ends; /* Interface and ports. */
    uint16_t kind; /* With the protocol. */
};

static inline struct key_words
words_of(const struct hg_record_key *key)
{
    struct key_words w;

    memcpy(&w.addresses, key->address, sizeof w.addresses);
    memcpy(&w.ends, &key->interface, sizeof w.ends);
    memcpy(&w.kind, &key->protocol, sizeof w.kind);
    return w;
}

static inline bool
same_key(const struct hg_record_key *a, const struct hg_record_key *b)
{
    struct key_words x = words_of(a), y = words_of(b);

    return ((x.addresses ^ y.addresses) | (x.ends ^ y.ends) |
            (uint64_t)(x.kind ^ y.kind)) == 0 &&
           (!(a->kind & HG_RECORD_IP6) ||
            memcmp(a->address, b->address, sizeof a->address) == 0);
}

/* Not inline: the loop over IPv4 keys needs the registers. */
__attribute__((noinline)) static uint64_t
hash_of_ip6(const uint8_t *addresses, uint64_t seed)
{
    return XXH3_64bits_withSeed(addresses, 32, seed);
}

__attribute__((always_inline)) static inline uint32_t
hash_of(const struct hg_flow_records *r, const struct hg_record_key *key)
{
    struct key_words w = words_of(key);

    if (key->kind & HG_RECORD_IP6)
        w.addresses = hash_of_ip6(key->address, r->seed);
    return hash_words(w.addresses, w.ends ^ w.kind * XXH_PRIME64_1, r->seed);
}

/* ---- Index ------------------------------------------------------------ */

static inline size_t
first_group(struct index x, uint32_t hash)
{
    return hash & (x.mask & ~(uint32_t)(GROUP - 1));
}

static inline size_t
next_group(struct index x, size_t at)
{
    return (at + GROUP) & x.mask;
}

static void
put(struct index x, uint32_t i, uint32_t hash)
{
    size_t at = first_group(x, hash);

    while (x.slot[at + GROUP - 1])
        at = next_group(x, at);
    while (x.slot[at])
        at++;
    x.slot[at] = (hash & ~x.mask) | i;
}

/* The number of a record in the first of these slots of the group at 'at'. */
static inline uint32_t
number_in(struct index x, size_t at, unsigned slots)
{
    return x.slot[at + (unsigned)__builtin_ctz(slots)] & x.mask;
}

/* Bit k: slot k of the group at 'at' has a record that may be of this hash, or
 * is free, which ends the search. */
static inline unsigned
candidates(struct index x, size_t at, uint32_t hash)
{
    const uint32_t *slot = x.slot + at;
#ifdef __SSE2__
    __m128i v = _mm_loadu_si128((const __m128i *)(const void *)slot);
    __m128i other =
        _mm_and_si128(_mm_xor_si128(v, _mm_set1_epi32((int32_t)hash)),
                      _mm_set1_epi32((int32_t)~x.mask));
    __m128i found = _mm_cmpeq_epi32(other, _mm_setzero_si128());

    return (unsigned)_mm_movemask_ps(_mm_castsi128_ps(found));
#else
    unsigned m = 0, k;

    for (k = 0; k < GROUP; k++)
        m |= (unsigned)(((slot[k] ^ hash) & ~x.mask) == 0) << k;
    return m;
#endif
}

/* The first candidate behind a group without one, or NONE. */
__attribute__((noinline)) static uint32_t
candidate_behind(struct index x, size_t at, uint32_t hash)
{
    unsigned m;

    do {
        if (!x.slot[at + GROUP - 1])
            return NONE;
        at = next_group(x, at);
        m = candidates(x, at, hash);
    } while (!m);
    return number_in(x, at, m);
}

/* The first record that may be of this hash, or NONE. */
static inline uint32_t
candidate(struct index x, uint32_t hash)
{
    size_t at = first_group(x, hash);
    unsigned m = candidates(x, at, hash);

    if (!m)
        return candidate_behind(x, at, hash);
    return number_in(x, at, m);
}

/* The record of the key, or NONE. */
static uint32_t
find(const struct hg_flow_records *r, const struct hg_record_key *key,
     uint32_t hash)
{
    struct index x = r->index;
    size_t at = first_group(x, hash);

    for (;;) {
        unsigned m = candidates(x, at, hash);

        for (; m; m &= m - 1) {
            uint32_t i = number_in(x, at, m);

            if (same_key(&record_at(r, i)->key, key))
                return i;
        }
        if (!x.slot[at + GROUP - 1])
            return NONE;
        at = next_group(x, at);
    }
}

/* Makes room for one more. */
static void
grow(struct hg_flow_records *r)
{
    uint32_t i;

    if ((r->n + UINT64_C(2)) * sizeof(struct hg_flow_record) > r->records.size)
        stretch_grow(&r->records, 2 * r->records.size);
    if (r->n < r->index.mask / 4 * 3)
        return;
    clear_slots(r);
    make_slots(r, 2 * r->index.mask + 1);
    for (i = 1; i <= r->n; i++)
        put(r->index, i, hash_of(r, &record_at(r, i)->key));
}

/* A new record without packets; its number. */
static uint32_t
insert(struct hg_flow_records *r, const struct hg_record_key *key,
       uint32_t hash, uint16_t second)
{
    struct hg_flow_record *record;

    grow(r);
    put(r->index, ++r->n, hash);
    record = record_at(r, r->n);
    record->key = *key;
    record->start_s = record->end_s = second;
    record->packets = record->bytes = 0;
    return r->n;
}

/* ---- Counting --------------------------------------------------------- */

/* The hash of a key, and the record that is probably its own. */
struct probe {
    uint32_t hash;
    uint32_t record; /* NONE if there is none, or it is not to be guessed. */
};

/* Begins the search for a key: its hash, for which the index is fetched. */
static inline void
begin_probe(const struct hg_flow_records *r, struct probe *p,
            const struct hg_record_key *key)
{
    p->hash = hash_of(r, key);
    __builtin_prefetch(&r->index.slot[p->hash & r->index.mask]);
}

/* Makes guesses for all that began and fetches the records. */
static void
guess(const struct hg_flow_records *r, struct probe *p, unsigned n)
{
    const struct hg_flow_record *record = r->records.at;
    struct index x = r->index;
    unsigned i;

    for (i = 0; i < n; i++) {
        p[i].record = candidate(x, p[i].hash);
        __builtin_prefetch(&record[p[i].record], 1);
    }
}

/* Finds out whether a sample that has no record gets one, or one that has it
 * keeps it.  Returns whether it is to be counted. */
__attribute__((noinline)) static bool
judge(struct hg_flow_records *r, struct hg_flow_sample *s, uint32_t hash)
{
    if (r->left_out && r->left_out(r->aux, &s->key)) {
        s->outcome = HG_SAMPLE_LEFT_OUT;
    } else if (s->record == NONE && r->n == r->max) {
        s->outcome = HG_SAMPLE_REFUSED;
    } else if (s->record == NONE) {
        s->outcome = HG_SAMPLE_FIRST;
        s->record = insert(r, &s->key, hash, s->second);
    }
    return s->outcome <= HG_SAMPLE_FIRST;
}

/* Finds the record of a sample that was not the one guessed, or one of which
 * 'left_out' is asked.  Returns whether the sample is to be counted. */
__attribute__((noinline)) static bool
settle(struct hg_flow_records *r, struct hg_flow_sample *s, uint32_t hash)
{
    s->record = find(r, &s->key, hash);
    if (s->record != NONE && !r->asks_each)
        return true;
    return judge(r, s, hash);
}

unsigned
hg_flow_records_add(struct hg_flow_records *r, struct hg_flow_sample *s,
                    unsigned n)
{
    struct probe probe[HG_FLOW_SAMPLES];
    unsigned i, n_others = 0;

    for (i = 0; i < n; i++)
        begin_probe(r, &probe[i], &s[i].key);
    guess(r, probe, n);
    for (i = 0; i < n && r->asks_each; i++)
        probe[i].record = NONE;
    for (i = 0; i < n; i++, s++) {
        s->record = probe[i].record;
        s->outcome = HG_SAMPLE_COUNTED;
        if (!same_key(&record_at(r, s->record)->key, &s->key) &&
            !settle(r, s, probe[i].hash)) {
            n_others++;
            continue;
        }
        hg_flow_record_count(record_at(r, s->record), s->bytes,
                             s->key.tcp_flags, s->second);
    }
    return n_others;
}

void
hg_flow_records_merge(struct hg_flow_records *r,
                      const struct hg_flow_record *const *from, unsigned n)
{
    struct probe probe[HG_FLOW_SAMPLES];
    unsigned i;

    for (i = 0; i < n; i++)
        begin_probe(r, &probe[i], &from[i]->key);
    guess(r, probe, n);
    for (i = 0; i < n; i++) {
        const struct hg_flow_record *more = from[i];
        uint32_t at = probe[i].record;
        struct hg_flow_record *record;

        if (!same_key(&record_at(r, at)->key, &more->key))
            at = find(r, &more->key, probe[i].hash);
        if (at == NONE)
            at = insert(r, &more->key, probe[i].hash, more->start_s);
        record = record_at(r, at);
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
    return record_at(r, 1);
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
    r->asks_each = false;
}

void
hg_flow_records_ask_each(struct hg_flow_records *r)
{
    r->asks_each = true;
}
