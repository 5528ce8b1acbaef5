/* inventory_memory.c: where an inventory keeps its records, which neither move
 * nor go before it is destroyed.
 *
 * Memory comes in chunks of 2 MiB, those of ENIs apart from all else, so that
 * what packets need of them, a cache line each, lies close together; chunk and
 * offset are an ENI's place, a number of 32 bits. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "../graph_internal.h"
#include "inventory_internal.h"
#include "large.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

enum { FIRST_CHUNK = 1 << 16 }; /* Bytes. */

static_assert(sizeof(struct hg_eni) <= ENI_ALIGN,
              "what packets need of an ENI must fit one cache line");

static void
add_chunk(struct hg_inventory *inventory, struct chunk *chunk)
{
    size_t n = inventory->n_chunks;

    if (!(n & (n - 1)))
        inventory->chunks = xrealloc(
            inventory->chunks, (n ? n * 2 : 1) * sizeof *inventory->chunks);
    inventory->chunks[inventory->n_chunks++] = chunk;
    inventory->chunks_size += chunk->size;
}

/* Room for 'size' bytes that begins at a multiple of 'align', in the chunk
 * that is being filled. */
static void *
room(struct hg_inventory *inventory, struct chunk **filling, size_t size,
     size_t align)
{
    struct chunk *chunk = *filling;
    size_t from = chunk ? (chunk->used + align - 1) & ~(align - 1) : 0;

    if (!chunk || from > chunk->size || chunk->size - from < size) {
        size_t least = sizeof *chunk + size + align;
        size_t all = chunk ? CHUNK_SIZE : FIRST_CHUNK;

        all = all < least ? least : all;
        chunk = large_alloc(all);
        *chunk = (struct chunk){all, sizeof *chunk, inventory->n_chunks};
        *filling = chunk;
        add_chunk(inventory, chunk);
        from = (chunk->used + align - 1) & ~(align - 1);
    }
    chunk->used = from + size;
    return (uint8_t *)chunk + from;
}

struct hg_eni *
inventory_place_eni(struct hg_inventory *inventory, uint32_t *place)
{
    uint8_t *eni = room(inventory, &inventory->filling_enis,
                        sizeof(struct hg_eni), ENI_ALIGN);
    const struct chunk *chunk = inventory->filling_enis;

    *place = chunk->number * PLACES_PER_CHUNK +
             (uint32_t)((size_t)(eni - (const uint8_t *)chunk) / ENI_ALIGN);
    return (struct hg_eni *)(void *)eni;
}

void *
inventory_block(struct hg_inventory *inventory, const void *from, size_t size)
{
    void *copy = room(inventory, &inventory->filling, size, 8);

    if (size)
        memcpy(copy, from, size);
    return copy;
}

char *
inventory_text(struct hg_inventory *inventory, const char *s)
{
    size_t size = s ? strlen(s) + 1 : 0;

    return s ? memcpy(room(inventory, &inventory->filling, size, 1), s, size)
             : NULL;
}

uint32_t
inventory_hash_text(const char *s)
{
    return (uint32_t)XXH3_64bits(s, strlen(s));
}

char *
inventory_shared_text(struct hg_inventory *inventory, const char *s)
{
    uint32_t hash = s ? inventory_hash_text(s) : 0, i;
    size_t at = hash_index_start(&inventory->by_word, hash);
    size_t n = inventory->n_words;
    char *copy;

    if (!s)
        return NULL;
    while ((i = hash_index_candidate(&inventory->by_word, hash, &at)) !=
           HASH_INDEX_END)
        if (!strcmp(inventory->words[i], s))
            return (char *)(uintptr_t)inventory->words[i];
    if (!(n & (n - 1)))
        inventory->words =
            xrealloc(inventory->words, (n ? n * 2 : 1) * sizeof(char *));
    copy = inventory_text(inventory, s);
    inventory->words[n] = copy;
    hash_index_add(&inventory->by_word, hash, (uint32_t)n);
    inventory->n_words++;
    return copy;
}

void
inventory_join_memory(struct hg_inventory *to, struct hg_inventory *from)
{
    uint32_t i;

    for (i = 0; i < from->n_chunks; i++)
        add_chunk(to, from->chunks[i]);
    free(from->chunks);
}

void
inventory_free_memory(struct hg_inventory *inventory)
{
    uint32_t i;

    for (i = 0; i < inventory->n_chunks; i++)
        large_free(inventory->chunks[i], inventory->chunks[i]->size);
    free(inventory->chunks);
}
