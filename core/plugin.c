/* plugin.c: finds and loads element classes; see plugin.h. */
#include <dirent.h>
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "graph_internal.h"

struct loaded {
    const struct hg_class *cls;
    void *library; /* NULL: linked in. */
};

struct hg_plugins {
    char **folders;
    size_t n_folders;
    char *where;
    struct loaded *loaded;
    size_t n_loaded;
    char **names;
    size_t n_names;
};

static void
add_folders(struct hg_plugins *plugins, const char *path)
{
    char *copy, *folder, *save = NULL;

    if (!path)
        return;
    copy = xstrdup(path);
    for (folder = strtok_r(copy, ":", &save); folder;
         folder = strtok_r(NULL, ":", &save)) {
        plugins->folders =
            xrealloc(plugins->folders,
                     (plugins->n_folders + 1) * sizeof *plugins->folders);
        plugins->folders[plugins->n_folders++] = xstrdup(folder);
    }
    free(copy);
}

struct hg_plugins *
hg_plugins_create(const char *path)
{
    struct hg_plugins *plugins = xcalloc(1, sizeof *plugins);

    add_folders(plugins, path);
    add_folders(plugins, getenv("HEADGATE_PLUGIN_PATH"));
    add_folders(plugins, HEADGATE_PLUGIN_DIR);
    return plugins;
}

static void
free_names(struct hg_plugins *plugins)
{
    size_t i;

    for (i = 0; i < plugins->n_names; i++)
        free(plugins->names[i]);
    free(plugins->names);
    plugins->names = NULL;
    plugins->n_names = 0;
}

void
hg_plugins_destroy(struct hg_plugins *plugins)
{
    size_t i;

    if (!plugins)
        return;
    for (i = 0; i < plugins->n_loaded; i++)
        if (plugins->loaded[i].library)
            dlclose(plugins->loaded[i].library);
    for (i = 0; i < plugins->n_folders; i++)
        free(plugins->folders[i]);
    free_names(plugins);
    free(plugins->folders);
    free(plugins->loaded);
    free(plugins->where);
    free(plugins);
}

static void
remember(struct hg_plugins *plugins, const struct hg_class *cls, void *library)
{
    plugins->loaded = xrealloc(plugins->loaded, (plugins->n_loaded + 1) *
                                                    sizeof *plugins->loaded);
    plugins->loaded[plugins->n_loaded++] = (struct loaded){cls, library};
    free_names(plugins);
}

void
hg_plugins_add(struct hg_plugins *plugins, const struct hg_class *cls)
{
    remember(plugins, cls, NULL);
}

/* Refuses what would not work, with a sentence. */
static bool
check_class(const struct hg_class *cls, const char *name, const char *path,
            struct hg_error *error)
{
    if (cls->magic != HG_MAGIC)
        return hg_error_set(error,
                            "'%s' is not a headgate plugin: its '%s' is not "
                            "an element class",
                            path, HG_PLUGIN_SYMBOL);
    if (cls->abi != HG_ABI || cls->class_size != sizeof *cls)
        return hg_error_set(error,
                            "'%s' was built for plugin ABI %u (class of %u "
                            "bytes), this headgate has %u (%zu); build it "
                            "again against the installed headers",
                            path, cls->abi, cls->class_size, HG_ABI,
                            sizeof *cls);
    if (strcmp(cls->name, name))
        return hg_error_set(error,
                            "'%s' declares class %s; a plugin's file is named "
                            "after its class, rename it to '%s.so'",
                            path, cls->name, cls->name);
    return true;
}

static const struct hg_class *
load(struct hg_plugins *plugins, const char *name, const char *path,
     struct hg_error *error)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    const struct hg_class *cls;

    if (!library) {
        hg_error_set(error, "cannot load plugin: %s", dlerror());
        return NULL;
    }
    cls = dlsym(library, HG_PLUGIN_SYMBOL);
    if (!cls)
        hg_error_set(error,
                     "'%s' is not a headgate plugin: it has no symbol '%s' "
                     "(declare the class with HG_ELEMENT)",
                     path, HG_PLUGIN_SYMBOL);
    if (!cls || !check_class(cls, name, path, error)) {
        dlclose(library);
        return NULL;
    }
    remember(plugins, cls, library);
    return cls;
}

const struct hg_class *
hg_plugins_find(struct hg_plugins *plugins, const char *name,
                struct hg_error *error)
{
    size_t i;

    for (i = 0; i < plugins->n_loaded; i++)
        if (!strcmp(plugins->loaded[i].cls->name, name))
            return plugins->loaded[i].cls;
    hg_error_set(error, "%s", "");
    if (strchr(name, '/'))
        return NULL;
    for (i = 0; i < plugins->n_folders; i++) {
        char *path = xasprintf("%s/%s.so", plugins->folders[i], name);
        const struct hg_class *cls = NULL;
        bool found = !access(path, F_OK);

        if (found)
            cls = load(plugins, name, path, error);
        free(path);
        if (found)
            return cls;
    }
    return NULL;
}

static void
add_name(struct hg_plugins *plugins, const char *name, size_t len)
{
    size_t i;

    for (i = 0; i < plugins->n_names; i++)
        if (!strncmp(plugins->names[i], name, len) && !plugins->names[i][len])
            return;
    plugins->names = xrealloc(plugins->names,
                              (plugins->n_names + 1) * sizeof *plugins->names);
    plugins->names[plugins->n_names++] = xasprintf("%.*s", (int)len, name);
}

static int
compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

const char *const *
hg_plugins_names(struct hg_plugins *plugins, size_t *n)
{
    size_t i;

    if (!plugins->names) {
        for (i = 0; i < plugins->n_loaded; i++)
            add_name(plugins, plugins->loaded[i].cls->name,
                     strlen(plugins->loaded[i].cls->name));
        for (i = 0; i < plugins->n_folders; i++) {
            DIR *folder = opendir(plugins->folders[i]);
            struct dirent *entry;

            while (folder && (entry = readdir(folder)) != NULL) {
                size_t len = strlen(entry->d_name);

                if (len > 3 && !strcmp(entry->d_name + len - 3, ".so"))
                    add_name(plugins, entry->d_name, len - 3);
            }
            if (folder)
                closedir(folder);
        }
        if (plugins->n_names)
            qsort(plugins->names, plugins->n_names, sizeof *plugins->names,
                  compare_names);
    }
    *n = plugins->n_names;
    return (const char *const *)plugins->names;
}

const char *
hg_plugins_where(struct hg_plugins *plugins)
{
    size_t i;

    if (plugins->where)
        return plugins->where;
    plugins->where = xstrdup("");
    for (i = 0; i < plugins->n_folders; i++) {
        const char *link = !i                            ? ""
                           : i + 1 == plugins->n_folders ? " and "
                                                         : ", ";
        char *longer =
            xasprintf("%s%s'%s'", plugins->where, link, plugins->folders[i]);

        free(plugins->where);
        plugins->where = longer;
    }
    return plugins->where;
}
