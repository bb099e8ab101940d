/*
 * settle.c - who is to blame; see inside.h.
 *
 *   blame     the client hears   its backend                        the session
 *   CLIENT    -                  killed if it runs a command        ends
 *   SERVER    ERR                closed                             goes on
 *   QUERY     the server's ERR   kept; closed if it refused what    goes on
 *                                was to be restored
 *   POLICY    ERR                untouched                          goes on
 *   TIME      ERR                killed if it runs a command        goes on; ends if cancelled
 *   OURS      ERR 1105           closed                             goes on
 *
 * COMMIT RELEASE, and COMMIT where completion_type says so, end the session.
 *
 * A session that was pinned to a backend which is gone now ends, whoever is to blame: its
 * transaction is lost, and what comes next would run outside of it.
 *
 * This is the only place that decides whether a session keeps its backend.
 */
#include "session/inside.h"

#include "base/clock.h"
#include "base/log.h"

/* In the character set that the client wants its results in.  What a server said is. */
static struct bytes in_charset(const struct session *s, const struct fault *why, struct buf *wide)
{
    struct bytes text = bytes_str(why->text), charset = BYTES_NONE;
    if (s->state != NULL && why->blame != BLAME_QUERY)
        charset = state_value(s->state, BYTES_LITERAL("character_set_results"));
    size_t width = charset_width(charset);
    bool is_little = bytes_equal(charset, BYTES_LITERAL("utf16le"));
    for (size_t i = 0; width > 1 && i < text.len; i++)
        for (size_t at = 0; at < width; at++)
            buf_add_u8(wide, at == (is_little ? 0 : width - 1) ? text.data[i] : 0);
    return width > 1 ? buf_bytes(wide) : text;
}

bool tell_error(struct task *t, struct session *s, const struct fault *why, uint8_t seq,
                struct fault *broken)
{
    unsigned code = why->code != 0               ? why->code
                    : why->blame == BLAME_SERVER ? CR_SERVER_LOST
                    : why->blame == BLAME_TIME   ? ER_QUERY_INTERRUPTED
                                                 : ER_UNKNOWN_ERROR;
    const char *sqlstate = why->sqlstate[0] != '\0' ? why->sqlstate : sqlstate_of(code);
    struct buf wide = { 0 };
    err_write(&s->client.out, &seq, code, sqlstate, in_charset(s, why, &wide), s->caps);
    buf_release(&wide);
    return stream_flush(t, &s->client, 0, broken);
}

/* A statement that makes servers fall over must not visit all of them. */
enum { TRIES_MOST = 2 };

bool answer_is_unsent(const struct session *s, const struct outcome *out)
{
    return s->client.sent == out->answer_at && !s->client.broken;
}

void answer_take_back(struct session *s, struct outcome *out)
{
    buf_skip(&s->client.out, buf_len(&s->client.out));
    out->answered = false;
}

/* Sent again only if the server can't have run it: no byte of it was taken, or it is a read outside
 * of any transaction of which the client has seen nothing. */
bool try_again(struct session *s, const struct command *cmd, struct outcome *out)
{
    if (out->why.blame != BLAME_SERVER || s->lease == NULL || !cmd->whole || out->drained ||
        out->tries == TRIES_MOST)
        return false;
    if (out->answered && !out->learned && answer_is_unsent(s, out))
        answer_take_back(s, out);
    if (out->answered)
        return false;
    if ((s->pins & ~PIN_PASSING) != 0)
        return false;
    if (out->sent && (!cmd->st.reads_only || (s->status & STATUS_AUTOCOMMIT) == 0))
        return false;
    log_info("command is tried on another connection", "session=%u server=%s why=%s", s->id,
             s->lease->server->name, log_quote(bytes_str(out->why.text)));
    count(session_worker(s), retries);
    session_pin(s, 0);
    let_go(s, PUT_CLOSE);
    out->why = FAULT_NONE;
    out->sent = false;
    out->tries++;
    return true;
}

/* Servers keep the warnings and counts of the statement before across these. */
static bool is_no_statement(const struct command *cmd)
{
    return cmd->action == ACTION_ANSWER || cmd->code == COM_PING;
}

static bool is_statement(const struct command *cmd)
{
    return cmd->code == COM_QUERY || cmd->code == COM_STMT_PREPARE ||
           cmd->code == COM_STMT_BULK_EXECUTE ||
           (cmd->code == COM_STMT_EXECUTE && cmd->stmt != NULL);
}

/* Both keep them across commands that are no statements; MariaDB across statements that use no
 * table, too, and reports none with those. */
static bool backend_keeps_diagnostics(const struct backend *be, const struct command *cmd)
{
    return be->is_mariadb || !is_statement(cmd);
}

/* MariaDB replaces them by an error, whatever the command. */
bool adds_to_diagnostics(const struct session *s, const struct command *cmd)
{
    return !s->mode.is_mariadb && !is_statement(cmd);
}

enum keeping keeps_diagnostics(const struct session *s, const struct command *cmd)
{
    bool asks = (cmd->st.effects & EFFECT_DIAGNOSTICS) != 0;
    bool has_any =
        (s->pins & PIN_DIAGNOSTICS) != 0 || diagnostics_were_told(s) || diagnostics_were_taken(s) ||
        diagnostics_are_in_doubt(s);
    if (is_no_statement(cmd) || !is_statement(cmd))
        return DIAGNOSTICS_STAY;
    if (asks && (cmd->st.effects & EFFECT_MULTI) != 0)
        return DIAGNOSTICS_MAY_STAY;
    if (asks && cmd->st.verb != VERB_SELECT)
        return DIAGNOSTICS_STAY;
    if (!has_any || !s->mode.is_mariadb) /* MySQL: SELECT @@warning_count is a statement */
        return DIAGNOSTICS_GO;
    if (!cmd->whole)
        return DIAGNOSTICS_MAY_STAY;
    switch (
        statement_tables(command_statement_text(cmd), &s->mode, cmd->st.verb, cmd->st.effects)) {
    case TABLES_NONE:
        return DIAGNOSTICS_STAY;
    case TABLES_MAYBE:
        return DIAGNOSTICS_MAY_STAY;
    case TABLES_SURE:
        break;
    }
    return DIAGNOSTICS_GO;
}

void note_warnings(struct session *s, unsigned n)
{
    if (!s->mode.is_mariadb && (n > 0 || s->more != NULL))
        session_more(s)->n_warnings = (uint16_t)n;
}

/* (MySQL warns of COM_FIELD_LIST and does not report that) */
static bool has_new_diagnostics(const struct session *s, const struct command *cmd,
                                const struct outcome *out)
{
    bool is_warned_of = cmd->code == COM_FIELD_LIST && !s->mode.is_mariadb;
    return (out->got_error || out->warnings > 0 || is_warned_of) && !out->diagnostics_taken;
}

uint32_t pins_behind(const struct session *s, const struct command *cmd, const struct outcome *out)
{
    uint32_t pins = s->pins & ~PIN_PASSING;
    if (is_no_statement(cmd) && s->pins != 0)
        return s->pins;
    if (has_new_diagnostics(s, cmd, out) ||
        ((s->pins & PIN_DIAGNOSTICS) != 0 && keeps_diagnostics(s, cmd) != DIAGNOSTICS_GO))
        pins |= PIN_DIAGNOSTICS;
    if ((cmd->st.effects & EFFECT_CALC_FOUND_ROWS) != 0 || habit_is_known(s, &s->home->shared->counts))
        pins |= PIN_COUNTS;
    if (out->got_error && out->error == ER_MUST_CHANGE_PASSWORD)
        pins |= PIN_EXPIRED;
    if (s->lease->reports_as_asked)
        pins |= PIN_TRACKING;
    return pins;
}

/* What MySQL says that there are: SHOW WARNINGS and the like leave them there and count as without
 * any, and so do most commands that are no statements. */
static void count_warnings(struct session *s, const struct command *cmd, const struct outcome *out)
{
    bool shows = (cmd->st.effects & EFFECT_DIAGNOSTICS) != 0 && cmd->st.verb != VERB_SELECT;
    if (!out->over || cmd->response == RESPONSE_NONE || cmd->code == COM_STATISTICS)
        return;
    unsigned before = tells_of_before(s->lease, cmd) ? diagnostics_count(s) : 0;
    note_warnings(s, out->got_error                ? before + 1
                     : !is_statement(cmd)          ? before
                     : shows && out->warnings == 0 ? 0
                                                   : out->warnings);
}

/* The response is over and the conversation sound. */
static void keep_or_put(struct session *s, const struct command *cmd, const struct outcome *out)
{
    uint32_t pins = pins_behind(s, cmd, out);
    s->is_stuck = false;
    if (is_no_statement(cmd) && s->pins != 0)
        return;
    enum keeping keeping = keeps_diagnostics(s, cmd);
    count_warnings(s, cmd, out);
    if (has_new_diagnostics(s, cmd, out) ||
        (!out->diagnostics_taken && keeping == DIAGNOSTICS_GO)) {
        diagnostics_forget(s);
        s->used_found_rows = false;
    } else if (keeping == DIAGNOSTICS_MAY_STAY && !out->diagnostics_taken &&
               (diagnostics_were_taken(s) || diagnostics_were_told(s))) {
        diagnostics_doubt(s);
    }
    s->lease->has_diagnostics =
        (pins & PIN_DIAGNOSTICS) != 0 || diagnostics_were_told(s) ||
        (s->lease->has_diagnostics && backend_keeps_diagnostics(s->lease, cmd));
    if ((pins & PIN_EXPIRED) != 0)
        s->lease->sandbox = SANDBOX_IN; /* MariaDB takes our own SETs even then */
    session_pin(s, pins);
    if (pins == 0)
        let_go(s, PUT_CLEAN);
}

static void settle_lease(struct session *s, const struct command *cmd, const struct outcome *out)
{
    if (s->lease == NULL)
        return;
    if (out->tunnelled || out->released) {
        let_go(s, PUT_DROP);
        return;
    }
    bool sound = (out->over || !out->sent) && s->lease->n_owed == 0 && !s->lease->state_in_doubt;
    bool server_to_blame = !out->done && (out->why.blame == BLAME_SERVER || out->why.blame == BLAME_OURS);
    if (sound && !server_to_blame) {
        keep_or_put(s, cmd, out);
        return;
    }
    session_pin(s, s->pins & ~PIN_PASSING);
    let_go(s, server_to_blame || !out->sent ? PUT_CLOSE : PUT_KILL);
}

static void note_failure(const struct session *s, const struct outcome *out)
{
    enum log_level level = out->why.blame == BLAME_OURS ? LOG_ERROR : LOG_INFO;
    count(session_worker(s), commands_failed);
    log_at(level, "command failed", "session=%u blame=%s code=%u why=%s", s->id,
           blame_name(out->why.blame), out->why.code, log_quote(bytes_str(out->why.text)));
}

static void linger(struct task *t, struct session *s)
{
    stream_linger(t, &s->client, s->config->settings.linger_ms / 1000.0);
}

/* The client's compressed frames are not numbered as they should be.  (MariaDB's answer where a command should
 * begin is numbered as if there had been one.) */
static void tell_disorder(struct task *t, struct session *s, uint8_t due)
{
    struct fault why, broken;
    fault_set(&why, BLAME_POLICY, ER_PACKETS_OUT_OF_ORDER, "Got packets out of order");
    if (s->mode.is_mariadb && due == 0)
        stream_skip_numbers(&s->client, 2);
    if (tell_error(t, s, &why, due, &broken))
        linger(t, s);
}

/* The command failed, and not by the server's ERR.  Tell the client, if it can still be told: once
 * something of a response has gone out, an ERR is understood only where rows are expected, so who got
 * half an answer is better served by the end of the connection. */
static bool recover(struct task *t, struct session *s, struct command *cmd, struct outcome *out,
                    bool was_pinned)
{
    struct fault broken = FAULT_NONE;
    uint8_t due;
    if (stream_is_out_of_order(&s->client, &due)) {
        tell_disorder(t, s, due);
        return false;
    }
    if (out->why.blame == BLAME_CLIENT || s->client.broken || s->client.peer_closed)
        return false;
    if (out->tunnelled) {
        linger(t, s);             /* the server's last words */
        return false;
    }
    note_failure(s, out);
    counts_failed(s, cmd, out->why.code);
    if (out->answered && !s->is_killed)
        stream_flush(t, &s->client, stall_deadline(t), &broken);
    if (out->answered || s->is_killed)
        return false;
    bool has_lost = was_pinned && s->lease == NULL;
    if (cmd->response == RESPONSE_NONE && cmd->action != ACTION_ANSWER && !cmd->ends_session) {
        if (has_lost && out->why.code != 0 && tell_error(t, s, &out->why, 0, &broken))
            linger(t, s);         /* the server's words */
        if (has_lost)
            return false;
        if (cmd->stmt != NULL)
            stmt_long_data_failed(cmd, &out->why);
        return command_drop(t, s, cmd, out);
    }
    bool ends = cmd->ends_session || has_lost || !command_drop(t, s, cmd, out);
    /* (a server's may be about what was sent before the command, to prepare it) */
    bool is_ours = out->why.blame != BLAME_QUERY || !out->got_error;
    bool is_told = !ends && s->user != NULL && is_ours && !diagnostics_are_asked(cmd);
    if (is_told && adds_to_diagnostics(s, cmd))
        diagnostics_tell_more(t, s, cmd, &out->why);
    else if (is_told)
        diagnostics_tell(s, &out->why);
    if (!tell_error(t, s, &out->why, cmd->error_seq, &broken))
        return false;
    if (ends)
        linger(t, s);
    return !ends;
}

static void note_latency(struct server *server, uint64_t us)
{
    unsigned long long slowest = atomic_load_explicit(&server->slowest_us, memory_order_relaxed);
    atomic_fetch_add_explicit(&server->served_us, us, memory_order_relaxed);
    while (us > slowest &&
           !atomic_compare_exchange_weak_explicit(&server->slowest_us, &slowest, us,
                                                  memory_order_relaxed, memory_order_relaxed))
        ;
}

static struct bytes text_of_stmt(const struct session *s, const struct stmt *st)
{
    return st->has_own_id ? own_id_text(s, st->text->text) : st->text->text;
}

/* While the command's bytes are still there: its text may be needed. */
static void record(const struct session *s, const struct command *cmd, const struct outcome *out)
{
    struct server *server = s->lease != NULL ? s->lease->server : NULL;
    /* (a local file was read over it) */
    bool has_text = (cmd->code == COM_QUERY || cmd->code == COM_STMT_PREPARE) && cmd->whole &&
                    !out->drained;
    bool ours = !out->done && out->why.blame != BLAME_NONE;
    struct served served = {
        .digest = cmd->st.digest,
        .text = cmd->stmt != NULL ? text_of_stmt(s, cmd->stmt)
                : has_text        ? command_text(cmd)
                                  : BYTES_NONE,
        .mode = &s->mode,
        .user = s->account->name,
        .server = server != NULL ? server->name : NULL,
        .schema = s->state->schema,
        .by = out->by,
        .total_us = clock_us() - out->started_us,
        .wait_us = out->wait_us,
        .rows = out->rows,
        .bytes = out->bytes,
        .error = ours ? out->why.code : out->error,
        .session = s->id,
    };
    if (ours && served.error == 0)
        served.error = ER_UNKNOWN_ERROR;
    served_record(session_worker(s), &served);
    pace_note(s, cmd, out);
    if (server != NULL)
        note_latency(server, served.total_us - MIN(served.wait_us, served.total_us));
    if (ours)
        fault_note(&out->why, s->account->name, s->id);
}

/* KILL QUERY came while the command waited for a connection: that alone ends. */
static void end_interruption(struct task *t, struct session *s, struct outcome *out)
{
    s->is_interrupted = false;
    task_forgive(t);
    if (!out->done)
        fault_set(&out->why, BLAME_TIME, ER_QUERY_INTERRUPTED, "Query execution was interrupted");
}

static bool is_released(const struct session *s, const struct command *cmd,
                        const struct outcome *out)
{
    if (!out->over || out->got_error || cmd->code == COM_STMT_PREPARE)
        return false;
    struct bytes usual = state_value(s->state, BYTES_LITERAL("completion_type"));
    return cmd->st.release == RELEASE_YES ||
           (cmd->st.release == RELEASE_USUAL && bytes_equal(usual, BYTES_LITERAL("RELEASE")));
}

bool settle(struct task *t, struct session *s, struct command *cmd, struct outcome *out)
{
    out->released = cmd->st.release != RELEASE_NONE && is_released(s, cmd, out);
    bool was_pinned = s->lease != NULL && (s->pins & ~PIN_PASSING) != 0;
    bool cancelled = task_is_cancelled(t) && !s->is_interrupted;
    if (s->is_interrupted)
        end_interruption(t, s, out);
    if (cmd->head != NULL && s->user != NULL) {
        count(session_worker(s), commands);
        s->commands++;
        if (!out->tunnelled)      /* how long it lasted is no latency */
            record(s, cmd, out);
    }
    settle_lease(s, cmd, out);
    if (cancelled)
        task_forgive(t);
    if (!out->done)
        return recover(t, s, cmd, out, was_pinned) && !cancelled;
    if (!command_drop(t, s, cmd, out)) {
        linger(t, s);             /* it was answered before it was all there */
        return false;
    }
    if (out->released) {
        session_pin(s, 0);
        linger(t, s);
        return false;
    }
    return !cancelled && !s->is_killed;
}
