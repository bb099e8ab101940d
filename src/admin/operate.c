/* operate.c - SERVER, PAUSE, RESUME, KILL; see inside.h. */
#include "admin/inside.h"

#include "base/str.h"

/* ---- SERVER ------------------------------------------------------------------------------- */

static bool find_server(const struct visitor *v, const char *name, struct fault *why)
{
    const struct config *c = v->admin->host.config(v->admin->host.arg);
    struct guess g;
    char words[120];
    if (config_server(c, bytes_str(name)) != NULL)
        return true;
    guess_begin(&g, bytes_str(name));
    for (unsigned i = 0; i < c->n_servers; i++)
        guess_try(&g, c->servers[i].name);
    return fault_set(why, BLAME_QUERY, ER_UNKNOWN_ERROR, "There is no server '%.64s'%s", name,
                     guess_words(&g, words, sizeof words));
}

static struct monitor *present_monitor(const struct visitor *v)
{
    return v->admin->host.monitor(v->admin->host.arg);
}

static bool operate(struct words *w, struct visitor *v, const char *name, enum operator_state state,
                    struct answer *out, struct fault *why)
{
    if (!words_end(w, "the end", why) || !visitor_may_change(v, why) || !find_server(v, name, why) ||
        !monitor_operate(present_monitor(v), bytes_str(name), state, why))
        return false;
    visitor_note(v, "SERVER %s: %s", name, operator_state_name(state));
    answer_say(out, "server %s is %s", name, operator_state_name(state));
    return true;
}

static bool set_weight(struct words *w, struct visitor *v, const char *name, struct answer *out,
                       struct fault *why)
{
    const struct admin_host *host = &v->admin->host;
    uint64_t weight;
    if (!number_take(w, "a weight", 1000000, &weight, why) || !words_end(w, "the end", why) ||
        !visitor_may_change(v, why) || !find_server(v, name, why))
        return false;
    /* As SET does it, so that SAVE CONFIG keeps it. */
    char setting[128], value[24];
    snprintf(setting, sizeof setting, "server %s.weight", name);
    snprintf(value, sizeof value, "%llu", (unsigned long long)weight);
    if (!host->set(host->arg, bytes_str(setting), bytes_str(value), why))
        return false;
    visitor_note(v, "SERVER %s WEIGHT %llu", name, (unsigned long long)weight);
    answer_say(out, "server %s has weight %llu", name, (unsigned long long)weight);
    return true;
}

bool server_run(struct words *w, struct visitor *v, struct answer *out, struct fault *why)
{
    char name[80];
    if (!name_take(w, "a server's name", name, sizeof name, why))
        return false;
    if (word_take(w, "drain"))
        return operate(w, v, name, OPERATED_DRAIN, out, why);
    if (word_take(w, "disable"))
        return operate(w, v, name, OPERATED_DISABLED, out, why);
    if (word_take(w, "enable"))
        return operate(w, v, name, OPERATED_NORMAL, out, why);
    if (word_take(w, "weight"))
        return set_weight(w, v, name, out, why);
    return words_expected(w, "DRAIN, DISABLE, ENABLE or WEIGHT", why);
}

/* ---- PAUSE, RESUME ---------------------------------------------------------------------------- */

struct pause {
    const char *group;            /* NULL: all */
    bool paused;
};

static void ask_pause(struct worker *w, void *arg)
{
    const struct pause *p = arg;
    sessions_pause(w, p->group, p->paused);
}

static bool find_group(const struct visitor *v, const char *name, struct fault *why)
{
    const struct config *c = v->admin->host.config(v->admin->host.arg);
    struct guess g;
    char words[120];
    guess_begin(&g, bytes_str(name));
    for (unsigned i = 0; i < c->n_groups; i++) {
        if (strcmp(c->groups[i].name, name) == 0)
            return true;
        guess_try(&g, c->groups[i].name);
    }
    return fault_set(why, BLAME_QUERY, ER_UNKNOWN_ERROR, "There is no group '%.64s'%s", name,
                     guess_words(&g, words, sizeof words));
}

bool pause_run(struct task *t, struct words *w, struct visitor *v, bool paused, struct answer *out,
               struct fault *why)
{
    const struct admin_host *host = &v->admin->host;
    char name[80] = "";
    struct pause pause = { .paused = paused };
    if (!words_at_end(w)) {
        if (!name_take(w, "a group's name or the end", name, sizeof name, why))
            return false;
        pause.group = name;
    }
    if (!words_end(w, "the end", why) || !visitor_may_change(v, why) ||
        (pause.group != NULL && !find_group(v, name, why)))
        return false;
    for (unsigned i = 0; i < host->n_workers; i++)
        if (!worker_ask(t, host->workers[i], ask_pause, &pause))
            return fault_set(why, BLAME_OURS, ER_SERVER_SHUTDOWN, "Server shutdown in progress");
    const char *word = paused ? "PAUSE" : "RESUME", *whom = pause.group != NULL ? name : "all groups";
    visitor_note(v, "%s %s", word, whom);
    answer_say(out, paused ? "%s: new commands wait, at most queue_timeout" : "%s: commands run again", whom);
    return true;
}

/* ---- KILL ------------------------------------------------------------------------------------------ */

struct kill {
    uint32_t id;
    bool query_only, found;
};

static void ask_kill(struct worker *w, void *arg)
{
    struct kill *k = arg;
    k->found = session_kill(w, k->id, k->query_only);
}

/* A visitor of this port; anybody may end what runs under the same name. */
static bool kill_visitor(struct visitor *v, const struct kill *k, bool *found, struct fault *why)
{
    *found = false;
    list_for_each(link, &v->admin->visitors)
    {
        struct visitor *other = list_entry(link, struct visitor, link);
        if (other->facts.id != k->id)
            continue;
        if (strcmp(other->facts.user, v->facts.user) != 0 && !visitor_may_change(v, why))
            return false;
        *found = true;
        atomic_store(&other->is_interrupted, true);
        if (!k->query_only)
            task_cancel(other->task);
        return true;
    }
    return true;
}

bool kill_run(struct task *t, struct words *w, struct visitor *v, struct answer *out, struct fault *why)
{
    const struct admin_host *host = &v->admin->host;
    struct kill k = { .query_only = word_take(w, "query") };
    uint64_t id;
    bool found;
    if (!k.query_only)
        word_take(w, "connection");
    if (!number_take(w, "a client's id", UINT32_MAX, &id, why) || !words_end(w, "the end", why))
        return false;
    k.id = (uint32_t)id;
    if (!kill_visitor(v, &k, &found, why) || (!found && !visitor_may_change(v, why)))
        return false;
    for (unsigned i = 0; i < host->n_workers && !found; i++)
        found = worker_ask(t, host->workers[i], ask_kill, &k) && k.found;
    if (!found)
        return fault_set(why, BLAME_QUERY, 1094, k.query_only ? "Client %u is not there or runs nothing"
                                                              : "Unknown thread id: %u", k.id);
    visitor_note(v, "KILL %s%u", k.query_only ? "QUERY " : "", k.id);
    answer_say(out, "%s", "");
    return true;
}
