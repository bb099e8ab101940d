/*
 * dial.c - connect to a server; what a connection keeps itself alive with.
 */
#include "net/net.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <unistd.h>

/* A unix listener with a full backlog refuses at once: ask again this often. */
static const double unix_retry_s = 0.01;

static bool dial_failed(const struct address *to, enum blame blame, int error, struct fault *why)
{
    char name[ADDRESS_TEXT_BYTES];
    address_print(to, true, name);
    return fault_set(why, blame, 0, "volvox: can't connect to %s: %s", name, strerror(error));
}

static int open_socket(const struct address *to)
{
    int fd = socket(to->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int on = 1;
    if (fd >= 0 && to->any.sa_family != AF_UNIX)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

static bool wait_connected(struct task *t, int fd, const struct address *to, double deadline,
                           struct fault *why)
{
    struct watch watch;
    int error = 0;
    socklen_t len = sizeof error;
    watch_init(&watch, fd);
    enum woke woke = task_wait(t, &(struct wait){ .writable = &watch, .deadline = deadline });
    watch_stop(task_worker(t), &watch);
    if (woke != WOKE_READY)
        return dial_failed(to, BLAME_TIME, woke == WOKE_DEADLINE ? ETIMEDOUT : ECANCELED, why);
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
        error = errno;
    return error == 0 || dial_failed(to, BLAME_SERVER, error, why);
}

/* Without a deadline nobody would end the asking: a full backlog is the answer. */
static bool wait_backlog(struct task *t, const struct address *to, double deadline,
                         struct fault *why)
{
    double now = worker_now(task_worker(t));
    if (deadline <= 0)
        return dial_failed(to, BLAME_SERVER, EAGAIN, why);
    if (deadline <= now)
        return dial_failed(to, BLAME_TIME, ETIMEDOUT, why);
    return task_park(t, MIN(now + unix_retry_s, deadline)) != WOKE_CANCELLED ||
           dial_failed(to, BLAME_TIME, ECANCELED, why);
}

static bool connect_to(struct task *t, int fd, const struct address *to, double deadline,
                       struct fault *why)
{
    while (connect(fd, &to->any, to->len) != 0) {
        if (errno == EINPROGRESS || errno == EINTR)
            return wait_connected(t, fd, to, deadline, why);
        if (errno != EAGAIN || to->any.sa_family != AF_UNIX)
            return dial_failed(to, BLAME_SERVER, errno, why);
        if (!wait_backlog(t, to, deadline, why))
            return false;
    }
    return true;
}

int stream_dial(struct task *t, const struct address *to, double deadline, struct fault *why)
{
    int fd = open_socket(to);
    if (fd < 0) {
        dial_failed(to, BLAME_OURS, errno, why);
        return -1;
    }
    if (connect_to(t, fd, to, deadline, why))
        return fd;
    close(fd);
    return -1;
}

static void set_tcp(int fd, int option, unsigned value)
{
    if (value != 0)
        setsockopt(fd, IPPROTO_TCP, option, &value, sizeof value);
}

/* Unix sockets refuse these options, which does no harm. */
void socket_keepalive(int fd, const struct keepalive *k)
{
    int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    set_tcp(fd, TCP_KEEPIDLE, k->idle_s);
    set_tcp(fd, TCP_KEEPINTVL, k->interval_s);
    set_tcp(fd, TCP_KEEPCNT, k->count);
    set_tcp(fd, TCP_USER_TIMEOUT, k->user_timeout_ms);
}
