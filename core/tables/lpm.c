/* lpm.c: see lpm.h.
 *
 * A node at depth d (a multiple of six) holds the prefixes of length d to
 * d + 5 that lead to it.  Prefix number (1 << l) - 1 + v of a node is the one
 * whose l bits behind depth d are v; the longest that matches is the highest
 * set bit among the six that an address allows. */
#include <stdlib.h>
#include <string.h>

#include <headgate/lpm.h>

#include "../graph_internal.h"

enum { STRIDE = 6, FANOUT = 64, MAX_DEPTH = 23, LANES = 64 };

struct node {
    uint64_t prefixes; /* Bit i: prefix number i ends here. */
    uint64_t children; /* Bit i: there is a child for the six bits i. */
    uint32_t value;    /* Index of the first prefix's value. */
    uint32_t child;    /* Index of the first child. */
};

/* Arrays of one to 64 items inside one growing array.  A freed one keeps the
 * index of the next free one of its size in its first item. */
struct arena {
    void *items;
    size_t item_size;
    uint32_t n;
    uint32_t room;
    uint32_t free[FANOUT + 1]; /* By size; 0: none (item 0 is never used). */
};

struct hg_lpm {
    struct arena nodes;
    struct arena values;
    uint32_t root[2]; /* IPv4, IPv6. */
    size_t count;
    uint64_t allowed[FANOUT]; /* Prefixes that match six bits. */
};

static void *
item(const struct arena *a, uint32_t i)
{
    return (uint8_t *)a->items + i * a->item_size;
}

static uint32_t
arena_get(struct arena *a, unsigned size)
{
    uint32_t i = a->free[size];

    if (i) {
        memcpy(&a->free[size], item(a, i), sizeof i);
        return i;
    }
    if (a->n + size > a->room) {
        a->room = a->room ? a->room * 2 : FANOUT * 2;
        a->items = xrealloc(a->items, a->room * a->item_size);
    }
    i = a->n;
    a->n += size;
    return i;
}

static void
arena_put(struct arena *a, uint32_t i, unsigned size)
{
    if (!size)
        return;
    memcpy(item(a, i), &a->free[size], sizeof i);
    a->free[size] = i;
}

/* An array of 'size' items at 'i', with a gap for one more at 'at'. */
static uint32_t
arena_insert(struct arena *a, uint32_t i, unsigned size, unsigned at)
{
    uint32_t bigger = arena_get(a, size + 1);

    memcpy(item(a, bigger), item(a, i), at * a->item_size);
    memcpy(item(a, bigger + at + 1), item(a, i + at),
           (size - at) * a->item_size);
    arena_put(a, i, size);
    return bigger;
}

static uint32_t
arena_erase(struct arena *a, uint32_t i, unsigned size, unsigned at)
{
    uint32_t smaller = size > 1 ? arena_get(a, size - 1) : 0;

    memcpy(item(a, smaller), item(a, i), at * a->item_size);
    memcpy(item(a, smaller + at), item(a, i + at + 1),
           (size - at - 1) * a->item_size);
    arena_put(a, i, size);
    return smaller;
}

static struct node *
node_at(const struct hg_lpm *t, uint32_t i)
{
    return item(&t->nodes, i);
}

static uint32_t *
value_at(const struct hg_lpm *t, uint32_t i)
{
    return item(&t->values, i);
}

static unsigned
ones(uint64_t bits)
{
    return (unsigned)__builtin_popcountll(bits);
}

/* How many bits of 'bits' are set below bit 'i'. */
static unsigned
rank(uint64_t bits, unsigned i)
{
    return ones(bits & ((UINT64_C(1) << i) - 1));
}

/* The six bits behind 'depth'; zeros behind the end. */
static unsigned
six_bits(const uint8_t *byte, unsigned depth)
{
    unsigned at = depth / 8;
    unsigned both = (unsigned)byte[at] << 8 | (at < 15 ? byte[at + 1] : 0u);

    return both >> (10 - depth % 8) & (FANOUT - 1);
}

/* The number in its node of the prefix of length 'len'. */
static unsigned
prefix_number(const uint8_t *byte, unsigned len)
{
    unsigned bits = len % STRIDE;

    return (1u << bits) - 1 + (six_bits(byte, len - bits) >> (STRIDE - bits));
}

struct hg_lpm *
hg_lpm_create(void)
{
    struct hg_lpm *t = xcalloc(1, sizeof *t);
    unsigned s, l;

    t->nodes.item_size = sizeof(struct node);
    t->values.item_size = sizeof(uint32_t);
    arena_get(&t->nodes, 1); /* Item 0 means none. */
    arena_get(&t->values, 1);
    for (l = 0; l < 2; l++) {
        t->root[l] = arena_get(&t->nodes, 1);
        *node_at(t, t->root[l]) = (struct node){0, 0, 0, 0};
    }
    for (s = 0; s < FANOUT; s++)
        for (l = 0; l < STRIDE; l++)
            t->allowed[s] |= UINT64_C(1)
                             << ((1u << l) - 1 + (s >> (STRIDE - l)));
    return t;
}

void
hg_lpm_destroy(struct hg_lpm *t)
{
    if (!t)
        return;
    free(t->nodes.items);
    free(t->values.items);
    free(t);
}

/* ---- Changing --------------------------------------------------------- */

static uint32_t
add_child(struct hg_lpm *t, uint32_t parent, unsigned s)
{
    struct node *n = node_at(t, parent);
    unsigned at = rank(n->children, s);
    uint32_t first = arena_insert(&t->nodes, n->child, ones(n->children), at);

    n = node_at(t, parent);
    n->child = first;
    n->children |= UINT64_C(1) << s;
    *node_at(t, first + at) = (struct node){0, 0, 0, 0};
    return first + at;
}

/* Walks to the node of a prefix, noting the way; makes nodes if 'make'. 0 if
 * it is not there. */
static uint32_t
walk(struct hg_lpm *t, const struct hg_prefix *prefix, bool make,
     uint32_t way[MAX_DEPTH])
{
    uint32_t i = t->root[prefix->addr.family == 6];
    unsigned depth = 0;

    way[0] = i;
    while (depth + STRIDE <= prefix->len) {
        unsigned s = six_bits(prefix->addr.byte, depth);
        const struct node *n = node_at(t, i);

        if (n->children >> s & 1)
            i = n->child + rank(n->children, s);
        else if (make)
            i = add_child(t, i, s);
        else
            return 0;
        depth += STRIDE;
        way[depth / STRIDE] = i;
    }
    return i;
}

uint32_t
hg_lpm_set(struct hg_lpm *t, const struct hg_prefix *prefix, uint32_t value)
{
    uint32_t way[MAX_DEPTH], i = walk(t, prefix, true, way);
    unsigned number = prefix_number(prefix->addr.byte, prefix->len);
    struct node *n = node_at(t, i);
    unsigned at = rank(n->prefixes, number);
    uint32_t old = HG_LPM_NONE;

    if (n->prefixes >> number & 1) {
        old = *value_at(t, n->value + at);
    } else {
        n->value = arena_insert(&t->values, n->value, ones(n->prefixes), at);
        n->prefixes |= UINT64_C(1) << number;
        t->count++;
    }
    *value_at(t, n->value + at) = value;
    return old;
}

/* Takes nodes that have become empty out, from the end of the way. */
static void
prune(struct hg_lpm *t, const struct hg_prefix *prefix,
      const uint32_t way[MAX_DEPTH])
{
    unsigned depth = prefix->len / STRIDE;

    for (; depth > 0; depth--) {
        const struct node *n = node_at(t, way[depth]);
        struct node *parent = node_at(t, way[depth - 1]);
        unsigned s = six_bits(prefix->addr.byte, (depth - 1) * STRIDE);
        uint32_t first;

        if (n->prefixes || n->children)
            return;
        first = arena_erase(&t->nodes, parent->child, ones(parent->children),
                            rank(parent->children, s));
        parent = node_at(t, way[depth - 1]);
        parent->child = first;
        parent->children &= ~(UINT64_C(1) << s);
    }
}

uint32_t
hg_lpm_remove(struct hg_lpm *t, const struct hg_prefix *prefix)
{
    uint32_t way[MAX_DEPTH], i = walk(t, prefix, false, way), old;
    unsigned number = prefix_number(prefix->addr.byte, prefix->len), at;
    struct node *n = node_at(t, i);

    if (!i || !(n->prefixes >> number & 1))
        return HG_LPM_NONE;
    at = rank(n->prefixes, number);
    old = *value_at(t, n->value + at);
    n->value = arena_erase(&t->values, n->value, ones(n->prefixes), at);
    n->prefixes &= ~(UINT64_C(1) << number);
    t->count--;
    prune(t, prefix, way);
    return old;
}

/* ---- Looking up ------------------------------------------------------- */

uint32_t
hg_lpm_get(const struct hg_lpm *t, const struct hg_prefix *prefix)
{
    uint32_t i = t->root[prefix->addr.family == 6];
    unsigned depth, number = prefix_number(prefix->addr.byte, prefix->len);
    const struct node *n = node_at(t, i);

    for (depth = 0; depth + STRIDE <= prefix->len; depth += STRIDE) {
        unsigned s = six_bits(prefix->addr.byte, depth);

        if (!(n->children >> s & 1))
            return HG_LPM_NONE;
        n = node_at(t, n->child + rank(n->children, s));
    }
    if (!(n->prefixes >> number & 1))
        return HG_LPM_NONE;
    return *value_at(t, n->value + rank(n->prefixes, number));
}

/* One step: remembers the longest prefix of 'n' that matches the six bits
 * 's' in *best (index of its value; 0: none so far) and returns the child to
 * go on with, 0 at the end. */
static inline uint32_t
step(const struct hg_lpm *t, const struct node *n, unsigned s, uint32_t *best)
{
    uint64_t matching = n->prefixes & t->allowed[s];

    if (matching) {
        unsigned number = 63 - (unsigned)__builtin_clzll(matching);

        *best = n->value + rank(n->prefixes, number);
    }
    return n->children >> s & 1 ? n->child + rank(n->children, s) : 0;
}

uint32_t
hg_lpm_lookup(const struct hg_lpm *t, const struct hg_addr *addr)
{
    uint32_t i = t->root[addr->family == 6], best = 0;
    unsigned depth;

    if (!addr->family)
        return HG_LPM_NONE;
    for (depth = 0; i; depth += STRIDE)
        i = step(t, node_at(t, i), six_bits(addr->byte, depth), &best);
    return best ? *value_at(t, best) : HG_LPM_NONE;
}

static void
fetch_values(const struct hg_lpm *t, unsigned n, const uint32_t *best,
             uint32_t *value)
{
    unsigned k;

    for (k = 0; k < n; k++)
        __builtin_prefetch(value_at(t, best[k]));
    for (k = 0; k < n; k++)
        value[k] = best[k] ? *value_at(t, best[k]) : HG_LPM_NONE;
}

static void
lookup4_lanes(const struct hg_lpm *t, unsigned n, const uint32_t *ip,
              uint32_t *value)
{
    uint32_t node[LANES], best[LANES] = {0};
    uint8_t lane[LANES];
    unsigned depth, active = n, k, left;

    for (k = 0; k < n; k++) {
        node[k] = t->root[0];
        lane[k] = (uint8_t)k;
    }
    for (depth = 0; active; depth += STRIDE) {
        for (left = 0, k = 0; k < active; k++) {
            unsigned at = lane[k];
            unsigned s = (unsigned)(((uint64_t)ip[at] << 32 >> (58 - depth)) &
                                    (FANOUT - 1));
            uint32_t next = step(t, node_at(t, node[at]), s, &best[at]);

            if (next) {
                __builtin_prefetch(node_at(t, next));
                node[at] = next;
                lane[left++] = (uint8_t)at;
            }
        }
        active = left;
    }
    fetch_values(t, n, best, value);
}

void
hg_lpm_lookup4(const struct hg_lpm *t, unsigned n, const uint32_t *ip,
               uint32_t *value)
{
    while (n) {
        unsigned part = n < LANES ? n : LANES;

        lookup4_lanes(t, part, ip, value);
        ip += part;
        value += part;
        n -= part;
    }
}

static void
lookup_lanes(const struct hg_lpm *t, unsigned n, const struct hg_addr *addr,
             uint32_t *value)
{
    uint32_t node[LANES], best[LANES] = {0};
    uint8_t lane[LANES];
    unsigned depth, active = 0, k, left;

    for (k = 0; k < n; k++) {
        if (!addr[k].family)
            continue;
        node[k] = t->root[addr[k].family == 6];
        lane[active++] = (uint8_t)k;
    }
    for (depth = 0; active; depth += STRIDE) {
        for (left = 0, k = 0; k < active; k++) {
            unsigned at = lane[k];
            unsigned s = six_bits(addr[at].byte, depth);
            uint32_t next = step(t, node_at(t, node[at]), s, &best[at]);

            if (next) {
                __builtin_prefetch(node_at(t, next));
                node[at] = next;
                lane[left++] = (uint8_t)at;
            }
        }
        active = left;
    }
    fetch_values(t, n, best, value);
}

void
hg_lpm_lookup_batch(const struct hg_lpm *t, unsigned n,
                    const struct hg_addr *addr, uint32_t *value)
{
    while (n) {
        unsigned part = n < LANES ? n : LANES;

        lookup_lanes(t, part, addr, value);
        addr += part;
        value += part;
        n -= part;
    }
}

/* ---- Walking ---------------------------------------------------------- */

struct tour {
    const struct hg_lpm *table;
    bool (*fn)(void *aux, const struct hg_prefix *, uint32_t value);
    void *aux;
    struct hg_prefix prefix;
};

static void
put_bits(uint8_t *byte, unsigned depth, unsigned s)
{
    unsigned i;

    for (i = 0; i < STRIDE && depth + i < 128; i++) {
        unsigned at = depth + i;
        unsigned mask = 0x80u >> at % 8;

        byte[at / 8] = (uint8_t)((byte[at / 8] & ~mask) |
                                 (s >> (STRIDE - 1 - i) & 1 ? mask : 0));
    }
}

/* The prefixes of 'n' that begin with the six bits 's' where it is their
 * lowest address; shorter ones first. */
static bool
visit_prefixes(struct tour *tour, const struct node *n, unsigned depth,
               unsigned s)
{
    unsigned l;

    for (l = 0; l < STRIDE; l++) {
        unsigned number = (1u << l) - 1 + (s >> (STRIDE - l));

        if (s & ((1u << (STRIDE - l)) - 1) || !(n->prefixes >> number & 1))
            continue;
        put_bits(tour->prefix.addr.byte, depth, s);
        tour->prefix.len = (uint8_t)(depth + l);
        if (!tour->fn(
                tour->aux, &tour->prefix,
                *value_at(tour->table, n->value + rank(n->prefixes, number))))
            return false;
    }
    return true;
}

static bool
visit_node(struct tour *tour, uint32_t i, unsigned depth)
{
    const struct node *n = node_at(tour->table, i);
    unsigned s;

    for (s = 0; s < FANOUT; s++) {
        if (!visit_prefixes(tour, n, depth, s))
            return false;
        if (!(n->children >> s & 1))
            continue;
        put_bits(tour->prefix.addr.byte, depth, s);
        if (!visit_node(tour, n->child + rank(n->children, s), depth + STRIDE))
            return false;
    }
    put_bits(tour->prefix.addr.byte, depth, 0);
    return true;
}

void
hg_lpm_foreach(const struct hg_lpm *t,
               bool (*fn)(void *aux, const struct hg_prefix *, uint32_t value),
               void *aux)
{
    struct tour tour = {.table = t, .fn = fn, .aux = aux};

    tour.prefix.addr.family = 4;
    if (!visit_node(&tour, t->root[0], 0))
        return;
    memset(&tour.prefix, 0, sizeof tour.prefix);
    tour.prefix.addr.family = 6;
    visit_node(&tour, t->root[1], 0);
}

size_t
hg_lpm_count(const struct hg_lpm *t)
{
    return t->count;
}

size_t
hg_lpm_bytes(const struct hg_lpm *t)
{
    return sizeof *t + t->nodes.room * t->nodes.item_size +
           t->values.room * t->values.item_size;
}
