/*
 * inside.h - what the files of run/ share and nobody else needs.
 *
 *     stack.c   make, enter, switch, free stacks; tell the sanitizers
 *     task.c    places of a task: spare, running, parked, ready, breathing
 *     watch.c   descriptors: wake the waiting task, or call on_idle
 *     timers.c  queues of timeouts
 *     mail.c    post and deliver
 *     worker.c  thread, loop, clock, end
 */
#ifndef RUN_INSIDE_H
#define RUN_INSIDE_H

#include "run/run.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdatomic.h>

/* ---- stacks ---------------------------------------------------------------- */

/* A place to switch to: a stack of ours, or the thread's own (mem is NULL). */
struct stack {
    sigjmp_buf at;            /* where it was left; or, see stack.c,                   */
    void *place;
    char *mem;                /* the mapping, guard page first */
    const void *base;         /* lowest usable address */
    size_t size;
    void *asan_fake, *tsan_fiber;
    unsigned valgrind_id;
    bool painted;
};

/* Map a stack with its guard page; false when the kernel refuses. */
bool stack_make(struct stack *s) MUST_USE;
/* Unmap.  Its code has gone by stack_leave(), or was never entered. */
void stack_free(struct stack *s);
/* First entry: run(arg) on `fresh`; run never returns.  Comes back, as
 * stack_switch() does, when somebody switches to `from`. */
void stack_enter(struct stack *from, struct stack *fresh, void (*run)(void *), void *arg);
/* Leave `from`, which is running now, and go on where `to` was left. */
void stack_switch(struct stack *from, struct stack *to);
/* The same for the last time. */
_Noreturn void stack_leave(struct stack *from, struct stack *to);
/* The most bytes that were ever in use; 0 when stacks are not painted. */
size_t stack_deepest(const struct stack *s);

/* ---- tasks ----------------------------------------------------------------- */

enum task_place {
    TASK_SPARE,               /* tasks.spare, its stack waits for work             */
    TASK_RUNNING,             /* has the thread, or started the task that has it   */
    TASK_PARKED,              /* in no queue; task_wake() moves it to ready        */
    TASK_READY,               /* tasks.ready                                       */
    TASK_BREATHING,           /* tasks.breathing                                   */
};

struct task {
    struct stack stack;
    struct stack *back;       /* of whoever resumed it: where parking leads */
    struct worker *worker;
    enum task_place place;
    enum woke woke;
    bool is_cancelled, is_retiring, was_entered;
    struct list link;         /* in spare, ready or breathing */
    struct list in_all;       /* in tasks.all, unless spare */
    void (*run)(struct task *t, void *arg);
    void *arg;
    const char *what;
    uint64_t since_us;
    uint64_t breath_us;       /* the clock, as first seen since it was resumed, or 0 */
    unsigned steps;           /* task_breathe() since then */
    double due;               /* of the present park, 0 = none */
    ev_timer timer;           /* stays armed from park to park, see aim_timer() */
    double timer_due;
    struct arena arena;
};

struct tasks {
    struct stack loop_stack;  /* the thread's own */
    struct task *current;     /* NULL in the loop */
    struct list all, spare, ready, breathing;
    unsigned made, running, peak, recent_peak, spares, limit;
    size_t deepest;           /* of stacks freed so far */
    bool is_ending;           /* the loop is over: every park reports a cancellation */
    ev_prepare drain;
    ev_idle hurry;            /* active while a queue is not empty: the loop does not sleep */
    ev_timer trim;
};

void tasks_init(struct worker *w);
/* Cancel every task until all have returned, then free all stacks. */
void tasks_end(struct worker *w);
/* Free half of the spare stacks that there are too many of; by the timer. */
void tasks_trim(struct worker *w);

/* ---- workers --------------------------------------------------------------- */

struct mailbox {
    pthread_mutex_t lock;     /* for first, last, is_closed */
    struct mail *first, **last;
    bool is_closed;
};

struct worker {
    struct ev_loop *loop;
    uint64_t now_us;          /* when this turn of the loop began */
    uint64_t before_us;       /* ... the turn before it ... */
    uint64_t asleep_us;       /* ... and when that one was over, if turn_over is set */
    void (*turn_over)(struct worker *w);
    int index;
    struct tasks tasks;
    void *parts[WORKER_PARTS];
    void (*handlers[MAIL_KINDS])(struct worker *w, struct mail *m);
    struct mailbox mailbox;
    ev_async bell;            /* mail has come, or is_stopping */
    atomic_bool is_stopping;
    ev_check clock;
    pthread_t thread;
    bool has_thread;
};

void mailbox_init(struct worker *w);
/* Hand out what has come. */
void mailbox_deliver(struct worker *w);
/* Accept nothing more, hand out the rest. */
void mailbox_close(struct worker *w);
bool mailbox_is_closed(struct worker *w);

/* ---- ask.c ---- */

void ask_init(struct worker *w);

#endif
