/* stream.h: byte streams of capture files, compressed or not.
 *
 * Reading tells gzip and zstd by their first bytes, whatever the file is
 * called; writing goes by the suffix.  "-" is standard input or output.
 * Memory stays flat however long the stream is.  Packing and unpacking of
 * files is done on threads of their own.
 *
 * Thread-safety: one stream, one thread of the user's. */
#ifndef RUNTIME_STREAM_H
#define RUNTIME_STREAM_H 1

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <headgate/types.h>

struct input_stream;

/* Opens 'path' and returns the stream of what is in it, decompressed, without
 * a buffer of its own; NULL, and why, if it cannot.  '*in' belongs to the
 * stream and is gone after fclose(). */
FILE *input_open(const char *path, struct input_stream **in,
                 struct hg_error *);

/* Gives the stream a large buffer, for whoever reads it in small pieces. */
void input_buffer(FILE *, struct input_stream *);

/* Reads on past the stream, as long as that has no buffer: some of 'size'
 * bytes, 0 at the end, -1 if it fails (input_error() says why). */
ssize_t input_read(struct input_stream *, void *out, size_t size);

/* Bytes of the file (0: unknown) and how many of them have been read. */
uint64_t input_size(const struct input_stream *);
uint64_t input_done(const struct input_stream *);

/* Whether it is a file that is not compressed: others may read it as well. */
bool input_is_plain(const struct input_stream *);

/* Gives what has been read, at most INPUT_HEAD bytes, once more. */
#define INPUT_HEAD 24 /* The header of a pcap file. */
void input_again(struct input_stream *);

/* The first INPUT_HEAD bytes of what has been read, decompressed. */
const uint8_t *input_head(const struct input_stream *);

/* Why the last read failed; "" if it did not. */
const char *input_error(const struct input_stream *);

/* Whether 'info' is the same file. */
bool input_is(const struct input_stream *, const struct stat *info);

/* "'in.pcap'" or "standard input" for messages. */
const char *input_name(const struct input_stream *);

#define OUTPUT_BUFFER ((size_t)256 << 10)

struct output_stream {
    size_t n; /* Bytes in the buffer. */
    uint8_t *buffer;
    bool failed;           /* Nothing is stored any more. */
    struct hg_error error; /* Why, then. */
    struct output_codec *codec;
};

/* Opens 'path' for writing from its beginning; what it has stays until the
 * first bytes are stored.  Refuses the file that 'source' (may be NULL) reads.
 * NULL, and why, if it cannot. */
struct output_stream *output_open(const char *path,
                                  const struct input_stream *source,
                                  struct hg_error *);

/* Whether somebody may be waiting at the other end (a pipe). */
bool output_is_pipe(const struct output_stream *);

/* Appends 'n' bytes, of any number; false if the stream has failed. */
bool output_append(struct output_stream *, const void *data, size_t n);

/* Passes on what the buffer holds. */
bool output_flush(struct output_stream *);

/* Finishes the file and frees the stream; false, and why, if not everything
 * could be stored.  Without 'error' the stream is given up: what is not stored
 * yet never is. */
bool output_close(struct output_stream *, struct hg_error *);

/* The same as output_append() for what fits: room for 'n' bytes behind what
 * is in the buffer, or NULL. */
static inline uint8_t *
output_room(struct output_stream *o, size_t n)
{
    uint8_t *at = o->buffer + o->n;

    if (n > OUTPUT_BUFFER - o->n)
        return NULL;
    o->n += n;
    return at;
}

#endif
