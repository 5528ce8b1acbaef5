/* fuzz_traffic.c: any bytes as a classic pcap file, through the real elements.
 *
 * The time zone in the file's header, which is always 0, chooses the graph;
 * how much longer than captured a packet says to be, the interface.  Packets
 * are neither lost nor made up, and batches of 1 and of 16 give the same. */
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "elements.h"

enum {
    FILE_HEADER = 24,
    RECORD_HEADER = 16,
    GRAPH_AT = 8, /* In the file's header. */
    N_FRAMES_MAX = 64,
    N_WIRES_MAX = 8
};

static const uint64_t gap_max_ns = 400 * HG_SEC; /* Longer than NAT's. */

struct frame {
    const uint8_t *data;
    uint32_t len;
    uint32_t wire_len;
    uint32_t wire;
    uint64_t time_ns;
};

struct wire {
    struct hg_device device; /* First: the callbacks get a pointer to it. */
    struct hg_element *element;
    uint64_t digest; /* Of all that was sent. */
};

static struct hg_plugins *plugins;

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The beginnings of the bundled captures, for each graph. */
static void
write_seeds(char **arguments)
{
    static const char *const capture[] = {"vpc-router", "nat-gateway",
                                          "internet"};
    unsigned i, j;

    for (i = 0; i < sizeof capture / sizeof *capture; i++) {
        char path[512], bytes[2000];
        FILE *file, *seed;
        size_t n;

        snprintf(path, sizeof path, FUZZ_ROOT "/graphs/captures/%s.pcap",
                 capture[i]);
        file = fopen(path, "rb");
        n = file ? fread(bytes, 1, sizeof bytes, file) : 0;
        if (n < FILE_HEADER)
            abort();
        fclose(file);
        for (j = 0; j < N_FUZZ_GRAPHS; j++) {
            seed = fuzz_seed(arguments, capture[i], j);
            if (!seed)
                return;
            bytes[GRAPH_AT] = (char)j;
            fwrite(bytes, 1, n, seed);
            fclose(seed);
        }
    }
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    write_seeds(*argv);
    plugins = fuzz_plugins();
    fuzz_enter_folder();
    return 0;
}

static uint32_t
load_little(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 |
           (uint32_t)at[3] << 24;
}

static unsigned
read_frames(const uint8_t *data, size_t size, struct frame *frames)
{
    uint64_t last_ns = 0;
    size_t at = FILE_HEADER;
    unsigned n = 0;

    while (n < N_FRAMES_MAX && at + RECORD_HEADER < size) {
        struct frame *f = &frames[n++];
        uint32_t more;

        f->time_ns = load_little(data + at) * HG_SEC +
                     load_little(data + at + 4) % HG_SEC * HG_USEC;
        if (n == 1 || f->time_ns < last_ns)
            last_ns = n == 1 ? f->time_ns : last_ns;
        if (f->time_ns - last_ns > gap_max_ns || f->time_ns < last_ns)
            f->time_ns = last_ns + gap_max_ns / 2;
        last_ns = f->time_ns;
        f->len = load_little(data + at + 8);
        more = load_little(data + at + 12) - f->len;
        f->data = data + at + RECORD_HEADER;
        if (f->len > size - at - RECORD_HEADER)
            f->len = (uint32_t)(size - at - RECORD_HEADER);
        f->wire = more & 0xff;
        f->wire_len = f->len + (more >> 8 & 0xff);
        at += RECORD_HEADER + f->len;
    }
    return n;
}

static unsigned
send_packets(struct hg_device *device, struct hg_packet *const *p, unsigned n)
{
    struct wire *w = (struct wire *)device;
    unsigned i;

    for (i = 0; i < n; i++)
        w->digest = XXH3_64bits_withSeed(p[i]->data, p[i]->len,
                                         w->digest + p[i]->time_ns);
    hg_packet_free_many(p, n);
    return n;
}

static unsigned
bind_wires(struct hg_graph *graph, struct wire *wires)
{
    static const struct hg_device_ops ops = {.scheme = "fuzz",
                                             .send = send_packets};
    unsigned n = 0;
    size_t i;

    for (i = 0; i < hg_graph_n_elements(graph) && n < N_WIRES_MAX; i++) {
        struct hg_element *e = hg_graph_element(graph, i);

        if (!(hg_element_class(e)->flags & HG_CLASS_DEVICE))
            continue;
        wires[n].device.ops = &ops;
        wires[n].device.can_send = true;
        wires[n].element = e;
        hg_element_bind(e, &wires[n++].device);
    }
    return n;
}

static void
inject(struct hg_graph *graph, const struct frame *f, struct hg_element *at)
{
    struct hg_packet *p = hg_packet_alloc(hg_graph_pool(graph), f->len);

    memcpy(p->data, f->data, f->len);
    p->wire_len = f->wire_len;
    p->time_ns = f->time_ns;
    hg_graph_inject(graph, at, 0, &p, 1);
}

/* As the run loop does: no batch spans a timer, nor what elements promise. */
static void
run(struct hg_graph *graph, const struct frame *frames, unsigned n,
    const struct wire *wires, unsigned n_wires, unsigned batch)
{
    uint64_t span_ns = hg_graph_span(graph);
    unsigned i = 0, end;

    while (i < n) {
        uint64_t first_ns = frames[i].time_ns;
        uint64_t timer_ns = hg_graph_next_timer(graph);

        if (timer_ns <= first_ns) {
            hg_graph_advance(graph, timer_ns);
            continue;
        }
        for (end = i + 1; end < n && end < i + batch; end++)
            if (frames[end].time_ns >= timer_ns ||
                frames[end].time_ns - first_ns >= span_ns)
                break;
        hg_graph_advance(graph, frames[end - 1].time_ns);
        for (; i < end; i++)
            inject(graph, &frames[i], wires[frames[i].wire % n_wires].element);
        hg_graph_dispatch(graph);
    }
}

static uint64_t
digest_of(unsigned number, const struct frame *frames, unsigned n,
          unsigned batch)
{
    struct wire wires[N_WIRES_MAX] = {0};
    struct hg_graph *graph = fuzz_graph(number, plugins);
    unsigned i, n_wires = bind_wires(graph, wires);
    uint64_t digest = 0;
    struct hg_account account;
    struct hg_error error;

    if (!hg_graph_start(graph, frames[0].time_ns, &error)) {
        fprintf(stderr, "%s\n", error.text);
        abort();
    }
    run(graph, frames, n, wires, n_wires, batch);
    hg_graph_stop(graph);
    if (!hg_graph_account(graph, &account))
        abort();
    hg_graph_destroy(graph);
    for (i = 0; i < n_wires; i++)
        digest = digest * 31 + wires[i].digest;
    return digest;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct frame frames[N_FRAMES_MAX];
    unsigned n = read_frames(data, size, frames);

    if (n > 0 && digest_of(data[GRAPH_AT], frames, n, 1) !=
                     digest_of(data[GRAPH_AT], frames, n, 16))
        abort();
    return 0;
}
