/* flow_format.c: the text of flow log records (headgate/flow_format.h). */
#include <headgate/flow_format.h>

#include <stdlib.h>
#include <string.h>

#include <headgate/diag.h>
#include <headgate/headers.h>

#include "graph_internal.h"

/* Name, and the version of flow logs that brought it. */
#define FIELDS(X)                                                             \
    X(VERSION, "version", 2)                                                  \
    X(ACCOUNT_ID, "account-id", 2)                                            \
    X(INTERFACE_ID, "interface-id", 2)                                        \
    X(SRCADDR, "srcaddr", 2)                                                  \
    X(DSTADDR, "dstaddr", 2)                                                  \
    X(SRCPORT, "srcport", 2)                                                  \
    X(DSTPORT, "dstport", 2)                                                  \
    X(PROTOCOL, "protocol", 2)                                                \
    X(PACKETS, "packets", 2)                                                  \
    X(BYTES, "bytes", 2)                                                      \
    X(START, "start", 2)                                                      \
    X(END, "end", 2)                                                          \
    X(ACTION, "action", 2)                                                    \
    X(LOG_STATUS, "log-status", 2)                                            \
    X(VPC_ID, "vpc-id", 3)                                                    \
    X(SUBNET_ID, "subnet-id", 3)                                              \
    X(INSTANCE_ID, "instance-id", 3)                                          \
    X(TCP_FLAGS, "tcp-flags", 3)                                              \
    X(TYPE, "type", 3)                                                        \
    X(PKT_SRCADDR, "pkt-srcaddr", 3)                                          \
    X(PKT_DSTADDR, "pkt-dstaddr", 3)                                          \
    X(REGION, "region", 4)                                                    \
    X(AZ_ID, "az-id", 4)                                                      \
    X(SUBLOCATION_TYPE, "sublocation-type", 4)                                \
    X(SUBLOCATION_ID, "sublocation-id", 4)                                    \
    X(PKT_SRC_AWS_SERVICE, "pkt-src-aws-service", 5)                          \
    X(PKT_DST_AWS_SERVICE, "pkt-dst-aws-service", 5)                          \
    X(FLOW_DIRECTION, "flow-direction", 5)                                    \
    X(TRAFFIC_PATH, "traffic-path", 5)

#define X_ENUM(id, name, version) FIELD_##id,
#define X_NAME(id, name, version) name,
#define X_VERSION(id, name, version) version,

enum field { FIELDS(X_ENUM) N_FIELDS };

static const char *const field_name[] = {FIELDS(X_NAME)};
static const uint8_t field_version[] = {FIELDS(X_VERSION)};

/* Room for a value of any field but a string, with the space behind it. */
enum { VALUE_MAX = 64 };

/* A number below 256 and what is behind it in an address: a dot, which a
 * number alone has overwritten. */
struct octet {
    char text[4];
    size_t len; /* Of the number. */
};

/* The text of a Unix time; those of a window are few. */
struct second {
    uint64_t s;
    size_t len; /* 0: not made yet. */
    char text[20];
};

enum { N_SECONDS = 64 };

struct hg_flow_format {
    struct hg_flow_format_config config;
    unsigned version;
    size_t n;
    uint8_t *field; /* enum field */
    uint8_t *bare;  /* The same of a line without a record: N_FIELDS stands for
                     * what that says. */
    struct octet octet[256];
    char pair[100][2];               /* "00" to "99" */
    struct second second[N_SECONDS]; /* By the lowest bits. */
};

/* ---- Reading a format ------------------------------------------------- */

static bool
no_field(const char *name, unsigned n, struct hg_error *error)
{
    const char *nearest = hg_nearest(name, field_name, N_FIELDS);

    if (nearest)
        return hg_error_set(error,
                            "token %u: no field '%s' in versions 2 to 5; did "
                            "you mean '%s'?",
                            n, name, nearest);
    return hg_error_set(error,
                        "token %u: no field '%s' in versions 2 to 5 of flow "
                        "logs, such as srcaddr, action or tcp-flags",
                        n, name);
}

/* Whether the field says something about packets. */
static bool
is_of_record(enum field field)
{
    switch (field) {
    case FIELD_VERSION:
    case FIELD_ACCOUNT_ID:
    case FIELD_INTERFACE_ID:
    case FIELD_START:
    case FIELD_END:
    case FIELD_LOG_STATUS:
    case FIELD_VPC_ID:
    case FIELD_SUBNET_ID:
    case FIELD_INSTANCE_ID:
    case FIELD_REGION:
    case FIELD_AZ_ID:
    case FIELD_SUBLOCATION_TYPE:
    case FIELD_SUBLOCATION_ID:
        return false;
    default:
        return true;
    }
}

static bool
add_token(struct hg_flow_format *f, const char *token, size_t len,
          struct hg_error *error)
{
    unsigned n = (unsigned)f->n + 1, i;
    char name[32];

    if (len < 4 || memcmp(token, "${", 2) != 0 || token[len - 1] != '}')
        return hg_error_set(error,
                            "token %u: '%.*s' must be a field such as "
                            "${srcaddr}, with spaces between fields",
                            n, (int)(len < 60 ? len : 60), token);
    len -= 3;
    snprintf(name, sizeof name, "%.*s", (int)(len < 31 ? len : 31), token + 2);
    for (i = 0; i < N_FIELDS && strcmp(name, field_name[i]); i++)
        ;
    if (i == N_FIELDS)
        return no_field(name, n, error);
    f->field = xrealloc(f->field, f->n + 1);
    f->bare = xrealloc(f->bare, f->n + 1);
    f->field[f->n] = (uint8_t)i;
    f->bare[f->n++] = is_of_record((enum field)i) ? N_FIELDS : (uint8_t)i;
    if (field_version[i] > f->version)
        f->version = field_version[i];
    return true;
}

static bool
read_format(struct hg_flow_format *f, const char *text, struct hg_error *error)
{
    size_t len;

    for (text += strspn(text, " "); *text; text += strspn(text, " ")) {
        len = strcspn(text, " ");
        if (!add_token(f, text, len, error))
            return false;
        text += len;
    }
    return f->n || hg_error_set(error, "at least one field is needed, such as "
                                       "${srcaddr}");
}

static void
make_digits(struct hg_flow_format *f)
{
    char text[8];
    unsigned i;

    for (i = 0; i < 256; i++) {
        f->octet[i].len = (size_t)snprintf(text, sizeof text, "%u.", i) - 1;
        memcpy(f->octet[i].text, text, sizeof f->octet[i].text);
    }
    for (i = 0; i < 100; i++) {
        f->pair[i][0] = (char)('0' + i / 10);
        f->pair[i][1] = (char)('0' + i % 10);
    }
}

struct hg_flow_format *
hg_flow_format_create(const char *text,
                      const struct hg_flow_format_config *config,
                      struct hg_error *error)
{
    struct hg_flow_format *f = xcalloc(1, sizeof *f);

    f->config = *config;
    f->version = 2; /* At least. */
    make_digits(f);
    if (!read_format(f, text, error)) {
        hg_flow_format_destroy(f);
        return NULL;
    }
    return f;
}

void
hg_flow_format_destroy(struct hg_flow_format *f)
{
    if (!f)
        return;
    free(f->field);
    free(f->bare);
    free(f);
}

/* ---- Writing ---------------------------------------------------------- */

static void
reserve(struct hg_flow_text *out, size_t room)
{
    if (out->size - out->len >= room)
        return;
    out->size = 2 * (out->len + room) + 4096;
    out->s = xrealloc(out->s, out->size);
}

/* Each put_ function writes at 'at' and returns where it ended.  They rely on
 * the line's room, but for this one: a string may need more, and then the text
 * moves.  'rest': room that the rest of the line needs. */
static char *
put_string(struct hg_flow_text *out, char *at, const char *s, size_t rest)
{
    size_t len;

    if (!s)
        s = "-";
    len = strlen(s);
    if (len >= VALUE_MAX) {
        out->len = (size_t)(at - out->s);
        reserve(out, len + rest);
        at = out->s + out->len;
    }
    memcpy(at, s, len);
    return at + len;
}

static inline char *
put_word(char *at, const char *word, size_t len)
{
    memcpy(at, word, len);
    return at + len;
}

#define PUT_WORD(at, word) put_word(at, word, sizeof(word) - 1)

/* Decimal digits of 'v' > 0: the logarithm to base 2 times log10(2), which is
 * 1233 / 4096, is right or one too few. */
static unsigned
count_digits(uint64_t v)
{
    static const uint64_t power[] = {1,
                                     10,
                                     100,
                                     1000,
                                     10000,
                                     100000,
                                     1000000,
                                     10000000,
                                     100000000,
                                     1000000000,
                                     10000000000,
                                     100000000000,
                                     1000000000000,
                                     10000000000000,
                                     100000000000000,
                                     1000000000000000,
                                     10000000000000000,
                                     100000000000000000,
                                     1000000000000000000,
                                     10000000000000000000U};
    unsigned n = (64 - (unsigned)__builtin_clzll(v)) * 1233 >> 12;

    return n + (v >= power[n]);
}

/* One that is no octet. */
static char *
put_large_number(const struct hg_flow_format *f, char *at, uint64_t v)
{
    char *end = at + count_digits(v);

    for (at = end; v >= 100; v /= 100) {
        at -= 2;
        memcpy(at, f->pair[v % 100], 2);
    }
    if (v >= 10)
        memcpy(at - 2, f->pair[v % 100], 2);
    else
        at[-1] = (char)('0' + v);
    return end;
}

static inline char *
put_number(const struct hg_flow_format *f, char *at, uint64_t v)
{
    if (v > UINT8_MAX)
        return put_large_number(f, at, v);
    memcpy(at, f->octet[v].text, sizeof f->octet[v].text);
    return at + f->octet[v].len;
}

static inline char *
put_second(struct hg_flow_format *f, char *at, uint64_t s)
{
    struct second *known = &f->second[s % N_SECONDS];

    if (known->s != s || !known->len) {
        known->s = s;
        known->len = (size_t)(put_number(f, known->text, s) - known->text);
    }
    memcpy(at, known->text, sizeof known->text);
    return at + known->len;
}

static inline char *
put_ip4(const struct hg_flow_format *f, char *at, const uint8_t *byte)
{
    unsigned i;

    for (i = 0; i < 4; i++) {
        const struct octet *octet = &f->octet[byte[i]];

        memcpy(at, octet->text, sizeof octet->text);
        at += octet->len + 1;
    }
    return at - 1;
}

static char *
put_ip6(char *at, const uint8_t *byte)
{
    struct hg_addr addr = {6, {0}};

    memcpy(addr.byte, byte, 16);
    hg_addr_format(&addr, at);
    return at + strlen(at);
}

static inline char *
put_addr(const struct hg_flow_format *f, char *at, const uint8_t *byte,
         bool is_ip6)
{
    return is_ip6 ? put_ip6(at, byte) : put_ip4(f, at, byte);
}

/* The address that a record shows for the interface's own side: the primary
 * one; for IPv6 the packet's own, if the interface has it. */
static const uint8_t *
interface_side(const struct hg_flow_interface *interface, const uint8_t *byte,
               bool is_ip6)
{
    const uint8_t *primary = NULL;
    size_t i;

    for (i = 0; i < interface->address.n; i++) {
        const struct hg_addr *a = &interface->address.v[i];

        if (a->family != (is_ip6 ? 6 : 4))
            continue;
        if (is_ip6 && !memcmp(a->byte, byte, 16))
            return byte;
        if (!primary)
            primary = a->byte;
    }
    return primary ? primary : byte;
}

static inline char *
put_side(const struct hg_flow_format *f, char *at,
         const struct hg_flow_line *line, const uint8_t *byte, uint8_t own)
{
    uint8_t kind = line->record->key.kind;
    bool is_ip6 = kind & HG_RECORD_IP6;

    if (kind & own)
        byte = interface_side(line->interface, byte, is_ip6);
    return put_addr(f, at, byte, is_ip6);
}

static struct hg_addr
addr_of(const struct hg_record_key *key, const uint8_t *byte)
{
    struct hg_addr addr = {key->kind & HG_RECORD_IP6 ? 6 : 4, {0}};

    memcpy(addr.byte, byte, addr.family == 6 ? 16 : 4);
    return addr;
}

static const char *
service_name(const struct hg_flow_format *f, const struct hg_record_key *key,
             const uint8_t *byte)
{
    const struct hg_addr addr = addr_of(key, byte);

    return f->config.services
               ? hg_service_ranges_lookup(f->config.services, &addr)
               : NULL;
}

static char *
put_tcp_flags(const struct hg_flow_format *f, char *at,
              const struct hg_record_key *key)
{
    uint8_t flags = key->tcp_flags;

    if ((key->protocol != HG_PROTO_TCP && f->config.dash_for_non_tcp) ||
        (flags & HG_RECORD_IMPOSSIBLE && f->config.dash_for_impossible))
        return PUT_WORD(at, "-");
    return put_number(f, at, flags & (HG_RECORD_IMPOSSIBLE - 1));
}

static uint8_t
traffic_path(const struct hg_flow_format *f, const struct hg_flow_line *line)
{
    const struct hg_record_key *key = &line->record->key;
    const struct hg_addr dst = addr_of(key, hg_record_dst(key));
    size_t i;

    if (!(key->kind & HG_RECORD_EGRESS) || key->path)
        return key->path;
    for (i = 0; i < line->interface->cidr.n; i++)
        if (hg_prefix_contains(&line->interface->cidr.v[i], &dst))
            return 1;
    return f->config.traffic_path;
}

static char *
put_traffic_path(const struct hg_flow_format *f, char *at,
                 const struct hg_flow_line *line)
{
    uint8_t path = traffic_path(f, line);

    return path ? put_number(f, at, path) : PUT_WORD(at, "-");
}

static inline char *
put_status(char *at, enum hg_flow_status status)
{
    if (status == HG_FLOW_OK)
        return PUT_WORD(at, "OK");
    return status == HG_FLOW_NODATA ? PUT_WORD(at, "NODATA")
                                    : PUT_WORD(at, "SKIPDATA");
}

static const char *
direction_name(const struct hg_record_key *key)
{
    return key->kind & HG_RECORD_EGRESS    ? "egress"
           : key->kind & HG_RECORD_INGRESS ? "ingress"
                                           : "-";
}

/* 'key' is the record's; without one 'field' is none that is of one. */
static inline char *
put_field(struct hg_flow_format *f, struct hg_flow_text *out, char *at,
          const struct hg_flow_line *line, const struct hg_record_key *key,
          enum field field, size_t rest)
{
    const struct hg_flow_interface *interface = line->interface;

    switch (field) {
    case FIELD_VERSION:
        return put_number(f, at, f->version);
    case FIELD_ACCOUNT_ID:
        return put_string(out, at,
                          interface->account ? interface->account : "unknown",
                          rest);
    case FIELD_INTERFACE_ID:
        return put_string(out, at, interface->interface, rest);
    case FIELD_SRCADDR:
        return put_side(f, at, line, hg_record_src(key), HG_RECORD_EGRESS);
    case FIELD_DSTADDR:
        return put_side(f, at, line, hg_record_dst(key), HG_RECORD_INGRESS);
    case FIELD_SRCPORT:
        return put_number(f, at, key->sport);
    case FIELD_DSTPORT:
        return put_number(f, at, key->dport);
    case FIELD_PROTOCOL:
        return put_number(f, at, key->protocol);
    case FIELD_PACKETS:
        return put_number(f, at, line->record->packets);
    case FIELD_BYTES:
        return put_number(f, at, line->record->bytes);
    case FIELD_START:
        return put_second(f, at, line->start_s);
    case FIELD_END:
        return put_second(f, at, line->end_s);
    case FIELD_ACTION:
        return put_word(at, key->kind & HG_RECORD_REJECT ? "REJECT" : "ACCEPT",
                        6);
    case FIELD_LOG_STATUS:
        return put_status(at, line->status);
    case FIELD_VPC_ID:
        return put_string(out, at, interface->vpc, rest);
    case FIELD_SUBNET_ID:
        return put_string(out, at, interface->subnet, rest);
    case FIELD_INSTANCE_ID:
        return put_string(out, at, interface->instance, rest);
    case FIELD_TCP_FLAGS:
        return put_tcp_flags(f, at, key);
    case FIELD_TYPE:
        return put_word(at, key->kind & HG_RECORD_IP6 ? "IPv6" : "IPv4", 4);
    case FIELD_PKT_SRCADDR:
        return put_addr(f, at, hg_record_src(key), key->kind & HG_RECORD_IP6);
    case FIELD_PKT_DSTADDR:
        return put_addr(f, at, hg_record_dst(key), key->kind & HG_RECORD_IP6);
    case FIELD_REGION:
        return put_string(out, at, f->config.region, rest);
    case FIELD_AZ_ID:
        return put_string(out, at, interface->az, rest);
    case FIELD_SUBLOCATION_TYPE:
        return put_string(out, at, f->config.sublocation_type, rest);
    case FIELD_SUBLOCATION_ID:
        return put_string(out, at, f->config.sublocation_id, rest);
    case FIELD_PKT_SRC_AWS_SERVICE:
        return put_string(out, at, service_name(f, key, hg_record_src(key)),
                          rest);
    case FIELD_PKT_DST_AWS_SERVICE:
        return put_string(out, at, service_name(f, key, hg_record_dst(key)),
                          rest);
    case FIELD_FLOW_DIRECTION:
        return put_string(out, at, direction_name(key), rest);
    case FIELD_TRAFFIC_PATH:
        return put_traffic_path(f, at, line);
    case N_FIELDS:
    default:
        return PUT_WORD(at, "-");
    }
}

void
hg_flow_format_line(struct hg_flow_format *f, const struct hg_flow_line *line,
                    struct hg_flow_text *out)
{
    const struct hg_flow_record *r = line->record;
    const struct hg_record_key *key = r ? &r->key : NULL;
    const uint8_t *field = r ? f->field : f->bare;
    const size_t room = (f->n + 1) * VALUE_MAX;
    char *at;
    size_t i;

    reserve(out, room);
    at = out->s + out->len;
    for (i = 0; i < f->n; i++) {
        at = put_field(f, out, at, line, key, (enum field)field[i], room);
        *at++ = ' ';
    }
    at[-1] = '\n';
    out->len = (size_t)(at - out->s);
}

void
hg_flow_format_header(const struct hg_flow_format *f, struct hg_flow_text *out)
{
    char *at;
    size_t i;

    reserve(out, (f->n + 1) * VALUE_MAX);
    at = out->s + out->len;
    for (i = 0; i < f->n; i++) {
        at = put_string(out, at, field_name[f->field[i]], 0);
        *at++ = ' ';
    }
    at[-1] = '\n';
    out->len = (size_t)(at - out->s);
}
