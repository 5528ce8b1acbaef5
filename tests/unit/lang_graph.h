/* lang_graph.h: classes to build graphs with, files to write them to, and what
 * becomes of them, for test_lang*.c. */
#ifndef LANG_GRAPH_H
#define LANG_GRAPH_H 1

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <headgate/graph.h>

#include "build.h"
#include "test.h"

/* ---- Classes to build with -------------------------------------------- */

struct thing {
    uint32_t number;
    char *text;
    struct hg_string_list words;
    struct hg_element *peer;
    uint32_t outputs;
    unsigned order; /* When it was configured. */
};

typedef struct thing hg_self;

static unsigned n_configured;

static bool
thing_configure(void *self)
{
    struct thing *thing = self;
    char name[16];
    uint32_t i;

    thing->order = ++n_configured;
    for (i = 0; i < thing->outputs; i++) {
        snprintf(name, sizeof name, "more%u", i);
        hg_declare_output(self, name, false);
    }
    if (thing->number == 13)
        return hg_config_error(self, "number", -1, "13 brings bad luck");
    return true;
}

static void
nothing(struct hg_element *e, struct hg_batch *batch)
{
    (void)e;
    (void)batch;
}

static const struct hg_field fields[] = {
    HG_OPTION(number, .max = 99),
    HG_OPTION(text),
    HG_OPTION(words),
    HG_OPTION(peer),
    HG_OPTION(outputs),
};

#define CLASS(class_name, ...)                                                \
    {                                                                         \
        .magic = HG_MAGIC, .abi = HG_ABI,                                     \
        .class_size = sizeof(struct hg_class), .name = class_name,            \
        .fields = fields, .n_fields = sizeof fields / sizeof *fields,         \
        .self_size = sizeof(struct thing), .batch = nothing,                  \
        .configure = thing_configure, __VA_ARGS__                             \
    }

static const struct hg_class classes[] = {
    CLASS("Door", .flags = HG_CLASS_DEVICE, .inputs = "in?",
          .outputs = "out?"),
    CLASS("Thing", .inputs = "in side?", .outputs = "out *"),
    CLASS("End", .inputs = "in"),
    CLASS("Check", .inputs = "in", .outputs = "out", .provides = "ip udp"),
    CLASS("Wrap", .inputs = "in", .outputs = "out", .revokes = "ip"),
    CLASS("Picky", .inputs = "in", .outputs = "out", .needs = "ip"),
    CLASS("Table", .flags = HG_CLASS_PASSIVE),
};

/* ---- Files and graphs ------------------------------------------------- */

static char folder[64];

static void
remove_folder(void)
{
    char command[128];

    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    if (system(command))
        fprintf(stderr, "cannot remove %s\n", folder);
}

/* The folder that all files are in; it is the working directory. */
static inline void
enter_folder(void)
{
    if (folder[0])
        return;
    unsetenv("HEADGATE_PLUGIN_PATH");
    snprintf(folder, sizeof folder, "/tmp/test_lang.XXXXXX");
    REQUIRE(mkdtemp(folder) && chdir(folder) == 0);
    atexit(remove_folder);
}

static inline void
write_file(const char *name, const char *text)
{
    FILE *file;

    enter_folder();
    file = fopen(name, "w");
    REQUIRE(file);
    fputs(text, file);
    REQUIRE(fclose(file) == 0);
}

struct built {
    struct hg_plugins *plugins;
    struct hg_diags *diags;
    struct hg_graph *graph;
    char *said; /* The lines that name a place. */
};

/* "file:1:2: error: ..." without source lines and carets. */
static inline char *
headlines(const struct hg_diags *diags)
{
    char *all = NULL, *line, *save = NULL, *out;
    size_t size, used = 0;
    FILE *file = open_memstream(&all, &size);

    hg_diags_print(diags, file, false);
    fclose(file);
    out = calloc(1, size + 1);
    for (line = strtok_r(all, "\n", &save); line;
         line = strtok_r(NULL, "\n", &save))
        if (strstr(line, ": error: ") || strstr(line, ": warning: ") ||
            strstr(line, ": note: "))
            used += (size_t)sprintf(out + used, "%s\n", line);
    free(all);
    return out;
}

static struct built
load(const char *name, const char *const *overrides, size_t n)
{
    struct built built = {0};
    struct hg_graph_config config = {.overrides = overrides, .n_overrides = n};
    size_t i;

    enter_folder();
    n_configured = 0;
    built.plugins = config.plugins = hg_plugins_create(folder);
    for (i = 0; i < sizeof classes / sizeof *classes; i++)
        hg_plugins_add(built.plugins, &classes[i]);
    built.diags = hg_diags_create();
    built.graph = hg_graph_load(name, &config, built.diags);
    built.said = headlines(built.diags);
    return built;
}

static struct built
load_text(const char *text)
{
    write_file("g", text);
    return load("g", NULL, 0);
}

static inline void
unload(struct built *built)
{
    hg_graph_destroy(built->graph);
    hg_diags_destroy(built->diags);
    hg_plugins_destroy(built->plugins);
    free(built->said);
}

/* That the text is refused with these headlines. */
#define CHECK_SAID(text, expected)                                            \
    do {                                                                      \
        struct built built_ = load_text(text);                                \
                                                                              \
        CHECK_STR(built_.said, expected);                                     \
        CHECK_EQ(built_.graph == NULL, strstr(expected, "error:") != NULL);   \
        unload(&built_);                                                      \
    } while (0)

static inline struct thing *
thing(const struct built *built, const char *name)
{
    struct hg_element *e =
        built->graph ? hg_graph_find(built->graph, name) : NULL;

    if (!e)
        FAIL("no element '%s': %s", name, built->said);
    REQUIRE(e);
    return hg_element_self(e);
}

/* "a.0>b.1 ..." for all connections, in the order of the elements. */
static inline void
check_wires(const struct built *built, const char *expected)
{
    char out[1024] = "";
    size_t i, used = 0;
    unsigned k;

    if (!built->graph)
        FAIL("%s", built->said);
    REQUIRE(built->graph);
    for (i = 0; i < hg_graph_n_elements(built->graph); i++) {
        const struct hg_element *e = hg_graph_element(built->graph, i);
        struct hg_port_info port;

        for (k = 0; k < hg_element_n_outputs(e); k++) {
            hg_element_output(e, k, &port);
            if (port.peer)
                used += (size_t)snprintf(
                    out + used, sizeof out - used, "%s%s.%u>%s.%u",
                    used ? " " : "", hg_element_name(e), k,
                    hg_element_name(port.peer), port.peer_port);
        }
    }
    CHECK_STR(out, expected);
}

#endif
