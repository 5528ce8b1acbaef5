/* nlb_tcp.h: what NLB does inside TCP: resets of its own, and the PROXY
 * header ahead of the client's data.
 *
 * The header travels in a segment of its own, so that it fits whatever the
 * client's segment size is: ahead of the client's first data, and again
 * whenever the client sends its first byte again before the target has
 * acknowledged the header.  From there on the client's sequence numbers grow
 * and the target's acknowledgements shrink by the header's length. */
#ifndef NLB_TCP_H
#define NLB_TCP_H 1

#include <headgate/endpoint.h>
#include <headgate/proxy_v2.h>

#include "nlb.h"

/* ---- Resets ----------------------------------------------------------- */

struct reset {
    struct hg_addr src;
    struct hg_addr dst;
    uint16_t sport;
    uint16_t dport;
    uint32_t seq;
    uint32_t ack;
    uint8_t flags;
    uint32_t vpc;
};

static uint32_t
write_ip_header(uint8_t *at, const struct reset *reset)
{
    struct hg_ipv4 *ip4 = (struct hg_ipv4 *)at;
    struct hg_ipv6 *ip6 = (struct hg_ipv6 *)at;

    if (reset->src.family == 6) {
        ip6->version_class_flow = hg_be32_of(UINT32_C(6) << 28);
        ip6->payload_length = hg_be16_of(sizeof(struct hg_tcp));
        ip6->next_header = HG_PROTO_TCP;
        ip6->hop_limit = 64;
        memcpy(ip6->src, reset->src.byte, 16);
        memcpy(ip6->dst, reset->dst.byte, 16);
        return sizeof *ip6;
    }
    ip4->version_ihl = 0x45;
    ip4->total_length = hg_be16_of(sizeof *ip4 + sizeof(struct hg_tcp));
    ip4->frag = hg_be16_of(HG_IP4_DF);
    ip4->ttl = 64;
    ip4->protocol = HG_PROTO_TCP;
    ip4->src = hg_be32_of(hg_addr_ip4(&reset->src));
    ip4->dst = hg_be32_of(hg_addr_ip4(&reset->dst));
    return sizeof *ip4;
}

/* Sends a RST out of 'port' behind the 'l2_len' bytes of L2 header at 'l2';
 * 'cause' may be NULL. */
static void
send_reset(struct nlb *self, unsigned port, const struct hg_packet *cause,
           const uint8_t *l2, uint16_t l2_len, const struct reset *reset)
{
    bool is_ip6 = reset->src.family == 6;
    uint32_t ip_len = is_ip6 ? sizeof(struct hg_ipv6) : sizeof(struct hg_ipv4);
    uint32_t len = l2_len + ip_len + (uint32_t)sizeof(struct hg_tcp);
    struct hg_packet *p = hg_make(self, len, cause);
    struct hg_tcp *tcp;

    if (!p)
        return;
    memset(p->data, 0, len);
    memcpy(p->data, l2, l2_len);
    tcp = (struct hg_tcp *)(p->data + l2_len +
                            write_ip_header(p->data + l2_len, reset));
    tcp->sport = hg_be16_of(reset->sport);
    tcp->dport = hg_be16_of(reset->dport);
    tcp->seq = hg_be32_of(reset->seq);
    tcp->ack = hg_be32_of(reset->ack);
    tcp->data_offset = sizeof *tcp / 4 << 4;
    tcp->flags = reset->flags;
    p->vpc = reset->vpc;
    hg_packet_parse_l3(p, is_ip6 ? HG_ETH_IP6 : HG_ETH_IP4, l2_len);
    hg_packet_set_checksums(p);
    hg_count(&self->tcp_elb_reset_count);
    hg_emit(self, port, p);
}

static uint32_t
payload_len(const struct hg_packet *p, const struct hg_tcp *tcp)
{
    uint32_t bytes = hg_packet_ip_bytes(p);
    uint32_t headers = p->l4_offset - p->l3_offset + hg_tcp_header_len(tcp);

    return bytes > headers ? bytes - headers : 0;
}

/* Answers a segment for which there is no connection. */
static void
answer_with_reset(struct nlb *self, unsigned port, const struct hg_packet *p)
{
    struct hg_packet *reset;

    if (hg_packet_tcp(p)->flags & HG_TCP_RST)
        return;
    reset = hg_make(self, hg_reset_len(p), p);
    if (!reset)
        return;
    hg_reset_fill(reset, p);
    hg_count(&self->tcp_elb_reset_count);
    hg_emit(self, port, reset);
}

/* Ends a connection from our side: one RST for the client, and one for the
 * target if that has answered. */
static void
reset_flow(struct nlb *self, const struct nlb_flow *state,
           const struct nlb_client *client, const struct hg_flow_key *first,
           const struct hg_target *target)
{
    struct hg_eth eth = {
        .dst = client->mac,
        .src = client->ours,
        .type = hg_be16_of(first->src.family == 6 ? HG_ETH_IP6 : HG_ETH_IP4)};
    struct reset reset = {.src = first->dst,
                          .dst = first->src,
                          .sport = first->dport,
                          .dport = first->sport,
                          .seq = state->client_ack,
                          .flags = HG_TCP_RST,
                          .vpc = first->vpc};

    if (state->tcp_state == TCP_SYN_SENT) {
        reset.ack = state->isn + 1;
        reset.flags |= HG_TCP_ACK;
    }
    send_reset(self, OUT_CLIENTS, NULL, (uint8_t *)&eth, sizeof eth, &reset);
    if (state->tcp_state == TCP_SYN_SENT)
        return;
    eth.dst = client->ours;
    eth.src = client->mac;
    reset.src =
        state->nat_port ? self->addresses[state->address].addr : first->src;
    reset.sport = state->nat_port ? state->nat_port : first->sport;
    reset.dst = target->addr;
    reset.dport = target->port;
    reset.seq = state->target_ack;
    send_reset(self, OUT_TARGETS, NULL, (uint8_t *)&eth, sizeof eth, &reset);
}

/* ---- The PROXY header ------------------------------------------------- */

/* Changes four bytes of a TCP header, wherever they are, and its checksum
 * (RFC 1624). */
static void
change_bytes(struct hg_tcp *tcp, uint8_t *at, uint32_t to)
{
    uint32_t from = hg_load32(at);

    if ((at - (uint8_t *)tcp) % 2) {
        hg_checksum_update16(&tcp->checksum, (uint16_t)(from >> 24),
                             (uint16_t)(to >> 24));
        hg_checksum_update16(&tcp->checksum, (uint16_t)(from >> 8),
                             (uint16_t)(to >> 8));
        hg_checksum_update16(&tcp->checksum, (uint16_t)(from << 8),
                             (uint16_t)(to << 8));
    } else {
        hg_checksum_update32(&tcp->checksum, from, to);
    }
    hg_store32(at, to);
}

/* Sends the header towards the target, ahead of 'p', whose addresses are
 * those that the target sees. */
static bool
send_header(struct nlb *self, const struct hg_packet *p,
            const struct nlb_flow *state, const struct hg_flow_key *first)
{
    struct hg_proxy_v2 proxy = {.src = first->src,
                                .dst = first->dst,
                                .sport = first->sport,
                                .dport = first->dport};
    const struct address *address = &self->addresses[state->address];
    uint32_t headers = p->l4_offset + hg_tcp_header_len(hg_packet_tcp(p));
    uint32_t len = headers + hg_proxy_v2_len(first->src.family);
    struct hg_packet *made = hg_make(self, len, p);
    uint8_t *l3;
    struct hg_tcp *tcp;

    if (!made)
        return false;
    memcpy(made->data, p->data, headers);
    proxy.endpoint = self->node.row[address->node].endpoint;
    hg_proxy_v2_write(&proxy, made->data + headers);
    l3 = made->data + p->l3_offset;
    if (first->src.family == 6)
        hg_store16(l3 + offsetof(struct hg_ipv6, payload_length),
                   (uint16_t)(len - p->l3_offset - sizeof(struct hg_ipv6)));
    else
        hg_store16(l3 + offsetof(struct hg_ipv4, total_length),
                   (uint16_t)(len - p->l3_offset));
    tcp = (struct hg_tcp *)(made->data + p->l4_offset);
    tcp->seq = hg_be32_of(state->isn + 1);
    tcp->flags = HG_TCP_ACK | HG_TCP_PSH;
    tcp->urgent = hg_be16_of(0);
    hg_packet_parse_l3(made, p->ether_type, p->l3_offset);
    hg_packet_set_checksums(made);
    hg_emit(self, OUT_TARGETS, made);
    return true;
}

/* A segment on its way to the target. */
static void
add_header(struct nlb *self, struct hg_packet *p, struct nlb_flow *state,
           const struct hg_flow_key *first)
{
    struct hg_tcp *tcp = hg_packet_tcp(p);
    uint32_t seq = hg_get32(tcp->seq);
    uint32_t ahead = seq - (state->isn + 1);

    if (payload_len(p, tcp) && !state->header_acked &&
        (!state->header_sent || ahead == 0))
        state->header_sent |= send_header(self, p, state, first);
    if (state->header_sent && (state->header_acked || ahead <= INT32_MAX))
        change_bytes(tcp, (uint8_t *)&tcp->seq,
                     seq + hg_proxy_v2_len(first->src.family));
}

/* What a sequence number of the target's means to the client. */
static uint32_t
without_header(struct nlb_flow *state, uint32_t number, uint32_t len)
{
    uint32_t ahead = number - (state->isn + 1);

    if (state->header_acked || (ahead >= len && ahead <= INT32_MAX))
        return number - len;
    return ahead < len ? state->isn + 1 : number;
}

/* The blocks of selective acknowledgements (RFC 2018 3). */
static void
remove_header_from_sack(struct hg_tcp *tcp, struct nlb_flow *state,
                        uint32_t len)
{
    uint8_t *at = (uint8_t *)tcp + sizeof *tcp;
    uint8_t *end = (uint8_t *)tcp + hg_tcp_header_len(tcp);
    unsigned i;

    while (at < end && *at != 0) {
        if (*at == 1) {
            at++;
            continue;
        }
        if (end - at < 2 || at[1] < 2 || at[1] > end - at)
            return;
        for (i = 2; *at == 5 && i + 4 <= at[1]; i += 4)
            change_bytes(tcp, at + i,
                         without_header(state, hg_load32(at + i), len));
        at += at[1];
    }
}

/* A segment on its way to the client. */
static void
remove_header(struct hg_packet *p, struct nlb_flow *state, uint8_t family)
{
    struct hg_tcp *tcp = hg_packet_tcp(p);
    uint32_t len = hg_proxy_v2_len(family);
    uint32_t ack = hg_get32(tcp->ack);

    if (!state->header_sent || !(tcp->flags & HG_TCP_ACK))
        return;
    remove_header_from_sack(tcp, state, len);
    if (ack - (state->isn + 1) >= len && ack - (state->isn + 1) <= INT32_MAX)
        state->header_acked = true;
    change_bytes(tcp, (uint8_t *)&tcp->ack, without_header(state, ack, len));
}

#endif
