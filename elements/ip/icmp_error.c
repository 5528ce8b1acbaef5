/* IcmpError: answers packets with an ICMP or ICMPv6 error message.
 *
 * Stands behind the output by which another element refuses packets: DecTTL's
 * "expired", Fragment's "too-big".  The answer goes out, to be routed back to
 * the sender; the packet itself ends here.  Not every packet is answered
 * (RFC 1812 4.3.2.7, RFC 4443 2.4(e)), and not every one of many
 * (RFC 1812 4.3.2.8, RFC 4443 2.4(f)). */
#include <headgate/element.h>

struct icmp_error {
    uint8_t type;
    uint8_t code;
    uint16_t mtu; /* Of the link that the packet does not fit. */
    struct hg_addr source;
    struct hg_addr source6;
    struct hg_rate rate;
    uint32_t burst;

    hg_counter answered; /* Drop reasons from here on. */
    hg_counter not_ip;
    hg_counter icmp_error;
    hg_counter later_fragment;
    hg_counter multicast;
    hg_counter bad_source;
    hg_counter no_source;
    hg_counter rate_limited;
    hg_counter no_memory;

    uint64_t level;      /* Billionths of answers that may be sent. */
    uint64_t settled_ns; /* When 'level' was right. */
};

enum { OUT };
enum { TIME_EXCEEDED, UNREACHABLE, FRAGMENTATION_NEEDED };
enum { NET, HOST, PORT, PROHIBITED };

enum {
    IP4_ANSWER_MAX = 576,  /* RFC 1812 4.3.2.3 */
    IP6_ANSWER_MAX = 1280, /* RFC 4443 2.4(c) */
    TTL = 64,              /* RFC 1700, "IP TIME TO LIVE PARAMETER" */
    TOS = 0xc0             /* Precedence 6: RFC 1812 4.3.2.5 */
};

/* Codes of "unreachable", by 'code': RFC 792, RFC 1812 5.2.7.1; RFC 4443
 * 3.1. */
static const uint8_t unreachable4[] = {0, 1, 3, 13};
static const uint8_t unreachable6[] = {0, 3, 4, 1};

static bool
icmp_error_configure(void *self_)
{
    struct icmp_error *self = self_;
    bool ok = true;

    if (!self->source.family && !self->source6.family)
        ok = hg_config_error(self, NULL, -1,
                             "it has no address to answer from; give "
                             "'source', 'source6' or both");
    if (self->source.family == 6)
        ok = hg_config_error(self, "source", -1,
                             "'source' is an IPv4 address; 'source6' is for "
                             "IPv6");
    if (self->source6.family == 4)
        ok = hg_config_error(self, "source6", -1,
                             "'source6' is an IPv6 address; 'source' is for "
                             "IPv4");
    if (self->rate.unit != HG_RATE_PACKETS)
        ok = hg_config_error(self, "rate", -1,
                             "the rate counts packets, such as 100pps");
    if (hg_option_given(self, "code") && self->type != UNREACHABLE)
        ok = hg_config_error(self, "code", -1,
                             "only 'type = unreachable' has a choice of "
                             "codes");
    if (hg_option_given(self, "mtu") && self->type != FRAGMENTATION_NEEDED)
        ok = hg_config_error(self, "mtu", -1,
                             "only 'type = fragmentation-needed' tells an "
                             "mtu");
    return ok;
}

static bool
icmp_error_start(void *self_, struct hg_error *error)
{
    struct icmp_error *self = self_;

    (void)error;
    self->level = self->burst * HG_SEC;
    self->settled_ns = hg_now(self);
    return true;
}

/* Takes one answer from the token bucket, as Shaper does. */
static bool
within_rate(struct icmp_error *self, uint64_t now_ns)
{
    unsigned __int128 level = self->level;

    if (now_ns > self->settled_ns) {
        level += (unsigned __int128)(now_ns - self->settled_ns) *
                 self->rate.per_second;
        self->settled_ns = now_ns;
    }
    self->level =
        level < self->burst * HG_SEC ? (uint64_t)level : self->burst * HG_SEC;
    if (self->level < HG_SEC)
        return false;
    self->level -= HG_SEC;
    return true;
}

/* Whether the packet is an ICMP error message, or may be one: its type is
 * not here. */
static bool
is_icmp_error(const struct hg_packet *p)
{
    const struct hg_icmp *icmp = hg_packet_icmp(p);
    bool ip6 = (p->flags & HG_PACKET_IP6) != 0;

    if (p->protocol != (ip6 ? HG_PROTO_ICMP6 : HG_PROTO_ICMP))
        return false;
    return !icmp || hg_icmp_is_error(ip6 ? 6 : 4, icmp->type) ||
           (ip6 && icmp->type == HG_ICMP6_REDIRECT);
}

/* Whether it was sent to more than one. */
static bool
is_multicast(const struct hg_packet *p)
{
    const struct hg_ipv6 *ip6 = hg_packet_ipv6(p);
    const struct hg_ipv4 *ip4 = hg_packet_ipv4(p);

    if (hg_packet_eth(p)->dst.byte[0] & 1)
        return true;
    if (ip6)
        return ip6->dst[0] == 0xff;
    return ip4->dst.b[0] >= 224; /* 255.255.255.255 and class E as well. */
}

/* Whether its source is one host that can be answered. */
static bool
is_single_host(const struct hg_packet *p)
{
    static const uint8_t zero[15];
    const struct hg_ipv6 *ip6 = hg_packet_ipv6(p);
    const struct hg_ipv4 *ip4 = hg_packet_ipv4(p);

    if (ip6) /* Not multicast, unspecified or loopback. */
        return ip6->src[0] != 0xff &&
               (memcmp(ip6->src, zero, 15) != 0 || ip6->src[15] > 1);
    return ip4->src.b[0] != 0 && ip4->src.b[0] != 127 && ip4->src.b[0] < 224;
}

/* Why the packet is not answered, or NULL. */
static hg_counter *
refusal(struct icmp_error *self, const struct hg_packet *p)
{
    bool ip6 = (p->flags & HG_PACKET_IP6) != 0;

    if (!hg_packet_is_ip(p))
        return &self->not_ip;
    if (p->flags & HG_PACKET_FRAGMENT_LATER)
        return &self->later_fragment;
    if (is_icmp_error(p))
        return &self->icmp_error;
    /* Path MTU discovery works for multicast: RFC 4443 2.4(e.3). */
    if (is_multicast(p) && !(ip6 && self->type == FRAGMENTATION_NEEDED))
        return &self->multicast;
    if (!is_single_host(p))
        return &self->bad_source;
    if (!(ip6 ? self->source6 : self->source).family)
        return &self->no_source;
    if (!within_rate(self, p->time_ns))
        return &self->rate_limited;
    return NULL;
}

static void
write_ip4(const struct icmp_error *self, const struct hg_packet *p,
          uint8_t *l3, uint32_t len)
{
    static const uint8_t types[] = {HG_ICMP_TIME_EXCEEDED, HG_ICMP_UNREACH,
                                    HG_ICMP_UNREACH};
    struct hg_ipv4 *ip = (struct hg_ipv4 *)l3;
    struct hg_icmp *icmp = (struct hg_icmp *)(l3 + sizeof *ip);

    *ip = (struct hg_ipv4){.version_ihl = 0x45,
                           .tos = TOS,
                           .total_length = hg_be16_of((uint16_t)len),
                           .frag = hg_be16_of(HG_IP4_DF),
                           .ttl = TTL,
                           .protocol = HG_PROTO_ICMP,
                           .dst = hg_packet_ipv4(p)->src};
    memcpy(&ip->src, self->source.byte, sizeof ip->src);
    *icmp = (struct hg_icmp){.type = types[self->type]};
    if (self->type == UNREACHABLE)
        icmp->code = unreachable4[self->code];
    if (self->type == FRAGMENTATION_NEEDED) {
        icmp->code = 4;
        icmp->seq = hg_be16_of(self->mtu); /* RFC 1191 4 */
    }
}

static void
write_ip6(const struct icmp_error *self, const struct hg_packet *p,
          uint8_t *l3, uint32_t len)
{
    static const uint8_t types[] = {HG_ICMP6_TIME_EXCEEDED, HG_ICMP6_UNREACH,
                                    HG_ICMP6_TOO_BIG};
    struct hg_ipv6 *ip = (struct hg_ipv6 *)l3;
    struct hg_icmp *icmp = (struct hg_icmp *)(l3 + sizeof *ip);

    *ip = (struct hg_ipv6){
        .version_class_flow = hg_be32_of(UINT32_C(0x60000000)),
        .payload_length = hg_be16_of((uint16_t)(len - sizeof *ip)),
        .next_header = HG_PROTO_ICMP6,
        .hop_limit = TTL};
    memcpy(ip->src, self->source6.byte, sizeof ip->src);
    memcpy(ip->dst, hg_packet_ipv6(p)->src, sizeof ip->dst);
    *icmp = (struct hg_icmp){.type = types[self->type]};
    if (self->type == UNREACHABLE)
        icmp->code = unreachable6[self->code];
    if (self->type == FRAGMENTATION_NEEDED)
        icmp->seq = hg_be16_of(self->mtu); /* Low half of the MTU: 3.2. */
}

/* The answer to 'p', quoting as much of it as fits; NULL without memory. */
static struct hg_packet *
make_answer(struct icmp_error *self, const struct hg_packet *p)
{
    bool ip6 = (p->flags & HG_PACKET_IP6) != 0;
    uint32_t headers = (ip6 ? 40 : 20) + (uint32_t)sizeof(struct hg_icmp);
    uint32_t room = (ip6 ? IP6_ANSWER_MAX : IP4_ANSWER_MAX) - headers;
    uint32_t quoted = hg_packet_l3_len(p);
    struct hg_packet *answer;
    struct hg_eth *eth;
    uint8_t *l3;

    if (quoted > room)
        quoted = room;
    answer = hg_make(self, p->l3_offset + headers + quoted, p);
    if (!answer)
        return NULL;
    memcpy(answer->data, p->data, p->l3_offset);
    eth = (struct hg_eth *)answer->data;
    eth->dst = hg_packet_eth(p)->src;
    eth->src = hg_packet_eth(p)->dst;
    l3 = answer->data + p->l3_offset;
    if (ip6)
        write_ip6(self, p, l3, headers + quoted);
    else
        write_ip4(self, p, l3, headers + quoted);
    memcpy(l3 + headers, hg_packet_l3(p), quoted);
    hg_packet_parse(answer);
    hg_packet_set_checksums(answer);
    answer->dst_eni = p->src_eni;
    answer->src_eni = NULL;
    return answer;
}

static int
icmp_error_packet(struct icmp_error *self, struct hg_packet *p)
{
    hg_counter *reason = refusal(self, p);
    struct hg_packet *answer;

    if (reason)
        return hg_drop(reason);
    answer = make_answer(self, p);
    if (!answer)
        return hg_drop(&self->no_memory);
    hg_emit(self, OUT, answer);
    return hg_drop(&self->answered);
}

/* clang-format off */
HG_ELEMENT(IcmpError, struct icmp_error, icmp_error_packet,
    .summary = "answers packets with an ICMP error",
    .doc = "Each packet that comes in ends here; for those that may be "
           "answered a message to their sender leaves.",
    .example = "Interface lan { }\n"
               "Interface wan { }\n"
               "DecTTL    ttl { }\n"
               "IcmpError late {\n"
               "    type    = time-exceeded\n"
               "    source  = 10.0.0.1\n"
               "    source6 = fd00::1\n"
               "}\n"
               "connect(\"lan -> CheckIP -> ttl -> wan\")\n"
               "connect(\"ttl[expired] -> late -> lan\")\n",
    .flags = HG_CLASS_UNANSWERED, .inputs = "in", .outputs = "out", .needs = "ip",
    .configure = icmp_error_configure, .start = icmp_error_start,
    .fields = HG_FIELDS(
        HG_OPTION(type, .required = true,
                  .choices = "time-exceeded unreachable fragmentation-needed",
                  .doc = "what went wrong; for IPv6 fragmentation-needed is "
                         "packet too big"),
        HG_OPTION(code, .def = "host", .choices = "net host port prohibited",
                  .doc = "what is unreachable, or that it is prohibited"),
        HG_OPTION(mtu, .def = "1500", .min = 68,
                  .doc = "bytes of the largest IP packet that would fit, to "
                         "tell the sender"),
        HG_OPTION(source, .doc = "IPv4 address to answer from"),
        HG_OPTION(source6, .doc = "IPv6 address to answer from"),
        HG_OPTION(rate, .def = "100pps", .min = 1,
                  .doc = "answers in a second, at most"),
        HG_OPTION(burst, .def = "10", .min = 1,
                  .doc = "answers at once after a pause"),
        HG_REASON(answered, .doc = "answered"),
        HG_REASON(not_ip, .doc = "not IP"),
        HG_REASON(icmp_error, .doc = "itself an ICMP error, or cut so that "
                                     "this cannot be seen"),
        HG_REASON(later_fragment, .doc = "a fragment other than the first"),
        HG_REASON(multicast, .doc = "sent to a broadcast or multicast "
                                    "address"),
        HG_REASON(bad_source, .doc = "its source is not a single host"),
        HG_REASON(no_source, .doc = "no 'source' of its IP version"),
        HG_REASON(rate_limited, .doc = "too many answers already"),
        HG_REASON(no_memory, .doc = "no memory for the answer")))
/* clang-format on */
