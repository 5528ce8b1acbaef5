/* hyperplane_nat_table.h: where HyperplaneNAT's flows are: in the core's flow
 * service (hyperplane_nat_service.h) or in a table of their own
 * (hyperplane_nat_compact.h), as the option 'table' says.
 *
 * The rest of the element knows flows only by these functions and by copies,
 * struct nat_flow, which are good until a flow begins, runs out or is
 * imported.  Which table it is never changes, so the branches are
 * foretold. */
#ifndef HYPERPLANE_NAT_TABLE_H
#define HYPERPLANE_NAT_TABLE_H 1

#include "hyperplane_nat_compact.h"
#include "hyperplane_nat_service.h"

/* ---- Finding ---------------------------------------------------------- */

/* Looks up a whole batch with prefetch; 'gateway' has that of each packet. */
static void
nat_find_batch(struct hyperplane_nat *self, struct hg_batch *batch,
               struct gateway *const *gateway)
{
    if (self->compact)
        compact_find_batch(self, batch, gateway);
    else
        service_find_batch(self, batch, gateway);
}

/* For packet 'p', 'i' in the batch, plain and for this gateway, that leaves
 * its flow in the state in which it has to be: puts the flow's deadline off
 * and says what the other side sees.  False, and nothing has happened, where
 * nat_find() may say more.  'table' is self->table, known where this is
 * called. */
static inline __attribute__((always_inline)) bool
nat_follow(struct hyperplane_nat *self, enum nat_table table,
           const struct gateway *gw, struct hg_packet *p, unsigned i,
           bool from_inside, uint8_t state, uint64_t deadline_ns,
           struct nat_end *out)
{
    return table == TABLE_COMPACT
               ? compact_follow(self, i, p->time_ns, from_inside, state,
                                deadline_ns, out)
               : service_follow(self, gw, p, from_inside, state, deadline_ns,
                                out);
}

/* The flow of the packet at self->at of a batch that was looked up. */
static bool
nat_find(struct hyperplane_nat *self, struct hg_packet *p, bool from_inside,
         struct nat_flow *out)
{
    return self->compact ? compact_find(self, p, from_inside, out)
                         : service_find(self, p, from_inside, out);
}

/* The flow of a packet that an ICMP error quotes; 'ours' is the end of 'key'
 * that belongs to this side: inside or external. */
static bool
nat_find_key(struct hyperplane_nat *self, const struct hg_flow_key *key,
             const struct hg_addr *ours, uint16_t port, bool is_inside,
             uint64_t now_ns, struct nat_flow *out)
{
    return self->compact ? compact_find_key(self, key, ours, port, is_inside,
                                            now_ns, out)
                         : service_find_key(self, key, ours, port, is_inside,
                                            now_ns, out);
}

/* Makes a copy good again; false if the flow has ended. */
static bool
nat_find_again(struct hyperplane_nat *self, struct nat_flow *flow,
               uint64_t now_ns)
{
    return !self->compact || compact_find_again(self, flow, now_ns);
}

/* Gives one end of a packet of the flow, an IPv4 packet with ports, what the
 * other side sees there. */
static void
nat_set_end(const struct hyperplane_nat *self, const struct nat_flow *flow,
            struct hg_packet *p, enum hg_end end, uint32_t addr, uint16_t port)
{
    const uint32_t before = p->flow_generation;

    hg_end_set(p, end, addr, port);
    if (self->compact)
        return;
    if (has_own_record(flow->record))
        hg_packet_forget_flow(p); /* Who asks next looks it up. */
    else if (flow->stored->keyed &&
             !(before & HG_FLOW_SECOND) == (end == HG_END_SRC))
        hg_flow_translated(p, before);
}

/* ---- Beginning and ending --------------------------------------------- */

/* Makes a flow for the packet at self->at, from inside and without one,
 * towards 'remote', and gives it an external endpoint: the address that the
 * inside address is paired with (RFC 4787 REQ-2), or the next one where that
 * is exhausted for this remote endpoint; a port that cannot be guessed. */
static enum nat_result
nat_begin(struct hyperplane_nat *self, struct hg_packet *p,
          const struct gateway *gw, uint32_t remote, uint8_t state,
          uint64_t deadline_ns, struct nat_flow *out)
{
    return self->compact
               ? compact_begin(self, p, state, deadline_ns, out)
               : service_begin(self, p, gw, remote, state, deadline_ns, out);
}

/* Adds a flow just as it is given.  Its port may lie outside of the range. */
static enum nat_result
nat_install(struct hyperplane_nat *self, const struct hg_nat_flow *f,
            uint64_t now_ns, struct nat_flow *out)
{
    struct address *a = find_address(self, f->vpc, f->external);

    if (!a || (f->gateway[0] && strcmp(f->gateway, a->gateway->name)))
        return NAT_FOREIGN;
    if (find_address(self, f->vpc, f->remote))
        return NAT_HAIRPIN;
    return self->compact ? compact_install(self, f, a, now_ns, out)
                         : service_install(self, f, a, now_ns, out);
}

/* Gives a flow a state and a deadline. */
static void
nat_update(struct hyperplane_nat *self, struct nat_flow *flow, uint8_t state,
           uint64_t deadline_ns)
{
    if (self->compact)
        compact_update(self, flow, state, deadline_ns);
    else
        service_update(self, flow, state, deadline_ns);
}

static void
nat_end(struct hyperplane_nat *self, const struct nat_flow *flow)
{
    if (self->compact)
        compact_end(self, flow);
    else
        service_end(self, flow);
}

/* Takes out flows that ran out by 'now_ns': all of the flow service's, those
 * of the compact table that its hand meets. */
static void
nat_expire(struct hyperplane_nat *self, uint64_t now_ns)
{
    if (self->compact)
        compact_expire(self, now_ns);
    else
        calendar_turn(self, now_ns);
}

/* ---- All flows -------------------------------------------------------- */

/* Takes out all that ran out; time in proportion to the table, if compact. */
static void
nat_expire_all(struct hyperplane_nat *self, uint64_t now_ns)
{
    if (self->compact)
        hg_nat_compact_sweep(self->compact->table, now_ns, UINT64_MAX);
    else
        calendar_turn(self, now_ns);
}

static void
nat_walk(struct nat_walk *walk, uint64_t now_ns)
{
    if (walk->self->compact)
        compact_walk(walk, now_ns);
    else
        service_walk(walk, now_ns);
}

/* Flows of an external address. */
static uint64_t
nat_in_use(const struct hyperplane_nat *self, uint32_t address)
{
    return self->compact ? self->addresses[address].n_flows
                         : hg_nat_ports_in_use(self->ports_used, address);
}

/* How many of them one destination may have. */
static uint32_t
nat_limit(const struct hyperplane_nat *self)
{
    uint32_t n_ports = hg_port_parts(self->ports, hg_n_workers(self)).n;

    return self->connections_per_destination < n_ports
               ? self->connections_per_destination
               : n_ports;
}

/* ---- Life ------------------------------------------------------------- */

static bool
configure_table(struct hyperplane_nat *self)
{
    return self->table == TABLE_COMPACT ? compact_configure(self)
                                        : service_configure(self);
}

static bool
start_table(struct hyperplane_nat *self, struct hg_error *error)
{
    return self->table == TABLE_COMPACT ? compact_start(self, error)
                                        : service_start(self, error);
}

static void
free_table(struct hyperplane_nat *self)
{
    compact_free(self);
    calendar_uninit(&self->calendar);
    hg_nat_ports_destroy(self->ports_used);
}

#endif
