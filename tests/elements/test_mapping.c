/* test_mapping.c: MappingService, Identify and MappingLookup: who may send
 * what, where it goes, and who answers questions about it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <headgate/inventory.h>

#include "harness.h"

#define NETWORKS                                                              \
    "  vpc vpc-1 { vni = 1 cidr = { 10.0.0.0/16, 2001:db8:1::/56 } }\n"       \
    "  subnet net-a { vpc = vpc-1"                                            \
    " cidr = { 10.0.1.0/24, 2001:db8:1:1::/64 } }\n"                          \
    "  subnet net-b { vpc = vpc-1 cidr = 10.0.2.0/24 }\n"                     \
    "  eni eni-1 { subnet = net-a mac = 02:00:00:00:00:01\n"                  \
    "    address = { 10.0.1.10, 2001:db8:1:1::10 } }\n"                       \
    "  eni eni-2 { subnet = net-a mac = 02:00:00:00:00:02\n"                  \
    "    address = { 10.0.1.11, 2001:db8:1:1::11 } }\n"                       \
    "  eni eni-3 { subnet = net-b mac = 02:00:00:00:00:03\n"                  \
    "    address = 10.0.2.10 host = 192.0.2.13 }\n"                           \
    "  eni eni-r { subnet = net-b mac = 02:00:00:00:00:04\n"                  \
    "    address = 10.0.2.11 source-destination-check = false }\n"

#define MAP "MappingService map {\n" NETWORKS "}\n"

#define IDENTIFY                                                              \
    MAP "TestSource in {} TestSink out {}\n"                                  \
        "Identify dut { mapping = map }\n"                                    \
        "connect(\"in -> dut -> out\")\n"

#define LOOKUP_WITH(options)                                                  \
    MAP "TestSource in {} TestSink out {} TestSink reply {}\n"                \
        "TestSink service {}\n"                                               \
        "MappingLookup dut { mapping = map " options " }\n"                   \
        "connect(\"in -> dut -> out; dut[reply] -> reply;"                    \
        " dut[service] -> service\")\n"

#define QUERY "on-miss = query query-delay = 1ms"

/* ---- Identify --------------------------------------------------------- */

TEST(identify_lets_pass_only_what_its_sender_may_send)
{
    static const struct {
        const char *packet;
        const char *reason; /* NULL: passes. */
    } row[] = {
        {"udp 10.0.1.10:1 > 10.0.2.10:2 smac 02:00:00:00:00:01", NULL},
        {"udp [2001:db8:1:1::10]:1 > [2001:db8::1]:2 smac 02:00:00:00:00:01",
         NULL},
        {"udp [fe80::ff:fe00:1]:1 > [ff02::1]:2 smac 02:00:00:00:00:01", NULL},
        {"udp [fe80::ff:fe00:2]:1 > [ff02::1]:2 smac 02:00:00:00:00:01",
         "spoofed_source"},
        {"udp 0.0.0.0:68 > 255.255.255.255:67 smac 02:00:00:00:00:01", NULL},
        {"udp 0.0.0.0:68 > 10.0.2.10:53 smac 02:00:00:00:00:01",
         "spoofed_source"},
        {"udp 10.0.1.11:1 > 10.0.2.10:2 smac 02:00:00:00:00:01",
         "spoofed_source"},
        {"udp 192.0.2.1:1 > 10.0.2.10:2 smac 02:00:00:00:00:01",
         "spoofed_source"},
        {"udp 192.0.2.1:1 > 10.0.2.10:2 smac 02:00:00:00:00:04", NULL},
        {"udp 10.0.1.10:1 > 10.0.2.10:2 smac 02:00:00:00:00:09",
         "unknown_source_mac"},
        {"arp who-has 10.0.1.1 tell 10.0.1.10 smac 02:00:00:00:00:01", NULL},
        {"arp who-has 10.0.1.1 tell 10.0.1.11 smac 02:00:00:00:00:01",
         "spoofed_source"},
        {"eth type 0x88cc len 50 smac 02:00:00:00:00:01",
         "not_allowed_protocol"},
    };
    size_t i;

    for (i = 0; i < sizeof row / sizeof row[0]; i++) {
        struct bench *b = bench_load(IDENTIFY);

        bench_push(b, "in", row[i].packet, 0);
        if (row[i].reason ? !CHECK_EQ(bench_counter(b, row[i].reason), 1)
                          : !CHECK_EQ(bench_waiting(b, "out"), 1))
            FAIL("row %zu: %s", i, row[i].packet);
        bench_forget(b, NULL);
        bench_destroy(b);
    }
}

TEST(identify_notes_the_vpc_and_the_sender)
{
    struct bench *b = bench_load(IDENTIFY);
    struct hg_packet *p;

    bench_push(b, "in", "udp 10.0.1.11:1 > 10.0.2.10:2 smac 02:00:00:00:00:02",
               0);
    p = bench_take(b, "out");
    REQUIRE(p != NULL && p->src_eni != NULL);
    CHECK_STR(p->src_eni->id, "eni-2");
    CHECK_EQ(p->vpc, 1);
    bench_destroy(b);
}

/* ---- MappingLookup ---------------------------------------------------- */

struct lookup_row {
    const char *packet;
    const char *out; /* Where it leaves ... */
    const char *as;
    const char *reason; /* ... or why it does not. */
};

static const struct lookup_row lookups[] = {
    {"udp 10.0.1.10:1 > 10.0.1.11:2 smac 02:00:00:00:00:01", "out",
     "udp 10.0.1.10:1 > 10.0.1.11:2 smac 02:00:00:00:00:01 "
     "dmac 02:00:00:00:00:02",
     NULL},
    {"udp 10.0.1.10:1 > 10.0.2.10:2 smac 02:00:00:00:00:01", "out",
     "udp 10.0.1.10:1 > 10.0.2.10:2 smac 02:00:00:00:00:fe "
     "dmac 02:00:00:00:00:03",
     NULL},
    {"udp [2001:db8:1:1::10]:1 > [2001:db8:1:1::11]:2", "out",
     "udp [2001:db8:1:1::10]:1 > [2001:db8:1:1::11]:2 dmac 02:00:00:00:00:02",
     NULL},
    {"udp 10.0.1.10:1 > 10.0.1.99:2", NULL, NULL, "no_mapping"},
    {"udp 10.0.1.10:1 > 10.0.9.9:2", NULL, NULL, "no_mapping"},
    {"udp 10.0.1.10:1 > 10.0.1.1:2", "service", "udp 10.0.1.10:1 > 10.0.1.1:2",
     NULL},
    {"udp 10.0.1.10:1 > 10.0.1.2:53", "service",
     "udp 10.0.1.10:1 > 10.0.1.2:53", NULL},
    {"udp 10.0.1.10:1 > 10.0.0.2:53", "service",
     "udp 10.0.1.10:1 > 10.0.0.2:53", NULL},
    {"udp 10.0.1.10:1 > 169.254.169.253:53", "service",
     "udp 10.0.1.10:1 > 169.254.169.253:53", NULL},
    {"udp [2001:db8:1:1::10]:1 > [fd00:ec2::253]:53", "service",
     "udp [2001:db8:1:1::10]:1 > [fd00:ec2::253]:53", NULL},
    {"udp 10.0.1.10:1 > 10.0.1.3:2", NULL, NULL, "reserved_address"},
    {"udp 10.0.1.10:1 > 10.0.1.255:2", NULL, NULL, "reserved_address"},
    {"udp 10.0.1.10:1 > 224.0.0.251:2", NULL, NULL, "multicast"},
    {"udp 10.0.1.10:1 > 255.255.255.255:2", NULL, NULL, "multicast"},
    {"eth type 0x88cc len 50", NULL, NULL, "not_ip"},
    {"arp who-has 10.0.1.11 tell 10.0.1.10 smac 02:00:00:00:00:01", "reply",
     "arp reply 10.0.1.11 is-at 02:00:00:00:00:02 to 10.0.1.10 "
     "dmac 02:00:00:00:00:01",
     NULL},
    {"arp who-has 10.0.1.1 tell 10.0.1.10", "reply",
     "arp reply 10.0.1.1 is-at 02:00:00:00:00:fe to 10.0.1.10", NULL},
    {"arp who-has 10.0.2.10 tell 10.0.1.10", "reply",
     "arp reply 10.0.2.10 is-at 02:00:00:00:00:fe to 10.0.1.10", NULL},
    {"arp who-has 10.0.1.99 tell 10.0.1.10", NULL, NULL, "unanswered"},
    {"arp who-has 10.0.1.10 tell 10.0.1.10", NULL, NULL, "unanswered"},
    {"arp who-has 10.0.1.11 tell 192.0.2.1", NULL, NULL, "unanswered"},
    {"arp reply 10.0.1.10 is-at 02:00:00:00:00:01 to 10.0.1.11", NULL, NULL,
     "unanswered"},
};

/* What both ways of looking up do alike; 'b' is a fresh bench. */
static void
check_row(struct bench *b, const struct lookup_row *row)
{
    bench_push(b, "in", row->packet, 0);
    bench_advance(b, 2 * HG_MSEC);
    if (row->reason && !CHECK_EQ(bench_counter(b, row->reason), 1))
        FAIL("%s", row->packet);
    if (row->out)
        bench_expect(b, row->out, row->as);
    bench_expect_none(b, NULL);
    bench_destroy(b);
}

TEST(lookup_delivers_answers_or_drops)
{
    size_t i;

    for (i = 0; i < sizeof lookups / sizeof lookups[0]; i++)
        check_row(bench_load(LOOKUP_WITH("")), &lookups[i]);
}

TEST(asking_the_service_comes_to_the_same)
{
    size_t i;

    for (i = 0; i < sizeof lookups / sizeof lookups[0]; i++)
        check_row(bench_load(LOOKUP_WITH(QUERY)), &lookups[i]);
}

/* A solicitation of 'target' from 2001:db8:1:1::10. */
static struct hg_packet *
solicitation(struct bench *b, uint8_t last_of_target)
{
    struct hg_packet *p = hg_packet_alloc(bench_pool(b), 14 + 40 + 24);
    static const uint8_t start[] = {
        0x33, 0x33, 0xff, 0, 0, 0x11, 2,  0,  0,   0,    0,    1,    0x86,
        0xdd, 0x60, 0,    0, 0, 0,    24, 58, 255, 0x20, 0x01, 0x0d, 0xb8,
        0,    1,    0,    1, 0, 0,    0,  0,  0,   0,    0,    0x10, 0xff,
        2,    0,    0,    0, 0, 0,    0,  0,  0,   0,    1,    0xff, 0,
        0,    0x11, 135,  0, 0, 0,    0,  0,  0,   0};

    memcpy(p->data, start, sizeof start);
    memcpy(p->data + 62, start + 22, 16);
    p->data[77] = last_of_target;
    hg_packet_parse(p);
    hg_packet_set_checksums(p);
    return p;
}

TEST(neighbour_solicitations_are_answered)
{
    /* Advertisement: flags, target, option with the MAC (RFC 4861 4.4). */
    static const uint8_t flags[2] = {0x60, 0xe0};
    static const uint8_t target[2] = {0x11, 0x01};
    static const uint8_t mac[2] = {0x02, 0xfe};
    unsigned i;

    for (i = 0; i < 2; i++) {
        struct bench *b = bench_load(LOOKUP_WITH(""));
        struct hg_packet *p;

        bench_push_packet(b, "in", solicitation(b, target[i]), 0);
        p = bench_take(b, "reply");
        REQUIRE(p != NULL);
        CHECK_EQ(p->len, 14 + 40 + 32);
        CHECK_EQ(p->wire_len, p->len);
        CHECK_EQ(p->data[0], 2); /* To the MAC that asked. */
        CHECK_EQ(p->data[5], 1);
        CHECK_EQ(p->data[19], 32); /* Payload length. */
        CHECK_EQ(p->data[21], 255);
        CHECK_EQ(p->data[37], target[i]); /* From the target ... */
        CHECK_EQ(p->data[53], 0x10);      /* ... to who asked. */
        CHECK_EQ(p->data[54], 136);
        CHECK_EQ(p->data[58], flags[i]);
        CHECK_EQ(p->data[77], target[i]);
        CHECK_EQ(p->data[78], 2);
        CHECK_EQ(p->data[79], 1);
        CHECK_EQ(p->data[85], mac[i]);
        CHECK(hg_packet_l4_checksum_ok(p));
        bench_destroy(b);
    }
}

TEST(the_router_is_found_by_its_link_local_addresses)
{
    static const uint8_t target[][16] = {
        {0xfe, 0x80, 0x0e, 0xc2, [15] = 1},
        {0xfe, 0x80, [11] = 0xff, 0xfe, 0, 0, 0xfe}, /* Of its MAC. */
        {0xfe, 0x80, [11] = 0xff, 0xfe, 0, 0, 0xfd}};
    struct bench *b = bench_load(LOOKUP_WITH(""));
    unsigned i;

    for (i = 0; i < 3; i++) {
        struct hg_packet *p = solicitation(b, 1);

        memcpy(p->data + 62, target[i], sizeof target[i]);
        hg_packet_set_checksums(p);
        bench_push_packet(b, "in", p, 0);
        CHECK_EQ(bench_waiting(b, "reply"), i < 2);
        if (i < 2)
            CHECK_EQ(bench_take(b, "reply")->data[85], 0xfe);
    }
    CHECK_EQ(bench_counter(b, "unanswered"), 1);
    bench_destroy(b);
}

TEST(nobody_answers_for_an_address_that_nobody_has)
{
    struct bench *b = bench_load(LOOKUP_WITH(""));

    bench_push_packet(b, "in", solicitation(b, 0x99), 0);
    bench_push_packet(b, "in", solicitation(b, 0x10), 1);
    CHECK_EQ(bench_counter(b, "unanswered"), 2);
    bench_destroy(b);
}

/* An answer that would be believed (RFC 4861 7.2.5), to eni-2 itself. */
TEST(neighbours_are_told_nothing_by_each_other)
{
    static const uint8_t types[] = {133, 134, 136, 137};
    struct bench *b = bench_load(LOOKUP_WITH(""));
    struct hg_packet *p = solicitation(b, 0x11);
    unsigned i;

    p->data[62] = 0xff; /* A question about a multicast address. */
    bench_push_packet(b, "in", p, 0);
    for (i = 0; i < sizeof types; i++) {
        p = solicitation(b, 0x10);
        p->data[54] = types[i];
        memcpy(p->data + 38, p->data + 22, 15);
        p->data[53] = 0x11;
        hg_packet_set_checksums(p);
        bench_push_packet(b, "in", p, 0);
    }
    CHECK_EQ(bench_counter(b, "unanswered"), 4);
    CHECK_EQ(bench_counter(b, "multicast"), 1);
    bench_destroy(b);
}

/* Decap says that the question is for eni-2. */
TEST(an_answer_is_for_the_eni_that_asked)
{
    struct bench *b = bench_load(
        MAP "TestSource in {} TestSink reply {} Encap to { "
            "format = vxlan vni = 1 local = 192.0.2.1 remote = 192.0.2.2 }\n"
            "Decap from { format = vxlan vni = 1 verify-sender = false }\n"
            "MappingLookup dut {}\n"
            "connect(\"in -> to -> from -> dut -> Discard; "
            "dut[reply] -> reply\")\n");
    const struct hg_packet *p;
    unsigned i;

    for (i = 0; i < 2; i++) {
        if (i)
            bench_push_packet(b, "in", solicitation(b, 0x11), 0);
        else
            bench_push(b, "in", "arp who-has 10.0.1.11 tell 10.0.1.10", 0);
        p = bench_take(b, "reply");
        REQUIRE(p && p->dst_eni && !p->src_eni);
        CHECK_STR(p->dst_eni->id, "eni-1");
    }
    bench_destroy(b);
}

#define TO_3 "udp 10.0.1.10:1 > 10.0.2.10:2"
#define TO_NOBODY "udp 10.0.1.10:1 > 10.0.2.99:2"

TEST(packets_wait_for_the_answer_in_order)
{
    struct bench *b = bench_load(LOOKUP_WITH(QUERY));

    bench_push(b, "in", TO_3 " id 1", 0);
    bench_push(b, "in", TO_3 " id 2", 10);
    CHECK_EQ(bench_counter(b, "waiting"), 2);
    bench_expect_none(b, NULL);
    bench_advance(b, HG_MSEC);
    bench_expect(b, "out", TO_3 " id 1");
    bench_expect(b, "out", TO_3 " id 2");
    bench_push(b, "in", TO_3 " id 3", HG_MSEC + 1);
    bench_expect(b, "out", TO_3 " id 3");
    CHECK_EQ(bench_counter(b, "misses"), 2);
    CHECK_EQ(bench_counter(b, "parked"), 2);
    CHECK_EQ(bench_counter(b, "hits"), 1);
    bench_destroy(b);
}

TEST(park_length_bounds_those_who_wait)
{
    struct bench *b = bench_load(LOOKUP_WITH(QUERY " park-length = 2"));
    unsigned i;

    for (i = 0; i < 5; i++)
        bench_push(b, "in", TO_3, i);
    CHECK_EQ(bench_counter(b, "park_full"), 3);
    bench_advance(b, HG_MSEC);
    CHECK_EQ(bench_waiting(b, "out"), 2);
    bench_forget(b, "out");
    bench_destroy(b);
}

TEST(who_waits_longer_than_park_timeout_is_dropped)
{
    struct bench *b = bench_load(LOOKUP_WITH(QUERY " park-timeout = 500us"));

    bench_push(b, "in", TO_3 " id 1", 0);
    bench_push(b, "in", TO_3 " id 2", HG_MSEC / 2);
    bench_advance(b, HG_MSEC);
    CHECK_EQ(bench_counter(b, "park_expired"), 1);
    bench_expect(b, "out", TO_3 " id 2");
    bench_destroy(b);
}

TEST(a_negative_answer_is_remembered_for_a_while)
{
    struct bench *b = bench_load(LOOKUP_WITH(QUERY " negative-ttl = 1s"));

    bench_push(b, "in", TO_NOBODY, 0);
    bench_push(b, "in", TO_NOBODY, HG_SEC);
    CHECK_EQ(bench_counter(b, "negative_hits"), 1);
    CHECK_EQ(bench_counter(b, "no_mapping"), 2);
    bench_push(b, "in", TO_NOBODY, HG_SEC + HG_MSEC);
    CHECK_EQ(bench_counter(b, "misses"), 2);
    CHECK_EQ(bench_counter(b, "waiting"), 1);
    bench_destroy(b);
}

TEST(a_stale_answer_serves_while_it_is_asked_anew)
{
    struct bench *b = bench_load(LOOKUP_WITH(QUERY " ttl = 1s"));

    bench_push(b, "in", TO_3, 0);
    bench_advance(b, HG_MSEC);
    bench_push(b, "in", TO_3, HG_MSEC + HG_SEC - 1);
    CHECK_EQ(bench_counter(b, "stale"), 0);
    bench_push(b, "in", TO_3, HG_MSEC + HG_SEC);
    bench_push(b, "in", TO_3, HG_MSEC + HG_SEC + 1);
    CHECK_EQ(bench_counter(b, "stale"), 2);
    bench_push(b, "in", TO_3, 3 * HG_MSEC + HG_SEC);
    CHECK_EQ(bench_counter(b, "stale"), 2);
    CHECK_EQ(bench_counter(b, "hits"), 4);
    CHECK_EQ(bench_waiting(b, "out"), 5);
    bench_forget(b, "out");
    bench_destroy(b);
}

/* Writes a handler of the mapping service; returns what it says, "" if it is
 * satisfied. */
static const char *
write_map(struct bench *b, const char *handler, const char *value)
{
    static struct hg_error error;
    struct hg_element *map = hg_graph_find(bench_graph(b), "map");

    return hg_element_write(map, handler, value, &error) ? "" : error.text;
}

static char *
read_map(struct bench *b, const char *handler, const char *argument)
{
    struct hg_element *map = hg_graph_find(bench_graph(b), "map");
    struct hg_error error = {""};
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    if (!hg_element_read(map, handler, argument, out, &error))
        fputs(error.text, out);
    fclose(out);
    return text;
}

/* An ENI need not have one. */
TEST(nobody_is_told_to_send_to_a_mac_that_is_not_known)
{
    struct bench *b = bench_load(LOOKUP_WITH(""));

    CHECK_STR(write_map(b, "add",
                        "{\"id\":\"eni-0\",\"subnet\":\"net-a\","
                        "\"address\":[\"10.0.1.12\"]}"),
              "");
    bench_push(b, "in", "arp who-has 10.0.1.12 tell 10.0.1.10", 0);
    bench_expect_none(b, "reply");
    CHECK_EQ(bench_counter(b, "unanswered"), 1);
    bench_destroy(b);
}

TEST(a_change_of_the_mapping_undoes_what_was_remembered)
{
    struct bench *b = bench_load(LOOKUP_WITH(QUERY));

    bench_push(b, "in", TO_3, 0);
    bench_advance(b, HG_MSEC);
    CHECK_STR(write_map(b, "remove", "eni-2"), "");
    bench_push(b, "in", TO_3, 2 * HG_MSEC);
    CHECK_EQ(bench_counter(b, "invalidated"), 0);
    CHECK_STR(write_map(b, "remove", "eni-3"), "");
    bench_push(b, "in", TO_3, 3 * HG_MSEC);
    CHECK_EQ(bench_counter(b, "invalidated"), 1);
    bench_advance(b, 4 * HG_MSEC);
    CHECK_EQ(bench_counter(b, "no_mapping"), 1);
    CHECK_STR(write_map(b, "add",
                        "{\"id\":\"eni-9\",\"subnet\":\"net-b\","
                        "\"mac\":\"02:00:00:00:00:09\","
                        "\"address\":[\"10.0.2.10\"]}"),
              "");
    bench_push(b, "in", TO_3, 5 * HG_MSEC);
    bench_advance(b, 6 * HG_MSEC);
    bench_expect(b, "out", TO_3 " dmac 02:00:00:00:00:03");
    bench_expect(b, "out", TO_3 " dmac 02:00:00:00:00:03");
    bench_expect(b, "out", TO_3 " dmac 02:00:00:00:00:09");
    bench_destroy(b);
}

/* 5,000 ENIs more in the network b, as CSV. */
static void
write_many_enis(char *path)
{
    FILE *out = fdopen(mkstemps(path, 4), "w");
    unsigned i;

    REQUIRE(out != NULL);
    fputs("kind,id,subnet,mac,address,security-groups\n"
          "eni,sender,net-c,02:00:00:00:00:f0,10.0.64.9,g\n",
          out);
    for (i = 0; i < 5000; i++)
        fprintf(out, "eni,m-%u,net-c,02:00:00:01:%02x:%02x,10.0.%u.%u,\n", i,
                i / 256, i % 256, 64 + i / 200, 10 + i % 200);
    fclose(out);
}

/* Flows that a SecurityGroup knows remember their ENIs, if there are many. */
TEST(a_changed_mapping_acts_on_the_very_next_packet_of_a_known_flow)
{
    static const struct {
        const char *handler, *value, *mac; /* To which it goes then. */
    } row[] = {{"remove", "eni-2", "02:00:00:00:00:03"},
               {"remove", "eni-3", NULL},
               {"add",
                "{\"id\":\"eni-9\",\"subnet\":\"net-b\","
                "\"mac\":\"02:00:00:00:00:09\",\"address\":[\"10.0.2.10\"]}",
                "02:00:00:00:00:09"},
               {"add",
                "{\"id\":\"eni-9\",\"subnet\":\"net-b\","
                "\"mac\":\"02:00:00:00:00:0a\",\"address\":[\"10.0.2.10\"]}",
                "02:00:00:00:00:0a"}};
    const char *before = "tcp 10.0.64.9:1 > 10.0.2.10:53 . smac "
                         "02:00:00:00:00:f0";
    const char *after = "tcp 10.0.64.9:1 > 10.0.2.10:53 . dmac ";
    char path[] = "/tmp/headgate-XXXXXX.csv", text[2048], expected[128];
    struct bench *b;
    unsigned i, k;

    write_many_enis(path);
    snprintf(text, sizeof text,
             "MappingService map { file = \"%s\"\n" NETWORKS
             "subnet net-c { vpc = vpc-1 cidr = 10.0.64.0/18 }\n"
             "}\n"
             "TestSource in {} TestSource back {} TestSink out {}\n"
             "SecurityGroup sg { group g { outbound { destination = "
             "0.0.0.0/0 } } }\n"
             "Identify who { } MappingLookup dut { }\n"
             "connect(\"in -> who -> [egress]sg[egress] -> dut -> out;"
             " back -> [ingress]sg[ingress] -> Discard\")",
             path);
    b = bench_load(text);
    unlink(path);
    bench_push(b, "in",
               "tcp 10.0.64.9:1 > 10.0.2.10:53 S smac "
               "02:00:00:00:00:f0",
               0);
    bench_expect(b, "out",
                 "tcp 10.0.64.9:1 > 10.0.2.10:53 S dmac "
                 "02:00:00:00:00:03");
    for (i = 0; i < sizeof row / sizeof row[0]; i++) {
        CHECK_STR(write_map(b, row[i].handler, row[i].value), "");
        for (k = 0; k < 2; k++) {
            bench_push(b, "in", before, 0);
            snprintf(expected, sizeof expected, "%s%s", after, row[i].mac);
            if (row[i].mac)
                bench_expect(b, "out", expected);
        }
    }
    CHECK_EQ(bench_counter(b, "no_mapping"), 2);
    bench_destroy(b);
}

/* ---- MappingService --------------------------------------------------- */

TEST(handlers_find_add_and_remove)
{
    struct bench *b = bench_load(LOOKUP_WITH(""));
    char *text = read_map(b, "find", "vpc-1,10.0.2.10");

    CHECK_STR(text,
              "{\"kind\":\"eni\",\"id\":\"eni-3\",\"vpc\":\"vpc-1\","
              "\"subnet\":\"net-b\",\"mac\":\"02:00:00:00:00:03\","
              "\"address\":[\"10.0.2.10\"],\"security-groups\":[],"
              "\"host\":\"192.0.2.13\",\"source-destination-check\":true}"
              "\n");
    free(text);
    CHECK_STR(write_map(b, "add", "{\"id\":\"x\",\"subnet\":\"net-z\"}"),
              "ENI 'x': there is no subnet 'net-z'");
    CHECK_STR(write_map(b, "add", "{\"id\":\"x\",\"adress\":\"10.0.1.1\"}"),
              "no column 'adress'; there are kind, id, vpc, vni, cidr, "
              "account, subnet, az, route-table, nacl, mac, address, public, "
              "security-groups, host, instance and "
              "source-destination-check");
    CHECK_STR(write_map(b, "add",
                        "{\"id\":\"x\",\"subnet\":\"net-a\","
                        "\"address\":{\"ip4\":\"10.0.1.9\"}}"),
              "'address' must be a text, a number or an array of texts");
    CHECK_STR(write_map(b, "add",
                        "{\"id\":\"x\",\"subnet\":\"net-a\","
                        "\"security-groups\":[5]}"),
              "'security-groups' must be a text, a number or an array of "
              "texts");
    CHECK_STR(write_map(b, "remove", "eni-7"), "there is no ENI 'eni-7'");
    text = read_map(b, "list", "subnet");
    CHECK_STR(text, "{\"kind\":\"subnet\",\"id\":\"net-a\",\"vpc\":\"vpc-1\","
                    "\"cidr\":[\"10.0.1.0/24\",\"2001:db8:1:1::/64\"]}\n"
                    "{\"kind\":\"subnet\",\"id\":\"net-b\",\"vpc\":\"vpc-1\","
                    "\"cidr\":[\"10.0.2.0/24\"]}\n");
    free(text);
    bench_destroy(b);
}

#define SERVICE(content)                                                      \
    "MappingService map { vpc v { cidr = 10.0.0.0/16 }\n" content             \
    " }\nTestSource in {} TestSink out {} connect(\"in -> out\")\n"

TEST(inconsistent_inventories_are_refused)
{
    static const char *const row[][2] = {
        {"subnet a { cidr = 10.1.0.0/24 }",
         "subnet 'a': 10.1.0.0/24 is in no CIDR of VPC 'v'"},
        {"subnet a { cidr = 10.0.0.0/24 } subnet b { cidr = 10.0.0.0/20 }",
         "subnet 'b': 10.0.0.0/20 overlaps subnet 'a'"},
        {"subnet a { cidr = 10.0.1.0/24 } eni x { subnet = a address = "
         "10.0.2.9 }",
         "ENI 'x': 10.0.2.9 is outside its subnet 'a'"},
        {"subnet a { cidr = 10.0.1.0/24 } eni x { subnet = a address = "
         "10.0.1.2 }",
         "ENI 'x': 10.0.1.2 is reserved in subnet 'a'"},
        {"subnet a { cidr = 10.0.1.0/24 } eni x { subnet = a address = "
         "10.0.1.9 } eni y { subnet = a address = 10.0.1.9 }",
         "ENI 'y': 10.0.1.9 is already that of 'x' in VPC 'v'"},
        {"vpc v { cidr = 10.1.0.0/16 }", "there is a record 'v' already"},
        {"group g {} group g {}", "there is a record 'g' already"},
        {"subnet a { cidr = 10.0.1.0/24 } subnet a { cidr = 10.0.2.0/24 }",
         "there is a record 'a' already"},
        {"vpc w { cidr = 10.0.0.0/16 }",
         "VPC 'w' has VNI 0, which is that of 'v'"},
        {"group g { } subnet a { cidr = 10.0.1.0/24 } eni x { subnet = a "
         "address = 10.0.1.9 security-groups = h }",
         "ENI 'x': there is no security group 'h' in VPC 'v'"},
        {"vpc w { vni = 2 cidr = 10.0.0.0/16 } group g { vpc = w } subnet a { "
         "vpc = v cidr = 10.0.1.0/24 } eni x { subnet = a address = 10.0.1.9 "
         "security-groups = g }",
         "ENI 'x': there is no security group 'g' in VPC 'v'"},
        {"group g { vpc = w }", "security group 'g': there is no VPC 'w'"},
        {"file = \"/nonexistent.csv\"",
         "cannot open '/nonexistent.csv': No such file or directory"},
    };
    char text[1024];
    size_t i;

    for (i = 0; i < sizeof row / sizeof row[0]; i++) {
        snprintf(text, sizeof text, SERVICE("%s"), row[i][0]);
        bench_refuses(text, row[i][1]);
    }
}

static void
write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");

    REQUIRE(file != NULL);
    fputs(text, file);
    fclose(file);
}

TEST(inconsistent_files_are_refused_with_their_place)
{
    static const char head[] =
        "kind,id,vpc,vni,cidr,subnet,address,security-groups\n"
        "vpc,v,,1,10.9.0.0/16\n"
        "subnet,s,v,,10.9.1.0/24\n"
        "group,g,v\n";
    static const char *const row[][2] = {
        {",x,,,,s,10.9.1.9,h",
         ":5:1: ENI 'x': there is no security group 'h' in VPC 'v'"},
        {",x,,,,s,10.9.2.9,g",
         ":5:1: ENI 'x': 10.9.2.9 is outside its subnet 's'"},
        {",x,,,,s,10.9.1.9,g\n,y,,,,s,10.9.1.9",
         ":6:1: ENI 'y': 10.9.1.9 is already that of 'x' in VPC 'v'"},
        {",x,,,,s,10.9.1.9\n,x,,,,s,10.9.1.8",
         ":6:1: there is a record 'x' already"},
        {"subnet,t,v,,10.9.0.0/20",
         ":5:1: subnet 't': 10.9.0.0/20 overlaps subnet 's'"},
        {"group,g,v", ":5:1: there is a record 'g' already"},
        {"router,r", ":5:1: 'router' is not a kind of record: vpc, subnet, "
                     "group or eni"},
        {",x,,,,s,10.9.1", ":5:9: '10.9.1' is not an address such as "
                           "10.0.0.5"},
    };
    char path[] = "/tmp/headgate-map-XXXXXX", text[1024], expected[256];
    int fd = mkstemp(path);
    size_t i;

    REQUIRE(fd >= 0);
    close(fd);
    for (i = 0; i < sizeof row / sizeof row[0]; i++) {
        snprintf(text, sizeof text, "%s%s\n", head, row[i][0]);
        write_file(path, text);
        snprintf(text, sizeof text,
                 "MappingService map { file = \"%s\" }\n"
                 "TestSource in {} TestSink out {} connect(\"in -> out\")\n",
                 path);
        snprintf(expected, sizeof expected, "%s%s", path, row[i][1]);
        bench_refuses(text, expected);
    }
    unlink(path);
}

TEST(an_eni_moves_to_another_subnet_and_host)
{
    struct bench *b = bench_load(LOOKUP_WITH(""));

    bench_push(b, "in", "udp 10.0.1.10:1 > 10.0.2.10:2", 0);
    bench_expect(b, "out",
                 "udp 10.0.1.10:1 > 10.0.2.10:2 dmac 02:00:00:00:00:03");
    CHECK_STR(write_map(b, "add",
                        "{\"id\":\"eni-3\",\"subnet\":\"net-a\","
                        "\"mac\":\"02:00:00:00:00:33\","
                        "\"address\":[\"10.0.1.33\"]}"),
              "");
    bench_push(b, "in", "udp 10.0.1.10:1 > 10.0.2.10:2", 1);
    CHECK_EQ(bench_counter(b, "no_mapping"), 1);
    bench_push(b, "in", "udp 10.0.1.10:1 > 10.0.1.33:2", 2);
    bench_expect(b, "out",
                 "udp 10.0.1.10:1 > 10.0.1.33:2 dmac 02:00:00:00:00:33");
    CHECK_STR(write_map(b, "add",
                        "{\"id\":\"eni-3\",\"subnet\":\"net-a\","
                        "\"address\":[\"10.0.1.11\"]}"),
              "ENI 'eni-3': 10.0.1.11 is already that of 'eni-2' in VPC "
              "'vpc-1'");
    bench_push(b, "in", "udp 10.0.1.10:1 > 10.0.1.33:2", 3);
    bench_expect(b, "out", "udp 10.0.1.10:1 > 10.0.1.33:2");
    bench_destroy(b);
}

TEST(a_file_is_read_and_read_again_or_not_at_all)
{
    static const char head[] =
        "kind,id,vni,cidr,subnet,address,mac,host,security-groups\n"
        "vpc,vpc-9,9,10.9.0.0/16\n"
        "subnet,s9,,10.9.1.0/24\n";
    char path[] = "/tmp/headgate-map-XXXXXX", text[1024], config[512];
    int fd = mkstemp(path);
    struct bench *b;

    REQUIRE(fd >= 0);
    close(fd);
    snprintf(text, sizeof text, "%s,e1,,,s9,10.9.1.10 10.9.1.11,,,sg-1 sg-2\n",
             head);
    write_file(path, text);
    snprintf(config, sizeof config,
             "MappingService map { file = \"%s\" }\n"
             "TestSource in {} TestSink out {} MappingLookup dut {}\n"
             "connect(\"in -> dut -> out\")\n",
             path);
    b = bench_load(config);
    bench_push(b, "in", "udp 10.9.1.10:1 > 10.9.1.11:2", 0);
    bench_expect(b, "out", "udp 10.9.1.10:1 > 10.9.1.11:2");
    snprintf(text, sizeof text, "%s,e1,,,s9,10.9.1.12\n,e2,,,s9,10.9.2.1\n",
             head);
    write_file(path, text);
    CHECK(strstr(write_map(b, "reload", ""),
                 ":5:1: ENI 'e2': 10.9.2.1 is outside its subnet 's9'") !=
          NULL);
    bench_push(b, "in", "udp 10.9.1.10:1 > 10.9.1.11:2", 1);
    bench_expect(b, "out", "udp 10.9.1.10:1 > 10.9.1.11:2");
    snprintf(text, sizeof text, "%s,e1,,,s9,10.9.1.12\n", head);
    write_file(path, text);
    CHECK_STR(write_map(b, "reload", ""), "");
    bench_push(b, "in", "udp 10.9.1.10:1 > 10.9.1.11:2", 2);
    CHECK_EQ(bench_counter(b, "no_mapping"), 1);
    bench_push(b, "in", "udp 10.9.1.10:1 > 10.9.1.12:2", 3);
    bench_expect(b, "out", "udp 10.9.1.10:1 > 10.9.1.12:2");
    bench_destroy(b);
    unlink(path);
}

/* What a start takes, 'reload' takes, and with the same result. */
TEST(a_file_with_another_single_vpc_takes_the_place_of_the_first)
{
    static const char format[] = "kind,id,cidr,subnet,address,mac\n"
                                 "vpc,%s,10.9.0.0/16\n"
                                 "subnet,s9,10.9.1.0/24\n"
                                 "eni,e1,,s9,10.9.1.10,02:00:00:00:00:01\n"
                                 "eni,e2,,s9,10.9.1.11,02:00:00:00:00:02\n";
    static const char *const vpc[] = {"v", "w", "v"};
    const char *packet = "udp 10.9.1.10:1 > 10.9.1.11:2 smac "
                         "02:00:00:00:00:01 dmac 02:00:00:00:00:02";
    char path[] = "/tmp/headgate-map-XXXXXX", text[1024], *list;
    int fd = mkstemp(path);
    struct bench *b = NULL;
    unsigned i;

    REQUIRE(fd >= 0);
    close(fd);
    for (i = 0; i < 3; i++) {
        snprintf(text, sizeof text, format, vpc[i]);
        write_file(path, text);
        snprintf(text, sizeof text,
                 "MappingService map { file = \"%s\" }\n"
                 "TestSource in {} TestSink out {}\n"
                 "Identify who {} RouteTable r {} MappingLookup dut {}\n"
                 "connect(\"in -> who -> r -> dut -> out\")\n",
                 path);
        if (!i)
            b = bench_load(text);
        else
            CHECK_STR(write_map(b, "reload", ""), "");
        bench_push(b, "in", packet, 0);
        bench_expect(b, "out", packet);
        list = read_map(b, "list", "vpc");
        snprintf(text, sizeof text,
                 "{\"kind\":\"vpc\",\"id\":\"%s\",\"vni\":0,"
                 "\"cidr\":[\"10.9.0.0/16\"]}\n",
                 vpc[i]);
        CHECK_STR(list, text);
        free(list);
        list = read_map(b, "vpcs", "");
        CHECK_STR(list, "1");
        free(list);
    }
    bench_destroy(b);
    unlink(path);
}
