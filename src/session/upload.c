/*
 * upload.c - commands to the server, of any length; see inside.h.
 *
 * What was looked at goes out first.  The rest of a long command streams by, frame by frame, as
 * it comes: neither side's slowness fills our memory.
 */
#include "session/inside.h"

/* A peer that neither reads nor writes for so long in the middle of a command is given up, as
 * servers do (net_read_timeout, net_write_timeout). */
enum { STALL_TIMEOUT_S = 60 };

double stall_deadline(struct task *t)
{
    return worker_now(task_worker(t)) + STALL_TIMEOUT_S;
}

/* Wait until there is something to copy; what is ready for the other side goes out meanwhile. */
static bool some_bytes(struct task *t, struct stream *from, struct stream *to, struct fault *why)
{
    if (buf_len(&from->in) > 0)
        return true;
    if (stream_fill(from, 1) == 0 && !stream_flush(t, to, stall_deadline(t), why))
        return false;
    return stream_need(t, from, 1, stall_deadline(t), why);
}

/* As many of them as can pass without coming by here; *n are left. */
static bool splice_bytes(struct task *t, struct stream *from, struct stream *to, uint64_t *n,
                         struct fault *why)
{
    while (stream_may_splice(from, to, *n)) {
        enum spliced how = stream_splice(t, from, to, n, stall_deadline(t), why);
        if (how == SPLICE_FAILED)
            return false;
        if (how == SPLICE_NOT)
            break;
        if (how == SPLICE_EMPTY && !stream_wait_readable(t, from, stall_deadline(t), why))
            return false;
        task_breathe(t);
    }
    return true;
}

bool copy_bytes(struct task *t, struct stream *from, struct stream *to, uint64_t n,
                struct fault *why)
{
    while (n > 0) {
        if (!splice_bytes(t, from, to, &n, why))
            return false;
        if (n > 0 && !some_bytes(t, from, to, why))
            return false;
        struct bytes part = buf_bytes(&from->in);
        part.len = MIN(part.len, n);
        if (!stream_put(t, to, part, stall_deadline(t), why))
            return false;
        buf_skip(&from->in, part.len);
        n -= part.len;
        task_breathe(t);
    }
    return true;
}

static bool next_frame(struct task *t, struct stream *from, struct command *cmd, uint32_t *frame,
                       struct fault *why)
{
    if (!stream_need(t, from, FRAME_HEADER, stall_deadline(t), why))
        return false;
    *frame = frame_len(buf_head(&from->in));
    cmd->next_seq = (uint8_t)(frame_seq(buf_head(&from->in)) + 1);
    return true;
}

/* The rest of the first frame, then its further frames, as they are. */
static bool send_rest(struct task *t, struct session *s, struct command *cmd, struct fault *why)
{
    struct stream *from = &s->client, *to = &s->lease->stream;
    uint32_t frame = cmd->first_frame;
    uint64_t left = (uint64_t)frame + FRAME_HEADER - cmd->wire_len;
    for (;;) {
        if (!copy_bytes(t, from, to, left, why))
            return false;
        cmd->server_seq = cmd->next_seq;
        if (frame < FRAME_MAX)
            return true;
        if (!next_frame(t, from, cmd, &frame, why))
            return false;
        left = (uint64_t)frame + FRAME_HEADER;
    }
}

static bool pass_reframed(struct task *t, struct session *s, struct reframe *r, uint64_t n,
                          struct fault *why)
{
    struct stream *from = &s->client, *to = &s->lease->stream;
    while (n > 0) {
        if (!some_bytes(t, from, to, why))
            return false;
        struct bytes part = buf_bytes(&from->in);
        part.len = MIN(MIN(part.len, n), (size_t)64 << 10);
        reframe_pass(r, part, &to->out);
        buf_skip(&from->in, part.len);
        n -= part.len;
        if (!stream_put(t, to, BYTES_NONE, stall_deadline(t), why))
            return false;
        task_breathe(t);
    }
    return true;
}

/* Parameter types were inserted into a payload that fills its frame: every frame is cut anew. */
static bool send_reframed(struct task *t, struct session *s, struct command *cmd, struct fault *why)
{
    struct stream *from = &s->client, *to = &s->lease->stream;
    struct reframe *r = arena_alloc(task_arena(t), sizeof *r);  /* too large for the stack */
    uint32_t frame = cmd->first_frame;
    uint64_t left = frame - cmd->head_len;
    reframe_begin(r, cmd->inserted, 0);
    reframe_frame(r, frame, &to->out);
    reframe_pass(r, bytes_skip(cmd->wire, FRAME_HEADER), &to->out);
    buf_skip(&from->in, cmd->wire_len);
    for (;;) {
        if (!pass_reframed(t, s, r, left, why))
            return false;
        cmd->server_seq = r->seq;
        if (frame < FRAME_MAX)
            return true;
        if (!next_frame(t, from, cmd, &frame, why))
            return false;
        buf_skip(&from->in, FRAME_HEADER);
        reframe_frame(r, frame, &to->out);
        left = frame;
    }
}

/* The text alone, for a server that knows no query attributes. */
static bool strip_attributes(struct task *t, struct session *s, struct command *cmd, struct fault *why)
{
    size_t removed = cmd->text_at - 1;
    struct bytes text = cmd->has_own_id ? cmd->rewritten : command_text(cmd);
    if (cmd->first_frame == FRAME_MAX)
        return fault_set(why, BLAME_POLICY, ER_PACKET_TOO_LARGE,
                         "volvox: more than 16 MiB with query attributes, which server %s does not know",
                         s->lease->server->name);
    uint8_t *wire = arena_alloc(task_arena(t), FRAME_HEADER + 1 + text.len);
    size_t frame = cmd->has_own_id ? 1 + text.len : cmd->first_frame - removed;
    frame_set_header(wire, (uint32_t)frame, 0);
    wire[FRAME_HEADER] = cmd->code;
    if (text.len > 0)
        memcpy(wire + FRAME_HEADER + 1, text.data, text.len);
    cmd->stripped = bytes_of(wire, FRAME_HEADER + 1 + text.len);
    return true;
}

static struct bytes what_to_send(const struct command *cmd)
{
    return cmd->stripped.len > 0 ? cmd->stripped : cmd->wire;
}

bool command_ready(struct task *t, struct session *s, struct command *cmd, struct fault *why)
{
    if (cmd->stmt != NULL)
        return stmt_ready(t, s, cmd, why);
    if (cmd->code != COM_QUERY || (s->caps & CAP_QUERY_ATTRIBUTES) == 0)
        return true;
    cmd->stripped = BYTES_NONE;   /* another server may have needed it */
    return (s->lease->caps & CAP_QUERY_ATTRIBUTES) != 0 || strip_attributes(t, s, cmd, why);
}

static bool send_long(struct task *t, struct session *s, struct command *cmd, struct outcome *out)
{
    struct stream *to = &s->lease->stream;
    out->sent = true;
    if (cmd->first_frame + cmd->inserted >= FRAME_MAX && cmd->inserted > 0) {
        out->drained = send_reframed(t, s, cmd, &out->why);
        return out->drained;
    }
    if (!stream_put(t, to, what_to_send(cmd), stall_deadline(t), &out->why))
        return false;
    buf_skip(&s->client.in, cmd->wire_len);
    out->drained = send_rest(t, s, cmd, &out->why);
    return out->drained;
}

/* With statements of ours in front of its text. */
static bool send_joined(struct task *t, struct session *s, const struct command *cmd, struct fault *why)
{
    struct stream *to = &s->lease->stream;
    struct bytes payload = bytes_skip(what_to_send(cmd), FRAME_HEADER);
    size_t front = cmd->stripped.len > 0 ? 1 : cmd->text_at;
    uint8_t header[FRAME_HEADER];
    frame_set_header(header, (uint32_t)(payload.len + cmd->joined.len), 0);
    return stream_put(t, to, bytes_of(header, sizeof header), stall_deadline(t), why) &&
           stream_put(t, to, bytes_of(payload.data, front), stall_deadline(t), why) &&
           stream_put(t, to, cmd->joined, stall_deadline(t), why) &&
           stream_put(t, to, bytes_skip(payload, front), stall_deadline(t), why);
}

bool send_command(struct task *t, struct session *s, struct command *cmd, struct outcome *out)
{
    struct stream *to = &s->lease->stream;
    uint64_t sent_before = to->sent;
    bool ok = !cmd->whole            ? send_long(t, s, cmd, out)
              : cmd->joined.len == 0 ? stream_put(t, to, what_to_send(cmd), stall_deadline(t), &out->why)
                                     : send_joined(t, s, cmd, &out->why);
    ok = ok && stream_flush(t, to, stall_deadline(t), &out->why);
    out->sent |= to->sent > sent_before;
    return ok;
}
