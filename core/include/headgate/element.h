/* headgate/element.h: what an element is written against.
 *
 * An element class is one C file that includes this header and ends with
 * HG_ELEMENT().  One table of fields declares its options and counters, each
 * row naming a member of the element's own struct; configuration, defaults,
 * errors, the manual, handlers, JSON and metrics derive from it.  See
 * docs/writing-elements.md, and elements/ip/dec_ttl.c for a small one.
 *
 *     HG_ELEMENT(DecTTL, struct dec_ttl, dec_ttl_packet,
 *         .summary = "lowers the TTL or hop limit by one",
 *         .inputs = "in", .outputs = "out expired?",
 *         .fields = HG_FIELDS(
 *             HG_OPTION(floor, .def = "1", .max = 254, .live = true,
 *                       .doc = "expire packets at or below this TTL"),
 *             HG_COUNTER(expired, .doc = "packets whose TTL ran out"),
 *             HG_REASON(not_ip, .doc = "not IP")))
 *
 * Time is the packet's: a packet function uses p->time_ns, a timer its 'now'.
 *
 * Thread-safety: an element and all it is given belong to one worker. */
#ifndef HEADGATE_ELEMENT_H
#define HEADGATE_ELEMENT_H 1

#include <stdio.h>

#include <headgate/checksum.h>
#include <headgate/packet.h>
#include <headgate/timer.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Advances with every change of what follows; a plugin built against another
 * number is refused (plugin.h). */
#define HG_ABI 12
#define HG_MAGIC UINT32_C(0x68656164)

struct hg_element; /* An instance of a class in a graph. */
struct hg_graph;

/* ---- Batches ---------------------------------------------------------- */

#define HG_BATCH_MAX 256

/* Packets handed over at once, always in order of arrival (seq). */
struct hg_batch {
    uint16_t n;
    bool sorted;      /* Framework. */
    bool bytes_known; /* Framework: 'bytes' is the sum of len. */
    uint64_t bytes;
    uint64_t first_seq; /* Framework: of p[0] and of p[n - 1]. */
    uint64_t last_seq;
    struct hg_batch *next;
    struct hg_packet *p[HG_BATCH_MAX];
};

/* ---- Verdicts --------------------------------------------------------- */

/* What a packet function returns: the number of an output port, or one of
 * these.  HG_DROPPED only by way of hg_drop(). */
enum { HG_DROPPED = -1, HG_KEPT = -2 };

/* Drops the packet for this reason: "return hg_drop(&self->no_route);".
 * The framework frees it. */
static inline int
hg_drop(hg_counter *reason)
{
    reason->n++;
    return HG_DROPPED;
}

/* Keeps the packet: the element owns it until it hands it to hg_emit() or
 * hg_discard().  Before returning HG_KEPT the element has stored it.  It is
 * marked as kept only when the whole batch has been looked at: until then it
 * must be neither emitted nor discarded. */

static inline void
hg_count(hg_counter *counter)
{
    counter->n++;
}

/* ---- Fields ----------------------------------------------------------- */

enum hg_field_kind {
    HG_FIELD_OPTION,
    HG_FIELD_ROWS,    /* A repeated subsection. */
    HG_FIELD_COUNTER, /* Only grows. */
    HG_FIELD_REASON,  /* A counter of packets dropped, by reason. */
    HG_FIELD_GAUGE
};

enum hg_type {
    HG_TYPE_BOOL,
    HG_TYPE_U8,
    HG_TYPE_U16,
    HG_TYPE_U32,
    HG_TYPE_U64,
    HG_TYPE_STRING,
    HG_TYPE_ADDR,
    HG_TYPE_PREFIX,
    HG_TYPE_MAC,
    HG_TYPE_PORT_RANGE,
    HG_TYPE_DURATION,
    HG_TYPE_SIZE,
    HG_TYPE_RATE,
    HG_TYPE_ELEMENT,
    HG_TYPE_ADDR_LIST,
    HG_TYPE_PREFIX_LIST,
    HG_TYPE_PORT_RANGE_LIST,
    HG_TYPE_STRING_LIST,
    HG_TYPE_NUMBER_LIST,
    HG_TYPE_ROWS,
    HG_TYPE_COUNTER,
    HG_TYPE_GAUGE
};

/* One row of the table.  A string option's member is 'char *', NULL when not
 * given; an enumeration is an unsigned member with .choices, its value the
 * index of the word; a reference is 'struct hg_element *'. */
struct hg_field {
    const char *name; /* As in C; graph files write hyphens. */
    enum hg_field_kind kind;
    enum hg_type type;
    size_t offset;       /* Of the member in its struct, bytes. */
    const char *doc;     /* Half a sentence, lower case. */
    const char *def;     /* Default, as a graph file would say it; a list's
                          * words separated by spaces.  NULL: zero. */
    const char *choices; /* Enumeration: the words, separated by spaces. */
    const char *cls;     /* Reference: the class it must have, or NULL. */
    uint64_t min, max; /* Numbers, ns, bytes, per second; 0 max: the type's. */
    uint32_t min_n, max_n; /* Lists and rows: how many; 0 max: no limit. */
    bool required;
    bool live;  /* A write handler may change it while running. */
    bool alike; /* Gauges: not a sum over workers, but the same with each. */
    bool title; /* Rows: the title of the subsection fills this member. */
    const struct hg_field *fields; /* Rows: their fields ... */
    size_t n_fields;
    size_t row_size; /* ... and the size of one. */
};

/* The member of an element that holds rows of 'row_type'. */
#define HG_ROWS_OF(row_type)                                                  \
    struct {                                                                  \
        size_t n;                                                             \
        row_type *row;                                                        \
    }

/* clang-format off */
#define HG_TYPE_OF(expression) _Generic((expression),                         \
    bool: HG_TYPE_BOOL,                                                       \
    uint8_t: HG_TYPE_U8,                                                      \
    uint16_t: HG_TYPE_U16,                                                    \
    uint32_t: HG_TYPE_U32,                                                    \
    uint64_t: HG_TYPE_U64,                                                    \
    char *: HG_TYPE_STRING,                                                   \
    struct hg_addr: HG_TYPE_ADDR,                                             \
    struct hg_prefix: HG_TYPE_PREFIX,                                         \
    struct hg_mac: HG_TYPE_MAC,                                               \
    struct hg_port_range: HG_TYPE_PORT_RANGE,                                 \
    struct hg_duration: HG_TYPE_DURATION,                                     \
    struct hg_size: HG_TYPE_SIZE,                                             \
    struct hg_rate: HG_TYPE_RATE,                                             \
    struct hg_element *: HG_TYPE_ELEMENT,                                     \
    struct hg_addr_list: HG_TYPE_ADDR_LIST,                                   \
    struct hg_prefix_list: HG_TYPE_PREFIX_LIST,                               \
    struct hg_port_range_list: HG_TYPE_PORT_RANGE_LIST,                       \
    struct hg_string_list: HG_TYPE_STRING_LIST,                               \
    struct hg_number_list: HG_TYPE_NUMBER_LIST,                               \
    struct hg_counter: HG_TYPE_COUNTER,                                       \
    struct hg_gauge: HG_TYPE_GAUGE)
/* clang-format on */

#define HG_MEMBER(struct_type, member) (((struct_type *)0)->member)

#define HG_FIELD_(struct_type, kind_, member, ...)                            \
    {                                                                         \
        .name = #member, .kind = kind_,                                       \
        .type = HG_TYPE_OF(HG_MEMBER(struct_type, member)),                   \
        .offset = offsetof(struct_type, member), __VA_ARGS__                  \
    }

/* Rows of the table of the class being declared (hg_self is its struct). */
#define HG_OPTION(member, ...)                                                \
    HG_FIELD_(hg_self, HG_FIELD_OPTION, member, __VA_ARGS__)
#define HG_COUNTER(member, ...)                                               \
    HG_FIELD_(hg_self, HG_FIELD_COUNTER, member, __VA_ARGS__)
#define HG_REASON(member, ...)                                                \
    HG_FIELD_(hg_self, HG_FIELD_REASON, member, __VA_ARGS__)
#define HG_GAUGE(member, ...)                                                 \
    HG_FIELD_(hg_self, HG_FIELD_GAUGE, member, __VA_ARGS__)

/* A repeated subsection "member TITLE { ... }" (singular name in the file, so
 * the member is called 'rule' or 'listener'), filling HG_ROWS_OF(row_type).
 * 'row_fields' is an array of fields made with HG_ROW_OPTION, or with
 * HG_ROW_ROWS where sections nest. */
#define HG_ROWS(member, row_fields, ...)                                      \
    HG_ROW_ROWS(hg_self, member, row_fields, __VA_ARGS__)
#define HG_ROW_ROWS(struct_type, member, row_fields, ...)                     \
    {                                                                         \
        .name = #member, .kind = HG_FIELD_ROWS, .type = HG_TYPE_ROWS,         \
        .offset = offsetof(struct_type, member), .fields = row_fields,        \
        .n_fields = sizeof(row_fields) / sizeof(row_fields[0]),               \
        .row_size = sizeof(*HG_MEMBER(struct_type, member).row), __VA_ARGS__  \
    }
#define HG_ROW_OPTION(struct_type, member, ...)                               \
    HG_FIELD_(struct_type, HG_FIELD_OPTION, member, __VA_ARGS__)

#define HG_FIELDS(...)                                                        \
    (const struct hg_field[]){__VA_ARGS__},                                   \
        .n_fields = sizeof((const struct hg_field[]){__VA_ARGS__}) /          \
                    sizeof(struct hg_field)

/* ---- Handlers --------------------------------------------------------- */

/* A named value beyond the fields.  read writes text (for structured values
 * JSON, one object a line) to 'out'; 'argument' is what follows "=" in
 * "--read nat.flows=ARGUMENT", "" if nothing does.  write applies 'value'.
 * Both return false and say why if they cannot. */
struct hg_handler {
    const char *name; /* As in graph files: lower case, hyphens. */
    const char *doc;
    bool (*read)(void *self, const char *argument, FILE *out,
                 struct hg_error *);
    bool (*write)(void *self, const char *value, struct hg_error *);
};

#define HG_HANDLERS(...)                                                      \
    (const struct hg_handler[]){__VA_ARGS__},                                 \
        .n_handlers = sizeof((const struct hg_handler[]){__VA_ARGS__}) /      \
                      sizeof(struct hg_handler)

/* ---- Classes ---------------------------------------------------------- */

enum {
    HG_CLASS_RESIZES = 1 << 0, /* Changes len of packets it passes on. */
    HG_CLASS_DEVICE = 1 << 1,  /* Is bound to a device (Interface). */
    HG_CLASS_PASSIVE = 1 << 2, /* Has no ports; others refer to it. */

    /* About several workers (docs/writing-elements.md).  Without PARALLEL and
     * without an owner, all packets of an element go through one instance, in
     * the order in which they came. */
    HG_CLASS_PARALLEL = 1 << 3,   /* Packets may go through any instance. */
    HG_CLASS_KEEPS_FLOW = 1 << 4, /* What passes keeps its addresses, ports
                                   * and fragments as they are. */
    HG_CLASS_ANY_WORKER = HG_CLASS_PARALLEL | HG_CLASS_KEEPS_FLOW,
    HG_CLASS_UNANSWERED = 1 << 5, /* Nobody answers what it sends (ICMP
                                   * errors, RFC 1122 3.2.2). */
    HG_CLASS_STRAIGHT = 1 << 6,   /* What comes in at a port leaves by the
                                   * output of the same name, or by one that no
                                   * input has the name of. */
    HG_CLASS_KEEPS_OWNER = 1 << 7 /* What leaves has the hg_flow_owner() of
                                   * what came, whatever has changed of it
                                   * (owner.h). */
};

struct hg_class {
    uint32_t magic;      /* HG_MAGIC */
    uint32_t abi;        /* HG_ABI */
    uint32_t class_size; /* sizeof(struct hg_class) */
    uint32_t flags;      /* HG_CLASS_* */
    const char *name;
    const char *summary; /* Half a sentence for the list. */
    const char *doc;     /* Paragraphs for the manual; may be NULL. */
    const char *example; /* Lines of a graph file; may be NULL. */

    /* Of a class made after something real: what of that it reproduces, what
     * it leaves out, and where it lets the user choose, since documents are
     * silent or differ.  Sentences; NULL for other classes. */
    const char *reproduces;
    const char *leaves_out;
    const char *lets_choose;

    /* Port names separated by spaces.  "name?" may stay unwired (what leaves
     * there is dropped and counted); "*" at the end: the element declares
     * further ones while being configured.  NULL: none. */
    const char *inputs;
    const char *outputs;

    /* Words for what must hold of packets that come in and what holds of
     * those that leave ("ip": a checked IP header, see CheckIP), and what no
     * longer holds.  NULL: nothing. */
    const char *needs;
    const char *provides;
    const char *revokes;

    const struct hg_field *fields;
    size_t n_fields;
    const struct hg_handler *handlers;
    size_t n_handlers;
    size_t self_size; /* sizeof(struct ...), at most 2^31. */

    /* Handles a batch; made by HG_ELEMENT. */
    void (*batch)(struct hg_element *, struct hg_batch *);

    /* All optional; 'self' is the element's own struct, zeroed and filled
     * with its options.
     * configure: checks what options mean together, declares ports, promises
     *   delays; reports with hg_config_error() and returns false.
     * start: allocates state and sets timers; the clock is right by now.
     * settle: only where several workers run, after all instances have
     *   started and been written to, before threads begin: brings up to date
     *   what instances share (hg_kin).
     * stop: writes out what is left, while packets can no longer leave; what
     *   it still keeps it may hg_discard() or leave held, which the summary
     *   says, and which goes with the pool.
     * free: releases what configure and start allocated; always called, also
     *   when those failed or never ran.
     * credit: how many packets it would take at 'now_ns' (see Queue); sets
     *   *again_ns to when that will be more, if 0.
     * changed: a live option of this element, or of the one that its credit
     *   comes from, was written; called for that one first. */
    bool (*configure)(void *self);
    bool (*start)(void *self, struct hg_error *);
    void (*settle)(void *self);
    void (*stop)(void *self);
    void (*free)(void *self);
    uint64_t (*credit)(void *self, uint64_t now_ns, uint64_t *again_ns);
    void (*changed)(void *self);

    /* What the element offers to others that refer to it, by the name of an
     * interface ("inventory": inventory.h); NULL if it does not know it. */
    void *(*service)(void *self, const char *interface);

    /* A flow of the flow service (flow.h) ends, or this element's interest in
     * it; 'state' is the element's bytes, 'when_ns' the time of expiry. */
    void (*flow_expired)(void *self, void *state, uint64_t when_ns);

    /* Which of 'n' workers (n > 1) has the state that the packet needs when
     * it comes in at 'port'; a number below n, from the packet and the
     * configuration alone, the same in every instance, which need not have
     * been started.  Whatever comes back to a packet that left must have the
     * same owner.  Of state of flows: hg_flow_owner (owner.h). */
    unsigned (*owner)(void *self, struct hg_packet *, unsigned port,
                      unsigned n);

    /* Of a class that only watches, so that each worker's instance may keep an
     * account of its own and report it (hg_reports) to the one that speaks for
     * all.
     * report: where hg_reports(): all packets have passed, so what has not
     *   been reported is to be.
     * reported: elsewhere: what the instances of all workers reported, in
     *   order of the arrivals that they gave; before any timer of this element
     *   that is due behind them. */
    void (*report)(void *self);
    void (*reported)(void *self, const void *const *records, unsigned n);
};

/* The one symbol that a plugin exports. */
#define HG_PLUGIN_SYMBOL "hg_plugin"
#define HG_PLUGIN_EXPORT HG_API

#define HG_CLASS_(class_name, struct_type, batch_function, ...)               \
    HG_PLUGIN_EXPORT extern const struct hg_class hg_plugin;                  \
    const struct hg_class hg_plugin = {.magic = HG_MAGIC,                     \
                                       .abi = HG_ABI,                         \
                                       .class_size = sizeof(struct hg_class), \
                                       .name = #class_name,                   \
                                       .self_size = sizeof(struct_type),      \
                                       .batch = batch_function,               \
                                       __VA_ARGS__};

/* Declares the class of this file.  'packet_function' is
 *     static int f(struct_type *self, struct hg_packet *p);
 * and returns a verdict; the loop around it is made here. */
#define HG_ELEMENT(class_name, struct_type, packet_function, ...)             \
    typedef struct_type hg_self;                                              \
    static void hg_loop_(struct hg_element *element, struct hg_batch *batch)  \
    {                                                                         \
        struct_type *self = (struct_type *)hg_element_self(element);          \
        int16_t verdict[HG_BATCH_MAX];                                        \
        unsigned i;                                                           \
                                                                              \
        for (i = 0; i < batch->n; i++)                                        \
            verdict[i] = (int16_t)packet_function(self, batch->p[i]);         \
        hg_route(self, batch, verdict);                                       \
    }                                                                         \
    HG_CLASS_(class_name, struct_type, hg_loop_, __VA_ARGS__)

/* The same for an element that sees whole batches:
 *     static void f(struct_type *self, struct hg_batch *batch);
 * It ends by calling hg_pass() or hg_route() on the batch, once.  Packets'
 * input ports are in p->in_port. */
#define HG_BATCH_ELEMENT(class_name, struct_type, batch_function, ...)        \
    typedef struct_type hg_self;                                              \
    static void hg_loop_(struct hg_element *element, struct hg_batch *batch)  \
    {                                                                         \
        batch_function((struct_type *)hg_element_self(element), batch);       \
    }                                                                         \
    HG_CLASS_(class_name, struct_type, hg_loop_, __VA_ARGS__)

/* The same for one without ports (HG_CLASS_PASSIVE is set for it). */
#define HG_PASSIVE_ELEMENT(class_name, struct_type, ...)                      \
    typedef struct_type hg_self;                                              \
    HG_CLASS_(class_name, struct_type, NULL, .flags = HG_CLASS_PASSIVE,       \
              __VA_ARGS__)

/* ---- What an element can do ------------------------------------------- */
/* 'self' is always the element's own struct. */

/* The element's own struct; the framework's instance is right before it. */
#define HG_ELEMENT_SIZE 512
static inline void *
hg_element_self(struct hg_element *element)
{
    return (uint8_t *)element + HG_ELEMENT_SIZE;
}

static inline struct hg_element *
hg_element_of(void *self)
{
    return (struct hg_element *)((uint8_t *)self - HG_ELEMENT_SIZE);
}

/* The element's name in the graph. */
HG_API const char *hg_name(const void *self);

/* Hands the whole batch to output 'port'; the batch is gone afterwards. */
HG_API void hg_pass(void *self, unsigned port, struct hg_batch *batch);

/* Hands each packet of the batch where its verdict says (an output port,
 * HG_DROPPED, HG_KEPT); the batch is gone afterwards.  It stays whole where
 * all have the same. */
HG_API void hg_route(void *self, struct hg_batch *batch,
                     const int16_t *verdict);

/* Sends one packet that the element owns (made, copied or kept) out of
 * 'port'.  During a packet function it is ahead of the packet being looked
 * at. */
HG_API void hg_emit(void *self, unsigned port, struct hg_packet *p);

/* In a class with 'reported': whether another instance speaks for all workers,
 * so that this one has to report to it. */
HG_API bool hg_reports(const void *self);

/* When and where a packet entered the graph: a place in the order in which a
 * single worker would see all packets. */
struct hg_arrival {
    uint64_t time_ns;
    uint64_t seq;
    uint8_t origin; /* Number of the device. */
};

static inline struct hg_arrival
hg_arrival_of(const struct hg_packet *p)
{
    return (struct hg_arrival){p->time_ns, p->seq, p->origin};
}

/* Hands it a record of 'size' bytes, which are copied, about packets from 'at'
 * on: from a packet function, a timer or class.report, in order of arrival and
 * not of what is yet to come.  What the bytes point to must be the same in
 * every instance (an ENI is). */
HG_API void hg_report(void *self, const struct hg_arrival *at,
                      const void *record, size_t size);

/* In configure: as it is configured, this element needs all packets in one
 * instance, whatever its class says. */
HG_API void hg_one_worker(void *self);

/* How many workers share the work of this element, and for which of them, from
 * 0, this instance is; a limit of all of them is divided by their number. */
HG_API unsigned hg_n_workers(const void *self);
HG_API unsigned hg_worker(const void *self);

/* In configure: this element's own struct in the first instance of the graph,
 * which is configured by then and freed last, so that tables are built there
 * once and borrowed by all others; NULL in the first instance, and where there
 * is but one.
 * What is lent changes only while no thread but one is in any instance: in
 * configure, start, settle and write handlers.  A write reaches the first
 * instance before the others, also if the element is not at work there (then
 * it was not started either): the first changes its tables, those that borrow
 * follow.  While packets go through, lent tables are only read. */
HG_API void *hg_kin(void *self);

/* How many elements of its class the graph has, and which of them, from 0,
 * this one is. */
HG_API unsigned hg_n_of_class(const void *self);
HG_API unsigned hg_which_of_class(const void *self);

/* For class.owner: a number below 'n' that is the same for equal keys
 * (multiplied and folded as in splitmix64). */
static inline unsigned
hg_owner_of(uint64_t key, unsigned n)
{
    key ^= key >> 32;
    key *= UINT64_C(0xbf58476d1ce4e5b9);
    key ^= key >> 29;
    key *= UINT64_C(0x94d049bb133111eb);
    return (unsigned)((key >> 32) * n >> 32);
}

/* Ends one packet that the element owns, for a reason that it counts. */
HG_API void hg_discard(void *self, hg_counter *reason, struct hg_packet *p);

/* A new packet of 'len' uninitialised bytes, owned by the element, with
 * arrival order, time and identity of 'cause' (NULL: now, in order of its
 * own).  NULL without memory. */
HG_API struct hg_packet *hg_make(void *self, uint32_t len,
                                 const struct hg_packet *cause);

/* A copy of 'p', owned by the element; NULL without memory. */
HG_API struct hg_packet *hg_clone(void *self, const struct hg_packet *p);

/* Timers: call hg_timer_init once in start.  hg_timer_set from a packet
 * function never before p->time_ns + the promised delay. */
HG_API void hg_timer_init(void *self, struct hg_timer *, hg_timer_fn *);
HG_API void hg_timer_set(void *self, struct hg_timer *, uint64_t deadline_ns);
HG_API void hg_timer_cancel(void *self, struct hg_timer *);

/* In configure, by a class that sets timers from packet functions: none of
 * them will be due sooner than 'ns' after the packet that sets it.  A batch
 * spans less time than that, so that results do not depend on batch sizes.
 * A promise of 1 means batches of packets of one timestamp only. */
HG_API void hg_promise_delay(void *self, uint64_t ns);

/* The packets' clock, Unix time in nanoseconds.  In a packet function this is
 * the time of the batch's end: use p->time_ns there. */
HG_API uint64_t hg_now(const void *self);

/* Whether the graph runs on live devices. */
HG_API bool hg_is_live(const void *self);

/* A number for keyed hashes and random choices: derived from the run's seed
 * and the element's name, so the same in every run offline. */
HG_API uint64_t hg_seed(const void *self);

/* The next of a sequence of random numbers of this element (splitmix64 from
 * hg_seed). */
HG_API uint64_t hg_random(void *self);

/* In configure: reports a mistake of 'option' (C name; NULL: the whole
 * element), with its position; value is the index in a list or of a row, or
 * -1.  Returns false. */
HG_API bool hg_config_error(void *self, const char *option, int value,
                            const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Whether the graph file or command line gave 'option' (C name). */
HG_API bool hg_option_given(const void *self, const char *option);

/* In configure: declares a further output or input (class.outputs with "*");
 * returns its number, or -1 after reporting that the name is taken. */
HG_API int hg_declare_output(void *self, const char *name, bool optional);
HG_API int hg_declare_input(void *self, const char *name);

/* In configure: declares outputs called 0, 1 and so on, none optional; false
 * as above. */
HG_API bool hg_declare_numbered_outputs(void *self, uint32_t n);

/* Whether something is connected to output 'port'. */
HG_API bool hg_is_wired(const void *self, unsigned port);

/* How many packets what follows output 'port' would take now (class.credit);
 * UINT64_MAX where it does not say. */
HG_API uint64_t hg_credit(void *self, unsigned port, uint64_t now_ns,
                          uint64_t *again_ns);

/* In configure: reserves 'size' bytes (aligned to it, at most 8, up to
 * HG_PACKET_META together) in every packet of this graph under 'name';
 * elements that give the same name share them.  Returns the offset into
 * p->meta, or -1 after reporting that there is no room. */
HG_API int hg_metadata(void *self, const char *name, size_t size);

/* Sends a batch to the bound device and accounts for it: what could not be
 * sent is counted in 'failed'.  The batch is gone afterwards. */
HG_API void hg_transmit(void *self, struct hg_batch *batch,
                        hg_counter *failed);

/* The own struct of an element that an option refers to, if it is of class
 * 'class_name'; else NULL. */
HG_API void *hg_reference(struct hg_element *element, const char *class_name);

/* The interface that 'element' offers, or, where 'element' is NULL, the only
 * element of this graph that offers it; NULL if there is none or more than
 * one. */
HG_API void *hg_service(void *self, struct hg_element *element,
                        const char *interface);

/* One warning on the program's standard error, with the element's name. */
HG_API void hg_warn(const void *self, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#ifdef __cplusplus
}
#endif
#endif
