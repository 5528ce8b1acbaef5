/* test_flow.c: the flow service (headgate/flow.h): second keys,
 * remembered verdicts, and the keys of packets and of what ICMP errors quote.
 */
#include "flow_rig.h"

/* ---- Translated flows ------------------------------------------------- */

TEST(bytes_found_with_a_flow_are_its_own_and_move_its_deadline)
{
    struct rig r;
    struct hg_packet *p;
    struct hg_flow *flow;
    void *state;
    unsigned i;

    rig_init(&r, 2, 0);
    p = packet(&r, "udp 10.0.0.1:1000 > 10.9.9.9:53");
    CHECK(!hg_flow_find_state(r.keeper[1], p, &state) && !state);
    flow = hg_flow_create(r.keeper[1], p);
    REQUIRE(flow);
    hg_flow_keep(r.keeper[1], flow, START + HG_SEC);
    CHECK(!hg_flow_find_state(r.keeper[0], p, &state) && !state);
    for (i = 0; i < 3; i++) {
        CHECK(hg_flow_find_state(r.keeper[1], p, &state) == flow);
        CHECK(state == hg_flow_state(r.keeper[1], flow, p->time_ns));
        hg_flow_keep_state(state, START + (i + 2) * HG_SEC);
        p->time_ns = START + (i + 2) * HG_SEC - 1;
    }
    p->time_ns++;
    CHECK(!hg_flow_find_state(r.keeper[1], p, &state) && !state);
    hg_packet_free(p);
    rig_uninit(&r);
}

TEST(replies_to_a_translated_flow_find_it_by_its_second_key)
{
    struct rig r;
    struct hg_packet *first, *translated, *reply;
    struct hg_flow_key key, out;
    struct hg_flow *flow;

    rig_init(&r, 2, 0);
    first = packet(&r, "udp 10.0.0.5:40000 > 203.0.113.9:53");
    translated = packet(&r, "udp 198.51.100.1:1024 > 203.0.113.9:53");
    reply = packet(&r, "udp 203.0.113.9:53 > 198.51.100.1:1024");
    flow = hg_flow_create(r.keeper[0], first);
    REQUIRE(flow && hg_flow_key_of(translated, &key));
    hg_flow_keep(r.keeper[0], flow, r.now + HG_SEC);
    CHECK(!hg_flow_find(r.keeper[0], reply));
    CHECK(hg_flow_add_key(r.keeper[0], flow, &key, r.now));
    CHECK(hg_flow_find(r.keeper[0], reply) == flow);
    CHECK(hg_flow_is_reply(flow, reply));
    CHECK(!hg_flow_is_reply(flow, first));
    hg_flow_first_key(flow, &out);
    CHECK_EQ(out.sport, 40000);
    CHECK_EQ(out.dport, 53);

    /* The second element shares the record, but knows of it only once it
     * asks for it. */
    CHECK(!hg_flow_find(r.keeper[1], translated));
    CHECK(hg_flow_create(r.keeper[1], translated) == flow);
    CHECK_EQ(stats(&r).flows, 1);
    hg_packet_free(first);
    hg_packet_free(translated);
    hg_packet_free(reply);
    rig_uninit(&r);
}

TEST(a_second_key_is_where_its_element_wants_it_and_lies_so_in_the_record)
{
    static const char *const sources[] = {"198.51.100.1", "10.0.0.5",
                                          "203.0.113.10"};
    size_t i;

    for (i = 0; i < sizeof sources / sizeof *sources; i++) {
        const uint32_t remote = 0xcb007109, inside = 0x0a000005;
        struct rig r;
        struct hg_packet *p;
        struct hg_flow_key key;
        struct hg_flow *flow;
        const struct kept *kept;
        uint32_t outside;
        unsigned end;

        rig_init(&r, 2, 0);
        p = packet(&r, "udp 10.0.0.5:40000 > 203.0.113.9:53");
        flow = hg_flow_create(r.keeper[1], p);
        REQUIRE(flow && hg_flow_key_of(p, &key));
        REQUIRE(hg_addr_parse(sources[i], &key.src));
        outside = hg_addr_ip4(&key.src);
        key.vpc = i == 1 ? 0 : 9;
        key.sport = i == 1 ? 40000 : 1024; /* The first key once more. */
        CHECK(hg_flow_add_key(r.keeper[1], flow, &key, r.now));
        kept = hg_flow_state(r.keeper[1], flow, r.now);
        end = outside > remote;
        CHECK_EQ(kept->second.addr[end], outside);
        CHECK_EQ(kept->second.port[end], key.sport);
        CHECK_EQ(kept->second.addr[!end], remote);
        CHECK_EQ(kept->second.port[!end], 53);
        CHECK_EQ(kept->second.vpc, key.vpc);
        CHECK_EQ(flow->ends.addr[0], inside);
        CHECK_EQ(flow->ends.port[0], 40000);
        hg_packet_free(p);
        rig_uninit(&r);
    }
}

TEST(an_interest_that_was_not_kept_leaves_no_second_key)
{
    struct hg_packet *p, *translated;
    struct hg_flow_key key;
    struct hg_flow *flow;
    unsigned user;

    for (user = 0; user < 2; user++) {
        struct rig r;

        rig_init(&r, 2, 0);
        p = packet(&r, "udp 10.0.0.5:40000 > 203.0.113.9:53");
        translated = packet(&r, "udp 198.51.100.1:1024 > 203.0.113.9:53");
        flow = hg_flow_create(r.keeper[!user], p);
        hg_flow_keep(r.keeper[!user], flow, r.now + HG_MINUTE);
        REQUIRE(hg_flow_create(r.keeper[user], p) == flow);
        REQUIRE(hg_flow_key_of(translated, &key));
        CHECK(hg_flow_add_key(r.keeper[user], flow, &key, r.now));
        CHECK(hg_flow_create(r.keeper[user], p) == flow);
        hg_flow_keep(r.keeper[user], flow, r.now + HG_MINUTE);
        CHECK(!hg_flow_find(r.keeper[user], translated));
        CHECK(hg_flow_create(r.keeper[user], translated) != flow);
        hg_packet_free(p);
        hg_packet_free(translated);
        rig_uninit(&r);
    }
}

TEST(two_live_flows_cannot_have_one_key)
{
    struct rig r;
    struct hg_flow *a, *b;
    struct hg_flow_key key;
    struct hg_packet *p;

    rig_init(&r, 1, 0);
    a = open_flow(&r, 1, HG_SEC);
    b = open_flow(&r, 2, 2 * HG_SEC);
    p = packet(&r, "udp 198.51.100.1:1024 > 203.0.113.9:53");
    REQUIRE(hg_flow_key_of(p, &key));
    CHECK(hg_flow_add_key(r.keeper[0], a, &key, r.now));
    CHECK(hg_flow_add_key(r.keeper[0], a, &key, r.now));
    CHECK(!hg_flow_add_key(r.keeper[0], b, &key, r.now));
    CHECK(hg_flow_add_key(r.keeper[0], b, &key, r.now + HG_SEC));
    p->time_ns = r.now + HG_SEC;
    CHECK(hg_flow_find(r.keeper[0], p) == b);
    hg_packet_free(p);
    rig_uninit(&r);
}

/* ---- Remembered verdicts ---------------------------------------------- */

struct verdict_case {
    const char *name;
    const char *first; /* Its flow is made, and remembers. */
    const char *then;
    uint16_t first_port;
    uint16_t then_port;
    bool remembered;
};

static bool
remembers(void *self, struct hg_packet *p, uint32_t value)
{
    const uint32_t *v = hg_flow_verdict(self, p);

    return v && *v == value;
}

TEST(a_flow_remembers_a_verdict_for_each_direction_and_input)
{
#define GO "udp 10.0.0.1:1 > 10.0.0.2:2"
#define BACK "udp 10.0.0.2:2 > 10.0.0.1:1"
#define PING "icmp 10.0.0.1 > 10.0.0.2 echo 7 seq 1"
#define PIECE "udp 10.0.0.1:1 > 10.0.0.2:2 len 16 frag 0+ id 7"
    static const struct verdict_case cases[] = {
        {"the same", GO, GO, 0, 0, true},
        {"another input", GO, GO, 0, 1, false},
        {"the same other input", GO, GO, 1, 1, true},
        {"the other direction", GO, BACK, 0, 0, false},
        {"IPv6", "tcp [fd00::2]:1 > [fd00::1]:2 S",
         "tcp [fd00::2]:1 > [fd00::1]:2 S", 0, 0, true},
        {"ICMP", PING, PING, 0, 0, false},
        {"a fragment", PIECE, PIECE, 0, 0, false},
        {"a fragment of a known flow", GO, PIECE, 0, 0, false},
        {"another flow", GO, "udp 10.0.0.1:1 > 10.0.0.2:3", 0, 0, false},
    };
    size_t i;

    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct verdict_case *c = &cases[i];
        struct hg_packet *first, *then;
        const uint32_t verdict = 7;
        struct hg_flow *flow;
        struct rig r;

        rig_init(&r, 1, 0);
        first = packet(&r, c->first);
        then = packet(&r, c->then);
        first->in_port = c->first_port;
        then->in_port = c->then_port;
        hg_flow_remember(r.judge, first, &verdict);
        CHECK(!hg_flow_verdict(r.judge, first)); /* No flow is known. */
        flow = hg_flow_create(r.keeper[0], first);
        REQUIRE(flow);
        hg_flow_keep(r.keeper[0], flow, r.now + HG_SEC);
        CHECK(!hg_flow_verdict(r.judge, first));
        hg_flow_remember(r.judge, first, &verdict);
        CHECK(!hg_flow_verdict(r.judge, then));
        hg_flow_find(r.keeper[0], then);
        if (!CHECK_EQ(remembers(r.judge, then, 7), c->remembered))
            FAIL("%s", c->name);
        hg_packet_free(first);
        hg_packet_free(then);
        rig_uninit(&r);
    }
}

TEST(only_elements_of_several_inputs_look_at_where_a_packet_came_in)
{
    const uint32_t seven = 7, eight = 8, nine = 9;
    struct hg_packet *go, *back;
    struct hg_flow *flow;
    struct rig r;

    rig_init(&r, 1, 0);
    go = packet(&r, GO);
    flow = hg_flow_create(r.keeper[0], go);
    REQUIRE(flow);
    hg_flow_keep(r.keeper[0], flow, r.now + HG_SEC);
    back = packet(&r, BACK);
    hg_flow_find(r.keeper[0], back);
    hg_flow_remember(r.judge, go, &seven);
    hg_flow_remember(r.judge, back, &eight);
    go->in_port = 3; /* Of an element that was there before. */
    hg_flow_remember(r.narrow, go, &nine);
    CHECK(remembers(r.narrow, go, 9));
    CHECK(!hg_flow_verdict(r.judge, go));
    go->in_port = 0;
    CHECK(remembers(r.narrow, go, 9));
    CHECK(remembers(r.judge, go, 7));
    CHECK(remembers(r.judge, back, 8));
    hg_packet_free(go);
    hg_packet_free(back);
    rig_uninit(&r);
}

/* GO, translated by the keeper, which sees 'source' in place of port 1. */
static struct hg_packet *
translated(struct rig *r, struct hg_flow *flow, uint16_t source)
{
    struct hg_packet *p = packet(r, GO);
    uint32_t before;

    CHECK(hg_flow_find(r->keeper[0], p) == flow);
    before = p->flow_generation;
    hg_packet_set_sport(p, source);
    CHECK(!hg_flow_verdict(r->judge, p));
    hg_flow_translated(p, before);
    return p;
}

static void
translate(struct rig *r, struct hg_flow *flow, uint16_t source)
{
    const struct hg_flow_key key = {.src = hg_addr_from_ip4(0x0a000001),
                                    .dst = hg_addr_from_ip4(0x0a000002),
                                    .sport = source,
                                    .dport = 2,
                                    .protocol = HG_PROTO_UDP};

    REQUIRE(hg_flow_add_key(r->keeper[0], flow, &key, r->now));
}

TEST(a_translated_packet_has_verdicts_of_its_own)
{
    const uint32_t seven = 7, eight = 8, nine = 9;
    struct hg_packet *go, *out, *late, *back;
    struct hg_flow *flow;
    uint32_t before;
    struct rig r;

    rig_init(&r, 1, 0);
    go = packet(&r, GO);
    flow = hg_flow_create(r.keeper[0], go);
    REQUIRE(flow);
    hg_flow_keep(r.keeper[0], flow, r.now + HG_SEC);
    translate(&r, flow, 99);
    out = translated(&r, flow, 99);
    hg_flow_remember(r.judge, go, &seven);
    CHECK(remembers(r.judge, go, 7));
    CHECK(!hg_flow_verdict(r.judge, out));
    hg_flow_remember(r.judge, out, &eight);
    CHECK(remembers(r.judge, out, 8));
    CHECK(!hg_flow_verdict(r.judge, go)); /* There is room for one. */

    back = packet(&r, "udp 10.0.0.2:2 > 10.0.0.1:99");
    CHECK(hg_flow_find(r.keeper[0], back) == flow);
    CHECK(!hg_flow_verdict(r.judge, back));
    hg_flow_remember(r.judge, back, &nine);
    CHECK(remembers(r.judge, back, 9));
    before = back->flow_generation;
    hg_packet_set_dport(back, 1);
    hg_flow_translated(back, before);
    CHECK(!hg_flow_verdict(r.judge, back));
    CHECK(remembers(r.judge, out, 8));

    /* Another second key, while packets of the first are on their way. */
    translate(&r, flow, 100);
    late = translated(&r, flow, 100);
    CHECK(!hg_flow_verdict(r.judge, out));
    hg_flow_remember(r.judge, out, &eight);
    CHECK(!hg_flow_verdict(r.judge, late));
    hg_packet_free(go);
    hg_packet_free(out);
    hg_packet_free(late);
    hg_packet_free(back);
    rig_uninit(&r);
}

/* Whoever translates a flow to what it is says so like any other. */
TEST(what_was_said_of_a_flow_translated_to_itself_is_not_of_its_next_key)
{
    const uint32_t seven = 7;
    struct hg_packet *go, *same, *other;
    struct hg_flow *flow;
    struct rig r;

    rig_init(&r, 1, 0);
    go = packet(&r, GO);
    flow = hg_flow_create(r.keeper[0], go);
    REQUIRE(flow);
    hg_flow_keep(r.keeper[0], flow, r.now + HG_SEC);
    translate(&r, flow, 1);
    same = translated(&r, flow, 1);
    hg_flow_remember(r.judge, same, &seven);
    CHECK(remembers(r.judge, same, 7));
    translate(&r, flow, 99);
    other = translated(&r, flow, 99);
    CHECK(!hg_flow_verdict(r.judge, other));
    hg_packet_free(go);
    hg_packet_free(same);
    hg_packet_free(other);
    rig_uninit(&r);
}

TEST(a_remembered_verdict_ends_with_tables_rewriting_and_flow)
{
    const uint32_t verdict = 7;
    struct hg_packet *p;
    struct hg_flow *flow;
    struct hg_addr addr = {4, {10, 0, 0, 9}};
    struct rig r;

    rig_init(&r, 1, 1);
    p = packet(&r, "udp 10.0.0.1:1 > 10.0.0.2:2");
    flow = hg_flow_create(r.keeper[0], p);
    REQUIRE(flow);
    hg_flow_keep(r.keeper[0], flow, r.now + HG_SEC);
    hg_flow_remember(r.judge, p, &verdict);
    CHECK(remembers(r.judge, p, 7));
    hg_tables_changed(r.judge);
    CHECK(!hg_flow_verdict(r.judge, p));
    hg_flow_remember(r.judge, p, &verdict);
    CHECK(remembers(r.judge, p, 7));
    hg_packet_set_dst(p, &addr);
    CHECK(!hg_flow_verdict(r.judge, p));

    /* The record is used again, by another flow. */
    hg_packet_forget_flow(p);
    r.now = p->time_ns += 2 * HG_SEC;
    CHECK(hg_flow_create(r.keeper[0], p) == flow);
    CHECK(!hg_flow_verdict(r.judge, p));
    hg_packet_free(p);
    rig_uninit(&r);
}

/* ---- Keys of packets -------------------------------------------------- */

struct key_case {
    const char *packet;
    const char *same; /* A packet of the same direction of the same flow. */
};

TEST(an_icmp_error_leads_to_the_flow_it_quotes)
{
    static const struct key_case cases[] = {
        {"icmp 10.9.0.1 > 10.0.0.5 unreachable 1 "
         "(udp 10.0.0.5:1 > 10.0.0.9:2 len 4)",
         "udp 10.0.0.5:1 > 10.0.0.9:2"},
        {"icmp 10.9.0.1 > 10.0.0.5 unreachable 1 "
         "(tcp 10.0.0.5:1 > 10.0.0.9:2)",
         "tcp 10.0.0.5:1 > 10.0.0.9:2 S"},
        {"icmp 10.9.0.1 > 10.0.0.5 time-exceeded 0 "
         "(icmp 10.0.0.5 > 10.0.0.9 echo 7 seq 1)",
         "icmp 10.0.0.5 > 10.0.0.9 echo 7 seq 9"},
        {"icmp fd00::9 > fd00::5 unreachable 1 "
         "(udp [fd00::5]:1 > [fd00::7]:2 len 4)",
         "udp [fd00::5]:1 > [fd00::7]:2"},
    };
    struct rig r;
    size_t i;

    rig_init(&r, 1, 0);
    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct hg_packet *p = packet(&r, cases[i].packet);
        struct hg_packet *q = packet(&r, cases[i].same);
        struct hg_flow_key quoted, key;

        p->vpc = q->vpc = 3;
        CHECK(hg_flow_key_quoted(p, &quoted));
        CHECK(hg_flow_key_of(q, &key));
        if (!CHECK_EQ(compare(&quoted, &key), 1))
            FAIL("%s", cases[i].packet);
        hg_packet_free(p);
        hg_packet_free(q);
    }
    rig_uninit(&r);
}

TEST(what_is_no_error_or_quotes_too_little_leads_nowhere)
{
    static const char *const cases[] = {
        "udp 10.0.0.5:1 > 10.0.0.9:2 len 40",
        "icmp 10.0.0.5 > 10.0.0.9 echo 7 seq 1 len 56",
        "arp who-has 10.0.0.1 tell 10.0.0.2",
        ("icmp 10.9.0.1 > 10.0.0.5 unreachable 1 "
         "(ip 10.0.0.5 > 10.0.0.9 proto 17 len 16 frag 1480 id 7)"),
    };
    struct rig r;
    struct hg_packet *p;
    struct hg_flow_key key;
    uint32_t len;
    size_t i;

    rig_init(&r, 1, 0);
    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        p = packet(&r, cases[i]);
        if (!CHECK(!hg_flow_key_quoted(p, &key)))
            FAIL("%s", cases[i]);
        hg_packet_free(p);
    }
    /* Every length: what is cut before the ports end is not used. */
    p = packet(&r, "icmp 10.9.0.1 > 10.0.0.5 unreachable 1 "
                   "(udp 10.0.0.5:1 > 10.0.0.9:2 len 0)");
    for (len = p->len; len-- > 0;) {
        hg_packet_trim(p, len);
        hg_packet_parse(p);
        CHECK(!hg_flow_key_quoted(p, &key));
    }
    hg_packet_free(p);
    rig_uninit(&r);
}
