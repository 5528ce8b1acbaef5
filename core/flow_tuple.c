/* flow_tuple.c: the tuples of all but the commonest packets, for which see
 * flow_tuple.h. */
#include <string.h>

#include "flow_tuple.h"

static uint64_t
hash_addresses(const struct flow_wide *wide, struct hash_seed seed)
{
    return XXH3_64bits_withSeed(wide, sizeof *wide, seed.a);
}

uint32_t
flow_ends_hash(const struct hg_flow_ends *ends, uint32_t kind,
               struct hash_seed seed)
{
    struct flow_words w;

    memcpy(&w, ends, sizeof w);
    if (kind & FLOW_SIX)
        w.addresses = hash_addresses(ends->wide, seed);
    return flow_words_hash(&w, kind, seed);
}

static void
order6(struct flow_tuple *out, uint8_t protocol, const uint8_t *src,
       const uint8_t *dst, uint16_t sport, uint16_t dport, uint32_t vpc,
       struct hash_seed seed)
{
    int order = memcmp(src, dst, 16);
    bool swap = order > 0 || (!order && sport > dport);

    memcpy(out->wide.low, swap ? dst : src, 16);
    memcpy(out->wide.high, swap ? src : dst, 16);
    flow_tuple_set(
        out, protocol | FLOW_SIX, swap, hash_addresses(&out->wide, seed),
        flow_ports_of(swap ? dport : sport, swap ? sport : dport), vpc, seed);
}

bool
flow_tuple_of_other(const struct hg_packet *p, struct hash_seed seed,
                    struct flow_tuple *out)
{
    const uint8_t *l3 = hg_packet_l3(p);
    uint16_t sport = hg_packet_sport(p), dport = hg_packet_dport(p);

    if (p->flags & HG_PACKET_IP4)
        flow_tuple_order4(out, p->protocol,
                          hg_load64(l3 + offsetof(struct hg_ipv4, src)),
                          (uint32_t)sport << 16 | dport, p->vpc, seed);
    else if (p->flags & HG_PACKET_IP6)
        order6(out, p->protocol, l3 + offsetof(struct hg_ipv6, src),
               l3 + offsetof(struct hg_ipv6, dst), sport, dport, p->vpc, seed);
    else
        return false;
    return true;
}

/* By itself, as its many arguments need registers that IPv4 would save. */
static __attribute__((noinline)) void
tuple_of_key6(const struct hg_flow_key *key, struct hash_seed seed,
              struct flow_tuple *out)
{
    order6(out, key->protocol, key->src.byte, key->dst.byte, key->sport,
           key->dport, key->vpc, seed);
}

void
flow_tuple_of_key(const struct hg_flow_key *key, struct hash_seed seed,
                  struct flow_tuple *out)
{
    if (key->src.family == 4)
        flow_tuple_order4(
            out, key->protocol,
            (uint64_t)hg_addr_ip4(&key->src) << 32 | hg_addr_ip4(&key->dst),
            (uint32_t)key->sport << 16 | key->dport, key->vpc, seed);
    else
        tuple_of_key6(key, seed, out);
}
