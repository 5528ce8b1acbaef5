/* MappingLookup: where in the VPC a destination lives: (VPC, address) -> ENI,
 * with its host and MAC.
 *
 * Does for instances what the host below them does: finds the receiver's ENI,
 * answers ARP and neighbour discovery itself, and keeps broadcast, multicast
 * and reserved addresses from travelling.  Stands behind RouteTable (or right
 * behind Identify) and in front of Encap, which sends to dst_eni's host.
 *
 * Theory of operation.  Both models of the public record are here.  "drop":
 * the table is pushed to the host in advance, every lookup goes to it
 * directly, a batch at a time, and a miss is a drop.  "query": the host asks;
 * a cache (mapping_cache.h) is in front, and packets wait for the answer,
 * which a timer brings after 'query-delay'.  All answers take equally long,
 * so that questions under way form a queue with one timer.  The service says
 * which mappings change: an entry is compared with the inventory when that
 * has a new generation, and asked for anew if it is no longer right. */
#include <headgate/flow.h>
#include <headgate/inventory.h>

#include "mapping_cache.h"
#include "mapping_reply.h"

struct mapping_lookup {
    struct hg_element *mapping;
    uint8_t on_miss; /* MISS_DROP or MISS_QUERY. */
    bool rewrite_mac;
    struct hg_mac router_mac;
    uint32_t cache_size;
    struct hg_duration ttl;
    struct hg_duration negative_ttl;
    struct hg_duration query_delay;
    uint32_t park_length;
    struct hg_duration park_timeout;

    hg_counter hits;
    hg_counter misses;
    hg_counter stale;
    hg_counter negative_hits;
    hg_counter invalidated;
    hg_counter parked;
    hg_counter answered;
    hg_gauge waiting;
    hg_counter no_mapping;
    hg_counter reserved_address;
    hg_counter multicast;
    hg_counter not_ip;
    hg_counter unanswered;
    hg_counter park_full;
    hg_counter park_expired;

    const struct hg_inventory *inventory;
    bool remembers;      /* Flows remember their ENIs, ... */
    uint64_t generation; /* ... those of this one of the inventory. */
    struct mapping_cache cache;
    struct cache_entry *asked; /* In order of answers. */
    struct cache_entry *asked_last;
    struct hg_timer timer;
};

enum { OUT, REPLY, SERVICE };
enum { MISS_DROP, MISS_QUERY };

enum { LOOK_UP = INT16_MAX }; /* A verdict that is still open. */

/* ---- Kinds of addresses ----------------------------------------------- */

static bool
is_multicast4(uint32_t ip)
{
    return ip >> 28 == 0xe || ip == UINT32_MAX;
}

static bool
is_multicast6(const uint8_t *byte)
{
    return byte[0] == 0xff;
}

/* 169.254.0.0/16, which never leaves the host. */
static bool
is_link_local4(uint32_t ip)
{
    return ip >> 16 == 0xa9fe;
}

/* fd00:ec2::/32, which is as that, and fe80::/10. */
static bool
is_link_local6(const uint8_t *b)
{
    return (b[0] == 0xfd && b[1] == 0 && b[2] == 0x0e && b[3] == 0xc2) ||
           (b[0] == 0xfe && (b[1] & 0xc0) == 0x80);
}

/* The resolver at the base of the VPC's primary CIDR plus two. */
static bool
is_vpc_resolver(const struct hg_inventory *inventory, uint32_t number,
                const struct hg_addr *addr)
{
    const struct hg_vpc *vpc = hg_inventory_vpc_by_number(inventory, number);
    const struct hg_prefix *primary = vpc ? hg_vpc_primary(vpc) : NULL;

    return primary && addr->family == 4 && primary->addr.family == 4 &&
           hg_addr_ip4(addr) == hg_addr_ip4(&primary->addr) + 2;
}

/* What becomes of a packet to an address that no ENI can have, or LOOK_UP. */
static int
reserved_verdict(struct mapping_lookup *self, const struct hg_packet *p)
{
    const struct hg_addr dst = hg_packet_dst(p);
    const struct hg_subnet *subnet =
        hg_inventory_subnet_of(self->inventory, p->vpc, &dst);
    enum hg_reserved reserved =
        subnet ? hg_subnet_reserved(subnet, &dst) : HG_RESERVED_NOT;

    if (is_vpc_resolver(self->inventory, p->vpc, &dst))
        reserved = HG_RESERVED_RESOLVER;
    if (reserved == HG_RESERVED_NOT)
        return LOOK_UP;
    if ((reserved == HG_RESERVED_ROUTER || reserved == HG_RESERVED_RESOLVER) &&
        hg_is_wired(self, SERVICE))
        return SERVICE;
    return hg_drop(&self->reserved_address);
}

/* What becomes of a packet to a link-local address. */
static int
service_verdict(struct mapping_lookup *self)
{
    return hg_is_wired(self, SERVICE) ? SERVICE
                                      : hg_drop(&self->reserved_address);
}

/* ---- Neighbours ------------------------------------------------------- */

/* The MAC at which 'target' is to be reached by one who asks from 'source',
 * or NULL; *is_router where it is the router's. */
static const struct hg_mac *
neighbour_mac(const struct mapping_lookup *self, const struct hg_packet *p,
              const struct hg_addr *source, const struct hg_addr *target,
              bool *is_router)
{
    const struct hg_subnet *subnet =
        p->src_eni ? p->src_eni->subnet
                   : hg_inventory_subnet_of(self->inventory, p->vpc, source);
    const struct hg_subnet *other =
        hg_inventory_subnet_of(self->inventory, p->vpc, target);
    const struct hg_eni *eni;

    *is_router = true;
    if (!subnet)
        return NULL;
    if (!other || other->number != subnet->number) {
        bool link_local = target->family == 6 && target->byte[0] == 0xfe;

        return !link_local || is_router_ip6(target->byte, &self->router_mac)
                   ? &self->router_mac
                   : NULL;
    }
    switch (hg_subnet_reserved(subnet, target)) {
    case HG_RESERVED_ROUTER:
    case HG_RESERVED_RESOLVER:
        return &self->router_mac;
    case HG_RESERVED_NOT:
        break;
    default:
        return NULL;
    }
    *is_router = false;
    eni = hg_inventory_find(self->inventory, p->vpc, target);
    return eni && hg_mac_is_given(&eni->mac) && eni != p->src_eni &&
                   !hg_addr_equal(source, target)
               ? &eni->mac
               : NULL;
}

static int
arp_verdict(struct mapping_lookup *self, struct hg_packet *p)
{
    const struct hg_arp *arp = hg_packet_arp(p);
    const struct hg_addr source = hg_addr_from_ip4(hg_get32(arp->spa));
    const struct hg_addr target = hg_addr_from_ip4(hg_get32(arp->tpa));
    const struct hg_mac *mac = NULL;
    bool is_router;

    if (hg_get16(arp->op) == ARP_REQUEST && hg_addr_ip4(&source))
        mac = neighbour_mac(self, p, &source, &target, &is_router);
    if (!mac)
        return hg_drop(&self->unanswered);
    answer_arp(p, mac);
    hg_count(&self->answered);
    return REPLY;
}

static int
solicitation_verdict(struct mapping_lookup *self, struct hg_packet *p)
{
    static const uint8_t none[16];
    const struct hg_addr source = hg_packet_src(p);
    const struct hg_addr target = solicited_target(p);
    const struct hg_mac *mac = NULL;
    bool is_router;

    if (memcmp(source.byte, none, sizeof none) != 0)
        mac = neighbour_mac(self, p, &source, &target, &is_router);
    if (!mac || !answer_solicitation(p, mac, is_router))
        return hg_drop(&self->unanswered);
    hg_count(&self->answered);
    return REPLY;
}

/* ---- Looking up ------------------------------------------------------- */

static bool
has_ip4(const struct hg_prefix *prefix, uint32_t ip)
{
    return prefix->addr.family == 4 &&
           (!prefix->len ||
            !((hg_addr_ip4(&prefix->addr) ^ ip) >> (32 - prefix->len)));
}

/* Whether the source address is one of the subnet.  Not inlined, so that
 * deliver() has no registers to save for it. */
__attribute__((noinline)) static bool
is_from(const struct hg_packet *p, const struct hg_subnet *subnet)
{
    const struct hg_prefix_list *cidr = &subnet->cidr;
    const struct hg_ipv4 *ip = hg_packet_ipv4(p);
    struct hg_addr source;
    bool is_same = false;
    size_t i;

    for (i = 0; ip && i < cidr->n; i++)
        is_same |= has_ip4(&cidr->v[i], hg_get32(ip->src));
    if (ip)
        return is_same;
    source = hg_packet_src(p);
    for (i = 0; i < cidr->n; i++)
        is_same |= hg_prefix_contains(&cidr->v[i], &source);
    return is_same;
}

/* Whether the packet stays in the receiver's subnet, so that no router has
 * touched it. */
static inline bool
same_subnet(const struct hg_packet *p, const struct hg_subnet *subnet)
{
    const struct hg_subnet *own = p->src_eni ? p->src_eni->subnet : NULL;

    return own ? own->number == subnet->number : is_from(p, subnet);
}

static inline void
deliver(const struct mapping_lookup *self, struct hg_packet *p,
        const struct hg_eni *eni)
{
    struct hg_eth *eth = hg_packet_eth(p);

    p->dst_eni = eni;
    if (!self->rewrite_mac || !eth || !hg_mac_is_given(&eni->mac))
        return;
    eth->dst = eni->mac;
    if (!same_subnet(p, eni->subnet))
        eth->src = self->router_mac;
}

static int
direct_miss(struct mapping_lookup *self, struct hg_packet *p)
{
    int verdict = reserved_verdict(self, p);

    if (verdict != LOOK_UP)
        return verdict;
    hg_count(&self->misses);
    return hg_drop(&self->no_mapping);
}

/* ---- Remembering ------------------------------------------------------- */

/* What a flow remembers where there are many ENIs; few are found in less time
 * than that takes to be fetched. */
enum { MANY_ENIS = 4096 };

struct remembered {
    uint32_t eni[sizeof(struct hg_eni *) / sizeof(uint32_t)];
};

static void
remember(struct mapping_lookup *self, const struct hg_packet *p,
         const struct hg_eni *eni)
{
    struct remembered r;

    memcpy(r.eni, &eni, sizeof eni);
    hg_flow_remember(self, p, &r);
}

static void
forget_old(struct mapping_lookup *self)
{
    uint64_t generation = hg_inventory_generation(self->inventory);

    if (generation == self->generation)
        return;
    self->generation = generation;
    hg_tables_changed(self);
}

/* ---- Asking ----------------------------------------------------------- */

static void
ask(struct mapping_lookup *self, struct cache_entry *e, uint64_t now_ns)
{
    e->answered_ns = now_ns + self->query_delay.ns;
    e->next_asked = NULL;
    if (self->asked) {
        self->asked_last->next_asked = e;
    } else {
        self->asked = e;
        hg_timer_set(self, &self->timer, e->answered_ns);
    }
    self->asked_last = e;
}

static int
park(struct mapping_lookup *self, struct cache_entry *e, struct hg_packet *p)
{
    if (self->waiting.n >= self->park_length)
        return hg_drop(&self->park_full);
    hg_count(&self->parked);
    self->waiting.n++;
    cache_park(e, p);
    return HG_KEPT;
}

/* Takes notice of what changed since the answer. */
static void
invalidate(struct mapping_lookup *self, struct cache_entry *e)
{
    uint64_t generation = hg_inventory_generation(self->inventory);
    struct hg_addr addr;

    if ((e->state != CACHE_KNOWN && e->state != CACHE_REFRESHING) ||
        e->generation == generation)
        return;
    e->generation = generation;
    addr = cache_address(e);
    if (hg_inventory_find(self->inventory, e->vpc, &addr) == e->eni)
        return;
    hg_count(&self->invalidated);
    cache_forget(e);
}

static int
miss(struct mapping_lookup *self, struct hg_packet *p, struct cache_entry *e)
{
    int verdict = reserved_verdict(self, p);

    if (verdict != LOOK_UP)
        return verdict;
    hg_count(&self->misses);
    if (e->state == CACHE_FREE) {
        e->state = CACHE_ASKED;
        ask(self, e, p->time_ns);
    }
    return park(self, e, p);
}

/* With the entry that the packet got, or NULL. */
static int
cached_verdict(struct mapping_lookup *self, struct hg_packet *p,
               struct cache_entry *e)
{
    uint64_t age_ns;

    if (!e)
        return hg_drop(&self->park_full);
    e->used_ns = p->time_ns;
    invalidate(self, e);
    if (e->state == CACHE_FREE || e->state == CACHE_ASKED)
        return miss(self, p, e);
    age_ns = e->state == CACHE_KNOWN ? p->time_ns - e->answered_ns : 0;
    if (!e->eni && e->state == CACHE_KNOWN &&
        age_ns >= self->negative_ttl.ns) {
        cache_forget(e);
        return miss(self, p, e);
    }
    if (!e->eni) {
        hg_count(&self->negative_hits);
        return hg_drop(&self->no_mapping);
    }
    if (age_ns >= self->ttl.ns) {
        e->state = CACHE_REFRESHING;
        ask(self, e, p->time_ns);
    }
    if (e->state == CACHE_REFRESHING)
        hg_count(&self->stale);
    hg_count(&self->hits);
    deliver(self, p, e->eni);
    return OUT;
}

/* Ends the waiting of the packets of an entry, at the answer. */
static void
release(struct mapping_lookup *self, struct hg_packet *p,
        const struct hg_eni *eni, uint64_t now_ns)
{
    struct hg_packet *next;

    for (; p; p = next) {
        next = p->next;
        self->waiting.n--;
        if (now_ns - p->time_ns > self->park_timeout.ns) {
            hg_discard(self, &self->park_expired, p);
        } else if (!eni) {
            hg_discard(self, &self->no_mapping, p);
        } else {
            p->time_ns = now_ns;
            deliver(self, p, eni);
            hg_emit(self, OUT, p);
        }
    }
}

/* The service's answers come. */
static void
mapping_lookup_timer(void *self_, struct hg_timer *timer, uint64_t now_ns)
{
    struct mapping_lookup *self = self_;

    while (self->asked && self->asked->answered_ns <= now_ns) {
        struct cache_entry *e = self->asked;
        struct hg_packet *parked = cache_unpark(e);
        const struct hg_addr addr = cache_address(e);

        self->asked = e->next_asked;
        e->state = CACHE_KNOWN;
        e->eni = hg_inventory_find(self->inventory, e->vpc, &addr);
        e->generation = hg_inventory_generation(self->inventory);
        release(self, parked, e->eni, now_ns);
    }
    if (self->asked)
        hg_timer_set(self, timer, self->asked->answered_ns);
}

/* ---- Batches ---------------------------------------------------------- */

/* What needs no lookup, or LOOK_UP: packets that are not IPv4. */
static int
first_verdict_other(struct mapping_lookup *self, struct hg_packet *p)
{
    const struct hg_ipv6 *ip = hg_packet_ipv6(p);

    if (hg_packet_arp(p))
        return arp_verdict(self, p);
    if (!ip)
        return hg_drop(&self->not_ip);
    if (is_solicitation(p))
        return solicitation_verdict(self, p);
    if (is_multicast6(ip->dst))
        return hg_drop(&self->multicast);
    if (is_link_local6(ip->dst))
        return service_verdict(self);
    /* As ARP replies; who got it would believe it. */
    return is_discovery(p) ? hg_drop(&self->unanswered) : LOOK_UP;
}

static inline int
first_verdict(struct mapping_lookup *self, struct hg_packet *p)
{
    const struct hg_ipv4 *ip = hg_packet_ipv4(p);

    if (!ip)
        return first_verdict_other(self, p);
    if (is_multicast4(hg_get32(ip->dst)))
        return hg_drop(&self->multicast);
    return is_link_local4(hg_get32(ip->dst)) ? service_verdict(self) : LOOK_UP;
}

/* Finds the ENIs that flows remember; returns how many. */
static unsigned
recall_batch(struct mapping_lookup *self, const struct hg_batch *batch,
             const struct hg_eni **eni)
{
    const void *verdict[HG_BATCH_MAX];
    unsigned i, n;

    forget_old(self);
    n = hg_flow_verdicts(self, batch->p, batch->n, verdict);
    for (i = 0; i < batch->n; i++) {
        eni[i] = NULL;
        if (verdict[i])
            memcpy(&eni[i], verdict[i], sizeof eni[i]);
    }
    for (i = 0; n && i < batch->n; i++)
        __builtin_prefetch(eni[i]);
    return n;
}

/* Finds those that are NULL, and lets flows remember them. */
static void
find_others(struct mapping_lookup *self, const struct hg_batch *batch,
            const struct hg_eni **eni)
{
    struct hg_packet *p[HG_BATCH_MAX];
    const struct hg_eni *found[HG_BATCH_MAX];
    uint16_t at[HG_BATCH_MAX];
    unsigned i, n = 0;

    for (i = 0; i < batch->n; i++) {
        p[n] = batch->p[i];
        at[n] = (uint16_t)i;
        n += !eni[i];
    }
    hg_inventory_find_dst(self->inventory, n, p, found);
    for (i = 0; i < n; i++) {
        eni[at[i]] = found[i];
        if (found[i])
            remember(self, p[i], found[i]);
    }
}

static void
find_enis(struct mapping_lookup *self, const struct hg_batch *batch,
          const struct hg_eni **eni)
{
    if (self->remembers && hg_batch_has_flows(batch)) {
        if (recall_batch(self, batch, eni) < batch->n)
            find_others(self, batch, eni);
    } else {
        hg_inventory_find_dst(self->inventory, batch->n, batch->p, eni);
    }
}

/* ENIs are looked up for all packets, as if there were none but those that
 * need it, so that it is under way while the rest is decided. */
static void
direct_verdicts(struct mapping_lookup *self, const struct hg_batch *batch,
                int16_t *verdict)
{
    const struct hg_eni *eni[HG_BATCH_MAX];
    unsigned i, n_hits = 0;

    find_enis(self, batch, eni);
    for (i = 0; i < batch->n; i++) {
        struct hg_packet *p = batch->p[i];
        int v = first_verdict(self, p);

        if (v == LOOK_UP && eni[i]) {
            deliver(self, p, eni[i]);
            n_hits++;
            v = OUT;
        } else if (v == LOOK_UP) {
            v = direct_miss(self, p);
        }
        verdict[i] = (int16_t)v;
    }
    self->hits.n += n_hits;
}

/* Each loop fetches what the next one reads.  What was found to be fetched may
 * be another's by then, since packets before may have taken its place. */
static void
cached_verdicts(struct mapping_lookup *self, const struct hg_batch *batch,
                int16_t *verdict)
{
    struct cache_place place[HG_BATCH_MAX];
    struct cache_entry *found[HG_BATCH_MAX];
    const struct hg_eni *eni[HG_BATCH_MAX];
    struct hg_packet *p[HG_BATCH_MAX];
    uint16_t at[HG_BATCH_MAX];
    unsigned i, n = 0;

    for (i = 0; i < batch->n; i++) {
        verdict[i] = (int16_t)first_verdict(self, batch->p[i]);
        p[n] = batch->p[i];
        at[n] = (uint16_t)i;
        n += verdict[i] == LOOK_UP;
    }
    for (i = 0; i < n; i++)
        place[i] = cache_place(&self->cache, cache_key_of(p[i]));
    for (i = 0; i < n; i++)
        __builtin_prefetch(place[i].set);
    for (i = 0; i < n; i++)
        found[i] = cache_guess(&self->cache, place[i]);
    for (i = 0; i < n; i++)
        __builtin_prefetch(found[i], 1);
    for (i = 0; i < n; i++) {
        found[i] = cache_find(&self->cache, place[i], cache_key_of(p[i]));
        eni[i] = found[i] ? found[i]->eni : NULL;
    }
    for (i = 0; i < n; i++)
        __builtin_prefetch(eni[i]);
    for (i = 0; i < n; i++) {
        struct cache_entry *e = found[i];

        if (!e || !cache_is(e, cache_key_of(p[i])))
            e = cache_get(&self->cache, place[i], cache_key_of(p[i]));
        verdict[at[i]] = (int16_t)cached_verdict(self, p[i], e);
    }
}

static void
mapping_lookup_batch(struct mapping_lookup *self, struct hg_batch *batch)
{
    int16_t verdict[HG_BATCH_MAX];

    (self->on_miss == MISS_DROP ? direct_verdicts
                                : cached_verdicts)(self, batch, verdict);
    hg_route(self, batch, verdict);
}

/* ---- Life ------------------------------------------------------------- */

static bool
mapping_lookup_configure(void *self_)
{
    struct mapping_lookup *self = self_;

    const struct hg_inventory *inventory =
        hg_service(self, self->mapping, "inventory");

    self->remembers = self->on_miss == MISS_DROP && inventory &&
                      hg_inventory_n_enis(inventory) >= MANY_ENIS;
    if (self->remembers) {
        hg_flow_declare_verdict(self, sizeof(struct remembered), false);
        hg_flow_verdict_leads_to(self, NULL, 0);
    }
    if (self->on_miss != MISS_DROP) /* The cache is for everybody. */
        hg_one_worker(self);
    if (self->on_miss == MISS_QUERY)
        hg_promise_delay(self, self->query_delay.ns);
    return true;
}

static bool
mapping_lookup_start(void *self_, struct hg_error *error)
{
    struct mapping_lookup *self = self_;

    hg_timer_init(self, &self->timer, mapping_lookup_timer);
    self->inventory = hg_service(self, self->mapping, "inventory");
    if (!self->inventory)
        return hg_error_set(error, "there is no MappingService, or more than "
                                   "one; say which with 'mapping'");
    return self->on_miss == MISS_DROP ||
           cache_init(&self->cache, self->cache_size, hg_seed(self)) ||
           hg_error_set(error, "no memory for %u entries; lower cache-size",
                        self->cache_size);
}

/* Packets that still wait when the run ends stay in its account as held. */
static void
mapping_lookup_free(void *self_)
{
    struct mapping_lookup *self = self_;
    struct hg_packet *p, *next;

    for (; self->asked; self->asked = self->asked->next_asked)
        for (p = cache_unpark(self->asked); p; p = next) {
            next = p->next;
            hg_packet_free(p);
        }
    cache_uninit(&self->cache);
}

/* clang-format off */
HG_BATCH_ELEMENT(MappingLookup, struct mapping_lookup, mapping_lookup_batch,
    .summary = "finds the ENI, and so the host, of a packet's destination",
    .doc =
        "Looks (VPC, destination address) up in the mapping service and\n"
        "notes the ENI for what follows, such as Encap.  The frame is\n"
        "addressed to the ENI's MAC, as coming from the VPC router if it\n"
        "changes subnets.\n"
        "\n"
        "on-miss = drop is a table that the service keeps complete: what is\n"
        "not there is dropped.  on-miss = query asks the service and keeps\n"
        "the packet until the answer comes, 'query-delay' later.  Answers\n"
        "are cached; one older than 'ttl' still serves while a new one is\n"
        "asked for, one that the service has changed does not.  That there\n"
        "is no such ENI is remembered for 'negative-ttl'.\n"
        "\n"
        "Behind an element that keeps flows, these remember their ENIs if\n"
        "the graph begins with 4,096 or more, until a mapping changes\n"
        "(on-miss = drop).\n"
        "\n"
        "ARP requests and neighbour solicitations end here: 'reply' answers\n"
        "with the MAC of the ENI in the sender's own subnet, the router's\n"
        "for the router, the resolver and everything beyond, and is silent\n"
        "about addresses that nobody has.  Other messages of ARP and ND are\n"
        "dropped.  Broadcast and multicast are\n"
        "dropped.  Packets to the VPC router (subnet base + 1), a resolver\n"
        "(base + 2 of subnet or VPC, 169.254.169.253, fd00:ec2::253) and\n"
        "other link-local services leave on 'service', if wired.",
    .reproduces =
        "(VPC, address) to host, MAC and ENI; proxy ARP and neighbour "
        "discovery for the addresses of a VPC and its router; the "
        "reserved addresses",
    .leaves_out =
        "DHCP and the resolver themselves, whose packets leave on "
        "'service'",
    .lets_choose =
        "what a miss does: a complete table that drops, or asking with "
        "packets parked (public statements differ by year); how long "
        "answers, and that there is none, are remembered",
    .example =
        "MappingService map {\n"
        "    vpc vpc-1 { vni = 1  cidr = 10.0.0.0/16 }\n"
        "    subnet subnet-a { vpc = vpc-1  cidr = 10.0.1.0/24 }\n"
        "    eni eni-1 {\n"
        "        subnet  = subnet-a\n"
        "        mac     = 02:00:00:00:00:01\n"
        "        address = 10.0.1.10\n"
        "        host    = 192.0.2.11\n"
        "    }\n"
        "}\n"
        "Interface     inside { }\n"
        "Interface     outside { }\n"
        "MappingLookup where { on-miss = query  query-delay = 100us }\n"
        "connect(\"inside -> where -> outside; where[reply] -> inside\")",
    .flags = HG_CLASS_RESIZES | HG_CLASS_ANY_WORKER,
    .inputs = "in", .outputs = "out reply? service?",
    .configure = mapping_lookup_configure,
    .start = mapping_lookup_start,
    .free = mapping_lookup_free,
    .fields = HG_FIELDS(
        HG_OPTION(mapping, .cls = "MappingService",
                  .doc = "where ENIs are looked up; not given: the only one"),
        HG_OPTION(on_miss, .def = "drop", .choices = "drop query",
                  .doc = "what a destination that is not at hand means"),
        HG_OPTION(rewrite_mac, .def = "true", .live = true,
                  .doc = "address the frame to the ENI's MAC"),
        HG_OPTION(router_mac, .def = "02:00:00:00:00:fe", .live = true,
                  .doc = "MAC of the VPC router"),
        HG_OPTION(cache_size, .def = "65536", .min = 4, .max = 16777216,
                  .doc = "query: answers remembered"),
        HG_OPTION(ttl, .def = "60s", .min = 1,
                  .doc = "query: how long an answer is fresh"),
        HG_OPTION(negative_ttl, .def = "5s",
                  .doc = "query: how long it is remembered that there is no "
                         "such ENI"),
        HG_OPTION(query_delay, .def = "50us", .min = 1000, .max = HG_MINUTE,
                  .doc = "query: how long the service takes to answer"),
        HG_OPTION(park_length, .def = "1024", .live = true,
                  .doc = "query: packets that wait at most"),
        HG_OPTION(park_timeout, .def = "1s", .live = true,
                  .doc = "query: a packet that waited longer than this when "
                         "the answer comes is dropped"),
        HG_COUNTER(hits, .doc = "packets whose ENI was at hand"),
        HG_COUNTER(misses, .doc = "packets whose ENI was not at hand"),
        HG_COUNTER(stale, .doc = "hits older than ttl, being asked for anew"),
        HG_COUNTER(negative_hits,
                   .doc = "packets known to have no receiver"),
        HG_COUNTER(invalidated,
                   .doc = "answers that a change of the mapping undid"),
        HG_COUNTER(parked, .doc = "packets that had to wait"),
        HG_COUNTER(answered, .doc = "ARP and neighbour discovery answers"),
        HG_GAUGE(waiting, .doc = "packets that wait now"),
        HG_REASON(no_mapping, .doc = "no ENI has this address in the VPC"),
        HG_REASON(reserved_address,
                  .doc = "to an address that the VPC keeps for itself"),
        HG_REASON(multicast, .doc = "to a broadcast or multicast address"),
        HG_REASON(not_ip, .doc = "neither IP nor ARP"),
        HG_REASON(unanswered,
                  .doc = "ARP or neighbour discovery that gets no answer"),
        HG_REASON(park_full, .doc = "no room to wait"),
        HG_REASON(park_expired, .doc = "waited longer than park-timeout")))
/* clang-format on */
