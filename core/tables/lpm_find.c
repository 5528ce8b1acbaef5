/* lpm_find.c: looks into a longest prefix match; see lpm_internal.h. */
#include <headgate/headers.h>

#include "lpm_internal.h"

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

static inline __attribute__((always_inline)) unsigned
bits_of(const struct lpm_keys *keys, unsigned k, unsigned depth)
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
      const struct lpm_keys *keys, uint32_t *value, uint32_t *node,
      uint8_t *lane)
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
          const struct lpm_keys *keys, uint32_t *value)
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
 * bits in one instruction.  Wider ones: lpm_wide.c. */
static void
look_up_plain(const struct hg_lpm *t, const struct family *f,
              const struct lpm_keys *keys, uint32_t *value)
{
    walk_keys(t, f, keys, value);
}

#ifdef __x86_64__
__attribute__((target("popcnt,bmi,bmi2,lzcnt"))) static void
look_up_bmi(const struct hg_lpm *t, const struct family *f,
            const struct lpm_keys *keys, uint32_t *value)
{
    walk_keys(t, f, keys, value);
}

static lpm_walk_fn *const walk_of[] = {look_up_plain, look_up_bmi,
                                       lpm_walk_avx512};
#else
static lpm_walk_fn *const walk_of[] = {look_up_plain};
#endif

bool
lpm_use(struct hg_lpm *t, enum lpm_kind kind)
{
    bool has = true;

#ifdef __x86_64__
    const bool bmi = __builtin_cpu_supports("popcnt") &&
                     __builtin_cpu_supports("bmi") &&
                     __builtin_cpu_supports("bmi2");

    if (kind == LPM_AVX512)
        has = bmi && __builtin_cpu_supports("avx512f") &&
              __builtin_cpu_supports("avx512dq") &&
              __builtin_cpu_supports("avx512cd") &&
              __builtin_cpu_supports("avx512vl") &&
              __builtin_cpu_supports("avx512vpopcntdq");
    else if (kind == LPM_BMI)
        has = bmi;
#else
    has = kind == LPM_PLAIN;
#endif
    if (has)
        t->walk = walk_of[kind];
    return has;
}

void
hg_lpm_lookup4(const struct hg_lpm *t, unsigned n, const uint32_t *ip,
               uint32_t *value)
{
    struct lpm_keys keys;
    unsigned k;

    for (; n; n -= keys.n, ip += keys.n, value += keys.n) {
        keys.n = n < LANES ? n : LANES;
        for (k = 0; k < keys.n; k++)
            keys.high[k] = (uint64_t)ip[k] << 32;
        t->walk(t, &t->family[0], &keys, value);
    }
}

void
hg_lpm_lookup6(const struct hg_lpm *t, unsigned n, const uint8_t *const *ip,
               uint32_t *value)
{
    struct lpm_keys keys;
    unsigned k;

    for (; n; n -= keys.n, ip += keys.n, value += keys.n) {
        keys.n = n < LANES ? n : LANES;
        for (k = 0; k < keys.n; k++) {
            keys.high[k] = hg_load64(ip[k]);
            keys.low[k] = hg_load64(ip[k] + 8);
        }
        t->walk(t, &t->family[1], &keys, value);
    }
}

uint32_t
hg_lpm_lookup(const struct hg_lpm *t, const struct hg_addr *addr)
{
    const uint8_t *byte = addr->byte;
    uint32_t ip4, value = HG_LPM_NONE;

    if (addr->family == 6) {
        hg_lpm_lookup6(t, 1, &byte, &value);
    } else if (addr->family == 4) {
        ip4 = hg_addr_ip4(addr);
        hg_lpm_lookup4(t, 1, &ip4, &value);
    }
    return value;
}
