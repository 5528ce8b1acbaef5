/* loop.c: the step that offline and live running share, and the offline
 * loop; see loop.h. */
#include "loop.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "device.h"

/* Timers that may fire at the end of a run without any packet that is held
 * coming free; then what is held stays so. */
#define MAX_IDLE_TIMERS 10000

/* Packets of one source in a row. */
struct run {
    struct source *source;
    unsigned n;
};

/* A signal that comes so soon after the first is still that one: timeout(1)
 * sends it to the program and to its process group. */
#define SAME_SIGNAL_NS (HG_SEC / 10)

void
loop_stop(int signal_number)
{
    static volatile uint64_t first_ns;

    if (!device_stop) {
        first_ns = progress_clock();
        device_stop = 1;
    } else if (progress_clock() - first_ns >= SAME_SIGNAL_NS) {
        signal(signal_number, SIG_DFL);
        raise(signal_number);
    }
}

bool
loop_is_stopped(void)
{
    return device_stop;
}

/* The first signal ends the run, the next one the program. */
void
loop_catch_signals(void)
{
    struct sigaction action = {.sa_handler = loop_stop};

    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

/* ---- Sources ---------------------------------------------------------- */

static uint64_t
arrival(const struct loop *l, const struct source *s)
{
    uint64_t ns;

    if (!s->device->can_receive || (s->device->live && s->device->failed) ||
        (s->is_shared && l->is_shut))
        return HG_NEVER;
    ns = s->device->ops->next_ns(s->device);
    if (ns == HG_NEVER)
        return ns;
    /* A live device may say 0: packets wait, but it does not know since
     * when. */
    if (s->pace == PACE_AT_ONCE || (ns == 0 && s->device->live))
        return l->now_ns;
    return ns + s->shift_ns;
}

uint64_t
loop_look(struct loop *l)
{
    uint64_t first_ns = HG_NEVER;
    size_t i;

    for (i = 0; i < l->n_sources; i++) {
        struct source *s = &l->sources[i];

        s->next_ns = arrival(l, s);
        if (s->next_ns < first_ns)
            first_ns = s->next_ns;
    }
    return first_ns;
}

/* The source whose packet arrives first, of equals the first one; 'except' is
 * left out.  NULL if there are no packets. */
static struct source *
earliest(const struct loop *l, const struct source *except)
{
    struct source *first = NULL;
    size_t i;

    for (i = 0; i < l->n_sources; i++) {
        struct source *s = &l->sources[i];

        if (s != except && s->next_ns != HG_NEVER &&
            (!first || s->next_ns < first->next_ns))
            first = s;
    }
    return first;
}

uint64_t
loop_due(const struct loop *l)
{
    uint64_t timer_ns = hg_graph_next_timer(l->graph);
    const struct source *s = earliest(l, NULL);

    return s && s->next_ns < timer_ns ? s->next_ns : timer_ns;
}

/* Brings the numbers that a shared source gave its packets, which are its
 * own, to those of all such sources; what is made between two packets finds
 * room. */
static void
number(struct loop *l, const struct hg_device *d, uint64_t before,
       struct hg_packet **packets, unsigned n)
{
    unsigned i;

    for (i = 0; i < n; i++)
        packets[i]->seq = (l->n_arrived + packets[i]->seq - before) << 20;
    l->n_arrived += d->n_passed - before;
    l->arrived_ns = d->passed_ns;
    if (l->arrived_ns > l->last_ns)
        l->last_ns = l->arrived_ns;
}

/* Receives up to 'max' packets of 's' that arrive by 'until_ns' and gives
 * them times that never go back. */
static unsigned
receive(struct loop *l, struct source *s, struct hg_packet **out, unsigned max,
        uint64_t until_ns)
{
    uint64_t before = s->device->n_passed;
    unsigned n, i;

    until_ns = s->pace == PACE_AT_ONCE ? HG_NEVER : until_ns - s->shift_ns;
    if (s->is_shared)
        s->device->max_passed = before + l->max_arrived - l->n_arrived;
    n = s->device->ops->receive(s->device, hg_graph_pool(l->graph), out, max,
                                until_ns);
    for (i = 0; i < n; i++) {
        uint64_t ns = s->pace == PACE_AT_ONCE ? l->now_ns
                                              : out[i]->time_ns + s->shift_ns;

        if (ns < l->last_ns)
            ns = l->last_ns;
        out[i]->time_ns = l->last_ns = ns;
        if (!s->feed)
            out[i]->origin = s->origin;
    }
    if (s->is_shared && s->device->n_passed > before)
        number(l, s->device, before, out, n);
    l->n_packets += n;
    return n;
}

/* ---- One step --------------------------------------------------------- */

static void
flush(struct loop *l)
{
    size_t i;

    for (i = 0; i < l->n_sources; i++)
        if (l->sources[i].device->ops->flush)
            l->sources[i].device->ops->flush(l->sources[i].device);
}

/* The last moment that a batch may reach whose first packet is at
 * 'first_ns'. */
static uint64_t
batch_end(const struct loop *l, uint64_t first_ns, uint64_t horizon_ns)
{
    uint64_t timer_ns = hg_graph_next_timer(l->graph);
    uint64_t end = horizon_ns;

    if (timer_ns != HG_NEVER && timer_ns - 1 < end)
        end = timer_ns - 1;
    if (l->span_ns - 1 < end - first_ns)
        end = first_ns + (l->span_ns - 1);
    return end;
}

/* How long packets of 's' come before those of any other source. */
static uint64_t
first_until(const struct loop *l, const struct source *s, uint64_t end_ns)
{
    const struct source *other = earliest(l, s);
    uint64_t ns;

    if (!other)
        return end_ns;
    /* At the same time the source that is listed first is first. */
    ns = other < s ? other->next_ns - 1 : other->next_ns;
    return ns < end_ns ? ns : end_ns;
}

/* When the next packet of a shared source arrives. */
static uint64_t
look_at_shared(struct loop *l)
{
    uint64_t first_ns = HG_NEVER;
    size_t i;

    for (i = 0; i < l->n_sources; i++) {
        uint64_t ns =
            l->sources[i].is_shared ? arrival(l, &l->sources[i]) : HG_NEVER;

        if (ns < first_ns)
            first_ns = ns;
    }
    return first_ns;
}

/* Collects a batch in order of time; returns the number of packets. */
static unsigned
gather(struct loop *l, uint64_t end_ns, struct hg_packet **packets,
       struct run *runs, unsigned *n_runs)
{
    unsigned n = 0;

    *n_runs = 0;
    while (n < l->batch) {
        struct source *s = earliest(l, NULL);
        uint64_t passed;
        unsigned got;

        if (!s || s->next_ns > end_ns)
            break;
        passed = s->device->n_passed;
        got = receive(l, s, packets + n, l->batch - n,
                      first_until(l, s, end_ns));
        if (got == 0 && s->device->n_passed == passed)
            break;
        s->next_ns = arrival(l, s);
        /* Answers behind the last packet are for when all workers have it. */
        if (s->is_shared && s->next_ns == HG_NEVER &&
            look_at_shared(l) == HG_NEVER)
            end_ns = l->arrived_ns;
        if (got == 0)
            continue;
        runs[(*n_runs)++] = (struct run){s, got};
        n += got;
        if (s->feed && feed_goes_down(s->feed))
            break;
    }
    return n;
}

static void
run_batch(struct loop *l, uint64_t end_ns)
{
    struct hg_packet *packets[HG_BATCH_MAX];
    struct run runs[HG_BATCH_MAX];
    struct hg_packet **p = packets;
    unsigned n_runs, i;

    if (gather(l, end_ns, packets, runs, &n_runs) == 0)
        return;
    hg_graph_advance(l->graph, l->last_ns);
    for (i = 0; i < n_runs; i++) {
        struct source *s = runs[i].source;

        if (s->feed)
            feed_enter(s->feed, l->graph, runs[i].n);
        else if (s->is_shared)
            hg_graph_inject_numbered(l->graph, s->element, 0, p, runs[i].n);
        else
            hg_graph_inject(l->graph, s->element, 0, p, runs[i].n);
        p += runs[i].n;
    }
    hg_graph_dispatch(l->graph);
}

/* Does what is due next, knowing that the first packet is at 'packet_ns'. */
static bool
step(struct loop *l, uint64_t packet_ns, uint64_t horizon_ns)
{
    uint64_t timer_ns = hg_graph_next_timer(l->graph);

    if (timer_ns <= packet_ns && timer_ns <= horizon_ns) {
        hg_graph_advance(l->graph, timer_ns);
        if (timer_ns > l->last_ns)
            l->last_ns = timer_ns;
    } else if (packet_ns <= horizon_ns) {
        run_batch(l, batch_end(l, packet_ns, horizon_ns));
    } else {
        return false;
    }
    flush(l);
    return true;
}

bool
loop_step(struct loop *l, uint64_t horizon_ns)
{
    return step(l, loop_look(l), horizon_ns);
}

bool
loop_share(struct loop *l, uint64_t n, uint64_t *horizon_ns)
{
    uint64_t next_ns = HG_NEVER;

    l->is_shut = false;
    l->max_arrived += n;
    while ((next_ns = look_at_shared(l)) != HG_NEVER &&
           l->n_arrived < l->max_arrived)
        loop_step(l, HG_NEVER - 1);
    *horizon_ns = l->arrived_ns;
    if (next_ns != HG_NEVER && next_ns > l->arrived_ns)
        *horizon_ns = next_ns - 1;
    l->is_shut = true;
    while (loop_step(l, *horizon_ns))
        ;
    return next_ns != HG_NEVER;
}

bool
loop_step_live(struct loop *l, uint64_t now_ns)
{
    l->now_ns = now_ns;
    return loop_step(l, now_ns);
}

void
loop_notice(struct loop *l)
{
    size_t i;

    for (i = 0; i < l->n_sources; i++) {
        struct source *s = &l->sources[i];

        if (!s->binding || !s->device->failed || s->binding->failure)
            continue;
        /* A signal that ends the run also cuts what is being read. */
        if (device_stop && s->device->tx_failed == 0)
            continue;
        progress_clear(&l->progress);
        binding_fail(s->binding, s->device->error.text);
    }
}

/* ---- Offline ---------------------------------------------------------- */

bool
loop_may_drain(struct loop *l, const struct loop *const *loops, size_t n)
{
    uint64_t held = 0;
    bool has_timer = false;
    size_t i;

    for (i = 0; i < n; i++) {
        struct hg_account account;

        hg_graph_account(loops[i]->graph, &account);
        held += account.held;
        if (hg_graph_next_timer(loops[i]->graph) != HG_NEVER)
            has_timer = true;
    }
    if (held == 0 || !has_timer)
        return false;
    if (held != l->held)
        l->n_idle = 0;
    l->held = held;
    return l->n_idle++ < MAX_IDLE_TIMERS;
}

static void
run_offline(struct loop *l)
{
    loop_catch_signals();
    while (!device_stop) {
        const struct loop *self = l;
        uint64_t packet_ns = loop_look(l);

        if (packet_ns == HG_NEVER && !loop_may_drain(l, &self, 1))
            break;
        step(l, packet_ns, HG_NEVER - 1);
        loop_notice(l);
        progress_update(&l->progress, l->bindings);
    }
}

/* ---- Starting --------------------------------------------------------- */

static enum pace
source_pace(const struct loop *l, const struct hg_device *d)
{
    if (!l->live || d->live || d->min_delay_ns != HG_NEVER)
        return PACE_STAMPED;
    if (strcmp(d->ops->scheme, "gen") == 0 && strstr(d->spec, "rate="))
        return PACE_SHIFTED;
    return PACE_AT_ONCE;
}

void
loop_add(struct loop *l, struct hg_element *element, struct hg_device *device,
         struct feed *feed, size_t number)
{
    l->sources = cli_realloc(l->sources, l->n_sources + 1, sizeof *l->sources);
    l->sources[l->n_sources++] = (struct source){
        .element = element,
        .device = device,
        .feed = feed,
        .is_shared = device->share != NULL,
        .origin = number < UINT8_MAX ? (uint8_t)number : UINT8_MAX,
        .pace = source_pace(l, device)};
}

static void
init_sources(struct loop *l, struct bindings *b)
{
    size_t i;

    for (i = 0; i < b->n; i++) {
        struct hg_device *device = b->v[i].device;

        if (l->is_part && device->min_delay_ns != HG_NEVER)
            continue;
        loop_add(l, hg_graph_find(l->graph, b->v[i].name), device, NULL, i);
        l->sources[l->n_sources - 1].binding = &b->v[i];
    }
}

/* A batch is not longer than a device takes to answer. */
static void
limit_span(struct loop *l)
{
    size_t i;

    l->span_ns = l->live ? HG_NEVER : hg_graph_span(l->graph);
    for (i = 0; i < l->n_sources && !l->live; i++)
        if (l->sources[i].device->min_delay_ns < l->span_ns)
            l->span_ns = l->sources[i].device->min_delay_ns;
}

/* Live, a gen: with a rate begins now. */
static void
shift_sources(struct loop *l)
{
    size_t i;

    for (i = 0; i < l->n_sources; i++) {
        struct source *s = &l->sources[i];

        if (s->pace == PACE_SHIFTED)
            s->shift_ns = l->first_ns - s->device->ops->next_ns(s->device);
    }
}

bool
loop_start(struct loop *l, struct hg_graph *graph, struct bindings *b,
           struct hg_error *error)
{
    l->graph = graph;
    l->bindings = b;
    l->live = bindings_live(b);
    init_sources(l, b);
    limit_span(l);
    if (l->live)
        l->first_ns = loop_clock();
    else
        l->first_ns = loop_look(l);
    if (l->first_ns == HG_NEVER)
        l->first_ns = 0; /* No packets at all. */
    l->last_ns = l->first_ns;
    shift_sources(l);
    return hg_graph_start(graph, l->first_ns, error);
}

bool
loop_start_part(struct loop *l, struct hg_graph *graph, uint64_t first_ns,
                struct hg_error *error)
{
    l->graph = graph;
    l->first_ns = l->last_ns = l->arrived_ns = first_ns;
    limit_span(l);
    return hg_graph_start(graph, first_ns, error);
}

void
loop_run(struct loop *l)
{
    if (l->live)
        loop_run_live(l);
    else
        run_offline(l);
    progress_clear(&l->progress);
    loop_notice(l);
}

void
loop_uninit(struct loop *l)
{
    free(l->sources);
}
