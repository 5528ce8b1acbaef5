/* lang_token.h: a graph file as tokens with places, between lang_token.c,
 * which makes them, and lang.c, which knows what they mean. */
#ifndef LANG_TOKEN_H
#define LANG_TOKEN_H 1

#include <sys/types.h>

#include "lang.h"

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

struct parser {
    struct lang_file *file;
    const struct source *source;
    struct hg_diags *diags;
    size_t pos;
    size_t reported; /* Unclosed quotes before this are known. */
    unsigned depth;
};

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

/* Reports a mistake in text[begin, end). */
#define ERROR(parser, begin, end, ...)                                        \
    do {                                                                      \
        struct hg_place error_place_ = token_place(parser, begin, end);       \
                                                                              \
        hg_diag((parser)->diags, HG_SEVERITY_ERROR, &error_place_,            \
                __VA_ARGS__);                                                 \
        (parser)->file->broken = true;                                        \
    } while (0)

/* For messages: the text of a token. */
#define TEXT(parser, token)                                                   \
    (int)((token).end - (token).begin), (parser)->source->text + (token).begin

/* Prepares a source: where its lines begin; blanks for its comments. */
void token_find_lines(struct source *, struct lang_memory *);
void token_blank_comments(struct parser *, char *code);
void token_blank(char *code, size_t begin, size_t end);

/* The next token, taken or only looked at, and the one behind 'token'. */
struct token token_next(struct parser *);
struct token token_peek(struct parser *);
struct token token_peek_behind(struct parser *, struct token);
/* Goes on at the first brace, or behind the line of 'from'. */
void token_skip_line(struct parser *, size_t from);

bool token_is(struct token, char c);
bool token_is_text(struct token); /* A word or a string. */
bool token_is_word(const struct parser *, struct token, const char *word);
bool token_same_line(const struct parser *, size_t a, size_t b);
struct hg_place token_place(const struct parser *, size_t begin, size_t end);

/* Copies of its text as written, and without quotes. */
char *token_copy(struct parser *, struct token);
char *token_unquoted(struct parser *, struct token);

/* Where the word that begins at 'pos' ends. */
size_t token_word_end(const char *code, size_t pos);

#endif
