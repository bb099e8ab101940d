/* The thread ids that clients see: who has which, and round they come. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <cmocka.h>

#include "session/inside.h"

enum { WORKERS = 3, FIRST = 0x40000000, TURNS = 0x40000000 / WORKERS };

static struct worker *workers[WORKERS];
static struct sessions_shared shared;
static struct sessions on[WORKERS];

static int set_up(void **state)
{
    (void)state;
    ids_begin(&shared);
    for (int i = 0; i < WORKERS; i++) {
        workers[i] = worker_new(i);
        on[i] = (struct sessions){
            .worker = workers[i], .shared = &shared, .workers = workers, .n_workers = WORKERS
        };
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (int i = 0; i < WORKERS; i++) {
        assert_int_equal(on[i].ids.count, 0);
        ids_release(&on[i].ids);
        worker_free(workers[i]);
    }
    return 0;
}

static struct session *arrive(struct sessions *ss)
{
    struct session *s = calloc(1, sizeof *s);
    s->home = ss;
    id_take(s);
    return s;
}

static void leave(struct session *s)
{
    id_drop(s);
    free(s);
}

static void an_id_is_of_ten_digits_and_names_its_worker(void **state)
{
    struct session *all[WORKERS * 5];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        all[i] = arrive(&on[i % WORKERS]);
        assert_in_range(all[i]->id, 1073741824, 2147483647);
        assert_true(id_is_ours(all[i]->id));
        assert_ptr_equal(id_worker(&on[0], all[i]->id), workers[i % WORKERS]);
        assert_ptr_equal(id_find(&on[i % WORKERS], all[i]->id), all[i]);
        for (size_t k = 0; k < i; k++)
            assert_int_not_equal(all[k]->id, all[i]->id);
    }
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        leave(all[i]);
}

static void who_comes_later_has_the_greater_id(void **state)
{
    const int order[] = { 2, 0, 1, 1, 0, 2, 2, 0 };
    struct session *all[ARRAY_LEN(order)];
    (void)state;
    atomic_store(&shared.next_turn, TURNS / 2);
    for (size_t i = 0; i < ARRAY_LEN(order); i++) {
        all[i] = arrive(&on[order[i]]);
        if (i > 0)
            assert_true(all[i]->id > all[i - 1]->id);
    }
    for (size_t i = 0; i < ARRAY_LEN(order); i++)
        leave(all[i]);
}

static void ids_of_servers_are_not_ours(void **state)
{
    (void)state;
    assert_false(id_is_ours(0));
    assert_false(id_is_ours(FIRST - 1));
    assert_false(id_is_ours(0x80000000));
    assert_false(id_is_ours((uint64_t)1 << 32 | FIRST));
}

static void ids_come_round_past_those_in_use(void **state)
{
    (void)state;
    atomic_store(&shared.next_turn, 0);
    struct session *old = arrive(&on[1]), *older = arrive(&on[1]);
    atomic_store(&shared.next_turn, TURNS - 1);
    struct session *last = arrive(&on[1]), *next = arrive(&on[1]);
    assert_int_equal(old->id, FIRST + 1);
    assert_int_equal(last->id, FIRST + (TURNS - 1) * WORKERS + 1);
    assert_int_equal(next->id, FIRST + 2 * WORKERS + 1);
    assert_int_equal(next->id_round, last->id_round + 1); /* another scramble, if the id comes again */
    leave(old), leave(older), leave(last), leave(next);
    atomic_store(&shared.next_turn, 0);
    struct session *again = arrive(&on[1]);
    assert_int_equal(again->id, FIRST + 1);
    leave(again);
}

/* In any order, and with those who stay for long in the way. */
static void many_come_and_go_and_are_found(void **state)
{
    enum { MANY = 20000 };
    static struct session *all[MANY];
    (void)state;
    atomic_store(&shared.next_turn, TURNS - MANY / 2);
    for (int i = 0; i < MANY; i++)
        all[i] = arrive(&on[0]);
    for (int i = 0; i < MANY; i++) {
        int k = (int)((unsigned)i * 7919u % MANY);
        assert_ptr_equal(id_find(&on[0], all[k]->id), all[k]);
        if (k % 100 == 0)
            continue;
        uint32_t id = all[k]->id;
        leave(all[k]);
        all[k] = NULL;
        assert_null(id_find(&on[0], id));
    }
    assert_int_equal(on[0].ids.count, MANY / 100);
    assert_in_range(on[0].ids.cap, MANY / 100, MANY / 100 * 16); /* room goes back, too */
    atomic_store(&shared.next_turn, TURNS - MANY / 2); /* round again, past those who stayed */
    for (int i = 1; i < MANY / 2; i++)
        if (i % 100 != 0)
            all[i] = arrive(&on[0]);
    for (int i = 0; i < MANY; i++)
        if (all[i] != NULL)
            assert_ptr_equal(id_find(&on[0], all[i]->id), all[i]);
    for (int i = 0; i < MANY; i++)
        if (all[i] != NULL)
            leave(all[i]);
}

static void two_processes_hardly_give_the_same(void **state)
{
    uint64_t first = atomic_load(&shared.next_turn), different = 0;
    (void)state;
    for (int i = 0; i < 8; i++) {
        ids_begin(&shared);
        different += atomic_load(&shared.next_turn) != first;
    }
    assert_in_range(different, 7, 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_id_is_of_ten_digits_and_names_its_worker, set_up, tear_down),
        cmocka_unit_test_setup_teardown(who_comes_later_has_the_greater_id, set_up, tear_down),
        cmocka_unit_test_setup_teardown(ids_of_servers_are_not_ours, set_up, tear_down),
        cmocka_unit_test_setup_teardown(ids_come_round_past_those_in_use, set_up, tear_down),
        cmocka_unit_test_setup_teardown(many_come_and_go_and_are_found, set_up, tear_down),
        cmocka_unit_test_setup_teardown(two_processes_hardly_give_the_same, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
