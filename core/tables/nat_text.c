/* nat_text.c: the flows of headgate/nat_table.h as lines of JSON, and the
 * filters that select some of them. */
#include <headgate/headers.h>
#include <headgate/nat_table.h>

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
end_to_json(uint32_t ip, uint16_t port)
{
    struct hg_addr addr = hg_addr_from_ip4(ip);
    char buf[HG_ADDR_STRLEN];

    return json_pack("{s:s, s:i}", "addr", hg_addr_format(&addr, buf), "port",
                     (int)port);
}

bool
hg_nat_flow_print(const struct hg_nat_flow *f, FILE *out)
{
    json_t *json = json_pack(
        "{s:s, s:o, s:o, s:o, s:s, s:I}", "proto", protocol_name(f->protocol),
        "inside", end_to_json(f->inside, f->inside_port), "external",
        end_to_json(f->external, f->external_port), "remote",
        end_to_json(f->remote, f->remote_port), "state",
        hg_nat_state_name(f->state), "expires", (json_int_t)f->deadline_ns);
    bool ok = json && !json_dumpf(json, out, JSON_COMPACT) &&
              fputc('\n', out) != EOF;

    json_decref(json);
    return ok;
}

static bool
end_from_json(const json_t *flow, const char *name, bool needs_port,
              uint32_t *ip, uint16_t *port, struct hg_error *error)
{
    const json_t *end = json_object_get(flow, name);
    const json_t *json_addr = json_object_get(end, "addr");
    const json_t *json_port = json_object_get(end, "port");
    json_int_t number = json_integer_value(json_port);
    struct hg_addr addr;

    if (!json_is_string(json_addr) ||
        !hg_addr_parse(json_string_value(json_addr), &addr) ||
        addr.family != 4)
        return hg_error_set(error,
                            "'%s' of a flow needs 'addr', an IPv4 address "
                            "such as \"192.0.2.1\"",
                            name);
    if ((json_port || needs_port) &&
        (!json_is_integer(json_port) || number < 0 || number > UINT16_MAX))
        return hg_error_set(error,
                            "'%s' of a flow needs 'port', a number from 0 to "
                            "65535",
                            name);
    *ip = hg_addr_ip4(&addr);
    *port = (uint16_t)number;
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
    const json_t *expires = json_object_get(json, "expires");

    memset(f, 0, sizeof(*f));
    f->protocol = name ? protocol_number(name) : 0;
    if (!f->protocol)
        return hg_error_set(error, "'proto' of a flow must be \"tcp\", "
                                   "\"udp\" or \"icmp\"");
    if (!end_from_json(json, "inside", true, &f->inside, &f->inside_port,
                       error) ||
        !end_from_json(json, "external", true, &f->external, &f->external_port,
                       error) ||
        !end_from_json(json, "remote", f->protocol != HG_PROTO_ICMP,
                       &f->remote, &f->remote_port, error) ||
        !state_from_json(json, f->protocol, &f->state, error))
        return false;
    if (f->protocol == HG_PROTO_ICMP && f->remote_port)
        return hg_error_set(error, "'port' of 'remote' must be 0 for icmp");
    if (expires && json_integer_value(expires) <= 0)
        return hg_error_set(error, "'expires' of a flow is a time in Unix "
                                   "nanoseconds; leave it out for a whole "
                                   "idle timeout");
    f->deadline_ns = (uint64_t)json_integer_value(expires);
    return true;
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

static bool
filter_end(char *word, struct hg_nat_filter *filter)
{
    char *colon = strchr(word, ':');
    uint64_t port = 0;

    if (filter->n_ends == HG_NAT_FILTER_ENDS)
        return false;
    memset(&filter->end[filter->n_ends], 0, sizeof(filter->end[0]));
    if (colon) {
        *colon = '\0';
        if (!hg_number_parse(colon + 1, &port) || port > UINT16_MAX)
            return false;
        filter->end[filter->n_ends].has_port = true;
        filter->end[filter->n_ends].port = (uint16_t)port;
    }
    if ((!colon || colon > word) &&
        (!hg_prefix_parse(word, &filter->end[filter->n_ends].prefix) ||
         filter->end[filter->n_ends].prefix.addr.family != 4))
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
end_matches(const struct hg_nat_filter *filter, unsigned i, uint32_t ip,
            uint16_t port)
{
    struct hg_addr addr = hg_addr_from_ip4(ip);

    return (!filter->end[i].prefix.addr.family ||
            hg_prefix_contains(&filter->end[i].prefix, &addr)) &&
           (!filter->end[i].has_port || filter->end[i].port == port);
}

bool
hg_nat_filter_match(const struct hg_nat_filter *filter,
                    const struct hg_nat_flow *f)
{
    unsigned i;

    if (filter->protocol && filter->protocol != f->protocol)
        return false;
    for (i = 0; i < filter->n_ends; i++)
        if (!end_matches(filter, i, f->inside, f->inside_port) &&
            !end_matches(filter, i, f->external, f->external_port) &&
            !end_matches(filter, i, f->remote, f->remote_port))
            return false;
    return true;
}

/* ---- Tables ----------------------------------------------------------- */

bool
hg_nat_print(const struct hg_nat_table *t, uint64_t now_ns, const char *text,
             FILE *out, struct hg_error *error)
{
    struct hg_nat_filter filter;
    struct hg_nat_flow flow;
    uint32_t at = 0;

    if (!hg_nat_filter_parse(text, &filter, error))
        return false;
    while (hg_nat_next(t, now_ns, &at, &flow))
        if (hg_nat_filter_match(&filter, &flow) &&
            !hg_nat_flow_print(&flow, out))
            return hg_error_set(error, "cannot write the flows");
    return true;
}

bool
hg_nat_count_matching(const struct hg_nat_table *t, uint64_t now_ns,
                      const char *text, uint32_t *n, struct hg_error *error)
{
    struct hg_nat_filter filter;
    struct hg_nat_flow flow;
    uint32_t at = 0;

    if (!hg_nat_filter_parse(text, &filter, error))
        return false;
    *n = 0;
    while (hg_nat_next(t, now_ns, &at, &flow))
        *n += hg_nat_filter_match(&filter, &flow);
    return true;
}

bool
hg_nat_remove_matching(struct hg_nat_table *t, uint64_t now_ns,
                       const char *text, struct hg_error *error)
{
    struct hg_nat_filter filter;
    struct hg_nat_flow flow;
    uint32_t at = 0;

    if (!text[strspn(text, " \t\n")])
        return hg_error_set(error, "say which flows to remove, as a filter "
                                   "such as 'udp 10.0.0.5', or 'all'");
    if (!hg_nat_filter_parse(text, &filter, error))
        return false;
    while (hg_nat_next(t, now_ns, &at, &flow))
        if (hg_nat_filter_match(&filter, &flow))
            hg_nat_remove(t, flow.id);
    return true;
}

static bool
install(struct hg_nat_table *t, uint64_t now_ns, struct hg_nat_flow *flow,
        struct hg_error *error)
{
    static const char *const refusals[] = {
        [HG_NAT_NO_PORT] = "its external address has all the flows to its "
                           "remote endpoint that it may have",
        [HG_NAT_FULL] = "the table is full; see 'max-flows'",
        [HG_NAT_EXISTS] = "there is a flow from its inside to its remote "
                          "endpoint already",
        [HG_NAT_TAKEN] = "another flow to its remote endpoint has its "
                         "external address and port",
        [HG_NAT_FOREIGN] = "its external address is none of the option "
                           "'public'"};
    enum hg_nat_result result;

    if (flow->deadline_ns <= now_ns)
        return hg_error_set(error, "it expired already; leave 'expires' out "
                                   "for a whole idle timeout");
    result = hg_nat_install(t, flow, now_ns);
    return result == HG_NAT_OK || hg_error_set(error, "%s", refusals[result]);
}

static uint64_t
life_ns(const struct hg_nat_lives *lives, uint8_t protocol)
{
    if (protocol == HG_PROTO_TCP)
        return lives->tcp_ns;
    return protocol == HG_PROTO_UDP ? lives->udp_ns : lives->icmp_ns;
}

bool
hg_nat_import(struct hg_nat_table *t, uint64_t now_ns, const char *text,
              const struct hg_nat_lives *lives, struct hg_error *error)
{
    uint32_t *ids = NULL;
    uint32_t n = 0;
    bool ok = true;

    for (text += strspn(text, " \t\n"); ok && *text;
         text += strspn(text, " \t\n")) {
        struct hg_nat_flow flow;
        struct hg_error why;
        uint32_t *more = realloc(ids, (n + 1ul) * sizeof(*ids));

        if (!more) {
            ok = hg_error_set(error, "no memory for %u flows", n + 1);
            break;
        }
        ids = more;
        ok = hg_nat_flow_parse(&text, &flow, &why);
        if (ok && !flow.deadline_ns)
            flow.deadline_ns = now_ns + life_ns(lives, flow.protocol);
        ok = ok && install(t, now_ns, &flow, &why);
        if (ok)
            ids[n++] = flow.id;
        else
            hg_error_set(error, "flow %u cannot be imported: %.400s", n + 1,
                         why.text);
    }
    while (!ok && n)
        hg_nat_remove(t, ids[--n]);
    free(ids);
    return ok;
}
