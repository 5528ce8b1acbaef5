/* MappingService: who is who in the VPCs, for the elements that ask.
 *
 * Makes an inventory (headgate/inventory.h) from its sections and from tables
 * in files, and offers it as "inventory"; Identify, MappingLookup, Decap and
 * the filters find it there.  Sections and records of files go the same way:
 * mapping_record.h turns each into a VPC, subnet or ENI. */
#include <stdlib.h>
#include <string.h>

#include "mapping_record.h"

#include <jansson.h>

struct mapping_service {
    HG_ROWS_OF(struct vpc_row) vpc;
    HG_ROWS_OF(struct subnet_row) subnet;
    HG_ROWS_OF(struct group_row) group;
    HG_ROWS_OF(struct eni_row) eni;
    struct hg_string_list file;
    hg_gauge vpcs;
    hg_gauge subnets;
    hg_gauge groups;
    hg_gauge enis;
    hg_gauge generation;
    struct hg_inventory *inventory; /* What others look into. */
};

/* ---- Making the inventory --------------------------------------------- */

/* Where a mistake goes: the diagnostics of the graph, or, when it runs, the
 * first into an error. */
struct making {
    struct mapping_service *self;
    struct hg_inventory *inventory;
    struct hg_error *error; /* NULL: the graph's diagnostics. */
    const char *option;     /* The option that is being looked at ... */
    int row;                /* ... and which of its rows. */
    size_t n_mistakes;
};

static void
mistake(void *making_, const char *text)
{
    struct making *m = making_;

    if (!m->error)
        hg_config_error(m->self, m->option, m->row, "%s", text);
    else if (!m->n_mistakes)
        hg_error_set(m->error, "%s", text);
    m->n_mistakes++;
}

static bool
file_record(void *making_, struct hg_table_row *row, struct hg_error *error)
{
    struct making *m = making_;

    return add_record(m->inventory, row, false, error);
}

static void
add_sections(struct making *m)
{
    const struct mapping_service *self = m->self;
    struct hg_error error;
    size_t i;

    m->option = "vpc";
    for (i = 0; i < self->vpc.n; i++) {
        m->row = (int)i;
        if (!add_vpc(m->inventory, &self->vpc.row[i], &error))
            mistake(m, error.text);
    }
    m->option = "subnet";
    for (i = 0; i < self->subnet.n; i++) {
        m->row = (int)i;
        if (!add_subnet(m->inventory, &self->subnet.row[i], &error))
            mistake(m, error.text);
    }
    m->option = "group";
    for (i = 0; i < self->group.n; i++) {
        m->row = (int)i;
        if (!add_group(m->inventory, &self->group.row[i], &error))
            mistake(m, error.text);
    }
}

/* Fills an inventory; false if there were mistakes. */
static bool
make(struct mapping_service *self, struct hg_inventory *inventory,
     struct hg_error *error)
{
    struct making m = {self, inventory, error, NULL, -1, 0};
    struct hg_error why;
    size_t i;

    add_sections(&m);
    m.option = "file";
    for (i = 0; i < self->file.n; i++) {
        m.row = (int)i;
        hg_table_read(self->file.v[i], file_record, mistake, &m);
    }
    m.option = "eni";
    for (i = 0; i < self->eni.n; i++) {
        m.row = (int)i;
        if (!add_eni(inventory, &self->eni.row[i], false, &why))
            mistake(&m, why.text);
    }
    return !m.n_mistakes;
}

/* The i-th VPC; NULL if a reload left it out. */
static const struct hg_vpc *
vpc_at(const struct hg_inventory *inventory, size_t i)
{
    const struct hg_vpc *vpc = hg_inventory_vpc_at(inventory, i);

    return hg_inventory_vpc(inventory, vpc->id) == vpc ? vpc : NULL;
}

static const struct hg_subnet *
subnet_at(const struct hg_inventory *inventory, size_t i)
{
    const struct hg_subnet *subnet = hg_inventory_subnet_at(inventory, i);

    return hg_inventory_subnet(inventory, subnet->id) == subnet ? subnet
                                                                : NULL;
}

static void
update_gauges(struct mapping_service *self)
{
    const struct hg_inventory *inventory = self->inventory;
    size_t i;

    self->vpcs.n = self->subnets.n = 0;
    for (i = 0; i < hg_inventory_n_vpcs(inventory); i++)
        self->vpcs.n += vpc_at(inventory, i) != NULL;
    for (i = 0; i < hg_inventory_n_subnets(inventory); i++)
        self->subnets.n += subnet_at(inventory, i) != NULL;
    self->groups.n = hg_inventory_n_groups(inventory);
    self->generation.n = hg_inventory_generation(inventory);
    self->enis.n = 0;
    for (i = 0; i < hg_inventory_n_enis(inventory); i++)
        self->enis.n += hg_inventory_eni_at(inventory, i) != NULL;
}

/* ---- Handlers --------------------------------------------------------- */

static void
set_text(json_t *object, const char *key, const char *value)
{
    if (value)
        json_object_set_new(object, key, json_string(value));
}

static void
set_addr(json_t *object, const char *key, const struct hg_addr *addr)
{
    char buf[HG_ADDR_STRLEN];

    if (addr->family)
        set_text(object, key, hg_addr_format(addr, buf));
}

static void
set_prefixes(json_t *object, const struct hg_prefix_list *list)
{
    json_t *array = json_array();
    char buf[HG_PREFIX_STRLEN];
    size_t i;

    for (i = 0; i < list->n; i++)
        json_array_append_new(array,
                              json_string(hg_prefix_format(&list->v[i], buf)));
    json_object_set_new(object, "cidr", array);
}

static void
print_line(json_t *object, FILE *out)
{
    json_dumpf(object, out, JSON_COMPACT);
    fputc('\n', out);
    json_decref(object);
}

static void
print_vpc(const struct hg_vpc *vpc, FILE *out)
{
    json_t *object = json_object();

    set_text(object, "kind", "vpc");
    set_text(object, "id", vpc->id);
    json_object_set_new(object, "vni", json_integer(vpc->vni));
    set_text(object, "account", vpc->account);
    set_prefixes(object, &vpc->cidr);
    print_line(object, out);
}

static void
print_subnet(const struct hg_subnet *subnet, FILE *out)
{
    json_t *object = json_object();

    set_text(object, "kind", "subnet");
    set_text(object, "id", subnet->id);
    set_text(object, "vpc", subnet->vpc->id);
    set_prefixes(object, &subnet->cidr);
    set_text(object, "az", subnet->az);
    set_text(object, "route-table", subnet->route_table);
    set_text(object, "nacl", subnet->nacl);
    print_line(object, out);
}

static void
print_group(const struct hg_security_group *group, FILE *out)
{
    json_t *object = json_object();

    set_text(object, "kind", "group");
    set_text(object, "id", group->id);
    set_text(object, "vpc", group->vpc->id);
    print_line(object, out);
}

static void
print_eni(const struct hg_eni *eni, FILE *out)
{
    json_t *object = json_object(), *list = json_array();
    char buf[HG_ADDR_STRLEN];
    size_t i;

    set_text(object, "kind", "eni");
    set_text(object, "id", eni->id);
    set_text(object, "vpc", eni->vpc->id);
    set_text(object, "subnet", eni->subnet->id);
    set_text(object, "mac", hg_mac_format(&eni->mac, buf));
    for (i = 0; i < eni->details->address.n; i++)
        json_array_append_new(list, json_string(hg_addr_format(
                                        &eni->details->address.v[i], buf)));
    json_object_set_new(object, "address", list);
    set_addr(object, "public", &eni->details->public_address);
    list = json_array();
    for (i = 0; i < eni->details->security_group.n; i++)
        json_array_append_new(list,
                              json_string(eni->details->security_group.v[i]));
    json_object_set_new(object, "security-groups", list);
    set_addr(object, "host", &eni->host);
    set_text(object, "account", eni->details->account);
    set_text(object, "instance", eni->details->instance);
    json_object_set_new(object, "source-destination-check",
                        json_boolean(eni->source_dest_check));
    print_line(object, out);
}

static bool
read_list(void *self_, const char *argument, FILE *out, struct hg_error *error)
{
    const struct mapping_service *self = self_;
    const struct hg_inventory *inventory = self->inventory;
    bool all = !*argument;
    size_t i;

    if (!all && strcmp(argument, "vpc") && strcmp(argument, "subnet") &&
        strcmp(argument, "group") && strcmp(argument, "eni"))
        return hg_error_set(error,
                            "no kind of record '%s': vpc, subnet, group or "
                            "eni",
                            argument);
    for (i = 0;
         (all || *argument == 'v') && i < hg_inventory_n_vpcs(inventory); i++)
        if (vpc_at(inventory, i))
            print_vpc(vpc_at(inventory, i), out);
    for (i = 0;
         (all || *argument == 's') && i < hg_inventory_n_subnets(inventory);
         i++)
        if (subnet_at(inventory, i))
            print_subnet(subnet_at(inventory, i), out);
    for (i = 0; (all || *argument == 'g') && i < self->groups.n; i++)
        print_group(hg_inventory_group_at(inventory, i), out);
    for (i = 0;
         (all || *argument == 'e') && i < hg_inventory_n_enis(inventory); i++)
        if (hg_inventory_eni_at(inventory, i))
            print_eni(hg_inventory_eni_at(inventory, i), out);
    return true;
}

/* "ENI", "ADDRESS", "VPC ADDRESS" or "VPC,ADDRESS". */
static bool
read_find(void *self_, const char *argument, FILE *out, struct hg_error *error)
{
    const struct mapping_service *self = self_;
    const struct hg_eni *eni = hg_inventory_eni(self->inventory, argument);
    const char *last = strpbrk(argument, " ,");
    const struct hg_vpc *vpc = NULL;
    struct hg_addr addr;
    char id[128];

    if (!eni && last) {
        snprintf(id, sizeof id, "%.*s", (int)(last - argument), argument);
        vpc = hg_inventory_vpc(self->inventory, id);
        if (!vpc)
            return hg_error_set(error, "there is no VPC '%s'", id);
    }
    if (!eni && hg_addr_parse(last ? last + 1 : argument, &addr)) {
        eni = hg_inventory_find(self->inventory, vpc ? vpc->number : 0, &addr);
        if (!eni)
            eni = hg_inventory_find_public(self->inventory, &addr);
    }
    if (!eni)
        return hg_error_set(error,
                            "no ENI '%s'; ask for find=ENI, "
                            "find=ADDRESS or find=VPC,ADDRESS",
                            argument);
    print_eni(eni, out);
    return true;
}

static bool
read_memory(void *self_, const char *argument, FILE *out,
            struct hg_error *error)
{
    const struct mapping_service *self = self_;
    struct hg_inventory_memory m;

    if (*argument)
        return hg_error_set(error, "memory takes no argument");
    hg_inventory_memory(self->inventory, &m);
    fprintf(out,
            "{\"mappings\":%zu,\"bytes-per-mapping\":%.1f,"
            "\"mapping-bytes\":%zu,\"record-bytes\":%zu,"
            "\"index-bytes\":%zu}\n",
            m.mappings,
            m.mappings ? (double)m.mapping_bytes / (double)m.mappings : 0.0,
            m.mapping_bytes, m.record_bytes, m.index_bytes);
    return true;
}

/* False if the value is not one of those of records (null is: nothing). */
static bool
print_member(const json_t *value, FILE *out)
{
    bool ok = true;
    size_t i;

    if (json_is_string(value))
        fputs(json_string_value(value), out);
    else if (json_is_integer(value))
        fprintf(out, "%lld", (long long)json_integer_value(value));
    else if (json_is_boolean(value))
        fputs(json_is_true(value) ? "true" : "false", out);
    else if (!json_is_array(value))
        return json_is_null(value);
    for (i = 0; ok && i < json_array_size(value); i++) {
        const char *word = json_string_value(json_array_get(value, i));

        ok = word && fprintf(out, "%s ", word) > 0;
    }
    return ok;
}

/* The text of a member of a record in JSON, to be freed; NULL if it is
 * neither a scalar nor an array of texts. */
static char *
member_text(const json_t *value)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    bool ok = out && print_member(value, out);

    if (out)
        fclose(out);
    if (ok)
        return text;
    free(text);
    return NULL;
}

static bool
add_object(struct mapping_service *self, json_t *object,
           struct hg_error *error)
{
    enum { MAX_MEMBERS = 32 };
    const char *name[MAX_MEMBERS], *key;
    char *value[MAX_MEMBERS];
    struct hg_table_row row = {0, name, (const char *const *)value, 0};
    json_t *member;
    bool ok = true;

    if (!json_is_object(object) || json_object_size(object) > MAX_MEMBERS)
        return hg_error_set(error,
                            "a record is a JSON object of at most %d "
                            "members",
                            MAX_MEMBERS);
    json_object_foreach(object, key, member)
    {
        name[row.n] = key;
        value[row.n] = member_text(member);
        if (value[row.n])
            row.n++;
        else
            ok = hg_error_set(error,
                              "'%s' must be a text, a number or an array of "
                              "texts",
                              key);
    }
    ok = ok && add_record(self->inventory, &row, true, error);
    for (row.at = 0; row.at < row.n; row.at++)
        free(value[row.at]);
    return ok;
}

static bool
write_add(void *self_, const char *value, struct hg_error *error)
{
    struct mapping_service *self = self_;
    json_error_t where;
    json_t *object = json_loads(value, JSON_REJECT_DUPLICATES, &where);
    bool ok = object ? add_object(self, object, error)
                     : hg_error_set(error, "column %d: %s", where.column,
                                    where.text);

    json_decref(object);
    update_gauges(self);
    return ok;
}

static bool
write_remove(void *self_, const char *id, struct hg_error *error)
{
    struct mapping_service *self = self_;

    if (!hg_inventory_remove_eni(self->inventory, id))
        return hg_error_set(error, "there is no ENI '%s'", id);
    update_gauges(self);
    return true;
}

static bool
write_reload(void *self_, const char *value, struct hg_error *error)
{
    struct mapping_service *self = self_;
    struct hg_inventory *next;

    if (*value)
        return hg_error_set(error, "reload takes no value, not '%s'", value);
    next = hg_inventory_create_next(self->inventory);
    if (!make(self, next, error)) {
        hg_inventory_destroy(next);
        return false;
    }
    hg_inventory_replace(self->inventory, next);
    update_gauges(self);
    return true;
}

/* ---- Life ------------------------------------------------------------- */

static bool
mapping_service_configure(void *self_)
{
    struct mapping_service *self = self_;
    bool ok;

    if (hg_kin(self)) /* All instances look into the first one's. */
        return true;
    self->inventory = hg_inventory_create_one_of(hg_which_of_class(self),
                                                 hg_n_of_class(self));
    ok = make(self, self->inventory, NULL);
    update_gauges(self);
    return ok;
}

static void
mapping_service_free(void *self_)
{
    struct mapping_service *self = self_;

    hg_inventory_destroy(self->inventory);
}

static void *
mapping_service_service(void *self_, const char *interface)
{
    struct mapping_service *self = self_;

    return strcmp(interface, "inventory") ? NULL : self->inventory;
}

/* clang-format off */
HG_PASSIVE_ELEMENT(MappingService, struct mapping_service,
    .summary = "holds the inventory of VPCs, subnets and ENIs",
    .doc =
        "Identify, MappingLookup, Decap and the filters look here for who\n"
        "has which address.  Addresses may overlap between VPCs.\n"
        "\n"
        "'file' names tables, CSV with a first line of column names or a\n"
        "JSON array of objects (.json).  Columns: kind (vpc, subnet, group or\n"
        "eni, which is the default), id, vpc, vni, cidr, account, subnet, az,\n"
        "route-table, nacl, mac, address, public, security-groups, host,\n"
        "instance, source-destination-check, as in the sections; lists have\n"
        "spaces between.  A record stands behind those that it names;\n"
        "sections vpc, subnet and group come before files, sections eni\n"
        "behind.\n"
        "\n"
        "Refused: an address outside its subnet, reserved there or taken in\n"
        "its VPC, a MAC or public address given twice, overlapping subnets,\n"
        "a subnet outside its VPC, a VNI given twice.  Where security groups\n"
        "are declared, an ENI has only those of its VPC; without, they are\n"
        "names, of which SecurityGroup refuses what it does not define.\n"
        "\n"
        "While running, 'add' adds a record or replaces an ENI, 'remove'\n"
        "takes an ENI away, and 'reload' puts what sections and files now\n"
        "say in the place of everything, or, if they are wrong, nothing.\n"
        "'memory' tells what it takes: of a million ENIs about 20 bytes for\n"
        "each address in what packets are looked up in, 160 for its record\n"
        "and 40 for the indexes.",
    .reproduces =
        "the directory of a VPC's control plane: who has which address "
        "in which VPC, on which host",
    .leaves_out =
        "distribution to many hosts, and its delays; creating what "
        "describes itself: no API of EC2",
    .lets_choose =
        "where records come from: graph file, CSV, JSON, handlers; "
        "whether VNIs are given or numbers",
    .example =
        "MappingService map {\n"
        "    vpc vpc-1 { vni = 1  cidr = 10.0.0.0/16 }\n"
        "    subnet subnet-a { vpc = vpc-1  cidr = 10.0.1.0/24 }\n"
        "    eni eni-1 {\n"
        "        subnet  = subnet-a\n"
        "        mac     = 02:00:00:00:00:01\n"
        "        address = 10.0.1.10\n"
        "        host    = 192.0.2.11\n"
        "    }\n"
        "}\n"
        "Interface inside { }\n"
        "Interface outside { }\n"
        "Identify  who { mapping = map }\n"
        "connect(\"inside -> who -> outside\")",
    .configure = mapping_service_configure,
    .free = mapping_service_free,
    .service = mapping_service_service,
    .fields = HG_FIELDS(
        HG_ROWS(vpc, vpc_fields, .doc = "a VPC"),
        HG_ROWS(subnet, subnet_fields, .doc = "a subnet"),
        HG_ROWS(group, group_fields, .doc = "a security group"),
        HG_ROWS(eni, eni_fields, .doc = "a network interface"),
        HG_OPTION(file, .doc = "tables of further records, CSV or JSON"),
        HG_GAUGE(vpcs, .doc = "VPCs"),
        HG_GAUGE(subnets, .doc = "subnets"),
        HG_GAUGE(groups, .doc = "security groups"),
        HG_GAUGE(enis, .doc = "ENIs"),
        HG_GAUGE(generation, .doc = "advances with every change")),
    .handlers = HG_HANDLERS(
        {.name = "list", .read = read_list,
         .doc = "all records, one JSON object a line; list=vpc, list=subnet, "
                "list=group or list=eni: those"},
        {.name = "find", .read = read_find,
         .doc = "one ENI: find=ENI, find=ADDRESS, find=VPC,ADDRESS"},
        {.name = "memory", .read = read_memory,
         .doc = "memory in use, for each mapping and in all"},
        {.name = "add", .write = write_add,
         .doc = "adds a record, a JSON object as in 'list'"},
        {.name = "remove", .write = write_remove,
         .doc = "removes the ENI of this id"},
        {.name = "reload", .write = write_reload,
         .doc = "reads the files again"}))
/* clang-format on */
