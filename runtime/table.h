/* table.h: columns of text for a person, as wide as what is in them.
 *
 * Thread-safety: one thread at a time. */
#ifndef RUNTIME_TABLE_H
#define RUNTIME_TABLE_H 1

#include <stdbool.h>
#include <stdio.h>

struct table;

/* 'columns': one letter for each, 'l' (left) or 'r' (right aligned). */
struct table *table_create(const char *columns);
void table_destroy(struct table *);

/* Puts the next cell, row by row. */
void table_cell(struct table *, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Empty cells up to the end of the row. */
void table_end_row(struct table *);

/* Prints all rows, each indented by 'indent' spaces; the first one in bold if
 * 'color'. */
void table_print(const struct table *, FILE *out, unsigned indent, bool color);

/* 'text' with each line broken between words at 79 columns and indented by
 * 'indent'; the first line starts where the output is now. */
void text_wrap(FILE *out, const char *text, unsigned indent);

/* "1.30 G": three digits and the prefix of the unit that follows.  Returns
 * 'buf'. */
#define TEXT_SCALE_LEN 16
char *text_scale(double value, char buf[TEXT_SCALE_LEN]);

#endif
