/* hyperplane_nat_errors.h: ICMP errors at HyperplaneNAT (RFC 5508 4, RFC 6146
 * 3.5.4): they belong to the flow of the packet that they quote, and neither
 * refresh nor end it (REQ-6). */
#ifndef HYPERPLANE_NAT_ERRORS_H
#define HYPERPLANE_NAT_ERRORS_H 1

#include "hyperplane_nat_six.h"

/* ---- Quotes of IPv4 --------------------------------------------------- */

/* Finds the flow of the packet that the error 'p' quotes, on its way from
 * inside or from outside.  NULL, or why the error is dropped. */
static hg_counter *
find_quoted_flow(struct hyperplane_nat *self, const struct hg_packet *p,
                 struct hg_quote *q, struct nat_flow *flow)
{
    bool from_inside = p->in_port != OUTSIDE;
    enum hg_end ours = from_inside ? HG_END_DST : HG_END_SRC;
    struct hg_flow_key key = {.vpc = p->vpc};

    switch (hg_quote_find(p, q)) {
    case HG_QUOTE_OK:
        break;
    case HG_QUOTE_BAD_CHECKSUM:
        return &self->bad_icmp_checksum;
    case HG_QUOTE_BROKEN:
        return &self->bad_quote;
    case HG_QUOTE_NO_PORTS:
        return &self->icmp_error_unmapped;
    }
    key.src = hg_addr_from_ip4(hg_quote_addr(q, HG_END_SRC));
    key.dst = hg_addr_from_ip4(hg_quote_addr(q, HG_END_DST));
    key.sport = hg_quote_port(q, HG_END_SRC);
    key.dport = hg_quote_port(q, HG_END_DST);
    key.protocol = q->protocol;
    if (!nat_find_key(self, &key, ours == HG_END_SRC ? &key.src : &key.dst,
                      hg_quote_port(q, ours), from_inside, p->time_ns, flow))
        return &self->icmp_error_unmapped; /* REQ-4, REQ-5 */
    return NULL;
}

/* An error from outside that a host with IPv6 is to get. */
static hg_counter *
error_to_six(struct hyperplane_nat *self, struct hg_packet *p,
             struct hg_quote *q, const struct nat_flow *flow)
{
    struct hg_translation t = translation(self);

    hg_quote_set(q, HG_END_SRC, flow->f.external, flow->f.inside_port);
    hg_embed_ip4(&self->nat64_prefix, hg_get32(hg_packet_ipv4(p)->src),
                 t.to6.ends.src);
    memcpy(t.to6.ends.dst, flow->inside6, sizeof(t.to6.ends.dst));
    memcpy(t.to6.quoted.src, flow->inside6, sizeof(t.to6.quoted.src));
    hg_embed_ip4(&self->nat64_prefix, hg_quote_addr(q, HG_END_DST),
                 t.to6.quoted.dst);
    return refusal_of(self, hg_translate_4to6(p, &t));
}

/* ---- Quotes of IPv6 --------------------------------------------------- */

static hg_counter *
error_to_four(struct hyperplane_nat *self, struct hg_packet *p,
              uint32_t remote, struct nat_flow *flow)
{
    struct hg_translation t = translation(self);
    struct hg_flow_key key;
    struct hg_quote q;
    hg_counter *reason;

    if (!hg_packet_l4_checksum_ok(p) &&
        hg_packet_l3_len(p) == hg_packet_ip_bytes(p))
        return &self->bad_icmp_checksum;
    if (!hg_flow_key_quoted(p, &key))
        return &self->bad_quote;
    if (!nat_find_key(self, &key, &key.dst, key.dport, true, p->time_ns, flow))
        return &self->icmp_error_unmapped;
    t.to4.ends = (struct hg_ends4){flow->f.external, remote};
    t.to4.quoted.dst = flow->f.external;
    if (!hg_embedded_ip4(&self->nat64_prefix, key.src.byte, &t.to4.quoted.src))
        return &self->icmp_error_unmapped;
    t.to4.id = (uint16_t)hg_random(self);
    reason = refusal_of(self, hg_translate_6to4(p, &t));
    if (reason)
        return reason;
    if (hg_quote_find(p, &q) == HG_QUOTE_OK)
        hg_quote_set(&q, HG_END_DST, flow->f.external, flow->f.external_port);
    return NULL;
}

/* ---- Both ------------------------------------------------------------- */

/* An error from outside, about a packet that went out, or from inside, about
 * one that came in; 'remote' is who gets the latter. */
static int
translate_error(struct hyperplane_nat *self, struct hg_packet *p,
                uint32_t remote)
{
    struct nat_flow flow;
    struct hg_quote q;
    hg_counter *reason;

    if (p->flags & HG_PACKET_IP6) {
        reason = error_to_four(self, p, remote, &flow);
        return reason ? hg_drop(reason) : OUTSIDE;
    }
    reason = find_quoted_flow(self, p, &q, &flow);
    if (reason)
        return hg_drop(reason);
    if (p->in_port != OUTSIDE) {
        hg_quote_set(&q, HG_END_DST, flow.f.external, flow.f.external_port);
        hg_end_set_addr(p, HG_END_SRC, flow.f.external);
        return OUTSIDE;
    }
    p->vpc = flow.vpc;
    if (flow.is_six) {
        reason = error_to_six(self, p, &q, &flow);
        return reason ? hg_drop(reason) : INSIDE;
    }
    hg_quote_set(&q, HG_END_SRC, flow.f.inside, flow.f.inside_port);
    hg_end_set_addr(p, HG_END_DST, flow.f.inside);
    return INSIDE;
}

#endif
