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

void *
pipe_try(struct pipe *p)
{
    return sem_trywait(&p->filled) == 0 ? dequeue(p) : NULL;
}

/* ---- From zone to zone ------------------------------------------------ */

void
worker_hand_on(void *aux, struct hg_element *e, struct hg_packet *const *p,
               unsigned n)
{
    const struct part *part = aux;
    const struct team *team = part->worker->team;
    unsigned i;

    for (i = 0; i < n; i++) {
        unsigned k = hg_spread_worker(&team->plan, e, p[i]->in_port, p[i],
                                      team->n, NULL);

        streams_put(&part->worker->round->hand[k], hg_element_index(e), p[i]);
    }
}

void
worker_bring_back(void *aux, struct hg_element *e, struct hg_packet *const *p,
                  unsigned n)
{
    const struct part *part = aux;
    unsigned i;

    for (i = 0; i < n; i++)
        streams_put(&part->out->packets, hg_element_index(e), p[i]);
}

/* For a device: the packet ends here. */
void
worker_copy_back(void *aux, struct hg_element *e, struct hg_packet *const *p,
                 unsigned n)
{
    const struct part *part = aux;
    unsigned i;

    for (i = 0; i < n; i++)
        streams_copy(&part->out->packets, hg_element_index(e), p[i]);
    hg_packet_free_many(p, n);
}

void
worker_bring_report(void *aux, struct hg_element *e,
                    const struct hg_arrival *at, const void *record,
                    size_t size)
{
    const struct part *part = aux;

    reports_put(&part->out->reports, e, at, record, size);
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
    unsigned i;

    outcome_init(&r->first, team);
    outcome_init(&r->second, team);
    r->hand = cli_alloc(team->n, sizeof *r->hand);
    for (i = 0; i < team->n; i++)
        streams_init(&r->hand[i], team->plan.n);
    r->n_passed = cli_alloc(n_devices + 1, sizeof *r->n_passed);
    r->n_done = cli_alloc(n_devices + 1, sizeof *r->n_done);
}

static void
round_uninit(struct round *r, unsigned n)
{
    unsigned i;

    outcome_uninit(&r->first);
    outcome_uninit(&r->second);
    for (i = 0; r->hand && i < n; i++)
        streams_uninit(&r->hand[i]);
    free(r->hand);
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
    v->first.worker = v->second.worker = v;
    v->devices = cli_alloc(n_devices + 1, sizeof(struct hg_device *));
    v->doors = cli_alloc(n_devices + 1, sizeof *v->doors);
    v->feeds = cli_alloc(n_devices + 1, sizeof *v->feeds);
    v->before = cli_alloc(n_devices + 1, sizeof *v->before);
    v->hands = cli_alloc(team->n, sizeof *v->hands);
    for (i = 0; i < n_devices; i++)
        feed_init(&v->feeds[i]);
    feed_init(&v->second_feed);
    for (i = 0; i < team->n; i++)
        pipe_init(&v->hands[i]);
    for (i = 0; i < N_ROUNDS; i++)
        round_init(&v->rounds[i], team, n_devices);
    pipe_init(&v->tasks);
    pipe_init(&v->results);
    v->round = &v->rounds[0];
    v->first.out = &v->rounds[0].first;
    v->second.out = &v->rounds[0].second;
}

void
worker_uninit(struct worker *v)
{
    size_t i;

    if (!v->team)
        return;
    for (i = 0; i < N_ROUNDS; i++)
        round_uninit(&v->rounds[i], v->team->n);
    for (i = 0; i < v->n_devices; i++) {
        feed_uninit(&v->feeds[i]);
        device_close(v->devices[i], NULL);
        hg_fragment_table_destroy(v->doors[i].firsts);
    }
    feed_uninit(&v->second_feed);
    free(v->devices);
    free(v->doors);
    free(v->feeds);
    free(v->before);
    free(v->hands);
    loop_uninit(&v->first.loop);
    loop_uninit(&v->second.loop);
    hg_graph_destroy(v->second.graph);
    hg_graph_destroy(v->first.graph);
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
do_first(struct worker *v, struct round *r)
{
    struct loop *l = &v->first.loop;

    hg_pool_import(hg_graph_pool(v->first.graph), &r->to_worker);
    v->round = r;
    v->first.out = &r->first;
    if (v->team->shares) {
        r->goes_on = loop_share(l, r->n_share, &r->horizon_ns);
        tell_progress(v, r);
        return;
    }
    take_in(v, r);
    while (loop_step(l, r->horizon_ns))
        ;
}

static void
take_handed(struct worker *v, struct streams *const *handed)
{
    streams_merge(handed, v->team->n, &v->team->plan, NULL, SIZE_MAX,
                  &v->second_feed);
}

static void
do_second(struct worker *v, struct round *r)
{
    struct streams *handed[UINT8_MAX];
    unsigned i;

    for (i = 0; i < v->team->n; i++)
        handed[i] = pipe_expect(&v->team->v[i].hands[v->number]);
    take_handed(v, handed);
    v->second.out = &r->second;
    while (loop_step(&v->second.loop, r->horizon_ns))
        ;
}

static void
hand_over(struct worker *v, struct round *r)
{
    struct hg_pool *pool = hg_graph_pool(v->first.graph);

    hg_pool_export(pool, worker_keep, &r->to_main);
    pipe_put(&v->results, r);
}

/* The second part of a round comes after the first of the next one, if there
 * is one already: then nobody has to wait for the others. */
static void *
worker_main(void *aux)
{
    struct worker *v = aux;
    struct round *r, *open = NULL;
    unsigned i;

    hg_pool_enter(hg_graph_pool(v->first.graph));
    for (;;) {
        r = open ? pipe_try(&v->tasks) : pipe_expect(&v->tasks);
        if (r && r->is_last)
            return NULL;
        if (r) {
            do_first(v, r);
            for (i = 0; v->second.graph && i < v->team->n; i++)
                pipe_put(&v->hands[i], &r->hand[i]);
            if (!v->second.graph)
                hand_over(v, r);
        }
        if (open) {
            do_second(v, open);
            hand_over(v, open);
        }
        open = v->second.graph ? r : NULL;
    }
}

void
worker_take_rest(struct worker *v)
{
    struct streams *handed[UINT8_MAX];
    unsigned i;

    if (!v->team->shares)
        take_in(v, &v->rounds[0]);
    for (i = 0; i < v->team->n; i++)
        handed[i] = &v->team->v[i].rounds[0].hand[v->number];
    if (v->second.graph)
        take_handed(v, handed);
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
    v->first.out = &v->rounds[0].first;
    v->second.out = &v->rounds[0].second;
}
