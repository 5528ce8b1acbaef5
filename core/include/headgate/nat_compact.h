/* headgate/nat_compact.h: the flows of source NATs, 16 bytes each, found from
 * both sides: a table for a billion of them.
 *
 *     inside endpoint --lookup--> flow <--lookup-- external endpoint
 *                     (towards one remote endpoint)
 *
 * A mapping is endpoint dependent: its key is tenant, protocol, inside and
 * remote endpoint, and what it is given is an external address and port.  No
 * two flows that live at one time share gateway, protocol, external address,
 * external port and remote endpoint; flows to different remote endpoints may
 * share an external port (RFC 7857 3).  TCP, UDP and ICMP queries over IPv4;
 * an ICMP query's identifier is the port of its inside and of its external
 * endpoint, and its remote port is 0.  All addresses and ports are in host
 * order, all times in nanoseconds.
 *
 * Theory of operation
 *
 * The external port is the place of the entry.  A destination is a remote
 * endpoint and protocol as one external address of one gateway sees it.  It
 * has 'places', as many as it may have flows: the smaller of per_destination
 * and of the ports in the range.  Place i is port
 *
 *     low + (i + rotation(destination)) mod (number of ports)
 *
 * or, where workers divide the range, the port of that number in a part of it
 * (owner.h).  So the range may have any size and begin anywhere, and the limit
 * needs no counter: there is no place beyond it.  Four places are a group.  A
 * keyed hash of destination and group names a bucket of four 16-byte entries,
 * one cache line; place 4g + s is entry s of the bucket of group g, or
 * nothing.
 *
 *     in:   port -> place -> bucket, entry: one line, nothing to search.
 *     out:  (inside endpoint, destination) -> a sequence of up to 31 groups;
 *           the flow is in the bucket of the first, or in the next ...
 *     new:  the first bucket of that sequence with a free entry.  Finding a
 *           port and inserting are one operation, and two flows to one
 *           destination that meet in one group take different entries.
 *
 * A bucket notes the flows that passed it by, as a set of 16 kinds; a search
 * ends where those of its kind did not pass.
 * An entry keeps inside endpoint, remote port, tenant, state, time, which of
 * the 31 groups it is, and 20 bits of the remote address: the other 12 are
 * the exclusive or of its place and a hash of the rest, and come back from
 * there (quotienting: Knuth, TAOCP 3, 6.4, exercise 13).
 *
 * Growth is linear hashing (Litwin, VLDB 1980): one bucket at a time is split
 * in two by one more bit of its hash, and an entry keeps its place in the
 * bucket when it moves, hence its port.  Addresses are reserved for
 * max_flows, memory is used as the table grows: it splits above 70 % until
 * max_flows fit at 90 %.  Notes go to both halves of a split and outlive their
 * flows, so they are made anew as the hand goes round, some kinds at a time.
 * An insertion splits two buckets at most and moves the hand over one.  It
 * does not wait for memory: a large table has a thread that touches the pages
 * which come next, as a huge page takes 0.2 ms where the kernel has the memory
 * and milliseconds in a virtual machine whose host has yet to find it.  So a
 * table of more than 2 MiB has up to 3 MiB, or a 40th, that is not yet in
 * use.  It does not shrink.
 *
 * Not all can have a place: where all buckets of a sequence are full, and
 * where the paired address is exhausted, a free port is looked for one by
 * one, and the flow goes into a second table (40 bytes and two hashes).  So
 * no flow is refused while one external address of its gateway has a free
 * port for its destination.  The search remembers the free places of crowded
 * destinations in a bitmap.
 *
 * Time.  15 bits hold a deadline as 13 bits of ticks on one of four scales:
 *
 *     to live, at most        73 s    35 min   9.7 h    6.5 days
 *     resolution              17 ms   269 ms   4.3 s    69 s
 *
 * A deadline is rounded up to the next tick, so that a flow never ends too
 * early, and below 0.5 % of its timeout (or 17 ms) too late; what is further
 * away than HG_NAT_COMPACT_HORIZON_NS is brought forward to that.
 * hg_nat_compact_insert and _update tell the deadline a flow really has, and
 * that one is kept exactly: it is judged by the time of whoever looks, however
 * late the hand comes by.  Ticks would be ambiguous after a while, so each
 * bucket knows in which epoch (32 s of the clock, or a jump of it) it was
 * last looked at, and is cleaned when it is met in a later one.  The clock
 * may jump by any time; it never goes back: an earlier 'now' counts as the
 * latest one seen.
 *
 * What an outsider may know.  Rotation, groups, buckets and the entry within
 * a bucket come from hashes and random numbers keyed by 'seed': products of 64
 * by 64 bits folded, as in wyhash, two or more in a row.  Who can have ports
 * chosen for the same inside endpoint towards two remote ports of one address,
 * or towards two addresses, learns nothing of the second from the first (RFC
 * 6056), but for remote endpoints with the same port within one /20, whose
 * ports differ by the same amount for every inside endpoint.
 *
 * Workers have a table each, with a part of the ports and a share of
 * per_destination of its own.  A reload walks one table (_next) and installs
 * into another; flows find places again if seed, ports, per_destination and
 * external addresses are the same, and are kept in the second table if not.
 *
 * Thread-safety: a table belongs to one worker. */
#ifndef HEADGATE_NAT_COMPACT_H
#define HEADGATE_NAT_COMPACT_H 1

#include <headgate/owner.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HG_NAT_COMPACT_EXTERNAL_MAX 8 /* Addresses of a gateway. */
#define HG_NAT_COMPACT_TENANTS 4096   /* At most, and as many gateways. */
#define HG_NAT_COMPACT_FLOWS (1u << 30)
#define HG_NAT_COMPACT_HORIZON_NS (562800 * HG_SEC) /* 6.5 days */

/* A packet as one side sees it: 'addr' and 'port' are the inside endpoint if
 * it comes from inside, the external one if it comes from outside. */
struct hg_nat_compact_tuple {
    uint32_t addr;
    uint32_t remote;
    uint16_t port;
    uint16_t remote_port;
    uint16_t realm;   /* From inside the tenant, from outside the gateway. */
    uint8_t protocol; /* HG_PROTO_TCP, _UDP or _ICMP; others have no flows. */
};

/* What is looked up for a packet of a batch. */
struct hg_nat_compact_key {
    struct hg_nat_compact_tuple tuple;
    bool from_inside;

    /* For the table: */
    bool valid;
    uint8_t external; /* Which one of the gateway's. */
    uint8_t part;     /* Of the ports. */
    uint8_t slot;     /* In the bucket where it was last seen. */
    uint8_t near;     /* Candidate and group of that bucket, and which it is */
    uint16_t gateway;
    uint32_t near_group, bucket;
    uint32_t n_buckets; /* as long as there are so many. */
    uint32_t group;
    uint32_t spread; /* Lower half of its flow's hash. */
    uint64_t dest_hash;
    uint64_t ends, bits, mask; /* What its entry looks like there. */
};

struct hg_nat_compact_flow {
    uint32_t inside;
    uint32_t external;
    uint32_t remote;
    uint16_t inside_port;
    uint16_t external_port;
    uint16_t remote_port;
    uint16_t tenant;
    uint8_t protocol;
    uint8_t state; /* enum hg_nat_state: 0 for UDP and ICMP, 1 to 6 for TCP. */
    uint32_t id;   /* Where it is until the next call that may add or expire
                    * flows. */
    uint64_t deadline_ns; /* The flow lives before this time. */
};

struct hg_nat_compact;

struct hg_nat_compact_config {
    struct hg_port_range ports; /* Of external endpoints. */
    unsigned workers;           /* Among whom they are divided; 0: one. */
    /* Which part of them flows to a remote endpoint get (port 0: ICMP), as
     * hg_port_part() says with 'aux' as the element; NULL: the first. */
    unsigned (*part)(const void *aux, uint32_t remote, uint16_t remote_port);
    uint32_t per_destination; /* At least 1. */
    uint32_t max_flows;       /* 1 to HG_NAT_COMPACT_FLOWS, counted as by
                               * hg_nat_compact_count. */
    uint64_t seed;
    /* Called for each flow that ran out, as it is taken out; may be NULL.  It
     * must not change the table. */
    void (*expired)(void *aux, const struct hg_nat_compact_flow *);
    void *aux;
};

enum hg_nat_compact_result {
    HG_NAT_COMPACT_OK,
    HG_NAT_COMPACT_NO_PORT, /* All addresses are exhausted there. */
    HG_NAT_COMPACT_FULL,    /* max_flows, or no memory for more. */
    HG_NAT_COMPACT_EXISTS,  /* The inside tuple has a flow already. */
    HG_NAT_COMPACT_TAKEN,   /* The external tuple is another flow's. */
    HG_NAT_COMPACT_FOREIGN  /* No such tenant, gateway, address, protocol. */
};

/* NULL without memory, or if a number of 'config' is out of range.  The table
 * has no gateway yet.  hg_nat_compact_destroy(NULL) does nothing. */
HG_API struct hg_nat_compact *
hg_nat_compact_create(const struct hg_nat_compact_config *);
HG_API void hg_nat_compact_destroy(struct hg_nat_compact *);

/* Adds a gateway with 'n' external addresses (1 to
 * HG_NAT_COMPACT_EXTERNAL_MAX), which other gateways may have, too; then the
 * tenants that use it, each with an address space of its own.  Return its
 * number, counted from 0, or -1 if there are too many, no memory, or no such
 * gateway. */
HG_API int hg_nat_compact_add_gateway(struct hg_nat_compact *,
                                      const uint32_t *external, unsigned n);
HG_API int hg_nat_compact_add_tenant(struct hg_nat_compact *,
                                     unsigned gateway);

/* Computes what the table wants to know of 'n' keys, whose 'tuple' and
 * 'from_inside' are set, and begins their cache misses together.  The keys
 * stay good whatever is added or removed later. */
HG_API void hg_nat_compact_prepare(const struct hg_nat_compact *,
                                   struct hg_nat_compact_key *, unsigned n);

/* The flow of a prepared key, copied into '*flow'; false if none lives at
 * 'now_ns'. */
HG_API bool hg_nat_compact_lookup(struct hg_nat_compact *,
                                  const struct hg_nat_compact_key *,
                                  uint64_t now_ns,
                                  struct hg_nat_compact_flow *);

/* What takes the place of the endpoint in a key: the external one for a packet
 * from inside, the inside one for a packet from outside. */
struct hg_nat_compact_end {
    uint32_t addr;
    uint16_t port;
    uint16_t tenant; /* Of the inside. */
};

/* That and hg_nat_compact_update() for a packet after which its flow is in
 * 'state' as it was before.  False, and nothing has happened, also for some
 * flows that those two would find or have to change. */
HG_API bool hg_nat_compact_follow(struct hg_nat_compact *,
                                  const struct hg_nat_compact_key *,
                                  uint64_t now_ns, uint8_t state,
                                  uint64_t deadline_ns,
                                  struct hg_nat_compact_end *);

/* The flow of one packet. */
HG_API bool hg_nat_compact_find(struct hg_nat_compact *,
                                const struct hg_nat_compact_tuple *,
                                bool from_inside, uint64_t now_ns,
                                struct hg_nat_compact_flow *);

/* Adds a flow for the prepared key of a packet from inside and chooses its
 * external endpoint: the address that the tenant's inside address is paired
 * with (RFC 4787 REQ-2), or one of the next where that one is exhausted for
 * this destination, and a port.  OK, NO_PORT, FULL, EXISTS or FOREIGN; only
 * with OK is '*flow' set.  A table that seems full looks for flows that ran
 * out in 1,024 buckets before it refuses.  Where a destination is nearly
 * exhausted, all of its places are looked at now and then, some 20 ns for
 * each group. */
HG_API enum hg_nat_compact_result hg_nat_compact_insert(
    struct hg_nat_compact *, const struct hg_nat_compact_key *, uint8_t state,
    uint64_t now_ns, uint64_t deadline_ns, struct hg_nat_compact_flow *);

/* Adds a flow just as it is given, and sets its 'id' and the deadline that it
 * has; any result.  A port that is no place of its destination (outside of the
 * range, say) is accepted, and not counted among the destination's flows. */
HG_API enum hg_nat_compact_result
hg_nat_compact_install(struct hg_nat_compact *, struct hg_nat_compact_flow *,
                       uint64_t now_ns);

/* Gives a flow that was just looked up or added a state and a deadline, here
 * and in '*flow', which gets the deadline that it really has. */
HG_API void hg_nat_compact_update(struct hg_nat_compact *,
                                  struct hg_nat_compact_flow *, uint8_t state,
                                  uint64_t deadline_ns);

/* Takes out a flow that was just looked up or added. */
HG_API void hg_nat_compact_remove(struct hg_nat_compact *,
                                  const struct hg_nat_compact_flow *);

/* Flows in the table, those included that ran out and were not met since. */
HG_API uint64_t hg_nat_compact_count(const struct hg_nat_compact *);

/* Moves the hand over up to 'n_buckets' buckets of four entries, a few
 * nanoseconds each, and takes out what ran out there, if something may have;
 * UINT64_MAX, and as many as there are, means all flows.  Each insertion moves
 * it over one. */
HG_API void hg_nat_compact_sweep(struct hg_nat_compact *, uint64_t now_ns,
                                 uint64_t n_buckets);

/* Steps through the living flows: "uint64_t at = 0; while
 * (hg_nat_compact_next(t, now, &at, &flow))".  Meanwhile flows may be updated
 * and the one just returned removed; none may be added. */
HG_API bool hg_nat_compact_next(const struct hg_nat_compact *, uint64_t now_ns,
                                uint64_t *at, struct hg_nat_compact_flow *);

struct hg_nat_compact_stats {
    uint64_t flows;     /* As hg_nat_compact_count. */
    uint64_t buckets;   /* Of four flows each. */
    uint64_t elsewhere; /* Flows in the second table. */
    uint64_t crowded;   /* Destinations with a bitmap. */
    uint64_t renewals;  /* Kinds of notes that were made anew, so far. */
    uint64_t bytes;     /* Of memory. */
};

HG_API void hg_nat_compact_get_stats(const struct hg_nat_compact *,
                                     struct hg_nat_compact_stats *);

#ifdef __cplusplus
}
#endif
#endif
