/* rules_cut.c: by which bits a list of rules is cut best.
 *
 * A cut is a window of bits of one word of a key; a packet goes to the child
 * that the window shows.  Since a leaf looks at all of a rule again, any
 * window is right, also one in the middle of an address.  Which is good is
 * seen by trying them: on a sample of the rules, what would a packet of a
 * random rule spend in its child? */
#include <string.h>

#include "rules_internal.h"

enum {
    BITS_STEP = 2, /* Windows of this many bits, twice as many, ... */
    SAMPLE = 512,  /* Rules that a window is tried on, at most. */
    WIDE_SHARE = 4 /* A rule in more of the children is wide. */
};

uint32_t
cut_span(const struct box *box, const struct cut *w, uint32_t *first)
{
    uint32_t size = 1u << w->bits;
    uint32_t low = box->low[w->word] >> w->shift;
    uint32_t more = (box->high[w->word] >> w->shift) - low;

    *first = more >= size - 1 ? 0 : low & (size - 1);
    return more >= size - 1 ? size : more + 1;
}

bool
cut_is_wide(const struct box *box, const struct cut *w)
{
    uint32_t first;

    return cut_span(box, w, &first) > (1u << w->bits) / WIDE_SHARE;
}

/* ---- What it costs ---------------------------------------------------- */

/* Roughly the nanoseconds that a packet spends with a list of n rules: one
 * after the other, or cut well; and in a tree or a scan of its own. */
static double
scan_ns(uint32_t n)
{
    uint32_t more = (n - 1) / LANES;

    return 6 + 3.0 * more;
}

/* The binary logarithm, straight between powers of two. */
static double
log_of(double n)
{
    double log = 0;

    for (; n >= 2; n /= 2)
        log++;
    return log + n - 1;
}

static double
list_ns(uint32_t n)
{
    double cut;

    if (n <= LANES)
        return n ? 6 : 1;
    cut = 6 + 5 * log_of((double)n / LANES);
    return cut < scan_ns(n) ? cut : scan_ns(n);
}

static double
tree_ns(uint32_t n)
{
    uint32_t more = n ? (n - 1) / LANES : 0;

    if (n > SCAN_FEW)
        return 13 + 3 * log_of((double)n / SCAN_FEW);
    return n ? 4 + 2.5 * more : 0;
}

/* ---- Trying ----------------------------------------------------------- */

/* A list of rules, some of which stand for all. */
struct sample {
    const struct box *box;
    const uint32_t *list;
    uint32_t n, step;
    bool may_set_aside;
    double ns[SAMPLE + 2]; /* list_ns() of what i of them stand for. */
};

/* What is in each of a cut's children, as differences to the one before. */
struct tally {
    int32_t rules[(1 << CUT_BITS_MAX) + 1];
    float weight[(1 << CUT_BITS_MAX) + 1]; /* The more, the likelier. */
};

static void
add(struct tally *t, uint32_t child, int32_t rules, float weight)
{
    t->rules[child] += rules;
    t->weight[child] += weight;
}

/* A rule that is in 'span' children from 'first' on. */
static void
add_span(struct tally *t, uint32_t size, uint32_t first, uint32_t span)
{
    float weight = 1.0f / (float)span;

    add(t, first, 1, weight);
    if (first + span > size) {
        add(t, size, -1, -weight);
        add(t, 0, 1, weight);
        first -= size;
    }
    add(t, first + span, -1, -weight);
}

/* What a packet of a random rule would spend below this cut, and with what is
 * left out of it; a little more, the more rules all children have. */
static double
cut_ns(const struct sample *s, const struct cut *w)
{
    uint32_t size = 1u << w->bits, first, span, wide = 0, i;
    double sum = 0, narrow = 0, total = 0;
    float weight = 0;
    int32_t rules = 0;
    struct tally t;

    memset(t.rules, 0, (size + 1) * sizeof *t.rules);
    memset(t.weight, 0, (size + 1) * sizeof *t.weight);
    for (i = 0; i < s->n; i += s->step) {
        span = cut_span(&s->box[s->list[i]], w, &first);
        if (s->may_set_aside && span > size / WIDE_SHARE) {
            wide += s->step;
            continue;
        }
        narrow++;
        total += span * s->step;
        add_span(&t, size, first, span);
    }
    if (narrow < 1)
        return scan_ns(s->n);
    for (i = 0; i < size; i++) {
        rules += t.rules[i];
        weight += t.weight[i];
        sum += s->ns[rules] * (double)weight;
    }
    return (5 + sum / narrow + tree_ns(wide)) *
           (1 + (total + size / 4.0) / s->n / 32);
}

/* Whether all rules are alike in a word. */
static bool
is_even(const struct sample *s, unsigned word)
{
    const struct box *one = &s->box[s->list[0]];
    uint32_t i;

    for (i = s->step; i < s->n; i += s->step)
        if (s->box[s->list[i]].low[word] != one->low[word] ||
            s->box[s->list[i]].high[word] != one->high[word])
            return false;
    return true;
}

bool
cut_choose(const struct box *boxes, const uint32_t *list, uint32_t n, bool six,
           bool may_set_aside, struct cut *best, uint64_t *work)
{
    static const uint8_t width[WORDS] = {32, 32, 32, 32, 32,
                                         32, 32, 32, 17, 26};
    struct sample s = {boxes, list, n, n / SAMPLE + 1, may_set_aside, {0}};
    double least = scan_ns(n), ns;
    bool found = false;
    unsigned d;

    for (d = 0; d < sizeof s.ns / sizeof s.ns[0]; d++)
        s.ns[d] = list_ns(d * s.step);
    for (d = 0; d < n_words(six); d++) {
        struct cut w = {.word = rules_words[six][d], .bits = BITS_STEP};

        if (is_even(&s, w.word))
            continue;
        for (; w.bits <= CUT_BITS_MAX && 1u << w.bits <= 4 * n;
             w.bits += BITS_STEP)
            for (w.shift = 0; w.shift + w.bits <= width[w.word]; w.shift++) {
                *work += n / s.step + (1u << w.bits);
                ns = cut_ns(&s, &w);
                if (ns < least) {
                    least = ns;
                    *best = w;
                    found = true;
                }
            }
    }
    return found;
}
