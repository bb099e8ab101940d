/*
 * show.c - SHOW and DESCRIBE: each is a SELECT, written here in MySQL's words; LIKE, WHERE, ORDER BY and
 * LIMIT may follow any of them.
 */
#include "admin/inside.h"

#include "base/mem.h"
#include "base/str.h"

/* What is shown under these words; `first` is the column that LIKE looks at. */
static const struct show {
    const char *words[2];
    bool takes_schema;            /* FROM schema may follow, and changes nothing */
    const char *first, *select;
} shows[] = {
    { { "databases" }, false, "Database", "SELECT SCHEMA_NAME AS `Database` FROM schemata" },
    { { "schemas" }, false, "Database", "SELECT SCHEMA_NAME AS `Database` FROM schemata" },
    { { "engines" }, false, "Engine",
      "SELECT ENGINE AS Engine, SUPPORT AS Support, COMMENT AS Comment, TRANSACTIONS AS Transactions, XA, "
      "SAVEPOINTS AS Savepoints FROM engines" },
    { { "storage", "engines" }, false, "Engine",
      "SELECT ENGINE AS Engine, SUPPORT AS Support, COMMENT AS Comment, TRANSACTIONS AS Transactions, XA, "
      "SAVEPOINTS AS Savepoints FROM engines" },
    { { "charset" }, false, "Charset",
      "SELECT CHARACTER_SET_NAME AS Charset, DESCRIPTION AS Description, DEFAULT_COLLATE_NAME AS "
      "`Default collation`, MAXLEN AS Maxlen FROM character_sets" },
    { { "character", "set" }, false, "Charset",
      "SELECT CHARACTER_SET_NAME AS Charset, DESCRIPTION AS Description, DEFAULT_COLLATE_NAME AS "
      "`Default collation`, MAXLEN AS Maxlen FROM character_sets" },
    { { "collation" }, false, "Collation",
      "SELECT COLLATION_NAME AS `Collation`, CHARACTER_SET_NAME AS Charset, ID AS Id, IS_DEFAULT AS "
      "`Default`, IS_COMPILED AS Compiled, SORTLEN AS Sortlen, PAD_ATTRIBUTE AS Pad_attribute "
      "FROM collations" },
    { { "variables" }, false, "Variable_name",
      "SELECT VARIABLE_NAME AS Variable_name, VARIABLE_VALUE AS Value FROM session_variables" },
    { { "status" }, false, "Variable_name",
      "SELECT name || coalesce('{' || labels || '}', '') AS Variable_name, value AS Value FROM counters "
      "UNION ALL SELECT 'Ssl_cipher', '' UNION ALL SELECT 'Ssl_version', ''" },
    { { "processlist" }, false, "Id",
      "SELECT ID AS Id, USER AS User, HOST AS Host, DB AS db, COMMAND AS Command, TIME AS Time, STATE AS "
      "State, INFO AS Info FROM processlist" },
    { { "full", "processlist" }, false, "Id",
      "SELECT ID AS Id, USER AS User, HOST AS Host, DB AS db, COMMAND AS Command, TIME AS Time, STATE AS "
      "State, INFO AS Info FROM processlist" },
    { { "warnings" }, false, "Level", "SELECT '' AS Level, 0 AS Code, '' AS Message WHERE 0" },
    { { "errors" }, false, "Level", "SELECT '' AS Level, 0 AS Code, '' AS Message WHERE 0" },
    { { "plugins" }, false, "Name",
      "SELECT PLUGIN_NAME AS Name, PLUGIN_STATUS AS Status, PLUGIN_TYPE AS Type, '' AS Library, '' AS "
      "License FROM plugins" },
    { { "privileges" }, false, "Privilege", "SELECT '' AS Privilege, '' AS Context, '' AS Comment WHERE 0" },
    { { "triggers" }, true, "Trigger",
      "SELECT TRIGGER_NAME AS `Trigger`, EVENT_MANIPULATION AS Event, EVENT_OBJECT_TABLE AS `Table`, "
      "ACTION_STATEMENT AS Statement, ACTION_TIMING AS Timing, CREATED AS Created, sql_mode, DEFINER AS "
      "Definer, character_set_client, collation_connection, DATABASE_COLLATION AS `Database Collation` "
      "FROM triggers" },
    { { "table", "status" }, true, "Name",
      "SELECT TABLE_NAME AS Name, ENGINE AS Engine, VERSION AS Version, ROW_FORMAT AS Row_format, "
      "TABLE_ROWS AS `Rows`, AVG_ROW_LENGTH AS Avg_row_length, DATA_LENGTH AS Data_length, "
      "MAX_DATA_LENGTH AS Max_data_length, INDEX_LENGTH AS Index_length, DATA_FREE AS Data_free, "
      "AUTO_INCREMENT AS Auto_increment, CREATE_TIME AS Create_time, UPDATE_TIME AS Update_time, "
      "CHECK_TIME AS Check_time, TABLE_COLLATION AS `Collation`, CHECKSUM AS Checksum, CREATE_OPTIONS AS "
      "Create_options, TABLE_COMMENT AS Comment FROM tables WHERE TABLE_SCHEMA = 'volvox'" },
    { { "procedure", "status" }, false, "Db",
      "SELECT ROUTINE_SCHEMA AS Db, ROUTINE_NAME AS Name, ROUTINE_TYPE AS Type, DEFINER AS Definer, "
      "LAST_ALTERED AS Modified, CREATED AS Created, SECURITY_TYPE AS Security_type, ROUTINE_COMMENT AS "
      "Comment FROM routines" },
    { { "function", "status" }, false, "Db",
      "SELECT ROUTINE_SCHEMA AS Db, ROUTINE_NAME AS Name, ROUTINE_TYPE AS Type, DEFINER AS Definer, "
      "LAST_ALTERED AS Modified, CREATED AS Created, SECURITY_TYPE AS Security_type, ROUTINE_COMMENT AS "
      "Comment FROM routines" },
    { { "open", "tables" }, true, "Database",
      "SELECT '' AS `Database`, '' AS `Table`, 0 AS In_use, 0 AS Name_locked WHERE 0" },
};

/* ---- tails: LIKE, WHERE, ORDER BY, LIMIT ------------------------------------------------------- */

static bool finish(struct words *w, struct arena *a, const char *base, const char *first,
                   struct bytes *select, struct fault *why)
{
    const char *like = "";
    if (word_is(w, "like"))
        like = arena_printf(a, "WHERE `%s` ", first);
    else if (!words_at_end(w) && !word_is(w, "where") && !word_is(w, "order") && !word_is(w, "limit"))
        return words_expected(w, "LIKE, WHERE, ORDER BY, LIMIT or the end", why);
    struct bytes rest = words_rest(w);
    *select = bytes_str(arena_printf(a, "SELECT * FROM (%s) %s%.*s", base, like, BYTES_FMT(rest)));
    return true;
}

/* ---- names of tables ------------------------------------------------------------------------------- */

static bool take_table(struct words *w, char *name, size_t size, int *index, struct fault *why)
{
    char more[80];
    if (!name_take(w, "a table's name", name, size, why))
        return false;
    if (punct_take(w, '.')) {
        if (!name_take(w, "a table's name", more, sizeof more, why))
            return false;
        str_copy(name, size, bytes_str(more));
    }
    const char *dot = strrchr(name, '.');
    if (dot != NULL) {
        str_copy(more, sizeof more, bytes_str(dot + 1));
        str_copy(name, size, bytes_str(more));
    }
    *index = table_find(bytes_str(name));
    if (*index >= 0)
        return true;
    const char *like = table_like(bytes_str(name));
    return fault_set(why, BLAME_QUERY, 1146, "Table '%.64s' doesn't exist%s%s%s", name,
                     like != NULL ? ": did you mean '" : ": SHOW TABLES lists them", like != NULL ? like : "",
                     like != NULL ? "'?" : "");
}

static bool take_schema(struct words *w, char *schema, size_t size, struct fault *why)
{
    if (!word_take(w, "from") && !word_take(w, "in"))
        return true;
    if (!name_take(w, "a schema's name", schema, size, why))
        return false;
    if (strcasecmp(schema, "volvox") == 0 || strcasecmp(schema, "information_schema") == 0)
        return true;
    return fault_set(why, BLAME_QUERY, ER_BAD_DB, "Unknown database '%.64s': there are volvox and "
                     "information_schema", schema);
}

/* ---- TABLES, COLUMNS, INDEX, CREATE ---------------------------------------------------------------------- */

static bool show_tables(struct words *w, struct visitor *v, bool full, struct arena *a,
                        struct bytes *select, struct fault *why)
{
    char schema[65];
    str_copy(schema, sizeof schema, bytes_str(v->facts.schema[0] != '\0' ? v->facts.schema : "volvox"));
    if (!take_schema(w, schema, sizeof schema, why))
        return false;
    const char *title = arena_printf(a, "Tables_in_%s", schema);
    return finish(w, a,
                  arena_printf(a, "SELECT TABLE_NAME AS `%s`%s FROM tables WHERE TABLE_SCHEMA = '%s'", title,
                               full ? ", TABLE_TYPE AS Table_type" : "", schema),
                  title, select, why);
}

static const char *columns_of(struct arena *a, int table, bool full)
{
    return arena_printf(a,
                        "SELECT COLUMN_NAME AS Field, COLUMN_TYPE AS Type%s, IS_NULLABLE AS `Null`, "
                        "COLUMN_KEY AS `Key`, COLUMN_DEFAULT AS `Default`, EXTRA AS Extra%s FROM columns "
                        "WHERE TABLE_NAME = '%s' AND TABLE_SCHEMA = '%s'",
                        full ? ", COLLATION_NAME AS `Collation`" : "",
                        full ? ", PRIVILEGES AS Privileges, COLUMN_COMMENT AS Comment" : "",
                        admin_tables[table].name, admin_tables[table].is_ours ? "volvox" : "information_schema");
}

static bool take_from_table(struct words *w, int *table, struct fault *why)
{
    char name[80], schema[65];
    if (!word_take(w, "from") && !word_take(w, "in"))
        return words_expected(w, "FROM and a table's name", why);
    return take_table(w, name, sizeof name, table, why) && take_schema(w, schema, sizeof schema, why);
}

static bool show_columns(struct words *w, bool full, struct arena *a, struct bytes *select,
                         struct fault *why)
{
    int table;
    return take_from_table(w, &table, why) &&
           finish(w, a, columns_of(a, table, full), "Field", select, why);
}

static bool show_index(struct words *w, struct arena *a, struct bytes *select, struct fault *why)
{
    int table;
    return take_from_table(w, &table, why) &&
           finish(w, a,
                  "SELECT TABLE_NAME AS `Table`, NON_UNIQUE AS Non_unique, INDEX_NAME AS Key_name, "
                  "SEQ_IN_INDEX AS Seq_in_index, COLUMN_NAME AS Column_name, COLLATION AS `Collation`, "
                  "CARDINALITY AS Cardinality, SUB_PART AS Sub_part, PACKED AS Packed, NULLABLE AS `Null`, "
                  "INDEX_TYPE AS Index_type, COMMENT AS Comment, INDEX_COMMENT AS Index_comment, IS_VISIBLE "
                  "AS Visible, EXPRESSION AS Expression FROM statistics",
                  "Table", select, why);
}

static bool show_create_table(struct words *w, struct answer *out, struct fault *why)
{
    static const char *const types[] = { [COLUMN_TEXT] = "varchar(4096)", [COLUMN_INT] = "bigint",
                                         [COLUMN_REAL] = "double" };
    char name[80], *text = NULL;
    size_t len;
    int index;
    if (!take_table(w, name, sizeof name, &index, why) || !words_end(w, "the end", why))
        return false;
    FILE *to = open_memstream(&text, &len);
    must(to != NULL);
    fprintf(to, "CREATE TABLE `%s` (\n", admin_tables[index].name);
    for (const struct table_column *c = admin_tables[index].columns; c->name != NULL; c++)
        fprintf(to, "  `%s` %s DEFAULT NULL%s\n", c->name, types[c->type], c[1].name != NULL ? "," : "");
    fputs(") ENGINE=VOLVOX DEFAULT CHARSET=utf8mb4", to);
    must(fclose(to) == 0);
    answer_begin(out, 2);
    answer_column(out, 0, BYTES_LITERAL("Table"), COLUMN_TEXT);
    answer_column(out, 1, BYTES_LITERAL("Create Table"), COLUMN_TEXT);
    put_str(&out->rows, admin_tables[index].name);
    put_str(&out->rows, text);
    free(text);
    return true;
}

static bool show_create(struct words *w, struct answer *out, struct fault *why)
{
    char schema[65];
    if (word_take(w, "table") || word_take(w, "view"))
        return show_create_table(w, out, why);
    if (!word_take(w, "database") && !word_take(w, "schema"))
        return words_expected(w, "TABLE or DATABASE", why);
    if (!name_take(w, "a schema's name", schema, sizeof schema, why) || !words_end(w, "the end", why))
        return false;
    answer_begin(out, 2);
    answer_column(out, 0, BYTES_LITERAL("Database"), COLUMN_TEXT);
    answer_column(out, 1, BYTES_LITERAL("Create Database"), COLUMN_TEXT);
    put_str(&out->rows, schema);
    put_format(&out->rows, "CREATE DATABASE `%s`", schema);
    return true;
}

static bool show_grants(struct words *w, struct visitor *v, struct answer *out, struct fault *why)
{
    const struct admin_user_config *u = visitor_account(v);
    bool full = u != NULL && u->access == ADMIN_FULL;
    if (word_take(w, "for")) {
        char name[80];
        if (!name_take(w, "a user's name", name, sizeof name, why))
            return false;
        punct_take(w, '(');
        punct_take(w, ')');
    }
    if (!words_end(w, "the end", why))
        return false;
    answer_begin(out, 1);
    answer_column(out, 0, BYTES_LITERAL("Grants"), COLUMN_TEXT);
    put_format(&out->rows, "GRANT %s ON *.* TO `%s`@`%%`", full ? "ALL PRIVILEGES" : "SELECT", v->facts.user);
    return true;
}

/* ---- SHOW itself -------------------------------------------------------------------------------------------- */

static const struct show *find_show(struct words *w)
{
    for (const struct show *s = shows; s < shows + ARRAY_LEN(shows); s++) {
        struct words back = *w;
        if (word_take(w, s->words[0]) && (s->words[1] == NULL || word_take(w, s->words[1])))
            return s;
        *w = back;
    }
    return NULL;
}

static bool show_ours(struct words *w, struct arena *a, struct bytes *select, struct fault *why)
{
    char expected[256];
    struct guess g;
    int index = w->now.kind == TOKEN_WORD ? table_find(w->now.text) : -1;
    if (index >= 0 && admin_tables[index].is_ours) {
        word_take(w, admin_tables[index].name);
        return finish(w, a, arena_printf(a, "SELECT * FROM %s", admin_tables[index].name),
                      admin_tables[index].columns[0].name, select, why);
    }
    guess_begin(&g, w->now.kind == TOKEN_WORD ? w->now.text : BYTES_NONE);
    for (unsigned i = 0; i < n_admin_tables; i++)
        if (admin_tables[i].is_ours)
            guess_try(&g, admin_tables[i].name);
    for (size_t i = 0; i < ARRAY_LEN(shows); i++)
        guess_try(&g, shows[i].words[0]);
    if (g.best != NULL)
        snprintf(expected, sizeof expected, "'%s'", g.best);
    else
        snprintf(expected, sizeof expected, "one of our tables (SHOW TABLES), TABLES, COLUMNS, VARIABLES, "
                                            "STATUS, PROCESSLIST, DATABASES, ENGINES, WARNINGS");
    return words_expected(w, expected, why);
}

static bool count_of(struct words *w, struct arena *a, struct bytes *select, struct fault *why)
{
    bool ok = punct_take(w, '(') && punct_take(w, '*') && punct_take(w, ')') &&
              (word_take(w, "warnings") || word_take(w, "errors"));
    if (!ok)
        return words_expected(w, "COUNT(*) WARNINGS", why);
    return finish(w, a, "SELECT 0 AS `@@session.warning_count`", "@@session.warning_count", select, why);
}

static bool is_columns(struct words *w)
{
    return word_take(w, "columns") || word_take(w, "fields");
}

bool show_read(struct words *w, struct visitor *v, struct arena *a, struct bytes *select,
               struct answer *out, struct fault *why)
{
    struct words back = *w;
    char schema[65];
    *select = BYTES_NONE;
    if (word_take(w, "create"))
        return show_create(w, out, why);
    if (word_take(w, "grants"))
        return show_grants(w, v, out, why);
    if (word_take(w, "count"))
        return count_of(w, a, select, why);
    if (word_take(w, "index") || word_take(w, "indexes") || word_take(w, "keys"))
        return show_index(w, a, select, why);
    if (word_take(w, "global") || word_take(w, "session") || word_take(w, "local")) {
        if (!word_is(w, "variables") && !word_is(w, "status"))
            return words_expected(w, "VARIABLES or STATUS", why);
    } else {
        bool full = word_take(w, "full");
        full |= word_take(w, "extended");
        if (word_take(w, "tables"))
            return show_tables(w, v, full, a, select, why);
        if (is_columns(w))
            return show_columns(w, full, a, select, why);
        *w = back;
    }
    const struct show *s = find_show(w);
    if (s == NULL)
        return show_ours(w, a, select, why);
    if (s->takes_schema && !take_schema(w, schema, sizeof schema, why))
        return false;
    return finish(w, a, s->select, s->first, select, why);
}

bool describe_read(struct words *w, struct arena *a, struct bytes *select, struct fault *why)
{
    char name[80], column[80];
    int table;
    if (!take_table(w, name, sizeof name, &table, why))
        return false;
    const char *base = columns_of(a, table, false);
    if (!words_at_end(w)) {
        if (!name_take(w, "a column's name", column, sizeof column, why))
            return false;
        if (strchr(column, '\'') != NULL || strchr(column, '\\') != NULL)
            return words_expected(w, "a column's name", why);
        base = arena_printf(a, "%s AND COLUMN_NAME LIKE '%s'", base, column);
    }
    *select = bytes_str(base);
    return words_end(w, "a column's name or the end", why);
}
