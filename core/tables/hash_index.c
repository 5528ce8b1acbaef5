/* hash_index.c: see hash_index.h. */
#include "hash_index.h"
#include "large.h"

void
hash_index_uninit(struct hash_index *x)
{
    large_free(x->slots, x->n_slots * sizeof *x->slots);
    *x = (struct hash_index){0};
}

static void
put(struct hash_index *x, struct hash_slot slot)
{
    size_t at = slot.hash & (x->n_slots - 1);

    while (x->slots[at].value)
        at = (at + 1) & (x->n_slots - 1);
    x->slots[at] = slot;
}

static void
grow(struct hash_index *x)
{
    struct hash_index bigger = {.n_slots = x->n_slots ? x->n_slots * 2 : 64,
                                .n_used = x->n_used};
    size_t i;

    bigger.slots = large_alloc(bigger.n_slots * sizeof *bigger.slots);
    for (i = 0; i < x->n_slots; i++)
        if (x->slots[i].value)
            put(&bigger, x->slots[i]);
    large_free(x->slots, x->n_slots * sizeof *x->slots);
    *x = bigger;
}

void
hash_index_add(struct hash_index *x, uint32_t hash, uint32_t record)
{
    if (x->n_used * 4 >= x->n_slots * 3)
        grow(x);
    put(x, (struct hash_slot){hash, record + 1});
    x->n_used++;
}

/* Closes the gap at 'hole': moves up what would not be found across it
 * (Knuth, TAOCP 6.4, algorithm R). */
static void
close_gap(struct hash_index *x, size_t hole)
{
    size_t mask = x->n_slots - 1, at = hole;

    for (;;) {
        size_t home;

        at = (at + 1) & mask;
        if (!x->slots[at].value)
            break;
        home = x->slots[at].hash & mask;
        if (((at - home) & mask) >= ((at - hole) & mask)) {
            x->slots[hole] = x->slots[at];
            hole = at;
        }
    }
    x->slots[hole] = (struct hash_slot){0, 0};
}

void
hash_index_remove(struct hash_index *x, uint32_t hash, uint32_t record)
{
    size_t at = hash_index_start(x, hash);

    if (!x->n_slots)
        return;
    for (; x->slots[at].value; at = (at + 1) & (x->n_slots - 1))
        if (x->slots[at].hash == hash && x->slots[at].value == record + 1) {
            close_gap(x, at);
            x->n_used--;
            return;
        }
}
