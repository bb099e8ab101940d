/* args.c - the command line.  Includes args.h only: getopt's `struct option` is not ours. */
#include "main/args.h"

#include <getopt.h>
#include <string.h>

void args_print_help(FILE *to)
{
    fprintf(to,
            "usage: volvox [-c FILE]                 run in the foreground\n"
            "       volvox [-c FILE] --check         check the configuration, say all that is wrong\n"
            "       volvox explain [-c FILE] [--user NAME] [--in-transaction] \"SQL\"\n"
            "                                        print where a statement would go, and why\n"
            "       volvox --help-config             the configuration's options, as Markdown\n"
            "       volvox --help-admin              the admin port's tables and commands, likewise\n"
            "       volvox --help-metrics            what /metrics shows, likewise\n"
            "       volvox --help | --version\n"
            "\n"
            "  -c, --config FILE   default: /etc/volvox/volvox.ini\n"
            "\n"
            "signals: HUP reloads the configuration, TERM and INT let transactions finish and stop,\n"
            "         QUIT stops now, USR1 opens the log file again, USR2 logs all counters\n");
}

static void complain(struct args *out, const char *what)
{
    fprintf(stderr, "volvox: %s; see volvox --help\n", what);
    out->what = DO_COMPLAIN;
}

enum { OPT_CHECK = 256, OPT_HELP_CONFIG, OPT_HELP_ADMIN, OPT_HELP_METRICS, OPT_USER, OPT_IN_TRANSACTION };

static const struct option names[] = {
    { "config", required_argument, NULL, 'c' },
    { "check", no_argument, NULL, OPT_CHECK },
    { "help", no_argument, NULL, 'h' },
    { "help-config", no_argument, NULL, OPT_HELP_CONFIG },
    { "help-admin", no_argument, NULL, OPT_HELP_ADMIN },
    { "help-metrics", no_argument, NULL, OPT_HELP_METRICS },
    { "version", no_argument, NULL, 'V' },
    { "user", required_argument, NULL, OPT_USER },
    { "in-transaction", no_argument, NULL, OPT_IN_TRANSACTION },
    { NULL, 0, NULL, 0 },
};

static bool read_option(int which, struct args *out)
{
    switch (which) {
    case 'c':
        out->file = optarg;
        return true;
    case 'h':
        out->what = DO_HELP;
        return true;
    case 'V':
        out->what = DO_VERSION;
        return true;
    case OPT_CHECK:
        out->what = DO_CHECK;
        return true;
    case OPT_HELP_CONFIG:
        out->what = DO_HELP_CONFIG;
        return true;
    case OPT_HELP_ADMIN:
        out->what = DO_HELP_ADMIN;
        return true;
    case OPT_HELP_METRICS:
        out->what = DO_HELP_METRICS;
        return true;
    case OPT_USER:
        out->user = optarg;
        return true;
    case OPT_IN_TRANSACTION:
        out->in_transaction = true;
        return true;
    default: /* getopt has said what is wrong */
        out->what = DO_COMPLAIN;
        return false;
    }
}

void args_read(int argc, char **argv, struct args *out)
{
    *out = (struct args){ .what = DO_RUN, .file = "/etc/volvox/volvox.ini" };
    for (int which; (which = getopt_long(argc, argv, "c:hV", names, NULL)) != -1;)
        if (!read_option(which, out))
            return;
    if (optind == argc)
        return;
    if (strcmp(argv[optind], "explain") != 0)
        complain(out, "there is no such command");
    else if (optind + 2 != argc)
        complain(out, "explain takes one statement");
    else
        out->what = DO_EXPLAIN, out->sql = argv[optind + 1];
}
