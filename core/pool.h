/* pool.h: what the core, but no element, may do with a packet pool. */
#ifndef POOL_H
#define POOL_H 1

#include <headgate/packet.h>

/* What hg_pool_set_seed() set. */
uint64_t hg_pool_seed(const struct hg_pool *);

/* How many bytes of hg_packet.meta are in use, at most HG_PACKET_META: only
 * these are zeroed in a new packet.  All of them before the first call. */
void hg_pool_set_meta(struct hg_pool *, size_t size);

/* Makes 'pool', from which nothing has been taken, one of the family of
 * 'head', which is destroyed last.  Packets of a family belong to 'head'
 * (hg_packet.pool) and end in the pool that the thread has entered. */
void hg_pool_join(struct hg_pool *pool, struct hg_pool *head);

#endif
