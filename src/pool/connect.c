/* connect.c - dial a server and log in: one task, top to bottom; see inside.h. */
#include "pool/inside.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/random.h"

/* Read the next packet of the login; the view is valid until the next read. */
static bool next_packet(struct task *t, struct backend *be, struct bytes *payload, uint8_t *seq,
                        double deadline, struct fault *why)
{
    size_t need = FRAME_HEADER;
    struct packet p;
    while (stream_need(t, &be->stream, need, deadline, why)) {
        if (packet_find(buf_bytes(&be->stream.in), 64 << 10, &p, &need, why)) {
            *payload = arena_copy(task_arena(t),
                                  packet_payload(buf_bytes(&be->stream.in), &p, task_arena(t)));
            *seq = p.next_seq;
            buf_skip(&be->stream.in, p.wire_len);
            return true;
        }
        if (need == 0) {
            struct fault bad = *why;
            return fault_set(why, BLAME_SERVER, CR_SERVER_LOST, "volvox: server %s: %s",
                             be->server->name, bad.text);
        }
    }
    return false;
}

static bool greet(struct task *t, struct backend *be, struct greeting *g, uint8_t *seq, double deadline,
                  struct fault *why)
{
    struct bytes payload;
    if (!next_packet(t, be, &payload, seq, deadline, why) || !greeting_read(payload, g, why))
        return false;
    const struct pool *p = be->pool;
    be->is_mariadb = greeting_is_mariadb(g);
    be->reports_vaguely = be->is_mariadb && version_number(g->version, true) >= 110100;
    be->thread_id = g->thread_id;
    be->caps = shape_ask(g->caps, p->fit);
    if ((be->caps & CAP_PROTOCOL_41) == 0)
        return fault_set(why, BLAME_SERVER, CR_SERVER_LOST, "volvox: server %s is too old",
                         be->server->name);
    be->multi_statements = be->caps & CAP_MULTI_STATEMENTS;
    return true;
}

static void write_login(struct backend *be, const struct greeting *g, enum auth_plugin plugin,
                        uint8_t *seq)
{
    const struct pool *p = be->pool;
    uint8_t token[32];
    size_t n = auth_token_make(plugin, g->scramble, &p->secret, token);
    struct login l = {
        .caps = be->caps & ~(CAP_CONNECT_WITH_DB | CAP_CONNECT_ATTRS),
        .max_packet = 1u << 30,
        .collation = be->collation < 256 ? (uint8_t)be->collation : 45,
        .user = bytes_str(p->user),
        .auth = bytes_of(token, n),
        .plugin = auth_plugin_name(plugin),
    };
    login_write(&be->stream.out, seq, &l);
}

/* The server wants more than the token: the password, encrypted with its public key. */
static bool full_auth(struct task *t, struct backend *be, const uint8_t *scramble, uint8_t *seq,
                      double deadline, struct fault *why)
{
    struct bytes payload;
    const uint8_t request = SHA2_REQUEST_KEY;
    packet_write(&be->stream.out, seq, bytes_of(&request, 1));
    if (!stream_flush(t, &be->stream, deadline, why) ||
        !next_packet(t, be, &payload, seq, deadline, why))
        return false;
    if (payload.len < 2 || payload.data[0] != 0x01)
        return fault_set(why, BLAME_SERVER, CR_SERVER_LOST, "volvox: server %s sent no public key",
                         be->server->name);
    struct buf cipher = { 0 };
    bool ok = rsa_encrypt_password(bytes_skip(payload, 1), scramble, &be->pool->secret, &cipher, why);
    if (ok)
        packet_write(&be->stream.out, seq, buf_bytes(&cipher));
    buf_release(&cipher);
    return ok && stream_flush(t, &be->stream, deadline, why);
}

static bool switch_plugin(struct backend *be, struct bytes payload, enum auth_plugin *plugin,
                          uint8_t scramble[SCRAMBLE_BYTES], uint8_t *seq, struct fault *why)
{
    struct bytes name;
    uint8_t token[32];
    if (!auth_switch_read(payload, &name, scramble, why))
        return false;
    *plugin = auth_plugin_by_name(name);
    if (*plugin == AUTH_UNKNOWN)
        return fault_set(why, BLAME_SERVER, 2059,
                         "volvox: server %s wants authentication plugin '%.*s' for user '%s'",
                         be->server->name, BYTES_FMT(name), be->pool->user);
    size_t n = auth_token_make(*plugin, scramble, &be->pool->secret, token);
    packet_write(&be->stream.out, seq, bytes_of(token, n));
    return true;
}

/* A password that has expired says nothing about the server. */
static enum blame blame_for(unsigned code)
{
    return code == ER_MUST_CHANGE_PASSWORD_LOGIN ? BLAME_POLICY : BLAME_SERVER;
}

static bool log_in(struct task *t, struct backend *be, double deadline, struct fault *why)
{
    struct greeting g;
    uint8_t seq, scramble[SCRAMBLE_BYTES];
    struct bytes payload;
    if (!greet(t, be, &g, &seq, deadline, why))
        return false;
    enum auth_plugin plugin = auth_plugin_by_name(g.plugin);
    if (plugin == AUTH_UNKNOWN)
        plugin = AUTH_NATIVE;
    memcpy(scramble, g.scramble, sizeof scramble);
    write_login(be, &g, plugin, &seq);
    for (int turns = 0; turns < 8; turns++) {
        struct err err;
        if (!stream_flush(t, &be->stream, deadline, why) ||
            !next_packet(t, be, &payload, &seq, deadline, why))
            return false;
        uint8_t kind = payload.len > 0 ? payload.data[0] : 0xFF;
        if (kind == 0x00)
            return true;
        if (kind == 0xFE && !switch_plugin(be, payload, &plugin, scramble, &seq, why))
            return false;
        if (kind == 0x01 && payload.len == 2 && payload.data[1] == SHA2_FULL_AUTH &&
            !full_auth(t, be, scramble, &seq, deadline, why))
            return false;
        if (kind == 0xFF) {
            if (!err_read(payload, &err, why))
                return false;
            return fault_set_state(why, blame_for(err.code), err.code, err.sqlstate, "%.*s",
                                   BYTES_FMT(err.text));
        }
    }
    return fault_set(why, BLAME_SERVER, CR_SERVER_LOST, "volvox: server %s does not finish its login",
                     be->server->name);
}

/* The character set is set by name as well: a server silently takes its default for a collation that
 * it does not know, and a reset forgets that of the login. */
static size_t tracking_sql(const struct backend *be, const struct state *s, char *out, size_t size)
{
    /* All that lie beside one of these are reported by its name: see session/unclear.c.  (Of those with
     * two names, the one that older servers know too.) */
    static const char first_of_their_kind[] = ",@@session.autocommit=@@session.autocommit"
                                              ",@@session.tx_isolation=@@session.tx_isolation"
                                              ",@@session.tx_read_only=@@session.tx_read_only";
    struct bytes charset = state_value(s, BYTES_LITERAL("character_set_client"));
    struct bytes collation = state_value(s, BYTES_LITERAL("collation_connection"));
    int n = 0;
    n = snprintf(out, size, "SET ");
    if (charset.len > 0)
        n += snprintf(out + n, size - (size_t)n, "NAMES '%.*s' COLLATE '%.*s',", BYTES_FMT(charset),
                      BYTES_FMT(collation));
    n += snprintf(out + n, size - (size_t)n,
                  "@@session.session_track_system_variables='*',"
                  "@@session.session_track_state_change=ON,@@session.session_track_schema=ON,"
                  "@@session.session_track_transaction_info='CHARACTERISTICS'%s",
                  be->reports_vaguely ? first_of_their_kind
                  : be->is_mariadb    ? ""
                                      : ",@@session.session_track_gtids=OWN_GTID");
    return (size_t)n;
}

bool backend_track(struct task *t, struct backend *be, double deadline, struct fault *why)
{
    char sql[768];
    if ((be->caps & CAP_SESSION_TRACK) == 0)
        return true;
    struct state *s = state_at_login(be->collation, 45);
    size_t n = tracking_sql(be, s, sql, sizeof sql);
    bool ok = backend_ask(t, be, COM_QUERY, bytes_of(sql, n), deadline, why);
    if (!ok && why->blame == BLAME_QUERY && why->code == ER_MUST_CHANGE_PASSWORD) {
        be->sandbox = SANDBOX_IN;
        be->caps &= ~CAP_SESSION_TRACK;
        ok = true;
    }
    if (!ok && why->blame == BLAME_QUERY && be->collation != 45) {
        /* not a collation of this server's family: go by its own default */
        be->collation = 45;
        state_drop(s);
        s = state_at_login(45, 45);
        n = tracking_sql(be, s, sql, sizeof sql);
        ok = backend_ask(t, be, COM_QUERY, bytes_of(sql, n), deadline, why);
    }
    if (!ok && why->blame == BLAME_QUERY) {
        log_warn("server has no session trackers", "server=%s code=%u text=%s", be->server->name,
                 why->code, log_quote(bytes_str(why->text)));
        be->caps &= ~CAP_SESSION_TRACK;   /* sessions on it stay pinned; shape is as negotiated */
        ok = true;
    }
    struct bytes schema = be->state != NULL ? be->state->schema : BYTES_NONE;
    struct state *now = state_changed(s, &schema, NULL, 0);
    state_drop(s);
    state_drop(be->state);
    be->state = now;
    return ok;
}

static void set_expiry(struct backend *be, const struct settings *limits)
{
    be->opened_us = clock_us();
    uint64_t age = (uint64_t)limits->pool_max_age_s * 1000000;
    if (age == 0)
        return;
    uint64_t spread = age * limits->pool_jitter_percent / 100;
    be->expires_us = be->opened_us + age - (spread > 0 ? random_u64() % spread : 0);
}

static struct backend *give_up(struct task *t, struct backend *be, struct fault *why)
{
    struct server *server = be->server;
    if (why->blame == BLAME_TIME && !task_is_cancelled(t)) /* too slow: another one may do */
        fault_set(why, BLAME_SERVER, CR_SERVER_LOST,
                  "volvox: no connection to server %s within connect_timeout", server->name);
    if (why->blame != BLAME_POLICY) {
        atomic_fetch_add_explicit(&server->connect_failures, 1, memory_order_relaxed);
        atomic_store_explicit(&server->last_failure_us, clock_us(), memory_order_relaxed);
        count(be->pool->pools->worker, backends_failed);
    }
    log_warn("connection to server failed", "server=%s user=%s code=%u why=%s", server->name,
             log_quote(bytes_str(be->pool->user)), why->code, log_quote(bytes_str(why->text)));
    be->pool->n_held--;
    list_leave(&be->all);
    stream_close(&be->stream);
    state_drop(be->state);
    backend_statements_forget(be);
    server_drop(server);
    mem_free(be);
    return NULL;
}

struct backend *backend_open(struct task *t, struct pool *p, uint16_t collation, double deadline,
                             struct fault *why)
{
    struct worker *w = task_worker(t);
    const struct settings *limits = &worker_config(w)->settings;
    double by = worker_now(w) + limits->connect_timeout_ms / 1000.0;
    if (deadline == 0 || by < deadline)
        deadline = by;
    struct backend *be = mem_zalloc(sizeof *be);
    be->place = BACKEND_OPENING;
    be->pool = p;
    be->server = server_take(p->server);
    be->collation = collation;
    list_init(&be->statements_used);
    p->n_held++;
    list_push_back(&p->pools->all, &be->all);
    atomic_fetch_add_explicit(&be->server->connects, 1, memory_order_relaxed);
    struct keepalive keepalive = limits->server_keepalive;
    set_expiry(be, limits);
    be->stream.watch.on_read.fd = -1;
    int fd = stream_dial(t, &be->server->address, deadline, why);
    if (fd < 0)
        return give_up(t, be, why);
    socket_keepalive(fd, &keepalive);
    stream_open(&be->stream, w, fd, BLAME_SERVER);
    if (!log_in(t, be, deadline, why) || !backend_track(t, be, deadline, why))
        return give_up(t, be, why);
    count(w, backends_opened);
    log_debug("backend opened", "server=%s thread=%u user=%s", be->server->name, be->thread_id,
              log_quote(bytes_str(p->user)));
    return be;
}
