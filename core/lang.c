/* lang.c: from the text of a graph file to sections and options with their
 * places; see lang.h.
 *
 * Comments are blanked first, keeping every line and column.  Then one pass
 * finds sections, keys, braces and the extent of values; a mistake is
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
#include "lang.h"

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

/* A file being read, and the one that includes it. */
struct source {
    const char *name;
    const char *text;
    char *code; /* The text with blanks for comments. */
    size_t len;
    size_t *lines; /* Where each begins. */
    size_t n_lines;
    dev_t device;
    ino_t inode;
    bool is_file;
    bool in_memory;
    const struct source *outer;
};

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

    if (path[0] == '/' || !slash)
        return lang_copy(memory, path, strlen(path));
    return lang_format(memory, "%.*s%s", (int)(slash - from + 1), from, path);
}

/* ---- Places ----------------------------------------------------------- */

struct parser {
    struct lang_file *file;
    const struct source *source;
    struct hg_diags *diags;
    size_t pos;
    size_t reported; /* Unclosed quotes before this are known. */
    unsigned depth;
};

static void
find_lines(struct source *source, struct lang_memory *memory)
{
    size_t i, n = 1;

    for (i = 0; i < source->len; i++)
        n += source->text[i] == '\n';
    source->lines = lang_alloc(memory, n * sizeof *source->lines);
    source->n_lines = 1;
    for (i = 0; i < source->len; i++)
        if (source->text[i] == '\n')
            source->lines[source->n_lines++] = i + 1;
}

static struct hg_place
place_at(const struct parser *parser, size_t begin, size_t end)
{
    const struct source *source = parser->source;
    size_t low = 0, high = source->n_lines;

    while (high - low > 1) {
        size_t middle = (low + high) / 2;

        if (source->lines[middle] <= begin)
            low = middle;
        else
            high = middle;
    }
    return (struct hg_place){.file = source->name,
                             .text = source->text,
                             .line = (unsigned)(low + 1),
                             .column =
                                 (unsigned)(begin - source->lines[low] + 1),
                             .length = (unsigned)(end - begin)};
}

#define ERROR(parser, begin, end, ...)                                        \
    do {                                                                      \
        struct hg_place error_place_ = place_at(parser, begin, end);          \
                                                                              \
        hg_diag((parser)->diags, HG_SEVERITY_ERROR, &error_place_,            \
                __VA_ARGS__);                                                 \
        (parser)->file->broken = true;                                        \
    } while (0)

/* ---- Characters ------------------------------------------------------- */

static bool
is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' ||
           c == '\v';
}

static bool
is_punctuation(char c)
{
    return c && strchr("{}(),=;\"'", c);
}

/* Whether a comment may begin at 'pos': as with libconfuse, not in a word. */
static bool
begins_token(const char *code, size_t pos)
{
    return !pos || is_space(code[pos - 1]) || is_punctuation(code[pos - 1]);
}

static size_t
line_end(const char *code, size_t pos)
{
    return pos + strcspn(code + pos, "\n");
}

/* Where the string that begins at 'pos' ends, behind its quote.  A string
 * ends in its line; only one that is all of the text in parentheses may go
 * on.  One that does not end sets *closed to false and takes its line. */
static size_t
string_end(const char *code, size_t pos, bool *closed)
{
    char quote = code[pos];
    size_t i = pos + 1, before = pos;
    bool lines = false;

    while (code[i] && code[i] != quote) {
        lines |= code[i] == '\n';
        i += code[i] == '\\' && code[i + 1] ? 2 : 1;
    }
    *closed = code[i] == quote;
    if (*closed && lines) {
        size_t after = i + 1;

        after += strspn(code + after, " \t\r\n");
        while (before && is_space(code[before - 1]))
            before--;
        *closed = before && strchr("(,", code[before - 1]) && code[after] &&
                  strchr("),", code[after]);
    }
    if (*closed)
        return i + 1;
    i = line_end(code, pos);
    while (i > pos + 1 && is_space(code[i - 1]))
        i--;
    return i;
}

static void
blank(char *code, size_t begin, size_t end)
{
    for (; begin < end; begin++)
        if (code[begin] != '\n')
            code[begin] = ' ';
}

static void
blank_comments(struct parser *parser, char *code)
{
    size_t pos = 0, end;
    bool closed;

    while (code[pos]) {
        const char *at = code + pos;

        if (*at == '"' || *at == '\'') {
            pos = string_end(code, pos, &closed);
        } else if (begins_token(code, pos) &&
                   (*at == '#' || !strncmp(at, "//", 2))) {
            end = line_end(code, pos);
            blank(code, pos, end);
            pos = end;
        } else if (begins_token(code, pos) && !strncmp(at, "/*", 2)) {
            const char *close = strstr(at + 2, "*/");

            end = close ? (size_t)(close - code) + 2 : strlen(code);
            if (!close)
                ERROR(parser, pos, pos + 2,
                      "this comment is never closed; '*/' is missing");
            blank(code, pos, end);
            pos = end;
        } else {
            pos++;
        }
    }
}

/* ---- Tokens ----------------------------------------------------------- */

enum token_kind {
    TOKEN_END,
    TOKEN_WORD,
    TOKEN_STRING,
    TOKEN_PLUS_EQUALS,
    TOKEN_OTHER /* One character of "{}(),=;". */
};

struct token {
    enum token_kind kind;
    char c; /* TOKEN_OTHER: which. */
    size_t begin;
    size_t end;
};

static size_t
word_end(const char *code, size_t pos)
{
    while (code[pos] && !is_space(code[pos]) && !is_punctuation(code[pos])) {
        if (code[pos] == '+' && code[pos + 1] == '=')
            break;
        if (code[pos] == '$' && code[pos + 1] == '{') {
            size_t close = pos + strcspn(code + pos, "}\n");

            pos = code[close] == '}' ? close + 1 : pos + 2;
        } else {
            pos++;
        }
    }
    return pos;
}

static struct token
next(struct parser *parser)
{
    const char *code = parser->source->code;
    struct token token = {.kind = TOKEN_OTHER};
    bool closed;

    while (is_space(code[parser->pos]))
        parser->pos++;
    token.begin = parser->pos;
    token.c = code[token.begin];
    token.end = token.begin + 1;
    if (!token.c) {
        token.kind = TOKEN_END;
        token.end = token.begin;
    } else if (token.c == '"' || token.c == '\'') {
        token.kind = TOKEN_STRING;
        token.end = string_end(code, token.begin, &closed);
        if (!closed && token.begin >= parser->reported) {
            ERROR(parser, token.begin, token.begin + 1,
                  "this quote is never closed; %c is missing", token.c);
            parser->reported = token.end;
        }
    } else if (token.c == '+' && code[token.end] == '=') {
        token.kind = TOKEN_PLUS_EQUALS;
        token.end++;
    } else if (!is_punctuation(token.c)) {
        token.kind = TOKEN_WORD;
        token.end = word_end(code, token.begin);
    }
    parser->pos = token.end;
    return token;
}

static struct token
peek(struct parser *parser)
{
    size_t pos = parser->pos;
    struct token token = next(parser);

    parser->pos = pos;
    return token;
}

static struct token
peek_behind(struct parser *parser, struct token token)
{
    size_t pos = parser->pos;

    parser->pos = token.end;
    token = next(parser);
    parser->pos = pos;
    return token;
}

static bool
is_other(struct token token, char c)
{
    return token.kind == TOKEN_OTHER && token.c == c;
}

static bool
is_text(struct token token)
{
    return token.kind == TOKEN_WORD || token.kind == TOKEN_STRING;
}

static bool
same_line(const struct parser *parser, size_t a, size_t b)
{
    return !memchr(parser->source->code + a, '\n', b - a);
}

static bool
is_word(const struct parser *parser, struct token token, const char *word)
{
    return token.kind == TOKEN_WORD &&
           token.end - token.begin == strlen(word) &&
           !memcmp(parser->source->code + token.begin, word, strlen(word));
}

/* For messages: the text of a token. */
#define TEXT(parser, token)                                                   \
    (int)((token).end - (token).begin), (parser)->source->text + (token).begin

static char *
token_copy(struct parser *parser, struct token token)
{
    return lang_copy(&parser->file->memory, parser->source->text + token.begin,
                     token.end - token.begin);
}

/* Title, path or connection: without its quotes. */
static char *
unquoted_copy(struct parser *parser, struct token token)
{
    const char *text = parser->source->text;
    size_t begin = token.begin, end = token.end;

    if (token.kind == TOKEN_STRING) {
        begin++;
        if (end > begin && text[end - 1] == text[token.begin])
            end--;
    }
    return lang_copy(&parser->file->memory, text + begin, end - begin);
}

/* Goes on at the next line, brace or end. */
static void
skip_line(struct parser *parser, size_t from)
{
    for (;;) {
        struct token token = peek(parser);

        if (token.kind == TOKEN_END || is_other(token, '{') ||
            is_other(token, '}') || !same_line(parser, from, token.begin))
            return;
        next(parser);
    }
}

/* ---- Options ---------------------------------------------------------- */

static void
add_value(struct parser *parser, struct lang_option *option,
          struct token token)
{
    option->values = lang_grow(&parser->file->memory, option->values,
                               option->n_values, sizeof *option->values);
    option->values[option->n_values++] =
        (struct lang_value){.text = token_copy(parser, token),
                            .place = place_at(parser, token.begin, token.end)};
}

static void
parse_list(struct parser *parser, struct lang_option *option,
           struct token open)
{
    bool comma = true;

    option->is_list = true;
    for (;;) {
        struct token token = peek(parser), after = peek_behind(parser, token);

        if (is_other(token, '}')) {
            next(parser);
            return;
        }
        if (token.kind == TOKEN_END || is_other(token, '(') ||
            is_other(after, '(') ||
            (token.kind == TOKEN_WORD && is_other(after, '='))) {
            ERROR(parser, open.begin, open.end,
                  "the list of '%s' is never closed; '}' is missing",
                  option->key);
            return;
        }
        next(parser);
        if (is_text(token)) {
            if (!comma)
                ERROR(parser, token.begin, token.end,
                      "',' is missing before '%.*s'", TEXT(parser, token));
            add_value(parser, option, token);
            comma = false;
        } else if (is_other(token, ',') && !comma) {
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
    struct token after = peek_behind(parser, token);

    return token.kind == TOKEN_STRING ||
           (token.kind == TOKEN_WORD &&
            (same_line(parser, equals.begin, token.begin) ||
             (!is_other(after, '=') && !is_other(after, '(') &&
              !is_other(after, '{'))));
}

static void
parse_value(struct parser *parser, struct lang_option *option,
            struct token equals)
{
    struct token token = peek(parser), after;

    if (is_other(token, '{')) {
        parse_list(parser, option, next(parser));
        return;
    }
    if (!is_value(parser, token, equals)) {
        ERROR(parser, equals.begin, equals.end, "no value behind '%s ='",
              option->key);
        option->n_values = 0;
        return;
    }
    next(parser);
    add_value(parser, option, token);
    after = peek(parser);
    if (is_other(after, '=') && after.begin == token.end) {
        ERROR(parser, token.begin,
              word_end(parser->source->code, after.begin + 1),
              "a value with '=' in it needs quotes");
        skip_line(parser, token.begin);
    } else if (after.kind == TOKEN_STRING &&
               same_line(parser, token.begin, after.begin)) {
        ERROR(parser, after.begin, after.end,
              "unexpected %.*s behind the value of '%s'; several values are "
              "a list: '{ a, b }'",
              TEXT(parser, after), option->key);
        skip_line(parser, token.begin);
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
    struct token equals = next(parser);
    struct lang_option option = {.key = unquoted_copy(parser, key),
                                 .place =
                                     place_at(parser, key.begin, key.end)};

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
    struct hg_place place = place_at(parser, token.begin, token.end);
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
    bool is_connect = is_word(parser, name, "connect");
    struct token open = next(parser), token;
    unsigned n = 0;

    while (token = peek(parser), is_text(token)) {
        next(parser);
        if (is_connect)
            connect(parser, token);
        else
            include(parser, token);
        n++;
        if (token.kind == TOKEN_WORD) {
            skip_line(parser, open.begin);
            return;
        }
        if (!is_other(peek(parser), ','))
            break;
        next(parser);
    }
    if (!n)
        ERROR(parser, name.begin, name.end, "%.*s takes a text in quotes",
              TEXT(parser, name));
    if (is_other(peek(parser), ')')) {
        next(parser);
        return;
    }
    if (n)
        ERROR(parser, open.begin, open.end,
              "this parenthesis is never closed; ')' is missing");
    skip_line(parser, open.begin);
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
        .keyword = unquoted_copy(parser, keyword),
        .place = place_at(parser, keyword.begin, keyword.end)};
    struct token token = next(parser);

    if (is_text(token)) {
        section.title = unquoted_copy(parser, token);
        section.title_place = place_at(parser, token.begin, token.end);
        token = next(parser);
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
    struct token after = peek_behind(parser, token);

    return is_text(token) &&
           (is_other(after, '{') ||
            (is_text(after) && is_other(peek_behind(parser, after), '{')));
}

static bool
begins_call(struct parser *parser, struct token token)
{
    struct token after = peek_behind(parser, token);

    return token.kind == TOKEN_WORD &&
           (is_other(after, '(') ||
            (is_word(parser, token, "include") && after.kind == TOKEN_STRING));
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
    struct hg_place at = place_at(parser, token.begin, token.end);
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

    if (is_word(parser, token, "include") && !is_other(peek(parser), '(')) {
        include(parser, next(parser));
        return;
    }
    if (is_word(parser, token, "connect") ||
        is_word(parser, token, "include")) {
        parse_call(parser, token);
        return;
    }
    ERROR(parser, token.begin, token.end,
          nearest ? "no statement '%s'; did you mean '%s'?"
                  : "no statement '%s'; there are connect(\"...\") and "
                    "include(\"...\")",
          name, nearest);
    skip_line(parser, token.begin);
}

/* Neither option nor section. */
static void
unexpected(struct parser *parser, bool in_section, struct token token)
{
    struct token after = peek(parser);
    bool pair = is_text(after) && same_line(parser, token.begin, after.begin);

    if (is_text(token) && in_section && pair)
        ERROR(parser, token.begin, token.end,
              "'=' is missing; write '%.*s = %.*s'", TEXT(parser, token),
              TEXT(parser, after));
    else if (is_text(token) && pair)
        ERROR(parser, token.begin, after.end,
              "a section needs braces; write '%.*s %.*s { }'",
              TEXT(parser, token), TEXT(parser, after));
    else if (is_text(token) && in_section)
        ERROR(parser, token.begin, token.end,
              "unexpected '%.*s'; an option is 'name = value'",
              TEXT(parser, token));
    else if (is_text(token))
        ERROR(parser, token.begin, token.end,
              "unexpected '%.*s'; an element is 'Class name { }'",
              TEXT(parser, token));
    else
        ERROR(parser, token.begin, token.end, "unexpected '%.*s'",
              TEXT(parser, token));
    skip_line(parser, token.begin);
    if (!is_text(token) && is_other(peek(parser), '{') &&
        same_line(parser, token.begin, peek(parser).begin))
        next(parser);
}

/* What stands between braces, or (section NULL) in the whole file. */
static void
parse_body(struct parser *parser, struct lang_section *section,
           struct token open)
{
    for (;;) {
        struct token token = peek(parser), after;

        if (section &&
            (token.kind == TOKEN_END || begins_toplevel(parser, token))) {
            not_closed(parser, section, open, token);
            return;
        }
        if (token.kind == TOKEN_END)
            return;
        next(parser);
        after = peek(parser);
        if (is_other(token, '}')) {
            if (section)
                return;
            ERROR(parser, token.begin, token.end, "this '}' closes nothing");
        } else if (begins_call(parser, token)) {
            parse_toplevel_call(parser, token);
        } else if (is_text(token) &&
                   (is_other(after, '=') || after.kind == TOKEN_PLUS_EQUALS)) {
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
    find_lines(source, &parser.file->memory);
    if (text_len < source->len)
        ERROR(&parser, text_len, text_len + 1,
              "a zero byte; this is not a text file");
    source->code = lang_copy(&parser.file->memory, source->text, text_len);
    source->len = text_len;
    if (!strncmp(source->code, "\xef\xbb\xbf", 3)) /* Byte order mark. */
        blank(source->code, 0, 3);
    blank_comments(&parser, source->code);
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
           struct hg_diags *diags)
{
    struct lang_file *file = file_create();
    struct source source = {0};
    struct hg_place place = {.file = path};
    int error = open_source(&source, path, &file->memory);

    if (!error)
        return parse_file(file, &source, diags);
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
