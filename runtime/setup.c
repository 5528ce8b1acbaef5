/* setup.c: loading a graph; see setup.h.  bind.c has the bindings. */
#include "setup.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

bool
setup_take(struct setup *setup, int option, const char *argument)
{
    if (option == SETUP_PLUGIN_PATH) {
        setup->plugin_path = argument;
        return true;
    }
    if (!strchr(argument, '=')) {
        cli_error("'-o %s' has no value; write -o ELEMENT.OPTION=VALUE",
                  argument);
        return false;
    }
    setup->overrides = cli_realloc(setup->overrides, setup->n_overrides + 1,
                                   sizeof *setup->overrides);
    setup->overrides[setup->n_overrides++] = argument;
    return true;
}

void
setup_uninit(struct setup *setup)
{
    hg_plugins_destroy(setup->plugins);
    free(setup->overrides);
}

/* Where plugins are seen from the program: in a build tree and where it was
 * installed, whatever the prefix. */
static const char *const beside[] = {"plugins",
                                     "../" HEADGATE_LIBDIR "/headgate"};

/* The first of these folders that there is, or NULL. */
static char *
plugins_beside_program(void)
{
    char path[4096];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    struct stat info;
    char *slash, *folder;
    size_t i;

    if (n < 0)
        return NULL;
    path[n] = '\0';
    slash = strrchr(path, '/');
    if (!slash)
        return NULL;
    *slash = '\0';
    for (i = 0; i < sizeof beside / sizeof *beside; i++) {
        folder = cli_printf("%s/%s", path, beside[i]);
        if (stat(folder, &info) == 0 && S_ISDIR(info.st_mode))
            return folder;
        free(folder);
    }
    return NULL;
}

/* They come behind $HEADGATE_PLUGIN_PATH and before the install prefix, so
 * at the end of that variable. */
struct hg_plugins *
setup_plugins(const char *plugin_path)
{
    const char *given = getenv("HEADGATE_PLUGIN_PATH");
    char *folder = plugins_beside_program();

    if (folder) {
        bool some = given && *given;
        char *all =
            cli_printf("%s%s%s", some ? given : "", some ? ":" : "", folder);

        setenv("HEADGATE_PLUGIN_PATH", all, 1);
        free(all);
        free(folder);
    }
    return hg_plugins_create(plugin_path);
}

/* A graph that comes by standard input may have to be read twice (live or
 * not is known only after the first time): puts it into memory. */
static bool
keep_standard_input(void)
{
    int fd = memfd_create("graph", MFD_CLOEXEC);
    char buffer[4096];
    bool kept;
    ssize_t n;

    if (fd < 0)
        return false;
    while ((n = read(STDIN_FILENO, buffer, sizeof buffer)) > 0)
        if (write(fd, buffer, (size_t)n) != n)
            break;
    kept = n == 0 && dup2(fd, STDIN_FILENO) >= 0;
    close(fd);
    return kept;
}

struct hg_graph *
setup_load(struct setup *setup, uint64_t seed, bool live, bool again)
{
    struct hg_graph_config config = {
        .seed = seed,
        .live = live,
        .overrides = (const char *const *)setup->overrides,
        .n_overrides = setup->n_overrides,
        .n_workers = setup->n_workers,
        .worker = setup->worker,
        .kin = setup->kin,
    };
    struct hg_diags *diags;
    struct hg_graph *graph;

    if (!setup->plugins)
        setup->plugins = setup_plugins(setup->plugin_path);
    config.plugins = setup->plugins;
    if (strcmp(setup->graph, "-") == 0) {
        if (!again && !keep_standard_input()) {
            cli_error("cannot read standard input: %s", strerror(errno));
            return NULL;
        }
        rewind(stdin);
    }
    diags = hg_diags_create();
    graph = hg_graph_load(setup->graph, &config, diags);
    if (graph)
        hg_graph_set_diags(graph, NULL);
    if (!graph || !again)
        hg_diags_print(diags, stderr, cli_color(stderr));
    hg_diags_destroy(diags);
    return graph;
}
