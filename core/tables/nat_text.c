/* nat_text.c: the flows of headgate/nat_flow.h as lines of JSON, and the
 * filters that select some of them. */
#include <headgate/headers.h>
#include <headgate/nat_flow.h>

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

static const struct {
    const char *name;
    uint8_t number;
} protocols[] = {
    {"tcp", HG_PROTO_TCP}, {"udp", HG_PROTO_UDP}, {"icmp", HG_PROTO_ICMP}};

enum { N_PROTOCOLS = sizeof(protocols) / sizeof(protocols[0]) };

static const char *
protocol_name(uint8_t number)
{
    unsigned i = 0;

    while (i < N_PROTOCOLS - 1 && protocols[i].number != number)
        i++;
    return protocols[i].name;
}

/* 0 if there is none of that name. */
static uint8_t
protocol_number(const char *name)
{
    unsigned i;

    for (i = 0; i < N_PROTOCOLS; i++)
        if (!strcmp(protocols[i].name, name))
            return protocols[i].number;
    return 0;
}

/* ---- JSON ------------------------------------------------------------- */

static json_t *
end_to_json(const struct hg_addr *addr, uint16_t port)
{
    char buf[HG_ADDR_STRLEN];

    return json_pack("{s:s, s:i}", "addr", hg_addr_format(addr, buf), "port",
                     (int)port);
}

bool
hg_nat_flow_print(const struct hg_nat_flow *f, FILE *out)
{
    struct hg_addr external = hg_addr_from_ip4(f->external);
    struct hg_addr remote = hg_addr_from_ip4(f->remote);
    json_t *json = json_pack(
        "{s:s, s:o, s:o, s:o, s:s, s:I}", "proto", protocol_name(f->protocol),
        "inside", end_to_json(&f->inside, f->inside_port), "external",
        end_to_json(&external, f->external_port), "remote",
        end_to_json(&remote, f->remote_port), "state",
        hg_nat_state_name(f->state), "expires", (json_int_t)f->deadline_ns);
    bool ok = json != NULL;

    if (ok && f->gateway[0])
        ok = !json_object_set_new(json, "gateway", json_string(f->gateway));
    if (ok && f->vpc)
        ok = !json_object_set_new(json, "vpc", json_integer(f->vpc));
    ok = ok && !json_dumpf(json, out, JSON_COMPACT) && fputc('\n', out) != EOF;
    json_decref(json);
    return ok;
}

static bool
end_from_json(const json_t *flow, const char *name, bool needs_port,
              struct hg_addr *addr, uint16_t *port, struct hg_error *error)
{
    const json_t *end = json_object_get(flow, name);
    const json_t *json_addr = json_object_get(end, "addr");
    const json_t *json_port = json_object_get(end, "port");
    json_int_t number = json_integer_value(json_port);

    if (!json_is_string(json_addr) ||
        !hg_addr_parse(json_string_value(json_addr), addr))
        return hg_error_set(error,
                            "'%s' of a flow needs 'addr', an address such as "
                            "\"192.0.2.1\"",
                            name);
    if ((json_port || needs_port) &&
        (!json_is_integer(json_port) || number < 0 || number > UINT16_MAX))
        return hg_error_set(error,
                            "'%s' of a flow needs 'port', a number from 0 to "
                            "65535",
                            name);
    *port = (uint16_t)number;
    return true;
}

/* The same for one that can only be IPv4. */
static bool
end4_from_json(const json_t *flow, const char *name, bool needs_port,
               uint32_t *ip, uint16_t *port, struct hg_error *error)
{
    struct hg_addr addr;

    if (!end_from_json(flow, name, needs_port, &addr, port, error))
        return false;
    if (addr.family != 4)
        return hg_error_set(error, "'addr' of '%s' must be IPv4", name);
    *ip = hg_addr_ip4(&addr);
    return true;
}

/* The parts that may be left out: "expires", "gateway" and "vpc". */
static bool
rest_from_json(const json_t *json, struct hg_nat_flow *f,
               struct hg_error *error)
{
    const json_t *expires = json_object_get(json, "expires");
    const json_t *gateway = json_object_get(json, "gateway");
    const json_t *vpc = json_object_get(json, "vpc");
    json_int_t number = json_integer_value(vpc);

    if (expires && json_integer_value(expires) <= 0)
        return hg_error_set(error, "'expires' of a flow is a time in Unix "
                                   "nanoseconds; leave it out for a whole "
                                   "idle timeout");
    if (gateway && (!json_is_string(gateway) ||
                    strlen(json_string_value(gateway)) >= HG_NAT_NAME_SIZE))
        return hg_error_set(error,
                            "'gateway' of a flow is a name of up to "
                            "%d characters",
                            HG_NAT_NAME_SIZE - 1);
    if (vpc && (!json_is_integer(vpc) || number < 0 || number > UINT32_MAX))
        return hg_error_set(error, "'vpc' of a flow is a number");
    f->deadline_ns = (uint64_t)json_integer_value(expires);
    f->vpc = (uint32_t)number;
    if (gateway)
        snprintf(f->gateway, sizeof(f->gateway), "%s",
                 json_string_value(gateway));
    return true;
}

static bool
state_from_json(const json_t *flow, uint8_t protocol, uint8_t *state,
                struct hg_error *error)
{
    const json_t *json = json_object_get(flow, "state");
    bool tcp = protocol == HG_PROTO_TCP;
    unsigned s;

    *state = tcp ? HG_NAT_ESTABLISHED : HG_NAT_QUERY;
    if (!json)
        return true;
    for (s = 0; s < HG_NAT_N_STATES; s++) {
        if (!json_is_string(json) ||
            strcmp(json_string_value(json), hg_nat_state_name((uint8_t)s)))
            continue;
        *state = (uint8_t)s;
        if (tcp == (s != HG_NAT_QUERY))
            return true;
    }
    return hg_error_set(error,
                        "'state' of a flow is \"query\" for udp and icmp, and "
                        "\"init\", \"established\", \"fin-inside\", "
                        "\"fin-outside\", \"fin-both\" or \"trans\" for tcp");
}

static bool
flow_from_json(const json_t *json, struct hg_nat_flow *f,
               struct hg_error *error)
{
    const char *name = json_string_value(json_object_get(json, "proto"));

    memset(f, 0, sizeof(*f));
    f->protocol = name ? protocol_number(name) : 0;
    if (!f->protocol)
        return hg_error_set(error, "'proto' of a flow must be \"tcp\", "
                                   "\"udp\" or \"icmp\"");
    if (!end_from_json(json, "inside", true, &f->inside, &f->inside_port,
                       error) ||
        !end4_from_json(json, "external", true, &f->external,
                        &f->external_port, error) ||
        !end4_from_json(json, "remote", f->protocol != HG_PROTO_ICMP,
                        &f->remote, &f->remote_port, error) ||
        !state_from_json(json, f->protocol, &f->state, error))
        return false;
    if (f->protocol == HG_PROTO_ICMP && f->remote_port)
        return hg_error_set(error, "'port' of 'remote' must be 0 for icmp");
    return rest_from_json(json, f, error);
}

bool
hg_nat_flow_parse(const char **text, struct hg_nat_flow *f,
                  struct hg_error *error)
{
    json_error_t why;
    json_t *json = json_loads(*text, JSON_DISABLE_EOF_CHECK, &why);
    bool ok;

    if (!json)
        return hg_error_set(error, "a flow is a JSON object: %s at '%.40s'",
                            why.text, *text);
    ok = flow_from_json(json, f, error);
    json_decref(json);
    *text += why.position;
    return ok;
}

/* ---- Filters ---------------------------------------------------------- */

/* Splits "ADDRESS:PORT", "[IPV6]:PORT" and the like; the address without
 * brackets is returned, and '*port' is NULL or the text of the port. */
static char *
split_port(char *word, char **port)
{
    char *colon = strrchr(word, ':'), *end = strchr(word, ']');

    if (*word == '[' && end) {
        *port = end[1] == ':' ? end + 2 : NULL;
        if (end[1] && !*port)
            return word; /* What follows makes it no address. */
        *end = '\0';
        return word + 1;
    }
    *port = NULL;
    if (!colon || strchr(word, ':') != colon)
        return word; /* No colon, or an IPv6 address. */
    *colon = '\0';
    *port = colon + 1;
    return word;
}

static bool
filter_end(char *word, struct hg_nat_filter *filter)
{
    char *text, *addr = split_port(word, &text);
    uint64_t port = 0;

    if (filter->n_ends == HG_NAT_FILTER_ENDS)
        return false;
    memset(&filter->end[filter->n_ends], 0, sizeof(filter->end[0]));
    if (text) {
        if (!hg_number_parse(text, &port) || port > UINT16_MAX)
            return false;
        filter->end[filter->n_ends].has_port = true;
        filter->end[filter->n_ends].port = (uint16_t)port;
    }
    if ((!text || *addr) &&
        !hg_prefix_parse(addr, &filter->end[filter->n_ends].prefix))
        return false;
    filter->n_ends++;
    return true;
}

bool
hg_nat_filter_parse(const char *text, struct hg_nat_filter *filter,
                    struct hg_error *error)
{
    memset(filter, 0, sizeof(*filter));
    for (;;) {
        char word[64], copy[sizeof(word)];
        uint8_t protocol;
        size_t n;

        text += strspn(text, " \t\n");
        n = strcspn(text, " \t\n");
        if (!n)
            return true;
        snprintf(word, sizeof(word), "%.*s", (int)n, text);
        memcpy(copy, word, sizeof(copy));
        text += n;
        protocol = protocol_number(word);
        if (protocol && (!filter->protocol || filter->protocol == protocol))
            filter->protocol = protocol;
        else if (strcmp(word, "all") && !filter_end(word, filter))
            return hg_error_set(
                error,
                "'%s' does not select flows; a filter is at most one of tcp, "
                "udp and icmp, and at most %d of ADDRESS, ADDRESS:PORT, "
                "PREFIX and :PORT",
                copy, HG_NAT_FILTER_ENDS);
    }
}

static bool
end_matches(const struct hg_nat_filter *filter, unsigned i,
            const struct hg_addr *addr, uint16_t port)
{
    return (!filter->end[i].prefix.addr.family ||
            hg_prefix_contains(&filter->end[i].prefix, addr)) &&
           (!filter->end[i].has_port || filter->end[i].port == port);
}

bool
hg_nat_filter_match(const struct hg_nat_filter *filter,
                    const struct hg_nat_flow *f)
{
    struct hg_addr external = hg_addr_from_ip4(f->external);
    struct hg_addr remote = hg_addr_from_ip4(f->remote);
    unsigned i;

    if (filter->protocol && filter->protocol != f->protocol)
        return false;
    for (i = 0; i < filter->n_ends; i++)
        if (!end_matches(filter, i, &f->inside, f->inside_port) &&
            !end_matches(filter, i, &external, f->external_port) &&
            !end_matches(filter, i, &remote, f->remote_port))
            return false;
    return true;
}
