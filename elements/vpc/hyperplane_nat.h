/* hyperplane_nat.h: what a HyperplaneNAT can be told and what it counts;
 * hyperplane_nat.c is what it does. */
#ifndef HYPERPLANE_NAT_H
#define HYPERPLANE_NAT_H 1

#include <headgate/element.h>
#include <headgate/fragment_table.h>
#include <headgate/nat_table.h>

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
    struct hg_nat_key *key; /* Of each packet that may have a flow. */
    unsigned at;            /* The packet being looked at. */
    bool has_gone;
};

typedef struct hyperplane_nat hg_self;

/* clang-format off */
static const struct hg_field nat_fields[] = {
    HG_OPTION(public, .required = true, .min_n = 1,
              .max_n = HG_NAT_EXTERNAL_MAX,
              .doc = "the public addresses, IPv4"),
    HG_OPTION(ports, .def = "1024-65535", .min = 1,
              .doc = "external ports and ICMP identifiers to give out"),
    HG_OPTION(connections_per_destination, .def = "55000", .min = 1,
              .max = 65535,
              .doc = "flows for each public address, remote endpoint and "
                     "protocol"),
    HG_OPTION(max_flows, .def = "16777216", .min = 1, .max = 1 << 30,
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
              .doc = "an ICMP error about a packet of no flow")
};
/* clang-format on */

#endif
