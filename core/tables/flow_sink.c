/* flow_sink.c: destinations of flow logs (headgate/flow_sink.h). */
#include <headgate/flow_sink.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include <xxhash.h>

#include "graph_internal.h"

struct hg_flow_sink {
    struct hg_flow_sink_config config;
    int fd;           /* File or standard output; otherwise -1. */
    uint64_t objects; /* S3: written so far. */
};

/* Until all is written; 0 or an errno. */
static int
write_all(int fd, const char *bytes, size_t size)
{
    while (size) {
        ssize_t n = write(fd, bytes, size);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? errno : ENOSPC;
        bytes += n;
        size -= (size_t)n;
    }
    return 0;
}

/* ---- One file --------------------------------------------------------- */

static bool
open_file(struct hg_flow_sink *s, struct hg_error *error)
{
    int flags = O_WRONLY | O_CREAT | O_CLOEXEC | O_APPEND;

    s->fd =
        open(s->config.path, s->config.append ? flags : flags | O_TRUNC, 0644);
    return s->fd >= 0 ||
           hg_error_set(error, "cannot write flow logs to '%s': %s",
                        s->config.path, strerror(errno));
}

static bool
write_file(struct hg_flow_sink *s, const char *bytes, size_t size,
           struct hg_error *error)
{
    struct stat before;
    bool can_undo = s->config.destination == HG_FLOW_TO_FILE &&
                    !fstat(s->fd, &before) && S_ISREG(before.st_mode);
    int status = write_all(s->fd, bytes, size);

    if (!status)
        return true;
    if (can_undo && ftruncate(s->fd, before.st_size))
        return hg_error_set(error, "flow log '%s' ends with half a line: %s",
                            s->config.path, strerror(errno));
    return hg_error_set(error, "cannot write to flow log '%s': %s",
                        s->config.path ? s->config.path : "standard output",
                        strerror(status));
}

/* ---- Syslog ----------------------------------------------------------- */

static void
write_syslog(const char *bytes, size_t size)
{
    while (size) {
        const char *end = memchr(bytes, '\n', size);
        size_t len = end ? (size_t)(end - bytes) : size;

        syslog(LOG_INFO, "%.*s", (int)len, bytes);
        len += end != NULL;
        bytes += len;
        size -= len;
    }
}

/* ---- S3 --------------------------------------------------------------- */

/* The folder below the prefix, as "Flow log files" in the Amazon VPC user
 * guide says. */
static char *
object_folder(const struct hg_flow_sink_config *c, const struct tm *at)
{
    unsigned year = (unsigned)at->tm_year + 1900;
    unsigned month = (unsigned)at->tm_mon + 1;
    unsigned day = (unsigned)at->tm_mday;
    unsigned hour = (unsigned)at->tm_hour;
    char hours[16] = "";

    if (c->per_hour)
        snprintf(hours, sizeof hours, c->hive ? "/hour=%02u" : "/%02u", hour);
    return xasprintf(
        c->hive ? "%s/AWSLogs/aws-account-id=%s/aws-service=vpcflowlogs/"
                  "aws-region=%s/year=%04u/month=%02u/day=%02u%s"
                : "%s/AWSLogs/%s/vpcflowlogs/%s/%04u/%02u/%02u%s",
        c->path, c->account, c->region, year, month, day, hours);
}

/* Makes the folder and those above it; 0 or an errno. */
static int
make_folders(char *path)
{
    char *at = path;

    while (*at) {
        char *end = strchrnul(at + 1, '/');
        char was = *end;

        *end = '\0';
        if (mkdir(path, 0755) && errno != EEXIST)
            return errno;
        *end = was;
        at = end;
    }
    return 0;
}

/* The object stands under its name only when it is whole. */
static int
write_object(const char *path, const char *bytes, size_t size)
{
    char *part = xasprintf("%s.part", path);
    int fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    int status = fd < 0 ? errno : write_all(fd, bytes, size);

    if (fd >= 0 && close(fd) && !status)
        status = errno;
    if (!status && rename(part, path))
        status = errno;
    if (status && fd >= 0)
        unlink(part);
    free(part);
    return status;
}

static bool
write_s3(struct hg_flow_sink *s, uint64_t time_s, const void *bytes,
         size_t size, struct hg_error *error)
{
    const struct hg_flow_sink_config *c = &s->config;
    time_t seconds = (time_t)time_s;
    char *folder, *path;
    struct tm at;
    int status;

    gmtime_r(&seconds, &at);
    folder = object_folder(c, &at);
    path = xasprintf("%s/%s_vpcflowlogs_%s_%s_%04d%02d%02dT%02d%02dZ_%08x"
                     ".log.gz",
                     folder, c->account, c->region, c->flow_log_id,
                     at.tm_year + 1900, at.tm_mon + 1, at.tm_mday, at.tm_hour,
                     at.tm_min,
                     (uint32_t)XXH3_64bits_withSeed(bytes, size, s->objects));
    s->objects++;
    status = make_folders(folder);
    if (!status)
        status = write_object(path, bytes, size);
    if (status)
        hg_error_set(error, "cannot write flow log object '%.300s': %s", path,
                     strerror(status));
    free(path);
    free(folder);
    return !status;
}

/* ---- All of them ------------------------------------------------------ */

struct hg_flow_sink *
hg_flow_sink_create(const struct hg_flow_sink_config *config,
                    struct hg_error *error)
{
    struct hg_flow_sink *s = xcalloc(1, sizeof *s);

    s->config = *config;
    s->fd = -1;
    if (config->destination == HG_FLOW_TO_STDOUT)
        s->fd = STDOUT_FILENO;
    if (config->destination == HG_FLOW_TO_SYSLOG)
        openlog("headgate", LOG_NDELAY, LOG_DAEMON);
    if (config->destination == HG_FLOW_TO_FILE && !open_file(s, error)) {
        free(s);
        return NULL;
    }
    return s;
}

void
hg_flow_sink_destroy(struct hg_flow_sink *s)
{
    if (!s)
        return;
    if (s->config.destination == HG_FLOW_TO_FILE)
        close(s->fd);
    if (s->config.destination == HG_FLOW_TO_SYSLOG)
        closelog();
    free(s);
}

bool
hg_flow_sink_write(struct hg_flow_sink *s, uint64_t time_s, const void *bytes,
                   size_t size, struct hg_error *error)
{
    switch (s->config.destination) {
    case HG_FLOW_TO_SYSLOG:
        write_syslog(bytes, size);
        return true;
    case HG_FLOW_TO_S3:
        return write_s3(s, time_s, bytes, size, error);
    default:
        return write_file(s, bytes, size, error);
    }
}
