/* A look at a server, blocking, on a probe thread: what it says before anybody has logged in,
 * whether it is believed, and a login that is denied. */
#include "servers/inside.h"

#include "base/clock.h"
#include "base/str.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

bool probe_shows_life(unsigned code)
{
    switch (code) {
    case 1040: /* too many connections                       */
    case 1045: /* access denied                              */
    case 1130: /* this host may not connect                  */
    case 1203: /* too many connections of this user          */
    case 1226: /* ... or other resources                     */
    case 1227: /* a privilege is missing                     */
    case 1251: /* login method not supported by the client   */
    case 1524: /* login method not loaded                    */
    case 1698: /* access denied, without a password          */
    case 1820: /* password must be changed                   */
    case 1862: /* password has expired                       */
    case 2059: /* client plugin could not be loaded          */
    case 3118: /* account is locked                          */
    case 4151: /* account is locked (MariaDB)                */
        return true;
    default:
        return false;
    }
}

/* What a server says is shown to clients and operators: only plain letters of it. */
bool probe_failed(struct finding *f, const char *text)
{
    str_copy(f->why, sizeof(f->why), bytes_str(text));
    for (char *at = f->why; *at != '\0'; at++)
        if ((uint8_t)*at < ' ' || (uint8_t)*at >= 0x7F)
            *at = '?';
    return false;
}

/* ---- a conversation --------------------------------------------------------------------- */

/* Wait until the descriptor is ready for `events`; false at the deadline. */
static bool wait_fd(int fd, short events, uint64_t deadline_us)
{
    struct pollfd waiting = { .fd = fd, .events = events };
    for (;;) {
        uint64_t now = clock_us();
        int ms = now < deadline_us ? (int)((deadline_us - now) / 1000) + 1 : 0;
        int ready = poll(&waiting, 1, ms);
        if (ready > 0)
            return true;
        if (ready == 0 || errno != EINTR)
            return false;
    }
}

/* What expects a PROXY header, and would not greet before, gets one: the connection is our own.
 * (libmariadb sends such headers with the login only, which is no use: who greets first needs
 * none.)  Some bytes on a new connection never block. */
static void send_header(const struct probe *p, int fd)
{
    struct buf header = { 0 };
    struct proxy_header nobody = { .family = PROXY_UNKNOWN };
    proxy_header_write(&header, atomic_load(&p->server->proxy_protocol), &nobody);
    if (buf_len(&header) > 0)
        (void)!send(fd, buf_head(&header), buf_len(&header), MSG_NOSIGNAL | MSG_DONTWAIT);
    buf_release(&header);
}

static int dial(struct probe *p, uint64_t deadline_us)
{
    const struct address *to = &p->server->address;
    int fd = socket(to->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int error = 0;
    socklen_t len = sizeof(error);
    if (fd < 0) {
        probe_failed(&p->found, strerror(errno));
        return -1;
    }
    if (connect(fd, &to->any, to->len) != 0)
        error = errno;
    if (error == EINPROGRESS && !wait_fd(fd, POLLOUT, deadline_us))
        error = ETIMEDOUT;
    else if (error == EINPROGRESS && getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
        error = errno;
    if (error == 0) {
        send_header(p, fd);
        return fd;
    }
    close(fd);
    probe_failed(&p->found, strerror(error));
    return -1;
}

/* Of logins that are to be denied. */
#define NOBODYS_CAPS (CAP_LONG_PASSWORD | CAP_PROTOCOL_41 | CAP_SECURE_CONNECTION | CAP_PLUGIN_AUTH)

/* A conversation until the login is over. */
struct visit {
    int fd;
    struct tls_line *tls; /* NULL: in clear                 */
    uint64_t deadline_us;
    struct packet packet; /* the last one received          */
    struct bytes payload; /* ... and its bytes, in `window` */
    uint8_t window[2048];
};

/* As recv(), but it waits. */
static ssize_t hear(struct visit *v, uint8_t *to, size_t room)
{
    if (v->tls != NULL)
        return tls_line_receive(v->tls, to, room, v->deadline_us);
    if (wait_fd(v->fd, POLLIN, v->deadline_us))
        return recv(v->fd, to, room, 0);
    errno = ETIMEDOUT;
    return -1;
}

/* The next packet; false with the reason when none comes. */
static bool receive(struct visit *v, struct finding *f)
{
    struct fault why = FAULT_NONE;
    size_t have = 0, need;
    while (!packet_find(bytes_of(v->window, have), sizeof(v->window) - FRAME_HEADER, &v->packet,
                        &need, &why)) {
        if (need == 0 || need > sizeof(v->window))
            return probe_failed(f, "this is no MySQL server");
        ssize_t n = hear(v, v->window + have, sizeof(v->window) - have);
        if (n < 0 && errno == ETIMEDOUT)
            return probe_failed(f, "no greeting came in time");
        if (n == 0)
            return probe_failed(f, "closed without a greeting");
        if (n < 0 && errno != EINTR && errno != EAGAIN)
            return probe_failed(f, strerror(errno));
        have += n > 0 ? (size_t)n : 0;
    }
    v->payload = bytes_of(v->window + FRAME_HEADER, v->packet.payload_len);
    return true;
}

static void say(struct visit *v, struct buf *out)
{
    bool said = v->tls != NULL ? tls_line_send(v->tls, buf_bytes(out), v->deadline_us)
                               : send(v->fd, buf_head(out), buf_len(out), MSG_NOSIGNAL) >= 0;
    if (!said)
        v->deadline_us = 0; /* nothing more will come */
    buf_skip(out, buf_len(out));
}

/* Servers count who leaves in the middle of a handshake, and after max_connect_errors of that they
 * refuse the whole host; a login that is denied is not counted.  So let ours be denied. */
static void finish_handshake(struct visit *v, const struct greeting *g)
{
    struct finding ignored;
    struct buf out = { 0 };
    uint8_t seq = v->packet.next_seq;
    const struct login nobody = {
        .caps = (g->caps & NOBODYS_CAPS) | (v->tls != NULL ? CAP_SSL : 0),
        .max_packet = 1u << 24,
        .collation = UTF8MB4_GENERAL,
        .user = BYTES_LITERAL("volvox-probe"),
        .plugin = g->plugin,
    };
    login_write(&out, &seq, &nobody);
    say(v, &out);
    /* it may want other proofs first */
    for (unsigned turns = 0; turns < 4 && receive(v, &ignored) && v->payload.len > 0; turns++) {
        if (v->payload.data[0] == 0x00 || v->payload.data[0] == 0xFF)
            break;
        seq = v->packet.next_seq;
        packet_write(&out, &seq, BYTES_NONE);
        say(v, &out);
    }
    buf_release(&out);
}

static bool hear_greeting(struct visit *v, struct greeting *g, struct finding *f)
{
    struct fault why = FAULT_NONE;
    if (!receive(v, f))
        return false;
    if (greeting_read(v->payload, g, &why))
        return true;
    f->alive = probe_shows_life(why.code);
    return probe_failed(f, why.text);
}

static void learn_greeting(struct finding *f, struct visit *v)
{
    struct greeting g;
    if (!hear_greeting(v, &g, f))
        return;
    str_copy(f->version, sizeof(f->version), g.version);
    f->is_mariadb = greeting_is_mariadb(&g);
    f->version_number = version_number(g.version, f->is_mariadb);
    f->caps = g.caps;
    f->collation = g.collation;
    f->alive = f->greeted = true;
    finish_handshake(v, &g);
}

void probe_greet(struct probe *p, unsigned timeout_ms)
{
    struct visit v = { .deadline_us = clock_us() + timeout_ms * 1000ull };
    v.fd = dial(p, v.deadline_us);
    if (v.fd < 0)
        return;
    learn_greeting(&p->found, &v);
    close(v.fd);
}

/* ---- TLS ---------------------------------------------------------------------------------- */

struct tls_context *probe_tls(const struct probe *p)
{
    const struct server_config *s = config_server(p->config, bytes_str(p->server->name));
    return s != NULL ? s->tls_context : NULL;
}

static void ask_for_tls(struct visit *v, const struct greeting *g)
{
    struct buf out = { 0 };
    uint8_t seq = v->packet.next_seq;
    const struct login l = { .caps = (g->caps & NOBODYS_CAPS) | CAP_SSL,
                             .max_packet = 1u << 24,
                             .collation = UTF8MB4_GENERAL,
                             .is_ssl_request = true };
    login_write(&out, &seq, &l);
    say(v, &out);
    buf_release(&out);
    v->packet.next_seq = seq;
}

/* The client library can't verify as we do (an authority but no host, or a host of another name),
 * nor insist on TLS without verifying.  So we look at the server ourselves, as the pool does, and
 * tell the library to speak with nobody else.  Who is not believed hears nothing of the account. */
static bool meet(struct probe *p, struct visit *v, struct tls_fingerprint *found)
{
    struct greeting g;
    struct fault why = FAULT_NONE;
    if (!hear_greeting(v, &g, &p->found))
        return false;
    if ((g.caps & CAP_SSL) == 0) {
        finish_handshake(v, &g);
        return probe_failed(&p->found,
                            "it offers no TLS, and its section or its group's asks for it");
    }
    ask_for_tls(v, &g);
    v->tls = tls_meet(probe_tls(p), v->fd, v->deadline_us, found, &why);
    if (v->tls != NULL)
        finish_handshake(v, &g);
    return why.blame == BLAME_NONE || probe_failed(&p->found, why.text);
}

bool probe_meet(struct probe *p, struct tls_fingerprint *found)
{
    unsigned timeout_ms = p->config->settings.monitor_timeout_ms;
    struct visit v = { .deadline_us = clock_us() + timeout_ms * 1000ull };
    v.fd = dial(p, v.deadline_us);
    if (v.fd < 0)
        return false;
    bool met = meet(p, &v, found);
    if (v.tls != NULL)
        tls_line_close(v.tls);
    close(v.fd);
    return met;
}
