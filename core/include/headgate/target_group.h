/* headgate/target_group.h: the targets behind a load balancer, the state of
 * each, and the choice of one for a new flow.
 *
 * Flows are spread by Maglev tables (maglev.h), one for all targets and one
 * for each zone, made anew when a target comes, goes or changes its state.
 * Only healthy targets get flows.  Where fewer are healthy than the group
 * asks for, all that are registered do ("fail-open").
 *
 * The number of a target stays while it is there; after its removal, and when
 * it has no more flows, another one may get it.
 *
 * Thread-safety: belongs to one worker. */
#ifndef HEADGATE_TARGET_GROUP_H
#define HEADGATE_TARGET_GROUP_H 1

#include <headgate/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HG_TARGETS_MAX 3000 /* In one load balancer (AWS quota). */
#define HG_ZONES_MAX 16
#define HG_ZONE_ANY HG_ZONES_MAX
#define HG_TARGET_NONE UINT32_MAX

enum hg_target_state {
    HG_TARGET_INITIAL, /* Registered, no health check has ended yet. */
    HG_TARGET_HEALTHY,
    HG_TARGET_UNHEALTHY,
    HG_TARGET_UNHEALTHY_DRAINING, /* Its flows end when its time is up. */
    HG_TARGET_DRAINING,           /* Deregistered, its time is not up. */
    HG_TARGET_GONE                /* No longer in the group. */
};

struct hg_target {
    char *id;
    struct hg_addr addr;
    uint16_t port;
    uint16_t zone; /* Below HG_ZONES_MAX; HG_ZONE_ANY: it is in all. */
    uint32_t weight;
    enum hg_target_state state;
    uint64_t ends_ns; /* What a draining state ends at; HG_NEVER: nothing. */
    uint32_t flows[HG_ZONES_MAX + 1]; /* The user's count of its flows, by
                                       * whatever it likes. */
    uint32_t n_flows;
    unsigned successes; /* The user's: health checks in a row that ended */
    unsigned failures;  /* so. */
};

struct hg_target_group_config {
    uint32_t table_size; /* See hg_maglev_is_size. */
    uint64_t seed;
    uint32_t minimum_count;     /* Healthy targets that are enough, */
    uint8_t minimum_percentage; /* and what part of all they must be. */
};

struct hg_target_group;

/* NULL without memory. */
HG_API struct hg_target_group *
hg_target_group_create(const struct hg_target_group_config *);
HG_API void hg_target_group_destroy(struct hg_target_group *);

/* Registers a copy of the target (its id, address, port, zone, weight and
 * state) and returns its number; HG_TARGET_NONE, and why, if the id or the
 * address and port is another target's, the family is not that of the others,
 * or there are too many.  One that is draining comes back as it was. */
HG_API uint32_t hg_target_add(struct hg_target_group *,
                              const struct hg_target *, struct hg_error *);

/* The states GONE and DRAINING take it out of the tables. */
HG_API void hg_target_set_state(struct hg_target_group *, uint32_t target,
                                enum hg_target_state);

/* Numbers run from 0 to n - 1; some may be GONE.  Targets never move, and lie
 * one behind the other. */
HG_API uint32_t hg_target_count(const struct hg_target_group *);
HG_API struct hg_target *hg_target_at(const struct hg_target_group *,
                                      uint32_t target);

/* By id, or by address and port, a number or HG_TARGET_NONE. */
HG_API uint32_t hg_target_find(const struct hg_target_group *, const char *id);
HG_API uint32_t hg_target_find_address(const struct hg_target_group *,
                                       const struct hg_addr *, uint16_t port);

/* The family of the group's targets, or 0 if there are none. */
HG_API uint8_t hg_target_family(const struct hg_target_group *);

/* The target for a new flow with this hash, in this zone (HG_ZONE_ANY: in any
 * of them); HG_TARGET_NONE if there is none.  *fail_open tells whether the
 * choice was among unhealthy targets, too. */
HG_API uint32_t hg_target_choose(struct hg_target_group *, unsigned zone,
                                 uint32_t hash, bool *fail_open);

/* How many targets are registered, and how many of them are healthy. */
HG_API void hg_target_health(const struct hg_target_group *, uint32_t *n,
                             uint32_t *healthy);

/* As graph files and AWS have it: "unhealthy.draining". */
HG_API const char *hg_target_state_name(enum hg_target_state);

#ifdef __cplusplus
}
#endif
#endif
