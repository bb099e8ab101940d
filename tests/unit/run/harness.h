/*
 * harness.h - run a test's body as a task of a worker on this thread.
 */
#ifndef UNIT_RUN_HARNESS_H
#define UNIT_RUN_HARNESS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "run/run.h"

#include <unistd.h>

struct body {
    void (*run)(struct task *t);
};

static inline void run_body(struct task *t, void *arg)
{
    const struct body *body = arg;
    body->run(t);
    worker_stop(task_worker(t));
}

/* A body that hangs ends the test program with SIGALRM. */
static inline void in_task(void (*run)(struct task *t))
{
    struct worker *w = worker_new(0);
    struct body body = { run };
    alarm(120);
    assert_true(task_start(w, "test", run_body, &body));
    worker_run(w);
    worker_free(w);
    alarm(0);
}

static inline double after(struct task *t, double seconds)
{
    return worker_now(task_worker(t)) + seconds;
}

static inline void nap(struct task *t, double seconds)
{
    assert_int_equal(task_park(t, after(t, seconds)), WOKE_DEADLINE);
}

#endif
