/* shuffle.c: see shuffle.h. */
#include <stdlib.h>
#include <string.h>

#include <headgate/shuffle.h>

#include "../graph_internal.h"
#include "hash_index.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

struct node {
    char *name;
    uint32_t zone; /* Index into zones. */
    uint64_t hash; /* For rendezvous. */
};

struct zone {
    char *name;
    uint32_t *nodes; /* Numbers, in order of name. */
    size_t n;
};

struct hg_shuffle {
    unsigned size;
    uint64_t seed;
    struct node *nodes;
    size_t n_nodes;
    struct zone *zones; /* In order of name. */
    size_t n_zones;

    /* Guaranteed: the sets of overlap + 1 nodes that are in some shard. */
    uint32_t *sets; /* overlap + 1 numbers each, in order. */
    size_t n_sets;
    size_t room; /* For sets. */
    struct hash_index by_set;
};

struct hg_shuffle *
hg_shuffle_create(unsigned size, uint64_t seed)
{
    struct hg_shuffle *s = xcalloc(1, sizeof *s);

    s->size = size < HG_SHARD_MAX ? size : HG_SHARD_MAX;
    s->seed = seed;
    return s;
}

void
hg_shuffle_destroy(struct hg_shuffle *s)
{
    size_t i;

    if (!s)
        return;
    for (i = 0; i < s->n_nodes; i++)
        free(s->nodes[i].name);
    for (i = 0; i < s->n_zones; i++) {
        free(s->zones[i].name);
        free(s->zones[i].nodes);
    }
    hash_index_uninit(&s->by_set);
    free(s->sets);
    free(s->nodes);
    free(s->zones);
    free(s);
}

/* ---- Nodes ------------------------------------------------------------ */

/* The zone called 'name', made if it is not there; keeps their order and the
 * nodes' references. */
static uint32_t
zone_index(struct hg_shuffle *s, const char *name)
{
    size_t at = 0, i;

    while (at < s->n_zones && strcmp(s->zones[at].name, name) < 0)
        at++;
    if (at < s->n_zones && !strcmp(s->zones[at].name, name))
        return (uint32_t)at;
    s->zones = xrealloc(s->zones, (s->n_zones + 1) * sizeof *s->zones);
    memmove(&s->zones[at + 1], &s->zones[at],
            (s->n_zones - at) * sizeof *s->zones);
    s->zones[at] = (struct zone){.name = xstrdup(name)};
    s->n_zones++;
    for (i = 0; i < s->n_nodes; i++)
        if (s->nodes[i].zone >= at)
            s->nodes[i].zone++;
    return (uint32_t)at;
}

uint32_t
hg_shuffle_add(struct hg_shuffle *s, const char *name, const char *zone_name)
{
    uint32_t number = (uint32_t)s->n_nodes;
    struct zone *zone;
    uint32_t at_zone;
    size_t i, at;

    for (i = 0; i < s->n_nodes; i++)
        if (!strcmp(s->nodes[i].name, name))
            return HG_SHARD_NONE;
    at_zone = zone_index(s, zone_name);
    zone = &s->zones[at_zone];
    s->nodes = xrealloc(s->nodes, (s->n_nodes + 1) * sizeof *s->nodes);
    s->nodes[s->n_nodes++] =
        (struct node){.name = xstrdup(name),
                      .zone = at_zone,
                      .hash = XXH64(name, strlen(name), s->seed)};
    zone->nodes = xrealloc(zone->nodes, (zone->n + 1) * sizeof *zone->nodes);
    for (at = zone->n++;
         at > 0 && strcmp(s->nodes[zone->nodes[at - 1]].name, name) > 0; at--)
        zone->nodes[at] = zone->nodes[at - 1];
    zone->nodes[at] = number;
    return number;
}

size_t
hg_shuffle_n(const struct hg_shuffle *s)
{
    return s->n_nodes;
}

const char *
hg_shuffle_name(const struct hg_shuffle *s, uint32_t node)
{
    return node < s->n_nodes ? s->nodes[node].name : NULL;
}

/* ---- Signature -------------------------------------------------------- */

static uint64_t
mix(uint64_t z)
{
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static uint64_t
next(uint64_t *x)
{
    return mix(*x += UINT64_C(0x9e3779b97f4a7c15));
}

static uint64_t
below(uint64_t *x, uint64_t n)
{
    uint64_t threshold = -n % n; /* 2^64 mod n. */

    for (;;) {
        __extension__ unsigned __int128 product =
            (unsigned __int128)next(x) * n;

        if ((uint64_t)product >= threshold)
            return (uint64_t)(product >> 64);
    }
}

static void
shuffle(uint64_t *x, uint32_t *list, size_t n)
{
    size_t i;

    for (i = n; i > 1; i--) {
        size_t k = (size_t)below(x, i);
        uint32_t swap = list[i - 1];

        list[i - 1] = list[k];
        list[k] = swap;
    }
}

/* All nodes in the order in which the tenant's signature takes them. */
static uint32_t *
signature_order(const struct hg_shuffle *s, const char *tenant)
{
    uint64_t x = XXH64(tenant, strlen(tenant), s->seed);
    uint32_t *order = xcalloc(s->n_nodes, sizeof *order);
    uint32_t *zones = xcalloc(s->n_zones, sizeof *zones);
    uint32_t *shuffled = xcalloc(s->n_nodes, sizeof *shuffled);
    size_t *begin = xcalloc(s->n_zones, sizeof *begin);
    size_t n = 0, round, i;

    for (i = 0; i < s->n_zones; i++)
        zones[i] = (uint32_t)i;
    shuffle(&x, zones, s->n_zones);
    for (i = 0; i < s->n_zones; i++) {
        const struct zone *zone = &s->zones[i];

        begin[i] = n;
        memcpy(shuffled + n, zone->nodes, zone->n * sizeof *shuffled);
        shuffle(&x, shuffled + n, zone->n);
        n += zone->n;
    }
    for (n = 0, round = 0; n < s->n_nodes; round++)
        for (i = 0; i < s->n_zones; i++)
            if (round < s->zones[zones[i]].n)
                order[n++] = shuffled[begin[zones[i]] + round];
    free(zones);
    free(shuffled);
    free(begin);
    return order;
}

static void
sort(uint32_t *v, size_t n)
{
    size_t i, k;

    for (i = 1; i < n; i++) {
        uint32_t x = v[i];

        for (k = i; k > 0 && v[k - 1] > x; k--)
            v[k] = v[k - 1];
        v[k] = x;
    }
}

void
hg_shuffle_signature(const struct hg_shuffle *s, const char *tenant,
                     uint32_t *node)
{
    uint32_t *order = signature_order(s, tenant);

    memcpy(node, order, s->size * sizeof *node);
    sort(node, s->size);
    free(order);
}

/* ---- Guaranteed ------------------------------------------------------- */

struct search {
    struct hg_shuffle *shuffle;
    const uint32_t *order;
    unsigned overlap;
    unsigned most; /* Nodes of one zone. */
    uint64_t steps;
    uint32_t shard[HG_SHARD_MAX]; /* Chosen so far. */
    unsigned n;
};

static uint32_t
hash_set(const uint32_t *set, unsigned n)
{
    return (uint32_t)XXH3_64bits(set, n * sizeof *set);
}

static bool
set_taken(const struct hg_shuffle *s, const uint32_t *set, unsigned n)
{
    uint32_t hash = hash_set(set, n), i;
    size_t at = hash_index_start(&s->by_set, hash);

    while ((i = hash_index_candidate(&s->by_set, hash, &at)) != HASH_INDEX_END)
        if (!memcmp(s->sets + (size_t)i * n, set, n * sizeof *set))
            return true;
    return false;
}

static bool
set_add(struct hg_shuffle *s, const uint32_t *set, unsigned n)
{
    if (s->n_sets == s->room) {
        s->room = s->room ? s->room * 2 : 64;
        s->sets = xrealloc(s->sets, s->room * n * sizeof *s->sets);
    }
    memcpy(s->sets + s->n_sets * n, set, n * sizeof *set);
    hash_index_add(&s->by_set, hash_set(set, n), (uint32_t)s->n_sets++);
    return true;
}

/* Calls 'fn' with every sorted set of overlap + 1 chosen nodes, of which
 * 'with' (if not HG_SHARD_NONE) is one; stops when it returns false. */
static bool
each_set(struct search *q, uint32_t with,
         bool (*fn)(struct hg_shuffle *, const uint32_t *, unsigned))
{
    unsigned size = q->overlap + 1, bits;
    uint32_t set[HG_SHARD_MAX + 1];

    for (bits = 0; bits < 1u << q->n; bits++) {
        unsigned n = 0, i;

        if ((unsigned)__builtin_popcount(bits) !=
            size - (with != HG_SHARD_NONE))
            continue;
        for (i = 0; i < q->n; i++)
            if (bits >> i & 1)
                set[n++] = q->shard[i];
        if (with != HG_SHARD_NONE)
            set[n++] = with;
        sort(set, n);
        if (!fn(q->shuffle, set, n))
            return false;
    }
    return true;
}

static bool
set_is_free(struct hg_shuffle *s, const uint32_t *set, unsigned n)
{
    return !set_taken(s, set, n);
}

/* Whether 'node' may join what is chosen. */
static bool
may_join(struct search *q, uint32_t node)
{
    return q->n < q->overlap || each_set(q, node, set_is_free);
}

/* What the fullest zone of a shard has: the least with which all zones
 * together have enough. */
static unsigned
most_of(const struct hg_shuffle *s)
{
    size_t n = 0, z;
    unsigned most = 0;

    for (; n < s->size && n < s->n_nodes; most++)
        for (z = 0; z < s->n_zones; z++)
            n += s->zones[z].n > most;
    return most;
}

/* Whether a shard of what is chosen, 'node' and others can be even: a zone
 * gives at most one node less than the fullest, unless it has no more. */
static bool
is_even(const struct search *q, uint32_t node)
{
    const struct hg_shuffle *s = q->shuffle;
    unsigned missing = 0, i;
    size_t z;

    for (z = 0; z < s->n_zones; z++) {
        unsigned n = s->nodes[node].zone == z;

        for (i = 0; i < q->n; i++)
            n += s->nodes[q->shard[i]].zone == z;
        if (n > q->most)
            return false;
        for (; n + 1 < q->most && n < s->zones[z].n; n++)
            missing++;
    }
    return q->n + 1 + missing <= s->size;
}

static bool
choose(struct search *q, size_t from)
{
    size_t i;

    if (q->n == q->shuffle->size)
        return true;
    for (i = from; i < q->shuffle->n_nodes; i++) {
        uint32_t node = q->order[i];

        if (!q->steps)
            return false;
        q->steps--;
        if (!is_even(q, node) || !may_join(q, node))
            continue;
        q->shard[q->n++] = node;
        if (choose(q, i + 1))
            return true;
        q->n--;
    }
    return false;
}

bool
hg_shuffle_guaranteed(struct hg_shuffle *s, const char *tenant,
                      unsigned overlap, uint64_t *steps, uint32_t *node)
{
    uint32_t *order = signature_order(s, tenant);
    struct search q = {.shuffle = s,
                       .order = order,
                       .overlap = overlap,
                       .most = most_of(s),
                       .steps = *steps};
    bool found = choose(&q, 0);

    *steps = q.steps;
    free(order);
    if (!found)
        return false;
    each_set(&q, HG_SHARD_NONE, set_add);
    sort(q.shard, q.n);
    memcpy(node, q.shard, q.n * sizeof *node);
    return true;
}

/* ---- Within a shard --------------------------------------------------- */

uint32_t
hg_shuffle_pick(const struct hg_shuffle *s, const uint32_t *node,
                unsigned size, const bool *up, uint32_t flow_hash)
{
    uint32_t best = HG_SHARD_NONE;
    uint64_t best_score = 0;
    unsigned i;

    for (i = 0; i < size; i++) {
        uint64_t score = mix(s->nodes[node[i]].hash ^ flow_hash);

        if (up[node[i]] && (best == HG_SHARD_NONE || score > best_score)) {
            best = node[i];
            best_score = score;
        }
    }
    return best;
}
