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

/* The same element in all instances. */
struct all {
    struct hg_graph *const *graphs;
    size_t n;
    size_t index;
};

static const struct hg_element *
instance(const struct all *all, size_t i)
{
    return hg_graph_element(all->graphs[i], all->index);
}

static json_t *
port_object(const struct all *all, unsigned port, bool is_output,
            const char **name)
{
    uint64_t packets = 0, bytes = 0;
    json_t *o = json_object();
    size_t i;

    for (i = 0; i < all->n; i++) {
        struct hg_port_info info = {0};

        (is_output ? hg_element_output : hg_element_input)(instance(all, i),
                                                           port, &info);
        packets += info.packets;
        bytes += info.bytes;
        *name = info.name;
    }
    set_number(o, "packets", packets);
    set_number(o, "bytes", bytes);
    return o;
}

static json_t *
ports_object(const struct all *all, bool outputs)
{
    const struct hg_element *e = instance(all, 0);
    unsigned n = outputs ? hg_element_n_outputs(e) : hg_element_n_inputs(e);
    json_t *o = json_object();
    unsigned i;

    for (i = 0; i < n; i++) {
        const char *name = "";
        json_t *port = port_object(all, i, outputs, &name);

        json_object_set_new(o, name, port);
    }
    return o;
}

/* Adds what an instance says of a field; of how things are now only those
 * speak that are at work. */
static uint64_t
add(const struct hg_field *f, uint64_t sum, const struct hg_element *e)
{
    uint64_t n = hg_element_number(e, f);

    if (f->kind == HG_FIELD_GAUGE && !hg_element_is_working(e))
        return sum;
    return f->alike ? (n > sum ? n : sum) : sum + n;
}

/* The fields of one kind; their sum in '*sum'. */
static json_t *
fields_object(const struct all *all, enum hg_field_kind kind, uint64_t *sum)
{
    const struct hg_class *cls = hg_element_class(instance(all, 0));
    json_t *o = json_object();
    size_t i, k;

    *sum = 0;
    for (i = 0; i < cls->n_fields; i++) {
        uint64_t n = 0;

        if (cls->fields[i].kind != kind)
            continue;
        for (k = 0; k < all->n; k++)
            n = add(&cls->fields[i], n, instance(all, k));
        set_number(o, cls->fields[i].name, n);
        *sum += n;
    }
    return o;
}

static void
add_account(struct hg_account *sum, const struct hg_account *a)
{
    sum->in += a->in;
    sum->in_bytes += a->in_bytes;
    sum->out += a->out;
    sum->out_bytes += a->out_bytes;
    sum->received += a->received;
    sum->sent += a->sent;
    sum->made += a->made;
    sum->dropped += a->dropped;
    sum->held += a->held;
    sum->unwired += a->unwired;
    sum->loop += a->loop;
}

static json_t *
element_object(const struct all *all, struct hg_account *total, bool *balanced)
{
    const struct hg_element *e = instance(all, 0);
    struct hg_account a = {0};
    json_t *o = json_object(), *drops;
    uint64_t sum, unused;
    size_t i;

    for (i = 0; i < all->n; i++) {
        struct hg_account one;

        hg_element_account(instance(all, i), &one);
        add_account(&a, &one);
    }
    drops = fields_object(all, HG_FIELD_REASON, &sum);
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
    json_object_set_new(o, "inputs", ports_object(all, false));
    json_object_set_new(o, "outputs", ports_object(all, true));
    json_object_set_new(o, "drops", drops);
    json_object_set_new(o, "counters",
                        fields_object(all, HG_FIELD_COUNTER, &unused));
    json_object_set_new(o, "gauges",
                        fields_object(all, HG_FIELD_GAUGE, &unused));
    add_account(total, &a);
    return o;
}

void
summary_add_elements(struct summary *s, struct hg_graph *const *graphs,
                     size_t n)
{
    json_t *elements = json_object(), *total = json_object();
    struct all all = {.graphs = graphs, .n = n};
    struct hg_account a = {0};

    s->balanced = true;
    for (; all.index < hg_graph_n_elements(graphs[0]); all.index++) {
        bool balanced;
        json_t *e = element_object(&all, &a, &balanced);

        json_object_set_new(elements, hg_element_name(instance(&all, 0)), e);
        s->balanced = s->balanced && balanced;
    }
    if (a.received + a.made != a.sent + a.dropped + a.held)
        s->balanced = false;
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
