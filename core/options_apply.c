/* options_apply.c: fills a struct from a section of a graph file, reporting
 * every mistake with its place; see lang.h. */
#include <stdlib.h>
#include <string.h>

#include "graph_internal.h"
#include "lang.h"
#include "options_internal.h"

static bool
unknown_key(const char *key, const struct hg_place *place, bool section,
            const struct hg_field *fields, size_t n_fields,
            const struct options_context *context)
{
    const char **names = xcalloc(n_fields, sizeof *names);
    char(*texts)[128] = xcalloc(n_fields, sizeof *texts);
    const char *what = section ? "section" : "option", *nearest;
    size_t n = 0, i;

    for (i = 0; i < n_fields; i++)
        if (fields[i].kind == HG_FIELD_OPTION ||
            fields[i].kind == HG_FIELD_ROWS)
            names[n++] =
                options_hyphenate(fields[i].name, texts[i], sizeof texts[i]);
    nearest = hg_nearest(key, names, n);
    if (nearest)
        hg_diag(context->diags, HG_SEVERITY_ERROR, place,
                "no %s '%s' in %s; did you mean '%s'?", what, key,
                context->class_name, nearest);
    else if (n)
        hg_diag(context->diags, HG_SEVERITY_ERROR, place,
                "no %s '%s' in %s; 'headgate elements %s' lists them", what,
                key, context->class_name, context->class_name);
    else
        hg_diag(context->diags, HG_SEVERITY_ERROR, place,
                "no %s '%s' in %s; it has none", what, key,
                context->class_name);
    free(texts);
    free(names);
    return false;
}

static bool
apply_reference(void *base, const struct hg_field *field,
                const struct lang_option *option,
                const struct options_context *context)
{
    const char *name = option->n_values ? option->values[0].text : "";
    const struct hg_place *place =
        option->n_values ? &option->values[0].place : &option->place;
    struct hg_element *target = context->find(context->aux, name);
    const char *const *names;
    const char *nearest = NULL;
    size_t n = 0;

    if (option->n_values != 1) {
        hg_diag(context->diags, HG_SEVERITY_ERROR, &option->place,
                "option '%s' takes the name of one element", option->key);
        return false;
    }
    if (!target) {
        names = context->names ? context->names(context->aux, &n) : NULL;
        nearest = hg_nearest(name, names, n);
        if (nearest)
            hg_diag(context->diags, HG_SEVERITY_ERROR, place,
                    "no element '%s'; did you mean '%s'?", name, nearest);
        else
            hg_diag(context->diags, HG_SEVERITY_ERROR, place,
                    "no element '%s'; option '%s' names %s%s", name,
                    option->key, field->cls ? "one of class " : "one",
                    field->cls ? field->cls : "");
        return false;
    }
    if (field->cls && strcmp(field->cls, target->cls->name)) {
        hg_diag(context->diags, HG_SEVERITY_ERROR, place,
                "'%s' is a %s; option '%s' names a %s", name,
                target->cls->name, option->key, field->cls);
        return false;
    }
    memcpy((uint8_t *)base + field->offset, &target, sizeof target);
    return true;
}

static bool
apply_option(void *base, const struct hg_field *fields, size_t n_fields,
             const struct lang_option *option,
             const struct options_context *context)
{
    const struct hg_field *field = options_find(fields, n_fields, option->key);
    const struct hg_place *place = &option->place;
    struct hg_error error = {""};
    const char **values;
    size_t i, bad;
    bool ok;

    if (!field || field->kind != HG_FIELD_OPTION)
        return unknown_key(option->key, place, false, fields, n_fields,
                           context);
    if (field->type == HG_TYPE_ELEMENT)
        return apply_reference(base, field, option, context);
    values = xcalloc(option->n_values, sizeof *values);
    for (i = 0; i < option->n_values; i++)
        values[i] = option->values[i].text;
    ok =
        option_set_values(base, field, values, option->n_values, &error, &bad);
    free(values);
    if (ok)
        return true;
    if (bad < option->n_values &&
        (option_types[field->type].list || option->n_values == 1))
        place = &option->values[bad].place;
    option_prefix_error(&error, field->name);
    hg_diag(context->diags, HG_SEVERITY_ERROR, place, "%s", error.text);
    return false;
}

static bool
check_required(const struct hg_field *fields, size_t n_fields,
               const struct lang_section *section,
               const struct options_context *context)
{
    bool ok = true;
    char name[128];
    size_t i, k;

    for (i = 0; i < n_fields; i++) {
        bool found = fields[i].title && section->title;

        for (k = 0; k < section->n_options && !found; k++)
            found = options_find(&fields[i], 1, section->options[k].key);
        if (found || !fields[i].required)
            continue;
        options_hyphenate(fields[i].name, name, sizeof name);
        hg_diag(context->diags, HG_SEVERITY_ERROR, &section->place,
                "section '%s' needs %s '%s': %s", section->keyword,
                fields[i].title ? "a title," : "option", name,
                fields[i].doc ? fields[i].doc : "");
        ok = false;
    }
    return ok;
}

/* The title is not given as an option as well. */
static bool
check_title(const struct hg_field *field, const struct lang_section *section,
            const struct options_context *context)
{
    size_t i;

    for (i = 0; i < section->n_options; i++) {
        const struct lang_option *option = &section->options[i];

        if (!options_find(field, 1, option->key))
            continue;
        hg_diag(context->diags, HG_SEVERITY_ERROR, &option->place,
                "option '%s' is given twice", option->key);
        hg_diag(context->diags, HG_SEVERITY_NOTE, &section->title_place,
                "first given here, as the title");
        return false;
    }
    return true;
}

/* Fills one row from the subsection that describes it. */
static bool
apply_row(void *row, const struct hg_field *rows,
          const struct lang_section *section,
          const struct options_context *context)
{
    struct hg_error error = {""};
    bool ok, has_title = false;
    size_t i;

    options_default(row, rows->fields, rows->n_fields);
    ok = options_apply(row, rows->fields, rows->n_fields, section, context);
    ok &= check_required(rows->fields, rows->n_fields, section, context);
    for (i = 0; i < rows->n_fields; i++) {
        const char *title = section->title;

        if (!rows->fields[i].title)
            continue;
        has_title = true;
        ok &= !title || check_title(&rows->fields[i], section, context);
        if (title && !options_set(row, &rows->fields[i], &title, 1, &error)) {
            hg_diag(context->diags, HG_SEVERITY_ERROR, &section->title_place,
                    "%s", error.text);
            ok = false;
        }
    }
    if (section->title && !has_title) {
        hg_diag(context->diags, HG_SEVERITY_ERROR, &section->title_place,
                "section '%s' has no title; write '%s { ... }'",
                section->keyword, section->keyword);
        ok = false;
    }
    return ok;
}

static bool
apply_section(void *base, const struct hg_field *fields, size_t n_fields,
              const struct lang_section *section,
              const struct options_context *context)
{
    const struct hg_field *field =
        options_find(fields, n_fields, section->keyword);
    struct options_context inner = *context;
    struct vector rows;

    if (!field || field->kind != HG_FIELD_ROWS)
        return unknown_key(section->keyword, &section->place, true, fields,
                           n_fields, context);
    rows = vector_load(base, field);
    rows.v = xrealloc(rows.v, (rows.n + 1) * field->row_size);
    memset((uint8_t *)rows.v + rows.n * field->row_size, 0, field->row_size);
    rows.n++;
    vector_store(base, field, rows);
    inner.class_name = context->class_name;
    return apply_row((uint8_t *)rows.v + (rows.n - 1) * field->row_size, field,
                     section, &inner);
}

bool
options_apply(void *base, const struct hg_field *fields, size_t n_fields,
              const struct lang_section *section,
              const struct options_context *context)
{
    bool ok = true;
    size_t i;

    for (i = 0; i < section->n_options; i++)
        ok &= apply_option(base, fields, n_fields, &section->options[i],
                           context);
    for (i = 0; i < section->n_sections; i++)
        ok &= apply_section(base, fields, n_fields, &section->sections[i],
                            context);
    return ok;
}
