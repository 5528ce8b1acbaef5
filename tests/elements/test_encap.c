/* test_encap.c: Encap and Decap: what is said of a packet decides where its
 * tunnel goes, and what a tunnel says becomes the packet's identity.  How
 * headers look on the wire, and what may be wrong with them, is tested in
 * unit/test_tunnel.c. */
#include <string.h>

#include <headgate/tunnel.h>

#include "harness.h"
#include "notation.h"

#define UDP "udp 10.0.0.5:40000 > 203.0.113.9:53 len 12"
#define UDP6 "udp [2001:db8::5]:40000 > [2001:db8:1::9]:53 len 12"
#define ENCAP(...)                                                            \
    bench_create("Encap", "local=192.0.2.1 2001:db8::1", "remote=192.0.2.2",  \
                 __VA_ARGS__)

/* ---- The outer header ------------------------------------------------- */

/* What Encap, with the options, makes of 'in'. */
struct outer_row {
    const char *option[3];
    const char *in;
    const char *out;
};

static const struct outer_row outers[] = {
    {{"format=geneve"},
     UDP,
     "udp 192.0.2.1:* > 192.0.2.2:6081 len 62 ttl 64 "
     "df"},
    {{"format=vxlan"}, UDP, "udp 192.0.2.1:* > 192.0.2.2:4789 len 62 df"},
    {{"format=vxlan", "port=8472"}, UDP, "udp 192.0.2.1:* > 192.0.2.2:8472"},
    {{"format=vxlan", "source-ports=50000"},
     UDP,
     "udp 192.0.2.1:50000 > 192.0.2.2:4789"},
    {{"format=geneve", "inner=ip"},
     UDP,
     "udp 192.0.2.1:* > 192.0.2.2:6081 len 48"},
    {{"format=geneve", "eni-options=true"},
     UDP,
     "udp 192.0.2.1:* > 192.0.2.2:6081 len 78"},
    {{"format=geneve", "gwlb-endpoint=1", "gwlb-attachment=2"},
     UDP,
     "udp 192.0.2.1:* > 192.0.2.2:6081 len 80"},
    {{"format=gre"}, UDP, "ip 192.0.2.1 > 192.0.2.2 proto 47 len 44"},
    {{"format=gre", "vni=0"}, UDP, "ip 192.0.2.1 > 192.0.2.2 proto 47 len 48"},
    {{"format=gre", "inner=ethernet"},
     UDP,
     "ip 192.0.2.1 > 192.0.2.2 proto 47 len 58"},
    {{"format=gre", "gre-checksum=true", "gre-sequence=true"},
     UDP,
     "ip 192.0.2.1 > 192.0.2.2 proto 47 len 52"},
    {{"format=nvgre"}, UDP, "ip 192.0.2.1 > 192.0.2.2 proto 47 len 62"},
    {{"format=vxlan", "remote=2001:db8::2"},
     UDP,
     "udp [2001:db8::1]:* > [2001:db8::2]:4789 len 62"},
    {{"format=vxlan", "ttl=0"}, UDP " ttl 9", "udp * > *:4789 ttl 9"},
    {{"format=vxlan", "ttl=7"}, UDP " ttl 9", "udp * > *:4789 ttl 7"},
    {{"format=vxlan"}, UDP " tos 185", "udp * > *:4789 tos 185"},
    {{"format=vxlan", "ecn=compatibility"},
     UDP " tos 187",
     "udp * > *:4789 tos 184"},
    {{"format=vxlan", "dscp=10"}, UDP " tos 187", "udp * > *:4789 tos 43"},
    {{"format=vxlan"},
     "arp who-has 10.0.0.1 tell 10.0.0.2",
     "udp * > *:4789 len * ttl 64"},
    {{"format=vxlan", "src-mac=02:00:00:00:00:0a",
      "dst-mac=02:00:00:00:00:0b"},
     UDP,
     "udp * > *:4789 smac 02:00:00:00:00:0a dmac 02:00:00:00:00:0b"},
};

TEST(the_outer_header_is_what_options_say)
{
    size_t i;

    for (i = 0; i < sizeof outers / sizeof *outers; i++) {
        const struct outer_row *row = &outers[i];
        struct bench *b =
            ENCAP(row->option[0], row->option[1] ? row->option[1] : "mtu=9001",
                  row->option[2] ? row->option[2] : "mtu=9001");

        bench_push(b, "in", row->in, 0);
        bench_expect(b, "out", row->out);
        CHECK_EQ(bench_counter(b, "encapsulated"), 1);
        bench_destroy(b);
    }
}

TEST(dont_fragment_is_set_copied_or_cleared)
{
    static const struct {
        const char *option, *in;
        bool df;
    } rows[] = {
        {"df=set", UDP, true},          {"df=copy", UDP, false},
        {"df=copy", UDP " df", true},   {"df=copy", UDP6, true},
        {"df=clear", UDP " df", false},
    };
    size_t i;

    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct bench *b = ENCAP("format=vxlan", rows[i].option);
        const struct hg_packet *p;

        bench_push(b, "in", rows[i].in, 0);
        p = bench_take(b, "out");
        CHECK_EQ(hg_get16(hg_packet_ipv4(p)->frag),
                 rows[i].df ? HG_IP4_DF : 0);
        bench_destroy(b);
    }
}

TEST(tags_keep_the_frame_as_it_is)
{
    struct bench *b = bench_create("Encap", "format=vlan", "vni=5");

    bench_push(b, "in", UDP, 0);
    bench_expect(b, "out", "vlan 5 " UDP);
    bench_destroy(b);
    b = bench_create("Encap", "format=qinq", "vni=28677");
    bench_push(b, "in", UDP, 0);
    CHECK_EQ(hg_load32(bench_take(b, "out")->data + 12), 0x88a80007);
    bench_destroy(b);
    b = bench_create("Decap", "format=vlan", "vni=5");
    bench_push(b, "in", "vlan 5 " UDP, 0);
    bench_expect(b, "out", UDP);
    bench_push(b, "in", UDP, 0);
    bench_expect(b, "other", UDP);
    bench_push(b, "in", "vlan 6 " UDP, 0);
    CHECK_EQ(bench_counter(b, "unknown_network"), 1);
    bench_destroy(b);
}

/* ---- What cannot go ---------------------------------------------------- */

TEST(a_packet_that_is_too_big_leaves_unchanged)
{
    struct bench *b = ENCAP("format=geneve", "mtu=90");
    char text[128];

    bench_push(b, "in", UDP, 0); /* 20 + 8 + 8 + 14 + 40. */
    bench_expect(b, "out", "udp * > *:6081 len 62");
    snprintf(text, sizeof text, "%s", UDP);
    text[strlen(text) - 1] = '3';
    bench_push(b, "in", text, 0);
    bench_expect(b, "too-big", text);
    CHECK_EQ(bench_counter(b, "too_big"), 1);
    bench_destroy(b);
}

static struct hg_packet *
of_vpc(struct bench *b, uint32_t vpc)
{
    struct hg_packet *p = notation_parse(bench_pool(b), UDP, NULL);

    REQUIRE(p != NULL);
    p->vpc = vpc;
    return p;
}

TEST(each_reason_to_refuse_is_counted)
{
    struct bench *b =
        bench_create("Encap", "format=geneve", "local=192.0.2.1");

    bench_push(b, "in", UDP, 0);
    CHECK_EQ(bench_counter(b, "no_host"), 1);
    bench_destroy(b);
    b = ENCAP("format=gre");
    bench_push(b, "in", "arp who-has 10.0.0.1 tell 10.0.0.2", 0);
    bench_push(b, "in", "runt 9", 0);
    CHECK_EQ(bench_counter(b, "not_ip"), 2);
    bench_destroy(b);
    b = bench_create("Encap", "format=vlan");
    bench_push(b, "in", UDP, 0); /* VPC 0 is no VLAN. */
    CHECK_EQ(bench_counter(b, "bad_network"), 1);
    bench_destroy(b);
    b = bench_create("Encap", "format=qinq");
    bench_push_packet(b, "in", of_vpc(b, 7 << 12 | 4095), 0);
    bench_push_packet(b, "in", of_vpc(b, 7 << 12 | 4094), 0);
    CHECK_EQ(bench_counter(b, "bad_network"), 1);
    CHECK_EQ(hg_load32(bench_take(b, "out")->data + 16), 0x81000ffe);
    bench_destroy(b);
}

/* ---- Decap ------------------------------------------------------------ */

#define CHAIN(encap, decap)                                                   \
    "TestSource in {} TestSink out {} TestSink other {}\n"                    \
    "Encap e { local = 192.0.2.1  remote = 192.0.2.2  " encap " }\n"          \
    "Decap dut { " decap " }\n"                                               \
    "connect(\"in -> e -> dut -> out\")\n"                                    \
    "connect(\"dut[other] -> other\")\n"

TEST(the_network_is_the_packets_vpc)
{
    static const struct {
        const char *graph;
        const char *out;
    } rows[] = {
        {CHAIN("format = geneve vni = 42", "format = geneve"), UDP " vpc 42"},
        {CHAIN("format = vxlan vni = 42", "format = vxlan vni = 42"),
         UDP " vpc 0"},
        {CHAIN("format = gre vni = 42",
               "format = gre network 41 { vpc = 8 } network 42 { vpc = 7 }"),
         UDP " vpc 7"},
        {CHAIN("format = nvgre network 9 { vpc = 0 }", "format = nvgre"),
         UDP " vpc 9"},
    };
    size_t i;

    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct bench *b = bench_load(rows[i].graph);

        bench_push(b, "in", UDP, 0);
        bench_expect(b, "out", rows[i].out);
        CHECK_EQ(bench_counter(b, "decapsulated"), 1);
        bench_destroy(b);
    }
}

TEST(a_packet_without_vpc_has_the_network_of_the_only_one)
{
    struct bench *b = bench_load(
        "MappingService m { vpc v { vni = 9  cidr = 10.0.0.0/16 } }\n"
        "TestSource in {} TestSink out {}\n"
        "Encap dut { format = vxlan  local = 192.0.2.1  remote = 192.0.2.2\n"
        "    network 5 { vpc = v } }\n"
        "connect(\"in -> dut -> out\")\n");

    bench_push_packet(b, "in", of_vpc(b, 0), 0);
    CHECK_EQ(hg_load32(bench_take(b, "out")->data + 46), 5 << 8);
    bench_push_packet(b, "in", of_vpc(b, 1), 0);
    CHECK_EQ(hg_load32(bench_take(b, "out")->data + 46), 5 << 8);
    bench_destroy(b);
}

TEST(what_is_not_for_us_leaves_elsewhere)
{
    struct bench *b = bench_load(
        CHAIN("format = geneve", "format = geneve local = 192.0.2.3"));

    bench_push(b, "in", UDP, 0);
    bench_expect(b, "other", "udp 192.0.2.1:* > 192.0.2.2:6081");
    CHECK_EQ(bench_counter(b, "other"), 1);
    bench_destroy(b);
    b = bench_load(CHAIN("format = geneve port = 6082", "format = geneve"));
    bench_push(b, "in", UDP, 0);
    bench_expect(b, "other", "udp 192.0.2.1:* > 192.0.2.2:6082");
    bench_destroy(b);
}

TEST(gwlb_wants_its_three_options)
{
    struct bench *b = bench_load(
        CHAIN("format = geneve gwlb-endpoint = 1 gwlb-attachment = 2",
              "format = geneve gwlb = true"));

    bench_push(b, "in", UDP, 0);
    bench_expect(b, "out", UDP);
    bench_destroy(b);
    b = bench_load(
        CHAIN("format = geneve inner = ip", "format = geneve gwlb = true"));
    bench_push(b, "in", UDP, 0);
    CHECK_EQ(bench_counter(b, "missing_option"), 1);
    bench_destroy(b);
}

#define PRESERVING(reply)                                                     \
    "TestSource in {} TestSink out {}\n"                                      \
    "Encap e { format = geneve local = 192.0.2.1  remote = 192.0.2.2\n"       \
    "          gwlb-endpoint = 1 gwlb-attachment = 2 ttl = 77 }\n"            \
    "Decap d { format = geneve preserve = true preserve-records = 2\n"        \
    "          preserve-time = 1s }\n"                                        \
    "Encap dut { format = gre local = 192.0.2.8 remote = 192.0.2.9\n"         \
    "            preserve = " reply " }\n"                                    \
    "connect(\"in -> e -> d -> dut -> out\")\n"

TEST(an_appliance_sends_back_to_where_it_came_from)
{
    struct bench *b = bench_load(PRESERVING("reply"));

    bench_push(b, "in", UDP, 0);
    bench_expect(b, "out", "udp 192.0.2.2:* > 192.0.2.1:6081 len 80 ttl 77");
    CHECK_EQ(bench_counter(b, "preserved"), 1);
    bench_destroy(b);
}

TEST(without_a_record_a_packet_gets_new_headers)
{
    struct bench *b = bench_load(PRESERVING("same"));
    unsigned i;

    for (i = 0; i < 3; i++)
        bench_push(b, "in", UDP, i);
    for (i = 0; i < 2; i++)
        bench_expect(b, "out", "udp 192.0.2.1:* > 192.0.2.2:6081 ttl 77");
    bench_expect(b, "out", "ip 192.0.2.8 > 192.0.2.9 proto 47");
    CHECK_EQ(bench_counter(b, "preserve_lost"), 1);
    bench_destroy(b);
}

/* ---- Padding ---------------------------------------------------------- */

/* As after a packet with padding, the end of which a capture cut. */
static struct hg_packet *
cut_in_padding(struct hg_packet *p)
{
    memset(hg_packet_put(p, 6), 0, 6);
    p->wire_len += 4;
    return p;
}

TEST(padding_that_a_capture_cut_is_no_part_of_the_inner_packet)
{
    static const struct {
        const char *encap, *decap;
        uint32_t cut; /* Bytes of the frame that comes out. */
    } rows[] = {
        {NULL, "", 0}, /* The straight way and the other. */
        {NULL, "preserve = true", 0},
        {"format = vxlan  local = 192.0.2.8  remote = 192.0.2.9", "", 0},
        {"format = vxlan  preserve = same", "preserve = true", 4},
        {"format = gre  local = 192.0.2.8  remote = 192.0.2.9", NULL, 0},
    };
    struct hg_tunnel_header vxlan = {HG_TUNNEL_VXLAN,
                                     .is_ethernet = true,
                                     .ttl = 64,
                                     .dport = HG_PORT_VXLAN,
                                     .src = {4, {192, 0, 2, 2}},
                                     .dst = {4, {192, 0, 2, 1}}};
    char text[512];
    size_t i;

    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *encap = rows[i].encap, *decap = rows[i].decap;
        struct hg_packet *p;
        struct bench *b;

        snprintf(text, sizeof text,
                 "TestSource in {} TestSink out {} Counter dut {}\n"
                 "%s%s%s%s%s%s connect(\"in %s%s -> dut -> out\")\n",
                 decap ? "Decap d { format = vxlan  " : "", decap ? decap : "",
                 decap ? " }\n" : "", encap ? "Encap e { " : "",
                 encap ? encap : "", encap ? " }\n" : "", decap ? "-> d " : "",
                 encap ? "-> e" : "");
        b = bench_load(text);
        p = of_vpc(b, 0);
        if (decap)
            CHECK(hg_tunnel_push(p, &vxlan));
        bench_push_packet(b, "in", cut_in_padding(p), 0);
        p = bench_take(b, "out");
        REQUIRE(p != NULL);
        CHECK_EQ(p->wire_len, p->len + rows[i].cut);
        if (encap && !rows[i].cut)
            CHECK_EQ(hg_get16(hg_packet_ipv4(p)->total_length), p->len - 14);
        bench_destroy(b);
    }
}

/* ---- Options ---------------------------------------------------------- */

TEST(options_that_make_no_sense_are_refused)
{
    static const struct {
        const char *element;
        const char *why;
    } rows[] = {
        {"Encap e { local = 192.0.2.1 }", "*'format'*"},
        {"Encap e { format = geneve }", "*give 'local'*"},
        {"Encap e { format = geneve local = 192.0.2.1 remote = fd00::1 }",
         "*same IP version*"},
        {"Encap e { format = geneve local = { 192.0.2.1, 192.0.2.2 } }",
         "*one address of each IP version*"},
        {"Encap e { format = vlan vni = 4095 }", "*the largest is 4094*"},
        {"Encap e { format = qinq vni = 8191 }", "*VLAN id 4095*"},
        {"Decap e { format = qinq vni = 8191 }", "*VLAN id 4095*"},
        {"Decap e { format = qinq network 4095 { vpc = 1 } }",
         "*VLAN id 4095*"},
        {"Encap e { format = vlan ttl = 3 }", "*a tag has no outer*"},
        {"Encap e { format = vxlan local = 192.0.2.1 gwlb-endpoint = 1 "
         "gwlb-attachment = 2 }",
         "*only 'format = geneve' has options*\n*"},
        {"Encap e { format = geneve local = 192.0.2.1 gwlb-endpoint = 1 }",
         "*or none of them*"},
        {"Encap e { format = vxlan local = 192.0.2.1 inner = ip }",
         "*have a choice*"},
        {"Encap e { format = vlan network 1 { vpc = 1 } network 1 { vpc = 2 "
         "} }",
         "*network 1 is given twice*"},
        {"Decap e { format = gre gwlb = true }",
         "*only 'format = geneve' has options*"},
        {"Decap e { format = gre port = 5 }", "*over UDP*"},
        {"Decap e { format = vlan local = 192.0.2.1 }",
         "*a tag has no outer addresses*"},
        {"Decap e { format = vxlan vni = 1 network 2 { vpc = 3 } }",
         "*not both*"},
        {"Decap e { format = vxlan network 16777216 { vpc = 3 } }",
         "*the largest is 16777215*"},
    };
    size_t i;

    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[512];

        snprintf(text, sizeof text,
                 "TestSource a {} TestSink b {}\n%s\n"
                 "connect(\"a -> e -> b\")\n",
                 rows[i].element);
        bench_refuses(text, rows[i].why);
    }
}
