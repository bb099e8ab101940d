/* The C client: text and prepared statements, transactions, several results. */
#include "client.h"

static void insert_rows(void)
{
    MYSQL_STMT *stmt = prepare("insert into t_c (name, n) values (?, ?)");
    char name[50];
    unsigned long length;
    int n;
    MYSQL_BIND binds[2] = {
        { .buffer_type = MYSQL_TYPE_STRING, .buffer = name, .length = &length },
        { .buffer_type = MYSQL_TYPE_LONG, .buffer = &n },
    };
    check(mysql_stmt_bind_param(stmt, binds) == 0, "bind");
    for (n = 1; n <= 20; n++) {
        length = (unsigned long)snprintf(name, sizeof(name), "name %d", n);
        check(mysql_stmt_execute(stmt) == 0, "insert");
        check(mysql_stmt_insert_id(stmt) == (unsigned long long)n, "the row's id");
    }
    mysql_stmt_close(stmt);
}

static void select_with_cursor(void)
{
    MYSQL_STMT *stmt = prepare("select n from t_c where n > ? order by n");
    unsigned long cursor = CURSOR_TYPE_READ_ONLY, rows_at_once = 3;
    mysql_stmt_attr_set(stmt, STMT_ATTR_CURSOR_TYPE, &cursor);
    mysql_stmt_attr_set(stmt, STMT_ATTR_PREFETCH_ROWS, &rows_at_once);
    int above = 12, n = 0, seen = 0;
    MYSQL_BIND param = { .buffer_type = MYSQL_TYPE_LONG, .buffer = &above };
    MYSQL_BIND column = { .buffer_type = MYSQL_TYPE_LONG, .buffer = &n };
    check(mysql_stmt_bind_param(stmt, &param) == 0 && mysql_stmt_execute(stmt) == 0, "execute");
    check(mysql_stmt_bind_result(stmt, &column) == 0, "bind result");
    while (mysql_stmt_fetch(stmt) == 0)
        check(n == above + ++seen, "a row");
    check(seen == 8, "all rows");
    mysql_stmt_close(stmt);
}

static void several_results(void)
{
    run("select 1; select 2; set @a = 1");
    int results = 0;
    do {
        MYSQL_RES *result = mysql_store_result(db);
        results += result != NULL;
        mysql_free_result(result);
    } while (mysql_next_result(db) == 0);
    check(results == 2, "two results");
}

int main(int argc, char **argv)
{
    check(argc == 6, "arguments");
    db = mysql_init(NULL);
    const char *ca = getenv("VOLVOX_TLS_CA");
    if (ca != NULL) {
        my_bool yes = 1;
        mysql_options(db, MYSQL_OPT_SSL_CA, ca);
        mysql_options(db, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &yes);
    }
    if (getenv("VOLVOX_COMPRESS") != NULL)
        mysql_options(db, MYSQL_OPT_COMPRESS, NULL);
    check(mysql_real_connect(db, argv[1], argv[3], argv[4], argv[5], (unsigned)atoi(argv[2]), NULL,
                             CLIENT_MULTI_STATEMENTS) != NULL, "connect");
    check((mysql_get_ssl_cipher(db) != NULL) == (ca != NULL), "TLS as asked for");
    expect("select 1 + 1", "2");
    run("create temporary table t_c (id int primary key auto_increment, name varchar(50), n int)");
    insert_rows();
    select_with_cursor();

    check(mysql_autocommit(db, 0) == 0, "autocommit off");
    run("update t_c set n = n + 100");
    expect("select min(n) from t_c", "101");
    check(mysql_rollback(db) == 0, "rollback");
    expect("select min(n) from t_c", "1");
    run("delete from t_c where n > 10");
    check(mysql_commit(db) == 0 && mysql_autocommit(db, 1) == 0, "commit");
    expect("select count(*) from t_c", "10");

    check(mysql_query(db, "select * from no_such_table") != 0 && mysql_errno(db) == 1146, "error 1146");
    several_results();
    check(mysql_ping(db) == 0 && mysql_reset_connection(db) == 0, "reset");
    check(mysql_change_user(db, argv[3], argv[4], argv[5]) == 0, "change user");
    expect("select database()", argv[5]);
    mysql_close(db);
    puts("ok");
    return 0;
}
