/*
 * stmts.c - the client's prepared statements; see inside.h.
 *
 * A client's ids are the session's own.  On a backend a statement is known by its text and the
 * state it was prepared in; it is prepared there when it is first executed there, so a session
 * with statements need not stay where it prepared them.  Open cursors and long data live in one
 * backend's statement and pin the session to it.
 */
#include "session/inside.h"

#include "base/mem.h"

struct session_more *session_more(struct session *s)
{
    if (s->more == NULL)
        s->more = mem_zalloc(sizeof *s->more);
    return s->more;
}

static struct stmt *find_stmt(const struct session *s, uint32_t id)
{
    if (s->more == NULL)
        return NULL;
    if (id == 0xFFFFFFFF && s->mode.is_mariadb)
        id = s->more->last_prepared;
    return map_get(&s->more->statements, bytes_of(&id, sizeof id));
}

/* ---- cursors and long data ------------------------------------------------------------------ */

static bool is_open(const struct stmt *st)
{
    return st->has_cursor || st->has_long_data || st->is_only_here;
}

/* Tell the backend's statement, if it is there, whether it may be closed for want of room. */
static void mark_open(struct session *s, const struct stmt *st)
{
    struct backend_stmt *bs = s->lease != NULL ? backend_stmt_find(s->lease, st->text) : NULL;
    if (bs != NULL)
        bs->is_open = is_open(st);
}

static void set_cursor(struct session *s, struct stmt *st, bool open)
{
    if (st->has_cursor == open)
        return;
    st->has_cursor = open;
    mark_open(s, st);
    s->more->n_cursors += open ? 1 : -1u;
    session_pin(s, s->more->n_cursors > 0 ? s->pins | PIN_CURSOR : s->pins & ~PIN_CURSOR);
}

static void set_long_data(struct session *s, struct stmt *st, bool pending)
{
    if (st->has_long_data == pending)
        return;
    st->has_long_data = pending;
    mark_open(s, st);
    s->more->n_long_data += pending ? 1 : -1u;
    session_pin(s, s->more->n_long_data > 0 ? s->pins | PIN_LONG_DATA : s->pins & ~PIN_LONG_DATA);
}

void stmt_failed(struct session *s, const struct command *cmd, unsigned error)
{
    /* If that was about long data, the server's statement goes on failing until it is reset,
     * whoever executes it.  (After too large a packet the server closes, and nothing is left.) */
    bool keeps =
        cmd->code != COM_STMT_RESET && cmd->stmt->has_long_data && error != ER_PACKET_TOO_LARGE;
    stmt_executed(s, cmd, 0);
    set_long_data(s, cmd->stmt, keeps);
}

void stmt_executed(struct session *s, const struct command *cmd, uint16_t status)
{
    struct stmt *st = cmd->stmt;
    switch (cmd->code) {
    case COM_STMT_EXECUTE:
    case COM_STMT_BULK_EXECUTE:
        set_long_data(s, st, false);
        set_cursor(s, st, (status & STATUS_CURSOR_EXISTS) != 0);
        break;
    case COM_STMT_FETCH:
        if ((status & STATUS_LAST_ROW_SENT) != 0)
            set_cursor(s, st, false);
        break;
    case COM_STMT_RESET:
        set_long_data(s, st, false);
        set_cursor(s, st, false);
        break;
    default:
        break;
    }
}

/* Servers say so with the first execution after a change, on the connection that they found out on. */
uint16_t stmt_metadata_flag(const struct command *cmd, uint32_t columns)
{
    const struct stmt *st = cmd->stmt;
    bool has_columns = st != NULL && cmd->code == COM_STMT_EXECUTE && st->columns > 0 && columns > 0;
    return has_columns && st->columns != columns ? STATUS_METADATA_CHANGED : 0;
}

void stmt_long_data_failed(struct command *cmd, const struct fault *why)
{
    cmd->stmt->long_data_fault = *why;
    cmd->stmt->long_data_fault.blame = BLAME_POLICY; /* not of what EXECUTE finds leased */
}

/* ---- life ----------------------------------------------------------------------------------------- */

static void free_stmt(struct stmt *st)
{
    stmt_text_drop(st->text);
    definitions_drop(st->definitions);
    mem_free(st->hint_server);
    mem_free(st->types);
    mem_free(st);
}

static void close_stmt(struct session *s, struct stmt *st)
{
    if (is_open(st) && s->lease != NULL) {
        struct backend_stmt *bs = backend_stmt_find(s->lease, st->text);
        if (bs != NULL)
            backend_stmt_close(s->lease, bs);
    }
    set_cursor(s, st, false);
    set_long_data(s, st, false);
    if (s->more->last_prepared == st->id)
        s->more->last_prepared = 0;
    map_remove(&s->more->statements, bytes_of(&st->id, sizeof st->id));
    free_stmt(st);
}

void statements_forget(struct session *s)
{
    if (s->more == NULL)
        return;
    uint32_t at = 0;
    for (struct stmt *st; (st = map_next(&s->more->statements, &at)) != NULL;)
        free_stmt(st);
    map_release(&s->more->statements);
    must(!ev_is_active(&s->more->wait));
    tracking_drop(s->more->tracking);
    untold_free(s->more->untold);
    diagnostics_forget(s);
    holdings_forget(s);
    routines_forget(s);
    *s->more = (struct session_more){ .ends = s->more->ends };
    s->has_new_id = false;
    s->asks_for_gtids = false;
}

struct stmt *stmt_prepared(struct session *s, struct command *cmd, const struct prepared *p)
{
    struct session_more *more = session_more(s);
    struct bytes text = cmd->has_own_id ? cmd->rewritten : bytes_of(cmd->head + 1, cmd->head_len - 1);
    struct stmt *st = mem_zalloc(sizeof *st);
    /* 0 and 0xFFFFFFFF mean something else; after four thousand million, ids may come round. */
    do
        more->last_stmt_id++;
    while (more->last_stmt_id == 0 || more->last_stmt_id == 0xFFFFFFFF ||
           find_stmt(s, more->last_stmt_id) != NULL);
    st->id = more->last_prepared = more->last_stmt_id;
    st->st = cmd->st;
    if (cmd->st.hint.kind == HINT_SERVER) {
        st->hint_server = mem_strndup(cmd->st.hint.server.data, cmd->st.hint.server.len);
        st->st.hint.server = bytes_str(st->hint_server);
    }
    st->has_own_id = cmd->has_own_id;
    st->params = p->params;
    st->columns = p->columns;
    /* With something open on a statement of this text, this one needs an id of its own; and so does one
     * whose text was too long to be kept, which lives only here. */
    bool is_own = s->more->n_cursors + s->more->n_long_data > 0 || !cmd->whole;
    struct state *state = state_of_texts(s->state);
    st->text = stmt_text_get(cmd->whole ? text : BYTES_NONE, state,
                             is_own ? (uint64_t)s->id << 32 | st->id : 0);
    state_drop(state);
    map_put(&more->statements, bytes_of(&st->id, sizeof st->id), st);
    backend_stmt_add(s->lease, st->text, p->id, s->config->settings.statements_per_backend);
    if (!cmd->whole) {
        st->is_only_here = true;
        mark_open(s, st);
        session_pin(s, s->pins | PIN_LONG_TEXT);
    }
    count(session_worker(s), prepares);
    return st;
}

/* ---- what a command means ------------------------------------------------------------------------------ */

static bool no_such_statement(const struct session *s, uint32_t id, const char *where,
                              struct fault *why)
{
    return fault_set(why, BLAME_POLICY, ER_UNKNOWN_STMT,
                     "Unknown prepared statement handler (%u) given to %s", id,
                     s->mode.is_mariadb ? where : "mysql_stmt_precheck");
}

static bool is_long_enough(const struct command *cmd)
{
    static const uint8_t least[] = {
        [COM_STMT_EXECUTE] = 9, [COM_STMT_SEND_LONG_DATA] = 6, [COM_STMT_CLOSE] = 4,
        [COM_STMT_RESET] = 4,   [COM_STMT_FETCH] = 8,           [COM_STMT_BULK_EXECUTE] = 6,
    };
    return cmd->head_len > least[cmd->code];
}

/* MySQL says so in any case; MariaDB looks for the statement first, and closing and long data have no
 * answer there. */
static bool too_short(const struct session *s, struct command *cmd, bool is_known, struct fault *why)
{
    bool is_silent = cmd->code == COM_STMT_CLOSE || cmd->code == COM_STMT_SEND_LONG_DATA;
    if (!s->mode.is_mariadb)
        cmd->response = RESPONSE_OK;
    else if (cmd->code != COM_STMT_EXECUTE && !is_known && !is_silent)
        return true;
    return malformed_command(s, why);
}

static uint32_t read_id(const struct command *cmd)
{
    uint8_t bytes[4] = { 0 };
    memcpy(bytes, cmd->head + 1, MIN(cmd->head_len - 1, sizeof bytes));
    struct cursor c = cursor_of(bytes_of(bytes, sizeof bytes));
    return read_u32(&c);
}

static bool understand_prepare(struct session *s, struct command *cmd, struct fault *why)
{
    unsigned limit = s->config->settings.max_statements;
    command_statement(s, cmd, bytes_of(cmd->head + 1, cmd->head_len - 1));
    cmd->action = ACTION_FORWARD;
    if ((cmd->st.effects & EFFECT_CONNECTION_ID) != 0)
        own_id_put(s, cmd);
    if (s->more != NULL)
        s->more->last_prepared = 0;
    if (s->more != NULL && s->more->statements.count >= limit)
        return fault_set_state(why, BLAME_POLICY, 1461, "42000",
                               "Can't create more than max_prepared_stmt_count statements "
                               "(current value: %u)", limit);
    return true;
}

static bool answer_reset(struct task *t, struct session *s, struct command *cmd, struct fault *why)
{
    counts_changed(s, cmd, 0);
    note_warnings(s, 0);
    return answer_ok(t, s, 1, why);
}

static bool understand_reset(struct session *s, struct command *cmd)
{
    /* Nothing is open anywhere: there is nothing that a server would do either. */
    (void)s;
    cmd->stmt->long_data_fault = FAULT_NONE;
    if (!is_open(cmd->stmt)) {
        cmd->stmt = NULL;
        cmd->action = ACTION_ANSWER;
        cmd->answer = answer_reset;
        return true;
    }
    cmd->action = ACTION_EXECUTE;
    cmd->st = (struct statement){ .verb = VERB_EMPTY };
    return true;
}

/* As servers see to it; what else they refuse they say themselves. */
static bool may_execute_bulk(const struct session *s, const struct command *cmd, struct fault *why)
{
    struct cursor c = cursor_of(bytes_of(cmd->head, cmd->head_len));
    read_bytes(&c, 1 + 4 + 2);    /* command, id, flags */
    if (!s->mode.is_mariadb)
        return fault_set(why, BLAME_POLICY, ER_UNKNOWN_COM, "Unknown command");
    if (c.bad)
        return malformed_command(s, why);
    if ((s->caps & CAP_BULK) == 0)
        return fault_set(why, BLAME_POLICY, 1295,
                         "This command is not supported in the prepared statement protocol yet");
    return true;
}

bool stmt_command(struct session *s, struct command *cmd, struct fault *why)
{
    if (cmd->code == COM_STMT_PREPARE)
        return understand_prepare(s, cmd, why);
    uint32_t id = read_id(cmd);
    struct stmt *st = find_stmt(s, id);
    cmd->action = ACTION_EXECUTE;
    if (!is_long_enough(cmd) && !too_short(s, cmd, st != NULL, why))
        return false;
    if (cmd->code == COM_STMT_CLOSE) {
        if (st != NULL)
            close_stmt(s, st);
        return true;
    }
    cmd->stmt = st;
    if (st != NULL)
        cmd->st = st->st, cmd->has_own_id = st->has_own_id;
    /* What stays open keeps the session where it is, and it may want to write there. */
    bool opens = cmd->code == COM_STMT_SEND_LONG_DATA ||
                 (cmd->code == COM_STMT_EXECUTE && (cmd->head[5] & EXECUTE_CURSOR) != 0);
    cmd->st.reads_only &= !opens;
    switch (cmd->code) {
    case COM_STMT_BULK_EXECUTE:
        if (!may_execute_bulk(s, cmd, why))
            return false;
        /* fall through */
    case COM_STMT_EXECUTE:
        if (st == NULL)
            return no_such_statement(s, id, "mysqld_stmt_execute", why);
        if (st->long_data_fault.blame != BLAME_NONE) {
            *why = st->long_data_fault;
            st->long_data_fault = FAULT_NONE;
            return false;
        }
        if (st->st.verb == VERB_KILL)
            cmd->action = ACTION_KILL;
        if (!opens && (st->st.effects & EFFECT_COUNTS) != 0 && counts_can_answer(s, cmd)) {
            cmd->action = ACTION_ANSWER;
            cmd->answer = counts_answer;
        }
        return true;
    case COM_STMT_FETCH:
        if (st == NULL)
            return no_such_statement(s, id, "mysqld_stmt_fetch", why);
        if (!st->has_cursor)
            return fault_set(why, BLAME_POLICY, 1421, "The statement (%u) has no open cursor%s", id,
                             s->mode.is_mariadb ? "" : ".");
        return true;
    case COM_STMT_RESET:
        return st != NULL ? understand_reset(s, cmd)
                          : no_such_statement(s, id, "mysqld_stmt_reset", why);
    default: /* SEND_LONG_DATA has no answer, not even for nonsense */
        if (st == NULL)
            why->blame = BLAME_POLICY;
        return st != NULL;
    }
}

/* ---- on the backend ------------------------------------------------------------------------------------------ */

/* Another statement of this session has the same text and something open in the backend's statement
 * that they would share. */
static bool would_disturb(const struct session *s, const struct stmt *st)
{
    uint32_t at = 0;
    if (s->more->n_cursors + s->more->n_long_data == 0)
        return false;
    for (struct stmt *other; (other = map_next(&s->more->statements, &at)) != NULL;)
        if (other != st && other->text == st->text && is_open(other))
            return true;
    return false;
}

static bool prepare_there(struct task *t, struct session *s, struct stmt *st, struct backend_stmt **out,
                          struct fault *why)
{
    struct backend *be = s->lease;
    struct prepared p;
    if (be->n_owed > 0)           /* a read would have gone along with that */
        count(session_worker(s), restores_awaited);
    if (!align_settle(t, s, why))
        return false;
    /* (SHOW WARNINGS means the same in any state, and a SET would change what it shows) */
    bool is_about_before = (st->st.effects & EFFECT_DIAGNOSTICS) != 0 && st->st.verb == VERB_SHOW;
    struct state *then = is_about_before ? state_take(be->state)
                                         : state_to_prepare_in(st->text->state, be->state);
    bool aligned = align_to(t, s, then, why);
    state_drop(then);
    if (!aligned)
        return false;
    struct buf definitions = { 0 };
    backend_write(be, COM_STMT_PREPARE, st->text->text);
    bool ok = stream_flush(t, &be->stream, 0, why) && swallow_prepare(t, be, &p, &definitions, why);
    if (ok) {
        count(session_worker(s), prepares);
        *out = backend_stmt_add(be, st->text, p.id, s->config->settings.statements_per_backend);
        if (buf_len(&definitions) > 0)
            (*out)->definitions = definitions_get(buf_bytes(&definitions));
    }
    buf_release(&definitions);
    return ok && align_to(t, s, s->state, why);
}

/* The command without attributes, which the server does not know. */
static bool strip_execute(struct task *t, struct session *s, const struct backend *be,
                          struct command *cmd, struct fault *why)
{
    struct stmt *st = cmd->stmt;
    struct execute x;
    struct bytes head = bytes_of(cmd->head, cmd->head_len);
    if (!execute_read(head, st->params, s->caps, &x, why))
        return false;
    bool has_attributes = x.n_values > st->params;
    if (cmd->first_frame == FRAME_MAX || (has_attributes && (!cmd->whole || st->has_long_data)))
        return fault_set(why, BLAME_POLICY, ER_PACKET_TOO_LARGE,
                         "volvox: query attributes beside long values, and server %s does not know "
                         "attributes",
                         be->server->name);
    uint8_t *wire = arena_alloc(task_arena(t), cmd->wire_len);
    size_t len = execute_strip(head, &x, st->params, wire + FRAME_HEADER, why);
    if (len == 0)
        return false;
    size_t frame = cmd->first_frame - (cmd->head_len - len);
    frame_set_header(wire, (uint32_t)frame, 0);
    cmd->wire = bytes_of(wire, FRAME_HEADER + len);
    return true;
}

static bool insert_types(struct task *t, struct command *cmd, const struct execute *x,
                         struct fault *why)
{
    const struct stmt *st = cmd->stmt;
    size_t each = x->has_names ? 3 : 2, extra = each * st->params;
    size_t before = FRAME_HEADER + x->types_at, frame = frame_len(cmd->wire.data) + extra;
    bool is_stripped = frame_len(cmd->wire.data) != cmd->first_frame;
    if (frame >= FRAME_MAX && (extra > sizeof((struct reframe *)NULL)->carry || is_stripped))
        return fault_set(why, BLAME_POLICY, ER_PACKET_TOO_LARGE,
                         "volvox: more than 16 MiB for a statement with that many parameters");
    uint8_t *wire = arena_alloc(task_arena(t), cmd->wire.len + extra);
    memcpy(wire, cmd->wire.data, before);
    wire[FRAME_HEADER + x->flag_at] |= x->flag;
    for (size_t i = 0; i < st->params; i++) {
        memcpy(wire + before + each * i, st->types + 2 * i, 2);
        if (x->has_names)
            wire[before + each * i + 2] = 0;
    }
    memcpy(wire + before + extra, cmd->wire.data + before, cmd->wire.len - before);
    cmd->inserted = extra;
    cmd->wire = bytes_of(wire, cmd->wire.len + extra);
    if (frame < FRAME_MAX)
        frame_set_header(wire, (uint32_t)frame, 0);
    return true;
}

static void remember_types(struct stmt *st, struct bytes payload, const struct execute *x)
{
    static atomic_ullong numbers;
    if (st->types == NULL)
        st->types = mem_alloc(2 * (size_t)st->params);
    execute_types(payload, x, st->params, st->types);
    st->types_number = atomic_fetch_add(&numbers, 1) + 1;
}

/* The parameters' types, which a client sends only once: the server remembers them with its
 * statement, which other sessions use as well, so they are sent whenever they differ. */
static bool bind_types(struct task *t, struct session *s, const struct backend *be,
                       struct command *cmd, struct backend_stmt *bs, struct fault *why)
{
    struct stmt *st = cmd->stmt;
    struct execute x;
    bool strips =
        cmd->code == COM_STMT_EXECUTE && (s->caps & ~be->caps & CAP_QUERY_ATTRIBUTES) != 0;
    /* what the client sent: after an attempt on another server it may be what that one got */
    cmd->wire = bytes_of(cmd->head - FRAME_HEADER, cmd->wire_len);
    cmd->inserted = 0;
    if (strips && !strip_execute(t, s, be, cmd, why))
        return false;
    if (st->params == 0)
        return true;
    struct bytes payload = bytes_skip(cmd->wire, FRAME_HEADER);
    if (!execute_read(payload, st->params, s->caps & be->caps, &x, why))
        return false;
    if (x.types_sent) {
        remember_types(st, payload, &x);
        bs->bound = st->types_number;
        return true;
    }
    if (bs->bound == st->types_number)
        return true;              /* (nobody ever sent any: the server says whether that will do) */
    if (!insert_types(t, cmd, &x, why))
        return false;
    bs->bound = st->types_number;
    return true;
}

/* No types were ever sent for this statement. */
static bool lacks_types(const struct session *s, const struct command *cmd)
{
    const struct stmt *st = cmd->stmt;
    struct execute x;
    struct fault why;
    return st->types == NULL && st->params > 0 &&
           execute_read(bytes_of(cmd->head, cmd->head_len), st->params, s->caps, &x, &why) && !x.types_sent;
}

/* ... and those of another session won't do. */
static bool needs_unbound(const struct session *s, const struct command *cmd, const struct backend_stmt *bs)
{
    return bs->bound != 0 && lacks_types(s, cmd);
}

/* It has to be prepared anew, and can't be: that it lacks types would have been said first. */
static bool cannot_prepare(const struct session *s, const struct command *cmd, struct fault *why)
{
    if (why->blame != BLAME_QUERY || cmd->code != COM_STMT_EXECUTE || !lacks_types(s, cmd))
        return false;
    return fault_set_state(why, BLAME_POLICY, 1210, "HY000", "Incorrect arguments to mysqld_stmt_execute");
}

/* To prepare SELECT @@warning_count, the connection may have been in another state for a while. */
static bool spoils_diagnostics(const struct session *s, const struct command *cmd)
{
    return diagnostics_are_asked(cmd) && (s->pins & PIN_DIAGNOSTICS) != 0 && cmd->st.verb != VERB_SHOW;
}

static uint64_t hash_types(const uint8_t *types, unsigned params)
{
    uint64_t h = 0xcbf29ce484222325;
    for (size_t i = 0; i < 2 * (size_t)params; i++)
        h = (h ^ types[i]) * 0x100000001b3;
    return h | 1;
}

/* The types that an execution is to have; 0: none, or it can't be read. */
static uint64_t types_of(struct task *t, const struct session *s, const struct command *cmd)
{
    const struct stmt *st = cmd->stmt;
    struct bytes head = bytes_of(cmd->head, cmd->head_len);
    struct execute x;
    struct fault why;
    if (cmd->code != COM_STMT_EXECUTE || st->params == 0 ||
        !execute_read(head, st->params, s->caps, &x, &why))
        return 0;
    if (!x.types_sent)
        return st->types != NULL ? hash_types(st->types, st->params) : 0;
    uint8_t *types = arena_alloc(task_arena(t), 2 * (size_t)st->params);
    execute_types(head, &x, st->params, types);
    return hash_types(types, st->params);
}

/* MySQL (9.7) casts parameters to the types of the first execution, whoever's that was; MariaDB (10.11) takes long
 * data for what another one's types say. */
static bool is_of_other_types(const struct backend *be, const struct command *cmd, const struct backend_stmt *bs,
                              uint64_t types)
{
    const struct stmt *st = cmd->stmt;
    bool begins_long_data = cmd->code == COM_STMT_SEND_LONG_DATA && !is_open(st);
    if (be->is_mariadb)
        return begins_long_data && bs->bound != 0 && bs->bound != st->types_number;
    bool matters = begins_long_data || (types != 0 && !is_open(st));
    return matters && bs->first_types != 0 && bs->first_types != types && bs->first_types != st->first_types;
}

static void note_types(struct stmt *st, struct backend_stmt *bs, uint64_t types)
{
    if (bs->first_types == 0)
        bs->first_types = types;
    if (st->first_types == 0)
        st->first_types = types;
}

/* MySQL (9.7) does not end the rows of a statement that was first executed for a cursor and now is not. */
static bool is_for_cursors(const struct backend *be, const struct command *cmd, const struct backend_stmt *bs)
{
    if (be->is_mariadb || !bs->is_for_cursors || cmd->stmt->has_long_data)
        return false;
    return cmd->code == COM_STMT_SEND_LONG_DATA ? !cmd->stmt->has_cursor
           : cmd->code == COM_STMT_EXECUTE      ? (cmd->head[5] & EXECUTE_CURSOR) == 0
                                                : false;
}

static void note_execution(const struct command *cmd, struct backend_stmt *bs)
{
    if (!bs->is_executed)
        bs->is_for_cursors = cmd->code == COM_STMT_EXECUTE && (cmd->head[5] & EXECUTE_CURSOR) != 0;
    bs->is_executed = true;
}

/* Between the statement before and one that asks for its counts came a SET of ours, to prepare it. */
static bool spoils_counts(const struct session *s, const struct command *cmd)
{
    if (!counts_are_asked(s, cmd))
        return false;
    struct state *then = state_to_prepare_in(cmd->stmt->text->state, s->state);
    bool differs = then != s->state;
    state_drop(then);
    return differs;
}

static bool is_execution(const struct command *cmd)
{
    return cmd->code == COM_STMT_EXECUTE || cmd->code == COM_STMT_BULK_EXECUTE;
}

/* Does the backend's statement do for this execution, of these types, or does it need one of its own? */
static bool will_do(const struct session *s, const struct backend *be, const struct command *cmd,
                    const struct backend_stmt *bs, uint64_t types)
{
    return !(is_execution(cmd) && needs_unbound(s, cmd, bs)) && !is_for_cursors(be, cmd, bs) &&
           !is_of_other_types(be, cmd, bs, types);
}

/* `wire` lies in client.in or in the arena: ours to write to. */
static void put_id(struct command *cmd, const struct backend_stmt *bs)
{
    uint8_t *id = (uint8_t *)cmd->wire.data + FRAME_HEADER + 1;
    for (int i = 0; i < 4; i++)
        id[i] = (uint8_t)(bs->id >> 8 * i);
}

bool stmt_ready(struct task *t, struct session *s, struct command *cmd, struct fault *why)
{
    struct stmt *st = cmd->stmt;
    bool executes = is_execution(cmd);
    if (!is_open(st) && would_disturb(s, st)) {
        struct stmt_text *own = stmt_text_get(st->text->text, st->text->state,
                                              (uint64_t)s->id << 32 | st->id);
        stmt_text_drop(st->text);
        st->text = own;
    }
    struct backend_stmt *bs = backend_stmt_find(s->lease, st->text);
    uint64_t types = s->lease->is_mariadb ? 0 : types_of(t, s, cmd);
    if (bs != NULL && !will_do(s, s->lease, cmd, bs, types))
        bs = NULL;
    bool is_new = bs == NULL;
    if (is_new && !prepare_there(t, s, st, &bs, why))
        return cannot_prepare(s, cmd, why);
    if (is_new && spoils_counts(s, cmd))
        return counts_are_gone(s, why);
    if (is_new && spoils_diagnostics(s, cmd)) {
        diagnostics_doubt(s);
        return diagnostics_are_here(s, cmd, why);
    }
    if (executes && !bind_types(t, s, s->lease, cmd, bs, why))
        return why->blame == BLAME_CLIENT ? malformed_command(s, why) : false;
    if (executes)
        note_execution(cmd, bs);
    note_types(st, bs, types);
    if (cmd->code == COM_STMT_SEND_LONG_DATA)
        set_long_data(s, st, true);
    put_id(cmd, bs);
    return true;
}

bool stmt_is_ready(struct task *t, struct session *s, struct backend *be, struct command *cmd)
{
    struct fault why;
    struct backend_stmt *bs = backend_stmt_find(be, cmd->stmt->text);
    uint64_t types = be->is_mariadb ? 0 : types_of(t, s, cmd);
    if (bs == NULL || would_disturb(s, cmd->stmt) || !will_do(s, be, cmd, bs, types) ||
        !bind_types(t, s, be, cmd, bs, &why))
        return false;
    note_execution(cmd, bs);
    note_types(cmd->stmt, bs, types);
    put_id(cmd, bs);
    return true;
}
