/* test_owner.c: packets of a flow stay with one of several workers, through
 * filters and NATs, there and back (headgate/owner.h).
 *
 * Each worker has an instance of the graph, as with --workers; packets are
 * dealt by the plan.  Whatever leaves must be dealt to where it comes from. */
#include "harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <headgate/spread.h>

#include "notation.h"

enum { MOST = 5 };

struct team {
    unsigned n;
    struct hg_plugins *plugins;
    struct hg_graph *front, *graph[MOST];
    struct hg_spread plan;
    struct hg_fragment_table *firsts;
    struct hg_packet *left; /* The last packet that left, and by which */
    const char *side;       /* interface; how many there were. */
    unsigned n_left;
    unsigned n_glances; /* That said whose a packet is. */
};

/* ---- Teams ------------------------------------------------------------ */

static struct hg_graph *
load(struct team *t, const char *path, unsigned n, unsigned worker)
{
    struct hg_graph_config config = {.plugins = t->plugins,
                                     .seed = 1,
                                     .n_workers = n,
                                     .worker = worker,
                                     .kin = t->front};
    struct hg_diags *diags = hg_diags_create();
    struct hg_graph *g = hg_graph_load(path, &config, diags);

    if (!g)
        hg_diags_print(diags, stderr, false);
    hg_diags_destroy(diags);
    REQUIRE(g);
    return g;
}

static void
take_left(void *team_, struct hg_element *e, struct hg_packet *const *p,
          unsigned n)
{
    struct team *t = team_;
    unsigned i;

    for (i = 0; i < n; i++) {
        if (t->left)
            hg_packet_free(t->left);
        t->left = p[i];
        t->side = hg_element_name(e);
        t->n_left++;
    }
}

static void
make_plan(struct team *t)
{
    size_t n = hg_graph_n_elements(t->front), i;
    struct hg_spread_device *devices = calloc(n + 1, sizeof *devices);
    struct hg_error error;

    for (i = 0; i < n; i++)
        devices[i].receives =
            hg_element_class(hg_graph_element(t->front, i))->flags &
            HG_CLASS_DEVICE;
    if (!hg_spread_plan(&t->plan, t->front, devices, &error))
        FAIL("%s", error.text);
    free(devices);
}

static struct team *
create(const char *text, unsigned n)
{
    struct team *t = calloc(1, sizeof *t);
    char path[] = "/tmp/headgate-owner-XXXXXX";
    int fd = mkstemp(path);
    struct hg_error error;
    unsigned i;

    REQUIRE(t && fd >= 0 && write(fd, text, strlen(text)) > 0);
    close(fd);
    t->n = n;
    t->plugins = hg_plugins_create(NULL);
    t->front = load(t, path, 0, 0);
    make_plan(t);
    t->firsts = hg_fragment_table_create(HG_SPREAD_FIRSTS, HG_NEVER, 1);
    for (i = 0; i < n; i++) {
        struct hg_graph *g = t->graph[i] = load(t, path, n, i);

        hg_element_divert(hg_graph_find(g, "inside"), take_left, t);
        hg_element_divert(hg_graph_find(g, "outside"), take_left, t);
        if (!hg_graph_start(g, BENCH_START, &error))
            FAIL("%s", error.text);
    }
    unlink(path);
    return t;
}

static void
destroy(struct team *t)
{
    unsigned i;

    if (t->left)
        hg_packet_free(t->left);
    for (i = 0; i < t->n; i++) {
        hg_graph_stop(t->graph[i]);
        hg_graph_destroy(t->graph[i]);
    }
    hg_spread_uninit(&t->plan);
    hg_fragment_table_destroy(t->firsts);
    hg_graph_destroy(t->front);
    hg_plugins_destroy(t->plugins);
    free(t);
}

/* ---- Packets ---------------------------------------------------------- */

/* Whether a glance at the packet's frame, taken by worker 'mine', says that it
 * is 'worker's, or says nothing. */
static bool
glance_agrees(struct team *t, const struct hg_element *e,
              const struct hg_packet *p, unsigned mine, unsigned worker)
{
    const struct hg_frame frame = {.data = p->data, .len = p->len};
    uint64_t unsaid;
    uint64_t own =
        hg_spread_glance(&t->plan, e, &frame, 1, t->n, mine, &unsaid);

    t->n_glances += !(unsaid & 1);
    return unsaid & 1 ? !(own & 1) : (own & 1) == (worker == mine);
}

/* Whose a packet is that comes in by an interface. */
static unsigned
owner(struct team *t, const char *side, struct hg_packet *p)
{
    struct hg_port_info to;
    unsigned worker, mine;

    hg_element_output(hg_graph_find(t->front, side), 0, &to);
    worker =
        hg_spread_worker(&t->plan, to.peer, to.peer_port, p, t->n, t->firsts);
    for (mine = 0; mine < t->n; mine++)
        CHECK(glance_agrees(t, to.peer, p, mine, worker));
    return worker;
}

/* Puts a packet in by an interface: at its owner, whom '*worker' becomes.
 * Returns how many left; the last of them is t->left. */
static unsigned
put(struct team *t, const char *side, const char *text, uint32_t vpc,
    unsigned *worker)
{
    struct hg_error error = {""};
    struct hg_packet *p =
        notation_parse(hg_graph_pool(t->front), text, &error);
    struct hg_port_info to;
    struct hg_graph *g;

    if (!p)
        FAIL("'%s': %s", text, error.text);
    *worker = owner(t, side, p);
    CHECK(*worker < t->n);
    g = t->graph[*worker];
    p->vpc = vpc;
    p->time_ns = BENCH_START;
    hg_element_output(hg_graph_find(g, side), 0, &to);
    t->n_left = 0;
    hg_graph_enter(g, to.peer, to.peer_port, &p, 1);
    hg_graph_dispatch(g);
    return t->n_left;
}

/* Sends a packet from one side to the other, where it must arrive, still its
 * worker's. */
static struct hg_packet *
cross(struct team *t, const char *from, const char *to, const char *text,
      uint32_t vpc)
{
    unsigned worker;

    if (put(t, from, text, vpc, &worker) != 1)
        FAIL("'%s' of worker %u of %u: %u packets left", text, worker, t->n,
             t->n_left);
    CHECK_STR(t->side, to);
    if (owner(t, to, t->left) != worker) {
        char out[256];

        hg_packet_format(t->left, out, sizeof out);
        FAIL("'%s' of worker %u of %u became that of %u: '%s'", text, worker,
             t->n, owner(t, to, t->left), out);
    }
    return t->left;
}

enum kind { TCP, UDP, PING, KINDS };

/* A packet between two endpoints, or an answer; PING has one "port". */
static void
say(char text[256], enum kind kind, const char *src, unsigned sport,
    const char *dst, unsigned dport, bool is_answer)
{
    const char *s = strchr(src, ':') ? "[" : "",
               *d = strchr(dst, ':') ? "[" : "";
    const char *send = *s ? "]" : "", *dend = *d ? "]" : "";

    if (kind == PING)
        snprintf(text, 256, "icmp %s > %s %s %u seq 1", src, dst,
                 is_answer ? "reply" : "echo", sport);
    else
        snprintf(text, 256, "%s %s%s%s:%u > %s%s%s:%u %s",
                 kind == TCP ? "tcp" : "udp", s, src, send, sport, d, dst,
                 dend, dport,
                 kind == UDP ? "len 9"
                 : is_answer ? "S."
                             : "S");
}

struct flow {
    enum kind kind;
    const char *inside;
    unsigned port;
    const char *remote; /* As the inside sees it, */
    const char *far;    /* and the outside. */
    unsigned remote_port;
    uint32_t vpc;
};

/* The NAT of the worker whose the flow is lists it with its ports. */
static void
check_listed(struct team *t, const struct flow *f, const char *external,
             unsigned port)
{
    static const char *const kinds[KINDS] = {"tcp", "udp", "icmp"};
    char filter[256], answer[16] = "";
    FILE *out = fmemopen(answer, sizeof answer, "w");
    struct hg_element *nat =
        hg_graph_find(t->graph[owner(t, t->side, t->left)], "nat");
    struct hg_error error;

    snprintf(filter, sizeof filter, "%s %s:%u", kinds[f->kind], external,
             port);
    if (nat && !hg_element_read(nat, "count", filter, out, &error))
        FAIL("%s", error.text);
    fclose(out);
    if (nat && atoi(answer) < 1)
        FAIL("no flow '%s'", filter);
}

/* A flow goes out, is answered, and is complained of by a router. */
static void
there_and_back(struct team *t, const struct flow *f, char external[64])
{
    char text[256], quoted[256], error[600];
    struct hg_packet *p;
    struct hg_addr addr;
    unsigned port;

    say(text, f->kind, f->inside, f->port, f->remote, f->remote_port, false);
    p = cross(t, "inside", "outside", text, f->vpc);
    addr = hg_packet_src(p);
    hg_addr_format(&addr, external);
    port = hg_packet_sport(p);
    if (f->kind == PING)
        say(text, PING, f->far, port, external, port, true);
    else
        say(text, f->kind, f->far, f->remote_port, external, port, true);
    p = cross(t, "outside", "inside", text, f->vpc);
    CHECK_EQ(hg_packet_dport(p), f->port);
    say(quoted, f->kind, external, port, f->far, f->remote_port, false);
    if (f->kind == TCP)
        *strrchr(quoted, ' ') = '\0'; /* Eight bytes of its header. */
    snprintf(error, sizeof error, "icmp 192.0.2.99 > %s unreachable 3 (%s)",
             external, quoted);
    cross(t, "outside", "inside", error, f->vpc);
    check_listed(t, f, external, port);
}

/* Many flows of all kinds by 'graph', with some numbers of workers; each must
 * have had a good part of them. */
static void
many_flows(const char *graph, const char *inside, const char *remote,
           const char *far, uint32_t vpc)
{
    static const unsigned workers[] = {1, 2, 3, 5};
    size_t k;

    for (k = 0; k < sizeof workers / sizeof *workers; k++) {
        struct team *t = create(graph, workers[k]);
        unsigned i;

        for (i = 0; i < 300; i++) {
            char from[64], to[64], seen[64], external[64];
            struct flow f = {i % KINDS,  from, 1024 + 37 * i, to, seen,
                             50 + i % 7, vpc};

            snprintf(from, sizeof from, inside, 5 + i % 11);
            snprintf(to, sizeof to, remote, 10 + i % 13);
            snprintf(seen, sizeof seen, far, 10 + i % 13);
            there_and_back(t, &f, external);
        }
        destroy(t);
    }
}

/* ---- Graphs ----------------------------------------------------------- */

#define SIDES "Interface inside {} Interface outside {}\n"
#define NAT_ALONE(options)                                                    \
    SIDES "HyperplaneNAT nat { " options " }\n"                               \
          "connect(\"inside -> CheckIP -> [inside]nat[outside] -> outside\")" \
          "connect(\"outside -> CheckIP -> [outside]nat[inside] -> inside\")"

#define PUBLIC "public = { 198.51.100.1, 198.51.100.2, 198.51.100.3 }\n"

TEST(flows_through_a_nat_stay_with_their_worker)
{
    many_flows(NAT_ALONE(PUBLIC), "10.0.0.%u", "203.0.113.%u", "203.0.113.%u",
               0);
}

TEST(flows_through_a_compact_nat_stay_with_their_worker)
{
    many_flows(NAT_ALONE(PUBLIC "table = compact"), "10.0.0.%u",
               "203.0.113.%u", "203.0.113.%u", 0);
}

TEST(flows_through_nat64_stay_with_their_worker)
{
    many_flows(NAT_ALONE(PUBLIC), "2001:db8::%x", "64:ff9b::cb00:71%02x",
               "203.0.113.%u", 0);
}

TEST(flows_through_few_ports_stay_with_their_worker)
{
    many_flows(NAT_ALONE("public = 198.51.100.1 ports = 1026-1200"),
               "10.0.0.%u", "203.0.113.%u", "203.0.113.%u", 0);
}

/* The hosts' addresses, and those that they talk to, are external ones in
 * another VPC. */
#define OVERLAP(options)                                                      \
    NAT_ALONE(                                                                \
        "gateway seven { vpc = 7  private = { 10.0.0.5, 10.0.0.6, 10.0.0.7,"  \
        "    10.0.0.11, 10.0.0.12, 10.0.0.13, 10.0.0.14 } }\n"                \
        "gateway eight { vpc = 8  private = { 10.0.0.250, 10.0.0.251 } "      \
        "}\n" options)

TEST(external_addresses_may_be_hosts_in_another_vpc)
{
    many_flows(OVERLAP(""), "10.0.0.%u", "10.0.0.%u", "10.0.0.%u", 8);
    many_flows(OVERLAP("table = compact"), "10.0.0.%u", "10.0.0.%u",
               "10.0.0.%u", 8);
}

TEST(flows_through_two_nats_stay_with_their_worker)
{
    static const char graph[] =
        SIDES "HyperplaneNAT one { public = { 100.64.0.1, 100.64.0.2 } }\n"
              "HyperplaneNAT two { public = 198.51.100.2 table = compact }\n"
              "connect(\"inside -> CheckIP -> [inside]one[outside]"
              "         -> [inside]two[outside] -> outside\")\n"
              "connect(\"outside -> CheckIP -> [outside]two[inside]"
              "         -> [outside]one[inside] -> inside\")\n";

    many_flows(graph, "10.0.0.%u", "203.0.113.%u", "203.0.113.%u", 0);
}

/* What comes back is let in since it is known. */
#define CHAIN(options)                                                        \
    SIDES                                                                     \
    "SecurityGroup before { group a { inbound { source = 10.0.0.0/8 } }\n"    \
    "    related-icmp-errors = true " options " }\n"                          \
    "SecurityGroup behind { group b { inbound { source = 10.0.0.0/8 } }\n"    \
    "    related-icmp-errors = true " options " }\n"                          \
    "NACL acl { inbound 1 { cidr = 0.0.0.0/0  action = allow }\n"             \
    "           outbound 1 { cidr = 0.0.0.0/0  action = allow } }\n"          \
    "RouteTable routes { cidr = 10.0.0.0/16  target up {}\n"                  \
    "    route 0.0.0.0/0 { target = up } }\n"                                 \
    "HyperplaneNAT nat { " PUBLIC " }\n"                                      \
    "FlowLogger log { log-destination = \"/dev/null\" interface-id = eni-1\n" \
    "    direction = egress }\n"                                              \
    "connect(\"inside -> CheckIP -> [egress]before[egress]"                   \
    "    -> [outbound]acl[outbound] -> routes; routes[local] -> Discard\")\n" \
    "connect(\"routes[up] -> [inside]nat[outside]"                            \
    "    -> [egress]behind[egress] -> log -> outside\")\n"                    \
    "connect(\"outside -> CheckIP -> [ingress]behind[ingress]"                \
    "    -> [outside]nat[inside] -> [inbound]acl[inbound]"                    \
    "    -> [ingress]before[ingress] -> inside\")\n"

TEST(flows_through_filters_on_both_sides_of_a_nat_stay_with_their_worker)
{
    many_flows(CHAIN(""), "10.0.0.%u", "203.0.113.%u", "203.0.113.%u", 0);
    many_flows(CHAIN("table = compact"), "10.0.0.%u", "203.0.113.%u",
               "203.0.113.%u", 0);
}

TEST(a_router_with_a_nat_is_the_workers_from_end_to_end)
{
    struct team *t = create(CHAIN(""), 2);
    size_t i;

    for (i = 0; i < t->plan.n; i++) {
        struct hg_element *e = hg_graph_element(t->front, i);

        if (!(hg_element_class(e)->flags & HG_CLASS_DEVICE) &&
            t->plan.zone[i] != HG_SPREAD)
            FAIL("'%s' is in zone %d", hg_element_name(e), t->plan.zone[i]);
    }
    destroy(t);
}

/* ---- What workers divide ---------------------------------------------- */

TEST(which_external_address_a_host_gets_does_not_depend_on_the_worker)
{
    struct team *t = create(NAT_ALONE(PUBLIC), 3);
    char first[64] = "", external[64], to[64];
    unsigned i;

    for (i = 0; i < 30; i++) {
        struct flow f = {UDP, "10.0.0.5", 4000, to, to, 53, 0};

        snprintf(to, sizeof to, "203.0.113.%u", i);
        there_and_back(t, &f, external);
        if (!*first)
            strcpy(first, external);
        CHECK_STR(external, first);
    }
    destroy(t);
}

/* As many flows to one destination as there may be; none is there twice. */
static void
check_limit(const char *graph, unsigned n, unsigned limit)
{
    struct team *t = create(graph, n);
    unsigned i, worker, taken = 0, of[MOST] = {0};
    bool seen[65536] = {false};

    for (i = 0; i < 400; i++) {
        char text[256], from[64];

        snprintf(from, sizeof from, "10.0.%u.%u", i % 3, i % 199);
        say(text, TCP, from, 1024 + i, "203.0.113.9", 443, false);
        if (!put(t, "inside", text, 0, &worker))
            continue;
        CHECK_STR(t->side, "outside");
        CHECK(!seen[hg_packet_sport(t->left)]);
        seen[hg_packet_sport(t->left)] = true;
        of[worker]++;
        taken++;
    }
    CHECK_EQ(taken, limit);
    for (i = 0; i < n; i++)
        if (of[i] != limit / n && of[i] != limit / n + 1)
            FAIL("worker %u of %u has %u flows of %u", i, n, of[i], limit);
    destroy(t);
}

TEST(limits_of_a_destination_and_ports_are_divided)
{
#define ONE_ADDRESS "public = 198.51.100.1 rst-on-expired = false "
#define LIMITED ONE_ADDRESS "connections-per-destination = 20 "
#define FEW_PORTS ONE_ADDRESS "ports = 2000-2021 " /* Five whole groups. */
    static const struct {
        unsigned workers, by_ports;
    } rows[] = {{1, 22}, {2, 16}, {3, 12}, {5, 20}};
    size_t i;

    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        unsigned n = rows[i].workers;

        check_limit(NAT_ALONE(LIMITED), n, 20);
        check_limit(NAT_ALONE(LIMITED "table = compact"), n, 20);
        check_limit(NAT_ALONE(FEW_PORTS), n, rows[i].by_ports);
        check_limit(NAT_ALONE(FEW_PORTS "table = compact"), n,
                    rows[i].by_ports);
    }
}

static void
refuses(const char *graph, unsigned n, const char *why)
{
    char path[] = "/tmp/headgate-owner-XXXXXX";
    int fd = mkstemp(path);
    struct team t = {.plugins = hg_plugins_create(NULL)};
    struct hg_error error = {""};
    struct hg_graph *g;

    REQUIRE(fd >= 0 && write(fd, graph, strlen(graph)) > 0);
    close(fd);
    g = load(&t, path, n, 0);
    CHECK(!hg_graph_start(g, BENCH_START, &error));
    if (!strstr(error.text, why))
        FAIL("'%s', not '%s'", error.text, why);
    hg_graph_destroy(g);
    hg_plugins_destroy(t.plugins);
    unlink(path);
}

TEST(what_cannot_be_divided_is_refused)
{
    refuses(NAT_ALONE("public = 198.51.100.1 ports = 7000"), 2,
            "'ports' are too few for 2 workers");
    refuses(NAT_ALONE("public = 198.51.100.1 ports = 2000-2011"), 5,
            "'ports' are too few for 5 workers");
    refuses(NAT_ALONE("public = 198.51.100.1 connections-per-destination = 2"),
            3, "'connections-per-destination' is less than the 3 workers");
}

/* ---- Fragments -------------------------------------------------------- */

TEST(fragments_from_outside_go_where_their_first_went)
{
    struct team *t = create(NAT_ALONE(PUBLIC), 5);
    unsigned i;

    for (i = 0; i < 200; i++) {
        char text[256], to[64], external[64];
        struct flow f = {UDP, "10.0.0.5", 4000 + i, to, to, 53, 0};
        struct hg_packet *p;
        struct hg_addr addr;

        snprintf(to, sizeof to, "203.0.113.%u", i);
        snprintf(text, sizeof text,
                 "udp 10.0.0.5:%u > %s:53 len 1472 frag 0+ id %u", f.port, to,
                 i);
        p = cross(t, "inside", "outside", text, 0);
        addr = hg_packet_src(p);
        hg_addr_format(&addr, external);
        snprintf(text, sizeof text, "udp %s:53 > %s:%u len 1472 frag 0+ id %u",
                 to, external, hg_packet_sport(p), i % 50);
        cross(t, "outside", "inside", text, 0);
        snprintf(text, sizeof text,
                 "ip 10.0.0.5 > %s proto 17 len 99 frag 1480 id %u", to, i);
        cross(t, "inside", "outside", text, 0);
        snprintf(text, sizeof text,
                 "ip %s > %s proto 17 len 99 frag 1480 id %u", to, external,
                 i % 50);
        cross(t, "outside", "inside", text, 0);
    }
    destroy(t);
}

TEST(a_newer_datagram_takes_the_place_of_one_with_its_identification)
{
    struct team *t = create(NAT_ALONE(PUBLIC), 5);
    struct hg_error error;
    unsigned i;

    for (i = 0; i < 40; i++) {
        char text[256];
        struct hg_packet *first, *later;

        snprintf(text, sizeof text,
                 "udp 203.0.113.9:53 > 198.51.100.1:%u len 8 frag 0+ id 9",
                 2000 + 4 * i);
        first = notation_parse(hg_graph_pool(t->front), text, &error);
        later = notation_parse(
            hg_graph_pool(t->front),
            "ip 203.0.113.9 > 198.51.100.1 proto 17 len 8 frag 16 id 9",
            &error);
        CHECK_EQ(owner(t, "outside", first), (2000 / 4 + i) % 5);
        CHECK_EQ(owner(t, "outside", later), (2000 / 4 + i) % 5);
        hg_packet_free(first);
        hg_packet_free(later);
    }
    destroy(t);
}

/* Frames whose headers are wrong, cut, of another protocol or external. */
TEST(a_glance_at_a_frame_says_what_its_parsing_says)
{
    enum { FRAMES = 100000, HEADERS = 42 };
    static const char *const base[] = {
        "udp 10.0.0.1:1000 > 203.0.113.1:53 len 20",
        "tcp 10.0.0.2:1000 > 198.51.100.1:2000 .",
        "icmp 10.0.0.3 > 203.0.113.2 echo 7 seq 1",
        "udp [2001:db8::1]:1 > [2001:db8::2]:2"};
    struct team *t = create(NAT_ALONE(PUBLIC), 3);
    struct hg_error error;
    uint32_t random = 1;
    unsigned i, k;

    for (i = 0; i < FRAMES; i++) {
        struct hg_packet *p =
            notation_parse(hg_graph_pool(t->front), base[i % 4], &error);

        REQUIRE(p);
        for (k = i % 3; k > 0; k--) {
            random = random * 1664525 + 1013904223;
            p->data[(random >> 8) % HEADERS] = (uint8_t)(random >> 24);
        }
        if (i % 16 == 0)
            hg_packet_trim(p, (random >> 16) % p->len);
        hg_packet_parse(p);
        owner(t, "inside", p);
        hg_packet_free(p);
    }
    t->n_glances /= t->n;
    CHECK(t->n_glances > FRAMES / 8 && t->n_glances < FRAMES / 2);
    destroy(t);
}
