/* Identify: whose packets these are, on an interface where instances send
 * plain frames.
 *
 * The source MAC names the ENI, and the source address has to be one of its
 * own: the anti-spoofing that every host does at the sender (an ENI without
 * source/destination check, such as a router's, may send for others).  Decap
 * does the same for what comes in tunnels. */
#include <string.h>

#include <headgate/inventory.h>

struct identify {
    struct hg_element *mapping;
    char *vpc;
    hg_counter not_allowed_protocol;
    hg_counter malformed;
    hg_counter unknown_source_mac;
    hg_counter spoofed_source;
    const struct hg_inventory *inventory;
    uint32_t vpc_number; /* 0: the only one. */
};

enum { OUT };

/* What is known of the packets of a batch. */
struct senders {
    struct hg_mac mac[HG_BATCH_MAX];
    const struct hg_eni *eni[HG_BATCH_MAX];
};

static bool
is_own(const struct hg_eni *eni, const struct hg_addr *addr)
{
    size_t i;

    for (i = 0; i < eni->details->address.n; i++)
        if (hg_addr_equal(&eni->details->address.v[i], addr))
            return true;
    return false;
}

/* fe80::/64 with the interface identifier of the MAC (RFC 4291 2.5.1). */
static bool
is_own_link_local(const struct hg_eni *eni, const uint8_t *addr)
{
    const uint8_t *mac = eni->mac.byte;
    uint8_t own[16] = {0xfe, 0x80};

    own[8] = mac[0] ^ 2;
    own[9] = mac[1];
    own[10] = mac[2];
    own[11] = 0xff;
    own[12] = 0xfe;
    memcpy(own + 13, mac + 3, 3);
    return !memcmp(own, addr, sizeof own);
}

/* What an instance may send before it knows its address: DHCP (RFC 2131 4.1)
 * and ICMPv6, for duplicate address detection (RFC 4862 5.4). */
static bool
may_lack_address(const struct hg_packet *p)
{
    if (p->flags & HG_PACKET_IP6)
        return p->protocol == HG_PROTO_ICMP6;
    return hg_packet_udp(p) && hg_packet_sport(p) == 68 &&
           hg_packet_dport(p) == 67;
}

static bool
is_unspecified(const struct hg_addr *addr)
{
    static const uint8_t none[16];

    return !memcmp(addr->byte, none, sizeof none);
}

/* An ARP packet speaks for its sender only (RFC 826; a probe has no sender
 * address, RFC 5227 1.1). */
static bool
arp_is_genuine(const struct hg_eni *eni, const struct hg_arp *arp)
{
    const struct hg_addr sender = hg_addr_from_ip4(hg_get32(arp->spa));

    return !memcmp(&arp->sha, &eni->mac, sizeof eni->mac) &&
           (is_unspecified(&sender) || !eni->source_dest_check ||
            is_own(eni, &sender));
}

/* Most packets come from the ENI's primary address, which is beside its MAC.
 */
static inline bool
is_primary(const struct hg_eni *eni, const struct hg_packet *p)
{
    const struct hg_ipv4 *ip = hg_packet_ipv4(p);

    return ip && eni->ip4 && hg_get32(ip->src) == eni->ip4;
}

static bool
is_genuine(const struct hg_eni *eni, const struct hg_packet *p)
{
    const struct hg_arp *arp = hg_packet_arp(p);
    struct hg_addr source;

    if (arp)
        return arp_is_genuine(eni, arp);
    if (!eni->source_dest_check)
        return true;
    hg_packet_read_src(p, &source);
    if (is_own(eni, &source))
        return true;
    if (is_unspecified(&source))
        return may_lack_address(p);
    return source.family == 6 && is_own_link_local(eni, source.byte);
}

static int
verdict_of(struct identify *self, struct hg_packet *p,
           const struct hg_eni *eni)
{
    if (!hg_packet_eth(p))
        return hg_drop(&self->malformed);
    if (p->ether_type != HG_ETH_IP4 && p->ether_type != HG_ETH_IP6 &&
        p->ether_type != HG_ETH_ARP)
        return hg_drop(&self->not_allowed_protocol);
    if (!eni)
        return hg_drop(&self->unknown_source_mac);
    if (!hg_packet_is_ip(p) && !hg_packet_arp(p))
        return hg_drop(&self->malformed);
    if (!is_primary(eni, p) && !is_genuine(eni, p))
        return hg_drop(&self->spoofed_source);
    p->vpc = eni->vpc->number;
    p->src_eni = eni;
    /* Hash and flow are those of the VPC. */
    p->flags &= ~(uint32_t)HG_PACKET_HASHED;
    hg_packet_forget_flow(p);
    return OUT;
}

static void
identify_batch(struct identify *self, struct hg_batch *batch)
{
    struct senders senders;
    int16_t verdict[HG_BATCH_MAX];
    int differs = 0;
    unsigned i;

    for (i = 0; i < batch->n; i++) {
        const struct hg_eth *eth = hg_packet_eth(batch->p[i]);

        senders.mac[i] = eth ? eth->src : (struct hg_mac){{0}};
    }
    hg_inventory_find_mac_batch(self->inventory, self->vpc_number, batch->n,
                                senders.mac, senders.eni);
    for (i = 0; i < batch->n; i++) {
        verdict[i] = (int16_t)verdict_of(self, batch->p[i], senders.eni[i]);
        differs |= verdict[i];
    }
    if (differs)
        hg_route(self, batch, verdict);
    else
        hg_pass(self, OUT, batch);
}

static bool
identify_start(void *self_, struct hg_error *error)
{
    struct identify *self = self_;
    const struct hg_vpc *vpc;

    self->inventory = hg_service(self, self->mapping, "inventory");
    if (!self->inventory)
        return hg_error_set(error, "there is no MappingService, or more than "
                                   "one; say which with 'mapping'");
    if (!self->vpc) {
        if (hg_inventory_n_vpcs(self->inventory) > 1)
            return hg_error_set(error, "there are several VPCs; say which one "
                                       "is behind this interface with 'vpc'");
        return true;
    }
    vpc = hg_inventory_vpc(self->inventory, self->vpc);
    if (!vpc)
        return hg_error_set(error, "the mapping service knows no VPC '%s'",
                            self->vpc);
    self->vpc_number = vpc->number;
    return true;
}

/* clang-format off */
HG_BATCH_ELEMENT(Identify, struct identify, identify_batch,
    .summary = "tells by source MAC and address which ENI sent a packet",
    .doc =
        "Stands behind an interface on which the instances of one VPC send\n"
        "plain frames, sets the VPC and the source ENI of each packet, and\n"
        "drops what its sender may not send.  Only ARP, IPv4 and IPv6 pass.\n"
        "The source address must be one of the ENI's (or the link-local one\n"
        "made of its MAC) unless its source-destination-check is off; the\n"
        "unspecified address passes in DHCP and ICMPv6.",
    .reproduces =
        "the sender's check at the host: only the ENI's MAC and "
        "addresses, only ARP, IPv4 and IPv6, unless its "
        "source/destination check is off",
    .leaves_out =
        "limits of packets and bandwidth per instance",
    .lets_choose = "which VPC is behind an interface",
    .example =
        "MappingService map {\n"
        "    vpc vpc-1 { vni = 1  cidr = 10.0.0.0/16 }\n"
        "    subnet subnet-a { vpc = vpc-1  cidr = 10.0.1.0/24 }\n"
        "    eni eni-1 {\n"
        "        subnet  = subnet-a\n"
        "        mac     = 02:00:00:00:00:01\n"
        "        address = 10.0.1.10\n"
        "    }\n"
        "}\n"
        "Interface inside { }\n"
        "Interface outside { }\n"
        "Identify  who { mapping = map  vpc = vpc-1 }\n"
        "connect(\"inside -> who -> outside\")",
    .flags = HG_CLASS_ANY_WORKER, .inputs = "in", .outputs = "out", .provides = "identity",
    .start = identify_start,
    .fields = HG_FIELDS(
        HG_OPTION(mapping, .cls = "MappingService",
                  .doc = "where ENIs are looked up; not given: the only one"),
        HG_OPTION(vpc, .doc = "the VPC behind the interface; not given: the "
                              "only one"),
        HG_REASON(not_allowed_protocol,
                  .doc = "neither ARP nor IPv4 nor IPv6"),
        HG_REASON(malformed, .doc = "no whole header to look at"),
        HG_REASON(unknown_source_mac, .doc = "no ENI has this source MAC"),
        HG_REASON(spoofed_source,
                  .doc = "the source address is not one of the ENI's")))
/* clang-format on */
