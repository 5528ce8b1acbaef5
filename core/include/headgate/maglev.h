/* headgate/maglev.h: Maglev hashing, from a hash to one of many backends
 * (Eisenbud et al., "Maglev: A Fast and Reliable Software Network Load
 * Balancer", NSDI 2016, section 3.4).
 *
 * Every backend has its own order of preference over the slots of a table of
 * prime size M: slot j of it is (offset + j * skip) mod M.  The backends take
 * turns, each its next slot that is still free, until the table is full.  So
 * a lookup is one load, slots are shared out evenly, and when backends come or
 * go few other slots change hands.  M should be more than 100 times the
 * number of backends.
 *
 * Weights: in each round a backend gathers its weight, and it has a turn
 * whenever it gathered as much as the heaviest backend weighs.
 *
 * The table depends on the order of the backends: those who are to agree sort
 * them by name.
 *
 * Thread-safety: pure. */
#ifndef HEADGATE_MAGLEV_H
#define HEADGATE_MAGLEV_H 1

#include <headgate/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HG_MAGLEV_SMALL 65537 /* The sizes that the paper evaluates, 5.3. */
#define HG_MAGLEV_LARGE 655373
#define HG_MAGLEV_MAX 5000011    /* Envoy's limit, and ours. */
#define HG_MAGLEV_BACKENDS 65534 /* At most so many in a table. */

struct hg_maglev_backend {
    uint32_t offset; /* 0 to M - 1. */
    uint32_t skip;   /* 1 to M - 1. */
    uint32_t weight; /* 0: no slots. */
};

/* Whether 'size' can be M: a prime, at most HG_MAGLEV_MAX. */
HG_API bool hg_maglev_is_size(uint32_t size);

/* Sets offset and skip from XXH64 of the backend's name: with 'seed' for the
 * one, with seed + 1 for the other.  'size' is M. */
HG_API void hg_maglev_prefer(const char *name, uint64_t seed, uint32_t size,
                             struct hg_maglev_backend *);

/* Fills table[0..size) with numbers of backends.  False without memory, or
 * when no backend has any weight. */
HG_API bool hg_maglev_fill(uint16_t *table, uint32_t size,
                           const struct hg_maglev_backend *, size_t n);

/* The backend for a hash, of which all 32 bits count. */
static inline uint16_t
hg_maglev_pick(const uint16_t *table, uint32_t size, uint32_t hash)
{
    return table[(uint64_t)hash * size >> 32];
}

#ifdef __cplusplus
}
#endif
#endif
