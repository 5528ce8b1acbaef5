/* capture_reader.h: the frames of a capture file, one after the other, as
 * Ethernet.
 *
 * Thread-safety: one reader, one thread. */
#ifndef RUNTIME_CAPTURE_READER_H
#define RUNTIME_CAPTURE_READER_H 1

#include "capture_records.h"

struct capture_reader;

enum capture_result {
    CAPTURE_FRAMES,
    CAPTURE_UNUSABLE, /* A frame that cannot be made Ethernet. */
    CAPTURE_END,
    CAPTURE_BROKEN /* The file is cut or damaged from here on. */
};

/* Opens a pcap or pcapng file, compressed or not; "-" is standard input.
 * NULL, and why, if it is none or its link type is not supported. */
struct capture_reader *capture_reader_open(const char *path,
                                           struct hg_error *);
void capture_reader_close(struct capture_reader *);

/* The next frames, wire_len >= len: one, or as many as are at hand up to
 * 'max' > 0; sets '*n'.  On CAPTURE_BROKEN 'error' says where and why. */
enum capture_result capture_reader_next(struct capture_reader *,
                                        struct hg_frame *, unsigned max,
                                        unsigned *n, struct hg_error *error);

/* The file below it. */
const struct input_stream *capture_reader_input(const struct capture_reader *);

/* Whether its timestamps are finer than microseconds. */
bool capture_reader_is_ns(const struct capture_reader *);

#endif
