/*
 * fuzz_state.c - what servers report becomes SQL of ours: whatever the values are, the lexer reads back the
 * assignments that were meant, in every mode that a session can be in, and nothing else.
 *
 * Input: two sets of variables, "from" and "to", as bytes of length, name, length, value, ...; the first
 * byte says how many belong to "from".
 */
#include "pool/pool.h"
#include "router/router.h"

#include "base/mem.h"
#include "base/str.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { VARS_MAX = 16 };

static struct bytes take(const uint8_t **data, size_t *size)
{
    size_t n = *size > 0 ? MIN((size_t)**data, *size - 1) : 0;
    struct bytes taken = bytes_of(*size > 0 ? *data + 1 : *data, n);
    size_t used = *size > 0 ? n + 1 : 0;
    *data += used;
    *size -= used;
    return taken;
}

static struct state *take_state(const uint8_t **data, size_t *size, unsigned n)
{
    struct state_var vars[VARS_MAX];
    unsigned used = 0;
    struct state *none = state_at_login(0, 0);
    for (unsigned i = 0; i < n && *size > 0; i++) {
        struct bytes name = take(data, size), value = take(data, size);
        if (state_takes(name))
            vars[used++] = (struct state_var){ name, value };
    }
    struct state *s = state_changed(none, NULL, vars, used);
    state_drop(none);
    return s;
}

/* ---- reading back --------------------------------------------------------------------------- */

static struct bytes after(struct bytes text, const char *prefix)
{
    size_t n = strlen(prefix);
    must(text.len > n && memcmp(text.data, prefix, n) == 0);
    return bytes_skip(text, n);
}

static bool is_word(const struct token *t, const char *word)
{
    return t->kind == TOKEN_WORD && bytes_equal(t->text, bytes_str(word));
}

static unsigned hex(uint8_t c)
{
    return ascii_digit(c) ? c - '0' : ascii_lower(c) - 'a' + 10u;
}

static void is_hex_of(struct bytes literal, struct bytes value)
{
    struct bytes digits = after(literal, "0x");
    must(digits.len == 2 * value.len);
    for (size_t i = 0; i < value.len; i++)
        must((hex(digits.data[2 * i]) << 4 | hex(digits.data[2 * i + 1])) == value.data[i]);
}

/* The value that belongs there; the next token is behind it. */
static void read_value(struct lexer *lx, struct token *t, struct bytes name, const struct bytes *value)
{
    bool is_result = bytes_equal(name, BYTES_LITERAL("character_set_results"));
    if (value == NULL) {
        if (t->kind == TOKEN_SYSTEM_VAR)
            must(bytes_equal(after(t->text, "global."), name));
        else
            must(is_word(t, "DEFAULT"));
    } else if (is_word(t, "NULL")) {
        must(is_result && value->len == 0);
    } else if (t->kind == TOKEN_STRING) {
        must(t->text.len == value->len + 2 && t->text.data[0] == '\'');
        must(memcmp(t->text.data + 1, value->data, value->len) == 0);
    } else if (is_word(t, "_utf8")) {
        lexer_next(lx, t);
        is_hex_of(t->text, *value);
    } else {
        struct bytes number = *value;
        if (t->kind == TOKEN_PUNCT && t->punct == '-') {
            number = after(number, "-");
            lexer_next(lx, t);
        }
        must(t->kind == TOKEN_NUMBER && bytes_equal(t->text, number));
    }
    lexer_next(lx, t);
}

/* The value that a name must be set to, or NULL: its default. */
static const struct bytes *wanted(const struct state *to, struct bytes name, struct bytes *found)
{
    *found = state_value(to, name);
    return found->data != NULL ? found : NULL;
}

static bool has_collation_results(const struct state *s)
{
    return state_value(s, BYTES_LITERAL(COLLATION_RESULTS)).data != NULL;
}

/* NAMES '...' COLLATE '...': the token behind. */
static void read_names(struct lexer *lx, struct token *t, const struct state *to)
{
    struct bytes value;
    lexer_next(lx, t);
    read_value(lx, t, BYTES_LITERAL("character_set_results"),
               wanted(to, BYTES_LITERAL("character_set_results"), &value));
    must(is_word(t, "COLLATE"));
    lexer_next(lx, t);
    read_value(lx, t, BYTES_LITERAL(COLLATION_RESULTS),
               wanted(to, BYTES_LITERAL(COLLATION_RESULTS), &value));
}

static void read_back(struct bytes sql, const struct lexer_mode *mode, const struct state *from,
                      const struct state *to)
{
    struct lexer lx;
    struct token t;
    struct bytes value;
    size_t assignments = 0;
    lexer_begin(&lx, sql, mode);
    lexer_next(&lx, &t);
    must(is_word(&t, "SET"));
    do {
        lexer_next(&lx, &t);
        if (assignments == 0 && is_word(&t, "NAMES")) {
            read_names(&lx, &t, to);
            continue;
        }
        must(t.kind == TOKEN_SYSTEM_VAR);
        struct bytes name = after(t.text, "session.");
        lexer_next(&lx, &t);
        must(t.kind == TOKEN_PUNCT && t.punct == '=');
        lexer_next(&lx, &t);
        read_value(&lx, &t, name, wanted(to, name, &value));
        assignments++;
    } while (t.kind == TOKEN_PUNCT && t.punct == ',');
    must(t.kind == TOKEN_END);
    /* (the collation is written again behind its character set; NAMES counts for several, and may
     * change what was right) */
    size_t distance = state_distance(from, to);
    bool is_named = has_collation_results(from) || has_collation_results(to);
    must(assignments <= distance + 1 + (is_named ? 3 : 0));
    must(assignments >= distance || is_named);
}

/* Modes that nobody has but tests are left out: the charset is tricky or not, quotes are names or not. */
static void in_every_mode(struct bytes sql, const struct state *from, const struct state *to)
{
    struct statement st;
    for (unsigned bits = 0; bits < 16; bits++) {
        struct lexer_mode mode = { .ansi_quotes = (bits & 1) != 0,
                                   .no_backslash_escapes = (bits & 2) != 0,
                                   .charset = (bits & 4) != 0 ? LEXER_GBK : LEXER_UTF8,
                                   .is_mariadb = (bits & 8) != 0,
                                   .version = (bits & 8) != 0 ? 110809 : 90704 };
        read_back(sql, &mode, from, to);
        statement_read(sql, &mode, &st);
        must(st.verb == VERB_SET && !st.is_broken && (st.effects & EFFECT_MULTI) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf sql = { 0 };
    if (size < 1)
        return 0;
    unsigned n = data[0] % VARS_MAX;
    data++, size--;
    struct state *from = take_state(&data, &size, n);
    struct state *to = take_state(&data, &size, VARS_MAX);
    bool wrote = state_write_set(from, to, 0, NULL, &sql);
    must(!wrote || from != to);
    must(wrote || from == to || state_distance(from, to) == 1);
    if (wrote) {
        uint8_t *exact = mem_alloc(buf_len(&sql));
        memcpy(exact, buf_head(&sql), buf_len(&sql));
        in_every_mode(bytes_of(exact, buf_len(&sql)), from, to);
        mem_free(exact);
    }
    buf_release(&sql);
    state_drop(from);
    state_drop(to);
    return 0;
}
