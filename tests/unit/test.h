/* test.h: what a test file is written against, a thin layer over CUnit.
 *
 *     #include "test.h"
 *
 *     TEST(two_clients_to_one_server_get_distinct_ports)
 *     {
 *         CHECK_EQ(a, b);
 *         CHECK_STR(text, "expected");
 *     }
 *
 * That is a whole program: main.c runs every TEST of the file in order, or
 * those named on the command line.  A check that fails prints both values and
 * the test goes on; REQUIRE ends the test. */
#ifndef TEST_H
#define TEST_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct test {
    const char *name;
    void (*run)(void);
    struct test *next;
};

/* Where a check stands. */
struct test_place {
    const char *file;
    unsigned line;
};

#define TEST_HERE ((struct test_place){__FILE__, __LINE__})

#define TEST(test_name)                                                       \
    static void test_name(void);                                              \
    __attribute__((constructor)) static void register_##test_name(void)       \
    {                                                                         \
        static struct test test = {#test_name, test_name, NULL};              \
                                                                              \
        test_register(&test);                                                 \
    }                                                                         \
    static void test_name(void)

/* Integers of any type. */
#define CHECK_EQ(actual, expected)                                            \
    test_check_eq(TEST_HERE, #actual, (uint64_t)(actual), (uint64_t)(expected))

/* Strings; NULL equals only NULL. */
#define CHECK_STR(actual, expected)                                           \
    test_check_str(TEST_HERE, #actual, actual, expected)

/* Bytes. */
#define CHECK_MEM(actual, expected, size)                                     \
    test_check_mem(TEST_HERE, #actual, actual, expected, size)

#define CHECK(condition) test_check(TEST_HERE, (condition), #condition)

#define REQUIRE(condition)                                                    \
    do {                                                                      \
        if (!test_check(TEST_HERE, (condition), #condition))                  \
            test_end();                                                       \
    } while (0)

/* Fails with a message of one's own. */
#define FAIL(...) test_fail(TEST_HERE, __VA_ARGS__)

void test_register(struct test *);

/* All return whether the check held. */
bool test_check(struct test_place, bool holds, const char *condition);
bool test_check_eq(struct test_place, const char *what, uint64_t actual,
                   uint64_t expected);
bool test_check_str(struct test_place, const char *what, const char *actual,
                    const char *expected);
bool test_check_mem(struct test_place, const char *what, const void *actual,
                    const void *expected, size_t size);
void test_fail(struct test_place, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Makes a file with this text and a name that ends in 'suffix' (".csv"); the
 * test unlinks it. */
enum { TEST_PATH = 48 };
void test_write_file(char path[TEST_PATH], const char *suffix,
                     const char *text);

/* Ends the running test, which has failed. */
void test_end(void) __attribute__((noreturn));

#endif
