/* reset.c - make a backend fit for the next session; see pool.h. */
#include "pool/inside.h"

#include "base/log.h"

bool backend_reset(struct task *t, struct backend *be, double deadline, struct fault *why)
{
    count(task_worker(t), backends_reset);
    backend_statements_forget(be);
    if (!backend_ask(t, be, COM_RESET_CONNECTION, BYTES_NONE, deadline, why))
        return false;
    be->schema_is_old = true;     /* the name stays, collation_database does not */
    be->has_diagnostics = false;
    be->insert_id = 0;
    be->insert_id_in_doubt = false;
    be->had_user_vars = false;
    return backend_track(t, be, deadline, why);
}

/* A reset that rolls back a huge transaction takes its time; it may, up to a limit, because the
 * server would need that time in any case. */
enum { RESET_TIMEOUT_S = 60 };

static void reset_put(struct task *t, void *arg)
{
    struct backend *be = arg;
    struct worker *w = task_worker(t);
    struct fault why = FAULT_NONE;
    if (!backend_reset(t, be, worker_now(w) + RESET_TIMEOUT_S, &why)) {
        log_info("reset failed", "server=%s thread=%u why=%s", be->server->name, be->thread_id,
                 log_quote(bytes_str(why.text)));
        backend_close(be, "reset failed");
        return;
    }
    if (!lend_backend(be))
        pool_keep(be);
}

/* With the wait_timeout that a session had set for itself the server might close it before it is needed. */
static bool tires_early(const struct backend *be, const struct settings *limits)
{
    unsigned wait_s = be->state != NULL ? be->state->wait_s : 0;
    return wait_s != 0 && (limits->pool_idle_timeout_s == 0 || wait_s <= limits->pool_idle_timeout_s);
}

static void refresh_put(struct task *t, void *arg)
{
    struct backend *be = arg;
    struct fault why = FAULT_NONE;
    struct buf sql = { 0 };
    double deadline = worker_now(task_worker(t)) + RESET_TIMEOUT_S;
    const struct state_var none = { .name = BYTES_LITERAL("wait_timeout") };
    struct state *now = state_changed(be->state, NULL, &none, 1);
    state_write_set(be->state, now, be->caps, NULL, &sql);
    bool done = backend_ask(t, be, COM_QUERY, buf_bytes(&sql), deadline, &why);
    buf_release(&sql);
    state_drop(be->state);
    be->state = now;
    if (!done)
        backend_close(be, "not to be refreshed");
    else if (!lend_backend(be))
        pool_keep(be);
}

static void drop_put(struct backend *be)
{
    struct worker *w = be->pool->pools->worker;
    struct server *server = server_take(be->server);
    backend_discard(be);
    lend_slot(server, w);
    server_drop(server);
}

/* Something that nobody asked for, and that the loop may not tell of. */
static bool has_unread(struct backend *be)
{
    struct stream *st = &be->stream;
    return buf_len(&st->in) > 0 || (st->in_filled && stream_peer(st) != PEER_QUIET);
}

void pool_put(struct backend *be, enum put how)
{
    struct worker *w = be->pool->pools->worker;
    const struct settings *limits = &worker_config(w)->settings;
    must(be->place == BACKEND_LEASED);
    if (pipeline_put(be, how))
        return;
    backend_move(be, BACKEND_OPENING);
    watch_idle(w, &be->stream.watch, NULL);
    if (how == PUT_KILL && !be->stream.broken && !be->stream.peer_closed &&
        !be->pool->pools->draining) {
        backend_kill(be);
        return;
    }
    if (how == PUT_DROP) {
        drop_put(be);
        return;
    }
    if (how == PUT_CLOSE || how == PUT_KILL || be->interrupted || be->state_in_doubt ||
        be->stream.broken || be->stream.peer_closed || be->n_owed > 0 || be->n_stale > 0 || has_unread(be) ||
        !backend_is_fresh(be, limits)) {
        backend_close(be, how == PUT_CLOSE || how == PUT_KILL ? "conversation is over" : "not fresh");
        return;
    }
    if (how == PUT_RESET) {
        if (!task_start(w, "reset", reset_put, be))
            backend_close(be, "no stack for a reset");
        return;
    }
    if (lend_backend(be))
        return;
    if (!tires_early(be, limits))
        pool_keep(be);
    else if (!task_start(w, "refresh", refresh_put, be))
        backend_close(be, "no stack to refresh it");
}
