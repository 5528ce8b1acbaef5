/* headgate/diag.h: mistakes with their places.
 *
 *     edge.conf:7:5: error: no option 'idle-timout' in class HyperplaneNAT;
 *     did you mean 'idle-timeout'?
 *         idle-timout = 350s
 *         ^~~~~~~~~~~
 *
 * Thread-safety: one thread at a time. */
#ifndef HEADGATE_DIAG_H
#define HEADGATE_DIAG_H 1

#include <stdio.h>

#include <headgate/types.h>

#ifdef __cplusplus
extern "C" {
#endif

enum hg_severity { HG_SEVERITY_ERROR, HG_SEVERITY_WARNING, HG_SEVERITY_NOTE };

/* A place in a text.  'text' is the whole file and must outlive the diags, or
 * NULL (no source line is shown then); line and column count from 1, 0 means
 * unknown; length is that of the text marked, in bytes. */
struct hg_place {
    const char *file;
    const char *text;
    unsigned line;
    unsigned column;
    unsigned length;
};

struct hg_diags;

HG_API struct hg_diags *hg_diags_create(void);
HG_API void hg_diags_destroy(struct hg_diags *);

/* Adds one; the message is copied, so are file name and source line. */
HG_API void hg_diag(struct hg_diags *, enum hg_severity,
                    const struct hg_place *, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

HG_API size_t hg_diags_count(const struct hg_diags *, enum hg_severity);

/* Prints all in the order of file, line and column (files in order of first
 * appearance; a note stays behind what it belongs to). */
HG_API void hg_diags_print(const struct hg_diags *, FILE *out, bool color);

/* The word of 'words' (n of them) nearest to 'word' by Damerau-Levenshtein
 * distance, or NULL if none is near enough to be meant. */
HG_API const char *hg_nearest(const char *word, const char *const *words,
                              size_t n);

#ifdef __cplusplus
}
#endif
#endif
