/* Who waits for a connection, and what becomes of what is meant for him. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <cmocka.h>

#include "pool/inside.h"

struct scene {
    struct server server;
    struct worker *giver, *ending;
    struct want want;
};

static int set_up(void **state)
{
    static struct scene x;
    memset(&x, 0, sizeof x);
    pthread_mutex_init(&x.server.wants_lock, NULL);
    list_init(&x.server.wants);
    atomic_store(&x.server.max_open, 1);
    atomic_store(&x.server.open, 1);
    x.giver = worker_new(0);
    x.ending = worker_new(1);
    lend_worker_init(x.ending);
    x.want.worker = x.ending;
    list_push_back(&x.server.wants, &x.want.link);
    atomic_store(&x.server.wanted, 1);
    *state = &x;
    return 0;
}

static int tear_down(void **state)
{
    struct scene *x = *state;
    worker_free(x->giver);
    worker_free(x->ending);
    return 0;
}

static void a_place_meant_for_a_worker_that_has_ended_is_given_up(void **state)
{
    struct scene *x = *state;
    worker_stop(x->ending);
    worker_run(x->ending); /* leaves its loop, closes its mailbox */
    lend_slot(&x->server, x->giver);
    assert_false(x->want.answered);
    assert_int_equal(atomic_load(&x->server.open), 0);
    assert_int_equal(atomic_load(&x->server.wanted), 0);
}

static void a_place_that_nobody_wants_is_free_again(void **state)
{
    struct scene *x = *state;
    list_leave(&x->want.link);
    atomic_store(&x->server.wanted, 0);
    lend_slot(&x->server, x->giver);
    assert_int_equal(atomic_load(&x->server.open), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_place_meant_for_a_worker_that_has_ended_is_given_up,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_place_that_nobody_wants_is_free_again, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
