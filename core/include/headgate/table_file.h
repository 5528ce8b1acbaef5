/* headgate/table_file.h: tables that are too long for a graph file.
 *
 * hg_table_read() reads records with named values, from CSV whose first line
 * names them or from a JSON array of objects (a path that ends in ".json").
 * hg_prefixes_read() reads a list of prefixes, one a line, or the selection
 * of an AWS ip-ranges.json.
 *
 * Mistakes are reported with their place, all of them; a path is used as it
 * is.  Thread-safety: none needed, there is no state. */
#ifndef HEADGATE_TABLE_FILE_H
#define HEADGATE_TABLE_FILE_H 1

#include <headgate/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct hg_table_row {
    size_t n;
    const char *const *name;  /* Lower case as given; of the columns. */
    const char *const *value; /* Values that are absent are "". */
    size_t at;                /* Out: the value that a mistake is about. */
};

/* Takes a record; false, and why, if it is wrong. */
typedef bool hg_table_row_fn(void *aux, struct hg_table_row *,
                             struct hg_error *);

/* Is told "path:line:column: text" (CSV) or "path: record N: text" (JSON). */
typedef void hg_table_mistake_fn(void *aux, const char *text);

/* Calls 'row_fn' with each record; false if there was a mistake.  JSON values
 * may be strings, numbers, booleans, or arrays of those (which become one
 * value with spaces between). */
HG_API bool hg_table_read(const char *path, hg_table_row_fn *row_fn,
                          hg_table_mistake_fn *mistake_fn, void *aux);

/* Adds the prefixes of 'path' to 'list', whose 'v' the caller frees; false if
 * there was a mistake.  From a path that ends in ".json" those of the AWS
 * format (https://ip-ranges.amazonaws.com/ip-ranges.json) whose service and
 * region are the ones given (NULL: any). */
HG_API bool hg_prefixes_read(const char *path, const char *service,
                             const char *region, struct hg_prefix_list *list,
                             hg_table_mistake_fn *mistake_fn, void *aux);

#ifdef __cplusplus
}
#endif
#endif
