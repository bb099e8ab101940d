#include "unit/run/harness.h"

#include "base/clock.h"
#include "run/inside.h"

/* What happened, in order, one letter each. */
static char story[64];

static void tell(char what)
{
    size_t n = strlen(story);
    assert_true(n + 1 < sizeof story);
    story[n] = what;
    story[n + 1] = '\0';
}

static int clear_story(void **state)
{
    (void)state;
    story[0] = '\0';
    return 0;
}

/* A task that parks, and says why it woke: r, d or c. */
struct parker {
    struct task *task;
    double deadline;
    int rounds;
};

static void park_and_tell(struct task *t, void *arg)
{
    struct parker *p = arg;
    p->task = t;
    for (int i = 0; i < p->rounds; i++)
        tell("rdc"[task_park(t, p->deadline)]);
    p->task = NULL;
}

static void start_parker(struct task *t, struct parker *p)
{
    assert_true(task_start(task_worker(t), "parker", park_and_tell, p));
}

/* ---- starting --------------------------------------------------------------- */

static void tell_twice(struct task *t, void *arg)
{
    struct parker *p = arg;
    p->task = t;
    tell('b');
    task_park(t, 0);
    tell('d');
}

static void start_inside_task(struct task *t)
{
    struct parker p = { .rounds = 1 };
    tell('a');
    assert_true(task_start(task_worker(t), "inner", tell_twice, &p));
    tell('c');
    task_wake(p.task);
    nap(t, 0.001);
    tell('e');
}

static void a_task_started_by_a_task_runs_at_once_until_it_parks(void **state)
{
    (void)state;
    in_task(start_inside_task);
    assert_string_equal(story, "abcde");
}

static void return_at_once(struct task *t, void *arg)
{
    (void)t;
    ++*(int *)arg;
}

static void start_many_short(struct task *t)
{
    struct task_figures figures;
    int count = 0;
    for (int i = 0; i < 1000; i++)
        assert_true(task_start(task_worker(t), "short", return_at_once, &count));
    worker_task_figures(task_worker(t), &figures);
    assert_int_equal(count, 1000);
    assert_int_equal(figures.made, 2);
    assert_int_equal(figures.running, 1);
    assert_int_equal(figures.peak, 2);
}

static void tasks_that_do_not_park_share_one_stack(void **state)
{
    (void)state;
    in_task(start_many_short);
}

static void start_beyond_limit(struct task *t)
{
    struct parker p[3] = { { .rounds = 1 }, { .rounds = 1 }, { .rounds = 1 } };
    struct worker *w = task_worker(t);
    worker_set_task_limit(w, 3);
    start_parker(t, &p[0]);
    start_parker(t, &p[1]);
    assert_false(task_start(w, "parker", park_and_tell, &p[2]));
    assert_null(p[2].task);
    task_wake(p[0].task);
    nap(t, 0.001);
    start_parker(t, &p[2]);
    assert_non_null(p[2].task);
    task_wake(p[1].task);
    task_wake(p[2].task);
    nap(t, 0.001);
}

static void the_task_limit_refuses_until_a_stack_comes_back(void **state)
{
    (void)state;
    in_task(start_beyond_limit);
    assert_string_equal(story, "rrr");
}

/* ---- waking and cancelling ------------------------------------------------------ */

static void wake_inside_task(struct task *t)
{
    struct parker p = { .rounds = 1 };
    start_parker(t, &p);
    task_wake(p.task);
    tell('w');
    nap(t, 0.001);
}

static void a_woken_task_runs_only_when_the_waker_parks(void **state)
{
    (void)state;
    in_task(wake_inside_task);
    assert_string_equal(story, "wr");
}

static void let_deadlines_pass(struct task *t)
{
    struct parker early = { .rounds = 1, .deadline = after(t, 0.02) };
    struct parker late = { .rounds = 1, .deadline = after(t, 0.04) };
    double start = worker_now(task_worker(t));
    start_parker(t, &late);
    start_parker(t, &early);
    while (early.task != NULL)
        nap(t, 0.002);
    double passed = worker_now(task_worker(t)) - start;
    assert_true(passed > 0.018 && passed < 2);
    assert_non_null(late.task);
    while (late.task != NULL)
        nap(t, 0.002);
    assert_true(worker_now(task_worker(t)) - start > 0.038);
}

static void a_deadline_wakes_when_it_passes_and_not_before(void **state)
{
    (void)state;
    in_task(let_deadlines_pass);
    assert_string_equal(story, "dd");
}

static void park_twice(struct task *t, void *arg)
{
    struct parker *p = arg;
    p->task = t;
    tell("rdc"[task_park(t, after(t, 0.01))]);
    tell("rdc"[task_park(t, after(t, 0.05))]);
    tell("rdc"[task_park(t, 0)]);
    p->task = NULL;
}

static void outlive_first_deadline(struct task *t)
{
    struct parker p;
    double start = worker_now(task_worker(t));
    assert_true(task_start(task_worker(t), "twice", park_twice, &p));
    task_wake(p.task);
    while (strlen(story) < 2)
        nap(t, 0.002);
    assert_true(worker_now(task_worker(t)) - start > 0.048);
    nap(t, 0.02);
    task_wake(p.task);
    nap(t, 0.002);
}

static void the_deadline_of_an_earlier_park_does_not_end_a_later_one(void **state)
{
    (void)state;
    in_task(outlive_first_deadline);
    assert_string_equal(story, "rdr");
}

static void cancel_parked(struct task *t)
{
    struct parker p = { .rounds = 3 };
    start_parker(t, &p);
    task_cancel(p.task);
    assert_true(task_is_cancelled(p.task));
    tell('w');
    nap(t, 0.001);
}

static void a_cancelled_task_hears_of_it_in_every_park(void **state)
{
    (void)state;
    in_task(cancel_parked);
    assert_string_equal(story, "wccc");
}

static void cancel_woken(struct task *t)
{
    struct parker p = { .rounds = 2 };
    start_parker(t, &p);
    task_wake(p.task);
    task_cancel(p.task);
    nap(t, 0.001);
}

static void the_first_reason_stands_and_the_cancellation_follows(void **state)
{
    (void)state;
    in_task(cancel_woken);
    assert_string_equal(story, "rc");
}

static void cancel_self(struct task *t)
{
    task_cancel(t);
    assert_int_equal(task_park(t, after(t, 60)), WOKE_CANCELLED);
    task_forgive(t);
    assert_false(task_is_cancelled(t));
    assert_int_equal(task_park(t, after(t, 0.001)), WOKE_DEADLINE);
}

static void a_cancellation_before_the_park_is_reported_at_once_until_forgiven(void **state)
{
    (void)state;
    in_task(cancel_self);
}

static void wake_unparked(struct task *t)
{
    task_wake(t);
    assert_int_equal(task_park(t, after(t, 0.005)), WOKE_DEADLINE);
}

static void waking_a_task_that_is_not_parked_does_nothing(void **state)
{
    (void)state;
    in_task(wake_unparked);
}

/* ---- breathing -------------------------------------------------------------------- */

struct spinner {
    const bool *until;
    uint64_t for_us;
    char name;
    int breaths;
};

static void spin(uint64_t us)
{
    for (uint64_t start = clock_us(); clock_us() - start < us;)
        ;
}

static char spun_last;
static int turns;

static void spin_and_breathe(struct task *t, void *arg)
{
    struct spinner *s = arg;
    uint64_t start = clock_us();
    while (clock_us() - start < s->for_us && !*s->until) {
        spin(100);
        turns += spun_last != s->name;
        spun_last = s->name;
        task_breathe(t);
        s->breaths++;
    }
    tell(s->name);
}

struct reader {
    struct watch watch;
    bool done;
};

static void read_one(struct task *t, void *arg)
{
    struct reader *r = arg;
    assert_int_equal(task_wait(t, &(struct wait){ .readable = &r->watch }), WOKE_READY);
    tell('i');
    r->done = true;
}

/* Only a poll can tell the reader; the spinners would go on for a minute. */
static void read_beside_spinners(struct task *t)
{
    struct reader r = { .done = false };
    struct spinner s[2] = { { &r.done, 60000000, 's', 0 }, { &r.done, 60000000, 's', 0 } };
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    watch_init(&r.watch, ends[0]);
    assert_true(task_start(task_worker(t), "reader", read_one, &r));
    assert_int_equal(write(ends[1], "x", 1), 1);
    for (int i = 0; i < 2; i++)
        assert_true(task_start(task_worker(t), "spinner", spin_and_breathe, &s[i]));
    while (strlen(story) < 3)
        nap(t, 0.001);
    watch_stop(task_worker(t), &r.watch);
    close(ends[0]);
    close(ends[1]);
}

static void breathing_tasks_do_not_keep_the_loop_from_polling(void **state)
{
    (void)state;
    in_task(read_beside_spinners);
    assert_string_equal(story, "iss");
}

/* How often each gets a turn depends on the machine; that they do take turns does not. */
static void breathe_in_turns(struct task *t)
{
    bool enough = false;
    struct spinner s[2] = { { &enough, 60000000, 'a', 0 }, { &enough, 60000000, 'b', 0 } };
    turns = 0;
    for (int i = 0; i < 2; i++)
        assert_true(task_start(task_worker(t), "spinner", spin_and_breathe, &s[i]));
    assert_string_equal(story, ""); /* the first did not run to its end */
    while (turns < 20)
        nap(t, 0.001);
    enough = true;
    while (strlen(story) < 2)
        nap(t, 0.001);
    assert_true(s[0].breaths > 0 && s[1].breaths > 0);
}

static void breathing_tasks_take_turns(void **state)
{
    (void)state;
    in_task(breathe_in_turns);
}

/* The machine may take the thread away for longer than a breath: then it breathes, rightly, and what
 * matters is seen at another try. */
static void short_breaths(struct task *t)
{
    bool never = false, was_undisturbed = false;
    struct spinner s = { &never, 1000, 's', 0 };
    for (int tries = 0; tries < 1000 && !was_undisturbed; tries++) {
        clear_story(NULL);
        uint64_t start = clock_us();
        assert_true(task_start(task_worker(t), "spinner", spin_and_breathe, &s));
        was_undisturbed = clock_us() - start < 2000;
        tell('w');
        while (strlen(story) < 2)
            nap(t, 0.001);
    }
}

static void a_task_that_ran_for_a_moment_does_not_breathe(void **state)
{
    (void)state;
    in_task(short_breaths);
    assert_string_equal(story, "sw");
}

/* ---- many --------------------------------------------------------------------------- */

enum { MANY = 2000 };
static struct parker many[MANY];
static unsigned many_woken;

static void park_and_count(struct task *t, void *arg)
{
    struct parker *p = arg;
    char deep[2048];
    memset(deep, 1, sizeof deep);
    p->task = t;
    if (task_park(t, after(t, 60)) == WOKE_READY && deep[sizeof deep - 1] == 1)
        many_woken++;
}

static void park_many(struct task *t)
{
    struct worker *w = task_worker(t);
    struct task_figures figures;
    for (int i = 0; i < MANY; i++)
        assert_true(task_start(w, "many", park_and_count, &many[i]));
    worker_task_figures(w, &figures);
    assert_int_equal(figures.running, MANY + 1);
    assert_int_equal(figures.made, MANY + 1);
    if (figures.deepest_stack_bytes != 0)
        assert_in_range(figures.deepest_stack_bytes, 2048, 16384);
    for (int i = 0; i < MANY; i++)
        task_wake(many[i].task);
    nap(t, 0.001);
    while (many_woken < MANY)
        nap(t, 0.001);
    worker_task_figures(w, &figures);
    assert_int_equal(figures.running, 1);
    assert_int_equal(figures.peak, MANY + 1);
}

static void two_thousand_tasks_park_at_once(void **state)
{
    (void)state;
    many_woken = 0;
    in_task(park_many);
    assert_int_equal(many_woken, MANY);
}

static void trim_after_peak(struct task *t)
{
    struct worker *w = task_worker(t);
    struct task_figures figures;
    many_woken = 0;
    for (int i = 0; i < 1000; i++)
        assert_true(task_start(w, "many", park_and_count, &many[i]));
    for (int i = 0; i < 1000; i++)
        task_wake(many[i].task);
    while (many_woken < 1000)
        nap(t, 0.001);
    tasks_trim(w); /* 1000 spare; keeps 64 and half of 1001 and half of the surplus */
    worker_task_figures(w, &figures);
    assert_int_equal(figures.made, 1001 - (1000 - 564) / 2);
    for (int i = 0; i < 20; i++)
        tasks_trim(w);
    worker_task_figures(w, &figures);
    assert_int_equal(figures.made, 64 + 1);
}

static void spare_stacks_are_given_back_bit_by_bit(void **state)
{
    (void)state;
    in_task(trim_after_peak);
}

/* ---- arena, figures -------------------------------------------------------------------- */

static void use_arena(struct task *t, void *arg)
{
    size_t *before = arg;
    *before = task_arena(t)->used_bytes;
    memset(arena_alloc(task_arena(t), 1000), 1, 1000);
}

static void use_arena_twice(struct task *t)
{
    size_t before = 1;
    for (int i = 0; i < 2; i++) {
        assert_true(task_start(task_worker(t), "arena", use_arena, &before));
        assert_int_equal(before, 0);
    }
}

static void the_arena_is_empty_for_the_next_task(void **state)
{
    (void)state;
    in_task(use_arena_twice);
}

static void note_task(void *arg, const char *what, uint64_t since_us)
{
    (void)arg;
    assert_true(since_us > 0 && since_us <= clock_us());
    tell(what[0]);
}

static void show_tasks(struct task *t)
{
    struct parker p = { .rounds = 1 };
    start_parker(t, &p);
    task_describe(t, "described");
    worker_each_task(task_worker(t), note_task, NULL);
    task_wake(p.task);
    nap(t, 0.001);
    worker_each_task(task_worker(t), note_task, NULL);
}

static void running_tasks_are_shown_with_what_they_do(void **state)
{
    (void)state;
    in_task(show_tasks);
    assert_string_equal(story, "dprd");
}

/* ---- the end ------------------------------------------------------------------------------ */

static void clean_up_slowly(struct task *t, void *arg)
{
    (void)arg;
    tell("rdc"[task_park(t, 0)]);
    task_forgive(t);
    assert_false(task_start(task_worker(t), "late", return_at_once, NULL));
    tell("rdc"[task_park(t, after(t, 60))]);
    task_breathe(t);
    tell('x');
}

static void leave_parked(struct task *t)
{
    assert_true(task_start(task_worker(t), "slow", clean_up_slowly, NULL));
}

static void the_end_of_the_loop_cancels_all_tasks_until_they_return(void **state)
{
    (void)state;
    in_task(leave_parked);
    assert_string_equal(story, "ccx");
}

static void a_worker_that_never_ran_ends_its_tasks_when_freed(void **state)
{
    struct parker p = { .rounds = 1 };
    struct worker *w = worker_new(0);
    (void)state;
    assert_true(task_start(w, "parker", park_and_tell, &p));
    worker_free(w);
    assert_string_equal(story, "c");
}

#define STORY(test) cmocka_unit_test_setup(test, clear_story)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(a_task_started_by_a_task_runs_at_once_until_it_parks),
        STORY(tasks_that_do_not_park_share_one_stack),
        STORY(the_task_limit_refuses_until_a_stack_comes_back),
        STORY(a_woken_task_runs_only_when_the_waker_parks),
        STORY(a_deadline_wakes_when_it_passes_and_not_before),
        STORY(the_deadline_of_an_earlier_park_does_not_end_a_later_one),
        STORY(a_cancelled_task_hears_of_it_in_every_park),
        STORY(the_first_reason_stands_and_the_cancellation_follows),
        STORY(a_cancellation_before_the_park_is_reported_at_once_until_forgiven),
        STORY(waking_a_task_that_is_not_parked_does_nothing),
        STORY(breathing_tasks_do_not_keep_the_loop_from_polling),
        STORY(breathing_tasks_take_turns),
        STORY(a_task_that_ran_for_a_moment_does_not_breathe),
        STORY(two_thousand_tasks_park_at_once),
        STORY(spare_stacks_are_given_back_bit_by_bit),
        STORY(the_arena_is_empty_for_the_next_task),
        STORY(running_tasks_are_shown_with_what_they_do),
        STORY(the_end_of_the_loop_cancels_all_tasks_until_they_return),
        STORY(a_worker_that_never_ran_ends_its_tasks_when_freed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
