/*
 * lexer.c - SQL text to tokens, the way MySQL and MariaDB cut it.
 *
 * Where the two servers, their versions or a character set we know too little of
 * could cut differently, the lexer goes on with one reading and sets in_doubt:
 * whoever decides then assumes the worst.
 *
 * Optimizer hints (slash, star, plus) are comments here: SET_VAR in one lasts for
 * its statement only, so nothing of it outlives the answer.
 */
#include "router/inside.h"

#include "base/str.h"

/* The bytes of bare names are the last two. */
enum class {
    CLASS_OTHER,
    CLASS_NUL,
    CLASS_SPACE,
    CLASS_STRING,
    CLASS_DOUBLE,
    CLASS_BACKTICK,
    CLASS_AT,
    CLASS_DASH,
    CLASS_HASH,
    CLASS_SLASH,
    CLASS_STAR,
    CLASS_DOT,
    CLASS_COLON,
    CLASS_SEMICOLON,
    CLASS_PARAM,
    CLASS_DIGIT,
    CLASS_WORD
};

/* Bytes from 0x80 are letters: parts of characters, whatever the character set. */
static const uint8_t classes[256] = {
    [0] = CLASS_NUL,
    ['\t' ... '\r'] = CLASS_SPACE,
    [' '] = CLASS_SPACE,
    ['a' ... 'z'] = CLASS_WORD,
    ['A' ... 'Z'] = CLASS_WORD,
    ['_'] = CLASS_WORD,
    ['$'] = CLASS_WORD,
    [0x80 ... 0xff] = CLASS_WORD,
    ['0' ... '9'] = CLASS_DIGIT,
    ['\''] = CLASS_STRING,
    ['"'] = CLASS_DOUBLE,
    ['`'] = CLASS_BACKTICK,
    ['@'] = CLASS_AT,
    ['-'] = CLASS_DASH,
    ['#'] = CLASS_HASH,
    ['/'] = CLASS_SLASH,
    ['*'] = CLASS_STAR,
    ['.'] = CLASS_DOT,
    [':'] = CLASS_COLON,
    [';'] = CLASS_SEMICOLON,
    ['?'] = CLASS_PARAM,
};

/* Not inlined: the common path is to need few registers. */
#define APART __attribute__((noinline))

static inline bool is_name_byte(uint8_t c)
{
    return classes[c] >= CLASS_DIGIT;
}

void lexer_begin(struct lexer *lx, struct bytes sql, const struct lexer_mode *mode)
{
    if (sql.data == NULL)
        sql = BYTES_LITERAL("");
    *lx = (struct lexer){
        .begin = sql.data, .at = sql.data, .end = sql.data + sql.len, .mode = *mode
    };
}

static enum token_kind give(struct lexer *lx, struct token *out, enum token_kind kind,
                            const uint8_t *from, const uint8_t *to)
{
    out->kind = kind;
    out->keyword = KEYWORD_NONE;
    out->punct = 0;
    out->text = bytes_of(from, (size_t)(to - from));
    lx->at = to;
    return kind;
}

/* What is left can't be read; `at` stays in front of it. */
static APART enum token_kind give_broken(struct lexer *lx, struct token *out, const uint8_t *from)
{
    give(lx, out, TOKEN_BROKEN, from, lx->end);
    lx->at = from;
    return TOKEN_BROKEN;
}

static enum token_kind give_punct(struct lexer *lx, struct token *out, const uint8_t *from,
                                  size_t len)
{
    give(lx, out, TOKEN_PUNCT, from, from + len);
    out->punct = (char)*from;
    return TOKEN_PUNCT;
}

/* ---- strings and quoted names ------------------------------------------------------ */

/* In gbk, sjis and the like a backslash or backtick can be the second half of a
 * character; which of them it is depends on the character set. */
static APART const uint8_t *end_of_wide(struct lexer *lx, const uint8_t *p, uint8_t quote)
{
    uint8_t second = peek(lx, p, 1);
    if (lx->mode.charset != LEXER_UNKNOWN)
        return p + charset_length((enum lexer_charset)lx->mode.charset, p, lx->end);
    if (second == '\\' || second == quote)
        lx->in_doubt = true;
    return p + 1;
}

/* Strings can be megabytes: up to the block that holds one of the two bytes, or to the end's last
 * few.  (Without a branch within a block, compilers make vector instructions of it.) */
static const uint8_t *skip_plain(const uint8_t *p, const uint8_t *end, uint8_t quote,
                                 uint8_t escape)
{
    enum { BLOCK = 64 };
    for (; end - p >= BLOCK; p += BLOCK) {
        uint8_t found = 0;
        for (int i = 0; i < BLOCK; i++)
            found |= (uint8_t)((p[i] == quote) | (p[i] == escape));
        if (found != 0)
            break;
    }
    return p;
}

/* The first byte behind the closing quote, or NULL; p stands behind the opening one. */
static const uint8_t *end_of_quoted(struct lexer *lx, const uint8_t *p, uint8_t quote,
                                    bool has_escapes)
{
    enum { SHORT = 64 };
    const uint8_t *from = p;
    bool is_wide = lx->mode.charset >= LEXER_GBK;
    while (p < lx->end) {
        if (p - from >= SHORT && !is_wide) {
            p = skip_plain(p, lx->end, quote, has_escapes ? '\\' : quote);
            from = p;
            if (p == lx->end)
                return NULL;
        }
        uint8_t c = *p++;
        if (c == quote) {
            if (peek(lx, p, 0) != quote)
                return p;
            p++;
        } else if (c == '\\' && has_escapes) {
            if (p == lx->end)
                return NULL;
            p++;
        } else if (c >= 0x81 && is_wide) {
            p = end_of_wide(lx, p - 1, quote);
        }
    }
    return NULL;
}

static const uint8_t *end_of_string(struct lexer *lx, const uint8_t *p)
{
    const uint8_t *to = end_of_quoted(lx, p + 1, *p, !lx->mode.no_backslash_escapes);
    if (lx->mode.quotes_unknown && to != NULL && memchr(p, '\\', (size_t)(to - p)) != NULL)
        lx->in_doubt = true;
    return to;
}

/* Any of the three quotes at p; a string or a name by mode. */
static enum token_kind quoted_kind(const struct lexer *lx, uint8_t quote)
{
    return quote == '`' || (quote == '"' && lx->mode.ansi_quotes) ? TOKEN_QUOTED_NAME
                                                                  : TOKEN_STRING;
}

static const uint8_t *end_of_any_quoted(struct lexer *lx, const uint8_t *p)
{
    if (*p == '"' && lx->mode.quotes_unknown)
        lx->in_doubt = true;
    if (quoted_kind(lx, *p) == TOKEN_STRING)
        return end_of_string(lx, p);
    return end_of_quoted(lx, p + 1, *p, false);
}

static APART enum token_kind read_quoted(struct lexer *lx, struct token *out, const uint8_t *p)
{
    const uint8_t *to = end_of_any_quoted(lx, p);
    if (to == NULL)
        return give_broken(lx, out, p);
    if (*p != '\'' && peek(lx, to, 0) == '.' && ascii_digit(peek(lx, to, 1)))
        lx->in_doubt = true;
    return give(lx, out, quoted_kind(lx, *p), p, to);
}

/* ---- words and numbers -------------------------------------------------------------- */

static const uint8_t *end_of_name(const struct lexer *lx, const uint8_t *p)
{
    while (p < lx->end && is_name_byte(*p))
        p++;
    return p;
}

/* The end of a name in which second bytes may look like anything. */
static const uint8_t *end_of_wide_name(const struct lexer *lx, const uint8_t *p)
{
    enum lexer_charset charset = (enum lexer_charset)lx->mode.charset;
    while (p < lx->end && is_name_byte(*p))
        p += *p >= 0x80 ? charset_length(charset, p, lx->end) : 1;
    return p;
}

static bool is_wide(const struct lexer *lx)
{
    return lx->mode.charset >= LEXER_GBK && lx->mode.charset <= LEXER_GB18030;
}

/* A name from here to `to`, as far as can be told; some of its bytes are from 0x80.  Its end. */
static APART const uint8_t *see_high_bytes(struct lexer *lx, const uint8_t *from, const uint8_t *to)
{
    if (is_wide(lx))
        return end_of_wide_name(lx, from);
    if (charset_is_in_doubt((enum lexer_charset)lx->mode.charset, from, to))
        lx->in_doubt = true;
    return to;
}

static bool has_high_bytes(const uint8_t *from, const uint8_t *to)
{
    uint8_t all = 0;
    for (const uint8_t *p = from; p < to; p++)
        all |= *p;
    return (all & 0x80) != 0;
}

/* x'..', b'..' have no escapes; n'..' has. */
static APART enum token_kind read_prefixed(struct lexer *lx, struct token *out, const uint8_t *p)
{
    bool is_text = (*p | 0x20) == 'n';
    const uint8_t *to = is_text ? end_of_string(lx, p + 1) : end_of_quoted(lx, p + 2, '\'', false);
    if (to == NULL)
        return give_broken(lx, out, p);
    return give(lx, out, TOKEN_STRING, p, to);
}

static bool is_string_prefix(uint8_t c)
{
    c |= 0x20;
    return c == 'n' || c == 'x' || c == 'b';
}

#define EACH(byte) (0x0101010101010101u * (byte))

/* The top bit of each of eight bytes that is no letter, digit or above 0x7f; those of '_' and '$'
 * are set too. */
static inline uint64_t other_bytes(uint64_t bytes)
{
    uint64_t low = bytes & EACH(0x7f), folded = low | EACH(0x20);
    uint64_t letters = (folded + EACH(0x80 - 'a')) ^ (folded + EACH(0x7f - 'z'));
    uint64_t digits = (low + EACH(0x80 - '0')) ^ (low + EACH(0x7f - '9'));
    return ~(letters | digits | bytes) & EACH(0x80);
}

/* A word with bytes from 0x80: no keyword. */
static APART enum token_kind give_high_word(struct lexer *lx, struct token *out,
                                            const uint8_t *from, const uint8_t *to)
{
    lx->name_end = to;
    out->head = word_load(from, (size_t)(to - from), (size_t)(lx->end - from));
    return give(lx, out, TOKEN_WORD, from, to);
}

/* A word from here to `p`, where `next` is: `head` is word_load() of it, `high` not 0 when it has
 * bytes from 0x80. */
static inline enum token_kind give_word(struct lexer *lx, struct token *out, const uint8_t *from,
                                        const uint8_t *p, uint8_t next, uint64_t head,
                                        uint64_t high, bool after_dot)
{
    if (next == '\'' && p - from == 1 && is_string_prefix(*from) && !after_dot)
        return read_prefixed(lx, out, from);
    if (high != 0)
        return give_high_word(lx, out, from, see_high_bytes(lx, from, p));
    give(lx, out, TOKEN_WORD, from, p);
    out->head = head;
    lx->name_end = p;
    /* A name is whatever stands directly at a dot: `for.update` are two names. */
    if (after_dot || (next == '.' && is_name_byte(peek(lx, p, 1))))
        return TOKEN_WORD;
    return keyword_give(out);
}

static APART enum token_kind read_long_word(struct lexer *lx, struct token *out,
                                            const uint8_t *from, bool after_dot)
{
    const uint8_t *p = from;
    uint8_t all = 0;
    while (p < lx->end && is_name_byte(*p))
        all |= *p++;
    uint64_t head = word_load(from, (size_t)(p - from), (size_t)(lx->end - from));
    return give_word(lx, out, from, p, peek(lx, p, 0), head, all & 0x80, after_dot);
}

/* With zeros, which end a word, behind the text's end. */
static inline uint64_t eight_bytes(const struct lexer *lx, const uint8_t *from)
{
    ptrdiff_t missing = 8 - (lx->end - from);
    return missing <= 0 ? word_bytes(from) : word_bytes(lx->end - 8) >> 8 * missing;
}

/* Most words end within eight bytes. */
static APART enum token_kind read_word(struct lexer *lx, struct token *out, const uint8_t *from,
                                       bool after_dot)
{
    if (lx->end - lx->begin < 8)
        return read_long_word(lx, out, from, after_dot);
    uint64_t bytes = eight_bytes(lx, from), others = other_bytes(bytes);
    if (others == 0)
        return read_long_word(lx, out, from, after_dot);
    unsigned bits = (unsigned)__builtin_ctzll(others) & ~7u;
    const uint8_t *p = from + bits / 8;
    uint8_t next = peek(lx, p, 0);
    if (next == '_' || next == '$')
        return read_long_word(lx, out, from, after_dot);
    uint64_t head = word_fold(bytes) & (((uint64_t)1 << bits) - 1);
    return give_word(lx, out, from, p, next, head, head & EACH(0x80), after_dot);
}

static const uint8_t *skip_digits(const struct lexer *lx, const uint8_t *p)
{
    while (p < lx->end && ascii_digit(*p))
        p++;
    return p;
}

/* Behind e or E of a number: the end of its exponent, or NULL if it is none. */
static const uint8_t *end_of_exponent(const struct lexer *lx, const uint8_t *p)
{
    if ((peek(lx, p, 0) | 0x20) != 'e')
        return NULL;
    p++;
    if (peek(lx, p, 0) == '+' || peek(lx, p, 0) == '-')
        p++;
    return ascii_digit(peek(lx, p, 0)) ? skip_digits(lx, p) : NULL;
}

/* 0x1f, 0b01; with any other byte in it, or in capitals, it is a name. */
static bool is_based_number(const uint8_t *from, const uint8_t *to)
{
    if (to - from < 3 || from[0] != '0' || (from[1] != 'x' && from[1] != 'b'))
        return false;
    for (const uint8_t *p = from + 2; p < to; p++) {
        bool is_bit = *p == '0' || *p == '1';
        bool is_hex = ascii_digit(*p) || (ascii_lower(*p) >= 'a' && ascii_lower(*p) <= 'f');
        if (from[1] == 'b' ? !is_bit : !is_hex)
            return false;
    }
    return true;
}

/* "1FOR" is a name, but "1.FOR" and "1e1FOR" are a number and a keyword. */
static APART enum token_kind read_number(struct lexer *lx, struct token *out, const uint8_t *from)
{
    const uint8_t *p = skip_digits(lx, from);
    if (peek(lx, p, 0) == '.') {
        p = skip_digits(lx, p + 1);
        const uint8_t *to = end_of_exponent(lx, p);
        return give(lx, out, TOKEN_NUMBER, from, to ? to : p);
    }
    const uint8_t *to = p > from ? end_of_exponent(lx, p) : NULL;
    if (to != NULL)
        return give(lx, out, TOKEN_NUMBER, from, to);
    if (!is_name_byte(peek(lx, p, 0)))
        return give(lx, out, TOKEN_NUMBER, from, p);
    p = end_of_name(lx, p);
    if (is_based_number(from, p))
        return give(lx, out, TOKEN_NUMBER, from, p);
    return give_high_word(lx, out, from, has_high_bytes(from, p) ? see_high_bytes(lx, from, p) : p);
}

/* Directly behind a name a dot separates, else it can begin a number.  Behind a
 * quoted name the servers differ, if a digit follows. */
static APART enum token_kind read_dot(struct lexer *lx, struct token *out, const uint8_t *p)
{
    uint8_t next = peek(lx, p, 1);
    if (ascii_digit(next) && p != lx->name_end)
        return read_number(lx, out, p);
    lx->after_dot = is_name_byte(next);
    return give_punct(lx, out, p, 1);
}

/* A variable's name. */
static void see_high_name(struct lexer *lx, const uint8_t *from, const uint8_t *to)
{
    if (has_high_bytes(from, to) &&
        charset_is_in_doubt((enum lexer_charset)lx->mode.charset, from, to))
        lx->in_doubt = true;
}

/* @name, @'name', @`name`; a bare name may have dots in it. */
static APART enum token_kind read_user_var(struct lexer *lx, struct token *out, const uint8_t *at)
{
    const uint8_t *p = at + 1;
    if (is_quote(peek(lx, p, 0))) {
        const uint8_t *to = end_of_any_quoted(lx, p);
        return to ? give(lx, out, TOKEN_USER_VAR, p, to) : give_broken(lx, out, at);
    }
    while (p < lx->end && (is_name_byte(*p) || *p == '.'))
        p++;
    see_high_name(lx, at + 1, p);
    return give(lx, out, TOKEN_USER_VAR, at + 1, p);
}

/* @@name, @@scope.name, @@`name`: with the scope, as far as it is one piece. */
static APART enum token_kind read_system_var(struct lexer *lx, struct token *out, const uint8_t *at)
{
    const uint8_t *from = at + 2, *p = from;
    for (;;) {
        if (peek(lx, p, 0) == '`')
            p = end_of_quoted(lx, p + 1, '`', false);
        else
            p = end_of_name(lx, p);
        if (p == NULL)
            return give_broken(lx, out, at);
        if (peek(lx, p, 0) != '.')
            break;
        p++;
    }
    see_high_name(lx, from, p);
    return give(lx, out, TOKEN_SYSTEM_VAR, from, p);
}

/* ---- the next token ------------------------------------------------------------------- */

/* At a mark that can begin or end a comment: the place behind it, or NULL with a token
 * given instead, which can be a comment for us. */
static APART const uint8_t *pass_comment(struct lexer *lx, struct token *out, const uint8_t *p)
{
    struct bytes text = BYTES_NONE;
    const uint8_t *to = p;
    switch (comment_pass(lx, &to, &text)) {
    case COMMENT_NONE:
        give_punct(lx, out, p, 1);
        return NULL;
    case COMMENT_BROKEN:
        give_broken(lx, out, p);
        return NULL;
    case COMMENT_OURS:
        give(lx, out, TOKEN_HINT, text.data, text.data + text.len);
        lx->at = to;
        return NULL;
    case COMMENT_PASSED:
        break;
    }
    return to;
}

static APART enum token_kind read_any(struct lexer *lx, struct token *out, const uint8_t *p,
                                      bool after_dot)
{
    for (; p < lx->end; after_dot = false) {
        switch ((enum class)classes[*p]) {
        case CLASS_SPACE:
            p++;
            continue;
        case CLASS_WORD:
            return read_word(lx, out, p, after_dot);
        case CLASS_DIGIT:
            return after_dot ? read_word(lx, out, p, true) : read_number(lx, out, p);
        case CLASS_STRING:
        case CLASS_DOUBLE:
        case CLASS_BACKTICK:
            return read_quoted(lx, out, p);
        case CLASS_AT:
            return peek(lx, p, 1) == '@' ? read_system_var(lx, out, p) : read_user_var(lx, out, p);
        case CLASS_DASH:
        case CLASS_HASH:
        case CLASS_SLASH:
        case CLASS_STAR:
            p = pass_comment(lx, out, p);
            if (p == NULL)
                return out->kind;
            continue;
        case CLASS_DOT:
            return read_dot(lx, out, p);
        case CLASS_COLON:
            return give_punct(lx, out, p, peek(lx, p, 1) == '=' ? 2 : 1);
        case CLASS_SEMICOLON:
            return give(lx, out, TOKEN_SEMICOLON, p, p + 1);
        case CLASS_PARAM:
            return give(lx, out, TOKEN_PARAM, p, p + 1);
        case CLASS_OTHER:
            if (lx->mode.charset == LEXER_SWE7 && memchr("[\\]^{}~", *p, 7) != NULL)
                lx->in_doubt = true;
            return give_punct(lx, out, p, 1);
        case CLASS_NUL: /* servers end the statement here, or not */
            return give_broken(lx, out, p);
        }
    }
    if (lx->in_versioned)
        return give_broken(lx, out, p);
    return give(lx, out, TOKEN_END, p, p);
}

/* Most tokens are words with one blank in front. */
enum token_kind lexer_next(struct lexer *lx, struct token *out)
{
    const uint8_t *p = lx->at, *end = lx->end;
    bool after_dot = lx->after_dot;
    lx->after_dot = false;
    if (p < end && *p == ' ') {
        p++;
        after_dot = false;
    }
    if (p < end && classes[*p] == CLASS_WORD)
        return read_word(lx, out, p, after_dot);
    return read_any(lx, out, p, after_dot);
}
