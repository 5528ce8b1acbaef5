/* security_group.h: what a SecurityGroup can be told, what it counts and what
 * it keeps of a flow; security_group.c is what it does.  Parts of
 * it:
 *
 *     security_group_side.h      interfaces, connections and their states
 *     security_group_track.h     where connections are:
 *     security_group_service.h     in the flow service
 *     security_group_compact.h     or in a table of their own
 *     security_group_handlers.h  what can be read and written */
#ifndef SECURITY_GROUP_H
#define SECURITY_GROUP_H 1

#include <headgate/element.h>
#include <headgate/flow.h>
#include <headgate/flow_record.h>
#include <headgate/fragment_table.h>
#include <headgate/group_rules.h>

enum { EGRESS, INGRESS, DENY }; /* Ports; the first two of input, too. */
enum { UNKNOWN_DENY, UNKNOWN_PASS };
enum { TABLE_FLOW_SERVICE, TABLE_COMPACT };
enum { MAX_SIDES = 4, MAX_FRAGMENTS = 4096 };

#define FRAGMENT_TIMEOUT (30 * HG_SEC) /* Linux: net.ipv4.ipfrag_time */

enum kind {
    TCP_OPENING,
    TCP_ESTABLISHED,
    TCP_CLOSING,
    UDP_SINGLE, /* One direction, or one request and its answer. */
    UDP_STREAM,
    ICMP_QUERY,
    OTHER,
    N_KINDS,
    MORE = N_KINDS
};

static const char *const kind_names[N_KINDS] = {
    "tcp-opening", "tcp-established", "tcp-closing",
    "udp",         "udp-stream",      "icmp",
    "other"};

/* What an interface knows of a flow; all zero: nothing. */
struct side {
    uint64_t until_ns : 62;
    uint64_t endpoint : 1; /* Which end of the flow the interface is: 1 where
                            * the element's first packet of it went. */
    uint64_t replied : 1;
    uint32_t eni : 25;      /* Number; 0 without an inventory. */
    uint32_t opened_by : 1; /* EGRESS or INGRESS. */
    uint32_t kind : 3;      /* enum kind */
    uint32_t detail : 3;    /* TCP: the FINs, bit 0: from the opener, bit 1:
                             * from the other; ICMP: which answer. */
} __attribute__((packed, aligned(4)));

/* The same as its first eight bytes, which are read and written at once in a
 * copy; where they are not aligned to 8 bitfields are in pieces. */
struct side_time {
    uint64_t until_ns : 62;
    uint64_t endpoint : 1;
    uint64_t replied : 1;
};

#define LAST_NS ((UINT64_C(1) << 62) - 1)

enum { MAX_ENI = (1 << 25) - 1 };

/* One instance and another are two sides, and with them a flow's record is one
 * cache line.  Where it has more, 'kind' of the second is MORE, and 'eni' says
 * where the second and further ones are. */
enum { FEW_SIDES = 2 };

struct sg_flow {
    struct side side[FEW_SIDES];
};

struct more_sides {
    struct side side[MAX_SIDES - 1];
};

struct rule_row {
    char *protocol;
    struct hg_port_range_list ports;
    struct hg_number_list type;
    struct hg_number_list code;
    struct hg_string_list source;
    struct hg_string_list destination;
};

struct group_row {
    char *id;
    char *default_of;
    bool allow_all_outbound;
    HG_ROWS_OF(struct rule_row) inbound;
    HG_ROWS_OF(struct rule_row) outbound;
};

struct list_row {
    char *id;
    struct hg_prefix_list entries;
};

struct eni_entry {
    const struct hg_eni *eni; /* As it was when 'set' was found. */
    struct hg_group_set *set;
    uint32_t n_tracked; /* With those */
    uint32_t n_lapsed;  /* ... that have run out since the last look. */
    uint32_t vpc;       /* In the compact table: VPC, */
    uint32_t realm;     /* ... and the interface's number in it, + 1. */
};

struct compact;
struct hg_track_key;

struct security_group {
    struct hg_element *mapping;
    HG_ROWS_OF(struct group_row) group;
    HG_ROWS_OF(struct list_row) prefix_list;
    char *file;
    struct hg_string_list groups;
    unsigned unknown_eni;
    unsigned table;
    struct hg_prefix_list unfiltered;
    struct hg_prefix_list always_tracked;
    bool related_icmp_errors;
    struct hg_duration tcp_established_timeout;
    struct hg_duration tcp_opening_timeout;
    struct hg_duration tcp_closing_timeout;
    struct hg_duration udp_timeout;
    struct hg_duration udp_stream_timeout;
    struct hg_duration icmp_timeout;
    struct hg_duration other_timeout;
    uint64_t max_flows;
    uint64_t max_per_eni;
    hg_gauge tracked;
    hg_counter opened;
    hg_counter untracked;
    hg_counter bypassed;
    hg_counter rejected;
    hg_counter related;
    hg_counter evicted;
    hg_counter not_ip;
    hg_counter denied;
    hg_counter no_eni;
    hg_counter conntrack_allowance_exceeded;
    hg_counter table_full;

    struct hg_rule_cover cover[2]; /* Of 'unfiltered': IPv4, IPv6. */
    struct hg_groups *rules;
    bool is_borrower; /* These are the first instance's. */
    const struct hg_inventory *inventory;
    struct hg_flow_place place;
    struct hg_group_set *default_set; /* Of 'groups'. */
    struct eni_entry *enis;           /* By number. */
    size_t n_enis;
    struct more_sides *more;
    uint32_t n_more;
    uint32_t free_more;      /* Those not used, + 1; linked by side[0].eni. */
    struct compact *compact; /* NULL: all is in the flow service. */
    uint64_t expired_ns; /* When the limit last made it look for ended ones. */
    uint64_t timeout[N_KINDS];
    struct hg_fragment_table *fragments;
    int denied_side; /* Offset of metadata (flow_record.h). */
};

/* A packet at an interface. */
struct passage {
    struct hg_packet *p;
    unsigned direction; /* EGRESS or INGRESS. */
    const struct hg_eni *eni;
    const struct hg_eni *peer;
    struct eni_entry *entry;
    struct hg_group_set *set;
    const struct hg_track_key *key; /* NULL: in the flow service. */
};

#endif
