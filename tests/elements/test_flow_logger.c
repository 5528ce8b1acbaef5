/* test_flow_logger.c: which packets give which lines. */
#include "harness.h"
#include "notation.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <headgate/inventory.h>

/* A bench starts 200 s into a window of 600 s, and 20 s into one of 60. */

static char log_path[] = "/tmp/headgate-log-XXXXXX";

/* 'text' with the log's path for each "@"; the file is empty. */
static struct bench *
logging(const char *text)
{
    static char graph[4096];
    size_t n = 0;
    int fd;

    strcpy(log_path + strlen(log_path) - 6, "XXXXXX");
    fd = mkstemp(log_path);
    REQUIRE(fd >= 0);
    close(fd);
    for (; *text; text++)
        if (*text == '@')
            n += (size_t)snprintf(graph + n, sizeof graph - n, "%s", log_path);
        else
            graph[n++] = *text;
    graph[n] = '\0';
    return bench_load(graph);
}

/* Ends the run; what the log says then. */
static const char *
log_of(struct bench *b)
{
    static char text[16384];
    FILE *file;
    size_t n;

    bench_forget(b, NULL);
    bench_destroy(b);
    file = fopen(log_path, "r");
    REQUIRE(file != NULL);
    n = fread(text, 1, sizeof text - 1, file);
    text[n] = '\0';
    fclose(file);
    unlink(log_path);
    return text;
}

#define GRAPH(options)                                                        \
    "TestSource in {}  TestSource denied {}\n"                                \
    "TestSink out {}  TestSink rejected {}\n"                                 \
    "FlowLogger dut { log-destination = '@'\n" options "\n}\n"                \
    "connect(\"in -> dut -> out; denied -> [rejected]dut[rejected] -> "       \
    "rejected\")"

#define ID "interface-id = eni-1 account-id = 111122223333\n"
#define SHORT(fields) "log-format = '" fields "'\n"
#define TUPLE                                                                 \
    "${srcaddr} ${dstaddr} ${srcport} ${dstport} ${protocol} ${packets}"

TEST(a_flow_is_one_record_and_what_is_rejected_is_another)
{
    struct bench *b = logging(GRAPH(ID));

    bench_push(b, "in", "tcp 10.1.0.9:40022 > 10.1.0.10:22 S", 0);
    bench_push(b, "in", "tcp 10.1.0.9:40022 > 10.1.0.10:22 . len 100",
               3 * HG_SEC);
    bench_push(b, "denied", "tcp 10.1.0.9:40022 > 10.1.0.10:22 .", 4 * HG_SEC);
    bench_expect(b, "out", "tcp 10.1.0.9:40022 > 10.1.0.10:22 S");
    bench_expect(b, "out", "tcp 10.1.0.9:40022 > 10.1.0.10:22 .");
    bench_expect(b, "rejected", "tcp 10.1.0.9:40022 > 10.1.0.10:22 .");
    CHECK_STR(log_of(b),
              "2 111122223333 eni-1 10.1.0.9 10.1.0.10 40022 22 6 2 180 "
              "1700000000 1700000003 ACCEPT OK\n"
              "2 111122223333 eni-1 10.1.0.9 10.1.0.10 40022 22 6 1 40 "
              "1700000004 1700000004 REJECT OK\n");
}

TEST(what_is_rejected_ends_here_if_nothing_follows)
{
    struct bench *b = logging("TestSource denied {} TestSink out {}\n"
                              "FlowLogger dut { log-destination = '@' }\n"
                              "connect(\"denied -> [rejected]dut -> out\")");

    bench_push(b, "denied", "udp 10.1.0.9:1 > 10.1.0.10:2", 0);
    CHECK_EQ(bench_counter(b, "rejected"), 1);
    bench_expect_none(b, NULL);
    CHECK(strstr(log_of(b), "REJECT OK\n") != NULL);
}

TEST(windows_begin_at_multiples_of_their_length)
{
    struct bench *b = logging(GRAPH("max-aggregation-interval = 60s\n" SHORT(
        "${packets} ${tcp-flags} ${start} ${end}")));

    /* The first window ends at +40 s. */
    bench_push(b, "in", "tcp 10.1.0.9:1 > 10.1.0.10:2 S", 1 * HG_SEC);
    bench_push(b, "in", "tcp 10.1.0.9:1 > 10.1.0.10:2 .", 40 * HG_SEC - 1);
    CHECK_EQ(bench_counter(b, "records"), 0);
    bench_push(b, "in", "tcp 10.1.0.9:1 > 10.1.0.10:2 .", 40 * HG_SEC);
    CHECK_EQ(bench_counter(b, "records"), 1);
    bench_push(b, "in", "tcp 10.1.0.9:1 > 10.1.0.10:2 F.", 99 * HG_SEC);
    bench_advance(b, 100 * HG_SEC);
    CHECK_EQ(bench_counter(b, "records"), 2);
    bench_push(b, "in", "tcp 10.1.0.9:1 > 10.1.0.10:2 .", 101 * HG_SEC);
    CHECK_EQ(bench_counter(b, "flows"), 1);
    CHECK_STR(log_of(b), "2 2 1700000001 1700000039\n"
                         "2 1 1700000040 1700000099\n"
                         "1 0 1700000101 1700000101\n");
}

/* Live, the timer at a window's end may come late. */
TEST(of_packets_that_come_at_once_each_is_in_its_window)
{
    static const uint64_t time_ns[] = {39 * HG_SEC, 40 * HG_SEC - 1,
                                       40 * HG_SEC, 42 * HG_SEC};
    struct bench *b = logging(GRAPH("max-aggregation-interval = 60s\n" SHORT(
        "${packets} ${start} ${end}")));
    struct hg_packet *p[4];
    unsigned i;

    for (i = 0; i < 4; i++) {
        p[i] = notation_parse(bench_pool(b), "udp 10.1.0.9:1 > 10.1.0.10:2",
                              NULL);
        p[i]->time_ns = BENCH_START + time_ns[i];
    }
    hg_graph_inject(bench_graph(b), hg_graph_find(bench_graph(b), "in"), 0, p,
                    4);
    hg_graph_dispatch(bench_graph(b));
    CHECK_EQ(bench_counter(b, "records"), 1);
    CHECK_STR(log_of(b), "2 1700000039 1700000039\n"
                         "2 1700000040 1700000042\n");
}

TEST(ports_are_those_of_tcp_and_udp_alone)
{
    struct bench *b = logging(GRAPH(SHORT(TUPLE)));

    bench_push(b, "in", "icmp 10.1.0.9 > 10.1.0.10 echo 77 seq 1", 0);
    bench_push(b, "in", "icmp 10.1.0.9 > 10.1.0.10 echo 78 seq 1", 0);
    bench_push(b, "in", "udp [2001:db8::1]:5 > [2001:db8::2]:6", 0);
    CHECK_STR(log_of(b), "10.1.0.9 10.1.0.10 0 0 1 2\n"
                         "2001:db8::1 2001:db8::2 5 6 17 1\n");
}

TEST(an_interface_without_a_record_has_no_data)
{
    struct bench *b = logging(GRAPH(
        ID "max-aggregation-interval = 60s max-empty-windows = 2\n" SHORT(
            "${interface-id} ${packets} ${start} ${end} ${log-status}")));

    bench_advance(b, 40 * HG_SEC);
    bench_push(b, "in", "udp 10.1.0.9:1 > 10.1.0.10:2", 41 * HG_SEC);
    /* Two of the windows that follow are logged, and not the others. */
    bench_advance(b, 500 * HG_SEC);
    CHECK_EQ(bench_counter(b, "nodata_records"), 3);
    bench_push(b, "in", "udp 10.1.0.9:1 > 10.1.0.10:2", 501 * HG_SEC);
    bench_advance(b, 530 * HG_SEC);
    CHECK_STR(log_of(b), "eni-1 - 1700000000 1700000040 NODATA\n"
                         "eni-1 1 1700000041 1700000041 OK\n"
                         "eni-1 - 1700000100 1700000160 NODATA\n"
                         "eni-1 - 1700000160 1700000220 NODATA\n"
                         "eni-1 1 1700000501 1700000501 OK\n"
                         "eni-1 - 1700000520 1700000530 NODATA\n");
}

TEST(records_that_have_no_room_become_one_skipdata)
{
    struct bench *b = logging(
        GRAPH(ID "max-records = 2\n" SHORT("${dstport} ${log-status}")));

    bench_push(b, "in", "udp 10.1.0.9:1 > 10.1.0.10:1", 0);
    bench_push(b, "in", "udp 10.1.0.9:1 > 10.1.0.10:2", 0);
    bench_push(b, "in", "udp 10.1.0.9:1 > 10.1.0.10:3", 0);
    bench_push(b, "in", "udp 10.1.0.9:1 > 10.1.0.10:4", 0);
    bench_push(b, "in", "udp 10.1.0.9:1 > 10.1.0.10:1", 0);
    CHECK_EQ(bench_counter(b, "skipped"), 2);
    bench_advance(b, 400 * HG_SEC);
    bench_push(b, "in", "udp 10.1.0.9:1 > 10.1.0.10:5", 401 * HG_SEC);
    CHECK_EQ(bench_counter(b, "skipdata_records"), 1);
    CHECK_STR(log_of(b), "1 OK\n2 OK\n- SKIPDATA\n5 OK\n");
}

TEST(some_traffic_is_never_logged)
{
    static const struct {
        const char *packet;
        bool logged;
    } rows[] = {
        {"udp 10.1.0.9:5000 > 10.1.0.2:53", false},
        {"tcp 10.1.0.9:5000 > 10.1.0.2:53 S", false},
        {"udp 10.1.0.2:53 > 10.1.0.9:5000", false},
        {"udp 10.1.0.9:5000 > 10.1.0.2:54", true},
        {"udp 10.1.0.9:5000 > 10.1.0.3:53", true},
        {"udp 10.1.0.9:5000 > 169.254.169.253:53", false},
        {"udp 10.1.0.9:5000 > 169.254.169.253:80", true},
        {"tcp 10.1.0.9:5000 > 169.254.169.254:80 S", false},
        {"udp 10.1.0.9:123 > 169.254.169.123:123", false},
        {"udp 10.1.0.9:123 > 169.254.169.124:123", true},
        {"tcp 10.1.0.9:5000 > 169.254.169.250:1688 S", false},
        {"tcp 10.1.0.9:5000 > 169.254.169.251:1688 S", false},
        {"tcp 10.1.0.9:5000 > 169.254.169.251:1689 S", true},
        {"udp 0.0.0.0:68 > 255.255.255.255:67", false},
        {"udp 10.1.0.9:68 > 10.1.0.9:69", true},
        {"udp [fe80::1]:546 > [ff02::1:2]:547", false},
        {"udp 10.1.4.1:1 > 10.1.0.9:1", false},
        {"udp 10.1.4.2:1 > 10.1.0.9:1", true},
        {"udp [2001:db8::9]:1 > [fd00:ec2::254]:80", false},
        {"udp [2001:db8::9]:1 > [fd00:ec2::253]:53", false},
        {"udp [2001:db8::9]:1 > [fd00:ec2::253]:54", true},
        {"udp [2001:db8::9]:1 > [2001:db8::1]:54", false},
        {"arp who-has 10.0.0.1 tell 10.0.0.2", false},
    };
    struct bench *b = logging(
        GRAPH("vpc-cidr = { 10.1.0.0/16 } subnet-cidr = { 10.1.4.0/24, "
              "2001:db8::/64 }"));
    unsigned i, n = 0, logged = 0;

    for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        bench_push(b, "in", rows[i].packet, 0);
        logged += rows[i].logged;
        n += !rows[i].logged;
        if (bench_counter(b, "flows") != logged ||
            bench_counter(b, "unlogged") != n)
            FAIL("%s", rows[i].packet);
    }
    log_of(b);
    b = logging(GRAPH("log-reserved = true"));
    bench_push(b, "in", "udp 10.1.0.9:123 > 169.254.169.123:123", 0);
    CHECK_EQ(bench_counter(b, "flows"), 1);
    log_of(b);
}

#define SIDES                                                                 \
    "${flow-direction} ${srcaddr} ${dstaddr} ${pkt-srcaddr} ${pkt-dstaddr}"

TEST(without_an_inventory_addresses_tell_the_direction)
{
    struct bench *b = logging(GRAPH(
        SHORT(SIDES " ${traffic-path}") "address = { 10.1.0.9, 10.1.0.8 }\n"
                                        "vpc-cidr = { 10.1.0.0/16 }"));

    bench_push(b, "in", "udp 10.1.0.9:1 > 10.1.0.10:2", 0);
    bench_push(b, "in", "udp 10.1.0.8:1 > 203.0.113.1:2", 0);
    bench_push(b, "in", "udp 203.0.113.1:2 > 10.1.0.8:1", 0);
    bench_push(b, "in", "udp 192.0.2.1:2 > 192.0.2.2:1", 0);
    CHECK_STR(log_of(b),
              "egress 10.1.0.9 10.1.0.10 10.1.0.9 10.1.0.10 1\n"
              "egress 10.1.0.9 203.0.113.1 10.1.0.8 203.0.113.1 8\n"
              "ingress 203.0.113.1 10.1.0.9 203.0.113.1 10.1.0.8 -\n"
              "- 192.0.2.1 192.0.2.2 192.0.2.1 192.0.2.2 -\n");
}

TEST(a_packet_between_own_addresses_is_two_records_or_unlogged_once)
{
    struct bench *b = logging(GRAPH(SHORT(
        "${flow-direction} ${dstport} ${action}") "address = { 10.1.0.9, "
                                                  "10.1.0.8 }"));

    bench_push(b, "in", "udp 10.1.0.9:68 > 10.1.0.8:67", 0); /* DHCP */
    CHECK_EQ(bench_counter(b, "unlogged"), 1);
    bench_push(b, "in", "udp 10.1.0.9:1 > 10.1.0.8:2", 0);
    CHECK_EQ(bench_counter(b, "unlogged"), 1);
    bench_push(b, "denied", "udp 10.1.0.9:1 > 10.1.0.8:3", 0);
    CHECK_STR(log_of(b), "egress 2 ACCEPT\ningress 2 ACCEPT\n"
                         "egress 3 REJECT\ningress 3 REJECT\n");
}

TEST(traffic_type_selects)
{
    static const char *const rows[][2] = {
        {"ALL", "ACCEPT\nREJECT\n"},
        {"ACCEPT", "ACCEPT\n"},
        {"REJECT", "REJECT\n"},
    };
    char options[256];
    unsigned i;

    for (i = 0; i < 3; i++) {
        struct bench *b;

        snprintf(options, sizeof options,
                 GRAPH("traffic-type = %s\n" SHORT("${action}")), rows[i][0]);
        b = logging(options);
        bench_push(b, "in", "udp 10.1.0.9:1 > 10.1.0.10:2", 0);
        bench_push(b, "denied", "udp 10.1.0.9:1 > 10.1.0.10:2", 0);
        CHECK_STR(log_of(b), rows[i][1]);
    }
}

TEST(a_mark_is_the_traffic_path_if_so_configured)
{
    static const char *const rows[][2] = {{"true", "6\n3\n"},
                                          {"false", "3\n3\n"}};
    char options[512];
    unsigned i;

    for (i = 0; i < 2; i++) {
        struct hg_packet *p;
        struct bench *b;

        snprintf(options, sizeof options,
                 GRAPH(SHORT("${traffic-path}") "direction = egress\n"
                                                "traffic-path = 3\n"
                                                "traffic-path-mark = %s"),
                 rows[i][0]);
        b = logging(options);
        p = notation_parse(bench_pool(b), "udp 10.1.0.9:1 > 203.0.113.1:2",
                           NULL);
        p->mark = 6;
        bench_push_packet(b, "in", p, 0);
        bench_push(b, "in", "udp 10.1.0.9:1 > 203.0.113.1:3", 0);
        CHECK_STR(log_of(b), rows[i][1]);
    }
}

TEST(the_open_window_can_be_read)
{
    struct bench *b = logging(GRAPH(SHORT(TUPLE)));

    bench_push(b, "in", "udp 10.1.0.9:1 > 10.1.0.10:2", 0);
    bench_push(b, "in", "udp 10.1.0.9:1 > 10.1.0.10:2", 0);
    CHECK_STR(bench_read(b, "window", ""), "10.1.0.9 10.1.0.10 1 2 17 2");
    log_of(b);
}

/* ---- Identity --------------------------------------------------------- */

struct world {
    struct hg_inventory *inventory;
    const struct hg_vpc *vpc[2];
    const struct hg_eni *a, *b, *nat, *peer;
};

static const struct hg_eni *
add_eni(struct world *w, const struct hg_subnet *subnet, const char *id,
        const char *address, char *instance)
{
    struct hg_addr addr[2];
    const struct hg_eni_details details = {.address = {1, addr},
                                           .instance = instance};
    struct hg_eni eni = {.id = (char *)id,
                         .vpc = subnet->vpc,
                         .subnet = subnet,
                         .mac = {{2, 0, 0, 0, 1, (uint8_t)id[4]}},
                         .details = &details};
    struct hg_error error;
    const struct hg_eni *added;

    REQUIRE(hg_addr_parse(address, &addr[0]));
    added = hg_inventory_add_eni(w->inventory, &eni, &error);
    if (!added)
        FAIL("%s", error.text);
    REQUIRE(added != NULL);
    return added;
}

static const struct hg_subnet *
add_vpc(struct world *w, unsigned i)
{
    struct hg_prefix cidr;
    struct hg_vpc vpc = {.id = i ? "vpc-b" : "vpc-a",
                         .vni = 100 + i,
                         .account = i ? "222222222222" : "111111111111",
                         .cidr = {1, &cidr}};
    struct hg_subnet subnet = {.id = i ? "subnet-b" : "subnet-a",
                               .cidr = {1, &cidr},
                               .az = "use1-az1"};
    struct hg_error error;

    REQUIRE(hg_prefix_parse("10.0.0.0/16", &cidr));
    w->vpc[i] = hg_inventory_add_vpc(w->inventory, &vpc, &error);
    REQUIRE(w->vpc[i] != NULL);
    subnet.vpc = w->vpc[i];
    return hg_inventory_add_subnet(w->inventory, &subnet, &error);
}

static void
make_world(struct world *w)
{
    const struct hg_subnet *a, *b;

    w->inventory = hg_inventory_create();
    a = add_vpc(w, 0);
    b = add_vpc(w, 1);
    REQUIRE(a && b);
    w->a = add_eni(w, a, "eni-a", "10.0.1.5", "i-a");
    w->b = add_eni(w, a, "eni-b", "10.0.1.6", "i-b");
    w->nat = add_eni(w, a, "eni-nat", "10.0.0.220", NULL);
    w->peer = add_eni(w, b, "eni-peer", "10.0.1.5", "i-p");
}

static void
push_from_to(struct bench *b, const char *in, const char *text,
             const struct hg_eni *src, const struct hg_eni *dst)
{
    struct hg_error error;
    struct hg_packet *p = notation_parse(bench_pool(b), text, &error);

    REQUIRE(p != NULL);
    p->src_eni = src;
    p->dst_eni = dst;
    bench_push_packet(b, in, p, 0);
}

TEST(a_packet_between_interfaces_has_a_record_on_each)
{
    struct bench *b = logging(
        GRAPH(SHORT("${account-id} ${interface-id} ${vpc-id} ${subnet-id} "
                    "${instance-id} ${flow-direction} ${traffic-path}")));
    struct world w;

    make_world(&w);
    push_from_to(b, "in", "udp 10.0.1.5:1 > 10.0.1.6:2", w.a, w.b);
    push_from_to(b, "in", "udp 10.0.1.5:1 > 10.0.1.5:2", w.peer, w.a);
    CHECK_STR(log_of(b),
              "111111111111 eni-b vpc-a subnet-a i-b ingress -\n"
              "111111111111 eni-a vpc-a subnet-a i-a egress 1\n"
              "111111111111 eni-a vpc-a subnet-a i-a ingress -\n"
              "222222222222 eni-peer vpc-b subnet-b i-p egress 4\n");
    hg_inventory_destroy(w.inventory);
}

/* The case of a NAT gateway that the Amazon VPC user guide works through. */
TEST(the_interface_side_shows_the_primary_address)
{
    struct bench *b =
        logging(GRAPH(SHORT("${interface-id} " SIDES " ${instance-id}")));
    struct world w;

    make_world(&w);
    push_from_to(b, "in", "tcp 10.0.1.5:1 > 203.0.113.5:80 S", NULL, w.nat);
    push_from_to(b, "in", "tcp 10.0.0.220:9 > 203.0.113.5:80 S", w.nat, NULL);
    push_from_to(b, "in", "tcp 203.0.113.5:80 > 10.0.0.220:9 S.", NULL, w.nat);
    push_from_to(b, "in", "tcp 203.0.113.5:80 > 10.0.1.5:1 S.", w.nat, NULL);
    CHECK_STR(log_of(b),
              "eni-nat ingress 10.0.1.5 10.0.0.220 10.0.1.5 203.0.113.5 -\n"
              "eni-nat egress 10.0.0.220 203.0.113.5 10.0.0.220 203.0.113.5 "
              "-\n"
              "eni-nat ingress 203.0.113.5 10.0.0.220 203.0.113.5 10.0.0.220 "
              "-\n"
              "eni-nat egress 10.0.0.220 10.0.1.5 203.0.113.5 10.0.1.5 -\n");
    hg_inventory_destroy(w.inventory);
}

TEST(what_is_rejected_is_logged_on_the_side_that_refused_it)
{
    struct bench *b =
        logging(GRAPH(SHORT("${interface-id} ${flow-direction} ${action}")));
    struct world w;

    make_world(&w);
    push_from_to(b, "denied", "udp 10.0.1.5:1 > 10.0.1.6:2", w.a, w.b);
    push_from_to(b, "denied", "udp 10.0.1.5:1 > 10.0.1.6:3", w.a, NULL);
    CHECK_STR(log_of(b), "eni-b ingress REJECT\neni-a egress REJECT\n");
    hg_inventory_destroy(w.inventory);
}

/* An egress rule refuses although the destination is known already, and the
 * log is of the direction that it is not. */
TEST(a_filter_says_which_side_refused)
{
    struct bench *b =
        logging("TestSource out {} TestSource in {} TestSink end {}\n"
                "NACL acl { outbound 1 { cidr = 0.0.0.0/0 action = deny } }\n"
                "SecurityGroup groups { group sg-1 { } groups = sg-1 }\n"
                "FlowLogger dut { log-destination = '@' direction = "
                "ingress\n" SHORT("${interface-id} ${flow-direction} "
                                  "${action}") "}\n"
                                               "connect(\"out -> "
                                               "[outbound]acl[outbound] -> "
                                               "[egress]groups[egress] -> dut "
                                               "-> end\")\n"
                                               "connect(\"in -> "
                                               "[ingress]groups[ingress] -> "
                                               "[inbound]acl[inbound] -> "
                                               "end\")\n"
                                               "connect(\"acl[deny] -> "
                                               "[rejected]dut\")\n"
                                               "connect(\"groups[deny] -> "
                                               "[rejected]dut\")");
    struct world w;

    make_world(&w);
    push_from_to(b, "out", "udp 10.0.1.5:1 > 10.0.1.5:2", w.a, w.peer);
    push_from_to(b, "in", "udp 10.0.1.5:1 > 10.0.1.6:3", w.a, w.b);
    CHECK_STR(log_of(b), "eni-a egress REJECT\neni-b ingress REJECT\n");
    hg_inventory_destroy(w.inventory);
}

TEST(loggers_at_two_places_share_a_log)
{
    struct bench *b = logging(
        "TestSource before {} TestSource after {} TestSource denied {}\n"
        "TestSink out {} TestSink end {}\n"
        "FlowLogger first { into = dut  direction = egress }\n"
        "FlowLogger dut { log-destination = '@'  direction = ingress\n" SHORT(
            "${interface-id} ${flow-direction} ${action}") "}\n"
                                                           "connect(\"before "
                                                           "-> first -> out; "
                                                           "after -> dut -> "
                                                           "end; denied -> "
                                                           "[rejected]"
                                                           "first\")");
    struct world w;

    make_world(&w);
    push_from_to(b, "after", "udp 10.0.1.5:1 > 10.0.1.6:2", w.a, w.b);
    push_from_to(b, "before", "udp 10.0.1.5:1 > 10.0.1.6:2", w.a, w.b);
    push_from_to(b, "denied", "udp 10.0.1.5:1 > 10.0.1.6:2", w.a, w.b);
    bench_advance(b, 400 * HG_SEC);
    CHECK_EQ(bench_counter(b, "records"), 3);
    CHECK_STR(log_of(b), "eni-b ingress ACCEPT\n"
                         "eni-a egress ACCEPT\n"
                         "eni-a egress REJECT\n");
    hg_inventory_destroy(w.inventory);
}

/* ---- Mistakes --------------------------------------------------------- */

#define REFUSED(options)                                                      \
    "TestSource in {} TestSink out {}\n"                                      \
    "FlowLogger dut { " options " }\n"                                        \
    "connect(\"in -> dut -> out\")"

TEST(options_that_contradict_are_refused)
{
    bench_refuses(REFUSED(""),
                  "'dut': the log needs a place: give 'log-destination', a "
                  "file (a folder for S3), or log-destination-type stdout or "
                  "syslog");
    bench_refuses(REFUSED("log-destination = a log-destination-type = stdout"),
                  "*'a': standard output and syslog need no place");
    bench_refuses(REFUSED("log-destination = a log-destination-type = s3"),
                  "*names of S3 objects have account and region; give "
                  "'account-id' and 'region'");
    bench_refuses(REFUSED("log-destination = a per-hour-partition = true"),
                  "*partitions are for log-destination-type s3");
    bench_refuses(REFUSED("log-destination = a max-aggregation-interval = 5m"),
                  "*windows last 60s or 600s");
    bench_refuses(REFUSED("log-destination = a log-format = '${srcadr}'"),
                  "*token 1: no field 'srcadr' in versions 2 to 5; did you "
                  "mean 'srcaddr'?");
    bench_refuses(REFUSED("log-destination = a ip-ranges = /nonexistent"),
                  "*'/nonexistent': *");
    bench_refuses(REFUSED("into = dut"),
                  "*a logger cannot hand its records to itself");
    bench_refuses("TestSource in {} TestSink out {}\n"
                  "FlowLogger a { log-destination = a }\n"
                  "FlowLogger dut { into = a nodata = false }\n"
                  "connect(\"in -> dut -> a -> out\")",
                  "*the logger named by 'into' decides this; give it there");
}

/* ---- With a mapping service ------------------------------------------- */

#define MAPPED(options)                                                       \
    "TestSource in {} TestSink out {}\n"                                      \
    "MappingService map {\n"                                                  \
    "  vpc vpc-1 { vni = 1 cidr = 10.0.0.0/16 }\n"                            \
    "  subnet subnet-a { vpc = vpc-1 cidr = 10.0.1.0/24 }\n"                  \
    "  subnet subnet-b { vpc = vpc-1 cidr = 10.0.2.0/24 }\n"                  \
    "  eni eni-1 { subnet = subnet-a mac = 02:00:00:00:00:01\n"               \
    "    address = 10.0.1.10 host = 192.0.2.11 }\n"                           \
    "  eni eni-2 { subnet = subnet-a mac = 02:00:00:00:00:02\n"               \
    "    address = 10.0.1.11 host = 192.0.2.11 }\n"                           \
    "  eni eni-3 { subnet = subnet-b mac = 02:00:00:00:00:03\n"               \
    "    address = 10.0.2.10 host = 192.0.2.11 }\n"                           \
    "}\n"                                                                     \
    "FlowLogger dut { log-destination = '@'\n" options SHORT(                 \
        "${interface-id} ${packets} ${log-status}") "}\n"                     \
                                                    "connect(\"in -> dut -> " \
                                                    "out\")"

/* Two flows from each of two interfaces, and one of nobody. */
static const char *
mapped_log(const char *graph)
{
    static const char *const eni[] = {"eni-1", "eni-2"};
    struct bench *b = logging(graph);
    const struct hg_inventory *inventory =
        hg_service(hg_element_self(hg_graph_find(bench_graph(b), "dut")), NULL,
                   "inventory");
    unsigned i;

    REQUIRE(inventory != NULL);
    for (i = 0; i < 4; i++)
        push_from_to(b, "in",
                     i < 2 ? "udp 10.0.0.5:1 > 192.0.2.1:2"
                           : "udp 10.0.0.5:1 > 192.0.2.1:3",
                     hg_inventory_eni(inventory, eni[i % 2]), NULL);
    bench_push(b, "in", "udp 10.0.0.5:1 > 192.0.2.1:2", 0);
    CHECK_EQ(bench_counter(b, "no_interface") > 0, true);
    bench_advance(b, 10 * HG_SEC);
    return log_of(b);
}

TEST(interfaces_of_the_inventory_are_logged_as_monitored)
{
    static const char *const rows[][2] = {
        {MAPPED(""), "eni-1 1 OK\neni-2 1 OK\neni-1 1 OK\neni-2 1 OK\n"
                     "eni-3 - NODATA\n"},
        {MAPPED("nodata = false\n"),
         "eni-1 1 OK\neni-2 1 OK\neni-1 1 OK\neni-2 1 OK\n"},
        {MAPPED("monitor = { eni-2, subnet-b }\n"),
         "eni-2 1 OK\neni-2 1 OK\neni-3 - NODATA\n"},
        {MAPPED("monitor = { vpc-1 } nodata = false mapping = map\n"),
         "eni-1 1 OK\neni-2 1 OK\neni-1 1 OK\neni-2 1 OK\n"},
        {MAPPED("monitor = { subnet-a } max-records = 1\n"),
         "eni-1 1 OK\neni-1 - SKIPDATA\neni-2 - SKIPDATA\n"},
    };
    unsigned i;

    for (i = 0; i < sizeof rows / sizeof rows[0]; i++)
        CHECK_STR(mapped_log(rows[i][0]), rows[i][1]);
}

/* ---- Packets of flows that are known ----------------------------------- */

/* Packets come to the log when a security group knows their flows. */
#define BEHIND_A_GROUP(options)                                               \
    "TestSource in {}  TestSource back {}  TestSource other {}\n"             \
    "TestSink out {}  TestSink home {}\n"                                     \
    "SecurityGroup sg { group web { inbound { source = 10.9.0.0/16 } } }\n"   \
    "FlowLogger dut { log-destination = '@'\n" options "\n}\n"                \
    "connect(\"in -> [egress]sg[egress] -> dut -> out\")\n"                   \
    "connect(\"back -> [ingress]sg[ingress] -> home\")\n"                     \
    "connect(\"other -> dut\")"

TEST(packets_of_a_known_flow_are_counted_in_their_record)
{
    struct bench *b =
        logging(BEHIND_A_GROUP("max-aggregation-interval = 60s "
                               "\n" ID SHORT(TUPLE " ${bytes} "
                                                   "${tcp-flags} "
                                                   "${end}")));

    bench_push(b, "in", "tcp 10.1.0.9:1 > 10.1.0.10:2 S", 30 * HG_SEC);
    bench_push(b, "in", "tcp 10.1.0.9:1 > 10.1.0.10:2 . len 100", 32 * HG_SEC);
    bench_push(b, "in", "tcp 10.1.0.9:1 > 10.1.0.10:2 F. len 10", 33 * HG_SEC);
    bench_push(b, "in", "udp [fd00::1]:1 > [fd00::2]:2 len 8", 33 * HG_SEC);
    bench_push(b, "in", "udp [fd00::1]:1 > [fd00::2]:2 len 8", 34 * HG_SEC);
    /* The same tuple where no flow is known. */
    bench_push(b, "other", "tcp 10.1.0.9:1 > 10.1.0.10:2 .", 35 * HG_SEC);
    CHECK_EQ(bench_counter(b, "flows"), 2);
    bench_advance(b, 40 * HG_SEC); /* The next window. */
    bench_push(b, "in", "udp [fd00::1]:1 > [fd00::2]:2 len 8", 41 * HG_SEC);
    bench_push(b, "in", "tcp 10.1.0.9:1 > 10.1.0.10:2 .", 42 * HG_SEC);
    CHECK_EQ(bench_counter(b, "flows"), 2);
    CHECK_STR(log_of(b), "10.1.0.9 10.1.0.10 1 2 6 4 270 3 1700000035\n"
                         "fd00::1 fd00::2 1 2 17 2 112 0 1700000034\n"
                         "fd00::1 fd00::2 1 2 17 1 56 0 1700000041\n"
                         "10.1.0.9 10.1.0.10 1 2 6 1 40 0 1700000042\n");
}

TEST(a_known_flow_has_other_records_at_other_interfaces)
{
    const char *const text = "udp 10.0.1.5:1 > 10.0.1.6:2";
    struct bench *b = logging(
        BEHIND_A_GROUP(SHORT("${interface-id} ${flow-direction} ${packets}")));
    struct world w;
    unsigned i;

    make_world(&w);
    for (i = 0; i < 2; i++) {
        push_from_to(b, "in", text, w.a, NULL);
        push_from_to(b, "in", text, w.a, NULL);
        push_from_to(b, "in", text, w.a, w.b);
        push_from_to(b, "in", text, w.nat, NULL);
        push_from_to(b, "in", text, NULL, w.a);
    }
    CHECK_STR(log_of(b), "eni-a egress 6\n"
                         "eni-b ingress 2\n"
                         "eni-nat egress 2\n"
                         "eni-a ingress 2\n");
    hg_inventory_destroy(w.inventory);
}

/* A batch of which the first half is new flows and the rest is of 'known'. */
static void
push_new_then_known(struct bench *b, unsigned port, const char *known)
{
    enum { NEW = 64, N = 2 * NEW };
    struct hg_packet *p[N];
    struct hg_error error;
    char text[80];
    unsigned i;

    for (i = 0; i < N; i++) {
        snprintf(text, sizeof text, "udp 10.1.0.10:%u > 10.1.0.10:2",
                 port + i);
        p[i] = notation_parse(bench_pool(b), i < NEW ? text : known, &error);
        REQUIRE(p[i] != NULL);
        p[i]->time_ns = BENCH_START;
    }
    hg_graph_inject(bench_graph(b), hg_graph_find(bench_graph(b), "in"), 0, p,
                    N);
    hg_graph_dispatch(bench_graph(b));
}

/* They move where there are no addresses to grow into. */
TEST(known_flows_find_their_records_where_these_moved_to)
{
    const char *const known = "udp 10.1.0.9:1 > 10.1.0.10:2";
    struct rlimit before, tight;
    unsigned long n_pages;
    struct bench *b;
    unsigned i;
    FILE *file = fopen("/proc/self/statm", "r");

    REQUIRE(file && fscanf(file, "%lu", &n_pages) == 1);
    fclose(file);
    getrlimit(RLIMIT_AS, &before);
    tight = before;
    tight.rlim_cur = n_pages * (rlim_t)sysconf(_SC_PAGESIZE) + (700 << 20);
    REQUIRE(!setrlimit(RLIMIT_AS, &tight));
    b = logging(BEHIND_A_GROUP(ID SHORT("${packets}")));
    bench_push(b, "in", known, 0);
    for (i = 0; i < 33000; i += 64)
        push_new_then_known(b, i, known);
    setrlimit(RLIMIT_AS, &before);
    CHECK_EQ(strncmp(log_of(b), "33025\n1\n", 8), 0);
}

TEST(an_interface_that_moved_is_asked_anew)
{
    const char *const text = "udp 10.0.1.5:1 > 10.2.0.1:2";
    struct bench *b = logging(BEHIND_A_GROUP(""));
    struct hg_prefix cidr;
    struct hg_vpc vpc = {.id = "vpc-c", .vni = 3, .cidr = {1, &cidr}};
    struct hg_subnet subnet = {.id = "subnet-c", .cidr = {1, &cidr}};
    const struct hg_subnet *c;
    const struct hg_eni *eni;
    struct hg_error error;
    struct world w;
    uint32_t number;

    make_world(&w);
    REQUIRE(hg_prefix_parse("10.2.0.0/16", &cidr));
    subnet.vpc = hg_inventory_add_vpc(w.inventory, &vpc, &error);
    c = hg_inventory_add_subnet(w.inventory, &subnet, &error);
    REQUIRE(c != NULL);
    number = w.nat->number;
    push_from_to(b, "in", text, w.nat, NULL);
    push_from_to(b, "in", text, w.nat, NULL);
    CHECK_EQ(bench_counter(b, "unlogged"), 0);
    eni = add_eni(&w, c, "eni-nat", "10.2.0.7", NULL);
    REQUIRE(eni->number == number);
    push_from_to(b, "in", text, eni, NULL);
    push_from_to(b, "in", text, eni, NULL);
    CHECK_EQ(bench_counter(b, "unlogged"), 2); /* To its subnet's router. */
    log_of(b);
    hg_inventory_destroy(w.inventory);
}

TEST(an_interface_that_changed_in_the_inventory_is_logged_as_it_is)
{
    const char *const text = "udp 10.0.1.10:1 > 192.0.2.1:2";
    struct bench *b = logging(
        "TestSource in {} TestSource back {} TestSink out {}\n"
        "TestSink home {}\n"
        "MappingService map { vpc vpc-1 { vni = 1 cidr = 10.0.0.0/16 }\n"
        "  subnet s { vpc = vpc-1 cidr = 10.0.1.0/24 }\n"
        "  eni eni-1 { subnet = s mac = 02:00:00:00:00:01\n"
        "    address = 10.0.1.10 instance = i-1 } }\n"
        "SecurityGroup sg { group web { default-of = vpc-1 } }\n"
        "FlowLogger dut { log-destination = '@' nodata = false\n"
        "  log-format = '${instance-id} ${packets}' }\n"
        "connect(\"in -> [egress]sg[egress] -> dut -> out\")\n"
        "connect(\"back -> [ingress]sg[ingress] -> home\")\n");
    struct hg_inventory *inventory = (void *)(uintptr_t)hg_service(
        hg_element_self(hg_graph_find(bench_graph(b), "dut")), NULL,
        "inventory");
    const struct hg_eni *eni = hg_inventory_eni(inventory, "eni-1");
    struct hg_eni_details details = *eni->details;
    struct hg_eni changed = *eni;
    struct hg_error error;

    push_from_to(b, "in", text, eni, NULL);
    push_from_to(b, "in", text, eni, NULL);
    details.instance = (char[]){"i-2"};
    changed.details = &details;
    eni = hg_inventory_add_eni(inventory, &changed, &error);
    REQUIRE(eni != NULL);
    push_from_to(b, "in", text, eni, NULL);
    CHECK_STR(log_of(b), "i-2 3\n");
}
