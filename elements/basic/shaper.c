/* Shaper: lets packets pass at a rate; a token bucket.
 *
 * Alone it polices: what exceeds the rate leaves on "excess" at once.  Right
 * behind a Queue it shapes: the Queue asks how much would pass (credit) and
 * keeps the rest until then.
 *
 * Theory of operation.  The bucket fills with 'rate' tokens a second up to
 * 'burst'.  Its level is kept in billionths of a token (a packet or a bit),
 * so that one nanosecond adds exactly 'rate' of them: no rounding, no drift.
 * A packet conforms while a token is there.  A packet counted in bits may
 * overdraw the bucket and the following ones wait for the debt, so that a
 * burst smaller than a packet still means what it says: in any time T, at
 * most burst + rate * T and one packet pass. */
#include <headgate/element.h>

#define NANO INT64_C(1000000000)

struct shaper {
    struct hg_rate rate;
    struct hg_size burst; /* Packets or bytes, as the rate's unit. */
    hg_counter conforming;
    hg_counter excess;
    hg_counter over_rate; /* Drop reason: excess, and nowhere to go. */
    int64_t level;        /* Billionths of a packet or a bit. */
    uint64_t settled_ns;  /* When 'level' was right. */
    struct hg_rate was;   /* The rate since then. */
};

enum { OUT, EXCESS };

static bool
counts_packets(const struct shaper *self)
{
    return self->rate.unit == HG_RATE_PACKETS;
}

/* At most 2^30 * 8 * 10^9, which is less than 2^63. */
static int64_t
depth(const struct shaper *self)
{
    return (int64_t)self->burst.bytes * (counts_packets(self) ? 1 : 8) * NANO;
}

/* What must be there for the next packet to conform. */
static int64_t
threshold(const struct shaper *self)
{
    return counts_packets(self) ? NANO : 1;
}

static int64_t
cost(const struct shaper *self, uint32_t wire_len)
{
    int64_t bytes = wire_len < HG_PACKET_MAX ? wire_len : HG_PACKET_MAX;

    return counts_packets(self) ? NANO : bytes * 8 * NANO;
}

/* The bucket may run over by less than a nanosecond's worth: what a Queue had
 * to wait for to the full nanosecond is not lost. */
static void
fill(struct shaper *self, uint64_t now_ns)
{
    int64_t full = depth(self) + (int64_t)self->rate.per_second - 1;
    __int128 level = self->level;

    if (now_ns > self->settled_ns) {
        level += (__int128)(now_ns - self->settled_ns) *
                 (__int128)self->was.per_second;
        self->settled_ns = now_ns;
    }
    self->level = level < full ? (int64_t)level : full;
}

static bool
shaper_start(void *self_, struct hg_error *error)
{
    struct shaper *self = self_;

    (void)error;
    self->level = depth(self);
    self->settled_ns = hg_now(self);
    self->was = self->rate;
    return true;
}

/* Until now the old rate held.  A bucket of another unit starts full. */
static void
shaper_changed(void *self_)
{
    struct shaper *self = self_;

    fill(self, hg_now(self));
    if (self->was.unit != self->rate.unit)
        self->level = depth(self);
    self->was = self->rate;
}

/* How many packets would pass, whatever their length. */
static uint64_t
shaper_credit(void *self_, uint64_t now_ns, uint64_t *again_ns)
{
    struct shaper *self = self_;
    int64_t missing;

    fill(self, now_ns);
    missing = threshold(self) - self->level;
    if (missing > 0) {
        uint64_t rate = self->rate.per_second;

        *again_ns = now_ns + ((uint64_t)missing + rate - 1) / rate;
        return 0;
    }
    return 1 + (uint64_t)(-missing / cost(self, HG_PACKET_MAX));
}

static int
shaper_packet(struct shaper *self, struct hg_packet *p)
{
    fill(self, p->time_ns);
    if (self->level >= threshold(self)) {
        self->level -= cost(self, p->wire_len);
        hg_count(&self->conforming);
        return OUT;
    }
    hg_count(&self->excess);
    return hg_is_wired(self, EXCESS) ? EXCESS : hg_drop(&self->over_rate);
}

/* clang-format off */
HG_ELEMENT(Shaper, struct shaper, shaper_packet,
    .summary = "limits the rate of packets or bits (token bucket)",
    .doc = "Alone it is a policer: what exceeds the rate leaves on 'excess'. "
           "With a Queue right before it, and nothing else connected to its "
           "input, it is a shaper: the Queue keeps packets back until they "
           "conform.\n"
           "A rate in bits counts whole Ethernet frames as long as they were "
           "on the wire.",
    .example = "Interface lan { }\n"
               "Interface wan { }\n"
               "Queue     wait { length = 200 }\n"
               "Shaper    slow { rate = 10Mbps  burst = 15k }\n"
               "connect(\"lan -> wait -> slow -> wan\")\n"
               "connect(\"wan -> lan\")\n",
    .inputs = "in", .outputs = "out excess?", .start = shaper_start,
    .credit = shaper_credit, .changed = shaper_changed,
    .fields = HG_FIELDS(
        HG_OPTION(rate, .required = true, .live = true, .min = 1,
                  .max = UINT64_C(1000000000000000),
                  .doc = "what may pass in a second, such as 1000pps or "
                         "10Mbps"),
        HG_OPTION(burst, .def = "1", .live = true, .min = 1,
                  .max = UINT64_C(1) << 30,
                  .doc = "what may pass at once after a pause: packets, or "
                         "bytes if the rate is in bits"),
        HG_COUNTER(conforming, .doc = "packets within the rate"),
        HG_COUNTER(excess, .doc = "packets beyond the rate"),
        HG_REASON(over_rate,
                  .doc = "beyond the rate, and 'excess' is not wired")))
/* clang-format on */
