/* rules_bits.c: the bit vectors of rules.h.
 *
 * An axis is one dimension of a group: its intervals in order, and for each
 * the vector of the boxes that cover it (equal ones are stored once).  A
 * table over the highest bits of the value narrows the binary search. */
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "../graph_internal.h"
#include "rules_internal.h"

enum { WORDS_STEP = 8, FIRST_BITS_MAX = 14 };

struct axis {
    uint32_t n;       /* Intervals. */
    uint8_t shift;    /* Of a value, for its entry in 'first'. */
    uint32_t n_first; /* Entries, one more than values have. */
    uint16_t *first;  /* The interval of the lowest value of an entry. */
    uint32_t *bound;  /* Where each interval begins. */
    uint16_t *vector; /* Of each interval, by number. */
    uint64_t *bits;   /* The vectors. */
    uint32_t n_vectors;
};

struct bit_group {
    bool six;
    uint32_t words;     /* Of a vector: a multiple of WORDS_STEP. */
    struct axis axis[]; /* One for each word of a key that is used. */
};

/* Box 'box' begins or ends to cover values from 'at' on. */
struct event {
    uint32_t at;
    uint32_t box;
    bool begins;
};

/* Vectors while an axis is built, found again by their hash. */
struct interning {
    uint64_t *bits;
    uint32_t n, room, words;
    uint32_t *slot; /* Number of a vector plus one; 0: free. */
    uint32_t n_slots;
};

/* Bits of a key's word. */
static unsigned
width_of(unsigned word)
{
    return word < HG_RULE_SPORT ? 32 : word == HG_RULE_SPORT ? 17 : 26;
}

/* ---- Building --------------------------------------------------------- */

static int
compare_events(const void *a_, const void *b_)
{
    const struct event *a = (const struct event *)a_;
    const struct event *b = (const struct event *)b_;

    return (a->at > b->at) - (a->at < b->at);
}

static uint32_t
collect_events(const struct box *boxes, uint32_t n, unsigned word,
               uint32_t limit, struct event *events)
{
    uint32_t n_events = 0, i;

    for (i = 0; i < n; i++) {
        events[n_events++] = (struct event){boxes[i].low[word], i, true};
        if (boxes[i].high[word] < limit)
            events[n_events++] =
                (struct event){boxes[i].high[word] + 1, i, false};
    }
    if (n_events)
        qsort(events, n_events, sizeof *events, compare_events);
    return n_events;
}

static uint16_t
intern(struct interning *t, const uint64_t *bits)
{
    size_t size = t->words * sizeof *bits;
    uint32_t i = (uint32_t)XXH64(bits, size, 0) & (t->n_slots - 1);

    for (; t->slot[i]; i = (i + 1) & (t->n_slots - 1))
        if (!memcmp(t->bits + (t->slot[i] - 1) * (size_t)t->words, bits, size))
            return (uint16_t)(t->slot[i] - 1);
    if (t->n == t->room) {
        t->room = t->room ? t->room * 2 : 16;
        t->bits = xrealloc(t->bits, t->room * size);
    }
    memcpy(t->bits + t->n * (size_t)t->words, bits, size);
    t->slot[i] = ++t->n;
    return (uint16_t)(t->n - 1);
}

/* Begins an interval at 'at', unless it is like the one before. */
static void
add_interval(struct axis *axis, uint32_t at, uint16_t vector)
{
    if (axis->n && axis->vector[axis->n - 1] == vector)
        return;
    axis->bound[axis->n] = at;
    axis->vector[axis->n++] = vector;
}

static void
sweep(struct axis *axis, struct interning *vectors, const struct event *events,
      uint32_t n_events)
{
    uint64_t *now = xcalloc(vectors->words, sizeof *now);
    uint32_t i = 0;

    if (!n_events || events[0].at)
        add_interval(axis, 0, intern(vectors, now));
    while (i < n_events) {
        uint32_t at = events[i].at;

        for (; i < n_events && events[i].at == at; i++) {
            uint64_t bit = UINT64_C(1) << (events[i].box & 63);

            if (events[i].begins)
                now[events[i].box / 64] |= bit;
            else
                now[events[i].box / 64] &= ~bit;
        }
        add_interval(axis, at, intern(vectors, now));
    }
    free(now);
}

static void
index_axis(struct axis *axis, unsigned width)
{
    unsigned bits = 1;
    uint32_t k, i = 0;

    while (bits < width && bits < FIRST_BITS_MAX && 1u << bits < 2 * axis->n)
        bits++;
    axis->shift = (uint8_t)(width - bits);
    axis->n_first = (1u << bits) + 1;
    axis->first = xcalloc(axis->n_first, sizeof *axis->first);
    for (k = 0; k + 1 < axis->n_first; k++) {
        while (i + 1 < axis->n && axis->bound[i + 1] <= k << axis->shift)
            i++;
        axis->first[k] = (uint16_t)i;
    }
    axis->first[k] = (uint16_t)(axis->n - 1);
}

static void
axis_init(struct axis *axis, const struct box *boxes, uint32_t n,
          unsigned word, uint32_t words)
{
    struct interning vectors = {.words = words};
    unsigned width = width_of(word);
    uint32_t limit = UINT32_MAX >> (32 - width);
    struct event *events = xcalloc(2 * n, sizeof *events);
    uint32_t n_events = collect_events(boxes, n, word, limit, events);
    size_t size;

    for (vectors.n_slots = 16; vectors.n_slots < 3 * (n_events + 1);)
        vectors.n_slots *= 2;
    vectors.slot = xcalloc(vectors.n_slots, sizeof *vectors.slot);
    axis->bound = xcalloc(n_events + 1, sizeof *axis->bound);
    axis->vector = xcalloc(n_events + 1, sizeof *axis->vector);
    sweep(axis, &vectors, events, n_events);
    index_axis(axis, width);
    axis->n_vectors = vectors.n;
    size = vectors.n * (size_t)words * sizeof *axis->bits;
    axis->bits = rules_alloc(size);
    memcpy(axis->bits, vectors.bits, size);
    free(vectors.bits);
    free(vectors.slot);
    free(events);
}

struct bit_group *
bit_group_create(const struct box *boxes, uint32_t n, bool six)
{
    struct bit_group *g =
        xcalloc(1, sizeof *g + n_words(six) * sizeof *g->axis);
    unsigned i;

    g->six = six;
    g->words = (n + 63) / 64;
    g->words = (g->words + WORDS_STEP - 1) / WORDS_STEP * WORDS_STEP;
    for (i = 0; i < n_words(six); i++)
        axis_init(&g->axis[i], boxes, n, rules_words[six][i], g->words);
    return g;
}

void
bit_group_destroy(struct bit_group *g)
{
    unsigned i;

    for (i = 0; i < n_words(g->six); i++) {
        free(g->axis[i].first);
        free(g->axis[i].bound);
        free(g->axis[i].vector);
        free(g->axis[i].bits);
    }
    free(g);
}

size_t
bit_group_bytes(const struct bit_group *g)
{
    size_t bytes = sizeof *g + n_words(g->six) * sizeof *g->axis;
    unsigned i;

    for (i = 0; i < n_words(g->six); i++) {
        const struct axis *a = &g->axis[i];

        bytes += a->n_first * sizeof *a->first +
                 a->n * (sizeof *a->vector + sizeof *a->bound) +
                 a->n_vectors * (size_t)g->words * sizeof *a->bits;
    }
    return bytes;
}

/* ---- Looking up ------------------------------------------------------- */

static uint32_t
find_interval(const struct axis *axis, uint32_t value)
{
    const uint16_t *first = &axis->first[value >> axis->shift];
    uint32_t low = first[0], n = first[1] - low + 1u;

    while (n > 1) {
        uint32_t half = n / 2;

        low = axis->bound[low + half] <= value ? low + half : low;
        n -= half;
    }
    return low;
}

void
bit_group_locate(const struct bit_group *g, const uint32_t *at, unsigned step,
                 const uint64_t *vector[WORDS])
{
    unsigned i;

    for (i = 0; i < n_words(g->six); i++) {
        const struct axis *axis = &g->axis[i];
        uint32_t interval =
            find_interval(axis, at[rules_words[g->six][i] * step]);

        vector[i] = axis->bits + axis->vector[interval] * (size_t)g->words;
        __builtin_prefetch(vector[i]);
    }
}

uint32_t
bit_group_words(const struct bit_group *g)
{
    return g->words;
}
