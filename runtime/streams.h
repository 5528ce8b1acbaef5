/* streams.h: what leaves an instance of a graph for elements that work in a
 * later one, and how it comes together again (workers.h).
 *
 * What comes to one element from one instance is a stream, in order of
 * arrival; the key is when and where a packet, or what caused it, entered the
 * graph: time, device, number.  Merging streams by their keys gives the order
 * in which a single worker would have brought all of it there.
 *
 * Thread-safety: whoever has the streams. */
#ifndef RUNTIME_STREAMS_H
#define RUNTIME_STREAMS_H 1

#include <headgate/spread.h>

#include "feed.h"

struct stream {
    struct feed_entry *v;
    size_t n;
    size_t size;
    size_t at; /* While merging: the next. */
};

/* The streams of one instance, by element. */
struct streams {
    struct stream *v;
    size_t n;
};

void streams_init(struct streams *, size_t n_elements);
void streams_uninit(struct streams *);

/* Adds a packet for input p->in_port of element 'element'. */
void streams_put(struct streams *, size_t element, struct hg_packet *p);

/* Moves everything, in order, from 'n' instances into a feed of the zone that
 * comes next.  Numbers the packets anew from '*seq' on, those with equal keys
 * alike; with NULL they keep their numbers. */
void streams_merge(struct streams *const *, size_t n, const struct hg_spread *,
                   uint64_t *seq, struct feed *);

#endif
