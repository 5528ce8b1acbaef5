/* security_group_track.h: the interfaces of a SecurityGroup and the
 * connections that they track; a part of security_group.c. */
#ifndef SECURITY_GROUP_TRACK_H
#define SECURITY_GROUP_TRACK_H 1

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "security_group.h"

/* ---- Interfaces and their groups -------------------------------------- */

static struct eni_entry *
entry_of(struct security_group *self, uint32_t number)
{
    if (number >= self->n_enis) {
        size_t n = (size_t)number * 2 + 16, i;
        struct eni_entry *grown = realloc(self->enis, n * sizeof *self->enis);

        if (!grown) {
            fputs("headgate: out of memory\n", stderr);
            exit(1);
        }
        for (i = self->n_enis; i < n; i++)
            grown[i] = (struct eni_entry){NULL, NULL, 0};
        self->enis = grown;
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

/* Finds interface and groups; false if the packet has no interface here. */
static bool
find_interface(struct security_group *self, struct passage *g)
{
    const struct hg_packet *p = g->p;

    g->eni = g->direction == EGRESS ? p->src_eni : p->dst_eni;
    g->peer = g->direction == EGRESS ? p->dst_eni : p->src_eni;
    if (!g->eni) {
        g->entry = entry_of(self, 0);
        g->set = self->default_set;
        return !self->inventory;
    }
    g->entry = entry_of(self, g->eni->number);
    if (g->entry->eni != g->eni) {
        g->entry->set = set_of_eni(self, g->eni);
        g->entry->eni = g->eni;
    }
    g->set = g->entry->set;
    return true;
}

/* ---- Sides ------------------------------------------------------------ */

static void
end_side(struct security_group *self, struct side *s)
{
    entry_of(self, s->eni)->n_tracked--;
    self->tracked.n--;
    *s = (struct side){0};
}

static void
security_group_flow_expired(void *self, void *state, uint64_t when_ns)
{
    struct sg_flow *flow = state;
    unsigned i;

    (void)when_ns;
    for (i = 0; i < MAX_SIDES; i++)
        if (flow->side[i].until_ns)
            end_side(self, &flow->side[i]);
}

/* Ends the sides that have run out; returns when the last of the others
 * will, or 0. */
static uint64_t
prune(struct security_group *self, struct sg_flow *flow, uint64_t now_ns)
{
    uint64_t last = 0;
    unsigned i;

    for (i = 0; i < MAX_SIDES; i++) {
        struct side *s = &flow->side[i];

        if (s->until_ns && s->until_ns <= now_ns)
            end_side(self, s);
        if (s->until_ns > last)
            last = s->until_ns;
    }
    return last;
}

/* Which of the two ends of a flow comes second in a fixed order. */
static bool
source_is_high(const struct hg_addr *src, uint16_t sport,
               const struct hg_addr *dst, uint16_t dport)
{
    int order = memcmp(src->byte, dst->byte, sizeof src->byte);

    return order > 0 || (!order && sport > dport);
}

/* Whether the interface is at that end of the packet's flow. */
static bool
endpoint_of(const struct passage *g)
{
    struct hg_addr src = hg_packet_src(g->p), dst = hg_packet_dst(g->p);

    return source_is_high(&src, hg_packet_sport(g->p), &dst,
                          hg_packet_dport(g->p)) == (g->direction == EGRESS);
}

static uint32_t
number_of(const struct passage *g)
{
    return g->eni ? g->eni->number : 0;
}

/* The live side of this interface at this end, behind 'after' (NULL: the
 * first); NULL if there is no other. */
static struct side *
next_side(struct sg_flow *flow, struct side *after, uint32_t eni,
          bool endpoint, uint64_t now_ns)
{
    struct side *s = after ? after + 1 : flow->side;

    for (; s < flow->side + MAX_SIDES; s++)
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

/* Whether the connection that the side tracks covers this packet. */
static bool
covers(const struct side *s, const struct passage *g)
{
    const struct hg_icmp *icmp = hg_packet_icmp(g->p);
    const struct hg_tcp *tcp = hg_packet_tcp(g->p);

    if (s->kind == ICMP_QUERY)
        return icmp &&
               (g->direction == s->opened_by ? answer_of(g->p) == s->answer
                                             : icmp->type == s->answer);
    /* A closed connection does not stand for a new one of its ports. */
    if (s->kind == TCP_CLOSING && tcp)
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
    struct side *s = NULL;

    while ((s = next_side(flow, s, eni, endpoint, now)) != NULL) {
        if (covers(s, g))
            return s;
        if (s->kind == TCP_CLOSING)
            end_side(self, s);
    }
    return NULL;
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
    if (tcp->flags & HG_TCP_FIN)
        s->fin |= reply ? 2 : 1;
    if (tcp->flags & HG_TCP_RST || s->fin == 3)
        s->kind = TCP_CLOSING;
}

/* Moves a side on by a packet that it covers. */
static void
advance(struct security_group *self, struct side *s, const struct passage *g)
{
    bool reply = g->direction != s->opened_by;
    uint64_t now = g->p->time_ns;

    switch (s->kind) {
    case TCP_CLOSING:
        return; /* Nothing keeps it. */
    case TCP_OPENING:
    case TCP_ESTABLISHED:
        advance_tcp(s, reply, hg_packet_tcp(g->p));
        break;
    case OTHER:
        if (reply) /* Answers count from the last request. */
            return;
        break;
    case UDP_SINGLE:
        if (!reply && s->replied)
            s->kind = UDP_STREAM;
        break;
    }
    if (reply)
        s->replied = true;
    s->until_ns = now + self->timeout[s->kind];
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

static int
track(struct security_group *self, struct passage *g)
{
    struct hg_packet *p = g->p;
    struct hg_flow *flow;
    struct sg_flow *state;
    unsigned i = 0;
    uint64_t last;

    if (!within_allowance(self, g))
        return hg_drop(&self->conntrack_allowance_exceeded);
    flow = hg_flow_create(self, p);
    if (!flow)
        return hg_drop(&self->table_full);
    state = hg_flow_state(self, flow, p->time_ns);
    last = prune(self, state, p->time_ns);
    while (i < MAX_SIDES && state->side[i].until_ns)
        i++;
    if (i == MAX_SIDES)
        return hg_drop(&self->table_full);
    state->side[i] = (struct side){.eni = number_of(g),
                                   .kind = (uint8_t)kind_of(p),
                                   .opened_by = (uint8_t)g->direction,
                                   .endpoint = endpoint_of(g),
                                   .answer = (uint8_t)answer_of(p)};
    g->entry->n_tracked++;
    self->tracked.n++;
    hg_count(&self->opened);
    advance(self, &state->side[i], g);
    if (state->side[i].until_ns > last)
        last = state->side[i].until_ns;
    hg_flow_keep(self, flow, last);
    return (int)g->direction;
}

#endif
