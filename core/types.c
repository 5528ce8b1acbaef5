/* types.c: reads and writes the value types of options (types.h).
 *
 * Numbers are read digit by digit, for strtoull() lets signs, spaces and
 * octal through; addresses are left to inet_pton(). */
#include <headgate/types.h>

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* A name of a multiple: "64k" is 64 times that of "k". */
struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit durations[] = {
    {"d", HG_DAY},   {"h", HG_HOUR},  {"m", HG_MINUTE}, {"s", HG_SEC},
    {"ms", HG_MSEC}, {"us", HG_USEC}, {"ns", 1},
};

static const struct unit multiples[] = {
    {"T", UINT64_C(1000000000000)},
    {"G", UINT64_C(1000000000)},
    {"M", UINT64_C(1000000)},
    {"k", UINT64_C(1000)},
    {"", 1},
};

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

bool
hg_error_set(struct hg_error *e, const char *format, ...)
{
    va_list args;

    if (!e)
        return false;
    va_start(args, format);
    vsnprintf(e->text, sizeof e->text, format, args);
    va_end(args);
    return false;
}

static int
digit_value(char c, unsigned base)
{
    int v = -1;

    if (c >= '0' && c <= '9')
        v = c - '0';
    else if (c >= 'a' && c <= 'f')
        v = c - 'a' + 10;
    else if (c >= 'A' && c <= 'F')
        v = c - 'A' + 10;
    return v < (int)base ? v : -1;
}

/* Reads at least one digit and moves '*text' behind the last. */
static bool
take_digits(const char **text, unsigned base, uint64_t *out)
{
    const char *s = *text;
    uint64_t value = 0;

    for (; digit_value(*s, base) >= 0; s++)
        if (__builtin_mul_overflow(value, base, &value) ||
            __builtin_add_overflow(value, (uint64_t)digit_value(*s, base),
                                   &value))
            return false;
    if (s == *text)
        return false;
    *text = s;
    *out = value;
    return true;
}

bool
hg_number_parse(const char *text, uint64_t *out)
{
    unsigned base = 10;
    uint64_t value;

    if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
        base = 16;
        text += 2;
    }
    if (!take_digits(&text, base, &value) || *text)
        return false;
    *out = value;
    return true;
}

bool
hg_bool_parse(const char *text, bool *out)
{
    static const char *const yes[] = {"true", "yes", "on"};
    static const char *const no[] = {"false", "no", "off"};
    size_t i;

    for (i = 0; i < LENGTH(yes); i++)
        if (!strcmp(text, yes[i]) || !strcmp(text, no[i])) {
            *out = !strcmp(text, yes[i]);
            return true;
        }
    return false;
}

bool
hg_addr_parse(const char *text, struct hg_addr *out)
{
    struct hg_addr a = {0};
    bool is_ip6 = strchr(text, ':') != NULL;

    if (inet_pton(is_ip6 ? AF_INET6 : AF_INET, text, a.byte) != 1)
        return false;
    a.family = is_ip6 ? 6 : 4;
    *out = a;
    return true;
}

char *
hg_addr_format(const struct hg_addr *a, char buf[HG_ADDR_STRLEN])
{
    if (a->family)
        inet_ntop(a->family == 6 ? AF_INET6 : AF_INET, a->byte, buf,
                  HG_ADDR_STRLEN);
    else
        strcpy(buf, "none");
    return buf;
}

/* The bits of byte 'i' that a prefix of 'len' bits covers. */
static uint8_t
prefix_mask(unsigned len, unsigned i)
{
    if (len >= i * 8 + 8)
        return 0xff;
    return (uint8_t)(len <= i * 8 ? 0 : 0xff00U >> (len - i * 8));
}

bool
hg_prefix_parse(const char *text, struct hg_prefix *out)
{
    char address[HG_ADDR_STRLEN];
    struct hg_prefix p;
    const char *slash = strchrnul(text, '/');
    size_t n = (size_t)(slash - text);
    uint64_t len;
    unsigned i;

    if (n >= sizeof address)
        return false;
    memcpy(address, text, n);
    address[n] = '\0';
    if (!hg_addr_parse(address, &p.addr))
        return false;
    len = p.addr.family == 4 ? 32 : 128;
    if (*slash) {
        uint64_t longest = len;

        slash++;
        if (!take_digits(&slash, 10, &len) || *slash || len > longest)
            return false;
    }
    p.len = (uint8_t)len;
    for (i = 0; i < sizeof p.addr.byte; i++)
        p.addr.byte[i] &= prefix_mask(p.len, i);
    *out = p;
    return true;
}

char *
hg_prefix_format(const struct hg_prefix *p, char buf[HG_PREFIX_STRLEN])
{
    size_t n = strlen(hg_addr_format(&p->addr, buf));

    snprintf(buf + n, HG_PREFIX_STRLEN - n, "/%u", p->len);
    return buf;
}

bool
hg_prefix_contains(const struct hg_prefix *p, const struct hg_addr *a)
{
    unsigned whole = p->len / 8;

    if (p->addr.family != a->family || memcmp(p->addr.byte, a->byte, whole))
        return false;
    return !(p->len % 8) || !((p->addr.byte[whole] ^ a->byte[whole]) &
                              prefix_mask(p->len, whole));
}

bool
hg_mac_parse(const char *text, struct hg_mac *out)
{
    struct hg_mac m;
    int i;

    for (i = 0; i < 6; i++, text += 3) {
        int high = digit_value(text[0], 16);
        int low = high < 0 ? -1 : digit_value(text[1], 16);

        if (low < 0 || text[2] != (i < 5 ? ':' : '\0'))
            return false;
        m.byte[i] = (uint8_t)(high * 16 + low);
    }
    *out = m;
    return true;
}

char *
hg_mac_format(const struct hg_mac *m, char buf[HG_MAC_STRLEN])
{
    snprintf(buf, HG_MAC_STRLEN, "%02x:%02x:%02x:%02x:%02x:%02x", m->byte[0],
             m->byte[1], m->byte[2], m->byte[3], m->byte[4], m->byte[5]);
    return buf;
}

bool
hg_port_range_parse(const char *text, struct hg_port_range *out)
{
    uint64_t low, high;

    if (!take_digits(&text, 10, &low))
        return false;
    high = low;
    if (*text == '-') {
        text++;
        if (!take_digits(&text, 10, &high))
            return false;
    }
    if (*text || low > high || high > UINT16_MAX)
        return false;
    out->low = (uint16_t)low;
    out->high = (uint16_t)high;
    return true;
}

static const struct unit *
find_unit(const char *name, size_t len, const struct unit *units, size_t n)
{
    size_t i;

    for (i = 0; i < n; i++)
        if (strlen(units[i].name) == len && !memcmp(units[i].name, name, len))
            return &units[i];
    return NULL;
}

bool
hg_duration_parse(const char *text, struct hg_duration *out)
{
    uint64_t sum = 0;

    if (!strcmp(text, "0")) {
        out->ns = 0;
        return true;
    }
    do {
        const struct unit *unit;
        uint64_t value;
        size_t len;

        if (!take_digits(&text, 10, &value))
            return false;
        len = strcspn(text, "0123456789");
        unit = find_unit(text, len, durations, LENGTH(durations));
        if (!unit || __builtin_mul_overflow(value, unit->factor, &value) ||
            __builtin_add_overflow(sum, value, &sum))
            return false;
        text += len;
    } while (*text);
    out->ns = sum;
    return true;
}

/* The largest unit that divides 'value'. */
static const struct unit *
whole_unit(uint64_t value, const struct unit *units)
{
    while (value % units->factor)
        units++;
    return units;
}

char *
hg_duration_format(uint64_t ns, char buf[HG_DURATION_STRLEN])
{
    const struct unit *unit = whole_unit(ns, durations);

    if (ns)
        snprintf(buf, HG_DURATION_STRLEN, "%" PRIu64 "%s", ns / unit->factor,
                 unit->name);
    else
        strcpy(buf, "0");
    return buf;
}

bool
hg_size_parse(const char *text, struct hg_size *out)
{
    static const char letters[] = "kMGT";
    const char *letter;
    uint64_t value;

    if (!take_digits(&text, 10, &value))
        return false;
    letter = *text == 'K' ? letters : strchr(letters, *text);
    if (*text && letter) {
        unsigned shift = 10 * (unsigned)(letter - letters + 1);

        if (__builtin_mul_overflow(value, UINT64_C(1) << shift, &value))
            return false;
        text++;
        if (text[0] == 'i' && text[1] == 'B')
            text++;
    }
    if (*text == 'B')
        text++;
    if (*text)
        return false;
    out->bytes = value;
    return true;
}

bool
hg_rate_parse(const char *text, struct hg_rate *out)
{
    const struct unit *unit;
    uint64_t value;
    size_t n;

    if (!take_digits(&text, 10, &value))
        return false;
    n = strlen(text);
    if (n < 3 || (strcmp(text + n - 3, "pps") && strcmp(text + n - 3, "bps")))
        return false;
    unit = find_unit(text, n - 3, multiples, LENGTH(multiples));
    if (!unit || __builtin_mul_overflow(value, unit->factor, &value))
        return false;
    out->per_second = value;
    out->unit = text[n - 3] == 'p' ? HG_RATE_PACKETS : HG_RATE_BITS;
    return true;
}

char *
hg_rate_format(const struct hg_rate *r, char buf[HG_RATE_STRLEN])
{
    const char *per = r->unit == HG_RATE_PACKETS ? "pps" : "bps";
    const struct unit *unit = whole_unit(r->per_second, multiples);

    if (r->per_second)
        snprintf(buf, HG_RATE_STRLEN, "%" PRIu64 "%s%s",
                 r->per_second / unit->factor, unit->name, per);
    else
        snprintf(buf, HG_RATE_STRLEN, "0%s", per);
    return buf;
}
