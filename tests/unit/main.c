/* main.c: runs the tests of one file (test.h). */
#include "test.h"

#include <CUnit/Basic.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct test *tests;
static struct test **last_test = &tests;

void
test_register(struct test *test)
{
    *last_test = test;
    last_test = &test->next;
}

static bool
report(struct test_place at, bool holds, const char *message)
{
    CU_assertImplementation(holds, at.line, message, at.file, "", CU_FALSE);
    return holds;
}

void
test_fail(struct test_place at, const char *format, ...)
{
    char message[8192];
    va_list args;

    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    report(at, false, message);
}

void
test_end(void)
{
    CU_assertImplementation(CU_FALSE, 0, "the test ended here", "", "",
                            CU_TRUE);
    abort();
}

void
test_write_file(char path[TEST_PATH], const char *suffix, const char *text)
{
    size_t size = strlen(text);
    int fd;

    snprintf(path, TEST_PATH, "/tmp/test-XXXXXX%s", suffix);
    fd = mkstemps(path, (int)strlen(suffix));
    if (fd < 0 || write(fd, text, size) != (ssize_t)size) {
        perror(path);
        abort();
    }
    close(fd);
}

bool
test_check(struct test_place at, bool holds, const char *condition)
{
    return report(at, holds, condition);
}

bool
test_check_eq(struct test_place at, const char *what, uint64_t actual,
              uint64_t expected)
{
    if (actual == expected)
        return report(at, true, what);
    test_fail(at, "%s is %lld (0x%llx), expected %lld (0x%llx)", what,
              (long long)actual, (unsigned long long)actual,
              (long long)expected, (unsigned long long)expected);
    return false;
}

bool
test_check_str(struct test_place at, const char *what, const char *actual,
               const char *expected)
{
    if (actual && expected ? !strcmp(actual, expected) : actual == expected)
        return report(at, true, what);
    test_fail(at, "%s is\n        \"%s\", expected\n        \"%s\"", what,
              actual ? actual : "(null)", expected ? expected : "(null)");
    return false;
}

static void
print_hex(FILE *out, const uint8_t *byte, size_t size)
{
    size_t i;

    for (i = 0; i < size; i++)
        fprintf(out, "%02x%s", byte[i],
                i + 1 < size && i % 32 == 31 ? "\n        " : "");
}

bool
test_check_mem(struct test_place at, const char *what, const void *actual,
               const void *expected, size_t size)
{
    char message[8192] = "";
    FILE *out;

    if (!memcmp(actual, expected, size))
        return report(at, true, what);
    out = fmemopen(message, sizeof message - 1, "w");
    fprintf(out, "%s is\n        ", what);
    print_hex(out, actual, size);
    fprintf(out, "\n      expected\n        ");
    print_hex(out, expected, size);
    fclose(out);
    return report(at, false, message);
}

static bool
is_wanted(const struct test *test, int argc, char **argv)
{
    int i;

    for (i = 1; i < argc; i++)
        if (!strcmp(test->name, argv[i]))
            return true;
    return argc < 2;
}

int
main(int argc, char **argv)
{
    const char *slash = strrchr(argv[0], '/');
    const struct test *test;
    unsigned n = 0, failed;
    CU_pSuite suite;

    if (CU_initialize_registry() != CUE_SUCCESS)
        return EXIT_FAILURE;
    suite = CU_add_suite(slash ? slash + 1 : argv[0], NULL, NULL);
    for (test = tests; suite && test; test = test->next)
        if (is_wanted(test, argc, argv) &&
            CU_add_test(suite, test->name, test->run))
            n++;
    if (!n) {
        fprintf(stderr, "%s: no test of that name\n", argv[0]);
        return EXIT_FAILURE;
    }
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    failed = CU_get_number_of_failures();
    if (CU_get_number_of_tests_run() != n)
        failed++;
    CU_cleanup_registry();
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
