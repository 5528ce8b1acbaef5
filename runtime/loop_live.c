/* loop_live.c: running on devices whose clock is the kernel's; see loop.h.
 *
 * While there is work the loop polls; then it sleeps in libevent until a
 * device has packets, a timer is due, an answer of echo: or a packet of gen:
 * is, or a signal comes. */
#include "loop.h"

#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include <event2/event.h>

/* Steps between two looks at signals while there is work. */
#define STEPS 64

/* The longest sleep: a clock that was set ends it too late by this. */
#define MAX_SLEEP_NS HG_SEC

struct live {
    struct loop *loop;
    struct event_base *base;
    struct event *timer;
    struct event *signals[2];
    struct event **devices; /* As the loop's sources; NULL: not watched. */
    uint64_t now_ns;        /* As last read; never goes back. */
    uint64_t offset_ns;     /* What was added to that end. */
};

uint64_t
loop_clock(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * HG_SEC + (uint64_t)t.tv_nsec;
}

/* The clock, going on from where it was if somebody set it back. */
static uint64_t
read_clock(struct live *v)
{
    uint64_t ns = loop_clock() + v->offset_ns;

    if (ns < v->now_ns) {
        v->offset_ns += v->now_ns - ns;
        ns = v->now_ns;
    }
    return v->now_ns = ns;
}

/* Device and timer events only end the sleep. */
static void
wake(evutil_socket_t fd, short what, void *aux)
{
    (void)fd;
    (void)what;
    (void)aux;
}

static void
on_signal(evutil_socket_t number, short what, void *aux)
{
    (void)what;
    (void)aux;
    loop_stop((int)number);
}

static void
live_init(struct live *v, struct loop *l)
{
    size_t i;

    *v = (struct live){.loop = l, .now_ns = l->first_ns};
    v->base = event_base_new();
    if (!v->base) {
        cli_error("cannot make an event base");
        exit(CLI_FAILED);
    }
    loop_catch_signals(); /* Without our events. */
    v->timer = evtimer_new(v->base, wake, NULL);
    v->signals[0] = evsignal_new(v->base, SIGINT, on_signal, NULL);
    v->signals[1] = evsignal_new(v->base, SIGTERM, on_signal, NULL);
    event_add(v->signals[0], NULL);
    event_add(v->signals[1], NULL);
    v->devices = cli_alloc(l->n_sources, sizeof(struct event *));
    for (i = 0; i < l->n_sources; i++) {
        const struct hg_device *d = l->sources[i].device;

        if (!d->live || d->fd < 0)
            continue;
        v->devices[i] =
            event_new(v->base, d->fd, EV_READ | EV_PERSIST, wake, NULL);
        event_add(v->devices[i], NULL);
    }
}

static void
live_uninit(struct live *v)
{
    size_t i;

    for (i = 0; i < v->loop->n_sources; i++)
        if (v->devices[i])
            event_free(v->devices[i]);
    event_free(v->signals[0]);
    event_free(v->signals[1]);
    event_free(v->timer);
    event_base_free(v->base);
    free(v->devices);
}

/* Stops watching devices that failed; false when no live one is left. */
static bool
watch(struct live *v)
{
    bool some = false;
    size_t i;

    loop_notice(v->loop);
    for (i = 0; i < v->loop->n_sources; i++) {
        const struct hg_device *d = v->loop->sources[i].device;

        if (d->live && !d->failed)
            some = true;
        if (!d->failed || !v->devices[i])
            continue;
        event_free(v->devices[i]);
        v->devices[i] = NULL;
    }
    return some;
}

static void
sleep_until_due(struct live *v)
{
    uint64_t due_ns = loop_due(v->loop);
    uint64_t now_ns = read_clock(v);
    struct timeval wait;

    if (due_ns <= now_ns) {
        event_base_loop(v->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
        return;
    }
    if (due_ns == HG_NEVER) {
        evtimer_del(v->timer);
    } else {
        uint64_t ns = due_ns - now_ns;
        uint64_t usec = ((ns < MAX_SLEEP_NS ? ns : MAX_SLEEP_NS) + 999) / 1000;
        wait.tv_sec = (time_t)(usec / 1000000);
        wait.tv_usec = (suseconds_t)(usec % 1000000);
        evtimer_add(v->timer, &wait);
    }
    event_base_loop(v->base, EVLOOP_ONCE);
}

void
loop_run_live(struct loop *l)
{
    struct live v;

    live_init(&v, l);
    while (!loop_is_stopped() && watch(&v)) {
        unsigned n = 0;

        while (n < STEPS && loop_step_live(l, read_clock(&v)))
            n++;
        progress_update(&l->progress, l->bindings);
        if (n == STEPS)
            event_base_loop(v.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
        else
            sleep_until_due(&v);
    }
    live_uninit(&v);
}
