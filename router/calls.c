/*
 * calls.c - which functions a text calls that are not built in, and what the text of such a function does to
 * named locks; see router.h.
 */
#include "router/inside.h"

static bool is_name(const struct token *t)
{
    return t->kind == TOKEN_WORD || t->kind == TOKEN_QUOTED_NAME;
}

/* Types have a length, or a list of values, in parentheses. */
static bool is_type(struct bytes name)
{
    static const char *const types[] = { "varchar", "varbinary", "decimal", "numeric", "int", "bigint", "smallint",
                                         "tinyint", "enum", "binary", "float", "double" };
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if (name_is(name, types[i]))
            return true;
    return false;
}

/* (A name in quotes is never a built-in function's, and one with a schema is none either.) */
static bool is_built_in(const struct lexer *lx, const struct token *name, const struct token *paren)
{
    unsigned flags = keyword_flags((enum keyword)name->keyword);
    bool adjacent = name->text.data + name->text.len == paren->text.data;
    if (name->kind != TOKEN_WORD)
        return false;
    return (flags & KEYWORD_OPENS) != 0 || is_type(name->text) ||
           (function_find(name->text, &lx->mode, adjacent).flags & FUNCTION_KNOWN) != 0;
}

unsigned statement_calls(struct bytes sql, const struct lexer_mode *mode, struct call *calls, unsigned max)
{
    struct lexer lx;
    struct token t[4] = { { .kind = TOKEN_END }, { .kind = TOKEN_END }, { .kind = TOKEN_END } };
    unsigned n = 0;
    lexer_begin(&lx, sql, mode);
    while (lexer_next(&lx, &t[3]) != TOKEN_END && t[3].kind != TOKEN_BROKEN) {
        bool has_schema = t[1].kind == TOKEN_PUNCT && t[1].punct == '.' && is_name(&t[0]);
        bool is_call = t[3].kind == TOKEN_PUNCT && t[3].punct == '(' && is_name(&t[2]) &&
                       (has_schema || !is_built_in(&lx, &t[2], &t[3]));
        if (is_call && n < max) {
            calls[n].schema = has_schema ? name_unquoted(t[0].text) : BYTES_NONE;
            calls[n].name = name_unquoted(t[2].text);
        }
        n += is_call;
        memmove(t, t + 1, 3 * sizeof t[0]);
    }
    return n;
}

/* Statements that may run any text, or another routine that is no function. */
static bool is_opaque(const struct token *t)
{
    return name_is(t->text, "call") || name_is(t->text, "execute") || name_is(t->text, "prepare");
}

unsigned routine_acts(struct bytes sql, const struct lexer_mode *mode)
{
    struct lexer lx;
    struct token t;
    unsigned acts = 0;
    lexer_begin(&lx, sql, mode);
    while (lexer_next(&lx, &t) != TOKEN_END && t.kind != TOKEN_BROKEN) {
        if (!is_name(&t))
            continue;
        if (is_opaque(&t) || name_is(t.text, "get_lock"))
            acts |= ROUTINE_LOCKS;
        if (name_is(t.text, "release_lock") || name_is(t.text, "release_all_locks"))
            acts |= ROUTINE_RELEASES;
    }
    return t.kind == TOKEN_BROKEN || lx.in_doubt ? ROUTINE_LOCKS | ROUTINE_RELEASES : acts;
}
