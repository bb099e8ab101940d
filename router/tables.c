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
    case VERB_SHOW:
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

bool statement_uses_tables(struct bytes sql, const struct lexer_mode *mode, enum verb verb)
{
    struct lexer lx;
    struct token token;
    bool behind_from = false, is_first = true;
    if (!may_do_without(verb))
        return true;
    lexer_begin(&lx, sql, mode);
    while (lexer_next(&lx, &token) != TOKEN_END && token.kind != TOKEN_BROKEN) {
        if (behind_from && !name_is(token.text, "dual"))
            return true;
        if (is_first && verb == VERB_LOCK && name_is(token.text, "lock"))
            return true;
        is_first = false;
        behind_from = token.keyword == KEYWORD_FROM;
    }
    return false;
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
