/*
 * session.c - the spine: one command from its first byte to its last counter, and the life
 * of a session around it.
 *
 *   accept ─► LOGIN ─► IDLE ◄─► BUSY ─► CLOSING
 *                       │  readable: a task is started, serve() runs in it
 *                       └─ plain data, no stack, no buffers
 */
#include "session/inside.h"

#include <malloc.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

enum { LOGINS_PER_TURN = 16 };
/* After so many clients, half of them gone, memory goes back to the system. */
enum { CROWD = 1000 };
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
        counts_forget(s);
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

/* The same account in the new configuration.  Another password is for the next login, as on a
 * server. */
static const struct user_config *same_user(const struct config *now, const struct session *s)
{
    const struct user_config *u = config_user(now, bytes_str(s->account->name));
    return u == NULL && s->user->asks_servers ? config_any_user(now) : u;
}

/* As the file has it now, unless only a login tells what is needed. */
static void follow_account(struct session *s, const struct user_config *u)
{
    if (u->account == NULL || u->account == s->account || !account_is_usable(u->account) ||
        (s->pins & PIN_ACCOUNT) != 0)
        return;
    account_drop(s->account);
    s->account = account_take(u->account);
}

static const char account_gone[] = "volvox: the account or the group was removed";

const struct listener_config *session_listener(const struct session *s)
{
    return config_listener(s->config, bytes_str(s->door->listener));
}

bool session_follow_group(struct session *s, const struct config *now)
{
    if (s->listener_group < 0)
        return true;
    const char *name = s->config->groups[s->listener_group].name;
    for (unsigned i = 0; i < now->n_groups; i++)
        if (strcmp(now->groups[i].name, name) == 0) {
            s->listener_group = (int)i;
            return true;
        }
    return false;
}

/* Change over to the snapshot in force; false if the account is not in it any more.  Commands under
 * way keep theirs, so this happens when the session is idle or becomes so. */
static bool follow_config(struct session *s)
{
    struct config *now = worker_config(session_worker(s));
    if (s->config == now)
        return true;
    const struct user_config *u = same_user(now, s);
    if (u == NULL || !session_follow_group(s, now))
        return false;
    config_drop(s->config);
    s->config = config_take(now);
    s->user = u;
    follow_account(s, u);
    return true;
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
    if (goes_on && !task_is_cancelled(t) && follow_config(s))
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

static void on_again(struct ev_loop *loop, ev_timer *timer, int revents)
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
    if (!goes_on || !follow_config(s)) {
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

static void on_client(struct worker *w, struct mail *mail)
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

void sessions_configured(struct worker *w, const struct config *now)
{
    struct sessions *ss = worker_sessions(w);
    timeouts_set(&ss->idle_timeouts, now->settings.idle_timeout_s);
    account_store_limits(&ss->shared->learnt, now->settings.accounts_remembered,
                         now->settings.accounts_lifetime_s);
    list_for_each_safe(link, &ss->idle) {
        struct session *s = list_entry(link, struct session, link);
        if (!follow_config(s))
            session_dismiss(s, ER_CONNECTION_KILLED, account_gone);
    }
    list_for_each(link, &ss->busy) {
        struct session *s = list_entry(link, struct session, link);
        if (s->user != NULL && same_user(now, s) == NULL && s->task != NULL)
            task_cancel(s->task);
    }
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

/* malloc keeps what is free below something that is used: after a crowd, nearly all. */
static void return_memory(struct sessions *ss)
{
    unsigned open = atomic_load_explicit(&ss->shared->open, memory_order_relaxed);
    if (ss->peak < CROWD || open > ss->peak / 2)
        return;
    ss->peak = open;
    malloc_trim(0);
}

static void on_forget(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void)loop, (void)revents;
    struct sessions *ss = container_of(timer, struct sessions, forget);
    account_store_sweep(&ss->shared->learnt, worker_now_us(ss->worker));
    return_memory(ss);
}

void sessions_worker_init(struct worker *w, struct sessions_shared *shared,
                          struct worker *const *workers, unsigned n_workers)
{
    struct sessions *ss = mem_zalloc(sizeof *ss);
    ss->worker = w;
    ss->shared = shared;
    ss->workers = workers;
    ss->n_workers = n_workers;
    list_init(&ss->logging_in);
    list_init(&ss->idle);
    list_init(&ss->busy);
    list_init(&ss->starved);
    list_init(&ss->arriving);
    list_init(&ss->all);
    list_init(&ss->gates);
    ss->pins = pin_table_new();
    ss->paces = paces_new();
    account_store_limits(&shared->learnt, worker_config(w)->settings.accounts_remembered,
                         worker_config(w)->settings.accounts_lifetime_s);
    ev_timer_init(&ss->forget, on_forget, 10., 10.);
    if (worker_index(w) == 0)     /* one does it for all */
        ev_timer_start(worker_loop(w), &ss->forget);
    ev_timer_init(&ss->again, on_again, retry_s, 0.);
    idle_init(ss, worker_config(w)->settings.idle_timeout_s);
    worker_set_part(w, PART_SESSIONS, ss);
    worker_on_mail(w, MAIL_CLIENT, on_client);
}

void sessions_worker_release(struct worker *w)
{
    struct sessions *ss = worker_sessions(w);
    must(atomic_load(&ss->count) == 0);
    ev_timer_stop(worker_loop(w), &ss->again);
    ev_timer_stop(worker_loop(w), &ss->forget);
    timeouts_release(&ss->idle_timeouts);
    gates_release(ss);
    pin_table_free(ss->pins);
    mem_free(ss->paces);
    ids_release(&ss->ids);
    mem_free(ss);
    worker_set_part(w, PART_SESSIONS, NULL);
}

unsigned sessions_count(const struct worker *w)
{
    return atomic_load_explicit(&worker_sessions(w)->count, memory_order_relaxed);
}

void sessions_shared_init(struct sessions_shared *shared, const struct rsa_key *rsa)
{
    memset(shared, 0, sizeof *shared);
    shared->rsa = rsa;
    must(getrandom(shared->scramble_secret, sizeof shared->scramble_secret, 0) ==
         sizeof shared->scramble_secret);
    pthread_mutex_init(&shared->quota_lock, NULL);
    account_store_init(&shared->learnt);
    shared->throttle = throttle_new();
    ids_begin(shared);
}

void sessions_shared_release(struct sessions_shared *shared)
{
    must(shared->quotas.count == 0);
    map_release(&shared->quotas);
    account_store_release(&shared->learnt);
    throttle_free(shared->throttle);
    pthread_mutex_destroy(&shared->quota_lock);
}
