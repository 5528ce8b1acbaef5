/* inventory_internal.h: what an inventory is made of, for inventory.c, which
 * fills it, and inventory_find.c, which looks into it. */
#ifndef INVENTORY_INTERNAL_H
#define INVENTORY_INTERNAL_H 1

#include <headgate/inventory.h>

#include "address_table.h"

/* Pointers to records, of which some may have been removed (NULL). */
struct records {
    void **at;
    size_t n;
    struct hash_index by_id;
};

/* Memory for records, of which this is the beginning. */
struct chunk {
    struct chunk *next;
    size_t size;
    size_t used;
};

/* One CIDR of a subnet: what the tree holds. */
struct range {
    uint32_t vpc;
    struct hg_prefix prefix;
    const struct hg_subnet *subnet;
};

struct hg_inventory {
    struct records vpcs;
    struct records subnets;
    struct records enis;
    struct records groups;
    struct address_table addresses; /* Private ones: index into enis. */
    struct hash_index by_mac;       /* Index into enis. */
    struct hash_index by_public;    /* Index into enis. */
    struct hash_index by_vni;       /* Index into vpcs. */
    void *ranges;                   /* Tree of struct range. */
    const char **words;             /* Texts that many records share. */
    size_t n_words;
    struct hash_index by_word;
    uint64_t generation;
    const struct hg_inventory *before; /* Whose numbers ids keep. */
    struct chunk *chunks;
    size_t chunks_size;
};

/* In inventory.c. */
const struct hg_eni *inventory_find_mac(const struct hg_inventory *inventory,
                                        uint32_t vpc,
                                        const struct hg_mac *mac);
const struct hg_subnet *
inventory_find_range(const struct hg_inventory *inventory, uint32_t vpc,
                     const struct hg_prefix *prefix);
void *inventory_get(const struct records *r, const char *id);
uint32_t inventory_hash_address(uint32_t vpc, const struct hg_addr *addr);

#endif
