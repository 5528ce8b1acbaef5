/* cli.h: the command line of the program.
 *
 * A subcommand declares its options as a table of struct cli_option; parsing,
 * --help and "did you mean" derive from it.  Also here: what every subcommand
 * shares, namely exit codes, error lines and memory.
 *
 * Thread-safety: main thread only. */
#ifndef RUNTIME_CLI_H
#define RUNTIME_CLI_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include <headgate/types.h>

/* What the program returns. */
enum {
    CLI_DONE = 0,
    CLI_FAILED = 1, /* Something went wrong while running. */
    CLI_WRONG = 2   /* The graph or the command line is wrong. */
};

struct command {
    const char *name;
    const char *summary;
    int (*run)(int argc, char **argv); /* argv[0] is its own name. */
};

struct cli_option {
    const char *name;     /* Without the dashes. */
    char letter;          /* 0: has none. */
    const char *argument; /* "N", or NULL: takes none. */
    const char *doc;      /* Half a sentence. */
};

struct cli {
    const char *usage; /* "run GRAPH [NAME=DEVICE ...]" */
    const char *about; /* What it does, for --help; ends in a newline. */
    const struct cli_option *options;
    size_t n_options;
    int argc;
    char **argv;
};

/* What cli_next() returns when there is no further option. */
enum {
    CLI_END = -1,  /* The rest is at argv + optind. */
    CLI_HELP = -2, /* Help has been printed; end with CLI_DONE. */
    CLI_BAD = -3   /* A mistake has been reported; end with CLI_WRONG. */
};

/* The index in 'options' of the next option on the command line and, in
 * '*argument', what belongs to it. */
int cli_next(struct cli *, const char **argument);

/* The exit code when parsing ended otherwise than with CLI_END: help was
 * printed, or a mistake reported (also by whoever took the option). */
int cli_status(int next);

/* "headgate: <message>" on standard error. */
void cli_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The same for a word that is none of 'words': adds "; did you mean 'x'?" or,
 * if none is near, 'hint' (may be NULL) behind a semicolon. */
void cli_error_word(const char *word, const char *const *words, size_t n,
                    const char *hint, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* Whether to use colour on 'f': a terminal, and no NO_COLOR. */
bool cli_color(FILE *f);

/* Flushes standard output; false, having said why, if something written to it
 * was lost. */
bool cli_flush(void);

/* calloc and realloc that end the program when there is no memory. */
void *cli_alloc(size_t n, size_t size);
void *cli_realloc(void *p, size_t n, size_t size);
void cli_no_memory(void) __attribute__((noreturn)); /* Ends it, too. */
char *cli_printf(const char *format, ...)
    __attribute__((format(printf, 1, 2)));

/* "NAME=VALUE" arguments, in the order given. */
struct cli_pair {
    char *name;
    const char *value; /* Points into argv; NULL where there was no '='. */
};

struct cli_pairs {
    size_t n;
    struct cli_pair *v;
};

/* Splits 'text' at its first '=' and appends it. */
void cli_pairs_add(struct cli_pairs *, const char *text);
const struct cli_pair *cli_pairs_find(const struct cli_pairs *,
                                      const char *name);
void cli_pairs_uninit(struct cli_pairs *);

#endif
