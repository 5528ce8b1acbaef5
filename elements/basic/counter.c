/* Counter: counts what passes and measures its rate.
 *
 * Every port counts packets and bytes already; a Counter gives a place a name
 * and counts a packet as long as it was on the wire, whatever the capture
 * kept of it. */
#include <inttypes.h>

#include <headgate/element.h>

struct counter {
    hg_counter packets;
    hg_counter bytes;
    uint64_t first_ns; /* Arrival of the first packet ... */
    uint64_t last_ns;  /* ... and of the last. */
};

static void
counter_batch(struct counter *self, struct hg_batch *batch)
{
    uint64_t bytes = 0;
    unsigned i;

    for (i = 0; i < batch->n; i++)
        bytes += batch->p[i]->wire_len;
    if (!self->packets.n && batch->n)
        self->first_ns = batch->p[0]->time_ns;
    if (batch->n)
        self->last_ns = batch->p[batch->n - 1]->time_ns;
    self->packets.n += batch->n;
    self->bytes.n += bytes;
    hg_pass(self, 0, batch);
}

/* 'n' events in 'ns' as events per second, rounded down. */
static uint64_t
per_second(uint64_t n, uint64_t ns)
{
    return ns ? (uint64_t)((unsigned __int128)n * HG_SEC / ns) : 0;
}

/* The mean from the first packet to the last; 0 for a single moment. */
static bool
counter_read_rate(void *self_, const char *argument, FILE *out,
                  struct hg_error *error)
{
    const struct counter *self = self_;
    uint64_t ns =
        self->last_ns > self->first_ns ? self->last_ns - self->first_ns : 0;

    if (*argument)
        return hg_error_set(error, "'rate' takes no argument, not '%s'",
                            argument);
    fprintf(out,
            "{\"first_ns\": %" PRIu64 ", \"last_ns\": %" PRIu64
            ", \"packets_per_second\": %" PRIu64
            ", \"bits_per_second\": %" PRIu64 "}\n",
            self->first_ns, self->last_ns, per_second(self->packets.n, ns),
            per_second(8 * self->bytes.n, ns));
    return true;
}

/* clang-format off */
HG_BATCH_ELEMENT(Counter, struct counter, counter_batch,
    .summary = "counts packets and bytes and measures their rate",
    .example = "Interface lan { }\n"
               "Counter   all { }\n"
               "connect(\"lan -> all -> lan\")\n",
    .flags = HG_CLASS_ANY_WORKER, .inputs = "in", .outputs = "out",
    .fields = HG_FIELDS(HG_COUNTER(packets, .doc = "packets that passed"),
                        HG_COUNTER(bytes,
                                   .doc = "bytes they had on the wire")),
    .handlers = HG_HANDLERS(
        {.name = "rate",
         .doc = "when the first and the last packet came, and the mean rate "
                "in between",
         .read = counter_read_rate}))
/* clang-format on */
