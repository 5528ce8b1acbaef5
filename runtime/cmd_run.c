/* cmd_run.c: "headgate run": opens the devices, runs the graph (loop.c) and
 * ends with the account (summary.c).
 *
 * What can be known to be wrong before the first packet ends the program with
 * CLI_WRONG, what goes wrong afterwards with CLI_FAILED. */
#include <getopt.h>
#include <sys/random.h>
#include <time.h>

#include "commands.h"
#include "handlers.h"
#include "workers.h"

enum {
    RUN_BATCH = SETUP_N_OPTIONS,
    RUN_WORKERS,
    RUN_SEED,
    RUN_FILTER,
    RUN_READ,
    RUN_WRITE,
    RUN_JSON,
    RUN_QUIET
};

static const struct cli_option options[] = {
    SETUP_OPTIONS,
    [RUN_BATCH] = {"batch", 0, "N", "packets at once, 1 to 256 (default 64)"},
    [RUN_WORKERS] = {"workers", 0, "N",
                     "threads that share the work, 1 to 64 (default 1; not "
                     "on network interfaces)"},
    [RUN_SEED] = {"seed", 0, "N",
                  "of random choices (default 0; live: a random one)"},
    [RUN_FILTER] = {"filter", 0, "NAME=EXPRESSION",
                    "receive only what this pcap filter accepts"},
    [RUN_READ] = {"read", 0, "ELEMENT.HANDLER[=ARGUMENT]",
                  "add what it says to the summary"},
    [RUN_WRITE] = {"write", 0, "ELEMENT.HANDLER=VALUE",
                   "set it before the first packet; @FILE: as in FILE"},
    [RUN_JSON] = {"json", 0, NULL, "the summary as JSON"},
    [RUN_QUIET] = {"quiet", 'q', NULL, "show no progress"},
};

struct run {
    struct setup setup;
    struct cli_pairs devices;
    struct cli_pairs filters;
    struct cli_pairs reads;
    struct cli_pairs writes;
    unsigned batch;
    unsigned n_workers;
    uint64_t seed;
    bool seed_given;
    bool json;
    bool quiet;
    struct hg_graph *graph;
    struct bindings bindings;
    struct loop loop;
    struct workers *workers;    /* NULL: one. */
    struct instances instances; /* Of the graph. */
    bool failed;                /* Something after the first packet did. */
};

/* ---- The command line ------------------------------------------------- */

static bool
take_number(const char *option, const char *text, uint64_t min, uint64_t max,
            uint64_t *out)
{
    uint64_t n;

    if (hg_number_parse(text, &n) && n >= min && n <= max) {
        *out = n;
        return true;
    }
    cli_error("'--%s %s': it is a number from %llu to %llu", option, text,
              (unsigned long long)min, (unsigned long long)max);
    return false;
}

static bool
take(struct run *run, int option, const char *argument)
{
    uint64_t n = 0;

    switch (option) {
    case RUN_BATCH:
        if (!take_number("batch", argument, 1, HG_BATCH_MAX, &n))
            return false;
        run->batch = (unsigned)n;
        return true;
    case RUN_WORKERS:
        if (!take_number("workers", argument, 1, WORKERS_MAX, &n))
            return false;
        run->n_workers = (unsigned)n;
        return true;
    case RUN_SEED:
        run->seed_given = true;
        return take_number("seed", argument, 0, INT64_MAX, &run->seed);
    case RUN_FILTER:
        cli_pairs_add(&run->filters, argument);
        return true;
    case RUN_READ:
        cli_pairs_add(&run->reads, argument);
        return true;
    case RUN_WRITE:
        cli_pairs_add(&run->writes, argument);
        return true;
    case RUN_JSON:
        run->json = true;
        return true;
    case RUN_QUIET:
        run->quiet = true;
        return true;
    default:
        return setup_take(&run->setup, option, argument);
    }
}

/* ---- Running ---------------------------------------------------------- */

static uint64_t
random_seed(void)
{
    uint64_t seed;

    if (getrandom(&seed, sizeof seed, 0) != (ssize_t)sizeof seed)
        seed = loop_clock();
    return seed & INT64_MAX;
}

/* Loads the graph and opens the devices.  Whether these are live is known
 * only after the graph has been read; a live graph is then read again. */
static bool
prepare(struct run *run)
{
    struct setup *setup = &run->setup;

    run->graph = setup_load(setup, run->seed, false, false);
    if (!run->graph)
        return false;
    if (!bindings_resolve(&run->bindings, run->graph, &run->devices,
                          &run->filters) ||
        !handlers_check(run->graph, &run->reads, &run->writes) ||
        !bindings_open(&run->bindings, run->seed))
        return false;
    if (bindings_live(&run->bindings)) {
        if (run->n_workers > 1) {
            cli_error("'--workers %u': network interfaces are served by one "
                      "worker; leave --workers out",
                      run->n_workers);
            return false;
        }
        hg_graph_destroy(run->graph);
        if (!run->seed_given)
            run->seed = random_seed();
        run->graph = setup_load(setup, run->seed, true, true);
    }
    if (!run->graph)
        return false;
    run->instances = (struct instances){&run->graph, 1};
    if (run->n_workers < 2) {
        bindings_attach(&run->bindings, run->graph);
        return true;
    }
    run->workers = workers_create(setup, run->seed, run->n_workers, run->graph,
                                  &run->bindings);
    if (!run->workers)
        return false;
    run->instances.graphs = workers_graphs(run->workers, &run->instances.n);
    return true;
}

static bool
start(struct run *run)
{
    struct hg_error error = {""};

    progress_init(&run->loop.progress, run->quiet);
    run->loop.batch = run->batch;
    loop_catch_signals(); /* Even the first packet may never come. */
    if (run->workers
            ? !workers_start(run->workers, &run->loop, &error)
            : !loop_start(&run->loop, run->graph, &run->bindings, &error)) {
        cli_error("%s", error.text);
        return false;
    }
    return handlers_write(&run->instances, &run->writes);
}

static void
stop(struct run *run)
{
    size_t i;

    for (i = 0; i < run->instances.n; i++)
        hg_graph_stop(run->instances.graphs[i]);
}

static uint64_t
cpu_clock(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * HG_SEC + (uint64_t)t.tv_nsec;
}

/* Runs to the end and prints the account. */
static void
run_and_account(struct run *run)
{
    uint64_t wall_ns = progress_clock(), cpu_ns = cpu_clock();
    FILE *out = bindings_use_stdout(&run->bindings) ? stderr : stdout;
    struct summary summary;
    size_t i;

    if (run->workers)
        workers_run(run->workers);
    else
        loop_run(&run->loop);
    summary_init(&summary, run->setup.graph, run->seed);
    if (!handlers_read(&run->instances, &run->reads, &summary))
        run->failed = true;
    stop(run);
    summary_add_devices(&summary, &run->bindings);
    bindings_close(&run->bindings);
    summary_add_failures(&summary, &run->bindings);
    summary_add_elements(&summary, run->instances.graphs, run->instances.n);
    summary_add_times(&summary, &run->loop, progress_clock() - wall_ns,
                      cpu_clock() - cpu_ns);
    summary_print(&summary, out, run->json);
    if (!summary.balanced)
        run->failed = true;
    for (i = 0; i < run->bindings.n; i++)
        if (run->bindings.v[i].failure)
            run->failed = true;
    summary_uninit(&summary);
}

static int
run_graph(struct run *run)
{
    int status = CLI_WRONG;

    if (prepare(run)) {
        if (start(run)) {
            run_and_account(run);
            if (!cli_flush())
                run->failed = true;
            status = run->failed ? CLI_FAILED : CLI_DONE;
        } else {
            stop(run);
        }
    }
    loop_uninit(&run->loop);
    return status;
}

static void
run_uninit(struct run *run)
{
    bindings_uninit(&run->bindings);
    workers_destroy(run->workers);
    hg_graph_destroy(run->graph);
    cli_pairs_uninit(&run->devices);
    cli_pairs_uninit(&run->filters);
    cli_pairs_uninit(&run->reads);
    cli_pairs_uninit(&run->writes);
    setup_uninit(&run->setup);
}

int
cmd_run(int argc, char **argv)
{
    struct cli cli = {
        .usage = "run GRAPH [NAME=DEVICE ...] [OPTION ...]",
        .about =
            "Runs packets through a graph until the captures end, or, on "
            "network interfaces,\nuntil SIGINT or SIGTERM; then prints what "
            "became of them.\n\n"
            "NAME is an interface of the graph, DEVICE one of\n"
            "  in.pcap        capture that is read (.pcap, .pcapng, also .gz, "
            ".zst; - is stdin)\n"
            "  in.pcap:out.pcap  and one that takes what is sent\n"
            "  :out.pcap      only the latter (:- is stdout)\n"
            "  eth0, raw:eth0 network interface\n"
            "  tap:tap0       TAP interface\n"
            "  gen:count=1000,flows=10,...  synthetic traffic\n"
            "  echo:          answers what it is sent\n"
            "  null:          swallows what it is sent\n",
        .options = options,
        .n_options = sizeof options / sizeof *options,
        .argc = argc,
        .argv = argv,
    };
    struct run run = {.batch = 64, .n_workers = 1};
    const char *argument;
    int status, o, i;

    do
        o = cli_next(&cli, &argument);
    while (o >= 0 && take(&run, o, argument));
    if (o != CLI_END) {
        status = cli_status(o);
    } else if (optind == argc) {
        cli_error("no graph given; 'headgate run --help' explains");
        status = CLI_WRONG;
    } else {
        run.setup.graph = argv[optind];
        for (i = optind + 1; i < argc; i++)
            cli_pairs_add(&run.devices, argv[i]);
        status = run_graph(&run);
    }
    run_uninit(&run);
    return status;
}
