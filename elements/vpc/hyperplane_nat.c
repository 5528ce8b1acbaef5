/* HyperplaneNAT: a source NAT in the manner of the AWS NAT gateway.
 *
 *     inside  -> [inside]nat[outside] -> outside
 *     outside -> [outside]nat[inside] -> inside
 *
 * Theory of operation.  The flows are in a table of the core
 * (headgate/nat_table.h), which also chooses external addresses and ports;
 * TCP's states are beside it, and so is the memory of first fragments
 * (headgate/fragment_table.h).  Here is what a packet goes through: which
 * flow it belongs to, how its headers change, how long its flow lives now.
 *
 * Whether a flow has expired is judged by the packet's own time; the timer
 * only gives memory back and keeps the gauge honest.  Checksums change
 * incrementally (RFC 1624), so that what was wrong stays wrong.
 *
 * RFC 4787, 5382, 5508 and 7857 apply but for what Hyperplane does otherwise:
 * mappings depend on the remote endpoint, nothing unsolicited comes in, and
 * there is no hairpinning. */
#include <stdlib.h>

#include <headgate/element.h>
#include <headgate/endpoint.h>
#include <headgate/fragment_table.h>
#include <headgate/nat_table.h>

enum { INSIDE, OUTSIDE }; /* Inputs and outputs alike. */
enum { GONE = -3 };       /* Verdict: no longer in the batch. */
enum { FRAGMENT_RECORDS = 4096 };

#define SWEEP_NS HG_SEC

struct block {
    uint32_t net;
    uint32_t mask;
};

struct hyperplane_nat {
    struct hg_addr_list public;
    struct hg_port_range ports;
    uint32_t connections_per_destination;
    uint32_t max_flows;
    struct hg_prefix_list inside;
    struct hg_duration idle_timeout;
    struct hg_duration tcp_idle_timeout; /* 0 until configured, as below. */
    struct hg_duration tcp_opening_timeout;
    struct hg_duration tcp_closing_timeout;
    struct hg_duration udp_timeout;
    struct hg_duration icmp_timeout;
    struct hg_duration fragment_timeout;
    uint32_t fragment_hold;
    bool rst_on_expired;

    hg_counter connection_attempt_count;
    hg_counter connection_established_count;
    hg_counter idle_timeout_count;
    hg_counter packets_in_from_source;
    hg_counter bytes_in_from_source;
    hg_counter packets_out_to_destination;
    hg_counter bytes_out_to_destination;
    hg_counter packets_in_from_destination;
    hg_counter bytes_in_from_destination;
    hg_counter packets_out_to_source;
    hg_counter bytes_out_to_source;
    hg_counter packets_drop_count;
    hg_counter resets_sent;
    hg_gauge active_connection_count;
    hg_gauge fragments_held;

    hg_counter not_ipv4;
    hg_counter unsupported_protocol;
    hg_counter truncated;
    hg_counter tcp_fragment;
    hg_counter icmp_fragment;
    hg_counter fragment_out_of_order;
    hg_counter fragment_timed_out;
    hg_counter not_inside;
    hg_counter hairpin;
    hg_counter no_connection;
    hg_counter error_port_allocation;
    hg_counter table_full;
    hg_counter wrong_destination;
    hg_counter unknown_inbound;
    hg_counter ping_to_gateway;
    hg_counter unsupported_icmp;
    hg_counter bad_icmp_checksum;
    hg_counter bad_quote;
    hg_counter icmp_error_unmapped;

    uint32_t public_ip[HG_NAT_EXTERNAL_MAX];
    unsigned n_public;
    struct block *blocks; /* The option 'inside', or NULL. */
    struct hg_nat_table *table;
    struct hg_fragment_table *fragments;
    struct hg_timer sweep;
    struct hg_timer fragment_timer;

    /* While a batch is being handled. */
    struct hg_batch *batch;
    int16_t *verdict;
    unsigned at; /* The packet being looked at. */
    bool has_gone;
};

static bool
is_public(const struct hyperplane_nat *self, uint32_t ip)
{
    unsigned i;

    for (i = 0; i < self->n_public; i++)
        if (self->public_ip[i] == ip)
            return true;
    return false;
}

static bool
is_inside(const struct hyperplane_nat *self, uint32_t ip)
{
    size_t i;

    for (i = 0; i < self->inside.n; i++)
        if ((ip & self->blocks[i].mask) == self->blocks[i].net)
            return true;
    return !self->inside.n;
}

/* Bytes of the packet as CloudWatch would count them: the IP packet's. */
static uint32_t
packet_bytes(const struct hg_packet *p)
{
    const struct hg_ipv4 *ip = hg_packet_ipv4(p);

    return ip ? hg_get16(ip->total_length) : p->wire_len;
}

/* ---- Flows ------------------------------------------------------------ */

static void
flow_expired(void *self_, const struct hg_nat_flow *flow)
{
    struct hyperplane_nat *self = self_;

    if (flow->state != HG_NAT_FIN_BOTH && flow->state != HG_NAT_TRANS)
        hg_count(&self->idle_timeout_count);
}

static void
sweep(void *self_, struct hg_timer *timer, uint64_t now_ns)
{
    struct hyperplane_nat *self = self_;

    hg_nat_expire(self->table, now_ns);
    self->active_connection_count.n = hg_nat_count(self->table);
    if (self->active_connection_count.n)
        hg_timer_set(self, timer, now_ns + SWEEP_NS);
}

static void
flow_added(struct hyperplane_nat *self, uint64_t now_ns)
{
    if (!self->sweep.pending)
        hg_timer_set(self, &self->sweep, now_ns + SWEEP_NS);
}

static uint64_t
query_timeout(const struct hyperplane_nat *self, uint8_t protocol)
{
    return protocol == HG_PROTO_UDP ? self->udp_timeout.ns
                                    : self->icmp_timeout.ns;
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

/* Brings the flow up to date with a packet of it. */
static void
touch(struct hyperplane_nat *self, const struct hg_packet *p,
      const struct hg_nat_flow *flow, bool from_inside)
{
    uint8_t state = flow->state;
    uint64_t timeout_ns;

    if (flow->protocol == HG_PROTO_TCP) {
        uint8_t flags = ((const struct hg_tcp *)hg_packet_l4(p))->flags;

        state = hg_nat_tcp_next(flow->state, from_inside, flags);
        if (flow->state == HG_NAT_INIT && state == HG_NAT_ESTABLISHED)
            hg_count(&self->connection_established_count);
        if (state == HG_NAT_INIT && flow->state != HG_NAT_INIT)
            hg_count(&self->connection_attempt_count);
        timeout_ns = tcp_timeout(self, state, state != flow->state,
                                 from_inside && flags & HG_TCP_SYN);
    } else {
        timeout_ns = query_timeout(self, flow->protocol);
    }
    if (timeout_ns || state != flow->state)
        hg_nat_update(self->table, flow->id, state,
                      timeout_ns ? p->time_ns + timeout_ns
                                 : flow->deadline_ns);
}

/* ---- Fragments of UDP ------------------------------------------------- */

static struct hg_fragment_key
fragment_key(const struct hg_ipv4 *ip)
{
    return (struct hg_fragment_key){.src = hg_get32(ip->src),
                                    .dst = hg_get32(ip->dst),
                                    .id = hg_get16(ip->id),
                                    .protocol = ip->protocol};
}

static void
count_out(struct hyperplane_nat *self, unsigned port, struct hg_packet *p)
{
    if (port == OUTSIDE) {
        hg_count(&self->packets_out_to_destination);
        self->bytes_out_to_destination.n += packet_bytes(p);
    } else {
        hg_count(&self->packets_out_to_source);
        self->bytes_out_to_source.n += packet_bytes(p);
    }
}

/* The end of a packet that changes on its way to 'out'. */
static enum hg_end
translated_end(unsigned out)
{
    return out == OUTSIDE ? HG_END_SRC : HG_END_DST;
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

static void
discard_list(struct hyperplane_nat *self, struct hg_packet *p,
             hg_counter *reason)
{
    struct hg_packet *next;

    for (; p; p = next) {
        next = p->next;
        leave_batch(self, p);
        self->fragments_held.n--;
        hg_count(&self->packets_drop_count);
        hg_discard(self, reason, p);
    }
}

static void
fragments_expire(void *self_, struct hg_timer *timer, uint64_t now_ns)
{
    struct hyperplane_nat *self = self_;

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

/* The first fragment 'p', which had 'key', went to 'out' with 'addr': so do
 * those that follow, and those that waited go now, just ahead of it. */
static void
decide_fragments(struct hyperplane_nat *self, const struct hg_packet *p,
                 const struct hg_fragment_key *key, unsigned out,
                 uint32_t addr)
{
    struct hg_fragment *f = hg_fragment_find(self->fragments, key, p->time_ns);
    struct hg_packet *waited, *next;

    if (!f || f->decided)
        f = add_fragment(self, key, p->time_ns);
    f->decided = true;
    f->addr = addr;
    for (waited = hg_fragment_release(f); waited; waited = next) {
        next = waited->next;
        leave_batch(self, waited);
        self->fragments_held.n--;
        waited->seq = p->seq;
        waited->time_ns = p->time_ns;
        hg_end_set_addr(waited, translated_end(out), addr);
        count_out(self, out, waited);
        hg_emit(self, out, waited);
    }
}

static int
follow_first(struct hyperplane_nat *self, struct hg_packet *p,
             const struct hg_ipv4 *ip, unsigned out)
{
    struct hg_fragment_key key = fragment_key(ip);
    struct hg_fragment *f =
        hg_fragment_find(self->fragments, &key, p->time_ns);

    if (f && f->decided) {
        hg_end_set_addr(p, translated_end(out), f->addr);
        return (int)out;
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

/* ---- ICMP errors (RFC 5508 4) ----------------------------------------- */

/* Finds the flow of the packet that the error 'p' quotes, on its way from
 * inside or from outside, with its ends as our table sees them.  NULL, or why
 * the error is dropped; it neither refreshes nor ends the flow (REQ-6). */
static hg_counter *
find_quoted_flow(struct hyperplane_nat *self, const struct hg_packet *p,
                 struct hg_quote *q, struct hg_nat_flow *flow)
{
    bool from_inside = p->in_port == INSIDE;
    enum hg_end ours = from_inside ? HG_END_DST : HG_END_SRC;
    enum hg_end remote = from_inside ? HG_END_SRC : HG_END_DST;
    struct hg_nat_tuple tuple = {0};

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
    tuple.addr = hg_quote_addr(q, ours);
    tuple.remote = hg_quote_addr(q, remote);
    tuple.port = hg_quote_port(q, ours);
    if (q->protocol != HG_PROTO_ICMP)
        tuple.remote_port = hg_quote_port(q, remote);
    tuple.protocol = q->protocol;
    if (!(from_inside ? hg_nat_lookup_out : hg_nat_lookup_in)(
            self->table, &tuple, p->time_ns, flow))
        return &self->icmp_error_unmapped; /* REQ-4, REQ-5 */
    return NULL;
}

/* An error from outside, about a packet that went out, or from inside, about
 * one that came in. */
static int
translate_error(struct hyperplane_nat *self, struct hg_packet *p)
{
    struct hg_nat_flow flow;
    struct hg_quote q;
    hg_counter *reason = find_quoted_flow(self, p, &q, &flow);

    if (reason)
        return hg_drop(reason);
    if (p->in_port == INSIDE) {
        hg_quote_set(&q, HG_END_DST, flow.external, flow.external_port);
        hg_end_set_addr(p, HG_END_SRC, flow.external);
        return OUTSIDE;
    }
    hg_quote_set(&q, HG_END_SRC, flow.inside, flow.inside_port);
    hg_end_set_addr(p, HG_END_DST, flow.inside);
    return INSIDE;
}

/* ---- From inside ------------------------------------------------------ */

/* Answers a segment that belongs to no connection. */
static void
send_reset(struct hyperplane_nat *self, const struct hg_packet *p)
{
    struct hg_packet *reset = hg_make(self, hg_reset_len(p), p);

    if (!reset)
        return;
    hg_reset_fill(reset, p);
    hg_count(&self->resets_sent);
    count_out(self, INSIDE, reset);
    hg_emit(self, INSIDE, reset);
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
begin_flow(struct hyperplane_nat *self, const struct hg_packet *p,
           const struct hg_nat_tuple *tuple, struct hg_nat_flow *flow)
{
    uint64_t timeout_ns;
    uint8_t state;

    if (!may_begin(self, p, &state))
        return &self->no_connection;
    if (state == HG_NAT_INIT) {
        hg_count(&self->connection_attempt_count);
        timeout_ns = self->tcp_opening_timeout.ns;
    } else {
        timeout_ns = query_timeout(self, tuple->protocol);
    }
    switch (hg_nat_insert(self->table, tuple, state, p->time_ns,
                          p->time_ns + timeout_ns, flow)) {
    case HG_NAT_OK:
        flow_added(self, p->time_ns);
        return NULL;
    case HG_NAT_NO_PORT:
        return &self->error_port_allocation;
    default:
        return &self->table_full;
    }
}

static int
translate_out(struct hyperplane_nat *self, struct hg_packet *p,
              const struct hg_ipv4 *ip)
{
    const uint8_t *l4 = hg_packet_l4(p);
    struct hg_nat_tuple tuple = {.addr = hg_get32(ip->src),
                                 .remote = hg_get32(ip->dst),
                                 .protocol = p->protocol};
    struct hg_nat_flow flow;

    tuple.port = hg_load16(l4 + hg_port_offset(p->protocol, HG_END_SRC));
    if (p->protocol != HG_PROTO_ICMP)
        tuple.remote_port = hg_load16(l4 + 2);
    if (hg_nat_lookup_out(self->table, &tuple, p->time_ns, &flow)) {
        touch(self, p, &flow, true);
    } else {
        hg_counter *reason = begin_flow(self, p, &tuple, &flow);

        if (reason)
            return hg_drop(reason);
    }
    if (p->flags & HG_PACKET_FRAGMENT) {
        struct hg_fragment_key key = fragment_key(ip);

        decide_fragments(self, p, &key, OUTSIDE, flow.external);
    }
    hg_end_set(p, HG_END_SRC, flow.external, flow.external_port);
    return OUTSIDE;
}

/* Drops what no NAT gateway translates; NULL if it is none of these. */
static hg_counter *
refuse(struct hyperplane_nat *self, const struct hg_packet *p)
{
    switch (p->protocol) {
    case HG_PROTO_TCP:
        if (p->flags & HG_PACKET_FRAGMENT)
            return &self->tcp_fragment;
        break;
    case HG_PROTO_ICMP:
        if (p->flags & HG_PACKET_FRAGMENT)
            return &self->icmp_fragment;
        break;
    case HG_PROTO_UDP:
        if (p->flags & HG_PACKET_FRAGMENT_LATER)
            return NULL;
        break;
    default:
        return &self->unsupported_protocol;
    }
    return p->flags & HG_PACKET_L4 ? NULL : &self->truncated;
}

static int
outbound(struct hyperplane_nat *self, struct hg_packet *p,
         const struct hg_ipv4 *ip)
{
    hg_counter *reason;

    if (is_public(self, hg_get32(ip->dst)))
        return hg_drop(&self->hairpin);
    if (!is_inside(self, hg_get32(ip->src)))
        return hg_drop(&self->not_inside);
    reason = refuse(self, p);
    if (reason)
        return hg_drop(reason);
    if (p->flags & HG_PACKET_FRAGMENT_LATER)
        return follow_first(self, p, ip, OUTSIDE);
    if (p->protocol == HG_PROTO_ICMP) {
        uint8_t type = hg_packet_icmp(p)->type;

        if (hg_icmp_is_error(4, type))
            return translate_error(self, p);
        if (type != HG_ICMP_ECHO)
            return hg_drop(&self->unsupported_icmp);
    }
    return translate_out(self, p, ip);
}

/* ---- From outside ----------------------------------------------------- */

static int
translate_in(struct hyperplane_nat *self, struct hg_packet *p,
             const struct hg_ipv4 *ip)
{
    const uint8_t *l4 = hg_packet_l4(p);
    struct hg_nat_tuple tuple = {.addr = hg_get32(ip->dst),
                                 .remote = hg_get32(ip->src),
                                 .protocol = p->protocol};
    struct hg_nat_flow flow;

    tuple.port = hg_load16(l4 + hg_port_offset(p->protocol, HG_END_DST));
    if (p->protocol != HG_PROTO_ICMP)
        tuple.remote_port = hg_load16(l4);
    if (!hg_nat_lookup_in(self->table, &tuple, p->time_ns, &flow))
        return hg_drop(&self->unknown_inbound);
    touch(self, p, &flow, false);
    if (p->flags & HG_PACKET_FRAGMENT) {
        struct hg_fragment_key key = fragment_key(ip);

        decide_fragments(self, p, &key, INSIDE, flow.inside);
    }
    hg_end_set(p, HG_END_DST, flow.inside, flow.inside_port);
    return INSIDE;
}

static int
inbound(struct hyperplane_nat *self, struct hg_packet *p,
        const struct hg_ipv4 *ip)
{
    hg_counter *reason;

    if (!is_public(self, hg_get32(ip->dst)))
        return hg_drop(&self->wrong_destination);
    reason = refuse(self, p);
    if (reason)
        return hg_drop(reason);
    if (p->flags & HG_PACKET_FRAGMENT_LATER)
        return follow_first(self, p, ip, INSIDE);
    if (p->protocol == HG_PROTO_ICMP) {
        uint8_t type = hg_packet_icmp(p)->type;

        if (hg_icmp_is_error(4, type))
            return translate_error(self, p);
        if (type == HG_ICMP_ECHO)
            return hg_drop(&self->ping_to_gateway);
        if (type != HG_ICMP_ECHO_REPLY)
            return hg_drop(&self->unsupported_icmp);
    }
    return translate_in(self, p, ip);
}

/* ---- Batches ---------------------------------------------------------- */

static int
nat_packet(struct hyperplane_nat *self, struct hg_packet *p)
{
    const struct hg_ipv4 *ip = hg_packet_ipv4(p);
    int verdict;

    if (p->in_port == INSIDE) {
        hg_count(&self->packets_in_from_source);
        self->bytes_in_from_source.n += packet_bytes(p);
    } else {
        hg_count(&self->packets_in_from_destination);
        self->bytes_in_from_destination.n += packet_bytes(p);
    }
    if (!ip)
        verdict = hg_drop(&self->not_ipv4);
    else if (p->in_port == INSIDE)
        verdict = outbound(self, p, ip);
    else
        verdict = inbound(self, p, ip);
    if (verdict == HG_DROPPED)
        hg_count(&self->packets_drop_count);
    else if (verdict >= 0)
        count_out(self, (unsigned)verdict, p);
    return verdict;
}

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

static void
nat_batch(struct hyperplane_nat *self, struct hg_batch *batch)
{
    int16_t verdict[HG_BATCH_MAX];
    int differs = 0;

    self->batch = batch;
    self->verdict = verdict;
    self->has_gone = false;
    for (self->at = 0; self->at < batch->n; self->at++) {
        verdict[self->at] = (int16_t)nat_packet(self, batch->p[self->at]);
        differs |= verdict[self->at] ^ verdict[0];
    }
    self->active_connection_count.n = hg_nat_count(self->table);
    if (self->has_gone)
        close_ranks(batch, verdict);
    if (!differs && !self->has_gone && verdict[0] >= 0)
        hg_pass(self, (unsigned)verdict[0], batch);
    else
        hg_route(self, batch, verdict);
}

/* ---- Handlers --------------------------------------------------------- */

static bool
read_flows(void *self_, const char *argument, FILE *out,
           struct hg_error *error)
{
    struct hyperplane_nat *self = self_;

    return hg_nat_print(self->table, hg_now(self), argument, out, error);
}

static bool
read_count(void *self_, const char *argument, FILE *out,
           struct hg_error *error)
{
    struct hyperplane_nat *self = self_;
    uint32_t n;

    if (!hg_nat_count_matching(self->table, hg_now(self), argument, &n, error))
        return false;
    fprintf(out, "%u\n", n);
    return true;
}

static bool
write_delete(void *self_, const char *value, struct hg_error *error)
{
    struct hyperplane_nat *self = self_;
    bool ok = hg_nat_remove_matching(self->table, hg_now(self), value, error);

    self->active_connection_count.n = hg_nat_count(self->table);
    return ok;
}

/* Installs one flow; false, and why. */
static bool
import_flow(struct hyperplane_nat *self, struct hg_nat_flow *flow,
            struct hg_error *error)
{
    uint64_t now_ns = hg_now(self);

    if (!flow->deadline_ns)
        flow->deadline_ns =
            now_ns + (flow->protocol == HG_PROTO_TCP
                          ? self->tcp_idle_timeout.ns
                          : query_timeout(self, flow->protocol));
    if (flow->deadline_ns <= now_ns)
        return hg_error_set(error, "it expired already; leave 'expires' out "
                                   "for a whole idle timeout");
    switch (hg_nat_install(self->table, flow, now_ns)) {
    case HG_NAT_OK:
        return true;
    case HG_NAT_FOREIGN:
        return hg_error_set(error, "its external address is none of the "
                                   "option 'public'");
    case HG_NAT_EXISTS:
        return hg_error_set(error, "there is a flow from its inside to its "
                                   "remote endpoint already");
    case HG_NAT_TAKEN:
        return hg_error_set(error, "another flow to its remote endpoint has "
                                   "its external address and port");
    case HG_NAT_NO_PORT:
        return hg_error_set(error, "its external address has all the flows "
                                   "to its remote endpoint that it may have");
    default:
        return hg_error_set(error, "the table is full; see 'max-flows'");
    }
}

/* All flows or none. */
static bool
write_import(void *self_, const char *value, struct hg_error *error)
{
    struct hyperplane_nat *self = self_;
    uint32_t *ids = NULL;
    uint32_t n = 0;
    bool ok = true;

    for (value += strspn(value, " \t\n"); ok && *value;
         value += strspn(value, " \t\n")) {
        struct hg_nat_flow flow;
        struct hg_error why;
        uint32_t *more = realloc(ids, (n + 1ul) * sizeof(*ids));

        if (!more) {
            ok = hg_error_set(error, "no memory for %u flows", n + 1);
            break;
        }
        ids = more;
        ok = hg_nat_flow_parse(&value, &flow, &why) &&
             import_flow(self, &flow, &why);
        if (ok)
            ids[n++] = flow.id;
        else
            hg_error_set(error, "flow %u cannot be imported: %.400s", n + 1,
                         why.text);
    }
    while (!ok && n)
        hg_nat_remove(self->table, ids[--n]);
    if (n)
        flow_added(self, hg_now(self));
    self->active_connection_count.n = hg_nat_count(self->table);
    free(ids);
    return ok;
}

/* ---- Life ------------------------------------------------------------- */

static bool
configure_public(struct hyperplane_nat *self)
{
    bool ok = true;
    size_t i;

    for (i = 0; i < self->public.n; i++) {
        const struct hg_addr *addr = &self->public.v[i];
        char buf[HG_ADDR_STRLEN];

        hg_addr_format(addr, buf);
        if (addr->family != 4)
            ok = hg_config_error(self, "public", (int)i,
                                 "'%s' is not an IPv4 address", buf);
        else if (is_public(self, hg_addr_ip4(addr)))
            ok = hg_config_error(self, "public", (int)i, "'%s' is given twice",
                                 buf);
        else
            self->public_ip[self->n_public++] = hg_addr_ip4(addr);
    }
    return ok;
}

static bool
configure_inside(struct hyperplane_nat *self)
{
    bool ok = true;
    size_t i;

    self->blocks = calloc(self->inside.n + 1, sizeof(*self->blocks));
    if (!self->blocks)
        return hg_config_error(self, "inside", -1, "no memory");
    for (i = 0; i < self->inside.n; i++) {
        const struct hg_prefix *prefix = &self->inside.v[i];
        char buf[HG_PREFIX_STRLEN];

        if (prefix->addr.family != 4) {
            hg_prefix_format(prefix, buf);
            ok = hg_config_error(self, "inside", (int)i,
                                 "'%s' is not an IPv4 prefix", buf);
        }
        self->blocks[i].net = hg_addr_ip4(&prefix->addr);
        self->blocks[i].mask =
            prefix->len ? UINT32_MAX << (32 - prefix->len % 33) : 0;
    }
    return ok;
}

static bool
nat_configure(void *self_)
{
    struct hyperplane_nat *self = self_;
    struct hg_duration *const follow_idle[] = {
        &self->tcp_idle_timeout, &self->udp_timeout, &self->icmp_timeout};
    bool ok = configure_public(self);
    size_t i;

    for (i = 0; i < sizeof(follow_idle) / sizeof(follow_idle[0]); i++)
        if (!follow_idle[i]->ns)
            *follow_idle[i] = self->idle_timeout;
    hg_promise_delay(self, SWEEP_NS);
    hg_promise_delay(self, self->fragment_timeout.ns);
    return configure_inside(self) && ok;
}

static bool
nat_start(void *self_, struct hg_error *error)
{
    struct hyperplane_nat *self = self_;
    struct hg_nat_config config = {.n_external = self->n_public,
                                   .ports = self->ports,
                                   .per_destination =
                                       self->connections_per_destination,
                                   .max_flows = self->max_flows,
                                   .seed = hg_seed(self),
                                   .expired = flow_expired,
                                   .aux = self};

    memcpy(config.external, self->public_ip, sizeof(config.external));
    self->table = hg_nat_table_create(&config);
    self->fragments = hg_fragment_table_create(
        FRAGMENT_RECORDS, self->fragment_timeout.ns, hg_seed(self));
    if (!self->table || !self->fragments)
        return hg_error_set(error, "no memory for the tables");
    hg_timer_init(self, &self->sweep, sweep);
    hg_timer_init(self, &self->fragment_timer, fragments_expire);
    return true;
}

/* Fragments that still wait have nobody left to wait for. */
static void
nat_stop(void *self_)
{
    struct hyperplane_nat *self = self_;

    discard_list(self, hg_fragment_expire(self->fragments, HG_NEVER),
                 &self->fragment_timed_out);
}

static void
nat_free(void *self_)
{
    struct hyperplane_nat *self = self_;

    hg_nat_table_destroy(self->table);
    hg_fragment_table_destroy(self->fragments);
    free(self->blocks);
}

/* clang-format off */
HG_BATCH_ELEMENT(HyperplaneNAT, struct hyperplane_nat, nat_batch,
    .summary = "shares a few public addresses among many inside hosts",
    .doc =
        "A source NAT in the manner of the AWS NAT gateway.  Packets that "
        "come in on \"inside\" leave on \"outside\" with a public source "
        "address and port; replies find their way back.  A flow is TCP, UDP "
        "or ICMP echo between an inside and a remote endpoint.  Two flows to "
        "the same remote endpoint never share an external address and port; "
        "flows to different ones may.  An inside host keeps its public "
        "address unless that one is exhausted for a destination.\n\n"
        "A TCP packet from inside that belongs to no connection is answered "
        "with a RST.  ICMP errors are translated both ways, with what they "
        "quote.  Fragments of UDP follow their first one; those of TCP and "
        "ICMP are dropped.  The TTL is DecTTL's business.\n\n"
        "Counters bear the names of CloudWatch's NAT gateway metrics.  A "
        "filter selects flows: words such as tcp, 10.0.0.5, 10.0.0.0/24, "
        "203.0.113.9:443 and :53 that must all fit, an address any end of "
        "the flow.",
    .example =
        "Interface inside { }\n"
        "Interface outside { }\n"
        "HyperplaneNAT nat {\n"
        "    public       = { 198.51.100.1, 198.51.100.2 }\n"
        "    idle-timeout = 350s\n"
        "}\n"
        "connect(\"inside -> CheckIP -> [inside]nat[outside] -> outside\")\n"
        "connect(\"outside -> CheckIP -> [outside]nat[inside] -> inside\")\n",
    .inputs = "inside outside", .outputs = "inside outside",
    .needs = "ip",
    .configure = nat_configure, .start = nat_start, .stop = nat_stop,
    .free = nat_free,
    .handlers = HG_HANDLERS(
        {"flows", "the flows that fit a filter, one JSON object a line",
         read_flows, NULL},
        {"count", "how many flows fit a filter", read_count, NULL},
        {"delete", "removes the flows that fit a filter; 'all' for every one",
         NULL, write_delete},
        {"export", "the same as flows, named for its use with import",
         read_flows, NULL},
        {"import", "installs flows written as by export, all or none; state "
                   "and expires may be left out", NULL, write_import}),
    .fields = HG_FIELDS(
        HG_OPTION(public, .required = true, .min_n = 1,
                  .max_n = HG_NAT_EXTERNAL_MAX,
                  .doc = "the public addresses, IPv4"),
        HG_OPTION(ports, .def = "1024-65535", .min = 1,
                  .doc = "external ports and ICMP identifiers to give out"),
        HG_OPTION(connections_per_destination, .def = "55000", .min = 1,
                  .max = 65535,
                  .doc = "flows for each public address, remote endpoint and "
                         "protocol"),
        HG_OPTION(max_flows, .def = "16777216", .min = 1,
                  .doc = "flows altogether; a new one is refused when there "
                         "are so many, and pushes none out"),
        HG_OPTION(inside,
                  .doc = "translate only what comes from these IPv4 prefixes; "
                         "empty: everything"),
        HG_OPTION(idle_timeout, .def = "350s", .min = HG_SEC,
                  .doc = "how long a flow lives without a packet"),
        HG_OPTION(tcp_idle_timeout, .def = "0",
                  .doc = "the same for open TCP connections; 0: "
                         "idle-timeout"),
        HG_OPTION(tcp_opening_timeout, .def = "4m", .min = HG_SEC,
                  .doc = "how long a SYN waits for its answer (RFC 7857 2.1)"),
        HG_OPTION(tcp_closing_timeout, .def = "4m", .min = HG_SEC,
                  .doc = "how long a connection stays after both FINs or a "
                         "RST (RFC 7857 2.1, 2.3)"),
        HG_OPTION(udp_timeout, .def = "0",
                  .doc = "the same for UDP; 0: idle-timeout"),
        HG_OPTION(icmp_timeout, .def = "0",
                  .doc = "the same for ICMP echo; 0: idle-timeout"),
        HG_OPTION(fragment_timeout, .def = "15s", .min = HG_SEC,
                  .doc = "how long fragments follow their first one, or wait "
                         "for it (RFC 791 3.2)"),
        HG_OPTION(fragment_hold, .def = "256",
                  .doc = "fragments that may wait for their first one; 0: "
                         "they are dropped"),
        HG_OPTION(rst_on_expired, .def = "true",
                  .doc = "answer TCP packets from inside that belong to no "
                         "connection with a RST"),
        HG_COUNTER(connection_attempt_count, .doc = "TCP connections begun"),
        HG_COUNTER(connection_established_count,
                   .doc = "TCP connections that were answered"),
        HG_COUNTER(idle_timeout_count,
                   .doc = "flows that ran out without having been closed"),
        HG_COUNTER(packets_in_from_source, .doc = "packets from inside"),
        HG_COUNTER(bytes_in_from_source, .doc = "their IP bytes"),
        HG_COUNTER(packets_out_to_destination, .doc = "packets to outside"),
        HG_COUNTER(bytes_out_to_destination, .doc = "their IP bytes"),
        HG_COUNTER(packets_in_from_destination, .doc = "packets from outside"),
        HG_COUNTER(bytes_in_from_destination, .doc = "their IP bytes"),
        HG_COUNTER(packets_out_to_source,
                   .doc = "packets to inside, RSTs included"),
        HG_COUNTER(bytes_out_to_source, .doc = "their IP bytes"),
        HG_COUNTER(packets_drop_count, .doc = "packets dropped, whatever for"),
        HG_COUNTER(resets_sent, .doc = "RSTs that answered packets of no "
                                       "connection"),
        HG_GAUGE(active_connection_count, .doc = "flows in the table"),
        HG_GAUGE(fragments_held, .doc = "fragments that wait for their first"),
        HG_REASON(not_ipv4, .doc = "not IPv4"),
        HG_REASON(unsupported_protocol, .doc = "not TCP, UDP or ICMP"),
        HG_REASON(truncated, .doc = "without its whole transport header"),
        HG_REASON(tcp_fragment, .doc = "a fragment of TCP"),
        HG_REASON(icmp_fragment, .doc = "a fragment of ICMP"),
        HG_REASON(fragment_out_of_order,
                  .doc = "a fragment before its first one, and no room to "
                         "wait"),
        HG_REASON(fragment_timed_out,
                  .doc = "a fragment whose first one did not come"),
        HG_REASON(not_inside, .doc = "from none of the inside prefixes"),
        HG_REASON(hairpin, .doc = "from inside to a public address"),
        HG_REASON(no_connection,
                  .doc = "TCP from inside that begins no connection and "
                         "belongs to none"),
        HG_REASON(error_port_allocation,
                  .doc = "all public addresses are exhausted for the "
                         "destination"),
        HG_REASON(table_full, .doc = "max-flows, or no memory"),
        HG_REASON(wrong_destination,
                  .doc = "from outside to none of the public addresses"),
        HG_REASON(unknown_inbound, .doc = "from outside, of no flow"),
        HG_REASON(ping_to_gateway,
                  .doc = "an echo request to a public address"),
        HG_REASON(unsupported_icmp,
                  .doc = "ICMP that is neither echo nor an error"),
        HG_REASON(bad_icmp_checksum, .doc = "an ICMP error with a wrong "
                                            "checksum (RFC 5508 REQ-3)"),
        HG_REASON(bad_quote,
                  .doc = "an ICMP error whose quote is cut or broken"),
        HG_REASON(icmp_error_unmapped,
                  .doc = "an ICMP error about a packet of no flow")))
/* clang-format on */
