/* security_group_side.h: the interfaces of a SecurityGroup and what happens to
 * the connections that they track, wherever these are kept
 * (security_group_track.h); a part of security_group.c. */
#ifndef SECURITY_GROUP_SIDE_H
#define SECURITY_GROUP_SIDE_H 1

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
            self->enis[i] = (struct eni_entry){0};
        self->n_enis = n;
    }
    return &self->enis[number];
}

static struct hg_group_set *
set_of_eni(struct security_group *self, const struct hg_eni *eni)
{
    const char *id = hg_groups_default(self->rules, eni->vpc->id);
    char *ids[1];

    if (eni->details->security_group.n)
        return hg_groups_set(self->rules, self->inventory,
                             eni->details->security_group.v,
                             eni->details->security_group.n);
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

/* ---- Connections ------------------------------------------------------ */

/* One ends; 'lapsed': it has run out.  Who meets it then, and when, depends on
 * who else shares its record and on the size of batches, so it counts toward
 * its interface's limit until all are looked at (expire_all). */
static void
count_ended(struct security_group *self, uint32_t eni, bool lapsed)
{
    struct eni_entry *entry = entry_of(self, eni);

    if (lapsed && self->max_per_eni)
        entry->n_lapsed++;
    else
        entry->n_tracked--;
    self->tracked.n--;
}

static void
settle_lapsed(struct security_group *self)
{
    size_t i;

    for (i = 0; self->max_per_eni && i < self->n_enis; i++) {
        self->enis[i].n_tracked -= self->enis[i].n_lapsed;
        self->enis[i].n_lapsed = 0;
    }
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

/* What counts of a TCP header: FIN, SYN and RST, or that there is none. */
enum { FLAGS = HG_TCP_FIN | HG_TCP_SYN | HG_TCP_RST, NO_HEADER = 8 };

static inline unsigned
flags_of(const struct hg_packet *p)
{
    const struct hg_tcp *tcp = hg_packet_tcp(p);

    return tcp ? tcp->flags & FLAGS : NO_HEADER;
}

static void
advance_tcp(struct side *s, bool reply, unsigned flags)
{
    if (flags == NO_HEADER)
        return;
    if (s->kind == TCP_OPENING) {
        if (reply)
            s->replied = true;
        if (s->replied && !(flags & HG_TCP_SYN))
            s->kind = TCP_ESTABLISHED;
    }
    if (!(flags & (HG_TCP_FIN | HG_TCP_RST)))
        return;
    if (flags & HG_TCP_FIN)
        s->detail |= reply ? 2 : 1;
    if (flags & HG_TCP_RST || s->detail == 3)
        s->kind = TCP_CLOSING;
}

/* Moves a side on by a packet that it covers; whether that keeps it. */
static inline bool
advance(struct side *s, bool reply, unsigned flags)
{
    switch (s->kind) {
    case TCP_CLOSING:
        return false; /* Nothing keeps it. */
    case TCP_OPENING:
    case TCP_ESTABLISHED:
        advance_tcp(s, reply, flags);
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

/* Whether advance() would keep a side of this kind and change nothing of it by
 * a packet, as in the middle of a connection. */
static inline bool
is_steady(unsigned kind, bool replied, bool reply, const struct hg_packet *p)
{
    switch (kind) {
    case TCP_ESTABLISHED:
        return !(flags_of(p) & (HG_TCP_FIN | HG_TCP_RST));
    case UDP_SINGLE:
        return reply == replied;
    case UDP_STREAM:
        return true;
    default:
        return false;
    }
}

static bool
is_established(const struct side *s)
{
    return s->replied && s->kind != TCP_OPENING;
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
                     .opened_by = g->direction == INGRESS};

    if (s.kind == ICMP_QUERY)
        while (icmp_answers[s.detail] != answer_of(g->p))
            s.detail++;
    return s;
}

#endif
