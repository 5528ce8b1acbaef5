/* test_nacl_vpc.c: which ACL a packet gets where a MappingService knows the
 * subnets, and what follows when that learns something else. */
#include "harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <headgate/inventory.h>

#include "nacl_graph.h"
#include "notation.h"

/* A graph whose two subnets are in a file; a1 has the ACL 'nacl'. */
struct net {
    char path[32];
    struct bench *b;
};

static void
write_file(const struct net *net, const char *nacl)
{
    FILE *file = fopen(net->path, "w");

    REQUIRE(file);
    fprintf(file,
            "kind,id,cidr,vni,nacl,subnet,address\n"
            "vpc,vpc-a,10.0.0.0/16,1,,,\n"
            "subnet,a1,10.0.1.0/24,,%s,,\n"
            "subnet,a2,10.0.2.0/24,,,,\n"
            "eni,eni-1,,,,a1,10.0.1.10\n"
            "eni,eni-2,,,,a2,10.0.2.10\n"
            "eni,eni-3,,,,a1,10.0.1.11\n",
            nacl);
    fclose(file);
}

static void
reload(struct net *net, const char *nacl)
{
    struct hg_error error = {""};

    write_file(net, nacl);
    if (!hg_element_write(hg_graph_find(bench_graph(net->b), "map"), "reload",
                          "", &error))
        FAIL("%s", error.text);
}

static struct net
make_net(void)
{
    struct net net = {.path = "/tmp/headgate-XXXXXX.csv"};
    int fd = mkstemps(net.path, 4);
    char *graph;

    REQUIRE(fd >= 0 && close(fd) == 0);
    write_file(&net, "web");
    REQUIRE(asprintf(&graph,
                     "MappingService map { file = \"%s\" }\n" GRAPH(
                         "acl web { inbound 100 { cidr = 8.0.0.0/8\n"
                         "    action = allow } }\n"
                         "acl open { is-default = yes\n"
                         "  inbound 100 { cidr = 0.0.0.0/0\n"
                         "    action = allow } }\n"),
                     net.path) > 0);
    net.b = bench_load(graph);
    free(graph);
    return net;
}

static void
destroy_net(struct net *net)
{
    bench_destroy(net->b);
    unlink(net->path);
}

static const struct hg_eni *
eni_of(struct bench *b, const char *id)
{
    struct hg_element *map = hg_graph_find(bench_graph(b), "map");

    return hg_inventory_eni(
        hg_element_class(map)->service(hg_element_self(map), "inventory"), id);
}

static struct hg_packet *
packet_to(struct bench *b, const char *text, const struct hg_eni *to)
{
    struct hg_packet *p = notation_parse(bench_pool(b), text, NULL);

    REQUIRE(p);
    p->vpc = 1;
    p->dst_eni = to;
    return p;
}

/* Whether a packet that has an interface's record of before the change comes
 * first or last. */
TEST(a_subnet_that_gets_another_acl_has_it_for_all_of_its_packets)
{
    static const char text[] = "udp 9.9.9.9:1 > 10.0.1.10:2";
    unsigned old_first, i;

    for (old_first = 0; old_first < 2; old_first++) {
        struct net net = make_net();
        const struct hg_eni *eni[2] = {eni_of(net.b, "eni-1")};

        bench_push_packet(net.b, "in", packet_to(net.b, text, eni[0]), 0);
        bench_expect(net.b, "no", text);
        reload(&net, "open");
        eni[old_first] = eni[0];
        eni[!old_first] = eni_of(net.b, "eni-1");
        for (i = 2; i-- > 0;) {
            bench_push_packet(net.b, "in", packet_to(net.b, text, eni[i]), 0);
            bench_expect(net.b, "ok-in", text);
        }
        destroy_net(&net);
    }
}

/* One that forwards in a subnet stays known as of it, also in a batch. */
TEST(a_packet_of_a_record_of_before_stays_in_its_subnet)
{
    static const char text[] = "udp 9.9.9.9:1 > 10.0.1.10:2";
    struct net net = make_net();
    const struct hg_eni *old = eni_of(net.b, "eni-3");
    unsigned n, i;

    reload(&net, "web");
    for (n = 1; n <= 2; n++) {
        struct hg_packet *p[] = {
            packet_to(net.b, text, eni_of(net.b, "eni-1")),
            n > 1 ? packet_to(net.b, text, eni_of(net.b, "eni-2")) : NULL};

        p[0]->src_eni = old;
        hg_graph_inject(bench_graph(net.b),
                        hg_graph_find(bench_graph(net.b), "in"), 0, p, n);
        hg_graph_dispatch(bench_graph(net.b));
        for (i = 0; i < n; i++)
            bench_expect(net.b, "ok-in", text);
        CHECK_EQ(bench_counter(net.b, "same_subnet"), n);
    }
    destroy_net(&net);
}

/* Its blocks may be named in any order. */
TEST(the_resolver_of_a_vpc_is_in_its_first_block_of_ipv4)
{
    struct bench *b = bench_load(
        "MappingService map {\n"
        "  vpc v { cidr = { 2001:db8::/56, 10.0.0.0/16, 10.9.0.0/16 } }\n"
        "  subnet s { cidr = 10.0.1.0/24 }\n"
        "  eni e { subnet = s address = 10.0.1.10\n"
        "    mac = 02:00:00:00:00:01 } }\n"
        "TestSource in {} TestSource back {} TestSink service {}\n"
        "Identify who {} MappingLookup where {}\n"
        "NACL dut { acl none { is-default = yes } }\n"
        "connect(\"in -> who -> [outbound]dut[outbound] -> where -> Discard;"
        " where[service] -> service;"
        " back -> [inbound]dut[inbound] -> Discard\")");

    bench_push(b, "in", "udp 10.0.1.10:1 > 10.0.0.2:53 smac 02:00:00:00:00:01",
               0);
    bench_expect(b, "service", "udp 10.0.1.10:1 > 10.0.0.2:53");
    bench_push(b, "in", "udp 10.0.1.10:1 > 10.9.0.2:53 smac 02:00:00:00:00:01",
               0);
    bench_expect_none(b, NULL);
    bench_destroy(b);
}
