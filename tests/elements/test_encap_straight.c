/* test_encap_straight.c: Encap has a straight way for most packets and one
 * for all of them; nobody can tell from the bytes which one a packet took. */
#include <string.h>

#include <headgate/headers.h>
#include <headgate/tunnel.h>

#include "harness.h"
#include "notation.h"

/* ---- One packet both ways --------------------------------------------- */

enum { META = 0x5a };

enum variant { PLAIN, NEEDS_CHECKSUM, NO_HEADROOM, N_VARIANTS };

/* A packet that must look the same outside as the plain one, and cannot go
 * straight: checksums of it are computed anew, or it has to be moved. */
static struct hg_packet *
make(struct bench *b, const char *text, enum variant variant)
{
    struct hg_error error = {""};
    struct hg_packet *p = notation_parse(bench_pool(b), text, &error);

    if (!p) {
        FAIL("'%s': %s", text, error.text);
        test_end();
    }
    memset(p->meta, META, sizeof p->meta); /* Lies before the headroom. */
    if (variant == NEEDS_CHECKSUM)
        p->flags |= HG_PACKET_NEEDS_CSUM;
    if (variant == NO_HEADROOM) {
        memmove(p + 1, p->data, p->len);
        p->data = (uint8_t *)(p + 1);
        CHECK_EQ(hg_packet_headroom(p), 0);
    }
    return p;
}

static void
check_same(const struct hg_packet *p, const struct hg_packet *expected)
{
    const uint32_t ours = HG_PACKET_HELD | HG_PACKET_NEEDS_CSUM;

    CHECK_EQ(p->len, expected->len);
    CHECK_EQ(p->wire_len, expected->wire_len);
    CHECK_MEM(p->data, expected->data, p->len);
    CHECK_EQ(p->flags | ours, expected->flags | ours);
    CHECK_EQ(p->ether_type, expected->ether_type);
    CHECK_EQ(p->l3_offset, expected->l3_offset);
    CHECK_EQ(p->l4_offset, expected->l4_offset);
    CHECK_EQ(p->protocol, expected->protocol);
}

/* What is said of the headers is what the parser finds. */
static void
check_parsed(const struct hg_packet *p)
{
    struct hg_packet *again = hg_packet_copy(p);

    hg_packet_parse(again);
    check_same(p, again);
    hg_packet_free(again);
}

static void
check_packet(struct bench *b, const char *text)
{
    struct hg_packet *plain;
    enum variant variant;
    bool fits;

    bench_push_packet(b, "in", make(b, text, PLAIN), 0);
    fits = bench_waiting(b, "out") > 0;
    plain = hg_packet_copy(bench_take(b, fits ? "out" : "too-big"));
    for (variant = NEEDS_CHECKSUM; variant < N_VARIANTS; variant++) {
        struct hg_packet *p;

        bench_push_packet(b, "in", make(b, text, variant), 0);
        p = bench_take(b, fits ? "out" : "too-big");
        if (!p)
            break;
        check_same(p, plain);
        CHECK_EQ(p->meta[sizeof p->meta - 1], META);
    }
    if (fits)
        check_parsed(plain);
    hg_packet_free(plain);
}

TEST(which_way_a_packet_takes_shows_in_no_byte)
{
    static const char *const packets[] = {
        "udp 10.0.0.5:40000 > 203.0.113.9:53 len 12",
        "udp 10.0.0.5:40000 > 203.0.113.9:53 len 13 tos 187 ttl 3",
        "tcp 10.0.0.5:40000 > 203.0.113.9:443 S",
        "vlan 5 udp 10.0.0.5:1 > 203.0.113.9:2 len 1 tos 2",
        "udp [2001:db8::5]:40000 > [2001:db8:1::9]:53 len 12 tos 186",
        "arp who-has 10.0.0.1 tell 10.0.0.2",
        "udp 10.0.0.5:40000 > 203.0.113.9:53 len 60",
    };
    /* Options of which combinations are tried; "" is not given. */
    static const char *const axes[][3] = {
        {"format=geneve", "format=vxlan"},
        {"", "mtu=110"},
        {"", "vni=16777215"},
        {"", "ttl=255", "ttl=0"},
        {"", "ecn=compatibility"},
        {"", "dscp=10"},
        {"", "udp-checksum=zero", "udp-checksum=compute"},
        {"", "src-mac=02:00:00:00:00:0a"},
        {"", "dst-mac=02:00:00:00:00:0b"},
        {"", "source-ports=7", "source-ports=0-65535"},
    };
    enum { N_AXES = sizeof axes / sizeof *axes };
    enum { N = 128 * 27, STEP = 7 }; /* A part of all, by no common factor. */
    unsigned combination, axis, i;

    for (combination = 0; combination < N; combination += STEP) {
        const char *option[N_AXES + 3] = {"local=192.0.2.1 2001:db8::1",
                                          "remote=192.0.2.2"};
        unsigned n_given = 2, rest = combination;
        struct bench *b;

        for (axis = 0; axis < N_AXES; axis++) {
            unsigned n = axes[axis][2] ? 3 : 2;

            if (*axes[axis][rest % n])
                option[n_given++] = axes[axis][rest % n];
            rest /= n;
        }
        CHECK_EQ(rest, 0);
        b = bench_create_(TEST_HERE, "Encap", option);
        for (i = 0; i < sizeof packets / sizeof *packets; i++)
            check_packet(b, packets[i]);
        bench_destroy(b);
    }
}

/* ---- Batches ---------------------------------------------------------- */

/* Packets into an element as one batch. */
static void
inject(struct bench *b, const char *element, struct hg_packet **packets,
       unsigned n)
{
    hg_graph_inject(bench_graph(b), hg_graph_find(bench_graph(b), element), 0,
                    packets, n);
    hg_graph_dispatch(bench_graph(b));
}

/* Such packets of these VPCs, in one batch. */
static void
push_batch(struct bench *b, const char *text, const uint32_t *vpc, unsigned n)
{
    struct hg_packet *packets[HG_BATCH_MAX];
    unsigned i;

    for (i = 0; i < n; i++) {
        packets[i] = make(b, text, PLAIN);
        packets[i]->time_ns = BENCH_START;
        packets[i]->vpc = vpc[i];
    }
    bench_advance(b, 0);
    inject(b, "in", packets, n);
}

#define ENCAP                                                                 \
    "Encap e { format = geneve  local = 192.0.2.1  remote = 192.0.2.2 }\n"

TEST(each_packet_of_a_batch_has_the_network_of_its_own_vpc)
{
    static const uint32_t vpc[] = {5, 5, 9, 1 << 24, 9, 5, 0, 0, 1 << 24, 7};
    enum { N = sizeof vpc / sizeof *vpc };
    struct bench *b =
        bench_load("TestSource in {} TestSink out {}\n" ENCAP
                   "Counter dut {}\nconnect(\"in -> e -> dut -> out\")\n");
    unsigned i;

    push_batch(b, "udp 10.0.0.5:1 > 10.0.0.6:2", vpc, N);
    CHECK_EQ(bench_counter(b, "packets"), N - 2); /* More than 24 bits. */
    for (i = 0; i < N; i++)
        if (vpc[i] < 1 << 24)
            CHECK_EQ(hg_load32(bench_take(b, "out")->data + 46), vpc[i] << 8);
    bench_destroy(b);
}

TEST(each_packet_of_a_batch_has_the_vpc_of_its_own_network)
{
    static const uint32_t vpc[] = {5, 5, 9, 6, 9, 5, 0, 0, 6, 6, 7};
    enum { N = sizeof vpc / sizeof *vpc };
    struct bench *b =
        bench_load("TestSource in {} TestSink out {}\n" ENCAP
                   "Decap dut { format = geneve\n"
                   "    network 5 { vpc = 50 }\n    network 7 { vpc = 70 }\n"
                   "    network 9 { vpc = 90 }\n    network 0 { vpc = 3 } }\n"
                   "connect(\"in -> e -> dut -> out\")\n");
    unsigned i;

    push_batch(b, "udp 10.0.0.5:1 > 10.0.0.6:2", vpc, N);
    CHECK_EQ(bench_counter(b, "unknown_network"), 3);
    for (i = 0; i < N; i++)
        if (vpc[i] != 6)
            CHECK_EQ(bench_take(b, "out")->vpc, vpc[i] ? vpc[i] * 10 : 3);
    bench_destroy(b);
}

/* Inside all of them are ECT(0): RFC 6040 4.2. */
TEST(each_packet_of_a_batch_has_its_own_mark)
{
    static const uint8_t outer[] = {0, 2, 3, 0, 1, 3, 2};
    static const uint8_t inner[] = {2, 2, 3, 2, 1, 3, 2};
    static const uint32_t vpc[sizeof outer];
    struct hg_packet *packets[sizeof outer];
    struct bench *b =
        bench_load("TestSource in {} TestSource back {}\n"
                   "TestSink out {} TestSink end {}\n" ENCAP
                   "Decap dut { format = geneve }\n"
                   "connect(\"in -> e -> out; back -> dut -> end\")\n");
    unsigned i;

    push_batch(b, "udp 10.0.0.5:1 > 10.0.0.6:2 tos 2", vpc, sizeof outer);
    for (i = 0; i < sizeof outer; i++) {
        packets[i] = hg_packet_copy(bench_take(b, "out"));
        hg_packet_set_tos(packets[i], outer[i]);
    }
    inject(b, "back", packets, sizeof outer);
    for (i = 0; i < sizeof outer; i++)
        CHECK_EQ(hg_packet_tos(bench_take(b, "end")), inner[i]);
    bench_destroy(b);
}
