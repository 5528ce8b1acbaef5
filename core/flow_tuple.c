/* flow_tuple.c: puts the ends of flows into a fixed order (flow_tuple.h). */
#include <string.h>

#include "flow_tuple.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

/* The ends as two words, made in registers: what was stored in small pieces
 * cannot be loaded in large ones at once. */
struct words {
    uint64_t addresses;
    uint64_t rest;
};

static uint64_t
words_of(uint32_t first, uint32_t second)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    return first | (uint64_t)second << 32;
#else
    return second | (uint64_t)first << 32;
#endif
}

static uint32_t
ports_of(uint16_t first, uint16_t second)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    return first | (uint32_t)second << 16;
#else
    return second | (uint32_t)first << 16;
#endif
}

static uint32_t
hash(const struct words *w, uint8_t protocol, uint8_t family, uint64_t seed)
{
    /* 16 bytes are the fastest length; the rest goes into the seed. */
    seed += (protocol | (uint64_t)family << 8) * XXH_PRIME64_1;
    return (uint32_t)XXH3_64bits_withSeed(w, sizeof *w, seed);
}

static uint64_t
hash_addresses(const struct flow_wide *wide, uint64_t seed)
{
    return XXH3_64bits_withSeed(wide, sizeof *wide, seed);
}

uint32_t
flow_ends_hash(const struct flow_ends *ends, uint8_t protocol, uint8_t family,
               uint64_t seed)
{
    struct words w;

    memcpy(&w, ends, sizeof w);
    if (family == 6)
        w.addresses = hash_addresses(ends->wide, seed);
    return hash(&w, protocol, family, seed);
}

static void
set(struct flow_tuple *out, uint8_t family, uint64_t addresses, uint16_t low,
    uint16_t high, uint32_t vpc, uint64_t seed)
{
    const struct words w = {addresses, words_of(ports_of(low, high), vpc)};

    out->family = family;
    out->hash = hash(&w, out->protocol, family, seed);
    memcpy(&out->ends, &w, sizeof w);
}

static void
order4(struct flow_tuple *out, uint32_t src, uint32_t dst, uint16_t sport,
       uint16_t dport, uint32_t vpc, uint64_t seed)
{
    bool swap = src > dst || (src == dst && sport > dport);

    out->swapped = swap;
    set(out, 4, words_of(swap ? dst : src, swap ? src : dst),
        swap ? dport : sport, swap ? sport : dport, vpc, seed);
}

static void
order6(struct flow_tuple *out, const uint8_t *src, const uint8_t *dst,
       uint16_t sport, uint16_t dport, uint32_t vpc, uint64_t seed)
{
    int order = memcmp(src, dst, 16);
    bool swap = order > 0 || (!order && sport > dport);

    out->swapped = swap;
    memcpy(out->wide.low, swap ? dst : src, 16);
    memcpy(out->wide.high, swap ? src : dst, 16);
    set(out, 6, hash_addresses(&out->wide, seed), swap ? dport : sport,
        swap ? sport : dport, vpc, seed);
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
               p->vpc, seed);
    else if (p->flags & HG_PACKET_IP6)
        order6(out, l3 + offsetof(struct hg_ipv6, src),
               l3 + offsetof(struct hg_ipv6, dst), sport, dport, p->vpc, seed);
    else
        return false;
    return true;
}

void
flow_tuple_of_key(const struct hg_flow_key *key, uint64_t seed,
                  struct flow_tuple *out)
{
    out->protocol = key->protocol;
    if (key->src.family == 4)
        order4(out, hg_addr_ip4(&key->src), hg_addr_ip4(&key->dst), key->sport,
               key->dport, key->vpc, seed);
    else
        order6(out, key->src.byte, key->dst.byte, key->sport, key->dport,
               key->vpc, seed);
}
