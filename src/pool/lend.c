/*
 * lend.c - wants, asks and gives: who needs a backend when the server's limit is reached.
 *
 * One queue per server across workers, oldest first, but for a few behind that need nothing
 * restored.  A worker that served its own wants first would starve those that have to borrow as
 * long as it is busy, so whoever has a backend to spare (put, reset, connect, ask) gives it to the queue.  A want is
 * answered once, under the mutex; after that it is safe to touch until its task has taken
 * what it got, because the task waits for exactly that.
 */
#include "pool/inside.h"

#include "base/log.h"
#include "base/mem.h"

struct ask_mail {
    struct mail mail;
    struct server *server;        /* counted */
};

struct give_mail {
    struct mail mail;
    struct want *want;
    struct backend *backend;      /* NULL: the right to open one */
};

/* Who is passed over waits a little longer; so many look past the oldest, so often. */
enum { LOOK_PAST = 16, PASSED_MOST = 16 };

static struct want *first_want(const struct server *server)
{
    struct list *first = list_first(&server->wants);
    return first != NULL ? list_entry(first, struct want, link) : NULL;
}

static struct want *first_of_pool(const struct pool *p)
{
    struct list *first = list_first(&p->wants);
    return first != NULL ? list_entry(first, struct want, in_pool) : NULL;
}

/* Could it be used, if something is restored? */
static bool serves(const struct backend *be, const struct want *w)
{
    return !w->opens && pool_is_same(w->pool, be->pool) &&
           state_distance(be->state, w->state) != SIZE_MAX;
}

/* Under the mutex.  In the backend's state, and soon behind the oldest. */
static struct want *alike(const struct server *server, const struct backend *be)
{
    unsigned seen = 0;
    list_for_each(link, &server->wants) {
        struct want *w = list_entry(link, struct want, link);
        if (w->state == be->state && serves(be, w))
            return w;
        if (seen++ == LOOK_PAST)
            break;
    }
    return NULL;
}

/* Under the mutex.  With several kinds of clients and all of them waiting, most would get another's
 * connection, restored or made anew: so one that needs nothing restored comes before the oldest, and one
 * of the backend's own pool before an oldest that needs another connection; but not before one who has
 * been passed so often, unless there will be a place for him. */
static struct want *choose(const struct server *server, const struct backend *be)
{
    struct want *oldest = first_want(server), *w = NULL;
    bool has_place = atomic_load_explicit(&server->leaving, memory_order_relaxed) > 0;
    if (oldest == NULL)
        return NULL;
    if (oldest->passed < PASSED_MOST || has_place)
        w = alike(server, be);
    if (w == NULL && serves(be, oldest))
        return oldest;
    if (w == NULL && (oldest->passed < PASSED_MOST || has_place))
        w = first_of_pool(be->pool);
    if (w != NULL && !serves(be, w))
        w = NULL;
    oldest->passed += w != NULL && w != oldest && !has_place;
    return w;
}

/* Under the mutex: it has its answer, or wants none. */
static void leave(struct server *server, struct want *w)
{
    list_leave(&w->link);
    list_leave(&w->in_pool);
    w->answered = true;
    atomic_fetch_sub_explicit(&server->wanted, 1, memory_order_relaxed);
}

/* `be` NULL: what there is is a place. */
static struct want *take_want(struct server *server, const struct backend *be)
{
    if (atomic_load_explicit(&server->wanted, memory_order_acquire) == 0)
        return NULL;
    pthread_mutex_lock(&server->wants_lock);
    struct want *w = be != NULL ? choose(server, be) : first_want(server);
    if (w != NULL)
        leave(server, w);
    pthread_mutex_unlock(&server->wants_lock);
    return w;
}

/* The receiver's worker runs this, or we do when it is our own. */
static void fill(struct want *w, struct backend *be)
{
    w->got = be;
    w->may_open = be == NULL;
    task_wake(w->task);
}

static void pack(struct backend *be)
{
    backend_move(be, BACKEND_IN_MAIL);
    list_leave(&be->all);
    stream_leave_worker(&be->stream);
}

/* It is this worker's and this pool's from here on. */
static void unpack(struct backend *be, struct pool *p)
{
    be->pool = p;
    list_push_back(&p->pools->all, &be->all);
    backend_move(be, BACKEND_OPENING);
    stream_join_worker(&be->stream, p->pools->worker);
}

/* Its worker is ending and hears nothing any more: unanswered, the want's task can leave. */
static void take_back(struct server *server, struct want *w)
{
    pthread_mutex_lock(&server->wants_lock);
    w->answered = false;
    pthread_mutex_unlock(&server->wants_lock);
}

/* False if nobody is there to receive it; the caller keeps what it had. */
static bool deliver(struct want *w, struct backend *be, struct server *server, struct worker *from)
{
    if (w->worker == from) {
        fill(w, be);
        return true;
    }
    struct give_mail *g = mem_zalloc(sizeof *g);
    g->mail.kind = MAIL_GIVE;
    g->want = w;
    g->backend = be;
    if (be != NULL)
        pack(be);
    if (worker_post(w->worker, &g->mail)) {
        if (be != NULL)
            count(from, lent);
        return true;
    }
    if (be != NULL)
        unpack(be, be->pool);
    mem_free(g);
    take_back(server, w);
    return false;
}

bool lend_backend(struct backend *be)
{
    struct worker *from = be->pool->pools->worker;
    struct server *server = be->server;
    for (struct want *w; (w = take_want(server, be)) != NULL;)
        if (deliver(w, be, server, from))
            return true;
    if (server_unmet(server) == 0)
        return false;
    /* Of no use to who waits longest: its place is, when the server has closed it. */
    backend_close(be, "its place was needed");
    return true;
}

void lend_slot(struct server *server, struct worker *from)
{
    for (struct want *w; (w = take_want(server, NULL)) != NULL;)
        if (deliver(w, NULL, server, from))
            return;
    server_closed(server);
}

void lend_room(struct server *server, struct worker *from)
{
    while (atomic_load_explicit(&server->wanted, memory_order_relaxed) > 0 && server_may_open(server))
        lend_slot(server, from);
}

static void ask_others(struct pool *p)
{
    struct pools *ps = p->pools;
    for (unsigned i = 0; i < ps->n_workers; i++) {
        if (ps->workers[i] == ps->worker)
            continue;
        struct ask_mail *m = mem_zalloc(sizeof *m);
        m->mail.kind = MAIL_ASK;
        m->server = server_take(p->server);
        if (!worker_post(ps->workers[i], &m->mail)) {
            server_drop(m->server);
            mem_free(m);
        }
    }
}

static void on_ask(struct worker *w, struct mail *mail)
{
    struct ask_mail *m = container_of(mail, struct ask_mail, mail);
    struct backend *be;
    while (server_unmet(m->server) > 0 &&
           (be = pool_oldest_idle(worker_pools(w), m->server)) != NULL)
        if (!lend_backend(be))
            pool_keep(be);
    pool_ask_holders(worker_pools(w), m->server);
    server_drop(m->server);
    mem_free(m);
}

static void on_give(struct worker *w, struct mail *mail)
{
    (void)w;
    struct give_mail *g = container_of(mail, struct give_mail, mail);
    struct backend *be = g->backend;
    if (be != NULL) {
        unpack(be, g->want->pool);
        be->ticket = 0;           /* tickets are this worker's from here on */
    }
    fill(g->want, be);
    mem_free(g);
}

void want_board(struct backend *be)
{
    enum { LOOK_AT = 256 };
    struct server *server = be->server;
    unsigned looked = 0;
    if (atomic_load_explicit(&server->wanted, memory_order_acquire) == 0)
        return;
    pthread_mutex_lock(&server->wants_lock);
    list_for_each_safe(link, &be->pool->wants) {
        struct want *w = list_entry(link, struct want, in_pool);
        if (looked++ == LOOK_AT)
            break;
        if (w->follow == NULL || w->state != be->state)
            continue;
        if (!pipeline_board(be, &w->follower, w->follow))
            break;
        leave(server, w);
    }
    pthread_mutex_unlock(&server->wants_lock);
}

static void enqueue(struct server *server, struct want *w)
{
    pthread_mutex_lock(&server->wants_lock);
    list_push_back(&server->wants, &w->link);
    list_push_back(&w->pool->wants, &w->in_pool);
    atomic_fetch_add_explicit(&server->wanted, 1, memory_order_release);
    pthread_mutex_unlock(&server->wants_lock);
}

/* Leave the queue; false if the want has been answered already. */
static bool leave_queue(struct server *server, struct want *w)
{
    pthread_mutex_lock(&server->wants_lock);
    bool unanswered = !w->answered;
    if (list_linked(&w->link))
        leave(server, w);
    pthread_mutex_unlock(&server->wants_lock);
    return unanswered;
}

bool want_wait(struct task *t, struct pool *p, struct want *w, double deadline, struct fault *why)
{
    struct server *server = p->server;
    bool cancelled = false;
    w->worker = task_worker(t);
    w->task = t;
    w->pool = p;
    w->follower.task = w->task;
    enqueue(server, w);
    /* A place that came free before we were in the queue went to nobody. */
    if (server_may_open(server))
        lend_slot(server, w->worker);
    pool_ask_holders(p->pools, server);
    ask_others(p);
    while (w->got == NULL && !w->may_open && w->follower.place <= FOLLOWER_WAITS) {
        enum woke woke = task_park(t, deadline);
        if (woke == WOKE_READY)
            continue;
        if (leave_queue(server, w)) {
            fault_set_state(why, BLAME_TIME, ER_CON_COUNT_ERROR, "08004",
                            woke == WOKE_CANCELLED
                                ? "volvox: cancelled while waiting for a connection to server %s"
                                : "volvox: Too many connections: none to server %s became free in time",
                            server->name);
            return false;
        }
        /* Answered: what we were given is on its way, wait for it without a deadline. */
        cancelled |= woke == WOKE_CANCELLED;
        if (w->follower.place == FOLLOWER_WAITS)
            pipeline_wait_on(t, &w->follower);
        else
            task_forgive(t);
        deadline = 0;
    }
    if (cancelled)
        task_cancel(t);
    return true;
}

void lend_worker_init(struct worker *w)
{
    worker_on_mail(w, MAIL_ASK, on_ask);
    worker_on_mail(w, MAIL_GIVE, on_give);
}
