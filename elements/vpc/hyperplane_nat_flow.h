/* hyperplane_nat_flow.h: a flow as HyperplaneNAT sees it, whichever table it
 * is in. */
#ifndef HYPERPLANE_NAT_FLOW_H
#define HYPERPLANE_NAT_FLOW_H 1

#include <headgate/flow.h>
#include <headgate/nat_compact.h>
#include <headgate/translate.h>

#include "hyperplane_nat_gateways.h"

struct nat_state;

/* A copy. */
struct nat_flow {
    /* Of a flow in the service without remote endpoint, tenant, protocol and
     * id; the inside address if is_six is not set. */
    struct hg_nat_compact_flow f;
    struct gateway *gateway;
    bool is_six;

    /* The rest of the inside endpoint; not for a packet from there. */
    uint32_t vpc;
    uint8_t inside6[16];

    /* In the service: */
    struct hg_flow *record;
    struct nat_state *stored;
};

/* What nearly every packet is: TCP or UDP over IPv4 with its header, and no
 * fragment. */
static inline bool
is_plain(const struct hg_packet *p)
{
    const uint32_t is = HG_PACKET_IP4 | HG_PACKET_PORTS;

    return (p->flags & (is | HG_PACKET_FRAGMENT)) == is;
}

/* What the other side sees of a flow, at the end that changes. */
struct nat_end {
    uint32_t addr;
    uint32_t vpc; /* Only of the inside. */
    uint16_t port;
};

enum nat_result {
    NAT_OK,
    NAT_NO_PORT, /* Every address is exhausted for this destination. */
    NAT_FULL,    /* max_flows, or no memory for more. */
    NAT_EXISTS,  /* The inside tuple has a flow already. */
    NAT_TAKEN,   /* The external tuple belongs to another flow. */
    NAT_FOREIGN, /* The external address is none of the gateways'. */
    NAT_HAIRPIN, /* The remote address is one of the gateways'. */
    NAT_NOT_COMPACT
};

/* Calls 'fn' with each living flow, which it may end; stops when it returns
 * false. */
struct nat_walk {
    struct hyperplane_nat *self;
    bool (*fn)(void *aux, const struct hg_nat_flow *, const struct nat_flow *);
    void *aux;
};

/* Whether the flow ended as TCP connections do, and not for want of packets.
 */
static inline bool
nat_is_closed(uint8_t state)
{
    return state == HG_NAT_FIN_BOTH || state == HG_NAT_TRANS;
}

#endif
