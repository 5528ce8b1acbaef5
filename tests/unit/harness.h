/* harness.h: an element on the bench: packets go in as text, what comes out
 * is compared with text.
 *
 *     struct bench *b = bench_create("HyperplaneNAT", "public=198.51.100.1",
 *                                    "idle-timeout=350s");
 *
 *     bench_push(b, "inside", "udp 10.0.0.5:40000 > 203.0.113.9:53", 0);
 *     bench_expect(b, "outside", "udp 198.51.100.1:* > 203.0.113.9:53");
 *     bench_destroy(b);
 *
 * bench_destroy() fails the test if packets are left that nothing expected,
 * if the element's account does not balance, or if packets leaked.  A packet
 * that does not match is printed, and every output shows checksums that are
 * wrong as a word ("bad-checksum"), which no pattern but one that has the
 * word itself matches.
 *
 * Times are nanoseconds since BENCH_START.  Classes come from
 * $HEADGATE_PLUGIN_PATH.  The text of packets: core/format.c, notation.h. */
#ifndef HARNESS_H
#define HARNESS_H 1

#include <headgate/graph.h>

#include "test.h"

struct bench;

/* The clock when a bench starts (Unix time, ns). */
#define BENCH_START (UINT64_C(1700000000) * HG_SEC)

/* One element of 'class' called "dut", with an input and an output for each
 * of its ports.  Options are "name=value"; the values of a list are separated
 * by spaces.  Ends the test if the element cannot be made. */
#define bench_create(class, ...)                                              \
    bench_create_(TEST_HERE, class,                                           \
                  (const char *const[]){__VA_ARGS__ __VA_OPT__(, ) NULL})

/* A graph, for elements that need more than simple options.  In 'text' a
 *     TestSource name {}
 * is where bench_push() puts packets in, and a
 *     TestSink name {}
 * is where they end, e.g.
 *     "TestSource in {} TestSink out {} Counter dut {}"
 *     "connect(\"in -> dut -> out\")"
 * bench_counter() and the like look at the element called "dut". */
#define bench_load(text) bench_load_(TEST_HERE, text)

/* The diagnostics of 'text', which must be a mistake: compares the messages,
 * one a line, with 'expected' ("*" stands for any characters). */
#define bench_refuses(text, expected) bench_refuses_(TEST_HERE, text, expected)

/* Stops the graph and frees everything; does nothing with NULL. */
#define bench_destroy(b) bench_destroy_(TEST_HERE, b)

/* Moves the clock to 'time_ns' (never back), firing timers, and puts the
 * packet into input 'in'. */
#define bench_push(b, in, text, time_ns)                                      \
    bench_push_(TEST_HERE, b, in, text, time_ns)

/* The same with a packet of one's own, from bench_pool(); takes ownership. */
#define bench_push_packet(b, in, packet, time_ns)                             \
    bench_push_packet_(TEST_HERE, b, in, packet, time_ns)

/* The next packet that left on 'out' must match the pattern.  Besides what is
 * printed it may ask for smac, dmac, vpc and mark. */
#define bench_expect(b, out, pattern) bench_expect_(TEST_HERE, b, out, pattern)

/* No packet has left, on 'out' or (NULL) anywhere, that was not taken. */
#define bench_expect_none(b, out) bench_expect_none_(TEST_HERE, b, out)

/* The next packet that left on 'out', or NULL after failing; the bench owns
 * it until the next bench_take() or the end. */
#define bench_take(b, out) bench_take_(TEST_HERE, b, out)

/* How many packets left on 'out' and were not taken. */
#define bench_waiting(b, out) bench_waiting_(TEST_HERE, b, out)

/* Forgets packets that left and were not taken, on 'out' or (NULL) all. */
#define bench_forget(b, out) bench_forget_(TEST_HERE, b, out)

/* Moves the clock, firing timers. */
void bench_advance(struct bench *, uint64_t time_ns);

/* The value of a counter, gauge or numeric option, by its C name. */
#define bench_counter(b, field) bench_counter_(TEST_HERE, b, field)

/* What a read handler prints, without the last line's end; valid until the
 * next call. */
#define bench_read(b, handler, argument)                                      \
    bench_read_(TEST_HERE, b, handler, argument)

/* Writes a handler; it must be accepted. */
#define bench_write(b, handler, value)                                        \
    bench_write_(TEST_HERE, b, handler, value)

struct hg_graph *bench_graph(struct bench *);
struct hg_pool *bench_pool(struct bench *);

struct bench *bench_create_(struct test_place, const char *class_name,
                            const char *const *options);
struct bench *bench_load_(struct test_place, const char *text);
void bench_refuses_(struct test_place, const char *text, const char *expected);
void bench_destroy_(struct test_place, struct bench *);
void bench_push_(struct test_place, struct bench *, const char *in,
                 const char *text, uint64_t time_ns);
void bench_push_packet_(struct test_place, struct bench *, const char *in,
                        struct hg_packet *, uint64_t time_ns);
void bench_expect_(struct test_place, struct bench *, const char *out,
                   const char *pattern);
void bench_expect_none_(struct test_place, struct bench *, const char *out);
struct hg_packet *bench_take_(struct test_place, struct bench *,
                              const char *out);
unsigned bench_waiting_(struct test_place, struct bench *, const char *out);
void bench_forget_(struct test_place, struct bench *, const char *out);
uint64_t bench_counter_(struct test_place, struct bench *, const char *field);
const char *bench_read_(struct test_place, struct bench *, const char *handler,
                        const char *argument);
void bench_write_(struct test_place, struct bench *, const char *handler,
                  const char *value);

#endif
