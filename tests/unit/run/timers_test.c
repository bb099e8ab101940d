#include "unit/run/harness.h"

#include "base/mem.h"

struct sleeper {
    struct timeout timeout;
    char name;
    bool arms_again, is_freed;
    struct sleeper *disarms;
};

static char story[32];

static void expired(struct timeouts *ts, struct list *link)
{
    struct sleeper *s = container_of(link, struct sleeper, timeout.link);
    size_t n = strlen(story);
    assert_false(list_linked(link));
    assert_true(n + 1 < sizeof story);
    story[n] = s->name;
    story[n + 1] = '\0';
    if (s->arms_again)
        timeout_arm(ts, &s->timeout);
    if (s->disarms != NULL)
        timeout_disarm(ts, &s->disarms->timeout);
    if (s->is_freed)
        mem_free(s);
}

static int clear_story(void **state)
{
    (void)state;
    story[0] = '\0';
    return 0;
}

static void start(struct timeouts *ts, struct task *t, double after_s)
{
    timeouts_init(ts, task_worker(t), after_s, expired);
}

static void expire_three(struct task *t)
{
    struct timeouts ts;
    struct sleeper a = { .name = 'a' }, b = { .name = 'b' }, c = { .name = 'c' };
    start(&ts, t, 0.04);
    timeout_arm(&ts, &a.timeout);
    timeout_arm(&ts, &b.timeout);
    timeout_arm(&ts, &c.timeout);
    nap(t, 0.02);
    timeout_arm(&ts, &a.timeout); /* refreshed: now the last */
    timeout_disarm(&ts, &b.timeout);
    assert_string_equal(story, "");
    while (strlen(story) < 1)
        nap(t, 0.001);
    assert_string_equal(story, "c");
    while (strlen(story) < 2)
        nap(t, 0.001);
    assert_string_equal(story, "ca");
    nap(t, 0.05);
    timeouts_release(&ts);
}

static void timeouts_expire_in_the_order_of_their_last_arming(void **state)
{
    (void)state;
    in_task(expire_three);
    assert_string_equal(story, "ca");
}

static void expire_exactly(struct task *t)
{
    struct timeouts ts;
    struct sleeper a = { .name = 'a' };
    double begin = worker_now(task_worker(t));
    start(&ts, t, 0.05);
    timeout_arm(&ts, &a.timeout);
    while (strlen(story) < 1)
        nap(t, 0.001);
    double passed = worker_now(task_worker(t)) - begin;
    assert_true(passed >= 0.05 && passed < 2);
    timeouts_release(&ts);
}

static void nothing_expires_early(void **state)
{
    (void)state;
    in_task(expire_exactly);
}

static void change_length(struct task *t)
{
    struct timeouts ts;
    struct sleeper a = { .name = 'a' }, b = { .name = 'b' };
    start(&ts, t, 3600);
    timeout_arm(&ts, &a.timeout);
    timeout_arm(&ts, &b.timeout);
    timeouts_set(&ts, 0); /* never */
    nap(t, 0.01);
    assert_string_equal(story, "");
    timeouts_set(&ts, 0.02);
    while (strlen(story) < 2)
        nap(t, 0.001);
    timeouts_release(&ts);
}

static void a_new_length_counts_for_what_waits_already(void **state)
{
    (void)state;
    in_task(change_length);
    assert_string_equal(story, "ab");
}

static void expire_into_others(struct task *t)
{
    struct timeouts ts;
    struct sleeper *freed = mem_zalloc(sizeof *freed);
    struct sleeper again = { .name = 'r', .arms_again = true };
    struct sleeper victim = { .name = 'v' };
    *freed = (struct sleeper){ .name = 'f', .is_freed = true, .disarms = &victim };
    start(&ts, t, 0.01);
    timeout_arm(&ts, &freed->timeout);
    timeout_arm(&ts, &again.timeout);
    timeout_arm(&ts, &victim.timeout);
    while (strlen(story) < 3)
        nap(t, 0.001);
    timeouts_release(&ts);
    assert_false(list_linked(&again.timeout.link));
    nap(t, 0.02);
}

static void what_expires_may_be_freed_armed_again_or_disarm_others(void **state)
{
    (void)state;
    in_task(expire_into_others);
    assert_string_equal(story, "frr");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(timeouts_expire_in_the_order_of_their_last_arming, clear_story),
        cmocka_unit_test_setup(nothing_expires_early, clear_story),
        cmocka_unit_test_setup(a_new_length_counts_for_what_waits_already, clear_story),
        cmocka_unit_test_setup(what_expires_may_be_freed_armed_again_or_disarm_others, clear_story),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
