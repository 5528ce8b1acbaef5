/* hyperplane_nat_six.h: HyperplaneNAT's IPv6 inside, NAT64 (RFC 6146).  An
 * IPv4 host of the outside is, to the inside, an address in 'nat64-prefix'.
 * Headers are translated by the core (headgate/translate.h). */
#ifndef HYPERPLANE_NAT_SIX_H
#define HYPERPLANE_NAT_SIX_H 1

#include "hyperplane_nat_answers.h"
#include "hyperplane_nat_table.h"

enum { SIX_GROWS = IP6_HEADER - IP4_HEADER };

/* Why a packet could not be translated, or NULL. */
static hg_counter *
refusal_of(struct hyperplane_nat *self, enum hg_translate_result result)
{
    switch (result) {
    case HG_TRANSLATED:
        return NULL;
    case HG_TRANSLATE_NO_ICMP:
        return &self->unsupported_icmp;
    case HG_TRANSLATE_SOURCE_ROUTE:
        return &self->source_route;
    case HG_TRANSLATE_NO_CHECKSUM:
        return &self->no_udp_checksum;
    default:
        return &self->untranslatable;
    }
}

static struct hg_translation
translation(struct hyperplane_nat *self)
{
    struct hg_translation t;

    self->has_resized = true;
    memset(&t, 0, sizeof(t));
    t.mtu4 = self->mtu;
    t.mtu6 = self->inside_mtu;
    return t;
}

/* ---- To outside ------------------------------------------------------- */

/* The IPv4 packet of an IPv6 one, from 'external' to 'remote'. */
static hg_counter *
to_four(struct hyperplane_nat *self, struct hg_packet *p, uint32_t external,
        uint32_t remote)
{
    struct hg_translation t = translation(self);

    t.to4.ends = (struct hg_ends4){external, remote};
    if (!(p->flags & HG_PACKET_FRAGMENT))
        t.to4.id = (uint16_t)hg_random(self);
    return refusal_of(self, hg_translate_6to4(p, &t));
}

/* The MTU to tell the sender of an IPv6 packet, or 0 if it fits. */
static uint16_t
too_big6(const struct hyperplane_nat *self, const struct hg_packet *p)
{
    uint32_t len = self->mtu ? hg_translate_len4(p) : 0, mtu;

    if (len <= self->mtu)
        return 0;
    mtu = self->mtu + (uint32_t)SIX_GROWS;
    return (uint16_t)(mtu > ANSWER6_MAX ? mtu : ANSWER6_MAX);
}

/* ---- To inside -------------------------------------------------------- */

/* Whether the IPv6 packet that 'p' becomes is to be cut: it may be, and the
 * way to the host may be narrower. */
static bool
must_cut(const struct hyperplane_nat *self, const struct hg_packet *p)
{
    const struct hg_ipv4 *ip = hg_packet_ipv4(p);
    uint32_t extra = p->flags & HG_PACKET_FRAGMENT
                         ? (uint32_t)sizeof(struct hg_ipv6_frag)
                         : 0;

    return !(hg_get16(ip->frag) & HG_IP4_DF) && p->protocol != HG_PROTO_ICMP &&
           hg_get16(ip->total_length) + SIX_GROWS + extra >
               self->ipv6_fragment_mtu &&
           hg_packet_l3_len(p) == hg_get16(ip->total_length);
}

/* One piece of an IPv6 packet with a fragment header: 'len' bytes of its
 * payload from 'at' on. */
static struct hg_packet *
make_piece(struct hyperplane_nat *self, const struct hg_packet *p, uint32_t at,
           uint32_t len)
{
    uint32_t headers =
        p->l3_offset + IP6_HEADER + (uint32_t)sizeof(struct hg_ipv6_frag);
    struct hg_packet *piece = hg_make(self, headers + len, p);

    if (!piece)
        return NULL;
    memcpy(piece->data, p->data, headers);
    memcpy(piece->data + headers, p->data + headers + at, len);
    memcpy(piece->meta, p->meta, sizeof(piece->meta));
    return piece;
}

/* Completes the headers of a piece that begins at 'offset' (bytes). */
static void
finish_piece(struct hg_packet *piece, uint16_t l3, uint32_t len,
             uint32_t offset, bool more)
{
    struct hg_ipv6 *ip = (struct hg_ipv6 *)(piece->data + l3);
    struct hg_ipv6_frag *frag = (struct hg_ipv6_frag *)(ip + 1);

    ip->payload_length = hg_be16_of((uint16_t)(len + sizeof(*frag)));
    frag->offset = hg_be16_of((uint16_t)(offset | more));
    hg_packet_parse_l3(piece, HG_ETH_IP6, l3);
}

/* Sends all pieces of 'p', which has a fragment header, but the last, which
 * becomes of 'p' itself. */
static hg_counter *
cut_six(struct hyperplane_nat *self, struct hg_packet *p)
{
    uint16_t l3 = p->l3_offset;
    struct hg_ipv6_frag *frag =
        (struct hg_ipv6_frag *)(p->data + l3 + IP6_HEADER);
    uint32_t headers = IP6_HEADER + (uint32_t)sizeof(*frag);
    uint32_t size = (self->ipv6_fragment_mtu - headers) & ~7u;
    uint32_t left = hg_packet_l3_len(p) - headers, at = 0;
    uint32_t offset = hg_get16(frag->offset) & ~7u;
    bool more = hg_get16(frag->offset) & 1;
    uint8_t *payload;

    for (; left > size; left -= size, at += size) {
        struct hg_packet *piece = make_piece(self, p, at, size);

        if (!piece)
            return &self->untranslatable;
        finish_piece(piece, l3, size, offset + at, true);
        send_out(self, INSIDE, piece);
    }
    payload = p->data + l3 + headers;
    memmove(payload, payload + at, left);
    hg_packet_trim(p, l3 + headers + left);
    finish_piece(p, l3, left, offset + at, more);
    return NULL;
}

/* The IPv6 packet of an IPv4 one, to 'inside'; what it is to be cut into has
 * gone ahead.  Ports are set by the caller before. */
static hg_counter *
to_six(struct hyperplane_nat *self, struct hg_packet *p,
       const uint8_t inside[16])
{
    struct hg_translation t = translation(self);
    bool cut = must_cut(self, p);
    hg_counter *reason;

    hg_embed_ip4(&self->nat64_prefix, hg_get32(hg_packet_ipv4(p)->src),
                 t.to6.ends.src);
    memcpy(t.to6.ends.dst, inside, sizeof(t.to6.ends.dst));
    t.to6.add_fragment_header = cut;
    reason = refusal_of(self, hg_translate_4to6(p, &t));
    return reason || !cut ? reason : cut_six(self, p);
}

#endif
