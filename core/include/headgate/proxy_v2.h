/* headgate/proxy_v2.h: the PROXY protocol's header, version 2, as a Network
 * Load Balancer writes it ("The PROXY protocol", HAProxy, 2.2).
 *
 * Behind the addresses come a CRC32C of the whole header, the id of the VPC
 * endpoint if there is one (AWS's own type 0xEA), and padding up to a length
 * that depends on the address family alone.
 *
 * Thread-safety: pure. */
#ifndef HEADGATE_PROXY_V2_H
#define HEADGATE_PROXY_V2_H 1

#include <headgate/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HG_PROXY_V2_LEN4 100     /* Bytes of a header over IPv4, */
#define HG_PROXY_V2_LEN6 124     /* and over IPv6. */
#define HG_PROXY_V2_LOCAL_LEN 16 /* One without addresses (LOCAL). */
#define HG_PROXY_V2_ENDPOINT 58  /* Bytes of an endpoint's id, at most. */

struct hg_proxy_v2 {
    struct hg_addr src; /* The client, */
    struct hg_addr dst; /* and what it connected to. */
    uint16_t sport;
    uint16_t dport;
    const char *endpoint; /* "vpce-..." or NULL. */
};

static inline uint32_t
hg_proxy_v2_len(uint8_t family)
{
    return family == 6 ? HG_PROXY_V2_LEN6 : HG_PROXY_V2_LEN4;
}

/* Writes the header of a TCP connection: hg_proxy_v2_len() bytes. */
HG_API void hg_proxy_v2_write(const struct hg_proxy_v2 *, uint8_t *out);

/* Writes the header of a connection of the load balancer's own, such as a
 * health check. */
HG_API void hg_proxy_v2_write_local(uint8_t out[HG_PROXY_V2_LOCAL_LEN]);

/* CRC32C (Castagnoli; RFC 9260 appendix A) of 'len' bytes. */
HG_API uint32_t hg_crc32c(const void *data, size_t len);

#ifdef __cplusplus
}
#endif
#endif
