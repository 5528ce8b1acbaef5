/* summary_table.c: see summary_table.h. */
#include "summary_table.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "cli.h"
#include "table.h"

static json_int_t
number(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

static void
number_cell(struct table *t, const json_t *object, const char *key)
{
    table_cell(t, "%" JSON_INTEGER_FORMAT, number(object, key));
}

static void
headings(struct table *t, const char *const *names, size_t n)
{
    size_t i;

    for (i = 0; i < n; i++)
        table_cell(t, "%s", names[i]);
}

static void
print_devices(json_t *devices, FILE *out)
{
    static const char *const names[] = {"Interface", "Received", "Bytes",
                                        "Sent",      "Bytes",    "Device"};
    static const char *const troubles[] = {"filtered", "unusable", "missed",
                                           "backwards", "send_failed"};
    struct table *t = table_create("lrrrrl");
    const char *name;
    json_t *d;
    size_t i;

    headings(t, names, 6);
    json_object_foreach(devices, name, d)
    {
        table_cell(t, "%s", name);
        number_cell(t, d, "received");
        number_cell(t, d, "received_bytes");
        number_cell(t, d, "sent");
        number_cell(t, d, "sent_bytes");
        table_cell(t, "%s", json_string_value(json_object_get(d, "device")));
        for (i = 0; i < sizeof troubles / sizeof *troubles; i++) {
            if (number(d, troubles[i]) == 0)
                continue;
            table_cell(t, "  %s", troubles[i]);
            number_cell(t, d, troubles[i]);
            table_end_row(t);
        }
    }
    table_print(t, out, 0, cli_color(out));
    table_destroy(t);
    fputc('\n', out);
}

static void
print_elements(json_t *elements, FILE *out)
{
    static const char *const names[] = {"Element", "Class",    "In",
                                        "Out",     "Made",     "Dropped",
                                        "Held",    "Bytes in", "Bytes out"};
    struct table *t = table_create("llrrrrrrr");
    const char *name;
    json_t *e;

    headings(t, names, 9);
    json_object_foreach(elements, name, e)
    {
        table_cell(t, "%s", name);
        table_cell(t, "%s", json_string_value(json_object_get(e, "class")));
        number_cell(t, e, "in");
        number_cell(t, e, "out");
        number_cell(t, e, "made");
        number_cell(t, e, "dropped");
        number_cell(t, e, "held");
        number_cell(t, e, "in_bytes");
        number_cell(t, e, "out_bytes");
    }
    table_print(t, out, 0, cli_color(out));
    table_destroy(t);
    fputc('\n', out);
}

/* The numbers of one kind that are not zero, all elements in one table. */
static void
print_events(json_t *elements, const char *kind, const char *heading,
             FILE *out)
{
    struct table *t = table_create("llr");
    const char *name, *event;
    json_t *e, *n;
    bool some = false;

    table_cell(t, "%s", heading);
    table_end_row(t);
    json_object_foreach(elements, name, e)
    {
        bool first = true;

        json_object_foreach(json_object_get(e, kind), event, n)
        {
            if (json_integer_value(n) == 0)
                continue;
            table_cell(t, "%s", first ? name : "");
            table_cell(t, "%s", event);
            table_cell(t, "%" JSON_INTEGER_FORMAT, json_integer_value(n));
            first = false;
            some = true;
        }
    }
    if (some) {
        table_print(t, out, 0, cli_color(out));
        fputc('\n', out);
    }
    table_destroy(t);
}

static void
print_reads(json_t *reads, FILE *out)
{
    const char *name;
    json_t *lines, *line;
    size_t i;

    json_object_foreach(reads, name, lines)
    {
        fprintf(out, "%s:\n", name);
        json_array_foreach(lines, i, line)
        {
            fputs("    ", out);
            if (json_is_string(line))
                fputs(json_string_value(line), out);
            else
                json_dumpf(line, out, JSON_ENCODE_ANY);
            fputc('\n', out);
        }
        fputc('\n', out);
    }
}

static void
print_time(const json_t *root, FILE *out)
{
    json_t *timing = json_object_get(root, "timing");
    json_t *span = json_object_get(root, "packet_time");
    json_int_t first_ns, last_ns;
    time_t first_s;
    struct tm tm;
    char begin[32], rate[TEXT_SCALE_LEN];

    if (!span)
        span = json_object_get(timing, "packet_time");
    first_ns = number(span, "first_ns");
    last_ns = number(span, "last_ns");
    first_s = (time_t)(first_ns / (json_int_t)HG_SEC);
    gmtime_r(&first_s, &tm);
    strftime(begin, sizeof begin, "%Y-%m-%dT%H:%M:%SZ", &tm);
    if (last_ns == 0) {
        fputs("no packets came\n", out);
        return;
    }
    fprintf(out, "%.6g s of packets from %s, in %.3g s: %spackets/s",
            (double)(last_ns - first_ns) / 1e9, begin,
            (double)number(timing, "wall_ns") / 1e9,
            text_scale(
                json_real_value(json_object_get(timing, "packets_per_second")),
                rate));
    if (json_object_get(timing, "cpu_ns_per_packet"))
        fprintf(out, ", %.0f ns of CPU each",
                json_real_value(json_object_get(timing, "cpu_ns_per_packet")));
    fputc('\n', out);
}

static void
print_verdict(const json_t *root, FILE *out)
{
    json_t *total = json_object_get(root, "total");
    json_int_t lost = number(total, "lost");
    const char *name;
    json_t *e;

    json_object_foreach(json_object_get(root, "elements"), name, e)
    {
        if (!json_is_true(json_object_get(e, "balanced")))
            fprintf(out, "the account of '%s' does not balance\n", name);
    }
    fprintf(out,
            "in %" JSON_INTEGER_FORMAT " + made %" JSON_INTEGER_FORMAT
            " = out %" JSON_INTEGER_FORMAT " + dropped %" JSON_INTEGER_FORMAT
            " + held %" JSON_INTEGER_FORMAT ": ",
            number(total, "received"), number(total, "made"),
            number(total, "sent"), number(total, "dropped"),
            number(total, "held"));
    if (lost != 0)
        fprintf(out, "LOST %" JSON_INTEGER_FORMAT " packets\n", lost);
    else if (!json_is_true(json_object_get(total, "balanced")))
        fputs("WRONG, see above\n", out);
    else
        fputs("nothing was lost\n", out);
}

void
summary_table(const json_t *root, FILE *out)
{
    json_t *elements = json_object_get(root, "elements");

    print_devices(json_object_get(root, "devices"), out);
    print_elements(elements, out);
    print_events(elements, "drops", "Dropped", out);
    print_events(elements, "counters", "Counted", out);
    print_events(elements, "gauges", "Now", out);
    print_reads(json_object_get(root, "read"), out);
    print_time(root, out);
    print_verdict(root, out);
}
