/* progress.c: see progress.h. */
#include "progress.h"

#include <time.h>
#include <unistd.h>

#include "table.h"

#define UPDATE_NS (HG_SEC / 5)

uint64_t
progress_clock(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * HG_SEC + (uint64_t)t.tv_nsec;
}

void
progress_init(struct progress *p, bool quiet)
{
    *p = (struct progress){.active = !quiet && isatty(STDERR_FILENO)};
    p->start_ns = p->then_ns = progress_clock();
    p->next_ns = p->start_ns + UPDATE_NS;
}

static void
show(struct progress *p, const struct bindings *b, uint64_t now_ns)
{
    double elapsed_s = (double)(now_ns - p->start_ns) / 1e9;
    double since_s = (double)(now_ns - p->then_ns) / 1e9;
    uint64_t size = 0, done = 0, packets = 0;
    char a[TEXT_SCALE_LEN], c[TEXT_SCALE_LEN], d[TEXT_SCALE_LEN];
    size_t i;

    for (i = 0; i < b->n; i++) {
        packets += b->v[i].device->rx_packets;
        size += b->v[i].device->input_size;
        if (b->v[i].device->input_size > 0)
            done += b->v[i].device->input_done;
    }
    fputs("\r\033[K", stderr);
    if (size > 0 && done > 0)
        fprintf(stderr, "%3.0f %%  %sB of %sB  ",
                100.0 * (double)done / (double)size,
                text_scale((double)done, a), text_scale((double)size, c));
    else
        fprintf(stderr, "%spackets  ", text_scale((double)packets, a));
    fprintf(stderr, "%spps",
            text_scale((double)(packets - p->then_packets) / since_s, d));
    if (size > done && done > 0)
        fprintf(stderr, "  %.0f s left",
                elapsed_s * (double)(size - done) / (double)done);
    fflush(stderr);
    p->then_ns = now_ns;
    p->then_packets = packets;
    p->shown = true;
}

void
progress_update(struct progress *p, const struct bindings *b)
{
    uint64_t now_ns;

    if (!p->active)
        return;
    now_ns = progress_clock();
    if (now_ns < p->next_ns)
        return;
    show(p, b, now_ns);
    p->next_ns = now_ns + UPDATE_NS;
}

void
progress_clear(struct progress *p)
{
    if (p->shown)
        fputs("\r\033[K", stderr);
    p->shown = false;
}
