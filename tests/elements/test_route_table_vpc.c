/* test_route_table_vpc.c: RouteTable with an inventory: which table serves a
 * subnet, a VPC, a gateway, and what follows when the inventory changes.
 *
 * The inventory is the test's own, offered by a stand-in for MappingService:
 * two VPCs "vpc-a" and "vpc-b" with the same CIDR 10.0.0.0/16 and subnets
 * "a1", "a2" and "b1". */
#include "harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <headgate/inventory.h>

static struct hg_inventory *inventory;

static void *
mapping_service(void *self, const char *interface)
{
    (void)self;
    return strcmp(interface, "inventory") ? NULL : inventory;
}

static const struct hg_class mapping_class = {
    .magic = HG_MAGIC,
    .abi = HG_ABI,
    .class_size = sizeof(struct hg_class),
    .name = "MappingService",
    .flags = HG_CLASS_PASSIVE,
    .service = mapping_service,
};

static const struct hg_class source_class = {
    .magic = HG_MAGIC,
    .abi = HG_ABI,
    .class_size = sizeof(struct hg_class),
    .name = "TestSource",
    .outputs = "out",
    .provides = "ip",
};

/* ---- The inventory ---------------------------------------------------- */

static struct hg_prefix_list
list_of(const char *text, struct hg_prefix *prefix)
{
    REQUIRE(hg_prefix_parse(text, prefix));
    return (struct hg_prefix_list){1, prefix};
}

static void
add_vpc(const char *id, uint32_t vni, const char *cidr)
{
    struct hg_prefix prefix;
    struct hg_error error;
    char name[32];
    struct hg_vpc vpc = {.id = name, .vni = vni};

    snprintf(name, sizeof name, "%s", id);
    vpc.cidr = list_of(cidr, &prefix);
    if (!hg_inventory_add_vpc(inventory, &vpc, &error))
        FAIL("%s", error.text);
}

static void
add_subnet(const char *id, const char *vpc, const char *cidr,
           const char *route_table)
{
    struct hg_prefix prefix;
    struct hg_error error;
    char name[32], table[32];
    struct hg_subnet subnet = {.id = name,
                               .vpc = hg_inventory_vpc(inventory, vpc),
                               .route_table = route_table ? table : NULL};

    snprintf(name, sizeof name, "%s", id);
    snprintf(table, sizeof table, "%s", route_table ? route_table : "");
    subnet.cidr = list_of(cidr, &prefix);
    if (!hg_inventory_add_subnet(inventory, &subnet, &error))
        FAIL("%s", error.text);
}

/* An ENI called after its subnet. */
static void
add_eni(const char *id, const char *address)
{
    struct hg_error error;
    struct hg_addr addr;
    char name[32];
    const struct hg_eni_details details = {.address = {1, &addr}};
    struct hg_eni eni = {.id = name,
                         .subnet = hg_inventory_subnet(inventory, id),
                         .mac = {{2, 0, 0, 0, 0, (uint8_t)id[1]}},
                         .details = &details};

    REQUIRE(eni.subnet != NULL);
    snprintf(name, sizeof name, "%s", id);
    eni.vpc = eni.subnet->vpc;
    REQUIRE(hg_addr_parse(address, &addr));
    if (!hg_inventory_add_eni(inventory, &eni, &error))
        FAIL("%s", error.text);
}

static void
fill_inventory(void)
{
    add_vpc("vpc-a", 100, "10.0.0.0/16");
    add_vpc("vpc-b", 200, "10.0.0.0/16");
    add_subnet("a1", "vpc-a", "10.0.1.0/24", NULL);
    add_subnet("a2", "vpc-a", "10.0.2.0/24", "private");
    add_subnet("b1", "vpc-b", "10.0.1.0/24", NULL);
    add_eni("a1", "10.0.1.10");
    add_eni("a2", "10.0.2.10");
    add_eni("b1", "10.0.1.10");
}

static void
make_inventory(void)
{
    inventory = hg_inventory_create();
    fill_inventory();
}

/* ---- The graph -------------------------------------------------------- */

static struct hg_plugins *plugins;
static struct hg_graph *graph;

/* A graph with a RouteTable "dut" of these options and outputs up and down;
 * returns whether it starts, else *error says why not. */
static bool
start(const char *options, const char *more, struct hg_error *error)
{
    struct hg_graph_config config = {.seed = 1};
    struct hg_diags *diags = hg_diags_create();
    char path[] = "/tmp/headgate-XXXXXX";
    int fd = mkstemp(path);
    FILE *file = fd >= 0 ? fdopen(fd, "w") : NULL;

    REQUIRE(file != NULL);
    fprintf(file,
            "MappingService map {} TestSource in {}\n"
            "RouteTable dut { target up {} target down {} mapping = map\n%s\n}"
            "connect(\"in -> dut[up] -> Discard; dut[down] -> Discard; "
            "dut[local] -> Discard\")\n%s%s",
            options, more,
            strstr(options, "local2") ? "connect(\"dut[local2] -> Discard\")"
                                      : "");
    fclose(file);
    plugins = hg_plugins_create(NULL);
    hg_plugins_add(plugins, &mapping_class);
    hg_plugins_add(plugins, &source_class);
    config.plugins = plugins;
    graph = hg_graph_load(path, &config, diags);
    hg_diags_print(diags, stderr, false);
    hg_diags_destroy(diags);
    unlink(path);
    REQUIRE(graph != NULL);
    return hg_graph_start(graph, UINT64_C(1700000000) * HG_SEC, error);
}

static void
stop(void)
{
    struct hg_account account;

    hg_graph_stop(graph);
    CHECK(hg_graph_account(graph, &account));
    hg_graph_destroy(graph);
    hg_plugins_destroy(plugins);
    hg_inventory_destroy(inventory);
}

static uint64_t
sent(const char *port)
{
    struct hg_element *dut = hg_graph_find(graph, "dut");
    struct hg_port_info info;

    hg_element_output(dut, (unsigned)hg_element_find_output(dut, port), &info);
    return info.packets;
}

/* A packet from this ENI or (NULL) from VPC number 'vpc'. */
static struct hg_packet *
make(const char *eni, uint32_t vpc, const char *to)
{
    struct hg_packet *p = hg_packet_alloc(hg_graph_pool(graph), 60);
    struct hg_addr addr;

    REQUIRE(hg_addr_parse(to, &addr));
    memset(p->data, 0, 60);
    if (addr.family == 4) {
        memcpy(p->data + 12, "\x08\x00\x45\0\0\x1c", 6);
        p->data[22] = 64;
        p->data[23] = HG_PROTO_UDP;
        memcpy(p->data + 30, addr.byte, 4);
    } else {
        memcpy(p->data + 12, "\x86\xdd\x60\0\0\0\0\x6\x11\x40", 10);
        memcpy(p->data + 38, addr.byte, 16);
    }
    p->vpc = vpc;
    p->src_eni = eni ? hg_inventory_eni(inventory, eni) : NULL;
    return p;
}

/* Where such a packet that comes out of 'source' goes. */
static const char *
way(const char *source, const char *eni, uint32_t vpc, const char *to)
{
    static const char *const ports[] = {"local", "up", "down"};
    struct hg_packet *p = make(eni, vpc, to);
    uint64_t before[3];
    unsigned i;

    for (i = 0; i < 3; i++)
        before[i] = sent(ports[i]);
    hg_graph_inject(graph, hg_graph_find(graph, source), 0, &p, 1);
    hg_graph_dispatch(graph);
    for (i = 0; i < 3; i++)
        if (sent(ports[i]) != before[i])
            return ports[i];
    return "dropped";
}

#define TABLES                                                                \
    "table public { vpc = vpc-a main = true route 0.0.0.0/0 { target = up }"  \
    "}"                                                                       \
    "table private { vpc = vpc-a route 0.0.0.0/0 { target = down } }"         \
    "table b { vpc = vpc-b subnets = b1 route 0.0.0.0/0 { target = down } }"

TEST(a_subnet_has_its_table_or_the_main_one_of_its_vpc)
{
    struct hg_error error = {""};

    make_inventory();
    CHECK(start(TABLES, "", &error));
    CHECK_STR(way("in", "a1", 1, "203.0.113.1"), "up");
    CHECK_STR(way("in", "a2", 1, "203.0.113.1"), "down");
    CHECK_STR(way("in", "b1", 2, "203.0.113.1"), "down");
    CHECK_STR(way("in", NULL, 1, "203.0.113.1"), "up");
    CHECK_STR(way("in", "a2", 1, "10.0.1.10"), "local");
    /* vpc-b has no main table: nothing but local routes. */
    CHECK_STR(way("in", NULL, 2, "203.0.113.1"), "dropped");
    CHECK_STR(way("in", NULL, 2, "10.0.9.9"), "local");
    stop();
}

TEST(gateways_have_a_table_for_each_vpc)
{
    struct hg_error error = {""};

    make_inventory();
    CHECK(start(TABLES "target fw { kind = network-interface }"
                       "table edge { vpc = vpc-a gateways = igw"
                       "             route 10.0.2.0/24 { target = up } }",
                "TestSource igw {} connect(\"igw -> [igw]dut[fw] -> "
                "Discard\")",
                &error));
    CHECK_STR(way("igw", NULL, 1, "10.0.2.10"), "up");
    CHECK_STR(way("igw", NULL, 1, "10.0.1.10"), "local");
    CHECK_STR(way("igw", NULL, 2, "10.0.2.10"), "local");
    CHECK_STR(way("igw", NULL, 2, "203.0.113.1"), "dropped");
    stop();
}

TEST(packets_of_many_tables_and_both_families_go_together)
{
    static const char *const to[] = {"10.0.1.10", "203.0.113.1", "2001:db8::1",
                                     "169.254.169.253"};
    static const char *const enis[] = {"a1", "a2", "b1", NULL};
    struct hg_packet *batch[200];
    struct hg_error error = {""};
    uint64_t up, down, local;
    unsigned i;

    make_inventory();
    CHECK(start(TABLES, "", &error));
    if (!hg_element_write(hg_graph_find(graph, "dut"), "add",
                          "2001:db8::/32 target=down table=public", &error))
        FAIL("%s", error.text);
    for (i = 0; i < 200; i++)
        way("in", enis[i / 4 % 4], 1 + i % 3 / 2, to[i % 4]);
    up = sent("up");
    down = sent("down");
    local = sent("local");
    CHECK(up > 20 && down > 20 && local > 20 && up + down + local < 180);
    for (i = 0; i < 200; i++)
        batch[i] = make(enis[i / 4 % 4], 1 + i % 3 / 2, to[i % 4]);
    hg_graph_inject(graph, hg_graph_find(graph, "in"), 0, batch, 200);
    hg_graph_dispatch(graph);
    CHECK_EQ(sent("up"), 2 * up);
    CHECK_EQ(sent("down"), 2 * down);
    CHECK_EQ(sent("local"), 2 * local);
    stop();
}

TEST(changes_of_the_inventory_are_followed)
{
    struct hg_error error = {""};

    make_inventory();
    CHECK(start(TABLES, "", &error));
    CHECK_STR(way("in", "a1", 1, "203.0.113.1"), "up");
    CHECK_STR(way("in", NULL, 1, "172.16.0.1"), "up");
    add_vpc("vpc-a", 100, "172.16.0.0/16");
    add_vpc("vpc-c", 300, "192.168.0.0/16");
    CHECK_STR(way("in", NULL, 3, "192.168.1.1"), "local");
    stop();
}

TEST(a_change_that_does_not_fit_leaves_the_tables_as_they_were)
{
    struct hg_error error = {""};

    make_inventory();
    CHECK(start(TABLES, "", &error));
    CHECK_STR(way("in", "a1", 1, "203.0.113.1"), "up");
    add_subnet("b9", "vpc-b", "10.0.9.0/24", "nowhere");
    CHECK_STR(way("in", "a1", 1, "203.0.113.1"), "up");
    CHECK_STR(way("in", "a2", 1, "203.0.113.1"), "down");
    stop();
}

TEST(a_replacement_without_the_subnet_that_did_not_fit_is_followed)
{
    struct hg_error error = {""};
    struct hg_inventory *before;

    make_inventory();
    CHECK(start(TABLES, "", &error));
    add_subnet("b9", "vpc-b", "10.0.9.0/24", "nowhere");
    CHECK_STR(way("in", "a1", 1, "203.0.113.1"), "up");
    before = inventory;
    inventory = hg_inventory_create_next(before);
    fill_inventory();
    add_vpc("vpc-c", 300, "192.168.0.0/16");
    hg_inventory_replace(before, inventory);
    inventory = before;
    CHECK_STR(way("in", NULL, 3, "192.168.1.1"), "local");
    stop();
}

TEST(one_vpc_needs_no_saying_so)
{
    struct hg_error error = {""};

    inventory = hg_inventory_create();
    add_vpc("vpc-a", 100, "10.0.0.0/16");
    CHECK(start("route 0.0.0.0/0 { target = up }"
                "table edge { gateways = igw route 10.0.0.0/16 { target = "
                "down } }",
                "TestSource igw {} connect(\"igw -> [igw]dut\")", &error));
    CHECK_STR(way("in", NULL, 0, "10.0.0.9"), "local");
    CHECK_STR(way("in", NULL, 1, "203.0.113.1"), "up");
    CHECK_STR(way("igw", NULL, 0, "10.0.0.9"), "down");
    stop();
}

/* The table that served the only VPC serves both then, and has no local
 * routes, as if there had been two from the beginning. */
TEST(a_second_vpc_takes_the_local_routes_out_of_a_table_of_no_vpc)
{
    struct hg_error error = {""};
    unsigned late;

    for (late = 0; late < 2; late++) {
        inventory = hg_inventory_create();
        add_vpc("vpc-a", 100, "10.0.0.0/16");
        if (!late)
            add_vpc("vpc-b", 200, "10.1.0.0/16");
        CHECK(start("route 0.0.0.0/0 { target = up }", "", &error));
        if (late) {
            CHECK_STR(way("in", NULL, 1, "10.0.0.9"), "local");
            add_vpc("vpc-b", 200, "10.1.0.0/16");
        }
        CHECK_STR(way("in", NULL, 1, "10.0.0.9"), "up");
        CHECK_STR(way("in", NULL, 2, "10.0.0.9"), "up");
        CHECK_STR(way("in", NULL, 2, "10.1.0.9"), "up");
        stop();
    }
}

static void
refuses(const char *options, const char *expected)
{
    struct hg_error error = {""};

    make_inventory();
    CHECK(!start(options, "", &error));
    CHECK(strstr(error.text, expected) != NULL);
    if (!strstr(error.text, expected))
        FAIL("it says: %s", error.text);
    stop();
}

TEST(what_does_not_fit_the_inventory_is_refused)
{
    refuses(TABLES "table x { vpc = vpc-x }",
            "table 'x': no VPC 'vpc-x' in the mapping service");
    refuses(TABLES "table x { subnets = z9 }",
            "table 'x': no MappingService knows a subnet 'z9'");
    refuses(TABLES "table x { vpc = vpc-b subnets = a1 }",
            "subnet 'a1' and its table 'x' are of different VPCs");
    refuses(TABLES "table x { vpc = vpc-b subnets = b1 }",
            "subnet 'b1' has two tables, 'b' and 'x'");
    refuses(TABLES "table x { vpc = vpc-a main = true }",
            "tables 'public' and 'x' are both the main one of a VPC");
    refuses("route 0.0.0.0/0 { target = up }",
            "subnet 'a2' has route table 'private', which is not here");
    refuses(TABLES "table x { vpc = vpc-a route 10.0.2.0/25 { target = up } "
                   "}",
            "route '10.0.2.0/25' is within the local '10.0.0.0/16' and must "
            "be the whole CIDR of a subnet");
    refuses("target local2 { kind = peering }" TABLES
            "table x { vpc = vpc-a route 10.0.2.0/24 { target = local2 } }",
            "only a nat-gateway, network-interface or gwlb-endpoint may be "
            "the target");
}

/* ---- Two services ------------------------------------------------------ */

#define ONE_OF_TWO(x)                                                         \
    "MappingService " x " { vpc " x " { cidr = 10.0.0.0/16 }\n"               \
    "  subnet " x "-net { vpc = " x " cidr = 10.0.1.0/24 }\n"                 \
    "  eni " x "-eni { subnet = " x "-net mac = 02:00:00:00:00:01\n"          \
    "    address = 10.0.1.10 } }\n"                                           \
    "TestSource in-" x " {} TestSink out-" x " {}\n"                          \
    "Identify who-" x " { mapping = " x " }\n"

TEST(two_mapping_services_give_no_number_twice)
{
    struct bench *b = bench_load(ONE_OF_TWO("a") ONE_OF_TWO(
        "b") "RouteTable dut { mapping = b"
             " table of-b { subnets = { b-net } route 0.0.0.0/0 { target = up "
             "} }\n"
             " table all { main = true route 0.0.0.0/0 { target = up2 } } }\n"
             "Encap e { format = geneve local = 192.0.2.1 remote = 192.0.2.2"
             " mapping = b eni-options = true }\n"
             "Decap d { format = geneve mapping = b verify-sender = false }\n"
             "connect(\"in-a -> who-a -> dut; in-b -> who-b -> dut;"
             " dut[up] -> e -> d -> out-b; dut[up2] -> out-a\")\n");
    const char *packet = "udp 10.0.1.10:1 > 192.0.2.9:2 smac "
                         "02:00:00:00:00:01";
    const struct hg_eni *eni[2];
    struct hg_packet *p;

    bench_push(b, "in-a", packet, 0);
    p = bench_take(b, "out-a");
    REQUIRE(p && p->src_eni);
    eni[0] = p->src_eni;
    bench_push(b, "in-b", packet, 0);
    p = bench_take(b, "out-b");
    REQUIRE(p && p->src_eni);
    eni[1] = p->src_eni;
    CHECK_STR(eni[0]->id, "a-eni");
    CHECK_STR(eni[1]->id, "b-eni");
    CHECK(eni[0]->number != eni[1]->number);
    CHECK(eni[0]->subnet->number != eni[1]->subnet->number);
    CHECK(eni[0]->vpc->number != eni[1]->vpc->number);
    CHECK_EQ(p->vpc, eni[1]->vpc->number);
    bench_destroy(b);
}
