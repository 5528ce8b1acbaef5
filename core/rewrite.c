/* rewrite.c: reads and rewrites what parse.c found, keeping checksums right,
 * and hashes flows (packet.h). */
#include <headgate/checksum.h>
#include <headgate/packet.h>

#include "hash_words.h"
#include "packet_internal.h"
#include "pool.h"

/* Where an address is, from the start of its header. */
enum {
    IP4_SRC = offsetof(struct hg_ipv4, src),
    IP4_DST = offsetof(struct hg_ipv4, dst),
    IP6_SRC = offsetof(struct hg_ipv6, src),
    IP6_DST = offsetof(struct hg_ipv6, dst)
};

struct hg_addr
hg_packet_src(const struct hg_packet *p)
{
    struct hg_addr a;

    hg_packet_read_src(p, &a);
    return a;
}

struct hg_addr
hg_packet_dst(const struct hg_packet *p)
{
    struct hg_addr a;

    hg_packet_read_dst(p, &a);
    return a;
}

/* The checksum of TCP, UDP or ICMPv6, which covers the addresses; NULL if
 * there is none. */
static hg_be16 *
addressed_checksum(const struct hg_packet *p)
{
    uint8_t *l4 = hg_packet_l4(p);

    if (!(p->flags & HG_PACKET_L4))
        return NULL;
    switch (p->protocol) {
    case HG_PROTO_TCP:
        return &((struct hg_tcp *)l4)->checksum;
    case HG_PROTO_UDP:
        return &((struct hg_udp *)l4)->checksum;
    case HG_PROTO_ICMP6:
        return &((struct hg_icmp *)l4)->checksum;
    }
    return NULL;
}

static void
set_addr4(struct hg_packet *p, uint8_t *at, const struct hg_addr *a)
{
    hg_be16 *checksum = addressed_checksum(p);
    uint32_t from = hg_load32(at);
    uint32_t to = hg_addr_ip4(a);

    hg_store32(at, to);
    hg_checksum_update32(&hg_packet_ipv4(p)->checksum, from, to);
    if (!checksum)
        return;
    if (p->protocol == HG_PROTO_UDP)
        hg_checksum_update32_udp(checksum, from, to);
    else
        hg_checksum_update32(checksum, from, to);
}

static void
set_addr6(struct hg_packet *p, uint8_t *at, const struct hg_addr *a)
{
    hg_be16 *checksum = addressed_checksum(p);
    unsigned i;

    for (i = 0; checksum && i < 16; i += 4) {
        uint32_t from = hg_load32(at + i);
        uint32_t to = hg_load32(a->byte + i);

        if (p->protocol == HG_PROTO_UDP)
            hg_checksum_update32_udp(checksum, from, to);
        else
            hg_checksum_update32(checksum, from, to);
    }
    memcpy(at, a->byte, 16);
}

static void
set_addr(struct hg_packet *p, unsigned ip4, unsigned ip6,
         const struct hg_addr *a)
{
    if (p->flags & HG_PACKET_IP4 && a->family == 4)
        set_addr4(p, hg_packet_l3(p) + ip4, a);
    else if (p->flags & HG_PACKET_IP6 && a->family == 6)
        set_addr6(p, hg_packet_l3(p) + ip6, a);
    hg_packet_rewritten(p);
}

void
hg_packet_set_src(struct hg_packet *p, const struct hg_addr *a)
{
    set_addr(p, IP4_SRC, IP6_SRC, a);
}

void
hg_packet_set_dst(struct hg_packet *p, const struct hg_addr *a)
{
    set_addr(p, IP4_DST, IP6_DST, a);
}

/* An ICMP echo or its reply, of either version; else NULL. */
static struct hg_icmp *
packet_echo(const struct hg_packet *p)
{
    struct hg_icmp *icmp = hg_packet_icmp(p);

    if (!icmp)
        return NULL;
    if (p->flags & HG_PACKET_IP6)
        return icmp->type == HG_ICMP6_ECHO || icmp->type == HG_ICMP6_ECHO_REPLY
                   ? icmp
                   : NULL;
    return icmp->type == HG_ICMP_ECHO || icmp->type == HG_ICMP_ECHO_REPLY
               ? icmp
               : NULL;
}

/* Where the port is: TCP and UDP begin with the two ports. */
static hg_be16 *
port_field(const struct hg_packet *p, bool is_source)
{
    struct hg_icmp *echo;

    if (!(p->flags & HG_PACKET_L4))
        return NULL;
    if (p->protocol == HG_PROTO_TCP || p->protocol == HG_PROTO_UDP)
        return (hg_be16 *)hg_packet_l4(p) + (is_source ? 0 : 1);
    echo = packet_echo(p);
    return echo ? &echo->id : NULL;
}

uint16_t
hg_packet_echo_id(const struct hg_packet *p)
{
    const struct hg_icmp *echo = packet_echo(p);

    return echo ? hg_get16(echo->id) : 0;
}

static void
set_port(struct hg_packet *p, hg_be16 *field, uint16_t port)
{
    uint16_t from;

    if (!field)
        return;
    from = hg_get16(*field);
    *field = hg_be16_of(port);
    if (p->protocol == HG_PROTO_UDP)
        hg_checksum_update16_udp(addressed_checksum(p), from, port);
    else if (p->protocol == HG_PROTO_ICMP)
        hg_checksum_update16(&hg_packet_icmp(p)->checksum, from, port);
    else
        hg_checksum_update16(addressed_checksum(p), from, port);
    hg_packet_rewritten(p);
}

void
hg_packet_set_sport(struct hg_packet *p, uint16_t port)
{
    set_port(p, port_field(p, true), port);
}

void
hg_packet_set_dport(struct hg_packet *p, uint16_t port)
{
    set_port(p, port_field(p, false), port);
}

/* How many bytes the L4 checksum covers; 0 if they are not all here, or if
 * the lengths contradict each other. */
static uint32_t
covered_len(const struct hg_packet *p)
{
    const struct hg_udp *udp = hg_packet_udp(p);
    uint32_t len = hg_packet_l4_len(p);

    if (!(p->flags & HG_PACKET_L4) ||
        packet_l3_claimed(p) > p->len - p->l3_offset)
        return 0;
    if (udp) {
        uint32_t said = hg_get16(udp->length);

        return said >= sizeof *udp && said <= len ? said : 0;
    }
    return len;
}

/* The sum over pseudo-header and L4, checksum field included. */
static uint32_t
l4_sum(const struct hg_packet *p, uint32_t len)
{
    uint32_t sum = 0;

    if (p->flags & HG_PACKET_IP6) {
        const struct hg_ipv6 *ip = hg_packet_ipv6(p);

        sum = hg_checksum_pseudo6(ip->src, ip->dst, p->protocol, len);
    } else if (p->protocol != HG_PROTO_ICMP) {
        const struct hg_ipv4 *ip = hg_packet_ipv4(p);

        sum = hg_checksum_pseudo4(hg_get32(ip->src), hg_get32(ip->dst),
                                  p->protocol, len);
    }
    return hg_checksum_add(sum, hg_packet_l4(p), len);
}

static void
set_l4_checksum(struct hg_packet *p, hg_be16 *field, uint32_t len)
{
    uint16_t checksum;

    *field = hg_be16_of(0);
    checksum = hg_checksum_fold(l4_sum(p, len));
    if (p->protocol == HG_PROTO_UDP && !checksum)
        checksum = 0xffff; /* RFC 768: zero means that there is none. */
    *field = hg_be16_of(checksum);
    p->flags &= ~(uint32_t)HG_PACKET_NEEDS_CSUM;
}

void
hg_packet_set_checksums(struct hg_packet *p)
{
    struct hg_ipv4 *ip = hg_packet_ipv4(p);
    struct hg_icmp *icmp = hg_packet_icmp(p);
    uint32_t len = covered_len(p);

    if (ip) {
        ip->checksum = hg_be16_of(0);
        ip->checksum = hg_be16_of(
            hg_checksum_fold(hg_checksum_add(0, ip, hg_ipv4_header_len(ip))));
    }
    if (len && !(p->flags & HG_PACKET_FRAGMENT))
        set_l4_checksum(p, icmp ? &icmp->checksum : addressed_checksum(p),
                        len);
}

bool
hg_packet_l4_checksum_ok(const struct hg_packet *p)
{
    const struct hg_udp *udp = hg_packet_udp(p);
    uint32_t len;

    if (!hg_packet_is_ip(p) ||
        p->flags & (HG_PACKET_FRAGMENT | HG_PACKET_NEEDS_CSUM))
        return true;
    if (p->flags & HG_PACKET_BAD_EXT)
        return false;
    if (!(p->flags & HG_PACKET_L4))
        return p->protocol != HG_PROTO_TCP && p->protocol != HG_PROTO_UDP &&
               p->protocol !=
                   (p->flags & HG_PACKET_IP6 ? HG_PROTO_ICMP6 : HG_PROTO_ICMP);
    if (udp && !hg_get16(udp->checksum))
        return p->flags & HG_PACKET_IP4; /* RFC 768; RFC 8200 8.1 */
    len = covered_len(p);
    return len && !hg_checksum_fold(l4_sum(p, len));
}

/* What a flow hash is computed over.  The lower end of the flow comes first,
 * so that both directions look the same; no member is padded. */
struct end6 {
    uint8_t addr[16];
    uint32_t port;
};

struct flow6 {
    struct end6 end[2];
    uint32_t vpc;
    uint32_t protocol;
};

/* The same for IPv4, as words: an end is its address and its port, with room
 * between them for VPC and protocol.  Neither a branch, which nobody could
 * predict, nor a struct that is read in larger pieces than it was written,
 * which would have to wait. */
static inline uint32_t
hash_ip4(const struct hg_packet *p, uint64_t seed, uint32_t sport,
         uint32_t dport)
{
    const struct hg_ipv4 *ip = hg_packet_ipv4(p);
    uint64_t src = (uint64_t)hg_get32(ip->src) << 32 | sport;
    uint64_t dst = (uint64_t)hg_get32(ip->dst) << 32 | dport;
    uint64_t low = src < dst ? src : dst, high = src < dst ? dst : src;

    return hash_words(low ^ (uint64_t)p->protocol << 16,
                      high ^ (uint64_t)p->vpc << 16, seed);
}

static uint64_t
hash_ip6(const struct hg_packet *p, uint64_t seed, uint32_t sport,
         uint32_t dport)
{
    const struct hg_ipv6 *ip = hg_packet_ipv6(p);
    int order = memcmp(ip->src, ip->dst, 16);
    bool in_order = order < 0 || (!order && sport <= dport);
    struct flow6 flow = {.vpc = p->vpc, .protocol = p->protocol};

    memcpy(flow.end[!in_order].addr, ip->src, 16);
    flow.end[!in_order].port = sport;
    memcpy(flow.end[in_order].addr, ip->dst, 16);
    flow.end[in_order].port = dport;
    return XXH3_64bits_withSeed(&flow, sizeof flow, seed);
}

/* Not IP: a flow is a pair of stations and an EtherType. */
static uint64_t
hash_ethernet(const struct hg_packet *p, uint64_t seed)
{
    const struct hg_eth *eth = hg_packet_eth(p);
    struct flow6 flow = {.vpc = p->vpc,
                         .protocol = (uint32_t)p->ether_type << 16};

    if (eth) {
        bool in_order = memcmp(&eth->src, &eth->dst, sizeof eth->src) <= 0;

        memcpy(flow.end[!in_order].addr, &eth->src, sizeof eth->src);
        memcpy(flow.end[in_order].addr, &eth->dst, sizeof eth->dst);
    }
    return XXH3_64bits_withSeed(&flow, sizeof flow, seed);
}

/* All but IPv4 with ports; apart, so that those need no room on the stack. */
__attribute__((noinline)) static uint64_t
hash_other(const struct hg_packet *p, uint64_t seed)
{
    uint32_t sport = 0, dport = 0;

    if (!(p->flags & HG_PACKET_FRAGMENT)) {
        sport = hg_packet_sport(p);
        dport = hg_packet_dport(p);
    }
    if (p->flags & HG_PACKET_IP4)
        return hash_ip4(p, seed, sport, dport);
    return p->flags & HG_PACKET_IP6 ? hash_ip6(p, seed, sport, dport)
                                    : hash_ethernet(p, seed);
}

/* Most packets: their hash is not known, and they have ports. */
static inline bool
is_plain(const struct hg_packet *p)
{
    enum {
        WANTED = HG_PACKET_IP4 | HG_PACKET_PORTS,
        LOOKED_AT = WANTED | HG_PACKET_FRAGMENT | HG_PACKET_HASHED
    };

    return (p->flags & LOOKED_AT) == WANTED;
}

static inline uint32_t
hash_plain(const struct hg_packet *p, uint64_t seed)
{
    uint32_t ports = hg_load32(hg_packet_l4(p));

    return hash_ip4(p, seed, ports >> 16, ports & 0xffff);
}

uint32_t
hg_packet_hash_slow(struct hg_packet *p)
{
    uint64_t seed = hg_pool_seed(p->pool);

    p->hash =
        is_plain(p) ? hash_plain(p, seed) : (uint32_t)hash_other(p, seed);
    p->flags |= HG_PACKET_HASHED;
    return p->hash;
}

/* Without a call in the loop that is for most. */
void
hg_packet_hash_many(struct hg_packet *const *packets, unsigned n,
                    uint32_t *out)
{
    const uint64_t seed = n ? hg_pool_seed(packets[0]->pool) : 0;
    unsigned i, n_plain = 0;

    for (i = 0; i < n; i++)
        if (is_plain(packets[i])) {
            out[i] = hash_plain(packets[i], seed);
            n_plain++;
        }
    for (i = 0; n_plain < n && i < n; i++)
        if (!is_plain(packets[i]))
            out[i] = hg_packet_hash(packets[i]);
}
