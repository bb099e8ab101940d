/*
 * counts.c - ROW_COUNT() and FOUND_ROWS() without the connection of the statement before; see
 * inside.h.
 *
 * What the server said with a response tells what they are (measured on both families):
 *
 *                   ROW_COUNT()     FOUND_ROWS()
 *   OK              its rows        stays, but DML and MySQL's DO may change it
 *   result set      -1              its rows, for what selects and SHOW; with a LIMIT, it depends
 *   error           -1              stays, or it depends
 *
 * Commands that are no statements leave FOUND_ROWS() as it is, and so does COM_STMT_PREPARE, even if
 * it fails.
 *
 * A SELECT of nothing else is answered from that.  In any other place they are for the connection.
 */
#include "session/inside.h"

#include "session/reader.h"

static void set_row_count(struct session *s, uint64_t rows)
{
    s->knows_row_count = rows <= INT32_MAX;
    s->row_count = (int32_t)rows;
}

static void set_no_count(struct session *s)
{
    s->knows_row_count = true;
    s->row_count = -1;
}

static void set_found_rows(struct session *s, uint64_t rows)
{
    s->has_found_rows = true;
    s->knows_found_rows = rows <= UINT32_MAX;
    s->found_rows = (uint32_t)rows;
}

/* Commands that may change FOUND_ROWS(). */
static bool is_statement(const struct command *cmd)
{
    return cmd->code == COM_QUERY || cmd->code == COM_STMT_EXECUTE || cmd->code == COM_INIT_DB ||
           cmd->code == COM_PING;
}

void counts_forget(struct session *s)
{
    s->knows_row_count = s->knows_found_rows = false;
    s->has_found_rows = true; /* as far as is known */
}

void counts_reset(struct session *s)
{
    set_row_count(s, 0);
    s->used_found_rows = false;
}

void counts_begin(struct session *s)
{
    counts_reset(s);
    set_found_rows(s, 0);
}

/* Whatever comes of it. */
static bool leaves_found_rows(const struct session *s, const struct command *cmd)
{
    enum verb v = cmd->st.verb;
    if (!is_statement(cmd) || cmd->code == COM_PING)
        return true;
    if ((cmd->st.effects & EFFECT_MULTI) != 0)
        return false;
    if (v == VERB_SET || (v == VERB_DO && s->mode.is_mariadb)) /* not SET @a = (SELECT ...) */
        return cmd->whole && !statement_uses_tables(command_statement_text(cmd), &s->mode, v);
    return v == VERB_USE || v == VERB_BEGIN || v == VERB_COMMIT || v == VERB_ROLLBACK ||
           v == VERB_SAVEPOINT || v == VERB_KILL || v == VERB_LOCK || v == VERB_ADMIN;
}

void counts_changed(struct session *s, const struct command *cmd, uint64_t affected)
{
    if (cmd->code == COM_STMT_PREPARE)
        return;
    if (cmd->code == COM_STMT_BULK_EXECUTE) { /* (what it does has not been measured) */
        counts_forget(s);
        return;
    }
    if (cmd->code == COM_SET_OPTION)
        set_no_count(s);
    else
        set_row_count(s, affected);
    s->knows_found_rows = s->knows_found_rows && leaves_found_rows(s, cmd);
}

/* SHOW COUNT(*) WARNINGS is a SELECT in disguise. */
static bool is_show_of_diagnostics(const struct session *s, const struct command *cmd)
{
    struct reader r;
    if ((cmd->st.effects & EFFECT_DIAGNOSTICS) == 0 || cmd->st.verb != VERB_SHOW)
        return false;
    reader_begin(&r, command_statement_text(cmd), &s->mode);
    return reader_pass(&r, "show") && !reader_at(&r, "count");
}

void counts_read(struct session *s, const struct command *cmd, uint64_t rows)
{
    const uint32_t otherwise =
        EFFECT_LIMIT | EFFECT_CALC_FOUND_ROWS | EFFECT_MULTI | EFFECT_PROCEDURE;
    enum verb v = cmd->st.verb;
    bool has_cursor = (s->status & STATUS_CURSOR_EXISTS) != 0;
    set_no_count(s);
    if (!is_statement(cmd) || is_show_of_diagnostics(s, cmd))
        return;
    if ((v == VERB_SELECT || v == VERB_SHOW) && (cmd->st.effects & otherwise) == 0 && !has_cursor &&
        !s->has_select_limit)
        set_found_rows(s, rows);
    else
        s->knows_found_rows = false;
    s->has_found_rows |= v == VERB_SELECT || v == VERB_SHOW;
}

/* Errors that come before a statement is run. */
static bool is_early(unsigned code)
{
    static const uint16_t early[] = { 1044, 1046, 1049, 1054, 1064, 1142, 1143, 1146, 1305 };
    for (size_t i = 0; i < ARRAY_LEN(early); i++)
        if (early[i] == code)
            return true;
    return false;
}

void counts_failed(struct session *s, const struct command *cmd, unsigned code)
{
    set_no_count(s);
    bool is_before = is_early(code) && (cmd->st.effects & EFFECT_MULTI) == 0;
    s->knows_found_rows = s->knows_found_rows && (is_before || leaves_found_rows(s, cmd));
}

bool counts_are_asked(const struct session *s, const struct command *cmd)
{
    struct reader r;
    if ((cmd->st.effects & EFFECT_COUNTS) == 0 || cmd->code == COM_STMT_PREPARE)
        return false;
    if ((cmd->st.effects & EFFECT_MULTI) == 0)
        return true;
    reader_begin(&r, command_statement_text(cmd), &s->mode);
    for (; r.token.kind != TOKEN_SEMICOLON && r.token.kind != TOKEN_END &&
           r.token.kind != TOKEN_BROKEN;
         reader_next(&r))
        if (reader_at(&r, "row_count") || reader_at(&r, "found_rows"))
            return true;
    return false;
}

void counts_spoiled(struct session *s)
{
    s->counts_lost = true;
    s->has_found_rows = false;
}

bool counts_are_there(const struct session *s, const struct command *cmd, struct fault *why)
{
    bool rows = (cmd->st.effects & EFFECT_USES_ROW_COUNT) != 0 && s->counts_lost;
    bool found = (cmd->st.effects & EFFECT_USES_FOUND_ROWS) != 0 && !s->has_found_rows;
    return (!rows && !found) || !counts_are_asked(s, cmd) || counts_are_gone(s, why);
}

bool counts_are_gone(const struct session *s, struct fault *why)
{
    habit_note(s, &s->home->shared->counts);
    return fault_set(
        why, BLAME_POLICY, ER_UNKNOWN_ERROR,
        "volvox: FOUND_ROWS() or ROW_COUNT() came when the connection of the statement "
        "before had been given to others; from now on sessions of this user keep theirs, "
        "so run both again");
}

/* ---- the answer ------------------------------------------------------------------------------ */

enum { ITEMS_MOST = 4, BINARY = 63 };

struct item {
    struct bytes name; /* of the column: the alias, or as it is written          */
    enum { ROW_COUNT, FOUND_ROWS, LAST_INSERT_ID } what;
};

/* [AS] word; a quoted alias is for the server to read. */
static bool read_alias(struct reader *r, struct item *i)
{
    bool is_said = reader_pass(r, "as");
    if (r->token.kind == TOKEN_WORD && !reader_at(r, "from") && !reader_at(r, "into")) {
        i->name = r->token.text;
        reader_next(r);
        return true;
    }
    return !is_said;
}

static bool read_item(struct reader *r, struct item *i)
{
    const uint8_t *from = r->token.text.data;
    if (reader_pass(r, "row_count"))
        i->what = ROW_COUNT;
    else if (reader_pass(r, "found_rows"))
        i->what = FOUND_ROWS;
    else if (reader_pass(r, "last_insert_id"))
        i->what = LAST_INSERT_ID;
    else
        return false;
    if (!reader_pass_punct(r, '(') || !reader_pass_punct(r, ')'))
        return false;
    i->name = bytes_of(from, (size_t)(r->end - from));
    return read_alias(r, i);
}

static unsigned read_items(struct bytes text, const struct lexer_mode *mode, struct item *items)
{
    struct reader r;
    unsigned n = 0;
    reader_begin(&r, text, mode);
    if (!reader_pass(&r, "select"))
        return 0;
    do {
        if (n == ITEMS_MOST || !read_item(&r, &items[n++]))
            return 0;
    } while (reader_pass_punct(&r, ','));
    return reader_at_end(&r) ? n : 0;
}

static bool is_known(const struct session *s, const struct item *i)
{
    switch (i->what) {
    case ROW_COUNT:
        return s->knows_row_count;
    case FOUND_ROWS:
        return s->knows_found_rows;
    case LAST_INSERT_ID:
        return !s->has_new_id;
    }
    return false;
}

static uint64_t value_of(const struct session *s, const struct item *i)
{
    return i->what == LAST_INSERT_ID ? s->insert_id
           : i->what == FOUND_ROWS   ? s->found_rows
                                     : (uint64_t)(int64_t)s->row_count;
}

static void write_text_row(struct buf *out, uint8_t *seq, const struct session *s,
                           const struct item *items, unsigned n)
{
    struct bytes values[ITEMS_MOST];
    char digits[ITEMS_MOST][24];
    for (unsigned i = 0; i < n; i++) {
        unsigned long long v = value_of(s, &items[i]);
        const char *format = items[i].what == LAST_INSERT_ID ? "%llu" : "%lld";
        values[i] = bytes_of(digits[i], (size_t)snprintf(digits[i], sizeof digits[i], format, v));
    }
    text_row_write(out, seq, values, n);
}

/* The first byte, the bitmap of NULLs, the values. */
static void write_binary_row(struct buf *out, uint8_t *seq, const struct session *s,
                             const struct item *items, unsigned n)
{
    struct buf row = { 0 };
    for (unsigned i = 0; i < 1 + (n + 2 + 7) / 8; i++)
        buf_add_u8(&row, 0);
    for (unsigned i = 0; i < n; i++)
        write_u64(&row, value_of(s, &items[i]));
    packet_write(out, seq, buf_bytes(&row));
    buf_release(&row);
}

/* MySQL warns of each FOUND_ROWS() (since 8.0.17), when it reads the text. */
static unsigned warnings_of(const struct session *s, const struct command *cmd, const struct item *items,
                            unsigned n)
{
    unsigned warnings = 0;
    if (cmd->stmt != NULL)
        return 0;
    for (unsigned i = 0; i < n; i++)
        warnings += !s->mode.is_mariadb && s->mode.version >= 80017 && items[i].what == FOUND_ROWS;
    return warnings;
}

bool counts_can_answer(const struct session *s, const struct command *cmd)
{
    struct item items[ITEMS_MOST];
    bool is_usual = cmd->whole && !s->has_select_limit;
    unsigned n = is_usual ? read_items(command_statement_text(cmd), &s->mode, items) : 0;
    for (unsigned i = 0; i < n; i++)
        if (!is_known(s, &items[i]))
            return false;
    return n > 0 && warnings_of(s, cmd, items, n) <= 1;
}

/* On MySQL the statement takes the place of the one before; on MariaDB, without a table, it does not. */
static void replace_diagnostics(struct session *s, unsigned warnings)
{
    if (s->mode.is_mariadb)
        return;
    note_warnings(s, warnings);
    s->used_found_rows = warnings > 0;
    diagnostics_forget(s);
    if ((s->pins & PIN_DIAGNOSTICS) != 0)
        session_pin(s, s->pins & ~PIN_DIAGNOSTICS);
    if (s->lease != NULL && s->pins == 0)
        let_go(s, PUT_CLEAN);
}

bool counts_answer(struct task *t, struct session *s, struct command *cmd, struct fault *why)
{
    struct item items[ITEMS_MOST];
    struct buf *out = &s->client.out;
    struct column c = { .charset = BINARY, .length = 21, .type = TYPE_LONGLONG };
    uint8_t seq = 1;
    unsigned n = read_items(command_statement_text(cmd), &s->mode, items);
    result_begin(s, &seq, n);
    for (unsigned i = 0; i < n; i++) {
        c.name = items[i].name;
        c.flags =
            FLAG_NOT_NULL | FLAG_BINARY | (items[i].what == LAST_INSERT_ID ? FLAG_UNSIGNED : 0);
        result_column(s, &seq, &c);
    }
    unsigned warnings = warnings_of(s, cmd, items, n);
    result_rows(s, &seq, (uint16_t)warnings);
    if (cmd->stmt != NULL)
        write_binary_row(out, &seq, s, items, n);
    else
        write_text_row(out, &seq, s, items, n);
    result_end(s, &seq, (uint16_t)warnings);
    replace_diagnostics(s, warnings);
    set_no_count(s);
    set_found_rows(s, 1);
    counts_spoiled(s); /* what a connection would say is about the one before */
    return stream_flush(t, &s->client, stall_deadline(t), why);
}
