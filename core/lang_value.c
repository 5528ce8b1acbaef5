/* lang_value.c: the values of options.  lang.c found where each begins and
 * ends; here variables are looked up and libconfuse reads the rest: quoting,
 * escapes, ${NAME} and ${NAME:-default} from the environment.
 *
 * libconfuse takes an unknown variable for an empty text and gives no
 * positions, so that both are seen to before it gets a value, one at a
 * time. */
#include <confuse.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "graph_internal.h"
#include "lang.h"

/* ---- Texts that grow -------------------------------------------------- */

struct text {
    char *s;
    size_t len;
    size_t size;
};

static void
text_add(struct text *text, const char *s, size_t len)
{
    if (text->len + len + 1 > text->size) {
        text->size = 2 * (text->len + len) + 64;
        text->s = xrealloc(text->s, text->size);
    }
    memcpy(text->s + text->len, s, len);
    text->len += len;
    text->s[text->len] = '\0';
}

/* For the inside of double quotes. */
static void
text_add_escaped(struct text *text, const char *s)
{
    for (; *s; s++) {
        if (strchr("\"\\$", *s))
            text_add(text, "\\", 1);
        text_add(text, s, 1);
    }
}

/* ---- Variables -------------------------------------------------------- */

struct expander {
    struct lang_memory *memory;
    const struct lang_variable *variables;
    const struct lang_value *raw;
    const struct lang_option *option;
    struct hg_diags *diags;
};

static bool
fail(const struct expander *x, size_t begin, size_t len, const char *format,
     ...)
{
    struct hg_place place = x->raw->place;
    va_list args;
    char *message;

    place.column += (unsigned)begin;
    place.length = (unsigned)len;
    va_start(args, format);
    if (vasprintf(&message, format, args) < 0)
        message = xstrdup(format);
    va_end(args);
    hg_diag(x->diags, HG_SEVERITY_ERROR, &place, "%s", message);
    free(message);
    return false;
}

static bool
is_name(const char *s, size_t len)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_-0123456789";
    size_t i;

    for (i = 0; i < len; i++)
        if (!strchr(letters, s[i]))
            return false;
    return len && !strchr("-0123456789", s[0]);
}

static const struct lang_variable *
find_variable(const struct expander *x, const char *name, size_t len)
{
    const struct lang_variable *v;

    for (v = x->variables; v; v = v->next)
        if (strlen(v->name) == len && !memcmp(v->name, name, len))
            return v;
    return NULL;
}

/* The length of the "${...}" at 's', or 0 if it is none. */
static size_t
variable_length(const char *s)
{
    size_t len;

    if (s[0] != '$' || s[1] != '{')
        return 0;
    len = strcspn(s, "}");
    return s[len] ? len + 1 : 0;
}

static bool
no_variable(const struct expander *x, size_t at, size_t len, const char *name)
{
    const struct lang_variable *v;
    const char *words[64], *nearest;
    size_t n = 0;

    for (v = x->variables; v && n < 64; v = v->next)
        words[n++] = v->name;
    nearest = hg_nearest(name, words, n);
    if (nearest)
        return fail(x, at, len,
                    "no parameter or environment variable '%s'; did you mean "
                    "'%s'?",
                    name, nearest);
    return fail(x, at, len,
                "environment variable '%s' is not set; set it or give a "
                "default: ${%s:-value}",
                name, name);
}

/* Appends what "${...}" at raw->text + at stands for, or, for libconfuse to
 * read, itself. */
static bool
add_variable(const struct expander *x, size_t at, size_t len, struct text *out)
{
    const char *s = x->raw->text + at;
    const char *colon = memmem(s, len, ":-", 2);
    size_t name_len = colon ? (size_t)(colon - s) - 2 : len - 3;
    const struct lang_variable *v = find_variable(x, s + 2, name_len);
    char *name = lang_copy(x->memory, s + 2, name_len);

    if (!is_name(name, name_len))
        return fail(x, at, len,
                    "'%s' is no name of a variable; write ${NAME} or "
                    "${NAME:-default}",
                    name);
    if (v && v->missing)
        return false;
    if (v && v->n_values != 1)
        return fail(x, at, len,
                    "'%s' is a list of %zu; it can only be a value of its own",
                    name, v->n_values);
    if (v)
        text_add_escaped(out, v->values[0].text);
    else if (colon || getenv(name))
        text_add(out, s, len);
    else
        return no_variable(x, at, len, name);
    return true;
}

/* ---- libconfuse ------------------------------------------------------- */

/* libconfuse hands its callback no pointer of ours. */
static _Thread_local char confuse_message[256];

__attribute__((format(printf, 2, 0))) static void
confuse_error(cfg_t *cfg, const char *format, va_list args)
{
    (void)cfg;
    vsnprintf(confuse_message, sizeof confuse_message, format, args);
}

/* Reads a quoted text; NULL if libconfuse refuses it. */
static char *
confuse_read(struct lang_memory *memory, const char *quoted)
{
    cfg_opt_t options[] = {CFG_STR("value", NULL, CFGF_NONE), CFG_END()};
    cfg_t *cfg = cfg_init(options, CFGF_NONE);
    char *line = xasprintf("value = %s\n", quoted);
    const char *text;
    char *copy = NULL;

    if (!cfg) {
        fputs("headgate: out of memory\n", stderr);
        exit(1);
    }
    cfg_set_error_function(cfg, confuse_error);
    snprintf(confuse_message, sizeof confuse_message, "not a value");
    if (cfg_parse_buf(cfg, line) == CFG_SUCCESS) {
        text = cfg_getstr(cfg, "value");
        if (text)
            copy = lang_copy(memory, text, strlen(text));
    }
    free(line);
    cfg_free(cfg);
    return copy;
}

/* ---- Values ----------------------------------------------------------- */

/* The value in double quotes, parameters put in. */
static bool
requote(const struct expander *x, struct text *out)
{
    const char *s = x->raw->text;
    bool quoted = s[0] == '"', ok = true;
    size_t i = quoted, len = strlen(s), n;

    len -= quoted && len > 1;
    text_add(out, "\"", 1);
    while (i < len && ok) {
        n = variable_length(s + i);
        if (n) {
            ok = add_variable(x, i, n, out);
            i += n;
        } else if (quoted && s[i] == '\\' && i + 1 < len) {
            text_add(out, s + i, 2);
            i += 2;
        } else {
            if (s[i] == '\\')
                text_add(out, "\\", 1);
            text_add(out, s + i++, 1);
        }
    }
    text_add(out, "\"", 1);
    return ok;
}

/* The variable that is all there is, as in "public = ${public}". */
static const struct lang_variable *
whole_variable(const struct expander *x)
{
    const char *s = x->raw->text;
    size_t len = variable_length(s);

    if (!len || s[len] || memmem(s, len, ":-", 2))
        return NULL;
    return find_variable(x, s + 2, len - 3);
}

static void
add_value(const struct expander *x, struct lang_option *out, char *text)
{
    out->values =
        lang_grow(x->memory, out->values, out->n_values, sizeof *out->values);
    out->values[out->n_values++] =
        (struct lang_value){.text = text, .place = x->raw->place};
}

static bool
expand_value(const struct expander *x, struct lang_option *out)
{
    const struct lang_variable *whole = whole_variable(x);
    struct text quoted = {0};
    char *text;
    size_t i;

    if (whole) {
        if (whole->missing)
            return false;
        for (i = 0; i < whole->n_values; i++)
            add_value(x, out, whole->values[i].text);
        out->is_list |= whole->n_values != 1;
        return true;
    }
    if (x->raw->text[0] == '\'')
        text_add(&quoted, x->raw->text, strlen(x->raw->text));
    else if (!requote(x, &quoted)) {
        free(quoted.s);
        return false;
    }
    text = confuse_read(x->memory, quoted.s);
    free(quoted.s);
    if (!text)
        return fail(x, 0, x->raw->place.length, "option '%s': %s",
                    x->option->key, confuse_message);
    add_value(x, out, text);
    return true;
}

bool
lang_expand_option(struct lang_memory *memory, const struct lang_option *raw,
                   const struct lang_variable *variables,
                   struct lang_option *out, struct hg_diags *diags)
{
    struct expander x = {.memory = memory,
                         .variables = variables,
                         .option = raw,
                         .diags = diags};
    bool ok = true;
    size_t i;

    *out = *raw;
    out->values = NULL;
    out->n_values = 0;
    for (i = 0; i < raw->n_values; i++) {
        x.raw = &raw->values[i];
        ok &= expand_value(&x, out);
    }
    return ok;
}

bool
lang_expand(struct lang_memory *memory, const struct lang_section *raw,
            const struct lang_variable *variables, struct lang_section *out,
            struct hg_diags *diags)
{
    bool ok = true;
    size_t i;

    *out = *raw;
    out->options = lang_alloc(memory, raw->n_options * sizeof *out->options);
    out->n_options = 0;
    out->sections =
        lang_alloc(memory, raw->n_sections * sizeof *out->sections);
    for (i = 0; i < raw->n_options; i++)
        if (lang_expand_option(memory, &raw->options[i], variables,
                               &out->options[out->n_options], diags))
            out->n_options++;
        else
            ok = false;
    for (i = 0; i < raw->n_sections; i++)
        ok &= lang_expand(memory, &raw->sections[i], variables,
                          &out->sections[i], diags);
    return ok;
}
