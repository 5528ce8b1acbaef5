/* configure.c: options of all elements of a graph, and what these make of
 * them; see build.h.
 *
 * Options are applied to all of them first.  Then elements are configured:
 * passive ones before the others, who ask them, and what an option refers to
 * before the one that has it. */
#include "build.h"
#include "graph_internal.h"

struct finder {
    struct builder *b;
    struct node *node;
};

/* The node that 'name' means in an option of 'node': of its own file, or of
 * the files around it. */
static struct node *
find_outwards(const struct builder *b, const struct node *node,
              const char *name)
{
    const struct scope *scope;
    struct node *found = NULL;

    for (scope = node->scope; scope && !found; scope = scope->outer)
        found = build_find(b, scope, name);
    return found;
}

static struct hg_element *
find_reference(void *aux, const char *name)
{
    struct finder *f = aux;
    struct node *found = find_outwards(f->b, f->node, name);

    if (!found || found->kind != NODE_ELEMENT)
        return NULL;
    found->referenced = true;
    f->node->refers = lang_grow(&f->b->memory, f->node->refers,
                                f->node->n_refers, sizeof *f->node->refers);
    f->node->refers[f->node->n_refers++] = found;
    return found->element;
}

static const char *const *
reference_names(void *aux, size_t *n)
{
    struct finder *f = aux;
    const char **names =
        lang_alloc(&f->b->memory, (f->b->n_nodes + 1) * sizeof *names);
    const struct scope *scope;
    size_t i;

    *n = 0;
    for (scope = f->node->scope; scope; scope = scope->outer)
        for (i = 0; i < scope->n_nodes; i++)
            if (scope->nodes[i]->kind == NODE_ELEMENT)
                names[(*n)++] = scope->nodes[i]->name;
    return names;
}

/* A reference to what could not be made is not a mistake of its own. */
static void
forget_broken_references(const struct builder *b, struct node *node,
                         struct lang_section *section)
{
    const struct hg_class *cls = hg_element_class(node->element);
    size_t i, n = 0;

    for (i = 0; i < section->n_options; i++) {
        const struct lang_option *option = &section->options[i];
        const struct hg_field *field =
            options_find(cls->fields, cls->n_fields, option->key);
        const struct node *to =
            field && field->type == HG_TYPE_ELEMENT && option->n_values == 1
                ? find_outwards(b, node, option->values[0].text)
                : NULL;

        if (to && to->kind == NODE_BROKEN)
            node->fails = node->lacks_options = true;
        else
            section->options[n++] = *option;
    }
    section->n_options = n;
}

static void
apply(struct builder *b, struct node *node)
{
    struct finder finder = {b, node};
    struct lang_section *section = lang_alloc(&b->memory, sizeof *section);
    const struct options_context context = {
        .diags = b->diags,
        .class_name = hg_element_class(node->element)->name,
        .find = find_reference,
        .names = reference_names,
        .aux = &finder};

    *section = *node->section;
    node->section = section;
    forget_broken_references(b, node, section);
    build_enter(b, node->scope);
    if (!graph_configure_from(node->element, section, &context))
        node->fails = true;
}

/* What it refers to first; elements that refer to one another in a circle are
 * configured in the order in which they stand. */
static void
configure(struct builder *b, struct node *node)
{
    size_t i;

    if (node->configured)
        return;
    node->configured = true;
    for (i = 0; i < node->n_refers; i++)
        configure(b, node->refers[i]);
    build_enter(b, node->scope);
    if (!node->lacks_options && !hg_element_configure(node->element))
        node->fails = true;
}

static bool
is_passive(const struct node *node)
{
    return (hg_element_class(node->element)->flags & HG_CLASS_PASSIVE) != 0;
}

void
configure_elements(struct builder *b)
{
    size_t i;

    for (i = 0; i < b->n_nodes; i++)
        if (b->nodes[i]->kind == NODE_ELEMENT)
            apply(b, b->nodes[i]);
    for (i = 0; i < b->n_nodes; i++)
        if (b->nodes[i]->kind == NODE_ELEMENT && is_passive(b->nodes[i]))
            configure(b, b->nodes[i]);
    for (i = 0; i < b->n_nodes; i++)
        if (b->nodes[i]->kind == NODE_ELEMENT)
            configure(b, b->nodes[i]);
}
