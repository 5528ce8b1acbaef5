/* setup.h: what the subcommands that take a graph have in common: options
 * about plugins and overrides, loading, and binding interfaces to devices.
 *
 *     setup_load()       a file into a graph, with its mistakes printed
 *     bindings_resolve() which interface gets which device: names checked
 *     bindings_open()    ... and opened
 *     bindings_attach()  hands the devices to the elements of a graph
 *
 * Thread-safety: main thread only. */
#ifndef RUNTIME_SETUP_H
#define RUNTIME_SETUP_H 1

#include <headgate/graph.h>

#include "cli.h"

/* The options that every such subcommand starts its table with. */
#define SETUP_OPTIONS                                                         \
    {"option", 'o', "ELEMENT.OPTION=VALUE",                                   \
     "overrides an option of the graph file"},                                \
    {                                                                         \
        "plugin-path", 0, "DIRS", "folders with plugins, separated by colons" \
    }
enum { SETUP_OPTION, SETUP_PLUGIN_PATH, SETUP_N_OPTIONS };

struct setup {
    const char *graph; /* Path of the graph file. */
    const char *plugin_path;
    const char **overrides;
    size_t n_overrides;
    struct hg_plugins *plugins; /* Made by setup_load(). */
    unsigned n_workers;         /* As in hg_graph_config, for setup_load(). */
    unsigned worker;
    struct hg_graph *kin;
};

/* Takes one of the options above; false after reporting that it is wrong. */
bool setup_take(struct setup *, int option, const char *argument);
void setup_uninit(struct setup *);

/* The plugins along the path; with those of the build tree if the program
 * runs from one.  Never NULL. */
struct hg_plugins *setup_plugins(const char *plugin_path);

/* Loads the graph and prints what is wrong with it.  NULL if something is.
 * 'again': it has been loaded before; warnings are not repeated. */
struct hg_graph *setup_load(struct setup *, uint64_t seed, bool live,
                            bool again);

/* An interface of the graph and what it is bound to. */
struct binding {
    char *name;                 /* Of the element. */
    char *spec;                 /* NULL: nothing says what to bind. */
    char *filter;               /* NULL: none. */
    struct hg_element *element; /* In the graph attached to. */
    struct hg_device *device;   /* NULL until opened, and once closed. */
    char *failure;              /* Why it failed; NULL if it did not. */
};

struct bindings {
    size_t n;
    struct binding *v;
};

/* Finds the interfaces of 'graph' and what each should be bound to: the
 * NAME=DEVICE given, or its own options.  False after reporting names that
 * are not there. */
bool bindings_resolve(struct bindings *, struct hg_graph *graph,
                      const struct cli_pairs *devices,
                      const struct cli_pairs *filters);

/* Opens them all; false after reporting every one that cannot be. */
bool bindings_open(struct bindings *, uint64_t seed);

/* Binds the devices to the elements of 'graph', which has the same
 * interfaces as the one resolved. */
void bindings_attach(struct bindings *, struct hg_graph *graph);

bool bindings_live(const struct bindings *);

/* Whether a device writes to standard output. */
bool bindings_use_stdout(const struct bindings *);

/* Reports a device that failed, once, and keeps the sentence. */
void binding_fail(struct binding *, const char *why);

/* Closes all devices and reports those that lost what was sent. */
void bindings_close(struct bindings *);

/* Frees it; devices still open are closed. */
void bindings_uninit(struct bindings *);

#endif
