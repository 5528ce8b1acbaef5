/* hash_index.c: see hash_index.h. */
#include "hash_index.h"

void
hash_index_uninit(struct hash_index *x)
{
    stretch_uninit(&x->memory);
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

/* The new slots come right behind the old ones, in memory that is zero. */
static void
grow(struct hash_index *x)
{
    size_t n = x->n_slots, size = sizeof *x->slots, i;
    struct hash_slot *old;

    x->n_slots = n ? n * 2 : 64;
    stretch_grow(&x->memory, 2 * x->n_slots * size);
    old = (struct hash_slot *)x->memory.at + n;
    x->slots = (struct hash_slot *)x->memory.at + x->n_slots;
    for (i = 0; i < n; i++)
        if (old[i].value)
            put(x, old[i]);
    stretch_drop(&x->memory, n * size, 2 * n * size);
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
