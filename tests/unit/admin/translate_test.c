/* MySQL's words in, SQLite's out. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <cmocka.h>

#include "admin/inside.h"

#include "base/mem.h"

static void becomes(const char *sql, const char *expected)
{
    struct translated tr;
    struct fault why = FAULT_NONE;
    char *exact = mem_alloc(strlen(sql));
    memcpy(exact, sql, strlen(sql));
    bool ok = translate(bytes_of(exact, strlen(sql)), &tr, &why);
    mem_free(exact);
    if (!ok)
        fail_msg("%s: %s", sql, why.text);
    assert_string_equal(tr.text, expected);
    translated_release(&tr);
}

static void is_refused(struct bytes sql, const char *words)
{
    struct translated tr;
    struct fault why = FAULT_NONE;
    assert_false(translate(sql, &tr, &why));
    assert_int_equal(why.code, 1064);
    if (strstr(why.text, words) == NULL)
        fail_msg("%s", why.text);
    translated_release(&tr);
}

static void strings_get_single_quotes_and_lose_their_escapes(void **state)
{
    (void)state;
    becomes("select 'a', \"b\", 'it''s', 'it\\'s', \"\"", "select 'a', 'b', 'it''s', 'it''s', ''");
    becomes("select 'a\\nb\\\\c', n'x', _utf8mb4'y', x'41'", "select 'a\nb\\c', 'x', 'y', x'41'");
    becomes("select `a``b`", "select `a``b`");
}

static void an_escaped_wildcard_stays_one_behind_like(void **state)
{
    (void)state;
    becomes("select a like 'x\\_y'", "select a like 'x\\_y' ESCAPE '\\'");
    becomes("select a like 'x\\_y' escape '\\\\'", "select a like 'x\\_y' escape '\\'");
    becomes("select a like 'x_y'", "select a like 'x_y'");
    becomes("select 'x\\_y'", "select 'x\\_y'");
}

static void variables_are_calls(void **state)
{
    (void)state;
    becomes("select @@version_comment limit 1", "select sysvar('version_comment') limit 1");
    becomes("select @@session.sql_mode, @x", "select sysvar('session.sql_mode'), NULL");
}

static void operators_and_comments_are_taken_over(void **state)
{
    (void)state;
    becomes("select 1 && 2", "select 1  AND  2");
    becomes("select a <=> b", "select a  IS  b");
    becomes("select !a, a != b, a<=b", "select  NOT a, a != b, a<=b");
    becomes("select 1 # rest", "select 1");
    becomes("select /* x */ 1 -- y", "select 1");
    becomes("/*!40101 select */ 1", "select 1");
    becomes("select 1--2, 1-1", "select 1- - 2, 1- 1");
    becomes("select $a, ?1", "select `$a`, ? 1");
    becomes("select 7 div 2, 7 mod 2", "select 7 / 2, 7 % 2");
    becomes("select current_user, current_user()", "select current_user(), current_user()");
}

static void tables_of_the_same_name_are_told_apart(void **state)
{
    (void)state;
    becomes("select * from information_schema.events", "select * from information_schema.information_schema_events");
    becomes("select * from `information_schema`.`EVENTS`", "select * from `information_schema`.information_schema_events");
    becomes("select * from volvox.events", "select * from volvox.events");
}

static void one_statement_is_enough(void **state)
{
    (void)state;
    becomes("select 1;", "select 1");
    becomes("select 1; ; -- end", "select 1");
    is_refused(BYTES_LITERAL("select 1; select 2"), "character 11: one statement");
}

static void nonsense_is_named_with_its_place(void **state)
{
    (void)state;
    is_refused(BYTES_LITERAL("select 'abc"), "character 8: a string");
    is_refused(BYTES_LITERAL("select [a]"), "character 8");
    is_refused(BYTES_LITERAL("select :a"), "character 8");
    is_refused(BYTES_LITERAL("select b'01'"), "character 8");
    is_refused(BYTES_LITERAL("select 'a\\0b'"), "NUL");
}

static void places_are_found_again(void **state)
{
    struct translated tr;
    struct fault why = FAULT_NONE;
    const char *sql = "select @@sql_mode, 'it\\'s' frm t";
    (void)state;
    assert_true(translate(bytes_str(sql), &tr, &why));
    const char *at = strstr(tr.text, "frm");
    assert_int_equal(translated_origin(&tr, (size_t)(at - tr.text)), strstr(sql, "frm") - sql);
    assert_int_equal(tr.n_params, 0);
    translated_release(&tr);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strings_get_single_quotes_and_lose_their_escapes),
        cmocka_unit_test(an_escaped_wildcard_stays_one_behind_like),
        cmocka_unit_test(variables_are_calls),
        cmocka_unit_test(operators_and_comments_are_taken_over),
        cmocka_unit_test(tables_of_the_same_name_are_told_apart),
        cmocka_unit_test(one_statement_is_enough),
        cmocka_unit_test(nonsense_is_named_with_its_place),
        cmocka_unit_test(places_are_found_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
