/* headgate/group_rules.h: the rules of security groups, compiled for the
 * groups that an interface carries.
 *
 * Groups hold inbound and outbound rules, which only allow.  A rule's peers
 * are prefixes, prefix lists, and groups, which stand for the private
 * addresses of the ENIs that carry them and follow the inventory.  What
 * applies to an ENI is the union of its groups: a set.
 *
 *     groups = hg_groups_create();
 *     hg_groups_add(groups, "sg-web", NULL, &error);
 *     hg_groups_add_rule(groups, "sg-web", HG_GROUP_INBOUND, &rule, &error);
 *     set = hg_groups_set(groups, inventory, ids, n);
 *     verdict = hg_group_set_verdict(set, HG_GROUP_INBOUND, &key, own,
 *                                   peer);
 *
 * Thread-safety: changes need it alone.  After hg_groups_settle(), until a
 * change of rules or of the inventory, several threads may ask for sets and
 * for verdicts together: a set is compiled once, by the first who needs it. */
#ifndef HEADGATE_GROUP_RULES_H
#define HEADGATE_GROUP_RULES_H 1

#include <stdio.h>

#include <headgate/inventory.h>
#include <headgate/rules.h>

#ifdef __cplusplus
extern "C" {
#endif

enum hg_group_direction { HG_GROUP_INBOUND, HG_GROUP_OUTBOUND };

/* What a rule says.  'ports' empty: all; for TCP and UDP only.  ICMP type and
 * code are HG_RULE_ANY or 0-255; for ICMP and ICMPv6 only.  A peer is an
 * address block, "self", a prefix list or a group, perhaps with its account
 * before it ("123456789012/sg-1"). */
struct hg_group_rule {
    int16_t protocol; /* 0-255 or HG_RULE_ANY. */
    int16_t icmp_type;
    int16_t icmp_code;
    struct hg_port_range_list ports;
    struct hg_string_list peers;
};

struct hg_groups;
struct hg_group_set;

HG_API struct hg_groups *hg_groups_create(void);
HG_API void hg_groups_destroy(struct hg_groups *);

/* False, and why: there is one of that id.  'default_of', or NULL, is the VPC
 * whose ENIs are members if they name no group.  All strings are copied. */
HG_API bool hg_groups_add(struct hg_groups *, const char *id,
                          const char *default_of, struct hg_error *);
HG_API bool hg_groups_add_prefix_list(struct hg_groups *, const char *id,
                                      const struct hg_prefix_list *,
                                      struct hg_error *);
HG_API bool hg_groups_has(const struct hg_groups *, const char *id);

/* The id of the VPC's default group, or NULL. */
HG_API const char *hg_groups_default(const struct hg_groups *,
                                     const char *vpc);

/* Adds a rule, whose peers must be there already; returns its number, from 1,
 * or 0 and why. */
HG_API uint32_t hg_groups_add_rule(struct hg_groups *, const char *id,
                                   enum hg_group_direction,
                                   const struct hg_group_rule *,
                                   struct hg_error *);
HG_API bool hg_groups_remove_rule(struct hg_groups *, uint32_t number);

/* All rules as JSON, one object a line. */
HG_API void hg_groups_print(const struct hg_groups *, FILE *out);

/* "tcp", "udp", "icmp", "icmpv6", "all", "-1" or a number. */
HG_API bool hg_group_protocol_parse(const char *text, int16_t *protocol);

/* The union of these groups; unknown ones hold no rules.  The same set for the
 * same ids; it lives as long as 'groups' and is compiled anew when rules or
 * the inventory (which may be NULL) have changed. */
HG_API struct hg_group_set *hg_groups_set(struct hg_groups *,
                                          const struct hg_inventory *,
                                          char *const *ids, size_t n);

/* Before several threads ask: forgets what was compiled before a change, so
 * that nobody compiles what another is just reading. */
HG_API void hg_groups_settle(struct hg_groups *);

/* DENIED: no rule matches.  OPEN: one does whose peer is any address. */
enum hg_group_verdict { HG_GROUP_DENIED, HG_GROUP_ALLOWED, HG_GROUP_OPEN };

/* 'own' is the interface's ENI and 'peer' that at the other end as far as it
 * is known, or NULL: a rule that refers to a group does not match a packet
 * that comes from an ENI outside it, whatever address it has, nor what comes
 * from an ENI of another VPC. */
HG_API enum hg_group_verdict hg_group_set_verdict(struct hg_group_set *,
                                                  enum hg_group_direction,
                                                  const struct hg_rule_key *,
                                                  const struct hg_eni *own,
                                                  const struct hg_eni *peer);

/* Whether one rule allows every port of the protocol (TCP or UDP) from or to
 * every address of the family. */
HG_API bool hg_group_set_all_open(struct hg_group_set *,
                                  enum hg_group_direction, uint8_t family,
                                  uint8_t protocol);

/* Whether any rule has all addresses of the family for its peer: without one,
 * no verdict is OPEN. */
HG_API bool hg_group_set_any_open(struct hg_group_set *,
                                  enum hg_group_direction, uint8_t family);

#ifdef __cplusplus
}
#endif
#endif
