/* flow_index.c: from the keys of flows to their records (flow_table.h).
 *
 * Buckets of one cache line hold, for each key, a tag of its hash and a link
 * to its record.  The table grows by linear hashing (W. Litwin, "Linear
 * hashing: a new tool for file and table addressing", VLDB 1980): whenever it
 * is full by its measure one bucket, the next in turn, is split in two, so
 * that there is never a pause and never a second table to look into.  What
 * does not fit its bucket is in a chain of overflow buckets. */
#include <string.h>
#include <sys/mman.h>

#include "flow_table.h"

enum {
    FIRST_BUCKETS = 64,
    LOAD = 5, /* Keys for each bucket, on average. */
    HUGE_PAGE = 2 << 20
};

/* ---- Memory ----------------------------------------------------------- */

/* The size that is mapped, so that some of it begins on a huge page. */
static uint64_t
mapped_size(uint64_t size)
{
    return (size + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE + HUGE_PAGE;
}

/* The first huge page's worth is small pages, for tables that stay small. */
void *
flow_reserve(uint64_t size)
{
    size_t mapped = mapped_size(size);
    uint8_t *p = mmap(NULL, mapped, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    size_t ahead;

    if (p == MAP_FAILED)
        return NULL;
    ahead = HUGE_PAGE - (uintptr_t)p % HUGE_PAGE;
    if (mapped > ahead)
        madvise(p + ahead, mapped - ahead, MADV_HUGEPAGE); /* Only faster. */
    return p;
}

void
flow_unreserve(void *p, uint64_t size)
{
    if (p)
        munmap(p, mapped_size(size));
}

static uint64_t
max_buckets(uint64_t max_records)
{
    return 2 * max_records / LOAD + FIRST_BUCKETS + 1;
}

bool
flow_index_init(struct flow_index *x, uint64_t max)
{
    uint64_t size = max_buckets(max) * sizeof *x->buckets;

    *x = (struct flow_index){.buckets = flow_reserve(size),
                             .overflow = flow_reserve(size),
                             .n_buckets = FIRST_BUCKETS,
                             .mask = FIRST_BUCKETS - 1};
    return x->buckets && x->overflow;
}

void
flow_index_uninit(struct flow_index *x, uint64_t max)
{
    uint64_t size = max_buckets(max) * sizeof *x->buckets;

    flow_unreserve(x->buckets, size);
    flow_unreserve(x->overflow, size);
}

uint64_t
flow_index_bytes(const struct flow_index *x)
{
    return ((uint64_t)x->n_buckets + x->n_overflow) * sizeof *x->buckets;
}

/* ---- Buckets ---------------------------------------------------------- */

static uint32_t
take_overflow(struct flow_index *x)
{
    uint32_t link = x->free;

    if (!link)
        return ++x->n_overflow;
    x->free = x->overflow[link - 1].next;
    x->overflow[link - 1].next = 0;
    return link;
}

static void
put(struct flow_index *x, struct flow_bucket *b, uint16_t tag, uint32_t link)
{
    unsigned i;

    for (;;) {
        for (i = 0; i < BUCKET_SLOTS; i++)
            if (!b->link[i]) {
                b->link[i] = link;
                b->tag[i] = tag;
                return;
            }
        if (!b->next)
            b->next = take_overflow(x);
        b = flow_bucket_next(x, b);
    }
}

/* The hash of the key that a link leads to. */
static uint32_t
hash_of(const struct flow_table *t, uint32_t link)
{
    uint32_t number = (link - 1) / 2;
    const struct second_key *second = &t->second[number];
    const struct hg_flow *flow = flow_table_record(t, number);

    return (link - 1) & 1 ? flow_ends_hash(&second->ends, second->protocol,
                                           second->family, t->seed)
                          : flow_ends_hash(&flow->ends, flow->protocol,
                                           flow->family, t->seed);
}

/* Moves those keys of the next bucket in turn that belong there to a new one
 * at the end. */
static void
split(struct flow_table *t)
{
    struct flow_index *x = &t->index;
    struct flow_bucket *from, *to, *at, old;
    uint32_t bit;
    unsigned i;

    if (x->n_buckets > x->mask)
        x->mask = 2 * x->mask + 1;
    bit = (x->mask >> 1) + 1;
    to = &x->buckets[x->n_buckets];
    from = at = &x->buckets[x->n_buckets - bit];
    x->n_buckets++;
    __builtin_prefetch(from + 1, 1);
    do {
        uint32_t next = at->next,
                 this = at == from ? 0 : (uint32_t)(at - x->overflow) + 1;

        old = *at;
        memset(at, 0, sizeof *at);
        if (this) {
            at->next = x->free;
            x->free = this;
        }
        for (i = 0; i < BUCKET_SLOTS; i++) {
            uint32_t hash = (uint32_t)old.tag[i] << FLOW_TAG_SHIFT;

            if (!old.link[i])
                continue;
            if (bit < 1u << FLOW_TAG_SHIFT)
                hash = hash_of(t, old.link[i]);
            put(x, hash & bit ? to : from, old.tag[i], old.link[i]);
        }
        at = next ? &x->overflow[next - 1] : NULL;
    } while (at);
}

void
flow_index_add(struct flow_table *t, const struct hg_flow *flow, unsigned k,
               uint32_t hash)
{
    struct flow_index *x = &t->index;

    put(x, flow_bucket_of(x, hash), (uint16_t)(hash >> FLOW_TAG_SHIFT),
        flow->number * 2 + k + 1);
    if (++x->n_entries > (uint64_t)x->n_buckets * LOAD)
        split(t);
}

/* Fills the hole with the last entry of the chain, whose last bucket goes if
 * that was all it had. */
static void
fill_hole(struct flow_index *x, struct flow_bucket *first,
          struct flow_bucket *hole, unsigned slot)
{
    struct flow_bucket *last = first, *before = NULL;
    unsigned i = BUCKET_SLOTS;

    while (last->next) {
        before = last;
        last = flow_bucket_next(x, last);
    }
    while (!last->link[i - 1])
        i--;
    i--;
    hole->link[slot] = last->link[i];
    hole->tag[slot] = last->tag[i];
    last->link[i] = 0;
    last->tag[i] = 0;
    if (i || !before)
        return;
    last->next = x->free;
    x->free = before->next;
    before->next = 0;
}

void
flow_index_remove(struct flow_table *t, const struct hg_flow *flow, unsigned k)
{
    struct flow_index *x = &t->index;
    uint32_t link = flow->number * 2 + k + 1;
    struct flow_bucket *first = flow_bucket_of(x, hash_of(t, link)),
                       *b = first;
    unsigned i = 0;

    while (b->link[i] != link)
        if (++i == BUCKET_SLOTS) {
            b = flow_bucket_next(x, b);
            i = 0;
        }
    fill_hole(x, first, b, i);
    x->n_entries--;
}

/* ---- Finding ---------------------------------------------------------- */

struct hg_flow *
flow_index_find(const struct flow_table *t, const struct flow_tuple *key,
                uint64_t now_ns, unsigned *which)
{
    const struct flow_index *x = &t->index;
    const struct flow_bucket *b = flow_bucket_of(x, key->hash);

    do {
        unsigned m =
            flow_bucket_match(b, (uint16_t)(key->hash >> FLOW_TAG_SHIFT));

        for (; m; m &= m - 1) {
            uint32_t link = b->link[__builtin_ctz(m)];
            struct hg_flow *flow =
                link ? flow_table_check(t, link, key, now_ns, which) : NULL;

            if (flow)
                return flow;
        }
        b = flow_bucket_next(x, b);
    } while (b);
    return NULL;
}
