/* login_throttle.c - somebody at the door: has its address failed too often?  See session.h. */
#include "session/inside.h"

#include "base/log.h"

void comer_init(struct comer *c, struct sessions_shared *shared, const struct settings *settings,
                const struct address *from, struct bytes user)
{
    *c = (struct comer){ .throttle = shared->throttle, .from = *from, .user = user };
    c->limits = (struct throttle_limits){ .failures = settings->login_failures,
                                          .window_s = settings->login_failures_window_s,
                                          .delay_ms = settings->login_delay_ms };
    if (from->len > 0)
        address_print(from, false, c->host);
    else
        snprintf(c->host, sizeof c->host, "?");
}

static void hold_back(struct talk *k, bool held)
{
    if (k->s == NULL)
        return;
    if (held)
        count(session_worker(k->s), logins_delayed);
    k->s->is_held_back = held;
}

static bool wait_for_turn(struct talk *k, const struct comer *c, struct fault *why)
{
    double delay = c->limits.delay_ms / 1000.0;
    hold_back(k, true);
    enum woke woke = task_park(k->t, worker_now(task_worker(k->t)) + delay);
    hold_back(k, false);
    throttle_waited(c->throttle, &c->from);
    k->deadline += delay;
    return woke != WOKE_CANCELLED ||
           fault_set(why, BLAME_TIME, ER_SERVER_SHUTDOWN, "Server shutdown in progress");
}

bool comer_wait(struct talk *k, const struct comer *c, struct fault *why)
{
    switch (throttle_ask(c->throttle, &c->limits, &c->from, c->user,
                         worker_now_us(task_worker(k->t)))) {
    case THROTTLE_PASS:
        return true;
    case THROTTLE_WAIT:
        return wait_for_turn(k, c, why);
    case THROTTLE_REFUSE:
        break;
    }
    if (k->s != NULL)
        count(session_worker(k->s), logins_refused);
    return fault_set(why, BLAME_POLICY, ER_HOST_IS_BLOCKED,
                     "volvox: too many failed logins from '%s'; try again later", c->host);
}

void comer_failed(struct talk *k, const struct comer *c)
{
    if (!throttle_failed(c->throttle, &c->limits, &c->from, c->user,
                         worker_now_us(task_worker(k->t))))
        return;
    log_warn("logins are slowed", "host=%s failures=%u", c->host, c->limits.failures);
    event_note("login", NULL, "%s: %u failed logins; further ones are slowed", c->host,
               c->limits.failures);
}

void comer_succeeded(struct talk *k, const struct comer *c)
{
    throttle_succeeded(c->throttle, &c->from, c->user, worker_now_us(task_worker(k->t)));
}
