/* security_group_service.h: the tracked connections of a SecurityGroup in the
 * flow service; a part of security_group.c.
 *
 * A flow's record has a side for each interface that it passes. */
#ifndef SECURITY_GROUP_SERVICE_H
#define SECURITY_GROUP_SERVICE_H 1

#include "security_group_side.h"

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
end_side(struct security_group *self, struct side *s, uint64_t now_ns)
{
    count_ended(self, s->eni, s->until_ns <= now_ns);
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
            end_side(self, s, now_ns);
        if (s->until_ns > last)
            last = s->until_ns;
    }
    drop_more(self, flow);
    return last;
}

static void
security_group_flow_expired(void *self_, void *state, uint64_t when_ns)
{
    struct security_group *self = self_;
    struct side *s;
    unsigned i;

    for (i = 0; (s = side_at(self, state, i)) != NULL; i++)
        if (s->until_ns > when_ns) {
            hg_count(&self->evicted);
            end_side(self, s, when_ns);
        }
    prune(self, state, LAST_NS);
}

/* Whether the interface is where the flow's first packet went; the packet's
 * record was found or made. */
static inline bool
is_endpoint(const struct hg_packet *p, unsigned direction)
{
    return ((p->flags & HG_PACKET_REPLY) != 0) == (direction == EGRESS);
}

static bool
endpoint_of(const struct passage *g)
{
    return is_endpoint(g->p, g->direction);
}

/* Whether the side lives and is this interface's at this end. */
static inline bool
is_side_of(const struct side *s, uint32_t eni, bool endpoint, uint64_t now_ns)
{
    return s->until_ns > now_ns && s->eni == eni && s->endpoint == endpoint;
}

/* The next such side, from number '*i' on, which moves behind it; NULL if
 * there is no other. */
static struct side *
next_side(const struct security_group *self, struct sg_flow *flow, unsigned *i,
          uint32_t eni, bool endpoint, uint64_t now_ns)
{
    struct side *s;

    while ((s = side_at(self, flow, (*i)++)) != NULL)
        if (is_side_of(s, eni, endpoint, now_ns))
            return s;
    return NULL;
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
            end_side(self, s, now);
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

/* A packet of a connection that is tracked.  The deadline, which shares a word
 * with 'replied', is written last: what was just written is slow to read. */
static void
move_on(struct security_group *self, struct hg_flow *flow,
        struct sg_flow *state, struct side *s, const struct passage *g)
{
    uint64_t before = s->until_ns, until = before;
    bool was_established = is_established(s);
    bool is_kept = advance(s, g->direction != s->opened_by, flags_of(g->p));

    if (!was_established && is_established(s))
        hg_flow_confirm(flow);
    if (is_kept)
        until = set_until(self, s, g->p->time_ns);
    if (until >= before)
        hg_flow_extend_state(state, until);
    else
        hg_flow_keep(self, flow, prune(self, state, g->p->time_ns));
}

/* Lets a packet of a tracked connection move it on; false if it is of none. */
__attribute__((noinline)) static bool
service_follow(struct security_group *self, struct hg_packet *p)
{
    struct passage g = {.p = p, .direction = p->in_port};
    struct hg_flow *flow;
    struct side *s;
    void *state;

    if (!find_interface(self, &g))
        return false;
    flow = hg_flow_find_state(self, p, &state);
    s = flow ? find_side(self, state, &g) : NULL;
    if (s)
        move_on(self, flow, state, s, &g);
    return s != NULL;
}

/* The short way of what most packets are: of a flow that the batch's look-up
 * found, and of its first side, of which they change nothing but the deadline.
 * False, and nothing has happened, if it is not that. */
static inline __attribute__((always_inline)) bool
service_go_straight(const struct security_group *self,
                    const struct hg_flow_place *place, struct hg_packet *p)
{
    const struct hg_eni *eni = p->in_port == EGRESS ? p->src_eni : p->dst_eni;
    struct sg_flow *state = hg_flow_known_state(place, p);
    struct side_time time;
    struct side *s;
    uint64_t until;

    if (!state || p->flags & HG_PACKET_FRAGMENT)
        return false;
    s = &state->side[0];
    memcpy(&time, s, sizeof(time));
    if (time.until_ns <= p->time_ns || s->eni != (eni ? eni->number : 0) ||
        time.endpoint != is_endpoint(p, p->in_port) ||
        !is_steady(s->kind, time.replied, p->in_port != s->opened_by, p))
        return false;
    until = p->time_ns + self->timeout[s->kind];
    if (until > LAST_NS)
        return false;
    time.until_ns = until & LAST_NS;
    memcpy(s, &time, sizeof(time));
    hg_flow_extend_state(state, until);
    return true;
}

/* Begins to track the packet's connection; false if there is no room. */
static bool
service_track(struct security_group *self, struct passage *g)
{
    struct hg_packet *p = g->p;
    struct side *s;
    uint64_t last;
    void *state;

    if (number_of(g) > MAX_ENI || !hg_flow_create_state(self, p, &state))
        return false;
    last = prune(self, state, p->time_ns);
    s = add_side(self, state);
    if (!s)
        return false;
    *s = new_side(g);
    s->endpoint = endpoint_of(g);
    if (advance(s, false, flags_of(p)))
        set_until(self, s, p->time_ns);
    hg_flow_keep_state(state, s->until_ns > last ? s->until_ns : last);
    return true;
}

/* Whether the connection of 'quoted' is tracked, a packet that the interface
 * sent if 'sent', and else got. */
static bool
service_has(struct security_group *self, const struct passage *g,
            const struct hg_flow_key *quoted, bool sent)
{
    uint64_t now = g->p->time_ns;
    struct hg_flow *flow = hg_flow_find_key(self, quoted, now);
    bool endpoint;
    unsigned i = 0;

    if (!flow)
        return false;
    endpoint = hg_flow_is_reply_key(self, flow, quoted) == sent;
    return next_side(self, hg_flow_state(self, flow, now), &i, number_of(g),
                     endpoint, now) != NULL;
}

static bool
expire_one(void *aux, struct hg_flow *flow, void *state)
{
    struct security_group *self = aux;

    (void)flow;
    prune(self, state, self->expired_ns);
    return true;
}

#endif
