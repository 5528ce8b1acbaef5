/* element.c: the view from inside an element (element.h), its configuration,
 * and its handlers, which derive from the table of fields. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "graph_internal.h"
#include "lang.h"

const char *
hg_name(const void *self)
{
    return element_of(self)->name;
}

const struct hg_class *
hg_element_class(const struct hg_element *e)
{
    return e->cls;
}

const char *
hg_element_name(const struct hg_element *e)
{
    return e->name;
}

void
hg_element_bind(struct hg_element *e, struct hg_device *device)
{
    e->device = device;
}

void *
hg_reference(struct hg_element *e, const char *class_name)
{
    return e && !strcmp(e->cls->name, class_name) ? hg_element_self(e) : NULL;
}

/* Passive elements of the first instance serve all workers. */
static struct hg_element *
serving(struct hg_element *e)
{
    return e->graph->kin && e->cls->flags & HG_CLASS_PASSIVE
               ? e->graph->kin->elements[e->index]
               : e;
}

static void *
service_of(struct hg_element *e, const char *interface)
{
    void *offered =
        e->cls->service
            ? e->cls->service(hg_element_self(serving(e)), interface)
            : NULL;

    if (offered && e->is_away && !(e->cls->flags & HG_CLASS_PASSIVE))
        e->graph->torn = e;
    return offered;
}

void *
hg_service(void *self, struct hg_element *element, const char *interface)
{
    const struct hg_graph *g = hg_element_of(self)->graph;
    void *found = NULL;
    size_t i;

    if (element)
        return service_of(element, interface);
    for (i = 0; i < g->n_elements; i++) {
        void *offered = service_of(g->elements[i], interface);

        if (offered && found)
            return NULL;
        if (offered)
            found = offered;
    }
    return found;
}

/* Those of the class of 'e' among the first 'n' elements of its graph. */
static unsigned
count_class(const struct hg_element *e, size_t n)
{
    unsigned count = 0;
    size_t i;

    for (i = 0; i < n; i++)
        count += e->graph->elements[i]->cls == e->cls;
    return count;
}

unsigned
hg_n_of_class(const void *self)
{
    const struct hg_element *e = element_of(self);

    return count_class(e, e->graph->n_elements);
}

unsigned
hg_which_of_class(const void *self)
{
    const struct hg_element *e = element_of(self);

    return count_class(e, e->index);
}

/* ---- Time and chance -------------------------------------------------- */

void
hg_timer_init(void *self, struct hg_timer *t, hg_timer_fn *fn)
{
    *t = (struct hg_timer){.fn = fn,
                           .owner = self,
                           .deadline_ns = HG_NEVER,
                           .order = hg_element_of(self)->index};
}

void
hg_timer_set(void *self, struct hg_timer *t, uint64_t deadline_ns)
{
    hg_wheel_set(hg_element_of(self)->graph->wheel, t, deadline_ns);
}

void
hg_timer_cancel(void *self, struct hg_timer *t)
{
    hg_wheel_cancel(hg_element_of(self)->graph->wheel, t);
}

void
hg_promise_delay(void *self, uint64_t ns)
{
    struct hg_element *e = hg_element_of(self);

    if (ns < e->span_ns)
        e->span_ns = ns ? ns : 1;
}

uint64_t
hg_now(const void *self)
{
    return hg_wheel_now(element_of(self)->graph->wheel);
}

bool
hg_is_live(const void *self)
{
    return element_of(self)->graph->live;
}

uint64_t
hg_seed(const void *self)
{
    return element_of(self)->seed;
}

/* splitmix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number
 * Generators, OOPSLA 2014). */
uint64_t
hg_random(void *self)
{
    uint64_t z = hg_element_of(self)->random += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* ---- Ports ------------------------------------------------------------ */

static int
named_output(const struct hg_element *e, const char *name)
{
    unsigned i;

    for (i = 0; i < e->n_outputs; i++)
        if (!strcmp(e->outputs[i].name, name))
            return (int)i;
    return -1;
}

static int
named_input(const struct hg_element *e, const char *name)
{
    unsigned i;

    for (i = 0; i < e->n_inputs; i++)
        if (!strcmp(e->inputs[i].name, name))
            return (int)i;
    return -1;
}

int
hg_declare_output(void *self, const char *name, bool optional)
{
    struct hg_element *e = hg_element_of(self);

    if (named_output(e, name) >= 0) {
        hg_config_error(self, NULL, -1, "it has two outputs named '%s'", name);
        return -1;
    }
    if (e->n_outputs == INT16_MAX) {
        hg_config_error(self, NULL, -1, "it has more than %d outputs",
                        INT16_MAX);
        return -1;
    }
    e->outputs =
        xrealloc(e->outputs, (e->n_outputs + 1u) * sizeof *e->outputs);
    e->outputs[e->n_outputs] =
        (struct output){.name = xstrdup(name), .optional = optional};
    return e->n_outputs++;
}

bool
hg_declare_numbered_outputs(void *self, uint32_t n)
{
    char name[16];
    uint32_t i;

    for (i = 0; i < n; i++) {
        snprintf(name, sizeof name, "%" PRIu32, i);
        if (hg_declare_output(self, name, false) < 0)
            return false;
    }
    return true;
}

int
hg_declare_input(void *self, const char *name)
{
    struct hg_element *e = hg_element_of(self);

    if (named_input(e, name) >= 0) {
        hg_config_error(self, NULL, -1, "it has two inputs named '%s'", name);
        return -1;
    }
    if (e->n_inputs == INT16_MAX) {
        hg_config_error(self, NULL, -1, "it has more than %d inputs",
                        INT16_MAX);
        return -1;
    }
    e->inputs = xrealloc(e->inputs, (e->n_inputs + 1u) * sizeof *e->inputs);
    e->inputs[e->n_inputs] = (struct input){.name = xstrdup(name)};
    return e->n_inputs++;
}

unsigned
hg_element_n_outputs(const struct hg_element *e)
{
    return e->n_outputs;
}

unsigned
hg_element_n_inputs(const struct hg_element *e)
{
    return e->n_inputs;
}

bool
hg_is_wired(const void *self, unsigned port)
{
    const struct hg_element *e = element_of(self);

    return port < e->n_outputs && e->outputs[port].peer;
}

/* The port called 'name', or numbered so; -1 if there is none. */
static int
port_number(const char *name, unsigned n_ports)
{
    uint64_t number;

    return hg_number_parse(name, &number) && number < n_ports ? (int)number
                                                              : -1;
}

int
hg_element_find_output(const struct hg_element *e, const char *name)
{
    int port = named_output(e, name);

    return port < 0 ? port_number(name, e->n_outputs) : port;
}

int
hg_element_find_input(const struct hg_element *e, const char *name)
{
    int port = named_input(e, name);

    return port < 0 ? port_number(name, e->n_inputs) : port;
}

uint64_t
hg_credit(void *self, unsigned port, uint64_t now_ns, uint64_t *again_ns)
{
    struct hg_element *e = hg_element_of(self);
    struct hg_element *peer =
        port < e->n_outputs ? e->outputs[port].peer : NULL;

    *again_ns = HG_NEVER;
    if (!peer || !peer->cls->credit)
        return UINT64_MAX;
    return peer->cls->credit(hg_element_self(peer), now_ns, again_ns);
}

/* ---- Metadata --------------------------------------------------------- */

int
hg_metadata(void *self, const char *name, size_t size)
{
    struct hg_graph *g = hg_element_of(self)->graph;
    size_t align = size >= 8 ? 8 : size >= 4 ? 4 : size >= 2 ? 2 : 1;
    size_t at = (g->metadata_used + align - 1) & ~(align - 1);
    size_t i;

    for (i = 0; i < g->n_metadata; i++)
        if (!strcmp(g->metadata[i].name, name)) {
            if (g->metadata[i].size == size)
                return g->metadata[i].offset;
            hg_config_error(self, NULL, -1,
                            "packet metadata '%s' has %zu bytes elsewhere and "
                            "%zu here",
                            name, g->metadata[i].size, size);
            return -1;
        }
    if (at + size > HG_PACKET_META) {
        hg_config_error(self, NULL, -1,
                        "no room for %zu bytes of packet metadata '%s'; a "
                        "packet has %d in all",
                        size, name, HG_PACKET_META);
        return -1;
    }
    g->metadata =
        xrealloc(g->metadata, (g->n_metadata + 1) * sizeof *g->metadata);
    g->metadata[g->n_metadata++] =
        (struct metadata){xstrdup(name), size, (int)at};
    g->metadata_used = at + size;
    return (int)at;
}

/* ---- Configuration ---------------------------------------------------- */

static const struct lang_option *
find_option(const struct lang_section *section, const struct hg_field *field)
{
    size_t i;

    for (i = 0; i < section->n_options; i++)
        if (options_find(field, 1, section->options[i].key))
            return &section->options[i];
    return NULL;
}

/* The place of value 'value' of 'option', of row 'value' of a table of rows,
 * or of the element. */
static struct hg_place
place_of(const struct hg_element *e, const char *option, int value)
{
    const struct lang_section *section = e->section;
    const struct hg_field *field =
        option ? options_find(e->cls->fields, e->cls->n_fields, option) : NULL;
    const struct lang_option *given;
    size_t i;
    int row = 0;

    if (!section)
        return (struct hg_place){.file = e->name};
    if (field && field->kind == HG_FIELD_ROWS && value >= 0) {
        for (i = 0; i < section->n_sections; i++)
            if (options_find(field, 1, section->sections[i].keyword) &&
                row++ == value)
                return section->sections[i].place;
    }
    given = field ? find_option(section, field) : NULL;
    if (!given)
        return section->title ? section->title_place : section->place;
    if (value >= 0 && (size_t)value < given->n_values)
        return given->values[value].place;
    return given->n_values == 1 ? given->values[0].place : given->place;
}

bool
hg_config_error(void *self, const char *option, int value, const char *format,
                ...)
{
    struct hg_element *e = hg_element_of(self);
    struct hg_place place = place_of(e, option, value);
    char message[512];
    va_list args;

    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    e->failed = true;
    if (e->graph->diags)
        hg_diag(e->graph->diags, HG_SEVERITY_ERROR, &place, "'%s': %s",
                e->name, message);
    else
        fprintf(stderr, "headgate: '%s': %s\n", e->name, message);
    return false;
}

static void
set_given(struct hg_element *e, const struct hg_field *field)
{
    size_t i = (size_t)(field - e->cls->fields);

    if (i < 128)
        e->given[i / 64] |= UINT64_C(1) << i % 64;
}

static bool
is_given(const struct hg_element *e, size_t i)
{
    return i < 128 && e->given[i / 64] >> i % 64 & 1;
}

bool
hg_option_given(const void *self, const char *option)
{
    const struct hg_element *e = element_of(self);
    const struct hg_field *field =
        options_find(e->cls->fields, e->cls->n_fields, option);

    return field && is_given(e, (size_t)(field - e->cls->fields));
}

bool
graph_configure_from(struct hg_element *e, const struct lang_section *section,
                     const struct options_context *context)
{
    const struct hg_class *cls = e->cls;
    size_t i;

    e->section = section;
    for (i = 0; i < section->n_options; i++) {
        const struct hg_field *field =
            options_find(cls->fields, cls->n_fields, section->options[i].key);

        if (field)
            set_given(e, field);
    }
    for (i = 0; i < section->n_sections; i++) {
        const struct hg_field *field = options_find(
            cls->fields, cls->n_fields, section->sections[i].keyword);

        if (field)
            set_given(e, field);
    }
    if (!options_apply(hg_element_self(e), cls->fields, cls->n_fields, section,
                       context))
        e->failed = true;
    return !e->failed;
}

static bool
set_reference(struct hg_element *e, const struct hg_field *field,
              const char *const *values, size_t n, struct hg_error *error)
{
    struct hg_element *target;

    if (n != 1)
        return hg_error_set(error, "option '%s' names one element",
                            field->name);
    target = hg_graph_find(e->graph, values[0]);
    if (!target)
        return hg_error_set(error, "no element '%s'", values[0]);
    if (field->cls && strcmp(field->cls, target->cls->name))
        return hg_error_set(error, "'%s' is a %s; a %s is needed", values[0],
                            target->cls->name, field->cls);
    memcpy((uint8_t *)hg_element_self(e) + field->offset, &target,
           sizeof target);
    return true;
}

bool
hg_element_set(struct hg_element *e, const char *option,
               const char *const *values, size_t n, struct hg_error *error)
{
    const struct hg_field *field =
        options_find(e->cls->fields, e->cls->n_fields, option);
    bool ok;

    if (!field || field->kind != HG_FIELD_OPTION)
        return hg_error_set(error, "no option '%s' in class %s", option,
                            e->cls->name);
    if (field->type == HG_TYPE_ELEMENT)
        ok = set_reference(e, field, values, n, error);
    else
        ok = options_set(hg_element_self(e), field, values, n, error);
    if (ok)
        set_given(e, field);
    return ok;
}

bool
hg_element_configure(struct hg_element *e)
{
    size_t i;

    for (i = 0; i < e->cls->n_fields; i++) {
        const struct hg_field *field = &e->cls->fields[i];
        char name[128];

        if (!field->required || is_given(e, i))
            continue;
        options_hyphenate(field->name, name, sizeof name);
        hg_config_error(hg_element_self(e), NULL, -1, "%s needs %s '%s': %s",
                        e->cls->name,
                        field->kind == HG_FIELD_ROWS ? "a section" : "option",
                        name, field->doc ? field->doc : "");
    }
    if (!e->failed && e->cls->configure &&
        !e->cls->configure(hg_element_self(e)) && !e->failed)
        hg_config_error(hg_element_self(e), NULL, -1,
                        "its configuration is wrong");
    return !e->failed;
}

/* ---- Handlers --------------------------------------------------------- */

uint64_t
hg_element_number(const struct hg_element *e, const struct hg_field *field)
{
    const uint8_t *at = (const uint8_t *)e + HG_ELEMENT_SIZE + field->offset;
    uint16_t v16;
    uint32_t v32;
    uint64_t v64;

    switch (field->type) {
    case HG_TYPE_BOOL:
    case HG_TYPE_U8:
        return *at;
    case HG_TYPE_U16:
        memcpy(&v16, at, sizeof v16);
        return v16;
    case HG_TYPE_U32:
        memcpy(&v32, at, sizeof v32);
        return v32;
    case HG_TYPE_U64:
    case HG_TYPE_COUNTER:
    case HG_TYPE_GAUGE:
    case HG_TYPE_DURATION:
    case HG_TYPE_SIZE:
    case HG_TYPE_RATE:
        memcpy(&v64, at, sizeof v64);
        return v64;
    default:
        return 0;
    }
}

static const struct hg_handler *
find_handler(const struct hg_element *e, const char *name)
{
    size_t i;

    for (i = 0; i < e->cls->n_handlers; i++) {
        struct hg_field as_field = {.name = e->cls->handlers[i].name};

        if (options_find(&as_field, 1, name))
            return &e->cls->handlers[i];
    }
    return NULL;
}

/* "no handler 'x' in class Y", with the nearest there is. */
static bool
no_handler(const struct hg_element *e, const char *name,
           struct hg_error *error)
{
    size_t n = e->cls->n_handlers + e->cls->n_fields, i;
    const char **names = xcalloc(n, sizeof *names);
    const char *nearest;

    for (i = 0; i < n; i++)
        names[i] = i < e->cls->n_handlers
                       ? e->cls->handlers[i].name
                       : e->cls->fields[i - e->cls->n_handlers].name;
    nearest = hg_nearest(name, names, n);
    free(names);
    if (nearest)
        return hg_error_set(error,
                            "no handler '%s' in class %s; did you mean '%s'?",
                            name, e->cls->name, nearest);
    return hg_error_set(error,
                        "no handler '%s' in class %s; 'headgate elements %s' "
                        "lists them",
                        name, e->cls->name, e->cls->name);
}

bool
hg_element_read(struct hg_element *e, const char *name, const char *argument,
                FILE *out, struct hg_error *error)
{
    const struct hg_handler *handler = find_handler(e, name);
    const struct hg_field *field =
        options_find(e->cls->fields, e->cls->n_fields, name);

    if (handler) {
        if (!handler->read)
            return hg_error_set(error, "handler '%s' cannot be read", name);
        return handler->read(hg_element_self(e), argument, out, error);
    }
    if (field) {
        options_print(hg_element_self(e), field, out);
        return true;
    }
    if (!strcmp(name, "name")) {
        fputs(e->name, out);
        return true;
    }
    if (!strcmp(name, "class")) {
        fputs(e->cls->name, out);
        return true;
    }
    return no_handler(e, name, error);
}

/* Tells of a written option whom it concerns (class.changed). */
static void
tell_changed(struct hg_element *e)
{
    const struct hg_graph *g = e->graph;
    unsigned i, k;

    if (e->cls->changed)
        e->cls->changed(hg_element_self(e));
    for (i = 0; e->cls->credit && i < g->n_elements; i++) {
        struct hg_element *from = g->elements[i];

        for (k = 0; from->cls->changed && k < from->n_outputs; k++)
            if (from->outputs[k].peer == e)
                from->cls->changed(hg_element_self(from));
    }
}

bool
hg_element_write(struct hg_element *e, const char *name, const char *value,
                 struct hg_error *error)
{
    const struct hg_handler *handler = find_handler(e, name);
    const struct hg_field *field =
        options_find(e->cls->fields, e->cls->n_fields, name);

    if (handler) {
        if (!handler->write)
            return hg_error_set(error, "handler '%s' cannot be written", name);
        return handler->write(hg_element_self(e), value, error);
    }
    if (!field)
        return no_handler(e, name, error);
    if (field->kind != HG_FIELD_OPTION || !field->live)
        return hg_error_set(error, "'%s' cannot change while running", name);
    if (!options_set_words(hg_element_self(e), field, value, error))
        return false;
    tell_changed(e);
    return true;
}

void
hg_warn(const void *self, const char *format, ...)
{
    char message[512];
    va_list args;

    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    fprintf(stderr, "headgate: '%s': %s\n", hg_name(self), message);
}
