/* bench.h: what the files of the program 'bench' share.
 *
 *     bench.c          the command line; runs each row in a process of its own
 *     bench_rows.c     the table of everything that is measured
 *     bench_measure.c  how a row is measured
 *     bench_lane.c     a graph between memory and nothing
 *     bench_traffic.c  whose packets: frames of flow number i
 *     bench_flood.c    packets to a network interface, for peers
 *     bench_tables.c   files with many routes, rules and ENIs
 *     pace.c           how fast the machine is just now
 *
 * A new element is a row in bench_rows.c. */
#ifndef BENCH_H
#define BENCH_H 1

#include <headgate/graph.h>

enum {
    FRAME_LEN = 60, /* 64 bytes on the wire, without the FCS. */
    SLOT = 64
};

/* ---- bench.c ---------------------------------------------------------- */

extern bool quick;
extern bool tiny;              /* Hardly anything: figures mean nothing. */
extern unsigned rounds_wanted; /* 0: as many as a figure takes. */
extern struct hg_plugins *plugins;

/* Says why on standard error and ends with status 1. */
void fail(const char *format, ...)
    __attribute__((noreturn, format(printf, 1, 2)));

void *must_alloc(size_t size);

/* ---- Tables (bench_tables.c) ------------------------------------------ */

/* Bits: the files that a row's graph reads.  Each is named in an environment
 * variable of the same name, for ${ROUTES} in the graph. */
enum {
    ROUTES = 1 << 0,   /* An Internet table: destination, target 'up'. */
    RULES_10 = 1 << 1, /* Outbound rules of a NACL, from ClassBench. */
    RULES_32 = 1 << 2,
    RULES_100 = 1 << 3,
    RULES_1K = 1 << 4,
    RULES_10K = 1 << 5,
    ENIS = 1 << 6,    /* A million ENIs all over the address space. */
    SENDERS = 1 << 7, /* A thousand ENIs of 10.0.0.0/8, */
    SUBNETS = 1 << 8, /* ... and of eight subnets in there. */
    N_TABLES = 9
};

enum { N_SENDERS = 1000, SUBNET_SENDERS = 128, N_ENIS = 1000000 };

/* Makes those files that are not there yet, and sets the variables. */
void tables_make(unsigned which);

/* Puts them into this folder, where they stay; else they are in one in /tmp
 * and gone when the program ends. */
void tables_keep(const char *folder);

size_t table_n_routes(void);

/* An IPv4 address within route 'i'; the first 'i' are as good as any. */
uint32_t table_route_address(uint32_t i);

/* Address of ENI 'i' of N_ENIS; its host is in 192.0.2.0/24. */
uint32_t table_eni_address(uint32_t i);
uint32_t table_sender_address(uint32_t i);

struct table_rule {
    uint32_t cidr;
    uint8_t len;
    uint8_t protocol; /* 0: any. */
    uint16_t low, high;
};

/* Rule 'i' of RULES_10K, of which the shorter files are the beginning. */
const struct table_rule *table_rule(uint32_t i);

/* ---- Traffic (bench_traffic.c) ---------------------------------------- */

/* What tells one flow from another, host order. */
struct flow_id {
    uint32_t src, dst;
    uint16_t sport, dport;
    uint8_t protocol;
    uint8_t ttl;
    uint32_t src_mac; /* Low four bytes of 02:00:xx:xx:xx:xx. */
};

/* Writes flow 'i' into '*id', which has usual values; 'size' is the row's
 * number of entries. */
typedef void traffic_fn(struct flow_id *id, uint32_t i, uint32_t size);

traffic_fn traffic_plain, traffic_routes, traffic_rules, traffic_clients,
    traffic_senders, traffic_peers, traffic_mappings, traffic_rules_senders;

struct frames {
    size_t n;
    size_t capacity;
    uint8_t (*v)[SLOT];
};

void frames_init(struct frames *, size_t capacity);
void frames_uninit(struct frames *);

/* Makes the memory resident that there is room in. */
void frames_touch(struct frames *);
void frames_add(struct frames *, const struct hg_packet *);

/* Frames of the flows 'first' to 'first' + 'n' - 1 in place of what was. */
void frames_of_flows(struct frames *, traffic_fn *, uint32_t size,
                     uint32_t first, size_t n);

/* 'n' frames drawn uniformly from 'n_flows' flows. */
void frames_draw(struct frames *, traffic_fn *, uint32_t size,
                 uint32_t n_flows, size_t n);
/* The same from frames that are there. */
void frames_draw_from(struct frames *, const struct frames *, size_t n);

/* Turns UDP packets into what their receivers answer. */
void frames_answer(struct frames *);

/* Sends each flow's packet once, then 'n' drawn from all, and prints the CPU
 * nanoseconds that the latter took (bench_flood.c). */
void flood(const char *interface, size_t n, uint32_t n_flows);

/* ---- Lanes (bench_lane.c) --------------------------------------------- */

struct lane {
    struct hg_device device; /* First: the callbacks get a pointer to it. */
    struct hg_graph *graph;
    uint64_t now_ns;
    unsigned batch;
    struct frames *record; /* NULL, or takes what is sent. */
};

/* Loads a graph, every interface of which swallows what it is sent. */
void lane_load(struct lane *, const char *path);
void lane_init(struct lane *, const char *text);

/* Fails if the account does not balance, or if something was dropped and
 * 'drops' is false. */
void lane_uninit(struct lane *, bool drops);

/* Sends the frames in at interface 'name'; returns the CPU time it took. */
uint64_t lane_run(struct lane *, const char *name, const struct frames *);

/* Moves the clock and fires what is due; returns the CPU time it took. */
uint64_t lane_advance(struct lane *, uint64_t ns);

/* The sum of terms such as "acl.allowed+acl.denied" (counters and gauges) or
 * "rt[up]" (packets that left there). */
uint64_t lane_count(struct lane *, const char *terms);

/* Fails, and says where packets went, if that has not grown by 'n'. */
void lane_expect(struct lane *, const char *terms, uint64_t before,
                 uint64_t n);

uint64_t cpu_ns(void);

/* ---- Rows (bench_rows.c, bench_measure.c) ----------------------------- */

enum stage {
    STEADY, /* Packets of flows that have all been seen. */
    ANSWER, /* The same in the other direction. */
    NEW,    /* The first packet of each flow. */
    WINDOW, /* What moving the clock by 'advance_s' costs, for each flow. */
    START,  /* Loading the graph and starting it. */
    BATCHES /* STEADY at several sizes of batches. */
};

/* A figure is the cost of the graph
 *     in -> BASE WAY out   (and  out -> BASE BACK in)
 * less that of
 *     in -> BASE out       (and  out -> BASE in)
 * for each packet, and for each of 'times' if WAY repeats an element.  The
 * first word of the name is the class, which a test looks for. */
struct row {
    const char *group;
    const char *name;
    enum stage stage;
    const char *declarations;
    const char *common; /* Declarations that BASE needs too. */
    const char *base;
    const char *way;
    const char *back; /* NULL: nothing comes in at 'out'. */
    const char *more; /* Further connections of the graph with WAY. */

    const char *graph; /* Instead of all these: a file below graphs/, */
    const char *in;    /* and the interface that packets come in at. */
    bool whole;        /* Nothing is subtracted. */

    const char *sees;  /* Grows by one a packet (lane_count); a row without
                        * is checked by drops alone. */
    const char *holds; /* Gauges, with spaces between, each of which is the
                        * number of flows when all have been seen. */
    bool drops;        /* It is the element's trade. */

    traffic_fn *traffic; /* NULL: traffic_plain. */
    uint32_t flows;
    uint32_t flows_quick; /* 0: as many; UINT32_MAX: not with --quick. */
    uint32_t packets;     /* Of a round; 0: as usual. */
    unsigned tables;
    uint32_t size; /* Entries of the table; 0: none. */
    unsigned times;
    unsigned advance_s;
    double target;       /* Nanoseconds (START: seconds); 0: none. */
    double bytes_target; /* Bytes a flow or entry. */
    bool bytes;          /* Report them. */
};

extern const struct row bench_rows[];
extern const size_t n_bench_rows;

/* Elements that cost nothing, for rows: Pass, Look. */
void bench_add_classes(struct hg_plugins *);

void measure_row(const struct row *);

/* Writes the graph of the row, with its element or without; fails if it is
 * longer than 'size'. */
void row_text(const struct row *, bool with, char *text, size_t size);

/* Prints one figure as README.md describes it. */
struct figure {
    const char *group, *name, *unit;
    double median, least;
    size_t n, flows, size;
    double target;
    double pace; /* pace.h; 0: none. */
};
void figure_print(const struct figure *);

#endif
