/*
 * tracking.c - session_track_* as the client has them, on backends where Volvox needs them otherwise;
 * see inside.h.
 *
 *   statement                          on the backend
 *   reads them (SELECT @@..., SHOW)    SET ours ─► theirs, statement, SET theirs ─► ours
 *   SET session_track_x = ..., y = ... likewise; in between it is asked what they and y are now
 *   anything else that shows them      SET ours ─► theirs, statement; so it stays, and the session
 *                                      is pinned (several statements, a failed SET)
 *
 * session_track_gtids can't be set in a transaction (MySQL 9.7): it is the session's on any backend that it
 * uses, see align.c.
 *
 * So a client reads what it has set, its own SET is answered as by a server of its own, and what is
 * reported for other statements is cut down by tell.c, wherever they run.
 */
#include "session/inside.h"

#include "base/str.h"

/* ---- the other variables of a SET -------------------------------------------------------------- */

enum { NAMES_MAX = 32, NAME_BYTES_MAX = 64 };

struct names {
    struct bytes names[NAMES_MAX];
    unsigned n;
    bool charset;                 /* SET NAMES and its like                               */
};

static bool is_word(const struct token *token, const char *word)
{
    return token->kind == TOKEN_WORD && bytes_equal_nocase(token->text, bytes_str(word));
}

/* Without what stands before the last dot, and without quotes. */
static struct bytes bare_name(struct bytes text)
{
    text = system_var_name(text);
    if (text.len >= 2 && text.data[0] == '`')
        text = bytes_of(text.data + 1, text.len - 2);
    return text;
}

static bool is_plain_name(struct bytes name)
{
    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = ascii_lower(name.data[i]);
        if ((c < 'a' || c > 'z') && !ascii_digit(c) && c != '_')
            return false;
    }
    return name.len > 0 && name.len <= NAME_BYTES_MAX;
}

/* The token behind the value: a comma, or the end. */
static void skip_value(struct lexer *lx, struct token *token)
{
    unsigned depth = 0;
    while (token->kind != TOKEN_END && token->kind != TOKEN_BROKEN && token->kind != TOKEN_SEMICOLON &&
           (depth > 0 || token->punct != ',')) {
        depth += token->punct == '(';
        depth -= token->punct == ')' && depth > 0;
        lexer_next(lx, token);
    }
}

/* One assignment; the current token is its first.  False for what is none. */
static bool read_assignment(struct lexer *lx, struct token *token, struct names *out)
{
    struct token first = *token, last = *token;
    if (is_word(token, "names") || is_word(token, "charset") || is_word(token, "character")) {
        out->charset = true;
        skip_value(lx, token);
        return true;
    }
    while (token->punct != '=' && token->punct != ':') {
        if (token->kind != TOKEN_WORD && token->kind != TOKEN_QUOTED_NAME && token->punct != '.' &&
            token->kind != TOKEN_SYSTEM_VAR && token->kind != TOKEN_USER_VAR)
            return false;
        last = *token;
        lexer_next(lx, token);
    }
    skip_value(lx, token);
    struct bytes name = bare_name(last.text);
    if (first.kind == TOKEN_USER_VAR || system_var_is_global(first.text))
        return true;
    if (out->n == NAMES_MAX || !is_plain_name(name))
        return false;
    out->names[out->n++] = name;
    return true;
}

/* The names that a SET assigns to in the session; false if it is not only made of such. */
static bool read_names(struct bytes sql, const struct lexer_mode *mode, struct names *out)
{
    struct lexer lx;
    struct token token;
    *out = (struct names){ .n = 0 };
    lexer_begin(&lx, sql, mode);
    do
        lexer_next(&lx, &token);
    while (token.kind == TOKEN_HINT);
    if (!is_word(&token, "set"))
        return false;
    do {
        lexer_next(&lx, &token);
        if (!read_assignment(&lx, &token, out))
            return false;
    } while (token.punct == ',');
    return token.kind == TOKEN_END || token.kind == TOKEN_SEMICOLON;
}

/* ---- what to do for a statement ------------------------------------------------------------------ */

static bool is_about_tracking(const struct command *cmd)
{
    return (cmd->st.effects & EFFECT_TRACKING) != 0 &&
           (cmd->code == COM_QUERY || cmd->code == COM_STMT_EXECUTE);
}

/* It can be told when it ends, and what it has done. */
static bool is_simple(const struct session *s, const struct command *cmd, struct names *names)
{
    const struct statement *st = &cmd->st;
    names->n = 0;
    if ((st->effects & EFFECT_MULTI) != 0 || st->is_broken || !cmd->whole || cmd->response != RESPONSE_RESULT)
        return false;
    if (st->verb == VERB_SET)
        return read_names(command_statement_text(cmd), &s->mode, names);
    return st->reads_only && (st->verb == VERB_SELECT || st->verb == VERB_SHOW || st->verb == VERB_EXPLAIN);
}

bool tracking_begin(struct task *t, struct session *s, const struct command *cmd, struct fault *why)
{
    struct backend *be = s->lease;
    if (!is_about_tracking(cmd) || be->usual == NULL || be->reports_as_asked)
        return true;
    return align_settle(t, s, why) && backend_report(t, be, tracking_in_force(s), why);
}

/* ---- afterwards ------------------------------------------------------------------------------------ */

static void set_tracking(struct session *s, struct tracking *now)
{
    bool is_usual = now == s->lease->usual;
    if (!is_usual || s->more != NULL) {
        struct session_more *more = session_more(s);
        tracking_drop(more->tracking);
        more->tracking = is_usual ? NULL : tracking_take(now);
    }
    s->asks_for_gtids = now->gtids != s->lease->usual->gtids;
    s->lease->gtids = now->gtids;
    tracking_drop(now);
}

void tracking_changed_unseen(struct session *s, const struct track *track)
{
    set_tracking(s, tracking_changed(tracking_in_force(s), track->name, track->value));
    s->tracking_unseen = true;
}

static bool is_tracker(struct bytes name)
{
    for (unsigned i = 0; i < TRACKING_VARIABLES; i++)
        if (bytes_equal_nocase(name, bytes_str(tracking_names[i])))
            return true;
    return false;
}

/* As the server reports it. */
static void write_question(const struct names *names, bool is_mariadb, struct buf *sql)
{
    buf_add(sql, BYTES_LITERAL("SHOW SESSION VARIABLES WHERE Variable_name IN ("));
    for (unsigned i = 0; i < tracking_count(is_mariadb); i++) {
        buf_add(sql, i == 0 ? BYTES_LITERAL("'") : BYTES_LITERAL(",'"));
        buf_add(sql, bytes_str(tracking_names[i]));
        buf_add_u8(sql, '\'');
    }
    for (unsigned i = 0; i < names->n; i++) {
        buf_add(sql, BYTES_LITERAL(",'"));
        buf_add(sql, names->names[i]);
        buf_add_u8(sql, '\'');
    }
    if (names->charset)
        buf_add(sql, BYTES_LITERAL(",'character_set_client','character_set_connection',"
                                   "'character_set_results','collation_connection'"));
    buf_add_u8(sql, ')');
}

static bool ask(struct task *t, struct session *s, const struct command *cmd, const struct names *names,
                struct fault *why)
{
    struct bytes values[2 * (NAMES_MAX + TRACKING_VARIABLES + 4)];
    struct ask_rows rows = { .values = values, .n_columns = 2, .max_rows = ARRAY_LEN(values) / 2 };
    struct state_var others[NAMES_MAX + 4];
    unsigned n = 0;
    struct buf sql = { 0 };
    write_question(names, s->lease->is_mariadb, &sql);
    bool ok = backend_ask_rows(t, s->lease, buf_bytes(&sql), &rows, why);
    buf_release(&sql);
    if (!ok)
        return false;
    struct tracking *now = tracking_take(s->lease->usual);
    for (size_t i = 0; i < rows.n_rows; i++) {
        struct bytes name = values[2 * i], value = values[2 * i + 1];
        if (is_tracker(name)) {
            struct tracking *next = tracking_changed(now, name, value);
            tracking_drop(now);
            now = next;
        } else if (n < ARRAY_LEN(others)) {
            others[n++] = (struct state_var){ name, value.data != NULL ? value : BYTES_LITERAL("") };
        }
    }
    set_tracking(s, now);
    learn_variables(s, cmd, others, n);
    return true;
}

/* From now on nobody but the client hears of changes. */
static bool stay(struct session *s)
{
    session_pin(s, s->pins | PIN_TRACKING);
    return true;
}

/* What is asked takes the place of those that MariaDB kept across the statement. */
static bool save_diagnostics(struct task *t, struct session *s, const struct command *cmd, struct fault *why)
{
    if ((s->pins & PIN_DIAGNOSTICS) == 0 || keeps_diagnostics(s, cmd) == DIAGNOSTICS_GO)
        return true;
    if (!diagnostics_take(t, s, why))
        return false;
    session_pin(s, s->pins & ~PIN_DIAGNOSTICS);
    return true;
}

bool tracking_end(struct task *t, struct session *s, const struct command *cmd,
                  const struct outcome *out, struct fault *why)
{
    struct backend *be = s->lease;
    struct names names;
    bool unseen = s->tracking_unseen;
    s->tracking_unseen = false;
    if (unseen)                       /* one of ours has been changed */
        return backend_report(t, be, NULL, why);
    if (!be->reports_as_asked || (s->pins & PIN_TRACKING) != 0)
        return true;
    if (!is_simple(s, cmd, &names) || out->got_error || out->warnings > 0)
        return stay(s);
    if ((s->status & STATUS_AUTOCOMMIT) == 0)
        session_pin(s, s->pins | PIN_TRANSACTION); /* it may have begun one */
    if (cmd->st.verb == VERB_SET && !save_diagnostics(t, s, cmd, why))
        return why->blame == BLAME_OURS && stay(s);
    if (cmd->st.verb == VERB_SET && !ask(t, s, cmd, &names, why))
        return why->blame == BLAME_QUERY && stay(s);
    return backend_report(t, be, NULL, why);
}
