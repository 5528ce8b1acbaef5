/* owner.c: headgate/owner.h. */
#include <headgate/flow.h>
#include <headgate/fragment_table.h>
#include <headgate/owner.h>

#include <stdlib.h>

#include "graph_internal.h"

/* ---- External addresses ----------------------------------------------- */

/* An array in which an address stands at its hash or behind; 0.0.0.0 is
 * nobody's.  It is nearly empty as a rule, so that nearly always one look,
 * foretold by the processor, says that an address is none of them. */
enum { SLOTS_MIN = 1024, SLOTS_EACH = 4 };

static inline uint32_t
slot_of(const struct externals *x, uint32_t ip)
{
    return (uint32_t)((ip * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & x->mask;
}

static inline bool
is_external(const struct externals *x, uint32_t ip)
{
    uint32_t at = slot_of(x, ip);

    for (; x->slot[at]; at = (at + 1) & x->mask)
        if (x->slot[at] == ip)
            return true;
    return false;
}

static void
put_external(struct externals *x, uint32_t ip)
{
    uint32_t at = slot_of(x, ip);

    while (x->slot[at])
        at = (at + 1) & x->mask;
    x->slot[at] = ip;
}

static void
grow_externals(struct externals *x)
{
    struct externals old = *x;
    uint32_t size = old.slot ? 2 * (old.mask + 1) : SLOTS_MIN, i;

    x->slot = xcalloc(size, sizeof *x->slot);
    x->mask = size - 1;
    for (i = 0; old.slot && i <= old.mask; i++)
        if (old.slot[i])
            put_external(x, old.slot[i]);
    free(old.slot);
}

void
hg_external_address(void *self, uint32_t ip)
{
    struct externals *x = &hg_element_of(self)->graph->externals;

    if (!ip || (x->n && is_external(x, ip)))
        return;
    x->n++;
    if (!x->slot || x->n * SLOTS_EACH > x->mask + 1)
        grow_externals(x);
    put_external(x, ip);
}

/* ---- By addresses ----------------------------------------------------- */
/* The same whichever of both is first. */

static inline unsigned
owner_of_ip4(uint32_t a, uint32_t b, unsigned n)
{
    return hg_owner_of((a + UINT64_C(1)) * (b + UINT64_C(1)), n);
}

static unsigned
owner_of_key(const struct hg_flow_key *key, unsigned n)
{
    uint64_t a[2], b[2];

    if (key->src.family == 4)
        return owner_of_ip4(hg_addr_ip4(&key->src), hg_addr_ip4(&key->dst), n);
    memcpy(a, key->src.byte, sizeof a);
    memcpy(b, key->dst.byte, sizeof b);
    return hg_owner_of((a[0] + 1) * (b[0] + 1) + (a[1] + 1) * (b[1] + 1), n);
}

unsigned
hg_flow_owner(void *self, struct hg_packet *p, unsigned port, unsigned n)
{
    const struct hg_ipv4 *ip = hg_packet_ipv4(p);
    struct hg_flow_key key;

    (void)self;
    (void)port;
    if (ip && p->protocol != HG_PROTO_ICMP)
        return owner_of_ip4(hg_get32(ip->src), hg_get32(ip->dst), n);
    if (!hg_flow_key_quoted(p, &key) && !hg_flow_key_of(p, &key))
        return 0;
    return owner_of_key(&key, n);
}

/* ---- By ports --------------------------------------------------------- */

/* What a flow's packet shows of it, whichever direction it has. */
struct shown {
    uint32_t src;
    uint32_t dst;
    uint16_t sport;
    uint16_t dport;
    bool has_ports; /* ICMP: its identifier, or 0, as both. */
    bool is_icmp;
};

/* Whether ports say who owns the flow, and who that is. */
static bool
ports_say(const struct externals *x, const struct shown *s, unsigned n,
          unsigned *worker)
{
    bool from = is_external(x, s->src), to = is_external(x, s->dst);
    unsigned groups = 0;

    if (!s->has_ports || (!from && !to))
        return false;
    if (from || s->is_icmp)
        groups += s->sport / 4u;
    if (to && !s->is_icmp)
        groups += s->dport / 4u;
    *worker = groups % n;
    return true;
}

/* ICMP over IPv4, most of all errors. */
static unsigned
owner_of_icmp(const struct externals *x, struct hg_packet *p, unsigned n)
{
    struct hg_flow_key key;
    struct shown s;
    unsigned worker;

    if (!hg_flow_key_quoted(p, &key) && !hg_flow_key_of(p, &key))
        return 0;
    s.src = hg_addr_ip4(&key.src);
    s.dst = hg_addr_ip4(&key.dst);
    s.sport = key.sport;
    s.dport = key.dport;
    s.is_icmp = key.protocol == HG_PROTO_ICMP;
    s.has_ports = s.is_icmp || key.protocol == HG_PROTO_TCP ||
                  key.protocol == HG_PROTO_UDP;
    return ports_say(x, &s, n, &worker) ? worker : owner_of_key(&key, n);
}

/* No ICMP; one address may be external. */
__attribute__((noinline)) static unsigned
owner_of_ports(const struct externals *x, const struct hg_packet *p,
               uint32_t src, uint32_t dst, unsigned n)
{
    const struct shown s = {.src = src,
                            .dst = dst,
                            .sport = hg_packet_sport(p),
                            .dport = hg_packet_dport(p),
                            .has_ports = hg_packet_has_ports(p)};
    unsigned worker;

    return ports_say(x, &s, n, &worker) ? worker : owner_of_ip4(src, dst, n);
}

static inline unsigned
owner_of_packet(const struct externals *x, struct hg_packet *p, unsigned n)
{
    const struct hg_ipv4 *ip = hg_packet_ipv4(p);
    uint32_t src, dst;

    if (!x->n || !ip)
        return hg_flow_owner(NULL, p, 0, n);
    if (p->protocol == HG_PROTO_ICMP)
        return owner_of_icmp(x, p, n);
    src = hg_get32(ip->src);
    dst = hg_get32(ip->dst);
    if (x->slot[slot_of(x, src)] | x->slot[slot_of(x, dst)])
        return owner_of_ports(x, p, src, dst, n);
    return owner_of_ip4(src, dst, n);
}

/* Whether the addresses of a frame are to be taken at a glance: IPv4 without
 * options, not ICMP. */
static inline bool
is_plain(const struct hg_frame *f)
{
    enum { TYPE_VERSION_IHL = HG_ETH_IP4 << 8 | 0x45 };
    const struct hg_eth *eth = (const struct hg_eth *)f->data;
    const struct hg_ipv4 *ip = (const struct hg_ipv4 *)(eth + 1);

    return f->len >= sizeof *eth + sizeof *ip &&
           hg_load32(&eth->type) >> 8 == TYPE_VERSION_IHL &&
           ip->protocol != HG_PROTO_ICMP;
}

uint64_t
owner_glance(const struct hg_graph *g, const struct hg_frame *frame,
             unsigned n_frames, unsigned n, unsigned mine, uint64_t *unsaid)
{
    static uint32_t nobody = 0;
    const struct externals none = {.slot = &nobody};
    const struct externals x = g->externals.n ? g->externals : none;
    uint64_t own = 0, left = 0;
    unsigned i;

    for (i = 0; i < n_frames; i++) {
        const struct hg_eth *eth = (const struct hg_eth *)frame[i].data;
        const struct hg_ipv4 *ip = (const struct hg_ipv4 *)(eth + 1);
        uint64_t src_dst, is_mine;
        uint32_t src, dst;

        if (!is_plain(&frame[i])) {
            left |= UINT64_C(1) << i;
            continue;
        }
        src_dst = hg_load64(&ip->src);
        src = (uint32_t)(src_dst >> 32);
        dst = (uint32_t)src_dst;
        if (x.slot[slot_of(&x, src)] | x.slot[slot_of(&x, dst)])
            left |= UINT64_C(1) << i;
        is_mine = owner_of_ip4(src, dst, n) == mine;
        own |= is_mine << i;
    }
    *unsaid = left;
    return own & ~left;
}

/* ---- Fragments -------------------------------------------------------- */

/* A first fragment is dealt as any packet, and remembered if its addresses do
 * not say as much; a later one goes where the first went.  Time plays no
 * part: a newer datagram takes the place of an older one. */
static unsigned
owner_of_fragment(const struct externals *x, struct hg_packet *p, unsigned n,
                  struct hg_fragment_table *firsts)
{
    const struct hg_ipv4 *ip = hg_packet_ipv4(p);
    struct hg_fragment_key key = {.src = hg_get32(ip->src),
                                  .dst = hg_get32(ip->dst),
                                  .id = hg_get16(ip->id),
                                  .protocol = ip->protocol};
    struct hg_fragment *f = hg_fragment_find(firsts, &key, 0);
    struct hg_packet *waited = NULL; /* Nobody waits here. */
    unsigned by_addresses = owner_of_ip4(key.src, key.dst, n), worker;

    if (p->flags & HG_PACKET_FRAGMENT_LATER)
        return f ? f->worker : by_addresses;
    worker = owner_of_packet(x, p, n);
    if (!f && worker != by_addresses)
        f = hg_fragment_add(firsts, &key, 0, &waited);
    if (f)
        f->worker = (uint16_t)worker;
    return worker;
}

unsigned
owner_deal(const struct hg_graph *g, struct hg_packet *p, unsigned n,
           struct hg_fragment_table *firsts)
{
    const uint32_t mask = HG_PACKET_IP4 | HG_PACKET_FRAGMENT;

    if ((p->flags & mask) == mask && firsts)
        return owner_of_fragment(&g->externals, p, n, firsts);
    return owner_of_packet(&g->externals, p, n);
}

/* ---- Ports of a worker ------------------------------------------------ */

unsigned
hg_port_part(const void *self, uint32_t remote, uint16_t remote_port)
{
    const struct hg_graph *g = element_of(self)->graph;

    if (g->n_workers == 1)
        return 0;
    if (!remote_port || !g->externals.n || !is_external(&g->externals, remote))
        return g->worker;
    return (g->worker + g->n_workers - remote_port / 4u % g->n_workers) %
           g->n_workers;
}

struct hg_port_parts
hg_port_parts(struct hg_port_range range, unsigned workers)
{
    struct hg_port_parts parts = {.low = range.low,
                                  .n = 1u + range.high - range.low,
                                  .workers = workers};
    uint32_t low = (range.low + 3u) / 4, end = (range.high + 1u) / 4;

    if (workers < 2) {
        parts.workers = 1;
        return parts;
    }
    parts.low = low * 4;
    parts.n = end > low ? (end - low) / workers * 4 : 0;
    parts.first = low % workers;
    return parts;
}
