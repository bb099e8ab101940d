/* Levels of their own for parts of the program. */
#define LOG_AREA LOG_AREA_POOL
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/log.h"

static unsigned evaluated;

static unsigned evaluate(void)
{
    return ++evaluated;
}

static int quiet(void **state)
{
    struct log_areas none;
    struct bytes wrong;
    (void)state;
    evaluated = 0;
    log_level = LOG_ERROR;
    assert_true(log_areas_parse(BYTES_NONE, &none, &wrong));
    log_areas_set(&none);
    return 0;
}

static void set(const char *text)
{
    struct log_areas areas;
    struct bytes wrong;
    if (!log_areas_parse(bytes_str(text), &areas, &wrong))
        fail_msg("%s", text);
    log_areas_set(&areas);
}

static void an_area_without_a_level_has_that_of_all(void **state)
{
    (void)state;
    log_info("told", "n=%u", evaluate());
    assert_int_equal(evaluated, 0);
    log_level = LOG_INFO;
    log_info("told", "n=%u", evaluate());
    assert_int_equal(evaluated, 1);
}

static void an_area_may_say_more_or_less_than_the_others(void **state)
{
    (void)state;
    set("pool=debug");
    log_debug("told", "n=%u", evaluate());
    assert_int_equal(evaluated, 1);
    set("pool=error,servers=debug");
    log_level = LOG_DEBUG;
    log_warn("told", "n=%u", evaluate());
    assert_int_equal(evaluated, 1);
    assert_true(log_wants(LOG_AREA_SERVERS, LOG_DEBUG));
    set("");
    log_warn("told", "n=%u", evaluate());
    assert_int_equal(evaluated, 2);
}

static void blanks_and_letter_case_do_not_count(void **state)
{
    struct log_areas areas;
    struct bytes wrong;
    (void)state;
    assert_true(log_areas_parse(bytes_str(" Pool = DEBUG ,servers=warn "), &areas, &wrong));
    assert_int_equal(areas.level[LOG_AREA_POOL], LOG_DEBUG);
    assert_int_equal(areas.level[LOG_AREA_SERVERS], LOG_WARN);
    assert_int_equal(areas.level[LOG_AREA_HTTP], LOG_AS_ALL);
}

static void what_makes_no_sense_is_named_and_sets_nothing(void **state)
{
    static const char *const cases[][2] = {
        { "pool=debug,sewers=warn,net=info", "sewers=warn" },
        { "pool=debug, net=loud", "net=loud" },
        { "pool=debug,pool=info", "pool=info" },
        { "pool", "pool" },
        { "pool=debug,,net=info", "" },
        { "=debug", "=debug" },
    };
    (void)state;
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct log_areas areas;
        struct bytes wrong;
        assert_false(log_areas_parse(bytes_str(cases[i][0]), &areas, &wrong));
        assert_int_equal(wrong.len, strlen(cases[i][1]));
        assert_memory_equal(wrong.data, cases[i][1], wrong.len);
        for (unsigned a = 0; a < LOG_AREAS; a++)
            assert_int_equal(areas.level[a], LOG_AS_ALL);
    }
}

static void every_area_is_found_by_its_name(void **state)
{
    (void)state;
    for (unsigned a = 0; a < LOG_AREAS; a++) {
        struct log_areas areas;
        struct bytes wrong;
        char text[64];
        snprintf(text, sizeof(text), "%s=info", log_area_name((enum log_area)a));
        assert_true(log_areas_parse(bytes_str(text), &areas, &wrong));
        assert_int_equal(areas.level[a], LOG_INFO);
    }
    assert_string_equal(log_area_name(LOG_AREAS), "unknown");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, quiet, quiet)
    const struct CMUnitTest tests[] = {
        TEST(an_area_without_a_level_has_that_of_all),
        TEST(an_area_may_say_more_or_less_than_the_others),
        TEST(blanks_and_letter_case_do_not_count),
        TEST(what_makes_no_sense_is_named_and_sets_nothing),
        TEST(every_area_is_found_by_its_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
