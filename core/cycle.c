/* cycle.c: decides how packets pass each cycle of a graph.
 *
 * A packet that comes to an element a second time meets the state that packets
 * behind it in the batch touched the first time.  One packet after the other
 * is always right, and slow.  But elements whose state is that of flows, and
 * which leave addresses as they are, cannot tell the difference if no two
 * packets of a batch have the same owner (class.owner).  What logs packets
 * in the order in which they come (class.reported) cannot either, where each
 * comes but once.  So can a router be passed that has its filters on the way
 * in and on the way out.
 *
 * Whether packets come back at all depends on the way within the elements
 * (HG_CLASS_STRAIGHT): what a filter has in both directions is a cycle of
 * elements, but no packet goes round it. */
#include <stdlib.h>
#include <string.h>

#include "graph_internal.h"

struct place {
    const struct hg_element *e;
    unsigned in;
};

struct judge {
    const struct hg_graph *graph;
    uint32_t begin, end;  /* The cycle. */
    bool **visited;       /* Of each element of the cycle, by its input. */
    struct place *places; /* From where a visit has to go on. */
};

static bool
is_inside(const struct judge *j, const struct hg_element *e)
{
    return e && e->order >= j->begin && e->order < j->end;
}

static bool
names_input(const struct hg_element *e, const char *name)
{
    unsigned i;

    for (i = 0; i < e->n_inputs; i++)
        if (!strcmp(e->inputs[i].name, name))
            return true;
    return false;
}

/* Whether a packet that came in at 'in' may leave by this output. */
static bool
leads(const struct hg_element *e, unsigned in, const struct output *o)
{
    return !(e->cls->flags & HG_CLASS_STRAIGHT) ||
           !strcmp(e->inputs[in].name, o->name) || !names_input(e, o->name);
}

/* Visits whatever a packet may come to that is at input 'in' of 'e'. */
static void
visit(struct judge *j, const struct hg_element *e, unsigned in)
{
    size_t n = 0;
    unsigned i;

    j->places[n++] = (struct place){e, in};
    while (n) {
        const struct place at = j->places[--n];

        for (i = 0; i < at.e->n_outputs; i++) {
            const struct output *o = &at.e->outputs[i];
            bool *visited;

            if (!is_inside(j, o->peer) || !leads(at.e, at.in, o))
                continue;
            visited = &j->visited[o->peer->order - j->begin][o->peer_port];
            if (!*visited)
                j->places[n++] = (struct place){o->peer, o->peer_port};
            *visited = true;
        }
    }
}

static void
forget_visits(struct judge *j)
{
    uint32_t i;

    for (i = j->begin; i < j->end; i++)
        memset(j->visited[i - j->begin], 0, j->graph->sorted[i]->n_inputs);
}

/* Whether a packet may come to the same input twice; '*again' if to the same
 * element. */
static bool
comes_back(struct judge *j, const struct hg_element *e, bool *again)
{
    const bool *visited = j->visited[e->order - j->begin];
    bool back = false;
    unsigned in, i;

    for (in = 0; in < e->n_inputs; in++) {
        forget_visits(j);
        visit(j, e, in);
        back |= visited[in];
        for (i = 0; i < e->n_inputs; i++)
            *again |= visited[i];
    }
    return back;
}

/* How packets can pass, as far as this element goes. */
static enum passage
passage_of(const struct hg_element *e, bool again)
{
    const uint32_t flags = e->cls->flags;

    if (e->is_one_worker || !(flags & HG_CLASS_KEEPS_FLOW))
        return PASS_ONE_BY_ONE;
    if (flags & HG_CLASS_PARALLEL)
        return PASS_AT_ONCE;
    if (e->cls->owner)
        return PASS_BY_OWNER;
    return e->cls->reported && !again ? PASS_AT_ONCE : PASS_ONE_BY_ONE;
}

static void
judge_cycle(struct judge *j)
{
    enum passage passage = PASS_AT_ONCE;
    unsigned (*owner)(void *, struct hg_packet *, unsigned, unsigned) = NULL;
    bool goes_round = false;
    uint32_t i;

    for (i = j->begin; i < j->end; i++) {
        const struct hg_element *e = j->graph->sorted[i];
        bool again = false;
        enum passage one;

        goes_round |= comes_back(j, e, &again);
        one = passage_of(e, again);
        if (one == PASS_BY_OWNER && owner && owner != e->cls->owner)
            one = PASS_ONE_BY_ONE;
        if (one == PASS_BY_OWNER)
            owner = e->cls->owner;
        if (one < passage)
            passage = one;
    }
    for (i = j->begin; i < j->end; i++) {
        j->graph->sorted[i]->goes_round = goes_round;
        j->graph->sorted[i]->passage = goes_round ? PASS_ONE_BY_ONE : passage;
    }
}

void
cycles_judge(struct hg_graph *g)
{
    struct judge j = {.graph = g};
    size_t n_inputs;
    uint32_t i;

    for (; j.end < g->n_elements;) {
        const struct hg_element *e = g->sorted[j.end];

        j.begin = j.end;
        j.end = e->in_cycle ? e->cycle_end : j.end + 1;
        if (!e->in_cycle)
            continue;
        j.visited = xcalloc(j.end - j.begin, sizeof *j.visited);
        n_inputs = 0;
        for (i = j.begin; i < j.end; i++) {
            j.visited[i - j.begin] =
                xcalloc(g->sorted[i]->n_inputs + 1u, sizeof **j.visited);
            n_inputs += g->sorted[i]->n_inputs;
        }
        j.places = xcalloc(n_inputs + 1, sizeof *j.places);
        judge_cycle(&j);
        for (i = j.begin; i < j.end; i++)
            free(j.visited[i - j.begin]);
        free(j.visited);
        free(j.places);
    }
}
