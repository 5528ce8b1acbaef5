/* SecurityGroup: the stateful filter at the elastic network interfaces of a
 * VPC, by the union of the groups that each carries.
 *
 * Stands behind what gives packets their identity (p->src_eni, p->dst_eni) and
 * beside Nacl, which is stateless and filters at subnets.  What groups say is
 * compiled by headgate/group_rules.h; connections are in the flow service
 * (headgate/flow.h).  A flow has a record of its own for each interface that
 * it passes, a side: one packet may leave one instance and enter another. */
#include <string.h>

#include <headgate/owner.h>
#include <headgate/table_file.h>

#include "security_group_handlers.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

/* ---- What is let through without being tracked ------------------------ */

static bool
in_list(const struct hg_prefix_list *list, const struct hg_addr *a)
{
    size_t i;

    for (i = 0; i < list->n; i++)
        if (hg_prefix_contains(&list->v[i], a))
            return true;
    return false;
}

/* Whether an IPv4 address is number 'nth' of one of these blocks. */
static bool
is_nth(const struct hg_prefix_list *cidr, uint32_t address, uint32_t nth)
{
    size_t i;

    for (i = 0; i < cidr->n; i++)
        if (cidr->v[i].addr.family == 4 &&
            address == hg_addr_ip4(&cidr->v[i].addr) + nth)
            return true;
    return false;
}

/* DHCP of clients: to everybody, and DHCPv6 answers of a neighbour. */
static bool
is_dhcp(const struct passage *g, const struct hg_addr *peer)
{
    static const uint8_t all_agents[16] = {0xff, 2, [13] = 1, [15] = 2};
    uint16_t sport = hg_packet_sport(g->p), dport = hg_packet_dport(g->p);

    if (peer->family == 4)
        return g->direction == EGRESS && sport == 68 && dport == 67 &&
               hg_addr_ip4(peer) == UINT32_MAX;
    if (g->direction == EGRESS)
        return sport == 546 && dport == 547 &&
               !memcmp(peer->byte, all_agents, sizeof all_agents);
    return sport == 547 && dport == 546 && peer->byte[0] == 0xfe &&
           (peer->byte[1] & 0xc0) == 0x80;
}

/* Whether its port looks like one of them. */
static inline bool
may_be_dhcp(const struct hg_packet *p)
{
    const struct hg_udp *udp = hg_packet_udp(p);
    uint16_t dport = udp ? hg_get16(udp->dport) : 0;

    return dport == 67 || dport == 546 || dport == 547;
}

/* The first word of the peer's address. */
static inline uint32_t
peer_word(const struct passage *g)
{
    const struct hg_ipv4 *ip = hg_packet_ipv4(g->p);
    const struct hg_ipv6 *ip6 = hg_packet_ipv6(g->p);
    bool is_dst = g->direction == EGRESS;

    return ip ? hg_get32(is_dst ? ip->dst : ip->src)
              : hg_load32(is_dst ? ip6->dst : ip6->src);
}

/* Of an IP packet. */
static bool
is_unfiltered(const struct security_group *self, const struct passage *g)
{
    bool six = g->p->flags & HG_PACKET_IP6, dhcp = may_be_dhcp(g->p);
    uint32_t word = peer_word(g);

    if (dhcp || hg_rule_cover_has(&self->cover[six], word)) {
        struct hg_addr peer =
            g->direction == EGRESS ? hg_packet_dst(g->p) : hg_packet_src(g->p);

        if (in_list(&self->unfiltered, &peer) || (dhcp && is_dhcp(g, &peer)))
            return true;
    }
    /* The subnet's router and the VPC's resolver. */
    return g->eni && !six &&
           (is_nth(&g->eni->subnet->cidr, word, 1) ||
            is_nth(&g->eni->vpc->cidr, word, 2));
}

static enum hg_group_direction
rules_of(unsigned direction)
{
    return direction == INGRESS ? HG_GROUP_INBOUND : HG_GROUP_OUTBOUND;
}

/* Whether anybody may send what comes and everything may go back, or this is
 * an answer to such a packet: nothing is remembered of it then. */
static bool
needs_no_tracking(struct security_group *self, const struct passage *g,
                  const struct hg_rule_key *key, enum hg_group_verdict verdict)
{
    enum hg_group_direction d = rules_of(g->direction);
    enum hg_group_direction back = rules_of(!g->direction);
    uint8_t family = key->family;
    uint8_t protocol = hg_rule_key_protocol(key);
    struct hg_rule_key reverse;
    struct hg_addr src, dst;

    if (protocol != HG_PROTO_TCP && protocol != HG_PROTO_UDP)
        return false;
    if (self->always_tracked.n) {
        src = hg_packet_src(g->p);
        dst = hg_packet_dst(g->p);
        if (in_list(&self->always_tracked, &src) ||
            in_list(&self->always_tracked, &dst))
            return false;
    }
    if (verdict == HG_GROUP_OPEN &&
        hg_group_set_all_open(g->set, back, family, protocol))
        return true;
    if (!hg_group_set_all_open(g->set, d, family, protocol) ||
        !hg_group_set_any_open(g->set, back, family))
        return false;
    reverse = hg_rule_key_reversed(key);
    return hg_group_set_verdict(g->set, back, &reverse, g->eni, g->peer) ==
           HG_GROUP_OPEN;
}

/* ---- The verdict ------------------------------------------------------ */

static int
deny(struct security_group *self, const struct passage *g)
{
    hg_count(&self->rejected);
    g->p->meta[self->denied_side] =
        g->direction == INGRESS ? HG_DENIED_INGRESS : HG_DENIED_EGRESS;
    return hg_is_wired(self, DENY) ? DENY : hg_drop(&self->denied);
}

__attribute__((noinline)) static int
judge_by_rules(struct security_group *self, struct passage *g)
{
    struct hg_rule_key key;
    enum hg_group_verdict verdict;

    find_groups(self, g);
    hg_rule_key_of(g->p, &key);
    verdict = hg_group_set_verdict(g->set, rules_of(g->direction), &key,
                                   g->eni, g->peer);
    if (verdict == HG_GROUP_DENIED) {
        if (!self->related_icmp_errors || !is_related(self, g))
            return deny(self, g);
        hg_count(&self->related);
        return (int)g->direction;
    }
    if (needs_no_tracking(self, g, &key, verdict)) {
        hg_count(&self->untracked);
        return (int)g->direction;
    }
    /* ICMP that asks nothing gets no answer. */
    if (is_icmp(g->p) && answer_of(g->p) < 0)
        return (int)g->direction;
    return track(self, g);
}

/* Fragments have not been followed before. */
static int
judge(struct security_group *self, struct passage *g)
{
    if (g->p->flags & HG_PACKET_FRAGMENT && follow(self, g->p, g->key))
        return (int)g->direction;
    if (!is_unfiltered(self, g))
        return judge_by_rules(self, g);
    hg_count(&self->bypassed);
    return (int)g->direction;
}

/* Later fragments of IPv4 go where the first went; the table knows only
 * 64 bits of who sends what to whom, so they are a hash. */
static struct hg_fragment_key
fragment_key(const struct security_group *self, const struct passage *g)
{
    const struct hg_ipv4 *ip = hg_packet_ipv4(g->p);
    struct {
        hg_be32 src, dst;
        uint32_t vpc, eni, direction;
    } who = {ip->src, ip->dst, g->p->vpc, number_of(g), g->direction};
    uint64_t hash = XXH3_64bits_withSeed(&who, sizeof who, hg_seed(self));

    return (struct hg_fragment_key){.src = (uint32_t)hash,
                                    .dst = (uint32_t)(hash >> 32),
                                    .id = hg_get16(ip->id),
                                    .protocol = ip->protocol};
}

static int
judge_fragment(struct security_group *self, struct passage *g)
{
    struct hg_fragment_key key = fragment_key(self, g);
    struct hg_packet *orphans = NULL;
    int verdict;

    if (g->p->flags & HG_PACKET_FRAGMENT_LATER) {
        if (hg_fragment_find(self->fragments, &key, g->p->time_ns))
            return (int)g->direction;
        return judge(self, g);
    }
    verdict = judge(self, g);
    if (verdict == (int)g->direction)
        hg_fragment_add(self->fragments, &key, g->p->time_ns, &orphans);
    return verdict;
}

/* What is no packet of a tracked connection, and fragments. */
__attribute__((noinline)) static int
judge_other(struct security_group *self, struct hg_packet *p,
            const struct hg_track_key *key)
{
    struct passage g = {.p = p, .direction = p->in_port, .key = key};

    if (!hg_packet_is_ip(p))
        return hg_drop(&self->not_ip);
    if (self->compact)
        hg_track_clock(self->compact->table, p->time_ns);
    if (!find_interface(self, &g))
        return self->unknown_eni == UNKNOWN_PASS ? (int)g.direction
                                                 : hg_drop(&self->no_eni);
    if (p->flags & HG_PACKET_FRAGMENT && p->flags & HG_PACKET_IP4)
        return judge_fragment(self, &g);
    return judge(self, &g);
}

static int
security_group_packet(struct security_group *self, struct hg_packet *p,
                      const struct hg_track_key *key)
{
    if (!(p->flags & HG_PACKET_FRAGMENT) && follow(self, p, key))
        return p->in_port;
    return judge_other(self, p, key);
}

/* Where the interface is that judges the packet; NULL if it is not known
 * yet. */
static const struct eni_entry *
place_of(const struct security_group *self, const struct hg_packet *p)
{
    const struct hg_eni *eni = p->in_port == EGRESS ? p->src_eni : p->dst_eni;

    return eni && eni->number < self->n_enis ? &self->enis[eni->number] : NULL;
}

/* Of 'all', or of those that have no flow in the service and so will need
 * them. */
static void
fetch_places(const struct security_group *self, const struct hg_batch *batch,
             bool all)
{
    unsigned i;

    for (i = 0; self->inventory && i < batch->n; i++)
        if (all || !batch->p[i]->flow)
            __builtin_prefetch(place_of(self, batch->p[i]));
}

/* Judges packets LOOKUP_MAX at a time. */
static void
judge_compact(struct security_group *self, struct hg_batch *batch,
              int16_t *verdict)
{
    const struct hg_track_key *key[LOOKUP_MAX];
    unsigned at, n, i;

    for (at = 0; at < batch->n; at += n) {
        n = batch->n - at < LOOKUP_MAX ? batch->n - at : LOOKUP_MAX;
        compact_prepare(self, &batch->p[at], n, key);
        for (i = at; i < at + n; i++)
            verdict[i] =
                (int16_t)security_group_packet(self, batch->p[i], key[i - at]);
    }
}

static void
judge_service(struct security_group *self, struct hg_batch *batch,
              int16_t *verdict)
{
    const struct hg_flow_place place = self->place;
    const unsigned n = batch->n;
    unsigned i;

    if (hg_flow_find_batch(self, batch))
        fetch_places(self, batch, false);
    for (i = 0; i < n; i++) {
        struct hg_packet *p = batch->p[i];

        verdict[i] = (int16_t)(service_go_straight(self, &place, p)
                                   ? p->in_port
                                   : security_group_packet(self, p, NULL));
    }
}

static void
security_group_batch(struct security_group *self, struct hg_batch *batch)
{
    int16_t verdict[HG_BATCH_MAX];

    if (self->compact) {
        fetch_places(self, batch, true);
        judge_compact(self, batch, verdict);
    } else {
        judge_service(self, batch, verdict);
    }
    hg_route(self, batch, verdict);
}

/* ---- Configuration ---------------------------------------------------- */

static int16_t
number_or_any(const struct hg_number_list *list)
{
    return list->n ? (int16_t)list->v[0] : HG_RULE_ANY;
}

static bool
add_rule_row(struct security_group *self, size_t g, bool inbound,
             const struct rule_row *row)
{
    struct hg_group_rule rule = {.icmp_type = number_or_any(&row->type),
                                 .icmp_code = number_or_any(&row->code),
                                 .ports = row->ports,
                                 .peers =
                                     inbound ? row->source : row->destination};
    struct hg_error error;

    if (!hg_group_protocol_parse(row->protocol, &rule.protocol))
        return hg_config_error(self, "group", (int)g,
                               "'%s' is no protocol; write tcp, udp, icmp, "
                               "icmpv6, all or a number up to 255",
                               row->protocol);
    if (!hg_groups_add_rule(self->rules, self->group.row[g].id,
                            inbound ? HG_GROUP_INBOUND : HG_GROUP_OUTBOUND,
                            &rule, &error))
        return hg_config_error(self, "group", (int)g, "%s rule: %s",
                               inbound ? "inbound" : "outbound", error.text);
    return true;
}

/* What a group holds that says nothing of it. */
static bool
add_standard_rules(struct security_group *self, size_t g)
{
    struct group_row *row = &self->group.row[g];
    char *anywhere[] = {(char[]){"0.0.0.0/0"}, (char[]){"::/0"}};
    char *own[] = {(char[]){"self"}};
    struct rule_row all = {.protocol = (char[]){"all"},
                           .destination = {2, anywhere},
                           .source = {1, own}};
    bool ok = true;

    if (row->allow_all_outbound && !row->outbound.n)
        ok = add_rule_row(self, g, false, &all);
    if (row->default_of && !row->inbound.n)
        ok = add_rule_row(self, g, true, &all) && ok;
    return ok;
}

static bool
add_groups(struct security_group *self)
{
    struct hg_error error;
    bool ok = true;
    size_t i, k;

    for (i = 0; i < self->group.n; i++)
        if (!hg_groups_add(self->rules, self->group.row[i].id,
                           self->group.row[i].default_of, &error))
            ok = hg_config_error(self, "group", (int)i, "%s", error.text);
    for (i = 0; i < self->prefix_list.n; i++)
        if (!hg_groups_add_prefix_list(
                self->rules, self->prefix_list.row[i].id,
                &self->prefix_list.row[i].entries, &error))
            ok =
                hg_config_error(self, "prefix_list", (int)i, "%s", error.text);
    for (i = 0; ok && i < self->group.n; i++) {
        struct group_row *row = &self->group.row[i];

        for (k = 0; k < row->inbound.n; k++)
            ok &= add_rule_row(self, i, true, &row->inbound.row[k]);
        for (k = 0; k < row->outbound.n; k++)
            ok &= add_rule_row(self, i, false, &row->outbound.row[k]);
        ok &= add_standard_rules(self, i);
    }
    return ok;
}

/* Where the mistakes of a file go. */
static void
report_mistake(void *self, const char *text)
{
    hg_config_error(self, "file", -1, "%s", text);
}

static bool
add_file_row(void *self, struct hg_table_row *row, struct hg_error *error)
{
    static const char *const columns[RULE_WORDS] = {
        "group", "direction", "protocol", "service", "peer"};
    const char *words[RULE_WORDS] = {NULL};
    size_t i, k;

    for (i = 0; i < row->n; i++) {
        for (k = 0; k < RULE_WORDS && strcmp(row->name[i], columns[k]); k++)
            ;
        row->at = i;
        if (k == RULE_WORDS)
            return hg_error_set(error,
                                "there is no column '%s'; those are group, "
                                "direction, protocol, service and peer",
                                row->name[i]);
        words[k] = row->value[i];
    }
    for (k = 0; k < RULE_WORDS; k++)
        if (!words[k] || !*words[k])
            return hg_error_set(error, "it has no %s", columns[k]);
    return add_rule_words(self, words, error);
}

/* The rules of the groups; those of the first instance serve all. */
static bool
make_rules(struct security_group *self)
{
    struct security_group *kin = hg_kin(self);
    bool ok;
    size_t i;

    self->is_borrower = kin != NULL;
    if (kin) {
        self->rules = kin->rules;
        return true;
    }
    self->rules = hg_groups_create();
    ok = add_groups(self);
    if (ok && self->file)
        ok = hg_table_read(self->file, add_file_row, report_mistake, self);
    for (i = 0; i < self->groups.n; i++)
        if (!hg_groups_has(self->rules, self->groups.v[i]))
            ok = hg_config_error(self, "groups", (int)i,
                                 "there is no group '%s' in this element",
                                 self->groups.v[i]);
    return ok;
}

static bool
security_group_configure(void *self_)
{
    struct security_group *self = self_;
    bool ok;

    self->cover[0] = self->cover[1] = HG_RULE_COVER_NONE;
    hg_rule_cover_add_list(&self->cover[0], &self->unfiltered, 4);
    hg_rule_cover_add_list(&self->cover[1], &self->unfiltered, 6);
    self->timeout[TCP_OPENING] = self->tcp_opening_timeout.ns;
    self->timeout[TCP_ESTABLISHED] = self->tcp_established_timeout.ns;
    self->timeout[TCP_CLOSING] = self->tcp_closing_timeout.ns;
    self->timeout[UDP_SINGLE] = self->udp_timeout.ns;
    self->timeout[UDP_STREAM] = self->udp_stream_timeout.ns;
    self->timeout[ICMP_QUERY] = self->icmp_timeout.ns;
    self->timeout[OTHER] = self->other_timeout.ns;
    self->denied_side = hg_metadata(self, HG_DENIED_META, 1);
    ok = make_rules(self) && self->denied_side >= 0;
    if (self->max_per_eni) /* An ENI's flows are with all workers. */
        hg_one_worker(self);
    if (hg_option_given(self, "max_flows"))
        hg_flow_limit(self, self->max_flows);
    return hg_flow_declare(self, sizeof(struct sg_flow)) && ok;
}

static bool
check_inventory(const struct security_group *self, struct hg_error *error)
{
    size_t i, k;

    for (i = 0; i < hg_inventory_n_enis(self->inventory); i++) {
        const struct hg_eni *eni = hg_inventory_eni_at(self->inventory, i);

        for (k = 0; eni && k < eni->details->security_group.n; k++)
            if (!hg_groups_has(self->rules, eni->details->security_group.v[k]))
                return hg_error_set(error,
                                    "ENI '%s' has group '%s', which is not "
                                    "here; add 'group %s { ... }'",
                                    eni->id, eni->details->security_group.v[k],
                                    eni->details->security_group.v[k]);
    }
    return true;
}

static bool
security_group_start(void *self_, struct hg_error *error)
{
    struct security_group *self = self_;
    char *const *ids = self->groups.v;
    size_t n = self->groups.n;

    self->inventory = hg_service(self, self->mapping, "inventory");
    if (self->inventory && !check_inventory(self, error))
        return false;
    if (!self->inventory && !n) {
        if (self->group.n != 1)
            return hg_error_set(error, "which groups apply is not said; add "
                                       "'groups = { ... }' or a "
                                       "MappingService");
        ids = &self->group.row[0].id;
        n = 1;
    }
    self->default_set = hg_groups_set(self->rules, self->inventory, ids, n);
    self->place = hg_flow_place(self);
    self->fragments = hg_fragment_table_create(MAX_FRAGMENTS, FRAGMENT_TIMEOUT,
                                               hg_seed(self));
    if (!self->fragments)
        return hg_error_set(error, "out of memory");
    return self->table != TABLE_COMPACT || compact_start(self, error);
}

static void
security_group_settle(void *self_)
{
    struct security_group *self = self_;

    hg_groups_settle(self->rules);
}

/* What is said in the end does not depend on how late the hand is. */
static void
security_group_stop(void *self_)
{
    struct security_group *self = self_;

    if (self->compact)
        expire_all(self, hg_now(self));
}

static void
security_group_free(void *self_)
{
    struct security_group *self = self_;

    hg_fragment_table_destroy(self->fragments);
    compact_free(self);
    if (!self->is_borrower)
        hg_groups_destroy(self->rules);
    free(self->enis);
    free(self->more);
}

/* clang-format off */
#define RULE_FIELDS                                                           \
    HG_ROW_OPTION(struct rule_row, protocol, .def = "all",                    \
                  .doc = "tcp, udp, icmp, icmpv6, all or a number"),          \
    HG_ROW_OPTION(struct rule_row, ports,                                     \
                  .doc = "destination ports of tcp and udp; all if none"),    \
    HG_ROW_OPTION(struct rule_row, type, .max = 255, .max_n = 1,              \
                  .doc = "ICMP type; any if not given"),                      \
    HG_ROW_OPTION(struct rule_row, code, .max = 255, .max_n = 1,              \
                  .doc = "ICMP code; any if not given")

static const struct hg_field inbound_fields[] = {
    RULE_FIELDS,
    HG_ROW_OPTION(struct rule_row, source, .required = true, .min_n = 1,
                  .doc = "address blocks, groups, prefix lists or 'self'")};

static const struct hg_field outbound_fields[] = {
    RULE_FIELDS,
    HG_ROW_OPTION(struct rule_row, destination, .required = true, .min_n = 1,
                  .doc = "address blocks, groups, prefix lists or 'self'")};

static const struct hg_field group_fields[] = {
    HG_ROW_OPTION(struct group_row, id, .title = true, .required = true,
                  .doc = "id of the group"),
    HG_ROW_OPTION(struct group_row, default_of,
                  .doc = "VPC whose ENIs without groups have this one; lets "
                         "its members in unless it has inbound rules"),
    HG_ROW_OPTION(struct group_row, allow_all_outbound, .def = "true",
                  .doc = "without outbound rules, let everything out"),
    HG_ROW_ROWS(struct group_row, inbound, inbound_fields,
                .doc = "what may come in"),
    HG_ROW_ROWS(struct group_row, outbound, outbound_fields,
                .doc = "what may go out")};

static const struct hg_field list_fields[] = {
    HG_ROW_OPTION(struct list_row, id, .title = true, .required = true,
                  .doc = "id of the prefix list"),
    HG_ROW_OPTION(struct list_row, entries, .required = true,
                  .doc = "its address blocks")};

HG_BATCH_ELEMENT(SecurityGroup, struct security_group, security_group_batch,
    .summary = "filters at network interfaces by security groups, statefully",
    .doc =
        "Packets that leave an instance enter and leave by \"egress\", packets "
        "to an instance by \"ingress\".  A packet that goes from one instance "
        "to another passes both, for the groups of both.\n\n"
        "Rules only allow; all rules of all groups of an interface count, in "
        "no order; what none allows leaves on \"deny\" or is dropped.  A "
        "packet of a connection that is tracked passes whatever the rules say "
        "by now: taking a rule away does not cut it.  Not tracked are TCP and "
        "UDP flows that a rule allows from (to) any address while a rule of "
        "the other direction allows all ports to (from) any address; these "
        "stop with the rule.  Whether a flow is tracked is decided by its "
        "first packet.\n\n"
        "ICMP queries are tracked, so that their answers pass; other ICMP "
        "needs a rule, also errors about tracked flows (unless "
        "'related-icmp-errors').  Other protocols are tracked by addresses, "
        "and answers pass for 'other-timeout' after the last request.  A TCP "
        "packet that a rule allows is tracked even if it opens no connection. "
        "Sequence numbers are not checked.\n\n"
        "Never filtered are the addresses of 'unfiltered', each subnet's "
        "router (its second address), the VPC's resolver (the third), and "
        "DHCP to everybody.  Later fragments of IPv4 pass if the first did "
        "within 30 seconds; those of IPv6, and those that overtake the first, "
        "match only rules without ports.\n\n"
        "A rule that refers to a group matches the private addresses of its "
        "members, but not what comes from an ENI that is no member.  Flows "
        "that have run out may count toward 'max-per-eni' for a second "
        "more.\n\n"
        "Option table says where tracked flows are.  flow-service: in records "
        "that NAT, NLB and the other elements share, which find them once for "
        "all, and in which NACL and RouteTable remember what they decided; "
        "right for a router that has these, too.  compact: in a table of the "
        "element's own, for millions of flows at 16 bytes each, a quarter of "
        "what a record takes; right where the groups stand alone.  The "
        "compact table differs so:\n\n"
        "A flow ends up to 17 ms late if its timeout is at most 73 s, else by "
        "up to a 2,100th of it; never too early.  Each interface that a flow "
        "passes counts toward max-flows, and a flow that nobody answered on "
        "one side can be pushed out there only.  IPv6, packets from an "
        "endpoint to itself, and interfaces beyond two million are in the "
        "flow service even so, and have max-flows of their own.",
    .reproduces =
        "security groups: all rules of all groups of an ENI, references "
        "to groups and prefix lists, tracked, untracked and always "
        "tracked flows, timeouts and their ranges, what a rule that "
        "goes means for either, the limit of an ENI",
    .leaves_out =
        "the limits of each instance type, which are not public; "
        "references over peering and transit gateways, where an ENI of "
        "another VPC is no member; stale rules",
    .lets_choose =
        "whether ICMP errors about tracked flows pass without a rule, "
        "ICMP's timeout, and the order of eviction (all unverified in "
        "public documents); the limits; the addresses that are not "
        "filtered",
    .example =
        "Interface     inside  { }\n"
        "Interface     outside { }\n"
        "SecurityGroup groups {\n"
        "    group sg-web {\n"
        "        inbound { protocol = tcp  ports = { 80, 443 }\n"
        "                  source = { 0.0.0.0/0, ::/0 } }\n"
        "        inbound { protocol = tcp  ports = 22\n"
        "                  source = 10.0.0.0/8 }\n"
        "        inbound { protocol = icmp  type = 3  code = 4\n"
        "                  source = 0.0.0.0/0 }\n"
        "    }\n"
        "}\n"
        "connect(\"inside -> CheckIP -> [egress]groups[egress] -> outside\")\n"
        "connect(\"outside -> CheckIP -> [ingress]groups[ingress] -> inside\")"
        "\n",
    .flags = HG_CLASS_KEEPS_FLOW | HG_CLASS_STRAIGHT, .owner = hg_flow_owner,
    .inputs = "egress ingress", .outputs = "egress ingress deny?",
    .needs = "ip",
    .configure = security_group_configure,
    .start = security_group_start,
    .settle = security_group_settle,
    .stop = security_group_stop,
    .free = security_group_free,
    .flow_expired = security_group_flow_expired,
    .handlers = HG_HANDLERS(
        {.name = "flows", .read = read_flows,
         .doc = "tracked flows, one JSON object a line; =ENI for one ENI"},
        {.name = "count", .read = read_count,
         .doc = "how many flows are tracked; =ENI for one ENI"},
        {.name = "delete", .write = write_delete,
         .doc = "forget the tracked flows of an ENI, or 'all'"},
        {.name = "rules", .read = read_rules,
         .doc = "all rules, one JSON object a line"},
        {.name = "add-rule", .write = write_add_rule,
         .doc = "'GROUP inbound tcp 443 10.0.0.0/8'"},
        {.name = "remove-rule", .write = write_remove_rule,
         .doc = "remove the rule of this number"}),
    .fields = HG_FIELDS(
        HG_OPTION(mapping, .cls = "MappingService",
                  .doc = "who knows the ENIs; the only one if not given"),
        HG_ROWS(group, group_fields, .required = true, .min_n = 1,
                .doc = "a security group"),
        HG_ROWS(prefix_list, list_fields, .doc = "a named list of blocks"),
        HG_OPTION(file,
                  .doc = "more rules: CSV with the columns group, direction, "
                         "protocol, service and peer, or JSON"),
        HG_OPTION(groups,
                  .doc = "groups of ENIs that have none, and of everything "
                         "without a MappingService; the only one if there is "
                         "but one"),
        HG_OPTION(unknown_eni, .choices = "deny pass", .def = "deny",
                  .doc = "what to do with packets of no known ENI"),
        HG_OPTION(unfiltered,
                  .def = "169.254.169.253/32 169.254.169.254/32 "
                         "169.254.169.123/32 169.254.170.2/32 "
                         "169.254.169.250/31 fd00:ec2::/32",
                  .doc = "services that no group filters: resolver, instance "
                         "and task metadata, time, licence activation"),
        HG_OPTION(always_tracked,
                  .doc = "addresses whose flows are tracked whatever the "
                         "rules: load balancers, NAT gateways, endpoints"),
        HG_OPTION(related_icmp_errors, .live = true,
                  .doc = "let ICMP errors about tracked flows pass"),
        HG_OPTION(tcp_established_timeout, .def = "5d", .min = 60 * HG_SEC,
                  .max = 432000 * HG_SEC,
                  .doc = "idle TCP connections are forgotten"),
        HG_OPTION(tcp_opening_timeout, .def = "60s", .min = HG_SEC,
                  .max = HG_HOUR, .doc = "TCP before the handshake is done"),
        HG_OPTION(tcp_closing_timeout, .def = "10s", .min = HG_SEC,
                  .max = HG_HOUR, .doc = "TCP after RST or FIN both ways"),
        HG_OPTION(udp_timeout, .def = "30s", .min = 30 * HG_SEC,
                  .max = 60 * HG_SEC,
                  .doc = "UDP in one direction or of one request and answer"),
        HG_OPTION(udp_stream_timeout, .def = "180s", .min = 60 * HG_SEC,
                  .max = 180 * HG_SEC, .doc = "UDP of more than one exchange"),
        HG_OPTION(icmp_timeout, .def = "60s", .min = HG_SEC, .max = HG_HOUR,
                  .doc = "ICMP queries"),
        HG_OPTION(other_timeout, .def = "600s", .min = HG_SEC, .max = HG_DAY,
                  .doc = "other protocols, since the last request"),
        HG_OPTION(table, .def = "flow-service",
                  .choices = "flow-service compact",
                  .doc = "where tracked flows are; see above"),
        HG_OPTION(max_flows, .def = "1048576", .min = 1,
                  .max = UINT32_MAX / 4,
                  .doc = "flows tracked in all; connections not yet answered "
                         "give way to new ones"),
        HG_OPTION(max_per_eni,
                  .doc = "flows tracked for one ENI; 0: no such limit"),
        HG_GAUGE(tracked, .doc = "flows tracked, one for each ENI passed"),
        HG_COUNTER(opened, .doc = "flows that began to be tracked"),
        HG_COUNTER(untracked, .doc = "packets allowed without tracking"),
        HG_COUNTER(bypassed, .doc = "packets that no group filters"),
        HG_COUNTER(rejected, .doc = "packets that no rule allows"),
        HG_COUNTER(related, .doc = "ICMP errors let in for their flow"),
        HG_COUNTER(evicted, .doc = "flows not yet answered that gave way to "
                                   "new ones"),
        HG_REASON(not_ip, .doc = "not IP"),
        HG_REASON(denied, .doc = "no rule allows it, \"deny\" unwired"),
        HG_REASON(no_eni, .doc = "of no known ENI"),
        HG_REASON(conntrack_allowance_exceeded,
                  .doc = "new flow of an ENI that tracks its maximum"),
        HG_REASON(table_full, .doc = "new flow, but no room to track it")))
/* clang-format on */
