/* hyperplane_nat_straight.h: the short way through HyperplaneNAT of what
 * nearly every packet is.  All others, and these where something is to be
 * decided, go the long way (hyperplane_nat.c), which would come to the same.
 */
#ifndef HYPERPLANE_NAT_STRAIGHT_H
#define HYPERPLANE_NAT_STRAIGHT_H 1

#include <headgate/endpoint.h>

#include "hyperplane_nat_table.h"

/* Whether a plain packet is no larger than this MTU; 0: of any size. */
static inline bool
is_small(const struct hg_packet *p, uint16_t mtu)
{
    const struct hg_ipv4 *ip = (const struct hg_ipv4 *)hg_packet_l3(p);

    return (uint16_t)(hg_get16(ip->total_length) - 1u) <= (uint16_t)(mtu - 1u);
}

/* Translates what nearly every packet is: plain, in a flow that it leaves in
 * its state, and not too big.  False, and nothing has happened, if it is not
 * that. */
static inline __attribute__((always_inline)) bool
go_straight(struct hyperplane_nat *self, enum nat_table table,
            const struct gateway *gw, struct hg_packet *p, unsigned i,
            bool is_out)
{
    const uint8_t changing = HG_TCP_SYN | HG_TCP_FIN | HG_TCP_RST;
    const bool is_tcp = p->protocol == HG_PROTO_TCP;
    struct nat_end end;
    uint32_t before;

    if (!is_plain(p) || !is_small(p, is_out ? self->mtu : self->inside_mtu) ||
        (is_tcp &&
         ((const struct hg_tcp *)hg_packet_l4(p))->flags & changing) ||
        !nat_follow(self, table, gw, p, i, is_out,
                    is_tcp ? HG_NAT_ESTABLISHED : HG_NAT_QUERY,
                    p->time_ns + (is_tcp ? self->tcp_idle_timeout.ns
                                         : self->udp_timeout.ns),
                    &end))
        return false;
    before = p->flow_generation;
    hg_end_set_ports(p, is_out ? HG_END_SRC : HG_END_DST, end.addr, end.port);
    if (table == TABLE_FLOW_SERVICE)
        hg_flow_translated(p, before);
    if (!is_out)
        p->vpc = end.vpc;
    return true;
}

#endif
