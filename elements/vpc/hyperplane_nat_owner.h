/* hyperplane_nat_owner.h: which of several workers a packet of a HyperplaneNAT
 * belongs to.
 *
 * The remote endpoint says it: it is known from both sides, and flows to
 * different ones share nothing, not even ports.  So each worker has all ports,
 * towards remote endpoints of its own.  Later fragments, which only UDP has
 * here, show no port, and so UDP and ICMP go by the address. */
#ifndef HYPERPLANE_NAT_OWNER_H
#define HYPERPLANE_NAT_OWNER_H 1

#include <headgate/flow.h>
#include <headgate/translate.h>

#include "hyperplane_nat.h"

/* The IPv4 address of a remote host as either side sees it. */
static uint32_t
remote_ip4(const struct hyperplane_nat *self, const struct hg_addr *addr)
{
    uint32_t ip4 = 0;

    if (addr->family == 4)
        return hg_addr_ip4(addr);
    hg_embedded_ip4(&self->nat64_prefix, addr->byte, &ip4);
    return ip4;
}

static unsigned
owner_of_remote(uint32_t addr, uint16_t port, uint8_t protocol, unsigned n)
{
    if (protocol != HG_PROTO_TCP)
        port = 0;
    return hg_owner_of((uint64_t)addr << 16 | port, n);
}

static unsigned
nat_owner(void *self, struct hg_packet *p, unsigned port, unsigned n)
{
    bool is_dst = port != OUTSIDE;
    const struct hg_ipv4 *ip = hg_packet_ipv4(p);
    struct hg_flow_key key;

    if (ip && p->protocol != HG_PROTO_ICMP)
        return owner_of_remote(
            hg_get32(is_dst ? ip->dst : ip->src),
            is_dst ? hg_packet_dport(p) : hg_packet_sport(p), p->protocol, n);
    if (hg_flow_key_quoted(p, &key))
        is_dst = !is_dst; /* It quotes a packet that went the other way. */
    else if (!hg_flow_key_of(p, &key))
        return 0;
    return owner_of_remote(remote_ip4(self, is_dst ? &key.dst : &key.src),
                           is_dst ? key.dport : key.sport, key.protocol, n);
}

#endif
