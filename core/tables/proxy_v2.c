/* proxy_v2.c: writes the headers of headgate/proxy_v2.h. */
#include <headgate/proxy_v2.h>

#include <headgate/headers.h>

#include <string.h>

enum { FIXED_LEN = 16, TLV_LEN = 3 }; /* Signature to length; type, length. */

/* The PROXY protocol, 2.2 and 2.2.2-2.2.5; AWS's from its ProProt library. */
enum {
    VERSION_LOCAL = 0x20,
    VERSION_PROXY = 0x21,
    FAMILY_TCP4 = 0x11,
    FAMILY_TCP6 = 0x21,
    TLV_CRC32C = 0x03,
    TLV_NOOP = 0x04,
    TLV_AWS = 0xea,
    AWS_VPCE_ID = 0x01
};

static const uint8_t signature[12] = {0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d,
                                      0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a};

/* The CRC of each of the sixteen values of four bits: polynomial 0x1EDC6F41,
 * reflected. */
static const uint32_t crc_of_nibble[16] = {
    0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3,
    0x61c69362, 0x7198540d, 0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
    0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75};

uint32_t
hg_crc32c(const void *data, size_t len)
{
    const uint8_t *at = data;
    uint32_t crc = UINT32_MAX;
    size_t i;

    for (i = 0; i < len; i++) {
        crc ^= at[i];
        crc = crc >> 4 ^ crc_of_nibble[crc & 15];
        crc = crc >> 4 ^ crc_of_nibble[crc & 15];
    }
    return ~crc;
}

static uint8_t *
write_tlv(uint8_t *out, uint8_t type, size_t len)
{
    out[0] = type;
    hg_store16(out + 1, (uint16_t)len);
    return out + TLV_LEN;
}

static uint8_t *
write_addresses(const struct hg_proxy_v2 *proxy, uint8_t *out)
{
    size_t size = proxy->src.family == 6 ? 16 : 4;

    memcpy(out, proxy->src.byte, size);
    memcpy(out + size, proxy->dst.byte, size);
    hg_store16(out + 2 * size, proxy->sport);
    hg_store16(out + 2 * size + 2, proxy->dport);
    return out + 2 * size + 4;
}

void
hg_proxy_v2_write(const struct hg_proxy_v2 *proxy, uint8_t *out)
{
    uint32_t len = hg_proxy_v2_len(proxy->src.family);
    uint8_t *at, *crc;

    memset(out, 0, len);
    memcpy(out, signature, sizeof signature);
    out[12] = VERSION_PROXY;
    out[13] = proxy->src.family == 6 ? FAMILY_TCP6 : FAMILY_TCP4;
    hg_store16(out + 14, (uint16_t)(len - FIXED_LEN));
    at = write_addresses(proxy, out + FIXED_LEN);
    crc = write_tlv(at, TLV_CRC32C, 4);
    at = crc + 4;
    if (proxy->endpoint) {
        size_t size = strnlen(proxy->endpoint, HG_PROXY_V2_ENDPOINT);

        at = write_tlv(at, TLV_AWS, 1 + size);
        *at++ = AWS_VPCE_ID;
        memcpy(at, proxy->endpoint, size);
        at += size;
    }
    write_tlv(at, TLV_NOOP, (size_t)(out + len - at) - TLV_LEN);
    hg_store32(crc, hg_crc32c(out, len)); /* With the field as zero. */
}

void
hg_proxy_v2_write_local(uint8_t out[HG_PROXY_V2_LOCAL_LEN])
{
    memset(out, 0, HG_PROXY_V2_LOCAL_LEN);
    memcpy(out, signature, sizeof signature);
    out[12] = VERSION_LOCAL;
}
