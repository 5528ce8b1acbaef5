/* lang_connect.c: what stands in connect("..."): chains such as
 * "a -> b[port] -> [port]c", separated by ";" or ends of lines.  A line that
 * begins or ends with an arrow goes on. */
#include <ctype.h>
#include <string.h>

#include "lang.h"

struct scanner {
    struct lang_file *file;
    struct hg_diags *diags;
    const char *text;
    size_t pos;
    size_t end;
    size_t begin;                 /* Of the string, with its quote ... */
    const struct hg_place *place; /* ... and where that is. */
    size_t known;                 /* The last offset whose place ... */
    struct hg_place known_place;  /* ... was asked for. */
};

static struct hg_place
place_at(struct scanner *s, size_t begin, size_t len)
{
    size_t i;

    if (begin < s->known) {
        s->known = s->begin;
        s->known_place = *s->place;
    }
    for (i = s->known; i < begin; i++) {
        s->known_place.column++;
        if (s->text[i] == '\n') {
            s->known_place.line++;
            s->known_place.column = 1;
        }
    }
    s->known = begin;
    s->known_place.length = len ? (unsigned)len : 1;
    return s->known_place;
}

#define ERROR(s, begin, len, ...)                                             \
    do {                                                                      \
        struct hg_place error_place_ = place_at(s, begin, len);               \
                                                                              \
        hg_diag((s)->diags, HG_SEVERITY_ERROR, &error_place_, __VA_ARGS__);   \
        (s)->file->broken = true;                                             \
    } while (0)

static bool
at_end(const struct scanner *s)
{
    return s->pos >= s->end;
}

static bool
at_arrow(const struct scanner *s)
{
    return s->pos + 1 < s->end && s->text[s->pos] == '-' &&
           s->text[s->pos + 1] == '>';
}

static bool
is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void
skip_space(struct scanner *s)
{
    while (!at_end(s) && is_space(s->text[s->pos]))
        s->pos++;
}

/* To the end of a statement: true if there is one here. */
static bool
skip_to_next(struct scanner *s)
{
    size_t from = s->pos;

    skip_space(s);
    if (at_end(s) || s->text[s->pos] == ';')
        return true;
    if (!at_arrow(s) && memchr(s->text + from, '\n', s->pos - from))
        return true;
    return false;
}

static size_t
name_length(const struct scanner *s)
{
    size_t i = s->pos;

    while (i < s->end &&
           (isalnum((unsigned char)s->text[i]) ||
            (s->text[i] && strchr("_.:*", s->text[i])) ||
            (s->text[i] == '-' && (i + 1 == s->end || s->text[i + 1] != '>'))))
        i++;
    return i - s->pos;
}

static char *
take(struct scanner *s, size_t len)
{
    char *copy = lang_copy(&s->file->memory, s->text + s->pos, len);

    s->pos += len;
    return copy;
}

/* "[port]"; false after a mistake. */
static bool
parse_port(struct scanner *s, char **port, struct hg_place *place)
{
    size_t open = s->pos++, len;

    skip_space(s);
    len = name_length(s);
    if (!len) {
        ERROR(s, open, 1, "a port is named between '[' and ']'");
        return false;
    }
    *place = place_at(s, s->pos, len);
    *port = take(s, len);
    skip_space(s);
    if (at_end(s) || s->text[s->pos] != ']') {
        ERROR(s, open, 1, "']' is missing behind port '%s'", *port);
        return false;
    }
    s->pos++;
    return true;
}

static bool
at_port(const struct scanner *s)
{
    return !at_end(s) && s->text[s->pos] == '[';
}

static bool
parse_end(struct scanner *s, struct lang_chain *chain)
{
    struct lang_end end = {0};
    size_t len;

    if (at_port(s) && !parse_port(s, &end.in, &end.in_place))
        return false;
    skip_space(s);
    len = name_length(s);
    if (!len && at_arrow(s))
        ERROR(s, s->pos, 2, "an element is missing before '->'");
    else if (!len && (at_end(s) || s->text[s->pos] == ';'))
        ERROR(s, at_end(s) && s->pos ? s->pos - 1 : s->pos, 1,
              "an element is missing at the end");
    else if (!len)
        ERROR(s, s->pos, 1,
              "unexpected '%c'; a connection is 'a[port] -> [port]b'",
              s->text[s->pos]);
    if (!len)
        return false;
    end.place = place_at(s, s->pos, len);
    end.name = take(s, len);
    while (!at_end(s) && (s->text[s->pos] == ' ' || s->text[s->pos] == '\t'))
        s->pos++;
    chain->ends =
        lang_grow(&s->file->memory, chain->ends, chain->n_ends, sizeof end);
    chain->ends[chain->n_ends++] = end;
    if (!at_port(s))
        return true;
    return parse_port(s, &chain->ends[chain->n_ends - 1].out,
                      &chain->ends[chain->n_ends - 1].out_place);
}

static bool
parse_ends(struct scanner *s, struct lang_chain *chain)
{
    for (;;) {
        const char *last;

        if (!parse_end(s, chain))
            return false;
        if (skip_to_next(s))
            return true;
        last = chain->ends[chain->n_ends - 1].name;
        if (!at_arrow(s)) {
            if (name_length(s) || at_port(s))
                ERROR(s, s->pos, 1, "'->' is missing behind '%s'", last);
            else
                ERROR(s, s->pos, 1, "unexpected '%c' behind '%s'",
                      s->text[s->pos], last);
            return false;
        }
        s->pos += 2;
        skip_space(s);
    }
}

/* Ports where nothing goes in or out, and single elements. */
static bool
check_ends(struct scanner *s, const struct lang_chain *chain)
{
    const struct lang_end *first = &chain->ends[0];
    const struct lang_end *last = &chain->ends[chain->n_ends - 1];

    if (chain->n_ends == 1)
        hg_diag(s->diags, HG_SEVERITY_ERROR, &first->place,
                "'%s' is connected to nothing; write 'a -> b'", first->name);
    else if (first->in)
        hg_diag(s->diags, HG_SEVERITY_ERROR, &first->in_place,
                "nothing goes into '%s' here; its output port stands behind "
                "the name: '%s[%s]'",
                first->name, first->name, first->in);
    else if (last->out)
        hg_diag(s->diags, HG_SEVERITY_ERROR, &last->out_place,
                "nothing comes out of '%s' here; its input port stands before "
                "the name: '[%s]%s'",
                last->name, last->out, last->name);
    else
        return true;
    return false;
}

/* What is left of a broken statement: only the names matter, so that their
 * elements are not said to be unconnected. */
static void
collect_names(struct scanner *s, struct lang_chain *chain)
{
    while (!at_end(s) && s->text[s->pos] != ';' && s->text[s->pos] != '\n') {
        size_t len = name_length(s);
        struct lang_end end = {.place = place_at(s, s->pos, len)};

        if (!len) {
            s->pos++;
            continue;
        }
        end.name = take(s, len);
        chain->ends = lang_grow(&s->file->memory, chain->ends, chain->n_ends,
                                sizeof end);
        chain->ends[chain->n_ends++] = end;
    }
}

static void
parse_chain(struct scanner *s)
{
    struct lang_file *file = s->file;
    struct lang_chain chain = {0};

    if (!parse_ends(s, &chain)) {
        chain.broken = true;
        collect_names(s, &chain);
    } else if (!check_ends(s, &chain)) {
        chain.broken = file->broken = true;
    }
    file->chains =
        lang_grow(&file->memory, file->chains, file->n_chains, sizeof chain);
    file->chains[file->n_chains++] = chain;
}

void
lang_connect(struct lang_file *file, const struct hg_place *string,
             const char *text, size_t begin, size_t end,
             struct hg_diags *diags)
{
    struct scanner s = {.file = file,
                        .diags = diags,
                        .text = text,
                        .pos = begin,
                        .end = end,
                        .begin = begin - 1,
                        .place = string,
                        .known = begin - 1,
                        .known_place = *string};
    size_t n = file->n_chains;

    for (;;) {
        skip_space(&s);
        while (!at_end(&s) && s.text[s.pos] == ';') {
            s.pos++;
            skip_space(&s);
        }
        if (at_end(&s))
            break;
        parse_chain(&s);
    }
    if (file->n_chains == n)
        ERROR(&s, begin - 1, end - begin + 2, "this connects nothing");
}
