/* check.c: what is wrong with a graph as a whole: ports that lead nowhere,
 * elements that no packet reaches, needs that nothing meets, loops; see
 * build.h.  What an earlier mistake may have caused is not reported. */
#include <stdlib.h>
#include <string.h>

#include "build.h"
#include "graph_internal.h"

#define NONE SIZE_MAX
#define MAX_WORDS 64 /* Different words in needs and provides. */

#define ERROR(b, ...) hg_diag((b)->diags, HG_SEVERITY_ERROR, __VA_ARGS__)
#define WARNING(b, ...) hg_diag((b)->diags, HG_SEVERITY_WARNING, __VA_ARGS__)

/* A connection between two elements, Graphs followed through. */
struct link {
    struct node *from;
    struct node *to;
    const struct edge *edge; /* The first that it was made of. */
    size_t next_out;         /* Of those from 'from', or NONE. */
    size_t next_in;
};

/* What is known of a node, by its index. */
struct facts {
    size_t out; /* First link from it and to it. */
    size_t in;
    bool reached;
    bool waiting;      /* In the work list. */
    bool seen;         /* By the search for an origin. */
    bool listed;       /* In the order below, or on the way there: */
    struct node *from; /* who came here, */
    size_t next;       /* and the next link to go on by. */
    uint64_t needs, provides, revokes;
    uint64_t at_input, at_output; /* What holds on every path. */
};

struct checker {
    struct builder *b;
    struct link *links;
    size_t n_links;
    struct facts *facts;
    struct node **order; /* Reached nodes, a cause before its effects. */
    size_t n_order;
    const char *words[MAX_WORDS];
    unsigned n_words;
};

/* ---- Links ------------------------------------------------------------ */

static const struct hg_class *
class_of(const struct node *node)
{
    return node->element ? hg_element_class(node->element) : NULL;
}

static bool
has_flag(const struct node *node, uint32_t flag)
{
    return node->element && (class_of(node)->flags & flag);
}

/* Where packets come into the graph. */
static bool
is_source(const struct node *node)
{
    return node->element &&
           (has_flag(node, HG_CLASS_DEVICE) || (!node->n_ins && node->n_outs));
}

static void
add_link(struct checker *c, struct node *from, const struct edge *edge)
{
    unsigned in;
    struct node *to = wire_follow(c->b, edge, &in);
    struct link link = {.from = from, .to = to, .edge = edge};

    if (!to)
        return;
    link.next_out = c->facts[from->index].out;
    link.next_in = c->facts[to->index].in;
    c->links = lang_grow(&c->b->memory, c->links, c->n_links, sizeof link);
    c->facts[from->index].out = c->facts[to->index].in = c->n_links;
    c->links[c->n_links++] = link;
}

/* In reverse, so that each list of links is in the order of ports. */
static void
find_links(struct checker *c)
{
    size_t i;
    unsigned out;

    c->facts =
        lang_alloc(&c->b->memory, (c->b->n_nodes + 1) * sizeof *c->facts);
    for (i = 0; i < c->b->n_nodes; i++)
        c->facts[i].out = c->facts[i].in = NONE;
    for (i = c->b->n_nodes; i-- > 0;) {
        struct node *node = c->b->nodes[i];

        for (out = node->n_outs; node->element && out-- > 0;)
            if (node->outs[out])
                add_link(c, node, node->outs[out]);
    }
}

/* ---- Wiring ----------------------------------------------------------- */

static const char *
port_doc(struct builder *b, const struct node *port)
{
    return port->doc ? lang_format(&b->memory, " (%s)", port->doc) : "";
}

static void
check_graph_node(struct builder *b, const struct node *node)
{
    size_t i;

    for (i = 0; i < node->inner->n_nodes; i++) {
        const struct node *port = node->inner->nodes[i];

        if (port->excused)
            continue;
        if (port->kind == NODE_INPUT && !port->fed[0])
            ERROR(b, &node->place, "input '%s' of '%s' has no source%s",
                  port->name, node->name, port_doc(b, port));
        if (port->kind == NODE_OUTPUT && !port->outs[0] && !port->optional)
            ERROR(b, &node->place,
                  "output '%s' of '%s' leads nowhere%s; connect it, to a "
                  "Discard if its packets are not wanted",
                  port->name, node->name, port_doc(b, port));
    }
}

/* Input and Output as seen from inside. */
static void
check_port_node(struct builder *b, const struct node *node)
{
    if (node->kind == NODE_INPUT && !node->outs[0])
        ERROR(b, &node->place, "Input '%s' leads nowhere; connect it",
              node->name);
    if (node->kind == NODE_OUTPUT && !node->fed[0])
        ERROR(b, &node->place, "nothing leads to Output '%s'; connect it",
              node->name);
}

static void
check_element(struct builder *b, const struct node *node)
{
    struct hg_element *e = node->element;
    unsigned i;

    for (i = 0; i < node->n_ins; i++)
        if (!node->fed[i] && !e->inputs[i].optional)
            ERROR(b, &node->place, "input '%s' of '%s' has no source",
                  e->inputs[i].name, node->name);
    for (i = 0; i < node->n_outs; i++)
        if (!node->outs[i] && !e->outputs[i].optional)
            ERROR(b, &node->place,
                  "output '%s' of '%s' leads nowhere; connect it, to a "
                  "Discard if its packets are not wanted",
                  e->outputs[i].name, node->name);
}

static void
check_wiring(struct builder *b, const struct node *node)
{
    bool passive = has_flag(node, HG_CLASS_PASSIVE);

    if (node->kind == NODE_BROKEN || node->excused ||
        (node->fails && !node->connected))
        return;
    if (passive) {
        /* Who offers a service is found without being named. */
        if (!node->referenced && !node->element->cls->service && !b->broken)
            WARNING(b, &node->place,
                    "'%s' is never used: no option refers to it", node->name);
    } else if (node->kind == NODE_INPUT || node->kind == NODE_OUTPUT) {
        check_port_node(b, node);
    } else if (!node->connected) {
        if (node->scope->file->broken)
            return;
        WARNING(b, &node->place,
                "'%s' is never used: nothing is connected to it", node->name);
    } else if (node->kind == NODE_GRAPH) {
        check_graph_node(b, node);
    } else {
        check_element(b, node);
    }
}

/* The first will do: all edges of a circle have the same mistake. */
static void
check_circles(struct builder *b)
{
    size_t i;

    for (i = 0; i < b->n_edges; i++) {
        const struct edge *edge = b->edges[i];

        if (edge->broken || edge->from->outs[edge->out] != edge ||
            !wire_is_circle(b, edge))
            continue;
        build_enter(b, edge->scope);
        ERROR(b, &edge->to_end->place,
              "this connection leads in a circle without any element");
        return;
    }
}

/* ---- Reaching --------------------------------------------------------- */

static bool
has_unfed_input(const struct node *node)
{
    unsigned i;

    for (i = 0; i < node->n_ins; i++)
        if (!node->fed[i] && !node->element->inputs[i].optional)
            return true;
    return false;
}

/* Now at 'node', which was not visited before. */
static struct node *
step_to(struct checker *c, struct node *node, struct node *from)
{
    struct facts *facts = &c->facts[node->index];

    facts->reached = facts->listed = true;
    facts->from = from;
    facts->next = facts->out;
    return node;
}

/* Reverse postorder, filled from the end.  Nothing goes on through a device:
 * it is a start of its own.  A loop, since a graph may be deeper than the
 * stack. */
static void
visit(struct checker *c, struct node *node)
{
    node = step_to(c, node, NULL);
    while (node) {
        struct facts *facts = &c->facts[node->index];
        struct node *to;

        if (facts->next == NONE) {
            c->order[--c->n_order] = node;
            node = facts->from;
            continue;
        }
        to = c->links[facts->next].to;
        facts->next = c->links[facts->next].next_out;
        if (!c->facts[to->index].listed && !is_source(to))
            node = step_to(c, to, node);
    }
}

/* From real sources, and from where a mistake hides what comes. */
static void
find_order(struct checker *c)
{
    size_t n = c->b->n_nodes, i;
    unsigned in;

    c->order = lang_alloc(&c->b->memory, (n + 1) * sizeof *c->order);
    c->n_order = n;
    for (i = n; i-- > 0;) {
        struct node *node = c->b->nodes[i], *start = NULL;

        if ((node->kind == NODE_INPUT || node->kind == NODE_OUTPUT) &&
            (!node->fed[0] || node->excused || node->has_unknown_input))
            start = wire_follow(c->b, node->outs[0], &in);
        else if (is_source(node) || node->excused || node->has_unknown_input ||
                 (node->element && has_unfed_input(node)))
            start = node;
        if (start && !c->facts[start->index].listed)
            visit(c, start);
    }
    c->order += c->n_order;
    c->n_order = n - c->n_order;
}

static void
check_reach(struct checker *c)
{
    bool has_source = false;
    size_t i;

    for (i = 0; i < c->b->n_nodes; i++) {
        const struct node *node = c->b->nodes[i];

        has_source |= is_source(node);
        build_enter(c->b, node->scope);
        if (node->element && node->connected && !c->facts[i].reached)
            WARNING(c->b, &node->place,
                    "no packet reaches '%s': no way leads there from a source",
                    node->name);
    }
    build_enter(c->b, NULL);
    if (!has_source && !c->b->broken)
        ERROR(c->b, &c->b->scopes[0]->file->place,
              "nothing brings packets into this graph; it needs an "
              "Interface");
}

/* ---- Needs ------------------------------------------------------------ */

static uint64_t
word_bits(struct checker *c, const char *words)
{
    uint64_t bits = 0;
    size_t len;
    unsigned i;

    while (words && *(words += strspn(words, " "))) {
        len = strcspn(words, " ");
        for (i = 0; i < c->n_words; i++)
            if (!strncmp(c->words[i], words, len) && !c->words[i][len])
                break;
        if (i == MAX_WORDS) {
            ERROR(c->b, &c->b->scopes[0]->file->place,
                  "the classes of this graph need and provide more than %d "
                  "different words",
                  MAX_WORDS);
            return bits;
        }
        if (i == c->n_words)
            c->words[c->n_words++] = lang_copy(&c->b->memory, words, len);
        bits |= UINT64_C(1) << i;
        words += len;
    }
    return bits;
}

static void
find_words(struct checker *c)
{
    size_t i;

    for (i = 0; i < c->b->n_nodes; i++) {
        const struct hg_class *cls = class_of(c->b->nodes[i]);

        c->facts[i].at_input = c->facts[i].at_output = UINT64_MAX;
        if (!cls)
            continue;
        c->facts[i].needs = word_bits(c, cls->needs);
        c->facts[i].provides = word_bits(c, cls->provides);
        c->facts[i].revokes = word_bits(c, cls->revokes);
    }
}

static uint64_t
flow_output(const struct node *node, const struct facts *facts)
{
    if (is_source(node))
        return facts->provides;
    if (node->excused)
        return UINT64_MAX; /* Who knows what comes in. */
    return (facts->at_input & ~facts->revokes) | facts->provides;
}

/* What holds at each input: the intersection over all that leads there,
 * repeated until nothing changes any more. */
static void
find_flow(struct checker *c)
{
    bool changed = true;
    size_t i, k;

    while (changed) {
        changed = false;
        for (i = 0; i < c->n_order; i++) {
            struct facts *facts = &c->facts[c->order[i]->index];
            uint64_t output;

            for (k = facts->in; k != NONE; k = c->links[k].next_in)
                if (c->facts[c->links[k].from->index].reached)
                    facts->at_input &=
                        c->facts[c->links[k].from->index].at_output;
            output = flow_output(c->order[i], facts);
            changed |= output != facts->at_output;
            facts->at_output = output;
        }
    }
}

/* Where 'bit' is missing from the start, going back from 'node': a source, or
 * what takes it away. */
static const struct node *
find_origin(struct checker *c, const struct node *node, uint64_t bit)
{
    struct facts *facts = &c->facts[node->index];
    const struct node *origin = NULL;
    size_t i;

    facts->seen = true;
    if (is_source(node) || (facts->revokes & ~facts->provides & bit))
        return node;
    for (i = facts->in; i != NONE && !origin; i = c->links[i].next_in) {
        const struct node *from = c->links[i].from;
        const struct facts *before = &c->facts[from->index];

        if (before->reached && !before->seen && !(before->at_output & bit))
            origin = find_origin(c, from, bit);
    }
    return origin;
}

/* "; put a CheckIP between", from the classes there are. */
static const char *
who_provides(struct checker *c, const char *word)
{
    struct builder *b = c->b;
    size_t n_names;
    const char *const *names = hg_plugins_names(b->config->plugins, &n_names);
    char **copies = lang_alloc(&b->memory, (n_names + 1) * sizeof(char *));
    const char *text = NULL;
    struct checker known = {.b = b};
    struct hg_error error;
    size_t i;

    known.words[known.n_words++] = word;
    for (i = 0; i < n_names; i++) /* Loading a plugin frees the names. */
        copies[i] = lang_copy(&b->memory, names[i], strlen(names[i]));
    for (i = 0; i < n_names; i++) {
        const struct hg_class *cls =
            hg_plugins_find(b->config->plugins, copies[i], &error);

        if (!cls || !(word_bits(&known, cls->provides) & 1))
            continue;
        text = text ? lang_format(&b->memory, "%s or %s", text, cls->name)
                    : lang_format(&b->memory, "; put a %s", cls->name);
    }
    return text ? lang_format(&b->memory, "%s between", text)
                : "; no class that is installed provides it";
}

static void
report_need(struct checker *c, const struct link *link, const char *word,
            uint64_t bit)
{
    const struct node *node = link->to, *origin;
    const struct hg_place *place = &link->edge->to_end->place;
    size_t i;

    for (i = 0; i < c->b->n_nodes; i++)
        c->facts[i].seen = false;
    origin = find_origin(c, link->from, bit);
    build_enter(c->b, link->edge->scope);
    if (!origin || is_source(origin))
        ERROR(c->b, place,
              "'%s' needs '%s', which nothing before it provides on the way "
              "from '%s'%s",
              node->name, word, origin ? origin->path : link->from->path,
              who_provides(c, word));
    else
        ERROR(c->b, place, "'%s' needs '%s', which '%s' takes away%s",
              node->name, word, origin->path, who_provides(c, word));
}

/* Reports where 'bit' is missing at 'node'; whether it is. */
static bool
check_need(struct checker *c, struct node *node, unsigned word)
{
    struct facts *facts = &c->facts[node->index];
    uint64_t bit = UINT64_C(1) << word;
    size_t i;

    if (!(facts->needs & bit) || (facts->at_input & bit))
        return false;
    for (i = facts->in; i != NONE; i = c->links[i].next_in) {
        const struct facts *before = &c->facts[c->links[i].from->index];

        if (before->reached && !(before->at_output & bit))
            report_need(c, &c->links[i], c->words[word], bit);
    }
    return true;
}

/* What is reported once is taken for given by what follows, so that the
 * flow is computed again after each element that lacks something. */
static void
check_needs(struct checker *c)
{
    size_t i, k;
    unsigned word;

    find_words(c);
    find_flow(c);
    for (i = 0; i < c->n_order; i++) {
        struct node *node = c->order[i];
        struct facts *facts = &c->facts[node->index];
        bool missing = false;

        for (word = 0; word < c->n_words; word++)
            missing |= check_need(c, node, word);
        if (!missing)
            continue;
        facts->provides |= facts->needs & ~facts->revokes;
        facts->needs = 0;
        for (k = 0; k < c->b->n_nodes; k++)
            c->facts[k].at_input = c->facts[k].at_output = UINT64_MAX;
        find_flow(c);
    }
}

/* ---- Loops ------------------------------------------------------------ */

static const char *
loop_names(struct builder *b, const struct hg_element *e)
{
    const char *text = "";
    uint32_t i, n = e->cycle_end - e->cycle_begin;

    for (i = 0; i < n && i < 8; i++)
        text = lang_format(&b->memory, "%s%s'%s'", text,
                           !i          ? ""
                           : i + 1 < n ? ", "
                                       : " and ",
                           b->graph->sorted[e->cycle_begin + i]->name);
    if (n > 8)
        text = lang_format(&b->memory, "%s and %u more", text, n - 8);
    return text;
}

/* One warning for each, at the connection that closes it. */
static void
check_loops(struct checker *c)
{
    struct builder *b = c->b;
    bool *told = lang_alloc(&b->memory, b->graph->n_elements + 1);
    size_t i;

    for (i = 0; i < c->n_links; i++) {
        const struct node *from = c->links[i].from, *to = c->links[i].to;
        const struct hg_element *e = from->element;

        if (!to->element || !e->goes_round || !to->element->goes_round ||
            e->cycle_begin != to->element->cycle_begin ||
            to->element->order > e->order || told[e->cycle_begin])
            continue;
        told[e->cycle_begin] = true;
        build_enter(b, c->links[i].edge->scope);
        WARNING(b, &c->links[i].edge->to_end->place,
                "%s form a loop; packets that go round it more than 64 times "
                "are dropped",
                loop_names(b, e));
    }
}

void
check_graph(struct builder *b)
{
    struct checker c = {.b = b};
    size_t i;

    for (i = 0; i < b->n_nodes; i++) {
        build_enter(b, b->nodes[i]->scope);
        check_wiring(b, b->nodes[i]);
    }
    check_circles(b);
    find_links(&c);
    find_order(&c);
    check_reach(&c);
    check_needs(&c);
    check_loops(&c);
}
