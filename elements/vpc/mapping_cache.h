/* mapping_cache.h: what a host remembers of the mapping service's answers;
 * part of mapping_lookup.c.
 *
 * Sets of four entries, of which a new key takes the free or longest unused
 * one; an entry whose question is under way keeps its place.  Entries, a cache
 * line each, lie in the order in which they were first used, so that those in
 * use are together however large the cache may grow; a set is their numbers,
 * with a few bits of the hashes of their keys.
 *
 * Thread-safety: belongs to one worker. */
#ifndef MAPPING_CACHE_H
#define MAPPING_CACHE_H 1

#include <string.h>

#include <headgate/inventory.h>
#include <headgate/memory.h>

enum { CACHE_WAYS = 4 };

enum cache_state {
    CACHE_FREE,
    CACHE_ASKED,     /* Nothing known; packets wait here. */
    CACHE_KNOWN,     /* 'eni' answers, or NULL: there is none. */
    CACHE_REFRESHING /* The same, and a question is under way. */
};

/* An address as words.  They go from the packet to where they are used in
 * registers: an hg_addr is written in pieces, and who loads it in larger ones
 * right behind waits for all that was begun before. */
struct cache_key {
    uint64_t high; /* IPv4: the address. */
    uint64_t low;
    uint32_t vpc;
    uint8_t family; /* 4 or 6. */
};

struct cache_entry {
    uint64_t high; /* Its key. */
    uint64_t low;
    uint32_t vpc;
    uint8_t family;
    uint8_t state;
    uint64_t answered_ns; /* When; or, while asked, when the answer comes. */
    uint64_t used_ns;
    struct cache_entry *next_asked; /* In order of answers. */
    union {
        struct { /* CACHE_KNOWN and CACHE_REFRESHING. */
            const struct hg_eni *eni;
            uint64_t generation; /* Of the inventory, when that was right. */
        };
        struct {                      /* CACHE_ASKED. */
            struct hg_packet *parked; /* Oldest first, by 'next'. */
            struct hg_packet *parked_last;
        };
    };
};

_Static_assert(sizeof(struct cache_entry) <= 64, "a cache line");

/* A number of an entry is of 25 bits, from 1; 0: not used yet.  The rest is
 * the tag of its key. */
enum { CACHE_NUMBER = 0x1ffffff };

struct mapping_cache {
    uint32_t *sets;
    struct cache_entry *entries; /* The first one stays free. */
    size_t n_sets;               /* A power of two. */
    uint32_t n_used;
    uint64_t seed;
};

/* Where an entry is to be found. */
struct cache_place {
    uint32_t *set;
    uint32_t tag;
};

static uint64_t
cache_sets_size(const struct mapping_cache *cache)
{
    return cache->n_sets * CACHE_WAYS * sizeof *cache->sets;
}

static uint64_t
cache_entries_size(const struct mapping_cache *cache)
{
    return (cache->n_sets * CACHE_WAYS + 1) * sizeof *cache->entries;
}

static void
cache_uninit(struct mapping_cache *cache)
{
    hg_memory_release(cache->sets, cache_sets_size(cache), 0);
    hg_memory_release(cache->entries, cache_entries_size(cache), 0);
}

static bool
cache_init(struct mapping_cache *cache, size_t size, uint64_t seed)
{
    for (cache->n_sets = 1; cache->n_sets * CACHE_WAYS < size;)
        cache->n_sets *= 2;
    cache->seed = seed;
    cache->sets = hg_memory_reserve(cache_sets_size(cache), 0);
    cache->entries = hg_memory_reserve(cache_entries_size(cache), 0);
    return cache->sets && cache->entries;
}

/* The key of a packet's destination; it is an IP packet. */
static inline struct cache_key
cache_key_of(const struct hg_packet *p)
{
    const struct hg_ipv6 *ip6 = hg_packet_ipv6(p);
    struct cache_key key = {.vpc = p->vpc, .family = ip6 ? 6 : 4};

    if (ip6) {
        memcpy(&key.high, ip6->dst, sizeof key.high);
        memcpy(&key.low, ip6->dst + 8, sizeof key.low);
    } else {
        key.high = hg_get32(hg_packet_ipv4(p)->dst);
    }
    return key;
}

static struct hg_addr
cache_address(const struct cache_entry *e)
{
    struct hg_addr addr = {.family = 6};

    if (e->family == 4)
        return hg_addr_from_ip4((uint32_t)e->high);
    memcpy(addr.byte, &e->high, sizeof e->high);
    memcpy(addr.byte + 8, &e->low, sizeof e->low);
    return addr;
}

/* The place of a key: the finaliser of splitmix64 over both halves. */
static inline struct cache_place
cache_place(const struct mapping_cache *cache, struct cache_key key)
{
    uint64_t x = (key.high ^ cache->seed) * UINT64_C(0xbf58476d1ce4e5b9) +
                 key.low + key.vpc;

    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return (struct cache_place){
        &cache->sets[((x >> 32) & (cache->n_sets - 1)) * CACHE_WAYS],
        (uint32_t)x & ~(uint32_t)CACHE_NUMBER};
}

/* Not by '&&': of VPC and family gcc would make one comparison of a word,
 * which it had to put together in memory, and to wait for. */
static inline bool
cache_is(const struct cache_entry *e, struct cache_key key)
{
    uint64_t differs = (e->high ^ key.high) | (e->low ^ key.low) |
                       (e->vpc ^ key.vpc) | (unsigned)(e->family ^ key.family);

    return !differs && e->state != CACHE_FREE;
}

/* The entry that a way leads to. */
static inline struct cache_entry *
cache_at(const struct mapping_cache *cache, uint32_t way)
{
    return &cache->entries[way & CACHE_NUMBER];
}

/* The entry that is probably the one of a key, to be fetched. */
static inline struct cache_entry *
cache_guess(const struct mapping_cache *cache, struct cache_place place)
{
    uint32_t guess = 0;
    unsigned i;

    for (i = 0; i < CACHE_WAYS; i++)
        guess =
            (place.set[i] ^ place.tag) > CACHE_NUMBER ? guess : place.set[i];
    return cache_at(cache, guess);
}

/* The entry of the key, or NULL. */
static inline struct cache_entry *
cache_find(const struct mapping_cache *cache, struct cache_place place,
           struct cache_key key)
{
    unsigned i;

    for (i = 0; i < CACHE_WAYS; i++) {
        struct cache_entry *e = cache_at(cache, place.set[i]);

        if ((place.set[i] ^ place.tag) <= CACHE_NUMBER && cache_is(e, key))
            return e;
    }
    return NULL;
}

/* Whether a new key had better take 'e' than 'best'. */
static bool
is_better(const struct cache_entry *e, const struct cache_entry *best)
{
    if (e->state == CACHE_ASKED || e->state == CACHE_REFRESHING)
        return false;
    return !best || (best->state != CACHE_FREE &&
                     (e->state == CACHE_FREE || e->used_ns < best->used_ns));
}

/* The entry of the key, or one for it (CACHE_FREE); NULL if all four of its
 * set wait for answers. */
static struct cache_entry *
cache_get(struct mapping_cache *cache, struct cache_place place,
          struct cache_key key)
{
    struct cache_entry *e = cache_find(cache, place, key), *best = NULL;
    uint32_t *way = NULL, number;
    unsigned i;

    if (e)
        return e;
    for (i = 0; i < CACHE_WAYS; i++) {
        e = cache_at(cache, place.set[i]);
        if (is_better(e, best)) {
            best = e;
            way = &place.set[i];
        }
    }
    if (!best)
        return NULL;
    number = *way & CACHE_NUMBER;
    if (!number)
        number = ++cache->n_used;
    *way = place.tag | number;
    best = cache_at(cache, number);
    *best = (struct cache_entry){.high = key.high,
                                 .low = key.low,
                                 .vpc = key.vpc,
                                 .family = key.family};
    return best;
}

/* What was known is not true any more. */
static void
cache_forget(struct cache_entry *e)
{
    e->state = e->state == CACHE_KNOWN ? CACHE_FREE : CACHE_ASKED;
    e->parked = e->parked_last = NULL;
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

/* The packets that wait at an entry, in a list. */
static struct hg_packet *
cache_unpark(const struct cache_entry *e)
{
    return e->state == CACHE_ASKED ? e->parked : NULL;
}

#endif
