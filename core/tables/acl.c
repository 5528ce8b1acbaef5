/* acl.c: see acl.h. */
#include <stdlib.h>
#include <string.h>

#include <headgate/acl.h>

#include "../graph_internal.h"

static const struct {
    const char *name;
    int16_t number;
} protocols[] = {
    {"all", HG_RULE_ANY},    {"-1", HG_RULE_ANY},   {"icmp", HG_PROTO_ICMP},
    {"tcp", HG_PROTO_TCP},   {"udp", HG_PROTO_UDP}, {"gre", HG_PROTO_GRE},
    {"esp", HG_PROTO_ESP},   {"ah", HG_PROTO_AH},   {"icmpv6", HG_PROTO_ICMP6},
    {"sctp", HG_PROTO_SCTP},
};

enum { N_PROTOCOLS = sizeof protocols / sizeof protocols[0] };

void
hg_acl_rule_init(struct hg_acl_rule *rule)
{
    *rule = (struct hg_acl_rule){.protocol = HG_RULE_ANY,
                                 .ports = {0, UINT16_MAX},
                                 .icmp_type = HG_RULE_ANY,
                                 .icmp_code = HG_RULE_ANY};
}

/* A number up to 255. */
static bool
parse_octet(const char *text, int16_t *out)
{
    uint64_t value;

    if (!hg_number_parse(text, &value) || value > UINT8_MAX)
        return false;
    *out = (int16_t)value;
    return true;
}

static bool
set_protocol(struct hg_acl_rule *rule, const char *text,
             struct hg_error *error)
{
    unsigned i;

    for (i = 0; i < N_PROTOCOLS; i++)
        if (!strcmp(protocols[i].name, text)) {
            rule->protocol = protocols[i].number;
            return true;
        }
    if (parse_octet(text, &rule->protocol))
        return true;
    return hg_error_set(error,
                        "'%s' is not a protocol; it is tcp, udp, icmp, "
                        "icmpv6, all or a number up to 255",
                        text);
}

static bool
set_icmp(int16_t *out, const char *text, struct hg_error *error)
{
    if (!strcmp(text, "any") || !strcmp(text, "-1")) {
        *out = HG_RULE_ANY;
        return true;
    }
    if (parse_octet(text, out))
        return true;
    return hg_error_set(error,
                        "'%s' is not an ICMP type or code; it is a number up "
                        "to 255 or any",
                        text);
}

static bool
set_number(struct hg_acl_rule *rule, const char *text, struct hg_error *error)
{
    uint64_t value;

    if (!hg_number_parse(text, &value) || !value || value > HG_ACL_NUMBER_MAX)
        return hg_error_set(error,
                            "'%s' is not a rule number; they go from 1 to %d",
                            text, HG_ACL_NUMBER_MAX);
    rule->number = (uint16_t)value;
    return true;
}

bool
hg_acl_rule_set(struct hg_acl_rule *rule, const char *name, const char *text,
                struct hg_error *error)
{
    if (!strcmp(name, "number"))
        return set_number(rule, text, error);
    if (!strcmp(name, "protocol"))
        return set_protocol(rule, text, error);
    if (!strcmp(name, "icmp-type"))
        return set_icmp(&rule->icmp_type, text, error);
    if (!strcmp(name, "icmp-code"))
        return set_icmp(&rule->icmp_code, text, error);
    if (!strcmp(name, "action")) {
        rule->allow = !strcmp(text, "allow");
        rule->has_action = rule->allow || !strcmp(text, "deny");
        return rule->has_action ||
               hg_error_set(error, "'%s' is no action; write allow or deny",
                            text);
    }
    if (!strcmp(name, "cidr"))
        return hg_prefix_parse(text, &rule->cidr) ||
               hg_error_set(error,
                            "'%s' is not a CIDR such as 10.0.0.0/8 or ::/0",
                            text);
    if (!strcmp(name, "ports"))
        return hg_port_range_parse(text, &rule->ports) ||
               hg_error_set(error,
                            "'%s' is not a port or range such as 1024-65535",
                            text);
    return hg_error_set(error,
                        "a rule has no '%s'; it has number, action, protocol, "
                        "cidr, ports, icmp-type and icmp-code",
                        name);
}

bool
hg_acl_rule_check(const struct hg_acl_rule *rule, struct hg_error *error)
{
    bool ports = rule->ports.low != 0 || rule->ports.high != UINT16_MAX;

    if (!rule->number)
        return hg_error_set(error, "the rule has no number");
    if (!rule->has_action)
        return hg_error_set(error, "rule %u needs 'action': allow or deny",
                            rule->number);
    if (!rule->cidr.addr.family)
        return hg_error_set(error,
                            "rule %u needs 'cidr', such as 0.0.0.0/0 or ::/0",
                            rule->number);
    if (ports && rule->protocol != HG_PROTO_TCP &&
        rule->protocol != HG_PROTO_UDP)
        return hg_error_set(error,
                            "rule %u has ports; its protocol must be tcp or "
                            "udp then",
                            rule->number);
    if (rule->icmp_type >= 0 && rule->protocol != HG_PROTO_ICMP &&
        rule->protocol != HG_PROTO_ICMP6)
        return hg_error_set(error,
                            "rule %u has an ICMP type; its protocol must be "
                            "icmp or icmpv6 then",
                            rule->number);
    if (rule->icmp_code >= 0 && rule->icmp_type < 0)
        return hg_error_set(error,
                            "rule %u has an ICMP code; it must have "
                            "'icmp-type' too",
                            rule->number);
    return true;
}

static void
print_protocol(int16_t protocol, FILE *out)
{
    unsigned i;

    for (i = 0; i < N_PROTOCOLS; i++)
        if (protocols[i].number == protocol) {
            fprintf(out, "\"%s\"", protocols[i].name);
            return;
        }
    fprintf(out, "\"%d\"", protocol);
}

void
hg_acl_rule_print(const struct hg_acl_rule *rule, const char *acl,
                  enum hg_acl_direction direction, FILE *out)
{
    char cidr[HG_PREFIX_STRLEN];

    fprintf(out,
            "{\"acl\": \"%s\", \"direction\": \"%s\", \"number\": %u, "
            "\"action\": \"%s\", \"protocol\": ",
            acl, direction == HG_ACL_INBOUND ? "inbound" : "outbound",
            rule->number, rule->allow ? "allow" : "deny");
    print_protocol(rule->protocol, out);
    fprintf(out, ", \"cidr\": \"%s\"", hg_prefix_format(&rule->cidr, cidr));
    if (rule->ports.low != 0 || rule->ports.high != UINT16_MAX)
        fprintf(out, ", \"ports\": \"%u-%u\"", rule->ports.low,
                rule->ports.high);
    if (rule->icmp_type >= 0)
        fprintf(out, ", \"icmp-type\": %d", rule->icmp_type);
    if (rule->icmp_code >= 0)
        fprintf(out, ", \"icmp-code\": %d", rule->icmp_code);
    fprintf(out, ", \"packets\": %llu}", (unsigned long long)rule->packets);
}

/* ---- Lists ------------------------------------------------------------ */

/* The place of the first rule whose number is not below. */
static size_t
place_of(const struct hg_acl_list *list, uint16_t number)
{
    size_t low = 0, high = list->n;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (list->rule[middle].number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool
has_number(const struct hg_acl_list *list, size_t at, uint16_t number)
{
    return at < list->n && list->rule[at].number == number;
}

/* What stands behind the rules of a list. */
static void
add_final(struct hg_acl_list *list)
{
    if (list->rule)
        return;
    list->rule = xcalloc(1, sizeof *list->rule);
    hg_acl_rule_init(list->rule);
    list->rule->number = HG_ACL_NUMBER_LAST4;
}

bool
hg_acl_list_add(struct hg_acl_list *list, const struct hg_acl_rule *rule,
                struct hg_error *error)
{
    size_t at = place_of(list, rule->number);

    if (has_number(list, at, rule->number))
        return hg_error_set(error, "there is a rule %u already", rule->number);
    add_final(list);
    list->rule = xrealloc(list->rule, (list->n + 2) * sizeof *list->rule);
    memmove(list->rule + at + 1, list->rule + at,
            (list->n - at + 1) * sizeof *list->rule);
    list->rule[at] = *rule;
    list->n++;
    return true;
}

bool
hg_acl_list_replace(struct hg_acl_list *list, const struct hg_acl_rule *rule,
                    struct hg_error *error)
{
    size_t at = place_of(list, rule->number);

    if (!has_number(list, at, rule->number))
        return hg_error_set(error, "there is no rule %u", rule->number);
    list->rule[at] = *rule;
    return true;
}

bool
hg_acl_list_remove(struct hg_acl_list *list, uint16_t number,
                   struct hg_error *error)
{
    size_t at = place_of(list, number);

    if (!has_number(list, at, number))
        return hg_error_set(error, "there is no rule %u", number);
    memmove(list->rule + at, list->rule + at + 1,
            (list->n - at) * sizeof *list->rule);
    list->n--;
    return true;
}

void
hg_acl_list_compile(struct hg_acl_list *list, enum hg_acl_direction direction)
{
    struct hg_rule *rules = xcalloc(list->n + 1, sizeof *rules);
    size_t i;

    for (i = 0; i < list->n; i++) {
        const struct hg_acl_rule *from = &list->rule[i];
        struct hg_rule *to = &rules[i];

        hg_rule_init(to);
        to->family = from->cidr.addr.family;
        *(direction == HG_ACL_INBOUND ? &to->src : &to->dst) = from->cidr;
        to->protocol = from->protocol;
        to->dport = from->ports;
        to->icmp_type = from->icmp_type;
        to->icmp_code = from->icmp_code;
    }
    add_final(list);
    hg_rules_destroy(list->table);
    list->table = hg_rules_create(rules, list->n, HG_RULES_AUTO);
    free(rules);
}

void
hg_acl_list_uninit(struct hg_acl_list *list)
{
    free(list->rule);
    hg_rules_destroy(list->table);
    *list = (struct hg_acl_list){.n = 0};
}
