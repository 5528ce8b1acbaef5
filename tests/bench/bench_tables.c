/* bench_tables.c: large files for graphs to read (see bench.h).
 *
 * Routes and rules come from $HEADGATE_CORPUS if it is set: an Internet table
 * of 901,899 IPv4 and 160,147 IPv6 prefixes, and ClassBench's twelve seeds.
 * Else both are made: as many prefixes of each length as an Internet table of
 * 2024 has, scattered, and rules with ClassBench's mix of protocols. */
#include "bench.h"

#include <stdlib.h>
#include <unistd.h>
#include <zlib.h>

struct route {
    uint32_t addr;
    uint8_t len;
};

enum {
    MAX_ROUTES = 2000000,
    MAX_RULES = 10000,
    MAX_TINY = 1000, /* Compiling more takes sanitizers a minute. */
    N_LISTS = 5
};

static const uint32_t list_size[N_LISTS] = {10, 32, 100, 1000, MAX_RULES};

static struct route *routes; /* IPv4 only: packets go to these. */
static size_t n_routes;
static size_t n_routes6;
static struct table_rule *rules;
static size_t n_rules;
static uint32_t *enis;
static uint32_t n_enis = N_ENIS;

static char own_dir[] = "/tmp/headgate-bench-XXXXXX";
static const char *dir; /* NULL: not made yet. */
static char made[N_TABLES][512];
static unsigned n_made;
static pid_t owner;

/* Not in the processes that measure, which end the same way. */
static void
remove_files(void)
{
    if (getpid() != owner)
        return;
    while (n_made)
        unlink(made[--n_made]);
    rmdir(dir);
}

void
tables_keep(const char *folder)
{
    dir = folder;
}

/* A file of this name in our folder; sets the variable to it. */
static FILE *
table_open(const char *variable)
{
    FILE *file;
    char *path;

    if (n_made == N_TABLES)
        fail("more tables than N_TABLES");
    path = made[n_made++];
    if (!dir) {
        dir = mkdtemp(own_dir);
        if (!dir)
            fail("cannot make a folder in /tmp");
        owner = getpid();
        atexit(remove_files);
    }
    snprintf(path, sizeof made[0], "%s/%s.csv", dir, variable);
    file = fopen(path, "w");
    if (!file)
        fail("cannot write '%s'", path);
    setenv(variable, path, 1);
    return file;
}

static void
table_close(FILE *file)
{
    if (ferror(file) | fclose(file))
        fail("cannot write in '%s'", dir);
}

/* Scatters numbers: a bijection of 32 bits (murmur3's finalizer). */
static uint32_t
scatter(uint32_t i)
{
    i = (i ^ i >> 16) * 0x85ebca6b;
    i = (i ^ i >> 13) * 0xc2b2ae35;
    return i ^ i >> 16;
}

static uint32_t
host_bits(unsigned len)
{
    return len ? (uint32_t)((UINT64_C(1) << (32 - len)) - 1) : UINT32_MAX;
}

static const char *
ip4_text(uint32_t ip, char buf[HG_ADDR_STRLEN])
{
    const struct hg_addr addr = hg_addr_from_ip4(ip);

    return hg_addr_format(&addr, buf);
}

/* ---- Routes ----------------------------------------------------------- */

/* Prefixes of each length in an Internet table. */
struct share {
    uint8_t len;
    uint32_t n;
};

static const struct share ip4_shares[] = {
    {8, 16},     {9, 13},      {10, 38},    {11, 103},   {12, 299},
    {13, 581},   {14, 1203},   {15, 2100},  {16, 13490}, {17, 8235},
    {18, 13798}, {19, 24870},  {20, 42611}, {21, 50750}, {22, 108623},
    {23, 96510}, {24, 537698}, {32, 961},   {0, 0}};

static const struct share ip6_shares[] = {
    {29, 4371},  {32, 22548}, {36, 9453},  {40, 14701},
    {44, 18320}, {46, 10692}, {48, 80062}, {0, 0}};

/* Not a place where hosts of the Internet are (RFC 6890), or where ours. */
static bool
is_special(uint32_t ip)
{
    return ip >> 24 == 0 || ip >> 24 == 10 || ip >> 24 == 127 ||
           ip >> 28 >= 14 || ip >> 16 == 0xa9fe;
}

static void
keep_route(uint32_t addr, uint8_t len, FILE *file)
{
    char buf[HG_ADDR_STRLEN];

    if (n_routes == MAX_ROUTES)
        fail("more than %d routes", MAX_ROUTES);
    routes[n_routes++] = (struct route){addr, len};
    fprintf(file, "%s/%u,up\n", ip4_text(addr, buf), len);
}

/* Multiplication by an odd number visits each prefix of a length once. */
static void
generate_ip4(const struct share *share, FILE *file)
{
    const uint32_t n = tiny ? share->n / 1000 + 1 : share->n;
    uint32_t k, found = 0;

    for (k = 1; found < n; k++) {
        uint32_t addr = k * 2654435761U << (32 - share->len);

        if (is_special(addr))
            continue;
        keep_route(addr, share->len, file);
        found++;
    }
}

/* The same within 2000::/3. */
static void
generate_ip6(const struct share *share, FILE *file)
{
    const uint32_t n = tiny ? share->n / 1000 + 1 : share->n;
    unsigned free_bits = share->len - 3U;
    uint64_t k;

    for (k = 1; k <= n; k++) {
        uint64_t high = k * 0x9e3779b97f4a7c15 << (64 - free_bits) >> 3;

        high |= UINT64_C(1) << 61;
        fprintf(file, "%x:%x:%x::/%u,up\n", (unsigned)(high >> 48),
                (unsigned)(high >> 32 & 0xffff),
                (unsigned)(high >> 16 & 0xffff), share->len);
        n_routes6++;
    }
}

/* False if it is not there. */
static bool
read_routes(const char *corpus, FILE *file)
{
    char path[512], line[80];
    struct hg_prefix prefix;
    gzFile in;

    snprintf(path, sizeof path,
             "%s/prefix/bart/internal/tests/testdata/prefixes.txt.gz", corpus);
    in = gzopen(path, "rb");
    if (!in)
        return false;
    while (gzgets(in, line, sizeof line)) {
        line[strcspn(line, " \r\n")] = '\0';
        if (!hg_prefix_parse(line, &prefix))
            fail("%s: '%s' is no prefix", path, line);
        if (prefix.addr.family == 4) {
            keep_route(hg_addr_ip4(&prefix.addr), prefix.len, file);
        } else {
            fprintf(file, "%s,up\n", line);
            n_routes6++;
        }
    }
    gzclose(in);
    return true;
}

/* Keeps IPv4 routes scattered: whoever takes the first takes any. */
static void
shuffle_routes(void)
{
    size_t i;

    for (i = n_routes - 1; i > 0; i--) {
        size_t j = scatter((uint32_t)i) % (i + 1);
        struct route swap = routes[i];

        routes[i] = routes[j];
        routes[j] = swap;
    }
}

static void
make_routes(void)
{
    const char *corpus = tiny ? NULL : getenv("HEADGATE_CORPUS");
    const struct share *share;
    FILE *file;

    if (routes)
        return;
    routes = must_alloc(MAX_ROUTES * sizeof *routes);
    file = table_open("ROUTES");
    fputs("destination,target\n", file);
    if (!corpus || !read_routes(corpus, file)) {
        for (share = ip4_shares; share->n; share++)
            generate_ip4(share, file);
        for (share = ip6_shares; share->n; share++)
            generate_ip6(share, file);
    }
    table_close(file);
    shuffle_routes();
}

size_t
table_n_routes(void)
{
    return n_routes + n_routes6;
}

uint32_t
table_route_address(uint32_t i)
{
    const struct route *route = &routes[i % n_routes];

    return route->addr | (scatter(i) & host_bits(route->len));
}

/* ---- Rules ------------------------------------------------------------ */

/* A NACL's rule has one side; it takes the longer prefix of the two. */
static void
add_rule(uint32_t a, unsigned a_len, uint32_t b, unsigned b_len,
         const unsigned range[2], uint8_t protocol)
{
    struct table_rule *rule = &rules[n_rules];
    uint8_t len = (uint8_t)(a_len > b_len ? a_len : b_len);
    bool has_ports = protocol == HG_PROTO_TCP || protocol == HG_PROTO_UDP;

    if (n_rules == MAX_RULES || len < 8)
        return; /* One that matches nearly all would hide the rest. */
    rule->cidr = (a_len > b_len ? a : b) & ~host_bits(len);
    rule->len = len;
    rule->protocol = protocol;
    rule->low = has_ports ? (uint16_t)range[0] : 0;
    rule->high = has_ports ? (uint16_t)range[1] : 65535;
    if (!is_special(rule->cidr))
        n_rules++;
}

/* The next line of a ClassBench file; false at its end. */
static bool
read_rule(FILE *in)
{
    unsigned a[4], b[4], a_len, b_len, s[2], d[2], protocol, mask;
    int n =
        fscanf(in,
               " @%u.%u.%u.%u/%u %u.%u.%u.%u/%u %u : %u %u : %u %x/%x"
               "%*[^\n]",
               &a[0], &a[1], &a[2], &a[3], &a_len, &b[0], &b[1], &b[2], &b[3],
               &b_len, &s[0], &s[1], &d[0], &d[1], &protocol, &mask);

    if (n != 16)
        return false;
    add_rule(a[0] << 24 | a[1] << 16 | a[2] << 8 | a[3], a_len,
             b[0] << 24 | b[1] << 16 | b[2] << 8 | b[3], b_len, d,
             mask ? (uint8_t)protocol : 0);
    return true;
}

/* The rules of all seeds in turn, so that short lists have of each. */
static void
read_rules(const char *corpus)
{
    static const char *const seeds[] = {"acl1", "acl2", "acl3", "acl4",
                                        "acl5", "fw1",  "fw2",  "fw3",
                                        "fw4",  "fw5",  "ipc1", "ipc2"};
    enum { N_SEEDS = sizeof seeds / sizeof seeds[0] };
    FILE *in[N_SEEDS];
    unsigned i, open = 0;
    char path[512];

    for (i = 0; i < N_SEEDS; i++) {
        snprintf(path, sizeof path, "%s/acl/neurocuts/classbench/%s_1k",
                 corpus, seeds[i]);
        in[i] = fopen(path, "r");
        open += in[i] != NULL;
    }
    while (open)
        for (i = 0; i < N_SEEDS; i++)
            if (in[i] && !read_rule(in[i])) {
                fclose(in[i]);
                in[i] = NULL;
                open--;
            }
}

/* What the seeds do not fill. */
static void
generate_rules(void)
{
    static const uint8_t lens[] = {32, 32, 32, 31, 30, 28, 27, 24,
                                   24, 24, 23, 22, 20, 18, 16, 12};
    static const uint8_t protocols[] = {6, 6, 6, 6, 6, 17, 17, 17, 1, 0};
    static const uint16_t ports[] = {22, 25, 53, 80, 123, 161, 443, 1521};
    uint32_t i;

    for (i = 1; n_rules < MAX_RULES; i++) {
        uint32_t dice = scatter(i);
        unsigned port = ports[dice >> 9 & 7];
        const unsigned range[2] = {dice & 64 ? port : 1024,
                                   dice & 64 ? port : 65535};

        add_rule(scatter(~i), lens[dice & 15], 0, 0, range,
                 protocols[(dice >> 16) % sizeof protocols]);
    }
}

static void
write_list(const char *variable, size_t n)
{
    FILE *file = table_open(variable);
    char buf[HG_ADDR_STRLEN];
    size_t i;

    fputs("direction,number,action,protocol,cidr,ports\n", file);
    for (i = 0; i < n; i++) {
        const struct table_rule *r = &rules[i];

        fprintf(file, "outbound,%zu,allow,", i + 1);
        fprintf(file, r->protocol ? "%u" : "all", r->protocol);
        fprintf(file, ",%s/%u,", ip4_text(r->cidr, buf), r->len);
        if (r->high - r->low < 65535)
            fprintf(file, "%u-%u", r->low, r->high);
        fputc('\n', file);
    }
    table_close(file);
}

static void
make_rules(void)
{
    static const char *const names[N_LISTS] = {
        "RULES_10", "RULES_32", "RULES_100", "RULES_1K", "RULES_10K"};
    const char *corpus = getenv("HEADGATE_CORPUS");
    unsigned i;

    if (rules)
        return;
    rules = must_alloc(MAX_RULES * sizeof *rules);
    if (corpus)
        read_rules(corpus);
    generate_rules();
    if (tiny)
        n_rules = MAX_TINY;
    for (i = 0; i < N_LISTS; i++)
        write_list(names[i], list_size[i] < n_rules ? list_size[i] : n_rules);
}

const struct table_rule *
table_rule(uint32_t i)
{
    return &rules[i % n_rules];
}

/* ---- ENIs ------------------------------------------------------------- */

/* None is reserved in its /24. */
uint32_t
table_sender_address(uint32_t i)
{
    return 0x0a000110 + i / SUBNET_SENDERS * 256 + i % SUBNET_SENDERS;
}

/* One VPC over the whole address space, a subnet for each /8, but one for each
 * /24 of senders if they are 'apart'. */
static void
write_networks(FILE *file, bool apart)
{
    const uint32_t n_apart =
        apart ? (N_SENDERS + SUBNET_SENDERS - 1) / SUBNET_SENDERS : 0;
    char buf[HG_ADDR_STRLEN];
    unsigned i;

    fputs("kind,id,vpc,vni,cidr,subnet,address,mac,host,"
          "security-groups\n"
          "vpc,vpc-1,,1,0.0.0.0/0,,,,,\n",
          file);
    for (i = 1; i < 224; i++)
        if (i != 10 || !apart)
            fprintf(file, "subnet,net-%u,vpc-1,,%u.0.0.0/8,,,,,\n", i, i);
    for (i = 1; i <= n_apart; i++)
        fprintf(file, "subnet,net-10-%u,vpc-1,,10.0.%u.0/24,,,,,\n", i, i);
    for (i = 0; i < N_SENDERS; i++) {
        fprintf(file, "eni,eni-s%u,,,,net-10", i);
        if (apart)
            fprintf(file, "-%u", 1 + i / SUBNET_SENDERS);
        fprintf(file, ",%s,02:00:00:00:%02x:%02x,192.0.2.1,web\n",
                ip4_text(table_sender_address(i), buf), i >> 8, i & 255);
    }
}

/* Addresses that routes lead to, each once, none reserved in its subnet. */
static void
choose_enis(void)
{
    const size_t n_slots = (size_t)n_enis * 4;
    uint32_t *slots = must_alloc(n_slots * sizeof *slots);
    uint32_t i, n = 0;

    memset(slots, 0, n_slots * sizeof *slots);
    for (i = 0; n < n_enis; i++) {
        uint32_t addr = table_route_address(i), host = addr & 0xffffff;
        size_t at = scatter(addr) % n_slots;

        if (is_special(addr) || host < 4 || host == 0xffffff)
            continue;
        while (slots[at] && slots[at] != addr)
            at = (at + 1) % n_slots;
        if (slots[at])
            continue;
        slots[at] = enis[n++] = addr;
    }
    free(slots);
}

static void
make_senders(const char *name, bool apart)
{
    static bool done[2];
    FILE *file;

    if (done[apart])
        return;
    done[apart] = true;
    file = table_open(name);
    write_networks(file, apart);
    table_close(file);
}

static void
make_enis(void)
{
    char buf[HG_ADDR_STRLEN];
    FILE *file;
    uint32_t i;

    if (enis)
        return;
    make_routes();
    if (tiny)
        n_enis = N_ENIS / 1000;
    enis = must_alloc(n_enis * sizeof *enis);
    choose_enis();
    file = table_open("ENIS");
    write_networks(file, false);
    for (i = 0; i < n_enis; i++)
        fprintf(file, "eni,eni-%u,,,,net-%u,%s,,192.0.2.%u,\n", i,
                enis[i] >> 24, ip4_text(enis[i], buf), 1 + i % 250);
    table_close(file);
}

uint32_t
table_eni_address(uint32_t i)
{
    return enis[i];
}

void
tables_make(unsigned which)
{
    if (which & ROUTES)
        make_routes();
    if (which & (RULES_10 | RULES_32 | RULES_100 | RULES_1K | RULES_10K))
        make_rules();
    if (which & SENDERS)
        make_senders("SENDERS", false);
    if (which & SUBNETS)
        make_senders("SUBNETS", true);
    if (which & ENIS)
        make_enis();
}
