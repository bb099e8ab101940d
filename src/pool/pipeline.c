/*
 * pipeline.c - short reads of several sessions on one busy connection; see pool.h.
 *
 *   holder ──sent──► leads:  others write behind it (board) and park
 *   put back ──────► the next one's turn: it holds the lease, its answer is what comes next
 *   the last one put back ─► idle, or whoever waits
 *
 * What is written in one turn of the loop goes out in one send at its end, and one receive brings
 * several answers.  To the server it looks as if the sessions had leased the connection one after
 * the other, and to everybody else as well: only the time between an answer and the next
 * statement is gone.  So nothing else may be written while anybody follows.  Whoever needs the
 * connection for more than its answer sends the others away first (backend_recall): they run
 * again elsewhere, which is why only plain reads may follow.
 */
#include "pool/inside.h"

#include "base/log.h"

enum {
    LOOK_AT = 16,             /* leading connections, to find one to follow               */
    TURNS_MOST = 1000,        /* of one lease: then its age and its limits are looked at   */
    TURNS_WANTED = 16,        /* ... while somebody waits for a connection of the server   */
    UNSENT_MOST = 64 << 10,   /* the server does not take what is there already            */
    STILL_TICKS = 5,          /* without a turn: who leads is slow                        */
    QUIET_TICKS = 200,        /* then connections are not scarce any more                  */
};
static const double tick_s = 0.010;
/* After a line that had to be broken up because who led was slow. */
enum { PAUSE_US = 200000 };

static struct pools *pools_of(const struct backend *be)
{
    return be->pool->pools;
}

/* ---- who leads ------------------------------------------------------------------------- */

static bool has_room(const struct backend *be)
{
    bool is_wanted = atomic_load_explicit(&be->server->wanted, memory_order_relaxed) > 0;
    return be->n_turns < (is_wanted ? TURNS_WANTED : TURNS_MOST) && !be->interrupted &&
           !be->stream.broken && !be->stream.peer_closed && buf_len(&be->stream.out) < UNSENT_MOST;
}

static bool is_paused(const struct pool *p)
{
    return worker_now_us(p->pools->worker) < p->unpiped_until_us;
}

/* As long as connections can be made, nobody has to follow. */
static bool is_full(const struct server *server)
{
    return atomic_load_explicit(&server->open, memory_order_relaxed) >=
           atomic_load_explicit(&server->max_open, memory_order_relaxed);
}

void backend_lead(struct backend *be)
{
    struct pools *ps = pools_of(be);
    if (be->leads || !is_full(be->server) || is_paused(be->pool) ||
        stream_compression(&be->stream) != NULL)
        return;
    be->leads = true;
    be->n_turns = 0;
    list_push_back(&be->pool->leaders, &be->link);
    pipeline_scarce(ps);
    want_board(be);
}

bool backend_is_followed(const struct backend *be)
{
    return be->n_followers + be->n_stale > 0;
}

static void lead_no_more(struct backend *be)
{
    be->leads = false;
    list_leave(&be->link);
}

/* ---- who follows ----------------------------------------------------------------------- */

bool pipeline_board(struct backend *be, struct follower *f, struct follow *follow)
{
    struct pools *ps = pools_of(be);
    if (be->n_followers >= follow->deepest || !has_room(be) || !follow->board(follow->arg, be))
        return false;
    f->be = be;
    f->place = FOLLOWER_WAITS;
    list_push_back(&be->followers, &f->link);
    be->n_followers++;
    if (!list_linked(&be->unsent))
        list_push_back(&ps->unsent, &be->unsent);
    count(ps->worker, pipelined);
    return true;
}

/* The shortest line among some, in the state that is wanted.  (The next time others are looked at.) */
static struct backend *find_leader(struct pool *p, const struct state *wanted)
{
    struct backend *best = NULL;
    unsigned looked = 0;
    list_for_each(link, &p->leaders) {
        struct backend *be = list_entry(link, struct backend, link);
        if (be->state == wanted && (best == NULL || be->n_followers < best->n_followers))
            best = be;
        if (++looked == LOOK_AT)
            break;
    }
    if (best != NULL) {
        list_leave(&best->link);
        list_push_back(&p->leaders, &best->link);
    }
    return best;
}

void pipeline_wait_on(struct task *t, struct follower *f)
{
    task_forgive(t);
    if (task_is_cancelled(t))
        pipeline_break_up(f->be, "the worker ends");
}

/* Until it is our turn, or there is no line any more.  (What was written is answered: a cancelled
 * task waits as well, for a short read.) */
static void await_turn(struct task *t, struct follower *f)
{
    bool cancelled = false;
    while (f->place == FOLLOWER_WAITS)
        if (task_park(t, 0) == WOKE_CANCELLED) {
            cancelled = true;
            pipeline_wait_on(t, f);
        }
    if (cancelled)
        task_cancel(t);
}

struct backend *pipeline_outcome(const struct follower *f, struct follow *follow)
{
    follow->is_sent = f->place == FOLLOWER_HAS_TURN;
    follow->was_lost = f->place == FOLLOWER_LOST;
    return follow->is_sent ? f->be : NULL;
}

struct backend *pipeline_follow(struct task *t, struct pool *p, const struct lease_terms *terms)
{
    struct follower f = { .task = t };
    struct backend *be = is_paused(p) ? NULL : find_leader(p, terms->state);
    if (be == NULL || !pipeline_board(be, &f, terms->follow))
        return NULL;
    await_turn(t, &f);
    return pipeline_outcome(&f, terms->follow);
}

/* ---- turns ----------------------------------------------------------------------------- */

static struct follower *first_follower(struct backend *be)
{
    struct list *link = list_first(&be->followers);
    if (link == NULL)
        return NULL;
    list_leave(link);
    be->n_followers--;
    return list_entry(link, struct follower, link);
}

static void pass_on(struct backend *be)
{
    struct follower *next = first_follower(be);
    struct pools *ps = pools_of(be);
    be->holder = NULL;
    be->holder_id = 0;
    be->ticket = ++ps->last_ticket;
    be->n_turns++;
    count(ps->worker, leases);
    next->place = FOLLOWER_HAS_TURN;
    task_wake(next->task);
    if (atomic_load_explicit(&be->server->wanted, memory_order_relaxed) > 0)
        want_board(be);
}

void pipeline_break_up(struct backend *be, const char *why)
{
    unsigned n = be->n_followers;
    for (struct follower *f; (f = first_follower(be)) != NULL;) {
        f->place = FOLLOWER_LOST;
        task_wake(f->task);
        be->n_stale++;
    }
    lead_no_more(be);
    if (n == 0)
        return;
    count_add(&worker_counters(pools_of(be)->worker)->pipelined_again, n);
    log_info("pipelined statements go elsewhere", "server=%s thread=%u statements=%u why=%s",
             be->server->name, be->thread_id, n, log_quote(bytes_str(why)));
}

bool pipeline_put(struct backend *be, enum put how)
{
    bool is_sound = how == PUT_CLEAN && !be->interrupted && !be->state_in_doubt && be->n_owed == 0 &&
                    !be->stream.broken && !be->stream.peer_closed;
    if (!be->leads)
        return false;
    if (is_sound && be->n_followers > 0) {
        pass_on(be);
        return true;
    }
    pipeline_break_up(be, "the connection before them was given up");
    return false;
}

/* ---- back to one session ----------------------------------------------------------------- */

static bool read_stale(struct task *t, struct backend *be, double deadline, struct fault *why)
{
    struct response r;
    struct response_found f;
    response_begin(&r, RESPONSE_RESULT, be->caps, 1);
    do {
        enum response_step what = backend_step(t, be, &r, &f, deadline, why);
        if (what == STEP_BAD)
            return false;
        if (what == STEP_INFILE)
            return backend_nonsense(be, why);
        buf_skip(&be->stream.in, f.len);
        task_breathe(t);
    } while (!f.last);
    return true;
}

/* Under CACHE_METADATA an answer may have brought other definitions, which the server will not repeat. */
static void forget_definitions(struct backend *be)
{
    if ((be->caps & CAP_CACHE_METADATA) == 0)
        return;
    while (!list_empty(&be->statements_used))
        backend_stmt_close(be, list_entry(list_first(&be->statements_used), struct backend_stmt, used));
}

bool backend_recall(struct task *t, struct backend *be, double deadline, struct fault *why)
{
    pipeline_break_up(be, "the session whose turn it was needs the connection");
    if (!stream_flush(t, &be->stream, deadline, why))
        return false;
    for (; be->n_stale > 0; be->n_stale--)
        if (!read_stale(t, be, deadline, why))
            return false;
    forget_definitions(be);
    return true;
}

/* ---- per worker ---------------------------------------------------------------------------- */

/* (What the server does not take yet goes with the next turn: its answers to what it has taken wake the
 * loop.) */
static void on_turn_over(struct worker *w)
{
    struct pools *ps = worker_pools(w);
    list_for_each_safe(link, &ps->unsent) {
        struct backend *be = list_entry(link, struct backend, unsent);
        if (!stream_try_flush(&be->stream) || !stream_has_unsent(&be->stream))
            list_leave(link);
    }
}

void pipeline_scarce(struct pools *ps)
{
    ps->quiet_ticks = 0;
    if (ev_is_active(&ps->tick))
        return;
    ev_timer_again(worker_loop(ps->worker), &ps->tick);
    worker_on_turn_over(ps->worker, on_turn_over);
}

bool pool_is_scarce(const struct worker *w)
{
    return ev_is_active(&worker_pools(w)->tick);
}

/* Who follows must not wait behind what is not short after all.  It takes several ticks, so that a process that
 * was stopped for a while has looked at what came meanwhile. */
static bool is_stuck(struct backend *be)
{
    bool moved = be->n_turns != be->turns_seen || be->n_followers == 0;
    be->turns_seen = be->n_turns;
    be->still_ticks = moved ? 0 : (uint8_t)(be->still_ticks + 1);
    return be->still_ticks >= STILL_TICKS;
}

static void look_after(struct pool *p)
{
    list_for_each_safe(link, &p->leaders) {
        struct backend *be = list_entry(link, struct backend, link);
        if (!is_stuck(be))
            continue;
        be->still_ticks = 0;
        p->unpiped_until_us = worker_now_us(p->pools->worker) + PAUSE_US;
        pipeline_break_up(be, "the statement before them takes long");
    }
}

static void on_tick(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void)revents;
    struct pools *ps = container_of(timer, struct pools, tick);
    bool any = false;
    uint32_t at = 0;
    for (struct pool *p; (p = map_next(&ps->by_key, &at)) != NULL;) {
        look_after(p);
        any |= !list_empty(&p->leaders);
    }
    if (any || ++ps->quiet_ticks < QUIET_TICKS)
        return;
    ev_timer_stop(loop, timer);
    worker_on_turn_over(ps->worker, NULL);
}

void pipeline_worker_init(struct pools *ps)
{
    list_init(&ps->unsent);
    ev_timer_init(&ps->tick, on_tick, tick_s, tick_s);
    ev_set_priority(&ps->tick, -1); /* when what has come has been looked at */
}

void pipeline_worker_release(struct pools *ps)
{
    ev_timer_stop(worker_loop(ps->worker), &ps->tick);
    worker_on_turn_over(ps->worker, NULL);
}
