/* area.c: memory that grows in place (area.h).
 *
 * The first touch of a page takes long: the kernel clears it, and the host of
 * a virtual machine may have to find it, which takes milliseconds for a huge
 * one.  So the pages of a large area are touched by a thread of its own, the
 * next ones when half of the last ones is in use. */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include <headgate/memory.h>
#include <headgate/types.h>

#include "area.h"

/* Areas that may become larger than LARGE are on huge pages. */
static const size_t HUGE_PAGE = (size_t)1 << 21;
static const size_t LARGE = (size_t)1 << 25;
static const size_t SMALL_PAGE = 4096;

static size_t
round_up(size_t size, size_t to)
{
    return (size + to - 1) / to * to;
}

static size_t
least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* ---- The thread ------------------------------------------------------- */

struct area_ahead {
    pthread_t thread;
    pthread_mutex_t lock; /* For all below. */
    pthread_cond_t changed;
    volatile uint8_t *from;
    size_t size; /* Bytes to be touched; 0: nothing to do. */
    bool ended;
};

static void *
touch_ahead(void *ahead_)
{
    struct area_ahead *ahead = ahead_;
    size_t i;

    pthread_mutex_lock(&ahead->lock);
    for (;;) {
        while (!ahead->size && !ahead->ended)
            pthread_cond_wait(&ahead->changed, &ahead->lock);
        if (ahead->ended)
            break;
        pthread_mutex_unlock(&ahead->lock);
        for (i = 0; i < ahead->size; i += SMALL_PAGE)
            ahead->from[i] = 0;
        pthread_mutex_lock(&ahead->lock);
        ahead->size = 0;
        pthread_cond_signal(&ahead->changed);
    }
    pthread_mutex_unlock(&ahead->lock);
    return NULL;
}

/* NULL: there is no thread to be had, and pages are touched when needed. */
static struct area_ahead *
ahead_create(void)
{
    struct area_ahead *ahead = calloc(1, sizeof *ahead);
    sigset_t all, before;
    bool ok;

    if (!ahead)
        return NULL;
    pthread_mutex_init(&ahead->lock, NULL);
    pthread_cond_init(&ahead->changed, NULL);
    sigfillset(&all); /* Signals are the program's. */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    ok = pthread_create(&ahead->thread, NULL, touch_ahead, ahead) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (ok)
        return ahead;
    pthread_cond_destroy(&ahead->changed);
    pthread_mutex_destroy(&ahead->lock);
    free(ahead);
    return NULL;
}

static void
ahead_destroy(struct area_ahead *ahead)
{
    if (!ahead)
        return;
    pthread_mutex_lock(&ahead->lock);
    ahead->ended = true;
    pthread_cond_signal(&ahead->changed);
    pthread_mutex_unlock(&ahead->lock);
    pthread_join(ahead->thread, NULL);
    pthread_cond_destroy(&ahead->changed);
    pthread_mutex_destroy(&ahead->lock);
    free(ahead);
}

/* Returns when all that it was given is touched. */
static void
ahead_wait(struct area_ahead *ahead)
{
    pthread_mutex_lock(&ahead->lock);
    while (ahead->size)
        pthread_cond_wait(&ahead->changed, &ahead->lock);
    pthread_mutex_unlock(&ahead->lock);
}

static void
ahead_give(struct area_ahead *ahead, uint8_t *from, size_t size)
{
    pthread_mutex_lock(&ahead->lock);
    ahead->from = from;
    ahead->size = size;
    pthread_cond_signal(&ahead->changed);
    pthread_mutex_unlock(&ahead->lock);
}

/* ---- Areas ------------------------------------------------------------ */

/* The first huge page is got as small ones, by tables that stay small; all of
 * an area that cannot become large. */
static size_t
small_part(const struct area *a)
{
    return a->reserved > LARGE ? HUGE_PAGE : a->reserved;
}

bool
area_reserve(struct area *a, size_t size)
{
    *a = (struct area){.reserved = round_up(size, HUGE_PAGE)};
    a->at = hg_memory_reserve(a->reserved, small_part(a));
    return a->at != NULL;
}

void
area_release(struct area *a)
{
    ahead_destroy(a->ahead);
    hg_memory_release(a->at, a->reserved, small_part(a));
    *a = (struct area){0};
}

/* How many bytes more an area gets at a time: whole huge pages, a 64th of what
 * there is, so that what nobody needs yet is no more than that. */
static size_t
step_of(size_t size)
{
    if (size < HUGE_PAGE)
        return HUGE_PAGE / 8;
    return round_up(least(size / 64, 8 * HUGE_PAGE), HUGE_PAGE);
}

/* Has the next step touched. */
static void
go_ahead(struct area *a)
{
    size_t to = least(a->usable + step_of(a->usable), a->reserved);

    if (!a->ahead)
        a->ahead = ahead_create();
    if (!a->ahead || to == a->usable)
        return;
    a->touched = to;
    ahead_give(a->ahead, a->at + a->usable, to - a->usable);
}

/* What was touched, else what is touched as it is needed. */
static void
get_more(struct area *a, size_t size)
{
    size_t step = size < HUGE_PAGE ? step_of(size) : HUGE_PAGE;

    if (a->touched > a->usable) {
        ahead_wait(a->ahead);
        a->usable = a->touched;
    }
    if (size > a->usable)
        a->usable = least(round_up(size, step), a->reserved);
}

bool
area_grow(struct area *a, size_t size)
{
    if (size < a->calm)
        return true;
    if (size > a->reserved)
        return false;
    if (size > a->usable)
        get_more(a, size);
    a->calm = a->usable - step_of(a->usable) / 2;
    if (size < a->calm)
        return true;
    if (a->reserved > LARGE && a->usable >= HUGE_PAGE)
        go_ahead(a);
    a->calm = a->usable + 1;
    return true;
}

size_t
area_bytes(const struct area *a, size_t used)
{
    size_t page =
        used > HUGE_PAGE && a->reserved > LARGE ? HUGE_PAGE : SMALL_PAGE;

    used = round_up(used, page);
    return used > a->touched ? used : a->touched;
}
