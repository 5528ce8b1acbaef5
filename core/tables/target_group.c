/* target_group.c: targets and their Maglev tables (headgate/target_group.h).
 */
#include <headgate/target_group.h>

#include <stdlib.h>
#include <string.h>

#include <headgate/maglev.h>

#include "hash_index.h"

#include <xxhash.h>

/* The table of one zone, or of all. */
struct zone_table {
    uint16_t *slots; /* Numbers of targets; NULL: not made yet. */
    uint64_t generation;
    bool empty; /* Nobody is in it. */
    bool fail_open;
};

struct hg_target_group {
    struct hg_target_group_config config;
    struct hg_target *targets;
    uint32_t n;
    uint64_t generation; /* Advances when tables have to be made anew. */
    struct hash_index by_address;
    struct zone_table tables[HG_ZONES_MAX + 1];
};

struct hg_target_group *
hg_target_group_create(const struct hg_target_group_config *config)
{
    struct hg_target_group *g = calloc(1, sizeof *g);

    if (!g)
        return NULL;
    g->targets = calloc(HG_TARGETS_MAX, sizeof *g->targets);
    if (!g->targets) {
        free(g);
        return NULL;
    }
    g->config = *config;
    g->generation = 1;
    return g;
}

void
hg_target_group_destroy(struct hg_target_group *g)
{
    uint32_t i;

    if (!g)
        return;
    for (i = 0; i < g->n; i++)
        free(g->targets[i].id);
    for (i = 0; i <= HG_ZONES_MAX; i++)
        free(g->tables[i].slots);
    hash_index_uninit(&g->by_address);
    free(g->targets);
    free(g);
}

/* ---- Who is there ----------------------------------------------------- */

uint32_t
hg_target_count(const struct hg_target_group *g)
{
    return g->n;
}

struct hg_target *
hg_target_at(const struct hg_target_group *g, uint32_t target)
{
    return &g->targets[target];
}

static uint32_t
hash_address(const struct hg_target_group *g, const struct hg_addr *addr,
             uint16_t port)
{
    return (uint32_t)XXH64(addr->byte, sizeof addr->byte,
                           g->config.seed + port);
}

uint32_t
hg_target_find_address(const struct hg_target_group *g,
                       const struct hg_addr *addr, uint16_t port)
{
    uint32_t hash = hash_address(g, addr, port), i;
    size_t at = hash_index_start(&g->by_address, hash);

    while ((i = hash_index_candidate(&g->by_address, hash, &at)) !=
           HASH_INDEX_END)
        if (g->targets[i].port == port &&
            hg_addr_equal(&g->targets[i].addr, addr))
            return i;
    return HG_TARGET_NONE;
}

uint32_t
hg_target_find(const struct hg_target_group *g, const char *id)
{
    uint32_t i;

    for (i = 0; i < g->n; i++)
        if (g->targets[i].state != HG_TARGET_GONE &&
            !strcmp(g->targets[i].id, id))
            return i;
    return HG_TARGET_NONE;
}

uint8_t
hg_target_family(const struct hg_target_group *g)
{
    uint32_t i;

    for (i = 0; i < g->n; i++)
        if (g->targets[i].state != HG_TARGET_GONE)
            return g->targets[i].addr.family;
    return 0;
}

static bool
is_registered(const struct hg_target *t)
{
    return t->state < HG_TARGET_DRAINING;
}

void
hg_target_health(const struct hg_target_group *g, uint32_t *n,
                 uint32_t *healthy)
{
    uint32_t i;

    *n = *healthy = 0;
    for (i = 0; i < g->n; i++) {
        *n += is_registered(&g->targets[i]);
        *healthy += g->targets[i].state == HG_TARGET_HEALTHY;
    }
}

const char *
hg_target_state_name(enum hg_target_state state)
{
    static const char *const names[] = {"initial",   "healthy",
                                        "unhealthy", "unhealthy.draining",
                                        "draining",  "unused"};

    return names[state];
}

/* ---- Coming and going ------------------------------------------------- */

/* Whether a new target can be among the others. */
static bool
check_new(const struct hg_target_group *g, const struct hg_target *new,
          struct hg_error *error)
{
    uint8_t family = hg_target_family(g);
    char buf[HG_ADDR_STRLEN];

    hg_addr_format(&new->addr, buf);
    if (hg_target_find(g, new->id) != HG_TARGET_NONE)
        return hg_error_set(error, "target '%s' is there already", new->id);
    if (hg_target_find_address(g, &new->addr, new->port) != HG_TARGET_NONE)
        return hg_error_set(error,
                            "target '%s': another one has address %s and port "
                            "%u",
                            new->id, buf, new->port);
    if (family && family != new->addr.family)
        return hg_error_set(error,
                            "target '%s': %s is not an IPv%u address, as "
                            "those of the other targets of the group are",
                            new->id, buf, family);
    return true;
}

/* A place for a new target: one that nobody needs any more, or a new one. */
static uint32_t
find_place(struct hg_target_group *g)
{
    uint32_t i;

    for (i = 0; i < g->n; i++)
        if (g->targets[i].state == HG_TARGET_GONE && !g->targets[i].n_flows)
            return i;
    return g->n < HG_TARGETS_MAX ? g->n++ : HG_TARGET_NONE;
}

uint32_t
hg_target_add(struct hg_target_group *g, const struct hg_target *new,
              struct hg_error *error)
{
    uint32_t i = hg_target_find(g, new->id);
    struct hg_target *t;

    if (i != HG_TARGET_NONE && g->targets[i].state == HG_TARGET_DRAINING &&
        g->targets[i].port ==
            new->port &&hg_addr_equal(&g->targets[i].addr, &new->addr)) {
        g->targets[i].ends_ns = HG_NEVER;
        hg_target_set_state(g, i, new->state);
        return i;
    }
    if (!check_new(g, new, error))
        return HG_TARGET_NONE;
    i = find_place(g);
    if (i == HG_TARGET_NONE) {
        hg_error_set(error, "target '%s' is one too many: at most %d", new->id,
                     HG_TARGETS_MAX);
        return i;
    }
    t = &g->targets[i];
    free(t->id);
    *t = *new;
    t->ends_ns = HG_NEVER;
    t->id = strdup(new->id);
    if (!t->id)
        abort();
    hash_index_add(&g->by_address, hash_address(g, &t->addr, t->port), i);
    g->generation++;
    return i;
}

void
hg_target_set_state(struct hg_target_group *g, uint32_t target,
                    enum hg_target_state state)
{
    struct hg_target *t = &g->targets[target];

    if (t->state == state)
        return;
    if (state == HG_TARGET_GONE)
        hash_index_remove(&g->by_address, hash_address(g, &t->addr, t->port),
                          target);
    t->state = state;
    g->generation++;
}

/* ---- The tables ------------------------------------------------------- */

static bool
is_in_zone(const struct hg_target *t, unsigned zone)
{
    return is_registered(t) &&
           (zone == HG_ZONE_ANY || t->zone == HG_ZONE_ANY || t->zone == zone);
}

static int
compare_ids(const void *a, const void *b)
{
    return strcmp((*(const struct hg_target *const *)a)->id,
                  (*(const struct hg_target *const *)b)->id);
}

/* Lists the targets that get flows in the order of their ids. */
static uint32_t
list_routable(const struct hg_target_group *g, unsigned zone,
              const struct hg_target **list, bool *fail_open)
{
    uint32_t n = 0, healthy = 0, k = 0, i;

    for (i = 0; i < g->n; i++)
        if (is_in_zone(&g->targets[i], zone)) {
            n++;
            healthy += g->targets[i].state == HG_TARGET_HEALTHY;
        }
    *fail_open = healthy < g->config.minimum_count ||
                 healthy * 100 < n * g->config.minimum_percentage || !healthy;
    for (i = 0; i < g->n; i++)
        if (is_in_zone(&g->targets[i], zone) &&
            (*fail_open || g->targets[i].state == HG_TARGET_HEALTHY))
            list[k++] = &g->targets[i];
    if (k)
        qsort(list, k, sizeof *list, compare_ids);
    return k;
}

/* Fills the zone's table; false if there is nobody (or no memory) for it. */
static bool
fill_table(const struct hg_target_group *g, struct zone_table *table,
           const struct hg_target **list, uint32_t n)
{
    uint32_t size = g->config.table_size, i;
    struct hg_maglev_backend *backends = calloc(n, sizeof *backends);
    bool filled;

    if (!table->slots)
        table->slots = malloc(size * sizeof *table->slots);
    for (i = 0; i < n && backends; i++) {
        hg_maglev_prefer(list[i]->id, g->config.seed, size, &backends[i]);
        backends[i].weight = list[i]->weight;
    }
    filled = backends && table->slots &&
             hg_maglev_fill(table->slots, size, backends, n);
    for (i = 0; filled && i < size; i++)
        table->slots[i] = (uint16_t)(list[table->slots[i]] - g->targets);
    free(backends);
    return filled;
}

static void
renew_table(struct hg_target_group *g, unsigned zone)
{
    struct zone_table *table = &g->tables[zone];
    const struct hg_target **list = calloc(g->n + 1, sizeof *list);
    uint32_t n = list ? list_routable(g, zone, list, &table->fail_open) : 0;

    table->generation = g->generation;
    table->empty = !n || !fill_table(g, table, list, n);
    free(list);
}

uint32_t
hg_target_choose(struct hg_target_group *g, unsigned zone, uint32_t hash,
                 bool *fail_open)
{
    struct zone_table *table = &g->tables[zone];

    if (table->generation != g->generation)
        renew_table(g, zone);
    *fail_open = table->fail_open;
    if (table->empty)
        return HG_TARGET_NONE;
    return hg_maglev_pick(table->slots, g->config.table_size, hash);
}
