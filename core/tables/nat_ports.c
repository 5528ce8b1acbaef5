/* nat_ports.c: headgate/nat_ports.h as an array of destinations with a
 * chained hash over it. */
#include <headgate/nat_ports.h>

#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

enum { FIRST_CAPACITY = 1024 };

struct dest {
    struct hg_nat_dest_key key;
    uint32_t n;
    uint32_t next; /* In its chain, or the next free one. */
};

struct address {
    uint64_t in_use;
    uint32_t peak;
};

struct hg_nat_ports {
    struct hg_port_range range;
    uint32_t n_ports;
    uint32_t limit;
    uint64_t seed_dest, seed_pair, seed_port;
    uint64_t n_chosen;

    uint32_t capacity; /* A power of 2; entry 0 is not used. */
    uint32_t n_begun;
    uint32_t free;
    struct dest *dest;
    uint32_t *heads;

    struct address address[];
};

/* ---- Destinations ----------------------------------------------------- */

/* The place that holds the number of the destination, or 0 at the end of its
 * chain. */
static uint32_t *
find(const struct hg_nat_ports *t, const struct hg_nat_dest_key *key)
{
    uint64_t hash = XXH3_64bits_withSeed(key, sizeof *key, t->seed_dest);
    uint32_t *at = &t->heads[hash & (t->capacity - 1)];

    while (*at && memcmp(&t->dest[*at].key, key, sizeof *key))
        at = &t->dest[*at].next;
    return at;
}

static bool
grow(struct hg_nat_ports *t)
{
    uint32_t capacity = t->capacity ? t->capacity * 2 : FIRST_CAPACITY, i;
    struct dest *dest = realloc(t->dest, (capacity + 1ul) * sizeof *dest);
    uint32_t *heads;

    if (!dest)
        return false;
    t->dest = dest;
    heads = calloc(capacity, sizeof *heads);
    if (!heads)
        return false;
    free(t->heads);
    t->heads = heads;
    t->capacity = capacity;
    for (i = 1; i <= t->n_begun; i++) { /* All in use, or it would not. */
        uint32_t *at = find(t, &dest[i].key);

        dest[i].next = 0;
        *at = i;
    }
    return true;
}

uint32_t
hg_nat_dest_open(struct hg_nat_ports *t, const struct hg_nat_dest_key *key)
{
    uint32_t *at = find(t, key);
    uint32_t i = *at;

    if (i)
        return i;
    if (!t->free && t->n_begun == t->capacity) {
        if (!grow(t))
            return 0;
        at = find(t, key);
    }
    i = t->free;
    if (i)
        t->free = t->dest[i].next;
    else
        i = ++t->n_begun;
    t->dest[i] = (struct dest){.key = *key};
    *at = i;
    return i;
}

void
hg_nat_dest_close(struct hg_nat_ports *t, uint32_t dest)
{
    uint32_t *at;

    if (t->dest[dest].n)
        return;
    at = find(t, &t->dest[dest].key);
    *at = t->dest[dest].next;
    t->dest[dest].next = t->free;
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

/* A random stride that shares no divisor with the number of ports visits each
 * port once. */
void
hg_nat_port_first(struct hg_nat_ports *t, const void *what, size_t size,
                  struct hg_nat_port_walk *w)
{
    uint64_t r =
        XXH3_64bits_withSeed(what, size, t->seed_port + t->n_chosen++);
    uint32_t n = t->n_ports;

    w->low = t->range.low;
    w->n = w->left = n;
    w->at = (uint32_t)((r >> 32) * n >> 32);
    w->step = 1 + (uint32_t)((r & UINT32_MAX) * n >> 32);
    while (gcd(w->step, n) != 1)
        w->step++;
    w->step %= n;
}

uint32_t
hg_nat_ports_pair(const struct hg_nat_ports *t, const void *inside,
                  size_t size, uint32_t n)
{
    return (uint32_t)(XXH3_64bits_withSeed(inside, size, t->seed_pair) % n);
}

/* ---- Creating --------------------------------------------------------- */

struct hg_nat_ports *
hg_nat_ports_create(unsigned n_addresses, struct hg_port_range range,
                    uint32_t per_destination, uint64_t seed)
{
    struct hg_nat_ports *t =
        calloc(1, sizeof *t + n_addresses * sizeof t->address[0]);

    if (!t)
        return NULL;
    t->range = range;
    t->n_ports = 1u + range.high - range.low;
    t->limit = per_destination < t->n_ports ? per_destination : t->n_ports;
    t->seed_dest = XXH3_64bits_withSeed("dest", 4, seed);
    t->seed_pair = XXH3_64bits_withSeed("pair", 4, seed);
    t->seed_port = XXH3_64bits_withSeed("port", 4, seed);
    if (!grow(t)) {
        hg_nat_ports_destroy(t);
        return NULL;
    }
    return t;
}

void
hg_nat_ports_destroy(struct hg_nat_ports *t)
{
    if (!t)
        return;
    free(t->dest);
    free(t->heads);
    free(t);
}
