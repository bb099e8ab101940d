/* Idle things are many, so they are small. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <cmocka.h>

#include "session/inside.h"

static void an_idle_session_takes_at_most_400_bytes(void **state)
{
    (void)state;
    print_message("struct session: %zu bytes, struct session_more: %zu, struct stmt: %zu\n",
                  sizeof(struct session), sizeof(struct session_more), sizeof(struct stmt));
    assert_in_range(sizeof(struct session), 1, 400);
}

static void an_idle_backend_takes_little_more(void **state)
{
    (void)state;
    print_message("struct backend: %zu bytes, struct backend_stmt: %zu, struct stream: %zu\n",
                  sizeof(struct backend), sizeof(struct backend_stmt), sizeof(struct stream));
    assert_in_range(sizeof(struct backend), 1, 512);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_idle_session_takes_at_most_400_bytes),
        cmocka_unit_test(an_idle_backend_takes_little_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
