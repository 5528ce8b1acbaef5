/* summary.c: collects the account of a run; see summary.h.  summary_table.c
 * prints it for a person. */
#include "summary.h"

#include <stdlib.h>
#include <string.h>

#include "summary_table.h"

static void
set_number(json_t *object, const char *key, uint64_t n)
{
    json_object_set_new(object, key, json_integer((json_int_t)n));
}

void
summary_init(struct summary *s, const char *graph_path, uint64_t seed)
{
    *s = (struct summary){json_object(), true};
    json_object_set_new(s->root, "graph", json_string(graph_path));
    set_number(s->root, "seed", seed);
}

void
summary_uninit(struct summary *s)
{
    json_decref(s->root);
}

/* ---- Handlers --------------------------------------------------------- */

/* One line of a handler's answer: an object or a number where it is one. */
static json_t *
line_value(const char *line, size_t len)
{
    json_t *value = json_loadb(line, len, JSON_DECODE_ANY, NULL);

    return value ? value : json_stringn_nocheck(line, len);
}

/* jansson refuses text that is not UTF-8; such bytes become '?'. */
static void
make_printable(char *text)
{
    json_t *probe = json_string(text);

    json_decref(probe);
    for (; !probe && *text; text++)
        if ((unsigned char)*text >= 0x80)
            *text = '?';
}

void
summary_add_read(struct summary *s, const char *name, const char *text)
{
    json_t *reads = json_object_get(s->root, "read");
    json_t *lines = json_array();
    char *copy = cli_printf("%s", text);
    char *line = copy;

    make_printable(copy);
    if (!reads) {
        reads = json_object();
        json_object_set_new(s->root, "read", reads);
    }
    while (*line) {
        size_t len = strcspn(line, "\n");

        json_array_append_new(lines, line_value(line, len));
        line += len;
        if (*line)
            line++;
    }
    free(copy);
    json_object_set_new(reads, name, lines);
}

/* ---- Devices ---------------------------------------------------------- */

static json_t *
device_object(const struct binding *b)
{
    const struct hg_device *d = b->device;
    json_t *o = json_object();

    json_object_set_new(o, "device", json_string(b->spec));
    json_object_set_new(o, "live", json_boolean(d->live));
    set_number(o, "received", d->rx_packets);
    set_number(o, "received_bytes", d->rx_bytes);
    set_number(o, "sent", d->tx_packets);
    set_number(o, "sent_bytes", d->tx_bytes);
    set_number(o, "filtered", d->rx_filtered);
    set_number(o, "unusable", d->rx_unusable);
    set_number(o, "missed", d->rx_missed);
    set_number(o, "backwards", d->rx_backwards);
    set_number(o, "send_failed", d->tx_failed);
    return o;
}

void
summary_add_devices(struct summary *s, const struct bindings *b)
{
    json_t *devices = json_object();
    size_t i;

    for (i = 0; i < b->n; i++)
        json_object_set_new(devices, b->v[i].name, device_object(&b->v[i]));
    json_object_set_new(s->root, "devices", devices);
}

void
summary_add_failures(struct summary *s, const struct bindings *b)
{
    json_t *devices = json_object_get(s->root, "devices");
    size_t i;

    for (i = 0; i < b->n; i++) {
        const char *why = b->v[i].failure;

        json_object_set_new(json_object_get(devices, b->v[i].name), "failure",
                            why ? json_string(why) : json_null());
    }
}

/* ---- Elements --------------------------------------------------------- */

static json_t *
port_object(const struct hg_port_info *info)
{
    json_t *o = json_object();

    set_number(o, "packets", info->packets);
    set_number(o, "bytes", info->bytes);
    return o;
}

static json_t *
ports_object(const struct hg_element *e, bool outputs)
{
    unsigned n = outputs ? hg_element_n_outputs(e) : hg_element_n_inputs(e);
    json_t *o = json_object();
    unsigned i;

    for (i = 0; i < n; i++) {
        struct hg_port_info info;

        if (outputs)
            hg_element_output(e, i, &info);
        else
            hg_element_input(e, i, &info);
        json_object_set_new(o, info.name, port_object(&info));
    }
    return o;
}

/* The fields of one kind; their sum in '*sum'. */
static json_t *
fields_object(const struct hg_element *e, enum hg_field_kind kind,
              uint64_t *sum)
{
    const struct hg_class *cls = hg_element_class(e);
    json_t *o = json_object();
    size_t i;

    *sum = 0;
    for (i = 0; i < cls->n_fields; i++) {
        uint64_t n;

        if (cls->fields[i].kind != kind)
            continue;
        n = hg_element_number(e, &cls->fields[i]);
        set_number(o, cls->fields[i].name, n);
        *sum += n;
    }
    return o;
}

static json_t *
element_object(const struct hg_element *e, bool *balanced)
{
    json_t *o = json_object();
    struct hg_account a;
    json_t *drops;
    uint64_t sum, unused;

    hg_element_account(e, &a);
    drops = fields_object(e, HG_FIELD_REASON, &sum);
    set_number(drops, "unwired", a.unwired);
    set_number(drops, "loop", a.loop);
    *balanced =
        a.in + a.received + a.made == a.out + a.sent + a.dropped + a.held &&
        sum + a.unwired + a.loop == a.dropped;
    json_object_set_new(o, "class", json_string(hg_element_class(e)->name));
    set_number(o, "in", a.in);
    set_number(o, "in_bytes", a.in_bytes);
    set_number(o, "received", a.received);
    set_number(o, "made", a.made);
    set_number(o, "out", a.out);
    set_number(o, "out_bytes", a.out_bytes);
    set_number(o, "sent", a.sent);
    set_number(o, "dropped", a.dropped);
    set_number(o, "held", a.held);
    json_object_set_new(o, "balanced", json_boolean(*balanced));
    json_object_set_new(o, "inputs", ports_object(e, false));
    json_object_set_new(o, "outputs", ports_object(e, true));
    json_object_set_new(o, "drops", drops);
    json_object_set_new(o, "counters",
                        fields_object(e, HG_FIELD_COUNTER, &unused));
    json_object_set_new(o, "gauges",
                        fields_object(e, HG_FIELD_GAUGE, &unused));
    return o;
}

void
summary_add_elements(struct summary *s, const struct hg_graph *g)
{
    json_t *elements = json_object(), *total = json_object();
    struct hg_account a;
    size_t i;

    s->balanced = hg_graph_account(g, &a);
    for (i = 0; i < hg_graph_n_elements(g); i++) {
        const struct hg_element *e = hg_graph_element(g, i);
        bool balanced;

        json_object_set_new(elements, hg_element_name(e),
                            element_object(e, &balanced));
        s->balanced = s->balanced && balanced;
    }
    json_object_set_new(s->root, "elements", elements);
    set_number(total, "received", a.received);
    set_number(total, "made", a.made);
    set_number(total, "sent", a.sent);
    set_number(total, "dropped", a.dropped);
    set_number(total, "held", a.held);
    set_number(total, "lost",
               a.received + a.made - a.sent - a.dropped - a.held);
    json_object_set_new(total, "balanced", json_boolean(s->balanced));
    json_object_set_new(s->root, "total", total);
}

/* ---- Times ------------------------------------------------------------ */

void
summary_add_times(struct summary *s, const struct loop *l, uint64_t wall_ns,
                  uint64_t cpu_ns)
{
    json_t *packet_time = json_object(), *timing = json_object();
    json_int_t n = json_integer_value(
        json_object_get(json_object_get(s->root, "total"), "received"));

    set_number(packet_time, "first_ns", l->first_ns);
    set_number(packet_time, "last_ns", l->last_ns);
    json_object_set_new(l->live ? timing : s->root, "packet_time",
                        packet_time);
    set_number(timing, "batch", l->batch);
    set_number(timing, "wall_ns", wall_ns);
    set_number(timing, "cpu_ns", cpu_ns);
    if (wall_ns > 0)
        json_object_set_new(timing, "packets_per_second",
                            json_real((double)n * 1e9 / (double)wall_ns));
    if (n > 0)
        json_object_set_new(timing, "cpu_ns_per_packet",
                            json_real((double)cpu_ns / (double)n));
    json_object_set_new(s->root, "timing", timing);
}

void
summary_print(const struct summary *s, FILE *out, bool as_json)
{
    if (!as_json) {
        summary_table(s->root, out);
        return;
    }
    json_dumpf(s->root, out, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
    fputc('\n', out);
}
