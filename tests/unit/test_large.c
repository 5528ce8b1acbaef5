/* test_large.c: memory for large tables. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

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

/* The memory of sanitizers is beyond any limit. */
#if !defined __SANITIZE_ADDRESS__
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
