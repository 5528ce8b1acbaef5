/* inventory.c: fills an inventory (see inventory.h); inventory_find.c looks
 * into it.
 *
 * Records are copied into memory that stays until the inventory is destroyed
 * (inventory_memory.c); the arrays point to the present ones.  Indexes lead to
 * them by id, (VPC, address), (VPC, MAC), public address and VNI.  The CIDRs
 * of subnets, which never overlap in a VPC, stand in a binary tree (tsearch)
 * whose order takes prefixes that overlap for equal. */
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include <headgate/inventory.h>

#include "../graph_internal.h"
#include "inventory_internal.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

enum {
    MAX_VNI = 0xffffff,
    MAX_GROUPS = 16 /* AWS quota: 5, at most 16. */
};

/* ---- Life ------------------------------------------------------------- */

struct hg_inventory *
hg_inventory_create(void)
{
    return hg_inventory_create_one_of(0, 1);
}

struct hg_inventory *
hg_inventory_create_one_of(uint32_t which, uint32_t n)
{
    struct hg_inventory *inventory = xcalloc(1, sizeof *inventory);

    inventory->which = which;
    inventory->n_inventories = n;
    inventory->chunks = xcalloc(1, sizeof *inventory->chunks);
    return inventory;
}

static void
empty_records(struct records *r, size_t n)
{
    r->n = n;
    r->at = xcalloc(n ? n : 1, sizeof *r->at);
}

/* Rounds up to the power of two that put() expects to have room for. */
static size_t
room_for(size_t n)
{
    size_t room = 1;

    while (room < n)
        room *= 2;
    return room;
}

static void
follow_records(struct records *r, const struct records *before)
{
    empty_records(r, room_for(before->n));
    r->n = before->n;
}

struct hg_inventory *
hg_inventory_create_next(const struct hg_inventory *before)
{
    struct hg_inventory *next =
        hg_inventory_create_one_of(before->which, before->n_inventories);

    next->before = before;
    follow_records(&next->vpcs, &before->vpcs);
    follow_records(&next->subnets, &before->subnets);
    follow_records(&next->enis, &before->enis);
    return next;
}

/* Everything but the records themselves. */
static void
free_indexes(struct hg_inventory *inventory)
{
    free(inventory->vpcs.at);
    free(inventory->subnets.at);
    free(inventory->enis.at);
    free(inventory->groups.at);
    free(inventory->words);
    tdestroy(inventory->ranges, free);
    address_table_uninit(&inventory->addresses);
    hash_index_uninit(&inventory->vpcs.by_id);
    hash_index_uninit(&inventory->vpcs.gone);
    hash_index_uninit(&inventory->subnets.by_id);
    hash_index_uninit(&inventory->subnets.gone);
    hash_index_uninit(&inventory->enis.by_id);
    hash_index_uninit(&inventory->groups.by_id);
    hash_index_uninit(&inventory->by_mac);
    hash_index_uninit(&inventory->by_public);
    hash_index_uninit(&inventory->by_vni);
    hash_index_uninit(&inventory->by_word);
}

void
hg_inventory_destroy(struct hg_inventory *inventory)
{
    if (!inventory)
        return;
    free_indexes(inventory);
    inventory_free_memory(inventory);
    free(inventory);
}

/* ---- Records by id ---------------------------------------------------- */

/* All kinds of record begin with their id. */
static const char *
id_of(const void *record)
{
    char *id;

    memcpy(&id, record, sizeof id);
    return id;
}

/* The index of the record called 'id' in one of the indexes of 'r', or
 * HASH_INDEX_END. */
static uint32_t
find_in(const struct records *r, const struct hash_index *x, const char *id)
{
    uint32_t hash = inventory_hash_text(id), i;
    size_t at = hash_index_start(x, hash);

    while ((i = hash_index_candidate(x, hash, &at)) != HASH_INDEX_END)
        if (!strcmp(id_of(r->at[i]), id))
            return i;
    return HASH_INDEX_END;
}

static uint32_t
find_id(const struct records *r, const char *id)
{
    return find_in(r, &r->by_id, id);
}

void *
inventory_get(const struct records *r, const char *id)
{
    uint32_t i = find_id(r, id);

    return i == HASH_INDEX_END ? NULL : r->at[i];
}

/* Puts a record in the place of the one of the same id, or behind all;
 * 'before' are the records whose numbers it follows, or NULL. */
static uint32_t
put(struct records *r, const struct records *before, void *record)
{
    const char *id = id_of(record);
    const struct records *known = before ? before : r;
    uint32_t hash = inventory_hash_text(id), i = find_id(r, id);

    if (i != HASH_INDEX_END) {
        r->at[i] = record;
        return i;
    }
    i = before ? find_id(before, id) : HASH_INDEX_END;
    if (i == HASH_INDEX_END && known->gone.n_used)
        i = find_in(known, &known->gone, id);
    hash_index_remove(&r->gone, hash, i);
    if (i == HASH_INDEX_END) {
        if (!(r->n & (r->n - 1)))
            r->at = xrealloc(r->at, (r->n ? r->n * 2 : 1) * sizeof *r->at);
        i = (uint32_t)r->n++;
    }
    r->at[i] = record;
    hash_index_add(&r->by_id, hash, i);
    return i;
}

/* A VPC or subnet that is no longer there can still be walked to. */
static void
keep_gone(struct records *r, const struct records *before)
{
    uint32_t i;

    for (i = 0; i < before->n; i++) {
        if (r->at[i])
            continue;
        r->at[i] = before->at[i];
        hash_index_add(&r->gone, inventory_hash_text(id_of(r->at[i])), i);
    }
}

void
hg_inventory_replace(struct hg_inventory *inventory, struct hg_inventory *next)
{
    keep_gone(&next->vpcs, &inventory->vpcs);
    keep_gone(&next->subnets, &inventory->subnets);
    inventory_join_memory(next, inventory);
    next->generation = inventory->generation + 1;
    next->network_generation = inventory->network_generation + 1;
    next->before = NULL;
    free_indexes(inventory);
    *inventory = *next;
    free(next);
}

/* ---- Prefixes --------------------------------------------------------- */

static bool
overlap(const struct hg_prefix *a, const struct hg_prefix *b)
{
    return hg_prefix_contains(a, &b->addr) || hg_prefix_contains(b, &a->addr);
}

static bool
within(const struct hg_prefix *inner, const struct hg_prefix_list *outer)
{
    size_t i;

    for (i = 0; i < outer->n; i++)
        if (inner->len >= outer->v[i].len &&
            hg_prefix_contains(&outer->v[i], &inner->addr))
            return true;
    return false;
}

enum hg_reserved
hg_subnet_reserved(const struct hg_subnet *subnet, const struct hg_addr *addr)
{
    static const enum hg_reserved first[] = {
        HG_RESERVED_NETWORK, HG_RESERVED_ROUTER, HG_RESERVED_RESOLVER,
        HG_RESERVED_FUTURE};
    const struct hg_prefix *cidr = NULL;
    unsigned n = addr->family == 4 ? 4 : 16, i;
    bool high_zero = true, all_ones = true;

    for (i = 0; i < subnet->cidr.n; i++)
        if (hg_prefix_contains(&subnet->cidr.v[i], addr))
            cidr = &subnet->cidr.v[i];
    if (!cidr || n * 8 - cidr->len < 3)
        return HG_RESERVED_NOT;
    for (i = 0; i < n; i++) {
        unsigned bit = i * 8;
        unsigned mask = bit + 8 <= cidr->len ? 0
                        : bit >= cidr->len   ? 0xff
                                             : 0xffu >> (cidr->len - bit);
        unsigned host = addr->byte[i] & mask;

        all_ones = all_ones && host == mask;
        high_zero = high_zero && !(i + 1 < n ? host : host & 0xfc);
    }
    if (high_zero)
        return first[addr->byte[n - 1] & 3];
    return all_ones ? HG_RESERVED_LAST : HG_RESERVED_NOT;
}

/* ---- Adding ----------------------------------------------------------- */

static struct hg_prefix_list
copy_prefixes(struct hg_inventory *inventory, struct hg_prefix_list list)
{
    list.v = inventory_block(inventory, list.v, list.n * sizeof *list.v);
    return list;
}

const struct hg_vpc *
hg_inventory_add_vpc(struct hg_inventory *inventory, const struct hg_vpc *vpc,
                     struct hg_error *error)
{
    const struct hg_vpc *same = hg_inventory_vpc_by_vni(inventory, vpc->vni);
    const struct hg_vpc *old = inventory_get(&inventory->vpcs, vpc->id);
    struct hg_vpc *copy;
    uint32_t i;
    size_t k, j;

    if (vpc->vni > MAX_VNI) {
        hg_error_set(error, "VNI %u of VPC '%s' has more than 24 bits",
                     vpc->vni, vpc->id);
        return NULL;
    }
    if (same && strcmp(same->id, vpc->id)) {
        hg_error_set(error, "VPC '%s' has VNI %u, which is that of '%s'",
                     vpc->id, vpc->vni, same->id);
        return NULL;
    }
    for (k = 0; k < vpc->cidr.n; k++)
        for (j = 0; j < k; j++)
            if (overlap(&vpc->cidr.v[k], &vpc->cidr.v[j])) {
                hg_error_set(error, "CIDRs of VPC '%s' overlap", vpc->id);
                return NULL;
            }
    copy = inventory_block(inventory, vpc, sizeof *vpc);
    copy->id = inventory_text(inventory, vpc->id);
    copy->account = inventory_shared_text(inventory, vpc->account);
    copy->cidr = copy_prefixes(inventory, vpc->cidr);
    if (old)
        hash_index_remove(&inventory->by_vni, old->vni,
                          inventory_index(inventory, old->number));
    i = put(&inventory->vpcs,
            inventory->before ? &inventory->before->vpcs : NULL, copy);
    copy->number = inventory_number(inventory, i);
    inventory->only_vpc = inventory->vpcs.by_id.n_used == 1 ? copy->number : 0;
    hash_index_add(&inventory->by_vni, copy->vni, i);
    inventory->generation++;
    inventory->network_generation++;
    return copy;
}

/* The order of the tree.  Prefixes that overlap compare equal: those in the
 * tree do not, so that a search finds one that overlaps its key if any does.
 */
static int
compare_ranges(const void *a_, const void *b_)
{
    const struct range *a = a_, *b = b_;

    if (a->vpc != b->vpc)
        return a->vpc < b->vpc ? -1 : 1;
    if (a->prefix.addr.family != b->prefix.addr.family)
        return a->prefix.addr.family < b->prefix.addr.family ? -1 : 1;
    if (overlap(&a->prefix, &b->prefix))
        return 0;
    return memcmp(a->prefix.addr.byte, b->prefix.addr.byte, 16);
}

const struct hg_subnet *
inventory_find_range(const struct hg_inventory *inventory, uint32_t vpc,
                     const struct hg_prefix *prefix)
{
    const struct range key = {vpc, *prefix, NULL};
    struct range *const *found =
        tfind(&key, &inventory->ranges, compare_ranges);

    return found ? (*found)->subnet : NULL;
}

static void
index_ranges(struct hg_inventory *inventory, const struct hg_subnet *subnet)
{
    size_t i;

    for (i = 0; i < subnet->cidr.n; i++) {
        struct range *range = xcalloc(1, sizeof *range);

        *range =
            (struct range){subnet->vpc->number, subnet->cidr.v[i], subnet};
        tsearch(range, &inventory->ranges, compare_ranges);
    }
}

static void
unindex_ranges(struct hg_inventory *inventory, const struct hg_subnet *subnet)
{
    size_t i;

    for (i = 0; i < subnet->cidr.n; i++) {
        const struct range key = {subnet->vpc->number, subnet->cidr.v[i],
                                  NULL};
        struct range **found = tfind(&key, &inventory->ranges, compare_ranges);
        struct range *range = found ? *found : NULL;

        if (range)
            tdelete(&key, &inventory->ranges, compare_ranges);
        free(range);
    }
}

static bool
check_subnet(const struct hg_inventory *inventory,
             const struct hg_subnet *subnet, struct hg_error *error)
{
    const struct hg_subnet *other;
    char buf[HG_PREFIX_STRLEN];
    size_t k, j;

    for (k = 0; k < subnet->cidr.n; k++) {
        const struct hg_prefix *cidr = &subnet->cidr.v[k];

        hg_prefix_format(cidr, buf);
        if (!within(cidr, &subnet->vpc->cidr))
            return hg_error_set(error,
                                "subnet '%s': %s is in no CIDR of VPC '%s'",
                                subnet->id, buf, subnet->vpc->id);
        other = inventory_find_range(inventory, subnet->vpc->number, cidr);
        if (other)
            return hg_error_set(error, "subnet '%s': %s overlaps subnet '%s'",
                                subnet->id, buf, other->id);
        for (j = 0; j < k; j++)
            if (overlap(cidr, &subnet->cidr.v[j]))
                return hg_error_set(error, "CIDRs of subnet '%s' overlap",
                                    subnet->id);
    }
    return true;
}

const struct hg_subnet *
hg_inventory_add_subnet(struct hg_inventory *inventory,
                        const struct hg_subnet *subnet, struct hg_error *error)
{
    const struct hg_subnet *old =
        inventory_get(&inventory->subnets, subnet->id);
    struct hg_subnet *copy;

    if (old)
        unindex_ranges(inventory, old);
    if (!check_subnet(inventory, subnet, error)) {
        if (old)
            index_ranges(inventory, old);
        return NULL;
    }
    copy = inventory_block(inventory, subnet, sizeof *subnet);
    copy->id = inventory_text(inventory, subnet->id);
    copy->az = inventory_shared_text(inventory, subnet->az);
    copy->route_table = inventory_shared_text(inventory, subnet->route_table);
    copy->nacl = inventory_shared_text(inventory, subnet->nacl);
    copy->cidr = copy_prefixes(inventory, subnet->cidr);
    copy->number = inventory_number(
        inventory,
        put(&inventory->subnets,
            inventory->before ? &inventory->before->subnets : NULL, copy));
    index_ranges(inventory, copy);
    inventory->generation++;
    inventory->network_generation++;
    return copy;
}

const struct hg_security_group *
hg_inventory_add_group(struct hg_inventory *inventory,
                       const struct hg_security_group *group,
                       struct hg_error *error)
{
    const struct hg_security_group *old =
        inventory_get(&inventory->groups, group->id);
    struct hg_security_group *copy;

    if (old && old->vpc->number != group->vpc->number) {
        hg_error_set(error, "security group '%s' is in VPC '%s', not in '%s'",
                     group->id, old->vpc->id, group->vpc->id);
        return NULL;
    }
    copy = inventory_block(inventory, group, sizeof *group);
    copy->id = inventory_text(inventory, group->id);
    put(&inventory->groups, NULL, copy);
    inventory->generation++;
    return copy;
}

uint32_t
inventory_hash_address(uint32_t vpc, const struct hg_addr *addr)
{
    return (uint32_t)XXH3_64bits_withSeed(addr->byte, 16, vpc);
}

static bool
has_mac(const struct hg_eni *eni)
{
    static const struct hg_mac none;

    return memcmp(&eni->mac, &none, sizeof none) != 0;
}

const struct hg_eni *
inventory_find_mac(const struct hg_inventory *inventory, uint32_t vpc,
                   const struct hg_mac *mac)
{
    const uint64_t word = inventory_mac_word(mac);
    uint32_t hash = inventory_hash_mac_word(vpc, word), i;
    size_t at = hash_index_start(&inventory->by_mac, hash);

    while ((i = hash_index_candidate(&inventory->by_mac, hash, &at)) !=
           HASH_INDEX_END) {
        const struct hg_eni *eni = inventory_eni(inventory, i);

        if (inventory_has_mac(eni, vpc, word))
            return eni;
    }
    return NULL;
}

/* The MAC and the public address, which ENIs do not share. */
static bool
check_unique(const struct hg_inventory *inventory, const struct hg_eni *eni,
             struct hg_error *error)
{
    const struct hg_eni *other =
        has_mac(eni)
            ? inventory_find_mac(inventory, eni->vpc->number, &eni->mac)
            : NULL;
    char buf[HG_ADDR_STRLEN];

    if (other && strcmp(other->id, eni->id))
        return hg_error_set(error,
                            "ENI '%s': MAC %s is already that of '%s' in VPC "
                            "'%s'",
                            eni->id, hg_mac_format(&eni->mac, buf), other->id,
                            eni->vpc->id);
    other = eni->details->public_address.family
                ? hg_inventory_find_public(inventory,
                                           &eni->details->public_address)
                : NULL;
    if (other && strcmp(other->id, eni->id))
        return hg_error_set(error,
                            "ENI '%s': public address %s is already that of "
                            "'%s'",
                            eni->id,
                            hg_addr_format(&eni->details->public_address, buf),
                            other->id);
    return true;
}

/* Says what is wrong with an address of an ENI. */
static bool
wrong_address(const struct hg_eni *eni, size_t i, struct hg_error *error,
              const char *what, const char *id)
{
    char buf[HG_ADDR_STRLEN];

    return hg_error_set(error, "ENI '%s': %s %s '%s'", eni->id,
                        hg_addr_format(&eni->details->address.v[i], buf), what,
                        id);
}

static bool
check_address(const struct hg_inventory *inventory, const struct hg_eni *eni,
              size_t i, struct hg_error *error)
{
    const struct hg_addr *addr = &eni->details->address.v[i];
    const struct hg_subnet *subnet = eni->subnet;
    bool is_inside = false;
    const struct hg_eni *other;
    size_t k;

    for (k = 0; k < subnet->cidr.n; k++)
        is_inside |= hg_prefix_contains(&subnet->cidr.v[k], addr);
    if (!is_inside)
        return wrong_address(eni, i, error, "is outside its subnet",
                             subnet->id);
    if (hg_subnet_reserved(subnet, addr) != HG_RESERVED_NOT)
        return wrong_address(eni, i, error, "is reserved in subnet",
                             subnet->id);
    for (k = 0; k < i; k++)
        if (hg_addr_equal(&eni->details->address.v[k], addr))
            return wrong_address(eni, i, error, "is given twice to", eni->id);
    other = hg_inventory_find(inventory, eni->vpc->number, addr);
    if (other && strcmp(other->id, eni->id)) {
        char what[512];

        snprintf(what, sizeof what, "is already that of '%s' in VPC",
                 other->id);
        return wrong_address(eni, i, error, what, eni->vpc->id);
    }
    return true;
}

/* Whether its security groups are there, if any is known. */
static bool
check_groups(const struct hg_inventory *inventory, const struct hg_eni *eni,
             struct hg_error *error)
{
    size_t i;

    if (eni->details->security_group.n > MAX_GROUPS)
        return hg_error_set(
            error, "ENI '%s' has %zu security groups; at most %d", eni->id,
            eni->details->security_group.n, MAX_GROUPS);
    for (i = 0; inventory->groups.n && i < eni->details->security_group.n;
         i++) {
        const struct hg_security_group *group = inventory_get(
            &inventory->groups, eni->details->security_group.v[i]);

        if (!group || group->vpc->number != eni->vpc->number)
            return hg_error_set(error,
                                "ENI '%s': there is no security group '%s' "
                                "in VPC '%s'",
                                eni->id, eni->details->security_group.v[i],
                                eni->vpc->id);
    }
    return true;
}

static bool
check_eni(const struct hg_inventory *inventory, const struct hg_eni *eni,
          struct hg_error *error)
{
    size_t i;

    for (i = 0; i < eni->details->address.n; i++)
        if (!check_address(inventory, eni, i, error))
            return false;
    return check_groups(inventory, eni, error) &&
           check_unique(inventory, eni, error);
}

static void
index_eni(struct hg_inventory *inventory, const struct hg_eni *eni,
          uint32_t place)
{
    uint32_t i = inventory_index(inventory, eni->number);
    uint32_t vpc = eni->vpc->number;
    size_t k;

    for (k = 0; k < eni->details->address.n; k++)
        address_table_add(&inventory->addresses, vpc,
                          &eni->details->address.v[k], place);
    if (has_mac(eni))
        hash_index_add(&inventory->by_mac, inventory_hash_mac(vpc, &eni->mac),
                       place);
    if (eni->details->public_address.family)
        hash_index_add(
            &inventory->by_public,
            inventory_hash_address(0, &eni->details->public_address), i);
}

static void
unindex_mac(struct hg_inventory *inventory, const struct hg_eni *eni)
{
    uint32_t hash = inventory_hash_mac(eni->vpc->number, &eni->mac), place;
    size_t at = hash_index_start(&inventory->by_mac, hash);

    do
        place = hash_index_candidate(&inventory->by_mac, hash, &at);
    while (place != HASH_INDEX_END && inventory_eni(inventory, place) != eni);
    hash_index_remove(&inventory->by_mac, hash, place);
}

static void
unindex_eni(struct hg_inventory *inventory, const struct hg_eni *eni)
{
    uint32_t i = inventory_index(inventory, eni->number);
    uint32_t vpc = eni->vpc->number;
    size_t k;

    for (k = 0; k < eni->details->address.n; k++)
        address_table_remove(&inventory->addresses, vpc,
                             &eni->details->address.v[k]);
    if (has_mac(eni))
        unindex_mac(inventory, eni);
    if (eni->details->public_address.family)
        hash_index_remove(
            &inventory->by_public,
            inventory_hash_address(0, &eni->details->public_address), i);
}

static uint32_t
primary_ip4(const struct hg_addr_list *list)
{
    size_t i;

    for (i = 0; i < list->n; i++)
        if (list->v[i].family == 4)
            return hg_addr_ip4(&list->v[i]);
    return 0;
}

static const struct hg_eni_details *
copy_details(struct hg_inventory *inventory, const struct hg_eni_details *from)
{
    struct hg_eni_details *d = inventory_block(inventory, from, sizeof *from);
    size_t i;

    d->account = inventory_shared_text(inventory, from->account);
    d->instance = inventory_text(inventory, from->instance);
    d->address.v = inventory_block(inventory, from->address.v,
                                   from->address.n * sizeof *from->address.v);
    d->security_group.v =
        inventory_block(inventory, from->security_group.v,
                        from->security_group.n * sizeof(char *));
    for (i = 0; i < from->security_group.n; i++)
        d->security_group.v[i] =
            inventory_shared_text(inventory, from->security_group.v[i]);
    return d;
}

const struct hg_eni *
hg_inventory_add_eni(struct hg_inventory *inventory, const struct hg_eni *eni,
                     struct hg_error *error)
{
    const struct hg_eni *old = inventory_get(&inventory->enis, eni->id);
    struct hg_eni *copy;
    uint32_t place;

    if (!check_eni(inventory, eni, error))
        return NULL;
    if (old)
        unindex_eni(inventory, old);
    copy = inventory_place_eni(inventory, &place);
    *copy = *eni;
    copy->id = inventory_text(inventory, eni->id);
    copy->ip4 = primary_ip4(&eni->details->address);
    copy->details = copy_details(inventory, eni->details);
    copy->number = inventory_number(
        inventory,
        put(&inventory->enis,
            inventory->before ? &inventory->before->enis : NULL, copy));
    index_eni(inventory, copy, place);
    inventory->generation++;
    return copy;
}

void
hg_inventory_prefetch_id(const struct hg_inventory *inventory, const char *id)
{
    hash_index_prefetch(&inventory->enis.by_id, inventory_hash_text(id));
}

void
hg_inventory_prefetch(const struct hg_inventory *inventory,
                      const struct hg_eni *eni)
{
    const uint32_t vpc = eni->vpc->number;

    if (has_mac(eni))
        hash_index_prefetch(&inventory->by_mac,
                            inventory_hash_mac(vpc, &eni->mac));
    if (eni->details->address.n)
        address_table_prefetch(&inventory->addresses, vpc,
                               &eni->details->address.v[0]);
}

bool
hg_inventory_remove_eni(struct hg_inventory *inventory, const char *id)
{
    uint32_t i = find_id(&inventory->enis, id);

    if (i == HASH_INDEX_END)
        return false;
    unindex_eni(inventory, inventory->enis.at[i]);
    hash_index_remove(&inventory->enis.by_id, inventory_hash_text(id), i);
    inventory->enis.at[i] = NULL;
    inventory->generation++;
    return true;
}
