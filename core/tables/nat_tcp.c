/* nat_tcp.c: the TCP states of a NAT (RFC 6146 3.5.2.2, which RFC 7857 2
 * asks every NAT to use), apart from the flows that have them and from the
 * timeouts (elements/vpc/hyperplane_nat.c). */
#include <headgate/headers.h>
#include <headgate/nat_flow.h>

static uint8_t
fin_next(uint8_t state, bool from_inside)
{
    switch (state) {
    case HG_NAT_ESTABLISHED:
        return from_inside ? HG_NAT_FIN_INSIDE : HG_NAT_FIN_OUTSIDE;
    case HG_NAT_FIN_INSIDE:
        return from_inside ? HG_NAT_FIN_INSIDE : HG_NAT_FIN_BOTH;
    case HG_NAT_FIN_OUTSIDE:
        return from_inside ? HG_NAT_FIN_BOTH : HG_NAT_FIN_OUTSIDE;
    default:
        return state;
    }
}

uint8_t
hg_nat_tcp_next(uint8_t state, bool from_inside, uint8_t flags)
{
    bool syn = (flags & HG_TCP_SYN) != 0;

    if (flags & HG_TCP_RST)
        return state == HG_NAT_FIN_BOTH ? HG_NAT_FIN_BOTH : HG_NAT_TRANS;
    if (syn && from_inside && !(flags & HG_TCP_ACK) &&
        (state == HG_NAT_FIN_BOTH || state == HG_NAT_TRANS))
        return HG_NAT_INIT;
    if (state == HG_NAT_INIT)
        return syn && !from_inside ? HG_NAT_ESTABLISHED : HG_NAT_INIT;
    if (state == HG_NAT_TRANS)
        state = HG_NAT_ESTABLISHED;
    return flags & HG_TCP_FIN ? fin_next(state, from_inside) : state;
}

const char *
hg_nat_state_name(uint8_t state)
{
    static const char *const names[HG_NAT_N_STATES] = {
        "query",       "init",     "established", "fin-inside",
        "fin-outside", "fin-both", "trans"};

    return names[state];
}
