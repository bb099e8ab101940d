/*
 * set.c - the many statements that begin with SET.
 *
 * A list of assignments, each for itself: one that reaches beyond the session, or
 * that the servers do not report, makes the whole statement one for the primary.
 */
#include "router/inside.h"

static bool at_assign(const struct part *p)
{
    return p->token.punct == '=' || (p->token.punct == ':' && p->token.text.len == 2);
}

/* SET STATEMENT a = 1, b = 2 FOR ...: to the first token behind FOR. */
static bool skip_to_statement(struct part *p)
{
    unsigned depth = p->depth;
    while (part_next(p)) {
        part_see(p);
        if (part_at(p, KEYWORD_FOR) && p->depth == depth) {
            part_next(p);
            return true;
        }
    }
    return false;
}

/* A value up to the next comma outside of parentheses.  What calls or selects
 * something could do anything; a plain expression can't. */
static void read_value(struct part *p)
{
    unsigned depth = p->depth;
    for (; !part_at_end(p); part_next(p)) {
        if (p->token.punct == ',' && p->depth == depth)
            return;
        if (p->token.punct == '(')
            p->needs_primary = true;
        part_see(p);
    }
}

/* ---- how the server reads what comes next -------------------------------------------------- */

/* What a literal or word says, without its quotes; data is NULL if it must be worked out. */
static struct bytes plain_value(const struct token *value)
{
    struct bytes text = value->text;
    bool is_quoted = value->kind == TOKEN_STRING || value->kind == TOKEN_QUOTED_NAME;
    if ((!is_quoted && value->kind != TOKEN_WORD) || (is_quoted && !is_quote(text.data[0])))
        return BYTES_NONE;
    if (is_quoted)
        text = bytes_of(text.data + 1, text.len - 2);
    for (size_t i = 0; i < text.len; i++) {
        if (is_quote(text.data[i]) || text.data[i] == '\\')
            return BYTES_NONE;
    }
    return text;
}

/* (LEXER_UNKNOWN for DEFAULT as well.) */
static void take_charset(struct part *p, const struct token *value)
{
    struct bytes name = plain_value(value);
    p->next_mode.charset = name.data != NULL ? lexer_charset(name) : LEXER_UNKNOWN;
}

static void take_mode(struct lexer_mode *mode, struct bytes word)
{
    static const char *const like_ansi[] = {
        "ansi", "oracle", "db2", "mssql", "postgresql", "maxdb"
    };
    for (size_t i = 0; i < ARRAY_LEN(like_ansi); i++) {
        if (bytes_equal_nocase(word, bytes_str(like_ansi[i])))
            mode->ansi_quotes = mode->ignore_space = true;
    }
    mode->ansi_quotes |= bytes_equal_nocase(word, BYTES_LITERAL("ansi_quotes"));
    mode->ignore_space |= bytes_equal_nocase(word, BYTES_LITERAL("ignore_space"));
    mode->no_backslash_escapes |= bytes_equal_nocase(word, BYTES_LITERAL("no_backslash_escapes"));
}

void mode_take(struct lexer_mode *mode, struct bytes sql_mode)
{
    mode->quotes_unknown = mode->ansi_quotes = mode->no_backslash_escapes = mode->ignore_space =
        false;
    for (size_t from = 0, at = 0; at <= sql_mode.len; at++) {
        if (at < sql_mode.len && sql_mode.data[at] != ',')
            continue;
        take_mode(mode, bytes_of(sql_mode.data + from, at - from));
        from = at + 1;
    }
}

static void take_sql_mode(struct part *p, const struct token *value)
{
    struct bytes list = value->kind == TOKEN_STRING ? plain_value(value) : BYTES_NONE;
    if (list.data != NULL)
        mode_take(&p->next_mode, list);
    else
        p->next_mode.quotes_unknown = true;
}

/* ---- assignments ---------------------------------------------------------------------------- */

/* Only a value that certainly keeps autocommit on lets the statement run anywhere:
 * with it off, what follows must be on the primary. */
static void read_autocommit_value(struct part *p)
{
    struct token first = p->token;
    read_value(p);
    bool is_single = p->last.text.data == first.text.data;
    bool is_on =
        name_is(first.text, "1") || name_is(first.text, "on") || name_is(first.text, "true");
    if (!is_single || !is_on)
        p->needs_primary = true;
    p->autocommits += is_single;
}

/* Behind a GLOBAL, what says nothing is global too, on some servers. */
enum reach { REACH_SESSION, REACH_GLOBAL, REACH_UNSAID };

static void note_reading(struct part *p, struct bytes name, const struct token *first,
                         enum reach reach)
{
    static const struct token unknown = { .kind = TOKEN_END };
    bool is_single = p->last.text.data == first->text.data;
    bool is_certain =
        is_single && (reach == REACH_SESSION || (p->effects & EFFECT_SET_GLOBAL) == 0);
    const struct token *value = is_certain ? first : &unknown;
    if (name_is(name, "sql_mode"))
        take_sql_mode(p, value);
    else if (name_is(name, "character_set_client"))
        take_charset(p, value);
}

/* The current token is behind the name, or its first piece (blanks can stand around
 * the dots of scope.name). */
static void read_assigned(struct part *p, enum reach reach)
{
    while (!part_at_end(p) && !at_assign(p)) {
        if (p->token.kind != TOKEN_WORD && p->token.kind != TOKEN_QUOTED_NAME &&
            p->token.punct != '.')
            p->in_doubt = true;
        part_next(p);
    }
    struct bytes name = p->last.kind != TOKEN_USER_VAR ? system_var_name(p->last.text) : BYTES_NONE;
    bool is_autocommit = name_is(name, "autocommit");
    if (name_is(name, "last_insert_id") || name_is(name, "identity"))
        p->effects |= EFFECT_SETS_INSERT_ID;
    if (name_is_tracker(name))
        p->effects |= EFFECT_TRACKING;
    if (name_is(name, "insert_id")) {
        p->effects |= EFFECT_SETS_ONE_SHOT;
        p->needs_primary = true;
    }
    part_next(p);
    struct token first = p->token;
    if (is_autocommit)
        read_autocommit_value(p);
    else
        read_value(p);
    if (reach != REACH_GLOBAL)
        note_reading(p, name, &first, reach);
}

static void read_system_var(struct part *p)
{
    struct bytes text = p->token.text;
    bool is_global = system_var_is_global(text);
    if (is_global)
        p->effects |= EFFECT_SET_GLOBAL;
    if (text.len > 0 && text.data[0] == '`')
        p->in_doubt = true; /* `global`.x */
    /* Without a scope (measured on 10.11): neither the variable nor a change of state is reported. */
    if (p->lexer.mode.is_mariadb && text.len > 0 && memchr(text.data, '.', text.len) == NULL) {
        p->effects |= EFFECT_SETS_UNREPORTED;
        p->needs_primary = true;
    }
    part_next(p);
    read_assigned(p, is_global ? REACH_GLOBAL : REACH_SESSION);
}

/* SET [SESSION] TRANSACTION ...; without a scope it is for the next transaction only. */
static void read_transaction(struct part *p, bool is_one_shot)
{
    if (is_one_shot)
        p->needs_primary = true;
    while (part_next(p))
        part_see(p);
}

static void read_scoped(struct part *p, bool is_session)
{
    if (!is_session)
        p->effects |= EFFECT_SET_GLOBAL;
    part_next(p);
    if (part_at(p, KEYWORD_TRANSACTION)) {
        read_transaction(p, false);
        return;
    }
    part_next(p);
    read_assigned(p, is_session ? REACH_SESSION : REACH_GLOBAL);
}

/* NAMES utf8mb4 COLLATE ..., CHARACTER SET utf8mb4: the servers report them. */
static void read_charset(struct part *p)
{
    if (part_at(p, KEYWORD_CHARACTER))
        part_next(p); /* SET */
    part_next(p);
    take_charset(p, &p->token);
    for (; !part_at_end(p) && p->token.punct != ','; part_next(p))
        part_see(p);
}

static void read_resource(struct part *p)
{
    p->effects |= EFFECT_RESOURCE_GROUP;
    part_next(p);
    part_see_rest(p);
}

static void read_assignment(struct part *p)
{
    switch ((unsigned)p->token.keyword) {
    case KEYWORD_NAMES:
    case KEYWORD_CHARSET:
    case KEYWORD_CHARACTER:
        read_charset(p);
        return;
    case KEYWORD_GLOBAL:
    case KEYWORD_PERSIST:
    case KEYWORD_PERSIST_ONLY:
        read_scoped(p, false);
        return;
    case KEYWORD_SESSION:
    case KEYWORD_LOCAL:
        read_scoped(p, true);
        return;
    case KEYWORD_TRANSACTION:
        read_transaction(p, true);
        return;
    case KEYWORD_ROLE:
        p->effects |= EFFECT_ROLE;
        part_see_rest(p);
        return;
    case KEYWORD_RESOURCE:
        read_resource(p);
        return;
    case KEYWORD_PASSWORD:
    case KEYWORD_DEFAULT:
        p->verb = VERB_ADMIN;
        p->needs_primary = true;
        p->calls = CALLS_NONE;
        part_see_rest(p);
        return;
    default:
        break;
    }
    if (p->token.kind == TOKEN_USER_VAR)
        p->effects |= EFFECT_USER_VAR;
    else if (p->token.kind != TOKEN_WORD && p->token.kind != TOKEN_QUOTED_NAME)
        p->in_doubt = true;
    part_next(p);
    read_assigned(p, REACH_UNSAID);
}

bool set_read(struct part *p)
{
    if (part_at(p, KEYWORD_STATEMENT) && skip_to_statement(p))
        return true;
    p->verb = VERB_SET;
    p->reads_only = true;
    if (part_at_end(p))
        p->in_doubt = true;
    unsigned n = 0;
    for (; !part_at_end(p); n++) {
        if (p->token.kind == TOKEN_SYSTEM_VAR)
            read_system_var(p);
        else
            read_assignment(p);
        if (!part_at_end(p))
            part_next(p); /* the comma */
    }
    p->only_autocommit = n > 0 && p->autocommits == n;
    return false;
}
