/* test_instances.c: what several instances of a graph share (hg_kin).  The
 * files that the first instance was made from are gone when the others are
 * made: what these know they have from the first. */
#include "harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "notation.h"

#define N 3 /* Instances; the first is not at work, as in --workers. */

struct kin {
    struct hg_plugins *plugins;
    struct hg_graph *graph[N];
};

static char dir[64]; /* The test's own, while its instances are there. */

static void
put_file(const char *name, const char *text)
{
    FILE *file;

    if (!*dir) {
        strcpy(dir, "/tmp/headgate-instances-XXXXXX");
        REQUIRE(mkdtemp(dir) && chdir(dir) == 0);
    }
    file = fopen(name, "w");
    REQUIRE(file);
    fputs(text, file);
    fclose(file);
}

static struct hg_graph *
load_one(const struct kin *kin, struct hg_graph *first)
{
    struct hg_graph_config config = {
        .plugins = kin->plugins, .seed = 1, .n_workers = N, .kin = first};
    struct hg_diags *diags = hg_diags_create();
    struct hg_graph *g = hg_graph_load("graph.conf", &config, diags);

    hg_diags_print(diags, stderr, false);
    hg_diags_destroy(diags);
    REQUIRE(g);
    return g;
}

/* Instances of 'graph', where "table.csv" is in place only for the first. */
static struct kin
load(const char *graph, const char *table)
{
    struct kin kin = {.plugins = hg_plugins_create(NULL)};
    struct hg_error error;
    unsigned i;
    size_t k;

    put_file("graph.conf", graph);
    put_file("table.csv", table);
    kin.graph[0] = load_one(&kin, NULL);
    put_file("table.csv", "no,such,column\n");
    for (i = 1; i < N; i++)
        kin.graph[i] = load_one(&kin, kin.graph[0]);
    unlink("graph.conf");
    unlink("table.csv");
    for (k = 0; k < hg_graph_n_elements(kin.graph[0]); k++) {
        struct hg_element *e = hg_graph_element(kin.graph[0], k);

        if (!(hg_element_class(e)->flags & HG_CLASS_PASSIVE))
            hg_element_set_working(e, false);
    }
    for (i = 0; i < N; i++)
        if (!hg_graph_start(kin.graph[i], BENCH_START, &error))
            FAIL("instance %u does not start: %s", i, error.text);
    return kin;
}

static void
unload(struct kin *kin)
{
    unsigned i;

    for (i = N; i-- > 0;) {
        hg_graph_stop(kin->graph[i]);
        hg_graph_destroy(kin->graph[i]);
    }
    hg_plugins_destroy(kin->plugins);
    CHECK(chdir("/") == 0 && rmdir(dir) == 0);
    *dir = '\0';
}

static struct hg_element *
dut(const struct kin *kin, unsigned i)
{
    return hg_graph_find(kin->graph[i], "dut");
}

static uint64_t
number(const struct kin *kin, unsigned i, const char *field)
{
    const struct hg_class *cls = hg_element_class(dut(kin, i));
    size_t k;

    for (k = 0; k < cls->n_fields; k++)
        if (!strcmp(cls->fields[k].name, field))
            return hg_element_number(dut(kin, i), &cls->fields[k]);
    FAIL("no field '%s'", field);
    return 0;
}

/* As "headgate run --write" does; then what threads will only read is brought
 * up to date. */
static void
write_to(const struct kin *kin, const char *element, const char *handler,
         const char *value)
{
    struct hg_error error;
    unsigned i;

    for (i = 0; i < N; i++) {
        struct hg_element *e = hg_graph_find(kin->graph[i], element);
        bool passive = hg_element_class(e)->flags & HG_CLASS_PASSIVE;

        if (passive ? i == 0
                    : hg_element_is_working(e) || hg_element_is_lent(e))
            if (!hg_element_write(e, handler, value, &error))
                FAIL("%s: %s", value, error.text);
    }
    for (i = 0; i < N; i++)
        hg_graph_settle(kin->graph[i]);
}

/* Sends a packet through an instance; which output of the element it took. */
static const char *
way_of(const struct kin *kin, unsigned i, const char *text)
{
    static char way[64];
    uint64_t before[8] = {0};
    struct hg_graph *g = kin->graph[i];
    struct hg_element *e = dut(kin, i);
    unsigned k, n = hg_element_n_outputs(e);
    struct hg_error error = {""};
    struct hg_port_info info;
    struct hg_packet *p = notation_parse(hg_graph_pool(g), text, &error);

    if (!p)
        FAIL("'%s': %s", text, error.text);
    for (k = 0; k < n; k++) {
        hg_element_output(e, k, &info);
        before[k] = info.packets;
    }
    p->time_ns = BENCH_START;
    hg_graph_inject(g, hg_graph_find(g, "lan"), 0, &p, 1);
    hg_graph_dispatch(g);
    for (k = 0; k < n; k++) {
        hg_element_output(e, k, &info);
        if (info.packets > before[k]) {
            snprintf(way, sizeof way, "%s", info.name);
            return way;
        }
    }
    return "dropped";
}

/* What a handler of an instance says holds a text so often. */
static unsigned
times(const struct kin *kin, unsigned i, const char *handler, const char *what)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    struct hg_error error;
    const char *at;
    unsigned n = 0;

    if (!hg_element_read(dut(kin, i), handler, "", out, &error))
        FAIL("%s: %s", handler, error.text);
    fclose(out);
    for (at = text; (at = strstr(at, what)) != NULL; at++)
        n++;
    free(text);
    return n;
}

/* ---- RouteTable ------------------------------------------------------- */

#define ROUTER                                                                \
    "Interface lan {} Discard up {} Discard down {}\n"                        \
    "RouteTable dut { file = table.csv  cidr = 10.0.0.0/8\n"                  \
    "    prefix-list list { file = list.txt }\n"                              \
    "    target up {} target down {} }\n"                                     \
    "connect(\"lan -> CheckIP -> dut[up] -> up; dut[down] -> down\")\n"       \
    "connect(\"dut[local] -> Discard\")"

static struct kin
load_router(void)
{
    struct kin kin;

    put_file("list.txt", "203.0.113.0/24\n");
    kin = load(ROUTER, "destination,target\n192.0.2.0/24,up\n"
                       "198.51.100.0/24,down\nlist,down\n");
    unlink("list.txt");
    return kin;
}

TEST(routes_are_built_by_the_first_instance_and_used_by_all)
{
    struct kin kin = load_router();
    unsigned i;

    for (i = 1; i < N; i++) {
        CHECK_STR(way_of(&kin, i, "udp 10.0.0.1:1 > 192.0.2.1:2"), "up");
        CHECK_STR(way_of(&kin, i, "udp 10.0.0.1:1 > 198.51.100.1:2"), "down");
        CHECK_STR(way_of(&kin, i, "udp 10.0.0.1:1 > 203.0.113.1:2"), "down");
        CHECK_STR(way_of(&kin, i, "udp 10.0.0.1:1 > 10.2.3.4:2"), "local");
        CHECK_STR(way_of(&kin, i, "udp 10.0.0.1:1 > 8.8.8.8:2"), "dropped");
        CHECK_EQ(number(&kin, i, "no_route"), 1);
        CHECK_EQ(number(&kin, i, "routes"), 4);
        CHECK_EQ(number(&kin, i, "memory"), number(&kin, 1, "memory"));
    }
    CHECK_EQ(number(&kin, 0, "no_route"), 0); /* Each counts its own. */
    unload(&kin);
}

TEST(a_route_is_written_once_and_all_instances_follow)
{
    struct kin kin = load_router();
    unsigned i;

    write_to(&kin, "dut", "add", "192.0.2.128/25 target=down");
    write_to(&kin, "dut", "remove", "198.51.100.0/24");
    for (i = 1; i < N; i++) {
        CHECK_STR(way_of(&kin, i, "udp 10.0.0.1:1 > 192.0.2.200:2"), "down");
        CHECK_STR(way_of(&kin, i, "udp 10.0.0.1:1 > 198.51.100.1:2"),
                  "dropped");
        CHECK_EQ(number(&kin, i, "routes"), 4);
        CHECK_EQ(times(&kin, i, "list", "192.0.2.128/25"), 1);
        CHECK_EQ(number(&kin, i, "updates"), 0);
    }
    CHECK_EQ(number(&kin, 0, "updates"), 2); /* So their sum is right. */
    write_to(&kin, "dut", "down", "down");
    for (i = 1; i < N; i++)
        CHECK_STR(way_of(&kin, i, "udp 10.0.0.1:1 > 192.0.2.200:2"),
                  "dropped");
    unload(&kin);
}

TEST(networks_written_before_threads_start_reach_the_routes_of_all)
{
    struct kin kin;
    unsigned i;

    put_file("who.csv", "kind,id,cidr\nvpc,vpc-1,10.1.0.0/16\n");
    kin = load(
        "Interface lan {} Discard up {} MappingService who { file = who.csv }"
        "RouteTable dut { file = table.csv  target up {} }\n"
        "connect(\"lan -> CheckIP -> dut[up] -> up; dut[local] -> Discard\")",
        "destination,target\n0.0.0.0/0,up\n");
    for (i = 1; i < N; i++)
        CHECK_STR(way_of(&kin, i, "udp 10.1.0.1:1 > 10.2.0.1:2"), "up");
    put_file("who.csv", "kind,id,cidr\nvpc,vpc-1,10.1.0.0/16 10.2.0.0/16\n");
    write_to(&kin, "who", "reload", "");
    unlink("who.csv");
    for (i = 1; i < N; i++) {
        CHECK_STR(way_of(&kin, i, "udp 10.1.0.1:1 > 10.2.0.1:2"), "local");
        CHECK_EQ(number(&kin, i, "routes"), 3);
    }
    unload(&kin);
}

/* ---- NACL ------------------------------------------------------------- */

#define FILTER                                                                \
    "Interface lan {} Interface back {}\n"                                    \
    "NACL dut { file = table.csv }\n"                                         \
    "connect(\"lan -> CheckIP -> [inbound]dut[inbound] -> Discard\")\n"       \
    "connect(\"back -> [outbound]dut[outbound] -> Discard\")\n"               \
    "connect(\"dut[deny] -> Discard\")"

TEST(acl_rules_are_compiled_once_and_counted_by_each_instance)
{
    struct kin kin =
        load(FILTER, "direction,number,action,protocol,cidr,ports\n"
                     "inbound,100,allow,udp,0.0.0.0/0,53\n");
    unsigned i;

    for (i = 1; i < N; i++) {
        CHECK_STR(way_of(&kin, i, "udp 192.0.2.1:1 > 10.0.0.1:53"), "inbound");
        CHECK_STR(way_of(&kin, i, "udp 192.0.2.1:1 > 10.0.0.1:54"), "deny");
        CHECK_EQ(times(&kin, i, "rules", "\"packets\": 1}"), 2);
    }
    CHECK_EQ(times(&kin, 0, "rules", "\"packets\": 0}"), 3);
    unload(&kin);
}

TEST(an_acl_rule_that_is_written_acts_in_all_instances)
{
    struct kin kin =
        load(FILTER, "direction,number,action,protocol,cidr,ports\n"
                     "inbound,100,allow,udp,0.0.0.0/0,53\n");
    unsigned i;

    for (i = 1; i < N; i++)
        way_of(&kin, i, "udp 192.0.2.1:1 > 10.0.0.1:53");
    write_to(&kin, "dut", "add-rule",
             "default inbound 90 action=deny cidr=192.0.2.0/24");
    for (i = 1; i < N; i++) {
        CHECK_STR(way_of(&kin, i, "udp 192.0.2.1:1 > 10.0.0.1:53"), "deny");
        CHECK_STR(way_of(&kin, i, "udp 192.0.3.1:1 > 10.0.0.1:53"), "inbound");
        CHECK_EQ(times(&kin, i, "rules", "\"packets\": 2}"), 1);
    }
    write_to(&kin, "dut", "remove-rule", "default inbound 100");
    for (i = 1; i < N; i++)
        CHECK_STR(way_of(&kin, i, "udp 192.0.3.1:1 > 10.0.0.1:53"), "deny");
    unload(&kin);
}

/* ---- SecurityGroup ---------------------------------------------------- */

#define GUARD                                                                 \
    "Interface lan {} Interface back {}\n"                                    \
    "SecurityGroup dut { group sg { allow-all-outbound = false }\n"           \
    "                    file = table.csv }\n"                                \
    "connect(\"lan -> CheckIP -> [ingress]dut[ingress] -> Discard\")\n"       \
    "connect(\"back -> CheckIP -> [egress]dut[egress] -> Discard\")\n"        \
    "connect(\"dut[deny] -> Discard\")"

TEST(groups_are_those_of_the_first_instance_and_written_once)
{
    struct kin kin = load(GUARD, "group,direction,protocol,service,peer\n"
                                 "sg,inbound,tcp,443,192.0.2.0/24\n");
    unsigned i;

    for (i = 1; i < N; i++) {
        CHECK_STR(way_of(&kin, i, "tcp 192.0.2.1:1 > 10.0.0.1:443 S"),
                  "ingress");
        CHECK_STR(way_of(&kin, i, "tcp 192.0.2.1:1 > 10.0.0.1:80 S"), "deny");
        CHECK_EQ(number(&kin, i, "tracked"), 1);
    }
    write_to(&kin, "dut", "add-rule", "sg inbound tcp 80 192.0.2.0/24");
    write_to(&kin, "dut", "remove-rule", "1");
    write_to(&kin, "dut", "delete", "all");
    for (i = 1; i < N; i++) {
        CHECK_EQ(times(&kin, i, "rules", "\"rule\""), 1);
        CHECK_EQ(number(&kin, i, "tracked"), 0);
        CHECK_STR(way_of(&kin, i, "tcp 192.0.2.1:1 > 10.0.0.1:443 S"), "deny");
        CHECK_STR(way_of(&kin, i, "tcp 192.0.2.1:1 > 10.0.0.1:80 S"),
                  "ingress");
    }
    unload(&kin);
}
