/* The snapshot in force, per worker. */
#include "unit/config/texts.h"

#include <unistd.h>

static _Atomic uint64_t seen[2];      /* numbers, by the worker's index */
static atomic_uint swaps;

static void swapped(struct worker *w, const struct config *now)
{
    assert_ptr_equal(worker_config(w), now);
    seen[worker_index(w)] = now->number;
    swaps++;
}

static void workers_swap_to_what_is_published(void **state)
{
    struct worker *workers[2];
    struct config *first = good(REST), *second = good(REST);
    uint64_t number = second->number;
    (void)state;
    config_on_swap(swapped);
    config_on_swap(swapped);          /* once is enough */
    for (int i = 0; i < 2; i++) {
        workers[i] = worker_new(i);
        config_worker_init(workers[i], first);
        assert_ptr_equal(worker_config(workers[i]), first);
        worker_start(workers[i]);
    }
    config_drop(first);
    config_publish(second, workers, 2);
    config_drop(second);
    for (unsigned i = 0; i < 5000 && swaps < 2; i++)
        usleep(1000);
    assert_int_equal(swaps, 2);
    assert_int_equal(seen[0], number);
    assert_int_equal(seen[1], number);
    for (int i = 0; i < 2; i++) {
        worker_stop(workers[i]);
        worker_join(workers[i]);
        assert_int_equal(worker_config(workers[i])->number, number);
        config_worker_release(workers[i]);
        worker_free(workers[i]);
    }
}

static void a_stopped_worker_keeps_no_reference(void **state)
{
    struct worker *w = worker_new(0);
    struct config *first = good(REST), *second = good(REST);
    (void)state;
    config_worker_init(w, first);
    worker_start(w);
    worker_stop(w);
    worker_join(w);
    config_publish(second, &w, 1);
    assert_int_equal(atomic_load(&second->ref.count), 1);
    config_worker_release(w);
    assert_int_equal(atomic_load(&first->ref.count), 1);
    worker_free(w);
    config_drop(first);
    config_drop(second);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(workers_swap_to_what_is_published),
        cmocka_unit_test(a_stopped_worker_keeps_no_reference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
