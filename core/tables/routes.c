/* routes.c: see routes.h.
 *
 * Routes are records in one array; those of a prefix in a table make a chain,
 * best first, whose head an index finds.  After every change of a chain its
 * result goes into the table's longest-prefix match. */
#include <stdlib.h>
#include <string.h>

#include <headgate/routes.h>

#include "../graph_internal.h"
#include "hash_index.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#define NONE UINT32_MAX

struct record {
    struct hg_route route; /* First: hg_routes_in_force() relies on it. */
    uint32_t hash;         /* Of table and prefix. */
    uint32_t next;         /* Of the chain, or of the free list; NONE. */
    bool used;
    bool shaded; /* Within a local or forbidden prefix, and must not be. */
};

struct table {
    struct hg_lpm *lpm;
    struct hg_prefix_list local;
};

/* Ports that share the flows, in ascending order. */
struct port_set {
    uint16_t *port;
    unsigned n;
};

struct hg_routes {
    struct table *tables;
    uint32_t n_tables;
    struct record *records;
    uint32_t n_records;
    uint32_t room;
    uint32_t free;
    struct hash_index by_prefix; /* Heads of chains. */
    struct port_set *sets;       /* The first n_ports: of one port each. */
    uint32_t n_sets;
    uint32_t n_ports;
    struct hg_prefix_list forbidden;
    size_t count;
};

/* ---- Targets ---------------------------------------------------------- */

static uint32_t
add_set(struct hg_routes *r, const uint16_t *port, unsigned n)
{
    if (!(r->n_sets & (r->n_sets - 1)))
        r->sets = xrealloc(r->sets,
                           (r->n_sets ? r->n_sets * 2 : 1) * sizeof *r->sets);
    r->sets[r->n_sets].port = xcalloc(n, sizeof *port);
    memcpy(r->sets[r->n_sets].port, port, n * sizeof *port);
    r->sets[r->n_sets].n = n;
    return r->n_sets++;
}

static int
compare_ports(const void *a, const void *b)
{
    return *(const uint16_t *)a - *(const uint16_t *)b;
}

/* Sorts and removes what is there twice; returns how many are left. */
static unsigned
sort_ports(uint16_t *port, unsigned n)
{
    unsigned i, kept = 1;

    qsort(port, n, sizeof *port, compare_ports);
    for (i = 1; i < n; i++)
        if (port[i] != port[kept - 1])
            port[kept++] = port[i];
    return kept;
}

uint32_t
hg_routes_target(struct hg_routes *r, const uint16_t *given, unsigned n)
{
    uint16_t *port;
    uint32_t i;

    if (n == 1)
        return given[0];
    port = xcalloc(n, sizeof *port);
    memcpy(port, given, n * sizeof *port);
    n = sort_ports(port, n);
    for (i = n == 1 ? port[0] : r->n_ports; i < r->n_sets; i++)
        if (r->sets[i].n == n &&
            !memcmp(r->sets[i].port, port, n * sizeof *port))
            break;
    if (i == r->n_sets)
        i = add_set(r, port, n);
    free(port);
    return i;
}

const uint16_t *
hg_routes_ports(const struct hg_routes *r, uint32_t target, unsigned *n)
{
    *n = r->sets[target].n;
    return r->sets[target].port;
}

static bool
is_ports(uint32_t target)
{
    return target < HG_ROUTES_FORBIDDEN;
}

/* ---- Chains ----------------------------------------------------------- */

static uint32_t
hash_of(uint32_t table, const struct hg_prefix *prefix)
{
    uint8_t key[4 + sizeof prefix->addr.byte + 2];

    memcpy(key, &table, 4);
    memcpy(key + 4, prefix->addr.byte, sizeof prefix->addr.byte);
    key[20] = prefix->addr.family;
    key[21] = prefix->len;
    return (uint32_t)XXH3_64bits(key, sizeof key);
}

static bool
same_prefix(const struct hg_prefix *a, const struct hg_prefix *b)
{
    return a->len == b->len && hg_addr_equal(&a->addr, &b->addr);
}

static uint32_t
find_chain(const struct hg_routes *r, uint32_t table,
           const struct hg_prefix *prefix, uint32_t hash)
{
    size_t at = hash_index_start(&r->by_prefix, hash);
    uint32_t i;

    while ((i = hash_index_candidate(&r->by_prefix, hash, &at)) !=
           HASH_INDEX_END) {
        const struct hg_route *route = &r->records[i].route;

        if (route->table == table && same_prefix(&route->prefix, prefix))
            return i;
    }
    return NONE;
}

static bool
better(const struct hg_route *a, const struct hg_route *b)
{
    if (a->type != b->type)
        return a->type < b->type;
    return a->preference < b->preference;
}

/* Whether 'b' shares the flows with 'a', which is in force. */
static bool
equals(const struct hg_route *a, const struct hg_route *b)
{
    return a->type == HG_ROUTE_PROPAGATED && b->type == a->type &&
           a->preference == b->preference && a->shareable && b->shareable;
}

static const struct record *
first_in_force(const struct hg_routes *r, uint32_t i)
{
    while (i != NONE && r->records[i].shaded)
        i = r->records[i].next;
    return i == NONE ? NULL : &r->records[i];
}

/* The target of the chain's best route and its equals. */
static uint32_t
chain_target(struct hg_routes *r, const struct record *best)
{
    const struct record *record = best;
    uint16_t *port = NULL;
    unsigned n = 0, more;
    uint32_t target = best->route.target;

    if (best->next == NONE ||
        !equals(&best->route, &r->records[best->next].route))
        return target;
    for (;;) {
        if (!record->shaded && is_ports(record->route.target)) {
            const uint16_t *from =
                hg_routes_ports(r, record->route.target, &more);

            port = xrealloc(port, (n + more) * sizeof *port);
            memcpy(port + n, from, more * sizeof *port);
            n += more;
        }
        if (record->next == NONE ||
            !equals(&best->route, &r->records[record->next].route))
            break;
        record = &r->records[record->next];
    }
    if (n)
        target = hg_routes_target(r, port, n);
    free(port);
    return target;
}

/* Puts the result of a chain into force. */
static void
enforce(struct hg_routes *r, uint32_t head)
{
    const struct hg_route *route = &r->records[head].route;
    const struct record *best = first_in_force(r, head);
    struct hg_lpm *lpm = r->tables[route->table].lpm;

    if (best)
        hg_lpm_set(lpm, &route->prefix, chain_target(r, best));
    else
        hg_lpm_remove(lpm, &route->prefix);
}

/* ---- What may not be -------------------------------------------------- */

static const struct hg_prefix *
enclosing(const struct hg_prefix_list *list, const struct hg_prefix *prefix)
{
    size_t i;

    for (i = 0; i < list->n; i++)
        if (list->v[i].len <= prefix->len &&
            hg_prefix_contains(&list->v[i], &prefix->addr))
            return &list->v[i];
    return NULL;
}

const struct hg_prefix *
hg_routes_local(const struct hg_routes *r, uint32_t table,
                const struct hg_prefix *prefix)
{
    return enclosing(&r->tables[table].local, prefix);
}

const struct hg_prefix *
hg_routes_forbidden(const struct hg_routes *r, const struct hg_prefix *prefix)
{
    return enclosing(&r->forbidden, prefix);
}

static bool
is_shaded(const struct hg_routes *r, const struct hg_route *route)
{
    if (route->type == HG_ROUTE_FORBIDDEN)
        return false;
    if (hg_routes_forbidden(r, &route->prefix))
        return true;
    return route->type != HG_ROUTE_LOCAL && !route->over_local &&
           hg_routes_local(r, route->table, &route->prefix);
}

/* ---- Changing --------------------------------------------------------- */

static uint32_t
new_record(struct hg_routes *r)
{
    uint32_t i = r->free;

    if (i != NONE) {
        r->free = r->records[i].next;
        return i;
    }
    if (r->n_records == r->room) {
        r->room = r->room ? r->room * 2 : 16;
        r->records = xrealloc(r->records, r->room * sizeof *r->records);
    }
    return r->n_records++;
}

/* Links a new record into its chain, behind those that are as good. */
static uint32_t
link_record(struct hg_routes *r, uint32_t head, uint32_t i)
{
    struct record *record = &r->records[i];
    uint32_t at = head;

    if (head == NONE || better(&record->route, &r->records[head].route)) {
        record->next = head;
        if (head != NONE)
            hash_index_remove(&r->by_prefix, record->hash, head);
        hash_index_add(&r->by_prefix, record->hash, i);
        return i;
    }
    while (r->records[at].next != NONE &&
           !better(&record->route, &r->records[r->records[at].next].route))
        at = r->records[at].next;
    record->next = r->records[at].next;
    r->records[at].next = i;
    return head;
}

/* Takes a record out of its chain and frees it; returns the chain's head. */
static uint32_t
unlink_record(struct hg_routes *r, uint32_t head, uint32_t i)
{
    struct record *record = &r->records[i];
    uint32_t at = head;

    if (i == head) {
        hash_index_remove(&r->by_prefix, record->hash, i);
        head = record->next;
        if (head != NONE)
            hash_index_add(&r->by_prefix, record->hash, head);
    } else {
        while (r->records[at].next != i)
            at = r->records[at].next;
        r->records[at].next = record->next;
    }
    r->count -= record->route.type != HG_ROUTE_FORBIDDEN;
    record->used = false;
    record->next = r->free;
    r->free = i;
    return head;
}

static uint32_t
find_in_chain(const struct hg_routes *r, uint32_t i, unsigned type,
              uint32_t origin)
{
    while (i != NONE && (r->records[i].route.type != type ||
                         r->records[i].route.origin != origin))
        i = r->records[i].next;
    return i;
}

void
hg_routes_add(struct hg_routes *r, const struct hg_route *route)
{
    uint32_t hash = hash_of(route->table, &route->prefix), i;
    uint32_t head = find_chain(r, route->table, &route->prefix, hash);
    uint32_t old = find_in_chain(r, head, route->type, route->origin);

    if (old != NONE && r->records[old].route.preference == route->preference) {
        r->records[old].route = *route;
        r->records[old].shaded = is_shaded(r, route);
        enforce(r, head);
        return;
    }
    if (old != NONE)
        head = unlink_record(r, head, old);
    i = new_record(r);
    r->records[i] = (struct record){*route, hash, NONE, true, false};
    r->records[i].shaded = is_shaded(r, route);
    r->count += route->type != HG_ROUTE_FORBIDDEN;
    enforce(r, link_record(r, head, i));
}

bool
hg_routes_remove(struct hg_routes *r, uint32_t table,
                 const struct hg_prefix *prefix, enum hg_route_type type,
                 uint32_t origin)
{
    uint32_t head = find_chain(r, table, prefix, hash_of(table, prefix));
    uint32_t i = find_in_chain(r, head, type, origin);

    if (i == NONE)
        return false;
    head = unlink_record(r, head, i);
    if (head != NONE)
        enforce(r, head);
    else
        hg_lpm_remove(r->tables[table].lpm, prefix);
    return true;
}

size_t
hg_routes_withdraw(struct hg_routes *r, uint32_t table, uint32_t origin)
{
    size_t n = 0;
    uint32_t i;

    for (i = 0; i < r->n_records; i++) {
        const struct hg_route route = r->records[i].route;

        if (!r->records[i].used || route.type != HG_ROUTE_PROPAGATED ||
            route.origin != origin ||
            (table != HG_LPM_NONE && table != route.table))
            continue;
        hg_routes_remove(r, route.table, &route.prefix, route.type, origin);
        n++;
    }
    return n;
}

/* Judges every route of the table anew. */
static void
judge(struct hg_routes *r, uint32_t table)
{
    uint32_t i;

    for (i = 0; i < r->n_records; i++) {
        struct record *record = &r->records[i];

        if (!record->used || record->route.table != table ||
            record->shaded == is_shaded(r, &record->route))
            continue;
        record->shaded = !record->shaded;
        enforce(r, find_chain(r, table, &record->route.prefix, record->hash));
    }
}

void
hg_routes_set_local(struct hg_routes *r, uint32_t table,
                    const struct hg_prefix_list *list, uint32_t target)
{
    struct table *t = &r->tables[table];
    size_t i;

    for (i = 0; i < t->local.n; i++)
        hg_routes_remove(r, table, &t->local.v[i], HG_ROUTE_LOCAL, 0);
    t->local.v = xrealloc(t->local.v, list->n * sizeof *list->v);
    t->local.n = list->n;
    for (i = 0; i < list->n; i++) {
        struct hg_route route = {.prefix = list->v[i],
                                 .type = HG_ROUTE_LOCAL,
                                 .table = table,
                                 .target = target};

        t->local.v[i] = list->v[i];
        hg_routes_add(r, &route);
    }
    judge(r, table);
}

/* ---- Looking ---------------------------------------------------------- */

const struct hg_lpm *
hg_routes_lpm(const struct hg_routes *r, uint32_t table)
{
    return r->tables[table].lpm;
}

const struct hg_route *
hg_routes_match(const struct hg_routes *r, uint32_t table,
                const struct hg_addr *addr)
{
    struct hg_prefix prefix = {*addr, addr->family == 4 ? 32 : 128};

    for (;;) {
        uint32_t head = find_chain(r, table, &prefix, hash_of(table, &prefix));
        const struct record *best = first_in_force(r, head);

        if (best)
            return &best->route;
        if (!prefix.len)
            return NULL;
        prefix.len--;
        prefix.addr.byte[prefix.len / 8] &=
            (uint8_t)(0xff00u >> prefix.len % 8);
    }
}

bool
hg_routes_in_force(const struct hg_routes *r, const struct hg_route *route)
{
    const struct record *record = (const struct record *)(const void *)route;
    uint32_t head = find_chain(r, route->table, &route->prefix, record->hash);
    const struct record *best = first_in_force(r, head);

    return best == record ||
           (best && !record->shaded && equals(&best->route, route));
}

static int
compare_routes(const void *a_, const void *b_)
{
    const struct hg_route *a = *(const struct hg_route *const *)a_;
    const struct hg_route *b = *(const struct hg_route *const *)b_;
    int order = a->prefix.addr.family - b->prefix.addr.family;

    if (!order)
        order = memcmp(a->prefix.addr.byte, b->prefix.addr.byte,
                       sizeof a->prefix.addr.byte);
    if (!order)
        order = a->prefix.len - b->prefix.len;
    if (!order)
        order = a->type - b->type;
    if (!order)
        order =
            (a->preference > b->preference) - (a->preference < b->preference);
    return order ? order : (a->origin > b->origin) - (a->origin < b->origin);
}

const struct hg_route **
hg_routes_list(const struct hg_routes *r, uint32_t table, size_t *n)
{
    const struct hg_route **list = calloc(r->count + 1, sizeof *list);
    uint32_t i;

    for (*n = 0, i = 0; list && i < r->n_records; i++)
        if (r->records[i].used && r->records[i].route.table == table &&
            r->records[i].route.type != HG_ROUTE_FORBIDDEN)
            list[(*n)++] = &r->records[i].route;
    if (*n)
        qsort(list, *n, sizeof *list, compare_routes);
    return list;
}

size_t
hg_routes_count(const struct hg_routes *r)
{
    return r->count;
}

size_t
hg_routes_bytes(const struct hg_routes *r)
{
    size_t bytes = sizeof *r + r->room * sizeof *r->records +
                   r->by_prefix.n_slots * sizeof *r->by_prefix.slots +
                   r->n_tables * sizeof *r->tables +
                   r->n_sets * sizeof *r->sets;
    uint32_t i;

    for (i = 0; i < r->n_tables; i++)
        bytes += hg_lpm_bytes(r->tables[i].lpm);
    return bytes;
}

/* ---- Life ------------------------------------------------------------- */

struct hg_routes *
hg_routes_create(unsigned n_ports, const struct hg_prefix_list *forbid)
{
    struct hg_routes *r = xcalloc(1, sizeof *r);
    unsigned i;

    r->free = NONE;
    r->n_ports = n_ports;
    for (i = 0; i < n_ports; i++)
        add_set(r, &(uint16_t){(uint16_t)i}, 1);
    r->forbidden.n = forbid->n;
    r->forbidden.v = xcalloc(forbid->n, sizeof *forbid->v);
    if (forbid->n)
        memcpy(r->forbidden.v, forbid->v, forbid->n * sizeof *forbid->v);
    return r;
}

void
hg_routes_destroy(struct hg_routes *r)
{
    uint32_t i;

    if (!r)
        return;
    for (i = 0; i < r->n_tables; i++) {
        hg_lpm_destroy(r->tables[i].lpm);
        free(r->tables[i].local.v);
    }
    for (i = 0; i < r->n_sets; i++)
        free(r->sets[i].port);
    free(r->sets);
    free(r->tables);
    free(r->records);
    free(r->forbidden.v);
    hash_index_uninit(&r->by_prefix);
    free(r);
}

uint32_t
hg_routes_add_table(struct hg_routes *r)
{
    uint32_t number = r->n_tables;
    size_t i;

    if (!(number & (number - 1)))
        r->tables =
            xrealloc(r->tables, (number ? number * 2 : 1) * sizeof *r->tables);
    r->tables[number] = (struct table){.lpm = hg_lpm_create()};
    r->n_tables++;
    for (i = 0; i < r->forbidden.n; i++) {
        struct hg_route route = {.prefix = r->forbidden.v[i],
                                 .type = HG_ROUTE_FORBIDDEN,
                                 .table = number,
                                 .target = HG_ROUTES_FORBIDDEN};

        hg_routes_add(r, &route);
    }
    return number;
}
