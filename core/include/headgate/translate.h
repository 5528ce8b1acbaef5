/* headgate/translate.h: stateless IP/ICMP translation (RFC 7915), a packet
 * of one IP version becomes one of the other in its place.
 *
 * Who calls says which addresses the new packet has, so it serves stateful
 * NAT64 (RFC 6146) as well as a mapping by rule (RFC 7757).  Ports and the
 * identifiers of queries are not changed here.  Nor is the TTL or hop limit,
 * which is copied: lowering it is the router's part (RFC 7915 4.1, 5.1).
 *
 * Checksums change incrementally: what was wrong stays wrong, and packets
 * that a capture cut short stay right.  IPv4 options and IPv6 extension
 * headers are left out (4.1, 5.1); so are the extensions of ICMP errors
 * (RFC 4884), whose quote ends before them.
 *
 * Thread-safety: as packets. */
#ifndef HEADGATE_TRANSLATE_H
#define HEADGATE_TRANSLATE_H 1

#include <headgate/packet.h>

#ifdef __cplusplus
extern "C" {
#endif

struct hg_ends4 {
    uint32_t src; /* Host order. */
    uint32_t dst;
};

struct hg_ends6 {
    uint8_t src[16];
    uint8_t dst[16];
};

/* What the new packet needs beyond the old one.  Of 'to4' or 'to6' the
 * function that is called reads its own; 'quoted' are the addresses of the
 * packet that an ICMP error quotes, and need not be set for others. */
struct hg_translation {
    union {
        struct {
            struct hg_ends4 ends, quoted;
            uint16_t id; /* Identification, where the packet may be cut. */
        } to4;
        struct {
            struct hg_ends6 ends, quoted;
            bool add_fragment_header; /* As it will be cut. */
        } to6;
    };
    uint16_t mtu4; /* Of the links to both sides, for the MTU that an ICMP */
    uint16_t mtu6; /* error tells; 0: not known. */
};

enum hg_translate_result {
    HG_TRANSLATED,
    HG_TRANSLATE_NO_ICMP,      /* An ICMP message without a counterpart. */
    HG_TRANSLATE_SOURCE_ROUTE, /* Not yet at its destination. */
    HG_TRANSLATE_NO_CHECKSUM,  /* UDP/IPv4 without one that is not all here:
                                * RFC 7915 4.5. */
    HG_TRANSLATE_BROKEN,       /* A header, or what an error quotes, is cut. */
    HG_TRANSLATE_NO_ROOM       /* The packet's slot is too small. */
};

/* The packet changes only if HG_TRANSLATED is returned; it is parsed then.
 * 'p' is IPv4 (IPv6) with its whole header, its transport header too unless
 * it is a later fragment. */
HG_API enum hg_translate_result
hg_translate_4to6(struct hg_packet *p, const struct hg_translation *);
HG_API enum hg_translate_result
hg_translate_6to4(struct hg_packet *p, const struct hg_translation *);

/* Bytes that the packet, IPv6, would have as IPv4, by its own account. */
HG_API uint32_t hg_translate_len4(const struct hg_packet *p);

/* IPv4 addresses in IPv6 ones behind a prefix of 32, 40, 48, 56, 64 or 96
 * bits (RFC 6052 2.2).  hg_embedded_ip4 returns false if 'from' lies outside
 * of the prefix. */
HG_API bool hg_embed_prefix_ok(const struct hg_prefix *prefix);
HG_API void hg_embed_ip4(const struct hg_prefix *prefix, uint32_t ip4,
                         uint8_t to[16]);
HG_API bool hg_embedded_ip4(const struct hg_prefix *prefix,
                            const uint8_t from[16], uint32_t *ip4);

#ifdef __cplusplus
}
#endif
#endif
