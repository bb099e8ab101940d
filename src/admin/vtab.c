/* vtab.c - our tables for SQLite: eponymous virtual tables over rows that were collected before. */
#include "admin/inside.h"

#include <sqlite3.h>

#include "base/mem.h"

/* Which table of which database; lives as long as the database. */
struct aux {
    struct database *sql;
    unsigned index;
};

struct vtab {
    sqlite3_vtab base;            /* first: SQLite's */
    struct aux *aux;
};

struct vtab_cursor {
    sqlite3_vtab_cursor base;     /* first: SQLite's */
    const struct rows *rows;      /* NULL: none */
    size_t at;
};

/* CREATE TABLE x("a" TEXT COLLATE NOCASE, ...): MySQL compares without regard to letter case. */
static char *declaration(const struct table *table)
{
    static const char *const types[] = { [COLUMN_TEXT] = "TEXT COLLATE NOCASE", [COLUMN_INT] = "INTEGER",
                                         [COLUMN_REAL] = "REAL" };
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    must(out != NULL);
    fputs("CREATE TABLE x(", out);
    for (unsigned i = 0; table->columns[i].name != NULL; i++)
        fprintf(out, "%s\"%s\" %s", i > 0 ? ", " : "", table->columns[i].name,
                types[table->columns[i].type]);
    fputs(")", out);
    must(fclose(out) == 0);
    return text;
}

static int vtab_connect(sqlite3 *db, void *arg, int argc, const char *const *argv, sqlite3_vtab **out,
                        char **error)
{
    (void)argc, (void)argv, (void)error;
    struct aux *aux = arg;
    char *text = declaration(&admin_tables[aux->index]);
    int rc = sqlite3_declare_vtab(db, text);
    free(text);
    if (rc != SQLITE_OK)
        return rc;
    struct vtab *v = mem_zalloc(sizeof *v);
    v->aux = aux;
    *out = &v->base;
    return SQLITE_OK;
}

static int vtab_disconnect(sqlite3_vtab *base)
{
    mem_free(container_of(base, struct vtab, base));
    return SQLITE_OK;
}

static int vtab_best_index(sqlite3_vtab *base, sqlite3_index_info *info)
{
    (void)base;
    info->estimatedCost = 10000;
    info->estimatedRows = 1000;
    return SQLITE_OK;
}

static int vtab_open(sqlite3_vtab *base, sqlite3_vtab_cursor **out)
{
    (void)base;
    struct vtab_cursor *c = mem_zalloc(sizeof *c);
    *out = &c->base;
    return SQLITE_OK;
}

static int vtab_close(sqlite3_vtab_cursor *base)
{
    mem_free(container_of(base, struct vtab_cursor, base));
    return SQLITE_OK;
}

static int vtab_filter(sqlite3_vtab_cursor *base, int number, const char *name, int argc,
                       sqlite3_value **argv)
{
    (void)number, (void)name, (void)argc, (void)argv;
    struct vtab_cursor *c = container_of(base, struct vtab_cursor, base);
    struct vtab *v = container_of(base->pVtab, struct vtab, base);
    c->rows = database_rows(v->aux->sql, v->aux->index);
    c->at = 0;
    return SQLITE_OK;
}

static int vtab_next(sqlite3_vtab_cursor *base)
{
    container_of(base, struct vtab_cursor, base)->at++;
    return SQLITE_OK;
}

static int vtab_eof(sqlite3_vtab_cursor *base)
{
    const struct vtab_cursor *c = container_of(base, struct vtab_cursor, base);
    return c->rows == NULL || c->at >= rows_count(c->rows);
}

static int vtab_column(sqlite3_vtab_cursor *base, sqlite3_context *context, int column)
{
    const struct vtab_cursor *c = container_of(base, struct vtab_cursor, base);
    const struct cell *cell = rows_cell(c->rows, c->at, (unsigned)column);
    switch (cell->kind) {
    case CELL_NULL:
        sqlite3_result_null(context);
        break;
    case CELL_INT:
        sqlite3_result_int64(context, cell->integer);
        break;
    case CELL_REAL:
        sqlite3_result_double(context, cell->real);
        break;
    case CELL_TEXT:               /* outlives the statement */
        sqlite3_result_text(context, cell->text, (int)cell->len, SQLITE_STATIC);
        break;
    }
    return SQLITE_OK;
}

static int vtab_rowid(sqlite3_vtab_cursor *base, sqlite3_int64 *out)
{
    *out = (sqlite3_int64)container_of(base, struct vtab_cursor, base)->at;
    return SQLITE_OK;
}

/* Without xCreate: such a table is there under its module's name, and can't be made by SQL. */
static const sqlite3_module module = {
    .xConnect = vtab_connect,
    .xBestIndex = vtab_best_index,
    .xDisconnect = vtab_disconnect,
    .xOpen = vtab_open,
    .xClose = vtab_close,
    .xFilter = vtab_filter,
    .xNext = vtab_next,
    .xEof = vtab_eof,
    .xColumn = vtab_column,
    .xRowid = vtab_rowid,
};

bool database_add_tables(struct database *sql, struct sqlite3 *db)
{
    for (unsigned i = 0; i < n_admin_tables; i++) {
        struct aux *aux = mem_zalloc(sizeof *aux);
        aux->sql = sql;
        aux->index = i;
        if (sqlite3_create_module_v2(db, admin_tables[i].name, &module, aux, mem_free) != SQLITE_OK)
            return false;
    }
    return true;
}
