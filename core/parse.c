/* parse.c: finds the headers of a frame (packet.h).
 *
 * Everything is read through bounds that were checked before; what is cut or
 * malformed is not announced, and so nobody behind has to look again.  What
 * is done with the headers that were found: rewrite.c. */
#include <headgate/packet.h>

#include "packet_internal.h"

enum {
    VLAN_TAGS_MAX = 8,
    EXTENSIONS_MAX = 16,  /* More in one packet are no honest sender's. */
    ETH_QINQ_OLD = 0x9100 /* Before IEEE 802.1ad. */
};

/* Looks at what starts at 'l4', the IP packet ending at 'end'; returns
 * the flags of a whole transport header if it is one. */
static inline uint32_t
parse_l4(struct hg_packet *p, uint32_t l4, uint32_t end, bool is_ip6)
{
    uint32_t here = end - l4, flags = HG_PACKET_L4;
    bool whole = false;

    if (l4 > UINT16_MAX)
        return 0;
    p->l4_offset = (uint16_t)l4;
    switch (p->protocol) {
    case HG_PROTO_TCP:
        if (here >= sizeof(struct hg_tcp)) {
            unsigned n = hg_tcp_header_len((struct hg_tcp *)(p->data + l4));

            whole = n >= sizeof(struct hg_tcp) && n <= here;
        }
        flags = PORTS_FLAGS;
        break;
    case HG_PROTO_UDP:
        whole = here >= sizeof(struct hg_udp);
        flags = PORTS_FLAGS;
        break;
    case HG_PROTO_ICMP:
        whole = !is_ip6 && here >= sizeof(struct hg_icmp);
        break;
    case HG_PROTO_ICMP6:
        whole = is_ip6 && here >= sizeof(struct hg_icmp);
        break;
    }
    return whole ? flags : 0;
}

/* These return the flags to be set. */
static inline uint32_t
parse_ip4(struct hg_packet *p, uint32_t l3)
{
    const struct hg_ipv4 *ip = (const struct hg_ipv4 *)(p->data + l3);
    uint32_t here = p->len - l3, flags = HG_PACKET_IP4;
    uint32_t header_len, total;
    uint16_t frag;

    if (here < sizeof *ip || ip->version_ihl >> 4 != 4)
        return 0;
    header_len = hg_ipv4_header_len(ip);
    if (header_len < sizeof *ip || header_len > here)
        return 0;
    p->protocol = ip->protocol;
    frag = hg_get16(ip->frag);
    if (frag & (HG_IP4_MF | HG_IP4_OFFSET))
        flags |= HG_PACKET_FRAGMENT;
    if (frag & HG_IP4_OFFSET)
        return flags | HG_PACKET_FRAGMENT_LATER;
    total = hg_get16(ip->total_length);
    if (total >= header_len && total < here)
        here = total;
    return flags | parse_l4(p, l3 + header_len, l3 + here, false);
}

/* All but two count eight bytes beyond the first eight (RFC 8200 4.2). */
uint32_t
packet_extension_len(uint8_t next, const uint8_t *ext)
{
    enum { MOBILITY = 135, HIP = 139, SHIM6 = 140 }; /* RFC 7045 4 */

    switch (next) {
    case HG_PROTO_HOPOPTS:
    case HG_PROTO_ROUTING:
    case HG_PROTO_DSTOPTS:
    case MOBILITY:
    case HIP:
    case SHIM6:
        return (ext[1] + 1U) * 8;
    case HG_PROTO_FRAGMENT:
        return sizeof(struct hg_ipv6_frag);
    case HG_PROTO_AH:
        return (ext[1] + 2U) * 4; /* RFC 4302 2.2 */
    }
    return 0;
}

/* Walks the extension headers from 'at' on. */
static uint32_t
parse_extensions(struct hg_packet *p, uint32_t at, uint32_t end)
{
    static const uint8_t none[8];
    uint32_t flags = 0;
    unsigned i;

    for (i = 0; i <= EXTENSIONS_MAX; i++) {
        bool here = end - at >= sizeof none;
        const uint8_t *ext = here ? p->data + at : none;
        uint32_t len = packet_extension_len(p->protocol, ext);

        if (!len)
            return flags | parse_l4(p, at, end, true);
        if (!here || len > end - at || i == EXTENSIONS_MAX)
            break;
        if (p->protocol == HG_PROTO_FRAGMENT) {
            /* Offset 0 and no more: not a fragment (RFC 6946). */
            if (hg_load16(ext + 2) & 0xfff9)
                flags |= HG_PACKET_FRAGMENT;
            if (hg_load16(ext + 2) & 0xfff8) {
                p->protocol = ext[0];
                return flags | HG_PACKET_FRAGMENT_LATER;
            }
        }
        p->protocol = ext[0];
        at += len;
    }
    return flags | HG_PACKET_BAD_EXT;
}

/* Where the packet of 'ip' ends by its own account, from its first byte.  A
 * jumbogram says 0 and its length in a hop-by-hop option (RFC 2675 3): then
 * 'here', which is what there is. */
static uint32_t
ip6_len(const struct hg_ipv6 *ip, uint32_t here)
{
    uint32_t payload = hg_get16(ip->payload_length);

    if (!payload && ip->next_header == HG_PROTO_HOPOPTS)
        return here;
    return payload + (uint32_t)sizeof *ip;
}

static uint32_t
parse_ip6(struct hg_packet *p, uint32_t l3)
{
    const struct hg_ipv6 *ip = (const struct hg_ipv6 *)(p->data + l3);
    uint32_t here = p->len - l3;
    uint32_t total;

    if (here < sizeof *ip || ip->version_class_flow.b[0] >> 4 != 6)
        return 0;
    p->protocol = ip->next_header;
    total = ip6_len(ip, here);
    if (total < here)
        here = total;
    return HG_PACKET_IP6 |
           parse_extensions(p, l3 + (uint32_t)sizeof *ip, l3 + here);
}

static uint32_t
parse_arp(const struct hg_packet *p, uint32_t l3)
{
    const struct hg_arp *arp = (const struct hg_arp *)(p->data + l3);

    if (p->len - l3 >= sizeof *arp && hg_get16(arp->htype) == 1 &&
        hg_get16(arp->ptype) == HG_ETH_IP4 && arp->hlen == 6 && arp->plen == 4)
        return HG_PACKET_ARP;
    return 0;
}

static inline void
parse_l3(struct hg_packet *p, uint16_t ether_type, uint32_t l3)
{
    uint32_t flags = 0;

    hg_packet_forget_flow(p); /* It may be of another one now. */
    p->ether_type = ether_type;
    p->l3_offset = (uint16_t)l3;
    p->l4_offset = 0;
    p->protocol = 0;
    if (l3 <= p->len) {
        if (ether_type == HG_ETH_IP4)
            flags = parse_ip4(p, l3);
        else if (ether_type == HG_ETH_IP6)
            flags = parse_ip6(p, l3);
        else if (ether_type == HG_ETH_ARP)
            flags = parse_arp(p, l3);
    }
    p->flags = (p->flags & ~PARSED_FLAGS) | flags;
}

/* The type behind the VLAN tags, and where the tags end in '*at'. */
static inline uint16_t
skip_tags(const struct hg_packet *p, uint32_t *at)
{
    uint16_t type = hg_load16(p->data + *at - 2);
    unsigned i;

    for (i = 0; i < VLAN_TAGS_MAX; i++) {
        if (type != HG_ETH_VLAN && type != HG_ETH_QINQ && type != ETH_QINQ_OLD)
            break;
        if (p->len - *at < sizeof(struct hg_vlan))
            break;
        *at += (uint32_t)sizeof(struct hg_vlan);
        type = hg_load16(p->data + *at - 2);
    }
    return type;
}

/* The straight way of most packets, with the same result: IPv4 without
 * options, not a fragment, with a whole header of TCP or UDP, right behind
 * Ethernet.  False if this is another one. */
static inline bool
parse_plain(struct hg_packet *p)
{
    enum { L3 = sizeof(struct hg_eth), L4 = L3 + sizeof(struct hg_ipv4) };
    const struct hg_ipv4 *ip = (const struct hg_ipv4 *)(p->data + L3);
    uint32_t here, total;

    if (p->len < L4 + sizeof(struct hg_udp) ||
        hg_load16(p->data + L3 - 2) != HG_ETH_IP4 || ip->version_ihl != 0x45 ||
        hg_get16(ip->frag) & (HG_IP4_MF | HG_IP4_OFFSET))
        return false;
    here = p->len - L3;
    total = hg_get16(ip->total_length);
    if (total >= sizeof *ip && total < here)
        here = total;
    here -= (uint32_t)sizeof *ip;
    if (ip->protocol == HG_PROTO_TCP) {
        unsigned n;

        if (here < sizeof(struct hg_tcp))
            return false;
        n = hg_tcp_header_len((struct hg_tcp *)(p->data + L4));
        if (n < sizeof(struct hg_tcp) || n > here)
            return false;
    } else if (ip->protocol != HG_PROTO_UDP || here < sizeof(struct hg_udp)) {
        return false;
    }
    packet_announce(p, HG_PACKET_IP4 | PORTS_FLAGS, HG_ETH_IP4, L3, L4,
                    ip->protocol);
    return true;
}

static inline void
parse(struct hg_packet *p)
{
    uint32_t at = sizeof(struct hg_eth);
    uint16_t type = 0;

    if (parse_plain(p))
        return;
    if (p->len >= at)
        type = skip_tags(p, &at);
    else
        at = p->len;
    parse_l3(p, type, at);
}

void
hg_packet_parse_l3(struct hg_packet *p, uint16_t ether_type,
                   uint16_t l3_offset)
{
    parse_l3(p, ether_type, l3_offset);
}

void
hg_packet_parse(struct hg_packet *p)
{
    parse(p);
}

void
packet_parse_many(struct hg_packet *const *packets, unsigned n)
{
    unsigned i;

    for (i = 0; i < n; i++)
        parse(packets[i]);
}

uint32_t
packet_l3_claimed(const struct hg_packet *p)
{
    uint32_t here = p->len - p->l3_offset;

    if (p->flags & HG_PACKET_IP4) {
        const struct hg_ipv4 *ip = hg_packet_ipv4(p);
        uint32_t total = hg_get16(ip->total_length);

        return total >= hg_ipv4_header_len(ip) ? total : here;
    }
    return p->flags & HG_PACKET_IP6 ? ip6_len(hg_packet_ipv6(p), here) : 0;
}

uint32_t
hg_packet_l3_len(const struct hg_packet *p)
{
    uint32_t claimed = packet_l3_claimed(p);
    uint32_t here = p->len - p->l3_offset;

    return claimed < here ? claimed : here;
}

uint32_t
hg_packet_l4_len(const struct hg_packet *p)
{
    if (!p->l4_offset)
        return 0;
    return hg_packet_l3_len(p) - (uint32_t)(p->l4_offset - p->l3_offset);
}
