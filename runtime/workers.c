/* workers.c: instances, threads and rounds; see workers.h. */
#include "workers.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include <ck_ring.h>

#include "device.h"
#include "streams.h"

enum {
    N_ROUNDS = 3,         /* Under way at a time. */
    RING_SIZE = 4,        /* A power of two above that. */
    ROUND_PACKETS = 1024, /* Of all workers. */
    KEEP_SLOTS = 512      /* Free small slots that a thread keeps. */
};

/* Slots that a thread keeps, by size. */
static const uint32_t keep[HG_POOL_SIZES] = {KEEP_SLOTS, 32, 2};

/* A pipe of rounds from one thread to another: ck_ring for what, a semaphore
 * for when, since a thread without work sleeps. */
struct pipe {
    ck_ring_t ring;
    ck_ring_buffer_t buffer[RING_SIZE];
    sem_t filled;
};

/* What a worker is given to do, and what has become of it. */
struct round {
    struct feed_entry *in;
    size_t n_in;
    size_t in_size;
    uint64_t horizon_ns; /* Nothing later than this is to happen. */
    bool is_last;        /* The thread is to end. */
    struct streams out;
    struct hg_spares to_worker;
    struct hg_spares to_main;
    uint32_t n_free[HG_POOL_SIZES]; /* With the worker, afterwards. */
};

struct worker {
    pthread_t thread;
    bool is_running;
    struct hg_graph *graph;
    struct loop loop;
    struct feed *feeds;         /* One for each interface, ... */
    struct hg_device **devices; /* ... or its own device if that answers. */
    size_t *before;             /* By feed: entries before this round. */
    const uint32_t *order;      /* Of elements. */
    struct round rounds[N_ROUNDS];
    struct round *round; /* At hand. */
    struct pipe tasks;
    struct pipe results;
};

struct workers {
    unsigned n;
    struct worker *v;
    struct bindings *bindings;
    struct hg_spread plan;
    bool *answers; /* By element. */
    struct loop *front;
    struct streams front_out[N_ROUNDS]; /* What passes the workers by. */
    uint64_t horizon_ns[N_ROUNDS];
    unsigned at;    /* The round being dealt, ... */
    size_t n_dealt; /* ... and its packets so far. */
    struct hg_graph *back_graph;
    struct loop back;
    struct feed back_feed;
    uint64_t back_seq;
    struct hg_graph **graphs; /* FRONT, each SPREAD, BACK. */
};

/* ---- Pipes ------------------------------------------------------------ */

static void
pipe_init(struct pipe *p)
{
    ck_ring_init(&p->ring, RING_SIZE);
    sem_init(&p->filled, 0, 0);
}

static void
pipe_put(struct pipe *p, struct round *r)
{
    ck_ring_enqueue_spsc(&p->ring, p->buffer, r); /* Never full. */
    sem_post(&p->filled);
}

static struct round *
pipe_take(struct pipe *p)
{
    void *r = NULL;

    while (sem_wait(&p->filled) != 0 && errno == EINTR)
        ;
    ck_ring_dequeue_spsc(&p->ring, p->buffer, &r);
    return r;
}

/* ---- From zone to zone ------------------------------------------------ */

static void
put_entry(struct round *r, struct feed_entry entry)
{
    if (r->n_in == r->in_size) {
        r->in_size = r->in_size ? 2 * r->in_size : ROUND_PACKETS;
        r->in = cli_realloc(r->in, r->in_size, sizeof *r->in);
    }
    r->in[r->n_in++] = entry;
}

/* Packets come to an element of SPREAD in the instance of FRONT. */
static void
deal(void *aux, struct hg_element *e, struct hg_packet *const *p, unsigned n)
{
    struct workers *w = aux;
    size_t element = hg_element_index(e);
    unsigned i;

    for (i = 0; i < n; i++) {
        unsigned k = hg_spread_worker(&w->plan, e, p[i]->in_port, p[i], w->n);

        put_entry(&w->v[k].rounds[w->at], feed_entry(p[i], element));
    }
    w->n_dealt += n;
}

/* Packets come to an element of BACK or a device in the instance of FRONT. */
static void
pass_by(void *aux, struct hg_element *e, struct hg_packet *const *p,
        unsigned n)
{
    struct workers *w = aux;
    unsigned i;

    for (i = 0; i < n; i++)
        streams_put(&w->front_out[w->at], hg_element_index(e), p[i]);
}

/* The same in that of a worker. */
static void
bring_back(void *aux, struct hg_element *e, struct hg_packet *const *p,
           unsigned n)
{
    struct worker *v = aux;
    unsigned i;

    for (i = 0; i < n; i++)
        streams_put(&v->round->out, hg_element_index(e), p[i]);
}

static void
bring_report(void *aux, struct hg_element *e, struct hg_packet *glimpse)
{
    struct worker *v = aux;

    streams_put(&v->round->out, hg_element_index(e), glimpse);
}

static void
pass_report(void *aux, struct hg_element *e, struct hg_packet *glimpse)
{
    struct workers *w = aux;

    streams_put(&w->front_out[w->at], hg_element_index(e), glimpse);
}

/* ---- Instances -------------------------------------------------------- */

static bool
has_flag(const struct hg_element *e, uint32_t flag)
{
    return (hg_element_class(e)->flags & flag) != 0;
}

/* Prepares an instance for what it does of the graph: elements of 'zone', and
 * in BACK those that others report to. */
static void
take_part(struct workers *w, struct hg_graph *g, enum hg_zone zone,
          struct worker *worker)
{
    size_t i;

    for (i = 0; i < w->plan.n; i++) {
        struct hg_element *e = hg_graph_element(g, i);
        enum hg_zone place = w->plan.zone[i];
        bool is_device = has_flag(e, HG_CLASS_DEVICE);
        bool reports = hg_element_class(e)->reported && place != HG_BACK;

        if (has_flag(e, HG_CLASS_PASSIVE)) {
            hg_element_set_working(e, zone == HG_FRONT);
            continue;
        }
        hg_element_set_working(
            e, is_device || (reports ? zone == HG_BACK : place == zone));
        if (zone == HG_BACK && reports)
            hg_element_divert_reports(e);
        if (zone == HG_BACK || (worker && w->answers[i]))
            continue;
        if (zone == HG_FRONT && !is_device && place == HG_SPREAD)
            hg_element_divert(e, deal, w);
        else if (zone == HG_FRONT && (is_device || place == HG_BACK))
            hg_element_divert(e, pass_by, w);
        else if (zone == HG_SPREAD && (is_device || place == HG_BACK))
            hg_element_divert(e, bring_back, worker);
    }
}

static struct hg_graph *
load_again(struct workers *w, struct setup *setup, uint64_t seed, unsigned n)
{
    setup->kin = w->graphs[0];
    setup->n_workers = n;
    return setup_load(setup, seed, false, true);
}

static bool
open_device(struct worker *v, const struct binding *b, uint64_t seed, size_t i)
{
    struct device_options options = {.filter = b->filter, .seed = seed};
    struct hg_error error = {""};

    v->devices[i] = device_open(b->spec, &options, &error);
    if (!v->devices[i])
        cli_error("interface '%s': %s", b->name, error.text);
    return v->devices[i];
}

/* The sources of a worker: a feed for each device of the main thread, in the
 * same order, and devices of its own that answer. */
static bool
add_sources(struct workers *w, struct worker *v, uint64_t seed)
{
    const struct bindings *b = w->bindings;
    size_t i;

    v->feeds = cli_alloc(b->n + 1, sizeof *v->feeds);
    v->devices = cli_alloc(b->n + 1, sizeof(struct hg_device *));
    v->before = cli_alloc(b->n + 1, sizeof *v->before);
    v->order = w->plan.order;
    for (i = 0; i < b->n; i++)
        feed_init(&v->feeds[i]);
    for (i = 0; i < b->n; i++) {
        struct hg_element *e = hg_graph_find(v->graph, b->v[i].name);

        if (!w->answers[hg_element_index(e)]) {
            loop_add(&v->loop, e, &v->feeds[i].dev, &v->feeds[i], i);
            continue;
        }
        if (!open_device(v, &b->v[i], seed, i))
            return false;
        hg_element_bind(e, v->devices[i]);
        loop_add(&v->loop, e, v->devices[i], NULL, i);
    }
    return true;
}

static bool
make_worker(struct workers *w, unsigned k, struct setup *setup, uint64_t seed)
{
    struct worker *v = &w->v[k];
    size_t i;

    v->graph = w->graphs[1 + k] = load_again(w, setup, seed, w->n);
    if (!v->graph)
        return false;
    for (i = 0; i < N_ROUNDS; i++)
        streams_init(&v->rounds[i].out, w->plan.n);
    pipe_init(&v->tasks);
    pipe_init(&v->results);
    take_part(w, v->graph, HG_SPREAD, v);
    hg_graph_take_reports(v->graph, bring_report, v);
    return add_sources(w, v, seed);
}

static bool
make_instances(struct workers *w, struct setup *setup, uint64_t seed)
{
    struct hg_graph *front = w->graphs[0];
    unsigned i;

    for (i = 0; i < N_ROUNDS; i++)
        streams_init(&w->front_out[i], w->plan.n);
    feed_init(&w->back_feed);
    for (i = 0; i < w->n; i++)
        if (!make_worker(w, i, setup, seed))
            return false;
    w->back_graph = w->graphs[1 + w->n] = load_again(w, setup, seed, 1);
    if (!w->back_graph)
        return false;
    take_part(w, front, HG_FRONT, NULL);
    take_part(w, w->back_graph, HG_BACK, NULL);
    hg_graph_take_reports(front, pass_report, w);
    hg_graph_leave_gaps(front);
    bindings_attach(w->bindings, w->back_graph);
    return true;
}

static bool
make_plan(struct workers *w, const struct hg_graph *front)
{
    struct hg_error error = {""};
    size_t i;

    w->answers = cli_alloc(hg_graph_n_elements(front) + 1, sizeof(bool));
    for (i = 0; i < w->bindings->n; i++) {
        const struct binding *b = &w->bindings->v[i];

        if (b->device->min_delay_ns != HG_NEVER)
            w->answers[hg_element_index(hg_graph_find(front, b->name))] = true;
    }
    if (hg_spread_plan(&w->plan, front, w->answers, &error))
        return true;
    cli_error("cannot run on %u workers: %s", w->n, error.text);
    return false;
}

struct workers *
workers_create(struct setup *setup, uint64_t seed, unsigned n,
               struct hg_graph *front, struct bindings *bindings)
{
    struct workers *w = cli_alloc(1, sizeof *w);

    w->n = n;
    w->v = cli_alloc(n, sizeof *w->v);
    w->graphs = cli_alloc(n + 2, sizeof(struct hg_graph *));
    w->graphs[0] = front;
    w->bindings = bindings;
    if (make_plan(w, front) && make_instances(w, setup, seed))
        return w;
    workers_destroy(w);
    return NULL;
}

static void
worker_uninit(struct workers *w, struct worker *v)
{
    size_t i;

    for (i = 0; i < N_ROUNDS; i++) {
        streams_uninit(&v->rounds[i].out);
        free(v->rounds[i].in);
    }
    for (i = 0; v->feeds && i < w->bindings->n; i++) {
        feed_uninit(&v->feeds[i]);
        device_close(v->devices[i], NULL);
    }
    free(v->feeds);
    free(v->devices);
    free(v->before);
    loop_uninit(&v->loop);
    hg_graph_destroy(v->graph);
}

void
workers_destroy(struct workers *w)
{
    unsigned i;

    if (!w)
        return;
    for (i = 0; i < w->n; i++)
        worker_uninit(w, &w->v[i]);
    for (i = 0; i < N_ROUNDS; i++)
        streams_uninit(&w->front_out[i]);
    feed_uninit(&w->back_feed);
    loop_uninit(&w->back);
    hg_graph_destroy(w->back_graph);
    hg_spread_uninit(&w->plan);
    free(w->answers);
    free(w->graphs);
    free(w->v);
    free(w);
}

struct hg_graph *const *
workers_graphs(const struct workers *w, size_t *n)
{
    *n = w->n + 2;
    return w->graphs;
}

/* ---- Workers ---------------------------------------------------------- */

static void
hand_over(struct worker *v, struct round *r)
{
    hg_pool_export(hg_graph_pool(v->graph), keep, &r->to_main);
    hg_pool_count_free(hg_graph_pool(v->graph), r->n_free);
    pipe_put(&v->results, r);
}

/* Puts what was dealt into the feed of the device that it came from. */
static void
take_in(struct worker *v, struct round *r)
{
    size_t i, n = v->loop.n_sources;

    for (i = 0; i < n; i++)
        v->before[i] = feed_reset(&v->feeds[i]);
    for (i = 0; i < r->n_in; i++) {
        size_t origin = r->in[i].origin;

        feed_put(&v->feeds[origin < n ? origin : n - 1], r->in[i]);
    }
    for (i = 0; i < n; i++)
        feed_sort(&v->feeds[i], v->before[i], v->order);
    r->n_in = 0;
}

static void
work(struct worker *v, struct round *r)
{
    hg_pool_import(hg_graph_pool(v->graph), &r->to_worker);
    v->round = r;
    take_in(v, r);
    while (loop_step(&v->loop, r->horizon_ns))
        ;
}

static void *
worker_main(void *aux)
{
    struct worker *v = aux;
    struct round *r;

    hg_pool_enter(hg_graph_pool(v->graph));
    while (r = pipe_take(&v->tasks), !r->is_last) {
        work(v, r);
        hand_over(v, r);
    }
    return NULL;
}

/* Signals are the main thread's. */
static bool
start_thread(struct worker *v, struct hg_error *error)
{
    sigset_t all, old;
    int status;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    status = pthread_create(&v->thread, NULL, worker_main, v);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    v->is_running = status == 0;
    return v->is_running ||
           hg_error_set(error, "cannot start a worker: %s", strerror(status));
}

static void
end_thread(struct worker *v)
{
    if (!v->is_running)
        return;
    v->rounds[0].is_last = true;
    pipe_put(&v->tasks, &v->rounds[0]);
    pthread_join(v->thread, NULL);
    v->is_running = false;
    v->round = &v->rounds[0];
}

bool
workers_start(struct workers *w, struct loop *front, struct hg_error *error)
{
    unsigned i;

    hg_pool_enter(hg_graph_pool(w->graphs[0]));
    w->front = front;
    front->is_part = true;
    if (!loop_start(front, w->graphs[0], w->bindings, error))
        return false;
    for (i = 0; i < w->n; i++) {
        w->v[i].round = &w->v[i].rounds[0];
        w->v[i].loop.batch = front->batch;
        if (!loop_start_part(&w->v[i].loop, w->v[i].graph, front->first_ns,
                             error))
            return false;
    }
    w->back.batch = front->batch;
    loop_add(&w->back, NULL, &w->back_feed.dev, &w->back_feed, 0);
    return loop_start_part(&w->back, w->back_graph, front->first_ns, error);
}

/* ---- Rounds ----------------------------------------------------------- */

/* Reads a round's packets; false if there are no more. */
static bool
fill(struct workers *w)
{
    struct loop *l = w->front;
    const struct loop *self = l;
    uint64_t end = l->n_packets + ROUND_PACKETS, packet_ns;

    while (l->n_packets < end) {
        packet_ns = loop_look(l);
        if (loop_is_stopped() ||
            (packet_ns == HG_NEVER && !loop_may_drain(l, &self, 1)))
            return false;
        loop_step(l, HG_NEVER - 1);
        loop_notice(l);
        progress_update(&l->progress, w->bindings);
    }
    return true;
}

/* Up to when all that happens in FRONT has been dealt. */
static uint64_t
horizon(struct loop *l, bool goes_on)
{
    uint64_t due_ns;

    if (!goes_on || loop_look(l) == HG_NEVER)
        return l->last_ns;
    due_ns = loop_due(l);
    return due_ns > l->last_ns ? due_ns - 1 : l->last_ns;
}

/* Slots for a worker that has few, as it had at the end of its last round. */
static void
give_spares(struct workers *w, struct round *r)
{
    uint32_t left[HG_POOL_SIZES];
    unsigned i;

    hg_pool_count_free(hg_graph_pool(w->graphs[0]), left);
    for (i = 0; i < HG_POOL_SIZES; i++) {
        uint32_t wanted = r->n_free[i] < keep[i] ? keep[i] - r->n_free[i] : 0;

        if (left[i] > keep[i] + wanted)
            left[i] -= wanted;
    }
    hg_pool_export(hg_graph_pool(w->graphs[0]), left, &r->to_worker);
}

static void
send_round(struct workers *w, uint64_t horizon_ns)
{
    unsigned i;

    w->horizon_ns[w->at] = horizon_ns;
    for (i = 0; i < w->n; i++) {
        struct round *r = &w->v[i].rounds[w->at];

        r->horizon_ns = horizon_ns;
        give_spares(w, r);
        pipe_put(&w->v[i].tasks, r);
    }
}

/* Brings what has left FRONT and the workers to BACK. */
static void
merge(struct workers *w, struct streams *front, struct streams *const *others)
{
    struct streams *all[WORKERS_MAX + 1];

    all[0] = front;
    memcpy(all + 1, others, w->n * sizeof(struct streams *));
    streams_merge(all, w->n + 1, &w->plan, &w->back_seq, &w->back_feed);
}

static void
flush(struct workers *w)
{
    size_t i;

    for (i = 0; i < w->bindings->n; i++) {
        struct hg_device *d = w->bindings->v[i].device;

        if (d->ops->flush)
            d->ops->flush(d);
    }
}

/* Waits for the round that is oldest and does what is left of it. */
static void
finish_round(struct workers *w, unsigned at)
{
    struct streams *out[WORKERS_MAX] = {NULL};
    unsigned i;

    for (i = 0; i < w->n; i++) {
        struct round *r = pipe_take(&w->v[i].results);

        out[i] = &r->out;
        hg_pool_import(hg_graph_pool(w->graphs[0]), &r->to_main);
    }
    merge(w, &w->front_out[at], out);
    while (loop_step(&w->back, w->horizon_ns[at]))
        ;
    flush(w);
}

/* ---- The end ---------------------------------------------------------- */

/* All that was brought back since. */
static void
merge_rest(struct workers *w)
{
    struct streams *out[WORKERS_MAX] = {NULL};
    unsigned i;

    for (i = 0; i < w->n; i++)
        out[i] = &w->v[i].rounds[0].out;
    merge(w, &w->front_out[0], out);
}

/* Does what is due first in any instance. */
static void
step_first(struct loop *const *loops, size_t n)
{
    struct loop *first = NULL;
    uint64_t first_ns = HG_NEVER, next_ns = HG_NEVER;
    size_t i;

    for (i = 0; i < n; i++) {
        uint64_t due_ns = loop_due(loops[i]);

        if (due_ns < first_ns) {
            next_ns = first_ns;
            first_ns = due_ns;
            first = loops[i];
        } else if (due_ns < next_ns) {
            next_ns = due_ns;
        }
    }
    if (first)
        loop_step(first, next_ns > first_ns ? next_ns - 1 : first_ns);
}

/* What answers and timers bring when no packets come any more; the threads
 * are gone, so that it ends exactly when one worker would end. */
static void
run_rest(struct workers *w)
{
    struct loop *loops[WORKERS_MAX + 2];
    uint64_t last_ns = 0;
    size_t n = w->n + 2, i;

    loops[0] = w->front;
    for (i = 0; i < w->n; i++)
        loops[1 + i] = &w->v[i].loop;
    loops[n - 1] = &w->back;
    w->at = 0;
    for (;;) {
        bool has_packets = false;

        for (i = 0; i < n; i++)
            if (loop_look(loops[i]) != HG_NEVER)
                has_packets = true;
        if (loop_is_stopped() ||
            (!has_packets &&
             !loop_may_drain(w->front, (const struct loop *const *)loops, n)))
            break;
        step_first(loops, n);
        for (i = 0; i < w->n; i++)
            take_in(&w->v[i], &w->v[i].rounds[0]);
        merge_rest(w);
    }
    for (i = 0; i < n; i++)
        if (loops[i]->last_ns > last_ns)
            last_ns = loops[i]->last_ns;
    for (i = 0; i < n; i++)
        hg_graph_advance(loops[i]->graph, last_ns);
    w->front->last_ns = last_ns;
    flush(w);
}

/* What the workers' own devices counted. */
static void
add_counts(struct hg_device *to, const struct hg_device *d)
{
    to->rx_packets += d->rx_packets;
    to->rx_bytes += d->rx_bytes;
    to->tx_packets += d->tx_packets;
    to->tx_bytes += d->tx_bytes;
    to->rx_filtered += d->rx_filtered;
    to->rx_unusable += d->rx_unusable;
    to->rx_backwards += d->rx_backwards;
    to->tx_failed += d->tx_failed;
}

void
workers_run(struct workers *w)
{
    struct hg_error error = {""};
    unsigned sent = 0, done = 0, i;
    bool goes_on = true;
    size_t k;

    loop_catch_signals();
    for (i = 0; i < w->n + 2; i++)
        hg_graph_settle(w->graphs[i]);
    for (i = 0; i < w->n; i++)
        if (!start_thread(&w->v[i], &error)) {
            cli_error("%s", error.text);
            exit(CLI_FAILED);
        }
    while (goes_on) {
        if (sent - done == N_ROUNDS)
            finish_round(w, done++ % N_ROUNDS);
        w->at = sent++ % N_ROUNDS;
        goes_on = fill(w);
        send_round(w, horizon(w->front, goes_on));
    }
    while (done < sent)
        finish_round(w, done++ % N_ROUNDS);
    for (i = 0; i < w->n; i++)
        end_thread(&w->v[i]);
    run_rest(w);
    progress_clear(&w->front->progress);
    loop_notice(w->front);
    for (i = 0; i < w->n; i++)
        for (k = 0; k < w->bindings->n; k++)
            if (w->v[i].devices[k])
                add_counts(w->bindings->v[k].device, w->v[i].devices[k]);
}
