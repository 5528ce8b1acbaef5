/* test_tunnel.c: tunnel headers, against bytes that scapy made, and Decap with
 * an inventory of its own.
 *
 * Every vector carries the same inner frame, or its IP packet; the comment is
 * the scapy line behind
 *     e = Ether(src="02:00:00:00:00:0a", dst="02:00:00:00:00:0b")
 *     o = IP(src="192.0.2.2", dst="192.0.2.1", id=0, flags="DF", ttl=64)
 *     o6 = IPv6(src="2001:db8::2", dst="2001:db8::1", hlim=64)
 *     f = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / IP(
 *         src="10.0.0.5", dst="203.0.113.9", id=0) / UDP(sport=40000,
 *         dport=53) / bytes(range(12)) */
#include <stdlib.h>

#include <headgate/graph.h>

#include "../../elements/vpc/decap.c"
#include "test.h"

#define INNER                                                                 \
    "02000000000202000000000108004500002800000000401134b70a000005cb007109"    \
    "9c4000350014ff1d000102030405060708090a0b"

#define IP4                                                                   \
    .ttl = 64, .df = true, .src = {4, {192, 0, 2, 2}},                        \
    .dst = {4, {192, 0, 2, 1}}, .src_mac = {{2, 0, 0, 0, 0, 10}},             \
    .dst_mac = {{2, 0, 0, 0, 0, 11}}
#define IP6                                                                   \
    .ttl = 64, .src = {6, {0x20, 1, 0xd, 0xb8, [15] = 2}},                    \
    .dst = {6, {0x20, 1, 0xd, 0xb8, [15] = 1}},                               \
    .src_mac = {{2, 0, 0, 0, 0, 10}}, .dst_mac = {{2, 0, 0, 0, 0, 11}}

/* clang-format off */
static const struct vector {
    const char *hex;
    uint32_t overhead;
    struct hg_tunnel_header header;
} vectors[] = {
    /* e/o/UDP(sport=50000,dport=6081,chksum=0)/GENEVE(vni=42,proto=0x6558)/f
     */
    {"02000000000b02000000000a08004500005a000040004011b68fc0000202"
     "c0000201c35017c1004600000000655800002a0002000000000202000000"
     "000108004500002800000000401134b70a000005cb0071099c4000350014"
     "ff1d000102030405060708090a0b",
     36, {HG_TUNNEL_GENEVE, IP4, .is_ethernet = true, .network = 42,
          .sport = 50000, .dport = 6081}},
    /* e/o/UDP(sport=50000,dport=6081,chksum=0)/GENEVE(proto=0x800,options=[
     * GeneveOptions(classid=0x108,type=1,data=...), ...])/f[IP] */
    {"02000000000b02000000000a08004500006c000040004011b67dc0000202"
     "c0000201c35017c1005800000800080000000000010801020123456789ab"
     "cdef01080202fedcba987654321001080301cafef00d4500002800000000"
     "401134b70a000005cb0071099c4000350014ff1d00010203040506070809"
     "0a0b",
     68, {HG_TUNNEL_GENEVE, IP4, .has_gwlb = true, .sport = 50000,
          .dport = 6081, .gwlb_endpoint = 0x0123456789abcdef,
          .gwlb_attachment = 0xfedcba9876543210,
          .gwlb_cookie = 0xcafef00d}},
    /* e/o6/UDP(sport=50000,dport=6081)/GENEVE(vni=42,proto=0x6558,options=[
     * GeneveOptions(classid=0xff01,type=1,data=b"\0\0\0\7"), ...])/f */
    {"02000000000b02000000000a86dd600000000056114020010db800000000"
     "000000000000000220010db8000000000000000000000001c35017c10056"
     "6e7e0400655800002a00ff01010100000007ff0102010000000902000000"
     "000202000000000108004500002800000000401134b70a000005cb007109"
     "9c4000350014ff1d000102030405060708090a0b",
     72, {HG_TUNNEL_GENEVE, IP6, .is_ethernet = true, .network = 42,
          .sport = 50000, .dport = 6081, .has_checksum = true,
          .has_eni = true, .eni_class = 0xff01, .source_eni = 7,
          .destination_eni = 9}},
    /* e/o/UDP(sport=50000,dport=4789)/VXLAN(vni=42,flags=8)/f */
    {"02000000000b02000000000a08004500005a000040004011b68fc0000202"
     "c0000201c35012b50046ad890800000000002a0002000000000202000000"
     "000108004500002800000000401134b70a000005cb0071099c4000350014"
     "ff1d000102030405060708090a0b",
     36, {HG_TUNNEL_VXLAN, IP4, .is_ethernet = true, .network = 42,
          .sport = 50000, .dport = 4789, .has_checksum = true}},
    /* e/o/GRE(key_present=1,key=42,chksum_present=1,seqnum_present=1,
     * sequence_number=5)/f[IP] */
    {"02000000000b02000000000a08004500004c00004000402fb67fc0000202"
     "c0000201b00008008e0400000000002a0000000545000028000000004011"
     "34b70a000005cb0071099c4000350014ff1d000102030405060708090a0b",
     36, {HG_TUNNEL_GRE, IP4, .network = 42, .has_key = true,
          .has_checksum = true, .has_sequence = true, .sequence = 5}},
    /* e/o/GRE()/f[IP] */
    {"02000000000b02000000000a08004500004000004000402fb68bc0000202"
     "c0000201000008004500002800000000401134b70a000005cb0071099c40"
     "00350014ff1d000102030405060708090a0b",
     24, {HG_TUNNEL_GRE, IP4}},
    /* e/o/GRE(proto=0x6558,key_present=1,key=42<<8|0x11)/f */
    {"02000000000b02000000000a08004500005200004000402fb679c0000202"
     "c00002012000655800002a11020000000002020000000001080045000028"
     "00000000401134b70a000005cb0071099c4000350014ff1d000102030405"
     "060708090a0b",
     28, {HG_TUNNEL_NVGRE, IP4, .is_ethernet = true, .network = 42,
          .flow_id = 0x11}},
    /* f[Ether].copy()/Dot1Q(vlan=42,prio=3)/f[IP] */
    {"0200000000020200000000018100602a08004500002800000000401134b7"
     "0a000005cb0071099c4000350014ff1d000102030405060708090a0b",
     4, {HG_TUNNEL_VLAN, .is_ethernet = true, .network = 42, .priority = 3}},
    /* Ether(...,type=0x88a8)/Dot1AD(vlan=7,prio=3)/Dot1Q(vlan=42,prio=3)/
     * f[IP] */
    {"02000000000202000000000188a860078100602a08004500002800000000"
     "401134b70a000005cb0071099c4000350014ff1d00010203040506070809"
     "0a0b",
     8, {HG_TUNNEL_QINQ, .is_ethernet = true, .network = 7 << 12 | 42,
         .priority = 3}},
};
/* clang-format on */

enum {
    GENEVE,
    GWLB,
    ENI6,
    VXLAN,
    GRE_ALL,
    GRE_PLAIN,
    NVGRE,
    VLAN,
    QINQ,
    N_VECTORS
};

static const uint8_t inner_macs[] = {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1};

static struct hg_packet *
from_hex(struct hg_pool *pool, const char *hex)
{
    uint32_t i, len = (uint32_t)strlen(hex) / 2;
    struct hg_packet *p = hg_packet_alloc(pool, len);

    for (i = 0; i < len; i++) {
        char two[3] = {hex[2 * i], hex[2 * i + 1], 0};

        p->data[i] = (uint8_t)strtoul(two, NULL, 16);
    }
    hg_packet_parse(p);
    return p;
}

/* The bytes, and that they are announced as hg_packet_parse() would. */
static void
check_hex(const struct hg_packet *p, struct hg_pool *pool, const char *hex)
{
    struct hg_packet *expected = from_hex(pool, hex);

    CHECK_EQ(p->flags, expected->flags);
    CHECK_EQ(p->ether_type, expected->ether_type);
    CHECK_EQ(p->l3_offset, expected->l3_offset);
    CHECK_EQ(p->l4_offset, expected->l4_offset);
    CHECK_EQ(p->protocol, expected->protocol);
    CHECK_EQ(p->len, expected->len);
    if (p->len == expected->len)
        CHECK_MEM(p->data, expected->data, p->len);
    hg_packet_free(expected);
}

static struct hg_tunnel_rules
rules_of(enum hg_tunnel_format format)
{
    return (struct hg_tunnel_rules){.format = format,
                                    .port = default_port(format),
                                    .eni_class = HG_GENEVE_ENI_CLASS};
}

TEST(headers_are_what_scapy_makes)
{
    struct hg_pool *pool = hg_pool_create(0);
    unsigned i;

    for (i = 0; i < N_VECTORS; i++) {
        struct hg_packet *p = from_hex(pool, INNER);

        CHECK_EQ(hg_tunnel_overhead(&vectors[i].header), vectors[i].overhead);
        REQUIRE(hg_tunnel_push(p, &vectors[i].header));
        check_hex(p, pool, vectors[i].hex);
        hg_packet_free(p);
    }
    hg_pool_destroy(pool);
}

TEST(what_scapy_made_is_understood)
{
    struct hg_pool *pool = hg_pool_create(0);
    unsigned i;

    for (i = 0; i < N_VECTORS; i++) {
        const struct hg_tunnel_header *h = &vectors[i].header;
        struct hg_packet *p = from_hex(pool, vectors[i].hex);
        struct hg_tunnel_rules rules = rules_of(h->format);
        struct hg_tunnel_view view;

        rules.gwlb = h->has_gwlb;
        CHECK_EQ(hg_tunnel_parse(p, &rules, &view), HG_TUNNEL_OK);
        CHECK_EQ(view.network, h->network);
        CHECK_EQ(view.source_eni, h->source_eni);
        CHECK_EQ(view.destination_eni, h->destination_eni);
        CHECK(hg_addr_equal(&view.src, &h->src));
        hg_tunnel_pull(p, &view);
        if (!h->is_ethernet) /* It has the outer addresses. */
            memcpy(p->data, inner_macs, sizeof inner_macs);
        check_hex(p, pool, INNER);
        hg_packet_free(p);
    }
    hg_pool_destroy(pool);
}

/* ---- Mistakes --------------------------------------------------------- */

/* A vector with bytes changed; 'fix' makes the IPv4 header checksum right. */
struct mistake {
    enum hg_tunnel_status status;
    unsigned vector;
    uint32_t at;
    uint8_t byte;
    bool fix;
    uint32_t len; /* The frame is this long; 0: as it was. */
    bool gwlb;
};

/* Offsets over IPv4: IP 14, UDP or GRE 34, GENEVE or VXLAN 42, options 50;
 * over IPv6: UDP 54. */
static const struct mistake mistakes[] = {
    {HG_TUNNEL_OTHER, GENEVE, 37, 0xc2, false, 0, false},
    {HG_TUNNEL_OTHER, GENEVE, 23, 6, true, 0, false},
    {HG_TUNNEL_OTHER, VLAN, 13, 1, false, 0, false},
    {HG_TUNNEL_OTHER, QINQ, 17, 1, false, 0, false},
    {HG_TUNNEL_FRAGMENT, GENEVE, 20, 0x20, true, 0, false},
    {HG_TUNNEL_FRAGMENT, GRE_PLAIN, 21, 9, true, 0, false},
    {HG_TUNNEL_IP_CHECKSUM, GENEVE, 22, 63, false, 0, false},
    {HG_TUNNEL_LENGTH, GENEVE, 17, 0xff, true, 0, false},
    {HG_TUNNEL_LENGTH, GRE_PLAIN, 17, 0xff, true, 0, false},
    {HG_TUNNEL_LENGTH, GENEVE, 39, 7, false, 0, false},
    {HG_TUNNEL_LENGTH, GENEVE, 39, 0xff, false, 0, false},
    {HG_TUNNEL_UDP_CHECKSUM, VXLAN, 100, 0xee, false, 0, false},
    {HG_TUNNEL_UDP_CHECKSUM, ENI6, 100, 0xee, false, 0, false},
    {HG_TUNNEL_SHORT, GENEVE, 39, 15, false, 0, false},
    {HG_TUNNEL_SHORT, VLAN, 0, 2, false, 17, false},
    {HG_TUNNEL_VERSION, GENEVE, 42, 0x40, false, 0, false},
    {HG_TUNNEL_VERSION, GRE_PLAIN, 35, 1, false, 0, false},
    {HG_TUNNEL_FLAGS, GRE_PLAIN, 34, 0x40, false, 0, false},
    {HG_TUNNEL_FLAGS, GRE_PLAIN, 34, 0x08, false, 0, false},
    {HG_TUNNEL_FLAGS, NVGRE, 34, 0x30, false, 0, false},
    {HG_TUNNEL_GRE_CHECKSUM, GRE_ALL, 60, 0xee, false, 0, false},
    {HG_TUNNEL_NO_KEY, NVGRE, 34, 0, false, 0, false},
    {HG_TUNNEL_PROTOCOL, GENEVE, 44, 0x05, false, 0, false},
    {HG_TUNNEL_PROTOCOL, GRE_PLAIN, 36, 0x05, false, 0, false},
    {HG_TUNNEL_PROTOCOL, NVGRE, 36, 0x66, false, 0, false},
    {HG_TUNNEL_PROTOCOL, GWLB, 44, 0x09, false, 0, true},
    {HG_TUNNEL_OPTIONS, GENEVE, 42, 63, false, 0, false},
    {HG_TUNNEL_OPTIONS, GWLB, 77, 31, false, 0, false},
    {HG_TUNNEL_CRITICAL, GWLB, 52, 0x84, false, 0, false},
    {HG_TUNNEL_CONTROL, GENEVE, 43, 0x80, false, 0, false},
    {HG_TUNNEL_MISSING_OPTION, GWLB, 52, 4, false, 0, true},
    {HG_TUNNEL_MISSING_OPTION, GENEVE, 44, 0x65, false, 0, true},
    {HG_TUNNEL_INNER, GENEVE, 39, 29, false, 0, false},
    {HG_TUNNEL_VLAN_ID, VLAN, 14, 0x6f, false, 0, false},
};

static void
fix_header_checksum(struct hg_packet *p)
{
    struct hg_ipv4 *ip = (struct hg_ipv4 *)(p->data + sizeof(struct hg_eth));

    ip->checksum = hg_be16_of(0);
    ip->checksum =
        hg_be16_of(hg_checksum_fold(hg_checksum_add(0, ip, sizeof *ip)));
}

TEST(each_mistake_has_a_status_of_its_own)
{
    struct hg_pool *pool = hg_pool_create(0);
    size_t i;

    for (i = 0; i < sizeof mistakes / sizeof *mistakes; i++) {
        const struct mistake *m = &mistakes[i];
        struct hg_packet *p = from_hex(pool, vectors[m->vector].hex);
        struct hg_tunnel_rules rules =
            rules_of(vectors[m->vector].header.format);
        struct hg_tunnel_view view;
        unsigned status;

        rules.gwlb = m->gwlb;
        p->data[m->at] = m->byte;
        if (m->status == HG_TUNNEL_VLAN_ID)
            p->data[m->at + 1] = 0xff;
        if (m->fix)
            fix_header_checksum(p);
        if (m->len)
            p->len = p->wire_len = m->len;
        hg_packet_parse(p);
        status = hg_tunnel_parse(p, &rules, &view);
        if (status != m->status)
            FAIL("row %zu: status %u instead of %u", i, status, m->status);
        hg_packet_free(p);
    }
    hg_pool_destroy(pool);
}

TEST(vxlan_needs_its_flag_and_ipv6_its_checksum)
{
    struct hg_pool *pool = hg_pool_create(0);
    struct hg_packet *p = from_hex(pool, vectors[VXLAN].hex);
    struct hg_tunnel_rules rules = rules_of(HG_TUNNEL_VXLAN);
    struct hg_tunnel_view view;

    hg_store16(p->data + 40, 0);
    p->data[42] = 0;
    CHECK_EQ(hg_tunnel_parse(p, &rules, &view), HG_TUNNEL_FLAGS);
    hg_packet_free(p);
    p = from_hex(pool, vectors[ENI6].hex);
    rules = rules_of(HG_TUNNEL_GENEVE);
    hg_store16(p->data + 60, 0);
    CHECK_EQ(hg_tunnel_parse(p, &rules, &view), HG_TUNNEL_ZERO_CHECKSUM);
    rules.allow_zero_checksum6 = true;
    CHECK_EQ(hg_tunnel_parse(p, &rules, &view), HG_TUNNEL_OK);
    hg_packet_free(p);
    hg_pool_destroy(pool);
}

TEST(a_critical_option_of_a_known_class_passes)
{
    struct hg_pool *pool = hg_pool_create(0);
    struct hg_packet *p = from_hex(pool, vectors[GWLB].hex);
    struct hg_tunnel_rules rules = rules_of(HG_TUNNEL_GENEVE);
    uint64_t classes[] = {0x0109};
    struct hg_number_list known = {1, classes};
    struct hg_tunnel_view view;

    p->data[51] = 0x09;
    p->data[52] = 0x81;
    CHECK_EQ(hg_tunnel_parse(p, &rules, &view), HG_TUNNEL_CRITICAL);
    rules.known = &known;
    CHECK_EQ(hg_tunnel_parse(p, &rules, &view), HG_TUNNEL_OK);
    hg_packet_free(p);
    hg_pool_destroy(pool);
}

TEST(no_length_of_any_vector_is_read_past)
{
    struct hg_pool *pool = hg_pool_create(0);
    struct hg_packet *whole;
    unsigned i, n_ok = 0;
    uint32_t len;

    for (i = 0; i < N_VECTORS; i++) {
        struct hg_tunnel_rules rules = rules_of(vectors[i].header.format);

        whole = from_hex(pool, vectors[i].hex);
        for (len = 0; len < whole->len; len++) {
            uint8_t *exact = malloc(len ? len : 1);
            uint8_t *data = whole->data;
            uint32_t full = whole->len;
            struct hg_tunnel_view view;

            memcpy(exact, data, len);
            whole->data = exact;
            whole->len = len;
            hg_packet_parse(whole);
            n_ok += hg_tunnel_parse(whole, &rules, &view) == HG_TUNNEL_OK;
            whole->data = data;
            whole->len = full;
            free(exact);
        }
        hg_packet_free(whole);
    }
    CHECK(n_ok > 0); /* Cut by a capture behind all headers. */
    hg_pool_destroy(pool);
}

/* ---- Kept headers ----------------------------------------------------- */

/* Takes a vector apart; the packet has 'pad' bytes of Ethernet padding. */
static struct hg_packet *
take_apart(struct hg_pool *pool, struct hg_tunnel_store *store, unsigned i,
           uint32_t pad, uint64_t *number)
{
    struct hg_packet *p = from_hex(pool, vectors[i].hex);
    struct hg_tunnel_rules rules = rules_of(vectors[i].header.format);
    struct hg_tunnel_view view;

    p->time_ns = HG_SEC;
    if (pad)
        memset(hg_packet_put(p, pad), 0xaa, pad);
    REQUIRE(hg_tunnel_parse(p, &rules, &view) == HG_TUNNEL_OK);
    REQUIRE(hg_tunnel_keep(store, p, rules.format, &view, number) ==
            HG_TUNNEL_KEPT);
    hg_tunnel_pull(p, &view);
    return p;
}

TEST(kept_headers_come_back_byte_for_byte)
{
    struct hg_pool *pool = hg_pool_create(0);
    struct hg_tunnel_store *store = hg_tunnel_store_create(64, HG_SEC);
    unsigned i, pad;

    for (i = 0; i < N_VECTORS; i++)
        for (pad = 0; pad < 3; pad++) {
            uint64_t number;
            struct hg_packet *p = take_apart(pool, store, i, pad, &number);
            struct hg_packet *expected = from_hex(pool, vectors[i].hex);

            if (pad)
                memset(hg_packet_put(expected, pad), 0xaa, pad);
            CHECK_EQ(hg_tunnel_restore(store, number, false, p),
                     HG_TUNNEL_RESTORED);
            CHECK_EQ(p->len, expected->len);
            CHECK_EQ(p->wire_len, expected->wire_len);
            CHECK_MEM(p->data, expected->data, expected->len);
            hg_packet_free(p);
            hg_packet_free(expected);
        }
    hg_tunnel_store_destroy(store);
    hg_pool_destroy(pool);
}

/* GRE that says 802.1Q and IPv4 in it, without an Ethernet header. */
TEST(a_tag_right_behind_the_tunnel_header_comes_back)
{
    static const char frame[] =
        "02000000000b02000000000a08004500003000004000402fb69bc0000202c0000201"
        "0000810000050800450000140000400040118683c0000202c0000201";
    struct hg_pool *pool = hg_pool_create(0);
    struct hg_tunnel_store *store = hg_tunnel_store_create(1, HG_SEC);
    struct hg_tunnel_rules rules = rules_of(HG_TUNNEL_GRE);
    struct hg_packet *p = from_hex(pool, frame);
    struct hg_packet *before = from_hex(pool, frame);
    struct hg_tunnel_view view;
    uint64_t number;

    REQUIRE(hg_tunnel_parse(p, &rules, &view) == HG_TUNNEL_OK);
    hg_tunnel_keep(store, p, rules.format, &view, &number);
    hg_tunnel_pull(p, &view);
    CHECK_EQ(p->l3_offset, 18);
    CHECK_EQ(hg_tunnel_restore(store, number, false, p), HG_TUNNEL_RESTORED);
    CHECK_EQ(p->len, before->len);
    CHECK_MEM(p->data, before->data, before->len);
    hg_packet_free(before);
    hg_packet_free(p);
    hg_tunnel_store_destroy(store);
    hg_pool_destroy(pool);
}

TEST(lengths_and_checksums_follow_the_inner_packet)
{
    struct hg_pool *pool = hg_pool_create(0);
    struct hg_tunnel_store *store = hg_tunnel_store_create(64, HG_SEC);
    unsigned i;

    for (i = 0; i < VLAN; i++) {
        struct hg_tunnel_rules rules = rules_of(vectors[i].header.format);
        struct hg_tunnel_view view;
        uint64_t number;
        struct hg_packet *p = take_apart(pool, store, i, 5, &number);
        uint32_t len;

        memset(hg_packet_put(p, 9), 0x55, 9);
        len = p->len;
        p->data[40] ^= 0xff;
        CHECK_EQ(hg_tunnel_restore(store, number, true, p),
                 HG_TUNNEL_RESTORED);
        CHECK_EQ(hg_tunnel_parse(p, &rules, &view), HG_TUNNEL_OK);
        CHECK(hg_addr_equal(&view.src, &vectors[i].header.dst));
        CHECK_MEM(p->data, &vectors[i].header.src_mac, 6);
        hg_tunnel_pull(p, &view);
        CHECK_EQ(p->len, len);
        hg_packet_free(p);
    }
    hg_tunnel_store_destroy(store);
    hg_pool_destroy(pool);
}

TEST(a_record_stays_until_its_time_has_passed)
{
    struct hg_pool *pool = hg_pool_create(0);
    struct hg_tunnel_store *store = hg_tunnel_store_create(2, HG_SEC);
    struct hg_tunnel_rules rules = rules_of(HG_TUNNEL_GENEVE);
    struct hg_tunnel_view view;
    uint64_t first, second, third;
    struct hg_packet *p = take_apart(pool, store, GENEVE, 0, &first);
    struct hg_packet *q = take_apart(pool, store, GENEVE, 0, &second);
    struct hg_packet *r = from_hex(pool, vectors[GENEVE].hex);

    hg_tunnel_parse(r, &rules, &view);
    r->time_ns = 2 * HG_SEC + HG_TUNNEL_SLACK_NS;
    CHECK_EQ(hg_tunnel_keep(store, r, HG_TUNNEL_GENEVE, &view, &third),
             HG_TUNNEL_FULL);
    r->time_ns++;
    CHECK_EQ(hg_tunnel_keep(store, r, HG_TUNNEL_GENEVE, &view, &third),
             HG_TUNNEL_KEPT);
    CHECK_EQ(hg_tunnel_restore(store, first, false, p), HG_TUNNEL_LOST);
    q->time_ns = 2 * HG_SEC + 1;
    CHECK_EQ(hg_tunnel_restore(store, second, false, q), HG_TUNNEL_LOST);
    q->time_ns = 2 * HG_SEC;
    CHECK_EQ(hg_tunnel_restore(store, second, false, q), HG_TUNNEL_RESTORED);
    CHECK_EQ(hg_tunnel_restore(store, 0, false, q), HG_TUNNEL_LOST);
    r->time_ns = 2 * HG_SEC;
    CHECK_EQ(hg_tunnel_restore(store, third, false, r), HG_TUNNEL_RESTORED);
    hg_packet_free(p);
    hg_packet_free(q);
    hg_packet_free(r);
    hg_tunnel_store_destroy(store);
    hg_pool_destroy(pool);
}

/* RFC 6040 4.2, figure 4; rows: inner not-ECT, ECT(0), ECT(1), CE; columns:
 * outer the same. */
TEST(congestion_marks_are_those_of_rfc_6040)
{
    static const uint8_t field[] = {0, 2, 1, 3};
    static const int expected[4][4] = {
        {0, 0, 0, -1}, {2, 2, 1, 3}, {1, 1, 1, 3}, {3, 3, 3, 3}};
    unsigned i, j;

    for (i = 0; i < 4; i++)
        for (j = 0; j < 4; j++)
            CHECK_EQ(hg_ecn_decapsulate(field[i], field[j]), expected[i][j]);
}

/* ---- Decap with an inventory ------------------------------------------ */

struct mapping {
    struct hg_inventory *inventory;
};

static void *
mapping_service(void *self_, const char *interface)
{
    struct mapping *self = self_;

    return strcmp(interface, "inventory") ? NULL : self->inventory;
}

static const struct hg_class mapping_class = {.name = "MappingService",
                                              .flags = HG_CLASS_PASSIVE,
                                              .self_size =
                                                  sizeof(struct mapping),
                                              .service = mapping_service};
static const struct hg_class source_class = {
    .name = "Source", .outputs = "out", .self_size = 1};

struct sink {
    uint32_t vpc;
    const struct hg_eni *src_eni;
    const struct hg_eni *dst_eni;
    hg_counter ended;
};

static void
sink_batch(struct hg_element *element, struct hg_batch *batch)
{
    struct sink *self = hg_element_self(element);
    int16_t verdict[HG_BATCH_MAX];
    unsigned i;

    for (i = 0; i < batch->n; i++) {
        self->vpc = batch->p[i]->vpc;
        self->src_eni = batch->p[i]->src_eni;
        self->dst_eni = batch->p[i]->dst_eni;
        verdict[i] = (int16_t)hg_drop(&self->ended);
    }
    hg_route(self, batch, verdict);
}

static const struct hg_field sink_fields[] = {
    HG_FIELD_(struct sink, HG_FIELD_REASON, ended, .doc = "the end")};
static const struct hg_class sink_class = {.name = "Sink",
                                           .inputs = "in",
                                           .fields = sink_fields,
                                           .n_fields = 1,
                                           .self_size = sizeof(struct sink),
                                           .batch = sink_batch};

static struct hg_addr
addr(const char *text)
{
    struct hg_addr a = {0};

    REQUIRE(hg_addr_parse(text, &a));
    return a;
}

/* VNI 42 with 10.0.0.5 on host 192.0.2.2 and 203.0.113.9 on another; the ENI
 * of 203.0.113.10 forwards for others. */
static struct hg_inventory *
inventory(void)
{
    static const struct {
        const char *id, *address, *host;
        uint8_t mac;
        bool check;
    } enis[] = {
        {"eni-1", "10.0.0.5", "192.0.2.2", 1, true},
        {"eni-2", "203.0.113.9", "192.0.2.9", 2, true},
        {"eni-3", "203.0.113.10", "192.0.2.2", 3, false},
    };
    struct hg_inventory *all = hg_inventory_create();
    struct hg_prefix cidr[2];
    char vpc_id[] = "vpc-1", a[] = "subnet-1", b[] = "subnet-2";
    const struct hg_subnet *subnet[2];
    const struct hg_vpc *vpc;
    size_t i;

    REQUIRE(hg_prefix_parse("10.0.0.0/24", &cidr[0]));
    REQUIRE(hg_prefix_parse("203.0.113.0/24", &cidr[1]));
    vpc = hg_inventory_add_vpc(
        all, &(struct hg_vpc){.id = vpc_id, .vni = 42, .cidr = {2, cidr}},
        NULL);
    REQUIRE(vpc != NULL);
    for (i = 0; i < 2; i++) {
        subnet[i] = hg_inventory_add_subnet(
            all,
            &(struct hg_subnet){
                .id = i ? b : a, .vpc = vpc, .cidr = {1, &cidr[i]}},
            NULL);
        REQUIRE(subnet[i] != NULL);
    }
    for (i = 0; i < 3; i++) {
        struct hg_addr address = addr(enis[i].address);
        const struct hg_eni_details details = {.address = {1, &address}};
        char id[16];

        strcpy(id, enis[i].id);
        REQUIRE(hg_inventory_add_eni(
                    all,
                    &(struct hg_eni){.id = id,
                                     .vpc = vpc,
                                     .subnet = subnet[i > 0],
                                     .mac = {{2, 0, 0, 0, 1, enis[i].mac}},
                                     .details = &details,
                                     .host = addr(enis[i].host),
                                     .source_dest_check = enis[i].check},
                    NULL) != NULL);
    }
    return all;
}

struct sender_row {
    const char *option; /* "edge=192.0.2.0/24" and the like, or NULL. */
    const char *host;   /* Outer source. */
    uint8_t src;        /* Last byte of the inner source 10.0.0.x. */
    uint32_t network;
    uint32_t source_eni; /* GENEVE option; 0: none. */
    const char *reason;  /* NULL: it passes. */
};

static const struct sender_row senders[] = {
    {NULL, "192.0.2.2", 5, 42, 0, NULL},
    {NULL, "192.0.2.2", 5, 42, 1, NULL},
    {NULL, "192.0.2.3", 5, 42, 0, "spoofed_sender"},
    {NULL, "192.0.2.3", 5, 42, 1, "spoofed_sender"},
    {NULL, "192.0.2.2", 6, 42, 0, "unknown_sender"},
    {NULL, "192.0.2.2", 6, 42, 3, NULL}, /* It forwards for others. */
    {NULL, "192.0.2.3", 6, 42, 3, "spoofed_sender"},
    {NULL, "192.0.2.2", 5, 42, 2, "eni_mismatch"},
    {NULL, "192.0.2.2", 5, 42, 99, "eni_mismatch"},
    {NULL, "192.0.2.2", 5, 43, 0, "unknown_network"},
    {"edge=192.0.2.3", "192.0.2.3", 6, 42, 0, NULL},
    {"edge=192.0.2.3", "192.0.2.4", 5, 42, 0, "spoofed_sender"},
    {"verify-sender=false", "192.0.2.3", 6, 42, 0, NULL},
};

static struct hg_packet *
sent(struct hg_pool *pool, const struct sender_row *row)
{
    struct hg_packet *p = from_hex(pool, INNER);
    struct hg_tunnel_header h = vectors[GENEVE].header;

    p->data[29] = row->src;
    hg_packet_parse(p);
    hg_packet_set_checksums(p);
    h.src = addr(row->host);
    h.network = row->network;
    h.has_eni = row->source_eni != 0;
    h.eni_class = HG_GENEVE_ENI_CLASS;
    h.source_eni = row->source_eni;
    REQUIRE(hg_tunnel_push(p, &h));
    return p;
}

static uint64_t
reason_count(const struct hg_element *element, const char *reason)
{
    size_t i;

    for (i = 0; i < hg_plugin.n_fields; i++)
        if (!strcmp(hg_plugin.fields[i].name, reason))
            return hg_element_number(element, &hg_plugin.fields[i]);
    FAIL("no reason '%s'", reason);
    return 0;
}

static void
set_option(struct hg_element *element, const char *text)
{
    char name[32];
    const char *value = strchr(text, '=') + 1;

    snprintf(name, sizeof name, "%.*s", (int)(value - text - 1), text);
    REQUIRE(hg_element_set(element, name, &value, 1, NULL));
}

TEST(a_host_sends_only_for_the_enis_it_has)
{
    size_t i;

    for (i = 0; i < sizeof senders / sizeof *senders; i++) {
        const struct sender_row *row = &senders[i];
        struct hg_graph *g = hg_graph_create(&(struct hg_graph_config){0});
        struct hg_element *source = hg_graph_add(g, &source_class, "s");
        struct hg_element *decap = hg_graph_add(g, &hg_plugin, "decap");
        struct hg_element *mapping = hg_graph_add(g, &mapping_class, "m");
        struct hg_element *end = hg_graph_add(g, &sink_class, "e");
        struct mapping *m = hg_element_self(mapping);
        struct hg_inventory *all = inventory();
        struct sink *sink = hg_element_self(end);
        struct hg_packet *p;

        m->inventory = all;
        set_option(decap, "format=geneve");
        if (row->option)
            set_option(decap, row->option);
        REQUIRE(hg_element_configure(decap));
        REQUIRE(hg_graph_connect(g, source, 0, decap, 0, NULL));
        REQUIRE(hg_graph_connect(g, decap, 0, end, 0, NULL));
        hg_graph_finish(g);
        REQUIRE(hg_graph_start(g, HG_SEC, NULL));
        p = sent(hg_graph_pool(g), row);
        hg_graph_inject(g, source, 0, &p, 1);
        hg_graph_dispatch(g);
        if (sink->ended.n != !row->reason)
            FAIL("row %zu: %u passed", i, (unsigned)sink->ended.n);
        if (row->reason)
            CHECK_EQ(reason_count(decap, row->reason), 1);
        else
            CHECK_EQ(sink->vpc, 1);
        if (!row->reason && row->src == 5) {
            CHECK_STR(sink->src_eni->id, "eni-1");
            CHECK_STR(sink->dst_eni->id, "eni-2");
        }
        CHECK(hg_graph_account(g, &(struct hg_account){0}));
        hg_graph_stop(g);
        hg_graph_destroy(g);
        hg_inventory_destroy(all);
    }
}
