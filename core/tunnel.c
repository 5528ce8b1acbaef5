/* tunnel.c: what a tunnel carries, and how it is taken out (tunnel.h).
 *
 * Every byte is looked at only after its place was compared with the end of
 * what is here.  How headers are put on: tunnel_build.c. */
#include <headgate/tunnel.h>

#include "packet_internal.h"
#include "tunnel_wire.h"

enum { ECN_MASK = 3, ECT1 = 1, ECT0 = 2, CE = 3 }; /* RFC 3168 5 */

uint32_t
hg_tunnel_network_max(enum hg_tunnel_format format)
{
    switch (format) {
    case HG_TUNNEL_GRE:
        return UINT32_MAX;
    case HG_TUNNEL_VLAN:
        return 4094;
    case HG_TUNNEL_QINQ:
        return 4094 << 12 | 4094;
    default:
        return 0xffffff;
    }
}

uint32_t
tunnel_udp_sum(const uint8_t *l3, const uint8_t *udp, uint32_t len)
{
    uint32_t sum;

    if (l3[0] >> 4 == 4) {
        const struct hg_ipv4 *ip = (const struct hg_ipv4 *)l3;

        sum = hg_checksum_pseudo4(hg_get32(ip->src), hg_get32(ip->dst),
                                  HG_PROTO_UDP, len);
    } else {
        const struct hg_ipv6 *ip = (const struct hg_ipv6 *)l3;

        sum = hg_checksum_pseudo6(ip->src, ip->dst, HG_PROTO_UDP, len);
    }
    return hg_checksum_add(sum, udp, len);
}

/* ---- Outer headers ---------------------------------------------------- */

/* The part of the frame that is being looked at. */
struct span {
    uint32_t end;      /* By the headers' account. */
    uint32_t here_end; /* What is here of it. */
};

static void
set_end(const struct hg_packet *p, struct span *s, uint32_t end)
{
    s->end = end;
    s->here_end = end < p->len ? end : p->len;
}

static bool
is_one_of(const struct hg_packet *p, const struct hg_addr_list *local)
{
    struct hg_addr dst;
    size_t i;

    hg_packet_read_dst(p, &dst);
    for (i = 0; i < local->n; i++)
        if (hg_addr_equal(&dst, &local->v[i]))
            return true;
    return false;
}

static inline bool
is_local(const struct hg_packet *p, const struct hg_addr_list *local)
{
    return !local || !local->n || is_one_of(p, local);
}

/* Whether the packet is of the format and for us. */
static bool
is_ours(const struct hg_packet *p, const struct hg_tunnel_rules *rules)
{
    if (!hg_packet_is_ip(p) || p->flags & HG_PACKET_BAD_EXT)
        return false;
    if (!hg_tunnel_is_udp(rules->format))
        return p->protocol == HG_PROTO_GRE && is_local(p, rules->local);
    return p->protocol == HG_PROTO_UDP && p->flags & HG_PACKET_L4 &&
           hg_packet_dport(p) == rules->port && is_local(p, rules->local);
}

static enum hg_tunnel_status
parse_ip(const struct hg_packet *p, struct hg_tunnel_view *view,
         struct span *s)
{
    const struct hg_ipv4 *ip4 = hg_packet_ipv4(p);
    uint32_t len;

    if (p->flags & HG_PACKET_FRAGMENT)
        return HG_TUNNEL_FRAGMENT;
    if (ip4) {
        unsigned header_len = hg_ipv4_header_len(ip4);

        if (!hg_checksum_ipv4_ok(ip4, header_len))
            return HG_TUNNEL_IP_CHECKSUM;
        len = hg_get16(ip4->total_length);
        if (len < header_len)
            return HG_TUNNEL_LENGTH;
    } else {
        len = (uint32_t)sizeof(struct hg_ipv6) +
              hg_get16(hg_packet_ipv6(p)->payload_length);
    }
    if (p->l3_offset + len > p->wire_len || p->l3_offset + len < p->l4_offset)
        return HG_TUNNEL_LENGTH;
    hg_packet_read_src(p, &view->src);
    view->tos = hg_packet_tos(p);
    set_end(p, s, p->l3_offset + len);
    return HG_TUNNEL_OK;
}

static enum hg_tunnel_status
parse_udp(const struct hg_packet *p, const struct hg_tunnel_rules *rules,
          struct hg_tunnel_view *view, struct span *s)
{
    const struct hg_udp *udp = hg_packet_udp(p);
    uint32_t len = hg_get16(udp->length);

    if (len < sizeof *udp || p->l4_offset + len > s->end)
        return HG_TUNNEL_LENGTH;
    set_end(p, s, p->l4_offset + len);
    view->tunnel_offset = p->l4_offset + (uint32_t)sizeof *udp;
    if (!hg_get16(udp->checksum))
        return p->flags & HG_PACKET_IP6 && !rules->allow_zero_checksum6
                   ? HG_TUNNEL_ZERO_CHECKSUM
                   : HG_TUNNEL_OK;
    if (p->flags & HG_PACKET_NEEDS_CSUM || s->end > p->len)
        return HG_TUNNEL_OK;
    if (hg_checksum_fold(
            tunnel_udp_sum(hg_packet_l3(p), hg_packet_l4(p), len)))
        return HG_TUNNEL_UDP_CHECKSUM;
    return HG_TUNNEL_OK;
}

/* ---- Tunnel headers --------------------------------------------------- */

static enum hg_tunnel_status
set_type(struct hg_tunnel_view *view, uint16_t type)
{
    view->ether_type = type;
    view->is_ethernet = type == HG_ETH_TEB;
    return type < ETHER_TYPE_MIN ? HG_TUNNEL_PROTOCOL : HG_TUNNEL_OK;
}

/* The options of GWLB that were seen, as bits. */
enum { SEEN_ENDPOINT = 1, SEEN_ATTACHMENT = 2, SEEN_COOKIE = 4 };

static bool
is_known_class(const struct hg_tunnel_rules *rules, uint16_t option_class)
{
    size_t i;

    for (i = 0; rules->known && i < rules->known->n; i++)
        if (rules->known->v[i] == option_class)
            return true;
    return false;
}

/* Takes one option; false if it is not known. */
static bool
take_option(const struct hg_tunnel_rules *rules,
            const struct geneve_option *option, uint32_t len,
            struct hg_tunnel_view *view, unsigned *seen)
{
    uint16_t option_class = hg_get16(option->option_class);
    uint8_t type = option->type & 0x7f;

    if (option_class == HG_GENEVE_AWS_CLASS) {
        if ((type == HG_GENEVE_GWLB_ENDPOINT ||
             type == HG_GENEVE_GWLB_ATTACHMENT) &&
            len == 8)
            *seen |= type == HG_GENEVE_GWLB_ENDPOINT ? SEEN_ENDPOINT
                                                     : SEEN_ATTACHMENT;
        else if (type == HG_GENEVE_GWLB_COOKIE && len == 4)
            *seen |= SEEN_COOKIE;
        else
            return false;
        return true;
    }
    if (option_class != rules->eni_class)
        return is_known_class(rules, option_class);
    if (len != 4)
        return false;
    if (type == HG_GENEVE_SOURCE_ENI)
        view->source_eni = hg_load32(option + 1);
    else if (type == HG_GENEVE_DESTINATION_ENI)
        view->destination_eni = hg_load32(option + 1);
    else
        return false;
    return true;
}

static enum hg_tunnel_status
parse_options(const struct hg_packet *p, const struct hg_tunnel_rules *rules,
              struct hg_tunnel_view *view, uint32_t at)
{
    unsigned seen = 0;

    while (at < view->inner_offset) {
        const struct geneve_option *option =
            (const struct geneve_option *)(p->data + at);
        uint32_t len;

        /* Options are multiples of four bytes, so the header is here. */
        len = (option->length & 0x1fU) * 4;
        at += (uint32_t)sizeof *option;
        if (len > view->inner_offset - at)
            return HG_TUNNEL_OPTIONS;
        if (!take_option(rules, option, len, view, &seen) &&
            option->type & 0x80)
            return HG_TUNNEL_CRITICAL;
        at += len;
    }
    if (rules->gwlb && seen != (SEEN_ENDPOINT | SEEN_ATTACHMENT | SEEN_COOKIE))
        return HG_TUNNEL_MISSING_OPTION;
    return HG_TUNNEL_OK;
}

static enum hg_tunnel_status
parse_geneve(const struct hg_packet *p, const struct hg_tunnel_rules *rules,
             struct hg_tunnel_view *view, const struct span *s)
{
    uint32_t at = view->tunnel_offset;
    const struct geneve *geneve = (const struct geneve *)(p->data + at);
    enum hg_tunnel_status status;

    if (at + sizeof *geneve > s->here_end)
        return HG_TUNNEL_SHORT;
    if (geneve->version_length >> 6)
        return HG_TUNNEL_VERSION;
    if (geneve->flags & GENEVE_CONTROL)
        return HG_TUNNEL_CONTROL;
    view->network = hg_get32(geneve->vni_reserved) >> 8;
    at += (uint32_t)sizeof *geneve;
    view->inner_offset = at + (geneve->version_length & 0x3fU) * 4;
    if (view->inner_offset > s->here_end)
        return HG_TUNNEL_OPTIONS;
    status = parse_options(p, rules, view, at);
    if (status != HG_TUNNEL_OK)
        return status;
    status = set_type(view, hg_get16(geneve->type));
    if (status == HG_TUNNEL_OK && rules->gwlb &&
        view->ether_type != HG_ETH_IP4 && view->ether_type != HG_ETH_IP6)
        return HG_TUNNEL_PROTOCOL;
    return status;
}

static enum hg_tunnel_status
parse_vxlan(const struct hg_packet *p, struct hg_tunnel_view *view,
            const struct span *s)
{
    uint32_t at = view->tunnel_offset;
    const struct vxlan *vxlan = (const struct vxlan *)(p->data + at);

    if (at + sizeof *vxlan > s->here_end)
        return HG_TUNNEL_SHORT;
    if (!(hg_get32(vxlan->flags_reserved) & VXLAN_I))
        return HG_TUNNEL_FLAGS;
    view->network = hg_get32(vxlan->vni_reserved) >> 8;
    view->inner_offset = at + (uint32_t)sizeof *vxlan;
    view->is_ethernet = true;
    return HG_TUNNEL_OK;
}

static uint32_t
gre_len(uint16_t flags)
{
    return 4U + (flags & GRE_CHECKSUM ? 4U : 0) + (flags & GRE_KEY ? 4U : 0) +
           (flags & GRE_SEQUENCE ? 4U : 0);
}

static enum hg_tunnel_status
parse_gre(const struct hg_packet *p, struct hg_tunnel_view *view,
          const struct span *s)
{
    uint32_t at = p->l4_offset;
    const struct gre *gre = (const struct gre *)(p->data + at);
    uint16_t flags;

    view->tunnel_offset = at;
    if (at < p->l3_offset || at + sizeof *gre > s->here_end)
        return HG_TUNNEL_SHORT;
    flags = hg_get16(gre->flags);
    if (flags & GRE_VERSION)
        return HG_TUNNEL_VERSION;
    if (flags & GRE_REFUSED)
        return HG_TUNNEL_FLAGS;
    view->inner_offset = at + gre_len(flags);
    if (view->inner_offset > s->here_end)
        return HG_TUNNEL_SHORT;
    if (flags & GRE_CHECKSUM && s->end <= p->len &&
        hg_checksum_fold(hg_checksum_add(0, gre, s->end - at)))
        return HG_TUNNEL_GRE_CHECKSUM;
    if (flags & GRE_KEY)
        view->network =
            hg_load32(p->data + at + 4 + (flags & GRE_CHECKSUM ? 4 : 0));
    return set_type(view, hg_get16(gre->type));
}

/* GRE with exactly a key, whose low byte is the FlowID (RFC 7637 3.2). */
static enum hg_tunnel_status
parse_nvgre(const struct hg_packet *p, struct hg_tunnel_view *view,
            const struct span *s)
{
    enum hg_tunnel_status status = parse_gre(p, view, s);
    uint16_t flags;

    if (status != HG_TUNNEL_OK)
        return status;
    flags = hg_load16(p->data + view->tunnel_offset);
    if (flags & (GRE_CHECKSUM | GRE_SEQUENCE))
        return HG_TUNNEL_FLAGS;
    if (!(flags & GRE_KEY))
        return HG_TUNNEL_NO_KEY;
    if (!view->is_ethernet)
        return HG_TUNNEL_PROTOCOL;
    view->network >>= 8;
    return HG_TUNNEL_OK;
}

static enum hg_tunnel_status
parse_tunnel(const struct hg_packet *p, const struct hg_tunnel_rules *rules,
             struct hg_tunnel_view *view, const struct span *s)
{
    switch (rules->format) {
    case HG_TUNNEL_GENEVE:
        return parse_geneve(p, rules, view, s);
    case HG_TUNNEL_VXLAN:
        return parse_vxlan(p, view, s);
    case HG_TUNNEL_NVGRE:
        return parse_nvgre(p, view, s);
    default:
        return parse_gre(p, view, s);
    }
}

/* Two tags are told by an S-tag, by what it was before the standard, or by
 * two C-tags. */
static bool
is_outer_tag(uint16_t type, enum hg_tunnel_format format)
{
    enum { QINQ_OLD = 0x9100 };

    if (type == HG_ETH_VLAN)
        return true;
    return format == HG_TUNNEL_QINQ &&
           (type == HG_ETH_QINQ || type == QINQ_OLD);
}

/* One tag, or an S-tag and the C-tag behind it. */
static enum hg_tunnel_status
parse_tags(const struct hg_packet *p, enum hg_tunnel_format format,
           struct hg_tunnel_view *view)
{
    bool is_qinq = format == HG_TUNNEL_QINQ;
    uint32_t at = 2 * (uint32_t)sizeof(struct hg_mac);
    uint32_t end = at + (is_qinq ? 8 : 4);
    uint16_t id;

    if (p->len < at + 2 || !is_outer_tag(hg_load16(p->data + at), format))
        return HG_TUNNEL_OTHER;
    if (p->len < end + 2)
        return HG_TUNNEL_SHORT;
    if (is_qinq && hg_load16(p->data + at + 4) != HG_ETH_VLAN)
        return HG_TUNNEL_OTHER;
    view->tunnel_offset = at;
    view->inner_offset = end;
    view->inner_end = p->len;
    view->is_ethernet = true;
    view->is_cut = p->wire_len > p->len;
    for (at += 2; at < end; at += 4) {
        id = hg_load16(p->data + at) & VLAN_ID;
        if (id == VLAN_ID)
            return HG_TUNNEL_VLAN_ID;
        view->network = view->network << 12 | id;
    }
    return HG_TUNNEL_OK;
}

enum hg_tunnel_status
hg_tunnel_parse(const struct hg_packet *p, const struct hg_tunnel_rules *rules,
                struct hg_tunnel_view *view)
{
    enum hg_tunnel_status status;
    struct span s;

    memset(view, 0, sizeof *view);
    if (hg_tunnel_is_tag(rules->format))
        return parse_tags(p, rules->format, view);
    if (!is_ours(p, rules))
        return HG_TUNNEL_OTHER;
    status = parse_ip(p, view, &s);
    if (status == HG_TUNNEL_OK && hg_tunnel_is_udp(rules->format))
        status = parse_udp(p, rules, view, &s);
    if (status == HG_TUNNEL_OK)
        status = parse_tunnel(p, rules, view, &s);
    if (status != HG_TUNNEL_OK)
        return status;
    view->inner_end = s.here_end;
    view->is_cut = s.end > p->len;
    if (view->is_ethernet &&
        view->inner_offset + sizeof(struct hg_eth) > s.here_end)
        return HG_TUNNEL_INNER;
    return HG_TUNNEL_OK;
}

/* hg_packet_pull() of what will be parsed anew. */
static void
pull(struct hg_packet *p, uint32_t n)
{
    p->data += n;
    p->len -= n;
    p->wire_len -= n;
}

void
hg_tunnel_pull(struct hg_packet *p, const struct hg_tunnel_view *view)
{
    enum { MACS = 2 * sizeof(struct hg_mac) };
    bool is_tag = !view->src.family;
    uint8_t macs[MACS];

    p->flags &= ~(uint32_t)HG_PACKET_NEEDS_CSUM;
    if (!view->is_cut) /* Of padding nothing stays, be it here or not. */
        p->wire_len = p->len = view->inner_end;
    if (view->is_ethernet && !is_tag) {
        pull(p, view->inner_offset);
    } else {
        memcpy(macs, p->data, MACS);
        pull(p, view->inner_offset -
                    (is_tag ? MACS : (uint32_t)sizeof(struct hg_eth)));
        memcpy(p->data, macs, MACS);
        if (!is_tag)
            hg_store16(p->data + MACS, view->ether_type);
    }
    hg_packet_parse(p);
}

/* ---- Plain packets ---------------------------------------------------- */

/* The headers of plain packets: all have the bits of 'value' where 'mask' has
 * ones. */
struct sieve {
    struct hg_tunnel_stamp_header mask;
    struct hg_tunnel_stamp_header value;
};

/* Whether a single destination is ours, which a sieve can tell. */
static bool
tells_local(const struct hg_addr_list *local)
{
    return local && local->n == 1 && local->v->family == 4;
}

/* Whole frames in GENEVE without options or VXLAN, over UDP without checksum
 * and IPv4 without options, fragments or tags. */
static struct sieve
make_sieve(const struct hg_tunnel_rules *rules)
{
    struct sieve s = {
        .mask = {.eth.type = {{0xff, 0xff}},
                 .ip.version_ihl = 0xff,
                 .ip.frag = hg_be16_of(HG_IP4_MF | HG_IP4_OFFSET),
                 .ip.protocol = 0xff,
                 .udp.dport = {{0xff, 0xff}},
                 .udp.checksum = {{0xff, 0xff}}},
        .value = {.eth.type = hg_be16_of(HG_ETH_IP4),
                  .ip.version_ihl = 0x45,
                  .ip.protocol = HG_PROTO_UDP,
                  .udp.dport = hg_be16_of(rules->port)}};

    if (rules->format == HG_TUNNEL_GENEVE) { /* Critical options: none. */
        s.mask.flags_type = hg_be32_of(UINT32_MAX & ~(uint32_t)(0x7f << 16));
        s.value.flags_type = hg_be32_of(HG_ETH_TEB);
    } else {
        s.mask.flags_type = s.value.flags_type = hg_be32_of(VXLAN_I);
    }
    if (tells_local(rules->local)) {
        memset(&s.mask.ip.dst, 0xff, sizeof s.mask.ip.dst);
        memcpy(&s.value.ip.dst, rules->local->v->byte, sizeof s.value.ip.dst);
    }
    return s;
}

static inline bool
passes(const struct sieve *s, const struct hg_tunnel_stamp_header *h)
{
    static const uint8_t words[] = {12, 20, 26, 34, 42}; /* All in masks. */
    uint64_t frame, mask, value, differs = 0;
    unsigned i;

#pragma GCC unroll 5
    for (i = 0; i < sizeof words; i++) {
        memcpy(&frame, (const uint8_t *)h + words[i], sizeof frame);
        memcpy(&mask, (const uint8_t *)&s->mask + words[i], sizeof mask);
        memcpy(&value, (const uint8_t *)&s->value + words[i], sizeof value);
        differs |= (frame & mask) ^ value;
    }
    return !differs;
}

/* Takes off the headers, which are right as far as the sieve tells, but does
 * not yet look for those behind them. */
static inline bool
strip(struct hg_packet *p, struct hg_tunnel_plain *plain)
{
    const struct hg_tunnel_stamp_header *h =
        (const struct hg_tunnel_stamp_header *)p->data;
    uint32_t ip_end = (uint32_t)sizeof h->eth + hg_get16(h->ip.total_length);
    uint32_t end =
        (uint32_t)(sizeof h->eth + sizeof h->ip) + hg_get16(h->udp.length);

    if (ip_end > p->len || end > ip_end ||
        end < sizeof *h + sizeof(struct hg_eth) ||
        !hg_checksum_ipv4_plain_ok(&h->ip, 0))
        return false;
    plain->network = hg_get32(h->vni_reserved) >> 8;
    plain->src = hg_get32(h->ip.src);
    plain->tos = h->ip.tos;
    p->flags &= ~(uint32_t)HG_PACKET_NEEDS_CSUM;
    p->wire_len = p->len = end;
    pull(p, sizeof *h);
    return true;
}

void
hg_tunnel_strip(const struct hg_tunnel_rules *rules, unsigned n,
                struct hg_packet *const *packets, struct hg_tunnel_plain *out)
{
    const struct sieve sieve = make_sieve(rules);
    const bool ask_local = !tells_local(rules->local);
    const bool may_be = hg_tunnel_is_udp(rules->format) && !rules->gwlb;
    unsigned i, n_plain = 0;

    for (i = 0; i < n; i++) {
        struct hg_packet *p = packets[i];

        out[i].is_plain = may_be && p->len >= sizeof sieve.mask &&
                          passes(&sieve, (const void *)p->data) &&
                          (!ask_local || is_local(p, rules->local)) &&
                          strip(p, &out[i]);
        n_plain += out[i].is_plain;
    }
    if (n_plain == n)
        packet_parse_many(packets, n);
    for (i = 0; n_plain < n && i < n; i++)
        if (out[i].is_plain)
            hg_packet_parse(packets[i]);
}

/* ---- DSCP and ECN ----------------------------------------------------- */

int
hg_ecn_decapsulate(uint8_t inner, uint8_t outer)
{
    inner &= ECN_MASK;
    outer &= ECN_MASK;
    if (!inner)
        return outer == CE ? -1 : 0;
    if (outer == CE)
        return CE;
    return inner == ECT0 && outer == ECT1 ? ECT1 : inner;
}

void
hg_packet_set_tos(struct hg_packet *p, uint8_t tos)
{
    struct hg_ipv6 *ip6 = hg_packet_ipv6(p);
    struct hg_ipv4 *ip4 = hg_packet_ipv4(p);

    if (ip4) {
        uint16_t from = hg_load16(ip4); /* Version, length and this. */
        uint16_t to = (uint16_t)((from & 0xff00) | tos);

        hg_store16(ip4, to);
        hg_checksum_update16(&ip4->checksum, from, to);
    } else if (ip6) {
        uint32_t word = hg_get32(ip6->version_class_flow);

        word = (word & 0xf00fffff) | (uint32_t)tos << 20;
        ip6->version_class_flow = hg_be32_of(word);
    }
}
