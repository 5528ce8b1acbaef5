/* lang.c: from the tokens of a graph file (lang_token.h) to sections and
 * options with their places; see lang.h.
 *
 * One pass finds sections, keys, braces and the extent of values; a mistake is
 * reported and the pass goes on behind it, so that one broken section does
 * not hide what is wrong in the others. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "graph_internal.h"
#include "lang_token.h"

#define MAX_DEPTH 16         /* Of sections in sections. */
#define MAX_SIZE (64u << 20) /* Of a graph file, bytes. */

/* ---- Memory ----------------------------------------------------------- */

struct lang_block {
    struct lang_block *next;
    max_align_t data[];
};

void *
lang_alloc(struct lang_memory *memory, size_t size)
{
    struct lang_block *block = xcalloc(1, sizeof *block + size);

    block->next = memory->blocks;
    memory->blocks = block;
    return block->data;
}

char *
lang_copy(struct lang_memory *memory, const char *text, size_t len)
{
    char *copy = lang_alloc(memory, len + 1);

    memcpy(copy, text, len);
    return copy;
}

char *
lang_format(struct lang_memory *memory, const char *format, ...)
{
    va_list args;
    char *text, *copy;

    va_start(args, format);
    if (vasprintf(&text, format, args) < 0)
        text = xstrdup(format);
    va_end(args);
    copy = lang_copy(memory, text, strlen(text));
    free(text);
    return copy;
}

void *
lang_grow(struct lang_memory *memory, void *array, size_t n, size_t size)
{
    void *larger;

    if (n & (n - 1)) /* Full only at 0, 1, 2, 4, 8 ... */
        return array;
    larger = lang_alloc(memory, (n ? 2 * n : 1) * size);
    if (n)
        memcpy(larger, array, n * size);
    return larger;
}

void
lang_free(struct lang_memory *memory)
{
    while (memory->blocks) {
        struct lang_block *block = memory->blocks;

        memory->blocks = block->next;
        free(block);
    }
}

/* ---- Files ------------------------------------------------------------ */

/* Reads all of 'fd' into memory of 'file'; 0 or errno. */
static int
read_all(int fd, struct source *source, struct lang_memory *memory)
{
    size_t size = 0;
    char *text = NULL;
    int error = 0;

    for (;;) {
        ssize_t n;

        text = xrealloc(text, size + 65536);
        n = read(fd, text + size, 65536);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            error = errno;
        if (n <= 0)
            break;
        size += (size_t)n;
        if (size > MAX_SIZE) {
            error = EFBIG;
            break;
        }
    }
    source->text = lang_copy(memory, text, error ? 0 : size);
    source->len = error ? 0 : size;
    free(text);
    return error;
}

static int
open_source(struct source *source, const char *path,
            struct lang_memory *memory)
{
    struct stat st;
    bool is_stdin = !strcmp(path, "-");
    int fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    int error;

    if (fd < 0)
        return errno;
    error = fstat(fd, &st) ? errno : 0;
    if (!error && S_ISDIR(st.st_mode))
        error = EISDIR;
    if (!error)
        error = read_all(fd, source, memory);
    if (!error) {
        source->device = st.st_dev;
        source->inode = st.st_ino;
        source->is_file = S_ISREG(st.st_mode);
        source->name =
            is_stdin ? "<stdin>" : lang_copy(memory, path, strlen(path));
    }
    if (!is_stdin)
        close(fd);
    return error;
}

char *
lang_path(struct lang_memory *memory, const char *from, const char *path)
{
    const char *slash = strrchr(from, '/');

    if (!strcmp(path, "-")) /* Only the top file is standard input. */
        path = "./-";
    if (path[0] == '/' || !slash)
        return lang_copy(memory, path, strlen(path));
    return lang_format(memory, "%.*s%s", (int)(slash - from + 1), from, path);
}

/* ---- Options ---------------------------------------------------------- */

static void
add_value(struct parser *parser, struct lang_option *option,
          struct token token)
{
    option->values = lang_grow(&parser->file->memory, option->values,
                               option->n_values, sizeof *option->values);
    option->values[option->n_values++] = (struct lang_value){
        .text = token_copy(parser, token),
        .place = token_place(parser, token.begin, token.end)};
}

static void
parse_list(struct parser *parser, struct lang_option *option,
           struct token open)
{
    bool comma = true;

    option->is_list = true;
    for (;;) {
        struct token token = token_peek(parser),
                     after = token_peek_behind(parser, token);

        if (token_is(token, '}')) {
            token_next(parser);
            return;
        }
        if (token.kind == TOKEN_END || token_is(token, '(') ||
            token_is(after, '(') ||
            (token.kind == TOKEN_WORD && token_is(after, '='))) {
            ERROR(parser, open.begin, open.end,
                  "the list of '%s' is never closed; '}' is missing",
                  option->key);
            return;
        }
        token_next(parser);
        if (token_is_text(token)) {
            if (!comma)
                ERROR(parser, token.begin, token.end,
                      "',' is missing before '%.*s'", TEXT(parser, token));
            add_value(parser, option, token);
            comma = false;
        } else if (token_is(token, ',') && !comma) {
            comma = true;
        } else {
            ERROR(parser, token.begin, token.end,
                  "unexpected '%.*s' in the list of '%s'; a list is "
                  "'{ a, b }'",
                  TEXT(parser, token), option->key);
            comma = true;
        }
    }
}

/* Whether "key = word" is meant, and not "key =" above "word = ...". */
static bool
is_value(struct parser *parser, struct token token, struct token equals)
{
    struct token after = token_peek_behind(parser, token);

    return token.kind == TOKEN_STRING ||
           (token.kind == TOKEN_WORD &&
            (token_same_line(parser, equals.begin, token.begin) ||
             (!token_is(after, '=') && !token_is(after, '(') &&
              !token_is(after, '{'))));
}

static void
parse_value(struct parser *parser, struct lang_option *option,
            struct token equals)
{
    struct token token = token_peek(parser), after;

    if (token_is(token, '{')) {
        parse_list(parser, option, token_next(parser));
        return;
    }
    if (!is_value(parser, token, equals)) {
        ERROR(parser, equals.begin, equals.end, "no value behind '%s ='",
              option->key);
        option->n_values = 0;
        return;
    }
    token_next(parser);
    add_value(parser, option, token);
    after = token_peek(parser);
    if (token_is(after, '=') && after.begin == token.end) {
        ERROR(parser, token.begin,
              token_word_end(parser->source->code, after.begin + 1),
              "a value with '=' in it needs quotes");
        token_skip_line(parser, token.begin);
    } else if (after.kind == TOKEN_STRING &&
               token_same_line(parser, token.begin, after.begin)) {
        ERROR(parser, after.begin, after.end,
              "unexpected %.*s behind the value of '%s'; several values are "
              "a list: '{ a, b }'",
              TEXT(parser, after), option->key);
        token_skip_line(parser, token.begin);
    }
}

static bool
same_key(const char *a, const char *b)
{
    for (; *a && *b; a++, b++)
        if (*a != *b && !(strchr("-_", *a) && strchr("-_", *b)))
            return false;
    return *a == *b;
}

static void
add_option(struct parser *parser, struct lang_section *section,
           const struct lang_option *option)
{
    size_t i;

    for (i = 0; i < section->n_options; i++) {
        if (!same_key(section->options[i].key, option->key))
            continue;
        hg_diag(parser->diags, HG_SEVERITY_ERROR, &option->place,
                "option '%s' is given twice", option->key);
        hg_diag(parser->diags, HG_SEVERITY_NOTE, &section->options[i].place,
                "first given here");
        parser->file->broken = true;
        return;
    }
    section->options = lang_grow(&parser->file->memory, section->options,
                                 section->n_options, sizeof *section->options);
    section->options[section->n_options++] = *option;
}

/* "key = value"; 'section' is NULL where none is open. */
static void
parse_option(struct parser *parser, struct lang_section *section,
             struct token key)
{
    struct token equals = token_next(parser);
    struct lang_option option = {.key = token_unquoted(parser, key),
                                 .place =
                                     token_place(parser, key.begin, key.end)};

    if (equals.kind == TOKEN_PLUS_EQUALS)
        ERROR(parser, equals.begin, equals.end,
              "no '+=' here; write the whole list behind one '='");
    if (!section)
        ERROR(parser, key.begin, key.end,
              "option '%s' stands outside of any section", option.key);
    parse_value(parser, &option, equals);
    if (section && equals.kind != TOKEN_PLUS_EQUALS &&
        (option.n_values || option.is_list))
        add_option(parser, section, &option);
}

/* ---- connect and include ---------------------------------------------- */

static void parse_source(struct parser *outer, struct source *source);

static void
include(struct parser *parser, struct token token)
{
    struct lang_memory *memory = &parser->file->memory;
    struct lang_option raw = {.key = lang_copy(memory, "include", 7)}, option;
    const struct source *outer;
    struct source source = {.outer = parser->source};
    const char *path;
    int error;

    add_value(parser, &raw, token);
    if (parser->source->in_memory) {
        ERROR(parser, token.begin, token.end,
              "include works in files only, to find the folder");
        return;
    }
    if (!lang_expand_option(memory, &raw, NULL, &option, parser->diags)) {
        parser->file->broken = true;
        return;
    }
    path = lang_path(memory, parser->source->name, option.values[0].text);
    error = open_source(&source, path, memory);
    if (error) {
        ERROR(parser, token.begin, token.end, "cannot read '%s': %s", path,
              strerror(error));
        return;
    }
    for (outer = parser->source; outer; outer = outer->outer)
        if (outer->is_file && source.is_file &&
            outer->device == source.device && outer->inode == source.inode) {
            ERROR(parser, token.begin, token.end, "'%s' includes itself",
                  path);
            return;
        }
    parse_source(parser, &source);
}

static void
connect(struct parser *parser, struct token token)
{
    const char *text = parser->source->text;
    struct hg_place place = token_place(parser, token.begin, token.end);
    size_t end = token.end;

    if (token.kind == TOKEN_WORD) {
        ERROR(parser, token.begin, token.end,
              "connect takes a text in quotes: connect(\"a -> b\")");
        return;
    }
    if (end > token.begin + 1 && text[end - 1] == text[token.begin])
        end--;
    lang_connect(parser->file, &place, text, token.begin + 1, end,
                 parser->diags);
}

/* connect("...", "...") or include("..."), from its parenthesis on. */
static void
parse_call(struct parser *parser, struct token name)
{
    bool is_connect = token_is_word(parser, name, "connect");
    struct token open = token_next(parser), token;
    unsigned n = 0;

    while (token = token_peek(parser), token_is_text(token)) {
        token_next(parser);
        if (is_connect)
            connect(parser, token);
        else
            include(parser, token);
        n++;
        if (token.kind == TOKEN_WORD) {
            token_skip_line(parser, open.begin);
            return;
        }
        if (!token_is(token_peek(parser), ','))
            break;
        token_next(parser);
    }
    if (!n)
        ERROR(parser, name.begin, name.end, "%.*s takes a text in quotes",
              TEXT(parser, name));
    if (token_is(token_peek(parser), ')')) {
        token_next(parser);
        return;
    }
    if (n && parser->reported <= open.end) /* Or an unclosed quote has it. */
        ERROR(parser, open.begin, open.end,
              "this parenthesis is never closed; ')' is missing");
    token_skip_line(parser, open.begin);
}

/* ---- Sections --------------------------------------------------------- */

static void parse_body(struct parser *, struct lang_section *,
                       struct token open);

static void
parse_section(struct parser *parser, struct lang_section *outer,
              struct token keyword)
{
    struct lang_memory *memory = &parser->file->memory;
    struct lang_section section = {
        .keyword = token_unquoted(parser, keyword),
        .place = token_place(parser, keyword.begin, keyword.end)};
    struct token token = token_next(parser);

    if (token_is_text(token)) {
        section.title = token_unquoted(parser, token);
        section.title_place = token_place(parser, token.begin, token.end);
        token = token_next(parser);
    }
    if (parser->depth == MAX_DEPTH) {
        ERROR(parser, keyword.begin, keyword.end,
              "sections are nested deeper than %d", MAX_DEPTH);
        parser->pos = parser->source->len;
        return;
    }
    parser->depth++;
    parse_body(parser, &section, token);
    parser->depth--;
    if (outer) {
        outer->sections = lang_grow(memory, outer->sections, outer->n_sections,
                                    sizeof section);
        outer->sections[outer->n_sections++] = section;
    } else {
        struct lang_file *file = parser->file;

        file->sections = lang_grow(memory, file->sections, file->n_sections,
                                   sizeof section);
        file->sections[file->n_sections++] = section;
    }
}

/* Whether the token opens a section or is a call of connect or include. */
static bool
begins_section(struct parser *parser, struct token token)
{
    struct token after = token_peek_behind(parser, token);

    return token_is_text(token) &&
           (token_is(after, '{') ||
            (token_is_text(after) &&
             token_is(token_peek_behind(parser, after), '{')));
}

static bool
begins_call(struct parser *parser, struct token token)
{
    struct token after = token_peek_behind(parser, token);

    return token.kind == TOKEN_WORD &&
           (token_is(after, '(') || (token_is_word(parser, token, "include") &&
                                     after.kind == TOKEN_STRING));
}

/* Whether 'token' shows that the section before it was not closed: elements,
 * whose classes are capitalised, and calls stand in no section. */
static bool
begins_toplevel(struct parser *parser, struct token token)
{
    return begins_call(parser, token) ||
           (begins_section(parser, token) && token.kind == TOKEN_WORD &&
            isupper((unsigned char)token.c));
}

static void
not_closed(struct parser *parser, const struct lang_section *section,
           struct token open, struct token token)
{
    struct hg_place at = token_place(parser, token.begin, token.end);
    const char *space = section->title ? " " : "";
    const char *title = section->title ? section->title : "";

    if (token.kind == TOKEN_END)
        ERROR(parser, open.begin, open.end,
              "section '%s%s%s' is never closed; '}' is missing",
              section->keyword, space, title);
    else
        ERROR(parser, open.begin, open.end,
              "section '%s%s%s' is never closed; '}' is missing before line "
              "%u",
              section->keyword, space, title, at.line);
}

static void
parse_toplevel_call(struct parser *parser, struct token token)
{
    static const char *const calls[] = {"connect", "include"};
    char *name = token_copy(parser, token);
    const char *nearest = hg_nearest(name, calls, 2);

    if (token_is_word(parser, token, "include") &&
        !token_is(token_peek(parser), '(')) {
        include(parser, token_next(parser));
        return;
    }
    if (token_is_word(parser, token, "connect") ||
        token_is_word(parser, token, "include")) {
        parse_call(parser, token);
        return;
    }
    ERROR(parser, token.begin, token.end,
          nearest ? "no statement '%s'; did you mean '%s'?"
                  : "no statement '%s'; there are connect(\"...\") and "
                    "include(\"...\")",
          name, nearest);
    token_skip_line(parser, token.begin);
}

/* Neither option nor section. */
static void
unexpected(struct parser *parser, bool in_section, struct token token)
{
    struct token after = token_peek(parser);
    bool pair = token_is_text(after) &&
                token_same_line(parser, token.begin, after.begin);

    if (token_is_text(token) && in_section && pair)
        ERROR(parser, token.begin, token.end,
              "'=' is missing; write '%.*s = %.*s'", TEXT(parser, token),
              TEXT(parser, after));
    else if (token_is_text(token) && pair)
        ERROR(parser, token.begin, after.end,
              "a section needs braces; write '%.*s %.*s { }'",
              TEXT(parser, token), TEXT(parser, after));
    else if (token_is_text(token) && in_section)
        ERROR(parser, token.begin, token.end,
              "unexpected '%.*s'; an option is 'name = value'",
              TEXT(parser, token));
    else if (token_is_text(token))
        ERROR(parser, token.begin, token.end,
              "unexpected '%.*s'; an element is 'Class name { }'",
              TEXT(parser, token));
    else
        ERROR(parser, token.begin, token.end, "unexpected '%.*s'",
              TEXT(parser, token));
    token_skip_line(parser, token.begin);
    if (!token_is_text(token) && token_is(token_peek(parser), '{') &&
        token_same_line(parser, token.begin, token_peek(parser).begin))
        token_next(parser);
}

/* What stands between braces, or (section NULL) in the whole file. */
static void
parse_body(struct parser *parser, struct lang_section *section,
           struct token open)
{
    for (;;) {
        struct token token = token_peek(parser), after;

        if (section &&
            (token.kind == TOKEN_END || begins_toplevel(parser, token))) {
            not_closed(parser, section, open, token);
            return;
        }
        if (token.kind == TOKEN_END)
            return;
        token_next(parser);
        after = token_peek(parser);
        if (token_is(token, '}')) {
            if (section)
                return;
            ERROR(parser, token.begin, token.end, "this '}' closes nothing");
        } else if (begins_call(parser, token)) {
            parse_toplevel_call(parser, token);
        } else if (token_is_text(token) &&
                   (token_is(after, '=') || after.kind == TOKEN_PLUS_EQUALS)) {
            parse_option(parser, section, token);
        } else if (begins_section(parser, token)) {
            parse_section(parser, section, token);
        } else {
            unexpected(parser, section != NULL, token);
        }
    }
}

/* ---- Whole files ------------------------------------------------------ */

static void
parse_source(struct parser *outer, struct source *source)
{
    struct parser parser = *outer;
    size_t text_len = strlen(source->text);

    parser.source = source;
    parser.pos = parser.reported = 0;
    parser.depth = 0;
    diags_add_file(parser.diags, source->name);
    token_find_lines(source, &parser.file->memory);
    if (text_len < source->len) {
        ERROR(&parser, text_len, text_len + 1,
              "a zero byte; this is not a text file");
        return;
    }
    source->code = lang_copy(&parser.file->memory, source->text, text_len);
    source->len = text_len;
    if (!strncmp(source->code, "\xef\xbb\xbf", 3)) /* Byte order mark. */
        token_blank(source->code, 0, 3);
    token_blank_comments(&parser, source->code);
    parse_body(&parser, NULL, (struct token){.kind = TOKEN_END});
}

static struct lang_file *
file_create(void)
{
    return xcalloc(1, sizeof(struct lang_file));
}

static struct lang_file *
parse_file(struct lang_file *file, struct source *source,
           struct hg_diags *diags)
{
    struct parser parser = {.file = file, .diags = diags};

    file->place.file = source->name;
    parse_source(&parser, source);
    return file;
}

struct lang_file *
lang_parse(const char *path, const struct hg_place *from,
           const struct diag_context *context, struct hg_diags *diags)
{
    struct lang_file *file = file_create();
    struct source source = {0};
    struct hg_place place = {.file = path};
    int error = open_source(&source, path, &file->memory);

    if (!error) {
        diags_set_context(diags, context);
        return parse_file(file, &source, diags);
    }
    if (from)
        hg_diag(diags, HG_SEVERITY_ERROR, from, "cannot read '%s': %s", path,
                strerror(error));
    else
        hg_diag(diags, HG_SEVERITY_ERROR, &place, "cannot be read: %s",
                strerror(error));
    lang_destroy(file);
    return NULL;
}

struct lang_file *
lang_parse_text(const char *name, const char *text, size_t len,
                struct hg_diags *diags)
{
    struct lang_file *file = file_create();
    struct source source = {.len = len, .in_memory = true};

    source.name = lang_copy(&file->memory, name, strlen(name));
    source.text = lang_copy(&file->memory, text, len);
    return parse_file(file, &source, diags);
}

void
lang_destroy(struct lang_file *file)
{
    if (!file)
        return;
    lang_free(&file->memory);
    free(file);
}
