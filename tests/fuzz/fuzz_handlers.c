/* fuzz_handlers.c: any text as what is read and written while a graph runs.
 *
 * The first byte chooses the graph; then each line is "ELEMENT HANDLER TEXT":
 * the text is written to the handler and is the argument when it is read.
 * What is refused is said why. */
#include "elements.h"

static struct hg_plugins *plugins;
static FILE *sink;

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Every handler and every option, with what it says now. */
static void
write_lines(struct hg_element *e, FILE *seed)
{
    const struct hg_class *cls = hg_element_class(e);
    struct hg_error error;
    size_t i;

    for (i = 0; i < cls->n_handlers; i++)
        fprintf(seed, "%s %s \n", hg_element_name(e), cls->handlers[i].name);
    for (i = 0; i < cls->n_fields; i++) {
        fprintf(seed, "%s %s ", hg_element_name(e), cls->fields[i].name);
        hg_element_read(e, cls->fields[i].name, "", seed, &error);
        fputs("\n", seed);
    }
}

static void
write_seeds(char **arguments)
{
    unsigned number;
    size_t i;

    for (number = 0; number < N_FUZZ_GRAPHS; number++) {
        FILE *seed = fuzz_seed(arguments, "graph", number);
        struct hg_graph *graph;

        if (!seed)
            return;
        fputc((int)number, seed);
        graph = fuzz_graph(number, plugins);
        for (i = 0; i < hg_graph_n_elements(graph); i++)
            write_lines(hg_graph_element(graph, i), seed);
        hg_graph_destroy(graph);
        fclose(seed);
    }
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    plugins = fuzz_plugins();
    sink = fopen("/dev/null", "w");
    if (!sink)
        return 1;
    write_seeds(*argv);
    fuzz_enter_folder();
    return 0;
}

static void
refused(const struct hg_error *error)
{
    if (!*error->text || strchr(error->text, '\n'))
        abort();
}

static void
try_line(struct hg_graph *graph, char *line)
{
    const char *name = strsep(&line, " ");
    const char *handler = line ? strsep(&line, " ") : NULL;
    struct hg_element *e = handler ? hg_graph_find(graph, name) : NULL;
    struct hg_error error = {""};
    char empty[] = "";

    if (!e)
        return;
    if (!line)
        line = empty;
    if (!hg_element_write(e, handler, line, &error))
        refused(&error);
    if (!hg_element_read(e, handler, line, sink, &error))
        refused(&error);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hg_graph *graph;
    struct hg_error error;
    char *text, *rest, *line;

    if (size < 2)
        return 0;
    text = rest = malloc(size);
    if (!text)
        abort();
    memcpy(text, data + 1, size - 1);
    text[size - 1] = '\0';
    graph = fuzz_graph(data[0], plugins);
    if (!hg_graph_start(graph, 1700000000 * HG_SEC, &error))
        abort();
    while ((line = strsep(&rest, "\n")))
        try_line(graph, line);
    hg_graph_advance(graph, 1700000100 * HG_SEC);
    hg_graph_stop(graph);
    hg_graph_destroy(graph);
    free(text);
    return 0;
}
