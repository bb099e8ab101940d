/* One probe, blocking, on a probe thread: a few questions in SQL on a connection kept open, or
 * without an account just a look at the greeting, and a login that is denied. */
#include "servers/inside.h"
#include "servers/sql.h"

#include "base/clock.h"
#include "base/str.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

/* libmariadb's: no connection, by TCP or unix socket; the account has a login method that
 * sql.c does not allow, or the greeting was garbage. */
enum { CR_NO_CONNECTION = 2002, CR_METHOD_REFUSED = 5010 };

/* Errors by which a server shows that it lives, although it does not let us ask. */
static bool shows_life(unsigned code)
{
    switch (code) {
    case 1040:                /* too many connections                       */
    case 1045:                /* access denied                              */
    case 1130:                /* this host may not connect                  */
    case 1203:                /* too many connections of this user          */
    case 1226:                /* ... or other resources                     */
    case 1227:                /* a privilege is missing                     */
    case 1251:                /* login method not supported by the client   */
    case 1524:                /* login method not loaded                    */
    case 1698:                /* access denied, without a password          */
    case 1820:                /* password must be changed                   */
    case 1862:                /* password has expired                       */
    case 2059:                /* client plugin could not be loaded          */
    case 3118:                /* account is locked                          */
    case 4151:                /* account is locked (MariaDB)                */
        return true;
    default:
        return false;
    }
}

static unsigned whole_seconds(unsigned ms)
{
    return (ms + 999) / 1000;
}

/* What a server says is shown to clients and operators: only plain letters of it. */
static bool fail(struct finding *f, const char *text)
{
    str_copy(f->why, sizeof(f->why), bytes_str(text));
    for (char *at = f->why; *at != '\0'; at++)
        if ((uint8_t)*at < ' ' || (uint8_t)*at >= 0x7F)
            *at = '?';
    return false;
}

static bool fail_sql(struct probe *p, const char *what)
{
    char text[160];
    unsigned code = sql_errno(p->connection);
    p->found.alive = shows_life(code);
    snprintf(text, sizeof(text), "%s: %u %s", what, code, sql_error(p->connection));
    return fail(&p->found, text);
}

/* ---- without an account: the greeting --------------------------------------------------- */

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

/* What expects a PROXY header, and would not greet before, gets one: the connection is our own.  (libmariadb
 * sends such headers with the login only, which is no use: who greets first needs none.)  Some bytes on a
 * new connection never block. */
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
        fail(&p->found, strerror(errno));
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
    fail(&p->found, strerror(error));
    return -1;
}

/* A conversation until the login is over. */
struct visit {
    int fd;
    uint64_t deadline_us;
    struct packet packet;     /* the last one received          */
    struct bytes payload;     /* ... and its bytes, in `window` */
    uint8_t window[2048];
};

/* The next packet; false with the reason when none comes. */
static bool receive(struct visit *v, struct finding *f)
{
    struct fault why = FAULT_NONE;
    size_t have = 0, need;
    while (!packet_find(bytes_of(v->window, have), sizeof(v->window) - FRAME_HEADER, &v->packet, &need, &why)) {
        if (need == 0 || need > sizeof(v->window))
            return fail(f, "this is no MySQL server");
        if (!wait_fd(v->fd, POLLIN, v->deadline_us))
            return fail(f, "no greeting came in time");
        ssize_t n = recv(v->fd, v->window + have, sizeof(v->window) - have, 0);
        if (n == 0)
            return fail(f, "closed without a greeting");
        if (n < 0 && errno != EINTR && errno != EAGAIN)
            return fail(f, strerror(errno));
        have += n > 0 ? (size_t)n : 0;
    }
    v->payload = bytes_of(v->window + FRAME_HEADER, v->packet.payload_len);
    return true;
}

static void say(struct visit *v, struct buf *out)
{
    if (send(v->fd, buf_head(out), buf_len(out), MSG_NOSIGNAL) < 0)
        v->deadline_us = 0; /* nothing more will come */
    buf_skip(out, buf_len(out));
}

/* Servers count who leaves in the middle of a handshake, and after max_connect_errors of that they refuse
 * the whole host; a login that is denied is not counted.  So let ours be denied. */
static void finish_handshake(struct visit *v, const struct greeting *g)
{
    struct finding ignored;
    struct buf out = { 0 };
    uint8_t seq = v->packet.next_seq;
    const struct login nobody = {
        .caps = g->caps & (CAP_LONG_PASSWORD | CAP_PROTOCOL_41 | CAP_SECURE_CONNECTION | CAP_PLUGIN_AUTH),
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

static bool learn_greeting(struct finding *f, struct visit *v)
{
    struct greeting g;
    struct fault why = FAULT_NONE;
    if (!greeting_read(v->payload, &g, &why)) {
        f->alive = shows_life(why.code);
        return fail(f, why.text);
    }
    str_copy(f->version, sizeof(f->version), g.version);
    f->is_mariadb = greeting_is_mariadb(&g);
    f->version_number = version_number(g.version, f->is_mariadb);
    f->caps = g.caps;
    f->collation = g.collation;
    f->alive = f->greeted = true;
    finish_handshake(v, &g);
    return true;
}

static void look_at_greeting(struct probe *p, unsigned timeout_ms)
{
    struct visit v = { .deadline_us = clock_us() + timeout_ms * 1000ull };
    v.fd = dial(p, v.deadline_us);
    if (v.fd < 0)
        return;
    if (receive(&v, &p->found))
        learn_greeting(&p->found, &v);
    close(v.fd);
}

/* ---- TLS ---------------------------------------------------------------------------------- */

static const struct server_config *section_of(const struct probe *p)
{
    return config_server(p->config, bytes_str(p->server->name));
}

static struct tls_context *context_of(const struct probe *p)
{
    const struct server_config *s = section_of(p);
    return s != NULL ? s->tls_context : NULL;
}

static bool send_request(struct probe *p, int fd, const struct greeting *g)
{
    struct buf out = { 0 };
    uint8_t seq = 1;
    struct login l = { .caps = (g->caps & CAPS_KNOWN & ~(CAP_CONNECT_WITH_DB | CAP_CONNECT_ATTRS)) |
                               CAP_SSL,
                       .max_packet = 1u << 24,
                       .collation = 45,
                       .is_ssl_request = true };
    login_write(&out, &seq, &l);
    ssize_t n = send(fd, buf_head(&out), buf_len(&out), MSG_NOSIGNAL);
    bool all = n == (ssize_t)buf_len(&out);
    buf_release(&out);
    return all || fail(&p->found, n < 0 ? strerror(errno) : "a socket that takes nothing");
}

/* The client library can't verify as we do (an authority but no host, or a host of another name), nor
 * insist on TLS without verifying.  So we look at the server ourselves, as the pool does, and tell the
 * library to speak with nobody else. */
static bool meet(struct probe *p, int fd, uint64_t deadline_us, struct tls_fingerprint *found)
{
    struct visit v = { .fd = fd, .deadline_us = deadline_us };
    struct greeting g;
    struct fault why = FAULT_NONE;
    if (!receive(&v, &p->found))
        return false;
    if (!greeting_read(v.payload, &g, &why)) {
        p->found.alive = shows_life(why.code);
        return fail(&p->found, why.text);
    }
    if ((g.caps & CAP_SSL) == 0)
        return fail(&p->found, "it offers no TLS, and its section or its group's asks for it");
    return send_request(p, fd, &g) &&
           (tls_meet(context_of(p), fd, deadline_us, found, &why) || fail(&p->found, why.text));
}

static bool meet_server(struct probe *p, struct tls_fingerprint *found)
{
    uint64_t deadline_us = clock_us() + p->config->settings.monitor_timeout_ms * 1000ull;
    int fd = dial(p, deadline_us);
    if (fd < 0)
        return false;
    bool met = meet(p, fd, deadline_us, found);
    close(fd);
    return met;
}

/* ---- with an account -------------------------------------------------------------------- */

void probe_hang_up(struct probe *p)
{
    sql_disconnect(p->connection);
    p->connection = NULL;
    config_drop(p->connected_as);
    p->connected_as = NULL;
}

static bool log_in(struct probe *p)
{
    const struct settings *s = &p->config->settings;
    const struct address *to = &p->server->address;
    const struct server_config *section = section_of(p);
    struct tls_context *tls = context_of(p);
    struct tls_fingerprint found;
    struct sql_fingerprint only = { found.sha1, found.sha256 };
    bool insists = tls_context_want(tls) >= TLS_REQUIRED;
    char host[ADDRESS_TEXT_BYTES];
    struct sql_account account = { .user = s->monitor_user,
                                   .password = s->monitor_password,
                                   .timeout_s = whole_seconds(s->monitor_timeout_ms),
                                   .with_tls = tls != NULL,
                                   .only = insists ? &only : NULL,
                                   .tls_certificate = tls != NULL ? section->tls_certificate_path : NULL,
                                   .tls_key = tls != NULL ? section->tls_key_path : NULL,
                                   .tls_versions = s->tls_min_version == TLS_1_3 ? "TLSv1.3"
                                                                                : "TLSv1.2,TLSv1.3",
                                   .tls_ciphers = s->tls_ciphers };
    if (insists && !meet_server(p, &found))
        return false;
    if (to->any.sa_family == AF_UNIX) {
        account.socket = to->un.sun_path;
    } else {
        address_print(to, false, host);
        account.host = host;
        account.port = ntohs(to->any.sa_family == AF_INET ? to->in4.sin_port : to->in6.sin6_port);
    }
    p->connection = sql_connect(&account);
    p->connected_as = config_take(p->config);
    p->connected_by = tls_context_number(tls);
    if (sql_errno(p->connection) == 0) {
        struct sql_greeting g;
        sql_greeting(p->connection, &g);
        p->asks_mariadb = g.is_mariadb;
        return true;
    }
    fail_sql(p, "login");
    /* libmariadb says "Operation now in progress" of whatever went wrong: see for ourselves. */
    if (sql_errno(p->connection) == CR_NO_CONNECTION) {
        look_at_greeting(p, 100);
        p->found.alive = p->found.greeted = false; /* up just now: the next probe will see */
    } else if (sql_errno(p->connection) == CR_METHOD_REFUSED) {
        look_at_greeting(p, p->config->settings.monitor_timeout_ms);
    }
    return false;
}

static bool account_changed(const struct probe *p)
{
    const struct settings *was = &p->connected_as->settings, *is = &p->config->settings;
    return p->connected_by != tls_context_number(context_of(p)) ||
           strcmp(was->monitor_user, is->monitor_user) != 0 ||
           strcmp(was->monitor_password, is->monitor_password) != 0 ||
           was->monitor_timeout_ms != is->monitor_timeout_ms;
}

/* One result set, or NULL with the reason. */
static struct sql_rows *query(struct probe *p, const char *text, const char *what)
{
    struct sql_rows *rows = sql_query(p->connection, text);
    if (rows == NULL)
        fail_sql(p, what);
    return rows;
}

static bool is_off(const char *value)
{
    return strcmp(value, "0") == 0 || strcasecmp(value, "OFF") == 0;
}

/* 0 when unknown. */
static uint16_t collation_id(const char *name)
{
    const struct collation *c = name != NULL ? collation_by_name(bytes_str(name)) : NULL;
    return c != NULL ? c->id : 0;
}

/* What the greeting said, from the library that has read it. */
static void recall_greeting(struct finding *f, struct sql *connection, const char *collation_name)
{
    struct sql_greeting g;
    unsigned collation = collation_id(collation_name);
    sql_greeting(connection, &g);
    f->is_mariadb = g.is_mariadb;
    f->version_number = version_number(bytes_str(g.version), g.is_mariadb);
    /* The library hides what MariaDB 10 puts in front for old replicas. */
    bool disguised = f->is_mariadb && f->version_number >= 100000 && f->version_number < 110000;
    snprintf(f->version, sizeof(f->version), "%s%.50s", disguised ? "5.5.5-" : "", g.version);
    f->caps = g.caps;
    f->collation = (uint16_t)(collation != 0 ? collation : 45); /* utf8mb4_general_ci: all have it */
    f->greeted = true;
}

static bool learn_variables(struct probe *p, struct sql_rows *rows)
{
    struct finding *f = &p->found;
    uint64_t max_packet = 0;
    if (!sql_next(rows))
        return false;
    const char *read_only = sql_value(rows, 0), *collation = sql_value(rows, 2);
    if (read_only == NULL || collation == NULL ||
        !str_to_u64(bytes_str(sql_value(rows, 1)), &max_packet) || max_packet == 0)
        return false;
    f->read_only = !is_off(read_only);
    f->max_allowed_packet = max_packet;
    recall_greeting(f, p->connection, collation);
    if (f->is_mariadb) {
        f->utf8mb3_collation = collation_id(sql_value(rows, 3));
        f->utf8mb4_collation = collation_id(sql_value(rows, 4));
    }
    return true;
}

/* super_read_only needs no question of its own: it switches read_only on and goes off with it. */
static bool ask_variables(struct probe *p)
{
#define VARIABLES "SELECT @@global.read_only, @@global.max_allowed_packet, @@global.collation_server"
    static const char of_mysql[] = VARIABLES;
    static const char of_mariadb[] =
        VARIABLES ", COLLATION(CONVERT('' USING utf8mb3)), COLLATION(CONVERT('' USING utf8mb4))";
#undef VARIABLES
    struct sql_rows *rows = query(p, p->asks_mariadb ? of_mariadb : of_mysql, "read_only");
    if (rows == NULL)
        return false;
    bool fits = learn_variables(p, rows);
    sql_rows_free(rows);
    return fits || fail(&p->found, "read_only: a strange answer");
}

/* ---- replication ------------------------------------------------------------------------ */

/* Columns have two names, by version. */
static const char *column(const struct sql_rows *rows, const char *name, const char *old_name)
{
    const char *value = sql_value_named(rows, name);
    return value != NULL ? value : sql_value_named(rows, old_name);
}

static bool says(const char *value, const char *word)
{
    return value != NULL && strcasecmp(value, word) == 0;
}

enum receiver {
    RECEIVER_RUNS,
    RECEIVER_TRIES,           /* can't reach its source, and goes on trying */
    RECEIVER_GAVE_UP,         /* ... and tries no more                      */
    RECEIVER_STOPPED,         /* by somebody, or by an error of another kind */
};

static enum receiver receiver_of(const struct sql_rows *row)
{
    static const unsigned unreachable[] = { 2002, 2003, 2005, 2006, 2013 };
    const char *runs = column(row, "Replica_IO_Running", "Slave_IO_Running");
    const char *error = column(row, "Last_IO_Errno", "Last_IO_Errno");
    if (says(runs, "Yes"))
        return RECEIVER_RUNS;
    if (says(runs, "Connecting") || says(runs, "Preparing"))
        return RECEIVER_TRIES;
    for (unsigned i = 0; error != NULL && i < ARRAY_LEN(unreachable); i++)
        if (strtoul(error, NULL, 10) == unreachable[i])
            return RECEIVER_GAVE_UP;
    return RECEIVER_STOPPED;
}

/* One source.  The lag that the server tells is NULL when replication is broken; MySQL tells 0
 * also of a replica that has applied all it got and gets nothing any more. */
static void learn_source(struct finding *f, const struct sql_rows *row)
{
    uint64_t seconds = 0;
    const char *lag = column(row, "Seconds_Behind_Source", "Seconds_Behind_Master");
    bool applies = says(column(row, "Replica_SQL_Running", "Slave_SQL_Running"), "Yes");
    bool is_told = lag != NULL && str_to_u64(bytes_str(lag), &seconds);
    uint32_t lag_ms = (uint32_t)MIN(seconds, UINT32_MAX / 1000) * 1000;
    enum receiver receiver = receiver_of(row);
    f->replicates = true;
    if (!applies || receiver >= RECEIVER_GAVE_UP || (receiver == RECEIVER_RUNS && !is_told))
        lag_ms = UINT32_MAX;
    if (applies && (receiver == RECEIVER_TRIES || receiver == RECEIVER_GAVE_UP))
        f->is_cut_off = true;
    else
        f->is_broken |= lag_ms == UINT32_MAX;
    f->lag_ms = MAX(f->lag_ms, lag_ms);
}

static const char *replication_query(const struct finding *f)
{
    if (f->is_mariadb)
        return f->version_number >= 100000 ? "SHOW ALL SLAVES STATUS" : "SHOW SLAVE STATUS";
    return f->version_number >= 80022 ? "SHOW REPLICA STATUS" : "SHOW SLAVE STATUS";
}

static bool ask_replication(struct probe *p)
{
    struct finding *f = &p->found;
    struct sql_rows *rows = query(p, replication_query(f), "replication");
    if (rows == NULL) {
        f->lag_refused = f->alive; /* 1227: the account lives without the privilege */
        return f->lag_refused;
    }
    while (sql_next(rows))
        learn_source(f, rows);
    f->lag_known = f->replicates;
    f->is_cut_off &= !f->is_broken;
    sql_rows_free(rows);
    return true;
}

static bool ask_all(struct probe *p)
{
    if (!ask_variables(p) || !ask_replication(p))
        return false;
    p->found.alive = p->found.answered = true;
    p->found.why[0] = '\0';
    return true;
}

/* A connection that was kept may have died since: that says nothing of the server, so try
 * again with a new one.  Not so if it hung. */
static bool died_at_once(const struct probe *p, uint64_t began_us)
{
    return clock_us() - began_us < p->config->settings.monitor_timeout_ms * 1000ull / 2;
}

static void ask_with_account(struct probe *p)
{
    uint64_t began_us = clock_us();
    if (p->connection != NULL && account_changed(p))
        probe_hang_up(p);
    bool was_kept = p->connection != NULL;
    if (was_kept && ask_all(p))
        return;
    probe_hang_up(p);
    if (was_kept && !died_at_once(p, began_us))
        return;
    p->found = (struct finding){ .alive = false };
    if (log_in(p) && !ask_all(p))
        probe_hang_up(p);
}

void probe_ask(struct probe *p)
{
    uint64_t began_us = clock_us();
    if (p->config->settings.monitor_user[0] != '\0') {
        ask_with_account(p);
    } else {
        probe_hang_up(p);
        look_at_greeting(p, p->config->settings.monitor_timeout_ms);
    }
    uint64_t took_us = clock_us() - began_us;
    if (p->found.alive)
        p->found.took_us = (unsigned)MAX(MIN(took_us, UINT32_MAX), 1);
}
