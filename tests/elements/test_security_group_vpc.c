/* test_security_group_vpc.c: SecurityGroup with an inventory: which groups
 * count for which interface, references to groups, several VPCs, and what is
 * counted for each interface.  test_security_group.c is the rest. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <headgate/inventory.h>

#include "group_table.h"
#include "harness.h"
#include "notation.h"

#define START BENCH_START

/* ---- A graph around an inventory of the test's own -------------------- */

struct holder {
    struct hg_inventory *inventory;
};

struct counter_sink {
    hg_counter seen;
    uint32_t port[3];
};

/* What the graph's inventory will be. */
static struct hg_inventory *next_inventory;

static bool
holder_configure(void *self)
{
    ((struct holder *)self)->inventory = next_inventory;
    return true;
}

static void *
holder_service(void *self, const char *interface)
{
    return strcmp(interface, "inventory") ? NULL
                                          : ((struct holder *)self)->inventory;
}

static void
sink_batch(struct hg_element *element, struct hg_batch *batch)
{
    struct counter_sink *self = hg_element_self(element);
    int16_t verdict[HG_BATCH_MAX];
    unsigned i;

    for (i = 0; i < batch->n; i++) {
        self->port[batch->p[i]->in_port]++;
        verdict[i] = (int16_t)hg_drop(&self->seen);
    }
    hg_route(self, batch, verdict);
}

#define CLASS                                                                 \
    .magic = HG_MAGIC, .abi = HG_ABI, .class_size = sizeof(struct hg_class)

typedef struct counter_sink hg_self;

static const struct hg_class holder_class = {CLASS,
                                             .flags = HG_CLASS_PASSIVE,
                                             .name = "TestInventory",
                                             .summary = "offers an inventory",
                                             .self_size =
                                                 sizeof(struct holder),
                                             .configure = holder_configure,
                                             .service = holder_service};
static const struct hg_class source_class = {
    CLASS, .name = "TestSource", .summary = "puts packets in",
    .outputs = "egress ingress", .provides = "ip"};
static const struct hg_class sink_class = {
    CLASS,
    .name = "TestSink",
    .summary = "counts packets",
    .inputs = "egress ingress deny",
    .batch = sink_batch,
    .self_size = sizeof(struct counter_sink),
    .fields = HG_FIELDS(HG_REASON(seen, .doc = "packets that came"))};

struct rig {
    struct hg_plugins *plugins;
    struct hg_graph *graph;
    struct hg_inventory *inventory;
    struct hg_element *dut;
    struct hg_element *source;
    struct counter_sink *sink;
};

static struct hg_graph *
load(struct hg_plugins *plugins, const char *options)
{
    struct hg_graph_config config = {.plugins = plugins, .seed = 1};
    struct hg_diags *diags = hg_diags_create();
    char path[] = "/tmp/groups-XXXXXX";
    int fd = mkstemp(path);
    struct hg_graph *graph;

    REQUIRE(fd >= 0);
    dprintf(fd,
            "TestInventory who {}\nTestSource in {}\nTestSink out {}\n"
            "SecurityGroup dut {\n%s\n%s\n}\n"
            "connect(\"in[egress] -> [egress]dut[egress] -> [egress]out\")\n"
            "connect(\"in[ingress] -> [ingress]dut[ingress] -> "
            "[ingress]out\")\n"
            "connect(\"dut[deny] -> [deny]out\")\n",
            groups_are_compact() ? "table = compact" : "", options);
    graph = hg_graph_load(path, &config, diags);
    unlink(path);
    close(fd);
    if (!graph)
        hg_diags_print(diags, stdout, false);
    hg_diags_destroy(diags);
    REQUIRE(graph);
    return graph;
}

static void
add_vpc(struct hg_inventory *inventory, const char *id, uint32_t vni)
{
    char *copy = strdup(id), subnet_id[32];
    struct hg_prefix cidr, subnet_cidr;
    struct hg_vpc vpc = {.id = copy, .vni = vni, .cidr = {1, &cidr}};
    struct hg_subnet subnet = {.id = subnet_id, .cidr = {1, &subnet_cidr}};
    struct hg_error error = {""};

    snprintf(subnet_id, sizeof subnet_id, "subnet-%s", id);
    REQUIRE(hg_prefix_parse("10.0.0.0/16", &cidr));
    REQUIRE(hg_prefix_parse("10.0.1.0/24", &subnet_cidr));
    subnet.vpc = hg_inventory_add_vpc(inventory, &vpc, &error);
    if (!subnet.vpc || !hg_inventory_add_subnet(inventory, &subnet, &error))
        FAIL("%s: %s", id, error.text);
    free(copy);
}

/* Adds or replaces an ENI of the VPC, with up to two groups. */
static void
set_eni(struct hg_inventory *inventory, const char *id, const char *vpc,
        const char *address, const char *group, const char *group2)
{
    char names[3][32], subnet[48];
    char *groups[2] = {names[1], names[2]};
    struct hg_addr addr;
    const struct hg_eni_details details = {.address = {1, &addr},
                                           .security_group = {group2  ? 2
                                                              : group ? 1
                                                                      : 0,
                                                              groups}};
    struct hg_eni eni = {.id = names[0], .mac = {{2}}, .details = &details};
    struct hg_error error = {""};

    snprintf(names[0], sizeof names[0], "%s", id);
    snprintf(names[1], sizeof names[1], "%s", group ? group : "");
    snprintf(names[2], sizeof names[2], "%s", group2 ? group2 : "");
    snprintf(subnet, sizeof subnet, "subnet-%s", vpc);
    eni.vpc = hg_inventory_vpc(inventory, vpc);
    eni.subnet = hg_inventory_subnet(inventory, subnet);
    REQUIRE(hg_addr_parse(address, &addr));
    memcpy(eni.mac.byte + 1, addr.byte, 4);
    if (!hg_inventory_add_eni(inventory, &eni, &error))
        FAIL("%s: %s", id, error.text);
}

/* Two VPCs with the same CIDR; vpc-1 has instances of each group. */
static struct hg_inventory *
make_inventory(void)
{
    struct hg_inventory *v = hg_inventory_create();

    add_vpc(v, "vpc-1", 1);
    add_vpc(v, "vpc-2", 2);
    set_eni(v, "web", "vpc-1", "10.0.1.10", "sg-web", NULL);
    set_eni(v, "app", "vpc-1", "10.0.1.20", "sg-app", "sg-web");
    set_eni(v, "db", "vpc-1", "10.0.1.30", "sg-db", NULL);
    set_eni(v, "plain", "vpc-1", "10.0.1.40", NULL, NULL);
    set_eni(v, "plain2", "vpc-1", "10.0.1.41", NULL, NULL);
    set_eni(v, "fw", "vpc-1", "10.0.1.50", "sg-open", NULL);
    set_eni(v, "twin", "vpc-2", "10.0.1.10", "sg-twin", NULL);
    return v;
}

#define GROUPS                                                                \
    "group sg-web { inbound { protocol = tcp ports = 80"                      \
    " source = 10.0.0.0/8 } }\n"                                              \
    "group sg-app { inbound { protocol = tcp ports = 8080"                    \
    " source = sg-web } }\n"                                                  \
    "group sg-db { inbound { protocol = tcp ports = 5432"                     \
    " source = \"123456789012/sg-app\" }\n"                                   \
    " inbound { protocol = udp source = self } }\n"                           \
    "group sg-open { inbound { source = 0.0.0.0/0 } }\n"                      \
    "group sg-twin { allow-all-outbound = false }\n"                          \
    "group sg-default { default-of = vpc-1 }\n"

static void
rig_init(struct rig *r, const char *options)
{
    struct hg_error error = {""};

    *r = (struct rig){.plugins = hg_plugins_create(NULL),
                      .inventory = make_inventory()};
    next_inventory = r->inventory;
    hg_plugins_add(r->plugins, &holder_class);
    hg_plugins_add(r->plugins, &source_class);
    hg_plugins_add(r->plugins, &sink_class);
    r->graph = load(r->plugins, options);
    r->dut = hg_graph_find(r->graph, "dut");
    r->source = hg_graph_find(r->graph, "in");
    r->sink = hg_element_self(hg_graph_find(r->graph, "out"));
    if (!hg_graph_start(r->graph, START, &error))
        FAIL("%s", error.text);
}

static void
rig_uninit(struct rig *r)
{
    struct hg_account account;

    CHECK(hg_graph_account(r->graph, &account));
    hg_graph_stop(r->graph);
    hg_graph_destroy(r->graph);
    hg_inventory_destroy(r->inventory);
    hg_plugins_destroy(r->plugins);
}

static const char *
read_handler(struct rig *r, const char *handler, const char *argument)
{
    static char text[4096];
    struct hg_error error = {""};
    FILE *out = fmemopen(text, sizeof text, "w");
    size_t n;

    if (!hg_element_read(r->dut, handler, argument, out, &error))
        fputs(error.text, out);
    fclose(out);
    n = strlen(text);
    if (n && text[n - 1] == '\n')
        text[n - 1] = '\0';
    return text;
}

/* A packet that leaves the ENI 'src' or, in 'i', reaches 'dst'; NULL: no known
 * ENI. */
struct step {
    uint64_t at;
    const char *in;
    const char *packet;
    const char *src;
    const char *dst;
    bool passes;
};

static void
push(struct rig *r, const struct step *s)
{
    unsigned port = *s->in == 'i', expected = s->passes ? port : 2;
    uint32_t before = r->sink->port[expected];
    struct hg_error error = {""};
    struct hg_packet *p =
        notation_parse(hg_graph_pool(r->graph), s->packet, &error);

    if (!p) {
        FAIL("'%s': %s", s->packet, error.text);
        test_end();
    }
    hg_graph_advance(r->graph, START + s->at);
    p->time_ns = START + s->at;
    p->src_eni = s->src ? hg_inventory_eni(r->inventory, s->src) : NULL;
    p->dst_eni = s->dst ? hg_inventory_eni(r->inventory, s->dst) : NULL;
    if (p->src_eni)
        p->vpc = p->src_eni->vpc->number;
    else if (p->dst_eni)
        p->vpc = p->dst_eni->vpc->number;
    hg_graph_inject(r->graph, r->source, port, &p, 1);
    hg_graph_dispatch(r->graph);
    if (!CHECK_EQ(r->sink->port[expected], before + 1))
        FAIL("%s: %s should%s have passed", s->in, s->packet,
             s->passes ? "" : " not");
}

static void
push_all(struct rig *r, const struct step *steps, size_t n)
{
    size_t i;

    for (i = 0; i < n; i++)
        push(r, &steps[i]);
}

#define PUSH(r, ...)                                                          \
    do {                                                                      \
        static const struct step steps_[] = {__VA_ARGS__};                    \
                                                                              \
        push_all(r, steps_, sizeof steps_ / sizeof steps_[0]);                \
    } while (0)

#define WEB_APP "tcp 10.0.1.10:999 > 10.0.1.20:8080 "
#define APP_WEB "tcp 10.0.1.20:8080 > 10.0.1.10:999 "
#define APP_DB "tcp 10.0.1.20:999 > 10.0.1.30:5432 "

/* ---- Tests ------------------------------------------------------------ */

TEST(a_packet_passes_the_groups_of_both_instances)
{
    struct rig r;

    rig_init(&r, GROUPS);
    PUSH(&r, {0, "e", WEB_APP "S", "web", "app", true},
         {0, "i", WEB_APP "S", "web", "app", true},
         {1, "e", APP_WEB "S.", "app", "web", true},
         {1, "i", APP_WEB "S.", "app", "web", true},
         {2, "e", "tcp 10.0.1.10:999 > 10.0.1.30:5432 S", "web", "db", true},
         {2, "i", "tcp 10.0.1.10:999 > 10.0.1.30:5432 S", "web", "db", false});
    CHECK_STR(read_handler(&r, "count", "web"), "2");
    CHECK_STR(read_handler(&r, "count", "app"), "1");
    CHECK_STR(read_handler(&r, "count", "db"), "0");
    CHECK_STR(read_handler(&r, "count", ""), "3");
    rig_uninit(&r);
}

/* A line of "flows" up to when it ends, which depends on the table. */
static const char *
without_time(const char *text)
{
    static char cut[512];
    const char *at = strstr(text, ",\"expires");

    snprintf(cut, sizeof cut, "%.*s", at ? (int)(at - text) : 0, text);
    return cut;
}

TEST(each_interface_shows_a_flow_as_it_began_there)
{
    struct rig r;

    rig_init(&r, GROUPS);
    PUSH(&r, {0, "e", WEB_APP "S", "web", "app", true},
         {1, "e", APP_WEB "S.", "app", "web", true});
    CHECK_STR(without_time(read_handler(&r, "flows", "web")),
              "{\"eni\":\"web\",\"vpc\":1,\"protocol\":6,"
              "\"source\":\"10.0.1.10\",\"source-port\":999,"
              "\"destination\":\"10.0.1.20\",\"destination-port\":8080,"
              "\"opened-by\":\"egress\",\"state\":\"tcp-opening\"");
    CHECK_STR(without_time(read_handler(&r, "flows", "app")),
              "{\"eni\":\"app\",\"vpc\":1,\"protocol\":6,"
              "\"source\":\"10.0.1.20\",\"source-port\":8080,"
              "\"destination\":\"10.0.1.10\",\"destination-port\":999,"
              "\"opened-by\":\"egress\",\"state\":\"tcp-opening\"");
    rig_uninit(&r);
}

TEST(a_flow_of_one_interface_opens_no_other)
{
    struct rig r;

    rig_init(&r, GROUPS);
    PUSH(&r, {0, "i", "tcp 10.0.1.20:999 > 10.0.1.10:80 S", NULL, "web", true},
         {1, "e", "tcp 10.0.1.10:80 > 10.0.1.20:999 S.", "web", NULL, true},
         {2, "i", "tcp 10.0.1.20:999 > 10.0.1.10:80 .", NULL, "web", true},
         {3, "i", "tcp 10.0.1.20:999 > 10.0.1.10:80 .", NULL, "web", true},
         {4, "i", "tcp 10.0.1.20:999 > 10.0.1.10:80 .", NULL, "db", false},
         {5, "i", "tcp 10.0.1.20:999 > 10.0.1.10:80 .", NULL, "web", true});
    rig_uninit(&r);
}

TEST(groups_that_are_referred_to_follow_their_members)
{
    static const struct step
        refused = {0,     "i",  "tcp 10.0.1.99:1 > 10.0.1.30:5432 S",
                   "new", "db", false},
        allowed = {1,     "i",  "tcp 10.0.1.99:1 > 10.0.1.30:5432 S",
                   "new", "db", true},
        again = {2,     "i",  "tcp 10.0.1.99:2 > 10.0.1.30:5432 S",
                 "new", "db", false};
    struct rig r;

    rig_init(&r, GROUPS);
    PUSH(&r, {0, "i", APP_DB "S", "app", "db", true});
    set_eni(r.inventory, "new", "vpc-1", "10.0.1.99", "sg-web", NULL);
    push(&r, &refused);
    set_eni(r.inventory, "new", "vpc-1", "10.0.1.99", "sg-app", NULL);
    push(&r, &allowed);
    set_eni(r.inventory, "new", "vpc-1", "10.0.1.99", "sg-web", NULL);
    push(&r, &again);
    rig_uninit(&r);
}

TEST(groups_of_an_interface_change_with_the_next_packet)
{
    static const struct step
        refused = {0,     "i",     "tcp 10.0.1.20:1 > 10.0.1.40:5432 S",
                   "app", "plain", false},
        allowed = {1,     "i",     "tcp 10.0.1.20:1 > 10.0.1.40:5432 S",
                   "app", "plain", true};
    struct rig r;

    rig_init(&r, GROUPS);
    push(&r, &refused);
    set_eni(r.inventory, "plain", "vpc-1", "10.0.1.40", "sg-db", NULL);
    push(&r, &allowed);
    rig_uninit(&r);
}

TEST(a_reference_does_not_match_what_an_appliance_forwards)
{
    struct rig r;

    rig_init(&r, GROUPS);
    PUSH(&r, {0, "i", APP_DB "S", "fw", "db", false},
         {1, "i", APP_DB "S", NULL, "db", true},
         {2, "i", "udp 10.0.1.30:1 > 10.0.1.30:2", "db", "db", true},
         {3, "i", "udp 10.0.1.20:1 > 10.0.1.30:2", "app", "db", false});
    rig_uninit(&r);
}

TEST(a_reference_matches_no_interface_of_another_vpc)
{
    struct hg_error error = {""};
    struct rig r;

    rig_init(&r, GROUPS);
    CHECK(hg_element_write(r.dut, "add-rule", "sg-twin inbound tcp all sg-app",
                           &error));
    PUSH(&r, {0, "i", "tcp 10.0.1.20:1 > 10.0.1.10:9 S", NULL, "twin", false},
         {1, "i", "tcp 10.0.1.20:2 > 10.0.1.10:9 S", "app", "twin", false});
    set_eni(r.inventory, "new", "vpc-2", "10.0.1.20", "sg-app", NULL);
    PUSH(&r, {2, "i", "tcp 10.0.1.20:3 > 10.0.1.10:9 S", NULL, "twin", true},
         {3, "i", "tcp 10.0.1.20:4 > 10.0.1.10:9 S", "new", "twin", true},
         {4, "i", "tcp 10.0.1.20:5 > 10.0.1.30:5432 S", "app", "db", true});
    rig_uninit(&r);
}

TEST(an_appliance_on_the_path_has_sides_of_its_own)
{
    struct rig r;

    rig_init(&r, GROUPS);
    PUSH(&r, {0, "e", "tcp 10.0.1.10:999 > 10.0.1.20:80 S", "web", "fw", true},
         {0, "i", "tcp 10.0.1.10:999 > 10.0.1.20:80 S", "web", "fw", true},
         {0, "e", "tcp 10.0.1.10:999 > 10.0.1.20:80 S", "fw", "app", true},
         {0, "i", "tcp 10.0.1.10:999 > 10.0.1.20:80 S", "fw", "app", true},
         {1, "e", "tcp 10.0.1.20:80 > 10.0.1.10:999 S.", "app", "fw", true},
         {1, "i", "tcp 10.0.1.20:80 > 10.0.1.10:999 S.", "app", "fw", true},
         {1, "e", "tcp 10.0.1.20:80 > 10.0.1.10:999 S.", "fw", "web", true},
         {1, "i", "tcp 10.0.1.20:80 > 10.0.1.10:999 S.", "fw", "web", true});
    rig_uninit(&r);
}

TEST(vpcs_with_the_same_addresses_are_apart)
{
    struct rig r;

    rig_init(&r, GROUPS);
    PUSH(&r, {0, "i", "tcp 10.0.1.20:5 > 10.0.1.10:80 S", "app", "web", true},
         {0, "i", "tcp 10.0.1.20:5 > 10.0.1.10:80 S", NULL, "twin", false},
         {0, "e", "tcp 10.0.1.10:80 > 10.0.1.20:5 S.", "twin", NULL, false},
         {0, "e", "tcp 10.0.1.10:80 > 10.0.1.20:5 S.", "web", "app", true});
    rig_uninit(&r);
}

TEST(the_default_group_lets_its_members_in)
{
    static const struct step app = {
        2, "i", "udp 10.0.1.41:1 > 10.0.1.40:9", "plain2", "plain", false};
    struct rig r;

    rig_init(&r, GROUPS);
    PUSH(&r,
         {0, "i", "udp 10.0.1.41:1 > 10.0.1.40:3", "plain2", "plain", true},
         {0, "i", "udp 10.0.1.10:1 > 10.0.1.40:3", "web", "plain", false},
         {0, "i", "udp 203.0.113.9:1 > 10.0.1.40:3", NULL, "plain", false},
         {0, "e", "udp 10.0.1.40:1 > 203.0.113.9:2", "plain", NULL, true});
    set_eni(r.inventory, "plain2", "vpc-1", "10.0.1.41", "sg-app", NULL);
    push(&r, &app);
    rig_uninit(&r);
}

TEST(what_belongs_to_no_known_interface_is_dropped_or_passes)
{
    struct rig r;
    static const struct step pass = {
        0, "i", "udp 203.0.113.9:1 > 10.0.1.77:2", NULL, NULL, true};

    rig_init(&r, "unknown-eni = pass " GROUPS);
    push(&r, &pass);
    rig_uninit(&r);

    rig_init(&r, GROUPS);
    {
        struct hg_error error;
        struct hg_packet *p = notation_parse(
            hg_graph_pool(r.graph), "udp 203.0.113.9:1 > 10.0.1.77:2", &error);

        REQUIRE(p);
        p->time_ns = START;
        hg_graph_inject(r.graph, r.source, 1, &p, 1);
        hg_graph_dispatch(r.graph);
        CHECK_EQ(r.sink->seen.n, 0);
        CHECK_STR(read_handler(&r, "no-eni", ""), "1");
    }
    rig_uninit(&r);
}

TEST(the_router_and_the_resolver_of_the_vpc_are_not_filtered)
{
    struct rig r;

    rig_init(&r, GROUPS);
    PUSH(&r, {0, "e", "udp 10.0.1.10:1 > 10.0.0.2:53", "twin", NULL, true},
         {0, "e", "udp 10.0.1.10:68 > 10.0.1.1:67", "twin", NULL, true},
         {0, "i", "udp 10.0.0.2:53 > 10.0.1.10:1", NULL, "twin", true},
         {0, "e", "udp 10.0.1.10:1 > 10.0.1.2:53", "twin", NULL, false});
    rig_uninit(&r);
}

TEST(one_interface_does_not_use_up_what_another_may_track)
{
    struct rig r;
    unsigned i;

    rig_init(&r, "max-per-eni = 5 " GROUPS);
    for (i = 1; i <= 5; i++) {
        char text[96];
        struct step s = {0, "e", text, "web", NULL, true};

        snprintf(text, sizeof text, "udp 10.0.1.10:%u > 203.0.113.9:1", i);
        push(&r, &s);
    }
    CHECK_STR(read_handler(&r, "count", "web"), "5");
    PUSH(&r, {1, "e", "udp 10.0.1.20:1 > 203.0.113.9:1", "app", NULL, true},
         {2, "e", "udp 10.0.1.10:3 > 203.0.113.9:1", "web", NULL, true});
    CHECK_STR(read_handler(&r, "conntrack-allowance-exceeded", ""), "0");
    rig_uninit(&r);
}

TEST(an_interface_with_an_unknown_group_is_refused)
{
    struct rig r = {.plugins = hg_plugins_create(NULL),
                    .inventory = make_inventory()};
    struct hg_error error = {""};

    next_inventory = r.inventory;
    hg_plugins_add(r.plugins, &holder_class);
    hg_plugins_add(r.plugins, &source_class);
    hg_plugins_add(r.plugins, &sink_class);
    r.graph = load(r.plugins, "group sg-web { }");
    CHECK(!hg_graph_start(r.graph, START, &error));
    CHECK_STR(error.text,
              "'dut': ENI 'app' has group 'sg-app', which is not here; "
              "add 'group sg-app { ... }'");
    hg_graph_destroy(r.graph);
    hg_inventory_destroy(r.inventory);
    hg_plugins_destroy(r.plugins);
}
