/* lang.h: what a graph file says, as a tree with positions.
 *
 *     text --lang_parse()--> struct lang_file --build.c--> struct hg_graph
 *
 * lang.c reads sections, options and their positions, lang_connect.c what
 * stands in connect("..."), and lang_value.c lets libconfuse read the values
 * (quoting, escapes, variables).  None of them knows a class: build.c looks
 * classes up, expands Graph and copies and applies options (options.c),
 * wire.c connects and check.c finds what is wrong with the whole. */
#ifndef LANG_H
#define LANG_H 1

#include <headgate/diag.h>
#include <headgate/element.h>

/* Memory of trees, all freed at once; zeroed. */
struct lang_memory {
    struct lang_block *blocks;
};

void *lang_alloc(struct lang_memory *, size_t size);
char *lang_copy(struct lang_memory *, const char *text, size_t len);
char *lang_format(struct lang_memory *, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Room for one more than the 'n' items of 'size' bytes in 'array'. */
void *lang_grow(struct lang_memory *, void *array, size_t n, size_t size);
void lang_free(struct lang_memory *);

struct lang_value {
    char *text; /* As written; from lang_expand: unquoted and expanded. */
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

/* "[in]name[out]" in a connection. */
struct lang_end {
    char *name;
    char *in; /* NULL: not given. */
    char *out;
    struct hg_place place;
    struct hg_place in_place;
    struct hg_place out_place;
};

/* "a -> b -> c". */
struct lang_chain {
    struct lang_end *ends;
    size_t n_ends;
    bool broken; /* Has a mistake; the ends are only names. */
};

struct lang_file {
    struct lang_memory memory; /* Of all of it, with the texts. */
    struct hg_place place;     /* The file as a whole: line 0. */
    struct lang_section *sections;
    size_t n_sections;
    struct lang_chain *chains;
    size_t n_chains;
    bool broken; /* Something was not understood. */
};

/* Reads 'path' ("-": standard input) and what it includes.  NULL if it cannot
 * be read, reported at 'from' (NULL: at the file itself); other mistakes are
 * reported in the context given and leave 'broken' set. */
struct diag_context;
struct lang_file *lang_parse(const char *path, const struct hg_place *from,
                             const struct diag_context *, struct hg_diags *);
/* The same from memory; "include" is refused there. */
struct lang_file *lang_parse_text(const char *name, const char *text,
                                  size_t len, struct hg_diags *);
void lang_destroy(struct lang_file *);

/* 'path' as seen from the folder of the file 'from'. */
char *lang_path(struct lang_memory *, const char *from, const char *path);

/* lang_connect.c: adds the chains that text[begin, end) holds to the file. */
void lang_connect(struct lang_file *, const struct hg_place *string,
                  const char *text, size_t begin, size_t end,
                  struct hg_diags *);

/* What ${name} stands for, ahead of the environment. */
struct lang_variable {
    const char *name;
    const struct lang_value *values;
    size_t n_values;
    bool missing; /* Known to have no value: no mistake of who uses it. */
    const struct lang_variable *next;
};

/* lang_value.c: the final values of one option as written in the file.  A
 * mistake is reported and gives false. */
bool lang_expand_option(struct lang_memory *, const struct lang_option *raw,
                        const struct lang_variable *, struct lang_option *out,
                        struct hg_diags *);
/* A copy of a section with final values; an option that has a mistake is
 * left out. */
bool lang_expand(struct lang_memory *, const struct lang_section *raw,
                 const struct lang_variable *, struct lang_section *out,
                 struct hg_diags *);

/* diag.c, for build.c: every mistake reported from now on is followed by a
 * note for each context, innermost first.  NULL: none. */
struct diag_context {
    struct hg_place place;
    const char *text;
    const struct diag_context *outer;
};

void diags_set_context(struct hg_diags *, const struct diag_context *);
/* Mistakes in this file come next in order. */
void diags_add_file(struct hg_diags *, const char *file);

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

/* The same from one text; a list's words are separated by spaces or commas. */
bool options_set_words(void *base, const struct hg_field *field,
                       const char *text, struct hg_error *);

/* A field's name as graph files write it. */
char *options_hyphenate(const char *name, char *buf, size_t size);

/* Frees what options own (strings, lists, rows). */
void options_free(void *base, const struct hg_field *fields, size_t n_fields);

/* Writes the value as a graph file would say it. */
void options_print(const void *base, const struct hg_field *field, FILE *out);

/* The field called 'name', with hyphens or underscores; or NULL. */
const struct hg_field *options_find(const struct hg_field *fields,
                                    size_t n_fields, const char *name);

/* graph.c, for build.c: gives an element the section it was made from, so
 * that hg_config_error finds positions and hg_option_given answers; applies
 * the section's options. The section must outlive the graph's building. */
bool graph_configure_from(struct hg_element *, const struct lang_section *,
                          const struct options_context *);

#endif
