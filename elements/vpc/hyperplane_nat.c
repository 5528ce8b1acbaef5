/* HyperplaneNAT: a source NAT in the manner of the AWS NAT gateway.
 *
 *     inside  -> [inside]nat[outside] -> outside
 *     outside -> [outside]nat[inside] -> inside
 *
 * Theory of operation.  A batch's flows are looked up at once; then each
 * packet finds its gateway and its flow, moves the flow on in time and (TCP)
 * state, and gets other headers.  hyperplane_nat.h says which part is where.
 *
 * Whether a flow has expired is judged by the packet's own time; the timer
 * only gives memory back and keeps the gauge honest.  Checksums change
 * incrementally (RFC 1624), so that what was wrong stays wrong.
 *
 * RFC 4787, 5382, 5508, 6146 and 7857 apply but for what Hyperplane does
 * otherwise: mappings depend on the remote endpoint, nothing unsolicited comes
 * in, and there is no hairpinning. */
#include "hyperplane_nat.h"

#include <stdlib.h>

#include "hyperplane_nat_answers.h"
#include "hyperplane_nat_counts.h"
#include "hyperplane_nat_errors.h"
#include "hyperplane_nat_fragments.h"
#include "hyperplane_nat_gateways.h"
#include "hyperplane_nat_handlers.h"
#include "hyperplane_nat_six.h"
#include "hyperplane_nat_straight.h"
#include "hyperplane_nat_table.h"

#define SWEEP_NS HG_SEC

/* ---- The life of a flow ----------------------------------------------- */

static void
sweep(void *self_, struct hg_timer *timer, uint64_t now_ns)
{
    struct hyperplane_nat *self = self_;

    nat_expire(self, now_ns);
    self->active_connection_count.n = self->n_flows;
    if (self->n_flows)
        hg_timer_set(self, timer, now_ns + SWEEP_NS);
}

static void
flow_added(struct hyperplane_nat *self, uint64_t now_ns)
{
    if (!self->sweep.pending)
        hg_timer_set(self, &self->sweep, now_ns + SWEEP_NS);
}

/* How long a TCP flow lives from now on; 0: no longer than it does. */
static uint64_t
tcp_timeout(const struct hyperplane_nat *self, uint8_t state, bool has_changed,
            bool is_opening)
{
    switch (state) {
    case HG_NAT_INIT:
        return is_opening ? self->tcp_opening_timeout.ns : 0;
    case HG_NAT_FIN_BOTH:
    case HG_NAT_TRANS:
        return has_changed ? self->tcp_closing_timeout.ns : 0;
    default:
        return self->tcp_idle_timeout.ns;
    }
}

/* Brings a TCP flow up to date with a segment of it that may change its
 * state. */
static void
touch_tcp(struct hyperplane_nat *self, const struct hg_packet *p,
          struct nat_flow *flow, bool from_inside, uint8_t flags)
{
    struct gateway *gw = flow->gateway;
    uint8_t state = hg_nat_tcp_next(flow->f.state, from_inside, flags);
    uint64_t timeout_ns = tcp_timeout(self, state, state != flow->f.state,
                                      from_inside && flags & HG_TCP_SYN);

    if (flow->f.state == HG_NAT_INIT && state == HG_NAT_ESTABLISHED)
        METRIC(self, gw, connection_established_count, 1);
    if (state == HG_NAT_INIT && flow->f.state != HG_NAT_INIT)
        METRIC(self, gw, connection_attempt_count, 1);
    if (timeout_ns || state != flow->f.state)
        nat_update(self, flow, state,
                   timeout_ns ? p->time_ns + timeout_ns : flow->f.deadline_ns);
}

/* Brings the flow up to date with a packet of it. */
static void
touch(struct hyperplane_nat *self, const struct hg_packet *p,
      struct nat_flow *flow, bool from_inside)
{
    const struct hg_tcp *tcp = hg_packet_tcp(p);

    if (tcp)
        touch_tcp(self, p, flow, from_inside, tcp->flags);
    else
        nat_update(self, flow, flow->f.state,
                   p->time_ns + idle_ns(self, p->protocol));
}

/* The state that the first packet of a flow puts it in; or false if it may
 * not be the first, after answering it. */
static bool
may_begin(struct hyperplane_nat *self, const struct hg_packet *p,
          uint8_t *state)
{
    const struct hg_tcp *tcp = hg_packet_tcp(p);
    const uint8_t mask = HG_TCP_SYN | HG_TCP_ACK | HG_TCP_RST | HG_TCP_FIN;

    *state = tcp ? HG_NAT_INIT : HG_NAT_QUERY;
    if (!tcp || (tcp->flags & mask) == HG_TCP_SYN)
        return true;
    if (self->rst_on_expired && !(tcp->flags & HG_TCP_RST))
        send_reset(self, p);
    return false;
}

/* Makes a flow for the packet; NULL, or why that cannot be. */
static hg_counter *
begin_flow(struct hyperplane_nat *self, struct hg_packet *p,
           struct gateway *gw, uint32_t remote, struct nat_flow *flow)
{
    uint64_t timeout_ns;
    uint8_t state;

    if (!may_begin(self, p, &state)) {
        nat_expire(self, p->time_ns); /* Maybe it is one that ran out. */
        return &self->no_connection;
    }
    if (state == HG_NAT_INIT) {
        METRIC(self, gw, connection_attempt_count, 1);
        timeout_ns = self->tcp_opening_timeout.ns;
    } else {
        timeout_ns = idle_ns(self, p->protocol);
    }
    switch (
        nat_begin(self, p, gw, remote, state, p->time_ns + timeout_ns, flow)) {
    case NAT_OK:
        flow_added(self, p->time_ns);
        return NULL;
    case NAT_NO_PORT:
        gw->metrics.error_port_allocation++;
        return &self->error_port_allocation;
    default:
        return &self->table_full;
    }
}

/* ---- From inside ------------------------------------------------------ */

/* The packet's flow by this gateway.  One by another, where it was routed
 * before, ends: this gateway does not know it. */
static bool
find_out(struct hyperplane_nat *self, struct hg_packet *p,
         const struct gateway *gw, struct nat_flow *flow)
{
    if (!nat_find(self, p, true, flow))
        return false;
    if (flow->gateway == gw)
        return true;
    nat_end(self, flow);
    hg_packet_forget_flow(p);
    return false;
}

/* Makes a flow for a packet that has none, or drops it; 'mtu' is what its
 * sender is to be told. */
static int
begin_out(struct hyperplane_nat *self, struct hg_packet *p, struct gateway *gw,
          uint32_t remote, uint16_t mtu, struct nat_flow *flow)
{
    hg_counter *reason;

    if (find_address(self, p->vpc, remote))
        return hg_drop(&self->hairpin); /* Which no flow is. */
    if (mtu) {
        answer_too_big(self, p, gw->source, mtu);
        return hg_drop(&self->too_big);
    }
    reason = begin_flow(self, p, gw, remote, flow);
    return reason ? hg_drop(reason) : OUTSIDE;
}

/* What else but its source changes of a packet. */
static hg_counter *
change_odd_out(struct hyperplane_nat *self, struct hg_packet *p,
               uint32_t remote, const struct nat_flow *flow)
{
    hg_counter *reason = NULL;

    if (p->flags & HG_PACKET_FRAGMENT) {
        struct hg_fragment_key datagram = fragment_key(self, p);
        struct hg_addr addr = hg_addr_from_ip4(flow->f.external);

        decide_fragments(self, p, &datagram, OUTSIDE, &addr, 0);
    }
    if (p->flags & HG_PACKET_IP6)
        reason = to_four(self, p, flow->f.external, remote);
    return reason;
}

static int
translate_out(struct hyperplane_nat *self, struct hg_packet *p,
              struct gateway *gw, uint32_t remote)
{
    bool six = (p->flags & HG_PACKET_IP6) != 0;
    uint16_t mtu =
        six ? too_big6(self, p) : too_big4(hg_packet_ipv4(p), self->mtu, 0);
    struct nat_flow flow;
    hg_counter *reason;
    int verdict;

    if (!mtu && find_out(self, p, gw, &flow)) {
        touch(self, p, &flow, true);
    } else {
        verdict = begin_out(self, p, gw, remote, mtu, &flow);
        if (verdict != OUTSIDE)
            return verdict;
    }
    reason = change_odd_out(self, p, remote, &flow);
    if (reason)
        return hg_drop(reason);
    if (six)
        hg_packet_set_sport(p, flow.f.external_port);
    else
        nat_set_end(self, &flow, p, HG_END_SRC, flow.f.external,
                    flow.f.external_port);
    clamp_syn(self, p, six);
    return OUTSIDE;
}

/* ---- From outside ----------------------------------------------------- */

/* What becomes of the fragments of a datagram whose first one this is. */
static void
decide_fragments_in(struct hyperplane_nat *self, const struct hg_packet *p,
                    const struct nat_flow *flow)
{
    struct hg_fragment_key datagram = fragment_key(self, p);
    struct hg_addr addr = {.family = 6};

    if (flow->is_six)
        memcpy(addr.byte, flow->inside6, sizeof(addr.byte));
    else
        addr = hg_addr_from_ip4(flow->f.inside);
    decide_fragments(self, p, &datagram, INSIDE, &addr, flow->vpc);
}

/* Towards an IPv6 host. */
static int
translate_in_six(struct hyperplane_nat *self, struct hg_packet *p,
                 const struct nat_flow *flow)
{
    hg_counter *reason;

    hg_packet_set_dport(p, flow->f.inside_port);
    clamp_syn(self, p, true);
    reason = to_six(self, p, flow->inside6);
    return reason ? hg_drop(reason) : INSIDE;
}

static int
translate_in(struct hyperplane_nat *self, struct hg_packet *p)
{
    const struct hg_ipv4 *ip = hg_packet_ipv4(p);
    struct nat_flow flow;
    uint16_t mtu;

    if (!nat_find(self, p, false, &flow)) {
        nat_expire(self, p->time_ns);
        return hg_drop(&self->unknown_inbound);
    }
    mtu = too_big4(ip, self->inside_mtu, flow.is_six ? SIX_GROWS : 0);
    if (mtu) {
        answer_too_big(self, p, hg_get32(ip->dst), mtu);
        return hg_drop(&self->too_big);
    }
    touch(self, p, &flow, false);
    if (p->flags & HG_PACKET_FRAGMENT)
        decide_fragments_in(self, p, &flow);
    p->vpc = flow.vpc;
    if (flow.is_six)
        return translate_in_six(self, p, &flow);
    nat_set_end(self, &flow, p, HG_END_DST, flow.f.inside, flow.f.inside_port);
    clamp_syn(self, p, false);
    return INSIDE;
}

/* ---- Both ways -------------------------------------------------------- */

/* Why a whole ICMP message is dropped, or NULL. */
static hg_counter *
refuse_icmp(struct hyperplane_nat *self, uint8_t type, unsigned version,
            bool is_out)
{
    uint8_t echo = version == 4 ? HG_ICMP_ECHO : HG_ICMP6_ECHO;

    if (type == echo && !is_out)
        return &self->ping_to_gateway;
    if (type == (is_out ? echo : HG_ICMP_ECHO_REPLY) ||
        hg_icmp_is_error(version, type))
        return NULL;
    return &self->unsupported_icmp;
}

/* Why a packet is dropped whatever its flow, or NULL. */
static hg_counter *
refuse(struct hyperplane_nat *self, const struct hg_packet *p)
{
    bool is_fragment = (p->flags & HG_PACKET_FRAGMENT) != 0;
    bool is_whole = (p->flags & HG_PACKET_L4) != 0;
    unsigned version = p->flags & HG_PACKET_IP6 ? 6 : 4;
    uint8_t icmp = version == 6 ? HG_PROTO_ICMP6 : HG_PROTO_ICMP;

    if (p->protocol == HG_PROTO_UDP) {
        if (p->flags & HG_PACKET_FRAGMENT_LATER)
            return NULL;
    } else if (p->protocol == HG_PROTO_TCP) {
        if (is_fragment)
            return &self->tcp_fragment;
    } else if (p->protocol == icmp) {
        if (is_fragment)
            return &self->icmp_fragment;
        if (is_whole)
            return refuse_icmp(self, hg_packet_icmp(p)->type, version,
                               p->in_port != OUTSIDE);
    } else {
        return &self->unsupported_protocol;
    }
    return is_whole ? NULL : &self->truncated;
}

static bool
is_icmp_error(const struct hg_packet *p)
{
    const struct hg_icmp *icmp = hg_packet_icmp(p);

    return icmp &&
           hg_icmp_is_error(p->flags & HG_PACKET_IP6 ? 6 : 4, icmp->type);
}

/* Towards which IPv4 address a packet from inside goes; false if none. */
static bool
find_remote(const struct hyperplane_nat *self, const struct hg_packet *p,
            uint32_t *remote)
{
    const struct hg_ipv4 *ip = hg_packet_ipv4(p);
    const struct hg_ipv6 *ip6 = hg_packet_ipv6(p);

    if (ip)
        *remote = hg_get32(ip->dst);
    return ip || (ip6 && !self->compact &&
                  hg_embedded_ip4(&self->nat64_prefix, ip6->dst, remote));
}

/* A packet that is not plain, or for no gateway. */
static int
odd_from_inside(struct hyperplane_nat *self, struct hg_packet *p)
{
    struct gateway *gw = self->at_gateway;
    hg_counter *reason;
    uint32_t remote;

    if (!find_remote(self, p, &remote))
        return hg_drop(&self->not_ipv4);
    if (find_address(self, p->vpc, remote))
        return hg_drop(&self->hairpin);
    if (!gw)
        return hg_drop(&self->not_inside);
    reason = refuse(self, p);
    if (reason)
        return hg_drop(reason);
    if (p->flags & HG_PACKET_FRAGMENT_LATER)
        return follow_first(self, p, OUTSIDE);
    if (is_icmp_error(p))
        return translate_error(self, p, remote);
    return translate_out(self, p, gw, remote);
}

static int
odd_from_outside(struct hyperplane_nat *self, struct hg_packet *p)
{
    hg_counter *reason;

    if (!hg_packet_ipv4(p))
        return hg_drop(&self->not_ipv4);
    if (!self->at_gateway)
        return hg_drop(&self->wrong_destination);
    reason = refuse(self, p);
    if (reason)
        return hg_drop(reason);
    if (p->flags & HG_PACKET_FRAGMENT_LATER)
        return follow_first(self, p, INSIDE);
    if (is_icmp_error(p))
        return translate_error(self, p, 0);
    return translate_in(self, p);
}

/* ---- Batches ---------------------------------------------------------- */

/* Takes out of the batch what is no longer in it. */
static void
close_ranks(struct hg_batch *batch, int16_t *verdict)
{
    unsigned i;
    uint16_t n = 0;

    for (i = 0; i < batch->n; i++) {
        if (verdict[i] == GONE)
            continue;
        batch->p[n] = batch->p[i];
        verdict[n++] = verdict[i];
    }
    batch->n = n;
    batch->bytes_known = false;
}

/* Any packet, the long way. */
static __attribute__((noinline)) int
translate(struct hyperplane_nat *self, struct gateway *gw, unsigned i)
{
    struct hg_packet *p = self->batch->p[i];

    self->at = i;
    self->at_gateway = gw;
    if (!gw || !is_plain(p))
        return p->in_port != OUTSIDE ? odd_from_inside(self, p)
                                     : odd_from_outside(self, p);
    return p->in_port != OUTSIDE
               ? translate_out(self, p, gw, hg_get32(hg_packet_ipv4(p)->dst))
               : translate_in(self, p);
}

static inline __attribute__((always_inline)) void
translate_all(struct hyperplane_nat *self, const struct hg_batch *batch,
              enum nat_table table, struct gateway *const *gateway,
              int16_t *verdict)
{
    const unsigned n = batch->n;
    unsigned i;

    for (i = 0; i < n; i++) {
        struct gateway *gw = gateway[i];
        struct hg_packet *p = batch->p[i];
        int to;

        if (p->in_port != OUTSIDE)
            to = gw && go_straight(self, table, gw, p, i, true)
                     ? OUTSIDE
                     : translate(self, gw, i);
        else
            to = gw && go_straight(self, table, gw, p, i, false)
                     ? INSIDE
                     : translate(self, gw, i);
        verdict[i] = (int16_t)to;
    }
}

/* One for each table, as both in one function would be short of registers. */
static __attribute__((noinline)) void
translate_by_service(struct hyperplane_nat *self, const struct hg_batch *batch,
                     struct gateway *const *gateway, int16_t *verdict)
{
    translate_all(self, batch, TABLE_FLOW_SERVICE, gateway, verdict);
}

static __attribute__((noinline)) void
translate_by_compact(struct hyperplane_nat *self, const struct hg_batch *batch,
                     struct gateway *const *gateway, int16_t *verdict)
{
    translate_all(self, batch, TABLE_COMPACT, gateway, verdict);
}

static void
nat_batch(struct hyperplane_nat *self, struct hg_batch *batch)
{
    struct gateway *gateway[HG_BATCH_MAX];
    int16_t verdict[HG_BATCH_MAX];
    const uint64_t bytes = receive(self, batch, gateway);

    nat_find_batch(self, batch, gateway);
    self->batch = batch;
    self->verdict = verdict;
    self->has_gone = self->has_resized = false;
    if (self->compact)
        translate_by_compact(self, batch, gateway, verdict);
    else
        translate_by_service(self, batch, gateway, verdict);
    count_fates(self, batch, gateway, verdict, bytes);
    self->active_connection_count.n = self->n_flows;
    self->peak_bytes_per_second.n = self->peak.most_bytes / PEAK_SECONDS;
    self->peak_packets_per_second.n = self->peak.most_packets / PEAK_SECONDS;
    if (self->has_resized)
        batch->bytes_known = false;
    if (self->has_gone)
        close_ranks(batch, verdict);
    hg_route(self, batch, verdict);
}

static bool
write_import(void *self_, const char *value, struct hg_error *error)
{
    struct hyperplane_nat *self = self_;
    bool ok;

    if (hg_n_workers(self) > 1)
        return hg_error_set(error, "flows cannot be imported while several "
                                   "workers run; leave --workers out");
    ok = import_flows(self, hg_now(self), value, error);

    self->active_connection_count.n = self->n_flows;
    if (self->n_flows)
        flow_added(self, hg_now(self));
    return ok;
}

/* ---- Life ------------------------------------------------------------- */

static bool
nat_configure(void *self_)
{
    struct hyperplane_nat *self = self_;
    struct hg_duration *const follow_idle[] = {
        &self->tcp_idle_timeout, &self->udp_timeout, &self->icmp_timeout};
    bool ok = configure_gateways(self);
    size_t i;

    for (i = 0; i < sizeof(follow_idle) / sizeof(follow_idle[0]); i++)
        if (!follow_idle[i]->ns)
            *follow_idle[i] = self->idle_timeout;
    if (!hg_embed_prefix_ok(&self->nat64_prefix))
        ok = hg_config_error(self, "nat64_prefix", -1,
                             "an IPv6 prefix of 32, 40, 48, 56, 64 or 96 "
                             "bits is needed, with bits 64 to 71 zero");
    hg_promise_delay(self, SWEEP_NS);
    hg_promise_delay(self, self->fragment_timeout.ns);
    return configure_table(self) && ok;
}

/* What are limits of all workers become this one's share of them.  That of a
 * destination is exact: what the shares come to is no more. */
static bool
share_limits(struct hyperplane_nat *self, struct hg_error *error)
{
    uint32_t *const limits[] = {&self->max_flows, &self->too_big_rate,
                                &self->fragment_hold};
    const unsigned n = hg_n_workers(self);
    size_t i;

    for (i = 0; i < sizeof(limits) / sizeof(limits[0]); i++)
        *limits[i] = *limits[i] / n + (*limits[i] % n != 0);
    if (!hg_port_parts(self->ports, n).n)
        return hg_error_set(error,
                            "'ports' are too few for %u workers: each needs "
                            "a group of four, the first of which is divisible "
                            "by four; leave --workers out",
                            n);
    if (self->connections_per_destination < n)
        return hg_error_set(error,
                            "'connections-per-destination' is less than the "
                            "%u workers that have to share it; leave "
                            "--workers out",
                            n);
    self->connections_per_destination =
        (self->connections_per_destination + n - 1 - hg_worker(self)) / n;
    return true;
}

static bool
nat_start(void *self_, struct hg_error *error)
{
    struct hyperplane_nat *self = self_;

    if (!share_limits(self, error) || !start_gateways(self, error) ||
        !start_table(self, error))
        return false;
    self->seed = hg_seed(self);
    self->fragments = hg_fragment_table_create(
        FRAGMENT_RECORDS, self->fragment_timeout.ns, self->seed);
    if (!self->fragments)
        return hg_error_set(error, "no memory for the fragments");
    hg_timer_init(self, &self->sweep, sweep);
    hg_timer_init(self, &self->fragment_timer, fragments_expire);
    return true;
}

/* Fragments that still wait have nobody left to wait for; flows that have run
 * out are counted so, whatever the last sweep saw. */
static void
nat_stop(void *self_)
{
    struct hyperplane_nat *self = self_;

    nat_expire_all(self, hg_now(self));
    self->active_connection_count.n = self->n_flows;
    self->at_gateway = NULL;
    discard_list(self, hg_fragment_expire(self->fragments, HG_NEVER),
                 &self->fragment_timed_out);
}

static void
nat_free(void *self_)
{
    struct hyperplane_nat *self = self_;

    free_table(self);
    hg_fragment_table_destroy(self->fragments);
    free_gateways(self);
}

/* clang-format off */
HG_BATCH_ELEMENT(HyperplaneNAT, struct hyperplane_nat, nat_batch,
    .summary = "shares a few public addresses among many inside hosts",
    .doc =
        "A source NAT in the manner of the AWS NAT gateway.  Packets that "
        "come in on \"inside\" leave on \"outside\" with an external source "
        "address and port; replies find their way back.  A flow is TCP, UDP "
        "or ICMP echo between an inside and a remote endpoint.  Two flows to "
        "the same remote endpoint never share an external address and port; "
        "flows to different ones may.  An inside host keeps its external "
        "address unless that one is exhausted for a destination.\n\n"
        "External addresses are the public ones; a private gateway, which "
        "has none, gives out its private addresses.  (That a public gateway "
        "has a private address too, which the internet gateway exchanges for "
        "the public one, is not imitated: write a private gateway, and the "
        "exchange behind it.)\n\n"
        "Several gateways are sections \"gateway NAME\".  A packet from "
        "inside is for the gateway by whose own input it came (a target of "
        "RouteTable wired to it), else for the first whose vpc, mark and "
        "inside it fits, those that name a VPC first.  Inside addresses may "
        "overlap in different VPCs: a packet that goes back inside has the "
        "VPC that its flow came from.\n\n"
        "IPv6 from inside towards nat64-prefix is translated to IPv4 and "
        "back (RFC 6146, RFC 7915).\n\n"
        "A TCP packet from inside that belongs to no connection is answered "
        "with a RST.  A packet with DF that is larger than the MTU of where "
        "it goes is answered with \"fragmentation needed\" or \"packet too "
        "big\".  ICMP errors are translated both ways, with what they "
        "quote.  Fragments of UDP follow their first one; those of TCP and "
        "ICMP are dropped.  The TTL is DecTTL's business.\n\n"
        "Several workers (--workers N) divide the ports, in groups of four, and "
        "connections-per-destination: no limit is exceeded, but a worker that "
        "has more than its share of the flows to one destination refuses new "
        "ones before the others have used up theirs.  A later fragment from "
        "outside that comes before its first one may wait for it in vain "
        "then.\n\n"
        "Option table says where flows are kept.  flow-service: in records "
        "that SecurityGroup, NLB and the other elements share, which find "
        "them once for all; times exact to the nanosecond, IPv6 inside.  "
        "compact: in a table of the element's own, for hundreds of millions "
        "of IPv4 flows at 16 bytes each.  The compact table differs so:\n\n"
        "IPv6 from inside is dropped as not_ipv4; nat64-prefix and IPv6 "
        "prefixes are refused, as are timeouts beyond 6.5 days and more than "
        "4,096 gateways.  Of pairs of a VPC and a gateway 4,096 may have "
        "flows.\n\n"
        "A flow ends up to 17 ms late if it has at most 73 s to live, 269 ms "
        "if 35 minutes, 4.3 s if 9.7 hours, else 69 s; never too early.  Its "
        "port is free from then on, but active_connection_count and "
        "idle_timeout_count learn of it as the table is gone through: within "
        "seconds for a million flows, a minute or so for a hundred million, "
        "some minutes for a billion.  At max-flows some that ran out may "
        "still count.\n\n"
        "An address has connections-per-destination ports for each "
        "destination, beginning at a random one of the range.  A flow that "
        "finds its few places there taken, as at destinations that are nearly "
        "exhausted, costs 40 bytes and two hashes.  An imported flow may have "
        "another port, and is not counted among its destination's then.\n\n"
        "Handler addresses does not say most-to-one-destination.  A new flow "
        "costs a look-up for each other gateway of its VPC.\n\n"
        "Counters bear the names of CloudWatch's NAT "
        "gateway metrics.  A filter selects flows: words such as tcp, "
        "10.0.0.5, 10.0.0.0/24, 203.0.113.9:443 and :53 that must all fit, an "
        "address any end of the flow.",
    .reproduces =
        "the NAT gateway, public and private: a port for each remote "
        "endpoint, never the same for two flows to one; 55,000 flows for "
        "each address and destination, up to eight addresses; idle timeout "
        "of 350 s and RST behind it; NAT64; fragments of UDP alone; MTUs of "
        "8500 and 1500, path MTU discovery and MSS; CloudWatch's metrics",
    .leaves_out =
        "limits of bandwidth and packets, scaling and zones; "
        "address-independent mappings and hairpins, as the real one",
    .lets_choose =
        "gateways by VPC, mark, prefix or input; ports, limits, timeouts, "
        "where flows are kept, MTUs and the prefix of NAT64; whether "
        "fragments wait for their first one; whether a connection that is "
        "not known gets a RST; whether MSS is lowered",
    .example =
        "Interface inside { }\n"
        "Interface outside { }\n"
        "HyperplaneNAT nat {\n"
        "    public       = { 198.51.100.1, 198.51.100.2 }\n"
        "    idle-timeout = 350s\n"
        "}\n"
        "connect(\"inside -> CheckIP -> [inside]nat[outside] -> outside\")\n"
        "connect(\"outside -> CheckIP -> [outside]nat[inside] -> inside\")\n",
    .flags = HG_CLASS_KEEPS_OWNER, .owner = hg_flow_owner,
    .inputs = "inside? outside *", .outputs = "inside outside",
    .needs = "ip",
    .configure = nat_configure, .start = nat_start, .stop = nat_stop,
    .free = nat_free, .flow_expired = flow_expired,
    .handlers = HG_HANDLERS(
        {"flows", "the flows that fit a filter, one JSON object a line",
         read_flows, NULL},
        {"count", "how many flows fit a filter", read_count, NULL},
        {"delete", "removes the flows that fit a filter; 'all' for every one",
         NULL, write_delete},
        {"export", "the same as flows, named for its use with import",
         read_flows, NULL},
        {"import", "installs flows written as by export, all or none; state "
                   "and expires may be left out", NULL, write_import},
        {"metrics", "CloudWatch's metrics since the start, one JSON object "
                    "for each gateway or for the one named", read_metrics,
         NULL},
        {"addresses", "flows of each external address, and of its busiest "
                      "destination (since it last had none), as JSON",
         read_addresses, NULL}),
    .fields = nat_fields,
    .n_fields = sizeof(nat_fields) / sizeof(nat_fields[0]))
/* clang-format on */
