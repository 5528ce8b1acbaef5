/* hyperplane_nat_answers.h: what HyperplaneNAT says itself: a RST to segments
 * of no connection, "too big" to packets that do not fit; and the MSS that it
 * puts into other people's SYNs so that the latter is seldom needed. */
#ifndef HYPERPLANE_NAT_ANSWERS_H
#define HYPERPLANE_NAT_ANSWERS_H 1

#include <headgate/endpoint.h>
#include <headgate/translate.h>

#include "hyperplane_nat.h"

enum { MSS_OFF, MSS_AUTO };

enum {
    IP4_HEADER = sizeof(struct hg_ipv4),
    IP6_HEADER = sizeof(struct hg_ipv6),
    ANSWER4_MAX = 576,  /* RFC 1812 4.3.2.3 */
    ANSWER6_MAX = 1280, /* RFC 4443 2.4 c */
    ANSWER_TTL = 64,
    ANSWER_TOS = 0xc0,  /* Precedence 6: RFC 1812 4.3.2.5 */
    TCP_OPTION_END = 0, /* RFC 9293 3.1 */
    TCP_OPTION_NOP = 1,
    TCP_OPTION_MSS = 2
};

/* Answers a segment that belongs to no connection. */
static void
send_reset(struct hyperplane_nat *self, const struct hg_packet *p)
{
    struct hg_packet *reset = hg_make(self, hg_reset_len(p), p);

    if (!reset)
        return;
    hg_reset_fill(reset, p);
    hg_count(&self->resets_sent);
    send_out(self, INSIDE, reset);
}

/* ---- Too big ---------------------------------------------------------- */

/* Takes one of the answers of this second. */
static bool
may_answer(struct hyperplane_nat *self, uint64_t now_ns)
{
    uint64_t second = now_ns / HG_SEC;

    if (second != self->answer_second) {
        self->answer_second = second;
        self->n_answers = 0;
    }
    return self->n_answers++ < self->too_big_rate;
}

static void
write_too_big4(uint8_t *l3, uint32_t len, const struct hg_packet *p,
               uint32_t source, uint16_t mtu)
{
    struct hg_ipv4 *ip = (struct hg_ipv4 *)l3;

    *ip = (struct hg_ipv4){.version_ihl = 0x45,
                           .tos = ANSWER_TOS,
                           .total_length = hg_be16_of((uint16_t)len),
                           .ttl = ANSWER_TTL,
                           .protocol = HG_PROTO_ICMP,
                           .src = hg_be32_of(source),
                           .dst = hg_packet_ipv4(p)->src};
    *(struct hg_icmp *)(ip + 1) = (struct hg_icmp){
        .type = HG_ICMP_UNREACH,
        .code = 4, /* "Fragmentation needed": RFC 792, RFC 1191 4. */
        .seq = hg_be16_of(mtu)};
}

static void
write_too_big6(const struct hyperplane_nat *self, uint8_t *l3, uint32_t len,
               const struct hg_packet *p, uint32_t source, uint16_t mtu)
{
    struct hg_ipv6 *ip = (struct hg_ipv6 *)l3;

    *ip = (struct hg_ipv6){.version_class_flow = hg_be32_of(UINT32_C(6) << 28),
                           .payload_length =
                               hg_be16_of((uint16_t)(len - IP6_HEADER)),
                           .next_header = HG_PROTO_ICMP6,
                           .hop_limit = ANSWER_TTL};
    hg_embed_ip4(&self->nat64_prefix, source, ip->src);
    memcpy(ip->dst, hg_packet_ipv6(p)->src, sizeof(ip->dst));
    *(struct hg_icmp *)(ip + 1) = (struct hg_icmp){
        .type = HG_ICMP6_TOO_BIG, .seq = hg_be16_of(mtu)}; /* RFC 4443 3.2 */
}

/* Tells the sender of 'p' that no more than 'mtu' bytes get through, as
 * 'source'; on the port where it came in. */
static void
answer_too_big(struct hyperplane_nat *self, const struct hg_packet *p,
               uint32_t source, uint16_t mtu)
{
    bool six = (p->flags & HG_PACKET_IP6) != 0;
    uint32_t headers =
        (six ? IP6_HEADER : IP4_HEADER) + (uint32_t)sizeof(struct hg_icmp);
    uint32_t quoted = hg_packet_l3_len(p);
    uint32_t room = (six ? ANSWER6_MAX : ANSWER4_MAX) - headers;
    struct hg_packet *answer;
    struct hg_eth *eth;
    uint8_t *l3;

    if (!may_answer(self, p->time_ns))
        return;
    if (quoted > room)
        quoted = room;
    answer = hg_make(self, p->l3_offset + headers + quoted, p);
    if (!answer)
        return;
    memcpy(answer->data, p->data, p->l3_offset);
    eth = (struct hg_eth *)answer->data;
    eth->dst = hg_packet_eth(p)->src;
    eth->src = hg_packet_eth(p)->dst;
    l3 = answer->data + p->l3_offset;
    if (six)
        write_too_big6(self, l3, headers + quoted, p, source, mtu);
    else
        write_too_big4(l3, headers + quoted, p, source, mtu);
    memcpy(l3 + headers, hg_packet_l3(p), quoted);
    hg_packet_parse_l3(answer, p->ether_type, p->l3_offset);
    hg_packet_set_checksums(answer);
    answer->dst_eni = p->src_eni;
    answer->src_eni = NULL;
    hg_count(&self->too_big_sent);
    send_out(self, p->in_port == OUTSIDE ? OUTSIDE : INSIDE, answer);
}

/* The MTU to tell the sender of an IPv4 packet that becomes 'growth' bytes
 * longer and must not be cut, or 0 if it fits. */
static uint16_t
too_big4(const struct hg_ipv4 *ip, uint16_t mtu, unsigned growth)
{
    if (hg_get16(ip->total_length) + growth <= mtu || !mtu ||
        !(hg_get16(ip->frag) & HG_IP4_DF))
        return 0;
    return (uint16_t)(mtu - growth);
}

/* ---- MSS -------------------------------------------------------------- */

/* The largest that both links can carry; 0: not known. */
static uint16_t
mss_limit(const struct hyperplane_nat *self, bool six)
{
    uint32_t tcp = sizeof(struct hg_tcp), limit = UINT32_MAX;
    uint32_t inside = (six ? IP6_HEADER : IP4_HEADER) + tcp;

    if (self->mtu > IP4_HEADER + tcp)
        limit = self->mtu - IP4_HEADER - tcp;
    if (self->inside_mtu > inside && self->inside_mtu - inside < limit)
        limit = self->inside_mtu - inside;
    return limit > UINT16_MAX ? 0 : (uint16_t)limit;
}

/* Lowers the MSS that a SYN announces. */
static void
clamp_mss(struct hyperplane_nat *self, struct hg_packet *p, bool six)
{
    struct hg_tcp *tcp = hg_packet_tcp(p);
    uint8_t *option = (uint8_t *)(tcp + 1);
    uint8_t *end = (uint8_t *)tcp + hg_tcp_header_len(tcp);
    uint16_t limit = mss_limit(self, six), mss, delta;

    while (option < end && *option != TCP_OPTION_END) {
        unsigned left = (unsigned)(end - option);
        unsigned len = *option == TCP_OPTION_NOP ? 1
                       : left > 1                ? option[1]
                                                 : 0;

        if (!len || len > left || (len == 1 && *option != TCP_OPTION_NOP))
            return;
        if (*option == TCP_OPTION_MSS && len == 4)
            break;
        option += len;
    }
    if (option >= end || *option != TCP_OPTION_MSS)
        return;
    mss = hg_load16(option + 2);
    if (!limit || mss <= limit)
        return;
    delta = (uint16_t)~hg_checksum_fold(hg_delta16(mss, limit));
    if ((option - (uint8_t *)tcp) % 2) /* RFC 1071 2 B */
        delta = (uint16_t)(delta << 8 | delta >> 8);
    tcp->checksum =
        hg_be16_of(hg_checksum_changed(hg_get16(tcp->checksum), delta));
    hg_store16(option + 2, limit);
    hg_count(&self->mss_clamped);
}

static inline void
clamp_syn(struct hyperplane_nat *self, struct hg_packet *p, bool six)
{
    const struct hg_tcp *tcp = hg_packet_tcp(p);

    if (tcp && tcp->flags & HG_TCP_SYN && self->mss_clamp == MSS_AUTO)
        clamp_mss(self, p, six);
}

#endif
