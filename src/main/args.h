/*
 * args.h - the command line.
 */
#ifndef MAIN_ARGS_H
#define MAIN_ARGS_H

#include <stdbool.h>
#include <stdio.h>

enum what_to_do { DO_RUN, DO_CHECK, DO_EXPLAIN, DO_HELP, DO_HELP_CONFIG, DO_HELP_ADMIN,
                  DO_HELP_METRICS, DO_VERSION, DO_COMPLAIN };
struct args {
    enum what_to_do what;
    const char *file;             /* -c */
    const char *sql;              /* explain */
    const char *user;             /* explain: routes as for this user */
    bool in_transaction;          /* explain */
};
/* DO_COMPLAIN: said on stderr what is wrong. */
void args_read(int argc, char **argv, struct args *out);
void args_print_help(FILE *to);

#endif
