/* fuzz_graph.c: any text as a graph file: parsed, and built of two classes
 * that are linked in.  Nothing may crash or leak, and a graph without a
 * reported mistake must be one that can be finished and destroyed. */
#include <stdlib.h>

#include "build.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct self {
    uint32_t number;
    struct hg_addr_list addresses;
    struct hg_element *peer;
    hg_counter counter;
};

typedef struct self hg_self;

static const struct hg_field fields[] = {
    HG_OPTION(number, .def = "1", .max = 9),
    HG_OPTION(addresses),
    HG_OPTION(peer),
    HG_COUNTER(counter),
};

static void
keep_nothing(struct hg_element *e, struct hg_batch *batch)
{
    (void)e;
    (void)batch;
}

#define CLASS(class_name, ...)                                                \
    {                                                                         \
        .magic = HG_MAGIC, .abi = HG_ABI,                                     \
        .class_size = sizeof(struct hg_class), .name = class_name,            \
        .fields = fields, .n_fields = sizeof fields / sizeof *fields,         \
        .self_size = sizeof(struct self), .batch = keep_nothing, __VA_ARGS__  \
    }

static const struct hg_class classes[] = {
    CLASS("Interface", .flags = HG_CLASS_DEVICE, .inputs = "in?",
          .outputs = "out?"),
    CLASS("HyperplaneNAT", .inputs = "inside outside",
          .outputs = "inside outside?", .needs = "ip"),
    CLASS("CheckIP", .inputs = "in", .outputs = "out", .provides = "ip"),
};

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hg_graph_config config = {.plugins = NULL};
    struct hg_diags *diags = hg_diags_create();
    FILE *sink = fopen("/dev/null", "w");
    size_t i;

    unsetenv("HEADGATE_PLUGIN_PATH"); /* Those want another libheadgate. */
    config.plugins = hg_plugins_create(NULL);
    for (i = 0; i < sizeof classes / sizeof *classes; i++)
        hg_plugins_add(config.plugins, &classes[i]);
    hg_graph_destroy(
        build_graph(lang_parse_text("fuzz", (const char *)data, size, diags),
                    &config, diags));
    if (sink) {
        hg_diags_print(diags, sink, true);
        fclose(sink);
    }
    hg_diags_destroy(diags);
    hg_plugins_destroy(config.plugins);
    return 0;
}
