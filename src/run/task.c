/*
 * task.c - the places of a task and how it moves between them.
 *
 *     spare --start--> running --park--> parked --wake, cancel, deadline--> ready
 *       ^                |  ^ |                                               |
 *       +----returns-----+  | +--breathe--> breathing                         |
 *                           +-------------------+-----------------------------+
 *
 * The queues are drained by an ev_prepare watcher, that is, after the events of
 * one poll were handled and before the next poll.  First the ready tasks, also
 * those that became ready meanwhile, up to a bound; then breathing tasks, which
 * are long relays, for about one breath.  So whoever waits for something short
 * does not wait for all long relays of the worker.
 */
#include "run/inside.h"

#include "base/clock.h"
#include "base/mem.h"

enum {
    TASK_LIMIT = 4096,
    READY_PER_TURN = 256,
    BREATH_US = 2000,
    STEPS_PER_LOOK = 8,       /* at the clock: a step of a relay is short */
    SPARES_KEPT = 64,
};
static const double trim_every_s = 30;
/* Our clock is read a moment after libev's, so timers come a moment early. */
static const double timer_slack_s = 0.001;

static struct task *task_at(struct list *link)
{
    return list_entry(link, struct task, link);
}

static void move_to(struct task *t, enum task_place place, struct list *queue)
{
    list_leave(&t->link);
    t->place = place;
    if (queue != NULL)
        list_push_back(queue, &t->link);
}

static void wake(struct task *t, enum woke why)
{
    if (t->place != TASK_PARKED)
        return;
    t->woke = why;
    move_to(t, TASK_READY, &t->worker->tasks.ready);
}

/* ---- the deadline of a park --------------------------------------------------- */

/* A task mostly parks again and again under one deadline.  So its timer is left
 * alone when the park ends, and here when it is early enough; on_timer() aims
 * again when it came too early. */
static void aim_timer(struct task *t)
{
    struct worker *w = t->worker;
    double after = t->due - worker_now(w);
    if (ev_is_active(&t->timer) && t->timer_due <= t->due)
        return;
    ev_timer_stop(w->loop, &t->timer);
    ev_timer_set(&t->timer, after > 0 ? after : 0., 0.);
    ev_timer_start(w->loop, &t->timer);
    t->timer_due = t->due;
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct task *t = timer->data;
    (void)loop, (void)revents;
    if (t->place != TASK_PARKED || t->due <= 0)
        return;
    if (t->due > worker_now(t->worker) + timer_slack_s)
        aim_timer(t);
    else
        wake(t, WOKE_DEADLINE);
}

/* ---- stacks on loan ------------------------------------------------------------ */

/* Give the thread to t until it parks, breathes or returns. */
static void resume(struct task *t)
{
    struct tasks *ts = &t->worker->tasks;
    struct task *before = ts->current;
    t->back = before ? &before->stack : &ts->loop_stack;
    t->breath_us = 0;
    t->steps = 0;
    ts->current = t;
    stack_switch(t->back, &t->stack);
    ts->current = before;
}

static void finish(struct task *t)
{
    struct tasks *ts = &t->worker->tasks;
    ev_timer_stop(t->worker->loop, &t->timer);
    arena_reset(&t->arena);
    list_leave(&t->in_all);
    t->place = TASK_SPARE;
    list_push_front(&ts->spare, &t->link);
    ts->spares++;
    ts->running--;
}

static void task_main(void *arg)
{
    struct task *t = arg;
    while (!t->is_retiring) {
        t->run(t, t->arg);
        finish(t);
        stack_switch(&t->stack, t->back);
    }
    stack_leave(&t->stack, t->back);
}

static struct task *task_make(struct worker *w)
{
    if (w->tasks.made >= w->tasks.limit)
        return NULL;
    struct task *t = mem_zalloc(sizeof *t);
    if (!stack_make(&t->stack)) {
        mem_free(t);
        return NULL;
    }
    t->worker = w;
    arena_init(&t->arena);
    ev_init(&t->timer, on_timer);
    /* What was waited for goes before a deadline that passed in the same turn. */
    ev_set_priority(&t->timer, -1);
    t->timer.data = t;
    w->tasks.made++;
    return t;
}

static struct task *task_borrow(struct worker *w)
{
    struct list *spare = list_first(&w->tasks.spare);
    if (spare == NULL)
        return task_make(w);
    list_leave(spare);
    w->tasks.spares--;
    return task_at(spare);
}

static void task_retire(struct task *t)
{
    struct tasks *ts = &t->worker->tasks;
    list_leave(&t->link);
    ts->spares--;
    ts->made--;
    ts->deepest = MAX(ts->deepest, stack_deepest(&t->stack));
    t->is_retiring = true;
    resume(t); /* it leaves for ever, so that ASan can free its shadow */
    stack_free(&t->stack);
    arena_release(&t->arena);
    mem_free(t);
}

bool task_start(struct worker *w, const char *what, void (*run)(struct task *t, void *arg),
                void *arg)
{
    struct tasks *ts = &w->tasks;
    struct task *before = ts->current;
    struct task *t = ts->is_ending ? NULL : task_borrow(w);
    if (t == NULL)
        return false;
    t->run = run;
    t->arg = arg;
    t->what = what;
    t->since_us = w->now_us;
    t->is_cancelled = false;
    t->due = 0;
    t->place = TASK_RUNNING;
    list_push_back(&ts->all, &t->in_all);
    ts->running++;
    ts->peak = MAX(ts->peak, ts->running);
    ts->recent_peak = MAX(ts->recent_peak, ts->running);
    if (t->was_entered) {
        resume(t);
        return true;
    }
    t->was_entered = true;
    t->back = before ? &before->stack : &ts->loop_stack;
    ts->current = t;
    stack_enter(t->back, &t->stack, task_main, t);
    ts->current = before;
    return true;
}

/* ---- parking and waking --------------------------------------------------------- */

enum woke task_park(struct task *t, double deadline)
{
    must(t == t->worker->tasks.current);
    if (t->is_cancelled || t->worker->tasks.is_ending)
        return WOKE_CANCELLED;
    t->due = deadline;
    if (deadline > 0)
        aim_timer(t);
    t->place = TASK_PARKED;
    stack_switch(&t->stack, t->back);
    t->due = 0;
    return t->woke;
}

void task_wake(struct task *t)
{
    wake(t, WOKE_READY);
}

void task_cancel(struct task *t)
{
    t->is_cancelled = true;
    wake(t, WOKE_CANCELLED);
}

bool task_is_cancelled(const struct task *t)
{
    return t->is_cancelled || t->worker->tasks.is_ending;
}

void task_forgive(struct task *t)
{
    t->is_cancelled = false;
}

void task_breathe(struct task *t)
{
    struct tasks *ts = &t->worker->tasks;
    must(t == ts->current);
    if (++t->steps % STEPS_PER_LOOK != 0)
        return;
    uint64_t now = clock_us();
    if (t->breath_us == 0)
        t->breath_us = now;
    if (now - t->breath_us < BREATH_US)
        return;
    move_to(t, TASK_BREATHING, &ts->breathing);
    stack_switch(&t->stack, t->back);
}

struct worker *task_worker(const struct task *t)
{
    return t->worker;
}

struct arena *task_arena(struct task *t)
{
    return &t->arena;
}

void task_describe(struct task *t, const char *what)
{
    t->what = what;
}

/* ---- the queues ------------------------------------------------------------------ */

static void run_first(struct list *queue)
{
    struct task *t = task_at(list_first(queue));
    move_to(t, TASK_RUNNING, NULL);
    resume(t);
}

static void run_ready(struct tasks *ts)
{
    for (int n = 0; n < READY_PER_TURN && !list_empty(&ts->ready); n++)
        run_first(&ts->ready);
}

/* At least one, at most those that breathed before now. */
static void run_breathing(struct tasks *ts)
{
    const struct list *last = list_last(&ts->breathing);
    uint64_t started = clock_us();
    bool more = last != NULL;
    while (more) {
        more = list_first(&ts->breathing) != last;
        run_first(&ts->breathing);
        more = more && clock_us() - started < BREATH_US;
    }
}

static void on_drain(struct ev_loop *loop, ev_prepare *prepare, int revents)
{
    struct tasks *ts = prepare->data;
    (void)revents;
    run_ready(ts);
    if (!list_empty(&ts->breathing))
        run_breathing(ts);
    if (list_empty(&ts->ready) && list_empty(&ts->breathing))
        ev_idle_stop(loop, &ts->hurry);
    else
        ev_idle_start(loop, &ts->hurry);
    struct worker *w = container_of(ts, struct worker, tasks);
    if (w->turn_over != NULL) {
        w->turn_over(w);
        w->asleep_us = clock_us();
    }
}

static void on_hurry(struct ev_loop *loop, ev_idle *idle, int revents)
{
    (void)loop, (void)idle, (void)revents; /* that it is active is all we want */
}

/* ---- the store of stacks ----------------------------------------------------------- */

void tasks_trim(struct worker *w)
{
    struct tasks *ts = &w->tasks;
    unsigned keep = SPARES_KEPT + ts->recent_peak / 2;
    unsigned drop = ts->spares > keep ? (ts->spares - keep + 1) / 2 : 0;
    ts->recent_peak = ts->running;
    for (; drop > 0; drop--)
        task_retire(task_at(list_last(&ts->spare))); /* the one unused for longest */
}

static void on_trim(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void)loop, (void)revents;
    tasks_trim(timer->data);
}

void tasks_init(struct worker *w)
{
    struct tasks *ts = &w->tasks;
    ts->limit = TASK_LIMIT;
    list_init(&ts->all);
    list_init(&ts->spare);
    list_init(&ts->ready);
    list_init(&ts->breathing);
    ev_prepare_init(&ts->drain, on_drain);
    ts->drain.data = ts;
    ev_prepare_start(w->loop, &ts->drain);
    ev_idle_init(&ts->hurry, on_hurry);
    ev_timer_init(&ts->trim, on_trim, trim_every_s, trim_every_s);
    ts->trim.data = w;
    ev_timer_start(w->loop, &ts->trim);
}

void tasks_end(struct worker *w)
{
    struct tasks *ts = &w->tasks;
    must(ts->current == NULL);
    ts->is_ending = true;
    while (!list_empty(&ts->all)) {
        list_for_each(pos, &ts->all)
            task_cancel(list_entry(pos, struct task, in_all));
        run_ready(ts);
        run_breathing(ts);
    }
    while (!list_empty(&ts->spare))
        task_retire(task_at(list_first(&ts->spare)));
}

void worker_set_task_limit(struct worker *w, unsigned limit)
{
    w->tasks.limit = limit;
}

static size_t deepest(const struct list *tasks, size_t link_offset, size_t so_far)
{
    list_for_each(pos, tasks) {
        const struct task *t = (const void *)((const char *)pos - link_offset);
        so_far = MAX(so_far, stack_deepest(&t->stack));
    }
    return so_far;
}

void worker_task_figures(const struct worker *w, struct task_figures *out)
{
    const struct tasks *ts = &w->tasks;
    size_t deep = deepest(&ts->all, offsetof(struct task, in_all), ts->deepest);
    *out = (struct task_figures){
        .made = ts->made,
        .running = ts->running,
        .peak = ts->peak,
        .limit = ts->limit,
        .deepest_stack_bytes = deepest(&ts->spare, offsetof(struct task, link), deep),
    };
}

void worker_each_task(struct worker *w, void (*fn)(void *arg, const char *what, uint64_t since_us),
                      void *arg)
{
    list_for_each(pos, &w->tasks.all) {
        const struct task *t = list_entry(pos, struct task, in_all);
        fn(arg, t->what, t->since_us);
    }
}
