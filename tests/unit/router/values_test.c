/* values_test.c - values of an INSERT that could be an id; tables, variables of a text. */
#include "router/router.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/str.h"

static const struct lexer_mode mariadb = { .version = 101119, .is_mariadb = true };

static void an_id_is_the_servers_where_the_text_cannot_have_given_it(void **state)
{
    static const struct {
        const char *sql;
        bool is_servers; /* 17 */
    } cases[] = {
        { "INSERT INTO t (a, b) VALUES (5, 'x')", true },
        { "insert into t values (null, 5), (default, 170)", true },
        { "REPLACE t SET a = -5, b.c = now()", true },
        { "INSERT INTO t (`17`) VALUES (?, ?)", true },
        { "INSERT INTO t (a) VALUES (current_timestamp(6))", true },
        { "INSERT INTO t (a) VALUES (_utf8mb4'x' , x.y)", false },
        { "INSERT INTO t (a) VALUES (1) RETURNING 16 + 1", true },
        { "/* 17 */ INSERT LOW_PRIORITY IGNORE INTO d.t (a) VALUE ('1 7')", true },
        { "INSERT INTO t VALUES (17)", false },
        { "INSERT INTO t VALUES ('17')", false },
        { "INSERT INTO t VALUES (' +017 apples')", false },
        { "INSERT INTO t VALUES (17.0)", false },
        { "INSERT INTO t VALUES (0x11)", false },
        { "INSERT INTO t VALUES (x'11')", false },
        { "INSERT INTO t VALUES (b'10001')", false },
        { "INSERT INTO t VALUES (00017)", false },
        { "INSERT INTO t VALUES ('1.7e1')", false },
        { "INSERT INTO t VALUES (16 + 1)", false },
        { "INSERT INTO t VALUES (34 / 2, 1)", false },
        { "INSERT INTO t VALUES (f(1))", false },
        { "INSERT INTO t VALUES (@a)", false },
        { "INSERT INTO t VALUES (@@server_id)", false },
        { "INSERT INTO t SET a = b", false },
        { "INSERT INTO t SET a = true", false },
        { "INSERT INTO t (a) VALUES (5) ON DUPLICATE KEY UPDATE a = 6", false },
        { "INSERT INTO t SELECT 5", false },
        { "INSERT INTO t (a) TABLE u", false },
        { "WITH c AS (SELECT 1) INSERT INTO t VALUES (1)", false },
        { "UPDATE t SET a = 5", false },
        { "INSERT INTO t VALUES ('", false },
        { "", false },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        bool is = statement_gives_no_id(bytes_str(cases[i].sql), &mariadb, 17);
        if (is != cases[i].is_servers)
            fail_msg("%s: %d", cases[i].sql, is);
    }
}

static void tables_are_seen(void **state)
{
    static const struct {
        const char *sql;
        enum tables uses;
    } cases[] = {
        { "SELECT 1", TABLES_NONE },
        { "SELECT 1 FROM DUAL", TABLES_NONE },
        { "SELECT a FROM t", TABLES_SURE },
        { "SELECT (1), a FROM (SELECT 2) x", TABLES_SURE },
        { "SELECT @@x, (SELECT a FROM t)", TABLES_MAYBE },
        { "SELECT TRIM(')' FROM 'x')", TABLES_MAYBE },
        { "SELECT own_function(1)", TABLES_MAYBE },
        { "SELECT 1; SELECT a FROM t", TABLES_SURE },
        { "SET @a = 5", TABLES_NONE },
        { "SET @a = (SELECT max(k) FROM u)", TABLES_MAYBE },
        { "SAVEPOINT a", TABLES_NONE },
        { "LOCK TABLES t READ", TABLES_SURE },
        { "UNLOCK TABLES", TABLES_NONE },
        { "INSERT INTO t VALUES (1)", TABLES_SURE },
        { "SHOW TABLES", TABLES_MAYBE },
        { "CALL p()", TABLES_MAYBE },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct statement st;
        struct bytes sql = bytes_str(cases[i].sql);
        statement_read(sql, &mariadb, &st);
        enum tables uses = statement_tables(sql, &mariadb, st.verb, st.effects);
        if (uses != cases[i].uses)
            fail_msg("%s: %d", cases[i].sql, uses);
        if (st.effects == 0 && statement_uses_tables(sql, &mariadb, st.verb) != (uses != TABLES_NONE))
            fail_msg("%s", cases[i].sql);
    }
}

static void names_of_variables_are_listed(void **state)
{
    struct bytes names[2];
    struct bytes sql = BYTES_LITERAL("select @a, @`b c` := 'x@y', @@sql_mode, @'d'");
    (void)state;
    assert_int_equal(statement_user_vars(sql, &mariadb, names, ARRAY_LEN(names)), 3);
    assert_true(bytes_equal(names[0], BYTES_LITERAL("a")));
    assert_true(bytes_equal(names[1], BYTES_LITERAL("b c")));
    sql = BYTES_LITERAL("set @@sql_mode = @@x, @@session.y = 1, @@Z := 2; select @@w = 1");
    assert_int_equal(statement_unscoped_vars(sql, &mariadb, names, ARRAY_LEN(names)), 3);
    assert_true(bytes_equal(names[0], BYTES_LITERAL("sql_mode")));
    assert_true(bytes_equal(names[1], BYTES_LITERAL("Z")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_id_is_the_servers_where_the_text_cannot_have_given_it),
        cmocka_unit_test(tables_are_seen),
        cmocka_unit_test(names_of_variables_are_listed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
