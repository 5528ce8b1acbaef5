/* cmd_elements.c: "headgate elements": what element classes there are, or the
 * manual of one (manual.c). */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "manual.h"
#include "setup.h"
#include "table.h"

enum { ELEMENTS_PLUGIN_PATH, ELEMENTS_JSON };

static const struct cli_option options[] = {
    [ELEMENTS_PLUGIN_PATH] = {"plugin-path", 0, "DIRS",
                              "folders with plugins, separated by colons"},
    [ELEMENTS_JSON] = {"json", 0, NULL, "everything about them as JSON"},
};

/* Copies the names, which loading a plugin would invalidate. */
static char **
copy_names(struct hg_plugins *plugins, size_t *n)
{
    const char *const *names = hg_plugins_names(plugins, n);
    char **copy = cli_alloc(*n, sizeof *copy);
    size_t i;

    for (i = 0; i < *n; i++)
        copy[i] = cli_printf("%s", names[i]);
    return copy;
}

static void
list(struct hg_plugins *plugins, bool as_json)
{
    struct table *t = table_create("ll");
    json_t *array = json_array();
    size_t n, i;
    char **names = copy_names(plugins, &n);

    table_cell(t, "Class");
    table_cell(t, "What it does");
    for (i = 0; i < n; i++) {
        struct hg_error error = {""};
        const struct hg_class *cls =
            hg_plugins_find(plugins, names[i], &error);

        if (cls) {
            table_cell(t, "%s", cls->name);
            table_cell(t, "%s", cls->summary ? cls->summary : "");
            json_array_append_new(array, manual_json(cls));
        } else {
            cli_error("%s", error.text);
        }
        free(names[i]);
    }
    free(names);
    if (n == 0)
        cli_error("no plugins in %s", hg_plugins_where(plugins));
    if (as_json) {
        json_dumpf(array, stdout, JSON_INDENT(2));
        putchar('\n');
    } else {
        table_print(t, stdout, 0, cli_color(stdout));
    }
    json_decref(array);
    table_destroy(t);
}

/* What graph files use like classes, but no plugin brings. */
static bool
is_language(const char *name)
{
    return strcmp(name, "Graph") == 0 || strcmp(name, "Input") == 0 ||
           strcmp(name, "Output") == 0 || strcmp(name, "Parameter") == 0;
}

static bool
explain(struct hg_plugins *plugins, const char *name, bool as_json)
{
    struct hg_error error = {""};
    const struct hg_class *cls = hg_plugins_find(plugins, name, &error);
    const char *const *names;
    size_t n;

    if (cls && as_json) {
        json_t *o = manual_json(cls);

        json_dumpf(o, stdout, JSON_INDENT(2));
        putchar('\n');
        json_decref(o);
    } else if (cls) {
        manual_print(cls, stdout);
    } else if (*error.text) {
        cli_error("%s", error.text);
    } else if (is_language(name)) {
        cli_error("'%s' belongs to the graph language: see 'Graphs as "
                  "elements' in docs/graph-language.md",
                  name);
    } else {
        names = hg_plugins_names(plugins, &n);
        cli_error_word(name, names, n, "'headgate elements' lists them",
                       "no element class '%s' in %s", name,
                       hg_plugins_where(plugins));
    }
    return cls != NULL;
}

int
cmd_elements(int argc, char **argv)
{
    struct cli cli = {
        .usage = "elements [CLASS ...] [OPTION ...]",
        .about = "Lists the element classes that plugins bring, or prints the "
                 "manual of those\ngiven.\n",
        .options = options,
        .n_options = sizeof options / sizeof *options,
        .argc = argc,
        .argv = argv,
    };
    const char *argument, *path = NULL;
    struct hg_plugins *plugins;
    int status = CLI_DONE, o, i;
    bool as_json = false;

    while ((o = cli_next(&cli, &argument)) >= 0) {
        if (o == ELEMENTS_JSON)
            as_json = true;
        else
            path = argument;
    }
    if (o != CLI_END)
        return cli_status(o);
    plugins = setup_plugins(path);
    if (optind == argc)
        list(plugins, as_json);
    for (i = optind; i < argc; i++) {
        if (i > optind && !as_json)
            putchar('\n');
        if (!explain(plugins, argv[i], as_json))
            status = CLI_WRONG;
    }
    hg_plugins_destroy(plugins);
    return cli_flush() || status ? status : CLI_FAILED;
}
