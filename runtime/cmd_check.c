/* cmd_check.c: "headgate check": is this graph right?  Devices are not
 * opened, so that nothing is overwritten. */
#include <getopt.h>

#include "commands.h"
#include "setup.h"

static const struct cli_option options[] = {SETUP_OPTIONS};

static int
check(struct setup *setup, const struct cli_pairs *devices)
{
    const struct cli_pairs no_filters = {0, NULL};
    struct bindings bindings = {0, NULL};
    struct hg_graph *graph = setup_load(setup, 0, false, false);
    int status = CLI_WRONG;

    if (graph && bindings_resolve(&bindings, graph, devices, &no_filters)) {
        size_t n = hg_graph_n_elements(graph);

        printf("'%s' is right: %zu element%s\n", setup->graph, n,
               n == 1 ? "" : "s");
        status = cli_flush() ? CLI_DONE : CLI_FAILED;
    }
    bindings_uninit(&bindings);
    hg_graph_destroy(graph);
    return status;
}

int
cmd_check(int argc, char **argv)
{
    struct cli cli = {
        .usage = "check GRAPH [NAME=DEVICE ...] [OPTION ...]",
        .about = "Says everything that is wrong with a graph file, each "
                 "mistake with its place.\nExit code 0: it is right, 2: it is "
                 "not.  NAME=DEVICE are as in 'headgate run'; the\nnames are "
                 "checked, devices are not opened.\n",
        .options = options,
        .n_options = sizeof options / sizeof *options,
        .argc = argc,
        .argv = argv,
    };
    struct setup setup = {0};
    struct cli_pairs devices = {0, NULL};
    const char *argument;
    int status, o, i;

    do
        o = cli_next(&cli, &argument);
    while (o >= 0 && setup_take(&setup, o, argument));
    if (o != CLI_END) {
        status = cli_status(o);
    } else if (optind == argc) {
        cli_error("no graph given; 'headgate check --help' explains");
        status = CLI_WRONG;
    } else {
        setup.graph = argv[optind];
        for (i = optind + 1; i < argc; i++)
            cli_pairs_add(&devices, argv[i]);
        status = check(&setup, &devices);
    }
    cli_pairs_uninit(&devices);
    setup_uninit(&setup);
    return status;
}
