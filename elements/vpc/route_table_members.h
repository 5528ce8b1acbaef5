/* route_table_members.h: the part of RouteTable (route_table.c) that knows
 * who uses which table: subnets, VPCs, gateways and attachments, from the
 * rows and from the inventory, and which prefixes are local. */
#ifndef ROUTE_TABLE_MEMBERS_H
#define ROUTE_TABLE_MEMBERS_H 1

#include "route_table_routes.h"

/* The VPC of a table (number; 0: of none) and its record, if known. */
static bool
resolve_vpc(struct route_table *self, struct table *table,
            const struct hg_vpc **vpc, struct hg_error *error)
{
    const char *id = table->row->vpc;
    uint64_t number = 0;

    *vpc = NULL;
    if (self->inventory && !id) /* The only one, if it is. */
        *vpc = hg_inventory_vpc_by_number(self->inventory, 0);
    else if (self->inventory && id)
        *vpc = hg_inventory_vpc(self->inventory, id);
    if (*vpc) {
        table->vpc = (*vpc)->number;
        return true;
    }
    if (id && self->inventory)
        return hg_error_set(error,
                            "table '%s': no VPC '%s' in the mapping "
                            "service",
                            table->name, id);
    if (id && (!hg_number_parse(id, &number) || number > 0xffffff))
        return hg_error_set(error,
                            "table '%s': VPC '%s' needs a MappingService that "
                            "knows it; without one, give its number",
                            table->name, id);
    table->vpc = (uint32_t)number;
    return true;
}

static bool
associate_subnet(struct route_table *self, const struct hg_subnet *subnet,
                 const struct table *table, struct hg_error *error)
{
    uint32_t *slot = &self->by_subnet[subnet->number];
    uint32_t t = (uint32_t)(table - self->all) + 1;

    if (*slot && *slot != t)
        return hg_error_set(error, "subnet '%s' has two tables, '%s' and '%s'",
                            subnet->id, self->all[*slot - 1].name,
                            table->name);
    if (table->vpc && table->vpc != subnet->vpc->number)
        return hg_error_set(error,
                            "subnet '%s' and its table '%s' are of different "
                            "VPCs",
                            subnet->id, table->name);
    *slot = t;
    return true;
}

/* The subnets of the table's row. */
static bool
associate_row(struct route_table *self, const struct table *table,
              struct hg_error *error)
{
    const struct hg_string_list *ids = &table->row->subnets;
    const struct hg_subnet *subnet;
    size_t i;

    for (i = 0; i < ids->n; i++) {
        subnet = self->inventory
                     ? hg_inventory_subnet(self->inventory, ids->v[i])
                     : NULL;
        if (!subnet)
            return hg_error_set(error,
                                "table '%s': no MappingService knows a "
                                "subnet '%s'",
                                table->name, ids->v[i]);
        if (!associate_subnet(self, subnet, table, error))
            return false;
    }
    return true;
}

/* The tables that the inventory's subnets name. */
static bool
associate_subnets(struct route_table *self, struct hg_error *error)
{
    size_t n = hg_inventory_n_subnets(self->inventory), i;

    for (i = 0; i < n; i++) {
        const struct hg_subnet *subnet =
            hg_inventory_subnet_at(self->inventory, i);
        const struct table *table;

        if (!subnet->route_table ||
            hg_inventory_subnet(self->inventory, subnet->id) != subnet)
            continue; /* It has none, or is gone. */
        table = find_table(self, subnet->route_table);
        if (!table)
            return hg_error_set(error,
                                "subnet '%s' has route table '%s', "
                                "which is not here",
                                subnet->id, subnet->route_table);
        if (!associate_subnet(self, subnet, table, error))
            return false;
    }
    return true;
}

static bool
associate_inputs(struct route_table *self, uint32_t t,
                 const struct hg_string_list *names, struct hg_error *error)
{
    const struct table *table = &self->all[t];
    size_t i;
    unsigned k;

    for (i = 0; i < names->n; i++)
        for (k = 1; k < self->n_inputs; k++) {
            uint32_t *slot = &self->inputs[k].by_vpc[table->vpc];

            if (strcmp(self->inputs[k].name, names->v[i]))
                continue;
            if (*slot && *slot != t + 1)
                return hg_error_set(error,
                                    "'%s' has two tables, '%s' and "
                                    "'%s'",
                                    names->v[i], self->all[*slot - 1].name,
                                    table->name);
            *slot = t + 1;
        }
    return true;
}

/* What refresh() makes anew, and puts back if it cannot. */
struct associations {
    struct vpc_tables *vpcs;
    uint32_t n_vpcs;
    uint32_t *by_subnet;
    uint32_t n_subnets;
    uint32_t **by_vpc; /* Of each input. */
};

/* Arrays for n VPCs and n_subnets subnets, all without tables but those that
 * were made for VPCs that had none; what was there goes to 'old'. */
static void
begin_associations(struct route_table *self, uint32_t n, uint32_t n_subnets,
                   struct associations *old)
{
    uint32_t i;

    *old = (struct associations){
        self->vpcs, self->n_vpcs, self->by_subnet, self->n_subnets,
        must_alloc(self->n_inputs, sizeof *old->by_vpc)};
    self->vpcs = must_alloc(n, sizeof *self->vpcs);
    for (i = 0; i < old->n_vpcs && i < n; i++)
        self->vpcs[i].local = old->vpcs[i].local;
    self->n_vpcs = n;
    for (i = 0; i < self->n_inputs; i++) {
        old->by_vpc[i] = self->inputs[i].by_vpc;
        self->inputs[i].by_vpc = must_alloc(n, sizeof(uint32_t));
    }
    self->by_subnet = must_alloc(n_subnets, sizeof *self->by_subnet);
    self->n_subnets = n_subnets;
}

/* Exchanges those in force and 'other'. */
static void
swap_associations(struct route_table *self, struct associations *other)
{
    const struct associations was = {self->vpcs, self->n_vpcs, self->by_subnet,
                                     self->n_subnets, other->by_vpc};
    uint32_t i;

    self->vpcs = other->vpcs;
    self->n_vpcs = other->n_vpcs;
    self->by_subnet = other->by_subnet;
    self->n_subnets = other->n_subnets;
    for (i = 0; i < self->n_inputs; i++) {
        uint32_t *by_vpc = self->inputs[i].by_vpc;

        self->inputs[i].by_vpc = other->by_vpc[i];
        other->by_vpc[i] = by_vpc;
    }
    *other = was;
}

/* Keeps the new ones, or puts the old ones, if there are, back. */
static void
end_associations(struct route_table *self, struct associations *old, bool keep)
{
    uint32_t i;

    if (!keep && old->vpcs)
        swap_associations(self, old);
    for (i = 0; i < self->n_inputs; i++)
        free(old->by_vpc[i]);
    free(old->vpcs);
    free(old->by_subnet);
    free(old->by_vpc);
}

/* Packets need not say 1 where there is one VPC. */
static void
alias_only_vpc(struct route_table *self, uint32_t number)
{
    unsigned i;

    self->vpcs[0] = self->vpcs[number];
    for (i = 1; i < self->n_inputs; i++)
        self->inputs[i].by_vpc[0] = self->inputs[i].by_vpc[number];
}

/* Where a VPC has no main table or gateways without a table, there is one
 * with nothing but its local routes. */
static void
add_local_tables(struct route_table *self)
{
    const struct hg_vpc *only = hg_inventory_vpc_by_number(self->inventory, 0);
    size_t n = hg_inventory_n_vpcs(self->inventory), i;

    /* A table that nobody wrote is not that of several VPCs. */
    if (n > 1 && !self->top.route.n && !self->top.file && !self->top.cidr.n &&
        !self->table.n)
        self->default_table = 0;
    for (i = 0; i < n; i++) {
        const struct hg_vpc *vpc = hg_inventory_vpc_at(self->inventory, i);
        struct vpc_tables *slot = &self->vpcs[vpc->number];

        if (!slot->local &&
            (self->n_inputs > 1 || (!slot->main && !self->default_table))) {
            slot->local = add_table(self, NULL, vpc->id) + 1;
            self->all[slot->local - 1].vpc = vpc->number;
        }
        if (slot->local)
            hg_routes_set_local(self->state, slot->local - 1, &vpc->cidr,
                                LOCAL);
        if (!slot->main && !self->default_table)
            slot->main = slot->local;
    }
    if (only)
        alias_only_vpc(self, only->number);
}

static bool
join_tables(struct route_table *self, struct hg_error *error)
{
    uint32_t i;

    for (i = 0; i < self->n_tables; i++) {
        const struct table *table = &self->all[i];
        struct vpc_tables *slot = &self->vpcs[table->vpc];

        if (!table->row)
            continue;
        if (table->row->main && table->vpc) {
            if (slot->main)
                return hg_error_set(error,
                                    "tables '%s' and '%s' are both the main "
                                    "one of a VPC",
                                    self->all[slot->main - 1].name,
                                    table->name);
            slot->main = i + 1;
        }
        if (!associate_row(self, table, error) ||
            !associate_inputs(self, i, &table->row->gateways, error) ||
            !associate_inputs(self, i, &table->row->attachments, error))
            return false;
    }
    return true;
}

struct check {
    const struct route_table *self;
    const struct table *table;
    struct hg_error *error;
};

static bool
check_route(void *check_, const struct hg_route *route)
{
    const struct check *check = check_;

    return route->type != HG_ROUTE_STATIC ||
           allowed(check->self, check->table, route, check->error);
}

/* Whether all static routes may be, now that the VPCs are known. */
static bool
check_routes(const struct route_table *self, struct hg_error *error)
{
    bool ok = true;
    uint32_t t;

    for (t = 0; ok && t < self->n_tables; t++) {
        struct check check = {self, &self->all[t], error};

        ok = !self->all[t].row || !self->all[t].vpc ||
             hg_routes_foreach(self->state, t, check_route, &check);
    }
    return ok;
}

/* Whether the inventory's networks are others than those known here. */
static inline bool
is_stale(const struct route_table *self)
{
    return self->inventory && hg_inventory_network_generation(
                                  self->inventory) != self->generation;
}

/* Learns from the inventory (or, without one, from the rows alone) who uses
 * which table and which prefixes are local.  On failure those who used a
 * table go on as before. */
static bool
refresh(struct route_table *self, struct hg_error *error)
{
    static const struct hg_prefix_list none;
    uint32_t n = 1, n_subnets = 1, t;
    struct associations old;
    bool ok;
    size_t i;

    if (self->inventory) {
        self->generation = hg_inventory_network_generation(self->inventory);
        for (i = 0; i < hg_inventory_n_vpcs(self->inventory); i++) {
            uint32_t k = hg_inventory_vpc_at(self->inventory, i)->number;

            n = k >= n ? k + 1 : n;
        }
        for (i = 0; i < hg_inventory_n_subnets(self->inventory); i++) {
            uint32_t k = hg_inventory_subnet_at(self->inventory, i)->number;

            n_subnets = k >= n_subnets ? k + 1 : n_subnets;
        }
    }
    for (t = 0; t < self->n_tables; t++) {
        struct table *table = &self->all[t];
        const struct hg_vpc *vpc;

        if (!table->row)
            continue;
        if (!resolve_vpc(self, table, &vpc, error)) {
            tables_changed(self); /* Those before it are as now. */
            return false;
        }
        if (!table->row->cidr.n)
            hg_routes_set_local(self->state, t, vpc ? &vpc->cidr : &none,
                                LOCAL);
        n = table->vpc >= n ? table->vpc + 1 : n;
    }
    begin_associations(self, n, n_subnets, &old);
    ok = join_tables(self, error) &&
         (!self->inventory || associate_subnets(self, error));
    if (ok && self->inventory)
        add_local_tables(self);
    end_associations(self, &old, ok);
    tables_changed(self);
    return ok;
}

#endif
