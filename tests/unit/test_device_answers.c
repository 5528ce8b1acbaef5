/* Traffic that is made (runtime/device_gen.c) and answered
 * (runtime/device_echo.c). */
#include "../../runtime/device.h"

#include <stdio.h>
#include <stdlib.h>

#include "notation.h"
#include "test.h"

#define N(array) (sizeof(array) / sizeof *(array))

enum { MAX_PACKETS = 4000 };

static const struct device_options plain = {.seed = 1};
static struct hg_packet *packets[MAX_PACKETS];

static struct hg_device *
open_device(const char *spec, const struct device_options *options)
{
    struct hg_error error = {""};
    struct hg_device *dev = device_open(spec, options, &error);

    if (!dev)
        FAIL("%s: %s", spec, error.text);
    REQUIRE(dev != NULL);
    return dev;
}

/* All packets of a gen: device, parsed, in packets[]. */
static unsigned
generate(const char *spec, struct hg_pool *pool, unsigned batch)
{
    struct hg_device *dev = open_device(spec, &plain);
    unsigned n = 0, k, i;

    while (dev->ops->next_ns(dev) != HG_NEVER && n + batch <= MAX_PACKETS) {
        k = dev->ops->receive(dev, pool, packets + n, batch, HG_NEVER - 1);
        for (i = n; i < n + k; i++)
            hg_packet_parse(packets[i]);
        n += k;
    }
    CHECK_EQ(dev->rx_packets, n);
    CHECK(device_close(dev, NULL));
    return n;
}

/* ---- gen: --------------------------------------------------------------- */

TEST(every_generated_packet_is_valid)
{
    static const char *const specs[] = {
        "gen:proto=mix,flows=50,size=imix",
        "gen:proto=mix,flows=50,size=65",
        "gen:proto=mix,flows=50,size=9216,count=100",
        "gen:proto=mix,flows=50,size=imix,ipv6=yes",
        "gen:proto=mix,flows=50,size=65,ipv6=yes",
        "gen:proto=mix,flows=50,size=9216,ipv6=yes,count=100",
        "gen:proto=udp,flows=900,src=0.0.0.0/0,dst=255.0.0.0/8",
        "gen:proto=udp,flows=900,src=fd00::/16,dst=::/0,sport=0-65535",
    };
    struct hg_pool *pool = hg_pool_create(0);
    size_t i;

    for (i = 0; i < N(specs); i++) {
        unsigned n = generate(specs[i], pool, 50), k;
        char text[200];

        for (k = 0; k < n; k++) {
            hg_packet_format(packets[k], text, sizeof text);
            if (!(packets[k]->flags & HG_PACKET_L4) || strstr(text, "bad") ||
                strstr(text, "cut"))
                FAIL("%s: packet %u: %s", specs[i], k, text);
        }
        hg_packet_free_many(packets, n);
    }
    hg_pool_destroy(pool);
}

TEST(sizes_are_those_of_frames)
{
    struct hg_pool *pool = hg_pool_create(0);
    unsigned n = generate("gen:size=imix,count=3600", pool, 100), i;
    unsigned seen[3] = {0};

    for (i = 0; i < n; i++) {
        seen[0] += packets[i]->len == 64;
        seen[1] += packets[i]->len == 594;
        seen[2] += packets[i]->len == 1514;
        CHECK_EQ(packets[i]->wire_len, packets[i]->len);
    }
    CHECK_EQ(seen[0] + seen[1] + seen[2], 3600);
    CHECK(seen[0] > 2000 && seen[0] < 2200); /* 2100 */
    CHECK(seen[1] > 1100 && seen[1] < 1300); /* 1200 */
    hg_packet_free_many(packets, n);
    n = generate("gen:size=1000,count=5", pool, 5);
    CHECK_EQ(n, 5);
    CHECK_EQ(packets[4]->len, 1000);
    hg_packet_free_many(packets, n);
    hg_pool_destroy(pool);
}

struct ends {
    struct hg_addr src, dst;
    uint16_t sport, dport;
};

static int
compare_ends(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct ends));
}

TEST(flows_are_distinct_and_all_of_them_come)
{
    static const char *const specs[] = {
        "gen:flows=1000,mode=roundrobin",
        "gen:flows=1000,mode=roundrobin,src=10.0.0.0/29,sport=1-2,proto=tcp",
        "gen:flows=1000,mode=roundrobin,src=10.0.0.1,sport=9,dport=1-100",
        "gen:flows=1000,mode=roundrobin,ipv6=yes,sport=9",
    };
    static struct ends ends[1000];
    struct hg_pool *pool = hg_pool_create(0);
    size_t i, k;

    for (i = 0; i < N(specs); i++) {
        REQUIRE(generate(specs[i], pool, 250) == 1000);
        memset(ends, 0, sizeof ends);
        for (k = 0; k < 1000; k++) {
            ends[k].src = hg_packet_src(packets[k]);
            ends[k].dst = hg_packet_dst(packets[k]);
            ends[k].sport = hg_packet_sport(packets[k]);
            ends[k].dport = hg_packet_dport(packets[k]);
        }
        qsort(ends, 1000, sizeof *ends, compare_ends);
        for (k = 1; k < 1000; k++)
            if (memcmp(&ends[k - 1], &ends[k], sizeof *ends) == 0)
                break;
        if (k < 1000)
            FAIL("%s: a flow comes twice", specs[i]);
        hg_packet_free_many(packets, 1000);
    }
    hg_pool_destroy(pool);
}

TEST(tcp_flows_begin_with_a_syn_and_go_on_in_order)
{
    struct hg_pool *pool = hg_pool_create(0);
    unsigned n = generate("gen:proto=tcp,flows=8,size=imix", pool, 100), i, k;
    unsigned followed = 0;

    for (i = 0; i < n; i++) {
        const struct hg_tcp *tcp = hg_packet_tcp(packets[i]), *last = NULL;
        uint32_t payload = 0;

        for (k = i; k-- > 0 && !last;) {
            const struct hg_tcp *other = hg_packet_tcp(packets[k]);

            /* Eight flows differ in their source address. */
            if (memcmp(hg_packet_l3(packets[k]) + 12,
                       hg_packet_l3(packets[i]) + 12, 4) != 0)
                continue;
            last = other;
            payload = hg_packet_l4_len(packets[k]) - hg_tcp_header_len(other);
        }
        if (!last) {
            CHECK_EQ(tcp->flags, HG_TCP_SYN);
            CHECK_EQ(hg_get32(tcp->ack), 0);
            continue;
        }
        followed++;
        CHECK_EQ(tcp->flags, HG_TCP_ACK | HG_TCP_PSH);
        CHECK_EQ(hg_get32(tcp->ack), 1);
        CHECK_EQ(hg_get32(tcp->seq), hg_get32(last->seq) + payload +
                                         (last->flags & HG_TCP_SYN ? 1u : 0u));
    }
    CHECK_EQ(followed, 992);
    hg_packet_free_many(packets, n);
    hg_pool_destroy(pool);
}

TEST(the_rate_is_exact)
{
    static const struct {
        const char *spec;
        uint64_t last_ns; /* Of packet 3000 after the first. */
    } rows[] = {
        {"gen:count=3001,rate=1Mpps", 3000 * HG_USEC},
        {"gen:count=3001,rate=3pps", 1000 * HG_SEC},
        {"gen:count=3001,rate=7Mpps", 428571},
        {"gen:count=3001,size=125,rate=1Mbps", 3 * HG_SEC},
        {"gen:count=3001,size=125,rate=3Gbps", HG_MSEC},
    };
    struct hg_pool *pool = hg_pool_create(0);
    size_t i;

    for (i = 0; i < N(rows); i++) {
        unsigned n = generate(rows[i].spec, pool, 1);

        REQUIRE(n == 3001);
        CHECK_EQ(packets[0]->time_ns, 1700000000 * HG_SEC);
        CHECK_EQ(packets[3000]->time_ns - packets[0]->time_ns,
                 rows[i].last_ns);
        hg_packet_free_many(packets, n);
    }
    hg_pool_destroy(pool);
}

static void
compare(const char *spec, const char *other, unsigned batch, bool is_same)
{
    struct hg_pool *pool = hg_pool_create(0);
    struct hg_packet *first[200];
    unsigned n = generate(spec, pool, 50), i, different = 0;

    REQUIRE(n == 200);
    memcpy(first, packets, sizeof first);
    n = generate(other, pool, batch);
    REQUIRE(n == 200);
    for (i = 0; i < n; i++)
        different +=
            first[i]->time_ns != packets[i]->time_ns ||
            first[i]->len != packets[i]->len ||
            memcmp(first[i]->data, packets[i]->data, packets[i]->len) != 0;
    if (is_same ? different != 0 : different == 0)
        FAIL("%s and %s: %u different", spec, other, different);
    hg_packet_free_many(first, n);
    hg_packet_free_many(packets, n);
    hg_pool_destroy(pool);
}

TEST(the_seed_decides_and_nothing_else)
{
    static const char spec[] = "gen:count=200,flows=90,proto=mix,size=imix";
    static const char same[] =
        "gen:seed=1,size=imix,proto=udp:3+tcp:6+icmp:1,flows=90,count=200";
    static const char other[] =
        "gen:count=200,flows=90,proto=mix,size=imix,seed=2";

    compare(spec, spec, 1, true);
    compare(spec, same, 7, true); /* The run's seed is 1. */
    compare(spec, other, 50, false);
}

TEST(what_generators_and_null_are_sent_is_counted)
{
    static const char *const specs[] = {"gen:", "null:"};
    struct hg_pool *pool = hg_pool_create(0);
    size_t i;

    for (i = 0; i < N(specs); i++) {
        struct hg_device *dev = open_device(specs[i], &plain);
        struct hg_packet *p[2] = {hg_packet_alloc(pool, 60),
                                  hg_packet_alloc(pool, 100)};

        CHECK_EQ(dev->ops->send(dev, p, 2), 2);
        CHECK_EQ(dev->tx_packets, 2);
        CHECK_EQ(dev->tx_bytes, 160);
        CHECK(device_close(dev, NULL));
    }
    CHECK_EQ(hg_pool_in_use(pool), 0);
    hg_pool_destroy(pool);
}

/* ---- echo: -------------------------------------------------------------- */

/* clang-format off */
static const struct {
    const char *sent;
    const char *answer; /* NULL: none. */
} rows[] = {
    {"tcp 10.0.0.5:40000 > 203.0.113.9:443 S seq 1000 mss 1460",
     "tcp 203.0.113.9:443 > 10.0.0.5:40000 S. len 0 ttl 64 seq 0 ack 1001"},
    {"tcp 10.0.0.5:40000 > 203.0.113.9:443 P. len 10 seq 1001 ack 1",
     "tcp 203.0.113.9:443 > 10.0.0.5:40000 . len 0 ttl 64 seq 1 ack 1011"},
    {"tcp 10.0.0.5:40000 > 203.0.113.9:443 F. seq 4294967295 ack 1",
     "tcp 203.0.113.9:443 > 10.0.0.5:40000 F. len 0 ttl 64 seq 1 ack 0"},
    {"tcp 10.0.0.5:40000 > 203.0.113.9:443 F. len 5 seq 7 ack 1",
     "tcp 203.0.113.9:443 > 10.0.0.5:40000 F. len 0 ttl 64 seq 1 ack 13"},
    {"tcp 10.0.0.5:40000 > 203.0.113.9:443 S. seq 7 ack 100",
     "tcp 203.0.113.9:443 > 10.0.0.5:40000 . len 0 ttl 64 seq 100 ack 8"},
    {"tcp 10.0.0.5:40000 > 203.0.113.9:443 . seq 7 ack 100", NULL},
    {"tcp 10.0.0.5:40000 > 203.0.113.9:443 R seq 7 ack 0", NULL},
    {"tcp 10.0.0.5:40000 > 203.0.113.9:443 R. len 3 seq 7 ack 0", NULL},
    {"tcp [fd00::5]:40000 > [fd00::9]:443 S seq 1000",
     "tcp [fd00::9]:443 > [fd00::5]:40000 S. len 0 ttl 64 seq 0 ack 1001"},
    {"vlan 7 tcp 10.0.0.5:40000 > 203.0.113.9:443 P. len 10 seq 1 ack 1",
     "vlan 7 tcp 203.0.113.9:443 > 10.0.0.5:40000 . len 0 ttl 64 seq 1 "
     "ack 11"},
    {"tcp 10.0.0.5:40000 > 203.0.113.9:443 P. len 1000 seq 1 ack 1 cut 900",
     "tcp 203.0.113.9:443 > 10.0.0.5:40000 . len 0 ttl 64 seq 1 ack 1001"},
    {"tcp 10.0.0.5:1 > 203.0.113.9:2 P. len 100 seq 1 ack 1 frag 0+ id 9",
     NULL},
    {"udp 10.0.0.5:53 > 203.0.113.9:5000 len 12 ttl 7",
     "udp 203.0.113.9:5000 > 10.0.0.5:53 len 12 ttl 64"},
    {"udp [fd00::5]:53 > [fd00::9]:5000 len 13",
     "udp [fd00::9]:5000 > [fd00::5]:53 len 13 ttl 64"},
    {"udp 10.0.0.5:53 > 203.0.113.9:5000 len 16 frag 0+ id 9",
     "udp 203.0.113.9:5000 > 10.0.0.5:53 len 16 ttl 64 frag 0+ id 9"},
    {"udp 10.0.0.5:53 > 203.0.113.9:5000 len 12 bad-checksum",
     "udp 203.0.113.9:5000 > 10.0.0.5:53 len 12 ttl 64 bad-checksum"},
    {"ip 10.0.0.5 > 203.0.113.9 proto 17 len 16 frag 24 id 9",
     "ip 203.0.113.9 > 10.0.0.5 proto 17 len 16 ttl 64 frag 24 id 9"},
    {"ip 10.0.0.5 > 203.0.113.9 proto 6 len 16 frag 24 id 9", NULL},
    {"ip 10.0.0.5 > 203.0.113.9 proto 17 len 4", NULL},
    {"ip 10.0.0.5 > 203.0.113.9 proto 47 len 10",
     "ip 203.0.113.9 > 10.0.0.5 proto 47 len 10 ttl 64"},
    {"icmp 10.0.0.5 > 10.0.0.9 echo 7 seq 1 len 56",
     "icmp 10.0.0.9 > 10.0.0.5 reply 7 seq 1 len 56 ttl 64"},
    {"icmp fd00::5 > fd00::9 echo 7 seq 1 len 56",
     "icmp fd00::9 > fd00::5 reply 7 seq 1 len 56 ttl 64"},
    {"icmp 10.0.0.5 > 10.0.0.9 reply 7 seq 1 len 56", NULL},
    {"icmp 10.0.0.1 > 10.0.0.5 unreachable 1 "
     "(udp 10.0.0.5:1 > 10.0.0.9:2 len 4)", NULL},
    {"udp 10.0.0.5:68 > 255.255.255.255:67 len 12", NULL},
    {"udp 0.0.0.0:68 > 10.0.0.9:67 len 12", NULL},
    {"udp 10.0.0.5:5353 > 224.0.0.251:5353 len 12", NULL},
    {"udp [fd00::5]:5353 > [ff02::fb]:5353 len 12", NULL},
    {"arp who-has 10.0.0.1 tell 10.0.0.2",
     "arp reply 10.0.0.1 is-at 02:00:00:00:00:02 to 10.0.0.2"},
    {"arp who-has 10.0.0.1 tell 10.0.0.1", NULL},
    {"arp who-has 10.0.0.1 tell 0.0.0.0", NULL},
    {"arp reply 10.0.0.1 is-at 02:00:00:00:00:01 to 10.0.0.2", NULL},
    {"eth type 0x88cc len 46", NULL},
    {"runt 9", NULL},
};
/* clang-format on */

/* Sends a packet to 'dev' and takes the answer, if there is one. */
static struct hg_packet *
ask(struct hg_device *dev, struct hg_pool *pool, struct hg_packet *p)
{
    struct hg_packet *reply = NULL;

    p->time_ns = HG_SEC;
    p->mark = 7;
    CHECK_EQ(dev->ops->send(dev, &p, 1), 1);
    if (dev->ops->next_ns(dev) == HG_NEVER) {
        CHECK_EQ(dev->ops->receive(dev, pool, &reply, 1, HG_NEVER - 1), 0);
        return NULL;
    }
    CHECK_EQ(dev->ops->next_ns(dev), HG_SEC + HG_MSEC);
    CHECK_EQ(dev->ops->receive(dev, pool, &reply, 1, HG_SEC + HG_MSEC - 1), 0);
    REQUIRE(dev->ops->receive(dev, pool, &reply, 1, HG_SEC + HG_MSEC) == 1);
    CHECK_EQ(reply->time_ns, HG_SEC + HG_MSEC);
    CHECK_EQ(reply->mark, 0);
    hg_packet_parse(reply);
    return reply;
}

TEST(echo_says_what_a_host_would)
{
    struct hg_pool *pool = hg_pool_create(0);
    struct hg_device *dev = open_device("echo:", &plain);
    struct hg_error error = {""};
    char text[200];
    size_t i;

    CHECK_EQ(dev->min_delay_ns, HG_MSEC);
    for (i = 0; i < N(rows); i++) {
        struct hg_packet *p = notation_parse(pool, rows[i].sent, &error);

        if (!p)
            FAIL("'%s': %s", rows[i].sent, error.text);
        REQUIRE(p != NULL);
        p = ask(dev, pool, p);
        if (p)
            hg_packet_format(p, text, sizeof text);
        if (!p != !rows[i].answer)
            FAIL("'%s': %s", rows[i].sent, p ? text : "no answer");
        else if (p && strcmp(text, rows[i].answer) != 0)
            FAIL("'%s':\n    '%s' instead of\n    '%s'", rows[i].sent, text,
                 rows[i].answer);
        if (p)
            hg_packet_free(p);
    }
    CHECK_EQ(dev->tx_packets, N(rows));
    CHECK(device_close(dev, NULL));
    CHECK_EQ(hg_pool_in_use(pool), 0);
    hg_pool_destroy(pool);
}

TEST(echo_swaps_macs_and_never_answers_from_a_group)
{
    static const struct hg_mac own = {{2, 0, 0, 0, 0, 2}};
    struct hg_mac a = {{2, 9, 9, 9, 9, 1}}, b = {{2, 9, 9, 9, 9, 2}};
    struct hg_pool *pool = hg_pool_create(0);
    struct hg_device *dev = open_device("echo:", &plain);
    struct hg_packet *p;

    p = notation_parse(pool,
                       "udp 10.0.0.5:53 > 203.0.113.9:5000 len 12 smac "
                       "02:09:09:09:09:01 dmac 02:09:09:09:09:02",
                       NULL);
    p = ask(dev, pool, p);
    REQUIRE(p != NULL);
    CHECK_MEM(&hg_packet_eth(p)->dst, &a, 6);
    CHECK_MEM(&hg_packet_eth(p)->src, &b, 6);
    hg_packet_free(p);
    p = notation_parse(pool,
                       "udp 10.0.0.5:53 > 203.0.113.9:5000 len 12 smac "
                       "02:09:09:09:09:01 dmac ff:ff:ff:ff:ff:ff",
                       NULL);
    p = ask(dev, pool, p);
    REQUIRE(p != NULL);
    CHECK_MEM(&hg_packet_eth(p)->dst, &a, 6);
    CHECK_MEM(&hg_packet_eth(p)->src, &own, 6);
    hg_packet_free(p);
    CHECK(device_close(dev, NULL));
    hg_pool_destroy(pool);
}

/* A neighbour solicitation of fd00::5 for fd00::9 (RFC 4861 4.3), with or
 * without the sender's link-layer address. */
static struct hg_packet *
solicit(struct hg_pool *pool, uint32_t option_len, uint8_t hop_limit)
{
    uint32_t len = 24 + option_len;
    struct hg_packet *p = hg_packet_alloc(pool, 14 + 40 + len);
    static const uint8_t eth[14] = {0x33, 0x33, 0xff, 0, 0, 9,    2,
                                    0,    0,    0,    0, 5, 0x86, 0xdd};
    static const uint8_t src[16] = {0xfd, [15] = 5};
    static const uint8_t dst[16] = {0xff, 2, [11] = 1, 0xff, 0, 0, 9};
    static const uint8_t target[16] = {0xfd, [15] = 9};
    uint8_t *ip = p->data + 14, *nd = ip + 40;

    memset(p->data, 0, p->len);
    memcpy(p->data, eth, sizeof eth);
    ip[0] = 0x60;
    hg_store16(ip + 4, (uint16_t)len);
    ip[6] = HG_PROTO_ICMP6;
    ip[7] = hop_limit;
    memcpy(ip + 8, src, 16);
    memcpy(ip + 24, dst, 16);
    nd[0] = HG_ICMP6_NEIGHBOR_SOLICIT;
    memcpy(nd + 8, target, 16);
    hg_packet_parse(p);
    hg_packet_set_checksums(p);
    return p;
}

TEST(echo_answers_neighbour_solicitations)
{
    static const uint32_t option_len[] = {0, 8, 16};
    static const uint8_t expected[] = {
        0x60, 0, 0, 0, 0, 32, 58, 255, 0xfd, 0, 0,    0, 0, 0,
        0,    0, 0, 0, 0, 0,  0,  0,   0,    9, 0xfd, 0, 0, 0,
        0,    0, 0, 0, 0, 0,  0,  0,   0,    0, 0,    5};
    static const uint8_t advert[] = {0x60, 0, 0, 0, 0xfd, 0, 0, 0, 0, 0,
                                     0,    0, 0, 0, 0,    0, 0, 0, 0, 9,
                                     2,    1, 2, 0, 0,    0, 0, 2};
    struct hg_pool *pool = hg_pool_create(0);
    struct hg_device *dev = open_device("echo:", &plain);
    size_t i;

    for (i = 0; i < N(option_len); i++) {
        struct hg_packet *p =
            ask(dev, pool, solicit(pool, option_len[i], 255));

        REQUIRE(p != NULL);
        CHECK_EQ(p->len, 14 + 40 + 32);
        CHECK_MEM(p->data + 14, expected, sizeof expected);
        CHECK_EQ(p->data[54], HG_ICMP6_NEIGHBOR_ADVERT);
        CHECK_MEM(p->data + 58, advert, sizeof advert);
        CHECK(hg_packet_l4_checksum_ok(p));
        hg_packet_free(p);
    }
    CHECK(!ask(dev, pool, solicit(pool, 8, 64))); /* From another link. */
    CHECK(device_close(dev, NULL));
    CHECK_EQ(hg_pool_in_use(pool), 0);
    hg_pool_destroy(pool);
}

TEST(answers_wait_for_their_time_however_many_there_are)
{
    struct device_options options = {.filter = "udp"};
    struct hg_pool *pool = hg_pool_create(0);
    struct hg_device *dev = open_device("echo:delay=10us", &options);
    unsigned i, n, taken = 0;

    n = generate("gen:count=3000,flows=40,proto=udp+icmp", pool, 100);
    for (i = 0; i < n; i++) {
        struct hg_packet *p = packets[i];
        unsigned k;

        while (i < 2000 && i % 100 == 99 &&
               dev->ops->next_ns(dev) <= p->time_ns) {
            k = dev->ops->receive(dev, pool, packets, 3, p->time_ns);
            CHECK(k > 0 && packets[k - 1]->time_ns <= p->time_ns);
            hg_packet_free_many(packets, k);
            taken += k;
        }
        CHECK_EQ(dev->ops->send(dev, &p, 1), 1);
    }
    CHECK(taken > 500);
    CHECK(dev->rx_filtered > 1000);
    for (i = 0; dev->ops->next_ns(dev) != HG_NEVER; i++) {
        CHECK_EQ(dev->ops->receive(dev, pool, packets, 1, HG_NEVER - 1), 1);
        hg_packet_free(packets[0]);
        if (i == 100)
            break; /* Closing frees the rest. */
    }
    CHECK(device_close(dev, NULL));
    CHECK_EQ(hg_pool_in_use(pool), 0);
    hg_pool_destroy(pool);
}
