/* routes.c: see routes.h.
 *
 * Routes are records in one array; those of a prefix in a table make a chain,
 * best first.  What is in force stands in the table's longest-prefix match,
 * with the head of the chain as a note; chains of which nothing is in force
 * stand in another. */
#include <stdlib.h>
#include <string.h>

#include <headgate/routes.h>

#include "../graph_internal.h"
#include "large.h"

#define NONE UINT32_MAX

struct record {
    struct hg_route route; /* First: hg_routes_in_force() relies on it. */
    uint32_t next;         /* Of the chain, or of the free list; NONE. */
    bool used;
    bool shaded; /* Within a local or forbidden prefix, and must not be. */
};

struct table {
    struct hg_lpm *lpm;
    struct hg_lpm *waiting; /* NULL until it is needed. */
    struct hg_prefix_list local;
    uint32_t local_target;
};

/* Ports that share the flows, in ascending order. */
struct port_set {
    uint16_t *port;
    unsigned n;
};

struct hg_routes {
    struct table *tables;
    uint32_t n_tables;
    struct stretch records;
    uint32_t n_records;
    uint32_t free;
    struct port_set *sets; /* The first n_ports: of one port each. */
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

static struct record *
record_at(const struct hg_routes *r, uint32_t i)
{
    return (struct record *)r->records.at + i;
}

static uint32_t
find_chain(const struct hg_routes *r, uint32_t table,
           const struct hg_prefix *prefix)
{
    const struct table *t = &r->tables[table];
    const uint32_t *head = hg_lpm_note(t->lpm, prefix);

    if (!head && t->waiting)
        head = hg_lpm_note(t->waiting, prefix);
    return head ? *head : NONE;
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
    while (i != NONE && record_at(r, i)->shaded)
        i = record_at(r, i)->next;
    return i == NONE ? NULL : record_at(r, i);
}

/* Whether a route for the same prefix follows that is as good. */
static bool
has_peer(const struct hg_routes *r, const struct record *record,
         const struct record *best)
{
    return record->next != NONE &&
           !better(&best->route, &record_at(r, record->next)->route);
}

/* The target of the chain's best route and its equals; what may not share can
 * stand between them. */
static uint32_t
chain_target(struct hg_routes *r, const struct record *best)
{
    const struct record *record = best;
    uint16_t *port = NULL;
    unsigned n = 0, more;
    uint32_t target = best->route.target;

    if (!equals(&best->route, &best->route) || !has_peer(r, best, best))
        return target;
    for (;;) {
        if (equals(&best->route, &record->route) && !record->shaded &&
            is_ports(record->route.target)) {
            const uint16_t *from =
                hg_routes_ports(r, record->route.target, &more);

            port = xrealloc(port, (n + more) * sizeof *port);
            memcpy(port + n, from, more * sizeof *port);
            n += more;
        }
        if (!has_peer(r, record, best))
            break;
        record = record_at(r, record->next);
    }
    if (n)
        target = hg_routes_target(r, port, n);
    free(port);
    return target;
}

/* Whether or not the chain of the prefix stands in 'lpm', where its value is
 * 'target'. */
static void
note_chain(struct hg_lpm *lpm, const struct hg_prefix *prefix, bool stands,
           uint32_t target, uint32_t head)
{
    if (!stands) {
        hg_lpm_remove(lpm, prefix);
        return;
    }
    hg_lpm_set(lpm, prefix, target);
    *hg_lpm_note(lpm, prefix) = head;
}

/* Puts the result of a chain into force; 'head' is NONE if it is empty. */
static void
enforce(struct hg_routes *r, uint32_t table, const struct hg_prefix *prefix,
        uint32_t head)
{
    const struct record *best = first_in_force(r, head);
    struct table *t = &r->tables[table];
    bool waits = head != NONE && !best;

    note_chain(t->lpm, prefix, best != NULL, best ? chain_target(r, best) : 0,
               head);
    if (waits && !t->waiting)
        t->waiting = hg_lpm_create_with_notes();
    if (t->waiting)
        note_chain(t->waiting, prefix, waits, 0, head);
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
        r->free = record_at(r, i)->next;
        return i;
    }
    if (!(r->n_records & (r->n_records - 1)))
        stretch_grow(&r->records, (r->n_records ? r->n_records * 2 : 1) *
                                      sizeof(struct record));
    return r->n_records++;
}

/* Links a new record into its chain, behind those that are as good. */
static uint32_t
link_record(struct hg_routes *r, uint32_t head, uint32_t i)
{
    struct record *record = record_at(r, i);
    struct record *at;

    if (head == NONE || better(&record->route, &record_at(r, head)->route)) {
        record->next = head;
        return i;
    }
    at = record_at(r, head);
    while (at->next != NONE &&
           !better(&record->route, &record_at(r, at->next)->route))
        at = record_at(r, at->next);
    record->next = at->next;
    at->next = i;
    return head;
}

/* Takes a record out of its chain and frees it; returns the chain's head. */
static uint32_t
unlink_record(struct hg_routes *r, uint32_t head, uint32_t i)
{
    struct record *record = record_at(r, i);
    uint32_t at = head;

    if (i == head) {
        head = record->next;
    } else {
        while (record_at(r, at)->next != i)
            at = record_at(r, at)->next;
        record_at(r, at)->next = record->next;
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
    while (i != NONE && (record_at(r, i)->route.type != type ||
                         record_at(r, i)->route.origin != origin))
        i = record_at(r, i)->next;
    return i;
}

void
hg_routes_add(struct hg_routes *r, const struct hg_route *route)
{
    uint32_t head = find_chain(r, route->table, &route->prefix), i;
    uint32_t old = find_in_chain(r, head, route->type, route->origin);

    if (old != NONE &&
        record_at(r, old)->route.preference == route->preference) {
        record_at(r, old)->route = *route;
        record_at(r, old)->shaded = is_shaded(r, route);
        enforce(r, route->table, &route->prefix, head);
        return;
    }
    if (old != NONE)
        head = unlink_record(r, head, old);
    i = new_record(r);
    *record_at(r, i) =
        (struct record){*route, NONE, true, is_shaded(r, route)};
    r->count += route->type != HG_ROUTE_FORBIDDEN;
    enforce(r, route->table, &route->prefix, link_record(r, head, i));
}

bool
hg_routes_remove(struct hg_routes *r, uint32_t table,
                 const struct hg_prefix *prefix, enum hg_route_type type,
                 uint32_t origin)
{
    uint32_t head = find_chain(r, table, prefix);
    uint32_t i = find_in_chain(r, head, type, origin);

    if (i == NONE)
        return false;
    enforce(r, table, prefix, unlink_record(r, head, i));
    return true;
}

size_t
hg_routes_withdraw(struct hg_routes *r, uint32_t table, uint32_t origin)
{
    size_t n = 0;
    uint32_t i;

    for (i = 0; i < r->n_records; i++) {
        const struct hg_route route = record_at(r, i)->route;

        if (!record_at(r, i)->used || route.type != HG_ROUTE_PROPAGATED ||
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
        struct record *record = record_at(r, i);

        if (!record->used || record->route.table != table ||
            record->shaded == is_shaded(r, &record->route))
            continue;
        record->shaded = !record->shaded;
        enforce(r, table, &record->route.prefix,
                find_chain(r, table, &record->route.prefix));
    }
}

static bool
same_list(const struct hg_prefix_list *a, const struct hg_prefix_list *b)
{
    size_t i;

    for (i = 0; i < a->n && i < b->n; i++)
        if (a->v[i].len != b->v[i].len ||
            !hg_addr_equal(&a->v[i].addr, &b->v[i].addr))
            return false;
    return a->n == b->n;
}

void
hg_routes_set_local(struct hg_routes *r, uint32_t table,
                    const struct hg_prefix_list *list, uint32_t target)
{
    struct table *t = &r->tables[table];
    size_t i;

    if (same_list(&t->local, list) && (!list->n || t->local_target == target))
        return; /* To judge all routes is not for nothing. */
    t->local_target = target;
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
        uint32_t head = find_chain(r, table, &prefix);
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
    uint32_t head = find_chain(r, route->table, &route->prefix);
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

bool
hg_routes_foreach(const struct hg_routes *r, uint32_t table,
                  bool (*fn)(void *aux, const struct hg_route *), void *aux)
{
    uint32_t i;

    for (i = 0; i < r->n_records; i++) {
        const struct record *record = record_at(r, i);

        if (record->used && record->route.table == table &&
            record->route.type != HG_ROUTE_FORBIDDEN &&
            !fn(aux, &record->route))
            return false;
    }
    return true;
}

struct list {
    const struct hg_route **v;
    size_t n;
};

static bool
add_to_list(void *list_, const struct hg_route *route)
{
    struct list *list = list_;

    list->v[list->n++] = route;
    return true;
}

const struct hg_route **
hg_routes_list(const struct hg_routes *r, uint32_t table, size_t *n)
{
    struct list list = {calloc(r->count + 1, sizeof *list.v), 0};

    if (list.v)
        hg_routes_foreach(r, table, add_to_list, &list);
    if (list.n)
        qsort(list.v, list.n, sizeof *list.v, compare_routes);
    *n = list.n;
    return list.v;
}

size_t
hg_routes_count(const struct hg_routes *r)
{
    return r->count;
}

size_t
hg_routes_bytes(const struct hg_routes *r)
{
    size_t bytes = sizeof *r + r->n_records * sizeof(struct record) +
                   r->n_tables * sizeof *r->tables +
                   r->n_sets * sizeof *r->sets;
    uint32_t i;

    for (i = 0; i < r->n_tables; i++) {
        bytes += hg_lpm_bytes(r->tables[i].lpm);
        if (r->tables[i].waiting)
            bytes += hg_lpm_bytes(r->tables[i].waiting);
    }
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
        hg_lpm_destroy(r->tables[i].waiting);
        free(r->tables[i].local.v);
    }
    for (i = 0; i < r->n_sets; i++)
        free(r->sets[i].port);
    free(r->sets);
    free(r->tables);
    stretch_uninit(&r->records);
    free(r->forbidden.v);
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
    r->tables[number] = (struct table){.lpm = hg_lpm_create_with_notes()};
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
