/* flow_index.c: from the keys of flows to their records (flow_table.h).
 *
 * Buckets of one cache line hold, for each key, so much of its hash as their
 * place does not say, and a link to its record.  The table grows by linear
 * hashing (W. Litwin, "Linear hashing: a new tool for file and table
 * addressing", VLDB 1980): whenever it is full by its measure one bucket, the
 * next in turn, is split in two, so that there is never a pause and never a
 * second table to look into.  What does not fit its bucket is in a chain of
 * overflow buckets. */
#include <string.h>

#include "flow_table.h"

enum {
    FIRST_BUCKETS = 256, /* Bits of hashes that buckets do not hold. */
    LOAD = 4             /* Keys for each bucket, on average. */
};

/* ---- Memory ----------------------------------------------------------- */

static uint64_t
max_buckets(uint64_t max_records)
{
    return 2 * max_records / LOAD + FIRST_BUCKETS + 1;
}

bool
flow_index_init(struct flow_index *x, uint64_t max)
{
    uint64_t size = max_buckets(max) * sizeof *x->buckets;

    *x = (struct flow_index){.buckets = hg_memory_reserve(size, FLOW_SMALL),
                             .overflow = hg_memory_reserve(size, FLOW_SMALL),
                             .n_buckets = FIRST_BUCKETS,
                             .mask = FIRST_BUCKETS - 1,
                             .clock = 1};
    return x->buckets && x->overflow;
}

void
flow_index_uninit(struct flow_index *x, uint64_t max)
{
    uint64_t size = max_buckets(max) * sizeof *x->buckets;

    hg_memory_release(x->buckets, size, FLOW_SMALL);
    hg_memory_release(x->overflow, size, FLOW_SMALL);
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

FLOW_INLINE void
put(struct flow_index *x, struct flow_bucket *b, uint32_t hash, uint32_t link)
{
    while (b->n == BUCKET_SLOTS) {
        if (!b->next)
            b->next = take_overflow(x);
        b = flow_bucket_next(x, b);
    }
    b->tag[b->n] = flow_tag_of(hash);
    b->below[b->n] = (uint8_t)(hash >> 8);
    b->link[b->n++] = link;
}

/* The hash of an entry's key, without the bits that are the same in all of the
 * bucket. */
static uint32_t
hash_in(const struct flow_bucket *b, unsigned slot)
{
    return (uint32_t)b->tag[slot] << 16 | (uint32_t)b->below[slot] << 8;
}

/* Fetches what the next split will read and write; 'from' itself was fetched
 * by the one before. */
FLOW_FETCH
fetch_next(const struct flow_index *x, const struct flow_bucket *from,
           const struct flow_bucket *to)
{
    __builtin_prefetch(from + 1, 1);
    __builtin_prefetch(to, 1);
    if (from->next)
        __builtin_prefetch(flow_bucket_next(x, from), 1);
}

/* Moves those keys of the next bucket in turn that belong there to a new one
 * at the end.  Three of four keys are added without; they save no registers
 * for it. */
static __attribute__((noinline)) void
split(struct flow_index *x)
{
    struct flow_bucket *from, *to, *at, old;
    uint32_t bit;
    unsigned i;

    if (x->n_buckets > x->mask)
        x->mask = 2 * x->mask + 1;
    bit = (x->mask >> 1) + 1;
    to = &x->buckets[x->n_buckets];
    from = at = to - bit;
    x->n_buckets++;
    fetch_next(x, from + 1, to + 1);
    do {
        uint32_t next = at->next,
                 this = at == from ? 0 : (uint32_t)(at - x->overflow) + 1;

        old = *at;
        memset(at, 0, sizeof *at);
        if (this) {
            at->next = x->free;
            x->free = this;
        }
        for (i = 0; i < old.n; i++)
            put(x, hash_in(&old, i) & bit ? to : from, hash_in(&old, i),
                old.link[i]);
        at = next ? &x->overflow[next - 1] : NULL;
    } while (at);
}

void
flow_index_add(struct flow_index *x, uint32_t number, unsigned k,
               uint32_t hash)
{
    put(x, flow_bucket_of(x, hash), hash, number * 2 + k + 1);
    x->recent[hash % RECENT] = ++x->clock;
    if (++x->n_entries > (uint64_t)x->n_buckets * LOAD)
        split(x);
}

/* Fills the hole with the last entry of the chain, whose last bucket goes if
 * that was all it had. */
static void
fill_hole(struct flow_index *x, struct flow_bucket *first,
          struct flow_bucket *hole, unsigned slot)
{
    struct flow_bucket *last = first, *before = NULL;
    unsigned i;

    while (last->next) {
        before = last;
        last = flow_bucket_next(x, last);
    }
    i = --last->n;
    hole->link[slot] = last->link[i];
    hole->tag[slot] = last->tag[i];
    hole->below[slot] = last->below[i];
    last->link[i] = 0;
    if (i || !before)
        return;
    last->next = x->free;
    x->free = before->next;
    before->next = 0;
}

void
flow_index_remove(struct flow_index *x, uint32_t number, unsigned k,
                  uint32_t hash)
{
    struct flow_bucket *first = flow_bucket_of(x, hash), *b;
    uint32_t link = number * 2 + k + 1;
    unsigned i;

    for (b = first; b; b = flow_bucket_next(x, b))
        for (i = 0; i < b->n; i++)
            if (b->link[i] == link) {
                fill_hole(x, first, b, i);
                x->n_entries--;
                return;
            }
}

/* ---- Finding ---------------------------------------------------------- */

struct hg_flow *
flow_index_find(const struct flow_table *t, const struct flow_tuple *key,
                uint64_t now_ns, unsigned *which)
{
    const struct flow_index *x = &t->index;
    const struct flow_bucket *b = flow_bucket_of(x, key->hash);

    do {
        unsigned m = flow_bucket_match(b, flow_tag_of(key->hash));

        for (; m; m &= m - 1) {
            uint32_t link = b->link[__builtin_ctz(m)];
            struct hg_flow *flow;

            if (!link)
                continue;
            flow = flow_table_record(t, flow_link_number(link));
            *which = flow_link_key(link);
            if (flow_table_check(t, flow, *which, key, now_ns))
                return flow;
        }
        b = flow_bucket_next(x, b);
    } while (b);
    return NULL;
}
