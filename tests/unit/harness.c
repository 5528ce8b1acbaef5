/* harness.c: the bench of harness.h: a graph with a TestSource for each input
 * and a TestSink for each output. */
#include "harness.h"
#include "notation.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PORTS_MAX = 64 };

/* ---- The two classes -------------------------------------------------- */

static const struct hg_class source_class = {
    .magic = HG_MAGIC,
    .abi = HG_ABI,
    .class_size = sizeof(struct hg_class),
    .name = "TestSource",
    .summary = "puts packets in",
    .outputs = "out",
    .provides = "ip",
};

/* Keeps what comes, for the bench to take. */
struct sink {
    struct hg_packet *first;
    struct hg_packet **last;
    struct hg_packet *taken; /* bench_take() gave it out. */
    unsigned n;
    hg_counter seen; /* Drop reason. */
};

typedef struct sink hg_self;

static void
sink_batch(struct hg_element *element, struct hg_batch *batch)
{
    struct sink *self = hg_element_self(element);
    int16_t verdict[HG_BATCH_MAX];
    unsigned i;

    if (!self->first)
        self->last = &self->first;
    for (i = 0; i < batch->n; i++) {
        struct hg_packet *p = batch->p[i];

        p->next = NULL;
        *self->last = p;
        self->last = &p->next;
        self->n++;
        verdict[i] = HG_KEPT;
    }
    hg_route(self, batch, verdict);
}

static struct hg_packet *
sink_shift(struct sink *self)
{
    struct hg_packet *p = self->first;

    if (p) {
        self->first = p->next;
        self->n--;
        p->next = NULL;
        if (!self->first)
            self->last = &self->first;
    }
    return p;
}

static void
sink_release(struct sink *self)
{
    if (self->taken)
        hg_discard(self, &self->seen, self->taken);
    self->taken = NULL;
}

static void
sink_stop(void *at)
{
    struct sink *self = at;
    struct hg_packet *p;

    sink_release(self);
    while ((p = sink_shift(self)) != NULL)
        hg_discard(self, &self->seen, p);
}

static const struct hg_class sink_class = {
    .magic = HG_MAGIC,
    .abi = HG_ABI,
    .class_size = sizeof(struct hg_class),
    .name = "TestSink",
    .summary = "keeps packets for the test",
    .inputs = "in",
    .fields = HG_FIELDS(HG_REASON(seen, .doc = "looked at")),
    .self_size = sizeof(struct sink),
    .batch = sink_batch,
    .stop = sink_stop,
};

/* ---- Making one ------------------------------------------------------- */

struct port {
    const char *name;
    struct hg_element *element; /* TestSource or TestSink. */
};

struct bench {
    struct hg_plugins *plugins;
    struct hg_graph *graph;
    struct hg_element *dut;
    struct port in[PORTS_MAX];
    struct port out[PORTS_MAX];
    unsigned n_in, n_out;
    char *read_text; /* bench_read() returned it. */
};

static struct hg_plugins *
make_plugins(void)
{
    struct hg_plugins *plugins = hg_plugins_create(NULL);

    hg_plugins_add(plugins, &source_class);
    hg_plugins_add(plugins, &sink_class);
    return plugins;
}

static struct hg_graph_config
make_config(struct hg_plugins *plugins)
{
    return (struct hg_graph_config){.plugins = plugins, .seed = 1};
}

static void
start(struct test_place at, struct bench *b)
{
    struct hg_error error;

    if (hg_graph_start(b->graph, BENCH_START, &error))
        return;
    test_fail(at, "the graph does not start: %s", error.text);
    test_end();
}

/* "name=first second" to an option. */
static bool
set_option(struct hg_element *element, const char *option,
           struct hg_error *error)
{
    const char *values[256];
    char *text = strdup(option);
    char *rest = strchr(text, '=');
    char *value;
    size_t n = 0;
    bool is_set;

    if (rest)
        *rest++ = '\0';
    while ((value = strsep(&rest, " ")) != NULL && n < 256)
        values[n++] = value;
    is_set = hg_element_set(element, text, values, n, error);
    free(text);
    return is_set;
}

static void
wire_inputs(struct test_place at, struct bench *b)
{
    unsigned i;

    for (i = 0; i < hg_element_n_inputs(b->dut) && i < PORTS_MAX; i++) {
        struct hg_port_info info;
        struct hg_error error;
        char name[64];

        hg_element_input(b->dut, i, &info);
        snprintf(name, sizeof name, "input-%s", info.name);
        b->in[i].name = info.name;
        b->in[i].element = hg_graph_add(b->graph, &source_class, name);
        if (!hg_element_configure(b->in[i].element) ||
            !hg_graph_connect(b->graph, b->in[i].element, 0, b->dut, i,
                              &error))
            test_fail(at, "%s: %s", name, error.text);
        b->n_in++;
    }
}

static void
wire_outputs(struct test_place at, struct bench *b)
{
    unsigned i;

    for (i = 0; i < hg_element_n_outputs(b->dut) && i < PORTS_MAX; i++) {
        struct hg_port_info info;
        struct hg_error error;
        char name[64];

        hg_element_output(b->dut, i, &info);
        snprintf(name, sizeof name, "output-%s", info.name);
        b->out[i].name = info.name;
        b->out[i].element = hg_graph_add(b->graph, &sink_class, name);
        if (!hg_element_configure(b->out[i].element) ||
            !hg_graph_connect(b->graph, b->dut, i, b->out[i].element, 0,
                              &error))
            test_fail(at, "%s: %s", name, error.text);
        b->n_out++;
    }
}

struct bench *
bench_create_(struct test_place at, const char *class_name,
              const char *const *options)
{
    struct bench *b = calloc(1, sizeof *b);
    struct hg_graph_config config;
    const struct hg_class *class;
    struct hg_error error = {""};

    b->plugins = make_plugins();
    class = hg_plugins_find(b->plugins, class_name, &error);
    if (!class) {
        test_fail(at, "no class %s: %s", class_name, error.text);
        test_end();
    }
    config = make_config(b->plugins);
    b->graph = hg_graph_create(&config);
    b->dut = hg_graph_add(b->graph, class, "dut");
    for (; *options; options++)
        if (!set_option(b->dut, *options, &error)) {
            test_fail(at, "%s: %s", *options, error.text);
            test_end();
        }
    if (!hg_element_configure(b->dut)) {
        test_fail(at, "%s refuses its configuration", class_name);
        test_end();
    }
    wire_inputs(at, b);
    wire_outputs(at, b);
    hg_graph_finish(b->graph);
    start(at, b);
    return b;
}

/* Loads a graph from a text by way of a file without a name. */
static struct hg_graph *
load_text(struct hg_plugins *plugins, const char *text, struct hg_diags *diags)
{
    struct hg_graph_config config = make_config(plugins);
    char path[] = "/tmp/bench-XXXXXX";
    int fd = mkstemp(path);
    struct hg_graph *graph = NULL;
    size_t n = strlen(text);

    if (fd >= 0 && write(fd, text, n) == (ssize_t)n)
        graph = hg_graph_load(path, &config, diags);
    if (fd >= 0) {
        unlink(path);
        close(fd);
    }
    return graph;
}

/* What the diags say, to be freed. */
static char *
diags_text(const struct hg_diags *diags)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    hg_diags_print(diags, out, false);
    fclose(out);
    return text;
}

struct bench *
bench_load_(struct test_place at, const char *text)
{
    struct bench *b = calloc(1, sizeof *b);
    struct hg_diags *diags = hg_diags_create();
    size_t i;

    b->plugins = make_plugins();
    b->graph = load_text(b->plugins, text, diags);
    if (!b->graph) {
        char *mistakes = diags_text(diags);

        test_fail(at, "the graph is refused:\n%s", mistakes);
        test_end();
    }
    hg_diags_destroy(diags);
    hg_graph_set_diags(b->graph, NULL);
    b->dut = hg_graph_find(b->graph, "dut");
    for (i = 0; i < hg_graph_n_elements(b->graph); i++) {
        struct hg_element *e = hg_graph_element(b->graph, i);
        struct port port = {hg_element_name(e), e};

        if (hg_element_class(e) == &source_class && b->n_in < PORTS_MAX)
            b->in[b->n_in++] = port;
        if (hg_element_class(e) == &sink_class && b->n_out < PORTS_MAX)
            b->out[b->n_out++] = port;
    }
    start(at, b);
    return b;
}

/* Whether 'message' has 'wanted' in it; "*" stands for any characters. */
static bool
contains(const char *message, const char *wanted)
{
    size_t n = strcspn(wanted, "*");
    const char *at = message;
    char *piece;

    for (;;) {
        piece = strndup(wanted, n);
        at = strstr(at, piece);
        free(piece);
        if (!at || !wanted[n])
            return at != NULL;
        at += n;
        wanted += n + 1;
        n = strcspn(wanted, "*");
    }
}

void
bench_refuses_(struct test_place at, const char *text, const char *expected)
{
    struct hg_plugins *plugins = make_plugins();
    struct hg_diags *diags = hg_diags_create();
    struct hg_graph *graph = load_text(plugins, text, diags);
    char *mistakes = diags_text(diags);
    char *lines = strdup(expected);
    char *rest = lines;
    char *line;

    if (graph)
        test_fail(at, "the graph is accepted, expected: %s", expected);
    while ((line = strsep(&rest, "\n")) != NULL)
        if (!graph && !test_check(at, contains(mistakes, line), line))
            test_fail(at, "the mistakes are:\n%s", mistakes);
    free(lines);
    free(mistakes);
    hg_graph_destroy(graph);
    hg_diags_destroy(diags);
    hg_plugins_destroy(plugins);
}

static void
check_account(struct test_place at, const struct bench *b)
{
    struct hg_account sum;
    size_t i;

    if (hg_graph_account(b->graph, &sum))
        return;
    for (i = 0; i < hg_graph_n_elements(b->graph); i++) {
        const struct hg_element *e = hg_graph_element(b->graph, i);
        struct hg_account a;

        hg_element_account(e, &a);
        test_fail(at,
                  "%s: in %llu + received %llu + made %llu, out %llu + sent "
                  "%llu + dropped %llu + held %llu",
                  hg_element_name(e), (unsigned long long)a.in,
                  (unsigned long long)a.received, (unsigned long long)a.made,
                  (unsigned long long)a.out, (unsigned long long)a.sent,
                  (unsigned long long)a.dropped, (unsigned long long)a.held);
    }
}

void
bench_destroy_(struct test_place at, struct bench *b)
{
    if (!b)
        return;
    bench_expect_none_(at, b, NULL);
    hg_graph_stop(b->graph);
    check_account(at, b);
    hg_graph_destroy(b->graph);
    hg_plugins_destroy(b->plugins);
    free(b->read_text);
    free(b);
}

/* ---- Packets ---------------------------------------------------------- */

static struct hg_element *
find_port(struct test_place at, const struct port *ports, unsigned n,
          const char *name)
{
    unsigned i;

    for (i = 0; i < n; i++)
        if (!strcmp(ports[i].name, name))
            return ports[i].element;
    test_fail(at, "no port '%s' on this bench", name);
    test_end();
}

static struct sink *
find_sink(struct test_place at, const struct bench *b, const char *name)
{
    return hg_element_self(find_port(at, b->out, b->n_out, name));
}

struct hg_graph *
bench_graph(struct bench *b)
{
    return b->graph;
}

struct hg_pool *
bench_pool(struct bench *b)
{
    return hg_graph_pool(b->graph);
}

void
bench_advance(struct bench *b, uint64_t time_ns)
{
    hg_graph_advance(b->graph, BENCH_START + time_ns);
    hg_graph_dispatch(b->graph);
}

void
bench_push_packet_(struct test_place at, struct bench *b, const char *in,
                   struct hg_packet *p, uint64_t time_ns)
{
    struct hg_element *source = find_port(at, b->in, b->n_in, in);

    p->time_ns = BENCH_START + time_ns;
    bench_advance(b, time_ns);
    hg_graph_inject(b->graph, source, 0, &p, 1);
    hg_graph_dispatch(b->graph);
}

void
bench_push_(struct test_place at, struct bench *b, const char *in,
            const char *text, uint64_t time_ns)
{
    struct hg_error error = {""};
    struct hg_packet *p = notation_parse(bench_pool(b), text, &error);

    if (!p) {
        test_fail(at, "'%s': %s", text, error.text);
        test_end();
    }
    bench_push_packet_(at, b, in, p, time_ns);
}

/* The packet as text, and what hg_packet_format() leaves out. */
static void
format_all(const struct hg_packet *p, char *buf, size_t size)
{
    const struct hg_eth *eth = hg_packet_eth(p);
    char smac[HG_MAC_STRLEN], dmac[HG_MAC_STRLEN];
    size_t n;

    hg_packet_format(p, buf, size);
    n = strlen(buf);
    if (eth)
        n += (size_t)snprintf(buf + n, size - n, " smac %s dmac %s",
                              hg_mac_format(&eth->src, smac),
                              hg_mac_format(&eth->dst, dmac));
    snprintf(buf + n, size - n, " vpc %u mark %u", p->vpc, p->mark);
}

/* What waits where, for a test that failed. */
static void
tell_waiting(struct test_place at, const struct bench *b)
{
    unsigned i;

    for (i = 0; i < b->n_out; i++) {
        const struct sink *sink = hg_element_self(b->out[i].element);
        const struct hg_packet *p;

        for (p = sink->first; p; p = p->next) {
            char text[1024];

            format_all(p, text, sizeof text);
            test_fail(at, "waiting on '%s': %s", b->out[i].name, text);
        }
    }
}

struct hg_packet *
bench_take_(struct test_place at, struct bench *b, const char *out)
{
    struct sink *sink = find_sink(at, b, out);

    sink_release(sink);
    sink->taken = sink_shift(sink);
    if (!sink->taken) {
        test_fail(at, "no packet left on '%s'", out);
        tell_waiting(at, b);
    }
    return sink->taken;
}

void
bench_expect_(struct test_place at, struct bench *b, const char *out,
              const char *pattern)
{
    struct hg_packet *p = bench_take_(at, b, out);
    struct hg_error error;
    char text[1024];

    if (!p)
        return;
    format_all(p, text, sizeof text);
    if (notation_matches(text, pattern, &error))
        test_check(at, true, pattern);
    else
        test_fail(at, "%s\n        %s, expected\n        %s\n        (%s)",
                  out, text, pattern, error.text);
}

unsigned
bench_waiting_(struct test_place at, struct bench *b, const char *out)
{
    return find_sink(at, b, out)->n;
}

void
bench_expect_none_(struct test_place at, struct bench *b, const char *out)
{
    unsigned i, n = 0;

    for (i = 0; i < b->n_out; i++)
        if (!out || !strcmp(out, b->out[i].name))
            n += bench_waiting_(at, b, b->out[i].name);
    if (n)
        tell_waiting(at, b);
    test_check(at, !n, "no packets are left that nobody expected");
}

void
bench_forget_(struct test_place at, struct bench *b, const char *out)
{
    unsigned i;

    for (i = 0; i < b->n_out; i++)
        if (!out || !strcmp(out, b->out[i].name))
            sink_stop(find_sink(at, b, b->out[i].name));
}

/* ---- Handlers --------------------------------------------------------- */

uint64_t
bench_counter_(struct test_place at, struct bench *b, const char *field)
{
    const struct hg_class *class = hg_element_class(b->dut);
    size_t i;

    for (i = 0; i < class->n_fields; i++)
        if (!strcmp(class->fields[i].name, field))
            return hg_element_number(b->dut, &class->fields[i]);
    test_fail(at, "%s has no '%s'", class->name, field);
    test_end();
}

const char *
bench_read_(struct test_place at, struct bench *b, const char *handler,
            const char *argument)
{
    struct hg_error error = {""};
    size_t size;
    FILE *out;

    free(b->read_text);
    out = open_memstream(&b->read_text, &size);
    if (!hg_element_read(b->dut, handler, argument, out, &error))
        test_fail(at, "%s: %s", handler, error.text);
    fclose(out);
    if (size && b->read_text[size - 1] == '\n')
        b->read_text[size - 1] = '\0';
    return b->read_text;
}

void
bench_write_(struct test_place at, struct bench *b, const char *handler,
             const char *value)
{
    struct hg_error error = {""};

    if (!hg_element_write(b->dut, handler, value, &error))
        test_fail(at, "%s = %s: %s", handler, value, error.text);
}
