/* NACL: network ACLs, the stateless filters at the edge of subnets.
 *
 * What a rule is and how lists are searched is core/tables/acl.c and rules.c;
 * here is which traffic is never filtered, and the verdict; in nacl_subnet.h,
 * which ACL a packet gets.  Packets on their way into a subnet come in at
 * 'inbound', those on their way out of one at 'outbound'; SecurityGroup stands
 * behind it, at the ENI, FlowLogger at its deny port. */
#include <stdlib.h>
#include <string.h>

#include <headgate/flow.h>

#include "nacl_choose.h"

/* ---- Packets ---------------------------------------------------------- */

static struct hg_acl_list *
list_of(const struct nacl *self, uint32_t list)
{
    return &self->set.acl[list / 2].list[list % 2];
}

/* The verdicts that these places of a list give, of which the last is the
 * final deny; without a branch, since who
 * allows and who denies comes mixed. */
static void
judge(struct nacl *self, struct hg_packet *const *p, uint32_t list, unsigned n,
      const uint8_t *which, const uint32_t *found, int16_t *verdict)
{
    struct hg_acl_rule *rules = list_of(self, list)->rule;
    const size_t end = list_of(self, list)->n;
    const int metadata = self->metadata;
    uint8_t denied[HG_RULE_KEYS];
    unsigned n_denied = 0, i, k;

    for (k = 0; k < n; k++) {
        struct hg_acl_rule *rule;

        i = which[k];
        rule = &rules[found[i]];
        rule->packets++;
        note_rule(p[i], metadata, rule->number);
        verdict[i] = (int16_t)(list % 2);
        denied[n_denied] = (uint8_t)i;
        n_denied += !rule->allow;
    }
    self->allowed.n += n - n_denied;
    for (k = 0; k < n_denied; k++) {
        i = denied[k];
        verdict[i] = (int16_t)deny(self, p[i]);
        if (found[i] == end && p[i]->flags & HG_PACKET_IP6)
            note_rule(p[i], metadata, HG_ACL_NUMBER_LAST6);
    }
}

/* What a flow remembers: the list and the place in it. */
struct remembered {
    uint32_t list;
    uint32_t found;
};

static bool
is_short(const struct nacl *self, uint32_t list)
{
    return list_of(self, list)->n < REMEMBERED_FROM;
}

/* Whether the packet's flow remembers its place in this list. */
static inline bool
recall(struct nacl *self, struct hg_packet *p, uint32_t list, uint32_t *found)
{
    const struct remembered *r;

    if (!p->flow)
        return false;
    r = hg_flow_verdict(self, p);
    if (!r || r->list != list)
        return false;
    *found = r->found;
    return true;
}

static void
remember(struct nacl *self, struct hg_packet *const *p, uint32_t list,
         unsigned n, const uint8_t *which, const uint32_t *found)
{
    unsigned k;

    for (k = 0; k < n; k++)
        if (p[which[k]]->flow)
            hg_flow_remember(self, p[which[k]],
                             &(struct remembered){list, found[which[k]]});
}

/* Judges what flows remember, and returns how many are left. */
static unsigned
judge_as_before(struct nacl *self, struct hg_packet *const *p, uint32_t list,
                unsigned n, const uint8_t *which, uint8_t *left,
                int16_t *verdict)
{
    uint32_t found[HG_RULE_KEYS] = {0};
    uint8_t known[HG_RULE_KEYS] = {0};
    unsigned n_known = 0, n_left = 0, k;

    for (k = 0; k < n; k++) {
        uint8_t i = which[k];

        if (recall(self, p[i], list, &found[i]))
            known[n_known++] = i;
        else
            left[n_left++] = i;
    }
    judge(self, p, list, n_known, known, found, verdict);
    return n_left;
}

/* Judges packets of one list. */
static void
judge_list(struct nacl *self, struct hg_packet *const *p,
           const struct hg_rule_keys *keys, uint32_t list, unsigned n,
           const uint8_t *which, int16_t *verdict)
{
    bool remembers = self->remembers && !is_short(self, list);
    uint32_t found[HG_RULE_KEYS];
    uint8_t left[HG_RULE_KEYS];

    if (remembers) {
        n = judge_as_before(self, p, list, n, which, left, verdict);
        which = left;
    }
    hg_rules_first_batch(list_of(self, list)->table, keys, n, which, found);
    if (remembers)
        remember(self, p, list, n, which, found);
    judge(self, p, list, n, which, found, verdict);
}

/* Moves those of which the same is said as of the first from 'left' to 'same';
 * returns how many. */
static unsigned
take_alike(const uint32_t *said, uint8_t *left, unsigned *n_left,
           uint8_t *same)
{
    unsigned n = *n_left, n_same = 0, k;
    uint32_t first = said[left[0]];

    *n_left = 0;
    for (k = 0; k < n; k++) {
        uint8_t i = left[k];

        same[n_same] = left[*n_left] = i;
        n_same += said[i] == first;
        *n_left += said[i] != first;
    }
    return n_same;
}

/* Judges packets of several lists; 'left' is used up. */
static void
judge_lists(struct nacl *self, struct hg_packet *const *p,
            const struct hg_rule_keys *keys, const uint32_t *list, unsigned n,
            uint8_t *left, int16_t *verdict)
{
    uint8_t same[HG_RULE_KEYS];
    unsigned n_same;

    while (n) {
        n_same = take_alike(list, left, &n, same);
        judge_list(self, p, keys, list[same[0]], n_same, same, verdict);
    }
}

/* Judges packets of one family and direction; false if they are of both
 * directions. */
static bool
judge_alike(struct nacl *self, struct hg_packet *const *p,
            const struct hg_rule_keys *keys, unsigned n, const uint8_t *which,
            int16_t *verdict)
{
    static const struct far nowhere = {HG_RULE_COVER_NONE, HG_RULE_COVER_NONE};
    const unsigned port = p[which[0]]->in_port;
    const bool six = keys->family[which[0]] == 6, in = port == HG_ACL_INBOUND;
    const uint32_t *address = keys->at[in ? HG_RULE_SRC : HG_RULE_DST];
    const struct guard *g;
    uint32_t ask[HG_RULE_KEYS], list[HG_RULE_KEYS];
    uint8_t left[HG_RULE_KEYS];
    unsigned i;

    if (n < HG_RULE_KEYS)
        memset(ask, 0, sizeof ask);
    g = in ? common_guard(self, HG_ACL_INBOUND, p, n, which, ask)
           : common_guard(self, HG_ACL_OUTBOUND, p, n, which, ask);
    if (!g && !(in ? ask_each(self, HG_ACL_INBOUND, six, p, address, n, which,
                              ask, list)
                   : ask_each(self, HG_ACL_OUTBOUND, six, p, address, n, which,
                              ask, list)))
        return false;
    if (look(g ? &g->far[six] : &nowhere, &self->set.looks[six], address, keys,
             ask)) {
        for (i = 0; g && i < HG_RULE_KEYS; i++)
            list[i] = 2 * g->acl + port;
        n = choose_some(self, p, keys, n, which, ask, list, left, verdict);
    } else if (g) {
        judge_list(self, p, keys, 2 * g->acl + port, n, which, verdict);
        return true;
    } else {
        memcpy(left, which, n);
    }
    judge_lists(self, p, keys, list, n, left, verdict);
    return true;
}

/* What is no IP is not filtered. */
static void
pass_others(struct nacl *self, struct hg_packet *const *p, unsigned n,
            const uint8_t *which, int16_t *verdict)
{
    unsigned k;

    for (k = 0; k < n; k++) {
        verdict[which[k]] = (int16_t)pass_by(p[which[k]], &self->not_filtered);
        note_rule(p[which[k]], self->metadata, 0);
    }
}

/* Judges packets of several families or directions, and others. */
static void
judge_mixed(struct nacl *self, struct hg_packet *const *p,
            const struct hg_rule_keys *keys, int16_t *verdict)
{
    uint32_t kind[HG_RULE_KEYS];
    uint8_t left[HG_RULE_KEYS], same[HG_RULE_KEYS];
    unsigned n = keys->n, n_same, i;

    for (i = 0; i < n; i++) {
        left[i] = (uint8_t)i;
        kind[i] = 2u * keys->family[i] + p[i]->in_port;
    }
    while (n) {
        n_same = take_alike(kind, left, &n, same);
        if (keys->family[same[0]])
            judge_alike(self, p, keys, n_same, same, verdict);
        else
            pass_others(self, p, n_same, same, verdict);
    }
}

/* Judges up to HG_RULE_KEYS packets. */
static void
judge_some(struct nacl *self, struct hg_packet *const *p, unsigned n,
           int16_t *verdict)
{
    struct hg_rule_keys keys;

    hg_rule_keys_of(p, n, &keys);
    if ((keys.families != 1u << 4 && keys.families != 1u << 6) ||
        !judge_alike(self, p, &keys, n, self->all, verdict))
        judge_mixed(self, p, &keys, verdict);
}

static void
nacl_batch(struct nacl *self, struct hg_batch *batch)
{
    int16_t verdict[HG_BATCH_MAX];
    unsigned at, n;

    if (self->inventory &&
        hg_inventory_generation(self->inventory) != self->generation) {
        self->generation = hg_inventory_generation(self->inventory);
        forget_guards(self);
    }
    for (at = 0; at < batch->n; at += n) {
        n = batch->n - at < HG_RULE_KEYS ? batch->n - at : HG_RULE_KEYS;
        judge_some(self, batch->p + at, n, verdict + at);
    }
    hg_route(self, batch, verdict);
}

/* ---- Handlers --------------------------------------------------------- */

static bool
read_rules(void *self_, const char *argument, FILE *out,
           struct hg_error *error)
{
    struct nacl *self = self_;

    return hg_acl_set_print(&self->set, argument, out, error);
}

static bool
change(void *self_, enum hg_acl_change kind, const char *value,
       struct hg_error *error)
{
    struct nacl *self = self_;

    hg_tables_changed(self);
    return hg_acl_set_change(&self->set, kind, value, error);
}

static bool
write_add(void *self, const char *value, struct hg_error *error)
{
    return change(self, HG_ACL_ADD, value, error);
}

static bool
write_replace(void *self, const char *value, struct hg_error *error)
{
    return change(self, HG_ACL_REPLACE, value, error);
}

static bool
write_remove(void *self, const char *value, struct hg_error *error)
{
    return change(self, HG_ACL_REMOVE, value, error);
}

static bool
write_associate(void *self_, const char *value, struct hg_error *error)
{
    struct nacl *self = self_;
    char subnet[128], acl[128];
    uint32_t number;

    if (sscanf(value, "%127s %127s", subnet, acl) != 2)
        return hg_error_set(error, "write a subnet and an ACL, such as: "
                                   "subnet-1 default");
    number = hg_acl_set_find(&self->set, acl);
    if (number == HG_ACL_NONE)
        return hg_error_set(error, "no ACL '%s'", acl);
    if (self->inventory && !hg_inventory_subnet(self->inventory, subnet))
        return hg_error_set(error, "no subnet '%s' in the inventory", subnet);
    associate(self, subnet, number);
    forget_guards(self);
    return true;
}

/* ---- Graph files ------------------------------------------------------ */

static bool
rule_from_row(const struct rule_row *row, struct hg_acl_rule *rule,
              struct hg_error *error)
{
    const struct {
        const char *name, *value;
    } words[] = {
        {"action", row->action},       {"protocol", row->protocol},
        {"cidr", row->cidr},           {"ports", row->ports},
        {"icmp-type", row->icmp_type}, {"icmp-code", row->icmp_code},
    };
    unsigned i;

    hg_acl_rule_init(rule);
    rule->number = row->number;
    for (i = 0; i < sizeof words / sizeof words[0]; i++)
        if (words[i].value &&
            !hg_acl_rule_set(rule, words[i].name, words[i].value, error))
            return false;
    return true;
}

/* 'option' and 'index' say where mistakes are. */
static bool
add_rows(struct nacl *self, uint32_t acl, enum hg_acl_direction direction,
         const struct rule_rows *rows, const char *option, int index)
{
    bool ok = true;
    size_t i;

    for (i = 0; i < rows->n; i++) {
        struct hg_acl_rule rule;
        struct hg_error error = {""};

        if (!rule_from_row(&rows->row[i], &rule, &error) ||
            !hg_acl_set_add_rule(&self->set, acl, direction, &rule, &error))
            ok = hg_config_error(self, option, index < 0 ? (int)i : index,
                                 "%s rule %u of ACL '%s': %s",
                                 direction ? "outbound" : "inbound",
                                 rows->row[i].number, self->set.acl[acl].name,
                                 error.text);
    }
    return ok;
}

static bool
add_acl_row(struct nacl *self, int index)
{
    const struct acl_row *row = &self->acl.row[index];
    struct rule_rows inbound = {row->inbound.n, row->inbound.row};
    struct rule_rows outbound = {row->outbound.n, row->outbound.row};
    struct hg_error error = {""};
    uint32_t acl = hg_acl_set_add(&self->set, row->name, &error);
    bool ok = true;
    size_t i;

    if (acl == HG_ACL_NONE)
        return hg_config_error(self, "acl", index, "%s", error.text);
    ok &= add_rows(self, acl, HG_ACL_INBOUND, &inbound, "acl", index);
    ok &= add_rows(self, acl, HG_ACL_OUTBOUND, &outbound, "acl", index);
    for (i = 0; i < row->subnets.n; i++)
        associate(self, row->subnets.v[i], acl);
    if (!row->is_default)
        return ok;
    if (self->default_acl != HG_ACL_NONE)
        return hg_config_error(
            self, "acl", index, "'%s' cannot be the default too: that is '%s'",
            row->name, self->set.acl[self->default_acl].name);
    self->default_acl = acl;
    return ok;
}

static void
report_mistake(void *self, const char *text)
{
    hg_config_error(self, "file", -1, "%s", text);
}

/* ---- Life ------------------------------------------------------------- */

/* DHCP (RFC 2131 4.1) and DHCPv6 (RFC 8415 7.2), both ways. */
static void
exempt_dhcp(struct nacl *self)
{
    static const struct {
        uint8_t family;
        uint16_t sport, dport;
    } row[] = {{4, 68, 67}, {4, 67, 68}, {6, 546, 547}, {6, 547, 546}};
    unsigned i;

    for (i = 0; i < 4; i++) {
        struct hg_rule rule;

        hg_rule_init(&rule);
        rule.family = row[i].family;
        rule.protocol = HG_PROTO_UDP;
        rule.sport = (struct hg_port_range){row[i].sport, row[i].sport};
        rule.dport = (struct hg_port_range){row[i].dport, row[i].dport};
        hg_acl_set_exempt(&self->set, &rule);
    }
}

static void
exempt_all(struct nacl *self)
{
    struct hg_rule rule;
    size_t i;

    for (i = 0; i < self->unfiltered.n; i++) {
        hg_rule_init(&rule);
        rule.src = self->unfiltered.v[i];
        hg_acl_set_exempt(&self->set, &rule);
        hg_rule_init(&rule);
        rule.dst = self->unfiltered.v[i];
        hg_acl_set_exempt(&self->set, &rule);
    }
    if (!self->filter_dhcp)
        exempt_dhcp(self);
}

/* The ACL called "default" is the default unless another says it is; where
 * nobody wrote one, a VPC's own. */
static void
choose_default(struct nacl *self)
{
    if (self->default_acl == HG_ACL_NONE)
        self->default_acl = hg_acl_set_find(&self->set, "default");
    if (self->default_acl == HG_ACL_NONE) {
        self->default_acl = hg_acl_set_add(&self->set, "default", NULL);
        hg_acl_set_add_defaults(&self->set, self->default_acl);
    }
}

static bool
add_classbench(struct nacl *self, uint32_t acl)
{
    struct hg_error error;

    return !self->classbench ||
           hg_acl_set_read_classbench(&self->set, acl, self->classbench,
                                      &error) ||
           hg_config_error(self, "classbench", -1, "%s", error.text);
}

static bool
build(struct nacl *self)
{
    struct rule_rows inbound = {self->inbound.n, self->inbound.row};
    struct rule_rows outbound = {self->outbound.n, self->outbound.row};
    bool ok = true;
    uint32_t i;

    self->default_acl = HG_ACL_NONE;
    self->set.quota = self->quota;
    exempt_all(self);
    if (inbound.n || outbound.n || self->classbench) {
        i = self->default_acl = hg_acl_set_add(&self->set, "default", NULL);
        ok &= add_rows(self, i, HG_ACL_INBOUND, &inbound, "inbound", -1);
        ok &= add_rows(self, i, HG_ACL_OUTBOUND, &outbound, "outbound", -1);
        ok &= add_classbench(self, i);
    }
    for (i = 0; i < self->acl.n; i++)
        ok &= add_acl_row(self, (int)i);
    if (self->file)
        ok &= hg_acl_set_read(&self->set, self->file, report_mistake, self);
    choose_default(self);
    hg_acl_set_compile(&self->set);
    return ok;
}

/* The first instance of several has built it all: what is counted is one's
 * own, the compiled lists are its. */
static void
borrow(struct nacl *self, const struct nacl *kin)
{
    size_t i;

    self->default_acl = kin->default_acl;
    hg_acl_set_borrow(&self->set, &kin->set);
    for (i = 0; i < kin->n_associations; i++)
        associate(self, kin->associations[i].subnet, kin->associations[i].acl);
}

static bool
has_long_list(const struct nacl *self)
{
    uint32_t list;

    for (list = 0; list < 2 * self->set.n; list++)
        if (!is_short(self, list))
            return true;
    return false;
}

static bool
nacl_configure(void *self_)
{
    struct nacl *self = self_;
    const struct nacl *kin = hg_kin(self);
    bool ok = true;
    unsigned i;

    self->metadata = hg_metadata(self, "nacl-rule", sizeof(uint16_t));
    self->denied_side = hg_metadata(self, HG_DENIED_META, 1);
    if (self->metadata < 0 || self->denied_side < 0)
        return false;
    if (kin)
        borrow(self, kin);
    else
        ok = build(self);
    for (i = 0; i < HG_RULE_KEYS; i++)
        self->all[i] = (uint8_t)i;
    self->remembers = has_long_list(self);
    if (self->remembers)
        hg_flow_declare_verdict(self, sizeof(struct remembered), true);
    return ok;
}

/* Subnets that are given an ACL must be there, and ACLs that they name. */
static bool
check_subnets(struct nacl *self, struct hg_error *error)
{
    size_t i;

    for (i = 0; i < self->n_associations; i++)
        if (!hg_inventory_subnet(self->inventory,
                                 self->associations[i].subnet))
            return hg_error_set(error, "no subnet '%s' in the inventory",
                                self->associations[i].subnet);
    for (i = 0; i < hg_inventory_n_subnets(self->inventory); i++) {
        const struct hg_subnet *subnet =
            hg_inventory_subnet_at(self->inventory, i);

        if (guard_of(self, subnet)->acl == HG_ACL_NONE)
            return hg_error_set(error,
                                "subnet '%s' has ACL '%s', which is not here",
                                subnet->id, subnet->nacl);
    }
    return true;
}

static bool
nacl_start(void *self_, struct hg_error *error)
{
    struct nacl *self = self_;

    self->inventory = hg_service(self, self->mapping, "inventory");
    fill_nobody(self);
    if (!self->inventory)
        return !self->mapping ||
               hg_error_set(error, "the element that mapping names has no "
                                   "inventory");
    self->generation = hg_inventory_generation(self->inventory);
    return check_subnets(self, error);
}

static void
nacl_free(void *self_)
{
    struct nacl *self = self_;
    size_t i;

    for (i = 0; i < self->n_associations; i++)
        free(self->associations[i].subnet);
    hg_acl_set_uninit(&self->set);
    free(self->associations);
    free(self->guards);
}

/* clang-format off */
HG_BATCH_ELEMENT(NACL, struct nacl, nacl_batch,
    .summary = "network ACLs: stateless filters at the edge of subnets",
    .doc =
        "Packets on their way into a subnet come in at 'inbound', those on\n"
        "their way out at 'outbound', and leave at the output of the same\n"
        "name if they may pass.  The packet's own subnet (that of its\n"
        "destination inbound, of its source outbound) says which ACL it\n"
        "gets; rules are asked in ascending order and the first that matches\n"
        "decides; what none matches is denied.  There is no state: replies\n"
        "need rules of their own.\n"
        "\n"
        "Rules directly in the element make one ACL called 'default', for\n"
        "all.  More are made with 'acl' sections, for the subnets they list\n"
        "and those that name them in the inventory.  Subnets without one get\n"
        "the default; if nobody writes that, it is a new VPC's: rule 100\n"
        "allows all IPv4 and 101 all IPv6, both ways.  An ACL that is\n"
        "written denies what it does not allow.\n"
        "\n"
        "Never filtered: traffic between two addresses of one subnet; what\n"
        "is not IP; DHCP; the VPC router and resolver (with an inventory)\n"
        "and the addresses of 'unfiltered', which are those of the resolver,\n"
        "instance and task metadata, time, licence activation, and of a\n"
        "link.\n"
        "\n"
        "A rule with ports or an ICMP type does not match packets without\n"
        "them: later fragments and cut headers.  They meet the rules behind\n"
        "it; 'fragments' can decide about later fragments at once.\n"
        "\n"
        "The deciding number is kept in the packet (metadata nacl-rule, 16\n"
        "bits in host order): 0 if no rule was asked, 32767 and 32768 for\n"
        "the final deny of IPv4 and IPv6.\n"
        "\n"
        "Behind an element that keeps flows, they remember what lists of\n"
        "4,096 rules and more decided, until a list changes; shorter ones\n"
        "are searched as quickly.\n"
        "\n"
        "A file has the columns acl (default if empty), direction, number,\n"
        "action, protocol, cidr, ports, icmp-type, icmp-code.  Transit\n"
        "gateway attachment subnets are filtered in one direction only: wire\n"
        "only that one.",
    .reproduces =
        "network ACLs: numbered rules in two lists, first match, the "
        "final deny with its numbers, default ACLs, what is never "
        "filtered, same-subnet traffic, quotas",
    .leaves_out =
        "the delay until a change acts; deciding by itself which half "
        "of a transit gateway's subnet counts",
    .lets_choose =
        "what becomes of later fragments, which have no ports "
        "(documents are silent); the addresses that are not filtered; "
        "the quota",
    .example =
        "Interface vpc { }\n"
        "Interface subnet { }\n"
        "NACL acl {\n"
        "    cidr = 10.0.1.0/24\n"
        "    inbound 100 {\n"
        "        protocol = tcp   ports = 443\n"
        "        cidr = 0.0.0.0/0   action = allow\n"
        "    }\n"
        "    inbound 110 {\n"
        "        protocol = udp   ports = 1024-65535\n"
        "        cidr = 0.0.0.0/0   action = allow\n"
        "    }\n"
        "    outbound 100 { cidr = 0.0.0.0/0   action = allow }\n"
        "}\n"
        "Counter denied { }\n"
        "Discard end { }\n"
        "connect(\"vpc -> [inbound]acl[inbound] -> subnet\")\n"
        "connect(\"subnet -> [outbound]acl[outbound] -> vpc\")\n"
        "connect(\"acl[deny] -> denied -> end\")",
    .flags = HG_CLASS_ANY_WORKER | HG_CLASS_STRAIGHT,
    .inputs = "inbound outbound", .outputs = "inbound outbound deny?",
    .configure = nacl_configure,
    .start = nacl_start,
    .free = nacl_free,
    .fields = HG_FIELDS(
        HG_ROWS(inbound, rule_fields,
                .doc = "a rule of the default ACL for what enters"),
        HG_ROWS(outbound, rule_fields,
                .doc = "a rule of the default ACL for what leaves"),
        HG_ROWS(acl, acl_fields, .doc = "an ACL for some subnets"),
        HG_OPTION(file, .doc = "more rules, from a CSV or JSON file"),
        HG_OPTION(classbench,
                  .doc = "more rules of the ACL 'default', from a file in "
                         "ClassBench's format: numbered by line, they allow; "
                         "inbound each asks for its source, outbound for its "
                         "destination, both for protocol and destination "
                         "ports"),
        HG_OPTION(mapping, .cls = "MappingService",
                  .doc = "who knows the subnets; the only one if not given"),
        HG_OPTION(cidr, .doc = "without an inventory: the subnet's own "
                               "addresses"),
        HG_OPTION(unfiltered,
                  .def = "169.254.169.253 169.254.169.254 169.254.169.123 "
                         "169.254.170.2 169.254.169.250 169.254.169.251 "
                         "fd00:ec2::253 fd00:ec2::254 fd00:ec2::123 "
                         "fe80::/10 ff02::/16",
                  .doc = "addresses to and from which nothing is filtered"),
        HG_OPTION(filter_dhcp, .doc = "filter DHCP like anything else"),
        HG_OPTION(fragments, .def = "rules", .choices = "rules allow deny",
                  .doc = "later fragments, which have no ports: what rules "
                         "without ports say, or always this"),
        HG_OPTION(quota, .def = "20", .min = 1, .max = HG_ACL_NUMBER_MAX + 1,
                  .doc = "rules for each direction and address family, the "
                         "final deny included"),
        HG_COUNTER(allowed, .doc = "packets that a rule allowed"),
        HG_COUNTER(denied_inbound, .doc = "packets refused on their way in"),
        HG_COUNTER(denied_outbound, .doc = "packets refused on their way "
                                           "out"),
        HG_COUNTER(same_subnet, .doc = "packets inside one subnet"),
        HG_COUNTER(not_filtered, .doc = "packets that are never filtered"),
        HG_REASON(denied, .doc = "refused, and 'deny' is not wired"),
        HG_REASON(unknown_acl, .doc = "its subnet names an ACL that is not "
                                      "here")),
    .handlers = HG_HANDLERS(
        {.name = "rules", .read = read_rules,
         .doc = "the rules of all ACLs or of one (rules=ACL) and what they "
                "decided, one JSON object a line"},
        {.name = "add-rule", .write = write_add,
         .doc = "a new rule: ACL inbound|outbound NUMBER action=allow "
                "cidr=0.0.0.0/0 protocol=tcp ports=22"},
        {.name = "replace-rule", .write = write_replace,
         .doc = "the same in place of the rule of that number"},
        {.name = "remove-rule", .write = write_remove,
         .doc = "removes a rule: ACL inbound|outbound NUMBER"},
        {.name = "associate", .write = write_associate,
         .doc = "gives a subnet an ACL: SUBNET ACL"}))
