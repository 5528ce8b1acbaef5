/* headgate/types.h: the value types of options, counters and addresses.
 *
 * Each is a struct of its own, so that _Generic can tell from the type of a
 * member what an option is (element.h).  Every parse function takes the text
 * of a graph file and returns true, or false and leaves the output untouched;
 * every format function writes into the caller's buffer and returns it.
 *
 * Thread-safety: all functions here are pure. */
#ifndef HEADGATE_TYPES_H
#define HEADGATE_TYPES_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HG_API __attribute__((visibility("default")))

#define HG_USEC UINT64_C(1000)
#define HG_MSEC UINT64_C(1000000)
#define HG_SEC UINT64_C(1000000000)
#define HG_MINUTE (60 * HG_SEC)
#define HG_HOUR (60 * HG_MINUTE)
#define HG_DAY (24 * HG_HOUR)
#define HG_NEVER UINT64_MAX /* A time that does not come. */

/* A counter of an element: it only grows.  See hg_count() and hg_drop(). */
struct hg_counter {
    uint64_t n;
};
typedef struct hg_counter hg_counter;

/* A number that goes up and down, such as active connections. */
struct hg_gauge {
    uint64_t n;
};
typedef struct hg_gauge hg_gauge;

/* An IPv4 or IPv6 address in network order.  An IPv4 address is in the first
 * four bytes, the rest is zero.  family is 4, 6, or 0 for "no address". */
struct hg_addr {
    uint8_t family;
    uint8_t byte[16];
};

/* An address block; the bits behind len are zero. */
struct hg_prefix {
    struct hg_addr addr;
    uint8_t len; /* Bits: 0-32 or 0-128. */
};

struct hg_mac {
    uint8_t byte[6];
};

/* Zeroes stand for none.  Read in the pieces in which a MAC is copied, which
 * may just have happened. */
static inline bool
hg_mac_is_given(const struct hg_mac *mac)
{
    uint32_t first;
    uint16_t last;

    memcpy(&first, mac->byte, sizeof first);
    memcpy(&last, mac->byte + sizeof first, sizeof last);
    return (first | last) != 0;
}

/* Both ends included, host order. */
struct hg_port_range {
    uint16_t low;
    uint16_t high;
};

struct hg_duration {
    uint64_t ns;
};

struct hg_size {
    uint64_t bytes;
};

enum hg_rate_unit { HG_RATE_PACKETS, HG_RATE_BITS };

struct hg_rate {
    uint64_t per_second;
    enum hg_rate_unit unit;
};

/* Lists: n values at v, owned by the element that has the option. */
struct hg_addr_list {
    size_t n;
    struct hg_addr *v;
};

struct hg_prefix_list {
    size_t n;
    struct hg_prefix *v;
};

struct hg_port_range_list {
    size_t n;
    struct hg_port_range *v;
};

struct hg_string_list {
    size_t n;
    char **v;
};

struct hg_number_list {
    size_t n;
    uint64_t *v;
};

/* Why something failed: one line, lower case, no full stop. */
struct hg_error {
    char text[512];
};

/* Writes a printf-style message into 'e' (which may be NULL) and returns
 * false, so that a function can end with it. */
HG_API bool hg_error_set(struct hg_error *e, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#define HG_ADDR_STRLEN 46
#define HG_PREFIX_STRLEN 50
#define HG_MAC_STRLEN 18
#define HG_DURATION_STRLEN 32
#define HG_RATE_STRLEN 32

/* "10.0.0.1", "2001:db8::1" (RFC 4291 2.2, RFC 5952). */
HG_API bool hg_addr_parse(const char *text, struct hg_addr *out);
HG_API char *hg_addr_format(const struct hg_addr *a, char buf[HG_ADDR_STRLEN]);

/* "10.0.0.0/8"; an address alone is a /32 or /128.  Bits behind the length
 * are cleared, as AWS does (100.68.0.18/18 is 100.68.0.0/18). */
HG_API bool hg_prefix_parse(const char *text, struct hg_prefix *out);
HG_API char *hg_prefix_format(const struct hg_prefix *p,
                              char buf[HG_PREFIX_STRLEN]);
HG_API bool hg_prefix_contains(const struct hg_prefix *p,
                               const struct hg_addr *a);

/* "02:00:00:00:00:01". */
HG_API bool hg_mac_parse(const char *text, struct hg_mac *out);
HG_API char *hg_mac_format(const struct hg_mac *m, char buf[HG_MAC_STRLEN]);

/* "80" or "1024-65535". */
HG_API bool hg_port_range_parse(const char *text, struct hg_port_range *out);

/* "350s", "1m30s", "5d", "10ms", "7us", "3ns", "0"; a number needs a unit. */
HG_API bool hg_duration_parse(const char *text, struct hg_duration *out);
HG_API char *hg_duration_format(uint64_t ns, char buf[HG_DURATION_STRLEN]);

/* "1500", "64k", "2M", "1G" (powers of 1024; "kB", "KiB" also accepted). */
HG_API bool hg_size_parse(const char *text, struct hg_size *out);

/* "1000pps", "10kpps", "1Mpps", "64kbps", "10Mbps", "1Gbps" (powers of
 * 1000). */
HG_API bool hg_rate_parse(const char *text, struct hg_rate *out);
HG_API char *hg_rate_format(const struct hg_rate *r, char buf[HG_RATE_STRLEN]);

/* An unsigned number in decimal or 0x hexadecimal. */
HG_API bool hg_number_parse(const char *text, uint64_t *out);

/* true/false, yes/no, on/off. */
HG_API bool hg_bool_parse(const char *text, bool *out);

/* An IPv4 address from and to a number in host order. */
static inline struct hg_addr
hg_addr_from_ip4(uint32_t ip)
{
    struct hg_addr a = {4,
                        {(uint8_t)(ip >> 24), (uint8_t)(ip >> 16),
                         (uint8_t)(ip >> 8), (uint8_t)ip}};

    return a;
}

static inline uint32_t
hg_addr_ip4(const struct hg_addr *a)
{
    return (uint32_t)a->byte[0] << 24 | (uint32_t)a->byte[1] << 16 |
           (uint32_t)a->byte[2] << 8 | a->byte[3];
}

/* Compares IPv6 addresses in halves, as they may just have been written. */
static inline bool
hg_addr_equal(const struct hg_addr *a, const struct hg_addr *b)
{
    uint64_t high[2], low[2];

    if (a->family != b->family)
        return false;
    if (a->family == 4)
        return hg_addr_ip4(a) == hg_addr_ip4(b);
    memcpy(&high[0], a->byte, 8);
    memcpy(&high[1], b->byte, 8);
    memcpy(&low[0], a->byte + 8, 8);
    memcpy(&low[1], b->byte + 8, 8);
    return high[0] == high[1] && low[0] == low[1];
}

#ifdef __cplusplus
}
#endif
#endif
