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

/* What is in a record. */
struct flow_ends {
    union {
        struct {
            uint32_t low; /* IPv4 addresses in host order; in the tuple of an
                           * IPv6 flow a hash of its addresses. */
            uint32_t high;
        };
        const struct flow_wide *wide; /* IPv6, in a record. */
    };
    uint16_t low_port;
    uint16_t high_port;
    uint32_t vpc;
};

struct flow_tuple {
    struct flow_ends ends;
    uint32_t hash;
    uint8_t protocol;
    uint8_t family;
    bool swapped;          /* The source became 'high'. */
    struct flow_wide wide; /* Only of family 6. */
};

_Static_assert(sizeof(struct flow_ends) == 16, "a fast length to hash");

/* Whether a record's key, of the same family, is this one. */
static inline bool
flow_tuple_is(const struct flow_tuple *key, const struct flow_ends *ends)
{
    uint64_t x[2], y[2];

    memcpy(x, &key->ends, sizeof x);
    memcpy(y, ends, sizeof y);
    if (key->family == 4)
        return ((x[0] ^ y[0]) | (x[1] ^ y[1])) == 0;
    return x[1] == y[1] && !memcmp(ends->wide, &key->wide, sizeof key->wide);
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
flow_words_hash(const struct flow_words *w, uint8_t protocol, uint8_t family,
                uint64_t seed)
{
    /* Of the VPC's number hardly ever more than the lower half is used. */
    uint64_t kind = (uint64_t)(protocol | family << 8) << 48;

    return hash_words(w->addresses, w->rest ^ kind, seed);
}

FLOW_INLINE void
flow_tuple_set(struct flow_tuple *out, uint8_t protocol, uint8_t family,
               uint64_t addresses, uint16_t low, uint16_t high, uint32_t vpc,
               uint64_t seed)
{
    const struct flow_words w = {addresses,
                                 flow_words_of(flow_ports_of(low, high), vpc)};

    out->protocol = protocol;
    out->family = family;
    out->hash = flow_words_hash(&w, protocol, family, seed);
    memcpy(&out->ends, &w, sizeof w);
}

/* An end is its address and port as one number: no branch, of which half would
 * be predicted wrong. */
FLOW_INLINE void
flow_tuple_order4(struct flow_tuple *out, uint8_t protocol, uint32_t src,
                  uint32_t dst, uint16_t sport, uint16_t dport, uint32_t vpc,
                  uint64_t seed)
{
    uint64_t a = (uint64_t)src << 16 | sport, b = (uint64_t)dst << 16 | dport;
    uint64_t low = a < b ? a : b, high = a < b ? b : a;

    out->swapped = a > b;
    flow_tuple_set(
        out, protocol, 4,
        flow_words_of((uint32_t)(low >> 16), (uint32_t)(high >> 16)),
        (uint16_t)low, (uint16_t)high, vpc, seed);
}

/* The tuple of a packet, or false. */
bool flow_tuple_of_other(const struct hg_packet *, uint64_t seed,
                         struct flow_tuple *out);

/* The tuple of a packet; false if it is not IP. */
FLOW_INLINE bool
flow_tuple_of_packet(const struct hg_packet *p, uint64_t seed,
                     struct flow_tuple *out)
{
    const uint8_t *l3 = hg_packet_l3(p), *l4 = hg_packet_l4(p);

    if (!(p->flags & HG_PACKET_IP4) || !hg_packet_has_ports(p))
        return flow_tuple_of_other(p, seed, out);
    flow_tuple_order4(out, p->protocol,
                      hg_load32(l3 + offsetof(struct hg_ipv4, src)),
                      hg_load32(l3 + offsetof(struct hg_ipv4, dst)),
                      hg_load16(l4), hg_load16(l4 + 2), p->vpc, seed);
    return true;
}

void flow_tuple_of_key(const struct hg_flow_key *, uint64_t seed,
                       struct flow_tuple *out);

/* The hash of a record's key. */
uint32_t flow_ends_hash(const struct flow_ends *, uint8_t protocol,
                        uint8_t family, uint64_t seed);

#endif
