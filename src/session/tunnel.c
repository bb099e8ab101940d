/*
 * tunnel.c - replicas and clones: a connection to the server that is the client's alone; see
 * inside.h.
 *
 *   SET @..., COM_REGISTER_SLAVE    commands like others: what they change keeps the session on its
 *                                   server
 *   COM_BINLOG_DUMP ─► ERR          an answer like others: the session goes on
 *   COM_BINLOG_DUMP ─► events       from here on bytes pass both ways (a replica may acknowledge
 *                                   events) until one side closes, however long that takes; then
 * the other is closed as well
 */
#include "session/inside.h"

#include "base/log.h"

bool tunnel(struct task *t, struct session *s, struct command *cmd, struct outcome *out)
{
    struct backend *be = s->lease;
    if (!out->drained) {
        buf_skip(&s->client.in, cmd->wire_len);
        out->drained = true;
    }
    log_info("tunnel opened", "session=%u server=%s thread=%u by=%s", s->id, be->server->name,
             be->thread_id, log_quote(bytes_str(command_name(cmd->code))));
    task_describe(t, "tunnel");
    count(session_worker(s), tunnels);
    out->answered = out->tunnelled = true;
    s->in_tunnel = true;
    /* what the server counts within compressed frames is not what an ordinary client expects */
    struct renumbering numbers = { .seq = cmd->next_seq };
    bool jump = stream_compression(&be->stream) != NULL;
    pump(t, &s->client, &be->stream, jump ? &numbers : NULL, &out->why);
    s->in_tunnel = false;
    log_info("tunnel closed", "session=%u server=%s to_client=%llu why=%s", s->id, be->server->name,
             (unsigned long long)s->client.sent, log_quote(bytes_str(out->why.text)));
    return false;
}
