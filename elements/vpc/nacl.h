/* nacl.h: what NACL (nacl.c) can be told and what it is made of. */
#ifndef NACL_H
#define NACL_H 1

#include <headgate/acl.h>
#include <headgate/flow_record.h>
#include <headgate/inventory.h>

enum fragments { FRAGMENTS_RULES, FRAGMENTS_ALLOW, FRAGMENTS_DENY };

enum { OUT_DENY = 2 };

/* Flows remember their place in lists of so many rules and more: shorter ones
 * are searched before what is remembered has been fetched. */
enum { REMEMBERED_FROM = 4096 };

/* As given in a graph file. */
struct rule_row {
    uint16_t number;
    char *action;
    char *protocol;
    char *cidr;
    char *ports;
    char *icmp_type;
    char *icmp_code;
};

struct rule_rows {
    size_t n;
    struct rule_row *row;
};

struct acl_row {
    char *name;
    bool is_default;
    struct hg_string_list subnets;
    HG_ROWS_OF(struct rule_row) inbound;
    HG_ROWS_OF(struct rule_row) outbound;
};

/* A subnet that was given an ACL here. */
struct association {
    char *subnet;
    uint32_t acl;
};

/* The first word of an address at the other end for which one of the rules
 * that are not of a list may hold. */
struct far {
    struct hg_rule_cover inside;   /* Of the same subnet. */
    struct hg_rule_cover resolver; /* Of the VPC. */
};

/* What is known of a subnet, by its number. */
struct guard {
    const struct hg_subnet *subnet; /* As it is now; NULL: not known. */
    uint32_t acl;
    struct far far[2]; /* IPv4, IPv6. */
    unsigned n_reserved;
    struct hg_rule_key reserved[5]; /* Router and resolvers, as addresses. */
};

struct nacl {
    HG_ROWS_OF(struct rule_row) inbound;
    HG_ROWS_OF(struct rule_row) outbound;
    HG_ROWS_OF(struct acl_row) acl;
    char *file;
    char *classbench;
    struct hg_element *mapping;
    struct hg_prefix_list cidr;
    struct hg_prefix_list unfiltered;
    bool filter_dhcp;
    uint8_t fragments;
    uint32_t quota;

    hg_counter allowed;
    hg_counter denied_inbound;
    hg_counter denied_outbound;
    hg_counter same_subnet;
    hg_counter not_filtered;
    hg_counter denied;
    hg_counter unknown_acl;

    struct hg_acl_set set;
    uint32_t default_acl;
    struct association *associations;
    size_t n_associations;
    struct guard *guards;
    size_t n_guards;
    struct guard nobody;       /* Of packets of no interface that is known. */
    uint8_t all[HG_RULE_KEYS]; /* Numbers of keys. */
    const struct hg_inventory *inventory;
    uint64_t generation;
    bool remembers;  /* Some list is long. */
    int metadata;    /* Offset of the deciding rule's number, */
    int denied_side; /* ... and of where it was (flow_record.h). */
};

static const struct hg_field rule_fields[] = {
    HG_ROW_OPTION(struct rule_row, number, .title = true, .required = true,
                  .min = 1, .max = HG_ACL_NUMBER_MAX,
                  .doc = "lower numbers are asked first"),
    HG_ROW_OPTION(struct rule_row, action, .required = true,
                  .doc = "allow or deny"),
    HG_ROW_OPTION(struct rule_row, protocol, .def = "all",
                  .doc = "tcp, udp, icmp, icmpv6, all, or a number"),
    HG_ROW_OPTION(struct rule_row, cidr, .required = true,
                  .doc = "the other side: source inbound, destination "
                         "outbound"),
    HG_ROW_OPTION(struct rule_row, ports,
                  .doc = "destination port or range, with tcp or udp"),
    HG_ROW_OPTION(struct rule_row, icmp_type,
                  .doc = "ICMP type, with icmp or icmpv6"),
    HG_ROW_OPTION(struct rule_row, icmp_code, .doc = "ICMP code"),
};

static const struct hg_field acl_fields[] = {
    HG_ROW_OPTION(struct acl_row, name, .title = true, .required = true,
                  .doc = "its name"),
    HG_ROW_OPTION(struct acl_row, is_default,
                  .doc = "is for subnets that have chosen none"),
    HG_ROW_OPTION(struct acl_row, subnets,
                  .doc = "ids of its subnets, besides those that name it in "
                         "the inventory"),
    HG_ROW_ROWS(struct acl_row, inbound, rule_fields,
                .doc = "a rule for what enters the subnet"),
    HG_ROW_ROWS(struct acl_row, outbound, rule_fields,
                .doc = "a rule for what leaves the subnet"),
};

#endif
