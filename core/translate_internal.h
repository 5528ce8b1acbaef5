/* translate_internal.h: what translate.c (packets) and translate_icmp.c
 * (ICMP messages) share. */
#ifndef TRANSLATE_INTERNAL_H
#define TRANSLATE_INTERNAL_H 1

#include <headgate/checksum.h>
#include <headgate/translate.h>

enum {
    IP4_LEN = sizeof(struct hg_ipv4),
    IP6_LEN = sizeof(struct hg_ipv6),
    FRAG_LEN = sizeof(struct hg_ipv6_frag),
    ICMP_LEN = sizeof(struct hg_icmp),
    IP6_MTU_MIN = 1280 /* RFC 8200 5 */
};

/* A header of either version. */
struct ip_header {
    unsigned len; /* With options or extension headers. */
    uint8_t protocol;
    bool is_fragment; /* Or has a fragment header all the same. */
    bool more;
    uint16_t offset; /* In units of eight bytes. */
    uint32_t id;
    uint32_t payload; /* Bytes behind it, by its own account. */
};

/* What takes the place of the headers. */
struct build {
    uint8_t bytes[2 * (IP6_LEN + FRAG_LEN) + ICMP_LEN];
    unsigned len;
};

/* An ICMP message, and what it is to become. */
struct message {
    uint8_t type;
    uint8_t code;
    uint32_t rest; /* Bytes 4 to 7. */
    bool is_error;
    struct ip_header quoted; /* Of an error. */
    uint32_t here;           /* Bytes of it that stay, of those here, ... */
    uint32_t claim;          /* ... and by the account of its packet. */
};

/* Reads the header at 'ip', of which 'here' bytes are here. */
enum hg_translate_result translate_read4(const uint8_t *ip, uint32_t here,
                                         struct ip_header *);
enum hg_translate_result translate_read6(const uint8_t *ip, uint32_t here,
                                         struct ip_header *);

/* Appends the other version of the header 'h' at 'ip', which will be followed
 * by 'payload' bytes. */
void translate_put6(struct build *, const uint8_t *ip,
                    const struct ip_header *h, uint32_t payload,
                    const struct hg_ends6 *);
void translate_put4(struct build *, const uint8_t *ip,
                    const struct ip_header *h, uint32_t payload,
                    const struct hg_ends4 *, uint16_t id);

/* What changing bytes of one sum for those of another adds to a checksum's
 * complement, and a checksum after that. */
static inline uint32_t
translate_delta(uint32_t from, uint32_t to)
{
    return hg_checksum_fold(from) + (uint32_t)(uint16_t)~hg_checksum_fold(to);
}

static inline uint16_t
translate_changed(uint16_t checksum, uint32_t by)
{
    return hg_checksum_fold((uint16_t)~checksum + by);
}

/* The sum of the addresses of the header at 'ip'. */
static inline uint32_t
translate_sum4(const uint8_t *ip)
{
    return hg_checksum_add(0, ip + offsetof(struct hg_ipv4, src), 8);
}

static inline uint32_t
translate_sum6(const uint8_t *ip)
{
    return hg_checksum_add(0, ip + offsetof(struct hg_ipv6, src), 32);
}

/* Changes the checksum of the transport header at 'l4', if it is among the
 * 'here' bytes; returns the delta of those. */
uint32_t translate_l4(uint8_t *l4, uint8_t protocol, uint32_t here,
                      uint32_t by);

/* What becomes of the message at 'l4', of which 'here' bytes of 'claim' are
 * here. */
enum hg_translate_result translate_plan(const uint8_t *l4, uint32_t here,
                                        uint32_t claim, bool to6,
                                        const struct hg_translation *,
                                        struct message *);

/* How much longer the quote's header becomes. */
int translate_growth(const struct message *, bool to6);

/* Appends the message's header and that of its quote, and sets the checksum,
 * whose pseudo-header changes by 'pseudo'. */
void translate_put_message(struct build *, uint8_t *l4, uint32_t here,
                           const struct message *, bool to6,
                           const struct hg_translation *, uint32_t pseudo);

#endif
