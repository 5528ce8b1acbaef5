/* security_group_track.h: where a SecurityGroup's tracked connections are: in
 * the core's flow service (security_group_service.h) or in a table of their
 * own (security_group_compact.h), as the option 'table' and the packet say; a
 * part of security_group.c. */
#ifndef SECURITY_GROUP_TRACK_H
#define SECURITY_GROUP_TRACK_H 1

#include "security_group_compact.h"
#include "security_group_service.h"

/* Lets a packet of a tracked connection move it on; false if it is of none. */
static inline bool
follow(struct security_group *self, struct hg_packet *p,
       const struct hg_track_key *key)
{
    return key ? compact_follow(self, p, key) : service_follow(self, p);
}

/* Takes out all that ran out. */
static void
expire_all(struct security_group *self, uint64_t now_ns)
{
    self->expired_ns = now_ns;
    hg_flow_foreach(self, now_ns, expire_one, self);
    if (self->compact) {
        hg_track_clock(self->compact->table, now_ns);
        hg_track_expire(self->compact->table);
    }
    settle_lapsed(self);
}

static bool
within_allowance(struct security_group *self, struct passage *g)
{
    uint64_t now = g->p->time_ns;

    if (!self->max_per_eni || g->entry->n_tracked < self->max_per_eni)
        return true;
    if (self->expired_ns + HG_SEC > now)
        return false;
    expire_all(self, now);
    return g->entry->n_tracked < self->max_per_eni;
}

static int
track(struct security_group *self, struct passage *g)
{
    if (!within_allowance(self, g))
        return hg_drop(&self->conntrack_allowance_exceeded);
    if (!(g->key ? compact_track(self, g) : service_track(self, g)))
        return hg_drop(&self->table_full);
    g->entry->n_tracked++;
    self->tracked.n++;
    hg_count(&self->opened);
    return (int)g->direction;
}

/* Whether an ICMP error quotes a packet of a tracked connection of this
 * interface, sent in the direction from which the error comes back. */
static bool
is_related(struct security_group *self, const struct passage *g)
{
    bool sent = g->direction == INGRESS;
    struct hg_flow_key q;

    if (!hg_flow_key_quoted(g->p, &q))
        return false;
    if (self->compact && q.src.family == 4 && compact_has(self, g, &q, sent))
        return true;
    return service_has(self, g, &q, sent);
}

/* ---- Batches ---------------------------------------------------------- */

/* Looks up at most LOOKUP_MAX packets; key[i] becomes that of packet i, NULL
 * if it is in the flow service. */
static void
compact_prepare(struct security_group *self, struct hg_packet **p, unsigned n,
                const struct hg_track_key **key)
{
    struct compact *c = self->compact;
    struct hg_track_key *next = c->key;
    struct hg_batch others;
    unsigned i;

    others.n = 0;
    for (i = 0; i < n; i++) {
        bool fits = compact_key(self, p[i], next);

        key[i] = fits ? next++ : NULL;
        if (!fits)
            others.p[others.n++] = p[i];
    }
    hg_track_prepare(c->table, c->key, (unsigned)(next - c->key));
    if (others.n)
        hg_flow_find_batch(self, &others);
}

#endif
