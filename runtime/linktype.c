/* linktype.c: raw IP, Linux cooked and loopback frames as Ethernet (see
 * linktype.h).
 *
 * Formats: https://www.tcpdump.org/linktypes.html.  Addresses that a link
 * type does not have are 02:00:00:00:00:01 (sender) and :02 (receiver),
 * locally administered (IEEE 802 8.2). */
#include "linktype.h"

#include <string.h>

#include "libpcap.h"

#define N(array) (sizeof(array) / sizeof *(array))

static const struct hg_mac sender = {{2, 0, 0, 0, 0, 1}};
static const struct hg_mac receiver = {{2, 0, 0, 0, 0, 2}};
static const struct hg_mac broadcast = {{255, 255, 255, 255, 255, 255}};

static bool
set(struct hg_eth *eth, unsigned type)
{
    eth->dst = receiver;
    eth->src = sender;
    eth->type = hg_be16_of((uint16_t)type);
    return true;
}

static bool
convert_ip4(const uint8_t *data, uint32_t len, struct hg_eth *eth)
{
    (void)data;
    (void)len;
    return set(eth, HG_ETH_IP4);
}

static bool
convert_ip6(const uint8_t *data, uint32_t len, struct hg_eth *eth)
{
    (void)data;
    (void)len;
    return set(eth, HG_ETH_IP6);
}

static bool
convert_raw(const uint8_t *data, uint32_t len, struct hg_eth *eth)
{
    (void)len;
    if (data[0] >> 4 == 4)
        return set(eth, HG_ETH_IP4);
    return data[0] >> 4 == 6 && set(eth, HG_ETH_IP6);
}

/* The address family of the system that captured: AF_INET is 2 everywhere,
 * AF_INET6 is 10 (Linux), 24 (NetBSD, OpenBSD), 28 (FreeBSD), 30 (macOS). */
static bool
convert_family(uint32_t family, struct hg_eth *eth)
{
    switch (family) {
    case 2:
        return set(eth, HG_ETH_IP4);
    case 10:
    case 24:
    case 28:
    case 30:
        return set(eth, HG_ETH_IP6);
    default:
        return false;
    }
}

static bool
convert_loop(const uint8_t *data, uint32_t len, struct hg_eth *eth)
{
    return len >= 4 && convert_family(hg_load32(data), eth);
}

/* In the byte order of the system that captured: families are small. */
static bool
convert_null(const uint8_t *data, uint32_t len, struct hg_eth *eth)
{
    uint32_t family;

    if (len < 4)
        return false;
    family = hg_load32(data);
    if (family > 0xffff)
        family = __builtin_bswap32(family);
    return convert_family(family, eth);
}

/* Both forms of Linux cooked headers say the same: whether the frame was for
 * us (0), broadcast (1) ..., the sender's address, the protocol.  Protocols
 * below 0x600 are none of Ethernet II (e.g. 4: 802.2 LLC). */
static bool
convert_cooked(unsigned kind, unsigned addr_len, const uint8_t *addr,
               unsigned protocol, struct hg_eth *eth)
{
    if (protocol < 0x600)
        return false;
    set(eth, protocol);
    if (kind == 1)
        eth->dst = broadcast;
    if (addr_len == sizeof eth->src)
        memcpy(&eth->src, addr, sizeof eth->src);
    return true;
}

static bool
convert_sll(const uint8_t *data, uint32_t len, struct hg_eth *eth)
{
    return len >= 16 && convert_cooked(hg_load16(data), hg_load16(data + 4),
                                       data + 6, hg_load16(data + 14), eth);
}

static bool
convert_sll2(const uint8_t *data, uint32_t len, struct hg_eth *eth)
{
    return len >= 20 &&
           convert_cooked(data[10], data[11], data + 12, hg_load16(data), eth);
}

static const struct linktype linktypes[] = {
    {DLT_EN10MB, 1, 0, NULL},
    {DLT_RAW, 101, 0, convert_raw},
    {DLT_IPV4, 228, 0, convert_ip4},
    {DLT_IPV6, 229, 0, convert_ip6},
    {DLT_LINUX_SLL, 113, 16, convert_sll},
    {DLT_LINUX_SLL2, 276, 20, convert_sll2},
    {DLT_NULL, 0, 4, convert_null},
    {DLT_LOOP, 108, 4, convert_loop},
};

const struct linktype *
linktype_of_file(uint32_t number)
{
    size_t i;

    for (i = 0; i < N(linktypes); i++)
        if (linktypes[i].number == number)
            return &linktypes[i];
    return NULL;
}

const struct linktype *
linktype_find(int dlt, const char *name, struct hg_error *error)
{
    const struct libpcap *pcap = libpcap_load(error);
    char known[128] = "", number[16];
    const char *dlt_name;
    size_t i, n = 0;

    if (!pcap)
        return NULL;
    for (i = 0; i < N(linktypes); i++) {
        if (linktypes[i].dlt == dlt)
            return &linktypes[i];
        n += (size_t)snprintf(known + n, sizeof known - n, "%s%s",
                              n ? ", " : "",
                              pcap->datalink_val_to_name(linktypes[i].dlt));
    }
    dlt_name = pcap->datalink_val_to_name(dlt);
    snprintf(number, sizeof number, "%d", dlt);
    hg_error_set(error,
                 "link type %s of %s is not supported; supported are %s",
                 dlt_name ? dlt_name : number, name, known);
    return NULL;
}
