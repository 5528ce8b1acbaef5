/* test_tunnel_straight.c: hg_tunnel_strip() takes the headers off plain
 * packets in one go; it does what hg_tunnel_parse() and hg_tunnel_pull() do.
 */
#include <headgate/tunnel.h>

#include "notation.h"
#include "test.h"
#include "tunnel_wire.h"

#define IP4 .ttl = 64, .src = {4, {192, 0, 2, 2}}, .dst = {4, {192, 0, 2, 1}}
#define IP6 .ttl = 64, .src = {6, {[15] = 2}}, .dst = {6, {[15] = 1}}
#define ETHERNET .is_ethernet = true, .network = 42

static const struct hg_tunnel_header headers[] = {
    {HG_TUNNEL_GENEVE, IP4, ETHERNET, .dport = HG_PORT_GENEVE},
    {HG_TUNNEL_GENEVE, IP4, .network = 42, .dport = HG_PORT_GENEVE},
    {HG_TUNNEL_GENEVE, IP4, ETHERNET, .dport = HG_PORT_GENEVE,
     .has_checksum = true},
    {HG_TUNNEL_GENEVE, IP4, ETHERNET, .dport = HG_PORT_GENEVE, .has_eni = true,
     .eni_class = HG_GENEVE_ENI_CLASS},
    {HG_TUNNEL_GENEVE, IP6, ETHERNET, .dport = HG_PORT_GENEVE},
    {HG_TUNNEL_VXLAN, IP4, ETHERNET, .dport = HG_PORT_VXLAN},
    {HG_TUNNEL_GRE, IP4, ETHERNET, .has_key = true},
};

static struct hg_packet *
make(struct hg_pool *pool, const struct hg_tunnel_header *header)
{
    struct hg_error error;
    struct hg_packet *p = notation_parse(
        pool, "udp 10.0.0.5:40000 > 203.0.113.9:53 len 12", &error);

    REQUIRE(p && hg_tunnel_push(p, header));
    return p;
}

static unsigned n_stripped;

/* hg_tunnel_strip() must do what the two calls do, or nothing. */
static void
strip_does_the_same(struct hg_packet *p, const struct hg_tunnel_rules *rules,
                    const struct hg_tunnel_view *view)
{
    struct hg_packet *a = hg_packet_copy(p), *b = hg_packet_copy(p);
    struct hg_tunnel_plain plain;

    hg_tunnel_strip(rules, 1, &a, &plain);
    if (plain.is_plain) {
        n_stripped++;
        CHECK(view != NULL);
        if (view)
            hg_tunnel_pull(b, view);
        CHECK_EQ(plain.network, view ? view->network : 0);
        CHECK_EQ(plain.src, view ? hg_addr_ip4(&view->src) : 0);
        CHECK_EQ(plain.tos, view ? view->tos : 0);
    }
    CHECK_EQ(a->len, b->len);
    CHECK_EQ(a->wire_len, b->wire_len);
    CHECK_EQ(hg_packet_headroom(a), hg_packet_headroom(b));
    CHECK_EQ(a->flags, b->flags);
    CHECK_EQ(a->ether_type, b->ether_type);
    CHECK_EQ(a->l3_offset, b->l3_offset);
    CHECK_EQ(a->l4_offset, b->l4_offset);
    CHECK_EQ(a->protocol, b->protocol);
    CHECK_MEM(a->data, b->data, a->len);
    hg_packet_free(a);
    hg_packet_free(b);
}

/* True if the packet is one of the tunnel. */
static bool
both_find_the_same(struct hg_packet *p, const struct hg_tunnel_rules *rules)
{
    struct hg_tunnel_view view;
    bool is_ok;

    hg_packet_parse(p);
    is_ok = hg_tunnel_parse(p, rules, &view) == HG_TUNNEL_OK;
    strip_does_the_same(p, rules, is_ok ? &view : NULL);
    return is_ok;
}

/* The outer IPv4 header after a byte of it was changed. */
static void
set_header_checksum(uint8_t *ip)
{
    hg_store16(ip + 10, 0);
    hg_store16(ip + 10, hg_checksum_fold(hg_checksum_add(0, ip, 20)));
}

/* Every value of every byte of the headers, with an IP checksum that takes
 * part and one that does not. */
static unsigned
change_each_byte(struct hg_packet *p, const struct hg_tunnel_rules *rules)
{
    enum { LEN = 50, IP = 14, IP_END = 34 };
    uint8_t before[LEN];
    unsigned at, value, n_ok = 0;

    memcpy(before, p->data, sizeof before);
    for (at = 0; at < LEN; at++)
        for (value = 0; value < 256; value++) {
            p->data[at] = (uint8_t)value;
            n_ok += both_find_the_same(p, rules);
            if (at >= IP && at < IP_END) {
                set_header_checksum(p->data + IP);
                n_ok += both_find_the_same(p, rules);
            }
            memcpy(p->data, before, sizeof before);
        }
    return n_ok;
}

static unsigned
cut_everywhere(struct hg_packet *p, const struct hg_tunnel_rules *rules)
{
    uint32_t whole = p->len;
    unsigned n_ok = 0;

    for (p->len = 0; p->len < whole; p->len++)
        n_ok += both_find_the_same(p, rules);
    return n_ok + both_find_the_same(p, rules);
}

TEST(each_packet_of_a_batch_is_stripped_as_if_it_were_alone)
{
    const struct hg_tunnel_rules rules = {.format = HG_TUNNEL_GENEVE,
                                          .port = HG_PORT_GENEVE};
    enum { N = sizeof headers / sizeof *headers };
    struct hg_pool *pool = hg_pool_create(0);
    struct hg_packet *p[2 * N], *alone;
    struct hg_tunnel_plain plain[2 * N], expected;
    unsigned i, n_plain = 0;

    for (i = 0; i < 2 * N; i++)
        p[i] = make(pool, &headers[i % N]);
    hg_tunnel_strip(&rules, 2 * N, p, plain);
    for (i = 0; i < 2 * N; i++) {
        alone = make(pool, &headers[i % N]);
        hg_tunnel_strip(&rules, 1, &alone, &expected);
        CHECK_EQ(plain[i].is_plain, expected.is_plain);
        CHECK_EQ(p[i]->len, alone->len);
        CHECK_EQ(p[i]->flags, alone->flags);
        CHECK_EQ(p[i]->l4_offset, alone->l4_offset);
        CHECK_MEM(p[i]->data, alone->data, alone->len);
        n_plain += plain[i].is_plain;
        hg_packet_free(alone);
        hg_packet_free(p[i]);
    }
    CHECK_EQ(n_plain, 2);
    hg_pool_destroy(pool);
}

TEST(the_straight_way_finds_what_the_other_one_does)
{
    enum { PLAIN, OURS, OTHERS, OTHER_VERSION, GWLB, PADDING, N_KINDS };
    static struct hg_addr ours[] = {{4, {192, 0, 2, 1}}};
    static struct hg_addr others[] = {{6, {0}}, {4, {192, 0, 2, 2}}};
    static struct hg_addr other_version[] = {{6, {192, 0, 2, 1}}};
    static const struct hg_addr_list lists[N_KINDS] = {
        [OURS] = {1, ours},
        [OTHERS] = {2, others},
        [OTHER_VERSION] = {1, other_version}};
    struct hg_pool *pool = hg_pool_create(0);
    unsigned i, kind, n_ok = 0;

    for (i = 0; i < sizeof headers / sizeof *headers; i++)
        for (kind = 0; kind < N_KINDS; kind++) {
            const struct hg_tunnel_rules rules = {.format = headers[i].format,
                                                  .port = headers[i].dport,
                                                  .eni_class =
                                                      HG_GENEVE_ENI_CLASS,
                                                  .local = &lists[kind],
                                                  .gwlb = kind == GWLB};
            struct hg_packet *p = make(pool, &headers[i]);

            if (kind == PADDING)
                memset(hg_packet_put(p, 7), 0xee, 7);
            n_ok += change_each_byte(p, &rules);
            n_ok += cut_everywhere(p, &rules);
            hg_packet_free(p);
        }
    CHECK(n_ok > 10000);
    CHECK(n_stripped > 1000);
    hg_pool_destroy(pool);
}
