/* options.c: from the text of a graph file to the members of a struct, by a
 * table of fields, and back.  lang.h declares it; the types themselves are
 * read and written by types.c. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "graph_internal.h"
#include "lang.h"
#include "options_internal.h"

const struct type_info option_types[] = {
    [HG_TYPE_BOOL] = {"'true' or 'false'", sizeof(bool), HG_TYPE_BOOL, false,
                      1},
    [HG_TYPE_U8] = {"a number", 1, HG_TYPE_U8, false, UINT8_MAX},
    [HG_TYPE_U16] = {"a number", 2, HG_TYPE_U16, false, UINT16_MAX},
    [HG_TYPE_U32] = {"a number", 4, HG_TYPE_U32, false, UINT32_MAX},
    [HG_TYPE_U64] = {"a number", 8, HG_TYPE_U64, false, UINT64_MAX},
    [HG_TYPE_STRING] = {"a text", sizeof(char *), HG_TYPE_STRING, false, 0},
    [HG_TYPE_ADDR] = {"an address such as '10.0.0.1' or '2001:db8::1'",
                      sizeof(struct hg_addr), HG_TYPE_ADDR, false, 0},
    [HG_TYPE_PREFIX] = {"a prefix such as '10.0.0.0/16'",
                        sizeof(struct hg_prefix), HG_TYPE_PREFIX, false, 0},
    [HG_TYPE_MAC] = {"a MAC address such as '02:00:00:00:00:01'",
                     sizeof(struct hg_mac), HG_TYPE_MAC, false, 0},
    [HG_TYPE_PORT_RANGE] = {"a port or a range such as '1024-65535'",
                            sizeof(struct hg_port_range), HG_TYPE_PORT_RANGE,
                            false, 0},
    [HG_TYPE_DURATION] = {"a duration such as '350s', '10m' or '5d'",
                          sizeof(struct hg_duration), HG_TYPE_DURATION, false,
                          UINT64_MAX},
    [HG_TYPE_SIZE] = {"a size such as '1500' or '64k'", sizeof(struct hg_size),
                      HG_TYPE_SIZE, false, UINT64_MAX},
    [HG_TYPE_RATE] = {"a rate such as '1000pps' or '10Mbps'",
                      sizeof(struct hg_rate), HG_TYPE_RATE, false, UINT64_MAX},
    [HG_TYPE_ELEMENT] = {"the name of an element", sizeof(struct hg_element *),
                         HG_TYPE_ELEMENT, false, 0},
    [HG_TYPE_ADDR_LIST] = {NULL, sizeof(struct hg_addr), HG_TYPE_ADDR, true,
                           0},
    [HG_TYPE_PREFIX_LIST] = {NULL, sizeof(struct hg_prefix), HG_TYPE_PREFIX,
                             true, 0},
    [HG_TYPE_PORT_RANGE_LIST] = {NULL, sizeof(struct hg_port_range),
                                 HG_TYPE_PORT_RANGE, true, 0},
    [HG_TYPE_STRING_LIST] = {NULL, sizeof(char *), HG_TYPE_STRING, true, 0},
    [HG_TYPE_NUMBER_LIST] = {NULL, 8, HG_TYPE_U64, true, UINT64_MAX},
    [HG_TYPE_ROWS] = {"sections", 0, HG_TYPE_ROWS, false, 0},
    [HG_TYPE_COUNTER] = {"a counter", 8, HG_TYPE_COUNTER, false, UINT64_MAX},
    [HG_TYPE_GAUGE] = {"a gauge", 8, HG_TYPE_GAUGE, false, UINT64_MAX},
};

struct vector
vector_load(const void *base, const struct hg_field *field)
{
    struct vector vector;

    memcpy(&vector, (const uint8_t *)base + field->offset, sizeof vector);
    return vector;
}

void
vector_store(void *base, const struct hg_field *field, struct vector vector)
{
    memcpy((uint8_t *)base + field->offset, &vector, sizeof vector);
}

char *
options_hyphenate(const char *name, char *buf, size_t size)
{
    char *at;

    snprintf(buf, size, "%s", name);
    for (at = buf; *at; at++)
        if (*at == '_')
            *at = '-';
    return buf;
}

static bool
same_name(const char *a, const char *b)
{
    for (; *a && *b; a++, b++)
        if (*a != *b &&
            !((*a == '_' || *a == '-') && (*b == '_' || *b == '-')))
            return false;
    return *a == *b;
}

const struct hg_field *
options_find(const struct hg_field *fields, size_t n_fields, const char *name)
{
    size_t i;

    for (i = 0; i < n_fields; i++)
        if (same_name(fields[i].name, name))
            return &fields[i];
    return NULL;
}

/* ---- One value -------------------------------------------------------- */

/* The index of 'word' among 'choices', or -1. */
static int
choice_index(const char *choices, const char *word)
{
    size_t len = strlen(word);
    int index = 0;

    while (*choices) {
        size_t n = strcspn(choices, " ");

        if (n == len && !memcmp(choices, word, n))
            return index;
        index++;
        choices += n;
        choices += strspn(choices, " ");
    }
    return -1;
}

/* "a, b or c" from "a b c". */
static char *
choices_text(const char *choices, char *buf, size_t size)
{
    size_t used = 0;

    buf[0] = '\0';
    while (*choices && used < size) {
        size_t n = strcspn(choices, " ");
        const char *rest = choices + n + strspn(choices + n, " ");
        const char *link = !used ? "" : *rest ? ", " : " or ";

        used += (size_t)snprintf(buf + used, size - used, "%s'%.*s'", link,
                                 (int)n, choices);
        choices = rest;
    }
    return buf;
}

void
option_format_number(enum hg_type type, uint64_t v, char *buf, size_t size)
{
    struct hg_rate rate = {v, HG_RATE_PACKETS};
    char text[HG_RATE_STRLEN > HG_DURATION_STRLEN ? HG_RATE_STRLEN
                                                  : HG_DURATION_STRLEN];

    if (type == HG_TYPE_DURATION)
        snprintf(buf, size, "%s", hg_duration_format(v, text));
    else if (type == HG_TYPE_RATE)
        snprintf(buf, size, "%s", hg_rate_format(&rate, text));
    else
        snprintf(buf, size, "%" PRIu64, v);
}

static bool
in_range(const struct hg_field *field, enum hg_type type, uint64_t v,
         const char *text, struct hg_error *error)
{
    uint64_t max = field->max ? field->max : option_types[type].max;
    char low[64], high[64];

    if (v >= field->min && v <= max)
        return true;
    option_format_number(type, field->min, low, sizeof low);
    option_format_number(type, max, high, sizeof high);
    if (max == UINT64_MAX)
        return hg_error_set(error, "must be at least %s, not '%s'", low, text);
    return hg_error_set(error, "must be from %s to %s, not '%s'", low, high,
                        text);
}

static bool
wrong_type(enum hg_type type, const char *text, struct hg_error *error)
{
    return hg_error_set(error, "takes %s, not '%s'", option_types[type].one,
                        text);
}

static bool
store_number(void *at, enum hg_type type, uint64_t v)
{
    uint8_t v8 = (uint8_t)v;
    uint16_t v16 = (uint16_t)v;
    uint32_t v32 = (uint32_t)v;

    switch (type) {
    case HG_TYPE_BOOL:
    case HG_TYPE_U8:
        memcpy(at, &v8, sizeof v8);
        break;
    case HG_TYPE_U16:
        memcpy(at, &v16, sizeof v16);
        break;
    case HG_TYPE_U32:
        memcpy(at, &v32, sizeof v32);
        break;
    default:
        memcpy(at, &v, sizeof v);
        break;
    }
    return true;
}

static bool
parse_number(void *at, const struct hg_field *field, enum hg_type type,
             const char *text, struct hg_error *error)
{
    struct hg_duration duration;
    struct hg_size size;
    struct hg_rate rate;
    uint64_t v;
    bool ok;

    switch (type) {
    case HG_TYPE_DURATION:
        ok = hg_duration_parse(text, &duration);
        v = ok ? duration.ns : 0;
        break;
    case HG_TYPE_SIZE:
        ok = hg_size_parse(text, &size);
        v = ok ? size.bytes : 0;
        break;
    case HG_TYPE_RATE:
        ok = hg_rate_parse(text, &rate);
        v = ok ? rate.per_second : 0;
        break;
    default:
        ok = hg_number_parse(text, &v);
        break;
    }
    if (!ok)
        return wrong_type(type, text, error);
    if (!in_range(field, type, v, text, error))
        return false;
    if (type == HG_TYPE_RATE) {
        memcpy(at, &rate, sizeof rate);
        return true;
    }
    return store_number(at, type, v);
}

static bool
parse_choice(void *at, const struct hg_field *field, const char *text,
             struct hg_error *error)
{
    int index = choice_index(field->choices, text);
    char words[256];

    if (index < 0)
        return hg_error_set(error, "takes %s, not '%s'",
                            choices_text(field->choices, words, sizeof words),
                            text);
    return store_number(at, field->type, (uint64_t)index);
}

/* Reads 'text' as one value of 'type' into 'at'. */
static bool
parse_value(void *at, const struct hg_field *field, enum hg_type type,
            const char *text, struct hg_error *error)
{
    struct hg_addr addr;
    struct hg_prefix prefix;
    struct hg_mac mac;
    struct hg_port_range range;
    char *string;
    bool flag;

    if (field->choices && type != HG_TYPE_STRING)
        return parse_choice(at, field, text, error);
    switch (type) {
    case HG_TYPE_BOOL:
        if (!hg_bool_parse(text, &flag))
            return wrong_type(type, text, error);
        memcpy(at, &flag, sizeof flag);
        return true;
    case HG_TYPE_STRING:
        string = xstrdup(text);
        memcpy(at, &string, sizeof string);
        return true;
    case HG_TYPE_ADDR:
        if (!hg_addr_parse(text, &addr))
            return wrong_type(type, text, error);
        memcpy(at, &addr, sizeof addr);
        return true;
    case HG_TYPE_PREFIX:
        if (!hg_prefix_parse(text, &prefix))
            return wrong_type(type, text, error);
        memcpy(at, &prefix, sizeof prefix);
        return true;
    case HG_TYPE_MAC:
        if (!hg_mac_parse(text, &mac))
            return wrong_type(type, text, error);
        memcpy(at, &mac, sizeof mac);
        return true;
    case HG_TYPE_PORT_RANGE:
        if (!hg_port_range_parse(text, &range))
            return wrong_type(type, text, error);
        if (range.low < field->min || (field->max && range.high > field->max))
            return hg_error_set(
                error, "must lie in %" PRIu64 "-%" PRIu64 ", not '%s'",
                field->min, field->max ? field->max : UINT16_MAX, text);
        memcpy(at, &range, sizeof range);
        return true;
    default:
        return parse_number(at, field, type, text, error);
    }
}

/* ---- Freeing ---------------------------------------------------------- */

static void
free_one(void *base, const struct hg_field *field)
{
    const struct type_info *info = &option_types[field->type];
    struct vector vector;
    char *string;
    size_t i;

    if (field->kind != HG_FIELD_OPTION && field->kind != HG_FIELD_ROWS)
        return;
    if (field->type == HG_TYPE_STRING) {
        memcpy(&string, (uint8_t *)base + field->offset, sizeof string);
        free(string);
        string = NULL;
        memcpy((uint8_t *)base + field->offset, &string, sizeof string);
    }
    if (!info->list && field->type != HG_TYPE_ROWS)
        return;
    vector = vector_load(base, field);
    for (i = 0; i < vector.n; i++) {
        if (field->type == HG_TYPE_ROWS)
            options_free((uint8_t *)vector.v + i * field->row_size,
                         field->fields, field->n_fields);
        if (field->type == HG_TYPE_STRING_LIST)
            free(((char **)vector.v)[i]);
    }
    free(vector.v);
    vector_store(base, field, (struct vector){0, NULL});
}

void
options_free(void *base, const struct hg_field *fields, size_t n_fields)
{
    size_t i;

    for (i = 0; i < n_fields; i++)
        free_one(base, &fields[i]);
}

/* ---- Setting ---------------------------------------------------------- */

/* Where the parse of value 'i' failed is told by *bad. */
bool
option_set_values(void *base, const struct hg_field *field,
                  const char *const *values, size_t n, struct hg_error *error,
                  size_t *bad)
{
    const struct type_info *info = &option_types[field->type];
    uint8_t one[64];
    struct vector vector = {n, NULL};

    *bad = 0;
    if (!info->list) {
        if (n != 1)
            return hg_error_set(error, "takes one value, not %zu", n);
        if (!parse_value(one, field, field->type, values[0], error))
            return false;
        free_one(base, field);
        memcpy((uint8_t *)base + field->offset, one, info->size);
        return true;
    }
    if (n < field->min_n || (field->max_n && n > field->max_n))
        return field->max_n
                   ? hg_error_set(error, "takes %u to %u values, not %zu",
                                  field->min_n, field->max_n, n)
                   : hg_error_set(error, "takes at least %u values, not %zu",
                                  field->min_n, n);
    vector.v = xcalloc(n, info->size);
    for (*bad = 0; *bad < n; ++*bad)
        if (!parse_value((uint8_t *)vector.v + *bad * info->size, field,
                         info->item, values[*bad], error)) {
            free(vector.v); /* Texts always parse: none is in it. */
            return false;
        }
    free_one(base, field);
    vector_store(base, field, vector);
    return true;
}

bool
option_prefix_error(struct hg_error *error, const char *name)
{
    char hyphenated[128];
    struct hg_error copy = *error;

    return hg_error_set(error, "option '%s' %s",
                        options_hyphenate(name, hyphenated, sizeof hyphenated),
                        copy.text);
}

bool
options_set(void *base, const struct hg_field *field,
            const char *const *values, size_t n, struct hg_error *error)
{
    size_t bad;
    struct hg_error why = {""};

    if (option_set_values(base, field, values, n, &why, &bad))
        return true;
    option_prefix_error(&why, field->name);
    return hg_error_set(error, "%s", why.text);
}

bool
options_set_words(void *base, const struct hg_field *field, const char *text,
                  struct hg_error *error)
{
    const char **values = NULL;
    char *copy, *word, *save = NULL;
    size_t n = 0;
    bool ok;

    if (!option_types[field->type].list)
        return options_set(base, field, &text, 1, error);
    copy = xstrdup(text);
    for (word = strtok_r(copy, " ,", &save); word;
         word = strtok_r(NULL, " ,", &save)) {
        values = xrealloc(values, (n + 1) * sizeof *values);
        values[n++] = word;
    }
    ok = options_set(base, field, values, n, error);
    free(values);
    free(copy);
    return ok;
}

void
options_default(void *base, const struct hg_field *fields, size_t n_fields)
{
    struct hg_error error;
    size_t i;

    for (i = 0; i < n_fields; i++) {
        const struct hg_field *field = &fields[i];

        if (field->kind != HG_FIELD_OPTION || !field->def ||
            field->type == HG_TYPE_ELEMENT)
            continue;
        if (!options_set_words(base, field, field->def, &error)) {
            fprintf(stderr,
                    "headgate: the default of %s; its author must "
                    "fix it\n",
                    error.text);
            abort();
        }
    }
}
