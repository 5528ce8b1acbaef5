/* notation_spec.h: what a line of text says of a packet (notation.h). */
#ifndef NOTATION_SPEC_H
#define NOTATION_SPEC_H 1

#include <headgate/packet.h>

enum { VLANS_MAX = 16 };

enum kind { TCP, UDP, ICMP, IP, ARP, ETH, RUNT };

struct spec {
    enum kind kind;
    bool is_quoted;
    struct hg_addr src, dst;
    uint32_t sport, dport;
    uint16_t vlan[VLANS_MAX];
    unsigned n_vlans;
    struct hg_mac smac, dmac;
    uint32_t len, ttl, tos, seq, ack, mss, win, id, mtu, proto, type, code;
    uint32_t cut, pad, op;
    bool has_tcp_flags;
    uint8_t tcp_flags;
    bool is_icmp_error;
    uint32_t echo_id;
    bool df;
    bool is_fragment, more_fragments;
    uint32_t frag_offset;
    bool bad_checksum, bad_header_checksum, bad_ext;
    struct hg_addr arp_sender, arp_target;
    struct hg_packet *quoted;
};

/* The packet, from 'pool' and parsed; NULL, and why.  What is quoted stays the
 * caller's. */
struct hg_packet *notation_make(struct hg_pool *pool, const struct spec *spec,
                                struct hg_error *error);

#endif
