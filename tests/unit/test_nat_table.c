/* test_nat_table.c: the flows of a NAT (headgate/nat_table.h) against a plain
 * list, its limits, its expiry, TCP's states and the text of flows; and the
 * fragments beside them (headgate/fragment_table.h). */
#include <stdlib.h>
#include <string.h>

#include <headgate/fragment_table.h>
#include <headgate/nat_table.h>

#include "test.h"

#define START (UINT64_C(1700000000) * HG_SEC)
#define PUBLIC_A UINT32_C(0xc6336401) /* 198.51.100.1 */
#define PUBLIC_B UINT32_C(0xc6336402)
#define SERVER UINT32_C(0xcb007109) /* 203.0.113.9 */
#define CLIENT UINT32_C(0x0a000005) /* 10.0.0.5 */

static unsigned n_expired;

static void
count_expired(void *aux, const struct hg_nat_flow *flow)
{
    (void)aux;
    (void)flow;
    n_expired++;
}

static struct hg_nat_config
config(unsigned n_external, uint16_t low, uint16_t high)
{
    struct hg_nat_config c = {.external = {PUBLIC_A, PUBLIC_B},
                              .n_external = n_external,
                              .ports = {low, high},
                              .per_destination = 55000,
                              .max_flows = 1u << 20,
                              .seed = 1,
                              .expired = count_expired};

    n_expired = 0;
    return c;
}

static struct hg_nat_tuple
tcp(uint32_t addr, uint16_t port, uint32_t remote, uint16_t remote_port)
{
    return (struct hg_nat_tuple){.addr = addr,
                                 .remote = remote,
                                 .port = port,
                                 .remote_port = remote_port,
                                 .protocol = HG_PROTO_TCP};
}

static struct hg_nat_tuple
in_of(const struct hg_nat_flow *f)
{
    return (struct hg_nat_tuple){.addr = f->external,
                                 .remote = f->remote,
                                 .port = f->external_port,
                                 .remote_port = f->remote_port,
                                 .protocol = f->protocol};
}

static enum hg_nat_result
insert(struct hg_nat_table *t, struct hg_nat_tuple tuple, uint64_t now_ns,
       uint64_t life_ns, struct hg_nat_flow *flow)
{
    return hg_nat_insert(t, &tuple, HG_NAT_INIT, now_ns, now_ns + life_ns,
                         flow);
}

TEST(a_flow_is_found_from_both_sides)
{
    struct hg_nat_config c = config(2, 1024, 65535);
    struct hg_nat_table *t = hg_nat_table_create(&c);
    struct hg_nat_tuple out = tcp(CLIENT, 40000, SERVER, 443), in;
    struct hg_nat_flow flow, found;

    CHECK(!hg_nat_lookup_out(t, &out, START, &found));
    REQUIRE(insert(t, out, START, HG_MINUTE, &flow) == HG_NAT_OK);
    CHECK(flow.external == PUBLIC_A || flow.external == PUBLIC_B);
    CHECK(flow.external_port >= 1024);
    REQUIRE(hg_nat_lookup_out(t, &out, START, &found));
    CHECK_EQ(found.external_port, flow.external_port);
    in = in_of(&flow);
    REQUIRE(hg_nat_lookup_in(t, &in, START, &found));
    CHECK_EQ(found.inside, CLIENT);
    CHECK_EQ(found.inside_port, 40000);
    in.remote_port++;
    CHECK(!hg_nat_lookup_in(t, &in, START, &found));
    CHECK_EQ(insert(t, out, START, HG_MINUTE, &found), HG_NAT_EXISTS);
    hg_nat_remove(t, flow.id);
    CHECK(!hg_nat_lookup_out(t, &out, START, &found));
    CHECK_EQ(hg_nat_count(t), 0);
    CHECK_EQ(n_expired, 0);
    hg_nat_table_destroy(t);
}

TEST(flows_to_one_destination_never_share_a_port_and_use_them_all)
{
    struct hg_nat_config c = config(2, 2000, 2099);
    struct hg_nat_table *t = hg_nat_table_create(&c);
    static bool used[2][100];
    struct hg_nat_flow flow;
    uint16_t i;

    memset(used, 0, sizeof(used));
    for (i = 0; i < 200; i++) {
        bool *port;

        REQUIRE(insert(t, tcp(CLIENT + i, 40000, SERVER, 443), START,
                       HG_MINUTE, &flow) == HG_NAT_OK);
        REQUIRE(flow.external_port >= 2000 && flow.external_port <= 2099);
        port = &used[flow.external == PUBLIC_B][flow.external_port - 2000];
        CHECK(!*port);
        *port = true;
    }
    CHECK_EQ(insert(t, tcp(CLIENT, 1, SERVER, 443), START, HG_MINUTE, &flow),
             HG_NAT_NO_PORT);
    CHECK_EQ(insert(t, tcp(CLIENT, 1, SERVER, 80), START, HG_MINUTE, &flow),
             HG_NAT_OK);
    CHECK_EQ(
        insert(t, tcp(CLIENT, 1, SERVER + 1, 443), START, HG_MINUTE, &flow),
        HG_NAT_OK);
    hg_nat_table_destroy(t);
}

TEST(the_limit_for_a_destination_is_exact_and_ends_with_the_flows)
{
    struct hg_nat_config c = config(1, 1024, 65535);
    struct hg_nat_table *t;
    struct hg_nat_flow flow, first = {0};
    uint16_t i;

    c.per_destination = 10;
    t = hg_nat_table_create(&c);
    for (i = 0; i < 10; i++) {
        REQUIRE(insert(t, tcp(CLIENT, i, SERVER, 443), START,
                       HG_MINUTE + i * HG_SEC, &flow) == HG_NAT_OK);
        if (!i)
            first = flow;
    }
    CHECK_EQ(insert(t, tcp(CLIENT, 99, SERVER, 443), START, HG_MINUTE, &flow),
             HG_NAT_NO_PORT);
    hg_nat_remove(t, first.id);
    CHECK_EQ(insert(t, tcp(CLIENT, 99, SERVER, 443), START, HG_HOUR, &flow),
             HG_NAT_OK);
    CHECK_EQ(insert(t, tcp(CLIENT, 98, SERVER, 443),
                    START + HG_MINUTE + HG_SEC - 1, HG_MINUTE, &flow),
             HG_NAT_NO_PORT);
    CHECK_EQ(n_expired, 0);
    CHECK_EQ(insert(t, tcp(CLIENT, 98, SERVER, 443),
                    START + HG_MINUTE + HG_SEC, HG_MINUTE, &flow),
             HG_NAT_OK);
    CHECK_EQ(n_expired, 1);
    CHECK_EQ(insert(t, tcp(CLIENT, 97, SERVER, 443),
                    START + HG_MINUTE + HG_SEC, HG_MINUTE, &flow),
             HG_NAT_NO_PORT);
    hg_nat_table_destroy(t);
}

TEST(an_inside_address_keeps_its_external_address)
{
    struct hg_nat_config c = config(2, 1024, 65535);
    struct hg_nat_table *t = hg_nat_table_create(&c);
    unsigned n_a = 0;
    uint32_t client;
    uint16_t i;

    for (client = CLIENT; client < CLIENT + 100; client++) {
        uint32_t external = 0;

        for (i = 0; i < 20; i++) {
            struct hg_nat_flow flow;

            REQUIRE(insert(t, tcp(client, i, SERVER + i, 443), START,
                           HG_MINUTE, &flow) == HG_NAT_OK);
            if (external)
                CHECK_EQ(flow.external, external);
            external = flow.external;
        }
        n_a += external == PUBLIC_A;
    }
    CHECK(n_a > 25 && n_a < 75);
    hg_nat_table_destroy(t);
}

TEST(ports_are_repeatable_under_a_seed_and_differ_with_another)
{
    struct hg_nat_config c = config(1, 1024, 65535);
    struct hg_nat_table *t[3];
    unsigned same = 0, neighbours = 0;
    uint16_t i, last = 0;

    t[0] = hg_nat_table_create(&c);
    t[1] = hg_nat_table_create(&c);
    c.seed = 2;
    t[2] = hg_nat_table_create(&c);
    for (i = 0; i < 1000; i++) {
        struct hg_nat_tuple tuple = tcp(CLIENT, i, SERVER, 443);
        struct hg_nat_flow f[3];
        unsigned k;

        for (k = 0; k < 3; k++)
            REQUIRE(insert(t[k], tuple, START, HG_MINUTE, &f[k]) == HG_NAT_OK);
        CHECK_EQ(f[0].external_port, f[1].external_port);
        same += f[0].external_port == f[2].external_port;
        neighbours += abs(f[0].external_port - last) < 10;
        last = f[0].external_port;
    }
    CHECK(same < 5);
    CHECK(neighbours < 10);
    for (i = 0; i < 3; i++)
        hg_nat_table_destroy(t[i]);
}

TEST(a_flow_is_gone_at_its_deadline_and_not_before)
{
    struct hg_nat_config c = config(1, 7777, 7777);
    struct hg_nat_table *t = hg_nat_table_create(&c);
    struct hg_nat_tuple out = tcp(CLIENT, 40000, SERVER, 443);
    struct hg_nat_flow flow, found;

    insert(t, out, START, HG_MINUTE, &flow);
    hg_nat_update(t, flow.id, HG_NAT_ESTABLISHED, START + 2 * HG_MINUTE);
    hg_nat_expire(t, START + 2 * HG_MINUTE - 1);
    REQUIRE(hg_nat_lookup_out(t, &out, START + 2 * HG_MINUTE - 1, &found));
    CHECK_EQ(found.state, HG_NAT_ESTABLISHED);
    CHECK(!hg_nat_lookup_out(t, &out, START + 2 * HG_MINUTE, &found));
    CHECK_EQ(n_expired, 1);
    insert(t, out, START + 2 * HG_MINUTE, HG_HOUR, &flow);
    hg_nat_update(t, flow.id, HG_NAT_FIN_BOTH, START + 3 * HG_MINUTE);
    hg_nat_expire(t, START + 3 * HG_MINUTE - 1);
    CHECK_EQ(hg_nat_count(t), 1);
    hg_nat_expire(t, START + 3 * HG_MINUTE);
    CHECK_EQ(hg_nat_count(t), 0);
    insert(t, out, START + 4 * HG_MINUTE, 30 * HG_DAY, &flow);
    hg_nat_expire(t, START + 20 * HG_DAY);
    CHECK_EQ(hg_nat_count(t), 1);
    CHECK_EQ(insert(t, tcp(CLIENT, 1, SERVER, 443), START + 40 * HG_DAY,
                    HG_MINUTE, &flow),
             HG_NAT_OK);
    CHECK_EQ(n_expired, 3);
    hg_nat_table_destroy(t);
}

TEST(a_full_table_refuses_and_pushes_nothing_out)
{
    struct hg_nat_config c = config(1, 1024, 65535);
    struct hg_nat_table *t;
    struct hg_nat_flow flow;
    uint16_t i;

    c.max_flows = 3;
    t = hg_nat_table_create(&c);
    for (i = 0; i < 3; i++)
        CHECK_EQ(
            insert(t, tcp(CLIENT, i, SERVER, 443), START, HG_MINUTE, &flow),
            HG_NAT_OK);
    CHECK_EQ(insert(t, tcp(CLIENT, 9, SERVER, 80), START, HG_MINUTE, &flow),
             HG_NAT_FULL);
    CHECK_EQ(hg_nat_count(t), 3);
    CHECK_EQ(insert(t, tcp(CLIENT, 9, SERVER, 80), START + HG_MINUTE,
                    HG_MINUTE, &flow),
             HG_NAT_OK);
    CHECK_EQ(hg_nat_count(t), 1);
    hg_nat_table_destroy(t);
}

TEST(an_installed_flow_must_not_clash)
{
    struct hg_nat_config c = config(1, 1024, 65535);
    struct hg_nat_table *t = hg_nat_table_create(&c);
    struct hg_nat_flow f = {.inside = CLIENT,
                            .external = PUBLIC_A,
                            .remote = SERVER,
                            .inside_port = 5,
                            .external_port = 80,
                            .remote_port = 443,
                            .protocol = HG_PROTO_TCP,
                            .state = HG_NAT_ESTABLISHED,
                            .deadline_ns = START + HG_MINUTE};
    struct hg_nat_tuple in = in_of(&f);
    struct hg_nat_flow found;

    CHECK_EQ(hg_nat_install(t, &f, START), HG_NAT_OK);
    CHECK(hg_nat_lookup_in(t, &in, START, &found));
    CHECK_EQ(hg_nat_install(t, &f, START), HG_NAT_EXISTS);
    f.inside_port++;
    CHECK_EQ(hg_nat_install(t, &f, START), HG_NAT_TAKEN);
    f.remote_port++;
    CHECK_EQ(hg_nat_install(t, &f, START), HG_NAT_OK);
    f.external = PUBLIC_B;
    CHECK_EQ(hg_nat_install(t, &f, START), HG_NAT_FOREIGN);
    hg_nat_table_destroy(t);
}

/* ---- Against a plain list --------------------------------------------- */

enum { MODEL_SIZE = 5000 };

static struct hg_nat_flow model[MODEL_SIZE];
static unsigned n_model;

static uint64_t
next_random(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return *state >> 33;
}

static struct hg_nat_flow *
model_find(const struct hg_nat_tuple *k, bool from_inside)
{
    unsigned i;

    for (i = 0; i < n_model; i++) {
        struct hg_nat_flow *f = &model[i];

        if (f->protocol == k->protocol && f->remote == k->remote &&
            f->remote_port == k->remote_port &&
            (from_inside
                 ? f->inside == k->addr && f->inside_port == k->port
                 : f->external == k->addr && f->external_port == k->port))
            return f;
    }
    return NULL;
}

static void
model_expire(uint64_t now_ns)
{
    unsigned i = 0;

    while (i < n_model)
        if (model[i].deadline_ns <= now_ns)
            model[i] = model[--n_model];
        else
            i++;
}

/* One packet from inside: finds or adds a flow in both, and compares. */
static void
model_step(struct hg_nat_table *t, uint64_t *random, uint64_t now_ns)
{
    struct hg_nat_tuple out =
        tcp(CLIENT + (uint32_t)(next_random(random) % 20),
            (uint16_t)(next_random(random) % 40),
            SERVER + (uint32_t)(next_random(random) % 3), 443);
    uint64_t deadline_ns = now_ns + 1 + next_random(random) % (5 * HG_SEC);
    struct hg_nat_flow *known = model_find(&out, true);
    struct hg_nat_flow flow;
    struct hg_nat_tuple in;

    if (known) {
        REQUIRE(hg_nat_lookup_out(t, &out, now_ns, &flow));
        CHECK_EQ(flow.external_port, known->external_port);
        CHECK_EQ(flow.deadline_ns, known->deadline_ns);
        hg_nat_update(t, flow.id, HG_NAT_ESTABLISHED, deadline_ns);
        known->deadline_ns = deadline_ns;
        return;
    }
    CHECK(!hg_nat_lookup_out(t, &out, now_ns, &flow));
    if (hg_nat_insert(t, &out, HG_NAT_INIT, now_ns, deadline_ns, &flow) !=
        HG_NAT_OK)
        FAIL("no port for %u flows", n_model);
    in = in_of(&flow);
    CHECK(!model_find(&in, false));
    model[n_model++] = flow;
}

TEST(ten_thousand_random_steps_agree_with_a_list)
{
    struct hg_nat_config c = config(2, 1000, 1999);
    struct hg_nat_table *t = hg_nat_table_create(&c);
    uint64_t random = 7, now_ns = START;
    unsigned step;

    n_model = 0;
    for (step = 0; step < 10000; step++) {
        struct hg_nat_flow flow;
        uint32_t at = 0, n = 0;

        now_ns += next_random(&random) % (2 * HG_MSEC);
        model_expire(now_ns);
        model_step(t, &random, now_ns);
        if (step % 500 == 0) {
            while (hg_nat_next(t, now_ns, &at, &flow)) {
                struct hg_nat_tuple in = in_of(&flow);

                CHECK(model_find(&in, false));
                n++;
            }
            CHECK_EQ(n, n_model);
        }
        if (step % 777 == 0) {
            hg_nat_expire(t, now_ns);
            CHECK_EQ(hg_nat_count(t), n_model);
        }
    }
    CHECK(n_model > 500);
    hg_nat_table_destroy(t);
}

TEST(a_hundred_thousand_flows_grow_and_go)
{
    struct hg_nat_config c = config(1, 1024, 65535);
    struct hg_nat_table *t = hg_nat_table_create(&c);
    struct hg_nat_flow flow;
    uint32_t i;

    for (i = 0; i < 100000; i++)
        REQUIRE(insert(t,
                       tcp(CLIENT + i % 1000, (uint16_t)(i / 1000),
                           SERVER + i / 7, 443),
                       START, HG_MINUTE + i % 997 * HG_SEC,
                       &flow) == HG_NAT_OK);
    CHECK_EQ(hg_nat_count(t), 100000);
    for (i = 0; i < 100000; i++) {
        struct hg_nat_tuple out =
            tcp(CLIENT + i % 1000, (uint16_t)(i / 1000), SERVER + i / 7, 443);

        REQUIRE(hg_nat_lookup_out(t, &out, START, &flow));
    }
    hg_nat_expire(t, START + HG_MINUTE + 500 * HG_SEC);
    CHECK_EQ(hg_nat_count(t) + n_expired, 100000);
    CHECK_EQ(n_expired, 100 * 501 + 300);
    hg_nat_expire(t, START + HG_DAY);
    CHECK_EQ(hg_nat_count(t), 0);
    hg_nat_table_destroy(t);
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
        CHECK_EQ(f.inside, CLIENT);
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
         "'inside' of a flow needs 'addr'"},
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
        {"::1", -1},
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

    f->addr = PUBLIC_A;
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
