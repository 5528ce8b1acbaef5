/* rules_kernel.h: lookups, once for each kind of processor.
 *
 * rules_kernel.c includes this several times.  Before, it defines KERNEL(),
 * which makes a name of the kind's own, TARGET, the attribute that lets its
 * instructions be used, SCAN_MAX and NIBBLES_MAX (rules_internal.h), and what
 * they can do:
 *
 *   KERNEL(vector), KERNEL(hits)  WIDE numbers; yes or no for each
 *   KERNEL(load)                  WIDE numbers that are there, aligned
 *   KERNEL(store)                 the same, wherever they go
 *   KERNEL(each)                  a number WIDE times
 *   KERNEL(all)                   yes WIDE times
 *   KERNEL(within)  which of the hits are at most a span above the low end
 *   KERNEL(pick)    one number for a hit, another for none
 *   KERNEL(bits)    a bit for each hit
 *   KERNEL(meet)    whether some bit of STEP words may be in all vectors */

/* Which of a block's rules a key matches, a bit each; word w of the key is
 * at[w * step]. */
TARGET INLINE uint32_t
KERNEL(match)(const uint32_t *block, const uint32_t *at, unsigned step,
              enum shape shape, unsigned side)
{
    uint32_t found = 0;
    unsigned lane, d;

    UNROLL
    for (lane = 0; lane < LANES; lane += WIDE) {
        KERNEL(hits) hits = KERNEL(all)();

        UNROLL
        for (d = 0; d < n_rows(shape); d++) {
            const uint32_t *row = block + 2 * d * LANES + lane;

            hits = KERNEL(within)(
                hits, KERNEL(each)(at[row_word(shape, side, d) * step]),
                KERNEL(load)(row), KERNEL(load)(row + LANES));
        }
        found |= KERNEL(bits)(hits) << lane;
    }
    return found;
}

/* Takes what hits say about a block and a key; without a branch, for which way
 * it went nobody could predict. */
INLINE void
KERNEL(take)(const uint32_t *block, enum shape shape, uint32_t hits,
             uint32_t *found)
{
    uint32_t hit = (uint32_t)__builtin_ctz(hits | 1u << (LANES - 1));
    uint32_t index = block_index(block, shape)[hit];

    index |= (uint32_t) - (hits == 0);
    *found = index < *found ? index : *found;
}

/* One rule meets some keys. */
TARGET INLINE void
KERNEL(meet_rule)(const uint32_t *rule, enum shape shape, unsigned n,
                  const KERNEL(vector) (*value)[WORDS], KERNEL(vector) * best)
{
    KERNEL(vector) index = KERNEL(each)(*block_index(rule, shape));
    KERNEL(hits) hits[AT_ONCE];
    unsigned d, i;

    UNROLL
    for (i = 0; i < n; i++)
        hits[i] = KERNEL(all)();
    UNROLL
    for (d = 0; d < n_rows(shape); d++, rule += 2 * LANES) {
        KERNEL(vector) low = KERNEL(each)(rule[0]);
        KERNEL(vector) span = KERNEL(each)(rule[LANES]);

        UNROLL
        for (i = 0; i < n; i++)
            hits[i] = KERNEL(within)(hits[i], value[i][d], low, span);
    }
    UNROLL
    for (i = 0; i < n; i++)
        best[i] = KERNEL(pick)(hits[i], index, best[i]);
}

/* Keys from the from-th on through a tree that is but a leaf: n times WIDE of
 * them meet one rule after the other, the last one first, so that the first
 * one that matches is what stays. */
TARGET INLINE void
KERNEL(meet_rules)(const struct forest *f, const struct node *leaf,
                   enum shape shape, unsigned n,
                   const struct hg_rule_keys *keys, unsigned from,
                   uint32_t none, uint32_t *first)
{
    KERNEL(vector) value[AT_ONCE][WORDS], best[AT_ONCE];
    uint32_t block = n_blocks_of(leaf), left = leaf->child;
    unsigned d, i;

    UNROLL
    for (i = 0; i < n; i++) {
        best[i] = KERNEL(each)(none);
        UNROLL
        for (d = 0; d < n_rows(shape); d++)
            value[i][d] = KERNEL(load)(keys->at[row_word(shape, f->side, d)] +
                                       from + i * WIDE);
    }
    while (block-- > 0) {
        const uint32_t *rules =
            f->block + (leaf->block + block) * (size_t)block_size(shape);
        uint32_t lane = left - block * LANES;

        for (left -= lane; lane-- > 0;)
            KERNEL(meet_rule)(rules + lane, shape, n, value, best);
    }
    UNROLL
    for (i = 0; i < n; i++)
        KERNEL(store)(first + from + i * WIDE, best[i]);
}

/* All keys, of which there are n. */
TARGET INLINE void
KERNEL(scan)(const struct forest *f, const struct node *leaf, enum shape shape,
             const struct hg_rule_keys *keys, unsigned n, uint32_t none,
             uint32_t *first)
{
    unsigned i;

#if NIBBLES_MAX
    if (f->nibbles) {
        nibbles_find_avx2(f->nibbles, keys, n, none, first);
        return;
    }
#endif
    for (i = 0; i + WIDE < n; i += AT_ONCE * WIDE)
        KERNEL(meet_rules)(f, leaf, shape, AT_ONCE, keys, i, none, first);
    if (i < n)
        KERNEL(meet_rules)(f, leaf, shape, 1, keys, i, none, first);
}

/* Some of them, which are brought together. */
TARGET INLINE void
KERNEL(scan_some)(const struct forest *f, const struct node *leaf,
                  enum shape shape, unsigned n, const uint8_t *which,
                  const struct hg_rule_keys *keys, uint32_t *found)
{
    struct hg_rule_keys some;
    uint32_t first[HG_RULE_KEYS];
    unsigned i, d;

    UNROLL
    for (d = 0; d < n_rows(shape); d++) {
        unsigned word = row_word(shape, f->side, d);

        for (i = 0; i < n; i++)
            some.at[word][i] = keys->at[word][which[i]];
        for (; i % WIDE; i++)
            some.at[word][i] = 0;
    }
    KERNEL(scan)(f, leaf, shape, &some, n, HG_RULES_NONE, first);
    for (i = 0; i < n; i++) {
        uint32_t *least = &found[which[i]];

        *least = first[i] < *least ? first[i] : *least;
    }
}

/* The leaves of some keys; at[] has their nodes. */
TARGET INLINE void
KERNEL(ask_leaves)(const struct forest *f, enum shape shape, unsigned n,
                   const uint8_t *which, const uint32_t *at,
                   const struct hg_rule_keys *keys, uint32_t *found)
{
    unsigned i;

    for (i = 0; i < n; i++) {
        unsigned k = which[i];
        const struct node *leaf = &f->node[at[k]];
        const uint32_t *block =
            f->block + leaf->block * (size_t)block_size(shape);
        const uint32_t *key = &keys->at[0][k];
        uint32_t left = leaf->child, hits;

        hits = KERNEL(match)(block, key, HG_RULE_KEYS, shape, f->side);
        KERNEL(take)(block, shape, hits, &found[k]);
        for (; left > LANES; left -= LANES) {
            block += block_size(shape);
            hits = KERNEL(match)(block, key, HG_RULE_KEYS, shape, f->side);
            KERNEL(take)(block, shape, hits, &found[k]);
        }
    }
}

/* Some keys down a tree, level by level, and through its leaves.  Those for
 * which nothing better than what was found can be below stay where they
 * are. */
TARGET INLINE void
KERNEL(descend)(const struct forest *f, uint32_t root, enum shape shape,
                unsigned n, uint8_t *which, const struct hg_rule_keys *keys,
                uint32_t *found)
{
    uint8_t leaves[HG_RULE_KEYS];
    uint32_t at[HG_RULE_KEYS];
    unsigned n_leaves = 0, left, i;

    for (i = 0; i < n; i++)
        at[which[i]] = root;
    if (!f->node[root].mask) {
        KERNEL(ask_leaves)(f, shape, n, which, at, keys, found);
        return;
    }
    for (; n; n = left)
        for (i = 0, left = 0; i < n; i++) {
            uint8_t k = which[i];
            const struct node *node = &f->node[at[k]];

            at[k] = node->child +
                    (keys->at[node->word][k] >> node->shift & node->mask);
            node = &f->node[at[k]];
            which[left] = leaves[n_leaves] = k;
            left += node->mask && node->first < found[k];
            n_leaves += !node->mask && node->first < found[k];
        }
    KERNEL(ask_leaves)(f, shape, n_leaves, leaves, at, keys, found);
}

TARGET INLINE void
KERNEL(find_all)(const struct forest *f, enum shape shape, unsigned n,
                 const uint8_t *which, const struct hg_rule_keys *keys,
                 uint32_t *found)
{
    uint8_t open[HG_RULE_KEYS];
    unsigned n_open, i, k;

    for (i = 0; i < f->n_trees; i++) {
        const struct node *root = &f->node[f->root[i]];

        for (k = 0, n_open = 0; k < n; k++) {
            open[n_open] = which[k];
            n_open += root->first < found[which[k]];
        }
        if (root->mask || n_open < WIDE / 2)
            KERNEL(descend)(f, f->root[i], shape, n_open, open, keys, found);
        else
            KERNEL(scan_some)(f, root, shape, n_open, open, keys, found);
    }
}

TARGET static void
KERNEL(find)(const struct forest *f, unsigned n, const uint8_t *which,
             const struct hg_rule_keys *keys, uint32_t *found)
{
    switch (f->shape) {
    case FOUR:
        KERNEL(find_all)(f, FOUR, n, which, keys, found);
        break;
    case FOUR_SIDE:
        KERNEL(find_all)(f, FOUR_SIDE, n, which, keys, found);
        break;
    case SIX:
        KERNEL(find_all)(f, SIX, n, which, keys, found);
        break;
    case SIX_SIDE:
        KERNEL(find_all)(f, SIX_SIDE, n, which, keys, found);
        break;
    }
}

TARGET static void
KERNEL(scan_all)(const struct forest *f, const struct hg_rule_keys *keys,
                 uint32_t none, uint32_t *found)
{
    const struct node *leaf = &f->node[f->root[0]];

    switch (f->shape) {
    case FOUR:
        KERNEL(scan)(f, leaf, FOUR, keys, keys->n, none, found);
        break;
    case FOUR_SIDE:
        KERNEL(scan)(f, leaf, FOUR_SIDE, keys, keys->n, none, found);
        break;
    case SIX:
        KERNEL(scan)(f, leaf, SIX, keys, keys->n, none, found);
        break;
    case SIX_SIDE:
        KERNEL(scan)(f, leaf, SIX_SIDE, keys, keys->n, none, found);
        break;
    }
}

TARGET static uint32_t
KERNEL(match_one)(const struct forest *f, const uint32_t *block,
                  const uint32_t *at)
{
    switch (f->shape) {
    case FOUR:
        return KERNEL(match)(block, at, 1, FOUR, 0);
    case FOUR_SIDE:
        return KERNEL(match)(block, at, 1, FOUR_SIDE, f->side);
    case SIX_SIDE:
        return KERNEL(match)(block, at, 1, SIX_SIDE, f->side);
    case SIX:
    default:
        return KERNEL(match)(block, at, 1, SIX, 0);
    }
}

TARGET static uint32_t
KERNEL(next_in_leaf)(const struct forest *f, const struct node *leaf,
                     const struct hg_rule_key *key, uint32_t from)
{
    uint32_t end = leaf->block + n_blocks_of(leaf), b, hits, index;

    for (b = leaf->block; b < end; b++) {
        const uint32_t *block = f->block + b * (size_t)block_size(f->shape);

        hits = KERNEL(match_one)(f, block, key->at);
        for (; hits; hits &= hits - 1) {
            index = block_index(block, f->shape)[__builtin_ctz(hits)];
            if (index >= from)
                return index;
        }
    }
    return HG_RULES_NONE;
}

TARGET static uint32_t
KERNEL(next)(const struct forest *f, const struct hg_rule_key *key,
             uint32_t from)
{
    uint32_t found = HG_RULES_NONE, index;
    unsigned i;

    for (i = 0; i < f->n_trees; i++) {
        const struct node *node = &f->node[f->root[i]];

        while (node->mask)
            node = &f->node[node->child +
                            (key->at[node->word] >> node->shift & node->mask)];
        index = KERNEL(next_in_leaf)(f, node, key, from);
        found = index < found ? index : found;
    }
    return found;
}

TARGET static uint32_t
KERNEL(first_bit)(const uint64_t *const *vector, unsigned n, uint32_t words,
                  uint32_t from)
{
    uint32_t i, hit;

    for (i = from / 64 / STEP * STEP; i < words; i += STEP) {
        if (!KERNEL(meet)(vector, n, i))
            continue;
        hit = walk(vector, n, i + STEP, i * 64 > from ? i * 64 : from);
        if (hit != HG_RULES_NONE)
            return hit;
    }
    return HG_RULES_NONE;
}

static const struct kernel KERNEL(kernel) = {
    .name = KERNEL_NAME,
    .wide = WIDE,
    .scan_max = SCAN_MAX,
    .nibbles_max = NIBBLES_MAX,
    .find = KERNEL(find),
    .scan = KERNEL(scan_all),
    .next = KERNEL(next),
    .first_bit = KERNEL(first_bit),
};
