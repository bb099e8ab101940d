/* MariaDB's C client: arrays of parameters in one command, metadata that is sent once, progress. */
#include "client.h"

enum { ROWS = 1000 };

static void insert_arrays(void)
{
    static char *names[ROWS], words[ROWS][20];
    static unsigned long lengths[ROWS];
    static int numbers[ROWS];
    static char name_is[ROWS], number_is[ROWS];
    unsigned rows = ROWS;
    MYSQL_STMT *stmt = prepare("insert into t_bulk (name, n) values (?, ?)");
    MYSQL_BIND binds[2] = {
        { .buffer_type = MYSQL_TYPE_STRING, .buffer = names, .length = lengths, .u.indicator = name_is },
        { .buffer_type = MYSQL_TYPE_LONG, .buffer = numbers, .u.indicator = number_is },
    };
    for (int i = 0; i < ROWS; i++) {
        lengths[i] = (unsigned long)snprintf(words[i], sizeof words[i], "name %d", i);
        names[i] = words[i];
        numbers[i] = i;
        name_is[i] = i % 10 == 0 ? STMT_INDICATOR_NULL : STMT_INDICATOR_NONE;
        number_is[i] = i % 10 == 1 ? STMT_INDICATOR_DEFAULT : STMT_INDICATOR_NONE;
    }
    mysql_stmt_attr_set(stmt, STMT_ATTR_ARRAY_SIZE, &rows);
    check(mysql_stmt_bind_param(stmt, binds) == 0, "bind");
    for (int i = 0; i < 3; i++) {
        check(mysql_stmt_execute(stmt) == 0, mysql_stmt_error(stmt));
        check(mysql_stmt_affected_rows(stmt) == ROWS, "rows");
    }
    mysql_stmt_close(stmt);
    expect("select count(*) from t_bulk", "3000");
    expect("select count(*) from t_bulk where name is null", "300");
    expect("select count(*) from t_bulk where n = 42", "303");
    expect("select count(*) from t_bulk where name = concat('name ', n)", "2400");
}

/* Prepared and executed in one send, as mariadb_stmt_execute_direct() does. */
static void execute_direct(void)
{
    int n = 0;
    MYSQL_STMT *stmt = mysql_stmt_init(db);
    MYSQL_BIND column = { .buffer_type = MYSQL_TYPE_LONG, .buffer = &n };
    const char *sql = "select count(*) from t_bulk";
    check(mariadb_stmt_execute_direct(stmt, sql, strlen(sql)) == 0, mysql_stmt_error(stmt));
    check(mysql_stmt_bind_result(stmt, &column) == 0 && mysql_stmt_fetch(stmt) == 0, "fetch");
    check(n == 3000, "rows counted");
    mysql_stmt_close(stmt);

    stmt = mysql_stmt_init(db);
    sql = "select nonsense from t_bulk";
    check(mariadb_stmt_execute_direct(stmt, sql, strlen(sql)) != 0, "an unknown column");
    check(mysql_stmt_errno(stmt) == 1054, mysql_stmt_error(stmt));
    mysql_stmt_close(stmt);
    expect("select 1", "1");
}

static void execute_often(void)
{
    MYSQL_STMT *stmt = prepare("select n, name from t_bulk where n < ? and id <= 1000 order by n");
    int limit, n;
    char name[50];
    unsigned long length;
    my_bool is_null;
    MYSQL_BIND param = { .buffer_type = MYSQL_TYPE_LONG, .buffer = &limit };
    MYSQL_BIND columns[2] = {
        { .buffer_type = MYSQL_TYPE_LONG, .buffer = &n },
        { .buffer_type = MYSQL_TYPE_STRING, .buffer = name, .buffer_length = sizeof name,
          .length = &length, .is_null = &is_null },
    };
    check(mysql_stmt_bind_param(stmt, &param) == 0, "bind");
    for (limit = 1; limit < 30; limit++) {
        int rows = 0;
        check(mysql_stmt_execute(stmt) == 0 && mysql_stmt_bind_result(stmt, columns) == 0, "execute");
        while (mysql_stmt_fetch(stmt) == 0)
            rows++;
        check(rows == limit - (limit + 8) / 10, "rows below the limit");
    }
    mysql_stmt_close(stmt);
}

int main(int argc, char **argv)
{
    check(argc == 6, "arguments");
    db = mysql_init(NULL);
    check(mysql_real_connect(db, argv[1], argv[3], argv[4], argv[5], (unsigned)atoi(argv[2]), NULL, 0) !=
              NULL, "connect");
    run("begin");    /* what it reads is what it wrote */
    insert_arrays();
    execute_direct();
    execute_often();
    mysql_close(db);
    puts("ok");
    return 0;
}
