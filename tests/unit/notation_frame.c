/* notation_frame.c: what a text says of a packet (notation_spec.h), as a
 * frame. Checksums and offsets are the library's own (test_packet.c checks
 * those against published packets). */
#include "notation_spec.h"

#include <stdlib.h>
#include <string.h>

#include <headgate/checksum.h>

struct frame {
    uint8_t byte[HG_PACKET_MAX];
    uint32_t len;
    bool is_full;
};

static uint8_t *
grow(struct frame *f, uint32_t n)
{
    static uint8_t nowhere[HG_PACKET_MAX];
    uint8_t *at = f->byte + f->len;

    if (n > sizeof f->byte - f->len) {
        f->is_full = true;
        return nowhere;
    }
    memset(at, 0, n);
    f->len += n;
    return at;
}

static void
put_payload(struct frame *f, uint32_t n)
{
    uint8_t *at = grow(f, n);
    uint32_t i;

    for (i = 0; i < n; i++)
        at[i] = (uint8_t)i;
}

static void
put_tcp(struct frame *f, const struct spec *spec)
{
    uint32_t options = spec->mss ? 4 : 0;
    struct hg_tcp *tcp =
        (struct hg_tcp *)grow(f, (uint32_t)sizeof *tcp + options);
    uint8_t *option = (uint8_t *)(tcp + 1);

    tcp->sport = hg_be16_of((uint16_t)spec->sport);
    tcp->dport = hg_be16_of((uint16_t)spec->dport);
    tcp->seq = hg_be32_of(spec->seq);
    tcp->ack = hg_be32_of(spec->ack);
    tcp->data_offset = (uint8_t)((sizeof *tcp + options) / 4 << 4);
    tcp->flags = spec->tcp_flags;
    tcp->window = hg_be16_of((uint16_t)spec->win);
    if (spec->mss) {
        option[0] = 2; /* RFC 9293 3.7.1 */
        option[1] = 4;
        hg_store16(option + 2, (uint16_t)spec->mss);
    }
    put_payload(f, spec->len);
}

static void
put_udp(struct frame *f, const struct spec *spec)
{
    struct hg_udp *udp = (struct hg_udp *)grow(f, sizeof *udp);

    udp->sport = hg_be16_of((uint16_t)spec->sport);
    udp->dport = hg_be16_of((uint16_t)spec->dport);
    udp->length = hg_be16_of((uint16_t)(sizeof *udp + spec->len));
    put_payload(f, spec->len);
}

static void
put_icmp(struct frame *f, const struct spec *spec)
{
    struct hg_icmp *icmp = (struct hg_icmp *)grow(f, sizeof *icmp);

    icmp->type = (uint8_t)spec->type;
    icmp->code = (uint8_t)spec->code;
    icmp->id = hg_be16_of((uint16_t)spec->echo_id);
    icmp->seq = hg_be16_of((uint16_t)spec->seq);
    if (spec->mtu && spec->src.family == 6)
        hg_store32(&icmp->id, spec->mtu);
    else if (spec->mtu)
        icmp->seq = hg_be16_of((uint16_t)spec->mtu);
    if (spec->quoted) {
        uint32_t n = spec->quoted->len - spec->quoted->l3_offset;

        memcpy(grow(f, n), hg_packet_l3(spec->quoted), n);
    } else {
        put_payload(f, spec->len);
    }
}

static uint8_t
protocol_of(const struct spec *spec)
{
    switch (spec->kind) {
    case TCP:
        return HG_PROTO_TCP;
    case UDP:
        return HG_PROTO_UDP;
    case ICMP:
        return spec->src.family == 6 ? HG_PROTO_ICMP6 : HG_PROTO_ICMP;
    default:
        return (uint8_t)spec->proto;
    }
}

static void
put_ip_header(struct frame *f, const struct spec *spec)
{
    if (spec->src.family == 4) {
        struct hg_ipv4 *ip = (struct hg_ipv4 *)grow(f, sizeof *ip);

        ip->version_ihl = 0x45;
        ip->tos = (uint8_t)spec->tos;
        ip->id = hg_be16_of((uint16_t)spec->id);
        ip->frag = hg_be16_of(spec->df ? HG_IP4_DF : 0);
        ip->ttl = (uint8_t)spec->ttl;
        ip->protocol = protocol_of(spec);
        memcpy(&ip->src, spec->src.byte, 4);
        memcpy(&ip->dst, spec->dst.byte, 4);
    } else {
        struct hg_ipv6 *ip = (struct hg_ipv6 *)grow(f, sizeof *ip);

        ip->version_class_flow = hg_be32_of(6U << 28 | spec->tos << 20);
        ip->hop_limit = (uint8_t)spec->ttl;
        ip->next_header = protocol_of(spec);
        memcpy(ip->src, spec->src.byte, 16);
        memcpy(ip->dst, spec->dst.byte, 16);
        if (spec->is_fragment) {
            struct hg_ipv6_frag *frag =
                (struct hg_ipv6_frag *)grow(f, sizeof *frag);

            ip->next_header = HG_PROTO_FRAGMENT;
            frag->next_header = protocol_of(spec);
            frag->id = hg_be32_of(spec->id);
        }
    }
}

/* The IP packet, its lengths set and its checksums not. */
static bool
put_ip(struct frame *f, const struct spec *spec, struct hg_error *error)
{
    uint32_t start = f->len;
    uint32_t len;

    put_ip_header(f, spec);
    if (spec->kind == TCP)
        put_tcp(f, spec);
    else if (spec->kind == UDP)
        put_udp(f, spec);
    else if (spec->kind == ICMP)
        put_icmp(f, spec);
    else
        put_payload(f, spec->len);
    len = f->len - start;
    if (len > UINT16_MAX)
        return hg_error_set(error, "an IP packet of %u bytes", len);
    if (spec->src.family == 4)
        hg_store16(f->byte + start + 2, (uint16_t)len);
    else
        hg_store16(f->byte + start + 4,
                   (uint16_t)(len - sizeof(struct hg_ipv6)));
    grow(f, spec->pad);
    return true;
}

static void
put_arp(struct frame *f, const struct spec *spec)
{
    struct hg_arp *arp = (struct hg_arp *)grow(f, sizeof *arp);

    arp->htype = hg_be16_of(1);
    arp->ptype = hg_be16_of(HG_ETH_IP4);
    arp->hlen = 6;
    arp->plen = 4;
    arp->op = hg_be16_of((uint16_t)spec->op);
    arp->sha = spec->smac;
    memcpy(&arp->spa, spec->arp_sender.byte, 4);
    if (spec->op != 1)
        arp->tha = spec->dmac;
    memcpy(&arp->tpa, spec->arp_target.byte, 4);
}

static uint16_t
ether_type_of(const struct spec *spec)
{
    if (spec->kind == ARP)
        return HG_ETH_ARP;
    if (spec->kind == ETH)
        return (uint16_t)spec->type;
    return spec->src.family == 6 ? HG_ETH_IP6 : HG_ETH_IP4;
}

static void
put_ethernet(struct frame *f, const struct spec *spec)
{
    struct hg_eth *eth = (struct hg_eth *)grow(f, sizeof *eth);
    hg_be16 *type = &eth->type;
    unsigned i;

    eth->src = spec->smac;
    eth->dst = spec->dmac;
    for (i = 0; i < spec->n_vlans; i++) {
        struct hg_vlan *vlan = (struct hg_vlan *)grow(f, sizeof *vlan);

        *type = hg_be16_of(HG_ETH_VLAN);
        vlan->tci = hg_be16_of(spec->vlan[i]);
        type = &vlan->type;
    }
    *type = hg_be16_of(ether_type_of(spec));
}

static void
make_fragment(struct hg_packet *p, const struct spec *spec)
{
    struct hg_ipv4 *ip = hg_packet_ipv4(p);

    if (ip) {
        uint32_t frag = spec->frag_offset / 8;

        frag |= spec->more_fragments ? HG_IP4_MF : 0;
        frag |= spec->df ? HG_IP4_DF : 0;
        ip->frag = hg_be16_of((uint16_t)frag);
    } else {
        struct hg_ipv6_frag *frag =
            (struct hg_ipv6_frag *)(hg_packet_ipv6(p) + 1);

        frag->offset =
            hg_be16_of((uint16_t)(spec->frag_offset | spec->more_fragments));
    }
}

/* Checksums, then what is to be wrong with the packet.  A first fragment has
 * the L4 checksum that it would have if it were all. */
static bool
finish_ip(struct hg_packet *p, const struct spec *spec, struct hg_error *error)
{
    static const uint8_t offset[] = {[TCP] = 16, [UDP] = 6, [ICMP] = 2};

    hg_packet_parse(p);
    if (!spec->frag_offset)
        hg_packet_set_checksums(p);
    if (spec->is_fragment) {
        make_fragment(p, spec);
        hg_packet_parse(p);
        hg_packet_set_checksums(p);
    }
    if (spec->bad_header_checksum && p->flags & HG_PACKET_IP4)
        hg_packet_l3(p)[10] ^= 0x55;
    if (spec->bad_checksum) {
        if (spec->kind > ICMP)
            return hg_error_set(error, "bad-checksum: nothing has one here");
        hg_packet_l4(p)[offset[spec->kind]] ^= 0x55;
    }
    if (spec->is_quoted && spec->kind == TCP && !spec->has_tcp_flags)
        p->len = p->l4_offset + 8U; /* RFC 792: 64 bits of the datagram. */
    if (spec->cut >= p->len - p->l3_offset)
        return hg_error_set(error, "cut %u: nothing is left", spec->cut);
    p->len -= spec->cut;
    hg_packet_parse(p);
    if (spec->bad_ext != !!(p->flags & HG_PACKET_BAD_EXT))
        return hg_error_set(error, "extension headers are %s",
                            spec->bad_ext ? "good" : "bad");
    return true;
}

static bool
put_frame(struct frame *f, const struct spec *spec, struct hg_error *error)
{
    f->len = 0;
    f->is_full = false;
    if (spec->kind == RUNT) {
        grow(f, spec->len);
        return true;
    }
    put_ethernet(f, spec);
    if (spec->kind <= IP && !put_ip(f, spec, error))
        return false;
    if (spec->kind == ARP)
        put_arp(f, spec);
    if (spec->kind == ETH)
        put_payload(f, spec->len);
    return f->is_full ? hg_error_set(error, "too long") : true;
}

struct hg_packet *
notation_make(struct hg_pool *pool, const struct spec *spec,
              struct hg_error *error)
{
    static struct frame frame;
    struct hg_packet *p;

    if (!put_frame(&frame, spec, error))
        return NULL;
    p = hg_packet_alloc(pool, frame.len);
    if (!p) {
        hg_error_set(error, "the pool gives no packet");
        return NULL;
    }
    memcpy(p->data, frame.byte, frame.len);
    if (spec->kind > IP) {
        hg_packet_parse(p);
    } else if (!finish_ip(p, spec, error)) {
        hg_packet_free(p);
        return NULL;
    }
    return p;
}
