/* segment.c: cuts a large TCP or UDP frame into the frames of a wire.
 *
 * What changes from piece to piece is what a network card with TSO or USO
 * changes: lengths, the IPv4 identification, the TCP sequence number, those
 * TCP flags that belong to the first or last piece, and the checksums. */
#include "segment.h"

static uint32_t
l4_header_len(const struct hg_packet *p)
{
    const struct hg_tcp *tcp = hg_packet_tcp(p);

    if (tcp)
        return hg_tcp_header_len(tcp);
    return hg_packet_udp(p) ? (uint32_t)sizeof(struct hg_udp) : 0;
}

bool
segmenter_begin(struct segmenter *s, const uint8_t *frame, uint32_t len,
                uint16_t l4_offset, uint16_t size)
{
    struct hg_packet view = {
        .data = (uint8_t *)(uintptr_t)frame, .len = len, .wire_len = len};
    uint32_t l4_len;

    hg_packet_parse(&view);
    l4_len = l4_header_len(&view);
    if (!l4_len || !size || view.l4_offset != l4_offset ||
        view.flags & HG_PACKET_FRAGMENT || l4_offset + l4_len >= len)
        return false;
    *s = (struct segmenter){
        .frame = frame,
        .len = len,
        .header_len = l4_offset + l4_len,
        .size = size,
        .l3_offset = view.l3_offset,
        .l4_offset = l4_offset,
        .protocol = view.protocol,
    };
    return true;
}

/* IPv4 counts its header in, IPv6 does not (RFC 791 3.1, RFC 8200 3). */
static void
set_l3(const struct segmenter *s, struct hg_packet *p)
{
    struct hg_ipv4 *ip4 = (struct hg_ipv4 *)(p->data + s->l3_offset);
    struct hg_ipv6 *ip6 = (struct hg_ipv6 *)(p->data + s->l3_offset);
    uint32_t len = p->len - s->l3_offset;

    if (ip4->version_ihl >> 4 == 4) {
        ip4->total_length = hg_be16_of((uint16_t)len);
        ip4->id = hg_be16_of((uint16_t)(hg_get16(ip4->id) + s->n_cut));
    } else {
        len -= (uint32_t)sizeof *ip6;
        ip6->payload_length = hg_be16_of((uint16_t)len);
    }
}

static void
set_l4(const struct segmenter *s, struct hg_packet *p, bool is_last)
{
    struct hg_tcp *tcp = (struct hg_tcp *)(p->data + s->l4_offset);
    struct hg_udp *udp = (struct hg_udp *)(p->data + s->l4_offset);

    if (s->protocol == HG_PROTO_UDP) {
        udp->length = hg_be16_of((uint16_t)(p->len - s->l4_offset));
        return;
    }
    tcp->seq = hg_be32_of(hg_get32(tcp->seq) + s->cut);
    if (!is_last)
        tcp->flags &= (uint8_t) ~(HG_TCP_FIN | HG_TCP_PSH);
    if (s->n_cut)
        tcp->flags &= (uint8_t)~HG_TCP_CWR; /* RFC 3168 6.1.2. */
}

struct hg_packet *
segmenter_next(struct segmenter *s, struct hg_pool *pool)
{
    uint32_t left = s->len - s->header_len - s->cut;
    uint32_t n = left < s->size ? left : s->size;
    struct hg_packet *p = hg_packet_alloc(pool, s->header_len + n);

    if (p) {
        memcpy(p->data, s->frame, s->header_len);
        memcpy(p->data + s->header_len, s->frame + s->header_len + s->cut, n);
        set_l3(s, p);
        set_l4(s, p, n == left);
        hg_packet_parse(p);
        hg_packet_set_checksums(p);
    }
    s->cut += n;
    s->n_cut++;
    if (n == left)
        s->frame = NULL;
    return p;
}
