/* bind.c: which interface of a graph is bound to which device; see setup.h.
 * device.c opens them. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "device.h"
#include "setup.h"

/* The value of a string option of an element; NULL if it has none. */
static char *
read_option(struct hg_element *e, const char *option)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    bool read;

    if (!out)
        return NULL;
    read = hg_element_read(e, option, "", out, NULL);
    fclose(out);
    if (read && text)
        text[strcspn(text, "\n")] = '\0';
    if (read && text && *text)
        return text;
    free(text);
    return NULL;
}

static char *
choose(const struct cli_pairs *given, struct hg_element *e, const char *option)
{
    const struct cli_pair *pair = cli_pairs_find(given, hg_element_name(e));

    return pair ? cli_printf("%s", pair->value) : read_option(e, option);
}

/* "interfaces are a, b and c" */
static char *
list_interfaces(const struct bindings *b)
{
    char *text = cli_printf("%s", b->n == 1 ? "the only interface is "
                                            : "interfaces are ");
    size_t i;

    for (i = 0; i < b->n; i++) {
        const char *joint = i == 0 ? "" : i + 1 < b->n ? ", " : " and ";
        char *longer = cli_printf("%s%s'%s'", text, joint, b->v[i].name);

        free(text);
        text = longer;
    }
    if (b->n > 0)
        return text;
    free(text);
    return cli_printf("the graph has no interfaces");
}

static void
report_name(const struct bindings *b, struct hg_graph *graph, const char *name)
{
    const struct hg_element *e = hg_graph_find(graph, name);
    const char **words = cli_alloc(b->n, sizeof *words);
    char *hint = list_interfaces(b);
    size_t i;

    for (i = 0; i < b->n; i++)
        words[i] = b->v[i].name;
    if (e)
        cli_error("'%s' is a %s and takes no device; %s", name,
                  hg_element_class(e)->name, hint);
    else
        cli_error_word(name, words, b->n, hint, "no interface '%s'", name);
    free(hint);
    free(words);
}

static bool
check_names(const struct bindings *b, struct hg_graph *graph,
            const struct cli_pairs *given, const char *what)
{
    bool right = true;
    size_t i, k;

    for (i = 0; i < given->n; i++) {
        const struct cli_pair *pair = &given->v[i];

        if (!pair->value || !*pair->value) {
            cli_error("'%s' is not NAME=%s", pair->name, what);
            right = false;
            continue;
        }
        if (cli_pairs_find(given, pair->name) != pair) {
            cli_error("'%s=%s' gives '%s' a second time; the first was '%s'",
                      pair->name, pair->value, pair->name,
                      cli_pairs_find(given, pair->name)->value);
            right = false;
            continue;
        }
        for (k = 0; k < b->n; k++)
            if (strcmp(b->v[k].name, pair->name) == 0)
                break;
        if (k == b->n) {
            report_name(b, graph, pair->name);
            right = false;
        }
    }
    return right;
}

bool
bindings_resolve(struct bindings *b, struct hg_graph *graph,
                 const struct cli_pairs *devices,
                 const struct cli_pairs *filters)
{
    bool right;
    size_t i;

    *b = (struct bindings){0, NULL};
    for (i = 0; i < hg_graph_n_elements(graph); i++) {
        struct hg_element *e = hg_graph_element(graph, i);

        if (!(hg_element_class(e)->flags & HG_CLASS_DEVICE))
            continue;
        b->v = cli_realloc(b->v, b->n + 1, sizeof *b->v);
        b->v[b->n++] = (struct binding){
            .name = cli_printf("%s", hg_element_name(e)), .element = e};
    }
    right = check_names(b, graph, devices, "DEVICE");
    right = check_names(b, graph, filters, "EXPRESSION") && right;
    for (i = 0; right && i < b->n; i++) {
        b->v[i].spec = choose(devices, b->v[i].element, "device");
        b->v[i].filter = choose(filters, b->v[i].element, "filter");
    }
    return right;
}

/* Where a device that is a capture file writes; NULL if nowhere. */
static const char *
output_path(const struct binding *b)
{
    const char *colon;

    if (strcmp(b->device->ops->scheme, "pcap") != 0 || !b->device->can_send)
        return NULL;
    colon = strrchr(b->spec, ':');
    return colon ? colon + 1 : NULL;
}

/* Whether two names mean one file or pipe; "-" is standard output. */
static bool
same_file(const char *a, const char *b)
{
    struct stat info_a, info_b;

    if (strcmp(a, b) == 0 && strcmp(a, "-") == 0)
        return true;
    if (strcmp(a, "-") == 0)
        a = "/dev/stdout";
    if (strcmp(b, "-") == 0)
        b = "/dev/stdout";
    return stat(a, &info_a) == 0 && stat(b, &info_b) == 0 &&
           (S_ISREG(info_a.st_mode) || S_ISFIFO(info_a.st_mode)) &&
           info_a.st_dev == info_b.st_dev && info_a.st_ino == info_b.st_ino;
}

/* Two writers of one file would garble it. */
static bool
check_outputs(const struct bindings *b)
{
    size_t i, k;

    for (i = 0; i < b->n; i++) {
        const char *path = output_path(&b->v[i]);

        for (k = 0; path && k < i; k++) {
            const char *other = output_path(&b->v[k]);

            if (!other || !same_file(path, other))
                continue;
            cli_error("interfaces '%s' and '%s' would both write '%s'; give "
                      "each a file of its own",
                      b->v[k].name, b->v[i].name, path);
            return false;
        }
    }
    return true;
}

/* The file that IN or IN:OUT reads, to be freed, and what stands behind the
 * colon, NULL: nothing.  An existing file may have colons in its name. */
static char *
split_spec(const char *spec, const char **out)
{
    const char *colon;

    if (strncmp(spec, "pcap:", 5) == 0)
        spec += 5;
    colon = access(spec, F_OK) == 0 ? NULL : strrchr(spec, ':');
    *out = colon ? colon + 1 : NULL;
    return cli_printf("%.*s", colon ? (int)(colon - spec) : INT_MAX, spec);
}

/* Whether one reads the file that another would write; that must be known
 * before it is opened, which empties it. */
static bool
reads_output(const char *reader, const char *writer)
{
    const char *out, *unused;
    char *in = split_spec(reader, &unused);
    bool same;

    free(split_spec(writer, &out));
    same = out && *out &&
           same_file(strcmp(in, "-") == 0 ? "/dev/stdin" : in, out);
    free(in);
    return same;
}

static bool
check_inputs(const struct bindings *b)
{
    size_t i, k;

    for (i = 0; i < b->n; i++) {
        for (k = 0; k < b->n; k++) {
            if (i == k || !b->v[i].spec || !b->v[k].spec ||
                !reads_output(b->v[i].spec, b->v[k].spec))
                continue;
            cli_error("interface '%s' reads '%s', which interface '%s' would "
                      "overwrite",
                      b->v[i].name, b->v[i].spec, b->v[k].name);
            return false;
        }
    }
    return true;
}

bool
bindings_open(struct bindings *b, uint64_t seed)
{
    bool open = true;
    size_t i;

    if (!check_inputs(b))
        return false;

    for (i = 0; i < b->n; i++) {
        struct binding *v = &b->v[i];
        struct device_options options = {
            .filter = v->filter, .seed = seed, .promiscuous = true};
        struct hg_error error = {""};

        if (!v->spec) {
            cli_error("interface '%s' has no device; give %s=DEVICE, or "
                      "'device = ...' in the graph file",
                      v->name, v->name);
            open = false;
            continue;
        }
        v->device = device_open(v->spec, &options, &error);
        if (!v->device) {
            cli_error("interface '%s': %s", v->name, error.text);
            open = false;
        }
    }
    return open && check_outputs(b);
}

void
bindings_attach(struct bindings *b, struct hg_graph *graph)
{
    size_t i;

    for (i = 0; i < b->n; i++) {
        b->v[i].element = hg_graph_find(graph, b->v[i].name);
        hg_element_bind(b->v[i].element, b->v[i].device);
    }
}

bool
bindings_live(const struct bindings *b)
{
    size_t i;

    for (i = 0; i < b->n; i++)
        if (b->v[i].device->live)
            return true;
    return false;
}

bool
bindings_use_stdout(const struct bindings *b)
{
    size_t i;

    for (i = 0; i < b->n; i++) {
        const char *path = output_path(&b->v[i]);

        if (path && strcmp(path, "-") == 0)
            return true;
    }
    return false;
}

void
binding_fail(struct binding *b, const char *why)
{
    if (b->failure)
        return;
    b->failure = cli_printf("%s", why);
    cli_error("interface '%s': %s", b->name, why);
}

void
bindings_close(struct bindings *b)
{
    size_t i;

    for (i = 0; i < b->n; i++) {
        struct hg_error error = {""};

        if (!device_close(b->v[i].device, &error))
            binding_fail(&b->v[i], error.text);
        b->v[i].device = NULL;
    }
}

void
bindings_uninit(struct bindings *b)
{
    size_t i;

    for (i = 0; i < b->n; i++) {
        device_close(b->v[i].device, NULL);
        free(b->v[i].name);
        free(b->v[i].spec);
        free(b->v[i].filter);
        free(b->v[i].failure);
    }
    free(b->v);
}
