/* mapping_record.h: sections and records of tables into an inventory; part of
 * mapping_service.c.
 *
 * A section of the graph file is a vpc_row, subnet_row, group_row or eni_row
 * as its fields say.  A record of a table is a row of named values, which
 * add_record() turns into one of those.
 *
 * Thread-safety: belongs to one worker. */
#ifndef MAPPING_RECORD_H
#define MAPPING_RECORD_H 1

#include <stdlib.h>
#include <string.h>

#include <headgate/inventory.h>
#include <headgate/table_file.h>

struct vpc_row {
    char *id;
    uint32_t vni;
    char *account;
    struct hg_prefix_list cidr;
};

struct subnet_row {
    char *id;
    char *vpc;
    struct hg_prefix_list cidr;
    char *az;
    char *route_table;
    char *nacl;
};

struct group_row {
    char *id;
    char *vpc;
};

struct eni_row {
    char *id;
    char *vpc;
    char *subnet;
    struct hg_mac mac;
    struct hg_addr_list address;
    struct hg_addr public;
    struct hg_string_list security_groups;
    struct hg_addr host;
    char *account;
    char *instance;
    bool source_destination_check;
};

static const struct hg_field vpc_fields[] = {
    HG_ROW_OPTION(struct vpc_row, id, .title = true, .required = true,
                  .doc = "its id"),
    HG_ROW_OPTION(struct vpc_row, vni, .max = 0xffffff,
                  .doc = "its number on the wire, 24 bits, its alone"),
    HG_ROW_OPTION(struct vpc_row, account, .doc = "account that owns it"),
    HG_ROW_OPTION(struct vpc_row, cidr, .required = true,
                  .doc = "its address blocks, IPv4 and IPv6"),
};

static const struct hg_field subnet_fields[] = {
    HG_ROW_OPTION(struct subnet_row, id, .title = true, .required = true,
                  .doc = "its id"),
    HG_ROW_OPTION(struct subnet_row, vpc,
                  .doc = "its VPC; may be left out if there is only one"),
    HG_ROW_OPTION(struct subnet_row, cidr, .required = true, .max_n = 2,
                  .doc = "its IPv4 block, its IPv6 block, or both"),
    HG_ROW_OPTION(struct subnet_row, az, .doc = "availability zone"),
    HG_ROW_OPTION(struct subnet_row, route_table, .doc = "its route table"),
    HG_ROW_OPTION(struct subnet_row, nacl, .doc = "its network ACL"),
};

static const struct hg_field group_fields[] = {
    HG_ROW_OPTION(struct group_row, id, .title = true, .required = true,
                  .doc = "its id"),
    HG_ROW_OPTION(struct group_row, vpc,
                  .doc = "its VPC; may be left out if there is only one"),
};

static const struct hg_field eni_fields[] = {
    HG_ROW_OPTION(struct eni_row, id, .title = true, .required = true,
                  .doc = "its id"),
    HG_ROW_OPTION(struct eni_row, vpc,
                  .doc = "that of its subnet, and may be left out"),
    HG_ROW_OPTION(struct eni_row, subnet, .required = true,
                  .doc = "the subnet it is in"),
    HG_ROW_OPTION(struct eni_row, mac, .doc = "its MAC address"),
    HG_ROW_OPTION(struct eni_row, address, .required = true,
                  .doc = "its private addresses; the first of each family is "
                         "the primary one"),
    HG_ROW_OPTION(struct eni_row, public, .doc = "its public address"),
    HG_ROW_OPTION(struct eni_row, security_groups, .max_n = 16,
                  .doc = "its security groups"),
    HG_ROW_OPTION(struct eni_row, host,
                  .doc = "address of the physical host it runs on"),
    HG_ROW_OPTION(struct eni_row, account, .doc = "account that owns it"),
    HG_ROW_OPTION(struct eni_row, instance, .doc = "instance it belongs to"),
    HG_ROW_OPTION(struct eni_row, source_destination_check, .def = "true",
                  .doc = "it must be source or destination of its packets"),
};

/* ---- Records ---------------------------------------------------------- */

static const struct hg_vpc *
find_vpc(const struct hg_inventory *inventory, const char *id,
         const char *what, const char *name, struct hg_error *error)
{
    const struct hg_vpc *vpc = id && *id
                                   ? hg_inventory_vpc(inventory, id)
                                   : hg_inventory_vpc_by_number(inventory, 0);

    if (!vpc && id && *id)
        hg_error_set(error, "%s '%s': there is no VPC '%s'", what, name, id);
    else if (!vpc)
        hg_error_set(error, "%s '%s': say which 'vpc' it is in", what, name);
    return vpc;
}

static bool
is_there_already(const char *id, struct hg_error *error)
{
    return hg_error_set(error, "there is a record '%s' already", id);
}

static bool
add_subnet(struct hg_inventory *inventory, const struct subnet_row *row,
           struct hg_error *error)
{
    const struct hg_vpc *vpc =
        find_vpc(inventory, row->vpc, "subnet", row->id, error);
    const struct hg_subnet subnet = {.id = row->id,
                                     .vpc = vpc,
                                     .cidr = row->cidr,
                                     .az = row->az,
                                     .route_table = row->route_table,
                                     .nacl = row->nacl};

    if (hg_inventory_subnet(inventory, row->id))
        return is_there_already(row->id, error);
    return vpc && hg_inventory_add_subnet(inventory, &subnet, error);
}

static bool
add_group(struct hg_inventory *inventory, const struct group_row *row,
          struct hg_error *error)
{
    const struct hg_security_group group = {
        .id = row->id,
        .vpc =
            find_vpc(inventory, row->vpc, "security group", row->id, error)};

    if (hg_inventory_group(inventory, row->id))
        return is_there_already(row->id, error);
    return group.vpc && hg_inventory_add_group(inventory, &group, error);
}

static bool
add_vpc(struct hg_inventory *inventory, const struct vpc_row *row,
        struct hg_error *error)
{
    const struct hg_vpc vpc = {.id = row->id,
                               .vni = row->vni,
                               .account = row->account,
                               .cidr = row->cidr};

    if (hg_inventory_vpc(inventory, row->id))
        return is_there_already(row->id, error);
    return hg_inventory_add_vpc(inventory, &vpc, error);
}

static bool
add_eni(struct hg_inventory *inventory, const struct eni_row *row,
        bool replaces, struct hg_error *error)
{
    const char *subnet_id = row->subnet ? row->subnet : "";
    const struct hg_subnet *subnet = hg_inventory_subnet(inventory, subnet_id);
    const struct hg_eni_details details = {.address = row->address,
                                           .public_address = row->public,
                                           .security_group =
                                               row->security_groups,
                                           .account = row->account,
                                           .instance = row->instance};
    struct hg_eni eni = {.id = row->id,
                         .subnet = subnet,
                         .mac = row->mac,
                         .host = row->host,
                         .source_dest_check = row->source_destination_check,
                         .details = &details};

    if (!subnet)
        return hg_error_set(error, "ENI '%s': there is no subnet '%s'",
                            row->id, subnet_id);
    if (row->vpc && strcmp(row->vpc, subnet->vpc->id))
        return hg_error_set(error,
                            "ENI '%s': subnet '%s' is in VPC '%s', "
                            "not in '%s'",
                            row->id, subnet_id, subnet->vpc->id, row->vpc);
    eni.vpc = subnet->vpc;
    hg_inventory_prefetch(inventory, &eni);
    if (!replaces && hg_inventory_eni(inventory, row->id))
        return is_there_already(row->id, error);
    return hg_inventory_add_eni(inventory, &eni, error);
}

/* ---- Records of files ------------------------------------------------- */

enum { MAX_LIST = 256 };

/* A record of a table, all kinds in one, and room for its lists. */
struct record {
    const struct hg_inventory *inventory; /* It is for this one. */
    char *kind;
    char *id;
    struct vpc_row vpc;
    struct subnet_row subnet;
    struct eni_row eni;
    struct hg_prefix prefixes[MAX_LIST];
    struct hg_addr addresses[MAX_LIST];
    char *groups[MAX_LIST];
    char group_text[1024];
};

/* Cuts the next word of *at off into 'word'; false behind the last. */
static bool
next_word(const char **at, char *word, size_t size)
{
    const char *start = *at + strspn(*at, " ;");
    size_t n = strcspn(start, " ;");

    *at = start + n;
    if (n >= size)
        n = size - 1;
    memcpy(word, start, n);
    word[n] = '\0';
    return n > 0;
}

static bool
take_prefixes(struct record *r, const char *value, struct hg_error *error)
{
    char word[64];
    size_t n = 0;

    while (next_word(&value, word, sizeof word)) {
        if (n == MAX_LIST || !hg_prefix_parse(word, &r->prefixes[n]))
            return hg_error_set(error,
                                "'%s' is not a prefix such as "
                                "10.0.0.0/16",
                                word);
        n++;
    }
    r->vpc.cidr = r->subnet.cidr = (struct hg_prefix_list){n, r->prefixes};
    return true;
}

static bool
take_addresses(struct record *r, const char *value, struct hg_error *error)
{
    char word[64];
    size_t n = 0;

    while (next_word(&value, word, sizeof word)) {
        if (n == MAX_LIST || !hg_addr_parse(word, &r->addresses[n]))
            return hg_error_set(
                error, "'%s' is not an address such as 10.0.0.5", word);
        n++;
    }
    r->eni.address = (struct hg_addr_list){n, r->addresses};
    return true;
}

static bool
take_groups(struct record *r, const char *value, struct hg_error *error)
{
    char *at = r->group_text, *word;
    size_t n = 0;

    if (strlen(value) >= sizeof r->group_text)
        return hg_error_set(error, "more than %zu bytes of security groups",
                            sizeof r->group_text - 1);
    strcpy(r->group_text, value);
    while ((word = strsep(&at, " ;")) != NULL)
        if (*word && n < MAX_LIST)
            r->groups[n++] = word;
    r->eni.security_groups = (struct hg_string_list){n, r->groups};
    return true;
}

static bool
take_vni(struct record *r, const char *value, struct hg_error *error)
{
    uint64_t vni;

    if (!hg_number_parse(value, &vni) || vni > 0xffffff)
        return hg_error_set(error, "'%s' is not a VNI: 0 to 16777215", value);
    r->vpc.vni = (uint32_t)vni;
    return true;
}

static bool
take_id(struct record *r, const char *value, struct hg_error *error)
{
    (void)error;
    r->id = (char *)(uintptr_t)value;
    hg_inventory_prefetch_id(r->inventory, value);
    return true;
}

static bool
take_mac(struct record *r, const char *value, struct hg_error *error)
{
    return hg_mac_parse(value, &r->eni.mac) ||
           hg_error_set(error,
                        "'%s' is not a MAC address such as 02:00:00:00:00:01",
                        value);
}

static bool
take_address(const char *value, struct hg_addr *addr, struct hg_error *error)
{
    return hg_addr_parse(value, addr) ||
           hg_error_set(error, "'%s' is not an address such as 192.0.2.1",
                        value);
}

static bool
take_host(struct record *r, const char *value, struct hg_error *error)
{
    return take_address(value, &r->eni.host, error);
}

static bool
take_public(struct record *r, const char *value, struct hg_error *error)
{
    return take_address(value, &r->eni.public, error);
}

static bool
take_check(struct record *r, const char *value, struct hg_error *error)
{
    return hg_bool_parse(value, &r->eni.source_destination_check) ||
           hg_error_set(error, "'%s' is neither true nor false", value);
}

/* A value is taken by a function, or is a text of the record. */
static const struct column {
    const char *name;
    bool (*take)(struct record *, const char *value, struct hg_error *);
    size_t text;
} columns[] = {
    {"kind", NULL, offsetof(struct record, kind)},
    {"id", take_id, 0},
    {"vpc", NULL, offsetof(struct record, eni.vpc)},
    {"vni", take_vni, 0},
    {"cidr", take_prefixes, 0},
    {"account", NULL, offsetof(struct record, eni.account)},
    {"subnet", NULL, offsetof(struct record, eni.subnet)},
    {"az", NULL, offsetof(struct record, subnet.az)},
    {"route-table", NULL, offsetof(struct record, subnet.route_table)},
    {"nacl", NULL, offsetof(struct record, subnet.nacl)},
    {"mac", take_mac, 0},
    {"address", take_addresses, 0},
    {"public", take_public, 0},
    {"security-groups", take_groups, 0},
    {"host", take_host, 0},
    {"instance", NULL, offsetof(struct record, eni.instance)},
    {"source-destination-check", take_check, 0},
};
enum { N_COLUMNS = sizeof columns / sizeof columns[0] };

static bool
refuse_column(const char *name, struct hg_error *error)
{
    char list[256] = "";
    size_t i;

    for (i = 0; i < N_COLUMNS; i++) {
        strcat(list, columns[i].name);
        strcat(list, i + 2 < N_COLUMNS   ? ", "
                     : i + 1 < N_COLUMNS ? " and "
                                         : "");
    }
    return hg_error_set(error, "no column '%s'; there are %s", name, list);
}

static bool
take_value(struct record *r, const char *name, const char *value,
           struct hg_error *error)
{
    size_t i;

    for (i = 0; i < N_COLUMNS; i++) {
        const struct column *c = &columns[i];

        /* First letters tell most of them apart, a million times. */
        if (*name != *c->name || strcmp(name, c->name))
            continue;
        if (c->take)
            return c->take(r, value, error);
        memcpy((uint8_t *)r + c->text, &value, sizeof value);
        return true;
    }
    return refuse_column(name, error);
}

static bool
add_kind(struct hg_inventory *inventory, struct record *r, bool replaces_eni,
         struct hg_error *error)
{
    r->vpc.id = r->subnet.id = r->eni.id = r->id;
    r->vpc.account = r->eni.account;
    r->subnet.vpc = r->eni.vpc;
    if (!r->kind || !strcmp(r->kind, "eni"))
        return add_eni(inventory, &r->eni, replaces_eni, error);
    if (!strcmp(r->kind, "subnet"))
        return add_subnet(inventory, &r->subnet, error);
    if (!strcmp(r->kind, "vpc"))
        return add_vpc(inventory, &r->vpc, error);
    if (!strcmp(r->kind, "group"))
        return add_group(inventory,
                         &(const struct group_row){r->id, r->eni.vpc}, error);
    return hg_error_set(error,
                        "'%s' is not a kind of record: vpc, subnet, group or "
                        "eni",
                        r->kind);
}

/* A handler may replace an ENI; all else must be new. */
static bool
add_record(struct hg_inventory *inventory, struct hg_table_row *row,
           bool replaces_eni, struct hg_error *error)
{
    struct record r;

    memset(&r, 0, offsetof(struct record, prefixes));
    r.inventory = inventory;
    r.eni.source_destination_check = true;
    for (row->at = 0; row->at < row->n; row->at++)
        if (*row->value[row->at] &&
            !take_value(&r, row->name[row->at], row->value[row->at], error))
            return false;
    row->at = 0;
    if (!r.id)
        return hg_error_set(error, "the record has no 'id'");
    return add_kind(inventory, &r, replaces_eni, error);
}

#endif
