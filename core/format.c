/* format.c: a packet as a line of text, the notation of tests and traces.
 *
 *     tcp 10.0.0.5:40000 > 203.0.113.9:443 S len 0 ttl 64 seq 1 ack 0
 *     udp [2001:db8::1]:53 > [2001:db8::2]:5000 len 12 ttl 64
 *     icmp 10.0.0.5 > 10.0.0.9 echo 7 seq 1 len 56 ttl 64
 *     icmp 10.0.0.1 > 10.0.0.5 unreachable 4 mtu 1400 ttl 64
 *         (udp 10.0.0.5:1 > 10.0.0.9:2 len 4 ttl 63)
 *     ip 10.0.0.1 > 10.0.0.2 proto 47 len 10 ttl 64 frag 1480+ id 7
 *     vlan 5 arp who-has 10.0.0.1 tell 10.0.0.2
 *     arp reply 10.0.0.1 is-at 02:00:00:00:00:01 to 10.0.0.2
 *     eth type 0x88cc len 46
 *     runt 9
 *
 * A kind and who talks to whom, then words that may have a value:
 *     S F R P . U E W   TCP flags as tcpdump has them, or "none"
 *     len N         bytes behind the headers named (tcp, udp, icmp echo; ip:
 *                   behind the IP header; eth: behind the EtherType), as the
 *                   headers say
 *     mss N         option of a TCP SYN
 *     echo, reply ID; unreachable, redirect, quench, time-exceeded, parameter,
 *     too-big CODE; type T code C    ICMP of both versions
 *     (...)         the packet that an ICMP error quotes; of TCP it may have
 *                   only the ports, and then no flags are shown
 *     ttl N         TTL or hop limit
 *     tos N, df     if not zero
 *     frag N[+]     offset in bytes; "+": more follow
 *     id N          fragments, and IPv4 with an identification
 *     cut N         bytes that the IP header promises and that are not here
 *     pad N         bytes behind the end of the IP packet
 *     bad-header-checksum, bad-checksum, bad-ext
 * "ip" is for what has no whole TCP, UDP or ICMP header.  MAC addresses and
 * identity are left out.  tests/unit/notation.c reads the same text. */
#include <headgate/checksum.h>
#include <headgate/packet.h>

#include <stdarg.h>
#include <stdio.h>

#include "packet_internal.h"

struct line {
    char *at;
    size_t left;
    bool is_quoted; /* In the parentheses of an ICMP error. */
};

static void add(struct line *, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void
add(struct line *line, const char *format, ...)
{
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(line->at, line->left, format, args);
    va_end(args);
    if (n > 0 && line->left) {
        size_t used = (size_t)n < line->left ? (size_t)n : line->left - 1;

        line->at += used;
        line->left -= used;
    }
}

static void
add_addr(struct line *line, const struct hg_addr *a)
{
    char buf[HG_ADDR_STRLEN];

    add(line, "%s", hg_addr_format(a, buf));
}

static void
add_ends(struct line *line, const char *kind, const struct hg_packet *p)
{
    struct hg_addr src = hg_packet_src(p);
    struct hg_addr dst = hg_packet_dst(p);

    add(line, "%s ", kind);
    add_addr(line, &src);
    add(line, " > ");
    add_addr(line, &dst);
}

static void
add_ports(struct line *line, const char *kind, const struct hg_packet *p)
{
    struct hg_addr src = hg_packet_src(p);
    struct hg_addr dst = hg_packet_dst(p);
    const char *form = src.family == 6 ? "[%s]:%u" : "%s:%u";
    char buf[HG_ADDR_STRLEN];
    char ends[2][HG_ADDR_STRLEN + 8];
    const uint8_t *ports = hg_packet_l4(p);

    snprintf(ends[0], sizeof ends[0], form, hg_addr_format(&src, buf),
             hg_load16(ports));
    snprintf(ends[1], sizeof ends[1], form, hg_addr_format(&dst, buf),
             hg_load16(ports + 2));
    add(line, "%s %s > %s", kind, ends[0], ends[1]);
}

/* Bytes behind an L4 header of 'header' bytes, as the IP header says. */
static uint32_t
payload_len(const struct hg_packet *p, uint32_t header)
{
    uint32_t before = (uint32_t)(p->l4_offset - p->l3_offset) + header;
    uint32_t claimed = packet_l3_claimed(p);

    return claimed > before ? claimed - before : 0;
}

static void
add_ttl(struct line *line, const struct hg_packet *p)
{
    add(line, " ttl %u", hg_packet_ttl(p));
}

/* The value of a SYN's MSS option (RFC 9293 3.7.1), or 0. */
static uint16_t
tcp_mss(const struct hg_tcp *tcp)
{
    enum { END = 0, NOP = 1, MSS = 2 };
    const uint8_t *option = (const uint8_t *)(tcp + 1);
    const uint8_t *end = (const uint8_t *)tcp + hg_tcp_header_len(tcp);

    while (option < end && *option != END) {
        if (*option == NOP) {
            option++;
            continue;
        }
        if (end - option < 2 || option[1] < 2 || option[1] > end - option)
            break;
        if (option[0] == MSS && option[1] == 4)
            return hg_load16(option + 2);
        option += option[1];
    }
    return 0;
}

static void
add_tcp(struct line *line, const struct hg_packet *p)
{
    static const struct {
        uint8_t flag;
        char letter;
    } letters[] = {
        {HG_TCP_SYN, 'S'}, {HG_TCP_FIN, 'F'}, {HG_TCP_RST, 'R'},
        {HG_TCP_PSH, 'P'}, {HG_TCP_ACK, '.'}, {HG_TCP_URG, 'U'},
        {HG_TCP_ECE, 'E'}, {HG_TCP_CWR, 'W'},
    };
    const struct hg_tcp *tcp = hg_packet_tcp(p);
    uint16_t mss = tcp_mss(tcp);
    unsigned i;

    add_ports(line, "tcp", p);
    add(line, tcp->flags ? " " : " none");
    for (i = 0; i < sizeof letters / sizeof letters[0]; i++)
        if (tcp->flags & letters[i].flag)
            add(line, "%c", letters[i].letter);
    add(line, " len %u", payload_len(p, hg_tcp_header_len(tcp)));
    add_ttl(line, p);
    add(line, " seq %u ack %u", hg_get32(tcp->seq), hg_get32(tcp->ack));
    if (mss)
        add(line, " mss %u", mss);
}

static const char *
icmp_error_word(const struct hg_packet *p, uint8_t type)
{
    if (p->flags & HG_PACKET_IP6)
        switch (type) {
        case HG_ICMP6_UNREACH:
            return "unreachable";
        case HG_ICMP6_TOO_BIG:
            return "too-big";
        case HG_ICMP6_TIME_EXCEEDED:
            return "time-exceeded";
        case HG_ICMP6_PARAMETER:
            return "parameter";
        default:
            return NULL;
        }
    switch (type) {
    case HG_ICMP_UNREACH:
        return "unreachable";
    case HG_ICMP_QUENCH:
        return "quench";
    case HG_ICMP_REDIRECT:
        return "redirect";
    case HG_ICMP_TIME_EXCEEDED:
        return "time-exceeded";
    case HG_ICMP_PARAMETER:
        return "parameter";
    }
    return NULL;
}

static void add_ip(struct line *, const struct hg_packet *);

/* The packet that an ICMP error message quotes (RFC 792, RFC 4443 2.4). */
static void
add_quoted(struct line *line, const struct hg_packet *p)
{
    uint32_t offset = (uint32_t)sizeof(struct hg_icmp);
    struct hg_packet quoted = {.data = hg_packet_l4(p) + offset};

    if (line->is_quoted)
        return;
    quoted.len = hg_packet_l4_len(p) - offset;
    hg_packet_parse_l3(&quoted,
                       p->flags & HG_PACKET_IP6 ? HG_ETH_IP6 : HG_ETH_IP4, 0);
    if (!hg_packet_is_ip(&quoted))
        return;
    line->is_quoted = true;
    add(line, " (");
    add_ip(line, &quoted);
    add(line, ")");
    line->is_quoted = false;
}

static void
add_icmp(struct line *line, const struct hg_packet *p)
{
    const struct hg_icmp *icmp = hg_packet_icmp(p);
    bool is_ip6 = (p->flags & HG_PACKET_IP6) != 0;
    const char *error = icmp_error_word(p, icmp->type);
    uint32_t len = payload_len(p, (uint32_t)sizeof *icmp);

    add_ends(line, "icmp", p);
    if (error)
        add(line, " %s %u", error, icmp->code);
    else if (icmp->type == (is_ip6 ? HG_ICMP6_ECHO : HG_ICMP_ECHO))
        add(line, " echo %u seq %u len %u", hg_get16(icmp->id),
            hg_get16(icmp->seq), len);
    else if (icmp->type == (is_ip6 ? HG_ICMP6_ECHO_REPLY : HG_ICMP_ECHO_REPLY))
        add(line, " reply %u seq %u len %u", hg_get16(icmp->id),
            hg_get16(icmp->seq), len);
    else
        add(line, " type %u code %u len %u", icmp->type, icmp->code, len);
    if (is_ip6 && icmp->type == HG_ICMP6_TOO_BIG)
        add(line, " mtu %u", hg_load32(&icmp->id)); /* RFC 4443 3.2 */
    else if (!is_ip6 && icmp->type == HG_ICMP_UNREACH && icmp->code == 4)
        add(line, " mtu %u", hg_get16(icmp->seq)); /* RFC 1191 4 */
    add_ttl(line, p);
}

/* Where the IPv6 fragment header is, of a packet that has one whole. */
static const struct hg_ipv6_frag *
find_fragment6(const struct hg_packet *p)
{
    const struct hg_ipv6 *ip = hg_packet_ipv6(p);
    const uint8_t *at = (const uint8_t *)(ip + 1);
    uint8_t next = ip->next_header;

    while (next != HG_PROTO_FRAGMENT) {
        uint32_t len = packet_extension_len(next, at);

        next = at[0];
        at += len;
    }
    return (const struct hg_ipv6_frag *)at;
}

static void
add_fragment(struct line *line, const struct hg_packet *p)
{
    const struct hg_ipv4 *ip = hg_packet_ipv4(p);

    if (ip) {
        uint16_t frag = hg_get16(ip->frag);

        if (frag & HG_IP4_DF)
            add(line, " df");
        if (p->flags & HG_PACKET_FRAGMENT)
            add(line, " frag %u%s", (frag & HG_IP4_OFFSET) * 8U,
                frag & HG_IP4_MF ? "+" : "");
        if (p->flags & HG_PACKET_FRAGMENT || hg_get16(ip->id))
            add(line, " id %u", hg_get16(ip->id));
    } else if (p->flags & HG_PACKET_FRAGMENT) {
        const struct hg_ipv6_frag *frag = find_fragment6(p);
        uint16_t offset = hg_get16(frag->offset);

        add(line, " frag %u%s id %u", offset & 0xfff8U, offset & 1 ? "+" : "",
            hg_get32(frag->id));
    }
}

/* What is wrong with the packet. */
static void
add_faults(struct line *line, const struct hg_packet *p)
{
    const struct hg_ipv4 *ip = hg_packet_ipv4(p);
    uint32_t here = p->len - p->l3_offset;
    uint32_t claimed = packet_l3_claimed(p);

    if (ip && hg_checksum_fold(hg_checksum_add(0, ip, hg_ipv4_header_len(ip))))
        add(line, " bad-header-checksum");
    if (p->flags & HG_PACKET_BAD_EXT)
        add(line, " bad-ext");
    if (claimed > here && !line->is_quoted)
        add(line, " cut %u", claimed - here);
    if (claimed < here && !line->is_quoted)
        add(line, " pad %u", here - claimed);
    if (claimed <= here && p->flags & HG_PACKET_L4 &&
        !hg_packet_l4_checksum_ok(p))
        add(line, " bad-checksum");
}

/* Everything that has no whole L4 header. */
static void
add_other(struct line *line, const struct hg_packet *p)
{
    bool has_ports = line->is_quoted && p->l4_offset &&
                     hg_packet_l4_len(p) >= 8 && p->protocol == HG_PROTO_TCP;
    uint32_t header = p->flags & HG_PACKET_IP4
                          ? hg_ipv4_header_len(hg_packet_ipv4(p))
                          : (uint32_t)sizeof(struct hg_ipv6);

    if (has_ports) {
        add_ports(line, "tcp", p);
    } else {
        if (p->flags & HG_PACKET_FRAGMENT && p->flags & HG_PACKET_IP6)
            header += (uint32_t)sizeof(struct hg_ipv6_frag);
        add_ends(line, "ip", p);
        add(line, " proto %u len %u", p->protocol,
            packet_l3_claimed(p) - header);
    }
    add_ttl(line, p);
    if (has_ports)
        add(line, " seq %u", hg_load32(hg_packet_l4(p) + 4));
}

static void
add_ip(struct line *line, const struct hg_packet *p)
{
    const struct hg_icmp *icmp = hg_packet_icmp(p);
    uint8_t tos;

    if (hg_packet_tcp(p)) {
        add_tcp(line, p);
    } else if (hg_packet_udp(p)) {
        add_ports(line, "udp", p);
        add(line, " len %u", payload_len(p, (uint32_t)sizeof(struct hg_udp)));
        add_ttl(line, p);
    } else if (icmp) {
        add_icmp(line, p);
    } else {
        add_other(line, p);
    }
    tos = p->flags & HG_PACKET_IP4
              ? hg_packet_l3(p)[1]
              : (uint8_t)(hg_load16(hg_packet_l3(p)) >> 4);
    if (tos)
        add(line, " tos %u", tos);
    add_fragment(line, p);
    add_faults(line, p);
    if (icmp && icmp_error_word(p, icmp->type))
        add_quoted(line, p);
}

static void
add_arp(struct line *line, const struct hg_packet *p)
{
    enum { REQUEST = 1, REPLY = 2 };
    const struct hg_arp *arp = hg_packet_arp(p);
    struct hg_addr sender = hg_addr_from_ip4(hg_get32(arp->spa));
    struct hg_addr target = hg_addr_from_ip4(hg_get32(arp->tpa));
    char spa[HG_ADDR_STRLEN], tpa[HG_ADDR_STRLEN], sha[HG_MAC_STRLEN];

    hg_addr_format(&sender, spa);
    hg_addr_format(&target, tpa);
    hg_mac_format(&arp->sha, sha);
    if (hg_get16(arp->op) == REQUEST)
        add(line, "arp who-has %s tell %s", tpa, spa);
    else if (hg_get16(arp->op) == REPLY)
        add(line, "arp reply %s is-at %s to %s", spa, sha, tpa);
    else
        add(line, "arp op %u tell %s to %s", hg_get16(arp->op), spa, tpa);
}

char *
hg_packet_format(const struct hg_packet *p, char *buf, size_t size)
{
    struct line line = {.at = buf, .left = size};
    uint32_t at;

    for (at = sizeof(struct hg_eth); at < p->l3_offset && at < p->len;
         at += (uint32_t)sizeof(struct hg_vlan))
        add(&line, "vlan %u ", hg_load16(p->data + at) & 0xfffU);
    if (hg_packet_is_ip(p))
        add_ip(&line, p);
    else if (p->flags & HG_PACKET_ARP)
        add_arp(&line, p);
    else if (p->len < sizeof(struct hg_eth))
        add(&line, "runt %u", p->len);
    else
        add(&line, "eth type 0x%04x len %u", p->ether_type,
            p->len - p->l3_offset);
    return buf;
}
