/* pace.c: the small programs that the pace goes by (see pace.h).
 *
 * That machine is a Zen 4 at 3.4 GHz.  Work is known in cycles, which are
 * those of a Zen 4 that nothing else runs on; programs of the owner's that did
 * the same took 6, 1.5 to 2.3 and 5 ns there.  A line takes what the owner's
 * program took, in the middle where that is from and to. */
#include "pace.h"

#include <arpa/inet.h>
#include <math.h>
#include <net/ethernet.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

enum {
    BATCH = 64,
    LOOPS = 1024, /* Over a batch of packets, in a look. */
    LINES = 256,  /* Batches of lines. */
    LOOKS = sizeof((struct pace *)0)->ns[0] / sizeof(double),
    LARGE = 500000,
    ENTRY = 24,
    LINE = 64
};

struct frame {
    struct ether_header ether;
    struct ip ip;
    struct udphdr udp;
    uint8_t payload[18];
} __attribute__((packed));

static const double THERE_GHZ = 3.4;

/* Five words that tell a flow. */
struct tuple {
    uint32_t src, dst;
    uint16_t sport, dport;
    uint32_t protocol;
};

static uint64_t
cpu_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* ---- Work on packets -------------------------------------------------- */

static inline uint16_t
fold(uint64_t sum)
{
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)((sum & 0xffff) + (sum >> 16));
}

/* The one's complement sum of a header without options. */
static inline uint16_t
header_sum(const void *ip)
{
    uint32_t word[5];

    memcpy(word, ip, sizeof word);
    return fold((uint64_t)word[0] + word[1] + word[2] + word[3] + word[4]);
}

/* Takes the tuple of a frame; false if it is no whole UDP or TCP packet. */
static inline bool
parse(const struct frame *f, size_t len, struct tuple *out)
{
    size_t ip_len, l4_len;

    if (len < sizeof f->ether + sizeof f->ip ||
        f->ether.ether_type != htons(ETHERTYPE_IP) ||
        (f->ip.ip_v << 4 | f->ip.ip_hl) != 0x45)
        return false;
    ip_len = ntohs(f->ip.ip_len);
    if (ip_len < sizeof f->ip || ip_len > len - sizeof f->ether ||
        header_sum(&f->ip) != 0xffff ||
        f->ip.ip_off & htons(IP_MF | IP_OFFMASK))
        return false;
    l4_len = ip_len - sizeof f->ip;
    if (f->ip.ip_p == IPPROTO_UDP ? l4_len < sizeof f->udp
                                  : f->ip.ip_p != IPPROTO_TCP || l4_len < 20)
        return false;
    out->src = f->ip.ip_src.s_addr;
    out->dst = f->ip.ip_dst.s_addr;
    out->sport = f->udp.uh_sport;
    out->dport = f->udp.uh_dport;
    out->protocol = f->ip.ip_p;
    return true;
}

static inline uint64_t
folded_product(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;

    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t
hash(const struct tuple *t)
{
    uint64_t addresses = (uint64_t)t->src << 32 | t->dst;
    uint64_t others = (uint64_t)t->sport << 48 | (uint64_t)t->dport << 32;

    return folded_product(addresses ^ UINT64_C(0x9e3779b97f4a7c15),
                          (others | t->protocol) ^
                              UINT64_C(0xbf58476d1ce4e5b9));
}

/* A checksum after what it covers changed: RFC 1624 equation 3. */
static inline uint16_t
updated(uint16_t checksum, uint64_t from, uint64_t to)
{
    return (uint16_t)~fold((uint16_t)~checksum + (from ^ 0xffffffff) + to);
}

static inline void
rewrite(struct frame *f, uint32_t addr, uint16_t port)
{
    uint32_t old_addr = f->ip.ip_src.s_addr;
    uint16_t old_port = f->udp.uh_sport;

    f->ip.ip_sum = updated(f->ip.ip_sum, old_addr, addr);
    f->udp.uh_sum =
        updated(updated(f->udp.uh_sum, old_addr, addr), old_port, port);
    f->ip.ip_src.s_addr = addr;
    f->udp.uh_sport = port;
}

struct work {
    struct frame frame[BATCH];
    size_t len[BATCH];
    struct tuple tuple[BATCH];
    uint64_t hash[BATCH];
};

static void
make_work(struct work *w)
{
    unsigned i;

    memset(w, 0, sizeof *w);
    for (i = 0; i < BATCH; i++) {
        struct frame *f = &w->frame[i];

        w->len[i] = sizeof *f;
        f->ether.ether_type = htons(ETHERTYPE_IP);
        f->ip.ip_v = 4;
        f->ip.ip_hl = 5;
        f->ip.ip_ttl = 64;
        f->ip.ip_p = IPPROTO_UDP;
        f->ip.ip_len = htons(sizeof *f - sizeof f->ether);
        f->ip.ip_src.s_addr = htonl(0x0a000000 + i);
        f->ip.ip_dst.s_addr = htonl(0xc0000200 + i);
        f->udp.uh_sport = htons((uint16_t)(1024 + i));
        f->udp.uh_dport = htons(53);
        f->udp.uh_ulen = htons(sizeof f->udp + sizeof f->payload);
        f->udp.uh_sum = 0x1234;
        f->ip.ip_sum = (uint16_t)~header_sum(&f->ip);
    }
}

static __attribute__((noinline)) void
parse_all(struct work *w)
{
    unsigned i, n = 0;

    for (i = 0; i < BATCH; i++)
        n += parse(&w->frame[i], w->len[i], &w->tuple[i]);
    if (n != BATCH)
        abort(); /* A rewritten header has another checksum than its own. */
}

static __attribute__((noinline)) void
hash_all(struct work *w)
{
    unsigned i;

    for (i = 0; i < BATCH; i++)
        w->hash[i] = hash(&w->tuple[i]);
}

static __attribute__((noinline)) void
rewrite_all(struct work *w)
{
    unsigned i;

    for (i = 0; i < BATCH; i++)
        rewrite(&w->frame[i], (uint32_t)w->hash[i],
                (uint16_t)(w->hash[i] >> 48));
}

/* Nanoseconds that a step takes for each packet. */
static double
time_of(void (*step)(struct work *), struct work *w)
{
    uint64_t begin = cpu_ns();
    unsigned i;

    for (i = 0; i < LOOPS; i++)
        step(w);
    return (double)(cpu_ns() - begin) / (LOOPS * BATCH);
}

/* ---- Memory ----------------------------------------------------------- */

static uint64_t
draw(struct pace *p, uint64_t n)
{
    p->random = p->random * UINT64_C(6364136223846793005) + 1;
    return (p->random >> 32) * n >> 32;
}

static double
time_of_line(struct pace *p)
{
    uint64_t begin = cpu_ns(), n = p->bytes / LINE, sum = 0;
    const uint64_t *line[BATCH];
    unsigned i, j;

    for (i = 0; i < LINES; i++) {
        for (j = 0; j < BATCH; j++) {
            line[j] = (const void *)(p->memory + draw(p, n) * LINE);
            __builtin_prefetch(line[j]);
        }
        for (j = 0; j < BATCH; j++)
            sum += *line[j];
    }
    p->random += sum; /* So that they are read. */
    return (double)(cpu_ns() - begin) / (LINES * BATCH);
}

static double
line_there(uint64_t entries)
{
    return entries < 3000000 ? 9 : entries < 30000000 ? 12 : 20;
}

/* ---- Looks ------------------------------------------------------------ */

size_t
pace_bytes(uint64_t entries)
{
    return entries < LARGE ? 0 : entries * ENTRY;
}

void
pace_init(struct pace *p, uint64_t entries)
{
    memset(p, 0, sizeof *p);
    p->random = 1;
    p->bytes = pace_bytes(entries);
    if (!p->bytes)
        return;
    p->line_there = line_there(entries);
    p->memory = mmap(NULL, p->bytes, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p->memory == MAP_FAILED) {
        p->memory = NULL;
        return;
    }
    madvise(p->memory, p->bytes, MADV_HUGEPAGE);
    memset(p->memory, 0, p->bytes);
}

void
pace_uninit(struct pace *p)
{
    if (p->memory)
        munmap(p->memory, p->bytes);
    p->memory = NULL;
}

void
pace_look(struct pace *p)
{
    static struct work work;
    unsigned at = p->n_looks++ % LOOKS;

    make_work(&work);
    p->ns[PACE_PARSE][at] = time_of(parse_all, &work);
    p->ns[PACE_HASH][at] = time_of(hash_all, &work);
    p->ns[PACE_REWRITE][at] = time_of(rewrite_all, &work);
    parse_all(&work); /* Rewritten as it should be. */
    if (p->memory)
        p->ns[PACE_LINE][at] = time_of_line(p);
}

void
pace_forget(struct pace *p)
{
    p->n_looks = 0;
}

static int
compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Nanoseconds that a small program takes here, the median of the looks. */
static double
here_of(const struct pace *p, enum pace_floor floor)
{
    size_t n = p->n_looks < LOOKS ? p->n_looks : LOOKS;
    double sorted[LOOKS];

    memcpy(sorted, p->ns[floor], n * sizeof sorted[0]);
    qsort(sorted, n, sizeof sorted[0], compare);
    return sorted[n / 2];
}

double
pace_value(const struct pace *p)
{
    static const double cycles_there[] = {
        [PACE_PARSE] = 15.1, [PACE_HASH] = 4.7, [PACE_REWRITE] = 15.2};
    double here = 0, there = 0, work;
    unsigned i;

    if (!p->n_looks)
        return 0;
    for (i = PACE_PARSE; i <= PACE_REWRITE; i++) {
        here += here_of(p, i);
        there += cycles_there[i] / THERE_GHZ;
    }
    work = here / there;
    if (!p->memory)
        return work;
    return sqrt(work * here_of(p, PACE_LINE) / p->line_there);
}
