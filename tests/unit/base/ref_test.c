#include "base/ref.h"

#include "base/mem.h"

#include <pthread.h>

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <cmocka.h>

struct shared {
    struct ref ref;
    int slots[4];
};

static atomic_int freed;

static void put(struct shared *s)
{
    if (!ref_drop(&s->ref))
        return;
    for (int i = 0; i < 4; i++)
        if (s->slots[i] == 1000)
            atomic_fetch_add(&freed, 1);
    mem_free(s);
}

static void the_last_drop_says_so(void **state)
{
    (void)state;
    struct ref r;
    ref_init(&r);
    ref_take(&r);
    assert_false(ref_drop(&r));
    assert_true(ref_drop(&r));
}

struct job {
    struct shared *shared;
    int slot;
};

/* Plain writes: the count alone orders them before the reading in put(). */
static void *use(void *arg)
{
    struct job *job = arg;
    for (int i = 0; i < 1000; i++) {
        ref_take(&job->shared->ref);
        job->shared->slots[job->slot]++;
        put(job->shared);
    }
    put(job->shared);
    return NULL;
}

static void threads_see_all_writes_before_the_last_drop(void **state)
{
    (void)state;
    struct shared *s = mem_zalloc(sizeof(*s));
    pthread_t threads[4];
    struct job jobs[4];
    ref_init(&s->ref);
    for (int i = 0; i < 4; i++) {
        ref_take(&s->ref);
        jobs[i] = (struct job){ s, i };
        assert_int_equal(pthread_create(&threads[i], NULL, use, &jobs[i]), 0);
    }
    put(s);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(freed, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_drop_says_so),
        cmocka_unit_test(threads_see_all_writes_before_the_last_drop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
