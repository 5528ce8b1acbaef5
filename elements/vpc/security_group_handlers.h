/* security_group_handlers.h: what can be read from and written to a running
 * SecurityGroup; a part of security_group.c. */
#ifndef SECURITY_GROUP_HANDLERS_H
#define SECURITY_GROUP_HANDLERS_H 1

#include <jansson.h>

#include "security_group_track.h"

struct walk {
    struct security_group *self;
    FILE *out;
    uint32_t eni; /* Only this one's, if 'one'. */
    bool one;
    uint64_t now;
};

/* Prints a connection of the flow with this key. */
static void
print_side(const struct walk *w, const struct hg_flow_key *key,
           const struct side *s)
{
    const struct hg_eni *eni = entry_of(w->self, s->eni)->eni;
    char src[HG_ADDR_STRLEN], dst[HG_ADDR_STRLEN];
    json_t *o;

    o = json_pack(
        "{s:s?, s:i, s:i, s:s, s:i, s:s, s:i, s:s, s:s, s:I}", "eni",
        eni ? eni->id : NULL, "vpc", (int)key->vpc, "protocol", key->protocol,
        "source", hg_addr_format(&key->src, src), "source-port", key->sport,
        "destination", hg_addr_format(&key->dst, dst), "destination-port",
        key->dport, "opened-by", s->opened_by == EGRESS ? "egress" : "ingress",
        "state", kind_names[s->kind], "expires-in-ms",
        (json_int_t)(((uint64_t)s->until_ns - w->now) / HG_MSEC));
    json_dumpf(o, w->out, JSON_COMPACT);
    fputc('\n', w->out);
    json_decref(o);
}

/* The keys of the flow's first packet and of the answers to it; one of them is
 * that of the packet by which a side began. */
static bool
print_flow(void *aux, struct hg_flow *flow, void *state)
{
    const struct walk *w = aux;
    struct hg_flow_key key[2];
    const struct side *s;
    bool against;
    unsigned i;

    hg_flow_first_key(flow, &key[0]);
    key[1] = key[0];
    key[1].src = key[0].dst;
    key[1].dst = key[0].src;
    key[1].sport = key[0].dport;
    key[1].dport = key[0].sport;
    against = hg_flow_is_reply_key(w->self, flow, &key[0]);
    for (i = 0; (s = side_at(w->self, state, i)) != NULL; i++)
        if (s->until_ns > w->now && (!w->one || s->eni == w->eni))
            print_side(w, &key[against ^ s->endpoint ^ s->opened_by], s);
    return true;
}

static bool
end_flow(void *aux, struct hg_flow *flow, void *state)
{
    const struct walk *w = aux;
    struct side *s;
    unsigned i;

    for (i = 0; (s = side_at(w->self, state, i)) != NULL; i++)
        if (s->until_ns && (!w->one || s->eni == w->eni))
            end_side(w->self, s, w->now);
    hg_flow_keep(w->self, flow, prune(w->self, state, w->now));
    return true;
}

/* The same for the compact table: prints what is in it, or ends it. */
static void
walk_compact(const struct walk *w)
{
    struct security_group *self = w->self;
    struct hg_track c;
    uint64_t at = 0;

    if (!self->compact)
        return;
    hg_track_clock(self->compact->table, w->now);
    while (hg_track_next(self->compact->table, &at, &c)) {
        struct hg_flow_key key;
        struct side s = compact_side(self, &c, &key);

        if (w->one && s.eni != w->eni)
            continue;
        if (w->out) {
            print_side(w, &key, &s);
        } else {
            hg_track_remove(self->compact->table, c.entry);
            count_ended(self, s.eni, false);
        }
    }
}

/* Prepares a walk over the flows of "all" or of the ENI that 'which' names. */
static bool
begin_walk(struct walk *w, struct security_group *self, const char *which,
           FILE *out, struct hg_error *error)
{
    const struct hg_eni *eni;

    *w = (struct walk){.self = self, .out = out, .now = hg_now(self)};
    if (!*which || !strcmp(which, "all"))
        return true;
    eni = self->inventory ? hg_inventory_eni(self->inventory, which) : NULL;
    if (!eni)
        return hg_error_set(error,
                            "there is no ENI '%s'; name one of the inventory, "
                            "or 'all'",
                            which);
    w->one = true;
    w->eni = eni->number;
    return true;
}

static bool
read_flows(void *self, const char *argument, FILE *out, struct hg_error *error)
{
    struct walk w;

    if (!begin_walk(&w, self, argument, out, error))
        return false;
    hg_flow_foreach(self, w.now, print_flow, &w);
    walk_compact(&w);
    return true;
}

static bool
read_count(void *self_, const char *argument, FILE *out,
           struct hg_error *error)
{
    struct security_group *self = self_;
    struct walk w;

    if (!begin_walk(&w, self, argument, out, error))
        return false;
    expire_all(self, w.now);
    fprintf(out, "%llu\n",
            (unsigned long long)(w.one ? entry_of(self, w.eni)->n_tracked
                                       : self->tracked.n));
    return true;
}

static bool
write_delete(void *self_, const char *value, struct hg_error *error)
{
    struct security_group *self = self_;
    struct walk w;

    if (!*value)
        return hg_error_set(error, "name an ENI, or 'all'");
    if (!self->default_set) /* Not at work here: it only lends its rules. */
        return true;
    if (!begin_walk(&w, self, value, NULL, error))
        return false;
    hg_flow_foreach(self, w.now, end_flow, &w);
    walk_compact(&w);
    return true;
}

static bool
read_rules(void *self_, const char *argument, FILE *out,
           struct hg_error *error)
{
    struct security_group *self = self_;

    (void)argument;
    (void)error;
    hg_groups_print(self->rules, out);
    return true;
}

/* "443", "1024-65535", an ICMP "8" or "3/4", or "all". */
static bool
parse_service(const char *text, struct hg_group_rule *rule,
              struct hg_port_range *ports)
{
    char type[4], code[4] = "0";
    int n, end = 0;

    if (!strcmp(text, "all"))
        return true;
    if (rule->protocol != HG_PROTO_ICMP && rule->protocol != HG_PROTO_ICMP6) {
        rule->ports = (struct hg_port_range_list){1, ports};
        return hg_port_range_parse(text, ports);
    }
    n = sscanf(text, "%3[0-9]%n/%3[0-9]%n", type, &end, code, &end);
    if (n < 1 || text[end] || atoi(type) > 255 || atoi(code) > 255)
        return false;
    rule->icmp_type = (int16_t)atoi(type);
    if (n == 2)
        rule->icmp_code = (int16_t)atoi(code);
    return true;
}

enum {
    RULE_GROUP,
    RULE_DIRECTION,
    RULE_PROTOCOL,
    RULE_SERVICE,
    RULE_PEER,
    RULE_WORDS
};

/* Adds a rule of which each part is a word. */
static bool
add_rule_words(struct security_group *self, const char *const w[RULE_WORDS],
               struct hg_error *error)
{
    char *peers[] = {(char *)(uintptr_t)w[RULE_PEER]};
    struct hg_group_rule rule = {.icmp_type = HG_RULE_ANY,
                                 .icmp_code = HG_RULE_ANY,
                                 .peers = {1, peers}};
    bool inbound = !strcmp(w[RULE_DIRECTION], "inbound");
    struct hg_port_range ports;

    if (!inbound && strcmp(w[RULE_DIRECTION], "outbound") != 0)
        return hg_error_set(error, "'%s' is neither inbound nor outbound",
                            w[RULE_DIRECTION]);
    if (!hg_group_protocol_parse(w[RULE_PROTOCOL], &rule.protocol))
        return hg_error_set(error,
                            "'%s' is no protocol; write tcp, udp, "
                            "icmp, icmpv6, all or a number up to 255",
                            w[RULE_PROTOCOL]);
    if (!parse_service(w[RULE_SERVICE], &rule, &ports))
        return hg_error_set(error,
                            "'%s' is no port, range, ICMP type/code or "
                            "'all'",
                            w[RULE_SERVICE]);
    return hg_groups_add_rule(self->rules, w[RULE_GROUP],
                              inbound ? HG_GROUP_INBOUND : HG_GROUP_OUTBOUND,
                              &rule, error) != 0;
}

/* The instance whose rules these are has had what was written (hg_kin). */
static bool
write_add_rule(void *self_, const char *value, struct hg_error *error)
{
    struct security_group *self = self_;
    char word[RULE_WORDS][128];
    const char *const words[RULE_WORDS] = {word[0], word[1], word[2], word[3],
                                           word[4]};

    if (self->is_borrower)
        return true;
    if (sscanf(value, "%127s %127s %127s %127s %127s", word[0], word[1],
               word[2], word[3], word[4]) != RULE_WORDS)
        return hg_error_set(error,
                            "'%s' is no rule; write 'GROUP inbound tcp "
                            "443 10.0.0.0/8'",
                            value);
    return add_rule_words(self, words, error);
}

static bool
write_remove_rule(void *self_, const char *value, struct hg_error *error)
{
    struct security_group *self = self_;
    uint64_t number;

    if (self->is_borrower)
        return true;
    if (!hg_number_parse(value, &number) || number > UINT32_MAX ||
        !hg_groups_remove_rule(self->rules, (uint32_t)number))
        return hg_error_set(error,
                            "there is no rule '%s'; read 'rules' for "
                            "their numbers",
                            value);
    return true;
}

#endif
