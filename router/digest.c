/*
 * digest.c - the normal form of a text: its hash, token by token, and its words.
 *
 * The hash is made while the statement is read, the words only for somebody who wants
 * to see them; both follow the same steps, digest_see().
 *
 *     SELECT a FROM t WHERE b = -1 AND c IN (1, 2)   SELECT a FROM t WHERE b = ? AND c IN (?+)
 *     INSERT INTO t VALUES (1, 'x'), (2, NULL)       INSERT INTO t VALUES (...)
 *     INSERT INTO t VALUES (f(1), 2), (f(3), 4)      INSERT INTO t VALUES (f(?), ?)
 *
 * Bare words are folded: which of them are keywords depends on the server's version, and
 * names that differ in case alone are rarely different things.
 */
#include "router/inside.h"

/* ---- hashing ----------------------------------------------------------------------- */

#define HASH_BEGIN 0x243F6A8885A308D3u
#define HASH_ROW   0x13198A2E03707344u
/* Not inlined: the common path is to need few registers. */
#define APART __attribute__((noinline))
/* What is no token of a text, and cannot be mistaken for one. */
enum { SEEN_VALUE = 1, SEEN_VALUES = 2, SEEN_ROW = 3, SEEN_END = 4 };

static uint64_t mix_tail(uint64_t hash, struct bytes text)
{
    size_t at = 8;
    for (; text.len - at > 8; at += 8)
        hash = digest_mix(hash, word_load(text.data + at, 8, 8));
    return digest_mix(hash, word_load(text.data + text.len - 8, 8, 8));
}

/* A name whose head is not known yet; `end` is the end of what can be read. */
static uint64_t mix_name(uint64_t hash, const struct token *t, const uint8_t *end)
{
    struct bytes text = t->text;
    uint64_t head = 0;
    if (text.len > 0)
        head = word_load(text.data, text.len, (size_t)(end - text.data));
    hash = digest_mix_head(hash, t->kind, text.len, head);
    return text.len > 8 ? mix_tail(hash, text) : hash;
}

/* Between quotes every letter counts. */
static uint64_t mix_quoted(uint64_t hash, struct bytes text)
{
    hash = digest_mix_head(hash, TOKEN_QUOTED_NAME, text.len, 0);
    for (size_t at = 0; at < text.len; at += 8) {
        uint64_t v = 0;
        memcpy(&v, text.data + at, MIN(text.len - at, sizeof(v)));
        hash = digest_mix(hash, le64toh(v));
    }
    return hash;
}

void digest_begin(struct digest *d)
{
    *d = (struct digest){ .at = { HASH_BEGIN, 0 } };
}

/* 0 would mean that there is none. */
uint64_t digest_end(const struct digest *d)
{
    if (d->at.hash == HASH_BEGIN)
        return 0;
    uint64_t hash = digest_mix(digest_mix(d->at.hash, SEEN_END), 0);
    return hash != 0 ? hash : 1;
}

/* ---- lists ---------------------------------------------------------------------------- */

static inline bool is_operand(uint8_t prev)
{
    return prev == PREV_OPERAND || prev == PREV_STRING;
}

/* In either kind of list something stands that is no value. */
static inline void see_other(struct digest *d)
{
    if ((d->in | d->rows) == 0)
        return;
    d->in = IN_NONE;
    d->is_plain = false;
    if (d->rows != ROWS_INSIDE)
        d->rows = ROWS_NONE;
}

static enum digest_piece see_value(struct digest *d, bool is_string)
{
    d->prev = is_string ? PREV_STRING : PREV_OPERAND;
    d->at.hash = digest_mix(d->at.hash, SEEN_VALUE);
    if (d->in == IN_OPEN || d->in == IN_VALUES)
        d->in = IN_VALUES;
    else
        d->in = IN_NONE;
    if (d->rows == ROWS_INSIDE)
        d->values++;
    else
        d->rows = ROWS_NONE;
    return PIECE_VALUE;
}

/* "a" "b" is one literal, in pieces. */
static APART enum digest_piece see_string(struct digest *d)
{
    return d->prev == PREV_STRING ? PIECE_NONE : see_value(d, true);
}

/* A sign that nothing stands in front of is the number's. */
static APART enum digest_piece see_number(struct digest *d)
{
    if (d->prev == PREV_SIGN)
        d->at = d->sign;
    return see_value(d, false);
}

static enum digest_piece mark(struct digest *d, const struct token *t)
{
    d->at.hash = digest_mix_head(d->at.hash, TOKEN_PUNCT, t->text.len, (uint8_t)t->punct);
    return PIECE_TOKEN;
}

static void begin_row(struct digest *d)
{
    if (d->rows == ROWS_EXPECTED)
        d->last_row = 0;
    d->rows = ROWS_INSIDE;
    d->row = d->at;
    d->at.hash = HASH_ROW;
    d->depth = 1;
    d->values = 0;
    d->is_plain = true;
}

static APART enum digest_piece see_opening(struct digest *d, const struct token *t)
{
    if (d->rows == ROWS_INSIDE) {
        d->depth++;
        d->is_plain = false;
    } else if (d->rows == ROWS_EXPECTED || d->rows == ROWS_COMMA) {
        begin_row(d);
    } else if (d->in == IN_OPEN) { /* (a, b) IN ((1, 2), (3, 4)) */
        d->rows = ROWS_EXPECTED;
        begin_row(d);
    } else {
        d->rows = ROWS_NONE;
    }
    mark(d, t);
    d->prev = PREV_MARK;
    d->in = d->in == IN_EXPECTED ? IN_OPEN : IN_NONE;
    if (d->in == IN_OPEN)
        d->list = d->at;
    return PIECE_TOKEN;
}

/* A row is compared with the one before it: what is the same again is left out. */
static enum digest_piece end_row(struct digest *d, const struct token *t)
{
    bool is_plain = d->is_plain && d->values > 0;
    mark(d, t);
    uint64_t row = is_plain ? SEEN_ROW : d->at.hash;
    d->rows = ROWS_BEHIND;
    if (row == d->last_row) {
        d->at = d->comma;
        return PIECE_NONE;
    }
    d->last_row = row;
    d->at.hash = digest_mix(d->row.hash, row);
    if (is_plain)
        d->at.text = d->row.text;
    return is_plain ? PIECE_ROW : PIECE_TOKEN;
}

static APART enum digest_piece see_closing(struct digest *d, const struct token *t)
{
    uint8_t in = d->in;
    d->prev = PREV_OPERAND;
    d->in = IN_NONE;
    if (d->rows == ROWS_INSIDE && --d->depth == 0)
        return end_row(d, t);
    if (d->rows != ROWS_INSIDE)
        d->rows = ROWS_NONE;
    if (in == IN_VALUES)
        d->at = (struct digest_place){ digest_mix(d->list.hash, SEEN_VALUES), d->list.text };
    mark(d, t);
    return in == IN_VALUES ? PIECE_VALUES : PIECE_TOKEN;
}

static APART enum digest_piece see_comma(struct digest *d, const struct token *t)
{
    d->prev = PREV_MARK;
    if (d->in != IN_VALUES)
        d->in = IN_NONE;
    if (d->rows == ROWS_BEHIND) {
        d->rows = ROWS_COMMA;
        d->comma = d->at;
    } else if (d->rows != ROWS_INSIDE) {
        d->rows = ROWS_NONE;
    }
    return mark(d, t);
}

/* ---- all tokens -------------------------------------------------------------------------- */

static APART enum digest_piece see_sign(struct digest *d, const struct token *t)
{
    if (is_operand(d->prev)) {
        see_other(d);
        d->prev = PREV_MARK;
    } else {
        d->sign = d->at;
        d->prev = PREV_SIGN;
    }
    return mark(d, t);
}

static enum digest_piece see_punct(struct digest *d, const struct token *t)
{
    switch (t->punct) {
    case '(':
        return see_opening(d, t);
    case ')':
        return see_closing(d, t);
    case ',':
        return see_comma(d, t);
    case '+':
    case '-':
        return see_sign(d, t);
    default:
        see_other(d);
        d->prev = t->punct == '.' ? PREV_NONE : PREV_MARK;
        return mark(d, t);
    }
}

/* The words that lists begin with, and those that are values where one can stand. */
static bool see_special(struct digest *d, const struct token *t)
{
    switch ((unsigned)t->keyword) {
    case KEYWORD_IN:
        see_other(d);
        d->in = IN_EXPECTED;
        return false;
    case KEYWORD_VALUES:
    case KEYWORD_VALUE:
        see_other(d);
        if (d->rows != ROWS_INSIDE)
            d->rows = ROWS_EXPECTED;
        return false;
    case KEYWORD_ROW: /* VALUES ROW(1), ROW(2) */
        if (d->rows != ROWS_EXPECTED && d->rows != ROWS_COMMA)
            see_other(d);
        return false;
    case KEYWORD_NULL:
    case KEYWORD_TRUE:
    case KEYWORD_FALSE:
        if (d->prev == PREV_MARK)
            return true;
        see_other(d);
        return false;
    default:
        return false;
    }
}

static APART enum digest_piece see_word(struct digest *d, const struct token *t)
{
    unsigned flags = keyword_flags((enum keyword)t->keyword);
    if ((flags & KEYWORD_IN_DIGEST) == 0)
        see_other(d);
    else if (see_special(d, t))
        return see_value(d, false);
    d->prev = (flags & KEYWORD_OPENS) != 0 ? PREV_NONE : PREV_OPERAND;
    d->at.hash = digest_mix_head(d->at.hash, TOKEN_WORD, t->text.len, t->head);
    if (t->text.len > 8)
        d->at.hash = mix_tail(d->at.hash, t->text);
    return PIECE_TOKEN;
}

static APART enum digest_piece see_name(struct digest *d, const struct token *t, const uint8_t *end)
{
    see_other(d);
    d->prev = PREV_OPERAND;
    if (t->kind == TOKEN_QUOTED_NAME)
        d->at.hash = mix_quoted(d->at.hash, t->text);
    else
        d->at.hash = mix_name(d->at.hash, t, end);
    return PIECE_TOKEN;
}

/* Semicolons at the end are not part of the statement. */
static APART enum digest_piece see_semicolon(struct digest *d)
{
    see_other(d);
    d->rows = ROWS_NONE;
    d->prev = PREV_NONE;
    d->has_gap = d->at.hash != HASH_BEGIN;
    return PIECE_NONE;
}

static enum digest_piece see_broken(struct digest *d)
{
    if (d->is_broken)
        return PIECE_NONE;
    d->is_broken = true;
    d->at.hash = digest_mix_head(d->at.hash, TOKEN_BROKEN, 0, 0);
    return PIECE_TOKEN;
}

static void pass_gap(struct digest *d)
{
    d->at.hash = digest_mix_head(d->at.hash, TOKEN_SEMICOLON, 0, 0);
    d->has_gap = false;
}

enum digest_piece digest_see_closely(struct digest *d, const struct token *t, const uint8_t *end)
{
    if (d->has_gap && t->kind != TOKEN_END && t->kind != TOKEN_SEMICOLON)
        pass_gap(d);
    if (t->kind == TOKEN_WORD)
        return see_word(d, t);
    switch (t->kind) {
    case TOKEN_WORD:
    case TOKEN_PUNCT:
        return see_punct(d, t);
    case TOKEN_NUMBER:
        return see_number(d);
    case TOKEN_STRING:
        return see_string(d);
    case TOKEN_PARAM:
        return see_value(d, false);
    case TOKEN_QUOTED_NAME:
    case TOKEN_USER_VAR:
    case TOKEN_SYSTEM_VAR:
        return see_name(d, t, end);
    case TOKEN_SEMICOLON:
        return see_semicolon(d);
    case TOKEN_BROKEN:
        return see_broken(d);
    case TOKEN_END:
    case TOKEN_HINT:
        break;
    }
    return PIECE_NONE;
}
