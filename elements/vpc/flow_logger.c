/* FlowLogger: VPC flow logs of the packets that pass.
 *
 * Theory of operation.  A packet becomes a sample for each interface (ENI)
 * that it leaves or reaches here; samples are counted in the records of one
 * window of time (headgate/flow_record.h).  At the end of the window, by the
 * packets' clock, the records become lines (flow_format.h), which go to a
 * file, to syslog or into S3's folders (flow_sink.h).  Which packets are
 * logged as whose is in flow_logger_sample.h; the windows are in
 * flow_logger_window.h, lines in flow_logger_log.h.
 *
 * A timer stands at the end of each window, so that no batch reaches across
 * it.  Loggers at several places of a graph share one log: the others hand
 * their records to it ("into"). */
#include <headgate/flow.h>

#include "flow_logger_sample.h"
#include "flow_logger_window.h"

/* ---- Packets ---------------------------------------------------------- */

static inline bool
has_sample_before(const struct flow_logger *self, unsigned i)
{
    return i && self->sample[i - 1].cause == self->sample[i].cause;
}

static inline bool
has_sample_behind(const struct flow_logger *self, unsigned i)
{
    return i + 1 < self->n_samples &&
           self->sample[i + 1].cause == self->sample[i].cause;
}

/* Lets flows remember the records of packets that have no other sample and
 * were accepted. */
static void
remember_records(struct flow_logger *self)
{
    unsigned i;

    for (i = 0; i < self->n_samples; i++) {
        const struct hg_packet *p = self->sample[i].cause;

        if (p->flow && p->in_port == IN &&
            self->sample[i].outcome <= HG_SAMPLE_FIRST &&
            !has_sample_before(self, i) && !has_sample_behind(self, i))
            hg_flow_remember(self, p, &self->sample[i].record);
    }
}

/* Counts packets that came into no record: unlogged are those of which that
 * is true of each sample. */
static void
count_others(struct flow_logger *self)
{
    struct flow_logger *log = self->log;
    const struct hg_flow_sample *s = self->sample;
    unsigned i;

    for (i = 0; i < self->n_samples; i++)
        if (s[i].outcome == HG_SAMPLE_REFUSED) {
            hg_count(&self->skipped);
            log->interfaces[s[i].key.interface].skipped = true;
        } else if (s[i].outcome == HG_SAMPLE_LEFT_OUT &&
                   (has_sample_before(self, i)
                        ? s[i - 1].outcome == HG_SAMPLE_LEFT_OUT
                        : !has_sample_behind(self, i))) {
            hg_count(&self->unlogged);
        }
}

/* Counts the samples before 'end'. */
static void
count_samples(struct flow_logger *self, const struct hg_flow_sample *end,
              bool have_flows)
{
    uint32_t n_before = n_records(self);

    self->n_samples = (unsigned)(end - self->sample);
    if (hg_flow_records_add(self->table, self->sample, self->n_samples))
        count_others(self);
    if (have_flows)
        remember_records(self);
    if (n_records(self) > n_before && hg_reports(self))
        note_arrivals(self);
    self->flows.n = n_records(self);
}

/* A packet of another second than the one before.  Returns where its samples
 * go, which is the begin if it is of another window. */
__attribute__((noinline)) static struct hg_flow_sample *
begin_second_of(struct flow_logger *self, const struct hg_packet *p,
                struct hg_flow_sample *s)
{
    struct flow_logger *log = self->log;

    if (p->time_ns >= log->window_end_ns) {
        count_samples(self, s, true);
        roll(log, p->time_ns);
        s = self->sample;
    }
    begin_second(log, p->time_ns);
    return s;
}

/* Makes a packet's samples from 's' on, where there is room for two; returns
 * where the next go. */
static inline struct hg_flow_sample *
log_packet(struct flow_logger *self, struct flow_logger *log,
           const struct hg_packet *p, struct hg_flow_sample *s)
{
    uint8_t kind;

    if (p->in_port == self->unlogged_port)
        return s;
    if (!hg_packet_is_ip(p)) {
        hg_count(&self->unlogged);
        return s;
    }
    if (!is_same_second(log, p))
        s = begin_second_of(self, p, s);
    kind = fill_sample(p, s);
    s->second = log->second;
    s->key.path =
        log->traffic_path_mark && p->mark <= 8 ? (uint8_t)p->mark : 0;
    if (!is_fixed(log, p))
        return log_by_identity(self, p, s, kind);
    if (self->asks_address)
        return log_by_address(self, s, kind);
    return finish_sample(s, FIXED, kind | self->fixed_kind);
}

/* ---- Known flows ------------------------------------------------------ */

/* Forgets the records of interfaces that may not be what they were. */
static void
follow_inventory(struct flow_logger *self)
{
    const struct hg_inventory *inventory = self->log->inventory;
    uint64_t generation = inventory ? hg_inventory_generation(inventory) : 0;

    if (generation == self->generation)
        return;
    self->generation = generation;
    hg_tables_changed(self);
}

/* The records that flows remember, which are fetched; NULL for the others.
 * False if none does. */
static bool
recall_records(struct flow_logger *self, struct hg_packet *const *packets,
               struct hg_flow_record **record, unsigned n)
{
    const void *verdict[HG_BATCH_MAX];
    struct hg_flow_record *first;
    unsigned i;

    /* Live, a batch may reach into the next window. */
    if (packets[n - 1]->time_ns >= self->log->window_end_ns ||
        !hg_flow_verdicts(self, packets, n, verdict))
        return false;
    first = hg_flow_records_at(self->table, 0);
    for (i = 0; i < n; i++) {
        record[i] = verdict[i] ? first + *(const uint32_t *)verdict[i] : NULL;
        __builtin_prefetch(record[i], 1);
    }
    return true;
}

/* Whether the record that the packet's flow remembers is that of the only
 * sample that the packet would have: flow, direction and verdict are.  Without
 * an inventory nobody says when an interface of this number is another. */
static inline bool
is_record_of(const struct flow_logger *self, const struct hg_packet *p,
             const struct hg_flow_record *r)
{
    const struct flow_logger *log = self->log;
    bool leaves = p->src_eni && self->direction != INGRESS;
    bool comes = p->dst_eni && self->direction != EGRESS;
    const struct hg_eni *eni = leaves ? p->src_eni : p->dst_eni;

    if (is_fixed(log, p))
        return r->key.interface == FIXED;
    return leaves != comes && r->key.interface == eni->number &&
           (log->inventory || log->interfaces[eni->number].eni == eni) &&
           r->key.kind & (leaves ? HG_RECORD_EGRESS : HG_RECORD_INGRESS);
}

/* Counts a packet in a record that its flow remembers. */
static inline void
count_known(struct flow_logger *self, const struct hg_packet *p,
            struct hg_flow_record *r)
{
    hg_flow_record_count(r, hg_packet_ip_bytes(p), tcp_flags(p),
                         second_of(self->log, p));
}

/* ---- Batches ---------------------------------------------------------- */

/* Always inline: gcc drops calls of functions that do nothing else. */
#define FETCH __attribute__((always_inline)) static inline void

FETCH
fetch(const struct flow_logger *log, const struct hg_eni *eni)
{
    if (eni && eni->number < log->n_interfaces)
        __builtin_prefetch(&log->interfaces[eni->number]);
}

/* The interfaces of packets whose records are to be found; 'known' may be
 * NULL. */
FETCH
fetch_interfaces(const struct flow_logger *log,
                 struct hg_packet *const *packets,
                 struct hg_flow_record *const *known, unsigned n)
{
    unsigned i;

    for (i = 0; i < n; i++)
        if (!known || !known[i] || !log->inventory) {
            fetch(log, packets[i]->src_eni);
            fetch(log, packets[i]->dst_eni);
        }
}

/* Makes the samples of packets whose records are to be found.  A function of
 * its own, so that this loop has all registers. */
__attribute__((noinline)) static struct hg_flow_sample *
log_unknown(struct flow_logger *self, struct hg_packet *const *packets,
            unsigned n, struct hg_flow_sample *s)
{
    struct flow_logger *log = self->log;
    unsigned i;

    for (i = 0; i < n; i++)
        s = log_packet(self, log, packets[i], s);
    return s;
}

/* 'flows': some of their flows are known. */
static void
log_packets(struct flow_logger *self, struct hg_packet *const *packets,
            unsigned n, bool flows)
{
    const struct hg_flow_record *first = hg_flow_records_at(self->table, 0);
    struct hg_flow_record *records[HG_BATCH_MAX], **known = records;
    const struct flow_logger *log = self->log;
    unsigned at, end, i;

    follow_inventory(self);
    if (!flows || !recall_records(self, packets, known, n))
        known = NULL;
    if (!log->interface_id)
        fetch_interfaces(log, packets, known, n);
    for (at = 0; at < n; at = end) {
        struct hg_flow_sample *s = self->sample;

        end = n - at < HG_FLOW_SAMPLES / 2 ? n : at + HG_FLOW_SAMPLES / 2;
        if (!known)
            s = log_unknown(self, packets + at, end - at, s);
        for (i = known ? at : end; i < end; i++) {
            if (known[i] && is_record_of(self, packets[i], known[i]))
                count_known(self, packets[i], known[i]);
            else
                s = log_unknown(self, packets + i, 1, s);
        }
        count_samples(self, s, flows);
        if (hg_flow_records_at(self->table, 0) != first) /* They moved. */
            known = NULL;
    }
}

static void
logger_batch(struct flow_logger *self, struct hg_batch *batch)
{
    bool passes = hg_is_wired(self, OUT_REJECTED);
    uintptr_t flows = 0;
    unsigned ports = 0, i;
    int16_t verdict[HG_BATCH_MAX];

    for (i = 0; i < batch->n; i++) {
        ports |= batch->p[i]->in_port;
        flows |= (uintptr_t)batch->p[i]->flow;
    }
    log_packets(self, batch->p, batch->n, flows != 0);
    if (ports == IN) {
        hg_pass(self, OUT, batch);
        return;
    }
    for (i = 0; i < batch->n; i++) {
        if (!is_rejected(batch->p[i]))
            verdict[i] = OUT;
        else
            verdict[i] =
                (int16_t)(passes ? OUT_REJECTED : hg_drop(&self->rejected));
    }
    hg_route(self, batch, verdict);
}

/* ---- Configuration ---------------------------------------------------- */

static bool
given_together(struct flow_logger *self)
{
    static const char *const of_the_log[] = {"mapping",
                                             "monitor",
                                             "traffic_type",
                                             "log_format",
                                             "nodata",
                                             "max_aggregation_interval",
                                             "max_empty_windows",
                                             "log_reserved",
                                             "log_destination_type",
                                             "log_destination",
                                             "object_size",
                                             "hive_compatible_partitions",
                                             "per_hour_partition",
                                             "flow_log_id",
                                             "interface_id",
                                             "account_id",
                                             "vpc_id",
                                             "subnet_id",
                                             "instance_id",
                                             "az_id",
                                             "address",
                                             "vpc_cidr",
                                             "subnet_cidr",
                                             "region",
                                             "sublocation_type",
                                             "sublocation_id",
                                             "ip_ranges",
                                             "traffic_path",
                                             "traffic_path_mark",
                                             "non_tcp_flags",
                                             "impossible_tcp_flags"};
    size_t i;

    for (i = 0; i < sizeof of_the_log / sizeof of_the_log[0]; i++)
        if (hg_option_given(self, of_the_log[i]))
            return hg_config_error(self, of_the_log[i], -1,
                                   "the logger named by 'into' decides this; "
                                   "give it there");
    return true;
}

static bool
configure_s3(struct flow_logger *self)
{
    bool is_s3 = self->log_destination_type == HG_FLOW_TO_S3;

    if (is_s3 && (!self->account_id || !self->region))
        return hg_config_error(self, "log_destination_type", -1,
                               "names of S3 objects have account and region; "
                               "give 'account-id' and 'region'");
    if (!is_s3 &&
        (self->hive_compatible_partitions || self->per_hour_partition))
        return hg_config_error(
            self,
            self->per_hour_partition ? "per_hour_partition"
                                     : "hive_compatible_partitions",
            -1, "partitions are for log-destination-type s3");
    return true;
}

static bool
configure_destination(struct flow_logger *self)
{
    bool needs_path = self->log_destination_type == HG_FLOW_TO_FILE ||
                      self->log_destination_type == HG_FLOW_TO_S3;

    if (needs_path && (!self->log_destination || !*self->log_destination))
        return hg_config_error(self, NULL, -1,
                               "the log needs a place: give "
                               "'log-destination', a file (a folder for S3), "
                               "or log-destination-type stdout or syslog");
    if (!needs_path && self->log_destination)
        return hg_config_error(self, "log_destination", -1,
                               "'%s': standard output and syslog need no "
                               "place",
                               self->log_destination);
    return configure_s3(self);
}

static bool
configure_format(struct flow_logger *self)
{
    struct hg_flow_format_config config = {
        .region = self->region,
        .sublocation_type = self->sublocation_type,
        .sublocation_id = self->sublocation_id,
        .traffic_path = self->traffic_path,
        .dash_for_non_tcp = self->non_tcp_flags,
        .dash_for_impossible = self->impossible_tcp_flags};
    struct hg_error error;

    if (self->ip_ranges) {
        self->services = hg_service_ranges_create(self->ip_ranges, &error);
        if (!self->services)
            return hg_config_error(self, "ip_ranges", -1, "%s", error.text);
    }
    config.services = self->services;
    self->format = hg_flow_format_create(self->log_format, &config, &error);
    return self->format ||
           hg_config_error(self, "log_format", -1, "%s", error.text);
}

static bool
logger_configure(void *self_)
{
    struct flow_logger *self = self_;
    uint64_t interval_ns = self->max_aggregation_interval.ns;
    bool ok;

    if (self->into == hg_element_of(self))
        return hg_config_error(self, "into", -1,
                               "a logger cannot hand its records to itself");
    self->denied_side = hg_metadata(self, HG_DENIED_META, 1);
    if (self->denied_side < 0)
        return false;
    hg_flow_declare_verdict(self, sizeof(uint32_t), true); /* A record. */
    if (self->into)
        return given_together(self);
    ok = configure_destination(self);
    if (interval_ns != HG_MINUTE && interval_ns != 10 * HG_MINUTE)
        ok = hg_config_error(self, "max_aggregation_interval", -1,
                             "windows last 60s or 600s");
    return configure_format(self) && ok;
}

/* ---- Life ------------------------------------------------------------- */

static bool
check_monitor(const struct flow_logger *self, struct hg_error *error)
{
    size_t i;

    for (i = 0; i < self->monitor.n; i++) {
        const char *id = self->monitor.v[i];

        if (!self->inventory || self->interface_id)
            return hg_error_set(error,
                                "monitor '%s' needs a MappingService, and no "
                                "interface-id",
                                id);
        if (!hg_inventory_eni(self->inventory, id) &&
            !hg_inventory_subnet(self->inventory, id) &&
            !hg_inventory_vpc(self->inventory, id))
            return hg_error_set(error,
                                "monitor: no interface, subnet or VPC '%s' "
                                "in the inventory",
                                id);
    }
    return true;
}

static bool
start_log(struct flow_logger *self, struct hg_error *error)
{
    const struct hg_flow_sink_config config = {
        .destination = (enum hg_flow_destination)self->log_destination_type,
        .path = self->log_destination,
        .append = hg_is_live(self),
        .hive = self->hive_compatible_partitions,
        .per_hour = self->per_hour_partition,
        .account = self->account_id,
        .region = self->region,
        .flow_log_id = self->flow_log_id};

    if (!check_monitor(self, error))
        return false;
    self->sink = hg_flow_sink_create(&config, error);
    return self->sink != NULL;
}

static bool
logger_start(void *self_, struct hg_error *error)
{
    struct flow_logger *self = self_, *log = self;

    if (self->into)
        log = hg_reference(self->into, "FlowLogger");
    if (log->into && log != self)
        return hg_error_set(error,
                            "into: '%s' itself hands its records on; name "
                            "the logger that has the log",
                            hg_name(log));
    if (log->n_shared == MAX_SHARED)
        return hg_error_set(error, "more than %d loggers for one log",
                            MAX_SHARED);
    self->log = log;
    self->unlogged_port = log->traffic_type == TYPE_ACCEPT   ? IN_REJECTED
                          : log->traffic_type == TYPE_REJECT ? IN
                                                             : NO_INPUT;
    self->fixed_kind = self->direction == EGRESS    ? HG_RECORD_EGRESS
                       : self->direction == INGRESS ? HG_RECORD_INGRESS
                                                    : 0;
    self->asks_address = self->direction == BOTH && log->address.n;
    self->table = hg_flow_records_create(
        (self->max_records - 1) / hg_n_workers(self) + 1, hg_seed(self),
        log->log_reserved ? NULL : is_reserved, log);
    hg_flow_verdict_leads_to(self, hg_flow_records_at(self->table, 0),
                             sizeof(struct hg_flow_record));
    log->shared[log->n_shared++] = self;
    if (log->n_shared == 1 && !begin_windows(log))
        return hg_error_set(error, "out of memory");
    return self->into || hg_reports(self) || start_log(self, error);
}

/* The records of the window that is open when the run ends. */
static void
logger_report(void *self_)
{
    struct flow_logger *self = self_, *log = self->log;

    if (self == log->shared[0])
        report_window(log);
}

static void
logger_stop(void *self_)
{
    struct flow_logger *self = self_;

    if (!self->sink)
        return;
    roll(self, hg_now(self));
    write_window(self, hg_now(self) / HG_SEC);
    publish(self);
}

static void
logger_free(void *self_)
{
    struct flow_logger *self = self_;

    hg_flow_sink_destroy(self->sink);
    hg_flow_format_destroy(self->format);
    hg_service_ranges_destroy(self->services);
    hg_flow_records_destroy(self->table);
    free(self->arrivals);
    free(self->interfaces);
    free(self->text.s);
}

/* ---- Handlers --------------------------------------------------------- */

static bool
read_window(void *self_, const char *argument, FILE *out,
            struct hg_error *error)
{
    struct flow_logger *self = self_, *log = self->log;
    struct hg_flow_text text = {0};
    const struct hg_flow_record *r;
    uint32_t n, i;

    if (*argument)
        return hg_error_set(error, "'%s': window takes no argument", argument);
    r = hg_flow_records_all(self->table, &n);
    for (i = 0; i < n; i++, r++) {
        struct hg_flow_interface of =
            text_of(log, &log->interfaces[r->key.interface]);
        struct hg_flow_line line = line_of(log, r);

        line.interface = &of;
        text.len = 0;
        hg_flow_format_line(log->format, &line, &text);
        fwrite(text.s, 1, text.len, out);
    }
    free(text.s);
    return true;
}

/* clang-format off */
HG_BATCH_ELEMENT(FlowLogger, struct flow_logger, logger_batch,
    .summary = "writes VPC flow logs of the packets that pass",
    .doc =
        "What comes in on \"in\" was accepted and leaves on \"out\"; what "
        "comes in on \"rejected\", from the deny ports of NACL and "
        "SecurityGroup, is logged as REJECT and leaves on \"rejected\" or, "
        "if nothing is connected there, is dropped.\n\n"
        "A record is one flow in one direction at one interface in a window "
        "of max-aggregation-interval; windows begin at multiples of it.  With "
        "a MappingService a packet is egress of its source's interface and "
        "ingress of its destination's; where packets pass between "
        "interfaces, put one logger with direction = egress behind the "
        "filters of the source, one with direction = ingress behind those "
        "of the destination, and let one write \"into\" the other.  Without, "
        "all packets belong to the one interface that the options describe, "
        "and its addresses tell the direction.  What NACL and SecurityGroup "
        "rejected is logged at the interface whose side refused it, whatever "
        "direction says; what others did, at the destination's if that is "
        "known.\n\n"
        "Never logged, as in AWS: the resolver's port 53, instance metadata, "
        "time, DHCP, ARP, licence activation and the router's reserved "
        "address (log-reserved does log them).  Fragments but the first have "
        "no ports.  Bytes are those of IP packets.  Traffic between an "
        "endpoint and a load balancer, and mirrored traffic, look like any "
        "other here.\n\n"
        "Live, a file is appended to; offline it begins anew.  In S3's "
        "layout an object holds the records that end within five minutes.  "
        "If a log cannot be written there is one warning, and records-lost "
        "counts.",
    .reproduces =
        "VPC flow logs of versions 2 to 5: records, fields, default and "
        "custom formats, windows, NODATA and SKIPDATA, what is never "
        "logged, objects in S3's layout",
    .leaves_out =
        "fields of version 6 (transit gateways) and on; Parquet; "
        "delivery to CloudWatch and Firehose; records of what Block "
        "Public Access refuses",
    .lets_choose =
        "tcp-flags of other protocols and of impossible combinations "
        "(unverified in public documents); what leaves the VPC by which "
        "path; how many windows without traffic get NODATA; whether "
        "reserved traffic is logged after all",
    .example =
        "Interface lan { }\n"
        "FlowLogger log {\n"
        "    log-destination          = flows.log\n"
        "    max-aggregation-interval = 60s\n"
        "    interface-id             = eni-0a1\n"
        "    account-id               = 111122223333\n"
        "    # In single quotes, which keep ${...} as it is.\n"
        "    log-format = '${version} ${interface-id} ${srcaddr} ${dstaddr} "
        "${protocol} ${packets} ${tcp-flags} ${log-status}'\n"
        "}\n"
        "connect(\"lan -> log -> lan\")\n",
    .flags = HG_CLASS_KEEPS_FLOW,
    .report = logger_report, .reported = logger_reported,
    .inputs = "in? rejected?", .outputs = "out rejected?",
    .configure = logger_configure, .start = logger_start,
    .stop = logger_stop, .free = logger_free,
    .handlers = HG_HANDLERS(
        {"window", "the records of the window that is open, as lines",
         read_window, NULL}),
    .fields = HG_FIELDS(
        HG_OPTION(log_destination, .doc = "file, or folder for S3"),
        HG_OPTION(log_destination_type, .def = "file",
                  .choices = "file stdout syslog s3",
                  .doc = "where the log goes"),
        HG_OPTION(log_format, .def = HG_FLOW_DEFAULT_FORMAT,
                  .doc = "fields of versions 2 to 5, each as ${name}, with "
                         "spaces between"),
        HG_OPTION(max_aggregation_interval, .def = "600s",
                  .doc = "length of a window, 60s or 600s"),
        HG_OPTION(traffic_type, .def = "ALL", .choices = "ALL ACCEPT REJECT",
                  .doc = "what to log"),
        HG_OPTION(direction, .def = "both", .choices = "both egress ingress",
                  .doc = "which side's interfaces to log here"),
        HG_OPTION(into, .cls = "FlowLogger",
                  .doc = "the logger whose log takes the records; it has all "
                         "options but direction and max-records"),
        HG_OPTION(mapping, .cls = "MappingService",
                  .doc = "knows the interfaces; not given: the only one"),
        HG_OPTION(monitor, .doc = "ids of VPCs, subnets and interfaces to "
                                  "log; none: all"),
        HG_OPTION(max_records, .def = "1048576", .min = 1, .max = 1U << 30,
                  .doc = "records of a window; what is beyond gives SKIPDATA "
                         "(64 bytes each, taken as needed; each of several "
                         "workers has its share)"),
        HG_OPTION(nodata, .def = "true",
                  .doc = "log NODATA for interfaces without a record"),
        HG_OPTION(max_empty_windows, .def = "1440",
                  .doc = "windows without any record in a row that get "
                         "NODATA"),
        HG_OPTION(log_reserved, .doc = "log also what AWS never logs"),
        HG_OPTION(hive_compatible_partitions,
                  .doc = "S3: folders named key=value"),
        HG_OPTION(per_hour_partition, .doc = "S3: a folder for each hour"),
        HG_OPTION(flow_log_id, .def = "fl-00000000000000000",
                  .doc = "S3: in names of objects"),
        HG_OPTION(object_size, .def = "75M", .min = 1024, .max = 1U << 31,
                  .doc = "S3: text of an object, before compression, that "
                         "ends it early"),
        HG_OPTION(interface_id, .doc = "all packets are of this interface"),
        HG_OPTION(account_id, .doc = "owner where the inventory names none; "
                                     "not given: 'unknown'"),
        HG_OPTION(vpc_id, .doc = "of interface-id"),
        HG_OPTION(subnet_id, .doc = "of interface-id"),
        HG_OPTION(instance_id, .doc = "of interface-id"),
        HG_OPTION(az_id, .doc = "of interface-id"),
        HG_OPTION(address, .doc = "private addresses of interface-id, the "
                                  "primary one of each family first"),
        HG_OPTION(vpc_cidr, .doc = "of interface-id"),
        HG_OPTION(subnet_cidr, .doc = "of interface-id"),
        HG_OPTION(region, .doc = "value of the field"),
        HG_OPTION(sublocation_type, .doc = "value of the field"),
        HG_OPTION(sublocation_id, .doc = "value of the field"),
        HG_OPTION(ip_ranges, .doc = "AWS's ip-ranges.json, for "
                                    "pkt-src-aws-service and "
                                    "pkt-dst-aws-service"),
        HG_OPTION(traffic_path, .def = "8", .max = 8,
                  .doc = "path of what leaves the VPC: 8 internet gateway, 3 "
                         "virtual private gateway and so on; 0: '-'"),
        HG_OPTION(traffic_path_mark,
                  .doc = "a packet's mark from 1 to 8 is its path"),
        HG_OPTION(non_tcp_flags, .def = "zero", .choices = "zero dash",
                  .doc = "tcp-flags of other protocols"),
        HG_OPTION(impossible_tcp_flags, .def = "dash", .choices = "value dash",
                  .doc = "tcp-flags after SYN together with FIN or RST"),
        HG_GAUGE(flows, .doc = "records of the window that is open"),
        HG_COUNTER(records, .doc = "records written"),
        HG_COUNTER(nodata_records, .doc = "NODATA written"),
        HG_COUNTER(skipdata_records, .doc = "SKIPDATA written"),
        HG_COUNTER(unlogged, .doc = "packets that are never logged"),
        HG_COUNTER(no_interface,
                   .doc = "packets of no interface that is logged"),
        HG_COUNTER(skipped, .doc = "packets beyond max-records"),
        HG_COUNTER(records_lost, .doc = "lines that could not be written"),
        HG_REASON(rejected, .doc = "refused before it came here")))
/* clang-format on */
