#include "base/str.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <cmocka.h>

static void assert_trims_to(const char *from, const char *to)
{
    struct bytes got = str_trim(bytes_str(from));
    char text[64];
    str_copy(text, sizeof(text), got);
    assert_string_equal(text, to);
}

static void trimming_takes_white_space_off_both_ends(void **state)
{
    (void)state;
    assert_trims_to(" \t\r\n\v\f a b \n", "a b");
    assert_trims_to("ab", "ab");
    assert_trims_to("  \t ", "");
    assert_trims_to("", "");
    assert_int_equal(str_trim(BYTES_NONE).len, 0);
}

static void a_copy_is_cut_to_its_place_and_terminated(void **state)
{
    (void)state;
    char dst[4] = "xxx";
    str_copy(dst, sizeof(dst), bytes_str("abcdef"));
    assert_string_equal(dst, "abc");
    str_copy(dst, sizeof(dst), BYTES_NONE);
    assert_string_equal(dst, "");
    str_copy(dst, 1, bytes_str("abc"));
    assert_string_equal(dst, "");
}

static void whole_decimal_numbers_are_read(void **state)
{
    (void)state;
    uint64_t n = 1;
    assert_true(str_to_u64(bytes_str("0"), &n));
    assert_int_equal(n, 0);
    assert_true(str_to_u64(bytes_str("18446744073709551615"), &n));
    assert_int_equal(n, UINT64_MAX);
    assert_true(str_to_u64(bytes_str("000000000000000000000000042"), &n));
    assert_int_equal(n, 42);
}

static void anything_else_is_no_number_and_leaves_the_result_alone(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "18446744073709551616",
        "99999999999999999999",
        "-1",
        "+1",
        " 1",
        "1 ",
        "1.5",
        "0x10",
        "twelve",
        "184467440737095516150",
    };
    uint64_t n = 7;
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++)
        if (str_to_u64(bytes_str(bad[i]), &n) || n != 7)
            fail_msg("\"%s\" was read as %llu", bad[i], (unsigned long long)n);
}

static unsigned distance(const char *a, const char *b)
{
    unsigned there = str_distance(bytes_str(a), bytes_str(b));
    assert_int_equal(str_distance(bytes_str(b), bytes_str(a)), there);
    return there;
}

static void distance_counts_edits(void **state)
{
    (void)state;
    assert_int_equal(distance("kitten", "sitting"), 3);
    assert_int_equal(distance("max_connections", "max_conections"), 1);
    assert_int_equal(distance("", "abc"), 3);
    assert_int_equal(distance("", ""), 0);
    assert_int_equal(distance("Weight", "wEIGHT"), 0);
    assert_int_equal(distance("abc", "xyz"), 3);
    assert_int_equal(distance("ab", "ba"), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trimming_takes_white_space_off_both_ends),
        cmocka_unit_test(a_copy_is_cut_to_its_place_and_terminated),
        cmocka_unit_test(whole_decimal_numbers_are_read),
        cmocka_unit_test(anything_else_is_no_number_and_leaves_the_result_alone),
        cmocka_unit_test(distance_counts_edits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
