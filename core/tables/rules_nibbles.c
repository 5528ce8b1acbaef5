/* rules_nibbles.c: a scan that asks, for each half byte (nibble) of a key, a
 * table of sixteen which of eight rules allow it; see rules_internal.h.
 *
 * Seen digit by digit in base sixteen, a range of numbers is: digits that low
 * and high end have in common, each of which is one value; the first digit in
 * which they differ; and the rest.  Where any rest will do, as behind a
 * prefix, the digit in which they differ is a range of values.  All these are
 * tests of one digit each.  Other ranges are two comparisons, from the last
 * digit to the first: a number is not below the low end if its digit is above
 * the low end's, or if it is the same and the rest is not below.
 *
 * Shuffles of bytes by bytes look up one table for as many digits as a
 * register has bytes. */
#include <stdlib.h>
#include <string.h>

#include "../graph_internal.h"
#include "rules_internal.h"

#if defined __x86_64__
#include <immintrin.h>
#endif

enum {
    DIGITS = 8,
    VALUES = 16,
    RULES = 8,
    BLOCKS_MAX = NIBBLES_RULES / RULES,
    NOWHERE = 255
};

/* Which of eight rules, a bit each, allow a value of a digit. */
struct test {
    uint8_t rules[VALUES];
    uint8_t plane; /* Of the digit: DIGITS times its word's place, plus it. */
} __attribute__((aligned(VALUES)));

/* For which of eight rules a value is above (below) the digit of their low
 * (high) end, or the same. */
struct comparison {
    uint8_t above[VALUES];
    uint8_t same_low[VALUES];
    uint8_t below[VALUES];
    uint8_t same_high[VALUES];
    uint8_t plane;
    bool last; /* The word has no more. */
} __attribute__((aligned(VALUES)));

/* Eight rules, or what is left: where their tests and comparisons end, which
 * begin where those of the block before them do. */
struct block {
    uint16_t test_end;
    uint16_t comparison_end;
};

struct nibbles {
    unsigned n_words;
    uint8_t word[WORDS]; /* Of a key: those that the forest is about. */
    unsigned n_blocks;
    struct block block[BLOCKS_MAX];
    struct test *test;
    struct comparison *comparison;
    uint32_t index[NIBBLES_RULES]; /* Of the rules, in their order. */
};

/* ---- Building --------------------------------------------------------- */

static unsigned
digit(uint32_t number, unsigned d)
{
    return number >> 4 * (DIGITS - 1 - d) & (VALUES - 1);
}

/* A rule's range in a word. */
struct range {
    uint32_t low, high;
    unsigned split; /* The first digit that differs; DIGITS: none does. */
    unsigned end;   /* The last to compare; 'split' if tests will do. */
};

/* The largest number that a key has in a word. */
static uint32_t
largest(unsigned word)
{
    return word < HG_RULE_SPORT    ? UINT32_MAX
           : word == HG_RULE_SPORT ? HG_RULE_NO_PORT
                                   : 256 * HG_RULE_PROTOCOL - 1;
}

static struct range
range_of(const struct box *box, unsigned word)
{
    struct range r = {.low = box->low[word], .high = box->high[word]};
    unsigned d;

    if (r.high >= largest(word))
        r.high = UINT32_MAX;
    while (r.split < DIGITS && digit(r.low, r.split) == digit(r.high, r.split))
        r.split++;
    r.end = r.split;
    for (d = r.split + 1; d < DIGITS; d++)
        if (digit(r.low, d) || digit(r.high, d) != VALUES - 1)
            r.end = d;
    return r;
}

/* The first digit of a word in which numbers can differ. */
static unsigned
first_digit(unsigned word)
{
    unsigned d = 0;

    while (!digit(largest(word), d))
        d++;
    return d;
}

/* Adds a test of what some rules' ranges ask of a digit, if anything. */
static void
add_test(struct nibbles *t, struct block *b, const struct range *range,
         unsigned n, unsigned place, unsigned d)
{
    struct test *test = &t->test[b->test_end];
    bool asked = false;
    unsigned i, v;

    *test = (struct test){.plane = (uint8_t)(DIGITS * place + d)};
    for (i = 0; i < n; i++) {
        const struct range *r = &range[i];

        for (v = 0; v < VALUES; v++)
            if (d > r->split ||
                (v >= digit(r->low, d) && v <= digit(r->high, d)))
                test->rules[v] |= (uint8_t)(1u << i);
            else
                asked = true;
    }
    b->test_end = (uint16_t)(b->test_end + asked);
}

static void
add_comparison(struct nibbles *t, struct block *b, const struct range *range,
               unsigned n, unsigned place, unsigned d, bool last)
{
    struct comparison *c = &t->comparison[b->comparison_end++];
    unsigned i, v;

    *c = (struct comparison){.plane = (uint8_t)(DIGITS * place + d),
                             .last = last};
    for (i = 0; i < n; i++) {
        const unsigned low = digit(range[i].low, d);
        const unsigned high = digit(range[i].high, d);

        for (v = 0; v < VALUES; v++) {
            c->above[v] |= (uint8_t)((v > low) << i);
            c->same_low[v] |= (uint8_t)((v == low) << i);
            c->below[v] |= (uint8_t)((v < high) << i);
            c->same_high[v] |= (uint8_t)((v == high) << i);
        }
    }
}

/* Adds the comparisons of some rules' ranges in a word, if one of them needs
 * any: none of the others minds them. */
static void
add_comparisons(struct nibbles *t, struct block *b, const struct range *range,
                unsigned n, unsigned place)
{
    unsigned first = DIGITS, end = 0, i, d;

    for (i = 0; i < n; i++)
        if (range[i].end > range[i].split) {
            first = range[i].split < first ? range[i].split : first;
            end = range[i].end + 1 > end ? range[i].end + 1 : end;
        }
    for (d = end; d-- > first;)
        add_comparison(t, b, range, n, place, d, d == first);
}

static void
add_block(struct nibbles *t, const struct box *boxes, const uint32_t *list,
          unsigned n)
{
    struct block *b = &t->block[t->n_blocks];
    struct range range[RULES];
    unsigned place, i, d;

    *b = t->n_blocks++ ? b[-1] : (struct block){0, 0};
    for (place = 0; place < t->n_words; place++) {
        unsigned word = t->word[place];

        for (i = 0; i < n; i++)
            range[i] = range_of(&boxes[list[i]], word);
        for (d = first_digit(word); d < DIGITS; d++)
            add_test(t, b, range, n, place, d);
        add_comparisons(t, b, range, n, place);
    }
}

/* Moves what is used of an array of n items to where there is no more room
 * than that. */
static void *
fit(void *array, size_t n, size_t size)
{
    void *fitting = rules_alloc(n * size);

    memcpy(fitting, array, n * size);
    free(array);
    return fitting;
}

static struct block
end_of(const struct nibbles *t)
{
    return t->n_blocks ? t->block[t->n_blocks - 1] : (struct block){0, 0};
}

struct nibbles *
nibbles_create(const struct forest *f, const struct box *boxes,
               const uint32_t *index, const uint32_t *list, uint32_t n)
{
    struct nibbles *t;
    uint32_t room, i;

    if (n > NIBBLES_RULES)
        return NULL;
    t = xcalloc(1, sizeof *t);
    for (i = 0; i < n_rows(f->shape); i++)
        t->word[t->n_words++] = (uint8_t)row_word(f->shape, f->side, i);
    room = (n + RULES) * t->n_words * DIGITS / RULES + 1;
    t->test = rules_alloc(room * sizeof *t->test);
    t->comparison = rules_alloc(room * sizeof *t->comparison);
    for (i = 0; i < n; i++) {
        t->index[i] = index[list[i]];
        if (i % RULES == 0)
            add_block(t, boxes, list + i, n - i < RULES ? n - i : RULES);
    }
    t->test = fit(t->test, end_of(t).test_end, sizeof *t->test);
    t->comparison =
        fit(t->comparison, end_of(t).comparison_end, sizeof *t->comparison);
    return t;
}

void
nibbles_destroy(struct nibbles *t)
{
    if (!t)
        return;
    free(t->test);
    free(t->comparison);
    free(t);
}

size_t
nibbles_bytes(const struct nibbles *t)
{
    return sizeof *t + end_of(t).test_end * sizeof *t->test +
           end_of(t).comparison_end * sizeof *t->comparison;
}

uint32_t
nibbles_cost(const struct nibbles *t)
{
    return 72 * t->n_words + 20 * t->n_blocks + 7u * end_of(t).test_end +
           19u * end_of(t).comparison_end;
}

/* ---- Looking up ------------------------------------------------------- */

#if defined __x86_64__

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 8")
#define AVX2 __attribute__((target("avx2")))

enum { WIDE = 32, HALVES = HG_RULE_KEYS / WIDE };

/* The digits of the keys' words, a byte each, in the order of split_word();
 * in_order() undoes it. */
struct planes {
    uint8_t at[WORDS * DIGITS][HG_RULE_KEYS] __attribute__((aligned(64)));
};

/* A word of eight keys, or zeros behind the last one. */
AVX2 INLINE __m256i
load_words(const uint32_t *at, unsigned from, unsigned n)
{
    return from < n
               ? _mm256_load_si256((const __m256i *)(const void *)(at + from))
               : _mm256_setzero_si256();
}

AVX2 INLINE void
split_byte(__m256i bytes, struct planes *p, unsigned plane, unsigned from)
{
    const __m256i low = _mm256_set1_epi8(VALUES - 1);
    __m256i high = _mm256_and_si256(_mm256_srli_epi16(bytes, 4), low);

    _mm256_store_si256((__m256i *)(void *)(p->at[plane] + from), high);
    _mm256_store_si256((__m256i *)(void *)(p->at[plane + 1] + from),
                       _mm256_and_si256(bytes, low));
}

/* The digits of a word of 32 keys: bytes are put together within each four
 * keys and then across them. */
AVX2 INLINE void
split_word(const uint32_t *at, unsigned from, unsigned n, struct planes *p,
           unsigned plane)
{
    const __m256i by_place = _mm256_broadcastsi128_si256(
        _mm_setr_epi8(3, 7, 11, 15, 2, 6, 10, 14, 1, 5, 9, 13, 0, 4, 8, 12));
    __m256i v[4], a, b, c, d;
    unsigned i;

    UNROLL
    for (i = 0; i < 4; i++)
        v[i] = _mm256_shuffle_epi8(load_words(at, from + 8 * i, n), by_place);
    a = _mm256_unpacklo_epi32(v[0], v[1]);
    b = _mm256_unpacklo_epi32(v[2], v[3]);
    c = _mm256_unpackhi_epi32(v[0], v[1]);
    d = _mm256_unpackhi_epi32(v[2], v[3]);
    split_byte(_mm256_unpacklo_epi64(a, b), p, plane, from);
    split_byte(_mm256_unpackhi_epi64(a, b), p, plane + 2, from);
    split_byte(_mm256_unpacklo_epi64(c, d), p, plane + 4, from);
    split_byte(_mm256_unpackhi_epi64(c, d), p, plane + 6, from);
}

AVX2 INLINE __m256i
in_order(__m256i keys)
{
    return _mm256_permutevar8x32_epi32(
        keys, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

/* What a table says of 32 digits. */
AVX2 INLINE __m256i
ask(const uint8_t table[VALUES], const uint8_t *digits)
{
    __m256i t = _mm256_broadcastsi128_si256(
        _mm_load_si128((const __m128i *)(const void *)table));

    return _mm256_shuffle_epi8(
        t, _mm256_load_si256((const __m256i *)(const void *)digits));
}

/* Which rules of a block match the keys of n halves, a bit each.  Where the
 * last block is short and asks for nothing, its first rule matches first. */
AVX2 INLINE void
match(const struct nibbles *t, const struct block *b, struct block from,
      const struct planes *p, unsigned n, __m256i *match)
{
    __m256i above[HALVES], below[HALVES];
    unsigned i, h;

    UNROLL
    for (h = 0; h < n; h++)
        match[h] = above[h] = below[h] = _mm256_set1_epi8(-1);
    for (i = from.test_end; i < b->test_end; i++) {
        const struct test *test = &t->test[i];

        UNROLL
        for (h = 0; h < n; h++)
            match[h] = _mm256_and_si256(
                match[h], ask(test->rules, p->at[test->plane] + h * WIDE));
    }
    for (i = from.comparison_end; i < b->comparison_end; i++) {
        const struct comparison *c = &t->comparison[i];

        UNROLL
        for (h = 0; h < n; h++) {
            const uint8_t *digits = p->at[c->plane] + h * WIDE;

            above[h] = _mm256_or_si256(
                ask(c->above, digits),
                _mm256_and_si256(ask(c->same_low, digits), above[h]));
            below[h] = _mm256_or_si256(
                ask(c->below, digits),
                _mm256_and_si256(ask(c->same_high, digits), below[h]));
        }
        if (!c->last)
            continue;
        UNROLL
        for (h = 0; h < n; h++) {
            match[h] = _mm256_and_si256(match[h],
                                        _mm256_and_si256(above[h], below[h]));
            above[h] = below[h] = _mm256_set1_epi8(-1);
        }
    }
}

/* Where the first bit of each byte is, plus 'base'; or what it was. */
AVX2 INLINE __m256i
take_first(__m256i bits, unsigned base, __m256i was)
{
    const __m256i low = _mm256_set1_epi8(VALUES - 1);
    const __m128i first =
        _mm_setr_epi8(8, 0, 1, 0, 2, 0, 1, 0, 3, 0, 1, 0, 2, 0, 1, 0);
    const __m128i later = _mm_add_epi8(first, _mm_set1_epi8(4));
    __m256i below = _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(first),
                                        _mm256_and_si256(bits, low));
    __m256i above =
        _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(later),
                            _mm256_and_si256(_mm256_srli_epi16(bits, 4), low));
    __m256i place = _mm256_add_epi8(_mm256_min_epu8(below, above),
                                    _mm256_set1_epi8((char)base));

    return _mm256_blendv_epi8(place, was,
                              _mm256_cmpeq_epi8(bits, _mm256_setzero_si256()));
}

/* The first box of each key in n halves, or NOWHERE. */
AVX2 INLINE void
find_halves(const struct nibbles *t, const struct hg_rule_keys *keys,
            unsigned n_keys, unsigned n, uint8_t *first)
{
    struct planes planes;
    __m256i best[HALVES], bits[HALVES];
    unsigned i, h;

    for (i = 0; i < t->n_words; i++)
        UNROLL
    for (h = 0; h < n; h++)
        split_word(keys->at[t->word[i]], h * WIDE, n_keys, &planes,
                   DIGITS * i);
    UNROLL
    for (h = 0; h < n; h++)
        best[h] = _mm256_set1_epi8((char)NOWHERE);
    for (i = t->n_blocks; i-- > 0;) {
        const struct block none = {0, 0};

        match(t, &t->block[i], i ? t->block[i - 1] : none, &planes, n, bits);
        UNROLL
        for (h = 0; h < n; h++)
            best[h] = take_first(bits[h], RULES * i, best[h]);
    }
    UNROLL
    for (h = 0; h < n; h++)
        _mm256_store_si256((__m256i *)(void *)(first + h * WIDE),
                           in_order(best[h]));
}

AVX2 void
nibbles_find_avx2(const struct nibbles *t, const struct hg_rule_keys *keys,
                  unsigned n, uint32_t none, uint32_t *found)
{
    uint8_t first[HG_RULE_KEYS] __attribute__((aligned(WIDE)));
    unsigned i;

    if (n <= WIDE)
        find_halves(t, keys, n, 1, first);
    else
        find_halves(t, keys, n, HALVES, first);
    for (i = 0; i < n; i++)
        found[i] = first[i] == NOWHERE ? none : t->index[first[i]];
}

#endif
