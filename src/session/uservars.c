/*
 * uservars.c - @user variables: noted when set, looked up when the session leaves its connection,
 * put back like other state; see inside.h.
 *
 * Servers report that something was set, not what.  A statement that may set variables makes those
 * that it mentions unknown (STATE_UNKNOWN in the sets of session and backend), which ties the
 * session to its connection.  When it is to leave, their types and values are asked, in one send,
 * and become literals that give the same value, type, character set and collation back (measured on
 * both families):
 *
 *   integer            5, cast(5 as unsigned)
 *   decimal            1.50, cast(5 as decimal(1,0))
 *   double             1.5e0 (servers print the shortest text that reads back the same)
 *   string             _latin1 x'616263' collate latin1_bin
 *   NULL               one of those, then NULL: a variable keeps the type it had
 */
#include "session/inside.h"

#include "base/str.h"

enum { VARS_MOST = 32, NAME_MOST = 64, VALUE_MOST = 1024, DIGITS_MOST = 66 };

/* ---- noting -------------------------------------------------------------------------------------
 */

/* As a key of the set: "@name" in small letters.  False for names that we would have to quote or
 * fold by the rules of a character set. */
static bool fold_name(struct bytes name, char out[NAME_MOST + 2])
{
    if (name.len == 0 || name.len > NAME_MOST)
        return false;
    out[0] = '@';
    for (size_t i = 0; i < name.len; i++) {
        if (name.data[i] < ' ' || name.data[i] >= 0x7F || strchr("`'\"\\", name.data[i]) != NULL)
            return false;
        out[i + 1] = (char)ascii_lower(name.data[i]);
    }
    out[name.len + 1] = '\0';
    return true;
}

static unsigned count_vars(const struct state *s)
{
    unsigned n = 0;
    while (n < s->n_vars && s->vars[n].name.data[0] == '@')
        n++;
    return n;
}

static bool note_names(struct session *s, const struct bytes *names, unsigned n)
{
    struct state_var changes[VARS_MOST];
    char folded[VARS_MOST][NAME_MOST + 2]; /* 2 KiB */
    for (unsigned i = 0; i < n; i++) {
        if (!fold_name(names[i], folded[i]))
            return false;
        changes[i] = (struct state_var){ bytes_str(folded[i]), STATE_UNKNOWN };
    }
    struct state *after = state_changed(s->state, NULL, changes, n);
    bool few = count_vars(after) <= VARS_MOST;
    if (few) {
        session_set_state(s, after);
        backend_set_state(s->lease, s->state);
    } else {
        state_drop(after);
    }
    return few;
}

void user_vars_note(struct session *s, const struct command *cmd)
{
    struct bytes names[VARS_MOST];
    struct bytes text = command_statement_text(cmd);
    unsigned n = cmd->whole ? statement_user_vars(text, &s->mode, names, VARS_MOST) : VARS_MOST + 1;
    if (n <= VARS_MOST && note_names(s, names, n))
        session_pin(s, s->pins | PIN_USER_VAR);
    else
        session_pin(s, s->pins | PIN_USER_VAR_HELD);
}

bool user_vars_go(const struct state *from, const struct state *to)
{
    for (unsigned i = 0, n = count_vars(from); i < n; i++)
        if (state_value(to, from->vars[i].name).data == NULL)
            return true;
    return false;
}

bool user_vars_are_others(const struct session *s, const struct command *cmd)
{
    struct bytes names[VARS_MOST], text = command_statement_text(cmd);
    const struct state *there = s->lease->state;
    if ((count_vars(there) == 0 && !s->lease->had_user_vars) || text.len == 0 ||
        memchr(text.data, '@', text.len) == NULL)
        return false;
    unsigned n = statement_user_vars(text, &s->mode, names, VARS_MOST);
    for (unsigned i = 0; i < MIN(n, (unsigned)VARS_MOST); i++) {
        char folded[NAME_MOST + 2];
        bool is_there = s->lease->had_user_vars || !fold_name(names[i], folded) ||
                        state_value(there, bytes_str(folded)).data != NULL;
        if (is_there &&
            (!fold_name(names[i], folded) || state_value(s->state, bytes_str(folded)).data == NULL))
            return true;
    }
    return n > VARS_MOST;
}

/* ---- looking up ------------------------------------------------------------------------------ */

struct lookup {
    unsigned n;
    struct bytes names[VARS_MOST]; /* with the @                                            */
};

static void list_unknown(const struct state *s, struct lookup *l)
{
    l->n = 0;
    for (unsigned i = 0; i < s->n_vars && l->n < VARS_MOST; i++)
        if (s->vars[i].name.data[0] == '@' && bytes_equal(s->vars[i].value, STATE_UNKNOWN))
            l->names[l->n++] = s->vars[i].name;
}

static void add_quoted(struct buf *sql, struct bytes name)
{
    buf_add(sql, BYTES_LITERAL("@`"));
    buf_add(sql, bytes_skip(name, 1));
    buf_add_u8(sql, '`');
}

/* Values of any length may lie there: only so much of them is asked for. */
static void write_questions(struct backend *be, const struct lookup *l)
{
    struct buf types = { 0 }, values = { 0 };
    for (unsigned i = 0; i < l->n; i++) {
        buf_add(&types, i == 0 ? BYTES_LITERAL("SELECT ") : BYTES_LITERAL(","));
        add_quoted(&types, l->names[i]);
        buf_add(&values, i == 0 ? BYTES_LITERAL("SELECT LEFT(") : BYTES_LITERAL(",LEFT("));
        add_quoted(&values, l->names[i]);
        buf_add(&values, BYTES_LITERAL(",67),HEX(LEFT(CAST("));
        add_quoted(&values, l->names[i]);
        buf_add(&values, BYTES_LITERAL(" AS BINARY),1025)),CHARSET("));
        add_quoted(&values, l->names[i]);
        buf_add(&values, BYTES_LITERAL("),COLLATION("));
        add_quoted(&values, l->names[i]);
        buf_add_u8(&values, ')');
    }
    buf_add(&types, BYTES_LITERAL(" LIMIT 0"));
    backend_write(be, COM_QUERY, buf_bytes(&types));
    backend_write(be, COM_QUERY, buf_bytes(&values));
    buf_release(&types);
    buf_release(&values);
}

/* What came of one variable. */
struct found {
    struct column type;
    struct bytes digits, hex, charset, collation;
};
enum { ASKED_EACH = 4 };

static bool has_point(struct bytes digits)
{
    return memchr(digits.data, '.', digits.len) != NULL;
}

static const char *write_number(const struct found *f, struct arena *a)
{
    struct bytes d = f->digits;
    if (d.len > DIGITS_MOST)
        return NULL;
    if (f->type.type == TYPE_DOUBLE)
        return arena_printf(a, "%.*s%s", BYTES_FMT(d),
                            memchr(d.data, 'e', d.len) != NULL ? "" : "e0");
    if (f->type.type == TYPE_NEWDECIMAL && !has_point(d))
        return arena_printf(a, "cast(%.*s as decimal(%zu,0))", BYTES_FMT(d),
                            d.len - (d.data[0] == '-'));
    if (f->type.type == TYPE_LONGLONG && (f->type.flags & FLAG_UNSIGNED) != 0)
        return arena_printf(a, "cast(%.*s as unsigned)", BYTES_FMT(d));
    return arena_printf(a, "%.*s", BYTES_FMT(d));
}

static bool is_number(const struct found *f)
{
    return f->type.type == TYPE_LONGLONG || f->type.type == TYPE_DOUBLE ||
           f->type.type == TYPE_NEWDECIMAL;
}

static const char *write_string(const struct found *f, struct arena *a)
{
    if (f->hex.len > 2 * (size_t)VALUE_MOST)
        return NULL;
    if (bytes_equal(f->charset, BYTES_LITERAL("binary")))
        return arena_printf(a, "_binary x'%.*s'", BYTES_FMT(f->hex));
    return arena_printf(a, "_%.*s x'%.*s' collate %.*s", BYTES_FMT(f->charset), BYTES_FMT(f->hex),
                        BYTES_FMT(f->collation));
}

/* What to write behind "SET @name=", or NULL: too large. */
static const char *write_literal(struct found *f, struct bytes name, struct arena *a)
{
    bool is_null = f->digits.data == NULL;
    if (is_null) {
        f->digits = BYTES_LITERAL("0");
        f->hex = BYTES_NONE;
    }
    const char *value = is_number(f) ? write_number(f, a) : write_string(f, a);
    if (!is_null || value == NULL)
        return value;
    return arena_printf(a, "%s,@`%.*s`=NULL", value, (int)name.len - 1,
                        (const char *)name.data + 1);
}

static bool read_found(const struct result_set *types, uint64_t caps, const struct bytes *values,
                       unsigned i, struct found *out)
{
    struct fault why;
    *out = (struct found){ .digits = values[ASKED_EACH * i],
                           .hex = values[ASKED_EACH * i + 1],
                           .charset = values[ASKED_EACH * i + 2],
                           .collation = values[ASKED_EACH * i + 3] };
    return column_read(types->columns[i], caps, &out->type, &why) && out->charset.data != NULL &&
           out->collation.data != NULL;
}

/* False: a value is not one that we can write. */
static bool adopt(struct task *t, struct session *s, const struct lookup *l,
                  const struct result_set *types, const struct bytes *values)
{
    struct state_var changes[VARS_MOST];
    for (unsigned i = 0; i < l->n; i++) {
        struct found f;
        const char *literal = read_found(types, s->lease->caps, values, i, &f)
                                  ? write_literal(&f, l->names[i], task_arena(t))
                                  : NULL;
        if (literal == NULL)
            return false;
        changes[i] = (struct state_var){ l->names[i], bytes_str(literal) };
    }
    /* (not the same where a SET autocommit=0 has been put off) */
    struct state *there = state_changed(s->lease->state, NULL, changes, l->n);
    session_set_state(s, state_changed(s->state, NULL, changes, l->n));
    backend_set_state(s->lease, there);
    state_drop(there);
    return true;
}

bool user_vars_take(struct task *t, struct session *s, struct fault *why)
{
    struct backend *be = s->lease;
    struct lookup *l = arena_alloc(task_arena(t), sizeof *l);
    struct result_set types, values;
    double deadline = stall_deadline(t);
    list_unknown(s->state, l);
    if (l->n > 0) {
        struct bytes *row = arena_alloc(task_arena(t), ASKED_EACH * VARS_MOST * sizeof *row);
        write_questions(be, l);
        if (!stream_flush(t, &be->stream, deadline, why) ||
            !backend_read_result(t, be, 0, deadline, &types, why) ||
            !backend_read_result(t, be, 1, deadline, &values, why)) {
            why->blame = BLAME_SERVER;
            return false;
        }
        if (types.columns == NULL || types.n_columns != l->n || values.n_rows != 1 ||
            !text_row_read(values.rows[0], row, ASKED_EACH * l->n, why) ||
            !adopt(t, s, l, &types, row)) {
            session_pin(s, (s->pins & ~PIN_USER_VAR) | PIN_USER_VAR_HELD);
            return fault_set(why, BLAME_OURS, ER_UNKNOWN_ERROR,
                             "volvox: a user variable has a value that can't be taken along");
        }
    }
    session_pin(s, s->pins & ~PIN_USER_VAR);
    return true;
}
