/*
 * session.c - the spine: one command from its first byte to its last counter, and the life
 * of a session around it.
 *
 *   accept ─► LOGIN ─► IDLE ◄─► BUSY ─► CLOSING
 *                       │  readable: a task is started, serve() runs in it
 *                       └─ plain data, no stack, no buffers
 */
#include "session/inside.h"

#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

enum { LOGINS_PER_TURN = 16 };
/* Until we look whether there are stacks again. */
static const double retry_s = 0.005;

/* The connection becomes what the command needs, and the command what the connection understands. */
static bool prepare(struct task *t, struct session *s, struct command *cmd, const struct plan *plan,
                    struct outcome *out)
{
    if (s->reads_anew)
        command_read_again(s, cmd);
    return align(t, s, cmd, plan, &out->why) && command_ready(t, s, cmd, &out->why) &&
           tracking_begin(t, s, cmd, &out->why);
}

bool carry_out(struct task *t, struct session *s, struct command *cmd, const struct plan *plan,
               struct outcome *out)
{
    struct attempt attempt = { .may_follow = cmd };
    do {
        if (!wait_while_paused(t, s, &out->why) || !obtain(t, s, cmd, plan, &attempt, out))
            continue;
        if (!out->is_followed && !prepare(t, s, cmd, plan, out))
            continue;
        if (relay(t, s, cmd, out))
            return true;
    } while (follow_alone(s, out) || try_again(s, cmd, out));
    return false;
}

/* What the session holds at the servers. */
static void let_everything_go(struct session *s)
{
    bool clean = (s->pins & ~PIN_LEAVABLE) == 0, is_replica = (s->pins & PIN_REPLICATION) != 0;
    if (s->lease != NULL)
        let_go(s, is_replica ? PUT_CLOSE : clean ? PUT_CLEAN : PUT_RESET);
    statements_forget(s);
}

/* Serve one command, from its first byte to its last counter.
 * Returns whether the session goes on. */
static bool serve_command(struct task *t, struct session *s)
{
    struct command cmd = { .code = COM_SLEEP };
    struct plan plan;
    struct outcome out = { .started_us = clock_us(), .by = SERVED_HERE,
                           .answer_at = s->client.sent + buf_len(&s->client.out) };

    if (!command_read(t, s, &cmd, &out.why))
        return settle(t, s, &cmd, &out);
    s->code = cmd.code;
    s->digest = cmd.st.digest;
    switch (cmd.action) {
    case ACTION_QUIT:
        /* the client's part to close first: who does gets TIME_WAIT */
        let_everything_go(s);
        stream_linger_shortly(t, &s->client, s->config->settings.linger_ms / 1000.0);
        return false;
    case ACTION_ANSWER:
        out.done = cmd.answer(t, s, &cmd, &out.why);
        count(session_worker(s), commands_answered);
        break;
    case ACTION_KILL:
        counts_changed(s, &cmd, 0);
        out.done = kill_command(t, s, &cmd, &out);
        break;
    case ACTION_FORWARD:
    case ACTION_EXECUTE:
        if (deferred_must_run_first(s, &cmd) && !deferred_run(t, s, &out))
            break;
        out.done = decide(s, &cmd, &plan, &out.why) && carry_out(t, s, &cmd, &plan, &out);
        break;
    }
    return settle(t, s, &cmd, &out);
}

/* ---- phases --------------------------------------------------------------------------------- */

static void move(struct session *s, enum session_phase to)
{
    static const bool legal[4][4] = {
        [SESSION_LOGIN] = { [SESSION_IDLE] = true, [SESSION_BUSY] = true, [SESSION_CLOSING] = true },
        [SESSION_IDLE] = { [SESSION_BUSY] = true, [SESSION_CLOSING] = true },
        [SESSION_BUSY] = { [SESSION_IDLE] = true, [SESSION_CLOSING] = true },
        [SESSION_CLOSING] = { false },
    };
    struct sessions *ss = s->home;
    struct list *lists[] = { &ss->logging_in, &ss->idle, &ss->busy, NULL };
    struct counters *c = worker_counters(ss->worker);
    must(legal[s->phase][to]);
    if (s->phase == SESSION_BUSY)
        gauge_add(&c->sessions_busy, -1);
    if (to == SESSION_BUSY)
        gauge_add(&c->sessions_busy, 1);
    list_leave(&s->link);
    s->phase = to;
    s->since_us = worker_now_us(ss->worker);
    if (lists[to] != NULL)
        list_push_back(lists[to], &s->link);
}

static void count_traffic(const struct session *s)
{
    struct traffic t;
    stream_traffic(&s->client, &t);
    count_add(&worker_counters(session_worker(s))->compressed_clients_clear, t.received + t.sent);
    count_add(&worker_counters(session_worker(s))->compressed_clients_wire,
              t.wire_received + t.wire_sent);
}

static void free_session(struct session *s)
{
    struct sessions *ss = s->home;
    struct worker *w = ss->worker;
    count(w, clients_closed);
    count_add(&worker_counters(w)->bytes_to_clients, s->client.sent);
    count_add(&worker_counters(w)->bytes_from_clients, s->client.received);
    count_traffic(s);
    gauge_add(&worker_counters(w)->sessions, -1);
    atomic_fetch_sub_explicit(&ss->count, 1, memory_order_relaxed);
    atomic_fetch_sub_explicit(&s->door->open, 1, memory_order_relaxed);
    atomic_fetch_sub_explicit(&ss->shared->open, 1, memory_order_relaxed);
    list_leave(&s->all);
    id_drop(s);
    session_ends_forget(s);
    stream_close(&s->client);
    mem_free(s->more);
    mem_free(s);
}

/* The last act, by the task that serves the session, or by the loop when it is idle. */
static void end_session(struct session *s)
{
    idle_ends(s);
    move(s, SESSION_CLOSING);
    let_everything_go(s);
    if (s->has_quota)
        quota_drop(s->home->shared, bytes_str(s->account->name));
    session_pin(s, 0);
    state_drop(s->state);
    account_drop(s->account);
    config_drop(s->config);
    free_session(s);
}

static void on_readable(struct watch *watch);
static void leave_idle(struct session *s);
static void dismiss_idle(struct session *s, const struct fault *why);

/* The server closed the connection while the session was idle and held it.  If it was held for no more
 * than what the client might have asked, nothing is lost; else the client hears what the server
 * said, if anything, and its connection ends as well. */
static void on_lost(struct backend *be)
{
    struct session *s = be->holder;
    struct fault why;
    bool spoke = backend_last_words(be, &why);
    log_info("server connection lost while held", "session=%u server=%s why=%s", s->id,
             be->server->name, log_quote(bytes_str(spoke ? why.text : "closed by the server")));
    if ((s->pins & ~PIN_PASSING) == 0) {
        session_pin(s, 0);
        let_go(s, PUT_CLOSE);
    } else if (spoke) {
        dismiss_idle(s, &why);
    } else {
        session_abandon(s);
    }
}

static void leave_idle(struct session *s);
static void serve_or_starve(struct session *s);

/* Somebody waits for the connection, and it is held only for what can be taken along.  A task does. */
static void on_wanted(struct backend *be)
{
    struct session *s = be->holder;
    s->is_wanted = true;
    leave_idle(s);
    serve_or_starve(s);
}

static void watch_lease(struct session *s)
{
    backend_watch(s->lease, on_lost);
    if ((s->pins & ~PIN_LEAVABLE) == 0 && !s->is_stuck)
        backend_offer(s->lease, on_wanted);
}

static void go_idle(struct session *s)
{
    s->task = NULL;
    stream_rest(&s->client);
    move(s, SESSION_IDLE);
    watch_idle(session_worker(s), &s->client.watch, on_readable);
    idle_begins(s);
    if (s->lease != NULL)
        watch_lease(s);           /* the last act: it may begin to serve again */
}

static void leave_idle(struct session *s)
{
    watch_idle(session_worker(s), &s->client.watch, NULL);
    idle_ends(s);
    if (s->lease != NULL)
        backend_watch(s->lease, NULL);
    move(s, SESSION_BUSY);
}

/* May the session go idle, or is the worker closing down? */
static bool is_welcome(const struct session *s)
{
    return !s->home->draining || (s->pins & (PIN_TRANSACTION | PIN_TABLE_LOCK)) != 0 ||
           deferred_begins(s);
}

/* Is there something to serve?  Unless the loop has just said so, the stream is only asked if it
 * may have more than was taken: otherwise the loop will tell. */
static bool has_arrived(struct session *s, bool loop_says_so)
{
    struct stream *in = &s->client;
    if (buf_len(&in->in) > 0)
        return true;
    if (in->top == NULL)
        return (loop_says_so || in->in_filled) && stream_fill(in, FRAME_HEADER) != 0;
    stream_begin_command(in);
    return ((loop_says_so || in->in_filled) && stream_fill(in, FRAME_HEADER) != 0) ||
           stream_has_begun(in);
}

static void serve(struct task *t, void *arg)
{
    struct session *s = arg;
    bool goes_on = !s->is_killed; /* while it waited for a stack */
    s->task = t;
    if (s->is_wanted)
        leave_for_others(t, s);
    /* What has arrived meanwhile is served now; then the stack goes back. */
    for (bool more = has_arrived(s, true); goes_on && more; more = has_arrived(s, false)) {
        goes_on = serve_command(t, s) && is_welcome(s);
        arena_reset(task_arena(t));
        task_breathe(t);
    }
    s->task = NULL;
    if (goes_on && !task_is_cancelled(t) && session_follow_config(s))
        go_idle(s);
    else
        end_session(s);
}

static void look_again(struct sessions *ss, double after_s)
{
    if (ev_is_active(&ss->again))
        return;
    ev_timer_set(&ss->again, after_s, 0.);
    ev_timer_start(worker_loop(ss->worker), &ss->again);
}

static void serve_or_starve(struct session *s)
{
    struct sessions *ss = s->home;
    if (task_start(ss->worker, "command", serve, s))
        return;
    list_leave(&s->link);
    list_push_back(&ss->starved, &s->link);
    look_again(ss, retry_s);
}

static void admit_arrivals(struct sessions *ss);

void sessions_on_again(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void)loop, (void)revents;
    struct sessions *ss = container_of(timer, struct sessions, again);
    struct list waiting;
    list_init(&waiting);
    while (!list_empty(&ss->starved)) {
        struct list *link = list_first(&ss->starved);
        list_leave(link);
        list_push_back(&waiting, link);
    }
    while (!list_empty(&waiting)) {
        struct session *s = list_entry(list_first(&waiting), struct session, link);
        list_leave(&s->link);
        list_push_back(&ss->busy, &s->link);
        serve_or_starve(s);
    }
    admit_arrivals(ss);
}

static void on_readable(struct watch *watch)
{
    struct session *s = container_of(watch, struct session, client.watch);
    leave_idle(s);
    serve_or_starve(s);
}

static bool start_login(struct session *s);

/* How many logins may still begin in this turn of the loop. */
static unsigned logins_left(struct sessions *ss)
{
    uint64_t now_us = worker_now_us(ss->worker);
    if (ss->turn_us != now_us) {
        ss->turn_us = now_us;
        ss->n_begun = 0;
    }
    return LOGINS_PER_TURN - ss->n_begun;
}

/* So many log in at once, and a few begin in each turn of the loop, so that those who are served do
 * not wait behind a crowd; the others wait in the order of their arrival, without a stack.  A login
 * that is over before it parks comes back here: then the loop below goes on, further down the stack. */
static void admit_arrivals(struct sessions *ss)
{
    unsigned most = worker_config(ss->worker)->settings.max_sessions_logging_in;
    if (ss->is_admitting)
        return;
    ss->is_admitting = true;
    while (!list_empty(&ss->arriving) && (most == 0 || ss->n_logging_in < most)) {
        struct session *s = list_entry(list_first(&ss->arriving), struct session, link);
        bool is_turn_over = logins_left(ss) == 0;
        if (is_turn_over || !start_login(s)) {
            look_again(ss, is_turn_over ? 0 : retry_s);
            break;
        }
    }
    ss->is_admitting = false;
}

static void serve_login(struct task *t, void *arg)
{
    struct session *s = arg;
    s->task = t;
    bool goes_on = log_in(t, s) && is_welcome(s);
    arena_reset(task_arena(t));
    s->task = NULL;
    s->home->n_logging_in--;
    admit_arrivals(s->home);
    if (!goes_on || !session_follow_config(s)) {
        end_session(s);
        return;
    }
    if (has_arrived(s, false)) {        /* a command came along with the login */
        move(s, SESSION_BUSY);
        serve(t, s);
    } else {
        go_idle(s);
    }
}

/* False: there is no stack, it waits on. */
static bool start_login(struct session *s)
{
    struct sessions *ss = s->home;
    if (ss->draining) {
        session_refuse(stream_fd(&s->client), ER_CON_COUNT_ERROR, "Too many connections");
        end_session(s);
        return true;
    }
    list_leave(&s->link);
    list_push_back(&ss->logging_in, &s->link);
    ss->n_logging_in++;
    ss->n_begun++;
    if (task_start(ss->worker, "login", serve_login, s))
        return true;
    list_leave(&s->link);
    list_push_front(&ss->arriving, &s->link);
    ss->n_logging_in--;
    return false;
}

/* ---- arrivals -------------------------------------------------------------------------------- */

void sessions_on_client(struct worker *w, struct mail *mail)
{
    struct client_mail *m = container_of(mail, struct client_mail, mail);
    struct sessions *ss = worker_sessions(w);
    struct session *s = mem_zalloc(sizeof *s);
    s->home = ss;
    s->phase = SESSION_LOGIN;
    s->listener_group = m->group;
    s->door = m->door;
    id_take(s);
    s->config = config_take(worker_config(w));
    s->status = STATUS_AUTOCOMMIT;
    s->since_us = worker_now_us(w);
    stream_open(&s->client, w, m->fd, BLAME_CLIENT);
    s->client.in_limit_bytes = (uint32_t)s->config->settings.max_packet_bytes + LOOK_AHEAD;
    mem_free(m);
    list_push_back(&ss->all, &s->all);
    atomic_fetch_add_explicit(&ss->count, 1, memory_order_relaxed);
    gauge_add(&worker_counters(w)->sessions, 1);
    ss->peak = MAX(ss->peak, atomic_load_explicit(&ss->shared->open, memory_order_relaxed));
    count(w, clients_accepted);
    list_push_back(&ss->arriving, &s->link);
    admit_arrivals(ss);
}

void session_refuse(int fd, unsigned code, const char *text)
{
    struct buf out = { 0 };
    uint8_t seq = 0;
    /* Nothing is negotiated yet: the packet carries no SQLSTATE. */
    err_write(&out, &seq, code, sqlstate_of(code), bytes_str(text), 0);
    ssize_t n = send(fd, buf_head(&out), buf_len(&out), MSG_NOSIGNAL | MSG_DONTWAIT);
    (void)n; /* who does not take it in gets the close */
    buf_release(&out);
}

/* ---- departures that others ask for -------------------------------------------------------------- */

/* An idle session gets its last word and leaves through a task, so that it may linger. */
struct farewell {
    struct session *session;
    struct fault why;
};

static void say_farewell(struct task *t, void *arg)
{
    struct farewell *f = arg;
    struct session *s = f->session;
    struct fault broken;
    s->task = t;
    if (tell_error(t, s, &f->why, 0, &broken))
        stream_linger(t, &s->client, s->config->settings.linger_ms / 1000.0);
    mem_free(f);
    end_session(s);
}

static void dismiss_idle(struct session *s, const struct fault *why)
{
    struct farewell *f = mem_zalloc(sizeof *f);
    leave_idle(s);
    f->session = s;
    f->why = *why;
    if (task_start(session_worker(s), "farewell", say_farewell, f))
        return;
    mem_free(f);
    end_session(s);
}

void session_dismiss(struct session *s, unsigned code, const char *text)
{
    struct fault why;
    s->is_killed |= code == 0;
    fault_set(&why, BLAME_TIME, code, "%s", text != NULL ? text : "");
    if (s->phase == SESSION_IDLE && s->is_killed) {
        leave_idle(s);
        end_session(s);
    } else if (s->phase == SESSION_IDLE) {
        dismiss_idle(s, &why);
    } else if (s->task != NULL) {
        task_cancel(s->task);
    }
}

bool session_interrupt(struct session *s)
{
    if (s->phase != SESSION_BUSY || s->task == NULL)
        return false;
    if (s->lease != NULL) {
        backend_interrupt(s->lease);
        return true;
    }
    if (s->is_waiting || s->is_paused) {
        s->is_interrupted = true;
        task_cancel(s->task);
    }
    return s->is_interrupted;
}

void session_abandon(struct session *s)
{
    leave_idle(s);
    if (s->mode.is_mariadb)
        stream_reset(&s->client); /* as that server closes */
    end_session(s);
}

static void end_all(struct sessions *ss, bool now)
{
    ss->draining = true;
    list_for_each_safe(link, &ss->idle) {
        struct session *s = list_entry(link, struct session, link);
        if (now || is_welcome(s) == false)
            session_dismiss(s, ER_SERVER_SHUTDOWN, "Server shutdown in progress");
    }
    list_for_each_safe(link, &ss->arriving)
        end_session(list_entry(link, struct session, link));
    list_for_each(link, &ss->busy) {
        struct session *s = list_entry(link, struct session, link);
        if (s->in_tunnel)         /* it would never end by itself */
            task_cancel(s->task);
    }
    list_for_each(link, &ss->logging_in) {
        struct session *s = list_entry(link, struct session, link);
        if (now || s->is_held_back)
            task_cancel(s->task);
    }
    if (!now)
        return;
    while (!list_empty(&ss->starved))
        end_session(list_entry(list_first(&ss->starved), struct session, link));
    list_for_each(link, &ss->busy)
        task_cancel(list_entry(link, struct session, link)->task);
}

void sessions_drain(struct worker *w)
{
    end_all(worker_sessions(w), false);
}

void sessions_end(struct worker *w)
{
    end_all(worker_sessions(w), true);
}

/* ---- small things ----------------------------------------------------------------------------------- */

uint16_t session_status(const struct session *s)
{
    return s->status & (STATUS_IN_TRANS | STATUS_AUTOCOMMIT | STATUS_IN_TRANS_READONLY |
                        STATUS_NO_BACKSLASH_ESCAPES | STATUS_ANSI_QUOTES);
}

bool answer_ok(struct task *t, struct session *s, uint8_t seq, struct fault *why)
{
    struct ok ok = { .status = session_status(s) };
    ok_write(&s->client.out, &seq, &ok, 0x00, s->caps);
    return stream_flush(t, &s->client, 0, why);
}
