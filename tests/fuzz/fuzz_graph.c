/* fuzz_graph.c: any text as a graph file of the real element classes: parsed,
 * configured, wired and checked.  Nothing may crash or leak, and what cannot
 * be used must be said why.  The examples of all classes are among the inputs
 * to begin with. */
#include "elements.h"

static struct hg_plugins *plugins;
static FILE *sink;

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
    unsigned i;

    (void)argc;
    for (i = 0; i < N_FUZZ_CLASSES; i++) {
        FILE *seed = fuzz_seed(*argv, "example", i);

        if (!seed)
            break;
        fputs(fuzz_class[i]->example, seed);
        fclose(seed);
    }
    plugins = fuzz_plugins();
    sink = fopen("/dev/null", "w");
    fuzz_enter_folder();
    return sink ? 0 : 1;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hg_graph_config config = {.plugins = plugins};
    struct hg_diags *diags = hg_diags_create();
    struct hg_graph *graph =
        build_graph(lang_parse_text("fuzz", (const char *)data, size, diags),
                    &config, diags);

    if (!graph && !hg_diags_count(diags, HG_SEVERITY_ERROR))
        abort();
    hg_graph_destroy(graph);
    hg_diags_print(diags, sink, true);
    hg_diags_destroy(diags);
    return 0;
}
