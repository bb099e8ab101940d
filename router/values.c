/*
 * values.c - may a value that an INSERT wrote be a certain number?  See router.h.
 *
 * Only what is certain counts: behind VALUES or SET there are literals, parameters, DEFAULT and the
 * time, nothing is computed, and no literal reads as that number.
 */
#include "router/inside.h"

#include "base/str.h"

enum { TEXT_MOST_BYTES = 16 << 10 }; /* reading longer ones costs more than asking the server */

static bool is_word_of(const struct token *t, const char *const *words, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (t->kind == TOKEN_WORD && name_is(t->text, words[i]))
            return true;
    return false;
}

/* What gives no small number: with or without parentheses behind it. */
static bool is_harmless(const struct token *t)
{
    static const char *const words[] = {
        "null",         "default",        "now",           "current_timestamp",
        "localtime",    "localtimestamp", "utc_timestamp", "current_date",
        "current_time", "curdate",        "curtime",       "sysdate",
        "uuid",         "value",          "values",
    };
    bool is_introducer = t->text.len > 0 && t->text.data[0] == '_';
    return is_introducer || is_word_of(t, words, ARRAY_LEN(words));
}

/* A string counts by the number it begins with, as a server would take it. */
static bool reads_as(struct bytes text, uint64_t id)
{
    size_t at = 0, begin;
    uint64_t n;
    if (text.len == 0 || (!ascii_digit(text.data[0]) && strchr("'\"", text.data[0]) == NULL))
        return true; /* x'11', .5 */
    while (at < text.len && (ascii_space(text.data[at]) || strchr("'\"+0", text.data[at]) != NULL))
        at++;
    begin = at;
    while (at < text.len && ascii_digit(text.data[at]))
        at++;
    bool has_digits = at > 0 && ascii_digit(text.data[at - 1]);
    bool goes_on = at < text.len && (strchr(".\\", text.data[at]) != NULL ||
                                     (has_digits && strchr("eExX", text.data[at]) != NULL));
    return goes_on || (str_to_u64(bytes_of(text.data + begin, at - begin), &n) && n == id);
}

static bool is_punct(const struct token *t, char punct)
{
    return t->kind == TOKEN_PUNCT && t->punct == punct;
}

/* The name of a column that gets a value: SET a = ..., b.c = ... */
static bool is_target(const struct token *t, bool in_set, bool behind_assign)
{
    return in_set && !behind_assign && (t->kind == TOKEN_WORD || t->kind == TOKEN_QUOTED_NAME);
}

static bool may_give(const struct token *t, const struct token *last, uint64_t id)
{
    switch (t->kind) {
    case TOKEN_NUMBER:
    case TOKEN_STRING:
        return reads_as(t->text, id);
    case TOKEN_PARAM:
        return false;
    case TOKEN_WORD:
        return !is_harmless(t);
    case TOKEN_PUNCT:
        return !(
            strchr("(),=.", t->punct) != NULL ||
            (t->punct == '-' && last->kind == TOKEN_PUNCT && strchr("(,=", last->punct) != NULL));
    case TOKEN_END:
    case TOKEN_SEMICOLON:
    case TOKEN_HINT:
        return false;
    case TOKEN_QUOTED_NAME:
    case TOKEN_USER_VAR:
    case TOKEN_SYSTEM_VAR:
    case TOKEN_BROKEN:
        break;
    }
    return true;
}

/* To the values; false: there are none to see. */
static bool find_values(struct lexer *lx, struct token *t, bool *in_set)
{
    static const char *const begins[] = { "insert", "replace" }, *const behind[] = { "values",
                                                                                     "value" };
    static const char *const others[] = { "select", "with", "table" };
    unsigned depth = 0;
    while (lexer_next(lx, t) == TOKEN_HINT)
        continue;
    if (!is_word_of(t, begins, ARRAY_LEN(begins)))
        return false;
    while (lexer_next(lx, t) != TOKEN_END && t->kind != TOKEN_BROKEN) {
        depth += is_punct(t, '(');
        depth -= is_punct(t, ')') && depth > 0;
        *in_set = t->kind == TOKEN_WORD && name_is(t->text, "set");
        if (depth == 0 && (*in_set || is_word_of(t, behind, ARRAY_LEN(behind))))
            return true;
        if (is_word_of(t, others, ARRAY_LEN(others)))
            return false;
    }
    return false;
}

bool statement_gives_no_id(struct bytes sql, const struct lexer_mode *mode, uint64_t id)
{
    struct lexer lx;
    struct token t, last;
    bool in_set, behind_assign = false;
    unsigned depth = 0;
    if (sql.len > TEXT_MOST_BYTES)
        return false;
    lexer_begin(&lx, sql, mode);
    if (!find_values(&lx, &t, &in_set))
        return false;
    for (last = t; lexer_next(&lx, &t) != TOKEN_END; last = t) {
        depth += is_punct(&t, '(');
        depth -= is_punct(&t, ')') && depth > 0;
        if (depth == 0 && t.kind == TOKEN_WORD && name_is(t.text, "returning"))
            return true;
        if (!is_target(&t, in_set, behind_assign) && may_give(&t, &last, id))
            return false;
        if (is_punct(&t, '='))
            behind_assign = true;
        if (is_punct(&t, ',') && depth == 0)
            behind_assign = false;
    }
    return true;
}
