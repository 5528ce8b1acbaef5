/* headgate/route_text.h: one route as people write it, for RouteTable.
 *
 *     10.0.0.0/8 target=down type=propagated origin=vgw-1 as-path=2
 *
 * The words behind the destination are named values in any order; a file
 * gives the same ones by column (table_file.h).
 *
 * Thread-safety: none needed, there is no state. */
#ifndef HEADGATE_ROUTE_TEXT_H
#define HEADGATE_ROUTE_TEXT_H 1

#include <headgate/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HG_ROUTE_NAME_SIZE 64

/* How a propagated route was learnt. */
#define HG_ROUTE_SOURCES                                                      \
    "other vpc direct-connect connect static-vpn private-ip-vpn bgp-vpn "     \
    "peering"

enum hg_route_source {
    HG_ROUTE_OTHER,
    HG_ROUTE_VPC,
    HG_ROUTE_DIRECT_CONNECT,
    HG_ROUTE_CONNECT,
    HG_ROUTE_STATIC_VPN,
    HG_ROUTE_PRIVATE_IP_VPN,
    HG_ROUTE_BGP_VPN,
    HG_ROUTE_PEERING
};

/* Whose order decides between propagated routes for one prefix. */
#define HG_ROUTE_ORDERS "virtual-private-gateway transit-gateway"

enum hg_route_order { HG_ROUTE_VGW, HG_ROUTE_TGW };

struct hg_route_text {
    char destination[HG_ROUTE_NAME_SIZE]; /* Prefix or prefix list. */
    char table[HG_ROUTE_NAME_SIZE];       /* "": the main one. */
    char origin[HG_ROUTE_NAME_SIZE];      /* Who propagates it; may be "". */
    char target[256];                     /* Names, commas between. */
    bool propagated;                      /* Else static. */
    bool med_given;
    uint8_t source; /* enum hg_route_source */
    uint32_t as_path;
    uint32_t med;
};

/* Sets one named value; false, and why, if it is wrong. */
HG_API bool hg_route_text_set(struct hg_route_text *, const char *name,
                              const char *value, struct hg_error *);

/* Reads a whole route as above. */
HG_API bool hg_route_text_parse(struct hg_route_text *, const char *text,
                                struct hg_error *);

/* The rank of a propagated route among those of its prefix, the smaller the
 * better: source, then AS path length, then MED (default 0 for Direct
 * Connect, 100 for VPN and Connect).  A virtual private gateway prefers
 * Direct Connect, static VPN, VPN by BGP; a transit gateway static VPN, VPC,
 * Direct Connect, Connect, private IP VPN, VPN, peering. */
HG_API uint64_t hg_route_preference(const struct hg_route_text *,
                                    enum hg_route_order);

/* Whether routes of this source may share flows with their equals. */
HG_API bool hg_route_shareable(enum hg_route_source);

#ifdef __cplusplus
}
#endif
#endif
