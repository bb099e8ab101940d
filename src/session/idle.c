/*
 * idle.c - how long a client may say nothing; see inside.h.
 *
 * idle_timeout is for all.  A session that sets wait_timeout expects the server to close it; but
 * while it is idle no server knows of it, as a rule, so we do it, and as its server would: MySQL
 * says why, MariaDB resets the connection.
 */
#include "session/inside.h"

#include "base/str.h"

static void on_silence(struct session *s, const char *words)
{
    if (s->mode.is_mariadb)
        session_abandon(s);
    else
        session_dismiss(s, ER_CLIENT_INTERACTION_TIMEOUT, words);
}

static void on_idle_timeout(struct timeouts *ts, struct list *link)
{
    (void)ts;
    struct timeout *to = list_entry(link, struct timeout, link);
    on_silence(container_of(to, struct session, idle),
               "The client was disconnected by the server because of inactivity.");
}

static void on_wait_timeout(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void)loop, (void)revents;
    on_silence(timer->data, "The client was disconnected by the server because of inactivity. See "
                            "wait_timeout and interactive_timeout for configuring this behavior.");
}

void idle_init(struct sessions *ss, double timeout_s)
{
    timeouts_init(&ss->idle_timeouts, ss->worker, timeout_s, on_idle_timeout);
}

static void begin_waiting(struct session *s)
{
    uint64_t seconds;
    struct session_more *more = session_more(s);
    if (!str_to_u64(state_value(s->state, BYTES_LITERAL("wait_timeout")), &seconds))
        return;
    ev_timer_init(&more->wait, on_wait_timeout, (double)seconds, 0.);
    more->wait.data = s;
    ev_timer_start(worker_loop(session_worker(s)), &more->wait);
}

void idle_begins(struct session *s)
{
    timeout_arm(&s->home->idle_timeouts, &s->idle);
    if (s->has_wait_timeout)
        begin_waiting(s);
}

void idle_ends(struct session *s)
{
    timeout_disarm(&s->home->idle_timeouts, &s->idle);
    if (s->more != NULL && ev_is_active(&s->more->wait))
        ev_timer_stop(worker_loop(session_worker(s)), &s->more->wait);
}
