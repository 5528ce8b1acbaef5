/* device_gen.h: the options of gen:, which device_gen_options.c reads and
 * device_gen.c follows. */
#ifndef RUNTIME_DEVICE_GEN_H
#define RUNTIME_DEVICE_GEN_H 1

#include "device.h"

enum {
    GEN_MIN_SIZE = 64,
    GEN_MAX_SIZE = 9216 /* The largest frame promised for any device. */
};

enum gen_proto { UDP, TCP, ICMP, GEN_PROTOS };

struct gen_options {
    uint64_t n_flows;
    uint64_t count; /* 0: endless. */
    uint32_t size;  /* 0: IMIX. */
    unsigned weight[GEN_PROTOS];
    struct hg_rate rate;
    uint64_t start; /* Seconds. */
    uint64_t seed;
    struct hg_prefix src; /* family 0, and dst's: not given. */
    struct hg_prefix dst;
    struct hg_port_range sport;
    struct hg_port_range dport;
    bool is_ip6;
    bool is_roundrobin;
};

/* Sets all options to their defaults, 'seed' among them, then those in 'text'
 * ("K=V,K=V").  False, and a sentence, if one is unknown, wrong or given
 * twice. */
bool gen_options_set(struct gen_options *, const char *text, uint64_t seed,
                     struct hg_error *error);

#endif
