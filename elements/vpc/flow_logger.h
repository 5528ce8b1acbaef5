/* flow_logger.h: what a FlowLogger can be told, what it counts and what it
 * remembers; flow_logger.c is what it does. */
#ifndef FLOW_LOGGER_H
#define FLOW_LOGGER_H 1

#include <headgate/flow_format.h>
#include <headgate/flow_sink.h>
#include <headgate/inventory.h>

enum { IN, IN_REJECTED, NO_INPUT };
enum { OUT, OUT_REJECTED };
enum direction { BOTH, EGRESS, INGRESS };
enum traffic_type { TYPE_ALL, TYPE_ACCEPT, TYPE_REJECT };
enum { MAX_SHARED = 16 };
enum { FIXED = 0 }; /* Number of the interface that the options describe. */
enum { WRITE_SIZE = 1 << 20 }; /* Text is written at least in such pieces. */

/* An interface that is logged; by its number, 0 is the one of the options.
 * Small, since every packet of another interface meets another one: what lines
 * say of it is asked when they are written. */
struct logged {
    const struct hg_eni *eni; /* NULL for number 0. */
    uint32_t router4;         /* Host order; 0: none. */
    uint32_t resolver4;
    uint32_t seen; /* The last window with a record. */
    bool monitored;
    bool skipped; /* Records of this window are missing. */
};

struct flow_logger {
    struct hg_element *into;
    uint8_t direction;
    uint32_t max_records;

    struct hg_element *mapping;
    struct hg_string_list monitor;
    uint8_t traffic_type;
    struct hg_duration max_aggregation_interval;
    char *log_format;
    bool nodata;
    uint32_t max_empty_windows;
    bool log_reserved;

    uint8_t log_destination_type; /* enum hg_flow_destination */
    char *log_destination;
    bool hive_compatible_partitions;
    bool per_hour_partition;
    char *flow_log_id;
    struct hg_size object_size;

    char *interface_id;
    char *account_id;
    char *vpc_id;
    char *subnet_id;
    char *instance_id;
    char *az_id;
    struct hg_addr_list address;
    struct hg_prefix_list vpc_cidr;
    struct hg_prefix_list subnet_cidr;

    char *region;
    char *sublocation_type;
    char *sublocation_id;
    char *ip_ranges;
    uint8_t traffic_path;
    bool traffic_path_mark;
    uint8_t non_tcp_flags; /* 0: "0", 1: "-" */
    uint8_t impossible_tcp_flags;

    hg_gauge flows;
    hg_counter records;
    hg_counter nodata_records;
    hg_counter skipdata_records;
    hg_counter unlogged;
    hg_counter no_interface;
    hg_counter skipped;
    hg_counter records_lost;
    hg_counter rejected;

    /* Every logger. */
    int denied_side;         /* Offset of metadata (flow_record.h). */
    uint16_t unlogged_port;  /* What comes in there is not logged. */
    uint8_t fixed_kind;      /* Of records of the only interface, */
    bool asks_address;       /* ... unless its addresses say that. */
    struct flow_logger *log; /* Whose log takes the records. */
    struct hg_flow_records *table;
    struct hg_flow_sample sample[HG_FLOW_SAMPLES];
    unsigned n_samples; /* Those counted last. */

    /* One that reports: of the first packet of each record. */
    struct hg_arrival *arrivals;
    uint32_t n_arrivals;
    uint32_t arrivals_size;

    /* One that has a log, or would have it where it does not report. */
    struct flow_logger *shared[MAX_SHARED]; /* Who hands records to it. */
    unsigned n_shared;
    struct hg_service_ranges *services;
    struct hg_flow_format *format;
    struct hg_flow_sink *sink;
    struct hg_timer timer;
    const struct hg_inventory *inventory;
    uint64_t generation; /* Of it, when flows' records were last forgotten. */
    struct logged *interfaces;
    uint32_t n_interfaces;
    uint64_t window_s; /* Unix time when the window began. */
    uint32_t window_n; /* Its number, from 1. */
    uint64_t begin_s;  /* The same, but not before the logger began. */
    uint64_t window_end_ns;
    uint64_t second_ns; /* When the second began that it is for packets, */
    uint16_t second;    /* ... and that since the window began. */
    uint32_t n_empty;   /* Windows without a packet in a row. */
    struct hg_flow_text text;
    uint64_t text_lines;
    uint64_t object_s; /* S3: what 'text' will be named after. */
    bool has_failed;   /* A warning about writing was given. */
};

#endif
