/* headgate/headers.h: the headers that packets are made of.
 *
 * Every struct has alignment 1 and its multi-byte fields are byte arrays in
 * network order, read and written with hg_get16() and so on: a header may
 * start at any address (tunnels) without undefined behaviour, and compilers
 * turn the accessors into one load and a byte swap.
 *
 * These structs know no lengths.  packet.h hands out pointers to them only
 * after it checked that the packet holds them whole.
 *
 * Thread-safety: pure. */
#ifndef HEADGATE_HEADERS_H
#define HEADGATE_HEADERS_H 1

#include <string.h>

#include <headgate/types.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    uint8_t b[2];
} hg_be16;

typedef struct {
    uint8_t b[4];
} hg_be32;

/* Host order from network order, and the other way round. */
static inline uint16_t
hg_swap16(uint16_t v)
{
    return __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? __builtin_bswap16(v)
                                                     : v;
}

static inline uint32_t
hg_swap32(uint32_t v)
{
    return __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? __builtin_bswap32(v)
                                                     : v;
}

/* The same at any address. */
static inline uint16_t
hg_load16(const void *at)
{
    uint16_t v;

    memcpy(&v, at, sizeof v);
    return hg_swap16(v);
}

static inline uint32_t
hg_load32(const void *at)
{
    uint32_t v;

    memcpy(&v, at, sizeof v);
    return hg_swap32(v);
}

static inline uint64_t
hg_load64(const void *at)
{
    uint64_t v;

    memcpy(&v, at, sizeof v);
    return __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? __builtin_bswap64(v)
                                                     : v;
}

static inline void
hg_store16(void *at, uint16_t v)
{
    v = hg_swap16(v);
    memcpy(at, &v, sizeof v);
}

static inline void
hg_store32(void *at, uint32_t v)
{
    v = hg_swap32(v);
    memcpy(at, &v, sizeof v);
}

static inline uint16_t
hg_get16(hg_be16 v)
{
    return hg_load16(v.b);
}

static inline uint32_t
hg_get32(hg_be32 v)
{
    return hg_load32(v.b);
}

static inline hg_be16
hg_be16_of(uint16_t v)
{
    hg_be16 r;

    v = hg_swap16(v);
    memcpy(&r, &v, sizeof r);
    return r;
}

static inline hg_be32
hg_be32_of(uint32_t v)
{
    hg_be32 r;

    v = hg_swap32(v);
    memcpy(&r, &v, sizeof r);
    return r;
}

/* EtherTypes (IEEE 802 numbers), host order. */
enum {
    HG_ETH_IP4 = 0x0800,
    HG_ETH_ARP = 0x0806,
    HG_ETH_TEB = 0x6558, /* Transparent Ethernet bridging (RFC 1701). */
    HG_ETH_VLAN = 0x8100,
    HG_ETH_IP6 = 0x86dd,
    HG_ETH_QINQ = 0x88a8
};

/* IP protocol numbers (IANA). */
enum {
    HG_PROTO_HOPOPTS = 0,
    HG_PROTO_ICMP = 1,
    HG_PROTO_IPIP = 4,
    HG_PROTO_TCP = 6,
    HG_PROTO_UDP = 17,
    HG_PROTO_IPV6 = 41,
    HG_PROTO_ROUTING = 43,
    HG_PROTO_FRAGMENT = 44,
    HG_PROTO_GRE = 47,
    HG_PROTO_ESP = 50,
    HG_PROTO_AH = 51,
    HG_PROTO_ICMP6 = 58,
    HG_PROTO_NONE = 59,
    HG_PROTO_DSTOPTS = 60,
    HG_PROTO_SCTP = 132
};

/* IEEE 802.3. */
struct hg_eth {
    struct hg_mac dst;
    struct hg_mac src;
    hg_be16 type;
};

/* IEEE 802.1Q, behind the addresses; type is that of what follows. */
struct hg_vlan {
    hg_be16 tci; /* Priority 3, DEI 1, VLAN id 12 bits. */
    hg_be16 type;
};

/* ARP for IPv4 over Ethernet (RFC 826). */
struct hg_arp {
    hg_be16 htype;
    hg_be16 ptype;
    uint8_t hlen;
    uint8_t plen;
    hg_be16 op;
    struct hg_mac sha;
    hg_be32 spa;
    struct hg_mac tha;
    hg_be32 tpa;
};

/* RFC 791 3.1. */
struct hg_ipv4 {
    uint8_t version_ihl;
    uint8_t tos;
    hg_be16 total_length;
    hg_be16 id;
    hg_be16 frag; /* HG_IP4_DF, HG_IP4_MF, offset in units of 8 bytes. */
    uint8_t ttl;
    uint8_t protocol;
    hg_be16 checksum;
    hg_be32 src;
    hg_be32 dst;
};

enum { HG_IP4_DF = 0x4000, HG_IP4_MF = 0x2000, HG_IP4_OFFSET = 0x1fff };

/* RFC 8200 3. */
struct hg_ipv6 {
    hg_be32 version_class_flow;
    hg_be16 payload_length;
    uint8_t next_header;
    uint8_t hop_limit;
    uint8_t src[16];
    uint8_t dst[16];
};

/* RFC 8200 4.5. */
struct hg_ipv6_frag {
    uint8_t next_header;
    uint8_t reserved;
    hg_be16 offset; /* 13 bits of offset in units of 8, 2 reserved, M. */
    hg_be32 id;
};

/* RFC 9293 3.1. */
struct hg_tcp {
    hg_be16 sport;
    hg_be16 dport;
    hg_be32 seq;
    hg_be32 ack;
    uint8_t data_offset; /* High four bits, in units of 4 bytes. */
    uint8_t flags;
    hg_be16 window;
    hg_be16 checksum;
    hg_be16 urgent;
};

enum {
    HG_TCP_FIN = 0x01,
    HG_TCP_SYN = 0x02,
    HG_TCP_RST = 0x04,
    HG_TCP_PSH = 0x08,
    HG_TCP_ACK = 0x10,
    HG_TCP_URG = 0x20,
    HG_TCP_ECE = 0x40,
    HG_TCP_CWR = 0x80
};

/* RFC 768. */
struct hg_udp {
    hg_be16 sport;
    hg_be16 dport;
    hg_be16 length;
    hg_be16 checksum;
};

/* RFC 792, RFC 4443: the eight bytes that all messages share. */
struct hg_icmp {
    uint8_t type;
    uint8_t code;
    hg_be16 checksum;
    hg_be16 id;  /* Echo; otherwise bytes 4-5 of the message. */
    hg_be16 seq; /* Echo; next-hop MTU in "fragmentation needed". */
};

enum {
    HG_ICMP_ECHO_REPLY = 0,
    HG_ICMP_UNREACH = 3,
    HG_ICMP_QUENCH = 4,
    HG_ICMP_REDIRECT = 5,
    HG_ICMP_ECHO = 8,
    HG_ICMP_TIME_EXCEEDED = 11,
    HG_ICMP_PARAMETER = 12
};

enum {
    HG_ICMP6_UNREACH = 1,
    HG_ICMP6_TOO_BIG = 2,
    HG_ICMP6_TIME_EXCEEDED = 3,
    HG_ICMP6_PARAMETER = 4,
    HG_ICMP6_ECHO = 128,
    HG_ICMP6_ECHO_REPLY = 129,
    HG_ICMP6_ROUTER_SOLICIT = 133,
    HG_ICMP6_NEIGHBOR_SOLICIT = 135,
    HG_ICMP6_NEIGHBOR_ADVERT = 136,
    HG_ICMP6_REDIRECT = 137
};

/* Length of the IPv4 header in bytes, options included. */
static inline unsigned
hg_ipv4_header_len(const struct hg_ipv4 *ip)
{
    return (unsigned)(ip->version_ihl & 15) * 4;
}

/* Length of the TCP header in bytes, options included. */
static inline unsigned
hg_tcp_header_len(const struct hg_tcp *tcp)
{
    return (unsigned)(tcp->data_offset >> 4) * 4;
}

/* Whether an ICMP (version 4) or ICMPv6 (6) type is an error message, one
 * that quotes the packet that caused it (RFC 1122 3.2.2, RFC 4443 2.1). */
static inline bool
hg_icmp_is_error(unsigned version, uint8_t type)
{
    if (version == 6)
        return type < 128;
    return type == HG_ICMP_UNREACH || type == HG_ICMP_QUENCH ||
           type == HG_ICMP_REDIRECT || type == HG_ICMP_TIME_EXCEEDED ||
           type == HG_ICMP_PARAMETER;
}

#ifdef __cplusplus
}
#endif
#endif
