/* pause.c - new commands of a paused group wait; see session.h. */
#include "session/inside.h"

#include "base/mem.h"

/* One paused group, or all (name NULL). */
struct gate {
    struct list link;             /* sessions->gates */
    char *group;
    struct list waiting;          /* of struct waiter */
};

struct waiter {
    struct list link;
    struct task *task;
};

static bool same_group(const struct gate *g, const char *group)
{
    return g->group == NULL ? group == NULL : group != NULL && strcmp(g->group, group) == 0;
}

static struct gate *gate_before(const struct session *s)
{
    const struct config *c = s->config;
    unsigned index = session_group_index(s, s->user);
    const char *group = index < c->n_groups ? c->groups[index].name : NULL;
    list_for_each(link, &s->home->gates) {
        struct gate *g = list_entry(link, struct gate, link);
        if (g->group == NULL || same_group(g, group))
            return g;
    }
    return NULL;
}

static void open_gate(struct gate *g)
{
    list_leave(&g->link);
    while (!list_empty(&g->waiting)) {
        struct waiter *w = list_entry(list_first(&g->waiting), struct waiter, link);
        list_leave(&w->link);
        task_wake(w->task);
    }
    mem_free(g->group);
    mem_free(g);
}

void sessions_pause(struct worker *w, const char *group, bool paused)
{
    struct sessions *ss = worker_sessions(w);
    list_for_each_safe(link, &ss->gates) {
        struct gate *g = list_entry(link, struct gate, link);
        if (paused ? same_group(g, group) : group == NULL || same_group(g, group)) {
            if (paused)
                return;           /* it is already */
            open_gate(g);
        }
    }
    if (!paused)
        return;
    struct gate *g = mem_zalloc(sizeof *g);
    g->group = group != NULL ? mem_strdup(group) : NULL;
    list_init(&g->waiting);
    list_push_back(&ss->gates, &g->link);
}

void gates_release(struct sessions *ss)
{
    while (!list_empty(&ss->gates))
        open_gate(list_entry(list_first(&ss->gates), struct gate, link));
}

bool wait_while_paused(struct task *t, struct session *s, struct fault *why)
{
    if (list_empty(&s->home->gates) || (s->pins & ~PIN_PASSING) != 0)
        return true;
    double deadline = worker_now(task_worker(t)) + s->config->settings.queue_timeout_ms / 1000.0;
    for (struct gate *g; (g = gate_before(s)) != NULL;) {
        struct waiter me = { .task = t };
        list_push_back(&g->waiting, &me.link);
        s->is_paused = true;
        enum woke woke = task_park(t, deadline);
        s->is_paused = false;
        list_leave(&me.link);
        if (woke == WOKE_DEADLINE)
            return fault_set_state(why, BLAME_TIME, ER_CON_COUNT_ERROR, "08004",
                                   "volvox: the group is paused and was not resumed in time");
        if (woke == WOKE_CANCELLED)
            return fault_set(why, BLAME_TIME, ER_QUERY_INTERRUPTED, "Query execution was interrupted");
    }
    return true;
}
