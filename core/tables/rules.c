/* rules.c: see rules.h; here are rules, keys, and which form a table takes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../graph_internal.h"
#include "rules_internal.h"

/* The rules of one family, in order, in one of the forms. */
struct family {
    uint32_t n; /* Boxes. */
    struct forest *forest;
    struct bit_group **group; /* Bit vectors, one for each HG_RULES_GROUP. */
    uint32_t n_groups;
    uint32_t *index; /* Of bit vectors: their boxes' rules. */
};

struct hg_rules {
    size_t n;
    const struct kernel *kernel;
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

/* The words from 'at' on that addresses of the prefix have; false if no
 * address of the family is in it. */
static bool
box_address(const struct hg_prefix *prefix, bool six, unsigned at,
            struct box *box)
{
    unsigned n = six ? 4 : 1, i;

    if (prefix->addr.family && prefix->addr.family != (six ? 6 : 4))
        return false;
    for (i = 0; i < n; i++) {
        unsigned len = !prefix->addr.family || prefix->len <= 32 * i
                           ? 0
                           : prefix->len - 32 * i;
        uint32_t free_bits = len >= 32 ? 0 : UINT32_MAX >> len;

        box->low[at + i] =
            hg_load32(prefix->addr.byte + sizeof(uint32_t) * i) & ~free_bits;
        box->high[at + i] = box->low[at + i] | free_bits;
    }
    return true;
}

static bool
all_ports(const struct hg_port_range *range)
{
    return range->low == 0 && range->high == UINT16_MAX;
}

static void
set_service(struct box *box, uint32_t protocol, uint32_t low, uint32_t high)
{
    box->low[HG_RULE_SERVICE] = protocol * HG_RULE_PROTOCOL + low;
    box->high[HG_RULE_SERVICE] = protocol * HG_RULE_PROTOCOL + high;
}

/* The service of the first box; how many boxes it takes: destination ports of
 * any protocol are those of TCP and those of UDP. */
static unsigned
box_service(const struct hg_rule *rule, bool six, struct box *box)
{
    uint32_t protocol = (uint8_t)rule->protocol, low, high;

    if (rule->icmp_type >= 0) {
        low = HG_RULE_ICMP + (uint32_t)rule->icmp_type * 256;
        high = low + 255;
        if (rule->icmp_code >= 0)
            low = high = low + (uint8_t)rule->icmp_code;
        if (rule->protocol < 0)
            protocol = six ? HG_PROTO_ICMP6 : HG_PROTO_ICMP;
        set_service(box, protocol, low, high);
    } else if (all_ports(&rule->dport)) {
        set_service(box, protocol, 0, HG_RULE_PROTOCOL - 1);
        if (rule->protocol < 0)
            box->low[HG_RULE_SERVICE] = 0;
    } else if (rule->protocol >= 0) {
        set_service(box, protocol, rule->dport.low, rule->dport.high);
    } else {
        box[1] = box[0];
        set_service(&box[0], HG_PROTO_TCP, rule->dport.low, rule->dport.high);
        set_service(&box[1], HG_PROTO_UDP, rule->dport.low, rule->dport.high);
        return 2;
    }
    return 1;
}

/* The rule as boxes for a family, at most two; how many: none if it matches
 * nothing of it. */
static unsigned
make_boxes(const struct hg_rule *rule, bool six, struct box *box)
{
    bool ports = !all_ports(&rule->sport) || !all_ports(&rule->dport);

    if ((rule->family && rule->family != (six ? 6 : 4)) ||
        (ports && rule->icmp_type >= 0) ||
        rule->sport.low > rule->sport.high ||
        rule->dport.low > rule->dport.high ||
        !box_address(&rule->src, six, HG_RULE_SRC, box) ||
        !box_address(&rule->dst, six, HG_RULE_DST, box))
        return 0;
    box->low[HG_RULE_SPORT] = rule->sport.low;
    box->high[HG_RULE_SPORT] =
        all_ports(&rule->sport) ? HG_RULE_NO_PORT : rule->sport.high;
    return box_service(rule, six, box);
}

static bool
is_in_box(const struct hg_rule_key *key, const struct box *box)
{
    bool six = key->family == 6;
    unsigned d;

    for (d = 0; d < n_words(six); d++) {
        unsigned word = rules_words[six][d];

        if (key->at[word] < box->low[word] || key->at[word] > box->high[word])
            return false;
    }
    return true;
}

void
hg_rule_key_init(struct hg_rule_key *key, const struct hg_addr *src,
                 const struct hg_addr *dst, uint8_t protocol)
{
    unsigned n = src->family == 4 ? 1 : 4, i;

    *key = (struct hg_rule_key){.family = src->family};
    for (i = 0; i < n; i++) {
        key->at[HG_RULE_SRC + i] = hg_load32(src->byte + 4 * i);
        key->at[HG_RULE_DST + i] = hg_load32(dst->byte + 4 * i);
    }
    key->at[HG_RULE_SPORT] = HG_RULE_NO_PORT;
    key->at[HG_RULE_SERVICE] =
        protocol * (uint32_t)HG_RULE_PROTOCOL + HG_RULE_NO_SERVICE;
}

#define INLINE static inline __attribute__((always_inline))

/* What a key takes from the four bytes with which a transport header begins,
 * and what stands there instead. */
struct reading {
    uint32_t offset; /* All bits if those bytes are read at all. */
    uint32_t sport, no_sport;
    uint32_t dport, type, no_service;
};

enum { NOTHING, TYPE, PORTS };

static const struct reading readings[] = {
    [NOTHING] = {0, 0, HG_RULE_NO_PORT, 0, 0, HG_RULE_NO_SERVICE},
    [TYPE] = {UINT32_MAX, 0, HG_RULE_NO_PORT, 0, 0xffff, HG_RULE_ICMP},
    [PORTS] = {UINT32_MAX, 0xffff, 0, 0xffff, 0, 0},
};

/* What the transport header of an IP packet says; by a table and not by
 * branches, for protocols come mixed.  Word w of a key is at[w * step]. */
INLINE void
read_service(const struct hg_packet *p, uint32_t *at, unsigned step)
{
    uint32_t flags = p->flags, protocol = p->protocol;
    unsigned kind = (flags & HG_PACKET_L4) / HG_PACKET_L4 * TYPE +
                    (flags & HG_PACKET_PORTS) / HG_PACKET_PORTS;
    const struct reading *r = &readings[kind];
    uint32_t word = hg_load32(p->data + (p->l4_offset & r->offset));
    uint32_t first = word >> 16;

    at[HG_RULE_SPORT * step] = (first & r->sport) | r->no_sport;
    at[HG_RULE_SERVICE * step] = (first & r->type) | (word & r->dport) |
                                 r->no_service | protocol * HG_RULE_PROTOCOL;
}

INLINE void
read_ip4(const struct hg_packet *p, uint32_t *at, unsigned step)
{
    const struct hg_ipv4 *ip = (const struct hg_ipv4 *)hg_packet_l3(p);
    uint32_t src = hg_load32(&ip->src), dst = hg_load32(&ip->dst);

    read_service(p, at, step);
    at[HG_RULE_SRC * step] = src;
    at[HG_RULE_DST * step] = dst;
}

INLINE void
read_ip6(const struct hg_packet *p, uint32_t *at, unsigned step)
{
    const struct hg_ipv6 *ip = (const struct hg_ipv6 *)hg_packet_l3(p);
    unsigned i;

    for (i = 0; i < 4; i++) {
        at[(HG_RULE_SRC + i) * step] = hg_load32(&ip->src[4 * i]);
        at[(HG_RULE_DST + i) * step] = hg_load32(&ip->dst[4 * i]);
    }
    read_service(p, at, step);
}

/* What fills up a vector of keys. */
static void
end_keys(struct hg_rule_keys *keys, unsigned n)
{
    unsigned d;

    keys->n = n;
    for (; n % LANES; n++)
        for (d = 0; d < WORDS; d++)
            keys->at[d][n] = 0;
}

void
hg_rule_keys_of(struct hg_packet *const *p, unsigned n,
                struct hg_rule_keys *keys)
{
    unsigned families = 0, i;

    for (i = 0; i < n; i++) {
        uint32_t *at = &keys->at[0][i];

        if (__builtin_expect((p[i]->flags & HG_PACKET_IP4) != 0, 1)) {
            read_ip4(p[i], at, HG_RULE_KEYS);
            keys->family[i] = 4;
            families |= 1u << 4;
        } else if (p[i]->flags & HG_PACKET_IP6) {
            read_ip6(p[i], at, HG_RULE_KEYS);
            keys->family[i] = 6;
            families |= 1u << 6;
        } else {
            keys->family[i] = 0;
            families |= 1;
        }
    }
    keys->families = families;
    end_keys(keys, n);
}

void
hg_rule_keys_set(struct hg_rule_keys *keys, const struct hg_rule_key *key,
                 unsigned n)
{
    unsigned i, d;

    keys->families = 0;
    for (i = 0; i < n; i++) {
        for (d = 0; d < WORDS; d++)
            keys->at[d][i] = key[i].at[d];
        keys->family[i] = key[i].family;
        keys->families |= 1u << key[i].family;
    }
    end_keys(keys, n);
}

struct hg_rule_key
hg_rule_keys_get(const struct hg_rule_keys *keys, unsigned i)
{
    struct hg_rule_key key = {.family = keys->family[i]};
    bool six = key.family == 6;
    unsigned d;

    for (d = 0; key.family && d < n_words(six); d++)
        key.at[rules_words[six][d]] = keys->at[rules_words[six][d]][i];
    return key;
}

void
hg_rule_key_of(const struct hg_packet *p, struct hg_rule_key *key)
{
    *key = (struct hg_rule_key){.family = 0};
    if (p->flags & HG_PACKET_IP4) {
        read_ip4(p, key->at, 1);
        key->family = 4;
    } else if (p->flags & HG_PACKET_IP6) {
        read_ip6(p, key->at, 1);
        key->family = 6;
    }
}

struct hg_rule_key
hg_rule_key_reversed(const struct hg_rule_key *key)
{
    struct hg_rule_key r = *key;

    memcpy(r.at + HG_RULE_SRC, key->at + HG_RULE_DST, 4 * sizeof *r.at);
    memcpy(r.at + HG_RULE_DST, key->at + HG_RULE_SRC, 4 * sizeof *r.at);
    if (key->at[HG_RULE_SPORT] < HG_RULE_NO_PORT)
        hg_rule_key_set_service(&r, (uint16_t)key->at[HG_RULE_SERVICE],
                                key->at[HG_RULE_SPORT]);
    return r;
}

bool
hg_rule_matches(const struct hg_rule *rule, const struct hg_rule_key *key)
{
    struct box box[2];
    unsigned n = key->family ? make_boxes(rule, key->family == 6, box) : 0;

    return (n > 0 && is_in_box(key, &box[0])) ||
           (n > 1 && is_in_box(key, &box[1]));
}

/* ---- Covers ----------------------------------------------------------- */

void
hg_rule_cover_add(struct hg_rule_cover *c, uint32_t low, uint32_t high)
{
    bool is_first = c->bits & ~c->mask;
    uint32_t mask = is_first ? UINT32_MAX : c->mask;

    while ((low ^ high) & mask || (!is_first && (low ^ c->bits) & mask))
        mask <<= 1;
    *c = (struct hg_rule_cover){low & mask, mask};
}

void
hg_rule_cover_add_list(struct hg_rule_cover *c,
                       const struct hg_prefix_list *list, uint8_t family)
{
    size_t i;

    for (i = 0; i < list->n; i++) {
        const struct hg_prefix *prefix = &list->v[i];
        uint32_t low = hg_load32(prefix->addr.byte);
        uint32_t size = prefix->len < 32 ? UINT32_MAX >> prefix->len : 0;

        if (prefix->addr.family == family)
            hg_rule_cover_add(c, low, low | size);
    }
}

/* ---- Tables ----------------------------------------------------------- */

static void
build_bits(struct family *f, const struct box *boxes, bool six)
{
    uint32_t i;

    f->n_groups = (f->n + HG_RULES_GROUP - 1) / HG_RULES_GROUP;
    f->group = xcalloc(f->n_groups, sizeof *f->group);
    for (i = 0; i < f->n_groups; i++) {
        uint32_t at = i * HG_RULES_GROUP, n = f->n - at;

        f->group[i] = bit_group_create(
            boxes + at, n < HG_RULES_GROUP ? n : HG_RULES_GROUP, six);
    }
}

/* Trees, unless bit vectors are better. */
static struct forest *
choose_trees(const struct family *f, const struct box *boxes, bool six,
             enum hg_rules_form form, const struct kernel *kernel)
{
    struct forest *trees =
        forest_create(boxes, f->index, f->n, six, kernel->nibbles_max > 0,
                      f->n * (size_t)HG_RULES_TREE_BYTES);
    uint32_t n_groups = (f->n + HG_RULES_GROUP - 1) / HG_RULES_GROUP;

    if (!trees || form == HG_RULES_TREES ||
        forest_ns(trees, boxes, f->n) <= BIT_GROUP_NS * n_groups)
        return trees;
    forest_destroy(trees);
    return NULL;
}

/* A scan, if it is wanted or faster than anything else. */
static struct forest *
choose_scan(const struct family *f, const struct box *boxes, bool six,
            enum hg_rules_form form, const struct kernel *kernel)
{
    bool is_short = f->n * forest_n_rows(boxes, f->n, six) <= kernel->scan_max;
    struct forest *scan;

    if (form != HG_RULES_SCAN && !is_short &&
        (!kernel->nibbles_max || f->n > NIBBLES_RULES))
        return NULL;
    scan = forest_scan(boxes, f->index, f->n, six, kernel->nibbles_max > 0);
    if (form == HG_RULES_SCAN || is_short ||
        nibbles_cost(scan->nibbles) <= kernel->nibbles_max)
        return scan;
    forest_destroy(scan);
    return NULL;
}

static void
build_family(struct family *f, const struct box *boxes, bool six,
             enum hg_rules_form form, const struct kernel *kernel)
{
    if (form == HG_RULES_SCAN || form == HG_RULES_AUTO)
        f->forest = choose_scan(f, boxes, six, form, kernel);
    if (!f->forest && form != HG_RULES_BITS)
        f->forest = choose_trees(f, boxes, six, form, kernel);
    if (!f->forest) {
        build_bits(f, boxes, six);
        return;
    }
    free(f->index);
    f->index = NULL;
}

struct hg_rules *
hg_rules_create(const struct hg_rule *rules, size_t n, enum hg_rules_form form)
{
    struct hg_rules *t = xcalloc(1, sizeof *t);
    struct box *boxes = xcalloc(2 * n + 1, sizeof *boxes);
    unsigned six, n_boxes;
    size_t i;

    t->n = n;
    t->kernel = rules_kernel();
    for (six = 0; six < 2; six++) {
        struct family *f = &t->family[six];

        f->index = xcalloc(2 * n + 1, sizeof *f->index);
        for (i = 0; i < n; i++)
            for (n_boxes = make_boxes(&rules[i], six, &boxes[f->n]); n_boxes;
                 n_boxes--)
                f->index[f->n++] = (uint32_t)i;
        build_family(f, boxes, six, form, t->kernel);
    }
    free(boxes);
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
        forest_destroy(f->forest);
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

        bytes += f->forest ? forest_bytes(f->forest) : 0;
        bytes += f->index ? f->n * sizeof *f->index : 0;
        for (i = 0; i < f->n_groups; i++)
            bytes += bit_group_bytes(f->group[i]) + sizeof *f->group;
    }
    return bytes;
}

const char *
hg_rules_describe(const struct hg_rules *t, uint8_t family, char *text,
                  size_t size)
{
    const struct family *f = &t->family[family == 6];
    unsigned cut = 0, i;

    for (i = 0; f->forest && i < f->forest->n_trees; i++)
        cut += f->forest->node[f->forest->root[i]].mask > 0;
    if (!f->forest)
        snprintf(text, size, "bits, %s", t->kernel->name);
    else if (!cut)
        snprintf(text, size, "scan, %s", t->kernel->name);
    else
        snprintf(text, size, "%u tree%s%s, %s", cut, cut == 1 ? "" : "s",
                 cut < f->forest->n_trees ? " and a scan" : "",
                 t->kernel->name);
    return text;
}

/* ---- Looking up ------------------------------------------------------- */

/* The first rule of bit vectors from the from-th on. */
static uint32_t
bits_next(const struct hg_rules *t, const struct family *f,
          const struct hg_rule_key *key, uint32_t from)
{
    const unsigned n = n_words(key->family == 6);
    const uint64_t *vector[WORDS];
    uint32_t g, found;

    for (g = from / HG_RULES_GROUP; g < f->n_groups; g++) {
        bit_group_locate(f->group[g], key->at, 1, vector);
        found = t->kernel->first_bit(
            vector, n, bit_group_words(f->group[g]),
            from > g * HG_RULES_GROUP ? from % HG_RULES_GROUP : 0);
        if (found != HG_RULES_NONE)
            return f->index[g * HG_RULES_GROUP + found];
    }
    return HG_RULES_NONE;
}

uint32_t
hg_rules_next(const struct hg_rules *t, const struct hg_rule_key *key,
              uint32_t from)
{
    const struct family *f = &t->family[key->family == 6];
    uint32_t low = 0, high = f->n;

    if (!key->family)
        return HG_RULES_NONE;
    if (f->forest)
        return t->kernel->next(f->forest, key, from);
    while (low < high) {
        uint32_t middle = (low + high) / 2;

        if (f->index[middle] < from)
            low = middle + 1;
        else
            high = middle;
    }
    return bits_next(t, f, key, low);
}

uint32_t
hg_rules_first(const struct hg_rules *t, const struct hg_rule_key *key)
{
    return hg_rules_next(t, key, 0);
}

/* See struct kernel.  All keys are located in a group of bit vectors before
 * the first one's vectors are read. */
static void
bits_find(const struct hg_rules *t, const struct family *f, bool six,
          unsigned n, uint8_t *which, const struct hg_rule_keys *keys,
          uint32_t *found)
{
    const uint64_t *vector[HG_RULE_KEYS][WORDS];
    unsigned i, left;
    uint32_t g;

    for (g = 0; g < f->n_groups && n; g++, n = left) {
        for (i = 0; i < n; i++)
            bit_group_locate(f->group[g], &keys->at[0][which[i]], HG_RULE_KEYS,
                             vector[i]);
        for (i = 0, left = 0; i < n; i++) {
            uint32_t bit = t->kernel->first_bit(
                vector[i], n_words(six), bit_group_words(f->group[g]), 0);

            if (bit == HG_RULES_NONE)
                which[left++] = which[i];
            else
                found[which[i]] = f->index[g * HG_RULES_GROUP + bit];
        }
    }
}

/* Whether n of the keys had best meet the rules of a forest all together, as
 * many as there are. */
static bool
is_scan_of_all(const struct hg_rules *t, const struct forest *f,
               const struct hg_rule_keys *keys, unsigned n)
{
    return f && is_scan(f) && keys->families == (f->six ? 1u << 6 : 1u << 4) &&
           n >= t->kernel->wide && 2 * n >= keys->n;
}

void
hg_rules_first_batch(const struct hg_rules *t, const struct hg_rule_keys *keys,
                     unsigned n, const uint8_t *which,
                     uint32_t index[HG_RULE_KEYS])
{
    const struct forest *all = t->family[keys->families >> 6].forest;
    uint8_t part[2][HG_RULE_KEYS];
    unsigned size[2] = {0, 0}, i;

    if (is_scan_of_all(t, all, keys, n)) {
        t->kernel->scan(all, keys, (uint32_t)t->n, index);
        return;
    }
    for (i = 0; i < n; i++) {
        uint8_t k = which[i];
        bool six = keys->family[k] == 6;

        part[six][size[six]] = k;
        size[six] += keys->family[k] > 0;
        index[k] = (uint32_t)t->n;
    }
    for (i = 0; i < 2; i++) {
        const struct family *f = &t->family[i];

        if (!size[i])
            continue;
        if (f->forest)
            t->kernel->find(f->forest, size[i], part[i], keys, index);
        else
            bits_find(t, f, i, size[i], part[i], keys, index);
    }
}
