/*
 * relay.c - the command to the server, the response to the client; see inside.h.
 *
 * Bounded both ways: what the client does not take stops the reading from the server, what the
 * server does not take stops the reading from the client.  Rows pass as they are.  Only the
 * packets that mean something are read, and rewritten where the client speaks a poorer dialect
 * than we speak with the server:
 *
 *   server (DEPRECATE_EOF, SESSION_TRACK)      client without them
 *   columns                                    columns, EOF          (numbers move by one)
 *   rows, OK 0xFE with tracker entries         rows, EOF
 *   OK with our tracker entries                OK with those it asked for, or none
 */
#include "session/inside.h"

enum { KEPT_BACK = 8 << 10 };

/* ---- the response ------------------------------------------------------------------------- */

static bool put(struct task *t, struct relay *x, struct bytes data)
{
    x->out->answered = true;
    return stream_put(t, &x->s->client, data, stall_deadline(t), &x->out->why);
}

bool relay_put(struct task *t, struct relay *x, struct bytes data)
{
    return put(t, x, data);
}

static bool same_dialect(const struct relay *x)
{
    const uint64_t matters = CAP_DEPRECATE_EOF | CAP_SESSION_TRACK;
    return (x->s->caps & matters) == (x->be->caps & matters);
}

/* What the flags will be at the end of the rows, as the server would say it before them. */
static uint16_t expect_status(const struct relay *x)
{
    const struct statement *st = &x->cmd->st;
    bool runs = x->cmd->code != COM_STMT_PREPARE;
    bool more = runs && (st->verb == VERB_CALL || (st->effects & EFFECT_MULTI) != 0);
    /* the other flags were about the statement before: its cursor, for instance */
    return (uint16_t)((x->s->status & STATUS_LASTING) | (more ? STATUS_MORE_RESULTS : 0) |
                      stmt_metadata_flag(x->cmd, x->r.columns));
}

static void insert_eof(struct relay *x, uint8_t seq)
{
    struct stream *client = &x->s->client;
    uint16_t warnings = x->cmd->code == COM_STMT_PREPARE ? x->out->warnings : 0;
    eof_write(&client->out, &seq, expect_status(x), warnings);
    x->eof_end = client->sent + buf_len(&client->out);
    x->eof_rows = x->r.rows;
    x->r.seq_shift++;
}

/* The rows have come to their end before the EOF that we put before them was sent: now we know. */
static void amend_eof(struct relay *x, const struct ok *ok)
{
    struct stream *client = &x->s->client;
    uint16_t status = (uint16_t)(ok->status & ~(STATUS_SESSION_STATE_CHANGED | STATUS_LAST_ROW_SENT));
    if (x->eof_end < client->sent + 2 * sizeof status)
        return;
    uint8_t *end = buf_head(&client->out) + (x->eof_end - client->sent);
    end[-2] = (uint8_t)status;
    end[-1] = (uint8_t)(status >> 8);
    if (x->r.rows != x->eof_rows)
        return;
    /* no row, so the warnings are most likely about a condition, and were there before */
    end[-4] = (uint8_t)ok->warnings;
    end[-3] = (uint8_t)(ok->warnings >> 8);
}

static bool pass_ok(struct task *t, struct relay *x, const struct response_found *f, struct ok *ok,
                    bool end_of_rows, bool as_sent)
{
    struct session *s = x->s;
    if (end_of_rows && x->insert_eof)
        amend_eof(x, ok);
    bool is_plain = ok->track.len == 0 && (ok->status & STATUS_SESSION_STATE_CHANGED) == 0;
    if (as_sent && is_plain && same_dialect(x) && !has_untold(s))
        return put(t, x, bytes_of(f->payload - FRAME_HEADER, f->payload_len + FRAME_HEADER));
    struct buf kept = { 0 };
    uint8_t seq = f->seq;
    bool changed = tell(s, ok, end_of_rows, &kept);
    ok->track = buf_bytes(&kept);
    ok->status = (uint16_t)(changed ? ok->status | STATUS_SESSION_STATE_CHANGED
                                    : ok->status & ~STATUS_SESSION_STATE_CHANGED);
    if (end_of_rows || f->payload[0] == 0xFE)
        end_of_rows_write(&s->client.out, &seq, ok, s->caps);
    else
        ok_write(&s->client.out, &seq, ok, 0x00, s->caps);
    buf_release(&kept);
    x->out->answered = true;
    return true;
}

/* The server's is about what it knew of a statement that several sessions share.  True if that is not
 * what this session is to hear. */
static bool correct_metadata_flag(const struct relay *x, struct ok *ok)
{
    struct stmt *st = x->cmd->stmt;
    uint16_t told = ok->status;
    if (st == NULL || x->cmd->code != COM_STMT_EXECUTE || x->r.columns == 0)
        return false;
    uint16_t flag = stmt_metadata_flag(x->cmd, x->r.columns);
    ok->status = (uint16_t)((told & ~STATUS_METADATA_CHANGED) | flag);
    if (flag != 0)
        st->columns = (uint16_t)x->r.columns;
    return ok->status != told;
}

/* Those of before, which may have been on another connection, or been answered.  True if the server's are others. */
static bool correct_warnings(const struct relay *x, struct ok *ok)
{
    uint16_t told = ok->warnings;
    bool tells = tells_of_before(x->be, x->cmd) || (x->cmd->code == COM_PING && !x->be->is_mariadb);
    if (!tells)
        return false;
    ok->warnings = diagnostics_count(x->s);
    return ok->warnings != told;
}

static bool on_ok(struct task *t, struct relay *x, const struct response_found *f, bool end_of_rows)
{
    struct ok ok;
    if (!ok_read(bytes_of(f->payload, f->payload_len), x->be->caps, &ok, &x->out->why))
        return false;
    learn_ok(x->s, x->cmd, &ok);
    if (end_of_rows)
        counts_read(x->s, x->cmd, x->r.rows);
    else
        counts_changed(x->s, x->cmd, ok.affected);
    x->out->learned = true;
    /* (MariaDB keeps those of a part when the parts behind it use no table) */
    x->out->warnings = x->be->is_mariadb ? MAX(x->out->warnings, ok.warnings) : ok.warnings;
    if (x->cmd->stmt != NULL)
        stmt_executed(x->s, x->cmd, ok.status);
    bool as_sent = !correct_metadata_flag(x, &ok) && !correct_warnings(x, &ok);
    return pass_ok(t, x, f, &ok, end_of_rows, as_sent);
}

/* (Not called for a cursor's definitions: one packet ends both them and the response.) */
static bool on_columns_end(struct task *t, struct relay *x, const struct response_found *f)
{
    if (f->len > 0 && !x->drop_eof)
        return put(t, x, bytes_of(f->payload - FRAME_HEADER, f->payload_len + FRAME_HEADER));
    if (f->len > 0)
        x->r.seq_shift--;
    else if (x->insert_eof)
        insert_eof(x, f->seq);
    return true;
}

static bool on_prepared(struct task *t, struct relay *x, const struct response_found *f)
{
    struct prepared p;
    struct outcome *out = x->out;
    if (!prepared_read(bytes_of(f->payload, f->payload_len), x->be->caps, &p, &out->why))
        return false;
    out->learned = true;
    out->warnings = p.warnings;
    struct stmt *st = stmt_prepared(x->s, x->cmd, &p);
    for (int i = 0; i < 4; i++)
        f->payload[1 + i] = (uint8_t)(st->id >> 8 * i);
    return on_prepared_columns(t, x, st, &p, f);
}

/* Only for clients that asked for them; the numbers close up behind one that is dropped. */
static bool on_progress(struct task *t, struct relay *x, const struct response_found *f)
{
    if ((x->s->caps & CAP_PROGRESS) != 0)
        return put(t, x, bytes_of(f->payload - FRAME_HEADER, f->payload_len + FRAME_HEADER));
    x->r.seq_shift--;
    return true;
}

/* An error may quote what the client has not written; that a thread is unknown is for kill.c to judge. */
static bool put_err(struct task *t, struct relay *x, const struct response_found *f)
{
    struct err err;
    uint8_t seq = f->seq;
    struct command *cmd = x->cmd;
    bool may_be_ours = cmd->action == ACTION_KILL && x->out->error == ER_NO_SUCH_THREAD;
    if ((!cmd->has_own_id && !may_be_ours) ||
        !err_read(bytes_of(f->payload, f->payload_len), &err, NULL))
        return put(t, x, bytes_of(f->payload - FRAME_HEADER, f->payload_len + FRAME_HEADER));
    if (may_be_ours) {
        cmd->error_seq = f->seq;
        fault_set_state(&x->out->why, BLAME_QUERY, err.code, err.sqlstate, "%.*s", BYTES_FMT(err.text));
        return true;
    }
    err_write(&x->s->client.out, &seq, err.code, err.sqlstate, own_id_text(x->s, err.text), x->s->caps);
    return put(t, x, BYTES_NONE);
}

static bool on_err(struct task *t, struct relay *x, const struct response_found *f)
{
    x->out->got_error = true;
    if (f->payload_len >= 3)
        x->out->error = (uint16_t)(f->payload[1] | f->payload[2] << 8);
    count(session_worker(x->s), server_errors);
    counts_failed(x->s, x->cmd, x->out->error);
    /* An ERR carries no flags: with autocommit off there may be a transaction now. */
    if ((x->s->status & STATUS_AUTOCOMMIT) == 0)
        session_pin(x->s, x->s->pins | PIN_TRANSACTION);
    if (x->cmd->stmt != NULL)
        stmt_failed(x->s, x->cmd, x->out->error);
    if (x->cmd->st.is_broken && x->out->error != ER_PARSE_ERROR)
        learn_doubt(x->s, x->cmd);
    return put_err(t, x, f);
}

static bool on_infile(struct task *t, struct relay *x, const struct response_found *f)
{
    struct upload up = { .server_seq = x->r.next_seq };
    if ((x->s->caps & CAP_LOCAL_FILES) == 0)
        return fault_set(&x->out->why, BLAME_SERVER, CR_SERVER_LOST,
                         "volvox: server %s asked for a file that the client did not allow",
                         x->be->server->name);
    x->out->answered = true;
    /* the command has been consumed; what the client sends now is the file */
    if (!x->out->drained) {
        buf_skip(&x->s->client.in, x->cmd->wire_len);
        x->out->drained = true;
    }
    if (!infile(t, x->s, x->be, bytes_of(f->payload - FRAME_HEADER, f->payload_len + FRAME_HEADER),
                &up, &x->out->why))
        return false;
    response_after_infile(&x->r, up.server_seq);
    x->r.seq_shift = (uint8_t)(up.client_seq - up.server_seq);
    return true;
}

/* Nobody asks a client that waits for its answer to be silent, so what is readable may be its next
 * commands, or its end. */
static bool client_is_there(struct relay *x)
{
    enum presence peer = stream_peer(&x->s->client);
    x->client_is_ahead |= peer == PEER_SPOKE;
    return peer != PEER_GONE ||
           fault_set(&x->out->why, BLAME_CLIENT, 0, "client left while its command ran");
}

/* What the client has not got yet goes out before we park; woken also by a client that says something. */
static bool wait_for_server(struct task *t, struct relay *x)
{
    struct stream *in = &x->be->stream, *client = &x->s->client;
    /* (a little of an answer that has to be taken back if it ends with warnings: follow.c) */
    bool may_take_back = backend_is_followed(x->be) && buf_len(&client->out) < KEPT_BACK;
    if (!may_take_back && stream_has_unsent(client) && !stream_flush(t, client, stall_deadline(t), &x->out->why))
        return false;
    struct wait wait = { .readable = &in->watch,
                         .readable2 = x->client_is_ahead ? NULL : &client->watch };
    return task_wait(t, &wait) != WOKE_CANCELLED ||
           fault_set(&x->out->why, BLAME_TIME, ER_QUERY_INTERRUPTED, "Query execution was interrupted");
}

/* The inner part of a large packet, without looking at it; as far as that is possible. */
static bool pass_blindly(struct task *t, struct relay *x)
{
    struct stream *in = &x->be->stream, *client = &x->s->client;
    for (;;) {
        uint64_t blind = response_blind(&x->r), left = blind;
        if (!stream_may_splice(in, client, blind))
            return true;
        enum spliced how = stream_splice(t, in, client, &left, stall_deadline(t), &x->out->why);
        response_passed(&x->r, blind - left);
        if (how == SPLICE_FAILED)
            return false;
        if (how == SPLICE_NOT)
            return true;
        if (how == SPLICE_EMPTY) {
            if (!x->client_is_ahead && !client_is_there(x))
                return false;
            if (!wait_for_server(t, x))
                return false;
        }
        task_breathe(t);
    }
}

/* Wait for more of the response; a client that leaves meanwhile is noticed. */
static bool more(struct task *t, struct relay *x, size_t need)
{
    struct stream *in = &x->be->stream;
    if (!pass_blindly(t, x))
        return false;
    size_t have = buf_len(&in->in);
    /* Right after the command the server has said nothing yet: don't ask the socket for that. */
    bool waits_first =
        x->r.bytes == 0 && have == 0 && !in->peer_closed && !in->unreadable && !in->in_filled;
    for (;; waits_first = false) {
        if (!waits_first && stream_fill(in, need - have) != 0)
            break;
        if (!wait_for_server(t, x))
            return false;
        if (!x->client_is_ahead && stream_fill(in, need - have) == 0 && !client_is_there(x))
            return false;
        if (buf_len(&in->in) > have)
            break;
    }
    return buf_len(&in->in) >= need || stream_need(t, in, need, 0, &x->out->why);
}

/* (For each packet, and called in one place: the compiler finds it too long to be inlined by itself.) */
static inline __attribute__((always_inline)) bool step(struct task *t, struct relay *x,
                                                       enum response_step what,
                                                       const struct response_found *f)
{
    switch (what) {
    case STEP_MORE:
        return more(t, x, f->need);
    case STEP_PASS:
        return put(t, x, bytes_of(buf_head(&x->be->stream.in), f->len));
    case STEP_COLUMNS:
        return on_columns(t, x, f);
    case STEP_DEFINITION:
        return on_definition(t, x, f);
    case STEP_COLUMNS_END:
        return on_columns_end(t, x, f);
    case STEP_OK:
        return on_ok(t, x, f, false);
    case STEP_END_OF_ROWS:
        return on_ok(t, x, f, true);
    case STEP_ERR:
        return on_err(t, x, f);
    case STEP_PROGRESS:
        return on_progress(t, x, f);
    case STEP_INFILE:
        return on_infile(t, x, f);
    case STEP_PREPARED:
        return on_prepared(t, x, f);
    case STEP_STREAM:
        return tunnel(t, x->s, x->cmd, x->out);
    case STEP_BAD:
        break;
    }
    return false;
}

static bool relay_steps(struct task *t, struct relay *x)
{
    struct buf *in = &x->be->stream.in;
    struct response_found f;
    do {
        enum response_step what = response_next(&x->r, buf_len(in) > 0 ? buf_head(in) : NULL,
                                                buf_len(in), &f, &x->out->why);
        if (!step(t, x, what, &f))
            return false;
        if (what == STEP_MORE)
            f.last = false;
        else
            buf_skip(in, f.len);
        task_breathe(t);
    } while (!f.last);
    return true;
}

void expect_answer(struct response *r, const struct backend *be, enum response_kind kind,
                   uint8_t first_seq)
{
    response_begin(r, kind, be->caps, first_seq);
    r->any_seq = stream_compression(&be->stream) != NULL;
}

static bool relay_response(struct task *t, struct session *s, struct command *cmd, struct outcome *out)
{
    struct backend *be = s->lease;
    struct relay x = { .s = s, .be = be, .cmd = cmd, .out = out };
    bool client_wants_eof = (s->caps & CAP_DEPRECATE_EOF) == 0;
    bool server_sends_eof = (be->caps & CAP_DEPRECATE_EOF) == 0;
    x.insert_eof = client_wants_eof && !server_sends_eof;
    x.drop_eof = !client_wants_eof && server_sends_eof;
    expect_answer(&x.r, be, cmd->response, cmd->server_seq);
    x.r.seq_shift = (uint8_t)(cmd->next_seq - cmd->server_seq);
    x.r.tells_definitions = definitions_matter(&x) || cmd->has_own_id;
    out->over = relay_steps(t, &x);
    buf_release(&x.kept);
    out->rows = x.r.rows;
    out->bytes = x.r.bytes;
    return out->over;
}

/* A query of ours would make MySQL forget what the client may ask for next, and one that uses tables MariaDB, too. */
static bool save_diagnostics(struct task *t, struct session *s, const struct command *cmd, bool uses_tables,
                             struct outcome *out)
{
    bool has_older = uses_tables && (s->pins & PIN_DIAGNOSTICS) != 0 &&
                     keeps_diagnostics(s, cmd) != DIAGNOSTICS_GO;
    if ((s->lease->is_mariadb && !uses_tables) || (out->warnings == 0 && !out->got_error && !has_older))
        return true;
    out->diagnostics_taken = diagnostics_take(t, s, &out->why);
    if (!out->diagnostics_taken && out->why.blame == BLAME_OURS) {
        out->why = FAULT_NONE;    /* too many: they are lost */
        return true;
    }
    return out->diagnostics_taken;
}

/* They could not be taken: if that is all that is wrong, nobody knows what there are. */
static bool doubt_diagnostics(struct session *s, struct outcome *out)
{
    if (out->why.blame != BLAME_OURS)
        return false;
    diagnostics_doubt(s);
    out->why = FAULT_NONE;
    return true;
}

/* What the command adds to the diagnostics that were taken along. */
static bool add_diagnostics(struct task *t, struct session *s, struct outcome *out)
{
    out->diagnostics_taken = diagnostics_take_more(t, s, &out->why) || doubt_diagnostics(s, out);
    return out->diagnostics_taken;
}

/* Has the command cleared those that were taken along? */
static bool see_mark(struct task *t, struct session *s, struct outcome *out)
{
    s->more->has_mark = false;
    if (out->got_error || out->warnings > 0)
        return true;              /* its own have taken their place */
    out->diagnostics_taken = true;
    return diagnostics_see_mark(t, s, &out->why) || doubt_diagnostics(s, out);
}

/* What the text and the reply together say that the command has left behind. */
static void note_ended(struct session *s, const struct command *cmd, const struct outcome *out)
{
    bool is_run = cmd->code != COM_STMT_PREPARE;
    if (is_run && ((cmd->st.effects & EFFECT_SETS_INSERT_ID) != 0 || cmd->st.verb == VERB_CALL ||
                   (out->got_error && cmd->st.verb == VERB_WRITE)))
        note_any_insert_id(s);
    holdings_note(s, cmd, out->got_error);
    if (is_run && (cmd->st.effects & EFFECT_UNKNOWN_FUNCTION) != 0 && out->error != ER_PARSE_ERROR)
        routines_note(s, cmd);
    if (is_run && cmd->st.verb == VERB_DDL)
        routines_changed(s, cmd);
}

/* What the reply left open is asked while the client reads its answer. */
static bool look_up(struct task *t, struct session *s, const struct command *cmd, struct outcome *out)
{
    bool is_run = cmd->code != COM_STMT_PREPARE;
    note_ended(s, cmd, out);
    bool reads_routines = routines_are_unread(s) && routines_matter(pins_behind(s, cmd, out));
    bool is_unreported = is_run && (cmd->st.effects & EFFECT_SETS_UNREPORTED) != 0;
    bool asks = s->unclear != 0 || is_unreported || holdings_are_in_doubt(s) || reads_routines;
    bool is_marked = s->more != NULL && s->more->has_mark;
    bool adds = adds_to_diagnostics(s, cmd) && diagnostics_were_taken(s) &&
                (out->got_error || cmd->code == COM_FIELD_LIST);
    if (adds && !add_diagnostics(t, s, out))
        out->over = false;
    if (out->over && is_marked && !see_mark(t, s, out))
        out->over = false;
    bool reports_else = (s->lease->reports_as_asked && (s->pins & PIN_TRACKING) == 0) || s->tracking_unseen;
    if (reports_else && !tracking_end(t, s, cmd, out, &out->why))
        out->over = false;
    if (out->over && asks && !save_diagnostics(t, s, cmd, reads_routines, out))
        out->over = false;
    if (out->over && is_unreported && !learn_unreported(t, s, cmd, &out->why))
        out->over = false;
    if (out->over && s->unclear != 0 && !learn_unclear(t, s, &out->why))
        out->over = false;
    if (out->over && reads_routines && !routines_read(t, s, &out->why))
        out->over = false;
    if (out->over && holdings_are_in_doubt(s) && !holdings_ask(t, s, &out->why))
        out->over = false;
    bool wants_id = s->has_new_id && pins_behind(s, cmd, out) == 0;
    if (is_run)
        s->counts_lost = false;
    if (asks || is_marked || wants_id || out->was_recalled ||
        (reports_else && !s->lease->reports_as_asked))
        counts_spoiled(s);
    if (out->over && wants_id && !settle_insert_id(t, s, &out->why))
        out->over = false;
    return out->over;
}

static bool expects_nothing(const struct command *cmd)
{
    return cmd->response == RESPONSE_NONE;
}

/* What was sent before the command has gone well; or it is sure, in one text with the command, that this has
 * not run: then there are no effects of it. */
static bool settle_before(struct task *t, struct session *s, struct command *cmd, struct outcome *out)
{
    struct backend *be = s->lease;
    bool is_joined = cmd->joined.len > 0;
    bool ok = align_settle(t, s, &out->why);
    if (is_joined && !be->joined_refused)
        learn_effects(s, cmd);
    if (ok || !is_joined || !be->joined_refused)
        return ok;
    out->sent = false;
    if (!is_sandboxed(be, &out->why))
        return false;
    cmd->joined = BYTES_NONE;
    cmd->server_seq = 1;
    learn_effects(s, cmd);
    return send_command(t, s, cmd, out);
}

bool relay(struct task *t, struct session *s, struct command *cmd, struct outcome *out)
{
    struct backend *be = s->lease;
    must(out->is_followed || !backend_is_followed(be)); /* what comes next is for this command */
    be->commands++;
    atomic_fetch_add_explicit(&be->server->commands, 1, memory_order_relaxed);
    if (cmd->joined.len == 0)
        learn_effects(s, cmd);
    const struct state *before = s->state;
    bool sent = out->is_followed || send_command(t, s, cmd, out);
    out->sent |= out->is_followed;
    if (sent && expects_nothing(cmd)) {
        out->over = true;
        return true;
    }
    /* A server that closes while we send, or before, may have said why: look before giving up. */
    if (!sent && out->why.blame != BLAME_SERVER)
        return false;
    if (!sent && expects_nothing(cmd)) {
        stream_fill(&be->stream, FRAME_HEADER);
        backend_last_words(be, &out->why);
        return false;
    }
    if (sent)
        follow_lead(s, cmd, out);
    if (!settle_before(t, s, cmd, out))
        return false;
    if (!relay_response(t, s, cmd, out) || !follow_settle(t, s, cmd, out, before) ||
        !stream_flush(t, &s->client, stall_deadline(t), &out->why))
        return false;
    return look_up(t, s, cmd, out);
}

/* ---- a PREPARE of our own ---------------------------------------------------------------------- */

/* What the answer says, to whom it may concern; its packets stay in the stream. */
static bool note_prepare(const struct backend *be, enum response_step what,
                         const struct response_found *f, struct prepared *out, uint64_t *n_params,
                         struct buf *definitions, struct fault *why)
{
    struct err err;
    struct bytes payload = bytes_of(f->payload, f->payload_len);
    if (what == STEP_PREPARED) {
        bool ok = prepared_read(payload, be->caps, out, why);
        *n_params = out->params;
        return ok;
    }
    if (what == STEP_DEFINITION)
        return (*n_params > 0 && (*n_params)-- > 0) || definition_keep(definitions, payload, why);
    if (what != STEP_ERR)
        return what != STEP_BAD;
    return err_read(payload, &err, why) &&
           fault_set_state(why, BLAME_QUERY, err.code, err.sqlstate, "%.*s", BYTES_FMT(err.text));
}

bool swallow_prepare(struct task *t, struct backend *be, struct prepared *out,
                     struct buf *definitions, struct fault *why)
{
    struct response r;
    struct response_found f;
    uint64_t n_params = 0;
    expect_answer(&r, be, RESPONSE_PREPARE, 1);
    r.tells_definitions = (be->caps & CAP_CACHE_METADATA) != 0;
    do {
        enum response_step what = backend_step(t, be, &r, &f, 0, why);
        bool ok = note_prepare(be, what, &f, out, &n_params, definitions, why);
        if (ok || why->blame == BLAME_QUERY)
            buf_skip(&be->stream.in, f.len);
        if (!ok)
            return false;
    } while (!f.last);
    return true;
}
