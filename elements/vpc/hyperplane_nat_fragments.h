/* hyperplane_nat_fragments.h: fragments of UDP at HyperplaneNAT.  Only the
 * first has ports; the others follow it, and those that overtook it wait. */
#ifndef HYPERPLANE_NAT_FRAGMENTS_H
#define HYPERPLANE_NAT_FRAGMENTS_H 1

#include <xxhash.h>

#include "hyperplane_nat_six.h"

enum { GONE = -3 }; /* Verdict: no longer in the batch. */
enum { FRAGMENT_RECORDS = 4096 };

/* The identification of an IPv6 fragment (RFC 8200 4.5). */
static uint32_t
fragment_id6(const struct hg_packet *p)
{
    uint32_t len = hg_packet_l3_len(p), at = sizeof(struct hg_ipv6);
    const uint8_t *ip = hg_packet_l3(p);
    uint8_t next = hg_packet_ipv6(p)->next_header;

    while (next != HG_PROTO_FRAGMENT && at + 8 <= len) {
        next = ip[at];
        at += (ip[at + 1] + 1u) * 8;
    }
    return at + 8 <= len ? hg_load32(ip + at + 4) : 0;
}

/* By what fragments of one datagram know each other.  Addresses overlap in
 * different VPCs, and may be IPv6: a keyed hash stands for all of it. */
static struct hg_fragment_key
fragment_key(const struct hyperplane_nat *self, const struct hg_packet *p)
{
    struct {
        uint8_t src[16], dst[16];
        uint32_t vpc, id;
    } what;
    struct hg_addr src = hg_packet_src(p), dst = hg_packet_dst(p);
    uint64_t hash;

    memcpy(what.src, src.byte, sizeof(what.src));
    memcpy(what.dst, dst.byte, sizeof(what.dst));
    what.vpc = p->vpc;
    what.id =
        src.family == 4 ? hg_get16(hg_packet_ipv4(p)->id) : fragment_id6(p);
    hash = XXH64(&what, sizeof(what), self->seed);
    return (struct hg_fragment_key){.src = (uint32_t)hash,
                                    .dst = (uint32_t)(hash >> 32),
                                    .id = (uint16_t)what.id,
                                    .protocol = p->protocol};
}

/* Takes a packet that waited out of the batch in which it came, if that is
 * the one being handled. */
static void
leave_batch(struct hyperplane_nat *self, const struct hg_packet *p)
{
    unsigned i = self->at;

    if (p->flags & HG_PACKET_HELD)
        return;
    while (self->batch->p[i] != p)
        i--;
    self->verdict[i] = GONE;
    self->has_gone = true;
}

/* Ends a packet that waited. */
static void
discard_one(struct hyperplane_nat *self, struct hg_packet *p,
            hg_counter *reason)
{
    METRIC(self, self->at_gateway, packets_drop_count, 1);
    hg_discard(self, reason, p);
}

static void
discard_list(struct hyperplane_nat *self, struct hg_packet *p,
             hg_counter *reason)
{
    struct hg_packet *next;

    for (; p; p = next) {
        next = p->next;
        leave_batch(self, p);
        self->fragments_held.n--;
        discard_one(self, p, reason);
    }
}

static void
fragments_expire(void *self_, struct hg_timer *timer, uint64_t now_ns)
{
    struct hyperplane_nat *self = self_;

    self->at_gateway = NULL;
    discard_list(self, hg_fragment_expire(self->fragments, now_ns),
                 &self->fragment_timed_out);
    if (self->fragments_held.n)
        hg_timer_set(self, timer, hg_fragment_deadline(self->fragments));
}

static struct hg_fragment *
add_fragment(struct hyperplane_nat *self, const struct hg_fragment_key *key,
             uint64_t now_ns)
{
    struct hg_packet *orphans = NULL;
    struct hg_fragment *f;

    f = hg_fragment_add(self->fragments, key, now_ns, &orphans);
    discard_list(self, orphans, &self->fragment_out_of_order);
    return f;
}

/* Gives a later fragment the address that its first one got; returns why it
 * cannot be sent, or NULL. */
static hg_counter *
translate_later(struct hyperplane_nat *self, struct hg_packet *p, unsigned out,
                const struct hg_addr *addr, uint32_t vpc)
{
    uint32_t remote = 0;

    if (out == INSIDE) {
        p->vpc = vpc;
        if (addr->family == 6)
            return to_six(self, p, addr->byte);
        hg_end_set_addr(p, HG_END_DST, hg_addr_ip4(addr));
        return NULL;
    }
    if (p->flags & HG_PACKET_IP4) {
        hg_end_set_addr(p, HG_END_SRC, hg_addr_ip4(addr));
        return NULL;
    }
    hg_embedded_ip4(&self->nat64_prefix, hg_packet_ipv6(p)->dst, &remote);
    return to_four(self, p, hg_addr_ip4(addr), remote);
}

/* The first fragment 'p', which had 'key', goes to 'out' with 'addr': so do
 * those that follow, and those that waited go now, just ahead of it. */
static void
decide_fragments(struct hyperplane_nat *self, const struct hg_packet *p,
                 const struct hg_fragment_key *key, unsigned out,
                 const struct hg_addr *addr, uint32_t vpc)
{
    struct hg_fragment *f = hg_fragment_find(self->fragments, key, p->time_ns);
    struct hg_packet *waited, *next;
    hg_counter *reason;

    if (!f || f->decided)
        f = add_fragment(self, key, p->time_ns);
    f->decided = true;
    f->addr = *addr;
    f->vpc = vpc;
    for (waited = hg_fragment_release(f); waited; waited = next) {
        next = waited->next;
        leave_batch(self, waited);
        self->fragments_held.n--;
        waited->seq = p->seq;
        waited->time_ns = p->time_ns;
        reason = translate_later(self, waited, out, addr, vpc);
        if (reason)
            discard_one(self, waited, reason);
        else
            send_out(self, out, waited);
    }
}

static int
follow_first(struct hyperplane_nat *self, struct hg_packet *p, unsigned out)
{
    struct hg_fragment_key key = fragment_key(self, p);
    struct hg_fragment *f =
        hg_fragment_find(self->fragments, &key, p->time_ns);

    if (f && f->decided) {
        hg_counter *reason = translate_later(self, p, out, &f->addr, f->vpc);

        return reason ? hg_drop(reason) : (int)out;
    }
    if (self->fragments_held.n >= self->fragment_hold)
        return hg_drop(&self->fragment_out_of_order);
    if (!f)
        f = add_fragment(self, &key, p->time_ns);
    hg_fragment_wait(f, p);
    self->fragments_held.n++;
    if (!self->fragment_timer.pending)
        hg_timer_set(self, &self->fragment_timer,
                     p->time_ns + self->fragment_timeout.ns);
    return HG_KEPT;
}

#endif
