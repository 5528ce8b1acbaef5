/* mapping_reply.h: answers to ARP requests and neighbour solicitations, made
 * of the question itself; part of mapping_lookup.c.
 *
 * Thread-safety: belongs to one worker. */
#ifndef MAPPING_REPLY_H
#define MAPPING_REPLY_H 1

#include <string.h>

#include <headgate/element.h>

enum { ARP_REQUEST = 1, ARP_REPLY = 2 };

enum {
    ND_TARGET = 8,         /* Offset into the message (RFC 4861 4.3). */
    ND_SIZE = 24,          /* Without options. */
    ND_OPTION_SIZE = 8,    /* Target link-layer address. */
    ND_TARGET_ADDRESS = 2, /* Its type (RFC 4861 4.6.1). */
    ND_ROUTER = 0x80,      /* Flags (RFC 4861 4.4). */
    ND_SOLICITED = 0x40,
    ND_OVERRIDE = 0x20
};

/* Whether this is a neighbour solicitation that may be answered: from one
 * hop away, whole, without extension headers, for one host (RFC 4861 7.1.1).
 */
static bool
is_solicitation(const struct hg_packet *p)
{
    const struct hg_ipv6 *ip = hg_packet_ipv6(p);
    const struct hg_icmp *icmp = hg_packet_icmp(p);

    return ip && icmp && icmp->type == HG_ICMP6_NEIGHBOR_SOLICIT &&
           icmp->code == 0 && ip->hop_limit == 255 &&
           p->l4_offset == p->l3_offset + (int)sizeof *ip &&
           hg_packet_l4_len(p) >= ND_SIZE &&
           hg_packet_l4(p)[ND_TARGET] != 0xff;
}

/* Whether it is what only neighbours may say to each other: router or
 * neighbour, solicitation or advertisement, or redirect (RFC 4861 4). */
static bool
is_discovery(const struct hg_packet *p)
{
    const struct hg_icmp *icmp = hg_packet_icmp(p);

    return p->flags & HG_PACKET_IP6 && icmp &&
           icmp->type >= HG_ICMP6_ROUTER_SOLICIT &&
           icmp->type <= HG_ICMP6_REDIRECT;
}

/* Whether this is an address of a router with this MAC: fe80:ec2::1, or
 * fe80::/64 with the interface identifier of the MAC (RFC 4291 2.5.1). */
static bool
is_router_ip6(const uint8_t *addr, const struct hg_mac *mac)
{
    static const uint8_t always[16] = {0xfe, 0x80, 0x0e, 0xc2, [15] = 1};
    const uint8_t *m = mac->byte;
    const uint8_t own[16] = {0xfe, 0x80, 0,        0,    0,    0,
                             0,    0,    m[0] ^ 2, m[1], m[2], 0xff,
                             0xfe, m[3], m[4],     m[5]};

    return !memcmp(addr, always, sizeof always) ||
           !memcmp(addr, own, sizeof own);
}

static struct hg_addr
solicited_target(const struct hg_packet *p)
{
    struct hg_addr target = {.family = 6};

    memcpy(target.byte, hg_packet_l4(p) + ND_TARGET, sizeof target.byte);
    return target;
}

/* An answer is for who asked, wherever the question was for. */
static void
turn_back(struct hg_packet *p)
{
    p->dst_eni = p->src_eni;
    p->src_eni = NULL;
}

/* Turns the request into "target is at 'mac'" (RFC 826). */
static void
answer_arp(struct hg_packet *p, const struct hg_mac *mac)
{
    struct hg_eth *eth = hg_packet_eth(p);
    struct hg_arp *arp = hg_packet_arp(p);
    hg_be32 target = arp->tpa;

    turn_back(p);
    arp->op = hg_be16_of(ARP_REPLY);
    arp->tha = arp->sha;
    arp->tpa = arp->spa;
    arp->sha = *mac;
    arp->spa = target;
    eth->dst = eth->src;
    eth->src = *mac;
}

/* The same for a solicitation (RFC 4861 4.4); false without room for the
 * option. */
static bool
answer_solicitation(struct hg_packet *p, const struct hg_mac *mac,
                    bool is_router)
{
    struct hg_eth *eth;
    struct hg_ipv6 *ip;
    uint8_t *message, *option;

    hg_packet_trim(p, p->l4_offset + (uint32_t)ND_SIZE);
    option = hg_packet_put(p, ND_OPTION_SIZE);
    if (!option)
        return false;
    p->wire_len = p->len;
    turn_back(p);
    option[0] = ND_TARGET_ADDRESS;
    option[1] = 1; /* In units of 8 bytes. */
    memcpy(option + 2, mac, sizeof *mac);
    eth = hg_packet_eth(p);
    eth->dst = eth->src;
    eth->src = *mac;
    ip = hg_packet_ipv6(p);
    ip->payload_length = hg_be16_of(ND_SIZE + ND_OPTION_SIZE);
    message = hg_packet_l4(p);
    memcpy(ip->dst, ip->src, sizeof ip->dst);
    memcpy(ip->src, message + ND_TARGET, sizeof ip->src);
    message[0] = HG_ICMP6_NEIGHBOR_ADVERT;
    message[4] =
        (uint8_t)(ND_SOLICITED | ND_OVERRIDE | (is_router ? ND_ROUTER : 0));
    hg_packet_parse(p);
    hg_packet_set_checksums(p);
    return true;
}

#endif
