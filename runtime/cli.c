/* cli.c: see cli.h. */
#include "cli.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <headgate/diag.h>

#define CLI_MAX_OPTIONS 32

void
cli_no_memory(void)
{
    fputs("headgate: out of memory\n", stderr);
    exit(CLI_FAILED);
}

void *
cli_realloc(void *p, size_t n, size_t size)
{
    p = reallocarray(p, n ? n : 1, size);
    if (!p)
        cli_no_memory();
    return p;
}

void *
cli_alloc(size_t n, size_t size)
{
    return memset(cli_realloc(NULL, n, size), 0, (n ? n : 1) * size);
}

char *
cli_printf(const char *format, ...)
{
    va_list args;
    char *text;
    int n;

    va_start(args, format);
    n = vasprintf(&text, format, args);
    va_end(args);
    if (n < 0)
        cli_no_memory();
    return text;
}

void
cli_error(const char *format, ...)
{
    va_list args;

    fputs("headgate: ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
}

void
cli_error_word(const char *word, const char *const *words, size_t n,
               const char *hint, const char *format, ...)
{
    const char *nearest = hg_nearest(word, words, n);
    va_list args;

    fputs("headgate: ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    if (nearest)
        fprintf(stderr, "; did you mean '%s'?", nearest);
    else if (hint)
        fprintf(stderr, "; %s", hint);
    fputc('\n', stderr);
}

bool
cli_color(FILE *f)
{
    const char *no_color = getenv("NO_COLOR");

    return isatty(fileno(f)) && !(no_color && *no_color);
}

bool
cli_flush(void)
{
    int error = 0;

    if (fflush(stdout) != 0)
        error = errno;
    else if (ferror(stdout))
        error = EIO;
    if (!error)
        return true;
    /* Whoever read from the pipe has had enough: no news to anyone. */
    if (error != EPIPE)
        cli_error("cannot write to standard output: %s", strerror(error));
    return false;
}

static void
print_option(const struct cli_option *o)
{
    char left[64];

    snprintf(left, sizeof left, "%c%c%s--%s%s%s", o->letter ? '-' : ' ',
             o->letter ? o->letter : ' ', o->letter ? ", " : "  ", o->name,
             o->argument ? " " : "", o->argument ? o->argument : "");
    if (strlen(left) > 30)
        printf("  %s\n  %-30s  %s\n", left, "", o->doc);
    else
        printf("  %-30s  %s\n", left, o->doc);
}

static void
print_help(const struct cli *cli)
{
    static const struct cli_option help = {"help", 'h', NULL, "this text"};
    size_t i;

    printf("usage: headgate %s\n\n%s\noptions:\n", cli->usage, cli->about);
    for (i = 0; i < cli->n_options; i++)
        print_option(&cli->options[i]);
    print_option(&help);
}

static void
report_unknown(const struct cli *cli, const char *given)
{
    const char *words[CLI_MAX_OPTIONS];
    char name[64];
    size_t i;

    for (i = 0; i < cli->n_options; i++)
        words[i] = cli->options[i].name;
    words[i] = "help";
    snprintf(name, sizeof name, "%.*s", (int)strcspn(given, "="), given);
    if (strncmp(name, "--", 2) == 0) {
        const char *nearest = hg_nearest(name + 2, words, i + 1);

        if (nearest) {
            cli_error("no option '%s' in 'headgate %s'; did you mean '--%s'?",
                      name, cli->argv[0], nearest);
            return;
        }
    }
    cli_error("no option '%s' in 'headgate %s'; 'headgate %s --help' lists "
              "them",
              name, cli->argv[0], cli->argv[0]);
}

static void
report(const struct cli *cli, int answer)
{
    const char *given = cli->argv[optind - 1];
    char letter[3] = {'-', (char)optopt, '\0'};
    size_t i;

    if (answer == ':') {
        cli_error("option '%s' needs a value", given);
        return;
    }
    for (i = 0; i < cli->n_options; i++) {
        if (optopt == 256 + (int)i) {
            cli_error("option '--%s' takes no value", cli->options[i].name);
            return;
        }
    }
    report_unknown(cli, optopt > 0 && optopt < 256 ? letter : given);
}

/* getopt's two descriptions of the table. */
static void
describe(const struct cli *cli, char *letters, struct option *longs)
{
    size_t i;

    *letters++ = ':';
    for (i = 0; i < cli->n_options; i++) {
        const struct cli_option *o = &cli->options[i];

        longs[i] = (struct option){
            o->name, o->argument ? required_argument : no_argument, NULL,
            256 + (int)i};
        if (o->letter)
            *letters++ = o->letter;
        if (o->letter && o->argument)
            *letters++ = ':';
    }
    *letters++ = 'h';
    *letters = '\0';
    longs[i] = (struct option){"help", no_argument, NULL, 'h'};
    longs[i + 1] = (struct option){NULL, 0, NULL, 0};
}

int
cli_next(struct cli *cli, const char **argument)
{
    char letters[2 * CLI_MAX_OPTIONS + 3];
    struct option longs[CLI_MAX_OPTIONS + 2];
    size_t i;
    int o;

    describe(cli, letters, longs);
    opterr = 0;
    o = getopt_long(cli->argc, cli->argv, letters, longs, NULL);
    *argument = optarg;
    if (o == -1)
        return CLI_END;
    if (o == 'h') {
        print_help(cli);
        return CLI_HELP;
    }
    if (o >= 256)
        return o - 256;
    for (i = 0; i < cli->n_options; i++)
        if (o == cli->options[i].letter)
            return (int)i;
    report(cli, o);
    return CLI_BAD;
}

int
cli_status(int next)
{
    if (next != CLI_HELP)
        return CLI_WRONG;
    return cli_flush() ? CLI_DONE : CLI_FAILED;
}

void
cli_pairs_add(struct cli_pairs *pairs, const char *text)
{
    size_t name_len = strcspn(text, "=");
    struct cli_pair *pair;

    pairs->v = cli_realloc(pairs->v, pairs->n + 1, sizeof *pairs->v);
    pair = &pairs->v[pairs->n++];
    pair->name = cli_printf("%.*s", (int)name_len, text);
    pair->value = text[name_len] ? text + name_len + 1 : NULL;
}

const struct cli_pair *
cli_pairs_find(const struct cli_pairs *pairs, const char *name)
{
    size_t i;

    for (i = 0; i < pairs->n; i++)
        if (strcmp(pairs->v[i].name, name) == 0)
            return &pairs->v[i];
    return NULL;
}

void
cli_pairs_uninit(struct cli_pairs *pairs)
{
    size_t i;

    for (i = 0; i < pairs->n; i++)
        free(pairs->v[i].name);
    free(pairs->v);
}
