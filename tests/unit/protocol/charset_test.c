#include "recorded.h"

static void known(unsigned id, const char *charset, const char *name)
{
    const struct collation *c = collation_by_id(id);
    assert_non_null(c);
    assert_int_equal(c->id, id);
    assert_string_equal(c->charset, charset);
    assert_string_equal(c->name, name);
    assert_ptr_equal(collation_by_name(bytes_str(name)), c);
}

static void collations_of_both_families_are_found_by_id_and_name(void **state)
{
    (void)state;
    known(8, "latin1", "latin1_swedish_ci");
    known(33, "utf8mb3", "utf8mb3_general_ci");
    known(45, "utf8mb4", "utf8mb4_general_ci");
    known(63, "binary", "binary");
    known(224, "utf8mb4", "utf8mb4_unicode_ci");
    known(255, "utf8mb4", "utf8mb4_0900_ai_ci");
    known(248, "gb18030", "gb18030_chinese_ci");
    known(1069, "utf8mb4", "utf8mb4_general_nopad_ci");
    known(2304, "utf8mb4", "utf8mb4_uca1400_ai_ci");
    known(579, "utf8mb3", "utf8mb3_general1400_as_ci");
    known(3271, "utf32", "utf32_uca1400_croatian_nopad_as_cs");
}

static void what_is_unknown_is_not_guessed(void **state)
{
    (void)state;
    assert_null(collation_by_id(0));
    assert_null(collation_by_id(17));
    assert_null(collation_by_id(65535));
    assert_null(collation_by_name(BYTES_NONE));
    assert_null(collation_by_name(BYTES_LITERAL("utf8mb4")));
    assert_null(collation_by_name(BYTES_LITERAL("zzz")));
    assert_null(collation_by_name(BYTES_LITERAL("binary\0")));
    assert_null(collation_by_name(BYTES_LITERAL("utf8mb4_general_ci utf8mb4_general_ci utf8mb4_ge"
                                                "neral_ci utf8mb4_general_ci utf8mb4_general_ci")));
}

static void names_fold_case_and_the_old_name_of_utf8mb3_is_known(void **state)
{
    (void)state;
    assert_int_equal(collation_by_name(BYTES_LITERAL("UTF8MB4_Bin"))->id, 46);
    assert_int_equal(collation_by_name(BYTES_LITERAL("utf8_general_ci"))->id, 33);
    assert_int_equal(collation_by_name(BYTES_LITERAL("UTF8_BIN"))->id, 83);
}

static void where_the_families_disagree_the_name_is_one_that_both_accept(void **state)
{
    (void)state;
    known(245, "utf8mb4", "utf8mb4_croatian_ci");
    assert_string_equal(collation_by_id(608)->name, "utf8mb4_croatian_ci");
}

static void every_id_finds_itself_and_every_name_something_of_that_name(void **state)
{
    (void)state;
    unsigned count = 0;
    for (unsigned id = 0; id < 5000; id++) {
        const struct collation *c = collation_by_id(id);
        if (c == NULL)
            continue;
        const struct collation *named = collation_by_name(bytes_str(c->name));
        assert_int_equal(c->id, id);
        assert_non_null(named);
        assert_string_equal(named->name, c->name);
        count++;
    }
    assert_int_equal(count, 1311);
}

static void who_has_a_collation_is_known_by_family_and_version(void **state)
{
    enum { OLD = 101119, NEW = 110809, MYSQL = 90704 };
    static const struct {
        unsigned id;
        bool in_old, in_new, in_mysql;
    } cases[] = {
        { 45, true, true, true },    { 2304, true, true, false }, { 255, false, true, true },
        { 611, false, true, false }, { 249, false, false, true }, { 303, false, false, true },
        { 17, false, false, false }, { 0, false, false, false },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(collation_known(cases[i].id, true, OLD), cases[i].in_old);
        assert_int_equal(collation_known(cases[i].id, true, NEW), cases[i].in_new);
        assert_int_equal(collation_known(cases[i].id, false, MYSQL), cases[i].in_mysql);
    }
    assert_false(collation_known(255, true, 110404));
    assert_true(collation_known(255, true, 110405));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(collations_of_both_families_are_found_by_id_and_name),
        cmocka_unit_test(what_is_unknown_is_not_guessed),
        cmocka_unit_test(names_fold_case_and_the_old_name_of_utf8mb3_is_known),
        cmocka_unit_test(where_the_families_disagree_the_name_is_one_that_both_accept),
        cmocka_unit_test(every_id_finds_itself_and_every_name_something_of_that_name),
        cmocka_unit_test(who_has_a_collation_is_known_by_family_and_version),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
