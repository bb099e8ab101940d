/*
 * stream.c - read ahead into `in`, send from `out` or from where the data lies.
 *
 * Memory follows what really arrives, never what a length field promises: the
 * first recv() offers 4 KiB, and only when that was filled the next offers 64 KiB
 * or as much as is there already.
 */
#include "net/inside.h"

#include <errno.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    READ_FIRST = 4 << 10,    /* offered to a recv() of which nothing is known */
    READ_MORE = 64 << 10,    /* offered when the one before took all          */
    IN_LIMIT = 16 << 20,     /* until the owner says otherwise                */
    SEND_DIRECT = 16 << 10,  /* from here on copying costs more than sending  */
    UNSENT_MOST = 256 << 10, /* stream_put() parks above                      */
    UNSENT_LOW = 64 << 10,   /* and then until below                          */
    TOO_LARGE = 1153,        /* ER_NET_PACKET_TOO_LARGE                       */
};

/* ---- life ------------------------------------------------------------------ */

void stream_open(struct stream *st, struct worker *w, int fd, enum blame blame)
{
    *st = (struct stream){ .worker = w, .blame = blame, .in_limit_bytes = IN_LIMIT };
    watch_init(&st->watch, fd);
}

void stream_close(struct stream *st)
{
    int fd = stream_fd(st);
    bool was_opened = st->watch.on_read.cb != NULL;
    if (was_opened && st->worker != NULL)
        watch_stop(st->worker, &st->watch);
    if (st->top != NULL && !st->broken)
        st->top->kind->goodbye(st->top);
    layers_free(st->top);
    st->top = NULL;
    buf_release(&st->in);
    buf_release(&st->out);
    if (was_opened && fd >= 0)
        close(fd);
    watch_init(&st->watch, -1);
}

void stream_leave_worker(struct stream *st)
{
    watch_stop(st->worker, &st->watch);
    st->worker = NULL;
}

void stream_join_worker(struct stream *st, struct worker *w)
{
    must(st->worker == NULL);
    watch_init(&st->watch, stream_fd(st)); /* this loop does not know it yet */
    st->worker = w;
}

void stream_move(struct stream *to, struct stream *from)
{
    struct worker *w = from->worker;
    if (w != NULL)
        stream_leave_worker(from);
    *to = *from;
    from->watch.on_read.fd = -1;
    from->in = from->out = (struct buf){ 0 };
    from->top = NULL;
    if (w != NULL)
        stream_join_worker(to, w);
}

void stream_rest(struct stream *st)
{
    buf_give_up(&st->in);
    buf_give_up(&st->out);
    for (struct layer *l = st->top; l != NULL; l = l->below)
        if (l->kind->rest != NULL)
            l->kind->rest(l);
}

/* ---- failing ---------------------------------------------------------------- */

/* "client", "server"; whoever is at the other end. */
bool stream_say_lost(const struct stream *st, int error, struct fault *why)
{
    const char *who = blame_name(st->blame);
    if (st->broken && error != 0)
        return fault_set(why, st->blame, 0, "volvox: connection to %s is lost: %s", who, strerror(error));
    if (st->broken)
        return fault_set(why, st->blame, 0, "volvox: connection to %s is lost", who);
    return fault_set(why, st->blame, 0, "volvox: %s closed the connection", who);
}

static bool wait_failed(const struct stream *st, enum woke woke, struct fault *why)
{
    const char *who = blame_name(st->blame);
    if (woke == WOKE_CANCELLED)
        return fault_set(why, BLAME_TIME, 0, "volvox: cancelled while waiting for %s", who);
    return fault_set(why, BLAME_TIME, 0, "volvox: %s did not go on in time", who);
}

bool stream_wait_readable(struct task *t, struct stream *st, double deadline, struct fault *why)
{
    /* What has come may bring a layer nothing, over and over. */
    if (st->top != NULL && deadline > 0 && worker_now(task_worker(t)) >= deadline)
        return wait_failed(st, WOKE_DEADLINE, why);
    enum woke woke = task_wait(t, &(struct wait){ .readable = &st->watch, .deadline = deadline });
    return woke == WOKE_READY || wait_failed(st, woke, why);
}

bool stream_wait_writable(struct task *t, struct stream *st, double deadline, struct fault *why)
{
    enum woke woke = task_wait(t, &(struct wait){ .writable = &st->watch, .deadline = deadline });
    return woke == WOKE_READY || wait_failed(st, woke, why);
}

/* ---- reading ------------------------------------------------------------------ */

static size_t room_wanted(const struct stream *st, size_t at_least)
{
    size_t len = buf_len(&st->in), total = READ_MORE;
    if (st->in.cap == 0)
        return READ_FIRST;
    if (!st->in_filled) /* what it holds is enough; perhaps it must slide */
        return MAX(MIN(at_least, st->in.cap - len), (size_t)1);
    while (total < 2 * len)
        total *= 2;
    return total - len;
}

/* Beyond the limit there is room for what comes behind the last packet. */
static bool offer_room(struct stream *st, size_t at_least, struct fault *why)
{
    size_t most = (size_t)st->in_limit_bytes + READ_MORE, len = buf_len(&st->in);
    size_t room = room_wanted(st, at_least);
    if (len < most)
        room = MIN(room, most - len);
    return buf_reserve(&st->in, room, most, why);
}

/* As stream_fill(); errno is set when the result is -1 and the stream broken. */
static ssize_t receive(struct stream *st)
{
    size_t room = buf_room(&st->in);
    ssize_t n;
    do
        n = st->top == NULL ? recv(stream_fd(st), buf_end(&st->in), room, 0)
                            : st->top->kind->receive(st->top, buf_end(&st->in), room);
    while (n < 0 && errno == EINTR);
    if (n > 0) {
        buf_wrote(&st->in, (size_t)n);
        st->received += (uint64_t)n;
        st->in_filled = (size_t)n == room || (st->top != NULL && st->top->kind->has_more(st->top));
        return n;
    }
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
        st->in_filled &= st->top == NULL || st->top->kind->has_more(st->top);
        return 0;
    }
    st->peer_closed = n == 0;
    st->broken |= n < 0 && errno != EILSEQ; /* that can be told */
    st->unreadable |= n < 0;
    return -1;
}

ssize_t stream_fill(struct stream *st, size_t at_least)
{
    if (st->unreadable || st->peer_closed)
        return -1;
    if (!offer_room(st, at_least, NULL)) {
        st->broken = st->unreadable = true;
        return -1;
    }
    return receive(st);
}

bool stream_need(struct task *t, struct stream *st, size_t n, double deadline, struct fault *why)
{
    if (n > st->in_limit_bytes)
        return fault_set(why, st->blame, TOO_LARGE, "volvox: %s sends more than %u bytes in one piece",
                         blame_name(st->blame), st->in_limit_bytes);
    while (buf_len(&st->in) < n) {
        if (st->unreadable || st->peer_closed)
            return stream_say_lost(st, 0, why);
        if (!offer_room(st, n - buf_len(&st->in), why))
            return false;
        ssize_t got = receive(st);
        if (got < 0)
            return stream_say_lost(st, errno, why);
        if (got == 0 && !stream_wait_readable(t, st, deadline, why))
            return false;
    }
    return true;
}

/* ---- writing ------------------------------------------------------------------- */

static void took(struct stream *st, struct bytes *data, size_t n)
{
    size_t from_out = MIN(n, buf_len(&st->out));
    st->sent += n;
    buf_skip(&st->out, from_out);
    *data = bytes_skip(*data, n - from_out);
}

/* The same through the layers. */
static bool send_through(struct stream *st, struct bytes *data)
{
    struct layer *top = st->top;
    ssize_t n = 0;
    while (n >= 0 && buf_len(&st->out) + data->len > 0) {
        n = top->kind->send(top, buf_len(&st->out) > 0 ? buf_bytes(&st->out) : *data);
        if (n > 0)
            took(st, data, (size_t)n);
    }
    if (n >= 0)
        n = top->kind->flush(top);
    st->broken |= n < 0 && errno != EAGAIN && errno != EWOULDBLOCK;
    return !st->broken;
}

/* Send what is in `out`, and then `data`, of which it skips what was sent; as
 * much as the socket takes now.  False when the stream broke; errno is set. */
static bool send_now(struct stream *st, struct bytes *data)
{
    if (st->top != NULL)
        return send_through(st, data);
    struct bytes out = buf_bytes(&st->out);
    struct iovec parts[2] = { { (void *)out.data, out.len }, { (void *)data->data, data->len } };
    struct msghdr msg = { .msg_iov = parts, .msg_iovlen = 2 };
    ssize_t n;
    if (out.len + data->len == 0)
        return true;
    do
        n = sendmsg(stream_fd(st), &msg, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    if (n >= 0)
        took(st, data, (size_t)n);
    else if (errno != EAGAIN && errno != EWOULDBLOCK)
        st->broken = true;
    return !st->broken;
}

bool stream_try_flush(struct stream *st)
{
    return !st->broken && send_now(st, &(struct bytes){ NULL, 0 });
}

static bool append(struct stream *st, struct bytes data, struct fault *why)
{
    if (data.len == 0)
        return true;
    if (!buf_reserve(&st->out, data.len, UNSENT_MOST, why))
        return false;
    memcpy(buf_end(&st->out), data.data, data.len);
    buf_wrote(&st->out, data.len);
    return true;
}

bool stream_put(struct task *t, struct stream *st, struct bytes data, double deadline,
                struct fault *why)
{
    size_t most = UNSENT_MOST;
    /* mostly a small packet behind others, and there is room */
    if (data.len < SEND_DIRECT && data.len <= buf_room(&st->out) && st->out.cap <= UNSENT_MOST &&
        !st->broken && data.len > 0) {
        memcpy(buf_end(&st->out), data.data, data.len);
        st->out.tail += (uint32_t)data.len;
        return true;
    }
    bool send = data.len >= SEND_DIRECT || buf_len(&st->out) + data.len > most;
    if (st->broken)
        return stream_say_lost(st, 0, why);
    while (send) {
        if (!send_now(st, &data))
            return stream_say_lost(st, errno, why);
        send = buf_len(&st->out) + data.len > most;
        if (send && !stream_wait_writable(t, st, deadline, why))
            return false;
        most = UNSENT_LOW;
    }
    return append(st, data, why);
}

bool stream_has_unsent(const struct stream *st)
{
    return buf_len(&st->out) > 0 || (st->top != NULL && st->top->kind->holds(st->top));
}

bool stream_flush(struct task *t, struct stream *st, double deadline, struct fault *why)
{
    if (st->broken)
        return stream_say_lost(st, 0, why);
    for (;;) {
        if (!stream_try_flush(st))
            return stream_say_lost(st, errno, why);
        if (!stream_has_unsent(st))
            return true;
        if (!stream_wait_writable(t, st, deadline, why))
            return false;
    }
}

/* ---- the other end ---------------------------------------------------------------- */

enum presence stream_peer(struct stream *st)
{
    if (st->peer_closed || st->unreadable)
        return PEER_GONE;
    ssize_t n = stream_peek(st);
    if (n > 0) {
        st->in_filled |= st->top != NULL;   /* the layer has it now: the loop won't tell */
        return PEER_SPOKE;
    }
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        return PEER_QUIET;
    st->peer_closed |= n == 0;
    st->broken |= n < 0;
    st->unreadable |= n < 0;
    return PEER_GONE;
}

/* ---- the last word --------------------------------------------------------------- */

/* Throw away what comes; true when the peer has closed or is gone. */
static bool await_close(struct task *t, struct stream *st, double deadline)
{
    buf_skip(&st->in, buf_len(&st->in));
    while (worker_now(task_worker(t)) < deadline) {
        ssize_t n = stream_fill(st, 1);
        buf_skip(&st->in, buf_len(&st->in));
        if (n < 0)
            return true;
        if (n > 0)
            task_breathe(t);
        else if (!stream_wait_readable(t, st, deadline, NULL))
            return false;
    }
    return false;
}

static void linger(struct task *t, struct stream *st, double first_s, double linger_s)
{
    double start = worker_now(task_worker(t));
    if (!stream_flush(t, st, start + linger_s / 2, NULL))
        return;
    if (await_close(t, st, start + first_s))
        return;
    if (st->top != NULL)
        st->top->kind->goodbye(st->top);
    shutdown(stream_fd(st), SHUT_WR);
    await_close(t, st, start + linger_s);
}

void stream_linger(struct task *t, struct stream *st, double linger_s)
{
    linger(t, st, linger_s / 2, linger_s);
}

void stream_linger_shortly(struct task *t, struct stream *st, double linger_s)
{
    enum { SHORTLY_MS = 20 };
    linger(t, st, MIN(SHORTLY_MS / 1000.0, linger_s / 2), linger_s);
}

void stream_reset(struct stream *st)
{
    const struct linger none = { .l_onoff = 1, .l_linger = 0 };
    int unacknowledged = 0;
    if (buf_len(&st->out) == 0 && ioctl(stream_fd(st), SIOCOUTQ, &unacknowledged) == 0 &&
        unacknowledged == 0)
        setsockopt(stream_fd(st), SOL_SOCKET, SO_LINGER, &none, sizeof none);
}
