/* test_table_file.c: tables and lists of prefixes from files. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <headgate/table_file.h>

#include "test.h"

/* What was read and what was wrong, a line each; the path is "FILE". */
struct log {
    const char *path;
    char text[4096];
};

static void
say(struct log *log, const char *text)
{
    size_t n = strlen(log->path), used = strlen(log->text);

    if (!strncmp(text, log->path, n))
        snprintf(log->text + used, sizeof log->text - used, "FILE%s\n",
                 text + n);
    else
        snprintf(log->text + used, sizeof log->text - used, "%s\n", text);
}

static void
log_mistake(void *aux, const char *text)
{
    say(aux, text);
}

/* Refuses a value "bad". */
static bool
log_row(void *aux, struct hg_table_row *row, struct hg_error *error)
{
    char text[512] = "";
    size_t i;

    for (i = 0; i < row->n; i++) {
        if (!strcmp(row->value[i], "bad")) {
            row->at = i;
            return hg_error_set(error, "'bad' is bad");
        }
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s=%s;",
                 row->name[i], row->value[i]);
    }
    say(aux, text);
    return true;
}

static void
write_file(char *path, int suffix, const char *text)
{
    int fd = mkstemps(path, suffix);
    FILE *file = fd >= 0 ? fdopen(fd, "w") : NULL;

    REQUIRE(file != NULL);
    fputs(text, file);
    fclose(file);
}

static const char *
read_csv(const char *text)
{
    static struct log log;
    char path[] = "/tmp/headgate-XXXXXX.csv";

    write_file(path, 4, text);
    log = (struct log){path, ""};
    hg_table_read(path, log_row, log_mistake, &log);
    unlink(path);
    return log.text;
}

static const char *
read_json(const char *text)
{
    static struct log log;
    char path[] = "/tmp/headgate-XXXXXX.json";

    write_file(path, 5, text);
    log = (struct log){path, ""};
    hg_table_read(path, log_row, log_mistake, &log);
    unlink(path);
    return log.text;
}

TEST(csv_rows_have_the_names_of_the_first_line)
{
    CHECK_STR(read_csv("a, b,c\n1,2,3\r\n# remark\n\n x , \"y, \"\"z\"\"\" "
                       ",\n4\n"),
              "a=1;b=2;c=3;\na=x;b=y, \"z\";c=;\na=4;b=;c=;\n");
    CHECK_STR(read_csv(""), "");
    CHECK_STR(read_csv("a\n\"unclosed\n"), "a=unclosed;\n");
}

TEST(every_mistake_of_a_csv_file_has_its_place)
{
    CHECK_STR(read_csv("a,b\n1,bad\nbad,1\n1,2,3\n1,2\n"),
              "FILE:2:3: 'bad' is bad\nFILE:3:1: 'bad' is bad\n"
              "FILE:4:1: 3 values, but the first line names 2\na=1;b=2;\n");
}

TEST(json_objects_are_rows)
{
    CHECK_STR(read_json("[{\"a\": \"x\", \"b\": 7, \"c\": true},"
                        " {\"a\": [\"x\", \"y\"]}, {}]"),
              "a=x;b=7;c=true;\na=x y;\n\n");
}

TEST(every_mistake_of_a_json_file_is_told)
{
    CHECK_STR(read_json("[{\"a\": {}}, 5, {\"a\": \"bad\"}]"),
              "FILE: record 1: 'a' must be a text, a number or an array of "
              "them\n"
              "FILE: record 2: not an object of at most 64 members\n"
              "FILE: record 3: 'bad' is bad\n");
    CHECK_STR(read_json("{}"), "FILE: not an array of objects\n");
    CHECK_STR(read_json("[\n{,"),
              "FILE:2:2: string or '}' expected near ','\n");
}

TEST(a_file_that_is_not_there_is_told)
{
    struct log log = {"?", ""};

    CHECK(!hg_table_read("/nonexistent/x", log_row, log_mistake, &log));
    CHECK_STR(log.text,
              "cannot open '/nonexistent/x': No such file or directory\n");
}

TEST(prefixes_are_read_one_a_line)
{
    char path[] = "/tmp/headgate-XXXXXX";
    struct hg_prefix_list list = {0, NULL};
    struct log log = {path, ""};

    write_file(path, 0,
               "10.0.0.0/8\n# remark\n 2001:db8::/32 # one\nx/8\n\n"
               "10.0.0.0/33\n192.0.2.1\n");
    CHECK(!hg_prefixes_read(path, NULL, NULL, &list, log_mistake, &log));
    unlink(path);
    CHECK_STR(log.text,
              "FILE:4:1: 'x/8' is not a prefix such as 10.0.0.0/8 or "
              "2001:db8::/32\n"
              "FILE:6:1: '10.0.0.0/33' is not a prefix such as 10.0.0.0/8 or "
              "2001:db8::/32\n");
    CHECK_EQ(list.n, 3);
    free(list.v);
}

static size_t
count_ranges(const char *path, const char *service, const char *region)
{
    struct hg_prefix_list list = {0, NULL};
    struct log log = {path, ""};

    CHECK(hg_prefixes_read(path, service, region, &list, log_mistake, &log));
    CHECK_STR(log.text, "");
    free(list.v);
    return list.n;
}

TEST(ip_ranges_are_selected_by_service_and_region)
{
    char path[] = "/tmp/headgate-XXXXXX.json";

    write_file(path, 5,
               "{\"prefixes\": [\n"
               "{\"ip_prefix\": \"192.0.2.0/24\", \"region\": \"r1\", "
               "\"service\": \"S3\"},\n"
               "{\"ip_prefix\": \"198.51.100.0/24\", \"region\": \"r2\", "
               "\"service\": \"S3\"},\n"
               "{\"ip_prefix\": \"203.0.113.0/24\", \"region\": \"r2\", "
               "\"service\": \"EC2\"}],\n"
               "\"ipv6_prefixes\": [{\"ipv6_prefix\": \"2001:db8::/32\", "
               "\"region\": \"r2\", \"service\": \"S3\"}]}");
    CHECK_EQ(count_ranges(path, NULL, NULL), 4);
    CHECK_EQ(count_ranges(path, "S3", NULL), 3);
    CHECK_EQ(count_ranges(path, "S3", "r2"), 2);
    CHECK_EQ(count_ranges(path, "s3", NULL), 0);
    unlink(path);
}
