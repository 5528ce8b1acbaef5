/* worker.c: what a worker's thread does; see worker.h. */
#include "worker.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include <ck_pr.h>

#include "cli.h"

enum { SPINS = 500 }; /* Looks before a thread sleeps: some 10 us. */

/* ---- Pipes ------------------------------------------------------------ */

void
pipe_init(struct pipe *p)
{
    ck_ring_init(&p->ring, RING_SIZE);
    sem_init(&p->filled, 0, 0);
}

void
pipe_put(struct pipe *p, void *what)
{
    ck_ring_enqueue_spsc(&p->ring, p->buffer, what); /* Never full. */
    sem_post(&p->filled);
}

static void *
dequeue(struct pipe *p)
{
    void *what = NULL;

    ck_ring_dequeue_spsc(&p->ring, p->buffer, &what);
    return what;
}

void *
pipe_take(struct pipe *p)
{
    while (sem_wait(&p->filled) != 0 && errno == EINTR)
        ;
    return dequeue(p);
}

/* A sleep and being woken cost some microseconds of two processors: what is
 * about to come is waited for. */
static void *
pipe_expect(struct pipe *p)
{
    unsigned i;

    for (i = 0; i < SPINS; i++) {
        if (sem_trywait(&p->filled) == 0)
            return dequeue(p);
        ck_pr_stall();
    }
    return pipe_take(p);
}

/* ---- From zone to zone ------------------------------------------------ */

void
worker_bring_back(void *aux, struct hg_element *e, struct hg_packet *const *p,
                  unsigned n)
{
    const struct worker *v = aux;
    unsigned i;

    for (i = 0; i < n; i++)
        streams_put(&v->round->out.packets, hg_element_index(e), p[i]);
}

/* For a device: the packet ends here. */
void
worker_copy_back(void *aux, struct hg_element *e, struct hg_packet *const *p,
                 unsigned n)
{
    const struct worker *v = aux;
    unsigned i;

    for (i = 0; i < n; i++)
        streams_copy(&v->round->out.packets, hg_element_index(e), p[i]);
    hg_packet_free_many(p, n);
}

void
worker_bring_report(void *aux, struct hg_element *e,
                    const struct hg_arrival *at, const void *record,
                    size_t size)
{
    const struct worker *v = aux;

    reports_put(&v->round->out.reports, e, at, record, size);
}

/* ---- Creating --------------------------------------------------------- */

void
outcome_init(struct outcome *o, const struct team *team)
{
    streams_init(&o->packets, team->plan.n);
    reports_init(&o->reports, team->plan.n);
}

void
outcome_uninit(struct outcome *o)
{
    streams_uninit(&o->packets);
    reports_uninit(&o->reports);
}

bool
outcome_is_empty(const struct outcome *o)
{
    size_t i, n = o->reports.n_waiting;

    for (i = 0; i < o->packets.n; i++)
        n += o->packets.v[i].n;
    return n == 0;
}

static void
round_init(struct round *r, const struct team *team, size_t n_devices)
{
    outcome_init(&r->out, team);
    r->n_passed = cli_alloc(n_devices + 1, sizeof *r->n_passed);
    r->n_done = cli_alloc(n_devices + 1, sizeof *r->n_done);
}

static void
round_uninit(struct round *r)
{
    outcome_uninit(&r->out);
    hg_spares_uninit(&r->to_worker);
    hg_spares_uninit(&r->to_main);
    free(r->n_passed);
    free(r->n_done);
    free(r->in);
}

void
worker_init(struct worker *v, const struct team *team, unsigned number,
            size_t n_devices)
{
    size_t i;

    v->team = team;
    v->number = number;
    v->n_devices = n_devices;
    v->devices = cli_alloc(n_devices + 1, sizeof(struct hg_device *));
    v->doors = cli_alloc(n_devices + 1, sizeof *v->doors);
    v->feeds = cli_alloc(n_devices + 1, sizeof *v->feeds);
    v->before = cli_alloc(n_devices + 1, sizeof *v->before);
    for (i = 0; i < n_devices; i++)
        feed_init(&v->feeds[i]);
    for (i = 0; i < N_ROUNDS; i++)
        round_init(&v->rounds[i], team, n_devices);
    pipe_init(&v->tasks);
    pipe_init(&v->results);
    v->round = &v->rounds[0];
}

void
worker_uninit(struct worker *v)
{
    size_t i;

    if (!v->team)
        return;
    for (i = 0; i < N_ROUNDS; i++)
        round_uninit(&v->rounds[i]);
    for (i = 0; i < v->n_devices; i++) {
        feed_uninit(&v->feeds[i]);
        device_close(v->devices[i], NULL);
        hg_fragment_table_destroy(v->doors[i].firsts);
    }
    free(v->devices);
    free(v->doors);
    free(v->feeds);
    free(v->before);
    loop_uninit(&v->loop);
    hg_graph_destroy(v->graph);
}

/* ---- Rounds ----------------------------------------------------------- */

/* Puts what was dealt into the feed of the device that it came from. */
static void
take_in(struct worker *v, struct round *r)
{
    size_t i, n = v->n_devices;

    for (i = 0; i < n; i++)
        v->before[i] = feed_reset(&v->feeds[i]);
    for (i = 0; i < r->n_in; i++) {
        size_t origin = r->in[i].origin;

        feed_put(&v->feeds[origin < n ? origin : n - 1], r->in[i]);
    }
    for (i = 0; i < n; i++)
        feed_sort(&v->feeds[i], v->before[i], v->team->plan.order);
    r->n_in = 0;
}

static void
tell_progress(const struct worker *v, struct round *r)
{
    size_t i;

    for (i = 0; i < v->n_devices; i++)
        if (v->devices[i]) {
            r->n_passed[i] = v->devices[i]->n_passed;
            r->n_done[i] = v->devices[i]->input_done;
        }
}

static void
do_round(struct worker *v, struct round *r)
{
    struct hg_pool *pool = hg_graph_pool(v->graph);

    hg_pool_import(pool, &r->to_worker);
    v->round = r;
    if (v->team->shares) {
        r->goes_on = loop_share(&v->loop, r->n_share, &r->horizon_ns);
        tell_progress(v, r);
    } else {
        take_in(v, r);
        while (loop_step(&v->loop, r->horizon_ns))
            ;
    }
    hg_pool_export(pool, worker_keep, &r->to_main);
    pipe_put(&v->results, r);
}

static void *
worker_main(void *aux)
{
    struct worker *v = aux;
    struct round *r;

    hg_pool_enter(hg_graph_pool(v->graph));
    while (!(r = pipe_expect(&v->tasks))->is_last)
        do_round(v, r);
    return NULL;
}

void
worker_take_rest(struct worker *v)
{
    if (!v->team->shares)
        take_in(v, &v->rounds[0]);
}

/* ---- Threads ---------------------------------------------------------- */

/* Signals are the main thread's. */
bool
worker_start(struct worker *v, struct hg_error *error)
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

void
worker_end(struct worker *v)
{
    if (!v->is_running)
        return;
    v->rounds[0].is_last = true;
    pipe_put(&v->tasks, &v->rounds[0]);
    pthread_join(v->thread, NULL);
    v->is_running = false;
    v->round = &v->rounds[0];
}
