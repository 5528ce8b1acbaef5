/* device_echo.c: a world in which everybody answers, for the way back.
 *
 * Every packet that is sent here is turned round 'delay' later: MACs,
 * addresses and ports swapped, with what a host would say.
 *     ICMP echo request    echo reply
 *     TCP SYN              SYN+ACK; the answering side's numbers start at 0
 *     TCP data, FIN        ACK or FIN+ACK of all of it
 *     UDP                  the same payload
 *     ARP, ND solicitation the answer, from 02:00:00:00:00:02
 *     other IP protocols   as they are
 * No answer: pure ACKs and RSTs, ICMP that is no echo request, TCP fragments,
 * multicast, what is not IP.  Swapping changes no checksum (RFC 1071 2(A)), so
 * one that was wrong stays wrong. */
#include "device.h"

#include <stdlib.h>

#include <headgate/checksum.h>

enum {
    HOP_LIMIT = 64,     /* RFC 1700, "IP time to live parameter". */
    ND_HOP_LIMIT = 255, /* RFC 4861 7.1.1. */
    ARP_REQUEST = 1,
    ARP_REPLY = 2,
    ND_TARGET = 8, /* Where the target stands, RFC 4861 4.3. */
    ND_SIZE = 32,  /* A neighbour advertisement with its link address. */
    ND_OPTION = 24,
    TCP_SIZE = 20
};

#define ND_FLAGS 0x60000000u /* Solicited, override: RFC 4861 4.4. */

static const struct hg_mac own_mac = {{2, 0, 0, 0, 0, 2}};

struct echo {
    struct hg_device dev;
    struct device_filter filter;
    uint64_t last_ns;
    struct hg_packet **ring; /* Answers; time_ns is when they are due. */
    size_t size;             /* A power of two. */
    size_t head;             /* Counts up; index is head % size. */
    size_t n;
};

/* ---- Answers: true if 'p' has become one ------------------------------ */

static void
swap(void *a, void *b, size_t n)
{
    uint8_t *x = a, *y = b, t;

    for (; n > 0; n--, x++, y++) {
        t = *x;
        *x = *y;
        *y = t;
    }
}

static void
turn_ethernet(struct hg_packet *p)
{
    struct hg_eth *eth = hg_packet_eth(p);

    swap(&eth->dst, &eth->src, sizeof eth->dst);
    if (eth->src.byte[0] & 1) /* The request was for a group. */
        eth->src = own_mac;
}

/* Asks whether somebody has the sender's own address (RFC 5227): nobody. */
static bool
answer_arp(struct hg_packet *p)
{
    struct hg_arp *arp = hg_packet_arp(p);

    if (hg_get16(arp->op) != ARP_REQUEST || hg_get32(arp->spa) == 0 ||
        hg_get32(arp->spa) == hg_get32(arp->tpa))
        return false;
    turn_ethernet(p);
    arp->op = hg_be16_of(ARP_REPLY);
    swap(&arp->spa, &arp->tpa, sizeof arp->spa);
    arp->tha = arp->sha;
    arp->sha = own_mac;
    hg_packet_eth(p)->src = own_mac;
    return true;
}

/* The IPv4 and IPv6 addresses that no host answers for. */
static bool
is_unicast(const struct hg_addr *a)
{
    static const struct hg_addr none;

    if (memcmp(a->byte, none.byte, sizeof none.byte) == 0)
        return false;
    return a->family == 4 ? a->byte[0] < 224 : a->byte[0] != 0xff;
}

static void
turn_addresses(struct hg_packet *p)
{
    struct hg_ipv4 *ip4 = hg_packet_ipv4(p);
    struct hg_ipv6 *ip6 = hg_packet_ipv6(p);

    if (ip4)
        swap(&ip4->src, &ip4->dst, sizeof ip4->src);
    else
        swap(ip6->src, ip6->dst, sizeof ip6->src);
    hg_packet_set_ttl(p, HOP_LIMIT);
    turn_ethernet(p);
}

/* Sets the length of the IP payload that starts at l4_offset and cuts what
 * is behind it. */
static void
set_l4_len(struct hg_packet *p, uint32_t len)
{
    struct hg_ipv4 *ip4 = hg_packet_ipv4(p);
    uint32_t before = (uint32_t)p->l4_offset - p->l3_offset;

    if (ip4)
        ip4->total_length = hg_be16_of((uint16_t)(before + len));
    else
        hg_packet_ipv6(p)->payload_length =
            hg_be16_of((uint16_t)(before + len - sizeof(struct hg_ipv6)));
    hg_packet_trim(p, p->l4_offset + len);
    p->wire_len = p->len;
}

/* Bytes behind the TCP header according to the IP header, since a capture
 * may have cut them. */
static uint32_t
tcp_payload(const struct hg_packet *p)
{
    const struct hg_ipv4 *ip4 = hg_packet_ipv4(p);
    uint32_t before = (uint32_t)p->l4_offset - p->l3_offset +
                      hg_tcp_header_len(hg_packet_tcp(p));
    uint32_t total;

    if (ip4)
        total = hg_get16(ip4->total_length);
    else
        total = (uint32_t)sizeof(struct hg_ipv6) +
                hg_get16(hg_packet_ipv6(p)->payload_length);
    return total > before ? total - before : 0;
}

static bool
answer_tcp(struct hg_packet *p)
{
    struct hg_tcp *tcp = hg_packet_tcp(p);
    uint32_t payload = tcp_payload(p), seq = hg_get32(tcp->ack);
    uint8_t flags = HG_TCP_ACK, asked = tcp->flags;
    uint32_t taken =
        payload + (asked & HG_TCP_SYN ? 1 : 0) + (asked & HG_TCP_FIN ? 1 : 0);

    if (p->flags & HG_PACKET_FRAGMENT || asked & HG_TCP_RST || taken == 0)
        return false;
    if (!(asked & HG_TCP_ACK)) {
        seq = 0;
        if (asked & HG_TCP_SYN)
            flags |= HG_TCP_SYN;
    }
    if (asked & HG_TCP_FIN)
        flags |= HG_TCP_FIN;
    turn_addresses(p);
    swap(&tcp->sport, &tcp->dport, sizeof tcp->sport);
    tcp->ack = hg_be32_of(hg_get32(tcp->seq) + taken);
    tcp->seq = hg_be32_of(seq);
    tcp->data_offset = TCP_SIZE / 4 << 4;
    tcp->flags = flags;
    tcp->window = hg_be16_of(65535);
    tcp->urgent = hg_be16_of(0);
    set_l4_len(p, TCP_SIZE);
    hg_packet_set_checksums(p);
    return true;
}

static bool
answer_udp(struct hg_packet *p)
{
    struct hg_udp *udp = hg_packet_udp(p);

    turn_addresses(p);
    swap(&udp->sport, &udp->dport, sizeof udp->sport);
    return true;
}

/* "Who has this address?" for an address that is not the sender's own. */
static bool
answer_neighbour(struct hg_packet *p)
{
    struct hg_ipv6 *ip = hg_packet_ipv6(p);
    uint8_t *nd;

    if (ip->hop_limit != ND_HOP_LIMIT || hg_packet_l4_len(p) < ND_OPTION)
        return false;
    if (p->len < p->l4_offset + (uint32_t)ND_SIZE &&
        !hg_packet_put(p, p->l4_offset + (uint32_t)ND_SIZE - p->len))
        return false;
    turn_ethernet(p);
    hg_packet_eth(p)->src = own_mac;
    ip = hg_packet_ipv6(p);
    nd = hg_packet_l4(p);
    memcpy(ip->dst, ip->src, sizeof ip->dst);
    memcpy(ip->src, nd + ND_TARGET, sizeof ip->src);
    nd[0] = HG_ICMP6_NEIGHBOR_ADVERT;
    hg_store32(nd + 4, ND_FLAGS);
    nd[ND_OPTION] = 2;     /* Target link-layer address, RFC 4861 4.6.1. */
    nd[ND_OPTION + 1] = 1; /* In units of eight bytes. */
    memcpy(nd + ND_OPTION + 2, &own_mac, sizeof own_mac);
    set_l4_len(p, ND_SIZE);
    hg_packet_set_checksums(p);
    return true;
}

static bool
answer_icmp(struct hg_packet *p)
{
    struct hg_icmp *icmp = hg_packet_icmp(p);
    bool is_ip6 = (p->flags & HG_PACKET_IP6) != 0;
    uint8_t request = is_ip6 ? HG_ICMP6_ECHO : HG_ICMP_ECHO;
    uint8_t reply = is_ip6 ? HG_ICMP6_ECHO_REPLY : HG_ICMP_ECHO_REPLY;

    if (icmp->type != request)
        return false;
    hg_checksum_update16(&icmp->checksum, hg_load16(icmp),
                         (uint16_t)(reply << 8 | icmp->code));
    icmp->type = reply;
    turn_addresses(p);
    return true;
}

/* Whether a packet without L4 header should have one.  Later fragments have
 * none, but TCP is answered whole or not at all. */
static bool
is_cut(const struct hg_packet *p)
{
    if (p->protocol == HG_PROTO_TCP)
        return true;
    return !(p->flags & HG_PACKET_FRAGMENT_LATER) &&
           (p->protocol == HG_PROTO_UDP || p->protocol == HG_PROTO_ICMP ||
            p->protocol == HG_PROTO_ICMP6);
}

static bool
answer_ip(struct hg_packet *p)
{
    struct hg_addr src = hg_packet_src(p), dst = hg_packet_dst(p);
    struct hg_icmp *icmp = hg_packet_icmp(p);

    if (!is_unicast(&src))
        return false;
    if (icmp && p->flags & HG_PACKET_IP6 &&
        icmp->type == HG_ICMP6_NEIGHBOR_SOLICIT)
        return answer_neighbour(p);
    if (!is_unicast(&dst))
        return false;
    if (hg_packet_tcp(p))
        return answer_tcp(p);
    if (hg_packet_udp(p))
        return answer_udp(p);
    if (icmp)
        return answer_icmp(p);
    if (is_cut(p))
        return false;
    turn_addresses(p);
    return true;
}

static bool
answer(struct hg_packet *p)
{
    hg_packet_parse(p);
    if (hg_packet_arp(p))
        return answer_arp(p);
    return hg_packet_is_ip(p) && answer_ip(p);
}

/* ---- The device ------------------------------------------------------- */

static bool
grow(struct echo *e)
{
    size_t size = e->size ? e->size * 2 : 256, i;
    struct hg_packet **ring = malloc(size * sizeof *ring);

    if (!ring)
        return false;
    for (i = 0; i < e->n; i++)
        ring[i] = e->ring[(e->head + i) & (e->size - 1)];
    free(e->ring);
    e->ring = ring;
    e->size = size;
    e->head = 0;
    return true;
}

static void
queue(struct echo *e, struct hg_packet *p)
{
    if (!device_filter_pass(&e->filter, p->data, p->len, p->wire_len)) {
        e->dev.rx_filtered++;
    } else if (e->n == e->size && !grow(e)) {
        e->dev.rx_unusable++;
    } else {
        p->time_ns = device_clock(&e->dev, &e->last_ns,
                                  p->time_ns + e->dev.min_delay_ns);
        e->ring[(e->head + e->n++) & (e->size - 1)] = p;
        return;
    }
    hg_packet_free(p);
}

static unsigned
echo_send(struct hg_device *dev, struct hg_packet *const *p, unsigned n)
{
    struct echo *e = (struct echo *)dev;
    unsigned i;

    for (i = 0; i < n; i++) {
        dev->tx_bytes += p[i]->len;
        if (answer(p[i]))
            queue(e, p[i]);
        else
            hg_packet_free(p[i]);
    }
    dev->tx_packets += n;
    return n;
}

static uint64_t
echo_next_ns(struct hg_device *dev)
{
    struct echo *e = (struct echo *)dev;

    return e->n ? e->ring[e->head & (e->size - 1)]->time_ns : HG_NEVER;
}

/* A packet that arrives is a new one: nothing of what the graph had noted on
 * the other comes back with it. */
static struct hg_packet *
renew(struct echo *e, struct hg_pool *pool, struct hg_packet *old)
{
    struct hg_packet *p = hg_packet_alloc(pool, old->len);

    if (p) {
        memcpy(p->data, old->data, old->len);
        p->wire_len = old->wire_len;
        p->time_ns = old->time_ns;
        e->dev.rx_packets++;
        e->dev.rx_bytes += p->len;
    } else {
        e->dev.rx_unusable++;
    }
    hg_packet_free(old);
    return p;
}

static unsigned
echo_receive(struct hg_device *dev, struct hg_pool *pool,
             struct hg_packet **out, unsigned max, uint64_t until_ns)
{
    struct echo *e = (struct echo *)dev;
    unsigned n = 0;

    while (n < max && e->n > 0 && echo_next_ns(dev) <= until_ns) {
        out[n] = renew(e, pool, e->ring[e->head++ & (e->size - 1)]);
        e->n--;
        if (out[n])
            n++;
    }
    return n;
}

static bool
echo_close(struct hg_device *dev, struct hg_error *error)
{
    struct echo *e = (struct echo *)dev;

    (void)error;
    for (; e->n > 0; e->n--)
        hg_packet_free(e->ring[e->head++ & (e->size - 1)]);
    free(e->ring);
    device_filter_uninit(&e->filter);
    device_uninit(dev);
    free(e);
    return true;
}

static const struct hg_device_ops echo_ops = {
    .scheme = "echo",
    .next_ns = echo_next_ns,
    .receive = echo_receive,
    .send = echo_send,
    .close = echo_close,
};

static bool
set_delay(void *self, const char *value)
{
    struct echo *e = self;
    struct hg_duration delay;

    if (!hg_duration_parse(value, &delay) || delay.ns == 0 ||
        delay.ns > HG_DAY)
        return false;
    e->dev.min_delay_ns = delay.ns;
    return true;
}

static const struct device_option echo_options[] = {
    {"delay", "a time of 1ns to 1d, such as 20ms", set_delay},
};

struct hg_device *
device_echo_open(const char *rest, const struct device_options *options,
                 struct hg_error *error)
{
    struct echo *e = calloc(1, sizeof *e);

    if (!e) {
        hg_error_set(error, "no memory to open 'echo:'");
        return NULL;
    }
    device_init(&e->dev, &echo_ops);
    e->dev.min_delay_ns = HG_MSEC;
    if (device_filter_init(&e->filter, options->filter, error) &&
        device_set_options("echo", rest, echo_options, 1, e, error))
        return &e->dev;
    echo_close(&e->dev, NULL);
    return NULL;
}
