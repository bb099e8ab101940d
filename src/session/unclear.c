/*
 * unclear.c - reports that leave something open: the server is asked; see inside.h.
 *
 * All servers:  SET NAMES x COLLATE y reports three character sets but no collation; of that of the
 * results, which definitions of columns show, there is not even a variable.
 *
 * MariaDB since 11.1 keeps one tracker for all variables that lie in one place of its memory,
 * and the first of them that changes on a connection gives it its name:
 *
 *   SET foreign_key_checks = 0     is reported as autocommit=ON
 *   SET timestamp = 5              is reported as last_gtid=0-1-7
 *
 * backend_track() sees to it that `autocommit` is the first of its kind.  Which of the others has
 * changed, if any, is asked: those that differ from the global value belong to the session's
 * state.  (What lies beside last_gtid comes as a change of state that nothing explains: a pin.)
 * Variables with two names need nothing, one is as good as the other.
 */
#include "session/inside.h"

#include "base/str.h"

/* Differs from what others have: its value, else NULL. */
#define FLAG(name) \
    "IF(@@session." name "<=>@@global." name ",NULL,IF(@@session." name ",'ON','OFF'))"
#define OWN_FLAG(name) "IF(@@session." name ",'ON',NULL)"
#define VALUE(name) "NULLIF(@@session." name ",@@global." name ")"

struct asked {
    const char *name, *sql;
};

static const struct asked charset[] = {
    { "character_set_connection", "@@character_set_connection" },
    { "collation_connection", "@@collation_connection" },
};
static const struct asked flags[] = {
    { "check_constraint_checks", FLAG("check_constraint_checks") },
    { "explicit_defaults_for_timestamp", FLAG("explicit_defaults_for_timestamp") },
    { "foreign_key_checks", FLAG("foreign_key_checks") },
    { "profiling", FLAG("profiling") },
    { "skip_parallel_replication", OWN_FLAG("skip_parallel_replication") },
    { "skip_replication", OWN_FLAG("skip_replication") },
    { "sql_auto_is_null", FLAG("sql_auto_is_null") },
    { "sql_big_selects", FLAG("sql_big_selects") },
    { "sql_buffer_result", FLAG("sql_buffer_result") },
    { "sql_if_exists", FLAG("sql_if_exists") },
    { "sql_log_off", FLAG("sql_log_off") },
    { "sql_notes", FLAG("sql_notes") },
    { "sql_quote_show_create", FLAG("sql_quote_show_create") },
    { "sql_safe_updates", FLAG("sql_safe_updates") },
    { "sql_warnings", FLAG("sql_warnings") },
    { "system_versioning_insert_history", FLAG("system_versioning_insert_history") },
    { "unique_checks", FLAG("unique_checks") },
};
/* Others by which these are reported are parts of them. */
static const struct asked slow_log[] = {
    { "log_slow_disabled_statements", VALUE("log_slow_disabled_statements") },
    { "log_slow_filter", VALUE("log_slow_filter") },
};
static const struct asked server_charset[] = {
    { "character_set_server", VALUE("character_set_server") },
    { "collation_server", VALUE("collation_server") },
};

enum { CHARSET };                 /* the first group */

static const struct group {
    const struct asked *asked;
    unsigned n;
    bool everywhere;              /* else only on servers that report vaguely             */
    const char *also[4];          /* names it may be reported by besides                  */
} groups[] = {
    [CHARSET] = { charset, ARRAY_LEN(charset), true, { "character_set_results", NULL } },
    { flags, ARRAY_LEN(flags), false, { "autocommit", NULL } },
    { slow_log, ARRAY_LEN(slow_log), false,
      { "log_slow_admin_statements", "log_slow_slave_statements", "log_queries_not_using_indexes", NULL } },
    { server_charset, ARRAY_LEN(server_charset), false, { NULL } },
};

enum { ASKED_MAX = ARRAY_LEN(charset) + ARRAY_LEN(flags) + ARRAY_LEN(slow_log) + ARRAY_LEN(server_charset) };
/* As many names of a SET @@a = ..., @@b = ... are looked for. */
enum { UNREPORTED_MAX = 64 };

static bool may_stand_for(struct bytes name, const struct group *g)
{
    for (unsigned i = 0; i < g->n; i++)
        if (bytes_equal(name, bytes_str(g->asked[i].name)))
            return true;
    for (unsigned i = 0; i < ARRAY_LEN(g->also) && g->also[i] != NULL; i++)
        if (bytes_equal(name, bytes_str(g->also[i])))
            return true;
    return false;
}

enum clarity note_unclear(struct session *s, const struct command *cmd, struct bytes name)
{
    const struct backend *be = s->lease;
    for (unsigned i = 0; i < ARRAY_LEN(groups); i++) {
        const struct group *g = &groups[i];
        if ((!g->everywhere && !be->reports_vaguely) || !may_stand_for(name, g))
            continue;
        bool is_autocommit = bytes_equal(name, BYTES_LITERAL("autocommit"));
        if (is_autocommit && cmd->st.only_autocommit)
            return REPORT_IS_CLEAR;
        s->unclear |= (uint8_t)(1u << i);
        return g->everywhere || is_autocommit ? REPORT_IS_PART : REPORT_IS_UNCLEAR;
    }
    return REPORT_IS_CLEAR;
}

static unsigned list_asked(unsigned unclear, const struct asked *out[ASKED_MAX])
{
    unsigned n = 0;
    for (unsigned i = 0; i < ARRAY_LEN(groups); i++)
        for (unsigned j = 0; (unclear >> i & 1) != 0 && j < groups[i].n; j++)
            out[n++] = &groups[i].asked[j];
    return n;
}

/* Binary, so that the values come in no other character set; and last a text, for its definition. */
static void write_question(struct buf *sql, const struct asked *const *asked, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        buf_add(sql, i == 0 ? BYTES_LITERAL("SELECT CAST(") : BYTES_LITERAL(",CAST("));
        buf_add(sql, bytes_str(asked[i]->sql));
        buf_add(sql, BYTES_LITERAL(" AS BINARY)"));
    }
    buf_add(sql, BYTES_LITERAL(",''"));
}

/* NULL if the results are in no character set, or it can't be said. */
static const struct collation *results_collation(const struct session *s, uint16_t id)
{
    struct bytes results = state_value(s->state, BYTES_LITERAL("character_set_results"));
    const struct collation *c = collation_by_id(id);
    return c != NULL && bytes_equal(results, bytes_str(c->charset)) &&
                   charset_is_for_clients(c->charset)
               ? c
               : NULL;
}

/* The session's state and its backend's. */
static void take_variables(struct session *s, const struct state_var *vars, unsigned n)
{
    session_set_state(s, state_changed(s->state, NULL, vars, n));
    backend_set_state(s->lease, s->state);
}

bool learn_unclear(struct task *t, struct session *s, struct fault *why)
{
    const struct asked *asked[ASKED_MAX];
    struct bytes row[ASKED_MAX + 1];
    struct state_var vars[ASKED_MAX + 1];
    struct buf sql = { 0 };
    unsigned n = list_asked(s->unclear, asked);
    struct ask_rows answer = { .values = row, .n_columns = n + 1 };
    write_question(&sql, asked, n);
    s->unclear = 0;
    bool ok = backend_ask_one(t, s->lease, buf_bytes(&sql), &answer, why);
    buf_release(&sql);
    if (!ok)
        return false;
    const struct collation *results = results_collation(s, answer.charset);
    vars[0] = (struct state_var){ BYTES_LITERAL(COLLATION_RESULTS),
                                  results != NULL ? bytes_str(results->name) : BYTES_NONE };
    unsigned known = 1;
    for (unsigned i = 0; i < n; i++) {
        struct bytes name = bytes_str(asked[i]->name);
        if (row[i].data != NULL && variable_cannot_be_replayed(name))
            session_pin(s, s->pins | PIN_VARIABLE);
        else
            vars[known++] = (struct state_var){ name, row[i] };
    }
    take_variables(s, vars, known);
    return true;
}

/* ---- what servers do not report at all ---------------------------------------------------------- */

/* One that needs no quotes in an SQL of ours, in small letters, as servers report it. */
static bool fold_name(struct bytes name, struct arena *a, struct bytes *folded)
{
    char *out = arena_strdup(a, name);
    for (size_t i = 0; i < name.len; i++)
        out[i] = (char)ascii_lower(name.data[i]);
    *folded = bytes_of(out, name.len);
    return state_takes(*folded);
}

/* As a server reports it: nothing stands for NULL where that is a value. */
static struct bytes as_reported(struct bytes name, struct bytes value)
{
    if (value.data == NULL && bytes_equal(name, BYTES_LITERAL("character_set_results")))
        return BYTES_LITERAL("");
    return value.data != NULL ? value : BYTES_NONE;
}

/* As if the server had reported them. */
static bool ask_variables(struct task *t, struct session *s, const struct command *cmd,
                          const struct bytes *names, unsigned n, struct fault *why)
{
    struct state_var vars[UNREPORTED_MAX];
    struct bytes values[UNREPORTED_MAX];
    struct buf sql = { 0 };
    for (unsigned i = 0; i < n; i++) {
        buf_add(&sql, i == 0 ? BYTES_LITERAL("SELECT @@session.") : BYTES_LITERAL(",@@session."));
        buf_add(&sql, names[i]);
    }
    bool ok = backend_ask_row(t, s->lease, buf_bytes(&sql), values, n, why);
    buf_release(&sql);
    if (!ok)
        return false;
    for (unsigned i = 0; i < n; i++)
        vars[i] = (struct state_var){ names[i], as_reported(names[i], values[i]) };
    learn_variables(s, cmd, vars, n);
    return true;
}

bool learn_unreported(struct task *t, struct session *s, const struct command *cmd, struct fault *why)
{
    struct bytes names[UNREPORTED_MAX];
    unsigned n = UNREPORTED_MAX + 1;
    if (cmd->whole)
        n = statement_unscoped_vars(command_statement_text(cmd), &s->mode, names, UNREPORTED_MAX);
    bool askable = n <= UNREPORTED_MAX;
    for (unsigned i = 0; askable && i < n; i++)
        askable = fold_name(names[i], task_arena(t), &names[i]);
    if (n == 0 || (askable && ask_variables(t, s, cmd, names, n, why)))
        return true;
    if (askable && why->blame != BLAME_QUERY)
        return false;
    session_pin(s, s->pins | PIN_VARIABLE);
    return true;
}
