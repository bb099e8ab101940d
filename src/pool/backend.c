/* backend.c - places and legal steps, commands of our own, closing; see pool.h. */
#include "pool/inside.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

static const bool legal_step[5][5] = {
    [BACKEND_OPENING] = { [BACKEND_IDLE] = true, [BACKEND_LEASED] = true, [BACKEND_IN_MAIL] = true,
                          [BACKEND_CLOSING] = true },
    [BACKEND_IDLE] = { [BACKEND_OPENING] = true, [BACKEND_LEASED] = true, [BACKEND_CLOSING] = true },
    [BACKEND_LEASED] = { [BACKEND_OPENING] = true, [BACKEND_CLOSING] = true },
    [BACKEND_IN_MAIL] = { [BACKEND_OPENING] = true, [BACKEND_CLOSING] = true },
    [BACKEND_CLOSING] = { false },
};

static void account(struct backend *be, enum backend_place place, int n)
{
    struct counters *c = worker_counters(be->pool->pools->worker);
    if (place == BACKEND_IDLE) {
        be->pool->n_idle += (unsigned)n;
        gauge_add(&c->backends_idle, n);
    } else if (place != BACKEND_IN_MAIL) {
        be->pool->n_held += (unsigned)n;
    }
    if (place == BACKEND_LEASED) {
        gauge_add(&c->backends_leased, n);
        atomic_fetch_add_explicit(&be->server->in_use, (unsigned)n, memory_order_relaxed);
    }
}

void backend_move(struct backend *be, enum backend_place to)
{
    must(legal_step[be->place][to]);
    must(be->n_followers == 0);
    account(be, be->place, -1);
    list_leave(&be->link);
    be->place = to;
    account(be, to, 1);
    if (to == BACKEND_IDLE)
        list_push_front(&be->pool->idle, &be->link);
    if (to != BACKEND_LEASED) {
        be->holder = NULL;
        be->holder_id = 0;
        be->lost = NULL;
        be->wanted = NULL;
    }
}

bool backend_is_fresh(const struct backend *be, const struct settings *limits)
{
    return !be->pool->retired && !be->pool->pools->draining && be->sandbox == SANDBOX_NONE &&
           be->tls_number == tls_context_number(be->pool->tls) &&
           !atomic_load_explicit(&be->server->draining, memory_order_relaxed) &&
           (be->expires_us == 0 || worker_now_us(be->pool->pools->worker) < be->expires_us) &&
           (limits->pool_max_commands == 0 || be->commands < limits->pool_max_commands);
}

/* A goodbye lets the server close first, so TIME_WAIT is not ours; closing right after it is fine
 * because the server answers COM_QUIT with its own FIN, not data.  Until then it has the connection,
 * and its place is not free. */
struct goodbye {
    struct stream stream;
    struct server *server;        /* counted */
    bool is_extra;                /* it had no place */
};

static void goodbye_end(struct goodbye *g, struct worker *w)
{
    stream_close(&g->stream);
    if (g->is_extra) {
        server_closed(g->server);
    } else {
        atomic_fetch_sub(&g->server->leaving, 1); /* before: who comes now is to ask others */
        lend_slot(g->server, w);
    }
    server_drop(g->server);
    mem_free(g);
}

static void say_goodbye(struct task *t, void *arg)
{
    struct goodbye *g = arg;
    stream_linger(t, &g->stream, 2.0);
    goodbye_end(g, task_worker(t));
}

static bool can_say_goodbye(struct backend *be)
{
    backend_write(be, COM_QUIT, BYTES_NONE);
    return !be->stream.broken && !be->stream.peer_closed && stream_try_flush(&be->stream) &&
           !stream_has_unsent(&be->stream);
}

/* Hand the descriptor to a short task that waits for the server's FIN; without one (no stack to
 * lend) close at once. */
static void quit(struct backend *be, bool is_extra)
{
    struct worker *w = be->pool->pools->worker;
    struct goodbye *g = mem_zalloc(sizeof *g);
    bool can = can_say_goodbye(be);
    stream_move(&g->stream, &be->stream);
    g->server = server_take(be->server);
    g->is_extra = is_extra;
    atomic_fetch_add(&g->server->leaving, !is_extra);
    if (!can || !task_start(w, "goodbye", say_goodbye, g))
        goodbye_end(g, w);
}

static void count_traffic(const struct backend *be)
{
    struct traffic t;
    struct counters *c = worker_counters(be->pool->pools->worker);
    stream_traffic(&be->stream, &t);
    count_add(&c->compressed_servers_clear, t.received + t.sent);
    count_add(&c->compressed_servers_wire, t.wire_received + t.wire_sent);
}

static void dispose(struct backend *be)
{
    count(be->pool->pools->worker, backends_closed);
    list_leave(&be->all);
    list_leave(&be->unsent);
    backend_statements_forget(be);
    state_drop(be->state);
    tracking_drop(be->usual);
    state_drop(be->fresh);
    server_drop(be->server);
    mem_free(be);
}

static void part_with(struct backend *be, const char *why, bool is_extra)
{
    log_debug("backend closed", "server=%s thread=%u why=%s commands=%llu", be->server->name, be->thread_id,
              log_quote(bytes_str(why)), (unsigned long long)be->commands);
    backend_move(be, BACKEND_CLOSING);
    account(be, BACKEND_CLOSING, -1);
    count_traffic(be);
    quit(be, is_extra);
    dispose(be);
}

void backend_close(struct backend *be, const char *why)
{
    part_with(be, why, false);
}

void backend_close_extra(struct backend *be)
{
    part_with(be, "it was one too many", true);
}

void backend_discard(struct backend *be)
{
    backend_move(be, BACKEND_CLOSING);
    account(be, BACKEND_CLOSING, -1);
    count_traffic(be);
    stream_close(&be->stream);
    dispose(be);
}

void backend_set_state(struct backend *be, struct state *state)
{
    struct state *before = be->state;
    be->state = state_take(state);
    state_drop(before);
}

void backend_write(struct backend *be, uint8_t command, struct bytes argument)
{
    uint8_t seq = 0;
    /* or its answer would be taken for another's */
    must(command == COM_QUIT || !backend_is_followed(be));
    size_t mark = packet_begin(&be->stream.out);
    write_u8(&be->stream.out, command);
    if (command == COM_QUERY && (be->caps & CAP_QUERY_ATTRIBUTES) != 0)
        buf_add(&be->stream.out, BYTES_LITERAL("\0\1"));   /* none of them */
    buf_add(&be->stream.out, argument);
    packet_end(&be->stream.out, mark, &seq);
}

/* Read one packet whole: `*p` says where it lies in stream.in; the caller skips it. */
static bool need_packet(struct task *t, struct backend *be, struct packet *p, double deadline,
                        struct fault *why)
{
    size_t need = FRAME_HEADER;
    while (stream_need(t, &be->stream, need, deadline, why)) {
        struct fault bad = FAULT_NONE;
        if (packet_find(buf_bytes(&be->stream.in), 1 << 20, p, &need, &bad))
            return true;
        if (need == 0)
            return fault_set(why, BLAME_SERVER, CR_SERVER_LOST, "volvox: server %s: %s",
                             be->server->name, bad.text);
    }
    return false;
}

enum response_step backend_step(struct task *t, struct backend *be, struct response *r,
                                struct response_found *f, double deadline, struct fault *why)
{
    struct buf *in = &be->stream.in;
    enum response_step what;
    while ((what = response_next(r, buf_len(in) > 0 ? buf_head(in) : NULL, buf_len(in), f, why)) ==
           STEP_MORE)
        if (!stream_need(t, &be->stream, f->need, deadline, why))
            return STEP_BAD;
    return what;
}

/* Read one packet; the payload is a copy in the task's arena. */
static bool read_packet(struct task *t, struct backend *be, struct bytes *payload, double deadline,
                        struct fault *why)
{
    struct packet p;
    if (!need_packet(t, be, &p, deadline, why))
        return false;
    struct bytes in = buf_bytes(&be->stream.in);
    *payload = arena_copy(task_arena(t), packet_payload(in, &p, task_arena(t)));
    buf_skip(&be->stream.in, p.wire_len);
    return true;
}

bool backend_nonsense(const struct backend *be, struct fault *why)
{
    return fault_set(why, BLAME_SERVER, CR_SERVER_LOST,
                     "volvox: server %s gave an answer that makes no sense", be->server->name);
}

/* What is neither OK nor a result set. */
static bool refused(const struct backend *be, struct bytes payload, struct fault *why)
{
    struct err err;
    if (payload.len == 0 || payload.data[0] != 0xFF || !err_read(payload, &err, why))
        return backend_nonsense(be, why);
    /* (its last word to who was idle for too long: no answer) */
    enum blame blame = err.code == ER_CLIENT_INTERACTION_TIMEOUT ? BLAME_SERVER : BLAME_QUERY;
    return fault_set_state(why, blame, err.code, err.sqlstate, "%.*s", BYTES_FMT(err.text));
}

/* Whoever asks for warnings next must not see those of what we said ourselves. */
static void note_warnings(struct backend *be, struct bytes payload)
{
    struct ok ok;
    be->has_diagnostics |=
        payload.data[0] == 0x00 && ok_read(payload, be->caps, &ok, NULL) && ok.warnings > 0;
}

bool backend_read_answer(struct task *t, struct backend *be, struct ok *ok, double deadline,
                         struct fault *why)
{
    struct bytes payload;
    if (!read_packet(t, be, &payload, deadline, why))
        return false;
    if (payload.len > 0 && (payload.data[0] == 0x00 || payload.data[0] == 0xFE)) {
        note_warnings(be, payload);
        return ok == NULL || ok_read(payload, be->caps, ok, why);
    }
    be->has_diagnostics = true;
    return refused(be, payload, why);
}

/* (The command's own answer follows that of a statement in its text.) */
static bool read_owed(struct task *t, struct backend *be, bool is_joined, double deadline, struct fault *why)
{
    struct ok ok = { .status = STATUS_MORE_RESULTS };
    if (!backend_read_answer(t, be, is_joined ? &ok : NULL, deadline, why))
        return false;
    return (ok.status & STATUS_MORE_RESULTS) != 0 || backend_nonsense(be, why);
}

bool backend_settle_owed(struct task *t, struct backend *be, double deadline, struct fault *why)
{
    bool accepted = true, blames_connection = false;
    struct fault later;
    if (!stream_flush(t, &be->stream, deadline, why))
        return false;
    while (be->n_owed > 0) {
        struct fault *first = accepted ? why : &later;
        bool is_joined = be->n_owed <= be->n_joined;
        bool ok = read_owed(t, be, is_joined, deadline, first);
        if (!ok && first->blame != BLAME_QUERY) {
            if (first != why)
                *why = later;
            return false;
        }
        if (!ok && be->owed[0] == OWED_SIGNAL) {
            *first = FAULT_NONE;  /* an error is what that is for */
            ok = true;
        }
        if (!ok && accepted)
            blames_connection = be->owed[0] == OWED_SET && be->undoes;
        if (be->owed[0] == OWED_CLEAR)
            be->has_diagnostics = false;
        accepted &= ok;
        be->state_in_doubt |= !ok;
        be->joined_refused = is_joined && !ok;
        if (be->joined_refused)
            be->n_owed = 1;       /* there it ended */
        be->n_owed--;
        memmove(be->owed, be->owed + 1, be->n_owed * sizeof be->owed[0]);
    }
    be->undoes = false;
    be->n_joined = 0;
    if (blames_connection)
        why->blame = BLAME_SERVER;
    return accepted;
}

bool backend_ask_ok(struct task *t, struct backend *be, uint8_t command, struct bytes argument,
                    struct ok *ok, double deadline, struct fault *why)
{
    must(be->n_owed == 0);
    backend_write(be, command, argument);
    return stream_flush(t, &be->stream, deadline, why) &&
           backend_read_answer(t, be, ok, deadline, why);
}

bool backend_ask(struct task *t, struct backend *be, uint8_t command, struct bytes argument,
                 double deadline, struct fault *why)
{
    return backend_ask_ok(t, be, command, argument, NULL, deadline, why);
}

/* The packet that ends rows, or definitions without DEPRECATE_EOF. */
static bool is_end(struct bytes payload)
{
    return payload.len > 0 && payload.data[0] == 0xFE && payload.len < FRAME_MAX;
}

static bool read_definitions(struct task *t, struct backend *be, double deadline, struct result_set *out,
                             struct fault *why)
{
    struct bytes payload;
    struct column_count columns;
    if (!read_packet(t, be, &payload, deadline, why))
        return false;
    if (payload.len > 0 && payload.data[0] == 0x00)
        return true;              /* an OK: no result set */
    if (!column_count_read(payload, be->caps, &columns) || columns.count > 4096)
        return refused(be, payload, why);
    out->n_columns = (unsigned)columns.count;
    if (!columns.follow)          /* the session set resultset_metadata = none */
        return (be->caps & CAP_DEPRECATE_EOF) != 0 || read_packet(t, be, &payload, deadline, why);
    out->columns = arena_alloc(task_arena(t), out->n_columns * sizeof *out->columns);
    for (unsigned i = 0; i < out->n_columns; i++)
        if (!read_packet(t, be, &out->columns[i], deadline, why))
            return false;
    return (be->caps & CAP_DEPRECATE_EOF) != 0 || read_packet(t, be, &payload, deadline, why);
}

static bool end_result(const struct backend *be, struct bytes payload, struct result_set *out,
                       struct fault *why)
{
    struct ok ok;
    struct cursor c = cursor_of(bytes_skip(payload, 1));
    if ((be->caps & CAP_DEPRECATE_EOF) == 0) {
        out->warnings = read_u16(&c);
        return !c.bad || backend_nonsense(be, why);
    }
    if (!ok_read(payload, be->caps, &ok, why))
        return false;
    out->warnings = ok.warnings;
    return true;
}

bool backend_read_result(struct task *t, struct backend *be, size_t max_rows, double deadline,
                         struct result_set *out, struct fault *why)
{
    struct bytes payload;
    *out = (struct result_set){ .n_rows = 0 };
    if (!read_definitions(t, be, deadline, out, why))
        return false;
    if (out->n_columns == 0)
        return true;
    out->rows = arena_alloc(task_arena(t), (max_rows + 1) * sizeof *out->rows);
    for (;;) {
        if (!read_packet(t, be, &payload, deadline, why))
            return false;
        if (is_end(payload))
            break;
        if (payload.len > 0 && payload.data[0] == 0xFF)
            return refused(be, payload, why);
        if (out->n_rows < max_rows)
            out->rows[out->n_rows] = payload;
        out->n_rows++;
    }
    if (!end_result(be, payload, out, why))
        return false;
    return out->n_rows <= max_rows || fault_set(why, BLAME_OURS, ER_UNKNOWN_ERROR,
                                                "volvox: an answer has more than %zu rows", max_rows);
}

bool backend_read_rows(struct task *t, struct backend *be, struct ask_rows *rows, double deadline,
                       struct fault *why)
{
    struct result_set r;
    struct column last = { .charset = 0 };
    size_t n = rows->n_columns;
    if (!backend_read_result(t, be, rows->max_rows, deadline, &r, why))
        return why->blame == BLAME_OURS ? backend_nonsense(be, why) : false;
    rows->n_rows = r.n_rows;
    if (r.n_columns != 0 && r.n_columns != n)
        return backend_nonsense(be, why);
    if (r.columns != NULL && !column_read(r.columns[n - 1], be->caps, &last, why))
        return backend_nonsense(be, why);
    rows->charset = last.charset;
    for (size_t i = 0; i < r.n_rows; i++)
        if (!text_row_read(r.rows[i], rows->values + n * i, n, why))
            return backend_nonsense(be, why);
    return true;
}

bool backend_ask_rows(struct task *t, struct backend *be, struct bytes sql, struct ask_rows *rows,
                      struct fault *why)
{
    double deadline = worker_now(task_worker(t)) + 10;
    must(be->n_owed == 0);
    backend_write(be, COM_QUERY, sql);
    return stream_flush(t, &be->stream, deadline, why) &&
           backend_read_rows(t, be, rows, deadline, why);
}

bool backend_ask_one(struct task *t, struct backend *be, struct bytes sql, struct ask_rows *row,
                     struct fault *why)
{
    row->max_rows = 1;
    return backend_ask_rows(t, be, sql, row, why) && (row->n_rows == 1 || backend_nonsense(be, why));
}

bool backend_ask_row(struct task *t, struct backend *be, struct bytes sql, struct bytes *values,
                     size_t n, struct fault *why)
{
    struct ask_rows row = { .values = values, .n_columns = n };
    return backend_ask_one(t, be, sql, &row, why);
}
