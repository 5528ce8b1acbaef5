/* security_group_track.h: the interfaces of a SecurityGroup and the
 * connections that they track; a part of security_group.c. */
#ifndef SECURITY_GROUP_TRACK_H
#define SECURITY_GROUP_TRACK_H 1

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "security_group.h"

/* ---- Interfaces and their groups -------------------------------------- */

static void *
grow(void *array, size_t n, size_t size)
{
    void *grown = realloc(array, n * size);

    if (!grown) {
        fputs("headgate: out of memory\n", stderr);
        exit(1);
    }
    return grown;
}

static struct eni_entry *
entry_of(struct security_group *self, uint32_t number)
{
    if (number >= self->n_enis) {
        size_t n = (size_t)number * 2 + 16, i;

        self->enis = grow(self->enis, n, sizeof *self->enis);
        for (i = self->n_enis; i < n; i++)
            self->enis[i] = (struct eni_entry){NULL, NULL, 0};
        self->n_enis = n;
    }
    return &self->enis[number];
}

static struct hg_group_set *
set_of_eni(struct security_group *self, const struct hg_eni *eni)
{
    const char *id = hg_groups_default(self->rules, eni->vpc->id);
    char *ids[1];

    if (eni->security_group.n)
        return hg_groups_set(self->rules, self->inventory,
                             eni->security_group.v, eni->security_group.n);
    if (!id)
        return self->default_set;
    ids[0] = (char *)(uintptr_t)id;
    return hg_groups_set(self->rules, self->inventory, ids, 1);
}

/* Finds the interface; false if the packet has none here. */
static inline bool
find_interface(const struct security_group *self, struct passage *g)
{
    const struct hg_packet *p = g->p;

    g->eni = g->direction == EGRESS ? p->src_eni : p->dst_eni;
    g->peer = g->direction == EGRESS ? p->dst_eni : p->src_eni;
    return g->eni || !self->inventory;
}

static inline uint32_t
number_of(const struct passage *g)
{
    return g->eni ? g->eni->number : 0;
}

/* Finds the groups of the interface. */
static void
find_groups(struct security_group *self, struct passage *g)
{
    g->entry = entry_of(self, number_of(g));
    if (g->entry->eni != g->eni) {
        g->entry->set = set_of_eni(self, g->eni);
        g->entry->eni = g->eni;
    }
    g->set = g->eni ? g->entry->set : self->default_set;
}

/* ---- Sides ------------------------------------------------------------ */

/* Side number 'i' of a flow, which may be empty; NULL behind the last. */
static struct side *
side_at(const struct security_group *self, struct sg_flow *flow, unsigned i)
{
    struct side *last = &flow->side[FEW_SIDES - 1];

    if (i < FEW_SIDES - 1)
        return &flow->side[i];
    if (last->kind == MORE)
        return i < MAX_SIDES ? &self->more[last->eni].side[i - 1] : NULL;
    return i < FEW_SIDES ? last : NULL;
}

/* Makes room for MAX_SIDES where there are few; false without memory. */
static bool
add_more(struct security_group *self, struct sg_flow *flow)
{
    struct side *last = &flow->side[FEW_SIDES - 1];
    uint32_t i = self->free_more ? self->free_more - 1 : self->n_more;

    if (i > MAX_ENI)
        return false;
    if (self->free_more) {
        self->free_more = self->more[i].side[0].eni;
    } else {
        if (!(i & (i - 1))) /* 0 or a power of two: full. */
            self->more =
                grow(self->more, i ? 2 * (size_t)i : 1, sizeof *self->more);
        self->n_more++;
    }
    self->more[i] = (struct more_sides){.side = {*last}};
    *last = (struct side){.kind = MORE, .eni = i & MAX_ENI};
    return true;
}

/* An empty side; NULL if the flow has as many as it may. */
static struct side *
add_side(struct security_group *self, struct sg_flow *flow)
{
    struct side *s;
    unsigned i;

    for (i = 0; (s = side_at(self, flow, i)) != NULL; i++)
        if (!s->until_ns)
            return s;
    return i < MAX_SIDES && add_more(self, flow) ? side_at(self, flow, i)
                                                 : NULL;
}

/* Gives back what add_more() made, if nothing is in it. */
static void
drop_more(struct security_group *self, struct sg_flow *flow)
{
    struct side *last = &flow->side[FEW_SIDES - 1];
    uint32_t at = last->eni;
    unsigned i;

    if (last->kind != MORE)
        return;
    for (i = 0; i < MAX_SIDES - 1; i++)
        if (self->more[at].side[i].until_ns)
            return;
    self->more[at].side[0].eni = self->free_more & MAX_ENI;
    self->free_more = at + 1;
    *last = (struct side){0};
}

static void
end_side(struct security_group *self, struct side *s)
{
    entry_of(self, s->eni)->n_tracked--;
    self->tracked.n--;
    *s = (struct side){0};
}

/* Ends the sides that have run out; returns when the last of the others
 * will, or 0. */
static uint64_t
prune(struct security_group *self, struct sg_flow *flow, uint64_t now_ns)
{
    uint64_t last = 0;
    struct side *s;
    unsigned i;

    for (i = 0; (s = side_at(self, flow, i)) != NULL; i++) {
        if (s->until_ns && s->until_ns <= now_ns)
            end_side(self, s);
        if (s->until_ns > last)
            last = s->until_ns;
    }
    drop_more(self, flow);
    return last;
}

static void
security_group_flow_expired(void *self, void *state, uint64_t when_ns)
{
    (void)when_ns;
    prune(self, state, LAST_NS);
}

/* Whether the interface is where the flow's first packet went; the packet's
 * record was found or made. */
static bool
endpoint_of(const struct passage *g)
{
    return ((g->p->flags & HG_PACKET_REPLY) != 0) == (g->direction == EGRESS);
}

/* The live side of this interface at this end, from number '*i' on, which
 * moves behind it; NULL if there is no other. */
static struct side *
next_side(const struct security_group *self, struct sg_flow *flow, unsigned *i,
          uint32_t eni, bool endpoint, uint64_t now_ns)
{
    struct side *s;

    while ((s = side_at(self, flow, (*i)++)) != NULL)
        if (s->until_ns > now_ns && s->eni == eni && s->endpoint == endpoint)
            return s;
    return NULL;
}

/* The ICMP type that answers this one, or -1 if it asks nothing. */
static int
answer_of(const struct hg_packet *p)
{
    const struct hg_icmp *icmp = hg_packet_icmp(p);

    if (!icmp)
        return -1;
    if (p->flags & HG_PACKET_IP6)
        return icmp->type == HG_ICMP6_ECHO ? HG_ICMP6_ECHO_REPLY : -1;
    switch (icmp->type) {
    case HG_ICMP_ECHO:
        return HG_ICMP_ECHO_REPLY;
    case 13: /* Timestamp, information, address mask: RFC 792, RFC 950. */
    case 15:
    case 17:
        return icmp->type + 1;
    }
    return -1;
}

static bool
is_icmp(const struct hg_packet *p)
{
    return p->protocol ==
           (p->flags & HG_PACKET_IP6 ? HG_PROTO_ICMP6 : HG_PROTO_ICMP);
}

/* The answers to ICMP queries, by side.detail. */
static const uint8_t icmp_answers[] = {HG_ICMP_ECHO_REPLY, 14, 16, 18,
                                       HG_ICMP6_ECHO_REPLY};

/* Whether the connection that the side tracks covers this packet. */
static bool
covers(const struct side *s, const struct passage *g)
{
    const struct hg_icmp *icmp;
    const struct hg_tcp *tcp;

    if (s->kind == ICMP_QUERY) {
        icmp = hg_packet_icmp(g->p);
        return icmp &&
               (g->direction == s->opened_by ? answer_of(g->p) : icmp->type) ==
                   icmp_answers[s->detail];
    }
    /* A closed connection does not stand for a new one of its ports. */
    if (s->kind == TCP_CLOSING && (tcp = hg_packet_tcp(g->p)) != NULL)
        return (tcp->flags & (HG_TCP_SYN | HG_TCP_ACK)) != HG_TCP_SYN;
    return true;
}

/* The side of this interface that covers the packet; ends one that has closed
 * and stands in the way of a new connection. */
static struct side *
find_side(struct security_group *self, struct sg_flow *flow,
          const struct passage *g)
{
    uint32_t eni = number_of(g);
    bool endpoint = endpoint_of(g);
    uint64_t now = g->p->time_ns;
    struct side *s;
    unsigned i = 0;

    while ((s = next_side(self, flow, &i, eni, endpoint, now)) != NULL) {
        if (covers(s, g))
            return s;
        if (s->kind == TCP_CLOSING)
            end_side(self, s);
    }
    return NULL;
}

/* Moves a side's deadline, and returns it. */
static inline uint64_t
set_until(const struct security_group *self, struct side *s, uint64_t now)
{
    uint64_t until = now + self->timeout[s->kind];

    until = until < LAST_NS ? until : LAST_NS;
    s->until_ns = until & LAST_NS;
    return until;
}

static void
advance_tcp(struct side *s, bool reply, const struct hg_tcp *tcp)
{
    if (!tcp)
        return;
    if (s->kind == TCP_OPENING) {
        if (reply)
            s->replied = true;
        if (s->replied && !(tcp->flags & HG_TCP_SYN))
            s->kind = TCP_ESTABLISHED;
    }
    if (!(tcp->flags & (HG_TCP_FIN | HG_TCP_RST)))
        return;
    if (tcp->flags & HG_TCP_FIN)
        s->detail |= reply ? 2 : 1;
    if (tcp->flags & HG_TCP_RST || s->detail == 3)
        s->kind = TCP_CLOSING;
}

/* Moves a side on by a packet that it covers; whether that keeps it. */
static inline bool
advance(struct side *s, const struct passage *g)
{
    bool reply = g->direction != s->opened_by;

    switch (s->kind) {
    case TCP_CLOSING:
        return false; /* Nothing keeps it. */
    case TCP_OPENING:
    case TCP_ESTABLISHED:
        advance_tcp(s, reply, hg_packet_tcp(g->p));
        break;
    case OTHER:
        if (reply) /* Answers count from the last request. */
            return false;
        break;
    case UDP_SINGLE:
        if (!reply && s->replied)
            s->kind = UDP_STREAM;
        break;
    }
    if (reply)
        s->replied = true;
    return true;
}

static bool
is_established(const struct side *s)
{
    return s->replied && s->kind != TCP_OPENING;
}

/* A packet of a connection that is tracked.  The deadline, which shares a word
 * with 'replied', is written last: what was just written is slow to read. */
static void
follow(struct security_group *self, struct hg_flow *flow,
       struct sg_flow *state, struct side *s, const struct passage *g)
{
    uint64_t before = s->until_ns, until = before;
    bool was_established = is_established(s);
    bool is_kept = advance(s, g);

    if (!was_established && is_established(s))
        hg_flow_confirm(flow);
    if (is_kept)
        until = set_until(self, s, g->p->time_ns);
    if (until >= before)
        hg_flow_extend(self, flow, until);
    else
        hg_flow_keep(self, flow, prune(self, state, g->p->time_ns));
}

static bool
expire_one(void *aux, struct hg_flow *flow, void *state)
{
    struct security_group *self = aux;

    (void)flow;
    prune(self, state, self->expired_ns);
    return true;
}

static bool
within_allowance(struct security_group *self, struct passage *g)
{
    uint64_t now = g->p->time_ns;

    if (!self->max_per_eni || g->entry->n_tracked < self->max_per_eni)
        return true;
    if (self->expired_ns + HG_SEC > now)
        return false;
    self->expired_ns = now;
    hg_flow_foreach(self, now, expire_one, self);
    return g->entry->n_tracked < self->max_per_eni;
}

static enum kind
kind_of(const struct hg_packet *p)
{
    if (p->protocol == HG_PROTO_TCP)
        return TCP_OPENING;
    if (p->protocol == HG_PROTO_UDP)
        return UDP_SINGLE;
    return is_icmp(p) ? ICMP_QUERY : OTHER;
}

static struct side
new_side(const struct passage *g)
{
    struct side s = {.eni = number_of(g) & MAX_ENI,
                     .kind = kind_of(g->p),
                     .opened_by = g->direction == INGRESS,
                     .endpoint = endpoint_of(g)};

    if (s.kind == ICMP_QUERY)
        while (icmp_answers[s.detail] != answer_of(g->p))
            s.detail++;
    return s;
}

static int
track(struct security_group *self, struct passage *g)
{
    struct hg_packet *p = g->p;
    struct sg_flow *state;
    struct hg_flow *flow;
    struct side *s;
    uint64_t last;

    if (!within_allowance(self, g))
        return hg_drop(&self->conntrack_allowance_exceeded);
    flow = number_of(g) <= MAX_ENI ? hg_flow_create(self, p) : NULL;
    if (!flow)
        return hg_drop(&self->table_full);
    state = hg_flow_state(self, flow, p->time_ns);
    last = prune(self, state, p->time_ns);
    s = add_side(self, state);
    if (!s)
        return hg_drop(&self->table_full);
    *s = new_side(g);
    g->entry->n_tracked++;
    self->tracked.n++;
    hg_count(&self->opened);
    if (advance(s, g))
        set_until(self, s, p->time_ns);
    hg_flow_keep(self, flow, s->until_ns > last ? s->until_ns : last);
    return (int)g->direction;
}

#endif
