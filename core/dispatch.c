/* dispatch.c: runs a graph (graph.h tells how, and why it is done so).
 *
 * What is where: hg_pass(), hg_route() and hg_emit() put packets into the
 * pending batch of the next element; hg_graph_dispatch() runs the pending
 * elements; merge() restores the order of arrival; run_cycle() takes packets
 * through a cycle. */
#include <stdlib.h>
#include <string.h>

#include "graph_internal.h"
#include "packet_internal.h"

enum { MAX_HOPS = 64 }; /* Rounds in a cycle before a packet is dropped. */

struct hg_batch *
batch_get(struct hg_graph *g)
{
    struct hg_batch *b = g->free_batches;

    if (b)
        g->free_batches = b->next;
    else
        b = xcalloc(1, sizeof *b);
    b->n = 0;
    b->sorted = true;
    b->bytes_known = true;
    b->bytes = 0;
    b->next = NULL;
    return b;
}

void
batch_put(struct hg_graph *g, struct hg_batch *b)
{
    b->next = g->free_batches;
    g->free_batches = b;
}

/* The batch that the element was given is no longer its own. */
static void
consume(struct hg_graph *g, const struct hg_batch *b)
{
    if (g->current == b)
        g->current = NULL;
}

static void
batch_add(struct hg_batch *b, struct hg_packet *p)
{
    if (!b->n)
        b->first_seq = p->seq;
    else if (p->seq < b->last_seq)
        b->sorted = false;
    b->last_seq = p->seq;
    b->bytes += p->len;
    b->p[b->n++] = p;
}

static uint64_t
batch_bytes(struct hg_batch *b)
{
    unsigned i;

    b->bytes = 0;
    for (i = 0; i < b->n; i++)
        b->bytes += b->p[i]->len;
    b->bytes_known = true;
    return b->bytes;
}

static void
mark_pending(struct hg_element *e)
{
    e->graph->pending_bits[e->order / 64] |= UINT64_C(1) << e->order % 64;
}

static void
append(struct hg_batch *tail, const struct hg_batch *b)
{
    memcpy(&tail->p[tail->n], b->p, b->n * sizeof b->p[0]);
    tail->n = (uint16_t)(tail->n + b->n);
    tail->bytes += b->bytes;
    tail->last_seq = b->last_seq;
}

/* Puts a batch behind what is pending at 'e'. */
static void
enqueue(struct hg_element *e, struct hg_batch *b)
{
    struct hg_batch *tail = e->pending_tail;

    if (!e->pending) {
        e->pending = e->pending_tail = b;
        e->pending_sorted = b->sorted;
        mark_pending(e);
        return;
    }
    if (!b->sorted || b->first_seq < tail->last_seq)
        e->pending_sorted = false;
    if (tail->n + b->n <= HG_BATCH_MAX) {
        append(tail, b);
        batch_put(e->graph, b);
    } else {
        tail->next = b;
        e->pending_tail = b;
    }
}

/* Packets that went round too often end here. */
static void
drop_looping(struct hg_element *e, struct hg_batch *b)
{
    unsigned i, kept = 0;

    for (i = 0; i < b->n; i++) {
        struct hg_packet *p = b->p[i];

        if (++p->hops <= MAX_HOPS) {
            b->p[kept++] = p;
            continue;
        }
        e->loop++;
        e->dropped++;
        hg_packet_free(p);
    }
    b->n = (uint16_t)kept;
    b->bytes_known = false;
}

static void
drop_unwired(struct hg_element *e, struct hg_batch *b)
{
    e->unwired += b->n;
    e->dropped += b->n;
    hg_packet_free_many(b->p, b->n);
    batch_put(e->graph, b);
}

/* Sends a batch, whose 'bytes' are right, out of 'o'. */
static void
leave(struct hg_element *e, struct output *o, struct hg_batch *b)
{
    const uint16_t port = o->peer_port;
    unsigned i;

    if (o->back) {
        drop_looping(e, b);
        if (!b->n) {
            batch_put(e->graph, b);
            return;
        }
        batch_bytes(b);
    }
    o->packets += b->n;
    o->bytes += b->bytes;
    if (!o->peer) {
        drop_unwired(e, b);
        return;
    }
    if (o->tags)
#pragma GCC unroll 4
        for (i = 0; i < b->n; i++)
            b->p[i]->in_port = port;
    enqueue(o->peer, b);
}

void
hg_pass(void *self, unsigned port, struct hg_batch *b)
{
    struct hg_element *e = hg_element_of(self);

    consume(e->graph, b);
    if (port >= e->n_outputs) {
        drop_unwired(e, b);
        return;
    }
    if (!b->bytes_known || e->cls->flags & HG_CLASS_RESIZES)
        batch_bytes(b);
    leave(e, &e->outputs[port], b);
}

static void
keep(struct hg_element *e, struct hg_packet *p)
{
    p->flags |= HG_PACKET_HELD;
    e->held++;
}

static bool
all_same(const int16_t *verdict, unsigned n)
{
    return n > 0 && !memcmp(verdict, verdict + 1, (n - 1) * sizeof *verdict);
}

void
hg_route(void *self, struct hg_batch *b, const int16_t *verdict)
{
    struct hg_element *e = hg_element_of(self);
    struct hg_packet *dead[HG_BATCH_MAX];
    unsigned i, n_dead = 0;

    if (all_same(verdict, b->n) && verdict[0] >= 0) {
        hg_pass(self, (unsigned)verdict[0], b);
        return;
    }
    consume(e->graph, b);
    for (i = 0; i < b->n; i++) {
        struct hg_packet *p = b->p[i];
        int v = verdict[i];

        if (v == HG_KEPT) {
            keep(e, p);
        } else if (v == HG_DROPPED) {
            dead[n_dead++] = p;
        } else if (v < 0 || v >= e->n_outputs) {
            e->unwired++;
            dead[n_dead++] = p;
        } else {
            struct output *o = &e->outputs[v];

            if (!o->stage)
                o->stage = batch_get(e->graph);
            batch_add(o->stage, p);
        }
    }
    if (n_dead) {
        e->dropped += n_dead;
        hg_packet_free_many(dead, n_dead);
    }
    batch_put(e->graph, b);
    for (i = 0; i < e->n_outputs; i++) {
        struct output *o = &e->outputs[i];

        if (o->stage) {
            struct hg_batch *stage = o->stage;

            o->stage = NULL;
            leave(e, o, stage);
        }
    }
}

static void
unhold(struct hg_element *e, struct hg_packet *p)
{
    if (p->flags & HG_PACKET_HELD) {
        p->flags &= ~(uint32_t)HG_PACKET_HELD;
        e->held--;
    }
}

void
hg_emit(void *self, unsigned port, struct hg_packet *p)
{
    struct hg_element *e = hg_element_of(self);
    struct hg_batch *b = batch_get(e->graph);

    unhold(e, p);
    batch_add(b, p);
    if (port < e->n_outputs)
        leave(e, &e->outputs[port], b);
    else
        drop_unwired(e, b);
}

void
hg_discard(void *self, hg_counter *reason, struct hg_packet *p)
{
    struct hg_element *e = hg_element_of(self);

    unhold(e, p);
    reason->n++;
    e->dropped++;
    hg_packet_free(p);
}

struct hg_packet *
hg_make(void *self, uint32_t len, const struct hg_packet *cause)
{
    struct hg_element *e = hg_element_of(self);
    struct hg_packet *p = hg_packet_alloc(e->graph->pool, len);

    if (!p)
        return NULL;
    e->made++;
    p->seq = e->graph->seq;
    p->time_ns = hg_wheel_now(e->graph->wheel);
    if (cause) {
        p->seq = cause->seq;
        p->time_ns = cause->time_ns;
        p->mark = cause->mark;
        p->vpc = cause->vpc;
        p->src_eni = cause->src_eni;
        p->dst_eni = cause->dst_eni;
        p->hops = cause->hops;
    }
    return p;
}

struct hg_packet *
hg_clone(void *self, const struct hg_packet *p)
{
    struct hg_packet *copy = hg_packet_copy(p);

    if (!copy)
        return NULL;
    copy->flags &= ~(uint32_t)HG_PACKET_HELD;
    hg_element_of(self)->made++;
    return copy;
}

void
hg_transmit(void *self, struct hg_batch *b, hg_counter *failed)
{
    struct hg_element *e = hg_element_of(self);
    unsigned sent = 0;

    consume(e->graph, b);
    if (e->device && e->device->can_send)
        sent = e->device->ops->send(e->device, b->p, b->n);
    else
        hg_packet_free_many(b->p, b->n);
    e->sent += sent;
    e->dropped += b->n - sent;
    failed->n += b->n - sent;
    batch_put(e->graph, b);
}

/* 'numbered': the packets know their place. */
static inline void
inject(struct hg_graph *g, struct hg_element *source, unsigned port,
       struct hg_packet *const *packets, unsigned n, bool numbered)
{
    unsigned i, k;

    source->received += n;
    for (; n > 0; packets += k, n -= k) {
        struct hg_batch *b = batch_get(g);

        k = n < HG_BATCH_MAX ? n : HG_BATCH_MAX;
        for (i = 0; i < k; i++) {
            if (!numbered)
                packets[i]->seq = g->seq += g->seq_stride;
            batch_add(b, packets[i]);
        }
        g->seq = packets[k - 1]->seq;
        packet_parse_many(packets, k);
        hg_pass(hg_element_self(source), port, b);
    }
}

void
hg_graph_inject(struct hg_graph *g, struct hg_element *source, unsigned port,
                struct hg_packet *const *packets, unsigned n)
{
    inject(g, source, port, packets, n, false);
}

void
hg_graph_inject_numbered(struct hg_graph *g, struct hg_element *source,
                         unsigned port, struct hg_packet *const *packets,
                         unsigned n)
{
    inject(g, source, port, packets, n, true);
}

void
hg_graph_enter(struct hg_graph *g, struct hg_element *e, unsigned port,
               struct hg_packet *const *packets, unsigned n)
{
    struct hg_batch *b = batch_get(g);
    unsigned i;

    for (i = 0; i < n; i++) {
        if (b->n == HG_BATCH_MAX) {
            enqueue(e, b);
            b = batch_get(g);
        }
        packets[i]->in_port = (uint16_t)port;
        if (packets[i]->seq > g->seq)
            g->seq = packets[i]->seq;
        batch_add(b, packets[i]);
    }
    if (b->n)
        enqueue(e, b);
    else
        batch_put(g, b);
}

/* ---- Running ---------------------------------------------------------- */

static void
run_batch(struct hg_element *e, struct hg_batch *b)
{
    e->graph->current = b;
    e->cls->batch(e, b);
    if (e->graph->current) {
        fprintf(stderr,
                "headgate: class %s returned without hg_pass() or "
                "hg_route(); its author must fix it\n",
                e->cls->name);
        abort();
    }
}

/* Collects the chain of batches 'b' into graph->scratch; returns how many. */
static size_t
gather(struct hg_graph *g, struct hg_batch *b)
{
    size_t n = 0;

    while (b) {
        struct hg_batch *next = b->next;

        if (n + b->n > g->scratch_size) {
            g->scratch_size = 2 * (n + HG_BATCH_MAX);
            g->scratch =
                xrealloc(g->scratch, 2 * g->scratch_size * sizeof *g->scratch);
        }
        memcpy(g->scratch + n, b->p, b->n * sizeof b->p[0]);
        n += b->n;
        batch_put(g, b);
        b = next;
    }
    return n;
}

/* Sorts v[0..n) by seq, stably, by merging the runs that are there; 'tmp' has
 * room for n.  Branches that join are a few sorted runs. */
static void
merge_runs(struct hg_packet **v, struct hg_packet **tmp, size_t n)
{
    for (;;) {
        size_t at = 0, runs = 0;

        while (at < n) {
            size_t mid = at + 1, end, a, b, to;

            while (mid < n && v[mid - 1]->seq <= v[mid]->seq)
                mid++;
            end = mid < n ? mid + 1 : mid;
            while (end < n && v[end - 1]->seq <= v[end]->seq)
                end++;
            a = at;
            b = mid;
            to = at;
            while (a < mid && b < end)
                tmp[to++] = v[b]->seq < v[a]->seq ? v[b++] : v[a++];
            memcpy(tmp + to, v + a, (mid - a) * sizeof *v);
            to += mid - a;
            memcpy(tmp + to, v + b, (end - b) * sizeof *v);
            at = end;
            runs++;
        }
        memcpy(v, tmp, n * sizeof *v);
        if (runs <= 1)
            return;
    }
}

/* The same by counting, for packets whose numbers are close together, as are
 * those of one batch that was split; false if they are not.  A merge cannot
 * be predicted, and costs a branch miss for every other packet. */
static bool
sort_close(struct hg_packet **v, struct hg_packet **tmp, size_t n)
{
    enum { SPAN = 4 * HG_BATCH_MAX };
    uint16_t place[SPAN + 1];
    uint64_t first = UINT64_MAX, last = 0;
    size_t i, span;

    for (i = 0; i < n; i++) {
        first = v[i]->seq < first ? v[i]->seq : first;
        last = v[i]->seq > last ? v[i]->seq : last;
    }
    if (last - first >= SPAN || n > UINT16_MAX)
        return false;
    span = (size_t)(last - first) + 1;
    memset(place, 0, (span + 1) * sizeof *place);
    for (i = 0; i < n; i++)
        place[v[i]->seq - first + 1]++;
    for (i = 1; i < span; i++)
        place[i] = (uint16_t)(place[i] + place[i - 1]);
    memcpy(tmp, v, n * sizeof *v);
    for (i = 0; i < n; i++)
        v[place[tmp[i]->seq - first]++] = tmp[i];
    return true;
}

static struct hg_batch *
take_pending(struct hg_element *e)
{
    struct hg_batch *b = e->pending;

    e->pending = e->pending_tail = NULL;
    e->graph->pending_bits[e->order / 64] &= ~(UINT64_C(1) << e->order % 64);
    return b;
}

static void
run_element(struct hg_element *e)
{
    struct hg_graph *g = e->graph;
    bool sorted = e->pending_sorted;
    struct hg_batch *b = take_pending(e);

    if (!sorted) {
        size_t n = gather(g, b), i;
        struct hg_batch **link = &b;

        if (!sort_close(g->scratch, g->scratch + g->scratch_size, n))
            merge_runs(g->scratch, g->scratch + g->scratch_size, n);
        b = NULL;
        for (i = 0; i < n;) {
            *link = batch_get(g);
            while (i < n && (*link)->n < HG_BATCH_MAX)
                batch_add(*link, g->scratch[i++]);
            link = &(*link)->next;
        }
    }
    while (b) {
        struct hg_batch *next = b->next;

        b->next = NULL;
        run_batch(e, b);
        b = next;
    }
}

/* The first pending element of order 'from' to before 'to', or NULL. */
static struct hg_element *
first_pending(const struct hg_graph *g, uint32_t from, uint32_t to)
{
    size_t word = from / 64;
    uint64_t bits = g->pending_bits[word] & ~UINT64_C(0) << from % 64;

    for (;;) {
        if (bits) {
            uint32_t order =
                (uint32_t)(word * 64 + (unsigned)__builtin_ctzll(bits));

            return order < to ? g->sorted[order] : NULL;
        }
        if (++word >= g->n_words || word * 64 >= to)
            return NULL;
        bits = g->pending_bits[word];
    }
}

struct entry {
    struct hg_packet *packet;
    struct hg_element *element;
    size_t position;
};

static int
entry_compare(const void *a_, const void *b_)
{
    const struct entry *a = a_, *b = b_;

    if (a->packet->seq != b->packet->seq)
        return a->packet->seq < b->packet->seq ? -1 : 1;
    return a->position < b->position ? -1 : 1;
}

/* Takes what waits before the cycle of 'e' out of there, in order of arrival,
 * into graph->entries; returns how many. */
static size_t
gather_entries(struct hg_graph *g, const struct hg_element *e)
{
    const uint32_t begin = e->cycle_begin, end = e->cycle_end;
    struct hg_element *first;
    size_t n = 0, i;

    while ((first = first_pending(g, begin, end)) != NULL) {
        size_t added = gather(g, take_pending(first));

        if (n + added > g->n_entries) {
            g->n_entries = 2 * (n + added);
            g->entries =
                xrealloc(g->entries, g->n_entries * sizeof *g->entries);
        }
        for (i = 0; i < added; i++, n++) {
            g->entries[n].packet = g->scratch[i];
            g->entries[n].element = first;
            g->entries[n].position = n;
        }
    }
    qsort(g->entries, n, sizeof *g->entries, entry_compare);
    return n;
}

/* The first of a cycle whose class says who owns a packet. */
static struct hg_element *
whom_to_ask(const struct hg_graph *g, const struct hg_element *e)
{
    uint32_t i = e->cycle_begin;

    while (!g->sorted[i]->cls->owner)
        i++;
    return g->sorted[i];
}

/* How many of the first entries have owners of their own. */
static size_t
count_apart(struct hg_graph *g, struct hg_element *asked,
            const struct entry *entries, size_t n)
{
    enum { N_OWNERS = 1 << 16 };
    uint16_t seen[HG_BATCH_MAX];
    size_t i, k;

    if (!g->owners)
        g->owners = xcalloc(N_OWNERS / 64, sizeof *g->owners);
    for (i = 0; i < n && i < HG_BATCH_MAX; i++) {
        unsigned owner = asked->cls->owner(hg_element_self(asked),
                                           entries[i].packet, 0, N_OWNERS);
        uint64_t bit = UINT64_C(1) << owner % 64;

        if (g->owners[owner / 64] & bit)
            break;
        g->owners[owner / 64] |= bit;
        seen[i] = (uint16_t)owner;
    }
    for (k = 0; k < i; k++)
        g->owners[seen[k] / 64] = 0;
    return i;
}

/* Puts the entries back where they waited. */
static void
enqueue_entries(struct hg_graph *g, const struct entry *entries, size_t n)
{
    size_t i = 0;

    while (i < n) {
        struct hg_element *e = entries[i].element;
        struct hg_batch *b = batch_get(g);

        while (i < n && entries[i].element == e && b->n < HG_BATCH_MAX)
            batch_add(b, entries[i++].packet);
        enqueue(e, b);
    }
}

/* Takes everything that waits before the cycle of 'first' through it, as many
 * packets at once as cannot meet each other's state (cycle.c). */
static void
run_cycle(struct hg_graph *g, const struct hg_element *first)
{
    const uint32_t begin = first->cycle_begin, end = first->cycle_end;
    size_t n = gather_entries(g, first), i = 0, together;
    struct entry *entries = g->entries;

    while (i < n) {
        struct hg_element *e;

        together = 1;
        if (first->passage == PASS_BY_OWNER &&
            !flow_table_is_short(g, (end - begin) * HG_BATCH_MAX))
            together =
                count_apart(g, whom_to_ask(g, first), entries + i, n - i);
        enqueue_entries(g, entries + i, together);
        while ((e = first_pending(g, begin, end)) != NULL)
            run_element(e);
        i += together;
    }
}

void
hg_graph_dispatch(struct hg_graph *g)
{
    struct hg_element *e;

    while ((e = first_pending(g, 0, (uint32_t)g->n_elements)) != NULL) {
        if (e->in_cycle && e->passage != PASS_AT_ONCE)
            run_cycle(g, e);
        else
            run_element(e);
    }
}

void
hg_graph_advance(struct hg_graph *g, uint64_t now_ns)
{
    struct hg_timer *t;

    while ((t = hg_wheel_advance(g->wheel, now_ns)) != NULL) {
        t->fn(t->owner, t, hg_wheel_now(g->wheel));
        hg_graph_dispatch(g);
    }
}

uint64_t
hg_graph_next_timer(const struct hg_graph *g)
{
    return hg_wheel_next(g->wheel);
}

uint64_t
hg_graph_span(const struct hg_graph *g)
{
    uint64_t span_ns = HG_NEVER;
    size_t i;

    for (i = 0; i < g->n_elements; i++) {
        const struct hg_element *e = g->elements[i];

        if (element_is_idle(e))
            continue;
        if (e->span_ns < span_ns)
            span_ns = e->span_ns;
        if (e->flow_user && g->span_ns < span_ns)
            span_ns = g->span_ns;
    }
    return span_ns;
}
