/* headgate/tunnel.h: headers that carry one network's packets over another's.
 *
 * hg_tunnel_parse() finds out what a frame carries, with a status of its own
 * for every way in which it can be wrong; hg_tunnel_push() puts headers round
 * an inner packet.  The elements Decap and Encap are made of these.
 *
 *     geneve  RFC 8926, UDP 6081   VNI, Ethernet or IP inside, options
 *     vxlan   RFC 7348, UDP 4789   VNI, Ethernet inside
 *     gre     RFC 2784, RFC 2890   key, Ethernet or IP inside
 *     nvgre   RFC 7637             VSID, Ethernet inside
 *     vlan    IEEE 802.1Q          VLAN id; the outermost tag
 *     qinq    IEEE 802.1ad         S-VLAN id << 12 | C-VLAN id; two tags
 *
 * VNI, key, VSID and VLAN ids are called the 'network' here.
 *
 * GENEVE options: source and destination ENI by number, in a class that the
 * user chooses among the experimental ones (RFC 8926 7), and those of the AWS
 * Gateway Load Balancer, class 0x0108.
 *
 * Thread-safety: a store belongs to one worker; the rest is as packets. */
#ifndef HEADGATE_TUNNEL_H
#define HEADGATE_TUNNEL_H 1

#include <headgate/checksum.h>
#include <headgate/packet.h>

#ifdef __cplusplus
extern "C" {
#endif

enum hg_tunnel_format {
    HG_TUNNEL_GENEVE,
    HG_TUNNEL_VXLAN,
    HG_TUNNEL_GRE,
    HG_TUNNEL_NVGRE,
    HG_TUNNEL_VLAN,
    HG_TUNNEL_QINQ
};

/* The words of an option, in the order above. */
#define HG_TUNNEL_FORMATS "geneve vxlan gre nvgre vlan qinq"

enum {
    HG_PORT_VXLAN = 4789,
    HG_PORT_GENEVE = 6081,
    HG_GENEVE_EXPERIMENTAL = 0xff00, /* First class: RFC 8926 7. */
    HG_GENEVE_ENI_CLASS = 0xff01,
    HG_GENEVE_SOURCE_ENI = 1,      /* Type: four bytes, hg_eni.number. */
    HG_GENEVE_DESTINATION_ENI = 2, /* Type: the same. */
    HG_GENEVE_AWS_CLASS = 0x0108,
    HG_GENEVE_GWLB_ENDPOINT = 1,   /* Type: eight bytes, ENI id. */
    HG_GENEVE_GWLB_ATTACHMENT = 2, /* Type: eight bytes. */
    HG_GENEVE_GWLB_COOKIE = 3      /* Type: four bytes, of the flow. */
};

static inline bool
hg_tunnel_is_udp(enum hg_tunnel_format format)
{
    return format == HG_TUNNEL_GENEVE || format == HG_TUNNEL_VXLAN;
}

static inline bool
hg_tunnel_is_tag(enum hg_tunnel_format format)
{
    return format == HG_TUNNEL_VLAN || format == HG_TUNNEL_QINQ;
}

/* The largest number of a network in this format. */
HG_API uint32_t hg_tunnel_network_max(enum hg_tunnel_format format);

/* ---- Taking off ------------------------------------------------------- */

enum hg_tunnel_status {
    HG_TUNNEL_OK,
    HG_TUNNEL_OTHER,          /* Not of this format, or not to us. */
    HG_TUNNEL_FRAGMENT,       /* A fragment of the outer packet. */
    HG_TUNNEL_IP_CHECKSUM,    /* Outer IPv4 header. */
    HG_TUNNEL_LENGTH,         /* Outer lengths contradict each other. */
    HG_TUNNEL_UDP_CHECKSUM,   /* Wrong. */
    HG_TUNNEL_ZERO_CHECKSUM,  /* IPv6 without one: RFC 8200 8.1. */
    HG_TUNNEL_SHORT,          /* Tunnel header not whole. */
    HG_TUNNEL_VERSION,        /* RFC 8926 3.4; RFC 2784 2.3.1 */
    HG_TUNNEL_FLAGS,          /* VXLAN without I; GRE's reserved bits. */
    HG_TUNNEL_GRE_CHECKSUM,   /* RFC 2784 2.5 */
    HG_TUNNEL_NO_KEY,         /* NVGRE has to have one: RFC 7637 3.2 */
    HG_TUNNEL_PROTOCOL,       /* Neither Ethernet nor an EtherType. */
    HG_TUNNEL_OPTIONS,        /* GENEVE options do not fit. */
    HG_TUNNEL_CRITICAL,       /* Critical, and unknown: RFC 8926 3.5 */
    HG_TUNNEL_CONTROL,        /* For the end point itself: RFC 8926 3.4 */
    HG_TUNNEL_MISSING_OPTION, /* One of the three of GWLB. */
    HG_TUNNEL_INNER,          /* Inner Ethernet header not whole. */
    HG_TUNNEL_VLAN_ID,        /* 4095 is reserved: IEEE 802.1Q 9.6 */
    HG_TUNNEL_N_STATUS
};

struct hg_tunnel_rules {
    enum hg_tunnel_format format;
    uint16_t port;             /* UDP. */
    uint16_t eni_class;        /* GENEVE class of the ENI options. */
    bool gwlb;                 /* Wants the three options, IP inside. */
    bool allow_zero_checksum6; /* RFC 6935 5 */
    const struct hg_number_list *known; /* Classes of GENEVE options whose
                                         * critical ones may pass. */
    const struct hg_addr_list *local;   /* Outer destinations; n == 0: all. */
};

/* Offsets are from p->data. */
struct hg_tunnel_view {
    uint32_t tunnel_offset; /* Of the GENEVE, VXLAN or GRE header, or of the
                             * first tag. */
    uint32_t inner_offset;  /* Of the inner frame, or of its L3 header; tags:
                             * of the EtherType behind them. */
    uint32_t inner_end;     /* What is behind is padding. */
    uint32_t network;
    uint32_t source_eni; /* hg_eni.number, 0 if it does not say. */
    uint32_t destination_eni;
    uint16_t ether_type; /* Of the inner packet, unless is_ethernet. */
    uint8_t tos;         /* Outer DSCP and ECN. */
    bool is_ethernet;
    bool is_cut;        /* The capture has not all of it. */
    struct hg_addr src; /* Outer; family 0 for tags. */
};

/* Looks at a parsed packet; 'view' is complete only with HG_TUNNEL_OK.
 * Checksums that cannot be computed because a capture cut the packet count
 * as right. */
HG_API enum hg_tunnel_status hg_tunnel_parse(const struct hg_packet *,
                                             const struct hg_tunnel_rules *,
                                             struct hg_tunnel_view *view);

/* Takes the headers off and parses what is left.  A packet that had no
 * Ethernet header inside gets the outer one's addresses. */
HG_API void hg_tunnel_pull(struct hg_packet *, const struct hg_tunnel_view *);

/* What most packets say outside: GENEVE without options or VXLAN over IPv4,
 * Ethernet inside. */
struct hg_tunnel_plain {
    bool is_plain; /* It is one of those; else nothing else is said here. */
    uint8_t tos;
    uint32_t network;
    uint32_t src; /* Outer, host order. */
};

/* Does what hg_tunnel_parse() and hg_tunnel_pull() do to those of 'n' packets
 * that are plain and with which nothing is wrong.  The others are as they
 * were. */
HG_API void hg_tunnel_strip(const struct hg_tunnel_rules *, unsigned n,
                            struct hg_packet *const *,
                            struct hg_tunnel_plain *out);

/* The ECN field of the inner packet after it left a tunnel whose outer header
 * said 'outer'; -1: it has to be dropped (RFC 6040 4.2). */
HG_API int hg_ecn_decapsulate(uint8_t inner, uint8_t outer);

/* Gives an IP packet another DSCP and ECN field, IPv4 checksum included. */
HG_API void hg_packet_set_tos(struct hg_packet *, uint8_t tos);

/* DSCP and ECN; 0 if not IP. */
static inline uint8_t
hg_packet_tos(const struct hg_packet *p)
{
    const struct hg_ipv6 *ip6 = hg_packet_ipv6(p);
    const struct hg_ipv4 *ip4 = hg_packet_ipv4(p);

    if (ip6)
        return (uint8_t)(hg_get32(ip6->version_class_flow) >> 20);
    return ip4 ? ip4->tos : 0;
}

/* ---- Putting on ------------------------------------------------------- */

/* The source port of packets whose flow has this hash. */
static inline uint16_t
hg_tunnel_sport(uint32_t hash, struct hg_port_range ports)
{
    uint32_t n = (uint32_t)(ports.high - ports.low) + 1;

    return (uint16_t)(ports.low + ((uint64_t)hash * n >> 32));
}

struct hg_tunnel_header {
    /* What a form fixes. */
    enum hg_tunnel_format format;
    bool is_ethernet;  /* The inner Ethernet header is carried. */
    bool has_key;      /* GRE. */
    bool has_checksum; /* UDP: computed; GRE: there. */
    bool has_sequence; /* GRE. */
    bool has_eni;      /* GENEVE, the two ENI options. */
    bool has_gwlb;     /* GENEVE, the three of GWLB. */
    uint8_t priority;  /* Tags: IEEE 802.1Q PCP, 0-7. */
    uint16_t dport;
    uint16_t eni_class;
    uint64_t gwlb_endpoint;
    uint64_t gwlb_attachment;
    struct hg_addr src;
    struct hg_addr dst; /* Its family. */

    /* What each packet may have of its own. */
    bool df;
    uint8_t ttl;
    uint8_t tos;
    uint8_t flow_id; /* NVGRE. */
    uint16_t sport;
    uint16_t id; /* IPv4. */
    uint32_t network;
    uint32_t sequence;
    uint32_t source_eni;
    uint32_t destination_eni;
    uint32_t gwlb_cookie;
    struct hg_mac src_mac;
    struct hg_mac dst_mac;
};

/* Bytes from the outer L3 header to the inner frame, or to the inner L3
 * header; tags: their bytes. */
HG_API uint32_t hg_tunnel_overhead(const struct hg_tunnel_header *);

/* Puts the headers on and parses the result.  False if the slot has no room,
 * the outer packet would be longer than 65,535 bytes, or a checksum is wanted
 * over a packet that a capture cut; the packet is unchanged then. */
HG_API bool hg_tunnel_push(struct hg_packet *,
                           const struct hg_tunnel_header *);

/* The same for many packets: the headers with all that a form fixes, written
 * once, and where in them each packet's own values go (0: it has none). */
struct hg_tunnel_form {
    uint8_t byte[128]; /* From the outer Ethernet header on. */
    uint32_t ip_sum;   /* IPv4 header: the sum of what is fixed. */
    uint8_t overhead;  /* hg_tunnel_overhead() */
    uint8_t l4_offset;
    uint8_t type_at;
    uint8_t network_at;
    uint8_t network_shift;
    uint8_t sequence_at;
    uint8_t cookie_at;
    uint8_t source_eni_at;
    uint8_t destination_eni_at;
};

HG_API void hg_tunnel_form_init(struct hg_tunnel_form *,
                                const struct hg_tunnel_header *);

/* As hg_tunnel_push(); what the form fixes has to be the same in the header
 * that it was made of. */
HG_API bool hg_tunnel_form_push(struct hg_packet *,
                                const struct hg_tunnel_form *,
                                const struct hg_tunnel_header *);

/* The same for packets that differ by little: GENEVE without options or VXLAN
 * over IPv4 that may not be fragmented, UDP without checksum, Ethernet inside.
 * The stamp is all of the headers but what is a packet's own. */
struct hg_tunnel_stamp_header {
    struct hg_eth eth;
    struct hg_ipv4 ip;
    struct hg_udp udp;
    hg_be32 flags_type;
    hg_be32 vni_reserved;
};

struct hg_tunnel_stamp {
    struct hg_tunnel_stamp_header header;
    uint8_t inner[16]; /* Which bits of its first bytes are those of the inner
                        * frame: MACs. */
    struct hg_port_range sports;
    uint32_t ip_sum; /* IPv4 header: the sum of what is fixed, of words as
                      * they are in memory (RFC 1071 2 B). */
};

enum { HG_TUNNEL_STAMP_LEN = sizeof(struct hg_tunnel_stamp_header) };

/* What is a packet's own. */
struct hg_tunnel_own {
    hg_be32 dst;
    uint32_t network; /* 24 bits. */
    uint8_t tos;
};

/* 'form' has to be one of the kind above.  A MAC that is NULL is the one of
 * the inner frame. */
HG_API void hg_tunnel_stamp_init(struct hg_tunnel_stamp *,
                                 const struct hg_tunnel_form *form,
                                 uint8_t ttl, struct hg_port_range sports,
                                 const struct hg_mac *src_mac,
                                 const struct hg_mac *dst_mac);

/* Does to 'n' IP packets, whose hashes these are, what hg_tunnel_form_push()
 * does to one.  They have headroom for the stamp and will not be longer than
 * 65,535 bytes. */
HG_API void hg_tunnel_stamp_push(const struct hg_tunnel_stamp *, unsigned n,
                                 struct hg_packet *const *,
                                 const struct hg_tunnel_own *,
                                 const uint32_t *hash);

/* ---- Headers kept aside ----------------------------------------------- */

/* A ring of headers that were taken off, each found by a number that the
 * packet carries.  The record of a packet stays for 'keep_ns' of the packets'
 * clock; while all records are that young, further ones are refused. */
struct hg_tunnel_store;

/* The number as metadata: hg_metadata(self, HG_TUNNEL_META,
 * sizeof(uint64_t)); 0 is none. */
#define HG_TUNNEL_META "tunnel-header"
#define HG_TUNNEL_STORE "tunnel-headers" /* Decap's service. */

/* While a batch spans less than this, its size makes no difference
 * (hg_promise_delay). */
#define HG_TUNNEL_SLACK_NS HG_MSEC

HG_API struct hg_tunnel_store *hg_tunnel_store_create(uint32_t n_records,
                                                      uint64_t keep_ns);
HG_API void hg_tunnel_store_destroy(struct hg_tunnel_store *);

enum hg_tunnel_kept {
    HG_TUNNEL_KEPT,
    HG_TUNNEL_FULL,    /* All records are in use. */
    HG_TUNNEL_TOO_LONG /* More than HG_TUNNEL_RECORD_MAX bytes. */
};

enum { HG_TUNNEL_RECORD_MAX = 464 };

/* Keeps what is before and behind the inner packet; to be called between
 * hg_tunnel_parse() and hg_tunnel_pull(). */
HG_API enum hg_tunnel_kept hg_tunnel_keep(struct hg_tunnel_store *,
                                          const struct hg_packet *,
                                          enum hg_tunnel_format,
                                          const struct hg_tunnel_view *,
                                          uint64_t *number);

enum hg_tunnel_restored {
    HG_TUNNEL_RESTORED,
    HG_TUNNEL_LOST,   /* No such record any more. */
    HG_TUNNEL_NO_ROOM /* Slot or IP length; the packet may be changed. */
};

/* Puts the kept headers back round a packet.  The bytes are the same as they
 * were but for what follows from changes of the inner packet: lengths,
 * checksums that are in use, its EtherType.  With 'reply' the outer addresses
 * are exchanged, ports are not. */
HG_API enum hg_tunnel_restored
hg_tunnel_restore(const struct hg_tunnel_store *, uint64_t number, bool reply,
                  struct hg_packet *);

#ifdef __cplusplus
}
#endif
#endif
