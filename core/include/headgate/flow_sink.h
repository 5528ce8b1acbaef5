/* headgate/flow_sink.h: where flow logs go: a file, standard output, syslog,
 * or objects in folders as Amazon S3 names them.
 *
 * Whole lines, or none of them, reach a file; an object appears when it is
 * complete.
 *
 * Thread-safety: belongs to one worker. */
#ifndef HEADGATE_FLOW_SINK_H
#define HEADGATE_FLOW_SINK_H 1

#include <headgate/types.h>

#ifdef __cplusplus
extern "C" {
#endif

enum hg_flow_destination {
    HG_FLOW_TO_FILE,
    HG_FLOW_TO_STDOUT,
    HG_FLOW_TO_SYSLOG,
    HG_FLOW_TO_S3
};

/* S3: an object holds records of this many seconds. */
enum { HG_FLOW_OBJECT_S = 300 };

/* Strings must outlive the sink. */
struct hg_flow_sink_config {
    enum hg_flow_destination destination;
    const char *path; /* File, or folder that stands for bucket and prefix. */
    bool append;      /* A file that is there is kept. */
    bool hive;        /* S3: folders named "key=value". */
    bool per_hour;    /* S3: a folder for each hour. */
    const char *account;
    const char *region;
    const char *flow_log_id;
};

struct hg_flow_sink;

/* Opens the destination; NULL, and why. */
HG_API struct hg_flow_sink *
hg_flow_sink_create(const struct hg_flow_sink_config *,
                    struct hg_error *error);
HG_API void hg_flow_sink_destroy(struct hg_flow_sink *);

/* Writes lines (S3: the bytes of an object whose records end within
 * HG_FLOW_OBJECT_S from 'time_s', Unix time, on); false, and why, if nothing
 * of it was written (syslog: never). */
HG_API bool hg_flow_sink_write(struct hg_flow_sink *, uint64_t time_s,
                               const void *bytes, size_t size,
                               struct hg_error *error);

#ifdef __cplusplus
}
#endif
#endif
