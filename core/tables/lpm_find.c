/* lpm_find.c: looks into a longest prefix match; see lpm_internal.h. */
#include <endian.h>

#include "lpm_internal.h"

enum { LANES = 64 };

/* The index of a prefix's value, or 0. */
static uint32_t
index_of(const struct hg_lpm *t, const struct hg_prefix *prefix)
{
    unsigned number = prefix_number(prefix->addr.byte, prefix->len);
    uint32_t i = find_node(t, prefix);
    const struct node *n = node_at(t, i);

    return i && n->prefixes >> number & 1
               ? n->value + rank(n->prefixes, number)
               : 0;
}

uint32_t
hg_lpm_get(const struct hg_lpm *t, const struct hg_prefix *prefix)
{
    uint32_t i = index_of(t, prefix);

    return i ? *value_at(t, i) : HG_LPM_NONE;
}

uint32_t *
hg_lpm_note(struct hg_lpm *t, const struct hg_prefix *prefix)
{
    uint32_t i = index_of(t, prefix);

    return i ? (uint32_t *)t->values.notes.at + i : NULL;
}

/* One step: remembers the longest prefix of 'n' that matches the six bits
 * 's' in *best (index of its value; 0: none so far) and returns the child to
 * go on with, 0 at the end.  Without branches, which nothing could predict. */
static inline __attribute__((always_inline)) uint32_t
step(const struct hg_lpm *t, const struct node *n, unsigned s, uint32_t *best)
{
    uint64_t matching = n->prefixes & t->allowed[s];
    unsigned number = 63 - (unsigned)__builtin_clzll(matching | 1);
    uint32_t found = n->value + rank(n->prefixes, number);
    uint32_t is_found = -(uint32_t)(matching != 0);
    uint32_t is_child = -(uint32_t)(n->children >> s & 1);

    *best = (found & is_found) | (*best & ~is_found);
    return (n->child + rank(n->children, s)) & is_child;
}

/* Addresses of one family, as two numbers; an IPv4 address is in the first
 * half of 'high'. */
struct keys {
    unsigned n;
    uint64_t high[LANES];
    uint64_t low[LANES]; /* IPv6 only. */
};

static inline __attribute__((always_inline)) unsigned
bits_of(const struct keys *keys, unsigned k, unsigned depth)
{
    unsigned end = depth + STRIDE - PAD; /* In bits of the address. */

    if (end <= 64)
        return (unsigned)(keys->high[k] >> (64 - end)) & (FANOUT - 1);
    if (end < 64 + STRIDE)
        return (unsigned)(keys->high[k] << (end - 64) |
                          keys->low[k] >> (128 - end)) &
               (FANOUT - 1);
    return (unsigned)(end <= 128 ? keys->low[k] >> (128 - end)
                                 : keys->low[k] << (end - 128)) &
           (FANOUT - 1);
}

/* A node may lie on two cache lines. */
static inline __attribute__((always_inline)) void
prefetch_node(const struct hg_lpm *t, uint32_t i)
{
    __builtin_prefetch(&node_at(t, i)->prefixes);
    __builtin_prefetch(&node_at(t, i)->child);
}

/* Notes for each address where its walk begins and the value it has if
 * nothing longer matches; returns how many lanes go on. */
static inline __attribute__((always_inline)) unsigned
begin(const struct hg_lpm *t, const struct direct *direct,
      const struct keys *keys, uint32_t *value, uint32_t *node, uint8_t *lane)
{
    unsigned k, active = 0;

    for (k = 0; k < keys->n; k++)
        __builtin_prefetch(&direct->slot[keys->high[k] >> (64 - DIRECT_BITS)]);
    for (k = 0; k < keys->n; k++) {
        uint64_t high = keys->high[k];
        struct direct_slot from = direct->slot[high >> (64 - DIRECT_BITS)];
        uint32_t top = direct->top[high >> (64 - TOP_BITS)];

        value[k] = (from.value ? from.value : top) - 1;
        node[active] = from.node;
        lane[active] = (uint8_t)k;
        active += from.node != 0;
        prefetch_node(t, from.node);
    }
    return active;
}

/* All lanes advance together; one that is at its end asks for its value. */
static inline __attribute__((always_inline)) void
walk_keys(const struct hg_lpm *t, const struct family *f,
          const struct keys *keys, uint32_t *value)
{
    uint32_t node[LANES], best[LANES];
    uint8_t lane[LANES];
    unsigned active = keys->n, k, left, depth = 0;

    for (k = 0; k < keys->n; k++)
        best[k] = 0;
    if (f->direct) {
        active = begin(t, f->direct, keys, value, node, lane);
        depth = DIRECT_DEPTH;
    }
    for (k = 0; !depth && k < active; k++) {
        value[k] = HG_LPM_NONE;
        node[k] = f->root;
        lane[k] = (uint8_t)k;
    }
    for (; active; depth += STRIDE) {
        for (left = 0, k = 0; k < active; k++) {
            unsigned at = lane[k], s = bits_of(keys, at, depth);
            uint32_t next = step(t, node_at(t, node[k]), s, &best[at]);

            node[left] = next;
            lane[left] = (uint8_t)at;
            left += next != 0;
            prefetch_node(t, next);
            __builtin_prefetch(value_at(t, best[at]));
        }
        active = left;
    }
    for (k = 0; k < keys->n; k++)
        if (best[k])
            value[k] = *value_at(t, best[k]);
}

/* Compiled for any processor, and once more for those that count and cut
 * bits in one instruction. */
static void
look_up_plain(const struct hg_lpm *t, const struct family *f,
              const struct keys *keys, uint32_t *value)
{
    walk_keys(t, f, keys, value);
}

#ifdef __x86_64__
__attribute__((target("popcnt,bmi,bmi2,lzcnt"))) static void
look_up_bmi(const struct hg_lpm *t, const struct family *f,
            const struct keys *keys, uint32_t *value)
{
    walk_keys(t, f, keys, value);
}
#else
#define look_up_bmi look_up_plain
#endif

static void
look_up(const struct hg_lpm *t, const struct family *f,
        const struct keys *keys, uint32_t *value)
{
    (t->has_bmi ? look_up_bmi : look_up_plain)(t, f, keys, value);
}

void
hg_lpm_lookup4(const struct hg_lpm *t, unsigned n, const uint32_t *ip,
               uint32_t *value)
{
    struct keys keys;
    unsigned k;

    for (; n; n -= keys.n, ip += keys.n, value += keys.n) {
        keys.n = n < LANES ? n : LANES;
        for (k = 0; k < keys.n; k++)
            keys.high[k] = (uint64_t)ip[k] << 32;
        look_up(t, &t->family[0], &keys, value);
    }
}

static uint64_t
number_of(const uint8_t *byte)
{
    uint64_t n;

    memcpy(&n, byte, sizeof n);
    return be64toh(n);
}

/* Those of the addresses that are of family 'version'. */
static void
look_up_family(const struct hg_lpm *t, unsigned version, unsigned n,
               const struct hg_addr *addr, uint32_t *value)
{
    uint32_t found[LANES];
    uint8_t of[LANES];
    struct keys keys = {.n = 0};
    unsigned k;

    for (k = 0; k < n; k++) {
        if (addr[k].family != version)
            continue;
        keys.high[keys.n] = number_of(addr[k].byte);
        keys.low[keys.n] = number_of(addr[k].byte + 8);
        of[keys.n++] = (uint8_t)k;
    }
    if (!keys.n)
        return;
    look_up(t, &t->family[version == 6], &keys, found);
    for (k = 0; k < keys.n; k++)
        value[of[k]] = found[k];
}

void
hg_lpm_lookup_batch(const struct hg_lpm *t, unsigned n,
                    const struct hg_addr *addr, uint32_t *value)
{
    while (n) {
        unsigned part = n < LANES ? n : LANES, k;

        for (k = 0; k < part; k++)
            value[k] = HG_LPM_NONE;
        look_up_family(t, 4, part, addr, value);
        look_up_family(t, 6, part, addr, value);
        addr += part;
        value += part;
        n -= part;
    }
}

uint32_t
hg_lpm_lookup(const struct hg_lpm *t, const struct hg_addr *addr)
{
    uint32_t value;

    hg_lpm_lookup_batch(t, 1, addr, &value);
    return value;
}
