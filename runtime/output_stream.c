/* output_stream.c: writing a file, compressed if its suffix says so (see
 * stream.h).
 *
 * Plain bytes gather in a large buffer; a full buffer goes through the codec
 * to write(2).  Into a file, packing and writing is done on a thread of its
 * own: buffers wait for it in a queue.  (A pipe is written at once: somebody
 * waits for what it brings.) */
#include "stream.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <headgate/memory.h>

#include "buffer_queue.h"

struct output_codec {
    int fd;
    bool is_pipe;
    bool has_old; /* What the file had before is still in it. */
    char *name;
    bool failed;               /* Nothing is stored any more. */
    struct hg_error error;     /* Why, then. */
    struct buffer_queue *full; /* What is to be packed; or NULL. */
    struct buffer *filling;    /* Its buffer that is the stream's. */
    atomic_bool noticed;       /* 'failed', for the other thread to see. */
    bool gzip_used;
    z_stream gzip;
    ZSTD_CStream *zstd;
    uint8_t *packed; /* Compressed bytes on their way to the file. */
};

static bool
fail(struct output_codec *c, const char *why)
{
    if (!c->failed)
        hg_error_set(&c->error, "cannot write %s: %s", c->name, why);
    c->failed = true;
    return false;
}

/* The file is emptied only when something takes the place of what it has. */
static bool
store(struct output_codec *c, const uint8_t *data, size_t n)
{
    if (c->has_old && ftruncate(c->fd, 0) < 0)
        return fail(c, strerror(errno));
    c->has_old = false;
    while (n > 0) {
        ssize_t done = write(c->fd, data, n);

        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return fail(c, strerror(errno));
        data += done;
        n -= (size_t)done;
    }
    return true;
}

static bool
store_gzip(struct output_codec *c, const uint8_t *data, size_t n, bool last)
{
    z_stream *z = &c->gzip;
    int status;

    z->next_in = (Bytef *)(uintptr_t)data;
    z->avail_in = (uInt)n;
    do {
        z->next_out = c->packed;
        z->avail_out = OUTPUT_BUFFER;
        status = deflate(z, last ? Z_FINISH : Z_NO_FLUSH);
        if (status == Z_STREAM_ERROR)
            return fail(c, "zlib failed");
        if (!store(c, c->packed, OUTPUT_BUFFER - z->avail_out))
            return false;
    } while (z->avail_out == 0 || (last && status != Z_STREAM_END));
    return true;
}

static bool
store_zstd(struct output_codec *c, const uint8_t *data, size_t n, bool last)
{
    ZSTD_inBuffer from = {data, n, 0};
    size_t left;

    do {
        ZSTD_outBuffer to = {c->packed, OUTPUT_BUFFER, 0};

        left = ZSTD_compressStream2(c->zstd, &to, &from,
                                    last ? ZSTD_e_end : ZSTD_e_continue);
        if (ZSTD_isError(left))
            return fail(c, ZSTD_getErrorName(left));
        if (!store(c, c->packed, to.pos))
            return false;
    } while (from.pos < n || (last && left > 0));
    return true;
}

static bool
encode(struct output_codec *c, const uint8_t *data, size_t n, bool last)
{
    if (c->failed)
        return false;
    if (c->gzip_used)
        return store_gzip(c, data, n, last);
    if (c->zstd)
        return store_zstd(c, data, n, last);
    return store(c, data, n);
}

/* The thread that packs. */
static void *
pack(void *codec)
{
    struct output_codec *c = codec;
    struct buffer *b;

    while ((b = buffer_queue_full(c->full)) != NULL) {
        encode(c, b->data, b->n, false);
        atomic_store(&c->noticed, c->failed);
        buffer_queue_release(c->full);
    }
    return NULL;
}

/* Hands the buffer to the thread and goes on with an empty one. */
static void
hand_over(struct output_stream *o)
{
    struct output_codec *c = o->codec;

    c->filling->n = o->n;
    buffer_queue_fill(c->full);
    c->filling = buffer_queue_empty(c->full);
    o->buffer = c->filling->data;
}

/* What the codec has met so far. */
static void
notice(struct output_stream *o)
{
    o->failed = true;
    o->error = o->codec->error;
}

static bool
drain(struct output_stream *o)
{
    struct output_codec *c = o->codec;

    if (o->failed)
        o->n = 0; /* Lost, and counted as such. */
    else if (c->full)
        hand_over(o);
    else
        encode(c, o->buffer, o->n, false);
    o->n = 0;
    if (c->full ? atomic_load(&c->noticed) : c->failed)
        notice(o);
    return !o->failed;
}

bool
output_flush(struct output_stream *o)
{
    return drain(o);
}

bool
output_append(struct output_stream *o, const void *data, size_t n)
{
    const uint8_t *from = data;

    while (n > 0 && !o->failed) {
        size_t part = OUTPUT_BUFFER - o->n;

        if (part > n)
            part = n;
        memcpy(o->buffer + o->n, from, part);
        o->n += part;
        from += part;
        n -= part;
        if (o->n == OUTPUT_BUFFER)
            drain(o);
    }
    return !o->failed;
}

bool
output_is_pipe(const struct output_stream *o)
{
    return o->codec->is_pipe;
}

/* Waits until all that was handed over is packed; from now on there is no
 * other thread, and no buffer. */
static void
stop_packing(struct output_stream *o)
{
    struct output_codec *c = o->codec;

    if (!c->full)
        return;
    c->filling->n = o->n;
    if (o->n)
        buffer_queue_fill(c->full);
    buffer_queue_finish(c->full);
    buffer_queue_destroy(c->full);
    c->full = NULL;
    o->buffer = NULL;
    o->n = 0;
}

static void
output_free(struct output_stream *o)
{
    if (!o)
        return;
    if (o->codec) {
        stop_packing(o);
        if (o->codec->fd >= 0)
            close(o->codec->fd);
        if (o->codec->gzip_used)
            deflateEnd(&o->codec->gzip);
        ZSTD_freeCStream(o->codec->zstd);
        free(o->codec->packed);
        free(o->codec->name);
    }
    free(o->codec);
    free(o->buffer);
    free(o);
}

bool
output_close(struct output_stream *o, struct hg_error *error)
{
    struct output_codec *c;
    bool stored;

    if (!o)
        return true;
    if (!error) { /* Given up. */
        o->n = 0;
        output_free(o);
        return true;
    }
    c = o->codec;
    stop_packing(o);
    stored = encode(c, o->buffer, o->n, true);
    if (close(c->fd) < 0)
        stored = fail(c, strerror(errno));
    c->fd = -1;
    if (!stored)
        hg_error_set(error, "%s", c->error.text);
    output_free(o);
    return stored;
}

static bool
ends_with(const char *text, const char *suffix)
{
    size_t n = strlen(text), k = strlen(suffix);

    return n >= k && strcmp(text + n - k, suffix) == 0;
}

static bool
open_codec(struct output_codec *c, const char *path, struct hg_error *error)
{
    bool ready = true;

    c->packed = malloc(OUTPUT_BUFFER);
    if (ends_with(path, ".gz")) {
        /* 16: with a gzip header (whose time is 0: repeatable). */
        ready = deflateInit2(&c->gzip, Z_DEFAULT_COMPRESSION, Z_DEFLATED,
                             15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK;
        c->gzip_used = ready;
    } else if (ends_with(path, ".zst")) {
        c->zstd = ZSTD_createCStream();
        ready = c->zstd != NULL;
    }
    if (!c->packed || !ready)
        return hg_error_set(error, "cannot write %s: %s", c->name,
                            strerror(ENOMEM));
    return true;
}

/* A file without anything in it is not emptied: ext4 would write it when it is
 * closed. */
static bool
open_file(struct output_codec *c, const char *path,
          const struct input_stream *source, struct hg_error *error)
{
    struct stat info;

    if (strcmp(path, "-") == 0) {
        if (isatty(STDOUT_FILENO))
            return hg_error_set(error, "standard output is a terminal and "
                                       "cannot take a capture; use '>' or "
                                       "'|'");
        c->fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    } else {
        c->fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    }
    if (c->fd < 0 || fstat(c->fd, &info) < 0)
        return hg_error_set(error, "cannot write %s: %s", c->name,
                            strerror(errno));
    if (source && input_is(source, &info))
        return hg_error_set(error,
                            "cannot write %s: it is the file that is "
                            "read; give another output file",
                            c->name);
    c->is_pipe = S_ISFIFO(info.st_mode) || S_ISSOCK(info.st_mode);
    c->has_old =
        S_ISREG(info.st_mode) && info.st_size > 0 && strcmp(path, "-") != 0;
    return true;
}

/* The stream's buffer: its own, or one of a queue to the thread that packs. */
static bool
open_buffer(struct output_stream *o)
{
    struct output_codec *c = o->codec;

    if (c->is_pipe || !(c->gzip_used || c->zstd)) {
        o->buffer = malloc(OUTPUT_BUFFER);
        if (o->buffer)
            hg_memory_populate(o->buffer, OUTPUT_BUFFER);
        return o->buffer != NULL;
    }
    c->full = buffer_queue_create(OUTPUT_BUFFER);
    if (!c->full)
        return false;
    c->filling = buffer_queue_empty(c->full);
    o->buffer = c->filling->data;
    return buffer_queue_start(c->full, pack, c);
}

struct output_stream *
output_open(const char *path, const struct input_stream *source,
            struct hg_error *error)
{
    struct output_stream *o = calloc(1, sizeof *o);

    if (o)
        o->codec = calloc(1, sizeof *o->codec);
    if (!o || !o->codec)
        goto no_memory;
    o->codec->fd = -1;
    if (strcmp(path, "-") == 0)
        o->codec->name = strdup("standard output");
    else if (asprintf(&o->codec->name, "'%s'", path) < 0)
        o->codec->name = NULL;
    if (!o->codec->name)
        goto no_memory;
    if (open_codec(o->codec, path, error) &&
        open_file(o->codec, path, source, error)) {
        if (open_buffer(o))
            return o;
        goto no_memory;
    }
    output_free(o);
    return NULL;

no_memory:
    hg_error_set(error, "cannot write '%s': %s", path, strerror(ENOMEM));
    output_free(o);
    return NULL;
}
