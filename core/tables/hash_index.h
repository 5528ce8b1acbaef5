/* hash_index.h: from a hash to numbers of records kept elsewhere.
 *
 * Open addressing with linear probing; a slot is a hash and a record number
 * plus one.  The caller compares keys, walking the candidates of a hash:
 *
 *     at = hash_index_start(&x, hash);
 *     while ((i = hash_index_candidate(&x, hash, &at)) != HASH_INDEX_END)
 *         if (same_key(&records[i], key)) ...
 *
 * Thread-safety: belongs to one worker. */
#ifndef HASH_INDEX_H
#define HASH_INDEX_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "large.h"

#define HASH_INDEX_END UINT32_MAX

struct hash_slot {
    uint32_t hash;
    uint32_t value; /* Record number + 1; 0: free. */
};

struct hash_index {
    struct hash_slot *slots;
    size_t n_slots; /* A power of two, or 0. */
    size_t n_used;
    struct stretch memory; /* The slots are its second half. */
};

/* A hash of 64 bits, of which the upper half is good in all bits: multiplied
 * and folded twice, with the constants of splitmix64. */
static inline uint64_t
hash_of_word(uint64_t key)
{
    key ^= key >> 32;
    key *= UINT64_C(0xbf58476d1ce4e5b9);
    key ^= key >> 32;
    return key * UINT64_C(0x94d049bb133111eb);
}

void hash_index_uninit(struct hash_index *);

/* Adds a record; equal hashes (and records) may be there already. */
void hash_index_add(struct hash_index *, uint32_t hash, uint32_t record);

/* Removes that very pair; does nothing if it is not there. */
void hash_index_remove(struct hash_index *, uint32_t hash, uint32_t record);

/* The first candidate of 'hash' at or behind slot *at (start with
 * hash_index_start), or HASH_INDEX_END; *at moves behind it. */
static inline size_t
hash_index_start(const struct hash_index *x, uint32_t hash)
{
    return x->n_slots ? hash & (x->n_slots - 1) : 0;
}

/* Fetches the cache line where the search will begin. */
static inline void
hash_index_prefetch(const struct hash_index *x, uint32_t hash)
{
    if (x->n_slots)
        __builtin_prefetch(&x->slots[hash & (x->n_slots - 1)]);
}

static inline uint32_t
hash_index_candidate(const struct hash_index *x, uint32_t hash, size_t *at)
{
    if (!x->n_slots)
        return HASH_INDEX_END;
    while (x->slots[*at].value) {
        const struct hash_slot *slot = &x->slots[*at];

        *at = (*at + 1) & (x->n_slots - 1);
        if (slot->hash == hash)
            return slot->value - 1;
    }
    return HASH_INDEX_END;
}

/* The first candidate of 'hash', or HASH_INDEX_END.  How far a search goes
 * nobody can predict, so some slots are looked at without branches, which take
 * sums of truth values, not conditions: of those gcc makes branches. */
static inline uint32_t
hash_index_first(const struct hash_index *x, uint32_t hash)
{
    enum { WINDOW = 4 };
    uint32_t value = 0;
    size_t at;
    int i;

    if (!x->n_slots)
        return HASH_INDEX_END;
#pragma GCC unroll 4
    for (i = WINDOW - 1; i >= 0; i--) {
        const struct hash_slot *slot =
            &x->slots[(hash + (unsigned)i) & (x->n_slots - 1)];
        uint32_t others = (uint32_t)(slot->hash == hash) - 1;

        value = (value & others) | (slot->value & ~others);
    }
    if (value)
        return value - 1;
    at = hash_index_start(x, hash);
    return hash_index_candidate(x, hash, &at);
}

#endif
