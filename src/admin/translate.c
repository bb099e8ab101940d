/*
 * translate.c - a SELECT in MySQL's words to one in SQLite's: strings and their escapes, @@variables,
 * comments, operators.  What it does not know it leaves to SQLite.
 */
#include "admin/inside.h"

#include "base/mem.h"
#include "base/str.h"

struct writer {
    struct translated *out;
    struct buf text;
    struct bytes sql;
    struct lexer lx;
    struct token token;
    const uint8_t *before;        /* end of the token before */
    bool after_like;              /* that was LIKE */
    bool in_schema;               /* those were information_schema and a dot */
    bool after_schema;
};

static void note_origin(struct writer *w, const uint8_t *from)
{
    struct translated *out = w->out;
    if (out->n_origins == out->cap_origins) {
        out->cap_origins = out->cap_origins > 0 ? out->cap_origins * 2 : 32;
        out->origins = mem_realloc(out->origins, out->cap_origins * sizeof *out->origins);
    }
    out->origins[out->n_origins++] = (struct origin){ (uint32_t)buf_len(&w->text),
                                                      (uint32_t)(from - w->sql.data) };
}

static void add(struct writer *w, const char *text)
{
    buf_add(&w->text, bytes_str(text));
}

static bool refuse(const struct writer *w, const uint8_t *at, const char *what, struct fault *why)
{
    return fault_set(why, BLAME_QUERY, 1064, "Syntax error at character %zu: %s",
                     (size_t)(at - w->sql.data) + 1, what);
}

/* ---- strings --------------------------------------------------------------------------------- */

static char escaped(uint8_t c)
{
    switch (c) {
    case '0': return '\0';
    case 'b': return '\b';
    case 'n': return '\n';
    case 'r': return '\r';
    case 't': return '\t';
    case 'Z': return 26;
    default: return (char)c;
    }
}

size_t string_value(struct bytes token, char *out)
{
    size_t n = 0, i = 0;
    if (token.len > 0 && (token.data[0] | 0x20) == 'n')
        i = 1;
    if (token.len < i + 2)
        return 0;
    uint8_t quote = token.data[i++];
    for (; i + 1 < token.len; i++) {
        uint8_t c = token.data[i];
        if (c == '\\' && quote != '`' && i + 2 < token.len) {
            c = token.data[++i];
            if (c == '%' || c == '_')          /* stays escaped, for LIKE */
                out[n++] = '\\';
            out[n++] = escaped(c);
            continue;
        }
        if (c == quote)                        /* doubled */
            i++;
        out[n++] = (char)c;
    }
    return n;
}

static bool add_string(struct writer *w, struct fault *why)
{
    struct bytes token = w->token.text;
    uint8_t first = token.data[0] | 0x20;
    if (first == 'x' || first == 'b') {
        if (first == 'b')
            return refuse(w, token.data, "bit strings are not possible here", why);
        buf_add(&w->text, token);
        return true;
    }
    char *value = mem_alloc(token.len + 1);
    size_t len = string_value(token, value);
    bool has_nul = memchr(value, '\0', len) != NULL, has_escape = memchr(value, '\\', len) != NULL;
    buf_add_u8(&w->text, '\'');
    for (size_t i = 0; i < len && !has_nul; i++) {
        if (value[i] == '\'')
            buf_add_u8(&w->text, '\'');
        buf_add_u8(&w->text, (uint8_t)value[i]);
    }
    buf_add_u8(&w->text, '\'');
    mem_free(value);
    if (has_nul)
        return refuse(w, token.data, "a string with a NUL byte is not possible here", why);
    struct lexer next = w->lx;
    struct token t;
    if (w->after_like && has_escape &&
        !(lexer_next(&next, &t) == TOKEN_WORD && bytes_equal_nocase(t.text, BYTES_LITERAL("escape"))))
        add(w, " ESCAPE '\\'");
    return true;
}

/* ---- words -------------------------------------------------------------------------------------- */

static uint8_t next_byte(const struct writer *w)
{
    const uint8_t *p = w->lx.at;
    while (p < w->lx.end && ascii_space(*p))
        p++;
    return p < w->lx.end ? *p : 0;
}

static bool token_is(const struct writer *w, const char *word)
{
    return bytes_equal_nocase(w->token.text, bytes_str(word));
}

/* _utf8mb4'text' */
static bool is_introducer(const struct writer *w)
{
    struct bytes t = w->token.text;
    uint8_t next = next_byte(w);
    return t.len > 3 && t.data[0] == '_' && (next == '\'' || next == '"');
}

/* Names are looked at for what suggestions need, and because two schemas have `events`. */
static bool is_schema_events(struct writer *w, struct bytes name)
{
    int table = table_find(name);
    bool found = w->in_schema && bytes_equal_nocase(name, BYTES_LITERAL("events"));
    if (table >= 0)
        w->out->tables |= UINT64_C(1) << table;
    w->after_schema = bytes_equal_nocase(name, BYTES_LITERAL("information_schema"));
    w->in_schema = false;
    return found;
}

static bool add_quoted_name(struct writer *w)
{
    struct bytes text = w->token.text;
    if (is_schema_events(w, bytes_of(text.data + 1, text.len - 2)))
        add(w, "information_schema_events");
    else
        buf_add(&w->text, text);
    return true;
}

/* A name with a dollar would be a parameter. */
static void add_in_backticks(struct writer *w)
{
    add(w, "`");
    buf_add(&w->text, w->token.text);
    add(w, "`");
}

static bool add_word(struct writer *w)
{
    bool calls = next_byte(w) == '(', is_events = is_schema_events(w, w->token.text);
    w->out->has_limit |= token_is(w, "limit");
    if (is_introducer(w))
        return true;
    if (token_is(w, "current_user") && !calls)
        add(w, "current_user()");
    else if (is_events)
        add(w, "information_schema_events");
    else if (token_is(w, "div"))
        add(w, "/");
    else if (token_is(w, "mod") && !calls)
        add(w, "%");
    else if (token_is(w, "straight_join"))
        add(w, "JOIN");
    else if (token_is(w, "binary") || token_is(w, "sql_no_cache") || token_is(w, "sql_calc_found_rows"))
        add(w, "");
    else if (memchr(w->token.text.data, '$', w->token.text.len) != NULL)
        add_in_backticks(w);
    else
        buf_add(&w->text, w->token.text);
    return true;
}

static bool add_system_var(struct writer *w, struct fault *why)
{
    struct bytes name = w->token.text;
    if (name.len == 0 || memchr(name.data, '\'', name.len) != NULL)
        return refuse(w, name.data, "a variable's name was expected behind @@", why);
    if (variable_value(name) == NULL)
        return fault_set(why, BLAME_QUERY, 1193, "Unknown system variable '%.*s'",
                         (int)MIN(name.len, (size_t)64), (const char *)name.data);
    add(w, "sysvar('");
    buf_add(&w->text, name);
    add(w, "')");
    return true;
}

/* ---- punctuation -------------------------------------------------------------------------------------- */

static bool follows(const struct writer *w, const char *text)
{
    size_t len = strlen(text);
    return (size_t)(w->lx.end - w->lx.at) >= len && memcmp(w->lx.at, text, len) == 0;
}

static bool add_punct(struct writer *w, struct fault *why)
{
    const uint8_t *at = w->token.text.data;
    switch (w->token.punct) {
    case '.':
        w->in_schema = w->after_schema;
        w->after_schema = false;
        break;
    case '&':
        if (follows(w, "&")) {
            w->lx.at++;
            add(w, " AND ");
            return true;
        }
        break;
    case '<':
        if (follows(w, "=>")) {
            w->lx.at += 2;
            add(w, " IS ");
            return true;
        }
        break;
    case '!':
        if (!follows(w, "=")) {
            add(w, " NOT ");
            return true;
        }
        break;
    case '-':                     /* two of them: a comment for SQLite, none here */
        add(w, "- ");
        return true;
    case ':':
    case '[':
    case ']':
    case '\\':
    case '{':
    case '}':
    case '@':
    case '$':
        return refuse(w, at, "this character has no meaning here", why);
    default:
        break;
    }
    buf_add(&w->text, w->token.text);
    return true;
}

/* ---- the whole --------------------------------------------------------------------------------------------- */

static const uint8_t *token_start(const struct token *t)
{
    if (t->kind == TOKEN_SYSTEM_VAR)
        return t->text.data - 2;
    return t->kind == TOKEN_USER_VAR ? t->text.data - 1 : t->text.data;
}

static bool add_token(struct writer *w, struct fault *why)
{
    switch (w->token.kind) {
    case TOKEN_WORD:
        return add_word(w);
    case TOKEN_STRING:
        return add_string(w, why);
    case TOKEN_SYSTEM_VAR:
        return add_system_var(w, why);
    case TOKEN_USER_VAR:          /* none can be set here */
        add(w, "NULL");
        return true;
    case TOKEN_PARAM:
        w->out->n_params++;
        add(w, "? ");             /* so that no digit joins it */
        return true;
    case TOKEN_PUNCT:
        return add_punct(w, why);
    case TOKEN_BROKEN:
        return refuse(w, w->token.text.data, "a string, name or comment is not closed", why);
    case TOKEN_HINT:
        return true;
    case TOKEN_QUOTED_NAME:
        return add_quoted_name(w);
    case TOKEN_NUMBER:
    case TOKEN_SEMICOLON:
    case TOKEN_END:
        break;
    }
    buf_add(&w->text, w->token.text);
    return true;
}

static bool nothing_follows(struct writer *w, struct fault *why)
{
    while (lexer_next(&w->lx, &w->token) == TOKEN_SEMICOLON || w->token.kind == TOKEN_HINT)
        ;
    return w->token.kind == TOKEN_END ||
           refuse(w, token_start(&w->token), "one statement at a time, please", why);
}

static bool write_all(struct writer *w, struct fault *why)
{
    while (lexer_next(&w->lx, &w->token) != TOKEN_END) {
        if (w->token.kind == TOKEN_SEMICOLON)
            return nothing_follows(w, why);
        const uint8_t *start = token_start(&w->token);
        if (w->before != NULL && start > w->before)
            buf_add_u8(&w->text, ' ');
        note_origin(w, start);
        if (w->token.kind != TOKEN_WORD && w->token.kind != TOKEN_QUOTED_NAME && w->token.kind != TOKEN_PUNCT)
            w->after_schema = w->in_schema = false;
        bool is_like = w->token.kind == TOKEN_WORD && token_is(w, "like");
        if (!add_token(w, why))
            return false;
        w->after_like = is_like;
        w->before = w->lx.at;
    }
    return true;
}

bool translate(struct bytes sql, struct translated *out, struct fault *why)
{
    struct writer w = { .out = out, .sql = sql };
    struct lexer_mode mode = { .version = 80036 };
    *out = (struct translated){ .text = NULL };
    lexer_begin(&w.lx, sql, &mode);
    bool ok = write_all(&w, why);
    if (ok && memchr(buf_head(&w.text) != NULL ? buf_head(&w.text) : (const uint8_t *)"", '\0',
                     buf_len(&w.text)) != NULL)
        ok = fault_set(why, BLAME_QUERY, 1064, "A NUL byte is not possible in a statement");
    out->len = ok ? buf_len(&w.text) : 0;
    out->text = mem_strndup(buf_head(&w.text), out->len);
    buf_release(&w.text);
    return ok;
}

void translated_release(struct translated *tr)
{
    mem_free(tr->text);
    mem_free(tr->origins);
    *tr = (struct translated){ .text = NULL };
}

size_t translated_origin(const struct translated *tr, size_t at)
{
    size_t from = 0;
    for (unsigned i = 0; i < tr->n_origins && tr->origins[i].at <= at; i++)
        from = tr->origins[i].from;
    return from;
}
