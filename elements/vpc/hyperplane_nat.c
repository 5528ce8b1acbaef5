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
#include "hyperplane_nat.h"

#include <stdlib.h>

#include <headgate/endpoint.h>

enum { INSIDE, OUTSIDE }; /* Inputs and outputs alike. */
enum { GONE = -3 };       /* Verdict: no longer in the batch. */
enum { FRAGMENT_RECORDS = 4096 };

#define SWEEP_NS HG_SEC

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
    const struct hg_nat_key *key = &self->key[self->at];
    struct hg_nat_flow flow;

    if (hg_nat_lookup(self->table, key, p->time_ns, &flow)) {
        touch(self, p, &flow, true);
    } else {
        hg_counter *reason = begin_flow(self, p, &key->tuple, &flow);

        if (reason)
            return hg_drop(reason);
    }
    if (p->flags & HG_PACKET_FRAGMENT) {
        struct hg_fragment_key datagram = fragment_key(ip);

        decide_fragments(self, p, &datagram, OUTSIDE, flow.external);
    }
    hg_end_set(p, HG_END_SRC, flow.external, flow.external_port);
    return OUTSIDE;
}

/* ---- From outside ----------------------------------------------------- */

static int
translate_in(struct hyperplane_nat *self, struct hg_packet *p,
             const struct hg_ipv4 *ip)
{
    struct hg_nat_flow flow;

    if (!hg_nat_lookup(self->table, &self->key[self->at], p->time_ns, &flow))
        return hg_drop(&self->unknown_inbound);
    touch(self, p, &flow, false);
    if (p->flags & HG_PACKET_FRAGMENT) {
        struct hg_fragment_key datagram = fragment_key(ip);

        decide_fragments(self, p, &datagram, INSIDE, flow.inside);
    }
    hg_end_set(p, HG_END_DST, flow.inside, flow.inside_port);
    return INSIDE;
}

/* ---- Both ways -------------------------------------------------------- */

/* Why a whole ICMP message is dropped, or NULL. */
static hg_counter *
refuse_icmp(struct hyperplane_nat *self, uint8_t type, bool from_inside)
{
    if (type == HG_ICMP_ECHO && !from_inside)
        return &self->ping_to_gateway;
    if (type == (from_inside ? HG_ICMP_ECHO : HG_ICMP_ECHO_REPLY) ||
        hg_icmp_is_error(4, type))
        return NULL;
    return &self->unsupported_icmp;
}

/* Why a packet is dropped whatever its flow, or NULL. */
static hg_counter *
refuse(struct hyperplane_nat *self, const struct hg_packet *p)
{
    bool is_fragment = (p->flags & HG_PACKET_FRAGMENT) != 0;
    bool is_whole = (p->flags & HG_PACKET_L4) != 0;

    switch (p->protocol) {
    case HG_PROTO_TCP:
        if (is_fragment)
            return &self->tcp_fragment;
        break;
    case HG_PROTO_ICMP:
        if (is_fragment)
            return &self->icmp_fragment;
        if (is_whole)
            return refuse_icmp(self, hg_packet_icmp(p)->type,
                               p->in_port == INSIDE);
        break;
    case HG_PROTO_UDP:
        if (p->flags & HG_PACKET_FRAGMENT_LATER)
            return NULL;
        break;
    default:
        return &self->unsupported_protocol;
    }
    return is_whole ? NULL : &self->truncated;
}

static int
translate(struct hyperplane_nat *self, struct hg_packet *p,
          const struct hg_ipv4 *ip)
{
    bool from_inside = p->in_port == INSIDE;
    hg_counter *reason;

    if (from_inside && is_public(self, hg_get32(ip->dst)))
        return hg_drop(&self->hairpin);
    if (from_inside && !is_inside(self, hg_get32(ip->src)))
        return hg_drop(&self->not_inside);
    if (!from_inside && !is_public(self, hg_get32(ip->dst)))
        return hg_drop(&self->wrong_destination);
    reason = refuse(self, p);
    if (reason)
        return hg_drop(reason);
    if (p->flags & HG_PACKET_FRAGMENT_LATER)
        return follow_first(self, p, ip, from_inside ? OUTSIDE : INSIDE);
    if (p->protocol == HG_PROTO_ICMP &&
        hg_icmp_is_error(4, hg_packet_icmp(p)->type))
        return translate_error(self, p);
    return from_inside ? translate_out(self, p, ip)
                       : translate_in(self, p, ip);
}

/* ---- Batches ---------------------------------------------------------- */

/* The key of the flow that the packet would belong to; protocol 0 if it is
 * none of those that have one. */
static void
make_key(const struct hg_packet *p, struct hg_nat_key *key)
{
    const struct hg_ipv4 *ip = hg_packet_ipv4(p);
    const uint8_t *l4 = hg_packet_l4(p);
    bool from_inside = p->in_port == INSIDE;
    enum hg_end ours = from_inside ? HG_END_SRC : HG_END_DST;
    enum hg_end remote = from_inside ? HG_END_DST : HG_END_SRC;

    memset(key, 0, sizeof(*key));
    if (!ip || !(p->flags & HG_PACKET_L4))
        return;
    key->from_inside = from_inside;
    key->tuple.addr = hg_get32(from_inside ? ip->src : ip->dst);
    key->tuple.remote = hg_get32(from_inside ? ip->dst : ip->src);
    key->tuple.port = hg_load16(l4 + hg_port_offset(p->protocol, ours));
    if (p->protocol != HG_PROTO_ICMP)
        key->tuple.remote_port =
            hg_load16(l4 + hg_port_offset(p->protocol, remote));
    key->tuple.protocol = p->protocol;
}

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
    verdict = ip ? translate(self, p, ip) : hg_drop(&self->not_ipv4);
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
    struct hg_nat_key key[HG_BATCH_MAX];
    int16_t verdict[HG_BATCH_MAX];
    int differs = 0;

    for (self->at = 0; self->at < batch->n; self->at++)
        make_key(batch->p[self->at], &key[self->at]);
    hg_nat_prepare(self->table, key, batch->n);
    self->key = key;
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

static bool
write_import(void *self_, const char *value, struct hg_error *error)
{
    struct hyperplane_nat *self = self_;
    const struct hg_nat_lives lives = {.tcp_ns = self->tcp_idle_timeout.ns,
                                       .udp_ns = self->udp_timeout.ns,
                                       .icmp_ns = self->icmp_timeout.ns};
    bool ok = hg_nat_import(self->table, hg_now(self), value, &lives, error);

    self->active_connection_count.n = hg_nat_count(self->table);
    if (self->active_connection_count.n)
        flow_added(self, hg_now(self));
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
            continue;
        }
        self->blocks[i].net = hg_addr_ip4(&prefix->addr);
        self->blocks[i].mask =
            prefix->len ? UINT32_MAX << (32 - prefix->len) : 0;
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
    .reproduces =
        "the NAT gateway: a port for each remote endpoint, never the "
        "same for two flows to one; 55,000 flows for each address and "
        "destination; idle timeout of 350 s and RST behind it; "
        "fragments of UDP alone; CloudWatch's metrics",
    .leaves_out =
        "limits of bandwidth and packets, scaling and zones; "
        "address-independent mappings and hairpins, as the real one",
    .lets_choose =
        "ports, limits and timeouts; whether fragments wait for their "
        "first one; whether a connection that is not known gets a RST",
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
    .fields = nat_fields,
    .n_fields = sizeof(nat_fields) / sizeof(nat_fields[0]))
/* clang-format on */
