/* fuzz_files.c: any text as a route, and as the files that elements read:
 * tables of CSV and JSON, lists of prefixes.  A route that is understood has
 * its place in an order, a prefix that is read is written and read again as
 * the same, and a file that is refused is so with reasons. */
#include <headgate/route_text.h>
#include <headgate/routes.h>
#include <headgate/table_file.h>

#include "elements.h"

static struct hg_plugins *plugins;
static FILE *sink;

/* Elements that read a table; what is in the file goes with what is here. */
static const char *const graph_text[] = {
    "MappingService who {\n"
    "    file = rows%s\n"
    "    vpc vpc-1 { vni = 1  cidr = { 10.0.0.0/16, 2001:db8::/56 } }\n"
    "    subnet subnet-1 { vpc = vpc-1  cidr = 10.0.1.0/24 }\n"
    "}\n",
    "RouteTable routes { file = rows%s }\n",
    "RouteTable routes { prefix-list l { file = rows%s } }\n",
    "NACL acls { file = rows%s }\n",
    "SecurityGroup groups { file = rows%s  group sg { } }\n",
    "NLB nlb {\n"
    "    file = rows%s\n"
    "    maglev-table-size = 251\n"
    "    node a { address = { 198.51.100.10 } }\n"
    "    listener 80 { target-group = { web } }\n"
    "    target-group web { target t0 { address = 10.0.1.9  port = 80 } }\n"
    "}\n",
};

enum { N_GRAPHS = sizeof graph_text / sizeof *graph_text };

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    plugins = fuzz_plugins();
    sink = fopen("/dev/null", "w");
    fuzz_enter_folder();
    return sink ? 0 : 1;
}

static bool
take_row(void *aux, struct hg_table_row *row, struct hg_error *error)
{
    struct hg_route_text route = {.source = HG_ROUTE_OTHER};

    (void)aux;
    for (row->at = 0; row->at < row->n; row->at++)
        if (!hg_route_text_set(&route, row->name[row->at], row->value[row->at],
                               error))
            return false;
    row->at = 0;
    return true;
}

static void
take_mistake(void *aux, const char *text)
{
    (void)aux;
    if (!*text || strchr(text, '\n'))
        abort();
}

static void
check_prefixes(const struct hg_prefix_list *list)
{
    struct hg_routes *routes = hg_routes_create(2, list);
    char text[HG_PREFIX_STRLEN];
    struct hg_prefix again;
    size_t i;

    hg_routes_add_table(routes);
    for (i = 0; i < list->n; i++)
        if (!hg_prefix_parse(hg_prefix_format(&list->v[i], text), &again) ||
            again.len != list->v[i].len ||
            hg_lpm_lookup(hg_routes_lpm(routes, 0), &again.addr) !=
                HG_ROUTES_FORBIDDEN)
            abort();
    hg_routes_destroy(routes);
}

static void
load_element(unsigned number, const char *suffix)
{
    struct hg_graph_config config = {.plugins = plugins};
    struct hg_diags *diags = hg_diags_create();
    struct hg_graph *graph;
    struct hg_error error;
    char text[1024];

    snprintf(text, sizeof text, graph_text[number], suffix);
    graph = build_graph(lang_parse_text("fuzz", text, strlen(text), diags),
                        &config, diags);
    if (!graph && !hg_diags_count(diags, HG_SEVERITY_ERROR))
        abort();
    if (graph && hg_graph_start(graph, 0, &error))
        hg_graph_stop(graph);
    hg_graph_destroy(graph);
    hg_diags_print(diags, sink, false);
    hg_diags_destroy(diags);
}

/* The first byte chooses the element, and CSV (A to F) or JSON (a to f). */
static void
read_file(const uint8_t *data, size_t size)
{
    const char *suffix = data[0] & 0x20 ? ".json" : ".csv";
    struct hg_prefix_list list = {0, NULL};
    char path[16];
    FILE *file;

    snprintf(path, sizeof path, "rows%s", suffix);
    file = fopen(path, "wb");
    if (!file)
        abort();
    fwrite(data + 1, 1, size - 1, file);
    fclose(file);
    hg_table_read(path, take_row, take_mistake, NULL);
    hg_prefixes_read(path, NULL, "r1", &list, take_mistake, NULL);
    check_prefixes(&list);
    free(list.v);
    load_element((data[0] & 0x1fU) % N_GRAPHS, suffix);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hg_route_text route;
    struct hg_error error;
    char text[512];

    snprintf(text, sizeof text, "%.*s", (int)(size < 511 ? size : 511),
             (const char *)data);
    if (hg_route_text_parse(&route, text, &error) &&
        hg_route_preference(&route, HG_ROUTE_TGW) >> 52)
        abort();
    if (size > 0)
        read_file(data, size);
    return 0;
}
