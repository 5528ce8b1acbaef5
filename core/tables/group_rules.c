/* group_rules.c: see headgate/group_rules.h.
 *
 * A set is two rule tables, one for each direction.  Each rule of a group
 * becomes a row for every peer address and range of ports; rows whose peer is
 * any address come first, so that the first row that matches tells whether
 * there is an open one. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <headgate/group_rules.h>
#include <jansson.h>

#include "../graph_internal.h"

struct rule {
    uint32_t number;
    enum hg_group_direction direction;
    int16_t protocol;
    int16_t icmp_type;
    int16_t icmp_code;
    struct hg_port_range *ports;
    size_t n_ports;
    char **peers;
    size_t n_peers;
};

struct group {
    char *id;
    char *default_of; /* VPC, or NULL. */
    struct rule *rules;
    size_t n_rules;
};

struct prefix_list {
    char *id;
    struct hg_prefix_list prefixes;
};

/* Whom a row names that is there for a group of peers. */
struct member {
    uint32_t group; /* + 1; 0: it is there for a block. */
    uint32_t vpc;   /* Number of its VPC. */
};

/* One direction of a set. */
struct half {
    struct hg_rules *table;
    struct hg_rule *rows;  /* While compiling. */
    struct member *member; /* By row. */
    bool *open;            /* By row. */
    size_t n;
    size_t room;
    bool all_open[2][2]; /* Family 4, 6; TCP, UDP. */
    bool any_open[2];    /* Family 4, 6. */
};

struct hg_group_set {
    struct hg_groups *groups;
    const struct hg_inventory *inventory;
    char **ids;
    size_t n_ids;
    _Atomic uint64_t version; /* Of what it was compiled from; 0: of nothing.
                               * Written last, so who reads it may read what
                               * follows. */
    uint64_t generation;
    struct half half[2];
};

struct hg_groups {
    struct group *groups;
    size_t n_groups;
    struct prefix_list *lists;
    size_t n_lists;
    struct hg_group_set **sets;
    size_t n_sets;
    uint64_t version; /* Advances with every change of rules; from 1. */
    uint32_t last_number;
    pthread_mutex_t sharing; /* For new sets, and for compiling one. */
};

/* ---- Groups, lists and rules ------------------------------------------ */

struct hg_groups *
hg_groups_create(void)
{
    struct hg_groups *g = xcalloc(1, sizeof *g);

    g->version = 1;
    pthread_mutex_init(&g->sharing, NULL);
    return g;
}

static void
rule_uninit(struct rule *r)
{
    size_t i;

    for (i = 0; i < r->n_peers; i++)
        free(r->peers[i]);
    free(r->peers);
    free(r->ports);
}

static void
half_uninit(struct half *h)
{
    hg_rules_destroy(h->table);
    free(h->member);
    free(h->open);
    *h = (struct half){0};
}

static void
set_destroy(struct hg_group_set *set)
{
    size_t i;

    half_uninit(&set->half[0]);
    half_uninit(&set->half[1]);
    for (i = 0; i < set->n_ids; i++)
        free(set->ids[i]);
    free(set->ids);
    free(set);
}

void
hg_groups_destroy(struct hg_groups *g)
{
    size_t i, k;

    if (!g)
        return;
    for (i = 0; i < g->n_sets; i++)
        set_destroy(g->sets[i]);
    for (i = 0; i < g->n_groups; i++) {
        for (k = 0; k < g->groups[i].n_rules; k++)
            rule_uninit(&g->groups[i].rules[k]);
        free(g->groups[i].rules);
        free(g->groups[i].id);
        free(g->groups[i].default_of);
    }
    for (i = 0; i < g->n_lists; i++) {
        free(g->lists[i].id);
        free(g->lists[i].prefixes.v);
    }
    pthread_mutex_destroy(&g->sharing);
    free(g->sets);
    free(g->groups);
    free(g->lists);
    free(g);
}

static struct group *
find_group(const struct hg_groups *g, const char *id)
{
    size_t i;

    for (i = 0; i < g->n_groups; i++)
        if (!strcmp(g->groups[i].id, id))
            return &g->groups[i];
    return NULL;
}

static const struct prefix_list *
find_list(const struct hg_groups *g, const char *id)
{
    size_t i;

    for (i = 0; i < g->n_lists; i++)
        if (!strcmp(g->lists[i].id, id))
            return &g->lists[i];
    return NULL;
}

bool
hg_groups_has(const struct hg_groups *g, const char *id)
{
    return find_group(g, id) != NULL;
}

const char *
hg_groups_default(const struct hg_groups *g, const char *vpc)
{
    size_t i;

    for (i = 0; i < g->n_groups; i++)
        if (g->groups[i].default_of && !strcmp(g->groups[i].default_of, vpc))
            return g->groups[i].id;
    return NULL;
}

static bool
is_member(const struct group *group, const struct hg_eni *eni)
{
    if (!eni->details->security_group.n)
        return group->default_of && !strcmp(group->default_of, eni->vpc->id);
    return hg_eni_in_group(eni, group->id);
}

bool
hg_groups_add(struct hg_groups *g, const char *id, const char *default_of,
              struct hg_error *error)
{
    if (find_group(g, id) || find_list(g, id))
        return hg_error_set(error, "'%s' is there twice; rename one", id);
    g->groups = xrealloc(g->groups, (g->n_groups + 1) * sizeof *g->groups);
    g->groups[g->n_groups++] =
        (struct group){.id = xstrdup(id),
                       .default_of = default_of ? xstrdup(default_of) : NULL};
    g->version++;
    return true;
}

bool
hg_groups_add_prefix_list(struct hg_groups *g, const char *id,
                          const struct hg_prefix_list *list,
                          struct hg_error *error)
{
    struct prefix_list *copy;

    if (find_group(g, id) || find_list(g, id))
        return hg_error_set(error, "'%s' is there twice; rename one", id);
    g->lists = xrealloc(g->lists, (g->n_lists + 1) * sizeof *g->lists);
    copy = &g->lists[g->n_lists++];
    copy->id = xstrdup(id);
    copy->prefixes.n = list->n;
    copy->prefixes.v = xcalloc(list->n + 1, sizeof *list->v);
    if (list->n)
        memcpy(copy->prefixes.v, list->v, list->n * sizeof *list->v);
    g->version++;
    return true;
}

/* The id of the group that a peer names, without its account. */
static const char *
group_of_peer(const char *peer)
{
    const char *slash = strchr(peer, '/');

    return slash ? slash + 1 : peer;
}

static bool
check_rule(const struct hg_groups *g, const struct hg_group_rule *rule,
           struct hg_error *error)
{
    bool icmp =
        rule->protocol == HG_PROTO_ICMP || rule->protocol == HG_PROTO_ICMP6;
    size_t i;

    if (rule->ports.n && rule->protocol != HG_PROTO_TCP &&
        rule->protocol != HG_PROTO_UDP)
        return hg_error_set(error, "only tcp and udp have ports; leave "
                                   "'ports' out or name the protocol");
    if (!icmp &&
        (rule->icmp_type != HG_RULE_ANY || rule->icmp_code != HG_RULE_ANY))
        return hg_error_set(error, "only icmp and icmpv6 have a type and a "
                                   "code; leave them out");
    if (rule->icmp_type == HG_RULE_ANY && rule->icmp_code != HG_RULE_ANY)
        return hg_error_set(error, "an ICMP code needs a type");
    if (!rule->peers.n)
        return hg_error_set(error, "a rule needs a peer: an address block, a "
                                   "group, a prefix list or 'self'");
    for (i = 0; i < rule->peers.n; i++) {
        const char *peer = rule->peers.v[i];
        struct hg_prefix prefix;

        if (!hg_prefix_parse(peer, &prefix) && strcmp(peer, "self") != 0 &&
            !find_list(g, peer) && !find_group(g, group_of_peer(peer)))
            return hg_error_set(error,
                                "'%s' is no address block, 'self', group or "
                                "prefix list of this element",
                                peer);
    }
    return true;
}

uint32_t
hg_groups_add_rule(struct hg_groups *g, const char *id,
                   enum hg_group_direction direction,
                   const struct hg_group_rule *rule, struct hg_error *error)
{
    struct group *group = find_group(g, id);
    struct rule *r;
    size_t i;

    if (!group) {
        hg_error_set(error, "there is no group '%s'", id);
        return 0;
    }
    if (!check_rule(g, rule, error))
        return 0;
    group->rules =
        xrealloc(group->rules, (group->n_rules + 1) * sizeof *group->rules);
    r = &group->rules[group->n_rules++];
    *r = (struct rule){.number = ++g->last_number,
                       .direction = direction,
                       .protocol = rule->protocol,
                       .icmp_type = rule->icmp_type,
                       .icmp_code = rule->icmp_code,
                       .n_ports = rule->ports.n,
                       .n_peers = rule->peers.n};
    r->ports = xcalloc(r->n_ports + 1, sizeof *r->ports);
    for (i = 0; i < r->n_ports; i++)
        r->ports[i] = rule->ports.v[i];
    r->peers = xcalloc(r->n_peers, sizeof *r->peers);
    for (i = 0; i < r->n_peers; i++)
        r->peers[i] = xstrdup(rule->peers.v[i]);
    g->version++;
    return r->number;
}

bool
hg_groups_remove_rule(struct hg_groups *g, uint32_t number)
{
    size_t i, k;

    for (i = 0; i < g->n_groups; i++) {
        struct group *group = &g->groups[i];

        for (k = 0; k < group->n_rules; k++)
            if (group->rules[k].number == number) {
                rule_uninit(&group->rules[k]);
                memmove(&group->rules[k], &group->rules[k + 1],
                        (group->n_rules - k - 1) * sizeof *group->rules);
                group->n_rules--;
                g->version++;
                return true;
            }
    }
    return false;
}

/* ---- Text ------------------------------------------------------------- */

bool
hg_group_protocol_parse(const char *text, int16_t *protocol)
{
    static const struct {
        const char *name;
        int16_t protocol;
    } names[] = {{"all", HG_RULE_ANY},    {"-1", HG_RULE_ANY},
                 {"tcp", HG_PROTO_TCP},   {"udp", HG_PROTO_UDP},
                 {"icmp", HG_PROTO_ICMP}, {"icmpv6", HG_PROTO_ICMP6}};
    uint64_t number;
    size_t i;

    for (i = 0; i < sizeof names / sizeof names[0]; i++)
        if (!strcmp(text, names[i].name)) {
            *protocol = names[i].protocol;
            return true;
        }
    if (!hg_number_parse(text, &number) || number > 255)
        return false;
    *protocol = (int16_t)number;
    return true;
}

static json_t *
rule_json(const struct group *group, const struct rule *r)
{
    json_t *peers = json_array(), *ports = json_array();
    json_t *o;
    size_t i;

    for (i = 0; i < r->n_peers; i++)
        json_array_append_new(peers, json_string(r->peers[i]));
    for (i = 0; i < r->n_ports; i++)
        json_array_append_new(
            ports, json_pack("[ii]", r->ports[i].low, r->ports[i].high));
    o = json_pack("{s:i, s:s, s:s, s:i, s:o, s:o}", "rule", (int)r->number,
                  "group", group->id, "direction",
                  r->direction == HG_GROUP_INBOUND ? "inbound" : "outbound",
                  "protocol", r->protocol, "ports", ports, "peers", peers);
    if (r->icmp_type != HG_RULE_ANY)
        json_object_set_new(o, "type", json_integer(r->icmp_type));
    if (r->icmp_code != HG_RULE_ANY)
        json_object_set_new(o, "code", json_integer(r->icmp_code));
    return o;
}

void
hg_groups_print(const struct hg_groups *g, FILE *out)
{
    size_t i, k;

    for (i = 0; i < g->n_groups; i++)
        for (k = 0; k < g->groups[i].n_rules; k++) {
            json_t *o = rule_json(&g->groups[i], &g->groups[i].rules[k]);

            json_dumpf(o, out, JSON_COMPACT);
            fputc('\n', out);
            json_decref(o);
        }
}

/* ---- Compiling -------------------------------------------------------- */

static void
add_row(struct half *h, const struct hg_rule *row, struct member member,
        bool open)
{
    if (h->n == h->room) {
        h->room = h->room ? 2 * h->room : 16;
        h->rows = xrealloc(h->rows, h->room * sizeof *h->rows);
        h->member = xrealloc(h->member, h->room * sizeof *h->member);
        h->open = xrealloc(h->open, h->room * sizeof *h->open);
    }
    h->rows[h->n] = *row;
    h->member[h->n] = member;
    h->open[h->n++] = open;
}

static void
note_all_open(struct half *h, const struct rule *r, uint8_t family)
{
    size_t i;
    bool all_ports = !r->n_ports;

    for (i = 0; i < r->n_ports; i++)
        all_ports |= r->ports[i].low == 0 && r->ports[i].high == UINT16_MAX;
    if (!all_ports)
        return;
    if (r->protocol == HG_RULE_ANY || r->protocol == HG_PROTO_TCP)
        h->all_open[family == 6][0] = true;
    if (r->protocol == HG_RULE_ANY || r->protocol == HG_PROTO_UDP)
        h->all_open[family == 6][1] = true;
}

/* The rows of one rule and one block of peers, if they are the open ones or
 * the others as 'open' says. */
static void
add_prefix(struct half *h, const struct rule *r,
           const struct hg_prefix *prefix, struct member member, bool open)
{
    struct hg_rule row;
    size_t i;

    if ((prefix->len == 0) != open)
        return;
    if (open) {
        h->any_open[prefix->addr.family == 6] = true;
        note_all_open(h, r, prefix->addr.family);
    }
    hg_rule_init(&row);
    row.family = prefix->addr.family;
    row.protocol = r->protocol;
    row.icmp_type = r->icmp_type;
    row.icmp_code = r->icmp_code;
    if (r->direction == HG_GROUP_INBOUND)
        row.src = *prefix;
    else
        row.dst = *prefix;
    if (!r->n_ports)
        add_row(h, &row, member, open);
    for (i = 0; i < r->n_ports; i++) {
        row.dport = r->ports[i];
        add_row(h, &row, member, open);
    }
}

static void
add_members(struct hg_group_set *set, const struct rule *r,
            const struct group *group)
{
    size_t n = set->inventory ? hg_inventory_n_enis(set->inventory) : 0, i, k;
    struct member member = {.group =
                                (uint32_t)(group - set->groups->groups) + 1};

    for (i = 0; i < n; i++) {
        const struct hg_eni *eni = hg_inventory_eni_at(set->inventory, i);

        if (!eni || !is_member(group, eni))
            continue;
        member.vpc = eni->vpc->number;
        for (k = 0; k < eni->details->address.n; k++) {
            struct hg_prefix host = {
                eni->details->address.v[k],
                eni->details->address.v[k].family == 6 ? 128 : 32};

            add_prefix(&set->half[r->direction], r, &host, member, false);
        }
    }
}

static void
add_peer(struct hg_group_set *set, const struct group *group,
         const struct rule *r, const char *peer, bool open)
{
    struct half *h = &set->half[r->direction];
    const struct prefix_list *list = find_list(set->groups, peer);
    const struct member none = {0};
    struct hg_prefix prefix;
    size_t i;

    if (hg_prefix_parse(peer, &prefix)) {
        add_prefix(h, r, &prefix, none, open);
    } else if (list) {
        for (i = 0; i < list->prefixes.n; i++)
            add_prefix(h, r, &list->prefixes.v[i], none, open);
    } else if (!open) {
        add_members(set, r,
                    strcmp(peer, "self")
                        ? find_group(set->groups, group_of_peer(peer))
                        : group);
    }
}

static uint64_t
generation_of(const struct hg_group_set *set)
{
    return set->inventory ? hg_inventory_generation(set->inventory) : 0;
}

static void
add_rules(struct hg_group_set *set, bool open)
{
    size_t i, k, m;

    for (i = 0; i < set->n_ids; i++) {
        const struct group *group = find_group(set->groups, set->ids[i]);

        for (k = 0; group && k < group->n_rules; k++)
            for (m = 0; m < group->rules[k].n_peers; m++)
                add_peer(set, group, &group->rules[k],
                         group->rules[k].peers[m], open);
    }
}

static void
compile(struct hg_group_set *set)
{
    unsigned d;

    half_uninit(&set->half[0]);
    half_uninit(&set->half[1]);
    add_rules(set, true);
    add_rules(set, false);
    for (d = 0; d < 2; d++) {
        struct half *h = &set->half[d];

        h->table = hg_rules_create(h->rows, h->n, HG_RULES_AUTO);
        free(h->rows);
        h->rows = NULL;
    }
    set->generation = generation_of(set);
    atomic_store_explicit(&set->version, set->groups->version,
                          memory_order_release);
}

static bool
is_current(const struct hg_group_set *set)
{
    return atomic_load_explicit(&set->version, memory_order_acquire) ==
               set->groups->version &&
           set->generation == generation_of(set);
}

/* Of several threads that need the set the first compiles it. */
static void
catch_up(struct hg_group_set *set)
{
    pthread_mutex_lock(&set->groups->sharing);
    if (!is_current(set))
        compile(set);
    pthread_mutex_unlock(&set->groups->sharing);
}

void
hg_groups_settle(struct hg_groups *g)
{
    size_t i;

    for (i = 0; i < g->n_sets; i++)
        if (!is_current(g->sets[i]))
            atomic_store_explicit(&g->sets[i]->version, 0,
                                  memory_order_relaxed);
}

/* ---- Asking ----------------------------------------------------------- */

static bool
same_ids(const struct hg_group_set *set, char *const *ids, size_t n)
{
    size_t i;

    for (i = 0; i < n && set->n_ids == n; i++)
        if (strcmp(set->ids[i], ids[i]) != 0)
            return false;
    return set->n_ids == n;
}

static struct hg_group_set *
find_set(const struct hg_groups *g, char *const *ids, size_t n)
{
    size_t i;

    for (i = 0; i < g->n_sets; i++)
        if (same_ids(g->sets[i], ids, n))
            return g->sets[i];
    return NULL;
}

static struct hg_group_set *
add_set(struct hg_groups *g, const struct hg_inventory *inventory,
        char *const *ids, size_t n)
{
    struct hg_group_set *set;
    size_t i;

    set = xcalloc(1, sizeof *set);
    set->groups = g;
    set->inventory = inventory;
    set->n_ids = n;
    set->ids = xcalloc(n + 1, sizeof *set->ids);
    for (i = 0; i < n; i++)
        set->ids[i] = xstrdup(ids[i]);
    g->sets = xrealloc(g->sets, (g->n_sets + 1) * sizeof *g->sets);
    g->sets[g->n_sets++] = set;
    return set;
}

struct hg_group_set *
hg_groups_set(struct hg_groups *g, const struct hg_inventory *inventory,
              char *const *ids, size_t n)
{
    struct hg_group_set *set;

    pthread_mutex_lock(&g->sharing);
    set = find_set(g, ids, n);
    if (!set)
        set = add_set(g, inventory, ids, n);
    pthread_mutex_unlock(&g->sharing);
    return set;
}

static struct half *
current(struct hg_group_set *set, enum hg_group_direction direction)
{
    if (!is_current(set))
        catch_up(set);
    return &set->half[direction];
}

static bool
is_all_open(const struct half *h, uint8_t family, uint8_t protocol)
{
    return (protocol == HG_PROTO_TCP || protocol == HG_PROTO_UDP) &&
           h->all_open[family == 6][protocol == HG_PROTO_UDP];
}

/* Whether a row that matches the peer's address is for it: of a group only
 * ENIs of the same VPC are peers. */
static bool
is_for(const struct hg_group_set *set, const struct member *member,
       const struct hg_eni *own, const struct hg_eni *peer)
{
    if (!member->group)
        return true;
    if (own && member->vpc != own->vpc->number)
        return false;
    return !peer || (member->vpc == peer->vpc->number &&
                     is_member(&set->groups->groups[member->group - 1], peer));
}

enum hg_group_verdict
hg_group_set_verdict(struct hg_group_set *set,
                     enum hg_group_direction direction,
                     const struct hg_rule_key *key, const struct hg_eni *own,
                     const struct hg_eni *peer)
{
    const struct half *h = current(set, direction);
    uint32_t i;

    if (is_all_open(h, key->family, hg_rule_key_protocol(key)))
        return HG_GROUP_OPEN;
    i = hg_rules_first(h->table, key);
    while (i != HG_RULES_NONE) {
        if (h->open[i])
            return HG_GROUP_OPEN;
        if (is_for(set, &h->member[i], own, peer))
            return HG_GROUP_ALLOWED;
        i = hg_rules_next(h->table, key, i + 1);
    }
    return HG_GROUP_DENIED;
}

bool
hg_group_set_all_open(struct hg_group_set *set,
                      enum hg_group_direction direction, uint8_t family,
                      uint8_t protocol)
{
    return is_all_open(current(set, direction), family, protocol);
}

bool
hg_group_set_any_open(struct hg_group_set *set,
                      enum hg_group_direction direction, uint8_t family)
{
    return current(set, direction)->any_open[family == 6];
}
