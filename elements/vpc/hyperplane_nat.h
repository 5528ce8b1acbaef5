/* hyperplane_nat.h: what a HyperplaneNAT can be told and what it counts;
 * hyperplane_nat.c is what it does, with the help of
 *
 *     hyperplane_nat_gateways.h   which gateway a packet is for
 *     hyperplane_nat_table.h      where flows are:
 *     hyperplane_nat_service.h    in the flow service,
 *     hyperplane_nat_calendar.h   where they also run out in time,
 *     hyperplane_nat_compact.h    or 16 bytes each
 *     hyperplane_nat_straight.h   the way of most packets
 *     hyperplane_nat_counts.h     packets and bytes, a batch at a time
 *     hyperplane_nat_answers.h    RSTs, "too big", MSS
 *     hyperplane_nat_six.h        IPv6 inside (NAT64)
 *     hyperplane_nat_fragments.h  fragments of UDP
 *     hyperplane_nat_errors.h     ICMP errors
 *     hyperplane_nat_handlers.h   what can be read and written */
#ifndef HYPERPLANE_NAT_H
#define HYPERPLANE_NAT_H 1

#include <headgate/element.h>
#include <headgate/flow.h>
#include <headgate/fragment_table.h>
#include <headgate/nat_flow.h>
#include <headgate/nat_ports.h>

enum { INSIDE, OUTSIDE, FIRST_OWN_INPUT }; /* Outputs: the first two. */

enum {
    ADDRESSES_MAX = 8, /* Of a gateway: 1 primary + 7 secondary. */
    GATEWAYS_MAX = 8191,
    FLOWS_MAX = 1 << 30, /* HG_NAT_COMPACT_FLOWS */
    PEAK_SECONDS = 10,   /* As CloudWatch averages its peaks. */
    TICK_SHIFT = 20,     /* Of the calendar: 1 ms. */
    TICK_BITS = 8,
    N_TICKS = 1 << TICK_BITS, /* A slot has 268 ms. */
    SLOT_BITS = 11,
    N_SLOTS = 1 << SLOT_BITS /* What is later than 9 minutes waits in the
                              * last. */
};

/* CloudWatch's metrics that grow. */
struct nat_metrics {
    uint64_t bytes_in_from_destination;
    uint64_t bytes_in_from_source;
    uint64_t bytes_out_to_destination;
    uint64_t bytes_out_to_source;
    uint64_t connection_attempt_count;
    uint64_t connection_established_count;
    uint64_t error_port_allocation;
    uint64_t idle_timeout_count;
    uint64_t packets_drop_count;
    uint64_t packets_in_from_destination;
    uint64_t packets_in_from_source;
    uint64_t packets_out_to_destination;
    uint64_t packets_out_to_source;
};

/* The most in ten seconds of the packets' clock. */
struct nat_peak {
    uint64_t window_end_ns;
    uint64_t bytes; /* In this window. */
    uint64_t packets;
    uint64_t most_bytes;
    uint64_t most_packets;
};

struct block {
    uint32_t net;
    uint32_t mask;
};

/* A section "gateway NAME { ... }". */
struct gateway_row {
    char *name;
    struct hg_addr_list public;
    struct hg_addr_list private;
    char *vpc;
    struct hg_number_list mark;
    struct hg_prefix_list inside;
    bool input;
};

struct gateway {
    const char *name; /* "" if it is the only one. */
    const struct gateway_row *row;
    struct block *blocks; /* IPv4 prefixes of 'inside'. */
    size_t n_blocks;
    uint32_t vpc;
    bool has_vpc;
    uint16_t number; /* Of the gateway. */
    uint16_t first;  /* Number of its first external address, */
    uint16_t n;      /* and how many it has. */
    uint16_t input;
    uint32_t source; /* Of its own messages to inside. */
    struct nat_metrics metrics;
    struct nat_peak peak;
};

/* An external address. */
struct address {
    uint32_t ip;
    uint32_t vpc; /* In which packets from outside come; 0: public. */
    struct gateway *gateway;
    uint64_t n_flows; /* In the compact table. */
};

/* When flows run out (hyperplane_nat_calendar.h). */
struct nat_calendar {
    uint64_t tick;   /* That it is now, since 1970. */
    uint64_t due_ns; /* No deadline is earlier than this. */
    struct nat_page *slots[N_SLOTS];
    struct nat_page *ticks[N_TICKS]; /* Of this slot. */
    struct nat_page *free;
    struct nat_book *first, *last, *book; /* The latter has pages left. */
    uint64_t n_notes, n_pages;
};

enum nat_table { TABLE_FLOW_SERVICE, TABLE_COMPACT };

struct nat_page;
struct nat_book;
struct nat_compact;

struct hyperplane_nat {
    struct hg_addr_list public;
    struct hg_addr_list private;
    char *vpc;
    struct hg_prefix_list inside;
    HG_ROWS_OF(struct gateway_row) gateway;
    struct hg_element *mapping;
    struct hg_port_range ports;
    uint32_t connections_per_destination;
    uint32_t max_flows;
    unsigned table; /* enum nat_table */
    struct hg_prefix nat64_prefix;
    uint16_t mtu;
    uint16_t inside_mtu;
    uint16_t ipv6_fragment_mtu;
    unsigned mss_clamp;
    uint32_t too_big_rate;
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
    hg_counter too_big_sent;
    hg_counter mss_clamped;
    hg_gauge active_connection_count;
    hg_gauge peak_bytes_per_second;
    hg_gauge peak_packets_per_second;
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
    hg_counter too_big;
    hg_counter source_route;
    hg_counter no_udp_checksum;
    hg_counter untranslatable;

    /* Gateways (hyperplane_nat_gateways.h). */
    struct gateway *gateways;
    uint32_t n_gateways;
    bool one_for_all;        /* There is one, and it asks for nothing. */
    struct gateway **by_vpc; /* In order of VPC, those without one last. */
    struct address *addresses;
    uint32_t n_addresses;
    uint16_t *address_slots; /* Number + 1 by hash of (VPC, address). */
    uint32_t address_mask;
    struct gateway_row only; /* Without sections: what the element says. */

    /* Flows (hyperplane_nat_table.h): in the compact table, or else what
     * the element keeps beside the flow service. */
    struct nat_compact *compact;
    struct hg_nat_ports *ports_used;
    uint64_t n_flows;
    bool has_reversed; /* Some flow got a record of its own. */
    struct hg_flow_place place;
    struct nat_calendar calendar;
    struct hg_timer sweep;

    struct hg_fragment_table *fragments;
    struct hg_timer fragment_timer;
    uint64_t seed;
    uint64_t answer_second; /* In which 'n_answers' were sent. */
    uint32_t n_answers;
    struct nat_peak peak;

    /* While a batch is being handled. */
    struct hg_batch *batch;
    int16_t *verdict;
    struct gateway *at_gateway; /* Of the packet being looked at, or NULL. */
    unsigned at;                /* The packet being looked at. */
    bool has_gone;              /* Some are no longer in the batch, */
    bool has_resized;           /* some have another length. */

    /* Of plain packets from inside that had no flow at first, in their order:
     * with which external address they are paired. */
    struct nat_pair {
        uint16_t at; /* In the batch. */
        uint16_t address;
    } pair[HG_BATCH_MAX];
    unsigned n_pairs, at_pair; /* ... and which may be next. */
};

typedef struct hyperplane_nat hg_self;

/* clang-format off */
static const struct hg_field gateway_fields[] = {
    HG_ROW_OPTION(struct gateway_row, name, .title = true, .required = true,
                  .doc = "its name"),
    HG_ROW_OPTION(struct gateway_row, public, .max_n = ADDRESSES_MAX,
                  .doc = "its public addresses, IPv4; none: it is private"),
    HG_ROW_OPTION(struct gateway_row, private, .max_n = ADDRESSES_MAX,
                  .doc = "its private addresses: of a private gateway what "
                         "flows get, of a public one the first is where its "
                         "own messages come from"),
    HG_ROW_OPTION(struct gateway_row, vpc,
                  .doc = "it is for packets of this VPC, an id that the "
                         "mapping service knows or a number"),
    HG_ROW_OPTION(struct gateway_row, mark,
                  .doc = "it is for packets with one of these marks"),
    HG_ROW_OPTION(struct gateway_row, inside,
                  .doc = "it is for what comes from these prefixes"),
    HG_ROW_OPTION(struct gateway_row, input,
                  .doc = "it has an input of its name; what comes in there "
                         "is from inside and for it")
};

static const struct hg_field nat_fields[] = {
    HG_OPTION(public, .max_n = ADDRESSES_MAX,
              .doc = "the public addresses, IPv4"),
    HG_OPTION(private, .max_n = ADDRESSES_MAX,
              .doc = "the private addresses, IPv4: without public ones flows "
                     "get these; else the first is where messages of the "
                     "gateway's own come from"),
    HG_OPTION(vpc, .doc = "translate only packets of this VPC, an id that "
                          "the mapping service knows or a number"),
    HG_OPTION(inside,
              .doc = "translate only what comes from these prefixes; "
                     "empty: everything"),
    HG_ROWS(gateway, gateway_fields, .max_n = GATEWAYS_MAX,
            .doc = "a gateway, instead of the options above, where there is "
                   "more than one"),
    HG_OPTION(mapping, .cls = "MappingService",
              .doc = "the mapping service that knows the VPCs; not needed "
                     "if there is one"),
    HG_OPTION(ports, .def = "1024-65535", .min = 1,
              .doc = "external ports and ICMP identifiers to give out"),
    HG_OPTION(connections_per_destination, .def = "55000", .min = 1,
              .max = 65535,
              .doc = "flows for each external address, remote endpoint and "
                     "protocol"),
    HG_OPTION(max_flows, .def = "16777216", .min = 1, .max = FLOWS_MAX,
              .doc = "flows altogether; a new one is refused when there "
                     "are so many, and pushes none out"),
    HG_OPTION(table, .def = "flow-service", .choices = "flow-service compact",
              .doc = "where flows are kept; see above"),
    HG_OPTION(nat64_prefix, .def = "64:ff9b::/96",
              .doc = "IPv4 addresses as IPv6 inside sees them (RFC 6052)"),
    HG_OPTION(mtu, .def = "1500",
              .doc = "bytes of an IP packet that the outside carries; 0: "
                     "not checked"),
    HG_OPTION(inside_mtu, .def = "8500",
              .doc = "the same of the inside"),
    HG_OPTION(ipv6_fragment_mtu, .def = "1280", .min = 1280,
              .doc = "what becomes a larger IPv6 packet and may be cut is "
                     "(RFC 7915 4)"),
    HG_OPTION(mss_clamp, .def = "auto", .choices = "off auto",
              .doc = "lower the MSS of TCP to what both MTUs allow"),
    HG_OPTION(too_big_rate, .def = "1000",
              .doc = "answers to packets that are too big in a second, at "
                     "most (RFC 4443 2.4 f)"),
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
    HG_COUNTER(too_big_sent,
               .doc = "ICMP messages that answered packets that were too "
                      "big"),
    HG_COUNTER(mss_clamped, .doc = "TCP SYNs whose MSS was lowered"),
    HG_GAUGE(active_connection_count, .doc = "flows in the table"),
    HG_GAUGE(peak_bytes_per_second,
             .doc = "the most in any ten seconds of the packets' clock, both "
                    "directions, as they come in"),
    HG_GAUGE(peak_packets_per_second, .doc = "the same of packets"),
    HG_GAUGE(fragments_held, .doc = "fragments that wait for their first"),
    HG_REASON(not_ipv4,
              .doc = "neither IPv4 nor IPv6 towards nat64-prefix (with the "
                     "compact table: not IPv4)"),
    HG_REASON(unsupported_protocol, .doc = "not TCP, UDP or ICMP"),
    HG_REASON(truncated, .doc = "without its whole transport header"),
    HG_REASON(tcp_fragment, .doc = "a fragment of TCP"),
    HG_REASON(icmp_fragment, .doc = "a fragment of ICMP"),
    HG_REASON(fragment_out_of_order,
              .doc = "a fragment before its first one, and no room to "
                     "wait"),
    HG_REASON(fragment_timed_out,
              .doc = "a fragment whose first one did not come"),
    HG_REASON(not_inside, .doc = "from inside, but for no gateway"),
    HG_REASON(hairpin, .doc = "from inside to an external address"),
    HG_REASON(no_connection,
              .doc = "TCP from inside that begins no connection and "
                     "belongs to none"),
    HG_REASON(error_port_allocation,
              .doc = "all external addresses are exhausted for the "
                     "destination"),
    HG_REASON(table_full,
              .doc = "max-flows, or no memory; with the compact table also "
                     "more than 4,096 pairs of a VPC and a gateway"),
    HG_REASON(wrong_destination,
              .doc = "from outside to none of the external addresses"),
    HG_REASON(unknown_inbound, .doc = "from outside, of no flow"),
    HG_REASON(ping_to_gateway,
              .doc = "an echo request to an external address"),
    HG_REASON(unsupported_icmp,
              .doc = "ICMP that is neither echo nor an error, or has no "
                     "counterpart in the other IP version"),
    HG_REASON(bad_icmp_checksum, .doc = "an ICMP error with a wrong "
                                        "checksum (RFC 5508 REQ-3)"),
    HG_REASON(bad_quote,
              .doc = "an ICMP error whose quote is cut or broken"),
    HG_REASON(icmp_error_unmapped,
              .doc = "an ICMP error about a packet of no flow"),
    HG_REASON(too_big, .doc = "larger than the MTU of where it goes, and "
                              "not to be cut"),
    HG_REASON(source_route,
              .doc = "between IPv6 and IPv4 with a source route "
                     "(RFC 7915 4.1, 5.1)"),
    HG_REASON(no_udp_checksum,
              .doc = "UDP to IPv6 without a checksum, which cannot be made "
                     "from a fragment (RFC 7915 4.5)"),
    HG_REASON(untranslatable,
              .doc = "between IPv6 and IPv4 with broken headers, or too "
                     "large")
};
/* clang-format on */

/* Adds to a metric of the element and, if it is known, of the gateway. */
#define METRIC(self, gw, member, by)                                          \
    do {                                                                      \
        (self)->member.n += (by);                                             \
        if (gw)                                                               \
            (gw)->metrics.member += (by);                                     \
    } while (0)

/* Counts 'n' packets that leave by 'port'. */
static inline void
count_out(struct hyperplane_nat *self, struct gateway *gw, unsigned port,
          unsigned n, uint64_t bytes)
{
    if (port == OUTSIDE) {
        METRIC(self, gw, packets_out_to_destination, n);
        METRIC(self, gw, bytes_out_to_destination, bytes);
    } else {
        METRIC(self, gw, packets_out_to_source, n);
        METRIC(self, gw, bytes_out_to_source, bytes);
    }
}

/* Sends a packet that the element owns. */
static inline void
send_out(struct hyperplane_nat *self, unsigned port, struct hg_packet *p)
{
    count_out(self, self->at_gateway, port, 1, hg_packet_ip_bytes(p));
    hg_emit(self, port, p);
}

#endif
