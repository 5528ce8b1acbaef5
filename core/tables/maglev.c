/* maglev.c: fills the tables of headgate/maglev.h. */
#include <headgate/maglev.h>

#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

enum { FREE = UINT16_MAX };

/* How far a backend has come. */
struct turn {
    uint32_t slot;     /* Its next preference. */
    uint64_t gathered; /* Of its weight, since its last turn. */
};

bool
hg_maglev_is_size(uint32_t size)
{
    uint32_t divisor;

    if (size < 2 || size > HG_MAGLEV_MAX)
        return false;
    for (divisor = 2; divisor * divisor <= size; divisor++)
        if (size % divisor == 0)
            return false;
    return true;
}

void
hg_maglev_prefer(const char *name, uint64_t seed, uint32_t size,
                 struct hg_maglev_backend *b)
{
    size_t len = strlen(name);

    b->offset = (uint32_t)(XXH64(name, len, seed) % size);
    b->skip =
        size > 2 ? (uint32_t)(XXH64(name, len, seed + 1) % (size - 1)) + 1 : 1;
}

/* Takes the backend's next free slot; there is one, and its preferences reach
 * every slot because the size is prime. */
static void
take_slot(uint16_t *table, uint32_t size, const struct hg_maglev_backend *b,
          struct turn *turn, size_t number)
{
    bool taken = false;

    while (!taken) {
        if (table[turn->slot] == FREE) {
            table[turn->slot] = (uint16_t)number;
            taken = true;
        }
        turn->slot += b->skip;
        if (turn->slot >= size)
            turn->slot -= size;
    }
}

bool
hg_maglev_fill(uint16_t *table, uint32_t size,
               const struct hg_maglev_backend *b, size_t n)
{
    uint32_t heaviest = 0, left = size;
    struct turn *turns;
    size_t i;

    for (i = 0; i < n; i++)
        if (b[i].weight > heaviest)
            heaviest = b[i].weight;
    turns = heaviest ? calloc(n, sizeof *turns) : NULL;
    if (!turns)
        return false;
    for (i = 0; i < n; i++)
        turns[i].slot = b[i].offset;
    for (i = 0; i < size; i++)
        table[i] = FREE;
    for (i = 0; left; i = (i + 1) % n) {
        turns[i].gathered += b[i].weight;
        if (turns[i].gathered < heaviest)
            continue;
        turns[i].gathered -= heaviest;
        take_slot(table, size, &b[i], &turns[i], i);
        left--;
    }
    free(turns);
    return true;
}
