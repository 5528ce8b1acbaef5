/* bench_lane.c: a graph between memory and nothing (see bench.h). */
#include "bench.h"

#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static const uint64_t START_NS = UINT64_C(1700000000) * HG_SEC;

uint64_t
cpu_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * HG_SEC + (uint64_t)t.tv_nsec;
}

static unsigned
lane_send(struct hg_device *device, struct hg_packet *const *packets,
          unsigned n)
{
    struct frames *record = ((struct lane *)device)->record;
    unsigned i;

    for (i = 0; record && i < n; i++)
        frames_add(record, packets[i]);
    hg_packet_free_many(packets, n);
    return n;
}

static const struct hg_device_ops lane_ops = {.scheme = "memory",
                                              .send = lane_send};

void
lane_load(struct lane *lane, const char *path)
{
    const struct hg_graph_config config = {.plugins = plugins, .seed = 1};
    struct hg_diags *diags = hg_diags_create();
    struct hg_error error;
    size_t i;

    memset(lane, 0, sizeof *lane);
    lane->batch = 64;
    lane->graph = hg_graph_load(path, &config, diags);
    if (!lane->graph) {
        hg_diags_print(diags, stderr, false);
        fail("'%s' is no graph", path);
    }
    hg_diags_destroy(diags);
    lane->device.ops = &lane_ops;
    lane->device.can_send = true;
    for (i = 0; i < hg_graph_n_elements(lane->graph); i++) {
        struct hg_element *e = hg_graph_element(lane->graph, i);

        if (hg_element_class(e)->flags & HG_CLASS_DEVICE)
            hg_element_bind(e, &lane->device);
    }
    lane->now_ns = START_NS;
    if (!hg_graph_start(lane->graph, lane->now_ns, &error))
        fail("%s: %s", path, error.text);
}

void
lane_init(struct lane *lane, const char *text)
{
    int fd = memfd_create("graph", MFD_CLOEXEC);
    char path[32];

    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text) ||
        lseek(fd, 0, SEEK_SET))
        fail("no memory for a graph");
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    lane_load(lane, path);
    close(fd);
}

/* Where packets ended: for a message about those that should not have. */
static void
print_drops(const struct hg_graph *graph)
{
    size_t i, k;

    for (i = 0; i < hg_graph_n_elements(graph); i++) {
        const struct hg_element *e = hg_graph_element(graph, i);
        const struct hg_class *cls = hg_element_class(e);

        for (k = 0; k < cls->n_fields; k++)
            if (cls->fields[k].kind == HG_FIELD_REASON &&
                hg_element_number(e, &cls->fields[k]))
                fprintf(stderr, "bench: %s dropped %lu: %s\n",
                        hg_element_name(e),
                        (unsigned long)hg_element_number(e, &cls->fields[k]),
                        cls->fields[k].name);
    }
}

void
lane_uninit(struct lane *lane, bool drops)
{
    struct hg_account account;
    bool balanced;

    hg_graph_stop(lane->graph);
    balanced = hg_graph_account(lane->graph, &account);
    if (!balanced)
        fail("packets were lost: the figures mean nothing");
    if (account.dropped && !drops)
        print_drops(lane->graph);
    if (account.dropped && !drops)
        fail("%lu packets were dropped: the figures mean nothing",
             (unsigned long)account.dropped);
    hg_graph_destroy(lane->graph);
}

static struct hg_element *
find(struct lane *lane, const char *name)
{
    struct hg_element *element = hg_graph_find(lane->graph, name);

    if (!element)
        fail("the graph has no '%s'", name);
    return element;
}

/* Fetches the frames that come next, so that they are warm as those are which
 * a reader has just got from the kernel.  (GCC takes a function that only
 * prefetches for one without effect, unless it is inlined.) */
__attribute__((always_inline)) static inline void
fetch_frames(const struct frames *f, size_t at, unsigned n)
{
    size_t end = f->n - at < n ? f->n : at + n;

    for (; at < end; at++)
        __builtin_prefetch(f->v[at]);
}

uint64_t
lane_run(struct lane *lane, const char *name, const struct frames *f)
{
    struct hg_element *source = find(lane, name);
    struct hg_pool *pool = hg_graph_pool(lane->graph);
    struct hg_packet *packets[HG_BATCH_MAX];
    uint64_t begin = cpu_ns();
    size_t at = 0;

    while (at < f->n) {
        unsigned i, n = lane->batch;

        if (f->n - at < n)
            n = (unsigned)(f->n - at);
        lane->now_ns += n * 100;
        for (i = 0; i < n; i++, at++) {
            packets[i] = hg_packet_alloc(pool, FRAME_LEN);
            if (!packets[i])
                fail("no memory for packets");
            memcpy(packets[i]->data, f->v[at], FRAME_LEN);
            packets[i]->time_ns = lane->now_ns;
        }
        fetch_frames(f, at, n);
        hg_graph_inject(lane->graph, source, 0, packets, n);
        hg_graph_advance(lane->graph, lane->now_ns);
        hg_graph_dispatch(lane->graph);
    }
    return cpu_ns() - begin;
}

uint64_t
lane_advance(struct lane *lane, uint64_t ns)
{
    uint64_t begin = cpu_ns();

    lane->now_ns += ns;
    hg_graph_advance(lane->graph, lane->now_ns);
    hg_graph_dispatch(lane->graph);
    return cpu_ns() - begin;
}

static uint64_t
count_output(const struct hg_element *element, const char *port)
{
    struct hg_port_info info;
    int i = hg_element_find_output(element, port);

    if (i < 0)
        fail("no output '%s'", port);
    hg_element_output(element, (unsigned)i, &info);
    return info.packets;
}

static uint64_t
count_field(const struct hg_element *element, const char *name)
{
    const struct hg_class *cls = hg_element_class(element);
    size_t i;

    for (i = 0; i < cls->n_fields; i++)
        if (!strcmp(cls->fields[i].name, name))
            return hg_element_number(element, &cls->fields[i]);
    fail("%s has no counter '%s'", cls->name, name);
}

uint64_t
lane_count(struct lane *lane, const char *terms)
{
    uint64_t sum = 0;
    int n;

    while (*terms) {
        char name[64], what[64], kind;
        const struct hg_element *element;

        if (sscanf(terms, "%63[^][.+]%c%63[^]+]%n", name, &kind, what, &n) !=
            3)
            fail("'%s' is no term", terms);
        terms += n;
        terms += *terms == ']';
        terms += *terms == '+';
        element = find(lane, name);
        sum += kind == '[' ? count_output(element, what)
                           : count_field(element, what);
    }
    return sum;
}

void
lane_expect(struct lane *lane, const char *terms, uint64_t before, uint64_t n)
{
    uint64_t grown = lane_count(lane, terms) - before;

    if (grown == n)
        return;
    print_drops(lane->graph);
    fail("%lu packets or flows, but %s is %lu", (unsigned long)n, terms,
         (unsigned long)grown);
}
