/* reload.c - sessions change over to a new configuration; see inside.h and session.h. */
#include "session/inside.h"

/* The same account in the new configuration.  Another password is for the next login, as on a
 * server. */
static const struct user_config *same_user(const struct config *now, const struct session *s)
{
    const struct user_config *u = config_user(now, bytes_str(s->account->name));
    return u == NULL && s->user->asks_servers ? config_any_user(now) : u;
}

/* As the file has it now, unless only a login tells what is needed. */
static void follow_account(struct session *s, const struct user_config *u)
{
    if (u->account == NULL || u->account == s->account || !account_is_usable(u->account) ||
        (s->pins & PIN_ACCOUNT) != 0)
        return;
    account_drop(s->account);
    s->account = account_take(u->account);
}

const struct listener_config *session_listener(const struct session *s)
{
    return config_listener(s->config, bytes_str(s->door->listener));
}

bool session_follow_group(struct session *s, const struct config *now)
{
    if (s->listener_group < 0)
        return true;
    const char *name = s->config->groups[s->listener_group].name;
    for (unsigned i = 0; i < now->n_groups; i++)
        if (strcmp(now->groups[i].name, name) == 0) {
            s->listener_group = (int)i;
            return true;
        }
    return false;
}

bool session_follow_config(struct session *s)
{
    struct config *now = worker_config(session_worker(s));
    if (s->config == now)
        return true;
    const struct user_config *u = same_user(now, s);
    if (u == NULL || !session_follow_group(s, now))
        return false;
    config_drop(s->config);
    s->config = config_take(now);
    s->user = u;
    follow_account(s, u);
    return true;
}

void sessions_configured(struct worker *w, const struct config *now)
{
    struct sessions *ss = worker_sessions(w);
    timeouts_set(&ss->idle_timeouts, now->settings.idle_timeout_s);
    account_store_limits(&ss->shared->learnt, now->settings.accounts_remembered,
                         now->settings.accounts_lifetime_s);
    list_for_each_safe(link, &ss->idle) {
        struct session *s = list_entry(link, struct session, link);
        if (!session_follow_config(s))
            session_dismiss(s, ER_CONNECTION_KILLED, "volvox: the account or the group was removed");
    }
    list_for_each(link, &ss->busy) {
        struct session *s = list_entry(link, struct session, link);
        if (s->user != NULL && same_user(now, s) == NULL && s->task != NULL)
            task_cancel(s->task);
    }
}
