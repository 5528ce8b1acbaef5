/* device_gen.c: synthetic traffic, the same for the same options and seed.
 *
 *     gen:flows=1000,count=100000,proto=mix,size=imix
 *
 * The table in device_gen_options.c has every option.
 *
 * Flows differ in source host and source port first, then in destination.
 * TCP flows begin with a SYN and go on with data in order, as if a peer whose
 * numbers start at 0 had agreed (echo: does); UDP carries payload, ICMP is
 * echo requests.  Checksums are right; payload is the bytes 0, 1, 2 ...  What
 * is sent here is counted and forgotten, as a host would take it.
 *
 * A packet is a template plus a handful of stores: the payload is the same in
 * all, so that its sum comes from a table. */
#include "device_gen.h"

#include <stdlib.h>

#include <headgate/checksum.h>
#include <headgate/memory.h>

enum {
    MIN_FRAME = 60, /* IEEE 802.3 3.2.8, without FCS: shorter is padded. */
    MAX_HEADERS = 14 + 40 + 20,
    AHEAD = 64,             /* Packets that are chosen together. */
    SMALL_PAGES = 64 << 10, /* Of flows; behind come huge ones. */
    N_SIZES = 3
};

static const struct hg_mac src_mac = {{2, 0, 0, 0, 0, 1}};
static const struct hg_mac dst_mac = {{2, 0, 0, 0, 0, 2}};

/* Simple IMIX, 7:4:1; 1514 is 1518 less the FCS, which no frame has here. */
static const uint32_t imix_size[N_SIZES] = {64, 594, 1514};
static const unsigned imix_weight[N_SIZES] = {7, 4, 1};

struct gen_flow {
    uint32_t src; /* Low 32 bits of the addresses, host order. */
    uint32_t dst;
    uint16_t sport; /* ICMP: the identifier. */
    uint16_t dport;
    uint32_t progress; /* TCP: sequence numbers used; ICMP: packets sent. */
    uint32_t first;    /* TCP: initial sequence number. */
    uint8_t proto;     /* enum gen_proto. */
    bool is_asked;     /* With a share: it is known whose it is. */
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

struct gen_clock {
    uint64_t ns;
    uint64_t remainder; /* In 1/rate of a nanosecond. */
};

struct gen {
    struct hg_device dev;
    struct device_filter filter;
    uint32_t snaplen;

    struct gen_options options;

    struct gen_flow *flows;
    struct gen_template templates[GEN_PROTOS];
    uint64_t random;
    uint64_t n_made;
    uint64_t next_flow; /* Round robin. */
    uint64_t n_chosen;
    struct gen_choice ahead[AHEAD]; /* By number of the packet. */
    uint64_t others_ahead;     /* Bit of each: it only has to be counted. */
    struct gen_clock clock;    /* Of the packet that is made next. */
    struct gen_clock interval; /* To another packet, or bit. */

    /* The next packet, made before it is received since a filter may refuse
     * it. */
    bool has_frame;
    bool is_other;   /* Of another who shares the source. */
    uint8_t *others; /* Bit by flow: known to be of another. */
    uint32_t frame_len;
    uint64_t frame_ns;
    uint8_t frame[GEN_MAX_SIZE];

    uint8_t payload[GEN_MAX_SIZE];
    uint32_t
        payload_sum[GEN_MAX_SIZE + 1]; /* Checksum sum of so many bytes. */
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
    uint64_t n_src = count_hosts(&g->options.src),
             n_dst = count_hosts(&g->options.dst);
    uint64_t n_sport = count_ports(&g->options.sport);
    uint64_t n_dport = count_ports(&g->options.dport);
    uint64_t source = index % (n_src * n_sport);
    uint64_t turn = index / (n_src * n_sport);
    uint64_t random = mix(mix(g->options.seed) ^ source);
    unsigned total = g->options.weight[UDP] + g->options.weight[TCP] +
                     g->options.weight[ICMP];

    f->src = host(&g->options.src, source % n_src);
    f->sport = (uint16_t)(g->options.sport.low + source / n_src);
    f->dst = host(&g->options.dst, ((random >> 32) + turn) % n_dst);
    f->dport = (uint16_t)(g->options.dport.low +
                          ((random & 0xffff) + turn / n_dst) % n_dport);
    random = mix(mix(g->options.seed) ^ ~index);
    f->first = (uint32_t)random;
    f->proto = (uint8_t)weigh(g->options.weight, (random >> 32) % total);
}

static uint64_t
size_of_flows(const struct gen *g)
{
    return g->options.n_flows * sizeof *g->flows;
}

static bool
init_flows(struct gen *g, struct hg_error *error)
{
    uint64_t room, i;

    room = count_hosts(&g->options.src) * count_ports(&g->options.sport);
    if (room < g->options.n_flows)
        room *= count_hosts(&g->options.dst);
    if (room < g->options.n_flows && !g->options.weight[ICMP])
        room *= count_ports(&g->options.dport);
    if (room < g->options.n_flows)
        return hg_error_set(error,
                            "'gen:' has %llu flows but addresses and "
                            "ports for only %llu; widen src, dst or "
                            "sport",
                            (unsigned long long)g->options.n_flows,
                            (unsigned long long)room);
    g->flows = hg_memory_reserve(size_of_flows(g), SMALL_PAGES);
    if (g->dev.share)
        g->others = calloc(g->options.n_flows / 8 + 1, sizeof *g->others);
    if (!g->flows || (g->dev.share && !g->others))
        return hg_error_set(error, "no memory for %llu flows",
                            (unsigned long long)g->options.n_flows);
    hg_memory_populate(g->flows, size_of_flows(g));
    for (i = 0; i < g->options.n_flows; i++)
        init_flow(g, &g->flows[i], i);
    return true;
}

static bool
init_addresses(struct gen *g, struct hg_error *error)
{
    bool has_src = g->options.src.addr.family != 0,
         has_dst = g->options.dst.addr.family != 0;

    if (has_src || has_dst)
        g->options.is_ip6 =
            g->options.is_ip6 ||
            (has_src ? g->options.src : g->options.dst).addr.family == 6;
    if (!has_src)
        hg_prefix_parse(g->options.is_ip6 ? "2001:db8:1::/64" : "10.0.0.0/16",
                        &g->options.src);
    if (!has_dst)
        hg_prefix_parse(g->options.is_ip6 ? "2001:db8:2::/64"
                                          : "203.0.113.0/24",
                        &g->options.dst);
    if (g->options.src.addr.family != (g->options.is_ip6 ? 6 : 4) ||
        g->options.dst.addr.family != g->options.src.addr.family)
        return hg_error_set(error, "src, dst and ipv6 of 'gen:' must be of "
                                   "one IP version");
    return true;
}

/* ---- Packets ---------------------------------------------------------- */

static void
init_template(struct gen *g, enum gen_proto proto)
{
    static const uint8_t number[GEN_PROTOS] = {HG_PROTO_UDP, HG_PROTO_TCP,
                                               HG_PROTO_ICMP};
    static const uint8_t l4_len[GEN_PROTOS] = {8, 20, 8};
    struct gen_template *t = &g->templates[proto];
    struct hg_eth *eth = (struct hg_eth *)t->bytes;
    struct hg_ipv4 *ip4 = (struct hg_ipv4 *)(eth + 1);
    struct hg_ipv6 *ip6 = (struct hg_ipv6 *)(eth + 1);

    eth->dst = dst_mac;
    eth->src = src_mac;
    eth->type = hg_be16_of(g->options.is_ip6 ? HG_ETH_IP6 : HG_ETH_IP4);
    if (g->options.is_ip6) {
        ip6->version_class_flow = hg_be32_of(UINT32_C(6) << 28);
        ip6->next_header = proto == ICMP ? HG_PROTO_ICMP6 : number[proto];
        ip6->hop_limit = 64;
        memcpy(ip6->src, g->options.src.addr.byte, sizeof ip6->src);
        memcpy(ip6->dst, g->options.dst.addr.byte, sizeof ip6->dst);
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

    if (g->options.is_ip6) {
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
    field = make_l4(f, l4, len, g->options.is_ip6, &sum);
    checksum = hg_checksum_fold(sum);
    if (checksum == 0 && f->proto == UDP)
        checksum = 0xffff; /* RFC 768: 0 means none. */
    hg_store16(field, checksum);
    if (t->len + len < MIN_FRAME)
        memset(g->frame + t->len + len, 0, MIN_FRAME - t->len - len);
}

/* Whether the flow is known to be of another who shares the source. */
static bool
is_of_another(const struct gen *g, uint64_t flow)
{
    return g->others && g->others[flow / 8] >> flow % 8 & 1;
}

/* Whether nothing has to be known of a packet of another but that it is
 * one. */
static bool
may_pass_over(const struct gen *g)
{
    return !g->filter.active && g->options.rate.unit == HG_RATE_PACKETS;
}

/* Whether the frame just made is for this device. */
static bool
is_own(const struct gen *g)
{
    const struct hg_frame f = {
        .data = g->frame, .len = g->frame_len, .wire_len = g->frame_len};

    return device_own(g->dev.share, &f, 1) & 1;
}

/* Makes the next frame, of 'size' bytes, or passes over it; then there may be
 * no need to look at the flow at all. */
static void
next_frame(struct gen *g, uint64_t flow, uint32_t size)
{
    struct gen_flow *f = &g->flows[flow];
    uint32_t len;

    g->is_other = is_of_another(g, flow);
    if (g->is_other && may_pass_over(g))
        return;
    len = payload_len(g, f, size);
    g->frame_len = g->templates[f->proto].len + len;
    if (g->frame_len < MIN_FRAME)
        g->frame_len = MIN_FRAME;
    if (!g->is_other || g->filter.active)
        make_frame(g, f, len);
    go_on(f, len);
    if (g->others && !f->is_asked) {
        f->is_asked = true;
        g->is_other = !is_own(g);
        g->others[flow / 8] |= (uint8_t)(g->is_other << flow % 8);
    }
}

/* Moves the clock by so many packets, or bits. */
static void
advance(struct gen *g, uint64_t n)
{
    struct gen_clock *c = &g->clock;

    c->ns += n * g->interval.ns;
    c->remainder += n * g->interval.remainder;
    if (c->remainder >= g->options.rate.per_second) {
        c->ns += c->remainder / g->options.rate.per_second;
        c->remainder %= g->options.rate.per_second;
    }
}

static struct gen_choice
choose(struct gen *g)
{
    struct gen_choice c = {g->next_flow, g->options.size};

    if (!g->options.is_roundrobin)
        c.flow = draw(g, g->options.n_flows);
    if (++g->next_flow == g->options.n_flows)
        g->next_flow = 0;
    if (c.size == 0)
        c.size = imix_size[weigh(imix_weight, draw(g, 12))];
    return c;
}

/* Chooses the next packets.  Their flows are fetched, so that they are in the
 * cache when the packets are made. */
static void
choose_ahead(struct gen *g)
{
    uint64_t may_pass = may_pass_over(g), is_other;
    unsigned i;

    g->others_ahead = 0;
    for (i = 0; i < AHEAD; i++) {
        g->ahead[i] = choose(g);
        is_other = is_of_another(g, g->ahead[i].flow) & may_pass;
        g->others_ahead |= is_other << i;
    }
    for (i = 0; i < AHEAD; i++) {
        /* Without a branch, which nobody could predict. */
        is_other = g->others_ahead >> i & 1;
        __builtin_prefetch(&g->flows[g->ahead[i].flow & (is_other - 1)], 1);
    }
    g->n_chosen += AHEAD;
}

/* Makes frames until one passes the filter; false at the end. */
static bool
look_ahead(struct gen *g)
{
    while (!g->has_frame &&
           (g->options.count == 0 || g->n_made < g->options.count)) {
        const struct gen_choice *c = &g->ahead[g->n_made % AHEAD];

        if (g->n_made++ == g->n_chosen)
            choose_ahead(g);
        next_frame(g, c->flow, c->size);
        g->frame_ns = g->clock.ns;
        advance(g, g->options.rate.unit == HG_RATE_BITS
                       ? 8 * (uint64_t)g->frame_len
                       : 1);
        g->has_frame = device_filter_pass(&g->filter, g->frame, g->frame_len,
                                          g->frame_len);
        if (g->has_frame)
            break;
        g->dev.rx_filtered += device_counts(&g->dev);
        if (device_stop) /* Nothing may ever pass. */
            break;
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

/* How many packets of others come next, as far as they are chosen. */
static unsigned
count_others(const struct gen *g)
{
    uint64_t own = ~(g->others_ahead >> g->n_made % AHEAD);
    unsigned n = own ? (unsigned)__builtin_ctzll(own) : AHEAD;

    return g->options.count && n > g->options.count - g->n_made
               ? (unsigned)(g->options.count - g->n_made)
               : n;
}

/* Passes over packets of others that come next and arrive by 'until_ns'.  Few
 * branches: whose a packet is cannot be predicted. */
static void
pass_over(struct gen *g, uint64_t until_ns)
{
    struct gen_clock before = g->clock;
    unsigned n, any;

    if (g->n_made == g->n_chosen)
        choose_ahead(g);
    n = device_max(&g->dev, count_others(g));
    any = n > 0;
    advance(g, n - any);
    if (g->clock.ns > until_ns) {
        g->clock = before;
        return;
    }
    if (any)
        g->dev.passed_ns = g->clock.ns;
    g->dev.n_passed += n;
    g->n_made += n;
    advance(g, any);
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

    while (n < max) {
        if (g->others && !g->has_frame)
            pass_over(g, until_ns);
        if (!device_max(dev, 1) || !look_ahead(g) || g->frame_ns > until_ns)
            break;
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
    hg_memory_release(g->flows, size_of_flows(g), SMALL_PAGES);
    free(g->others);
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

    for (i = 0; i < GEN_MAX_SIZE; i++) {
        g->payload[i] = (uint8_t)i;
        g->payload_sum[i] = sum;
        sum += i % 2 == 0 ? (uint32_t)(g->payload[i] << 8) : g->payload[i];
    }
    g->payload_sum[GEN_MAX_SIZE] = sum;
}

struct hg_device *
device_gen_open(const char *rest, const struct device_options *options,
                struct hg_error *error)
{
    struct gen *g = calloc(1, sizeof *g);
    enum gen_proto proto;

    if (!g) {
        hg_error_set(error, "no memory to open 'gen:'");
        return NULL;
    }
    device_init(&g->dev, &gen_ops);
    g->dev.can_share = true;
    g->dev.share = options->share;
    g->snaplen = options->snaplen ? options->snaplen : GEN_MAX_SIZE;
    if (!gen_options_set(&g->options, rest, options->seed, error) ||
        !device_filter_init(&g->filter, options->filter, error) ||
        !init_addresses(g, error) || !init_flows(g, error)) {
        gen_close(&g->dev, NULL);
        return NULL;
    }
    for (proto = 0; proto < GEN_PROTOS; proto++)
        init_template(g, proto);
    init_payload(g);
    g->random = mix(g->options.seed);
    g->clock.ns = g->options.start * HG_SEC;
    g->interval = (struct gen_clock){HG_SEC / g->options.rate.per_second,
                                     HG_SEC % g->options.rate.per_second};
    return &g->dev;
}
