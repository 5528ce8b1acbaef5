/* rules_internal.h: what the files of rules.h share.
 *
 *   rules.c         rules, keys, and which form a table takes
 *   rules_forest.c  builds scans and trees
 *   rules_cut.c     by which bits trees cut
 *   rules_nibbles.c a scan of eight rules at once
 *   rules_bits.c    builds bit vectors
 *   rules_kernel.c  looks up in all of them, for each kind of processor
 *
 * All see a rule as a box: a range in each word of a key.  A prefix of an
 * IPv6 address is such a range in each of the address's four words, because
 * at most one of them is cut by its length. */
#ifndef RULES_INTERNAL_H
#define RULES_INTERNAL_H 1

#include <headgate/rules.h>

enum {
    WORDS = HG_RULE_WORDS,
    WORDS4 = 4, /* Of them IPv4 uses these many. */
    LANES = 16,
    TREES_MAX = 4,
    SCAN_FEW = 64,     /* So few rules are no tree of their own, */
    NIBBLES_FEW = 128, /* or so few if there are nibbles. */
    CUT_BITS_MAX = 10
};

/* Both ends included.  A rule is one, or, with ports of any protocol, two. */
struct box {
    uint32_t low[WORDS];
    uint32_t high[WORDS];
};

/* The words of a key that a family uses, and how many. */
extern const uint8_t rules_words[2][WORDS];

static inline unsigned
n_words(bool six)
{
    return six ? WORDS : WORDS4;
}

/* ---- Scans and trees -------------------------------------------------- */

/* A place of a tree.  Inside, the child is at 'child' plus the bits of word
 * 'word' that 'shift' and 'mask' choose.  A leaf has mask 0. */
struct node {
    uint32_t child; /* Of a leaf: how many rules it has, */
    uint32_t block; /* in blocks from which one on. */
    uint32_t first; /* The least index of a rule below. */
    uint16_t mask;
    uint8_t word;
    uint8_t shift;
};

static inline uint32_t
n_blocks_of(const struct node *leaf)
{
    return (leaf->child + LANES - 1) / LANES;
}

/* What the rows of a block are about: all words of a family, or, where no
 * rule of a forest asks for more, the address of one side and the service.
 * That is what network ACLs and security groups ask for. */
enum shape { FOUR, FOUR_SIDE, SIX, SIX_SIDE };

static inline unsigned
n_rows(enum shape shape)
{
    return shape == FOUR        ? WORDS4
           : shape == FOUR_SIDE ? 2
           : shape == SIX       ? WORDS
                                : 5;
}

/* The word of a key that row d is about; a constant, but for the side, where
 * the loop around it is unrolled. */
static inline unsigned
row_word(enum shape shape, unsigned side, unsigned d)
{
    switch (shape) {
    case FOUR:
        return !d ? HG_RULE_SRC : d == 1 ? HG_RULE_DST : HG_RULE_SPORT + d - 2;
    case FOUR_SIDE:
        return !d ? side : HG_RULE_SERVICE;
    case SIX_SIDE:
        return d < 4 ? side + d : HG_RULE_SERVICE;
    case SIX:
    default:
        return d;
    }
}

/* A rule is in each leaf that a packet of it may come to.  A leaf is a
 * block, which it may share with others, or a few.  Where cutting would put
 * too many rules into too many leaves, they are left for the next tree; what
 * is found is the least of all trees.  A tree without cuts is a scan. */
struct forest {
    bool six;
    enum shape shape;
    unsigned side; /* HG_RULE_SRC or HG_RULE_DST. */
    unsigned n_trees;
    uint32_t root[TREES_MAX];
    struct node *node;
    uint32_t n_nodes;
    /* Sixteen rules, word by word: a value matches if it is less than or
     * equal to the span above the low end.  Then the rules' indices. */
    uint32_t *block;
    uint32_t n_blocks;
    struct nibbles *nibbles; /* What many keys use of a tree without cuts. */
};

static inline bool
is_scan(const struct forest *f)
{
    return f->n_trees == 1 && !f->node[f->root[0]].mask;
}

/* Numbers in a block: rows of LANES. */
static inline uint32_t
block_size(enum shape shape)
{
    return (2 * n_rows(shape) + 1) * LANES;
}

static inline const uint32_t *
block_index(const uint32_t *block, enum shape shape)
{
    return block + 2 * n_rows(shape) * LANES;
}

/* A forest of n boxes, whose rules are index[]: as a scan; as trees, or NULL
 * if they would need more than 'limit' bytes, or too much work.  With nibbles,
 * if there is a use for them. */
struct forest *forest_scan(const struct box *, const uint32_t *index,
                           uint32_t n, bool six, bool nibbles);
struct forest *forest_create(const struct box *, const uint32_t *index,
                             uint32_t n, bool six, bool nibbles, size_t limit);
/* What n_rows() would be of their forest. */
unsigned forest_n_rows(const struct box *, uint32_t n, bool six);
void forest_destroy(struct forest *);
size_t forest_bytes(const struct forest *);

/* What a lookup of a packet of these boxes takes, roughly. */
double forest_ns(const struct forest *, const struct box *, uint32_t n);

/* A cut by 'bits' bits of a word, from 'shift' on. */
struct cut {
    uint8_t word;
    uint8_t shift;
    uint8_t bits;
};

/* How many of a cut's children a box is in: from *first on, and after the
 * last one from 0; and whether they are so many that it had better be in
 * another tree. */
uint32_t cut_span(const struct box *, const struct cut *, uint32_t *first);
bool cut_is_wide(const struct box *, const struct cut *);

/* The best cut of a list, or false if it had better not be cut.  What is wide
 * may be left for another tree if 'may_set_aside'.  Adds how many rules were
 * looked at to *work. */
bool cut_choose(const struct box *, const uint32_t *list, uint32_t n, bool six,
                bool may_set_aside, struct cut *, uint64_t *work);

/* ---- Nibbles ---------------------------------------------------------- */

struct nibbles;

enum { NIBBLES_RULES = 248 };

/* Of those n of a forest's boxes whose numbers are in a list, ascending; NULL
 * if they are too many. */
struct nibbles *nibbles_create(const struct forest *, const struct box *,
                               const uint32_t *index, const uint32_t *list,
                               uint32_t n);
void nibbles_destroy(struct nibbles *);
size_t nibbles_bytes(const struct nibbles *);

/* How many instructions HG_RULE_KEYS keys take, roughly; of these six or more
 * take a nanosecond. */
uint32_t nibbles_cost(const struct nibbles *);

/* The least index that each of n keys has, or 'none'. */
void nibbles_find_avx2(const struct nibbles *, const struct hg_rule_keys *,
                       unsigned n, uint32_t none, uint32_t *found);

/* ---- Bit vectors ------------------------------------------------------ */

struct bit_group;

/* What a lookup takes in a group, roughly. */
#define BIT_GROUP_NS 50.0

/* Bit vectors over n boxes of a family, n <= HG_RULES_GROUP. */
struct bit_group *bit_group_create(const struct box *, uint32_t n, bool six);
void bit_group_destroy(struct bit_group *);
size_t bit_group_bytes(const struct bit_group *);

/* Finds the vectors of a key, whose word w is at[w * step], and fetches them;
 * they have so many words of 64 bits, a multiple of eight. */
void bit_group_locate(const struct bit_group *, const uint32_t *at,
                      unsigned step, const uint64_t *vector[WORDS]);
uint32_t bit_group_words(const struct bit_group *);

/* ---- Looking up ------------------------------------------------------- */

struct kernel {
    const char *name;
    unsigned wide;     /* Keys that meet a rule at once. */
    uint32_t scan_max; /* Up to so many rules times rows a scan is faster, */
    uint32_t nibbles_max; /* and up to this cost by nibbles. */
    /* For the n keys whose numbers are in 'which', the least index that a
     * forest has, in the same place of 'found', unless that is less
     * already. */
    void (*find)(const struct forest *, unsigned n, const uint8_t *which,
                 const struct hg_rule_keys *, uint32_t *found);
    /* The same for all keys in a forest that is one scan, for which 'none'
     * was found before; there is room for HG_RULE_KEYS. */
    void (*scan)(const struct forest *, const struct hg_rule_keys *,
                 uint32_t none, uint32_t *found);
    /* The least index from 'from' on, and the first bit from there on that is
     * in all vectors; or HG_RULES_NONE. */
    uint32_t (*next)(const struct forest *, const struct hg_rule_key *,
                     uint32_t from);
    uint32_t (*first_bit)(const uint64_t *const *vector, unsigned n_vectors,
                          uint32_t words, uint32_t from);
};

/* The one that tables made from now on use. */
const struct kernel *rules_kernel(void);

/* Zeroed memory aligned to a cache line; the program ends without it. */
void *rules_alloc(size_t size);

#endif
