/* mapping_cache.h: what a host remembers of the mapping service's answers;
 * part of mapping_lookup.c.
 *
 * Sets of four entries, of which a new key takes the free or longest unused
 * one; an entry whose question is under way keeps its place.
 *
 * Thread-safety: belongs to one worker. */
#ifndef MAPPING_CACHE_H
#define MAPPING_CACHE_H 1

#include <stdlib.h>
#include <string.h>

#include <headgate/inventory.h>

enum { CACHE_WAYS = 4 };

enum cache_state {
    CACHE_FREE,
    CACHE_ASKED,     /* Nothing known; packets wait here. */
    CACHE_KNOWN,     /* 'eni' answers, or NULL: there is none. */
    CACHE_REFRESHING /* The same, and a question is under way. */
};

struct cache_entry {
    struct hg_addr addr;
    uint8_t state;
    uint32_t vpc;
    const struct hg_eni *eni;
    uint64_t answered_ns; /* When; or, while asked, when the answer comes. */
    uint64_t used_ns;
    uint64_t generation; /* Of the inventory, when the answer was right. */
    struct hg_packet *parked; /* Oldest first. */
    struct hg_packet *parked_last;
    struct cache_entry *next_asked; /* In order of answers. */
};

struct mapping_cache {
    struct cache_entry *entries;
    size_t n_sets; /* A power of two. */
    uint64_t seed;
};

static bool
cache_init(struct mapping_cache *cache, size_t size, uint64_t seed)
{
    for (cache->n_sets = 1; cache->n_sets * CACHE_WAYS < size;)
        cache->n_sets *= 2;
    cache->seed = seed;
    cache->entries =
        calloc(cache->n_sets * CACHE_WAYS, sizeof *cache->entries);
    return cache->entries != NULL;
}

/* The set of a key: the finaliser of splitmix64 over both halves. */
static struct cache_entry *
cache_set(const struct mapping_cache *cache, uint32_t vpc,
          const struct hg_addr *addr)
{
    uint64_t high, low, x;

    memcpy(&high, addr->byte, sizeof high);
    memcpy(&low, addr->byte + 8, sizeof low);
    x = (high ^ cache->seed) * UINT64_C(0xbf58476d1ce4e5b9) + low + vpc;
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return &cache->entries[((x >> 32) & (cache->n_sets - 1)) * CACHE_WAYS];
}

/* The entry of the key, or one for it (CACHE_FREE); NULL if all four of its
 * set wait for answers. */
static struct cache_entry *
cache_get(const struct mapping_cache *cache, uint32_t vpc,
          const struct hg_addr *addr)
{
    struct cache_entry *set = cache_set(cache, vpc, addr), *best = NULL;
    unsigned i;

    for (i = 0; i < CACHE_WAYS; i++) {
        struct cache_entry *e = &set[i];

        if (e->state != CACHE_FREE && e->vpc == vpc &&
            hg_addr_equal(&e->addr, addr))
            return e;
        if (e->state == CACHE_ASKED || e->state == CACHE_REFRESHING)
            continue;
        if (!best || (best->state != CACHE_FREE &&
                      (e->state == CACHE_FREE || e->used_ns < best->used_ns)))
            best = e;
    }
    if (best)
        *best = (struct cache_entry){.vpc = vpc, .addr = *addr};
    return best;
}

static void
cache_park(struct cache_entry *e, struct hg_packet *p)
{
    p->next = NULL;
    if (e->parked)
        e->parked_last->next = p;
    else
        e->parked = p;
    e->parked_last = p;
}

static struct hg_packet *
cache_unpark(struct cache_entry *e)
{
    struct hg_packet *p = e->parked;

    if (p)
        e->parked = p->next;
    return p;
}

#endif
