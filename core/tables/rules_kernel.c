/* rules_kernel.c: which of a block's rules match, and which bit is in all
 * vectors, with the instructions of each kind of processor; and the choice
 * among them.  What is made of these is in rules_kernel.h.  All kinds find
 * the same. */
#include <string.h>

#include "rules_internal.h"

#if defined __x86_64__
#include <immintrin.h>
#endif

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 11")

const uint8_t rules_words[2][WORDS] = {
    {HG_RULE_SRC, HG_RULE_DST, HG_RULE_SPORT, HG_RULE_SERVICE,
     HG_RULE_PROTOCOL},
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10},
};

/* The first bit from 'from' on that is in all vectors, which have so many
 * words; or HG_RULES_NONE. */
static uint32_t
walk(const uint64_t *const *vector, unsigned n, uint32_t words, uint32_t from)
{
    uint64_t all = ~UINT64_C(0) << from % 64;
    uint32_t i;
    unsigned d;

    for (i = from / 64; i < words; i++, all = ~UINT64_C(0)) {
        for (d = 0; d < n; d++)
            all &= vector[d][i];
        if (all)
            return i * 64 + (uint32_t)__builtin_ctzll(all);
    }
    return HG_RULES_NONE;
}

/* ---- Any processor ---------------------------------------------------- */

#define TARGET
#define KERNEL(name) name##_plain
#define KERNEL_NAME "plain"
#define STEP 8

/* Four lanes, in whatever way the compiler has for them. */
typedef uint32_t quad __attribute__((vector_size(16)));

INLINE quad
load_quad(const uint32_t *at)
{
    quad q;

    memcpy(&q, at, sizeof q);
    return q;
}

INLINE uint32_t
match_plain(const uint32_t *block, const uint32_t *at, enum shape shape,
            unsigned side)
{
    quad hits = {0, 0, 0, 0}, bit = {1, 2, 4, 8};
    unsigned lane, d;

    for (lane = 0; lane < LANES; lane += 4, bit <<= 4) {
        quad ok = bit;

        UNROLL
        for (d = 0; d < n_rows(shape); d++) {
            const uint32_t *row = block + 2 * d * LANES + lane;

            ok &= (quad)(at[row_word(shape, side, d)] - load_quad(row) <=
                         load_quad(row + LANES));
        }
        hits |= ok;
    }
    return hits[0] | hits[1] | hits[2] | hits[3];
}

/* They may: what can only look at words one by one walks at once. */
INLINE bool
meet_plain(const uint64_t *const *vector, unsigned n, uint32_t at)
{
    (void)vector;
    (void)n;
    (void)at;
    return true;
}

#include "rules_kernel.h"
#undef TARGET
#undef KERNEL
#undef KERNEL_NAME
#undef STEP

#if defined __x86_64__

/* ---- AVX2 ------------------------------------------------------------- */

#define TARGET __attribute__((target("avx2,bmi")))
#define KERNEL(name) name##_avx2
#define KERNEL_NAME "avx2"
#define STEP 4

TARGET INLINE __m256i
load_avx2(const void *at)
{
    return _mm256_load_si256((const __m256i *)at);
}

TARGET INLINE uint32_t
match_avx2(const uint32_t *block, const uint32_t *at, enum shape shape,
           unsigned side)
{
    __m256i low = _mm256_set1_epi32(-1), high = low;
    unsigned d;

    UNROLL
    for (d = 0; d < n_rows(shape); d++) {
        const uint32_t *row = block + 2 * d * LANES;
        __m256i value = _mm256_set1_epi32((int)at[row_word(shape, side, d)]),
                above;

        above = _mm256_sub_epi32(value, load_avx2(row));
        low = _mm256_and_si256(
            low, _mm256_cmpeq_epi32(
                     above, _mm256_min_epu32(above, load_avx2(row + LANES))));
        above = _mm256_sub_epi32(value, load_avx2(row + 8));
        high = _mm256_and_si256(
            high,
            _mm256_cmpeq_epi32(
                above, _mm256_min_epu32(above, load_avx2(row + LANES + 8))));
    }
    return (uint32_t)_mm256_movemask_ps(_mm256_castsi256_ps(low)) |
           (uint32_t)_mm256_movemask_ps(_mm256_castsi256_ps(high)) << 8;
}

TARGET INLINE bool
meet_avx2(const uint64_t *const *vector, unsigned n, uint32_t at)
{
    __m256i all = load_avx2(vector[0] + at);
    unsigned d;

    for (d = 1; d < n; d++)
        all = _mm256_and_si256(all, load_avx2(vector[d] + at));
    return !_mm256_testz_si256(all, all);
}

#include "rules_kernel.h"
#undef TARGET
#undef KERNEL
#undef KERNEL_NAME
#undef STEP

/* ---- AVX-512 ---------------------------------------------------------- */

#define TARGET __attribute__((target("avx512f,bmi")))
#define KERNEL(name) name##_avx512
#define KERNEL_NAME "avx512"
#define STEP 8

TARGET INLINE uint32_t
match_avx512(const uint32_t *block, const uint32_t *at, enum shape shape,
             unsigned side)
{
    __mmask16 hits = 0xffff;
    unsigned d;

    UNROLL
    for (d = 0; d < n_rows(shape); d++) {
        __m512i value = _mm512_set1_epi32((int)at[row_word(shape, side, d)]);
        const uint32_t *row = block + 2 * d * LANES;

        hits = _mm512_mask_cmple_epu32_mask(
            hits, _mm512_sub_epi32(value, _mm512_load_si512(row)),
            _mm512_load_si512(row + LANES));
    }
    return hits;
}

TARGET INLINE bool
meet_avx512(const uint64_t *const *vector, unsigned n, uint32_t at)
{
    __m512i all = _mm512_load_si512(vector[0] + at);
    unsigned d;

    for (d = 1; d < n; d++)
        all = _mm512_and_si512(all, _mm512_load_si512(vector[d] + at));
    return _mm512_test_epi64_mask(all, all);
}

#include "rules_kernel.h"
#undef TARGET
#undef KERNEL
#undef KERNEL_NAME
#undef STEP

#endif

/* ---- Which ------------------------------------------------------------ */

static const struct kernel *forced;

static const struct kernel *
usable(unsigned i)
{
    switch (i) {
#if defined __x86_64__
    case HG_RULES_AVX512:
        return __builtin_cpu_supports("avx512f") &&
                       __builtin_cpu_supports("bmi")
                   ? &kernel_avx512
                   : NULL;
    case HG_RULES_AVX2:
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi")
                   ? &kernel_avx2
                   : NULL;
#endif
    case HG_RULES_PLAIN:
        return &kernel_plain;
    default:
        return NULL;
    }
}

const struct kernel *
rules_kernel(void)
{
    const struct kernel *k = forced;
    unsigned i;

    for (i = HG_RULES_AVX512; !k; i--)
        k = usable(i);
    return k;
}

bool
rules_kernel_is_plain(const struct kernel *k)
{
    return k == &kernel_plain;
}

bool
hg_rules_use(enum hg_rules_variant variant)
{
    const struct kernel *k = usable(variant);

    if (!k && variant != HG_RULES_BEST)
        return false;
    forced = k;
    return true;
}
