/* headgate/checksum.h: the Internet checksum, whole and incremental.
 *
 * A "sum" is a 32-bit accumulator of 16-bit words in network order read as
 * host numbers; hg_checksum_fold() makes the final 16-bit one's complement.
 *
 * Thread-safety: pure. */
#ifndef HEADGATE_CHECKSUM_H
#define HEADGATE_CHECKSUM_H 1

#include <string.h>

#include <headgate/headers.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Adds 'len' bytes at 'data' to 'sum' and returns it (RFC 1071).  An odd last
 * byte counts as the high half of a word, so only a last piece may be odd. */
HG_API uint32_t hg_checksum_add(uint32_t sum, const void *data, size_t len);

/* Folds 'sum' to 16 bits and complements it: what goes into the header, host
 * order. */
static inline uint16_t
hg_checksum_fold(uint32_t sum)
{
    sum += sum << 16 | sum >> 16; /* The carry of the lower half goes round. */
    return (uint16_t) ~(sum >> 16);
}

/* Whether the sum over an IPv4 header without options, 20 bytes, is that of a
 * right one (RFC 791 3.1); in whatever byte order (RFC 1071 2 B).  'more': a
 * sum over what else belongs to it. */
static inline bool
hg_checksum_ipv4_plain_ok(const void *header, uint64_t more)
{
    uint64_t half[2], sum;
    uint32_t last;

    memcpy(half, header, sizeof half);
    memcpy(&last, (const uint8_t *)header + sizeof half, sizeof last);
    more += last; /* Far below 2^64. */
    sum = half[0] + half[1];
    sum += sum < half[1]; /* The carry goes round: 2^64 is 1 */
    sum += more;
    sum += sum < more;
    /* ... modulo 65535, of which a sum that is all ones is a multiple.  Only
     * zeroes are 0. */
    return sum % 0xffff == 0 && sum != 0;
}

/* The same for a header of 'len' bytes, a multiple of four and at least 20. */
static inline bool
hg_checksum_ipv4_ok(const void *header, unsigned len)
{
    uint32_t option;
    uint64_t sum = 0;
    unsigned i;

    for (i = 20; i < len; i += 4) {
        memcpy(&option, (const uint8_t *)header + i, sizeof option);
        sum += option;
    }
    return hg_checksum_ipv4_plain_ok(header, sum);
}

/* The pseudo-header's part of the sum of TCP, UDP and ICMPv6 (RFC 9293 3.1,
 * RFC 8200 8.1).  'len' is the upper layer's length in bytes. */
HG_API uint32_t hg_checksum_pseudo4(uint32_t src, uint32_t dst,
                                    uint8_t protocol, uint32_t len);
HG_API uint32_t hg_checksum_pseudo6(const uint8_t src[16],
                                    const uint8_t dst[16], uint8_t protocol,
                                    uint32_t len);

/* The checksum at 'field' after a 16-bit word that it covers changed from
 * 'from' to 'to' (host order): RFC 1624 equation 3. */
static inline void
hg_checksum_update16(hg_be16 *field, uint16_t from, uint16_t to)
{
    uint32_t sum = (uint16_t)~hg_get16(*field);

    sum += (uint16_t)~from;
    sum += to;
    *field = hg_be16_of(hg_checksum_fold(sum));
}

/* The same where only the first byte of the word changed.  In whatever byte
 * order (RFC 1071 2 B): the byte counts as its place in memory does. */
static inline void
hg_checksum_update_first(hg_be16 *field, uint8_t from, uint8_t to)
{
    const uint32_t unit = hg_swap16(0x100);
    uint16_t checksum;
    uint32_t sum;

    memcpy(&checksum, field, sizeof checksum);
    sum = (uint16_t)~checksum + 0xffffu + to * unit - from * unit;
    checksum = hg_checksum_fold(sum);
    memcpy(field, &checksum, sizeof checksum);
}

/* The same for a 32-bit quantity such as an IPv4 address. */
static inline void
hg_checksum_update32(hg_be16 *field, uint32_t from, uint32_t to)
{
    uint32_t sum = (uint16_t)~hg_get16(*field);

    sum += (uint16_t) ~(from >> 16);
    sum += (uint16_t)~from;
    sum += to >> 16;
    sum += to & 0xffff;
    *field = hg_be16_of(hg_checksum_fold(sum));
}

/* UDP over IPv4 uses 0x0000 for "no checksum": such a field stays as it is,
 * and a result of zero is sent as 0xffff (RFC 768). */
static inline void
hg_checksum_update16_udp(hg_be16 *field, uint16_t from, uint16_t to)
{
    if (!(field->b[0] | field->b[1]))
        return;
    hg_checksum_update16(field, from, to);
    if (!(field->b[0] | field->b[1]))
        *field = hg_be16_of(0xffff);
}

static inline void
hg_checksum_update32_udp(hg_be16 *field, uint32_t from, uint32_t to)
{
    if (!(field->b[0] | field->b[1]))
        return;
    hg_checksum_update32(field, from, to);
    if (!(field->b[0] | field->b[1]))
        *field = hg_be16_of(0xffff);
}

#ifdef __cplusplus
}
#endif
#endif
