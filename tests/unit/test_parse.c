/* test_parse.c: what the parser finds in frames that scapy made, and that it
 * reads no byte that is not there whatever a frame holds. */
#include "test.h"

#include <headgate/packet.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A frame and what it is in words; the comment is the scapy line behind
 * Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") that made it. */
/* clang-format off */
static const struct {
    const char *hex;
    const char *text;
} rows[] = {
    /* IP(src='10.0.0.5',dst='203.0.113.9')/TCP(sport=40000,dport=443,
     * flags='S',seq=1,options=[('MSS',1460)]) */
    {"02000000000202000000000108004500002c00010000400634bd0a000005"
     "cb0071099c4001bb000000010000000060022000941b0000020405b4",
     "tcp 10.0.0.5:40000 > 203.0.113.9:443 S len 0 ttl 64 seq 1 ack 0 mss "
     "1460 id 1"},
    /* IP(src='10.0.0.5',dst='203.0.113.9',options=[IPOption_NOP()]*4)/TCP(
     * sport=1,dport=2,flags='PA',seq=7,ack=9)/(b'x'*5) */
    {"02000000000202000000000108004600003100010000400631b60a000005"
     "cb0071090101010100010002000000070000000950182000e0b400007878"
     "787878",
     "tcp 10.0.0.5:1 > 203.0.113.9:2 P. len 5 ttl 64 seq 7 ack 9 id 1"},
    /* IP(src='10.0.0.5',dst='203.0.113.9',id=0,tos=184,flags='DF',ttl=1)/
     * UDP(sport=53,dport=5000)/(b'a'*11) */
    {"020000000002020000000001080045b8002700004000011133000a000005"
     "cb0071090035138800135e156161616161616161616161",
     "udp 10.0.0.5:53 > 203.0.113.9:5000 len 11 ttl 1 tos 184 df"},
    /* IP(src='10.0.0.5',dst='203.0.113.9',id=0)/UDP(sport=53,dport=5000,
     * chksum=0) */
    {"02000000000202000000000108004500001c00000000401134c30a000005"
     "cb0071090035138800080000",
     "udp 10.0.0.5:53 > 203.0.113.9:5000 len 0 ttl 64"},
    /* IP(src='10.0.0.5',dst='203.0.113.9',id=0)/UDP(sport=53,dport=5000,
     * chksum=1) */
    {"02000000000202000000000108004500001c00000000401134c30a000005"
     "cb0071090035138800080001",
     "udp 10.0.0.5:53 > 203.0.113.9:5000 len 0 ttl 64 bad-checksum"},
    /* IP(src='10.0.0.5',dst='203.0.113.9',id=0,chksum=1)/UDP(sport=53,
     * dport=5000) */
    {"02000000000202000000000108004500001c00000000401100010a000005"
     "cb007109003513880008a612",
     "udp 10.0.0.5:53 > 203.0.113.9:5000 len 0 ttl 64 bad-header-checksum"},
    /* IP(src='10.0.0.5',dst='10.0.0.9',id=0)/ICMP(id=7,seq=1)/(b'p'*3) */
    {"02000000000202000000000108004500001f00000000400166d10a000005"
     "0a0000090800178700070001707070",
     "icmp 10.0.0.5 > 10.0.0.9 echo 7 seq 1 len 3 ttl 64"},
    /* IP(src='10.0.0.5',dst='10.0.0.9',id=0)/ICMP(type=13) */
    {"02000000000202000000000108004500002800000000400166c80a000005"
     "0a0000090d00ebfa000000000291551b0291551b0291551b",
     "icmp 10.0.0.5 > 10.0.0.9 type 13 code 0 len 12 ttl 64"},
    /* IP(src='10.0.0.1',dst='10.0.0.5',id=0)/ICMP(type=3,code=4,
     * nexthopmtu=1400)/IP(src='10.0.0.5',dst='10.0.0.9',id=0,ttl=63)/UDP(
     * sport=1,dport=2)/b'abcd' */
    {"02000000000202000000000108004500003c00000000400166bc0a000001"
     "0a00000503040baf0000057845000020000000003f1167c00a0000050a00"
     "000900010002000c26ff61626364",
     "icmp 10.0.0.1 > 10.0.0.5 unreachable 4 mtu 1400 ttl 64 (udp "
     "10.0.0.5:1 > 10.0.0.9:2 len 4 ttl 63)"},
    /* IP(src='10.0.0.1',dst='10.0.0.5',id=0)/ICMP(type=11,code=0)/raw(IP(
     * src='10.0.0.5',dst='10.0.0.9',id=0,ttl=1)/TCP(sport=1,dport=2,seq=5,
     * flags='S'))[:28] */
    {"02000000000202000000000108004500003800000000400166c00a000001"
     "0a0000050b00f4f70000000045000028000000000106a5c30a0000050a00"
     "00090001000200000005",
     "icmp 10.0.0.1 > 10.0.0.5 time-exceeded 0 ttl 64 (tcp 10.0.0.5:1 > "
     "10.0.0.9:2 ttl 1 seq 5)"},
    /* IP(src='10.0.0.5',dst='10.0.0.9',id=7,flags='MF')/UDP(sport=1,
     * dport=2,len=2000)/(b'z'*24) */
    {"02000000000202000000000108004500003400072000401146a50a000005"
     "0a0000090001000207d026307a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a"
     "7a7a7a7a7a7a",
     "udp 10.0.0.5:1 > 10.0.0.9:2 len 24 ttl 64 frag 0+ id 7"},
    /* IP(src='10.0.0.5',dst='10.0.0.9',id=7,frag=185,proto=17)/(b'z'*16) */
    {"020000000002020000000001080045000024000700b9401165fc0a000005"
     "0a0000097a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a",
     "ip 10.0.0.5 > 10.0.0.9 proto 17 len 16 ttl 64 frag 1480 id 7"},
    /* IP(src='10.0.0.5',dst='10.0.0.9',id=0,proto=47)/(b'z'*10) */
    {"02000000000202000000000108004500001e00000000402f66a40a000005"
     "0a0000097a7a7a7a7a7a7a7a7a7a",
     "ip 10.0.0.5 > 10.0.0.9 proto 47 len 10 ttl 64"},
    /* IP(src='10.0.0.5',dst='10.0.0.9',id=0)/UDP(sport=1,dport=2)/b'q'/
     * Padding(b'\0'*17) */
    {"02000000000202000000000108004500001d00000000401166c30a000005"
     "0a0000090001000200097acb710000000000000000000000000000000000",
     "udp 10.0.0.5:1 > 10.0.0.9:2 len 1 ttl 64 pad 17"},
    /* Dot1Q(vlan=5)/IP(src='10.0.0.5',dst='10.0.0.9',id=0)/UDP(sport=1,
     * dport=2) */
    {"0200000000020200000000018100000508004500001c00000000401166c4"
     "0a0000050a000009000100020008ebcd",
     "vlan 5 udp 10.0.0.5:1 > 10.0.0.9:2 len 0 ttl 64"},
    /* Dot1AD(vlan=100)/Dot1Q(vlan=7,prio=3)/ARP(op=1,psrc='10.0.0.2',
     * pdst='10.0.0.1',hwsrc='02:00:00:00:00:01',hwdst='00:00:00:00:00:00') */
    {"02000000000202000000000188a800648100600708060001080006040001"
     "0200000000010a0000020000000000000a000001",
     "vlan 100 vlan 7 arp who-has 10.0.0.1 tell 10.0.0.2"},
    /* ARP(op=2,psrc='10.0.0.1',pdst='10.0.0.2',hwsrc='02:00:00:00:00:07',
     * hwdst='02:00:00:00:00:09') */
    {"020000000002020000000001080600010800060400020200000000070a00"
     "00010200000000090a000002",
     "arp reply 10.0.0.1 is-at 02:00:00:00:00:07 to 10.0.0.2"},
    /* Ether(src='02:00:00:00:00:01',dst='02:00:00:00:00:02',type=0x88cc)/(
     * b'l'*46) */
    {"02000000000202000000000188cc6c6c6c6c6c6c6c6c6c6c6c6c6c6c6c6c"
     "6c6c6c6c6c6c6c6c6c6c6c6c6c6c6c6c6c6c6c6c6c6c6c6c6c6c6c6c6c6c",
     "eth type 0x88cc len 46"},
    /* IPv6(src='2001:db8::1',dst='2001:db8::2',hlim=9)/TCP(sport=1,
     * dport=2,flags='FUEC',seq=3,ack=4)/b'abc' */
    {"02000000000202000000000186dd600000000017060920010db800000000"
     "000000000000000120010db8000000000000000000000002000100020000"
     "00030000000450e120006f1f0000616263",
     "tcp [2001:db8::1]:1 > [2001:db8::2]:2 FUEW len 3 ttl 9 seq 3 ack 4"},
    /* IPv6(src='2001:db8::1',dst='2001:db8::2')/UDP(sport=1,dport=2)/b'abc' */
    {"02000000000202000000000186dd60000000000b114020010db800000000"
     "000000000000000120010db800000000000000000000000200010002000b"
     "dffd616263",
     "udp [2001:db8::1]:1 > [2001:db8::2]:2 len 3 ttl 64"},
    /* IPv6(src='2001:db8::1',dst='2001:db8::2')/UDP(sport=1,dport=2,
     * chksum=0) */
    {"02000000000202000000000186dd600000000008114020010db800000000"
     "000000000000000120010db8000000000000000000000002000100020008"
     "0000",
     "udp [2001:db8::1]:1 > [2001:db8::2]:2 len 0 ttl 64 bad-checksum"},
    /* IPv6(src='2001:db8::1',dst='2001:db8::2',tc=3)/ICMPv6EchoRequest(
     * id=7,seq=2,data=b'hello') */
    {"02000000000202000000000186dd60300000000d3a4020010db800000000"
     "000000000000000120010db80000000000000000000000028000e0670007"
     "000268656c6c6f",
     "icmp 2001:db8::1 > 2001:db8::2 echo 7 seq 2 len 5 ttl 64 tos 3"},
    /* IPv6(src='fe80::1',dst='ff02::1:ff00:2',hlim=255)/ICMPv6ND_NS(
     * tgt='fe80::2') */
    {"02000000000202000000000186dd6000000000183afffe80000000000000"
     "0000000000000001ff0200000000000000000001ff00000287007da10000"
     "0000fe800000000000000000000000000002",
     "icmp fe80::1 > ff02::1:ff00:2 type 135 code 0 len 16 ttl 255"},
    /* IPv6(src='2001:db8::1',dst='2001:db8::2')/ICMPv6PacketTooBig(
     * mtu=1280)/IPv6(src='2001:db8::2',dst='2001:db8::9',hlim=62)/UDP(
     * sport=5,dport=6)/b'x' */
    {"02000000000202000000000186dd6000000000393a4020010db800000000"
     "000000000000000120010db800000000000000000000000202002bea0000"
     "0500600000000009113e20010db800000000000000000000000220010db8"
     "0000000000000000000000090005000600092c5478",
     "icmp 2001:db8::1 > 2001:db8::2 too-big 0 mtu 1280 ttl 64 (udp "
     "[2001:db8::2]:5 > [2001:db8::9]:6 len 1 ttl 62)"},
    /* IPv6(src='2001:db8::1',dst='2001:db8::2')/IPv6ExtHdrHopByHop()/
     * IPv6ExtHdrDestOpt()/IPv6ExtHdrRouting(segleft=0)/UDP(sport=1,
     * dport=2)/b'abc' */
    {"02000000000202000000000186dd600000000023004020010db800000000"
     "000000000000000120010db80000000000000000000000023c0001040000"
     "00002b00010400000000110000000000000000010002000bdffd616263",
     "udp [2001:db8::1]:1 > [2001:db8::2]:2 len 3 ttl 64"},
    /* IPv6(src='2001:db8::1',dst='2001:db8::2')/IPv6ExtHdrHopByHop()/
     * IPv6ExtHdrFragment(offset=0,m=1,id=77)/UDP(sport=1,dport=2)/(b'a'*8) */
    {"02000000000202000000000186dd600000000020004020010db800000000"
     "000000000000000120010db80000000000000000000000022c0001040000"
     "0000110000010000004d0001000200101ed16161616161616161",
     "udp [2001:db8::1]:1 > [2001:db8::2]:2 len 8 ttl 64 frag 0+ id 77"},
    /* IPv6(src='2001:db8::1',dst='2001:db8::2')/IPv6ExtHdrFragment(
     * offset=0,m=0,id=77)/UDP(sport=1,dport=2)/b'a' */
    {"02000000000202000000000186dd6000000000112c4020010db800000000"
     "000000000000000120010db8000000000000000000000002110000000000"
     "004d000100020009436461",
     "udp [2001:db8::1]:1 > [2001:db8::2]:2 len 1 ttl 64"},
    /* IPv6(src='2001:db8::1',dst='2001:db8::2')/IPv6ExtHdrFragment(
     * offset=181,m=0,id=77,nh=17)/(b'a'*9) */
    {"02000000000202000000000186dd6000000000112c4020010db800000000"
     "000000000000000120010db8000000000000000000000002110005a80000"
     "004d616161616161616161",
     "ip 2001:db8::1 > 2001:db8::2 proto 17 len 9 ttl 64 frag 1448 id 77"},
    /* IPv6(src='2001:db8::1',dst='2001:db8::2',nh=60)/bytes.fromhex('1105') */
    {"02000000000202000000000186dd6000000000023c4020010db800000000"
     "000000000000000120010db80000000000000000000000021105",
     "ip 2001:db8::1 > 2001:db8::2 proto 60 len 2 ttl 64 bad-ext"},
    /* IPv6(src='2001:db8::1',dst='2001:db8::2',nh=59) */
    {"02000000000202000000000186dd6000000000003b4020010db800000000"
     "000000000000000120010db8000000000000000000000002",
     "ip 2001:db8::1 > 2001:db8::2 proto 59 len 0 ttl 64"},
};
/* clang-format on */

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

enum { FRAME_MAX = 256 };

static uint32_t
unhex(const char *hex, uint8_t *out)
{
    uint32_t n;

    for (n = 0; hex[2 * n]; n++) {
        char pair[3] = {hex[2 * n], hex[2 * n + 1], '\0'};

        out[n] = (uint8_t)strtoul(pair, NULL, 16);
    }
    return n;
}

/* A packet whose frame is a copy of its own, so that AddressSanitizer sees
 * every step over its end.  Free p->data. */
static void
packet_of(struct hg_packet *p, const uint8_t *frame, uint32_t len)
{
    memset(p, 0, sizeof *p);
    p->data = malloc(len ? len : 1);
    memcpy(p->data, frame, len);
    p->len = len;
    p->wire_len = len;
    hg_packet_parse(p);
}

TEST(frames_made_by_scapy_are_read_as_what_they_are)
{
    size_t i;

    for (i = 0; i < LENGTH(rows); i++) {
        uint8_t frame[FRAME_MAX];
        struct hg_packet p;
        char text[512];

        packet_of(&p, frame, unhex(rows[i].hex, frame));
        CHECK_STR(hg_packet_format(&p, text, sizeof text), rows[i].text);
        free(p.data);
    }
}

TEST(checksums_computed_anew_are_those_of_scapy)
{
    size_t i;

    for (i = 0; i < LENGTH(rows); i++) {
        uint8_t frame[FRAME_MAX];
        struct hg_packet p;

        if (strstr(rows[i].text, "bad-") || strstr(rows[i].hex, "00080000"))
            continue; /* Wrong on purpose, or UDP without. */
        packet_of(&p, frame, unhex(rows[i].hex, frame));
        hg_packet_set_checksums(&p);
        CHECK_MEM(p.data, frame, p.len);
        free(p.data);
    }
}

/* Uses everything that reads or writes by what the parser found. */
static void
use(struct hg_packet *p)
{
    struct hg_addr src = hg_packet_src(p);
    struct hg_addr dst = hg_packet_dst(p);
    const struct hg_arp *arp = hg_packet_arp(p);
    uint16_t sport = hg_packet_sport(p);
    uint8_t ttl = hg_packet_ttl(p);
    uint8_t sum = 0;
    char text[512];
    uint32_t i;

    for (i = 0; i < hg_packet_l4_len(p); i++)
        sum = (uint8_t)(sum + hg_packet_l4(p)[i]);
    for (i = 0; i < hg_packet_l3_len(p); i++)
        sum = (uint8_t)(sum + hg_packet_l3(p)[i]);
    if (arp)
        sum = (uint8_t)(sum + arp->tpa.b[3]);
    hg_packet_set_src(p, &dst);
    hg_packet_set_dst(p, &src);
    hg_packet_set_sport(p, hg_packet_dport(p));
    hg_packet_set_dport(p, sport);
    hg_packet_set_ttl(p, (uint8_t)(ttl + sum));
    hg_packet_format(p, text, sizeof text);
    text[strcspn(text, "(")] = '\0';
    if (p->flags & HG_PACKET_L4 && !strstr(text, " cut ") &&
        hg_packet_l4_checksum_ok(p) == !!strstr(text, "bad-checksum"))
        FAIL("'%s'", text);
    hg_packet_set_checksums(p);
    if (strstr(hg_packet_format(p, text, sizeof text), "bad-header-checksum"))
        CHECK(strchr(text, '('));
    CHECK(strlen(hg_packet_format(p, text, 10)) < 10);
}

TEST(a_frame_cut_anywhere_is_read_no_further)
{
    size_t i;

    for (i = 0; i < LENGTH(rows); i++) {
        uint8_t frame[FRAME_MAX];
        uint32_t len = unhex(rows[i].hex, frame);
        uint32_t cut;

        for (cut = 0; cut < len; cut++) {
            struct hg_packet p;

            packet_of(&p, frame, cut);
            use(&p);
            free(p.data);
        }
    }
}

TEST(a_frame_with_any_bytes_changed_is_read_no_further)
{
    unsigned round;

    srand(1);
    for (round = 0; round < 200000; round++) {
        uint8_t frame[FRAME_MAX];
        uint32_t len = unhex(rows[round % LENGTH(rows)].hex, frame);
        int changes = 1 + rand() % 3;
        struct hg_packet p;

        while (changes-- > 0)
            frame[12 + (uint32_t)rand() % (len - 12)] = (uint8_t)(rand() >> 5);
        if (rand() % 3 == 0)
            len = (uint32_t)rand() % len;
        packet_of(&p, frame, len);
        use(&p);
        free(p.data);
    }
}

/* The flags of a UDP packet with a payload of 10 after the byte at 'offset'
 * from the IP header became 'value'. */
static uint32_t
flags_with(uint32_t offset, uint8_t value)
{
    static const char hex[] = "0200000000020200000000010800"
                              "45000026000000004011f4be0a0000050a000009"
                              "0035138800120000"
                              "00010203040506070809";
    uint8_t frame[FRAME_MAX];
    struct hg_packet p;
    uint32_t len = unhex(hex, frame);

    frame[14 + offset] = value;
    packet_of(&p, frame, len);
    free(p.data);
    return p.flags;
}

/* The flags of a whole header of TCP or UDP. */
enum { PORTS = HG_PACKET_L4 | HG_PACKET_PORTS };

TEST(an_ip4_header_is_announced_only_if_version_and_length_are_right)
{
    CHECK_EQ(flags_with(0, 0x45), HG_PACKET_IP4 | PORTS);
    CHECK_EQ(flags_with(0, 0x65), 0);
    CHECK_EQ(flags_with(0, 0x44), 0);
    CHECK_EQ(flags_with(0, 0x4f), 0);
    CHECK_EQ(flags_with(0, 0x46), HG_PACKET_IP4 | PORTS);
}

TEST(a_transport_header_beyond_the_total_length_is_not_announced)
{
    CHECK_EQ(flags_with(3, 28), HG_PACKET_IP4 | PORTS);
    CHECK_EQ(flags_with(3, 27), HG_PACKET_IP4);
    CHECK_EQ(flags_with(3, 20), HG_PACKET_IP4);
    CHECK_EQ(flags_with(3, 0), HG_PACKET_IP4 | PORTS);
    CHECK_EQ(flags_with(2, 0xff), HG_PACKET_IP4 | PORTS);
}

TEST(later_fragments_have_no_transport_header)
{
    CHECK_EQ(flags_with(6, 0x20), HG_PACKET_IP4 | PORTS | HG_PACKET_FRAGMENT);
    CHECK_EQ(flags_with(7, 1),
             HG_PACKET_IP4 | HG_PACKET_FRAGMENT | HG_PACKET_FRAGMENT_LATER);
    CHECK_EQ(flags_with(6, 0x40), HG_PACKET_IP4 | PORTS);
}

TEST(icmp_is_of_the_ip_version_it_belongs_to)
{
    CHECK_EQ(flags_with(9, HG_PROTO_ICMP), HG_PACKET_IP4 | HG_PACKET_L4);
    CHECK_EQ(flags_with(9, HG_PROTO_ICMP6), HG_PACKET_IP4);
}

/* Up to eight tags are looked through. */
TEST(the_ninth_vlan_tag_is_what_the_frame_holds)
{
    uint8_t frame[FRAME_MAX] = {0};
    struct hg_packet p;
    unsigned n;

    for (n = 0; n < 9; n++)
        hg_store16(frame + 12 + 4 * n, n % 2 ? 0x8100 : 0x88a8);
    hg_store16(frame + 12 + 4 * 8, HG_ETH_IP4);
    frame[14 + 4 * 8] = 0x45;
    packet_of(&p, frame, 14 + 4 * 8 + 20);
    CHECK_EQ(p.flags, HG_PACKET_IP4);
    CHECK_EQ(p.l3_offset, 14 + 4 * 8);
    free(p.data);
    hg_store16(frame + 12 + 4 * 8, 0x9100);
    packet_of(&p, frame, sizeof frame);
    CHECK_EQ(p.ether_type, 0x9100);
    CHECK_EQ(p.l3_offset, 14 + 4 * 8);
    free(p.data);
}

TEST(an_endless_chain_of_ip6_extension_headers_is_broken)
{
    uint8_t frame[14 + 40 + 17 * 8 + 8] = {0};
    struct hg_packet p;
    unsigned n;

    hg_store16(frame + 12, HG_ETH_IP6);
    frame[14] = 0x60;
    hg_store16(frame + 18, sizeof frame - 54);
    frame[20] = HG_PROTO_DSTOPTS;
    for (n = 0; n < 17; n++)
        frame[54 + 8 * n] = n < 15 ? HG_PROTO_DSTOPTS : HG_PROTO_UDP;
    packet_of(&p, frame, sizeof frame);
    CHECK_EQ(p.flags, HG_PACKET_IP6 | PORTS);
    free(p.data);
    frame[54 + 8 * 15] = HG_PROTO_DSTOPTS;
    packet_of(&p, frame, sizeof frame);
    CHECK_EQ(p.flags, HG_PACKET_IP6 | HG_PACKET_BAD_EXT);
    CHECK(!hg_packet_l4_checksum_ok(&p));
    free(p.data);
}

TEST(an_authentication_header_counts_in_units_of_four)
{
    /* RFC 4302 2.2: 24 bytes are written as 24 / 4 - 2. */
    uint8_t frame[14 + 40 + 24 + 8] = {0};
    struct hg_packet p;

    hg_store16(frame + 12, HG_ETH_IP6);
    frame[14] = 0x60;
    hg_store16(frame + 18, 32);
    frame[20] = HG_PROTO_AH;
    frame[54] = HG_PROTO_UDP;
    frame[55] = 4;
    packet_of(&p, frame, sizeof frame);
    CHECK_EQ(p.flags, HG_PACKET_IP6 | PORTS);
    CHECK_EQ(p.l4_offset, 14 + 40 + 24);
    free(p.data);
}

TEST(a_jumbogram_ends_where_the_frame_ends)
{
    /* RFC 2675 2 and 3: payload length 0, the option in hop-by-hop. */
    uint8_t frame[14 + 40 + 8 + 8 + 100] = {0};
    struct hg_packet p;

    hg_store16(frame + 12, HG_ETH_IP6);
    frame[14] = 0x60;
    frame[54] = HG_PROTO_UDP;
    frame[56] = 0xc2;
    frame[57] = 4;
    packet_of(&p, frame, sizeof frame);
    CHECK_EQ(p.flags, HG_PACKET_IP6 | PORTS);
    CHECK_EQ(hg_packet_l4_len(&p), 108);
    free(p.data);
    frame[20] = HG_PROTO_UDP;
    packet_of(&p, frame, sizeof frame);
    CHECK_EQ(p.flags, HG_PACKET_IP6);
    CHECK_EQ(hg_packet_l3_len(&p), 40);
    free(p.data);
}

TEST(parsing_leaves_the_flags_of_others_alone)
{
    uint8_t frame[FRAME_MAX];
    struct hg_packet p;

    packet_of(&p, frame, unhex(rows[0].hex, frame));
    p.flags |= HG_PACKET_HELD | HG_PACKET_NEEDS_CSUM | HG_PACKET_HASHED;
    hg_packet_parse(&p);
    CHECK_EQ(p.flags,
             HG_PACKET_IP4 | PORTS | HG_PACKET_HELD | HG_PACKET_NEEDS_CSUM);
    free(p.data);
}

/* hg_packet_parse() has a straight way for most packets; that for all of them
 * begins at the L3 header. */
static void
both_find_the_same(struct hg_packet *p)
{
    struct hg_packet other = *p;

    hg_packet_parse(p);
    hg_packet_parse_l3(&other, hg_load16(p->data + 12), sizeof(struct hg_eth));
    CHECK_EQ(p->flags, other.flags);
    CHECK_EQ(p->ether_type, other.ether_type);
    CHECK_EQ(p->l3_offset, other.l3_offset);
    CHECK_EQ(p->l4_offset, other.l4_offset);
    CHECK_EQ(p->protocol, other.protocol);
}

TEST(the_straight_way_finds_what_the_other_one_does)
{
    enum { FIRST = 14, END = 54 };
    uint8_t frame[FRAME_MAX];
    struct hg_packet p;
    uint32_t i, at, value;

    for (i = 0; i < 4; i++) { /* TCP, options, UDP. */
        packet_of(&p, frame, unhex(rows[i].hex, frame));
        for (at = FIRST; at < END && at < p.len; at++) {
            uint8_t before = p.data[at];

            for (value = 0; value < 256; value++) {
                p.data[at] = (uint8_t)value;
                both_find_the_same(&p);
            }
            p.data[at] = before;
        }
        for (; p.len >= FIRST; p.len--)
            both_find_the_same(&p);
        free(p.data);
    }
}
