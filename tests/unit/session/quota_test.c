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

static bool take(const char *name, unsigned most)
{
    return quota_take(&shared, bytes_str(name), most);
}

static void drop(const char *name)
{
    quota_drop(&shared, bytes_str(name));
}

static void a_user_gets_as_many_as_the_limit(void **state)
{
    (void)state;
    assert_true(take("anna", 2));
    assert_true(take("anna", 2));
    assert_false(take("anna", 2));
    drop("anna");
    assert_true(take("anna", 2));
    drop("anna");
    drop("anna");
}

static void users_do_not_count_for_each_other(void **state)
{
    (void)state;
    assert_true(take("anna", 1));
    assert_true(take("bert", 1));
    assert_false(take("anna", 1));
    drop("anna");
    assert_false(take("bert", 1));
    drop("bert");
}

/* After a reload the limit may be lower than what is in use. */
static void the_limit_of_now_counts(void **state)
{
    (void)state;
    assert_true(take("anna", 3));
    assert_true(take("anna", 3));
    assert_false(take("anna", 1));
    drop("anna");
    assert_false(take("anna", 1));
    drop("anna");
    assert_true(take("anna", 1));
    drop("anna");
}

static atomic_int present, most;

static void *come_and_go(void *arg)
{
    const char *name = arg;
    for (int i = 0; i < 20000; i++) {
        if (!take(name, 2))
            continue;
        int now = atomic_fetch_add(&present, 1) + 1;
        if (now > atomic_load(&most))
            atomic_store(&most, now);
        atomic_fetch_sub(&present, 1);
        drop(name);
    }
    return NULL;
}

static void the_limit_holds_across_threads(void **state)
{
    pthread_t threads[4];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, come_and_go, (void *)"anna"), 0);
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
        test(the_limit_of_now_counts),
        test(the_limit_holds_across_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
