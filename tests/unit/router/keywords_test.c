#include "router/inside.h"

#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const char *const all[] = {
#define K(name, text, flags) text,
    KEYWORDS(K)
#undef K
};

static void every_keyword_is_found_in_any_case(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        char upper[32];
        size_t len = strlen(all[i]);
        for (size_t c = 0; c <= len; c++)
            upper[c] = (char)(all[i][c] >= 'a' && all[i][c] <= 'z' ? all[i][c] - 32 : all[i][c]);
        assert_int_equal(keyword_find(bytes_str(all[i])), i + 1);
        assert_int_equal(keyword_find(bytes_str(upper)), i + 1);
    }
}

static void what_is_longer_or_shorter_than_a_keyword_is_none(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        char longer[40];
        snprintf(longer, sizeof(longer), "%s_", all[i]);
        assert_int_equal(keyword_find(bytes_str(longer)), KEYWORD_NONE);
    }
    const char *const others[] = { "",
                                   "a",
                                   "selec",
                                   "zzz",
                                   "quux",
                                   "yes",
                                   "_select",
                                   "sel\x7f"
                                   "ct" };
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        assert_int_equal(keyword_find(bytes_str(others[i])), KEYWORD_NONE);
}

static void an_underscore_is_not_a_folded_delete_character(void **state)
{
    (void)state;
    assert_int_equal(keyword_find(BYTES_LITERAL("json\x7ftable")), KEYWORD_NONE);
    assert_int_equal(keyword_find(BYTES_LITERAL("JSON_TABLE")), KEYWORD_JSON_TABLE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_keyword_is_found_in_any_case),
        cmocka_unit_test(what_is_longer_or_shorter_than_a_keyword_is_none),
        cmocka_unit_test(an_underscore_is_not_a_folded_delete_character),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
