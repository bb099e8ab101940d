/* What the programs for the C client share: they end at the first thing that is wrong. */
#ifndef DRIVERS_CLIENT_H
#define DRIVERS_CLIENT_H

#include <mysql.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static MYSQL *db;

static void check(int claim, const char *what)
{
    if (claim)
        return;
    fprintf(stderr, "wrong: %s: %s\n", what, mysql_error(db));
    exit(1);
}

static void run(const char *sql)
{
    check(mysql_query(db, sql) == 0, sql);
}

static void expect(const char *sql, const char *want)
{
    run(sql);
    MYSQL_RES *result = mysql_store_result(db);
    check(result != NULL, sql);
    MYSQL_ROW row = mysql_fetch_row(result);
    check(row != NULL && row[0] != NULL && strcmp(row[0], want) == 0, sql);
    mysql_free_result(result);
}

static MYSQL_STMT *prepare(const char *sql)
{
    MYSQL_STMT *stmt = mysql_stmt_init(db);
    check(stmt != NULL && mysql_stmt_prepare(stmt, sql, strlen(sql)) == 0, sql);
    return stmt;
}

#endif
