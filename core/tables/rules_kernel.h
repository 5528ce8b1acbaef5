/* rules_kernel.h: lookups, once for each kind of processor.
 *
 * rules_kernel.c includes this several times.  Before, it defines KERNEL(),
 * which makes a name of the kind's own, TARGET, the attribute that lets its
 * instructions be used, and two functions:
 *
 *   KERNEL(match)  which of a block's rules a key matches, a bit each
 *   KERNEL(meet)  whether some bit of STEP words may be in all vectors */

/* Takes what hits say about 'size' blocks of a key; without a branch, for
 * which way it went nobody could predict. */
INLINE void
KERNEL(take)(const uint32_t *block, uint32_t size, enum shape shape,
             uint64_t hits, uint32_t *found)
{
    uint64_t last = UINT64_C(1) << (size * LANES - 1);
    uint32_t hit = (uint32_t)__builtin_ctzll(hits | last);
    uint32_t index = block_index(block + hit / LANES * block_size(shape),
                                 shape)[hit % LANES];

    index |= (uint32_t) - (hits == 0);
    *found = index < *found ? index : *found;
}

/* Some keys through a tree that is but a leaf.  A block after the other: its
 * rules stay in registers while keys pass. */
TARGET INLINE void
KERNEL(scan)(const struct forest *f, const struct node *leaf, enum shape shape,
             unsigned n, const uint8_t *which, const struct hg_rule_key *key,
             uint32_t *found)
{
    const uint32_t *block = f->block + leaf->block * (size_t)block_size(shape);
    uint32_t left = leaf->child, b, size;
    uint64_t hits[KEYS_MAX];
    unsigned i;

    for (; left; left -= size, block += size * block_size(shape)) {
        size = left < 64 / LANES ? left : 64 / LANES;
        for (i = 0; i < n; i++)
            hits[i] = KERNEL(match)(block, key[which[i]].at, shape, f->side);
        for (b = 1; b < size; b++)
            for (i = 0; i < n; i++)
                hits[i] |=
                    (uint64_t)KERNEL(match)(block + b * block_size(shape),
                                            key[which[i]].at, shape, f->side)
                    << b * LANES;
        for (i = 0; i < n; i++)
            KERNEL(take)(block, size, shape, hits[i], &found[which[i]]);
    }
}

/* The leaves of some keys; at[] has their nodes. */
TARGET INLINE void
KERNEL(ask_leaves)(const struct forest *f, enum shape shape, unsigned n,
                   const uint8_t *which, const uint32_t *at,
                   const struct hg_rule_key *key, uint32_t *found)
{
    unsigned i;

    for (i = 0; i < n; i++) {
        unsigned k = which[i];
        const struct node *leaf = &f->node[at[k]];
        const uint32_t *block =
            f->block + leaf->block * (size_t)block_size(shape);
        uint32_t left;

        KERNEL(take)
        (block, 1, shape, KERNEL(match)(block, key[k].at, shape, f->side),
         &found[k]);
        for (left = leaf->child - 1; left; left--) {
            block += block_size(shape);
            KERNEL(take)
            (block, 1, shape, KERNEL(match)(block, key[k].at, shape, f->side),
             &found[k]);
        }
    }
}

/* Some keys down a tree, level by level, and through its leaves.  Those for
 * which nothing better than what was found can be below stay where they
 * are. */
TARGET INLINE void
KERNEL(descend)(const struct forest *f, uint32_t root, enum shape shape,
                unsigned n, uint8_t *which, const struct hg_rule_key *key,
                uint32_t *found)
{
    uint8_t leaves[KEYS_MAX];
    uint32_t at[KEYS_MAX];
    unsigned n_leaves = 0, left, i;

    for (i = 0; i < n; i++)
        at[which[i]] = root;
    for (; n; n = left)
        for (i = 0, left = 0; i < n; i++) {
            uint8_t k = which[i];
            const struct node *node = &f->node[at[k]];

            at[k] = node->child +
                    (key[k].at[node->word] >> node->shift & node->mask);
            node = &f->node[at[k]];
            which[left] = leaves[n_leaves] = k;
            left += node->mask && node->first < found[k];
            n_leaves += !node->mask && node->first < found[k];
        }
    KERNEL(ask_leaves)(f, shape, n_leaves, leaves, at, key, found);
}

TARGET INLINE void
KERNEL(find_all)(const struct forest *f, enum shape shape, unsigned n,
                 const uint8_t *which, const struct hg_rule_key *key,
                 uint32_t *found)
{
    uint8_t open[KEYS_MAX];
    unsigned n_open, i, k;

    for (i = 0; i < f->n_trees; i++) {
        const struct node *root = &f->node[f->root[i]];

        for (k = 0, n_open = 0; k < n; k++) {
            open[n_open] = which[k];
            n_open += root->first < found[which[k]];
        }
        if (root->mask)
            KERNEL(descend)(f, f->root[i], shape, n_open, open, key, found);
        else
            KERNEL(scan)(f, root, shape, n_open, open, key, found);
    }
}

TARGET static void
KERNEL(find)(const struct forest *f, unsigned n, const uint8_t *which,
             const struct hg_rule_key *key, uint32_t *found)
{
    switch (f->shape) {
    case FOUR:
        KERNEL(find_all)(f, FOUR, n, which, key, found);
        break;
    case FOUR_SIDE:
        KERNEL(find_all)(f, FOUR_SIDE, n, which, key, found);
        break;
    case SIX:
        KERNEL(find_all)(f, SIX, n, which, key, found);
        break;
    case SIX_SIDE:
        KERNEL(find_all)(f, SIX_SIDE, n, which, key, found);
        break;
    }
}

TARGET static uint32_t
KERNEL(match_one)(const struct forest *f, const uint32_t *block,
                  const uint32_t *at)
{
    switch (f->shape) {
    case FOUR:
        return KERNEL(match)(block, at, FOUR, 0);
    case FOUR_SIDE:
        return KERNEL(match)(block, at, FOUR_SIDE, f->side);
    case SIX_SIDE:
        return KERNEL(match)(block, at, SIX_SIDE, f->side);
    case SIX:
    default:
        return KERNEL(match)(block, at, SIX, 0);
    }
}

TARGET static uint32_t
KERNEL(next_in_leaf)(const struct forest *f, const struct node *leaf,
                     const struct hg_rule_key *key, uint32_t from)
{
    uint32_t b, hits, index;

    for (b = leaf->block; b < leaf->block + leaf->child; b++) {
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
    .find = KERNEL(find),
    .next = KERNEL(next),
    .first_bit = KERNEL(first_bit),
};
