/*
 * thread_id.c - CONNECTION_ID() as the client knows it: an id in the place of the call.
 *
 *   connection_id()        CAST(1073741825 AS UNSIGNED)       same type and length of ten digits
 *   @@pseudo_thread_id     (@@pseudo_thread_id*0|1073741825)  on both families; may be NULL
 *
 * What shows the text behind (names of columns, errors) can be turned back without having
 * kept anything: the twelve letters of the call stand, by their case, in the first of those
 * fourteen, what lies around its parentheses lies inside of these, and a variable is there as it
 * was written.
 *
 * Only statements with EFFECT_CONNECTION_ID come here, so another pass over their text will do.
 */
#include "router/inside.h"

#include "base/str.h"

enum { ID_DIGITS = 10 };

/* ---- what may stand between two tokens --------------------------------------------------- */

/* Behind white space and ordinary comments. */
static const uint8_t *skip_gap(const uint8_t *p, const uint8_t *end)
{
    while (p < end) {
        size_t left = (size_t)(end - p);
        const uint8_t *to = NULL;
        bool is_block =
            left >= 4 && p[0] == '/' && p[1] == '*' && p[2] != '!' && (p[2] != 'M' || p[3] != '!');
        bool is_line = *p == '#' || (left >= 3 && p[0] == '-' && p[1] == '-' && p[2] <= ' ');
        if (ascii_space(*p))
            to = p + 1;
        else if (is_line && (to = memchr(p, '\n', left)) != NULL)
            to++;
        else if (is_block && (to = memmem(p + 2, left - 2, "*/", 2)) != NULL)
            to += 2;
        if (to == NULL)
            break;
        p = to;
    }
    return p;
}

static bool is_gap(const uint8_t *from, const uint8_t *to)
{
    return skip_gap(from, to) == to;
}

/* ---- places ------------------------------------------------------------------------------- */

struct spot {
    struct spot *next;
    const uint8_t *from, *to;
    const uint8_t *open, *close; /* of a call: its parentheses; NULL of a variable          */
    bool has_alias;              /* what stands inside the statement knows it by this name  */
};

/* A token, and was it where an item of a list behind SELECT begins? */
struct seen {
    struct token token;
    bool begins_item;
};

struct search {
    struct lexer lexer;
    struct arena *arena;
    struct seen now, last, before, earlier;
    struct spot *first, **end;
    struct spot *whole_item; /* the newest, if it is all of an item so far              */
    unsigned depth;
    uint64_t lists; /* by depth: behind SELECT, in front of FROM               */
    bool in_server_schema;
    bool reads_servers_ids; /* this part does                                          */
    bool is_set, is_table;  /* this part is SET ..., CREATE TABLE ...                  */
    bool has_select;        /* ... and SELECT has come                                 */
    bool is_off;            /* nothing here is to be changed                           */
    bool stays_off;         /* ... nor behind it                                       */
};

static bool is_keyword(const struct token *t, enum keyword k)
{
    return t->kind == TOKEN_WORD && t->keyword == (uint16_t)k;
}

static bool is_one_of(struct bytes name, const char *const *words, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (name_is(name, words[i]))
            return true;
    }
    return false;
}

static bool is_at_end(const struct search *s)
{
    enum token_kind kind = s->now.token.kind;
    return kind == TOKEN_END || kind == TOKEN_SEMICOLON || kind == TOKEN_BROKEN;
}

static void step(struct search *s)
{
    s->earlier = s->before;
    s->before = s->last;
    s->last = s->now;
    while (lexer_next(&s->lexer, &s->now.token) == TOKEN_HINT)
        continue;
}

static void add_spot(struct search *s, const uint8_t *from, const uint8_t *to, const uint8_t *open,
                     const uint8_t *close)
{
    struct spot *spot = arena_alloc(s->arena, sizeof *spot);
    *spot = (struct spot){ .from = from, .to = to, .open = open, .close = close };
    *s->end = spot;
    s->end = &spot->next;
}

/* ---- the items of a SELECT ------------------------------------------------------------------ */

/* Inside of a statement an item that is nothing but the call gets the name that it would have had:
 * so are the columns of a table made from it called, and the statement around it may refer to that.
 * Outside, the name is put right when it comes back. */
static void name_item(const struct search *s)
{
    static const char *const behind[] = { "from",  "where", "group",  "having",   "order",
                                          "limit", "union", "except", "intersect" };
    struct spot *spot = s->whole_item;
    const struct token *t = &s->now.token;
    bool is_whole = is_at_end(s) || t->punct == ',' || t->punct == ')' ||
                    (t->kind == TOKEN_WORD && is_one_of(t->text, behind, ARRAY_LEN(behind)));
    bool is_plain = spot->to - spot->from < 64;
    for (const uint8_t *p = spot->from; p < spot->to; p++)
        is_plain = is_plain && *p < 0x80 && *p != '`';
    spot->has_alias = is_whole && is_plain && (s->depth > 0 || s->is_table);
}

static uint64_t at_depth(unsigned depth)
{
    return depth < 64 ? (uint64_t)1 << depth : 0;
}

static void follow_lists(struct search *s)
{
    static const char *const modifiers[] = {
        "all",
        "distinct",
        "distinctrow",
        "high_priority",
        "straight_join",
        "sql_cache",
        "sql_no_cache",
        "sql_big_result",
        "sql_small_result",
        "sql_buffer_result",
        "sql_calc_found_rows",
    };
    static const char *const ends[] = { "from",  "where", "group",  "having",    "order",  "limit",
                                        "union", "into",  "except", "intersect", "window", "for" };
    const struct token *last = &s->last.token;
    uint64_t here = at_depth(s->depth);
    bool is_modifier =
        last->kind == TOKEN_WORD && is_one_of(last->text, modifiers, ARRAY_LEN(modifiers));
    s->now.begins_item = is_keyword(last, KEYWORD_SELECT) ||
                         (last->punct == ',' && (s->lists & here) != 0) ||
                         (is_modifier && s->last.begins_item);
    const struct token *t = &s->now.token;
    if (t->punct == '(')
        s->lists &= ~at_depth(++s->depth);
    else if (t->punct == ')')
        s->depth -= s->depth > 0;
    else if (is_keyword(t, KEYWORD_SELECT))
        s->lists |= here, s->has_select = true;
    else if (t->kind == TOKEN_WORD && is_one_of(t->text, ends, ARRAY_LEN(ends)))
        s->lists &= ~here;
}

/* ---- what is looked for ------------------------------------------------------------------------
 */

/* Where servers show the ids of their own: what is compared with these must be one of them. */
static void see_servers_ids(struct search *s)
{
    static const char *const tables[] = {
        "processlist",        "innodb_trx",  "innodb_locks", "innodb_lock_waits",
        "metadata_lock_info", "general_log", "slow_log",     "thread_pool_queues",
    };
    static const char *const functions[] = { "is_used_lock", "ps_thread_id",
                                             "ps_current_thread_id" };
    static const char *const schemas[] = { "performance_schema", "sys" };
    const struct token *t = &s->now.token, *last = &s->last.token;
    if (t->kind == TOKEN_WORD || t->kind == TOKEN_QUOTED_NAME)
        s->reads_servers_ids |= is_one_of(t->text, tables, ARRAY_LEN(tables)) ||
                                (s->in_server_schema && is_keyword(t, KEYWORD_FROM));
    else if (t->punct == '(' && last->kind == TOKEN_WORD)
        s->reads_servers_ids |= is_one_of(last->text, functions, ARRAY_LEN(functions));
    else if (t->punct == '.')
        s->reads_servers_ids |= is_one_of(last->text, schemas, ARRAY_LEN(schemas));
}

/* At the parenthesis that closes a call without arguments. */
static void see_call(struct search *s)
{
    const struct token *name = &s->before.token, *earlier = &s->earlier.token;
    const uint8_t *open = s->last.token.text.data, *close = s->now.token.text.data;
    const uint8_t *behind_name = name->text.data + name->text.len;
    if ((name->kind != TOKEN_WORD && name->kind != TOKEN_QUOTED_NAME) ||
        !name_is(name->text, "connection_id") || earlier->punct == '.' ||
        is_keyword(earlier, KEYWORD_CALL) || !is_gap(behind_name, open) || !is_gap(open + 1, close))
        return;
    struct spot **place = s->end;
    add_spot(s, name->text.data, close + 1, open, close);
    s->whole_item = s->before.begins_item ? *place : NULL;
}

/* SET pseudo_thread_id: from there on the id is what the client says. */
static bool is_assigned(const struct search *s)
{
    return s->is_set && s->depth == 0 &&
           (is_keyword(&s->last.token, KEYWORD_SET) || s->last.token.punct == ',');
}

static void see_variable(struct search *s)
{
    static const char *const scopes[] = { "session.pseudo_thread_id", "local.pseudo_thread_id",
                                          "session.`pseudo_thread_id`",
                                          "local.`pseudo_thread_id`" };
    struct bytes name = s->now.token.text;
    if (!name_is(name, "pseudo_thread_id") && !is_one_of(name, scopes, ARRAY_LEN(scopes)))
        return;
    if (is_assigned(s))
        s->stays_off = true;
    else
        add_spot(s, name.data - 2, name.data + name.len, NULL, NULL);
}

static void see(struct search *s)
{
    const struct token *t = &s->now.token;
    if (s->whole_item != NULL)
        name_item(s);
    s->whole_item = NULL;
    follow_lists(s);
    see_servers_ids(s);
    if (s->is_off || (s->is_table && !s->has_select))
        return;
    if (t->punct == ')' && s->last.token.punct == '(')
        see_call(s);
    else if (t->kind == TOKEN_SYSTEM_VAR)
        see_variable(s);
    else if (s->is_set && t->kind == TOKEN_WORD && name_is(t->text, "pseudo_thread_id"))
        s->stays_off = true;
}

/* ---- parts ---------------------------------------------------------------------------------- */

static bool begins_body(const struct token *t)
{
    return is_keyword(t, KEYWORD_PROCEDURE) || is_keyword(t, KEYWORD_FUNCTION) ||
           is_keyword(t, KEYWORD_TRIGGER) || is_keyword(t, KEYWORD_EVENT) ||
           is_keyword(t, KEYWORD_PACKAGE);
}

/* What is stored is for others to run; only a table takes the value itself. */
static void pass_definition(struct search *s)
{
    bool creates = is_keyword(&s->now.token, KEYWORD_CREATE);
    while (!is_at_end(s) && s->now.token.punct != '(' && !is_keyword(&s->now.token, KEYWORD_AS) &&
           !is_keyword(&s->now.token, KEYWORD_SELECT)) {
        s->is_table |= creates && is_keyword(&s->now.token, KEYWORD_TABLE);
        s->stays_off |= begins_body(&s->now.token);
        step(s);
    }
    s->is_off |= !s->is_table || s->stays_off;
}

static void begin_part(struct search *s)
{
    const struct token *t = &s->now.token;
    s->now.begins_item = false;
    s->last = s->before = s->earlier = (struct seen){ .begins_item = false };
    s->whole_item = NULL;
    s->depth = 0, s->lists = 0;
    s->reads_servers_ids = s->is_table = s->has_select = false;
    s->is_off = s->stays_off;
    s->is_set = is_keyword(t, KEYWORD_SET);
    switch ((unsigned)(t->kind == TOKEN_WORD ? t->keyword : KEYWORD_NONE)) {
    case KEYWORD_CREATE:
    case KEYWORD_ALTER:
        pass_definition(s);
        break;
    case KEYWORD_EXPLAIN: /* shows expressions, and runs nothing whose value is seen */
    case KEYWORD_DESCRIBE:
    case KEYWORD_DESC:
    case KEYWORD_ANALYZE:
        s->is_off = true;
        break;
    default:
        break;
    }
}

static void search_part(struct search *s)
{
    begin_part(s);
    struct spot **end = s->end;
    for (; !is_at_end(s); step(s))
        see(s);
    if (s->whole_item != NULL)
        name_item(s);
    if (s->reads_servers_ids)
        s->end = end;
    *s->end = NULL;
}

/* ---- writing ----------------------------------------------------------------------------------
 */

/* In letters that nobody else writes so. */
static const char alias[] = " aS `";

struct pen {
    uint8_t *at; /* NULL: only count                                        */
    size_t len;
};

static void put(struct pen *pen, const void *data, size_t n)
{
    if (pen->at != NULL)
        memcpy(pen->at + pen->len, data, n);
    pen->len += n;
}

static void put_byte(struct pen *pen, uint8_t c)
{
    put(pen, &c, 1);
}

static uint8_t in_case_of(uint8_t letter, uint8_t model)
{
    return model >= 'A' && model <= 'Z' ? letter & (uint8_t)~0x20 : letter;
}

static void put_call(struct pen *pen, const struct spot *spot, const char *digits)
{
    static const char words[] = "castasunsigned";
    const uint8_t *name = spot->from + (*spot->from == '`' || *spot->from == '"');
    size_t name_len = sizeof "connection_id" - 1, at = 0;
    uint8_t letters[sizeof words - 1];
    for (size_t i = 0; i < name_len; i++) {
        if (name[i] != '_')
            letters[at] = in_case_of((uint8_t)words[at], name[i]), at++;
    }
    for (; at < sizeof letters; at++)
        letters[at] = in_case_of((uint8_t)words[at], name[name_len - 1]);
    const uint8_t *behind_name = name + name_len + (name - spot->from);
    put(pen, letters, 4);
    put_byte(pen, '(');
    put(pen, behind_name, (size_t)(spot->open - behind_name));
    put(pen, digits, ID_DIGITS);
    put_byte(pen, ' ');
    put(pen, letters + 4, 2);
    put_byte(pen, ' ');
    put(pen, letters + 6, 8);
    put(pen, spot->open + 1, (size_t)(spot->close + 1 - (spot->open + 1)));
}

static void put_spot(struct pen *pen, const struct spot *spot, const char *digits)
{
    size_t len = (size_t)(spot->to - spot->from);
    if (spot->open == NULL) {
        put_byte(pen, '(');
        put(pen, spot->from, len);
        put(pen, "*0|", 3);
        put(pen, digits, ID_DIGITS);
        put_byte(pen, ')');
        return;
    }
    put_call(pen, spot, digits);
    if (spot->has_alias) {
        put(pen, alias, sizeof alias - 1);
        put(pen, spot->from, len);
        put_byte(pen, '`');
    }
}

static void put_all(struct pen *pen, struct bytes sql, const struct spot *spot, const char *digits)
{
    const uint8_t *at = sql.data;
    for (; spot != NULL; spot = spot->next) {
        put(pen, at, (size_t)(spot->from - at));
        put_spot(pen, spot, digits);
        at = spot->to;
    }
    put(pen, at, (size_t)(sql.data + sql.len - at));
}

static void print_id(uint32_t id, char digits[ID_DIGITS + 1])
{
    must(snprintf(digits, ID_DIGITS + 1, "%u", id) == ID_DIGITS);
}

struct bytes thread_id_put(struct bytes sql, const struct lexer_mode *mode, struct bytes schema,
                           uint32_t id, struct arena *arena)
{
    struct search s = { .arena = arena };
    s.end = &s.first;
    s.in_server_schema = name_is(schema, "performance_schema") || name_is(schema, "sys");
    lexer_begin(&s.lexer, sql, mode);
    do {
        step(&s);
        search_part(&s);
    } while (s.now.token.kind == TOKEN_SEMICOLON);
    if (s.first == NULL || s.lexer.in_doubt || s.now.token.kind == TOKEN_BROKEN)
        return sql;
    char digits[ID_DIGITS + 1];
    print_id(id, digits);
    struct pen pen = { NULL, 0 };
    put_all(&pen, sql, s.first, digits);
    pen = (struct pen){ arena_alloc(arena, pen.len), 0 };
    put_all(&pen, sql, s.first, digits);
    return bytes_of(pen.at, pen.len);
}

/* ---- and back -------------------------------------------------------------------------------- */

/* `word` in either case at p: the byte behind it. */
static const uint8_t *pass_word(const uint8_t *p, const uint8_t *end, const char *word)
{
    size_t len = strlen(word);
    bool is_there = p != NULL && (size_t)(end - p) >= len &&
                    bytes_equal_nocase(bytes_of(p, len), bytes_of(word, len));
    return is_there ? p + len : NULL;
}

/* Behind the name that was given to an item, `text`. */
static const uint8_t *pass_alias(const uint8_t *p, const uint8_t *end, const uint8_t *text,
                                 size_t len)
{
    size_t left = (size_t)(end - p), n = sizeof alias - 1;
    bool is_there = left > n + len && memcmp(p, alias, n) == 0 && memcmp(p + n, text, len) == 0 &&
                    p[n + len] == '`';
    return is_there ? p + n + len + 1 : p;
}

/* The call whose replacement begins at p; the byte behind that, or NULL if none does. */
static const uint8_t *put_call_back(struct pen *pen, const uint8_t *p, const uint8_t *end,
                                    const char *digits)
{
    static const char name[] = "connection_id";
    const uint8_t *open = pass_word(p, end, "cast(");
    if (open == NULL)
        return NULL;
    const uint8_t *number = skip_gap(open, end), *as = pass_word(number, end, digits);
    const uint8_t *behind = pass_word(as, end, " as unsigned");
    const uint8_t *close = behind != NULL ? skip_gap(behind, end) : end;
    if (close == end || *close != ')')
        return NULL;
    uint8_t letters[14];
    size_t from = pen->len;
    memcpy(letters, p, 4);
    memcpy(letters + 4, as + 1, 2);
    memcpy(letters + 6, as + 4, 8);
    for (size_t i = 0, at = 0; i < sizeof name - 1; i++)
        put_byte(pen, name[i] == '_' ? '_' : in_case_of((uint8_t)name[i], letters[at++]));
    put(pen, open, (size_t)(number - open));
    put_byte(pen, '(');
    put(pen, behind, (size_t)(close + 1 - behind));
    return pass_alias(close + 1, end, pen->at + from, pen->len - from);
}

static const uint8_t *put_variable_back(struct pen *pen, const uint8_t *p, const uint8_t *end,
                                        const char *digits)
{
    const uint8_t *from = pass_word(p, end, "("), *to = pass_word(from, end, "@@");
    while (to != NULL && to < end && *to != '*')
        to++;
    const uint8_t *behind = pass_word(pass_word(pass_word(to, end, "*0|"), end, digits), end, ")");
    if (behind != NULL)
        put(pen, from, (size_t)(to - from));
    return behind;
}

static void put_all_back(struct pen *pen, struct bytes text, const char *digits)
{
    const uint8_t *p = text.data, *end = p + text.len;
    while (p < end) {
        const uint8_t *behind = NULL;
        if ((*p | 0x20) == 'c')
            behind = put_call_back(pen, p, end, digits);
        else if (*p == '(')
            behind = put_variable_back(pen, p, end, digits);
        if (behind == NULL)
            put_byte(pen, *p);
        p = behind != NULL ? behind : p + 1;
    }
}

struct bytes thread_id_take_back(struct bytes text, uint32_t id, struct arena *arena)
{
    char digits[ID_DIGITS + 1];
    print_id(id, digits);
    if (text.len == 0 || memmem(text.data, text.len, digits, ID_DIGITS) == NULL)
        return text;
    /* (never longer) */
    struct pen pen = { arena_alloc(arena, text.len), 0 };
    put_all_back(&pen, text, digits);
    return bytes_of(pen.at, pen.len);
}
