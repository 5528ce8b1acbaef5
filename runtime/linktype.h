/* linktype.h: frames of other link layers become Ethernet at the door.
 *
 * Thread-safety: pure. */
#ifndef RUNTIME_LINKTYPE_H
#define RUNTIME_LINKTYPE_H 1

#include <headgate/headers.h>

struct linktype {
    int dlt;         /* DLT_* of libpcap. */
    uint32_t number; /* LINKTYPE_* in files. */
    uint32_t skip;   /* Bytes of its own header that Ethernet replaces. */

    /* Fills the Ethernet header that stands for the first 'skip' bytes of
     * 'data' (len > 0); false if there is none that fits.  NULL: the frame
     * is Ethernet already. */
    bool (*convert)(const uint8_t *data, uint32_t len, struct hg_eth *);
};

/* How to read frames of a link type; NULL, and a sentence about 'name' (a
 * file, quoted), if it is not supported. */
const struct linktype *linktype_find(int dlt, const char *name,
                                     struct hg_error *);

/* The same by its number in files; NULL if it is not supported. */
const struct linktype *linktype_of_file(uint32_t number);

#endif
