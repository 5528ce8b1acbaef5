/* commands.h: the subcommands, each in the file named after it. */
#ifndef RUNTIME_COMMANDS_H
#define RUNTIME_COMMANDS_H 1

int cmd_run(int argc, char **argv);
int cmd_check(int argc, char **argv);
int cmd_graph(int argc, char **argv);
int cmd_elements(int argc, char **argv);

#endif
