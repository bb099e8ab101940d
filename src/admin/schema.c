/* schema.c - information_schema: what tools ask about our tables; see inside.h. */
#include "admin/inside.h"

#include "base/str.h"

static const char catalog[] = "def";

static const char *schema_of(const struct table *t)
{
    return t->is_ours ? "volvox" : "information_schema";
}

/* Names that differ only because ours has them already. */
static const char *name_of(const struct table *t)
{
    static const char prefix[] = "information_schema_";
    return strncmp(t->name, prefix, sizeof prefix - 1) == 0 ? t->name + sizeof prefix - 1 : t->name;
}

/* ---- schemata, tables, columns -------------------------------------------------------------- */

const struct table_column schemata_columns[] = {
    { "CATALOG_NAME", COLUMN_TEXT, NULL },
    { "SCHEMA_NAME", COLUMN_TEXT, NULL },
    { "DEFAULT_CHARACTER_SET_NAME", COLUMN_TEXT, NULL },
    { "DEFAULT_COLLATION_NAME", COLUMN_TEXT, NULL },
    { "SQL_PATH", COLUMN_TEXT, NULL },
    { "DEFAULT_ENCRYPTION", COLUMN_TEXT, NULL },
    { 0 },
};

void fill_schemata(struct gather *g)
{
    static const char *const names[] = { "information_schema", "volvox" };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        put_str(g->rows, catalog);
        put_str(g->rows, names[i]);
        put_str(g->rows, "utf8mb4");
        put_str(g->rows, "utf8mb4_general_ci");
        put_null(g->rows);
        put_str(g->rows, "NO");
    }
}

const struct table_column schema_tables_columns[] = {
    { "TABLE_CATALOG", COLUMN_TEXT, NULL },
    { "TABLE_SCHEMA", COLUMN_TEXT, NULL },
    { "TABLE_NAME", COLUMN_TEXT, NULL },
    { "TABLE_TYPE", COLUMN_TEXT, NULL },
    { "ENGINE", COLUMN_TEXT, NULL },
    { "VERSION", COLUMN_INT, NULL },
    { "ROW_FORMAT", COLUMN_TEXT, NULL },
    { "TABLE_ROWS", COLUMN_INT, NULL },
    { "AVG_ROW_LENGTH", COLUMN_INT, NULL },
    { "DATA_LENGTH", COLUMN_INT, NULL },
    { "MAX_DATA_LENGTH", COLUMN_INT, NULL },
    { "INDEX_LENGTH", COLUMN_INT, NULL },
    { "DATA_FREE", COLUMN_INT, NULL },
    { "AUTO_INCREMENT", COLUMN_INT, NULL },
    { "CREATE_TIME", COLUMN_TEXT, NULL },
    { "UPDATE_TIME", COLUMN_TEXT, NULL },
    { "CHECK_TIME", COLUMN_TEXT, NULL },
    { "TABLE_COLLATION", COLUMN_TEXT, NULL },
    { "CHECKSUM", COLUMN_INT, NULL },
    { "CREATE_OPTIONS", COLUMN_TEXT, NULL },
    { "TABLE_COMMENT", COLUMN_TEXT, NULL },
    { 0 },
};

void fill_schema_tables(struct gather *g)
{
    for (const struct table *t = admin_tables; t < admin_tables + n_admin_tables; t++) {
        put_str(g->rows, catalog);
        put_str(g->rows, schema_of(t));
        put_str(g->rows, name_of(t));
        put_str(g->rows, t->is_ours ? "BASE TABLE" : "SYSTEM VIEW");
        put_str(g->rows, t->is_ours ? "VOLVOX" : NULL);
        for (int i = 0; i < 12; i++)
            put_null(g->rows);
        put_str(g->rows, "utf8mb4_general_ci");
        put_null(g->rows);
        put_str(g->rows, "");
        put_str(g->rows, t->help != NULL ? t->help : "");
    }
}

const struct table_column schema_columns_columns[] = {
    { "TABLE_CATALOG", COLUMN_TEXT, NULL },
    { "TABLE_SCHEMA", COLUMN_TEXT, NULL },
    { "TABLE_NAME", COLUMN_TEXT, NULL },
    { "COLUMN_NAME", COLUMN_TEXT, NULL },
    { "ORDINAL_POSITION", COLUMN_INT, NULL },
    { "COLUMN_DEFAULT", COLUMN_TEXT, NULL },
    { "IS_NULLABLE", COLUMN_TEXT, NULL },
    { "DATA_TYPE", COLUMN_TEXT, NULL },
    { "CHARACTER_MAXIMUM_LENGTH", COLUMN_INT, NULL },
    { "CHARACTER_OCTET_LENGTH", COLUMN_INT, NULL },
    { "NUMERIC_PRECISION", COLUMN_INT, NULL },
    { "NUMERIC_SCALE", COLUMN_INT, NULL },
    { "DATETIME_PRECISION", COLUMN_INT, NULL },
    { "CHARACTER_SET_NAME", COLUMN_TEXT, NULL },
    { "COLLATION_NAME", COLUMN_TEXT, NULL },
    { "COLUMN_TYPE", COLUMN_TEXT, NULL },
    { "COLUMN_KEY", COLUMN_TEXT, NULL },
    { "EXTRA", COLUMN_TEXT, NULL },
    { "PRIVILEGES", COLUMN_TEXT, NULL },
    { "COLUMN_COMMENT", COLUMN_TEXT, NULL },
    { "GENERATION_EXPRESSION", COLUMN_TEXT, NULL },
    { "SRS_ID", COLUMN_INT, NULL },
    { 0 },
};

static void put_type(struct rows *r, enum column_type type)
{
    static const char *const words[] = { [COLUMN_TEXT] = "varchar", [COLUMN_INT] = "bigint",
                                         [COLUMN_REAL] = "double" };
    static const char *const full[] = { [COLUMN_TEXT] = "varchar(4096)", [COLUMN_INT] = "bigint",
                                        [COLUMN_REAL] = "double" };
    bool text = type == COLUMN_TEXT;
    put_str(r, words[type]);
    for (int i = 0; i < 2; i++) {
        if (text)
            put_int(r, 4096);
        else
            put_null(r);
    }
    if (type == COLUMN_INT)
        put_int(r, 19);
    else
        put_null(r);
    if (type == COLUMN_INT)
        put_int(r, 0);
    else
        put_null(r);
    put_null(r);
    put_str(r, text ? "utf8mb4" : NULL);
    put_str(r, text ? "utf8mb4_general_ci" : NULL);
    put_str(r, full[type]);
}

void fill_schema_columns(struct gather *g)
{
    for (const struct table *t = admin_tables; t < admin_tables + n_admin_tables; t++) {
        for (unsigned i = 0; t->columns[i].name != NULL; i++) {
            put_str(g->rows, catalog);
            put_str(g->rows, schema_of(t));
            put_str(g->rows, name_of(t));
            put_str(g->rows, t->columns[i].name);
            put_int(g->rows, i + 1);
            put_null(g->rows);
            put_str(g->rows, "YES");
            put_type(g->rows, t->columns[i].type);
            put_str(g->rows, "");
            put_str(g->rows, "");
            put_str(g->rows, "select");
            put_str(g->rows, t->columns[i].help != NULL ? t->columns[i].help : "");
            put_str(g->rows, "");
            put_null(g->rows);
        }
    }
}

/* ---- engines, character sets, collations ---------------------------------------------------------- */

const struct table_column schema_engines_columns[] = {
    { "ENGINE", COLUMN_TEXT, NULL },
    { "SUPPORT", COLUMN_TEXT, NULL },
    { "COMMENT", COLUMN_TEXT, NULL },
    { "TRANSACTIONS", COLUMN_TEXT, NULL },
    { "XA", COLUMN_TEXT, NULL },
    { "SAVEPOINTS", COLUMN_TEXT, NULL },
    { 0 },
};

void fill_schema_engines(struct gather *g)
{
    put_str(g->rows, "VOLVOX");
    put_str(g->rows, "DEFAULT");
    put_str(g->rows, "What Volvox knows about itself");
    for (int i = 0; i < 3; i++)
        put_str(g->rows, "NO");
}

const struct table_column schema_charsets_columns[] = {
    { "CHARACTER_SET_NAME", COLUMN_TEXT, NULL },
    { "DEFAULT_COLLATE_NAME", COLUMN_TEXT, NULL },
    { "DESCRIPTION", COLUMN_TEXT, NULL },
    { "MAXLEN", COLUMN_INT, NULL },
    { 0 },
};

void fill_schema_charsets(struct gather *g)
{
    put_str(g->rows, "utf8mb4");
    put_str(g->rows, "utf8mb4_general_ci");
    put_str(g->rows, "UTF-8 Unicode");
    put_int(g->rows, 4);
}

const struct table_column schema_collations_columns[] = {
    { "COLLATION_NAME", COLUMN_TEXT, NULL },
    { "CHARACTER_SET_NAME", COLUMN_TEXT, NULL },
    { "ID", COLUMN_INT, NULL },
    { "IS_DEFAULT", COLUMN_TEXT, NULL },
    { "IS_COMPILED", COLUMN_TEXT, NULL },
    { "SORTLEN", COLUMN_INT, NULL },
    { "PAD_ATTRIBUTE", COLUMN_TEXT, NULL },
    { 0 },
};

void fill_schema_collations(struct gather *g)
{
    put_str(g->rows, "utf8mb4_general_ci");
    put_str(g->rows, "utf8mb4");
    put_int(g->rows, ADMIN_COLLATION);
    put_str(g->rows, "Yes");
    put_str(g->rows, "Yes");
    put_int(g->rows, 1);
    put_str(g->rows, "PAD SPACE");
}

const struct table_column schema_applicability_columns[] = {
    { "COLLATION_NAME", COLUMN_TEXT, NULL },
    { "CHARACTER_SET_NAME", COLUMN_TEXT, NULL },
    { 0 },
};

void fill_schema_applicability(struct gather *g)
{
    put_str(g->rows, "utf8mb4_general_ci");
    put_str(g->rows, "utf8mb4");
}

/* ---- variables, processlist --------------------------------------------------------------------------- */

const struct table_column schema_variables_columns[] = {
    { "VARIABLE_NAME", COLUMN_TEXT, NULL },
    { "VARIABLE_VALUE", COLUMN_TEXT, NULL },
    { 0 },
};

void fill_schema_variables(struct gather *g)
{
    for (unsigned i = 0; i < n_variables; i++) {
        put_str(g->rows, variables[i].name);
        put_str(g->rows, variables[i].value);
    }
}

const struct table_column schema_processlist_columns[] = {
    { "ID", COLUMN_INT, NULL },
    { "USER", COLUMN_TEXT, NULL },
    { "HOST", COLUMN_TEXT, NULL },
    { "DB", COLUMN_TEXT, NULL },
    { "COMMAND", COLUMN_TEXT, NULL },
    { "TIME", COLUMN_INT, NULL },
    { "STATE", COLUMN_TEXT, NULL },
    { "INFO", COLUMN_TEXT, NULL },
    { 0 },
};

/* The clients, in the columns that tools look for. */
void fill_schema_processlist(struct gather *g)
{
    enum { ID = 0, USER = 2, HOST = 3, SCHEMA = 5, PHASE = 6, SINCE_MS = 7, COMMAND = 8, DIGEST = 9 };
    static const unsigned from[] = { ID, USER, HOST, SCHEMA, COMMAND, SINCE_MS, PHASE, DIGEST };
    struct rows all;
    struct gather clients = *g;
    rows_init(&all, table_width(&admin_tables[table_find(BYTES_LITERAL("clients"))]));
    clients.rows = &all;
    fill_clients(&clients);
    for (size_t row = 0; row < rows_count(&all); row++) {
        for (size_t i = 0; i < ARRAY_LEN(from); i++) {
            const struct cell *c = rows_cell(&all, row, from[i]);
            if (c->kind == CELL_INT)
                put_int(g->rows, from[i] == SINCE_MS ? c->integer / 1000 : c->integer);
            else if (c->kind == CELL_TEXT)
                put_text(g->rows, bytes_of(c->text, c->len));
            else
                put_null(g->rows);
        }
    }
    rows_release(&all);
}
