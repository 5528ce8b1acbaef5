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
    uint32_t n_inputs; /* As far as packets come in; 1 if not by input. */
    size_t size;       /* Of a verdict. */
    size_t stride;     /* Of a slot. */
    size_t offset;     /* Of the first slot in a record. */
    size_t area_size;  /* As far behind is that of the other direction. */
    bool leads;        /* A verdict leads to one of these items; */
    const uint8_t *item;
    size_t item_size; /* 0: it begins with the item's address. */
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

void
hg_flow_verdict_leads_to(void *self, const void *item, size_t size)
{
    struct hg_element *e = hg_element_of(self);
    struct flow_verdict *v;

    if (!e->flow_verdict)
        return;
    v = &e->graph->flows->verdicts[e->flow_verdict - 1];
    v->leads = true;
    v->item = item;
    v->item_size = size;
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
        v->by_input = v->n_inputs > 1;
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

    return v->epoch << KEY_BITS | (key & -(key & 1));
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

/* Where the area of packets like this one is in its flow's record, less the
 * place of the other. */
static inline size_t
area_of(const struct flow_verdict *v, const struct hg_packet *p)
{
    size_t swapped = (flow_kind(p->flow, 0) & FLOW_SWAPPED) / FLOW_SWAPPED;
    size_t against = (p->flow_generation & HG_FLOW_AGAINST) / HG_FLOW_AGAINST;

    return v->area_size & -(swapped ^ against);
}

/* The slot for this packet; NULL if there is none. */
static inline __attribute__((always_inline)) uint32_t *
slot_of(const struct flow_verdict *v, const struct hg_packet *p, bool by_input)
{
    size_t at = v->offset;

    if (!is_remembered_for(p) || (by_input && p->in_port >= v->n_inputs))
        return NULL;
    if (by_input)
        at += p->in_port * v->stride;
    return (uint32_t *)(void *)((uint8_t *)p->flow + at + area_of(v, p));
}

static inline __attribute__((always_inline)) unsigned
recall(const struct flow_verdict *verdict_, struct hg_packet *const *packets,
       unsigned n, bool by_input, const void **verdict)
{
    const struct flow_verdict v = *verdict_;
    unsigned known = 0, i;

    for (i = 0; i < n; i++) {
        const struct hg_packet *p = packets[i];
        const uint32_t *slot = slot_of(&v, p, by_input);
        bool is_known = slot && *slot == stamp_of(&v, p);

        verdict[i] = is_known ? slot + 1 : NULL;
        known += is_known;
    }
    return known;
}

/* Functions of their own, so that their loops have all registers. */
__attribute__((noinline)) static unsigned
recall_by_input(const struct flow_verdict *v, struct hg_packet *const *packets,
                unsigned n, const void **verdict)
{
    return recall(v, packets, n, true, verdict);
}

__attribute__((noinline)) static unsigned
recall_by_flow(const struct flow_verdict *v, struct hg_packet *const *packets,
               unsigned n, const void **verdict)
{
    return recall(v, packets, n, false, verdict);
}

/* Fetches what the verdicts lead to that an element behind is going to ask
 * for: each is in the same area, 'distance' behind one of these. */
FLOW_FETCH
fetch_items(const struct flow_verdict *v, ptrdiff_t distance, unsigned n,
            const void *const *verdict)
{
    const size_t size = v->item_size;
    uintptr_t address;
    uint32_t number;
    unsigned i;

    for (i = 0; i < n; i++) {
        if (!verdict[i])
            continue;
        if (size) {
            memcpy(&number, (const uint8_t *)verdict[i] + distance,
                   sizeof number);
            address = (uintptr_t)v->item + number * size;
            __builtin_prefetch((const void *)address, 1);
        } else {
            memcpy(&address, (const uint8_t *)verdict[i] + distance,
                   sizeof address);
            __builtin_prefetch((const void *)address);
        }
    }
}

/* Only one whose own verdicts lead nowhere does, so that it is done once. */
static inline void
fetch_for_others(const struct flow_table *t, const struct flow_verdict *own,
                 unsigned n, const void *const *verdict)
{
    const struct flow_verdict *v;
    uint32_t port;

    if (own->leads || own->by_input)
        return;
    for (v = t->verdicts; v < t->verdicts + t->n_verdicts; v++)
        for (port = 0; v->leads && port < v->n_inputs; port++)
            fetch_items(v,
                        (ptrdiff_t)(v->offset + port * v->stride) -
                            (ptrdiff_t)own->offset,
                        n, verdict);
}

unsigned
hg_flow_verdicts(void *self, struct hg_packet *const *packets, unsigned n,
                 const void **verdict)
{
    struct hg_element *e = hg_element_of(self);
    const struct flow_table *t = e->graph->flows;
    const struct flow_verdict *v;
    unsigned known;

    if (!e->flow_verdict) {
        memset(verdict, 0, n * sizeof *verdict);
        return 0;
    }
    v = &t->verdicts[e->flow_verdict - 1];
    known = (v->by_input ? recall_by_input : recall_by_flow)(v, packets, n,
                                                             verdict);
    if (known)
        fetch_for_others(t, v, n, verdict);
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
    slot = slot_of(v, p, v->by_input);
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
