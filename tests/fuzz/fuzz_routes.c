/* fuzz_routes.c: any text as routes, as a table of CSV or JSON and as a list
 * of prefixes.  A route that is understood has its place in an order, and a
 * prefix that is read is written and read again as the same. */
#include <headgate/route_text.h>
#include <headgate/routes.h>
#include <headgate/table_file.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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
read_files(const uint8_t *data, size_t size, const char *suffix)
{
    struct hg_prefix_list list = {0, NULL};
    char path[64];
    FILE *file;

    snprintf(path, sizeof path, "/tmp/headgate-fuzz-%d%s", (int)getpid(),
             suffix);
    file = fopen(path, "wb");
    if (!file)
        abort();
    fwrite(data, 1, size, file);
    fclose(file);
    hg_table_read(path, take_row, take_mistake, NULL);
    hg_prefixes_read(path, NULL, "r1", &list, take_mistake, NULL);
    unlink(path);
    check_prefixes(&list);
    free(list.v);
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
    read_files(data, size, ".csv");
    read_files(data, size, ".json");
    return 0;
}
