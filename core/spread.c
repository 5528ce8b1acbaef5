/* spread.c: which zone each element works in when several workers share a
 * graph (headgate/spread.h).
 *
 * A plan begins with a guess: what must or had better be in FRONT, what needs
 * all packets in BACK, the rest in SPREAD.  Then every rule that is broken
 * moves somebody further back, from zone to zone, until none is.  That ends,
 * since nothing moves forward, and BACK breaks no rule.  Elements of a cycle
 * move together. */
#include <headgate/owner.h>
#include <headgate/spread.h>

#include <stdlib.h>
#include <string.h>

#include "graph_internal.h"

/* How packets that come to an element were dealt, or would have to be. */
struct deal {
    enum { NOT_AT_ALL, BY_OWNER, ANYHOW } how;
    struct hg_ask ask;
};

struct planner {
    const struct hg_graph *graph;
    struct hg_spread *plan;
    const struct hg_spread_device *devices;
    bool *is_reached;   /* Packets can come to, or from, the element. */
    struct deal *state; /* Of what leaves each element in SPREAD. */
    bool *visited;
    bool changed; /* Some state, ... */
    bool moved;   /* ... or the zone of some element. */
};

/* ---- Classes ---------------------------------------------------------- */

static bool
is_device(const struct hg_element *e)
{
    return (e->cls->flags & HG_CLASS_DEVICE) != 0;
}

static bool
has_owner(const struct hg_element *e)
{
    return e->cls->owner && !e->is_one_worker;
}

static bool
is_serial(const struct hg_element *e)
{
    return e->is_one_worker || !(e->cls->flags & HG_CLASS_PARALLEL ||
                                 e->cls->owner || e->cls->reported);
}

static bool
keeps_flow(const struct hg_element *e)
{
    return (e->cls->flags & HG_CLASS_KEEPS_FLOW) != 0;
}

/* Whether an element asks for the flow as all do (owner.h). */
static bool
asks_for_flow(const struct hg_element *e)
{
    return e->cls->owner == hg_flow_owner;
}

/* Whether what leaves 'e' would be dealt as what came was. */
static bool
keeps_deal(const struct hg_element *e, const struct hg_ask *ask)
{
    return keeps_flow(e) || (e->cls->flags & HG_CLASS_KEEPS_OWNER &&
                             asks_for_flow(ask->element));
}

/* Whether two questions have the same answer for every packet: those of one
 * element at one port have, those for the flow, and those of a class that
 * leaves it as it is. */
static bool
same_ask(const struct hg_ask *a, const struct hg_ask *b)
{
    if (a->element->cls->owner != b->element->cls->owner)
        return false;
    return asks_for_flow(a->element) || keeps_flow(a->element) ||
           (a->element == b->element && a->port == b->port);
}

static void
join(struct deal *a, const struct deal *b)
{
    if (a->how == NOT_AT_ALL)
        *a = *b;
    else if (b->how == ANYHOW || (b->how == BY_OWNER && a->how == BY_OWNER &&
                                  !same_ask(&a->ask, &b->ask)))
        a->how = ANYHOW;
}

/* ---- Cycles move together --------------------------------------------- */

static enum hg_zone *
zone_of(const struct planner *p, const struct hg_element *e)
{
    return &p->plan->zone[e->index];
}

static uint32_t
unit_begin(const struct hg_element *e)
{
    return e->in_cycle ? e->cycle_begin : e->order;
}

static uint32_t
unit_end(const struct hg_element *e)
{
    return e->in_cycle ? e->cycle_end : e->order + 1;
}

static void
move(struct planner *p, const struct hg_element *e, enum hg_zone zone)
{
    uint32_t i;

    for (i = unit_begin(e); i < unit_end(e); i++)
        *zone_of(p, p->graph->sorted[i]) = zone;
    p->moved = true;
}

static void
move_back(struct planner *p, const struct hg_element *e, enum hg_zone zone)
{
    if (*zone_of(p, e) < zone)
        move(p, e, zone);
}

static bool
unit_is_serial(const struct planner *p, const struct hg_element *e)
{
    uint32_t i;

    for (i = unit_begin(e); i < unit_end(e); i++)
        if (is_serial(p->graph->sorted[i]))
            return true;
    return false;
}

/* ---- Whom to ask ------------------------------------------------------ */

/* How packets that come in at 'port' of 'e' must be dealt; ANYHOW if that
 * cannot be said here. */
static struct deal
wanted(struct planner *p, const struct hg_element *e, unsigned port)
{
    struct deal all = {.how = NOT_AT_ALL};
    unsigned i;

    if (is_device(e) || *zone_of(p, e) != HG_SPREAD || p->visited[e->index])
        return all;
    if (has_owner(e))
        return (struct deal){BY_OWNER, {.element = e, .port = port}};
    p->visited[e->index] = true;
    for (i = 0; i < e->n_outputs; i++) {
        const struct output *o = &e->outputs[i];
        struct deal one;

        if (!o->peer)
            continue;
        one = wanted(p, o->peer, o->peer_port);
        join(&all, &one);
    }
    p->visited[e->index] = false;
    if (all.how == BY_OWNER && !keeps_deal(e, &all.ask))
        all.how = ANYHOW;
    return all;
}

/* ---- The guess -------------------------------------------------------- */

/* Elements, no devices, on the way from 'e' on, itself not counted. */
static unsigned
count_behind(struct planner *p, const struct hg_element *e)
{
    unsigned i, n = 0;

    for (i = 0; i < e->n_outputs; i++) {
        const struct hg_element *peer = e->outputs[i].peer;

        if (!peer || is_device(peer) || p->visited[peer->index])
            continue;
        p->visited[peer->index] = true;
        n += 1 + count_behind(p, peer);
    }
    return n;
}

static bool
leads_to(const struct hg_element *from, const struct hg_element *to)
{
    unsigned i;

    for (i = 0; i < from->n_outputs; i++)
        if (from->outputs[i].peer == to)
            return true;
    return false;
}

/* Marks what is on the way to 'e'; returns how many. */
static unsigned
mark_before(struct planner *p, const struct hg_element *e)
{
    size_t i;
    unsigned n = 0;

    for (i = 0; i < p->graph->n_elements; i++) {
        const struct hg_element *from = p->graph->elements[i];

        if (is_device(from) || p->visited[i] || !leads_to(from, e))
            continue;
        p->visited[i] = true;
        n += 1 + mark_before(p, from);
    }
    return n;
}

static void
forget_visits(struct planner *p)
{
    size_t i;

    for (i = 0; i < p->graph->n_elements; i++)
        p->visited[i] = false;
}

/* What needs all packets is in FRONT, with all that is before it, if more is
 * behind it than before. */
static void
place_serial(struct planner *p, const struct hg_element *e)
{
    unsigned behind, before;
    size_t i;

    forget_visits(p);
    behind = count_behind(p, e);
    forget_visits(p);
    before = mark_before(p, e);
    move(p, e, before < behind ? HG_FRONT : HG_BACK);
    if (before < behind)
        for (i = 0; i < p->graph->n_elements; i++)
            if (p->visited[i])
                move(p, p->graph->elements[i], HG_FRONT);
    forget_visits(p);
}

/* Puts into FRONT what must have been done before it can be said whom a
 * packet belongs to. */
static void
place_unclear(struct planner *p, const struct hg_element *from)
{
    unsigned i;

    for (i = 0; i < from->n_outputs; i++) {
        const struct output *o = &from->outputs[i];

        if (!o->peer || is_device(o->peer) ||
            *zone_of(p, o->peer) != HG_SPREAD)
            continue;
        if (wanted(p, o->peer, o->peer_port).how == ANYHOW)
            move(p, o->peer, HG_FRONT);
    }
}

static void
guess(struct planner *p)
{
    const struct hg_graph *g = p->graph;
    size_t i;

    for (i = 0; i < g->n_elements; i++)
        p->plan->zone[i] = g->elements[i]->n_inputs ? HG_SPREAD : HG_FRONT;
    for (i = 0; i < g->n_elements; i++)
        if (g->sorted[i]->n_inputs && !is_device(g->sorted[i]) &&
            unit_is_serial(p, g->sorted[i]))
            place_serial(p, g->sorted[i]);
    for (i = 0; i < g->n_elements; i++)
        if (p->is_reached[i] && is_device(g->elements[i]))
            place_unclear(p, g->elements[i]);
    for (i = 0; i < g->n_elements; i++)
        if (p->is_reached[g->sorted[i]->index] && !is_device(g->sorted[i]) &&
            *zone_of(p, g->sorted[i]) == HG_FRONT)
            place_unclear(p, g->sorted[i]);
}

/* ---- The rules -------------------------------------------------------- */

/* How the packets on this connection were dealt. */
static struct deal
dealt(struct planner *p, const struct hg_element *from, const struct output *o)
{
    struct deal deal;

    if (!is_device(from) && *zone_of(p, from) == HG_SPREAD)
        return p->state[from->index];
    deal = wanted(p, o->peer, o->peer_port);
    if (deal.how == NOT_AT_ALL)
        deal.how = ANYHOW;
    return deal;
}

/* A connection into SPREAD, or within it. */
static void
check_dealt(struct planner *p, const struct hg_element *from,
            const struct output *o)
{
    struct deal deal = dealt(p, from, o), *state = &p->state[o->peer->index];
    const struct hg_ask here = {.element = o->peer, .port = o->peer_port};

    if (has_owner(o->peer)) {
        if (deal.how == ANYHOW ||
            (deal.how == BY_OWNER && !same_ask(&deal.ask, &here))) {
            move_back(p, o->peer, HG_BACK);
            return;
        }
    }
    if (deal.how == BY_OWNER && !keeps_deal(o->peer, &deal.ask))
        deal.how = ANYHOW;
    if (state->how != ANYHOW) {
        struct deal was = *state;

        join(state, &deal);
        if (state->how != was.how)
            p->changed = true;
    }
}

static void
check_outputs(struct planner *p, const struct hg_element *from)
{
    unsigned i;

    for (i = 0; i < from->n_outputs; i++) {
        const struct output *o = &from->outputs[i];

        if (!o->peer || is_device(o->peer))
            continue;
        if (!is_device(from))
            move_back(p, o->peer, *zone_of(p, from));
        if (o->peer->cls->credit && !is_device(from))
            move_back(p, from, *zone_of(p, o->peer));
        if (*zone_of(p, o->peer) == HG_SPREAD)
            check_dealt(p, from, o);
    }
}

/* An element and one that it refers to work in the same place, unless the
 * other is for all, or reports to where it is. */
static void
check_references(struct planner *p, const struct hg_element *e)
{
    size_t i;

    for (i = 0; i < e->cls->n_fields; i++) {
        const struct hg_field *f = &e->cls->fields[i];
        const struct hg_element *other;

        if (f->type != HG_TYPE_ELEMENT || e->cls->reported)
            continue;
        other = *(struct hg_element *const *)((const uint8_t *)e +
                                              HG_ELEMENT_SIZE + f->offset);
        if (!other || other->cls->flags & HG_CLASS_PASSIVE)
            continue;
        move_back(p, e, *zone_of(p, other));
        move_back(p, other, *zone_of(p, e));
    }
}

static void
settle(struct planner *p)
{
    size_t n = p->graph->n_elements, i;

    do {
        p->moved = false;
        memset(p->state, 0, n * sizeof *p->state);
        do {
            p->changed = false;
            for (i = 0; i < n; i++) {
                const struct hg_element *e = p->graph->sorted[i];

                if (p->is_reached[e->index])
                    check_outputs(p, e);
                check_references(p, e);
            }
        } while (p->changed && !p->moved);
    } while (p->moved);
}

/* ---- What cannot be --------------------------------------------------- */

/* A device that answers is with the workers: what goes to it must come from
 * there, and what comes from it stay. */
static bool
check_answers(const struct planner *p, struct hg_error *error)
{
    const struct hg_graph *g = p->graph;
    size_t i;
    unsigned k;

    for (i = 0; i < g->n_elements; i++)
        for (k = 0; k < g->elements[i]->n_outputs; k++) {
            const struct hg_element *from = g->elements[i];
            const struct hg_element *to = from->outputs[k].peer;

            if (!to)
                continue;
            if (p->devices[i].answers &&
                (is_device(to) || *zone_of(p, to) != HG_SPREAD))
                return hg_error_set(
                    error,
                    "answers of '%s' would have to go through '%s', which "
                    "several workers cannot share; leave --workers out",
                    from->name, to->name);
            if (p->devices[to->index].answers &&
                !(from->cls->flags & HG_CLASS_UNANSWERED) &&
                (is_device(from) || *zone_of(p, from) != HG_SPREAD))
                return hg_error_set(
                    error,
                    "'%s' needs all packets at one place, so several workers "
                    "cannot have '%s' answer what it sends; leave --workers "
                    "out",
                    from->name, to->name);
        }
    return true;
}

static bool
check_gain(const struct planner *p, struct hg_error *error)
{
    const struct hg_graph *g = p->graph;
    const struct hg_element *culprit = NULL;
    size_t i;

    for (i = 0; i < g->n_elements; i++) {
        const struct hg_element *e = g->sorted[i];

        if (is_device(e) || !e->n_inputs)
            continue;
        if (*zone_of(p, e) == HG_SPREAD)
            return true;
        if (!culprit && is_serial(e))
            culprit = e;
    }
    if (!culprit)
        return hg_error_set(error, "the graph has nothing that several "
                                   "workers could share; leave --workers "
                                   "out");
    return hg_error_set(error,
                        "'%s' (%s) needs all packets at one place, and "
                        "nothing is left that several workers could share; "
                        "leave --workers out",
                        culprit->name, culprit->cls->name);
}

/* ---- What packets reach ----------------------------------------------- */

static void
reach(struct planner *p, const struct hg_element *e)
{
    unsigned i;

    p->is_reached[e->index] = true;
    for (i = 0; i < e->n_outputs; i++) {
        const struct hg_element *peer = e->outputs[i].peer;

        if (peer && !is_device(peer) && !p->is_reached[peer->index])
            reach(p, peer);
    }
}

static void
find_reached(struct planner *p)
{
    size_t i;

    for (i = 0; i < p->graph->n_elements; i++) {
        const struct hg_element *e = p->graph->elements[i];

        if (is_device(e) ? p->devices[i].receives || p->devices[i].answers
                         : !e->n_inputs)
            reach(p, e);
    }
}

/* ---- Plans ------------------------------------------------------------ */

static void
describe(struct planner *p)
{
    struct hg_spread *plan = p->plan;
    size_t i;

    for (i = 0; i < plan->n; i++) {
        const struct hg_element *e = p->graph->elements[i];
        struct deal deal = wanted(p, e, 0);

        if (deal.how == BY_OWNER) {
            plan->ask[i] = deal.ask;
            plan->ask[i].for_flow = asks_for_flow(deal.ask.element);
        }
        plan->order[i] = e->order;
        if (!p->is_reached[i] || is_device(e))
            continue;
        if (plan->zone[i] == HG_FRONT && !(e->cls->flags & HG_CLASS_PASSIVE))
            plan->has_front = true;
    }
}

bool
hg_spread_plan(struct hg_spread *plan, const struct hg_graph *g,
               const struct hg_spread_device *devices, struct hg_error *error)
{
    size_t n = g->n_elements;
    struct planner p = {.graph = g, .plan = plan, .devices = devices};
    bool ok;

    *plan = (struct hg_spread){.n = n};
    plan->zone = xcalloc(n + 1, sizeof *plan->zone);
    plan->ask = xcalloc(n + 1, sizeof *plan->ask);
    plan->order = xcalloc(n + 1, sizeof *plan->order);
    p.is_reached = xcalloc(n + 1, sizeof *p.is_reached);
    p.state = xcalloc(n + 1, sizeof *p.state);
    p.visited = xcalloc(n + 1, sizeof *p.visited);
    find_reached(&p);
    guess(&p);
    settle(&p);
    describe(&p);
    ok = check_answers(&p, error) && check_gain(&p, error);
    free(p.is_reached);
    free(p.state);
    free(p.visited);
    if (!ok)
        hg_spread_uninit(plan);
    return ok;
}

void
hg_spread_uninit(struct hg_spread *plan)
{
    free(plan->zone);
    free(plan->ask);
    free(plan->order);
    *plan = (struct hg_spread){0};
}

unsigned
hg_spread_worker(const struct hg_spread *plan, const struct hg_element *e,
                 unsigned port, struct hg_packet *p, unsigned n,
                 struct hg_fragment_table *firsts)
{
    const struct hg_ask *ask = &plan->ask[e->index];
    const struct hg_element *owner = ask->element;

    if (ask->for_flow)
        return owner_deal(owner->graph, p, n, firsts);
    if (!owner)
        return (unsigned)((uint64_t)hg_packet_hash(p) * n >> 32);
    return owner->cls->owner(
        hg_element_self((struct hg_element *)(uintptr_t)owner), p,
        owner == e ? port : ask->port, n);
}

uint64_t
hg_spread_glance(const struct hg_spread *plan, const struct hg_element *e,
                 const struct hg_frame *frame, unsigned n_frames, unsigned n,
                 unsigned mine, uint64_t *unsaid)
{
    const struct hg_element *owner = plan->ask[e->index].element;

    if (owner && asks_for_flow(owner))
        return owner_glance(owner->graph, frame, n_frames, n, mine, unsaid);
    *unsaid = UINT64_MAX;
    return 0;
}

size_t
hg_element_index(const struct hg_element *e)
{
    return e->index;
}
