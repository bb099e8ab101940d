/*
 * init_connect.c - what the servers' init_connect does to a session; see inside.h.
 *
 * A server runs that text once for each connection that is made to it, but for accounts that may
 * administer connections, and COM_RESET_CONNECTION and COM_CHANGE_USER take its effects away and do not
 * run it again.  A client's connection is made to us: so it runs once for each session, on its
 * behalf, and what it sets is learned like what the client sets itself.  Connections of the pool are
 * reset when they have been made (pool/connect.c), so that nothing of it is left in them.
 */
#include "session/inside.h"

#include "base/log.h"

enum { ANSWER_TIMEOUT_S = 60 };

/* (A role that the account has by default is not seen here.) */
static bool is_exempt(struct task *t, struct session *s, bool *exempt, struct fault *why)
{
    static const char sql[] =
        "SELECT COUNT(*) FROM information_schema.USER_PRIVILEGES WHERE PRIVILEGE_TYPE IN "
        "('SUPER','CONNECTION ADMIN','CONNECTION_ADMIN') AND "
        "GRANTEE=CONCAT('''',REPLACE(CURRENT_USER(),'@','''@'''),'''')";
    struct bytes count;
    if (!backend_ask_row(t, s->lease, bytes_str(sql), &count, 1, why))
        return false;
    *exempt = !bytes_equal(count, BYTES_LITERAL("0"));
    return true;
}

static bool take_step(struct session *s, const struct command *cmd, enum response_step what,
                      const struct response_found *f, struct fault *why)
{
    struct ok ok;
    struct err err;
    struct bytes payload = bytes_of(f->payload, f->payload_len);
    switch (what) {
    case STEP_OK:
    case STEP_END_OF_ROWS:
        if (!ok_read(payload, s->lease->caps, &ok, why))
            return false;
        learn_ok(s, cmd, &ok);
        return true;
    case STEP_ERR:
        if (err_read(payload, &err, why))
            fault_set_state(why, BLAME_QUERY, err.code, err.sqlstate, "%.*s", BYTES_FMT(err.text));
        return true;              /* the last of the answer; `why` says so */
    case STEP_MORE:
    case STEP_PASS:
    case STEP_COLUMNS:
    case STEP_DEFINITION:
    case STEP_PROGRESS:
    case STEP_COLUMNS_END:
        return true;
    case STEP_INFILE:
    case STEP_PREPARED:
    case STEP_STREAM:
    case STEP_BAD:
        break;
    }
    return false;
}

static bool take_answers(struct task *t, struct session *s, const struct command *cmd,
                         double deadline, struct fault *why)
{
    struct stream *st = &s->lease->stream;
    struct response r;
    struct response_found f;
    expect_answer(&r, s->lease, RESPONSE_RESULT, 1);
    do {
        enum response_step what = response_next(&r, buf_len(&st->in) > 0 ? buf_head(&st->in) : NULL,
                                                buf_len(&st->in), &f, why);
        if (what == STEP_MORE) {
            if (!stream_need(t, st, f.need, deadline, why))
                return false;
            f.last = false;
            continue;
        }
        if (!take_step(s, cmd, what, &f, why))
            return false;
        buf_skip(&st->in, f.len);
    } while (!f.last);
    return why->blame == BLAME_NONE;
}

/* As if it were the client's command; `cmd` has the text. */
static bool run(struct task *t, struct session *s, const struct command *cmd, struct outcome *out)
{
    bool exempt;
    struct fault *why = &out->why;
    double deadline = worker_now(task_worker(t)) + ANSWER_TIMEOUT_S;
    if (!align_settle(t, s, why) || s->lease->sandbox == SANDBOX_IN)
        return why->blame == BLAME_NONE;
    if (!is_exempt(t, s, &exempt, why) || exempt)
        return why->blame == BLAME_NONE;
    if (!tracking_begin(t, s, cmd, why))
        return false;
    learn_effects(s, cmd);
    s->lease->has_diagnostics = true;
    backend_write(s->lease, COM_QUERY, command_text(cmd));
    return stream_flush(t, &s->lease->stream, deadline, why) &&
           take_answers(t, s, cmd, deadline, why) && tracking_end(t, s, cmd, out, why) &&
           (s->unclear == 0 || learn_unclear(t, s, why));
}

/* In the servers' words, which keep to themselves what went wrong. */
static bool say_failed(struct session *s, const char *account, struct fault *why)
{
    char host[ADDRESS_TEXT_BYTES];
    struct bytes schema = s->state->schema;
    if (schema.len == 0)
        schema = BYTES_LITERAL("unconnected");
    session_host(s, host);
    log_warn("init_connect failed", "session=%u user=%s code=%u why=%s", s->id,
             log_quote(bytes_str(account)), why->code, log_quote(bytes_str(why->text)));
    return fault_set_state(why, BLAME_POLICY, ER_NEW_ABORTING_CONNECTION, "08S01",
                           "Aborted connection %u to db: '%.*s' user: '%.80s' host: '%s' (init_connect "
                           "command failed)",
                           s->id, BYTES_FMT(schema), account, host);
}

static void read_text(struct task *t, struct session *s, struct bytes text, struct command *cmd)
{
    static const uint8_t code = COM_QUERY;
    statement_read(text, &s->mode, &cmd->st);
    if ((cmd->st.effects & EFFECT_CONNECTION_ID) != 0)
        text = thread_id_put(text, &s->mode, s->state->schema, s->id, task_arena(t));
    struct bytes parts[] = { bytes_of(&code, 1), text };
    struct bytes all = arena_join(task_arena(t), parts, ARRAY_LEN(parts));
    cmd->head = (uint8_t *)all.data;
    cmd->head_len = all.len;
    cmd->text_at = 1;
    cmd->st.reads_only = false;   /* its state must be right before it runs */
}

bool init_connect_run(struct task *t, struct session *s, const struct group_state *g, struct fault *why)
{
    struct command cmd = { .code = COM_QUERY, .action = ACTION_FORWARD, .whole = true,
                           .response = RESPONSE_RESULT };
    struct plan plan;
    struct attempt attempt = { .n_avoid = 0 };
    struct outcome out = { .by = SERVED_HERE };
    bool multi = s->multi_statements;
    if (g == NULL || g->globals.init_connect[0] == '\0')
        return true;
    read_text(t, s, bytes_str(g->globals.init_connect), &cmd);
    s->multi_statements = true;   /* servers let it be several */
    bool ok = decide(s, &cmd, &plan, &out.why) && obtain(t, s, &cmd, &plan, &attempt, &out) &&
              align(t, s, &cmd, &plan, &out.why) && run(t, s, &cmd, &out);
    s->multi_statements = multi;
    if (s->lease != NULL && (!ok || (s->pins & ~PIN_PASSING) == 0))
        let_go(s, ok ? PUT_CLEAN : PUT_CLOSE);
    if (!ok)
        *why = out.why;
    return ok || (why->blame == BLAME_QUERY && say_failed(s, s->account->name, why));
}
