/* doors.c - listeners; runs on the control thread; see main.h. */
#include "main/main.h"

#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"

/* A client that was refused reads why and closes; until then it is a task here, so that TIME_WAIT
 * is its own. */
struct refusal {
    struct stream stream;
};

enum { REFUSAL_TASKS = 1000, REFUSAL_LINGER_S = 1 };

static void linger(struct task *t, void *arg)
{
    struct refusal *r = arg;
    stream_linger(t, &r->stream, REFUSAL_LINGER_S);
    stream_close(&r->stream);
    mem_free(r);
}

/* Not with the descriptors that those who are served need for servers. */
static bool may_linger(const struct boot *b, unsigned n_lingering)
{
    unsigned open = atomic_load_explicit(&b->shared.open, memory_order_relaxed);
    return n_lingering < REFUSAL_TASKS && open + n_lingering < b->max_clients;
}

static void refuse(struct door *d, int fd)
{
    struct worker *control = d->boot->control;
    struct task_figures tasks;
    session_refuse(fd, ER_CON_COUNT_ERROR, "Too many connections");
    count(control, clients_refused);
    worker_task_figures(control, &tasks);
    struct refusal *r = mem_zalloc(sizeof *r);
    stream_open(&r->stream, control, fd, BLAME_CLIENT);
    if (may_linger(d->boot, tasks.running) && task_start(control, "refuse", linger, r))
        return;
    stream_close(&r->stream);
    mem_free(r);
}

/* Out of descriptors: this one is on loan from the reserve. */
static void on_refused(struct listener *l, int fd)
{
    struct door *d = l->owner;
    session_refuse(fd, ER_CON_COUNT_ERROR, "Too many connections");
    count(d->boot->control, clients_refused);
}

static struct worker *least_busy(const struct boot *b)
{
    struct worker *best = b->workers[0];
    for (unsigned i = 1; i < b->n_workers; i++)
        if (sessions_count(b->workers[i]) < sessions_count(best))
            best = b->workers[i];
    return best;
}

static bool has_room(const struct door *d)
{
    const struct boot *b = d->boot;
    unsigned limit = MIN(b->config->settings.max_connections, b->max_clients);
    return !b->stopping && atomic_load_explicit(&b->shared.open, memory_order_relaxed) < limit &&
           (d->max_connections == 0 ||
            atomic_load_explicit(&d->shared.open, memory_order_relaxed) < d->max_connections);
}

static void on_accepted(struct listener *l, int fd, const struct address *from)
{
    struct door *d = l->owner;
    (void)from;
    if (!has_room(d)) {
        refuse(d, fd);
        return;
    }
    struct client_mail *m = mem_zalloc(sizeof *m);
    m->mail.kind = MAIL_CLIENT;
    m->fd = fd;
    m->group = d->group;
    m->door = &d->shared;
    atomic_fetch_add_explicit(&d->shared.open, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&d->boot->shared.open, 1, memory_order_relaxed);
    if (worker_post(least_busy(d->boot), &m->mail))
        return;
    atomic_fetch_sub_explicit(&d->shared.open, 1, memory_order_relaxed);
    atomic_fetch_sub_explicit(&d->boot->shared.open, 1, memory_order_relaxed);
    close(fd);
    mem_free(m);
}

static struct door *find_door(struct boot *b, const char *name)
{
    for (struct door *d = b->doors; d != NULL; d = d->next)
        if (d->is_open && strcmp(d->name, name) == 0)
            return d;
    return NULL;
}

static void close_door(struct door *d)
{
    if (!d->is_open)
        return;
    log_info("listener closed", "listener=%s address=%s", d->name, d->address);
    listener_close(&d->listener);
    d->is_open = false;
}

static bool open_door(struct boot *b, const struct config *c, const struct listener_config *lc,
                      struct fault *why)
{
    struct door *d = mem_zalloc(sizeof *d);
    d->boot = b;
    d->name = mem_strdup(lc->name);
    d->shared.listener = d->name;
    d->address = mem_strdup(lc->address);
    d->listener.accepted = on_accepted;
    d->listener.refused = on_refused;
    d->listener.owner = d;
    d->next = b->doors;
    b->doors = d;
    d->is_open = listener_open(&d->listener, b->control, &lc->resolved, (int)c->settings.backlog, why);
    if (!d->is_open)
        return false;
    char at[ADDRESS_TEXT_BYTES];
    address_print(&d->listener.address, true, at);
    log_info("listening", "listener=%s address=%s", d->name, at);
    return true;
}

bool doors_configure(struct boot *b, const struct config *c, struct fault *why)
{
    bool ok = true;
    for (struct door *d = b->doors; d != NULL; d = d->next) {
        bool stays = false;
        for (unsigned i = 0; i < c->n_listeners; i++)
            stays |= strcmp(c->listeners[i].name, d->name) == 0 &&
                     strcmp(c->listeners[i].address, d->address) == 0;
        if (!stays)
            close_door(d);
    }
    for (unsigned i = 0; i < c->n_listeners; i++) {
        const struct listener_config *lc = &c->listeners[i];
        if (find_door(b, lc->name) == NULL && !open_door(b, c, lc, why))
            ok = false;
        struct door *d = find_door(b, lc->name);
        if (d != NULL) {
            listener_keepalive(&d->listener, &c->settings.client_keepalive);
            d->group = lc->group;
            d->max_connections = lc->max_connections;
        }
    }
    return ok;
}

void doors_close(struct boot *b)
{
    for (struct door *d = b->doors; d != NULL; d = d->next)
        close_door(d);
}

void doors_free(struct boot *b)
{
    for (struct door *d = b->doors, *next; d != NULL; d = next) {
        next = d->next;
        must(!d->is_open && atomic_load(&d->shared.open) == 0);
        mem_free(d->name);
        mem_free(d->address);
        mem_free(d);
    }
    b->doors = NULL;
}
