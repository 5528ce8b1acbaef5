/* headgate/shuffle.h: shuffle sharding, the choice of k of n nodes for each
 * tenant (Amazon Builders' Library, "Workload isolation using
 * shuffle-sharding"; the two ways are those of Route 53's Infima library).
 *
 * Nodes stand in availability zones.  A shard takes its nodes from the zones
 * in turn, so that it spreads over as many zones, as evenly, as it can.
 *
 * Signature.  Stateless: any two that know the nodes and the seed choose the
 * same shard.  Exactly so:
 *
 *   1. x = XXH64(tenant's name as bytes, seed).
 *   2. next(): splitmix64, x += 0x9e3779b97f4a7c15, then the usual mixing.
 *   3. below(n): r = next() as 64 bits; the high 64 bits of the 128-bit
 *      product r * n; if the low 64 bits are less than 2^64 mod n, again
 *      (Lemire, ACM TOMACS 29(1), 2019).
 *   4. shuffle(list): for i = length - 1 down to 1: swap items i and
 *      below(i + 1).
 *   5. Zones sorted by name (strcmp) are shuffled; then, zone by zone in the
 *      sorted order, each zone's nodes sorted by name are shuffled.
 *   6. Round by round, each zone of the shuffled order gives its next node,
 *      if it has one left, until the shard has k.
 *
 * Guaranteed.  Stateful: no two tenants share more than m nodes.  Every set
 * of m + 1 nodes may be in one shard only; sets in use are remembered.  A
 * shard is searched in the order of the signature with backtracking.
 *
 * Thread-safety: belongs to one worker. */
#ifndef HEADGATE_SHUFFLE_H
#define HEADGATE_SHUFFLE_H 1

#include <headgate/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HG_SHARD_MAX 16

struct hg_shuffle;

/* 'size' (k, at most HG_SHARD_MAX) nodes a shard.  Never NULL. */
HG_API struct hg_shuffle *hg_shuffle_create(unsigned size, uint64_t seed);
HG_API void hg_shuffle_destroy(struct hg_shuffle *);

/* Adds a node and returns its number, counted from 0 in order of addition;
 * HG_SHARD_NONE if the name is taken.  Not after the first choice. */
HG_API uint32_t hg_shuffle_add(struct hg_shuffle *, const char *name,
                               const char *zone);
#define HG_SHARD_NONE UINT32_MAX

HG_API size_t hg_shuffle_n(const struct hg_shuffle *);
HG_API const char *hg_shuffle_name(const struct hg_shuffle *, uint32_t node);

/* The shard of a tenant by signature: fills node[0..size), smaller numbers
 * first.  There must be at least 'size' nodes. */
HG_API void hg_shuffle_signature(const struct hg_shuffle *, const char *tenant,
                                 uint32_t *node);

/* A shard that shares at most 'overlap' nodes with any other one made so.
 * False if there is none, or none was found in 'steps' nodes tried: *steps is
 * what is left of them, 0 if they ran out.  All calls give the same
 * 'overlap'. */
HG_API bool hg_shuffle_guaranteed(struct hg_shuffle *, const char *tenant,
                                  unsigned overlap, uint64_t *steps,
                                  uint32_t *node);

/* The node of the shard, among those 'up' (by number), that a flow goes to:
 * rendezvous hashing (Thaler and Ravishankar, IEEE/ACM ToN 6(1), 1998), so
 * that a node that goes moves only its own flows.  HG_SHARD_NONE if all are
 * down. */
HG_API uint32_t hg_shuffle_pick(const struct hg_shuffle *,
                                const uint32_t *node, unsigned size,
                                const bool *up, uint32_t flow_hash);

#ifdef __cplusplus
}
#endif
#endif
