/* device_gen.c: synthetic traffic, the same for the same options and seed.
 *
 *     gen:flows=1000,count=100000,proto=mix,size=imix
 *
 * The table gen_options below has every option.
 *
 * Flows differ in source host and source port first, then in destination.
 * TCP flows begin with a SYN and go on with data in order, as if a peer whose
 * numbers start at 0 had agreed (echo: does); UDP carries payload, ICMP is
 * echo requests.  Checksums are right; payload is the bytes 0, 1, 2 ...  What
 * is sent here is counted and forgotten, as a host would take it.
 *
 * A packet is a template plus a handful of stores: the payload is the same in
 * all, so that its sum comes from a table. */
#include "device.h"

#include <stdlib.h>

#include <headgate/checksum.h>

enum {
    MAX_SIZE = 9216, /* The largest frame headgate promises for any device. */
    MIN_SIZE = 64,
    MIN_FRAME = 60, /* IEEE 802.3 3.2.8, without FCS: shorter is padded. */
    MAX_FLOWS = 1 << 24,
    MAX_HEADERS = 14 + 40 + 20,
    AHEAD = 16, /* Packets between choosing a flow and its turn. */
    N_SIZES = 3
};

static const struct hg_mac src_mac = {{2, 0, 0, 0, 0, 1}};
static const struct hg_mac dst_mac = {{2, 0, 0, 0, 0, 2}};

/* Simple IMIX, 7:4:1; 1514 is 1518 less the FCS, which no frame has here. */
static const uint32_t imix_size[N_SIZES] = {64, 594, 1514};
static const unsigned imix_weight[N_SIZES] = {7, 4, 1};

enum gen_proto { UDP, TCP, ICMP, N_PROTOS };

static const char *const proto_names[N_PROTOS] = {"udp", "tcp", "icmp"};

struct gen_flow {
    uint32_t src; /* Low 32 bits of the addresses, host order. */
    uint32_t dst;
    uint16_t sport; /* ICMP: the identifier. */
    uint16_t dport;
    uint32_t progress; /* TCP: sequence numbers used; ICMP: packets sent. */
    uint32_t first;    /* TCP: initial sequence number. */
    uint8_t proto;     /* enum gen_proto. */
};

/* What a packet is going to be. */
struct gen_choice {
    uint64_t flow;
    uint32_t size; /* Of the frame. */
};

/* Headers that are the same for all packets of a protocol. */
struct gen_template {
    uint8_t bytes[MAX_HEADERS];
    uint32_t len;
    uint32_t l4_offset;
    uint32_t ip_sum; /* IPv4 header without addresses and length. */
};

struct gen {
    struct hg_device dev;
    struct device_filter filter;
    uint32_t snaplen;

    /* Options. */
    uint64_t n_flows;
    uint64_t count; /* 0: endless. */
    uint32_t size;  /* 0: IMIX. */
    unsigned weight[N_PROTOS];
    struct hg_rate rate;
    uint64_t start; /* Seconds. */
    uint64_t seed;
    struct hg_prefix src;
    struct hg_prefix dst;
    struct hg_port_range sport;
    struct hg_port_range dport;
    bool is_ip6;
    bool is_roundrobin;

    /* State. */
    struct gen_flow *flows;
    struct gen_template templates[N_PROTOS];
    uint64_t random;
    uint64_t n_made;
    uint64_t next_flow;             /* Round robin. */
    struct gen_choice ahead[AHEAD]; /* By number of the packet. */
    uint64_t time_ns;               /* Of the packet that is made next. */
    uint64_t remainder; /* Of time_ns, in 1/rate of a nanosecond. */

    /* The next packet, made before it is received since a filter may refuse
     * it. */
    bool has_frame;
    bool is_other;   /* Of another who shares the source. */
    uint8_t *owners; /* By flow, plus 1; 0: not asked yet. */
    unsigned mine;   /* As owners have it. */
    uint32_t frame_len;
    uint64_t frame_ns;
    uint8_t frame[MAX_SIZE];

    uint8_t payload[MAX_SIZE];
    uint32_t payload_sum[MAX_SIZE + 1]; /* Checksum sum of so many bytes. */
};

/* ---- Random numbers (splitmix64, Steele et al. 2014) ------------------ */

static uint64_t
mix(uint64_t z)
{
    z += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* The next number below 'n' (n < 2^32). */
static uint64_t
draw(struct gen *g, uint64_t n)
{
    g->random += UINT64_C(0x9e3779b97f4a7c15);
    return (mix(g->random) >> 32) * n >> 32;
}

/* The index that 'at' falls on when each has its weight. */
static unsigned
weigh(const unsigned *weight, uint64_t at)
{
    unsigned i;

    for (i = 0; at >= weight[i]; i++)
        at -= weight[i];
    return i;
}

/* ---- Options ---------------------------------------------------------- */

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
    return parse_count(value, 1, MAX_FLOWS, &((struct gen *)self)->n_flows);
}

static bool
set_count(void *self, const char *value)
{
    return parse_count(value, 0, UINT64_MAX, &((struct gen *)self)->count);
}

static bool
set_size(void *self, const char *value)
{
    struct gen *g = self;
    uint64_t n = 0;

    if (strcmp(value, "imix") != 0 &&
        !parse_count(value, MIN_SIZE, MAX_SIZE, &n))
        return false;
    g->size = (uint32_t)n;
    return true;
}

/* "udp", "udp:3+tcp:6+icmp:1" or "mix", which is the same. */
static bool
set_proto(void *self, const char *value)
{
    struct gen *g = self;
    const char *at = strcmp(value, "mix") == 0 ? "udp:3+tcp:6+icmp:1" : value;

    memset(g->weight, 0, sizeof g->weight);
    for (;;) {
        size_t n = strcspn(at, ":+");
        unsigned i = 0;
        int used = 0;

        while (i < N_PROTOS && (strlen(proto_names[i]) != n ||
                                strncmp(proto_names[i], at, n) != 0))
            i++;
        if (i == N_PROTOS || g->weight[i])
            return false;
        at += n;
        g->weight[i] = 1;
        if (*at == ':' && (sscanf(at, ":%4u%n", &g->weight[i], &used) != 1 ||
                           g->weight[i] == 0))
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
    struct gen *g = self;

    return hg_rate_parse(value, &g->rate) && g->rate.per_second > 0;
}

static bool
set_start(void *self, const char *value)
{
    return parse_count(value, 0, UINT32_MAX, &((struct gen *)self)->start);
}

static bool
set_seed(void *self, const char *value)
{
    return parse_count(value, 0, UINT64_MAX, &((struct gen *)self)->seed);
}

static bool
set_src(void *self, const char *value)
{
    return hg_prefix_parse(value, &((struct gen *)self)->src);
}

static bool
set_dst(void *self, const char *value)
{
    return hg_prefix_parse(value, &((struct gen *)self)->dst);
}

static bool
set_sport(void *self, const char *value)
{
    return hg_port_range_parse(value, &((struct gen *)self)->sport);
}

static bool
set_dport(void *self, const char *value)
{
    return hg_port_range_parse(value, &((struct gen *)self)->dport);
}

static bool
set_ipv6(void *self, const char *value)
{
    return hg_bool_parse(value, &((struct gen *)self)->is_ip6);
}

static bool
set_mode(void *self, const char *value)
{
    struct gen *g = self;

    g->is_roundrobin = strcmp(value, "roundrobin") == 0;
    return g->is_roundrobin || strcmp(value, "random") == 0;
}

/* clang-format off */
static const struct device_option gen_options[] = {
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

static void
set_defaults(struct gen *g, const struct device_options *options)
{
    g->n_flows = 1;
    g->count = 1000;
    g->size = MIN_SIZE;
    g->weight[UDP] = 1;
    g->rate = (struct hg_rate){1000000, HG_RATE_PACKETS};
    g->start = 1700000000;
    g->seed = options->seed;
    g->sport = (struct hg_port_range){1024, 65535};
    g->dport = (struct hg_port_range){443, 443};
    g->snaplen = options->snaplen ? options->snaplen : MAX_SIZE;
}

/* ---- Flows ------------------------------------------------------------ */

/* Hosts of a prefix: not those that mean the network or everybody (IPv4:
 * RFC 1122 3.2.1.3, RFC 3021; IPv6: RFC 4291 2.6.1). */
static uint64_t
count_hosts(const struct hg_prefix *prefix)
{
    unsigned bits = (prefix->addr.family == 4 ? 32u : 128u) - prefix->len;

    if (bits > 31)
        bits = 31;
    return bits < 2 ? UINT64_C(1) << bits : (UINT64_C(1) << bits) - 2;
}

static uint32_t
host(const struct hg_prefix *prefix, uint64_t index)
{
    size_t at = prefix->addr.family == 4 ? 0 : 12;

    if (count_hosts(prefix) > 2)
        index++;
    return hg_load32(prefix->addr.byte + at) + (uint32_t)index;
}

static uint64_t
count_ports(const struct hg_port_range *range)
{
    return (uint64_t)range->high - range->low + 1;
}

/* The sources (host and port) come first; when all are used, each goes on to
 * its next destination. */
static void
init_flow(const struct gen *g, struct gen_flow *f, uint64_t index)
{
    uint64_t n_src = count_hosts(&g->src), n_dst = count_hosts(&g->dst);
    uint64_t n_sport = count_ports(&g->sport);
    uint64_t n_dport = count_ports(&g->dport);
    uint64_t source = index % (n_src * n_sport);
    uint64_t turn = index / (n_src * n_sport);
    uint64_t random = mix(mix(g->seed) ^ source);
    unsigned total = g->weight[UDP] + g->weight[TCP] + g->weight[ICMP];

    f->src = host(&g->src, source % n_src);
    f->sport = (uint16_t)(g->sport.low + source / n_src);
    f->dst = host(&g->dst, ((random >> 32) + turn) % n_dst);
    f->dport = (uint16_t)(g->dport.low +
                          ((random & 0xffff) + turn / n_dst) % n_dport);
    random = mix(mix(g->seed) ^ ~index);
    f->first = (uint32_t)random;
    f->proto = (uint8_t)weigh(g->weight, (random >> 32) % total);
}

static bool
init_flows(struct gen *g, struct hg_error *error)
{
    uint64_t room, i;

    room = count_hosts(&g->src) * count_ports(&g->sport);
    if (room < g->n_flows)
        room *= count_hosts(&g->dst);
    if (room < g->n_flows && !g->weight[ICMP])
        room *= count_ports(&g->dport);
    if (room < g->n_flows)
        return hg_error_set(error,
                            "'gen:' has %llu flows but addresses and "
                            "ports for only %llu; widen src, dst or "
                            "sport",
                            (unsigned long long)g->n_flows,
                            (unsigned long long)room);
    g->flows = calloc(g->n_flows, sizeof *g->flows);
    if (g->dev.share)
        g->owners = calloc(g->n_flows, sizeof *g->owners);
    if (!g->flows || (g->dev.share && !g->owners))
        return hg_error_set(error, "no memory for %llu flows",
                            (unsigned long long)g->n_flows);
    for (i = 0; i < g->n_flows; i++)
        init_flow(g, &g->flows[i], i);
    return true;
}

static bool
init_addresses(struct gen *g, struct hg_error *error)
{
    bool has_src = g->src.addr.family != 0, has_dst = g->dst.addr.family != 0;

    if (has_src || has_dst)
        g->is_ip6 = g->is_ip6 || (has_src ? g->src : g->dst).addr.family == 6;
    if (!has_src)
        hg_prefix_parse(g->is_ip6 ? "2001:db8:1::/64" : "10.0.0.0/16",
                        &g->src);
    if (!has_dst)
        hg_prefix_parse(g->is_ip6 ? "2001:db8:2::/64" : "203.0.113.0/24",
                        &g->dst);
    if (g->src.addr.family != (g->is_ip6 ? 6 : 4) ||
        g->dst.addr.family != g->src.addr.family)
        return hg_error_set(error, "src, dst and ipv6 of 'gen:' must be of "
                                   "one IP version");
    return true;
}

/* ---- Packets ---------------------------------------------------------- */

static void
init_template(struct gen *g, enum gen_proto proto)
{
    static const uint8_t number[N_PROTOS] = {HG_PROTO_UDP, HG_PROTO_TCP,
                                             HG_PROTO_ICMP};
    static const uint8_t l4_len[N_PROTOS] = {8, 20, 8};
    struct gen_template *t = &g->templates[proto];
    struct hg_eth *eth = (struct hg_eth *)t->bytes;
    struct hg_ipv4 *ip4 = (struct hg_ipv4 *)(eth + 1);
    struct hg_ipv6 *ip6 = (struct hg_ipv6 *)(eth + 1);

    eth->dst = dst_mac;
    eth->src = src_mac;
    eth->type = hg_be16_of(g->is_ip6 ? HG_ETH_IP6 : HG_ETH_IP4);
    if (g->is_ip6) {
        ip6->version_class_flow = hg_be32_of(UINT32_C(6) << 28);
        ip6->next_header = proto == ICMP ? HG_PROTO_ICMP6 : number[proto];
        ip6->hop_limit = 64;
        memcpy(ip6->src, g->src.addr.byte, sizeof ip6->src);
        memcpy(ip6->dst, g->dst.addr.byte, sizeof ip6->dst);
        t->l4_offset = sizeof *eth + sizeof *ip6;
    } else {
        ip4->version_ihl = 0x45;
        ip4->frag = hg_be16_of(HG_IP4_DF);
        ip4->ttl = 64;
        ip4->protocol = number[proto];
        t->ip_sum = hg_checksum_add(0, ip4, sizeof *ip4);
        t->l4_offset = sizeof *eth + sizeof *ip4;
    }
    t->len = t->l4_offset + l4_len[proto];
}

/* Stores a field and returns its part of the checksum: what was just stored
 * in small pieces is not loaded again in large ones, which would wait. */
static uint32_t
put16(uint8_t *field, uint32_t value)
{
    hg_store16(field, (uint16_t)value);
    return (uint16_t)value;
}

static uint32_t
put32(uint8_t *field, uint32_t value)
{
    return put16(field, value >> 16) + put16(field + 2, value);
}

static uint32_t
make_tcp(const struct gen_flow *f, uint8_t *l4, uint32_t len)
{
    unsigned flags =
        f->progress ? HG_TCP_ACK | (len ? HG_TCP_PSH : 0) : HG_TCP_SYN;

    return put16(l4, f->sport) + put16(l4 + 2, f->dport) +
           put32(l4 + 4, f->first + f->progress) +
           put32(l4 + 8, f->progress ? 1 : 0) +
           put16(l4 + 12, 5 << 12 | flags) + put16(l4 + 14, 65535);
}

/* The L4 header of 'len' bytes of payload; adds it to '*sum' and returns where
 * its checksum stands. */
static uint8_t *
make_l4(const struct gen_flow *f, uint8_t *l4, uint32_t len, bool is_ip6,
        uint32_t *sum)
{
    uint32_t type = is_ip6 ? HG_ICMP6_ECHO : HG_ICMP_ECHO;

    switch (f->proto) {
    case TCP:
        *sum += make_tcp(f, l4, len);
        return l4 + 16;
    case UDP:
        *sum += put16(l4, f->sport) + put16(l4 + 2, f->dport) +
                put16(l4 + 4, len + (uint32_t)sizeof(struct hg_udp));
        return l4 + 6;
    default:
        *sum += put16(l4, type << 8) + put16(l4 + 4, f->sport) +
                put16(l4 + 6, f->progress);
        return l4 + 2;
    }
}

/* Addresses and lengths of the IP header; returns the pseudo-header's sum. */
static uint32_t
make_ip(const struct gen *g, const struct gen_flow *f,
        const struct gen_template *t, uint8_t *frame, uint32_t l4_len)
{
    struct hg_ipv4 *ip4 = (struct hg_ipv4 *)(frame + sizeof(struct hg_eth));
    struct hg_ipv6 *ip6 = (struct hg_ipv6 *)ip4;
    uint32_t total = (uint32_t)sizeof *ip4 + l4_len, sum;

    if (g->is_ip6) {
        ip6->payload_length = hg_be16_of((uint16_t)l4_len);
        hg_store32(ip6->src + 12, f->src);
        hg_store32(ip6->dst + 12, f->dst);
        return hg_checksum_pseudo6(ip6->src, ip6->dst, ip6->next_header,
                                   l4_len);
    }
    ip4->total_length = hg_be16_of((uint16_t)total);
    ip4->src = hg_be32_of(f->src);
    ip4->dst = hg_be32_of(f->dst);
    sum = t->ip_sum + total + (f->src >> 16) + (f->src & 0xffff) +
          (f->dst >> 16) + (f->dst & 0xffff);
    ip4->checksum = hg_be16_of(hg_checksum_fold(sum));
    /* ICMP of IPv4 covers no pseudo-header (RFC 792). */
    return f->proto == ICMP
               ? 0
               : hg_checksum_pseudo4(f->src, f->dst, ip4->protocol, l4_len);
}

/* Bytes of payload of a frame of 'size' bytes. */
static uint32_t
payload_len(const struct gen *g, const struct gen_flow *f, uint32_t size)
{
    uint32_t header_len = g->templates[f->proto].len;
    bool is_syn = f->proto == TCP && f->progress == 0;

    return size > header_len && !is_syn ? size - header_len : 0;
}

/* A packet of the flow is out: sequence numbers that TCP used, or one more
 * echo. */
static void
go_on(struct gen_flow *f, uint32_t len)
{
    if (f->proto == ICMP)
        f->progress++;
    if (f->proto != TCP)
        return;
    f->progress += f->progress ? len : 1;
    if (f->progress == 0) /* Wrapped; 0 would mean a new connection. */
        f->progress = 1;
}

/* Makes the next packet in g->frame. */
static void
make_frame(struct gen *g, const struct gen_flow *f, uint32_t len)
{
    const struct gen_template *t = &g->templates[f->proto];
    uint32_t l4_len = t->len - t->l4_offset + len, sum;
    uint8_t *l4 = g->frame + t->l4_offset, *field;
    uint16_t checksum;

    memcpy(g->frame, t->bytes, t->len);
    memcpy(g->frame + t->len, g->payload, len);
    sum = make_ip(g, f, t, g->frame, l4_len) + g->payload_sum[len];
    field = make_l4(f, l4, len, g->is_ip6, &sum);
    checksum = hg_checksum_fold(sum);
    if (checksum == 0 && f->proto == UDP)
        checksum = 0xffff; /* RFC 768: 0 means none. */
    hg_store16(field, checksum);
    if (t->len + len < MIN_FRAME)
        memset(g->frame + t->len + len, 0, MIN_FRAME - t->len - len);
}

/* Whether the flow is of another who shares the source; its packets are then
 * only counted. */
static bool
is_of_another(const struct gen *g, uint64_t flow)
{
    unsigned owner = g->owners ? g->owners[flow] : 0;

    return (owner != 0) & (owner != g->mine);
}

/* Makes the next frame, of 'size' bytes, or passes over it; then there may be
 * no need to look at the flow at all. */
static void
next_frame(struct gen *g, uint64_t flow, uint32_t size)
{
    struct gen_flow *f = &g->flows[flow];
    uint32_t len;

    g->is_other = is_of_another(g, flow);
    if (g->is_other && !g->filter.active && g->rate.unit == HG_RATE_PACKETS)
        return;
    len = payload_len(g, f, size);
    g->frame_len = g->templates[f->proto].len + len;
    if (g->frame_len < MIN_FRAME)
        g->frame_len = MIN_FRAME;
    if (!g->is_other || g->filter.active)
        make_frame(g, f, len);
    go_on(f, len);
    if (g->owners && !g->owners[flow]) {
        g->owners[flow] =
            (uint8_t)(1 + device_owner(g->dev.share, g->frame, g->frame_len,
                                       g->frame_len));
        g->is_other = is_of_another(g, flow);
    }
}

/* Moves the clock to where the packet after one of 'len' bytes is. */
static void
advance(struct gen *g, uint32_t len)
{
    uint64_t cost = g->rate.unit == HG_RATE_BITS ? UINT64_C(8) * len : 1;

    g->remainder += cost * HG_SEC;
    g->time_ns += g->remainder / g->rate.per_second;
    g->remainder %= g->rate.per_second;
}

/* The next packet that is not chosen yet.  Its flow is fetched, so that it is
 * in the cache when the packet is made. */
static struct gen_choice
choose(struct gen *g)
{
    struct gen_choice c = {g->next_flow, g->size};
    const void *where[2];

    if (!g->is_roundrobin)
        c.flow = draw(g, g->n_flows);
    if (++g->next_flow == g->n_flows)
        g->next_flow = 0;
    if (c.size == 0)
        c.size = imix_size[weigh(imix_weight, draw(g, 12))];
    /* Chosen without a branch, which nobody could predict. */
    where[0] = &g->flows[c.flow];
    where[1] = g;
    __builtin_prefetch(where[is_of_another(g, c.flow)], 1);
    return c;
}

/* Makes frames until one passes the filter; false at the end. */
static bool
look_ahead(struct gen *g)
{
    while (!g->has_frame && (g->count == 0 || g->n_made < g->count)) {
        struct gen_choice *c = &g->ahead[g->n_made++ % AHEAD];

        next_frame(g, c->flow, c->size);
        *c = choose(g);
        g->frame_ns = g->time_ns;
        advance(g, g->frame_len);
        g->has_frame = device_filter_pass(&g->filter, g->frame, g->frame_len,
                                          g->frame_len);
        if (!g->has_frame)
            g->dev.rx_filtered += device_counts(&g->dev);
    }
    return g->has_frame;
}

/* ---- The device ------------------------------------------------------- */

static uint64_t
gen_next_ns(struct hg_device *dev)
{
    struct gen *g = (struct gen *)dev;

    return look_ahead(g) ? g->frame_ns : HG_NEVER;
}

static struct hg_packet *
take_frame(struct gen *g, struct hg_pool *pool)
{
    uint32_t len = g->frame_len < g->snaplen ? g->frame_len : g->snaplen;
    struct hg_packet *p = hg_packet_alloc(pool, len);

    g->has_frame = false;
    if (!p) {
        g->dev.rx_unusable++;
        return NULL;
    }
    memcpy(p->data, g->frame, len);
    p->wire_len = g->frame_len;
    p->time_ns = g->frame_ns;
    g->dev.rx_packets++;
    g->dev.rx_bytes += len;
    return p;
}

static unsigned
gen_receive(struct hg_device *dev, struct hg_pool *pool,
            struct hg_packet **out, unsigned max, uint64_t until_ns)
{
    struct gen *g = (struct gen *)dev;
    unsigned n = 0;

    while (n < max && device_max(dev, 1) && look_ahead(g) &&
           g->frame_ns <= until_ns) {
        device_pass(dev, g->frame_ns);
        if (g->is_other) {
            g->has_frame = false;
            continue;
        }
        out[n] = take_frame(g, pool);
        if (out[n])
            out[n++]->seq = dev->n_passed;
    }
    return n;
}

static bool
gen_close(struct hg_device *dev, struct hg_error *error)
{
    struct gen *g = (struct gen *)dev;

    (void)error;
    device_filter_uninit(&g->filter);
    device_uninit(dev);
    free(g->flows);
    free(g->owners);
    free(g);
    return true;
}

static const struct hg_device_ops gen_ops = {
    .scheme = "gen",
    .next_ns = gen_next_ns,
    .receive = gen_receive,
    .send = device_swallow,
    .close = gen_close,
};

static void
init_payload(struct gen *g)
{
    uint32_t i, sum = 0;

    for (i = 0; i < MAX_SIZE; i++) {
        g->payload[i] = (uint8_t)i;
        g->payload_sum[i] = sum;
        sum += i % 2 == 0 ? (uint32_t)(g->payload[i] << 8) : g->payload[i];
    }
    g->payload_sum[MAX_SIZE] = sum;
}

struct hg_device *
device_gen_open(const char *rest, const struct device_options *options,
                struct hg_error *error)
{
    struct gen *g = calloc(1, sizeof *g);
    enum gen_proto proto;
    unsigned i;

    if (!g) {
        hg_error_set(error, "no memory to open 'gen:'");
        return NULL;
    }
    device_init(&g->dev, &gen_ops);
    g->dev.can_share = true;
    g->dev.share = options->share;
    g->mine = options->share ? options->share->mine + 1 : 0;
    set_defaults(g, options);
    if (!device_set_options("gen", rest, gen_options,
                            sizeof gen_options / sizeof *gen_options, g,
                            error) ||
        !device_filter_init(&g->filter, options->filter, error) ||
        !init_addresses(g, error) || !init_flows(g, error)) {
        gen_close(&g->dev, NULL);
        return NULL;
    }
    for (proto = 0; proto < N_PROTOS; proto++)
        init_template(g, proto);
    init_payload(g);
    g->random = mix(g->seed);
    for (i = 0; i < AHEAD; i++)
        g->ahead[i] = choose(g);
    g->time_ns = g->start * HG_SEC;
    return &g->dev;
}
