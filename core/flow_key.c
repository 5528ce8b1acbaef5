/* flow_key.c: the five-tuples of packets and of what ICMP errors quote, for
 * flow.h. */
#include <headgate/flow.h>

bool
hg_flow_key_of(const struct hg_packet *p, struct hg_flow_key *out)
{
    if (!hg_packet_is_ip(p))
        return false;
    out->vpc = p->vpc;
    hg_packet_read_src(p, &out->src);
    hg_packet_read_dst(p, &out->dst);
    out->sport = hg_packet_sport(p);
    out->dport = hg_packet_dport(p);
    out->protocol = p->protocol;
    return true;
}

static bool
is_echo(uint8_t protocol, uint8_t type)
{
    if (protocol == HG_PROTO_ICMP)
        return type == HG_ICMP_ECHO || type == HG_ICMP_ECHO_REPLY;
    return type == HG_ICMP6_ECHO || type == HG_ICMP6_ECHO_REPLY;
}

bool
hg_flow_key_quoted(const struct hg_packet *p, struct hg_flow_key *out)
{
    const struct hg_icmp *icmp = hg_packet_icmp(p);
    unsigned version = p->flags & HG_PACKET_IP6 ? 6 : 4;
    struct hg_packet quote;
    const uint8_t *l4;

    if (!icmp || !hg_icmp_is_error(version, icmp->type))
        return false;
    memset(&quote, 0, sizeof quote);
    quote.data = hg_packet_l4(p) + sizeof *icmp;
    quote.len = hg_packet_l4_len(p) - (uint32_t)sizeof *icmp;
    hg_packet_parse_l3(&quote, version == 6 ? HG_ETH_IP6 : HG_ETH_IP4, 0);
    if (!hg_packet_is_ip(&quote) || !quote.l4_offset ||
        quote.l4_offset + 8u > quote.len)
        return false;
    l4 = hg_packet_l4(&quote);
    *out = (struct hg_flow_key){.vpc = p->vpc,
                                .src = hg_packet_src(&quote),
                                .dst = hg_packet_dst(&quote),
                                .protocol = quote.protocol};
    if (quote.protocol == HG_PROTO_TCP || quote.protocol == HG_PROTO_UDP) {
        out->sport = hg_load16(l4);
        out->dport = hg_load16(l4 + 2);
    } else if (hg_packet_icmp(&quote) && is_echo(quote.protocol, *l4)) {
        out->sport = out->dport = hg_load16(l4 + 4);
    }
    return true;
}
