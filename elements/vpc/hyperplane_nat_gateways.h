/* hyperplane_nat_gateways.h: HyperplaneNAT's gateways and their external
 * addresses: how they are declared, and which one a packet is for.
 *
 * A packet from inside is for the gateway whose own input it came in by, else
 * for the first whose 'vpc', 'mark' and 'inside' it fits (those that name a
 * VPC come before those that do not).  A packet from outside is for the one
 * that has its destination: public addresses are unique, private ones in
 * their VPC. */
#ifndef HYPERPLANE_NAT_GATEWAYS_H
#define HYPERPLANE_NAT_GATEWAYS_H 1

#include <headgate/flow.h>
#include <headgate/inventory.h>
#include <headgate/owner.h>

#include <stdlib.h>

#include <xxhash.h>

#include "hyperplane_nat.h"

/* ---- External addresses ----------------------------------------------- */

static inline uint32_t
address_slot(const struct hyperplane_nat *self, uint32_t vpc, uint32_t ip)
{
    return (uint32_t)((((uint64_t)vpc << 32 | ip) *
                       UINT64_C(0x9e3779b97f4a7c15)) >>
                      32) &
           self->address_mask;
}

static inline __attribute__((always_inline)) struct address *
find_address_in(const struct hyperplane_nat *self, uint32_t vpc, uint32_t ip)
{
    uint32_t at = address_slot(self, vpc, ip);

    for (; self->address_slots[at]; at = (at + 1) & self->address_mask) {
        struct address *a = &self->addresses[self->address_slots[at] - 1];

        if (a->ip == ip && a->vpc == vpc)
            return a;
    }
    return NULL;
}

/* The external address that a packet of this VPC means by 'ip', or NULL. */
static struct address *
find_address(const struct hyperplane_nat *self, uint32_t vpc, uint32_t ip)
{
    struct address *a = vpc ? find_address_in(self, vpc, ip) : NULL;

    return a ? a : find_address_in(self, 0, ip);
}

/* ---- Choosing --------------------------------------------------------- */

static bool
has_mark(const struct gateway_row *row, uint16_t mark)
{
    size_t i;

    for (i = 0; i < row->mark.n; i++)
        if (row->mark.v[i] == mark)
            return true;
    return !row->mark.n;
}

static bool
has_inside(const struct gateway *gw, const struct hg_packet *p)
{
    const struct hg_ipv4 *ip = hg_packet_ipv4(p);
    struct hg_addr src;
    size_t i;

    if (!gw->row->inside.n)
        return true;
    if (ip) {
        for (i = 0; i < gw->n_blocks; i++)
            if ((hg_get32(ip->src) & gw->blocks[i].mask) == gw->blocks[i].net)
                return true;
        return false;
    }
    src = hg_packet_src(p);
    for (i = 0; i < gw->row->inside.n; i++)
        if (hg_prefix_contains(&gw->row->inside.v[i], &src))
            return true;
    return false;
}

static bool
fits(const struct gateway *gw, const struct hg_packet *p)
{
    return (!gw->has_vpc || gw->vpc == p->vpc) && has_mark(gw->row, p->mark) &&
           has_inside(gw, p);
}

/* The first of by_vpc that is not before 'vpc', among those that have one. */
static uint32_t
first_of_vpc(const struct hyperplane_nat *self, uint32_t vpc)
{
    uint32_t low = 0, high = self->n_gateways;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const struct gateway *gw = self->by_vpc[middle];

        if (gw->has_vpc && gw->vpc < vpc)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct gateway *
search_gateway(const struct hyperplane_nat *self, const struct hg_packet *p)
{
    uint32_t i = first_of_vpc(self, p->vpc), n = self->n_gateways;

    for (; i < n && self->by_vpc[i]->has_vpc && self->by_vpc[i]->vpc == p->vpc;
         i++)
        if (!self->by_vpc[i]->input && fits(self->by_vpc[i], p))
            return self->by_vpc[i];
    for (i = n; i > 0 && !self->by_vpc[i - 1]->has_vpc; i--)
        ;
    for (; i < n; i++)
        if (!self->by_vpc[i]->input && fits(self->by_vpc[i], p))
            return self->by_vpc[i];
    return NULL;
}

static struct gateway *
choose_among(const struct hyperplane_nat *self, const struct hg_packet *p)
{
    uint32_t i;

    if (p->in_port < FIRST_OWN_INPUT)
        return search_gateway(self, p);
    for (i = 0; i < self->n_gateways; i++)
        if (self->gateways[i].input == p->in_port)
            return fits(&self->gateways[i], p) ? &self->gateways[i] : NULL;
    return NULL;
}

/* The gateway of a packet from inside, or NULL. */
static inline struct gateway *
choose_gateway(const struct hyperplane_nat *self, const struct hg_packet *p)
{
    return self->one_for_all ? self->gateways : choose_among(self, p);
}

/* The gateway of a packet.  One from outside that is for a gateway's address
 * gets the VPC in which that address is known: its flow is found by it. */
static inline struct gateway *
gateway_of(const struct hyperplane_nat *self, struct hg_packet *p)
{
    const struct hg_ipv4 *ip;
    const struct address *a;

    if (p->in_port != OUTSIDE)
        return choose_gateway(self, p);
    ip = hg_packet_ipv4(p);
    a = ip ? find_address(self, p->vpc, hg_get32(ip->dst)) : NULL;
    if (!a)
        return NULL;
    if (p->vpc != a->vpc) {
        p->vpc = a->vpc;
        hg_packet_forget_flow(p);
    }
    return a->gateway;
}

/* ---- Declaring -------------------------------------------------------- */

/* Whether the option 'which' of a gateway holds IPv4 addresses only; its
 * mistakes are those of row 'row' or, without sections, of the element. */
static bool
check_addresses(struct hyperplane_nat *self, const char *which,
                const struct hg_addr_list *list, int row)
{
    bool ok = true;
    size_t i, k;

    for (i = 0; i < list->n; i++) {
        char buf[HG_ADDR_STRLEN];
        const char *why = NULL;

        hg_addr_format(&list->v[i], buf);
        if (list->v[i].family != 4)
            why = "is not an IPv4 address";
        else if (!hg_addr_ip4(&list->v[i]))
            why = "is no host's address";
        for (k = 0; k < i && !why; k++)
            if (hg_addr_equal(&list->v[i], &list->v[k]))
                why = "is given twice";
        if (why)
            ok = row < 0 ? hg_config_error(self, which, (int)i, "'%s' %s", buf,
                                           why)
                         : hg_config_error(self, "gateway", row, "'%s' %s",
                                           buf, why);
    }
    return ok;
}

static bool
configure_blocks(struct hyperplane_nat *self, struct gateway *gw)
{
    const struct hg_prefix_list *inside = &gw->row->inside;
    size_t i;

    gw->blocks = calloc(inside->n + 1, sizeof(*gw->blocks));
    if (!gw->blocks)
        return hg_config_error(self, NULL, -1, "no memory");
    for (i = 0; i < inside->n; i++) {
        const struct hg_prefix *prefix = &inside->v[i];

        if (prefix->addr.family != 4)
            continue;
        gw->blocks[gw->n_blocks++] = (struct block){
            .net = hg_addr_ip4(&prefix->addr),
            .mask = prefix->len ? UINT32_MAX << (32 - prefix->len) : 0};
    }
    return true;
}

/* Its external addresses become the element's; 'row' as above. */
static bool
configure_gateway(struct hyperplane_nat *self, struct gateway *gw, int row)
{
    const struct gateway_row *r = gw->row;
    const struct hg_addr_list *external =
        r->public.n ? &r->public : &r->private;
    size_t i;

    if (!external->n)
        return row < 0 ? hg_config_error(self, NULL, -1,
                                         "it has no address to give; set "
                                         "'public', or 'private' for a "
                                         "private gateway")
                       : hg_config_error(self, "gateway", row,
                                         "'%s' has no address to give; set "
                                         "'public', or 'private' for a "
                                         "private gateway",
                                         gw->name);
    if (!check_addresses(self, "public", &r->public, row) ||
        !check_addresses(self, "private", &r->private, row) ||
        !configure_blocks(self, gw))
        return false;
    gw->source = hg_addr_ip4(r->private.n ? r->private.v : r->public.v);
    gw->first = (uint16_t)self->n_addresses;
    gw->n = (uint16_t)external->n;
    for (i = 0; i < external->n; i++) {
        uint32_t ip = hg_addr_ip4(&external->v[i]);

        self->addresses[self->n_addresses++] =
            (struct address){.ip = ip, .gateway = gw};
        hg_external_address(self, ip);
    }
    if (r->input) {
        int input = hg_declare_input(self, gw->name);

        if (input < 0)
            return false;
        gw->input = (uint16_t)input;
    }
    return true;
}

/* Puts all addresses into the index, by their 'vpc'; returns the first that
 * is there already, or NULL. */
static const struct address *
index_addresses(struct hyperplane_nat *self)
{
    uint32_t i, at;

    memset(self->address_slots, 0,
           (self->address_mask + 1ul) * sizeof(*self->address_slots));
    for (i = 0; i < self->n_addresses; i++) {
        const struct address *a = &self->addresses[i];

        if (find_address_in(self, a->vpc, a->ip))
            return a;
        at = address_slot(self, a->vpc, a->ip);
        while (self->address_slots[at])
            at = (at + 1) & self->address_mask;
        self->address_slots[at] = (uint16_t)(i + 1);
    }
    return NULL;
}

/* Whether the VPC of a gateway's external addresses is its own. */
static bool
is_private(const struct gateway *gw)
{
    return !gw->row->public.n && gw->row->vpc;
}

/* Refuses an address that two gateways have.  VPCs have no numbers yet; a
 * hash of their names will do. */
static bool
check_unique(struct hyperplane_nat *self)
{
    const struct address *twice;
    struct hg_addr addr;
    char buf[HG_ADDR_STRLEN];
    uint32_t n = 4, i;

    while (n < 2 * self->n_addresses)
        n *= 2;
    self->address_slots = calloc(n, sizeof(*self->address_slots));
    if (!self->address_slots)
        return hg_config_error(self, NULL, -1, "no memory");
    self->address_mask = n - 1;
    for (i = 0; i < self->n_addresses; i++) {
        struct address *a = &self->addresses[i];
        const char *vpc = a->gateway->row->vpc;

        if (is_private(a->gateway))
            a->vpc = XXH32(vpc, strlen(vpc), 0) | 1;
    }
    twice = index_addresses(self);
    if (!twice)
        return true;
    addr = hg_addr_from_ip4(twice->ip);
    return hg_config_error(
        self, "gateway", (int)(twice->gateway - self->gateways),
        "gateways '%s' and '%s' have the same address %s",
        find_address_in(self, twice->vpc, twice->ip)->gateway->name,
        twice->gateway->name, hg_addr_format(&addr, buf));
}

static bool
configure_gateways(struct hyperplane_nat *self)
{
    static const char *const alone[] = {"public", "private", "vpc", "inside"};
    uint32_t n = self->gateway.n ? (uint32_t)self->gateway.n : 1, i;
    bool ok = true;

    for (i = 0; self->gateway.n && i < 4; i++)
        if (hg_option_given(self, alone[i]))
            ok = hg_config_error(self, alone[i], -1,
                                 "'%s' belongs into the sections 'gateway' "
                                 "where there are any",
                                 alone[i]);
    self->gateways = calloc(n, sizeof(*self->gateways));
    self->by_vpc = calloc(n, sizeof(*self->by_vpc));
    self->addresses =
        calloc((size_t)n * ADDRESSES_MAX, sizeof(*self->addresses));
    if (!self->gateways || !self->by_vpc || !self->addresses)
        return hg_config_error(self, NULL, -1, "no memory");
    self->n_gateways = n;
    self->only = (struct gateway_row){.name = (char *)(uintptr_t) "",
                                      .public = self->public,
                                      .private = self->private,
                                      .vpc = self->vpc,
                                      .inside = self->inside};
    for (i = 0; i < n; i++) {
        struct gateway *gw = &self->gateways[i];

        gw->number = (uint16_t)i;
        gw->row = self->gateway.n ? &self->gateway.row[i] : &self->only;
        gw->name = gw->row->name;
        if (strlen(gw->name) >= HG_NAT_NAME_SIZE)
            ok = hg_config_error(self, "gateway", (int)i,
                                 "'%s' is longer than %d characters", gw->name,
                                 HG_NAT_NAME_SIZE - 1);
        ok &= configure_gateway(self, gw, self->gateway.n ? (int)i : -1);
    }
    self->one_for_all = n == 1 && !self->gateways->row->vpc &&
                        !self->gateways->row->mark.n &&
                        !self->gateways->row->inside.n;
    return ok && check_unique(self);
}

/* ---- Starting --------------------------------------------------------- */

static bool
resolve_vpc(struct gateway *gw, const struct hg_inventory *inventory,
            struct hg_error *error)
{
    const struct hg_vpc *vpc;
    uint64_t number;

    if (!gw->row->vpc)
        return true;
    vpc = inventory ? hg_inventory_vpc(inventory, gw->row->vpc) : NULL;
    if (vpc)
        number = vpc->number;
    else if (inventory || !hg_number_parse(gw->row->vpc, &number) ||
             number > UINT32_MAX)
        return hg_error_set(error,
                            "no mapping service knows VPC '%s'; without one, "
                            "give its number",
                            gw->row->vpc);
    gw->has_vpc = true;
    gw->vpc = (uint32_t)number;
    return true;
}

static int
compare_vpc(const void *a_, const void *b_)
{
    const struct gateway *const *a = a_, *const *b = b_;

    if ((*a)->has_vpc != (*b)->has_vpc)
        return (*a)->has_vpc ? -1 : 1;
    if ((*a)->vpc != (*b)->vpc)
        return (*a)->vpc < (*b)->vpc ? -1 : 1;
    return *a < *b ? -1 : 1; /* As in the graph file. */
}

static bool
start_gateways(struct hyperplane_nat *self, struct hg_error *error)
{
    const struct hg_inventory *inventory =
        hg_service(self, self->mapping, "inventory");
    const struct address *twice;
    uint32_t i;

    for (i = 0; i < self->n_gateways; i++) {
        if (!resolve_vpc(&self->gateways[i], inventory, error))
            return false;
        self->by_vpc[i] = &self->gateways[i];
    }
    qsort(self->by_vpc, self->n_gateways, sizeof(*self->by_vpc), compare_vpc);
    for (i = 0; i < self->n_addresses; i++)
        if (is_private(self->addresses[i].gateway))
            self->addresses[i].vpc = self->addresses[i].gateway->vpc;
    twice = index_addresses(self); /* One VPC may have two names. */
    return !twice ||
           hg_error_set(error, "gateway '%s' has an address of another",
                        twice->gateway->name);
}

static void
free_gateways(struct hyperplane_nat *self)
{
    uint32_t i;

    for (i = 0; i < self->n_gateways; i++)
        free(self->gateways[i].blocks);
    free(self->gateways);
    free(self->by_vpc);
    free(self->addresses);
    free(self->address_slots);
}

#endif
