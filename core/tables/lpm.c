/* lpm.c: makes and changes a longest prefix match; see lpm_internal.h. */
#include <stdlib.h>

#include "../graph_internal.h"
#include "lpm_internal.h"

/* ---- Arrays of nodes and of values ------------------------------------ */

static const uint8_t sizes[N_SIZES] = {1,  2,  3,  4,  6,  8,
                                       12, 16, 24, 32, 48, 64};

/* The place among them of the least that has room for n. */
static unsigned
size_class(unsigned n)
{
    unsigned i = 0;

    while (sizes[i] < n)
        i++;
    return i;
}

static void *
item(const struct arena *a, uint32_t i)
{
    return (uint8_t *)a->items.at + i * a->item_size;
}

static uint32_t *
note(const struct arena *a, uint32_t i)
{
    return (uint32_t *)a->notes.at + i;
}

static uint32_t
arena_get(struct arena *a, unsigned n)
{
    unsigned class = size_class(n);
    uint32_t i = a->free[class];
    size_t room = a->items.size / a->item_size;

    if (i) {
        memcpy(&a->free[class], item(a, i), sizeof i);
        return i;
    }
    i = a->n;
    a->n += sizes[class];
    while (room < a->n)
        room = room ? room * 2 : 8;
    stretch_grow(&a->items, room * a->item_size);
    if (a->has_notes)
        stretch_grow(&a->notes, room * sizeof *note(a, 0));
    return i;
}

static void
arena_put(struct arena *a, uint32_t i, unsigned n)
{
    unsigned class = size_class(n);

    if (!n)
        return;
    memcpy(item(a, i), &a->free[class], sizeof i);
    a->free[class] = i;
}

/* Copies n items and what is noted of them. */
static void
arena_move(struct arena *a, uint32_t to, uint32_t from, unsigned n)
{
    memmove(item(a, to), item(a, from), n * a->item_size);
    if (a->has_notes)
        memmove(note(a, to), note(a, from), n * sizeof *note(a, 0));
}

/* An array of n items at 'i', now with a gap for one more at 'at'. */
static uint32_t
arena_insert(struct arena *a, uint32_t i, unsigned n, unsigned at)
{
    uint32_t bigger = i;

    if (!n || size_class(n + 1) != size_class(n)) {
        bigger = arena_get(a, n + 1);
        arena_move(a, bigger, i, at);
    }
    arena_move(a, bigger + at + 1, i + at, n - at);
    if (bigger != i)
        arena_put(a, i, n);
    return bigger;
}

static uint32_t
arena_erase(struct arena *a, uint32_t i, unsigned n, unsigned at)
{
    uint32_t smaller = i;

    if (n == 1) {
        arena_put(a, i, n);
        return 0;
    }
    if (size_class(n - 1) != size_class(n)) {
        smaller = arena_get(a, n - 1);
        arena_move(a, smaller, i, at);
    }
    arena_move(a, smaller + at, i + at + 1, n - at - 1);
    if (smaller != i)
        arena_put(a, i, n);
    return smaller;
}

/* ---- Life ------------------------------------------------------------- */

static struct hg_lpm *
create(bool has_notes)
{
    struct hg_lpm *t = xcalloc(1, sizeof *t);
    unsigned s, l, kind = N_LPM_KINDS;

    while (!lpm_use(t, --kind))
        ;
    t->nodes.item_size = sizeof(struct node);
    t->values.item_size = sizeof(uint32_t);
    t->values.has_notes = has_notes;
    arena_get(&t->nodes, 1); /* Item 0 means none. */
    arena_get(&t->values, 1);
    for (l = 0; l < 2; l++) {
        t->family[l].root = arena_get(&t->nodes, 1);
        *node_at(t, t->family[l].root) = (struct node){0, 0, 0, 0};
    }
    for (s = 0; s < FANOUT; s++)
        for (l = 0; l < STRIDE; l++)
            t->allowed[s] |= UINT64_C(1)
                             << ((1u << l) - 1 + (s >> (STRIDE - l)));
    return t;
}

struct hg_lpm *
hg_lpm_create(void)
{
    return create(false);
}

struct hg_lpm *
hg_lpm_create_with_notes(void)
{
    return create(true);
}

void
hg_lpm_destroy(struct hg_lpm *t)
{
    unsigned i;

    if (!t)
        return;
    stretch_uninit(&t->nodes.items);
    stretch_uninit(&t->values.items);
    stretch_uninit(&t->values.notes);
    for (i = 0; i < 2; i++)
        large_free(t->family[i].direct, sizeof(struct direct));
    free(t);
}

/* ---- Walking ---------------------------------------------------------- */

struct tour {
    const struct hg_lpm *table;
    bool (*fn)(void *aux, const struct hg_prefix *, uint32_t value);
    void *aux;
    struct hg_prefix prefix;
};

/* Writes six bits behind 'depth' into an address, as far as it goes. */
static void
put_bits(uint8_t *byte, unsigned depth, unsigned s)
{
    unsigned i;

    for (i = depth ? 0 : PAD; i < STRIDE && depth + i < 128 + PAD; i++) {
        unsigned at = depth + i - PAD;
        unsigned mask = 0x80u >> at % 8;

        byte[at / 8] = (uint8_t)((byte[at / 8] & ~mask) |
                                 (s >> (STRIDE - 1 - i) & 1 ? mask : 0));
    }
}

/* The prefixes of 'n' that begin with the six bits 's' where it is their
 * lowest address; shorter ones first. */
static bool
visit_prefixes(struct tour *tour, const struct node *n, unsigned depth,
               unsigned s)
{
    unsigned l;

    for (l = 0; l < STRIDE; l++) {
        unsigned number = (1u << l) - 1 + (s >> (STRIDE - l));

        if (s & ((1u << (STRIDE - l)) - 1) || !(n->prefixes >> number & 1))
            continue;
        put_bits(tour->prefix.addr.byte, depth, s);
        tour->prefix.len = (uint8_t)(depth + l - PAD);
        if (!tour->fn(
                tour->aux, &tour->prefix,
                *value_at(tour->table, n->value + rank(n->prefixes, number))))
            return false;
    }
    return true;
}

static bool
visit_node(struct tour *tour, uint32_t i, unsigned depth)
{
    const struct node *n = node_at(tour->table, i);
    unsigned s;

    for (s = 0; s < FANOUT; s++) {
        if (!visit_prefixes(tour, n, depth, s))
            return false;
        if (!(n->children >> s & 1))
            continue;
        put_bits(tour->prefix.addr.byte, depth, s);
        if (!visit_node(tour, n->child + rank(n->children, s), depth + STRIDE))
            return false;
    }
    put_bits(tour->prefix.addr.byte, depth, 0);
    return true;
}

/* The prefixes of one family. */
static bool
lpm_foreach(const struct hg_lpm *t, const struct family *f,
            bool (*fn)(void *aux, const struct hg_prefix *, uint32_t value),
            void *aux)
{
    struct tour tour = {.table = t, .fn = fn, .aux = aux};

    tour.prefix.addr.family = f == &t->family[0] ? 4 : 6;
    return visit_node(&tour, f->root, 0);
}

void
hg_lpm_foreach(const struct hg_lpm *t,
               bool (*fn)(void *aux, const struct hg_prefix *, uint32_t value),
               void *aux)
{
    if (lpm_foreach(t, &t->family[0], fn, aux))
        lpm_foreach(t, &t->family[1], fn, aux);
}

/* ---- The direct root -------------------------------------------------- */

/* Takes over where the children of 'n' are, the node of depth 18 that leads
 * to the address. */
static void
direct_children(struct direct *direct, const struct node *n,
                const uint8_t *byte)
{
    struct direct_slot *slot =
        &direct->slot[direct_number(byte) & ~(FANOUT - 1u)];
    uint32_t child = n->child;
    unsigned s;

    for (s = 0; s < FANOUT; s++)
        slot[s].node = n->children >> s & 1 ? child++ : 0;
}

/* A prefix shorter than 19 bits, now with this value, counts in all slots
 * that have no longer one. */
static void
direct_set(struct direct *direct, const struct hg_prefix *prefix,
           uint32_t value)
{
    bool is_top = prefix->len <= TOP_BITS;
    unsigned bits = is_top ? TOP_BITS : DIRECT_BITS;
    uint32_t i =
        is_top ? prefix->addr.byte[0] : direct_number(prefix->addr.byte);
    uint32_t end = i + (1u << (bits - prefix->len));

    for (; is_top && i < end; i++)
        if (direct->top_len[i] <= prefix->len + 1) {
            direct->top[i] = value + 1;
            direct->top_len[i] = prefix->len + 1;
        }
    for (; !is_top && i < end; i++)
        if (direct->len[i] <= prefix->len) {
            direct->slot[i].value = value + 1;
            direct->len[i] = prefix->len;
        }
}

/* Such a prefix is gone: the next shorter one of its kind counts. */
static void
direct_remove(const struct hg_lpm *t, struct direct *direct,
              const struct hg_prefix *prefix)
{
    bool is_top = prefix->len <= TOP_BITS;
    unsigned least = is_top ? 0 : TOP_BITS + 1, bits;
    struct hg_prefix shorter = *prefix;
    uint32_t i, end, value = HG_LPM_NONE;

    while (shorter.len > least && value == HG_LPM_NONE) {
        shorter.len--;
        shorter.addr.byte[shorter.len / 8] &=
            (uint8_t)(0xff00u >> shorter.len % 8);
        value = hg_lpm_get(t, &shorter);
    }
    bits = is_top ? TOP_BITS : DIRECT_BITS;
    i = is_top ? prefix->addr.byte[0] : direct_number(prefix->addr.byte);
    end = i + (1u << (bits - prefix->len));
    for (; is_top && i < end; i++)
        if (direct->top_len[i] == prefix->len + 1) {
            direct->top[i] = value + 1;
            direct->top_len[i] = value == HG_LPM_NONE ? 0 : shorter.len + 1;
        }
    for (; !is_top && i < end; i++)
        if (direct->len[i] == prefix->len) {
            direct->slot[i].value = value + 1;
            direct->len[i] = value == HG_LPM_NONE ? 0 : shorter.len;
        }
}

static bool
direct_add_prefix(void *direct, const struct hg_prefix *prefix, uint32_t value)
{
    if (prefix->len < DIRECT_BITS)
        direct_set(direct, prefix, value);
    return true;
}

/* Takes over the nodes of depth 18 below node 'i', which the first bits of
 * 'byte' lead to. */
static void
direct_add_nodes(const struct hg_lpm *t, struct direct *direct, uint32_t i,
                 unsigned depth, uint32_t number)
{
    const struct node *n = node_at(t, i);
    uint32_t child = n->child;
    unsigned s;

    for (s = 0; s < FANOUT; s++) {
        uint32_t at = number << STRIDE | s;

        if (!(n->children >> s & 1))
            continue;
        if (depth + STRIDE == DIRECT_DEPTH)
            direct->slot[at].node = child;
        else
            direct_add_nodes(t, direct, child, depth + STRIDE, at);
        child++;
    }
}

/* Makes the direct root of a family that has grown large. */
static void
direct_create(struct hg_lpm *t, struct family *f)
{
    struct direct *direct = large_alloc(sizeof *direct);

    lpm_foreach(t, f, direct_add_prefix, direct);
    direct_add_nodes(t, direct, f->root, 0, 0);
    f->direct = direct;
}

/* ---- Changing --------------------------------------------------------- */

static uint32_t
add_child(struct hg_lpm *t, uint32_t parent, unsigned s)
{
    struct node *n = node_at(t, parent);
    unsigned at = rank(n->children, s);
    uint32_t first = arena_insert(&t->nodes, n->child, ones(n->children), at);

    n = node_at(t, parent);
    n->child = first;
    n->children |= UINT64_C(1) << s;
    *node_at(t, first + at) = (struct node){0, 0, 0, 0};
    return first + at;
}

/* Makes the node of a prefix, if it is not there, and returns it. */
static uint32_t
make_node(struct hg_lpm *t, const struct family *f,
          const struct hg_prefix *prefix)
{
    unsigned depth;
    uint32_t i = begin_of(f, prefix, &depth);

    if (!i) {
        i = f->root;
        depth = 0;
    }
    for (; depth + STRIDE <= depth_of(prefix); depth += STRIDE) {
        unsigned s = six_bits(prefix->addr.byte, depth);
        const struct node *n = node_at(t, i);
        uint32_t parent = i;

        if (n->children >> s & 1) {
            i = n->child + rank(n->children, s);
            continue;
        }
        i = add_child(t, parent, s);
        if (f->direct && depth + STRIDE == DIRECT_DEPTH)
            direct_children(f->direct, node_at(t, parent), prefix->addr.byte);
    }
    return i;
}

uint32_t
hg_lpm_set(struct hg_lpm *t, const struct hg_prefix *prefix, uint32_t value)
{
    struct family *f = &t->family[prefix->addr.family == 6];
    uint32_t i = make_node(t, f, prefix), old = HG_LPM_NONE;
    unsigned number = prefix_number(prefix->addr.byte, prefix->len);
    struct node *n = node_at(t, i);
    unsigned at = rank(n->prefixes, number);

    if (n->prefixes >> number & 1) {
        old = *value_at(t, n->value + at);
    } else {
        n->value = arena_insert(&t->values, n->value, ones(n->prefixes), at);
        n->prefixes |= UINT64_C(1) << number;
        f->count++;
        if (t->values.has_notes)
            *note(&t->values, n->value + at) = HG_LPM_NONE;
    }
    *value_at(t, n->value + at) = value;
    if (!f->direct && f->count >= DIRECT_FROM)
        direct_create(t, f);
    else if (f->direct && prefix->len < DIRECT_BITS)
        direct_set(f->direct, prefix, value);
    return old;
}

/* The nodes from the root to that of a prefix, which is there. */
static void
find_way(const struct hg_lpm *t, const struct family *f,
         const struct hg_prefix *prefix, uint32_t way[MAX_DEPTH])
{
    unsigned depth = 0;

    way[0] = f->root;
    for (; depth + STRIDE <= depth_of(prefix); depth += STRIDE) {
        const struct node *n = node_at(t, way[depth / STRIDE]);

        way[depth / STRIDE + 1] =
            n->child + rank(n->children, six_bits(prefix->addr.byte, depth));
    }
}

/* Takes nodes that have become empty out, from that of the prefix upwards. */
static void
prune(struct hg_lpm *t, const struct family *f, const struct hg_prefix *prefix)
{
    unsigned depth = depth_of(prefix) / STRIDE;
    uint32_t way[MAX_DEPTH];

    find_way(t, f, prefix, way);
    for (; depth > 0; depth--) {
        const struct node *n = node_at(t, way[depth]);
        struct node *parent = node_at(t, way[depth - 1]);
        unsigned s = six_bits(prefix->addr.byte, (depth - 1) * STRIDE);
        uint32_t first;

        if (n->prefixes || n->children)
            return;
        first = arena_erase(&t->nodes, parent->child, ones(parent->children),
                            rank(parent->children, s));
        parent = node_at(t, way[depth - 1]);
        parent->child = first;
        parent->children &= ~(UINT64_C(1) << s);
        if (f->direct && depth * STRIDE == DIRECT_DEPTH)
            direct_children(f->direct, parent, prefix->addr.byte);
    }
}

uint32_t
hg_lpm_remove(struct hg_lpm *t, const struct hg_prefix *prefix)
{
    struct family *f = &t->family[prefix->addr.family == 6];
    unsigned number = prefix_number(prefix->addr.byte, prefix->len), at;
    uint32_t i = find_node(t, prefix), old;
    struct node *n = node_at(t, i);

    if (!i || !(n->prefixes >> number & 1))
        return HG_LPM_NONE;
    at = rank(n->prefixes, number);
    old = *value_at(t, n->value + at);
    n->value = arena_erase(&t->values, n->value, ones(n->prefixes), at);
    n->prefixes &= ~(UINT64_C(1) << number);
    f->count--;
    if (!n->prefixes && !n->children)
        prune(t, f, prefix);
    if (f->direct && prefix->len < DIRECT_BITS)
        direct_remove(t, f->direct, prefix);
    return old;
}

size_t
hg_lpm_count(const struct hg_lpm *t)
{
    return t->family[0].count + t->family[1].count;
}

size_t
hg_lpm_bytes(const struct hg_lpm *t)
{
    size_t bytes = sizeof *t + t->nodes.n * t->nodes.item_size +
                   t->values.n * t->values.item_size;
    unsigned i;

    if (t->values.has_notes)
        bytes += t->values.n * sizeof(uint32_t);
    for (i = 0; i < 2; i++)
        bytes += t->family[i].direct ? sizeof(struct direct) : 0;
    return bytes;
}
