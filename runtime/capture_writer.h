/* capture_writer.h: writing a pcap file of Ethernet frames.
 *
 * Thread-safety: one writer, one thread. */
#ifndef RUNTIME_CAPTURE_WRITER_H
#define RUNTIME_CAPTURE_WRITER_H 1

#include <headgate/packet.h>

#include "stream.h"

struct capture_writer;

/* Creates 'path' ("-": standard output), compressed by its suffix (.gz,
 * .zst), with timestamps in nano- or microseconds.  It must not be what
 * 'source' (may be NULL) reads.  NULL, and why, if it cannot. */
struct capture_writer *capture_writer_open(const char *path, bool ns,
                                           const struct input_stream *source,
                                           struct hg_error *);

/* Appends 'n' packets; returns how many of them were stored, and why not all.
 */
unsigned capture_writer_put(struct capture_writer *,
                            struct hg_packet *const *packets, unsigned n,
                            struct hg_error *);

/* Lets a reader behind a pipe see what has been written; files are left to
 * gather larger pieces. */
bool capture_writer_flush(struct capture_writer *, struct hg_error *);

/* Finishes the file; false, and why, if it is not complete.  Without 'error'
 * it is given up, as output_close() does. */
bool capture_writer_close(struct capture_writer *, struct hg_error *);

#endif
