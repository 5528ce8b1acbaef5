/* hyperplane_nat_service.h: HyperplaneNAT's flows in the core's flow service
 * (headgate/flow.h).  The tuple that inside sees is the record's first key,
 * the one that outside sees its second.
 *
 * Two flows from inside, one against the other, as a capture of both sides of
 * a conversation has them, would share a record.  The second one gets a record
 * of its own, in a VPC that only this element knows (REVERSED_VPC).  So does a
 * flow that another element before this one has translated: a record has only
 * one second key.
 *
 * Both are in the record, which so is all that a packet needs.  The deadline
 * is the service's; beside it flows are in a calendar of deadlines
 * (hyperplane_nat_calendar.h). */
#ifndef HYPERPLANE_NAT_SERVICE_H
#define HYPERPLANE_NAT_SERVICE_H 1

#include <headgate/flow.h>
#include <headgate/translate.h>

#include "hyperplane_nat_calendar.h"
#include "hyperplane_nat_flow.h"

enum { SERVICE_FLOWS_MAX = 1 << 29, DEST_MASK = (1 << 30) - 1 };

#define REVERSED_VPC (UINT32_C(1) << 31)

/* Takes the flow out of all accounts. */
static void
settle(struct hyperplane_nat *self, struct nat_state *s)
{
    hg_nat_dest_give_back(self->ports_used, s->dest);
    s->dest = s->keyed = 0;
    self->n_flows--;
}

/* It ran out: its deadline has passed, so that neither of its keys is found
 * any more, whether or not the service has swept it. */
static void
run_out(struct hyperplane_nat *self, struct nat_state *s)
{
    if (!nat_is_closed(s->state))
        METRIC(self, self->addresses[s->address].gateway, idle_timeout_count,
               1);
    settle(self, s);
}

static void
flow_expired(void *self, void *state, uint64_t when_ns)
{
    struct nat_state *s = state;

    (void)when_ns;
    if (s->dest)
        run_out(self, s);
}

/* ---- Keys ------------------------------------------------------------- */

/* A destination as the external address of this number sees it; like the
 * other keys written where it stays: copying one would wait for the pieces
 * that it was made of. */
static inline void
read_dest_key(uint32_t address, uint32_t remote, uint16_t port,
              uint8_t protocol, struct hg_nat_dest_key *out)
{
    bool icmp = protocol == HG_PROTO_ICMP || protocol == HG_PROTO_ICMP6;

    out->address = address;
    out->remote = remote;
    out->remote_port = icmp ? 0 : port;
    out->protocol = icmp ? (uint8_t)HG_PROTO_ICMP : protocol;
    out->zero = 0;
}

/* Which of the gateway's external addresses an inside address is paired with
 * (RFC 4787 REQ-2). */
static uint32_t
paired_with(const struct hyperplane_nat *self, const struct gateway *gw,
            const struct hg_addr *inside)
{
    return gw->n == 1 ? 0
                      : hg_nat_ports_pair(self->ports_used, inside->byte,
                                          sizeof(inside->byte), gw->n);
}

/* The tuple that outside sees, from the external endpoint on. */
static inline void
read_external_key(const struct hyperplane_nat *self,
                  const struct hg_nat_dest_key *dest, uint16_t port,
                  struct hg_flow_key *out)
{
    const struct address *a = &self->addresses[dest->address];
    bool icmp = dest->protocol == HG_PROTO_ICMP;

    *out = (struct hg_flow_key){.src.family = 4, .dst.family = 4};
    out->vpc = a->vpc;
    hg_store32(out->src.byte, a->ip);
    hg_store32(out->dst.byte, dest->remote);
    out->sport = port;
    out->dport = icmp ? port : dest->remote_port;
    out->protocol = dest->protocol;
}

/* ---- Endpoints -------------------------------------------------------- */

/* The inside endpoint of a flow for which its record's first key does not do:
 * it is IPv6, or the key has other addresses, as where several elements
 * translate, or another VPC. */
struct nat_inside {
    struct hg_addr addr;
    uint16_t port;
    uint32_t vpc;
};

/* Notes the inside endpoint of a flow, of which is known whether it is keyed,
 * by its first packet. */
static void
note_inside(struct hyperplane_nat *self, const struct hg_flow *record,
            struct nat_state *s, const struct hg_packet *p)
{
    const struct hg_flow_ends *ends = &record->ends;
    const uint16_t port = hg_packet_sport(p);

    s->six = (p->flags & HG_PACKET_IP6) != 0;
    if (!s->keyed)
        *(struct nat_inside *)hg_flow_seldom(self, record) =
            (struct nat_inside){hg_packet_src(p), port, p->vpc};
    else
        s->inside = ends->addr[0] != hg_get32(hg_packet_ipv4(p)->src) ||
                    ends->port[0] != port;
}

static inline __attribute__((always_inline)) void
view_inside(struct hyperplane_nat *self, const struct hg_flow *record,
            const struct nat_state *s, struct nat_flow *out)
{
    const struct hg_flow_ends *ends = &record->ends;
    const struct nat_inside *inside;

    out->is_six = s->six;
    if (s->keyed) {
        out->f.inside = ends->addr[s->inside];
        out->f.inside_port = ends->port[s->inside];
        out->vpc = ends->vpc;
        return;
    }
    inside = hg_flow_seldom(self, record);
    out->f.inside = hg_addr_ip4(&inside->addr); /* If it is one. */
    out->f.inside_port = inside->port;
    out->vpc = inside->vpc;
    memcpy(out->inside6, inside->addr.byte, sizeof(out->inside6));
}

static void
view(struct hyperplane_nat *self, struct hg_flow *record, struct nat_state *s,
     bool from_inside, struct nat_flow *out)
{
    const struct address *a = &self->addresses[s->address];

    out->record = record;
    out->stored = s;
    out->gateway = a->gateway;
    out->f.external = a->ip;
    out->f.external_port = s->ends.port[s->outside];
    out->f.deadline_ns = hg_flow_deadline_of(s);
    out->f.state = s->state;
    out->is_six = false;
    if (!from_inside)
        view_inside(self, record, s, out);
}

/* ---- Finding ---------------------------------------------------------- */

/* Whether the packet, of a direction that is right, goes to the external
 * endpoint. */
static inline bool
is_to_outside(const struct nat_state *s, const struct hg_packet *p)
{
    const struct hg_ipv4 *ip = hg_packet_ipv4(p);

    return ip && s->ends.addr[s->outside] == hg_get32(ip->dst) &&
           s->ends.port[s->outside] == hg_packet_dport(p);
}

static bool
is_from_inside(struct hyperplane_nat *self, const struct hg_flow *record,
               const struct nat_state *s, const struct hg_packet *p)
{
    const struct hg_ipv4 *ip = hg_packet_ipv4(p);
    const struct hg_ipv6 *ip6 = hg_packet_ipv6(p);
    struct nat_flow flow;

    view_inside(self, record, s, &flow);
    if (flow.f.inside_port != hg_packet_sport(p))
        return false;
    return flow.is_six ? ip6 && !memcmp(flow.inside6, ip6->src, 16)
                       : ip && flow.f.inside == hg_get32(ip->src);
}

/* Whether the packet is as the keyed flow's first key says; its direction is
 * right. */
static inline bool
is_as_keyed(const struct nat_state *s, const struct hg_packet *p)
{
    return s->keyed &&
           !(p->flow_generation & (HG_FLOW_SECOND | HG_FLOW_REWRITTEN));
}

/* Whether the packet travels in this flow as this side sees it, and not only
 * in one that has or had a key like it. */
static bool
is_of_flow(struct hyperplane_nat *self, const struct hg_flow *record,
           const struct nat_state *s, const struct hg_packet *p,
           bool from_inside)
{
    if (!s->dest || !(p->flags & HG_PACKET_REPLY) != from_inside)
        return false;
    if (!from_inside)
        return is_to_outside(s, p);
    return is_as_keyed(s, p) || is_from_inside(self, record, s, p);
}

/* The destination that a plain packet's flow would have first. */
static inline void
read_first_dest(const struct hyperplane_nat *self, const struct hg_packet *p,
                const struct gateway *gw, struct hg_nat_dest_key *out)
{
    const struct hg_ipv4 *ip = hg_packet_ipv4(p);
    struct hg_addr inside;

    hg_packet_read_src(p, &inside);
    read_dest_key(gw->first + paired_with(self, gw, &inside),
                  hg_get32(ip->dst), hg_packet_dport(p), p->protocol, out);
}

/* Looks up a whole batch with prefetch, and what those will need that have no
 * flow yet. */
static void
service_find_batch(struct hyperplane_nat *self, struct hg_batch *batch,
                   struct gateway *const *gateway)
{
    struct hg_nat_dest_key key[HG_BATCH_MAX];
    struct hg_flow_key external[HG_BATCH_MAX];
    const struct hg_flow_key *fetched[HG_BATCH_MAX];
    unsigned n = 0, i;

    self->n_pairs = self->at_pair = 0;
    if (!hg_flow_find_batch(self, batch))
        return;
    for (i = 0; i < batch->n; i++) {
        const struct hg_packet *p = batch->p[i];

        if (p->flow || !gateway[i] || !is_plain(p) || p->in_port == OUTSIDE)
            continue;
        read_first_dest(self, p, gateway[i], &key[n]);
        self->pair[n] =
            (struct nat_pair){(uint16_t)i, (uint16_t)key[n].address};
        n++;
    }
    self->n_pairs = n;
    hg_nat_dest_fetch(self->ports_used, key, n);
    for (i = 0; i < n; i++) {
        unsigned part = hg_port_part(self, key[i].remote, key[i].remote_port);

        read_external_key(self, &key[i],
                          hg_nat_port_ahead(self->ports_used, part, i),
                          &external[i]);
        fetched[i] = &external[i];
    }
    hg_flow_fetch_keys(self, fetched, n);
}

static bool
find_in(struct hyperplane_nat *self, struct hg_packet *p, bool from_inside,
        struct nat_flow *out)
{
    void *state;
    struct hg_flow *record = hg_flow_find_state(self, p, &state);

    if (!record || !is_of_flow(self, record, state, p, from_inside))
        return false;
    view(self, record, state, from_inside, out);
    return true;
}

/* Whether the flow's record is one of its own: then the packet's tuple, on
 * either side, is no key of the record where the packet was found. */
static inline bool
has_own_record(const struct hg_flow *record)
{
    return (record->ends.vpc & REVERSED_VPC) != 0;
}

/* The packet as one of a flow with a record of its own. */
static struct hg_packet
as_reversed(const struct hg_packet *p)
{
    struct hg_packet q = *p;

    q.vpc ^= REVERSED_VPC;
    hg_packet_forget_flow(&q);
    return q;
}

/* The flow of a packet that is not the one which the batch's lookup found, if
 * it found any. */
static bool
find_again(struct hyperplane_nat *self, struct hg_packet *p, bool from_inside,
           struct nat_flow *out)
{
    struct hg_packet q;

    if (p->flow) {
        hg_packet_forget_flow(
            p); /* Flows begin and end in a batch: look again. */
        if (find_in(self, p, from_inside, out))
            return true;
    }
    if (!from_inside || !self->has_reversed)
        return false;
    q = as_reversed(p);
    return find_in(self, &q, true, out);
}

/* The flow of a packet, of a batch that was looked up at once. */
static bool
service_find(struct hyperplane_nat *self, struct hg_packet *p,
             bool from_inside, struct nat_flow *out)
{
    return find_in(self, p, from_inside, out) ||
           find_again(self, p, from_inside, out);
}

static bool
find_key_in(struct hyperplane_nat *self, const struct hg_flow_key *key,
            const struct hg_addr *ours, uint16_t port, bool is_inside,
            uint64_t now_ns, struct nat_flow *out)
{
    struct hg_flow *record = hg_flow_find_key(self, key, now_ns);
    struct nat_state *s;

    if (!record)
        return false;
    s = hg_flow_state(self, record, now_ns);
    if (!s->dest)
        return false;
    view(self, record, s, false, out);
    if (!is_inside)
        return port == out->f.external_port && ours->family == 4 &&
               hg_addr_ip4(ours) == out->f.external;
    if (port != out->f.inside_port || (ours->family == 6) != out->is_six)
        return false;
    return out->is_six ? !memcmp(ours->byte, out->inside6, 16)
                       : hg_addr_ip4(ours) == out->f.inside;
}

/* The flow of a packet that an ICMP error quotes; 'ours' is the end of 'key'
 * that belongs to this side: inside or external. */
static bool
service_find_key(struct hyperplane_nat *self, const struct hg_flow_key *key,
                 const struct hg_addr *ours, uint16_t port, bool is_inside,
                 uint64_t now_ns, struct nat_flow *out)
{
    struct hg_flow_key reversed = *key;

    reversed.vpc ^= REVERSED_VPC;
    return find_key_in(self, key, ours, port, is_inside, now_ns, out) ||
           (is_inside && self->has_reversed &&
            find_key_in(self, &reversed, ours, port, true, now_ns, out));
}

/* As nat_follow() says, for flows that are keyed. */
static inline __attribute__((always_inline)) bool
service_follow(struct hyperplane_nat *self, const struct gateway *gw,
               struct hg_packet *p, bool from_inside, uint8_t state,
               uint64_t deadline_ns, struct nat_end *out)
{
    const uint32_t as = HG_FLOW_SECOND | HG_FLOW_REWRITTEN;
    struct nat_state *s = hg_flow_known_state(&self->place, p);
    const struct hg_flow_ends *ends;
    unsigned end;

    if (!s || !s->keyed || s->state != state ||
        !(p->flags & HG_PACKET_REPLY) != from_inside ||
        (p->flow_generation & as) != (from_inside ? 0 : HG_FLOW_SECOND) ||
        deadline_ns < hg_flow_deadline_of(s))
        return false;
    if (from_inside ? (unsigned)(s->address - gw->first) >= gw->n
                    : !is_to_outside(s, p))
        return false;
    ends = from_inside ? &s->ends : &p->flow->ends;
    end = from_inside ? s->outside : s->inside;
    out->addr = ends->addr[end];
    out->port = ends->port[end];
    out->vpc = ends->vpc;
    hg_flow_keep_state(s, deadline_ns);
    return true;
}

/* ---- Beginning and ending --------------------------------------------- */

/* The destination as this address sees it, if it may have one more flow;
 * else 0. */
static uint32_t
open_dest(struct hyperplane_nat *self, const struct hg_nat_dest_key *key)
{
    uint32_t dest = hg_nat_dest_open(self->ports_used, key);

    return hg_nat_dest_n(self->ports_used, dest) <
                   hg_nat_dest_limit(self->ports_used)
               ? dest
               : 0;
}

/* Adds the flow of 'record', whose bytes are 's', by this external port; false
 * if another has it. */
static bool
take_port(struct hyperplane_nat *self, struct hg_flow *record,
          struct nat_state *s, uint32_t dest, uint16_t port, uint64_t now_ns)
{
    const struct hg_nat_dest_key *to = hg_nat_dest_key(self->ports_used, dest);
    struct hg_flow_key external;

    read_external_key(self, to, port, &external);
    if (!hg_flow_add_key(self, record, &external, now_ns))
        return false;
    s->dest = dest & DEST_MASK;
    s->address = (uint16_t)to->address;
    s->outside = s->ends.addr[0] != self->addresses[to->address].ip ||
                 s->ends.port[0] != port;
    hg_nat_dest_take(self->ports_used, dest);
    return true;
}

/* Completes a flow that took a port, for its first packet. */
static void
begin_life(struct hyperplane_nat *self, struct hg_flow *record,
           struct nat_state *s, struct hg_packet *p, uint8_t state,
           uint64_t deadline_ns, struct nat_flow *out)
{
    void *found;

    self->n_flows++;
    s->state = state & 7u;
    hg_flow_keep_state(s, deadline_ns);
    hg_flow_confirm(record); /* RFC 6888 REQ-11: nobody is pushed out. */
    s->keyed = p->flags & HG_PACKET_IP4 && /* By its keys of now: */
               hg_flow_find_state(self, p, &found) == record &&
               !(p->flow_generation & (HG_FLOW_SECOND | HG_FLOW_REWRITTEN));
    note_inside(self, record, s, p);
    calendar_note(&self->calendar, s);
    view(self, record, s, true, out);
}

/* A random port of this address that is free for the destination. */
static bool
choose_port(struct hyperplane_nat *self, struct hg_flow *record,
            struct nat_state *s, uint32_t dest, uint64_t now_ns)
{
    const struct hg_nat_dest_key *to = hg_nat_dest_key(self->ports_used, dest);
    struct hg_nat_port_walk walk;
    uint16_t port;

    hg_nat_port_first(self->ports_used,
                      hg_port_part(self, to->remote, to->remote_port), &walk);
    while (hg_nat_port_next(&walk, &port))
        if (take_port(self, record, s, dest, port, now_ns))
            return true;
    hg_nat_dest_close(self->ports_used, dest);
    return false;
}

/* Whether there may be one more flow; those that ran out do not count. */
static bool
service_has_room(struct hyperplane_nat *self, uint64_t now_ns)
{
    calendar_turn(self, now_ns);
    return self->n_flows < self->max_flows &&
           calendar_has_room(&self->calendar);
}

/* A record for a flow from inside that has none, and its bytes; NULL if there
 * is no room.  It has one of its own where the packet's record has another
 * flow of ours, or has the packet's tuple as what another element made of it:
 * that key has to stay. */
static struct hg_flow *
new_record(struct hyperplane_nat *self, struct hg_packet *p,
           struct nat_state **out)
{
    void *state;
    struct hg_flow *record = hg_flow_create_state(self, p, &state);
    struct hg_packet q;

    *out = state;
    if (!record || (!(*out)->dest && !(p->flow_generation & HG_FLOW_SECOND)))
        return record;
    q = as_reversed(p);
    self->has_reversed = true;
    record = hg_flow_create_state(self, &q, &state);
    *out = state;
    return record;
}

/* Which of the gateway's external addresses the packet at self->at is paired
 * with: service_find_batch() knows mostly. */
static uint32_t
pair_of(struct hyperplane_nat *self, const struct hg_packet *p,
        const struct gateway *gw)
{
    const struct nat_pair *pair;
    struct hg_addr inside;

    for (; self->at_pair < self->n_pairs; self->at_pair++) {
        pair = &self->pair[self->at_pair];
        if (pair->at == self->at)
            return (uint32_t)pair->address - gw->first;
        if (pair->at > self->at)
            break;
    }
    hg_packet_read_src(p, &inside);
    return paired_with(self, gw, &inside);
}

/* Makes a flow for a packet from inside that has none, towards 'remote', and
 * gives it an external endpoint: the address that the inside address is
 * paired with (RFC 4787 REQ-2), or the next one where that is exhausted for
 * this remote endpoint; a port chosen at random among those free. */
static enum nat_result
service_begin(struct hyperplane_nat *self, struct hg_packet *p,
              const struct gateway *gw, uint32_t remote, uint8_t state,
              uint64_t deadline_ns, struct nat_flow *out)
{
    struct hg_flow *record = NULL;
    struct nat_state *s = NULL;
    uint32_t first, i;

    if (!service_has_room(self, p->time_ns))
        return NAT_FULL;
    first = pair_of(self, p, gw);
    for (i = 0; i < gw->n; i++) {
        struct hg_nat_dest_key key;
        uint32_t dest;

        read_dest_key(gw->first + (first + i) % gw->n, remote,
                      hg_packet_dport(p), p->protocol, &key);
        dest = open_dest(self, &key);
        if (!dest)
            continue;
        if (!record)
            record = new_record(self, p, &s);
        if (!record) {
            hg_nat_dest_close(self->ports_used, dest);
            return NAT_FULL;
        }
        if (!choose_port(self, record, s, dest, p->time_ns))
            continue;
        begin_life(self, record, s, p, state, deadline_ns, out);
        return NAT_OK;
    }
    return NAT_NO_PORT;
}

/* Gives a flow a state and a deadline. */
static void
service_update(struct hyperplane_nat *self, struct nat_flow *flow,
               uint8_t state, uint64_t deadline_ns)
{
    struct nat_state *s = flow->stored;
    const uint64_t before_ns = hg_flow_deadline_of(s);

    s->state = state & 7u;
    hg_flow_keep_state(s, deadline_ns);
    if (deadline_ns < before_ns)
        calendar_forward(&self->calendar, s);
}

static void
service_end(struct hyperplane_nat *self, const struct nat_flow *flow)
{
    settle(self, flow->stored);
    hg_flow_keep(self, flow->record, 0);
}

/* ---- Flows from and to text ------------------------------------------- */

static void
describe(const struct hyperplane_nat *self, const struct nat_flow *flow,
         struct hg_nat_flow *f)
{
    const struct hg_nat_dest_key *dest =
        hg_nat_dest_key(self->ports_used, flow->stored->dest);

    *f = (struct hg_nat_flow){.inside = hg_addr_from_ip4(flow->f.inside),
                              .external = flow->f.external,
                              .remote = dest->remote,
                              .vpc = flow->vpc,
                              .inside_port = flow->f.inside_port,
                              .external_port = flow->f.external_port,
                              .remote_port = dest->remote_port,
                              .protocol = dest->protocol,
                              .state = flow->f.state,
                              .deadline_ns = flow->f.deadline_ns};
    if (flow->is_six) {
        f->inside.family = 6;
        memcpy(f->inside.byte, flow->inside6, sizeof(flow->inside6));
    }
    snprintf(f->gateway, sizeof(f->gateway), "%s", flow->gateway->name);
}

/* Writes the packet from inside that would have begun the flow into 'frame'
 * and 'p'. */
static void
make_first_packet(const struct hyperplane_nat *self,
                  const struct hg_nat_flow *f, uint64_t now_ns,
                  uint8_t frame[80], struct hg_packet *p)
{
    bool six = f->inside.family == 6, icmp = f->protocol == HG_PROTO_ICMP;
    uint8_t *l4 =
        frame + (six ? sizeof(struct hg_ipv6) : sizeof(struct hg_ipv4));
    struct hg_ipv4 *ip = (struct hg_ipv4 *)frame;
    struct hg_ipv6 *ip6 = (struct hg_ipv6 *)frame;

    memset(frame, 0, 80);
    *p = (struct hg_packet){
        .data = frame, .len = 80, .time_ns = now_ns, .vpc = f->vpc};
    if (six) {
        ip6->version_class_flow = hg_be32_of(UINT32_C(6) << 28);
        ip6->payload_length = hg_be16_of(40);
        ip6->next_header = icmp ? (uint8_t)HG_PROTO_ICMP6 : f->protocol;
        memcpy(ip6->src, f->inside.byte, sizeof(ip6->src));
        hg_embed_ip4(&self->nat64_prefix, f->remote, ip6->dst);
    } else {
        ip->version_ihl = 0x45;
        ip->total_length = hg_be16_of(60);
        ip->protocol = f->protocol;
        memcpy(&ip->src, f->inside.byte, sizeof(ip->src));
        ip->dst = hg_be32_of(f->remote);
    }
    if (icmp) {
        l4[0] = six ? HG_ICMP6_ECHO : HG_ICMP_ECHO;
        hg_store16(l4 + offsetof(struct hg_icmp, id), f->inside_port);
    } else {
        hg_store16(l4, f->inside_port);
        hg_store16(l4 + 2, f->remote_port);
        l4[offsetof(struct hg_tcp, data_offset)] = 5 << 4;
    }
    hg_packet_parse_l3(p, six ? HG_ETH_IP6 : HG_ETH_IP4, 0);
}

/* Adds a flow just as it is given.  Its port may lie outside of the range. */
static enum nat_result
service_install(struct hyperplane_nat *self, const struct hg_nat_flow *f,
                const struct address *a, uint64_t now_ns, struct nat_flow *out)
{
    struct hg_nat_dest_key key;
    struct hg_flow *record;
    struct nat_state *s;
    struct hg_packet p;
    uint8_t frame[80];
    uint32_t dest;

    if (!service_has_room(self, now_ns))
        return NAT_FULL;
    make_first_packet(self, f, now_ns, frame, &p);
    if (service_find(self, &p, true, out))
        return NAT_EXISTS;
    read_dest_key((uint32_t)(a - self->addresses), f->remote,
                  hg_packet_dport(&p), p.protocol, &key);
    dest = open_dest(self, &key);
    if (!dest)
        return NAT_NO_PORT;
    record = new_record(self, &p, &s);
    if (record && take_port(self, record, s, dest, f->external_port, now_ns)) {
        begin_life(self, record, s, &p, f->state, f->deadline_ns, out);
        return NAT_OK;
    }
    hg_nat_dest_close(self->ports_used, dest);
    return record ? NAT_TAKEN : NAT_FULL;
}

static bool
walk_one(void *walk_, struct hg_flow *record, void *state)
{
    struct nat_walk *walk = walk_;
    struct nat_state *s = state;
    struct nat_flow flow;
    struct hg_nat_flow f;

    if (!s->dest)
        return true;
    view(walk->self, record, s, false, &flow);
    describe(walk->self, &flow, &f);
    return walk->fn(walk->aux, &f, &flow);
}

static void
service_walk(struct nat_walk *walk, uint64_t now_ns)
{
    hg_flow_foreach(walk->self, now_ns, walk_one, walk);
}

/* ---- Life ------------------------------------------------------------- */

static bool
service_configure(struct hyperplane_nat *self)
{
    if (self->max_flows > SERVICE_FLOWS_MAX)
        return hg_config_error(self, "max_flows", -1,
                               "'table = flow-service' has room for %d flows "
                               "at most; 'table = compact' for more",
                               SERVICE_FLOWS_MAX);
    /* Records that have run out are there until the service sweeps them. */
    hg_flow_limit(self, 2 * (uint64_t)self->max_flows);
    if (!hg_flow_declare(self, sizeof(struct nat_state)))
        return false;
    hg_flow_declare_second(self, offsetof(struct nat_state, ends));
    hg_flow_declare_seldom(self, sizeof(struct nat_inside));
    return true;
}

static bool
service_start(struct hyperplane_nat *self, struct hg_error *error)
{
    const struct hg_port_parts parts =
        hg_port_parts(self->ports, hg_n_workers(self));

    self->ports_used = hg_nat_ports_create(self->n_addresses, &parts,
                                           self->connections_per_destination,
                                           hg_seed(self), hg_worker(self));
    self->place = hg_flow_place(self);
    return self->ports_used ||
           hg_error_set(error, "no memory for the destinations");
}

#endif
