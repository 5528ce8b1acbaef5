/* inventory_find.c: looks into an inventory; see inventory.h. */
#include <string.h>

#include "inventory_internal.h"

/* 0 stands for the only VPC. */
static uint32_t
vpc_number(const struct hg_inventory *inventory, uint32_t vpc)
{
    return vpc ? vpc : inventory->only_vpc;
}

const struct hg_eni *
hg_inventory_find(const struct hg_inventory *inventory, uint32_t vpc,
                  const struct hg_addr *addr)
{
    return inventory_eni(inventory,
                         address_table_find(&inventory->addresses,
                                            vpc_number(inventory, vpc), addr));
}

/* ---- Many at once ----------------------------------------------------- */

/* Keys that are looked for together: first their buckets are fetched, then
 * the records found there, then the few keys that are not where their search
 * begins.
 *
 * A loop that fetches does nothing else.  A prefetch is not over before its
 * address is translated, which takes long in a large table, and the processor
 * looks no more than some hundred instructions ahead: so the waits of a whole
 * batch are one. */
struct search {
    const struct hg_inventory *inventory;
    uint32_t only_vpc; /* What 0 stands for. */
    unsigned n;
    unsigned n_others; /* IPv6, or no address. */
    uint64_t key[HG_BATCH_MAX];
    const struct ip4_bucket *bucket[HG_BATCH_MAX];
    uint16_t other[HG_BATCH_MAX];
};

static void
begin_search(struct search *s, const struct hg_inventory *inventory,
             unsigned n)
{
    s->inventory = inventory;
    s->only_vpc = inventory->only_vpc;
    s->n = n;
    s->n_others = 0;
}

static inline void
search_ip4(struct search *s, unsigned i, uint32_t vpc, uint32_t ip)
{
    s->key[i] = ip4_key(vpc ? vpc : s->only_vpc, ip);
    s->bucket[i] = ip4_home(&s->inventory->addresses, s->key[i]);
}

/* Keeps the place of one that is no IPv4 address. */
static void
search_other(struct search *s, unsigned i, uint32_t vpc,
             const struct hg_addr *addr)
{
    static const struct ip4_bucket empty;

    address_table_prefetch(&s->inventory->addresses, vpc ? vpc : s->only_vpc,
                           addr);
    s->other[s->n_others++] = (uint16_t)i;
    s->key[i] = 0;
    s->bucket[i] = &empty;
}

/* (GCC takes a function that only prefetches for one without effect, unless
 * it is inlined.) */
__attribute__((always_inline)) static inline void
fetch_buckets(const struct search *s)
{
    unsigned i;

#pragma GCC unroll 8
    for (i = 0; i < s->n; i++)
        __builtin_prefetch(s->bucket[i]);
}

/* The ENI of a key that is not where its search begins. */
static inline const struct hg_eni *
search_further(const struct search *s, unsigned i)
{
    const struct address_table *t = &s->inventory->addresses;
    const struct ip4_bucket *b = s->bucket[i];
    uint32_t place;

    if (!b->n_passed)
        return NULL;
    b = ip4_next(t, b);
    place = ip4_value_in(b, s->key[i]);
    if (!place && b->n_passed)
        place = ip4_value(t, s->key[i]);
    return inventory_eni(s->inventory, place);
}

/* Which keys are further on is not to be predicted, so they are put aside
 * without a branch; nearly all of them are in the next bucket. */
static void
end_search(const struct search *s, const struct hg_eni **out)
{
    uint16_t further[HG_BATCH_MAX];
    unsigned i, n_further = 0;

    for (i = 0; i < s->n; i++) {
        uint32_t place = ip4_value_in(s->bucket[i], s->key[i]);

        out[i] = inventory_eni(s->inventory, place);
        further[n_further] = (uint16_t)i;
        n_further += !place;
    }
    for (i = 0; i < n_further; i++)
        __builtin_prefetch(s->bucket[further[i]] + 1);
#pragma GCC unroll 8
    for (i = 0; i < s->n; i++)
        __builtin_prefetch(out[i]);
    for (i = 0; i < n_further; i++) {
        out[further[i]] = search_further(s, further[i]);
        __builtin_prefetch(out[further[i]]);
    }
}

/* Up to HG_BATCH_MAX. */
static void
find_some(const struct hg_inventory *inventory, unsigned n,
          const uint32_t *vpc, const struct hg_addr *addr,
          const struct hg_eni **out)
{
    struct search s;
    unsigned i;

    begin_search(&s, inventory, n);
    for (i = 0; i < n; i++)
        if (addr[i].family == 4 && inventory->addresses.n_buckets)
            search_ip4(&s, i, vpc[i], hg_addr_ip4(&addr[i]));
        else
            search_other(&s, i, vpc[i], &addr[i]);
    fetch_buckets(&s);
    end_search(&s, out);
    for (i = 0; i < s.n_others; i++) {
        unsigned k = s.other[i];

        out[k] = hg_inventory_find(inventory, vpc[k], &addr[k]);
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

/* Where the address of an end is in IPv4, IPv6 and ARP. */
struct end_offsets {
    uint8_t ip4;
    uint8_t ip6;
    uint8_t arp;
};

static const struct end_offsets source = {offsetof(struct hg_ipv4, src),
                                          offsetof(struct hg_ipv6, src),
                                          offsetof(struct hg_arp, spa)};
static const struct end_offsets destination = {offsetof(struct hg_ipv4, dst),
                                               offsetof(struct hg_ipv6, dst),
                                               offsetof(struct hg_arp, tpa)};

/* The address of an end of a packet that is not IPv4. */
static void
read_other(const struct hg_packet *p, const struct end_offsets *at,
           struct hg_addr *out)
{
    if (hg_packet_arp(p))
        *out = hg_addr_from_ip4(hg_load32(hg_packet_l3(p) + at->arp));
    else
        hg_packet_read_addr(p, at->ip4, at->ip6, out);
}

static inline void
search_ip4_end(struct search *s, unsigned i, const struct hg_packet *p,
               const struct end_offsets *at)
{
    search_ip4(s, i, p->vpc, hg_load32(hg_packet_l3(p) + at->ip4));
}

static void
search_other_end(struct search *s, unsigned i, const struct hg_packet *p,
                 const struct end_offsets *at)
{
    struct hg_addr addr;

    read_other(p, at, &addr);
    search_other(s, i, p->vpc, &addr);
}

static void
end_search_of_ends(const struct search *s, struct hg_packet *const *packets,
                   const struct end_offsets *at, const struct hg_eni **out)
{
    struct hg_addr addr;
    unsigned i;

    end_search(s, out);
    for (i = 0; i < s->n_others; i++) {
        unsigned k = s->other[i];

        read_other(packets[k], at, &addr);
        out[k] = hg_inventory_find(s->inventory, packets[k]->vpc, &addr);
    }
}

void
hg_inventory_find_dst(const struct hg_inventory *inventory, unsigned n,
                      struct hg_packet *const *packets,
                      const struct hg_eni **out)
{
    const bool has_ip4 = inventory->addresses.n_buckets > 0;
    struct search s;
    unsigned i;

    begin_search(&s, inventory, n);
    for (i = 0; i < n; i++)
        if (packets[i]->flags & HG_PACKET_IP4 && has_ip4)
            search_ip4_end(&s, i, packets[i], &destination);
        else
            search_other_end(&s, i, packets[i], &destination);
    fetch_buckets(&s);
    end_search_of_ends(&s, packets, &destination, out);
}

void
hg_inventory_find_ends(const struct hg_inventory *inventory, unsigned n,
                       struct hg_packet *const *packets,
                       const struct hg_eni **from, const struct hg_eni **to)
{
    const bool has_ip4 = inventory->addresses.n_buckets > 0;
    struct search src, dst;
    unsigned i;

    begin_search(&src, inventory, n);
    begin_search(&dst, inventory, n);
    for (i = 0; i < n; i++) {
        const struct hg_packet *p = packets[i];

        if (p->flags & HG_PACKET_IP4 && has_ip4) {
            search_ip4_end(&src, i, p, &source);
            search_ip4_end(&dst, i, p, &destination);
        } else {
            search_other_end(&src, i, p, &source);
            search_other_end(&dst, i, p, &destination);
        }
    }
    fetch_buckets(&src);
    fetch_buckets(&dst);
    end_search_of_ends(&src, packets, &source, from);
    end_search_of_ends(&dst, packets, &destination, to);
}

/* ---- MACs ------------------------------------------------------------- */

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
    const struct hash_index x = inventory->by_mac;
    uint64_t word[HG_BATCH_MAX];
    uint32_t hash[HG_BATCH_MAX];
    unsigned i;

    for (i = 0; i < n; i++) {
        word[i] = inventory_mac_word(&mac[i]);
        hash[i] = inventory_hash_mac_word(vpc, word[i]);
        hash_index_prefetch(&x, hash[i]);
    }
    for (i = 0; i < n; i++) {
        uint32_t place = hash_index_first(&x, hash[i]);

        /* HASH_INDEX_END is no place either. */
        out[i] = inventory_eni(inventory, place + 1 ? place : 0);
        __builtin_prefetch(out[i]);
    }
    for (i = 0; i < n; i++)
        if (out[i] && !inventory_has_mac(out[i], vpc, word[i]))
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

        if (hg_addr_equal(&eni->details->public_address, addr))
            return eni;
    }
    return NULL;
}

const struct hg_eni *
hg_inventory_eni(const struct hg_inventory *inventory, const char *id)
{
    return inventory_get(&inventory->enis, id);
}

const struct hg_eni *
hg_inventory_eni_by_number(const struct hg_inventory *inventory,
                           uint32_t number)
{
    return hg_inventory_eni_at(inventory, inventory_index(inventory, number));
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
    const struct hg_vpc *vpc;
    uint32_t i;

    i = inventory_index(inventory, vpc_number(inventory, number));
    if (i >= inventory->vpcs.n)
        return NULL;
    vpc = inventory->vpcs.at[i];
    /* One that is gone has no VNI any more. */
    return vpc && hg_inventory_vpc_by_vni(inventory, vpc->vni) == vpc ? vpc
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

const struct hg_prefix *
hg_vpc_primary(const struct hg_vpc *vpc)
{
    size_t i;

    for (i = 0; i < vpc->cidr.n; i++)
        if (vpc->cidr.v[i].addr.family == 4)
            return &vpc->cidr.v[i];
    return vpc->cidr.n ? vpc->cidr.v : NULL;
}

bool
hg_eni_in_group(const struct hg_eni *eni, const char *group)
{
    size_t i;

    for (i = 0; i < eni->details->security_group.n; i++)
        if (!strcmp(eni->details->security_group.v[i], group))
            return true;
    return false;
}
