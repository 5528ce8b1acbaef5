/* hyperplane_nat_handlers.h: what can be read and written of a HyperplaneNAT
 * while it runs: flows, CloudWatch's metrics and the ports of addresses. */
#ifndef HYPERPLANE_NAT_HANDLERS_H
#define HYPERPLANE_NAT_HANDLERS_H 1

#include <inttypes.h>

#include "hyperplane_nat_table.h"

/* ---- Flows that fit a filter ------------------------------------------ */

struct selection {
    struct hyperplane_nat *self;
    struct hg_nat_filter filter;
    FILE *out; /* Prints them; or NULL. */
    bool end;  /* Ends them. */
    uint64_t n;
    bool failed;
};

static bool
select_flow(void *selection_, const struct hg_nat_flow *f,
            const struct nat_flow *flow)
{
    struct selection *selection = selection_;

    if (!hg_nat_filter_match(&selection->filter, f))
        return true;
    selection->n++;
    if (selection->out && !hg_nat_flow_print(f, selection->out))
        selection->failed = true;
    if (selection->end)
        nat_end(selection->self, flow);
    return !selection->failed;
}

static bool
select_flows(struct selection *selection, const char *filter,
             struct hg_error *error)
{
    struct nat_walk walk = {selection->self, select_flow, selection};

    if (!hg_nat_filter_parse(filter, &selection->filter, error))
        return false;
    nat_walk(&walk, hg_now(selection->self));
    return !selection->failed || hg_error_set(error, "cannot write the flows");
}

static bool
read_flows(void *self, const char *argument, FILE *out, struct hg_error *error)
{
    struct selection selection = {.self = self, .out = out};

    return select_flows(&selection, argument, error);
}

static bool
read_count(void *self, const char *argument, FILE *out, struct hg_error *error)
{
    struct selection selection = {.self = self};

    if (!select_flows(&selection, argument, error))
        return false;
    fprintf(out, "%" PRIu64 "\n", selection.n);
    return true;
}

static bool
write_delete(void *self_, const char *value, struct hg_error *error)
{
    struct hyperplane_nat *self = self_;
    struct selection selection = {.self = self, .end = true};
    bool ok;

    if (!value[strspn(value, " \t\n")])
        return hg_error_set(error, "say which flows to remove, as a filter "
                                   "such as 'udp 10.0.0.5', or 'all'");
    ok = select_flows(&selection, value, error);
    self->active_connection_count.n = self->n_flows;
    return ok;
}

/* ---- Import ----------------------------------------------------------- */

static bool
install(struct hyperplane_nat *self, uint64_t now_ns,
        const struct hg_nat_flow *flow, struct nat_flow *out,
        struct hg_error *error)
{
    static const char *const refusals[] = {
        [NAT_NO_PORT] = "its external address has all the flows to its "
                        "remote endpoint that it may have",
        [NAT_FULL] = "the table is full; see 'max-flows'",
        [NAT_EXISTS] = "there is a flow from its inside to its remote "
                       "endpoint already",
        [NAT_TAKEN] = "another flow to its remote endpoint has its "
                      "external address and port",
        [NAT_FOREIGN] = "its external address is none of the option "
                        "'public' (or, of a private gateway, 'private')",
        [NAT_HAIRPIN] = "its remote address is an external one, and there "
                        "is no hairpinning",
        [NAT_NOT_COMPACT] = "'table = compact' has no flows from IPv6, and "
                            "none that live longer than 6.5 days"};
    enum nat_result result;

    if (flow->deadline_ns <= now_ns)
        return hg_error_set(error, "it expired already; leave 'expires' out "
                                   "for a whole idle timeout");
    result = nat_install(self, flow, now_ns, out);
    return result == NAT_OK || hg_error_set(error, "%s", refusals[result]);
}

static uint64_t
idle_ns(const struct hyperplane_nat *self, uint8_t protocol)
{
    if (protocol == HG_PROTO_TCP)
        return self->tcp_idle_timeout.ns;
    return protocol == HG_PROTO_UDP ? self->udp_timeout.ns
                                    : self->icmp_timeout.ns;
}

/* Installs the flows in 'text', one JSON object after the other: all of them,
 * or none if one cannot be read or clashes. */
static bool
import_flows(struct hyperplane_nat *self, uint64_t now_ns, const char *text,
             struct hg_error *error)
{
    struct nat_flow *installed = NULL, *more;
    uint32_t n = 0;
    bool ok = true;

    for (text += strspn(text, " \t\n"); ok && *text;
         text += strspn(text, " \t\n")) {
        struct hg_nat_flow flow;
        struct hg_error why;

        more = realloc(installed, (n + 1ul) * sizeof(*installed));
        if (!more) {
            ok = hg_error_set(error, "no memory for %u flows", n + 1);
            break;
        }
        installed = more;
        ok = hg_nat_flow_parse(&text, &flow, &why);
        if (ok && !flow.deadline_ns)
            flow.deadline_ns = now_ns + idle_ns(self, flow.protocol);
        ok = ok && install(self, now_ns, &flow, &installed[n], &why);
        if (ok)
            n++;
        else
            hg_error_set(error, "flow %u cannot be imported: %.400s", n + 1,
                         why.text);
    }
    while (!ok && n--)
        if (nat_find_again(self, &installed[n], now_ns))
            nat_end(self, &installed[n]);
    free(installed);
    return ok;
}

/* ---- Metrics ---------------------------------------------------------- */

/* What CloudWatch calls each (semantics of AWS/NATGateway). */
static const struct {
    const char *name;
    size_t offset;
} metric_names[] = {
    {"BytesInFromDestination",
     offsetof(struct nat_metrics, bytes_in_from_destination)},
    {"BytesInFromSource", offsetof(struct nat_metrics, bytes_in_from_source)},
    {"BytesOutToDestination",
     offsetof(struct nat_metrics, bytes_out_to_destination)},
    {"BytesOutToSource", offsetof(struct nat_metrics, bytes_out_to_source)},
    {"ConnectionAttemptCount",
     offsetof(struct nat_metrics, connection_attempt_count)},
    {"ConnectionEstablishedCount",
     offsetof(struct nat_metrics, connection_established_count)},
    {"ErrorPortAllocation",
     offsetof(struct nat_metrics, error_port_allocation)},
    {"IdleTimeoutCount", offsetof(struct nat_metrics, idle_timeout_count)},
    {"PacketsDropCount", offsetof(struct nat_metrics, packets_drop_count)},
    {"PacketsInFromDestination",
     offsetof(struct nat_metrics, packets_in_from_destination)},
    {"PacketsInFromSource",
     offsetof(struct nat_metrics, packets_in_from_source)},
    {"PacketsOutToDestination",
     offsetof(struct nat_metrics, packets_out_to_destination)},
    {"PacketsOutToSource",
     offsetof(struct nat_metrics, packets_out_to_source)}};

static void
print_metrics(FILE *out, const char *name, uint64_t active,
              const struct nat_metrics *m, const struct nat_peak *peak)
{
    size_t i;

    fprintf(out, "{\"gateway\":\"%s\",\"ActiveConnectionCount\":%" PRIu64,
            name, active);
    for (i = 0; i < sizeof(metric_names) / sizeof(metric_names[0]); i++) {
        uint64_t value;

        memcpy(&value, (const uint8_t *)m + metric_names[i].offset,
               sizeof(value));
        fprintf(out, ",\"%s\":%" PRIu64, metric_names[i].name, value);
    }
    fprintf(out,
            ",\"PeakBytesPerSecond\":%" PRIu64
            ",\"PeakPacketsPerSecond\":%" PRIu64 "}\n",
            peak->most_bytes / PEAK_SECONDS,
            peak->most_packets / PEAK_SECONDS);
}

static uint64_t
flows_of(const struct hyperplane_nat *self, const struct gateway *gw)
{
    uint64_t n = 0;
    uint32_t i;

    for (i = gw->first; i < (uint32_t)gw->first + gw->n; i++)
        n += nat_in_use(self, i);
    return n;
}

/* Each gateway, or the one that the argument names. */
static bool
read_metrics(void *self_, const char *argument, FILE *out,
             struct hg_error *error)
{
    struct hyperplane_nat *self = self_;
    bool found = !*argument;
    uint32_t i;

    nat_expire_all(self, hg_now(self));
    for (i = 0; i < self->n_gateways; i++) {
        const struct gateway *gw = &self->gateways[i];

        if (*argument && strcmp(argument, gw->name))
            continue;
        found = true;
        print_metrics(out, *gw->name ? gw->name : hg_name(self),
                      flows_of(self, gw), &gw->metrics, &gw->peak);
    }
    return found || hg_error_set(error, "there is no gateway '%s'", argument);
}

static bool
read_addresses(void *self_, const char *argument, FILE *out,
               struct hg_error *error)
{
    struct hyperplane_nat *self = self_;
    uint32_t i;

    (void)argument;
    (void)error;
    nat_expire_all(self, hg_now(self));
    for (i = 0; i < self->n_addresses; i++) {
        struct hg_addr addr = hg_addr_from_ip4(self->addresses[i].ip);
        const char *name = self->addresses[i].gateway->name;
        char buf[HG_ADDR_STRLEN];

        fprintf(out, "{\"gateway\":\"%s\",\"addr\":\"%s\",\"flows\":%" PRIu64,
                *name ? name : hg_name(self), hg_addr_format(&addr, buf),
                nat_in_use(self, i));
        if (!self->compact) /* That one does not count destinations. */
            fprintf(out, ",\"most-to-one-destination\":%" PRIu32,
                    hg_nat_ports_peak(self->ports_used, i));
        fprintf(out, ",\"limit\":%" PRIu32 "}\n", nat_limit(self));
    }
    return true;
}

#endif
