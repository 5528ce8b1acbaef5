/* area.h: memory that grows in place within addresses reserved for it, whose
 * next pages a thread touches ahead of their use.
 *
 * Thread-safety: an area belongs to one worker. */
#ifndef AREA_H
#define AREA_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct area {
    uint8_t *at;
    size_t reserved;
    size_t usable;
    size_t calm;              /* Below, growing is nothing to do. */
    size_t touched;           /* By 'ahead', or about to be. */
    struct area_ahead *ahead; /* NULL: none yet. */
};

/* Addresses for 'size' bytes; no memory yet. */
bool area_reserve(struct area *, size_t size);
void area_release(struct area *);

/* Makes the first 'size' bytes usable; new ones are zero.  False if that is
 * more than was reserved. */
bool area_grow(struct area *, size_t size);

/* What the first 'used' bytes take, and those touched ahead. */
size_t area_bytes(const struct area *, size_t used);

#endif
