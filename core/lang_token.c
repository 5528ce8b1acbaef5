/* lang_token.c: finds tokens in the text of a graph file, with exact places;
 * see lang_token.h.  Comments become blanks first, so that every line and
 * column stays what it is. */
#include <string.h>

#include "lang_token.h"

/* ---- Places ----------------------------------------------------------- */

void
token_find_lines(struct source *source, struct lang_memory *memory)
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

struct hg_place
token_place(const struct parser *parser, size_t begin, size_t end)
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
    while (i > pos + 1 && (is_space(code[i - 1]) || strchr("})", code[i - 1])))
        i--; /* "abc }: the brace is meant as one. */
    return i;
}

void
token_blank(char *code, size_t begin, size_t end)
{
    for (; begin < end; begin++)
        if (code[begin] != '\n')
            code[begin] = ' ';
}

void
token_blank_comments(struct parser *parser, char *code)
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
            token_blank(code, pos, end);
            pos = end;
        } else if (begins_token(code, pos) && !strncmp(at, "/*", 2)) {
            const char *close = strstr(at + 2, "*/");

            end = close ? (size_t)(close - code) + 2 : strlen(code);
            if (!close)
                ERROR(parser, pos, pos + 2,
                      "this comment is never closed; '*/' is missing");
            token_blank(code, pos, end);
            pos = end;
        } else {
            pos++;
        }
    }
}

/* ---- Tokens ----------------------------------------------------------- */

size_t
token_word_end(const char *code, size_t pos)
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

struct token
token_next(struct parser *parser)
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
        token.end = token_word_end(code, token.begin);
    }
    parser->pos = token.end;
    return token;
}

struct token
token_peek(struct parser *parser)
{
    size_t pos = parser->pos;
    struct token token = token_next(parser);

    parser->pos = pos;
    return token;
}

struct token
token_peek_behind(struct parser *parser, struct token token)
{
    size_t pos = parser->pos;

    parser->pos = token.end;
    token = token_next(parser);
    parser->pos = pos;
    return token;
}

bool
token_is(struct token token, char c)
{
    return token.kind == TOKEN_OTHER && token.c == c;
}

bool
token_is_text(struct token token)
{
    return token.kind == TOKEN_WORD || token.kind == TOKEN_STRING;
}

bool
token_same_line(const struct parser *parser, size_t a, size_t b)
{
    return !memchr(parser->source->code + a, '\n', b - a);
}

bool
token_is_word(const struct parser *parser, struct token token,
              const char *word)
{
    return token.kind == TOKEN_WORD &&
           token.end - token.begin == strlen(word) &&
           !memcmp(parser->source->code + token.begin, word, strlen(word));
}

char *
token_copy(struct parser *parser, struct token token)
{
    return lang_copy(&parser->file->memory, parser->source->text + token.begin,
                     token.end - token.begin);
}

/* Title, path or connection: without its quotes. */
char *
token_unquoted(struct parser *parser, struct token token)
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
void
token_skip_line(struct parser *parser, size_t from)
{
    for (;;) {
        struct token token = token_peek(parser);

        if (token.kind == TOKEN_END || token_is(token, '{') ||
            token_is(token, '}') ||
            !token_same_line(parser, from, token.begin))
            return;
        token_next(parser);
    }
}
