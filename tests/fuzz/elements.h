/* elements.h: the element classes of headgate, linked in, and graphs of them,
 * for fuzzing. */
#ifndef FUZZ_ELEMENTS_H
#define FUZZ_ELEMENTS_H 1

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "build.h"

#define FUZZ_CLASS(symbol) extern const struct hg_class symbol;
#include "classes.inc"
#undef FUZZ_CLASS

static const struct hg_class *const fuzz_class[] = {
#define FUZZ_CLASS(symbol) &symbol,
#include "classes.inc"
#undef FUZZ_CLASS
};

static const char *const fuzz_file[] = {
    FUZZ_ROOT "/graphs/vpc-router.conf",
    FUZZ_ROOT "/graphs/nat-gateway.conf",
    FUZZ_ROOT "/tests/graphs/everything.conf",
};

enum {
    N_FUZZ_CLASSES = sizeof fuzz_class / sizeof *fuzz_class,
    N_FUZZ_FILES = sizeof fuzz_file / sizeof *fuzz_file,
    N_FUZZ_GRAPHS = N_FUZZ_FILES + N_FUZZ_CLASSES
};

/* Those, and no plugins from files, which want another libheadgate. */
static inline struct hg_plugins *
fuzz_plugins(void)
{
    struct hg_plugins *plugins;
    size_t i;

    unsetenv("HEADGATE_PLUGIN_PATH");
    plugins = hg_plugins_create(NULL);
    for (i = 0; i < N_FUZZ_CLASSES; i++)
        hg_plugins_add(plugins, fuzz_class[i]);
    return plugins;
}

/* Where graphs may write their files; it is gone in the end. */
static char fuzz_folder[] = "/tmp/headgate-fuzz-XXXXXX";

static inline void
fuzz_leave_folder(void)
{
    char command[64];

    snprintf(command, sizeof command, "rm -rf %s", fuzz_folder);
    if (system(command) != 0)
        perror(fuzz_folder);
}

static inline void
fuzz_enter_folder(void)
{
    if (!mkdtemp(fuzz_folder) || chdir(fuzz_folder) < 0) {
        perror(fuzz_folder);
        exit(1);
    }
    atexit(fuzz_leave_folder);
    setenv("FLOW_LOG", "flow.log", 1);
}

/* A file of the corpus that libFuzzer is about to read, to be written, or
 * NULL; 'arguments' are those of the program. */
static inline FILE *
fuzz_seed(char **arguments, const char *name, unsigned number)
{
    char path[512];

    do
        arguments++;
    while (*arguments && **arguments == '-');
    if (!*arguments)
        return NULL;
    snprintf(path, sizeof path, "%s/%s-%u", *arguments, name, number);
    return fopen(path, "w");
}

/* One of the graphs that headgate comes with, or, for the other numbers, the
 * example of a class. */
static inline struct hg_graph *
fuzz_graph(unsigned number, struct hg_plugins *plugins)
{
    struct hg_graph_config config = {.plugins = plugins, .seed = 1};
    struct hg_diags *diags = hg_diags_create();
    struct hg_graph *graph;

    number %= N_FUZZ_GRAPHS;
    if (number < N_FUZZ_FILES) {
        graph = hg_graph_load(fuzz_file[number], &config, diags);
    } else {
        const char *text = fuzz_class[number - N_FUZZ_FILES]->example;

        graph =
            build_graph(lang_parse_text("example", text, strlen(text), diags),
                        &config, diags);
    }
    if (!graph) {
        hg_diags_print(diags, stderr, false);
        abort();
    }
    hg_diags_destroy(diags);
    return graph;
}

#endif
