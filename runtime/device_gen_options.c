/* device_gen_options.c: what traffic gen: is to make (see device_gen.h). */
#include "device_gen.h"

#include <ctype.h>

enum { MAX_FLOWS = 1 << 24 };

static const char *const proto_names[GEN_PROTOS] = {"udp", "tcp", "icmp"};

static bool
parse_count(const char *value, uint64_t low, uint64_t high, uint64_t *out)
{
    uint64_t n;

    if (!hg_number_parse(value, &n) || n < low || n > high)
        return false;
    *out = n;
    return true;
}

static bool
set_flows(void *self, const char *value)
{
    return parse_count(value, 1, MAX_FLOWS,
                       &((struct gen_options *)self)->n_flows);
}

static bool
set_count(void *self, const char *value)
{
    return parse_count(value, 0, UINT64_MAX,
                       &((struct gen_options *)self)->count);
}

static bool
set_size(void *self, const char *value)
{
    struct gen_options *o = self;
    uint64_t n = 0;

    if (strcmp(value, "imix") != 0 &&
        !parse_count(value, GEN_MIN_SIZE, GEN_MAX_SIZE, &n))
        return false;
    o->size = (uint32_t)n;
    return true;
}

/* "udp", "udp:3+tcp:6+icmp:1" or "mix", which is the same. */
static bool
set_proto(void *self, const char *value)
{
    struct gen_options *o = self;
    const char *at = strcmp(value, "mix") == 0 ? "udp:3+tcp:6+icmp:1" : value;

    memset(o->weight, 0, sizeof o->weight);
    for (;;) {
        size_t n = strcspn(at, ":+");
        unsigned i = 0;
        int used = 0;

        while (i < GEN_PROTOS && (strlen(proto_names[i]) != n ||
                                  strncmp(proto_names[i], at, n) != 0))
            i++;
        if (i == GEN_PROTOS || o->weight[i])
            return false;
        at += n;
        o->weight[i] = 1;
        if (*at == ':' && (!isdigit((unsigned char)at[1]) ||
                           sscanf(at, ":%4u%n", &o->weight[i], &used) != 1 ||
                           o->weight[i] == 0))
            return false;
        at += used;
        if (*at != '+')
            return !*at;
        at++;
    }
}

static bool
set_rate(void *self, const char *value)
{
    struct gen_options *o = self;

    return hg_rate_parse(value, &o->rate) && o->rate.per_second > 0;
}

static bool
set_start(void *self, const char *value)
{
    return parse_count(value, 0, UINT32_MAX,
                       &((struct gen_options *)self)->start);
}

static bool
set_seed(void *self, const char *value)
{
    return parse_count(value, 0, UINT64_MAX,
                       &((struct gen_options *)self)->seed);
}

static bool
set_src(void *self, const char *value)
{
    return hg_prefix_parse(value, &((struct gen_options *)self)->src);
}

static bool
set_dst(void *self, const char *value)
{
    return hg_prefix_parse(value, &((struct gen_options *)self)->dst);
}

static bool
set_sport(void *self, const char *value)
{
    return hg_port_range_parse(value, &((struct gen_options *)self)->sport);
}

static bool
set_dport(void *self, const char *value)
{
    return hg_port_range_parse(value, &((struct gen_options *)self)->dport);
}

static bool
set_ipv6(void *self, const char *value)
{
    return hg_bool_parse(value, &((struct gen_options *)self)->is_ip6);
}

static bool
set_mode(void *self, const char *value)
{
    struct gen_options *o = self;

    o->is_roundrobin = strcmp(value, "roundrobin") == 0;
    return o->is_roundrobin || strcmp(value, "random") == 0;
}

/* clang-format off */
static const struct device_option table[] = {
    {"flows", "a number of 1 to 16777216; default 1", set_flows},
    {"count", "a number of packets, 0 for endless; default 1000", set_count},
    {"size", "64 to 9216 bytes of a frame without FCS (a SYN has no payload) "
             "or imix (7:4:1 of 64, 594, 1514); default 64", set_size},
    {"proto", "udp, tcp, icmp, weights of flows as in udp:3+tcp:6+icmp:1, or "
              "mix, which is these; default udp", set_proto},
    {"rate", "such as 1Mpps or 10Gbps; default 1Mpps", set_rate},
    {"start", "the Unix time in seconds of the first packet; default "
              "1700000000", set_start},
    {"seed", "a number; default that of the run", set_seed},
    {"src", "a prefix whose hosts send; default 10.0.0.0/16 or "
            "2001:db8:1::/64", set_src},
    {"dst", "a prefix whose hosts receive; default 203.0.113.0/24 or "
            "2001:db8:2::/64", set_dst},
    {"sport", "a port or a range (ICMP: identifiers); default 1024-65535",
     set_sport},
    {"dport", "a port or a range; default 443", set_dport},
    {"ipv6", "yes or no; default no, or what src and dst are", set_ipv6},
    {"mode", "random or roundrobin, how the next flow is chosen; default "
             "random", set_mode},
};
/* clang-format on */

bool
gen_options_set(struct gen_options *o, const char *text, uint64_t seed,
                struct hg_error *error)
{
    *o = (struct gen_options){
        .n_flows = 1,
        .count = 1000,
        .size = GEN_MIN_SIZE,
        .weight = {[UDP] = 1},
        .rate = {1000000, HG_RATE_PACKETS},
        .start = 1700000000,
        .seed = seed,
        .sport = {1024, 65535},
        .dport = {443, 443},
    };
    return device_set_options("gen", text, table, sizeof table / sizeof *table,
                              o, error);
}
