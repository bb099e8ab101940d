/*
 * fuzz_digest.c - any bytes as SQL: the normal form stays inside its room, and other
 * literals make no other digest.
 *
 * The first byte chooses the mode, the second the room; the rest is the text.
 */
#include "router/router.h"

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

static void *exactly(size_t size)
{
    void *p = malloc(size > 0 ? size : 1);
    must(p != NULL);
    return p;
}

/* False if a part changes how the parts behind it are read: what is a literal there is not for us to say. */
static bool digest_of(struct bytes sql, const struct lexer_mode *mode, uint64_t *digest)
{
    struct statement st;
    statement_read(sql, mode, &st);
    *digest = st.digest;
    return !st.changes_reading;
}

/* In room of exactly `size` bytes; the caller frees. */
static char *text_of(struct bytes sql, const struct lexer_mode *mode, size_t size)
{
    char *out = exactly(size);
    size_t len = digest_text(sql, mode, out, size);
    must(size == 0 ? len == 0 : len < size && out[len] == '\0');
    return out;
}

/* A text being written with other literals. */
struct copy {
    uint8_t *out;
    size_t len;
};

static void copy_bytes(struct copy *c, const void *data, size_t len)
{
    memcpy(c->out + c->len, data, len);
    c->len += len;
}

/* With blanks around it, so that it does not grow together with what is beside it; behind a dash a
 * blank could begin a comment. */
static void copy_literal(struct copy *c, const char *literal)
{
    bool is_behind_dash = c->len > 0 && c->out[c->len - 1] == '-';
    copy_bytes(c, is_behind_dash ? "/**/" : " ", is_behind_dash ? 4 : 1);
    copy_bytes(c, literal, strlen(literal));
    copy_bytes(c, " ", 1);
}

/* The caller frees. */
static struct bytes with_other_literals(struct bytes sql, const struct lexer_mode *mode)
{
    struct copy c = { exactly(sql.len * 10 + 10), 0 };
    struct lexer lx;
    struct token t;
    const uint8_t *copied = sql.data;
    lexer_begin(&lx, sql, mode);
    while (lexer_next(&lx, &t) != TOKEN_END && t.kind != TOKEN_BROKEN) {
        if (t.kind != TOKEN_STRING && t.kind != TOKEN_NUMBER)
            continue;
        copy_bytes(&c, copied, (size_t)(t.text.data - copied));
        copy_literal(&c, t.kind == TOKEN_STRING ? "'x'" : "70");
        copied = t.text.data + t.text.len;
    }
    copy_bytes(&c, copied, (size_t)(sql.data + sql.len - copied));
    return bytes_of(c.out, c.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 3)
        return 0;
    struct lexer_mode mode = mode_of(data[0]);
    uint8_t *exact = exactly(size - 2);
    memcpy(exact, data + 2, size - 2);
    struct bytes sql = bytes_of(exact, size - 2);
    struct bytes other = with_other_literals(sql, &mode);
    uint64_t digest, other_digest;
    if (digest_of(sql, &mode, &digest) && digest_of(other, &mode, &other_digest))
        must(digest == other_digest);
    size_t room = size * 10;
    char *text = text_of(sql, &mode, room), *other_text = text_of(other, &mode, room);
    must(strcmp(text, other_text) == 0);
    free(text_of(sql, &mode, data[1]));
    free(text);
    free(other_text);
    free((void *)other.data);
    free(exact);
    return 0;
}
