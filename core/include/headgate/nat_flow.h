/* headgate/nat_flow.h: what a flow of a source NAT is, TCP's states of it,
 * and flows as text.
 *
 *     inside endpoint --> external endpoint --> remote endpoint
 *
 * A mapping is endpoint dependent: its key is protocol, inside endpoint and
 * remote endpoint, and what it is given is an external address and port
 * (nat_ports.h).  External and remote endpoint are IPv4; the inside endpoint
 * may be IPv6 (NAT64, RFC 6146).  An ICMP query's identifier is the port of
 * both its inside and its external endpoint, and its remote port is 0.
 *
 * Thread-safety: all functions here are pure. */
#ifndef HEADGATE_NAT_FLOW_H
#define HEADGATE_NAT_FLOW_H 1

#include <stdio.h>

#include <headgate/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What is known of the two ends.  The TCP states are those of RFC 6146
 * 3.5.2.2, with "inside" for its V6 and "outside" for its V4. */
enum hg_nat_state {
    HG_NAT_QUERY,       /* UDP and ICMP: no state but the deadline. */
    HG_NAT_INIT,        /* A SYN from inside. */
    HG_NAT_ESTABLISHED, /* SYN from both. */
    HG_NAT_FIN_INSIDE,
    HG_NAT_FIN_OUTSIDE,
    HG_NAT_FIN_BOTH,
    HG_NAT_TRANS, /* A RST; back to established if it was not meant. */
    HG_NAT_N_STATES
};

#define HG_NAT_NAME_SIZE 64 /* Of a gateway's name, with its end. */

/* Ports in host order.  'protocol' is that of the external side: ICMP also
 * where the inside speaks ICMPv6. */
struct hg_nat_flow {
    struct hg_addr inside;
    uint32_t external; /* Host order. */
    uint32_t remote;
    uint32_t vpc; /* Of the inside endpoint; 0: there is only one. */
    uint16_t inside_port;
    uint16_t external_port;
    uint16_t remote_port;
    uint8_t protocol;
    uint8_t state;                  /* enum hg_nat_state */
    uint64_t deadline_ns;           /* The flow lives before this time. */
    char gateway[HG_NAT_NAME_SIZE]; /* Empty: the only one. */
};

/* The state of a TCP flow after a segment with these flags (HG_TCP_*) passed
 * through it from this side (RFC 6146 3.5.2.2).  Beyond the RFC: a SYN from
 * inside begins anew where both ends had finished or one had reset, so that
 * a client may use its port again. */
HG_API uint8_t hg_nat_tcp_next(uint8_t state, bool from_inside, uint8_t flags);

/* "established" and so on, as RFC 6146 names them, in lower case. */
HG_API const char *hg_nat_state_name(uint8_t state);

/* Writes a flow as one line of JSON:
 *     {"proto":"tcp","inside":{"addr":"10.0.0.5","port":40000},
 *      "external":{...},"remote":{...},"state":"established",
 *      "expires":1700000350000000000}
 * 'expires' is in Unix nanoseconds.  "gateway" and "vpc" follow where they
 * say something. */
HG_API bool hg_nat_flow_print(const struct hg_nat_flow *, FILE *out);

/* Reads the flow at '*text', written as above, and moves '*text' behind it.
 * "state" may be left out ("established" for TCP, "query" for the others),
 * so may "expires" (deadline_ns is 0 then), the remote port of ICMP,
 * "gateway" and "vpc". */
HG_API bool hg_nat_flow_parse(const char **text, struct hg_nat_flow *,
                              struct hg_error *);

#define HG_NAT_FILTER_ENDS 4

/* Words that all must fit: a protocol, a prefix, an address with or without
 * port ("10.0.0.5:40000", "[2001:db8::5]:40000"), a port alone (":443"); each
 * of the latter fits if it fits any of the three endpoints.  "all" or nothing
 * fits every flow. */
struct hg_nat_filter {
    uint8_t protocol; /* 0: any. */
    unsigned n_ends;
    struct {
        struct hg_prefix prefix; /* family 0: any address. */
        bool has_port;
        uint16_t port;
    } end[HG_NAT_FILTER_ENDS];
};

HG_API bool hg_nat_filter_parse(const char *text, struct hg_nat_filter *,
                                struct hg_error *);
HG_API bool hg_nat_filter_match(const struct hg_nat_filter *,
                                const struct hg_nat_flow *);

#ifdef __cplusplus
}
#endif
#endif
