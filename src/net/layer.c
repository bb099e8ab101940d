/* layer.c - what TLS and compression have in common; see net.h. */
#include "net/inside.h"

void layers_free(struct layer *top)
{
    while (top != NULL) {
        struct layer *below = top->below;
        buf_release(&top->early);
        top->kind->free(top);
        top = below;
    }
}

void stream_push_layer(struct stream *st, struct layer *l)
{
    must(!stream_has_unsent(st));
    l->below = st->top;
    l->fd = stream_fd(st);
    buf_add(&l->early, buf_bytes(&st->in));
    buf_skip(&st->in, buf_len(&st->in));
    st->top = l;
    st->in_filled |= buf_len(&l->early) > 0; /* (what is below may have more, too) */
}

struct layer *stream_layer(const struct stream *st, const struct layer_kind *kind)
{
    struct layer *l = st->top;
    while (l != NULL && l->kind != kind)
        l = l->below;
    return l;
}

bool stream_is_private(const struct stream *st)
{
    struct sockaddr_storage a;
    socklen_t len = sizeof a;
    for (const struct layer *l = st->top; l != NULL; l = l->below)
        if (l->kind->is_private)
            return true;
    return !st->passed_on && getsockname(stream_fd(st), (struct sockaddr *)&a, &len) == 0 &&
           a.ss_family == AF_UNIX;
}

ssize_t layer_receive_below(struct layer *l, void *to, size_t room)
{
    size_t early = MIN(buf_len(&l->early), room);
    if (early > 0) {
        memcpy(to, buf_head(&l->early), early);
        buf_skip(&l->early, early);
        buf_give_up(&l->early);
        return (ssize_t)early;
    }
    return l->below != NULL ? l->below->kind->receive(l->below, to, room) : recv(l->fd, to, room, 0);
}

/* Nothing is taken out of the socket. */
static ssize_t peek_at_socket(int fd)
{
    char byte;
    return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
}

static ssize_t peek_from(struct layer *l, int fd)
{
    for (; l != NULL; l = l->below) {
        if (l->kind->has_more(l) || buf_len(&l->early) > 0)
            return 1;
        if (l->kind->peek != NULL)
            return l->kind->peek(l);
    }
    return peek_at_socket(fd);
}

ssize_t stream_peek(struct stream *st)
{
    return peek_from(st->top, stream_fd(st));
}

ssize_t layer_peek_below(struct layer *l)
{
    return peek_from(l->below, l->fd);
}

ssize_t layer_send_below(struct layer *l, struct bytes data)
{
    return l->below != NULL ? l->below->kind->send(l->below, data)
                            : send(l->fd, data.data, data.len, MSG_NOSIGNAL);
}
