/* flow_logger_log.h: the log of a FlowLogger: what becomes of records, and
 * the interfaces that these belong to.  Part of flow_logger.c, which says how
 * it all fits together. */
#ifndef FLOW_LOGGER_LOG_H
#define FLOW_LOGGER_LOG_H 1

#include <stdlib.h>
#include <string.h>

#include <zlib.h>

#include "flow_logger.h"

/* ---- Interfaces ------------------------------------------------------- */

static bool
is_monitored(const struct flow_logger *log, const struct hg_eni *eni)
{
    size_t i;

    for (i = 0; i < log->monitor.n; i++) {
        const char *id = log->monitor.v[i];

        if (!strcmp(id, eni->id) || !strcmp(id, eni->subnet->id) ||
            !strcmp(id, eni->vpc->id))
            return true;
    }
    return !log->monitor.n;
}

/* The addresses that AWS keeps for itself: the first of a subnet is its
 * router, the second of a VPC its resolver. */
static void
set_reserved(struct logged *l, const struct hg_prefix_list *vpc,
             const struct hg_prefix_list *subnet)
{
    size_t i;

    l->router4 = l->resolver4 = 0;
    for (i = vpc->n; i-- > 0;)
        if (vpc->v[i].addr.family == 4)
            l->resolver4 = hg_addr_ip4(&vpc->v[i].addr) + 2;
    for (i = 0; i < subnet->n; i++)
        if (subnet->v[i].addr.family == 4)
            l->router4 = hg_addr_ip4(&subnet->v[i].addr) + 1;
}

static void
learn(const struct flow_logger *log, struct logged *l,
      const struct hg_eni *eni)
{
    l->eni = eni;
    l->monitored = is_monitored(log, eni);
    set_reserved(l, &eni->vpc->cidr, &eni->subnet->cidr);
}

static void
learn_fixed(struct flow_logger *log)
{
    struct logged *l = &log->interfaces[0];

    l->monitored = true;
    set_reserved(l, &log->vpc_cidr, &log->subnet_cidr);
}

/* What lines say of an interface. */
static struct hg_flow_interface
text_of(const struct flow_logger *log, const struct logged *l)
{
    const struct hg_eni *eni = l->eni;

    if (!eni)
        return (struct hg_flow_interface){.account = log->account_id,
                                          .interface = log->interface_id,
                                          .vpc = log->vpc_id,
                                          .subnet = log->subnet_id,
                                          .instance = log->instance_id,
                                          .az = log->az_id,
                                          .address = log->address,
                                          .cidr = log->vpc_cidr};
    return (struct hg_flow_interface){
        .account = eni->details->account ? eni->details->account
                   : eni->vpc->account   ? eni->vpc->account
                                         : log->account_id,
        .interface = eni->id,
        .vpc = eni->vpc->id,
        .subnet = eni->subnet->id,
        .instance = eni->details->instance,
        .az = eni->subnet->az,
        .address = eni->details->address,
        .cidr = eni->vpc->cidr};
}

/* Room for interfaces up to 'number'; false without memory. */
static bool
make_room(struct flow_logger *log, uint32_t number)
{
    uint32_t n = log->n_interfaces ? log->n_interfaces : 64;
    struct logged *more;

    while (n <= number)
        n *= 2;
    more = realloc(log->interfaces, n * sizeof *more);
    if (!more)
        return false;
    memset(more + log->n_interfaces, 0,
           (n - log->n_interfaces) * sizeof *more);
    log->interfaces = more;
    log->n_interfaces = n;
    return true;
}

/* What flows remember of their packets' records is not true any more. */
static void
forget_records(const struct flow_logger *log)
{
    unsigned i;

    for (i = 0; i < log->n_shared; i++)
        hg_tables_changed(log->shared[i]);
}

/* An interface is not what it was.  Its number may have records that would
 * not be made now. */
static void
doubt_records(const struct flow_logger *log)
{
    unsigned i;

    forget_records(log);
    for (i = 0; i < log->n_shared; i++)
        hg_flow_records_ask_each(log->shared[i]->table);
}

/* The interface of a record of the inventory; NULL if it is not logged. */
static struct logged *
interface_of(struct flow_logger *log, const struct hg_eni *eni)
{
    struct logged *l;

    if (eni->number >= log->n_interfaces && !make_room(log, eni->number))
        return NULL;
    l = &log->interfaces[eni->number];
    if (l->eni != eni) {
        if (l->eni)
            doubt_records(log);
        learn(log, l, eni);
    }
    return l->monitored ? l : NULL;
}

/* ---- Records ---------------------------------------------------------- */

static uint32_t
n_records(const struct flow_logger *self)
{
    uint32_t n;

    hg_flow_records_all(self->table, &n);
    return n;
}

/* ---- Writing ---------------------------------------------------------- */

/* The text as gzip (RFC 1952), to be freed; NULL without memory. */
static void *
compress_text(const struct hg_flow_text *text, size_t *size)
{
    enum { GZIP = 15 + 16, MEMORY = 8 }; /* See zlib.h, deflateInit2(). */
    z_stream z = {0};
    uLong bound;
    void *out = NULL;

    if (deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, GZIP, MEMORY,
                     Z_DEFAULT_STRATEGY) != Z_OK)
        return NULL;
    bound = deflateBound(&z, text->len);
    out = malloc(bound);
    if (out) {
        z.next_in = (Bytef *)text->s;
        z.avail_in = (uInt)text->len;
        z.next_out = out;
        z.avail_out = (uInt)bound;
        deflate(&z, Z_FINISH);
        *size = z.total_out;
    }
    deflateEnd(&z);
    return out;
}

static bool
write_text(struct flow_logger *log, struct hg_error *error)
{
    size_t size;
    void *bytes;
    bool ok;

    if (log->log_destination_type != HG_FLOW_TO_S3)
        return hg_flow_sink_write(log->sink, 0, log->text.s, log->text.len,
                                  error);
    bytes = compress_text(&log->text, &size);
    if (!bytes)
        return hg_error_set(error, "out of memory for an object of %zu bytes",
                            log->text.len);
    ok = hg_flow_sink_write(log->sink, log->object_s, bytes, size, error);
    free(bytes);
    return ok;
}

static void
publish(struct flow_logger *log)
{
    struct hg_error error;

    if (!log->text_lines)
        return;
    if (!write_text(log, &error)) {
        if (!log->has_failed)
            hg_warn(log, "%s; records are lost", error.text);
        log->has_failed = true;
        log->records_lost.n += log->text_lines;
    }
    log->text.len = 0;
    log->text_lines = 0;
}

static void
add_line(struct flow_logger *log, const struct logged *l,
         struct hg_flow_line line)
{
    bool is_s3 = log->log_destination_type == HG_FLOW_TO_S3;
    uint64_t object_s = line.end_s - line.end_s % HG_FLOW_OBJECT_S;
    struct hg_flow_interface text = text_of(log, l);

    if (is_s3 && log->object_s != object_s)
        publish(log);
    log->object_s = object_s;
    if (is_s3 && !log->text_lines)
        hg_flow_format_header(log->format, &log->text);
    line.interface = &text;
    hg_flow_format_line(log->format, &line, &log->text);
    log->text_lines++;
    if (log->text.len >= (is_s3 ? log->object_size.bytes : WRITE_SIZE))
        publish(log);
}

static struct hg_flow_line
line_of(const struct flow_logger *log, const struct hg_flow_record *r)
{
    return (struct hg_flow_line){.status = HG_FLOW_OK,
                                 .record = r,
                                 .start_s = log->window_s + r->start_s,
                                 .end_s = log->window_s + r->end_s};
}

/* Those of its own and of others that end from 'from_s' to before 'to_s'
 * after the window's begin. */
static uint32_t
add_records(struct flow_logger *log, uint32_t from_s, uint32_t to_s)
{
    uint32_t n_added = 0, n, k;
    unsigned i;

    for (i = 0; i < log->n_shared; i++) {
        const struct hg_flow_record *r =
            hg_flow_records_all(log->shared[i]->table, &n);

        for (k = 0; k < n; k++, r++) {
            struct logged *l = &log->interfaces[r->key.interface];
            struct hg_flow_line line = line_of(log, r);

            if (r->end_s < from_s || r->end_s >= to_s)
                continue;
            add_line(log, l, line);
            l->seen = log->window_n;
            n_added++;
        }
    }
    log->records.n += n_added;
    return n_added;
}

/* Says of an interface that it had no packets, or that some are missing. */
static void
add_status(struct flow_logger *log, struct logged *l, uint64_t end_s)
{
    struct hg_flow_line line = {.start_s = log->begin_s, .end_s = end_s};

    if (l->skipped) {
        line.status = HG_FLOW_SKIPDATA;
        hg_count(&log->skipdata_records);
    } else if (log->nodata && l->seen != log->window_n &&
               log->begin_s < end_s) {
        line.status = HG_FLOW_NODATA;
        hg_count(&log->nodata_records);
    } else {
        return;
    }
    add_line(log, l, line);
    l->skipped = false;
}

static void
add_statuses(struct flow_logger *log, uint64_t end_s)
{
    size_t n, i;

    if (log->interface_id || log->interfaces[0].skipped)
        add_status(log, &log->interfaces[0], end_s);
    n = log->inventory && !log->interface_id
            ? hg_inventory_n_enis(log->inventory)
            : 0;
    for (i = 0; i < n; i++) {
        const struct hg_eni *eni = hg_inventory_eni_at(log->inventory, i);
        struct logged *l = eni ? interface_of(log, eni) : NULL;

        if (l)
            add_status(log, l, end_s);
    }
}

#endif
