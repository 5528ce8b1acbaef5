/* test_hash_words.c: what tables ask of the hash of two words. */
#include <stdlib.h>

#include "hash_words.h"
#include "test.h"

enum { KEYS = 200000, CELLS = 65536, FULL = 8 };

/* Of so many keys in a row, how many find FULL others in their cell, by the
 * hash's bits from 'shift' on: with a random function 400, give or take 60. */
static unsigned
crowded(uint64_t a, uint64_t b, uint64_t step_a, uint64_t step_b,
        uint64_t seed, unsigned shift)
{
    uint16_t *cell = calloc(CELLS, sizeof *cell);
    unsigned i, n = 0;

    for (i = 0; i < KEYS; i++) {
        uint64_t hash = hash_words64(a + i * step_a, b + i * step_b, seed);

        n += ++cell[(hash >> shift) % CELLS] > FULL;
    }
    free(cell);
    return n;
}

TEST(keys_in_a_row_are_spread_as_by_chance)
{
    static const uint64_t steps[][2] = {
        {1, 0},   {0, 1},          {1 << 16, 0},    {0, 1 << 16},
        {256, 0}, {1ull << 32, 0}, {1ull << 40, 0}, {0, 1ull << 32},
        {1, 1},   {256, 1 << 16}};
    static const uint64_t seeds[] = {0, 1, 2, 12345, 0x9e3779b97f4a7c15};
    unsigned i, k, shift;

    for (i = 0; i < sizeof steps / sizeof steps[0]; i++)
        for (k = 0; k < sizeof seeds / sizeof seeds[0]; k++)
            for (shift = 0; shift <= 48; shift += 16) {
                unsigned n =
                    crowded(0xc00002010a000001, 0x101bb9c40, steps[i][0],
                            steps[i][1], seeds[k], shift);

                if (n < 200 || n > 800)
                    FAIL("steps %u, seed %u, bits from %u: %u", i, k, shift,
                         n);
            }
}

TEST(another_seed_is_another_hash)
{
    CHECK(hash_words(1, 2, 3) != hash_words(1, 2, 4));
    CHECK(hash_words(1, 2, 3) != hash_words(2, 1, 3));
    CHECK_EQ(hash_words(1, 2, 3), hash_words(1, 2, 3));
    CHECK_EQ(hash_words(1, 2, 3), hash_words64(1, 2, 3) >> 32);
}
