/*
 * routines.c - named locks that stored functions take; see inside.h.
 *
 * No server reports GET_LOCK(), so a session keeps its connection when its statement shows one.  In the body of
 * a stored function it shows only there: before a connection goes back, the functions that statements have
 * called and that are not built in are looked at (SHOW CREATE FUNCTION), with those that they call.  What was
 * found holds for all sessions of the worker for a while, and until a definition passes by.
 *
 * A body that takes a lock, that could do so in a way that can't be seen, or that the account may not read,
 * keeps the session where it is, until RELEASE_ALL_LOCKS() or a reset.
 *
 * Not seen are functions that views and triggers call.
 */
#include "session/inside.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "session/reader.h"

enum { UNREAD_MOST = 8, CALLS_MOST = 32, KEY_MOST = 600, KNOWN_MOST = 4096 };
/* Definitions may change behind our back. */
enum { HOLDS_US = 10 * 1000000, HOLDS_UNREADABLE_US = 60 * 1000000 };

/* What is known of one function on one server. */
struct routine {
    struct bytes key;
    unsigned acts;                /* enum routine_acts                                    */
    uint64_t expires_us;
    uint8_t bytes[];
};

/* Called by the session, and not looked at yet. */
struct unread {
    unsigned n;
    struct call calls[UNREAD_MOST]; /* ours                                                */
};

/* ---- what is known ------------------------------------------------------------------------------ */

static struct bytes key_of(const struct server *server, const struct call *c, uint8_t out[KEY_MOST])
{
    size_t n = sizeof server->number + c->schema.len + 1;
    if (n + c->name.len > KEY_MOST)
        return BYTES_NONE;
    memcpy(out, &server->number, sizeof server->number);
    memcpy(out + sizeof server->number, c->schema.data, c->schema.len);
    out[n - 1] = 0;
    for (size_t i = 0; i < c->name.len; i++)
        out[n + i] = ascii_lower(c->name.data[i]);
    return bytes_of(out, n + c->name.len);
}

void routines_release(struct sessions *ss)
{
    uint32_t at = 0;
    for (struct routine *r; (r = map_next(&ss->routines, &at)) != NULL;)
        mem_free(r);
    map_release(&ss->routines);
}

/* Somebody has made or changed one; no matter where. */
static void follow_definitions(struct sessions *ss)
{
    unsigned now = atomic_load_explicit(&ss->shared->routines_changed, memory_order_acquire);
    if (ss->routines_as_of == now && ss->routines.count < KNOWN_MOST)
        return;
    routines_release(ss);
    ss->routines_as_of = now;
}

/* (Other names are the same in other bytes, and others in the same, as character sets are.) */
static bool can_be_kept(const struct call *c)
{
    return name_is_ascii(c->schema) && name_is_ascii(c->name);
}

/* False: it has to be looked at. */
static bool is_known(struct session *s, const struct call *c, unsigned *acts)
{
    uint8_t bytes[KEY_MOST];
    struct sessions *ss = s->home;
    struct bytes key = key_of(s->lease->server, c, bytes);
    *acts = 0;
    if (key.len == 0)             /* no name is that long */
        return true;
    follow_definitions(ss);
    struct routine *r = can_be_kept(c) ? map_get(&ss->routines, key) : NULL;
    if (r == NULL || r->expires_us < clock_us())
        return false;
    *acts = r->acts;
    return true;
}

static void remember(struct session *s, const struct call *c, unsigned acts, bool is_readable)
{
    uint8_t bytes[KEY_MOST];
    struct bytes key = key_of(s->lease->server, c, bytes);
    if (key.len == 0 || !can_be_kept(c))
        return;
    struct routine *r = mem_alloc(sizeof *r + key.len);
    memcpy(r->bytes, key.data, key.len);
    r->key = bytes_of(r->bytes, key.len);
    r->acts = acts;
    r->expires_us = clock_us() + (is_readable ? HOLDS_US : HOLDS_UNREADABLE_US);
    mem_free(map_put(&s->home->routines, r->key, r));
}

/* ---- what was called ------------------------------------------------------------------------------ */

static void act(struct session *s, unsigned acts)
{
    if ((acts & ROUTINE_LOCKS) != 0)
        holdings_lock_unseen(s);
    else if ((acts & ROUTINE_RELEASES) != 0)
        holdings_doubt_locks(s);
}

static struct bytes copy_of(struct bytes b)
{
    return bytes_of(mem_strndup(b.data, b.len), b.len);
}

static bool same_call(const struct call *a, const struct call *b)
{
    return bytes_equal(a->schema, b->schema) && bytes_equal_nocase(a->name, b->name);
}

/* Among so many?  Else it is appended, if there is room. */
static bool gather(struct call *calls, unsigned *n, unsigned max, const struct call *c)
{
    unsigned i = 0;
    while (i < *n && !same_call(&calls[i], c))
        i++;
    if (i == max)
        return false;
    if (i == *n)
        calls[(*n)++] = *c;
    return true;
}

static bool keep_unread(struct session *s, const struct call *c)
{
    struct session_more *more = session_more(s);
    if (more->unread == NULL)
        more->unread = mem_zalloc(sizeof *more->unread);
    struct unread *u = more->unread;
    unsigned n = u->n;
    if (!gather(u->calls, &u->n, UNREAD_MOST, c))
        return false;
    if (u->n > n)
        u->calls[n] = (struct call){ copy_of(c->schema), copy_of(c->name) };
    return true;
}

void routines_note(struct session *s, const struct command *cmd)
{
    struct call calls[CALLS_MOST];
    struct bytes schema = cmd->stmt != NULL ? cmd->stmt->text->state->schema : s->state->schema;
    unsigned acts, n = statement_calls(command_statement_text(cmd), &s->mode, calls, CALLS_MOST);
    if (!cmd->whole || n > CALLS_MOST) {
        act(s, ROUTINE_LOCKS);
        return;
    }
    for (unsigned i = 0; i < n; i++) {
        if (calls[i].schema.data == NULL)
            calls[i].schema = schema;
        if (calls[i].schema.len == 0)
            continue;             /* there is none without */
        if (!is_known(s, &calls[i], &acts))
            acts = keep_unread(s, &calls[i]) ? 0 : ROUTINE_LOCKS;
        act(s, acts);
    }
}

void routines_changed(struct session *s, const struct command *cmd)
{
    struct reader r;
    reader_begin(&r, command_statement_text(cmd), &s->mode);
    while (r.token.kind != TOKEN_END && r.token.kind != TOKEN_BROKEN && !reader_at(&r, "function"))
        reader_next(&r);
    if (r.token.kind != TOKEN_END)
        atomic_fetch_add_explicit(&s->home->shared->routines_changed, 1, memory_order_release);
}

bool routines_are_unread(const struct session *s)
{
    return s->more != NULL && s->more->unread != NULL;
}

void routines_forget(struct session *s)
{
    if (!routines_are_unread(s))
        return;
    struct unread *u = s->more->unread;
    for (unsigned i = 0; i < u->n; i++) {
        mem_free((void *)u->calls[i].schema.data);
        mem_free((void *)u->calls[i].name.data);
    }
    mem_free(u);
    s->more->unread = NULL;
}

/* ---- looking ----------------------------------------------------------------------------------------- */

static void add_name(struct buf *sql, struct bytes name)
{
    buf_add_u8(sql, '`');
    buf_add(sql, name);           /* as it was written, so quotes in it are doubled */
    buf_add_u8(sql, '`');
}

/* Its text, in the arena, and how servers read that; data NULL if there is no such stored function, and
 * *readable false if the account may not see it. */
static bool read_body(struct task *t, struct session *s, const struct call *c, struct bytes *text,
                      struct lexer_mode *mode, bool *readable, struct fault *why)
{
    enum { MODE = 1, TEXT = 2, COLUMNS = 6, ER_SP_DOES_NOT_EXIST = 1305 };
    struct bytes values[COLUMNS];
    struct buf sql = { 0 };
    buf_add(&sql, BYTES_LITERAL("SHOW CREATE FUNCTION "));
    /* (in UTF-8, where the server has reported it) */
    if (!bytes_equal(c->schema, s->state->schema)) {
        add_name(&sql, c->schema);
        buf_add_u8(&sql, '.');
    }
    add_name(&sql, c->name);
    bool ok = backend_ask_row(t, s->lease, buf_bytes(&sql), values, COLUMNS, why);
    buf_release(&sql);
    *text = BYTES_NONE;
    *readable = ok || why->code == ER_SP_DOES_NOT_EXIST;
    if (!ok && why->blame == BLAME_QUERY) {
        s->lease->has_diagnostics = true;
        *why = FAULT_NONE;
    }
    if (!ok)
        return why->blame == BLAME_NONE;
    *text = values[TEXT];
    /* (a client may want its results in two bytes a character) */
    *readable = text->data != NULL && memchr(text->data, 0, text->len) == NULL;
    *mode = s->mode;
    mode_take(mode, values[MODE]);
    return true;
}

/* What it may do, with all that it calls. */
static bool look_at(struct task *t, struct session *s, const struct call *root, unsigned *acts,
                    struct fault *why)
{
    struct call list[CALLS_MOST], calls[CALLS_MOST];
    unsigned n = 1;
    bool readable = true;
    list[0] = *root;
    *acts = 0;
    for (unsigned i = 0; i < n && (*acts & ROUTINE_LOCKS) == 0; i++) {
        struct bytes text;
        struct lexer_mode mode;
        if (!read_body(t, s, &list[i], &text, &mode, &readable, why))
            return false;
        *acts |= readable && text.data != NULL ? routine_acts(text, &mode) : readable ? 0 : ROUTINE_LOCKS;
        unsigned n_calls = text.data != NULL ? statement_calls(text, &mode, calls, CALLS_MOST) : 0;
        if (n_calls > CALLS_MOST)
            *acts |= ROUTINE_LOCKS;
        for (unsigned j = 0; j < MIN(n_calls, (unsigned)CALLS_MOST); j++) {
            if (calls[j].schema.data == NULL)
                calls[j].schema = list[i].schema;
            if (!gather(list, &n, CALLS_MOST, &calls[j]))
                *acts |= ROUTINE_LOCKS;
        }
    }
    if (!readable)
        log_warn("the text of a stored function can't be read, so sessions that call it keep their connections",
                 "user=%s function=%s", log_quote(bytes_str(s->account->name)), log_quote(root->name));
    remember(s, root, *acts, readable);
    return true;
}

bool routines_read(struct task *t, struct session *s, struct fault *why)
{
    struct unread *u = s->more->unread;
    struct backend *be = s->lease;
    be->has_diagnostics = false;  /* taken before, if there were any */
    for (unsigned i = 0; i < u->n; i++) {
        unsigned acts;
        if (!is_known(s, &u->calls[i], &acts) && !look_at(t, s, &u->calls[i], &acts, why))
            return false;
        act(s, acts);
    }
    routines_forget(s);
    /* that there is no such function is nobody's error */
    bool is_clear = !be->has_diagnostics;
    be->has_diagnostics = false;
    return is_clear || backend_ask(t, be, COM_QUERY, CLEARS_DIAGNOSTICS, stall_deadline(t), why);
}
