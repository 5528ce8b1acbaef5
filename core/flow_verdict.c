/* flow_verdict.c: verdicts that flows remember for stateless elements
 * (headgate/flow.h).
 *
 * Behind the users' blocks a record has an area for either direction, by which
 * end of the ordered key the packet comes from, so that what a packet will
 * need can be fetched before its record is here.  An area has a slot for each
 * input port of each element: the epoch of the element's tables, and the
 * verdict.  Epoch 0 is never current. */
#include <stdlib.h>
#include <string.h>

#include "flow_table.h"

struct flow_verdict {
    struct hg_element *element;
    uint32_t epoch;
    size_t size;   /* Of a verdict. */
    size_t stride; /* Of a slot. */
    size_t offset; /* Of the first slot in an area. */
};

void
hg_flow_declare_verdict(void *self, size_t size)
{
    struct hg_element *e = hg_element_of(self);
    struct flow_table *t = flow_table_get(e->graph);
    size_t stride = (sizeof(uint32_t) + size + 3) & ~(size_t)3;

    if (e->flow_verdict)
        return;
    t->verdicts =
        xrealloc(t->verdicts, (t->n_verdicts + 1) * sizeof *t->verdicts);
    t->verdicts[t->n_verdicts++] = (struct flow_verdict){
        .element = e, .epoch = 1, .size = size, .stride = stride};
    e->flow_verdict = (uint32_t)t->n_verdicts;
}

size_t
flow_verdicts_lay_out(struct flow_table *t)
{
    size_t i, size = 0;

    for (i = 0; i < t->n_verdicts; i++) {
        struct flow_verdict *v = &t->verdicts[i];

        v->offset = size;
        size += v->stride * v->element->n_inputs;
    }
    return size;
}

/* The slot for this packet; NULL if there is none. */
static void *
slot_of(const struct flow_table *t, const struct flow_verdict *v,
        const struct hg_packet *p)
{
    enum { USES = HG_PACKET_L4 | HG_PACKET_FRAGMENT };
    bool against = p->flow_generation & HG_FLOW_AGAINST;
    bool high;

    /* ICMP is judged by its type, fragments by more than they have. */
    if ((p->flags & USES) != HG_PACKET_L4 ||
        (p->protocol != HG_PROTO_TCP && p->protocol != HG_PROTO_UDP) ||
        !flow_is_remembered(p) || p->flow_generation & HG_FLOW_NOT_FIRST)
        return NULL;
    high = against != p->flow->swapped;
    return (uint8_t *)p->flow + t->verdict_offset + high * t->verdict_size +
           v->offset + p->in_port * v->stride;
}

const void *
hg_flow_known_verdict(void *self, const struct hg_packet *p)
{
    struct hg_element *e = hg_element_of(self);
    const struct flow_verdict *v;
    const uint32_t *slot;

    if (!e->flow_verdict)
        return NULL;
    v = &e->graph->flows->verdicts[e->flow_verdict - 1];
    slot = slot_of(e->graph->flows, v, p);
    return slot && *slot == v->epoch ? slot + 1 : NULL;
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
    slot = slot_of(e->graph->flows, v, p);
    if (!slot)
        return;
    *slot = v->epoch;
    memcpy(slot + 1, verdict, v->size);
}

/* Once in 2^32 changes what is remembered has to go for good. */
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

    if (!e->flow_verdict || ++t->verdicts[e->flow_verdict - 1].epoch)
        return;
    t->verdicts[e->flow_verdict - 1].epoch = 1;
    forget_all(t);
}
