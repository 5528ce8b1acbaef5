/* cmd_graph.c: "headgate graph": the picture of a graph, as text in the words
 * of connect(), for Graphviz, or as SVG that its 'dot' makes. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <headgate/spread.h>

#include "commands.h"
#include "setup.h"
#include "table.h"

enum { GRAPH_FORMAT = SETUP_N_OPTIONS, GRAPH_OUTPUT };

static const struct cli_option options[] = {
    SETUP_OPTIONS,
    [GRAPH_FORMAT] = {"format", 'f', "FORMAT",
                      "text (default), dot, or svg (needs Graphviz)"},
    [GRAPH_OUTPUT] = {"output", 'O', "FILE",
                      "write to FILE instead of standard output"},
};

typedef bool writer_fn(const struct hg_graph *, FILE *out);

struct format {
    const char *name;
    writer_fn *write;
};

/* ---- Text ------------------------------------------------------------- */

/* Whether a port has to be named: not if there is no other, or if it is the
 * usual one. */
static bool
needs_name(unsigned n_ports, const char *name, const char *usual)
{
    return n_ports > 1 && strcmp(name, usual) != 0;
}

/* What the lines of the picture have shown so far: the outputs of all
 * elements, those of element i from first[i] on. */
struct drawing {
    const struct hg_graph *graph;
    size_t *first;
    bool *shown;
};

static void
drawing_init(struct drawing *d, const struct hg_graph *g)
{
    size_t n = hg_graph_n_elements(g), n_ports = 0, i;

    d->graph = g;
    d->first = cli_alloc(n, sizeof *d->first);
    for (i = 0; i < n; i++) {
        d->first[i] = n_ports;
        n_ports += hg_element_n_outputs(hg_graph_element(g, i));
    }
    d->shown = cli_alloc(n_ports, sizeof *d->shown);
}

static void
drawing_uninit(struct drawing *d)
{
    free(d->first);
    free(d->shown);
}

/* The next output of element i to show, or -1; one that is called as the
 * input it was entered by comes last: what enters a NAT inside leaves it
 * outside. */
static int
next_output(const struct drawing *d, size_t i, const char *entered)
{
    const struct hg_element *e = hg_graph_element(d->graph, i);
    int last = -1;
    unsigned port;

    for (port = 0; port < hg_element_n_outputs(e); port++) {
        struct hg_port_info out;

        hg_element_output(e, port, &out);
        if (!out.peer || d->shown[d->first[i] + port])
            continue;
        if (!entered || strcmp(out.name, entered) != 0)
            return (int)port;
        if (last < 0)
            last = (int)port;
    }
    return last;
}

/* Whether a line that comes to element i may go on through it: no device, and
 * of several lines to one input only the first. */
static bool
goes_on(const struct drawing *d, size_t i)
{
    const struct hg_element *e = hg_graph_element(d->graph, i);
    unsigned port;

    if (hg_element_class(e)->flags & HG_CLASS_DEVICE)
        return false;
    for (port = 0; port < hg_element_n_outputs(e); port++)
        if (d->shown[d->first[i] + port])
            return hg_element_n_inputs(e) > 1;
    return true;
}

/* One line, from an output of element i on as far as it goes. */
static void
write_line(struct drawing *d, size_t i, int port, FILE *f)
{
    const struct hg_element *e = hg_graph_element(d->graph, i);

    fputs(hg_element_name(e), f);
    while (port >= 0) {
        struct hg_port_info out, in;

        hg_element_output(e, (unsigned)port, &out);
        d->shown[d->first[i] + (unsigned)port] = true;
        if (needs_name(hg_element_n_outputs(e), out.name, "out"))
            fprintf(f, "[%s]", out.name);
        fputs(" -> ", f);
        e = out.peer;
        hg_element_input(e, out.peer_port, &in);
        if (needs_name(hg_element_n_inputs(e), in.name, "in"))
            fprintf(f, "[%s]", in.name);
        fputs(hg_element_name(e), f);
        i = hg_element_index(e);
        port = goes_on(d, i) ? next_output(d, i, in.name) : -1;
    }
    fputc('\n', f);
}

static bool
write_text(const struct hg_graph *g, FILE *f)
{
    size_t n = hg_graph_n_elements(g), i;
    struct drawing d;
    struct table *t = table_create("lll");
    int port;

    table_cell(t, "Element");
    table_cell(t, "Class");
    table_cell(t, "What it does");
    for (i = 0; i < n; i++) {
        const struct hg_element *e = hg_graph_element(g, i);

        table_cell(t, "%s", hg_element_name(e));
        table_cell(t, "%s", hg_element_class(e)->name);
        table_cell(t, "%s", hg_element_class(e)->summary);
    }
    table_print(t, f, 0, cli_color(f));
    table_destroy(t);
    fputc('\n', f);
    drawing_init(&d, g);
    for (i = 0; i < n; i++)
        while ((port = next_output(&d, i, NULL)) >= 0)
            write_line(&d, i, port, f);
    drawing_uninit(&d);
    return true;
}

/* ---- Graphviz --------------------------------------------------------- */

static void
write_quoted(const char *text, FILE *f)
{
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            fputc('\\', f);
        fputc(*text, f);
    }
}

static void
write_node(const struct hg_element *e, size_t i, FILE *f)
{
    const struct hg_class *cls = hg_element_class(e);

    fprintf(f, "    n%zu [label=\"", i);
    /* An anonymous element, "Class@1", is called by its class. */
    if (!strchr(hg_element_name(e), '@')) {
        write_quoted(hg_element_name(e), f);
        fputs("\\n", f);
    }
    fprintf(f, "%s\"", cls->name);
    if (cls->flags & HG_CLASS_DEVICE)
        fputs(", shape=cds, fillcolor=\"#dcebf7\"", f);
    else if (cls->flags & HG_CLASS_PASSIVE)
        fputs(", shape=note", f);
    fputs("];\n", f);
}

static void
write_edge(const struct hg_element *e, size_t i, unsigned port, FILE *f)
{
    struct hg_port_info out, in;

    hg_element_output(e, port, &out);
    if (!out.peer)
        return;
    fprintf(f, "    n%zu -> n%zu [", i, hg_element_index(out.peer));
    if (needs_name(hg_element_n_outputs(e), out.name, "out")) {
        fputs("taillabel=\"", f);
        write_quoted(out.name, f);
        fputs("\" ", f);
    }
    hg_element_input(out.peer, out.peer_port, &in);
    if (needs_name(hg_element_n_inputs(out.peer), in.name, "in")) {
        fputs("headlabel=\"", f);
        write_quoted(in.name, f);
        fputs("\"", f);
    }
    fputs("];\n", f);
}

static bool
write_dot(const struct hg_graph *g, FILE *f)
{
    size_t i;
    unsigned port;

    fputs("digraph headgate {\n"
          "    rankdir=LR;\n"
          "    node [shape=box, style=\"rounded,filled\", fillcolor=white,\n"
          "          fontname=\"sans-serif\", fontsize=11];\n"
          "    edge [fontname=\"sans-serif\", fontsize=9, labeldistance=1.6];"
          "\n",
          f);
    for (i = 0; i < hg_graph_n_elements(g); i++)
        write_node(hg_graph_element(g, i), i, f);
    for (i = 0; i < hg_graph_n_elements(g); i++) {
        const struct hg_element *e = hg_graph_element(g, i);

        for (port = 0; port < hg_element_n_outputs(e); port++)
            write_edge(e, i, port, f);
    }
    fputs("}\n", f);
    return true;
}

/* Starts 'dot' with what is written to '*to' as its input and 'out' as its
 * output. */
static bool
start_dot(int out, pid_t *pid, FILE **to)
{
    char *const arguments[] = {"dot", "-Tsvg", NULL};
    posix_spawn_file_actions_t actions;
    int ends[2];
    int error;

    if (pipe2(ends, O_CLOEXEC) < 0) {
        cli_error("cannot make a pipe: %s", strerror(errno));
        return false;
    }
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[0], STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
    error = posix_spawnp(pid, "dot", &actions, NULL, arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[0]);
    *to = fdopen(ends[1], "w");
    if (error == 0 && *to)
        return true;
    if (*to)
        fclose(*to);
    else
        close(ends[1]);
    if (error == ENOENT)
        cli_error("'--format svg' needs the program 'dot' of Graphviz; "
                  "install package graphviz, or take '--format dot'");
    else
        cli_error("cannot start 'dot': %s", strerror(error));
    return false;
}

static bool
write_svg(const struct hg_graph *g, FILE *f)
{
    int status = 0;
    pid_t pid;
    FILE *to;

    fflush(f);
    if (!start_dot(fileno(f), &pid, &to))
        return false;
    write_dot(g, to);
    fclose(to);
    if (waitpid(pid, &status, 0) == pid && WIFEXITED(status) &&
        WEXITSTATUS(status) == 0)
        return true;
    cli_error("'dot -Tsvg' did not draw the graph");
    return false;
}

/* ---- The command ------------------------------------------------------ */

static const struct format formats[] = {
    {"text", write_text},
    {"dot", write_dot},
    {"svg", write_svg},
};

#define N_FORMATS (sizeof formats / sizeof *formats)

struct graph_args {
    struct setup setup;
    const struct format *format;
    const char *output; /* NULL: standard output. */
};

static bool
take_format(struct graph_args *args, const char *name)
{
    const char *words[N_FORMATS];
    size_t i;

    for (i = 0; i < N_FORMATS; i++) {
        words[i] = formats[i].name;
        if (strcmp(name, formats[i].name) == 0) {
            args->format = &formats[i];
            return true;
        }
    }
    cli_error_word(name, words, N_FORMATS, "there are text, dot and svg",
                   "no format '%s'", name);
    return false;
}

static bool
take(struct graph_args *args, int option, const char *argument)
{
    if (option == GRAPH_FORMAT)
        return take_format(args, argument);
    if (option != GRAPH_OUTPUT)
        return setup_take(&args->setup, option, argument);
    args->output = argument;
    return true;
}

static int
write_file(const struct graph_args *args, const struct hg_graph *g)
{
    FILE *f = fopen(args->output, "we");
    bool written;

    if (!f) {
        cli_error("cannot write '%s': %s", args->output, strerror(errno));
        return CLI_WRONG;
    }
    written = args->format->write(g, f);
    if (fclose(f) != 0) {
        cli_error("cannot write '%s': %s", args->output, strerror(errno));
        written = false;
    }
    return written ? CLI_DONE : CLI_FAILED;
}

static int
draw(struct graph_args *args)
{
    struct hg_graph *g = setup_load(&args->setup, 0, false, false);
    int status = CLI_WRONG;

    if (g && args->output)
        status = write_file(args, g);
    else if (g)
        status = args->format->write(g, stdout) && cli_flush() ? CLI_DONE
                                                               : CLI_FAILED;
    hg_graph_destroy(g);
    return status;
}

int
cmd_graph(int argc, char **argv)
{
    struct cli cli = {
        .usage = "graph GRAPH [OPTION ...]",
        .about = "Draws a graph: its elements and what leads where.\n",
        .options = options,
        .n_options = sizeof options / sizeof *options,
        .argc = argc,
        .argv = argv,
    };
    struct graph_args args = {.format = &formats[0]};
    const char *argument;
    int status, o;

    do
        o = cli_next(&cli, &argument);
    while (o >= 0 && take(&args, o, argument));
    if (o != CLI_END) {
        status = cli_status(o);
    } else if (optind + 1 != argc) {
        cli_error("%s; 'headgate graph --help' explains",
                  optind == argc ? "no graph given" : "one graph at a time");
        status = CLI_WRONG;
    } else {
        args.setup.graph = argv[optind];
        status = draw(&args);
    }
    setup_uninit(&args.setup);
    return status;
}
