/* test_nat_flow.c: TCP's states and the text of a NAT's flows
 * (headgate/nat_flow.h), its destinations and ports (headgate/nat_ports.h);
 * and the fragments beside them (headgate/fragment_table.h). */
#include <stdlib.h>
#include <string.h>

#include <headgate/fragment_table.h>
#include <headgate/headers.h>
#include <headgate/nat_flow.h>
#include <headgate/nat_ports.h>

#include "test.h"

#define START (UINT64_C(1700000000) * HG_SEC)
#define PUBLIC_A UINT32_C(0xc6336401) /* 198.51.100.1 */
#define SERVER UINT32_C(0xcb007109)   /* 203.0.113.9 */
#define CLIENT UINT32_C(0x0a000005)   /* 10.0.0.5 */

/* ---- Ports ------------------------------------------------------------ */

static struct hg_nat_dest_key
towards(uint32_t address, uint32_t remote)
{
    return (struct hg_nat_dest_key){.address = address,
                                    .remote = remote,
                                    .remote_port = 443,
                                    .protocol = HG_PROTO_TCP};
}

/* Of one worker, who has all ports. */
static struct hg_nat_ports *
account(unsigned n_addresses, struct hg_port_range range,
        uint32_t per_destination, uint64_t seed)
{
    const struct hg_port_parts parts = hg_port_parts(range, 1);

    return hg_nat_ports_create(n_addresses, &parts, per_destination, seed, 0);
}

TEST(flows_are_counted_by_address_and_destination)
{
    struct hg_nat_ports *t =
        account(2, (struct hg_port_range){2000, 2099}, 10, 1);
    struct hg_nat_dest_key a = towards(0, SERVER), b = towards(1, SERVER);
    uint32_t first = hg_nat_dest_open(t, &a), second, i;

    CHECK_EQ(hg_nat_dest_limit(t), 10);
    for (i = 0; i < 7; i++)
        hg_nat_dest_take(t, first);
    CHECK_EQ(hg_nat_dest_open(t, &a), first);
    second = hg_nat_dest_open(t, &b);
    CHECK(second != first);
    CHECK_EQ(hg_nat_dest_n(t, first), 7);
    CHECK_EQ(hg_nat_dest_n(t, second), 0);
    hg_nat_dest_close(t, second);
    hg_nat_dest_close(t, first); /* Has flows: stays. */
    CHECK_EQ(hg_nat_ports_in_use(t, 0), 7);
    CHECK_EQ(hg_nat_ports_in_use(t, 1), 0);
    CHECK_EQ(hg_nat_ports_peak(t, 0), 7);
    for (i = 0; i < 7; i++)
        hg_nat_dest_give_back(t, first);
    CHECK_EQ(hg_nat_ports_in_use(t, 0), 0);
    CHECK_EQ(hg_nat_dest_n(t, hg_nat_dest_open(t, &a)), 0);
    hg_nat_ports_destroy(t);
}

TEST(a_hundred_thousand_destinations_come_and_go)
{
    struct hg_nat_ports *t =
        account(1, (struct hg_port_range){1024, 65535}, 55000, 1);
    uint32_t i;

    for (i = 0; i < 100000; i++) {
        struct hg_nat_dest_key key = towards(0, SERVER + i / 2);

        hg_nat_dest_take(t, hg_nat_dest_open(t, &key));
    }
    CHECK_EQ(hg_nat_ports_in_use(t, 0), 100000);
    for (i = 0; i < 50000; i++) {
        struct hg_nat_dest_key key = towards(0, SERVER + i);
        uint32_t dest = hg_nat_dest_open(t, &key);

        if (hg_nat_dest_n(t, dest) != 2)
            FAIL("destination %u has %u flows", i, hg_nat_dest_n(t, dest));
        hg_nat_dest_give_back(t, dest);
        hg_nat_dest_give_back(t, dest);
    }
    CHECK_EQ(hg_nat_ports_in_use(t, 0), 0);
    hg_nat_ports_destroy(t);
}

/* Walks over a part; marks its ports, and returns how many there are. */
static unsigned
walk_over(struct hg_nat_ports *t, struct hg_port_range range, unsigned part,
          bool *seen)
{
    struct hg_nat_port_walk walk;
    unsigned n = 0;
    uint16_t port;

    hg_nat_port_first(t, part, &walk);
    for (; hg_nat_port_next(&walk, &port); n++) {
        if (port < range.low || port > range.high || seen[port])
            FAIL("port %u of part %u, or twice", port, part);
        seen[port] = true;
    }
    return n;
}

TEST(a_walk_over_the_ports_visits_each_once)
{
    static const struct hg_port_range ranges[] = {
        {7000, 7000}, {2000, 2001}, {2000, 2099}, {1024, 65535}};
    size_t r;

    for (r = 0; r < sizeof(ranges) / sizeof(ranges[0]); r++) {
        struct hg_nat_ports *t = account(1, ranges[r], 1, 1);
        unsigned times;

        for (times = 0; times < 5; times++) {
            bool seen[65536] = {false};

            CHECK_EQ(walk_over(t, ranges[r], 0, seen),
                     1u + ranges[r].high - ranges[r].low);
        }
        hg_nat_ports_destroy(t);
    }
}

TEST(workers_divide_the_ports_by_groups_of_four)
{
    static const struct {
        struct hg_port_range range;
        unsigned workers, n; /* Ports of each. */
    } rows[] = {{{1024, 65535}, 2, 32256}, {{1024, 65535}, 3, 21504},
                {{1024, 65535}, 5, 12900}, {{1, 65535}, 2, 32764},
                {{1026, 1041}, 3, 4},      {{1027, 1036}, 2, 4},
                {{1025, 1034}, 2, 0},      {{7000, 7000}, 2, 0},
                {{65528, 65535}, 2, 4},    {{4, 259}, 64, 4}};
    size_t r;

    for (r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
        const unsigned workers = rows[r].workers;
        struct hg_port_parts parts = hg_port_parts(rows[r].range, workers);
        struct hg_nat_ports *t;
        bool seen[65536] = {false};
        unsigned part, i, port;

        CHECK_EQ(parts.n, rows[r].n);
        if (!parts.n)
            continue;
        t = hg_nat_ports_create(1, &parts, 1, 1, 0);
        for (part = 0; part < workers; part++) {
            CHECK_EQ(walk_over(t, rows[r].range, part, seen), parts.n);
            for (i = 0; i < parts.n; i++) {
                uint16_t at = hg_port_at(&parts, part, i);

                CHECK_EQ(at / 4u % workers, part);
                CHECK_EQ(hg_port_number(&parts, part, at), i);
            }
            for (i = port = 0; port < 65536; port++)
                i += hg_port_number(&parts, part, (uint16_t)port) < parts.n;
            CHECK_EQ(i, parts.n);
        }
        hg_nat_ports_destroy(t);
    }
}

TEST(ports_are_repeatable_under_a_seed_and_differ_with_another)
{
    static const uint64_t seeds[] = {1, 1, 2};
    struct hg_nat_ports *t[3];
    unsigned same = 0, neighbours = 0, k, n;
    uint16_t ahead[3][3], i, last = 0;

    for (k = 0; k < 3; k++)
        t[k] =
            account(1, (struct hg_port_range){1024, 65535}, 55000, seeds[k]);
    for (i = 0; i < 1000; i++) {
        uint16_t port[3];

        for (k = 0; k < 3; k++) {
            struct hg_nat_port_walk walk;

            if (i % 3 == 0)
                for (n = 0; n < 3; n++)
                    ahead[k][n] = hg_nat_port_ahead(t[k], 0, n);
            hg_nat_port_first(t[k], 0, &walk);
            REQUIRE(hg_nat_port_next(&walk, &port[k]));
            CHECK_EQ(port[k], ahead[k][i % 3]);
        }
        CHECK_EQ(port[0], port[1]);
        same += port[0] == port[2];
        neighbours += abs(port[0] - last) < 10;
        last = port[0];
    }
    CHECK(same < 5);
    CHECK(neighbours < 10);
    for (k = 0; k < 3; k++)
        hg_nat_ports_destroy(t[k]);
}

TEST(inside_addresses_are_paired_evenly_and_always_with_the_same)
{
    struct hg_nat_ports *t =
        account(8, (struct hg_port_range){1024, 65535}, 1, 1);
    unsigned n[8] = {0}, k;
    uint32_t client;

    for (client = CLIENT; client < CLIENT + 800; client++) {
        uint32_t with = hg_nat_ports_pair(t, &client, sizeof(client), 8);

        REQUIRE(with < 8);
        CHECK_EQ(hg_nat_ports_pair(t, &client, sizeof(client), 8), with);
        n[with]++;
    }
    for (k = 0; k < 8; k++)
        CHECK(n[k] > 50 && n[k] < 150);
    hg_nat_ports_destroy(t);
}

/* ---- TCP -------------------------------------------------------------- */

TEST(tcp_states_follow_rfc_6146)
{
    enum {
        S = HG_TCP_SYN,
        SA = HG_TCP_SYN | HG_TCP_ACK,
        A = HG_TCP_ACK,
        F = HG_TCP_FIN | HG_TCP_ACK,
        R = HG_TCP_RST
    };
    static const struct {
        uint8_t from;
        bool inside;
        uint8_t flags;
        uint8_t to;
    } rows[] = {
        {HG_NAT_INIT, true, S, HG_NAT_INIT},
        {HG_NAT_INIT, true, A, HG_NAT_INIT},
        {HG_NAT_INIT, false, A, HG_NAT_INIT},
        {HG_NAT_INIT, false, SA, HG_NAT_ESTABLISHED},
        {HG_NAT_INIT, false, S, HG_NAT_ESTABLISHED},
        {HG_NAT_INIT, false, R | A, HG_NAT_TRANS},
        {HG_NAT_ESTABLISHED, true, A, HG_NAT_ESTABLISHED},
        {HG_NAT_ESTABLISHED, true, S, HG_NAT_ESTABLISHED},
        {HG_NAT_ESTABLISHED, true, F, HG_NAT_FIN_INSIDE},
        {HG_NAT_ESTABLISHED, false, F, HG_NAT_FIN_OUTSIDE},
        {HG_NAT_ESTABLISHED, true, R, HG_NAT_TRANS},
        {HG_NAT_FIN_INSIDE, true, F, HG_NAT_FIN_INSIDE},
        {HG_NAT_FIN_INSIDE, false, A, HG_NAT_FIN_INSIDE},
        {HG_NAT_FIN_INSIDE, false, F, HG_NAT_FIN_BOTH},
        {HG_NAT_FIN_OUTSIDE, false, F, HG_NAT_FIN_OUTSIDE},
        {HG_NAT_FIN_OUTSIDE, true, F, HG_NAT_FIN_BOTH},
        {HG_NAT_FIN_BOTH, true, A, HG_NAT_FIN_BOTH},
        {HG_NAT_FIN_BOTH, false, R, HG_NAT_FIN_BOTH},
        {HG_NAT_FIN_BOTH, true, S, HG_NAT_INIT},
        {HG_NAT_FIN_BOTH, false, S, HG_NAT_FIN_BOTH},
        {HG_NAT_TRANS, false, R, HG_NAT_TRANS},
        {HG_NAT_TRANS, true, A, HG_NAT_ESTABLISHED},
        {HG_NAT_TRANS, true, S, HG_NAT_INIT},
        {HG_NAT_TRANS, true, F, HG_NAT_FIN_INSIDE},
    };
    size_t i;

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint8_t to =
            hg_nat_tcp_next(rows[i].from, rows[i].inside, rows[i].flags);

        if (to != rows[i].to)
            FAIL("row %zu: %s becomes %s instead of %s", i,
                 hg_nat_state_name(rows[i].from), hg_nat_state_name(to),
                 hg_nat_state_name(rows[i].to));
    }
}

/* ---- Text ------------------------------------------------------------- */

static const char line[] =
    "{\"proto\":\"tcp\",\"inside\":{\"addr\":\"10.0.0.5\",\"port\":40000},"
    "\"external\":{\"addr\":\"198.51.100.1\",\"port\":2000},"
    "\"remote\":{\"addr\":\"203.0.113.9\",\"port\":443},"
    "\"state\":\"fin-inside\",\"expires\":1700000060000000000}\n";

TEST(a_flow_reads_back_as_it_was_written)
{
    char two[2 * sizeof(line)], buf[2 * sizeof(line)] = "";
    const char *at = two;
    struct hg_nat_flow f;
    struct hg_error error;
    FILE *out = fmemopen(buf, sizeof(buf), "w");
    unsigned i;

    snprintf(two, sizeof(two), "%s%s", line, line);
    for (i = 0; i < 2; i++) {
        REQUIRE(hg_nat_flow_parse(&at, &f, &error));
        CHECK_EQ(hg_addr_ip4(&f.inside), CLIENT);
        CHECK_EQ(f.deadline_ns, START + HG_MINUTE);
        CHECK(hg_nat_flow_print(&f, out));
    }
    fclose(out);
    CHECK_STR(buf, two);
}

TEST(flows_that_make_no_sense_are_refused_with_a_sentence)
{
    static const struct {
        const char *text;
        const char *why; /* Begins like this. */
    } rows[] = {
        {"", "a flow is a JSON object: "},
        {"[]", "'proto' of a flow must be"},
        {"{\"proto\":\"sctp\"}", "'proto' of a flow must be"},
        {"{\"proto\":\"udp\"}", "'inside' of a flow needs 'addr'"},
        {"{\"proto\":\"udp\",\"inside\":{\"addr\":\"10.0.0.1\"}}",
         "'inside' of a flow needs 'port'"},
        {"{\"proto\":\"udp\",\"inside\":{\"addr\":\"10.0.0.1\","
         "\"port\":70000}}",
         "'inside' of a flow needs 'port'"},
        {"{\"proto\":\"udp\",\"inside\":{\"addr\":\"::1\",\"port\":7}}",
         "'external' of a flow needs 'addr'"},
        {"{\"proto\":\"udp\",\"inside\":{\"addr\":\"::1\",\"port\":7},"
         "\"external\":{\"addr\":\"::2\",\"port\":7}}",
         "'addr' of 'external' must be IPv4"},
        {"{\"proto\":\"udp\",\"inside\":{\"addr\":\"10.0.0.1\",\"port\":7},"
         "\"external\":{\"addr\":\"192.0.2.1\",\"port\":7},"
         "\"remote\":{\"addr\":\"192.0.2.2\",\"port\":7},\"vpc\":-1}",
         "'vpc' of a flow is a number"},
        {"{\"proto\":\"udp\",\"inside\":{\"addr\":\"10.0.0.1\",\"port\":7},"
         "\"external\":{\"addr\":\"192.0.2.1\",\"port\":7},"
         "\"remote\":{\"addr\":\"192.0.2.2\",\"port\":7},"
         "\"state\":\"init\"}",
         "'state' of a flow is"},
        {"{\"proto\":\"icmp\",\"inside\":{\"addr\":\"10.0.0.1\",\"port\":7},"
         "\"external\":{\"addr\":\"192.0.2.1\",\"port\":7},"
         "\"remote\":{\"addr\":\"192.0.2.2\",\"port\":7}}",
         "'port' of 'remote' must be 0"},
        {"{\"proto\":\"icmp\",\"inside\":{\"addr\":\"10.0.0.1\",\"port\":7},"
         "\"external\":{\"addr\":\"192.0.2.1\",\"port\":7},"
         "\"remote\":{\"addr\":\"192.0.2.2\"},\"expires\":\"soon\"}",
         "'expires' of a flow is a time"},
    };
    size_t i;

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *at = rows[i].text;
        struct hg_error error = {""};
        struct hg_nat_flow f;

        CHECK(!hg_nat_flow_parse(&at, &f, &error));
        if (strncmp(error.text, rows[i].why, strlen(rows[i].why)))
            FAIL("row %zu: \"%s\"", i, error.text);
    }
}

TEST(filters_match_any_end)
{
    static const struct {
        const char *filter;
        int fits; /* -1: not a filter. */
    } rows[] = {
        {"", 1},
        {"all", 1},
        {"tcp", 1},
        {"udp", 0},
        {"10.0.0.5", 1},
        {"10.0.0.6", 0},
        {"10.0.0.0/8", 1},
        {"10.0.0.5:40000", 1},
        {"10.0.0.5:443", 0},
        {":443", 1},
        {":2000", 1},
        {":22", 0},
        {"tcp 10.0.0.0/24  203.0.113.9:443", 1},
        {"tcp 10.0.0.5 203.0.113.8", 0},
        {"tcp udp", -1},
        {"sctp", -1},
        {"10.0.0.5:", -1},
        {"10.0.0.5:65536", -1},
        {"::1", 0},
        {"[::1]:443", 0},
        {"[10.0.0.5]:40000", 1},
        {"[::1", -1},
        {"::1:443:x", -1},
        {"10.0.0.1 10.0.0.2 10.0.0.3 10.0.0.4 10.0.0.5", -1},
    };
    const char *at = line;
    struct hg_nat_filter filter;
    struct hg_nat_flow f;
    struct hg_error error;
    size_t i;

    REQUIRE(hg_nat_flow_parse(&at, &f, &error));
    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int fits = hg_nat_filter_parse(rows[i].filter, &filter, &error)
                       ? hg_nat_filter_match(&filter, &f)
                       : -1;

        if (fits != rows[i].fits)
            FAIL("filter '%s' gives %d", rows[i].filter, fits);
    }
}

/* ---- Fragments -------------------------------------------------------- */

static struct hg_fragment_key
datagram(uint16_t id)
{
    return (struct hg_fragment_key){
        .src = CLIENT, .dst = SERVER, .id = id, .protocol = HG_PROTO_UDP};
}

TEST(fragments_find_their_first_until_the_timeout)
{
    struct hg_fragment_table *t = hg_fragment_table_create(8, HG_SEC, 1);
    struct hg_fragment_key key = datagram(1), other = datagram(2);
    struct hg_packet *orphans = NULL;
    struct hg_fragment *f = hg_fragment_add(t, &key, START, &orphans);

    f->addr = hg_addr_from_ip4(PUBLIC_A);
    CHECK_EQ(hg_fragment_deadline(t), START + HG_SEC);
    CHECK(hg_fragment_find(t, &key, START + HG_SEC - 1) == f);
    CHECK(!hg_fragment_find(t, &key, START + HG_SEC));
    CHECK(!hg_fragment_find(t, &other, START));
    CHECK(!hg_fragment_expire(t, START + HG_SEC));
    CHECK_EQ(hg_fragment_deadline(t), HG_NEVER);
    CHECK(!orphans);
    hg_fragment_table_destroy(t);
}

TEST(waiting_fragments_come_back_in_order)
{
    struct hg_fragment_table *t = hg_fragment_table_create(3, HG_SEC, 1);
    struct hg_fragment_key key = datagram(1);
    struct hg_packet p[4], *orphans = NULL, *list;
    struct hg_fragment *f = hg_fragment_add(t, &key, START, &orphans);
    uint16_t i;

    memset(p, 0, sizeof(p));
    hg_fragment_wait(f, &p[0]);
    hg_fragment_wait(f, &p[1]);
    list = hg_fragment_release(f);
    CHECK(list == &p[0] && p[0].next == &p[1] && !p[1].next);
    hg_fragment_wait(f, &p[0]);
    hg_fragment_wait(f, &p[1]);
    f = hg_fragment_add(t, &key, START + 1, &orphans);
    CHECK(orphans == &p[0] && p[0].next == &p[1] && !p[1].next);
    orphans = NULL;
    hg_fragment_wait(f, &p[2]);
    for (i = 2; i < 4; i++) {
        key = datagram(i);
        f = hg_fragment_add(t, &key, START + i, &orphans);
    }
    CHECK(!orphans);
    key = datagram(4);
    hg_fragment_add(t, &key, START + 4, &orphans);
    CHECK(orphans == &p[2]);
    hg_fragment_wait(f, &p[3]);
    CHECK(hg_fragment_expire(t, START + HG_SEC + 2) == NULL);
    CHECK(hg_fragment_expire(t, START + HG_SEC + 3) == &p[3]);
    hg_fragment_table_destroy(t);
}
