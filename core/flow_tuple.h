/* flow_tuple.h: keys of flows with their two ends in a fixed order, so that
 * both directions have the same; between flow_tuple.c and the flow service. */
#ifndef FLOW_TUPLE_H
#define FLOW_TUPLE_H 1

#include <headgate/flow.h>

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

/* The tuple of a packet; false if it is not IP. */
bool flow_tuple_of_packet(const struct hg_packet *, uint64_t seed,
                          struct flow_tuple *out);
void flow_tuple_of_key(const struct hg_flow_key *, uint64_t seed,
                       struct flow_tuple *out);

/* The hash of a record's key. */
uint32_t flow_ends_hash(const struct flow_ends *, uint8_t protocol,
                        uint8_t family, uint64_t seed);

#endif
