/*
 * align.c - make the backend's state the session's: schema, variables, insert id, multi
 * statements; see inside.h.
 *
 *   nothing differs           nothing is sent
 *   the command reads         [INIT_DB] [SET ...] command     one send, answers owed
 *   it may write, as a text   "[USE;] SET ...; command"       one send, one text (joined.c)
 *   it may write otherwise    [INIT_DB] [SET ...] ─► answers ─► command
 *
 * The last of what is sent before may be a BEGIN that was put off (deferred.c).
 *
 * A read that ran in the wrong state harms nobody: its rows are thrown away with the refused
 * SET's error.  A write must not run at all.
 */
#include "session/inside.h"

bool name_is_ascii(struct bytes name)
{
    uint8_t all = 0;
    for (size_t i = 0; i < name.len; i++)
        all |= name.data[i];
    return all < 0x80;
}

bool state_is_utf8(const struct state *state)
{
    struct bytes charset = state_value(state, BYTES_LITERAL("character_set_client"));
    return charset.len >= 4 && memcmp(charset.data, "utf8", 4) == 0;
}

void give_insert_id(const struct session *s, struct backend *be)
{
    be->insert_id = s->insert_id;
    be->insert_id_in_doubt = false;
}

static bool has_insert_id(const struct session *s, const struct backend *be)
{
    return !be->insert_id_in_doubt && be->insert_id == s->insert_id;
}

void write_option(struct backend *be, bool multi_statements)
{
    const uint8_t off[2] = { multi_statements ? 0 : 1, 0 };
    backend_write(be, COM_SET_OPTION, bytes_of(off, sizeof off));
    be->multi_statements = multi_statements;
    owe(be, OWED_OPTION);
}

/* USE does not need the schema before, which may have been dropped; the trackers tell where it led. */
static bool leaves_schema(const struct backend *be, const struct command *cmd)
{
    return (be->caps & CAP_SESSION_TRACK) != 0 &&
           (cmd->code == COM_INIT_DB || cmd->code == COM_QUERY) && cmd->st.verb == VERB_USE &&
           (cmd->st.effects & EFFECT_MULTI) == 0;
}

/* Has the lease report the GTIDs that the session asked for. */
static void align_gtids(struct session *s, struct before *b)
{
    struct backend *be = s->lease;
    if (be->usual == NULL || be->is_mariadb || be->reports_as_asked)
        return;
    enum track_gtids wanted = tracking_in_force(s)->gtids;
    char sql[64];
    if (be->gtids == wanted)
        return;
    int n = snprintf(sql, sizeof sql, "SET @@session.session_track_gtids=%s", track_gtids_name(wanted));
    before_add(b, OWED_SET, bytes_of(sql, (size_t)n));
    be->gtids = wanted;
}

/* Servers report names of schemas in UTF-8, and take them in the client's character set. */
static void write_utf8(struct backend *be, struct before *b)
{
    static const struct state_var utf8 = { BYTES_LITERAL("character_set_client"),
                                           BYTES_LITERAL("utf8mb4") };
    struct state *state = state_changed(be->state, NULL, &utf8, 1);
    before_add(b, OWED_SET, BYTES_LITERAL("SET @@session.character_set_client=utf8mb4"));
    backend_set_state(be, state);
    state_drop(state);
}

/* Write what leads from the backend's state to `wanted`; false if it can't be reached. */
static bool write_restore(struct backend *be, struct state *wanted, bool enters, const uint64_t *insert_id,
                          struct before *b)
{
    struct buf sql = { 0 };
    if (state_distance(be->state, wanted) == SIZE_MAX)
        return false;
    /* The schema first: with it come its character set and collation. */
    if (enters || !bytes_equal(be->state->schema, wanted->schema)) {
        if (!name_is_ascii(wanted->schema) && !state_is_utf8(be->state))
            write_utf8(be, b);
        before_add(b, OWED_SCHEMA, wanted->schema);
        be->schema_is_old = false;
    }
    if (state_write_set(be->state, wanted, be->caps, insert_id, &sql)) {
        before_add(b, OWED_SET, buf_bytes(&sql));
        be->undoes = state_undoes(be->state, wanted);
    }
    buf_release(&sql);
    return true;
}

bool align_settle(struct task *t, struct session *s, struct fault *why)
{
    struct backend *be = s->lease;
    if (be->n_owed == 0)
        return true;
    bool begins = be->owed[be->n_owed - 1] == OWED_BEGIN;
    if (!backend_settle_owed(t, be, stall_deadline(t), why))
        return false;
    if (begins)
        deferred_has_run(s);
    return true;
}

/* Write what leads to `wanted`; it is the server's state from here on: if that is refused,
 * state_in_doubt says so. */
static bool restore(struct session *s, struct state *wanted, bool enters, const uint64_t *insert_id,
                    struct before *b, struct fault *why)
{
    struct backend *be = s->lease;
    unsigned n = b->n;
    if (!write_restore(be, wanted, enters, insert_id, b)) {
        /* A schema can't be left for none but by a reset, which keeps it too. */
        return fault_set(why, BLAME_OURS, ER_UNKNOWN_ERROR,
                         "volvox: server %s can't be brought back to having no schema",
                         be->server->name);
    }
    if (b->n == n)
        return true;
    count(session_worker(s), restores);
    be->had_user_vars |= user_vars_go(be->state, wanted);
    backend_set_state(be, wanted);
    if (insert_id != NULL)
        give_insert_id(s, be);
    return true;
}

bool align_to(struct task *t, struct session *s, struct state *wanted, struct fault *why)
{
    struct before b = { .n = 0 };
    if (s->lease->state == wanted)
        return true;
    bool ok = restore(s, wanted, false, NULL, &b, why);
    before_send(&b, s->lease);
    return ok && align_settle(t, s, why);
}

bool tells_of_before(const struct backend *be, const struct command *cmd)
{
    return !be->is_mariadb && (cmd->code == COM_INIT_DB || cmd->code == COM_DEBUG);
}

/* Those of the statement before are seen with it, or behind it. */
static bool goes_with_before(const struct backend *be, const struct command *cmd)
{
    return tells_of_before(be, cmd) || (!be->is_mariadb && cmd->code == COM_FIELD_LIST);
}

bool is_sandboxed(struct backend *be, struct fault *why)
{
    if (why->blame != BLAME_QUERY || why->code != ER_MUST_CHANGE_PASSWORD)
        return false;
    struct state *login = state_at_login(be->collation, 45);
    backend_set_state(be, login);
    state_drop(login);
    be->state_in_doubt = false;
    be->sandbox = SANDBOX_IN;
    *why = FAULT_NONE;
    return true;
}

/* Whether a statement has changed it can only be told by what it was before. */
static bool needs_insert_id(const struct session *s, const struct backend *be, const struct command *cmd)
{
    bool may_change = cmd->st.verb == VERB_WRITE || (cmd->st.effects & EFFECT_SETS_INSERT_ID) != 0;
    return !s->has_new_id && !has_insert_id(s, be) &&
           (uses_insert_id(cmd) || (be->insert_id_in_doubt && may_change));
}

static bool restore_for(struct session *s, const struct command *cmd, struct before *b, struct fault *why)
{
    struct backend *be = s->lease;
    bool needs_id = needs_insert_id(s, be, cmd);
    bool leaves = leaves_schema(be, cmd);
    bool enters = be->schema_is_old && s->state->schema.len > 0 && !leaves;
    if (be->state == s->state && !needs_id && !enters)
        return true;
    struct state *wanted = leaves ? state_changed(s->state, &be->state->schema, NULL, 0)
                                  : state_take(s->state);
    bool ok = restore(s, wanted, enters, needs_id ? &s->insert_id : NULL, b, why);
    state_drop(wanted);
    return ok;
}

/* The session's last statement left nothing to ask about, or a warning that any connection can make; somebody
 * else's may have, or a SET of ours. */
static void clear_diagnostics(struct session *s, struct backend *be)
{
    if (!be->has_diagnostics && be->n_owed == 0 && !s->used_found_rows)
        return;
    backend_write(be, COM_QUERY,
                  s->used_found_rows ? BYTES_LITERAL("DO FOUND_ROWS()") : CLEARS_DIAGNOSTICS);
    be->has_diagnostics = s->used_found_rows;
    s->has_found_rows = false;    /* it has its own */
    owe(be, OWED_CLEAR);
}

/* From this command on the session keeps its connection for long, and may ask about any. */
static bool will_settle(const struct session *s, const struct command *cmd)
{
    const uint32_t lasting = PIN_PROCEDURE | PIN_TEMP_TABLE | PIN_TEXT_PREPARE | PIN_ROLE;
    const struct backend *be = s->lease;
    return cmd->code != COM_STMT_PREPARE && (pins_of_effects(cmd->st.effects) & lasting) != 0 &&
           (be->had_user_vars || user_vars_go(be->state, s->state));
}

/* What the session left in the connection, and may be asked for, has to go elsewhere first: only a reset makes
 * what others set there as if it had never been. */
static bool forget_user_vars(struct task *t, struct session *s, const struct command *cmd, struct fault *why)
{
    bool asks_before = s->pins != 0 && ((cmd->st.effects & EFFECT_DIAGNOSTICS) != 0 || counts_are_asked(s, cmd));
    if ((s->pins & ~PIN_LEAVABLE) != 0 || asks_before ||
        (!user_vars_are_others(s, cmd) && !will_settle(s, cmd)))
        return true;
    if (s->pins != 0 && !take_along(t, s, keeps_diagnostics(s, cmd), why)) {
        bool stays = why->blame == BLAME_OURS;
        if (stays)
            *why = FAULT_NONE;
        return stays;
    }
    counts_spoiled(s);
    session_pin(s, s->pins & ~PIN_LEAVABLE);
    return backend_reset(t, s->lease, stall_deadline(t), why);
}

/* They were taken along, and only the server knows whether they outlast the command. */
static bool may_lose_diagnostics(const struct session *s, const struct command *cmd)
{
    return s->mode.is_mariadb && diagnostics_were_taken(s) && !counts_are_asked(s, cmd) &&
           keeps_diagnostics(s, cmd) == DIAGNOSTICS_MAY_STAY;
}

/* What was put off: a BEGIN comes last, autocommit was in the state. */
static void begin_transaction(struct session *s, struct before *b)
{
    if (deferred_begins(s))
        before_add(b, OWED_BEGIN, deferred_text(s));
    else
        s->deferred = DEFERRED_NOTHING;
}

/* If a connection is in the wrong state after all, closing it does not undo what the command has done there.
 * (Those of our own, which go by no wire, are for who made them to send when all is well.) */
static bool may_harm(const struct command *cmd)
{
    switch (cmd->code) {
    case COM_INIT_DB:
    case COM_FIELD_LIST:
    case COM_STATISTICS:
    case COM_PING:
    case COM_STMT_PREPARE:
        return cmd->wire.len == 0;
    default:
        return !cmd->st.reads_only;
    }
}

/* Which statements a text has is up to what the client allowed. */
static bool multi_matters(const struct session *s, const struct command *cmd)
{
    return s->lease->multi_statements != s->multi_statements && (!cmd->whole || has_tail(s, cmd));
}

bool align(struct task *t, struct session *s, struct command *cmd, const struct plan *plan,
           struct fault *why)
{
    struct backend *be = s->lease;
    struct before b = { .n = 0 };
    cmd->joined = BYTES_NONE;
    cmd->server_seq = 1;
    if (be->n_owed == 0 && plan->role != ROLE_SAME && follow_suits(s, cmd, be))
        return true;              /* nearly always */
    bool asks_counts = counts_are_asked(s, cmd);
    bool asks_diagnostics = diagnostics_are_asked(cmd);
    /* (what clears them would take the place of what counts are about) */
    bool goes_with = goes_with_before(be, cmd);
    uint32_t has_its_own = asks_diagnostics || goes_with ? PIN_DIAGNOSTICS | PIN_EXPIRED : PIN_PASSING;
    bool may_ask = (plan->role == ROLE_SAME && !plan->stays) || asks_diagnostics || goes_with;
    bool about_before = may_ask && (s->pins & has_its_own) == 0 && !asks_counts;
    bool asks_told = diagnostics_were_told(s) && !asks_counts &&
                     (asks_diagnostics || goes_with || keeps_diagnostics(s, cmd) == DIAGNOSTICS_MAY_STAY);
    bool may_lose = may_lose_diagnostics(s, cmd);
    bool is_told_apart = asks_counts || asks_diagnostics || about_before || asks_told || may_lose;
    if (be->sandbox == SANDBOX_IN)
        return true;
    if (!forget_user_vars(t, s, cmd, why))
        return false;
    if (multi_matters(s, cmd))
        write_option(be, s->multi_statements);
    if (s->asks_for_gtids || be->gtids != TRACK_NO_GTIDS)
        align_gtids(s, &b);
    bool ok = restore_for(s, cmd, &b, why);
    if (is_told_apart || !ok)
        before_send(&b, be);
    if (!ok)
        return false;
    if (asks_told) {
        diagnostics_signal(s, be);
        owe(be, OWED_SIGNAL);
    } else if (may_lose) {
        diagnostics_mark(s, be);
        owe(be, OWED_SIGNAL);
    } else if (about_before) {
        clear_diagnostics(s, be);
    }
    bool spoils = asks_counts && be->n_owed > 0;
    bool restores = be->n_owed > 0 || b.n > 0, wait = may_harm(cmd) || spoils;
    begin_transaction(s, &b);
    if (wait && !is_told_apart && before_join(&b, s, cmd))
        return true;
    before_send(&b, be);
    if (wait && restores)
        count(session_worker(s), restores_awaited);
    if (wait && !align_settle(t, s, why))
        return is_sandboxed(be, why);
    return !spoils || counts_are_gone(s, why);
}
