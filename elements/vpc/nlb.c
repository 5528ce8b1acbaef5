/* NLB: spreads connections over targets in the manner of the AWS Network Load
 * Balancer.
 *
 *     clients -> [clients]nlb[targets] -> targets
 *     targets -> [targets]nlb[clients] -> clients
 *
 * Theory of operation.  A packet for one of the nodes' addresses and a
 * listener's port belongs to a flow or begins one.  A new flow gets a target
 * from a Maglev table (headgate/target_group.h) by the hash of its tuple, for
 * TCP with the sequence number of its SYN, and is then pinned to it in the
 * core's flow table: what happens to the other targets does not move it.  The
 * tuple between client and target is a second key of its record, so that
 * answers find it.
 *
 * Here is the way of a packet, and in nlb_straight.h the short one that nearly
 * all take.  Flows are in nlb_flow.h, what concerns TCP itself in nlb_tcp.h,
 * nodes and targets in nlb_targets.h, health checks in nlb_probe.h. */
#include <stdlib.h>

#include "nlb.h"
#include "nlb_flow.h"
#include "nlb_probe.h"
#include "nlb_straight.h"
#include "nlb_targets.h"
#include "nlb_tcp.h"

/* ---- ICMP ------------------------------------------------------------- */

/* Finds the flow that an ICMP error is about, as who sent the error saw it.
 */
static struct hg_flow *
find_quoted(struct nlb *self, const struct hg_packet *p, struct hg_quote *q)
{
    const struct hg_icmp *icmp = hg_packet_icmp(p);
    struct hg_flow_key key;
    struct hg_flow *flow;

    if (!hg_packet_ipv4(p) || !icmp || icmp->type != HG_ICMP_UNREACH ||
        hg_quote_find(p, q) != HG_QUOTE_OK || !hg_flow_key_quoted(p, &key))
        return NULL;
    flow = hg_flow_find_key(self, &key, p->time_ns);
    if (flow || !self->has_own)
        return flow;
    key.vpc ^= OWN_VPC;
    return hg_flow_find_key(self, &key, p->time_ns);
}

/* About a packet that went to a client. */
static int
forward_error(struct nlb *self, struct hg_packet *p)
{
    struct hg_quote q;
    struct hg_flow *flow = find_quoted(self, p, &q);
    const struct nlb_flow *state;
    const struct hg_target *target;

    if (!flow)
        return hg_drop(&self->unsupported_icmp);
    state = hg_flow_state(self, flow, p->time_ns);
    target = target_of(self, state);
    hg_quote_set(&q, HG_END_SRC, hg_addr_ip4(&target->addr), target->port);
    hg_end_set_addr(p, HG_END_DST, hg_addr_ip4(&target->addr));
    if (state->nat_port) {
        uint32_t ours = hg_addr_ip4(&self->addresses[state->address].addr);

        hg_quote_set(&q, HG_END_DST, ours, state->nat_port);
        hg_end_set_addr(p, HG_END_SRC, ours);
    }
    count_packet(self, p);
    return OUT_TARGETS;
}

/* About a packet that went to a target. */
static int
bring_back_error(struct nlb *self, struct hg_packet *p)
{
    struct hg_quote q;
    struct hg_flow *flow = find_quoted(self, p, &q);
    const struct nlb_flow *state;
    struct hg_flow_key first;

    if (!flow)
        return OUT_OTHER;
    state = hg_flow_state(self, flow, p->time_ns);
    first_key_of(self, flow, state, &first);
    hg_quote_set(&q, HG_END_SRC, hg_addr_ip4(&first.src), first.sport);
    hg_quote_set(&q, HG_END_DST, hg_addr_ip4(&first.dst), first.dport);
    hg_end_set_addr(p, HG_END_SRC,
                    hg_addr_ip4(&self->addresses[state->address].addr));
    hg_end_set_addr(p, HG_END_DST, hg_addr_ip4(&first.src));
    count_packet(self, p);
    return OUT_CLIENTS;
}

static bool
is_icmp(const struct hg_packet *p)
{
    return p->protocol == HG_PROTO_ICMP || p->protocol == HG_PROTO_ICMP6;
}

/* ---- Packets ---------------------------------------------------------- */

/* A segment for a listener that belongs to no connection. */
static int
refuse_segment(struct nlb *self, struct hg_packet *p, unsigned back)
{
    answer_with_reset(self, back, p);
    return hg_drop(&self->no_flow);
}

/* Finds out which of our addresses and which listener the packet is for, or
 * else what becomes of it. */
static bool
is_for_listener(struct nlb *self, struct hg_packet *p, int *address,
                int *listener, int *verdict)
{
    hg_counter *reason;

    *address = find_address(self, p);
    if (*address < 0) {
        *verdict = OUT_OTHER;
        return false;
    }
    if (is_icmp(p)) {
        *verdict = forward_error(self, p);
        return false;
    }
    reason = refuse(self, p);
    *listener = reason ? -1 : find_listener(self, p);
    if (*listener >= 0)
        return true;
    *verdict = hg_drop(reason ? reason : &self->no_listener);
    return false;
}

/* 'c' is the target if its flow begins, if that was chosen already. */
static int
from_client(struct nlb *self, struct hg_packet *p, struct choice *c)
{
    const struct hg_tcp *tcp = hg_packet_tcp(p);
    int address = -1, listener = -1, verdict;
    hg_counter *reason;
    struct nlb_flow *state;
    struct hg_flow *flow;

    flow = find_known(self, p, &state);
    if (!c->is_made && !is_like_first(p, state) &&
        !is_for_listener(self, p, &address, &listener, &verdict))
        return verdict;
    if (!flow)
        flow = find_flow(self, p, &state);
    if (flow && tcp && is_opening(tcp) && state->tcp_state == TCP_CLOSED) {
        address = state->address;
        listener = state->listener;
        end_flow(self, flow, state);
        flow = NULL;
    }
    if (!flow) {
        if (!is_opening(tcp))
            return refuse_segment(self, p, OUT_CLIENTS);
        if (!c->is_made)
            choose_target(self, p, (unsigned)address, (unsigned)listener, c);
        reason = begin_flow(self, p, c, &flow, &state);
        if (reason)
            return hg_drop(reason);
    }
    if (tcp && tcp->flags & HG_TCP_SYN && payload_len(p, tcp) &&
        has_proxy_header(self, state))
        return hg_drop(&self->syn_with_data);
    return forward(self, p, flow, state);
}

static bool
is_target(const struct nlb *self, const struct hg_packet *p)
{
    struct hg_addr src = hg_packet_src(p);
    uint16_t port = hg_packet_sport(p);
    size_t i;

    for (i = 0; i < self->target_group.n; i++)
        if (hg_target_find_address(self->groups[i].targets, &src, port) !=
            HG_TARGET_NONE)
            return true;
    return false;
}

static int
from_target(struct nlb *self, struct hg_packet *p)
{
    const struct hg_tcp *tcp = hg_packet_tcp(p);
    struct nlb_flow *state;
    struct hg_flow *flow;

    if (is_icmp(p))
        return bring_back_error(self, p);
    if (p->flags & HG_PACKET_FRAGMENT)
        return hg_drop(&self->fragment);
    if (!tcp && !hg_packet_udp(p))
        return OUT_OTHER;
    flow = find_answered_flow(self, p, &state);
    if (flow)
        return bring_back(self, p, flow, state);
    if (is_target(self, p) && !is_opening(tcp))
        return refuse_segment(self, p, OUT_TARGETS);
    return find_address(self, p) >= 0 ? hg_drop(&self->no_flow) : OUT_OTHER;
}

/* Any packet, the long way. */
static __attribute__((noinline)) int
go(struct nlb *self, struct hg_packet *p, struct choice *c)
{
    return p->in_port == IN_CLIENTS ? from_client(self, p, c)
                                    : from_target(self, p);
}

static void
nlb_batch(struct nlb *self, struct hg_batch *batch)
{
    const bool has_new = hg_flow_find_batch(self, batch) != 0;
    struct choice choice[AHEAD];
    int16_t verdict[HG_BATCH_MAX];
    unsigned at, n, i;

    for (at = 0; at < batch->n; at += n) {
        n = batch->n - at < AHEAD ? batch->n - at : AHEAD;
        if (has_new)
            choose_ahead(self, &batch->p[at], n, choice);
        for (i = 0; i < n; i++) {
            struct hg_packet *p = batch->p[at + i];
            bool is_client = p->in_port == IN_CLIENTS;
            int to = is_client ? OUT_TARGETS : OUT_CLIENTS;

            if (!(is_client ? go_straight(self, p, true)
                            : go_straight(self, p, false))) {
                if (!has_new)
                    choice[i].is_made = false;
                to = go(self, p, &choice[i]);
            }
            verdict[at + i] = (int16_t)to;
        }
    }
    note_peaks(self);
    hg_route(self, batch, verdict);
}

/* ---- Life ------------------------------------------------------------- */

static bool
nlb_configure(void *self_)
{
    struct nlb *self = self_;
    bool ok;
    size_t i;

    if (!hg_maglev_is_size(self->maglev_table_size))
        return hg_config_error(self, "maglev_table_size", -1,
                               "%u is not a prime, such as %d or %d",
                               self->maglev_table_size, HG_MAGLEV_SMALL,
                               HG_MAGLEV_LARGE);
    self->groups = calloc(self->target_group.n + 1, sizeof *self->groups);
    self->listener_at = calloc(UINT16_MAX + 1, 1);
    if (!self->groups || !self->listener_at)
        return hg_config_error(self, NULL, -1, "no memory");
    ok = configure_nodes(self);
    for (i = 0; i < self->target_group.n; i++)
        ok &= configure_group(self, i);
    if (ok && self->file)
        ok = hg_table_read(self->file, add_file_row, report_mistake, self);
    for (i = 0; i < self->listener.n; i++)
        ok &= configure_listener(self, i);
    if (hg_option_given(self, "max_flows"))
        hg_flow_limit(self, self->max_flows);
    if (!hg_flow_declare(self, sizeof(struct nlb_flow)))
        return false;
    hg_flow_declare_seldom(self, sizeof(struct nlb_client));
    return ok;
}

/* Finds the VPC's number, where it has one. */
static bool
find_vpc(struct nlb *self, struct hg_error *error)
{
    const struct hg_inventory *inventory;
    const struct hg_vpc *vpc;

    if (!self->vpc)
        return true;
    inventory = hg_service(self, self->mapping, "inventory");
    vpc = inventory ? hg_inventory_vpc(inventory, self->vpc) : NULL;
    if (!vpc)
        return hg_error_set(error, "no mapping service knows VPC '%s'",
                            self->vpc);
    self->vpc_number = vpc->number;
    return true;
}

static bool
nlb_start(void *self_, struct hg_error *error)
{
    struct nlb *self = self_;

    self->place = hg_flow_place(self);
    hg_timer_init(self, &self->ending, draining_ends);
    count_hosts(self);
    return find_vpc(self, error) && probes_start(self, error);
}

static void
nlb_free(void *self_)
{
    struct nlb *self = self_;
    size_t i;

    probes_free(self);
    for (i = 0; self->groups && i < self->target_group.n; i++)
        hg_target_group_destroy(self->groups[i].targets);
    free(self->groups);
    free(self->listener_at);
}

/* clang-format off */
HG_BATCH_ELEMENT(NLB, struct nlb, nlb_batch,
    .summary = "spreads connections over targets, each pinned to its own",
    .doc =
        "A load balancer for TCP and UDP in the manner of the AWS Network "
        "Load Balancer.  It has a node in each zone, with addresses; packets "
        "for one of these and a listener's port go to a target of the "
        "listener's target group, and the answers of targets go back as if "
        "they came from the node.  What is for none of its addresses, and "
        "what targets send that belongs to none of its flows, leaves on "
        "\"other\".\n\n"
        "A new flow's target is chosen by a Maglev hash of protocol, "
        "addresses, ports and TCP sequence number among the healthy targets "
        "of the node's zone (cross-zone: of all), or among all if too few "
        "are healthy.  The flow keeps it, whatever happens to other targets. "
        "TCP of no flow is answered with a RST, from clients and targets; "
        "what comes to ports without a listener is dropped.\n\n"
        "Where clients are not preserved, targets see the node's address and "
        "a port from 1024 on that no listener has.  Fragments are dropped.  "
        "Clients and targets are of one address family.  Of ICMP only IPv4 "
        "errors of type 3 are passed on.  A PROXY header goes ahead of the "
        "client's first data in a segment of its own.  RSTs for flows that "
        "are ended here are without VLAN tags.\n\n"
        "Long lists of targets come from a file with the columns group, "
        "target, address and port, and zone and weight if need be.\n\n"
        "Targets are checked in live graphs only, from the machine's own "
        "addresses, by TCP or HTTP; elsewhere all are healthy until a "
        "handler says otherwise.  Targets that are deregistered get no more "
        "flows.  TLS and QUIC listeners are not offered.",
    .reproduces =
        "flows to targets by hash and then pinned; listeners TCP, UDP "
        "and TCP_UDP; zones, cross-zone, weights, stickiness, client "
        "address preserved or not, health checks and thresholds, "
        "fail-open, termination and draining, timeouts with RST, PROXY "
        "protocol v2, CloudWatch's metrics",
    .leaves_out =
        "TLS and QUIC listeners, HTTPS checks, targets of type alb, "
        "IPv6 clients of IPv4 targets, DNS fail-over, security groups "
        "(put a SecurityGroup before it), LCUs",
    .lets_choose =
        "the size of the Maglev table, which stands in for a hash that "
        "is not public; ports per target; how long a closed flow is "
        "remembered",
    .example =
        "Interface clients { }\n"
        "Interface targets { }\n"
        "NLB nlb {\n"
        "    node a { address = { 198.51.100.10 } }\n"
        "    listener 443 { target-group = { web } }\n"
        "    listener 53  { protocol = tcp-udp  target-group = { dns } }\n"
        "    target-group web {\n"
        "        target w1 { address = 10.0.1.5  port = 8443 }\n"
        "        target w2 { address = 10.0.1.6  port = 8443 }\n"
        "    }\n"
        "    target-group dns {\n"
        "        target d1 { address = 10.0.1.7  port = 53 }\n"
        "    }\n"
        "}\n"
        "connect(\"clients -> CheckIP -> [clients]nlb[targets] -> "
        "targets\")\n"
        "connect(\"targets -> CheckIP -> [targets]nlb[clients] -> "
        "clients\")\n",
    .inputs = "clients targets", .outputs = "clients targets other?",
    .needs = "ip",
    .configure = nlb_configure, .start = nlb_start, .free = nlb_free,
    .flow_expired = nlb_flow_expired,
    .handlers = HG_HANDLERS(
        {.name = "targets", .read = read_targets,
         .doc = "the targets, of one group or all: targets=GROUP"},
        {.name = "register", .write = write_register,
         .doc = "a new target: GROUP TARGET ADDRESS:PORT [ZONE [WEIGHT]]; "
                "zone all: in all of them"},
        {.name = "deregister", .write = write_deregister,
         .doc = "one that gets no more flows: GROUP TARGET"},
        {.name = "health", .write = write_health,
         .doc = "its state: GROUP TARGET healthy or unhealthy"},
        {.name = "check", .write = write_check,
         .doc = "the end of a health check: GROUP TARGET ok or failed"}),
    .fields = nlb_fields,
    .n_fields = sizeof(nlb_fields) / sizeof(nlb_fields[0]))
/* clang-format on */
