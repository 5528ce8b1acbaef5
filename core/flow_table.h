/* flow_table.h: the records of the flow service and what holds them, between
 * flow.c (what elements call) and flow_table.c. */
#ifndef FLOW_TABLE_H
#define FLOW_TABLE_H 1

#include <headgate/flow.h>

#include "graph_internal.h"

enum { FLOW_CHUNK = 4096 /* Records allocated at once. */ };

/* A key with its ends in a fixed order; no padding, so that it can be hashed
 * and compared as bytes. */
struct normal_key {
    uint8_t low[16];
    uint8_t high[16];
    uint16_t low_port;
    uint16_t high_port;
    uint32_t vpc;
    uint8_t family;
    uint8_t protocol;
    uint8_t zero[2];
};

_Static_assert(sizeof(struct normal_key) == 44, "keys must have no padding");

/* The first cache line is all that a lookup needs. */
struct hg_flow {
    uint32_t next[2]; /* Links of the chains of both keys. */
    uint32_t hash[2];
    struct normal_key key;
    uint32_t generation; /* Advances when the record is used anew. */
    uint32_t number;
    uint32_t against;     /* Bit u: the first packet of user u travelled
                           * against the one that made the record. */
    uint32_t second_user; /* Who added the second key, */
    bool has_second;      /* if there is one. */
    bool queued;          /* Is in the queue of unconfirmed flows, */
    uint32_t queue_next;  /* before this one, + 1. */
    bool swapped[2];      /* The source of 'against' 0 is 'high'. */
    bool first_against;   /* As 'against', of the flow as a whole. */
    bool confirmed;
    bool used;
    uint64_t deadline[]; /* By user; 0: no interest. */
};

struct user {
    struct hg_element *element;
    size_t offset; /* Of its bytes in the record. */
    size_t size;
};

struct flow_table {
    struct hg_graph *graph;
    uint8_t **chunks;
    size_t record_size;
    size_t second_offset; /* Of the second key in a record. */
    uint64_t n_made;      /* Records there is memory for, */
    uint64_t n_begun;     /* ... of which these were ever used, */
    uint64_t n_used;      /* ... and these are now. */
    uint64_t limit;
    bool limited;   /* Somebody set the limit. */
    uint32_t *free; /* Numbers of records no longer used, a stack. */
    uint64_t n_free;
    uint32_t *heads;
    uint64_t n_heads;    /* A power of two. */
    uint64_t hand;       /* Sweep and eviction go round from here. */
    uint32_t queue_head; /* Unconfirmed flows, + 1; those that have ended or
                          * were confirmed leave it when they come up. */
    uint32_t queue_tail;
    uint64_t evicted;
    uint64_t refused;
    struct user *users;
    size_t n_users;
    struct hg_timer sweep;
};

static inline struct hg_flow *
flow_table_record(const struct flow_table *t, uint64_t number)
{
    return (struct hg_flow *)(void *)(t->chunks[number / FLOW_CHUNK] +
                                      number % FLOW_CHUNK * t->record_size);
}

static inline void *
flow_table_bytes(const struct flow_table *t, struct hg_flow *flow, size_t user)
{
    return (uint8_t *)flow + t->users[user].offset;
}

static inline struct normal_key *
flow_table_key(const struct flow_table *t, struct hg_flow *flow, unsigned k)
{
    return k ? (void *)((uint8_t *)flow + t->second_offset) : &flow->key;
}

/* Whether anybody is interested in the record. */
bool flow_table_is_wanted(const struct flow_table *, const struct hg_flow *,
                          uint64_t now_ns);

/* Puts the record into the chain of its key 'k', whose hash is set. */
void flow_table_link(struct flow_table *, struct hg_flow *, unsigned k);
void flow_table_drop_second(struct flow_table *, struct hg_flow *);

/* Ends one user's interest; 'now_ns' is when, if that is before its deadline.
 * Tells the user unless it ends it itself. */
void flow_table_end_interest(struct flow_table *, struct hg_flow *,
                             unsigned user, uint64_t now_ns, bool tell);

/* Ends a record. */
void flow_table_release(struct flow_table *, struct hg_flow *,
                        uint64_t now_ns);

/* The record of this key, whoever is still interested in it, and which of its
 * keys that is; or NULL. */
struct hg_flow *flow_table_find(const struct flow_table *,
                                const struct normal_key *, uint32_t hash,
                                uint64_t now_ns, unsigned *which);

/* A record that is in no chain yet; NULL if there is no room. */
struct hg_flow *flow_table_take(struct flow_table *, uint64_t now_ns);

/* Lets an unconfirmed record be evicted. */
void flow_table_queue(struct flow_table *, struct hg_flow *);

#endif
