/* route_table_handlers.h: what one can ask of a RouteTable (route_table.c)
 * and tell it while it runs. */
#ifndef ROUTE_TABLE_HANDLERS_H
#define ROUTE_TABLE_HANDLERS_H 1

#include <jansson.h>

#include "route_table_routes.h"

static struct route_table *
base_of(void *self)
{
    return ((struct route_table *)self)->base;
}

static const char *
state_of(const struct route_table *self, const struct hg_route *route)
{
    unsigned n, i;
    const uint16_t *port;

    if (!hg_routes_in_force(self->state, route))
        return "waiting";
    if (route->target == HG_ROUTES_FORBIDDEN)
        return "forbidden";
    if (route->target == HG_ROUTES_BLACKHOLE)
        return "blackhole";
    port = hg_routes_ports(self->state, route->target, &n);
    for (i = 0; i < n; i++)
        if (self->outputs[port[i]].up)
            return "active";
    return "blackhole";
}

static json_t *
targets_json(const struct route_table *self, const struct hg_route *route)
{
    json_t *array = json_array();
    const uint16_t *port;
    unsigned n, i;

    if (route->target >= HG_ROUTES_FORBIDDEN)
        return array;
    port = hg_routes_ports(self->state, route->target, &n);
    for (i = 0; i < n; i++)
        json_array_append_new(array, json_string(self->outputs[port[i]].name));
    return array;
}

static void
print_route(const struct route_table *self, const struct hg_route *route,
            FILE *out)
{
    static const char *const types[] = {"forbidden", "static", "local",
                                        "prefix-list", "propagated"};
    char text[HG_PREFIX_STRLEN];
    json_t *line = json_pack(
        "{ssssssssso}", "table", self->all[route->table].name, "destination",
        hg_prefix_format(&route->prefix, text), "type", types[route->type],
        "state", state_of(self, route), "target", targets_json(self, route));

    if (route->type == HG_ROUTE_PROPAGATED)
        json_object_set_new(line, "origin",
                            json_string(self->origins[route->origin]));
    if (route->type == HG_ROUTE_PREFIX_LIST)
        json_object_set_new(
            line, "origin",
            json_string(self->prefix_list.row[route->origin].name));
    json_dumpf(line, out, JSON_COMPACT);
    fputc('\n', out);
    json_decref(line);
}

static bool
read_list(void *self_, const char *argument, FILE *out, struct hg_error *error)
{
    const struct route_table *self = base_of(self_);
    const struct table *only =
        *argument ? named_table(self, argument, error) : NULL;
    uint32_t t;
    size_t n, i;

    if (*argument && !only)
        return false;
    for (t = 0; t < self->n_tables; t++) {
        const struct hg_route **list;

        if (only && only != &self->all[t])
            continue;
        list = hg_routes_list(self->state, t, &n);
        for (i = 0; list && i < n; i++)
            print_route(self, list[i], out);
        free(list);
    }
    return true;
}

static bool
read_lookup(void *self_, const char *argument, FILE *out,
            struct hg_error *error)
{
    const struct route_table *self = base_of(self_);
    char copy[HG_ADDR_STRLEN + HG_ROUTE_NAME_SIZE], *name = copy;
    const struct hg_route *route;
    const struct table *table;
    struct hg_addr addr;

    snprintf(copy, sizeof copy, "%s", argument);
    strsep(&name, " ");
    if (!hg_addr_parse(copy, &addr))
        return hg_error_set(error,
                            "'%s' is not an address; write "
                            "lookup=ADDRESS or \"lookup=ADDRESS "
                            "TABLE\"",
                            copy);
    table = named_table(self, name ? name : "", error);
    if (!table)
        return false;
    route = hg_routes_match(self->state, (uint32_t)(table - self->all), &addr);
    if (route)
        print_route(self, route, out);
    else
        fputs("{\"state\":\"no-route\"}\n", out);
    return true;
}

static bool
read_tables(void *self_, const char *argument, FILE *out,
            struct hg_error *error)
{
    const struct route_table *self = base_of(self_);
    uint32_t t;

    if (*argument)
        return hg_error_set(error, "table-list takes no argument");
    for (t = 0; t < self->n_tables; t++) {
        const struct table *table = &self->all[t];
        json_t *line = json_pack("{sssisIsb}", "table", table->name, "vpc",
                                 (int)table->vpc, "prefixes",
                                 (json_int_t)hg_lpm_count(table->lpm), "main",
                                 t + 1 == self->default_table ||
                                     t + 1 == self->vpcs[table->vpc].main);

        json_dumpf(line, out, JSON_COMPACT);
        fputc('\n', out);
        json_decref(line);
    }
    return true;
}

/* ---- Writing: to the base, whose turn is first ------------------------- */

/* Whether a write is for another instance, which has had it; then this one
 * follows. */
static bool
only_follows(struct route_table *self)
{
    if (self->base == self)
        return false;
    tables_changed(self);
    return true;
}

/* Applies 'fn' to each route of a text: one a line, or semicolons between. */
static bool
for_each_route(struct route_table *self, const char *value,
               bool (*fn)(struct route_table *, const struct table *,
                          const struct hg_route_text *, struct hg_error *),
               struct hg_error *error)
{
    char line[1024];
    size_t n;

    if (only_follows(self))
        return true;
    for (; *value; value += n, value += *value != '\0') {
        struct hg_route_text text;
        const struct table *table;

        n = strcspn(value, ";\n");
        if (n == strspn(value, " \t"))
            continue;
        if (n >= sizeof line)
            return hg_error_set(error, "a route of %zu bytes is too long", n);
        memcpy(line, value, n);
        line[n] = '\0';
        if (!hg_route_text_parse(&text, line, error))
            return false;
        table = named_table(self, text.table, error);
        if (!table || !fn(self, table, &text, error))
            return false;
        hg_count(&self->updates);
        tables_changed(self);
    }
    return true;
}

static bool
write_add(void *self, const char *value, struct hg_error *error)
{
    return for_each_route(self, value, add_route, error);
}

static bool
write_remove(void *self, const char *value, struct hg_error *error)
{
    return for_each_route(self, value, remove_route, error);
}

static bool
write_withdraw(void *self_, const char *value, struct hg_error *error)
{
    struct route_table *self = self_;
    uint32_t i;

    if (only_follows(self))
        return true;
    for (i = 0; i < self->n_origins; i++)
        if (!strcmp(self->origins[i], value))
            break;
    if (i == self->n_origins)
        return hg_error_set(error, "nothing was propagated by '%s'", value);
    self->updates.n += hg_routes_withdraw(self->state, HG_LPM_NONE, i);
    tables_changed(self);
    return true;
}

static bool
set_up(struct route_table *self, const char *name, bool up,
       struct hg_error *error)
{
    int port = find_output(self, name);

    if (only_follows(self))
        return true;
    if (port < 0)
        return hg_error_set(error, "no target '%s'", name);
    self->outputs[port].up = up;
    return true;
}

static bool
write_up(void *self, const char *value, struct hg_error *error)
{
    return set_up(self, value, true, error);
}

static bool
write_down(void *self, const char *value, struct hg_error *error)
{
    return set_up(self, value, false, error);
}

#endif
