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
    struct hash_index gone; /* By id: those that a replacement left out. */
};

/* Memory for records, of which this is the beginning. */
struct chunk {
    size_t size;
    size_t used;
    uint32_t number; /* Among those of the inventory that made it. */
};

enum {
    CHUNK_SIZE = 1 << 21,
    ENI_ALIGN = 64, /* A cache line. */
    PLACES_PER_CHUNK = CHUNK_SIZE / ENI_ALIGN
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
    uint32_t which; /* Of how many inventories. */
    uint32_t n_inventories;
    uint32_t only_vpc;              /* Its number; 0 if there are others. */
    struct address_table addresses; /* Private ones: places of ENIs. */
    struct hash_index by_mac;       /* The same. */
    struct hash_index by_public;    /* Index into enis. */
    struct hash_index by_vni;       /* Index into vpcs. */
    void *ranges;                   /* Tree of struct range. */
    const char **words;             /* Texts that many records share. */
    size_t n_words;
    struct hash_index by_word;
    uint64_t generation;
    uint64_t network_generation;
    const struct hg_inventory *before; /* Whose numbers ids keep. */
    struct chunk **chunks;
    uint32_t n_chunks;
    struct chunk *filling; /* One of them, or NULL. */
    struct chunk *filling_enis;
    size_t chunks_size; /* Bytes of all. */
};

/* The number of the i-th record. */
static inline uint32_t
inventory_number(const struct hg_inventory *inventory, uint32_t i)
{
    return i * inventory->n_inventories + inventory->which + 1;
}

/* Which record has this number; UINT32_MAX if another inventory gave it. */
static inline uint32_t
inventory_index(const struct hg_inventory *inventory, uint32_t number)
{
    const uint32_t n = inventory->n_inventories;

    if (n == 1) /* Nearly always, and a division takes long. */
        return number - 1;
    return number && (number - 1) % n == inventory->which ? (number - 1) / n
                                                          : UINT32_MAX;
}

/* The ENI at this place; NULL for place 0, where a chunk begins.  Without a
 * branch, since keys that are further on are not there at first sight. */
static inline const struct hg_eni *
inventory_eni(const struct hg_inventory *inventory, uint32_t place)
{
    uintptr_t chunk = (uintptr_t)inventory->chunks[place / PLACES_PER_CHUNK];
    uintptr_t at = chunk + place % PLACES_PER_CHUNK * (uintptr_t)ENI_ALIGN;

    return (const struct hg_eni *)(at & -(uintptr_t)(place != 0));
}

/* A MAC as a word.  Read in the pieces in which it is copied, which may just
 * have happened. */
static inline uint64_t
inventory_mac_word(const struct hg_mac *mac)
{
    uint32_t first;
    uint16_t last;

    memcpy(&first, mac->byte, sizeof first);
    memcpy(&last, mac->byte + sizeof first, sizeof last);
    return (uint64_t)last << 32 | first;
}

static inline uint32_t
inventory_hash_mac_word(uint32_t vpc, uint64_t word)
{
    uint64_t key = word ^ vpc * UINT64_C(0x9e3779b97f4a7c15);

    return (uint32_t)(hash_of_word(key) >> 32);
}

static inline uint32_t
inventory_hash_mac(uint32_t vpc, const struct hg_mac *mac)
{
    return inventory_hash_mac_word(vpc, inventory_mac_word(mac));
}

static inline bool
inventory_has_mac(const struct hg_eni *eni, uint32_t vpc, uint64_t word)
{
    return eni->vpc->number == vpc && inventory_mac_word(&eni->mac) == word;
}

/* In inventory_memory.c: copies that stay. */
struct hg_eni *inventory_place_eni(struct hg_inventory *, uint32_t *place);
void *inventory_block(struct hg_inventory *, const void *from, size_t size);
char *inventory_text(struct hg_inventory *, const char *);
uint32_t inventory_hash_text(const char *);

/* One copy for all records that say the same. */
char *inventory_shared_text(struct hg_inventory *, const char *);

/* Gives the memory of 'from' to 'to', whose places stay as they are. */
void inventory_join_memory(struct hg_inventory *to, struct hg_inventory *from);
void inventory_free_memory(struct hg_inventory *);

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
