/* words.c - reading a command word by word, and saying where it went wrong; see inside.h. */
#include "admin/inside.h"

#include "base/str.h"

static void step(struct words *w)
{
    while (lexer_next(&w->lx, &w->now) == TOKEN_HINT)
        ;
}

void words_begin(struct words *w, struct bytes text)
{
    struct lexer_mode mode = { .version = 80036 };
    w->text = text;
    lexer_begin(&w->lx, text, &mode);
    step(w);
}

bool words_at_end(const struct words *w)
{
    return w->now.kind == TOKEN_END || w->now.kind == TOKEN_SEMICOLON;
}

bool word_is(const struct words *w, const char *word)
{
    return w->now.kind == TOKEN_WORD && bytes_equal_nocase(w->now.text, bytes_str(word));
}

bool word_take(struct words *w, const char *word)
{
    if (!word_is(w, word))
        return false;
    step(w);
    return true;
}

bool punct_take(struct words *w, char punct)
{
    if (w->now.kind != TOKEN_PUNCT || w->now.punct != punct)
        return false;
    step(w);
    return true;
}

/* ---- what was expected --------------------------------------------------------------------- */

static size_t position(const struct words *w)
{
    if (w->now.kind == TOKEN_END || w->now.text.data == NULL)
        return w->text.len;
    size_t at = (size_t)(w->now.text.data - w->text.data);
    return w->now.kind == TOKEN_SYSTEM_VAR ? at - 2 : w->now.kind == TOKEN_USER_VAR ? at - 1 : at;
}

bool words_expected(const struct words *w, const char *what, struct fault *why)
{
    size_t at = position(w) + 1;
    if (w->now.kind == TOKEN_BROKEN)
        return fault_set(why, BLAME_QUERY, 1064,
                         "Syntax error at character %zu: a string, name or comment is not closed", at);
    if (words_at_end(w))
        return fault_set(why, BLAME_QUERY, 1064,
                         "Syntax error at character %zu: expected %s, but the statement ends there", at, what);
    return fault_set(why, BLAME_QUERY, 1064, "Syntax error at character %zu: expected %s, but found '%.*s'",
                     at, what, (int)MIN(w->now.text.len, (size_t)40), (const char *)w->now.text.data);
}

bool words_end(struct words *w, const char *or_what, struct fault *why)
{
    while (w->now.kind == TOKEN_SEMICOLON)
        step(w);
    return w->now.kind == TOKEN_END || words_expected(w, or_what, why);
}

struct bytes words_rest(const struct words *w)
{
    return bytes_skip(w->text, position(w));
}

/* ---- names and numbers ------------------------------------------------------------------------ */

/* Servers are called db-1 and db.example as well: a bare name goes on over dashes and dots
 * without blanks. */
static struct bytes bare_name(struct words *w)
{
    const uint8_t *from = w->now.text.data, *to = from + w->now.text.len;
    step(w);
    for (;;) {
        bool joins = w->now.text.data == to &&
                     (w->now.kind == TOKEN_WORD || w->now.kind == TOKEN_NUMBER ||
                      (w->now.kind == TOKEN_PUNCT && (w->now.punct == '-' || w->now.punct == '.')));
        if (!joins)
            return bytes_of(from, (size_t)(to - from));
        to += w->now.text.len;
        step(w);
    }
}

bool name_take(struct words *w, const char *what, char *out, size_t size, struct fault *why)
{
    char text[512];
    struct bytes token = w->now.text;
    if (w->now.kind == TOKEN_WORD || w->now.kind == TOKEN_NUMBER) {
        str_copy(out, size, bare_name(w));
        return true;
    }
    bool is_quoted = (w->now.kind == TOKEN_STRING && (token.data[0] | 0x20) != 'x' &&
                      (token.data[0] | 0x20) != 'b') ||
                     w->now.kind == TOKEN_QUOTED_NAME;
    if (!is_quoted || token.len > sizeof text)
        return words_expected(w, what, why);
    str_copy(out, size, bytes_of(text, string_value(token, text)));
    step(w);
    return true;
}

bool number_take(struct words *w, const char *what, uint64_t max, uint64_t *out, struct fault *why)
{
    char expected[120];
    snprintf(expected, sizeof expected, "%s (a number up to %llu)", what, (unsigned long long)max);
    if (w->now.kind != TOKEN_NUMBER || !str_to_u64(w->now.text, out) || *out > max)
        return words_expected(w, expected, why);
    step(w);
    return true;
}
