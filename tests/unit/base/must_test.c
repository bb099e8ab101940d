#include "death.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <cmocka.h>

static void break_an_invariant(void)
{
    int answer = 41;
    must(answer == 42);
}

static void keep_an_invariant(void)
{
    int answer = 42;
    must(answer == 42);
}

static void a_broken_invariant_ends_the_process_and_says_which_and_where(void **state)
{
    (void)state;
    char said[1024];
    assert_true(dies(break_an_invariant, said, sizeof(said)));
    assert_non_null(strstr(said, "answer == 42"));
    assert_non_null(strstr(said, "must_test.c:"));
}

static void a_kept_invariant_says_nothing(void **state)
{
    (void)state;
    char said[1024];
    assert_false(dies(keep_an_invariant, said, sizeof(said)));
    assert_string_equal(said, "");
}

static void container_of_finds_the_struct_around_a_member(void **state)
{
    (void)state;
    struct pair {
        int first, second;
    } p;
    assert_ptr_equal(container_of(&p.second, struct pair, second), &p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_broken_invariant_ends_the_process_and_says_which_and_where),
        cmocka_unit_test(a_kept_invariant_says_nothing),
        cmocka_unit_test(container_of_finds_the_struct_around_a_member),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
