/* bench_traffic.c: frames of flows (see bench.h).  All are 60 bytes long and
 * have right checksums. */
#include "bench.h"

#include <stdlib.h>

void
traffic_plain(struct flow_id *id, uint32_t i, uint32_t size)
{
    (void)size;
    id->src = 0x0a000000 + i % 65536;
    id->dst = 0xcb000000 + i % 40009;
    id->sport = (uint16_t)(1024 + i % 60000);
}

/* To all the routes of a table in turn, scattered. */
void
traffic_routes(struct flow_id *id, uint32_t i, uint32_t size)
{
    (void)size;
    traffic_plain(id, i, size);
    id->dst = table_route_address(i);
}

/* As many packets to each rule of a list as to any other; rules before it may
 * match them too. */
void
traffic_rules(struct flow_id *id, uint32_t i, uint32_t size)
{
    const struct table_rule *rule = table_rule(i % size);
    uint32_t spread = i / size * 2654435761U;

    traffic_plain(id, i, size);
    id->dst = rule->cidr | (uint32_t)((uint64_t)spread >> rule->len);
    id->dport = (uint16_t)(rule->low +
                           spread % (uint32_t)(rule->high - rule->low + 1));
    id->protocol = rule->protocol ? rule->protocol : HG_PROTO_UDP;
}

/* Of many clients to one service. */
void
traffic_clients(struct flow_id *id, uint32_t i, uint32_t size)
{
    (void)size;
    id->src = 0x0b000000 + i / 60;
    id->dst = 0xc633640a; /* 198.51.100.10 */
    id->sport = (uint16_t)(1024 + i % 60);
}

static void
from_sender(struct flow_id *id, uint32_t i)
{
    uint32_t sender = i % N_SENDERS;

    id->src = table_sender_address(sender);
    id->src_mac = sender;
    id->sport = (uint16_t)(1024 + i / N_SENDERS % 60000);
}

/* Of the ENIs of SENDERS to the outside. */
void
traffic_senders(struct flow_id *id, uint32_t i, uint32_t size)
{
    (void)size;
    from_sender(id, i);
    id->dst = 0xcb000000 + i % 40009;
}

/* Of the same to each other. */
void
traffic_peers(struct flow_id *id, uint32_t i, uint32_t size)
{
    (void)size;
    from_sender(id, i);
    id->dst = table_sender_address((i * 7 + 1) % N_SENDERS);
}

/* Of the same to the ENIs of ENIS. */
void
traffic_mappings(struct flow_id *id, uint32_t i, uint32_t size)
{
    from_sender(id, i);
    id->dst = table_eni_address(i % size);
}

/* Of the same, as traffic_rules. */
void
traffic_rules_senders(struct flow_id *id, uint32_t i, uint32_t size)
{
    traffic_rules(id, i, size);
    from_sender(id, i);
}

/* ---- Frames ----------------------------------------------------------- */

void
frames_init(struct frames *f, size_t capacity)
{
    f->n = 0;
    f->capacity = capacity;
    f->v = aligned_alloc(SLOT, capacity * SLOT);
    if (!f->v)
        fail("no memory for %zu frames", capacity);
}

void
frames_touch(struct frames *f)
{
    memset(f->v, 0, f->capacity * SLOT);
}

void
frames_uninit(struct frames *f)
{
    free(f->v);
    *f = (struct frames){0};
}

void
frames_add(struct frames *f, const struct hg_packet *p)
{
    if (f->n < f->capacity && p->len == FRAME_LEN)
        memcpy(f->v[f->n++], p->data, FRAME_LEN);
}

static uint64_t
random_next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static void
fill_l4(uint8_t *l4, const struct flow_id *id, uint16_t len)
{
    hg_be16 *ports = (hg_be16 *)l4;

    if (id->protocol == HG_PROTO_ICMP) {
        l4[0] = 8; /* Echo request, RFC 792. */
        return;
    }
    ports[0] = hg_be16_of(id->sport);
    ports[1] = hg_be16_of(id->dport);
    if (id->protocol == HG_PROTO_TCP) {
        struct hg_tcp *tcp = (struct hg_tcp *)l4;

        l4[12] = sizeof *tcp / 4 << 4;
        tcp->flags = HG_TCP_ACK;
    } else {
        ((struct hg_udp *)l4)->length = hg_be16_of(len);
    }
}

static void
make_frame(struct hg_packet *p, const struct flow_id *id)
{
    struct hg_eth *eth = (struct hg_eth *)p->data;
    struct hg_ipv4 *ip = (struct hg_ipv4 *)(p->data + sizeof *eth);
    const uint16_t ip_len = FRAME_LEN - sizeof *eth;
    const hg_be32 mac = hg_be32_of(id->src_mac);

    memset(p->data, 0, FRAME_LEN);
    eth->dst.byte[0] = eth->src.byte[0] = 2;
    eth->dst.byte[5] = 0xfe;
    memcpy(eth->src.byte + 2, &mac, sizeof mac);
    eth->type = hg_be16_of(HG_ETH_IP4);
    ip->version_ihl = 0x45;
    ip->total_length = hg_be16_of(ip_len);
    ip->ttl = id->ttl;
    ip->protocol = id->protocol;
    ip->src = hg_be32_of(id->src);
    ip->dst = hg_be32_of(id->dst);
    fill_l4((uint8_t *)(ip + 1), id, (uint16_t)(ip_len - sizeof *ip));
    hg_packet_parse(p);
    hg_packet_set_checksums(p);
}

static void
add_flow(struct frames *f, struct hg_packet *p, traffic_fn *traffic,
         uint32_t size, uint32_t i)
{
    struct flow_id id = {
        .dport = 443, .protocol = HG_PROTO_UDP, .ttl = 64, .src_mac = 1};

    traffic(&id, i, size);
    make_frame(p, &id);
    frames_add(f, p);
}

void
frames_of_flows(struct frames *f, traffic_fn *traffic, uint32_t size,
                uint32_t first, size_t n)
{
    struct hg_pool *pool = hg_pool_create(0);
    struct hg_packet *p = hg_packet_alloc(pool, FRAME_LEN);
    uint32_t i;

    f->n = 0;
    for (i = 0; i < n; i++)
        add_flow(f, p, traffic, size, first + i);
    hg_packet_free(p);
    hg_pool_destroy(pool);
}

void
frames_draw(struct frames *f, traffic_fn *traffic, uint32_t size,
            uint32_t n_flows, size_t n)
{
    struct hg_pool *pool = hg_pool_create(0);
    struct hg_packet *p = hg_packet_alloc(pool, FRAME_LEN);
    uint64_t state = 88172645463325252;
    size_t i;

    f->n = 0;
    for (i = 0; i < n; i++)
        add_flow(f, p, traffic, size,
                 (uint32_t)(random_next(&state) % n_flows));
    hg_packet_free(p);
    hg_pool_destroy(pool);
}

void
frames_draw_from(struct frames *f, const struct frames *flows, size_t n)
{
    uint64_t state = 88172645463325252;

    for (f->n = 0; f->n < n; f->n++)
        memcpy(f->v[f->n], flows->v[random_next(&state) % flows->n], SLOT);
}

void
frames_answer(struct frames *f)
{
    size_t i;

    for (i = 0; i < f->n; i++) {
        uint8_t *ip = f->v[i] + sizeof(struct hg_eth), swap[4];

        memcpy(swap, ip + 12, 4);
        memcpy(ip + 12, ip + 16, 4);
        memcpy(ip + 16, swap, 4);
        memcpy(swap, ip + 20, 2);
        memcpy(ip + 20, ip + 22, 2);
        memcpy(ip + 22, swap, 2);
    }
}
