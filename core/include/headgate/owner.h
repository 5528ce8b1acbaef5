/* headgate/owner.h: which of several workers a flow belongs to.
 *
 * Elements that keep state of flows have all the same owner, hg_flow_owner(),
 * so that a packet stays with one worker whatever it meets (spread.h).  It is
 *
 *   - said by the pair of addresses, whichever is first: both directions of a
 *     flow, its fragments and ICMP errors, by what they quote, have the same;
 *   - but where an address is an external one of a NAT of the graph, said by
 *     the port on that side, (port / 4) % n, since that is all that both
 *     sides of a NAT have in common.  If both are, by the sum of both ports'
 *     fourths.
 *
 * A NAT gives a flow only ports that lead back to the worker it runs in
 * (hg_port_part), so what leaves it has the owner of what came, and so has
 * the answer: such a class is HG_CLASS_KEEPS_OWNER.  Groups of four leave
 * ports' parity, and what else lies in their last two bits, as it is.
 *
 * An external address is one wherever it is seen, also in a VPC in which it
 * is somebody else's: that costs nothing but a less even deal.
 *
 * Later fragments show no port.  Who deals remembers whom the first one went
 * to (hg_spread_worker, spread.h).  One that comes before its first, or by
 * another interface, is dealt by addresses: a NAT may then wait in vain for
 * the first, since another worker has it. */
#ifndef HEADGATE_OWNER_H
#define HEADGATE_OWNER_H 1

#include <headgate/packet.h>

#ifdef __cplusplus
extern "C" {
#endif

/* For class.owner: state of flows is with the owner of the flow.  By itself
 * it says the owner by the pair of addresses, which is right as long as no
 * NAT is passed (in a cycle of the graph); hg_spread_worker() knows the
 * rest.
 * Thread-safety: any thread. */
HG_API unsigned hg_flow_owner(void *self, struct hg_packet *, unsigned port,
                              unsigned n);

/* In configure: flows leave the element with this address (host order) and a
 * port of its choice. */
HG_API void hg_external_address(void *self, uint32_t ip);

/* Of which part of its ports an element, in its worker, has to give one to a
 * flow towards 'remote' and its port (host order; 0 for ICMP): so that the
 * flow stays with this worker.  0 if there is but one. */
HG_API unsigned hg_port_part(const void *self, uint32_t remote,
                             uint16_t remote_port);

/* A range of ports in as many parts as there are workers.  A part has every
 * n-th group of four, all parts the same number of ports: where there are
 * several, some at the ends of the range are in none. */
struct hg_port_parts {
    uint32_t low; /* The first port. */
    uint32_t n;   /* Ports of each part; may be 0. */
    uint32_t workers;
    uint32_t first; /* The part that 'low' is in. */
};

HG_API struct hg_port_parts hg_port_parts(struct hg_port_range,
                                          unsigned workers);

/* Port number 'i' (below n) of a part. */
static inline uint16_t
hg_port_at(const struct hg_port_parts *parts, unsigned part, uint32_t i)
{
    uint32_t group;

    if (parts->workers == 1)
        return (uint16_t)(parts->low + i);
    group = part >= parts->first ? part - parts->first
                                 : part + parts->workers - parts->first;
    group += i / 4 * parts->workers;
    return (uint16_t)(parts->low + group * 4 + i % 4);
}

/* Which number a port is; UINT32_MAX if it is none of the part. */
static inline uint32_t
hg_port_number(const struct hg_port_parts *parts, unsigned part, uint16_t port)
{
    uint32_t at = (uint32_t)port - hg_port_at(parts, part, 0), group = at / 4;

    if (parts->workers > 1) {
        if (group % parts->workers)
            return UINT32_MAX;
        at = group / parts->workers * 4 + at % 4;
    }
    return at < parts->n ? at : UINT32_MAX;
}

#ifdef __cplusplus
}
#endif
#endif
