/* table.c: see table.h. */
#include "table.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

#define TEXT_WIDTH 79

struct table {
    const char *columns;
    size_t n_columns;
    size_t n;    /* Cells so far. */
    char **cell; /* Row by row. */
};

struct table *
table_create(const char *columns)
{
    struct table *t = cli_alloc(1, sizeof *t);

    t->columns = columns;
    t->n_columns = strlen(columns);
    return t;
}

void
table_destroy(struct table *t)
{
    size_t i;

    if (!t)
        return;
    for (i = 0; i < t->n; i++)
        free(t->cell[i]);
    free(t->cell);
    free(t);
}

void
table_cell(struct table *t, const char *format, ...)
{
    va_list args;
    char *text;

    va_start(args, format);
    if (vasprintf(&text, format, args) < 0)
        text = cli_printf("?");
    va_end(args);
    t->cell = cli_realloc(t->cell, t->n + 1, sizeof *t->cell);
    t->cell[t->n++] = text;
}

void
table_end_row(struct table *t)
{
    while (t->n % t->n_columns != 0)
        table_cell(t, "%s", "");
}

static int
column_width(const struct table *t, size_t column)
{
    size_t width = 0;
    size_t i;

    for (i = column; i < t->n; i += t->n_columns)
        if (strlen(t->cell[i]) > width)
            width = strlen(t->cell[i]);
    return (int)width;
}

/* The last cell of the row that is not empty: nothing is padded behind it. */
static size_t
row_end(const struct table *t, size_t row)
{
    size_t n = t->n_columns;

    while (n > 0 && *t->cell[row + n - 1] == '\0')
        n--;
    return n;
}

void
table_print(const struct table *t, FILE *out, unsigned indent, bool color)
{
    int *width = cli_alloc(t->n_columns, sizeof *width);
    size_t row, i;

    for (i = 0; i < t->n_columns; i++)
        width[i] = column_width(t, i);
    for (row = 0; row + t->n_columns <= t->n; row += t->n_columns) {
        size_t end = row_end(t, row);

        if (color && row == 0)
            fputs("\033[1m", out);
        fprintf(out, "%*s", (int)indent, "");
        for (i = 0; i < end; i++) {
            const char *text = t->cell[row + i];
            int w = width[i];

            if (t->columns[i] == 'l')
                w = i + 1 < end ? -w : 0;
            fprintf(out, "%s%*s", i ? "  " : "", w, text);
        }
        fputs(color && row == 0 ? "\033[0m\n" : "\n", out);
    }
    free(width);
}

/* How many bytes of 'text' fit into 'room': all of its line, or up to the
 * last space that is not too far; at least one word. */
static size_t
fitting(const char *text, size_t room)
{
    size_t len = strcspn(text, "\n");
    size_t end;

    if (len <= room)
        return len;
    for (end = room; end > 0 && text[end] != ' '; end--)
        ;
    return end > 0 ? end : strcspn(text, " \n");
}

void
text_wrap(FILE *out, const char *text, unsigned indent)
{
    size_t room = TEXT_WIDTH - indent;

    for (;;) {
        size_t n = fitting(text, room);

        fprintf(out, "%.*s\n", (int)n, text);
        text += n;
        if (*text)
            text++;
        if (!*text)
            break;
        if (*text != '\n')
            fprintf(out, "%*s", (int)indent, "");
    }
}

char *
text_scale(double value, char buf[TEXT_SCALE_LEN])
{
    static const char *const prefix[] = {"", "k", "M", "G", "T", "P"};
    size_t i = 0;

    for (; value >= 1000 && i + 1 < sizeof prefix / sizeof *prefix; i++)
        value /= 1000;
    snprintf(buf, TEXT_SCALE_LEN, "%.*f %s",
             value < 10    ? 2
             : value < 100 ? 1
                           : 0,
             value, prefix[i]);
    return buf;
}
