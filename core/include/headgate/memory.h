/* headgate/memory.h: memory that costs few page faults.  In a virtual machine
 * one takes as long as dozens of packets.
 *
 * Thread-safety: as for malloc(). */
#ifndef HEADGATE_MEMORY_H
#define HEADGATE_MEMORY_H 1

#include <headgate/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Address space for 'size' bytes, which are zero and get memory when they are
 * used, so that what lies there grows without moving.  The first 'n_small'
 * bytes, a multiple of 4096, are small pages, for what may stay small; the
 * rest are huge ones (2 MiB, aligned) if the kernel has some, of which one
 * costs as much as a dozen small ones.  NULL without address space. */
HG_API void *hg_memory_reserve(uint64_t size, uint64_t n_small);

/* Gives it back; both sizes are those of hg_memory_reserve().  NULL: nothing
 * to do. */
HG_API void hg_memory_release(void *, uint64_t size, uint64_t n_small);

/* Brings in the pages of 'size' bytes that will be used for sure: at once they
 * cost a tenth of what they do one by one.  Changes nothing in them. */
HG_API void hg_memory_populate(void *, size_t size);

#ifdef __cplusplus
}
#endif
#endif
