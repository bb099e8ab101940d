/*
 * pump.c - two streams that are one line from end to end; see net.h.
 *
 *   a.in ─► b.out        a stream is read from while the other's `out` has room; what it
 *   b.in ─► a.out        has said is known (stream_fill() gave 0) or waits for that room
 */
#include "net/net.h"

/* Well below what would make stream_put() park: one direction never waits for the other. */
enum { UNSENT_MOST = 128 << 10, LAST_WORDS_S = 10 };

static size_t room_in(const struct stream *to)
{
    return UNSENT_MOST - MIN(buf_len(&to->out), (size_t)UNSENT_MOST);
}

/* False when `from` has closed or broken, and nothing of it is left. */
static bool has_more(struct stream *from)
{
    return buf_len(&from->in) > 0 || stream_fill(from, 1) >= 0;
}

/* As much as goes without waiting.  False when one of them has ended. */
static bool pass_on(struct task *t, struct stream *from, struct stream *to,
                    struct renumbering *numbers, struct fault *why)
{
    for (;;) {
        if (room_in(to) == 0 && !stream_try_flush(to))
            break;
        if (room_in(to) == 0)
            return true;
        if (!has_more(from))
            return stream_need(t, from, 1, 0, why); /* says what has happened */
        struct bytes part = buf_bytes(&from->in);
        if (part.len == 0)
            break;
        part.len = MIN(part.len, room_in(to));
        if (numbers != NULL)
            renumber(numbers, buf_head(&from->in), part.len);
        if (!stream_put(t, to, part, 0, why))
            return false;
        buf_skip(&from->in, part.len);
        task_breathe(t);
    }
    return stream_try_flush(to) || stream_flush(t, to, 0, why);
}

static bool wait_for_either(struct task *t, struct stream *a, struct stream *b, struct fault *why)
{
    struct wait wait = {
        .readable = room_in(b) > 0 ? &a->watch : NULL,
        .readable2 = room_in(a) > 0 ? &b->watch : NULL,
        .writable = stream_has_unsent(a) ? &a->watch : NULL,
        .writable2 = stream_has_unsent(b) ? &b->watch : NULL,
    };
    if (task_wait(t, &wait) == WOKE_READY)
        return true;
    return fault_set(why, BLAME_TIME, 0, "cancelled");
}

void pump(struct task *t, struct stream *a, struct stream *b, struct renumbering *of_b,
          struct fault *why)
{
    double now;
    while (pass_on(t, a, b, NULL, why) && pass_on(t, b, a, of_b, why) && wait_for_either(t, a, b, why))
        ;
    now = worker_now(task_worker(t));
    if (a->peer_closed && !b->broken)
        stream_flush(t, b, now + LAST_WORDS_S, NULL);
    if (b->peer_closed && !a->broken)
        stream_flush(t, a, now + LAST_WORDS_S, NULL);
}
