/* cmd_run.c: "headgate run": opens the devices, runs the graph (loop.c) and
 * ends with the account (summary.c).
 *
 * What can be known to be wrong before the first packet ends the program with
 * CLI_WRONG, what goes wrong afterwards with CLI_FAILED. */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "commands.h"
#include "summary.h"

enum {
    RUN_BATCH = SETUP_N_OPTIONS,
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
    uint64_t seed;
    bool seed_given;
    bool json;
    bool quiet;
    struct hg_graph *graph;
    struct bindings bindings;
    struct loop loop;
    bool failed; /* Something after the first packet did. */
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

/* ---- Handlers --------------------------------------------------------- */

static bool
same_word(const char *a, const char *b)
{
    for (; *a && *b; a++, b++)
        if ((*a == '_' ? '-' : *a) != (*b == '_' ? '-' : *b))
            return false;
    return *a == *b;
}

static bool
has_handler(const struct hg_class *cls, const char *name)
{
    size_t i;

    for (i = 0; i < cls->n_handlers; i++)
        if (same_word(cls->handlers[i].name, name))
            return true;
    for (i = 0; i < cls->n_fields; i++)
        if (same_word(cls->fields[i].name, name))
            return true;
    return same_word(name, "name") || same_word(name, "class");
}

static void
report_element(const struct hg_graph *graph, const char *option,
               const char *name)
{
    size_t n = hg_graph_n_elements(graph), i;
    const char **words = cli_alloc(n, sizeof *words);

    for (i = 0; i < n; i++)
        words[i] = hg_element_name(hg_graph_element(graph, i));
    cli_error_word(name, words, n, "'headgate graph' shows what there is",
                   "no element '%s' for '--%s'", name, option);
    free(words);
}

/* Splits "ELEMENT.HANDLER" and finds both; NULL after reporting that one is
 * not there. */
static struct hg_element *
find_handler(const struct run *run, const char *option, const char *text,
             const char **handler)
{
    const char *dot = strrchr(text, '.');
    char *name = cli_printf("%.*s", dot ? (int)(dot - text) : 0, text);
    struct hg_element *e = hg_graph_find(run->graph, name);

    if (!dot || !*name || !dot[1]) {
        cli_error("'--%s %s': write ELEMENT.HANDLER", option, text);
        e = NULL;
    } else if (!e) {
        report_element(run->graph, option, name);
    } else if (!has_handler(hg_element_class(e), dot + 1)) {
        struct hg_error error = {""};

        /* There is no such handler, so this only makes the sentence. */
        hg_element_read(e, dot + 1, "", stderr, &error);
        cli_error("'--%s %s': %s", option, text, error.text);
        e = NULL;
    } else {
        *handler = dot + 1;
    }
    free(name);
    return e;
}

static bool
check_handlers(const struct run *run)
{
    const char *handler;
    bool right = true;
    size_t i;

    for (i = 0; i < run->reads.n; i++)
        if (!find_handler(run, "read", run->reads.v[i].name, &handler))
            right = false;
    for (i = 0; i < run->writes.n; i++) {
        const struct cli_pair *pair = &run->writes.v[i];

        if (!find_handler(run, "write", pair->name, &handler)) {
            right = false;
        } else if (!pair->value) {
            cli_error("'--write %s' has no value; write ELEMENT.HANDLER=VALUE",
                      pair->name);
            right = false;
        }
    }
    return right;
}

/* The value itself, or what is in the file that "@FILE" names. */
static char *
load_value(const char *value)
{
    char *text = NULL;
    size_t size = 0;
    FILE *file;

    if (*value != '@')
        return cli_printf("%s", value);
    file = fopen(value + 1, "re");
    if (!file || (getdelim(&text, &size, '\0', file) < 0 && ferror(file))) {
        cli_error("cannot read '%s': %s", value + 1, strerror(errno));
        free(text);
        text = NULL;
    } else if (feof(file) && ftell(file) == 0) {
        *text = '\0'; /* An empty file. */
    }
    if (file)
        fclose(file);
    return text;
}

static bool
write_handlers(struct run *run)
{
    size_t i;

    for (i = 0; i < run->writes.n; i++) {
        const struct cli_pair *pair = &run->writes.v[i];
        const char *handler;
        struct hg_element *e =
            find_handler(run, "write", pair->name, &handler);
        struct hg_error error = {""};
        char *value = load_value(pair->value);
        bool written =
            e && value && hg_element_write(e, handler, value, &error);

        if (value && !written)
            cli_error("'--write %s': %s", pair->name, error.text);
        free(value);
        if (!written)
            return false;
    }
    return true;
}

static void
read_handlers(struct run *run, struct summary *summary)
{
    size_t i;

    for (i = 0; i < run->reads.n; i++) {
        const struct cli_pair *pair = &run->reads.v[i];
        const char *argument = pair->value ? pair->value : "", *handler;
        struct hg_element *e = find_handler(run, "read", pair->name, &handler);
        struct hg_error error = {""};
        char *text = NULL, *name;
        size_t size = 0;
        FILE *out = open_memstream(&text, &size);
        bool read =
            e && out && hg_element_read(e, handler, argument, out, &error);

        if (out)
            fclose(out);
        name =
            cli_printf("%s%s%s", pair->name, pair->value ? "=" : "", argument);
        if (read) {
            summary_add_read(summary, name, text);
        } else {
            cli_error("'--read %s': %s", name, error.text);
            run->failed = true;
        }
        free(name);
        free(text);
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
        !check_handlers(run) || !bindings_open(&run->bindings, run->seed))
        return false;
    if (bindings_live(&run->bindings)) {
        hg_graph_destroy(run->graph);
        if (!run->seed_given)
            run->seed = random_seed();
        run->graph = setup_load(setup, run->seed, true, true);
    }
    if (!run->graph)
        return false;
    bindings_attach(&run->bindings, run->graph);
    return true;
}

static bool
start(struct run *run)
{
    struct hg_error error = {""};

    progress_init(&run->loop.progress, run->quiet);
    run->loop.batch = run->batch;
    if (!loop_start(&run->loop, run->graph, &run->bindings, &error)) {
        cli_error("%s", error.text);
        return false;
    }
    return write_handlers(run);
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

    loop_run(&run->loop);
    summary_init(&summary, run->setup.graph, run->seed);
    read_handlers(run, &summary);
    hg_graph_stop(run->graph);
    summary_add_devices(&summary, &run->bindings);
    bindings_close(&run->bindings);
    summary_add_failures(&summary, &run->bindings);
    summary_add_elements(&summary, run->graph);
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
            hg_graph_stop(run->graph);
        }
    }
    loop_uninit(&run->loop);
    return status;
}

static void
run_uninit(struct run *run)
{
    bindings_uninit(&run->bindings);
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
    struct run run = {.batch = 64};
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
