/* endpoint.c: the less frequent parts of headgate/endpoint.h, ICMP errors
 * and resets. */
#include <headgate/endpoint.h>

static bool
has_ports(const struct hg_quote *q)
{
    if (q->protocol == HG_PROTO_ICMP)
        return q->l4[0] == HG_ICMP_ECHO || q->l4[0] == HG_ICMP_ECHO_REPLY;
    return q->protocol == HG_PROTO_TCP || q->protocol == HG_PROTO_UDP;
}

enum hg_quote_result
hg_quote_find(const struct hg_packet *p, struct hg_quote *q)
{
    const struct hg_ipv4 *outer = hg_packet_ipv4(p);
    uint32_t len = hg_packet_l4_len(p), ip_len, total;
    bool is_cut = hg_packet_l3_len(p) != hg_get16(outer->total_length);

    if (!is_cut && !hg_packet_l4_checksum_ok(p))
        return HG_QUOTE_BAD_CHECKSUM;
    q->icmp = hg_packet_icmp(p);
    if (len < sizeof(*q->icmp) + sizeof(*q->ip))
        return HG_QUOTE_BROKEN;
    len -= (uint32_t)sizeof(*q->icmp);
    q->ip = (struct hg_ipv4 *)(q->icmp + 1);
    ip_len = hg_ipv4_header_len(q->ip);
    total = hg_get16(q->ip->total_length);
    if (len > total)
        len = total;
    if (q->ip->version_ihl >> 4 != 4 || ip_len < sizeof(*q->ip) ||
        len < ip_len + 8 || hg_get16(q->ip->frag) & HG_IP4_OFFSET)
        return HG_QUOTE_BROKEN;
    if (hg_checksum_fold(hg_checksum_add(0, q->ip, ip_len)))
        return HG_QUOTE_BROKEN;        /* RFC 5508 REQ-3 a */
    q->l4 = (uint8_t *)q->ip + ip_len; /* REQ-3 b: past options. */
    q->l4_len = len - ip_len;
    q->protocol = q->ip->protocol;
    return has_ports(q) ? HG_QUOTE_OK : HG_QUOTE_NO_PORTS;
}

/* Stores a word that the checksum of the error covers. */
static void
store16(struct hg_quote *q, void *at, uint16_t to)
{
    hg_checksum_update16(&q->icmp->checksum, hg_load16(at), to);
    hg_store16(at, to);
}

void
hg_quote_set(struct hg_quote *q, enum hg_end end, uint32_t addr, uint16_t port)
{
    hg_be32 *at = end == HG_END_SRC ? &q->ip->src : &q->ip->dst;
    uint8_t *port_at = q->l4 + hg_port_offset(q->protocol, end);
    unsigned offset = hg_checksum_offset(q->protocol);
    uint32_t addr_delta = hg_delta32(hg_get32(*at), addr);
    uint32_t port_delta = hg_delta16(hg_load16(port_at), port);

    store16(q, at->b, (uint16_t)(addr >> 16));
    store16(q, at->b + 2, (uint16_t)addr);
    store16(q, port_at, port);
    store16(q, &q->ip->checksum,
            hg_checksum_changed(hg_get16(q->ip->checksum), addr_delta));
    if (q->l4_len >= offset + 2)
        store16(q, q->l4 + offset,
                hg_l4_checksum_changed(q->protocol, hg_load16(q->l4 + offset),
                                       addr_delta, port_delta));
}

/* How much of the sequence space a segment takes. */
static uint32_t
segment_len(const struct hg_packet *p, const struct hg_tcp *tcp)
{
    const struct hg_ipv4 *ip = hg_packet_ipv4(p);
    uint32_t header = p->l4_offset - p->l3_offset + hg_tcp_header_len(tcp);
    uint32_t total = ip ? hg_get16(ip->total_length)
                        : hg_get16(hg_packet_ipv6(p)->payload_length) +
                              (uint32_t)sizeof(struct hg_ipv6);
    uint32_t len = total > header ? total - header : 0;

    if (tcp->flags & HG_TCP_SYN)
        len++;
    if (tcp->flags & HG_TCP_FIN)
        len++;
    return len;
}

/* Writes the header of the answer to 'p'; returns what is behind it. */
static void *
answer_header(uint8_t *l3, const struct hg_packet *p)
{
    struct hg_ipv4 *ip = (struct hg_ipv4 *)l3;
    struct hg_ipv6 *ip6 = (struct hg_ipv6 *)l3;

    if (p->flags & HG_PACKET_IP6) {
        ip6->version_class_flow = hg_be32_of(UINT32_C(6) << 28);
        ip6->payload_length = hg_be16_of(sizeof(struct hg_tcp));
        ip6->next_header = HG_PROTO_TCP;
        ip6->hop_limit = 64;
        memcpy(ip6->src, hg_packet_ipv6(p)->dst, sizeof(ip6->src));
        memcpy(ip6->dst, hg_packet_ipv6(p)->src, sizeof(ip6->dst));
        return ip6 + 1;
    }
    ip->version_ihl = 0x45;
    ip->total_length = hg_be16_of(sizeof(*ip) + sizeof(struct hg_tcp));
    ip->frag = hg_be16_of(HG_IP4_DF);
    ip->ttl = 64;
    ip->protocol = HG_PROTO_TCP;
    ip->src = hg_packet_ipv4(p)->dst;
    ip->dst = hg_packet_ipv4(p)->src;
    return ip + 1;
}

void
hg_reset_fill(struct hg_packet *reset, const struct hg_packet *p)
{
    const struct hg_tcp *tcp = hg_packet_tcp(p);
    const struct hg_eth *eth = (const struct hg_eth *)p->data;
    struct hg_eth *reth = (struct hg_eth *)reset->data;
    struct hg_tcp *rtcp;

    memset(reset->data, 0, reset->len);
    memcpy(reset->data, p->data, p->l3_offset);
    reth->dst = eth->src;
    reth->src = eth->dst;
    rtcp = answer_header(reset->data + p->l3_offset, p);
    rtcp->sport = tcp->dport;
    rtcp->dport = tcp->sport;
    rtcp->data_offset = sizeof(*rtcp) / 4 << 4;
    if (tcp->flags & HG_TCP_ACK) {
        rtcp->seq = tcp->ack;
        rtcp->flags = HG_TCP_RST;
    } else {
        rtcp->ack = hg_be32_of(hg_get32(tcp->seq) + segment_len(p, tcp));
        rtcp->flags = HG_TCP_RST | HG_TCP_ACK;
    }
    hg_packet_parse_l3(reset, p->ether_type, p->l3_offset);
    hg_packet_set_checksums(reset);
    reset->dst_eni = p->src_eni;
    reset->src_eni = NULL;
}
