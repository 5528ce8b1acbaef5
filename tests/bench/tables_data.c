/* tables_data.c: see tables_data.h. */
#include "tables_data.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N4 = 900000, N6 = 160000, SUBNET_ENIS = 4000 };

/* The share of each length in a table of the Internet, in thousandths. */
struct share {
    uint8_t len;
    uint16_t share;
};

static const struct share ip4_shares[] = {
    {24, 600}, {23, 101}, {22, 112}, {21, 51}, {20, 45}, {19, 26}, {18, 14},
    {17, 9},   {16, 15},  {15, 3},   {14, 2},  {13, 2},  {12, 1},  {11, 1},
    {25, 5},   {26, 4},   {28, 2},   {30, 2},  {32, 5}};

static const struct share ip6_shares[] = {
    {48, 470}, {32, 120}, {44, 100}, {40, 100}, {36, 50}, {46, 40},
    {42, 30},  {47, 25},  {45, 20},  {29, 25},  {33, 15}, {64, 5}};

uint64_t
random_next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static uint8_t
random_len(const struct share *share, uint64_t *state)
{
    unsigned at = (unsigned)(random_next(state) % 1000);

    while (at >= share->share)
        at -= share++->share;
    return share->len;
}

static struct hg_prefix
cut(struct hg_addr addr, uint8_t len)
{
    struct hg_prefix prefix = {addr, len};
    unsigned i;

    for (i = 0; i < sizeof addr.byte; i++)
        if (len < i * 8 + 8)
            prefix.addr.byte[i] &=
                (uint8_t)(len > i * 8 ? 0xff00u >> (len - i * 8) : 0);
    return prefix;
}

/* Half of the /16s from 1.0.0.0 to 223.255.255.255 are in use. */
static struct hg_prefix
random_ip4(uint64_t *state)
{
    uint64_t high = random_next(state) % 28000 * 2 + 256;
    uint64_t low = random_next(state) >> 13;

    return cut(hg_addr_from_ip4((uint32_t)(high << 16 | (low & 0xffff))),
               random_len(ip4_shares, state));
}

/* 20,000 /32s below 2000::/12 and 2a00::/12 are in use. */
static struct hg_prefix
random_ip6(uint64_t *state)
{
    uint64_t block = random_next(state) % 20000 * 97;
    struct hg_addr addr = {.family = 6};
    unsigned i;

    addr.byte[0] = block & 1 ? 0x2a : 0x20;
    addr.byte[1] = (uint8_t)(block >> 16 & 15);
    addr.byte[2] = (uint8_t)(block >> 8);
    addr.byte[3] = (uint8_t)block;
    for (i = 4; i < 16; i++)
        addr.byte[i] = (uint8_t)(random_next(state) >> 24);
    return cut(addr, random_len(ip6_shares, state));
}

static int
compare(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct hg_prefix));
}

/* Sorts and removes what is there twice. */
static void
sort(struct prefixes *p)
{
    size_t i, kept = 0;

    qsort(p->v, p->n, sizeof *p->v, compare);
    for (i = 0; i < p->n; i++)
        if (!kept || compare(&p->v[kept - 1], &p->v[i]))
            p->v[kept++] = p->v[i];
    p->n = kept;
}

static void
shuffle(struct hg_prefix *v, size_t n, uint64_t *state)
{
    for (; n > 1; n--) {
        size_t other = random_next(state) % n;
        struct hg_prefix swap = v[n - 1];

        v[n - 1] = v[other];
        v[other] = swap;
    }
}

void
prefixes_shuffle(struct prefixes *p)
{
    uint64_t state = 4242;

    shuffle(p->v, p->n4, &state);
    shuffle(p->v + p->n4, p->n - p->n4, &state);
}

static void
add(struct prefixes *p, const struct hg_prefix *prefix)
{
    if (!(p->n & (p->n - 1)))
        p->v = realloc(p->v, (p->n ? p->n * 2 : 1) * sizeof *p->v);
    if (!p->v)
        abort();
    p->v[p->n++] = *prefix;
}

static bool
read_corpus(struct prefixes *ip4, struct prefixes *ip6)
{
    const char *corpus = getenv("HEADGATE_CORPUS");
    char command[1024], line[128];
    struct hg_prefix prefix;
    FILE *in;

    snprintf(command, sizeof command,
             "gzip -dc '%s'/prefix/bart/internal/tests/testdata/"
             "prefixes.txt.gz",
             corpus ? corpus : "");
    in = corpus ? popen(command, "r") : NULL;
    while (in && fgets(line, sizeof line, in)) {
        line[strcspn(line, "\r\n")] = '\0';
        if (hg_prefix_parse(line, &prefix))
            add(prefix.addr.family == 4 ? ip4 : ip6, &prefix);
    }
    if (in)
        pclose(in);
    return ip4->n > 0;
}

struct prefixes
prefixes_get(bool few)
{
    struct prefixes ip4 = {0}, ip6 = {0};
    uint64_t state = 88172645463325252;
    struct hg_prefix prefix;
    size_t i;

    if (!read_corpus(&ip4, &ip6)) {
        while (ip4.n < N4) {
            prefix = random_ip4(&state);
            add(&ip4, &prefix);
        }
        while (ip6.n < N6) {
            prefix = random_ip6(&state);
            add(&ip6, &prefix);
        }
    }
    sort(&ip4);
    sort(&ip6);
    for (i = 0; few && i * 10 < ip4.n; i++)
        ip4.v[i] = ip4.v[i * 10];
    ip4.n = few ? i : ip4.n;
    for (i = 0; few && i * 10 < ip6.n; i++)
        ip6.v[i] = ip6.v[i * 10];
    ip6.n = few ? i : ip6.n;
    ip4.n4 = ip4.n;
    for (i = 0; i < ip6.n; i++)
        add(&ip4, &ip6.v[i]);
    free(ip6.v);
    return ip4;
}

struct hg_addr
address_within(const struct hg_prefix *prefix, uint64_t *state)
{
    struct hg_addr addr = prefix->addr;
    unsigned i, n = addr.family == 4 ? 4 : 16;
    uint64_t bits = 0;

    for (i = 0; i < n; i++) {
        unsigned bit = i * 8;

        bits = i % 4 ? bits >> 8 : random_next(state) >> 20;
        if (bit + 8 > prefix->len)
            addr.byte[i] |=
                (uint8_t)(bits &
                          (bit >= prefix->len ? 0xff
                                              : 0xffu >> (prefix->len - bit)));
    }
    return addr;
}

uint32_t
mapping_ip(size_t i)
{
    return (uint32_t)(0x0a000000 + i / SUBNET_ENIS * 4096 + i % SUBNET_ENIS +
                      16);
}

bool
mappings_write(const char *path, size_t n)
{
    FILE *out = fopen(path, "we");
    size_t i;

    if (!out)
        return false;
    fputs("kind,id,vni,cidr,vpc,subnet,mac,address,security-groups,host\n"
          "vpc,vpc-1,1,10.0.0.0/8\n",
          out);
    for (i = 0; i < n; i += SUBNET_ENIS) {
        uint32_t ip = mapping_ip(i) - 16;

        fprintf(out, "subnet,subnet-%u,,10.%u.%u.0/20,vpc-1\n",
                (unsigned)(i / SUBNET_ENIS), ip >> 16 & 255, ip >> 8 & 255);
    }
    for (i = 0; i < n; i++) {
        uint32_t ip = mapping_ip(i);

        fprintf(out,
                "eni,eni-%08zx,,,,subnet-%u,02:00:%02x:%02x:%02x:%02x,"
                "10.%u.%u.%u,,192.0.%u.%u\n",
                i, (unsigned)(i / SUBNET_ENIS), ip >> 24, ip >> 16 & 255,
                ip >> 8 & 255, ip & 255, ip >> 16 & 255, ip >> 8 & 255,
                ip & 255, (unsigned)(i >> 8 & 255), (unsigned)(i & 255));
    }
    return !fclose(out);
}
