/* options_internal.h: what options.c (values), options_apply.c (sections) and
 * options_print.c share.  lang.h is their outside. */
#ifndef OPTIONS_INTERNAL_H
#define OPTIONS_INTERNAL_H 1

#include <headgate/element.h>

/* What the framework knows of a type. */
struct type_info {
    const char *one; /* "a duration such as '350s'" */
    size_t size;     /* Of one value. */
    enum hg_type item;
    bool list;
    uint64_t max; /* Numbers. */
};

extern const struct type_info option_types[];

/* The memory of every list and of HG_ROWS_OF. */
struct vector {
    size_t n;
    void *v;
};

struct vector vector_load(const void *base, const struct hg_field *field);
void vector_store(void *base, const struct hg_field *field, struct vector);

/* Sets a field from texts; *bad is the index of the value that is wrong. */
bool option_set_values(void *base, const struct hg_field *field,
                       const char *const *values, size_t n,
                       struct hg_error *error, size_t *bad);

/* Puts "option 'name' " before a message. */
bool option_prefix_error(struct hg_error *error, const char *name);

/* A number as its type writes it. */
void option_format_number(enum hg_type type, uint64_t v, char *buf,
                          size_t size);

#endif
