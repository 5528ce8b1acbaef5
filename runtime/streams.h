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
    struct frames {
        uint8_t *v;
        size_t n; /* Bytes, with those below. */
        size_t size;
        size_t at;
    } frames; /* Of entries without a packet, in their order. */
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

/* The same with a copy of what a device needs of the packet, which stays the
 * caller's: read by another thread, one after the other, copies cost less
 * than packets, which lie about in the other's cache. */
void streams_copy(struct streams *, size_t element, struct hg_packet *p);

/* How packets arrive where all come together: copies become packets of 'pool',
 * and all get numbers of their own, those with equal keys the same. */
struct arrivals {
    struct hg_pool *pool;
    uint64_t seq;           /* Of the last one, ... */
    struct feed_entry last; /* ... with its key. */
};

/* Moves packets, in order, from 'n' instances into a feed of the zone that
 * comes next, up to 'max'; true if there are more.  Without 'arrivals' they
 * keep their numbers, and none are copies. */
bool streams_merge(struct streams *const *, size_t n, const struct hg_spread *,
                   struct arrivals *, size_t max, struct feed *);

#endif
