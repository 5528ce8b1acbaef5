/* address_table.h: from (VPC, address) to the number of an ENI, for
 * inventory.c.
 *
 * IPv4 keys lie in the slots themselves (12 bytes, at most 24 for each
 * mapping with the free ones); IPv6 keys in an array with a hash index.
 *
 * Thread-safety: belongs to one worker. */
#ifndef ADDRESS_TABLE_H
#define ADDRESS_TABLE_H 1

#include <headgate/element.h>

#include "hash_index.h"

struct ip4_slot {
    uint32_t key[2]; /* VPC and address, loaded and stored as one word. */
    uint32_t value;  /* + 1; 0: free. */
};

struct ip6_record {
    uint32_t vpc;
    uint32_t value;
    struct hg_addr addr;
};

struct address_table {
    struct ip4_slot *slots;
    size_t n_slots;
    size_t n_used;
    struct ip6_record *six;
    size_t n_six;
    struct hash_index by_six;
};

void address_table_uninit(struct address_table *);

/* The key must not be there yet. */
void address_table_add(struct address_table *, uint32_t vpc,
                       const struct hg_addr *, uint32_t value);

/* Does nothing if the key is not there. */
void address_table_remove(struct address_table *, uint32_t vpc,
                          const struct hg_addr *);

/* The value, or HASH_INDEX_END. */
uint32_t address_table_find(const struct address_table *, uint32_t vpc,
                            const struct hg_addr *);

/* The same for up to HG_BATCH_MAX keys, with prefetch. */
void address_table_find_batch(const struct address_table *, unsigned n,
                              const uint32_t *vpc, const struct hg_addr *,
                              uint32_t *value);

/* Fetches the cache line where the search for a key will begin. */
void address_table_prefetch(const struct address_table *, uint32_t vpc,
                            const struct hg_addr *);

/* Bytes of memory. */
size_t address_table_size(const struct address_table *);

#endif
