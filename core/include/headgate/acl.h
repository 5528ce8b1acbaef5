/* headgate/acl.h: the numbered rule lists of network ACLs.
 *
 * An ACL has two lists; a set holds ACLs by name.  A list holds the rules of
 * one direction in ascending order of their numbers
 * and, compiled, a table of rules.h over them.  What the words of a rule
 * mean is here, so that graph files, tables and handlers share it.
 *
 * Thread-safety: belongs to one worker; sets that borrow compiled tables
 * (hg_acl_set_borrow) may be asked on other threads while nobody changes the
 * lender. */
#ifndef HEADGATE_ACL_H
#define HEADGATE_ACL_H 1

#include <stdio.h>

#include <headgate/rules.h>
#include <headgate/table_file.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Amazon VPC User Guide, "Network ACLs". */
#define HG_ACL_NUMBER_MAX 32766
#define HG_ACL_NUMBER_LAST4 32767 /* Of the final deny, IPv4. */
#define HG_ACL_NUMBER_LAST6 32768

enum hg_acl_direction { HG_ACL_INBOUND, HG_ACL_OUTBOUND };

struct hg_acl_rule {
    uint64_t packets; /* That it decided. */
    uint16_t number;
    bool allow;
    int16_t protocol;           /* 0-255 or HG_RULE_ANY. */
    struct hg_prefix cidr;      /* Source inbound, destination outbound. */
    struct hg_port_range ports; /* Destination ports. */
    int16_t icmp_type;          /* 0-255 or HG_RULE_ANY. */
    int16_t icmp_code;
    bool has_action;
};

/* Behind its rules a compiled list has the final deny, whose number is that of
 * IPv4. */
struct hg_acl_list {
    size_t n; /* Without it. */
    struct hg_acl_rule *rule;
    struct hg_rules *table;
};

HG_API void hg_acl_rule_init(struct hg_acl_rule *);

/* Sets what 'name' says: number, action, protocol (a name, a number, or all
 * or -1), cidr, ports, icmp-type, icmp-code (a number, or any or -1); false,
 * and why. */
HG_API bool hg_acl_rule_set(struct hg_acl_rule *, const char *name,
                            const char *text, struct hg_error *);

/* Whether the rule is whole: number, action and CIDR are given, ports only
 * with TCP or UDP, an ICMP type only with ICMP, a code only with a type. */
HG_API bool hg_acl_rule_check(const struct hg_acl_rule *, struct hg_error *);

/* One JSON object without an end of line; 'acl' is the list's name. */
HG_API void hg_acl_rule_print(const struct hg_acl_rule *, const char *acl,
                              enum hg_acl_direction, FILE *out);

/* Adds a rule in its place, or replaces the one of its number; false, and
 * why, if its number is taken or, replacing, not there.  Compile next. */
HG_API bool hg_acl_list_add(struct hg_acl_list *, const struct hg_acl_rule *,
                            struct hg_error *);
HG_API bool hg_acl_list_replace(struct hg_acl_list *,
                                const struct hg_acl_rule *, struct hg_error *);
HG_API bool hg_acl_list_remove(struct hg_acl_list *, uint16_t number,
                               struct hg_error *);

/* Makes the table; its rules' indices are those of the list. */
HG_API void hg_acl_list_compile(struct hg_acl_list *, enum hg_acl_direction);
HG_API void hg_acl_list_uninit(struct hg_acl_list *);

/* ---- Sets of ACLs ----------------------------------------------------- */

struct hg_acl {
    char *name;
    struct hg_acl_list list[2]; /* By direction. */
};

/* What is exempt has one of these: of an address the first word. */
struct hg_acl_exempt {
    struct hg_rule_cover src;
    struct hg_rule_cover dst;
    struct hg_rule_cover sport; /* Where neither address says it. */
};

struct hg_acl_set {
    size_t n;
    struct hg_acl *acl;
    struct hg_rule *exempt; /* What no list is asked about. */
    size_t n_exempt;
    struct hg_rules *exempt_table;
    struct hg_acl_exempt looks[2]; /* Of IPv4 and IPv6. */
    uint32_t quota; /* Rules by direction and family, final deny included. */
    const struct hg_acl_set *lender; /* Whose compiled tables these are, or
                                      * NULL: its own. */
};

#define HG_ACL_NONE UINT32_MAX

HG_API void hg_acl_set_uninit(struct hg_acl_set *);
HG_API void hg_acl_set_exempt(struct hg_acl_set *, const struct hg_rule *);

/* Whether a key of these words looks like one that is exempt (1 or 0), in a
 * compiled set; hardly any looks so without being one. */
static inline uint32_t
hg_acl_looks_exempt(const struct hg_acl_exempt *look, uint32_t src,
                    uint32_t dst, uint32_t sport)
{
    return hg_rule_cover_has(&look->src, src) |
           hg_rule_cover_has(&look->dst, dst) |
           hg_rule_cover_has(&look->sport, sport);
}

/* Whether a rule that was given there matches. */
static inline bool
hg_acl_set_exempts(const struct hg_acl_set *set, const struct hg_rule_key *key)
{
    return hg_acl_looks_exempt(&set->looks[key->family == 6],
                               key->at[HG_RULE_SRC], key->at[HG_RULE_DST],
                               key->at[HG_RULE_SPORT]) &&
           hg_rules_any(set->exempt_table, key);
}

/* The number of an ACL by name, or HG_ACL_NONE. */
HG_API uint32_t hg_acl_set_find(const struct hg_acl_set *, const char *name);

/* Adds one without rules and returns its number; HG_ACL_NONE, and why, if the
 * name is taken or has other than letters, digits, '-', '_' and '.'. */
HG_API uint32_t hg_acl_set_add(struct hg_acl_set *, const char *name,
                               struct hg_error *);

/* Adds a rule that is checked and within the quota.  Compile next. */
HG_API bool hg_acl_set_add_rule(struct hg_acl_set *, uint32_t acl,
                                enum hg_acl_direction,
                                const struct hg_acl_rule *, struct hg_error *);

/* Adds the rules of a VPC's own default ACL: 100 allows all IPv4, 101 all
 * IPv6, both ways. */
HG_API void hg_acl_set_add_defaults(struct hg_acl_set *, uint32_t acl);

/* Makes the tables of all lists and of what is exempt. */
HG_API void hg_acl_set_compile(struct hg_acl_set *);

/* Makes an empty set one with the rules of 'lender', which is compiled and
 * outlives it: with counts of its own, and with the lender's tables.  A change
 * (below) is made to the lender first, and then, before anything else, to all
 * that borrow from it. */
HG_API void hg_acl_set_borrow(struct hg_acl_set *,
                              const struct hg_acl_set *lender);

/* Adds the rules of a file (table_file.h) with the columns acl ("default" if
 * empty), direction and those of hg_acl_rule_set(). */
HG_API bool hg_acl_set_read(struct hg_acl_set *, const char *path,
                            hg_table_mistake_fn *, void *aux);

/* Adds to this ACL, in both directions, the rules of a file in ClassBench's
 * format (rules.h), which are numbered by their order and allow.  Inbound they
 * ask for their source, outbound for their destination, and in both for
 * protocol and destination ports; what else they say is not a network ACL's
 * to ask. */
HG_API bool hg_acl_set_read_classbench(struct hg_acl_set *, uint32_t acl,
                                       const char *path, struct hg_error *);

/* Changes a compiled set by text, at once:
 *     ACL inbound|outbound NUMBER name=value ... */
enum hg_acl_change { HG_ACL_ADD, HG_ACL_REPLACE, HG_ACL_REMOVE };

HG_API bool hg_acl_set_change(struct hg_acl_set *, enum hg_acl_change,
                              const char *text, struct hg_error *);

/* All rules, of all ACLs or ("" being all) of one, a JSON object a line. */
HG_API bool hg_acl_set_print(const struct hg_acl_set *, const char *name,
                             FILE *out, struct hg_error *);

#ifdef __cplusplus
}
#endif
#endif
