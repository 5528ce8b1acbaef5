/* nlb_straight.h: the short way through NLB of what nearly every packet is:
 * plain, of an IPv4 flow that is known and stays as it is, and whose client is
 * preserved.  All others go the long way (nlb.c, nlb_flow.h), which would come
 * to the same. */
#ifndef NLB_STRAIGHT_H
#define NLB_STRAIGHT_H 1

#include "nlb_flow.h"

/* Whether the packet, a plain one, leaves its flow in its state, and nobody
 * adds anything to it. */
static inline bool
is_steady(const struct nlb *self, const struct nlb_flow *state,
          const struct hg_packet *p, bool from_client)
{
    const uint8_t changing = HG_TCP_FIN | HG_TCP_RST;

    if (p->protocol != HG_PROTO_TCP)
        return from_client || p->flow->confirmed;
    return state->tcp_state == TCP_OPEN &&
           !(((const struct hg_tcp *)hg_packet_l4(p))->flags & changing) &&
           !has_proxy_header(self, state);
}

/* Whether the packet, a plain one of this flow and so of its target's family,
 * is of the way from client to target or back. */
static inline bool
is_of_way(const struct nlb_flow *state, const struct hg_target *target,
          const struct hg_packet *p, bool from_client)
{
    const struct hg_ipv4 *ip = (const struct hg_ipv4 *)hg_packet_l3(p);

    if (from_client)
        return is_like_first(p, state);
    return p->flags & HG_PACKET_REPLY && state->by_first_key &&
           target->port == hg_packet_sport(p) &&
           hg_addr_ip4(&target->addr) == hg_get32(ip->src);
}

/* Puts off the end of the packet's flow, a steady one. */
static inline void
keep_steady(struct nlb *self, const struct hg_packet *p,
            struct nlb_flow *state, bool from_client)
{
    const struct hg_tcp *tcp = (const struct hg_tcp *)hg_packet_l4(p);
    uint64_t idle_ns = UDP_IDLE_NS;

    count_packet(self, p);
    if (p->protocol == HG_PROTO_TCP) {
        if (tcp->flags & HG_TCP_ACK)
            *(from_client ? &state->client_ack : &state->target_ack) =
                hg_get32(tcp->ack);
        idle_ns = self->listeners[state->listener].row->tcp_idle_timeout.ns;
    }
    hg_flow_keep_state(state, p->time_ns + idle_ns);
}

/* False, and nothing has happened, if the packet is not what is said above. */
static inline __attribute__((always_inline)) bool
go_straight(struct nlb *self, struct hg_packet *p, bool from_client)
{
    const uint32_t plain = HG_PACKET_IP4 | HG_PACKET_PORTS;
    struct nlb_flow *state = hg_flow_known_state(&self->place, p);
    const struct hg_target *target;

    if (!state || state->nat_port ||
        (p->flags & (plain | HG_PACKET_FRAGMENT)) != plain)
        return false;
    target = target_of(self, state);
    if (!is_of_way(state, target, p, from_client) ||
        !is_steady(self, state, p, from_client))
        return false;
    keep_steady(self, p, state, from_client);
    if (from_client)
        hg_end_set_ports(p, HG_END_DST, hg_addr_ip4(&target->addr),
                         target->port);
    else
        hg_end_set_ports(p, HG_END_SRC, self->addresses[state->address].ip4,
                         self->listeners[state->listener].row->port);
    return true;
}

#endif
