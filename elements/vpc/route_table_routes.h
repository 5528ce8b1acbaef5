/* route_table_routes.h: the part of RouteTable (route_table.c) that knows
 * which routes AWS lets stand in which table, and adds and removes them. */
#ifndef ROUTE_TABLE_ROUTES_H
#define ROUTE_TABLE_ROUTES_H 1

#include <stdlib.h>
#include <string.h>

#include <headgate/flow.h>

#include "route_table.h"

/* ---- Tables and names ------------------------------------------------- */

/* Packets of known flows, too, are to be looked up anew. */
static void
tables_changed(struct route_table *self)
{
    const struct route_table *base = self->base;

    hg_tables_changed(self);
    self->routes.n = hg_routes_count(base->state);
    self->memory.n = hg_routes_bytes(base->state);
    self->tables.n = base->n_tables;
}

static void *
grow(void *array, size_t n, size_t size)
{
    void *bigger =
        n & (n - 1) ? array : realloc(array, (n ? n * 2 : 1) * size);

    if (!bigger)
        abort();
    return bigger;
}

static void *
must_alloc(size_t n, size_t size)
{
    void *array = calloc(n, size);

    if (!array)
        abort();
    return array;
}

static uint32_t
add_table(struct route_table *self, const struct table_row *row,
          const char *name)
{
    uint32_t i = self->n_tables++;

    self->all = grow(self->all, i, sizeof *self->all);
    self->all[i] = (struct table){.row = row, .name = name};
    hg_routes_add_table(self->state);
    self->all[i].lpm = hg_routes_lpm(self->state, i);
    return i;
}

/* Finds the table of this name among those with a row. */
static struct table *
find_table(const struct route_table *self, const char *name)
{
    uint32_t low = 0, high = self->n_by_name;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        struct table *table = &self->all[self->by_name[middle]];
        int order = strcmp(name, table->name);

        if (!order)
            return table;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

/* The table that a handler names; "": the main one. */
static struct table *
named_table(const struct route_table *self, const char *name,
            struct hg_error *error)
{
    struct table *table = NULL;

    if (*name)
        table = find_table(self, name);
    else if (self->default_table)
        table = &self->all[self->default_table - 1];
    if (!table)
        hg_error_set(error,
                     *name ? "no table '%s'; the handler 'table-list' names "
                             "them"
                           : "there is no main table%s; name one with "
                             "table=NAME",
                     name);
    return table;
}

static int
find_output(const struct route_table *self, const char *name)
{
    unsigned i;

    for (i = 0; i < self->n_outputs; i++)
        if (!strcmp(self->outputs[i].name, name))
            return (int)i;
    return -1;
}

static uint32_t
find_origin(struct route_table *self, const char *name)
{
    uint32_t i;
    char *copy;

    for (i = 0; i < self->n_origins; i++)
        if (!strcmp(self->origins[i], name))
            return i;
    copy = strdup(name);
    if (!copy)
        abort();
    self->origins =
        grow(self->origins, self->n_origins, sizeof *self->origins);
    self->origins[self->n_origins++] = copy;
    return i;
}

/* ---- Which routes may be ---------------------------------------------- */

static bool
is_subnet(const struct route_table *self, const struct table *table,
          const struct hg_prefix *prefix)
{
    const struct hg_subnet *subnet =
        hg_inventory_subnet_of(self->inventory, table->vpc, &prefix->addr);
    size_t i;

    for (i = 0; subnet && i < subnet->cidr.n; i++)
        if (subnet->cidr.v[i].len == prefix->len &&
            hg_addr_equal(&subnet->cidr.v[i].addr, &prefix->addr))
            return true;
    return false;
}

static bool
is_edge(const struct table *table)
{
    return table->row && table->row->gateways.n;
}

/* Says why a route within the local prefix 'local' (NULL: within none) may not
 * be: "route 'P' is within the local 'L', where ..." */
static bool
not_allowed(const struct hg_route *route, const struct hg_prefix *local,
            const char *why, struct hg_error *error)
{
    char text[HG_PREFIX_STRLEN], in[HG_PREFIX_STRLEN];

    hg_prefix_format(&route->prefix, text);
    if (!local)
        return hg_error_set(error, "route '%s': %s", text, why);
    return hg_error_set(error, "route '%s' is within the local '%s'%s", text,
                        hg_prefix_format(local, in), why);
}

/* Whether a static route for this prefix may stand in the table as the local
 * prefixes are now. */
static bool
allowed(const struct route_table *self, const struct table *table,
        const struct hg_route *route, struct hg_error *error)
{
    const struct hg_prefix *local = hg_routes_local(
        self->state, (uint32_t)(table - self->all), &route->prefix);

    if (is_edge(table) && !local &&
        (table->row->cidr.n || (self->inventory && table->vpc)))
        return not_allowed(route, NULL,
                           "the table of a gateway takes only the CIDRs of "
                           "its VPC and of its subnets",
                           error);
    if (!local)
        return true;
    if (!route->over_local)
        return not_allowed(route, local,
                           ", where only a nat-gateway, network-interface or "
                           "gwlb-endpoint may be the target",
                           error);
    if (local->len < route->prefix.len && self->inventory && table->vpc &&
        !is_subnet(self, table, &route->prefix))
        return not_allowed(route, local,
                           " and must be the whole CIDR of a subnet", error);
    return true;
}

/* Whether a virtual private gateway uses the table. */
static bool
is_of_vgw(const struct route_table *self, const struct table *table)
{
    size_t i;

    for (i = 0; i < table->row->gateways.n; i++) {
        int port = find_output(self, table->row->gateways.v[i]);

        if (port >= 0 && self->outputs[port].kind == KIND_VGW)
            return true;
    }
    return false;
}

/* Whether a route of the table may point to this output. */
static bool
kind_allowed(const struct route_table *self, const struct table *table,
             const struct output *output, const struct hg_route *route,
             struct hg_error *error)
{
    bool to_list = !route->prefix.addr.family;
    bool ip6 = route->prefix.addr.family == 6;
    uint8_t kind = output->kind;

    if (is_edge(table) && kind != KIND_ANY && kind != KIND_INTERFACE &&
        kind != KIND_GWLB_ENDPOINT)
        return hg_error_set(error,
                            "target '%s': the table of a gateway leads only "
                            "to local, a network-interface or a gwlb-endpoint",
                            output->name);
    if (kind == KIND_GWLB_ENDPOINT && is_of_vgw(self, table))
        return hg_error_set(error,
                            "target '%s': what comes through a virtual "
                            "private gateway cannot go to a gwlb-endpoint",
                            output->name);
    if (kind == KIND_EGRESS_ONLY && !ip6 && !to_list)
        return hg_error_set(error,
                            "target '%s': an egress-only internet gateway "
                            "takes IPv6 only",
                            output->name);
    if (kind == KIND_GATEWAY_ENDPOINT && !to_list)
        return hg_error_set(error,
                            "target '%s': the destination of a gateway "
                            "endpoint is a prefix list",
                            output->name);
    return true;
}

/* Reads "a,b" into the route's target and over_local. */
static bool
read_target(struct route_table *self, const struct table *table,
            const struct hg_route_text *text, struct hg_route *route,
            struct hg_error *error)
{
    char copy[sizeof text->target], *at = copy, *name;
    uint16_t port[sizeof text->target];
    unsigned n = 0;

    strcpy(copy, text->target);
    route->over_local = !text->propagated;
    if (!strcmp(copy, "blackhole")) {
        route->target = HG_ROUTES_BLACKHOLE;
        return true;
    }
    while ((name = strsep(&at, ", ")) != NULL) {
        int i = *name ? find_output(self, name) : LOCAL;
        uint8_t kind;

        if (!*name)
            continue;
        if (i < 0)
            return hg_error_set(error,
                                "no target '%s'; a section target %s { } "
                                "would declare it",
                                name, name);
        kind = self->outputs[i].kind;
        if (kind != KIND_ANY && kind != KIND_NAT_GATEWAY &&
            kind != KIND_INTERFACE && kind != KIND_GWLB_ENDPOINT)
            route->over_local = false;
        if (!kind_allowed(self, table, &self->outputs[i], route, error))
            return false;
        port[n++] = (uint16_t)i;
    }
    if (!n)
        return hg_error_set(error, "route '%s' has no target",
                            text->destination);
    route->target = hg_routes_target(self->state, port, n);
    return true;
}

/* ---- Adding and removing ---------------------------------------------- */

static const struct list_row *
find_list(const struct route_table *self, const char *name)
{
    size_t i;

    for (i = 0; i < self->prefix_list.n; i++)
        if (!strcmp(self->prefix_list.row[i].name, name))
            return &self->prefix_list.row[i];
    return NULL;
}

/* Where lists overlap one is chosen by lot, for good (AWS: "Route priority
 * for prefix lists"). */
static uint64_t
lot(const struct route_table *self, const char *name)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325) ^ hg_seed(self);

    while (*name)
        hash = (hash ^ (uint8_t)*name++) * UINT64_C(0x100000001b3);
    return hash;
}

static void
for_list(struct route_table *self, const struct list_row *list,
         struct hg_route *route, bool add)
{
    size_t i;

    route->type = HG_ROUTE_PREFIX_LIST;
    route->origin = (uint32_t)(list - self->prefix_list.row);
    route->preference = lot(self, list->name);
    for (i = 0; i < list->prefixes.n; i++) {
        route->prefix = list->prefixes.v[i];
        if (add)
            hg_routes_add(self->state, route);
        else
            hg_routes_remove(self->state, route->table, &route->prefix,
                             HG_ROUTE_PREFIX_LIST, route->origin);
    }
}

/* Fills what add and remove have in common; *list is set where the
 * destination is a prefix list. */
static bool
read_route(struct route_table *self, const struct table *table,
           const struct hg_route_text *text, struct hg_route *route,
           const struct list_row **list, struct hg_error *error)
{
    *route = (struct hg_route){.type = HG_ROUTE_STATIC};
    route->table = (uint32_t)(table - self->all);
    *list = NULL;
    if (!hg_prefix_parse(text->destination, &route->prefix)) {
        *list = find_list(self, text->destination);
        if (!*list)
            return hg_error_set(error,
                                "'%s' is neither a prefix such as 10.0.0.0/8 "
                                "nor a prefix-list of this element",
                                text->destination);
    }
    if (is_edge(table) && (*list || text->propagated))
        return hg_error_set(error, "the table of a gateway takes neither "
                                   "prefix lists nor propagated routes");
    if (*list && text->propagated)
        return hg_error_set(error, "a prefix list cannot be propagated");
    if (text->propagated) {
        route->type = HG_ROUTE_PROPAGATED;
        route->origin = find_origin(self, text->origin);
    }
    return true;
}

static bool
add_route(struct route_table *self, const struct table *table,
          const struct hg_route_text *text, struct hg_error *error)
{
    char of[HG_PREFIX_STRLEN];
    const struct hg_prefix *forbidden;
    const struct list_row *list;
    struct hg_route route;

    if (!read_route(self, table, text, &route, &list, error) ||
        !read_target(self, table, text, &route, error))
        return false;
    if (list) {
        for_list(self, list, &route, true);
        return true;
    }
    forbidden = hg_routes_forbidden(self->state, &route.prefix);
    if (forbidden)
        return hg_error_set(error,
                            "route '%s' is within %s, which is never "
                            "forwarded; 'forbidden-destinations' says "
                            "so",
                            text->destination,
                            hg_prefix_format(forbidden, of));
    if (!text->propagated && !allowed(self, table, &route, error))
        return false;
    if (text->propagated) {
        route.preference = hg_route_preference(text, table->row->order);
        route.shareable = table->row->ecmp && hg_route_shareable(text->source);
    }
    hg_routes_add(self->state, &route);
    return true;
}

static bool
remove_route(struct route_table *self, const struct table *table,
             const struct hg_route_text *text, struct hg_error *error)
{
    const struct list_row *list;
    struct hg_route route;

    if (!read_route(self, table, text, &route, &list, error))
        return false;
    if (list)
        for_list(self, list, &route, false);
    else if (!hg_routes_remove(self->state, route.table, &route.prefix,
                               route.type, route.origin))
        return hg_error_set(error, "table '%s' has no such route '%s'",
                            table->name, text->destination);
    return true;
}

#endif
