/*
 * sockets.h - pairs of streams and plain peers for the tests of net/.
 */
#ifndef UNIT_NET_SOCKETS_H
#define UNIT_NET_SOCKETS_H

#include "unit/run/harness.h"

#include "net/net.h"

#include <errno.h>
#include <fcntl.h>

/* A stream, and the other end as a plain non-blocking descriptor. */
static inline int open_stream(struct task *t, struct stream *st)
{
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    stream_open(st, task_worker(t), ends[0], BLAME_CLIENT);
    return ends[1];
}

static inline void peer_sends(int fd, const void *data, size_t len)
{
    assert_int_equal(send(fd, data, len, MSG_NOSIGNAL), (ssize_t)len);
}

/* What is there now, at most len. */
static inline size_t peer_gets(int fd, void *data, size_t len)
{
    ssize_t n = recv(fd, data, len, 0);
    if (n < 0)
        assert_int_equal(errno, EAGAIN);
    return n < 0 ? 0 : (size_t)n;
}

static inline struct address address_of(const char *text)
{
    struct address a;
    struct fault why = FAULT_NONE;
    if (!address_parse(bytes_str(text), 0, &a, &why))
        fail_msg("%s", why.text);
    return a;
}

/* A listening socket outside any loop, on 127.0.0.1 and a port of the kernel's. */
static inline int listen_plainly(struct address *at, int backlog)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    *at = address_of("127.0.0.1:0");
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, &at->any, at->len), 0);
    assert_int_equal(listen(fd, backlog), 0);
    assert_int_equal(getsockname(fd, &at->any, &at->len), 0);
    return fd;
}

#endif
