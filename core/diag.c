/* diag.c: collects mistakes with their places and prints them in order, each
 * with its source line and a caret; see diag.h.  lang.h has what build.c
 * needs beyond that: the context in which a mistake was found. */
#include <ctype.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "graph_internal.h"
#include "lang.h"

struct diag {
    enum hg_severity severity;
    bool context; /* A note that says how the file came to be read. */
    char *file;
    char *source; /* The line marked, or NULL. */
    char *message;
    unsigned file_index; /* Order of first appearance. */
    unsigned line;
    unsigned column;
    unsigned length;
    size_t sequence;
};

/* A diag that is no note is followed by its notes. */
struct hg_diags {
    struct diag *diags;
    size_t n;
    char **files;
    unsigned n_files;
    bool skips_notes; /* Those of a mistake that was reported before. */
    const struct diag_context *context;
};

struct hg_diags *
hg_diags_create(void)
{
    return xcalloc(1, sizeof(struct hg_diags));
}

static void
diag_uninit(struct diag *d)
{
    free(d->file);
    free(d->source);
    free(d->message);
}

void
hg_diags_destroy(struct hg_diags *diags)
{
    size_t i;

    if (!diags)
        return;
    for (i = 0; i < diags->n; i++)
        diag_uninit(&diags->diags[i]);
    for (i = 0; i < diags->n_files; i++)
        free(diags->files[i]);
    free(diags->files);
    free(diags->diags);
    free(diags);
}

void
diags_set_context(struct hg_diags *diags, const struct diag_context *context)
{
    diags->context = context;
}

static unsigned
file_index(struct hg_diags *diags, const char *file)
{
    unsigned i;

    for (i = 0; i < diags->n_files; i++)
        if (!strcmp(diags->files[i], file))
            return i;
    diags->files = xrealloc(diags->files, (i + 1) * sizeof *diags->files);
    diags->files[i] = xstrdup(file);
    diags->n_files++;
    return i;
}

void
diags_add_file(struct hg_diags *diags, const char *file)
{
    file_index(diags, file);
}

static char *
source_line(const char *text, unsigned line)
{
    const char *at = text;

    while (line > 1) {
        at = strchr(at, '\n');
        if (!at)
            return NULL;
        at++;
        line--;
    }
    return xasprintf("%.*s", (int)strcspn(at, "\r\n"), at);
}

/* Control characters would garble the terminal, or more than that. */
static void
make_printable(char *s)
{
    for (; s && *s; s++)
        if (iscntrl((unsigned char)*s) && *s != '\t')
            *s = *s == '\n' || *s == '\r' ? ' ' : '?';
}

static bool
is_repeated(const struct hg_diags *diags, const struct diag *d)
{
    size_t i;

    for (i = 0; i < diags->n; i++) {
        const struct diag *other = &diags->diags[i];

        if (other->line == d->line && other->column == d->column &&
            other->file_index == d->file_index &&
            other->severity == d->severity &&
            !strcmp(other->message, d->message))
            return true;
    }
    return false;
}

/* Takes over 'message'. */
static void
add(struct hg_diags *diags, enum hg_severity severity,
    const struct hg_place *place, char *message, bool context)
{
    struct diag d = {.severity = severity,
                     .context = context,
                     .message = message,
                     .line = place->line,
                     .column = place->column,
                     .length = place->length,
                     .sequence = diags->n};

    d.file = xstrdup(place->file ? place->file : "");
    d.file_index = file_index(diags, d.file);
    if (place->text && place->line)
        d.source = source_line(place->text, place->line);
    make_printable(d.file);
    make_printable(d.source);
    make_printable(d.message);
    if (severity != HG_SEVERITY_NOTE) {
        diags->skips_notes = is_repeated(diags, &d);
        if (diags->skips_notes) {
            diag_uninit(&d);
            return;
        }
    }
    diags->diags =
        xrealloc(diags->diags, (diags->n + 1) * sizeof *diags->diags);
    diags->diags[diags->n++] = d;
}

void
hg_diag(struct hg_diags *diags, enum hg_severity severity,
        const struct hg_place *place, const char *format, ...)
{
    const struct diag_context *context;
    va_list args;
    char *message;

    if (severity == HG_SEVERITY_NOTE && diags->skips_notes)
        return;
    va_start(args, format);
    if (vasprintf(&message, format, args) < 0)
        message = xstrdup(format);
    va_end(args);
    add(diags, severity, place, message, false);
    if (severity == HG_SEVERITY_NOTE || diags->skips_notes)
        return;
    for (context = diags->context; context; context = context->outer)
        add(diags, HG_SEVERITY_NOTE, &context->place, xstrdup(context->text),
            true);
}

size_t
hg_diags_count(const struct hg_diags *diags, enum hg_severity severity)
{
    size_t n = 0, i;

    for (i = 0; i < diags->n; i++)
        n += diags->diags[i].severity == severity;
    return n;
}

/* ---- Printing --------------------------------------------------------- */

struct style {
    const char *severity[3];
    const char *bold;
    const char *mark;
    const char *plain;
};

static const struct style plain_style = {{"", "", ""}, "", "", ""};
static const struct style color_style = {
    {"\033[1;31m", "\033[1;35m", "\033[1;36m"},
    "\033[1m",
    "\033[1;32m",
    "\033[0m"};

/* A caret and tildes under 'length' bytes from 'column'; tabs stay tabs and a
 * UTF-8 character is one wide. */
static void
print_mark(const struct diag *d, FILE *out, const struct style *style)
{
    size_t len = strlen(d->source), i;
    size_t begin = d->column - 1 < len ? d->column - 1 : len;
    size_t end = begin + (d->length ? d->length : 1);
    bool first = true;

    for (i = 0; i < begin; i++)
        if (d->source[i] == '\t')
            fputc('\t', out);
        else if (((unsigned char)d->source[i] & 0xc0) != 0x80)
            fputc(' ', out);
    fputs(style->mark, out);
    for (i = begin; i < end && (i < len || first); i++) {
        if (i < len && ((unsigned char)d->source[i] & 0xc0) == 0x80)
            continue;
        fputc(first ? '^' : '~', out);
        first = false;
    }
    fprintf(out, "%s\n", style->plain);
}

static void
print_one(const struct diag *d, FILE *out, const struct style *style)
{
    static const char *const names[] = {"error", "warning", "note"};

    fputs(style->bold, out);
    if (d->file[0])
        fprintf(out, "%s:", d->file);
    if (d->line)
        fprintf(out, "%u:", d->line);
    if (d->line && d->column)
        fprintf(out, "%u:", d->column);
    if (d->file[0])
        fputc(' ', out);
    fprintf(out, "%s%s%s: %s%s%s\n", style->plain,
            style->severity[d->severity], names[d->severity], style->plain,
            d->message, style->plain);
    if (!d->source || !d->column)
        return;
    fprintf(out, "%s\n", d->source);
    print_mark(d, out, style);
}

static int
compare(const void *a, const void *b)
{
    const struct diag *x = *(const struct diag *const *)a;
    const struct diag *y = *(const struct diag *const *)b;

    if (x->file_index != y->file_index)
        return x->file_index < y->file_index ? -1 : 1;
    if (x->line != y->line)
        return x->line < y->line ? -1 : 1;
    if (x->column != y->column)
        return x->column < y->column ? -1 : 1;
    return x->sequence < y->sequence ? -1 : x->sequence > y->sequence;
}

/* The mistake, its own notes, then those of its context. */
static void
print_group(const struct hg_diags *diags, const struct diag *first, FILE *out,
            const struct style *style)
{
    const struct diag *end = diags->diags + diags->n, *d;
    int context;

    print_one(first, out, style);
    for (context = 0; context < 2; context++)
        for (d = first + 1; d < end && d->severity == HG_SEVERITY_NOTE; d++)
            if (d->context == (bool)context)
                print_one(d, out, style);
}

void
hg_diags_print(const struct hg_diags *diags, FILE *out, bool color)
{
    const struct style *style = color ? &color_style : &plain_style;
    const struct diag **groups = xcalloc(diags->n, sizeof *groups);
    size_t n = 0, i;

    for (i = 0; i < diags->n; i++)
        if (diags->diags[i].severity != HG_SEVERITY_NOTE || !i)
            groups[n++] = &diags->diags[i];
    if (n)
        qsort(groups, n, sizeof *groups, compare);
    for (i = 0; i < n; i++)
        print_group(diags, groups[i], out, style);
    free(groups);
}

/* ---- The nearest word ------------------------------------------------- */

#define NEAREST_MAX 63 /* Longer words are not compared. */

static int
fold(char c)
{
    return c == '_' ? '-' : tolower((unsigned char)c);
}

static size_t
min3(size_t a, size_t b, size_t c)
{
    size_t m = a < b ? a : b;

    return m < c ? m : c;
}

/* Optimal string alignment: insertions, deletions, substitutions and swaps
 * of neighbours, each counting one. */
static size_t
distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
    size_t row[3][NEAREST_MAX + 1];
    size_t i, k;

    for (k = 0; k <= b_len; k++)
        row[0][k] = k;
    for (i = 1; i <= a_len; i++) {
        size_t *now = row[i % 3], *above = row[(i + 2) % 3];

        now[0] = i;
        for (k = 1; k <= b_len; k++) {
            size_t differs = fold(a[i - 1]) != fold(b[k - 1]);

            now[k] =
                min3(above[k] + 1, now[k - 1] + 1, above[k - 1] + differs);
            if (i > 1 && k > 1 && fold(a[i - 1]) == fold(b[k - 2]) &&
                fold(a[i - 2]) == fold(b[k - 1])) {
                size_t swapped = row[(i + 1) % 3][k - 2] + 1;

                now[k] = swapped < now[k] ? swapped : now[k];
            }
        }
    }
    return row[a_len % 3][b_len];
}

const char *
hg_nearest(const char *word, const char *const *words, size_t n)
{
    size_t len = strlen(word), i;
    size_t limit = len / 3 > 1 ? len / 3 : 1;
    const char *best = NULL;

    if (len > NEAREST_MAX)
        return NULL;
    for (i = 0; i < n; i++) {
        size_t other = words[i] ? strlen(words[i]) : 0, d;

        if (!other || other > NEAREST_MAX)
            continue;
        d = distance(word, len, words[i], other);
        if (d > limit || d >= len || (best && d == limit))
            continue;
        best = words[i];
        limit = d;
        if (!d)
            break;
    }
    return best;
}
