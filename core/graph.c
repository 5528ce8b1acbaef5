/* graph.c: makes a graph piece by piece, orders it, starts and stops it, and
 * accounts for it.  build.c makes one from a file with these functions;
 * dispatch.c runs it; element.c is the view from inside an element. */
#include <stdlib.h>
#include <string.h>

#include "graph_internal.h"
#include "lang.h"
#include "pool.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

struct hg_graph *
hg_graph_create(const struct hg_graph_config *config)
{
    struct hg_graph *g = xcalloc(1, sizeof *g);

    g->plugins = config->plugins;
    g->seed = config->seed;
    g->live = config->live;
    g->span_ns = HG_NEVER;
    g->kin = config->kin;
    g->n_workers = config->n_workers > 1 ? config->n_workers : 1;
    g->worker = config->worker;
    g->seq_stride = 1;
    g->wheel = hg_wheel_create();
    g->pool = hg_pool_create(config->max_packets);
    if (!g->wheel || !g->pool) {
        fputs("headgate: out of memory\n", stderr);
        exit(1);
    }
    if (g->kin)
        hg_pool_join(g->pool, g->kin->pool);
    hg_pool_set_seed(g->pool, config->seed);
    return g;
}

static void
element_destroy(struct hg_element *e)
{
    unsigned i;

    if (e->cls->free)
        e->cls->free(hg_element_self(e));
    options_free(hg_element_self(e), e->cls->fields, e->cls->n_fields);
    for (i = 0; i < e->n_outputs; i++)
        free(e->outputs[i].name);
    for (i = 0; i < e->n_inputs; i++)
        free(e->inputs[i].name);
    free(e->outputs);
    free(e->inputs);
    free(e->name);
    free(e);
}

static void
free_pending(struct hg_element *e)
{
    while (e->pending) {
        struct hg_batch *b = e->pending;

        e->pending = b->next;
        hg_packet_free_many(b->p, b->n);
        free(b);
    }
}

void
hg_graph_destroy(struct hg_graph *g)
{
    size_t i;

    if (!g)
        return;
    for (i = 0; i < g->n_elements; i++)
        free_pending(g->elements[i]);
    for (i = 0; i < g->n_elements; i++)
        element_destroy(g->elements[i]);
    while (g->free_batches) {
        struct hg_batch *b = g->free_batches;

        g->free_batches = b->next;
        free(b);
    }
    for (i = 0; i < g->n_metadata; i++)
        free(g->metadata[i].name);
    if (g->free_building)
        g->free_building(g->building);
    flow_table_destroy(g);
    diversions_free(g);
    hg_wheel_destroy(g->wheel);
    hg_pool_destroy(g->pool);
    free(g->metadata);
    free(g->scratch);
    free(g->entries);
    free(g->owners);
    free(g->externals.slot);
    free(g->pending_bits);
    free(g->sorted);
    free(g->elements);
    free(g);
}

/* Calls 'declare' for each word of "in out? *"; "*" is for the manual. */
static void
declare_ports(struct hg_element *e, const char *names, bool output)
{
    char *copy, *word, *save = NULL;

    if (!names)
        return;
    copy = xstrdup(names);
    for (word = strtok_r(copy, " ", &save); word;
         word = strtok_r(NULL, " ", &save)) {
        size_t len = strlen(word);
        bool optional = word[len - 1] == '?';

        if (!strcmp(word, "*"))
            continue;
        if (optional)
            word[len - 1] = '\0';
        if (output) {
            hg_declare_output(hg_element_self(e), word, optional);
        } else {
            int port = hg_declare_input(hg_element_self(e), word);

            if (port >= 0)
                e->inputs[port].optional = optional;
        }
    }
    free(copy);
}

struct hg_element *
hg_graph_add(struct hg_graph *g, const struct hg_class *cls, const char *name)
{
    size_t size = (HG_ELEMENT_SIZE + cls->self_size + 63) & ~(size_t)63;
    struct hg_element *e = aligned_alloc(64, size);

    if (!e) {
        fputs("headgate: out of memory\n", stderr);
        exit(1);
    }
    memset(e, 0, size);
    e->cls = cls;
    e->graph = g;
    e->name = xstrdup(name);
    e->seed = XXH3_64bits_withSeed(name, strlen(name), g->seed);
    e->random = e->seed;
    e->index = (uint32_t)g->n_elements;
    e->span_ns = HG_NEVER;
    options_default(hg_element_self(e), cls->fields, cls->n_fields);
    declare_ports(e, cls->inputs, false);
    declare_ports(e, cls->outputs, true);
    if (!(g->n_elements & (g->n_elements + 1))) /* Room for twice as many. */
        g->elements = xrealloc(g->elements,
                               2 * (g->n_elements + 1) * sizeof *g->elements);
    g->elements[g->n_elements++] = e;
    return e;
}

void
hg_graph_set_diags(struct hg_graph *g, struct hg_diags *diags)
{
    g->diags = diags;
}

bool
hg_graph_connect(struct hg_graph *g, struct hg_element *from, unsigned out,
                 struct hg_element *to, unsigned in, struct hg_error *error)
{
    struct output *o;

    (void)g;
    if (out >= from->n_outputs)
        return hg_error_set(error, "'%s' has no output %u; it has %u",
                            from->name, out, from->n_outputs);
    if (in >= to->n_inputs)
        return hg_error_set(error, "'%s' has no input %u; it has %u", to->name,
                            in, to->n_inputs);
    o = &from->outputs[out];
    if (o->peer)
        return hg_error_set(
            error,
            "output '%s' of '%s' already leads to '%s'; a Tee copies packets",
            o->name, from->name, o->peer->name);
    o->peer = to;
    o->peer_port = (uint16_t)in;
    return true;
}

/* ---- Order ------------------------------------------------------------ */

/* Tarjan's strongly connected components (SIAM J. Comput. 1(2), 1972).  They
 * come out in reverse topological order. */
struct way {
    struct hg_element *from;
    unsigned n_left; /* Outputs to be looked at. */
};

struct tarjan {
    struct hg_graph *graph;
    struct way *way;  /* By element index. */
    uint32_t *number; /* The same; 0: not visited. */
    uint32_t *low;
    bool *on_stack;
    struct hg_element **stack;
    size_t n_stack;
    uint32_t n_visited;
    uint32_t next_order; /* Counts down. */
};

/* Devices take packets in and out, but what goes in does not come out again:
 * they are where the graph ends, and their outputs are not part of it. */
static bool
is_edge(const struct hg_element *e, const struct output *o)
{
    return o->peer && !(e->cls->flags & HG_CLASS_DEVICE);
}

static void
number_component(struct tarjan *t, struct hg_element *root)
{
    size_t base = t->n_stack;
    uint32_t size, i, end = t->next_order;
    bool cycle;

    do
        base--;
    while (t->stack[base] != root);
    size = (uint32_t)(t->n_stack - base);
    cycle = size > 1;
    for (i = 0; i < root->n_outputs; i++)
        if (is_edge(root, &root->outputs[i]) && root->outputs[i].peer == root)
            cycle = true;
    t->next_order -= size;
    for (i = 0; i < size; i++) {
        struct hg_element *e = t->stack[base + i];

        e->order = t->next_order + i;
        e->in_cycle = cycle;
        e->cycle_begin = t->next_order;
        e->cycle_end = end;
        t->graph->sorted[e->order] = e;
        t->on_stack[e->index] = false;
    }
    t->n_stack = base;
}

/* Now at 'e', which was not visited before. */
static struct hg_element *
step_to(struct tarjan *t, struct hg_element *e, struct hg_element *from)
{
    struct way *way = &t->way[e->index];

    t->number[e->index] = t->low[e->index] = ++t->n_visited;
    t->stack[t->n_stack++] = e;
    t->on_stack[e->index] = true;
    way->from = from;
    way->n_left = e->n_outputs;
    return e;
}

static void
lower(struct tarjan *t, const struct hg_element *e, uint32_t number)
{
    if (number < t->low[e->index])
        t->low[e->index] = number;
}

/* A loop, since a graph may be deeper than the stack. */
static void
visit(struct tarjan *t, struct hg_element *e)
{
    e = step_to(t, e, NULL);
    while (e) {
        struct way *way = &t->way[e->index];
        const struct output *o;

        if (!way->n_left) {
            if (t->low[e->index] == t->number[e->index])
                number_component(t, e);
            else
                lower(t, way->from, t->low[e->index]);
            e = way->from;
            continue;
        }
        o = &e->outputs[--way->n_left];
        if (!is_edge(e, o))
            continue;
        if (!t->number[o->peer->index])
            e = step_to(t, o->peer, e);
        else if (t->on_stack[o->peer->index])
            lower(t, e, t->number[o->peer->index]);
    }
}

static void
visit_once(struct tarjan *t, struct hg_element *e)
{
    if (e && !t->number[e->index])
        visit(t, e);
}

/* From where packets come in, so that a cycle begins where it is entered. */
static void
visit_from_source(struct tarjan *t, struct hg_element *e)
{
    unsigned i;

    if (e->cls->flags & HG_CLASS_DEVICE)
        for (i = 0; i < e->n_outputs; i++)
            visit_once(t, e->outputs[i].peer);
    else if (!e->n_inputs)
        visit_once(t, e);
}

static void
mark_outputs(struct hg_element *e)
{
    unsigned i;

    for (i = 0; i < e->n_outputs; i++) {
        struct output *o = &e->outputs[i];

        if (!o->peer)
            continue;
        o->next = o->peer->inputs[o->peer_port].feeds;
        o->peer->inputs[o->peer_port].feeds = o;
        o->tags = o->peer->n_inputs > 1;
        o->back = is_edge(e, o) && e->goes_round && o->peer->goes_round &&
                  o->peer->cycle_begin == e->cycle_begin &&
                  o->peer->order <= e->order;
    }
}

void
hg_graph_finish(struct hg_graph *g)
{
    size_t n = g->n_elements, i;
    struct tarjan t = {.graph = g, .next_order = (uint32_t)n};

    t.way = xcalloc(n, sizeof *t.way);
    t.number = xcalloc(n, sizeof *t.number);
    t.low = xcalloc(n, sizeof *t.low);
    t.on_stack = xcalloc(n, sizeof *t.on_stack);
    t.stack = xcalloc(n, sizeof *t.stack);
    g->sorted = xcalloc(n, sizeof *g->sorted);
    g->n_words = n / 64 + 1;
    g->pending_bits = xcalloc(g->n_words, sizeof *g->pending_bits);
    for (i = n; i-- > 0;)
        visit_from_source(&t, g->elements[i]);
    for (i = n; i-- > 0;)
        visit_once(&t, g->elements[i]);
    cycles_judge(g);
    for (i = 0; i < n; i++)
        mark_outputs(g->elements[i]);
    hg_pool_set_meta(g->pool, (unsigned)g->metadata_used);
    free(t.way);
    free(t.number);
    free(t.low);
    free(t.on_stack);
    free(t.stack);
}

/* ---- Starting and stopping -------------------------------------------- */

bool
hg_graph_start(struct hg_graph *g, uint64_t now_ns, struct hg_error *error)
{
    struct hg_error why = {""};
    size_t i;

    hg_graph_advance(g, now_ns);
    g->started = true;
    if (!flow_table_start(g, error))
        return false;
    for (i = 0; i < g->n_elements; i++) {
        struct hg_element *e = g->sorted[i];

        if (element_is_idle(e))
            continue;
        if (e->cls->start && !e->cls->start(hg_element_self(e), &why))
            return hg_error_set(error, "'%s': %s", e->name, why.text);
        e->started = true;
        if (g->torn)
            return hg_error_set(error,
                                "'%s' needs '%s', but several workers run "
                                "them in different places; leave --workers "
                                "out",
                                e->name, g->torn->name);
    }
    hg_graph_dispatch(g);
    return true;
}

void
hg_graph_stop(struct hg_graph *g)
{
    size_t i;

    if (g->started)
        flow_table_settle(g);
    for (i = 0; i < g->n_elements; i++) {
        struct hg_element *e = g->sorted[i];

        if (e->started && e->cls->stop)
            e->cls->stop(hg_element_self(e));
        e->started = false;
    }
}

/* ---- Looking ---------------------------------------------------------- */

struct hg_pool *
hg_graph_pool(struct hg_graph *g)
{
    return g->pool;
}

uint64_t
hg_graph_now(const struct hg_graph *g)
{
    return hg_wheel_now(g->wheel);
}

size_t
hg_graph_n_elements(const struct hg_graph *g)
{
    return g->n_elements;
}

struct hg_element *
hg_graph_element(const struct hg_graph *g, size_t i)
{
    return i < g->n_elements ? g->elements[i] : NULL;
}

struct hg_element *
hg_graph_find(const struct hg_graph *g, const char *name)
{
    size_t i;

    for (i = 0; i < g->n_elements; i++)
        if (!strcmp(g->elements[i]->name, name))
            return g->elements[i];
    return NULL;
}

void
hg_element_output(const struct hg_element *e, unsigned port,
                  struct hg_port_info *info)
{
    const struct output *o = &e->outputs[port];

    *info = (struct hg_port_info){.name = o->name,
                                  .optional = o->optional,
                                  .peer = o->peer,
                                  .peer_port = o->peer_port,
                                  .packets = o->packets,
                                  .bytes = o->bytes};
}

void
hg_element_input(const struct hg_element *e, unsigned port,
                 struct hg_port_info *info)
{
    const struct output *o;

    *info = (struct hg_port_info){.name = e->inputs[port].name,
                                  .optional = e->inputs[port].optional};
    for (o = e->inputs[port].feeds; o; o = o->next) {
        info->packets += o->packets;
        info->bytes += o->bytes;
    }
}

void
hg_element_account(const struct hg_element *e, struct hg_account *a)
{
    unsigned i;

    *a = (struct hg_account){.received = e->received,
                             .sent = e->sent,
                             .made = e->made,
                             .dropped = e->dropped,
                             .held = e->held,
                             .unwired = e->unwired,
                             .loop = e->loop};
    for (i = 0; i < e->n_inputs; i++) {
        struct hg_port_info info;

        hg_element_input(e, i, &info);
        a->in += info.packets;
        a->in_bytes += info.bytes;
    }
    for (i = 0; i < e->n_outputs; i++)
        if (e->outputs[i].peer) {
            a->out += e->outputs[i].packets;
            a->out_bytes += e->outputs[i].bytes;
        }
}

/* What the element counted as dropped, reason by reason, is what it
 * dropped. */
static bool
reasons_agree(const struct hg_element *e)
{
    uint64_t sum = e->unwired + e->loop;
    size_t i;

    for (i = 0; i < e->cls->n_fields; i++)
        if (e->cls->fields[i].kind == HG_FIELD_REASON)
            sum += hg_element_number(e, &e->cls->fields[i]);
    return sum == e->dropped;
}

bool
hg_graph_account(const struct hg_graph *g, struct hg_account *total)
{
    bool balanced = true;
    size_t i;

    *total = (struct hg_account){0};
    for (i = 0; i < g->n_elements; i++) {
        struct hg_account a;

        hg_element_account(g->elements[i], &a);
        if (a.in + a.received + a.made !=
                a.out + a.sent + a.dropped + a.held ||
            !reasons_agree(g->elements[i]))
            balanced = false;
        total->received += a.received;
        total->sent += a.sent;
        total->made += a.made;
        total->dropped += a.dropped;
        total->held += a.held;
    }
    return balanced && total->received + total->made ==
                           total->sent + total->dropped + total->held;
}
