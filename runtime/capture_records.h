/* capture_records.h: the records of a classic pcap file, read in large pieces
 * and handed out without copying.  libpcap, which costs two or three times as
 * much a packet, reads every other format, and pipes, whose packets must not
 * wait until a piece is full.
 *
 * Format: draft-ietf-opsawg-pcap.  Thread-safety: one reader, one thread. */
#ifndef RUNTIME_CAPTURE_RECORDS_H
#define RUNTIME_CAPTURE_RECORDS_H 1

#include <headgate/packet.h>

#include "stream.h"

struct record_reader;

/* The length on the wire of a frame of which 'len' bytes are there and that
 * is said to have had 'said': no less than there are, and far from 2^32, so
 * that headers may be put in front of it whatever the file says. */
static inline uint32_t
capture_wire_len(uint32_t said, uint32_t len)
{
    if (said < len)
        return len;
    return said < INT32_MAX ? said : INT32_MAX;
}

/* What the file's header says. */
struct record_format {
    bool swapped;     /* The byte order is not this machine's. */
    uint32_t snaplen; /* No more of a frame is handed out. */
    uint32_t unit_ns; /* What the fraction of a second counts. */
};

/* Reads the records that follow in the stream, which stays the caller's.
 * NULL without memory. */
struct record_reader *record_reader_create(struct input_stream *,
                                           const struct record_format *);
void record_reader_destroy(struct record_reader *);

/* Whether the file ended within a record. */
bool record_reader_is_cut(const struct record_reader *);

/* Bytes of records read so far, that of a record that is cut included. */
uint64_t record_reader_done(const struct record_reader *);

/* The frames of the next records, which are good until the next call: up to
 * 'max' > 0, as many as need no reading behind the
 * first one; 0 at the end, or -1, and why, if the file is cut or damaged from
 * here on. */
int record_reader_next(struct record_reader *, struct hg_frame *, unsigned max,
                       struct hg_error *);

#endif
