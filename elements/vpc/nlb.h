/* nlb.h: what NLB is made of: its options, its counters, and what it keeps
 * for each flow.  nlb.c has what it does, nlb_probe.h its health checks. */
#ifndef NLB_H
#define NLB_H 1

#include <headgate/flow.h>
#include <headgate/inventory.h>
#include <headgate/target_group.h>

enum { IN_CLIENTS, IN_TARGETS };
enum { OUT_CLIENTS, OUT_TARGETS, OUT_OTHER };

enum { PROTOCOL_TCP, PROTOCOL_UDP, PROTOCOL_TCP_UDP };
enum { TYPE_INSTANCE, TYPE_IP };
enum { BY_DEFAULT, ALWAYS, NEVER };
enum { STICKINESS_OFF, STICKINESS_SOURCE_IP };
enum { CHECK_TCP, CHECK_HTTP, CHECK_OFF };

enum { LISTENERS_MAX = 50, FORWARDS_MAX = 8, ADDRESSES_MAX = 32 };

/* ---- As configured ---------------------------------------------------- */

struct node_row {
    char *zone;
    struct hg_addr_list address;
    char *endpoint;
};

struct listener_row {
    uint16_t port;
    uint8_t protocol;
    struct hg_string_list target_group;
    struct hg_number_list weight;
    struct hg_duration tcp_idle_timeout;
};

struct target_row {
    char *id;
    struct hg_addr address;
    uint16_t port;
    uint32_t weight;
    char *zone;
};

struct group_row {
    char *name;
    HG_ROWS_OF(struct target_row) target;
    uint8_t target_type;
    uint8_t preserve_client_ip;
    uint8_t cross_zone;
    uint8_t stickiness;
    bool proxy_protocol_v2;
    struct hg_duration deregistration_delay;
    uint8_t deregistration_termination;
    bool unhealthy_termination;
    struct hg_duration unhealthy_drain;
    uint32_t minimum_healthy_count;
    uint8_t minimum_healthy_percentage;
    uint8_t health_check;
    uint16_t health_check_port;
    char *health_check_path;
    struct hg_port_range_list health_check_matcher;
    struct hg_duration health_check_interval;
    struct hg_duration health_check_timeout;
    uint8_t healthy_threshold;
    uint8_t unhealthy_threshold;
};

/* ---- While it runs ---------------------------------------------------- */

struct probe;
struct event_base;

struct group {
    const struct group_row *row;
    struct hg_target_group *targets;
    struct hg_target *first; /* Of them; the others follow. */
    struct probe *probes;    /* By target; NULL where nothing is probed. */
    bool takes_udp;          /* A listener with UDP forwards to it. */
};

struct listener {
    const struct listener_row *row;
    unsigned n_groups;
    uint16_t group[FORWARDS_MAX];
    uint32_t weight[FORWARDS_MAX];
    uint32_t total_weight;
};

/* An address of the load balancer's own. */
struct address {
    struct hg_addr addr;
    uint32_t ip4; /* The same as a number, if it is IPv4. */
    uint16_t node;
};

enum tcp_state { TCP_SYN_SENT, TCP_OPEN, TCP_CLOSED };

/* What is kept for each flow: with the flow's own part, a cache line. */
struct nlb_flow {
    uint16_t group;
    uint16_t target;
    uint16_t nat_port; /* Of the address that the client uses; 0: the client's
                        * own address and port are preserved. */
    uint8_t listener;
    uint8_t address; /* Which of ours the client uses. */
    bool is_tcp : 1;
    unsigned char tcp_state : 2;
    bool is_active : 1;    /* Counted as such. */
    bool client_fin : 1;   /* That side has sent its FIN. */
    bool target_fin : 1;   /* */
    bool header_sent : 1;  /* The PROXY header, */
    bool header_acked : 1; /* and the target has it. */
    bool by_first_key : 1; /* Its first packet was as the record's says. */
    uint32_t isn;          /* The client's first sequence number. */
    uint32_t client_ack;   /* What this side expects next, as it says. */
    uint32_t target_ack;
};

/* And apart from that for each TCP flow: where the frame that began it came
 * from, and went to; and for each that is not by the first key: who its client
 * is to this element. */
struct nlb_client {
    struct hg_mac mac;
    struct hg_mac ours;
    struct hg_addr addr;
    uint16_t port;
    uint32_t vpc;
};

struct nlb {
    char *vpc;
    struct hg_element *mapping;
    HG_ROWS_OF(struct node_row) node;
    HG_ROWS_OF(struct listener_row) listener;
    HG_ROWS_OF(struct group_row) target_group;
    char *file;
    uint64_t max_flows;
    bool cross_zone;
    uint32_t maglev_table_size;
    uint64_t seed;
    uint32_t connections_per_target;
    struct hg_duration answer_timeout;
    struct hg_duration closed_timeout;

    hg_gauge active_flow_count;
    hg_gauge active_flow_count_tcp;
    hg_gauge active_flow_count_udp;
    hg_gauge healthy_host_count;
    hg_gauge unhealthy_host_count;
    hg_gauge peak_bytes_per_second;
    hg_gauge peak_packets_per_second;
    hg_counter new_flow_count;
    hg_counter new_flow_count_tcp;
    hg_counter new_flow_count_udp;
    hg_counter processed_bytes;
    hg_counter processed_bytes_tcp;
    hg_counter processed_bytes_udp;
    hg_counter processed_packets;
    hg_counter unhealthy_routing_flow_count;
    hg_counter rejected_flow_count;
    hg_counter rejected_flow_count_tcp;
    hg_counter tcp_client_reset_count;
    hg_counter tcp_elb_reset_count;
    hg_counter tcp_target_reset_count;
    hg_counter no_listener;
    hg_counter no_target;
    hg_counter no_flow;
    hg_counter hairpin;
    hg_counter socket_reuse;
    hg_counter port_allocation_error_count;
    hg_counter flow_table_full;
    hg_counter unsupported_icmp;
    hg_counter fragment;
    hg_counter truncated;
    hg_counter syn_with_data;

    struct hg_flow_place place;
    bool has_own;        /* Some flow got a record of its own. */
    uint32_t vpc_number; /* 0: any. */
    struct group *groups;
    struct listener listeners[LISTENERS_MAX];
    uint8_t *listener_at; /* By port: number of the listener plus one. */
    struct address addresses[ADDRESSES_MAX];
    unsigned n_addresses;
    uint64_t second_ns; /* When the packets' second began, and the counters of
                         * what was processed before. */
    uint64_t bytes_before;
    uint64_t packets_before;
    struct hg_timer ending; /* For targets whose draining ends. */
    struct hg_timer probing;
    struct event_base *base; /* Of the probes; NULL if there are none. */
};

/* ---- Options ---------------------------------------------------------- */

/* clang-format off */
static const struct hg_field node_fields[] = {
    HG_ROW_OPTION(struct node_row, zone, .title = true, .required = true,
                  .doc = "availability zone that the node stands in"),
    HG_ROW_OPTION(struct node_row, address, .required = true, .min_n = 1,
                  .doc = "its addresses, of either family"),
    HG_ROW_OPTION(struct node_row, endpoint,
                  .doc = "what comes to it came through this VPC endpoint "
                         "(vpce-...): its clients are not preserved, and the "
                         "PROXY header names it"),
};

static const struct hg_field listener_fields[] = {
    HG_ROW_OPTION(struct listener_row, port, .title = true, .required = true,
                  .min = 1, .max = 65535, .doc = "port that it listens on"),
    HG_ROW_OPTION(struct listener_row, protocol, .def = "tcp",
                  .choices = "tcp udp tcp-udp",
                  .doc = "what it listens to"),
    HG_ROW_OPTION(struct listener_row, target_group, .required = true,
                  .min_n = 1, .max_n = FORWARDS_MAX,
                  .doc = "target groups that its flows go to"),
    HG_ROW_OPTION(struct listener_row, weight, .max = 999,
                  .max_n = FORWARDS_MAX,
                  .doc = "shares of these groups; none: equal ones"),
    HG_ROW_OPTION(struct listener_row, tcp_idle_timeout, .def = "350s",
                  .min = 60 * HG_SEC, .max = 6000 * HG_SEC,
                  .doc = "how long an idle TCP flow is kept"),
};

static const struct hg_field target_fields[] = {
    HG_ROW_OPTION(struct target_row, id, .title = true, .required = true,
                  .doc = "its name"),
    HG_ROW_OPTION(struct target_row, address, .required = true,
                  .doc = "its address"),
    HG_ROW_OPTION(struct target_row, port, .required = true, .min = 1,
                  .max = 65535, .doc = "its port"),
    HG_ROW_OPTION(struct target_row, weight, .def = "1", .max = 999,
                  .doc = "its share of the group's flows; 0: none"),
    HG_ROW_OPTION(struct target_row, zone,
                  .doc = "the zone that it stands in; not given: all of "
                         "them"),
};

static const struct hg_field group_fields[] = {
    HG_ROW_OPTION(struct group_row, name, .title = true, .required = true,
                  .doc = "its name"),
    HG_ROW_ROWS(struct group_row, target, target_fields, .max_n = 1000,
                .doc = "a target"),
    HG_ROW_OPTION(struct group_row, target_type, .def = "instance",
                  .choices = "instance ip",
                  .doc = "how targets are meant: what is the default of "
                         "preserve-client-ip depends on it"),
    HG_ROW_OPTION(struct group_row, preserve_client_ip, .def = "default",
                  .choices = "default true false",
                  .doc = "whether targets see the client's address; default: "
                         "yes, but for type ip behind TCP listeners"),
    HG_ROW_OPTION(struct group_row, cross_zone,
                  .def = "use-load-balancer-configuration",
                  .choices = "use-load-balancer-configuration true false",
                  .doc = "whether nodes use the targets of other zones"),
    HG_ROW_OPTION(struct group_row, stickiness, .def = "off",
                  .choices = "off source-ip",
                  .doc = "source-ip: all flows of a client go to one target"),
    HG_ROW_OPTION(struct group_row, proxy_protocol_v2, .def = "false",
                  .doc = "whether TCP targets are sent a PROXY header"),
    HG_ROW_OPTION(struct group_row, deregistration_delay, .def = "300s",
                  .max = 3600 * HG_SEC,
                  .doc = "how long a deregistered target is draining"),
    HG_ROW_OPTION(struct group_row, deregistration_termination,
                  .def = "default", .choices = "default true false",
                  .doc = "whether its flows end with that; default: if a "
                         "listener with UDP forwards to the group"),
    HG_ROW_OPTION(struct group_row, unhealthy_termination, .def = "true",
                  .doc = "whether flows of a target end when it becomes "
                         "unhealthy, and others are not"),
    HG_ROW_OPTION(struct group_row, unhealthy_drain, .def = "0s",
                  .max = 360000 * HG_SEC,
                  .doc = "how much later they do"),
    HG_ROW_OPTION(struct group_row, minimum_healthy_count, .def = "1",
                  .min = 1, .max = 1000,
                  .doc = "with fewer healthy targets flows go to all"),
    HG_ROW_OPTION(struct group_row, minimum_healthy_percentage, .def = "0",
                  .max = 100,
                  .doc = "the same, as a part of all targets; 0: off"),
    HG_ROW_OPTION(struct group_row, health_check, .def = "tcp",
                  .choices = "tcp http off",
                  .doc = "how targets are checked in live graphs"),
    HG_ROW_OPTION(struct group_row, health_check_port, .def = "0",
                  .doc = "port to check; 0: the target's own"),
    HG_ROW_OPTION(struct group_row, health_check_path, .def = "/",
                  .doc = "http: what is asked for"),
    HG_ROW_OPTION(struct group_row, health_check_matcher, .def = "200-399",
                  .min_n = 1, .doc = "http: status codes of the healthy"),
    HG_ROW_OPTION(struct group_row, health_check_interval, .def = "30s",
                  .min = 5 * HG_SEC, .max = 300 * HG_SEC,
                  .doc = "from one check of a target to the next"),
    HG_ROW_OPTION(struct group_row, health_check_timeout, .def = "0s",
                  .max = 120 * HG_SEC,
                  .doc = "when a check has failed, from 2s; 0: tcp 10s, "
                         "http 6s"),
    HG_ROW_OPTION(struct group_row, healthy_threshold, .def = "5", .min = 2,
                  .max = 10, .doc = "checks in a row that make healthy"),
    HG_ROW_OPTION(struct group_row, unhealthy_threshold, .def = "2",
                  .min = 2, .max = 10,
                  .doc = "failed ones in a row that make unhealthy"),
};

typedef struct nlb hg_self;
static const struct hg_field nlb_fields[] = {
    HG_ROWS(node, node_fields, .required = true, .min_n = 1,
            .max_n = HG_ZONES_MAX,
            .doc = "the load balancer's presence in a zone"),
    HG_ROWS(listener, listener_fields, .max_n = LISTENERS_MAX,
            .doc = "a port, and where its flows go"),
    HG_ROWS(target_group, group_fields, .doc = "targets that are alike"),
    HG_OPTION(cross_zone, .def = "false",
              .doc = "whether nodes use the targets of other zones, where "
                     "groups do not say otherwise"),
    HG_OPTION(file, .doc = "more targets, from a CSV or JSON file"),
    HG_OPTION(max_flows, .def = "1048576", .min = 1, .max = UINT32_MAX / 4,
              .doc = "flows in all; connections not yet answered give way "
                     "to new ones"),
    HG_OPTION(vpc, .doc = "id of the VPC that it stands in; packets of others "
                          "are not for it"),
    HG_OPTION(mapping, .cls = "MappingService",
              .doc = "who knows the VPC's number"),
    HG_OPTION(maglev_table_size, .def = "65537", .min = 2, .max = 5000011,
              .doc = "slots of the tables that choose targets, a prime more "
                     "than 100 times their number"),
    HG_OPTION(seed, .doc = "load balancers that are to agree have the same"),
    HG_OPTION(connections_per_target, .def = "55000", .min = 1,
              .max = 4294967295,
              .doc = "flows of one target, or of one target and one node "
                     "where the client is not preserved"),
    HG_OPTION(answer_timeout, .def = "30s", .min = HG_SEC,
              .doc = "how long a target may take to answer a SYN"),
    HG_OPTION(closed_timeout, .def = "10s", .min = HG_SEC,
              .doc = "how long a TCP flow is kept after its end"),
    HG_GAUGE(active_flow_count, .doc = "flows that are open"),
    HG_GAUGE(active_flow_count_tcp, .doc = "... of TCP"),
    HG_GAUGE(active_flow_count_udp, .doc = "... of UDP"),
    HG_GAUGE(healthy_host_count, .doc = "targets that are healthy"),
    HG_GAUGE(unhealthy_host_count, .doc = "registered ones that are not"),
    HG_GAUGE(peak_bytes_per_second, .doc = "the most in any second"),
    HG_GAUGE(peak_packets_per_second, .doc = "the most in any second"),
    HG_COUNTER(new_flow_count, .doc = "flows that began"),
    HG_COUNTER(new_flow_count_tcp, .doc = "... of TCP"),
    HG_COUNTER(new_flow_count_udp, .doc = "... of UDP"),
    HG_COUNTER(processed_bytes, .doc = "bytes of IP passed on, both ways"),
    HG_COUNTER(processed_bytes_tcp, .doc = "... of TCP"),
    HG_COUNTER(processed_bytes_udp, .doc = "... of UDP"),
    HG_COUNTER(processed_packets, .doc = "packets passed on, both ways"),
    HG_COUNTER(unhealthy_routing_flow_count,
               .doc = "new flows for which too few targets were healthy"),
    HG_COUNTER(rejected_flow_count, .doc = "flows for which there was no "
                                           "target"),
    HG_COUNTER(rejected_flow_count_tcp, .doc = "... of TCP"),
    HG_COUNTER(tcp_client_reset_count, .doc = "RSTs of clients"),
    HG_COUNTER(tcp_elb_reset_count, .doc = "RSTs made here"),
    HG_COUNTER(tcp_target_reset_count, .doc = "RSTs of targets"),
    HG_REASON(no_listener, .doc = "no listener for this protocol and port"),
    HG_REASON(no_target, .doc = "no target that could take the flow"),
    HG_REASON(no_flow, .doc = "of no flow, and not the beginning of one"),
    HG_REASON(hairpin, .doc = "client and target are the same, and the "
                              "client is preserved"),
    HG_REASON(socket_reuse, .doc = "the target has a flow with this client's "
                                   "address and port through another node"),
    HG_REASON(port_allocation_error_count,
              .doc = "no port left between a node and a target, or the "
                     "target has too many flows"),
    HG_REASON(flow_table_full, .doc = "no room for another flow"),
    HG_REASON(unsupported_icmp, .doc = "ICMP other than unreachable (3), or "
                                       "about no flow"),
    HG_REASON(fragment, .doc = "a fragment"),
    HG_REASON(truncated, .doc = "without a whole TCP or UDP header"),
    HG_REASON(syn_with_data, .doc = "a SYN with data, where a PROXY header "
                                    "has to be first")
};
/* clang-format on */

#endif
