/*
 * idle.c - how long a client may say nothing; see inside.h.
 *
 * idle_timeout is for all but those that have set wait_timeout: they expect the server to close
 * them after that time.  But while a session is idle no server knows of it, as a rule, so we do it, and
 * as its server would: MySQL says why, MariaDB resets the connection.
 */
#include "session/inside.h"

static void on_silence(struct session *s, const char *words)
{
    if (s->mode.is_mariadb)
        session_abandon(s);
    else
        session_dismiss(s, ER_CLIENT_INTERACTION_TIMEOUT, words);
}

static void on_wait_timeout(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void)loop, (void)revents;
    on_silence(timer->data, "The client was disconnected by the server because of inactivity. See "
                            "wait_timeout and interactive_timeout for configuring this behavior.");
}

static void wait_alone(struct session *s, double seconds)
{
    struct session_more *more = session_more(s);
    ev_timer_init(&more->wait, on_wait_timeout, seconds, 0.);
    more->wait.data = s;
    ev_timer_start(worker_loop(session_worker(s)), &more->wait);
}

static void on_idle_timeout(struct timeouts *ts, struct list *link)
{
    struct timeout *to = list_entry(link, struct timeout, link);
    struct session *s = container_of(to, struct session, idle);
    double left = s->state->wait_s - ts->after_s;
    if (left > 0)
        wait_alone(s, left);
    else
        on_silence(s, "The client was disconnected by the server because of inactivity.");
}

void idle_init(struct sessions *ss, double timeout_s)
{
    timeouts_init(&ss->idle_timeouts, ss->worker, timeout_s, on_idle_timeout);
}

/* A timer of its own only for who waits shorter than the others; who waits longer gets one when the
 * others' time has passed. */
void idle_begins(struct session *s)
{
    struct timeouts *all = &s->home->idle_timeouts;
    unsigned wait_s = s->state->wait_s;
    if (wait_s != 0 && (all->after_s <= 0 || wait_s <= all->after_s))
        wait_alone(s, wait_s);
    else
        timeout_arm(all, &s->idle);
}

void idle_ends(struct session *s)
{
    timeout_disarm(&s->home->idle_timeouts, &s->idle);
    if (s->more != NULL && ev_is_active(&s->more->wait))
        ev_timer_stop(worker_loop(session_worker(s)), &s->more->wait);
}
