/*
 * tables.c - questions about a text that few sessions ask; see router.h.
 */
#include "router/inside.h"

/* What can do without tables. */
static bool may_do_without(enum verb v)
{
    switch (v) {
    case VERB_EMPTY:
    case VERB_SELECT:
    case VERB_BEGIN:
    case VERB_COMMIT:
    case VERB_ROLLBACK:
    case VERB_SAVEPOINT:
    case VERB_XA:
    case VERB_SET:
    case VERB_USE:
    case VERB_EXPLAIN:
    case VERB_DO:
    case VERB_KILL:
    case VERB_LOCK: /* UNLOCK TABLES, FLUSH TABLES WITH READ LOCK            */
        return true;
    case VERB_SHOW: /* most read tables of the server's own                   */
    case VERB_CALL: /* what it does, and reading the procedure itself         */
    case VERB_WRITE:
    case VERB_DDL:
    case VERB_PREPARE:
    case VERB_HANDLER:
    case VERB_ADMIN:
    case VERB_OTHER:
        break;
    }
    return false;
}

enum tables statement_tables(struct bytes sql, const struct lexer_mode *mode, enum verb verb, uint32_t effects)
{
    struct lexer lx;
    struct token token;
    bool behind_from = false, is_first = true;
    unsigned depth = 0;
    enum tables found = (effects & EFFECT_UNKNOWN_FUNCTION) != 0 ? TABLES_MAYBE : TABLES_NONE;
    if (verb == VERB_WRITE)
        return TABLES_SURE;
    if (!may_do_without(verb))
        return TABLES_MAYBE;
    lexer_begin(&lx, sql, mode);
    while (lexer_next(&lx, &token) != TOKEN_END && token.kind != TOKEN_BROKEN) {
        if (is_first && verb == VERB_LOCK && name_is(token.text, "lock"))
            return TABLES_SURE;
        if (behind_from && !name_is(token.text, "dual")) {
            if (depth == 0)
                return TABLES_SURE;
            found = TABLES_MAYBE; /* (TRIM(x FROM y) has one, too) */
        }
        if (token.kind == TOKEN_PUNCT && token.punct == '(')
            depth++;
        else if (token.kind == TOKEN_PUNCT && token.punct == ')')
            depth -= depth > 0;
        is_first = false;
        behind_from = token.keyword == KEYWORD_FROM;
    }
    return token.kind == TOKEN_BROKEN ? TABLES_MAYBE : found;
}

bool statement_uses_tables(struct bytes sql, const struct lexer_mode *mode, enum verb verb)
{
    return statement_tables(sql, mode, verb, 0) != TABLES_NONE;
}

unsigned statement_user_vars(struct bytes sql, const struct lexer_mode *mode, struct bytes *names,
                             unsigned max)
{
    struct lexer lx;
    struct token token;
    unsigned n = 0;
    lexer_begin(&lx, sql, mode);
    while (lexer_next(&lx, &token) != TOKEN_END && token.kind != TOKEN_BROKEN) {
        if (token.kind != TOKEN_USER_VAR)
            continue;
        if (n < max)
            names[n] = name_unquoted(token.text);
        n++;
    }
    return n;
}

unsigned statement_unscoped_vars(struct bytes sql, const struct lexer_mode *mode,
                                 struct bytes *names, unsigned max)
{
    struct lexer lx;
    struct token token, last = { .kind = TOKEN_END };
    unsigned n = 0;
    lexer_begin(&lx, sql, mode);
    while (lexer_next(&lx, &token) != TOKEN_END && token.kind != TOKEN_BROKEN) {
        bool is_assigned = last.kind == TOKEN_SYSTEM_VAR && token.kind == TOKEN_PUNCT &&
                           (token.punct == '=' || token.punct == ':');
        if (is_assigned && memchr(last.text.data, '.', last.text.len) == NULL) {
            if (n < max)
                names[n] = name_unquoted(last.text);
            n++;
        }
        last = token;
    }
    return n;
}
