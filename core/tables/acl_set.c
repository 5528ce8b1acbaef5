/* acl_set.c: ACLs by name, and how text changes them; see acl.h. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include <headgate/acl.h>

#include "../graph_internal.h"

static const char *const directions[] = {"inbound", "outbound"};

void
hg_acl_set_uninit(struct hg_acl_set *set)
{
    size_t i;
    unsigned d;

    for (i = 0; i < set->n; i++) {
        for (d = 0; d < 2; d++) {
            if (set->lender)
                set->acl[i].list[d].table = NULL;
            hg_acl_list_uninit(&set->acl[i].list[d]);
        }
        free(set->acl[i].name);
    }
    free(set->acl);
    free(set->exempt);
    if (!set->lender)
        hg_rules_destroy(set->exempt_table);
    *set = (struct hg_acl_set){.n = 0};
}

void
hg_acl_set_exempt(struct hg_acl_set *set, const struct hg_rule *rule)
{
    set->exempt =
        xrealloc(set->exempt, (set->n_exempt + 1) * sizeof *set->exempt);
    set->exempt[set->n_exempt++] = *rule;
}

/* Marks by what a packet of the family that this rule matches is told. */
static void
add_look(struct hg_acl_exempt *look, const struct hg_rule *rule,
         uint8_t family)
{
    const struct hg_prefix *prefix = rule->src.len ? &rule->src : &rule->dst;
    uint8_t its = rule->family ? rule->family : prefix->addr.family;

    if (its && its != family)
        return;
    if (prefix->len)
        hg_rule_cover_add_list(
            rule->src.len ? &look->src : &look->dst,
            &(struct hg_prefix_list){1, (struct hg_prefix *)(uintptr_t)prefix},
            family);
    else
        hg_rule_cover_add(&look->sport, rule->sport.low,
                          rule->sport.high < UINT16_MAX ? rule->sport.high
                                                        : UINT32_MAX);
}

static void
compile_exempt(struct hg_acl_set *set)
{
    size_t i;

    set->looks[0] = set->looks[1] = (struct hg_acl_exempt){
        HG_RULE_COVER_NONE, HG_RULE_COVER_NONE, HG_RULE_COVER_NONE};
    for (i = 0; i < set->n_exempt; i++) {
        add_look(&set->looks[0], &set->exempt[i], 4);
        add_look(&set->looks[1], &set->exempt[i], 6);
    }
    hg_rules_destroy(set->exempt_table);
    set->exempt_table =
        hg_rules_create(set->exempt, set->n_exempt, HG_RULES_AUTO);
}

uint32_t
hg_acl_set_find(const struct hg_acl_set *set, const char *name)
{
    uint32_t i;

    for (i = 0; i < set->n; i++)
        if (!strcmp(set->acl[i].name, name))
            return i;
    return HG_ACL_NONE;
}

/* The number of an ACL that must be there. */
static bool
get_acl(const struct hg_acl_set *set, const char *name, uint32_t *acl,
        struct hg_error *error)
{
    *acl = hg_acl_set_find(set, name);
    return *acl != HG_ACL_NONE || hg_error_set(error, "no ACL '%s'", name);
}

uint32_t
hg_acl_set_add(struct hg_acl_set *set, const char *name,
               struct hg_error *error)
{
    const char *at;

    for (at = name; *at; at++)
        if (!isalnum((unsigned char)*at) && !strchr("-_.", *at)) {
            hg_error_set(error,
                         "'%s' is not a name of letters, digits, '-', '_' "
                         "and '.'",
                         name);
            return HG_ACL_NONE;
        }
    if (hg_acl_set_find(set, name) != HG_ACL_NONE) {
        hg_error_set(error, "there is an ACL '%s' already", name);
        return HG_ACL_NONE;
    }
    set->acl = xrealloc(set->acl, (set->n + 1) * sizeof *set->acl);
    set->acl[set->n] = (struct hg_acl){.name = xstrdup(name)};
    return (uint32_t)set->n++;
}

/* Whether there is room for it, in place of one of its number if that is
 * there. */
static bool
has_room(const struct hg_acl_set *set, const struct hg_acl_list *list,
         const struct hg_acl_rule *rule, struct hg_error *error)
{
    uint32_t n = 2; /* The rule and the final deny. */
    size_t i;

    for (i = 0; i < list->n; i++)
        n += list->rule[i].cidr.addr.family == rule->cidr.addr.family &&
             list->rule[i].number != rule->number;
    if (n <= set->quota)
        return true;
    return hg_error_set(error,
                        "rule %u is more than the %u for a direction and "
                        "address family, the final deny included; raise "
                        "quota",
                        rule->number, set->quota);
}

bool
hg_acl_set_add_rule(struct hg_acl_set *set, uint32_t acl,
                    enum hg_acl_direction direction,
                    const struct hg_acl_rule *rule, struct hg_error *error)
{
    struct hg_acl_list *list = &set->acl[acl].list[direction];

    return hg_acl_rule_check(rule, error) &&
           has_room(set, list, rule, error) &&
           hg_acl_list_add(list, rule, error);
}

void
hg_acl_set_add_defaults(struct hg_acl_set *set, uint32_t acl)
{
    unsigned d, six;

    for (d = 0; d < 2; d++)
        for (six = 0; six < 2; six++) {
            struct hg_acl_rule rule;

            hg_acl_rule_init(&rule);
            rule.number = (uint16_t)(100 + six);
            rule.allow = rule.has_action = true;
            rule.cidr.addr.family = six ? 6 : 4;
            hg_acl_list_add(&set->acl[acl].list[d], &rule, NULL);
        }
}

static void
compile(struct hg_acl_set *set, uint32_t acl, unsigned direction)
{
    struct hg_acl_list *list = &set->acl[acl].list[direction];

    if (set->lender)
        list->table = set->lender->acl[acl].list[direction].table;
    else
        hg_acl_list_compile(list, (enum hg_acl_direction)direction);
}

void
hg_acl_set_compile(struct hg_acl_set *set)
{
    uint32_t i;

    if (!set->lender)
        compile_exempt(set);
    for (i = 0; i < set->n; i++) {
        compile(set, i, HG_ACL_INBOUND);
        compile(set, i, HG_ACL_OUTBOUND);
    }
}

static void
copy_rules(struct hg_acl_list *to, const struct hg_acl_list *from)
{
    size_t i;

    to->n = from->n;
    to->rule = xcalloc(from->n + 1, sizeof *to->rule);
    for (i = 0; i <= from->n; i++) {
        to->rule[i] = from->rule[i];
        to->rule[i].packets = 0;
    }
}

void
hg_acl_set_borrow(struct hg_acl_set *set, const struct hg_acl_set *lender)
{
    size_t i;
    unsigned d;

    *set = (struct hg_acl_set){.n = lender->n,
                               .exempt_table = lender->exempt_table,
                               .looks = {lender->looks[0], lender->looks[1]},
                               .quota = lender->quota,
                               .lender = lender};
    set->acl = xcalloc(set->n + 1, sizeof *set->acl);
    for (i = 0; i < set->n; i++) {
        set->acl[i].name = xstrdup(lender->acl[i].name);
        for (d = 0; d < 2; d++)
            copy_rules(&set->acl[i].list[d], &lender->acl[i].list[d]);
    }
    hg_acl_set_compile(set);
}

static bool
parse_direction(const char *text, enum hg_acl_direction *direction,
                struct hg_error *error)
{
    *direction = !strcmp(text, directions[HG_ACL_INBOUND]) ? HG_ACL_INBOUND
                                                           : HG_ACL_OUTBOUND;
    return !strcmp(text, directions[*direction]) ||
           hg_error_set(
               error, "'%s' is no direction; write inbound or outbound", text);
}

/* ---- Files ------------------------------------------------------------ */

struct reading {
    struct hg_acl_set *set;
    hg_table_mistake_fn *mistake_fn;
    void *aux;
};

static bool
take_record(void *reading, struct hg_table_row *row, struct hg_error *error)
{
    struct hg_acl_set *set = ((struct reading *)reading)->set;
    enum hg_acl_direction direction = HG_ACL_INBOUND;
    const char *acl = "default", *way = "";
    struct hg_acl_rule rule;
    uint32_t number;

    hg_acl_rule_init(&rule);
    for (row->at = 0; row->at < row->n; row->at++) {
        const char *name = row->name[row->at], *value = row->value[row->at];

        if (!strcmp(name, "direction"))
            way = value;
        else if (!*value)
            continue;
        else if (!strcmp(name, "acl"))
            acl = value;
        else if (!hg_acl_rule_set(&rule, name, value, error))
            return false;
    }
    row->at = 0;
    if (!parse_direction(way, &direction, error))
        return false;
    number = hg_acl_set_find(set, acl);
    if (number == HG_ACL_NONE)
        number = hg_acl_set_add(set, acl, error);
    return number != HG_ACL_NONE &&
           hg_acl_set_add_rule(set, number, direction, &rule, error);
}

static void
pass_mistake(void *reading_, const char *text)
{
    struct reading *reading = reading_;

    reading->mistake_fn(reading->aux, text);
}

bool
hg_acl_set_read(struct hg_acl_set *set, const char *path,
                hg_table_mistake_fn *mistake_fn, void *aux)
{
    struct reading reading = {set, mistake_fn, aux};

    return hg_table_read(path, take_record, pass_mistake, &reading);
}

/* A rule that no packet can match, such as one of ICMP with ports, is no
 * mistake here: it keeps its number. */
static bool
add_classbench_rule(struct hg_acl_set *set, uint32_t acl,
                    enum hg_acl_direction d, const struct hg_rule *from,
                    size_t number, struct hg_error *error)
{
    struct hg_acl_list *list = &set->acl[acl].list[d];
    struct hg_acl_rule rule;

    if (number > HG_ACL_NUMBER_MAX)
        return hg_error_set(error,
                            "more rules than an ACL has numbers, which go "
                            "from 1 to %u",
                            HG_ACL_NUMBER_MAX);
    hg_acl_rule_init(&rule);
    rule.number = (uint16_t)number;
    rule.allow = rule.has_action = true;
    rule.protocol = from->protocol;
    rule.cidr = d == HG_ACL_INBOUND ? from->src : from->dst;
    rule.ports = from->dport;
    return has_room(set, list, &rule, error) &&
           hg_acl_list_add(list, &rule, error);
}

bool
hg_acl_set_read_classbench(struct hg_acl_set *set, uint32_t acl,
                           const char *path, struct hg_error *error)
{
    struct hg_rule *rules;
    struct hg_error why;
    bool ok = true;
    size_t n, i;

    if (!hg_rules_read_classbench(path, &rules, &n, error))
        return false;
    for (i = 0; ok && i < n; i++)
        ok = add_classbench_rule(set, acl, HG_ACL_INBOUND, &rules[i], i + 1,
                                 &why) &&
             add_classbench_rule(set, acl, HG_ACL_OUTBOUND, &rules[i], i + 1,
                                 &why);
    free(rules);
    return ok || hg_error_set(error, "%s: %s", path, why.text);
}

/* ---- Changes ---------------------------------------------------------- */

struct change {
    uint32_t acl;
    enum hg_acl_direction direction;
    struct hg_acl_rule rule;
};

/* Takes the text apart, in place. */
static bool
parse_change(const struct hg_acl_set *set, char *text, struct change *c,
             struct hg_error *error)
{
    char *rest = text, *acl = strsep(&rest, " "), *word;
    char *direction = strsep(&rest, " "), *number = strsep(&rest, " ");

    if (!direction || !number)
        return hg_error_set(error,
                            "write ACL, inbound or outbound, and a rule's "
                            "number, such as: default inbound 100");
    hg_acl_rule_init(&c->rule);
    if (!get_acl(set, acl, &c->acl, error) ||
        !parse_direction(direction, &c->direction, error) ||
        !hg_acl_rule_set(&c->rule, "number", number, error))
        return false;
    while ((word = strsep(&rest, " "))) {
        char *value = word, *name = strsep(&value, "=");

        if (!value)
            return hg_error_set(error, "'%s' is not of the form name=value",
                                name);
        if (!hg_acl_rule_set(&c->rule, name, value, error))
            return false;
    }
    return true;
}

static bool
apply_change(struct hg_acl_set *set, enum hg_acl_change kind,
             const struct change *c, struct hg_error *error)
{
    struct hg_acl_list *list = &set->acl[c->acl].list[c->direction];

    switch (kind) {
    case HG_ACL_ADD:
        return hg_acl_set_add_rule(set, c->acl, c->direction, &c->rule, error);
    case HG_ACL_REPLACE:
        return hg_acl_rule_check(&c->rule, error) &&
               has_room(set, list, &c->rule, error) &&
               hg_acl_list_replace(list, &c->rule, error);
    case HG_ACL_REMOVE:
    default:
        return hg_acl_list_remove(list, c->rule.number, error);
    }
}

bool
hg_acl_set_change(struct hg_acl_set *set, enum hg_acl_change kind,
                  const char *text, struct hg_error *error)
{
    char *copy = xstrdup(text);
    struct change c;
    bool ok = parse_change(set, copy, &c, error) &&
              apply_change(set, kind, &c, error);

    free(copy);
    if (ok)
        compile(set, c.acl, c.direction);
    return ok;
}

/* ---- Printing --------------------------------------------------------- */

static void
print_list(const struct hg_acl *acl, unsigned direction, FILE *out)
{
    const struct hg_acl_list *list = &acl->list[direction];
    size_t i;

    for (i = 0; i < list->n; i++) {
        hg_acl_rule_print(&list->rule[i], acl->name,
                          (enum hg_acl_direction)direction, out);
        fputc('\n', out);
    }
    fprintf(out,
            "{\"acl\": \"%s\", \"direction\": \"%s\", \"number\": \"*\", "
            "\"action\": \"deny\", \"protocol\": \"all\", \"packets\": "
            "%llu}\n",
            acl->name, directions[direction],
            (unsigned long long)list->rule[list->n].packets);
}

bool
hg_acl_set_print(const struct hg_acl_set *set, const char *name, FILE *out,
                 struct hg_error *error)
{
    uint32_t only = HG_ACL_NONE, i;

    if (*name && !get_acl(set, name, &only, error))
        return false;
    for (i = 0; i < set->n; i++)
        if (!*name || i == only) {
            print_list(&set->acl[i], HG_ACL_INBOUND, out);
            print_list(&set->acl[i], HG_ACL_OUTBOUND, out);
        }
    return true;
}
