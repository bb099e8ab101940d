#include "router/inside.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const struct lexer_mode mysql = { .version = 90704 };
static const struct lexer_mode mariadb = { .is_mariadb = true, .version = 101119 };
static const struct lexer_mode unknown = { .version = 0 };

static bool is_built_in(const char *name, const struct lexer_mode *mode)
{
    return (function_find(bytes_str(name), mode, true).flags & FUNCTION_KNOWN) != 0;
}

static void the_lists_are_sorted_so_that_names_are_found(void **state)
{
    (void)state;
    assert_true(functions_are_sorted());
    assert_true(is_built_in("abs", &mysql));
    assert_true(is_built_in("YearWeek", &mysql));
    assert_true(is_built_in("yearweek", &mariadb));
    assert_false(is_built_in("my_function", &mysql));
}

static void a_family_does_not_know_the_names_of_the_other(void **state)
{
    (void)state;
    assert_true(is_built_in("any_value", &mysql));
    assert_false(is_built_in("any_value", &mariadb));
    assert_true(is_built_in("password", &mariadb));
    assert_false(is_built_in("password", &mysql));
    assert_true(is_built_in("nextval", &mariadb));
    assert_false(is_built_in("nextval", &mysql));
}

static void a_name_counts_from_the_release_that_brought_it(void **state)
{
    (void)state;
    const struct lexer_mode newer = { .is_mariadb = true, .version = 110802 };
    assert_false(is_built_in("uuid_v7", &mariadb));
    assert_true(is_built_in("uuid_v7", &newer));
    const struct lexer_mode older = { .version = 80036 };
    assert_false(is_built_in("to_vector", &older));
    assert_true(is_built_in("to_vector", &mysql));
}

static void an_unknown_server_knows_only_what_all_know(void **state)
{
    (void)state;
    assert_true(is_built_in("concat", &unknown));
    assert_false(is_built_in("any_value", &unknown));
    assert_false(is_built_in("password", &unknown));
}

static void a_blank_before_the_parenthesis_makes_some_names_stored_functions(void **state)
{
    (void)state;
    struct lexer_mode ignoring = mysql;
    ignoring.ignore_space = true;
    struct bytes count = BYTES_LITERAL("count"), abs = BYTES_LITERAL("abs");
    assert_int_equal(function_find(count, &mysql, true).flags, FUNCTION_KNOWN);
    assert_int_equal(function_find(count, &mysql, false).flags, 0);
    assert_int_equal(function_find(count, &ignoring, false).flags, FUNCTION_KNOWN);
    assert_int_equal(function_find(abs, &mysql, false).flags, FUNCTION_KNOWN);
}

static void a_name_too_long_to_be_built_in_is_unknown(void **state)
{
    (void)state;
    char name[200];
    memset(name, 'a', sizeof(name));
    for (size_t len = 0; len <= sizeof(name); len++)
        assert_int_equal(function_find(bytes_of(name, len), &mysql, true).flags, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_lists_are_sorted_so_that_names_are_found),
        cmocka_unit_test(a_family_does_not_know_the_names_of_the_other),
        cmocka_unit_test(a_name_counts_from_the_release_that_brought_it),
        cmocka_unit_test(an_unknown_server_knows_only_what_all_know),
        cmocka_unit_test(a_blank_before_the_parenthesis_makes_some_names_stored_functions),
        cmocka_unit_test(a_name_too_long_to_be_built_in_is_unknown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
