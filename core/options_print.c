/* options_print.c: writes an option as a graph file would say it; see
 * lang.h. */
#include <string.h>

#include "graph_internal.h"
#include "lang.h"
#include "options_internal.h"

static void
print_choice(const char *choices, uint64_t index, FILE *out)
{
    while (index-- && *choices) {
        choices += strcspn(choices, " ");
        choices += strspn(choices, " ");
    }
    fprintf(out, "%.*s", (int)strcspn(choices, " "), choices);
}

static uint64_t
load_number(const void *at, enum hg_type type)
{
    uint16_t v16;
    uint32_t v32;
    uint64_t v64;

    switch (type) {
    case HG_TYPE_BOOL:
    case HG_TYPE_U8:
        return *(const uint8_t *)at;
    case HG_TYPE_U16:
        memcpy(&v16, at, sizeof v16);
        return v16;
    case HG_TYPE_U32:
        memcpy(&v32, at, sizeof v32);
        return v32;
    default:
        memcpy(&v64, at, sizeof v64);
        return v64;
    }
}

static void
print_value(const void *at, const struct hg_field *field, enum hg_type type,
            FILE *out)
{
    char buf[64];
    struct hg_rate rate;
    struct hg_port_range range;
    struct hg_addr addr;
    struct hg_prefix prefix;
    struct hg_element *element;
    char *string;

    if (field->choices && type != HG_TYPE_STRING) {
        print_choice(field->choices, load_number(at, type), out);
        return;
    }
    switch (type) {
    case HG_TYPE_BOOL:
        fputs(load_number(at, type) ? "true" : "false", out);
        break;
    case HG_TYPE_STRING:
        memcpy(&string, at, sizeof string);
        fputs(string ? string : "", out);
        break;
    case HG_TYPE_ADDR:
        memcpy(&addr, at, sizeof addr);
        fputs(addr.family ? hg_addr_format(&addr, buf) : "", out);
        break;
    case HG_TYPE_PREFIX:
        memcpy(&prefix, at, sizeof prefix);
        fputs(prefix.addr.family ? hg_prefix_format(&prefix, buf) : "", out);
        break;
    case HG_TYPE_MAC:
        fputs(hg_mac_format(at, buf), out);
        break;
    case HG_TYPE_PORT_RANGE:
        memcpy(&range, at, sizeof range);
        if (range.low == range.high)
            fprintf(out, "%u", range.low);
        else
            fprintf(out, "%u-%u", range.low, range.high);
        break;
    case HG_TYPE_RATE:
        memcpy(&rate, at, sizeof rate);
        fputs(hg_rate_format(&rate, buf), out);
        break;
    case HG_TYPE_ELEMENT:
        memcpy(&element, at, sizeof element);
        fputs(element ? element->name : "", out);
        break;
    default:
        option_format_number(type, load_number(at, type), buf, sizeof buf);
        fputs(buf, out);
        break;
    }
}

static void
print_rows(struct vector rows, const struct hg_field *field, FILE *out)
{
    char name[128];
    size_t i, k;

    for (i = 0; i < rows.n; i++) {
        const uint8_t *row = (const uint8_t *)rows.v + i * field->row_size;

        fprintf(out, "%s%s {", i ? "\n" : "",
                options_hyphenate(field->name, name, sizeof name));
        for (k = 0; k < field->n_fields; k++) {
            fprintf(
                out, " %s = ",
                options_hyphenate(field->fields[k].name, name, sizeof name));
            options_print(row, &field->fields[k], out);
        }
        fputs(" }", out);
    }
}

void
options_print(const void *base, const struct hg_field *field, FILE *out)
{
    const struct type_info *info = &option_types[field->type];
    struct vector vector;
    size_t i;

    if (field->type == HG_TYPE_ROWS) {
        print_rows(vector_load(base, field), field, out);
        return;
    }
    if (!info->list) {
        print_value((const uint8_t *)base + field->offset, field, field->type,
                    out);
        return;
    }
    vector = vector_load(base, field);
    fputs("{ ", out);
    for (i = 0; i < vector.n; i++) {
        fputs(i ? ", " : "", out);
        print_value((const uint8_t *)vector.v + i * info->size, field,
                    info->item, out);
    }
    fputs(vector.n ? " }" : "}", out);
}
