/* talk.c - packets to and from a visitor; see inside.h. */
#include "admin/inside.h"

enum { COMMAND_LIMIT_BYTES = 1 << 20 };

bool visitor_read(struct task *t, struct visitor *v, struct bytes *payload, double deadline,
                  struct fault *why)
{
    struct stream *in = &v->stream;
    size_t need = FRAME_HEADER;
    struct packet p;
    while (stream_need(t, in, need, deadline, why)) {
        if (packet_find(buf_bytes(&in->in), COMMAND_LIMIT_BYTES, &p, &need, why)) {
            if (p.seq != v->seq)
                return fault_set(why, BLAME_CLIENT, ER_PACKETS_OUT_OF_ORDER, "Got packets out of order");
            *payload = arena_copy(task_arena(t),
                                  packet_payload(buf_bytes(&in->in), &p, task_arena(t)));
            buf_skip(&in->in, p.wire_len);
            v->seq = p.next_seq;
            return true;
        }
        if (need == 0)
            return false;
    }
    if (why->code != ER_PACKET_TOO_LARGE)
        why->code = 0;            /* gone, or too slow: nothing can be said */
    return false;
}

bool visitor_flush(struct task *t, struct visitor *v, double deadline, struct fault *why)
{
    return stream_flush(t, &v->stream, deadline, why);
}

void visitor_ok(struct visitor *v, const char *info)
{
    struct ok ok = { .status = v->status, .info = bytes_str(info) };
    ok_write(&v->stream.out, &v->seq, &ok, 0x00, v->caps);
}

void visitor_err(struct visitor *v, const struct fault *why)
{
    unsigned code = why->code != 0 ? why->code : ER_UNKNOWN_ERROR;
    const char *state = why->sqlstate[0] != '\0' ? why->sqlstate : sqlstate_of(code);
    err_write(&v->stream.out, &v->seq, code, state, bytes_str(why->text), v->caps);
}

/* ---- answers ----------------------------------------------------------------------------- */

struct writing {
    const struct answer *a;
    struct buf out;
    struct dialect dialect;
    uint8_t seq;
};

static void do_write(struct worker *w, void *arg)
{
    struct writing *x = arg;
    (void)w;
    answer_write(&x->out, &x->seq, x->a, x->dialect);
}

/* A visitor that does not read is given up after this time. */
enum { WRITE_TIMEOUT_S = 60, MANY_CELLS = 4000 };

bool visitor_answer(struct task *t, struct visitor *v, struct answer *a, bool binary, struct fault *why)
{
    struct writing x = { .a = a, .seq = v->seq,
                         .dialect = { .caps = v->caps, .status = v->status, .binary = binary } };
    /* Large ones are written where nobody else waits. */
    if (a->rows.n_cells < MANY_CELLS || !worker_ask(t, v->admin->sql, do_write, &x))
        do_write(NULL, &x);
    v->seq = x.seq;
    double deadline = worker_now(task_worker(t)) + WRITE_TIMEOUT_S;
    bool ok = stream_put(t, &v->stream, buf_bytes(&x.out), deadline, why) &&
              visitor_flush(t, v, deadline, why);
    buf_release(&x.out);
    return ok;
}
