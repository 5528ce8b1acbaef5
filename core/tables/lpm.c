/* lpm.c: see lpm.h.
 *
 * A node at depth d (a multiple of six) holds the prefixes of length d to
 * d + 5 that lead to it.  Prefix number (1 << l) - 1 + v of a node is the one
 * whose l bits behind depth d are v; the longest that matches is the highest
 * set bit among the six that an address allows.
 *
 * A large IPv4 table also has a direct root: for each value of the first 18
 * bits, the node of that depth and the value of the longest prefix that ends
 * before it, which saves a lookup the first three nodes. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <headgate/lpm.h>

#include "../graph_internal.h"

enum { STRIDE = 6, FANOUT = 64, MAX_DEPTH = 23, LANES = 64 };

enum { HUGE_PAGE = 1 << 21 };

enum {
    DIRECT_BITS = 18,
    DIRECT_SLOTS = 1 << DIRECT_BITS,
    DIRECT_FROM = 1024 /* So many IPv4 prefixes are worth 2 MiB. */
};

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

struct direct {
    uint32_t value; /* Of the longest prefix shorter than 18 bits. */
    uint32_t node;  /* Of depth 18; 0: none. */
};

struct hg_lpm {
    struct arena nodes;
    struct arena values;
    uint32_t root[2]; /* IPv4, IPv6. */
    size_t count;
    size_t count4;
    struct direct *direct; /* NULL while the table is small. */
    uint8_t *direct_len;   /* Of the prefix that 'value' is of. */
    bool has_popcnt;
    uint64_t allowed[FANOUT]; /* Prefixes that match six bits. */
};

static void *
item(const struct arena *a, uint32_t i)
{
    return (uint8_t *)a->items + i * a->item_size;
}

/* Large memory on huge pages, so that lookups find their addresses
 * translated; the kernel may refuse, and nothing is lost then. */
static void *
large_alloc(size_t size)
{
    void *p = aligned_alloc(HUGE_PAGE,
                            (size + HUGE_PAGE - 1) & ~(size_t)(HUGE_PAGE - 1));

    if (p)
        madvise(p, size, MADV_HUGEPAGE);
    return p ? p : xcalloc(1, size);
}

/* Makes room for 'size' more items. */
static void
arena_grow(struct arena *a, unsigned size)
{
    size_t old = a->room * a->item_size;
    void *items;

    a->room = a->room ? a->room * 2 : 8;
    while (a->room < a->n + size)
        a->room *= 2;
    if (a->room * a->item_size < HUGE_PAGE) {
        a->items = xrealloc(a->items, a->room * a->item_size);
        return;
    }
    items = large_alloc(a->room * a->item_size);
    memcpy(items, a->items, old);
    free(a->items);
    a->items = items;
}

static uint32_t
arena_get(struct arena *a, unsigned size)
{
    uint32_t i = a->free[size];

    if (i) {
        memcpy(&a->free[size], item(a, i), sizeof i);
        return i;
    }
    if (a->n + size > a->room)
        arena_grow(a, size);
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

static inline __attribute__((always_inline)) unsigned
ones(uint64_t bits)
{
    return (unsigned)__builtin_popcountll(bits);
}

/* How many bits of 'bits' are set below bit 'i'. */
static inline __attribute__((always_inline)) unsigned
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

#ifdef __x86_64__
    t->has_popcnt = __builtin_cpu_supports("popcnt");
#endif
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
    free(t->direct);
    free(t->direct_len);
    free(t);
}

/* ---- The direct root -------------------------------------------------- */

static uint32_t walk(struct hg_lpm *t, const struct hg_prefix *prefix,
                     bool make, uint32_t way[MAX_DEPTH]);

static uint32_t
direct_slot(const uint8_t *byte)
{
    return (uint32_t)byte[0] << 10 | (uint32_t)byte[1] << 2 | byte[2] >> 6;
}

/* Takes over where the children of 'n' are, the node of depth 12 that leads
 * to the address. */
static void
direct_children(struct hg_lpm *t, const struct node *n, const uint8_t *byte)
{
    struct direct *slot = &t->direct[direct_slot(byte) & ~(FANOUT - 1u)];
    uint32_t child = n->child;
    unsigned s;

    for (s = 0; s < FANOUT; s++)
        slot[s].node = n->children >> s & 1 ? child++ : 0;
}

/* Whether the direct root leads to the nodes of this depth. */
static bool
has_direct(const struct hg_lpm *t, const struct hg_prefix *prefix,
           unsigned depth)
{
    return depth == DIRECT_BITS && t->direct && prefix->addr.family == 4;
}

/* A prefix shorter than 18 bits, now with this value, counts in all slots
 * that have no longer one. */
static void
direct_set(struct hg_lpm *t, const struct hg_prefix *prefix, uint32_t value)
{
    uint32_t i = direct_slot(prefix->addr.byte);
    uint32_t end = i + (1u << (DIRECT_BITS - prefix->len));

    for (; i < end; i++)
        if (t->direct_len[i] <= prefix->len) {
            t->direct[i].value = value;
            t->direct_len[i] = prefix->len;
        }
}

/* Such a prefix is gone: the next shorter one counts. */
static void
direct_remove(struct hg_lpm *t, const struct hg_prefix *prefix)
{
    uint32_t i = direct_slot(prefix->addr.byte);
    uint32_t end = i + (1u << (DIRECT_BITS - prefix->len));
    struct hg_prefix shorter = *prefix;
    uint32_t value = HG_LPM_NONE;

    while (shorter.len && value == HG_LPM_NONE) {
        shorter.len--;
        value = hg_lpm_get(t, &shorter);
    }
    for (; i < end; i++)
        if (t->direct_len[i] == prefix->len) {
            t->direct[i].value = value;
            t->direct_len[i] = shorter.len;
        }
}

static bool
direct_add_prefix(void *t, const struct hg_prefix *prefix, uint32_t value)
{
    if (prefix->addr.family == 4 && prefix->len < DIRECT_BITS)
        direct_set(t, prefix, value);
    return prefix->addr.family == 4;
}

/* Makes the direct root of a table that has grown large. */
static void
direct_create(struct hg_lpm *t)
{
    uint32_t i;

    t->direct = large_alloc(DIRECT_SLOTS * sizeof *t->direct);
    t->direct_len = xcalloc(DIRECT_SLOTS, 1);
    for (i = 0; i < DIRECT_SLOTS; i++)
        t->direct[i] = (struct direct){HG_LPM_NONE, 0};
    hg_lpm_foreach(t, direct_add_prefix, t);
    for (i = 0; i < DIRECT_SLOTS; i += FANOUT) {
        const struct hg_prefix prefix = {hg_addr_from_ip4(i << 14), 12};
        uint32_t way[MAX_DEPTH], node = walk(t, &prefix, false, way);

        if (node)
            direct_children(t, node_at(t, node), prefix.addr.byte);
    }
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

        if (n->children >> s & 1) {
            i = n->child + rank(n->children, s);
        } else if (make) {
            i = add_child(t, i, s);
            if (has_direct(t, prefix, depth + STRIDE))
                direct_children(t, node_at(t, way[depth / STRIDE]),
                                prefix->addr.byte);
        } else {
            return 0;
        }
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
        t->count4 += prefix->addr.family == 4;
    }
    *value_at(t, n->value + at) = value;
    if (prefix->addr.family != 4)
        return old;
    if (!t->direct && t->count4 >= DIRECT_FROM)
        direct_create(t);
    else if (t->direct && prefix->len < DIRECT_BITS)
        direct_set(t, prefix, value);
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
        if (has_direct(t, prefix, depth * STRIDE))
            direct_children(t, parent, prefix->addr.byte);
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
    t->count4 -= prefix->addr.family == 4;
    prune(t, prefix, way);
    if (t->direct && prefix->addr.family == 4 && prefix->len < DIRECT_BITS)
        direct_remove(t, prefix);
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
static inline __attribute__((always_inline)) uint32_t
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

/* Defines 'name', which calls the inline function 'kernel': compiled for any
 * processor and once more for those that count bits in one instruction. */
#ifdef __x86_64__
#define VARIANTS(name, kernel, key_type)                                      \
    __attribute__((target("popcnt"))) static void name##_popcnt(              \
        const struct hg_lpm *t, unsigned n, key_type *key, uint32_t *value)   \
    {                                                                         \
        kernel(t, n, key, value);                                             \
    }                                                                         \
    static void name(const struct hg_lpm *t, unsigned n, key_type *key,       \
                     uint32_t *value)                                         \
    {                                                                         \
        if (t->has_popcnt)                                                    \
            name##_popcnt(t, n, key, value);                                  \
        else                                                                  \
            kernel(t, n, key, value);                                         \
    }
#else
#define VARIANTS(name, kernel, key_type)                                      \
    static void name(const struct hg_lpm *t, unsigned n, key_type *key,       \
                     uint32_t *value)                                         \
    {                                                                         \
        kernel(t, n, key, value);                                             \
    }
#endif

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

/* Notes for each address where its walk begins and the value it has if
 * nothing longer matches; returns how many lanes go on. */
static unsigned
begin4(const struct hg_lpm *t, unsigned n, const uint32_t *ip, uint32_t *value,
       uint32_t *node, uint8_t *lane)
{
    unsigned k, active = 0;

    for (k = 0; t->direct && k < n; k++)
        __builtin_prefetch(&t->direct[ip[k] >> (32 - DIRECT_BITS)]);
    for (k = 0; k < n; k++) {
        struct direct from = {HG_LPM_NONE, t->root[0]};

        if (t->direct)
            from = t->direct[ip[k] >> (32 - DIRECT_BITS)];
        value[k] = from.value;
        node[k] = from.node;
        lane[active] = (uint8_t)k;
        active += from.node != 0;
        __builtin_prefetch(node_at(t, from.node));
    }
    return active;
}

static inline __attribute__((always_inline)) void
walk4(const struct hg_lpm *t, unsigned n, const uint32_t *ip, uint32_t *value)
{
    uint32_t node[LANES], best[LANES] = {0};
    uint8_t lane[LANES];
    unsigned active = begin4(t, n, ip, value, node, lane), k, left;
    unsigned depth = t->direct ? DIRECT_BITS : 0;

    for (; active; depth += STRIDE) {
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
    for (k = 0; k < n; k++)
        __builtin_prefetch(value_at(t, best[k]));
    for (k = 0; k < n; k++)
        if (best[k])
            value[k] = *value_at(t, best[k]);
}

VARIANTS(lookup4_lanes, walk4, const uint32_t)

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

static inline __attribute__((always_inline)) void
walk_any(const struct hg_lpm *t, unsigned n, const struct hg_addr *addr,
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

VARIANTS(lookup_lanes, walk_any, const struct hg_addr)

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
           t->values.room * t->values.item_size +
           (t->direct ? DIRECT_SLOTS * (sizeof *t->direct + 1) : 0);
}
