/* Trace: prints every packet as one line and lets it pass.
 *
 * The line is the test notation of hg_packet_format, behind the packet's time
 * and a prefix:
 *     1700000000.000000001 lan: udp 10.0.0.5:53 > 10.0.0.9:5353 len 12 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include <headgate/element.h>

struct trace {
    char *file;     /* Path; "-": standard output; NULL: standard error. */
    char *prefix;   /* NULL: the element's name. */
    bool time;      /* Lines start with the packet's time. */
    uint64_t limit; /* Lines to print; 0: no limit. */
    hg_counter printed;
    FILE *out; /* NULL: not started, or writing failed. */
};

enum { OUT };

static bool
trace_start(void *self_, struct hg_error *error)
{
    struct trace *self = self_;

    if (!self->file)
        self->out = stderr;
    else if (!strcmp(self->file, "-"))
        self->out = stdout;
    else
        self->out = fopen(self->file, "we");
    if (!self->out)
        return hg_error_set(error, "cannot write to '%s': %s", self->file,
                            strerror(errno));
    return true;
}

/* Gives the file up, with a warning if what was printed could not be stored;
 * the packets go on. */
static void
finish(struct trace *self)
{
    bool own = self->out != stdout && self->out != stderr;
    bool failed = ferror(self->out) || fflush(self->out);
    int error = errno;

    if (own && fclose(self->out) && !failed) {
        failed = true;
        error = errno;
    }
    self->out = NULL;
    if (failed)
        hg_warn(self, "the trace in '%s' is not complete: %s",
                self->file ? self->file : "standard error", strerror(error));
}

static void
trace_stop(void *self_)
{
    struct trace *self = self_;

    if (self->out)
        finish(self);
}

static void
print(struct trace *self, const struct hg_packet *p)
{
    char text[1024];

    if (self->time)
        fprintf(self->out, "%" PRIu64 ".%09" PRIu64 " ", p->time_ns / HG_SEC,
                p->time_ns % HG_SEC);
    if (fprintf(self->out, "%s: %s\n",
                self->prefix ? self->prefix : hg_name(self),
                hg_packet_format(p, text, sizeof text)) < 0)
        finish(self);
    else
        hg_count(&self->printed);
}

static int
trace_packet(struct trace *self, struct hg_packet *p)
{
    if (self->out && (!self->limit || self->printed.n < self->limit))
        print(self, p);
    return OUT;
}

HG_ELEMENT(Trace, struct trace, trace_packet,
           .summary = "prints a line for every packet",
           .example = "Interface lan { }\n"
                      "Trace     seen { file = seen.txt  limit = 100 }\n"
                      "connect(\"lan -> seen -> lan\")\n",
           .inputs = "in", .outputs = "out", .start = trace_start,
           .stop = trace_stop, .free = trace_stop,
           .fields = HG_FIELDS(
               HG_OPTION(file, .doc = "where to print: a file, or - for "
                                      "standard output; not given: standard "
                                      "error"),
               HG_OPTION(prefix, .doc = "text before each packet; not given: "
                                        "the element's name"),
               HG_OPTION(time, .def = "true", .live = true,
                         .doc = "print each packet's time"),
               HG_OPTION(limit, .live = true,
                         .doc = "lines to print; 0: no limit"),
               HG_COUNTER(printed, .doc = "lines printed")))
