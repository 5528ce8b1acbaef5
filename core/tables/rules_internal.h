/* rules_internal.h: what rules.c (rules, keys, scan) and rules_bits.c (bit
 * vectors) share.  headgate/rules.h is their outside.
 *
 * Both see a rule as a box: a range in each of five dimensions. */
#ifndef RULES_INTERNAL_H
#define RULES_INTERNAL_H 1

#include <headgate/rules.h>

__extension__ typedef unsigned __int128 u128;

enum { SRC, DST, SPORT, SERVICE, PROTOCOL, DIMENSIONS };

/* Both ends included. */
struct box {
    u128 low[DIMENSIONS];
    u128 high[DIMENSIONS];
};

/* A key as a point; 'addr' is used for IPv6, at[SRC] and at[DST] for IPv4. */
struct point {
    u128 addr[2];
    uint32_t at[DIMENSIONS];
};

/* Zeroed memory aligned to a cache line; the program ends without it. */
void *rules_alloc(size_t size);

struct bit_group;

/* Bit vectors over n boxes of a family (4 or 6), n <= HG_RULES_GROUP. */
struct bit_group *bit_group_create(const struct box *, uint32_t n,
                                   uint8_t family);
void bit_group_destroy(struct bit_group *);
size_t bit_group_bytes(const struct bit_group *);

/* Finds the vectors of a point and fetches them; then the first box from
 * 'from' on that is in all of them, or HG_RULES_NONE. */
void bit_group_locate(const struct bit_group *, const struct point *,
                      const uint64_t *vector[DIMENSIONS]);
uint32_t bit_group_first(const struct bit_group *,
                         const uint64_t *const vector[DIMENSIONS],
                         uint32_t from, bool wide);

#endif
