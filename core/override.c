/* override.c: options from the command line, "nat.idle-timeout=60s", which
 * take the place of the graph file's; see build.h. */
#include <string.h>

#include "build.h"

#define ERROR(b, ...) hg_diag((b)->diags, HG_SEVERITY_ERROR, __VA_ARGS__)

#define GROW(b, array, n)                                                     \
    ((array) = lang_grow(&(b)->memory, array, n, sizeof *(array)))

static const struct hg_place command_line = {.file = "command line"};

void
override_read(struct builder *b)
{
    size_t i;

    b->overrides =
        lang_alloc(&b->memory, b->config->n_overrides * sizeof *b->overrides);
    for (i = 0; i < b->config->n_overrides; i++) {
        const char *text = b->config->overrides[i];
        size_t before = strcspn(text, "="), dot = before;
        struct override *o = &b->overrides[b->n_overrides];

        while (dot && text[dot] != '.')
            dot--;
        if (!text[before] || !dot || dot + 1 == before) {
            ERROR(b, &command_line,
                  "'%s' is no option; write ELEMENT.OPTION=VALUE", text);
            continue;
        }
        *o = (struct override){
            .text = text,
            .path = lang_copy(&b->memory, text, dot),
            .option = lang_copy(&b->memory, text + dot + 1, before - dot - 1),
            .value = text + before + 1};
        b->n_overrides++;
    }
}

static bool
is_list(const struct node *node, const char *option)
{
    const struct hg_class *cls;
    const struct hg_field *field;

    if (!node->element)
        return false;
    cls = hg_element_class(node->element);
    field = options_find(cls->fields, cls->n_fields, option);
    return field && field->type >= HG_TYPE_ADDR_LIST &&
           field->type <= HG_TYPE_NUMBER_LIST;
}

static struct lang_option
override_option(struct builder *b, const struct node *node,
                const struct override *o)
{
    struct lang_option option = {.place = command_line};
    const char *at = o->value;
    size_t len;

    option.key = lang_copy(&b->memory, o->option, strlen(o->option));
    option.is_list = is_list(node, o->option);
    do {
        len = option.is_list ? strcspn(at, ",") : strlen(at);
        if (option.is_list && !len)
            continue;
        GROW(b, option.values, option.n_values);
        option.values[option.n_values++] =
            (struct lang_value){lang_copy(&b->memory, at, len), command_line};
    } while (at += len, *at++);
    return option;
}

/* Puts what the command line says of a node in place of the file's. */
void
override_apply(struct builder *b, const struct node *node,
               struct lang_section *section)
{
    size_t i, k;

    for (i = 0; i < b->n_overrides; i++) {
        struct override *o = &b->overrides[i];
        struct lang_option *options;

        if (strcmp(o->path, node->path))
            continue;
        o->used = true;
        for (k = 0; k < section->n_options; k++)
            if (build_same_key(section->options[k].key, o->option))
                break;
        options =
            lang_alloc(&b->memory, (section->n_options + 1) * sizeof *options);
        if (section->n_options)
            memcpy(options, section->options,
                   section->n_options * sizeof *options);
        options[k] = override_option(b, node, o);
        section->options = options;
        section->n_options += k == section->n_options;
    }
}

void
override_check(struct builder *b)
{
    const char **paths =
        lang_alloc(&b->memory, (b->n_nodes + 1) * sizeof *paths);
    size_t i;

    for (i = 0; i < b->n_nodes; i++)
        paths[i] = b->nodes[i]->path;
    for (i = 0; i < b->n_overrides; i++)
        if (!b->overrides[i].used)
            ERROR(b, &command_line, "no element '%s' for '%s'%s",
                  b->overrides[i].path, b->overrides[i].text,
                  build_hint(b, b->overrides[i].path, paths, b->n_nodes, ""));
}
