/* flow_index.h: the buckets that lead from the hashes of keys to records
 * (flow_index.c); a part of flow_table.h. */
#ifndef FLOW_INDEX_H
#define FLOW_INDEX_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <headgate/memory.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* Entries of the index: a cache line.  A link is a record's number times two
 * plus the number of its key plus one.  Of a key's hash the place of its
 * bucket says bits 0 to 7 and more; with the others, which are here, a bucket
 * is split without a look at any record. */
enum { BUCKET_SLOTS = 8 };

struct flow_bucket {
    uint16_t tag[BUCKET_SLOTS]; /* Bits 16 to 31 of the hash, */
    uint32_t link[BUCKET_SLOTS];
    uint8_t below[BUCKET_SLOTS]; /* ... 8 to 15. */
    uint32_t n;                  /* Slots in use are the first ones; the
                                  * others have no link. */
    uint32_t next;               /* In the overflow, + 1; 0: none. */
};

_Static_assert(sizeof(struct flow_bucket) == 64, "a cache line");

/* Additions are counted, and of the last one with a hash like this it is known
 * which it was: so whoever looked in vain need not look again. */
enum { RECENT = 512, CLOCK_BITS = 29 };

struct flow_index {
    struct flow_bucket *buckets;
    uint32_t n_buckets;
    uint32_t mask; /* The smallest 2^n - 1 that all their numbers fit. */
    uint64_t n_entries;
    struct flow_bucket *overflow;
    uint32_t n_overflow; /* Ever used, */
    uint32_t free;       /* ... of which this and what is behind its 'next' are
                          * free; + 1. */
    uint32_t clock;      /* Keys ever added, from 1 on, modulo 2^CLOCK_BITS. */
    uint32_t recent[RECENT]; /* The last of them, by hash. */
};

/* Bytes of small pages with which large arrays begin, for tables that stay
 * small (hg_memory_reserve()). */
enum { FLOW_SMALL = 16 << 10 };

/* For keys of 'max' records; false without address space. */
bool flow_index_init(struct flow_index *, uint64_t max);
void flow_index_uninit(struct flow_index *, uint64_t max);
uint64_t flow_index_bytes(const struct flow_index *);

/* Adds and removes key 'k', of this hash, of a record. */
void flow_index_add(struct flow_index *, uint32_t number, unsigned k,
                    uint32_t hash);
void flow_index_remove(struct flow_index *, uint32_t number, unsigned k,
                       uint32_t hash);

/* GCC takes a function that only prefetches for one without effect and drops
 * calls of it, unless it is inlined before it looks. */
#define FLOW_FETCH __attribute__((always_inline)) static inline void

static inline uint16_t
flow_tag_of(uint32_t hash)
{
    return (uint16_t)(hash >> 16);
}

/* Bit i: slot i has this tag, if it is in use. */
static inline unsigned
flow_bucket_match(const struct flow_bucket *b, uint16_t tag)
{
    unsigned m = 0;

#ifdef __SSE2__
    __m128i tags = _mm_loadu_si128((const __m128i *)(const void *)b->tag);
    __m128i equal = _mm_cmpeq_epi16(tags, _mm_set1_epi16((int16_t)tag));

    m = (unsigned)_mm_movemask_epi8(
        _mm_packs_epi16(equal, _mm_setzero_si128()));
#else
    unsigned i;

    for (i = 0; i < BUCKET_SLOTS; i++)
        m |= (unsigned)(b->tag[i] == tag) << i;
#endif
    return m;
}

static inline struct flow_bucket *
flow_bucket_of(const struct flow_index *x, uint32_t hash)
{
    /* The upper half is there only so far as it was split.  A branch would
     * be predicted wrong as often as not. */
    uint32_t i = hash & x->mask, half = (x->mask >> 1) + 1;

    return &x->buckets[i - (i >= x->n_buckets ? half : 0)];
}

static inline struct flow_bucket *
flow_bucket_next(const struct flow_index *x, const struct flow_bucket *b)
{
    return b->next ? &x->overflow[b->next - 1] : NULL;
}

/* The link that a key of this hash probably has, by its first bucket; 0 if it
 * is not there. */
static inline uint32_t
flow_index_guess(const struct flow_bucket *first, uint32_t hash)
{
    unsigned m = flow_bucket_match(first, flow_tag_of(hash));

    return m ? first->link[(unsigned)__builtin_ctz(m)] : 0;
}

/* The same by the others of the chain: if it is 0, too, there is none. */
static inline uint32_t
flow_index_guess_on(const struct flow_index *x, const struct flow_bucket *b,
                    uint32_t hash)
{
    uint32_t link = 0;

    while (!link && (b = flow_bucket_next(x, b)) != NULL)
        link = flow_index_guess(b, hash);
    return link;
}

/* Whether no key with a hash like this was added since the clock was there. */
static inline bool
flow_index_is_as_of(const struct flow_index *x, uint32_t hash, uint32_t clock)
{
    const uint32_t mask = (UINT32_C(1) << CLOCK_BITS) - 1;

    return ((x->clock - x->recent[hash % RECENT]) & mask) >=
           ((x->clock - clock) & mask);
}

#endif
