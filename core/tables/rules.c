/* rules.c: see rules.h; here are rules, keys and the scan. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../graph_internal.h"
#include "rules_internal.h"

#if defined __x86_64__
#include <immintrin.h>
#endif

/* The scan is the faster form up to here: with AVX-512, without, IPv6. */
enum { SCAN_WIDE_MAX = 128, SCAN_MAX = 32, SCAN6_MAX = 16 };

enum { LANES = 16, CHUNK = 32 };

/* Sixteen IPv4 rules, dimension by dimension: a value matches if it is less
 * than or equal to 'span' above 'low'.  Protocol 256 fills unused lanes. */
struct block {
    uint32_t low[DIMENSIONS][LANES];
    uint32_t span[DIMENSIONS][LANES];
};

/* The rules of one family, in order; 'index' is their place in the array. */
struct family {
    uint32_t n;
    uint32_t *index;
    struct block *block;      /* Scan, IPv4. */
    struct box *box;          /* Scan, IPv6. */
    struct bit_group **group; /* Bit vectors, one for each HG_RULES_GROUP. */
    uint32_t n_groups;
};

struct hg_rules {
    size_t n;
    bool wide; /* The machine has AVX-512. */
    struct family family[2];
};

void *
rules_alloc(size_t size)
{
    void *p;

    size = (size + 63) / 64 * 64;
    if (posix_memalign(&p, 64, size ? size : 64)) {
        fputs("headgate: out of memory\n", stderr);
        exit(1);
    }
    memset(p, 0, size);
    return p;
}

/* ---- Rules and keys --------------------------------------------------- */

void
hg_rule_init(struct hg_rule *rule)
{
    *rule = (struct hg_rule){.protocol = HG_RULE_ANY,
                             .sport = {0, UINT16_MAX},
                             .dport = {0, UINT16_MAX},
                             .icmp_type = HG_RULE_ANY,
                             .icmp_code = HG_RULE_ANY};
}

static u128
value_of(const struct hg_addr *addr)
{
    u128 value = 0;
    unsigned i;

    for (i = 0; i < (addr->family == 4 ? 4 : 16); i++)
        value = value << 8 | addr->byte[i];
    return value;
}

/* False if no address of the family is in the prefix. */
static bool
box_address(const struct hg_prefix *prefix, uint8_t family, u128 *low,
            u128 *high)
{
    unsigned width = family == 4 ? 32 : 128;
    u128 all = family == 4 ? UINT32_MAX : ~(u128)0;

    if (prefix->addr.family && prefix->addr.family != family)
        return false;
    *low = 0;
    *high = all;
    if (!prefix->addr.family || !prefix->len)
        return true;
    *high = prefix->len >= width ? 0 : all >> prefix->len;
    *low = value_of(&prefix->addr) & ~*high;
    *high |= *low;
    return true;
}

static bool
all_ports(const struct hg_port_range *range)
{
    return range->low == 0 && range->high == UINT16_MAX;
}

static void
box_service(const struct hg_rule *rule, struct box *box)
{
    u128 *low = &box->low[SERVICE], *high = &box->high[SERVICE];

    *low = 0;
    *high = HG_RULE_NO_SERVICE;
    if (rule->icmp_type >= 0) {
        *low = HG_RULE_ICMP + (uint32_t)rule->icmp_type * 256;
        *high = *low + 255;
        if (rule->icmp_code >= 0)
            *low = *high = *low + (uint8_t)rule->icmp_code;
    } else if (!all_ports(&rule->dport)) {
        *low = rule->dport.low;
        *high = rule->dport.high;
    }
}

/* The rule as a box for a family; false if it matches nothing of it. */
static bool
make_box(const struct hg_rule *rule, uint8_t family, struct box *box)
{
    bool ports = !all_ports(&rule->sport) || !all_ports(&rule->dport);

    if ((rule->family && rule->family != family) ||
        (ports && rule->icmp_type >= 0) ||
        rule->sport.low > rule->sport.high ||
        rule->dport.low > rule->dport.high ||
        !box_address(&rule->src, family, &box->low[SRC], &box->high[SRC]) ||
        !box_address(&rule->dst, family, &box->low[DST], &box->high[DST]))
        return false;
    box->low[SPORT] = rule->sport.low;
    box->high[SPORT] =
        all_ports(&rule->sport) ? HG_RULE_NO_PORT : rule->sport.high;
    box_service(rule, box);
    box->low[PROTOCOL] = rule->protocol < 0 ? 0 : (uint8_t)rule->protocol;
    box->high[PROTOCOL] =
        rule->protocol < 0 ? UINT8_MAX : (uint8_t)rule->protocol;
    return true;
}

static uint64_t
load64(const void *at)
{
    return (uint64_t)hg_load32(at) << 32 | hg_load32((const uint8_t *)at + 4);
}

void
hg_rule_key_init(struct hg_rule_key *key, const struct hg_addr *src,
                 const struct hg_addr *dst, uint8_t protocol)
{
    *key = (struct hg_rule_key){.sport = HG_RULE_NO_PORT,
                                .service = HG_RULE_NO_SERVICE,
                                .family = src->family,
                                .protocol = protocol};
    if (src->family == 4) {
        key->src[1] = hg_addr_ip4(src);
        key->dst[1] = hg_addr_ip4(dst);
    } else {
        key->src[0] = load64(src->byte);
        key->src[1] = load64(src->byte + 8);
        key->dst[0] = load64(dst->byte);
        key->dst[1] = load64(dst->byte + 8);
    }
}

void
hg_rule_key_of(const struct hg_packet *p, struct hg_rule_key *key)
{
    const struct hg_ipv4 *ip4 = hg_packet_ipv4(p);
    const struct hg_ipv6 *ip6 = hg_packet_ipv6(p);
    const uint8_t *l4 = hg_packet_l4(p);

    *key = (struct hg_rule_key){.sport = HG_RULE_NO_PORT,
                                .service = HG_RULE_NO_SERVICE,
                                .protocol = p->protocol};
    if (ip4) {
        key->family = 4;
        key->src[1] = hg_get32(ip4->src);
        key->dst[1] = hg_get32(ip4->dst);
    } else if (ip6) {
        key->family = 6;
        key->src[0] = load64(ip6->src);
        key->src[1] = load64(ip6->src + 8);
        key->dst[0] = load64(ip6->dst);
        key->dst[1] = load64(ip6->dst + 8);
    }
    if (hg_packet_tcp(p) || hg_packet_udp(p))
        hg_rule_key_set_ports(key, hg_load16(l4), hg_load16(l4 + 2));
    else if (hg_packet_icmp(p))
        hg_rule_key_set_icmp(key, l4[0], l4[1]);
}

static struct point
make_point(const struct hg_rule_key *key)
{
    struct point p = {{(u128)key->src[0] << 64 | key->src[1],
                       (u128)key->dst[0] << 64 | key->dst[1]},
                      {(uint32_t)key->src[1], (uint32_t)key->dst[1],
                       key->sport, key->service, key->protocol}};

    return p;
}

static bool
in_box(const struct box *box, const struct point *p, bool six)
{
    unsigned i;

    for (i = 0; i < DIMENSIONS; i++) {
        u128 value = six && i <= DST ? p->addr[i] : p->at[i];

        if (value < box->low[i] || value > box->high[i])
            return false;
    }
    return true;
}

bool
hg_rule_matches(const struct hg_rule *rule, const struct hg_rule_key *key)
{
    struct point p = make_point(key);
    struct box box;

    return key->family && make_box(rule, key->family, &box) &&
           in_box(&box, &p, key->family == 6);
}

/* ---- Scan ------------------------------------------------------------- */

static struct block *
make_blocks(const struct box *boxes, uint32_t n)
{
    uint32_t n_blocks = (n + LANES - 1) / LANES, i, d;
    struct block *blocks = rules_alloc(n_blocks * sizeof *blocks);

    for (i = 0; i < n_blocks * LANES; i++) {
        struct block *b = &blocks[i / LANES];

        if (i >= n)
            b->low[PROTOCOL][i % LANES] = 256;
        for (d = 0; d < DIMENSIONS && i < n; d++) {
            b->low[d][i % LANES] = (uint32_t)boxes[i].low[d];
            b->span[d][i % LANES] =
                (uint32_t)(boxes[i].high[d] - boxes[i].low[d]);
        }
    }
    return blocks;
}

static bool
in_lane(const struct block *b, uint32_t lane, const uint32_t *at)
{
    return at[DST] - b->low[DST][lane] <= b->span[DST][lane] &&
           at[SRC] - b->low[SRC][lane] <= b->span[SRC][lane] &&
           at[SERVICE] - b->low[SERVICE][lane] <= b->span[SERVICE][lane] &&
           at[PROTOCOL] - b->low[PROTOCOL][lane] <= b->span[PROTOCOL][lane] &&
           at[SPORT] - b->low[SPORT][lane] <= b->span[SPORT][lane];
}

static uint32_t
scan(const struct family *f, const uint32_t *at, uint32_t from)
{
    uint32_t i;

    for (i = from; i < f->n; i++)
        if (in_lane(&f->block[i / LANES], i % LANES, at))
            return i;
    return HG_RULES_NONE;
}

#if defined __x86_64__
/* All lanes of a block at once. */
__attribute__((target("avx512f"))) static uint32_t
scan_wide(const struct family *f, const uint32_t *at, uint32_t from)
{
    __mmask16 left = (__mmask16)(0xffffu << from % LANES);
    __m512i value[DIMENSIONS];
    uint32_t i, d;

    for (d = 0; d < DIMENSIONS; d++)
        value[d] = _mm512_set1_epi32((int)at[d]);
    for (i = from / LANES; i * LANES < f->n; i++, left = 0xffff) {
        const struct block *b = &f->block[i];

        for (d = 0; d < DIMENSIONS; d++) {
            __m512i low = _mm512_load_si512(b->low[d]);

            left = _mm512_mask_cmple_epu32_mask(
                left, _mm512_sub_epi32(value[d], low),
                _mm512_load_si512(b->span[d]));
        }
        if (left)
            return i * LANES + (uint32_t)__builtin_ctz(left);
    }
    return HG_RULES_NONE;
}

static bool
is_wide(void)
{
    return __builtin_cpu_supports("avx512f");
}
#else
static uint32_t
scan_wide(const struct family *f, const uint32_t *at, uint32_t from)
{
    return scan(f, at, from);
}

static bool
is_wide(void)
{
    return false;
}
#endif

static uint32_t
scan6(const struct family *f, const struct point *p, uint32_t from)
{
    uint32_t i;

    for (i = from; i < f->n; i++)
        if (in_box(&f->box[i], p, true))
            return i;
    return HG_RULES_NONE;
}

/* ---- Tables ----------------------------------------------------------- */

static bool
is_scan(const struct hg_rules *t, uint32_t n, bool six,
        enum hg_rules_form form)
{
    if (form != HG_RULES_AUTO)
        return form == HG_RULES_SCAN;
    return n <= (six ? SCAN6_MAX : t->wide ? SCAN_WIDE_MAX : SCAN_MAX);
}

static void
build_family(struct hg_rules *t, bool six, const struct box *boxes,
             enum hg_rules_form form)
{
    struct family *f = &t->family[six];
    uint32_t i;

    if (is_scan(t, f->n, six, form)) {
        if (six)
            f->box = memcpy(rules_alloc(f->n * sizeof *boxes), boxes,
                            f->n * sizeof *boxes);
        else
            f->block = make_blocks(boxes, f->n);
    } else {
        f->n_groups = (f->n + HG_RULES_GROUP - 1) / HG_RULES_GROUP;
        f->group = xcalloc(f->n_groups, sizeof *f->group);
        for (i = 0; i < f->n_groups; i++) {
            uint32_t at = i * HG_RULES_GROUP, n = f->n - at;

            f->group[i] = bit_group_create(
                boxes + at, n < HG_RULES_GROUP ? n : HG_RULES_GROUP,
                six ? 6 : 4);
        }
    }
}

struct hg_rules *
hg_rules_create(const struct hg_rule *rules, size_t n, enum hg_rules_form form)
{
    struct hg_rules *t = xcalloc(1, sizeof *t);
    unsigned six;
    size_t i;

    t->n = n;
    t->wide = is_wide();
    for (six = 0; six < 2; six++) {
        struct family *f = &t->family[six];
        struct box *boxes = rules_alloc(n * sizeof *boxes);

        f->index = xcalloc(n, sizeof *f->index);
        for (i = 0; i < n; i++)
            if (make_box(&rules[i], six ? 6 : 4, &boxes[f->n]))
                f->index[f->n++] = (uint32_t)i;
        build_family(t, six, boxes, form);
        free(boxes);
    }
    return t;
}

void
hg_rules_destroy(struct hg_rules *t)
{
    unsigned six;
    uint32_t i;

    if (!t)
        return;
    for (six = 0; six < 2; six++) {
        struct family *f = &t->family[six];

        for (i = 0; i < f->n_groups; i++)
            bit_group_destroy(f->group[i]);
        free(f->group);
        free(f->block);
        free(f->box);
        free(f->index);
    }
    free(t);
}

size_t
hg_rules_count(const struct hg_rules *t)
{
    return t->n;
}

size_t
hg_rules_bytes(const struct hg_rules *t)
{
    size_t bytes = sizeof *t;
    unsigned six;
    uint32_t i;

    for (six = 0; six < 2; six++) {
        const struct family *f = &t->family[six];

        bytes += f->n * sizeof *f->index;
        bytes += f->block ? (f->n + LANES - 1) / LANES * sizeof *f->block : 0;
        bytes += f->box ? f->n * sizeof *f->box : 0;
        for (i = 0; i < f->n_groups; i++)
            bytes += bit_group_bytes(f->group[i]) + sizeof *f->group;
    }
    return bytes;
}

/* ---- Looking up ------------------------------------------------------- */

/* The first rule of the family from the from-th on, by its number there. */
static uint32_t
family_first(const struct hg_rules *t, const struct family *f,
             const struct point *p, uint32_t from)
{
    const uint64_t *vector[DIMENSIONS];
    uint32_t g, found;

    if (f->block)
        return t->wide ? scan_wide(f, p->at, from) : scan(f, p->at, from);
    if (f->box)
        return scan6(f, p, from);
    for (g = from / HG_RULES_GROUP; g < f->n_groups; g++) {
        bit_group_locate(f->group[g], p, vector);
        found = bit_group_first(
            f->group[g], vector,
            from > g * HG_RULES_GROUP ? from % HG_RULES_GROUP : 0, t->wide);
        if (found != HG_RULES_NONE)
            return g * HG_RULES_GROUP + found;
    }
    return HG_RULES_NONE;
}

uint32_t
hg_rules_next(const struct hg_rules *t, const struct hg_rule_key *key,
              uint32_t from)
{
    const struct family *f = &t->family[key->family == 6];
    struct point p = make_point(key);
    uint32_t low = 0, high = f->n, found;

    if (!key->family)
        return HG_RULES_NONE;
    while (low < high) {
        uint32_t middle = (low + high) / 2;

        if (f->index[middle] < from)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == f->n)
        return HG_RULES_NONE;
    found = family_first(t, f, &p, low);
    return found == HG_RULES_NONE ? found : f->index[found];
}

uint32_t
hg_rules_first(const struct hg_rules *t, const struct hg_rule_key *key)
{
    const struct family *f = &t->family[key->family == 6];
    struct point p = make_point(key);
    uint32_t found =
        key->family && f->n ? family_first(t, f, &p, 0) : HG_RULES_NONE;

    return found == HG_RULES_NONE ? found : f->index[found];
}

/* Up to CHUNK keys of the family through its bit vectors: all are located in
 * a group before the first one's vectors are read. */
static void
groups_batch(const struct hg_rules *t, const struct family *f, unsigned n,
             const struct hg_rule_key *const *key, uint32_t *const *out)
{
    const uint64_t *vector[CHUNK][DIMENSIONS];
    uint8_t waiting[CHUNK];
    struct point p[CHUNK];
    unsigned i, k;
    uint32_t g;

    for (i = 0; i < n; i++) {
        p[i] = make_point(key[i]);
        waiting[i] = (uint8_t)i;
        *out[i] = HG_RULES_NONE;
    }
    for (g = 0; g < f->n_groups && n; g++) {
        unsigned left = 0;

        for (i = 0; i < n; i++)
            bit_group_locate(f->group[g], &p[waiting[i]], vector[i]);
        for (i = 0; i < n; i++) {
            uint32_t found =
                bit_group_first(f->group[g], vector[i], 0, t->wide);

            k = waiting[i];
            if (found == HG_RULES_NONE)
                waiting[left++] = (uint8_t)k;
            else
                *out[k] = f->index[g * HG_RULES_GROUP + found];
        }
        n = left;
    }
}

void
hg_rules_first_batch(const struct hg_rules *t, unsigned n,
                     const struct hg_rule_key *keys, uint32_t *index)
{
    const struct hg_rule_key *key[CHUNK];
    uint32_t *out[CHUNK];
    unsigned i, n_waiting;
    unsigned six;

    for (i = 0; i < n; i++)
        if (!keys[i].family || !t->family[keys[i].family == 6].n_groups)
            index[i] = hg_rules_first(t, &keys[i]);
    for (six = 0; six < 2; six++) {
        if (!t->family[six].n_groups)
            continue;
        for (i = 0, n_waiting = 0; i < n; i++) {
            if (keys[i].family != (six ? 6 : 4))
                continue;
            key[n_waiting] = &keys[i];
            out[n_waiting++] = &index[i];
            if (n_waiting == CHUNK) {
                groups_batch(t, &t->family[six], CHUNK, key, out);
                n_waiting = 0;
            }
        }
        groups_batch(t, &t->family[six], n_waiting, key, out);
    }
}
