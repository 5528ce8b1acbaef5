/* handlers.c: see handlers.h. */
#include "handlers.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <headgate/spread.h>

static bool
same_word(const char *a, const char *b)
{
    for (; *a && *b; a++, b++)
        if ((*a == '_' ? '-' : *a) != (*b == '_' ? '-' : *b))
            return false;
    return *a == *b;
}

static bool
has_handler(const struct hg_class *cls, const char *name)
{
    size_t i;

    for (i = 0; i < cls->n_handlers; i++)
        if (same_word(cls->handlers[i].name, name))
            return true;
    for (i = 0; i < cls->n_fields; i++)
        if (same_word(cls->fields[i].name, name))
            return true;
    return same_word(name, "name") || same_word(name, "class");
}

static void
report_element(const struct hg_graph *graph, const char *option,
               const char *name)
{
    size_t n = hg_graph_n_elements(graph), i;
    const char **words = cli_alloc(n, sizeof *words);

    for (i = 0; i < n; i++)
        words[i] = hg_element_name(hg_graph_element(graph, i));
    cli_error_word(name, words, n, "'headgate graph' shows what there is",
                   "no element '%s' for '--%s'", name, option);
    free(words);
}

/* Splits "ELEMENT.HANDLER" and finds both; NULL after reporting that one is
 * not there. */
static struct hg_element *
find_handler(const struct hg_graph *graph, const char *option,
             const char *text, const char **handler)
{
    const char *dot = strrchr(text, '.');
    char *name = cli_printf("%.*s", dot ? (int)(dot - text) : 0, text);
    struct hg_element *e = hg_graph_find(graph, name);

    if (!dot || !*name || !dot[1]) {
        cli_error("'--%s %s': write ELEMENT.HANDLER", option, text);
        e = NULL;
    } else if (!e) {
        report_element(graph, option, name);
    } else if (!has_handler(hg_element_class(e), dot + 1)) {
        struct hg_error error = {""};

        /* There is no such handler, so this only makes the sentence. */
        hg_element_read(e, dot + 1, "", stderr, &error);
        cli_error("'--%s %s': %s", option, text, error.text);
        e = NULL;
    } else {
        *handler = dot + 1;
    }
    free(name);
    return e;
}

bool
handlers_check(const struct hg_graph *graph, const struct cli_pairs *reads,
               const struct cli_pairs *writes)
{
    const char *handler;
    bool right = true;
    size_t i;

    for (i = 0; i < reads->n; i++)
        if (!find_handler(graph, "read", reads->v[i].name, &handler))
            right = false;
    for (i = 0; i < writes->n; i++) {
        const struct cli_pair *pair = &writes->v[i];

        if (!find_handler(graph, "write", pair->name, &handler)) {
            right = false;
        } else if (!pair->value) {
            cli_error("'--write %s' has no value; write ELEMENT.HANDLER=VALUE",
                      pair->name);
            right = false;
        }
    }
    return right;
}

/* ---- Writing ---------------------------------------------------------- */

/* The value itself, or what is in the file that "@FILE" names, without the end
 * of its last line. */
static char *
load_value(const char *value)
{
    char *text = NULL;
    size_t size = 0;
    ssize_t n;
    FILE *file;

    if (*value != '@')
        return cli_printf("%s", value);
    file = fopen(value + 1, "re");
    n = file ? getdelim(&text, &size, '\0', file) : -1;
    if (!file || ferror(file)) {
        cli_error("cannot read '%s': %s", value + 1, strerror(errno));
        free(text);
        text = NULL;
    } else if (n < 0) {
        *text = '\0'; /* An empty file. */
    } else if (strlen(text) < (size_t)n) {
        cli_error("'%s' has a zero byte; it is not a text file", value + 1);
        free(text);
        text = NULL;
    } else if (n > 0 && text[n - 1] == '\n') {
        text[n - 1] = '\0';
    }
    if (file)
        fclose(file);
    return text;
}

static struct hg_element *
instance_of(const struct instances *all, size_t i, const struct hg_element *e)
{
    return hg_graph_element(all->graphs[i], hg_element_index(e));
}

static bool
write_all(const struct instances *all, const struct hg_element *e,
          const char *handler, const char *value, struct hg_error *error)
{
    size_t i;

    for (i = 0; i < all->n; i++) {
        struct hg_element *one = instance_of(all, i, e);

        if ((hg_element_is_working(one) || hg_element_is_reporting(one) ||
             hg_element_is_lent(one)) &&
            !hg_element_write(one, handler, value, error))
            return false;
    }
    return true;
}

bool
handlers_write(const struct instances *all, const struct cli_pairs *writes)
{
    size_t i;

    for (i = 0; i < writes->n; i++) {
        const struct cli_pair *pair = &writes->v[i];
        const char *handler;
        struct hg_element *e =
            find_handler(all->graphs[0], "write", pair->name, &handler);
        struct hg_error error = {""};
        char *value = load_value(pair->value);
        bool written = e && value && write_all(all, e, handler, value, &error);

        if (value && !written)
            cli_error("'--write %s': %s", pair->name, error.text);
        free(value);
        if (!written)
            return false;
    }
    return true;
}

/* ---- Reading ---------------------------------------------------------- */

/* What one instance says; NULL, and why, if it refuses. */
static char *
read_one(struct hg_element *e, const char *handler, const char *argument,
         struct hg_error *error)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    bool read = out && hg_element_read(e, handler, argument, out, error);

    if (out)
        fclose(out);
    if (read)
        return text;
    free(text);
    return NULL;
}

/* Whether the text is one number, as a line. */
static bool
is_number(const char *text, uint64_t *out)
{
    char word[32];
    size_t len = strcspn(text, "\n");

    if (len == 0 || len >= sizeof word || (text[len] && text[len + 1]))
        return false;
    memcpy(word, text, len);
    word[len] = '\0';
    return hg_number_parse(word, out);
}

/* Puts two answers together; takes both.  'is_alike': all say the same. */
static char *
join(char *a, char *b, bool is_alike)
{
    uint64_t x, y;
    char *both;

    if (!is_alike && is_number(a, &x) && is_number(b, &y))
        both = cli_printf("%" PRIu64 "\n", x + y);
    else if (is_alike || strcmp(a, b) == 0)
        both = cli_printf("%s", a);
    else
        both = cli_printf("%s%s", a, b);
    free(a);
    free(b);
    return both;
}

/* The field of this name, or NULL. */
static const struct hg_field *
find_field(const struct hg_class *cls, const char *handler)
{
    size_t i;

    for (i = 0; i < cls->n_fields; i++)
        if (same_word(cls->fields[i].name, handler))
            return &cls->fields[i];
    return NULL;
}

static char *
read_all(const struct instances *all, const struct hg_element *e,
         const char *handler, const char *argument, struct hg_error *error)
{
    const struct hg_field *f = find_field(hg_element_class(e), handler);
    bool is_alike = f && (f->kind == HG_FIELD_OPTION || f->alike);
    bool counts =
        f && (f->kind == HG_FIELD_COUNTER || f->kind == HG_FIELD_REASON);
    char *text = NULL;
    size_t i;

    for (i = 0; i < all->n; i++) {
        struct hg_element *one = instance_of(all, i, e);
        char *more;

        if (!hg_element_is_working(one) && !counts)
            continue;
        more = read_one(one, handler, argument, error);
        if (!more) {
            free(text);
            return NULL;
        }
        text = text ? join(text, more, is_alike) : more;
    }
    return text ? text : cli_printf("%s", "");
}

bool
handlers_read(const struct instances *all, const struct cli_pairs *reads,
              struct summary *summary)
{
    bool right = true;
    size_t i;

    for (i = 0; i < reads->n; i++) {
        const struct cli_pair *pair = &reads->v[i];
        const char *argument = pair->value ? pair->value : "", *handler;
        struct hg_element *e =
            find_handler(all->graphs[0], "read", pair->name, &handler);
        struct hg_error error = {""};
        char *text = read_all(all, e, handler, argument, &error);
        char *name =
            cli_printf("%s%s%s", pair->name, pair->value ? "=" : "", argument);

        if (text) {
            summary_add_read(summary, name, text);
        } else {
            cli_error("'--read %s': %s", name, error.text);
            right = false;
        }
        free(name);
        free(text);
    }
    return right;
}
