/* Queue: keeps packets while what follows cannot take them.
 *
 * The element right behind it, usually a Shaper, says how many packets it
 * would take now and when it would take more (class.credit).
 *
 * Theory of operation.  The answer counts what that element has seen, and
 * what the Queue sent it at this very moment may still be on its way.  So the
 * Queue asks once in each moment and counts what it sends against the answer;
 * if more is left to send it asks again a nanosecond later.  A moment is one
 * timestamp: the promise of 1 makes batches no longer than that, which makes
 * releases the same whatever the size of batches. */
#include <headgate/element.h>

struct queue {
    uint32_t length;      /* Packets it keeps at most. */
    struct hg_size bytes; /* Bytes it keeps at most; 0: no limit. */
    uint8_t drop;         /* DROP_TAIL or DROP_HEAD. */
    hg_counter delayed;   /* Packets that had to wait. */
    hg_counter full;      /* Drop reason. */
    hg_gauge queued;
    hg_gauge queued_bytes;
    hg_gauge most;
    struct hg_packet *head; /* Oldest first, by hg_packet.next. */
    struct hg_packet *tail;
    uint64_t asked_ns; /* The moment of the last question, ... */
    uint64_t grant;    /* ... what is left of the answer ... */
    uint64_t again_ns; /* ... and when to ask again. */
    struct hg_timer timer;
};

enum { OUT };
enum { DROP_TAIL, DROP_HEAD };

static void
append(struct queue *self, struct hg_packet *p)
{
    p->next = NULL;
    if (self->head)
        self->tail->next = p;
    else
        self->head = p;
    self->tail = p;
    self->queued_bytes.n += p->len;
    self->queued.n++;
}

static struct hg_packet *
pop(struct queue *self)
{
    struct hg_packet *p = self->head;

    self->head = p->next;
    self->queued.n--;
    self->queued_bytes.n -= p->len;
    return p;
}

static bool
over(const struct queue *self, uint64_t more, uint64_t more_bytes)
{
    return self->queued.n + more > self->length ||
           (self->bytes.bytes &&
            self->queued_bytes.n + more_bytes > self->bytes.bytes);
}

/* Whether one more packet may leave at 'now_ns'; counts it. */
static bool
granted(struct queue *self, uint64_t now_ns)
{
    if (self->asked_ns != now_ns) {
        self->asked_ns = now_ns;
        self->again_ns = now_ns + 1;
        self->grant = hg_credit(self, OUT, now_ns, &self->again_ns);
        if (self->grant)
            self->again_ns = now_ns + 1;
    }
    if (!self->grant)
        return false;
    self->grant--;
    return true;
}

/* Sends what may leave; not what came with the batch now being looked at,
 * which the framework does not count as held yet. */
static void
release(struct queue *self, uint64_t now_ns)
{
    while (self->head && self->head->flags & HG_PACKET_HELD &&
           granted(self, now_ns)) {
        struct hg_packet *p = pop(self);

        p->time_ns = now_ns;
        hg_emit(self, OUT, p);
    }
}

static void
queue_timer(void *self_, struct hg_timer *timer, uint64_t now_ns)
{
    struct queue *self = self_;

    release(self, now_ns);
    if (self->head)
        hg_timer_set(self, timer, self->again_ns);
}

static int
queue_packet(struct queue *self, struct hg_packet *p)
{
    release(self, p->time_ns);
    if (!self->head && granted(self, p->time_ns))
        return OUT;
    if (self->drop == DROP_TAIL && over(self, 1, p->len))
        return hg_drop(&self->full);
    hg_count(&self->delayed);
    append(self, p);
    return HG_KEPT;
}

/* Drops the oldest packets until the rest is within the limits; those of this
 * batch are kept from its i-th on.  Returns what i is then. */
static unsigned
drop_oldest(struct queue *self, int16_t *verdict, unsigned i)
{
    while (self->head && over(self, 0, 0)) {
        struct hg_packet *p = pop(self);

        if (p->flags & HG_PACKET_HELD) {
            hg_discard(self, &self->full, p);
            continue;
        }
        while (verdict[i] != HG_KEPT) /* The oldest of this batch. */
            i++;
        verdict[i] = (int16_t)hg_drop(&self->full);
    }
    return i;
}

static void
queue_batch(struct queue *self, struct hg_batch *batch)
{
    int16_t verdict[HG_BATCH_MAX];
    unsigned i, oldest = 0;

    for (i = 0; i < batch->n; i++) {
        verdict[i] = (int16_t)queue_packet(self, batch->p[i]);
        if (self->drop == DROP_HEAD)
            oldest = drop_oldest(self, verdict, oldest);
        if (self->queued.n > self->most.n)
            self->most.n = self->queued.n;
    }
    if (self->head)
        hg_timer_set(self, &self->timer, self->again_ns);
    hg_route(self, batch, verdict);
}

/* What follows may take packets sooner than it said, or later. */
static void
queue_changed(void *self_)
{
    struct queue *self = self_;

    if (self->head)
        hg_timer_set(self, &self->timer, hg_now(self) + 1);
}

static bool
queue_configure(void *self)
{
    hg_promise_delay(self, 1);
    return true;
}

static bool
queue_start(void *self_, struct hg_error *error)
{
    struct queue *self = self_;
    uint64_t again_ns;

    (void)error;
    self->asked_ns = HG_NEVER;
    hg_timer_init(self, &self->timer, queue_timer);
    if (hg_credit(self, OUT, hg_now(self), &again_ns) == UINT64_MAX)
        hg_warn(self, "nothing will ever wait here: what follows takes "
                      "everything at once; connect a Shaper right behind");
    return true;
}

/* Packets that still wait when the run ends stay in its account as held. */
static void
queue_free(void *self_)
{
    struct queue *self = self_;

    while (self->head)
        hg_packet_free(pop(self));
}

/* clang-format off */
HG_BATCH_ELEMENT(Queue, struct queue, queue_batch,
    .summary = "keeps packets until what follows can take them",
    .doc = "Wants an element right behind it that says how much it takes, "
           "such as a Shaper.  A packet that waited leaves with the time of "
           "its release as its timestamp.",
    .example = "Interface lan { }\n"
               "Interface wan { }\n"
               "Queue     wait { length = 50  drop = head }\n"
               "Shaper    slow { rate = 1000pps }\n"
               "connect(\"lan -> wait -> slow -> wan\")\n"
               "connect(\"wan -> lan\")\n",
    .inputs = "in", .outputs = "out", .configure = queue_configure,
    .start = queue_start, .free = queue_free,
    .changed = queue_changed,
    .fields = HG_FIELDS(
        HG_OPTION(length, .def = "1000", .min = 1, .live = true,
                  .doc = "packets it keeps at most"),
        HG_OPTION(bytes, .live = true,
                  .doc = "bytes it keeps at most; 0: no limit"),
        HG_OPTION(drop, .def = "tail", .choices = "tail head", .live = true,
                  .doc = "which end gives way when it is full: the newest "
                         "packet (tail) or the oldest (head)"),
        HG_COUNTER(delayed, .doc = "packets that had to wait"),
        HG_REASON(full, .doc = "the queue was full"),
        HG_GAUGE(queued, .doc = "packets that wait now"),
        HG_GAUGE(queued_bytes, .doc = "bytes that wait now"),
        HG_GAUGE(most, .doc = "most packets that waited at a time")))
/* clang-format on */
