/* nacl_choose.h: by which list of a NACL a packet is judged, or what becomes
 * of it without one; a part of nacl.c. */
#ifndef NACL_CHOOSE_H
#define NACL_CHOOSE_H 1

#include "nacl_subnet.h"

/* ---- One packet ------------------------------------------------------- */

/* 'metadata' is where the packet has the number. */
static inline void
note_rule(struct hg_packet *p, int metadata, uint16_t number)
{
    memcpy(p->meta + metadata, &number, sizeof number);
}

static int
deny(struct nacl *self, struct hg_packet *p)
{
    bool inbound = p->in_port == HG_ACL_INBOUND;

    hg_count(inbound ? &self->denied_inbound : &self->denied_outbound);
    p->meta[self->denied_side] =
        inbound ? HG_DENIED_INGRESS : HG_DENIED_EGRESS;
    return hg_is_wired(self, OUT_DENY) ? OUT_DENY : hg_drop(&self->denied);
}

static int
pass_by(const struct hg_packet *p, hg_counter *why)
{
    hg_count(why);
    return p->in_port;
}

#define NO_LIST UINT32_MAX

static uint32_t
decided(int16_t *verdict, int value)
{
    *verdict = (int16_t)value;
    return NO_LIST;
}

/* Which list the packet is judged by: twice the ACL's number, plus the
 * direction; or NO_LIST, and the verdict. */
static uint32_t
choose(struct nacl *self, struct hg_packet *p, const struct hg_rule_key *key,
       int16_t *verdict)
{
    bool inbound = p->in_port == HG_ACL_INBOUND;
    uint32_t acl = self->default_acl;
    const struct hg_subnet *own = subnet_of(self, p, !inbound);
    const struct guard *g = own ? guard_of(self, own) : NULL;

    if (stays(self, p, key, g ? g->subnet : NULL, !inbound))
        return decided(verdict, pass_by(p, &self->same_subnet));
    if (g) {
        if (is_reserved(g, key, inbound ? HG_RULE_SRC : HG_RULE_DST))
            return decided(verdict, pass_by(p, &self->not_filtered));
        acl = g->acl;
    }
    if (acl == HG_ACL_NONE)
        return decided(verdict, hg_drop(&self->unknown_acl));
    if (p->flags & HG_PACKET_FRAGMENT_LATER &&
        self->fragments != FRAGMENTS_RULES)
        return decided(verdict, self->fragments == FRAGMENTS_ALLOW
                                    ? pass_by(p, &self->allowed)
                                    : deny(self, p));
    if (hg_acl_set_exempts(&self->set, key))
        return decided(verdict, pass_by(p, &self->not_filtered));
    return 2 * acl + p->in_port;
}

/* ---- Packets that are alike ------------------------------------------- */

/* What has to be asked about a packet besides its list's rules. */
enum { CHOOSE = 1, EXEMPT = 2 };

static inline const struct hg_subnet *
own_subnet(const struct hg_packet *p, enum hg_acl_direction direction)
{
    const struct hg_eni *eni =
        direction == HG_ACL_INBOUND ? p->dst_eni : p->src_eni;

    return eni ? eni->subnet : NULL;
}

/* The guard of packets of this direction and one subnet; NULL if they are
 * not.  Not 0 becomes ask[i] if more than keys say something about packet
 * i. */
static inline __attribute__((always_inline)) const struct guard *
common_guard(struct nacl *self, enum hg_acl_direction direction,
             struct hg_packet *const *p, unsigned n, const uint8_t *which,
             uint32_t *ask)
{
    const struct hg_subnet *own = own_subnet(p[which[0]], direction);
    const struct guard *g = own ? guard_of(self, own) : &self->nobody;
    const uint32_t number = own ? own->number : 0;
    const uint32_t later =
        self->fragments == FRAGMENTS_RULES ? 0 : HG_PACKET_FRAGMENT_LATER;
    unsigned k;

    for (k = 0; k < n; k++) {
        const struct hg_packet *q = p[which[k]];
        const struct hg_eni *other =
            direction == HG_ACL_INBOUND ? q->src_eni : q->dst_eni;

        if (q->in_port != direction || own_subnet(q, direction) != own)
            return NULL;
        ask[which[k]] =
            (q->flags & later) | (other && other->subnet->number == number);
    }
    return g;
}

/* The same of packets of several subnets, each of which its own guard is asked
 * about: also which list it is judged by.  False if they are not of this
 * direction.  'address' is the first word of the other end. */
static inline __attribute__((always_inline)) bool
ask_each(struct nacl *self, enum hg_acl_direction direction, bool six,
         struct hg_packet *const *p, const uint32_t *address, unsigned n,
         const uint8_t *which, uint32_t *ask, uint32_t *list)
{
    const uint32_t later =
        self->fragments == FRAGMENTS_RULES ? 0 : HG_PACKET_FRAGMENT_LATER;
    unsigned k;

    for (k = 0; k < n; k++) {
        const unsigned i = which[k];
        const struct hg_packet *q = p[i];
        const struct hg_subnet *own = own_subnet(q, direction);
        const struct guard *g = own ? guard_of(self, own) : &self->nobody;
        const struct hg_eni *other =
            direction == HG_ACL_INBOUND ? q->src_eni : q->dst_eni;
        bool stays = own && other && other->subnet->number == own->number;

        if (q->in_port != direction)
            return false;
        ask[i] = (q->flags & later) | stays |
                 hg_rule_cover_has(&g->far[six].inside, address[i]) |
                 hg_rule_cover_has(&g->far[six].resolver, address[i]);
        list[i] = 2 * g->acl + direction;
    }
    return true;
}

/* What to ask about packets of a family; whether there is anything. */
static inline bool
look(const struct far *far_, const struct hg_acl_exempt *exempt_,
     const uint32_t *address, const struct hg_rule_keys *keys, uint32_t *ask)
{
    const struct far far = *far_;
    const struct hg_acl_exempt exempt = *exempt_;
    const uint32_t *src = keys->at[HG_RULE_SRC];
    const uint32_t *dst = keys->at[HG_RULE_DST];
    const uint32_t *sport = keys->at[HG_RULE_SPORT];
    uint32_t any = 0;
    unsigned i;

    for (i = 0; i < HG_RULE_KEYS; i++) {
        uint32_t choose = (ask[i] != 0) |
                          hg_rule_cover_has(&far.inside, address[i]) |
                          hg_rule_cover_has(&far.resolver, address[i]);

        ask[i] =
            choose * CHOOSE |
            hg_acl_looks_exempt(&exempt, src[i], dst[i], sport[i]) * EXEMPT;
        any |= ask[i];
    }
    return any;
}

/* Decides about those packets that are exempt, and returns how many are left
 * to be judged by their lists. */
static unsigned
choose_some(struct nacl *self, struct hg_packet *const *p,
            const struct hg_rule_keys *keys, unsigned n, const uint8_t *which,
            const uint32_t *ask, uint32_t *list, uint8_t *left,
            int16_t *verdict)
{
    const size_t n_rules = hg_rules_count(self->set.exempt_table);
    uint32_t exempt[HG_RULE_KEYS];
    uint8_t perhaps[HG_RULE_KEYS];
    unsigned n_perhaps = 0, n_left = 0, k;

    for (k = 0; k < n; k++) {
        perhaps[n_perhaps] = which[k];
        n_perhaps += ask[which[k]] == EXEMPT;
    }
    hg_rules_first_batch(self->set.exempt_table, keys, n_perhaps, perhaps,
                         exempt);
    for (k = 0; k < n; k++) {
        unsigned i = which[k];

        if (ask[i] & CHOOSE) {
            struct hg_rule_key key = hg_rule_keys_get(keys, i);

            list[i] = choose(self, p[i], &key, &verdict[i]);
        } else if (ask[i] && exempt[i] < n_rules) {
            list[i] = decided(&verdict[i], pass_by(p[i], &self->not_filtered));
        }
        if (list[i] == NO_LIST)
            note_rule(p[i], self->metadata, 0);
        left[n_left] = (uint8_t)i;
        n_left += list[i] != NO_LIST;
    }
    return n_left;
}

#endif
