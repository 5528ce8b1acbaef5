/* CheckIP: lets through only packets whose IP header can be believed.
 *
 * The checks of RFC 1122 3.2.1, RFC 1812 5.2.2 and RFC 8200 3, each with a
 * drop reason of its own, then those of the transport header.  Elements that
 * need "ip" stand behind it and check nothing again.  Ethernet padding behind
 * the packet stays; hg_packet_l3_len() leaves it out. */
#include <stdlib.h>
#include <string.h>

#include <headgate/element.h>

/* An IPv4 block as in an access list. */
struct block {
    uint32_t net;
    uint32_t mask;
};

struct check_ip {
    struct hg_prefix_list martians;
    bool l4_checksums;

    hg_counter not_ip;
    hg_counter too_short;
    hg_counter bad_version;
    hg_counter bad_header_length;
    hg_counter bad_checksum;
    hg_counter bad_total_length;
    hg_counter truncated;
    hg_counter bad_source;
    hg_counter bad_extension;
    hg_counter bad_l4_header;
    hg_counter bad_l4_checksum;

    struct block *martians4; /* Those of 'martians' that are IPv4. */
    size_t n_martians4;
    struct hg_prefix *martians6;
    size_t n_martians6;
    bool suspect4[256]; /* First bytes of sources that one of them may hold. */
    bool suspect6[256];
};

enum { OUT, OTHER };

/* Notes with which first bytes the addresses of the prefix begin. */
static void
suspect(bool *first, const struct hg_prefix *prefix)
{
    unsigned low = prefix->addr.byte[0];
    unsigned n = prefix->len < 8 ? 256u >> prefix->len : 1;

    memset(first + low, true, n);
}

static bool
check_ip_configure(void *self_)
{
    struct check_ip *self = self_;
    size_t i, n = self->martians.n;

    self->martians4 = calloc(n + 1, sizeof *self->martians4);
    self->martians6 = calloc(n + 1, sizeof *self->martians6);
    if (!self->martians4 || !self->martians6)
        return hg_config_error(self, "martians", -1, "no memory for it");
    for (i = 0; i < n; i++) {
        const struct hg_prefix *prefix = &self->martians.v[i];
        struct block *block = &self->martians4[self->n_martians4];

        if (prefix->addr.family == 6) {
            self->martians6[self->n_martians6++] = *prefix;
            suspect(self->suspect6, prefix);
            continue;
        }
        block->net = hg_addr_ip4(&prefix->addr);
        block->mask = prefix->len ? UINT32_MAX << (32 - prefix->len) : 0;
        suspect(self->suspect4, prefix);
        self->n_martians4++;
    }
    return true;
}

static void
check_ip_free(void *self_)
{
    struct check_ip *self = self_;

    free(self->martians4);
    free(self->martians6);
}

/* Whether the header says the packet is longer than what is here, and
 * why. */
static hg_counter *
check_length(struct check_ip *self, const struct hg_packet *p, uint32_t length)
{
    if (length <= p->len - p->l3_offset)
        return NULL;
    return length <= p->wire_len - p->l3_offset ? &self->truncated
                                                : &self->bad_total_length;
}

static bool
is_martian4(const struct check_ip *self, uint32_t src)
{
    size_t i;

    for (i = 0; i < self->n_martians4; i++)
        if ((src & self->martians4[i].mask) == self->martians4[i].net)
            return true;
    return false;
}

static hg_counter *
check_ip4(struct check_ip *self, const struct hg_packet *p)
{
    const struct hg_ipv4 *ip = (const struct hg_ipv4 *)hg_packet_l3(p);
    uint32_t here = p->len - p->l3_offset;
    unsigned header_len;

    if (here < sizeof *ip)
        return p->wire_len > p->len ? &self->truncated : &self->too_short;
    if (ip->version_ihl >> 4 != 4)
        return &self->bad_version;
    header_len = hg_ipv4_header_len(ip);
    if (header_len < sizeof *ip)
        return &self->bad_header_length;
    if (header_len > here)
        return p->wire_len - p->l3_offset >= header_len
                   ? &self->truncated
                   : &self->bad_header_length;
    if (!hg_checksum_ipv4_ok(ip, header_len))
        return &self->bad_checksum;
    if (hg_get16(ip->total_length) < header_len)
        return &self->bad_total_length;
    if (self->suspect4[ip->src.b[0]] && is_martian4(self, hg_get32(ip->src)))
        return &self->bad_source;
    return check_length(self, p, hg_get16(ip->total_length));
}

static bool
is_martian6(const struct check_ip *self, const uint8_t *byte)
{
    struct hg_addr src = {.family = 6};
    size_t i;

    memcpy(src.byte, byte, sizeof src.byte);
    for (i = 0; i < self->n_martians6; i++)
        if (hg_prefix_contains(&self->martians6[i], &src))
            return true;
    return false;
}

static hg_counter *
check_ip6(struct check_ip *self, const struct hg_packet *p)
{
    const struct hg_ipv6 *ip = (const struct hg_ipv6 *)hg_packet_l3(p);
    hg_counter *reason;

    if (p->len - p->l3_offset < sizeof *ip)
        return p->wire_len > p->len ? &self->truncated : &self->too_short;
    if (ip->version_class_flow.b[0] >> 4 != 6)
        return &self->bad_version;
    if (self->suspect6[ip->src[0]] && is_martian6(self, ip->src))
        return &self->bad_source;
    reason = check_length(self, p,
                          (uint32_t)sizeof *ip + hg_get16(ip->payload_length));
    if (reason)
        return reason;
    return p->flags & HG_PACKET_BAD_EXT ? &self->bad_extension : NULL;
}

/* Whether 'protocol' is one whose header the parser announces. */
static bool
has_known_header(const struct hg_packet *p)
{
    return p->protocol == HG_PROTO_TCP || p->protocol == HG_PROTO_UDP ||
           p->protocol ==
               (p->flags & HG_PACKET_IP6 ? HG_PROTO_ICMP6 : HG_PROTO_ICMP);
}

/* Bytes from the L4 header on, of a packet whose length was checked. */
static uint32_t
l4_len(const struct hg_packet *p)
{
    const struct hg_ipv4 *ip = hg_packet_ipv4(p);

    return ip ? hg_get16(ip->total_length) -
                    (uint32_t)(p->l4_offset - p->l3_offset)
              : hg_packet_l4_len(p);
}

static hg_counter *
check_l4(struct check_ip *self, const struct hg_packet *p)
{
    const struct hg_udp *udp = hg_packet_udp(p);

    if (p->flags & HG_PACKET_FRAGMENT)
        return NULL;
    if (!(p->flags & HG_PACKET_L4))
        return has_known_header(p) ? &self->bad_l4_header : NULL;
    /* RFC 768: "Length is the length in octets of this user datagram
     * including this header". */
    if (udp && (hg_get16(udp->length) < sizeof *udp ||
                hg_get16(udp->length) > l4_len(p)))
        return &self->bad_l4_header;
    if (self->l4_checksums && !(p->flags & HG_PACKET_NEEDS_CSUM) &&
        !hg_packet_l4_checksum_ok(p))
        return &self->bad_l4_checksum;
    return NULL;
}

static int
check_ip_packet(struct check_ip *self, struct hg_packet *p)
{
    hg_counter *reason;

    if (p->ether_type == HG_ETH_IP4)
        reason = check_ip4(self, p);
    else if (p->ether_type == HG_ETH_IP6)
        reason = check_ip6(self, p);
    else
        return hg_is_wired(self, OTHER) ? OTHER : hg_drop(&self->not_ip);
    if (!reason)
        reason = check_l4(self, p);
    return reason ? hg_drop(reason) : OUT;
}

/* Whether a packet is as most are, and right: TCP or UDP right behind an IPv4
 * header without options, which the parser found whole.  Lengths are
 * subtracted, of which none may come out negative.  Of any other packet
 * check_ip_packet() says what it is. */
static inline bool
is_plain(const struct check_ip *self, const struct hg_packet *p)
{
    enum { L3_LEN = sizeof(struct hg_ipv4), UDP_LEN = sizeof(struct hg_udp) };
    const uint32_t asked = HG_PACKET_IP4 | HG_PACKET_PORTS;
    const struct hg_ipv4 *ip = (const struct hg_ipv4 *)hg_packet_l3(p);
    int32_t here, total, udp_len;

    if ((p->flags & asked) != asked || p->l4_offset - p->l3_offset != L3_LEN)
        return false;
    here = (int32_t)(p->len - p->l3_offset);
    total = hg_get16(ip->total_length);
    udp_len = p->protocol == HG_PROTO_UDP
                  ? hg_get16(((const struct hg_udp *)(ip + 1))->length)
                  : UDP_LEN;
    return (((here - total) | (total - L3_LEN - udp_len) |
             (udp_len - UDP_LEN)) >= 0) &
           hg_checksum_ipv4_plain_ok(ip, 0) & !self->suspect4[ip->src.b[0]];
}

static void
check_ip_batch(struct check_ip *self, struct hg_batch *batch)
{
    uint16_t other[HG_BATCH_MAX]; /* Places in the batch. */
    int16_t verdict[HG_BATCH_MAX];
    const bool asks_more = self->l4_checksums;
    unsigned i, n = 0;

    for (i = 0; i < batch->n; i++) {
        verdict[i] = OUT;
        other[n] = (uint16_t)i;
        n += !is_plain(self, batch->p[i]) | asks_more;
    }
    if (!n) {
        hg_pass(self, OUT, batch);
        return;
    }
    for (i = 0; i < n; i++)
        verdict[other[i]] = (int16_t)check_ip_packet(self, batch->p[other[i]]);
    hg_route(self, batch, verdict);
}

/* Sources that no router may forward: RFC 1812 5.3.7, RFC 1122 3.2.1.3,
 * RFC 4291 2.5.2, 2.5.3 and 2.7. */
#define MARTIANS                                                              \
    "0.0.0.0/8 127.0.0.0/8 224.0.0.0/4 240.0.0.0/4 ::/128 ::1/128 ff00::/8"

/* clang-format off */
HG_BATCH_ELEMENT(CheckIP, struct check_ip, check_ip_batch,
    .summary = "drops packets with a wrong IP or transport header",
    .doc = "What is not IP leaves on 'other', ARP for instance, or is "
           "dropped if that is not wired.\n"
           "The default martians include 0.0.0.0/8, from which DHCP clients "
           "speak; a graph that serves them gives a list of its own.",
    .example = "Interface lan { }\n"
               "CheckIP   check { l4-checksums = true }\n"
               "connect(\"lan -> check -> lan\")\n"
               "connect(\"check[other] -> Discard\")\n",
    .flags = HG_CLASS_ANY_WORKER, .inputs = "in", .outputs = "out other?", .provides = "ip",
    .configure = check_ip_configure, .free = check_ip_free,
    .fields = HG_FIELDS(
        HG_OPTION(martians, .def = MARTIANS,
                  .doc = "sources that are not allowed"),
        HG_OPTION(l4_checksums,
                  .doc = "also verify TCP, UDP and ICMP checksums"),
        HG_REASON(not_ip, .doc = "not IP, and 'other' is not wired"),
        HG_REASON(too_short, .doc = "no room for an IP header"),
        HG_REASON(bad_version, .doc = "version is not that of its EtherType"),
        HG_REASON(bad_header_length,
                  .doc = "IPv4 header shorter than 20 bytes or longer than "
                         "the packet"),
        HG_REASON(bad_checksum, .doc = "wrong IPv4 header checksum"),
        HG_REASON(bad_total_length,
                  .doc = "length in the header less than the header or more "
                         "than the frame"),
        HG_REASON(truncated, .doc = "cut by the capture"),
        HG_REASON(bad_source, .doc = "source in 'martians'"),
        HG_REASON(bad_extension,
                  .doc = "IPv6 extension header cut or malformed"),
        HG_REASON(bad_l4_header,
                  .doc = "TCP, UDP or ICMP header cut or malformed"),
        HG_REASON(bad_l4_checksum, .doc = "wrong TCP, UDP or ICMP checksum")))
/* clang-format on */
