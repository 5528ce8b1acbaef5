/* inventory.c: see inventory.h.
 *
 * Records are copied into blocks of their own and stay until the inventory is
 * destroyed; the arrays point to the present ones.  Hash indexes lead to them
 * by id, by (VPC, address), by public address and by VNI. */
#include <stdlib.h>
#include <string.h>

#include <headgate/inventory.h>

#include "../graph_internal.h"
#include "hash_index.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

enum { MAX_VNI = 0xffffff, MAX_GROUPS = 16 /* AWS quota: 5, at most 16. */ };

/* Pointers to records, of which some may have been removed (NULL). */
struct records {
    void **at;
    size_t n;
    struct hash_index by_id;
};

struct address_slot {
    uint32_t vpc;
    struct hg_addr addr;
    uint32_t eni; /* Index into enis. */
};

struct hg_inventory {
    struct records vpcs;
    struct records subnets;
    struct records enis;
    struct address_slot *addresses; /* Private ones. */
    size_t n_addresses;
    struct hash_index by_address;
    struct hash_index by_public; /* Index into enis. */
    struct hash_index by_vni;    /* Index into vpcs. */
    uint64_t generation;
    void **blocks; /* Everything ever allocated for records. */
    size_t n_blocks;
};

/* ---- Memory ----------------------------------------------------------- */

static void *
block(struct hg_inventory *inventory, const void *from, size_t size)
{
    void *copy = xcalloc(1, size);

    if (size)
        memcpy(copy, from, size);
    if (!(inventory->n_blocks & (inventory->n_blocks - 1)))
        inventory->blocks =
            xrealloc(inventory->blocks,
                     (inventory->n_blocks ? inventory->n_blocks * 2 : 1) *
                         sizeof *inventory->blocks);
    inventory->blocks[inventory->n_blocks++] = copy;
    return copy;
}

static char *
text(struct hg_inventory *inventory, const char *s)
{
    return s ? block(inventory, s, strlen(s) + 1) : NULL;
}

struct hg_inventory *
hg_inventory_create(void)
{
    return xcalloc(1, sizeof(struct hg_inventory));
}

void
hg_inventory_destroy(struct hg_inventory *inventory)
{
    size_t i;

    if (!inventory)
        return;
    for (i = 0; i < inventory->n_blocks; i++)
        free(inventory->blocks[i]);
    free(inventory->blocks);
    free(inventory->vpcs.at);
    free(inventory->subnets.at);
    free(inventory->enis.at);
    free(inventory->addresses);
    hash_index_uninit(&inventory->vpcs.by_id);
    hash_index_uninit(&inventory->subnets.by_id);
    hash_index_uninit(&inventory->enis.by_id);
    hash_index_uninit(&inventory->by_address);
    hash_index_uninit(&inventory->by_public);
    hash_index_uninit(&inventory->by_vni);
    free(inventory);
}

/* ---- Records by id ---------------------------------------------------- */

/* All three kinds of record begin with their id. */
static const char *
id_of(const void *record)
{
    char *id;

    memcpy(&id, record, sizeof id);
    return id;
}

static uint32_t
hash_text(const char *s)
{
    return (uint32_t)XXH3_64bits(s, strlen(s));
}

/* The index of the record called 'id', or HASH_INDEX_END. */
static uint32_t
find_id(const struct records *r, const char *id)
{
    uint32_t hash = hash_text(id), i;
    size_t at = hash_index_start(&r->by_id, hash);

    while ((i = hash_index_candidate(&r->by_id, hash, &at)) != HASH_INDEX_END)
        if (!strcmp(id_of(r->at[i]), id))
            return i;
    return HASH_INDEX_END;
}

static void *
get(const struct records *r, const char *id)
{
    uint32_t i = find_id(r, id);

    return i == HASH_INDEX_END ? NULL : r->at[i];
}

/* Puts a record in the place of the one of the same id, or behind all. */
static uint32_t
put(struct records *r, void *record)
{
    uint32_t i = find_id(r, id_of(record));

    if (i != HASH_INDEX_END) {
        r->at[i] = record;
        return i;
    }
    if (!(r->n & (r->n - 1)))
        r->at = xrealloc(r->at, (r->n ? r->n * 2 : 1) * sizeof *r->at);
    r->at[r->n] = record;
    hash_index_add(&r->by_id, hash_text(id_of(record)), (uint32_t)r->n);
    return (uint32_t)r->n++;
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

/* Whether AWS reserves this address of its subnet: the first four and, for
 * IPv4, the last. */
static bool
is_reserved(const struct hg_prefix *cidr, const struct hg_addr *addr)
{
    unsigned n = addr->family == 4 ? 4 : 16, i;
    unsigned host_bits = n * 8 - cidr->len;
    bool high_zero = true, all_ones = true;

    if (host_bits < 3)
        return false;
    for (i = 0; i < n; i++) {
        unsigned bit = i * 8;
        unsigned mask = bit + 8 <= cidr->len ? 0
                        : bit >= cidr->len   ? 0xff
                                             : 0xffu >> (cidr->len - bit);
        unsigned host = addr->byte[i] & mask;

        if (host != mask)
            all_ones = false;
        if (i + 1 < n ? host : host & 0xfc)
            high_zero = false;
    }
    return high_zero || (addr->family == 4 && all_ones);
}

/* ---- Adding ----------------------------------------------------------- */

static struct hg_prefix_list
copy_prefixes(struct hg_inventory *inventory, struct hg_prefix_list list)
{
    list.v = block(inventory, list.v, list.n * sizeof *list.v);
    return list;
}

const struct hg_vpc *
hg_inventory_add_vpc(struct hg_inventory *inventory, const struct hg_vpc *vpc,
                     struct hg_error *error)
{
    const struct hg_vpc *same = hg_inventory_vpc_by_vni(inventory, vpc->vni);
    const struct hg_vpc *old = get(&inventory->vpcs, vpc->id);
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
    copy = block(inventory, vpc, sizeof *vpc);
    copy->id = text(inventory, vpc->id);
    copy->account = text(inventory, vpc->account);
    copy->cidr = copy_prefixes(inventory, vpc->cidr);
    if (old)
        hash_index_remove(&inventory->by_vni, old->vni, old->number - 1);
    i = put(&inventory->vpcs, copy);
    copy->number = i + 1;
    hash_index_add(&inventory->by_vni, copy->vni, i);
    inventory->generation++;
    return copy;
}

static bool
check_subnet(const struct hg_inventory *inventory,
             const struct hg_subnet *subnet, struct hg_error *error)
{
    char buf[HG_PREFIX_STRLEN];
    size_t i, k, j;

    for (k = 0; k < subnet->cidr.n; k++) {
        const struct hg_prefix *cidr = &subnet->cidr.v[k];

        if (!within(cidr, &subnet->vpc->cidr))
            return hg_error_set(
                error, "subnet '%s': %s is in no CIDR of VPC '%s'", subnet->id,
                hg_prefix_format(cidr, buf), subnet->vpc->id);
        for (i = 0; i < inventory->subnets.n; i++) {
            const struct hg_subnet *other = inventory->subnets.at[i];

            if (other->vpc->number != subnet->vpc->number ||
                !strcmp(other->id, subnet->id))
                continue;
            for (j = 0; j < other->cidr.n; j++)
                if (overlap(cidr, &other->cidr.v[j]))
                    return hg_error_set(
                        error, "subnet '%s': %s overlaps subnet '%s'",
                        subnet->id, hg_prefix_format(cidr, buf), other->id);
        }
    }
    return true;
}

const struct hg_subnet *
hg_inventory_add_subnet(struct hg_inventory *inventory,
                        const struct hg_subnet *subnet, struct hg_error *error)
{
    struct hg_subnet *copy;

    if (!check_subnet(inventory, subnet, error))
        return NULL;
    copy = block(inventory, subnet, sizeof *subnet);
    copy->id = text(inventory, subnet->id);
    copy->az = text(inventory, subnet->az);
    copy->route_table = text(inventory, subnet->route_table);
    copy->nacl = text(inventory, subnet->nacl);
    copy->cidr = copy_prefixes(inventory, subnet->cidr);
    copy->number = put(&inventory->subnets, copy) + 1;
    inventory->generation++;
    return copy;
}

static uint32_t
hash_address(uint32_t vpc, const struct hg_addr *addr)
{
    return (uint32_t)XXH3_64bits_withSeed(addr->byte, 16, vpc);
}

/* The slot of (vpc, addr), or NULL. */
static const struct address_slot *
find_address(const struct hg_inventory *inventory, uint32_t vpc,
             const struct hg_addr *addr)
{
    uint32_t hash = hash_address(vpc, addr), i;
    size_t at = hash_index_start(&inventory->by_address, hash);

    while ((i = hash_index_candidate(&inventory->by_address, hash, &at)) !=
           HASH_INDEX_END) {
        const struct address_slot *slot = &inventory->addresses[i];

        if (slot->vpc == vpc && hg_addr_equal(&slot->addr, addr))
            return slot;
    }
    return NULL;
}

static bool
check_eni(const struct hg_inventory *inventory, const struct hg_eni *eni,
          struct hg_error *error)
{
    const struct hg_subnet *subnet = eni->subnet;
    const struct hg_eni *other;
    char buf[HG_ADDR_STRLEN];
    size_t i, k;

    if (eni->security_group.n > MAX_GROUPS)
        return hg_error_set(error,
                            "ENI '%s' has %zu security groups; at most %d",
                            eni->id, eni->security_group.n, MAX_GROUPS);
    for (i = 0; i < eni->address.n; i++) {
        const struct hg_addr *addr = &eni->address.v[i];
        const struct address_slot *taken =
            find_address(inventory, eni->vpc->number, addr);
        const struct hg_prefix *cidr = NULL;

        hg_addr_format(addr, buf);
        for (k = 0; k < subnet->cidr.n; k++)
            if (hg_prefix_contains(&subnet->cidr.v[k], addr))
                cidr = &subnet->cidr.v[k];
        if (!cidr)
            return hg_error_set(error,
                                "ENI '%s': %s is outside its subnet '%s'",
                                eni->id, buf, subnet->id);
        if (is_reserved(cidr, addr))
            return hg_error_set(error,
                                "ENI '%s': %s is reserved in subnet '%s'",
                                eni->id, buf, subnet->id);
        other = taken ? inventory->enis.at[taken->eni] : NULL;
        if (other && strcmp(other->id, eni->id))
            return hg_error_set(error,
                                "ENI '%s': %s is already that of '%s' in VPC "
                                "'%s'",
                                eni->id, buf, other->id, eni->vpc->id);
    }
    other = eni->public_address.family
                ? hg_inventory_find_public(inventory, &eni->public_address)
                : NULL;
    if (other && strcmp(other->id, eni->id))
        return hg_error_set(error,
                            "ENI '%s': public address %s is already that of "
                            "'%s'",
                            eni->id, hg_addr_format(&eni->public_address, buf),
                            other->id);
    return true;
}

static void
index_addresses(struct hg_inventory *inventory, const struct hg_eni *eni,
                uint32_t number)
{
    size_t i, n;

    for (i = 0; i < eni->address.n; i++) {
        n = inventory->n_addresses;
        if (!(n & (n - 1)))
            inventory->addresses =
                xrealloc(inventory->addresses,
                         (n ? n * 2 : 1) * sizeof *inventory->addresses);
        inventory->addresses[n] =
            (struct address_slot){eni->vpc->number, eni->address.v[i], number};
        hash_index_add(&inventory->by_address,
                       hash_address(eni->vpc->number, &eni->address.v[i]),
                       (uint32_t)n);
        inventory->n_addresses++;
    }
    if (eni->public_address.family)
        hash_index_add(&inventory->by_public,
                       hash_address(0, &eni->public_address), number);
}

/* The slots of addresses taken away stay behind, found by nobody. */
static void
unindex_addresses(struct hg_inventory *inventory, const struct hg_eni *eni)
{
    size_t i;

    for (i = 0; i < eni->address.n; i++) {
        const struct address_slot *slot =
            find_address(inventory, eni->vpc->number, &eni->address.v[i]);

        if (slot)
            hash_index_remove(
                &inventory->by_address,
                hash_address(eni->vpc->number, &eni->address.v[i]),
                (uint32_t)(slot - inventory->addresses));
    }
    if (eni->public_address.family)
        hash_index_remove(&inventory->by_public,
                          hash_address(0, &eni->public_address),
                          eni->number - 1);
}

const struct hg_eni *
hg_inventory_add_eni(struct hg_inventory *inventory, const struct hg_eni *eni,
                     struct hg_error *error)
{
    const struct hg_eni *old = get(&inventory->enis, eni->id);
    struct hg_eni *copy;
    size_t i;

    if (!check_eni(inventory, eni, error))
        return NULL;
    if (old)
        unindex_addresses(inventory, old);
    copy = block(inventory, eni, sizeof *eni);
    copy->id = text(inventory, eni->id);
    copy->account = text(inventory, eni->account);
    copy->instance = text(inventory, eni->instance);
    copy->address.v = block(inventory, eni->address.v,
                            eni->address.n * sizeof *eni->address.v);
    copy->security_group.v =
        block(inventory, eni->security_group.v,
              eni->security_group.n * sizeof *eni->security_group.v);
    for (i = 0; i < eni->security_group.n; i++)
        copy->security_group.v[i] = text(inventory, eni->security_group.v[i]);
    copy->number = put(&inventory->enis, copy) + 1;
    index_addresses(inventory, copy, copy->number - 1);
    inventory->generation++;
    return copy;
}

bool
hg_inventory_remove_eni(struct hg_inventory *inventory, const char *id)
{
    uint32_t i = find_id(&inventory->enis, id);

    if (i == HASH_INDEX_END)
        return false;
    unindex_addresses(inventory, inventory->enis.at[i]);
    hash_index_remove(&inventory->enis.by_id, hash_text(id), i);
    inventory->enis.at[i] = NULL;
    inventory->generation++;
    return true;
}

/* ---- Finding ---------------------------------------------------------- */

/* 0 stands for the only VPC. */
static uint32_t
vpc_number(const struct hg_inventory *inventory, uint32_t vpc)
{
    return vpc || inventory->vpcs.n != 1 ? vpc : 1;
}

const struct hg_eni *
hg_inventory_find(const struct hg_inventory *inventory, uint32_t vpc,
                  const struct hg_addr *addr)
{
    const struct address_slot *slot =
        find_address(inventory, vpc_number(inventory, vpc), addr);

    return slot ? inventory->enis.at[slot->eni] : NULL;
}

void
hg_inventory_find_batch(const struct hg_inventory *inventory, unsigned n,
                        const uint32_t *vpc, const struct hg_addr *addr,
                        const struct hg_eni **out)
{
    const struct hash_index *x = &inventory->by_address;
    unsigned i;

    for (i = 0; i < n && x->n_slots; i++) {
        uint32_t number = vpc_number(inventory, vpc[i]);

        __builtin_prefetch(
            &x->slots[hash_index_start(x, hash_address(number, &addr[i]))]);
    }
    for (i = 0; i < n; i++)
        out[i] = hg_inventory_find(inventory, vpc[i], &addr[i]);
}

const struct hg_eni *
hg_inventory_find_public(const struct hg_inventory *inventory,
                         const struct hg_addr *addr)
{
    uint32_t hash = hash_address(0, addr), i;
    size_t at = hash_index_start(&inventory->by_public, hash);

    while ((i = hash_index_candidate(&inventory->by_public, hash, &at)) !=
           HASH_INDEX_END) {
        const struct hg_eni *eni = inventory->enis.at[i];

        if (hg_addr_equal(&eni->public_address, addr))
            return eni;
    }
    return NULL;
}

const struct hg_eni *
hg_inventory_eni(const struct hg_inventory *inventory, const char *id)
{
    return get(&inventory->enis, id);
}

const struct hg_subnet *
hg_inventory_subnet(const struct hg_inventory *inventory, const char *id)
{
    return get(&inventory->subnets, id);
}

const struct hg_vpc *
hg_inventory_vpc(const struct hg_inventory *inventory, const char *id)
{
    return get(&inventory->vpcs, id);
}

const struct hg_vpc *
hg_inventory_vpc_by_number(const struct hg_inventory *inventory,
                           uint32_t number)
{
    number = vpc_number(inventory, number);
    return number && number <= inventory->vpcs.n
               ? inventory->vpcs.at[number - 1]
               : NULL;
}

const struct hg_vpc *
hg_inventory_vpc_by_vni(const struct hg_inventory *inventory, uint32_t vni)
{
    size_t at = hash_index_start(&inventory->by_vni, vni);
    uint32_t i = hash_index_candidate(&inventory->by_vni, vni, &at);

    return i == HASH_INDEX_END ? NULL : inventory->vpcs.at[i];
}

const struct hg_subnet *
hg_inventory_subnet_of(const struct hg_inventory *inventory, uint32_t vpc,
                       const struct hg_addr *addr)
{
    uint32_t number = vpc_number(inventory, vpc);
    size_t i, k;

    for (i = 0; i < inventory->subnets.n; i++) {
        const struct hg_subnet *subnet = inventory->subnets.at[i];

        if (subnet->vpc->number != number)
            continue;
        for (k = 0; k < subnet->cidr.n; k++)
            if (hg_prefix_contains(&subnet->cidr.v[k], addr))
                return subnet;
    }
    return NULL;
}

size_t
hg_inventory_n_enis(const struct hg_inventory *inventory)
{
    return inventory->enis.n;
}

const struct hg_eni *
hg_inventory_eni_at(const struct hg_inventory *inventory, size_t i)
{
    return i < inventory->enis.n ? inventory->enis.at[i] : NULL;
}

size_t
hg_inventory_n_subnets(const struct hg_inventory *inventory)
{
    return inventory->subnets.n;
}

const struct hg_subnet *
hg_inventory_subnet_at(const struct hg_inventory *inventory, size_t i)
{
    return i < inventory->subnets.n ? inventory->subnets.at[i] : NULL;
}

size_t
hg_inventory_n_vpcs(const struct hg_inventory *inventory)
{
    return inventory->vpcs.n;
}

const struct hg_vpc *
hg_inventory_vpc_at(const struct hg_inventory *inventory, size_t i)
{
    return i < inventory->vpcs.n ? inventory->vpcs.at[i] : NULL;
}

uint64_t
hg_inventory_generation(const struct hg_inventory *inventory)
{
    return inventory->generation;
}

bool
hg_eni_in_group(const struct hg_eni *eni, const char *group)
{
    size_t i;

    for (i = 0; i < eni->security_group.n; i++)
        if (!strcmp(eni->security_group.v[i], group))
            return true;
    return false;
}
