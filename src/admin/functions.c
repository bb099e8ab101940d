/* functions.c - MySQL's functions that tools call first, for SQLite; see inside.h. */
#include "admin/inside.h"

#include <sqlite3.h>
#include <time.h>

#include "base/clock.h"

static const struct database_facts *facts_of(sqlite3_context *c)
{
    return database_facts(sqlite3_user_data(c));
}

static void result_str(sqlite3_context *c, const char *text)
{
    sqlite3_result_text(c, text, -1, SQLITE_TRANSIENT);
}

static void do_connection_id(sqlite3_context *c, int n, sqlite3_value **v)
{
    (void)n, (void)v;
    sqlite3_result_int64(c, facts_of(c)->id);
}

static void do_database(sqlite3_context *c, int n, sqlite3_value **v)
{
    (void)n, (void)v;
    if (facts_of(c)->schema[0] == '\0')
        sqlite3_result_null(c);
    else
        result_str(c, facts_of(c)->schema);
}

static void do_user(sqlite3_context *c, int n, sqlite3_value **v)
{
    char text[80 + 1 + ADDRESS_TEXT_BYTES + 1];
    (void)n, (void)v;
    snprintf(text, sizeof text, "%s@%s", facts_of(c)->user, facts_of(c)->host);
    result_str(c, text);
}

static void do_version(sqlite3_context *c, int n, sqlite3_value **v)
{
    (void)n, (void)v;
    result_str(c, ADMIN_VERSION);
}

static void do_zero(sqlite3_context *c, int n, sqlite3_value **v)
{
    (void)n, (void)v;
    sqlite3_result_int(c, 0);
}

static void do_sysvar(sqlite3_context *c, int n, sqlite3_value **v)
{
    (void)n;
    const char *name = (const char *)sqlite3_value_text(v[0]);
    const char *value = name != NULL ? variable_value(bytes_str(name)) : NULL;
    char *end;
    if (value == NULL) {
        char text[160];
        snprintf(text, sizeof text, "Unknown system variable '%.80s'", name != NULL ? name : "");
        sqlite3_result_error(c, text, -1);
        return;
    }
    long long number = strtoll(value, &end, 10);
    if (*value != '\0' && *end == '\0')
        sqlite3_result_int64(c, number);
    else
        result_str(c, value);
}

static void do_now(sqlite3_context *c, int n, sqlite3_value **v)
{
    time_t now = (time_t)(clock_wall_us() / 1000000);
    struct tm tm;
    char text[32] = "";
    (void)n, (void)v;
    if (gmtime_r(&now, &tm) != NULL)
        strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &tm);
    result_str(c, text);
}

static void do_unix_timestamp(sqlite3_context *c, int n, sqlite3_value **v)
{
    (void)n, (void)v;
    sqlite3_result_int64(c, (sqlite3_int64)(clock_wall_us() / 1000000));
}

static void do_if(sqlite3_context *c, int n, sqlite3_value **v)
{
    (void)n;
    sqlite3_result_value(c, sqlite3_value_double(v[0]) != 0 ? v[1] : v[2]);
}

/* CONCAT_WS(separator, ...) leaves out NULLs, CONCAT(...) is NULL then. */
static void join(sqlite3_context *c, const char *between, int n, sqlite3_value **v, bool skip_nulls)
{
    sqlite3_str *out = sqlite3_str_new(sqlite3_context_db_handle(c));
    bool first = true;
    for (int i = 0; i < n; i++) {
        const char *text = (const char *)sqlite3_value_text(v[i]);
        if (text == NULL && skip_nulls)
            continue;
        if (text == NULL) {
            sqlite3_free(sqlite3_str_finish(out));
            sqlite3_result_null(c);
            return;
        }
        sqlite3_str_appendall(out, first ? "" : between);
        sqlite3_str_append(out, text, sqlite3_value_bytes(v[i]));
        first = false;
    }
    int rc = sqlite3_str_errcode(out), len = sqlite3_str_length(out);
    char *text = sqlite3_str_finish(out);
    if (rc != SQLITE_OK)
        sqlite3_result_error_code(c, rc);
    else
        sqlite3_result_text(c, text != NULL ? text : "", len, SQLITE_TRANSIENT);
    sqlite3_free(text);
}

static void do_concat(sqlite3_context *c, int n, sqlite3_value **v)
{
    join(c, "", n, v, false);
}

static void do_concat_ws(sqlite3_context *c, int n, sqlite3_value **v)
{
    const char *between = n > 0 ? (const char *)sqlite3_value_text(v[0]) : NULL;
    if (between == NULL)
        sqlite3_result_null(c);
    else
        join(c, between, n - 1, v + 1, true);
}

static const struct {
    const char *name;
    int n_args;
    void (*run)(sqlite3_context *c, int n, sqlite3_value **v);
} functions[] = {
    { "connection_id", 0, do_connection_id },
    { "database", 0, do_database },
    { "schema", 0, do_database },
    { "user", 0, do_user },
    { "current_user", 0, do_user },
    { "session_user", 0, do_user },
    { "system_user", 0, do_user },
    { "version", 0, do_version },
    { "found_rows", 0, do_zero },
    { "row_count", 0, do_zero },
    { "last_insert_id", 0, do_zero },
    { "sysvar", 1, do_sysvar },
    { "now", 0, do_now },
    { "sysdate", 0, do_now },
    { "utc_timestamp", 0, do_now },
    { "unix_timestamp", 0, do_unix_timestamp },
    { "if", 3, do_if },
    { "concat", -1, do_concat },
    { "concat_ws", -1, do_concat_ws },
};

/* Any collation that a tool names is ours: letter case does not count. */
static int compare_nocase(void *arg, int a_len, const void *a, int b_len, const void *b)
{
    (void)arg;
    int order = sqlite3_strnicmp(a, b, MIN(a_len, b_len));
    return order != 0 ? order : a_len - b_len;
}

static void on_collation_needed(void *arg, sqlite3 *db, int encoding, const char *name)
{
    (void)arg, (void)encoding;
    if (collation_by_name(bytes_str(name)) != NULL)
        sqlite3_create_collation(db, name, SQLITE_UTF8, NULL, compare_nocase);
}

bool database_add_functions(struct database *sql, struct sqlite3 *db)
{
    for (size_t i = 0; i < ARRAY_LEN(functions); i++)
        if (sqlite3_create_function_v2(db, functions[i].name, functions[i].n_args, SQLITE_UTF8, sql,
                                       functions[i].run, NULL, NULL, NULL) != SQLITE_OK)
            return false;
    return sqlite3_collation_needed(db, NULL, on_collation_needed) == SQLITE_OK;
}
