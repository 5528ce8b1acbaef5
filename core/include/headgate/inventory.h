/* headgate/inventory.h: who is who in the VPCs.
 *
 * The inventory holds VPCs, subnets and elastic network interfaces (ENIs) as
 * the mapping service knows them.  The element MappingService makes one from
 * its section or from files and offers it as service "inventory":
 *
 *     inventory = hg_service(self, self->mapping, "inventory");
 *     eni = hg_inventory_find(inventory, p->vpc, &address);
 *
 * Records never move and are never freed while the graph lives: a packet may
 * carry a pointer to one (p->src_eni, p->dst_eni).  A change makes a new
 * record; 'generation' tells that something changed.
 *
 * Thread-safety: belongs to one worker. */
#ifndef HEADGATE_INVENTORY_H
#define HEADGATE_INVENTORY_H 1

#include <headgate/element.h>

#ifdef __cplusplus
extern "C" {
#endif

struct hg_vpc {
    char *id;        /* "vpc-..." */
    uint32_t number; /* What packets carry in p->vpc; from 1. */
    uint32_t vni;    /* On the wire, 24 bits. */
    char *account;   /* Owner, or NULL. */
    struct hg_prefix_list cidr;
};

struct hg_subnet {
    char *id;
    uint32_t number; /* From 1; unique over all VPCs. */
    const struct hg_vpc *vpc;
    struct hg_prefix_list cidr; /* One IPv4 and/or one IPv6. */
    char *az;                   /* Or NULL, as all that follow. */
    char *route_table;
    char *nacl;
};

struct hg_security_group {
    char *id; /* "sg-..." */
    const struct hg_vpc *vpc;
};

/* An ENI is what packets need of it, one cache line, and the rest. */
struct hg_eni {
    char *id;
    const struct hg_vpc *vpc;
    const struct hg_subnet *subnet;
    uint32_t number; /* From 1; unique; stays with the id while it is
                      * there. */
    struct hg_mac mac;
    bool source_dest_check;
    struct hg_addr host; /* Physical host; family 0: unknown. */
    uint32_t ip4;        /* The primary IPv4 one of 'address', host order, or
                          * 0; set by the inventory. */
    const struct hg_eni_details *details;
};

struct hg_eni_details {
    struct hg_addr public_address; /* family 0: none. */
    struct hg_addr_list address;   /* Private; the first of each family is the
                                    * primary one. */
    struct hg_string_list security_group;
    char *account;
    char *instance;
};

struct hg_inventory;

/* Numbers from 1 up. */
HG_API struct hg_inventory *hg_inventory_create(void);

/* One of n inventories, from 0: none of them gives a number that another one
 * does. */
HG_API struct hg_inventory *hg_inventory_create_one_of(uint32_t which,
                                                       uint32_t n);
HG_API void hg_inventory_destroy(struct hg_inventory *);

/* An inventory that is to replace 'before', which it needs until then: known
 * ids get their old numbers, those of VPCs and subnets also when they had
 * gone.  Fill it, then hg_inventory_replace() puts all of it in the place of
 * 'inventory' ('before') at once and frees 'next'; hg_inventory_destroy()
 * gives it up.  Old records stay allocated. */
HG_API struct hg_inventory *
hg_inventory_create_next(const struct hg_inventory *before);
HG_API void hg_inventory_replace(struct hg_inventory *inventory,
                                 struct hg_inventory *next);

/* Add or replace (same id) a record, copying it; 'number' is given by the
 * inventory.  NULL, and why, if it contradicts what is there: address outside
 * its subnet or reserved in it, taken by another ENI of the VPC, overlapping
 * subnets, subnet outside its VPC's CIDRs, VNI taken or above 24 bits, public
 * address or MAC (in its VPC) taken, more than 16 security groups.  Once there
 * is a security group, an ENI may name only those of its VPC. */
HG_API const struct hg_vpc *hg_inventory_add_vpc(struct hg_inventory *,
                                                 const struct hg_vpc *,
                                                 struct hg_error *);
HG_API const struct hg_subnet *
hg_inventory_add_subnet(struct hg_inventory *, const struct hg_subnet *,
                        struct hg_error *);
HG_API const struct hg_security_group *
hg_inventory_add_group(struct hg_inventory *, const struct hg_security_group *,
                       struct hg_error *);
HG_API const struct hg_eni *hg_inventory_add_eni(struct hg_inventory *,
                                                 const struct hg_eni *,
                                                 struct hg_error *);
/* Fetch what adding an ENI of this id, and one with this vpc, mac and address,
 * will look at, so that the cache misses of a long table overlap. */
HG_API void hg_inventory_prefetch_id(const struct hg_inventory *,
                                     const char *id);
HG_API void hg_inventory_prefetch(const struct hg_inventory *,
                                  const struct hg_eni *);

HG_API bool hg_inventory_remove_eni(struct hg_inventory *, const char *id);

/* The ENI that has this private address in this VPC (number; 0 where there is
 * only one VPC), or NULL. */
HG_API const struct hg_eni *hg_inventory_find(const struct hg_inventory *,
                                              uint32_t vpc,
                                              const struct hg_addr *);

/* The same for n keys at once, with prefetch. */
HG_API void hg_inventory_find_batch(const struct hg_inventory *, unsigned n,
                                    const uint32_t *vpc,
                                    const struct hg_addr *address,
                                    const struct hg_eni **out);

/* The ENIs of the receivers, or of senders and receivers, of up to
 * HG_BATCH_MAX packets, by their VPCs and the addresses in their IP or ARP
 * headers; NULL where there is none. */
HG_API void hg_inventory_find_dst(const struct hg_inventory *, unsigned n,
                                  struct hg_packet *const *,
                                  const struct hg_eni **out);
HG_API void hg_inventory_find_ends(const struct hg_inventory *, unsigned n,
                                   struct hg_packet *const *,
                                   const struct hg_eni **from,
                                   const struct hg_eni **to);

/* The ENI with this MAC in this VPC (0 as above), or NULL. */
HG_API const struct hg_eni *hg_inventory_find_mac(const struct hg_inventory *,
                                                  uint32_t vpc,
                                                  const struct hg_mac *);

/* The same for n MACs of one VPC at once, with prefetch. */
HG_API void hg_inventory_find_mac_batch(const struct hg_inventory *,
                                        uint32_t vpc, unsigned n,
                                        const struct hg_mac *,
                                        const struct hg_eni **out);

/* The ENI with this public address, or NULL. */
HG_API const struct hg_eni *
hg_inventory_find_public(const struct hg_inventory *, const struct hg_addr *);

HG_API const struct hg_eni *hg_inventory_eni(const struct hg_inventory *,
                                             const char *id);
HG_API const struct hg_eni *
hg_inventory_eni_by_number(const struct hg_inventory *, uint32_t number);
HG_API const struct hg_subnet *hg_inventory_subnet(const struct hg_inventory *,
                                                   const char *id);
HG_API const struct hg_security_group *
hg_inventory_group(const struct hg_inventory *, const char *id);
HG_API const struct hg_vpc *hg_inventory_vpc(const struct hg_inventory *,
                                             const char *id);
HG_API const struct hg_vpc *
hg_inventory_vpc_by_number(const struct hg_inventory *, uint32_t number);
HG_API const struct hg_vpc *
hg_inventory_vpc_by_vni(const struct hg_inventory *, uint32_t vni);

/* The subnet that holds this address in this VPC, or NULL. */
HG_API const struct hg_subnet *
hg_inventory_subnet_of(const struct hg_inventory *, uint32_t vpc,
                       const struct hg_addr *);

/* What AWS reserves an address of a subnet for: the first four and the last
 * (of IPv4 broadcast). */
enum hg_reserved {
    HG_RESERVED_NOT,
    HG_RESERVED_NETWORK,
    HG_RESERVED_ROUTER,
    HG_RESERVED_RESOLVER,
    HG_RESERVED_FUTURE,
    HG_RESERVED_LAST
};

HG_API enum hg_reserved hg_subnet_reserved(const struct hg_subnet *,
                                           const struct hg_addr *);

struct hg_inventory_memory {
    size_t mappings;      /* Addresses. */
    size_t mapping_bytes; /* The table that leads from them to ENIs. */
    size_t record_bytes;
    size_t index_bytes; /* By id, MAC and public address. */
};

HG_API void hg_inventory_memory(const struct hg_inventory *,
                                struct hg_inventory_memory *out);

/* Walking: the i-th of n in order of addition; NULL where an ENI was
 * removed.  A VPC or subnet that a replacement left out is still met. */
HG_API size_t hg_inventory_n_enis(const struct hg_inventory *);
HG_API const struct hg_eni *hg_inventory_eni_at(const struct hg_inventory *,
                                                size_t i);
HG_API size_t hg_inventory_n_subnets(const struct hg_inventory *);
HG_API const struct hg_subnet *
hg_inventory_subnet_at(const struct hg_inventory *, size_t i);
HG_API size_t hg_inventory_n_vpcs(const struct hg_inventory *);
HG_API const struct hg_vpc *hg_inventory_vpc_at(const struct hg_inventory *,
                                                size_t i);

HG_API size_t hg_inventory_n_groups(const struct hg_inventory *);
HG_API const struct hg_security_group *
hg_inventory_group_at(const struct hg_inventory *, size_t i);

/* Advances with every change; the second one with those of VPCs and subnets
 * only, which are rare. */
HG_API uint64_t hg_inventory_generation(const struct hg_inventory *);
HG_API uint64_t hg_inventory_network_generation(const struct hg_inventory *);

/* The block at whose base plus two the VPC's resolver is: the first one of
 * IPv4, else the first; NULL if there is none. */
HG_API const struct hg_prefix *hg_vpc_primary(const struct hg_vpc *);

/* Whether this ENI carries the security group. */
HG_API bool hg_eni_in_group(const struct hg_eni *, const char *group);

#ifdef __cplusplus
}
#endif
#endif
