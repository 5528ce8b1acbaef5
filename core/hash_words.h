/* hash_words.h: a keyed hash of 16 bytes that are in registers.
 *
 * One folded product of XXH3 with wyhash's constants keeps what is in them;
 * by itself it spreads numbers in a row too evenly in some bits and badly in
 * others, which a second, plain product mends. */
#ifndef HASH_WORDS_H
#define HASH_WORDS_H 1

#include <stdint.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

/* What a seed does to the two words: who hashes many has it ready. */
struct hash_seed {
    uint64_t a;
    uint64_t b;
};

static inline struct hash_seed
hash_seed_of(uint64_t seed)
{
    return (struct hash_seed){seed ^ UINT64_C(0xa0761d6478bd642f),
                              (seed << 32 | seed >> 32) ^
                                  UINT64_C(0xe7037ed1a0b428db)};
}

static inline uint64_t
hash_product(uint64_t a, uint64_t b, struct hash_seed seed)
{
    return XXH3_mul128_fold64(a ^ seed.a, b ^ seed.b) * XXH_PRIME64_1;
}

/* The lower half of a product is worse than its upper one, which it gets, so
 * that either is good. */
static inline uint64_t
hash_words64(uint64_t a, uint64_t b, uint64_t seed)
{
    uint64_t product = hash_product(a, b, hash_seed_of(seed));

    return product ^ product >> 32;
}

/* The upper half alone. */
static inline uint32_t
hash_words_by(uint64_t a, uint64_t b, struct hash_seed seed)
{
    return (uint32_t)(hash_product(a, b, seed) >> 32);
}

static inline uint32_t
hash_words(uint64_t a, uint64_t b, uint64_t seed)
{
    return hash_words_by(a, b, hash_seed_of(seed));
}

#endif
