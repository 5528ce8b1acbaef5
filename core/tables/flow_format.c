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

struct octet {
    char text[3];
    uint8_t len;
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
    f->field[f->n++] = (uint8_t)i;
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
    char text[4];
    unsigned i;

    for (i = 0; i < 256; i++) {
        f->octet[i].len = (uint8_t)snprintf(text, sizeof text, "%u", i);
        memcpy(f->octet[i].text, text, 3);
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

/* Every put_ function but this one relies on the line's room. */
static void
put_string(struct hg_flow_text *out, const char *s, size_t rest)
{
    size_t len;

    if (!s)
        s = "-";
    len = strlen(s);
    if (len >= VALUE_MAX)
        reserve(out, len + rest);
    memcpy(out->s + out->len, s, len);
    out->len += len;
}

static void
put_word(struct hg_flow_text *out, const char *word, size_t len)
{
    memcpy(out->s + out->len, word, len);
    out->len += len;
}

#define PUT_WORD(out, word) put_word(out, word, sizeof(word) - 1)

/* Decimal digits of 'v': the logarithm to base 2 times log10(2), which is
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
    unsigned n = (64 - (unsigned)__builtin_clzll(v | 1)) * 1233 >> 12;

    return n + (v >= power[n] || !v);
}

static void
put_number(const struct hg_flow_format *f, struct hg_flow_text *out,
           uint64_t v)
{
    char *at;

    out->len += count_digits(v);
    at = out->s + out->len;
    for (; v >= 100; v /= 100) {
        at -= 2;
        memcpy(at, f->pair[v % 100], 2);
    }
    if (v >= 10)
        memcpy(at - 2, f->pair[v % 100], 2);
    else
        at[-1] = (char)('0' + v);
}

static void
put_second(struct hg_flow_format *f, struct hg_flow_text *out, uint64_t s)
{
    struct second *known = &f->second[s % N_SECONDS];

    if (known->s != s || !known->len) {
        struct hg_flow_text text = {.s = known->text};

        put_number(f, &text, s);
        known->s = s;
        known->len = text.len;
    }
    memcpy(out->s + out->len, known->text, sizeof known->text);
    out->len += known->len;
}

static void
put_ip4(const struct hg_flow_format *f, struct hg_flow_text *out,
        const uint8_t *byte)
{
    char *at = out->s + out->len;
    unsigned i;

    for (i = 0; i < 4; i++) {
        const struct octet *octet = &f->octet[byte[i]];

        memcpy(at, octet->text, 3);
        at += octet->len;
        *at++ = '.';
    }
    out->len = (size_t)(at - 1 - out->s);
}

static void
put_addr(const struct hg_flow_format *f, struct hg_flow_text *out,
         const uint8_t *byte, bool is_ip6)
{
    struct hg_addr addr = {6, {0}};

    if (!is_ip6) {
        put_ip4(f, out, byte);
        return;
    }
    memcpy(addr.byte, byte, 16);
    hg_addr_format(&addr, out->s + out->len);
    out->len += strlen(out->s + out->len);
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

static void
put_side(const struct hg_flow_format *f, struct hg_flow_text *out,
         const struct hg_flow_line *line, const uint8_t *byte, uint8_t own)
{
    uint8_t kind = line->record->key.kind;
    bool is_ip6 = kind & HG_RECORD_IP6;

    if (kind & own)
        byte = interface_side(line->interface, byte, is_ip6);
    put_addr(f, out, byte, is_ip6);
}

static struct hg_addr
addr_of(const struct hg_record_key *key, const uint8_t *byte)
{
    struct hg_addr addr = {key->kind & HG_RECORD_IP6 ? 6 : 4, {0}};

    memcpy(addr.byte, byte, addr.family == 6 ? 16 : 4);
    return addr;
}

static void
put_service(const struct hg_flow_format *f, struct hg_flow_text *out,
            const struct hg_record_key *key, const uint8_t *byte, size_t rest)
{
    const struct hg_addr addr = addr_of(key, byte);

    put_string(out,
               f->config.services
                   ? hg_service_ranges_lookup(f->config.services, &addr)
                   : NULL,
               rest);
}

static void
put_tcp_flags(const struct hg_flow_format *f, struct hg_flow_text *out,
              const struct hg_record_key *key)
{
    uint8_t flags = key->tcp_flags;

    if ((key->protocol != HG_PROTO_TCP && f->config.dash_for_non_tcp) ||
        (flags & HG_RECORD_IMPOSSIBLE && f->config.dash_for_impossible))
        PUT_WORD(out, "-");
    else
        put_number(f, out, flags & (HG_RECORD_IMPOSSIBLE - 1));
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

static void
put_traffic_path(const struct hg_flow_format *f, struct hg_flow_text *out,
                 const struct hg_flow_line *line)
{
    uint8_t path = traffic_path(f, line);

    if (path)
        put_number(f, out, path);
    else
        PUT_WORD(out, "-");
}

/* Fields that say something about packets. */
static void
put_record_field(const struct hg_flow_format *f, struct hg_flow_text *out,
                 const struct hg_flow_line *line, enum field field,
                 size_t rest)
{
    const struct hg_flow_record *r = line->record;
    const struct hg_record_key *key = &r->key;

    switch (field) {
    case FIELD_SRCADDR:
        put_side(f, out, line, hg_record_src(key), HG_RECORD_EGRESS);
        break;
    case FIELD_DSTADDR:
        put_side(f, out, line, hg_record_dst(key), HG_RECORD_INGRESS);
        break;
    case FIELD_SRCPORT:
        put_number(f, out, key->sport);
        break;
    case FIELD_DSTPORT:
        put_number(f, out, key->dport);
        break;
    case FIELD_PROTOCOL:
        put_number(f, out, key->protocol);
        break;
    case FIELD_PACKETS:
        put_number(f, out, r->packets);
        break;
    case FIELD_BYTES:
        put_number(f, out, r->bytes);
        break;
    case FIELD_ACTION:
        put_word(out, key->kind & HG_RECORD_REJECT ? "REJECT" : "ACCEPT", 6);
        break;
    case FIELD_TCP_FLAGS:
        put_tcp_flags(f, out, key);
        break;
    case FIELD_TYPE:
        put_word(out, key->kind & HG_RECORD_IP6 ? "IPv6" : "IPv4", 4);
        break;
    case FIELD_PKT_SRCADDR:
        put_addr(f, out, hg_record_src(key), key->kind & HG_RECORD_IP6);
        break;
    case FIELD_PKT_DSTADDR:
        put_addr(f, out, hg_record_dst(key), key->kind & HG_RECORD_IP6);
        break;
    case FIELD_PKT_SRC_AWS_SERVICE:
        put_service(f, out, key, hg_record_src(key), rest);
        break;
    case FIELD_PKT_DST_AWS_SERVICE:
        put_service(f, out, key, hg_record_dst(key), rest);
        break;
    case FIELD_FLOW_DIRECTION:
        put_string(out,
                   key->kind & HG_RECORD_EGRESS    ? "egress"
                   : key->kind & HG_RECORD_INGRESS ? "ingress"
                                                   : "-",
                   rest);
        break;
    default:
        put_traffic_path(f, out, line);
        break;
    }
}

static const char *
status_name(enum hg_flow_status status)
{
    return status == HG_FLOW_OK       ? "OK"
           : status == HG_FLOW_NODATA ? "NODATA"
                                      : "SKIPDATA";
}

/* 'rest': room that the rest of the line needs. */
static void
put_field(struct hg_flow_format *f, struct hg_flow_text *out,
          const struct hg_flow_line *line, enum field field, size_t rest)
{
    const struct hg_flow_interface *interface = line->interface;

    switch (field) {
    case FIELD_VERSION:
        put_number(f, out, f->version);
        break;
    case FIELD_ACCOUNT_ID:
        put_string(out, interface->account ? interface->account : "unknown",
                   rest);
        break;
    case FIELD_INTERFACE_ID:
        put_string(out, interface->interface, rest);
        break;
    case FIELD_START:
        put_second(f, out, line->start_s);
        break;
    case FIELD_END:
        put_second(f, out, line->end_s);
        break;
    case FIELD_LOG_STATUS:
        put_string(out, status_name(line->status), rest);
        break;
    case FIELD_VPC_ID:
        put_string(out, interface->vpc, rest);
        break;
    case FIELD_SUBNET_ID:
        put_string(out, interface->subnet, rest);
        break;
    case FIELD_INSTANCE_ID:
        put_string(out, interface->instance, rest);
        break;
    case FIELD_REGION:
        put_string(out, f->config.region, rest);
        break;
    case FIELD_AZ_ID:
        put_string(out, interface->az, rest);
        break;
    case FIELD_SUBLOCATION_TYPE:
        put_string(out, f->config.sublocation_type, rest);
        break;
    case FIELD_SUBLOCATION_ID:
        put_string(out, f->config.sublocation_id, rest);
        break;
    default:
        if (line->record)
            put_record_field(f, out, line, field, rest);
        else
            PUT_WORD(out, "-");
        break;
    }
}

void
hg_flow_format_line(struct hg_flow_format *f, const struct hg_flow_line *line,
                    struct hg_flow_text *out)
{
    size_t room = (f->n + 1) * VALUE_MAX, i;

    reserve(out, room);
    for (i = 0; i < f->n; i++) {
        put_field(f, out, line, (enum field)f->field[i], room);
        out->s[out->len++] = ' ';
    }
    out->s[out->len - 1] = '\n';
}

void
hg_flow_format_header(const struct hg_flow_format *f, struct hg_flow_text *out)
{
    size_t i;

    reserve(out, (f->n + 1) * VALUE_MAX);
    for (i = 0; i < f->n; i++) {
        put_string(out, field_name[f->field[i]], 0);
        out->s[out->len++] = ' ';
    }
    out->s[out->len - 1] = '\n';
}
