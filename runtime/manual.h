/* manual.h: what there is to know about an element class, from its tables.
 *
 * Thread-safety: main thread only. */
#ifndef RUNTIME_MANUAL_H
#define RUNTIME_MANUAL_H 1

#include <jansson.h>
#include <stdio.h>

#include <headgate/element.h>

/* Prints the manual page of a class. */
void manual_print(const struct hg_class *, FILE *out);

/* The same for programs. */
json_t *manual_json(const struct hg_class *);

#endif
