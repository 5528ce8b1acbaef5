/* route_table.h: what a RouteTable can be told and what it keeps;
 * route_table.c is what it does. */
#ifndef ROUTE_TABLE_H
#define ROUTE_TABLE_H 1

#include <headgate/inventory.h>
#include <headgate/route_text.h>
#include <headgate/routes.h>
#include <headgate/table_file.h>

struct route_row {
    char *destination;
    struct hg_string_list target;
    uint8_t type;
    char *origin;
    uint8_t source;
    uint32_t as_path;
    struct hg_number_list med; /* One, if given. */
};

struct table_row {
    char *name;
    bool main;
    char *vpc;
    struct hg_prefix_list cidr;
    struct hg_string_list subnets;
    struct hg_string_list gateways;
    struct hg_string_list attachments;
    bool ecmp;
    uint8_t order;
    char *file;
    HG_ROWS_OF(struct route_row) route;
};

struct list_row {
    char *name;
    struct hg_prefix_list prefixes;
    char *file;
    char *service;
    char *region;
};

struct target_row {
    char *name;
    uint8_t kind;
};

/* What a target is, which decides what may point to it (AWS: "Route tables",
 * "Middlebox routing"). */
#define KINDS                                                                 \
    "any internet-gateway egress-only-internet-gateway nat-gateway "          \
    "network-interface gwlb-endpoint gateway-endpoint peering "               \
    "transit-gateway virtual-private-gateway local-gateway carrier-gateway"
enum kind {
    KIND_ANY,
    KIND_INTERNET_GATEWAY,
    KIND_EGRESS_ONLY,
    KIND_NAT_GATEWAY,
    KIND_INTERFACE,
    KIND_GWLB_ENDPOINT,
    KIND_GATEWAY_ENDPOINT,
    KIND_PEERING,
    KIND_TRANSIT_GATEWAY,
    KIND_VGW
};

enum { LOCAL, NO_PACKET = 0xffff }; /* The output; no place in a batch. */

/* By port. */
struct output {
    const char *name;
    uint8_t kind;
    bool up;
};

/* By port; input 0 looks at the subnet, the others are gateways' and
 * attachments'. */
struct input {
    const char *name;
    bool edge;        /* Of a gateway: without a table, local routes only. */
    uint32_t *by_vpc; /* Table number + 1, by VPC number; 0: none. */
};

/* Its place among the tables is its number in 'routes'. */
struct table {
    const struct table_row *row; /* NULL: made for a VPC without one. */
    const char *name;
    uint32_t vpc; /* Number, or 0. */
    const struct hg_lpm *lpm;
};

/* By VPC number: tables + 1, or 0. */
struct vpc_tables {
    uint32_t main;
    uint32_t local; /* The one with nothing but local routes. */
};

struct route_table {
    HG_ROWS_OF(struct route_row) route;
    HG_ROWS_OF(struct table_row) table;
    HG_ROWS_OF(struct list_row) prefix_list;
    HG_ROWS_OF(struct target_row) target;
    struct hg_prefix_list cidr;
    struct hg_prefix_list forbidden_destinations;
    bool ecmp;
    uint8_t order;
    char *file;
    struct hg_element *mapping;

    hg_gauge routes;
    hg_gauge tables;
    hg_gauge memory;
    hg_counter updates;
    hg_counter no_table;
    hg_counter no_route;
    hg_counter blackhole;
    hg_counter forbidden;
    hg_counter not_ip;

    /* Whose tables this instance looks into: the first instance's, which are
     * built once and lent to all others (hg_kin), or its own. */
    struct route_table *base;
    uint16_t *first; /* By table: of the batch's packets, or NO_PACKET. */
    uint32_t n_first;
    bool remembers; /* Flows remember routes. */

    /* All below is that of 'base', but for ports, which each declares. */
    struct hg_routes *state;
    struct table_row top; /* The table that the element itself describes. */
    struct table *all;
    uint32_t n_tables;
    uint32_t *by_name; /* Tables with a row, in order of name. */
    uint32_t n_by_name;
    struct output *outputs;
    unsigned n_outputs;
    struct input *inputs;
    unsigned n_inputs;
    char **origins;
    uint32_t n_origins;
    uint32_t default_table; /* + 1, or 0. */

    const struct hg_inventory *inventory;
    uint64_t generation; /* Of the inventory's networks, as known here. */
    struct vpc_tables *vpcs;
    uint32_t n_vpcs;
    uint32_t *by_subnet; /* Tables + 1 by subnet number; 0: none. */
    uint32_t n_subnets;
};

static const struct hg_field route_fields[] = {
    HG_ROW_OPTION(struct route_row, destination, .title = true,
                  .required = true,
                  .doc = "a prefix or the name of a prefix list"),
    HG_ROW_OPTION(struct route_row, target, .required = true, .min_n = 1,
                  .doc = "output; local; blackhole; several share the flows"),
    HG_ROW_OPTION(struct route_row, type, .def = "static",
                  .choices = "static propagated",
                  .doc = "static wins over propagated"),
    HG_ROW_OPTION(struct route_row, origin,
                  .doc = "propagated: the gateway that says so"),
    HG_ROW_OPTION(struct route_row, source, .def = "other",
                  .choices = HG_ROUTE_SOURCES,
                  .doc = "propagated: how the gateway knows"),
    HG_ROW_OPTION(struct route_row, as_path, .max = 0xffff,
                  .doc = "propagated: length of the AS path"),
    HG_ROW_OPTION(struct route_row, med, .max = UINT32_MAX, .max_n = 1,
                  .doc = "propagated: the MED; not given: 100 for VPN and "
                         "Connect, else 0"),
};

static const struct hg_field table_fields[] = {
    HG_ROW_OPTION(struct table_row, name, .title = true, .required = true,
                  .doc = "name of the table"),
    HG_ROW_OPTION(struct table_row, main,
                  .doc = "for all that has no table of its own in its VPC"),
    HG_ROW_OPTION(struct table_row, vpc,
                  .doc = "VPC that it belongs to: id, or number where there "
                         "is no mapping service; not given: the only one"),
    HG_ROW_OPTION(struct table_row, cidr,
                  .doc = "local prefixes; not given: the VPC's"),
    HG_ROW_OPTION(struct table_row, subnets,
                  .doc = "ids of the subnets that are associated"),
    HG_ROW_OPTION(struct table_row, gateways,
                  .doc = "inputs of gateways that are associated (ingress "
                         "routing)"),
    HG_ROW_OPTION(struct table_row, attachments,
                  .doc = "inputs of attachments that are associated, as in a "
                         "transit gateway"),
    HG_ROW_OPTION(struct table_row, ecmp,
                  .doc = "equal propagated routes share the flows"),
    HG_ROW_OPTION(struct table_row, order, .choices = HG_ROUTE_ORDERS,
                  .doc = "whose order decides between propagated routes"),
    HG_ROW_OPTION(struct table_row, file,
                  .doc = "further routes, CSV or .json: columns destination, "
                         "target, type, origin, source, as-path, med"),
    HG_ROW_ROWS(struct table_row, route, route_fields,
                .doc = "a route of this table"),
};

static const struct hg_field list_fields[] = {
    HG_ROW_OPTION(struct list_row, name, .title = true, .required = true,
                  .doc = "name of the list"),
    HG_ROW_OPTION(struct list_row, prefixes, .doc = "its prefixes"),
    HG_ROW_OPTION(struct list_row, file,
                  .doc = "file with further ones: one a line, or an AWS "
                         "ip-ranges.json"),
    HG_ROW_OPTION(struct list_row, service,
                  .doc = "of an ip-ranges.json: this service only, e.g. S3"),
    HG_ROW_OPTION(struct list_row, region,
                  .doc = "of an ip-ranges.json: this region only"),
};

static const struct hg_field target_fields[] = {
    HG_ROW_OPTION(struct target_row, name, .title = true, .required = true,
                  .doc = "name of the output"),
    HG_ROW_OPTION(struct target_row, kind, .choices = KINDS,
                  .doc = "what it leads to: what routes may point there"),
};

#endif
