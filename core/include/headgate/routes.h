/* headgate/routes.h: route tables, of which the best route of each prefix is
 * in force.
 *
 * A prefix of a table can have several routes: from its owner, from a prefix
 * list, propagated by gateways.  The better one is in force and the others
 * wait; what is in force stands in the table's longest-prefix match (lpm.h),
 * whose values are targets.  A target is the number of a port, or of a set of
 * ports that share the flows, or one of the two below.
 *
 * Local prefixes are those of a VPC.  Of what lies within them only routes
 * that say 'over_local' count; within forbidden prefixes none does.
 *
 * Thread-safety: belongs to one worker. */
#ifndef HEADGATE_ROUTES_H
#define HEADGATE_ROUTES_H 1

#include <headgate/lpm.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HG_ROUTES_BLACKHOLE (HG_LPM_NONE - 1)
#define HG_ROUTES_FORBIDDEN (HG_LPM_NONE - 2)

/* From best to worst for one prefix. */
enum hg_route_type {
    HG_ROUTE_FORBIDDEN,
    HG_ROUTE_STATIC,
    HG_ROUTE_LOCAL,
    HG_ROUTE_PREFIX_LIST,
    HG_ROUTE_PROPAGATED
};

struct hg_route {
    uint64_t preference; /* Among equals of a type: the smaller wins, then
                          * the one that came first. */
    struct hg_prefix prefix;
    uint8_t type;    /* enum hg_route_type */
    bool over_local; /* May lie within a local prefix. */
    bool shareable;  /* Propagated: may share with its equals (ECMP). */
    uint32_t table;
    uint32_t target;
    uint32_t origin; /* Who says so: a number of the caller's. */
};

struct hg_routes;

/* No tables yet; ports are 0 to n_ports - 1.  Never NULL (memory running out
 * ends the program). */
HG_API struct hg_routes *hg_routes_create(unsigned n_ports,
                                          const struct hg_prefix_list *forbid);
HG_API void hg_routes_destroy(struct hg_routes *);

/* Adds a table and returns its number, from 0 on. */
HG_API uint32_t hg_routes_add_table(struct hg_routes *);

/* The target that stands for these ports (n of them, from 1 on; their order
 * does not matter). */
HG_API uint32_t hg_routes_target(struct hg_routes *, const uint16_t *port,
                                 unsigned n);

/* The ports of a target that is neither blackhole nor forbidden. */
HG_API const uint16_t *hg_routes_ports(const struct hg_routes *,
                                       uint32_t target, unsigned *n);

/* The local prefixes of a table, which lead to port 'target'; those that it
 * had before are gone.  Both lists are looked at: a VPC may have any number
 * of either family. */
HG_API void hg_routes_set_local(struct hg_routes *, uint32_t table,
                                const struct hg_prefix_list *,
                                uint32_t target);

/* Whether the prefix equals or lies within a local one of the table, or a
 * forbidden one; the one it is, or NULL. */
HG_API const struct hg_prefix *hg_routes_local(const struct hg_routes *,
                                               uint32_t table,
                                               const struct hg_prefix *);
HG_API const struct hg_prefix *hg_routes_forbidden(const struct hg_routes *,
                                                   const struct hg_prefix *);

/* Adds a route, or replaces the one of the same table, prefix, type and
 * origin. */
HG_API void hg_routes_add(struct hg_routes *, const struct hg_route *);

/* Removes that route; false if it is not there. */
HG_API bool hg_routes_remove(struct hg_routes *, uint32_t table,
                             const struct hg_prefix *, enum hg_route_type,
                             uint32_t origin);

/* Removes what an origin has propagated, to one table or (HG_LPM_NONE) to
 * all; returns how many routes that was. */
HG_API size_t hg_routes_withdraw(struct hg_routes *, uint32_t table,
                                 uint32_t origin);

/* What is in force in a table, for lookups; valid as long as the tables. */
HG_API const struct hg_lpm *hg_routes_lpm(const struct hg_routes *,
                                          uint32_t table);

/* The best route that an address matches, or NULL; valid until a change. */
HG_API const struct hg_route *hg_routes_match(const struct hg_routes *,
                                              uint32_t table,
                                              const struct hg_addr *);

/* Whether this route, which the table gave, is in force (alone or with its
 * equals). */
HG_API bool hg_routes_in_force(const struct hg_routes *,
                               const struct hg_route *);

/* All routes of a table but the forbidden ones in order of prefix and rank:
 * n pointers, valid until a change, in an array that the caller frees.  NULL
 * without memory. */
HG_API const struct hg_route **hg_routes_list(const struct hg_routes *,
                                              uint32_t table, size_t *n);

/* Calls 'fn' with all routes of a table but the forbidden ones, in no order;
 * stops when it returns false, and returns that. */
HG_API bool hg_routes_foreach(const struct hg_routes *, uint32_t table,
                              bool (*fn)(void *aux, const struct hg_route *),
                              void *aux);

/* Routes in all tables, forbidden ones aside, and memory in bytes. */
HG_API size_t hg_routes_count(const struct hg_routes *);
HG_API size_t hg_routes_bytes(const struct hg_routes *);

#ifdef __cplusplus
}
#endif
#endif
