/* flow_tuple.h: keys of flows with their two ends in a fixed order, so that
 * both directions have the same; between flow_tuple.c and the flow service. */
#ifndef FLOW_TUPLE_H
#define FLOW_TUPLE_H 1

#include <headgate/flow.h>

#include "hash_words.h"

/* The addresses of IPv6. */
struct flow_wide {
    uint8_t low[16];
    uint8_t high[16];
};

/* What a key is beside its ends, as one number: its protocol, and these. */
enum {
    FLOW_SIX = 1 << 8,     /* It is IPv6. */
    FLOW_SWAPPED = 1 << 9, /* The source became the second end. */
    FLOW_KIND_BITS = 10,
    FLOW_SAME = FLOW_SWAPPED - 1 /* What two equal keys have in common. */
};

struct flow_tuple {
    struct hg_flow_ends ends; /* Of an IPv6 flow with a hash of its
                               * addresses. */
    uint32_t hash;
    uint32_t kind;
    struct flow_wide wide; /* Only of IPv6. */
};

_Static_assert(sizeof(struct hg_flow_ends) == 16, "a fast length to hash");

/* Whether a record's key, of this kind, is this one. */
static inline bool
flow_tuple_is(const struct flow_tuple *key, uint32_t kind,
              const struct hg_flow_ends *ends)
{
    uint64_t x[2], y[2], other = (key->kind ^ kind) & FLOW_SAME;

    memcpy(x, &key->ends, sizeof x);
    memcpy(y, ends, sizeof y);
    other |= x[1] ^ y[1];
    if (!(key->kind & FLOW_SIX))
        return (other | (x[0] ^ y[0])) == 0;
    return !other && !memcmp(ends->wide, &key->wide, sizeof key->wide);
}

/* What looks up many keys makes them in a loop without calls. */
#define FLOW_INLINE __attribute__((always_inline)) static inline

/* The ends as two words, made in registers: what was stored in small pieces
 * cannot be loaded in large ones at once. */
struct flow_words {
    uint64_t addresses;
    uint64_t rest;
};

static inline uint64_t
flow_words_of(uint32_t first, uint32_t second)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    return first | (uint64_t)second << 32;
#else
    return second | (uint64_t)first << 32;
#endif
}

static inline uint32_t
flow_ports_of(uint16_t first, uint16_t second)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    return first | (uint32_t)second << 16;
#else
    return second | (uint32_t)first << 16;
#endif
}

static inline uint32_t
flow_words_hash(const struct flow_words *w, uint32_t kind,
                struct hash_seed seed)
{
    /* Of the VPC's number hardly ever more than the lower half is used. */
    return hash_words_by(w->addresses,
                         w->rest ^ (uint64_t)(kind & FLOW_SAME) << 48, seed);
}

FLOW_INLINE void
flow_tuple_set(struct flow_tuple *out, uint32_t kind, bool swapped,
               uint64_t addresses, uint32_t ports, uint32_t vpc,
               struct hash_seed seed)
{
    const struct flow_words w = {addresses, flow_words_of(ports, vpc)};

    out->kind = kind | swapped * FLOW_SWAPPED;
    out->hash = flow_words_hash(&w, kind, seed);
    memcpy(&out->ends, &w, sizeof w);
}

/* Of IPv4, from source and destination, each pair as one number with the
 * source in its upper half.  No branch of which half would be predicted
 * wrong: a pair turned round is less if the source is the higher one. */
FLOW_INLINE void
flow_tuple_order4(struct flow_tuple *out, uint8_t protocol, uint64_t addresses,
                  uint32_t ports, uint32_t vpc, struct hash_seed seed)
{
    uint64_t turned = addresses << 32 | addresses >> 32;
    uint32_t turned_ports = ports << 16 | ports >> 16;
    bool swap = addresses > turned;

    if (addresses == turned)
        swap = ports > turned_ports;
    if (swap) {
        addresses = turned;
        ports = turned_ports;
    }
    flow_tuple_set(
        out, protocol, swap,
        flow_words_of((uint32_t)(addresses >> 32), (uint32_t)addresses),
        flow_ports_of((uint16_t)(ports >> 16), (uint16_t)ports), vpc, seed);
}

/* The tuple of a packet, or false. */
bool flow_tuple_of_other(const struct hg_packet *, struct hash_seed seed,
                         struct flow_tuple *out);

/* The tuple of a packet; false if it is not IP. */
FLOW_INLINE bool
flow_tuple_of_packet(const struct hg_packet *p, struct hash_seed seed,
                     struct flow_tuple *out)
{
    const uint8_t *l3 = hg_packet_l3(p), *l4 = hg_packet_l4(p);

    if (!(p->flags & HG_PACKET_IP4) || !hg_packet_has_ports(p))
        return flow_tuple_of_other(p, seed, out);
    flow_tuple_order4(out, p->protocol,
                      hg_load64(l3 + offsetof(struct hg_ipv4, src)),
                      hg_load32(l4), p->vpc, seed);
    return true;
}

void flow_tuple_of_key(const struct hg_flow_key *, struct hash_seed seed,
                       struct flow_tuple *out);

/* The hash of a record's key. */
uint32_t flow_ends_hash(const struct hg_flow_ends *, uint32_t kind,
                        struct hash_seed seed);

#endif
