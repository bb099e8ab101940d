/*
 * listen.c - accept clients, also when descriptors run out.
 *
 * The classic fix: one descriptor is kept in reserve.  On EMFILE it is given up,
 * the client is accepted into its place, told why it can't stay, and closed;
 * otherwise it would sit in the backlog and wake us in every turn.
 */
#include "net/net.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ACCEPTS_PER_TURN = 64 };
static const double retry_s = 0.1; /* when not even the reserve helps */

static void on_connections(struct watch *watch);

static int listener_fd(const struct listener *l)
{
    return l->watch.on_read.fd;
}

static bool listen_failed(const struct address *at, const char *what, int error, struct fault *why)
{
    char name[ADDRESS_TEXT_BYTES];
    address_print(at, true, name);
    return fault_set(why, BLAME_OURS, 0, "can't listen on %s: %s: %s", name, what, strerror(error));
}

/* ---- accepting --------------------------------------------------------------- */

static void reserve(struct listener *l)
{
    if (l->reserve_fd < 0)
        l->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static int take_one(struct listener *l, struct address *from)
{
    *from = (struct address){ .len = sizeof from->un };
    int fd = accept4(listener_fd(l), &from->any, &from->len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return -1;
    /* say the IPv4 address, as access rules and operators do */
    address_unmap(from);
    return fd;
}

static bool out_of_descriptors(int error)
{
    return error == EMFILE || error == ENFILE;
}

/* Nothing can be accepted for now, and the backlog would wake us in every turn. */
static void rest(struct listener *l)
{
    watch_idle(l->worker, &l->watch, NULL);
    if (!ev_is_active(&l->retry))
        ev_timer_start(worker_loop(l->worker), &l->retry);
}

static void on_retry(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct listener *l = timer->data;
    (void)loop, (void)revents;
    reserve(l);
    if (!l->is_paused)
        watch_idle(l->worker, &l->watch, on_connections);
}

/* Take one client into the place of the reserve; false when that did not help. */
static bool refuse_one(struct listener *l)
{
    struct address from;
    if (l->reserve_fd < 0)
        return false;
    close(l->reserve_fd);
    l->reserve_fd = -1;
    int fd = take_one(l, &from);
    int error = errno;
    if (fd >= 0) {
        l->refusals++;
        l->refused(l, fd);
        close(fd);
    }
    reserve(l);
    return fd >= 0 || !out_of_descriptors(error);
}

/* True when another may wait behind it. */
static bool accept_one(struct listener *l)
{
    struct address from;
    int fd = take_one(l, &from);
    if (fd >= 0) {
        l->accepts++;
        l->accepted(l, fd, &from);
        return true;
    }
    int error = errno;
    if (error == EAGAIN || error == EWOULDBLOCK)
        return false;
    if (out_of_descriptors(error) && refuse_one(l))
        return true;
    if (out_of_descriptors(error) || error == ENOBUFS || error == ENOMEM) {
        rest(l);
        return false;
    }
    return true; /* this client has gone already: ECONNABORTED and the like */
}

static void on_connections(struct watch *watch)
{
    struct listener *l = container_of(watch, struct listener, watch);
    for (int n = 0; n < ACCEPTS_PER_TURN && watch->on_idle != NULL; n++)
        if (!accept_one(l))
            return;
}

/* ---- opening and closing --------------------------------------------------------- */

/* A socket file is stale when nobody listens behind it. */
static bool remove_stale(const struct address *at)
{
    struct stat st;
    if (lstat(at->un.sun_path, &st) != 0 || !S_ISSOCK(st.st_mode))
        return false;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    bool is_stale = fd >= 0 && connect(fd, &at->any, at->len) != 0 && errno == ECONNREFUSED;
    if (fd >= 0)
        close(fd);
    return is_stale && unlink(at->un.sun_path) == 0;
}

static bool bind_to(int fd, const struct address *at)
{
    if (bind(fd, &at->any, at->len) == 0)
        return true;
    if (errno != EADDRINUSE || at->any.sa_family != AF_UNIX)
        return false;
    if (remove_stale(at))
        return bind(fd, &at->any, at->len) == 0;
    errno = EADDRINUSE;
    return false;
}

/* NULL, or what could not be done; errno says why.  What is accepted has the options of the listening
 * socket, so they cost no system call per client. */
static const char *set_up(int fd, const struct address *at, int backlog)
{
    int on = 1;
    if (at->any.sa_family != AF_UNIX &&
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0)
        return "SO_REUSEADDR";
    if (at->any.sa_family != AF_UNIX &&
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0)
        return "TCP_NODELAY";
    if (!bind_to(fd, at))
        return "bind";
    /* Clients run as any user; the protocol asks who they are. */
    if (at->any.sa_family == AF_UNIX && chmod(at->un.sun_path, 0777) != 0)
        return "chmod";
    return listen(fd, backlog) == 0 ? NULL : "listen";
}

bool listener_open(struct listener *l, struct worker *w, const struct address *at, int backlog,
                   struct fault *why)
{
    int fd = socket(at->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return listen_failed(at, "socket", errno, why);
    const char *failed = set_up(fd, at, backlog);
    if (failed != NULL) {
        listen_failed(at, failed, errno, why);
        close(fd);
        return false;
    }
    l->worker = w;
    l->accepts = l->refusals = 0;
    l->is_paused = false;
    l->address = *at;
    l->address.len = sizeof l->address.un;
    must(getsockname(fd, &l->address.any, &l->address.len) == 0);
    l->reserve_fd = -1;
    reserve(l);
    ev_timer_init(&l->retry, on_retry, retry_s, 0.);
    l->retry.data = l;
    watch_init(&l->watch, fd);
    watch_idle(w, &l->watch, on_connections);
    return true;
}

void listener_keepalive(struct listener *l, const struct keepalive *k)
{
    socket_keepalive(listener_fd(l), k);
}

void listener_pause(struct listener *l, bool paused)
{
    l->is_paused = paused;
    if (paused)
        watch_idle(l->worker, &l->watch, NULL);
    else if (!ev_is_active(&l->retry))
        watch_idle(l->worker, &l->watch, on_connections);
}

void listener_close(struct listener *l)
{
    if (listener_fd(l) < 0)
        return;
    watch_stop(l->worker, &l->watch);
    ev_timer_stop(worker_loop(l->worker), &l->retry);
    close(listener_fd(l));
    watch_init(&l->watch, -1);
    if (l->reserve_fd >= 0)
        close(l->reserve_fd);
    l->reserve_fd = -1;
    if (l->address.any.sa_family == AF_UNIX)
        unlink(l->address.un.sun_path);
}
