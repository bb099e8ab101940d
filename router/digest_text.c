/*
 * digest_text.c - the normal form of a text in words; digest.c says which.
 *
 * What is written and then taken back because it was one row of many costs no room:
 * beyond the end of `out` the text is only counted.
 */
#include "router/inside.h"

#include "base/str.h"

enum { LONGEST_CAPITAL = 32 };

struct writer {
    struct digest d; /* d.at.text: the length so far, also beyond `size`       */
    char *out;
    size_t size;
    bool was_name, was_unary; /* what the last piece was                                */
};

/* ---- pieces ------------------------------------------------------------------------- */

static void put(struct writer *w, const void *text, size_t len)
{
    size_t at = w->d.at.text;
    if (at < w->size && len > 0)
        memcpy(w->out + at, text, MIN(len, w->size - at));
    w->d.at.text += len;
}

static void put_str(struct writer *w, const char *s)
{
    put(w, s, strlen(s));
}

/* 0 at the beginning, and where it does not matter any more. */
static char last_byte(const struct writer *w)
{
    size_t at = w->d.at.text;
    return at > 0 && at <= w->size ? w->out[at - 1] : 0;
}

static void put_blank(struct writer *w)
{
    char last = last_byte(w);
    if (last != 0 && last != '(' && last != '.' && !w->was_unary)
        put_str(w, " ");
}

static void put_word(struct writer *w, const struct token *t)
{
    char word[LONGEST_CAPITAL];
    struct bytes b = t->text;
    bool is_first = w->d.at.text == 0, is_member = last_byte(w) == '.';
    put_blank(w);
    if (b.len < sizeof(word) && !is_member) {
        for (size_t i = 0; i < b.len; i++)
            word[i] = (char)ascii_lower(b.data[i]);
        word[b.len] = '\0';
        if ((is_first && t->keyword != KEYWORD_NONE) || word_is_capital(word)) {
            for (size_t i = 0; i < b.len; i++)
                word[i] = (char)(word[i] >= 'a' && word[i] <= 'z' ? word[i] - 'a' + 'A' : word[i]);
            put(w, word, b.len);
            return;
        }
    }
    put(w, b.data, b.len);
    w->was_name = true;
}

/* >= and the like are two tokens and one operator. */
static bool goes_on(const struct writer *w, char punct)
{
    char last = last_byte(w);
    return last != 0 && strchr("<>=!|&:-", last) != NULL && strchr("<>=|&", punct) != NULL;
}

static void put_punct(struct writer *w, const struct token *t, bool was_name)
{
    bool hugs = t->punct == ',' || t->punct == ')' || t->punct == '.' ||
                (t->punct == '(' && was_name) || goes_on(w, t->punct);
    if (!hugs)
        put_blank(w);
    put(w, t->text.data, t->text.len);
    if (w->d.in == IN_OPEN)
        w->d.list.text = w->d.at.text;
}

static void put_token(struct writer *w, const struct token *t, bool was_name)
{
    switch (t->kind) {
    case TOKEN_WORD:
        put_word(w, t);
        break;
    case TOKEN_PUNCT:
        put_punct(w, t, was_name);
        break;
    case TOKEN_BROKEN:
        put_blank(w);
        put_str(w, "...");
        break;
    case TOKEN_QUOTED_NAME:
    case TOKEN_USER_VAR:
    case TOKEN_SYSTEM_VAR:
        put_blank(w);
        put_str(w, t->kind == TOKEN_USER_VAR ? "@" : t->kind == TOKEN_SYSTEM_VAR ? "@@" : "");
        put(w, t->text.data, t->text.len);
        w->was_name = t->kind == TOKEN_QUOTED_NAME;
        break;
    case TOKEN_STRING:
    case TOKEN_NUMBER:
    case TOKEN_PARAM:
    case TOKEN_SEMICOLON:
    case TOKEN_END:
    case TOKEN_HINT:
        break;
    }
}

/* The row's first byte is there already: a blank, if it had one in front. */
static void put_row(struct writer *w)
{
    size_t at = w->d.at.text;
    put_str(w, at < w->size && w->out[at] == '(' ? "(...)" : " (...)");
}

/* ---- the whole text ------------------------------------------------------------------- */

static void add_token(struct writer *w, const struct token *t, const uint8_t *end)
{
    if (w->d.has_gap && t->kind != TOKEN_END && t->kind != TOKEN_SEMICOLON)
        put_str(w, ";");
    bool was_name = w->was_name;
    enum digest_piece piece = digest_see(&w->d, t, end);
    w->was_name = false;
    switch (piece) {
    case PIECE_TOKEN:
        put_token(w, t, was_name);
        break;
    case PIECE_VALUE:
        w->was_unary = false;
        put_blank(w);
        put_str(w, "?");
        break;
    case PIECE_VALUES:
        put_str(w, "?+)");
        break;
    case PIECE_ROW:
        put_row(w);
        break;
    case PIECE_NONE:
        break;
    }
    w->was_unary = w->d.prev == PREV_SIGN;
}

/* Where a text of `len` bytes can be cut without leaving half a character. */
static size_t whole_characters(const char *text, size_t len)
{
    size_t at = len;
    while (at > 0 && len - at < 4 && ((uint8_t)text[at] & 0xc0) == 0x80)
        at--;
    return ((uint8_t)text[at] & 0xc0) == 0x80 ? len : at;
}

static size_t finish(struct writer *w)
{
    static const char dots[] = "...";
    size_t len = w->d.at.text;
    if (len >= w->size) {
        len = w->size < sizeof(dots) ? 0 : whole_characters(w->out, w->size - sizeof(dots));
        if (w->size >= sizeof(dots)) {
            memcpy(w->out + len, dots, sizeof(dots) - 1);
            len += sizeof(dots) - 1;
        }
    }
    w->out[len] = '\0';
    return len;
}

size_t digest_text(struct bytes sql, const struct lexer_mode *mode, char *out, size_t size)
{
    if (size == 0)
        return 0;
    struct writer w = { .out = out, .size = size };
    struct lexer lx;
    struct token t;
    digest_begin(&w.d);
    lexer_begin(&lx, sql, mode);
    do {
        if (lexer_next(&lx, &t) != TOKEN_HINT)
            add_token(&w, &t, lx.end);
    } while (t.kind != TOKEN_END && t.kind != TOKEN_BROKEN);
    return finish(&w);
}
