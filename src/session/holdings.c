/*
 * holdings.c - what a session has at its server under a name, so that a pin ends with the last of
 * them; see inside.h.
 *
 *   temporary tables    CREATE TEMPORARY TABLE ... DROP TABLE
 *   HANDLERs            HANDLER name OPEN ... CLOSE
 *   prepared texts      PREPARE name FROM ... DEALLOCATE PREPARE
 *   named locks         GET_LOCK('name') ... RELEASE_LOCK(), as the server says when it is asked
 *   instance locks      FLUSH TABLES WITH READ LOCK ... UNLOCK TABLES, and the like
 *
 * Names come from texts.  Where a text can't be read so (a name in an expression, several statements
 * in one, a table that is renamed), what is there is unclear, and the pin stays until the session is reset.
 * A name that only looks different from the one that it ends is kept: that pins too long, never too
 * short.
 */
#include "session/inside.h"

#include "base/mem.h"
#include "session/reader.h"

enum held { HELD_TABLE, HELD_HANDLER, HELD_TEXT, HELD_LOCK, HELD_INSTANCE, HELD_KINDS };
enum { HELD_MOST = 32, NAME_MOST = 512 };

struct holdings {
    struct {
        unsigned n;
        bool unclear;                  /* there may be others                                  */
        struct bytes names[HELD_MOST]; /* ours                                                 */
    } of[HELD_KINDS];
    bool locks_in_doubt; /* some may be gone, or were not got                                  */
};

static const uint32_t pin_of[HELD_KINDS] = {
    [HELD_TABLE] = PIN_TEMP_TABLE,
    [HELD_HANDLER] = PIN_HANDLER,
    [HELD_TEXT] = PIN_TEXT_PREPARE,
    [HELD_LOCK] = PIN_NAMED_LOCK,
    [HELD_INSTANCE] = PIN_INSTANCE_LOCK,
};
static const uint32_t effects_of[HELD_KINDS] = {
    [HELD_TABLE] = EFFECT_TEMP_TABLE,
    [HELD_HANDLER] = EFFECT_HANDLER,
    [HELD_TEXT] = EFFECT_TEXT_PREPARE,
    [HELD_LOCK] = EFFECT_NAMED_LOCK | EFFECT_RELEASE_LOCK,
    [HELD_INSTANCE] = EFFECT_INSTANCE_LOCK | EFFECT_TABLE_LOCK,
};
#define EFFECTS_OF_ALL                                                                             \
    (EFFECT_TEMP_TABLE | EFFECT_HANDLER | EFFECT_TEXT_PREPARE | EFFECT_NAMED_LOCK |                \
     EFFECT_RELEASE_LOCK | EFFECT_INSTANCE_LOCK | EFFECT_TABLE_LOCK)

/* ---- the names ------------------------------------------------------------------------------- */

static void forget(struct holdings *h, enum held kind)
{
    for (unsigned i = 0; i < h->of[kind].n; i++)
        mem_free((void *)h->of[kind].names[i].data);
    h->of[kind].n = 0;
    h->of[kind].unclear = false;
}

void holdings_forget(struct session *s)
{
    struct holdings *h = s->more != NULL ? s->more->holdings : NULL;
    if (h == NULL)
        return;
    for (enum held kind = 0; kind < HELD_KINDS; kind++)
        forget(h, kind);
    mem_free(h);
    s->more->holdings = NULL;
}

static struct holdings *holdings_of(struct session *s)
{
    struct session_more *more = session_more(s);
    if (more->holdings == NULL)
        more->holdings = mem_zalloc(sizeof *more->holdings);
    return more->holdings;
}

static unsigned find(const struct holdings *h, enum held kind, struct bytes name)
{
    unsigned i = 0;
    while (i < h->of[kind].n && !bytes_equal(h->of[kind].names[i], name))
        i++;
    return i;
}

static void add(struct holdings *h, enum held kind, struct bytes name)
{
    if (find(h, kind, name) < h->of[kind].n)
        return;
    if (h->of[kind].n == HELD_MOST) {
        h->of[kind].unclear = true;
        return;
    }
    uint8_t *copy = mem_alloc(name.len + 1);
    memcpy(copy, name.data, name.len);
    h->of[kind].names[h->of[kind].n++] = bytes_of(copy, name.len);
}

static void take_out(struct holdings *h, enum held kind, unsigned i)
{
    if (i >= h->of[kind].n)
        return;
    mem_free((void *)h->of[kind].names[i].data);
    h->of[kind].names[i] = h->of[kind].names[--h->of[kind].n];
}

/* ---- reading --------------------------------------------------------------------------------- */

/* A statement that has ended. */
struct ended {
    struct reader r;
    struct bytes schema; /* for names without one                                              */
    bool failed;
    char name[NAME_MOST]; /* the last one read                                                 */
};

static bool read_part_of_name(struct reader *r, struct bytes *out)
{
    *out = r->token.text;
    if (r->token.kind == TOKEN_QUOTED_NAME)
        *out = bytes_of(out->data + 1, out->len - 2);
    else if (r->token.kind != TOKEN_WORD)
        return false;
    reader_next(r);
    return true;
}

/* [schema.]name; with its schema, if that matters. */
static bool read_name(struct ended *e, bool with_schema, struct bytes *out)
{
    struct bytes schema = e->schema, name;
    if (!read_part_of_name(&e->r, &name))
        return false;
    if (reader_pass_punct(&e->r, '.')) {
        schema = name;
        if (!read_part_of_name(&e->r, &name))
            return false;
    }
    if (!with_schema)
        schema = BYTES_NONE;
    int len = snprintf(e->name, sizeof e->name, "%.*s.%.*s", BYTES_FMT(schema), BYTES_FMT(name));
    *out = bytes_of(e->name, (size_t)len);
    return (size_t)len < sizeof e->name;
}

static bool pass_if(struct reader *r, const char *not)
{
    return !reader_pass(r, "if") || ((not[0] == '\0' || reader_pass(r, not)) && reader_pass(r, "exists"));
}

/* [OR REPLACE] TEMPORARY TABLE [IF NOT EXISTS] name */
static bool read_create(struct holdings *h, struct ended *e)
{
    struct bytes name;
    if (reader_pass(&e->r, "or") && !reader_pass(&e->r, "replace"))
        return false;
    if (!reader_pass(&e->r, "temporary") || !reader_pass(&e->r, "table") || !pass_if(&e->r, "not") ||
        !read_name(e, true, &name))
        return false;
    if (!e->failed)
        add(h, HELD_TABLE, name);
    return true;
}

/* [TEMPORARY] TABLE[S] [IF EXISTS] name, ...  What can't be read is not dropped, as far as we know. */
static void read_drop_table(struct holdings *h, struct ended *e)
{
    struct bytes name;
    reader_pass(&e->r, "temporary");
    if ((!reader_pass(&e->r, "table") && !reader_pass(&e->r, "tables")) || !pass_if(&e->r, "") || e->failed)
        return;
    while (read_name(e, true, &name)) {
        take_out(h, HELD_TABLE, find(h, HELD_TABLE, name));
        if (!reader_pass_punct(&e->r, ','))
            break;
    }
}

static bool renames(struct reader *r)
{
    for (; r->token.kind != TOKEN_END; reader_next(r))
        if (r->token.kind == TOKEN_BROKEN || reader_at(r, "rename"))
            return true;
    return false;
}

static bool read_handler(struct holdings *h, struct ended *e)
{
    struct bytes name;
    if (!read_name(e, false, &name))
        return false;
    if (reader_pass(&e->r, "close")) {
        if (!e->failed)
            take_out(h, HELD_HANDLER, find(h, HELD_HANDLER, name));
        return true;
    }
    if (!reader_pass(&e->r, "open"))
        return true;
    bool has_alias = reader_pass(&e->r, "as") || !reader_at_end(&e->r);
    if (has_alias && !read_name(e, false, &name))
        return false;
    if (!e->failed)
        add(h, HELD_HANDLER, name);
    return true;
}

/* Executing it leaves nothing behind that is our own to see, and can't be seen from the EXECUTE. */
static bool is_harmless(const struct token *literal, const struct lexer_mode *mode)
{
    const uint32_t unseen = EFFECT_NAMED_LOCK | EFFECT_HANDLER | EFFECT_TEXT_PREPARE | EFFECT_MULTI |
                            EFFECT_INSTANCE_LOCK | EFFECT_TABLE_LOCK | EFFECT_ROLE |
                            EFFECT_RESOURCE_GROUP | EFFECT_SETS_UNREPORTED | EFFECT_SETS_ONE_SHOT |
                            EFFECT_USER_VAR | EFFECT_TEMP_TABLE | EFFECT_PROCEDURE | EFFECT_TRACKING |
                            EFFECT_UNKNOWN_FUNCTION;
    struct bytes text = literal->text;
    struct statement st;
    if (literal->kind != TOKEN_STRING || text.len < 2 || (text.data[0] != '\'' && text.data[0] != '"'))
        return false;
    uint8_t quote = text.data[0];
    text = bytes_of(text.data + 1, text.len - 2);
    if (memchr(text.data, '\\', text.len) != NULL || memchr(text.data, quote, text.len) != NULL)
        return false;
    statement_read(text, mode, &st);
    return !st.is_broken && (st.effects & unseen) == 0;
}

/* name FROM 'text' */
static bool read_prepare(struct holdings *h, struct ended *e, const struct lexer_mode *mode)
{
    struct bytes name;
    if (!read_name(e, false, &name) || !reader_pass(&e->r, "from"))
        return false;
    /* (one that fails has taken its namesake away) */
    if (e->failed)
        take_out(h, HELD_TEXT, find(h, HELD_TEXT, name));
    else
        add(h, HELD_TEXT, name);
    return e->failed || is_harmless(&e->r.token, mode);
}

/* IMMEDIATE 'text'; a name was judged when it was prepared. */
static bool read_execute(struct ended *e, const struct lexer_mode *mode)
{
    return !reader_pass(&e->r, "immediate") || is_harmless(&e->r.token, mode);
}

static void read_deallocate(struct holdings *h, struct ended *e)
{
    struct bytes name;
    if (reader_pass(&e->r, "prepare") && read_name(e, false, &name) && !e->failed)
        take_out(h, HELD_TEXT, find(h, HELD_TEXT, name));
}

/* SELECT or DO and this call, nothing else. */
static bool releases_all(struct reader r)
{
    return (reader_pass(&r, "select") || reader_pass(&r, "do")) && reader_pass(&r, "release_all_locks") &&
           reader_pass_punct(&r, '(') && reader_pass_punct(&r, ')') && reader_at_end(&r);
}

/* Locks are named by literals; these are kept as they are written.  False: one is named otherwise. */
static bool read_locks(struct holdings *h, struct ended *e)
{
    struct reader *r = &e->r;
    h->locks_in_doubt = true;
    if (!e->failed && releases_all(*r)) {
        forget(h, HELD_LOCK);
        return true;
    }
    for (; r->token.kind != TOKEN_END; reader_next(r)) {
        if (r->token.kind == TOKEN_BROKEN)
            return false;
        if (!reader_at(r, "get_lock"))
            continue;
        reader_next(r);
        if (!reader_pass_punct(r, '(') || r->token.kind != TOKEN_STRING)
            return false;
        struct bytes literal = r->token.text;
        reader_next(r);
        if (!reader_pass_punct(r, ',') || literal.len > NAME_MOST)
            return false;
        add(h, HELD_LOCK, literal);
    }
    return true;
}

static void set_held(struct holdings *h, enum held kind, const char *name, bool held)
{
    if (held)
        add(h, kind, bytes_str(name));
    else
        take_out(h, kind, find(h, kind, bytes_str(name)));
}

/* FLUSH TABLES WITH READ LOCK, [UN]LOCK TABLES, [UN]LOCK INSTANCE, BACKUP [UN]LOCK, BACKUP STAGE word */
static void read_instance_lock(struct holdings *h, struct ended *e, uint32_t effects)
{
    struct reader *r = &e->r;
    bool is_backup = reader_pass(r, "backup"), unlocks = reader_pass(r, "unlock");
    if (e->failed)
        return;
    if (is_backup && reader_pass(r, "stage"))
        set_held(h, HELD_INSTANCE, "stage", !reader_at(r, "end"));
    else if (is_backup)
        set_held(h, HELD_INSTANCE, "backup", !unlocks);
    else if (unlocks)
        set_held(h, HELD_INSTANCE, reader_at(r, "instance") ? "instance" : "tables", false);
    else if ((effects & EFFECT_INSTANCE_LOCK) != 0)
        set_held(h, HELD_INSTANCE, reader_pass(r, "lock") ? "instance" : "tables", true);
}

/* By its first word. */
static void read_ended(struct holdings *h, struct ended *e, const struct command *cmd,
                       const struct lexer_mode *mode)
{
    struct reader *r = &e->r, whole = e->r;
    bool texts = cmd->st.verb == VERB_PREPARE;
    if ((cmd->st.effects & effects_of[HELD_LOCK]) != 0) {
        h->of[HELD_LOCK].unclear |= !read_locks(h, e);
        e->r = whole;
    }
    if ((cmd->st.effects & EFFECT_TEMP_TABLE) != 0)
        h->of[HELD_TABLE].unclear |= !reader_pass(r, "create") || !read_create(h, e);
    else if ((cmd->st.effects & EFFECT_HANDLER) != 0)
        h->of[HELD_HANDLER].unclear |= !reader_pass(r, "handler") || !read_handler(h, e);
    else if ((cmd->st.effects & effects_of[HELD_INSTANCE]) != 0)
        read_instance_lock(h, e, cmd->st.effects);
    else if (texts && reader_pass(r, "prepare"))
        h->of[HELD_TEXT].unclear |= !read_prepare(h, e, mode);
    else if (texts && reader_pass(r, "execute"))
        h->of[HELD_TEXT].unclear |= !read_execute(e, mode);
    else if (texts && (reader_pass(r, "deallocate") || reader_pass(r, "drop")))
        read_deallocate(h, e);
    else if (cmd->st.verb == VERB_DDL && reader_pass(r, "drop"))
        read_drop_table(h, e);
    else if (cmd->st.verb == VERB_DDL)
        h->of[HELD_TABLE].unclear |= renames(r);
}

/* ---- what ended ------------------------------------------------------------------------------ */

/* (asked of every command) */
static bool may_change(const struct session *s, const struct command *cmd)
{
    bool has_tables = (s->pins & PIN_TEMP_TABLE) != 0;
    return cmd->code != COM_STMT_PREPARE &&
           ((cmd->st.effects & EFFECTS_OF_ALL) != 0 || cmd->st.verb == VERB_PREPARE ||
            (has_tables && cmd->st.verb == VERB_DDL));
}

static void draw_pins(struct session *s, const struct holdings *h)
{
    uint32_t pins = s->pins;
    for (enum held kind = 0; kind < HELD_KINDS; kind++) {
        if (h->of[kind].unclear)
            pins |= pin_of[kind];
        else if (h->of[kind].n == 0)
            pins &= ~pin_of[kind];
    }
    if (pins != s->pins)
        session_pin(s, pins);
}

void holdings_note(struct session *s, const struct command *cmd, bool failed)
{
    if (!may_change(s, cmd))
        return;
    struct ended e = { .schema = s->state->schema, .failed = failed };
    struct holdings *h = holdings_of(s);
    if (!cmd->whole || cmd->st.is_broken || (cmd->st.effects & EFFECT_MULTI) != 0) {
        for (enum held kind = 0; kind < HELD_KINDS; kind++)
            h->of[kind].unclear |= (s->pins & pin_of[kind]) != 0;
        h->of[HELD_TEXT].unclear |= cmd->st.verb == VERB_PREPARE;
    } else {
        if (cmd->stmt != NULL)
            e.schema = cmd->stmt->text->state->schema;
        reader_begin(&e.r, command_statement_text(cmd), &s->mode);
        read_ended(h, &e, cmd, &s->mode);
    }
    draw_pins(s, h);
}

void holdings_lock_unseen(struct session *s)
{
    struct holdings *h = holdings_of(s);
    h->of[HELD_LOCK].unclear = true;
    draw_pins(s, h);
}

void holdings_doubt_locks(struct session *s)
{
    if ((s->pins & PIN_NAMED_LOCK) != 0)
        holdings_of(s)->locks_in_doubt = true;
}

bool holdings_are_in_doubt(const struct session *s)
{
    const struct holdings *h = s->more != NULL ? s->more->holdings : NULL;
    return h != NULL && h->locks_in_doubt && !h->of[HELD_LOCK].unclear && h->of[HELD_LOCK].n > 0 &&
           (s->pins & ~PIN_LEAVABLE) == PIN_NAMED_LOCK;
}

bool holdings_ask(struct task *t, struct session *s, struct fault *why)
{
    struct holdings *h = s->more->holdings;
    struct bytes is_ours[HELD_MOST];
    struct buf sql = { 0 };
    unsigned n = h->of[HELD_LOCK].n;
    for (unsigned i = 0; i < n; i++) {
        buf_add(&sql, i == 0 ? BYTES_LITERAL("SELECT IS_USED_LOCK(") : BYTES_LITERAL(",IS_USED_LOCK("));
        buf_add(&sql, h->of[HELD_LOCK].names[i]);
        buf_add(&sql, BYTES_LITERAL(")<=>CONNECTION_ID()"));
    }
    bool ok = backend_ask_row(t, s->lease, buf_bytes(&sql), is_ours, n, why);
    buf_release(&sql);
    if (!ok)
        return false;
    for (unsigned i = n; i-- > 0;)
        if (bytes_equal(is_ours[i], BYTES_LITERAL("0")))
            take_out(h, HELD_LOCK, i);
    h->locks_in_doubt = false;
    draw_pins(s, h);
    return true;
}
