/* RouteTable: the route tables of VPCs, transit gateways and plain routers.
 *
 * One element holds all tables: which one a packet is looked up in follows
 * from the subnet of its source ENI, from the input of the gateway or
 * attachment through which it came, or it is the main table of its VPC.
 * headgate/routes.h decides which of several routes for a prefix is in force
 * and does the longest-prefix match; here is which routes are allowed, who
 * uses which table, and the packets.
 *
 * Sits behind CheckIP and NACL, before the gateways that its outputs are
 * named after; "local" leads to MappingLookup. */
#include "route_table_handlers.h"
#include "route_table_members.h"

/* ---- Packets ---------------------------------------------------------- */

/* The table (+ 1) of what comes through the input of a gateway or an
 * attachment. */
static uint32_t
table_of_input(const struct route_table *self, const struct input *input,
               uint32_t vpc)
{
    uint32_t slot = vpc < self->n_vpcs ? vpc : 0;

    if (input->by_vpc[slot])
        return input->by_vpc[slot];
    if (input->edge && self->vpcs[slot].local)
        return self->vpcs[slot].local;
    return input->by_vpc[0] ? input->by_vpc[0] : self->default_table;
}

/* 'self' is the base here. */
static uint32_t
table_of(const struct route_table *self, const struct hg_packet *p)
{
    /* Packets say where they came in only where there is a choice. */
    unsigned port = self->n_inputs > 1 ? p->in_port : 0;
    const struct hg_eni *eni = port ? NULL : p->src_eni;
    uint32_t vpc = eni ? eni->vpc->number : p->vpc;

    if (port)
        return table_of_input(self, &self->inputs[port], vpc);
    if (eni && eni->subnet && eni->subnet->number < self->n_subnets &&
        self->by_subnet[eni->subnet->number])
        return self->by_subnet[eni->subnet->number];
    if (vpc < self->n_vpcs && self->vpcs[vpc].main)
        return self->vpcs[vpc].main;
    return self->default_table;
}

/* Of the ports that are up the one that scores highest with this flow, so
 * that one that goes down moves its own flows only; -1 if none is up. */
static int
pick_port(const struct route_table *self, uint32_t target, uint32_t hash)
{
    const uint16_t *port;
    uint64_t best = 0;
    int picked = -1;
    unsigned i, n;

    port = hg_routes_ports(self->state, target, &n);
    for (i = 0; i < n; i++) {
        /* The finaliser of splitmix64. */
        uint64_t score = (uint64_t)hash << 32 | (port[i] + 1u);

        score = (score ^ score >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
        score = (score ^ score >> 27) * UINT64_C(0x94d049bb133111eb);
        score ^= score >> 31;
        if (self->outputs[port[i]].up && (picked < 0 || score > best)) {
            best = score;
            picked = port[i];
        }
    }
    return picked;
}

static inline int
verdict_of(struct route_table *self, const struct route_table *base,
           struct hg_packet *p, uint32_t target)
{
    int port;

    if (target < base->n_outputs && base->outputs[target].up)
        return (int)target;
    if (target == HG_LPM_NONE)
        return hg_drop(&self->no_route);
    if (target == HG_ROUTES_FORBIDDEN)
        return hg_drop(&self->forbidden);
    if (target == HG_ROUTES_BLACKHOLE || target < base->n_outputs)
        return hg_drop(&self->blackhole);
    port = pick_port(base, target, hg_packet_hash(p));
    return port < 0 ? hg_drop(&self->blackhole) : port;
}

/* What a flow remembers where there are many routes; few are searched in
 * less time than that takes to be fetched.  The table (+ 1) and what it
 * said. */
enum { MANY_ROUTES = 4096 };

struct remembered {
    uint32_t table;
    uint32_t target;
};

/* What becomes of those packets of the batch that 'of' numbers, after a
 * search in table t. */
static void
decide(struct route_table *self, const struct hg_batch *batch,
       const uint16_t *of, unsigned n, uint32_t t, const uint32_t *target,
       int16_t *verdict)
{
    const struct route_table *base = self->base;
    unsigned k;

    for (k = 0; k < n; k++)
        verdict[of[k]] =
            (int16_t)verdict_of(self, base, batch->p[of[k]], target[k]);
    if (!self->remembers)
        return;
    for (k = 0; k < n; k++) {
        const struct remembered r = {t + 1, target[k]};

        hg_flow_remember(self, batch->p[of[k]], &r);
    }
}

/* Looks up those packets of the batch that 'of' numbers in one table. */
static void
look_up(struct route_table *self, uint32_t t, struct hg_batch *batch,
        const uint16_t *of, unsigned n, int16_t *verdict)
{
    const struct hg_lpm *lpm = self->base->all[t].lpm;
    uint32_t ip4[HG_BATCH_MAX], target[HG_BATCH_MAX];
    const uint8_t *ip6[HG_BATCH_MAX];
    uint16_t of4[HG_BATCH_MAX], of6[HG_BATCH_MAX];
    unsigned n4 = 0, n6 = 0, k;

    for (k = 0; k < n; k++) {
        const struct hg_packet *p = batch->p[of[k]];

        if (p->flags & HG_PACKET_IP4) {
            of4[n4] = of[k];
            ip4[n4++] = hg_get32(hg_packet_ipv4(p)->dst);
        } else if (p->flags & HG_PACKET_IP6) {
            of6[n6] = of[k];
            ip6[n6++] = hg_packet_ipv6(p)->dst;
        } else {
            verdict[of[k]] = (int16_t)hg_drop(&self->not_ip);
        }
    }
    if (n4) {
        hg_lpm_lookup4(lpm, n4, ip4, target);
        decide(self, batch, of4, n4, t, target, verdict);
    }
    if (n6) {
        hg_lpm_lookup6(lpm, n6, ip6, target);
        decide(self, batch, of6, n6, t, target, verdict);
    }
}

/* The packets of a batch that have to be looked up, and in which table. */
struct lookups {
    unsigned n;
    uint16_t packet[HG_BATCH_MAX]; /* Place in the batch. */
    uint32_t table[HG_BATCH_MAX];
};

/* Looks up table by table; the packets of each are a list by 'next'. */
static void
look_up_each(struct route_table *self, struct hg_batch *batch,
             const struct lookups *l, int16_t *verdict)
{
    uint16_t next[HG_BATCH_MAX], of[HG_BATCH_MAX];
    uint32_t touched[HG_BATCH_MAX];
    unsigned n_touched = 0, i, n;

    for (i = l->n; i-- > 0;) {
        uint16_t *first = &self->first[l->table[i]];

        if (*first == NO_PACKET)
            touched[n_touched++] = l->table[i];
        next[i] = *first;
        *first = (uint16_t)i;
    }
    while (n_touched) {
        uint32_t t = touched[--n_touched];

        for (n = 0, i = self->first[t]; i != NO_PACKET; i = next[i])
            of[n++] = l->packet[i];
        look_up(self, t, batch, of, n, verdict);
        self->first[t] = NO_PACKET;
    }
}

/* ---- The short way ---------------------------------------------------- */

/* The targets of packets that are all of one family, in the only table; false
 * if they are not. */
static inline bool
look_up_all(const struct hg_lpm *lpm, const struct hg_batch *batch,
            uint32_t *target)
{
    const uint32_t family =
        batch->p[0]->flags & (HG_PACKET_IP4 | HG_PACKET_IP6);
    const uint8_t *ip6[HG_BATCH_MAX];
    uint32_t ip4[HG_BATCH_MAX];
    unsigned i;

    for (i = 0; i < batch->n; i++) {
        const struct hg_packet *p = batch->p[i];

        if (!(p->flags & family))
            return false;
        if (family == HG_PACKET_IP4)
            ip4[i] = hg_get32(hg_packet_ipv4(p)->dst);
        else
            ip6[i] = hg_packet_ipv6(p)->dst;
    }
    if (family == HG_PACKET_IP4)
        hg_lpm_lookup4(lpm, batch->n, ip4, target);
    else
        hg_lpm_lookup6(lpm, batch->n, ip6, target);
    return true;
}

/* Where all packets are looked up in one table, and no flow remembers
 * anything, nothing is sorted. */
static bool
route_all(struct route_table *self, struct hg_batch *batch)
{
    const struct route_table *base = self->base;
    uint32_t target[HG_BATCH_MAX];
    int16_t verdict[HG_BATCH_MAX];
    unsigned i;

    if (base->n_tables != 1 || base->default_table != 1 ||
        !look_up_all(base->all[0].lpm, batch, target))
        return false;
    for (i = 0; i < batch->n; i++)
        verdict[i] = (int16_t)verdict_of(self, base, batch->p[i], target[i]);
    hg_route(self, batch, verdict);
    return true;
}

/* ---- Batches ---------------------------------------------------------- */

/* Its own place in each table for a batch's packets. */
static void
begin_batches(struct route_table *self)
{
    while (self->n_first < self->base->n_tables) {
        self->first = grow(self->first, self->n_first, sizeof *self->first);
        self->first[self->n_first++] = NO_PACKET;
    }
}

/* The base follows the inventory; what others may be reading at the same time
 * does not change (route_table_settle). */
static void
follow_inventory(struct route_table *self)
{
    struct hg_error error;

    if (!refresh(self, &error))
        hg_warn(self, "%s", error.text);
    begin_batches(self);
}

static void
route_table_batch(struct route_table *self, struct hg_batch *batch)
{
    const struct route_table *base = self->base;
    const bool asks = self->remembers && hg_batch_has_flows(batch);
    const void *remembered[HG_BATCH_MAX];
    int16_t verdict[HG_BATCH_MAX];
    struct lookups l;
    unsigned n = 0, i;
    uint32_t differ = 0;

    if (base == self && is_stale(self))
        follow_inventory(self);
    if (!asks && route_all(self, batch))
        return;
    if (asks)
        hg_flow_verdicts(self, batch->p, batch->n, remembered);
    for (i = 0; i < batch->n; i++) {
        uint32_t t = table_of(base, batch->p[i]);
        const struct remembered *r = asks ? remembered[i] : NULL;

        if (r && r->table == t) {
            verdict[i] =
                (int16_t)verdict_of(self, base, batch->p[i], r->target);
        } else if (!t) {
            verdict[i] = (int16_t)hg_drop(&self->no_table);
        } else {
            l.packet[n] = (uint16_t)i;
            l.table[n++] = t - 1;
            differ |= (t - 1) ^ l.table[0];
        }
    }
    l.n = n;
    if (differ)
        look_up_each(self, batch, &l, verdict);
    else if (n)
        look_up(self, l.table[0], batch, l.packet, n, verdict);
    hg_route(self, batch, verdict);
}

/* ---- Configuration ---------------------------------------------------- */

static bool
add_output(struct route_table *self, const char *name, uint8_t kind)
{
    if (self->n_outputs && hg_declare_output(self, name, false) < 0)
        return false;
    self->outputs =
        grow(self->outputs, self->n_outputs, sizeof *self->outputs);
    self->outputs[self->n_outputs++] = (struct output){name, kind, true};
    return true;
}

/* The targets that routes name and no target section does. */
static bool
add_outputs_of(struct route_table *self, const struct table_row *row)
{
    size_t i, k;

    for (i = 0; i < row->route.n; i++) {
        const struct hg_string_list *target = &row->route.row[i].target;

        for (k = 0; k < target->n; k++)
            if (strcmp(target->v[k], "blackhole") &&
                find_output(self, target->v[k]) < 0 &&
                !add_output(self, target->v[k], KIND_ANY))
                return false;
    }
    return true;
}

static bool
add_inputs(struct route_table *self, const struct hg_string_list *names,
           bool edge)
{
    size_t i;
    unsigned k;

    for (i = 0; i < names->n; i++) {
        for (k = 1; k < self->n_inputs; k++)
            if (!strcmp(self->inputs[k].name, names->v[i]))
                break;
        if (k < self->n_inputs) {
            self->inputs[k].edge |= edge;
            continue;
        }
        if (hg_declare_input(self, names->v[i]) < 0)
            return false;
        self->inputs =
            grow(self->inputs, self->n_inputs, sizeof *self->inputs);
        self->inputs[self->n_inputs++] =
            (struct input){names->v[i], edge, NULL};
    }
    return true;
}

static bool
declare_ports(struct route_table *self)
{
    bool ok = add_output(self, "local", KIND_ANY);
    size_t i;

    self->inputs = grow(NULL, 0, sizeof *self->inputs);
    self->inputs[self->n_inputs++] = (struct input){"in", false, NULL};
    for (i = 0; ok && i < self->target.n; i++)
        ok = add_output(self, self->target.row[i].name,
                        self->target.row[i].kind);
    ok = ok && add_outputs_of(self, &self->top);
    for (i = 0; ok && i < self->table.n; i++)
        ok = add_outputs_of(self, &self->table.row[i]) &&
             add_inputs(self, &self->table.row[i].gateways, true) &&
             add_inputs(self, &self->table.row[i].attachments, false);
    return ok;
}

struct mistakes {
    struct route_table *self;
    const struct table *table;
    const char *option; /* Of the element, or the row it stands in. */
    int row;
    unsigned n;
};

static void
file_mistake(void *aux, const char *text)
{
    struct mistakes *m = aux;

    if (m->n++ < 100) /* Enough to see what is wrong. */
        hg_config_error(m->self, m->option, m->row, "%s", text);
}

static bool
read_lists(struct route_table *self)
{
    bool ok = true;
    size_t i;

    for (i = 0; i < self->prefix_list.n; i++) {
        struct list_row *row = &self->prefix_list.row[i];
        struct mistakes m = {self, NULL, "prefix_list", (int)i, 0};
        struct hg_prefix prefix;

        if (hg_prefix_parse(row->name, &prefix) ||
            find_list(self, row->name) != row)
            ok = hg_config_error(self, "prefix_list", (int)i,
                                 "prefix-list '%s' must have a name of its "
                                 "own that is no prefix",
                                 row->name);
        if (row->file &&
            !hg_prefixes_read(row->file, row->service, row->region,
                              &row->prefixes, file_mistake, &m))
            ok = false;
        if (!row->prefixes.n && !m.n)
            ok = hg_config_error(self, "prefix_list", (int)i,
                                 "prefix-list '%s' is empty", row->name);
    }
    return ok;
}

static bool
file_row(void *aux, struct hg_table_row *row, struct hg_error *error)
{
    struct mistakes *m = aux;
    struct hg_route_text text = {.source = HG_ROUTE_OTHER};

    for (row->at = 0; row->at < row->n; row->at++)
        if (!hg_route_text_set(&text, row->name[row->at], row->value[row->at],
                               error))
            return false;
    row->at = 0;
    if (*text.table)
        return hg_error_set(error, "the file belongs to one table; leave out "
                                   "the column 'table'");
    return add_route(m->self, m->table, &text, error);
}

static bool
row_text(const struct route_row *row, struct hg_route_text *text,
         struct hg_error *error)
{
    char targets[sizeof text->target] = "";
    size_t used = 0, i;

    *text = (struct hg_route_text){.propagated = row->type == 1,
                                   .source = row->source,
                                   .as_path = row->as_path};
    if (row->med.n) {
        text->med_given = true;
        text->med = (uint32_t)row->med.v[0];
    }
    for (i = 0; i < row->target.n && used < sizeof targets; i++)
        used += (size_t)snprintf(targets + used, sizeof targets - used, "%s%s",
                                 i ? "," : "", row->target.v[i]);
    if (used >= sizeof targets)
        return hg_error_set(error, "the names of the targets are too long");
    return hg_route_text_set(text, "destination", row->destination, error) &&
           hg_route_text_set(text, "target", targets, error) &&
           (!row->origin ||
            hg_route_text_set(text, "origin", row->origin, error));
}

/* The routes of a table; 'option' and 'index' are where mistakes are. */
static bool
add_rows(struct route_table *self, uint32_t t, const char *option, int index)
{
    const struct table_row *row = self->all[t].row;
    struct mistakes m = {self, &self->all[t], option, index, 0};
    bool ok = true;
    size_t i;

    if (row->cidr.n)
        hg_routes_set_local(self->state, t, &row->cidr, LOCAL);
    for (i = 0; i < row->route.n; i++) {
        struct hg_route_text text;
        struct hg_error error;

        if (!row_text(&row->route.row[i], &text, &error) ||
            !add_route(self, &self->all[t], &text, &error))
            ok = hg_config_error(self, option, index < 0 ? (int)i : index,
                                 "%s", error.text);
    }
    if (row->file) {
        m.option = index < 0 ? "file" : option;
        ok = hg_table_read(row->file, file_row, file_mistake, &m) && ok;
    }
    return ok;
}

static int
compare_names(const void *a, const void *b, void *aux)
{
    const struct route_table *self = aux;

    return strcmp(self->all[*(const uint32_t *)a].name,
                  self->all[*(const uint32_t *)b].name);
}

static bool
sort_names(struct route_table *self)
{
    bool ok = true;
    uint32_t i;

    self->n_by_name = self->n_tables;
    self->by_name = calloc(self->n_tables + 1, sizeof *self->by_name);
    if (!self->by_name)
        return false;
    for (i = 0; i < self->n_tables; i++)
        self->by_name[i] = i;
    qsort_r(self->by_name, self->n_by_name, sizeof *self->by_name,
            compare_names, self);
    for (i = 1; i < self->n_by_name; i++)
        if (!compare_names(&self->by_name[i - 1], &self->by_name[i], self))
            ok = hg_config_error(self, NULL, -1, "two tables are called '%s'",
                                 self->all[self->by_name[i]].name);
    return ok;
}

static void
make_tables(struct route_table *self)
{
    bool has_top = self->top.route.n || self->top.file || self->top.cidr.n;
    size_t i;

    if (has_top || !self->table.n)
        self->default_table = add_table(self, &self->top, "main") + 1;
    for (i = 0; i < self->table.n; i++) {
        const struct table_row *row = &self->table.row[i];
        uint32_t t = add_table(self, row, row->name);

        if (!self->default_table && !row->vpc &&
            (row->main || self->table.n == 1))
            self->default_table = t + 1;
    }
}

static void
declare_memory(struct route_table *self)
{
    self->remembers = hg_routes_count(self->base->state) >= MANY_ROUTES;
    if (self->remembers)
        hg_flow_declare_verdict(self, sizeof(struct remembered), false);
}

static bool
route_table_configure(void *self_)
{
    struct route_table *self = self_;
    bool ok, has_top;
    size_t i;

    self->top = (struct table_row){.name = NULL,
                                   .main = true,
                                   .cidr = self->cidr,
                                   .ecmp = self->ecmp,
                                   .order = self->order,
                                   .file = self->file};
    self->top.route.n = self->route.n;
    self->top.route.row = self->route.row;
    if (!declare_ports(self))
        return false;
    self->base = hg_kin(self);
    if (self->base) {
        declare_memory(self);
        return true;
    }
    self->base = self;
    self->state =
        hg_routes_create(self->n_outputs, &self->forbidden_destinations);
    find_origin(self, "");
    make_tables(self);
    ok = sort_names(self) && read_lists(self);
    has_top = self->all[0].row == &self->top;
    if (has_top)
        ok = add_rows(self, 0, "route", -1) && ok;
    for (i = 0; i < self->table.n; i++)
        ok = add_rows(self, (uint32_t)i + has_top, "table", (int)i) && ok;
    declare_memory(self);
    return ok;
}

static bool
route_table_start(void *self_, struct hg_error *error)
{
    struct route_table *self = self_, *base = self->base;

    if (!base->vpcs) { /* Nobody who borrows them started before. */
        base->inventory = hg_service(self, self->mapping, "inventory");
        if (!refresh(base, error) || !check_routes(base, error))
            return false;
    }
    begin_batches(self);
    tables_changed(self);
    return true;
}

static void
route_table_settle(void *self_)
{
    struct route_table *self = self_;

    if (is_stale(self->base))
        follow_inventory(self->base);
    begin_batches(self);
    tables_changed(self);
}

static void
route_table_free(void *self_)
{
    struct route_table *self = self_;
    uint32_t i;

    hg_routes_destroy(self->state);
    for (i = 0; i < self->n_inputs; i++)
        free(self->inputs[i].by_vpc);
    for (i = 0; i < self->n_origins; i++)
        free(self->origins[i]);
    free(self->origins);
    free(self->inputs);
    free(self->outputs);
    free(self->all);
    free(self->by_name);
    free(self->by_subnet);
    free(self->vpcs);
    free(self->first);
}

/* clang-format off */
HG_BATCH_ELEMENT(RouteTable, struct route_table, route_table_batch,
    .summary = "sends packets where the longest matching route says",
    .doc =
        "Routes stand in the element itself (then they are those of the\n"
        "table 'main') or in sections 'table'.  Their targets are\n"
        "outputs; 'local' is where the addresses of the VPC are,\n"
        "'blackhole' drops.  A destination is a prefix or a prefix-list.\n"
        "\n"
        "A packet that comes in at 'in' is looked up in the table of the\n"
        "subnet of its source ENI (the table's 'subnets', or what the\n"
        "mapping service says), else in the main table of its VPC.  A\n"
        "table with 'gateways' or 'attachments' makes an input of each of\n"
        "these names, and is for what comes in there (edge association).\n"
        "A VPC without a main table has one with its local routes.\n"
        "\n"
        "Longest prefix first; of equal ones static, local, prefix list,\n"
        "propagated, in this order.  Every CIDR of the VPC has a local\n"
        "route, which a static route to a nat-gateway, network-interface\n"
        "or gwlb-endpoint may replace; within it only such routes for\n"
        "whole subnets may be, and what is propagated there does not\n"
        "count.  A section 'target' says what an output is; what none\n"
        "describes may be anything.  Of prefix lists that overlap one is\n"
        "chosen by lot, for good.  A route stays in force when its target\n"
        "goes down (handler 'down') and drops as a blackhole.\n"
        "\n"
        "Several targets of one route share its flows by the flow hash,\n"
        "which is the same for both directions; so do, with 'ecmp',\n"
        "propagated routes that are equal in source, AS path and MED.\n"
        "(In a VPC a route has one target; a transit gateway shares.)\n"
        "\n"
        "Routes are changed by the handlers 'add' and 'remove', several\n"
        "at a time with line ends or semicolons between:\n"
        "    10.0.0.0/8 target=down table=main type=propagated origin=vgw-1\n"
        "propagated ones can also have source=, as-path= and med=;\n"
        "'withdraw' takes away all that an origin has propagated.  A change\n"
        "takes microseconds, whatever the table holds, and packets meet the\n"
        "table before or after it.  A million routes of the Internet take\n"
        "about 80 MiB ('memory'), of which lookups touch a quarter.  Behind\n"
        "an element that keeps flows, these remember their routes if the\n"
        "graph begins with 4,096 or more, until a route changes.",
    .reproduces =
        "route tables of subnets and gateways: longest prefix, local "
        "routes and what may replace them, static before prefix list "
        "before propagated, forbidden destinations, blackholes, prefix "
        "lists and ip-ranges.json, edge association",
    .leaves_out =
        "BGP itself (routes are propagated by handlers); checks of what "
        "a target is in its account; quotas",
    .lets_choose =
        "which kind each target is, or any; several targets for one "
        "route and ECMP, as a transit gateway has them",
    .example =
        "Interface lan  { }\n"
        "Interface up   { }\n"
        "Interface down { }\n"
        "RouteTable rt {\n"
        "    route 0.0.0.0/0      { target = up }\n"
        "    route 10.0.0.0/8     { target = down }\n"
        "    route 192.168.0.0/16 { target = { up, down } }\n"
        "    route offices        { target = down }\n"
        "    route 198.18.0.0/15  { target = blackhole }\n"
        "    prefix-list offices  {\n"
        "        prefixes = { 192.0.2.0/24, 2001:db8::/32 }\n"
        "    }\n"
        "}\n"
        "connect(\"lan -> CheckIP -> rt; rt[up] -> up; rt[down] -> down\")\n"
        "connect(\"up -> Discard; down -> Discard\")",
    .flags = HG_CLASS_ANY_WORKER, .inputs = "in *", .outputs = "local? *", .needs = "ip",
    .configure = route_table_configure,
    .start = route_table_start,
    .settle = route_table_settle,
    .free = route_table_free,
    .fields = HG_FIELDS(
        HG_ROWS(route, route_fields, .doc = "a route of the main table"),
        HG_ROWS(table, table_fields, .doc = "a table"),
        HG_ROWS(prefix_list, list_fields,
                .doc = "a named list of prefixes, a destination of routes"),
        HG_ROWS(target, target_fields,
                .doc = "an output and what it leads to"),
        HG_OPTION(cidr, .doc = "local prefixes of the main table; not given: "
                               "the VPC's"),
        HG_OPTION(forbidden_destinations,
                  .def = "169.254.168.0/22 fd00:ec2::/32",
                  .doc = "never forwarded, whatever the routes say"),
        HG_OPTION(ecmp, .doc = "main table: equal propagated routes share "
                               "the flows"),
        HG_OPTION(order, .choices = HG_ROUTE_ORDERS,
                  .doc = "main table: whose order decides between propagated "
                         "routes"),
        HG_OPTION(file, .doc = "further routes of the main table, CSV or "
                               ".json: columns destination, target, type, "
                               "origin, source, as-path, med"),
        HG_OPTION(mapping, .cls = "MappingService",
                  .doc = "who knows the VPCs; not given: the only one"),
        HG_GAUGE(routes, .alike = true, .doc = "routes in all tables"),
        HG_GAUGE(tables, .alike = true,
                 .doc = "tables, those made for VPCs included"),
        HG_GAUGE(memory, .alike = true,
                 .doc = "bytes that the tables take, which several workers "
                        "share"),
        HG_COUNTER(updates, .doc = "routes added and removed by handlers"),
        HG_REASON(no_table, .doc = "no table is for it"),
        HG_REASON(no_route, .doc = "no route matches"),
        HG_REASON(blackhole, .doc = "its route is a blackhole"),
        HG_REASON(forbidden, .doc = "its destination is never forwarded"),
        HG_REASON(not_ip, .doc = "not IP")),
    .handlers = HG_HANDLERS(
        {.name = "list", .read = read_list,
         .doc = "all routes, one JSON object a line, or those of one table: "
                "list=TABLE"},
        {.name = "lookup", .read = read_lookup,
         .doc = "the route that an address takes: lookup=ADDRESS or "
                "\"lookup=ADDRESS TABLE\""},
        {.name = "table-list", .read = read_tables,
         .doc = "the tables, one JSON object a line"},
        {.name = "add", .write = write_add,
         .doc = "adds or replaces routes: \"PREFIX target=NAME ...\""},
        {.name = "remove", .write = write_remove,
         .doc = "removes routes: \"PREFIX ...\", with table, type and origin "
                "as they were added"},
        {.name = "withdraw", .write = write_withdraw,
         .doc = "removes all routes of an origin"},
        {.name = "up", .write = write_up,
         .doc = "the target of this name is there again"},
        {.name = "down", .write = write_down,
         .doc = "the target of this name is gone: its routes are "
                "blackholes"}))
