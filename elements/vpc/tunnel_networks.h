/* tunnel_networks.h: which network number on the wire is which VPC, for
 * Decap and Encap.
 *
 * The rows "network 101 { vpc = vpc-1 }" of the graph come first; what they
 * do not name is looked up as a VNI in the inventory; without an inventory
 * the number itself is that of the VPC. */
#ifndef TUNNEL_NETWORKS_H
#define TUNNEL_NETWORKS_H 1

#include <stdlib.h>

#include <headgate/inventory.h>
#include <headgate/tunnel.h>

struct tunnel_network {
    uint32_t number;
    char *vpc;
    uint32_t vpc_number; /* Resolved at start. */
};

static const struct hg_field tunnel_network_fields[] = {
    HG_ROW_OPTION(struct tunnel_network, number, .title = true,
                  .required = true,
                  .doc = "number on the wire: VNI, key, VSID or VLAN id; "
                         "qinq: S-VLAN id * 4096 + C-VLAN id"),
    HG_ROW_OPTION(struct tunnel_network, vpc, .required = true,
                  .doc = "id of the VPC; without a MappingService its "
                         "number"),
};

typedef HG_ROWS_OF(struct tunnel_network) tunnel_networks;

/* Whether the format can carry the number. */
static inline bool
tunnel_network_fits(uint32_t number, enum hg_tunnel_format format)
{
    enum { VLAN_RESERVED = 4095 }; /* IEEE 802.1Q 9.6 */

    return number <= hg_tunnel_network_max(format) &&
           (format != HG_TUNNEL_QINQ || number % 4096 != VLAN_RESERVED);
}

/* In configure: refuses a number of an option that the format cannot carry. */
static inline bool
tunnel_network_check(void *self, const char *option, int row, uint32_t number,
                     enum hg_tunnel_format format)
{
    uint32_t max = hg_tunnel_network_max(format);

    if (tunnel_network_fits(number, format))
        return true;
    if (number <= max)
        return hg_config_error(self, option, row,
                               "network %u has VLAN id 4095, which is "
                               "reserved",
                               (unsigned)number);
    return hg_config_error(self, option, row,
                           "network %u does not fit the format; the largest "
                           "is %u",
                           (unsigned)number, (unsigned)max);
}

/* In configure: numbers that the format cannot carry, and repeated ones. */
static inline bool
tunnel_networks_check(void *self, const tunnel_networks *networks,
                      enum hg_tunnel_format format)
{
    bool ok = true;
    size_t i, j;

    for (i = 0; i < networks->n; i++) {
        uint32_t number = networks->row[i].number;

        ok &= tunnel_network_check(self, "network", (int)i, number, format);
        for (j = 0; j < i; j++)
            if (networks->row[j].number == number)
                ok = hg_config_error(self, "network", (int)i,
                                     "network %u is given twice",
                                     (unsigned)number);
    }
    return ok;
}

/* In start: from ids to numbers. */
static inline bool
tunnel_networks_resolve(tunnel_networks *networks,
                        const struct hg_inventory *inventory,
                        struct hg_error *error)
{
    size_t i;

    for (i = 0; i < networks->n; i++) {
        struct tunnel_network *row = &networks->row[i];
        const struct hg_vpc *vpc = NULL;
        uint64_t number = 0;

        if (inventory)
            vpc = hg_inventory_vpc(inventory, row->vpc);
        if (inventory && !vpc)
            return hg_error_set(error,
                                "network %u: there is no VPC '%s' in the "
                                "mapping service",
                                (unsigned)row->number, row->vpc);
        if (!inventory &&
            (!hg_number_parse(row->vpc, &number) || number > UINT32_MAX))
            return hg_error_set(error,
                                "network %u: '%s' is not the number of a VPC; "
                                "ids need a MappingService",
                                (unsigned)row->number, row->vpc);
        row->vpc_number = vpc ? vpc->number : (uint32_t)number;
    }
    return true;
}

/* The row that has this number in one of its two columns, or NULL. */
static inline const struct tunnel_network *
tunnel_network_by_number(const tunnel_networks *networks, uint32_t number)
{
    size_t i;

    for (i = 0; i < networks->n; i++)
        if (networks->row[i].number == number)
            return &networks->row[i];
    return NULL;
}

static inline const struct tunnel_network *
tunnel_network_by_vpc(const tunnel_networks *networks, uint32_t vpc)
{
    size_t i;

    for (i = 0; i < networks->n; i++)
        if (networks->row[i].vpc_number == vpc)
            return &networks->row[i];
    return NULL;
}

#endif
