/* flow_table.h: the records of the flow service and what leads to them:
 * flow.c is what elements call, flow_table.c the records' life, flow_index.c
 * the way from keys to records, flow_tuple.h the keys. */
#ifndef FLOW_TABLE_H
#define FLOW_TABLE_H 1

#include <headgate/flow.h>

#include "flow_index.h"
#include "flow_tuple.h"
#include "graph_internal.h"

enum { FLOW_USERS = 32 }; /* At most: bits of hg_flow.against. */

/* Places in the cache lines of a record that a user needs: in those of its
 * block, then in that of the service's own part. */
struct flow_lines {
    uint32_t at[8]; /* What is in others is waited for. */
    unsigned n_block, n;
};

struct flow_user {
    struct hg_element *element;
    size_t offset;   /* Of its block in the record. */
    size_t size;     /* Of its bytes. */
    size_t second;   /* Where in the record second keys are that it adds;
                      * 0: in flow_table.second. */
    uint8_t *seldom; /* Those that it seldom needs, by record, */
    size_t seldom_size;
    uint64_t n_seldom; /* ... and how many records have been given some. */
    struct flow_lines lines;
};

/* Large arrays have their address space from the start and get memory when
 * it is used, so that they grow without moving. */
struct flow_table {
    struct hg_graph *graph;
    struct hash_seed seed;
    uint8_t *records;
    size_t record_size;
    struct flow_index index;
    struct hg_flow_ends *second; /* By record: second keys that are not in it;
                                  * those of whom nobody translates flows cost
                                  * no memory. */
    size_t second_place;         /* Where in records most are, 0: there. */
    struct flow_wide *wide[2];   /* By record: IPv6 addresses of its keys. */
    uint32_t *queue;             /* Unconfirmed flows, a ring; those that ended
                                  * or were confirmed leave it as they come
                                  * up. */
    uint32_t queue_head;         /* Oldest. */
    uint32_t queue_length;
    uint32_t free;    /* Records no longer used, + 1; linked by their ends. */
    uint64_t n_begun; /* Records ever used, */
    uint64_t n_used;  /* ... and now. */
    uint64_t limit;
    uint64_t n_reserved; /* Records there is address space for. */
    uint64_t n_second;   /* Up to here 'second' was used, */
    uint64_t n_wide;     /* ... and 'wide'. */
    bool limited;        /* Somebody set the limit. */
    uint64_t hand;       /* Sweep and eviction go round from here. */
    uint64_t evicted;
    uint64_t refused;
    struct flow_user *users;
    size_t n_users;
    struct flow_verdict *verdicts;
    size_t n_verdicts;
    size_t verdict_offset; /* In records: of two areas, */
    size_t verdict_size;   /* ... each of so many bytes. */
    struct hg_timer sweep;
};

static inline struct hg_flow *
flow_table_record(const struct flow_table *t, uint64_t number)
{
    return (struct hg_flow *)(void *)(t->records + number * t->record_size);
}

static inline uint64_t *
flow_table_deadline(const struct flow_table *t, const struct hg_flow *flow,
                    size_t user)
{
    return (uint64_t *)(void *)((uint8_t *)(uintptr_t)flow +
                                t->users[user].offset);
}

static inline void *
flow_table_bytes(const struct flow_table *t, const struct hg_flow *flow,
                 size_t user)
{
    return flow_table_deadline(t, flow, user) + 1;
}

/* The kind of key 'k'. */
static inline uint32_t
flow_kind(const struct hg_flow *flow, unsigned k)
{
    return flow->kinds >> (k * FLOW_KIND_BITS) & ((1 << FLOW_KIND_BITS) - 1);
}

static inline void
flow_set_kind(struct hg_flow *flow, unsigned k, uint32_t kind)
{
    const uint32_t first = (1 << FLOW_KIND_BITS) - 1;

    if (k)
        kind = (flow->kinds & first) | kind << FLOW_KIND_BITS;
    flow->kinds = kind & ((1 << 2 * FLOW_KIND_BITS) - 1);
}

/* Whether key 'k' of the record lies the other way. */
static inline bool
flow_is_against(const struct hg_flow *flow, unsigned k,
                const struct flow_tuple *key)
{
    return ((flow_kind(flow, k) ^ key->kind) & FLOW_SWAPPED) != 0;
}

/* The second key, if there is one, is where its user wants it. */
static inline struct hg_flow_ends *
flow_ends_of(const struct flow_table *t, struct hg_flow *flow, unsigned k)
{
    size_t at;

    if (!k)
        return &flow->ends;
    at = t->users[flow->second_user].second;
    return at ? (struct hg_flow_ends *)(void *)((uint8_t *)flow + at)
              : &t->second[flow->number];
}

/* A packet remembers its record and its generation, in which are the times
 * that it was used anew, the second keys that it has had since, and, of the
 * packet, by which key it is known and whether it travels against the record's
 * direction.  Of second keys there are few but in flows that are made to have
 * many, and they matter only among packets that are here at the same time. */
enum {
    SECONDS_BITS = 4,
    SECONDS_MASK = ((1 << SECONDS_BITS) - 1) << HG_FLOW_BITS,
    USES_SHIFT = HG_FLOW_BITS + SECONDS_BITS
};

static inline void
flow_use_anew(struct hg_flow *flow)
{
    flow->generation += UINT32_C(1) << USES_SHIFT;
}

static inline void
flow_count_second(struct hg_flow *flow)
{
    uint32_t seconds = flow->generation + (1u << HG_FLOW_BITS);

    flow->generation = (flow->generation & ~(uint32_t)SECONDS_MASK) |
                       (seconds & SECONDS_MASK);
}

static inline void
flow_remember(struct hg_packet *p, struct hg_flow *flow, unsigned k,
              bool against)
{
    p->flow = flow;
    p->flow_generation = flow->generation | (k ? HG_FLOW_SECOND : 0) |
                         (against ? HG_FLOW_AGAINST : 0);
}

/* That it has none: it remembers when, and the hash of its key. */
static inline void
flow_remember_none(struct hg_packet *p, const struct flow_index *x,
                   uint32_t hash)
{
    p->flow = NULL;
    p->flow_generation = x->clock << HG_FLOW_BITS;
    p->flow_hash = hash;
}

/* Whether that is still so, if it was said of the packet as it is. */
static inline bool
flow_is_known_to_be_none(const struct hg_packet *p, const struct flow_index *x)
{
    return !p->flow && p->flow_generation &&
           !(p->flow_generation & HG_FLOW_REWRITTEN) &&
           flow_index_is_as_of(x, p->flow_hash,
                               p->flow_generation >> HG_FLOW_BITS);
}

/* Whether the record is still what the packet remembers: it is used anew when
 * it ends, and a record's generation has none of a packet's bits. */
static inline bool
flow_is_remembered(const struct hg_packet *p)
{
    return p->flow &&
           (p->flow_generation ^ p->flow->generation) >> USES_SHIFT == 0;
}

/* The same, and its second key is the one of then. */
static inline bool
flow_is_as_remembered(const struct hg_packet *p)
{
    return p->flow &&
           (p->flow_generation ^ p->flow->generation) >> HG_FLOW_BITS == 0;
}

static inline void
flow_verdicts_clear(const struct flow_table *t, struct hg_flow *flow)
{
    memset((uint8_t *)flow + t->verdict_offset, 0, 2 * t->verdict_size);
}

/* The size of an area for verdicts (flow_verdict.c). */
size_t flow_verdicts_lay_out(struct flow_table *);

/* The graph's table, which is made if there is none. */
struct flow_table *flow_table_get(struct hg_graph *);

/* Whether anybody is interested in the record. */
bool flow_table_is_wanted(const struct flow_table *, const struct hg_flow *,
                          uint64_t now_ns);

/* This record uses an array that 'n' records have used. */
static inline void
flow_note_used(uint64_t *n, const struct hg_flow *flow)
{
    if (*n <= flow->number)
        *n = (uint64_t)flow->number + 1;
}

/* Gives the record, which has none, its first or second key. */
void flow_table_set_key(struct flow_table *, struct hg_flow *, unsigned k,
                        const struct flow_tuple *);
void flow_table_drop_second(struct flow_table *, struct hg_flow *);

/* Ends one user's interest; 'now_ns' is when, if that is before its deadline.
 * Tells the user unless it ends it itself. */
void flow_table_end_interest(struct flow_table *, struct hg_flow *,
                             unsigned user, uint64_t now_ns, bool tell);

/* Ends a record. */
void flow_table_release(struct flow_table *, struct hg_flow *,
                        uint64_t now_ns);

/* A record without keys; NULL if there is no room. */
struct hg_flow *flow_table_take(struct flow_table *, uint64_t now_ns);

/* Lets an unconfirmed record be evicted. */
void flow_table_queue(struct flow_table *, struct hg_flow *);

/* ---- Finding (flow_index.c) --------------------------------------------- */

/* The record of this key, whoever is still interested in it, and which of its
 * keys that is; or NULL. */
struct hg_flow *flow_index_find(const struct flow_table *,
                                const struct flow_tuple *, uint64_t now_ns,
                                unsigned *which);

/* The same in steps, for many keys at once.  Where flow_index_guess() says
 * that a key is, the record is fetched with the user's block, and
 * flow_table_check() says whether it has this key. */
static inline uint32_t
flow_link_number(uint32_t link)
{
    return (link - 1) / 2;
}

static inline unsigned
flow_link_key(uint32_t link)
{
    return (link - 1) & 1;
}

FLOW_FETCH
flow_fetch_lines(const struct hg_flow *flow, const struct flow_lines *lines,
                 unsigned n)
{
    unsigned i = 0;

    do
        __builtin_prefetch((const uint8_t *)flow + lines->at[i], 1);
    while (++i < n);
}

/* The verdicts of one direction. */
FLOW_FETCH
flow_fetch_area(const struct flow_table *t, const struct hg_flow *flow,
                bool high)
{
    const uint8_t *area = (const uint8_t *)flow + t->verdict_offset +
                          (high ? t->verdict_size : 0);

    __builtin_prefetch(area);
    __builtin_prefetch(area + t->verdict_size - 1);
}

/* What is not in those lines. */
FLOW_FETCH
flow_fetch_more(const struct flow_table *t, const struct flow_user *u,
                uint32_t link, const struct hg_flow *flow,
                const struct flow_tuple *key)
{
    const uint32_t number = flow_link_number(link), k = flow_link_key(link);

    if (t->verdict_size) {
        flow_fetch_area(t, flow, key->kind & FLOW_SWAPPED);
        if (k) /* How the ends lie in the first key only the record knows. */
            flow_fetch_area(t, flow, !(key->kind & FLOW_SWAPPED));
    }
    if (k && !u->second)
        __builtin_prefetch(t->second_place
                               ? (const uint8_t *)flow + t->second_place
                               : (const uint8_t *)&t->second[number]);
    if (key->kind & FLOW_SIX)
        __builtin_prefetch(&t->wide[k][number]);
}

/* Whether a record has this key as its key 'k'. */
FLOW_INLINE bool
flow_table_check(const struct flow_table *t, struct hg_flow *flow, unsigned k,
                 const struct flow_tuple *key, uint64_t now_ns)
{
    if (!flow_tuple_is(key, flow_kind(flow, k), flow_ends_of(t, flow, k)))
        return false;
    /* A second key ends with the interest of who added it. */
    return !k || *flow_table_deadline(t, flow, flow->second_user) > now_ns;
}

#endif
