/* max_connections of a user, counted over all workers. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <cmocka.h>

#include <pthread.h>

#include "session/inside.h"

static struct sessions_shared shared;

static int set_up(void **state)
{
    (void)state;
    sessions_shared_init(&shared, NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    sessions_shared_release(&shared); /* ends the process if something is still counted */
    return 0;
}

static void a_user_gets_as_many_as_the_limit(void **state)
{
    const struct user_config u = { .name = (char *)"anna", .max_connections = 2 };
    (void)state;
    assert_true(quota_take(&shared, &u));
    assert_true(quota_take(&shared, &u));
    assert_false(quota_take(&shared, &u));
    quota_drop(&shared, &u);
    assert_true(quota_take(&shared, &u));
    quota_drop(&shared, &u);
    quota_drop(&shared, &u);
}

static void users_do_not_count_for_each_other(void **state)
{
    const struct user_config a = { .name = (char *)"anna", .max_connections = 1 };
    const struct user_config b = { .name = (char *)"bert", .max_connections = 1 };
    (void)state;
    assert_true(quota_take(&shared, &a));
    assert_true(quota_take(&shared, &b));
    assert_false(quota_take(&shared, &a));
    quota_drop(&shared, &a);
    assert_false(quota_take(&shared, &b));
    quota_drop(&shared, &b);
}

/* After a reload the user is another struct, and the limit may be lower than what is in use. */
static void the_name_counts_and_the_limit_of_now(void **state)
{
    const struct user_config before = { .name = (char *)"anna", .max_connections = 3 };
    char name[] = "anna";
    const struct user_config after = { .name = name, .max_connections = 1 };
    (void)state;
    assert_true(quota_take(&shared, &before));
    assert_true(quota_take(&shared, &before));
    assert_false(quota_take(&shared, &after));
    quota_drop(&shared, &after);
    assert_false(quota_take(&shared, &after));
    quota_drop(&shared, &after);
    assert_true(quota_take(&shared, &after));
    quota_drop(&shared, &after);
}

static atomic_int present, most;

static void *come_and_go(void *arg)
{
    const struct user_config *u = arg;
    for (int i = 0; i < 20000; i++) {
        if (!quota_take(&shared, u))
            continue;
        int now = atomic_fetch_add(&present, 1) + 1;
        if (now > atomic_load(&most))
            atomic_store(&most, now);
        atomic_fetch_sub(&present, 1);
        quota_drop(&shared, u);
    }
    return NULL;
}

static void the_limit_holds_across_threads(void **state)
{
    struct user_config u = { .name = (char *)"anna", .max_connections = 2 };
    pthread_t threads[4];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, come_and_go, &u), 0);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        pthread_join(threads[i], NULL);
    assert_in_range(atomic_load(&most), 1, 2);
}

int main(void)
{
#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        test(a_user_gets_as_many_as_the_limit),
        test(users_do_not_count_for_each_other),
        test(the_name_counts_and_the_limit_of_now),
        test(the_limit_holds_across_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
