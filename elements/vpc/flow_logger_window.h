/* flow_logger_window.h: the windows of a FlowLogger: what happens when one is
 * over, and how the records of several workers come together.  Part of
 * flow_logger.c.
 *
 * Where several workers share the work, an instance of each counts the packets
 * that come to it.  When its window is over it reports the records, each with
 * the arrival of its first packet, to the one instance that has the log; there
 * they come in order of these arrivals, before the same window is over, and
 * what belongs to one record is added up.  So the log is that of one worker.
 */
#ifndef FLOW_LOGGER_WINDOW_H
#define FLOW_LOGGER_WINDOW_H 1

#include "flow_logger_log.h"

/* ---- Reports ---------------------------------------------------------- */

/* A record, or, if it has no packets, that some are missing at its
 * interface. */
struct report {
    const struct hg_eni *eni; /* NULL for interface number 0. */
    struct hg_flow_record record;
};

static void
grow_arrivals(struct flow_logger *self)
{
    uint32_t n = self->arrivals_size ? 2 * self->arrivals_size : 1024;

    self->arrivals = realloc(self->arrivals, n * sizeof *self->arrivals);
    if (!self->arrivals) {
        fputs("headgate: out of memory\n", stderr);
        exit(1);
    }
    self->arrivals_size = n;
}

/* Keeps the arrival of the packets that begin a record. */
static void
note_arrivals(struct flow_logger *self)
{
    unsigned i;

    for (i = 0; i < self->n_samples; i++) {
        if (self->sample[i].outcome != HG_SAMPLE_FIRST)
            continue;
        if (self->n_arrivals == self->arrivals_size)
            grow_arrivals(self);
        self->arrivals[self->n_arrivals++] =
            hg_arrival_of(self->sample[i].cause);
    }
}

static void
report_records(struct flow_logger *self)
{
    const struct logged *interfaces = self->log->interfaces;
    const struct hg_flow_record *r;
    uint32_t n, i;

    r = hg_flow_records_all(self->table, &n);
    for (i = 0; i < n; i++) {
        struct report report = {interfaces[r[i].key.interface].eni, r[i]};

        hg_report(self, &self->arrivals[i], &report, sizeof report);
    }
    hg_flow_records_clear(self->table);
    self->n_arrivals = 0;
}

/* Says which interfaces have records missing, at the window's very end. */
static void
report_skipped(struct flow_logger *log)
{
    const struct hg_arrival end = {log->window_end_ns - 1, UINT64_MAX,
                                   UINT8_MAX};
    uint32_t i;

    for (i = 0; i < log->n_interfaces; i++)
        if (log->interfaces[i].skipped) {
            struct report report = {.eni = log->interfaces[i].eni};

            hg_report(log->shared[0], &end, &report, sizeof report);
            log->interfaces[i].skipped = false;
        }
}

static void
report_window(struct flow_logger *log)
{
    uint64_t n_skipped = 0;
    unsigned i;

    for (i = 0; i < log->n_shared; i++) {
        report_records(log->shared[i]);
        n_skipped += log->shared[i]->skipped.n;
    }
    forget_records(log);
    if (n_skipped)
        report_skipped(log);
}

/* The instances' records, in order. */
static void
logger_reported(void *self_, const void *const *reports, unsigned n)
{
    struct flow_logger *self = self_, *log = self->log;
    const struct hg_flow_record *record[HG_FLOW_SAMPLES];
    unsigned k = 0, i;

    for (i = 0; i < n; i++) {
        const struct report *report = reports[i];
        struct logged *l =
            report->eni ? interface_of(log, report->eni) : &log->interfaces[0];

        if (!l)
            hg_count(&self->records_lost);
        else if (!report->record.packets)
            l->skipped = true;
        else
            record[k++] = &report->record;
        if (k == HG_FLOW_SAMPLES || i == n - 1) {
            hg_flow_records_merge(self->table, record, k);
            k = 0;
        }
    }
    self->flows.n = n_records(self);
}

/* ---- Windows ---------------------------------------------------------- */

static uint32_t
interval_s(const struct flow_logger *log)
{
    return (uint32_t)(log->max_aggregation_interval.ns / HG_SEC);
}

static void
open_window(struct flow_logger *log, uint64_t now_s)
{
    log->window_s = now_s - now_s % interval_s(log);
    log->begin_s = now_s;
    log->window_end_ns = (log->window_s + interval_s(log)) * HG_SEC;
    log->second_ns = log->second = 0;
    log->window_n++;
}

static void
write_window(struct flow_logger *log, uint64_t end_s)
{
    uint32_t step = log->log_destination_type == HG_FLOW_TO_S3
                        ? HG_FLOW_OBJECT_S
                        : interval_s(log);
    uint32_t at, n = 0;
    unsigned i;

    for (at = 0; at < interval_s(log); at += step)
        n += add_records(log, at, at + step);
    log->n_empty = n ? 0 : log->n_empty + 1;
    if (log->n_empty <= log->max_empty_windows)
        add_statuses(log, end_s);
    if (log->log_destination_type != HG_FLOW_TO_S3 ||
        end_s >= log->object_s + HG_FLOW_OBJECT_S)
        publish(log);
    for (i = 0; i < log->n_shared; i++) {
        hg_flow_records_clear(log->shared[i]->table);
        log->shared[i]->flows.n = 0;
    }
    forget_records(log);
}

static void
close_window(struct flow_logger *log, uint64_t end_s)
{
    if (hg_reports(log->shared[0]))
        report_window(log);
    else
        write_window(log, end_s);
}

/* Closes the windows that are over.  A gap of the packets' clock does not
 * make more than so many empty ones. */
static void
roll(struct flow_logger *log, uint64_t now_ns)
{
    while (now_ns >= log->window_end_ns) {
        uint64_t end_s = log->window_end_ns / HG_SEC, now_s = now_ns / HG_SEC;

        close_window(log, end_s);
        open_window(log, log->n_empty < log->max_empty_windows
                             ? end_s
                             : now_s - now_s % interval_s(log));
    }
}

static void
window_ends(void *self_, struct hg_timer *timer, uint64_t now_ns)
{
    struct flow_logger *log = self_;

    roll(log, now_ns);
    hg_timer_set(log, timer, log->window_end_ns);
}

/* The first of the loggers that share a log begins its windows. */
static bool
begin_windows(struct flow_logger *log)
{
    log->inventory = hg_service(log, log->mapping, "inventory");
    if (!make_room(log, 0))
        return false;
    learn_fixed(log);
    open_window(log, hg_now(log) / HG_SEC);
    hg_timer_init(log, &log->timer, window_ends);
    hg_timer_set(log, &log->timer, log->window_end_ns);
    return true;
}

#endif
