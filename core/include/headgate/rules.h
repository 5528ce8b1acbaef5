/* headgate/rules.h: packet classification by rules.
 *
 * A rule names a family, source and destination prefix, protocol, port ranges
 * and ICMP type and code, each of which may be any.  A table answers which is
 * the first rule of an array that matches a packet:
 *
 *     hg_rule_init(&rule[0]);
 *     rule[0].protocol = HG_PROTO_TCP;
 *     rule[0].dport = (struct hg_port_range){22, 22};
 *     table = hg_rules_create(rule, n, HG_RULES_AUTO);
 *     hg_rule_key_of(p, &key);
 *     i = hg_rules_first(table, &key);
 *
 * Three forms, chosen by number of rules and by what the machine has:
 *
 *   scan   With AVX2 eight rules at once for 32 keys: each half byte of a key
 *          is looked up in a table of which rules allow it, as Teddy does for
 *          strings (Hyperscan: Wang et al., NSDI 2019).  Else one rule after
 *          the other, each for up to 32 keys.  For a single key sixteen rules.
 *   trees  Each node chooses a child by a few bits of one field of the key, as
 *          in HyperCuts (Singh et al., SIGCOMM 2003) and ByteCuts (Daly and
 *          Torng, INFOCOM 2018); leaves are scans of sixteen rules.  A rule
 *          that many children would need is left for a tree of its own, as in
 *          EffiCuts (Vamanan et al., SIGCOMM 2010); there are at most four.
 *   bits   Bit vectors (Lakshman and Stiliadis, SIGCOMM 1998).  Each dimension
 *          is cut into the intervals in which the same rules match; a lookup
 *          finds the interval of each and intersects their vectors.  Rules are
 *          taken in groups of HG_RULES_GROUP, so that memory grows with the
 *          number of rules and not with its square.
 *
 * Protocol and destination port, or ICMP type and code, are one number, the
 * service; a rule is a range of it, or two if it names ports of any protocol.
 * Where no rule of a scan or of trees asks for the other address or a source
 * port, those are not compared.
 *
 * The worst case is bounded.  Trees that would take more than
 * HG_RULES_TREE_BYTES a rule, or whose leaves are so large that bit vectors
 * are faster, are given up for bit vectors.  Those cost, at worst, a binary
 * search in each dimension and a walk over the vectors for each group: less
 * than a scan.
 *
 * A table never changes; who changes rules makes a new one.
 *
 * Thread-safety: lookups may run together. */
#ifndef HEADGATE_RULES_H
#define HEADGATE_RULES_H 1

#include <headgate/packet.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HG_RULE_ANY (-1)
#define HG_RULES_NONE UINT32_MAX
#define HG_RULES_GROUP 2048
#define HG_RULES_TREE_BYTES 1024

/* Everything that is given must match.  A port range other than 0-65535
 * matches only packets that have ports (TCP, UDP), and an ICMP type only those
 * that have one (ICMP over IPv4, ICMPv6 over IPv6): neither matches a later
 * fragment.  A rule with both never matches. */
struct hg_rule {
    uint8_t family;       /* 4, 6, or 0 for both. */
    struct hg_prefix src; /* addr.family 0: any address. */
    struct hg_prefix dst; /* The same. */
    int16_t protocol;     /* 0-255 or HG_RULE_ANY. */
    struct hg_port_range sport;
    struct hg_port_range dport;
    int16_t icmp_type; /* 0-255 or HG_RULE_ANY. */
    int16_t icmp_code; /* The same; given only with a type. */
};

/* What is looked up, as the words that tables search in.  Made by the
 * functions below. */
enum {
    HG_RULE_SRC = 0, /* Four words, the high one first, in host order; */
    HG_RULE_DST = 4, /* IPv4: the first only. */
    HG_RULE_SPORT = 8,
    HG_RULE_SERVICE, /* Protocol, times HG_RULE_PROTOCOL, plus destination
                      * port; HG_RULE_ICMP + type * 256 + code; or
                      * HG_RULE_NO_SERVICE. */
    HG_RULE_WORDS
};

enum {
    HG_RULE_NO_PORT = 0x10000,
    HG_RULE_ICMP = 0x10000,
    HG_RULE_NO_SERVICE = 0x20000,
    HG_RULE_PROTOCOL = 0x40000
};

struct hg_rule_key {
    uint32_t at[HG_RULE_WORDS];
    uint8_t family; /* 4 or 6; 0 matches no rule. */
};

/* A rule that matches every IP packet. */
HG_API void hg_rule_init(struct hg_rule *);

/* The key of a packet: ports of TCP and UDP, type and code of ICMP and ICMPv6;
 * neither for later fragments and headers that are cut.  A packet that is not
 * IP gets family 0. */
HG_API void hg_rule_key_of(const struct hg_packet *, struct hg_rule_key *);

/* A key from values; without ports or ICMP.  The addresses are of one
 * family. */
HG_API void hg_rule_key_init(struct hg_rule_key *, const struct hg_addr *src,
                             const struct hg_addr *dst, uint8_t protocol);

static inline uint8_t
hg_rule_key_protocol(const struct hg_rule_key *key)
{
    return (uint8_t)(key->at[HG_RULE_SERVICE] / HG_RULE_PROTOCOL);
}

static inline void
hg_rule_key_set_service(struct hg_rule_key *key, uint32_t sport,
                        uint32_t service)
{
    key->at[HG_RULE_SPORT] = sport;
    key->at[HG_RULE_SERVICE] =
        (key->at[HG_RULE_SERVICE] & ~(HG_RULE_PROTOCOL - 1u)) + service;
}

/* For a key of TCP or UDP. */
static inline void
hg_rule_key_set_ports(struct hg_rule_key *key, uint16_t sport, uint16_t dport)
{
    hg_rule_key_set_service(key, sport, dport);
}

/* For a key of ICMP over IPv4 or ICMPv6 over IPv6. */
static inline void
hg_rule_key_set_icmp(struct hg_rule_key *key, uint8_t type, uint8_t code)
{
    hg_rule_key_set_service(key, HG_RULE_NO_PORT,
                            HG_RULE_ICMP + type * 256u + code);
}

/* Some keys, word by word, as they are looked up together: word w of key i is
 * at[w][i].  What is not IPv6 has only the words that IPv4 uses. */
enum { HG_RULE_KEYS = 64 };

struct hg_rule_keys {
    uint32_t at[HG_RULE_WORDS][HG_RULE_KEYS] __attribute__((aligned(64)));
    uint8_t family[HG_RULE_KEYS];
    unsigned n;
    unsigned families; /* Bit f: there is one of family f. */
};

/* The keys of n packets, at most HG_RULE_KEYS. */
HG_API void hg_rule_keys_of(struct hg_packet *const *, unsigned n,
                            struct hg_rule_keys *);

/* The same of n keys. */
HG_API void hg_rule_keys_set(struct hg_rule_keys *, const struct hg_rule_key *,
                             unsigned n);

/* One of them. */
HG_API struct hg_rule_key hg_rule_keys_get(const struct hg_rule_keys *,
                                           unsigned i);

/* The key of the answer to a packet with this key. */
HG_API struct hg_rule_key hg_rule_key_reversed(const struct hg_rule_key *);

/* The rule alone, for tests and for who has but one. */
HG_API bool hg_rule_matches(const struct hg_rule *,
                            const struct hg_rule_key *);

/* Numbers that begin with the same bits, to tell most of what is not in a list
 * by one comparison. */
struct hg_rule_cover {
    uint32_t bits;
    uint32_t mask;
};

#define HG_RULE_COVER_NONE ((struct hg_rule_cover){1, 0})

/* 1 or 0: many are asked without a branch. */
static inline uint32_t
hg_rule_cover_has(const struct hg_rule_cover *c, uint32_t number)
{
    return (number & c->mask) == c->bits;
}

/* Makes it one with all numbers between these two; with the first words of
 * all addresses of a family in these blocks. */
HG_API void hg_rule_cover_add(struct hg_rule_cover *, uint32_t low,
                              uint32_t high);
HG_API void hg_rule_cover_add_list(struct hg_rule_cover *,
                                   const struct hg_prefix_list *,
                                   uint8_t family);

struct hg_rules;

enum hg_rules_form {
    HG_RULES_AUTO,
    HG_RULES_SCAN,
    HG_RULES_TREES, /* Where their memory is within bounds, else bits. */
    HG_RULES_BITS
};

/* A table of n rules, which are copied.  Never NULL (memory running out ends
 * the program); hg_rules_destroy(NULL) does nothing. */
HG_API struct hg_rules *hg_rules_create(const struct hg_rule *, size_t n,
                                        enum hg_rules_form);
HG_API void hg_rules_destroy(struct hg_rules *);

/* The index of the first rule that matches, or HG_RULES_NONE. */
HG_API uint32_t hg_rules_first(const struct hg_rules *,
                               const struct hg_rule_key *);

/* The first one from index 'from' on: walks over all that match. */
HG_API uint32_t hg_rules_next(const struct hg_rules *,
                              const struct hg_rule_key *, uint32_t from);

/* hg_rules_first() for those n keys whose numbers are in 'which', ascending;
 * what memory a key needs is fetched while others are looked at.  index[i]
 * becomes that of key i, hg_rules_count() if no rule matches; those of keys
 * not asked for may change, too. */
HG_API void hg_rules_first_batch(const struct hg_rules *,
                                 const struct hg_rule_keys *, unsigned n,
                                 const uint8_t *which,
                                 uint32_t index[HG_RULE_KEYS]);

/* Whether any rule matches. */
static inline bool
hg_rules_any(const struct hg_rules *t, const struct hg_rule_key *key)
{
    return hg_rules_first(t, key) != HG_RULES_NONE;
}

HG_API size_t hg_rules_count(const struct hg_rules *);

/* Memory in bytes. */
HG_API size_t hg_rules_bytes(const struct hg_rules *);

/* Which form the rules of a family (4 or 6) have and for which processor it
 * is, in words such as "2 trees, avx512"; cut to 'size'.  Returns 'text'. */
HG_API const char *hg_rules_describe(const struct hg_rules *, uint8_t family,
                                     char *text, size_t size);

/* For tests and measurements: the instructions that tables made from now on
 * use, on all threads; false, and nothing changes, if this machine has not
 * got them.  All variants find the same.  HG_RULES_BEST, the default, is the
 * last one that the machine has. */
enum hg_rules_variant {
    HG_RULES_BEST,
    HG_RULES_PLAIN,
    HG_RULES_AVX2,
    HG_RULES_AVX512
};

HG_API bool hg_rules_use(enum hg_rules_variant);

/* Reads rules in the format of ClassBench (Taylor and Turner, IEEE/ACM ToN
 * 15(3), 2007), one a line:
 *     @10.0.0.0/8 192.0.2.1/32 0 : 65535 22 : 22 0x06/0xFF 0x0000/0x0000
 * The last column, TCP flags, need not be there and must be well formed, but
 * rules here know no flags.  Fills *rules (the caller frees it) and *n; or
 * returns false, with "FILE:LINE:COLUMN: why". */
HG_API bool hg_rules_read_classbench(const char *path, struct hg_rule **rules,
                                     size_t *n, struct hg_error *);

#ifdef __cplusplus
}
#endif
#endif
