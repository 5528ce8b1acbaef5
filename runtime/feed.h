/* feed.h: packets for the loop of an instance that does only a part of a graph
 * (workers.h), as a device: each with the element and input that it is for.
 *
 * What is asked of a packet while it waits stands in its entry, since the
 * packet itself is in another core's cache; it is fetched ahead of its turn.
 * A batch ends where numbers (seq) go down, as behind what a timer released:
 * within a batch they are the order of arrival.
 *
 * Thread-safety: a feed belongs to the thread that runs the loop. */
#ifndef RUNTIME_FEED_H
#define RUNTIME_FEED_H 1

#include <headgate/graph.h>

struct feed_entry {
    struct hg_packet *packet;
    uint64_t time_ns; /* As the packet's, with those below. */
    uint64_t seq;
    uint16_t element; /* As hg_graph_element() numbers them. */
    uint16_t port;
    uint8_t origin;
};

struct feed {
    struct hg_device dev;
    struct feed_entry *v;
    size_t n;
    size_t size;
    size_t head;    /* The next to be received. */
    size_t entered; /* The next to be entered, received before. */
};

void feed_init(struct feed *);
void feed_uninit(struct feed *); /* Packets still there are freed. */

/* The entry of a packet that is for input p->in_port of an element. */
struct feed_entry feed_entry(struct hg_packet *p, size_t element);

/* Which packet entered the graph first, or what caused it: -1, 0 or 1. */
int feed_compare(const struct feed_entry *, const struct feed_entry *);

/* Gives the place of what has passed back; returns how many entries remain. */
size_t feed_reset(struct feed *);

/* Adds a packet that arrives behind those that are there. */
void feed_put(struct feed *, struct feed_entry);

/* Puts what was added since there were 'from' into order, which it is if it is
 * for one element.  Of equal ones goes first what is for the element further
 * back ('order', by element): with one worker it would have had the shorter
 * way. */
void feed_sort(struct feed *, size_t from, const uint32_t *order);

/* Whether the next packet has a number below that of the last one received. */
bool feed_goes_down(const struct feed *);

/* Puts the next 'n' packets that were received where they are for, with the
 * seq of their entries. */
void feed_enter(struct feed *, struct hg_graph *, unsigned n);

#endif
