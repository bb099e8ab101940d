/*
 * timers.c - many timeouts of one length: a queue in the order of arming is in
 * the order of expiring too, so one ev_timer for the first is enough.  It is
 * not moved when the first is disarmed; it comes too early then, and aims again.
 */
#include "run/inside.h"

static struct timeout *first_of(const struct timeouts *ts)
{
    struct list *first = list_first(&ts->queue);
    return first ? list_entry(first, struct timeout, link) : NULL;
}

static void aim(struct timeouts *ts)
{
    struct ev_loop *loop = ts->worker->loop;
    const struct timeout *first = first_of(ts);
    if (first == NULL || ts->after_s <= 0 || ev_is_active(&ts->timer))
        return;
    double after = first->due - worker_now(ts->worker);
    ev_timer_set(&ts->timer, after > 0 ? after : 0., 0.);
    ev_timer_start(loop, &ts->timer);
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct timeouts *ts = timer->data;
    struct timeout *first;
    (void)loop, (void)revents;
    /* What `expired` arms again is due later than now, so this ends. */
    while (ts->after_s > 0 && (first = first_of(ts)) != NULL &&
           first->due <= worker_now(ts->worker)) {
        list_leave(&first->link);
        ts->expired(ts, &first->link);
    }
    aim(ts);
}

void timeouts_init(struct timeouts *ts, struct worker *w, double after_s,
                   void (*expired)(struct timeouts *ts, struct list *link))
{
    *ts = (struct timeouts){ .worker = w, .after_s = after_s, .expired = expired };
    list_init(&ts->queue);
    ev_init(&ts->timer, on_timer);
    ts->timer.data = ts;
}

void timeout_arm(struct timeouts *ts, struct timeout *to)
{
    list_leave(&to->link);
    to->due = worker_now(ts->worker) + ts->after_s;
    list_push_back(&ts->queue, &to->link);
    aim(ts);
}

void timeout_disarm(struct timeouts *ts, struct timeout *to)
{
    (void)ts;
    list_leave(&to->link);
}

void timeouts_set(struct timeouts *ts, double after_s)
{
    list_for_each(pos, &ts->queue)
        list_entry(pos, struct timeout, link)->due += after_s - ts->after_s;
    ts->after_s = after_s;
    ev_timer_stop(ts->worker->loop, &ts->timer);
    aim(ts);
}

void timeouts_release(struct timeouts *ts)
{
    ev_timer_stop(ts->worker->loop, &ts->timer);
    list_for_each_safe(pos, &ts->queue)
        list_leave(pos);
}
