/*
 * set.c - SET: settings of Volvox, and what tools set in their session at the start.
 *
 * The latter are accepted only where they mean nothing here; nothing that would matter gets an OK.
 */
#include "admin/inside.h"

#include "base/str.h"

enum scope { SCOPE_NONE, SCOPE_SESSION, SCOPE_GLOBAL };

static bool is_end_of_value(const struct words *w, unsigned depth)
{
    return words_at_end(w) || w->now.kind == TOKEN_BROKEN ||
           (depth == 0 && w->now.kind == TOKEN_PUNCT && w->now.punct == ',');
}

/* Over an expression that nobody evaluates. */
static bool skip_value(struct words *w, struct fault *why)
{
    unsigned depth = 0;
    if (is_end_of_value(w, 0))
        return words_expected(w, "a value", why);
    while (!is_end_of_value(w, depth)) {
        if (w->now.kind == TOKEN_PUNCT && w->now.punct == '(')
            depth++;
        else if (w->now.kind == TOKEN_PUNCT && w->now.punct == ')' && depth > 0)
            depth--;
        while (lexer_next(&w->lx, &w->now) == TOKEN_HINT)
            ;
    }
    return w->now.kind != TOKEN_BROKEN || words_expected(w, "a value", why);
}

static bool take_equals(struct words *w, struct fault *why)
{
    if (w->now.kind == TOKEN_PUNCT && w->now.punct == ':') {
        bool whole = w->now.text.len > 1;
        punct_take(w, ':');
        if (whole)
            return true;
    }
    return punct_take(w, '=') || words_expected(w, "=", why);
}

/* SET NAMES utf8mb4 [COLLATE x]; all texts here are UTF-8. */
static bool set_names(struct words *w, struct answer *out, struct fault *why)
{
    char name[64];
    if (!word_take(w, "default") && !name_take(w, "a character set", name, sizeof name, why))
        return false;
    if (word_take(w, "collate") && !name_take(w, "a collation", name, sizeof name, why))
        return false;
    answer_say(out, "%s", "");
    return words_end(w, "COLLATE or the end", why);
}

/* ---- settings ------------------------------------------------------------------------------- */

/* Up to the equals sign, as it stands: "queue_timeout", "server db1.weight". */
static bool take_setting_name(struct words *w, char *name, size_t size, struct fault *why)
{
    struct bytes from = words_rest(w);
    if (w->now.kind != TOKEN_WORD && w->now.kind != TOKEN_QUOTED_NAME)
        return words_expected(w, "a setting's name", why);
    while (!words_at_end(w) && w->now.kind != TOKEN_BROKEN &&
           !(w->now.kind == TOKEN_PUNCT && (w->now.punct == '=' || w->now.punct == ':')))
        while (lexer_next(&w->lx, &w->now) == TOKEN_HINT)
            ;
    size_t len = from.len - words_rest(w).len;
    size_t n = 0;
    struct bytes text = str_trim(bytes_of(from.data, len));
    for (size_t i = 0; i < text.len && n + 1 < size; i++)
        if (text.data[i] != '`')
            name[n++] = (char)text.data[i];
    name[n] = '\0';
    return true;
}

static struct bytes without_semicolons(struct bytes text)
{
    text = str_trim(text);
    while (text.len > 0 && text.data[text.len - 1] == ';')
        text = str_trim(bytes_of(text.data, text.len - 1));
    return text;
}

/* A quoted value, or everything up to the end: "5s", "pool=debug,servers=warn". */
static bool take_value(struct words *w, char *value, size_t size, struct fault *why)
{
    if (words_at_end(w))
        return words_expected(w, "a value", why);
    if (w->now.kind == TOKEN_STRING)
        return name_take(w, "a value", value, size, why) && words_end(w, "the end", why);
    struct bytes rest = without_semicolons(words_rest(w));
    if (w->now.kind == TOKEN_BROKEN || rest.len >= size || memchr(rest.data, '\n', rest.len) != NULL)
        return words_expected(w, "a value in one line", why);
    str_copy(value, size, rest);
    return true;
}

static bool is_secret(const struct visitor *v, struct bytes name)
{
    const struct config *c = v->admin->host.config(v->admin->host.arg);
    struct setting_name setting;
    if (!setting_name_read(c, name, &setting, NULL))
        return true;
    for (unsigned i = 0; i < n_options; i++)
        if (bytes_equal(setting.section, bytes_str(options[i].section)) &&
            bytes_equal(setting.key, bytes_str(options[i].name)))
            return options[i].type == OPTION_SECRET;
    return true;
}

static bool set_setting(struct words *w, struct visitor *v, struct answer *out, struct fault *why)
{
    const struct admin_host *host = &v->admin->host;
    char name[200], value[512];
    if (!take_setting_name(w, name, sizeof name, why) || !take_equals(w, why) ||
        !take_value(w, value, sizeof value, why) || !visitor_may_change(v, why))
        return false;
    bool done = host->set(host->arg, bytes_str(name), bytes_str(value), why);
    const char *shown = is_secret(v, bytes_str(name)) ? "***" : value;
    if (done) {
        visitor_note(v, "SET %s = %s", name, shown);
        answer_say(out, "%s = %s; SAVE CONFIG keeps it for the next start", name, shown);
    } else if (why->code == 0) {
        why->code = 1231;
    }
    explicit_bzero(value, sizeof value);
    return done;
}

/* ---- session variables --------------------------------------------------------------------------- */

static bool refuse_variable(struct bytes name, struct fault *why)
{
    struct guess g;
    char words[120];
    int len = (int)MIN(name.len, (size_t)64);
    if (variable_value(name) != NULL)
        return fault_set(why, BLAME_QUERY, 1238, "Variable '%.*s' can't be set here", len,
                         (const char *)name.data);
    guess_begin(&g, name);
    for (unsigned i = 0; i < n_variables; i++)
        guess_try(&g, variables[i].name);
    return fault_set(why, BLAME_QUERY, 1193, "Unknown system variable '%.*s'%s", len, (const char *)name.data,
                     guess_words(&g, words, sizeof words));
}

static struct bytes without_scope(struct bytes name)
{
    static const char *const scopes[] = { "session.", "local." };
    for (size_t i = 0; i < ARRAY_LEN(scopes); i++) {
        size_t len = strlen(scopes[i]);
        if (name.len > len && bytes_equal_nocase(bytes_of(name.data, len), bytes_str(scopes[i])))
            return bytes_skip(name, len);
    }
    return name;
}

/* Two that are remembered: drivers ask for the flag, tools count on the limit. */
static void remember(const struct words *w, struct visitor *v, struct bytes name)
{
    uint64_t number = 0;
    bool is_number = w->now.kind == TOKEN_NUMBER && str_to_u64(w->now.text, &number);
    if (bytes_equal_nocase(name, BYTES_LITERAL("sql_select_limit")))
        v->select_limit = is_number ? number : 0;
    if (!bytes_equal_nocase(name, BYTES_LITERAL("autocommit")))
        return;
    if (word_is(w, "off") || word_is(w, "false") || (is_number && number == 0))
        v->status &= (uint16_t)~STATUS_AUTOCOMMIT;
    else
        v->status |= STATUS_AUTOCOMMIT;
}

static bool set_idle(struct words *w, struct visitor *v, struct fault *why)
{
    struct bytes name = without_scope(w->now.text);
    if (w->now.kind == TOKEN_USER_VAR)
        return fault_set_state(why, BLAME_QUERY, 1235, "42000", "User variables are not supported here");
    if (w->now.kind != TOKEN_WORD && w->now.kind != TOKEN_SYSTEM_VAR && w->now.kind != TOKEN_QUOTED_NAME)
        return words_expected(w, "a variable's name", why);
    if (!variable_is_idle(name))
        return refuse_variable(name, why);
    while (lexer_next(&w->lx, &w->now) == TOKEN_HINT)
        ;
    if (!take_equals(w, why))
        return false;
    remember(w, v, name);
    return skip_value(w, why);
}

static bool set_session(struct words *w, struct visitor *v, struct answer *out, struct fault *why)
{
    do {
        if (!word_take(w, "session"))
            word_take(w, "local");
        if (!set_idle(w, v, why))
            return false;
    } while (punct_take(w, ','));
    answer_say(out, "%s", "");
    return words_end(w, "a comma or the end", why);
}

static bool is_session_variable(const struct words *w)
{
    return w->now.kind == TOKEN_SYSTEM_VAR || w->now.kind == TOKEN_USER_VAR ||
           (w->now.kind == TOKEN_WORD && variable_is_idle(w->now.text));
}

bool set_run(struct words *w, struct visitor *v, struct answer *out, struct fault *why)
{
    enum scope scope = SCOPE_NONE;
    if (word_take(w, "session") || word_take(w, "local"))
        scope = SCOPE_SESSION;
    else if (word_take(w, "global"))
        scope = SCOPE_GLOBAL;
    if (word_take(w, "transaction")) {
        while (!words_at_end(w) && w->now.kind != TOKEN_BROKEN)
            lexer_next(&w->lx, &w->now);
        answer_say(out, "%s", "");
        return words_end(w, "the end", why);
    }
    if (scope == SCOPE_NONE && word_take(w, "names"))
        return set_names(w, out, why);
    if (scope == SCOPE_NONE && word_take(w, "character"))
        return word_take(w, "set") ? set_names(w, out, why) : words_expected(w, "SET", why);
    if (scope == SCOPE_SESSION || (scope == SCOPE_NONE && is_session_variable(w)))
        return set_session(w, v, out, why);
    return set_setting(w, v, out, why);
}
