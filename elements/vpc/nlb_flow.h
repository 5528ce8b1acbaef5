/* nlb_flow.h: NLB's flows: how one begins, which target it gets, and what
 * happens to its packets. */
#ifndef NLB_FLOW_H
#define NLB_FLOW_H 1

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "nlb.h"
#include "nlb_tcp.h"

#define UDP_IDLE_NS (120 * HG_SEC)

enum {
    FIRST_NAT_PORT = 1024,
    NAT_TRIES = 256,
    AHEAD = 32 /* Packets for which targets are chosen at once: few enough that
                * what was fetched for them is still in the first caches. */
};

static struct hg_target *
target_of(const struct nlb *self, const struct nlb_flow *state)
{
    return &self->groups[state->group].first[state->target];
}

/* ---- Flows ------------------------------------------------------------ */

static void
set_active(struct nlb *self, struct nlb_flow *state, bool active)
{
    uint64_t step = active ? 1 : UINT64_MAX;

    if (state->is_active == active)
        return;
    state->is_active = active;
    self->active_flow_count.n += step;
    if (state->is_tcp)
        self->active_flow_count_tcp.n += step;
    else
        self->active_flow_count_udp.n += step;
}

/* The flow is there, or no longer. */
static void
account_flow(struct nlb *self, struct nlb_flow *state, bool begins)
{
    struct hg_target *target = target_of(self, state);
    uint32_t step = begins ? 1 : UINT32_MAX;

    target->n_flows += step;
    target->flows[self->addresses[state->address].node] += step;
    set_active(self, state, begins);
}

static void
nlb_flow_expired(void *self, void *state, uint64_t when_ns)
{
    (void)when_ns;
    account_flow(self, state, false);
}

static void
end_flow(struct nlb *self, struct hg_flow *flow, struct nlb_flow *state)
{
    account_flow(self, state, false);
    hg_flow_keep(self, flow, 0);
}

/* The packet's flow and what is kept for it, as the batch was looked up. */
static struct hg_flow *
find_known(struct nlb *self, struct hg_packet *p, struct nlb_flow **state)
{
    void *bytes;
    struct hg_flow *flow = hg_flow_find_state(self, p, &bytes);

    *state = bytes;
    return flow;
}

/* A record has only one second key.  Where that is what another element made
 * of the client's tuple it has to stay, and the flow has a record of its own,
 * in a VPC that only this element knows. */
#define OWN_VPC (UINT32_C(1) << 30)

static struct hg_packet
as_own(const struct hg_packet *p)
{
    struct hg_packet q = *p;

    q.vpc ^= OWN_VPC;
    hg_packet_forget_flow(&q);
    return q;
}

static void
know_as(struct hg_packet *p, const struct hg_packet *q)
{
    p->flow = q->flow;
    p->flow_generation = q->flow_generation;
    p->flags =
        (p->flags & ~(uint32_t)HG_PACKET_REPLY) | (q->flags & HG_PACKET_REPLY);
}

/* As find_known(); but flows end and begin in a batch: a record that is no
 * longer this element's is looked up again. */
static struct hg_flow *
find_flow(struct nlb *self, struct hg_packet *p, struct nlb_flow **state)
{
    struct hg_flow *flow = find_known(self, p, state);
    struct hg_packet q;

    if (flow || !p->flow)
        return flow;
    hg_packet_forget_flow(p);
    flow = find_known(self, p, state);
    if (flow || !self->has_own || !(p->flow_generation & HG_FLOW_SECOND))
        return flow;
    q = as_own(p);
    flow = find_known(self, &q, state);
    if (flow)
        know_as(p, &q);
    return flow;
}

/* A record for the packet's new flow, and its bytes; NULL if there is no
 * room. */
static struct hg_flow *
new_record(struct nlb *self, struct hg_packet *p, void **bytes)
{
    struct hg_flow *flow = hg_flow_create_state(self, p, bytes);
    struct hg_packet q;

    if (!flow || !(p->flow_generation & HG_FLOW_SECOND))
        return flow;
    q = as_own(p);
    self->has_own = true;
    flow = hg_flow_create_state(self, &q, bytes);
    know_as(p, &q);
    return flow;
}

/* The key of the flow's first packet as it came here, of which another element
 * may have translated the client. */
static void
first_key_of(struct nlb *self, const struct hg_flow *flow,
             const struct nlb_flow *state, struct hg_flow_key *out)
{
    const struct nlb_client *client;

    hg_flow_first_key(flow, out);
    if (state->by_first_key)
        return;
    client = hg_flow_seldom(self, flow);
    out->vpc = client->vpc;
    out->src = client->addr;
    out->sport = client->port;
    out->dst = self->addresses[state->address].addr;
    out->dport = self->listeners[state->listener].row->port;
}

/* Whether the packet is like the first of its flow, which was for a listener:
 * then it is, too. */
static inline bool
is_like_first(const struct hg_packet *p, const struct nlb_flow *state)
{
    return state && state->by_first_key &&
           !(p->flags & (HG_PACKET_REPLY | HG_PACKET_FRAGMENT)) &&
           !(p->flow_generation & (HG_FLOW_SECOND | HG_FLOW_REWRITTEN));
}

/* Whether the packet, which is of this flow or of the one that its record was
 * of when the batch was looked up, comes from the target and goes where that
 * sees the client. */
static bool
is_answer(const struct nlb *self, const struct nlb_flow *state,
          const struct hg_packet *p)
{
    const struct hg_target *target = target_of(self, state);
    struct hg_addr src = hg_packet_src(p);

    return p->flags & HG_PACKET_REPLY && target->port == hg_packet_sport(p) &&
           (!state->nat_port || state->nat_port == hg_packet_dport(p)) &&
           hg_addr_equal(&target->addr, &src);
}

static struct hg_flow *
find_answered_flow(struct nlb *self, struct hg_packet *p,
                   struct nlb_flow **state)
{
    struct hg_flow *flow = find_flow(self, p, state);

    if (!flow || is_answer(self, *state, p))
        return flow;
    hg_packet_forget_flow(p);
    flow = find_flow(self, p, state);
    return flow && is_answer(self, *state, p) ? flow : NULL;
}

/* ---- Whom a packet is for --------------------------------------------- */

/* Which of our addresses the packet is for, or -1. */
static int
find_address(const struct nlb *self, const struct hg_packet *p)
{
    const struct hg_ipv4 *ip = hg_packet_ipv4(p);
    uint32_t ip4 = ip ? hg_get32(ip->dst) : 0;
    struct hg_addr dst;
    unsigned i;

    if (self->vpc_number && p->vpc != self->vpc_number)
        return -1;
    if (!ip)
        dst = hg_packet_dst(p);
    for (i = 0; i < self->n_addresses; i++)
        if (ip ? self->addresses[i].ip4 == ip4 &&
                     self->addresses[i].addr.family == 4
               : hg_addr_equal(&self->addresses[i].addr, &dst))
            return (int)i;
    return -1;
}

/* The number of the listener for the packet, or -1. */
static int
find_listener(const struct nlb *self, const struct hg_packet *p)
{
    int i = self->listener_at[hg_packet_dport(p)] - 1;
    unsigned other = p->protocol == HG_PROTO_TCP ? PROTOCOL_UDP : PROTOCOL_TCP;

    return i >= 0 && self->listeners[i].row->protocol != other ? i : -1;
}

/* Why a packet for one of our addresses is dropped whatever its flow. */
static hg_counter *
refuse(struct nlb *self, const struct hg_packet *p)
{
    if (p->flags & HG_PACKET_FRAGMENT)
        return &self->fragment;
    if (p->protocol != HG_PROTO_TCP && p->protocol != HG_PROTO_UDP)
        return &self->no_listener;
    return p->flags & HG_PACKET_L4 ? NULL : &self->truncated;
}

/* Whether the packet begins a flow where there is none, or none that lasts. */
static bool
is_opening(const struct hg_tcp *tcp)
{
    return !tcp || (tcp->flags & (HG_TCP_SYN | HG_TCP_ACK | HG_TCP_RST |
                                  HG_TCP_FIN)) == HG_TCP_SYN;
}

/* ---- New flows -------------------------------------------------------- */

/* The target that a new flow gets. */
struct choice {
    bool is_made;
    bool fail_open;
    bool preserved; /* The client's own address and port are. */
    uint8_t address;
    uint8_t listener;
    uint16_t group;
    uint32_t target;        /* HG_TARGET_NONE: there is none for it. */
    struct hg_flow_key key; /* Between client and target, if preserved. */
};

/* What a flow is hashed by; no padding. */
struct tuple4 {
    hg_be32 src;
    hg_be32 dst;
    uint32_t seq;
    uint32_t ports;
};

struct tuple6 {
    uint8_t ends[32];
    uint32_t seq;
    uint32_t ports;
};

static uint64_t
hash_flow(const struct nlb *self, const struct hg_packet *p)
{
    const struct hg_ipv4 *ip4 = hg_packet_ipv4(p);
    const struct hg_tcp *tcp = hg_packet_tcp(p);
    uint32_t seq = tcp ? hg_get32(tcp->seq) : 0;
    uint32_t ports = hg_load32(hg_packet_l4(p));
    uint64_t seed = self->seed + p->protocol * XXH_PRIME64_1;

    if (ip4) {
        struct tuple4 tuple = {ip4->src, ip4->dst, seq, ports};

        return XXH3_64bits_withSeed(&tuple, sizeof tuple, seed);
    } else {
        struct tuple6 tuple = {.seq = seq, .ports = ports};

        memcpy(tuple.ends, hg_packet_l3(p) + offsetof(struct hg_ipv6, src),
               sizeof tuple.ends);
        return XXH3_64bits_withSeed(&tuple, sizeof tuple, seed);
    }
}

static uint64_t
hash_client(const struct nlb *self, const struct hg_packet *p)
{
    struct hg_addr src = hg_packet_src(p);

    return XXH64(src.byte, sizeof src.byte, self->seed);
}

static uint16_t
choose_group(const struct listener *listener, uint32_t hash)
{
    uint32_t at = (uint32_t)((uint64_t)hash * listener->total_weight >> 32);
    unsigned i = 0;

    while (at >= listener->weight[i])
        at -= listener->weight[i++];
    return listener->group[i];
}

static bool
crosses_zones(const struct nlb *self, const struct group_row *row)
{
    return row->cross_zone == BY_DEFAULT ? self->cross_zone
                                         : row->cross_zone == ALWAYS;
}

static bool
preserves_client(const struct nlb *self, const struct choice *c)
{
    const struct group *group = &self->groups[c->group];
    unsigned node = self->addresses[c->address].node;

    if (self->node.row[node].endpoint)
        return false;
    if (group->row->preserve_client_ip != BY_DEFAULT)
        return group->row->preserve_client_ip == ALWAYS;
    return group->row->target_type == TYPE_INSTANCE || group->takes_udp;
}

/* The tuple between client and target, if the client is preserved. */
static void
key_to_target(const struct nlb *self, const struct hg_packet *p,
              const struct choice *c, struct hg_flow_key *key)
{
    const struct hg_target *target =
        hg_target_at(self->groups[c->group].targets, c->target);

    hg_flow_key_of(p, key);
    key->dst = target->addr;
    key->dport = target->port;
}

/* Chooses group and target of a new flow. */
static void
choose_target(const struct nlb *self, const struct hg_packet *p,
              unsigned address, unsigned listener_number, struct choice *c)
{
    const struct listener *listener = &self->listeners[listener_number];
    unsigned zone = self->addresses[address].node;
    const struct group *group;
    uint64_t hash;

    *c = (struct choice){.is_made = true,
                         .address = (uint8_t)address,
                         .listener = (uint8_t)listener_number,
                         .target = HG_TARGET_NONE};
    if (!listener->total_weight)
        return;
    hash = hash_flow(self, p);
    c->group = choose_group(listener, (uint32_t)(hash >> 32));
    group = &self->groups[c->group];
    if (group->row->stickiness == STICKINESS_SOURCE_IP) {
        hash = hash_client(self, p);
        c->group = choose_group(listener, (uint32_t)(hash >> 32));
        group = &self->groups[c->group];
    }
    if (hg_target_family(group->targets) != (p->flags & HG_PACKET_IP4 ? 4 : 6))
        return;
    if (crosses_zones(self, group->row))
        zone = HG_ZONE_ANY;
    c->target =
        hg_target_choose(group->targets, zone, (uint32_t)hash, &c->fail_open);
    c->preserved = preserves_client(self, c);
    if (c->target != HG_TARGET_NONE)
        key_to_target(self, p, c, &c->key);
}

/* The tuple between client and target becomes the flow's second key.  NULL,
 * or why the flow cannot be. */
static hg_counter *
connect_flow(struct nlb *self, const struct hg_packet *p, struct choice *c,
             struct hg_flow *flow, uint16_t *nat_port)
{
    struct hg_flow_key *key = &c->key;
    unsigned i;

    if (c->preserved)
        return hg_flow_add_key(self, flow, key, p->time_ns)
                   ? NULL
                   : &self->socket_reuse;
    key->src = self->addresses[c->address].addr;
    for (i = 0; i < NAT_TRIES; i++) {
        uint64_t n = UINT16_MAX + 1 - FIRST_NAT_PORT;

        key->sport = (uint16_t)(FIRST_NAT_PORT + hg_random(self) % n);
        if (self->listener_at[key->sport] ||
            !hg_flow_add_key(self, flow, key, p->time_ns))
            continue;
        *nat_port = key->sport;
        return NULL;
    }
    return &self->port_allocation_error_count;
}

/* Why this target cannot have the flow, or NULL. */
static hg_counter *
refuse_target(struct nlb *self, const struct choice *c)
{
    const struct hg_target *target =
        hg_target_at(self->groups[c->group].targets, c->target);
    uint32_t n = c->preserved
                     ? target->n_flows
                     : target->flows[self->addresses[c->address].node];

    if (c->preserved && hg_addr_equal(&c->key.src, &target->addr))
        return &self->hairpin;
    return n >= self->connections_per_target
               ? &self->port_allocation_error_count
               : NULL;
}

static void
count_new_flow(struct nlb *self, bool is_tcp)
{
    hg_count(&self->new_flow_count);
    hg_count(is_tcp ? &self->new_flow_count_tcp : &self->new_flow_count_udp);
}

static void
count_rejected_flow(struct nlb *self, bool is_tcp)
{
    hg_count(&self->rejected_flow_count);
    if (is_tcp)
        hg_count(&self->rejected_flow_count_tcp);
}

/* Fills what is kept for the packet's new flow, which is zero. */
static void
fill_state(struct nlb *self, const struct hg_packet *p, const struct choice *c,
           const struct hg_flow *flow, struct nlb_flow *state)
{
    const struct hg_tcp *tcp = hg_packet_tcp(p);
    const struct hg_eth *eth = hg_packet_eth(p);
    struct nlb_client *client;

    state->group = c->group;
    state->target = (uint16_t)c->target;
    state->listener = c->listener;
    state->address = c->address;
    state->by_first_key =
        !(p->flow_generation & (HG_FLOW_SECOND | HG_FLOW_REWRITTEN)) &&
        !(flow->ends.vpc & OWN_VPC);
    if (!state->by_first_key) {
        client = hg_flow_seldom(self, flow);
        client->addr = hg_packet_src(p);
        client->port = hg_packet_sport(p);
        client->vpc = p->vpc;
    }
    if (!tcp)
        return;
    state->is_tcp = true;
    state->isn = hg_get32(tcp->seq);
    client = hg_flow_seldom(self, flow);
    client->mac = eth->src;
    client->ours = eth->dst;
}

/* Begins the packet's flow.  NULL, or why not. */
static hg_counter *
begin_flow(struct nlb *self, struct hg_packet *p, struct choice *c,
           struct hg_flow **flow, struct nlb_flow **state)
{
    bool is_tcp = p->protocol == HG_PROTO_TCP;
    hg_counter *reason;
    void *bytes;

    if (c->target == HG_TARGET_NONE) {
        count_rejected_flow(self, is_tcp);
        return &self->no_target;
    }
    if (c->fail_open)
        hg_count(&self->unhealthy_routing_flow_count);
    reason = refuse_target(self, c);
    if (reason)
        return reason;
    *flow = new_record(self, p, &bytes);
    if (!*flow)
        return &self->flow_table_full;
    *state = bytes;
    reason = connect_flow(self, p, c, *flow, &(*state)->nat_port);
    if (reason) {
        hg_flow_keep(self, *flow, 0);
        return reason;
    }
    fill_state(self, p, c, *flow, *state);
    hg_flow_keep_state(
        *state, p->time_ns + (is_tcp ? self->answer_timeout.ns : UDP_IDLE_NS));
    account_flow(self, *state, true);
    count_new_flow(self, is_tcp);
    return NULL;
}

/* Whether the packet probably begins a flow, at which of our addresses and of
 * which listener. */
static bool
is_first(struct nlb *self, const struct hg_packet *p, int *address,
         int *listener)
{
    if (p->flow || p->in_port != IN_CLIENTS || refuse(self, p) ||
        !is_opening(hg_packet_tcp(p)))
        return false;
    *address = find_address(self, p);
    *listener = find_listener(self, p);
    return *address >= 0 && *listener >= 0;
}

/* Chooses for those packets that probably begin a flow, and fetches what their
 * second keys will meet, so that these misses overlap. */
static void
choose_ahead(struct nlb *self, struct hg_packet *const *p, unsigned n,
             struct choice *choice)
{
    const struct hg_flow_key *key[AHEAD];
    int address, listener;
    unsigned n_keys = 0, i;

    for (i = 0; i < n; i++) {
        struct choice *c = &choice[i];

        c->is_made = false;
        if (!is_first(self, p[i], &address, &listener))
            continue;
        choose_target(self, p[i], (unsigned)address, (unsigned)listener, c);
        if (c->preserved)
            key[n_keys++] = &c->key;
    }
    hg_flow_fetch_keys(self, key, n_keys);
}

/* ---- Packets of flows ------------------------------------------------- */

/* At the end of a second and of each batch. */
static void
note_peaks(struct nlb *self)
{
    uint64_t bytes = self->processed_bytes.n - self->bytes_before;
    uint64_t packets = self->processed_packets.n - self->packets_before;

    if (self->peak_bytes_per_second.n < bytes)
        self->peak_bytes_per_second.n = bytes;
    if (self->peak_packets_per_second.n < packets)
        self->peak_packets_per_second.n = packets;
}

static void
begin_second(struct nlb *self, uint64_t now_ns)
{
    note_peaks(self);
    self->second_ns = now_ns - now_ns % HG_SEC;
    self->bytes_before = self->processed_bytes.n;
    self->packets_before = self->processed_packets.n;
}

static inline void
count_packet(struct nlb *self, const struct hg_packet *p)
{
    uint32_t bytes = hg_packet_ip_bytes(p);

    if (p->time_ns - self->second_ns >= HG_SEC)
        begin_second(self, p->time_ns);
    hg_count(&self->processed_packets);
    self->processed_bytes.n += bytes;
    if (p->protocol == HG_PROTO_TCP)
        self->processed_bytes_tcp.n += bytes;
    else if (p->protocol == HG_PROTO_UDP)
        self->processed_bytes_udp.n += bytes;
}

static inline void
set_end(struct hg_packet *p, enum hg_end end, const struct hg_addr *addr,
        uint16_t port)
{
    if (addr->family == 4) {
        hg_end_set(p, end, hg_addr_ip4(addr), port);
    } else if (end == HG_END_SRC) {
        hg_packet_set_src(p, addr);
        hg_packet_set_sport(p, port);
    } else {
        hg_packet_set_dst(p, addr);
        hg_packet_set_dport(p, port);
    }
}

/* Follows the connection through a segment of it. */
static void
track_tcp(struct nlb *self, const struct hg_packet *p, struct hg_flow *flow,
          struct nlb_flow *state, bool from_client)
{
    const struct hg_tcp *tcp = hg_packet_tcp(p);
    bool was_closed = state->tcp_state == TCP_CLOSED;

    if (tcp->flags & HG_TCP_ACK)
        *(from_client ? &state->client_ack : &state->target_ack) =
            hg_get32(tcp->ack);
    if (tcp->flags & HG_TCP_FIN) {
        state->client_fin |= from_client;
        state->target_fin |= !from_client;
    }
    if (tcp->flags & HG_TCP_RST)
        hg_count(from_client ? &self->tcp_client_reset_count
                             : &self->tcp_target_reset_count);
    if (was_closed)
        return;
    if (tcp->flags & HG_TCP_RST || (state->client_fin && state->target_fin)) {
        state->tcp_state = TCP_CLOSED;
        set_active(self, state, false);
        hg_flow_keep_state(state, p->time_ns + self->closed_timeout.ns);
        return;
    }
    if (!from_client && state->tcp_state == TCP_SYN_SENT) {
        state->tcp_state = TCP_OPEN;
        hg_flow_confirm(flow);
    }
    if (state->tcp_state == TCP_OPEN)
        hg_flow_keep_state(
            state,
            p->time_ns +
                self->listeners[state->listener].row->tcp_idle_timeout.ns);
}

static void
track(struct nlb *self, const struct hg_packet *p, struct hg_flow *flow,
      struct nlb_flow *state, bool from_client)
{
    count_packet(self, p);
    if (p->protocol == HG_PROTO_TCP) {
        track_tcp(self, p, flow, state, from_client);
        return;
    }
    if (!from_client)
        hg_flow_confirm(flow);
    hg_flow_keep_state(state, p->time_ns + UDP_IDLE_NS);
}

static bool
has_proxy_header(const struct nlb *self, const struct nlb_flow *state)
{
    return state->is_tcp && self->groups[state->group].row->proxy_protocol_v2;
}

static int
forward(struct nlb *self, struct hg_packet *p, struct hg_flow *flow,
        struct nlb_flow *state)
{
    const struct hg_target *target = target_of(self, state);
    struct hg_flow_key first;

    track(self, p, flow, state, true);
    set_end(p, HG_END_DST, &target->addr, target->port);
    if (state->nat_port)
        set_end(p, HG_END_SRC, &self->addresses[state->address].addr,
                state->nat_port);
    if (has_proxy_header(self, state)) {
        first_key_of(self, flow, state, &first);
        add_header(self, p, state, &first);
    }
    return OUT_TARGETS;
}

static int
bring_back(struct nlb *self, struct hg_packet *p, struct hg_flow *flow,
           struct nlb_flow *state)
{
    const struct address *address = &self->addresses[state->address];
    struct hg_flow_key first;

    track(self, p, flow, state, false);
    if (has_proxy_header(self, state))
        remove_header(p, state, address->addr.family);
    set_end(p, HG_END_SRC, &address->addr,
            self->listeners[state->listener].row->port);
    if (state->nat_port) {
        first_key_of(self, flow, state, &first);
        set_end(p, HG_END_DST, &first.src, first.sport);
    }
    if (!state->by_first_key)
        hg_packet_forget_flow(p); /* Who asks next looks it up. */
    return OUT_CLIENTS;
}

#endif
