/* timer.c: the hierarchical timer wheel (timer.h).
 *
 * A tick is one nanosecond.  Eleven levels of 64 slots cover all of a 64-bit
 * time: seen as digits of six bits, a deadline lies on the level of its most
 * significant digit that differs from now, in the slot of that digit.  So a
 * timer on a lower level is always due before one on a higher, and a slot of
 * level 0 holds one deadline only.  A bitmap per level tells which slots are
 * in use: time jumps from deadline to deadline, whatever lies between.
 *
 * When now moves, at most one slot has to be spread over lower levels: that
 * of now's digit on the level of the most significant digit that changed.
 * Everything below it would be due and everything above it stays.
 *
 * Timers of one deadline are sorted once when that time comes ('due'). */
#include <headgate/timer.h>

#include <stdlib.h>

enum { DIGIT_BITS = 6, SLOTS = 64, LEVELS = 11, DUE = LEVELS * SLOTS };

struct hg_wheel {
    uint64_t now_ns;
    uint64_t last_id;
    uint64_t next_ns;       /* The earliest deadline beyond 'due' ... */
    bool next_known;        /* ... if this is set. */
    uint16_t levels;        /* Which levels are in use. */
    struct hg_timer *due;   /* All of deadline now_ns, in order. */
    uint64_t slots[LEVELS]; /* Which slots are in use. */
    struct hg_timer *slot[LEVELS * SLOTS];
};

struct hg_wheel *
hg_wheel_create(void)
{
    struct hg_wheel *w = calloc(1, sizeof *w);

    if (w) {
        w->next_ns = HG_NEVER;
        w->next_known = true;
    }
    return w;
}

void
hg_wheel_destroy(struct hg_wheel *w)
{
    free(w);
}

uint64_t
hg_wheel_now(const struct hg_wheel *w)
{
    return w->now_ns;
}

static inline unsigned
digit(uint64_t t, unsigned level)
{
    return (unsigned)(t >> (level * DIGIT_BITS)) & (SLOTS - 1);
}

/* The most significant digit in which two different times differ. */
static inline unsigned
level_between(uint64_t a, uint64_t b)
{
    return (63U - (unsigned)__builtin_clzll(a ^ b)) / DIGIT_BITS;
}

static void
link_timer(struct hg_timer **head, struct hg_timer *t)
{
    t->next = *head;
    t->link = head;
    if (t->next)
        t->next->link = &t->next;
    *head = t;
}

static void
unlink_timer(struct hg_timer *t)
{
    *t->link = t->next;
    if (t->next)
        t->next->link = t->link;
}

static void
put_into_slot(struct hg_wheel *w, struct hg_timer *t)
{
    unsigned level = level_between(t->deadline_ns, w->now_ns);
    unsigned slot = digit(t->deadline_ns, level);

    t->slot = (uint16_t)(level * SLOTS + slot);
    link_timer(&w->slot[t->slot], t);
    w->slots[level] |= UINT64_C(1) << slot;
    w->levels = (uint16_t)(w->levels | 1U << level);
}

static void
mark_empty(struct hg_wheel *w, unsigned slot)
{
    unsigned level = slot / SLOTS;

    w->slots[level] &= ~(UINT64_C(1) << slot % SLOTS);
    if (!w->slots[level])
        w->levels = (uint16_t)(w->levels & ~(1U << level));
}

void
hg_wheel_cancel(struct hg_wheel *w, struct hg_timer *t)
{
    if (!t->pending)
        return;
    unlink_timer(t);
    if (t->slot != DUE) {
        if (!w->slot[t->slot])
            mark_empty(w, t->slot);
        if (t->deadline_ns == w->next_ns)
            w->next_known = false;
    }
    t->pending = false;
    t->deadline_ns = HG_NEVER;
}

void
hg_wheel_set(struct hg_wheel *w, struct hg_timer *t, uint64_t deadline_ns)
{
    hg_wheel_cancel(w, t);
    if (deadline_ns <= w->now_ns)
        deadline_ns = w->now_ns == HG_NEVER ? HG_NEVER : w->now_ns + 1;
    t->deadline_ns = deadline_ns;
    if (deadline_ns == HG_NEVER)
        return;
    t->id = ++w->last_id;
    t->pending = true;
    put_into_slot(w, t);
    if (deadline_ns < w->next_ns)
        w->next_ns = deadline_ns;
}

/* The earliest deadline of the lowest slot in use. */
static uint64_t
find_next(const struct hg_wheel *w)
{
    const struct hg_timer *t;
    uint64_t earliest = HG_NEVER;
    unsigned level;

    if (!w->levels)
        return HG_NEVER;
    level = (unsigned)__builtin_ctz(w->levels);
    t = w->slot[level * SLOTS + (unsigned)__builtin_ctzll(w->slots[level])];
    for (; t; t = t->next)
        if (t->deadline_ns < earliest)
            earliest = t->deadline_ns;
    return earliest;
}

uint64_t
hg_wheel_next(struct hg_wheel *w)
{
    if (w->due)
        return w->now_ns;
    if (!w->next_known) {
        w->next_ns = find_next(w);
        w->next_known = true;
    }
    return w->next_ns;
}

static bool
fires_before(const struct hg_timer *a, const struct hg_timer *b)
{
    return a->order != b->order ? a->order < b->order : a->id < b->id;
}

static struct hg_timer *
merge(struct hg_timer *a, struct hg_timer *b)
{
    struct hg_timer *head = NULL;
    struct hg_timer **tail = &head;

    while (a && b) {
        struct hg_timer **first = fires_before(a, b) ? &a : &b;

        *tail = *first;
        tail = &(*first)->next;
        *first = *tail;
    }
    *tail = a ? a : b;
    return head;
}

/* Sorts a list by its 'next' alone: run[i] holds 2^i timers or none. */
static struct hg_timer *
sort(struct hg_timer *list)
{
    struct hg_timer *run[64] = {NULL};
    struct hg_timer *sorted = NULL;
    unsigned i;

    while (list) {
        struct hg_timer *t = list;

        list = t->next;
        t->next = NULL;
        for (i = 0; run[i]; i++) {
            t = merge(run[i], t);
            run[i] = NULL;
        }
        run[i] = t;
    }
    for (i = 0; i < 64; i++)
        sorted = merge(sorted, run[i]);
    return sorted;
}

/* Makes the list, whose deadline is now, the due ones. */
static void
make_due(struct hg_wheel *w, struct hg_timer *list)
{
    struct hg_timer **link = &w->due;
    struct hg_timer *t;

    /* Most are alone; a gap in a capture is full of them. */
    w->due = list->next ? sort(list) : list;
    for (t = w->due; t; t = t->next) {
        t->slot = DUE;
        t->link = link;
        link = &t->next;
    }
}

/* Moves now to 'now_ns', before which no timer is due and none is in 'due';
 * those due at it go there. */
static void
move_now(struct hg_wheel *w, uint64_t now_ns)
{
    unsigned level = level_between(w->now_ns, now_ns);
    unsigned slot = level * SLOTS + digit(now_ns, level);
    struct hg_timer *list = w->slot[slot];
    struct hg_timer *due = NULL;

    w->now_ns = now_ns;
    if (!list)
        return;
    w->slot[slot] = NULL;
    mark_empty(w, slot);
    while (list) {
        struct hg_timer *t = list;

        list = t->next;
        if (t->deadline_ns == now_ns) {
            t->next = due;
            due = t;
        } else {
            put_into_slot(w, t);
        }
    }
    if (due) {
        make_due(w, due);
        w->next_known = false;
    }
}

struct hg_timer *
hg_wheel_advance(struct hg_wheel *w, uint64_t now_ns)
{
    struct hg_timer *t;

    if (!w->due) {
        uint64_t to = hg_wheel_next(w);

        if (to > now_ns)
            to = now_ns;
        if (to > w->now_ns)
            move_now(w, to);
    }
    t = w->due;
    if (t)
        hg_wheel_cancel(w, t);
    return t;
}
