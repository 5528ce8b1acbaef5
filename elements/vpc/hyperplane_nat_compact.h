/* hyperplane_nat_compact.h: HyperplaneNAT's flows in a table of their own,
 * 16 bytes each (headgate/nat_compact.h).
 *
 * The table's gateways are the element's, by the same numbers.  A tenant of
 * it is a VPC behind a gateway, made when its first packet comes: few of the
 * pairs that could be ever are.  A host whose packets are routed to another
 * gateway has its flow in another tenant of the same VPC, so a search that
 * fails looks there, too.
 *
 * The table takes out what ran out as its hand goes round, moved by packets
 * and the timer.  Who may pass is
 * judged by the packet's own time; counters and gauges wait for the hand. */
#ifndef HYPERPLANE_NAT_COMPACT_H
#define HYPERPLANE_NAT_COMPACT_H 1

#include <inttypes.h>
#include <stdlib.h>

#include "hyperplane_nat_flow.h"

enum {
    TENANT_HEADS = 2 * HG_NAT_COMPACT_TENANTS,
    HAND_PAUSE_MS = 64,  /* The hand rests so long, then moves over */
    HAND_RATE = 1 << 16, /* so many buckets for each second that passed, */
    HAND_ROUND_S = 64,   /* more if a round would take longer than this, */
    HAND_MOST = 1 << 16  /* but not over more than these: about 1 ms. */
};

struct nat_tenant {
    uint32_t vpc;
    uint16_t gateway;
    uint16_t next;        /* + 1; of those with one hash of both. */
    uint16_t next_of_vpc; /* + 1; of those with one hash of the VPC. */
};

struct nat_compact {
    struct hg_nat_compact *table;
    uint64_t moved_ns; /* When the hand moved last. */
    uint32_t n_tenants;
    uint16_t last; /* That was asked for. */
    struct nat_tenant tenant[HG_NAT_COMPACT_TENANTS];
    uint16_t by_both[TENANT_HEADS];
    uint16_t by_vpc[TENANT_HEADS];
    struct hg_nat_compact_key key[HG_BATCH_MAX];
};

/* ---- Tenants ---------------------------------------------------------- */

static inline uint32_t
tenant_hash(uint64_t what)
{
    return (uint32_t)((what * UINT64_C(0x9e3779b97f4a7c15)) >> 32) %
           TENANT_HEADS;
}

/* The number of this VPC behind this gateway; HG_NAT_COMPACT_TENANTS, which
 * the table does not know, if there are too many. */
static uint16_t
find_tenant(struct nat_compact *c, uint32_t vpc, uint32_t gateway)
{
    uint16_t *head = &c->by_both[tenant_hash((uint64_t)gateway << 32 | vpc)];
    uint16_t *head_of_vpc = &c->by_vpc[tenant_hash(vpc)];
    uint16_t i;

    for (i = *head; i; i = c->tenant[i - 1].next)
        if (c->tenant[i - 1].vpc == vpc && c->tenant[i - 1].gateway == gateway)
            return i - 1;
    if (hg_nat_compact_add_tenant(c->table, gateway) < 0)
        return HG_NAT_COMPACT_TENANTS;
    i = (uint16_t)++c->n_tenants;
    c->tenant[i - 1] =
        (struct nat_tenant){vpc, (uint16_t)gateway, *head, *head_of_vpc};
    *head = *head_of_vpc = i;
    return i - 1;
}

/* The same; mostly it is the one that was asked for last. */
static inline uint16_t
tenant_of(struct nat_compact *c, uint32_t vpc, uint16_t gateway)
{
    const struct nat_tenant *last = &c->tenant[c->last];
    uint16_t i;

    if (last->vpc == vpc && last->gateway == gateway)
        return c->last;
    i = find_tenant(c, vpc, gateway);
    if (i < HG_NAT_COMPACT_TENANTS)
        c->last = i;
    return i;
}

/* ---- Flows as the element sees them ----------------------------------- */

static struct address *
compact_address(const struct hyperplane_nat *self,
                const struct hg_nat_compact_flow *f)
{
    const struct gateway *gw =
        &self->gateways[self->compact->tenant[f->tenant].gateway];
    struct address *a = &self->addresses[gw->first];

    while (a->ip != f->external)
        a++;
    return a;
}

/* Completes 'out', whose 'f' the table filled in. */
static inline void
compact_view(const struct hyperplane_nat *self, struct nat_flow *out)
{
    const struct nat_tenant *tenant = &self->compact->tenant[out->f.tenant];

    out->gateway = &self->gateways[tenant->gateway];
    out->vpc = tenant->vpc;
    out->is_six = false;
}

static void
compact_settle(struct hyperplane_nat *self, struct address *a)
{
    a->n_flows--;
    self->n_flows--;
}

static void
compact_ran_out(void *self_, const struct hg_nat_compact_flow *f)
{
    struct hyperplane_nat *self = self_;
    struct address *a = compact_address(self, f);

    if (!nat_is_closed(f->state))
        METRIC(self, a->gateway, idle_timeout_count, 1);
    compact_settle(self, a);
}

static void
move_hand(struct nat_compact *c, uint64_t now_ns)
{
    struct hg_nat_compact_stats stats;
    uint64_t n, past_ms;

    past_ms = (now_ns - c->moved_ns) / HG_MSEC;
    c->moved_ns = now_ns;
    hg_nat_compact_get_stats(c->table, &stats);
    n = stats.buckets / HAND_ROUND_S;
    if (n < HAND_RATE)
        n = HAND_RATE;
    n = past_ms < HAND_ROUND_S * 1000 ? n * past_ms / 1000 : HAND_MOST;
    hg_nat_compact_sweep(c->table, now_ns, n < HAND_MOST ? n : HAND_MOST);
}

/* Moves the hand as far as the time since it last moved asks for. */
static inline void
compact_expire(struct hyperplane_nat *self, uint64_t now_ns)
{
    if (now_ns >= self->compact->moved_ns + HAND_PAUSE_MS * HG_MSEC)
        move_hand(self->compact, now_ns);
}

/* ---- Finding ---------------------------------------------------------- */

/* What a packet's flow is found by; protocol 0, of which there are no flows,
 * if it can have none. */
static inline void
set_key(struct nat_compact *c, const struct hg_packet *p,
        const struct gateway *gw, struct hg_nat_compact_key *key)
{
    const struct hg_ipv4 *ip = (const struct hg_ipv4 *)hg_packet_l3(p);
    struct hg_nat_compact_tuple *t = &key->tuple;
    const bool is_out = p->in_port != OUTSIDE;
    uint16_t sport, dport;

    key->from_inside = is_out;
    if (!gw || !(p->flags & HG_PACKET_IP4) || !(p->flags & HG_PACKET_L4)) {
        *t = (struct hg_nat_compact_tuple){0};
        return;
    }
    if (hg_packet_has_ports(p)) {
        sport = hg_load16(hg_packet_l4(p));
        dport = hg_load16(hg_packet_l4(p) + 2);
    } else {
        sport = is_out ? hg_packet_echo_id(p) : 0;
        dport = is_out ? 0 : hg_packet_echo_id(p);
    }
    t->protocol = p->protocol;
    t->addr = hg_get32(is_out ? ip->src : ip->dst);
    t->remote = hg_get32(is_out ? ip->dst : ip->src);
    t->port = is_out ? sport : dport;
    t->remote_port = is_out ? dport : sport;
    t->realm = is_out ? tenant_of(c, p->vpc, gw->number) : gw->number;
}

static void
compact_find_batch(struct hyperplane_nat *self, struct hg_batch *batch,
                   struct gateway *const *gateway)
{
    struct nat_compact *c = self->compact;
    unsigned n = batch->n, i;

    for (i = 0; i < n; i++)
        set_key(c, batch->p[i], gateway[i], &c->key[i]);
    hg_nat_compact_prepare(c->table, c->key, n);
}

/* Looks where the inside endpoint's VPC is behind other gateways. */
static bool
find_elsewhere(struct nat_compact *c, const struct hg_nat_compact_tuple *tuple,
               uint64_t now_ns, struct hg_nat_compact_flow *out)
{
    struct hg_nat_compact_tuple t = *tuple;
    uint32_t vpc;
    uint16_t i;

    if (tuple->realm >= c->n_tenants)
        return false;
    vpc = c->tenant[tuple->realm].vpc;
    for (i = c->by_vpc[tenant_hash(vpc)]; i;
         i = c->tenant[i - 1].next_of_vpc) {
        t.realm = i - 1;
        if (c->tenant[i - 1].vpc == vpc && t.realm != tuple->realm &&
            hg_nat_compact_find(c->table, &t, true, now_ns, out))
            return true;
    }
    return false;
}

/* The packet is the one at self->at of the batch. */
static inline bool
compact_find(struct hyperplane_nat *self, const struct hg_packet *p,
             bool from_inside, struct nat_flow *out)
{
    struct nat_compact *c = self->compact;
    const struct hg_nat_compact_key *key = &c->key[self->at];

    compact_expire(self, p->time_ns);
    if (!hg_nat_compact_lookup(c->table, key, p->time_ns, &out->f)) {
        if (!from_inside ||
            !find_elsewhere(c, &key->tuple, p->time_ns, &out->f))
            return false;
        compact_view(self, out);
        return true;
    }
    out->gateway = self->at_gateway;
    out->vpc = from_inside ? p->vpc : c->tenant[out->f.tenant].vpc;
    out->is_six = false;
    return true;
}

/* As nat_follow() says. */
static inline __attribute__((always_inline)) bool
compact_follow(struct hyperplane_nat *self, unsigned i, uint64_t now_ns,
               bool from_inside, uint8_t state, uint64_t deadline_ns,
               struct nat_end *out)
{
    struct nat_compact *c = self->compact;
    struct hg_nat_compact_end end;

    compact_expire(self, now_ns);
    if (!hg_nat_compact_follow(c->table, &c->key[i], now_ns, state,
                               deadline_ns, &end))
        return false;
    out->addr = end.addr;
    out->port = end.port;
    if (!from_inside)
        out->vpc = c->tenant[end.tenant].vpc;
    return true;
}

static bool
compact_find_key(struct hyperplane_nat *self, const struct hg_flow_key *key,
                 const struct hg_addr *ours, uint16_t port, bool is_inside,
                 uint64_t now_ns, struct nat_flow *out)
{
    struct nat_compact *c = self->compact;
    bool is_source = ours == &key->src;
    const struct hg_addr *remote = is_source ? &key->dst : &key->src;
    struct hg_nat_compact_tuple t = {.port = port, .protocol = key->protocol};
    const struct gateway *gw = self->at_gateway;
    const struct address *a;

    if (ours->family != 4 || remote->family != 4)
        return false;
    t.addr = hg_addr_ip4(ours);
    t.remote = hg_addr_ip4(remote);
    if (t.protocol != HG_PROTO_ICMP)
        t.remote_port = is_source ? key->dport : key->sport;
    if (!is_inside) {
        a = find_address(self, key->vpc, t.addr);
        if (!a)
            return false;
        gw = a->gateway;
    }
    t.realm = gw->number;
    if (is_inside)
        t.realm = tenant_of(c, key->vpc, t.realm);
    if (!hg_nat_compact_find(c->table, &t, is_inside, now_ns, &out->f) &&
        !(is_inside && find_elsewhere(c, &t, now_ns, &out->f)))
        return false;
    compact_view(self, out);
    return true;
}

/* What a flow is found by from inside. */
static struct hg_nat_compact_tuple
inside_tuple(const struct hg_nat_compact_flow *f)
{
    return (struct hg_nat_compact_tuple){f->inside,      f->remote,
                                         f->inside_port, f->remote_port,
                                         f->tenant,      f->protocol};
}

/* Makes a copy good again after flows came and went. */
static bool
compact_find_again(struct hyperplane_nat *self, struct nat_flow *flow,
                   uint64_t now_ns)
{
    const struct hg_nat_compact_tuple t = inside_tuple(&flow->f);

    return hg_nat_compact_find(self->compact->table, &t, true, now_ns,
                               &flow->f);
}

/* ---- Beginning and ending --------------------------------------------- */

static enum nat_result
compact_result(enum hg_nat_compact_result result)
{
    static const enum nat_result of[] = {
        [HG_NAT_COMPACT_OK] = NAT_OK,
        [HG_NAT_COMPACT_NO_PORT] = NAT_NO_PORT,
        [HG_NAT_COMPACT_FULL] = NAT_FULL,
        [HG_NAT_COMPACT_EXISTS] = NAT_EXISTS,
        [HG_NAT_COMPACT_TAKEN] = NAT_TAKEN,
        /* Addresses and protocols are known to be the gateway's. */
        [HG_NAT_COMPACT_FOREIGN] = NAT_FULL};

    return of[result];
}

/* Completes what the table added. */
static enum nat_result
compact_added(struct hyperplane_nat *self, enum hg_nat_compact_result result,
              struct nat_flow *out)
{
    if (result == HG_NAT_COMPACT_OK) {
        compact_view(self, out);
        compact_address(self, &out->f)->n_flows++;
        self->n_flows++;
    }
    return compact_result(result);
}

static enum nat_result
compact_begin(struct hyperplane_nat *self, const struct hg_packet *p,
              uint8_t state, uint64_t deadline_ns, struct nat_flow *out)
{
    struct nat_compact *c = self->compact;

    return compact_added(self,
                         hg_nat_compact_insert(c->table, &c->key[self->at],
                                               state, p->time_ns, deadline_ns,
                                               &out->f),
                         out);
}

static enum nat_result
compact_install(struct hyperplane_nat *self, const struct hg_nat_flow *f,
                const struct address *a, uint64_t now_ns, struct nat_flow *out)
{
    struct nat_compact *c = self->compact;
    struct hg_nat_compact_tuple tuple;
    struct hg_nat_compact_flow other;

    if (f->inside.family != 4 ||
        f->deadline_ns - now_ns > HG_NAT_COMPACT_HORIZON_NS)
        return NAT_NOT_COMPACT;
    compact_expire(self, now_ns);
    out->f = (struct hg_nat_compact_flow){
        .inside = hg_addr_ip4(&f->inside),
        .external = f->external,
        .remote = f->remote,
        .inside_port = f->inside_port,
        .external_port = f->external_port,
        .remote_port = f->remote_port,
        .tenant = tenant_of(c, f->vpc, a->gateway->number),
        .protocol = f->protocol,
        .state = f->state,
        .deadline_ns = f->deadline_ns};
    tuple = inside_tuple(&out->f);
    if (find_elsewhere(c, &tuple, now_ns, &other))
        return NAT_EXISTS;
    return compact_added(
        self, hg_nat_compact_install(c->table, &out->f, now_ns), out);
}

static void
compact_update(struct hyperplane_nat *self, struct nat_flow *flow,
               uint8_t state, uint64_t deadline_ns)
{
    hg_nat_compact_update(self->compact->table, &flow->f, state, deadline_ns);
}

static void
compact_end(struct hyperplane_nat *self, const struct nat_flow *flow)
{
    hg_nat_compact_remove(self->compact->table, &flow->f);
    compact_settle(self, compact_address(self, &flow->f));
}

static void
compact_walk(struct nat_walk *walk, uint64_t now_ns)
{
    struct hyperplane_nat *self = walk->self;
    struct nat_flow flow;
    bool goes_on = true;
    uint64_t at = 0;

    while (goes_on &&
           hg_nat_compact_next(self->compact->table, now_ns, &at, &flow.f)) {
        const struct hg_nat_compact_flow *c = &flow.f;
        struct hg_nat_flow f;

        compact_view(self, &flow);
        f = (struct hg_nat_flow){.inside = hg_addr_from_ip4(c->inside),
                                 .external = c->external,
                                 .remote = c->remote,
                                 .vpc = flow.vpc,
                                 .inside_port = c->inside_port,
                                 .external_port = c->external_port,
                                 .remote_port = c->remote_port,
                                 .protocol = c->protocol,
                                 .state = c->state,
                                 .deadline_ns = c->deadline_ns};
        snprintf(f.gateway, sizeof(f.gateway), "%s", flow.gateway->name);
        goes_on = walk->fn(walk->aux, &f, &flow);
    }
}

/* ---- Life ------------------------------------------------------------- */

/* Refuses what the table cannot do. */
static bool
compact_configure(struct hyperplane_nat *self)
{
    const struct {
        const char *name;
        uint64_t ns;
    } timeouts[] = {{"idle_timeout", self->idle_timeout.ns},
                    {"tcp_idle_timeout", self->tcp_idle_timeout.ns},
                    {"tcp_opening_timeout", self->tcp_opening_timeout.ns},
                    {"tcp_closing_timeout", self->tcp_closing_timeout.ns},
                    {"udp_timeout", self->udp_timeout.ns},
                    {"icmp_timeout", self->icmp_timeout.ns}};
    bool ok = true;
    uint32_t i;
    size_t k;

    for (i = 0; i < sizeof(timeouts) / sizeof(timeouts[0]); i++)
        if (timeouts[i].ns > HG_NAT_COMPACT_HORIZON_NS &&
            (!i || hg_option_given(self, timeouts[i].name)))
            ok = hg_config_error(self, timeouts[i].name, -1,
                                 "with 'table = compact' no timeout may be "
                                 "longer than 562800s (6.5 days)");
    if (hg_option_given(self, "nat64_prefix"))
        ok = hg_config_error(self, "nat64_prefix", -1,
                             "'table = compact' has no flows from IPv6; NAT64 "
                             "needs 'table = flow-service'");
    if (self->n_gateways > HG_NAT_COMPACT_TENANTS)
        ok = hg_config_error(self, "table", -1,
                             "'table = compact' has room for %d gateways, not "
                             "for %" PRIu32,
                             HG_NAT_COMPACT_TENANTS, self->n_gateways);
    for (i = 0; i < self->n_gateways; i++) {
        const struct gateway_row *row = self->gateways[i].row;

        for (k = 0; row && k < row->inside.n; k++)
            if (row->inside.v[k].addr.family != 4)
                ok = hg_config_error(
                    self, self->gateway.n ? "gateway" : "inside",
                    self->gateway.n ? (int)i : (int)k,
                    "'table = compact' has no flows from IPv6; 'inside' "
                    "prefixes must be IPv4, or the table 'flow-service'");
    }
    return ok;
}

static bool
compact_start(struct hyperplane_nat *self, struct hg_error *error)
{
    struct hg_nat_compact_config config = {
        .ports = self->ports,
        .workers = hg_n_workers(self),
        .part = hg_n_workers(self) > 1 ? hg_port_part : NULL,
        .per_destination = self->connections_per_destination,
        .max_flows = self->max_flows,
        .seed = hg_seed(self),
        .expired = compact_ran_out,
        .aux = self};
    struct nat_compact *c = calloc(1, sizeof(*c));
    uint32_t i, k;
    bool ok;

    self->compact = c;
    if (c)
        c->tenant[0].gateway = UINT16_MAX; /* None yet. */
    ok = c && (c->table = hg_nat_compact_create(&config));
    for (i = 0; ok && i < self->n_gateways; i++) {
        const struct gateway *gw = &self->gateways[i];
        uint32_t external[ADDRESSES_MAX];

        for (k = 0; k < gw->n; k++)
            external[k] = self->addresses[gw->first + k].ip;
        ok = hg_nat_compact_add_gateway(c->table, external, gw->n) >= 0;
        if (ok && gw->has_vpc)
            tenant_of(c, gw->vpc, gw->number);
    }
    return ok || hg_error_set(error,
                              "no memory for a table of %" PRIu32
                              " flows; see 'max-flows'",
                              self->max_flows);
}

static void
compact_free(struct hyperplane_nat *self)
{
    if (self->compact)
        hg_nat_compact_destroy(self->compact->table);
    free(self->compact);
}

#endif
