/* memory.c: see headgate/memory.h. */
#include <headgate/memory.h>

#include <sys/mman.h>

static const uintptr_t PAGE = 4096, HUGE_PAGE = (uintptr_t)1 << 21;

static uint64_t
mapped_size(uint64_t size, uint64_t n_small)
{
    uint64_t rest = size > n_small ? size - n_small : 0;

    return n_small + (rest + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
}

void *
hg_memory_reserve(uint64_t size, uint64_t n_small)
{
    uint64_t mapped = mapped_size(size, n_small);
    size_t more = mapped + HUGE_PAGE, ahead;
    uint8_t *p = mmap(NULL, more, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (p == MAP_FAILED)
        return NULL;
    ahead = HUGE_PAGE - ((uintptr_t)p + n_small) % HUGE_PAGE;
    munmap(p, ahead);
    p += ahead;
    if (ahead < HUGE_PAGE)
        munmap(p + mapped, HUGE_PAGE - ahead);
    if (mapped > n_small) /* Only makes it faster. */
        madvise(p + n_small, mapped - n_small, MADV_HUGEPAGE);
    return p;
}

void
hg_memory_release(void *p, uint64_t size, uint64_t n_small)
{
    if (p)
        munmap(p, mapped_size(size, n_small));
}

void
hg_memory_populate(void *at, size_t size)
{
#ifdef MADV_POPULATE_WRITE /* Linux 5.14; without it pages come in later. */
    uintptr_t ahead = (uintptr_t)at % PAGE;

    if (size)
        madvise((uint8_t *)at - ahead, size + ahead, MADV_POPULATE_WRITE);
#else
    (void)at;
    (void)size;
#endif
}
