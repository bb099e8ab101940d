/* sqlite.c - a visitor's database: empty, in memory, and able to do nothing but SELECT; see inside.h. */
#include "admin/inside.h"

#include <sqlite3.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"

struct database {
    sqlite3 *db;
    sqlite3_stmt *stmt;
    const struct translated *origin; /* borrowed while saying why it can't be prepared */
    struct database_facts facts;
    uint64_t tables;              /* named by what is being prepared */
    const struct database_run *run;    /* while stepping */
    bool timed_out, cancelled;
};

const struct database_facts *database_facts(const struct database *sql)
{
    return &sql->facts;
}

const struct rows *database_rows(const struct database *sql, unsigned table)
{
    return sql->run != NULL ? sql->run->rows[table] : NULL;
}

/* ---- what it may do ------------------------------------------------------------------------- */

/* Built-in functions that reach out of the statement. */
static bool function_is_refused(const char *name)
{
    static const char *const refused[] = { "load_extension", "fts3_tokenizer", "fts5", "edit" };
    for (size_t i = 0; i < ARRAY_LEN(refused); i++)
        if (name != NULL && strcasecmp(name, refused[i]) == 0)
            return true;
    return false;
}

/* What WITH names has no schema; SQLite's own tables have one, or such names. */
static bool is_from_with(const char *table, const char *schema)
{
    return schema == NULL && table != NULL && strncasecmp(table, "sqlite_", 7) != 0 &&
           strncasecmp(table, "pragma_", 7) != 0;
}

static int authorize(void *arg, int action, const char *first, const char *second, const char *schema,
                     const char *trigger)
{
    (void)trigger;
    struct database *sql = arg;
    int table;
    switch (action) {
    case SQLITE_SELECT:
    case SQLITE_RECURSIVE:
        return SQLITE_OK;
    case SQLITE_READ:
        table = table_find(bytes_str(first));
        if (table >= 0)
            sql->tables |= UINT64_C(1) << table;
        return table >= 0 || is_from_with(first, schema) ? SQLITE_OK : SQLITE_DENY;
    case SQLITE_FUNCTION:
        return function_is_refused(second) ? SQLITE_DENY : SQLITE_OK;
    default:
        return SQLITE_DENY;
    }
}

static void set_limits(sqlite3 *db)
{
    static const struct {
        int which, value;
    } limits[] = {
        { SQLITE_LIMIT_LENGTH, 4 << 20 },       { SQLITE_LIMIT_SQL_LENGTH, 1 << 20 },
        { SQLITE_LIMIT_EXPR_DEPTH, 200 },       { SQLITE_LIMIT_COMPOUND_SELECT, 50 },
        { SQLITE_LIMIT_COLUMN, 500 },           { SQLITE_LIMIT_ATTACHED, 0 },
        { SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 1000 }, { SQLITE_LIMIT_VARIABLE_NUMBER, 1000 },
        { SQLITE_LIMIT_TRIGGER_DEPTH, 0 },      { SQLITE_LIMIT_WORKER_THREADS, 0 },
    };
    for (size_t i = 0; i < ARRAY_LEN(limits); i++)
        sqlite3_limit(db, limits[i].which, limits[i].value);
}

enum { STEPS_BETWEEN_LOOKS = 2000 };

static int look_at_the_clock(void *arg)
{
    struct database *sql = arg;
    if (sql->run == NULL)
        return 0;
    sql->cancelled = atomic_load_explicit(sql->run->cancel, memory_order_relaxed);
    sql->timed_out = clock_us() > sql->run->deadline_us;
    return sql->cancelled || sql->timed_out;
}

/* A table is declared when it is named first, and the authorizer would take that for a change. */
static bool declare_tables(sqlite3 *db)
{
    for (unsigned i = 0; i < n_admin_tables; i++) {
        char text[100];
        snprintf(text, sizeof text, "SELECT 1 FROM \"%s\"", admin_tables[i].name);
        if (sqlite3_exec(db, text, NULL, NULL, NULL) != SQLITE_OK)
            return false;
    }
    return true;
}

struct database *database_open(void)
{
    struct database *sql = mem_zalloc(sizeof *sql);
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_MEMORY | SQLITE_OPEN_NOMUTEX;
    bool ok = sqlite3_open_v2(":memory:", &sql->db, flags, NULL) == SQLITE_OK;
    if (ok) {
        set_limits(sql->db);
        sqlite3_db_config(sql->db, SQLITE_DBCONFIG_MAINDBNAME, "volvox");
        sqlite3_db_config(sql->db, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0, NULL);
        sqlite3_db_config(sql->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
        sqlite3_db_config(sql->db, SQLITE_DBCONFIG_DQS_DML, 0, NULL);
        ok = sqlite3_exec(sql->db, "PRAGMA temp_store = MEMORY", NULL, NULL, NULL) == SQLITE_OK &&
             database_add_tables(sql, sql->db) && declare_tables(sql->db) &&
             database_add_functions(sql, sql->db);
    }
    if (!ok) {
        database_close(sql);
        return NULL;
    }
    sqlite3_set_authorizer(sql->db, authorize, sql);
    sqlite3_progress_handler(sql->db, STEPS_BETWEEN_LOOKS, look_at_the_clock, sql);
    return sql;
}

void database_close(struct database *sql)
{
    if (sql == NULL)
        return;
    database_finish(sql);
    sqlite3_close_v2(sql->db);
    mem_free(sql);
}

void database_finish(struct database *sql)
{
    sqlite3_finalize(sql->stmt);
    sql->stmt = NULL;
}

/* ---- what it says when it can't ------------------------------------------------------------------ */

/* What follows `prefix` in SQLite's message, or NULL. */
static const char *behind(const char *message, const char *prefix)
{
    size_t len = strlen(prefix);
    return strncmp(message, prefix, len) == 0 ? message + len : NULL;
}

static bool no_such_table(const char *name, struct fault *why)
{
    const char *dot = strrchr(name, '.');
    const char *bare = dot != NULL ? dot + 1 : name;
    const char *like = table_like(bytes_str(bare));
    if (like == NULL)
        return fault_set(why, BLAME_QUERY, 1146, "Table '%.80s' doesn't exist: SHOW TABLES lists them", name);
    return fault_set(why, BLAME_QUERY, 1146, "Table '%.80s' doesn't exist: did you mean '%s'?", name, like);
}

static bool no_such_column(const struct database *sql, const char *name, struct fault *why)
{
    const char *dot = strrchr(name, '.');
    struct guess guess;
    char words[120];
    uint64_t tables = sql->origin != NULL ? sql->origin->tables : 0;
    guess_begin(&guess, bytes_str(dot != NULL ? dot + 1 : name));
    for (unsigned t = 0; t < n_admin_tables; t++)
        for (const struct table_column *c = admin_tables[t].columns; c->name != NULL; c++)
            if ((tables >> t & 1) != 0)
                guess_try(&guess, c->name);
    return fault_set(why, BLAME_QUERY, 1054, "Unknown column '%.80s'%s", name,
                     guess_words(&guess, words, sizeof words));
}

static bool syntax_error(const struct database *sql, const char *message, struct fault *why)
{
    int at = sqlite3_error_offset(sql->db);
    if (at < 0 || sql->origin == NULL)
        return fault_set(why, BLAME_QUERY, 1064, "Syntax error: %.200s", message);
    return fault_set(why, BLAME_QUERY, 1064, "Syntax error at character %zu: %.180s",
                     translated_origin(sql->origin, (size_t)at) + 1, message);
}

static bool explain_error(const struct database *sql, int rc, struct fault *why)
{
    const char *message = sqlite3_errmsg(sql->db), *rest;
    if (sql->cancelled)
        return fault_set(why, BLAME_POLICY, ER_QUERY_INTERRUPTED, "Query execution was interrupted");
    if (sql->timed_out)
        return fault_set(why, BLAME_TIME, 3024, "Query execution was interrupted, maximum statement "
                                                "execution time exceeded");
    if ((rest = behind(message, "no such table: ")) != NULL)
        return no_such_table(rest, why);
    if ((rest = behind(message, "no such column: ")) != NULL)
        return no_such_column(sql, rest, why);
    if ((rest = behind(message, "no such function: ")) != NULL)
        return fault_set(why, BLAME_QUERY, 1305, "FUNCTION %.80s does not exist", rest);
    if (rc == SQLITE_AUTH || strstr(message, "prohibited") != NULL ||
        strstr(message, "not authorized") != NULL || strstr(message, "may not be modified") != NULL)
        return fault_set_state(why, BLAME_QUERY, 1235, "42000", "Only SELECT of the tables of volvox and "
                               "information_schema is possible here, and the commands that HELP lists");
    if (rc == SQLITE_NOMEM || rc == SQLITE_TOOBIG || rc == SQLITE_FULL)
        return fault_set(why, BLAME_POLICY, ER_OUT_OF_RESOURCES, "The statement needs too much memory");
    if (strstr(message, "syntax error") != NULL || strstr(message, "incomplete input") != NULL ||
        strstr(message, "unrecognized token") != NULL)
        return syntax_error(sql, message, why);
    return fault_set(why, BLAME_QUERY, ER_UNKNOWN_ERROR, "%.200s", message);
}

/* ---- one statement ----------------------------------------------------------------------------------- */

bool database_prepare(struct database *sql, const struct translated *tr, const struct database_facts *facts,
                 struct database_shape *shape, struct fault *why)
{
    const char *tail;
    database_finish(sql);
    sql->facts = *facts;
    sql->tables = 0;
    sql->timed_out = sql->cancelled = false;
    int rc = sqlite3_prepare_v3(sql->db, tr->text, (int)tr->len, SQLITE_PREPARE_PERSISTENT, &sql->stmt, &tail);
    if (rc != SQLITE_OK) {
        sql->origin = tr;
        explain_error(sql, rc, why);
        sql->origin = NULL;
        return false;
    }
    if (sql->stmt == NULL)
        return fault_set_state(why, BLAME_QUERY, 1065, "42000", "Query was empty");
    *shape = (struct database_shape){ .tables = sql->tables,
                                 .n_params = (unsigned)sqlite3_bind_parameter_count(sql->stmt),
                                 .n_columns = (unsigned)sqlite3_column_count(sql->stmt) };
    return true;
}

/* A variable is called what the client called it. */
static struct bytes column_title(const char *name)
{
    static const char call[] = "sysvar('";
    static _Thread_local char title[80];
    const char *inner = behind(name, call);
    const char *end = inner != NULL ? strstr(inner, "')") : NULL;
    size_t len = strlen(name);
    /* Likewise a text is called what it says. */
    if (len >= 2 && name[0] == '\'' && strchr(name + 1, '\'') == name + len - 1)
        return bytes_of(name + 1, len - 2);
    if (end == NULL || end[2] != '\0')
        return bytes_str(name);
    snprintf(title, sizeof title, "@@%.*s", (int)MIN(end - inner, 70), inner);
    return bytes_str(title);
}

static enum column_type declared_type(const char *type)
{
    if (type == NULL || strncmp(type, "TEXT", 4) == 0)
        return COLUMN_TEXT;
    return strcmp(type, "INTEGER") == 0 ? COLUMN_INT : COLUMN_REAL;
}

void database_columns(struct database *sql, struct answer *out)
{
    unsigned n = (unsigned)sqlite3_column_count(sql->stmt);
    answer_begin(out, n);
    for (unsigned i = 0; i < n; i++) {
        const char *name = sqlite3_column_name(sql->stmt, (int)i);
        answer_column(out, i, column_title(name != NULL ? name : ""),
                      declared_type(sqlite3_column_decltype(sql->stmt, (int)i)));
    }
}

static void bind_params(struct database *sql, const struct database_run *run)
{
    for (unsigned i = 0; i < run->n_params; i++) {
        const struct cell *c = &run->params[i];
        int at = (int)i + 1;
        if (c->kind == CELL_INT)
            sqlite3_bind_int64(sql->stmt, at, c->integer);
        else if (c->kind == CELL_REAL)
            sqlite3_bind_double(sql->stmt, at, c->real);
        else if (c->kind == CELL_TEXT)
            sqlite3_bind_text(sql->stmt, at, c->text, (int)c->len, SQLITE_STATIC);
        else
            sqlite3_bind_null(sql->stmt, at);
    }
}

static void take_row(sqlite3_stmt *stmt, struct answer *out)
{
    for (unsigned i = 0; i < out->n_columns; i++) {
        switch (sqlite3_column_type(stmt, (int)i)) {
        case SQLITE_NULL:
            put_null(&out->rows);
            break;
        case SQLITE_INTEGER:
            put_int(&out->rows, sqlite3_column_int64(stmt, (int)i));
            break;
        case SQLITE_FLOAT:
            put_real(&out->rows, sqlite3_column_double(stmt, (int)i));
            break;
        default: {
            const void *text = sqlite3_column_blob(stmt, (int)i);
            put_text(&out->rows, bytes_of(text != NULL ? text : "", (size_t)sqlite3_column_bytes(stmt, (int)i)));
        }
        }
    }
}

/* SQLite's values have types, its expressions don't: a column is what all of its values fit in. */
static void find_types(struct answer *out)
{
    size_t n = rows_count(&out->rows);
    for (unsigned i = 0; i < out->n_columns; i++) {
        bool any = false, text = false, real = false;
        for (size_t row = 0; row < n; row++) {
            enum cell_kind kind = rows_cell(&out->rows, row, i)->kind;
            any |= kind != CELL_NULL;
            text |= kind == CELL_TEXT;
            real |= kind == CELL_REAL;
        }
        if (any)
            out->columns[i].type = text ? COLUMN_TEXT : real ? COLUMN_REAL : COLUMN_INT;
    }
}

bool database_step(struct database *sql, const struct database_run *run, struct answer *out, struct fault *why)
{
    int rc = SQLITE_DONE;
    database_columns(sql, out);
    sql->run = run;
    bind_params(sql, run);
    bool ok = true, enough = false;
    while (!enough && (rc = sqlite3_step(sql->stmt)) == SQLITE_ROW && !out->rows.is_full) {
        take_row(sql->stmt, out);
        enough = run->max_rows > 0 && rows_count(&out->rows) >= run->max_rows;
    }
    if (out->rows.is_full)
        ok = fault_set(why, BLAME_POLICY, ER_OUT_OF_RESOURCES, "The answer is too large: more than %d MiB",
                       ROWS_LIMIT_BYTES >> 20);
    else if (rc != SQLITE_DONE && !enough)
        ok = explain_error(sql, rc, why);
    sqlite3_reset(sql->stmt);
    sqlite3_clear_bindings(sql->stmt);
    sql->run = NULL;
    find_types(out);
    return ok;
}
