/* docs/configuration.md, from the option table. */
#include "config/inside.h"

static const char intro[] =
    "# Configuration\n"
    "\n"
    "<!-- Made from the option table in src/config/options.c: volvox --help-config -->\n"
    "\n"
    "Volvox reads one INI file: `volvox -c volvox.ini`. `volvox -c volvox.ini --check` names\n"
    "everything that is wrong in it, with lines. SIGHUP reads it again: either all of it comes\n"
    "into force or, after any error, nothing.\n"
    "\n"
    "## Grammar\n"
    "\n"
    "- `[section name]`, then lines `option = value`. Indentation means nothing. A section or an\n"
    "  option that stands twice is an error.\n"
    "- A line that begins with `#` or `;` is a comment. Behind a value a comment begins with a\n"
    "  blank and `;`. A `#` there belongs to the value.\n"
    "- A value may stand in double quotes. Between them `;` and blanks at the ends belong to\n"
    "  the value, and `\\\"` and `\\\\` stand for `\"` and `\\`. Quote passwords: a password\n"
    "  without quotes that would be cut by a comment or continued in the next line is refused.\n"
    "- A line that ends in a backslash goes on in the next line; the parts are joined without a\n"
    "  blank, and each may be quoted. A line is at most 197 bytes long.\n"
    "- Times have a unit: `500ms`, `10s`, `5m`, `2h`, `1d`. Sizes may have one: `64K`, `16M`,\n"
    "  `1G`.\n"
    "- Paths of password files and of TLS files are relative to the directory of the configuration\n"
    "  file. Of a password file only the first line counts.\n"
    "\n"
    "## What wins\n"
    "\n"
    "First this file counts, then over it the file that its `runtime_file` names, then over both\n"
    "what was set since by `SET` and `SERVER ... WEIGHT` on the admin port. `SAVE CONFIG` writes\n"
    "the last into the second. What was set for a section that this file does not have any more\n"
    "is ignored, with a warning. A password set at run time takes the place of a password file,\n"
    "and the other way round. The admin port's table `settings` tells of each value where it was\n"
    "set.\n";

static const char *const kind_intro[KINDS] = {
    [KIND_VOLVOX] = "## [volvox]\n\nThe process, its monitor, and the pool of connections.\n",
    [KIND_ADMIN] = "## [admin]\n\nThe port for operators, with SQL about Volvox itself.\n",
    [KIND_HTTP] = ("## [http]\n\n`/` for browsers, `/metrics` for Prometheus, `/healthz` and "
                   "`/readyz` for supervisors.\n"),
    [KIND_ADMIN_USER] = ("## [admin_user NAME]\n\nAn operator. These accounts are for the admin "
                         "port only.\n"),
    [KIND_LISTENER] = "## [listener NAME]\n\nWhere clients connect.\n",
    [KIND_GROUP] = ("## [group NAME]\n\nServers that hold the same data: a primary and its "
                    "replicas. Without any such section\nthere is one group, \"main\".\n"),
    [KIND_SERVER] = "## [server NAME]\n\nA MySQL or MariaDB server.\n",
    [KIND_USER] = "## [user NAME]\n\nAn account that clients may use.\n",
};

static void print_words(const struct option *o, FILE *to)
{
    for (unsigned i = 0; o->words[i] != NULL; i++)
        fprintf(to, "%s`%s`", i > 0 ? ", " : "", o->words[i]);
}

static void print_type(const struct option *o, FILE *to)
{
    switch (o->type) {
    case OPTION_ENUM:
        print_words(o, to);
        return;
    case OPTION_UINT:
        fprintf(to, "%llu to %llu", (unsigned long long)o->min, (unsigned long long)o->max);
        return;
    case OPTION_BOOL:
        fputs("yes, no", to);
        return;
    case OPTION_SIZE:
        fputs("size", to);
        return;
    case OPTION_TIME_MS:
    case OPTION_TIME_S:
        fputs("time", to);
        return;
    case OPTION_TEXT:
    case OPTION_SECRET:
        fputs("text", to);
        return;
    }
}

static void print_option(const struct option *o, FILE *to)
{
    fprintf(to, "| `%s` | ", o->name);
    print_type(o, to);
    if (o->fallback == NULL)
        fputs(" | required", to);
    else if (o->fallback[0] == '\0')
        fputs(" | ", to);
    else
        fprintf(to, " | `%s`", o->fallback);
    fprintf(to, " | %s | %s |\n", o->reloadable ? "reload" : "restart", o->help);
}

void options_print_markdown(FILE *to)
{
    fputs(intro, to);
    for (unsigned k = 0; k < KINDS; k++) {
        fprintf(to, "\n%s\n| Option | Values | Default | Changed by | Meaning |\n"
                    "|---|---|---|---|---|\n",
                kind_intro[k]);
        for_each_option(o, k)
            print_option(o, to);
    }
}
