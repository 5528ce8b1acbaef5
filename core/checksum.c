/* checksum.c: the whole Internet checksum (checksum.h, RFC 1071).
 *
 * One's complement addition does not care about byte order (RFC 1071 2 B) nor
 * about word size (2 C): words of 64 bits are added as the machine loads
 * them, and only the folded 16 bits are put in network order. */
#include <headgate/checksum.h>

#include <string.h>

static inline uint64_t
load64(const uint8_t *at)
{
    uint64_t v;

    memcpy(&v, at, sizeof v);
    return v;
}

static inline uint64_t
add_carry(uint64_t sum, uint64_t v)
{
    sum += v;
    return sum + (sum < v);
}

/* Folds to 16 bits.  With its halves exchanged added to it, a number has the
 * sum of both and their carry in its upper half. */
static uint16_t
fold64(uint64_t v)
{
    uint32_t half = (uint32_t)((v + (v << 32 | v >> 32)) >> 32);

    return (uint16_t)((half + (half << 16 | half >> 16)) >> 16);
}

uint32_t
hg_checksum_add(uint32_t sum, const void *data, size_t len)
{
    const uint8_t *at = data;
    uint64_t a = 0, b = 0;
    uint16_t native;
    hg_be16 folded;

    for (; len >= 32; at += 32, len -= 32) {
        a = add_carry(a, load64(at));
        b = add_carry(b, load64(at + 8));
        a = add_carry(a, load64(at + 16));
        b = add_carry(b, load64(at + 24));
    }
    for (; len >= 8; at += 8, len -= 8)
        a = add_carry(a, load64(at));
    if (len & 4) {
        uint32_t v;

        memcpy(&v, at, sizeof v);
        b = add_carry(b, v);
        at += sizeof v;
    }
    if (len & 2) {
        memcpy(&native, at, sizeof native);
        b = add_carry(b, native);
        at += sizeof native;
    }
    if (len & 1) {
        const uint8_t last[2] = {*at, 0}; /* RFC 1071 1 */

        memcpy(&native, last, sizeof native);
        b = add_carry(b, native);
    }
    native = fold64(add_carry(a, b));
    memcpy(&folded, &native, sizeof folded);
    return fold64((uint64_t)sum + hg_get16(folded));
}

uint32_t
hg_checksum_pseudo4(uint32_t src, uint32_t dst, uint8_t protocol, uint32_t len)
{
    return (src >> 16) + (src & 0xffff) + (dst >> 16) + (dst & 0xffff) +
           protocol + (len >> 16) + (len & 0xffff);
}

uint32_t
hg_checksum_pseudo6(const uint8_t src[16], const uint8_t dst[16],
                    uint8_t protocol, uint32_t len)
{
    uint32_t sum = hg_checksum_add(protocol, src, 16);

    return hg_checksum_add(sum, dst, 16) + (len >> 16) + (len & 0xffff);
}
