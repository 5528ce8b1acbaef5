/* large.c: see large.h. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "../graph_internal.h"
#include "large.h"

static const size_t HUGE_PAGE = (size_t)1 << 21;
static const size_t RESERVE = (size_t)1 << 30; /* Addresses, not memory. */

static size_t
round_up(size_t size)
{
    return (size + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1);
}

/* 'size' bytes of pages, a multiple of huge ones and aligned to them; NULL if
 * the kernel refuses. */
static void *
map(size_t size)
{
    size_t more = size + HUGE_PAGE, head;
    uint8_t *p = mmap(NULL, more, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (p == MAP_FAILED)
        return NULL;
    head = round_up((uintptr_t)p) - (uintptr_t)p;
    if (head)
        munmap(p, head);
    if (head < HUGE_PAGE)
        munmap(p + head + size, HUGE_PAGE - head);
    madvise(p + head, size, MADV_HUGEPAGE); /* Only makes it faster. */
    return p + head;
}

/* The same; ends the program without memory. */
static void *
must_map(size_t size)
{
    void *p = map(size);

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
    return size < HUGE_PAGE ? small_alloc(size) : must_map(round_up(size));
}

void
large_free(void *p, size_t size)
{
    if (size < HUGE_PAGE)
        free(p);
    else if (p)
        munmap(p, round_up(size));
}

void
stretch_grow(struct stretch *s, size_t size)
{
    struct stretch bigger = {.size = size};

    if (size <= s->reserved) {
        s->size = size > s->size ? size : s->size;
        return;
    }
    if (size < HUGE_PAGE) {
        s->at = xrealloc(s->at, size);
        memset((uint8_t *)s->at + s->reserved, 0, size - s->reserved);
        s->size = s->reserved = size;
        return;
    }
    bigger.reserved = RESERVE;
    while (bigger.reserved < size * 2)
        bigger.reserved *= 2;
    bigger.at = map(bigger.reserved);
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
stretch_uninit(struct stretch *s)
{
    large_free(s->at, s->reserved);
    *s = (struct stretch){0};
}
