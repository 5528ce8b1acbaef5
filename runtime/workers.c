/* workers.c: instances of a graph, and the main thread's share of the work;
 * see workers.h.  What the threads do is in worker.c. */
#include "workers.h"

#include <stdlib.h>
#include <string.h>

#include "worker.h"

/* Packets in a round: of all workers, if the main thread deals; else for each
 * of them, and many as long as nothing comes back, since a round costs some
 * microseconds. */
enum {
    ROUND_PACKETS = 1024,
    ROUND_FIRST = 512, /* Before it is known what comes back. */
    ROUND_SHARE = 2048,
    ROUND_IDLE = 8192,
    BACK_PACKETS = 256, /* At once, so that their slots stay cached. */
    OUTCOMES_MAX = WORKERS_MAX + 1
};

struct workers {
    struct team team;
    struct bindings *bindings;
    bool *is_local; /* By element: what is sent there is the worker's. */
    struct hg_fragment_table *firsts; /* Dealt by the main thread. */
    struct loop *front;
    struct outcome front_out[N_ROUNDS]; /* What passes the workers by. */
    uint64_t horizon_ns[N_ROUNDS];
    unsigned at;      /* The round being dealt. */
    uint64_t n_share; /* Of the next round. */
    struct hg_graph *back_graph;
    struct loop back;
    struct feed back_feed;
    struct arrivals arrivals; /* In BACK. */
    size_t n_graphs;
    struct hg_graph **graphs; /* FRONT, each SPREAD, BACK. */
};

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
    const struct team *team = &w->team;
    size_t element = hg_element_index(e);
    unsigned i;

    for (i = 0; i < n; i++) {
        unsigned k = hg_spread_worker(&team->plan, e, p[i]->in_port, p[i],
                                      team->n, w->firsts);

        put_entry(&team->v[k].rounds[w->at], feed_entry(p[i], element));
    }
}

/* Packets come to an element of BACK or a device in the instance of FRONT. */
static void
pass_by(void *aux, struct hg_element *e, struct hg_packet *const *p,
        unsigned n)
{
    struct workers *w = aux;
    unsigned i;

    for (i = 0; i < n; i++)
        streams_put(&w->front_out[w->at].packets, hg_element_index(e), p[i]);
}

static void
pass_report(void *aux, struct hg_element *e, const struct hg_arrival *at,
            const void *record, size_t size)
{
    struct workers *w = aux;

    reports_put(&w->front_out[w->at].reports, e, at, record, size);
}

/* ---- Instances -------------------------------------------------------- */

static bool
has_flag(const struct hg_element *e, uint32_t flag)
{
    return (hg_element_class(e)->flags & flag) != 0;
}

/* Who takes packets that come to an element which is not at work in the
 * instance for 'zone'; NULL: nobody has to. */
static hg_divert_fn *
diversion(enum hg_zone zone, enum hg_zone place, bool is_device)
{
    bool to_back = is_device || place == HG_BACK;

    if (zone == HG_BACK || (!is_device && place <= zone))
        return NULL;
    if (zone == HG_FRONT)
        return to_back ? pass_by : deal;
    if (is_device)
        return worker_copy_back;
    return worker_bring_back;
}

/* Prepares an instance for what it does of the graph: elements of 'zone', and
 * in BACK those that others report to.  'v': whose it is, NULL: the main
 * thread's. */
static void
take_part(struct workers *w, struct hg_graph *g, enum hg_zone zone,
          struct worker *v)
{
    size_t i;

    for (i = 0; i < w->team.plan.n; i++) {
        struct hg_element *e = hg_graph_element(g, i);
        enum hg_zone place = w->team.plan.zone[i];
        bool is_device = has_flag(e, HG_CLASS_DEVICE);
        bool reports = hg_element_class(e)->reported && place != HG_BACK;
        bool is_here = is_device || place == zone;
        hg_divert_fn *divert = diversion(zone, place, is_device);

        if (has_flag(e, HG_CLASS_PASSIVE)) {
            hg_element_set_working(e, zone == HG_FRONT);
            continue;
        }
        hg_element_set_working(e, is_here || (reports && zone == HG_BACK));
        if (is_here && reports)
            hg_element_set_reporting(e);
        if (divert && !(v && w->is_local[i]))
            hg_element_divert(e, divert, v ? (void *)v : w);
    }
    if (v)
        hg_graph_take_reports(g, worker_bring_report, v);
}

static struct hg_graph *
load_again(struct workers *w, struct setup *setup, uint64_t seed, unsigned n,
           unsigned worker)
{
    setup->kin = w->graphs[0];
    setup->n_workers = n;
    setup->worker = worker;
    return w->graphs[w->n_graphs++] = setup_load(setup, seed, false, true);
}

/* Whose a packet is that comes from a device (hg_share). */
static unsigned
owner_behind(void *aux, struct hg_packet *p)
{
    const struct door *door = aux;
    const struct team *team = door->team;

    if (!door->element)
        return 0;
    p->pool = door->pool; /* Whose seed the flow hash has. */
    return hg_spread_worker(&team->plan, door->element, door->port, p, team->n,
                            door->firsts);
}

static uint64_t
glance_behind(void *aux, const struct hg_frame *frame, unsigned n,
              uint64_t *unsaid)
{
    const struct door *door = aux;
    const struct team *team = door->team;

    if (door->element)
        return hg_spread_glance(&team->plan, door->element, frame, n, team->n,
                                door->share.mine, unsaid);
    *unsaid = 0;
    return door->share.mine == 0 ? UINT64_MAX : 0;
}

/* What whoever deals remembers of fragments. */
static struct hg_fragment_table *
make_firsts(uint64_t seed)
{
    struct hg_fragment_table *firsts =
        hg_fragment_table_create(HG_SPREAD_FIRSTS, HG_NEVER, seed);

    if (firsts)
        return firsts;
    cli_error("out of memory");
    exit(CLI_FAILED);
}

static void
make_door(const struct workers *w, struct worker *v, uint64_t seed, size_t i)
{
    struct door *door = &v->doors[i];
    struct hg_element *e =
        hg_graph_find(w->team.front, w->bindings->v[i].name);
    struct hg_port_info port;

    hg_element_output(e, 0, &port);
    *door =
        (struct door){.team = &w->team,
                      .element = port.peer,
                      .port = port.peer_port,
                      .pool = hg_graph_pool(w->team.front),
                      .firsts = make_firsts(seed),
                      .share = {owner_behind, glance_behind, door, v->number}};
}

/* Opens what the worker itself has to read, or may send to. */
static bool
open_device(struct workers *w, struct worker *v, uint64_t seed, size_t i)
{
    const struct binding *b = &w->bindings->v[i];
    struct device_options options = {.filter = b->filter, .seed = seed};
    const char *spec = b->spec;
    struct hg_error error = {""};

    make_door(w, v, seed, i);
    if (b->device->min_delay_ns != HG_NEVER)
        options.share = NULL;
    else if (w->team.shares)
        options.share = &v->doors[i].share;
    else if (b->device->can_send)
        spec = "null:";
    else
        return true;
    v->devices[i] = device_open(spec, &options, &error);
    if (!v->devices[i])
        cli_error("interface '%s': %s", b->name, error.text);
    return v->devices[i];
}

/* The sources of a worker: devices of its own, or a feed for each device of
 * the main thread, in the same order. */
static bool
add_sources(struct workers *w, struct worker *v, uint64_t seed)
{
    const struct bindings *b = w->bindings;
    size_t i;

    for (i = 0; i < b->n; i++) {
        struct hg_element *e = hg_graph_find(v->graph, b->v[i].name);
        bool is_local = w->is_local[hg_element_index(e)];
        bool answers = b->v[i].device->min_delay_ns != HG_NEVER;

        if ((is_local || w->team.shares) && !open_device(w, v, seed, i))
            return false;
        if (w->team.shares || answers)
            loop_add(&v->loop, e, v->devices[i], NULL, i);
        else
            loop_add(&v->loop, e, &v->feeds[i].dev, &v->feeds[i], i);
        if (is_local)
            hg_element_bind(e, v->devices[i]);
    }
    return true;
}

static bool
make_worker(struct workers *w, unsigned k, struct setup *setup, uint64_t seed)
{
    struct worker *v = &w->team.v[k];
    unsigned n = w->team.n;

    worker_init(v, &w->team, k, w->bindings->n);
    v->graph = load_again(w, setup, seed, n, k);
    if (!v->graph)
        return false;
    take_part(w, v->graph, HG_SPREAD, v);
    return add_sources(w, v, seed);
}

static bool
make_instances(struct workers *w, struct setup *setup, uint64_t seed)
{
    struct hg_graph *front = w->team.front;
    unsigned i;

    for (i = 0; i < N_ROUNDS; i++)
        outcome_init(&w->front_out[i], &w->team);
    feed_init(&w->back_feed);
    w->arrivals.pool = hg_graph_pool(front);
    for (i = 0; i < w->team.n; i++)
        if (!make_worker(w, i, setup, seed))
            return false;
    w->back_graph = load_again(w, setup, seed, 1, 0);
    if (!w->back_graph)
        return false;
    take_part(w, front, HG_FRONT, NULL);
    take_part(w, w->back_graph, HG_BACK, NULL);
    hg_graph_take_reports(front, pass_report, w);
    hg_graph_leave_gaps(front);
    bindings_attach(w->bindings, w->back_graph);
    return true;
}

/* Whether workers may have a device each in the place of this one: it answers
 * them, or what they send there is only counted. */
static bool
is_local(const struct hg_device *d)
{
    return d->min_delay_ns != HG_NEVER || !d->can_send ||
           d->ops->send == device_swallow;
}

/* Each worker reads for itself if it can. */
static bool
make_plan(struct workers *w)
{
    const struct hg_graph *front = w->team.front;
    size_t n = hg_graph_n_elements(front), i;
    struct hg_spread_device *devices = cli_alloc(n + 1, sizeof *devices);
    bool can_share = true, planned;
    struct hg_error error = {""};

    w->is_local = cli_alloc(n + 1, sizeof *w->is_local);
    for (i = 0; i < w->bindings->n; i++) {
        const struct binding *b = &w->bindings->v[i];
        size_t k = hg_element_index(hg_graph_find(front, b->name));

        devices[k].answers = b->device->min_delay_ns != HG_NEVER;
        devices[k].receives = b->device->can_receive;
        w->is_local[k] = is_local(b->device);
        if (!devices[k].answers && devices[k].receives &&
            !b->device->can_share)
            can_share = false;
    }
    planned = hg_spread_plan(&w->team.plan, front, devices, &error);
    w->team.shares = can_share && !w->team.plan.has_front;
    free(devices);
    if (!planned)
        cli_error("cannot run on %u workers: %s", w->team.n, error.text);
    return planned;
}

struct workers *
workers_create(struct setup *setup, uint64_t seed, unsigned n,
               struct hg_graph *front, struct bindings *bindings)
{
    struct workers *w = cli_alloc(1, sizeof *w);

    w->team.n = n;
    w->team.v = cli_alloc(n, sizeof *w->team.v);
    w->team.front = front;
    w->graphs = cli_alloc((size_t)n + 2, sizeof(struct hg_graph *));
    w->graphs[w->n_graphs++] = front;
    w->bindings = bindings;
    w->firsts = make_firsts(seed);
    if (make_plan(w) && make_instances(w, setup, seed))
        return w;
    workers_destroy(w);
    return NULL;
}

void
workers_destroy(struct workers *w)
{
    unsigned i;

    if (!w)
        return;
    for (i = 0; i < w->team.n; i++)
        worker_uninit(&w->team.v[i]);
    for (i = 0; i < N_ROUNDS; i++)
        outcome_uninit(&w->front_out[i]);
    feed_uninit(&w->back_feed);
    loop_uninit(&w->back);
    hg_graph_destroy(w->back_graph);
    hg_spread_uninit(&w->team.plan);
    hg_fragment_table_destroy(w->firsts);
    free(w->is_local);
    free(w->graphs);
    free(w->team.v);
    free(w);
}

struct hg_graph *const *
workers_graphs(const struct workers *w, size_t *n)
{
    *n = w->n_graphs;
    return w->graphs;
}

/* The main thread has only looked when the first packet comes; the workers
 * read it again, and count what a filter refuses before it. */
static void
leave_sources(struct workers *w)
{
    struct loop *l = w->front;
    size_t i;

    l->is_shut = true;
    for (i = 0; i < l->n_sources; i++) {
        struct hg_device *d = l->sources[i].device;

        l->sources[i].is_shared = true;
        d->rx_filtered = d->rx_unusable = d->rx_backwards = 0;
    }
}

bool
workers_start(struct workers *w, struct loop *front, struct hg_error *error)
{
    unsigned i;

    hg_pool_enter(hg_graph_pool(w->team.front));
    w->front = front;
    front->is_part = true;
    if (!loop_start(front, w->team.front, w->bindings, error))
        return false;
    if (w->team.shares)
        leave_sources(w);
    for (i = 0; i < w->team.n; i++) {
        struct worker *v = &w->team.v[i];

        v->loop.batch = front->batch;
        if (!loop_start_part(&v->loop, v->graph, front->first_ns, error))
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

/* Slots that ended here, for all workers alike: who has too many returns them
 * with a round. */
static void
give_spares(struct workers *w)
{
    struct hg_pool *pool = hg_graph_pool(w->team.front);
    uint32_t left[HG_POOL_SIZES], share[HG_POOL_SIZES];
    unsigned i, k;

    hg_pool_count_free(pool, left);
    for (k = 0; k < HG_POOL_SIZES; k++) {
        share[k] = left[k] > worker_keep[k]
                       ? (left[k] - worker_keep[k]) / w->team.n
                       : 0;
    }
    for (i = 0; i < w->team.n; i++) {
        for (k = 0; k < HG_POOL_SIZES; k++)
            left[k] -= share[k];
        hg_pool_export(pool, left, &w->team.v[i].rounds[w->at].to_worker);
    }
}

static void
send_round(struct workers *w)
{
    unsigned i;

    give_spares(w);
    for (i = 0; i < w->team.n; i++) {
        struct worker *v = &w->team.v[i];
        struct round *r = &v->rounds[w->at];

        r->horizon_ns = w->horizon_ns[w->at];
        r->n_share = w->n_share;
        pipe_put(&v->tasks, r);
    }
}

/* What has left FRONT and the workers in round 'at'; returns of how many. */
static size_t
outcomes(struct workers *w, unsigned at, struct outcome **all)
{
    size_t n = 0;
    unsigned i;

    all[n++] = &w->front_out[at];
    for (i = 0; i < w->team.n; i++)
        all[n++] = &w->team.v[i].rounds[at].out;
    return n;
}

/* Brings up to 'max' packets to BACK; true if there are more. */
static bool
merge(struct workers *w, unsigned at, size_t max)
{
    struct outcome *all[OUTCOMES_MAX];
    struct streams *packets[OUTCOMES_MAX];
    size_t n = outcomes(w, at, all), i;

    for (i = 0; i < n; i++)
        packets[i] = &all[i]->packets;
    return streams_merge(packets, n, &w->team.plan, &w->arrivals, max,
                         &w->back_feed);
}

/* Brings reports there that are of before 'until_ns'. */
static void
deliver(struct workers *w, unsigned at, uint64_t until_ns)
{
    struct outcome *all[OUTCOMES_MAX];
    struct reports *reports[OUTCOMES_MAX];
    size_t n = outcomes(w, at, all), i;

    for (i = 0; i < n; i++)
        reports[i] = &all[i]->reports;
    reports_deliver(reports, n, w->back_graph, until_ns);
}

/* Runs BACK up to 'horizon_ns'; its timers fire between the reports. */
static void
run_back(struct workers *w, unsigned at, uint64_t horizon_ns)
{
    uint64_t due_ns;

    do {
        loop_look(&w->back);
        due_ns = loop_due(&w->back);
        deliver(w, at, due_ns <= horizon_ns ? due_ns : horizon_ns + 1);
    } while (loop_step(&w->back, horizon_ns));
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

/* How far the workers have read; each passes all packets. */
static void
show_progress(struct workers *w, const struct round *r)
{
    size_t i;

    for (i = 0; i < w->bindings->n; i++) {
        w->bindings->v[i].device->rx_packets = r->n_passed[i];
        w->bindings->v[i].device->input_done = r->n_done[i];
    }
    progress_update(&w->front->progress, w->bindings);
}

/* Decides on the rounds to come by what one has brought. */
static void
set_share(struct workers *w, unsigned at)
{
    bool is_idle = true;
    struct outcome *all[OUTCOMES_MAX];
    size_t n = outcomes(w, at, all), i;

    for (i = 0; i < n; i++)
        is_idle = is_idle && outcome_is_empty(all[i]);
    w->n_share = is_idle ? ROUND_IDLE : ROUND_SHARE;
    w->n_share *= w->team.n;
}

/* Waits for the round that is oldest and does what is left of it; false if
 * there is none behind it that workers could read. */
static bool
finish_round(struct workers *w, unsigned at)
{
    const struct round *first = &w->team.v[0].rounds[at];
    unsigned i;

    for (i = 0; i < w->team.n; i++) {
        struct round *r = pipe_take(&w->team.v[i].results);

        hg_pool_import(hg_graph_pool(w->team.front), &r->to_main);
    }
    set_share(w, at);
    while (merge(w, at, BACK_PACKETS))
        run_back(w, at, w->arrivals.last.time_ns);
    run_back(w, at, first->horizon_ns);
    flush(w);
    if (!w->team.shares)
        return true;
    loop_notice(w->front);
    show_progress(w, first);
    return first->goes_on;
}

/* ---- The end ---------------------------------------------------------- */

/* Does what is due first in any instance; of equals BACK is the last one, so
 * that all that was reported until then is there. */
static void
step_first(struct workers *w, struct loop *const *loops, size_t n)
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
    if (first == &w->back)
        deliver(w, 0, first_ns);
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
    size_t n = 0, i;

    loops[n++] = w->front;
    for (i = 0; i < w->team.n; i++)
        loops[n++] = &w->team.v[i].loop;
    loops[n++] = &w->back;
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
        step_first(w, loops, n);
        for (i = 0; i < w->team.n; i++)
            worker_take_rest(&w->team.v[i]);
        merge(w, 0, SIZE_MAX);
    }
    for (i = 0; i < n; i++)
        if (loops[i]->last_ns > last_ns)
            last_ns = loops[i]->last_ns;
    for (i = 0; i < n - 1; i++)
        hg_graph_advance(loops[i]->graph, last_ns);
    run_back(w, 0, last_ns);
    hg_graph_advance(w->back_graph, last_ns);
    for (i = 0; i < n - 1; i++)
        hg_graph_report(loops[i]->graph);
    deliver(w, 0, HG_NEVER);
    w->front->last_ns = last_ns;
    flush(w);
}

/* What a worker's own device counted, and why it failed. */
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
    if (d->failed)
        device_fail(to, "%s", d->error.text);
}

static void
collect_counts(struct workers *w)
{
    unsigned i;
    size_t k;

    for (k = 0; k < w->bindings->n; k++) {
        struct hg_device *to = w->bindings->v[k].device;

        if (w->team.shares)
            to->rx_packets = 0;
        for (i = 0; i < w->team.n; i++)
            if (w->team.v[i].devices[k])
                add_counts(to, w->team.v[i].devices[k]);
    }
}

static void
start_threads(struct workers *w)
{
    struct hg_error error = {""};
    unsigned i;

    for (i = 0; i < w->team.n; i++)
        if (!worker_start(&w->team.v[i], &error)) {
            cli_error("%s", error.text);
            exit(CLI_FAILED);
        }
}

void
workers_run(struct workers *w)
{
    unsigned sent = 0, done = 0, i;
    bool goes_on = true;
    size_t k;

    loop_catch_signals();
    w->n_share = (uint64_t)ROUND_FIRST * w->team.n;
    for (k = 0; k < w->n_graphs; k++)
        hg_graph_settle(w->graphs[k]);
    start_threads(w);
    for (;;) {
        if (sent - done == N_ROUNDS && !finish_round(w, done++ % N_ROUNDS))
            goes_on = false;
        if (!goes_on)
            break;
        w->at = sent++ % N_ROUNDS;
        if (w->team.shares) {
            goes_on = !loop_is_stopped();
        } else {
            goes_on = fill(w);
            w->horizon_ns[w->at] = horizon(w->front, goes_on);
        }
        send_round(w);
    }
    while (done < sent)
        finish_round(w, done++ % N_ROUNDS);
    for (i = 0; i < w->team.n; i++)
        worker_end(&w->team.v[i]);
    run_rest(w);
    collect_counts(w);
    progress_clear(&w->front->progress);
    loop_notice(w->front);
}
