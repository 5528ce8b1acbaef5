/* capture_records.h: the records of a classic pcap file, read in large pieces
 * and handed out without copying.  libpcap, which costs two or three times as
 * much a packet, reads every other format, and pipes, whose packets must not
 * wait until a piece is full.
 *
 * Format: draft-ietf-opsawg-pcap.  Thread-safety: one reader, one thread. */
#ifndef RUNTIME_CAPTURE_RECORDS_H
#define RUNTIME_CAPTURE_RECORDS_H 1

#include "stream.h"

struct record_reader;

struct record {
    const uint8_t *data; /* Good until the next read. */
    uint32_t len;
    uint32_t wire_len;
    uint32_t seconds;
    uint32_t fraction; /* As the file counts it. */
};

/* Reads the records that follow in the stream, which stays the caller's.
 * 'swapped': the file's byte order is not this machine's; 'snaplen': no more
 * of a frame is handed out.  NULL without memory. */
struct record_reader *record_reader_create(struct input_stream *, bool swapped,
                                           uint32_t snaplen);
void record_reader_destroy(struct record_reader *);

/* Whether the file ended within a record. */
bool record_reader_is_cut(const struct record_reader *);

/* Bytes of records read so far, that of a record that is cut included. */
uint64_t record_reader_done(const struct record_reader *);

/* The next record: 1, 0 at the end, or -1, and why, if the file is cut or
 * damaged from here on. */
int record_reader_next(struct record_reader *, struct record *,
                       struct hg_error *);

#endif
