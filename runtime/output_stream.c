/* output_stream.c: writing a file, compressed if its suffix says so (see
 * stream.h).
 *
 * Plain bytes gather in a large buffer; a full buffer goes through the codec
 * to write(2). */
#include "stream.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

struct output_codec {
    int fd;
    bool is_pipe;
    char *name;
    bool gzip_used;
    z_stream gzip;
    ZSTD_CStream *zstd;
    uint8_t *packed; /* Compressed bytes on their way to the file. */
};

static bool
fail(struct output_stream *o, const char *why)
{
    if (!o->failed)
        hg_error_set(&o->error, "cannot write %s: %s", o->codec->name, why);
    o->failed = true;
    return false;
}

static bool
store(struct output_stream *o, const uint8_t *data, size_t n)
{
    while (n > 0) {
        ssize_t done = write(o->codec->fd, data, n);

        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return fail(o, strerror(errno));
        data += done;
        n -= (size_t)done;
    }
    return true;
}

static bool
store_gzip(struct output_stream *o, const uint8_t *data, size_t n, bool last)
{
    z_stream *z = &o->codec->gzip;
    int status;

    z->next_in = (Bytef *)(uintptr_t)data;
    z->avail_in = (uInt)n;
    do {
        z->next_out = o->codec->packed;
        z->avail_out = OUTPUT_BUFFER;
        status = deflate(z, last ? Z_FINISH : Z_NO_FLUSH);
        if (status == Z_STREAM_ERROR)
            return fail(o, "zlib failed");
        if (!store(o, o->codec->packed, OUTPUT_BUFFER - z->avail_out))
            return false;
    } while (z->avail_out == 0 || (last && status != Z_STREAM_END));
    return true;
}

static bool
store_zstd(struct output_stream *o, const uint8_t *data, size_t n, bool last)
{
    ZSTD_inBuffer from = {data, n, 0};
    size_t left;

    do {
        ZSTD_outBuffer to = {o->codec->packed, OUTPUT_BUFFER, 0};

        left = ZSTD_compressStream2(o->codec->zstd, &to, &from,
                                    last ? ZSTD_e_end : ZSTD_e_continue);
        if (ZSTD_isError(left))
            return fail(o, ZSTD_getErrorName(left));
        if (!store(o, o->codec->packed, to.pos))
            return false;
    } while (from.pos < n || (last && left > 0));
    return true;
}

static bool
encode(struct output_stream *o, const uint8_t *data, size_t n, bool last)
{
    if (o->codec->gzip_used)
        return store_gzip(o, data, n, last);
    if (o->codec->zstd)
        return store_zstd(o, data, n, last);
    return store(o, data, n);
}

static bool
drain(struct output_stream *o, bool last)
{
    size_t n = o->n;

    o->n = 0;
    return !o->failed && encode(o, o->buffer, n, last);
}

bool
output_flush(struct output_stream *o)
{
    return drain(o, false);
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
            drain(o, false);
    }
    return !o->failed;
}

bool
output_is_pipe(const struct output_stream *o)
{
    return o->codec->is_pipe;
}

static void
output_free(struct output_stream *o)
{
    if (!o)
        return;
    if (o->codec) {
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
    bool stored;
    int fd;

    if (!o)
        return true;
    stored = drain(o, true);
    fd = o->codec->fd;
    o->codec->fd = -1;
    if (close(fd) < 0)
        stored = fail(o, strerror(errno));
    if (!stored)
        hg_error_set(error, "%s", o->error.text);
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

/* The file is emptied only after it is known not to be the source. */
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
    if (S_ISREG(info.st_mode) && strcmp(path, "-") != 0 &&
        ftruncate(c->fd, 0) < 0)
        return hg_error_set(error, "cannot write %s: %s", c->name,
                            strerror(errno));
    return true;
}

struct output_stream *
output_open(const char *path, const struct input_stream *source,
            struct hg_error *error)
{
    struct output_stream *o = calloc(1, sizeof *o);

    if (o) {
        o->buffer = malloc(OUTPUT_BUFFER);
        o->codec = calloc(1, sizeof *o->codec);
    }
    if (!o || !o->buffer || !o->codec)
        goto no_memory;
    o->codec->fd = -1;
    if (strcmp(path, "-") == 0)
        o->codec->name = strdup("standard output");
    else if (asprintf(&o->codec->name, "'%s'", path) < 0)
        o->codec->name = NULL;
    if (!o->codec->name)
        goto no_memory;
    if (open_codec(o->codec, path, error) &&
        open_file(o->codec, path, source, error))
        return o;
    output_free(o);
    return NULL;

no_memory:
    hg_error_set(error, "cannot write '%s': %s", path, strerror(ENOMEM));
    output_free(o);
    return NULL;
}
