/* tunnel_store.c: tunnel headers kept aside and put back (tunnel.h).
 *
 * A ring of records of fixed size.  A record is taken again only when it is
 * older than any packet that may still ask for it, by the packets' clock
 * alone; so what is kept and what is refused does not depend on batches. */
#include <headgate/tunnel.h>

#include <stdlib.h>

#include "tunnel_wire.h"

enum { MACS = 2 * sizeof(struct hg_mac) };

struct record {
    uint64_t number; /* 0: never used. */
    uint64_t time_ns;
    uint32_t inner_len;
    uint16_t head_len;
    uint16_t tail_len;
    uint16_t l3_offset;
    uint16_t tunnel_offset;
    uint8_t format;
    bool is_ethernet;
    uint32_t tail_cut; /* Bytes of the tail that a capture left out. */
    uint8_t byte[HG_TUNNEL_RECORD_MAX];
};

struct hg_tunnel_store {
    uint64_t keep_ns;
    uint64_t n_kept; /* Numbers given out. */
    uint32_t n_records;
    struct record *record;
};

struct hg_tunnel_store *
hg_tunnel_store_create(uint32_t n_records, uint64_t keep_ns)
{
    struct hg_tunnel_store *store = calloc(1, sizeof *store);

    if (!store)
        return NULL;
    store->record = calloc(n_records, sizeof *store->record);
    if (!store->record) {
        free(store);
        return NULL;
    }
    store->n_records = n_records;
    store->keep_ns = keep_ns;
    return store;
}

void
hg_tunnel_store_destroy(struct hg_tunnel_store *store)
{
    if (!store)
        return;
    free(store->record);
    free(store);
}

static struct record *
record_at(const struct hg_tunnel_store *store, uint64_t number)
{
    return &store->record[(number - 1) % store->n_records];
}

enum hg_tunnel_kept
hg_tunnel_keep(struct hg_tunnel_store *store, const struct hg_packet *p,
               enum hg_tunnel_format format, const struct hg_tunnel_view *view,
               uint64_t *number)
{
    bool is_tag = hg_tunnel_is_tag(format);
    uint32_t from = is_tag ? MACS : 0;
    uint32_t head_len = view->inner_offset - from;
    uint32_t tail_len = p->len - view->inner_end;
    struct record *r = record_at(store, store->n_kept + 1);

    if (head_len + tail_len > HG_TUNNEL_RECORD_MAX)
        return HG_TUNNEL_TOO_LONG;
    if (r->number &&
        p->time_ns <= r->time_ns + store->keep_ns + HG_TUNNEL_SLACK_NS)
        return HG_TUNNEL_FULL;
    r->number = *number = ++store->n_kept;
    r->time_ns = p->time_ns;
    r->inner_len = view->inner_end - view->inner_offset;
    r->head_len = (uint16_t)head_len;
    r->tail_len = (uint16_t)tail_len;
    r->l3_offset = p->l3_offset;
    r->tunnel_offset = (uint16_t)view->tunnel_offset;
    r->format = (uint8_t)format;
    r->is_ethernet = view->is_ethernet;
    r->tail_cut = view->is_cut ? 0 : p->wire_len - p->len;
    memcpy(r->byte, p->data + from, head_len);
    memcpy(r->byte + head_len, p->data + view->inner_end, tail_len);
    return HG_TUNNEL_KEPT;
}

/* ---- Putting back ----------------------------------------------------- */

static void
swap_bytes(uint8_t *a, uint8_t *b, size_t n)
{
    size_t i;

    for (i = 0; i < n; i++) {
        uint8_t byte = a[i];

        a[i] = b[i];
        b[i] = byte;
    }
}

/* Exchanges the outer MAC and IP addresses; no checksum notices. */
static void
swap_ends(struct hg_packet *p, const struct record *r)
{
    uint8_t *l3 = p->data + r->l3_offset;

    swap_bytes(p->data, p->data + 6, 6);
    if (l3[0] >> 4 == 4)
        swap_bytes(l3 + offsetof(struct hg_ipv4, src),
                   l3 + offsetof(struct hg_ipv4, dst), 4);
    else
        swap_bytes(l3 + offsetof(struct hg_ipv6, src),
                   l3 + offsetof(struct hg_ipv6, dst), 16);
}

/* Makes the outer IP header say 'len' bytes. */
static void
set_ip_len(uint8_t *l3, uint32_t len)
{
    if (l3[0] >> 4 == 4) {
        struct hg_ipv4 *ip = (struct hg_ipv4 *)l3;
        uint16_t from = hg_get16(ip->total_length);

        ip->total_length = hg_be16_of((uint16_t)len);
        hg_checksum_update16(&ip->checksum, from, (uint16_t)len);
    } else {
        struct hg_ipv6 *ip = (struct hg_ipv6 *)l3;

        ip->payload_length = hg_be16_of((uint16_t)(len - sizeof *ip));
    }
}

/* What a checksum field has to say when everything else adds up to 'sum',
 * its present value included; one that is right stays (0 and 0xffff both may
 * be). */
static uint16_t
right_checksum(uint16_t field, uint32_t sum)
{
    if (!hg_checksum_fold(sum))
        return field;
    return hg_checksum_fold(sum + (uint16_t)~field);
}

/* Makes right the checksums over the inner packet that are in use. */
static void
set_payload_checksum(struct hg_packet *p, const struct record *r, uint32_t end)
{
    uint8_t *at = p->data + r->tunnel_offset;
    uint32_t sum;

    if (hg_tunnel_is_udp((enum hg_tunnel_format)r->format)) {
        struct hg_udp *udp = (struct hg_udp *)(at - sizeof *udp);
        uint16_t checksum = hg_get16(udp->checksum);

        if (!checksum)
            return;
        sum = tunnel_udp_sum(p->data + r->l3_offset, (uint8_t *)udp,
                             hg_get16(udp->length));
        checksum = right_checksum(checksum, sum);
        udp->checksum = hg_be16_of(checksum ? checksum : 0xffff);
    } else if (hg_load16(at) & GRE_CHECKSUM) {
        sum = hg_checksum_add(0, at, end - r->tunnel_offset);
        hg_store16(at + 4, right_checksum(hg_load16(at + 4), sum));
    }
}

/* Brings the outer headers up to date with an inner packet that ends at
 * 'end' of the frame. */
static void
update_outer(struct hg_packet *p, const struct record *r, uint32_t end,
             bool is_resized)
{
    if (is_resized) {
        set_ip_len(p->data + r->l3_offset, end - r->l3_offset);
        if (hg_tunnel_is_udp((enum hg_tunnel_format)r->format)) {
            uint32_t udp = r->tunnel_offset - (uint32_t)sizeof(struct hg_udp);

            hg_store16(p->data + udp + offsetof(struct hg_udp, length),
                       (uint16_t)(end - udp));
        }
    }
    if (p->wire_len == p->len)
        set_payload_checksum(p, r, end);
}

static enum hg_tunnel_restored
restore_tags(struct hg_packet *p, const struct record *r)
{
    uint8_t *at = hg_packet_push(p, r->head_len);

    if (!at)
        return HG_TUNNEL_NO_ROOM;
    memmove(at, at + r->head_len, MACS);
    memcpy(at + MACS, r->byte, r->head_len);
    hg_packet_parse(p);
    return HG_TUNNEL_RESTORED;
}

/* A tag behind the Ethernet header that hg_tunnel_pull() gave is the tunnel's
 * payload as everything behind it is. */
static enum hg_tunnel_restored
restore_ip(struct hg_packet *p, const struct record *r, bool reply)
{
    bool has_eth = p->len >= sizeof(struct hg_eth);
    uint32_t gone = r->is_ethernet || !has_eth ? 0 : sizeof(struct hg_eth);
    uint16_t type = has_eth ? hg_load16(p->data + MACS) : 0;
    bool is_resized = p->len - gone != r->inner_len;
    uint32_t end = r->head_len + p->wire_len - gone;

    if (end - r->l3_offset > UINT16_MAX)
        return HG_TUNNEL_NO_ROOM;
    hg_packet_pull(p, gone);
    if (!hg_packet_push(p, r->head_len))
        return HG_TUNNEL_NO_ROOM;
    memcpy(p->data, r->byte, r->head_len);
    if (r->tail_len && !is_resized) {
        uint8_t *tail = hg_packet_put(p, r->tail_len);

        if (!tail)
            return HG_TUNNEL_NO_ROOM;
        memcpy(tail, r->byte + r->head_len, r->tail_len);
    }
    if (!r->is_ethernet) /* Where GENEVE and GRE alike have it. */
        hg_store16(p->data + r->tunnel_offset + 2, type);
    if (reply)
        swap_ends(p, r);
    update_outer(p, r, end, is_resized);
    p->wire_len += is_resized ? 0 : r->tail_cut;
    hg_packet_parse(p);
    return HG_TUNNEL_RESTORED;
}

enum hg_tunnel_restored
hg_tunnel_restore(const struct hg_tunnel_store *store, uint64_t number,
                  bool reply, struct hg_packet *p)
{
    const struct record *r;

    if (!number)
        return HG_TUNNEL_LOST;
    r = record_at(store, number);
    if (r->number != number || p->time_ns > r->time_ns + store->keep_ns)
        return HG_TUNNEL_LOST;
    if (hg_tunnel_is_tag((enum hg_tunnel_format)r->format))
        return restore_tags(p, r);
    return restore_ip(p, r, reply);
}
