/* buffer_queue.h: a few buffers between two threads, one that fills them and
 * one that empties them: how compressed captures are packed and unpacked
 * beside the work on their packets.
 *
 *     filling:   while ((b = buffer_queue_empty(q))) {
 *                    b->n = ...;
 *                    buffer_queue_fill(q);
 *                }
 *                buffer_queue_finish(q);
 *     emptying:  while ((b = buffer_queue_full(q))) {
 *                    ...
 *                    buffer_queue_release(q);
 *                }
 *
 * Each side holds one buffer at a time; they are emptied in the order in which
 * they were filled.
 *
 * Thread-safety: one thread fills, one empties. */
#ifndef RUNTIME_BUFFER_QUEUE_H
#define RUNTIME_BUFFER_QUEUE_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buffer {
    size_t n; /* Bytes in 'data'. */
    uint8_t *data;
};

struct buffer_queue;

/* Buffers of 'size' bytes; NULL without memory. */
struct buffer_queue *buffer_queue_create(size_t size);

/* Starts the thread of one of the two sides, with all signals blocked, so
 * that they reach the others; false if there is none to be had. */
bool buffer_queue_start(struct buffer_queue *, void *(*work)(void *aux),
                        void *aux);

/* Waits for the end of the thread, which whoever calls has seen to (finish or
 * abandon), and frees everything; NULL is fine. */
void buffer_queue_destroy(struct buffer_queue *);

/* Waits for an empty buffer; NULL once the other side has abandoned. */
struct buffer *buffer_queue_empty(struct buffer_queue *);
void buffer_queue_fill(struct buffer_queue *); /* It is full now. */

/* No more will be filled. */
void buffer_queue_finish(struct buffer_queue *);

/* Waits for the oldest full buffer; NULL when no more will come. */
struct buffer *buffer_queue_full(struct buffer_queue *);
void buffer_queue_release(struct buffer_queue *); /* It is empty now. */

/* No more will be emptied. */
void buffer_queue_abandon(struct buffer_queue *);

#endif
