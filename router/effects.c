/*
 * effects.c - what a statement does besides its verb.
 *
 * Looks at each token with the two before it; no grammar.  What decides is whether
 * something *could* be meant: a plain read must have nothing here that is more than
 * that.
 */
#include "router/inside.h"

#include "base/str.h"

/* ---- moving through a part ------------------------------------------------------------ */

bool part_next(struct part *p)
{
    if (p->token.kind == TOKEN_SEMICOLON)
        return false;
    p->before = p->last;
    p->last = p->token;
    while (lexer_next(&p->lexer, &p->token) == TOKEN_HINT)
        hint_read(p->token.text, p->hint);
    digest_see(p->digest, &p->token, p->lexer.end);
    return !part_at_end(p);
}

void part_see_rest(struct part *p)
{
    for (bool more = !part_at_end(p); more; more = part_next(p))
        part_see(p);
    if (p->expecting == EXPECT_CALL)
        p->in_doubt = true;
}

/* ---- names ----------------------------------------------------------------------------- */

struct bytes name_unquoted(struct bytes name)
{
    if (name.len >= 2 && (name.data[0] == '`' || name.data[0] == '"' || name.data[0] == '\''))
        return bytes_of(name.data + 1, name.len - 2);
    return name;
}

bool name_is(struct bytes name, const char *word)
{
    return bytes_equal_nocase(name_unquoted(name), bytes_str(word));
}

bool name_is_tracker(struct bytes name)
{
    static const struct bytes prefix = BYTES_LITERAL("session_track_");
    name = name_unquoted(name);
    return name.len > prefix.len && bytes_equal_nocase(bytes_of(name.data, prefix.len), prefix);
}

struct bytes system_var_name(struct bytes text)
{
    for (size_t i = text.len; i > 0; i--) {
        if (text.data[i - 1] == '.')
            return bytes_skip(text, i);
    }
    return text;
}

bool name_has_scope(struct bytes text, const char *scope)
{
    size_t len = strlen(scope);
    return text.len >= len && name_is(bytes_of(text.data, len), scope) &&
           (text.len == len || text.data[len] == '.');
}

bool system_var_is_global(struct bytes text)
{
    return name_has_scope(text, "global") || name_has_scope(text, "persist") ||
           name_has_scope(text, "persist_only");
}

/* Lengths are compared first: most names are none of these. */
static bool name_in(struct bytes name, const struct bytes *names, size_t n)
{
    name = name_unquoted(name);
    for (size_t i = 0; i < n; i++) {
        if (name.len == names[i].len && bytes_equal_nocase(name, names[i]))
            return true;
    }
    return false;
}
#define NAME_IN(name, names) name_in(name, names, ARRAY_LEN(names))
#define B(s)                                                                                       \
    {                                                                                              \
        (const uint8_t *)(s), sizeof(s) - 1                                                        \
    }

/* Variables that say something about one server, not about the session or data. */
static const struct bytes server_vars[] = {
    B("hostname"),         B("server_id"),        B("server_uuid"),     B("port"),
    B("socket"),           B("datadir"),          B("version"),         B("version_comment"),
    B("read_only"),        B("super_read_only"),  B("report_host"),     B("report_port"),
    B("bind_address"),     B("pid_file"),         B("gtid_executed"),   B("gtid_purged"),
    B("gtid_current_pos"), B("gtid_slave_pos"),   B("gtid_binlog_pos"), B("gtid_binlog_state"),
    B("innodb_read_only"), B("log_bin_basename"),
};

/* Behind a dot: tables of a server's own state, and sequences in Oracle mode. */
static const struct bytes server_tables[] = {
    B("processlist"),       B("global_status"),   B("global_variables"),  B("session_status"),
    B("session_variables"), B("user_statistics"), B("client_statistics"), B("index_statistics"),
    B("table_statistics"),  B("innodb_trx"),      B("innodb_metrics"),    B("innodb_lock_waits"),
    B("innodb_locks"),      B("profiling"),
};
/* They have the values of all session variables. */
static const struct bytes variable_tables[] = {
    B("session_variables"), B("system_variables"), B("variables_by_thread"),
};
static const struct bytes sequence_words[] = { B("nextval"), B("currval") };
static const struct bytes server_schemas[] = { B("performance_schema"), B("sys") };

static void see_qualified_name(struct part *p)
{
    struct bytes name = p->token.text;
    if (NAME_IN(name, sequence_words))
        p->effects |= EFFECT_SEQUENCE;
    if (NAME_IN(name, variable_tables))
        p->effects |= EFFECT_TRACKING;
    if (NAME_IN(name, server_tables) || NAME_IN(p->before.text, server_schemas))
        p->effects |= EFFECT_SERVER_STATE;
}

static void see_system_var(struct part *p)
{
    struct bytes name = system_var_name(p->token.text);
    if (name_has_scope(p->token.text, "global") || name_is(p->token.text, "global") ||
        NAME_IN(name, server_vars))
        p->effects |= EFFECT_SERVER_STATE;
    else if (name_is(name, "warning_count") || name_is(name, "error_count"))
        p->effects |= EFFECT_DIAGNOSTICS;
    else if (name_is(name, "last_insert_id") || name_is(name, "identity"))
        p->effects |= EFFECT_USES_INSERT_ID;
    else if (name_is(name, "pseudo_thread_id"))
        p->effects |= EFFECT_CONNECTION_ID;
    else if (name_is_tracker(name))
        p->effects |= EFFECT_TRACKING;
}

/* INTO @a, @b; the variables of CALL and LOAD DATA are filled as well. */
static void see_user_var(struct part *p)
{
    if (p->last.keyword == KEYWORD_INTO)
        p->fills_vars = true;
    else if (p->last.punct != ',')
        p->fills_vars = false;
    if (p->fills_vars || p->fills_all_vars)
        p->effects |= EFFECT_USER_VAR;
}

/* ---- calls ------------------------------------------------------------------------------ */

static bool is_name(const struct token *t)
{
    return t->kind == TOKEN_QUOTED_NAME || t->kind == TOKEN_WORD;
}

/* After one of these comes no call: the name is an alias with its columns, or a word
 * of the grammar (COLUMNS, AGAINST). */
static bool is_operand(const struct token *t)
{
    return t->kind == TOKEN_STRING || t->kind == TOKEN_NUMBER || t->kind == TOKEN_PARAM ||
           t->kind == TOKEN_QUOTED_NAME || t->punct == ')';
}

/* `name (` where the name is being defined. */
static bool is_definition(const struct part *p)
{
    uint16_t k = p->before.keyword;
    return k == KEYWORD_AS || k == KEYWORD_WITH || k == KEYWORD_RECURSIVE ||
           k == KEYWORD_PROCEDURE ||
           (p->in_cte_head && p->depth == p->head_depth && p->before.punct == ',') ||
           is_operand(&p->before);
}

static bool opens_without_call(const struct part *p)
{
    unsigned flags = keyword_flags((enum keyword)p->last.keyword);
    return (flags & KEYWORD_OPENS) != 0 ||
           ((flags & KEYWORD_OPENS_ON_MYSQL) != 0 && !p->lexer.mode.is_mariadb);
}

/* The current token is '(' and the one before it is a name. */
static void see_call(struct part *p)
{
    if (opens_without_call(p) || is_definition(p) || p->calls != CALLS_ALL)
        return;
    struct function_facts f = { 0, 0 };
    if (p->before.punct != '.' && p->last.kind == TOKEN_WORD) {
        bool adjacent = p->last.text.data + p->last.text.len == p->token.text.data;
        f = function_find(p->last.text, &p->lexer.mode, adjacent);
    } else if (p->before.punct != '.' && name_is(p->last.text, "connection_id"))
        p->effects |= EFFECT_CONNECTION_ID;
    p->effects |= f.effects;
    if ((f.flags & FUNCTION_KNOWN) == 0)
        p->effects |= EFFECT_UNKNOWN_FUNCTION;
    if ((f.flags & FUNCTION_PRIMARY) != 0)
        p->needs_primary = true;
    if ((f.flags & FUNCTION_INSERT_ID) != 0)
        p->expecting = EXPECT_INSERT_ID_END;
}

/* ---- keywords --------------------------------------------------------------------------- */

/* A statement's first word in the middle: a function, or not what it seems. */
static void see_writing_word(struct part *p)
{
    if (p->verb == VERB_SELECT)
        p->expecting = EXPECT_CALL;
}

/* Behind these words of INSERT come values, no more names. */
static void begin_calls(struct part *p)
{
    if (p->calls == CALLS_AFTER_NAMES)
        p->calls = CALLS_ALL;
}

/* Only those with KEYWORD_HAS_EFFECT or KEYWORD_WRITES come here. */
static void see_keyword(struct part *p)
{
    uint16_t last = p->last.keyword;
    enum keyword k = (enum keyword)p->token.keyword;
    switch ((unsigned)k) {
    case KEYWORD_UPDATE:
        if (last == KEYWORD_FOR)
            p->effects |= EFFECT_LOCKING_READ;
        else
            see_writing_word(p);
        break;
    case KEYWORD_SHARE:
        if (last == KEYWORD_FOR)
            p->effects |= EFFECT_LOCKING_READ;
        break;
    case KEYWORD_IN:
        if (last == KEYWORD_LOCK)
            p->effects |= EFFECT_LOCKING_READ;
        break;
    case KEYWORD_OUTFILE:
    case KEYWORD_DUMPFILE:
        if (last == KEYWORD_INTO)
            p->effects |= EFFECT_INTO_FILE;
        break;
    case KEYWORD_INTO:
        p->needs_primary = true;
        break;
    case KEYWORD_VALUE:
        if (last == KEYWORD_NEXT || last == KEYWORD_PREVIOUS)
            p->effects |= EFFECT_SEQUENCE;
        begin_calls(p);
        break;
    case KEYWORD_LIMIT:
        p->effects |= EFFECT_LIMIT;
        break;
    case KEYWORD_SQL_CALC_FOUND_ROWS:
        p->effects |= EFFECT_CALC_FOUND_ROWS;
        break;
    case KEYWORD_PROCESSLIST:
        p->effects |= EFFECT_SERVER_STATE;
        break;
    case KEYWORD_SELECT:
        if (p->calls != CALLS_NONE)
            p->calls = CALLS_ALL;
        break;
    case KEYWORD_VALUES:
    case KEYWORD_SET:
        begin_calls(p);
        break;
    default:
        see_writing_word(p);
        break;
    }
}

static void see_expected(struct part *p)
{
    if (p->expecting == EXPECT_CALL && p->token.punct != '(')
        p->in_doubt = true;
    if (p->expecting == EXPECT_INSERT_ID_END)
        p->effects |= p->token.punct == ')' ? EFFECT_USES_INSERT_ID : EFFECT_SETS_INSERT_ID;
    p->expecting = EXPECT_ANYTHING;
}

static void see_punct(struct part *p)
{
    switch (p->token.punct) {
    case '(':
        if (is_name(&p->last))
            see_call(p);
        p->depth++;
        break;
    case ')':
        if (p->depth > 0)
            p->depth--;
        break;
    case ':':
        if (p->token.text.len == 2)
            p->effects |= EFFECT_USER_VAR;
        break;
    default:
        break;
    }
}

void part_see_closely(struct part *p)
{
    if (p->expecting != EXPECT_ANYTHING)
        see_expected(p);
    switch (p->token.kind) {
    case TOKEN_WORD:
        if ((keyword_flags((enum keyword)p->token.keyword) &
             (KEYWORD_HAS_EFFECT | KEYWORD_WRITES)) != 0)
            see_keyword(p);
        else if (p->token.keyword != KEYWORD_NONE)
            break;
        else if (p->last.punct == '.')
            see_qualified_name(p);
        break;
    case TOKEN_QUOTED_NAME:
        if (p->last.punct == '.')
            see_qualified_name(p);
        break;
    case TOKEN_PUNCT:
        see_punct(p);
        break;
    case TOKEN_USER_VAR:
        see_user_var(p);
        break;
    case TOKEN_SYSTEM_VAR:
        see_system_var(p);
        break;
    case TOKEN_STRING:
    case TOKEN_NUMBER:
    case TOKEN_PARAM:
    case TOKEN_END:
    case TOKEN_SEMICOLON:
    case TOKEN_HINT:
    case TOKEN_BROKEN:
        break;
    }
}
