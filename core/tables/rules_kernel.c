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
/* Times the width of a kind: so many keys meet a rule together. */
enum { AT_ONCE = 2 };

#define UNROLL _Pragma("GCC unroll 10")

const uint8_t rules_words[2][WORDS] = {
    {HG_RULE_SRC, HG_RULE_DST, HG_RULE_SPORT, HG_RULE_SERVICE},
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9},
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
#define WIDE 4
#define SCAN_MAX 128
#define NIBBLES_MAX 0

/* Four lanes, in whatever way the compiler has for them. */
typedef uint32_t vector_plain __attribute__((vector_size(16)));
typedef vector_plain hits_plain;

INLINE vector_plain
load_plain(const uint32_t *at)
{
    vector_plain v;

    memcpy(&v, at, sizeof v);
    return v;
}

INLINE void
store_plain(uint32_t *at, vector_plain v)
{
    memcpy(at, &v, sizeof v);
}

INLINE vector_plain
each_plain(uint32_t value)
{
    return (vector_plain){value, value, value, value};
}

INLINE hits_plain
all_plain(void)
{
    return each_plain(UINT32_MAX);
}

INLINE hits_plain
within_plain(hits_plain hits, vector_plain value, vector_plain low,
             vector_plain span)
{
    return hits & (hits_plain)(value - low <= span);
}

INLINE vector_plain
pick_plain(hits_plain hits, vector_plain yes, vector_plain no)
{
    return (yes & hits) | (no & ~hits);
}

INLINE uint32_t
bits_plain(hits_plain hits)
{
    hits &= (hits_plain){1, 2, 4, 8};
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
#undef WIDE
#undef SCAN_MAX
#undef NIBBLES_MAX

#if defined __x86_64__

/* ---- AVX2 ------------------------------------------------------------- */

#define TARGET __attribute__((target("avx2,bmi")))
#define KERNEL(name) name##_avx2
#define KERNEL_NAME "avx2"
#define STEP 4
#define WIDE 8
#define SCAN_MAX 160
#define NIBBLES_MAX 8000

typedef __m256i vector_avx2;
typedef __m256i hits_avx2;

TARGET INLINE __m256i
load_avx2(const void *at)
{
    return _mm256_load_si256((const __m256i *)at);
}

TARGET INLINE void
store_avx2(uint32_t *at, __m256i v)
{
    _mm256_storeu_si256((__m256i *)(void *)at, v);
}

TARGET INLINE __m256i
each_avx2(uint32_t value)
{
    return _mm256_set1_epi32((int)value);
}

TARGET INLINE __m256i
all_avx2(void)
{
    return _mm256_set1_epi32(-1);
}

TARGET INLINE __m256i
within_avx2(__m256i hits, __m256i value, __m256i low, __m256i span)
{
    __m256i above = _mm256_sub_epi32(value, low);

    return _mm256_and_si256(
        hits, _mm256_cmpeq_epi32(above, _mm256_min_epu32(above, span)));
}

TARGET INLINE __m256i
pick_avx2(__m256i hits, __m256i yes, __m256i no)
{
    return _mm256_blendv_epi8(no, yes, hits);
}

TARGET INLINE uint32_t
bits_avx2(__m256i hits)
{
    return (uint32_t)_mm256_movemask_ps(_mm256_castsi256_ps(hits));
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
#undef WIDE
#undef SCAN_MAX
#undef NIBBLES_MAX

/* ---- AVX-512 ---------------------------------------------------------- */

#define TARGET __attribute__((target("avx512f,bmi")))
#define KERNEL(name) name##_avx512
#define KERNEL_NAME "avx512"
#define STEP 8
#define WIDE 16
#define SCAN_MAX 384
#define NIBBLES_MAX 8000

typedef __m512i vector_avx512;
typedef __mmask16 hits_avx512;

TARGET INLINE __m512i
load_avx512(const void *at)
{
    return _mm512_load_si512(at);
}

TARGET INLINE void
store_avx512(uint32_t *at, __m512i v)
{
    _mm512_storeu_si512(at, v);
}

TARGET INLINE __m512i
each_avx512(uint32_t value)
{
    return _mm512_set1_epi32((int)value);
}

TARGET INLINE __mmask16
all_avx512(void)
{
    return UINT16_MAX;
}

TARGET INLINE __mmask16
within_avx512(__mmask16 hits, __m512i value, __m512i low, __m512i span)
{
    return _mm512_mask_cmple_epu32_mask(hits, _mm512_sub_epi32(value, low),
                                        span);
}

TARGET INLINE __m512i
pick_avx512(__mmask16 hits, __m512i yes, __m512i no)
{
    return _mm512_mask_mov_epi32(no, hits, yes);
}

TARGET INLINE uint32_t
bits_avx512(__mmask16 hits)
{
    return hits;
}

TARGET INLINE bool
meet_avx512(const uint64_t *const *vector, unsigned n, uint32_t at)
{
    __m512i all = load_avx512(vector[0] + at);
    unsigned d;

    for (d = 1; d < n; d++)
        all = _mm512_and_si512(all, load_avx512(vector[d] + at));
    return _mm512_test_epi64_mask(all, all);
}

#include "rules_kernel.h"
#undef TARGET
#undef KERNEL
#undef KERNEL_NAME
#undef STEP
#undef WIDE
#undef SCAN_MAX
#undef NIBBLES_MAX

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
                       __builtin_cpu_supports("avx2") &&
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
hg_rules_use(enum hg_rules_variant variant)
{
    const struct kernel *k = usable(variant);

    if (!k && variant != HG_RULES_BEST)
        return false;
    forced = k;
    return true;
}
