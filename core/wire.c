/* wire.c: from connections as written to connections of the graph; see
 * build.h.  First every name becomes a node, once for each copy in a
 * statement with stars; when elements are configured and their ports known,
 * every port becomes a number; last, edges are followed through Graph, Input
 * and Output. */
#include <stdlib.h>
#include <string.h>

#include "build.h"
#include "graph_internal.h"

#define ERROR(b, ...) hg_diag((b)->diags, HG_SEVERITY_ERROR, __VA_ARGS__)
#define NOTE(b, ...) hg_diag((b)->diags, HG_SEVERITY_NOTE, __VA_ARGS__)

/* ---- Names ------------------------------------------------------------ */

/* The copies that "name*" stands for, or NULL. */
static const struct copies *
find_copies(const struct scope *scope, const char *name, size_t len)
{
    size_t i;

    for (i = 0; i < scope->n_copies; i++)
        if (strlen(scope->copies[i].name) == len &&
            !memcmp(scope->copies[i].name, name, len))
            return &scope->copies[i];
    return NULL;
}

static bool
no_copies(struct builder *b, const struct scope *scope,
          const struct lang_end *end)
{
    size_t len = strlen(end->name) - 1, i;
    char *name = lang_copy(&b->memory, end->name, len);
    const char **words =
        lang_alloc(&b->memory, (scope->n_copies + 1) * sizeof *words);

    for (i = 0; i < scope->n_copies; i++)
        words[i] = scope->copies[i].name;
    if (build_find(b, scope, name))
        ERROR(b, &end->place,
              "'%s' has no copies; give it 'each = { ... }' or leave out the "
              "'*'",
              name);
    else
        ERROR(b, &end->place, "no element '%s' with copies%s", name,
              build_hint(b, name, words, scope->n_copies,
                         "; declare it with 'each = { ... }'"));
    return false;
}

static bool
same_items(const struct copies *a, const struct copies *b)
{
    size_t i;

    if (a->n_items != b->n_items)
        return false;
    for (i = 0; i < a->n_items; i++)
        if (strcmp(a->items[i].text, b->items[i].text))
            return false;
    return true;
}

static bool
has_star(const char *text)
{
    return text && strchr(text, '*');
}

/* What the stars of a statement stand for, in *copies (NULL: it has none). */
static bool
find_stars(struct builder *b, const struct scope *scope,
           const struct lang_chain *chain, const struct copies **copies)
{
    const struct lang_end *port = NULL;
    const struct copies *found;
    size_t i;

    *copies = NULL;
    for (i = 0; i < chain->n_ends; i++) {
        const struct lang_end *end = &chain->ends[i];
        size_t len = strcspn(end->name, "*");

        if (has_star(end->in) || has_star(end->out))
            port = end;
        if (!end->name[len])
            continue;
        if (end->name[len + 1]) {
            ERROR(b, &end->place, "'*' stands at the end of a name");
            return false;
        }
        found = find_copies(scope, end->name, len);
        if (!found)
            return no_copies(b, scope, end);
        if (*copies && !same_items(*copies, found)) {
            ERROR(b, &end->place,
                  "'%s' and '%s' have different items; those of one "
                  "statement are the same",
                  (*copies)->name, found->name);
            NOTE(b, &(*copies)->place, "'%s' is here", (*copies)->name);
            NOTE(b, &found->place, "'%s' is here", found->name);
            return false;
        }
        *copies = found;
    }
    if (!port || *copies)
        return true;
    ERROR(b, has_star(port->in) ? &port->in_place : &port->out_place,
          "no name in this statement has a '*' to say what this one stands "
          "for");
    return false;
}

/* "tee[*]" and "queue*" for one item; in a name the item follows "-". */
static const char *
put_item(struct builder *b, const char *text, const char *item, bool name)
{
    const char *star = item && text ? strchr(text, '*') : NULL;

    if (!star)
        return text;
    return lang_format(&b->memory, "%.*s%s%s%s", (int)(star - text), text,
                       name ? "-" : "", item, star + 1);
}

static struct node *
find_node(struct builder *b, struct scope *scope, const struct lang_end *end,
          const char *item)
{
    const char *name = put_item(b, end->name, item, true);
    struct node *node = build_find(b, scope, name);
    const struct copies *copies;

    if (node)
        return node;
    copies = find_copies(scope, name, strlen(name));
    if (!copies)
        return build_anonymous(b, scope, end, name);
    ERROR(b, &end->place,
          "'%s' stands for copies; write '%s*' for all or '%s-%s' for one",
          name, name, name, copies->items[0].text);
    b->broken = true;
    return build_node(b, scope, NODE_BROKEN, name, &end->place);
}

/* ---- Edges ------------------------------------------------------------ */

static void
break_edge(struct edge *edge)
{
    edge->broken = true;
    edge->from->excused = edge->to->excused = true;
}

static void
check_edge(struct builder *b, struct edge *edge)
{
    if (edge->from == edge->to)
        ERROR(b, &edge->to_end->place, "'%s' is connected to itself",
              edge->to->name);
    else if (edge->from->kind == NODE_OUTPUT)
        ERROR(b, &edge->from_end->place,
              "'%s' is an Output: packets leave this file there, none come "
              "out of it",
              edge->from->name);
    else if (edge->to->kind == NODE_INPUT)
        ERROR(b, &edge->to_end->place,
              "'%s' is an Input: packets enter this file there, none go "
              "into it",
              edge->to->name);
    else
        return;
    b->broken = true;
    break_edge(edge);
}

static void
add_edge(struct builder *b, const struct scope *scope, struct node *from,
         const struct lang_end *from_end, struct node *to,
         const struct lang_end *to_end, const char *item)
{
    struct edge *edge = lang_alloc(&b->memory, sizeof *edge);

    *edge = (struct edge){.scope = scope,
                          .from = from,
                          .to = to,
                          .from_end = from_end,
                          .to_end = to_end,
                          .out_name = put_item(b, from_end->out, item, false),
                          .in_name = put_item(b, to_end->in, item, false)};
    from->connected = to->connected = true;
    check_edge(b, edge);
    b->edges = lang_grow(&b->memory, b->edges, b->n_edges, sizeof *b->edges);
    b->edges[b->n_edges++] = edge;
}

static void
excuse(struct scope *scope, const struct lang_chain *chain)
{
    size_t i, k;

    for (i = 0; i < chain->n_ends; i++) {
        size_t len = strcspn(chain->ends[i].name, "*");

        for (k = 0; k < scope->n_nodes; k++)
            if (!strncmp(scope->nodes[k]->name, chain->ends[i].name, len) &&
                (chain->ends[i].name[len] || !scope->nodes[k]->name[len]))
                scope->nodes[k]->excused = scope->nodes[k]->connected = true;
    }
}

void
wire_declare(struct builder *b, struct scope *scope)
{
    const struct copies *copies;
    size_t i, k, copy;

    for (i = 0; i < scope->file->n_chains; i++) {
        const struct lang_chain *chain = &scope->file->chains[i];

        if (chain->broken || !find_stars(b, scope, chain, &copies)) {
            b->broken = true;
            excuse(scope, chain);
            continue;
        }
        for (copy = 0; copy < (copies ? copies->n_items : 1); copy++) {
            const char *item = copies ? copies->items[copy].text : NULL;
            const struct lang_end *end = chain->ends;
            struct node *from = find_node(b, scope, end, item);

            for (k = 1; k < chain->n_ends; k++) {
                struct node *to = find_node(b, scope, &end[k], item);

                add_edge(b, scope, from, &end[k - 1], to, &end[k], item);
                from = to;
            }
        }
    }
}

/* ---- Ports ------------------------------------------------------------ */

enum direction { IN, OUT };

static const char *const direction_names[] = {"input", "output"};

/* The Inputs or Outputs of the file of a Graph. */
static struct node **
graph_ports(struct builder *b, const struct node *node, enum direction way,
            size_t *n)
{
    const struct scope *inner = node->inner;
    struct node **ports =
        lang_alloc(&b->memory, (inner->n_nodes + 1) * sizeof(struct node *));
    enum node_kind kind = way == IN ? NODE_INPUT : NODE_OUTPUT;
    size_t i;

    *n = 0;
    for (i = 0; i < inner->n_nodes; i++)
        if (inner->nodes[i]->kind == kind)
            ports[(*n)++] = inner->nodes[i];
    return ports;
}

static const char **
port_names(struct builder *b, const struct node *node, enum direction way,
           size_t *n)
{
    const struct hg_element *e = node->element;
    struct hg_port_info info;
    struct node **ports;
    const char **names;
    size_t i;

    if (node->kind == NODE_GRAPH) {
        ports = graph_ports(b, node, way, n);
        names = lang_alloc(&b->memory, (*n + 1) * sizeof *names);
        for (i = 0; i < *n; i++)
            names[i] = ports[i]->name;
        return names;
    }
    *n = !e ? 1 : way == IN ? hg_element_n_inputs(e) : hg_element_n_outputs(e);
    names = lang_alloc(&b->memory, (*n + 1) * sizeof *names);
    for (i = 0; i < *n; i++) {
        if (!e)
            info.name = node->name;
        else if (way == IN)
            info.name = e->inputs[i].name;
        else
            hg_element_output(e, (unsigned)i, &info);
        names[i] = info.name;
    }
    return names;
}

/* "'a', 'b' and 'c'". */
static const char *
join(struct builder *b, const char *const *names, size_t n)
{
    const char *text = "";
    size_t i;

    for (i = 0; i < n; i++)
        text = lang_format(&b->memory, "%s%s'%s'", text,
                           !i          ? ""
                           : i + 1 < n ? ", "
                                       : " and ",
                           names[i]);
    return text;
}

static void
no_port(struct builder *b, const struct node *node, enum direction way,
        const char *name, const struct hg_place *place,
        const char *const *names, size_t n)
{
    const char *what = direction_names[way], *rest;

    if (!n)
        rest = lang_format(&b->memory, "; it has no %ss", what);
    else
        rest = lang_format(&b->memory, "; its %s%s %s", what,
                           n > 1 ? "s are" : " is", join(b, names, n));
    if (!name)
        ERROR(b, place, "'%s' has no %s", node->name, what);
    else
        ERROR(b, place, "'%s' has no %s '%s'%s", node->name, what, name,
              build_hint(b, name, names, n, rest));
}

/* A class whose ports depend on options that are wrong has unknown ports. */
static bool
is_doubtful(const struct node *node, enum direction way)
{
    const struct hg_class *cls;
    const char *ports;

    if (node->kind == NODE_BROKEN)
        return true;
    if (!node->fails || !node->element)
        return false;
    cls = hg_element_class(node->element);
    ports = way == IN ? cls->inputs : cls->outputs;
    return ports && strchr(ports, '*');
}

/* The number of the port called 'name', or -1 after reporting. */
static int
find_port(struct builder *b, const struct node *node, enum direction way,
          const char *name, const struct hg_place *place)
{
    const char **names;
    size_t n, i;
    uint64_t number;

    names = port_names(b, node, way, &n);
    if (!name && n)
        return 0;
    for (i = 0; name && i < n; i++)
        if (!strcmp(names[i], name))
            return (int)i;
    if (name && hg_number_parse(name, &number) && number < n)
        return (int)number;
    no_port(b, node, way, name, place, names, n);
    return -1;
}

/* Whether an element that may have lost ports has this one all the same. */
static bool
has_port(struct builder *b, const struct node *node, enum direction way,
         const char *name)
{
    const char **names;
    size_t n, i;

    if (node->kind == NODE_BROKEN)
        return false;
    names = port_names(b, node, way, &n);
    if (!name)
        return n > 0;
    for (i = 0; i < n; i++)
        if (!strcmp(names[i], name))
            return true;
    return false;
}

/* The end of an edge at 'node': its port's number, and for a Graph the Output
 * or Input behind it in place of the node.  False if there is no such port,
 * or none is known. */
static bool
resolve_end(struct builder *b, struct node **node, enum direction way,
            const char *name, const struct hg_place *place, unsigned *port)
{
    size_t n;
    int found;

    if (is_doubtful(*node, way) && !has_port(b, *node, way, name)) {
        (*node)->excused = true;
        return false;
    }
    found = find_port(b, *node, way, name, place);
    if (found < 0) {
        (*node)->excused = true;
        return false;
    }
    *port = (unsigned)found;
    if ((*node)->kind == NODE_GRAPH) {
        *node = graph_ports(b, *node, way, &n)[found];
        *port = 0;
    }
    return true;
}

/* Where one end is wrong the other is still connected, to something. */
static bool
resolve(struct builder *b, struct edge *edge)
{
    const struct lang_end *from = edge->from_end, *to = edge->to_end;
    bool leaves, enters;

    leaves = resolve_end(b, &edge->from, OUT, edge->out_name,
                         edge->out_name ? &from->out_place : &from->place,
                         &edge->out);
    enters =
        resolve_end(b, &edge->to, IN, edge->in_name,
                    edge->in_name ? &to->in_place : &to->place, &edge->in);
    if (leaves && enters)
        return true;
    b->broken = edge->broken = true;
    if (leaves && !edge->from->outs[edge->out])
        edge->from->outs[edge->out] = edge;
    if (enters)
        edge->to->fed[edge->in] = edge->to->has_unknown_input = true;
    return false;
}

static void
place_edge(struct builder *b, struct edge *edge)
{
    struct edge **slot = &edge->from->outs[edge->out], *first = *slot;
    const struct lang_end *end = edge->from_end;

    edge->to->fed[edge->in] = true;
    if (!first) {
        *slot = edge;
        return;
    }
    /* "in -> tee[*]": the part that is the same for all copies is one. */
    if (first->from_end == end && first->to == edge->to &&
        first->in == edge->in)
        return;
    ERROR(b, edge->out_name ? &end->out_place : &end->place,
          "output '%s' of '%s' is connected twice; a Tee copies packets",
          edge->from->element ? edge->from->element->outputs[edge->out].name
                              : edge->from->name,
          end->name);
    edge->to->excused = true;
    NOTE(b,
         first->out_name ? &first->from_end->out_place
                         : &first->from_end->place,
         "first connected here");
}

static void
make_ports(struct builder *b, struct node *node)
{
    const struct hg_element *e = node->element;

    node->n_outs = e ? hg_element_n_outputs(e) : 1;
    node->n_ins = e ? hg_element_n_inputs(e) : 1;
    node->outs =
        lang_alloc(&b->memory, (node->n_outs + 1) * sizeof(struct edge *));
    node->fed = lang_alloc(&b->memory, node->n_ins + 1);
}

void
wire_ports(struct builder *b)
{
    size_t i;

    for (i = 0; i < b->n_nodes; i++)
        make_ports(b, b->nodes[i]);
    for (i = 0; i < b->n_edges; i++) {
        struct edge *edge = b->edges[i];

        build_enter(b, edge->scope);
        if (!edge->broken && resolve(b, edge))
            place_edge(b, edge);
    }
}

/* ---- Following -------------------------------------------------------- */

static const struct edge *
last_edge(const struct builder *b, const struct edge *edge, bool *circle)
{
    size_t steps = 0;

    *circle = false;
    while (edge &&
           (edge->to->kind == NODE_INPUT || edge->to->kind == NODE_OUTPUT)) {
        edge = edge->to->outs[0];
        *circle = ++steps > b->n_edges;
        if (*circle)
            return NULL;
    }
    return edge && !edge->broken ? edge : NULL;
}

bool
wire_is_circle(const struct builder *b, const struct edge *edge)
{
    bool circle;

    last_edge(b, edge, &circle);
    return circle;
}

struct node *
wire_follow(const struct builder *b, const struct edge *edge, unsigned *in)
{
    bool circle;

    edge = last_edge(b, edge, &circle);
    if (!edge)
        return NULL;
    *in = edge->in;
    return edge->to;
}

void
wire_connect(struct builder *b)
{
    struct hg_error error;
    unsigned out, in;
    size_t i;

    for (i = 0; i < b->n_nodes; i++) {
        const struct node *node = b->nodes[i];

        for (out = 0; node->element && out < node->n_outs; out++) {
            const struct node *to = wire_follow(b, node->outs[out], &in);

            if (to && to->element &&
                !hg_graph_connect(b->graph, node->element, out, to->element,
                                  in, &error))
                ERROR(b, &node->place, "%s", error.text);
        }
    }
}
