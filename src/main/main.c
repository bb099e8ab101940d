/* main.c - what to do, and do it. */
#include "main/main.h"

#include "base/hash.h"

static void print_complaints(const struct complaints *c)
{
    for (unsigned i = 0; i < c->count; i++) {
        const struct complaint *x = &c->items[i];
        const char *kind = x->is_error ? "error" : "warning";
        if (x->line > 0)
            fprintf(stderr, "%s:%u: %s: %s\n", x->file, x->line, kind, x->text);
        else
            fprintf(stderr, "%s: %s: %s\n", x->file, kind, x->text);
    }
}

static struct config *load(const char *file)
{
    struct complaints complaints;
    struct config *c = config_load(file, &complaints);
    print_complaints(&complaints);
    complaints_release(&complaints);
    return c;
}

static int with_config(const struct args *args)
{
    struct config *c = load(args->file);
    if (c == NULL)
        return 1;
    if (args->what == DO_RUN)
        return boot_run(c); /* takes over the reference */
    int status = 0;
    if (args->what == DO_EXPLAIN)
        status = explain(c, args);
    else
        printf("%s: the configuration is good\n", args->file);
    config_drop(c);
    return status;
}

int main(int argc, char **argv)
{
    struct args args;
    args_read(argc, argv, &args);
    hash_seed();
    switch (args.what) {
    case DO_HELP:
        args_print_help(stdout);
        return 0;
    case DO_HELP_CONFIG:
        options_print_markdown(stdout);
        return 0;
    case DO_HELP_ADMIN:
        admin_print_markdown(stdout);
        return 0;
    case DO_HELP_METRICS:
        http_print_markdown(stdout);
        return 0;
    case DO_VERSION:
        printf("volvox %s\n", VOLVOX_VERSION);
        return 0;
    case DO_COMPLAIN:
        return 2;
    case DO_RUN:
    case DO_CHECK:
    case DO_EXPLAIN:
        break;
    }
    return with_config(&args);
}
