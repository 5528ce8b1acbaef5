/* tunnel_build.c: puts tunnel headers round a packet (tunnel.h).
 *
 * The headers are written from the outside in; checksums and lengths, which
 * need the whole, come last.  How they are taken off: tunnel.c. */
#include <headgate/tunnel.h>

#include "tunnel_wire.h"

enum {
    GWLB_OPTIONS = 32, /* 12 + 12 + 8 bytes. */
    ENI_OPTIONS = 16,
    MACS = 2 * sizeof(struct hg_mac)
};

static uint32_t
options_len(const struct hg_tunnel_header *h)
{
    return (h->has_gwlb ? (uint32_t)GWLB_OPTIONS : 0) +
           (h->has_eni ? (uint32_t)ENI_OPTIONS : 0);
}

static uint16_t
gre_flags(const struct hg_tunnel_header *h)
{
    if (h->format == HG_TUNNEL_NVGRE)
        return GRE_KEY;
    return (uint16_t)((h->has_checksum ? GRE_CHECKSUM : 0) |
                      (h->has_key ? GRE_KEY : 0) |
                      (h->has_sequence ? GRE_SEQUENCE : 0));
}

static uint32_t
tunnel_len(const struct hg_tunnel_header *h)
{
    uint16_t flags = gre_flags(h);

    if (h->format == HG_TUNNEL_GENEVE)
        return (uint32_t)sizeof(struct geneve) + options_len(h);
    if (h->format == HG_TUNNEL_VXLAN)
        return sizeof(struct vxlan);
    return (uint32_t)sizeof(struct gre) + (flags & GRE_CHECKSUM ? 4U : 0) +
           (flags & GRE_KEY ? 4U : 0) + (flags & GRE_SEQUENCE ? 4U : 0);
}

uint32_t
hg_tunnel_overhead(const struct hg_tunnel_header *h)
{
    if (hg_tunnel_is_tag(h->format))
        return h->format == HG_TUNNEL_QINQ ? 8 : 4;
    return (h->dst.family == 6 ? 40U : 20U) +
           (hg_tunnel_is_udp(h->format) ? 8U : 0U) + tunnel_len(h);
}

/* ---- Each header ------------------------------------------------------ */

static uint8_t *
write_option(uint8_t *at, uint16_t option_class, uint8_t type,
             const uint32_t *word, unsigned n_words)
{
    unsigned i;

    hg_store16(at, option_class);
    at[2] = type;
    at[3] = (uint8_t)n_words;
    for (i = 0; i < n_words; i++)
        hg_store32(at + 4 + i * 4, word[i]);
    return at + 4 + i * 4;
}

static void
write_geneve(uint8_t *at, const struct hg_tunnel_header *h, uint16_t type)
{
    struct geneve *geneve = (struct geneve *)at;
    uint32_t endpoint[] = {(uint32_t)(h->gwlb_endpoint >> 32),
                           (uint32_t)h->gwlb_endpoint};
    uint32_t attachment[] = {(uint32_t)(h->gwlb_attachment >> 32),
                             (uint32_t)h->gwlb_attachment};

    geneve->version_length = (uint8_t)(options_len(h) / 4);
    geneve->flags = 0;
    geneve->type = hg_be16_of(type);
    geneve->vni_reserved = hg_be32_of(h->network << 8);
    at += sizeof *geneve;
    if (h->has_gwlb) {
        at = write_option(at, HG_GENEVE_AWS_CLASS, HG_GENEVE_GWLB_ENDPOINT,
                          endpoint, 2);
        at = write_option(at, HG_GENEVE_AWS_CLASS, HG_GENEVE_GWLB_ATTACHMENT,
                          attachment, 2);
        at = write_option(at, HG_GENEVE_AWS_CLASS, HG_GENEVE_GWLB_COOKIE,
                          &h->gwlb_cookie, 1);
    }
    if (h->has_eni) {
        at = write_option(at, h->eni_class, HG_GENEVE_SOURCE_ENI,
                          &h->source_eni, 1);
        write_option(at, h->eni_class, HG_GENEVE_DESTINATION_ENI,
                     &h->destination_eni, 1);
    }
}

/* 'len' is that of header and payload. */
static void
write_gre(uint8_t *at, const struct hg_tunnel_header *h, uint16_t type,
          uint32_t len)
{
    uint16_t flags = gre_flags(h);
    uint8_t *gre = at;

    hg_store16(at, flags);
    hg_store16(at + 2, type);
    at += 4;
    if (flags & GRE_CHECKSUM) {
        hg_store32(at, 0);
        at += 4;
    }
    if (flags & GRE_KEY) {
        hg_store32(at, h->format == HG_TUNNEL_NVGRE
                           ? h->network << 8 | h->flow_id
                           : h->network);
        at += 4;
    }
    if (flags & GRE_SEQUENCE)
        hg_store32(at, h->sequence);
    if (flags & GRE_CHECKSUM)
        hg_store16(gre + 4, hg_checksum_fold(hg_checksum_add(0, gre, len)));
}

static void
write_ip(uint8_t *at, const struct hg_tunnel_header *h, uint32_t len)
{
    uint8_t protocol =
        hg_tunnel_is_udp(h->format) ? HG_PROTO_UDP : HG_PROTO_GRE;

    if (h->dst.family == 4) {
        struct hg_ipv4 *ip = (struct hg_ipv4 *)at;

        *ip = (struct hg_ipv4){.version_ihl = 0x45,
                               .tos = h->tos,
                               .total_length = hg_be16_of((uint16_t)len),
                               .id = hg_be16_of(h->id),
                               .frag = hg_be16_of(h->df ? HG_IP4_DF : 0),
                               .ttl = h->ttl,
                               .protocol = protocol,
                               .src = hg_be32_of(hg_addr_ip4(&h->src)),
                               .dst = hg_be32_of(hg_addr_ip4(&h->dst))};
        ip->checksum =
            hg_be16_of(hg_checksum_fold(hg_checksum_add(0, ip, sizeof *ip)));
    } else {
        struct hg_ipv6 *ip = (struct hg_ipv6 *)at;

        *ip = (struct hg_ipv6){
            .version_class_flow =
                hg_be32_of(UINT32_C(6) << 28 | (uint32_t)h->tos << 20),
            .payload_length = hg_be16_of((uint16_t)(len - sizeof *ip)),
            .next_header = protocol,
            .hop_limit = h->ttl};
        memcpy(ip->src, h->src.byte, sizeof ip->src);
        memcpy(ip->dst, h->dst.byte, sizeof ip->dst);
    }
}

static void
write_udp(uint8_t *l3, uint8_t *at, const struct hg_tunnel_header *h,
          uint32_t len)
{
    struct hg_udp *udp = (struct hg_udp *)at;
    uint16_t checksum;

    *udp = (struct hg_udp){.sport = hg_be16_of(h->sport),
                           .dport = hg_be16_of(h->dport),
                           .length = hg_be16_of((uint16_t)len)};
    if (!h->has_checksum)
        return;
    checksum = hg_checksum_fold(tunnel_udp_sum(l3, at, len));
    udp->checksum = hg_be16_of(checksum ? checksum : 0xffff); /* RFC 768 */
}

/* ---- The whole -------------------------------------------------------- */

static bool
push_tags(struct hg_packet *p, const struct hg_tunnel_header *h)
{
    uint32_t n = hg_tunnel_overhead(h);
    uint16_t pcp = (uint16_t)(h->priority << 13);
    uint8_t *at = hg_packet_push(p, n);

    if (!at)
        return false;
    memmove(at, at + n, MACS);
    at += MACS;
    if (h->format == HG_TUNNEL_QINQ) {
        hg_store16(at, HG_ETH_QINQ);
        hg_store16(at + 2, (uint16_t)(pcp | (h->network >> 12 & VLAN_ID)));
        at += 4;
    }
    hg_store16(at, HG_ETH_VLAN);
    hg_store16(at + 2, (uint16_t)(pcp | (h->network & VLAN_ID)));
    hg_packet_parse(p);
    return true;
}

/* Writes the headers to the room that was made for them. */
static void
write_headers(struct hg_packet *p, const struct hg_tunnel_header *h,
              uint16_t type)
{
    uint32_t ip_len = h->dst.family == 6 ? 40 : 20;
    uint32_t len = p->wire_len - (uint32_t)sizeof(struct hg_eth);
    uint8_t *l3 = p->data + sizeof(struct hg_eth);
    uint8_t *l4 = l3 + ip_len;

    *(struct hg_eth *)p->data = (struct hg_eth){
        h->dst_mac, h->src_mac,
        hg_be16_of(h->dst.family == 6 ? HG_ETH_IP6 : HG_ETH_IP4)};
    write_ip(l3, h, len);
    if (h->format == HG_TUNNEL_GENEVE) {
        write_geneve(l4 + sizeof(struct hg_udp), h, type);
    } else if (h->format == HG_TUNNEL_VXLAN) {
        hg_store32(l4 + sizeof(struct hg_udp), VXLAN_I);
        hg_store32(l4 + sizeof(struct hg_udp) + 4, h->network << 8);
    } else {
        write_gre(l4, h, type, len - ip_len);
    }
    if (hg_tunnel_is_udp(h->format))
        write_udp(l3, l4, h, len - ip_len);
}

bool
hg_tunnel_push(struct hg_packet *p, const struct hg_tunnel_header *h)
{
    uint32_t gone = h->is_ethernet ? 0 : p->l3_offset;
    uint32_t overhead = hg_tunnel_overhead(h);
    uint16_t type = h->is_ethernet ? HG_ETH_TEB : p->ether_type;

    if (hg_tunnel_is_tag(h->format))
        return push_tags(p, h);
    if (overhead + p->wire_len - gone > UINT16_MAX ||
        (h->has_checksum && p->wire_len > p->len))
        return false;
    hg_packet_pull(p, gone);
    if (!hg_packet_push(p, overhead + (uint32_t)sizeof(struct hg_eth))) {
        hg_packet_push(p, gone);
        hg_packet_parse(p);
        return false;
    }
    write_headers(p, h, type);
    hg_packet_parse(p);
    return true;
}
