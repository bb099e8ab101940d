/*
 * run.h - a worker: one thread, one libev loop, its tasks, its mail, its timers.
 *
 * Everything here belongs to the worker's own thread, except worker_post(),
 * which any thread may call, and worker_start()/worker_stop()/worker_join(),
 * which the thread that made the worker calls.  The control thread has a
 * struct worker too (its loop runs on the main thread, worker_run()).
 *
 * A task is a stack on loan for one piece of work: one login, one command, one
 * dial.  A function whose first parameter is `struct task *` may park: others
 * run before it returns, so anything shared must be looked at again.  A
 * function without it never parks.
 */
#ifndef RUN_RUN_H
#define RUN_RUN_H

#include <ev.h>

#include "base/arena.h"
#include "base/base.h"
#include "base/list.h"

struct task;
struct worker;

/* ---- tasks -------------------------------------------------------------- */

enum woke {
    WOKE_READY,               /* what was waited for happened               */
    WOKE_DEADLINE,            /* the deadline given to the wait passed      */
    WOKE_CANCELLED,           /* somebody called task_cancel()              */
};

/* Start `run(t, arg)` on this worker, at once: it runs until it first parks,
 * breathes or returns.  Called on the worker's thread, from the loop or from
 * another task (then the caller goes on when the new task parks, breathes or
 * returns; no other task runs meanwhile).
 * False when the worker has no stack left to lend (task_limit reached or the
 * kernel refuses a mapping) or has left its loop: nothing ran, the caller keeps
 * `arg`. */
bool task_start(struct worker *w, const char *what, void (*run)(struct task *t, void *arg),
                void *arg) MUST_USE;

/* Park until task_wake() or task_cancel(), or until `deadline` (loop time as of
 * worker_now(), seconds; 0 = none).  A cancellation that came while the task
 * was not parked is reported by its next park, at once; every later park
 * reports it again until task_forgive().  When both came in one turn, what was
 * waited for goes before a deadline.  After worker_stop() every park of what is
 * left reports a cancellation at once, forgiven or not: clean up and return. */
enum woke task_park(struct task *t, double deadline);

/* Make a parked task ready; it runs later in the same loop turn.  The first
 * reason stands.  Nothing happens when the task is not parked. */
void task_wake(struct task *t);
/* Ask a task to stop what it is doing: its present or next park returns
 * WOKE_CANCELLED.  The task, not the caller, cleans up. */
void task_cancel(struct task *t);
bool task_is_cancelled(const struct task *t);
/* Forget a cancellation, so that the task can park again (to clean up). */
void task_forgive(struct task *t);

/* In long work, after each piece of it: if this task has not parked for 2 ms, let
 * others run and the loop poll.  Tasks that something woke go first, then those that
 * breathe take turns.  Not a park: neither a wake nor a cancellation ends it. */
void task_breathe(struct task *t);

struct worker *task_worker(const struct task *t);
/* Memory that dies when the task returns; task_serve loops that serve several
 * commands in a row reset it between them. */
struct arena *task_arena(struct task *t);
/* What it is doing ("login", "command"), a static string; shown to operators. */
void task_describe(struct task *t, const char *what);

/* ---- waiting for a descriptor -------------------------------------------- */

/* A descriptor with its watcher.  Embedded in a stream or a listener.
 * At most one task waits to read and one to write; while none waits to read,
 * `on_idle` is called on readability, provided watch_idle() asked for it. */
struct watch {
    ev_io on_read;            /* .data is the task that waits, or NULL */
    void (*on_idle)(struct watch *watch);
};

void watch_init(struct watch *w, int fd);
/* Start calling on_idle(watch) whenever the descriptor is readable and no task
 * waits to read; NULL stops.  Level-triggered.  on_idle may free the watch. */
void watch_idle(struct worker *worker, struct watch *watch, void (*on_idle)(struct watch *));
/* Forget the descriptor in the loop; before close(), and before a mail takes
 * the owner to another worker (which calls watch_init() again).  No task waits. */
void watch_stop(struct worker *worker, struct watch *watch);

/* What to wait for; NULL members are not waited for. */
struct wait {
    struct watch *readable, *readable2, *writable, *writable2;
    double deadline;          /* loop time, 0 = none */
};
/* Park until one of them is ready.  No system call per wait: watchers stay
 * with the same descriptor and events. */
enum woke task_wait(struct task *t, const struct wait *what);

/* ---- timers: many timeouts of few lengths --------------------------------- */

/* A queue of things that all time out after the same number of seconds (idle
 * clients, idle backends): O(1) to arm, disarm, refresh; one ev_timer. */
struct timeouts {
    struct worker *worker;
    struct list queue;        /* of timeout.link, oldest first */
    double after_s;
    ev_timer timer;
    void (*expired)(struct timeouts *ts, struct list *link);
};
struct timeout {
    struct list link;
    double due;               /* loop time */
};
/* `expired(ts, &timeout->link)` is called after the timeout left the queue; it may
 * free it, and arm or disarm others.  after_s 0: nothing expires. */
void timeouts_init(struct timeouts *ts, struct worker *w, double after_s,
                   void (*expired)(struct timeouts *ts, struct list *link));
/* Arm or refresh. */
void timeout_arm(struct timeouts *ts, struct timeout *to);
void timeout_disarm(struct timeouts *ts, struct timeout *to);
/* A new length, for what is armed from now on and for what waits already. */
void timeouts_set(struct timeouts *ts, double after_s);
/* Disarms what is left. */
void timeouts_release(struct timeouts *ts);

/* ---- mail ------------------------------------------------------------------ */

enum mail_kind {
    MAIL_CLIENT,              /* an accepted client                             */
    MAIL_CONFIG,              /* a new configuration snapshot                   */
    MAIL_TOPOLOGY,            /* a new topology snapshot                        */
    MAIL_ASK, MAIL_GIVE,      /* lending of backends                            */
    MAIL_PROBED,              /* a probe's answer, to the control thread        */
    MAIL_REPORT,              /* run a function there: worker_ask()              */
    MAIL_DRAIN,               /* finish, then stop                              */
    MAIL_NOTE,                /* small things between parts of the same folder  */
    MAIL_KINDS
};

/* Embedded in what is sent.  The sender gives it; the receiver's handler for
 * the kind owns it from then on. */
struct mail {
    struct mail *next;
    enum mail_kind kind;
};

/* Set before worker_start(); handlers run on the loop and never park (start a
 * task for that). */
void worker_on_mail(struct worker *w, enum mail_kind kind,
                    void (*handler)(struct worker *w, struct mail *m));
/* Any thread, also its own.  Order is kept between one sender and one receiver.
 * False when the worker has left its loop: the caller keeps the mail.  True: a
 * handler will get it, even if the worker stops meanwhile. */
bool worker_post(struct worker *to, struct mail *m);

/* Have fn(w, arg) run on worker w's thread, between its other work; parks until it has.  fn never
 * parks and is short: it holds up what w serves.  False when w has stopped (fn did not run). */
bool worker_ask(struct task *t, struct worker *w, void (*fn)(struct worker *w, void *arg), void *arg);

/* ---- workers --------------------------------------------------------------- */

/* Each folder above may hang one thing on a worker. */
enum worker_part { PART_STATS, PART_CONFIG, PART_TOPOLOGY, PART_POOL, PART_SESSIONS, PART_MAIN,
                   WORKER_PARTS };

/* `index` is 0.. for workers, -1 for the control thread.  Ends the process if
 * no loop can be made. */
struct worker *worker_new(int index);
void worker_free(struct worker *w);                  /* after join */
void worker_start(struct worker *w);                 /* run the loop on a new thread */
/* Run the loop on this thread, once in the life of the worker. */
void worker_run(struct worker *w);
/* Any thread, not a signal handler: leave the loop, hand out the mail that has come,
 * cancel all tasks until the last has returned, on the worker's own thread. */
void worker_stop(struct worker *w);
void worker_join(struct worker *w);

int worker_index(const struct worker *w);
struct ev_loop *worker_loop(struct worker *w);
/* Loop time: clock_us() as of this loop turn, monotonic, in seconds and in
 * microseconds.  Not ev_now(), which follows the wall clock. */
double worker_now(struct worker *w);
uint64_t worker_now_us(struct worker *w);
/* Call fn(w) at the end of each turn of the loop, when its tasks have run and before it sleeps; NULL: no
 * longer. */
void worker_on_turn_over(struct worker *w, void (*fn)(struct worker *w));
/* Something that began at `since_us` (of clock_us()) and was found done in this turn of the loop took so
 * long at least: time in which the worker did other things, and did not look, is left out.  (Known only
 * while there is something to call at the end of turns; else some of that time may be in it.) */
uint64_t worker_took_us(const struct worker *w, uint64_t since_us);
void worker_set_part(struct worker *w, enum worker_part part, void *thing);
void *worker_part(const struct worker *w, enum worker_part part);

/* How many stacks may exist at once on a worker (default 4096), and figures. */
void worker_set_task_limit(struct worker *w, unsigned limit);
struct task_figures {
    unsigned made, running, peak, limit;
    size_t deepest_stack_bytes;                      /* unoptimized builds only, else 0 */
};
void worker_task_figures(const struct worker *w, struct task_figures *out);
/* Running tasks: fn(arg, what, since_us).  Own thread only. */
void worker_each_task(struct worker *w, void (*fn)(void *arg, const char *what, uint64_t since_us),
                      void *arg);

#endif
