#include "base/bytes.h"

#include "death.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <cmocka.h>

static void views_of_the_same_bytes_are_equal(void **state)
{
    (void)state;
    assert_true(bytes_equal(BYTES_LITERAL("abc"), bytes_str("abc")));
    assert_false(bytes_equal(BYTES_LITERAL("abc"), bytes_str("abd")));
    assert_false(bytes_equal(BYTES_LITERAL("abc"), bytes_str("ab")));
    assert_true(bytes_equal(BYTES_NONE, bytes_str("")));
    assert_true(bytes_equal(bytes_str(NULL), BYTES_NONE));
}

static void a_literal_may_hold_nul_bytes(void **state)
{
    (void)state;
    assert_int_equal(BYTES_LITERAL("a\0b").len, 3);
    assert_false(bytes_equal(BYTES_LITERAL("a\0b"), BYTES_LITERAL("a\0c")));
}

static void case_folds_for_ascii_letters_only(void **state)
{
    (void)state;
    assert_true(bytes_equal_nocase(bytes_str("SeLeCt"), bytes_str("sElEcT")));
    assert_false(bytes_equal_nocase(bytes_str("select"), bytes_str("selec")));
    /* '[' and '{', '@' and '`' differ by the same bit as letters do. */
    assert_false(bytes_equal_nocase(bytes_str("["), bytes_str("{")));
    assert_false(bytes_equal_nocase(bytes_str("@"), bytes_str("`")));
    assert_false(bytes_equal_nocase(bytes_str("\xc4"), bytes_str("\xe4")));
    assert_true(bytes_equal_nocase(BYTES_NONE, bytes_str("")));
}

static void a_prefix_comes_before_what_it_begins(void **state)
{
    (void)state;
    assert_true(bytes_compare(bytes_str("ab"), bytes_str("abc")) < 0);
    assert_true(bytes_compare(bytes_str("abc"), bytes_str("ab")) > 0);
    assert_int_equal(bytes_compare(bytes_str("ab"), bytes_str("ab")), 0);
    assert_true(bytes_compare(BYTES_NONE, bytes_str("a")) < 0);
    assert_int_equal(bytes_compare(BYTES_NONE, BYTES_NONE), 0);
}

static void order_is_that_of_unsigned_bytes(void **state)
{
    (void)state;
    assert_true(bytes_compare(bytes_str("\x80"), bytes_str("\x7f")) > 0);
    assert_true(bytes_compare(bytes_str("b"), bytes_str("abc")) > 0);
}

static void skip_too_far(void)
{
    bytes_skip(bytes_str("abc"), 4);
}

static void skipping_stops_at_the_end(void **state)
{
    (void)state;
    char said[512];
    assert_int_equal(bytes_skip(bytes_str("abc"), 3).len, 0);
    assert_true(bytes_equal(bytes_skip(bytes_str("abc"), 1), bytes_str("bc")));
    assert_int_equal(bytes_skip(BYTES_NONE, 0).len, 0);
    assert_true(dies(skip_too_far, said, sizeof(said)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(views_of_the_same_bytes_are_equal),
        cmocka_unit_test(a_literal_may_hold_nul_bytes),
        cmocka_unit_test(case_folds_for_ascii_letters_only),
        cmocka_unit_test(a_prefix_comes_before_what_it_begins),
        cmocka_unit_test(order_is_that_of_unsigned_bytes),
        cmocka_unit_test(skipping_stops_at_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
