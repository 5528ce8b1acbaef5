/* test_nacl.c: which packets a network ACL lets into and out of a subnet. */
#include "harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <headgate/inventory.h>

#include "nacl_graph.h"
#include "notation.h"

/* ---- Rules decide ----------------------------------------------------- */

/* One packet through one list; 'rule' is the number that decided. */
struct row {
    const char *rules;
    const char *in; /* "in" or "out". */
    const char *packet;
    bool passes;
    unsigned rule;
};

static const struct row rows[] = {
    /* First match, in order of numbers and not of lines. */
    {"inbound 200 { cidr = 0.0.0.0/0 action = allow }\n"
     "inbound 100 { cidr = 10.9.0.0/16 action = deny }",
     "in", "udp 10.9.1.1:1 > 10.0.1.5:2", false, 100},
    {"inbound 200 { cidr = 0.0.0.0/0 action = allow }\n"
     "inbound 100 { cidr = 10.9.0.0/16 action = deny }",
     "in", "udp 10.8.1.1:1 > 10.0.1.5:2", true, 200},
    {"inbound 1 { cidr = 10.8.0.0/16 action = allow }", "in",
     "udp 10.9.1.1:1 > 10.0.1.5:2", false, 32767},
    {"inbound 32766 { cidr = 10.8.0.0/16 action = allow }", "in",
     "udp 10.8.1.1:1 > 10.0.1.5:2", true, 32766},
    /* Bits behind the length do not count. */
    {"inbound 1 { cidr = 100.68.0.18/18 action = allow }", "in",
     "udp 100.68.63.255:1 > 10.0.1.5:2", true, 1},
    {"inbound 1 { cidr = 100.68.0.18/18 action = allow }", "in",
     "udp 100.68.64.0:1 > 10.0.1.5:2", false, 32767},
    /* Inbound asks the source, outbound the destination; both the
     * destination port. */
    {"inbound 1 { cidr = 10.8.0.0/16 action = allow }", "in",
     "udp 10.9.1.1:1 > 10.8.1.5:2", false, 32767},
    {"outbound 1 { cidr = 10.8.0.0/16 action = allow }", "out",
     "udp 10.0.1.5:1 > 10.8.1.1:2", true, 1},
    {"outbound 1 { cidr = 10.8.0.0/16 action = allow }", "out",
     "udp 10.8.1.1:1 > 10.0.1.5:2", false, 32767},
    {"outbound 1 { cidr = 0.0.0.0/0 protocol = udp ports = 53\n"
     "  action = allow }",
     "out", "udp 10.0.1.5:53 > 10.8.1.1:54", false, 32767},
    {"outbound 1 { cidr = 0.0.0.0/0 protocol = udp ports = 53\n"
     "  action = allow }",
     "out", "udp 10.0.1.5:54 > 10.8.1.1:53", true, 1},
    /* The lists are apart. */
    {"outbound 1 { cidr = 0.0.0.0/0 action = allow }", "in",
     "udp 10.8.1.1:1 > 10.0.1.5:2", false, 32767},
    /* The ends of ranges. */
    {"inbound 1 { cidr = 0.0.0.0/0 protocol = tcp ports = 1024-65535\n"
     "  action = allow }",
     "in", "tcp 10.8.1.1:1 > 10.0.1.5:1024 S", true, 1},
    {"inbound 1 { cidr = 0.0.0.0/0 protocol = tcp ports = 1024-65535\n"
     "  action = allow }",
     "in", "tcp 10.8.1.1:1 > 10.0.1.5:1023 S", false, 32767},
    {"inbound 1 { cidr = 0.0.0.0/0 protocol = tcp ports = 1024-65535\n"
     "  action = allow }",
     "in", "udp 10.8.1.1:1 > 10.0.1.5:1024", false, 32767},
    /* ICMP. */
    {"inbound 1 { cidr = 0.0.0.0/0 protocol = icmp icmp-type = 8\n"
     "  action = allow }",
     "in", "icmp 10.8.1.1 > 10.0.1.5 echo 1", true, 1},
    {"inbound 1 { cidr = 0.0.0.0/0 protocol = icmp icmp-type = 0\n"
     "  action = allow }",
     "in", "icmp 10.8.1.1 > 10.0.1.5 echo 1", false, 32767},
    {"inbound 1 { cidr = 0.0.0.0/0 protocol = icmp icmp-type = 8\n"
     "  icmp-code = 1 action = allow }",
     "in", "icmp 10.8.1.1 > 10.0.1.5 echo 1", false, 32767},
    {"inbound 1 { cidr = 0.0.0.0/0 protocol = 1 icmp-type = -1\n"
     "  action = allow }",
     "in", "icmp 10.8.1.1 > 10.0.1.5 echo 1", true, 1},
    /* The families do not mix. */
    {"inbound 1 { cidr = 0.0.0.0/0 action = allow }", "in",
     "udp [2001:db8::1]:1 > [2001:db8::2]:2", false, 32768},
    {"inbound 1 { cidr = ::/0 action = allow }", "in",
     "udp 10.8.1.1:1 > 10.0.1.5:2", false, 32767},
    {"inbound 1 { cidr = 2001:db8::/32 action = allow }", "in",
     "udp [2001:db8::1]:1 > [2001:db8:1::2]:2", true, 1},
    /* A later fragment has no ports: only rules without them match. */
    {"inbound 1 { cidr = 0.0.0.0/0 protocol = udp ports = 53\n"
     "  action = allow }",
     "in", "ip 10.8.1.1 > 10.0.1.5 proto 17 frag 1480 len 100", false, 32767},
    {"inbound 1 { cidr = 0.0.0.0/0 protocol = udp action = allow }", "in",
     "ip 10.8.1.1 > 10.0.1.5 proto 17 frag 1480 len 100", true, 1},
    {"fragments = allow", "in",
     "ip 10.8.1.1 > 10.0.1.5 proto 17 frag 1480 len 100", true, 0},
    {"fragments = deny", "in",
     "ip 10.8.1.1 > 10.0.1.5 proto 17 frag 1480 len 100", false, 0},
    {"fragments = deny", "in", "udp 10.8.1.1:1 > 10.0.1.5:2", true, 100},
    /* Nobody wrote an ACL: a VPC's own. */
    {"", "in", "udp 10.8.1.1:1 > 10.0.1.5:2", true, 100},
    {"", "out", "udp [2001:db8::1]:1 > [2001:db8::2]:2", true, 101},
    {"acl other { }", "in", "udp 10.8.1.1:1 > 10.0.1.5:2", true, 100},
    {"acl mine { is-default = yes }", "in", "udp 10.8.1.1:1 > 10.0.1.5:2",
     false, 32767},
    /* Never filtered, whatever the rules. */
    {"acl default { }", "out", "udp 10.0.1.5:68 > 10.0.1.1:67", true, 0},
    {"acl default { }", "in", "udp 10.0.1.1:67 > 10.0.1.5:68", true, 0},
    {"acl default { } filter-dhcp = yes", "in",
     "udp 10.0.1.1:67 > 10.0.1.5:68", false, 32767},
    {"acl default { }", "out", "tcp 10.0.1.5:4000 > 169.254.169.254:80 S",
     true, 0},
    {"acl default { }", "in", "udp 169.254.169.123:123 > 10.0.1.5:123", true,
     0},
    {"acl default { }", "out", "udp [2001:db8::1]:9 > [fd00:ec2::253]:53",
     true, 0},
    {"acl default { }", "in", "arp who-has 10.0.0.1 tell 10.0.0.2", true, 0},
    {"acl default { } unfiltered = 192.0.2.1", "out",
     "udp 10.0.1.5:1 > 192.0.2.1:2", true, 0},
    {"acl default { } unfiltered = 192.0.2.1", "out",
     "udp 10.0.1.5:1 > 169.254.169.254:2", false, 32767},
    {"acl default { } unfiltered = 160.0.0.0/3", "out",
     "udp 10.0.1.5:1 > 191.255.255.255:2", true, 0},
    {"acl default { } unfiltered = 160.0.0.0/3", "in",
     "udp 160.0.0.0:1 > 10.0.1.5:2", true, 0},
    {"acl default { } unfiltered = 160.0.0.0/3", "out",
     "udp 10.0.1.5:1 > 192.0.0.0:2", false, 32767},
    {"acl default { } unfiltered = 0.0.0.0/0", "out",
     "udp 10.0.1.5:1 > 192.0.0.0:2", true, 0},
    {"acl default { } unfiltered = 0.0.0.0/0", "out",
     "udp [2001:db8::1]:1 > [2001:db8::2]:2", false, 32768},
    {"acl default { }", "in", "udp [fe80::1]:547 > [2001:db8::2]:546", true,
     0},
    {"acl default { }", "in", "udp [2001:db8::1]:547 > [2001:db8::2]:546",
     true, 0},
    {"acl default { }", "in", "tcp 10.0.1.1:67 > 10.0.1.5:68 S", false, 32767},
    /* Inside the subnet. */
    {"acl default { } cidr = 10.0.1.0/24", "in", "udp 10.0.1.4:1 > 10.0.1.5:2",
     true, 0},
    {"acl default { } cidr = 10.0.1.0/24", "in", "udp 10.0.2.4:1 > 10.0.1.5:2",
     false, 32767},
    {"acl default { } cidr = 10.0.1.4/31", "in", "udp 10.0.1.4:1 > 10.0.1.5:2",
     true, 0},
    {"acl default { } cidr = 10.0.1.4/31", "in", "udp 10.0.1.6:1 > 10.0.1.5:2",
     false, 32767},
    {"acl default { } cidr = 0.0.0.0/0", "out", "udp 10.0.1.6:1 > 8.8.8.8:2",
     true, 0},
    {"acl default { } cidr = 0.0.0.0/0", "out",
     "udp [2001:db8::1]:1 > [2001:db8::2]:2", false, 32768},
    {"acl default { } cidr = 2001:db8:0:1:8000::/65", "out",
     "udp [2001:db8:0:1:ffff::1]:1 > [2001:db8:0:1:8000::2]:2", true, 0},
    {"acl default { } cidr = 2001:db8:0:1:8000::/65", "out",
     "udp [2001:db8:0:1:8000::1]:1 > [2001:db8:0:1:7fff::2]:2", false, 32768},
    {"acl default { } cidr = 2001:db8::5/128", "out",
     "udp [2001:db8::5]:1 > [2001:db8::5]:2", true, 0},
    {"acl default { } cidr = 2001:db8::5/128", "out",
     "udp [2001:db8::5]:1 > [2001:db8::4]:2", false, 32768},
};

/* The first metadata that is registered begins at 0. */
static unsigned
deciding_rule(const struct hg_packet *p)
{
    uint16_t number;

    memcpy(&number, p->meta, sizeof number);
    return number;
}

/* Behind an ACL of its own, which allows everything, so that a number of an
 * earlier decision would be seen. */
#define BEHIND_ANOTHER                                                        \
    "\nNACL before { }"                                                       \
    "\nconnect(\"in -> [inbound]before[inbound] -> "                          \
    "[inbound]dut[inbound] -> ok-in\")"                                       \
    "\nconnect(\"out -> [outbound]before[outbound] -> "                       \
    "[outbound]dut[outbound] -> ok-out\")"                                    \
    "\nconnect(\"dut[deny] -> no\")"

TEST(the_first_rule_that_matches_decides)
{
    unsigned i;

    for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct row *row = &rows[i];
        bool inbound = !strcmp(row->in, "in");
        const char *sink = !row->passes ? "no" : inbound ? "ok-in" : "ok-out";
        struct hg_packet *p;
        struct bench *b;
        char *text;

        REQUIRE(asprintf(&text, PORTS "NACL dut { %s }" BEHIND_ANOTHER,
                         row->rules) > 0);
        b = bench_load(text);
        free(text);
        bench_push(b, row->in, row->packet, 0);
        if (bench_waiting(b, sink) != 1)
            FAIL("row %u: %s through %s did not come to %s", i, row->packet,
                 row->rules, sink);
        p = bench_waiting(b, sink) ? bench_take(b, sink) : NULL;
        if (p && deciding_rule(p) != row->rule)
            FAIL("row %u: rule %u decided about %s, not %u", i,
                 deciding_rule(p), row->packet, row->rule);
        bench_forget(b, NULL);
        bench_destroy(b);
    }
}

TEST(what_is_denied_is_dropped_where_deny_is_not_wired)
{
    struct bench *b = bench_load(PORTS "NACL dut { acl default { } }" WIRES);

    bench_push(b, "in", "udp 10.8.1.1:1 > 10.0.1.5:2", 0);
    bench_push(b, "out", "udp 10.0.1.5:2 > 10.8.1.1:1", 0);
    CHECK_EQ(bench_counter(b, "denied"), 2);
    CHECK_EQ(bench_counter(b, "denied_inbound"), 1);
    CHECK_EQ(bench_counter(b, "denied_outbound"), 1);
    bench_destroy(b);
}

/* ---- Changes ---------------------------------------------------------- */

/* The same behind an element that keeps flows, which then remember where in
 * the list their packets were decided. */
#define GRAPH_OF_FLOWS(options)                                               \
    PORTS "NACL dut { " options " }\n"                                        \
          "SecurityGroup sg { group g { inbound { source = 10.8.0.0/16 }\n"   \
          "outbound { destination = 10.8.0.0/16 } } }\n"                      \
          "connect(\"in -> [ingress]sg[ingress] -> [inbound]dut[inbound] "    \
          "-> ok-in\")\n"                                                     \
          "connect(\"out -> [egress]sg[egress] -> [outbound]dut[outbound] "   \
          "-> ok-out\")\n"                                                    \
          "connect(\"dut[deny] -> no\")"

/* Three packets of one flow, all with this fate. */
static void
push_some(struct bench *b, const char *in, const char *packet,
          const char *sink, unsigned rule)
{
    unsigned i;

    for (i = 0; i < 3; i++) {
        const struct hg_packet *p;

        bench_push(b, in, packet, 0);
        REQUIRE(CHECK_EQ(bench_waiting(b, sink), 1));
        p = bench_take(b, sink);
        CHECK_EQ(deciding_rule(p), rule);
        bench_forget(b, NULL);
    }
}

static void
change_rules(struct bench *b)
{
    static const char packet[] = "tcp 10.8.1.1:4000 > 10.0.1.5:22 S";
    static const char back[] = "tcp 10.0.1.5:22 > 10.8.1.1:4000 S.";

    push_some(b, "in", packet, "ok-in", 100);
    push_some(b, "out", back, "no", 32767);
    bench_write(b, "add-rule",
                "default inbound 90 action=deny protocol=tcp ports=22 "
                "cidr=0.0.0.0/0");
    push_some(b, "in", packet, "no", 90);
    push_some(b, "out", back, "no", 32767);
    bench_write(b, "replace-rule",
                "default inbound 90 action=deny protocol=tcp ports=23 "
                "cidr=0.0.0.0/0");
    bench_write(b, "add-rule",
                "default outbound 7 action=allow cidr=0.0.0.0/0");
    push_some(b, "in", packet, "ok-in", 100);
    push_some(b, "out", back, "ok-out", 7);
    bench_write(b, "remove-rule", "default inbound 100");
    push_some(b, "in", packet, "no", 32767);
}

TEST(a_changed_rule_acts_on_the_very_next_packet)
{
    static const char *const graphs[] = {
        GRAPH("inbound 100 { cidr = 0.0.0.0/0 action = allow }"),
        GRAPH_OF_FLOWS("inbound 100 { cidr = 0.0.0.0/0 action = allow }")};
    unsigned i;

    for (i = 0; i < 2; i++) {
        struct bench *b = bench_load(graphs[i]);

        change_rules(b);
        CHECK_STR(bench_read(b, "rules", "default"),
                  "{\"acl\": \"default\", \"direction\": \"inbound\", "
                  "\"number\": 90, \"action\": \"deny\", \"protocol\": "
                  "\"tcp\", \"cidr\": \"0.0.0.0/0\", \"ports\": \"23-23\", "
                  "\"packets\": 0}\n"
                  "{\"acl\": \"default\", \"direction\": \"inbound\", "
                  "\"number\": \"*\", \"action\": \"deny\", \"protocol\": "
                  "\"all\", \"packets\": 3}\n"
                  "{\"acl\": \"default\", \"direction\": \"outbound\", "
                  "\"number\": 7, \"action\": \"allow\", \"protocol\": "
                  "\"all\", \"cidr\": \"0.0.0.0/0\", \"packets\": 3}\n"
                  "{\"acl\": \"default\", \"direction\": \"outbound\", "
                  "\"number\": \"*\", \"action\": \"deny\", \"protocol\": "
                  "\"all\", \"packets\": 6}");
        bench_destroy(b);
    }
}

/* A list so long that flows remember their place in it. */
TEST(a_changed_rule_acts_on_the_very_next_packet_of_flows_that_remember)
{
    char path[] = "/tmp/test_nacl.XXXXXX.csv", *graph;
    int fd = mkstemps(path, 4);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "w");
    struct bench *b;
    unsigned i;

    REQUIRE(file);
    fputs("direction,number,action,cidr\n", file);
    for (i = 0; i < 4096; i++)
        fprintf(file, "inbound,%u,allow,192.0.%u.%u/32\n", 1000 + i, i / 256,
                i % 256);
    fclose(file);
    REQUIRE(asprintf(&graph,
                     GRAPH_OF_FLOWS("quota = 9000  file = \"%s\"\n"
                                    "inbound 100 { cidr = 0.0.0.0/0"
                                    " action = allow }"),
                     path) > 0);
    b = bench_load(graph);
    change_rules(b);
    bench_destroy(b);
    remove(path);
    free(graph);
}

TEST(changes_that_cannot_be_are_refused_and_change_nothing)
{
    static const struct {
        const char *handler, *value, *error;
    } row[] = {
        {"add-rule", "default inbound 100 action=deny cidr=::/0",
         "there is a rule 100 already"},
        {"replace-rule", "default inbound 99 action=deny cidr=::/0",
         "there is no rule 99"},
        {"remove-rule", "default outbound 100", "there is no rule 100"},
        {"remove-rule", "other outbound 100", "no ACL 'other'"},
        {"remove-rule", "default",
         "write ACL, inbound or outbound, and a "
         "rule's number, such as: default inbound "
         "100"},
        {"add-rule", "default sideways 1",
         "'sideways' is no direction; write inbound or outbound"},
        {"add-rule", "default inbound 32767",
         "'32767' is not a rule number; they go from 1 to 32766"},
        {"add-rule", "default inbound 1 action=deny",
         "rule 1 needs 'cidr', such as 0.0.0.0/0 or ::/0"},
        {"add-rule", "default inbound 1 cidr=::/0",
         "rule 1 needs 'action': allow or deny"},
        {"add-rule", "default inbound 1 action=no cidr=::/0",
         "'no' is no action; write allow or deny"},
        {"add-rule", "default inbound 1 action",
         "'action' is not of the form name=value"},
        {"add-rule", "default inbound 1 color=red",
         "a rule has no 'color'; it has number, action, protocol, cidr, "
         "ports, icmp-type and icmp-code"},
        {"add-rule", "default inbound 1 action=deny cidr=::/0 ports=22",
         "rule 1 has ports; its protocol must be tcp or udp then"},
        {"add-rule", "default inbound 1 action=deny cidr=::/0 icmp-type=8",
         "rule 1 has an ICMP type; its protocol must be icmp or icmpv6 then"},
        {"add-rule",
         "default inbound 1 action=deny cidr=::/0 protocol=icmpv6 icmp-code=1",
         "rule 1 has an ICMP code; it must have 'icmp-type' too"},
        {"add-rule", "default inbound 1 action=deny cidr=::/0 protocol=256",
         "'256' is not a protocol; it is tcp, udp, icmp, icmpv6, all or a "
         "number up to 255"},
        {"associate", "subnet-1 other", "no ACL 'other'"},
    };
    struct bench *b =
        bench_load(GRAPH("inbound 100 { cidr = 0.0.0.0/0 action = allow }"));
    struct hg_element *dut = hg_graph_find(bench_graph(b), "dut");
    unsigned i;

    for (i = 0; i < sizeof row / sizeof row[0]; i++) {
        struct hg_error error = {""};

        CHECK(!hg_element_write(dut, row[i].handler, row[i].value, &error));
        CHECK_STR(error.text, row[i].error);
    }
    bench_push(b, "in", "udp 10.8.1.1:1 > 10.0.1.5:2", 0);
    bench_expect(b, "ok-in", "udp 10.8.1.1:1 > 10.0.1.5:2");
    bench_destroy(b);
}

/* ---- Many subnets ----------------------------------------------------- */

/* Two VPCs with the same addresses. */
struct net {
    struct hg_inventory *inventory;
    const struct hg_vpc *vpc[2];
};

static const struct hg_vpc *
add_vpc(struct hg_inventory *inventory, const char *id, uint32_t vni)
{
    struct hg_vpc vpc = {.id = (char *)(uintptr_t)id, .vni = vni};
    struct hg_prefix cidr;
    struct hg_error error = {""};
    const struct hg_vpc *made;

    REQUIRE(hg_prefix_parse("10.0.0.0/16", &cidr));
    vpc.cidr = (struct hg_prefix_list){1, &cidr};
    made = hg_inventory_add_vpc(inventory, &vpc, &error);
    CHECK_STR(error.text, "");
    REQUIRE(made);
    return made;
}

static void
add_subnet(struct hg_inventory *inventory, const struct hg_vpc *vpc,
           const char *id, const char *cidr, const char *nacl)
{
    struct hg_prefix prefix;
    struct hg_error error = {""};
    struct hg_subnet subnet = {.id = (char *)(uintptr_t)id,
                               .vpc = vpc,
                               .cidr = {1, &prefix},
                               .nacl = (char *)(uintptr_t)nacl};

    REQUIRE(hg_prefix_parse(cidr, &prefix));
    REQUIRE(hg_inventory_add_subnet(inventory, &subnet, &error));
}

static void
add_eni(struct hg_inventory *inventory, const char *id, const char *subnet,
        const char *address, uint8_t mac)
{
    const struct hg_subnet *in = hg_inventory_subnet(inventory, subnet);
    struct hg_addr addr;
    struct hg_error error = {""};
    const struct hg_eni_details details = {.address = {1, &addr}};
    struct hg_eni eni = {.id = (char *)(uintptr_t)id,
                         .vpc = in->vpc,
                         .subnet = in,
                         .mac = {{2, 0, 0, 0, 0, mac}},
                         .details = &details};

    REQUIRE(hg_addr_parse(address, &addr));
    REQUIRE(hg_inventory_add_eni(inventory, &eni, &error));
}

static struct net
make_net(void)
{
    struct net net = {.inventory = hg_inventory_create()};

    net.vpc[0] = add_vpc(net.inventory, "vpc-a", 1);
    net.vpc[1] = add_vpc(net.inventory, "vpc-b", 2);
    add_subnet(net.inventory, net.vpc[0], "a1", "10.0.1.0/24", "web");
    add_subnet(net.inventory, net.vpc[0], "a2", "10.0.2.0/24", NULL);
    add_subnet(net.inventory, net.vpc[1], "b1", "10.0.1.0/24", NULL);
    add_eni(net.inventory, "eni-1", "a1", "10.0.1.4", 1);
    add_eni(net.inventory, "eni-2", "a1", "10.0.1.5", 2);
    add_eni(net.inventory, "eni-3", "a2", "10.0.2.5", 3);
    add_eni(net.inventory, "eni-4", "b1", "10.0.1.5", 4);
    return net;
}

/* Pushes a packet with its identity and says where it went. */
static const char *
way_of(struct bench *b, const struct net *net, unsigned vpc, const char *in,
       const char *text)
{
    static const char *const sinks[] = {"ok-in", "ok-out", "no"};
    struct hg_error error = {""};
    struct hg_packet *p = notation_parse(bench_pool(b), text, &error);
    struct hg_addr src, dst;
    unsigned i;

    CHECK_STR(error.text, "");
    REQUIRE(p);
    src = hg_packet_src(p);
    dst = hg_packet_dst(p);
    p->vpc = net->vpc[vpc]->number;
    p->src_eni = hg_inventory_find(net->inventory, p->vpc, &src);
    p->dst_eni = hg_inventory_find(net->inventory, p->vpc, &dst);
    bench_push_packet(b, in, p, 0);
    for (i = 0; i < 3; i++)
        if (bench_waiting(b, sinks[i])) {
            bench_forget(b, NULL);
            return sinks[i];
        }
    return "nowhere";
}

TEST(each_subnet_has_its_acl)
{
    static const char web[] = "tcp 8.8.8.8:1 > 10.0.1.5:80 S";
    struct net net = make_net();
    struct bench *b = bench_load(
        GRAPH("acl web { inbound 100 { cidr = 0.0.0.0/0\n"
              "    protocol = tcp  ports = 80  action = allow } }\n"
              "acl open { is-default = yes\n"
              "  inbound 100 { cidr = 0.0.0.0/0 action = allow }\n"
              "  outbound 100 { cidr = 0.0.0.0/0 action = allow } }\n"
              "acl shut { subnets = b1 }"));

    /* a1 names web, a2 has the default, b1 is listed by shut. */
    CHECK_STR(way_of(b, &net, 0, "in", "udp 8.8.8.8:1 > 10.0.1.5:2"), "no");
    CHECK_STR(way_of(b, &net, 0, "in", web), "ok-in");
    CHECK_STR(way_of(b, &net, 0, "in", "udp 8.8.8.8:1 > 10.0.2.5:2"), "ok-in");
    CHECK_STR(way_of(b, &net, 1, "in", web), "no");
    bench_write(b, "associate", "b1 web");
    CHECK_STR(way_of(b, &net, 1, "in", web), "ok-in");
    /* Inside a subnet, from one to another. */
    CHECK_STR(way_of(b, &net, 0, "out", "udp 10.0.1.4:1 > 10.0.1.5:2"),
              "ok-out");
    CHECK_EQ(bench_counter(b, "same_subnet"), 1);
    CHECK_STR(way_of(b, &net, 0, "out", "udp 10.0.1.4:1 > 10.0.2.5:2"), "no");
    CHECK_STR(way_of(b, &net, 0, "out", "udp 10.0.2.5:1 > 10.0.1.5:2"),
              "ok-out");
    CHECK_STR(way_of(b, &net, 0, "in", "udp 10.0.2.5:1 > 10.0.1.5:2"), "no");
    CHECK_EQ(bench_counter(b, "same_subnet"), 1);
    bench_destroy(b);
    hg_inventory_destroy(net.inventory);
}

/* Whatever its address is by now. */
TEST(a_packet_for_an_interface_of_its_subnet_stays_there)
{
    struct net net = make_net();
    struct bench *b = bench_load(GRAPH("acl web { }  acl default { }"));
    static const struct {
        const char *eni, *way;
    } row[] = {{"eni-2", "ok-out"}, {"eni-3", "no"}, {"eni-4", "no"}};
    unsigned i;

    for (i = 0; i < 3; i++) {
        struct hg_packet *p =
            notation_parse(bench_pool(b), "udp 10.0.1.4:1 > 8.8.8.8:2", NULL);

        p->vpc = net.vpc[0]->number;
        p->src_eni = hg_inventory_eni(net.inventory, "eni-1");
        p->dst_eni = hg_inventory_eni(net.inventory, row[i].eni);
        bench_push_packet(b, "out", p, 0);
        CHECK_EQ(bench_waiting(b, row[i].way), 1);
        bench_forget(b, NULL);
    }
    CHECK_EQ(bench_counter(b, "same_subnet"), 1);
    bench_destroy(b);
    hg_inventory_destroy(net.inventory);
}

TEST(router_and_resolver_of_a_subnet_are_never_filtered)
{
    static const struct {
        const char *in, *packet, *way;
    } row[] = {
        {"out", "udp 10.0.1.4:1 > 10.0.0.2:53", "ok-out"},
        {"out", "udp 10.0.1.4:1 > 10.0.1.2:53", "ok-out"},
        {"out", "icmp 10.0.1.4 > 10.0.1.1 echo 1", "ok-out"},
        {"in", "udp 10.0.0.2:53 > 10.0.1.4:1", "ok-in"},
        {"out", "udp 10.0.1.4:1 > 10.0.0.3:53", "no"},
        {"out", "udp 10.0.1.4:1 > 10.0.2.1:53", "no"},
    };
    struct net net = make_net();
    struct bench *b = bench_load(GRAPH("acl web { }"));
    unsigned i;

    for (i = 0; i < sizeof row / sizeof row[0]; i++)
        CHECK_STR(way_of(b, &net, 0, row[i].in, row[i].packet), row[i].way);
    CHECK_EQ(bench_counter(b, "not_filtered"), 2);
    CHECK_EQ(bench_counter(b, "same_subnet"), 2); /* 10.0.1.1 and 10.0.1.2 */
    bench_destroy(b);
    hg_inventory_destroy(net.inventory);
}

/* Where a MappingService knows the subnets. */
TEST(an_address_without_an_interface_gets_the_acl_of_its_subnet)
{
    struct bench *b = bench_load(
        "MappingService map { vpc vpc-a { vni = 1  cidr = 10.0.0.0/16 }\n"
        "  subnet a1 { vpc = vpc-a  cidr = 10.0.1.0/24  nacl = web }\n"
        "  subnet a2 { vpc = vpc-a  cidr = 10.0.2.0/24 } }\n" GRAPH(
            "acl web { inbound 100 { cidr = 8.0.0.0/8  action = allow } }\n"
            "acl open { is-default = yes\n"
            "  inbound 100 { cidr = 0.0.0.0/0  action = allow } }\n"));
    static const struct {
        const char *packet, *way;
    } row[] = {{"udp 8.8.8.8:1 > 10.0.1.77:2", "ok-in"},
               {"udp 9.9.9.9:1 > 10.0.1.77:2", "no"},
               {"udp 9.9.9.9:1 > 10.0.2.77:2", "ok-in"}};
    unsigned i;

    for (i = 0; i < 3; i++) {
        struct hg_packet *p =
            notation_parse(bench_pool(b), row[i].packet, NULL);

        p->vpc = 1;
        bench_push_packet(b, "in", p, 0);
        CHECK_EQ(bench_waiting(b, row[i].way), 1);
        bench_forget(b, NULL);
    }
    bench_destroy(b);
}

TEST(a_subnet_whose_acl_is_not_here_gets_no_packets)
{
    struct net net = make_net();
    struct bench *b = bench_load(GRAPH(""));

    CHECK_STR(way_of(b, &net, 0, "in", "udp 8.8.8.8:1 > 10.0.1.5:2"),
              "nowhere");
    CHECK_EQ(bench_counter(b, "unknown_acl"), 1);
    CHECK_STR(way_of(b, &net, 0, "in", "udp 8.8.8.8:1 > 10.0.2.5:2"), "ok-in");
    bench_destroy(b);
    hg_inventory_destroy(net.inventory);
}

/* ---- Batches ---------------------------------------------------------- */

/* Ways in, packets and identities of every kind, which come together. */
static const char *const mixture[] = {
    "udp 10.0.1.4:1 > 10.0.1.5:2",
    "udp 10.0.1.4:1 > 10.0.2.5:2",
    "udp 10.0.2.5:1 > 10.0.1.4:80",
    "udp 10.0.1.4:1 > 10.0.0.2:53",
    "udp 10.0.0.2:53 > 10.0.1.4:1",
    "tcp 10.0.1.5:1 > 8.8.8.8:80 S",
    "tcp 10.0.1.4:1 > 8.8.8.8:22 S",
    "tcp 8.8.8.8:1 > 10.0.1.5:80 S",
    "tcp 8.8.8.8:1 > 10.0.2.5:22 S",
    "tcp 8.8.8.8:1 > 10.0.2.77:80 S",
    "tcp 9.9.9.9:1 > 8.8.8.8:80 S",
    "icmp 10.0.1.4 > 9.9.9.9 echo 1",
    "udp 10.0.1.4:68 > 10.0.1.1:67",
    "udp 10.0.1.1:67 > 10.0.1.4:68",
    "tcp 10.0.1.4:68 > 8.8.8.8:67 S",
    "udp 10.0.1.4:1 > 169.254.169.253:53",
    "udp 10.0.1.4:1 > 169.254.171.3:5",
    "udp 169.254.169.123:123 > 10.0.1.4:123",
    "udp [2001:db8::1]:1 > [2001:db8::2]:80",
    "udp [2001:db8::1]:1 > [2001:db9::2]:80",
    "udp [2001:db8::1]:1 > [fd00:ec2::253]:53",
    "udp [fe80::1]:547 > [2001:db8::2]:546",
    "arp who-has 10.0.0.1 tell 10.0.0.2",
    "ip 10.0.1.4 > 8.8.8.8 proto 17 frag 1480 len 100",
    "ip 10.0.1.4 > 8.8.8.8 proto 47 len 100"};

enum { N_MIXTURE = sizeof mixture / sizeof mixture[0], MIXED_MAX = 200 };

static struct hg_packet *
mixed_packet(struct bench *b, const struct net *net, unsigned which)
{
    struct hg_error error = {""};
    struct hg_packet *p =
        notation_parse(bench_pool(b), mixture[which % N_MIXTURE], &error);
    struct hg_addr src, dst;

    CHECK_STR(error.text, "");
    REQUIRE(p);
    if (!net || !hg_packet_is_ip(p))
        return p;
    src = hg_packet_src(p);
    dst = hg_packet_dst(p);
    p->vpc = net->vpc[which / N_MIXTURE % 2]->number;
    if (which / N_MIXTURE % 8 < 6)
        p->src_eni = hg_inventory_find(net->inventory, p->vpc, &src);
    if (which / N_MIXTURE % 5 < 3)
        p->dst_eni = hg_inventory_find(net->inventory, p->vpc, &dst);
    if (which / N_MIXTURE % 16 == 12) /* As after a translation. */
        p->dst_eni = hg_inventory_eni(net->inventory, "eni-1");
    return p;
}

/* Takes what came out: which way each packet went, by its mark, and which rule
 * said so. */
static void
take_all(struct bench *b, uint32_t *fate)
{
    static const char *const sinks[] = {"ok-in", "ok-out", "no"};
    unsigned i;

    for (i = 0; i < 3; i++)
        while (bench_waiting(b, sinks[i])) {
            const struct hg_packet *p = bench_take(b, sinks[i]);

            fate[p->mark] = (i + 1) << 16 | deciding_rule(p);
        }
}

static void
count_all(struct bench *b, uint64_t count[6])
{
    static const char *const counters[6] = {
        "allowed",     "denied_inbound", "denied_outbound",
        "same_subnet", "not_filtered",   "unknown_acl"};
    unsigned i;

    for (i = 0; i < 6; i++)
        count[i] = bench_counter(b, counters[i]) - count[i];
}

/* The same packets one by one and together. */
static void
check_mixture(struct bench *b, const struct net *net, const unsigned *which,
              unsigned n, bool two_ways)
{
    uint32_t alone[MIXED_MAX] = {0}, together[MIXED_MAX] = {0};
    uint64_t before[6] = {0}, counted[6] = {0};
    struct hg_element *in[2] = {hg_graph_find(bench_graph(b), "in"),
                                hg_graph_find(bench_graph(b), "out")};
    unsigned pass, i;

    for (pass = 0; pass < 2; pass++) {
        memset(counted, 0, sizeof counted);
        count_all(b, counted);
        for (i = 0; i < n; i++) {
            struct hg_packet *p = mixed_packet(b, net, which[i]);

            p->mark = (uint16_t)i;
            hg_graph_inject(bench_graph(b), in[two_ways && which[i] % 3], 0,
                            &p, 1);
            if (!pass)
                hg_graph_dispatch(bench_graph(b));
        }
        hg_graph_dispatch(bench_graph(b));
        take_all(b, pass ? together : alone);
        bench_forget(b, NULL);
        count_all(b, counted);
        if (!pass)
            memcpy(before, counted, sizeof before);
    }
    for (i = 0; i < n; i++)
        if (alone[i] != together[i])
            FAIL("'%s', number %u of %u: %#x, and in a batch %#x",
                 mixture[which[i] % N_MIXTURE], i, n, alone[i], together[i]);
    for (i = 0; i < 6; i++)
        CHECK_EQ(counted[i], before[i]);
}

/* Mostly of a few kinds, so that some batches are all alike. */
static void
check_mixtures(const char *graph, const struct net *net)
{
    struct bench *b = bench_load(graph);
    uint32_t random = 1;
    unsigned which[MIXED_MAX], round, i, n;

    for (round = 0; round < 300; round++) {
        unsigned n_kinds = 1 + round % 9 * 5, first = round * 7;

        n = 1 + round * 13 % MIXED_MAX;
        for (i = 0; i < n; i++) {
            random = random * 1664525 + 1013904223;
            which[i] = first + (random >> 16) % n_kinds;
        }
        check_mixture(b, net, which, n, round % 2);
    }
    bench_destroy(b);
}

#define SOME_ACLS                                                             \
    "acl web { inbound 100 { cidr = 0.0.0.0/0  protocol = tcp  ports = 80\n"  \
    "    action = allow }\n"                                                  \
    "  outbound 7 { cidr = 8.0.0.0/8  action = allow } }\n"                   \
    "acl open { is-default = yes\n"                                           \
    "  inbound 100 { cidr = 0.0.0.0/0 action = allow }\n"                     \
    "  outbound 100 { cidr = 0.0.0.0/0 action = allow }\n"                    \
    "  outbound 101 { cidr = 2001:db8::/32 action = allow } }\n"

TEST(packets_of_a_batch_are_judged_as_each_alone)
{
    static const char *const options[] = {
        "", "fragments = deny\n", "fragments = allow  filter-dhcp = yes\n",
        "cidr = { 10.0.1.0/24, 10.0.2.0/24, 2001:db8::/64 }\n",
        "unfiltered = { 8.8.8.8, 10.0.1.4 }\n"};
    unsigned i;

    for (i = 0; i < sizeof options / sizeof options[0]; i++) {
        struct net net = make_net();
        char *graph;

        REQUIRE(asprintf(&graph, GRAPH("%s" SOME_ACLS), options[i]) > 0);
        check_mixtures(graph, &net);
        hg_inventory_destroy(net.inventory);
        check_mixtures(graph, NULL);
        free(graph);
    }
}
