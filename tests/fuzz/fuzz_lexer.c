/*
 * fuzz_lexer.c - any bytes as SQL: reading ends, stays inside, and is sure of itself.
 *
 * The first byte chooses the mode, the second where a comment is put in; the rest is
 * the text.
 */
#include "router/router.h"

#include "base/str.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct lexer_mode mode_of(uint8_t bits)
{
    static const uint32_t versions[] = { 0, 80036, 90704, 101119 };
    uint32_t version = versions[bits >> 6];
    return (struct lexer_mode){
        .ansi_quotes = (bits & 1) != 0,
        .no_backslash_escapes = (bits & 2) != 0,
        .ignore_space = (bits & 4) != 0,
        .charset = (bits & 8) != 0 ? 1 + bits % LEXER_UNKNOWN : LEXER_UTF8,
        .is_mariadb = version == 101119 || (version == 0 && (bits & 16) != 0),
        .version = version,
    };
}

/* Walk all tokens: each is inside the text and behind the one before.  Returns where,
 * at the nth place where a blank follows a token, that token ends. */
static size_t walk(struct bytes sql, const struct lexer_mode *mode, unsigned nth)
{
    struct lexer lx;
    struct token t;
    size_t place = sql.len, tokens = 0;
    lexer_begin(&lx, sql, mode);
    const uint8_t *before = lx.at;
    while (lexer_next(&lx, &t) != TOKEN_END && t.kind != TOKEN_BROKEN) {
        must(++tokens <= sql.len);
        must(lx.at > before && lx.at <= lx.end);
        must(t.text.data >= before && t.text.data + t.text.len <= lx.at);
        before = lx.at;
        if (lx.at < lx.end && ascii_space(*lx.at) && t.kind != TOKEN_HINT && nth-- == 0)
            place = (size_t)(lx.at - sql.data);
    }
    must(lexer_next(&lx, &t) == TOKEN_END || t.kind == TOKEN_BROKEN);
    return place;
}

static bool same_hint(const struct hint *a, const struct hint *b)
{
    return a->kind == b->kind && bytes_equal(a->server, b->server);
}

static bool same_statement(const struct statement *a, const struct statement *b)
{
    return a->verb == b->verb && a->effects == b->effects && a->reads_only == b->reads_only &&
           a->is_broken == b->is_broken && same_hint(&a->hint, &b->hint);
}

/* A comment between two tokens that had a blank between them changes nothing. */
static void comment_changes_nothing(struct bytes sql, const struct lexer_mode *mode,
                                    const struct statement *st, size_t place)
{
    static const char comment[] = " /* x */";
    size_t added = sizeof(comment) - 1;
    uint8_t *longer = malloc(sql.len + added);
    must(longer != NULL);
    memcpy(longer, sql.data, place);
    memcpy(longer + place, comment, added);
    memcpy(longer + place + added, sql.data + place, sql.len - place);
    struct statement other;
    statement_read(bytes_of(longer, sql.len + added), mode, &other);
    must(same_statement(st, &other));
    free(longer);
}

/* Only what certainly reads is sent to a replica, with or without a hint. */
static void route_is_careful(const struct statement *st)
{
    const struct facts facts = { .autocommit = true, .splits_reads = true };
    struct plan plan;
    struct fault why = FAULT_NONE;
    must(!st->is_broken || !st->reads_only);
    if (!route(&facts, st, &plan, &why)) {
        must(why.blame == BLAME_POLICY && why.text[0] != '\0');
        return;
    }
    must(plan.role != ROLE_REPLICA || st->reads_only);
    must((plan.server.len > 0) == (st->hint.kind == HINT_SERVER));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct lexer_mode mode = mode_of(data[0]);
    uint8_t *exact = malloc(size - 2 > 0 ? size - 2 : 1);
    must(exact != NULL);
    memcpy(exact, data + 2, size - 2);
    struct bytes sql = bytes_of(exact, size - 2);
    struct statement st;
    statement_read(sql, &mode, &st);
    route_is_careful(&st);
    size_t place = walk(sql, &mode, data[1]);
    if (place < sql.len)
        comment_changes_nothing(sql, &mode, &st, place);
    free(exact);
    return 0;
}
