/* Decap: takes packets out of a tunnel and says whose they are.
 *
 * What headers look like and what may be wrong with them is in
 * headgate/tunnel.h.  Here: which VPC and which ENIs a packet belongs to,
 * whether the host that sent it may send for its inner source (a spoofed
 * packet needs a host that lies and a mapping that agrees), what becomes of
 * congestion marks, and where the headers are kept for Encap. */
#include "tunnel_networks.h"

/* What find_vpc() said last; most packets of a batch are of one network. */
struct known_network {
    bool found;
    uint32_t number;
    uint32_t vpc;
};

struct decap {
    unsigned format;
    uint16_t port;
    struct hg_addr_list local;
    uint32_t vni;
    tunnel_networks network;
    struct hg_element *mapping;
    bool verify_sender;
    struct hg_prefix_list edge;
    uint32_t eni_class;
    struct hg_number_list known_classes;
    bool gwlb;
    bool zero_checksum6;
    bool preserve;
    uint32_t preserve_records;
    struct hg_duration preserve_time;

    hg_counter decapsulated;
    hg_counter other;
    hg_counter preserve_full;
    hg_counter preserve_too_long;

    hg_counter outer_fragment; /* Drop reasons from here on. */
    hg_counter bad_outer_checksum;
    hg_counter bad_outer_length;
    hg_counter bad_udp_checksum;
    hg_counter zero_udp_checksum;
    hg_counter too_short;
    hg_counter bad_version;
    hg_counter bad_flags;
    hg_counter bad_gre_checksum;
    hg_counter no_key;
    hg_counter bad_protocol;
    hg_counter bad_options;
    hg_counter unknown_critical_option;
    hg_counter control_packet;
    hg_counter missing_option;
    hg_counter bad_inner;
    hg_counter bad_vlan_id;
    hg_counter unknown_network;
    hg_counter congestion_lost;
    hg_counter not_verifiable;
    hg_counter unknown_sender;
    hg_counter spoofed_sender;
    hg_counter eni_mismatch;

    struct hg_tunnel_rules rules;
    bool has_vni;
    int meta;
    struct hg_tunnel_store *store;
    const struct hg_inventory *inventory;
    struct hg_tunnel_plain plain[HG_BATCH_MAX]; /* What the batch at hand */
    struct hg_tunnel_view view[HG_BATCH_MAX];   /* ... said outside. */
};

enum { OUT, OTHER };

static uint16_t
default_port(unsigned format)
{
    return format == HG_TUNNEL_VXLAN ? HG_PORT_VXLAN : HG_PORT_GENEVE;
}

/* Options that make sense for some formats only. */
static bool
check_format(struct decap *self)
{
    static const char *const geneve_only[] = {"eni_class", "gwlb",
                                              "known_classes"};
    static const char *const udp_only[] = {"port", "zero_checksum6"};
    static const char *const ip_only[] = {"local", "edge", "verify_sender"};
    bool ok = true;
    size_t i;

    for (i = 0; i < 3; i++)
        if (self->format != HG_TUNNEL_GENEVE &&
            hg_option_given(self, geneve_only[i]))
            ok = hg_config_error(self, geneve_only[i], -1,
                                 "only 'format = geneve' has options");
    for (i = 0; i < 2; i++)
        if (!hg_tunnel_is_udp(self->format) &&
            hg_option_given(self, udp_only[i]))
            ok = hg_config_error(self, udp_only[i], -1,
                                 "only 'format = geneve' and 'vxlan' are "
                                 "over UDP");
    for (i = 0; i < 3; i++)
        if (hg_tunnel_is_tag(self->format) &&
            hg_option_given(self, ip_only[i]))
            ok = hg_config_error(self, ip_only[i], -1,
                                 "a tag has no outer addresses");
    return ok;
}

static bool
decap_configure(void *self_)
{
    struct decap *self = self_;
    bool ok = check_format(self);

    self->has_vni = hg_option_given(self, "vni");
    ok &= tunnel_network_check(self, "vni", -1, self->vni, self->format);
    if (self->has_vni && self->network.n)
        ok = hg_config_error(self, "vni", -1,
                             "give 'vni' or rows 'network', not both");
    ok &= tunnel_networks_check(self, &self->network, self->format);
    self->rules = (struct hg_tunnel_rules){
        .format = self->format,
        .port = self->port ? self->port : default_port(self->format),
        .eni_class = (uint16_t)self->eni_class,
        .gwlb = self->gwlb,
        .allow_zero_checksum6 = self->zero_checksum6,
        .known = &self->known_classes,
        .local = &self->local};
    if (!self->preserve)
        return ok;
    hg_one_worker(self); /* One store for all. */
    self->meta = hg_metadata(self, HG_TUNNEL_META, sizeof(uint64_t));
    hg_promise_delay(self, HG_TUNNEL_SLACK_NS);
    self->store =
        hg_tunnel_store_create(self->preserve_records, self->preserve_time.ns);
    if (!self->store)
        ok = hg_config_error(self, "preserve_records", -1,
                             "there is no memory for %u headers",
                             (unsigned)self->preserve_records);
    return ok && self->meta >= 0;
}

static bool
decap_start(void *self_, struct hg_error *error)
{
    struct decap *self = self_;

    self->inventory = hg_service(self, self->mapping, "inventory");
    return tunnel_networks_resolve(&self->network, self->inventory, error);
}

static void
decap_free(void *self_)
{
    struct decap *self = self_;

    hg_tunnel_store_destroy(self->store);
}

static void *
decap_service(void *self_, const char *interface)
{
    struct decap *self = self_;

    return strcmp(interface, HG_TUNNEL_STORE) ? NULL : self->store;
}

/* ---- Headers ---------------------------------------------------------- */

static hg_counter *
reason_of(struct decap *self, enum hg_tunnel_status status)
{
    hg_counter *const reasons[HG_TUNNEL_N_STATUS] = {
        [HG_TUNNEL_FRAGMENT] = &self->outer_fragment,
        [HG_TUNNEL_IP_CHECKSUM] = &self->bad_outer_checksum,
        [HG_TUNNEL_LENGTH] = &self->bad_outer_length,
        [HG_TUNNEL_UDP_CHECKSUM] = &self->bad_udp_checksum,
        [HG_TUNNEL_ZERO_CHECKSUM] = &self->zero_udp_checksum,
        [HG_TUNNEL_SHORT] = &self->too_short,
        [HG_TUNNEL_VERSION] = &self->bad_version,
        [HG_TUNNEL_FLAGS] = &self->bad_flags,
        [HG_TUNNEL_GRE_CHECKSUM] = &self->bad_gre_checksum,
        [HG_TUNNEL_NO_KEY] = &self->no_key,
        [HG_TUNNEL_PROTOCOL] = &self->bad_protocol,
        [HG_TUNNEL_OPTIONS] = &self->bad_options,
        [HG_TUNNEL_CRITICAL] = &self->unknown_critical_option,
        [HG_TUNNEL_CONTROL] = &self->control_packet,
        [HG_TUNNEL_MISSING_OPTION] = &self->missing_option,
        [HG_TUNNEL_INNER] = &self->bad_inner,
        [HG_TUNNEL_VLAN_ID] = &self->bad_vlan_id};

    return reasons[status];
}

/* Sets the packet's VPC; false if the number belongs to none. */
static bool
find_vpc(const struct decap *self, struct hg_packet *p, uint32_t number)
{
    const struct tunnel_network *row;
    const struct hg_vpc *vpc;

    if (self->has_vni) {
        p->vpc = 0;
        return number == self->vni;
    }
    row = tunnel_network_by_number(&self->network, number);
    if (row) {
        p->vpc = row->vpc_number;
        return true;
    }
    if (!self->inventory) {
        p->vpc = number;
        return !self->network.n;
    }
    vpc = hg_inventory_vpc_by_vni(self->inventory, number);
    p->vpc = vpc ? vpc->number : 0;
    return vpc != NULL;
}

static void
preserve(struct decap *self, struct hg_packet *p,
         const struct hg_tunnel_view *view)
{
    uint64_t number = 0;

    switch (hg_tunnel_keep(self->store, p, self->format, view, &number)) {
    case HG_TUNNEL_KEPT:
        break;
    case HG_TUNNEL_FULL:
        hg_count(&self->preserve_full);
        break;
    case HG_TUNNEL_TOO_LONG:
        hg_count(&self->preserve_too_long);
        break;
    }
    memcpy(p->meta + self->meta, &number, sizeof number);
}

static bool
find_same_vpc(const struct decap *self, struct hg_packet *p, uint32_t number,
              struct known_network *known)
{
    if (known->found && known->number == number) {
        p->vpc = known->vpc;
        return true;
    }
    known->found = find_vpc(self, p, number);
    known->number = number;
    known->vpc = p->vpc;
    return known->found;
}

/* No mark outside changes nothing inside: RFC 6040 4.2. */
static int
take_mark(struct decap *self, struct hg_packet *p, uint8_t outer)
{
    uint8_t tos;
    int ecn;

    if (!(outer & 3) || !hg_packet_is_ip(p))
        return OUT;
    tos = hg_packet_tos(p);
    ecn = hg_ecn_decapsulate(tos, outer);
    if (ecn < 0)
        return hg_drop(&self->congestion_lost);
    if (ecn != (tos & 3))
        hg_packet_set_tos(p, (uint8_t)((tos & ~3) | ecn));
    return OUT;
}

static int
take_off(struct decap *self, struct hg_packet *p, struct hg_tunnel_view *view,
         struct known_network *known)
{
    enum hg_tunnel_status status = hg_tunnel_parse(p, &self->rules, view);

    if (status == HG_TUNNEL_OTHER) {
        hg_count(&self->other);
        return OTHER;
    }
    if (status != HG_TUNNEL_OK)
        return hg_drop(reason_of(self, status));
    if (!find_same_vpc(self, p, view->network, known))
        return hg_drop(&self->unknown_network);
    if (self->preserve)
        preserve(self, p, view);
    hg_tunnel_pull(p, view);
    p->src_eni = NULL;
    p->dst_eni = NULL;
    return take_mark(self, p, view->tos);
}

/* The same for a packet whose headers are off already. */
static inline int
finish_plain(struct decap *self, struct hg_packet *p,
             const struct hg_tunnel_plain *plain, struct known_network *known)
{
    if (!find_same_vpc(self, p, plain->network, known))
        return hg_drop(&self->unknown_network);
    p->src_eni = NULL;
    p->dst_eni = NULL;
    return plain->tos & 3 ? take_mark(self, p, plain->tos) : OUT;
}

/* ---- Identity --------------------------------------------------------- */

static bool
is_edge(const struct decap *self, const struct hg_addr *host)
{
    size_t i;

    for (i = 0; i < self->edge.n; i++)
        if (hg_prefix_contains(&self->edge.v[i], host))
            return true;
    return false;
}

/* The ENI with this number in the packet's VPC, or NULL. */
static const struct hg_eni *
eni_by_number(const struct decap *self, const struct hg_packet *p,
              uint32_t number)
{
    const struct hg_eni *eni =
        hg_inventory_eni_by_number(self->inventory, number);

    return eni && (!p->vpc || eni->vpc->number == p->vpc) ? eni : NULL;
}

/* Brings what the header says about an end together with what the address
 * says.  An ENI without source/destination check may have packets of any
 * address.  False if they contradict each other. */
static bool
agree(const struct decap *self, const struct hg_packet *p, uint32_t number,
      const struct hg_eni **eni)
{
    const struct hg_eni *said;

    if (!number)
        return true;
    said = eni_by_number(self, p, number);
    if (!said || (said != *eni && said->source_dest_check))
        return false;
    *eni = said;
    return true;
}

/* Why the packet is dropped, or NULL. */
static hg_counter *
identify(struct decap *self, struct hg_packet *p,
         const struct hg_tunnel_view *view, const struct hg_eni *from,
         const struct hg_eni *to)
{
    bool is_host =
        view->src.family && self->verify_sender && !is_edge(self, &view->src);

    if (!agree(self, p, view->source_eni, &from) ||
        !agree(self, p, view->destination_eni, &to))
        return &self->eni_mismatch;
    p->src_eni = from;
    p->dst_eni = to;
    if (!is_host)
        return NULL;
    if (!hg_packet_is_ip(p) && !hg_packet_arp(p))
        return &self->not_verifiable;
    if (!from)
        return &self->unknown_sender;
    return hg_addr_equal(&from->host, &view->src) ? NULL
                                                  : &self->spoofed_sender;
}

/* Why a packet is dropped that went the straight way and that its sender's
 * host did not send, or NULL. */
static hg_counter *
judge_stranger(struct decap *self, const struct hg_packet *p, uint32_t host)
{
    const struct hg_addr sender = hg_addr_from_ip4(host);

    if (!self->verify_sender || is_edge(self, &sender))
        return NULL;
    if (!hg_packet_is_ip(p) && !hg_packet_arp(p))
        return &self->not_verifiable;
    return p->src_eni ? &self->spoofed_sender : &self->unknown_sender;
}

static inline bool
is_at(const struct hg_eni *eni, uint32_t host)
{
    return eni && eni->host.family == 4 && hg_addr_ip4(&eni->host) == host;
}

/* Why the packet is dropped, or NULL. */
static inline hg_counter *
identify_plain(struct decap *self, struct hg_packet *p, uint32_t host,
               const struct hg_eni *from, const struct hg_eni *to)
{
    p->src_eni = from;
    p->dst_eni = to;
    return is_at(from, host) ? NULL : judge_stranger(self, p, host);
}

/* Finds the ENIs of all packets, as if they all went on; returns how many do
 * not, of those that would have. */
static unsigned
identify_batch(struct decap *self, const struct hg_batch *batch,
               int16_t *verdict)
{
    const struct hg_eni *from[HG_BATCH_MAX], *to[HG_BATCH_MAX];
    const unsigned n = batch->n;
    unsigned i, n_dropped = 0;

    hg_inventory_find_ends(self->inventory, n, batch->p, from, to);
    for (i = 0; i < n; i++) {
        const struct hg_tunnel_plain *plain = &self->plain[i];
        struct hg_packet *p = batch->p[i];
        hg_counter *reason;

        if (verdict[i] != OUT)
            continue;
        reason = plain->is_plain
                     ? identify_plain(self, p, plain->src, from[i], to[i])
                     : identify(self, p, &self->view[i], from[i], to[i]);
        if (reason) {
            verdict[i] = (int16_t)hg_drop(reason);
            n_dropped++;
        }
    }
    return n_dropped;
}

/* Whether all packets are plain, of one network, and not marked. */
static bool
are_alike(const struct decap *self, unsigned n)
{
    const struct hg_tunnel_plain *plain = self->plain;
    const uint32_t network = plain->network;
    uint32_t differs = 0;
    unsigned i;

    for (i = 0; i < n; i++)
        differs |= (plain[i].network ^ network) | (plain[i].tos & 3U) |
                   !plain[i].is_plain;
    return !differs;
}

/* Returns how many go on. */
static unsigned
take_off_batch(struct decap *self, const struct hg_batch *batch,
               int16_t *verdict)
{
    struct known_network known = {.found = false};
    const unsigned n = batch->n;
    unsigned i, n_out = 0;

    for (i = 0; i < n; i++) {
        const struct hg_tunnel_plain *plain = &self->plain[i];
        struct hg_packet *p = batch->p[i];

        verdict[i] =
            (int16_t)(plain->is_plain
                          ? finish_plain(self, p, plain, &known)
                          : take_off(self, p, &self->view[i], &known));
        n_out += verdict[i] == OUT;
    }
    return n_out;
}

/* The same where one answer holds for all; false if it does not. */
static bool
take_off_alike(struct decap *self, const struct hg_batch *batch,
               int16_t *verdict)
{
    const unsigned n = batch->n;
    struct hg_packet *first = batch->p[0];
    unsigned i;

    if (!are_alike(self, n) || !find_vpc(self, first, self->plain->network))
        return false;
    for (i = 0; i < n; i++) {
        struct hg_packet *p = batch->p[i];

        p->vpc = first->vpc;
        p->src_eni = NULL;
        p->dst_eni = NULL;
        verdict[i] = OUT;
    }
    return true;
}

static void
decap_batch(struct decap *self, struct hg_batch *batch)
{
    int16_t verdict[HG_BATCH_MAX];
    unsigned n_out = batch->n;

    if (!self->preserve)
        hg_tunnel_strip(&self->rules, batch->n, batch->p, self->plain);
    if (!take_off_alike(self, batch, verdict))
        n_out = take_off_batch(self, batch, verdict);
    if (self->inventory)
        n_out -= identify_batch(self, batch, verdict);
    self->decapsulated.n += n_out;
    if (n_out == batch->n)
        hg_pass(self, OUT, batch);
    else
        hg_route(self, batch, verdict);
}

/* clang-format off */
HG_BATCH_ELEMENT(Decap, struct decap, decap_batch,
    .summary = "takes packets out of a tunnel and finds out whose they are",
    .doc = "Formats are GENEVE (RFC 8926), VXLAN (RFC 7348), GRE (RFC 2784, "
           "2890), NVGRE (RFC 7637), 802.1Q and 802.1ad.  What is not of the "
           "format, or not sent to 'local', leaves on 'other'.\n\n"
           "The number of the network (VNI, key, VSID, VLAN id) gives the "
           "VPC: by the rows 'network', else by the VNIs of the mapping "
           "service; without one it is the VPC's number itself.\n\n"
           "With a mapping service the sender is verified: the outer source "
           "has to be the host of the ENI that owns the inner source.  "
           "Addresses of 'edge' (gateways, which send for sources outside "
           "the VPC) are believed.\n\n"
           "GENEVE options of class 'eni-class', type 1 and 2 with four bytes "
           "each, are the numbers of the source and destination ENI: both "
           "ends need the same inventory in the same order.  Those of AWS "
           "Gateway Load Balancer (class 0x0108, type 1 endpoint, 2 "
           "attachment, 3 flow cookie) have to be there with 'gwlb', and are "
           "kept with 'preserve'.\n\n"
           "With 'preserve' the headers, padding included, are kept for an "
           "Encap with 'preserve', which puts the very same bytes back.  An "
           "ECN mark that moved to the inner header (RFC 6040) stays there.  "
           "A packet without an inner Ethernet header gets the outer "
           "addresses.  Checksums of packets that a capture cut are not "
           "verified.",
    .reproduces =
        "the receiving half of VPC encapsulation as public talks "
        "describe it: the network and the ENIs out of the header, and a "
        "sender that is not the host of the inner source is dropped; "
        "RFC 8926, 7348, 2784, 2890, 7637 and 6040; the headers of "
        "Gateway Load Balancer",
    .leaves_out =
        "the real encapsulation, whose header was never published; what "
        "GENEVE's critical options that nobody knows mean (such packets "
        "are dropped)",
    .lets_choose =
        "the format; whether senders are verified and which edges are "
        "believed; whether UDP over IPv6 without a checksum is taken "
        "(RFC 6935)",
    .example = "Interface hosts { }\n"
               "Interface vms { }\n"
               "Decap decap {\n"
               "    format = geneve\n"
               "    network 100 { vpc = 1 }\n"
               "    network 200 { vpc = 2 }\n"
               "}\n"
               "connect(\"hosts -> decap -> vms\")\n"
               "connect(\"decap[other] -> Counter -> hosts\")\n",
    .flags = HG_CLASS_RESIZES | HG_CLASS_PARALLEL,
    .inputs = "in", .outputs = "out other?",
    .provides = "identity", .revokes = "ip",
    .configure = decap_configure, .start = decap_start, .free = decap_free,
    .service = decap_service,
    .fields = HG_FIELDS(
        HG_OPTION(format, .required = true, .choices = HG_TUNNEL_FORMATS,
                  .doc = "of the tunnel"),
        HG_OPTION(port, .doc = "UDP port; 0: geneve 6081, vxlan 4789"),
        HG_OPTION(local, .doc = "outer destinations that are ours; not "
                                "given: all"),
        HG_OPTION(vni, .doc = "accept this network only, and let its packets "
                              "belong to VPC 0"),
        HG_ROWS(network, tunnel_network_fields,
                .doc = "which network is which VPC"),
        HG_OPTION(mapping, .cls = "MappingService",
                  .doc = "inventory; not given: the only one of the graph"),
        HG_OPTION(verify_sender, .def = "true", .live = true,
                  .doc = "drop what a host must not send; needs a mapping "
                         "service"),
        HG_OPTION(edge, .doc = "outer sources that may send for any inner "
                               "source"),
        HG_OPTION(eni_class, .def = "0xff01", .min = HG_GENEVE_EXPERIMENTAL,
                  .max = 0xffff,
                  .doc = "GENEVE class of the ENI options"),
        HG_OPTION(known_classes, .max = 0xffff,
                  .doc = "GENEVE option classes whose critical options may "
                         "pass, because what follows knows them"),
        HG_OPTION(gwlb, .doc = "want the three options of AWS Gateway Load "
                               "Balancer and an IP packet inside"),
        HG_OPTION(zero_checksum6,
                  .doc = "accept UDP over IPv6 without checksum (RFC 6935)"),
        HG_OPTION(preserve, .doc = "keep the headers for Encap"),
        HG_OPTION(preserve_records, .def = "65536", .min = 1,
                  .max = 16777216, .doc = "headers that are kept at once"),
        HG_OPTION(preserve_time, .def = "100ms",
                  .doc = "how long they are kept"),
        HG_COUNTER(decapsulated, .doc = "packets taken out"),
        HG_COUNTER(other, .doc = "packets that were not for us"),
        HG_COUNTER(preserve_full,
                   .doc = "headers not kept: 'preserve-records' younger than "
                          "'preserve-time'"),
        HG_COUNTER(preserve_too_long, .doc = "headers not kept: more than 464 "
                                             "bytes"),
        HG_REASON(outer_fragment, .doc = "fragment of the outer packet"),
        HG_REASON(bad_outer_checksum, .doc = "outer IPv4 header checksum"),
        HG_REASON(bad_outer_length, .doc = "outer IP or UDP length wrong"),
        HG_REASON(bad_udp_checksum, .doc = "outer UDP checksum wrong"),
        HG_REASON(zero_udp_checksum, .doc = "UDP over IPv6 without checksum"),
        HG_REASON(too_short, .doc = "tunnel header not whole"),
        HG_REASON(bad_version, .doc = "unknown version of the tunnel header"),
        HG_REASON(bad_flags, .doc = "VXLAN without the I flag, reserved "
                                    "flags of GRE, or any but the key of "
                                    "NVGRE"),
        HG_REASON(bad_gre_checksum, .doc = "GRE checksum wrong"),
        HG_REASON(no_key, .doc = "NVGRE without key"),
        HG_REASON(bad_protocol, .doc = "what is inside is of no type that "
                                       "this format may carry"),
        HG_REASON(bad_options, .doc = "GENEVE options longer than their "
                                      "room"),
        HG_REASON(unknown_critical_option, .doc = "GENEVE option that is "
                                                  "critical and unknown"),
        HG_REASON(control_packet, .doc = "GENEVE control packet"),
        HG_REASON(missing_option, .doc = "one of GWLB's options missing"),
        HG_REASON(bad_inner, .doc = "inner Ethernet header not whole"),
        HG_REASON(bad_vlan_id, .doc = "VLAN id 4095"),
        HG_REASON(unknown_network, .doc = "no VPC has this network"),
        HG_REASON(congestion_lost, .doc = "marked by congestion, and cannot "
                                          "say so (RFC 6040 4.2)"),
        HG_REASON(not_verifiable, .doc = "neither ARP nor IP: no sender to "
                                         "verify"),
        HG_REASON(unknown_sender, .doc = "no ENI owns the inner source"),
        HG_REASON(spoofed_sender, .doc = "another host has the ENI that owns "
                                         "the inner source"),
        HG_REASON(eni_mismatch, .doc = "the ENI options contradict the "
                                       "addresses")))
/* clang-format on */
