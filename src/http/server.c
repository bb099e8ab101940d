/*
 * server.c - libmicrohttpd in the control loop; see http.h.
 *
 * It has no thread, no listening socket and no clock of its own: net's listener accepts, libev
 * watches its epoll descriptor, and `visitors` ends those that it would wait for too patiently
 * (it knows only silence, not a request that comes one byte a second).
 */
#include "http/inside.h"

#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"

enum {
    VISITORS = 64,
    SILENCE_S = 10,
    REQUEST_S = 30, /* a request and its answer, however steadily they come     */
    VISITOR_MEMORY_BYTES = 16 * 1024,
    BACKLOG = 64,
};

/* One connection, from MHD's "started" to its "closed"; in http.visitors in between. */
struct visitor {
    struct timeout timeout;
    int fd; /* MHD's                                                   */
};

/* ---- the loop ----------------------------------------------------------------------- */

static void aim(struct http *h)
{
    struct ev_loop *loop = worker_loop(h->host.control);
    MHD_UNSIGNED_LONG_LONG after_ms;
    ev_timer_stop(loop, &h->due);
    if (MHD_get_timeout(h->daemon, &after_ms) != MHD_YES)
        return;
    ev_timer_set(&h->due, (double)after_ms / 1e3, 0.);
    ev_timer_start(loop, &h->due);
}

static void serve(struct http *h)
{
    MHD_run(h->daemon);
    aim(h);
}

static void on_ready(struct ev_loop *loop, ev_io *io, int revents)
{
    (void)loop, (void)revents;
    serve(io->data);
}

static void on_due(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void)loop, (void)revents;
    serve(timer->data);
}

/* ---- visitors ----------------------------------------------------------------------- */

/* MHD sees the end of the connection in its next turn, and closes. */
static void send_away(struct timeouts *ts, struct list *link)
{
    struct visitor *v = container_of(link, struct visitor, timeout.link);
    (void)ts;
    shutdown(v->fd, SHUT_RDWR);
}

static void on_visitor(void *cls, struct MHD_Connection *c, void **context,
                       enum MHD_ConnectionNotificationCode code)
{
    struct http *h = cls;
    struct visitor *v = *context;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        *context = v = mem_zalloc(sizeof *v);
        v->fd = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
        list_init(&v->timeout.link);
        timeout_arm(&h->visitors, &v->timeout);
        h->n_visitors++;
        return;
    }
    timeout_disarm(&h->visitors, &v->timeout);
    mem_free(v);
    *context = NULL;
    h->n_visitors--;
    if (h->listener.is_paused)
        listener_pause(&h->listener, false);
}

/* The house is full: who has got no answer for longest makes place, so that a few that hold their
 * connections open can't keep health checks out. */
static void make_place(struct http *h)
{
    struct list *oldest = list_first(&h->visitors.queue);
    listener_pause(&h->listener, true);
    if (oldest == NULL)
        return;
    list_leave(oldest);
    send_away(&h->visitors, oldest);
}

static void on_accepted(struct listener *l, int fd, const struct address *from)
{
    struct http *h = l->owner;
    if (MHD_add_connection(h->daemon, fd, &from->any, from->len) != MHD_YES)
        log_debug("http connection refused"); /* MHD has closed it */
    if (h->n_visitors >= VISITORS)
        make_place(h);
    aim(h);
}

static void on_refused(struct listener *l, int fd)
{
    (void)l, (void)fd;
    log_debug("http connection refused", "why=\"out of descriptors\"");
}

/* ---- requests ----------------------------------------------------------------------- */

static enum MHD_Result answer(struct MHD_Connection *c, struct answer a)
{
    enum MHD_Result queued = MHD_queue_response(c, a.status, a.response);
    if (!a.is_kept)
        MHD_destroy_response(a.response);
    return queued;
}

/* Called when the head has come, for each piece of a body, and when all has come. */
static enum MHD_Result on_request(void *cls, struct MHD_Connection *c, const char *path,
                                  const char *method, const char *version, const char *body,
                                  size_t *body_len, void **seen)
{
    struct http *h = cls;
    (void)version, (void)body;
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
        return *seen == NULL ? answer(c, page_refuse_method()) : MHD_NO;
    if (*body_len != 0)
        return MHD_NO;
    if (*seen == NULL) {
        *seen = h;
        return MHD_YES;
    }
    return answer(
        c, page_answer(h, path, MHD_lookup_connection_value(c, MHD_GET_ARGUMENT_KIND, "by")));
}

static void on_answered(void *cls, struct MHD_Connection *c, void **seen,
                        enum MHD_RequestTerminationCode how)
{
    struct http *h = cls;
    (void)seen;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct visitor *v = info != NULL ? info->socket_context : NULL;
    if (v != NULL && how == MHD_REQUEST_TERMINATED_COMPLETED_OK)
        timeout_arm(&h->visitors, &v->timeout);
}

static void on_words(void *cls, const char *fmt, va_list args)
    __attribute__((format(printf, 2, 0)));
static void on_words(void *cls, const char *fmt, va_list args)
{
    char words[256];
    (void)cls;
    int len = vsnprintf(words, sizeof words, fmt, args);
    if (len > 0)
        log_debug("http", "text=%s", log_quote(bytes_of(words, strcspn(words, "\n"))));
}

/* ---- opening and closing ------------------------------------------------------------ */

static struct MHD_Daemon *start_daemon(struct http *h)
{
    /* The logger first: it is told about the rest. */
    return MHD_start_daemon(MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_USE_ERROR_LOG, 0, NULL,
                            NULL, on_request, h, MHD_OPTION_EXTERNAL_LOGGER, on_words, NULL,
                            /* One more than we let in: what comes is ours to refuse. */
                            MHD_OPTION_CONNECTION_LIMIT, (unsigned)VISITORS + 1,
                            MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)SILENCE_S,
                            MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)VISITOR_MEMORY_BYTES,
                            MHD_OPTION_NOTIFY_CONNECTION, on_visitor, h,
                            MHD_OPTION_NOTIFY_COMPLETED, on_answered, h, MHD_OPTION_END);
}

static void close_all(struct http *h)
{
    struct ev_loop *loop = worker_loop(h->host.control);
    if (h->address == NULL)
        return;
    log_info("http closed", "address=%s", h->address);
    listener_close(&h->listener);
    h->listener.is_paused = false; /* the last visitor's end would open it again */
    ev_io_stop(loop, &h->ready);
    ev_timer_stop(loop, &h->due);
    MHD_stop_daemon(h->daemon);
    h->daemon = NULL;
    timeouts_release(&h->visitors);
    mem_free(h->address);
    h->address = NULL;
}

static bool open_at(struct http *h, const char *address, const struct address *at,
                    struct fault *why)
{
    struct worker *w = h->host.control;
    char words[ADDRESS_TEXT_BYTES];
    h->listener = (struct listener){ .accepted = on_accepted, .refused = on_refused, .owner = h };
    if (!listener_open(&h->listener, w, at, BACKLOG, why))
        return false;
    h->daemon = start_daemon(h);
    const union MHD_DaemonInfo *info =
        h->daemon != NULL ? MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_EPOLL_FD) : NULL;
    if (info == NULL) {
        listener_close(&h->listener);
        if (h->daemon != NULL)
            MHD_stop_daemon(h->daemon);
        h->daemon = NULL;
        return fault_set(why, BLAME_OURS, 0, "libmicrohttpd can't start for %s", address);
    }
    timeouts_init(&h->visitors, w, REQUEST_S, send_away);
    ev_io_init(&h->ready, on_ready, info->epoll_fd, EV_READ);
    ev_timer_init(&h->due, on_due, 0., 0.);
    h->ready.data = h->due.data = h;
    ev_io_start(worker_loop(w), &h->ready);
    h->address = mem_strdup(address);
    address_print(&h->listener.address, true, words);
    log_info("http listening", "address=%s", words);
    return true;
}

bool http_configure(struct http *h, const struct config *c, struct fault *why)
{
    const char *address = c->http.address;
    if (address == NULL || address[0] == '\0') {
        close_all(h);
        return true;
    }
    if (h->address != NULL && strcmp(h->address, address) == 0)
        return true;
    close_all(h);
    return open_at(h, address, &c->http.resolved, why);
}

struct http *http_new(const struct http_host *host)
{
    struct http *h = mem_zalloc(sizeof *h);
    h->host = *host;
    pages_init(h);
    return h;
}

void http_free(struct http *h)
{
    if (h == NULL)
        return;
    close_all(h);
    pages_release(h);
    mem_free(h);
}
