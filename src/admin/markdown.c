/* markdown.c - docs/admin.md, from the table of tables and the list of commands. */
#include "admin/inside.h"

static const char intro[] =
    "# The admin port\n"
    "\n"
    "<!-- Made from the tables in src/admin: volvox --help-admin -->\n"
    "\n"
    "Volvox answers SQL about itself on `[admin] address` (127.0.0.1:6032 by default). Any MySQL\n"
    "client can be used:\n"
    "\n"
    "    mysql -h 127.0.0.1 -P 6032 -u admin -p\n"
    "\n"
    "Accounts are `[admin_user NAME]` sections. `access = read` may look at everything;\n"
    "`access = full` may also change things. Secrets are never shown.\n"
    "\n"
    "Tables are read by SELECT; the dialect is SQLite's, with MySQL's strings, comments and\n"
    "`@@variables`: WHERE, JOIN, GROUP BY, ORDER BY, subqueries, WITH and window functions work, as do\n"
    "prepared statements. `a || b` joins texts. Times of day are UTC. Rows are collected when a statement\n"
    "begins, table by table, so two tables of one statement may differ by some milliseconds. A\n"
    "statement is ended after `[admin] statement_timeout` (error 3024). It never holds up clients.\n"
    "\n"
    "There are two schemas, `volvox` and `information_schema`; the latter has what tools ask for.\n"
    "START TRANSACTION, COMMIT and ROLLBACK are accepted and do nothing. SET of session variables is\n"
    "accepted where it means nothing here (NAMES, sql_mode, autocommit, ...) and refused otherwise.\n"
    "\n"
    "## Commands\n"
    "\n"
    "Words may be in either case. A name may be quoted, `'db 1'`. What changes something needs\n"
    "`access = full`, and is written to `events` with who did it.\n"
    "\n"
    "| Command | Meaning |\n"
    "|---|---|\n";

static const char between[] =
    "\n"
    "`KILL` takes the `id` of `clients`: from 1073741824 to 2147483647, what the client's greeting and `CONNECTION_ID()`\n"
    "say. Ids of connections on servers (`thread_id` of `backends`, `server_thread` of `clients`) are smaller; they are\n"
    "those of `SHOW PROCESSLIST` there, and the server is who can end them.\n"
    "\n"
    "SET takes options that a reload may change: `queue_timeout` is one of `[volvox]`,\n"
    "`admin.max_connections` of `[admin]`, `server db1.weight` of `[server db1]`. What was set goes with the\n"
    "process unless SAVE CONFIG writes it down.\n"
    "\n"
    "## Tables\n";

/* A bar would end the cell. */
static void print_cell(const char *text, FILE *to)
{
    for (; *text != '\0'; text++)
        fprintf(to, *text == '|' ? "\\%c" : "%c", *text);
}

static void print_table(const struct table *t, FILE *to)
{
    static const char *const types[] = { [COLUMN_TEXT] = "text", [COLUMN_INT] = "integer",
                                         [COLUMN_REAL] = "real" };
    fprintf(to, "\n### %s\n\n%s\n\n| Column | Type | Meaning |\n|---|---|---|\n", t->name, t->help);
    for (const struct table_column *c = t->columns; c->name != NULL; c++) {
        fprintf(to, "| `%s` | %s | ", c->name, types[c->type]);
        print_cell(c->help, to);
        fputs(" |\n", to);
    }
}

void admin_print_markdown(FILE *to)
{
    fputs(intro, to);
    for (unsigned i = 0; i < n_admin_commands; i++) {
        fputs("| `", to);
        print_cell(admin_commands[i].usage, to);
        fputs("` | ", to);
        print_cell(admin_commands[i].help, to);
        fputs(" |\n", to);
    }
    fputs(between, to);
    for (unsigned i = 0; i < n_admin_tables; i++)
        if (admin_tables[i].is_ours)
            print_table(&admin_tables[i], to);
}
