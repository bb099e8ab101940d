#include "base/fault.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <cmocka.h>

static void setting_a_fault_is_failing(void **state)
{
    (void)state;
    struct fault why = FAULT_NONE;
    assert_false(fault_set(&why, BLAME_SERVER, 2013, "server %s left", "db1"));
    assert_int_equal(why.blame, BLAME_SERVER);
    assert_int_equal(why.code, 2013);
    assert_string_equal(why.sqlstate, "");
    assert_string_equal(why.text, "server db1 left");
    assert_false(fault_set(NULL, BLAME_OURS, 1041, "nobody asks"));
}

static void a_state_can_be_given(void **state)
{
    (void)state;
    struct fault why = FAULT_NONE;
    assert_false(fault_set_state(&why, BLAME_POLICY, 1226, "42000", "quota"));
    assert_string_equal(why.sqlstate, "42000");
    assert_false(fault_set(&why, BLAME_TIME, 1317, "stopped"));
    assert_string_equal(why.sqlstate, "");
}

static void a_long_text_is_cut(void **state)
{
    (void)state;
    struct fault why;
    fault_set(&why, BLAME_CLIENT, 0, "%0999d", 1);
    assert_int_equal(strlen(why.text), sizeof(why.text) - 1);
}

static void a_fault_can_be_told_again_with_more_words(void **state)
{
    (void)state;
    struct fault why;
    fault_set(&why, BLAME_SERVER, 2013, "it left");
    fault_set(&why, why.blame, why.code, "db1: %s", why.text);
    assert_string_equal(why.text, "db1: it left");
}

static void every_blame_has_a_name_of_its_own(void **state)
{
    (void)state;
    for (int i = BLAME_NONE; i <= BLAME_OURS; i++) {
        assert_string_not_equal(blame_name((enum blame)i), "unknown");
        for (int j = BLAME_NONE; j < i; j++)
            assert_string_not_equal(blame_name((enum blame)i), blame_name((enum blame)j));
    }
    assert_string_equal(blame_name(BLAME_SERVER), "server");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(setting_a_fault_is_failing),
        cmocka_unit_test(a_state_can_be_given),
        cmocka_unit_test(a_long_text_is_cut),
        cmocka_unit_test(a_fault_can_be_told_again_with_more_words),
        cmocka_unit_test(every_blame_has_a_name_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
