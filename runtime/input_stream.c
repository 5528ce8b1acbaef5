/* input_stream.c: reading a file through gzip or zstd (see stream.h).
 *
 * A stdio stream over fopencookie(), so that libpcap, which reads from a
 * FILE, need not know about compression.  What is compressed is unpacked on a
 * thread of its own, if it is a file: a pipe may have nothing to say for
 * long, and a signal must be able to end the wait. */
#include "stream.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "buffer_queue.h"

enum { RAW_SIZE = 256 << 10, FILE_BUFFER = 256 << 10, HEAD_SIZE = 4096 };

struct input_stream {
    int fd;
    bool is_stdin;
    char *name;
    struct stat info;
    ssize_t (*decode)(struct input_stream *, uint8_t *out, size_t size);

    uint8_t *raw; /* As it is in the file: n bytes, 'at' of them used. */
    size_t at;
    size_t n;
    bool ended; /* The file has. */

    z_stream gzip;
    ZSTD_DStream *zstd;
    bool inside;                /* A compressed stream that is not finished. */
    bool broken;                /* The decoder will not go on. */
    struct hg_error failure;    /* Why reading or decoding failed. */
    atomic_uint_least64_t done; /* Bytes of the file read. */

    /* Of the reader, which is another thread than the decoder's if there is
     * a queue between. */
    struct buffer_queue *unpacked;
    struct buffer *piece; /* The one being read, 'piece_at' bytes of it. */
    size_t piece_at;
    uint64_t position; /* Bytes given to the reader, */
    uint64_t n_again;  /* ... of which so many are given again. */
    uint8_t head[INPUT_HEAD];
    char *file_buffer;
    struct hg_error error; /* 'failure', once the reader has met it. */
};

static bool stdin_taken; /* A process has only one. */

/* Reads on when the raw bytes are used up. */
static bool
fill(struct input_stream *in)
{
    ssize_t n;

    if (in->at < in->n || in->ended)
        return true;
    n = read(in->fd, in->raw, RAW_SIZE);
    if (n < 0)
        return hg_error_set(&in->failure, "%s", strerror(errno));
    in->at = 0;
    in->n = (size_t)n;
    in->done += (uint64_t)n;
    in->ended = n == 0;
    return true;
}

static ssize_t
decode_plain(struct input_stream *in, uint8_t *out, size_t size)
{
    size_t n = in->n - in->at;
    ssize_t done;

    if (n > 0) { /* What choose_decoder() read ahead. */
        n = n < size ? n : size;
        memcpy(out, in->raw + in->at, n);
        in->at += n;
        return (ssize_t)n;
    }
    done = read(in->fd, out, size);
    if (done < 0)
        hg_error_set(&in->failure, "%s", strerror(errno));
    else
        in->done += (uint64_t)done;
    return done;
}

/* Files may hold several members behind each other (RFC 1952 2.2); what
 * follows them and is no member is padding. */
static size_t
inflate_some(struct input_stream *in, uint8_t *out, size_t size)
{
    int status;

    if (!in->inside && in->raw[in->at] != 0x1f) {
        in->at = in->n;
        in->ended = true;
        return 0;
    }
    if (!in->inside)
        inflateReset(&in->gzip);
    in->inside = true;
    in->gzip.next_in = in->raw + in->at;
    in->gzip.avail_in = (uInt)(in->n - in->at);
    in->gzip.next_out = out;
    in->gzip.avail_out = (uInt)size;
    status = inflate(&in->gzip, Z_NO_FLUSH);
    in->at = in->n - in->gzip.avail_in;
    if (status == Z_STREAM_END)
        in->inside = false;
    else if (status != Z_OK && status != Z_BUF_ERROR)
        in->broken = !hg_error_set(&in->failure, "broken gzip data: %s",
                                   in->gzip.msg ? in->gzip.msg : "no memory");
    return size - in->gzip.avail_out;
}

static size_t
unzstd_some(struct input_stream *in, uint8_t *out, size_t size)
{
    ZSTD_inBuffer from = {in->raw, in->n, in->at};
    ZSTD_outBuffer to = {out, size, 0};
    size_t status = ZSTD_decompressStream(in->zstd, &to, &from);

    in->at = from.pos;
    if (ZSTD_isError(status))
        in->broken = !hg_error_set(&in->failure, "broken zstd data: %s",
                                   ZSTD_getErrorName(status));
    in->inside = status != 0;
    return to.pos;
}

static ssize_t
decode_compressed(struct input_stream *in, uint8_t *out, size_t size)
{
    size_t n = 0;

    while (n == 0) {
        if (in->broken || !fill(in))
            return -1;
        /* A decoder may still hold output when its input has ended. */
        if (in->ended && !in->inside)
            return 0;
        n = in->zstd ? unzstd_some(in, out, size)
                     : inflate_some(in, out, size);
        if (n == 0 && in->ended && in->inside && !in->broken)
            in->broken = !hg_error_set(&in->failure,
                                       "the compressed data ends too early");
    }
    return (ssize_t)n;
}

/* ---- Unpacking on a thread of its own --------------------------------- */

static void *
unpack(void *in_)
{
    struct input_stream *in = in_;
    struct buffer *b;

    while ((b = buffer_queue_empty(in->unpacked)) != NULL) {
        ssize_t n = in->decode(in, b->data, RAW_SIZE);

        if (n <= 0)
            break;
        b->n = (size_t)n;
        buffer_queue_fill(in->unpacked);
    }
    buffer_queue_finish(in->unpacked);
    return NULL;
}

static bool
start_unpacking(struct input_stream *in)
{
    if (in->decode != decode_compressed || !S_ISREG(in->info.st_mode))
        return true;
    in->unpacked = buffer_queue_create(RAW_SIZE);
    return in->unpacked && buffer_queue_start(in->unpacked, unpack, in);
}

/* As decode(), from what the other thread has unpacked. */
static ssize_t
take_unpacked(struct input_stream *in, uint8_t *out, size_t size)
{
    size_t left;

    if (!in->piece) {
        in->piece = buffer_queue_full(in->unpacked);
        in->piece_at = 0;
        if (!in->piece) /* The thread has ended. */
            return *in->failure.text ? -1 : 0;
    }
    left = in->piece->n - in->piece_at;
    size = size < left ? size : left;
    memcpy(out, in->piece->data + in->piece_at, size);
    in->piece_at += size;
    if (size == left) {
        in->piece = NULL;
        buffer_queue_release(in->unpacked);
    }
    return (ssize_t)size;
}

/* ---- The reader's side ------------------------------------------------ */

ssize_t
input_read(struct input_stream *in, void *out, size_t size)
{
    uint64_t at = in->position;
    ssize_t n;

    if (at < in->n_again) {
        n = (ssize_t)(in->n_again - at < size ? in->n_again - at : size);
        memcpy(out, in->head + at, (size_t)n);
    } else {
        n = in->unpacked ? take_unpacked(in, out, size)
                         : in->decode(in, out, size);
        if (n > 0 && at < sizeof in->head)
            memcpy(in->head + at, out,
                   (size_t)n < sizeof in->head - at ? (size_t)n
                                                    : sizeof in->head - at);
    }
    if (n > 0)
        in->position += (uint64_t)n;
    else if (n < 0)
        in->error = in->failure;
    return n;
}

void
input_again(struct input_stream *in)
{
    in->n_again = in->position;
    in->position = 0;
}

static ssize_t
cookie_read(void *in, char *buffer, size_t size)
{
    ssize_t n = input_read(in, buffer, size);

    if (n < 0)
        errno = EIO;
    return n;
}

/* Only tells the position, for ftello(). */
static int
cookie_seek(void *cookie, off64_t *offset, int whence)
{
    const struct input_stream *in = cookie;

    if (whence != SEEK_CUR || *offset != 0) {
        errno = ESPIPE;
        return -1;
    }
    *offset = (off64_t)in->position;
    return 0;
}

static int
cookie_close(void *cookie)
{
    struct input_stream *in = cookie;

    if (in->unpacked)
        buffer_queue_abandon(in->unpacked);
    buffer_queue_destroy(in->unpacked);
    if (in->is_stdin)
        stdin_taken = false;
    else if (in->fd >= 0)
        close(in->fd);
    inflateEnd(&in->gzip);
    ZSTD_freeDStream(in->zstd);
    free(in->file_buffer);
    free(in->raw);
    free(in->name);
    free(in);
    return 0;
}

static bool
open_file(struct input_stream *in, const char *path, struct hg_error *error)
{
    in->is_stdin = strcmp(path, "-") == 0;
    if (in->is_stdin) {
        if (stdin_taken) {
            in->is_stdin = false;
            return hg_error_set(error, "standard input is read by another "
                                       "interface already");
        }
        stdin_taken = true;
        in->fd = STDIN_FILENO;
        if (isatty(in->fd))
            return hg_error_set(error, "standard input is a terminal; give "
                                       "it a capture with '<' or '|'");
    } else {
        in->fd = open(path, O_RDONLY | O_CLOEXEC);
    }
    if (in->fd < 0 || fstat(in->fd, &in->info) < 0)
        return hg_error_set(error, "cannot read %s: %s", in->name,
                            strerror(errno));
    if (S_ISDIR(in->info.st_mode))
        return hg_error_set(error, "cannot read %s: %s", in->name,
                            strerror(EISDIR));
    return true;
}

/* Looks at the first bytes and chooses the decoder. */
static bool
choose_decoder(struct input_stream *in, struct hg_error *error)
{
    static const uint8_t gzip[] = {0x1f, 0x8b};             /* RFC 1952 */
    static const uint8_t zstd[] = {0x28, 0xb5, 0x2f, 0xfd}; /* RFC 8878 */

    while (in->n < sizeof zstd) { /* A pipe may give them one by one. */
        ssize_t n = read(in->fd, in->raw + in->n, HEAD_SIZE - in->n);

        if (n < 0)
            return hg_error_set(error, "cannot read %s: %s", in->name,
                                strerror(errno));
        if (n == 0)
            break;
        in->n += (size_t)n;
    }
    in->done = in->n;
    in->decode = decode_compressed;
    if (in->n >= sizeof zstd && memcmp(in->raw, zstd, sizeof zstd) == 0) {
        in->zstd = ZSTD_createDStream();
        if (!in->zstd)
            return hg_error_set(error, "cannot read %s: %s", in->name,
                                strerror(ENOMEM));
    } else if (in->n < sizeof gzip ||
               memcmp(in->raw, gzip, sizeof gzip) != 0) {
        in->decode = decode_plain;
    }
    return true;
}

FILE *
input_open(const char *path, struct input_stream **out, struct hg_error *error)
{
    const cookie_io_functions_t io = {cookie_read, NULL, cookie_seek,
                                      cookie_close};
    struct input_stream *in = calloc(1, sizeof *in);
    FILE *file = NULL;

    if (!in)
        goto no_memory;
    in->fd = -1;
    in->raw = malloc(RAW_SIZE);
    if (strcmp(path, "-") == 0)
        in->name = strdup("standard input");
    else if (asprintf(&in->name, "'%s'", path) < 0)
        in->name = NULL;
    if (!in->raw || !in->name ||
        inflateInit2(&in->gzip, 15 + 16) != Z_OK) /* 16: gzip only. */
        goto no_memory;
    if (!open_file(in, path, error) || !choose_decoder(in, error))
        goto fail;
    if (!start_unpacking(in))
        goto no_memory;
    file = fopencookie(in, "r", io);
    if (!file)
        goto no_memory;
    setvbuf(file, NULL, _IONBF, 0);
    *out = in;
    return file;

no_memory:
    hg_error_set(error, "cannot read '%s': %s", path, strerror(ENOMEM));
fail:
    if (in)
        cookie_close(in);
    return NULL;
}

void
input_buffer(FILE *file, struct input_stream *in)
{
    in->file_buffer = malloc(FILE_BUFFER);
    if (in->file_buffer)
        setvbuf(file, in->file_buffer, _IOFBF, FILE_BUFFER);
}

uint64_t
input_size(const struct input_stream *in)
{
    return S_ISREG(in->info.st_mode) ? (uint64_t)in->info.st_size : 0;
}

bool
input_is_plain(const struct input_stream *in)
{
    return in->decode == decode_plain && S_ISREG(in->info.st_mode) &&
           !in->is_stdin;
}

uint64_t
input_done(const struct input_stream *in)
{
    return in->done;
}

const uint8_t *
input_head(const struct input_stream *in)
{
    return in->head;
}

const char *
input_error(const struct input_stream *in)
{
    return in->error.text;
}

bool
input_is(const struct input_stream *in, const struct stat *info)
{
    return S_ISREG(info->st_mode) && in->info.st_dev == info->st_dev &&
           in->info.st_ino == info->st_ino;
}

const char *
input_name(const struct input_stream *in)
{
    return in->name;
}
