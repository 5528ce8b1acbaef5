/* flow_logger_reserved.h: the traffic that flow logs leave out.  Part of
 * flow_logger.c. */
#ifndef FLOW_LOGGER_RESERVED_H
#define FLOW_LOGGER_RESERVED_H 1

#include <string.h>

#include "flow_logger.h"

/* "Flow log limitations" in the Amazon VPC user guide. */

enum {
    PORT_DNS = 53,
    PORT_BOOTPS = 67, /* RFC 2131 */
    PORT_BOOTPC = 68,
    PORT_DHCP6_CLIENT = 546, /* RFC 8415 7.2 */
    PORT_DHCP6_SERVER = 547,
    PORT_KMS = 1688 /* Activation of Windows licences. */
};

#define LINK_LOCAL(last) (0xa9fea900U | (last)) /* 169.254.169.x */

static inline bool
is_reserved4(const struct logged *l, uint32_t ip, uint16_t port)
{
    if (ip >> 8 != LINK_LOCAL(0) >> 8)
        return ip &&
               (ip == l->router4 || (ip == l->resolver4 && port == PORT_DNS));
    switch (ip) {
    case LINK_LOCAL(254): /* Instance metadata. */
    case LINK_LOCAL(123): /* Amazon Time Sync. */
        return true;
    case LINK_LOCAL(253):
        return port == PORT_DNS;
    case LINK_LOCAL(250):
    case LINK_LOCAL(251):
        return port == PORT_KMS;
    default:
        return ip == l->router4 || (ip == l->resolver4 && port == PORT_DNS);
    }
}

/* The first address of one of these IPv6 blocks. */
static bool
is_router6(const struct hg_prefix_list *subnet, const uint8_t *ip)
{
    size_t i;

    for (i = 0; i < subnet->n; i++) {
        const struct hg_addr *a = &subnet->v[i].addr;

        if (a->family == 6 && !memcmp(ip, a->byte, 15) &&
            ip[15] == (a->byte[15] | 1))
            return true;
    }
    return false;
}

static bool
is_reserved6(const struct hg_prefix_list *subnet, const uint8_t *ip,
             uint16_t port)
{
    static const uint8_t services[14] = {0xfd, 0, 0x0e, 0xc2}; /* fd00:ec2:: */
    uint16_t last = hg_load16(ip + 14);

    if (!memcmp(ip, services, sizeof services))
        return last == 0x254 || last == 0x123 ||
               (last == 0x253 && port == PORT_DNS);
    return is_router6(subnet, ip);
}

static bool
is_dhcp(const struct hg_record_key *k)
{
    uint16_t low = k->sport < k->dport ? k->sport : k->dport;
    uint16_t high = k->sport < k->dport ? k->dport : k->sport;

    return k->protocol == HG_PROTO_UDP &&
           ((low >= PORT_BOOTPS && high <= PORT_BOOTPC) ||
            (low >= PORT_DHCP6_CLIENT && high <= PORT_DHCP6_SERVER));
}

/* Whether what has this key is never logged. */
static bool
is_reserved(const void *log_, const struct hg_record_key *k)
{
    const struct flow_logger *log = log_;
    const struct logged *l = &log->interfaces[k->interface];
    const struct hg_prefix_list *subnet =
        l->eni ? &l->eni->subnet->cidr : &log->subnet_cidr;
    const uint8_t *src = hg_record_src(k), *dst = hg_record_dst(k);

    if (k->kind & HG_RECORD_IP6)
        return is_dhcp(k) || is_reserved6(subnet, src, k->sport) ||
               is_reserved6(subnet, dst, k->dport);
    return is_dhcp(k) || is_reserved4(l, hg_load32(src), k->sport) ||
           is_reserved4(l, hg_load32(dst), k->dport);
}

#endif
