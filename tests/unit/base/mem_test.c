#include "base/mem.h"

#include "death.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <cmocka.h>

static void nothing_is_still_a_pointer_of_its_own(void **state)
{
    (void)state;
    void *a = mem_alloc(0), *b = mem_zalloc(0), *c = mem_realloc(NULL, 0);
    assert_non_null(a);
    assert_non_null(b);
    assert_non_null(c);
    assert_ptr_not_equal(a, b);
    assert_ptr_not_equal(a, c);
    c = mem_realloc(c, 0);
    assert_non_null(c);
    mem_free(a);
    mem_free(b);
    mem_free(c);
    mem_free(NULL);
}

static void zalloc_gives_zeros(void **state)
{
    (void)state;
    /* Leave dirt where the next piece will probably lie. */
    mem_free(memset(mem_alloc(100), 0xaa, 100));
    uint8_t *p = mem_zalloc(100);
    for (int i = 0; i < 100; i++)
        assert_int_equal(p[i], 0);
    mem_free(p);
}

static void realloc_keeps_what_was_there(void **state)
{
    (void)state;
    char *p = mem_strdup("volvox");
    p = mem_realloc(p, 100000);
    assert_string_equal(p, "volvox");
    mem_free(p);
}

static void copies_end_with_nul(void **state)
{
    (void)state;
    char *a = mem_strndup("abcdef", 3), *b = mem_strndup(NULL, 0);
    assert_string_equal(a, "abc");
    assert_string_equal(b, "");
    mem_free(a);
    mem_free(b);
    mem_free_secret(mem_strdup("swordfish"), 9);
    mem_free_secret(NULL, 9);
}

static void ask_for_too_much(void)
{
    mem_strndup("x", SIZE_MAX);
}

static void a_size_that_would_wrap_ends_the_process(void **state)
{
    (void)state;
    char said[512];
    assert_true(dies(ask_for_too_much, said, sizeof(said)));
    assert_non_null(strstr(said, "len < SIZE_MAX"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_still_a_pointer_of_its_own),
        cmocka_unit_test(zalloc_gives_zeros),
        cmocka_unit_test(realloc_keeps_what_was_there),
        cmocka_unit_test(copies_end_with_nul),
        cmocka_unit_test(a_size_that_would_wrap_ends_the_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
