/* service_ranges.c: which AWS service an address belongs to, after the
 * published ip-ranges.json (headgate/flow_format.h). */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include <headgate/flow_format.h>

#include "graph_internal.h"

struct hg_service_ranges {
    struct hg_lpm *lpm; /* Values: numbers of names. */
    char **name;
    uint32_t n;
};

static uint32_t
number_of(struct hg_service_ranges *s, const char *name)
{
    uint32_t i;

    for (i = 0; i < s->n; i++)
        if (!strcmp(s->name[i], name))
            return i;
    s->name = xrealloc(s->name, (s->n + 1) * sizeof *s->name);
    s->name[s->n] = xstrdup(name);
    return s->n++;
}

/* How much a name says: the more, the better. */
static int
rank(const char *name)
{
    return !strcmp(name, "AMAZON") ? 0 : !strcmp(name, "EC2") ? 1 : 2;
}

static void
add(struct hg_service_ranges *s, const struct hg_prefix *prefix,
    const char *name)
{
    uint32_t had = hg_lpm_get(s->lpm, prefix);

    if (had == HG_LPM_NONE || rank(s->name[had]) < rank(name))
        hg_lpm_set(s->lpm, prefix, number_of(s, name));
}

static bool
add_array(struct hg_service_ranges *s, const json_t *root, const char *array,
          const char *key, struct hg_error *error)
{
    const json_t *entries = json_object_get(root, array), *entry;
    size_t i;

    if (!json_is_array(entries))
        return hg_error_set(
            error, "no array '%s', which an ip-ranges.json has", array);
    json_array_foreach(entries, i, entry)
    {
        const char *text = json_string_value(json_object_get(entry, key));
        const char *name =
            json_string_value(json_object_get(entry, "service"));
        struct hg_prefix prefix;

        if (!text || !hg_prefix_parse(text, &prefix) || !name)
            return hg_error_set(error,
                                "entry %zu of '%s' needs '%s', a prefix, and "
                                "'service', a name",
                                i + 1, array, key);
        add(s, &prefix, name);
    }
    return true;
}

struct hg_service_ranges *
hg_service_ranges_create(const char *path, struct hg_error *error)
{
    struct hg_service_ranges *s;
    json_error_t where;
    json_t *root = json_load_file(path, 0, &where);
    struct hg_error why;
    bool ok;

    if (!root && where.line < 0) {
        hg_error_set(error, "'%s': %s", path, where.text);
        return NULL;
    }
    if (!root) {
        hg_error_set(error, "%s:%d:%d: %s", path, where.line, where.column,
                     where.text);
        return NULL;
    }
    s = xcalloc(1, sizeof *s);
    s->lpm = hg_lpm_create();
    ok = add_array(s, root, "prefixes", "ip_prefix", &why) &&
         add_array(s, root, "ipv6_prefixes", "ipv6_prefix", &why);
    json_decref(root);
    if (ok)
        return s;
    hg_error_set(error, "%s: %.400s", path, why.text);
    hg_service_ranges_destroy(s);
    return NULL;
}

void
hg_service_ranges_destroy(struct hg_service_ranges *s)
{
    uint32_t i;

    if (!s)
        return;
    for (i = 0; i < s->n; i++)
        free(s->name[i]);
    free(s->name);
    hg_lpm_destroy(s->lpm);
    free(s);
}

const char *
hg_service_ranges_lookup(const struct hg_service_ranges *s,
                         const struct hg_addr *addr)
{
    uint32_t i = hg_lpm_lookup(s->lpm, addr);

    return i == HG_LPM_NONE ? NULL : s->name[i];
}
