/* nat_ports.c: headgate/nat_ports.h as an array of destinations with an index
 * of hashes over it. */
#include <headgate/nat_ports.h>

#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "hash_index.h"
#include "large.h"

enum { FETCHED = 64 /* Destinations whose misses overlap. */ };

struct dest {
    struct hg_nat_dest_key key; /* Of a free one: 'remote' is the next. */
    uint32_t n;
};

struct address {
    uint64_t in_use;
    uint32_t peak;
};

struct hg_nat_ports {
    struct hg_port_parts parts;
    uint32_t limit;
    uint64_t seed_dest, seed_pair, seed_port;
    uint64_t n_walks;

    struct hash_index index;
    struct stretch memory; /* Of 'dest'. */
    struct dest *dest;     /* Number 0 is not used. */
    uint32_t n_begun;
    uint32_t free;

    struct address address[];
};

/* ---- Destinations ----------------------------------------------------- */

static inline uint32_t
hash_of(const struct hg_nat_ports *t, const struct hg_nat_dest_key *key)
{
    return (uint32_t)XXH3_64bits_withSeed(key, sizeof *key, t->seed_dest);
}

void
hg_nat_dest_fetch(const struct hg_nat_ports *t,
                  const struct hg_nat_dest_key *key, unsigned n)
{
    uint32_t hash[FETCHED];
    unsigned i;

    for (; n > FETCHED; key += FETCHED, n -= FETCHED)
        hg_nat_dest_fetch(t, key, FETCHED);
    for (i = 0; i < n; i++) {
        hash[i] = hash_of(t, &key[i]);
        hash_index_prefetch(&t->index, hash[i]);
    }
    for (i = 0; i < n; i++) {
        size_t at = hash_index_start(&t->index, hash[i]);
        uint32_t dest = hash_index_candidate(&t->index, hash[i], &at);

        if (dest != HASH_INDEX_END)
            __builtin_prefetch(&t->dest[dest], 1);
    }
}

/* A destination that is not in use. */
static uint32_t
take_free(struct hg_nat_ports *t)
{
    uint32_t i = t->free;

    if (i) {
        t->free = t->dest[i].key.remote;
        return i;
    }
    i = ++t->n_begun;
    if ((i + 1ul) * sizeof *t->dest > t->memory.reserved) {
        stretch_grow(&t->memory, (i + 1ul) * 2 * sizeof *t->dest);
        t->dest = t->memory.at;
    }
    return i;
}

uint32_t
hg_nat_dest_open(struct hg_nat_ports *t, const struct hg_nat_dest_key *key)
{
    uint32_t hash = hash_of(t, key), i;
    size_t at = hash_index_start(&t->index, hash);

    while ((i = hash_index_candidate(&t->index, hash, &at)) != HASH_INDEX_END)
        if (!memcmp(&t->dest[i].key, key, sizeof *key))
            return i;
    i = take_free(t);
    t->dest[i] = (struct dest){.key = *key};
    hash_index_add(&t->index, hash, i);
    return i;
}

void
hg_nat_dest_close(struct hg_nat_ports *t, uint32_t dest)
{
    struct dest *d = &t->dest[dest];

    if (d->n)
        return;
    hash_index_remove(&t->index, hash_of(t, &d->key), dest);
    d->key.remote = t->free;
    t->free = dest;
}

const struct hg_nat_dest_key *
hg_nat_dest_key(const struct hg_nat_ports *t, uint32_t dest)
{
    return &t->dest[dest].key;
}

uint32_t
hg_nat_dest_n(const struct hg_nat_ports *t, uint32_t dest)
{
    return t->dest[dest].n;
}

uint32_t
hg_nat_dest_limit(const struct hg_nat_ports *t)
{
    return t->limit;
}

void
hg_nat_dest_take(struct hg_nat_ports *t, uint32_t dest)
{
    struct dest *d = &t->dest[dest];
    struct address *address = &t->address[d->key.address];

    d->n++;
    address->in_use++;
    if (d->n > address->peak)
        address->peak = d->n;
}

void
hg_nat_dest_give_back(struct hg_nat_ports *t, uint32_t dest)
{
    struct dest *d = &t->dest[dest];
    struct address *address = &t->address[d->key.address];

    if (!--address->in_use)
        address->peak = 0;
    d->n--;
    hg_nat_dest_close(t, dest);
}

uint64_t
hg_nat_ports_in_use(const struct hg_nat_ports *t, uint32_t address)
{
    return t->address[address].in_use;
}

uint32_t
hg_nat_ports_peak(const struct hg_nat_ports *t, uint32_t address)
{
    return t->address[address].peak;
}

/* ---- Choosing --------------------------------------------------------- */

static uint32_t
gcd(uint32_t a, uint32_t b)
{
    while (b) {
        uint32_t r = a % b;

        a = b;
        b = r;
    }
    return a;
}

/* A number below 'n' from 32 random bits. */
static inline uint32_t
below(uint32_t random, uint32_t n)
{
    return (uint32_t)((uint64_t)random * n >> 32);
}

static inline uint64_t
random_of_walk(const struct hg_nat_ports *t, uint64_t walk)
{
    return XXH3_64bits_withSeed(&walk, sizeof walk, t->seed_port);
}

uint16_t
hg_nat_port_ahead(const struct hg_nat_ports *t, unsigned part, unsigned n)
{
    uint64_t random = random_of_walk(t, t->n_walks + n);

    return hg_port_at(&t->parts, part,
                      below((uint32_t)(random >> 32), t->parts.n));
}

void
hg_nat_port_first(struct hg_nat_ports *t, unsigned part,
                  struct hg_nat_port_walk *w)
{
    const uint32_t n = t->parts.n;
    uint64_t random = random_of_walk(t, t->n_walks++);

    *w = (struct hg_nat_port_walk){.parts = &t->parts,
                                   .part = part,
                                   .left = n,
                                   .at = below((uint32_t)(random >> 32), n),
                                   .step = 1 + below((uint32_t)random, n)};
}

/* A stride that shares no divisor with the number of ports visits each once.
 * Finding one takes time, and the first port is mostly free. */
bool
hg_nat_port_next(struct hg_nat_port_walk *w, uint16_t *port)
{
    const uint32_t n = w->parts->n;

    if (!w->left)
        return false;
    if (w->left == n - 1)
        while (gcd(w->step, n) != 1)
            w->step++;
    if (w->left < n)
        w->at = (w->at + w->step) % n;
    w->left--;
    *port = hg_port_at(w->parts, w->part, w->at);
    return true;
}

uint32_t
hg_nat_ports_pair(const struct hg_nat_ports *t, const void *inside,
                  size_t size, uint32_t n)
{
    return below((uint32_t)XXH3_64bits_withSeed(inside, size, t->seed_pair),
                 n);
}

/* ---- Creating --------------------------------------------------------- */

struct hg_nat_ports *
hg_nat_ports_create(unsigned n_addresses, const struct hg_port_parts *parts,
                    uint32_t per_destination, uint64_t seed, unsigned worker)
{
    struct hg_nat_ports *t =
        calloc(1, sizeof *t + n_addresses * sizeof t->address[0]);

    if (!t)
        return NULL;
    t->parts = *parts;
    t->limit = per_destination < parts->n ? per_destination : parts->n;
    t->seed_dest = XXH3_64bits_withSeed("dest", 4, seed);
    t->seed_pair = XXH3_64bits_withSeed("pair", 4, seed);
    t->seed_port = XXH3_64bits_withSeed("port", 4, seed + worker);
    return t;
}

void
hg_nat_ports_destroy(struct hg_nat_ports *t)
{
    if (!t)
        return;
    hash_index_uninit(&t->index);
    stretch_uninit(&t->memory);
    free(t);
}
