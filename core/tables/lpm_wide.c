/* lpm_wide.c: looks into a longest prefix match for eight addresses at once,
 * with AVX-512; see lpm_internal.h, and lpm_find.c for the same in plain C. */
#ifdef __x86_64__

#include <immintrin.h>

#include "lpm_internal.h"

#define TARGET                                                                \
    __attribute__((target("avx512f,avx512dq,avx512cd,avx512vl,"               \
                          "avx512vpopcntdq,bmi,bmi2,popcnt")))
#define INLINE static inline __attribute__((always_inline))

enum { WIDE = 8, GROUPS = LANES / WIDE };

/* How far eight walks have come: the node that each is at, and the value's
 * index of the longest prefix so far (0: none). */
union lanes {
    __m512i all;
    uint64_t each[WIDE];
};

struct group {
    union lanes node;
    union lanes best;
    __mmask8 active;
};

TARGET INLINE __m512i
right(__m512i v, unsigned n)
{
    return _mm512_srl_epi64(v, _mm_cvtsi32_si128((int)n));
}

TARGET INLINE __m512i
left(__m512i v, unsigned n)
{
    return _mm512_sll_epi64(v, _mm_cvtsi32_si128((int)n));
}

/* The six bits of eight addresses, as bits_of() in lpm_find.c. */
TARGET INLINE __m512i
bits_of(const struct lpm_keys *keys, unsigned k, unsigned depth)
{
    const unsigned end = depth + STRIDE - PAD;
    __m512i bits;

    if (end <= 64)
        bits = right(_mm512_load_si512(&keys->high[k]), 64 - end);
    else if (end > 128)
        bits = left(_mm512_load_si512(&keys->low[k]), end - 128);
    else
        bits = right(_mm512_load_si512(&keys->low[k]), 128 - end);
    if (end > 64 && end < 64 + STRIDE)
        bits = _mm512_or_si512(
            bits, left(_mm512_load_si512(&keys->high[k]), end - 64));
    return _mm512_and_si512(bits, _mm512_set1_epi64(FANOUT - 1));
}

/* hg_lpm.allowed of six bits s: the prefixes of l of them are number
 * (1 << l) - 1 + (s >> (6 - l)), which is (64 + s >> (6 - l)) - 1. */
TARGET INLINE __m512i
allowed(__m512i s)
{
    const __m512i one = _mm512_set1_epi64(1);
    __m512i all = _mm512_setzero_si512();
    unsigned l;

    s = _mm512_or_si512(s, _mm512_set1_epi64(FANOUT));
    for (l = 0; l < STRIDE; l++)
        all =
            _mm512_or_si512(all, _mm512_sllv_epi64(one, right(s, STRIDE - l)));
    return _mm512_srli_epi64(all, 1);
}

/* One step, as step() in lpm_find.c. */
TARGET INLINE void
step(const struct node *nodes, struct group *g, __m512i s)
{
    const __m512i ones = _mm512_set1_epi64(-1);
    /* In words of eight bytes: a node has three. */
    const __m512i at =
        _mm512_add_epi64(g->node.all, _mm512_slli_epi64(g->node.all, 1));
    const uint64_t *word = (const uint64_t *)(const void *)nodes;
    const __m512i prefixes =
        _mm512_mask_i64gather_epi64(ones, g->active, at, word, 8);
    const __m512i children =
        _mm512_mask_i64gather_epi64(ones, g->active, at, word + 1, 8);
    const __m512i first =
        _mm512_mask_i64gather_epi64(ones, g->active, at, word + 2, 8);
    const __m512i matching = _mm512_and_si512(prefixes, allowed(s));
    const __m512i child = _mm512_sllv_epi64(_mm512_set1_epi64(1), s);
    /* Shifts by 64 and more give 0. */
    const __m512i below = _mm512_srlv_epi64(
        ones, _mm512_sub_epi64(_mm512_lzcnt_epi64(matching), ones));
    __mmask8 found =
        _mm512_mask_test_epi64_mask(g->active, matching, matching);

    g->best.all = _mm512_mask_add_epi64(
        g->best.all, found,
        _mm512_and_si512(first, _mm512_set1_epi64(UINT32_MAX)),
        _mm512_popcnt_epi64(_mm512_and_si512(prefixes, below)));
    g->active = _mm512_mask_test_epi64_mask(g->active, children, child);
    g->node.all =
        _mm512_maskz_add_epi64(g->active, _mm512_srli_epi64(first, 32),
                               _mm512_popcnt_epi64(_mm512_and_si512(
                                   children, _mm512_add_epi64(child, ones))));
}

/* Where eight walks begin, and the values they have if nothing longer
 * matches. */
TARGET INLINE void
begin(const struct direct *direct, const struct lpm_keys *keys, unsigned k,
      __mmask8 lanes, uint32_t *value, struct group *g)
{
    const __m512i high = _mm512_load_si512(&keys->high[k]);
    const __m512i slot = _mm512_mask_i64gather_epi64(
        _mm512_setzero_si512(), lanes,
        _mm512_srli_epi64(high, 64 - DIRECT_BITS),
        (const long long *)(const void *)direct->slot, 8);
    __m256i from = _mm512_cvtepi64_epi32(slot);
    __mmask8 none =
        _mm256_mask_cmpeq_epi32_mask(lanes, from, _mm256_setzero_si256());

    if (none)
        from = _mm512_mask_i64gather_epi32(
            from, none, _mm512_srli_epi64(high, 64 - TOP_BITS), direct->top,
            4);
    _mm256_mask_storeu_epi32(value + k, lanes,
                             _mm256_sub_epi32(from, _mm256_set1_epi32(1)));
    g->node.all = _mm512_srli_epi64(slot, 32); /* 0 of who is not there. */
    g->active = _mm512_mask_test_epi64_mask(lanes, g->node.all, g->node.all);
}

/* What the next step of eight walks reads: a node may lie on two cache
 * lines. */
INLINE void
prefetch(const struct node *nodes, const struct group *g)
{
    unsigned i;

    for (i = 0; i < WIDE; i++) {
        __builtin_prefetch(&nodes[g->node.each[i]].prefixes);
        __builtin_prefetch(&nodes[g->node.each[i]].child);
    }
}

TARGET void
lpm_walk_avx512(const struct hg_lpm *t, const struct family *f,
                const struct lpm_keys *keys, uint32_t *value)
{
    const struct node *nodes = node_at(t, 0);
    struct group group[GROUPS];
    unsigned n = (keys->n + WIDE - 1) / WIDE, i, active, depth;

    for (i = 0; f->direct && i < keys->n; i++)
        __builtin_prefetch(
            &f->direct->slot[keys->high[i] >> (64 - DIRECT_BITS)]);
    for (i = 0; i < n; i++) {
        struct group *g = &group[i];
        unsigned left = keys->n - i * WIDE;
        __mmask8 lanes = (__mmask8)(left < WIDE ? (1u << left) - 1 : 0xff);

        g->best.all = _mm512_setzero_si512();
        if (f->direct) {
            begin(f->direct, keys, i * WIDE, lanes, value, g);
            prefetch(nodes, g);
            continue;
        }
        g->node.all = _mm512_set1_epi64(f->root);
        g->active = lanes;
        _mm256_mask_storeu_epi32(value + i * WIDE, lanes,
                                 _mm256_set1_epi32(-1)); /* HG_LPM_NONE */
    }
    depth = f->direct ? DIRECT_DEPTH : 0;
    do {
        for (active = 0, i = 0; i < n; i++) {
            if (!group[i].active)
                continue;
            step(nodes, &group[i], bits_of(keys, i * WIDE, depth));
            active |= group[i].active;
            prefetch(nodes, &group[i]);
        }
        depth += STRIDE;
    } while (active);
    for (i = 0; i < n; i++) {
        const __m512i best = group[i].best.all;
        __mmask8 found = _mm512_test_epi64_mask(best, best);

        _mm256_mask_storeu_epi32(
            value + i * WIDE, found,
            _mm512_mask_i64gather_epi32(_mm256_setzero_si256(), found, best,
                                        value_at(t, 0), 4));
    }
}

#endif
