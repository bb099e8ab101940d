/* tables.c - the table of tables, and finding names in it; see inside.h. */
#include "admin/inside.h"

#include "base/str.h"

#define OURS(table, words)                                                                   \
    { .name = #table, .is_ours = true, .help = words, .columns = table##_columns,             \
      .fill = fill_##table }
#define SCHEMA(name_, columns_, fill_) { .name = name_, .columns = columns_, .fill = fill_ }

const struct table admin_tables[] = {
    OURS(servers, "Every server of the configuration, as the monitor judges it and the pools use it."),
    OURS(backends, "Every connection of Volvox to a server: where it is, what state it is in, who "
                   "holds it."),
    OURS(clients, "Every client of the data port: what it does, what it holds and why."),
    OURS(pools, "Connections by worker, server and account, and how many wait for one."),
    OURS(users, "The accounts that clients may use, without their passwords."),
    OURS(groups, "Groups of servers, and who is the primary of each."),
    OURS(listeners, "The addresses where clients connect."),
    OURS(workers, "The worker threads, and the control thread, which is -1."),
    OURS(tasks, "What the threads have in hand at this moment, one row a task."),
    OURS(digests, "Statements by their normal form: how often, how long, how much, where. The table is "
                  "bounded: what was used least recently goes, and is counted as evicted."),
    OURS(pins, "Why sessions could not leave their server connection, how often and how long."),
    OURS(settings, "Every option of every section: its value, its default, and where it was set."),
    OURS(faults, "The last commands that failed by something else than the server's own error."),
    OURS(events, "State changes of servers, reloads, and what was done on this port, by whom."),
    OURS(counters, "What /metrics shows: counters, gauges, and latencies in seconds."),
    SCHEMA("schemata", schemata_columns, fill_schemata),
    SCHEMA("tables", schema_tables_columns, fill_schema_tables),
    SCHEMA("columns", schema_columns_columns, fill_schema_columns),
    SCHEMA("engines", schema_engines_columns, fill_schema_engines),
    SCHEMA("character_sets", schema_charsets_columns, fill_schema_charsets),
    SCHEMA("collations", schema_collations_columns, fill_schema_collations),
    SCHEMA("collation_character_set_applicability", schema_applicability_columns, fill_schema_applicability),
    SCHEMA("session_variables", schema_variables_columns, fill_schema_variables),
    SCHEMA("global_variables", schema_variables_columns, fill_schema_variables),
    SCHEMA("processlist", schema_processlist_columns, fill_schema_processlist),
    SCHEMA("statistics", schema_statistics_columns, NULL),
    SCHEMA("key_column_usage", schema_key_columns, NULL),
    SCHEMA("table_constraints", schema_constraints_columns, NULL),
    SCHEMA("referential_constraints", schema_referential_columns, NULL),
    SCHEMA("check_constraints", schema_check_columns, NULL),
    SCHEMA("routines", schema_routines_columns, NULL),
    SCHEMA("parameters", schema_parameters_columns, NULL),
    SCHEMA("views", schema_views_columns, NULL),
    SCHEMA("triggers", schema_triggers_columns, NULL),
    SCHEMA("information_schema_events", schema_events_columns, NULL),
    SCHEMA("partitions", schema_partitions_columns, NULL),
    SCHEMA("plugins", schema_plugins_columns, NULL),
    SCHEMA("user_privileges", schema_privileges_columns, NULL),
};
const unsigned n_admin_tables = ARRAY_LEN(admin_tables);
_Static_assert(ARRAY_LEN(admin_tables) <= MAX_TABLES, "database_shape.tables has a bit for each");

unsigned table_width(const struct table *table)
{
    unsigned n = 0;
    while (table->columns[n].name != NULL)
        n++;
    return n;
}

int table_find(struct bytes name)
{
    for (unsigned i = 0; i < n_admin_tables; i++)
        if (bytes_equal_nocase(name, bytes_str(admin_tables[i].name)))
            return (int)i;
    return -1;
}

const char *table_like(struct bytes name)
{
    struct guess g;
    guess_begin(&g, name);
    for (unsigned i = 0; i < n_admin_tables; i++)
        guess_try(&g, admin_tables[i].name);
    return g.best;
}

/* ---- guessing -------------------------------------------------------------------------- */

void guess_begin(struct guess *g, struct bytes name)
{
    /* More than half of it wrong is something else. */
    *g = (struct guess){ .name = name, .distance = (unsigned)MIN(name.len / 2 + 2, (size_t)4) };
}

void guess_try(struct guess *g, const char *candidate)
{
    if (g->name.len == 0 || g->name.len > 64)
        return;
    unsigned distance = str_distance(g->name, bytes_str(candidate));
    if (distance < g->distance) {
        g->distance = distance;
        g->best = candidate;
    }
}

const char *guess_words(const struct guess *g, char *out, size_t size)
{
    if (g->best == NULL)
        str_copy(out, size, BYTES_NONE);
    else
        snprintf(out, size, ": did you mean '%s'?", g->best);
    return out;
}
