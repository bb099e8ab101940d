/* vars.c - what replies teach about a session; see inside.h.
 *
 * The servers' own trackers say which variables and which schema a session has; status flags
 * and TRXSTATE say whether it is in a transaction.  What they don't show stands in the
 * statement's effects (facts measured on MariaDB 10.11 and MySQL 9.7).
 */
#include "session/inside.h"

#include "base/log.h"
#include "base/str.h"

/* ---- state --------------------------------------------------------------------------------- */

void session_set_state(struct session *s, struct state *state)
{
    state_drop(s->state);
    s->state = state;
    struct bytes modes = state_value(state, BYTES_LITERAL("sql_mode"));
    bool is_told = (s->pins & (PIN_TRACKING | PIN_UNTRACKED)) == 0;
    if (modes.data != NULL)
        mode_take(&s->mode, modes);
    s->has_select_limit = state_value(state, BYTES_LITERAL("sql_select_limit")).data != NULL;
    s->mode.quotes_unknown = modes.data == NULL || !is_told;
    struct bytes charset = state_value(state, BYTES_LITERAL("character_set_client"));
    s->mode.charset = is_told ? lexer_charset(charset) : LEXER_UNKNOWN;
}

/* Variables whose value says nothing about the session's state: they follow from something else
 * or change with every statement. */
static bool is_noise(struct bytes name)
{
    static const char *const noise[] = { "statement_id",       "last_gtid",
                                         "gtid_current_pos",   "character_set_database",
                                         "collation_database", "warning_count",
                                         "error_count",        "in_transaction" };
    for (size_t i = 0; i < ARRAY_LEN(noise); i++)
        if (bytes_equal(name, bytes_str(noise[i])))
            return true;
    return false;
}

/* The server reports another value than the one set, uses it once, or needs a privilege. */
bool variable_cannot_be_replayed(struct bytes name)
{
    static const char *const these[] = { "rand_seed1",      "rand_seed2",   "insert_id",
                                         "gtid_next",       "gtid_seq_no",  "pseudo_thread_id",
                                         "pseudo_slave_mode", "pseudo_replica_mode", "sql_log_bin",
                                         "debug_sync",      "debug",        "rbr_exec_mode",
                                         "skip_replication", "require_row_format", "redirect_url",
                                         "timestamp" /* DEFAULT is reported as a time */ };
    for (size_t i = 0; i < ARRAY_LEN(these); i++)
        if (bytes_equal(name, bytes_str(these[i])))
            return true;
    return !state_takes(name);
}

static bool is_insert_id(struct bytes name)
{
    return bytes_equal(name, BYTES_LITERAL("last_insert_id")) ||
           bytes_equal(name, BYTES_LITERAL("identity"));
}

static bool starts_with(struct bytes s, const char *prefix)
{
    size_t n = strlen(prefix);
    return s.len >= n && memcmp(s.data, prefix, n) == 0;
}

enum { CHANGES_MAX = 64 };

struct lesson {
    struct state_var changes[CHANGES_MAX];
    unsigned n;
    struct bytes schema;
    bool has_schema;
    bool is_explained;            /* by a report whose meaning is asked for               */
    bool tracking;                /* session_track_* is reported            */
    uint32_t pins;
};

static void learn_variable(struct session *s, const struct command *cmd, struct lesson *l,
                           const struct track *track)
{
    if (variable_cannot_be_replayed(track->name) || l->n == CHANGES_MAX) {
        l->pins |= PIN_VARIABLE;
        return;
    }
    if ((cmd->st.effects & EFFECT_SET_STATEMENT) != 0)
        return;
    enum clarity clarity = note_unclear(s, cmd, track->name);
    l->is_explained |= clarity != REPORT_IS_CLEAR;
    if (clarity != REPORT_IS_UNCLEAR)
        l->changes[l->n++] = (struct state_var){ track->name, track->value };
}

/* TRXSTATE: "T_R_WsS_"; the first character is the kind of transaction, the last one L under
 * LOCK TABLES.  (After a DROP of a temporary table MySQL 9.7 says that there is neither, and there is.  Its
 * flags are right.) */
static void learn_transaction_state(struct session *s, const struct command *cmd, struct bytes v)
{
    bool may_be_wrong = !s->mode.is_mariadb && cmd->st.verb == VERB_DDL && (cmd->st.effects & EFFECT_MULTI) == 0;
    bool goes_on = may_be_wrong && (s->status & STATUS_IN_TRANS) != 0;
    uint32_t pins = s->pins & ~(PIN_TRANSACTION | (may_be_wrong ? 0 : PIN_TABLE_LOCK));
    if (goes_on || (v.len > 0 && v.data[0] != '_'))
        pins |= PIN_TRANSACTION;
    if (v.len > 7 && v.data[7] == 'L')
        pins |= PIN_TABLE_LOCK;
    session_pin(s, pins);
}

/* TRXCHAR: statements that would start such a transaction again.  Outside of one it is what SET
 * TRANSACTION asked for the next. */
static void learn_characteristics(struct session *s, struct bytes v)
{
    bool one_shot = v.len > 0 && (s->pins & PIN_TRANSACTION) == 0;
    session_pin(s, one_shot ? s->pins | PIN_ONE_SHOT : s->pins & ~PIN_ONE_SHOT);
}

/* Where the statement showed it, tracking_end() finds out. */
static void learn_tracking(struct session *s, struct lesson *l, const struct track *track)
{
    l->tracking = true;
    if (!s->lease->reports_as_asked)
        tracking_changed_unseen(s, track);
}

static void learn_tracks(struct session *s, const struct command *cmd, struct bytes tracks,
                         struct lesson *l)
{
    struct track_walk walk;
    struct track track;
    struct bytes characteristics = BYTES_NONE;
    bool has_characteristics = false;
    track_begin(&walk, tracks);
    while (track_next(&walk, &track)) {
        switch (track.type) {
        case TRACK_SYSVAR:
            s->says_own_id |= bytes_equal(track.name, BYTES_LITERAL("pseudo_thread_id"));
            l->is_explained |= is_insert_id(track.name);
            if (is_insert_id(track.name))
                set_insert_id(s, track.value);
            else if (starts_with(track.name, "session_track_"))
                learn_tracking(s, l, &track);
            else if (!is_noise(track.name))
                learn_variable(s, cmd, l, &track);
            break;
        case TRACK_SCHEMA:
            l->schema = track.value;
            l->has_schema = true;
            break;
        case TRACK_STATE:
            if (l->n == 0 && !l->is_explained && !l->has_schema && l->pins == 0 && !l->tracking &&
                !s->lease->reports_as_asked)
                l->pins |= PIN_UNKNOWN;
            break;
        case TRACK_TRX_STATE:
            learn_transaction_state(s, cmd, track.value);
            break;
        case TRACK_TRX_CHARACTERISTICS:
            characteristics = track.value;
            has_characteristics = true;
            break;
        default:
            break;
        }
    }
    if (has_characteristics)
        learn_characteristics(s, characteristics);
}

/* STATE came alone: the effects may say what it was about. */
static uint32_t explain_unknown(const struct session *s, const struct command *cmd, uint32_t pins)
{
    const uint32_t explained = EFFECT_USER_VAR | EFFECT_TEMP_TABLE | EFFECT_TEXT_PREPARE | EFFECT_ROLE |
                               EFFECT_PROCEDURE;
    bool of_temp_table = cmd->st.verb == VERB_DDL && (s->pins & PIN_TEMP_TABLE) != 0;
    return of_temp_table || (cmd->st.effects & explained) != 0 ? pins & ~PIN_UNKNOWN : pins;
}

/* What the flags say; TRXSTATE, when it comes, knows better (an implicit transaction that has
 * only read shows there first). */
static void learn_status(struct session *s, const struct ok *ok)
{
    bool in_transaction = (ok->status & STATUS_IN_TRANS) != 0;
    bool told_by_flags = (s->pins & (PIN_TRACKING | PIN_UNTRACKED)) != 0;
    s->status = ok->status;
    s->knows_status = true;
    if (in_transaction)
        session_pin(s, s->pins | PIN_TRANSACTION);
    else if (told_by_flags || (ok->track.len == 0 && (ok->status & STATUS_AUTOCOMMIT) != 0))
        session_pin(s, s->pins & ~PIN_TRANSACTION);
    if (s->mode.quotes_unknown || told_by_flags) {
        s->mode.no_backslash_escapes = (ok->status & STATUS_NO_BACKSLASH_ESCAPES) != 0;
        s->mode.ansi_quotes = s->lease->is_mariadb && (ok->status & STATUS_ANSI_QUOTES) != 0;
        s->mode.quotes_unknown = !s->lease->is_mariadb;
    }
    if (told_by_flags)
        s->mode.charset = LEXER_UNKNOWN;
}

/* In the sandbox MySQL lets only the change of the password pass, MariaDB some others too. */
static void leave_sandbox(struct session *s, const struct command *cmd)
{
    struct backend *be = s->lease;
    if (cmd->code == COM_PING || cmd->st.verb == VERB_SET)
        return;
    be->sandbox = SANDBOX_LEFT;
    session_pin(s, (s->pins & ~PIN_EXPIRED) | PIN_PASSWORD |
                       ((be->caps & CAP_SESSION_TRACK) == 0 ? PIN_UNTRACKED : 0));
}

/* With it, `id IS NULL` asks once for the row that this very connection has inserted last. */
static uint32_t pins_of_state(const struct state *state)
{
    struct bytes is_null = state_value(state, BYTES_LITERAL("sql_auto_is_null"));
    return bytes_equal(is_null, BYTES_LITERAL("ON")) ? PIN_IS_NULL : 0;
}

static void adopt(struct session *s, const struct lesson *l)
{
    session_pin(s, s->pins | l->pins);
    if (l->n == 0 && !l->has_schema)
        return;
    session_set_state(s, state_changed(s->state, l->has_schema ? &l->schema : NULL, l->changes, l->n));
    session_pin(s, (s->pins & ~PIN_IS_NULL) | pins_of_state(s->state));
    backend_set_state(s->lease, s->state);
}

void learn_ok(struct session *s, const struct command *cmd, const struct ok *ok)
{
    if (s->lease->sandbox == SANDBOX_IN)
        leave_sandbox(s, cmd);
    learn_status(s, ok);
    if (cmd->st.is_broken)
        learn_doubt(s, cmd);
    note_insert_id(s, cmd, ok->insert_id);
    if (ok->track.len == 0)
        return;
    struct lesson l = { .n = 0 };
    learn_tracks(s, cmd, ok->track, &l);
    l.pins = explain_unknown(s, cmd, l.pins);
    adopt(s, &l);
}

void learn_variables(struct session *s, const struct command *cmd, const struct state_var *vars,
                     unsigned n)
{
    struct lesson l = { .n = 0 };
    for (unsigned i = 0; i < n; i++) {
        struct track track = { .type = TRACK_SYSVAR, .name = vars[i].name, .value = vars[i].value };
        if (is_insert_id(track.name))
            set_insert_id(s, track.value);
        else
            learn_variable(s, cmd, &l, &track);
    }
    adopt(s, &l);
}

void learn_effects(struct session *s, const struct command *cmd)
{
    uint32_t pins = s->pins;
    if (cmd->code == COM_STMT_PREPARE)
        return; /* they come with EXECUTE */
    pins |= pins_of_effects(cmd->st.effects);
    if (!cmd->whole && cmd->code == COM_QUERY)
        pins |= PIN_LONG_TEXT;
    if (cmd->code == COM_REGISTER_SLAVE || cmd->response == RESPONSE_STREAM)
        pins |= PIN_REPLICATION;
    if (pins != s->pins)
        session_pin(s, pins);
    if ((cmd->st.effects & EFFECT_USER_VAR) != 0)
        user_vars_note(s, cmd);
}

void learn_doubt(struct session *s, const struct command *cmd)
{
    if (cmd->code != COM_STMT_PREPARE)
        session_pin(s, s->pins | PIN_DOUBT);
}
