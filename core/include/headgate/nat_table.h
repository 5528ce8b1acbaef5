/* headgate/nat_table.h: the flows of a source NAT, found from both sides.
 *
 *     inside endpoint --lookup_out--> flow <--lookup_in-- external endpoint
 *                       (towards one remote endpoint)
 *
 * A mapping is endpoint dependent: its key is protocol, inside endpoint and
 * remote endpoint, and what it is given is an external address and port.  No
 * two flows that live at one time share protocol, external address, external
 * port and remote endpoint; flows to different remote endpoints may share an
 * external port (RFC 7857 3, "port overlapping").  IPv4; addresses and ports
 * in host order; an ICMP query's identifier is the port of both its inside
 * and its external endpoint, and its remote port is 0.
 *
 * Time is a parameter, in nanoseconds.  Each flow has a deadline, and whoever
 * looks at 'now' >= deadline finds nothing there: not the flow, not its port
 * taken, not its place under a limit.  Memory is given back by whoever
 * happens to come by, and by hg_nat_expire().
 *
 * Memory: about 100 bytes a flow, in arrays that double; no pointers and no
 * timer objects.  This header does not promise a layout: a flow is a copy.
 *
 * Thread-safety: a table belongs to one worker. */
#ifndef HEADGATE_NAT_TABLE_H
#define HEADGATE_NAT_TABLE_H 1

#include <stdio.h>

#include <headgate/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HG_NAT_EXTERNAL_MAX 8 /* Addresses of a NAT gateway. */

/* What is known of the two ends.  The TCP states are those of RFC 6146
 * 3.5.2.2, with "inside" for its V6 and "outside" for its V4. */
enum hg_nat_state {
    HG_NAT_QUERY,       /* UDP and ICMP: no state but the deadline. */
    HG_NAT_INIT,        /* A SYN from inside. */
    HG_NAT_ESTABLISHED, /* SYN from both. */
    HG_NAT_FIN_INSIDE,
    HG_NAT_FIN_OUTSIDE,
    HG_NAT_FIN_BOTH,
    HG_NAT_TRANS, /* A RST; back to established if it was not meant. */
    HG_NAT_N_STATES
};

/* A packet as one side sees it: 'addr' and 'port' are the inside endpoint if
 * it comes from inside, the external one if it comes from outside.  It is
 * hashed as bytes, so 'zero' must be. */
struct hg_nat_tuple {
    uint32_t addr;
    uint32_t remote;
    uint16_t port;
    uint16_t remote_port;
    uint8_t protocol;
    uint8_t zero[3];
};

struct hg_nat_flow {
    uint32_t inside;
    uint32_t external;
    uint32_t remote;
    uint16_t inside_port;
    uint16_t external_port;
    uint16_t remote_port;
    uint8_t protocol;
    uint8_t state;        /* enum hg_nat_state */
    uint64_t deadline_ns; /* The flow lives before this time. */
    uint32_t id;          /* Names it until it is removed or expires. */
};

/* What is looked up for a packet of a batch. */
struct hg_nat_key {
    struct hg_nat_tuple tuple;
    uint32_t hash;
    bool from_inside;
};

struct hg_nat_table;

struct hg_nat_config {
    uint32_t external[HG_NAT_EXTERNAL_MAX];
    unsigned n_external;        /* At least 1. */
    struct hg_port_range ports; /* Of external endpoints. */
    uint32_t per_destination;   /* Flows for each external address, remote
                                 * endpoint and protocol. */
    uint32_t max_flows;         /* At most 2^30. */
    uint64_t seed;              /* Keys all hashes and chooses ports. */
    /* Called for each flow that ran out, as it is taken out; may be NULL. */
    void (*expired)(void *aux, const struct hg_nat_flow *);
    void *aux;
};

enum hg_nat_result {
    HG_NAT_OK,
    HG_NAT_NO_PORT, /* Every address is exhausted for this destination. */
    HG_NAT_FULL,    /* max_flows, or no memory for more. */
    HG_NAT_EXISTS,  /* The inside tuple has a flow already. */
    HG_NAT_TAKEN,   /* The external tuple belongs to another flow. */
    HG_NAT_FOREIGN  /* The external address is none of the table's. */
};

/* NULL without memory.  hg_nat_table_destroy(NULL) does nothing. */
HG_API struct hg_nat_table *hg_nat_table_create(const struct hg_nat_config *);
HG_API void hg_nat_table_destroy(struct hg_nat_table *);

/* Flows in the table, those included that ran out and were not seen since. */
HG_API uint32_t hg_nat_count(const struct hg_nat_table *);

/* Finds the flow of a packet from inside, or of one from outside; false if
 * none lives at 'now_ns'. */
HG_API bool hg_nat_lookup_out(struct hg_nat_table *,
                              const struct hg_nat_tuple *inside,
                              uint64_t now_ns, struct hg_nat_flow *);
HG_API bool hg_nat_lookup_in(struct hg_nat_table *,
                             const struct hg_nat_tuple *external,
                             uint64_t now_ns, struct hg_nat_flow *);

/* The same for batches: hg_nat_prepare() sets 'hash' of all 'n' keys (those
 * of protocol 0 are left out) and begins their cache misses together; then
 * hg_nat_lookup() finds them one by one, whatever has been added or removed
 * meanwhile. */
HG_API void hg_nat_prepare(const struct hg_nat_table *, struct hg_nat_key *,
                           unsigned n);
HG_API bool hg_nat_lookup(struct hg_nat_table *, const struct hg_nat_key *,
                          uint64_t now_ns, struct hg_nat_flow *);

/* Adds a flow for the inside tuple, which must have none, and chooses its
 * external endpoint: the address that the inside address is paired with
 * (RFC 4787 REQ-2), or the next one where that is exhausted for this remote
 * endpoint; a port chosen at random (RFC 6056 3.3.1) among those free. */
HG_API enum hg_nat_result hg_nat_insert(struct hg_nat_table *,
                                        const struct hg_nat_tuple *inside,
                                        uint8_t state, uint64_t now_ns,
                                        uint64_t deadline_ns,
                                        struct hg_nat_flow *);

/* Adds a flow just as it is given ('id' is set).  Its external address must
 * be one of the table's; its port may lie outside of the range. */
HG_API enum hg_nat_result
hg_nat_install(struct hg_nat_table *, struct hg_nat_flow *, uint64_t now_ns);

/* Gives a living flow a state and a deadline. */
HG_API void hg_nat_update(struct hg_nat_table *, uint32_t id, uint8_t state,
                          uint64_t deadline_ns);

HG_API void hg_nat_remove(struct hg_nat_table *, uint32_t id);

/* Takes out all flows that ran out by 'now_ns'.  Costs time in proportion to
 * those flows and to those refreshed since they were last met here, so each
 * flow is met about once in a timeout. */
HG_API void hg_nat_expire(struct hg_nat_table *, uint64_t now_ns);

/* Steps through the living flows: "uint32_t at = 0; while (hg_nat_next(t,
 * now, &at, &flow))".  The flow just returned may be removed; none may be
 * added. */
HG_API bool hg_nat_next(const struct hg_nat_table *, uint64_t now_ns,
                        uint32_t *at, struct hg_nat_flow *);

/* The state of a TCP flow after a segment with these flags (HG_TCP_*) passed
 * through it from this side (RFC 6146 3.5.2.2).  Beyond the RFC: a SYN from
 * inside begins anew where both ends had finished or one had reset, so that
 * a client may use its port again. */
HG_API uint8_t hg_nat_tcp_next(uint8_t state, bool from_inside, uint8_t flags);

/* "established" and so on, as RFC 6146 names them, in lower case. */
HG_API const char *hg_nat_state_name(uint8_t state);

/* ---- Flows as text ---------------------------------------------------- */

/* Writes a flow as one line of JSON:
 *     {"proto":"tcp","inside":{"addr":"10.0.0.5","port":40000},
 *      "external":{...},"remote":{...},"state":"established",
 *      "expires":1700000350000000000}
 * 'expires' is in Unix nanoseconds. */
HG_API bool hg_nat_flow_print(const struct hg_nat_flow *, FILE *out);

/* Reads the flow at '*text', written as above, and moves '*text' behind it.
 * "state" may be left out ("established" for TCP, "query" for the others),
 * so may "expires" (deadline_ns is 0 then) and the remote port of ICMP. */
HG_API bool hg_nat_flow_parse(const char **text, struct hg_nat_flow *,
                              struct hg_error *);

#define HG_NAT_FILTER_ENDS 4

/* Words that all must fit: a protocol, a prefix, an address with or without
 * port ("10.0.0.5:40000"), a port alone (":443"); each of the latter fits if
 * it fits any of the three endpoints.  "all" or nothing fits every flow. */
struct hg_nat_filter {
    uint8_t protocol; /* 0: any. */
    unsigned n_ends;
    struct {
        struct hg_prefix prefix; /* family 0: any address. */
        bool has_port;
        uint16_t port;
    } end[HG_NAT_FILTER_ENDS];
};

HG_API bool hg_nat_filter_parse(const char *text, struct hg_nat_filter *,
                                struct hg_error *);
HG_API bool hg_nat_filter_match(const struct hg_nat_filter *,
                                const struct hg_nat_flow *);

/* Prints, counts or removes the living flows that fit a filter.  Removing
 * wants one that is not empty. */
HG_API bool hg_nat_print(const struct hg_nat_table *, uint64_t now_ns,
                         const char *filter, FILE *out, struct hg_error *);
HG_API bool hg_nat_count_matching(const struct hg_nat_table *, uint64_t now_ns,
                                  const char *filter, uint32_t *n,
                                  struct hg_error *);
HG_API bool hg_nat_remove_matching(struct hg_nat_table *, uint64_t now_ns,
                                   const char *filter, struct hg_error *);

/* How long a flow without "expires" is to live. */
struct hg_nat_lives {
    uint64_t tcp_ns;
    uint64_t udp_ns;
    uint64_t icmp_ns;
};

/* Installs the flows in 'text', one JSON object after the other: all of them,
 * or none if one cannot be read or clashes. */
HG_API bool hg_nat_import(struct hg_nat_table *, uint64_t now_ns,
                          const char *text, const struct hg_nat_lives *,
                          struct hg_error *);

#ifdef __cplusplus
}
#endif
#endif
