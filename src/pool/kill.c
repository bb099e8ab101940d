/*
 * kill.c - end on the server what a connection runs; see pool.h.
 *
 * A server notices a closed socket only when it wants to write to it, and an interruption has
 * to come over another connection of the same account.  Either way the thread id named there must
 * still run the same command, so a backend that is being interrupted is not given to anybody
 * else: it is closed when its session lets go of it.
 */
#include "pool/inside.h"

#include "base/log.h"
#include "base/mem.h"

struct killing {
    struct pool *pool;   /* n_taking keeps it                                    */
    struct state *state; /* counted; of the connection that does it               */
    uint16_t collation;
    uint32_t thread_id;
};

static struct killing *killing_new(struct backend *be)
{
    struct killing *k = mem_zalloc(sizeof *k);
    *k = (struct killing){ be->pool, state_take(be->state), be->collation, be->thread_id };
    k->pool->n_taking++;
    return k;
}

static void killing_free(struct killing *k)
{
    k->pool->n_taking--;
    state_drop(k->state);
    mem_free(k);
}

/* "Unknown thread id" is as good as done: it had ended by itself. */
static bool kill_over(struct task *t, struct backend *be, const char *verb, const struct killing *k)
{
    char sql[40];
    struct fault why = FAULT_NONE;
    int n = snprintf(sql, sizeof sql, "%s %u", verb, k->thread_id);
    double deadline = worker_now(task_worker(t)) + 10;
    bool ok = backend_ask(t, be, COM_QUERY, bytes_of(sql, (size_t)n), deadline, &why);
    log_info("command ended on the server", "server=%s thread=%u by=%s outcome=%s",
             be->server->name, k->thread_id, log_quote(bytes_str(verb)),
             log_quote(bytes_str(ok ? "done" : why.text)));
    return ok || why.blame == BLAME_QUERY;
}

/* In the place of the connection that was closed. */
static void kill_there(struct task *t, void *arg)
{
    struct killing *k = arg;
    struct fault why = FAULT_NONE;
    const struct lease_terms terms = { .collation = k->collation };
    struct backend *be = backend_open(t, k->pool, &terms, NULL, 0, &why);
    if (be == NULL)
        lend_slot(k->pool->server, task_worker(t));
    else if (!kill_over(t, be, "KILL", k))
        backend_close(be, "kill failed");
    else if (!lend_backend(be))
        pool_keep(be);
    killing_free(k);
}

void backend_kill(struct backend *be)
{
    struct worker *w = be->pool->pools->worker;
    struct killing *k = killing_new(be);
    backend_discard(be);
    if (task_start(w, "kill", kill_there, k))
        return;
    lend_slot(k->pool->server, w);
    killing_free(k);
}

static void interrupt_there(struct task *t, void *arg)
{
    struct killing *k = arg;
    struct fault why = FAULT_NONE;
    struct lease_terms terms = { .server = k->pool->server,
                                 .state = k->state,
                                 .collation = k->collation };
    bool is_extra;
    /* What is to be interrupted may be the reason why none is free. */
    struct backend *be = pool_take_at_once(t, k->pool, &terms, &is_extra, &why);
    bool ok = be != NULL && kill_over(t, be, "KILL QUERY", k);
    if (be == NULL)
        log_warn("command could not be interrupted", "server=%s thread=%u why=%s",
                 k->pool->server->name, k->thread_id, log_quote(bytes_str(why.text)));
    else if (is_extra)
        backend_close_extra(be);
    else
        pool_put(be, ok ? PUT_CLEAN : PUT_CLOSE);
    killing_free(k);
}

void backend_interrupt(struct backend *be)
{
    must(be->place == BACKEND_LEASED);
    if (be->state == NULL)
        return;
    pipeline_break_up(be, "the statement before them is interrupted");
    struct killing *k = killing_new(be);
    if (task_start(be->pool->pools->worker, "interrupt", interrupt_there, k))
        be->interrupted = true; /* perhaps not for the first time: it may run another command now */
    else
        killing_free(k);
}
