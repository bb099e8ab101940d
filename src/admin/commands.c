/* commands.c - a statement's first word says who does it; see inside.h. */
#include "admin/inside.h"

#include "base/mem.h"
#include "base/str.h"

#include <stdarg.h>

const struct command_help admin_commands[] = {
    { "SELECT ...", "any SELECT over the tables: WHERE, JOIN, GROUP BY, ORDER BY, LIMIT, WITH" },
    { "SHOW table [LIKE 'pattern' | WHERE ...] [ORDER BY ...] [LIMIT n]", "all columns of a table: SHOW servers" },
    { "SHOW TABLES | COLUMNS FROM table | CREATE TABLE table | VARIABLES | STATUS | PROCESSLIST | ...",
      "what MySQL's tools ask" },
    { "DESCRIBE table", "its columns" },
    { "SET setting = value", "change a reloadable setting: SET queue_timeout = 5s, SET server db1.weight = 2" },
    { "SAVE CONFIG", "write what SET changed to runtime_file, which is read after the configuration file" },
    { "RELOAD [DRY RUN]", "read the configuration file again; DRY RUN only tells what would change" },
    { "SERVER name DRAIN", "no new work for it; what runs may finish" },
    { "SERVER name DISABLE", "as DRAIN, and it is not probed any more" },
    { "SERVER name ENABLE", "use it again" },
    { "SERVER name WEIGHT n", "its share of the reads" },
    { "PAUSE [group]", "new commands wait, at most queue_timeout; running ones and transactions go on" },
    { "RESUME [group]", "the end of PAUSE" },
    { "KILL [CONNECTION] id", "end a client's session" },
    { "KILL QUERY id", "end the command that a client has running, on the server too" },
    { "EXPLAIN ROUTE [FOR USER name] [SCHEMA name] [IN TRANSACTION] statement",
      "where a statement would go, and why; which servers could serve it, and why not" },
    { "RESET STATS", "forget the digests" },
    { "SHUTDOWN [GRACEFUL [seconds]]", "stop; GRACEFUL: when transactions have ended, at the latest after so long" },
    { "HELP [word]", "this list" },
};
const unsigned n_admin_commands = ARRAY_LEN(admin_commands);

/* ---- accounts ----------------------------------------------------------------------------- */

const struct admin_user_config *visitor_account(const struct visitor *v)
{
    const struct admin_host *host = &v->admin->host;
    return config_admin_user(host->config(host->arg), bytes_str(v->facts.user));
}

bool visitor_may_change(const struct visitor *v, struct fault *why)
{
    const struct admin_user_config *u = visitor_account(v);
    if (u != NULL && u->access == ADMIN_FULL)
        return true;
    return fault_set(why, BLAME_POLICY, 1227, "Access denied; you need access = full in [admin_user %s] for this",
                     v->facts.user);
}

void visitor_note(const struct visitor *v, const char *fmt, ...)
{
    char text[256];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    event_note("admin", v->facts.user, "%s", text);
}

/* ---- small commands -------------------------------------------------------------------------- */

static bool contains(const char *text, const char *word)
{
    return word[0] == '\0' || strcasestr(text, word) != NULL;
}

static bool help(struct words *w, struct answer *out, struct fault *why)
{
    char word[64] = "";
    if (!words_at_end(w) && !name_take(w, "a word", word, sizeof word, why))
        return false;
    if (!words_end(w, "the end", why))
        return false;
    answer_begin(out, 2);
    answer_column(out, 0, BYTES_LITERAL("command"), COLUMN_TEXT);
    answer_column(out, 1, BYTES_LITERAL("help"), COLUMN_TEXT);
    for (unsigned i = 0; i < n_admin_commands; i++) {
        if (!contains(admin_commands[i].usage, word) && !contains(admin_commands[i].help, word))
            continue;
        put_str(&out->rows, admin_commands[i].usage);
        put_str(&out->rows, admin_commands[i].help);
    }
    return true;
}

static bool reload(struct words *w, struct visitor *v, struct answer *out, struct fault *why)
{
    const struct admin_host *host = &v->admin->host;
    bool dry = word_take(w, "dry");
    if (dry && !word_take(w, "run"))
        return words_expected(w, "RUN", why);
    if (!words_end(w, "DRY RUN or the end", why) || (!dry && !visitor_may_change(v, why)))
        return false;
    char *text = host->reload(host->arg, dry, why);
    if (text == NULL) {
        if (why->code == 0)
            why->code = ER_UNKNOWN_ERROR;
        return false;
    }
    if (!dry)
        visitor_note(v, "RELOAD");
    answer_lines(out, dry ? "would change" : "changed", text[0] != '\0' ? text : "nothing");
    mem_free(text);
    return true;
}

static bool save_config(struct words *w, struct visitor *v, struct answer *out, struct fault *why)
{
    const struct admin_host *host = &v->admin->host;
    if (!word_take(w, "config"))
        return words_expected(w, "CONFIG", why);
    if (!words_end(w, "the end", why) || !visitor_may_change(v, why))
        return false;
    char *path = host->save(host->arg, why);
    if (path == NULL) {
        if (why->code == 0)
            why->code = ER_UNKNOWN_ERROR;
        return false;
    }
    visitor_note(v, "SAVE CONFIG to %s", path);
    answer_say(out, "written to %s", path);
    mem_free(path);
    return true;
}

static bool reset_stats(struct words *w, struct visitor *v, struct answer *out, struct fault *why)
{
    if (!word_take(w, "stats"))
        return words_expected(w, "STATS", why);
    if (!words_end(w, "the end", why) || !visitor_may_change(v, why))
        return false;
    digests_reset(v->admin->host.workers, v->admin->host.n_workers);
    visitor_note(v, "RESET STATS");
    answer_say(out, "the digests begin anew");
    return true;
}

static bool shut_down(struct words *w, struct visitor *v, struct answer *out, struct fault *why)
{
    const struct admin_host *host = &v->admin->host;
    const struct config *c = host->config(host->arg);
    uint64_t seconds = c->settings.drain_timeout_s;
    bool graceful = word_take(w, "graceful");
    if (graceful && !words_at_end(w) && !number_take(w, "seconds", 86400, &seconds, why))
        return false;
    if (!words_end(w, "GRACEFUL, seconds or the end", why) || !visitor_may_change(v, why))
        return false;
    visitor_note(v, "SHUTDOWN%s", graceful ? " GRACEFUL" : "");
    answer_say(out, "%s", graceful ? "stopping when transactions have ended" : "stopping");
    out->ends = true;
    host->shutdown(host->arg, graceful, (unsigned)seconds);
    return true;
}

bool use_schema(struct visitor *v, struct bytes name, struct fault *why)
{
    static const char *const names[] = { "volvox", "information_schema" };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (bytes_equal_nocase(name, bytes_str(names[i]))) {
            str_copy(v->facts.schema, sizeof v->facts.schema, bytes_str(names[i]));
            return true;
        }
    }
    return name.len == 0 || fault_set(why, BLAME_QUERY, ER_BAD_DB, "Unknown database '%.*s': there are volvox "
                                      "and information_schema", (int)MIN(name.len, (size_t)64),
                                      (const char *)name.data);
}

static bool use(struct words *w, struct visitor *v, struct answer *out, struct fault *why)
{
    char name[80];
    answer_say(out, "%s", "");
    return name_take(w, "a schema's name", name, sizeof name, why) && words_end(w, "the end", why) &&
           use_schema(v, bytes_str(name), why);
}

/* ---- which one ---------------------------------------------------------------------------------- */

/* START TRANSACTION, COMMIT, ... with whatever stands behind them.  Nothing here is transactional,
 * but drivers go by the flag. */
static bool take_transaction(struct words *w, struct visitor *v)
{
    struct words back = *w;
    if (word_take(w, "begin") || (word_take(w, "start") && word_take(w, "transaction"))) {
        v->status |= STATUS_IN_TRANS;
        return true;
    }
    *w = back;
    if (!word_take(w, "commit") && !word_take(w, "rollback"))
        return false;
    v->status &= (uint16_t)~STATUS_IN_TRANS;
    return true;
}

static bool is_select(const struct words *w)
{
    return word_is(w, "select") || word_is(w, "with") || word_is(w, "values");
}

static bool unknown(const struct words *w, struct fault *why)
{
    static const char *const changes[] = { "insert", "update", "delete", "replace", "create", "drop",
                                           "alter", "truncate", "attach", "pragma", "load", "grant" };
    static const char *const names[] = { "select", "show", "describe", "set", "save", "reload", "server",
                                         "pause", "resume", "kill", "explain", "reset", "shutdown", "help",
                                         "use" };
    struct guess g;
    char expected[120];
    for (size_t i = 0; i < ARRAY_LEN(changes); i++)
        if (word_is(w, changes[i]))
            return fault_set_state(why, BLAME_QUERY, 1235, "42000", "%s is not possible here: tables are read by "
                                   "SELECT, and changed by the commands that HELP lists", changes[i]);
    guess_begin(&g, w->now.kind == TOKEN_WORD ? w->now.text : BYTES_NONE);
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        guess_try(&g, names[i]);
    snprintf(expected, sizeof expected, "'%s' or another command (HELP lists them)", g.best != NULL ? g.best : "");
    return words_expected(w, g.best != NULL ? expected : "a command (HELP lists them)", why);
}

/* Is it read as a SELECT?  *select has it then; else data NULL. */
static bool as_select(struct words *w, struct visitor *v, struct arena *a, struct bytes *select,
                      struct answer *out, struct fault *why)
{
    *select = BYTES_NONE;
    if (is_select(w)) {
        *select = w->text;
        return true;
    }
    if (word_take(w, "show"))
        return show_read(w, v, a, select, out, why);
    if (word_take(w, "describe") || word_take(w, "desc"))
        return describe_read(w, a, select, why);
    if (word_is(w, "explain")) {
        struct words back = *w;
        word_take(w, "explain");
        if (w->now.kind == TOKEN_WORD && table_find(w->now.text) >= 0)
            return describe_read(w, a, select, why);
        *w = back;
    }
    return true;
}

static bool command(struct task *t, struct words *w, struct visitor *v, struct answer *out, struct fault *why)
{
    if (w->now.kind == TOKEN_END)
        return fault_set(why, BLAME_QUERY, 1065, "Query was empty");
    if (word_take(w, "set"))
        return set_run(w, v, out, why);
    if (word_take(w, "server"))
        return server_run(w, v, out, why);
    if (word_take(w, "reload"))
        return reload(w, v, out, why);
    if (word_take(w, "pause"))
        return pause_run(t, w, v, true, out, why);
    if (word_take(w, "resume"))
        return pause_run(t, w, v, false, out, why);
    if (word_take(w, "kill"))
        return kill_run(t, w, v, out, why);
    if (word_take(w, "explain"))
        return word_take(w, "route") ? explain_route(w, v, out, why)
                                     : words_expected(w, "ROUTE or a table's name", why);
    if (word_take(w, "save"))
        return save_config(w, v, out, why);
    if (word_take(w, "reset"))
        return reset_stats(w, v, out, why);
    if (word_take(w, "shutdown"))
        return shut_down(w, v, out, why);
    if (word_take(w, "help"))
        return help(w, out, why);
    if (word_take(w, "use"))
        return use(w, v, out, why);
    return take_transaction(w, v) || unknown(w, why);
}

bool admin_run(struct task *t, struct visitor *v, struct bytes text, const struct cell *params,
               unsigned n_params, struct answer *out, struct fault *why)
{
    struct words w;
    struct bytes select;
    atomic_store(&v->is_interrupted, false);
    words_begin(&w, text);
    if (!as_select(&w, v, task_arena(t), &select, out, why))
        return false;
    if (select.data != NULL) {
        uint64_t limit = v->select_limit;
        if (select.data != text.data)
            v->select_limit = 0;  /* SHOW knows no such limit */
        bool ok = select_run(t, v, select, params, n_params, out, why);
        v->select_limit = limit;
        return ok;
    }
    if (n_params > 0)
        return fault_set(why, BLAME_QUERY, 1295, "This command takes no parameters");
    return out->has_rows || command(t, &w, v, out, why);
}

bool admin_describe(struct task *t, struct visitor *v, struct bytes text, struct answer *columns,
                    unsigned *n_params, struct fault *why)
{
    struct words w;
    struct bytes select;
    *n_params = 0;
    words_begin(&w, text);
    if (!as_select(&w, v, task_arena(t), &select, columns, why))
        return false;
    if (select.data != NULL)
        return select_describe(t, v, select, columns, n_params, why);
    answer_release(columns);      /* of a command they are known once it has run */
    for (; w.now.kind != TOKEN_END && w.now.kind != TOKEN_BROKEN; lexer_next(&w.lx, &w.now))
        if (w.now.kind == TOKEN_PARAM)
            return fault_set(why, BLAME_QUERY, 1295, "This command takes no parameters");
    return true;
}
