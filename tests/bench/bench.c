/* bench.c: nanoseconds of CPU time a packet, from memory.
 *
 *     bench [--quick] [--only NAME] --json   figures, as README.md has them
 *           [--rounds N]                     more rounds, for a profile
 *     bench --check                          every row with hardly any packets
 *                                            and small tables, for the test
 *                                            that they take their way
 *     bench --list                           names of all of them
 *     bench copy IN.pcap OUT.pcap            libpcap reads, libpcap writes
 *     bench read IN.pcap                     libpcap reads
 *     bench capture OUT.pcap PACKETS FLOWS   UDP packets drawn from flows
 *     bench row NAME FOLDER PACKETS          the graph of a row as graph.conf,
 *                                            its tables, and its packets as
 *                                            in.pcap, for the program
 *     bench flood INTERFACE PACKETS FLOWS    the same, to a network interface
 *
 * Each row of bench_rows.c is measured in a process of its own, so that
 * memory is fresh and its growth is the row's.  A row that fails says why and
 * has no figure; the others go on, and the exit status is 1. */
#include "bench.h"

#include <pcap/pcap.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

bool quick;
bool tiny;
unsigned rounds_wanted;
struct hg_plugins *plugins;

void
fail(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fputs("bench: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    exit(1);
}

void *
must_alloc(size_t size)
{
    void *p = malloc(size);

    if (!p)
        fail("no memory");
    return p;
}

/* ---- Captures --------------------------------------------------------- */

static pcap_t *
open_capture(const char *path)
{
    char error[PCAP_ERRBUF_SIZE];
    pcap_t *in = pcap_open_offline(path, error);

    if (!in)
        fail("%s", error);
    return in;
}

static void
copy_capture(const char *from, const char *to)
{
    pcap_t *in = open_capture(from);
    pcap_dumper_t *out = pcap_dump_open(in, to);
    struct pcap_pkthdr *header;
    const u_char *data;

    if (!out)
        fail("%s", pcap_geterr(in));
    while (pcap_next_ex(in, &header, &data) == 1)
        pcap_dump((u_char *)out, header, data);
    pcap_dump_close(out);
    pcap_close(in);
}

static void
read_capture(const char *path)
{
    pcap_t *in = open_capture(path);
    struct pcap_pkthdr *header;
    const u_char *data;
    unsigned sum = 0;

    while (pcap_next_ex(in, &header, &data) == 1)
        sum += header->caplen ? data[0] : 0;
    printf("%u\n", sum);
    pcap_close(in);
}

static void
write_capture(const char *path, const struct frames *f)
{
    pcap_t *pcap = pcap_open_dead(DLT_EN10MB, 65535);
    pcap_dumper_t *out = pcap_dump_open(pcap, path);
    struct pcap_pkthdr header = {.caplen = FRAME_LEN, .len = FRAME_LEN};
    size_t i;

    if (!out)
        fail("%s", pcap_geterr(pcap));
    for (i = 0; i < f->n; i++) {
        header.ts.tv_sec = 1700000000 + (time_t)(i / 1000000);
        header.ts.tv_usec = (suseconds_t)(i % 1000000);
        pcap_dump((u_char *)out, &header, f->v[i]);
    }
    pcap_dump_close(out);
    pcap_close(pcap);
}

static void
make_capture(const char *path, size_t n, uint32_t n_flows)
{
    struct frames f;

    frames_init(&f, n);
    frames_draw(&f, traffic_plain, 0, n_flows, n);
    write_capture(path, &f);
    frames_uninit(&f);
}

static void
write_row(const struct row *row, const char *folder, size_t n)
{
    char path[512], text[4096];
    struct frames f;
    FILE *file;

    tables_keep(folder);
    tables_make(row->tables);
    row_text(row, true, text, sizeof text);
    snprintf(path, sizeof path, "%s/graph.conf", folder);
    file = fopen(path, "w");
    if (!file || fputs(text, file) < 0 || fclose(file))
        fail("cannot write '%s'", path);
    snprintf(path, sizeof path, "%s/in.pcap", folder);
    frames_init(&f, n);
    frames_draw(&f, row->traffic ? row->traffic : traffic_plain, row->size,
                row->flows, n);
    write_capture(path, &f);
    frames_uninit(&f);
}

static const struct row *
find_row(const char *name)
{
    size_t i;

    for (i = 0; i < n_bench_rows; i++)
        if (!strcmp(bench_rows[i].name, name) && !bench_rows[i].graph)
            return &bench_rows[i];
    fail("no row '%s' that has a graph of its own", name);
}

/* ---- Rows ------------------------------------------------------------- */

void
figure_print(const struct figure *f)
{
    printf("{\"group\": \"%s\", \"name\": \"%s\", \"ns\": %.9g", f->group,
           f->name, f->median);
    if (f->least > 0)
        printf(", \"min\": %.9g", f->least);
    printf(", \"n\": %zu, \"flows\": %zu, \"size\": %zu, \"unit\": \"%s\"",
           f->n, f->flows, f->size, f->unit);
    if (f->target > 0)
        printf(", \"target\": %.9g", f->target);
    if (f->pace > 0)
        printf(", \"pace\": %.3f", f->pace);
    printf("},\n");
}

static bool
is_wanted(const struct row *row, const char *only)
{
    if (quick && row->flows_quick == UINT32_MAX)
        return false;
    return !only || strcasestr(row->name, only) ||
           strcasestr(row->group, only);
}

static bool
run_row(const struct row *row)
{
    pid_t child;
    int status;

    tables_make(row->tables);
    fflush(stdout);
    child = fork();
    if (child < 0)
        fail("cannot fork");
    if (!child) {
        measure_row(row);
        exit(0);
    }
    if (waitpid(child, &status, 0) != child)
        fail("cannot wait");
    if (status)
        fprintf(stderr, "bench: no figure for '%s, %s'\n", row->group,
                row->name);
    return !status;
}

/* An empty object ends the array, because each figure ends in a comma. */
static bool
run_rows(const char *only)
{
    bool good = true;
    size_t i;

    plugins = hg_plugins_create(NULL);
    bench_add_classes(plugins);
    puts("[");
    for (i = 0; i < n_bench_rows; i++)
        if (is_wanted(&bench_rows[i], only))
            good &= run_row(&bench_rows[i]);
    puts("{}]");
    hg_plugins_destroy(plugins);
    return good;
}

static size_t
number(const char *text)
{
    char *end;
    size_t n = strtoul(text, &end, 10);

    if (!n || *end || n > UINT32_MAX)
        fail("'%s' is no number of packets or flows", text);
    return n;
}

int
main(int argc, char **argv)
{
    const char *only = NULL;
    bool list = false;
    size_t row;
    int i;

    if (argc == 4 && !strcmp(argv[1], "copy")) {
        copy_capture(argv[2], argv[3]);
        return 0;
    }
    if (argc == 3 && !strcmp(argv[1], "read")) {
        read_capture(argv[2]);
        return 0;
    }
    if (argc == 5 && !strcmp(argv[1], "capture")) {
        make_capture(argv[2], number(argv[3]), (uint32_t)number(argv[4]));
        return 0;
    }
    if (argc == 5 && !strcmp(argv[1], "row")) {
        write_row(find_row(argv[2]), argv[3], number(argv[4]));
        return 0;
    }
    if (argc == 5 && !strcmp(argv[1], "flood")) {
        flood(argv[2], number(argv[3]), (uint32_t)number(argv[4]));
        return 0;
    }
    for (i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--quick"))
            quick = true;
        else if (!strcmp(argv[i], "--check"))
            tiny = true;
        else if (!strcmp(argv[i], "--list"))
            list = true;
        else if (!strcmp(argv[i], "--only") && i + 1 < argc)
            only = argv[++i];
        else if (!strcmp(argv[i], "--rounds") && i + 1 < argc)
            rounds_wanted = (unsigned)number(argv[++i]);
        else if (strcmp(argv[i], "--json"))
            fail("no option '%s'", argv[i]);
    }
    if (!list)
        return run_rows(only) ? 0 : 1;
    for (row = 0; row < n_bench_rows; row++)
        puts(bench_rows[row].name);
    return 0;
}
