/* headgate/flow_format.h: flow log records as lines of text.
 *
 * A format is AWS's: "${field}" tokens separated by spaces, of the fields of
 * versions 2 to 5 ("Flow log records" in the Amazon VPC user guide); values
 * are separated by one space, and "-" stands for what does not apply.  It is
 * compiled once, and a line is written without printf.
 *
 * Thread-safety: belongs to one worker. */
#ifndef HEADGATE_FLOW_FORMAT_H
#define HEADGATE_FLOW_FORMAT_H 1

#include <headgate/flow_record.h>
#include <headgate/lpm.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A text that grows. */
struct hg_flow_text {
    char *s; /* Freed by the caller; NULL: nothing yet. */
    size_t len;
    size_t size;
};

/* ---- Names of services ------------------------------------------------ */

struct hg_service_ranges;

/* Reads an AWS ip-ranges.json; NULL, and why. */
HG_API struct hg_service_ranges *
hg_service_ranges_create(const char *path, struct hg_error *error);
HG_API void hg_service_ranges_destroy(struct hg_service_ranges *);

/* The service of the longest prefix around the address, or NULL.  Where
 * several have the same prefix, AMAZON (which has them all) gives way to the
 * others, and EC2 to those that run on it. */
HG_API const char *hg_service_ranges_lookup(const struct hg_service_ranges *,
                                            const struct hg_addr *);

/* ---- Formats ---------------------------------------------------------- */

/* Whose records they are; strings may be NULL ("-"). */
struct hg_flow_interface {
    const char *account; /* NULL: "unknown". */
    const char *interface;
    const char *vpc;
    const char *subnet;
    const char *instance;
    const char *az;
    struct hg_addr_list address; /* The first of a family is the primary. */
    struct hg_prefix_list cidr;  /* Of the VPC. */
};

/* What is the same for all; must outlive the format. */
struct hg_flow_format_config {
    const char *region;
    const char *sublocation_type;
    const char *sublocation_id;
    const struct hg_service_ranges *services; /* Or NULL. */
    uint8_t traffic_path;     /* Of what leaves the VPC; 0: "-". */
    bool dash_for_non_tcp;    /* tcp-flags of other protocols: "-", not 0. */
    bool dash_for_impossible; /* ... of SYN with FIN or RST: "-". */
};

enum hg_flow_status { HG_FLOW_OK, HG_FLOW_NODATA, HG_FLOW_SKIPDATA };

struct hg_flow_line {
    enum hg_flow_status status;
    const struct hg_flow_interface *interface;
    const struct hg_flow_record *record; /* NULL unless HG_FLOW_OK. */
    uint64_t start_s;                    /* Unix seconds. */
    uint64_t end_s;
};

/* The fields of version 2 in their order. */
#define HG_FLOW_DEFAULT_FORMAT                                                \
    "${version} ${account-id} ${interface-id} ${srcaddr} ${dstaddr} "         \
    "${srcport} ${dstport} ${protocol} ${packets} ${bytes} ${start} ${end} "  \
    "${action} ${log-status}"

struct hg_flow_format;

/* NULL, and what is wrong with 'text' (the n-th token, counted from 1). */
HG_API struct hg_flow_format *
hg_flow_format_create(const char *text, const struct hg_flow_format_config *,
                      struct hg_error *error);
HG_API void hg_flow_format_destroy(struct hg_flow_format *);

/* Appends the names of the fields, or a record, as a line with its end. */
HG_API void hg_flow_format_header(const struct hg_flow_format *,
                                  struct hg_flow_text *out);
HG_API void hg_flow_format_line(struct hg_flow_format *,
                                const struct hg_flow_line *,
                                struct hg_flow_text *out);

#ifdef __cplusplus
}
#endif
#endif
