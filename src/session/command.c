/* command.c - read a command, find out what its COM_* means here; see inside.h. */
#include "session/inside.h"

/* A client that stops in the middle of a command is given up after this time, as servers do
 * (net_read_timeout). */
enum { READ_TIMEOUT_S = 30 };

static bool unknown_command(struct fault *why)
{
    return fault_set(why, BLAME_POLICY, ER_UNKNOWN_COM, "Unknown command");
}

bool malformed_command(const struct session *s, struct fault *why)
{
    return fault_set(why, BLAME_POLICY, ER_MALFORMED_PACKET, "Malformed communication packet%s",
                     s->mode.is_mariadb ? "" : ".");
}

struct bytes command_statement_text(const struct command *cmd)
{
    if (cmd->stmt != NULL)
        return cmd->stmt->text->text;
    return cmd->code == COM_QUERY || cmd->code == COM_STMT_PREPARE ? command_text(cmd) : BYTES_NONE;
}

static bool answer_nothing(struct task *t, struct session *s, struct command *cmd, struct fault *why)
{
    (void)t, (void)s, (void)cmd, (void)why;
    return true;
}

static bool answer_ping(struct task *t, struct session *s, struct command *cmd, struct fault *why)
{
    /* (MySQL's has the warnings of the statement before) */
    struct ok ok = { .status = session_status(s), .warnings = diagnostics_count(s) };
    uint8_t seq = 1;
    counts_changed(s, cmd, 0);
    ok_write(&s->client.out, &seq, &ok, 0x00, s->caps);
    return stream_flush(t, &s->client, 0, why);
}

/* The answer to COM_SET_OPTION is an EOF packet, or an OK dressed as one. */
static bool set_option(struct task *t, struct session *s, struct command *cmd, struct fault *why)
{
    uint8_t seq = 1;
    /* (likewise) */
    struct ok ok = { .status = session_status(s), .warnings = diagnostics_count(s) };
    struct cursor c = cursor_of(bytes_of(cmd->head + 1, cmd->head_len - 1));
    uint16_t option = read_u16(&c);
    if (c.bad && !s->mode.is_mariadb) /* (MariaDB reads on) */
        return malformed_command(s, why);
    if (option > 1)
        return unknown_command(why);
    s->multi_statements = option == 0;
    counts_changed(s, cmd, 0);
    end_of_rows_write(&s->client.out, &seq, &ok, s->caps);
    return stream_flush(t, &s->client, 0, why);
}

static bool forward_as(struct command *cmd, enum verb verb)
{
    cmd->action = ACTION_FORWARD;
    cmd->st.verb = verb;
    return true;
}

static bool answer_with(struct command *cmd,
                        bool (*answer)(struct task *, struct session *, struct command *,
                                       struct fault *))
{
    cmd->action = ACTION_ANSWER;
    cmd->answer = answer;
    return true;
}

void command_statement(const struct session *s, struct command *cmd, struct bytes text)
{
    statement_read(text, &s->mode, &cmd->st);
    if (cmd->whole)
        return;
    /* The end is out of sight, so it could do anything. */
    cmd->st.reads_only = false;
    cmd->st.is_broken = false;
    if (cmd->st.verb == VERB_SELECT)
        cmd->st.verb = VERB_OTHER;
}

static bool read_text(struct session *s, struct command *cmd, struct fault *why)
{
    if (!query_read(bytes_of(cmd->head, cmd->head_len), s->caps, &cmd->text_at, why)) {
        if (!cmd->whole)
            return fault_set(why, BLAME_POLICY, ER_PACKET_TOO_LARGE,
                             "volvox: query attributes may have at most %zu bytes", cmd->head_len);
        return malformed_command(s, why);
    }
    command_statement(s, cmd, command_text(cmd));
    if ((cmd->st.effects & EFFECT_CONNECTION_ID) != 0)
        own_id_put(s, cmd);
    if ((cmd->st.effects & EFFECT_COUNTS) != 0 && counts_can_answer(s, cmd))
        return answer_with(cmd, counts_answer);
    if ((cmd->st.effects & EFFECT_DIAGNOSTICS) != 0 && diagnostics_were_taken(s))
        return answer_with(cmd, diagnostics_answer);
    if ((cmd->st.verb == VERB_BEGIN || cmd->st.only_autocommit) && deferred_takes(s, cmd))
        return answer_with(cmd, deferred_answer);
    cmd->action = cmd->st.verb == VERB_KILL ? ACTION_KILL : ACTION_FORWARD;
    return true;
}

void command_read_again(struct session *s, struct command *cmd)
{
    struct fault none;
    s->reads_anew = false;
    if (!cmd->st.is_broken)
        return;
    if (cmd->code == COM_QUERY)
        read_text(s, cmd, &none);
    else if (cmd->code == COM_STMT_PREPARE)
        stmt_command(s, cmd, &none);
}

static bool understand(struct session *s, struct command *cmd, struct fault *why)
{
    switch (cmd->code) {
    case COM_QUERY:
        return read_text(s, cmd, why);
    case COM_QUIT:
        cmd->action = ACTION_QUIT;
        return true;
    case COM_PING:
        /* With a server connection in hand only that one can say whether it lives. */
        return s->lease != NULL ? forward_as(cmd, VERB_EMPTY)
                                : answer_with(cmd, answer_ping);
    case COM_INIT_DB:
        return forward_as(cmd, VERB_USE);
    case COM_FIELD_LIST:
        return forward_as(cmd, VERB_SHOW);
    case COM_STATISTICS:
        return forward_as(cmd, VERB_SHOW);
    case COM_REFRESH:
    case COM_SHUTDOWN:
    case COM_PROCESS_INFO:
    case COM_DEBUG:
    case COM_REGISTER_SLAVE:
    case COM_BINLOG_DUMP:
        /* the primary says who may, and whether it knows such a command at all */
        return forward_as(cmd, VERB_ADMIN);
    case COM_BINLOG_DUMP_GTID:
    case COM_CLONE:
    case COM_SUBSCRIBE_GROUP_STREAM:
        return s->mode.is_mariadb ? unknown_command(why) : forward_as(cmd, VERB_ADMIN);
    case COM_SET_OPTION:
        return answer_with(cmd, set_option);
    case COM_PROCESS_KILL:
        forward_as(cmd, VERB_KILL);
        cmd->action = ACTION_KILL;
        return true;
    case COM_CHANGE_USER:
        return answer_with(cmd, change_user);
    case COM_RESET_CONNECTION:
        return answer_with(cmd, reset_connection);
    case COM_STMT_PREPARE:
    case COM_STMT_EXECUTE:
    case COM_STMT_BULK_EXECUTE:
    case COM_STMT_FETCH:
    case COM_STMT_SEND_LONG_DATA:
    case COM_STMT_RESET:
        return stmt_command(s, cmd, why);
    case COM_STMT_CLOSE:
        if (!stmt_command(s, cmd, why))
            return false;
        return answer_with(cmd, answer_nothing);
    default:
        return unknown_command(why);
    }
}

/* Commands that may be longer than what is looked at. */
static bool may_be_long(uint8_t code)
{
    return code == COM_QUERY || code == COM_STMT_PREPARE || code == COM_STMT_EXECUTE ||
           code == COM_STMT_BULK_EXECUTE ||
           code == COM_STMT_SEND_LONG_DATA;
}

bool command_read(struct task *t, struct session *s, struct command *cmd, struct fault *why)
{
    struct stream *in = &s->client;
    double deadline = worker_now(task_worker(t)) + READ_TIMEOUT_S;
    uint32_t look = (uint32_t)s->config->settings.max_packet_bytes;
    in->in_limit_bytes = look + LOOK_AHEAD;
    if (!stream_need(t, in, FRAME_HEADER, deadline, why))
        goto gone;
    cmd->first_frame = frame_len(buf_head(&in->in));
    uint8_t seq = frame_seq(buf_head(&in->in));
    cmd->head_len = MIN(cmd->first_frame, look);
    cmd->whole = cmd->first_frame <= look;
    cmd->wire_len = FRAME_HEADER + cmd->head_len;
    if (!stream_need(t, in, cmd->wire_len, deadline, why))
        goto gone;
    cmd->head = buf_head(&in->in) + FRAME_HEADER;
    cmd->wire = bytes_of(buf_head(&in->in), cmd->wire_len);
    cmd->code = cmd->head_len > 0 ? cmd->head[0] : COM_SLEEP;
    cmd->text_at = 1;
    cmd->next_seq = cmd->server_seq = cmd->error_seq = 1;
    cmd->response = command_response(cmd->code);
    if (seq != 0) {
        cmd->ends_session = true;
        return fault_set(why, BLAME_POLICY, ER_PACKETS_OUT_OF_ORDER, "Got packets out of order");
    }
    if (!cmd->whole && !may_be_long(cmd->code))
        return fault_set(why, BLAME_POLICY, ER_PACKET_TOO_LARGE,
                         "volvox: a command of this kind may have at most %u bytes", look);
    return understand(s, cmd, why);
gone:
    /* Nothing can be told to who left, or keeps the rest of a command to himself. */
    why->blame = BLAME_CLIENT;
    return false;
}

bool command_drop(struct task *t, struct session *s, struct command *cmd, struct outcome *out)
{
    struct stream *in = &s->client;
    struct fault broken;
    double deadline = worker_now(task_worker(t)) + READ_TIMEOUT_S;
    if (out->drained || cmd->taken)
        return true;
    if (cmd->whole) {
        buf_skip(&in->in, cmd->wire_len);
        out->drained = true;
        return true;
    }
    if (out->sent)
        return false; /* broken off somewhere in the middle of the upload */
    buf_skip(&in->in, cmd->wire_len);
    uint64_t left = cmd->first_frame - cmd->head_len;
    for (uint32_t frame = cmd->first_frame;; left = frame) {
        while (left > 0) {
            if (!stream_need(t, in, 1, deadline, &broken))
                return false;
            size_t n = MIN(left, buf_len(&in->in));
            buf_skip(&in->in, n);
            left -= n;
        }
        if (frame < FRAME_MAX)
            break;
        if (!stream_need(t, in, FRAME_HEADER, deadline, &broken))
            return false;
        frame = frame_len(buf_head(&in->in));
        cmd->error_seq = (uint8_t)(frame_seq(buf_head(&in->in)) + 1);
        buf_skip(&in->in, FRAME_HEADER);
    }
    out->drained = true;
    return true;
}
