/* large.c: see large.h. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <headgate/memory.h>

#include "../graph_internal.h"
#include "large.h"

static const size_t HUGE_PAGE = (size_t)1 << 21;
static const size_t RESERVE = (size_t)1 << 30; /* Addresses, not memory. */
/* What a stretch has of the heap, at most.  Huge pages cost less from here on:
 * one as much as a dozen small ones. */
static const size_t HEAP_MAX = (size_t)32 << 10;

static size_t
round_up(size_t size)
{
    return (size + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1);
}

/* Huge pages; ends the program without memory. */
static void *
must_map(size_t size)
{
    void *p = hg_memory_reserve(size, 0);

    return p ? p : xcalloc(SIZE_MAX / 2, 2);
}

/* Zeroed bytes of the heap at the beginning of a cache line. */
static void *
small_alloc(size_t size)
{
    enum { LINE = 64 };
    size_t lines = (size + LINE - 1) / LINE;
    void *p = aligned_alloc(LINE, (lines ? lines : 1) * LINE);

    return p ? memset(p, 0, size) : xcalloc(SIZE_MAX / 2, 2);
}

void *
large_alloc(size_t size)
{
    return size < HUGE_PAGE ? small_alloc(size) : must_map(size);
}

void
large_free(void *p, size_t size)
{
    if (size < HUGE_PAGE)
        free(p);
    else
        hg_memory_release(p, size, 0);
}

void
stretch_grow(struct stretch *s, size_t size)
{
    struct stretch bigger = {.size = size};

    if (size <= s->reserved) {
        s->size = size > s->size ? size : s->size;
        return;
    }
    if (size < HEAP_MAX) {
        s->at = xrealloc(s->at, size);
        memset((uint8_t *)s->at + s->reserved, 0, size - s->reserved);
        s->size = s->reserved = size;
        return;
    }
    bigger.reserved = RESERVE;
    while (bigger.reserved < size * 2)
        bigger.reserved *= 2;
    bigger.at = hg_memory_reserve(bigger.reserved, 0);
    if (!bigger.at) { /* Addresses are limited, too (RLIMIT_AS). */
        bigger.reserved = round_up(size * 2);
        bigger.at = must_map(bigger.reserved);
    }
    if (s->size)
        memcpy(bigger.at, s->at, s->size);
    large_free(s->at, s->reserved);
    *s = bigger;
}

void
stretch_drop(struct stretch *s, size_t from, size_t to)
{
    from = round_up(from);
    to &= ~(HUGE_PAGE - 1);
    if (from < to)
        madvise((uint8_t *)s->at + from, to - from, MADV_DONTNEED);
}

void
stretch_uninit(struct stretch *s)
{
    large_free(s->at, s->reserved);
    *s = (struct stretch){0};
}
