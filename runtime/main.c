/* main.c: the headgate program; chooses among its subcommands.  A new one is
 * a file cmd_x.c, a line in commands.h and a row here. */
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "commands.h"

static const struct command commands[] = {
    {"run", "run packets through a graph; ends with a summary", cmd_run},
    {"check", "say what is wrong with a graph", cmd_check},
    {"graph", "draw a graph as text, dot or svg", cmd_graph},
    {"elements", "list the element classes, or explain one", cmd_elements},
};

#define N_COMMANDS (sizeof commands / sizeof *commands)

/* Descriptors 0 to 2 that are closed must not become those of a capture file:
 * they are opened such that using them fails. */
static void
guard_descriptors(void)
{
    int fd;

    for (fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0 &&
            open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY) < 0)
            _exit(CLI_FAILED);
}

static int
help(void)
{
    size_t i;

    fputs("usage: headgate COMMAND [ARGUMENT ...]\n\n"
          "Runs packets from captures or interfaces through a graph of "
          "elements.\n\ncommands:\n",
          stdout);
    for (i = 0; i < N_COMMANDS; i++)
        printf("  %-10s  %s\n", commands[i].name, commands[i].summary);
    fputs("\n'headgate COMMAND --help' explains one; 'headgate --version' "
          "tells the version.\n"
          "Exit codes: 0 done, 1 failed while running, 2 the graph or the "
          "command line is\nwrong.\n",
          stdout);
    return cli_flush() ? CLI_DONE : CLI_FAILED;
}

static int
unknown(const char *name)
{
    const char *words[N_COMMANDS + 2];
    size_t i;

    for (i = 0; i < N_COMMANDS; i++)
        words[i] = commands[i].name;
    words[i++] = "--help";
    words[i++] = "--version";
    cli_error_word(name, words, i, "'headgate --help' lists them",
                   "no %s '%s'", *name == '-' ? "option" : "command", name);
    return CLI_WRONG;
}

int
main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : NULL;
    size_t i;

    guard_descriptors();
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* A file too large is an error, said as such. */
    if (!name) {
        cli_error("no command given; 'headgate --help' lists them");
        return CLI_WRONG;
    }
    if (!strcmp(name, "--help") || !strcmp(name, "-h") ||
        !strcmp(name, "help"))
        return help();
    if (!strcmp(name, "--version")) {
        puts("headgate " HEADGATE_VERSION);
        return cli_flush() ? CLI_DONE : CLI_FAILED;
    }
    for (i = 0; i < N_COMMANDS; i++)
        if (!strcmp(name, commands[i].name))
            return commands[i].run(argc - 1, argv + 1);
    return unknown(name);
}
