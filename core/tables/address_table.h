/* address_table.h: from (VPC, address) to the place of an ENI, for
 * inventory.c.
 *
 * IPv4 keys lie in buckets of one cache line, five in each, at most 24 bytes
 * for each mapping with the free slots.  A key that found its bucket full is
 * in one of the next ones, and those that it passed count it, so that a search
 * nearly always ends in the line where it begins.  IPv6 keys lie in an array
 * with a hash index.
 *
 * Thread-safety: belongs to one worker. */
#ifndef ADDRESS_TABLE_H
#define ADDRESS_TABLE_H 1

#include <headgate/element.h>

#include "hash_index.h"

enum { IP4_SLOTS = 5 };

struct ip4_bucket {
    uint64_t key[IP4_SLOTS];   /* 0: free; VPCs are numbered from 1. */
    uint32_t value[IP4_SLOTS]; /* 0: free. */
    uint32_t n_passed;         /* Keys further on whose search begins here, or
                                * comes by. */
};

struct ip6_record {
    uint32_t vpc;
    uint32_t value;
    struct hg_addr addr;
};

struct address_table {
    struct ip4_bucket *buckets;
    size_t n_buckets; /* Below 2^32. */
    size_t n_used;
    struct ip6_record *six;
    size_t n_six;
    struct hash_index by_six;
};

void address_table_uninit(struct address_table *);

/* The key must not be there yet; the value is not 0. */
void address_table_add(struct address_table *, uint32_t vpc,
                       const struct hg_addr *, uint32_t value);

/* Does nothing if the key is not there. */
void address_table_remove(struct address_table *, uint32_t vpc,
                          const struct hg_addr *);

/* The value, or 0. */
uint32_t address_table_find(const struct address_table *, uint32_t vpc,
                            const struct hg_addr *);

/* Fetches the cache line where the search for a key will begin. */
void address_table_prefetch(const struct address_table *, uint32_t vpc,
                            const struct hg_addr *);

/* Bytes of memory. */
size_t address_table_size(const struct address_table *);

/* ---- IPv4, for many at once ------------------------------------------- */

static inline uint64_t
ip4_key(uint32_t vpc, uint32_t ip)
{
    return (uint64_t)vpc << 32 | ip;
}

/* Where the search for a key begins, in a table that is not empty. */
static inline const struct ip4_bucket *
ip4_home(const struct address_table *t, uint64_t key)
{
    return &t->buckets[(hash_of_word(key) >> 32) * t->n_buckets >> 32];
}

/* Where it goes on behind a bucket. */
static inline const struct ip4_bucket *
ip4_next(const struct address_table *t, const struct ip4_bucket *b)
{
    return b + 1 == t->buckets + t->n_buckets ? t->buckets : b + 1;
}

/* The value of a key in this bucket, or 0; without a branch, since nobody
 * could predict in which slot it is. */
static inline uint32_t
ip4_value_in(const struct ip4_bucket *b, uint64_t key)
{
    uint32_t value = 0;
    unsigned i;

#pragma GCC unroll 5
    for (i = 0; i < IP4_SLOTS; i++) {
        uint32_t here = b->value[i];

        value = b->key[i] == key ? here : value;
    }
    return value;
}

/* The value of a key wherever it is, or 0. */
uint32_t ip4_value(const struct address_table *, uint64_t key);

#endif
