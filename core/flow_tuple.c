/* flow_tuple.c: puts the ends of flows into a fixed order (flow_tuple.h). */
#include <string.h>

#include "flow_tuple.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

static uint32_t
hash(const struct flow_ends *ends, uint8_t protocol, uint8_t family,
     uint64_t seed)
{
    /* 16 bytes are the fastest length; the rest goes into the seed. */
    seed += (protocol | (uint64_t)family << 8) * XXH_PRIME64_1;
    return (uint32_t)XXH3_64bits_withSeed(ends, sizeof *ends, seed);
}

static void
hash_addresses(const struct flow_wide *wide, uint64_t seed,
               struct flow_ends *out)
{
    uint64_t h = XXH3_64bits_withSeed(wide, sizeof *wide, seed);

    out->low = (uint32_t)h;
    out->high = (uint32_t)(h >> 32);
}

uint32_t
flow_ends_hash(const struct flow_ends *ends, uint8_t protocol, uint8_t family,
               uint64_t seed)
{
    struct flow_ends e = *ends;

    if (family == 6)
        hash_addresses(ends->wide, seed, &e);
    return hash(&e, protocol, family, seed);
}

static void
order4(struct flow_tuple *out, uint32_t src, uint32_t dst, uint16_t sport,
       uint16_t dport, uint32_t vpc)
{
    bool swap = src > dst || (src == dst && sport > dport);

    out->family = 4;
    out->swapped = swap;
    out->ends = (struct flow_ends){.low = swap ? dst : src,
                                   .high = swap ? src : dst,
                                   .low_port = swap ? dport : sport,
                                   .high_port = swap ? sport : dport,
                                   .vpc = vpc};
}

static void
order6(struct flow_tuple *out, const uint8_t *src, const uint8_t *dst,
       uint16_t sport, uint16_t dport, uint32_t vpc, uint64_t seed)
{
    int order = memcmp(src, dst, 16);
    bool swap = order > 0 || (!order && sport > dport);

    memcpy(out->wide.low, swap ? dst : src, 16);
    memcpy(out->wide.high, swap ? src : dst, 16);
    out->family = 6;
    out->swapped = swap;
    out->ends = (struct flow_ends){.low_port = swap ? dport : sport,
                                   .high_port = swap ? sport : dport,
                                   .vpc = vpc};
    hash_addresses(&out->wide, seed, &out->ends);
}

bool
flow_tuple_of_packet(const struct hg_packet *p, uint64_t seed,
                     struct flow_tuple *out)
{
    const uint8_t *l3 = hg_packet_l3(p);
    uint16_t sport, dport;

    if (p->flags & HG_PACKET_L4 &&
        (p->protocol == HG_PROTO_TCP || p->protocol == HG_PROTO_UDP)) {
        sport = hg_load16(hg_packet_l4(p));
        dport = hg_load16(hg_packet_l4(p) + 2);
    } else {
        sport = hg_packet_sport(p);
        dport = hg_packet_dport(p);
    }
    out->protocol = p->protocol;
    if (p->flags & HG_PACKET_IP4)
        order4(out, hg_load32(l3 + offsetof(struct hg_ipv4, src)),
               hg_load32(l3 + offsetof(struct hg_ipv4, dst)), sport, dport,
               p->vpc);
    else if (p->flags & HG_PACKET_IP6)
        order6(out, l3 + offsetof(struct hg_ipv6, src),
               l3 + offsetof(struct hg_ipv6, dst), sport, dport, p->vpc, seed);
    else
        return false;
    out->hash = hash(&out->ends, out->protocol, out->family, seed);
    return true;
}

void
flow_tuple_of_key(const struct hg_flow_key *key, uint64_t seed,
                  struct flow_tuple *out)
{
    out->protocol = key->protocol;
    if (key->src.family == 4)
        order4(out, hg_addr_ip4(&key->src), hg_addr_ip4(&key->dst), key->sport,
               key->dport, key->vpc);
    else
        order6(out, key->src.byte, key->dst.byte, key->sport, key->dport,
               key->vpc, seed);
    out->hash = hash(&out->ends, out->protocol, out->family, seed);
}
