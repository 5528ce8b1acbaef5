/* Encap: puts packets into a tunnel to the host of their destination.
 *
 * How headers are written is in headgate/tunnel.h.  Here: where the packet
 * goes, which number its VPC has on the wire, and what the outer header takes
 * over from the inner one.  With 'preserve' it puts back what Decap took
 * off. */
#include "tunnel_networks.h"

/* Headers of one form; those of the next packet are filled into 'header'. */
struct outer {
    struct hg_tunnel_header header;
    struct hg_tunnel_form form;
};

struct encap {
    unsigned format;
    struct hg_addr remote;
    struct hg_addr_list local;
    struct hg_mac src_mac;
    struct hg_mac dst_mac;
    unsigned inner;
    uint32_t vni;
    tunnel_networks network;
    struct hg_element *mapping;
    uint16_t port;
    struct hg_port_range source_ports;
    unsigned udp_checksum;
    bool gre_checksum;
    bool gre_sequence;
    bool flow_ids;
    bool eni_options;
    uint32_t eni_class;
    uint64_t gwlb_endpoint;
    uint64_t gwlb_attachment;
    uint8_t ttl;
    uint8_t dscp;
    unsigned ecn;
    unsigned df;
    uint8_t priority;
    uint32_t mtu;
    unsigned preserve;
    struct hg_element *decap;

    hg_counter encapsulated;
    hg_counter preserved;
    hg_counter preserve_lost;
    hg_counter too_big;

    hg_counter no_host; /* Drop reasons from here on. */
    hg_counter no_local;
    hg_counter bad_network;
    hg_counter not_ip;
    hg_counter truncated;
    hg_counter no_room;

    bool has_vni;
    bool has_dscp;
    bool has_gwlb;
    bool is_ethernet;
    int meta;
    uint16_t id;
    uint32_t sequence;
    const struct hg_addr *local4;
    const struct hg_addr *local6;
    const struct hg_tunnel_store *store;
    const struct hg_inventory *inventory;
    struct outer outer[2][2]; /* Over IPv4 or IPv6; GRE without or with key. */
    bool is_straight;         /* Most packets go the straight way. */
};

enum { OUT, TOO_BIG };
enum { INNER_ETHERNET, INNER_IP };
enum { CHECKSUM_AUTO, CHECKSUM_ZERO, CHECKSUM_COMPUTE };
enum { ECN_NORMAL, ECN_COMPATIBILITY }; /* RFC 6040 4.1 */
enum { DF_SET, DF_COPY, DF_CLEAR };
enum { PRESERVE_NO, PRESERVE_SAME, PRESERVE_REPLY };

/* ---- Options ---------------------------------------------------------- */

/* Reports those of 'names' that were given, which need another format. */
static bool
refuse_given(struct encap *self, const char *const *names, const char *why)
{
    bool ok = true;

    for (; *names; names++)
        if (hg_option_given(self, *names))
            ok = hg_config_error(self, *names, -1, "%s", why);
    return ok;
}

static bool
check_format(struct encap *self)
{
    static const char *const geneve[] = {
        "eni_options", "eni_class", "gwlb_endpoint", "gwlb_attachment", NULL};
    static const char *const gre[] = {"gre_checksum", "gre_sequence", NULL};
    static const char *const nvgre[] = {"flow_ids", NULL};
    static const char *const udp[] = {"port", "source_ports", "udp_checksum",
                                      NULL};
    static const char *const tag[] = {"priority", NULL};
    static const char *const ip[] = {"remote",  "local", "src_mac",
                                     "dst_mac", "ttl",   "dscp",
                                     "ecn",     "df",    NULL};
    static const char *const inner[] = {"inner", NULL};
    bool is_tag = hg_tunnel_is_tag(self->format);
    bool ok = true;

    if (self->format != HG_TUNNEL_GENEVE)
        ok &= refuse_given(self, geneve, "only 'format = geneve' has options");
    if (self->format != HG_TUNNEL_GRE)
        ok &= refuse_given(self, gre, "this is for 'format = gre'");
    if (self->format != HG_TUNNEL_NVGRE)
        ok &= refuse_given(self, nvgre, "only 'format = nvgre' has FlowIDs");
    if (!hg_tunnel_is_udp(self->format))
        ok &= refuse_given(self, udp,
                           "only 'format = geneve' and 'vxlan' are over UDP");
    if (!is_tag)
        ok &= refuse_given(self, tag, "only tags have a priority");
    else
        ok &= refuse_given(self, ip, "a tag has no outer IP header");
    if (self->format != HG_TUNNEL_GENEVE && self->format != HG_TUNNEL_GRE)
        ok &= refuse_given(self, inner,
                           "only 'format = geneve' and 'gre' have a choice");
    return ok;
}

static bool
check_addresses(struct encap *self)
{
    bool ok = true;
    size_t i;

    for (i = 0; i < self->local.n; i++) {
        const struct hg_addr **at =
            self->local.v[i].family == 6 ? &self->local6 : &self->local4;

        if (*at)
            ok = hg_config_error(self, "local", (int)i,
                                 "one address of each IP version is enough");
        *at = &self->local.v[i];
    }
    if (!self->local.n && !hg_tunnel_is_tag(self->format) &&
        self->preserve == PRESERVE_NO)
        ok = hg_config_error(self, "local", -1,
                             "give 'local', the address to send from");
    if (self->remote.family &&
        !(self->remote.family == 6 ? self->local6 : self->local4))
        ok = hg_config_error(self, "remote", -1,
                             "'local' has no address of the same IP version");
    return ok;
}

static bool
encap_configure(void *self_)
{
    struct encap *self = self_;
    bool ok = check_format(self);

    ok &= check_addresses(self);
    self->has_vni = hg_option_given(self, "vni");
    self->has_dscp = hg_option_given(self, "dscp");
    self->has_gwlb = hg_option_given(self, "gwlb_endpoint");
    if (self->has_gwlb != hg_option_given(self, "gwlb_attachment"))
        ok = hg_config_error(
            self, self->has_gwlb ? "gwlb_endpoint" : "gwlb_attachment", -1,
            "give 'gwlb-endpoint' and 'gwlb-attachment', or "
            "none of them");
    if (hg_option_given(self, "inner"))
        self->is_ethernet = self->inner == INNER_ETHERNET;
    else
        self->is_ethernet = self->format != HG_TUNNEL_GRE && !self->has_gwlb;
    if (!self->port)
        self->port =
            self->format == HG_TUNNEL_VXLAN ? HG_PORT_VXLAN : HG_PORT_GENEVE;
    ok &= tunnel_network_check(self, "vni", -1, self->vni, self->format);
    ok &= tunnel_networks_check(self, &self->network, self->format);
    if (self->preserve != PRESERVE_NO || self->gre_sequence ||
        self->df != DF_SET)
        hg_one_worker(self); /* It counts, or has something in common. */
    if (self->preserve == PRESERVE_NO)
        return ok;
    self->meta = hg_metadata(self, HG_TUNNEL_META, sizeof(uint64_t));
    return ok && self->meta >= 0;
}

static bool
wants_checksum(const struct encap *self, unsigned family)
{
    if (self->format == HG_TUNNEL_GRE)
        return self->gre_checksum;
    if (!hg_tunnel_is_udp(self->format) || self->udp_checksum == CHECKSUM_ZERO)
        return false;
    return self->udp_checksum == CHECKSUM_COMPUTE || family == 6;
}

/* Makes the headers of one form from 'local', or those of tags (NULL). */
static void
make_outer(struct encap *self, const struct hg_addr *local, bool has_key)
{
    uint8_t family = local ? local->family : 0;
    struct outer *outer = &self->outer[family == 6][has_key];

    outer->header =
        (struct hg_tunnel_header){.format = self->format,
                                  .is_ethernet = self->is_ethernet,
                                  .has_key = has_key,
                                  .has_checksum = wants_checksum(self, family),
                                  .has_sequence = self->gre_sequence,
                                  .has_eni = self->eni_options,
                                  .has_gwlb = self->has_gwlb,
                                  .priority = self->priority,
                                  .dport = self->port,
                                  .eni_class = (uint16_t)self->eni_class,
                                  .gwlb_endpoint = self->gwlb_endpoint,
                                  .gwlb_attachment = self->gwlb_attachment,
                                  .dst.family = family};
    if (local)
        outer->header.src = *local;
    hg_tunnel_form_init(&outer->form, &outer->header);
}

/* Whether headers over IPv4 are those of struct straight. */
static bool
is_straight(const struct encap *self)
{
    return hg_tunnel_is_udp(self->format) && self->is_ethernet &&
           self->local4 && self->preserve == PRESERVE_NO &&
           self->df == DF_SET && !self->eni_options && !self->has_gwlb &&
           !wants_checksum(self, 4);
}

static bool
encap_start(void *self_, struct hg_error *error)
{
    struct encap *self = self_;
    unsigned has_key;
    size_t i;

    for (has_key = 0; has_key <= 1; has_key++) {
        for (i = 0; i < self->local.n; i++)
            make_outer(self, &self->local.v[i], has_key);
        if (hg_tunnel_is_tag(self->format))
            make_outer(self, NULL, has_key);
    }
    if (self->preserve != PRESERVE_NO) {
        self->store = hg_service(self, self->decap, HG_TUNNEL_STORE);
        if (!self->store)
            return hg_error_set(error, "'preserve' needs a Decap with "
                                       "'preserve = true'; with several, "
                                       "'decap' says which");
    }
    self->is_straight = is_straight(self);
    self->inventory = hg_service(self, self->mapping, "inventory");
    return tunnel_networks_resolve(&self->network, self->inventory, error);
}

/* ---- Headers ---------------------------------------------------------- */

/* The number on the wire; false if there is none that fits. */
static bool
find_network(const struct encap *self, const struct hg_packet *p,
             uint32_t *number)
{
    const struct tunnel_network *row;
    const struct hg_vpc *vpc = NULL;

    if (self->has_vni) {
        *number = self->vni;
        return true;
    }
    if (self->inventory) /* Packets of the only VPC need not say so. */
        vpc = hg_inventory_vpc_by_number(self->inventory, p->vpc);
    row = tunnel_network_by_vpc(&self->network, vpc ? vpc->number : p->vpc);
    if (row) {
        *number = row->number;
        return true;
    }
    if (self->network.n && !self->inventory)
        return false;
    *number = p->vpc;
    if (self->inventory) {
        if (!vpc)
            return false;
        *number = vpc->vni;
    }
    /* VLAN id 0 is no VLAN: IEEE 802.1Q 9.6. */
    return tunnel_network_fits(*number, self->format) &&
           (*number || !hg_tunnel_is_tag(self->format));
}

static bool
has_df(const struct encap *self, const struct hg_packet *p)
{
    const struct hg_ipv4 *ip4 = hg_packet_ipv4(p);

    if (self->df != DF_COPY)
        return self->df == DF_SET;
    return !ip4 || hg_get16(ip4->frag) & HG_IP4_DF;
}

static uint8_t
outer_tos(const struct encap *self, const struct hg_packet *p)
{
    uint8_t tos = hg_packet_tos(p);
    uint8_t ecn = self->ecn == ECN_NORMAL ? tos & 3 : 0;

    return (uint8_t)((self->has_dscp ? self->dscp << 2 : tos & 0xfc) | ecn);
}

/* Fills in what depends on the packet. */
static void
set_outer(struct encap *self, struct hg_packet *p, struct hg_tunnel_header *h)
{
    const struct hg_eth *eth = hg_packet_eth(p);
    uint32_t hash = hg_packet_hash(p);

    h->src_mac = hg_mac_is_given(&self->src_mac) ? self->src_mac : eth->src;
    h->dst_mac = hg_mac_is_given(&self->dst_mac) ? self->dst_mac : eth->dst;
    h->ttl = self->ttl ? self->ttl : hg_packet_ttl(p);
    if (!h->ttl)
        h->ttl = 64; /* Not IP inside; RFC 1700, "IP TIME TO LIVE". */
    h->tos = outer_tos(self, p);
    h->df = has_df(self, p);
    h->id = h->df ? 0 : self->id++; /* RFC 6864 4.1 */
    h->sport = hg_tunnel_sport(hash, self->source_ports);
    h->flow_id = self->flow_ids ? (uint8_t)(hash >> 24) : 0;
    h->gwlb_cookie = hash;
    h->sequence = self->sequence;
    if (h->has_eni) {
        h->source_eni = p->src_eni ? p->src_eni->number : 0;
        h->destination_eni = p->dst_eni ? p->dst_eni->number : 0;
    }
}

/* Decides about all headers; NULL, or why the packet is dropped. */
static hg_counter *
make_header(struct encap *self, struct hg_packet *p, struct outer **outer)
{
    const struct hg_addr *dst = &self->remote;
    struct hg_tunnel_header *h;
    uint32_t network;

    if (!find_network(self, p, &network))
        return &self->bad_network;
    if (!hg_packet_eth(p))
        return &self->not_ip;
    if (!self->is_ethernet && !hg_packet_is_ip(p))
        return &self->not_ip;
    if (!dst->family && p->dst_eni)
        dst = &p->dst_eni->host;
    *outer = &self->outer[dst->family == 6][network || self->has_vni];
    h = &(*outer)->header;
    h->network = network;
    if (hg_tunnel_is_tag(self->format))
        return NULL;
    if (!dst->family)
        return &self->no_host;
    if (!h->src.family)
        return &self->no_local;
    h->dst = *dst;
    set_outer(self, p, h);
    if (h->has_checksum && p->wire_len > p->len)
        return &self->truncated;
    return NULL;
}

/* Bytes of the packet that the tunnel is going to carry. */
static uint32_t
carried_len(const struct encap *self, const struct hg_packet *p)
{
    if (hg_tunnel_is_tag(self->format))
        return p->wire_len - (uint32_t)sizeof(struct hg_eth);
    return self->is_ethernet ? p->wire_len : p->wire_len - p->l3_offset;
}

/* Ethernet's padding stays behind, what a capture cut of it too. */
static void
leave_padding(struct hg_packet *p)
{
    uint32_t len = p->l3_offset + hg_packet_l3_len(p);

    if (len >= p->len)
        return;
    hg_packet_trim(p, len);
    p->wire_len = p->len;
}

static bool
is_too_big(const struct encap *self, const struct hg_packet *p,
           const struct hg_tunnel_form *form)
{
    uint32_t len = carried_len(self, p);

    if (hg_tunnel_is_tag(self->format))
        return self->mtu && len > self->mtu;
    len += form->overhead;
    return len > UINT16_MAX || (self->mtu && len > self->mtu);
}

/* ---- Packets ---------------------------------------------------------- */

/* Puts back what Decap took off; false if that is not there. */
static bool
put_back(struct encap *self, struct hg_packet *p, int *verdict)
{
    uint64_t number;

    memcpy(&number, p->meta + self->meta, sizeof number);
    switch (hg_tunnel_restore(self->store, number,
                              self->preserve == PRESERVE_REPLY, p)) {
    case HG_TUNNEL_LOST:
        hg_count(&self->preserve_lost);
        return false;
    case HG_TUNNEL_NO_ROOM:
        *verdict = hg_drop(&self->no_room);
        break;
    case HG_TUNNEL_RESTORED:
        hg_count(&self->preserved);
        *verdict = OUT;
        break;
    }
    return true;
}

static int
encap_packet(struct encap *self, struct hg_packet *p)
{
    struct outer *outer;
    hg_counter *reason;
    int verdict = OUT;

    if (self->preserve != PRESERVE_NO && put_back(self, p, &verdict))
        return verdict;
    reason = make_header(self, p, &outer);
    if (reason)
        return hg_drop(reason);
    if (!self->is_ethernet)
        leave_padding(p);
    if (is_too_big(self, p, &outer->form)) {
        hg_count(&self->too_big);
        return TOO_BIG;
    }
    if (p->flags & HG_PACKET_NEEDS_CSUM)
        hg_packet_set_checksums(p);
    if (!hg_tunnel_form_push(p, &outer->form, &outer->header))
        return hg_drop(&self->no_room);
    self->sequence++;
    hg_count(&self->encapsulated);
    return OUT;
}

/* ---- The straight way ------------------------------------------------- */

/* Most packets get GENEVE or VXLAN over IPv4 and nothing that depends on more
 * than the packet (is_straight()). */

/* What holds for the whole batch. */
struct terms {
    const struct hg_addr *remote; /* Or NULL. */
    uint32_t max_len;             /* Of a frame; 0: none goes this way. */
    uint8_t tos_kept;             /* Bits of the inner DSCP and ECN, ... */
    uint8_t tos_set;              /* ... and others. */
};

static struct terms
straight_terms(const struct encap *self)
{
    const uint32_t overhead = self->outer[0][1].form.overhead;
    const bool is_limited = self->mtu && self->mtu < UINT16_MAX;
    const uint32_t max = is_limited ? self->mtu : UINT16_MAX;
    const bool is_straight = self->is_straight && self->ttl && max > overhead;

    return (struct terms){
        .remote = self->remote.family ? &self->remote : NULL,
        .max_len = is_straight ? max - overhead : 0,
        .tos_kept = (uint8_t)((self->has_dscp ? 0 : 0xfc) |
                              (self->ecn == ECN_NORMAL ? 3 : 0)),
        .tos_set = (uint8_t)(self->has_dscp ? self->dscp << 2 : 0)};
}

/* What find_network() said last; most packets of a batch are of one VPC. */
struct known_network {
    bool found;
    uint32_t vpc;
    uint32_t number;
};

static inline bool
same_network(const struct encap *self, const struct hg_packet *p,
             struct known_network *known)
{
    uint32_t number;

    if (known->found && known->vpc == p->vpc)
        return true;
    known->found = find_network(self, p, &number);
    known->vpc = p->vpc;
    known->number = number;
    return known->found;
}

/* Whether encap_packet() would give the packet headers and no more: an IP
 * packet that is not too long, with room before it, to an IPv4 host. */
static inline bool
is_usual(const struct hg_packet *p, const struct hg_addr *dst,
         uint32_t max_len)
{
    return dst && dst->family == 4 && hg_packet_is_ip(p) &&
           p->wire_len <= max_len && !(p->flags & HG_PACKET_NEEDS_CSUM) &&
           hg_packet_headroom(p) >= HG_TUNNEL_STAMP_LEN;
}

/* Takes those packets out that are as usual; returns how many. */
static unsigned
take_usual(const struct encap *self, const struct hg_batch *batch,
           struct hg_packet **packets, struct hg_tunnel_own *own)
{
    const struct terms terms = straight_terms(self);
    struct known_network known = {.found = false};
    const unsigned n = batch->n;
    unsigned i, n_usual = 0;

    for (i = 0; i < n; i++) {
        struct hg_packet *p = batch->p[i];
        const struct hg_addr *dst = terms.remote;
        uint8_t tos;

        if (!dst && p->dst_eni)
            dst = &p->dst_eni->host;
        if (!is_usual(p, dst, terms.max_len) || !same_network(self, p, &known))
            continue;
        tos = p->flags & HG_PACKET_IP4 ? hg_packet_ipv4(p)->tos
                                       : hg_packet_tos(p);
        memcpy(&own[n_usual].dst, dst->byte, sizeof own->dst);
        own[n_usual].network = known.number;
        own[n_usual].tos = (tos & terms.tos_kept) | terms.tos_set;
        packets[n_usual++] = p;
    }
    return n_usual;
}

static const struct hg_mac *
given(const struct hg_mac *mac)
{
    return hg_mac_is_given(mac) ? mac : NULL;
}

static void
go_straight(struct encap *self, unsigned n, struct hg_packet *const *packets,
            const struct hg_tunnel_own *own)
{
    struct hg_tunnel_stamp stamp;
    uint32_t hash[HG_BATCH_MAX];

    hg_packet_hash_many(packets, n, hash);
    hg_tunnel_stamp_init(&stamp, &self->outer[0][1].form, self->ttl,
                         self->source_ports, given(&self->src_mac),
                         given(&self->dst_mac));
    hg_tunnel_stamp_push(&stamp, n, packets, own, hash);
    self->encapsulated.n += n;
}

/* Those of a batch that did not go straight, and where all of them go. */
static void
route_others(struct encap *self, struct hg_batch *batch, unsigned n_usual,
             struct hg_packet *const *usual)
{
    int16_t verdict[HG_BATCH_MAX];
    unsigned i, k = 0;

    for (i = 0; i < batch->n; i++) {
        bool is_done = k < n_usual && batch->p[i] == usual[k];

        k += is_done;
        verdict[i] =
            (int16_t)(is_done ? OUT : encap_packet(self, batch->p[i]));
    }
    hg_route(self, batch, verdict);
}

static void
encap_batch(struct encap *self, struct hg_batch *batch)
{
    struct hg_packet *usual[HG_BATCH_MAX];
    struct hg_tunnel_own own[HG_BATCH_MAX];
    unsigned n = take_usual(self, batch, usual, own);

    if (n)
        go_straight(self, n, usual, own);
    if (n == batch->n)
        hg_pass(self, OUT, batch);
    else
        route_others(self, batch, n, usual);
}

/* clang-format off */
HG_BATCH_ELEMENT(Encap, struct encap, encap_batch,
    .summary = "puts packets into a tunnel to their destination's host",
    .doc = "Formats are GENEVE (RFC 8926), VXLAN (RFC 7348), GRE (RFC 2784, "
           "2890), NVGRE (RFC 7637), 802.1Q and 802.1ad.\n\n"
           "The tunnel ends at 'remote', else at the host of the packet's "
           "destination ENI (MappingLookup, Decap).  The network (VNI, key, "
           "VSID, VLAN id) is 'vni' for all packets, else comes from the rows "
           "'network', else is the VNI of the packet's VPC in the mapping "
           "service; without one it is the VPC's number.  GRE has a key "
           "unless that is 0 and 'vni' is not given.\n\n"
           "What would be longer than 'mtu' leaves unchanged on 'too-big', "
           "usually wired to IcmpError with type fragmentation-needed and an "
           "mtu lower by the overhead: from the outer IP header to the inner "
           "IP header, over IPv4 geneve 50 (without inner Ethernet 36; 16 "
           "more with 'eni-options', 32 more with GWLB's), vxlan 50, gre 28 "
           "with key, nvgre 42; over IPv6 20 more.\n\n"
           "With 'preserve' a packet whose headers a Decap kept gets them "
           "back, with lengths and checksums brought up to date; 'reply' "
           "exchanges the outer addresses, as an appliance behind AWS Gateway "
           "Load Balancer has to, and leaves ports and options.  Other "
           "packets get new headers.",
    .reproduces =
        "the sending half of VPC encapsulation as public talks describe "
        "it: to the host of the destination's ENI, under the VPC's "
        "number; RFC 8926, 7348, 2784, 2890, 7637 and 6040; the headers "
        "of Gateway Load Balancer and its replies",
    .leaves_out =
        "the real encapsulation, whose header was never published; "
        "fragmenting the outer packet",
    .lets_choose =
        "the format, options and checksums; MTU; whether the outer "
        "header forbids fragments, its TTL and DSCP",
    .example = "Interface vms { }\n"
               "Interface hosts { }\n"
               "Encap encap {\n"
               "    format = geneve\n"
               "    local  = 10.0.0.1\n"
               "    remote = 10.0.0.2\n"
               "    mtu    = 1500\n"
               "}\n"
               "IcmpError smaller {\n"
               "    type   = fragmentation-needed\n"
               "    mtu    = 1450\n"
               "    source = 10.0.0.1\n"
               "}\n"
               "connect(\"vms -> encap -> hosts\")\n"
               "connect(\"encap[too-big] -> CheckIP -> smaller -> vms\")\n",
    .flags = HG_CLASS_RESIZES | HG_CLASS_PARALLEL, .inputs = "in", .outputs = "out too-big?",
    .configure = encap_configure, .start = encap_start,
    .fields = HG_FIELDS(
        HG_OPTION(format, .required = true, .choices = HG_TUNNEL_FORMATS,
                  .doc = "of the tunnel"),
        HG_OPTION(remote, .doc = "outer destination of all packets; not "
                                 "given: host of the destination ENI"),
        HG_OPTION(local, .max_n = 2,
                  .doc = "outer source, one address of each IP version"),
        HG_OPTION(src_mac, .live = true,
                  .doc = "outer source MAC; all zero: the inner one"),
        HG_OPTION(dst_mac, .live = true,
                  .doc = "outer destination MAC, the next hop's; all zero: "
                         "the inner one"),
        HG_OPTION(inner, .choices = "ethernet ip",
                  .doc = "what is carried; not given: ethernet, for gre and "
                         "with GWLB's options ip"),
        HG_OPTION(vni, .doc = "network of all packets"),
        HG_ROWS(network, tunnel_network_fields,
                .doc = "which network is which VPC"),
        HG_OPTION(mapping, .cls = "MappingService",
                  .doc = "inventory; not given: the only one of the graph"),
        HG_OPTION(port, .doc = "UDP port; 0: geneve 6081, vxlan 4789"),
        HG_OPTION(source_ports, .def = "49152-65535",
                  .doc = "UDP source ports, chosen by the inner flow's hash"),
        HG_OPTION(udp_checksum, .choices = "auto zero compute",
                  .doc = "auto: over IPv6 only; zero over IPv6 is for "
                         "receivers that allow it (RFC 6936)"),
        HG_OPTION(gre_checksum, .doc = "GRE with checksum"),
        HG_OPTION(gre_sequence, .doc = "GRE with sequence number (RFC 2890)"),
        HG_OPTION(flow_ids, .def = "true",
                  .doc = "NVGRE FlowID from the inner flow's hash, else 0"),
        HG_OPTION(eni_options, .doc = "GENEVE options with the numbers of "
                                      "source and destination ENI"),
        HG_OPTION(eni_class, .def = "0xff01", .min = HG_GENEVE_EXPERIMENTAL,
                  .max = 0xffff, .doc = "GENEVE class of the ENI options"),
        HG_OPTION(gwlb_endpoint, .doc = "GWLB option 1, the endpoint's ENI "
                                        "id; adds the three options, the "
                                        "flow's hash as cookie"),
        HG_OPTION(gwlb_attachment, .doc = "GWLB option 2, attachment id"),
        HG_OPTION(ttl, .def = "64", .live = true,
                  .doc = "outer TTL or hop limit; 0: the inner one"),
        HG_OPTION(dscp, .max = 63, .doc = "outer DSCP; not given: the inner "
                                          "one (RFC 2983)"),
        HG_OPTION(ecn, .choices = "normal compatibility",
                  .doc = "RFC 6040: normal copies the inner field, "
                         "compatibility says not-ECT"),
        HG_OPTION(df, .choices = "set copy clear",
                  .doc = "outer don't-fragment; copy: as inside, set for all "
                         "but IPv4"),
        HG_OPTION(priority, .max = 7, .doc = "of tags (802.1Q PCP)"),
        HG_OPTION(mtu, .live = true,
                  .doc = "bytes of the outer IP packet at most (tags: of what "
                         "is behind the Ethernet header); 0: no limit"),
        HG_OPTION(preserve, .choices = "no same reply",
                  .doc = "put back the headers that Decap kept"),
        HG_OPTION(decap, .cls = "Decap",
                  .doc = "which Decap; not given: the only one of the "
                         "graph that preserves"),
        HG_COUNTER(encapsulated, .doc = "packets with new headers"),
        HG_COUNTER(preserved, .doc = "packets with their own headers back"),
        HG_COUNTER(preserve_lost, .doc = "packets without kept headers"),
        HG_COUNTER(too_big, .doc = "packets larger than the mtu"),
        HG_REASON(no_host, .doc = "no 'remote', and the destination's host is "
                                  "not known"),
        HG_REASON(no_local, .doc = "no 'local' of the remote's IP version"),
        HG_REASON(bad_network, .doc = "the VPC has no number that fits the "
                                      "format"),
        HG_REASON(not_ip, .doc = "not IP, where only that is carried, or no "
                                 "frame at all"),
        HG_REASON(truncated, .doc = "cut by a capture, so that no checksum "
                                    "can be computed"),
        HG_REASON(no_room, .doc = "too long for a packet")))
/* clang-format on */
