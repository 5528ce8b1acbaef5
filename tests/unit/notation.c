/* notation.c: reads the text of packets (notation.h) and compares it.
 *
 * A text is cut into words; words fill a struct spec; the spec is written as
 * a frame.  Checksums and offsets are the library's own (test_packet.c checks
 * those against published packets). */
#include "notation.h"

#include <headgate/checksum.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORDS_MAX = 64, VLANS_MAX = 16 };

/* One word, or what stands between a pair of parentheses. */
struct word {
    char text[512];
    bool is_group;
};

struct words {
    struct word word[WORDS_MAX];
    size_t n;
};

enum kind { TCP, UDP, ICMP, IP, ARP, ETH, RUNT };

static const char *const kinds[] = {"tcp", "udp", "icmp", "ip",
                                    "arp", "eth", "runt"};

struct spec {
    enum kind kind;
    bool is_quoted;
    struct hg_addr src, dst;
    uint32_t sport, dport;
    uint16_t vlan[VLANS_MAX];
    unsigned n_vlans;
    struct hg_mac smac, dmac;
    uint32_t len, ttl, tos, seq, ack, mss, win, id, mtu, proto, type, code;
    uint32_t cut, pad, op;
    bool has_tcp_flags;
    uint8_t tcp_flags;
    bool is_icmp_error;
    uint32_t echo_id;
    bool df;
    bool is_fragment, more_fragments;
    uint32_t frag_offset;
    bool bad_checksum, bad_header_checksum, bad_ext;
    struct hg_addr arp_sender, arp_target;
    struct hg_packet *quoted;
};

/* ---- Words ------------------------------------------------------------ */

static bool
add_word(struct words *words, const char *at, size_t n, bool is_group,
         struct hg_error *error)
{
    struct word *word = &words->word[words->n];

    if (words->n == WORDS_MAX || n >= sizeof word->text)
        return hg_error_set(error, "'%.40s': too long", at);
    memcpy(word->text, at, n);
    word->text[n] = '\0';
    word->is_group = is_group;
    words->n++;
    return true;
}

static bool
split(const char *text, struct words *words, struct hg_error *error)
{
    words->n = 0;
    for (text += strspn(text, " \n"); *text; text += strspn(text, " \n")) {
        size_t n = strcspn(text, " \n");

        if (*text != '(') {
            if (!add_word(words, text, n, false, error))
                return false;
            text += n;
            continue;
        }
        n = strcspn(text, ")");
        if (!text[n])
            return hg_error_set(error, "'%s': no ')'", text);
        if (!add_word(words, text + 1, n - 1, true, error))
            return false;
        text += n + 1;
    }
    return true;
}

/* ---- Text to spec ----------------------------------------------------- */

/* Words that a number follows. */
static const struct number_word {
    const char *name;
    size_t offset;
    uint64_t max;
} number_words[] = {
    {"len", offsetof(struct spec, len), HG_PACKET_MAX},
    {"ttl", offsetof(struct spec, ttl), 255},
    {"tos", offsetof(struct spec, tos), 255},
    {"seq", offsetof(struct spec, seq), UINT32_MAX},
    {"ack", offsetof(struct spec, ack), UINT32_MAX},
    {"mss", offsetof(struct spec, mss), UINT16_MAX},
    {"win", offsetof(struct spec, win), UINT16_MAX},
    {"id", offsetof(struct spec, id), UINT32_MAX},
    {"mtu", offsetof(struct spec, mtu), UINT32_MAX},
    {"proto", offsetof(struct spec, proto), 255},
    {"type", offsetof(struct spec, type), UINT16_MAX},
    {"code", offsetof(struct spec, code), 255},
    {"cut", offsetof(struct spec, cut), HG_PACKET_MAX},
    {"pad", offsetof(struct spec, pad), HG_PACKET_MAX},
    {"op", offsetof(struct spec, op), UINT16_MAX},
};

/* ICMP types by name, of version 4 and 6; -1: there is none. */
static const struct icmp_word {
    const char *name;
    int type4, type6;
    bool is_error;
} icmp_words[] = {
    {"echo", HG_ICMP_ECHO, HG_ICMP6_ECHO, false},
    {"reply", HG_ICMP_ECHO_REPLY, HG_ICMP6_ECHO_REPLY, false},
    {"unreachable", HG_ICMP_UNREACH, HG_ICMP6_UNREACH, true},
    {"quench", HG_ICMP_QUENCH, -1, true},
    {"redirect", HG_ICMP_REDIRECT, -1, true},
    {"time-exceeded", HG_ICMP_TIME_EXCEEDED, HG_ICMP6_TIME_EXCEEDED, true},
    {"parameter", HG_ICMP_PARAMETER, HG_ICMP6_PARAMETER, true},
    {"too-big", -1, HG_ICMP6_TOO_BIG, true},
};

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static bool
parse_number(const char *name, const char *text, uint64_t max, uint32_t *out,
             struct hg_error *error)
{
    uint64_t value;

    if (!text || !hg_number_parse(text, &value) || value > max)
        return hg_error_set(error, "%s '%s': not a number up to %llu", name,
                            text ? text : "", (unsigned long long)max);
    *out = (uint32_t)value;
    return true;
}

/* "10.0.0.1:80" or "[2001:db8::1]:80", or without port. */
static bool
parse_end(const char *text, bool has_port, struct hg_addr *addr,
          uint32_t *port, struct hg_error *error)
{
    char buf[64];
    char *colon;

    if (!text || strlen(text) >= sizeof buf)
        return hg_error_set(error, "'%s': not an address", text ? text : "");
    strcpy(buf, text);
    if (has_port) {
        colon = strrchr(buf, ':');
        if (!colon ||
            !parse_number("port", colon + 1, UINT16_MAX, port, error))
            return hg_error_set(error, "'%s': not address:port", text);
        *colon = '\0';
        if (buf[0] == '[' && colon[-1] == ']') {
            colon[-1] = '\0';
            memmove(buf, buf + 1, strlen(buf));
        }
    }
    if (!hg_addr_parse(buf, addr))
        return hg_error_set(error, "'%s': not an address", text);
    return true;
}

static bool
parse_tcp_flags(const char *text, uint8_t *out)
{
    static const char letters[] = "FSRP.UEW"; /* From bit 0 on. */
    const char *letter;
    uint8_t flags = 0;

    if (strcmp(text, "none"))
        for (; *text; text++) {
            letter = strchr(letters, *text);
            if (!letter)
                return false;
            flags = (uint8_t)(flags | 1U << (letter - letters));
        }
    *out = flags;
    return true;
}

static bool
parse_frag(const char *text, struct spec *spec, struct hg_error *error)
{
    char buf[16];
    size_t n = text ? strlen(text) : 0;

    if (!n || n >= sizeof buf)
        return hg_error_set(error, "frag '%s': not an offset",
                            text ? text : "");
    strcpy(buf, text);
    spec->is_fragment = true;
    if (buf[n - 1] == '+') {
        spec->more_fragments = true;
        buf[n - 1] = '\0';
    }
    if (!parse_number("frag", buf, 65528, &spec->frag_offset, error))
        return false;
    if (spec->frag_offset % 8)
        return hg_error_set(error, "frag '%s': not a multiple of 8", text);
    return true;
}

static bool
parse_address_word(const char *name, const char *value, struct spec *spec,
                   struct hg_error *error)
{
    struct hg_addr *addr;

    if (!strcmp(name, "who-has") || !strcmp(name, "to"))
        addr = &spec->arp_target;
    else
        addr = &spec->arp_sender;
    if (!strcmp(name, "who-has"))
        spec->op = 1;
    else if (!strcmp(name, "reply"))
        spec->op = 2;
    return parse_end(value, false, addr, NULL, error);
}

/* A word with a value; sets '*known' if it is one. */
static bool
parse_valued(const char *name, const char *value, struct spec *spec,
             bool *known, struct hg_error *error)
{
    size_t i;

    *known = true;
    if (spec->kind == ARP &&
        (!strcmp(name, "who-has") || !strcmp(name, "tell") ||
         !strcmp(name, "reply") || !strcmp(name, "to")))
        return parse_address_word(name, value, spec, error);
    if (!strcmp(name, "smac") || !strcmp(name, "is-at"))
        return value && hg_mac_parse(value, &spec->smac)
                   ? true
                   : hg_error_set(error, "%s: not a MAC address", name);
    if (!strcmp(name, "dmac"))
        return value && hg_mac_parse(value, &spec->dmac)
                   ? true
                   : hg_error_set(error, "%s: not a MAC address", name);
    if (!strcmp(name, "frag"))
        return parse_frag(value, spec, error);
    for (i = 0; i < LENGTH(number_words); i++)
        if (!strcmp(name, number_words[i].name))
            return parse_number(
                name, value, number_words[i].max,
                (uint32_t *)(void *)((char *)spec + number_words[i].offset),
                error);
    for (i = 0; i < LENGTH(icmp_words) && spec->kind == ICMP; i++) {
        const struct icmp_word *word = &icmp_words[i];
        int type = spec->src.family == 6 ? word->type6 : word->type4;

        if (strcmp(name, word->name))
            continue;
        if (type < 0)
            return hg_error_set(error, "'%s': not of this IP version", name);
        spec->type = (uint32_t)type;
        spec->is_icmp_error = word->is_error;
        return parse_number(name, value, word->is_error ? 255 : UINT16_MAX,
                            word->is_error ? &spec->code : &spec->echo_id,
                            error);
    }
    *known = false;
    return true;
}

/* A word without a value. */
static bool
parse_single(const char *name, struct spec *spec, struct hg_error *error)
{
    if (!strcmp(name, "df"))
        spec->df = true;
    else if (!strcmp(name, "bad-checksum"))
        spec->bad_checksum = true;
    else if (!strcmp(name, "bad-header-checksum"))
        spec->bad_header_checksum = true;
    else if (!strcmp(name, "bad-ext"))
        spec->bad_ext = true;
    else if (spec->kind == TCP && !spec->has_tcp_flags &&
             parse_tcp_flags(name, &spec->tcp_flags))
        spec->has_tcp_flags = true;
    else
        return hg_error_set(error, "'%s': unknown word", name);
    return true;
}

static struct hg_packet *parse_packet(struct hg_pool *, const char *text,
                                      bool is_quoted, struct hg_error *);

/* "[vlan N ...] kind [source > destination]"; returns the number of words. */
static size_t
parse_head(const struct words *words, struct spec *spec,
           struct hg_error *error)
{
    size_t i = 0;
    size_t kind;
    uint32_t id = 0;

    for (; i + 1 < words->n && !strcmp(words->word[i].text, "vlan"); i += 2) {
        if (spec->n_vlans == VLANS_MAX ||
            !parse_number("vlan", words->word[i + 1].text, 4095, &id, error))
            return 0;
        spec->vlan[spec->n_vlans++] = (uint16_t)id;
    }
    for (kind = 0; i < words->n && kind < LENGTH(kinds); kind++)
        if (!strcmp(words->word[i].text, kinds[kind]))
            break;
    if (i == words->n || kind == LENGTH(kinds)) {
        hg_error_set(error, "'%s': not a kind of packet",
                     i < words->n ? words->word[i].text : "");
        return 0;
    }
    spec->kind = (enum kind)kind;
    if (spec->kind == RUNT)
        return i; /* "runt" takes the number itself. */
    if (spec->kind > IP)
        return i + 1;
    if (words->n < i + 4 || strcmp(words->word[i + 2].text, ">")) {
        hg_error_set(error, "'%s' needs 'source > destination'",
                     words->word[i].text);
        return 0;
    }
    if (!parse_end(words->word[i + 1].text, spec->kind <= UDP, &spec->src,
                   &spec->sport, error) ||
        !parse_end(words->word[i + 3].text, spec->kind <= UDP, &spec->dst,
                   &spec->dport, error))
        return 0;
    if (spec->src.family != spec->dst.family) {
        hg_error_set(error, "'%s' and '%s': not of one IP version",
                     words->word[i + 1].text, words->word[i + 3].text);
        return 0;
    }
    return i + 4;
}

static bool
parse_spec(struct hg_pool *pool, const struct words *words, struct spec *spec,
           struct hg_error *error)
{
    size_t i = parse_head(words, spec, error);

    if (!i && spec->kind != RUNT)
        return false;
    if (spec->kind == RUNT)
        return parse_number("runt",
                            i + 1 < words->n ? words->word[i + 1].text : NULL,
                            sizeof(struct hg_eth) - 1, &spec->len, error);
    while (i < words->n) {
        const char *name = words->word[i].text;
        const char *value = i + 1 < words->n ? words->word[i + 1].text : NULL;
        bool is_valued;

        if (words->word[i].is_group) {
            if (!spec->is_icmp_error)
                return hg_error_set(error, "'(%s)': only an ICMP error quotes",
                                    name);
            spec->quoted = parse_packet(pool, name, true, error);
            if (!spec->quoted)
                return false;
            i++;
            continue;
        }
        if (!parse_valued(name, value, spec, &is_valued, error))
            return false;
        if (!is_valued && !parse_single(name, spec, error))
            return false;
        i += is_valued ? 2 : 1;
    }
    if (spec->kind == TCP && !spec->has_tcp_flags && !spec->is_quoted)
        return hg_error_set(error, "tcp needs flags, such as 'S' or 'none'");
    return true;
}

/* ---- Spec to frame ---------------------------------------------------- */

struct frame {
    uint8_t byte[HG_PACKET_MAX];
    uint32_t len;
    bool is_full;
};

static uint8_t *
grow(struct frame *f, uint32_t n)
{
    static uint8_t nowhere[HG_PACKET_MAX];
    uint8_t *at = f->byte + f->len;

    if (n > sizeof f->byte - f->len) {
        f->is_full = true;
        return nowhere;
    }
    memset(at, 0, n);
    f->len += n;
    return at;
}

static void
put_payload(struct frame *f, uint32_t n)
{
    uint8_t *at = grow(f, n);
    uint32_t i;

    for (i = 0; i < n; i++)
        at[i] = (uint8_t)i;
}

static void
put_tcp(struct frame *f, const struct spec *spec)
{
    uint32_t options = spec->mss ? 4 : 0;
    struct hg_tcp *tcp =
        (struct hg_tcp *)grow(f, (uint32_t)sizeof *tcp + options);
    uint8_t *option = (uint8_t *)(tcp + 1);

    tcp->sport = hg_be16_of((uint16_t)spec->sport);
    tcp->dport = hg_be16_of((uint16_t)spec->dport);
    tcp->seq = hg_be32_of(spec->seq);
    tcp->ack = hg_be32_of(spec->ack);
    tcp->data_offset = (uint8_t)((sizeof *tcp + options) / 4 << 4);
    tcp->flags = spec->tcp_flags;
    tcp->window = hg_be16_of((uint16_t)spec->win);
    if (spec->mss) {
        option[0] = 2; /* RFC 9293 3.7.1 */
        option[1] = 4;
        hg_store16(option + 2, (uint16_t)spec->mss);
    }
    put_payload(f, spec->len);
}

static void
put_udp(struct frame *f, const struct spec *spec)
{
    struct hg_udp *udp = (struct hg_udp *)grow(f, sizeof *udp);

    udp->sport = hg_be16_of((uint16_t)spec->sport);
    udp->dport = hg_be16_of((uint16_t)spec->dport);
    udp->length = hg_be16_of((uint16_t)(sizeof *udp + spec->len));
    put_payload(f, spec->len);
}

static void
put_icmp(struct frame *f, const struct spec *spec)
{
    struct hg_icmp *icmp = (struct hg_icmp *)grow(f, sizeof *icmp);

    icmp->type = (uint8_t)spec->type;
    icmp->code = (uint8_t)spec->code;
    icmp->id = hg_be16_of((uint16_t)spec->echo_id);
    icmp->seq = hg_be16_of((uint16_t)spec->seq);
    if (spec->mtu && spec->src.family == 6)
        hg_store32(&icmp->id, spec->mtu);
    else if (spec->mtu)
        icmp->seq = hg_be16_of((uint16_t)spec->mtu);
    if (spec->quoted) {
        uint32_t n = spec->quoted->len - spec->quoted->l3_offset;

        memcpy(grow(f, n), hg_packet_l3(spec->quoted), n);
    } else {
        put_payload(f, spec->len);
    }
}

static uint8_t
protocol_of(const struct spec *spec)
{
    switch (spec->kind) {
    case TCP:
        return HG_PROTO_TCP;
    case UDP:
        return HG_PROTO_UDP;
    case ICMP:
        return spec->src.family == 6 ? HG_PROTO_ICMP6 : HG_PROTO_ICMP;
    default:
        return (uint8_t)spec->proto;
    }
}

static void
put_ip_header(struct frame *f, const struct spec *spec)
{
    if (spec->src.family == 4) {
        struct hg_ipv4 *ip = (struct hg_ipv4 *)grow(f, sizeof *ip);

        ip->version_ihl = 0x45;
        ip->tos = (uint8_t)spec->tos;
        ip->id = hg_be16_of((uint16_t)spec->id);
        ip->frag = hg_be16_of(spec->df ? HG_IP4_DF : 0);
        ip->ttl = (uint8_t)spec->ttl;
        ip->protocol = protocol_of(spec);
        memcpy(&ip->src, spec->src.byte, 4);
        memcpy(&ip->dst, spec->dst.byte, 4);
    } else {
        struct hg_ipv6 *ip = (struct hg_ipv6 *)grow(f, sizeof *ip);

        ip->version_class_flow = hg_be32_of(6U << 28 | spec->tos << 20);
        ip->hop_limit = (uint8_t)spec->ttl;
        ip->next_header = protocol_of(spec);
        memcpy(ip->src, spec->src.byte, 16);
        memcpy(ip->dst, spec->dst.byte, 16);
        if (spec->is_fragment) {
            struct hg_ipv6_frag *frag =
                (struct hg_ipv6_frag *)grow(f, sizeof *frag);

            ip->next_header = HG_PROTO_FRAGMENT;
            frag->next_header = protocol_of(spec);
            frag->id = hg_be32_of(spec->id);
        }
    }
}

/* The IP packet, its lengths set and its checksums not. */
static bool
put_ip(struct frame *f, const struct spec *spec, struct hg_error *error)
{
    uint32_t start = f->len;
    uint32_t len;

    put_ip_header(f, spec);
    if (spec->kind == TCP)
        put_tcp(f, spec);
    else if (spec->kind == UDP)
        put_udp(f, spec);
    else if (spec->kind == ICMP)
        put_icmp(f, spec);
    else
        put_payload(f, spec->len);
    len = f->len - start;
    if (len > UINT16_MAX)
        return hg_error_set(error, "an IP packet of %u bytes", len);
    if (spec->src.family == 4)
        hg_store16(f->byte + start + 2, (uint16_t)len);
    else
        hg_store16(f->byte + start + 4,
                   (uint16_t)(len - sizeof(struct hg_ipv6)));
    grow(f, spec->pad);
    return true;
}

static void
put_arp(struct frame *f, const struct spec *spec)
{
    struct hg_arp *arp = (struct hg_arp *)grow(f, sizeof *arp);

    arp->htype = hg_be16_of(1);
    arp->ptype = hg_be16_of(HG_ETH_IP4);
    arp->hlen = 6;
    arp->plen = 4;
    arp->op = hg_be16_of((uint16_t)spec->op);
    arp->sha = spec->smac;
    memcpy(&arp->spa, spec->arp_sender.byte, 4);
    if (spec->op != 1)
        arp->tha = spec->dmac;
    memcpy(&arp->tpa, spec->arp_target.byte, 4);
}

static uint16_t
ether_type_of(const struct spec *spec)
{
    if (spec->kind == ARP)
        return HG_ETH_ARP;
    if (spec->kind == ETH)
        return (uint16_t)spec->type;
    return spec->src.family == 6 ? HG_ETH_IP6 : HG_ETH_IP4;
}

static void
put_ethernet(struct frame *f, const struct spec *spec)
{
    struct hg_eth *eth = (struct hg_eth *)grow(f, sizeof *eth);
    hg_be16 *type = &eth->type;
    unsigned i;

    eth->src = spec->smac;
    eth->dst = spec->dmac;
    for (i = 0; i < spec->n_vlans; i++) {
        struct hg_vlan *vlan = (struct hg_vlan *)grow(f, sizeof *vlan);

        *type = hg_be16_of(HG_ETH_VLAN);
        vlan->tci = hg_be16_of(spec->vlan[i]);
        type = &vlan->type;
    }
    *type = hg_be16_of(ether_type_of(spec));
}

static void
make_fragment(struct hg_packet *p, const struct spec *spec)
{
    struct hg_ipv4 *ip = hg_packet_ipv4(p);

    if (ip) {
        uint32_t frag = spec->frag_offset / 8;

        frag |= spec->more_fragments ? HG_IP4_MF : 0;
        frag |= spec->df ? HG_IP4_DF : 0;
        ip->frag = hg_be16_of((uint16_t)frag);
    } else {
        struct hg_ipv6_frag *frag =
            (struct hg_ipv6_frag *)(hg_packet_ipv6(p) + 1);

        frag->offset =
            hg_be16_of((uint16_t)(spec->frag_offset | spec->more_fragments));
    }
}

/* Checksums, then what is to be wrong with the packet.  A first fragment has
 * the L4 checksum that it would have if it were all. */
static bool
finish_ip(struct hg_packet *p, const struct spec *spec, struct hg_error *error)
{
    static const uint8_t offset[] = {[TCP] = 16, [UDP] = 6, [ICMP] = 2};

    hg_packet_parse(p);
    if (!spec->frag_offset)
        hg_packet_set_checksums(p);
    if (spec->is_fragment) {
        make_fragment(p, spec);
        hg_packet_parse(p);
        hg_packet_set_checksums(p);
    }
    if (spec->bad_header_checksum && p->flags & HG_PACKET_IP4)
        hg_packet_l3(p)[10] ^= 0x55;
    if (spec->bad_checksum) {
        if (spec->kind > ICMP)
            return hg_error_set(error, "bad-checksum: nothing has one here");
        hg_packet_l4(p)[offset[spec->kind]] ^= 0x55;
    }
    if (spec->is_quoted && spec->kind == TCP && !spec->has_tcp_flags)
        p->len = p->l4_offset + 8U; /* RFC 792: 64 bits of the datagram. */
    if (spec->cut >= p->len - p->l3_offset)
        return hg_error_set(error, "cut %u: nothing is left", spec->cut);
    p->len -= spec->cut;
    hg_packet_parse(p);
    if (spec->bad_ext != !!(p->flags & HG_PACKET_BAD_EXT))
        return hg_error_set(error, "extension headers are %s",
                            spec->bad_ext ? "good" : "bad");
    return true;
}

static bool
put_frame(struct frame *f, const struct spec *spec, struct hg_error *error)
{
    f->len = 0;
    f->is_full = false;
    if (spec->kind == RUNT) {
        grow(f, spec->len);
        return true;
    }
    put_ethernet(f, spec);
    if (spec->kind <= IP && !put_ip(f, spec, error))
        return false;
    if (spec->kind == ARP)
        put_arp(f, spec);
    if (spec->kind == ETH)
        put_payload(f, spec->len);
    return f->is_full ? hg_error_set(error, "too long") : true;
}

static struct hg_packet *
make_packet(struct hg_pool *pool, const struct spec *spec,
            struct hg_error *error)
{
    static struct frame frame;
    struct hg_packet *p;

    if (!put_frame(&frame, spec, error))
        return NULL;
    p = hg_packet_alloc(pool, frame.len);
    if (!p) {
        hg_error_set(error, "the pool gives no packet");
        return NULL;
    }
    memcpy(p->data, frame.byte, frame.len);
    if (spec->kind > IP) {
        hg_packet_parse(p);
    } else if (!finish_ip(p, spec, error)) {
        hg_packet_free(p);
        return NULL;
    }
    return p;
}

static struct hg_packet *
parse_packet(struct hg_pool *pool, const char *text, bool is_quoted,
             struct hg_error *error)
{
    struct spec spec = {.is_quoted = is_quoted,
                        .ttl = 64,
                        .win = UINT16_MAX,
                        .smac = {{2, 0, 0, 0, 0, 1}},
                        .dmac = {{2, 0, 0, 0, 0, 2}}};
    struct words *words = calloc(1, sizeof *words);
    struct hg_packet *p = NULL;

    if (split(text, words, error) && parse_spec(pool, words, &spec, error))
        p = make_packet(pool, &spec, error);
    if (spec.quoted)
        hg_packet_free(spec.quoted);
    free(words);
    return p;
}

struct hg_packet *
notation_parse(struct hg_pool *pool, const char *text, struct hg_error *error)
{
    return parse_packet(pool, text, false, error);
}

/* ---- Comparing -------------------------------------------------------- */

/* Whether 'text' is what 'pattern' says; "*" stands for any characters. */
static bool
glob(const char *pattern, const char *text)
{
    if (*pattern == '*')
        return glob(pattern + 1, text) || (*text && glob(pattern, text + 1));
    if (!*pattern || *pattern != *text)
        return *pattern == *text;
    return glob(pattern + 1, text + 1);
}

/* Words after which comes a value that belongs to them. */
static bool
takes_value(const char *name)
{
    static const char *const others[] = {"frag", "smac",    "dmac", "is-at",
                                         "to",   "who-has", "tell", "reply",
                                         "vpc",  "mark",    "vlan", "runt"};
    size_t i;

    for (i = 0; i < LENGTH(others); i++)
        if (!strcmp(name, others[i]))
            return true;
    for (i = 0; i < LENGTH(number_words); i++)
        if (!strcmp(name, number_words[i].name))
            return true;
    for (i = 0; i < LENGTH(icmp_words); i++)
        if (!strcmp(name, icmp_words[i].name))
            return true;
    return false;
}

/* Finds the word 'name', not as a value, from word 'i' on. */
static const struct word *
find_word(const struct words *words, size_t i, const struct word *wanted)
{
    for (; i < words->n; i++) {
        const struct word *word = &words->word[i];

        if (word->is_group != wanted->is_group)
            continue;
        if (word->is_group || glob(wanted->text, word->text))
            return word;
        if (takes_value(word->text))
            i++;
    }
    return NULL;
}

/* How many words the part before the free ones has: all must be equal. */
static size_t
head_len(const struct words *words)
{
    size_t i = 0;

    while (i < words->n && !strcmp(words->word[i].text, "vlan"))
        i += 2;
    if (i + 3 < words->n && !strcmp(words->word[i + 2].text, ">"))
        return i + 4;
    return i + 1 < words->n ? i + 1 : words->n;
}

/* A fault that the packet has and the pattern does not expect. */
static bool
has_no_more_faults(const struct words *text, const struct words *pattern,
                   struct hg_error *error)
{
    size_t i;

    for (i = 0; i < text->n; i++) {
        const struct word *word = &text->word[i];

        if (!word->is_group && !strncmp(word->text, "bad-", 4) &&
            !find_word(pattern, 0, word))
            return hg_error_set(error, "'%s' was not expected", word->text);
    }
    return true;
}

static bool
words_match(const struct words *text, const struct words *pattern,
            struct hg_error *error)
{
    size_t head = head_len(pattern);
    size_t i;

    for (i = 0; i < head; i++)
        if (i >= text->n || !glob(pattern->word[i].text, text->word[i].text))
            return hg_error_set(error, "'%s'", pattern->word[i].text);
    for (; i < pattern->n; i++) {
        const struct word *want = &pattern->word[i];
        const struct word *have = find_word(text, head, want);

        if (!have)
            return hg_error_set(error, "'%s'", want->text);
        if (want->is_group) {
            if (!notation_matches(have->text, want->text, error))
                return false;
        } else if (takes_value(want->text)) {
            if (++i == pattern->n || have + 1 == text->word + text->n ||
                !glob(pattern->word[i].text, have[1].text))
                return hg_error_set(error, "'%s %s'", want->text,
                                    i < pattern->n ? pattern->word[i].text
                                                   : "");
        }
    }
    return has_no_more_faults(text, pattern, error);
}

bool
notation_matches(const char *text, const char *pattern, struct hg_error *error)
{
    struct words *words = calloc(2, sizeof *words);
    bool matches = split(text, &words[0], error) &&
                   split(pattern, &words[1], error) &&
                   words_match(&words[0], &words[1], error);

    free(words);
    return matches;
}
