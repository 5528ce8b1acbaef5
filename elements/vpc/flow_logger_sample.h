/* flow_logger_sample.h: which packets are logged as whose: a packet's samples,
 * one for each interface that it leaves or reaches; a part of flow_logger.c.
 */
#ifndef FLOW_LOGGER_SAMPLE_H
#define FLOW_LOGGER_SAMPLE_H 1

#include "flow_logger_log.h"
#include "flow_logger_reserved.h"

/* Bytes of the packet as its IP header says; of one with segmentation offload
 * or a jumbogram, whose header says 0, all that was on the wire. */
static inline uint32_t
ip_bytes(const struct hg_packet *p)
{
    const struct hg_ipv4 *ip4 = hg_packet_ipv4(p);
    const struct hg_ipv6 *ip6 = hg_packet_ipv6(p);
    uint32_t whole = p->wire_len - p->l3_offset, n;

    if (ip4) {
        n = hg_get16(ip4->total_length);
        return n ? n : whole;
    }
    if (!ip6)
        return 0;
    n = hg_get16(ip6->payload_length);
    return n || p->protocol == HG_PROTO_NONE ? n + (uint32_t)sizeof *ip6
                                             : whole;
}

static inline bool
is_rejected(const struct hg_packet *p)
{
    return p->in_port == IN_REJECTED;
}

/* Everything of a sample that is in the packet. */
static void
fill_sample(const struct hg_packet *p, struct hg_flow_sample *s)
{
    const struct hg_ipv4 *ip4 = hg_packet_ipv4(p);
    const struct hg_ipv6 *ip6 = hg_packet_ipv6(p);
    const struct hg_tcp *tcp = hg_packet_tcp(p);

    *s = (struct hg_flow_sample){.key.protocol = p->protocol};
    if (ip4) {
        memcpy(s->key.src, &ip4->src, 4);
        memcpy(s->key.dst, &ip4->dst, 4);
    } else {
        memcpy(s->key.src, &ip6->src, 16);
        memcpy(s->key.dst, &ip6->dst, 16);
        s->key.kind = HG_RECORD_IP6;
    }
    if (is_rejected(p))
        s->key.kind |= HG_RECORD_REJECT;
    if (tcp || hg_packet_udp(p)) { /* Ports are at the same place in both. */
        s->key.sport = hg_load16(hg_packet_l4(p));
        s->key.dport = hg_load16(hg_packet_l4(p) + 2);
    }
    if (tcp)
        s->key.tcp_flags = hg_flow_tcp_flags(tcp->flags);
    s->bytes = ip_bytes(p);
}

/* Adds the next sample, which was filled, for one interface; false if it is
 * never logged. */
static inline bool
add_sample(struct flow_logger *self, const struct hg_packet *p,
           struct hg_flow_sample *s, const struct logged *l, uint8_t kind)
{
    const struct flow_logger *log = self->log;

    if (!log->log_reserved && may_be_reserved(l, &s->key) &&
        is_reserved(log, l, &s->key))
        return false;
    s->key.kind |= kind;
    s->key.interface = (uint32_t)(l - log->interfaces);
    self->cause[self->n_samples++] = p;
    return true;
}

/* The next sample, for the other side of the packet of one that was added. */
static struct hg_flow_sample *
fill_again(struct hg_flow_sample *s)
{
    s[1] = s[0];
    s[1].key.kind &= (uint8_t) ~(HG_RECORD_EGRESS | HG_RECORD_INGRESS);
    return s + 1;
}

/* 'byte' is an address of the key of a sample. */
static bool
has_address(const struct flow_logger *log, const struct hg_flow_sample *s,
            const uint8_t *byte)
{
    bool is_ip6 = (s->key.kind & HG_RECORD_IP6) != 0;
    size_t i;

    for (i = 0; i < log->address.n; i++) {
        const struct hg_addr *a = &log->address.v[i];

        if (a->family == (is_ip6 ? 6 : 4) &&
            !memcmp(a->byte, byte, is_ip6 ? 16 : 4))
            return true;
    }
    return false;
}

/* Whether the packet is of the one interface that the options describe. */
static inline bool
is_fixed(const struct flow_logger *log, const struct hg_packet *p)
{
    return log->interface_id || !(p->src_eni || p->dst_eni || log->inventory);
}

static inline bool
log_fixed(struct flow_logger *self, const struct hg_packet *p,
          struct hg_flow_sample *s)
{
    const struct flow_logger *log = self->log;
    const struct logged *l = &log->interfaces[FIXED];
    bool leaves = self->direction == EGRESS;
    bool comes = self->direction == INGRESS, logged = false;

    if (self->direction == BOTH && log->address.n) {
        leaves = has_address(log, s, s->key.src);
        comes = has_address(log, s, s->key.dst);
    }
    if (!leaves && !comes)
        return add_sample(self, p, s, l, 0);
    if (leaves)
        logged = add_sample(self, p, s, l, HG_RECORD_EGRESS);
    if (logged && comes)
        s = fill_again(s);
    if (comes)
        logged = add_sample(self, p, s, l, HG_RECORD_INGRESS);
    return logged;
}

/* A packet that goes to another interface takes path 1 (the same VPC) or 4
 * (peering within the Region). */
static uint8_t
path_of(const struct hg_packet *p, uint8_t marked)
{
    if (marked || !p->dst_eni)
        return marked;
    return p->dst_eni->vpc == p->src_eni->vpc ? 1 : 4;
}

/* Whether a packet is logged as what leaves its source's interface, and as
 * what comes to its destination's.  What was refused, was on one side only,
 * which the filter says; if none did, the way out is where nobody knows the
 * destination yet. */
static void
choose_sides(const struct flow_logger *self, const struct hg_packet *p,
             bool *leaves, bool *comes)
{
    uint8_t denied = is_rejected(p) ? p->meta[self->denied_side]
                                    : (uint8_t)HG_DENIED_UNKNOWN;

    *leaves = p->src_eni && self->direction != INGRESS;
    *comes = p->dst_eni && self->direction != EGRESS;
    if (denied != HG_DENIED_UNKNOWN) {
        *leaves = p->src_eni && denied == HG_DENIED_EGRESS;
        *comes = p->dst_eni && denied == HG_DENIED_INGRESS;
    } else if (is_rejected(p) && *comes) {
        *leaves = false;
    }
}

static bool
log_by_identity(struct flow_logger *self, const struct hg_packet *p,
                struct hg_flow_sample *s)
{
    struct flow_logger *log = self->log;
    const struct logged *l;
    bool logged = false, known = false, leaves, comes;

    choose_sides(self, p, &leaves, &comes);
    if (comes && (l = interface_of(log, p->dst_eni)) != NULL) {
        known = true;
        logged = add_sample(self, p, s, l, HG_RECORD_INGRESS);
    }
    if (leaves && (l = interface_of(log, p->src_eni)) != NULL) {
        known = true;
        if (logged)
            s = fill_again(s);
        s->key.path = path_of(p, s->key.path);
        logged |= add_sample(self, p, s, l, HG_RECORD_EGRESS);
    }
    if (!known)
        hg_count(&self->no_interface);
    return logged || !known;
}

/* The packet's second since the window began.  Live, a packet's stamp may be
 * older than the window. */
static inline uint16_t
second_of(struct flow_logger *self, const struct hg_packet *p)
{
    uint64_t begin_s = self->log->window_s;

    if (p->time_ns - self->now_s * HG_SEC >= HG_SEC)
        self->now_s = p->time_ns / HG_SEC;
    return self->now_s > begin_s ? (uint16_t)(self->now_s - begin_s) : 0;
}

#endif
