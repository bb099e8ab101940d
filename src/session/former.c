/*
 * former.c - who a session was before COM_CHANGE_USER, in case that is refused; see inside.h.
 *
 * MariaDB resets the session first, asks for the password then, and if that is wrong, or the schema
 * is, goes on as who it was, in the schema that it had.  MySQL closes the connection.
 */
#include "session/inside.h"

#include <limits.h>

bool former_leave(struct session *s, struct former *f, struct config *now, struct fault *why)
{
    *f = (struct former){ .account = s->account,
                          .user = s->user,
                          .config = s->config,
                          .listener_group = s->listener_group,
                          .lease = s->lease,
                          .had_quota = s->has_quota };
    if (!session_follow_group(s, now))
        return fault_set(why, BLAME_POLICY, ER_UNKNOWN_ERROR,
                         "volvox: the session's group is gone");
    f->is_lost = (s->pins & PIN_ACCOUNT) != 0 && s->lease == NULL;
    f->state = state_take(s->state);
    if (s->has_quota)
        quota_drop(s->home->shared, bytes_str(s->account->name));
    s->has_quota = false;
    s->user = NULL;
    s->account = NULL;
    s->config = config_take(now);
    session_pin(s, 0);
    s->lease = NULL;
    return true;
}

void former_forget(struct former *f)
{
    account_drop(f->account);
    config_drop(f->config);
    state_drop(f->state);
    if (f->lease != NULL)
        pool_put(f->lease, PUT_CLEAN);
}

/* Of the one that was refused. */
static void leave_newcomer(struct session *s)
{
    if (s->lease != NULL)
        let_go(s, PUT_CLOSE);
    session_pin(s, 0);
    if (s->has_quota)
        quota_drop(s->home->shared, bytes_str(s->account->name));
    account_drop(s->account);
    config_drop(s->config);
}

void former_return(struct session *s, struct former *f)
{
    leave_newcomer(s);
    s->account = f->account;
    s->user = f->user;
    s->config = f->config;
    s->listener_group = f->listener_group;
    /* (it has not been away, so its place cannot have been lost) */
    s->has_quota =
        f->had_quota && quota_take(s->home->shared, bytes_str(s->account->name), UINT_MAX);
    if (f->lease == NULL)
        return;
    lease_hold(s, f->lease);
    session_pin(s, PIN_ACCOUNT);
}
