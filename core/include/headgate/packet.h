/* headgate/packet.h: one packet, and the pool that packets come from.
 *
 * A packet is this header, headroom and the frame in one slot of a pool.  The
 * frame is always Ethernet.  hg_packet_parse() finds the headers once when
 * the packet enters; whoever adds, removes or rewrites headers calls it again
 * (or keeps the offsets right).  The accessors then return pointers only to
 * headers that are wholly there, so that no element checks lengths.
 *
 * Thread-safety: a packet and its pool belong to one worker. */
#ifndef HEADGATE_PACKET_H
#define HEADGATE_PACKET_H 1

#include <string.h>

#include <headgate/checksum.h>
#include <headgate/headers.h>

#ifdef __cplusplus
extern "C" {
#endif

struct hg_pool;
struct hg_eni;  /* A record of the mapping service. */
struct hg_flow; /* A record of the flow service. */

#define HG_HEADROOM 256      /* Bytes free before a frame that arrives. */
#define HG_PACKET_MAX 262144 /* libpcap's MAXIMUM_SNAPLEN. */
#define HG_PACKET_META 80    /* Bytes for what elements register. */

/* What hg_packet_parse() found (hg_packet.flags). */
enum {
    HG_PACKET_IP4 = 1 << 0,            /* An IPv4 header, options included. */
    HG_PACKET_IP6 = 1 << 1,            /* An IPv6 header. */
    HG_PACKET_ARP = 1 << 2,            /* ARP for IPv4 over Ethernet. */
    HG_PACKET_L4 = 1 << 3,             /* A whole TCP, UDP or ICMP header. */
    HG_PACKET_FRAGMENT = 1 << 4,       /* A fragment, first or later. */
    HG_PACKET_FRAGMENT_LATER = 1 << 5, /* ... whose offset is not zero. */
    HG_PACKET_HASHED = 1 << 6,         /* 'hash' is valid. */
    HG_PACKET_HELD = 1 << 7,           /* An element keeps it (framework). */
    HG_PACKET_NEEDS_CSUM = 1 << 8,     /* Live: L4 checksum is only partial. */
    HG_PACKET_BAD_EXT = 1 << 9, /* IPv6 extension header cut or broken. */
    HG_PACKET_REPLY = 1 << 10,  /* Against the first packet of 'flow'. */
    HG_PACKET_PORTS = 1 << 11   /* HG_PACKET_L4, and it is TCP or UDP. */
};

/* The lowest bits of hg_packet.flow_generation. */
enum {
    HG_FLOW_AGAINST = 1 << 0,   /* Against the direction of the record. */
    HG_FLOW_REWRITTEN = 1 << 1, /* It may be as neither of its keys says. */
    HG_FLOW_SECOND = 1 << 2,    /* It is as the second says, not the first. */
    HG_FLOW_BITS = 3
};

struct hg_packet {
    /* First cache line: what every element looks at. */
    uint8_t *data;       /* First byte of the frame. */
    uint32_t len;        /* Bytes of the frame that are here. */
    uint32_t flags;      /* HG_PACKET_*. */
    uint16_t l3_offset;  /* From data; behind Ethernet and VLAN tags. */
    uint16_t l4_offset;  /* From data; behind IP options and extensions. */
    uint16_t ether_type; /* Host order, behind VLAN tags. */
    uint16_t in_port;    /* Input port of the element that now has it. */
    uint8_t protocol;    /* Transport protocol, behind IPv6 extensions. */
    uint8_t hops;        /* Back edges of the graph taken so far. */
    uint16_t mark;       /* Free for the graph's author. */
    uint32_t hash;       /* Flow hash, if HG_PACKET_HASHED. */
    uint64_t time_ns;    /* When it arrived (or was released), Unix time;
                          * never before the packet that came before. */
    uint64_t seq;        /* Order of arrival over all devices, from 1. */
    uint32_t vpc;        /* Identity: VPC number, 0 if there is only one. */
    uint32_t wire_len;   /* Bytes it had on the wire, >= len. */

    const struct hg_eni *dst_eni; /* Identity; NULL if unknown. */

    /* Second: what fewer look at. */
    const struct hg_eni *src_eni;
    struct hg_pool *pool;
    struct hg_packet *next; /* For whoever keeps it in a list. */
    uint32_t capacity;      /* Bytes of the slot behind this header. */
    uint8_t size_class;     /* Of the slot. */
    uint8_t origin;         /* Number of the device that it came from. */
    uint8_t pad[2];
    struct hg_flow *flow;     /* Flow service (flow.h): its record, */
    uint32_t flow_generation; /* valid while this is the record's.  Without a
                               * record: when it was found to have none, */
    uint32_t flow_hash;       /* ... and its key's hash. */
    uint8_t meta[HG_PACKET_META]; /* hg_metadata(); zero when it enters. */
};

/* A frame that is no packet yet, where a device found it. */
struct hg_frame {
    const uint8_t *data;
    uint32_t len;      /* Bytes of it that are there. */
    uint32_t wire_len; /* Bytes it had on the wire, >= len. */
    uint64_t time_ns;  /* When it arrived, Unix time. */
};

/* Creates a pool that grows on demand up to 'max_packets' packets in flight
 * (0: no limit).  NULL without memory.  hg_pool_destroy(NULL) does nothing;
 * every packet must have come back. */
HG_API struct hg_pool *hg_pool_create(uint32_t max_packets);
HG_API void hg_pool_destroy(struct hg_pool *);

/* Packets now out of the pool. */
HG_API uint32_t hg_pool_in_use(const struct hg_pool *);

/* Pools of one family (graphs that hg_graph_config.kin ties) share memory:
 * a packet may go from the thread of one to the thread of another, with the
 * usual care for order, and ends in the pool that the thread which frees it
 * has entered.  A thread enters one before it touches any of their packets;
 * hg_pool_in_use() is then what was taken from a pool less what ended in it.
 * Where packets flow one way, spare slots must go the other:
 * hg_pool_export() takes what is free beyond 'keep' (by size, smallest first)
 * out of a pool and adds it to 'out', hg_pool_import() puts it into another;
 * neither touches the slots.  hg_spares_uninit() forgets those that are left,
 * which go with the pool.  Zeroes are an empty hg_spares. */
#define HG_POOL_SIZES 3
struct hg_spares {
    struct hg_slots {
        struct hg_packet **v;
        uint32_t n;
        uint32_t size; /* Of the array. */
    } by_size[HG_POOL_SIZES];
};
HG_API void hg_pool_enter(struct hg_pool *);
HG_API void hg_pool_export(struct hg_pool *, const uint32_t *keep,
                           struct hg_spares *out);
HG_API void hg_pool_import(struct hg_pool *, struct hg_spares *in);
HG_API void hg_pool_count_free(const struct hg_pool *, uint32_t *out);
HG_API void hg_spares_uninit(struct hg_spares *);

/* A packet with HG_HEADROOM bytes of headroom and room for 'len' bytes, whose
 * data is uninitialised, len and wire_len are 'len' and everything else is
 * zero.  The caller owns it.  NULL when the pool's limit is reached, memory
 * is out, or len > HG_PACKET_MAX. */
HG_API struct hg_packet *hg_packet_alloc(struct hg_pool *, uint32_t len);

/* The same for 'n' packets of len[i] bytes; returns how many were had, the
 * first ones. */
HG_API unsigned hg_packet_alloc_many(struct hg_pool *, const uint32_t *len,
                                     struct hg_packet **out, unsigned n);

/* A copy of everything, from the same pool; NULL as above. */
HG_API struct hg_packet *hg_packet_copy(const struct hg_packet *);

/* Gives packets back.  For devices and tests: an element returns a verdict
 * or calls hg_discard() instead, so that nothing is lost uncounted. */
HG_API void hg_packet_free(struct hg_packet *);
HG_API void hg_packet_free_many(struct hg_packet *const *, unsigned n);

/* Finds the headers of the frame at data and sets ether_type, offsets,
 * protocol and flags; clears HG_PACKET_HASHED.  Looks through up to eight
 * 802.1Q/802.1ad tags and the IPv6 extension headers (RFC 8200 4).  Never
 * fails: what is cut or malformed is just not announced. */
HG_API void hg_packet_parse(struct hg_packet *);

/* The same for a frame whose L3 header starts at 'l3_offset' and is of type
 * 'ether_type', for those who know. */
HG_API void hg_packet_parse_l3(struct hg_packet *, uint16_t ether_type,
                               uint16_t l3_offset);

/* Bytes free before the frame. */
static inline uint32_t
hg_packet_headroom(const struct hg_packet *p)
{
    return (uint32_t)(p->data - (const uint8_t *)(p + 1));
}

/* Makes 'n' bytes of room before the frame and returns the new first byte;
 * moves the frame inside its slot if the headroom is short, and returns NULL
 * if the slot cannot hold it (the packet is unchanged then).  len and
 * wire_len grow; offsets become those of the longer frame. */
HG_API uint8_t *hg_packet_push(struct hg_packet *, uint32_t n);

/* Removes the first 'n' bytes (n <= len) of the frame. */
HG_API void hg_packet_pull(struct hg_packet *, uint32_t n);

/* Makes the frame 'n' bytes longer at its end and returns the first new
 * byte, or NULL as above. */
HG_API uint8_t *hg_packet_put(struct hg_packet *, uint32_t n);

/* Cuts the frame to 'len' bytes; does nothing if it is shorter. */
HG_API void hg_packet_trim(struct hg_packet *, uint32_t len);

/* Flow hash: the same for both directions of a flow, keyed by 'seed' of the
 * pool (hg_pool_set_seed), over addresses, protocol, ports (ICMP echo: the
 * identifier) and VPC; fragments hash by addresses and protocol only.
 * Computed once and kept in the packet. */
HG_API uint32_t hg_packet_hash_slow(struct hg_packet *);
HG_API void hg_pool_set_seed(struct hg_pool *, uint64_t seed);

static inline uint32_t
hg_packet_hash(struct hg_packet *p)
{
    return p->flags & HG_PACKET_HASHED ? p->hash : hg_packet_hash_slow(p);
}

/* The same for 'n' packets of one pool, for those who need it once: packets
 * need not keep it. */
HG_API void hg_packet_hash_many(struct hg_packet *const *, unsigned n,
                                uint32_t *out);

/* Forgets what is known of the packet's flow (flow.h). */
static inline void
hg_packet_forget_flow(struct hg_packet *p)
{
    p->flow = NULL;
    p->flow_generation = 0;
}

/* To be called by whoever rewrites addresses, ports or the VPC in place: the
 * hash and what the flow remembers (flow.h) are of what was there before.
 * hg_packet_set_src() and the like do. */
static inline void
hg_packet_rewritten(struct hg_packet *p)
{
    p->flags &= ~(uint32_t)HG_PACKET_HASHED;
    p->flow_generation |= HG_FLOW_REWRITTEN;
}

static inline bool
hg_packet_is_ip(const struct hg_packet *p)
{
    return (p->flags & (HG_PACKET_IP4 | HG_PACKET_IP6)) != 0;
}

static inline uint8_t *
hg_packet_l3(const struct hg_packet *p)
{
    return p->data + p->l3_offset;
}

static inline uint8_t *
hg_packet_l4(const struct hg_packet *p)
{
    return p->data + p->l4_offset;
}

/* Headers, or NULL where the packet has none of that kind. */
static inline struct hg_eth *
hg_packet_eth(const struct hg_packet *p)
{
    return p->len >= sizeof(struct hg_eth) ? (struct hg_eth *)p->data : NULL;
}

static inline struct hg_ipv4 *
hg_packet_ipv4(const struct hg_packet *p)
{
    return p->flags & HG_PACKET_IP4 ? (struct hg_ipv4 *)hg_packet_l3(p) : NULL;
}

static inline struct hg_ipv6 *
hg_packet_ipv6(const struct hg_packet *p)
{
    return p->flags & HG_PACKET_IP6 ? (struct hg_ipv6 *)hg_packet_l3(p) : NULL;
}

static inline struct hg_arp *
hg_packet_arp(const struct hg_packet *p)
{
    return p->flags & HG_PACKET_ARP ? (struct hg_arp *)hg_packet_l3(p) : NULL;
}

static inline struct hg_tcp *
hg_packet_tcp(const struct hg_packet *p)
{
    return p->flags & HG_PACKET_PORTS && p->protocol == HG_PROTO_TCP
               ? (struct hg_tcp *)hg_packet_l4(p)
               : NULL;
}

static inline struct hg_udp *
hg_packet_udp(const struct hg_packet *p)
{
    return p->flags & HG_PACKET_PORTS && p->protocol == HG_PROTO_UDP
               ? (struct hg_udp *)hg_packet_l4(p)
               : NULL;
}

/* ICMP of an IPv4 packet or ICMPv6 of an IPv6 packet. */
static inline struct hg_icmp *
hg_packet_icmp(const struct hg_packet *p)
{
    uint8_t protocol =
        p->flags & HG_PACKET_IP6 ? HG_PROTO_ICMP6 : HG_PROTO_ICMP;

    return p->flags & HG_PACKET_L4 && p->protocol == protocol
               ? (struct hg_icmp *)hg_packet_l4(p)
               : NULL;
}

/* Bytes from the L3 header to the end of the IP packet as its header says,
 * but never more than are here: leaves Ethernet padding out.  0 if not IP. */
HG_API uint32_t hg_packet_l3_len(const struct hg_packet *);

/* The same from the L4 header on. */
HG_API uint32_t hg_packet_l4_len(const struct hg_packet *);

/* Bytes of an IPv4 or IPv6 packet as its header says, whatever a capture cut
 * off or Ethernet put behind it; of one with segmentation offload or a
 * jumbogram, whose header says 0, all that was on the wire.  Of others the
 * whole frame. */
static inline uint32_t
hg_packet_ip_bytes(const struct hg_packet *p)
{
    const uint8_t *l3 = hg_packet_l3(p);
    uint32_t n;

    if (p->flags & HG_PACKET_IP4) {
        n = hg_load16(l3 + offsetof(struct hg_ipv4, total_length));
        return n ? n : p->wire_len - p->l3_offset;
    }
    if (!(p->flags & HG_PACKET_IP6))
        return p->wire_len;
    n = hg_load16(l3 + offsetof(struct hg_ipv6, payload_length));
    return n || p->protocol == HG_PROTO_NONE
               ? n + (uint32_t)sizeof(struct hg_ipv6)
               : p->wire_len - p->l3_offset;
}

/* IPv4 TTL or IPv6 hop limit; 0 if not IP. */
static inline uint8_t
hg_packet_ttl(const struct hg_packet *p)
{
    if (p->flags & HG_PACKET_IP4)
        return hg_packet_l3(p)[8];
    return p->flags & HG_PACKET_IP6 ? hg_packet_l3(p)[7] : 0;
}

/* Sets it and keeps the IPv4 header checksum right (RFC 1624). */
static inline void
hg_packet_set_ttl(struct hg_packet *p, uint8_t ttl)
{
    if (p->flags & HG_PACKET_IP4) {
        struct hg_ipv4 *ip = (struct hg_ipv4 *)hg_packet_l3(p);

        hg_checksum_update_first(&ip->checksum, ip->ttl, ttl);
        ip->ttl = ttl;
    } else if (p->flags & HG_PACKET_IP6) {
        ((struct hg_ipv6 *)hg_packet_l3(p))->hop_limit = ttl;
    }
}

/* The address at these offsets of the IPv4 or IPv6 header. */
static inline void
hg_packet_read_addr(const struct hg_packet *p, size_t ip4, size_t ip6,
                    struct hg_addr *out)
{
    const uint8_t *l3 = hg_packet_l3(p);

    if (p->flags & HG_PACKET_IP4) {
        out->family = 4;
        memcpy(out->byte, l3 + ip4, 4);
        memset(out->byte + 4, 0, sizeof out->byte - 4);
    } else if (p->flags & HG_PACKET_IP6) {
        out->family = 6;
        memcpy(out->byte, l3 + ip6, sizeof out->byte);
    } else {
        memset(out, 0, sizeof *out);
    }
}

/* The addresses; family 0 if not IP.  Written where they stay: a struct that
 * is copied right after it was written in pieces waits for all of them. */
static inline void
hg_packet_read_src(const struct hg_packet *p, struct hg_addr *out)
{
    hg_packet_read_addr(p, offsetof(struct hg_ipv4, src),
                        offsetof(struct hg_ipv6, src), out);
}

static inline void
hg_packet_read_dst(const struct hg_packet *p, struct hg_addr *out)
{
    hg_packet_read_addr(p, offsetof(struct hg_ipv4, dst),
                        offsetof(struct hg_ipv6, dst), out);
}

/* The same by value, where that is shorter. */
HG_API struct hg_addr hg_packet_src(const struct hg_packet *);
HG_API struct hg_addr hg_packet_dst(const struct hg_packet *);

/* Rewrites one address of the IP header (same family) and, where the packet
 * has its L4 header, the checksums that cover it (IPv4 header, TCP, UDP,
 * ICMPv6): RFC 1624, RFC 3022 4.1. */
HG_API void hg_packet_set_src(struct hg_packet *, const struct hg_addr *);
HG_API void hg_packet_set_dst(struct hg_packet *, const struct hg_addr *);

/* The identifier of an ICMP echo or its reply, host order; else 0. */
HG_API uint16_t hg_packet_echo_id(const struct hg_packet *);

/* Whether there are ports: a whole header of TCP or UDP. */
static inline bool
hg_packet_has_ports(const struct hg_packet *p)
{
    return (p->flags & HG_PACKET_PORTS) != 0;
}

/* Source and destination port of TCP and UDP, or the identifier of an ICMP
 * echo (as both), host order; 0 where there is none. */
static inline uint16_t
hg_packet_sport(const struct hg_packet *p)
{
    return hg_packet_has_ports(p) ? hg_load16(hg_packet_l4(p))
                                  : hg_packet_echo_id(p);
}

static inline uint16_t
hg_packet_dport(const struct hg_packet *p)
{
    return hg_packet_has_ports(p) ? hg_load16(hg_packet_l4(p) + 2)
                                  : hg_packet_echo_id(p);
}

/* Rewrites them and the checksum over them; on an ICMP echo both mean the
 * identifier. */
HG_API void hg_packet_set_sport(struct hg_packet *, uint16_t port);
HG_API void hg_packet_set_dport(struct hg_packet *, uint16_t port);

/* Computes the IPv4 header checksum and the checksum of TCP, UDP, ICMP or
 * ICMPv6 anew (UDP: never 0; RFC 768).  Not for fragments. */
HG_API void hg_packet_set_checksums(struct hg_packet *);

/* Whether the L4 checksum is right; true where there is none (UDP over IPv4
 * with 0, fragments, other protocols), false if it cannot be checked because
 * the packet is cut. */
HG_API bool hg_packet_l4_checksum_ok(const struct hg_packet *);

/* The packet in the test notation, e.g.
 *     tcp 10.0.0.5:40000 > 203.0.113.9:443 S len 40 ttl 64
 * Returns 'buf'. */
HG_API char *hg_packet_format(const struct hg_packet *, char *buf,
                              size_t size);

#ifdef __cplusplus
}
#endif
#endif
