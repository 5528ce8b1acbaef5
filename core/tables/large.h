/* large.h: memory for large tables, on huge pages from 2 MiB on, so that
 * lookups find their addresses translated; and arrays that grow in place.
 *
 * Memory running out ends the program.  Thread-safety: as for malloc(). */
#ifndef LARGE_H
#define LARGE_H 1

#include <stddef.h>

/* Zeroed memory, aligned to cache lines; large_free() must be told the same
 * size (NULL: does nothing). */
void *large_alloc(size_t size);
void large_free(void *, size_t size);

/* Memory that grows: from 32 KiB on in huge pages, within addresses reserved
 * for it, so that growing neither copies nor moves it (but every gigabyte or
 * so). */
struct stretch {
    void *at;
    size_t size; /* Bytes in use. */
    size_t reserved;
};

/* Makes it at least 'size' bytes long; what is new is zero. */
void stretch_grow(struct stretch *, size_t size);

/* Gives back most of the memory of the bytes 'from' up to 'to', whose content
 * nobody needs any more. */
void stretch_drop(struct stretch *, size_t from, size_t to);
void stretch_uninit(struct stretch *);

#endif
