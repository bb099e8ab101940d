/* calls_test.c - functions that a text calls, and what their own texts do to named locks. */
#include "router/router.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"

static const struct lexer_mode mariadb = { .version = 101119, .is_mariadb = true };
static const struct lexer_mode in_doubt = { .version = 101119, .is_mariadb = true, .quotes_unknown = true };

/* "f s.g ", as written. */
static void list(const char *sql, char *out, size_t size)
{
    struct call calls[4];
    unsigned n = statement_calls(bytes_str(sql), &mariadb, calls, ARRAY_LEN(calls));
    size_t at = 0;
    out[0] = '\0';
    for (unsigned i = 0; i < n && i < ARRAY_LEN(calls); i++)
        at += (size_t)snprintf(out + at, size - at, "%.*s%s%.*s ", BYTES_FMT(calls[i].schema),
                               calls[i].schema.data != NULL ? "." : "", BYTES_FMT(calls[i].name));
}

static void calls_of_what_is_not_built_in_are_listed(void **state)
{
    static const struct {
        const char *sql, *calls;
    } cases[] = {
        { "select f(1), abs(f), 'g(1)', /* h(1) */ s.g (2)", "f s.g " },
        { "select `f`(1), `a b`.`count`(2), count(*)", "f a b.count " },
        { "insert into t values (f(1)) on duplicate key update a = values(a)", "f " },
        { "select * from t where a in (1, 2) and (b) = f(1)", "f " },
        { "create function f(a varchar(20), b int(5)) returns decimal(10, 2) return g(a)", "f g " },
        { "select get_lock('a', 0), concat(f(1), f(2))", "f f " },
        { "select max(a) from t", "" },
    };
    char calls[256];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        list(cases[i].sql, calls, sizeof calls);
        if (strcmp(calls, cases[i].calls) != 0)
            fail_msg("%s: %s", cases[i].sql, calls);
    }
}

static void more_calls_than_there_is_room_for_are_counted(void **state)
{
    struct call calls[2] = { { .name = BYTES_NONE } };
    (void)state;
    assert_int_equal(statement_calls(BYTES_LITERAL("select a1(), a2(), a3()"), &mariadb, calls, 2), 3);
    assert_true(bytes_equal(calls[1].name, BYTES_LITERAL("a2")));
}

static void a_routines_text_says_what_it_does_to_locks(void **state)
{
    static const struct {
        const char *sql;
        unsigned acts;
    } cases[] = {
        { "CREATE FUNCTION `f`(n int) RETURNS int return n + 1", 0 },
        { "CREATE FUNCTION `f`() RETURNS int return get_lock('a', 0)", ROUTINE_LOCKS },
        { "CREATE FUNCTION `f`() RETURNS int begin do Release_Lock('a'); return 1; end", ROUTINE_RELEASES },
        { "CREATE FUNCTION `f`() RETURNS int return release_all_locks()", ROUTINE_RELEASES },
        { "CREATE FUNCTION `f`() RETURNS int begin call p(); return 1; end", ROUTINE_LOCKS },
        { "CREATE FUNCTION `f`() RETURNS text return 'get_lock(1)' /* get_lock */", 0 },
        { "CREATE FUNCTION `f`() RETURNS text return 'no end", ROUTINE_LOCKS | ROUTINE_RELEASES },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        unsigned acts = routine_acts(bytes_str(cases[i].sql), &mariadb);
        if (acts != cases[i].acts)
            fail_msg("%s: %u", cases[i].sql, acts);
    }
    assert_int_equal(routine_acts(BYTES_LITERAL("return 'a\\' get_lock(1) '"), &in_doubt),
                     ROUTINE_LOCKS | ROUTINE_RELEASES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_of_what_is_not_built_in_are_listed),
        cmocka_unit_test(more_calls_than_there_is_room_for_are_counted),
        cmocka_unit_test(a_routines_text_says_what_it_does_to_locks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
