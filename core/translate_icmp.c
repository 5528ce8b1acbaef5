/* translate_icmp.c: what ICMP messages become in the other version (RFC 7915
 * 4.2, 4.3, 5.2, 5.3), for translate.c. */
#include "translate_internal.h"

enum { NONE = 255 };

enum { UNREACH4_TOO_BIG = 4, UNREACH4_N = 16, PARAMETER6_NEXT_HEADER = 1 };

/* ---- Types and codes -------------------------------------------------- */

/* ICMPv6 code of "unreachable" for each code of ICMP's (RFC 7915 4.2); two
 * become messages of other types. */
static const uint8_t unreach6[UNREACH4_N] = {0, 0, NONE, 4, NONE, 0, 0,    0,
                                             0, 1, 1,    0, 0,    1, NONE, 1};

/* The same the other way round (5.2). */
static const uint8_t unreach4[] = {1, 10, 1, 1, 3};

/* Where the byte of a header that is wrong is in the other version (RFC 7915
 * figures 3 and 6). */
static const uint8_t pointer6[IP4_LEN] = {0,    1, 4,  4,    NONE, NONE, NONE,
                                          NONE, 7, 6,  NONE, NONE, 8,    8,
                                          8,    8, 24, 24,   24,   24};

static uint8_t
pointer4(uint32_t at)
{
    static const uint8_t first[] = {0, 1, NONE, NONE, 2, 2, 9, 8};

    if (at < sizeof first)
        return first[at];
    if (at < offsetof(struct hg_ipv6, dst))
        return offsetof(struct hg_ipv4, src);
    return at < IP6_LEN ? offsetof(struct hg_ipv4, dst) : NONE;
}

/* The MTU of a router that does not tell: the plateau below the length of
 * the packet that did not fit (RFC 1191 5). */
static uint32_t
plateau(uint32_t len)
{
    static const uint16_t plateaus[] = {65535, 32000, 17914, 8166, 4352, 2002,
                                        1492,  1006,  508,   296,  68};
    unsigned i = 0;

    while (i < sizeof plateaus / sizeof plateaus[0] - 1 && plateaus[i] >= len)
        i++;
    return plateaus[i];
}

static uint32_t
least(uint32_t a, uint32_t b)
{
    return b && b < a ? b : a;
}

static bool
unreachable6(struct message *m, const struct hg_translation *t, uint32_t len)
{
    uint32_t mtu = m->rest & UINT16_MAX;

    m->type = HG_ICMP6_UNREACH;
    m->rest = 0;
    if (m->code == 2) { /* Protocol unreachable: its field is to blame. */
        m->type = HG_ICMP6_PARAMETER;
        m->code = PARAMETER6_NEXT_HEADER;
        m->rest = offsetof(struct hg_ipv6, next_header);
        return true;
    }
    if (m->code == UNREACH4_TOO_BIG) {
        m->type = HG_ICMP6_TOO_BIG;
        m->code = 0;
        mtu = (mtu ? mtu : plateau(len)) + IP6_LEN - IP4_LEN;
        mtu = least(least(mtu, t->mtu6), t->mtu4 ? t->mtu4 + 20u : 0);
        m->rest = mtu > IP6_MTU_MIN ? mtu : IP6_MTU_MIN;
        return true;
    }
    m->code = m->code < UNREACH4_N ? unreach6[m->code] : NONE;
    return m->code != NONE;
}

/* Turns an error of ICMP into one of ICMPv6; false if there is none.  'len'
 * is that of the packet that it quotes. */
static bool
error6(struct message *m, const struct hg_translation *t, uint32_t len)
{
    uint32_t at = m->rest >> 24;

    switch (m->type) {
    case HG_ICMP_UNREACH:
        return unreachable6(m, t, len);
    case HG_ICMP_TIME_EXCEEDED:
        m->type = HG_ICMP6_TIME_EXCEEDED;
        m->rest = 0;
        return true;
    case HG_ICMP_PARAMETER:
        if ((m->code != 0 && m->code != 2) || at >= IP4_LEN ||
            pointer6[at] == NONE)
            return false;
        m->type = HG_ICMP6_PARAMETER;
        m->code = 0;
        m->rest = pointer6[at];
        return true;
    }
    return false;
}

static bool
parameter4(struct message *m)
{
    uint8_t at = pointer4(m->rest);

    m->type = HG_ICMP_PARAMETER;
    if (m->code == PARAMETER6_NEXT_HEADER) {
        m->type = HG_ICMP_UNREACH;
        m->code = 2;
        m->rest = 0;
        return true;
    }
    m->rest = (uint32_t)at << 24;
    return m->code == 0 && at != NONE;
}

/* The reverse. */
static bool
error4(struct message *m, const struct hg_translation *t)
{
    uint32_t mtu = m->rest > 88 ? m->rest - 20 : 68; /* RFC 791: 68 */

    switch (m->type) {
    case HG_ICMP6_UNREACH:
        if (m->code >= sizeof unreach4)
            return false;
        m->type = HG_ICMP_UNREACH;
        m->code = unreach4[m->code];
        m->rest = 0;
        return true;
    case HG_ICMP6_TOO_BIG:
        mtu = least(least(mtu, t->mtu4), t->mtu6 ? t->mtu6 - 20u : 0);
        m->type = HG_ICMP_UNREACH;
        m->code = UNREACH4_TOO_BIG;
        m->rest = mtu < UINT16_MAX ? mtu : UINT16_MAX;
        return true;
    case HG_ICMP6_TIME_EXCEEDED:
        m->type = HG_ICMP_TIME_EXCEEDED;
        m->rest = 0;
        return true;
    case HG_ICMP6_PARAMETER:
        return parameter4(m);
    }
    return false;
}

/* An echo or its reply. */
static bool
query(uint8_t *type, bool to6)
{
    static const uint8_t types4[] = {HG_ICMP_ECHO, HG_ICMP_ECHO_REPLY};
    static const uint8_t types6[] = {HG_ICMP6_ECHO, HG_ICMP6_ECHO_REPLY};
    unsigned i;

    for (i = 0; i < 2; i++)
        if (*type == (to6 ? types4 : types6)[i]) {
            *type = (to6 ? types6 : types4)[i];
            return true;
        }
    return false;
}

/* ---- Messages --------------------------------------------------------- */

/* Where the quote ends if extensions follow it (RFC 4884 3), else 'here'. */
static uint32_t
quote_end(const uint8_t *l4, uint32_t here, bool to6)
{
    bool can =
        to6 ? l4[0] == HG_ICMP_UNREACH || l4[0] == HG_ICMP_TIME_EXCEEDED ||
                  l4[0] == HG_ICMP_PARAMETER
            : l4[0] == HG_ICMP6_UNREACH || l4[0] == HG_ICMP6_TIME_EXCEEDED;
    uint32_t len = can ? to6 ? l4[5] * 4u : l4[4] * 8u : 0;

    return len && ICMP_LEN + len < here ? ICMP_LEN + len : here;
}

int
translate_growth(const struct message *m, bool to6)
{
    unsigned len = IP4_LEN;

    if (!m->is_error)
        return 0;
    if (to6)
        len = IP6_LEN + (m->quoted.is_fragment ? FRAG_LEN : 0);
    return (int)len - (int)m->quoted.len;
}

/* An ICMPv6 error is no longer than the least MTU (RFC 4443 2.4 c). */
static void
shorten(struct message *m)
{
    uint32_t len = IP6_LEN + m->here + (uint32_t)translate_growth(m, true);

    if (m->here != m->claim || len <= IP6_MTU_MIN)
        return;
    m->here = (m->here - (len - IP6_MTU_MIN)) & ~1u;
    m->claim = m->here;
}

enum hg_translate_result
translate_plan(const uint8_t *l4, uint32_t here, uint32_t claim, bool to6,
               const struct hg_translation *t, struct message *m)
{
    const uint8_t *ip = l4 + ICMP_LEN;
    uint8_t type;

    *m = (struct message){.type = l4[0],
                          .code = l4[1],
                          .rest = hg_load32(l4 + 4),
                          .here = here,
                          .claim = claim};
    if (query(&m->type, to6))
        return HG_TRANSLATED;
    if (!hg_icmp_is_error(to6 ? 4 : 6, m->type))
        return HG_TRANSLATE_NO_ICMP;
    m->is_error = true;
    m->here = quote_end(l4, here, to6);
    if (m->here < here)
        m->claim = m->here;
    if ((to6 ? translate_read4 : translate_read6)(ip, m->here - ICMP_LEN,
                                                  &m->quoted))
        return HG_TRANSLATE_BROKEN;
    type = m->here > ICMP_LEN + m->quoted.len ? ip[m->quoted.len] : 0;
    if (!m->quoted.offset &&
        m->quoted.protocol == (to6 ? HG_PROTO_ICMP : HG_PROTO_ICMP6) &&
        !query(&type, to6))
        return HG_TRANSLATE_NO_ICMP;
    if (!(to6 ? error6(m, t, m->quoted.len + m->quoted.payload)
              : error4(m, t)))
        return HG_TRANSLATE_NO_ICMP;
    if (to6)
        shorten(m);
    return HG_TRANSLATED;
}

/* What changes in the quoted transport header: its checksum, and the type of
 * a query.  Returns the delta of its bytes. */
static uint32_t
change_quoted(uint8_t *l4, uint32_t here, const struct ip_header *h,
              uint32_t sum4, uint32_t sum6, bool to6)
{
    uint32_t by = 0, pseudo = sum6 + HG_PROTO_ICMP6 + h->payload;

    if (h->offset || !here)
        return 0;
    if (h->protocol != HG_PROTO_ICMP && h->protocol != HG_PROTO_ICMP6)
        return translate_l4(l4, h->protocol, here,
                            to6 ? translate_delta(sum4, sum6)
                                : translate_delta(sum6, sum4));
    if (here >= 2) {
        uint16_t from = hg_load16(l4);

        query(l4, to6);
        by = translate_delta(from, hg_load16(l4));
    }
    return by + translate_l4(l4, h->protocol, here,
                             by + (to6 ? translate_delta(0, pseudo)
                                       : translate_delta(pseudo, 0)));
}

/* The sum of a message's header without its checksum. */
static uint32_t
header_sum(const uint8_t *l4)
{
    return hg_checksum_add(hg_load16(l4), l4 + 4, 4);
}

static uint32_t
put_quote(struct build *b, uint8_t *ip, const struct message *m, bool to6,
          const struct hg_translation *t)
{
    const struct ip_header *h = &m->quoted;
    const uint8_t *new = b->bytes + b->len;
    unsigned len;

    if (to6)
        translate_put6(b, ip, h, h->payload, &t->to6.quoted);
    else
        translate_put4(b, ip, h, h->payload, &t->to4.quoted, 0);
    len = (unsigned)(b->bytes + b->len - new);
    return translate_delta(hg_checksum_add(0, ip, h->len),
                           hg_checksum_add(0, new, len)) +
           change_quoted(ip + h->len, m->here - ICMP_LEN - h->len, h,
                         translate_sum4(to6 ? ip : new),
                         translate_sum6(to6 ? new : ip), to6);
}

void
translate_put_message(struct build *b, uint8_t *l4, uint32_t here,
                      const struct message *m, bool to6,
                      const struct hg_translation *t, uint32_t pseudo)
{
    uint8_t *at = b->bytes + b->len;
    uint32_t by = pseudo;

    at[0] = m->type;
    at[1] = m->code;
    hg_store32(at + 4, m->rest);
    b->len += ICMP_LEN;
    by += translate_delta(header_sum(l4), header_sum(at));
    if (m->is_error) {
        by += translate_delta(hg_checksum_add(0, l4 + m->here, here - m->here),
                              0);
        by += put_quote(b, l4 + ICMP_LEN, m, to6, t);
    }
    hg_store16(at + 2, translate_changed(hg_load16(l4 + 2), by));
}
