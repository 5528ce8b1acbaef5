/* tunnel_build.c: puts tunnel headers round a packet (tunnel.h).
 *
 * Each header is a pair of functions: write_*() writes into a form what all
 * packets have alike, fill_*() into the copy round a packet what is its own.
 * Checksums and lengths, which need the whole, come last.  How headers are
 * taken off: tunnel.c. */
#include <headgate/tunnel.h>

#include "packet_internal.h"
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
write_geneve(struct hg_tunnel_form *f, uint8_t at,
             const struct hg_tunnel_header *h)
{
    struct geneve *geneve = (struct geneve *)(f->byte + at);
    uint8_t *option = (uint8_t *)(geneve + 1);
    uint32_t endpoint[] = {(uint32_t)(h->gwlb_endpoint >> 32),
                           (uint32_t)h->gwlb_endpoint};
    uint32_t attachment[] = {(uint32_t)(h->gwlb_attachment >> 32),
                             (uint32_t)h->gwlb_attachment};
    const uint32_t later[] = {0};

    geneve->version_length = (uint8_t)(options_len(h) / 4);
    f->type_at = (uint8_t)(at + offsetof(struct geneve, type));
    f->network_at = (uint8_t)(at + offsetof(struct geneve, vni_reserved));
    f->network_shift = 8;
    if (h->has_gwlb) {
        option = write_option(option, HG_GENEVE_AWS_CLASS,
                              HG_GENEVE_GWLB_ENDPOINT, endpoint, 2);
        option = write_option(option, HG_GENEVE_AWS_CLASS,
                              HG_GENEVE_GWLB_ATTACHMENT, attachment, 2);
        option = write_option(option, HG_GENEVE_AWS_CLASS,
                              HG_GENEVE_GWLB_COOKIE, later, 1);
        f->cookie_at = (uint8_t)(option - f->byte - 4);
    }
    if (h->has_eni) {
        option =
            write_option(option, h->eni_class, HG_GENEVE_SOURCE_ENI, later, 1);
        f->source_eni_at = (uint8_t)(option - f->byte - 4);
        option = write_option(option, h->eni_class, HG_GENEVE_DESTINATION_ENI,
                              later, 1);
        f->destination_eni_at = (uint8_t)(option - f->byte - 4);
    }
}

static void
write_vxlan(struct hg_tunnel_form *f, uint8_t at)
{
    hg_store32(f->byte + at, VXLAN_I);
    f->network_at = (uint8_t)(at + offsetof(struct vxlan, vni_reserved));
    f->network_shift = 8;
}

static void
write_gre(struct hg_tunnel_form *f, uint8_t at,
          const struct hg_tunnel_header *h)
{
    uint16_t flags = gre_flags(h);

    hg_store16(f->byte + at, flags);
    f->type_at = (uint8_t)(at + offsetof(struct gre, type));
    at = (uint8_t)(at + sizeof(struct gre));
    if (flags & GRE_CHECKSUM)
        at += 4;
    if (flags & GRE_KEY) {
        f->network_at = at;
        f->network_shift = h->format == HG_TUNNEL_NVGRE ? 8 : 0;
        at += 4;
    }
    if (flags & GRE_SEQUENCE)
        f->sequence_at = at;
}

/* Both kinds of tunnel headers; the room of what they have not is not used.
 */
static inline void
fill_tunnel(uint8_t *at, const struct hg_tunnel_form *f,
            const struct hg_tunnel_header *h, uint16_t type)
{
    uint32_t flow_id = h->format == HG_TUNNEL_NVGRE ? h->flow_id : 0;

    if (f->type_at)
        hg_store16(at + f->type_at, type);
    if (f->network_at)
        hg_store32(at + f->network_at,
                   h->network << f->network_shift | flow_id);
    if (f->sequence_at)
        hg_store32(at + f->sequence_at, h->sequence);
    if (f->cookie_at)
        hg_store32(at + f->cookie_at, h->gwlb_cookie);
    if (f->source_eni_at) {
        hg_store32(at + f->source_eni_at, h->source_eni);
        hg_store32(at + f->destination_eni_at, h->destination_eni);
    }
}

static void
write_ip(struct hg_tunnel_form *f, const struct hg_tunnel_header *h)
{
    uint8_t *at = f->byte + sizeof(struct hg_eth);
    uint8_t protocol =
        hg_tunnel_is_udp(h->format) ? HG_PROTO_UDP : HG_PROTO_GRE;

    if (h->dst.family == 4) {
        struct hg_ipv4 *ip = (struct hg_ipv4 *)at;

        ip->version_ihl = 0x45;
        ip->protocol = protocol;
        ip->src = hg_be32_of(hg_addr_ip4(&h->src));
        f->ip_sum = hg_checksum_add(0, ip, sizeof *ip);
    } else {
        struct hg_ipv6 *ip = (struct hg_ipv6 *)at;

        ip->next_header = protocol;
        memcpy(ip->src, h->src.byte, sizeof ip->src);
    }
}

static inline void
fill_ip4(struct hg_ipv4 *ip, const struct hg_tunnel_form *f,
         const struct hg_tunnel_header *h, uint32_t len)
{
    uint16_t frag = h->df ? HG_IP4_DF : 0;
    uint32_t dst = hg_addr_ip4(&h->dst);
    uint32_t sum = f->ip_sum + h->tos + len + h->id + frag +
                   ((uint32_t)h->ttl << 8) + (dst >> 16) + (dst & 0xffff);

    ip->tos = h->tos;
    ip->total_length = hg_be16_of((uint16_t)len);
    ip->id = hg_be16_of(h->id);
    ip->frag = hg_be16_of(frag);
    ip->ttl = h->ttl;
    ip->checksum = hg_be16_of(hg_checksum_fold(sum));
    memcpy(&ip->dst, h->dst.byte, sizeof ip->dst);
}

static inline void
fill_ip6(struct hg_ipv6 *ip, const struct hg_tunnel_header *h, uint32_t len)
{
    ip->version_class_flow =
        hg_be32_of(UINT32_C(6) << 28 | (uint32_t)h->tos << 20);
    ip->payload_length = hg_be16_of((uint16_t)(len - sizeof *ip));
    ip->hop_limit = h->ttl;
    memcpy(ip->dst, h->dst.byte, sizeof ip->dst);
}

/* The checksum over header and payload of UDP or GRE. */
static void
fill_checksum(uint8_t *l3, uint8_t *l4, const struct hg_tunnel_header *h,
              uint32_t len)
{
    uint16_t checksum;

    if (!hg_tunnel_is_udp(h->format)) {
        checksum = hg_checksum_fold(hg_checksum_add(0, l4, len));
        hg_store16(l4 + sizeof(struct gre), checksum);
        return;
    }
    checksum = hg_checksum_fold(tunnel_udp_sum(l3, l4, len));
    ((struct hg_udp *)l4)->checksum =
        hg_be16_of(checksum ? checksum : 0xffff); /* RFC 768 */
}

/* ---- The whole -------------------------------------------------------- */

void
hg_tunnel_form_init(struct hg_tunnel_form *f, const struct hg_tunnel_header *h)
{
    bool is_ip6 = h->dst.family == 6;
    uint8_t l4 = (uint8_t)(sizeof(struct hg_eth) + (is_ip6 ? 40 : 20));
    uint8_t tunnel = (uint8_t)(l4 + sizeof(struct hg_udp));

    memset(f, 0, sizeof *f);
    f->overhead = (uint8_t)hg_tunnel_overhead(h);
    if (hg_tunnel_is_tag(h->format))
        return;
    f->l4_offset = l4;
    ((struct hg_eth *)f->byte)->type =
        hg_be16_of(is_ip6 ? HG_ETH_IP6 : HG_ETH_IP4);
    write_ip(f, h);
    if (hg_tunnel_is_udp(h->format))
        ((struct hg_udp *)(f->byte + l4))->dport = hg_be16_of(h->dport);
    if (h->format == HG_TUNNEL_GENEVE)
        write_geneve(f, tunnel, h);
    else if (h->format == HG_TUNNEL_VXLAN)
        write_vxlan(f, tunnel);
    else
        write_gre(f, l4, h);
}

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

/* Copies headers, which are 16 bytes at least: some moves of that size, where
 * memcpy() would first have to see how long they are. */
static inline void
copy_headers(uint8_t *to, const uint8_t *from, uint32_t len)
{
    enum { MOVE = 16 };
    uint32_t i;

    for (i = 0; i < len - MOVE; i += MOVE)
        memcpy(to + i, from + i, MOVE);
    memcpy(to + len - MOVE, from + len - MOVE, MOVE);
}

/* Fills the packet's own values into the headers that were copied to 'at'. */
static inline void
fill_headers(struct hg_packet *p, const struct hg_tunnel_form *f,
             const struct hg_tunnel_header *h, uint16_t type)
{
    uint8_t *at = p->data, *l3 = at + sizeof(struct hg_eth);
    uint8_t *l4 = at + f->l4_offset;
    uint32_t len = p->wire_len - (uint32_t)sizeof(struct hg_eth);
    uint32_t l4_len = p->wire_len - f->l4_offset;

    ((struct hg_eth *)at)->dst = h->dst_mac;
    ((struct hg_eth *)at)->src = h->src_mac;
    if (h->dst.family == 4)
        fill_ip4((struct hg_ipv4 *)l3, f, h, len);
    else
        fill_ip6((struct hg_ipv6 *)l3, h, len);
    if (hg_tunnel_is_udp(h->format)) {
        ((struct hg_udp *)l4)->sport = hg_be16_of(h->sport);
        ((struct hg_udp *)l4)->length = hg_be16_of((uint16_t)l4_len);
    }
    fill_tunnel(at, f, h, type);
    if (h->has_checksum)
        fill_checksum(l3, l4, h, l4_len);
}

/* Says what hg_packet_parse() would find. */
static inline void
announce(struct hg_packet *p, const struct hg_tunnel_form *f,
         const struct hg_tunnel_header *h)
{
    bool is_ip6 = h->dst.family == 6, is_udp = hg_tunnel_is_udp(h->format);
    uint32_t flags = (uint32_t)(is_ip6 ? HG_PACKET_IP6 : HG_PACKET_IP4) |
                     (is_udp ? PORTS_FLAGS : 0);

    packet_announce(p, flags, is_ip6 ? HG_ETH_IP6 : HG_ETH_IP4,
                    sizeof(struct hg_eth), f->l4_offset,
                    is_udp ? HG_PROTO_UDP : HG_PROTO_GRE);
}

bool
hg_tunnel_form_push(struct hg_packet *p, const struct hg_tunnel_form *f,
                    const struct hg_tunnel_header *h)
{
    uint32_t gone = h->is_ethernet ? 0 : p->l3_offset;
    uint32_t len = f->overhead + (uint32_t)sizeof(struct hg_eth);
    uint16_t type = h->is_ethernet ? HG_ETH_TEB : p->ether_type;
    uint8_t *at;

    if (hg_tunnel_is_tag(h->format))
        return push_tags(p, h);
    if (f->overhead + p->wire_len - gone > UINT16_MAX ||
        (h->has_checksum && p->wire_len > p->len))
        return false;
    if (gone)
        hg_packet_pull(p, gone);
    at = hg_packet_push(p, len);
    if (!at) {
        hg_packet_push(p, gone);
        hg_packet_parse(p);
        return false;
    }
    copy_headers(at, f->byte, len);
    fill_headers(p, f, h, type);
    announce(p, f, h);
    return true;
}

bool
hg_tunnel_push(struct hg_packet *p, const struct hg_tunnel_header *h)
{
    struct hg_tunnel_form form;

    hg_tunnel_form_init(&form, h);
    return hg_tunnel_form_push(p, &form, h);
}

/* ---- Stamps ----------------------------------------------------------- */

_Static_assert(HG_TUNNEL_STAMP_LEN == 50, "bytes as they are on the wire");

void
hg_tunnel_stamp_init(struct hg_tunnel_stamp *stamp,
                     const struct hg_tunnel_form *form, uint8_t ttl,
                     struct hg_port_range sports, const struct hg_mac *src_mac,
                     const struct hg_mac *dst_mac)
{
    struct hg_tunnel_stamp_header *h = &stamp->header;
    struct hg_eth *inner = (struct hg_eth *)stamp->inner;
    uint16_t fixed;

    *stamp = (struct hg_tunnel_stamp){.sports = sports};
    memcpy(h, form->byte, sizeof *h);
    h->ip.frag = hg_be16_of(HG_IP4_DF);
    h->ip.ttl = ttl;
    if (form->type_at)
        hg_store16(&h->flags_type.b[2], HG_ETH_TEB);
    if (src_mac)
        h->eth.src = *src_mac;
    else
        memset(&inner->src, 0xff, sizeof inner->src);
    if (dst_mac)
        h->eth.dst = *dst_mac;
    else
        memset(&inner->dst, 0xff, sizeof inner->dst);
    fixed = ~hg_checksum_fold(hg_checksum_add(0, &h->ip.id, sizeof h->ip - 4));
    stamp->ip_sum = hg_swap16(fixed);
}

/* Sixteen bytes that are moved, or looked at, together. */
typedef uint64_t block __attribute__((vector_size(16)));

static inline block
load_block(const void *at)
{
    block b;

    memcpy(&b, at, sizeof b);
    return b;
}

/* The sum of the two halves of a word, for a checksum. */
static inline uint32_t
sum_of(uint32_t word)
{
    return (word >> 16) + (word & 0xffff);
}

/* What packets have alike, in registers. */
struct stamp_blocks {
    block first;
    block inner;
    block second;
    block third;
};

static inline void
push_stamp(const struct hg_tunnel_stamp *stamp, const struct stamp_blocks *b,
           struct hg_packet *p, const struct hg_tunnel_own *own, uint32_t hash)
{
    struct hg_tunnel_stamp_header *h =
        (struct hg_tunnel_stamp_header *)(p->data - sizeof *h);
    const block first = (load_block(p->data) & b->inner) | b->first;
    uint32_t wire_len = p->wire_len + (uint32_t)sizeof *h;
    uint32_t len = wire_len - (uint32_t)sizeof h->eth;
    uint32_t word = hg_swap32(UINT32_C(0x45) << 24 | /* Version, length. */
                              (uint32_t)own->tos << 16 | len);
    uint32_t sum = stamp->ip_sum + sum_of(word), dst;
    uint16_t checksum;

    memcpy(&dst, &own->dst, sizeof dst);
    checksum = hg_checksum_fold(sum + sum_of(dst));
    memcpy(h, &first, sizeof first);
    memcpy((uint8_t *)h + 16, &b->second, sizeof b->second);
    memcpy((uint8_t *)h + 32, &b->third, sizeof b->third);
    memcpy(&h->ip, &word, sizeof word);
    memcpy(&h->ip.checksum, &checksum, sizeof checksum);
    memcpy(&h->ip.dst, &dst, sizeof dst);
    hg_store16(&h->udp.sport, hg_tunnel_sport(hash, stamp->sports));
    hg_store16(&h->udp.length, (uint16_t)(len - sizeof h->ip));
    hg_store32(&h->vni_reserved, own->network << 8);
    p->data = (uint8_t *)h;
    p->len += (uint32_t)sizeof *h;
    p->wire_len = wire_len;
    packet_announce(p, HG_PACKET_IP4 | PORTS_FLAGS, HG_ETH_IP4, sizeof h->eth,
                    sizeof h->eth + sizeof h->ip, HG_PROTO_UDP);
}

void
hg_tunnel_stamp_push(const struct hg_tunnel_stamp *stamp, unsigned n,
                     struct hg_packet *const *packets,
                     const struct hg_tunnel_own *own, const uint32_t *hash)
{
    const uint8_t *header = (const uint8_t *)&stamp->header;
    const struct stamp_blocks blocks = {
        load_block(header), load_block(stamp->inner), load_block(header + 16),
        load_block(header + 32)};
    unsigned i;

    for (i = 0; i < n; i++)
        push_stamp(stamp, &blocks, packets[i], &own[i], hash[i]);
}
