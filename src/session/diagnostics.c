/*
 * diagnostics.c - the warnings and errors of a session's last statement, when its connection is
 * needed by others; see inside.h.
 *
 * They lie in the connection that ran the statement.  As long as nobody else needs that one, the
 * session keeps it, and the server answers.  When somebody does, they are read out first, with SHOW
 * WARNINGS and two SHOW COUNT(*) in one send (these leave FOUND_ROWS() and LAST_INSERT_ID() alone,
 * on both families), and from then on we answer: with the server's own definitions and rows.
 */
#include "session/inside.h"

#include "base/mem.h"
#include "session/reader.h"

/* max_error_count is 64 (MariaDB) or 1024 (MySQL) by default. */
enum { MOST_ROWS = 1024, COLUMNS = 3 };
/* Longer texts are no MESSAGE_TEXT. */
enum { MESSAGE_MOST = 128 };

struct diagnostics {
    struct bytes columns[COLUMNS]; /* definitions, as the server sent them                  */
    struct bytes count_column;     /* of SHOW COUNT(*) WARNINGS                             */
    unsigned n_rows;
    struct bytes *rows;
    uint64_t warnings, errors; /* how many there were; rows may be fewer                */
    uint16_t told;             /* the warning count at the end of SHOW WARNINGS         */
    struct state *asked_in;    /* counted: the texts are in its character set            */
    uint64_t caps;             /* of the definitions                                     */
    uint8_t *mem;              /* what the views lie in                                 */
};

static void release(struct diagnostics *d)
{
    state_drop(d->asked_in);
    mem_free(d->rows);
    mem_free(d->mem);
    mem_free(d);
}

void diagnostics_forget(struct session *s)
{
    if (s->more == NULL)
        return;
    mem_free(s->more->told);
    s->more->told = NULL;
    s->more->diagnostics_in_doubt = false;
    if (s->more->diagnostics != NULL)
        release(s->more->diagnostics);
    s->more->diagnostics = NULL;
}

void diagnostics_doubt(struct session *s)
{
    session_more(s)->diagnostics_in_doubt = true;
}

/* ---- taking them along ----------------------------------------------------------------------- */

static struct bytes keep(uint8_t **at, struct bytes b)
{
    struct bytes kept = bytes_of(*at, b.len);
    memcpy(*at, b.data, b.len);
    *at += b.len;
    return kept;
}

static struct diagnostics *copy(const struct result_set *shown, const struct result_set *counted)
{
    size_t size = counted->columns[0].len + 1;
    for (unsigned i = 0; i < COLUMNS; i++)
        size += shown->columns[i].len;
    for (unsigned i = 0; i < shown->n_rows; i++)
        size += shown->rows[i].len;
    struct diagnostics *d = mem_zalloc(sizeof *d);
    uint8_t *at = d->mem = mem_alloc(size);
    for (unsigned i = 0; i < COLUMNS; i++)
        d->columns[i] = keep(&at, shown->columns[i]);
    d->count_column = keep(&at, counted->columns[0]);
    d->n_rows = shown->n_rows;
    d->rows = mem_alloc((d->n_rows + 1) * sizeof *d->rows);
    for (unsigned i = 0; i < d->n_rows; i++)
        d->rows[i] = keep(&at, shown->rows[i]);
    d->told = shown->warnings;
    return d;
}

static bool number_of(const struct result_set *counted, uint64_t *out)
{
    struct bytes value;
    struct fault why;
    return counted->n_columns == 1 && counted->n_rows == 1 &&
           text_row_read(counted->rows[0], &value, 1, &why) && str_to_u64(value, out);
}

static bool has_definitions(const struct result_set *r, unsigned n, uint64_t caps)
{
    struct column c;
    struct fault why;
    for (unsigned i = 0; i < r->n_columns; i++)
        if (!column_read(r->columns[i], caps, &c, &why))
            return false;
    return r->n_columns == n;
}

bool diagnostics_take(struct task *t, struct session *s, struct fault *why)
{
    struct backend *be = s->lease;
    double deadline = stall_deadline(t);
    struct result_set shown, warnings, errors;
    uint64_t n_warnings, n_errors;
    struct fault ignored;
    backend_write(be, COM_QUERY, BYTES_LITERAL("SHOW WARNINGS"));
    backend_write(be, COM_QUERY, BYTES_LITERAL("SHOW COUNT(*) WARNINGS"));
    backend_write(be, COM_QUERY, BYTES_LITERAL("SHOW COUNT(*) ERRORS"));
    if (!stream_flush(t, &be->stream, deadline, why))
        return false;
    bool taken = backend_read_result(t, be, MOST_ROWS, deadline, &shown, why);
    if (!taken && why->blame != BLAME_OURS)
        return false;
    if (!backend_read_result(t, be, 1, deadline, &warnings, taken ? why : &ignored) ||
        !backend_read_result(t, be, 1, deadline, &errors, taken ? why : &ignored)) {
        why->blame = BLAME_SERVER;
        return false;
    }
    if (!taken)
        return false;
    if (shown.columns == NULL && shown.n_columns == COLUMNS)
        return fault_set(why, BLAME_OURS, ER_UNKNOWN_ERROR,
                         "volvox: warnings come without definitions, as the session set it");
    if (!has_definitions(&shown, COLUMNS, be->caps) || !has_definitions(&warnings, 1, be->caps) ||
        !number_of(&warnings, &n_warnings) || !number_of(&errors, &n_errors))
        return fault_set(why, BLAME_SERVER, CR_SERVER_LOST,
                         "volvox: server %s shows its warnings in a way that makes no sense",
                         be->server->name);
    diagnostics_forget(s);
    struct diagnostics *d = session_more(s)->diagnostics = copy(&shown, &warnings);
    d->caps = be->caps;
    d->asked_in = state_take(s->state);
    d->warnings = n_warnings;
    d->errors = n_errors;
    return true;
}

/* ---- more of them ---------------------------------------------------------------------------- */

static bool same_charset(const struct state *a, const struct state *b)
{
    struct bytes name = BYTES_LITERAL("character_set_results");
    return bytes_equal(state_value(a, name), state_value(b, name));
}

/* As many as the session has servers keep. */
static uint64_t most_rows(const struct session *s)
{
    struct bytes value = state_value(s->state, BYTES_LITERAL("max_error_count"));
    uint64_t most;
    return value.data != NULL && str_to_u64(value, &most) ? MIN(most, (uint64_t)MOST_ROWS)
                                                          : MOST_ROWS;
}

/* Behind what was taken. */
static void add_rows(struct session *s, const struct bytes *rows, size_t n)
{
    struct diagnostics *before = s->more->diagnostics;
    size_t room = most_rows(s);
    struct result_set shown = { .columns = before->columns, .warnings = before->told };
    struct result_set counted = { .columns = &before->count_column };
    shown.rows = mem_alloc((before->n_rows + n + 1) * sizeof *rows);
    for (size_t i = 0; i < before->n_rows; i++)
        shown.rows[shown.n_rows++] = before->rows[i];
    for (size_t i = 0; i < n && shown.n_rows < room; i++)
        shown.rows[shown.n_rows++] = rows[i];
    struct diagnostics *after = copy(&shown, &counted);
    after->warnings = before->warnings;
    after->errors = before->errors;
    after->asked_in = state_take(before->asked_in);
    after->caps = before->caps;
    mem_free(shown.rows);
    release(before);
    s->more->diagnostics = after;
}

bool diagnostics_take_more(struct task *t, struct session *s, struct fault *why)
{
    struct diagnostics *before = s->more->diagnostics;
    s->more->diagnostics = NULL;
    bool taken = diagnostics_take(t, s, why);
    struct diagnostics *added = s->more->diagnostics;
    s->more->diagnostics = before;
    if (!taken)
        return false;
    if (!same_charset(before->asked_in, added->asked_in))
        diagnostics_doubt(s);
    add_rows(s, added->rows, added->n_rows);
    s->more->diagnostics->warnings += added->warnings;
    s->more->diagnostics->errors += added->errors;
    release(added);
    return true;
}

/* ---- errors of ours -----------------------------------------------------------------------------
 */

void diagnostics_tell(struct session *s, const struct fault *why)
{
    diagnostics_forget(s);
    struct fault *told = session_more(s)->told = mem_alloc(sizeof *told);
    *told = *why;
    note_warnings(s, 1);
    if ((s->pins & PIN_DIAGNOSTICS) == 0)
        return;
    session_pin(s, s->pins & ~PIN_DIAGNOSTICS);
    if (s->lease != NULL && s->pins == 0)
        let_go(s, PUT_CLEAN);
}

/* Its server's own way to say it would be in the character set of the results. */
static void add_told(struct session *s, const struct fault *why)
{
    char code[16];
    struct buf row = { 0 };
    uint8_t seq = 0;
    snprintf(code, sizeof code, "%u", why->code != 0 ? why->code : (unsigned)ER_UNKNOWN_ERROR);
    const struct bytes values[COLUMNS] = { BYTES_LITERAL("Error"), bytes_str(code),
                                           bytes_str(why->text) };
    text_row_write(&row, &seq, values, COLUMNS);
    struct bytes payload = bytes_skip(buf_bytes(&row), FRAME_HEADER);
    if (charset_width(state_value(s->state, BYTES_LITERAL("character_set_results"))) > 1)
        diagnostics_doubt(s);
    add_rows(s, &payload, 1);
    s->more->diagnostics->warnings++;
    s->more->diagnostics->errors++;
    buf_release(&row);
}

/* False: they are lost. */
static bool take_those_before(struct task *t, struct session *s)
{
    struct fault ignored = { .blame = BLAME_OURS };
    bool taken = s->lease->sandbox != SANDBOX_IN && diagnostics_take(t, s, &ignored);
    session_pin(s, s->pins & ~PIN_DIAGNOSTICS);
    if (!taken && ignored.blame != BLAME_OURS) {
        let_go(s, PUT_CLOSE); /* what else was there is lost: the next command finds out */
        return false;
    }
    if (s->pins == 0)
        let_go(s, PUT_CLEAN);
    return taken;
}

void diagnostics_tell_more(struct task *t, struct session *s, const struct command *cmd,
                           const struct fault *why)
{
    bool counts_anew =
        cmd->code == COM_STMT_EXECUTE || cmd->code == COM_STMT_FETCH || cmd->code == COM_STMT_RESET;
    unsigned n = (counts_anew ? 0 : diagnostics_count(s)) + 1;
    bool has_any = diagnostics_were_taken(s);
    bool is_lost = diagnostics_were_told(s) || s->used_found_rows;
    if (s->lease != NULL && (s->pins & PIN_DIAGNOSTICS) != 0) {
        has_any = take_those_before(t, s);
        is_lost = !has_any;
    }
    if (has_any)
        add_told(s, why);
    else if (is_lost)
        diagnostics_doubt(s);
    else
        diagnostics_tell(s, why);
    note_warnings(s, n);
}

static const char mark[] = "Volvox asks whether errors are kept?";

void diagnostics_mark(struct session *s, struct backend *be)
{
    char sql[sizeof mark + 64];
    int n = snprintf(sql, sizeof sql, "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT='%s'", mark);
    backend_write(be, COM_QUERY, bytes_of(sql, (size_t)n));
    s->more->has_mark = true;
}

static bool is_mark(const struct diagnostics *d)
{
    struct bytes values[COLUMNS];
    struct fault why;
    return d->warnings == 1 &&
           (d->n_rows == 0 || (text_row_read(d->rows[0], values, COLUMNS, &why) &&
                               memmem(values[2].data, values[2].len, "kept?", 5) != NULL));
}

bool diagnostics_see_mark(struct task *t, struct session *s, struct fault *why)
{
    struct diagnostics *before = s->more->diagnostics;
    s->more->diagnostics = NULL;
    bool seen = diagnostics_take(t, s, why);
    struct diagnostics *now = s->more->diagnostics;
    if (!seen || is_mark(now)) {
        s->more->diagnostics = before;
        if (now != NULL)
            release(now);
        return seen;
    }
    release(before);
    if (now->warnings == 0)
        diagnostics_forget(s);
    return true;
}

uint16_t diagnostics_count(const struct session *s)
{
    return s->more == NULL || s->mode.is_mariadb ? 0 : s->more->n_warnings;
}

bool diagnostics_were_taken(const struct session *s)
{
    return s->more != NULL && s->more->diagnostics != NULL;
}

bool diagnostics_are_in_doubt(const struct session *s)
{
    return s->more != NULL && s->more->diagnostics_in_doubt;
}

bool diagnostics_were_told(const struct session *s)
{
    return s->more != NULL && s->more->told != NULL;
}

void diagnostics_signal(struct session *s, struct backend *be)
{
    const struct fault *told = s->more->told;
    struct bytes text = bytes_str(told->text);
    char hex[2 * MESSAGE_MOST + 1] = "", sql[sizeof hex + 128];
    unsigned code = told->code != 0 ? told->code : ER_UNKNOWN_ERROR;
    for (size_t i = 0; i < MIN(text.len, (size_t)MESSAGE_MOST); i++)
        snprintf(hex + 2 * i, 3, "%02x", text.data[i]);
    int n = snprintf(sql, sizeof sql, "SIGNAL SQLSTATE '%s' SET MYSQL_ERRNO=%u,MESSAGE_TEXT=_latin1 x'%s'",
                     told->sqlstate[0] != '\0' ? told->sqlstate : sqlstate_of(code), code, hex);
    backend_write(be, COM_QUERY, bytes_of(sql, (size_t)n));
    diagnostics_forget(s);
    session_pin(s, s->pins | PIN_DIAGNOSTICS);
}

bool diagnostics_are_here(const struct session *s, const struct command *cmd, struct fault *why)
{
    bool is_known = !diagnostics_were_taken(s) && !diagnostics_are_in_doubt(s);
    if (!diagnostics_are_asked(cmd) || is_known)
        return true;
    return fault_set(
        why, BLAME_POLICY, ER_UNKNOWN_ERROR,
        "volvox: the connection that had the diagnostics was needed by others; SHOW WARNINGS, "
        "SHOW ERRORS, @@warning_count and @@error_count alone can still be asked for");
}

/* ---- what is asked ------------------------------------------------------------------------------
 */

struct question {
    bool counts;      /* how many, else which                                   */
    bool errors_only; /* of the last one asked for                              */
    uint64_t skip, most;
    unsigned n_items; /* of SELECT                                              */
    struct {
        bool errors;
        struct bytes name;
    } items[4];
};

/* WARNINGS or ERRORS. */
static bool read_which(struct reader *r, bool *errors)
{
    *errors = reader_at(r, "ERRORS");
    return reader_pass(r, "ERRORS") || reader_pass(r, "WARNINGS");
}

/* [LIMIT n], [LIMIT skip, n], [LIMIT n OFFSET skip] */
static bool read_limit(struct reader *r, struct question *q)
{
    if (!reader_pass(r, "LIMIT"))
        return true;
    if (!reader_pass_number(r, &q->most))
        return false;
    if (reader_pass_punct(r, ',')) {
        q->skip = q->most;
        return reader_pass_number(r, &q->most);
    }
    return !reader_pass(r, "OFFSET") || reader_pass_number(r, &q->skip);
}

/* SHOW [COUNT(*)] WARNINGS | ERRORS */
static bool read_show(struct reader *r, struct question *q)
{
    q->counts = reader_pass(r, "COUNT");
    if (q->counts &&
        !(reader_pass_punct(r, '(') && reader_pass_punct(r, '*') && reader_pass_punct(r, ')')))
        return false;
    if (!read_which(r, &q->errors_only))
        return false;
    if (q->counts) {
        q->n_items = 1;
        q->items[0].errors = q->errors_only;
        q->items[0].name = q->errors_only ? BYTES_LITERAL("@@session.error_count")
                                          : BYTES_LITERAL("@@session.warning_count");
        return true;
    }
    return read_limit(r, q);
}

static bool is_variable(struct bytes name, const char *wanted)
{
    static const char *const scopes[] = { "session.", "local." };
    for (size_t i = 0; i < ARRAY_LEN(scopes); i++) {
        size_t n = strlen(scopes[i]);
        if (name.len > n && bytes_equal_nocase(bytes_of(name.data, n), bytes_str(scopes[i])))
            name = bytes_skip(name, n);
    }
    return bytes_equal_nocase(name, bytes_str(wanted));
}

/* SELECT @@warning_count, @@session.error_count */
static bool read_select(struct reader *r, struct question *q)
{
    q->counts = true;
    do {
        if (r->token.kind != TOKEN_SYSTEM_VAR || q->n_items == ARRAY_LEN(q->items))
            return false;
        struct bytes name = r->token.text;
        bool errors = is_variable(name, "error_count");
        if (!errors && !is_variable(name, "warning_count"))
            return false;
        q->items[q->n_items].errors = errors;
        q->items[q->n_items++].name = bytes_of(name.data - 2, name.len + 2);
        reader_next(r);
    } while (reader_pass_punct(r, ','));
    return true;
}

static bool read_question(struct bytes text, const struct lexer_mode *mode, struct question *q)
{
    struct reader r;
    *q = (struct question){ .most = UINT64_MAX };
    reader_begin(&r, text, mode);
    bool understood = reader_pass(&r, "SHOW") ? read_show(&r, q)
                                              : reader_pass(&r, "SELECT") && read_select(&r, q);
    return understood && reader_at_end(&r);
}

/* ---- the answer ------------------------------------------------------------------------------ */

static void write_rows(struct session *s, const struct diagnostics *d, const struct question *q,
                       uint8_t *seq)
{
    uint64_t skip = q->skip, most = q->most;
    for (unsigned i = 0; i < d->n_rows && most > 0; i++) {
        struct bytes values[COLUMNS];
        struct fault why;
        bool shown = text_row_read(d->rows[i], values, COLUMNS, &why) &&
                     (!q->errors_only || bytes_equal(values[0], BYTES_LITERAL("Error")));
        if (!shown)
            continue;
        if (skip > 0) {
            skip--;
            continue;
        }
        packet_write(&s->client.out, seq, d->rows[i]);
        most--;
    }
}

static bool write_which(struct session *s, const struct diagnostics *d, const struct question *q,
                        uint8_t *seq, struct fault *why)
{
    struct column c;
    result_begin(s, seq, COLUMNS);
    for (unsigned i = 0; i < COLUMNS; i++) {
        if (!column_read(d->columns[i], d->caps, &c, why))
            return false;
        result_column(s, seq, &c);
    }
    result_rows(s, seq, d->told);
    write_rows(s, d, q, seq);
    return true;
}

static bool write_counts(struct session *s, const struct diagnostics *d, const struct question *q,
                         uint8_t *seq, struct fault *why)
{
    struct bytes values[ARRAY_LEN(q->items)];
    char digits[ARRAY_LEN(q->items)][24];
    struct column c;
    if (!column_read(d->count_column, d->caps, &c, why))
        return false;
    result_begin(s, seq, q->n_items);
    for (unsigned i = 0; i < q->n_items; i++) {
        uint64_t n = q->items[i].errors ? d->errors : d->warnings;
        c.name = q->items[i].name;
        result_column(s, seq, &c);
        snprintf(digits[i], sizeof digits[i], "%llu", (unsigned long long)n);
        values[i] = bytes_str(digits[i]);
    }
    result_rows(s, seq, 0);
    text_row_write(&s->client.out, seq, values, q->n_items);
    return true;
}

/* MySQL counts as without any from here on; what a SELECT asks about, it replaces. */
static void count_answer(struct session *s, const struct command *cmd)
{
    note_warnings(s, 0);
    if (!s->mode.is_mariadb && cmd->st.verb == VERB_SELECT)
        diagnostics_forget(s);
}

bool diagnostics_answer(struct task *t, struct session *s, struct command *cmd, struct fault *why)
{
    const struct diagnostics *d = s->more->diagnostics;
    struct question q;
    uint8_t seq = 1;
    if (s->more->diagnostics_in_doubt || !same_charset(s->state, d->asked_in) ||
        !read_question(command_text(cmd), &s->mode, &q))
        return diagnostics_are_here(s, cmd, why);
    if (!(q.counts ? write_counts(s, d, &q, &seq, why) : write_which(s, d, &q, &seq, why)))
        return false;
    result_end(s, &seq, q.counts ? 0 : d->told);
    counts_read(s, cmd, 1);
    count_answer(s, cmd);
    return stream_flush(t, &s->client, stall_deadline(t), why);
}
