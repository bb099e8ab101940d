/* service.c - the admin port: listener, visitors, and the worker that runs SQLite; see admin.h. */
#include "admin/inside.h"

#include <sqlite3.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"

enum { SQL_WORKER = -2, SQL_MEMORY_BYTES = 256 << 20, LINGER_S = 1, REFUSALS_AT_ONCE = 32 };

/* ---- a visit ------------------------------------------------------------------------------ */

static void do_close(struct worker *w, void *arg)
{
    (void)w;
    database_close(arg);
}

static void end_visit(struct task *t, struct visitor *v)
{
    struct admin *a = v->admin;
    if (v->sql != NULL && !worker_ask(t, a->sql, do_close, v->sql))
        database_close(v->sql);
    statements_close(v);
    list_leave(&v->link);
    a->n_visitors--;
    stream_close(&v->stream);
    mem_free(v);
}

/* Why it may not come in; nothing if it has gone or was too slow. */
static void turn_away(struct task *t, struct visitor *v, const struct fault *why)
{
    struct fault broken = FAULT_NONE;
    if (why->code == 0)
        return;
    visitor_err(v, why);
    (void)visitor_flush(t, v, worker_now(task_worker(t)) + LINGER_S, &broken);
}

static void visit(struct task *t, void *arg)
{
    struct visitor *v = arg;
    struct fault why = FAULT_NONE;
    v->task = t;
    if (visitor_login(t, v, &why)) {
        while (visitor_serve(t, v))
            ;
    } else {
        turn_away(t, v, &why);
    }
    task_forgive(t);
    stream_linger(t, &v->stream, LINGER_S);
    end_visit(t, v);
}

static void name_peer(struct visitor *v)
{
    struct address a = { .len = sizeof a.un };
    if (getpeername(stream_fd(&v->stream), &a.any, &a.len) == 0)
        address_print(&a, false, v->facts.host);
    else
        str_copy(v->facts.host, sizeof v->facts.host, BYTES_LITERAL("?"));
}

static void receive(struct admin *a, int fd)
{
    const struct config *c = a->host.config(a->host.arg);
    struct visitor *v = mem_zalloc(sizeof *v);
    v->admin = a;
    list_init(&v->statements);
    v->facts.id = ++a->last_id;
    stream_open(&v->stream, a->host.control, fd, BLAME_CLIENT);
    socket_keepalive(fd, &c->settings.client_keepalive);
    name_peer(v);
    list_push_back(&a->visitors, &v->link);
    a->n_visitors++;
    if (task_start(a->host.control, "admin login", visit, v))
        return;
    session_refuse(fd, ER_OUT_OF_RESOURCES, "Out of memory");
    list_leave(&v->link);
    a->n_visitors--;
    stream_close(&v->stream);
    mem_free(v);
}

/* ---- the door -------------------------------------------------------------------------------- */

struct refusal {
    struct admin *admin;
    struct stream stream;
};

static void linger(struct task *t, void *arg)
{
    struct refusal *r = arg;
    stream_linger(t, &r->stream, LINGER_S);
    stream_close(&r->stream);
    r->admin->n_refusals--;
    mem_free(r);
}

/* It reads why and closes first; but those who come too fast are only told. */
static void refuse(struct admin *a, int fd)
{
    session_refuse(fd, ER_CON_COUNT_ERROR, "Too many connections");
    if (a->n_refusals >= REFUSALS_AT_ONCE) {
        close(fd);
        return;
    }
    struct refusal *r = mem_zalloc(sizeof *r);
    r->admin = a;
    stream_open(&r->stream, a->host.control, fd, BLAME_CLIENT);
    a->n_refusals++;
    if (task_start(a->host.control, "admin refuse", linger, r))
        return;
    a->n_refusals--;
    stream_close(&r->stream);
    mem_free(r);
}

static void on_accepted(struct listener *l, int fd, const struct address *from)
{
    struct admin *a = l->owner;
    (void)from;
    if (a->is_closing || a->n_visitors >= a->host.config(a->host.arg)->admin.max_connections)
        refuse(a, fd);
    else
        receive(a, fd);
}

static void on_refused(struct listener *l, int fd)
{
    (void)l;
    session_refuse(fd, ER_CON_COUNT_ERROR, "Too many connections");
}

static void close_door(struct admin *a)
{
    if (a->address == NULL)
        return;
    log_info("admin port closed", "address=%s", a->address);
    listener_close(&a->listener);
    mem_free(a->address);
    a->address = NULL;
}

bool admin_configure(struct admin *a, const struct config *c, struct fault *why)
{
    const struct admin_config *ac = &c->admin;
    bool wanted = ac->resolved.len > 0 && c->n_admin_users > 0; /* else nobody could log in */
    char at[ADDRESS_TEXT_BYTES];
    if (wanted && a->address != NULL && strcmp(a->address, ac->address) == 0)
        return true;
    close_door(a);
    if (!wanted)
        return true;
    a->listener = (struct listener){ .accepted = on_accepted, .refused = on_refused, .owner = a };
    if (!listener_open(&a->listener, a->host.control, &ac->resolved, 64, why))
        return false;
    a->address = mem_strdup(ac->address);
    address_print(&a->listener.address, true, at);
    log_info("admin port open", "address=%s", at);
    return true;
}

/* ---- its life ------------------------------------------------------------------------------------ */

struct admin *admin_new(const struct admin_host *host)
{
    struct admin *a = mem_zalloc(sizeof *a);
    a->host = *host;
    list_init(&a->visitors);
    sqlite3_hard_heap_limit64(SQL_MEMORY_BYTES);
    a->sql = worker_new(SQL_WORKER);
    worker_start(a->sql);
    return a;
}

void admin_close(struct admin *a)
{
    a->is_closing = true;
    close_door(a);
    list_for_each_safe(link, &a->visitors)
    {
        struct visitor *v = list_entry(link, struct visitor, link);
        atomic_store(&v->is_interrupted, true);
        task_cancel(v->task);
    }
}

void admin_free(struct admin *a)
{
    if (a == NULL)
        return;
    must(list_empty(&a->visitors) && a->address == NULL);
    worker_stop(a->sql);
    worker_join(a->sql);
    worker_free(a->sql);
    mem_free(a);
}
