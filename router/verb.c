/*
 * verb.c - what a statement is, from its first words.
 *
 * Reads the text once, part by part (semicolons separate parts), each part token by
 * token.  Nothing here recurses: parentheses and EXPLAIN, ANALYZE, SET STATEMENT in
 * front of a statement are passed in a loop, so no text can exhaust the stack.
 */
#include "router/inside.h"

#include "base/str.h"

/* With one of these a part is more than a read. */
#define EFFECTS_BEYOND_READING                                                                     \
    (EFFECT_LOCKING_READ | EFFECT_INTO_FILE | EFFECT_USER_VAR | EFFECT_NAMED_LOCK |                \
     EFFECT_RELEASE_LOCK | EFFECT_SEQUENCE | EFFECT_HANDLER | EFFECT_SETS_INSERT_ID |              \
     EFFECT_PROCEDURE | EFFECT_ROLE | EFFECT_RESOURCE_GROUP | EFFECT_SET_STATEMENT |               \
     EFFECT_TEMP_TABLE | EFFECT_TEXT_PREPARE | EFFECT_TABLE_LOCK | EFFECT_UNKNOWN_FUNCTION |       \
     EFFECT_SET_GLOBAL | EFFECT_INSTANCE_LOCK)

/* From the token behind the current one. */
static void see_following(struct part *p)
{
    part_next(p);
    part_see_rest(p);
}

static void read_as(struct part *p, enum verb verb, enum calls calls)
{
    p->verb = verb;
    p->calls = calls;
    see_following(p);
}

static void read_reading(struct part *p, enum verb verb)
{
    p->reads_only = true;
    read_as(p, verb, CALLS_ALL);
}

/* Whatever it is, it may do anything. */
static void read_other(struct part *p)
{
    p->effects |= EFFECT_UNKNOWN_FUNCTION;
    p->verb = VERB_OTHER;
    part_see_rest(p);
}

/* ---- reads and writes ---------------------------------------------------------------- */

/* Up to the verb behind the common table expressions. */
static void read_with(struct part *p)
{
    p->verb = VERB_OTHER;
    p->in_cte_head = true;
    p->head_depth = p->depth;
    bool more = part_next(p);
    for (; more; more = part_next(p)) {
        bool is_outside = p->depth == p->head_depth;
        if (is_outside &&
            (part_at(p, KEYWORD_SELECT) || part_at(p, KEYWORD_TABLE) ||
             part_at(p, KEYWORD_VALUES) || (p->token.punct == '(' && p->last.punct == ')'))) {
            p->verb = VERB_SELECT;
            p->reads_only = true;
        } else if (is_outside && (part_at(p, KEYWORD_UPDATE) || part_at(p, KEYWORD_DELETE) ||
                                  part_at(p, KEYWORD_INSERT) || part_at(p, KEYWORD_REPLACE))) {
            p->verb = VERB_WRITE;
        }
        if (p->verb != VERB_OTHER)
            break;
        part_see(p);
    }
    p->in_cte_head = false;
    if (p->verb == VERB_OTHER)
        p->effects |= EFFECT_UNKNOWN_FUNCTION;
    part_see_rest(p);
}

/* LOAD DATA and LOAD XML fill tables and variables, LOAD INDEX a cache. */
static void read_load(struct part *p)
{
    part_next(p);
    if (part_at(p, KEYWORD_INDEX)) {
        read_as(p, VERB_ADMIN, CALLS_NONE);
        return;
    }
    p->fills_all_vars = true;
    read_as(p, VERB_WRITE, CALLS_AFTER_NAMES);
}

static void read_call(struct part *p)
{
    p->verb = VERB_CALL;
    p->effects |= EFFECT_PROCEDURE;
    p->fills_all_vars = true;
    while (part_next(p) && p->token.punct != '(')
        part_see(p);
    see_following(p);
}

/* ---- definitions ----------------------------------------------------------------------- */

static bool at_body_kind(const struct part *p)
{
    return part_at(p, KEYWORD_PROCEDURE) || part_at(p, KEYWORD_FUNCTION) ||
           part_at(p, KEYWORD_TRIGGER) || part_at(p, KEYWORD_EVENT) || part_at(p, KEYWORD_PACKAGE);
}

/* CREATE or ALTER: what, as far as the words before the first parenthesis say. */
static void read_create(struct part *p)
{
    p->verb = VERB_DDL;
    p->calls = CALLS_AFTER_SELECT;
    bool creates = part_at(p, KEYWORD_CREATE);
    while (part_next(p) && p->token.punct != '(') {
        bool is_modifier = p->last.keyword == KEYWORD_CREATE || p->last.keyword == KEYWORD_REPLACE;
        if (creates && is_modifier && part_at(p, KEYWORD_TEMPORARY))
            p->effects |= EFFECT_TEMP_TABLE;
        if (at_body_kind(p))
            p->has_body = true;
        part_see(p);
    }
    part_see_rest(p);
}

static void read_text_prepare(struct part *p)
{
    p->effects |= EFFECT_TEXT_PREPARE;
    read_as(p, VERB_PREPARE, CALLS_ALL);
}

static void read_drop(struct part *p)
{
    part_next(p);
    if (part_at(p, KEYWORD_PREPARE))
        read_text_prepare(p);
    else
        read_as(p, VERB_DDL, CALLS_NONE);
}

/* ---- transactions ------------------------------------------------------------------------ */

static void read_begin(struct part *p)
{
    part_next(p);
    if (part_at(p, KEYWORD_WORK))
        part_next(p);
    if (part_at_end(p))
        p->verb = VERB_BEGIN;
    else
        read_other(p); /* a block of statements */
}

static void read_start(struct part *p)
{
    part_next(p);
    if (!part_at(p, KEYWORD_TRANSACTION)) {
        read_as(p, VERB_ADMIN, CALLS_NONE);
        return;
    }
    p->verb = VERB_BEGIN;
    while (part_next(p)) {
        if (part_at(p, KEYWORD_ONLY) && p->last.keyword == KEYWORD_READ) {
            p->effects |= EFFECT_READ_ONLY_TRX;
            p->reads_only = true;
        }
        part_see(p);
    }
}

/* COMMIT and ROLLBACK; AND CHAIN begins a transaction, RELEASE ends the connection. */
static void read_end_of_transaction(struct part *p, enum verb verb)
{
    p->verb = verb;
    p->reads_only = true;
    p->release = RELEASE_USUAL;
    while (part_next(p)) {
        if (part_at(p, KEYWORD_TO)) {
            read_reading(p, VERB_SAVEPOINT);
            p->release = RELEASE_NONE;
            return;
        }
        if (part_at(p, KEYWORD_RELEASE))
            p->release = p->last.keyword == KEYWORD_NO ? RELEASE_NO : RELEASE_YES;
        if (part_at(p, KEYWORD_CHAIN) && p->last.keyword != KEYWORD_NO)
            p->needs_primary = true;
        part_see(p);
    }
}

static void read_release(struct part *p)
{
    part_next(p);
    if (part_at(p, KEYWORD_SAVEPOINT))
        read_reading(p, VERB_SAVEPOINT);
    else
        read_other(p);
}

/* ---- questions to the server --------------------------------------------------------------- */

/* A pattern with its quotes: as far as it goes without wildcards. */
static bool may_mean_tracker(struct bytes pattern)
{
    static const char prefix[] = "session_track_";
    for (size_t i = 1; i < pattern.len && i < sizeof prefix; i++) {
        uint8_t c = pattern.data[i];
        if (c == '%' || c == '_' || c == '\\')
            return true;
        if (ascii_lower(c) != (uint8_t)prefix[i - 1])
            return false;
    }
    return true;
}

static void read_show(struct part *p)
{
    p->verb = VERB_SHOW;
    p->reads_only = true;
    while (part_next(p)) {
        uint16_t last = p->last.keyword;
        bool is_first = last == KEYWORD_SHOW || p->last.punct == ')';
        if (is_first && (part_at(p, KEYWORD_WARNINGS) || part_at(p, KEYWORD_ERRORS)))
            p->effects |= EFFECT_DIAGNOSTICS;
        bool is_state = part_at(p, KEYWORD_STATUS) && last != KEYWORD_TABLE &&
                        last != KEYWORD_PROCEDURE && last != KEYWORD_FUNCTION;
        bool is_session = is_first || last == KEYWORD_SESSION || last == KEYWORD_LOCAL;
        if (is_session && p->token.kind == TOKEN_WORD && name_is(p->token.text, "variables"))
            p->effects |= EFFECT_TRACKING;
        if (last == KEYWORD_LIKE && p->token.kind == TOKEN_STRING && !may_mean_tracker(p->token.text))
            p->effects &= ~EFFECT_TRACKING;
        if (is_state || (part_at(p, KEYWORD_GLOBAL) && last == KEYWORD_SHOW))
            p->effects |= EFFECT_SERVER_STATE;
        part_see(p);
    }
}

static void read_get(struct part *p)
{
    part_next(p);
    if (!part_at(p, KEYWORD_DIAGNOSTICS))
        part_next(p); /* CURRENT, STACKED */
    if (!part_at(p, KEYWORD_DIAGNOSTICS)) {
        read_other(p);
        return;
    }
    p->effects |= EFFECT_DIAGNOSTICS;
    p->fills_all_vars = true;
    read_reading(p, VERB_SHOW);
}

/* ---- locks and administration ---------------------------------------------------------------- */

static void read_lock(struct part *p)
{
    part_next(p);
    bool is_table = part_at(p, KEYWORD_TABLES) || part_at(p, KEYWORD_TABLE);
    p->effects |= is_table ? EFFECT_TABLE_LOCK : EFFECT_INSTANCE_LOCK;
    read_as(p, VERB_LOCK, CALLS_NONE);
}

static void read_backup(struct part *p)
{
    p->effects |= EFFECT_INSTANCE_LOCK;
    read_as(p, VERB_LOCK, CALLS_NONE);
}

/* FLUSH TABLES [t, ...] WITH READ LOCK and ... FOR EXPORT lock; the rest does not. */
static void read_flush(struct part *p)
{
    p->verb = VERB_ADMIN;
    p->calls = CALLS_NONE;
    while (part_next(p)) {
        if (part_at(p, KEYWORD_LOCK))
            p->effects |= EFFECT_INSTANCE_LOCK;
        if (part_at(p, KEYWORD_EXPORT))
            p->effects |= EFFECT_TABLE_LOCK;
        part_see(p);
    }
    if ((p->effects & (EFFECT_INSTANCE_LOCK | EFFECT_TABLE_LOCK)) != 0)
        p->verb = VERB_LOCK;
}

static void read_handler(struct part *p)
{
    p->effects |= EFFECT_HANDLER;
    read_as(p, VERB_HANDLER, CALLS_ALL);
}

static void read_execute(struct part *p)
{
    p->effects |= EFFECT_UNKNOWN_FUNCTION;
    p->next_mode.quotes_unknown = true; /* what it executes may be a SET */
    p->next_mode.charset = LEXER_UNKNOWN;
    read_as(p, VERB_PREPARE, CALLS_ALL);
}

/* ---- by the first word --------------------------------------------------------------------------
 */

static void read_verb(struct part *p)
{
    switch ((unsigned)p->token.keyword) {
    case KEYWORD_SELECT:
    case KEYWORD_TABLE:
    case KEYWORD_VALUES:
        read_reading(p, VERB_SELECT);
        break;
    case KEYWORD_WITH:
        read_with(p);
        break;
    case KEYWORD_INSERT:
    case KEYWORD_REPLACE:
        read_as(p, VERB_WRITE, CALLS_AFTER_NAMES);
        break;
    case KEYWORD_UPDATE:
    case KEYWORD_DELETE:
        read_as(p, VERB_WRITE, CALLS_ALL);
        break;
    case KEYWORD_LOAD:
        read_load(p);
        break;
    case KEYWORD_CREATE:
    case KEYWORD_ALTER:
        read_create(p);
        break;
    case KEYWORD_DROP:
        read_drop(p);
        break;
    case KEYWORD_RENAME:
    case KEYWORD_TRUNCATE:
    case KEYWORD_IMPORT:
        read_as(p, VERB_DDL, CALLS_NONE);
        break;
    case KEYWORD_BEGIN:
        read_begin(p);
        break;
    case KEYWORD_START:
        read_start(p);
        break;
    case KEYWORD_COMMIT:
        read_end_of_transaction(p, VERB_COMMIT);
        break;
    case KEYWORD_ROLLBACK:
        read_end_of_transaction(p, VERB_ROLLBACK);
        break;
    case KEYWORD_SAVEPOINT:
        read_reading(p, VERB_SAVEPOINT);
        break;
    case KEYWORD_RELEASE:
        read_release(p);
        break;
    case KEYWORD_XA:
        read_as(p, VERB_XA, CALLS_NONE);
        break;
    case KEYWORD_USE:
        read_reading(p, VERB_USE);
        break;
    case KEYWORD_SHOW:
        read_show(p);
        break;
    case KEYWORD_HELP:
        read_reading(p, VERB_SHOW);
        break;
    case KEYWORD_GET:
        read_get(p);
        break;
    case KEYWORD_CALL:
        read_call(p);
        break;
    case KEYWORD_LOCK:
        read_lock(p);
        break;
    case KEYWORD_UNLOCK:
        read_as(p, VERB_LOCK, CALLS_NONE);
        break;
    case KEYWORD_BACKUP:
        read_backup(p);
        break;
    case KEYWORD_FLUSH:
        read_flush(p);
        break;
    case KEYWORD_PREPARE:
    case KEYWORD_DEALLOCATE:
        read_text_prepare(p);
        break;
    case KEYWORD_EXECUTE:
        read_execute(p);
        break;
    case KEYWORD_HANDLER:
        read_handler(p);
        break;
    case KEYWORD_DO:
        read_as(p, VERB_DO, CALLS_ALL);
        break;
    case KEYWORD_KILL:
        read_as(p, VERB_KILL, CALLS_ALL);
        break;
    case KEYWORD_GRANT:
    case KEYWORD_REVOKE:
    case KEYWORD_ANALYZE:
    case KEYWORD_CHECK:
    case KEYWORD_CHECKSUM:
    case KEYWORD_OPTIMIZE:
    case KEYWORD_REPAIR:
    case KEYWORD_CHANGE:
    case KEYWORD_RESET:
    case KEYWORD_PURGE:
    case KEYWORD_STOP:
    case KEYWORD_INSTALL:
    case KEYWORD_UNINSTALL:
    case KEYWORD_BINLOG:
    case KEYWORD_CACHE:
    case KEYWORD_SHUTDOWN:
    case KEYWORD_RESTART:
    case KEYWORD_CLONE:
        read_as(p, VERB_ADMIN, CALLS_NONE);
        break;
    default:
        read_other(p);
        break;
    }
}

/* ---- a whole part ------------------------------------------------------------------- */

/* Only reads can stand in parentheses. */
static void read_in_parentheses(struct part *p)
{
    while (p->token.punct == '(') {
        p->depth++;
        part_next(p);
    }
    if (part_at(p, KEYWORD_SELECT) || part_at(p, KEYWORD_WITH) || part_at(p, KEYWORD_TABLE) ||
        part_at(p, KEYWORD_VALUES))
        read_verb(p);
    else
        read_other(p);
}

static void settle_explained(struct part *p, const struct front *f)
{
    if (!f->explains)
        return;
    if (p->verb == VERB_SELECT || (p->verb == VERB_WRITE && !f->executes))
        p->verb = VERB_EXPLAIN;
}

static void read_part(struct part *p)
{
    struct front f = { false, false, false };
    while (!f.is_done && pass_front(p, &f))
        continue;
    if (!f.is_done) {
        if (p->token.punct == '(')
            read_in_parentheses(p);
        else
            read_verb(p);
        settle_explained(p, &f);
    }
    if ((p->effects & EFFECTS_BEYOND_READING) != 0 || p->needs_primary || p->in_doubt)
        p->reads_only = false;
}

/* ---- all parts ------------------------------------------------------------------------------- */

/* The higher, the less can be said of where it may run. */
static unsigned strictness(enum verb v)
{
    static const uint8_t order[] = {
        [VERB_EMPTY] = 0,    [VERB_SELECT] = 1, [VERB_EXPLAIN] = 2,   [VERB_SHOW] = 3,
        [VERB_USE] = 4,      [VERB_SET] = 5,    [VERB_SAVEPOINT] = 6, [VERB_COMMIT] = 7,
        [VERB_ROLLBACK] = 8, [VERB_BEGIN] = 9,  [VERB_DO] = 10,       [VERB_HANDLER] = 11,
        [VERB_PREPARE] = 12, [VERB_KILL] = 13,  [VERB_LOCK] = 14,     [VERB_XA] = 15,
        [VERB_ADMIN] = 16,   [VERB_WRITE] = 17, [VERB_DDL] = 18,      [VERB_CALL] = 19,
        [VERB_OTHER] = 20,
    };
    return order[v];
}

static void begin_part(struct part *p)
{
    memset(&p->token, 0, sizeof(*p) - offsetof(struct part, token));
    part_next(p);
}

/* The body of a procedure has semicolons: what follows one may be part of it or not,
 * so it counts for the effects, while the verb stays. */
static void add_part(struct statement *st, const struct part *p, bool has_body)
{
    st->effects |= p->effects;
    st->reads_only = st->reads_only && p->reads_only;
    st->only_autocommit = p->only_autocommit && st->verb == VERB_EMPTY;
    st->release = p->release;
    if (!has_body && strictness(p->verb) > strictness(st->verb))
        st->verb = p->verb;
    if (p->in_doubt || p->token.kind == TOKEN_BROKEN)
        st->is_broken = true;
}

static bool same_reading(const struct lexer_mode *a, const struct lexer_mode *b)
{
    return a->ansi_quotes == b->ansi_quotes && a->no_backslash_escapes == b->no_backslash_escapes &&
           a->ignore_space == b->ignore_space && a->quotes_unknown == b->quotes_unknown &&
           a->charset == b->charset;
}

void statement_read(struct bytes sql, const struct lexer_mode *mode, struct statement *out)
{
    *out = (struct statement){ .verb = VERB_EMPTY, .reads_only = true };
    struct digest digest;
    digest_begin(&digest);
    struct part p;
    p.hint = &out->hint;
    p.digest = &digest;
    p.next_mode = *mode;
    lexer_begin(&p.lexer, sql, mode);
    bool has_body = false, is_first = true;
    do {
        if (!has_body) /* one with a body is read as a whole, before any of it runs */
            p.lexer.mode = p.next_mode;
        begin_part(&p);
        if (p.token.kind != TOKEN_END && p.token.kind != TOKEN_SEMICOLON) {
            out->changes_reading |= !same_reading(&p.lexer.mode, mode);
            read_part(&p);
            add_part(out, &p, has_body);
            has_body = has_body || p.has_body;
            if (!is_first)
                out->effects |= EFFECT_MULTI;
        }
        is_first = false;
    } while (p.token.kind == TOKEN_SEMICOLON);
    out->digest = digest_end(&digest);
    if (has_body && !same_reading(&p.next_mode, &p.lexer.mode))
        out->is_broken = true; /* was that SET in the body, or behind it? */
    if (p.lexer.in_doubt || out->is_broken) {
        out->is_broken = true;
        out->reads_only = false;
    }
}
