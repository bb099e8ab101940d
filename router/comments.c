/*
 * comments.c - the comments of SQL: passed, stepped into, or read because they are for us.
 */
#include "router/inside.h"

#include "base/str.h"

/* Behind the next star and slash, or NULL. */
static const uint8_t *end_of_comment(const struct lexer *lx, const uint8_t *p)
{
    for (; lx->end - p >= 2; p++) {
        if (p[0] == '*' && p[1] == '/')
            return p + 2;
    }
    return NULL;
}

/* A versioned comment that is not executed may have ordinary ones inside. */
static const uint8_t *end_of_skipped(const struct lexer *lx, const uint8_t *p)
{
    for (; lx->end - p >= 2; p++) {
        if (p[0] == '*' && p[1] == '/')
            return p + 2;
        if (p[0] == '/' && p[1] == '*') {
            p = end_of_comment(lx, p + 2);
            if (p == NULL)
                return NULL;
            p--;
        }
    }
    return NULL;
}

/* Optimizer hints can quote names; a comment's end inside such a name is one for us
 * and none for a server that reads hints there. */
static bool ends_inside_quotes(const uint8_t *p, const uint8_t *to)
{
    uint8_t quote = 0;
    for (; p < to; p++) {
        if (quote == 0 && is_quote(*p))
            quote = *p;
        else if (*p == quote)
            quote = 0;
    }
    return quote != 0;
}

/* The text of a comment for us: "volvox:" is its first word. */
static bool is_ours(struct bytes comment, struct bytes *text)
{
    static const char name[] = "volvox:";
    comment = str_trim(comment);
    if (comment.len < sizeof(name) - 1)
        return false;
    for (size_t i = 0; i < sizeof(name) - 1; i++) {
        if (ascii_lower(comment.data[i]) != (uint8_t)name[i])
            return false;
    }
    *text = str_trim(bytes_skip(comment, sizeof(name) - 1));
    return true;
}

/* Five or six digits are a version, fewer are text. */
struct version_mark {
    size_t digits;
    uint32_t number;
};

/* MySQL takes six only with a blank behind them; before 9.0 perhaps never. */
static size_t count_version_digits(struct lexer *lx, const uint8_t *p)
{
    size_t n = 0;
    while (n < 6 && ascii_digit(peek(lx, p, n)))
        n++;
    if (n == 6 && !lx->mode.is_mariadb) {
        if (lx->mode.version < 90000 || peek(lx, p, 6) >= 0x80)
            lx->in_doubt = true;
        return ascii_space(peek(lx, p, 6)) ? 6 : 5;
    }
    return n < 5 ? 0 : n;
}

static struct version_mark version_at(struct lexer *lx, const uint8_t *p)
{
    struct version_mark v = { count_version_digits(lx, p), 0 };
    for (size_t i = 0; i < v.digits; i++)
        v.number = v.number * 10 + (uint32_t)(p[i] - '0');
    return v;
}

/* Would the server execute it?  With its version unknown the answer is yes, and doubt
 * unless every server we know of would say so. */
static bool is_executed(struct lexer *lx, struct version_mark v, bool for_mariadb)
{
    const struct lexer_mode *mode = &lx->mode;
    if (mode->version == 0) {
        if (for_mariadb ? !mode->is_mariadb || v.number >= 100000 : v.number >= 50000)
            lx->in_doubt = true;
        return true;
    }
    /* MariaDB skips what is meant for MySQL 5.7 to 9. */
    if (mode->is_mariadb)
        return v.number <= mode->version && (for_mariadb || v.number < 50700 || v.number > 99999);
    return v.number <= mode->version;
}

/* p stands at a versioned comment: skip it or step inside.  NULL when it is skipped
 * and has no end. */
static const uint8_t *enter_versioned(struct lexer *lx, const uint8_t *p, bool for_mariadb)
{
    p += for_mariadb ? 4 : 3;
    struct version_mark v = version_at(lx, p);
    bool executes = v.digits == 0 && !(for_mariadb && lx->mode.version == 0);
    if (!executes && !is_executed(lx, v, for_mariadb))
        return end_of_skipped(lx, p);
    if (lx->in_versioned)
        lx->in_doubt = true;
    lx->in_versioned = true;
    return p + v.digits;
}

/* A comment in slashes and stars.  Sets *text when it is for us. */
static const uint8_t *pass_block_comment(struct lexer *lx, const uint8_t *p, struct bytes *text,
                                         bool *ours)
{
    uint8_t mark = peek(lx, p, 2);
    if (mark == '!')
        return enter_versioned(lx, p, false);
    if (mark == 'M' && peek(lx, p, 3) == '!' && (lx->mode.is_mariadb || lx->mode.version == 0))
        return enter_versioned(lx, p, true);
    const uint8_t *to = end_of_comment(lx, p + 2);
    if (to == NULL)
        return NULL;
    if (mark == '+' && ends_inside_quotes(p + 3, to - 2))
        lx->in_doubt = true;
    *ours = is_ours(bytes_of(p + 2, (size_t)(to - p) - 4), text);
    return to;
}

/* To the end of the line; a NUL ends it too, and is then met as what it is. */
static const uint8_t *pass_line_comment(const struct lexer *lx, const uint8_t *p, size_t mark,
                                        struct bytes *text, bool *ours)
{
    const uint8_t *from = p + mark;
    for (p = from; p < lx->end && *p != '\n' && *p != 0;)
        p++;
    *ours = is_ours(bytes_of(from, (size_t)(p - from)), text);
    return p;
}

/* Two dashes need a blank, a control character or the end behind them; in latin1
 * some bytes from 0x80 are control characters. */
static bool is_dash_comment(struct lexer *lx, const uint8_t *p)
{
    if (peek(lx, p, 1) != '-')
        return false;
    uint8_t c = peek(lx, p, 2);
    if (c >= 0x80)
        lx->in_doubt = true;
    return c <= ' ' || c == 0x7f;
}

static enum comment passed(const uint8_t **p, const uint8_t *to, bool ours)
{
    *p = to;
    return to == NULL ? COMMENT_BROKEN : ours ? COMMENT_OURS : COMMENT_PASSED;
}

enum comment comment_pass(struct lexer *lx, const uint8_t **p, struct bytes *text)
{
    const uint8_t *from = *p, *to;
    bool ours = false;
    if (*from == '#')
        to = pass_line_comment(lx, from, 1, text, &ours);
    else if (*from == '-' && is_dash_comment(lx, from))
        to = pass_line_comment(lx, from, 2, text, &ours);
    else if (*from == '/' && peek(lx, from, 1) == '*')
        to = pass_block_comment(lx, from, text, &ours);
    else if (*from == '*' && lx->in_versioned && peek(lx, from, 1) == '/')
        lx->in_versioned = false, to = from + 2;
    else
        return COMMENT_NONE;
    return passed(p, to, ours);
}
