/* nacl_subnet.h: which network ACL a packet gets, by the subnet that it enters
 * or leaves; a part of nacl.c. */
#ifndef NACL_SUBNET_H
#define NACL_SUBNET_H 1

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nacl.h"

static void *
grow(void *array, size_t n, size_t size)
{
    void *p = realloc(array, (n + 1) * size);

    if (!p) {
        fputs("headgate: out of memory\n", stderr);
        exit(1);
    }
    memset((uint8_t *)p + n * size, 0, size);
    return p;
}

static void
associate(struct nacl *self, const char *subnet, uint32_t acl)
{
    size_t i;

    for (i = 0; i < self->n_associations; i++)
        if (!strcmp(self->associations[i].subnet, subnet)) {
            self->associations[i].acl = acl;
            return;
        }
    self->associations = grow(self->associations, self->n_associations,
                              sizeof *self->associations);
    self->associations[self->n_associations++] =
        (struct association){strdup(subnet), acl};
}

/* The n-th address of a block. */
static struct hg_addr
nth_address(const struct hg_prefix *prefix, uint8_t n)
{
    struct hg_addr addr = prefix->addr;

    addr.byte[addr.family == 4 ? 3 : 15] |= n;
    return addr;
}

static void
reserve(struct guard *g, const struct hg_prefix *prefix, uint8_t n)
{
    struct hg_addr addr = nth_address(prefix, n);

    hg_rule_key_init(&g->reserved[g->n_reserved++], &addr, &addr, 0);
}

/* Router at 1 and resolver at 2 of the subnet, resolver at 2 of the VPC:
 * "Subnet CIDR blocks", Amazon VPC User Guide. */
static void
reserve_all(struct guard *g, const struct hg_subnet *subnet)
{
    const struct hg_vpc *vpc = subnet->vpc;
    size_t i;

    for (i = 0; i < subnet->cidr.n && i < 2; i++) {
        reserve(g, &subnet->cidr.v[i], 1);
        reserve(g, &subnet->cidr.v[i], 2);
    }
    if (vpc && hg_vpc_primary(vpc))
        reserve(g, hg_vpc_primary(vpc), 2);
}

static uint32_t
acl_of(const struct nacl *self, const struct hg_subnet *subnet)
{
    size_t i;

    for (i = 0; i < self->n_associations; i++)
        if (!strcmp(self->associations[i].subnet, subnet->id))
            return self->associations[i].acl;
    return subnet->nacl ? hg_acl_set_find(&self->set, subnet->nacl)
                        : self->default_acl;
}

/* The last of what is reserved is the VPC's resolver; all else is inside. */
static void
fill_guard(const struct nacl *self, const struct hg_subnet *subnet,
           struct guard *g)
{
    unsigned six;

    *g = (struct guard){.subnet = subnet, .acl = acl_of(self, subnet)};
    reserve_all(g, subnet);
    if (g->acl == HG_ACL_NONE || self->cidr.n || !g->n_reserved)
        return;
    for (six = 0; six < 2; six++) {
        struct far *far = &g->far[six];

        far->inside = HG_RULE_COVER_NONE;
        hg_rule_cover_add_list(&far->inside, &subnet->cidr, six ? 6 : 4);
        far->resolver = (struct hg_rule_cover){
            g->reserved[g->n_reserved - 1].at[HG_RULE_SRC], UINT32_MAX};
    }
}

/* Without an inventory, what has no interface is of the default ACL; with one
 * its subnet may be found by its address. */
static void
fill_nobody(struct nacl *self)
{
    struct guard *g = &self->nobody;
    unsigned six;

    *g = (struct guard){.acl = self->default_acl};
    for (six = 0; six < 2 && !self->inventory; six++) {
        struct far *far = &g->far[six];

        far->inside = far->resolver = HG_RULE_COVER_NONE;
        hg_rule_cover_add_list(&far->inside, &self->cidr, six ? 6 : 4);
    }
}

/* Whether the address that a key has from word 'at' on is reserved. */
static bool
is_reserved(const struct guard *g, const struct hg_rule_key *key, unsigned at)
{
    unsigned i;

    for (i = 0; i < g->n_reserved; i++)
        if (g->reserved[i].at[at] == key->at[at] &&
            g->reserved[i].family == key->family &&
            !memcmp(&g->reserved[i].at[at], &key->at[at],
                    4 * sizeof key->at[at]))
            return true;
    return false;
}

static void
forget_guards(struct nacl *self)
{
    if (self->n_guards)
        memset(self->guards, 0, self->n_guards * sizeof *self->guards);
}

/* Packets may carry a record of before the last change, which is not the one
 * that counts. */
__attribute__((noinline)) static void
make_guard(struct nacl *self, const struct hg_subnet *subnet)
{
    const struct hg_subnet *now =
        self->inventory ? hg_inventory_subnet(self->inventory, subnet->id)
                        : NULL;

    while (subnet->number >= self->n_guards) {
        self->guards =
            grow(self->guards, self->n_guards, sizeof *self->guards);
        self->n_guards++;
    }
    fill_guard(self, now ? now : subnet, &self->guards[subnet->number]);
}

static inline const struct guard *
guard_of(struct nacl *self, const struct hg_subnet *subnet)
{
    if (subnet->number >= self->n_guards ||
        !self->guards[subnet->number].subnet)
        make_guard(self, subnet);
    return &self->guards[subnet->number];
}

static const struct hg_subnet *
subnet_of_address(const struct nacl *self, const struct hg_packet *p,
                  bool source)
{
    struct hg_addr addr = source ? hg_packet_src(p) : hg_packet_dst(p);

    return hg_inventory_subnet_of(self->inventory, p->vpc, &addr);
}

/* The subnet of the packet's source or destination. */
static inline const struct hg_subnet *
subnet_of(const struct nacl *self, const struct hg_packet *p, bool source)
{
    const struct hg_eni *eni = source ? p->src_eni : p->dst_eni;

    if (eni)
        return eni->subnet;
    return self->inventory ? subnet_of_address(self, p, source) : NULL;
}

/* Whether the address that a key has from word 'at' on is of the prefix. */
static inline bool
has_prefix(const struct hg_rule_key *key, unsigned at,
           const struct hg_prefix *prefix)
{
    const uint8_t *byte = prefix->addr.byte;
    unsigned left = prefix->len;

    if (prefix->addr.family != key->family)
        return false;
    for (; left >= 32; left -= 32, byte += 4, at++)
        if (key->at[at] != hg_load32(byte))
            return false;
    return !left || !((key->at[at] ^ hg_load32(byte)) >> (32 - left));
}

static bool
in_list(const struct hg_rule_key *key, unsigned at,
        const struct hg_prefix_list *list)
{
    size_t i;

    for (i = 0; i < list->n; i++)
        if (has_prefix(key, at, &list->v[i]))
            return true;
    return false;
}

/* Whether both addresses are in 'cidr'. */
static bool
is_inside(const struct nacl *self, const struct hg_rule_key *key)
{
    return in_list(key, HG_RULE_SRC, &self->cidr) &&
           in_list(key, HG_RULE_DST, &self->cidr);
}

/* Whether the packet, of which one end is in subnet 'own' (NULL: in none that
 * is known), stays in there.  Subnets of a VPC do not overlap, so that the
 * other end's has to be looked up only where it is in another VPC, or in
 * 'cidr' if it is nowhere. */
static bool
stays(const struct nacl *self, const struct hg_packet *p,
      const struct hg_rule_key *key, const struct hg_subnet *own,
      bool is_source)
{
    const struct hg_eni *other = is_source ? p->dst_eni : p->src_eni;
    const struct hg_subnet *its;

    if (!own)
        return is_inside(self, key);
    if (!other && !self->cidr.n && own->vpc->number == p->vpc)
        return in_list(key, is_source ? HG_RULE_DST : HG_RULE_SRC, &own->cidr);
    its = subnet_of(self, p, !is_source);
    return its ? its->number == own->number : is_inside(self, key);
}

#endif
