/* lpm_internal.h: what the longest prefix match (headgate/lpm.h) is made of,
 * for lpm.c, which changes it, and lpm_find.c, which looks into it.
 *
 * Five zero bits stand in front of every address, and a prefix is five bits
 * longer, so that /24, /48 and /30 are the longest of their nodes.  A node at
 * depth d (a multiple of six) holds the prefixes of length d to d + 5 that
 * lead to it.  Prefix number (1 << l) - 1 + v of a node is the one whose l
 * bits behind depth d are v; the longest that matches is the highest set bit
 * among the six that an address allows.
 *
 * A large family also has a direct root: for each value of an address's first
 * 19 bits the node of that depth and the value of the longest prefix of 9 to
 * 18 bits, which saves a lookup the first four nodes.  Shorter prefixes count
 * by the first eight bits, so that no change touches more than 1,024 slots.
 */
#ifndef LPM_INTERNAL_H
#define LPM_INTERNAL_H 1

#include <string.h>

#include <headgate/lpm.h>

#include "large.h"

enum { STRIDE = 6, FANOUT = 64, MAX_DEPTH = 23, PAD = 5 };

enum {
    TOP_BITS = 8,
    DIRECT_BITS = 19,
    DIRECT_DEPTH = DIRECT_BITS + PAD,
    DIRECT_SLOTS = 1 << DIRECT_BITS,
    DIRECT_FROM = 1024 /* So many prefixes are worth 4 MiB. */
};

struct node {
    uint64_t prefixes; /* Bit i: prefix number i ends here. */
    uint64_t children; /* Bit i: there is a child for the six bits i. */
    uint32_t value;    /* Index of the first prefix's value. */
    uint32_t child;    /* Index of the first child. */
};

/* Arrays of one to 64 items inside one growing array; their sizes are rounded
 * up to one of a few.  A freed one keeps the index of the next free one of
 * its size in its first item. */
enum { N_SIZES = 12 };

struct arena {
    struct stretch items;
    struct stretch notes; /* As many, of 4 bytes, if wanted. */
    size_t item_size;
    bool has_notes;
    uint32_t n;
    uint32_t free[N_SIZES]; /* 0: none (item 0 is never used). */
};

struct direct_slot {
    uint32_t value; /* + 1, of the longest prefix of 9 to 18 bits; 0: none. */
    uint32_t node;  /* Of depth 24; 0: none. */
};

struct direct {
    struct direct_slot slot[DIRECT_SLOTS];
    uint8_t len[DIRECT_SLOTS];      /* Of the prefix that 'value' is of. */
    uint32_t top[1 << TOP_BITS];    /* The same for those up to 8 bits, ... */
    uint8_t top_len[1 << TOP_BITS]; /* + 1 */
};

struct family {
    uint32_t root;
    size_t count;
    struct direct *direct; /* NULL while the family is small. */
};

struct lpm_keys;

typedef void lpm_walk_fn(const struct hg_lpm *, const struct family *,
                         const struct lpm_keys *, uint32_t *value);

struct hg_lpm {
    struct arena nodes;
    struct arena values;
    struct family family[2]; /* IPv4, IPv6. */
    lpm_walk_fn *walk;
    uint64_t allowed[FANOUT]; /* Prefixes that match six bits. */
};

/* ---- Looking up (lpm_find.c, lpm_wide.c) ------------------------------- */

enum { LANES = 64 };

/* Addresses of one family, as two numbers; an IPv4 address is in the first
 * half of 'high'. */
struct lpm_keys {
    unsigned n; /* 1 to LANES */
    uint64_t high[LANES] __attribute__((aligned(64)));
    uint64_t low[LANES] __attribute__((aligned(64))); /* IPv6 only. */
};

/* For processors of these kinds, of which each can do more than the one
 * before; all find the same. */
enum lpm_kind { LPM_PLAIN, LPM_BMI, LPM_AVX512, N_LPM_KINDS };

/* Makes a table use the instructions of a kind; false if the processor has
 * not got them.  A new table uses the best. */
bool lpm_use(struct hg_lpm *, enum lpm_kind);

/* The values of some keys. */
lpm_walk_fn lpm_walk_avx512;

static inline struct node *
node_at(const struct hg_lpm *t, uint32_t i)
{
    return (struct node *)t->nodes.items.at + i;
}

static inline uint32_t *
value_at(const struct hg_lpm *t, uint32_t i)
{
    return (uint32_t *)t->values.items.at + i;
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

/* The six bits of an address behind 'depth'; zeros behind its end. */
static inline unsigned
six_bits(const uint8_t *byte, unsigned depth)
{
    unsigned from = depth + 8 - PAD, at = from / 8; /* In a zero and 'byte'. */
    unsigned high = at ? byte[at - 1] : 0;
    unsigned low = at < 16 ? byte[at] : 0;

    return (high << 8 | low) >> (10 - from % 8) & (FANOUT - 1);
}

/* The number in its node of the prefix of length 'len'. */
static inline unsigned
prefix_number(const uint8_t *byte, unsigned len)
{
    unsigned bits = (len + PAD) % STRIDE;

    return (1u << bits) - 1 +
           (six_bits(byte, len + PAD - bits) >> (STRIDE - bits));
}

static inline uint32_t
direct_number(const uint8_t *byte)
{
    return (uint32_t)byte[0] << 11 | (uint32_t)byte[1] << 3 | byte[2] >> 5;
}

static inline const struct family *
family_of(const struct hg_lpm *t, const struct hg_addr *addr)
{
    return &t->family[addr->family == 6];
}

/* Where the walk to a prefix of this length begins; *depth is its depth.
 * Node 0: there is nothing of that length or longer. */
static inline uint32_t
begin_of(const struct family *f, const struct hg_prefix *prefix,
         unsigned *depth)
{
    *depth = f->direct && prefix->len >= DIRECT_BITS ? DIRECT_DEPTH : 0;
    return *depth ? f->direct->slot[direct_number(prefix->addr.byte)].node
                  : f->root;
}

/* The length of a prefix, the zeros in front included. */
static inline unsigned
depth_of(const struct hg_prefix *prefix)
{
    return prefix->len + (unsigned)PAD;
}

/* The node of a prefix, or 0. */
static inline uint32_t
find_node(const struct hg_lpm *t, const struct hg_prefix *prefix)
{
    unsigned depth;
    uint32_t i = begin_of(family_of(t, &prefix->addr), prefix, &depth);

    for (; i && depth + STRIDE <= depth_of(prefix); depth += STRIDE) {
        unsigned s = six_bits(prefix->addr.byte, depth);
        const struct node *n = node_at(t, i);

        i = n->children >> s & 1 ? n->child + rank(n->children, s) : 0;
    }
    return i;
}

#endif
