/* Fragment: cuts IPv4 packets that the next link cannot carry (RFC 791 2.3
 * and 3.2, RFC 1812 4.2.2.7).
 *
 * Packets that must not be cut, IPv4 with DF and all IPv6 (RFC 8200 5), leave
 * on "too-big", usually wired to IcmpError.  The last fragment is made of the
 * packet itself, the others are new packets ahead of it. */
#include <headgate/element.h>

struct fragment {
    uint16_t mtu;         /* Bytes of an IP packet at most. */
    hg_counter cut;       /* Packets that became fragments. */
    hg_counter fragments; /* What they became. */
    hg_counter too_big;   /* Packets that must not be cut. */
    hg_counter not_ip;    /* Drop reasons from here on. */
    hg_counter bad_length;
    hg_counter no_memory;
};

enum { OUT, TOO_BIG };
enum { IP4_HEADER_MAX = 60, OPTION_END = 0, OPTION_NOP = 1 };

/* Writes the header of later fragments to 'out': of the options only those
 * that are to be copied, with the high bit of their type (RFC 791 3.1).
 * Returns its length. */
static unsigned
later_header(const struct hg_ipv4 *ip, uint8_t out[IP4_HEADER_MAX])
{
    const uint8_t *in = (const uint8_t *)ip;
    unsigned end = hg_ipv4_header_len(ip), len = sizeof *ip;
    unsigned at, size;

    memset(out, OPTION_END, IP4_HEADER_MAX);
    memcpy(out, in, sizeof *ip);
    for (at = sizeof *ip; at < end && in[at] != OPTION_END; at += size) {
        size = in[at] == OPTION_NOP ? 1 : at + 1 < end ? in[at + 1] : 0;
        if (!size || (size == 1 && in[at] != OPTION_NOP) || at + size > end)
            break; /* Malformed. */
        if (in[at] & 0x80) {
            memcpy(out + len, in + at, size);
            len += size;
        }
    }
    len = (len + 3) & ~3u;
    out[0] = (uint8_t)(0x40 | len / 4);
    return len;
}

/* Completes the header at 'l3' of a fragment that has 'payload' bytes from
 * 'offset' (units of 8) on. */
static void
finish_header(uint8_t *l3, uint32_t payload, uint32_t offset, bool more)
{
    struct hg_ipv4 *ip = (struct hg_ipv4 *)l3;
    unsigned len = hg_ipv4_header_len(ip);

    ip->total_length = hg_be16_of((uint16_t)(len + payload));
    ip->frag = hg_be16_of((uint16_t)(offset | (more ? HG_IP4_MF : 0)));
    ip->checksum = hg_be16_of(0);
    ip->checksum = hg_be16_of(hg_checksum_fold(hg_checksum_add(0, ip, len)));
}

/* A new fragment of 'p' with this header and payload; NULL without memory. */
static struct hg_packet *
make_fragment(struct fragment *self, const struct hg_packet *p,
              const void *header, unsigned header_len, const uint8_t *payload,
              uint32_t payload_len)
{
    uint32_t l3 = p->l3_offset;
    struct hg_packet *f = hg_make(self, l3 + header_len + payload_len, p);

    if (!f)
        return NULL;
    memcpy(f->data, p->data, l3);
    memcpy(f->data + l3, header, header_len);
    memcpy(f->data + l3 + header_len, payload, payload_len);
    memcpy(f->meta, p->meta, sizeof f->meta);
    return f;
}

static int
cut(struct fragment *self, struct hg_packet *p)
{
    uint8_t *l3 = hg_packet_l3(p);
    const struct hg_ipv4 *ip = (const struct hg_ipv4 *)l3;
    uint16_t frag = hg_get16(ip->frag);
    unsigned first_len = hg_ipv4_header_len(ip), len = first_len;
    uint32_t at = first_len, end = hg_get16(ip->total_length);
    uint32_t offset = frag & HG_IP4_OFFSET;
    uint8_t header[IP4_HEADER_MAX];
    unsigned later_len = later_header(ip, header);
    const uint8_t *from = l3;

    while (len + (end - at) > self->mtu) {
        uint32_t payload = (self->mtu - len) & ~7u;
        struct hg_packet *f =
            make_fragment(self, p, from, len, l3 + at, payload);

        if (!f)
            return hg_drop(&self->no_memory);
        finish_header(f->data + p->l3_offset, payload, offset, true);
        hg_packet_parse(f);
        hg_emit(self, OUT, f);
        hg_count(&self->fragments);
        at += payload;
        offset += payload / 8;
        from = header;
        len = later_len;
    }
    memmove(l3 + later_len, l3 + at, end - at);
    memcpy(l3, header, later_len);
    finish_header(l3, end - at, offset, (frag & HG_IP4_MF) != 0);
    hg_packet_trim(p, p->l3_offset + later_len + (end - at));
    p->wire_len = p->len;
    hg_packet_parse(p);
    hg_count(&self->fragments);
    hg_count(&self->cut);
    return OUT;
}

/* As its header says; a jumbogram (RFC 2675) as long as it is. */
static uint32_t
ip_length(const struct hg_packet *p)
{
    const struct hg_ipv4 *ip4 = hg_packet_ipv4(p);
    uint32_t here, length;

    if (ip4)
        return hg_get16(ip4->total_length);
    here = hg_packet_l3_len(p);
    length = (uint32_t)sizeof(struct hg_ipv6) +
             hg_get16(hg_packet_ipv6(p)->payload_length);
    return length > here ? length : here;
}

/* Whether an IPv4 packet is part of one longer than there can be, as in the
 * "ping of death": what is behind that would get a low offset. */
static bool
ends_too_late(const struct hg_ipv4 *ip)
{
    uint32_t offset = (hg_get16(ip->frag) & HG_IP4_OFFSET) * 8u;

    return offset + hg_get16(ip->total_length) - hg_ipv4_header_len(ip) >
           UINT16_MAX;
}

static int
fragment_packet(struct fragment *self, struct hg_packet *p)
{
    if (!hg_packet_is_ip(p))
        return hg_drop(&self->not_ip);
    if (ip_length(p) <= self->mtu)
        return OUT;
    if (p->flags & HG_PACKET_IP6 ||
        hg_get16(hg_packet_ipv4(p)->frag) & HG_IP4_DF) {
        hg_count(&self->too_big);
        return TOO_BIG;
    }
    if (ip_length(p) != hg_packet_l3_len(p) ||
        ends_too_late(hg_packet_ipv4(p)))
        return hg_drop(&self->bad_length);
    if (p->flags & HG_PACKET_NEEDS_CSUM) {
        hg_packet_set_checksums(p); /* Later nobody can. */
        p->flags &= ~(uint32_t)HG_PACKET_NEEDS_CSUM;
    }
    return cut(self, p);
}

/* clang-format off */
HG_ELEMENT(Fragment, struct fragment, fragment_packet,
    .summary = "cuts IPv4 packets that are longer than an MTU",
    .example = "Interface lan { }\n"
               "Interface wan { }\n"
               "Fragment  cut { mtu = 1400 }\n"
               "IcmpError big { type = fragmentation-needed  mtu = 1400  "
               "source = 10.0.0.1 }\n"
               "connect(\"lan -> CheckIP -> cut -> wan\")\n"
               "connect(\"cut[too-big] -> big -> lan\")\n",
    .flags = HG_CLASS_RESIZES | HG_CLASS_PARALLEL,
    .inputs = "in", .outputs = "out too-big?",
    .needs = "ip",
    .fields = HG_FIELDS(
        HG_OPTION(mtu, .def = "1500", .min = 68, .live = true,
                  .doc = "bytes of the largest IP packet that fits"),
        HG_COUNTER(cut, .doc = "packets that were cut"),
        HG_COUNTER(fragments, .doc = "fragments that they became"),
        HG_COUNTER(too_big, .doc = "packets too big that must not be cut"),
        HG_REASON(not_ip, .doc = "not IP"),
        HG_REASON(bad_length, .doc = "longer, says its header, than it is or "
                                     "can be"),
        HG_REASON(no_memory, .doc = "no memory for the fragments")))
/* clang-format on */
