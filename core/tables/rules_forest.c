/* rules_forest.c: builds the scans and trees of rules_internal.h.
 *
 * Which bits to cut by is chosen in rules_cut.c.  A rule goes to each child
 * that a packet of it may come to.  Children that are leaves share blocks
 * with their neighbours, so that what they have in common is there once. */
#include <stdlib.h>
#include <string.h>

#include "../graph_internal.h"
#include "rules_internal.h"

enum {
    DEPTH_MAX = 12,    /* Of a tree. */
    LEAF_BLOCKS = 32,  /* Larger leaves are for bit vectors. */
    WORK_MAX = 4000,   /* Looks at a rule, of all rules in the middle, */
    WORK_FEW = 4000000 /* and so many more, for choosing cuts. */
};

struct builder {
    struct forest *f;
    const struct box *box;
    const uint32_t *index;
    size_t limit;
    uint64_t work, work_max; /* See cut_choose(). */
    bool nibbles, failed;
    uint32_t node_room, block_room;
    uint32_t *rest; /* For the next tree. */
    uint32_t n_rest;
};

/* ---- Memory ----------------------------------------------------------- */

static uint32_t
add_nodes(struct builder *b, uint32_t n)
{
    struct forest *f = b->f;
    uint32_t at = f->n_nodes;

    f->n_nodes += n;
    if (f->n_nodes > b->node_room) {
        b->node_room = f->n_nodes * 2;
        f->node = xrealloc(f->node, b->node_room * sizeof *f->node);
    }
    return at;
}

static uint32_t
add_blocks(struct builder *b, uint32_t n)
{
    struct forest *f = b->f;
    size_t size = block_size(f->shape) * sizeof *f->block;
    uint32_t at = f->n_blocks;

    f->n_blocks += n;
    if (f->n_blocks > b->block_room) {
        uint32_t *block;

        b->block_room = f->n_blocks * 2;
        block = rules_alloc(b->block_room * size);
        if (at)
            memcpy(block, f->block, at * size);
        free(f->block);
        f->block = block;
    }
    return at;
}

/* ---- Leaves ----------------------------------------------------------- */

static void
fill_lane(const struct builder *b, uint32_t *block, uint32_t box)
{
    uint32_t *row = block;
    unsigned d;

    for (d = 0; d < n_rows(b->f->shape); d++, row += 2 * LANES) {
        unsigned word = row_word(b->f->shape, b->f->side, d);

        row[0] = b->box[box].low[word];
        row[LANES] = b->box[box].high[word] - row[0];
    }
    row[0] = b->index[box];
}

/* A protocol that no packet has keeps unused lanes from matching. */
static void
fill_blocks(const struct builder *b, uint32_t at, uint32_t n_blocks,
            const uint32_t *list, uint32_t n)
{
    uint32_t size = block_size(b->f->shape), i;
    uint32_t *block = b->f->block + at * (size_t)size;

    for (i = 0; i < n_blocks * LANES; i++)
        if (i < n)
            fill_lane(b, block + i / LANES * size + i % LANES, list[i]);
        else
            block[i / LANES * size + 2 * (n_rows(b->f->shape) - 1) * LANES +
                  i % LANES] = 256 * HG_RULE_PROTOCOL;
}

/* A leaf for the list whose rules are in blocks from 'block' on. */
static void
make_leaf(struct builder *b, uint32_t at, const uint32_t *list, uint32_t n,
          uint32_t block)
{
    b->f->node[at] =
        (struct node){.child = n,
                      .block = block,
                      .first = n ? b->index[list[0]] : HG_RULES_NONE};
}

static void
make_large_leaf(struct builder *b, uint32_t at, const uint32_t *list,
                uint32_t n)
{
    uint32_t n_blocks = (n + LANES - 1) / LANES;
    uint32_t block = add_blocks(b, n_blocks);

    fill_blocks(b, block, n_blocks, list, n);
    make_leaf(b, at, list, n, block);
}

/* A tree without cuts; there is at most one. */
static void
make_scan(struct builder *b, uint32_t at, const uint32_t *list, uint32_t n)
{
    make_large_leaf(b, at, list, n);
    if (b->nibbles)
        b->f->nibbles = nibbles_create(b->f, b->box, b->index, list, n);
}

/* ---- Packs ------------------------------------------------------------ */

/* Leaves that share a block, because all their rules together fit into it. */
struct pack {
    uint32_t block;
    uint32_t n;
    uint32_t list[2 * LANES];
};

/* Adds a list to the pack if there is room. */
static bool
pack_add(struct pack *p, const uint32_t *list, uint32_t n)
{
    uint32_t both[2 * LANES] = {0}, size = 0, i = 0, k = 0;

    while (i < p->n || k < n) {
        if (k == n || (i < p->n && p->list[i] < list[k])) {
            both[size++] = p->list[i++];
        } else {
            i += i < p->n && p->list[i] == list[k];
            both[size++] = list[k++];
        }
    }
    if (size > LANES)
        return false;
    memcpy(p->list, both, size * sizeof *both);
    p->n = size;
    return true;
}

static void
pack_close(struct builder *b, struct pack *p)
{
    if (p->n)
        fill_blocks(b, p->block, 1, p->list, p->n);
    p->n = 0;
}

/* A leaf for a list of at most LANES, in the pack or in a new one. */
static void
make_small_leaf(struct builder *b, struct pack *p, uint32_t at,
                const uint32_t *list, uint32_t n)
{
    if (p->n && !pack_add(p, list, n))
        pack_close(b, p);
    if (!p->n && n) {
        p->block = add_blocks(b, 1);
        pack_add(p, list, n);
    }
    make_leaf(b, at, list, n, p->block);
}

/* ---- Trees ------------------------------------------------------------ */

/* The lists of a cut's children, one after the other: child i's goes from
 * begin[i] to begin[i + 1]. */
static uint32_t *
deal(const struct builder *b, const uint32_t *list, uint32_t n,
     const struct cut *w, uint32_t *begin)
{
    uint32_t size = 1u << w->bits, first, span, i, k;
    uint32_t *end = xcalloc(size, sizeof *end), *dealt;

    for (i = 0; i < n; i++) {
        span = cut_span(&b->box[list[i]], w, &first);
        for (k = 0; k < span; k++)
            end[(first + k) & (size - 1)]++;
    }
    for (begin[0] = 0, i = 0; i < size; i++) {
        begin[i + 1] = begin[i] + end[i];
        end[i] = begin[i];
    }
    dealt = xcalloc(begin[size] + 1, sizeof *dealt);
    for (i = 0; i < n; i++) {
        span = cut_span(&b->box[list[i]], w, &first);
        for (k = 0; k < span; k++)
            dealt[end[(first + k) & (size - 1)]++] = list[i];
    }
    free(end);
    return dealt;
}

/* Leaves what is wide in the cut for the next tree; how many stay. */
static uint32_t
set_aside(struct builder *b, uint32_t *list, uint32_t n, const struct cut *w)
{
    uint32_t stay = 0, i;

    for (i = 0; i < n; i++)
        if (cut_is_wide(&b->box[list[i]], w))
            b->rest[b->n_rest++] = list[i];
        else
            list[stay++] = list[i];
    return stay;
}

static void grow(struct builder *, uint32_t at, uint32_t *list, uint32_t n,
                 uint32_t depth, bool may_set_aside);

/* The children of a cut, from place 'at' on. */
static void
grow_children(struct builder *b, uint32_t at, const uint32_t *list, uint32_t n,
              uint32_t depth, const struct cut *w)
{
    uint32_t begin[(1 << CUT_BITS_MAX) + 1], i;
    uint32_t *dealt = deal(b, list, n, w, begin);
    struct pack pack = {.n = 0};

    for (i = 0; i < 1u << w->bits && !b->failed; i++) {
        uint32_t *own = dealt + begin[i], size = begin[i + 1] - begin[i];

        if (size <= LANES)
            make_small_leaf(b, &pack, at + i, own, size);
        else if (i && begin[i] - begin[i - 1] == size &&
                 !memcmp(own, own - size, size * sizeof *own))
            b->f->node[at + i] = b->f->node[at + i - 1];
        else
            grow(b, at + i, own, size, depth, false);
        b->failed |= forest_bytes(b->f) > b->limit || b->work > b->work_max;
    }
    pack_close(b, &pack);
    free(dealt);
}

static void
grow(struct builder *b, uint32_t at, uint32_t *list, uint32_t n,
     uint32_t depth, bool may_set_aside)
{
    const uint32_t few = b->nibbles ? NIBBLES_FEW : SCAN_FEW;
    struct cut w = {0, 0, 0};
    uint32_t child;

    if (n <= (depth ? LANES : few) || depth == DEPTH_MAX ||
        !cut_choose(b->box, list, n, b->f->six, may_set_aside, &w, &b->work)) {
        b->failed |= n > LEAF_BLOCKS * LANES;
        if (depth)
            make_large_leaf(b, at, list, n);
        else
            make_scan(b, at, list, n);
        return;
    }
    if (may_set_aside)
        n = set_aside(b, list, n, &w);
    child = add_nodes(b, 1u << w.bits);
    b->f->node[at] = (struct node){.child = child,
                                   .first = b->index[list[0]],
                                   .mask = (uint16_t)((1u << w.bits) - 1),
                                   .word = w.word,
                                   .shift = w.shift};
    grow_children(b, child, list, n, depth + 1, &w);
}

static void
plant(struct builder *b, uint32_t *list, uint32_t n, bool last)
{
    uint32_t root = add_nodes(b, 1);

    b->f->root[b->f->n_trees++] = root;
    b->n_rest = 0;
    grow(b, root, list, n, 0, !last);
}

/* ---- Forests ---------------------------------------------------------- */

/* Whether some rule does not take any value of a word. */
static bool
is_asked(const struct box *boxes, uint32_t n, unsigned word)
{
    uint32_t any = word == HG_RULE_SPORT ? HG_RULE_NO_PORT : UINT32_MAX, i;

    for (i = 0; i < n; i++)
        if (boxes[i].low[word] || boxes[i].high[word] < any)
            return true;
    return false;
}

static bool
is_side_asked(const struct box *boxes, uint32_t n, bool six, unsigned side)
{
    unsigned i;

    for (i = 0; i < (six ? 4 : 1); i++)
        if (is_asked(boxes, n, side + i))
            return true;
    return false;
}

static enum shape
shape_of(const struct box *boxes, uint32_t n, bool six)
{
    bool both = (is_side_asked(boxes, n, six, HG_RULE_SRC) &&
                 is_side_asked(boxes, n, six, HG_RULE_DST)) ||
                is_asked(boxes, n, HG_RULE_SPORT);

    return six ? both ? SIX : SIX_SIDE : both ? FOUR : FOUR_SIDE;
}

static void
builder_init(struct builder *b, const struct box *boxes, const uint32_t *index,
             uint32_t n, bool six, bool nibbles)
{
    *b = (struct builder){.f = xcalloc(1, sizeof *b->f),
                          .box = boxes,
                          .index = index,
                          .nibbles = nibbles};
    b->f->six = six;
    b->f->shape = shape_of(boxes, n, six);
    b->f->side =
        is_side_asked(boxes, n, six, HG_RULE_SRC) ? HG_RULE_SRC : HG_RULE_DST;
}

unsigned
forest_n_rows(const struct box *boxes, uint32_t n, bool six)
{
    return n_rows(shape_of(boxes, n, six));
}

struct forest *
forest_scan(const struct box *boxes, const uint32_t *index, uint32_t n,
            bool six, bool nibbles)
{
    uint32_t *list = xcalloc(n + 1, sizeof *list), i;
    struct builder b;

    builder_init(&b, boxes, index, n, six, nibbles);
    for (i = 0; i < n; i++)
        list[i] = i;
    if (n) {
        b.f->root[b.f->n_trees++] = add_nodes(&b, 1);
        make_scan(&b, 0, list, n);
    }
    free(list);
    return b.f;
}

struct forest *
forest_create(const struct box *boxes, const uint32_t *index, uint32_t n,
              bool six, bool nibbles, size_t limit)
{
    uint32_t *list = xcalloc(n + 1, sizeof *list), i;
    uint32_t *rest = xcalloc(n + 1, sizeof *rest), *swap;
    struct builder b;

    builder_init(&b, boxes, index, n, six, nibbles);
    b.limit = limit;
    b.work_max = WORK_FEW + n * (uint64_t)WORK_MAX;
    for (i = 0; i < n; i++)
        list[i] = i;
    while (n && !b.failed) {
        b.rest = rest;
        plant(&b, list, n, b.f->n_trees == TREES_MAX - 1);
        n = b.n_rest;
        swap = list;
        list = rest;
        rest = swap;
    }
    free(list);
    free(rest);
    if (!b.failed)
        return b.f;
    forest_destroy(b.f);
    return NULL;
}

double
forest_ns(const struct forest *f, const struct box *boxes, uint32_t n)
{
    uint32_t step = n / 256 + 1, k;
    double ns = 0, count = 0;
    unsigned i;

    for (k = 0; k < n; k += step, count++)
        for (i = 0; i < f->n_trees; i++) {
            const struct node *node = &f->node[f->root[i]];

            ns += 3;
            if (!node->mask && f->nibbles) {
                ns += nibbles_cost(f->nibbles) / (HG_RULE_KEYS * 6.0);
                continue;
            }
            for (; node->mask; ns += 3)
                node = &f->node[node->child +
                                (boxes[k].low[node->word] >> node->shift &
                                 node->mask)];
            ns += 3 * n_blocks_of(node);
        }
    return count > 0 ? ns / count : 0;
}

void
forest_destroy(struct forest *f)
{
    if (!f)
        return;
    nibbles_destroy(f->nibbles);
    free(f->node);
    free(f->block);
    free(f);
}

size_t
forest_bytes(const struct forest *f)
{
    return sizeof *f + f->n_nodes * sizeof *f->node +
           (f->nibbles ? nibbles_bytes(f->nibbles) : 0) +
           f->n_blocks * (size_t)block_size(f->shape) * sizeof *f->block;
}
