/*
 * joined.c - what restores a session's state in one text with the statement that needs it; see inside.h.
 *
 *   to the server     SET @@session.time_zone='+02:00';UPDATE t SET ...
 *   from the server   1  OK, more results follow      ours: owed, nobody sees it
 *                     2  OK                           the statement's, which the client gets as number 1
 *
 * Servers execute what comes next in a send also when the command before it failed.  Within a text they stop
 * at the first statement that fails: so what must not run in the wrong state, or outside of a transaction that
 * was put off (deferred.c), need not wait for the server's consent.
 *
 * The statement's own answer is no other for that (seen with MariaDB 10.11 and 11.8, MySQL 9.7): each statement
 * is read in the state that the one before has made, errors count lines from its own beginning, and warnings,
 * counts, trackers, query attributes and what process lists show are its own.  MariaDB's general log has the
 * whole text.
 *
 * Not joined, but awaited, are the commands that are no text (of prepared statements), that stream by without
 * being seen whole, that ask about the statement before, that would become longer than max_allowed_packet,
 * and those that may be several statements where the client has not allowed that: then all that follows the
 * first semicolon must be a syntax error.
 */
#include "session/inside.h"

/* What servers count of a packet besides its payload. */
enum { PACKET_ROOM = 64 };

void owe(struct backend *be, enum owed what)
{
    must(be->n_owed < ARRAY_LEN(be->owed));
    be->owed[be->n_owed++] = what;
}

void before_add(struct before *b, enum owed what, struct bytes text)
{
    must(b->n < ARRAY_LEN(b->parts));
    if (b->n == 0)
        b->texts = (struct buf){ 0 };
    buf_add(&b->texts, text);
    b->parts[b->n].what = what;
    b->parts[b->n++].end = buf_len(&b->texts);
}

static void forget(struct before *b)
{
    if (b->n > 0)
        buf_release(&b->texts);
    b->n = 0;
}

static struct bytes text_of(const struct before *b, unsigned i)
{
    size_t begin = i > 0 ? b->parts[i - 1].end : 0;
    return bytes_skip(bytes_of(buf_head(&b->texts), b->parts[i].end), begin);
}

void before_send(struct before *b, struct backend *be)
{
    for (unsigned i = 0; i < b->n; i++) {
        backend_write(be, b->parts[i].what == OWED_SCHEMA ? COM_INIT_DB : COM_QUERY, text_of(b, i));
        owe(be, b->parts[i].what);
    }
    forget(b);
}

/* ---- does a text go on behind a semicolon? --------------------------------------------------- */

/* Servers take off both from the end of a text before they read it. */
static bool is_trimmed(uint8_t c)
{
    return c == ';' || c == ' ' || (c >= '\t' && c <= '\r');
}

/* (No character set that a client can have uses the semicolon's byte for something else.) */
bool has_tail(const struct session *s, const struct command *cmd)
{
    struct bytes text = command_text(cmd);
    struct lexer lx;
    struct token token;
    if (cmd->code != COM_QUERY && cmd->code != COM_STMT_PREPARE)
        return false;
    while (text.len > 0 && is_trimmed(text.data[text.len - 1]))
        text.len--;
    if (memchr(text.data, ';', text.len) == NULL)
        return false;
    if (cmd->st.is_broken || cmd->st.changes_reading || (cmd->st.effects & EFFECT_MULTI) != 0)
        return true;
    lexer_begin(&lx, text, &s->mode);
    do
        lexer_next(&lx, &token);
    while (token.kind != TOKEN_END && token.kind != TOKEN_SEMICOLON && token.kind != TOKEN_BROKEN);
    return token.kind != TOKEN_END || lx.in_doubt;
}

/* ---- together ------------------------------------------------------------------------------------ */

static void add_name(struct buf *sql, struct bytes name)
{
    buf_add_u8(sql, '`');
    for (size_t i = 0; i < name.len; i++) {
        if (name.data[i] == '`')
            buf_add_u8(sql, '`');
        buf_add_u8(sql, name.data[i]);
    }
    buf_add_u8(sql, '`');
}

static struct bytes in_one(struct arena *arena, const struct before *b)
{
    struct buf sql = { 0 };
    for (unsigned i = 0; i < b->n; i++) {
        if (b->parts[i].what == OWED_SCHEMA) {
            buf_add(&sql, BYTES_LITERAL("USE "));
            add_name(&sql, text_of(b, i));
        } else {
            buf_add(&sql, text_of(b, i));
        }
        buf_add_u8(&sql, ';');
    }
    struct bytes all = arena_copy(arena, buf_bytes(&sql));
    buf_release(&sql);
    return all;
}

/* By the command alone.  (What comes by no wire is not sent as it is.) */
static bool may_join(const struct session *s, const struct command *cmd)
{
    return cmd->code == COM_QUERY && cmd->whole && cmd->wire.len > 0 &&
           (cmd->st.effects & EFFECT_TRACKING) == 0 && (s->lease->caps & CAP_MULTI_STATEMENTS) != 0 &&
           (s->multi_statements || !has_tail(s, cmd));
}

bool before_join(struct before *b, struct session *s, struct command *cmd)
{
    struct backend *be = s->lease;
    size_t most = MIN(be->max_packet_bytes, FRAME_MAX);
    if (b->n == 0 || !may_join(s, cmd))
        return false;
    struct bytes joined = in_one(task_arena(s->task), b);
    if (cmd->wire.len + joined.len + PACKET_ROOM > most)
        return false;
    if (!be->multi_statements)
        write_option(be, true);
    for (unsigned i = 0; i < b->n; i++)
        owe(be, b->parts[i].what);
    be->n_joined = (uint8_t)b->n;
    be->joined_refused = false;
    cmd->joined = joined;
    cmd->server_seq = (uint8_t)(b->n + 1);
    forget(b);
    count(session_worker(s), restores_joined);
    return true;
}
