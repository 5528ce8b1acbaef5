/* flow_logger_sample.h: which packets are logged as whose: a packet's samples,
 * one for each interface that it leaves or reaches; a part of flow_logger.c.
 */
#ifndef FLOW_LOGGER_SAMPLE_H
#define FLOW_LOGGER_SAMPLE_H 1

#include "flow_logger_log.h"
#include "flow_logger_reserved.h"

/* What the packet adds to the flags of its record. */
static inline uint8_t
tcp_flags(const struct hg_packet *p)
{
    const struct hg_tcp *tcp = hg_packet_tcp(p);

    return tcp ? hg_flow_tcp_flags(tcp->flags) : 0;
}

static inline bool
is_rejected(const struct hg_packet *p)
{
    return p->in_port == IN_REJECTED;
}

/* What a sample has of the packet, whichever interface it is of; returns its
 * kind, but for the direction. */
static inline uint8_t
fill_sample(const struct hg_packet *p, struct hg_flow_sample *s)
{
    const uint8_t *l3 = hg_packet_l3(p);
    uint8_t kind = is_rejected(p) ? HG_RECORD_REJECT : 0, flags = 0;
    uint32_t ports = 0;

    s->cause = p;
    s->bytes = hg_packet_ip_bytes(p);
    s->key.protocol = p->protocol;
    if (p->flags & HG_PACKET_IP4) {
        memcpy(s->key.address, l3 + offsetof(struct hg_ipv4, src), 8);
    } else {
        memcpy(s->key.address, l3 + offsetof(struct hg_ipv6, src), 32);
        kind |= HG_RECORD_IP6;
    }
    if (p->flags & HG_PACKET_PORTS) { /* At the same place in TCP and UDP. */
        ports = hg_load32(hg_packet_l4(p));
        flags = tcp_flags(p);
    }
    s->key.sport = (uint16_t)(ports >> 16);
    s->key.dport = (uint16_t)ports;
    s->key.tcp_flags = flags;
    return kind;
}

/* The sample, which was filled, is of one interface; returns where the next
 * goes. */
static inline struct hg_flow_sample *
finish_sample(struct hg_flow_sample *s, uint32_t interface, uint8_t kind)
{
    s->key.kind = kind;
    s->key.interface = interface;
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

/* The only interface's addresses tell the direction. */
static struct hg_flow_sample *
log_by_address(const struct flow_logger *self, struct hg_flow_sample *s,
               uint8_t kind)
{
    bool leaves, comes;

    s->key.kind = kind;
    leaves = has_address(self->log, s, hg_record_src(&s->key));
    comes = has_address(self->log, s, hg_record_dst(&s->key));
    s[1] = s[0];
    if (leaves)
        s = finish_sample(s, FIXED, kind | HG_RECORD_EGRESS);
    if (comes)
        s = finish_sample(s, FIXED, kind | HG_RECORD_INGRESS);
    return leaves || comes ? s : finish_sample(s, FIXED, kind);
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

static struct hg_flow_sample *
log_by_identity(struct flow_logger *self, const struct hg_packet *p,
                struct hg_flow_sample *s, uint8_t kind)
{
    struct flow_logger *log = self->log;
    bool leaves, comes;

    choose_sides(self, p, &leaves, &comes);
    comes = comes && interface_of(log, p->dst_eni);
    leaves = leaves && interface_of(log, p->src_eni);
    if (comes && leaves)
        s[1] = s[0];
    if (comes)
        s = finish_sample(s, p->dst_eni->number, kind | HG_RECORD_INGRESS);
    if (leaves) {
        s->key.path = path_of(p, s->key.path);
        s = finish_sample(s, p->src_eni->number, kind | HG_RECORD_EGRESS);
    }
    if (!comes && !leaves)
        hg_count(&self->no_interface);
    return s;
}

/* It is another second.  Live, a packet's stamp may be older than the
 * window. */
__attribute__((noinline)) static void
begin_second(struct flow_logger *log, uint64_t now_ns)
{
    uint64_t now_s = now_ns / HG_SEC;

    log->second_ns = now_s * HG_SEC;
    log->second =
        now_s > log->window_s ? (uint16_t)(now_s - log->window_s) : 0;
}

/* Whether the packet is of the second that the log is in. */
static inline bool
is_same_second(const struct flow_logger *log, const struct hg_packet *p)
{
    return p->time_ns - log->second_ns < HG_SEC;
}

/* The packet's second since the window began. */
static inline uint16_t
second_of(struct flow_logger *log, const struct hg_packet *p)
{
    if (!is_same_second(log, p))
        begin_second(log, p->time_ns);
    return log->second;
}

#endif
