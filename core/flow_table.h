/* flow_table.h: the records of the flow service and what leads to them:
 * flow.c is what elements call, flow_table.c the records' life, flow_index.c
 * the way from keys to records, flow_tuple.h the keys. */
#ifndef FLOW_TABLE_H
#define FLOW_TABLE_H 1

#include <headgate/flow.h>

#include "flow_index.h"
#include "flow_tuple.h"
#include "graph_internal.h"

/* A record's own part; behind it lies a block for each user: its deadline (8
 * bytes; 0: no interest) and its bytes.  With IPv4 and one small user all that
 * a packet needs is one cache line. */
struct hg_flow {
    struct flow_ends ends;
    uint8_t protocol;
    uint8_t family;
    uint8_t second_user;    /* Who added the second key, */
    bool has_second : 1;    /* if there is one. */
    bool swapped : 1;       /* The source of 'against' 0 is 'high', */
    bool swapped2 : 1;      /* ... in the second key. */
    bool first_against : 1; /* As 'against', of the flow as a whole. */
    bool confirmed : 1;
    bool queued : 1; /* Is in the queue of unconfirmed flows. */
    bool used : 1;
    uint32_t generation; /* As packets have it (flow_remember()). */
    uint32_t number;
    uint32_t against; /* Bit u: the first packet of user u travelled against
                       * the one that made the record. */
};

_Static_assert(sizeof(struct hg_flow) == 32, "half a cache line");

/* The second key of a record, in an array beside the records: those of whom
 * nobody translates flows cost no memory. */
struct second_key {
    struct flow_ends ends;
    uint8_t protocol;
    uint8_t family;
};

struct flow_user {
    struct hg_element *element;
    size_t offset;   /* Of its block in the record. */
    size_t size;     /* Of its bytes. */
    uint8_t *seldom; /* Those that it seldom needs, by record, */
    size_t seldom_size;
    uint64_t n_seldom; /* ... and how many records have been given some. */
};

/* Large arrays have their address space from the start and get memory when
 * it is used, so that they grow without moving. */
struct flow_table {
    struct hg_graph *graph;
    uint64_t seed;
    uint8_t *records;
    size_t record_size;
    struct flow_index index;
    struct second_key *second; /* By record. */
    struct flow_wide *wide[2]; /* By record: IPv6 addresses of its keys. */
    uint32_t *queue;           /* Unconfirmed flows, a ring; those that ended
                                * or were confirmed leave it as they come up. */
    uint32_t queue_head;       /* Oldest. */
    uint32_t queue_length;
    uint32_t free;    /* Records no longer used, + 1; linked by ends.low. */
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

/* Which way key 'k' lies. */
static inline bool
flow_table_swapped(const struct hg_flow *flow, unsigned k)
{
    return k ? flow->swapped2 : flow->swapped;
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
 * that a key is: flow_fetch_link() fetches the record with the user's block,
 * and flow_table_check() says whether it has this key, and as which.  What
 * they ask of the table is looked up once for all of them. */
struct flow_fetch {
    const uint8_t *records;
    const struct second_key *second;
    struct flow_wide *const *wide;
    size_t record_size;
    size_t block; /* Of the user: first and last byte of a record. */
    size_t last;
    size_t areas; /* For verdicts. */
    size_t area_size;
};

static inline struct flow_fetch
flow_fetch_for(const struct flow_table *t, unsigned user)
{
    const struct flow_user *u = &t->users[user];

    return (struct flow_fetch){.records = t->records,
                               .second = t->second,
                               .wide = t->wide,
                               .record_size = t->record_size,
                               .block = u->offset,
                               .last =
                                   u->offset + sizeof(uint64_t) + u->size - 1,
                               .areas = t->verdict_offset,
                               .area_size = t->verdict_size};
}

/* A user's block: most are in a line or two. */
FLOW_FETCH
flow_fetch_block(const struct flow_fetch *f, const struct hg_flow *flow)
{
    const uint8_t *record = (const uint8_t *)flow;
    size_t at;

    __builtin_prefetch(record + f->block, 1);
    for (at = f->block + 64; at < f->last; at += 64)
        __builtin_prefetch(record + at, 1);
    __builtin_prefetch(record + f->last, 1);
}

FLOW_FETCH
flow_fetch_link(const struct flow_fetch *f, uint32_t link,
                const struct flow_tuple *key)
{
    uint32_t number = (link - 1) / 2, k = (link - 1) & 1;
    const uint8_t *record = f->records + number * f->record_size;
    const uint8_t *areas = record + f->areas;
    const uint8_t *area = areas + (key->swapped ? f->area_size : 0);

    __builtin_prefetch(record, 1);
    flow_fetch_block(f, (const struct hg_flow *)(const void *)record);
    if (f->area_size) {
        __builtin_prefetch(area);
        __builtin_prefetch(area + f->area_size - 1);
    }
    if (k) { /* A quarter of second keys lie in two cache lines.  How the ends
              * lie in the first key only the record will say. */
        __builtin_prefetch(&f->second[number].ends);
        __builtin_prefetch(&f->second[number].protocol);
        __builtin_prefetch(areas + (key->swapped ? 0 : f->area_size));
    }
    if (key->family == 6)
        __builtin_prefetch(&f->wide[k][number]);
}

static inline struct hg_flow *
flow_table_check(const struct flow_table *t, uint32_t link,
                 const struct flow_tuple *key, uint64_t now_ns, unsigned *k)
{
    uint32_t number = (link - 1) / 2;
    struct hg_flow *flow = flow_table_record(t, number);
    const struct second_key *second = &t->second[number];

    *k = (link - 1) & 1;
    if (!*k)
        return ((flow->protocol ^ key->protocol) |
                (flow->family ^ key->family)) == 0 &&
                       flow_tuple_is(key, &flow->ends)
                   ? flow
                   : NULL;
    /* A second key ends with the interest of who added it. */
    return second->protocol == key->protocol &&
                   second->family == key->family &&
                   flow_tuple_is(key, &second->ends) &&
                   *flow_table_deadline(t, flow, flow->second_user) > now_ns
               ? flow
               : NULL;
}

#endif
