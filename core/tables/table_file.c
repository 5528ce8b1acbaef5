/* table_file.c: see table_file.h. */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <headgate/table_file.h>
#include <jansson.h>

#include "../graph_internal.h"

enum { MAX_COLUMNS = 64 };

struct reader {
    const char *path;
    hg_table_row_fn *row_fn;
    hg_table_mistake_fn *mistake_fn;
    void *aux;
    bool ok;
};

static void mistake(struct reader *, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void
mistake(struct reader *reader, const char *format, ...)
{
    char text[1024], *at;
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    for (at = text; *at; at++) /* What is quoted may have line ends. */
        if ((unsigned char)*at < ' ')
            *at = '?';
    reader->mistake_fn(reader->aux, text);
    reader->ok = false;
}

static bool
is_json(const char *path)
{
    size_t n = strlen(path);

    return n >= 5 && !strcmp(path + n - 5, ".json");
}

/* Calls 'fn' with each line, without its end and numbered from 1. */
static void
read_lines(struct reader *reader,
           void (*fn)(struct reader *, char *line, unsigned number, void *),
           void *aux)
{
    FILE *file = fopen(reader->path, "re");
    unsigned number = 0;
    size_t room = 0;
    char *line = NULL;
    ssize_t n;

    if (!file) {
        mistake(reader, "cannot open '%s': %s", reader->path, strerror(errno));
        return;
    }
    while ((n = getline(&line, &room, file)) >= 0) {
        while (n && (line[n - 1] == '\n' || line[n - 1] == '\r'))
            line[--n] = '\0';
        fn(reader, line, ++number, aux);
    }
    if (ferror(file))
        mistake(reader, "cannot read '%s': %s", reader->path, strerror(errno));
    free(line);
    fclose(file);
}

/* ---- CSV (RFC 4180, without line ends in values) ---------------------- */

struct csv {
    char *header; /* The first line, cut into names. */
    const char *name[MAX_COLUMNS];
    size_t n;
};

static bool
is_space(char c)
{
    return c == ' ' || c == '\t';
}

static char *
skip_spaces(char *s)
{
    while (is_space(*s))
        s++;
    return s;
}

/* Ends the text from 'start' to 'end' behind its last character that is not
 * a space. */
static void
trim_end(const char *start, char *end)
{
    while (end > start && is_space(end[-1]))
        end--;
    *end = '\0';
}

/* Cuts one value off at *at and takes its quotes away; *at becomes NULL
 * behind the last. */
static char *
cut_value(char **at)
{
    char *start = skip_spaces(*at), *from, *to = start;

    if (*start != '"') {
        from = strchrnul(start, ',');
        *at = *from ? from + 1 : NULL;
        trim_end(start, from);
        return start;
    }
    for (from = start + 1; *from && (from[0] != '"' || from[1] == '"');) {
        from += *from == '"';
        *to++ = *from++;
    }
    *at = strchr(from, ',');
    if (*at)
        (*at)++;
    *to = '\0';
    return start;
}

/* Returns the number of values, of which those beyond MAX_COLUMNS are not
 * kept. */
static size_t
cut_line(char *line, const char **value, unsigned *column)
{
    char *at = line;
    size_t n = 0;

    while (at) {
        if (n < MAX_COLUMNS) {
            column[n] = (unsigned)(at - line) + 1;
            value[n] = cut_value(&at);
        } else {
            cut_value(&at);
        }
        n++;
    }
    return n;
}

static void
csv_header(struct reader *reader, struct csv *csv, const char *line,
           unsigned number)
{
    unsigned column[MAX_COLUMNS];

    csv->header = xstrdup(line);
    csv->n = cut_line(csv->header, csv->name, column);
    if (csv->n > MAX_COLUMNS) {
        mistake(reader, "%s:%u:1: %zu columns; a table has at most %d",
                reader->path, number, csv->n, MAX_COLUMNS);
        csv->n = MAX_COLUMNS;
    }
}

static void
csv_line(struct reader *reader, char *line, unsigned number, void *aux)
{
    const char *value[MAX_COLUMNS];
    unsigned column[MAX_COLUMNS];
    struct csv *csv = aux;
    struct hg_table_row row = {csv->n, csv->name, value, 0};
    struct hg_error error;
    size_t n;

    if (!*skip_spaces(line) || *skip_spaces(line) == '#')
        return;
    if (!csv->header) {
        csv_header(reader, csv, line, number);
        return;
    }
    n = cut_line(line, value, column);
    if (n > csv->n) {
        mistake(reader, "%s:%u:1: %zu values, but the first line names %zu",
                reader->path, number, n, csv->n);
        return;
    }
    for (; n < csv->n; n++) {
        column[n] = 1;
        value[n] = "";
    }
    if (!reader->row_fn(reader->aux, &row, &error))
        mistake(reader, "%s:%u:%u: %s", reader->path, number,
                row.at < csv->n ? column[row.at] : 1, error.text);
}

/* ---- JSON ------------------------------------------------------------- */

static json_t *
load_json(struct reader *reader)
{
    json_error_t error;
    json_t *root =
        json_load_file(reader->path, JSON_REJECT_DUPLICATES, &error);

    if (root)
        return root;
    if (error.line < 0)
        mistake(reader, "%s", error.text);
    else
        mistake(reader, "%s:%d:%d: %s", reader->path, error.line, error.column,
                error.text);
    return NULL;
}

/* Adds the text of a value to 'out'; false if it has none. */
static bool
print_scalar(const json_t *value, FILE *out)
{
    if (json_is_string(value))
        fputs(json_string_value(value), out);
    else if (json_is_integer(value))
        fprintf(out, "%lld", (long long)json_integer_value(value));
    else if (json_is_boolean(value))
        fputs(json_is_true(value) ? "true" : "false", out);
    else
        return json_is_null(value);
    return true;
}

/* The text of a value, which the caller frees, or NULL. */
static char *
value_text(const json_t *value)
{
    char *text = NULL;
    size_t size, i;
    FILE *out = open_memstream(&text, &size);
    bool ok = true;

    if (!out)
        return NULL;
    if (!json_is_array(value))
        ok = print_scalar(value, out);
    for (i = 0; i < json_array_size(value); i++) {
        if (i)
            fputc(' ', out);
        ok = ok && print_scalar(json_array_get(value, i), out);
    }
    fclose(out);
    if (ok)
        return text;
    free(text);
    return NULL;
}

static void
json_record(struct reader *reader, json_t *object, size_t number)
{
    const char *name[MAX_COLUMNS], *key;
    char *value[MAX_COLUMNS];
    struct hg_table_row row = {0, name, (const char *const *)value, 0};
    struct hg_error error;
    json_t *member;
    bool ok =
        json_is_object(object) && json_object_size(object) <= MAX_COLUMNS;

    if (!ok)
        hg_error_set(&error, "not an object of at most %d members",
                     MAX_COLUMNS);
    json_object_foreach(object, key, member)
    {
        if (!ok)
            break;
        name[row.n] = key;
        value[row.n] = value_text(member);
        if (value[row.n])
            row.n++;
        else
            ok = hg_error_set(&error,
                              "'%s' must be a text, a number or an "
                              "array of them",
                              key);
    }
    ok = ok && reader->row_fn(reader->aux, &row, &error);
    if (!ok)
        mistake(reader, "%s: record %zu: %s", reader->path, number,
                error.text);
    while (row.n)
        free(value[--row.n]);
}

static void
json_records(struct reader *reader)
{
    json_t *root = load_json(reader);
    size_t i;

    if (root && !json_is_array(root))
        mistake(reader, "%s: not an array of objects", reader->path);
    for (i = 0; i < json_array_size(root); i++)
        json_record(reader, json_array_get(root, i), i + 1);
    json_decref(root);
}

bool
hg_table_read(const char *path, hg_table_row_fn *row_fn,
              hg_table_mistake_fn *mistake_fn, void *aux)
{
    struct reader reader = {path, row_fn, mistake_fn, aux, true};
    struct csv csv = {0};

    if (is_json(path)) {
        json_records(&reader);
    } else {
        read_lines(&reader, csv_line, &csv);
        free(csv.header);
    }
    return reader.ok;
}

/* ---- Lists of prefixes ------------------------------------------------ */

static void
add_prefix(struct hg_prefix_list *list, const struct hg_prefix *prefix)
{
    if (!(list->n & (list->n - 1)))
        list->v =
            xrealloc(list->v, (list->n ? list->n * 2 : 1) * sizeof *list->v);
    list->v[list->n++] = *prefix;
}

static void
prefix_line(struct reader *reader, char *line, unsigned number, void *aux)
{
    char *text = skip_spaces(line);
    struct hg_prefix prefix;

    trim_end(text, strchrnul(text, '#'));
    if (!*text)
        return;
    if (hg_prefix_parse(text, &prefix))
        add_prefix(aux, &prefix);
    else
        mistake(reader,
                "%s:%u:%u: '%s' is not a prefix such as 10.0.0.0/8 or "
                "2001:db8::/32",
                reader->path, number, (unsigned)(text - line) + 1, text);
}

static bool
selected(const json_t *entry, const char *key, const char *wanted)
{
    const char *value = json_string_value(json_object_get(entry, key));

    return !wanted || (value && !strcmp(value, wanted));
}

static void
ip_ranges(struct reader *reader, const json_t *root, const char *array_name,
          const char *key, const char *service, const char *region,
          struct hg_prefix_list *list)
{
    const json_t *array = json_object_get(root, array_name), *entry;
    struct hg_prefix prefix;
    const char *text;
    size_t i;

    if (!json_is_array(array))
        mistake(reader, "%s: no array '%s', which an ip-ranges.json has",
                reader->path, array_name);
    json_array_foreach(array, i, entry)
    {
        text = json_string_value(json_object_get(entry, key));
        if (!text || !hg_prefix_parse(text, &prefix))
            mistake(reader, "%s: entry %zu of '%s': '%s' must be a prefix",
                    reader->path, i + 1, array_name, key);
        else if (selected(entry, "service", service) &&
                 selected(entry, "region", region))
            add_prefix(list, &prefix);
    }
}

/* Moves the prefixes of 'from' to the end of 'to'. */
static void
append(struct hg_prefix_list *to, struct hg_prefix_list *from)
{
    if (from->n) {
        to->v = xrealloc(to->v, (to->n + from->n) * sizeof *to->v);
        memcpy(to->v + to->n, from->v, from->n * sizeof *to->v);
        to->n += from->n;
    }
    free(from->v);
}

bool
hg_prefixes_read(const char *path, const char *service, const char *region,
                 struct hg_prefix_list *list, hg_table_mistake_fn *mistake_fn,
                 void *aux)
{
    struct reader reader = {path, NULL, mistake_fn, aux, true};
    struct hg_prefix_list found = {0, NULL};
    json_t *root = NULL;

    if (!is_json(path))
        read_lines(&reader, prefix_line, &found);
    else
        root = load_json(&reader);
    if (root) {
        ip_ranges(&reader, root, "prefixes", "ip_prefix", service, region,
                  &found);
        ip_ranges(&reader, root, "ipv6_prefixes", "ipv6_prefix", service,
                  region, &found);
    }
    json_decref(root);
    append(list, &found);
    return reader.ok;
}
