/* manual.c: see manual.h. */
#include "manual.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "table.h"

/* ---- Words for fields ------------------------------------------------- */

struct type_words {
    const char *one;
    const char *key; /* In JSON. */
};

static const struct type_words type_words[] = {
    [HG_TYPE_BOOL] = {"true or false", "boolean"},
    [HG_TYPE_U8] = {"number", "number"},
    [HG_TYPE_U16] = {"number", "number"},
    [HG_TYPE_U32] = {"number", "number"},
    [HG_TYPE_U64] = {"number", "number"},
    [HG_TYPE_STRING] = {"text", "string"},
    [HG_TYPE_ADDR] = {"address", "address"},
    [HG_TYPE_PREFIX] = {"prefix", "prefix"},
    [HG_TYPE_MAC] = {"MAC address", "mac"},
    [HG_TYPE_PORT_RANGE] = {"port or range of ports", "port-range"},
    [HG_TYPE_DURATION] = {"duration", "duration"},
    [HG_TYPE_SIZE] = {"size", "size"},
    [HG_TYPE_RATE] = {"rate", "rate"},
    [HG_TYPE_ELEMENT] = {"name of an element", "element"},
    [HG_TYPE_ADDR_LIST] = {"list of addresses", "address-list"},
    [HG_TYPE_PREFIX_LIST] = {"list of prefixes", "prefix-list"},
    [HG_TYPE_PORT_RANGE_LIST] = {"list of port ranges", "port-range-list"},
    [HG_TYPE_STRING_LIST] = {"list of texts", "string-list"},
    [HG_TYPE_NUMBER_LIST] = {"list of numbers", "number-list"},
    [HG_TYPE_ROWS] = {"subsections", "rows"},
    [HG_TYPE_COUNTER] = {"counter", "counter"},
    [HG_TYPE_GAUGE] = {"gauge", "gauge"},
};

/* As in graph files. */
static char *
hyphenate(const char *name)
{
    char *text = cli_printf("%s", name), *p;

    for (p = text; *p; p++)
        if (*p == '_')
            *p = '-';
    return text;
}

static char *
quantity(enum hg_type type, uint64_t n)
{
    char buf[HG_DURATION_STRLEN];

    if (type == HG_TYPE_DURATION)
        return cli_printf("%s", hg_duration_format(n, buf));
    return cli_printf("%" PRIu64, n);
}

static uint64_t
type_max(enum hg_type type)
{
    switch (type) {
    case HG_TYPE_U8:
        return UINT8_MAX;
    case HG_TYPE_U16:
        return UINT16_MAX;
    case HG_TYPE_U32:
        return UINT32_MAX;
    default:
        return UINT64_MAX;
    }
}

/* " from 1 to 254", " of at least 1s", or nothing. */
static void
write_range(const struct hg_field *f, FILE *out)
{
    uint64_t top = f->max ? f->max : type_max(f->type);
    char *min = quantity(f->type, f->min), *max = quantity(f->type, top);

    if (top != UINT64_MAX)
        fprintf(out, " from %s to %s", min, max);
    else if (f->min > 0)
        fprintf(out, " of at least %s", min);
    free(min);
    free(max);
}

static void
write_count(const struct hg_field *f, FILE *out)
{
    if (f->min_n > 0 && f->max_n > 0)
        fprintf(out, ", %" PRIu32 " to %" PRIu32, f->min_n, f->max_n);
    else if (f->max_n > 0)
        fprintf(out, ", at most %" PRIu32, f->max_n);
    else if (f->min_n > 0)
        fprintf(out, ", at least %" PRIu32, f->min_n);
}

static void
write_choices(const char *choices, FILE *out)
{
    fputs("one of ", out);
    for (; *choices; choices++) {
        if (*choices == ' ')
            fputs(", ", out);
        else
            fputc(*choices, out);
    }
}

static bool
has_range(enum hg_type type)
{
    return (type >= HG_TYPE_U8 && type <= HG_TYPE_U64) ||
           (type >= HG_TYPE_DURATION && type <= HG_TYPE_RATE);
}

/* "number from 1 to 254; default 1; required". */
static char *
describe(const struct hg_field *f)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    if (!out)
        return cli_printf("%s", type_words[f->type].one);
    if (f->choices)
        write_choices(f->choices, out);
    else
        fputs(type_words[f->type].one, out);
    if (f->cls)
        fprintf(out, " of class %s", f->cls);
    if (!f->choices && has_range(f->type))
        write_range(f, out);
    write_count(f, out);
    if (f->required)
        fputs("; required", out);
    else if (f->def)
        fprintf(out, "; default %s", f->def);
    if (f->title)
        fputs("; the title", out);
    if (f->live)
        fputs("; may change while running", out);
    fclose(out);
    return text;
}

/* ---- The page --------------------------------------------------------- */

/* "    name         doc", the doc in lines of its own if the name is long. */
static void
print_entry(FILE *out, unsigned indent, const char *name, const char *text)
{
    unsigned at = indent + 24;

    if (strlen(name) > 22)
        fprintf(out, "%*s%s\n%*s", (int)indent, "", name, (int)at, "");
    else
        fprintf(out, "%*s%-24s", (int)indent, "", name);
    text_wrap(out, text ? text : "", at);
}

static void
print_options(const struct hg_field *fields, size_t n, unsigned indent,
              FILE *out)
{
    size_t i;

    for (i = 0; i < n; i++) {
        const struct hg_field *f = &fields[i];
        char *name, *type, *text;

        if (f->kind != HG_FIELD_OPTION)
            continue;
        name = hyphenate(f->name);
        type = describe(f);
        text = cli_printf("%s%s%s", f->doc ? f->doc : "", f->doc ? "\n" : "",
                          type);
        print_entry(out, indent, name, text);
        free(text);
        free(type);
        free(name);
    }
}

/* Subsections, and those within them. */
static void
print_rows(const struct hg_field *fields, size_t n, unsigned indent, FILE *out)
{
    size_t i;

    for (i = 0; i < n; i++) {
        const struct hg_field *f = &fields[i];
        char *name;

        if (f->kind != HG_FIELD_ROWS)
            continue;
        name = hyphenate(f->name);
        if (indent == 0)
            fputs("\nSUBSECTIONS  ", out);
        fprintf(out, "%*s%s TITLE { ... }", (int)indent, "", name);
        write_count(f, out);
        fputc('\n', out);
        free(name);
        indent += 4;
        if (f->doc) {
            fprintf(out, "%*s", (int)indent, "");
            text_wrap(out, f->doc, indent);
        }
        print_options(f->fields, f->n_fields, indent, out);
        print_rows(f->fields, f->n_fields, indent, out);
        indent -= 4;
    }
}

static bool
has_kind(const struct hg_class *cls, enum hg_field_kind kind)
{
    size_t i;

    for (i = 0; i < cls->n_fields; i++)
        if (cls->fields[i].kind == kind)
            return true;
    return false;
}

static void
print_numbers(const struct hg_class *cls, enum hg_field_kind kind,
              const char *heading, FILE *out)
{
    size_t i;

    if (!has_kind(cls, kind))
        return;
    fprintf(out, "\n%s\n", heading);
    for (i = 0; i < cls->n_fields; i++)
        if (cls->fields[i].kind == kind)
            print_entry(out, 4, cls->fields[i].name, cls->fields[i].doc);
}

static void
print_ports(const char *names, const char *kind, FILE *out)
{
    char *copy = cli_printf("%s", names ? names : ""), *word, *save = NULL;

    for (word = strtok_r(copy, " ", &save); word;
         word = strtok_r(NULL, " ", &save)) {
        size_t len = strlen(word);
        bool optional = len > 1 && word[len - 1] == '?';

        if (optional)
            word[len - 1] = '\0';
        if (strcmp(word, "*") == 0)
            fprintf(out, "    %-8sfurther ones, as configured\n", kind);
        else
            fprintf(out, "    %-8s%s%s\n", kind, word,
                    optional ? "  (may stay unwired)" : "");
    }
    free(copy);
}

static void
print_words(const char *label, const char *words, FILE *out)
{
    if (words && *words)
        fprintf(out, "    %-9s%s\n", label, words);
}

static void
print_handlers(const struct hg_class *cls, FILE *out)
{
    size_t i;

    if (cls->n_handlers == 0)
        return;
    fputs("\nHANDLERS\n", out);
    for (i = 0; i < cls->n_handlers; i++) {
        const struct hg_handler *h = &cls->handlers[i];
        char *text = cli_printf("%s%s%s%s%s", h->read ? "read" : "",
                                h->read && h->write ? ", " : "",
                                h->write ? "write" : "", h->doc ? ": " : "",
                                h->doc ? h->doc : "");

        print_entry(out, 4, h->name, text);
        free(text);
    }
}

/* Paragraphs of text, each line indented. */
static void
print_lines(const char *text, FILE *out)
{
    while (*text) {
        size_t n = strcspn(text, "\n");
        char *line = cli_printf("%.*s", (int)n, text);

        if (n > 0)
            fputs("    ", out);
        text_wrap(out, line, 4);
        free(line);
        text += n + (text[n] == '\n');
    }
}

/* How the class stands to what it is made after. */
static void
print_real_thing(const struct hg_class *cls, FILE *out)
{
    if (!cls->reproduces)
        return;
    fputs("\nTHE REAL THING\n", out);
    print_entry(out, 4, "reproduced", cls->reproduces);
    print_entry(out, 4, "left out", cls->leaves_out);
    print_entry(out, 4, "your choice", cls->lets_choose);
}

void
manual_print(const struct hg_class *cls, FILE *out)
{
    fprintf(out, "%s: %s\n", cls->name, cls->summary ? cls->summary : "");
    if (cls->doc) {
        fputc('\n', out);
        print_lines(cls->doc, out);
    }
    if ((cls->inputs && *cls->inputs) || (cls->outputs && *cls->outputs)) {
        fputs("\nPORTS\n", out);
        print_ports(cls->inputs, "input", out);
        print_ports(cls->outputs, "output", out);
    }
    if (cls->needs || cls->provides || cls->revokes) {
        fputs("\nPACKETS\n", out);
        print_words("needs", cls->needs, out);
        print_words("provides", cls->provides, out);
        print_words("revokes", cls->revokes, out);
    }
    if (has_kind(cls, HG_FIELD_OPTION)) {
        fputs("\nOPTIONS\n", out);
        print_options(cls->fields, cls->n_fields, 4, out);
    }
    print_rows(cls->fields, cls->n_fields, 0, out);
    print_numbers(cls, HG_FIELD_COUNTER, "COUNTERS", out);
    print_numbers(cls, HG_FIELD_REASON, "DROP REASONS", out);
    print_numbers(cls, HG_FIELD_GAUGE, "GAUGES", out);
    print_handlers(cls, out);
    print_real_thing(cls, out);
    if (cls->example) {
        fputs("\nEXAMPLE\n", out);
        print_lines(cls->example, out);
    }
}

/* ---- JSON ------------------------------------------------------------- */

static json_t *
text_or_null(const char *text)
{
    return text ? json_string(text) : json_null();
}

/* "in out? *" as objects; '*further' if there is a "*". */
static json_t *
ports_json(const char *names, bool *further)
{
    char *copy = cli_printf("%s", names ? names : ""), *word, *save = NULL;
    json_t *ports = json_array();

    *further = false;
    for (word = strtok_r(copy, " ", &save); word;
         word = strtok_r(NULL, " ", &save)) {
        size_t len = strlen(word);
        bool optional = len > 1 && word[len - 1] == '?';
        json_t *port;

        if (strcmp(word, "*") == 0) {
            *further = true;
            continue;
        }
        port = json_object();
        json_object_set_new(port, "name",
                            json_stringn(word, optional ? len - 1 : len));
        json_object_set_new(port, "optional", json_boolean(optional));
        json_array_append_new(ports, port);
    }
    free(copy);
    return ports;
}

static json_t *
words_json(const char *words)
{
    char *copy = cli_printf("%s", words ? words : ""), *word, *save = NULL;
    json_t *array = json_array();

    for (word = strtok_r(copy, " ", &save); word;
         word = strtok_r(NULL, " ", &save))
        json_array_append_new(array, json_string(word));
    free(copy);
    return array;
}

static json_t *fields_json(const struct hg_field *fields, size_t n,
                           enum hg_field_kind kind);

static json_t *
field_json(const struct hg_field *f)
{
    json_t *o = json_object();
    char *name = f->kind == HG_FIELD_OPTION || f->kind == HG_FIELD_ROWS
                     ? hyphenate(f->name)
                     : cli_printf("%s", f->name);

    json_object_set_new(o, "name", json_string(name));
    free(name);
    json_object_set_new(o, "doc", text_or_null(f->doc));
    if (f->kind == HG_FIELD_ROWS) {
        json_object_set_new(
            o, "options",
            fields_json(f->fields, f->n_fields, HG_FIELD_OPTION));
        json_object_set_new(
            o, "rows", fields_json(f->fields, f->n_fields, HG_FIELD_ROWS));
    }
    if (f->kind == HG_FIELD_OPTION) {
        char *type = describe(f);

        json_object_set_new(
            o, "type",
            json_string(f->choices ? "choice" : type_words[f->type].key));
        json_object_set_new(o, "description", json_string(type));
        json_object_set_new(o, "default", text_or_null(f->def));
        json_object_set_new(o, "choices", words_json(f->choices));
        json_object_set_new(o, "required", json_boolean(f->required));
        json_object_set_new(o, "live", json_boolean(f->live));
        free(type);
    }
    return o;
}

static json_t *
fields_json(const struct hg_field *fields, size_t n, enum hg_field_kind kind)
{
    json_t *array = json_array();
    size_t i;

    for (i = 0; i < n; i++)
        if (fields[i].kind == kind)
            json_array_append_new(array, field_json(&fields[i]));
    return array;
}

static json_t *
handlers_json(const struct hg_class *cls)
{
    json_t *array = json_array();
    size_t i;

    for (i = 0; i < cls->n_handlers; i++) {
        const struct hg_handler *h = &cls->handlers[i];
        json_t *o = json_object();

        json_object_set_new(o, "name", json_string(h->name));
        json_object_set_new(o, "doc", text_or_null(h->doc));
        json_object_set_new(o, "read", json_boolean(h->read != NULL));
        json_object_set_new(o, "write", json_boolean(h->write != NULL));
        json_array_append_new(array, o);
    }
    return array;
}

json_t *
manual_json(const struct hg_class *cls)
{
    static const struct {
        const char *key;
        enum hg_field_kind kind;
    } kinds[] = {{"options", HG_FIELD_OPTION},
                 {"rows", HG_FIELD_ROWS},
                 {"counters", HG_FIELD_COUNTER},
                 {"drop_reasons", HG_FIELD_REASON},
                 {"gauges", HG_FIELD_GAUGE}};
    json_t *o = json_object();
    bool further;
    size_t i;

    json_object_set_new(o, "name", json_string(cls->name));
    json_object_set_new(o, "summary", text_or_null(cls->summary));
    json_object_set_new(o, "doc", text_or_null(cls->doc));
    json_object_set_new(o, "device",
                        json_boolean(cls->flags & HG_CLASS_DEVICE));
    json_object_set_new(o, "passive",
                        json_boolean(cls->flags & HG_CLASS_PASSIVE));
    json_object_set_new(o, "inputs", ports_json(cls->inputs, &further));
    json_object_set_new(o, "further_inputs", json_boolean(further));
    json_object_set_new(o, "outputs", ports_json(cls->outputs, &further));
    json_object_set_new(o, "further_outputs", json_boolean(further));
    json_object_set_new(o, "needs", words_json(cls->needs));
    json_object_set_new(o, "provides", words_json(cls->provides));
    json_object_set_new(o, "revokes", words_json(cls->revokes));
    for (i = 0; i < sizeof kinds / sizeof *kinds; i++)
        json_object_set_new(
            o, kinds[i].key,
            fields_json(cls->fields, cls->n_fields, kinds[i].kind));
    json_object_set_new(o, "handlers", handlers_json(cls));
    json_object_set_new(o, "reproduces", text_or_null(cls->reproduces));
    json_object_set_new(o, "leaves_out", text_or_null(cls->leaves_out));
    json_object_set_new(o, "lets_choose", text_or_null(cls->lets_choose));
    json_object_set_new(o, "example", text_or_null(cls->example));
    return o;
}
