/* security_group_compact.h: the tracked connections of a SecurityGroup in a
 * table of their own, 16 bytes each (headgate/track.h); a part of
 * security_group.c.
 *
 * There each interface that a flow passes has a connection of its own: its
 * realm is interface and VPC, and its ends are those of the interface.  What
 * does not fit is in the flow service: IPv6, what an endpoint sends itself,
 * and what is of more realms than there are numbers. */
#ifndef SECURITY_GROUP_COMPACT_H
#define SECURITY_GROUP_COMPACT_H 1

#include <headgate/track.h>

#include "security_group_side.h"

/* Packets of a batch looked up at once. */
enum { LOOKUP_MAX = 64 };

struct compact {
    struct hg_track_table *table;
    /* What becomes of a state by a packet in a direction, with these flags; 0:
     * nothing, and nothing keeps it. */
    uint8_t next[2][2 * NO_HEADER][HG_TRACK_STATES];
    struct hg_track_key key[LOOKUP_MAX];
};

/* ---- States ----------------------------------------------------------- */

/* The state of a connection:
 *     kind 3 or 4 | detail 2 | replied 1 | opened by 1
 * The upper bits say the protocol, too: 1.. TCP, 001 UDP, 010 ICMP query, 011
 * other, where the number is in place of a port.  One connection asks one ICMP
 * question, in one direction. */
enum {
    OPENED_BY = 1,
    REPLIED = 2,
    DETAIL_SHIFT = 2,
    IS_TCP = 0x40,
    PROTOCOL = 0x70,
    QUESTION = PROTOCOL | 3 << DETAIL_SHIFT | OPENED_BY,
    NO_STATE = 0x70 /* That no connection has. */
};

static const uint8_t state_of_kind[N_KINDS] = {
    [TCP_OPENING] = 0x40, [TCP_ESTABLISHED] = 0x50, [TCP_CLOSING] = 0x60,
    [UDP_SINGLE] = 0x10,  [UDP_STREAM] = 0x18,      [ICMP_QUERY] = 0x20,
    [OTHER] = 0x30};

static inline uint8_t
state_of(const struct side *s)
{
    return (uint8_t)(state_of_kind[s->kind] | s->detail << DETAIL_SHIFT |
                     (s->replied ? REPLIED : 0) |
                     (s->opened_by ? OPENED_BY : 0));
}

static inline struct side
side_of(uint8_t state)
{
    static const uint8_t kinds[8] = {OTHER,       UDP_SINGLE,  ICMP_QUERY,
                                     OTHER,       TCP_OPENING, TCP_ESTABLISHED,
                                     TCP_CLOSING, OTHER};
    struct side s = {.kind = kinds[state >> 4] & 7u,
                     .detail = state >> DETAIL_SHIFT & 3u,
                     .replied = (state & REPLIED) != 0,
                     .opened_by = (state & OPENED_BY) != 0};

    if (s.kind == UDP_SINGLE && s.detail)
        s.kind = UDP_STREAM;
    if (s.kind == UDP_STREAM)
        s.detail = 0;
    return s;
}

/* ---- Keys ------------------------------------------------------------- */

/* The number of an interface in a VPC. */
static inline uint32_t
realm_of(struct security_group *self, uint32_t eni, uint32_t vpc)
{
    struct eni_entry *entry;
    uint32_t realm;

    if (eni < self->n_enis && self->enis[eni].realm &&
        self->enis[eni].vpc == vpc)
        return self->enis[eni].realm - 1;
    entry = entry_of(self, eni);
    realm = hg_track_realm(self->compact->table, eni, vpc);
    if (realm < HG_TRACK_REALMS) {
        entry->vpc = vpc;
        entry->realm = realm + 1;
    }
    return realm;
}

/* The state by which an ICMP packet's connection is found: that of a question,
 * of which it is one or the answer. */
static uint8_t
question_of(const struct hg_packet *p, unsigned direction)
{
    const struct hg_icmp *icmp = hg_packet_icmp(p);
    int answer = answer_of(p);
    bool opened_by = (answer >= 0 ? direction : !direction) == INGRESS;
    unsigned i;

    for (i = 0; icmp && i < 4; i++)
        if (icmp_answers[i] == (answer >= 0 ? answer : icmp->type))
            return (uint8_t)(state_of_kind[ICMP_QUERY] | i << DETAIL_SHIFT |
                             opened_by);
    return NO_STATE;
}

/* What depends on the protocol of a key, whose ports are there. */
static inline void
set_protocol(struct hg_track_key *k, uint8_t protocol)
{
    k->mask = PROTOCOL;
    if (protocol == HG_PROTO_TCP) {
        k->state = k->mask = IS_TCP;
    } else if (protocol == HG_PROTO_UDP) {
        k->state = state_of_kind[UDP_SINGLE];
    } else if (protocol == HG_PROTO_ICMP) {
        k->state = state_of_kind[ICMP_QUERY];
    } else {
        k->state = state_of_kind[OTHER];
        k->ports = protocol;
    }
}

/* The ends of a packet, its source's first, as the interface sees them that
 * sent it, or got it. */
static inline void
set_ends(struct hg_track_key *k, bool sent, uint64_t addresses, uint32_t ports)
{
    k->addresses = sent ? addresses : addresses << 32 | addresses >> 32;
    k->ports = sent ? ports : ports << 16 | ports >> 16;
}

/* The key of a packet at an interface; false if the table is not for it. */
static inline bool
compact_key(struct security_group *self, const struct hg_packet *p,
            struct hg_track_key *k)
{
    bool sent = p->in_port == EGRESS;
    const struct hg_eni *eni = sent ? p->src_eni : p->dst_eni;
    const struct hg_ipv4 *ip = (const struct hg_ipv4 *)hg_packet_l3(p);
    uint32_t ports;

    if (!(p->flags & HG_PACKET_IP4) || (self->inventory && !eni))
        return false;
    ports = hg_packet_has_ports(p) ? hg_load32(hg_packet_l4(p))
                                   : hg_packet_echo_id(p) * 0x10001u;
    set_ends(k, sent, hg_load64(&ip->src), ports); /* And 'dst' behind. */
    k->realm = realm_of(self, eni ? eni->number : 0, p->vpc);
    set_protocol(k, p->protocol);
    if (p->protocol == HG_PROTO_ICMP) {
        k->state = question_of(p, p->in_port);
        k->mask = QUESTION;
    }
    return k->realm < HG_TRACK_REALMS &&
           (k->addresses >> 32 != (uint32_t)k->addresses ||
            ports >> 16 != (uint16_t)ports);
}

/* ---- Tracking --------------------------------------------------------- */

/* A packet of a connection that has closed; false if it begins another one of
 * the same ports. */
__attribute__((noinline)) static bool
compact_closed(struct security_group *self, struct hg_packet *p,
               struct hg_track_entry *e, uint8_t state)
{
    struct passage g = {.p = p, .direction = p->in_port};
    struct side s = side_of(state);

    if (covers(&s, &g))
        return true;
    find_interface(self, &g);
    hg_track_remove(self->compact->table, e);
    count_ended(self, number_of(&g), false);
    return false;
}

/* Lets a packet of a tracked connection move it on; false if it is of none. */
static inline bool
compact_follow(struct security_group *self, struct hg_packet *p,
               const struct hg_track_key *key)
{
    struct compact *c = self->compact;
    const uint8_t *next = c->next[p->in_port][flags_of(p)];
    struct hg_track_entry *e;
    uint8_t state;

    e = hg_track_follow(c->table, key, p->time_ns, next, &state);
    if (e && (state & PROTOCOL) == state_of_kind[TCP_CLOSING])
        return compact_closed(self, p, e, state);
    return e != NULL;
}

/* Begins to track the packet's connection; false if there is no room. */
static bool
compact_track(struct security_group *self, const struct passage *g)
{
    struct side s = new_side(g);

    advance(&s, false, flags_of(g->p));
    return hg_track_insert(self->compact->table, g->key, state_of(&s));
}

/* Whether the connection of 'quoted' is tracked, a packet that the interface
 * sent if 'sent', and else got.  An ICMP query may be any one. */
static bool
compact_has(struct security_group *self, const struct passage *g,
            const struct hg_flow_key *quoted, bool sent)
{
    struct hg_track_key k = {.realm =
                                 realm_of(self, number_of(g), quoted->vpc)};
    uint8_t state;

    set_ends(&k, sent,
             (uint64_t)hg_addr_ip4(&quoted->src) << 32 |
                 hg_addr_ip4(&quoted->dst),
             (uint32_t)quoted->sport << 16 | quoted->dport);
    if (k.realm == HG_TRACK_REALMS)
        return false;
    set_protocol(&k, quoted->protocol);
    hg_track_prepare(self->compact->table, &k, 1);
    return hg_track_find(self->compact->table, &k, &state) != NULL;
}

/* ---- Life ------------------------------------------------------------- */

/* A connection and the key of its first packet. */
static struct side
compact_side(const struct security_group *self, const struct hg_track *c,
             struct hg_flow_key *key)
{
    struct side s = side_of(c->state);
    bool swap = s.opened_by == INGRESS;
    uint32_t eni, vpc;

    hg_track_realm_pair(self->compact->table, c->realm, &eni, &vpc);
    s.eni = eni & MAX_ENI;
    s.until_ns = c->deadline_ns & LAST_NS;
    *key = (struct hg_flow_key){
        .vpc = vpc,
        .src = hg_addr_from_ip4(swap ? c->remote : c->local),
        .dst = hg_addr_from_ip4(swap ? c->local : c->remote),
        .sport = swap ? c->remote_port : c->local_port,
        .dport = swap ? c->local_port : c->remote_port};
    switch (s.kind) {
    case UDP_SINGLE:
    case UDP_STREAM:
        key->protocol = HG_PROTO_UDP;
        break;
    case ICMP_QUERY:
        key->protocol = HG_PROTO_ICMP;
        break;
    case OTHER:
        key->protocol = (uint8_t)c->remote_port;
        key->sport = key->dport = 0;
        break;
    default:
        key->protocol = HG_PROTO_TCP;
    }
    return s;
}

static void
compact_ended(void *self_, const struct hg_track *c, bool pushed_out)
{
    struct security_group *self = self_;
    uint32_t eni, vpc;

    hg_track_realm_pair(self->compact->table, c->realm, &eni, &vpc);
    count_ended(self, eni, !pushed_out);
    if (pushed_out)
        hg_count(&self->evicted);
}

static void
set_up_next(struct compact *c)
{
    unsigned state, direction, flags;

    for (direction = 0; direction < 2; direction++)
        for (flags = 0; flags < 2 * NO_HEADER; flags++)
            for (state = 1; state < HG_TRACK_STATES; state++) {
                struct side s = side_of((uint8_t)state);

                if (advance(&s, direction != s.opened_by, flags))
                    c->next[direction][flags][state] = state_of(&s);
            }
}

static bool
compact_start(struct security_group *self, struct hg_error *error)
{
    struct hg_track_config config = {
        .seed = hg_seed(self), .ended = compact_ended, .aux = self};
    unsigned n_workers = hg_n_workers(self), i;

    self->compact = calloc(1, sizeof *self->compact);
    config.max = (self->max_flows + n_workers - 1) / n_workers;
    for (i = 0; i < HG_TRACK_STATES; i++) {
        struct side s = side_of((uint8_t)i);

        config.timeout_ns[i] = self->timeout[s.kind];
        config.kept[i] = is_established(&s);
    }
    if (self->compact) {
        set_up_next(self->compact);
        self->compact->table = hg_track_create(&config);
    }
    return (self->compact && self->compact->table) ||
           hg_error_set(error,
                        "no memory for a table of %llu flows; see "
                        "'max-flows'",
                        (unsigned long long)self->max_flows);
}

static void
compact_free(struct security_group *self)
{
    if (self->compact)
        hg_track_destroy(self->compact->table);
    free(self->compact);
}

#endif
