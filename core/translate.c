/* translate.c: headgate/translate.h.  What stands before the transport
 * payload (in an ICMP error: before the payload of what it quotes) is built
 * anew in a buffer and takes the place of the old; the rest stays where it
 * is.  translate_icmp.c knows what ICMP messages become. */
#include "packet_internal.h"
#include "translate_internal.h"

enum {
    MAY_CUT = 1260, /* RFC 7915 5.1: without DF up to here. */
    OPTION_END = 0,
    OPTION_NOP = 1,
    OPTION_LSRR = 131, /* RFC 791 3.1 */
    OPTION_SSRR = 137,
    ROUTING_LEFT = 3 /* Offset of "segments left": RFC 8200 4.4. */
};

/* ---- Reading headers -------------------------------------------------- */

/* Whether an option asks for hops that the packet has not made. */
static bool
is_source_routed(const uint8_t *ip, unsigned end)
{
    unsigned at, size;

    for (at = IP4_LEN; at < end && ip[at] != OPTION_END; at += size) {
        size = ip[at] == OPTION_NOP ? 1 : at + 2 < end ? ip[at + 1] : 0;
        if (!size)
            break;
        if ((ip[at] == OPTION_LSRR || ip[at] == OPTION_SSRR) &&
            ip[at + 2] <= size)
            return true;
    }
    return false;
}

enum hg_translate_result
translate_read4(const uint8_t *at, uint32_t here, struct ip_header *h)
{
    const struct hg_ipv4 *ip = (const struct hg_ipv4 *)at;
    uint16_t frag;
    uint32_t total;

    if (here < IP4_LEN || ip->version_ihl >> 4 != 4)
        return HG_TRANSLATE_BROKEN;
    h->len = hg_ipv4_header_len(ip);
    total = hg_get16(ip->total_length);
    if (h->len < IP4_LEN || h->len > here || total < h->len)
        return HG_TRANSLATE_BROKEN;
    frag = hg_get16(ip->frag);
    h->protocol = ip->protocol;
    h->offset = frag & HG_IP4_OFFSET;
    h->more = (frag & HG_IP4_MF) != 0;
    h->is_fragment = h->more || h->offset;
    h->id = hg_get16(ip->id);
    h->payload = total - h->len;
    return HG_TRANSLATED;
}

enum hg_translate_result
translate_read6(const uint8_t *at, uint32_t here, struct ip_header *h)
{
    static const uint8_t none[8];
    const struct hg_ipv6 *ip = (const struct hg_ipv6 *)at;
    uint32_t total, len;

    *h = (struct ip_header){.len = IP6_LEN};
    if (here < IP6_LEN || *at >> 4 != 6)
        return HG_TRANSLATE_BROKEN;
    total = IP6_LEN + hg_get16(ip->payload_length);
    h->protocol = ip->next_header;
    while (!h->offset && packet_extension_len(h->protocol, none)) {
        const uint8_t *ext = at + h->len;

        if (here - h->len < sizeof none || h->protocol == HG_PROTO_AH)
            return HG_TRANSLATE_BROKEN;
        len = packet_extension_len(h->protocol, ext);
        if (len > here - h->len || h->len + len > total)
            return HG_TRANSLATE_BROKEN;
        if (h->protocol == HG_PROTO_ROUTING && ext[ROUTING_LEFT])
            return HG_TRANSLATE_SOURCE_ROUTE; /* RFC 7915 5.1 */
        if (h->protocol == HG_PROTO_FRAGMENT) {
            h->is_fragment = true;
            h->offset = hg_load16(ext + 2) >> 3;
            h->more = ext[3] & 1;
            h->id = hg_load32(ext + 4);
        }
        h->protocol = ext[0];
        h->len += len;
    }
    h->payload = total - h->len;
    return HG_TRANSLATED;
}

/* ---- Writing headers -------------------------------------------------- */

void
translate_put6(struct build *b, const uint8_t *ip4, const struct ip_header *h,
               uint32_t payload, const struct hg_ends6 *ends)
{
    const struct hg_ipv4 *ip = (const struct hg_ipv4 *)ip4;
    struct hg_ipv6 *to = (struct hg_ipv6 *)(b->bytes + b->len);
    uint8_t next = h->protocol == HG_PROTO_ICMP ? HG_PROTO_ICMP6 : h->protocol;

    if (h->is_fragment)
        payload += FRAG_LEN;
    to->version_class_flow =
        hg_be32_of(UINT32_C(6) << 28 | (uint32_t)ip->tos << 20);
    to->payload_length = hg_be16_of((uint16_t)payload);
    to->next_header = h->is_fragment ? HG_PROTO_FRAGMENT : next;
    to->hop_limit = ip->ttl;
    memcpy(to->src, ends->src, sizeof to->src);
    memcpy(to->dst, ends->dst, sizeof to->dst);
    b->len += IP6_LEN;
    if (!h->is_fragment)
        return;
    *(struct hg_ipv6_frag *)(b->bytes + b->len) = (struct hg_ipv6_frag){
        .next_header = next,
        .offset = hg_be16_of((uint16_t)(h->offset << 3 | h->more)),
        .id = hg_be32_of(h->id)};
    b->len += FRAG_LEN;
}

void
translate_put4(struct build *b, const uint8_t *ip6, const struct ip_header *h,
               uint32_t payload, const struct hg_ends4 *ends, uint16_t id)
{
    const struct hg_ipv6 *ip = (const struct hg_ipv6 *)ip6;
    uint32_t total = payload + IP4_LEN;
    uint16_t frag = total > MAY_CUT ? (uint16_t)HG_IP4_DF : 0;
    struct hg_ipv4 *to = (struct hg_ipv4 *)(b->bytes + b->len);

    if (h->is_fragment) { /* RFC 7915 5.1.1 */
        frag = (uint16_t)(h->offset | (h->more ? HG_IP4_MF : 0));
        id = (uint16_t)h->id;
    }
    *to = (struct hg_ipv4){
        .version_ihl = 0x45,
        .tos = (uint8_t)(hg_get32(ip->version_class_flow) >> 20),
        .total_length = hg_be16_of((uint16_t)total),
        .id = hg_be16_of(frag & HG_IP4_DF ? 0 : id),
        .frag = hg_be16_of(frag),
        .ttl = ip->hop_limit,
        .protocol = h->protocol == HG_PROTO_ICMP6 ? (uint8_t)HG_PROTO_ICMP
                                                  : h->protocol,
        .src = hg_be32_of(ends->src),
        .dst = hg_be32_of(ends->dst)};
    to->checksum =
        hg_be16_of(hg_checksum_fold(hg_checksum_add(0, to, IP4_LEN)));
    b->len += IP4_LEN;
}

/* ---- Transport checksums ---------------------------------------------- */

/* Where the checksum is in a transport header of 'here' bytes; 0: nowhere. */
static unsigned
checksum_at(uint8_t protocol, uint32_t here)
{
    unsigned at = 0;

    if (protocol == HG_PROTO_TCP)
        at = offsetof(struct hg_tcp, checksum);
    else if (protocol == HG_PROTO_UDP)
        at = offsetof(struct hg_udp, checksum);
    else if (protocol == HG_PROTO_ICMP || protocol == HG_PROTO_ICMP6)
        at = offsetof(struct hg_icmp, checksum);
    return at + 2 <= here ? at : 0;
}

uint32_t
translate_l4(uint8_t *l4, uint8_t protocol, uint32_t here, uint32_t by)
{
    unsigned at = checksum_at(protocol, here);
    uint16_t from, to;

    if (!at)
        return 0;
    from = hg_load16(l4 + at);
    if (protocol == HG_PROTO_UDP && !from)
        return 0; /* None (RFC 768). */
    to = translate_changed(from, by);
    if (protocol == HG_PROTO_UDP && !to)
        to = 0xffff;
    hg_store16(l4 + at, to);
    return translate_delta(from, to);
}

/* UDP/IPv6 must have a checksum; this one has none (RFC 7915 4.5). */
static bool
lacks_checksum(const struct hg_packet *p, const struct ip_header *h)
{
    const struct hg_udp *udp = hg_packet_udp(p);

    return !h->offset && udp && !hg_get16(udp->checksum);
}

/* ---- Packets ---------------------------------------------------------- */

/* Replaces the 'old_len' bytes behind the frame's own header by what was
 * built, and ends the frame after 'rest' bytes more. */
static void
replace(struct hg_packet *p, const struct build *b, uint32_t old_len,
        uint32_t rest, uint16_t ether_type)
{
    uint16_t l2 = p->l3_offset;

    hg_packet_trim(p, l2 + old_len + rest);
    if (b->len > old_len) {
        uint8_t *to = hg_packet_push(p, b->len - old_len);

        memmove(to, to + (b->len - old_len), l2);
    } else {
        memmove(p->data + (old_len - b->len), p->data, l2);
        hg_packet_pull(p, old_len - b->len);
    }
    hg_store16(p->data + l2 - 2, ether_type);
    memcpy(p->data + l2, b->bytes, b->len);
    hg_packet_parse_l3(p, ether_type, l2);
}

static bool
has_room(struct hg_packet *p, uint32_t n)
{
    if (!hg_packet_push(p, n))
        return false;
    hg_packet_pull(p, n);
    return true;
}

enum hg_translate_result
hg_translate_4to6(struct hg_packet *p, const struct hg_translation *t)
{
    uint32_t here = hg_packet_l3_len(p), rest, old_len, claim;
    bool fill = false;
    struct build b = {.len = 0};
    struct ip_header h;
    struct message m;
    enum hg_translate_result result;
    uint8_t *ip, *l4;

    if (!has_room(p, sizeof b.bytes))
        return HG_TRANSLATE_NO_ROOM;
    ip = hg_packet_l3(p);
    result = translate_read4(ip, here, &h);
    if (result)
        return result;
    if (is_source_routed(ip, h.len))
        return HG_TRANSLATE_SOURCE_ROUTE; /* RFC 7915 4.1 */
    if (lacks_checksum(p, &h)) {
        if (h.is_fragment || here < h.len + h.payload)
            return HG_TRANSLATE_NO_CHECKSUM;
        fill = true;
    }
    l4 = ip + h.len;
    old_len = h.len;
    rest = here - h.len;
    claim = h.payload;
    h.is_fragment |= t->to6.add_fragment_header;
    if (h.protocol == HG_PROTO_ICMP && !h.offset) {
        uint32_t pseudo;

        if (rest < ICMP_LEN)
            return HG_TRANSLATE_BROKEN;
        result = translate_plan(l4, rest, claim, true, t, &m);
        if (result)
            return result;
        claim = m.claim + (uint32_t)translate_growth(&m, true);
        translate_put6(&b, ip, &h, claim, &t->to6.ends);
        pseudo = translate_sum6(b.bytes) + claim + HG_PROTO_ICMP6;
        translate_put_message(&b, l4, rest, &m, true, t,
                              translate_delta(0, pseudo));
        old_len += ICMP_LEN + (m.is_error ? m.quoted.len : 0);
        rest = m.here - (old_len - h.len);
    } else {
        translate_put6(&b, ip, &h, claim, &t->to6.ends);
        if (!h.offset)
            translate_l4(
                l4, h.protocol, rest,
                translate_delta(translate_sum4(ip), translate_sum6(b.bytes)));
    }
    replace(p, &b, old_len, rest, HG_ETH_IP6);
    if (fill)
        hg_packet_set_checksums(p);
    return HG_TRANSLATED;
}

enum hg_translate_result
hg_translate_6to4(struct hg_packet *p, const struct hg_translation *t)
{
    uint8_t *ip = hg_packet_l3(p), *l4;
    uint32_t here = hg_packet_l3_len(p), rest, old_len, claim;
    struct build b = {.len = 0};
    struct ip_header h;
    struct message m;
    enum hg_translate_result result = translate_read6(ip, here, &h);

    if (result)
        return result;
    l4 = ip + h.len;
    old_len = h.len;
    rest = here - h.len;
    claim = h.payload;
    if (h.protocol == HG_PROTO_ICMP6 && !h.offset) {
        uint32_t pseudo = translate_sum6(ip) + claim + HG_PROTO_ICMP6;

        if (rest < ICMP_LEN)
            return HG_TRANSLATE_BROKEN;
        result = translate_plan(l4, rest, claim, false, t, &m);
        if (result)
            return result;
        claim = m.claim + (uint32_t)translate_growth(&m, false);
        translate_put4(&b, ip, &h, claim, &t->to4.ends, t->to4.id);
        translate_put_message(&b, l4, rest, &m, false, t,
                              translate_delta(pseudo, 0));
        old_len += ICMP_LEN + (m.is_error ? m.quoted.len : 0);
        rest = m.here - (old_len - h.len);
    } else {
        translate_put4(&b, ip, &h, claim, &t->to4.ends, t->to4.id);
        if (!h.offset)
            translate_l4(
                l4, h.protocol, rest,
                translate_delta(translate_sum6(ip), translate_sum4(b.bytes)));
    }
    replace(p, &b, old_len, rest, HG_ETH_IP4);
    return HG_TRANSLATED;
}

uint32_t
hg_translate_len4(const struct hg_packet *p)
{
    struct ip_header h;

    if (translate_read6(hg_packet_l3(p), hg_packet_l3_len(p), &h))
        return 0;
    return IP4_LEN + h.payload;
}

/* ---- Addresses -------------------------------------------------------- */

/* Bits 64 to 71 are zero, and the address goes round them (RFC 6052 2.2). */
enum { GAP = 8 };

bool
hg_embed_prefix_ok(const struct hg_prefix *prefix)
{
    uint8_t len = prefix->len;

    return prefix->addr.family == 6 && !prefix->addr.byte[GAP] &&
           (len == 96 || (len >= 32 && len <= 64 && len % 8 == 0));
}

void
hg_embed_ip4(const struct hg_prefix *prefix, uint32_t ip4, uint8_t to[16])
{
    unsigned at = prefix->len / 8, i;

    memcpy(to, prefix->addr.byte, 16);
    for (i = 0; i < 4; i++, at++) {
        if (at == GAP)
            at++;
        to[at] = (uint8_t)(ip4 >> (24 - 8 * i));
    }
}

bool
hg_embedded_ip4(const struct hg_prefix *prefix, const uint8_t from[16],
                uint32_t *ip4)
{
    unsigned at = prefix->len / 8, i;

    if (memcmp(prefix->addr.byte, from, at))
        return false;
    *ip4 = 0;
    for (i = 0; i < 4; i++, at++) {
        if (at == GAP)
            at++;
        *ip4 = *ip4 << 8 | from[at];
    }
    return true;
}
