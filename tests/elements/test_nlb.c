/* test_nlb.c: NLB packet by packet. */
#include <headgate/proxy_v2.h>

#include "harness.h"
#include "nlb_graph.h"

/* ---- Flows ------------------------------------------------------------ */

TEST(a_connection_goes_to_its_target_and_back)
{
    struct bench *b = NLB(WEB(ONE_TARGET));

    open_connection(b);
    client(b, "P. seq 101 ack 501 len 30", S);
    expect_target(b, "P. seq 101 ack 501 len 30 ttl 64");
    target(b, "P. seq 501 ack 131 len 99", S);
    expect_client(b, "P. seq 501 ack 131 len 99 ttl 64");
    CHECK_EQ(bench_counter(b, "active_flow_count"), 1);
    CHECK_EQ(bench_counter(b, "active_flow_count_tcp"), 1);
    CHECK_EQ(bench_counter(b, "new_flow_count_tcp"), 1);
    CHECK_EQ(bench_counter(b, "processed_packets"), 5);
    CHECK_EQ(bench_counter(b, "processed_bytes"), 5 * 40 + 129);
    CHECK_EQ(bench_counter(b, "peak_packets_per_second"), 3);
    CHECK_EQ(bench_counter(b, "peak_bytes_per_second"), 2 * 40 + 129);
    bench_destroy(b);
}

TEST(udp_needs_no_beginning_and_is_answered)
{
    struct bench *b =
        NLB("listener 53 { protocol = udp target-group = { dns } }\n"
            "target-group dns { target d { address = 10.0.1.9 port = 5353 }}");

    bench_push(b, "clients", "udp " CLIENT " > 10.0.0.10:53 len 7", 0);
    bench_expect(b, "to-targets", "udp " CLIENT " > 10.0.1.9:5353 len 7");
    bench_push(b, "targets", "udp 10.0.1.9:5353 > " CLIENT " len 8", S);
    bench_expect(b, "to-clients", "udp 10.0.0.10:53 > " CLIENT " len 8");
    CHECK_EQ(bench_counter(b, "active_flow_count_udp"), 1);
    drops(b, "clients", "tcp " CLIENT " > 10.0.0.10:53 S", "no_listener", S);
    /* 120 s after the last packet it is a new flow (5.2). */
    bench_push(b, "clients", "udp " CLIENT " > 10.0.0.10:53", 120 * S);
    bench_forget(b, NULL);
    CHECK_EQ(bench_counter(b, "new_flow_count"), 1);
    bench_push(b, "clients", "udp " CLIENT " > 10.0.0.10:53", 240 * S);
    bench_forget(b, NULL);
    CHECK_EQ(bench_counter(b, "new_flow_count"), 2);
    CHECK_EQ(bench_counter(b, "active_flow_count_udp"), 1);
    bench_destroy(b);
}

TEST(an_answered_flow_is_not_pushed_out)
{
    struct bench *b =
        NLB("max-flows = 8\n"
            "listener 53 { protocol = udp target-group = { dns } }\n"
            "target-group dns { target d { address = 10.0.1.9 port = 5353 }}");
    char text[80];
    unsigned i;

    bench_push(b, "clients", "udp " CLIENT " > 10.0.0.10:53", 0);
    bench_push(b, "targets", "udp 10.0.1.9:5353 > " CLIENT, 0);
    bench_forget(b, NULL);
    for (i = 0; i < 40; i++) {
        snprintf(text, sizeof text, "udp 192.0.2.6:%u > 10.0.0.10:53", i + 1);
        bench_push(b, "clients", text, S);
    }
    bench_forget(b, NULL);
    bench_push(b, "targets", "udp 10.0.1.9:5353 > " CLIENT, S);
    bench_expect(b, "to-clients", "udp 10.0.0.10:53 > " CLIENT);
    bench_push(b, "targets", "udp 10.0.1.9:5353 > " CLIENT " frag 0+", S);
    CHECK_EQ(bench_counter(b, "fragment"), 1);
    bench_destroy(b);
}

TEST(both_protocols_on_one_port)
{
    struct bench *b =
        NLB("listener 53 { protocol = tcp-udp target-group = { dns } }\n"
            "target-group dns { target d { address = 10.0.1.9 port = 53 } }");

    bench_push(b, "clients", "udp " CLIENT " > 10.0.0.10:53", 0);
    bench_expect(b, "to-targets", "udp " CLIENT " > 10.0.1.9:53");
    bench_push(b, "clients", "tcp " CLIENT " > 10.0.0.10:53 S", 0);
    bench_expect(b, "to-targets", "tcp " CLIENT " > 10.0.1.9:53 S");
    bench_destroy(b);
}

TEST(ipv6_clients_have_ipv6_targets)
{
    struct bench *b =
        NLB(WEB("target s { address = 2001:db8:1::1 port = 8080 }"));

    bench_push(b, "clients",
               "tcp [2001:db8:5::1]:40000 > [2001:db8::10]:80 S seq 100", 0);
    bench_expect(b, "to-targets",
                 "tcp [2001:db8:5::1]:40000 > [2001:db8:1::1]:8080 S seq 100");
    bench_push(b, "targets",
               "tcp [2001:db8:1::1]:8080 > [2001:db8:5::1]:40000 S.", 0);
    bench_expect(b, "to-clients",
                 "tcp [2001:db8::10]:80 > [2001:db8:5::1]:40000 S.");
    drops(b, "clients", "tcp " CLIENT " > 10.0.0.10:80 S", "no_target", 0);
    bench_push(b, "clients",
               "tcp [2001:db8:5::1]:4 > [2001:db8::10]:80 . seq 7 ack 9", 0);
    bench_expect(b, "to-clients",
                 "tcp [2001:db8::10]:80 > [2001:db8:5::1]:4 R seq 9");
    bench_destroy(b);
}

TEST(what_is_not_for_the_load_balancer)
{
    static const struct {
        const char *in;
        const char *packet;
        const char *reason; /* NULL: leaves on "other". */
    } rows[] = {
        {"clients", "tcp " CLIENT " > 10.0.0.11:80 S", NULL},
        {"clients", "tcp " CLIENT " > 10.0.0.10:81 S", "no_listener"},
        {"clients", "udp " CLIENT " > 10.0.0.10:80", "no_listener"},
        {"clients", "ip 192.0.2.5 > 10.0.0.10 proto 47 len 8", "no_listener"},
        {"clients", "tcp " CLIENT " > 10.0.0.10:80 S frag 0+", "fragment"},
        {"clients", "icmp 192.0.2.5 > 10.0.0.10 echo 7 seq 1",
         "unsupported_icmp"},
        {"clients",
         "icmp 192.0.2.5 > 10.0.0.10 time-exceeded 0 "
         "(udp 10.0.0.10:80 > " CLIENT " ttl 1)",
         "unsupported_icmp"},
        {"targets", "tcp 10.0.1.1:9 > " CLIENT " S", NULL},
        {"targets", "udp 10.0.1.1:8080 > " CLIENT, NULL},
        {"targets", "icmp 10.0.1.1 > 192.0.2.5 echo 7 seq 1", NULL},
        {"targets", "udp 10.0.1.1:8080 > 10.0.0.10:99", "no_flow"},
        {"targets", "udp 10.0.1.1:8080 > " CLIENT " frag 0+", "fragment"},
    };
    struct bench *b = NLB(WEB(ONE_TARGET));
    size_t i;

    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (rows[i].reason) {
            drops(b, rows[i].in, rows[i].packet, rows[i].reason, 0);
            bench_expect_none(b, NULL);
            continue;
        }
        bench_push(b, rows[i].in, rows[i].packet, 0);
        bench_expect(b, "other", rows[i].packet);
    }
    bench_destroy(b);
}

TEST(a_segment_of_no_flow_is_answered_with_a_reset)
{
    struct bench *b = NLB(WEB(ONE_TARGET));

    drops(b, "clients", "tcp " CLIENT " > 10.0.0.10:80 . seq 7 ack 9",
          "no_flow", 0);
    expect_client(b, "R seq 9");
    drops(b, "clients", "tcp " CLIENT " > 10.0.0.10:80 F seq 7 len 3",
          "no_flow", 0);
    expect_client(b, "R. seq 0 ack 11");
    drops(b, "clients", "tcp " CLIENT " > 10.0.0.10:80 R seq 7", "no_flow", 0);
    drops(b, "targets", "tcp 10.0.1.1:8080 > " CLIENT " . seq 7 ack 9",
          "no_flow", 0);
    expect_target(b, "R seq 9");
    CHECK_EQ(bench_counter(b, "tcp_elb_reset_count"), 3);
    bench_destroy(b);
}

TEST(after_the_idle_timeout_either_side_gets_a_reset)
{
    struct bench *b = NLB(WEB(ONE_TARGET));

    open_connection(b);
    client(b, ". seq 101 ack 501", 349 * S);
    expect_target(b, ".");
    target(b, ". seq 501 ack 101", 698 * S);
    expect_client(b, ".");
    target(b, ". seq 501 ack 101", 1048 * S);
    expect_target(b, "R seq 101");
    client(b, ". seq 101 ack 501", 1049 * S);
    expect_client(b, "R seq 501");
    CHECK_EQ(bench_counter(b, "active_flow_count"), 0);
    bench_destroy(b);
}

TEST(a_listener_has_its_own_idle_timeout)
{
    struct bench *b = NLB("listener 80 { target-group = { web } "
                          "tcp-idle-timeout = 60s }\n"
                          "target-group web { " ONE_TARGET " }");

    open_connection(b);
    client(b, ". seq 101 ack 501", 60 * S);
    expect_client(b, "R seq 501");
    bench_destroy(b);
}

TEST(a_target_has_30_seconds_to_answer_a_syn)
{
    struct bench *b = NLB(WEB(ONE_TARGET));

    client(b, "S seq 100", 0);
    expect_target(b, "S seq 100");
    client(b, "S seq 100", 10 * S);
    expect_target(b, "S seq 100");
    target(b, "S. seq 500 ack 101", 30 * S);
    expect_target(b, "R seq 101");
    bench_destroy(b);
}

TEST(a_closed_flow_lets_a_new_connection_begin)
{
    struct bench *b = NLB(WEB(ONE_TARGET));

    open_connection(b);
    client(b, "F. seq 101 ack 501", S);
    expect_target(b, "F.");
    CHECK_EQ(bench_counter(b, "active_flow_count"), 1);
    target(b, "F. seq 501 ack 102", S);
    expect_client(b, "F.");
    CHECK_EQ(bench_counter(b, "active_flow_count"), 0);
    client(b, ". seq 102 ack 502", 2 * S);
    expect_target(b, ". seq 102");
    client(b, "S seq 9000", 3 * S);
    expect_target(b, "S seq 9000");
    CHECK_EQ(bench_counter(b, "new_flow_count"), 2);
    client(b, "R seq 9001", 3 * S);
    expect_target(b, "R");
    CHECK_EQ(bench_counter(b, "tcp_client_reset_count"), 1);
    client(b, "S seq 9900", 4 * S);
    expect_target(b, "S seq 9900");
    target(b, "R. seq 0 ack 9901", 4 * S);
    expect_client(b, "R. ack 9901");
    CHECK_EQ(bench_counter(b, "tcp_target_reset_count"), 1);
    CHECK_EQ(bench_counter(b, "active_flow_count"), 0);
    bench_destroy(b);
}

TEST(a_reset_acknowledges_what_a_capture_cut_off)
{
    struct bench *b = NLB(WEB(ONE_TARGET));

    client(b, "P seq 100 len 200 cut 150", 0);
    expect_client(b, "R. seq 0 ack 300");
    bench_destroy(b);
}

TEST(bytes_are_those_of_ip_however_long_the_frame_is)
{
    struct bench *b = NLB(WEB(ONE_TARGET));

    client(b, "S seq 100 pad 6", 0);
    expect_target(b, "S seq 100");
    target(b, "S. seq 500 ack 101 pad 6", 0);
    expect_client(b, "S. seq 500 ack 101");
    client(b, ". seq 101 ack 501 pad 6", 0);
    expect_target(b, ".");
    CHECK_EQ(bench_counter(b, "processed_bytes"), 120);
    client(b, ". seq 101 ack 501 len 100 cut 90", 0);
    expect_target(b, ".");
    CHECK_EQ(bench_counter(b, "processed_bytes"), 260);
    CHECK_EQ(bench_counter(b, "processed_bytes_tcp"), 260);
    bench_destroy(b);
}

/* ---- Client addresses ------------------------------------------------- */

TEST(without_preservation_targets_see_the_node)
{
    struct bench *b = NLB(WEB("preserve-client-ip = false " ONE_TARGET));
    struct hg_packet *p;
    char text[80];
    uint16_t port;

    client(b, "S seq 100", 0);
    p = bench_take(b, "to-targets");
    REQUIRE(p != NULL);
    port = hg_packet_sport(p);
    CHECK(port >= 1024);
    snprintf(text, sizeof text, "tcp 10.0.1.1:8080 > 10.0.0.10:%u S. ack 101",
             port);
    bench_push(b, "targets", text, 0);
    expect_client(b, "S. ack 101");
    client(b, ". seq 101 ack 501", 0);
    snprintf(text, sizeof text, "tcp 10.0.0.10:%u > 10.0.1.1:8080 .", port);
    bench_expect(b, "to-targets", text);
    bench_destroy(b);
}

/* Puts a packet into a batch. */
static void
inject(struct bench *b, const char *in, const char *text, uint64_t time_ns)
{
    struct hg_graph *g = bench_graph(b);
    struct hg_error error;
    struct hg_packet *p = notation_parse(bench_pool(b), text, &error);

    REQUIRE(p != NULL);
    p->time_ns = BENCH_START + time_ns;
    hg_graph_inject(g, hg_graph_find(g, in), 0, &p, 1);
}

/* It was looked up before the new connection got another port. */
TEST(a_late_answer_of_the_connection_before_is_of_no_flow_in_the_same_batch)
{
    struct bench *b = NLB(WEB("preserve-client-ip = false " ONE_TARGET));
    struct hg_packet *p;
    char text[80];

    client(b, "S seq 100", 0);
    p = bench_take(b, "to-targets");
    REQUIRE(p != NULL);
    snprintf(text, sizeof text, "tcp 10.0.1.1:8080 > 10.0.0.10:%u . ack 101",
             hg_packet_sport(p));
    client(b, "R seq 101", 0);
    bench_forget(b, NULL);
    bench_advance(b, S);
    inject(b, "clients", "tcp " CLIENT " > 10.0.0.10:80 S seq 900", S);
    inject(b, "targets", text, S);
    hg_graph_dispatch(bench_graph(b));
    CHECK_EQ(bench_counter(b, "no_flow"), 1);
    bench_expect(b, "to-targets", "tcp 10.0.0.10:* > 10.0.1.1:8080 S");
    bench_expect(b, "to-targets", "tcp 10.0.0.10:* > 10.0.1.1:8080 R");
    bench_destroy(b);
}

TEST(preservation_depends_on_type_and_protocol)
{
    struct bench *b =
        NLB("listener 80 { target-group = { tcp } }\n"
            "listener 53 { protocol = udp target-group = { udp } }\n"
            "target-group tcp { target-type = ip " ONE_TARGET " }\n"
            "target-group udp { target-type = ip " ONE_TARGET " }");

    client(b, "S", 0);
    bench_expect(b, "to-targets", "tcp 10.0.0.10:* > 10.0.1.1:8080 S");
    bench_push(b, "clients", "udp " CLIENT " > 10.0.0.10:53", 0);
    bench_expect(b, "to-targets", "udp " CLIENT " > 10.0.1.1:8080");
    bench_destroy(b);
}

TEST(connections_of_a_target_are_limited)
{
    struct bench *b = NLB("connections-per-target = 2\n" WEB(ONE_TARGET));
    struct bench *c = NLB("connections-per-target = 2\n" WEB(
        "preserve-client-ip = false " ONE_TARGET));
    unsigned i;

    for (i = 0; i < 2; i++) {
        char text[80];

        snprintf(text, sizeof text, "tcp 192.0.2.5:%u > 10.0.0.10:80 S", i);
        bench_push(b, "clients", text, 0);
        bench_push(c, "clients", text, 0);
    }
    drops(b, "clients", "tcp 192.0.2.5:9 > 10.0.0.10:80 S",
          "port_allocation_error_count", 0);
    drops(b, "clients", "tcp 192.0.2.5:9 > 10.0.0.20:80 S",
          "port_allocation_error_count", 0);
    drops(c, "clients", "tcp 192.0.2.5:9 > 10.0.0.10:80 S",
          "port_allocation_error_count", 0);
    bench_forget(c, NULL);
    bench_push(c, "clients", "tcp 192.0.2.5:9 > 10.0.0.20:80 S", 0);
    bench_expect(c, "to-targets", "tcp 10.0.0.20:* > 10.0.1.1:8080 S");
    bench_forget(b, NULL);
    bench_destroy(b);
    bench_destroy(c);
}

TEST(one_socket_through_two_nodes_collides_on_the_target)
{
    struct bench *b = NLB(WEB(ONE_TARGET));

    client(b, "S", 0);
    expect_target(b, "S");
    drops(b, "clients", "tcp " CLIENT " > 10.0.0.20:80 S", "socket_reuse", 0);
    bench_destroy(b);
}

TEST(a_target_cannot_be_its_own_client_where_clients_are_preserved)
{
    struct bench *b = NLB(WEB(ONE_TARGET));

    drops(b, "clients", "tcp 10.0.1.1:40000 > 10.0.0.10:80 S", "hairpin", 0);
    bench_destroy(b);
}

/* ---- ICMP ------------------------------------------------------------- */

TEST(unreachable_finds_the_other_side)
{
    struct bench *b = NLB(WEB(ONE_TARGET));

    open_connection(b);
    bench_push(b, "clients",
               "icmp 192.0.2.1 > 10.0.0.10 unreachable 4 mtu 1400 "
               "(tcp 10.0.0.10:80 > " CLIENT " ttl 60)",
               S);
    bench_expect(b, "to-targets",
                 "icmp 192.0.2.1 > 10.0.1.1 unreachable 4 mtu 1400 "
                 "(tcp 10.0.1.1:8080 > " CLIENT " ttl 60)");
    bench_push(b, "targets",
               "icmp 10.0.1.1 > 192.0.2.5 unreachable 3 "
               "(tcp " CLIENT " > 10.0.1.1:8080 ttl 60)",
               S);
    bench_expect(b, "to-clients",
                 "icmp 10.0.0.10 > 192.0.2.5 unreachable 3 "
                 "(tcp " CLIENT " > 10.0.0.10:80 ttl 60)");
    bench_destroy(b);
}

/* ---- The PROXY header ------------------------------------------------- */

#define PROXY WEB("proxy-protocol-v2 = true " ONE_TARGET)

static void
check_header_of(const struct hg_packet *p, const struct hg_addr *client,
                uint16_t port, const char *endpoint)
{
    uint8_t expected[HG_PROXY_V2_LEN4];
    struct hg_proxy_v2 proxy = {.src = *client,
                                .dst = {4, {10, 0, 0, 10}},
                                .sport = port,
                                .dport = 80,
                                .endpoint = endpoint};

    REQUIRE(p != NULL && hg_packet_tcp(p) != NULL);
    hg_proxy_v2_write(&proxy, expected);
    CHECK_EQ(hg_packet_l4_len(p), 20 + sizeof expected);
    CHECK_MEM(hg_packet_l4(p) + 20, expected, sizeof expected);
    CHECK(hg_packet_l4_checksum_ok(p));
}

static void
check_header(const struct hg_packet *p, const char *endpoint)
{
    check_header_of(p, &(struct hg_addr){4, {192, 0, 2, 5}}, 40000, endpoint);
}

/* Both keep something in the record of one flow, whose first key is not as the
 * load balancer sees its client. */
TEST(behind_a_nat_the_client_is_who_the_nat_made_of_it)
{
    static const char graph[] =
        "TestSource inside {} TestSource targets {}\n"
        "TestSink to-inside {} TestSink to-targets {} TestSink other {}\n"
        "HyperplaneNAT nat { public = 198.51.100.1 ports = 7000 }\n"
        "NLB dut { node a { address = 10.0.0.10 }\n"
        "listener 80 { target-group = { web } }\n"
        "target-group web { preserve-client-ip = false\n"
        "proxy-protocol-v2 = true\n"
        "target t1 { address = 10.0.1.1 port = 8080 } } }\n"
        "connect(\"inside -> [inside]nat[outside] -> [clients]dut[targets] "
        "-> to-targets\")\n"
        "connect(\"targets -> [targets]dut[clients] -> [outside]nat[inside] "
        "-> to-inside\")\n"
        "connect(\"dut[other] -> other\")\n";
    const struct hg_addr client = {4, {198, 51, 100, 1}};
    struct bench *b = bench_load(graph);
    struct hg_packet *p;
    char text[80];

    bench_push(b, "inside", "tcp 10.9.0.5:4000 > 10.0.0.10:80 S seq 100", 0);
    p = bench_take(b, "to-targets");
    REQUIRE(p != NULL);
    snprintf(text, sizeof text,
             "tcp 10.0.1.1:8080 > 10.0.0.10:%u S. seq 500 ack 101",
             hg_packet_sport(p));
    bench_push(b, "targets", text, 0);
    bench_expect(b, "to-inside", "tcp 10.0.0.10:80 > 10.9.0.5:4000 S.");
    bench_push(b, "inside",
               "tcp 10.9.0.5:4000 > 10.0.0.10:80 P. seq 101 ack 501 len 9", 0);
    check_header_of(bench_take(b, "to-targets"), &client, 7000, NULL);
    bench_expect(b, "to-targets", "tcp 10.0.0.10:* > 10.0.1.1:8080 P.");
    bench_destroy(b);
}

TEST(a_proxy_header_goes_ahead_of_the_first_data)
{
    struct bench *b = NLB(PROXY);
    struct hg_packet *p;

    open_connection(b);
    client(b, "P. seq 101 ack 501 len 30", S);
    p = bench_take(b, "to-targets");
    check_header(p, NULL);
    CHECK_EQ(hg_get32(hg_packet_tcp(p)->seq), 101);
    CHECK_EQ(hg_get32(hg_packet_tcp(p)->ack), 501);
    expect_target(b, "P. seq 201 ack 501 len 30");
    /* The header alone is no news to the client. */
    target(b, ". seq 501 ack 201", S);
    expect_client(b, ". seq 501 ack 101");
    target(b, ". seq 501 ack 231", S);
    expect_client(b, ". seq 501 ack 131");
    client(b, "P. seq 131 ack 501 len 5", S);
    expect_target(b, "P. seq 231 ack 501 len 5");
    client(b, "F. seq 136 ack 501", S);
    expect_target(b, "F. seq 236");
    bench_destroy(b);
}

TEST(a_lost_proxy_header_is_sent_again_with_the_first_data)
{
    struct bench *b = NLB(PROXY);

    open_connection(b);
    client(b, "P. seq 101 ack 501 len 30", S);
    check_header(bench_take(b, "to-targets"), NULL);
    expect_target(b, "P. seq 201");
    target(b, ". seq 501 ack 101", S);
    expect_client(b, ". ack 101");
    client(b, "P. seq 131 ack 501 len 30", S);
    expect_target(b, "P. seq 231");
    client(b, "P. seq 101 ack 501 len 30", 2 * S);
    check_header(bench_take(b, "to-targets"), NULL);
    expect_target(b, "P. seq 201");
    bench_destroy(b);
}

TEST(the_proxy_header_names_the_endpoint)
{
    struct bench *b = bench_load(
        "TestSource clients {} TestSink to-targets {} TestSink c {}\n"
        "TestSource t {}\n"
        "NLB dut { node a { address = { 10.0.0.10 } "
        "endpoint = vpce-08d2bf15fac5001c9 } " PROXY " }\n"
        "connect(\"clients -> [clients]dut[clients] -> c; "
        "t -> [targets]dut[targets] -> to-targets\")");

    client(b, "S seq 100", 0);
    /* PrivateLink: never preserved (5.3). */
    bench_expect(b, "to-targets", "tcp 10.0.0.10:* > 10.0.1.1:8080 S");
    client(b, "P. seq 101 ack 501 len 30", 0);
    check_header(bench_take(b, "to-targets"), "vpce-08d2bf15fac5001c9");
    bench_expect(b, "to-targets", "tcp 10.0.0.10:* > 10.0.1.1:8080 seq 201");
    bench_destroy(b);
}

TEST(selective_acknowledgements_shrink_with_the_header)
{
    /* NOP, and so at an odd place: SACK of 331-431. */
    static const uint8_t options[] = {1,    5, 10, 0, 0,    1,
                                      0x4b, 0, 0,  1, 0xaf, 0};
    struct bench *b = NLB(PROXY);
    struct hg_packet *p;
    struct hg_error error;
    uint8_t *tcp;

    open_connection(b);
    client(b, "P. seq 101 ack 501 len 30", S);
    bench_forget(b, "to-targets");
    p = notation_parse(bench_pool(b),
                       "tcp 10.0.1.1:8080 > " CLIENT " . ack 231 len 12",
                       &error);
    REQUIRE(p != NULL);
    tcp = hg_packet_l4(p);
    memcpy(tcp + 20, options, sizeof options);
    ((struct hg_tcp *)tcp)->data_offset = 8 << 4;
    hg_packet_set_checksums(p);
    bench_push_packet(b, "targets", p, S);
    p = bench_take(b, "to-clients");
    REQUIRE(p != NULL);
    CHECK(hg_packet_l4_checksum_ok(p));
    tcp = hg_packet_l4(p);
    CHECK_EQ(hg_load32(tcp + 8), 131);
    CHECK_EQ(hg_load32(tcp + 23), 231);
    CHECK_EQ(hg_load32(tcp + 27), 331);
    bench_destroy(b);
}

TEST(resets_of_ours_know_of_the_header)
{
    struct bench *b = NLB(WEB("proxy-protocol-v2 = true " T1_AND_IDLE));

    open_connection(b);
    client(b, "P. seq 101 ack 501 len 30", S);
    bench_forget(b, "to-targets");
    target(b, ". seq 501 ack 231", S);
    expect_client(b, ". ack 131");
    bench_write(b, "health", "web t1 unhealthy");
    bench_advance(b, 2 * S);
    expect_client(b, "R seq 501");
    expect_target(b, "R seq 231");
    bench_destroy(b);
}

TEST(a_syn_with_data_has_no_place_for_a_header)
{
    struct bench *b = NLB(PROXY);

    drops(b, "clients", "tcp " CLIENT " > 10.0.0.10:80 S len 4",
          "syn_with_data", 0);
    bench_destroy(b);
}

/* ---- Tenants ---------------------------------------------------------- */

TEST(a_load_balancer_in_a_vpc_is_not_seen_from_others)
{
    static const char packet[] = "tcp " CLIENT " > 10.0.0.10:80 S";
    struct bench *b = bench_load(
        "TestSource clients {} TestSink to-targets {} TestSink c {}\n"
        "TestSource t {} TestSink other {}\n"
        "MappingService map { vpc vpc-1 { vni = 1 cidr = 10.0.0.0/16 }\n"
        "                     vpc vpc-2 { vni = 2 cidr = 10.0.0.0/16 } }\n"
        "NLB dut { node a { address = { 10.0.0.10 } } vpc = vpc-2\n" WEB(
            ONE_TARGET) " }\n"
                        "connect(\"clients -> [clients]dut[clients] -> c; "
                        "t -> [targets]dut[targets] -> to-targets; dut[other] "
                        "-> other\")");
    struct hg_error error;
    unsigned vpc;

    for (vpc = 1; vpc <= 2; vpc++) {
        struct hg_packet *p = notation_parse(bench_pool(b), packet, &error);

        REQUIRE(p != NULL);
        p->vpc = vpc;
        bench_push_packet(b, "clients", p, 0);
    }
    bench_expect(b, "other", "tcp " CLIENT " > 10.0.0.10:80 S vpc 1");
    bench_expect(b, "to-targets", "tcp " CLIENT " > 10.0.1.1:8080 S vpc 2");
    bench_destroy(b);
}
