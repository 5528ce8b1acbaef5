/* fuzz_device.c: any bytes as a capture file (pcap, pcapng, gzip, zstd, every
 * link type), as a large frame that is to be cut, or as the options of a
 * device.  The first byte chooses.  A frame has no more bytes than it says
 * that it had on the wire. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "capture_reader.h"
#include "device.h"
#include "segment.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
try_capture(const uint8_t *data, size_t size)
{
    int fd = memfd_create("capture", 0);
    struct capture_reader *r;
    enum { AT_ONCE = 7 };
    struct hg_frame f[AT_ONCE];
    struct hg_error error = {""};
    enum capture_result result;
    char path[64];
    unsigned i, n;

    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    r = capture_reader_open(path, &error);
    if (!r && !*error.text)
        abort();
    while (r) {
        result = capture_reader_next(r, f, AT_ONCE, &n, &error);
        if (result == CAPTURE_BROKEN && !*error.text)
            abort();
        if (result == CAPTURE_BROKEN || result == CAPTURE_END)
            break;
        if (result == CAPTURE_UNUSABLE)
            continue;
        if (n == 0 || n > AT_ONCE)
            abort();
        for (i = 0; i < n; i++)
            if (f[i].len > f[i].wire_len || f[i].len > HG_PACKET_MAX)
                abort();
    }
    capture_reader_close(r);
    close(fd);
}

/* Four bytes say where the L4 header is and how large the pieces are to be;
 * each must be right in itself. */
static void
try_segments(const uint8_t *data, size_t size)
{
    struct hg_pool *pool;
    struct hg_packet *p;
    struct segmenter s = {0};

    if (size < 4)
        return;
    pool = hg_pool_create(0);
    if (segmenter_begin(&s, data + 4, (uint32_t)(size - 4), hg_load16(data),
                        hg_load16(data + 2)))
        while (segmenter_busy(&s)) {
            p = segmenter_next(&s, pool);
            if (p && !hg_packet_l4_checksum_ok(p))
                abort();
            hg_packet_free(p);
        }
    hg_pool_destroy(pool);
}

/* Millions of flows take gigabytes of memory, as asked. */
static bool
is_large(const uint8_t *data, size_t size)
{
    unsigned digits = 0;
    size_t i;

    for (i = 0; i < size && digits < 6; i++)
        digits = data[i] >= '0' && data[i] <= '9' ? digits + 1 : 0;
    return digits == 6 || memchr(data, 'k', size) || memchr(data, 'M', size);
}

static void
try_options(const char *scheme, const uint8_t *data, size_t size)
{
    struct device_options options = {.seed = 1};
    struct hg_error error = {""};
    struct hg_pool *pool;
    struct hg_device *d;
    struct hg_packet *p[16];
    char spec[512];
    unsigned n;

    if (is_large(data, size))
        return;
    snprintf(spec, sizeof spec, "%s:%.*s", scheme, (int)size,
             (const char *)data);
    d = device_open(spec, &options, &error);
    if (!d) {
        if (!*error.text)
            abort();
        return;
    }
    pool = hg_pool_create(0);
    n = d->ops->receive(d, pool, p, 16, HG_NEVER);
    n -= d->ops->send(d, p, n);
    device_close(d, &error);
    hg_pool_destroy(pool);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    switch (data[0]) {
    case 'g':
        try_options("gen", data + 1, size - 1);
        break;
    case 'e':
        try_options("echo", data + 1, size - 1);
        break;
    case 's':
        try_segments(data + 1, size - 1);
        break;
    default:
        try_capture(data + 1, size - 1);
    }
    return 0;
}
