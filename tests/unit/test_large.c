/* test_large.c: memory for large tables. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <headgate/memory.h>

#include "tables/hash_index.h"
#include "tables/large.h"
#include "test.h"

static const size_t MIB = (size_t)1 << 20;

static bool
is_zero(const uint8_t *p, size_t n)
{
    return !n || (!p[0] && !memcmp(p, p + 1, n - 1));
}

TEST(large_memory_is_zero_and_aligned_to_huge_pages)
{
    static const size_t sizes[] = {1, 100, 2 * 1024 * 1024 - 1,
                                   2 * 1024 * 1024, 5 * 1024 * 1024 + 7};
    size_t i;

    for (i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        uint8_t *p = large_alloc(sizes[i]);

        CHECK(is_zero(p, sizes[i]));
        CHECK(sizes[i] < 2 * MIB || (uintptr_t)p % (2 * MIB) == 0);
        memset(p, 0xff, sizes[i]);
        large_free(p, sizes[i]);
    }
    large_free(NULL, 1);
    large_free(NULL, 4 * MIB);
}

/* Grows to 'size' in steps, each of which must keep what was written. */
static void
grow_in_steps(size_t size)
{
    struct stretch s = {0};
    size_t old, next;

    for (next = 1000; next < size; next = next * 2 + 8) {
        old = s.size;
        stretch_grow(&s, next);
        CHECK_EQ(s.size, next);
        CHECK(!old || ((uint8_t *)s.at)[old - 1] == 0xa5);
        CHECK(is_zero((uint8_t *)s.at + old, next - old));
        memset((uint8_t *)s.at + old, 0xa5, next - old);
    }
    stretch_uninit(&s);
}

TEST(a_stretch_keeps_its_content_and_what_is_new_is_zero)
{
    grow_in_steps(64 * MIB);
}

TEST(a_large_stretch_grows_in_place)
{
    struct stretch s = {0};
    void *at;

    stretch_grow(&s, 4 * MIB);
    at = s.at;
    stretch_grow(&s, 900 * MIB);
    CHECK(s.at == at);
    stretch_uninit(&s);
}

TEST(what_a_stretch_drops_is_no_memory_and_the_rest_is_kept)
{
    struct stretch s = {0};
    uint8_t *at;

    stretch_grow(&s, 10 * MIB);
    at = s.at;
    memset(at, 0xa5, s.size);
    stretch_drop(&s, 3 * MIB, 7 * MIB); /* Huge pages: 4 to 6. */
    CHECK(is_zero(at + 4 * MIB, 2 * MIB));
    CHECK(at[4 * MIB - 1] == 0xa5 && at[6 * MIB] == 0xa5);
    stretch_drop(&s, 0, MIB);
    CHECK(at[0] == 0xa5);
    stretch_uninit(&s);
}

TEST(a_hash_index_finds_all_records_however_it_grew)
{
    struct hash_index x = {0};
    const uint32_t n = 400000; /* Slots: from the heap to 4 MiB. */
    uint32_t i, found = 0;

    for (i = 0; i < n; i++)
        hash_index_add(&x, i * 2654435761u, i);
    for (i = 0; i < n; i++) {
        size_t at = hash_index_start(&x, i * 2654435761u);

        found += hash_index_candidate(&x, i * 2654435761u, &at) == i;
        hash_index_remove(&x, i * 2654435761u, i);
    }
    CHECK_EQ(found, n);
    CHECK_EQ(x.n_used, 0);
    hash_index_uninit(&x);
}

TEST(reserved_memory_is_zero_and_huge_pages_follow_the_small_ones)
{
    static const uint64_t small[] = {0, 4096, 64 << 10};
    size_t i;

    for (i = 0; i < sizeof small / sizeof *small; i++) {
        uint8_t *p = hg_memory_reserve(3 * MIB, small[i]);

        REQUIRE(p);
        CHECK(((uintptr_t)p + small[i]) % (2 * MIB) == 0);
        CHECK(is_zero(p, 3 * MIB));
        memset(p, 0xff, 3 * MIB);
        hg_memory_release(p, 3 * MIB, small[i]);
    }
    hg_memory_release(NULL, 1, 0);
}

TEST(populating_memory_changes_nothing_in_it)
{
    uint8_t *p = hg_memory_reserve(MIB, MIB);

    REQUIRE(p);
    p[100] = p[5000] = 1;
    hg_memory_populate(p + 100, 4901);
    hg_memory_populate(p, 0);
    CHECK(p[100] == 1 && p[5000] == 1 && is_zero(p + 101, 4899));
    hg_memory_release(p, MIB, MIB);
}

/* The memory of sanitizers is beyond any limit. */
#ifndef HEADGATE_SANITIZED
TEST(a_limit_of_addresses_costs_only_copies)
{
    struct rlimit old, limit;
    unsigned long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");

    REQUIRE(file && fscanf(file, "%lu", &pages) == 1);
    fclose(file);
    getrlimit(RLIMIT_AS, &old);
    limit = old;
    limit.rlim_cur = pages * (size_t)sysconf(_SC_PAGESIZE) + 300 * MIB;
    REQUIRE(setrlimit(RLIMIT_AS, &limit) == 0);
    grow_in_steps(40 * MIB);
    setrlimit(RLIMIT_AS, &old);
}
#endif
