/* lang.h: what a graph file says, as a tree with positions.
 *
 *     text --lang_parse()--> struct lang_file --build.c--> struct hg_graph
 *
 * lang.c blanks comments, lets libconfuse read values (quoting, escapes,
 * variables, lists) and finds every position itself; it knows nothing of
 * classes.  build.c looks classes up, expands Graph and copies, applies
 * options (options.c) and wires. */
#ifndef LANG_H
#define LANG_H 1

#include <headgate/diag.h>
#include <headgate/element.h>

struct lang_value {
    char *text; /* After unquoting and expansion. */
    struct hg_place place;
};

struct lang_option {
    char *key;
    struct hg_place place; /* Of the key. */
    struct lang_value *values;
    size_t n_values;
    bool is_list; /* Written with braces. */
};

/* "Class name { options sections }", or "rule title { ... }" inside. */
struct lang_section {
    char *keyword;
    struct hg_place place;
    char *title; /* NULL if there is none. */
    struct hg_place title_place;
    struct lang_option *options;
    size_t n_options;
    struct lang_section *sections;
    size_t n_sections;
};

/* options.c: fills the members of 'base' from a section by a table of fields:
 * defaults first, then what is given; reports every mistake (unknown key with
 * the nearest one, wrong type or range, too few or too many values, missing
 * required) to 'diags'.  'find' resolves references; 'class_name' is for
 * messages.  Returns whether there was no mistake. */
struct options_context {
    struct hg_diags *diags;
    const char *class_name;
    struct hg_element *(*find)(void *aux, const char *name);
    /* Names for "did you mean", or NULL. */
    const char *const *(*names)(void *aux, size_t *n);
    void *aux;
};

bool options_apply(void *base, const struct hg_field *fields, size_t n_fields,
                   const struct lang_section *section,
                   const struct options_context *);

/* Defaults only. */
void options_default(void *base, const struct hg_field *fields,
                     size_t n_fields);

/* Sets one option from texts. */
bool options_set(void *base, const struct hg_field *field,
                 const char *const *values, size_t n, struct hg_error *);

/* Frees what options own (strings, lists, rows). */
void options_free(void *base, const struct hg_field *fields, size_t n_fields);

/* Writes the value as a graph file would say it. */
void options_print(const void *base, const struct hg_field *field, FILE *out);

/* The field called 'name', with hyphens or underscores; or NULL. */
const struct hg_field *options_find(const struct hg_field *fields,
                                    size_t n_fields, const char *name);

/* "duration", "list of addresses", "one of tail, head", for the manual. */
const char *options_type_name(const struct hg_field *field, char *buf,
                              size_t size);

/* graph.c, for build.c: gives an element the section it was made from, so
 * that hg_config_error finds positions and hg_option_given answers; applies
 * the section's options. The section must outlive the graph's building. */
bool graph_configure_from(struct hg_element *, const struct lang_section *,
                          const struct options_context *);

#endif
