/*
 * deferred.c - BEGIN and SET autocommit = 0 need no server until there is something to do in the
 * transaction; see inside.h.
 *
 *   client      Volvox      server
 *   BEGIN   ──►
 *           ◄── OK                        as that server would say it
 *   SELECT  ──►        ──►  BEGIN, SELECT one send
 *           ◄──        ◄──  OK, rows      the OK is owed: nobody sees it
 *
 * A statement that may do more than read goes in one text with the BEGIN, as with whatever is restored, or
 * waits for the server's consent (align.c), so nothing ever runs outside of the transaction that its client
 * believes in.
 * If there is no consent, or no server, the statement has failed and the transaction is still to
 * begin.
 *
 * Autocommit is one of the variables of the session's state: it is restored like any other.
 *
 * What can't be told from the server's own answer for certain is left to the server.
 */
#include "session/inside.h"

#include "base/str.h"
#include "session/reader.h"

static const struct bytes texts[] = {
    [DEFERRED_AUTOCOMMIT] = BYTES_LITERAL("SET autocommit=0"),
    [DEFERRED_BEGIN] = BYTES_LITERAL("START TRANSACTION"),
    [DEFERRED_READ_ONLY] = BYTES_LITERAL("START TRANSACTION READ ONLY"),
};

/* ---- which statements ------------------------------------------------------------------------ */

/* With more than one semicolon it is an error, or several statements. */
static bool ends_here(struct reader *r)
{
    if (r->token.kind == TOKEN_SEMICOLON)
        reader_next(r);
    return r->token.kind == TOKEN_END;
}

/* READ WRITE is refused where the server has just become read only: it has to be asked. */
static enum deferred read_begin(struct reader *r)
{
    if (reader_pass(r, "begin")) {
        reader_pass(r, "work");
        return DEFERRED_BEGIN;
    }
    if (!reader_pass(r, "start") || !reader_pass(r, "transaction"))
        return DEFERRED_NOTHING;
    if (!reader_pass(r, "read"))
        return DEFERRED_BEGIN;
    return reader_pass(r, "only") ? DEFERRED_READ_ONLY : DEFERRED_NOTHING;
}

/* (MariaDB does not report SET @@autocommit.) */
static enum deferred read_set(struct reader *r)
{
    uint64_t value;
    if (!reader_pass(r, "set"))
        return DEFERRED_NOTHING;
    if (!reader_pass(r, "session"))
        reader_pass(r, "local");
    if (!reader_pass(r, "autocommit") || !reader_pass_punct(r, '='))
        return DEFERRED_NOTHING;
    bool is_off = reader_pass(r, "off") || (reader_pass_number(r, &value) && value == 0);
    return is_off ? DEFERRED_AUTOCOMMIT : DEFERRED_NOTHING;
}

static enum deferred read_statement(const struct session *s, const struct command *cmd)
{
    struct reader r;
    reader_begin(&r, command_text(cmd), &s->mode);
    enum deferred d = cmd->st.verb == VERB_BEGIN ? read_begin(&r) : read_set(&r);
    return ends_here(&r) ? d : DEFERRED_NOTHING;
}

/* ---- in which sessions ----------------------------------------------------------------------- */

/* Could we say what a server would report with its OK? */
static bool can_tell(const struct session *s)
{
    const struct tracking *as = tracking_in_force(s);
    if ((s->caps & CAP_SESSION_TRACK) == 0)
        return true;
    return as != NULL && !has_untold(s) && !as->state_change && as->gtids == TRACK_NO_GTIDS &&
           as->transactions == TRACK_NO_TRANSACTIONS &&
           !tracking_has_name(as, BYTES_LITERAL("statement_id")) &&
           !tracking_has_name(as, BYTES_LITERAL("in_transaction"));
}

/* Settings that give BEGIN another answer or meaning, or a transaction that does nothing an end. */
static bool is_usual(const struct state *state)
{
    static const char *const others[] = { "tx_read_only", "transaction_read_only",
                                          "idle_transaction_timeout",
                                          "idle_readonly_transaction_timeout" };
    struct bytes modes = state_value(state, BYTES_LITERAL("sql_mode"));
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        if (state_value(state, bytes_str(others[i])).data != NULL)
            return false;
    /* (there a BEGIN begins a block) */
    return modes.data != NULL && memmem(modes.data, modes.len, "ORACLE", 6) == NULL;
}

/* With no more than these BEGIN always goes well, and neither gives anything up nor leaves it. */
static bool is_ordinary(const struct session *s)
{
    const uint32_t harmless = PIN_USER_VAR | PIN_USER_VAR_HELD | PIN_TEMP_TABLE | PIN_NAMED_LOCK |
                              PIN_TEXT_PREPARE | PIN_ROLE;
    return (s->pins & ~harmless) == 0 && !diagnostics_were_taken(s) && s->knows_status &&
           !s->mode.quotes_unknown && s->mode.charset != LEXER_UNKNOWN;
}

bool deferred_takes(const struct session *s, const struct command *cmd)
{
    return cmd->whole && cmd->st.hint.kind == HINT_NONE && !cmd->st.is_broken &&
           !deferred_begins(s) && is_ordinary(s) && is_usual(s->state) && can_tell(s) &&
           read_statement(s, cmd) != DEFERRED_NOTHING;
}

/* ---- the answer ------------------------------------------------------------------------------ */

static void report_begin(enum deferred d, struct buf *tracks)
{
    struct buf text = { 0 };
    buf_add(&text, texts[d]);
    buf_add_u8(&text, ';');
    track_write(tracks, TRACK_TRX_STATE, BYTES_LITERAL("T_______"));
    track_write(tracks, TRACK_TRX_CHARACTERISTICS, buf_bytes(&text));
    buf_release(&text);
}

static void begin_later(struct session *s, enum deferred d, struct buf *tracks)
{
    s->status |= STATUS_IN_TRANS | (d == DEFERRED_READ_ONLY ? STATUS_IN_TRANS_READONLY : 0);
    report_begin(d, tracks);
}

static void switch_off_later(struct session *s, struct buf *tracks)
{
    static const struct state_var off = { BYTES_LITERAL("autocommit"), BYTES_LITERAL("OFF") };
    session_set_state(s, state_changed(s->state, NULL, &off, 1));
    s->status &= (uint16_t)~STATUS_AUTOCOMMIT;
    track_write_sysvar(tracks, off.name, off.value);
}

bool deferred_answer(struct task *t, struct session *s, struct command *cmd, struct fault *why)
{
    struct buf tracks = { 0 }, kept = { 0 };
    uint8_t seq = 1;
    s->deferred = read_statement(s, cmd);
    if (deferred_begins(s))
        begin_later(s, s->deferred, &tracks);
    else
        switch_off_later(s, &tracks);
    count(session_worker(s), begins_deferred);
    counts_changed(s, cmd, 0);
    note_warnings(s, 0);
    s->used_found_rows = false;
    if (!s->mode.is_mariadb)
        diagnostics_forget(s);
    struct ok ok = { .status = session_status(s), .track = buf_bytes(&tracks) };
    bool changed = tell(s, &ok, false, &kept);
    ok.track = buf_bytes(&kept);
    ok.status |= changed ? STATUS_SESSION_STATE_CHANGED : 0;
    ok_write(&s->client.out, &seq, &ok, 0x00, s->caps);
    buf_release(&kept);
    buf_release(&tracks);
    return stream_flush(t, &s->client, 0, why);
}

/* ---- when there is something to do ------------------------------------------------------------ */

struct bytes deferred_text(const struct session *s)
{
    return texts[s->deferred];
}

void deferred_has_run(struct session *s)
{
    if (deferred_begins(s))
        session_pin(s, s->pins | PIN_TRANSACTION);
    s->deferred = DEFERRED_NOTHING;
    s->counts_lost = false;
}

bool deferred_must_run_first(const struct session *s, const struct command *cmd)
{
    return s->deferred != DEFERRED_NOTHING &&
           (counts_are_asked(s, cmd) || (cmd->st.effects & EFFECT_DIAGNOSTICS) != 0);
}

bool deferred_run(struct task *t, struct session *s, struct outcome *out)
{
    struct plan plan;
    struct attempt attempt = { .n_avoid = 0 };
    struct command begin = {
        .code = COM_QUERY,
        .whole = true,
        .st = { .verb = deferred_begins(s) ? VERB_BEGIN : VERB_SET },
    };
    enum deferred d = s->deferred;
    if (!decide(s, &begin, &plan, &out->why) || !wait_while_paused(t, s, &out->why) ||
        !obtain(t, s, &begin, &plan, &attempt, out) || !align(t, s, &begin, &plan, &out->why))
        return false;
    s->counts_lost = false;
    /* (the connection may have had the state already) */
    return d != DEFERRED_AUTOCOMMIT ||
           backend_ask(t, s->lease, COM_QUERY, texts[d], stall_deadline(t), &out->why);
}
