/* summary_table.h: the account of a run for a person. */
#ifndef RUNTIME_SUMMARY_TABLE_H
#define RUNTIME_SUMMARY_TABLE_H 1

#include <jansson.h>
#include <stdio.h>

/* Prints what summary.c collected in 'root'. */
void summary_table(const json_t *root, FILE *out);

#endif
