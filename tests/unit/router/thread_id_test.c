/* thread_id_test.c - the client's id in the place of CONNECTION_ID(), and back. */
#include "router/router.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { ID = 1073741825 };
#define CAST_ "CAST(1073741825 AS UNSIGNED)"
#define cast_ "cast(1073741825 as unsigned)"

static const struct lexer_mode mysql = { .version = 90704 };
static const struct lexer_mode mariadb = { .version = 101119, .is_mariadb = true };

static int set_up(void **state)
{
    static struct arena arena;
    arena_init(&arena);
    *state = &arena;
    return 0;
}

static int tear_down(void **state)
{
    arena_release(*state);
    return 0;
}

static struct bytes put(struct arena *a, const char *sql, const struct lexer_mode *mode, const char *schema)
{
    /* a copy of exact length, so that the sanitizer sees any byte too far */
    char *exact = malloc(strlen(sql) > 0 ? strlen(sql) : 1);
    memcpy(exact, sql, strlen(sql));
    struct bytes in = bytes_of(exact, strlen(sql));
    struct bytes out = arena_copy(a, thread_id_put(in, mode, bytes_str(schema), ID, a));
    free(exact);
    return out;
}

static void becomes_in(struct arena *a, const char *sql, const char *expected,
                       const struct lexer_mode *mode, const char *schema)
{
    struct bytes got = put(a, sql, mode, schema);
    struct bytes back = arena_copy(a, thread_id_take_back(got, ID, a));
    assert_string_equal((const char *)got.data, expected);
    assert_string_equal((const char *)back.data, sql);
    struct statement st;
    statement_read(bytes_str(sql), mode, &st);
    if (strcmp(sql, expected) != 0)
        assert_true((st.effects & EFFECT_CONNECTION_ID) != 0); /* or nobody would look here */
}

static void becomes(struct arena *a, const char *sql, const char *expected)
{
    becomes_in(a, sql, expected, &mysql, "shop");
    becomes_in(a, sql, expected, &mariadb, "shop");
}

static void stays(struct arena *a, const char *sql)
{
    becomes(a, sql, sql);
}

static void a_call_becomes_an_id(void **state)
{
    struct arena *a = *state;
    becomes(a, "select connection_id()", "select " cast_);
    becomes(a, "SELECT CONNECTION_ID()", "SELECT " CAST_);
    becomes(a, "select 1+connection_id()*2, x from t where a in (connection_id())",
            "select 1+" cast_ "*2, x from t where a in (" cast_ ")");
    becomes(a, "insert into t values (connection_id(), 'x'), (CONNECTION_ID(), 'y')",
            "insert into t values (" cast_ ", 'x'), (" CAST_ ", 'y')");
    becomes(a, "update t set a = connection_id() where b = connection_id()",
            "update t set a = " cast_ " where b = " cast_);
    becomes(a, "set @a = connection_id()", "set @a = " cast_);
    becomes(a, "do connection_id()", "do " cast_);
    becomes(a, "call p(connection_id())", "call p(" cast_ ")");
    becomes(a, "kill query connection_id()", "kill query " cast_);
    becomes(a, "select 1; select connection_id(); select 2", "select 1; select " cast_ "; select 2");
    becomes(a, "select /*!50000 connection_id() */", "select /*!50000 " cast_ " */");
    becomes(a, "select {fn connection_id()}", "select {fn " cast_ "}");
}

static void the_letters_and_what_lies_between_can_be_seen_in_it(void **state)
{
    struct arena *a = *state;
    becomes(a, "select Connection_Id()", "select Cast(1073741825 as unsiGned)");
    becomes(a, "select cONNECTION_iD()", "select cAST(1073741825 AS UNSIgNED)");
    becomes(a, "select connection_id (  )", "select cast( 1073741825 as unsigned  )");
    becomes(a, "select CONNECTION_ID\n/* x */ (-- y\n)",
            "select CAST(\n/* x */ 1073741825 AS UNSIGNED-- y\n)");
    becomes(a, "select connection_id(# z)\n)", "select cast(1073741825 as unsigned# z)\n)");
}

static void an_item_inside_keeps_its_name(void **state)
{
    struct arena *a = *state;
    const char name[] = cast_ " aS `connection_id()`";
    char expected[200];
    snprintf(expected, sizeof expected, "select * from (select %s) t", name);
    becomes(a, "select * from (select connection_id()) t", expected);
    snprintf(expected, sizeof expected, "select * from (select distinct 1, %s, 2 from u) t", name);
    becomes(a, "select * from (select distinct 1, connection_id(), 2 from u) t", expected);
    snprintf(expected, sizeof expected, "create table t as select %s", name);
    becomes(a, "create table t as select connection_id()", expected);
    snprintf(expected, sizeof expected, "with c as (select %s union select 2) select * from c", name);
    becomes(a, "with c as (select connection_id() union select 2) select * from c", expected);
    /* what is more than the call, or has a name, needs none */
    becomes(a, "select * from (select connection_id() x, connection_id() as y, connection_id()+1, "
               "f(connection_id()), (connection_id())) t",
            "select * from (select " cast_ " x, " cast_ " as y, " cast_ "+1, f(" cast_ "), (" cast_ ")) t");
    becomes(a, "select a in (1, connection_id(), 2) from t", "select a in (1, " cast_ ", 2) from t");
    becomes(a, "select 1 from t where a = (select max(a) from u order by connection_id())",
            "select 1 from t where a = (select max(a) from u order by " cast_ ")");
}

static void a_variable_is_read_as_the_id(void **state)
{
    struct arena *a = *state;
    becomes(a, "select @@pseudo_thread_id", "select (@@pseudo_thread_id*0|1073741825)");
    becomes(a, "select @@Session.Pseudo_thread_id, @@local.`pseudo_thread_id`+1",
            "select (@@Session.Pseudo_thread_id*0|1073741825), (@@local.`pseudo_thread_id`*0|1073741825)+1");
    becomes(a, "set @a = @@pseudo_thread_id, @b = 1", "set @a = (@@pseudo_thread_id*0|1073741825), @b = 1");
    stays(a, "select @@global.pseudo_thread_id");
    stays(a, "select @pseudo_thread_id");
}

static void who_says_its_own_id_keeps_that(void **state)
{
    struct arena *a = *state;
    stays(a, "set @@pseudo_thread_id = 5; select connection_id()");
    stays(a, "set pseudo_thread_id = 5; select connection_id()");
    stays(a, "set @x = 1, @@session.pseudo_thread_id := 5; select @@pseudo_thread_id");
    becomes(a, "select connection_id(); set session pseudo_thread_id = 5; select connection_id()",
            "select " cast_ "; set session pseudo_thread_id = 5; select connection_id()");
}

static void what_only_looks_like_it_stays(void **state)
{
    struct arena *a = *state;
    stays(a, "");
    stays(a, "select 'connection_id()', \"connection_id()\", `connection_id` from t /* connection_id() */");
    stays(a, "select connection_id, t.connection_id from t connection_id");
    stays(a, "select shop.connection_id()");
    stays(a, "select connection_id(1)");
    stays(a, "call connection_id()");
    stays(a, "with connection_id (a) as (select 1) select * from connection_id");
    stays(a, "select x'connection_id()'");
    stays(a, "select connection_id(/*! */)");
    stays(a, "select connection_id('");
}

static void what_is_stored_or_explained_stays(void **state)
{
    struct arena *a = *state;
    stays(a, "create view v as select connection_id()");
    stays(a, "create or replace algorithm=merge definer=x@y view v as select connection_id() from t");
    stays(a, "alter view v as select connection_id()");
    stays(a, "create function f() returns int return (select connection_id())");
    stays(a, "create procedure p() begin select 1; insert into t select connection_id(); end");
    stays(a, "create trigger x before insert on t for each row set new.a = (select connection_id())");
    stays(a, "create event e on schedule every 1 day do select connection_id()");
    stays(a, "create table t (a int default (connection_id()))");
    stays(a, "alter table t add column a int default (connection_id())");
    stays(a, "explain select connection_id()");
    stays(a, "desc select connection_id()");
    stays(a, "analyze format=json select connection_id()");
    becomes(a, "create table t (a int default (connection_id())) select 1, connection_id() from u where b = connection_id()",
            "create table t (a int default (connection_id())) select 1, " cast_
            " aS `connection_id()` from u where b = " cast_);
    becomes(a, "explain select connection_id(); select connection_id()",
            "explain select connection_id(); select " cast_);
}

static void what_is_compared_with_ids_of_servers_stays(void **state)
{
    struct arena *a = *state;
    stays(a, "select * from information_schema.processlist where id = connection_id()");
    stays(a, "select connection_id(), p.* from INFORMATION_SCHEMA.`PROCESSLIST` p");
    stays(a, "select * from performance_schema.threads where processlist_id = connection_id()");
    stays(a, "select * from `sys`.session where conn_id = connection_id()");
    stays(a, "select connection_id() = is_used_lock('x')");
    stays(a, "select ps_thread_id(connection_id())");
    stays(a, "select * from mysql.general_log where thread_id = connection_id()");
    becomes(a, "select connection_id() from processlist; select connection_id()",
            "select connection_id() from processlist; select " cast_);
    becomes_in(a, "select connection_id() from threads", "select connection_id() from threads", &mysql,
               "performance_schema");
    becomes_in(a, "select connection_id()", "select " cast_, &mysql, "performance_schema");
    becomes_in(a, "select connection_id() from threads", "select " cast_ " from threads", &mysql, "shop");
}

static void a_quoted_call_loses_its_quotes(void **state)
{
    struct bytes got = put(*state, "select `Connection_id`()", &mysql, "");
    assert_string_equal((const char *)got.data, "select Cast(1073741825 as unsigned)");
}

static void names_and_errors_are_put_right(void **state)
{
    static const struct {
        const char *shown, *expected;
    } cases[] = {
        { "concat('\xc3\xa4'," cast_ ")", "concat('\xc3\xa4',connection_id())" },
        { "(select " cast_ " aS `connection_id()`)", "(select connection_id())" },
        { "BIGINT UNSIGNED value is out of range in '(" cast_ " - 5)'",
          "BIGINT UNSIGNED value is out of range in '(connection_id() - 5)'" },
        { "near '" CAST_, "near 'CONNECTION_ID()" },
        /* not ours */
        { "cast(1073741826 as unsigned)", "cast(1073741826 as unsigned)" },
        { "cast(1073741825 as unsigne", "cast(1073741825 as unsigne" },
        { "cast(1073741825 as unsigned", "cast(1073741825 as unsigned" },
        { "(@@pseudo_thread_id*0|1073741825", "(@@pseudo_thread_id*0|1073741825" },
        { cast_ " aS `connection_id", "connection_id() aS `connection_id" },
        { "1073741825", "1073741825" },
        { "", "" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        size_t len = strlen(cases[i].shown);
        char *exact = malloc(len > 0 ? len : 1);
        memcpy(exact, cases[i].shown, len);
        struct bytes got = arena_copy(*state, thread_id_take_back(bytes_of(exact, len), ID, *state));
        assert_string_equal((const char *)got.data, cases[i].expected);
        free(exact);
    }
}

static void however_deep_and_however_many(void **state)
{
    static const char piece[] = "((select connection_id()),";
    enum { MANY = 300, LEN = sizeof piece - 1 };
    static char sql[MANY * LEN + 8] = "select ";
    for (size_t i = 0; i < MANY; i++)
        memcpy(sql + 7 + i * LEN, piece, LEN);
    struct bytes got = put(*state, sql, &mysql, "");
    struct bytes back = arena_copy(*state, thread_id_take_back(got, ID, *state));
    assert_in_range(got.len, strlen(sql) + MANY * 13, SIZE_MAX);
    assert_string_equal((const char *)back.data, sql);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_call_becomes_an_id),
        TEST(the_letters_and_what_lies_between_can_be_seen_in_it),
        TEST(an_item_inside_keeps_its_name),
        TEST(a_variable_is_read_as_the_id),
        TEST(who_says_its_own_id_keeps_that),
        TEST(what_only_looks_like_it_stays),
        TEST(what_is_stored_or_explained_stays),
        TEST(what_is_compared_with_ids_of_servers_stays),
        TEST(a_quoted_call_loses_its_quotes),
        TEST(names_and_errors_are_put_right),
        TEST(however_deep_and_however_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
