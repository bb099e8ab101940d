/* One server as all threads see it. */
#include "unit/servers/made_up.h"

static void connections_are_limited(void **state)
{
    struct made_up m;
    (void)state;
    make_up(&m, 1, "");
    struct server *s = m.states[0].server;
    atomic_store(&s->max_open, 2);
    assert_true(server_may_open(s));
    assert_true(server_may_open(s));
    assert_false(server_may_open(s));
    server_closed(s);
    assert_true(server_may_open(s));
    server_closed(s);
    server_closed(s);
    assert_int_equal(atomic_load(&s->open), 0);
    unmake(&m);
}

static void a_draining_server_opens_nothing_new(void **state)
{
    struct made_up m;
    (void)state;
    make_up(&m, 1, "");
    struct server *s = m.states[0].server;
    atomic_store(&s->draining, true);
    assert_false(server_may_open(s));
    assert_int_equal(atomic_load(&s->open), 0);
    unmake(&m);
}

static void *open_many(void *arg)
{
    size_t opened = 0;
    for (unsigned i = 0; i < 100000; i++)
        opened += server_may_open(arg);
    return (void *)opened;
}

static void threads_together_keep_the_limit(void **state)
{
    struct made_up m;
    pthread_t threads[4];
    size_t sum = 0;
    (void)state;
    make_up(&m, 1, "");
    struct server *s = m.states[0].server;
    atomic_store(&s->max_open, 150001);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, open_many, s), 0);
    for (unsigned i = 0; i < 4; i++) {
        void *opened;
        pthread_join(threads[i], &opened);
        sum += (size_t)opened;
    }
    assert_int_equal(sum, 150001);
    assert_int_equal(atomic_load(&s->open), 150001);
    atomic_store(&s->open, 0);
    unmake(&m);
}

static void numbers_are_never_used_again(void **state)
{
    struct made_up m;
    (void)state;
    make_up(&m, 2, "");
    unsigned last = m.states[1].server->number;
    assert_true(last > m.states[0].server->number);
    unmake(&m);
    make_up(&m, 1, "");
    assert_true(m.states[0].server->number > last);
    unmake(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connections_are_limited),
        cmocka_unit_test(a_draining_server_opens_nothing_new),
        cmocka_unit_test(threads_together_keep_the_limit),
        cmocka_unit_test(numbers_are_never_used_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
