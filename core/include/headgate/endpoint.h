/* headgate/endpoint.h: one end of an IPv4 packet, address and port, given
 * another value: what translators do to packets and to the packets that ICMP
 * errors quote (RFC 3022 4.1, RFC 5508 4.2), and the RST with which they
 * answer for a connection that is no more.
 *
 * An ICMP query has one number for both ends, its identifier; it counts as
 * the port of either.  Checksums change incrementally (RFC 1624 eqn. 3): what
 * was wrong stays wrong, and packets that a capture cut short stay right.
 *
 * Thread-safety: as packets. */
#ifndef HEADGATE_ENDPOINT_H
#define HEADGATE_ENDPOINT_H 1

#include <headgate/checksum.h>
#include <headgate/packet.h>

#ifdef __cplusplus
extern "C" {
#endif

enum hg_end { HG_END_SRC, HG_END_DST };

/* What a change from 'from' to 'to' adds to the complement of a checksum; in
 * whatever byte order all of them are (RFC 1071 2 B). */
static inline uint32_t
hg_delta16(uint16_t from, uint16_t to)
{
    return (uint32_t)(uint16_t)~from + to;
}

static inline uint32_t
hg_delta32(uint32_t from, uint32_t to)
{
    uint64_t delta = (uint64_t)~from + to;

    return (uint16_t)delta + (uint32_t)(delta >> 16);
}

/* 'checksum' after that change. */
static inline uint16_t
hg_checksum_changed(uint16_t checksum, uint32_t delta)
{
    return hg_checksum_fold((uint16_t)~checksum + delta);
}

/* Where in a TCP, UDP or ICMP header the checksum is, and a port. */
static inline unsigned
hg_checksum_offset(uint8_t protocol)
{
    if (protocol == HG_PROTO_TCP)
        return offsetof(struct hg_tcp, checksum);
    if (protocol == HG_PROTO_UDP)
        return offsetof(struct hg_udp, checksum);
    return offsetof(struct hg_icmp, checksum);
}

static inline unsigned
hg_port_offset(uint8_t protocol, enum hg_end end)
{
    if (protocol == HG_PROTO_ICMP)
        return offsetof(struct hg_icmp, id);
    return end == HG_END_SRC ? offsetof(struct hg_tcp, sport)
                             : offsetof(struct hg_tcp, dport);
}

/* The checksum of a TCP, UDP or ICMP header after an address and a port
 * changed. */
static inline uint16_t
hg_l4_checksum_changed(uint8_t protocol, uint16_t checksum,
                       uint32_t addr_delta, uint32_t port_delta)
{
    if (protocol == HG_PROTO_ICMP) /* No pseudo-header. */
        return hg_checksum_changed(checksum, port_delta);
    if (protocol == HG_PROTO_UDP && !checksum)
        return 0; /* None (RFC 768). */
    checksum = hg_checksum_changed(checksum, addr_delta + port_delta);
    return protocol == HG_PROTO_UDP && !checksum ? 0xffff : checksum;
}

/* Puts a number (host order) into a header; returns the delta, in network
 * order. */
static inline uint32_t
hg_exchange16(void *at, uint16_t to)
{
    uint16_t from;

    to = hg_swap16(to);
    memcpy(&from, at, sizeof(from));
    memcpy(at, &to, sizeof(to));
    return hg_delta16(from, to);
}

static inline uint32_t
hg_exchange32(void *at, uint32_t to)
{
    uint32_t from;

    to = hg_swap32(to);
    memcpy(&from, at, sizeof(from));
    memcpy(at, &to, sizeof(to));
    return hg_delta32(from, to);
}

/* Gives an IPv4 packet another address at one end, and nothing else but the
 * header checksum; returns the delta, in network order.  For those whose
 * transport header is elsewhere (later fragments) or does not cover
 * addresses. */
static inline __attribute__((always_inline)) uint32_t
hg_end_set_addr(struct hg_packet *p, enum hg_end end, uint32_t addr)
{
    struct hg_ipv4 *ip = (struct hg_ipv4 *)hg_packet_l3(p);
    uint32_t delta =
        hg_exchange32(end == HG_END_SRC ? &ip->src : &ip->dst, addr);
    uint16_t checksum;

    memcpy(&checksum, &ip->checksum, sizeof(checksum));
    checksum = hg_checksum_changed(checksum, delta);
    memcpy(&ip->checksum, &checksum, sizeof(checksum));
    hg_packet_rewritten(p);
    return delta;
}

/* Gives an IPv4 packet, of which a whole TCP or UDP header is there, another
 * address and port at one end.  (Inlined where most packets are these.) */
static inline __attribute__((always_inline)) void
hg_end_set_ports(struct hg_packet *p, enum hg_end end, uint32_t addr,
                 uint16_t port)
{
    const uint8_t protocol =
        p->protocol == HG_PROTO_TCP ? HG_PROTO_TCP : HG_PROTO_UDP;
    uint8_t *l4 = hg_packet_l4(p);
    uint8_t *at = l4 + hg_checksum_offset(protocol);
    uint32_t delta = hg_end_set_addr(p, end, addr);
    uint16_t checksum;

    delta += hg_exchange16(l4 + hg_port_offset(protocol, end), port);
    memcpy(&checksum, at, sizeof(checksum));
    checksum = hg_l4_checksum_changed(protocol, checksum, delta, 0);
    memcpy(at, &checksum, sizeof(checksum));
}

/* The same of one with a whole TCP, UDP or ICMP query header. */
static inline void
hg_end_set(struct hg_packet *p, enum hg_end end, uint32_t addr, uint16_t port)
{
    struct hg_icmp *icmp = (struct hg_icmp *)hg_packet_l4(p);
    uint16_t checksum;

    if (p->protocol != HG_PROTO_ICMP) {
        hg_end_set_ports(p, end, addr, port);
        return;
    }
    hg_end_set_addr(p, end, addr);
    memcpy(&checksum, &icmp->checksum, sizeof(checksum));
    checksum = hg_checksum_changed(checksum, hg_exchange16(&icmp->id, port));
    memcpy(&icmp->checksum, &checksum, sizeof(checksum));
}

/* ---- What ICMP errors quote ------------------------------------------- */

/* The IPv4 packet in an ICMP error, maybe cut off behind the first eight
 * bytes of its transport header. */
struct hg_quote {
    struct hg_icmp *icmp; /* The error. */
    struct hg_ipv4 *ip;
    uint8_t *l4;
    uint32_t l4_len; /* Bytes of it that are here, at least 8. */
    uint8_t protocol;
};

enum hg_quote_result {
    HG_QUOTE_OK,
    HG_QUOTE_BAD_CHECKSUM, /* Of the error (RFC 5508 REQ-3). */
    HG_QUOTE_BROKEN,       /* Cut too short, or a wrong header checksum. */
    HG_QUOTE_NO_PORTS      /* Neither TCP, UDP nor an ICMP echo. */
};

/* Finds the quote of 'p', an ICMP error over IPv4. */
HG_API enum hg_quote_result hg_quote_find(const struct hg_packet *p,
                                          struct hg_quote *);

static inline uint32_t
hg_quote_addr(const struct hg_quote *q, enum hg_end end)
{
    return hg_get32(end == HG_END_SRC ? q->ip->src : q->ip->dst);
}

static inline uint16_t
hg_quote_port(const struct hg_quote *q, enum hg_end end)
{
    return hg_load16(q->l4 + hg_port_offset(q->protocol, end));
}

/* Gives the quoted packet another address and port at one end, and keeps the
 * checksums right: its own as far as they are there, and the error's. */
HG_API void hg_quote_set(struct hg_quote *, enum hg_end end, uint32_t addr,
                         uint16_t port);

/* ---- Resets ----------------------------------------------------------- */

/* The length of the frame with a RST that answers 'p'. */
static inline uint32_t
hg_reset_len(const struct hg_packet *p)
{
    return p->l3_offset + (uint32_t)sizeof(struct hg_tcp) +
           (uint32_t)(p->flags & HG_PACKET_IP6 ? sizeof(struct hg_ipv6)
                                               : sizeof(struct hg_ipv4));
}

/* Makes 'reset', a packet of hg_reset_len() bytes, the answer to 'p', a TCP
 * segment for which there is no connection (RFC 9293 3.10.7.1), and to the ENI
 * that this came from; 'p' must not be a RST itself. */
HG_API void hg_reset_fill(struct hg_packet *reset, const struct hg_packet *p);

#ifdef __cplusplus
}
#endif
#endif
