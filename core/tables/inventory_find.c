/* inventory_find.c: looks into an inventory; see inventory.h. */
#include <string.h>

#include "inventory_internal.h"

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
    uint32_t i = address_table_find(&inventory->addresses,
                                    vpc_number(inventory, vpc), addr);

    return i == HASH_INDEX_END ? NULL : inventory_eni(inventory, i);
}

/* Looks for n keys at once, and fetches what is found. */
static void
find_some(const struct hg_inventory *inventory, unsigned n,
          const uint32_t *given_vpc, const struct hg_addr *addr,
          const struct hg_eni **out)
{
    uint32_t vpc[HG_BATCH_MAX], found[HG_BATCH_MAX];
    unsigned i;

    for (i = 0; i < n; i++)
        vpc[i] = vpc_number(inventory, given_vpc[i]);
    address_table_find_batch(&inventory->addresses, n, vpc, addr, found);
    for (i = 0; i < n; i++) {
        out[i] = found[i] == HASH_INDEX_END
                     ? NULL
                     : inventory_eni(inventory, found[i]);
        __builtin_prefetch(out[i]);
    }
}

void
hg_inventory_find_batch(const struct hg_inventory *inventory, unsigned n,
                        const uint32_t *vpc, const struct hg_addr *addr,
                        const struct hg_eni **out)
{
    unsigned i, k;

    for (i = 0; i < n; i += k) {
        k = n - i < HG_BATCH_MAX ? n - i : HG_BATCH_MAX;
        find_some(inventory, k, vpc + i, addr + i, out + i);
    }
}

const struct hg_eni *
hg_inventory_find_mac(const struct hg_inventory *inventory, uint32_t vpc,
                      const struct hg_mac *mac)
{
    return inventory_find_mac(inventory, vpc_number(inventory, vpc), mac);
}

/* Each loop fetches what the next one reads. */
static void
find_some_macs(const struct hg_inventory *inventory, uint32_t vpc, unsigned n,
               const struct hg_mac *mac, const struct hg_eni **out)
{
    const struct hash_index *x = &inventory->by_mac;
    uint32_t hash[HG_BATCH_MAX], first[HG_BATCH_MAX];
    unsigned i;

    for (i = 0; i < n; i++) {
        hash[i] = inventory_hash_mac(vpc, &mac[i]);
        hash_index_prefetch(x, hash[i]);
    }
    for (i = 0; i < n; i++) {
        size_t at = hash_index_start(x, hash[i]);

        first[i] = hash_index_candidate(x, hash[i], &at);
        if (first[i] != HASH_INDEX_END)
            __builtin_prefetch(&inventory->enis.at[first[i]]);
    }
    for (i = 0; i < n; i++) {
        out[i] =
            first[i] == HASH_INDEX_END ? NULL : inventory->enis.at[first[i]];
        __builtin_prefetch(out[i]);
    }
    for (i = 0; i < n; i++)
        if (out[i] && !inventory_has_mac(out[i], vpc, &mac[i]))
            out[i] = inventory_find_mac(inventory, vpc, &mac[i]);
}

void
hg_inventory_find_mac_batch(const struct hg_inventory *inventory, uint32_t vpc,
                            unsigned n, const struct hg_mac *mac,
                            const struct hg_eni **out)
{
    unsigned i, k;

    vpc = vpc_number(inventory, vpc);
    for (i = 0; i < n; i += k) {
        k = n - i < HG_BATCH_MAX ? n - i : HG_BATCH_MAX;
        find_some_macs(inventory, vpc, k, mac + i, out + i);
    }
}

const struct hg_eni *
hg_inventory_find_public(const struct hg_inventory *inventory,
                         const struct hg_addr *addr)
{
    uint32_t hash = inventory_hash_address(0, addr), i;
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
    return inventory_get(&inventory->enis, id);
}

const struct hg_subnet *
hg_inventory_subnet(const struct hg_inventory *inventory, const char *id)
{
    return inventory_get(&inventory->subnets, id);
}

const struct hg_vpc *
hg_inventory_vpc(const struct hg_inventory *inventory, const char *id)
{
    return inventory_get(&inventory->vpcs, id);
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
    const struct hg_prefix host = {*addr, addr->family == 4 ? 32 : 128};

    return inventory_find_range(inventory, vpc_number(inventory, vpc), &host);
}

void
hg_inventory_memory(const struct hg_inventory *inventory,
                    struct hg_inventory_memory *out)
{
    out->mappings = inventory->addresses.n_used + inventory->addresses.n_six;
    out->mapping_bytes = address_table_size(&inventory->addresses);
    out->record_bytes = inventory->chunks_size;
    out->index_bytes =
        (inventory->enis.by_id.n_slots + inventory->by_mac.n_slots +
         inventory->by_public.n_slots) *
            sizeof(struct hash_slot) +
        inventory->enis.n * sizeof(void *);
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

const struct hg_security_group *
hg_inventory_group(const struct hg_inventory *inventory, const char *id)
{
    return inventory_get(&inventory->groups, id);
}

size_t
hg_inventory_n_groups(const struct hg_inventory *inventory)
{
    return inventory->groups.n;
}

const struct hg_security_group *
hg_inventory_group_at(const struct hg_inventory *inventory, size_t i)
{
    return i < inventory->groups.n ? inventory->groups.at[i] : NULL;
}

uint64_t
hg_inventory_generation(const struct hg_inventory *inventory)
{
    return inventory->generation;
}

uint64_t
hg_inventory_network_generation(const struct hg_inventory *inventory)
{
    return inventory->network_generation;
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
