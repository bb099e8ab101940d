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
    struct list link;    /* pool->killings */
    struct pool *pool;   /* n_taking keeps it                                    */
    struct state *state; /* counted; of the connection that is meant              */
    uint16_t collation;
    uint32_t thread_id;
    bool is_query;  /* not the connection, too                               */
    bool has_place; /* at the server: that of the connection, which is closed */
};

/* Who does it, one command after the other: a crowd that leaves must not need a crowd of
 * connections. */
struct killer {
    struct backend *backend; /* leased, or NULL */
    bool is_extra;
};

static struct killing *killing_new(struct backend *be)
{
    struct killing *k = mem_zalloc(sizeof *k);
    k->pool = be->pool;
    k->state = state_take(be->state);
    k->collation = be->collation;
    k->thread_id = be->thread_id;
    k->pool->n_taking++;
    return k;
}

static void killing_free(struct killing *k)
{
    struct pool *p = k->pool;
    list_leave(&k->link);
    if (k->has_place)
        lend_slot(p->server, p->pools->worker);
    p->n_taking--;
    state_drop(k->state);
    mem_free(k);
}

/* "Unknown thread id" is as good as done: it had ended by itself. */
static bool kill_over(struct task *t, struct backend *be, const struct killing *k)
{
    char sql[40];
    struct fault why = FAULT_NONE;
    const char *verb = k->is_query ? "KILL QUERY" : "KILL";
    int n = snprintf(sql, sizeof sql, "%s %u", verb, k->thread_id);
    double deadline = worker_now(task_worker(t)) + 10;
    bool ok = backend_ask(t, be, COM_QUERY, bytes_of(sql, (size_t)n), deadline, &why);
    log_info("command ended on the server", "server=%s thread=%u by=%s outcome=%s",
             be->server->name, k->thread_id, log_quote(bytes_str(verb)),
             log_quote(bytes_str(ok ? "done" : why.text)));
    return ok || why.blame == BLAME_QUERY;
}

static void killer_leave(struct killer *x, enum put how)
{
    struct backend *be = x->backend;
    x->backend = NULL;
    if (be != NULL && x->is_extra)
        backend_close_extra(be);
    else if (be != NULL)
        pool_put(be, how);
}

/* What is to be ended may be the reason why no connection is free. */
static bool killer_come(struct task *t, struct killer *x, struct killing *k)
{
    struct fault why = FAULT_NONE;
    const struct lease_terms terms = { .server = k->pool->server,
                                       .state = k->state,
                                       .collation = k->collation };
    if (x->backend == NULL)
        x->backend = pool_take_at_once(t, k->pool, &terms, &k->has_place, &x->is_extra, &why);
    if (x->backend == NULL)
        log_warn("command could not be ended", "server=%s thread=%u why=%s", k->pool->server->name,
                 k->thread_id, log_quote(bytes_str(why.text)));
    return x->backend != NULL;
}

static struct killing *first_killing(const struct pool *p)
{
    struct list *first = list_first(&p->killings);
    return first != NULL ? list_entry(first, struct killing, link) : NULL;
}

/* Whom nobody can reach: the others either. */
static void give_up_all(struct pool *p)
{
    for (struct killing *k; (k = first_killing(p)) != NULL;)
        killing_free(k);
}

static void kill_all(struct task *t, void *arg)
{
    struct pool *p = arg;
    struct killer x = { .backend = NULL };
    for (struct killing *k; (k = first_killing(p)) != NULL;) {
        list_leave(&k->link);
        if (!killer_come(t, &x, k))
            give_up_all(p);
        else if (!kill_over(t, x.backend, k))
            killer_leave(&x, PUT_CLOSE);
        killing_free(k);
    }
    p->is_killing = false;
    killer_leave(&x, PUT_CLEAN);
}

/* False: nobody will do it. */
static bool killing_begin(struct killing *k)
{
    struct pool *p = k->pool;
    list_push_back(&p->killings, &k->link);
    if (p->is_killing)
        return true;
    p->is_killing = true;
    if (task_start(p->pools->worker, "kill", kill_all, p))
        return true;
    p->is_killing = false;
    killing_free(k);
    return false;
}

void backend_kill(struct backend *be)
{
    struct killing *k = killing_new(be);
    k->has_place = true;
    backend_discard(be);
    killing_begin(k);
}

void backend_interrupt(struct backend *be)
{
    must(be->place == BACKEND_LEASED);
    if (be->state == NULL)
        return;
    pipeline_break_up(be, "the statement before them is interrupted");
    struct killing *k = killing_new(be);
    k->is_query = true;
    be->interrupted |= killing_begin(k); /* perhaps again: it may run another command now */
}
