/* nlb_targets.h: NLB's nodes, listeners and targets: as configured, as
 * handlers change them, and what becomes of those that go. */
#ifndef NLB_TARGETS_H
#define NLB_TARGETS_H 1

#include <stdlib.h>

#include <headgate/maglev.h>
#include <headgate/table_file.h>

#include "nlb.h"
#include "nlb_flow.h"
#include "nlb_probe.h"

/* ---- Targets whose time is up ----------------------------------------- */

struct victims {
    struct nlb *self;
    size_t group;
    uint32_t target;
};

static bool
terminate_flow(void *victims_, struct hg_flow *flow, void *state_)
{
    const struct victims *victims = victims_;
    struct nlb *self = victims->self;
    struct nlb_flow *state = state_;
    struct hg_flow_key first;

    if (state->group != victims->group || state->target != victims->target)
        return true;
    first_key_of(self, flow, state, &first);
    if (state->is_tcp && state->tcp_state != TCP_CLOSED)
        reset_flow(self, state, hg_flow_seldom(self, flow), &first,
                   target_of(self, state));
    end_flow(self, flow, state);
    return true;
}

static void
terminate_flows(struct nlb *self, size_t group, uint32_t target,
                uint64_t now_ns)
{
    struct victims victims = {self, group, target};

    hg_flow_foreach(self, now_ns, terminate_flow, &victims);
}

/* Flows of an unhealthy target stay where no other one is healthy. */
static void
end_draining(struct nlb *self, size_t number, uint32_t target, uint64_t now_ns)
{
    struct group *group = &self->groups[number];
    struct hg_target *t = hg_target_at(group->targets, target);
    uint8_t termination = group->row->deregistration_termination;
    uint32_t n, healthy;

    t->ends_ns = HG_NEVER;
    if (t->state == HG_TARGET_UNHEALTHY_DRAINING) {
        hg_target_health(group->targets, &n, &healthy);
        hg_target_set_state(group->targets, target, HG_TARGET_UNHEALTHY);
        if (healthy)
            terminate_flows(self, number, target, now_ns);
        return;
    }
    if (termination == ALWAYS ||
        (termination == BY_DEFAULT && group->takes_udp))
        terminate_flows(self, number, target, now_ns);
    hg_target_set_state(group->targets, target, HG_TARGET_GONE);
}

static void
draining_ends(void *self_, struct hg_timer *timer, uint64_t now_ns)
{
    struct nlb *self = self_;
    uint64_t next_ns = HG_NEVER;
    size_t i;
    uint32_t k;

    for (i = 0; i < self->target_group.n; i++)
        for (k = 0; k < hg_target_count(self->groups[i].targets); k++) {
            struct hg_target *t = hg_target_at(self->groups[i].targets, k);

            if (t->ends_ns <= now_ns)
                end_draining(self, i, k, now_ns);
            if (t->ends_ns < next_ns)
                next_ns = t->ends_ns;
        }
    if (next_ns != HG_NEVER)
        hg_timer_set(self, timer, next_ns);
}

/* ---- Handlers --------------------------------------------------------- */

/* The words that handlers take. */
struct words {
    char group[64];
    char target[64];
    char word[64];
    char zone[64];
    char weight[64];
    int n;
};

static struct group *
find_group(const struct nlb *self, const char *name)
{
    size_t i;

    for (i = 0; i < self->target_group.n; i++)
        if (!strcmp(self->target_group.row[i].name, name))
            return &self->groups[i];
    return NULL;
}

/* Finds the group and, if 'target' is not NULL, the registered target. */
static struct group *
read_words(const struct nlb *self, const char *value, int min_n,
           struct words *words, uint32_t *target, struct hg_error *error)
{
    struct group *group;

    *words = (struct words){.weight = "1"};
    words->n = sscanf(value, "%63s %63s %63s %63s %63s", words->group,
                      words->target, words->word, words->zone, words->weight);
    if (words->n < min_n) {
        hg_error_set(error,
                     "'%s': %d words are needed, a group and a target "
                     "first",
                     value, min_n);
        return NULL;
    }
    group = find_group(self, words->group);
    if (!group) {
        hg_error_set(error, "no target group '%s'", words->group);
        return NULL;
    }
    if (!target)
        return group;
    *target = hg_target_find(group->targets, words->target);
    if (*target != HG_TARGET_NONE &&
        hg_target_at(group->targets, *target)->state < HG_TARGET_DRAINING)
        return group;
    hg_error_set(error, "group '%s' has no registered target '%s'",
                 words->group, words->target);
    return NULL;
}

/* The number of a zone's node; HG_ZONE_ANY for none or "all", -1 if there is
 * no such zone. */
static int
find_zone(const struct nlb *self, const char *zone)
{
    size_t i;

    if (!zone || !*zone || !strcmp(zone, "all"))
        return HG_ZONE_ANY;
    for (i = 0; i < self->node.n; i++)
        if (!strcmp(self->node.row[i].zone, zone))
            return (int)i;
    return -1;
}

/* "10.0.0.1:80", "[2001:db8::1]:80". */
static bool
parse_endpoint(char *text, struct hg_addr *addr, uint16_t *port)
{
    char *colon = strrchr(text, ':');
    struct hg_port_range range;

    if (!colon)
        return false;
    *colon = '\0';
    if (*text == '[' && colon[-1] == ']') {
        colon[-1] = '\0';
        text++;
    }
    if (!hg_addr_parse(text, addr) || !hg_port_range_parse(colon + 1, &range))
        return false;
    *port = range.low;
    return range.low && range.low == range.high;
}

static bool
parse_number(const char *value, uint32_t min, uint32_t max, uint64_t *out,
             struct hg_error *error)
{
    return (hg_number_parse(value, out) && *out >= min && *out <= max) ||
           hg_error_set(error, "'%s' is not a number from %u to %u", value,
                        min, max);
}

/* A target begins as one that is not checked yet, or, where nobody checks, as
 * healthy. */
static enum hg_target_state
first_state(const struct nlb *self, const struct group_row *row)
{
    return hg_is_live(self) && row->health_check != CHECK_OFF
               ? HG_TARGET_INITIAL
               : HG_TARGET_HEALTHY;
}

static bool
write_register(void *self_, const char *value, struct hg_error *error)
{
    struct nlb *self = self_;
    struct words words;
    struct hg_target target = {.id = words.target};
    struct group *group = read_words(self, value, 3, &words, NULL, error);
    uint64_t weight;
    int zone;

    if (!group)
        return false;
    zone = find_zone(self, words.zone);
    if (!parse_endpoint(words.word, &target.addr, &target.port))
        return hg_error_set(error,
                            "'%s': the third word is an address and a port, "
                            "such as 10.0.0.1:80",
                            value);
    if (zone < 0)
        return hg_error_set(error, "no node stands in zone '%s'", words.zone);
    if (!parse_number(words.weight, 0, 999, &weight, error))
        return false;
    target.zone = (uint16_t)zone;
    target.weight = (uint32_t)weight;
    target.state = first_state(self, group->row);
    if (hg_target_add(group->targets, &target, error) == HG_TARGET_NONE)
        return false;
    count_hosts(self);
    return true;
}

static bool
write_deregister(void *self_, const char *value, struct hg_error *error)
{
    struct nlb *self = self_;
    struct words words;
    uint32_t target;
    struct group *group = read_words(self, value, 2, &words, &target, error);

    if (!group)
        return false;
    drain_target(self, group, target, HG_TARGET_DRAINING,
                 group->row->deregistration_delay.ns);
    count_hosts(self);
    return true;
}

/* Which of two words the third one is: 1, 0, or -1 after saying that it is
 * neither. */
static int
choose_word(const struct words *words, const char *yes, const char *no,
            struct hg_error *error)
{
    if (!strcmp(words->word, yes))
        return 1;
    if (!strcmp(words->word, no))
        return 0;
    hg_error_set(error, "'%s' is neither '%s' nor '%s'", words->word, yes, no);
    return -1;
}

static bool
write_health(void *self_, const char *value, struct hg_error *error)
{
    struct nlb *self = self_;
    struct words words;
    uint32_t target;
    struct group *group = read_words(self, value, 3, &words, &target, error);
    int healthy =
        group ? choose_word(&words, "healthy", "unhealthy", error) : -1;

    if (healthy >= 0)
        set_health(self, group, target, healthy);
    return healthy >= 0;
}

static bool
write_check(void *self_, const char *value, struct hg_error *error)
{
    struct nlb *self = self_;
    struct words words;
    uint32_t target;
    struct group *group = read_words(self, value, 3, &words, &target, error);
    int good = group ? choose_word(&words, "ok", "failed", error) : -1;

    if (good >= 0)
        take_result(self, group, target, good);
    return good >= 0;
}

static bool
read_targets(void *self_, const char *argument, FILE *out,
             struct hg_error *error)
{
    struct nlb *self = self_;
    size_t i;
    uint32_t k;

    if (*argument && !find_group(self, argument))
        return hg_error_set(error, "no target group '%s'", argument);
    for (i = 0; i < self->target_group.n; i++) {
        const char *name = self->target_group.row[i].name;
        const struct hg_target_group *targets = self->groups[i].targets;

        for (k = 0; k < hg_target_count(targets); k++) {
            const struct hg_target *t = hg_target_at(targets, k);
            char addr[HG_ADDR_STRLEN];

            if (t->state == HG_TARGET_GONE ||
                (*argument && strcmp(argument, name) != 0))
                continue;
            fprintf(out,
                    "{\"group\": \"%s\", \"target\": \"%s\", "
                    "\"address\": \"%s\", \"port\": %u, \"zone\": \"%s\", "
                    "\"weight\": %u, \"state\": \"%s\", \"flows\": %u}\n",
                    name, t->id, hg_addr_format(&t->addr, addr), t->port,
                    t->zone == HG_ZONE_ANY ? "all"
                                           : self->node.row[t->zone].zone,
                    t->weight, hg_target_state_name(t->state), t->n_flows);
        }
    }
    return true;
}

/* ---- Configuration ---------------------------------------------------- */

static bool
configure_nodes(struct nlb *self)
{
    bool ok = true;
    size_t i, k;

    for (i = 0; i < self->node.n; i++) {
        const struct node_row *row = &self->node.row[i];

        if (find_zone(self, row->zone) != (int)i)
            ok = hg_config_error(self, "node", (int)i,
                                 "zone '%s' has a node already, or is not a "
                                 "name of one",
                                 row->zone);
        if (row->endpoint && strlen(row->endpoint) > HG_PROXY_V2_ENDPOINT)
            ok = hg_config_error(self, "node", (int)i,
                                 "'%s' is too long for an endpoint's id: at "
                                 "most %d characters",
                                 row->endpoint, HG_PROXY_V2_ENDPOINT);
        for (k = 0; k < row->address.n; k++) {
            if (self->n_addresses == ADDRESSES_MAX)
                return hg_config_error(self, "node", (int)i,
                                       "more than %d addresses",
                                       ADDRESSES_MAX);
            self->addresses[self->n_addresses++] = (struct address){
                row->address.v[k],
                row->address.v[k].family == 4 ? hg_addr_ip4(&row->address.v[k])
                                              : 0,
                (uint16_t)i};
        }
    }
    return ok;
}

/* Registers a target; false, and why. */
static bool
add_target(struct nlb *self, struct group *group, const struct target_row *row,
           struct hg_error *error)
{
    int zone = find_zone(self, row->zone);
    const struct hg_target target = {.id = row->id,
                                     .addr = row->address,
                                     .port = row->port,
                                     .zone = (uint16_t)zone,
                                     .weight = row->weight,
                                     .state = first_state(self, group->row)};

    if (zone < 0)
        return hg_error_set(error, "target '%s': no node stands in zone '%s'",
                            row->id, row->zone);
    return hg_target_add(group->targets, &target, error) != HG_TARGET_NONE;
}

static bool
configure_target(struct nlb *self, size_t group, const struct target_row *row)
{
    struct hg_error error;

    return add_target(self, &self->groups[group], row, &error) ||
           hg_config_error(self, "target_group", (int)group, "%s", error.text);
}

/* Where the mistakes of a file go. */
static void
report_mistake(void *self, const char *text)
{
    hg_config_error(self, "file", -1, "%s", text);
}

/* One value of a record; columns but for group, target, address and port may
 * be left out. */
static bool
parse_column(const struct nlb *self, const char *name, const char *value,
             struct group **group, struct target_row *target,
             struct hg_error *error)
{
    uint64_t number;

    if (!strcmp(name, "group")) {
        *group = find_group(self, value);
        return *group || hg_error_set(error, "no target group '%s'", value);
    }
    if (!strcmp(name, "target")) {
        target->id = (char *)(uintptr_t)value;
    } else if (!strcmp(name, "address")) {
        return hg_addr_parse(value, &target->address) ||
               hg_error_set(error, "'%s' is not an address", value);
    } else if (!strcmp(name, "port")) {
        if (!parse_number(value, 1, UINT16_MAX, &number, error))
            return false;
        target->port = (uint16_t)number;
    } else if (!strcmp(name, "zone")) {
        target->zone = (char *)(uintptr_t)value;
    } else if (!strcmp(name, "weight")) {
        if (*value && !parse_number(value, 0, 999, &number, error))
            return false;
        target->weight = *value ? (uint32_t)number : 1;
    } else {
        return hg_error_set(error,
                            "there is no column '%s'; those are group, "
                            "target, address, port, zone and weight",
                            name);
    }
    return true;
}

static bool
add_file_row(void *self_, struct hg_table_row *row, struct hg_error *error)
{
    struct nlb *self = self_;
    struct target_row target = {.weight = 1};
    struct group *group = NULL;
    size_t i;

    for (i = 0; i < row->n; i++) {
        row->at = i;
        if (!parse_column(self, row->name[i], row->value[i], &group, &target,
                          error))
            return false;
    }
    if (!group || !target.id || !*target.id || !target.address.family ||
        !target.port)
        return hg_error_set(
            error, "a target has a group, a name, an address and a port");
    return add_target(self, group, &target, error);
}

static bool
configure_group(struct nlb *self, size_t number)
{
    const struct group_row *row = &self->target_group.row[number];
    const struct hg_target_group_config config = {
        .table_size = self->maglev_table_size,
        .seed = self->seed,
        .minimum_count = row->minimum_healthy_count,
        .minimum_percentage = row->minimum_healthy_percentage};
    bool ok = true;
    size_t i;

    self->groups[number].row = row;
    self->groups[number].targets = hg_target_group_create(&config);
    if (!self->groups[number].targets)
        return hg_config_error(self, NULL, -1, "no memory for targets");
    self->groups[number].first = hg_target_at(self->groups[number].targets, 0);
    if (find_group(self, row->name) != &self->groups[number])
        ok = hg_config_error(self, "target_group", (int)number,
                             "target group '%s' is given twice", row->name);
    if (row->health_check_timeout.ns &&
        row->health_check_timeout.ns < 2 * HG_SEC)
        ok = hg_config_error(self, "target_group", (int)number,
                             "health-check-timeout is less than 2s");
    for (i = 0; i < row->target.n; i++)
        ok &= configure_target(self, number, &row->target.row[i]);
    return ok;
}

/* One of the target groups that a listener forwards to. */
static bool
configure_forward(struct nlb *self, size_t number, size_t i)
{
    struct listener *listener = &self->listeners[number];
    const struct listener_row *row = listener->row;
    struct group *group = find_group(self, row->target_group.v[i]);
    uint32_t weight = row->weight.n ? (uint32_t)row->weight.v[i] : 1;

    if (!group)
        return hg_config_error(self, "listener", (int)number,
                               "no target group '%s'", row->target_group.v[i]);
    group->takes_udp |= row->protocol != PROTOCOL_TCP;
    if (group->takes_udp && group->row->target_type == TYPE_IP &&
        group->row->preserve_client_ip == NEVER)
        return hg_config_error(self, "listener", (int)number,
                               "target group '%s' is of type ip and takes "
                               "UDP, so it must preserve clients; leave "
                               "preserve-client-ip out there",
                               group->row->name);
    listener->group[listener->n_groups] = (uint16_t)(group - self->groups);
    listener->weight[listener->n_groups++] = weight;
    listener->total_weight += weight;
    return true;
}

static bool
configure_listener(struct nlb *self, size_t number)
{
    const struct listener_row *row = &self->listener.row[number];
    bool ok = true;
    size_t i;

    self->listeners[number].row = row;
    if (self->listener_at[row->port])
        ok = hg_config_error(self, "listener", (int)number,
                             "port %u has a listener already; one for TCP "
                             "and UDP has protocol = tcp-udp",
                             row->port);
    self->listener_at[row->port] = (uint8_t)(number + 1);
    if (row->weight.n && row->weight.n != row->target_group.n)
        return hg_config_error(self, "listener", (int)number,
                               "%zu weights for %zu target groups",
                               row->weight.n, row->target_group.n);
    for (i = 0; i < row->target_group.n; i++)
        ok &= configure_forward(self, number, i);
    return ok;
}

#endif
