/* headgate/plugin.h: finds and loads element classes.
 *
 * A class Foo lives in a shared object Foo.so that exports 'hg_plugin'
 * (element.h).  It is looked for along the folders of a search path, first
 * match wins, and loaded with RTLD_NOW | RTLD_LOCAL.
 *
 * Thread-safety: load before starting workers; a class is read-only. */
#ifndef HEADGATE_PLUGIN_H
#define HEADGATE_PLUGIN_H 1

#include <headgate/element.h>

#ifdef __cplusplus
extern "C" {
#endif

struct hg_plugins;

/* 'path': folders separated by colons, or NULL; then those of
 * $HEADGATE_PLUGIN_PATH, then the install prefix's. */
HG_API struct hg_plugins *hg_plugins_create(const char *path);
HG_API void hg_plugins_destroy(struct hg_plugins *);

/* Makes a class known that is linked in (tests, embedding programs). */
HG_API void hg_plugins_add(struct hg_plugins *, const struct hg_class *);

/* The class, loading its plugin if it has not been.  NULL, and why: not found
 * (error->text is "" then, for the caller knows better words), not a plugin,
 * of another ABI, of another name than its file. */
HG_API const struct hg_class *
hg_plugins_find(struct hg_plugins *, const char *name, struct hg_error *);

/* Names of all classes there are plugins for, sorted; owned by 'plugins',
 * until the next class is loaded (hg_plugins_find, hg_plugins_add). */
HG_API const char *const *hg_plugins_names(struct hg_plugins *, size_t *n);

/* The folders searched, for error messages: "a, b and c"; owned. */
HG_API const char *hg_plugins_where(struct hg_plugins *);

#ifdef __cplusplus
}
#endif
#endif
