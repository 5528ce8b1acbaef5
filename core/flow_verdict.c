/* flow_verdict.c: verdicts that flows remember for stateless elements
 * (headgate/flow.h).
 *
 * Behind the users' blocks a record has an area for either direction, by which
 * end of the ordered key the packet comes from, so that what a packet will
 * need can be fetched before its record is here.  An area has a slot for each
 * element, or each of its input ports: a stamp, and the verdict.  The stamp is
 * the epoch of the element's tables and, if the packet was as the flow's
 * second key says, the key's number: packets of an earlier key may still be on
 * their way. Epoch 0 is never current. */
#include <stdlib.h>
#include <string.h>

#include "flow_table.h"

struct flow_verdict {
    struct hg_element *element;
    bool by_input;
    uint32_t epoch;
    uint32_t n_inputs;  /* As far as packets come in; 1 if not by input. */
    uint32_t port_mask; /* 0 where that is 1, also because there is one input:
                         * packets say by which they came in only where there
                         * is a choice. */
    size_t size;        /* Of a verdict. */
    size_t stride;      /* Of a slot. */
    size_t offset;      /* Of the first slot in a record. */
    size_t area_size;   /* As far behind is that of the other direction. */
};

void
hg_flow_declare_verdict(void *self, size_t size, bool by_input)
{
    struct hg_element *e = hg_element_of(self);
    struct flow_table *t = flow_table_get(e->graph);
    size_t stride = (sizeof(uint32_t) + size + 3) & ~(size_t)3;

    if (e->flow_verdict)
        return;
    t->verdicts =
        xrealloc(t->verdicts, (t->n_verdicts + 1) * sizeof *t->verdicts);
    t->verdicts[t->n_verdicts++] =
        (struct flow_verdict){.element = e,
                              .by_input = by_input && e->n_inputs > 1,
                              .epoch = 1,
                              .size = size,
                              .stride = stride};
    e->flow_verdict = (uint32_t)t->n_verdicts;
}

/* Inputs up to the last one that something leads to. */
static uint32_t
inputs_in_use(const struct hg_element *e)
{
    const struct hg_graph *g = e->graph;
    uint32_t n = 1;
    size_t i, k;

    for (i = 0; i < g->n_elements; i++)
        for (k = 0; k < g->elements[i]->n_outputs; k++) {
            const struct output *o = &g->elements[i]->outputs[k];

            if (o->peer == e && o->peer_port >= n)
                n = o->peer_port + 1u;
        }
    return n;
}

size_t
flow_verdicts_lay_out(struct flow_table *t)
{
    size_t i, size = 0;

    for (i = 0; i < t->n_verdicts; i++) {
        struct flow_verdict *v = &t->verdicts[i];

        v->n_inputs = v->by_input ? inputs_in_use(v->element) : 1;
        v->port_mask = v->by_input ? UINT32_MAX : 0;
        v->offset = t->verdict_offset + size;
        size += v->stride * v->n_inputs;
    }
    for (i = 0; i < t->n_verdicts; i++)
        t->verdicts[i].area_size = size;
    return size;
}

enum {
    KEY_SHIFT = HG_FLOW_BITS - 1, /* Where HG_FLOW_SECOND is. */
    KEY_BITS = SECONDS_BITS + 1,
    EPOCH_BITS = 32 - KEY_BITS
};

_Static_assert(HG_FLOW_SECOND == 1 << KEY_SHIFT, "seconds follow it");

/* What a slot says that holds a verdict for packets like this one. */
static inline uint32_t
stamp_of(const struct flow_verdict *v, const struct hg_packet *p)
{
    uint32_t key = p->flow_generation >> KEY_SHIFT & ((1u << KEY_BITS) - 1);

    return v->epoch << KEY_BITS | (key & 1 ? key : 0);
}

/* Whether flows remember verdicts for it: ICMP is judged by its type,
 * fragments by more than they have. */
static inline bool
is_remembered_for(const struct hg_packet *p)
{
    return (p->flags & (HG_PACKET_PORTS | HG_PACKET_FRAGMENT)) ==
               HG_PACKET_PORTS &&
           flow_is_remembered(p) && !(p->flow_generation & HG_FLOW_REWRITTEN);
}

/* The slot for this packet; NULL if there is none. */
static inline uint32_t *
slot_of(const struct flow_verdict *v, const struct hg_packet *p)
{
    uint32_t port = p->in_port & v->port_mask;
    bool high;

    if (!is_remembered_for(p) || port >= v->n_inputs)
        return NULL;
    high = (p->flow_generation & HG_FLOW_AGAINST) !=
           ((flow_kind(p->flow, 0) & FLOW_SWAPPED) != 0);
    return (uint32_t *)(void *)((uint8_t *)p->flow + v->offset +
                                (high ? v->area_size : 0) + port * v->stride);
}

unsigned
hg_flow_verdicts(void *self, struct hg_packet *const *packets, unsigned n,
                 const void **verdict)
{
    struct hg_element *e = hg_element_of(self);
    struct flow_verdict v;
    unsigned known = 0, i;

    if (!e->flow_verdict) {
        memset(verdict, 0, n * sizeof *verdict);
        return 0;
    }
    v = e->graph->flows->verdicts[e->flow_verdict - 1];
    for (i = 0; i < n; i++) {
        const struct hg_packet *p = packets[i];
        const uint32_t *slot = slot_of(&v, p);
        bool is_known = slot && *slot == stamp_of(&v, p);

        verdict[i] = is_known ? slot + 1 : NULL;
        known += is_known;
    }
    return known;
}

void
hg_flow_know_verdict(void *self, const struct hg_packet *p,
                     const void *verdict)
{
    struct hg_element *e = hg_element_of(self);
    const struct flow_verdict *v;
    uint32_t *slot;

    if (!e->flow_verdict)
        return;
    v = &e->graph->flows->verdicts[e->flow_verdict - 1];
    slot = slot_of(v, p);
    if (!slot)
        return;
    *slot = stamp_of(v, p);
    memcpy(slot + 1, verdict, v->size);
}

/* Once in 2^EPOCH_BITS changes what is remembered has to go for good. */
static void
forget_all(struct flow_table *t)
{
    uint64_t i;

    for (i = 0; i < t->n_begun; i++)
        flow_verdicts_clear(t, flow_table_record(t, i));
}

void
hg_tables_changed(void *self)
{
    struct hg_element *e = hg_element_of(self);
    struct flow_table *t = e->graph->flows;
    struct flow_verdict *v;

    if (!e->flow_verdict)
        return;
    v = &t->verdicts[e->flow_verdict - 1];
    if (!(++v->epoch >> EPOCH_BITS))
        return;
    v->epoch = 1;
    forget_all(t);
}
