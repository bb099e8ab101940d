/* connect.c - dial a server and log in: one task, top to bottom; see inside.h. */
#include "pool/inside.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/random.h"
#include "base/str.h"

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

/* As the file says, if the server can; else as it is, and the operator hears of it once. */
static uint32_t ask_compression(const struct backend *be, uint64_t offered)
{
    uint32_t wanted = compression_caps(atomic_load(&be->server->compression));
    if ((wanted & ~offered) != 0 && !atomic_exchange(&be->server->told_no_compression, true))
        log_warn("server does not compress as configured", "server=%s", be->server->name);
    return wanted & (uint32_t)offered;
}

/* (TLS may have had to answer the server, too, and what it said must have left) */
static bool begin_compression(struct task *t, struct backend *be, double deadline, struct fault *why)
{
    enum compression agreed = compression_agreed(be->caps);
    if (agreed == COMPRESSION_OFF)
        return true;
    if (!stream_flush(t, &be->stream, deadline, why))
        return false;
    stream_compress(&be->stream, agreed, atomic_load(&be->server->compression_level));
    return true;
}

/* Say for whom it is, before anything else: all clients of the pool have that address, but each its own
 * port. */
static bool introduce(struct task *t, struct backend *be, const struct ends *client, double deadline,
                      struct fault *why)
{
    struct proxy_header header;
    enum proxy_version version = atomic_load(&be->server->proxy_protocol);
    if (be->pool->client == NULL || version == PROXY_OFF)
        return true;
    ends_to_header(client != NULL ? client : be->pool->client, &header);
    proxy_header_write(&be->stream.out, version, &header);
    return stream_flush(t, &be->stream, deadline, why);
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
    be->has_greeted = true;
    be->thread_id = g->thread_id;
    be->caps = shape_ask(g->caps, p->fit) | ask_compression(be, g->caps);
    if ((be->caps & CAP_PROTOCOL_41) == 0)
        return fault_set(why, BLAME_SERVER, CR_SERVER_LOST, "volvox: server %s is too old",
                         be->server->name);
    be->multi_statements = be->caps & CAP_MULTI_STATEMENTS;
    return backend_start_tls(t, be, g, seq, deadline, why);
}

struct login backend_login(const struct backend *be)
{
    unsigned level = atomic_load(&be->server->compression_level);
    return (struct login){
        .caps = (be->caps & ~CAP_CONNECT_ATTRS) | CAP_CONNECT_WITH_DB,
        .max_packet = 1u << 30,
        .collation = be->collation < 256 ? (uint8_t)be->collation : 45,
        .user = bytes_str(be->pool->account->server_user),
        .schema = be->state != NULL ? be->state->schema : BYTES_NONE,
        .zstd_level = (uint8_t)(level > 0 ? level : ZSTD_LEVEL_USUAL),
    };
}

static void write_login(struct backend *be, struct bytes plugin, struct bytes token, uint8_t *seq)
{
    struct login l = backend_login(be);
    l.auth = token;
    l.plugin = plugin;
    login_write(&be->stream.out, seq, &l);
}

/* Name the server and the account in front of what is wrong. */
static bool about_account(const struct backend *be, struct fault *why)
{
    size_t prefix = sizeof "volvox: " - 1;
    bool has_prefix = strncmp(why->text, "volvox: ", prefix) == 0;
    if (why->blame != BLAME_POLICY && why->blame != BLAME_SERVER)
        return false;
    return fault_set_state(why, why->blame, why->code, why->sqlstate,
                           "volvox: can't log in to server %.40s as '%.60s': %s", be->server->name,
                           be->pool->account->server_user, why->text + (has_prefix ? prefix : 0));
}

static bool refused(struct bytes payload, struct fault *why)
{
    struct err err;
    if (!err_read(payload, &err, why))
        return false;
    /* a password that has expired says nothing about the server, nor does a schema */
    bool is_known = err.code == ER_MUST_CHANGE_PASSWORD_LOGIN || err.code == ER_BAD_DB ||
                    err.code == ER_DBACCESS_DENIED;
    enum blame blame = is_known ? BLAME_POLICY : BLAME_SERVER;
    return fault_set_state(why, blame, err.code, err.sqlstate, "%.*s", BYTES_FMT(err.text));
}

/* MariaDB's OK (11.8) has the variables that it tracks, with the address where clients should go instead. */
static void read_welcome(struct backend *be, struct bytes payload, struct bytes *entries)
{
    struct ok ok;
    struct track_walk walk;
    struct track track;
    if (!ok_read(payload, be->caps, &ok, NULL))
        return;                       /* it is an OK, that is enough */
    *entries = ok.track;
    track_begin(&walk, ok.track);
    while (track_next(&walk, &track))
        if (track.type == TRACK_SYSVAR && bytes_equal(track.name, BYTES_LITERAL("redirect_url")))
            be->redirects = track.value.len > 0;
}

/* The one who should have answered does not.  A server counts logins that are broken off and, after
 * some, refuses all of ours (max_connect_errors), so this one is brought to its end. */
static void finish_badly(struct task *t, struct backend *be, uint8_t *seq)
{
    struct bytes ignored;
    struct fault why;
    double deadline = worker_now(task_worker(t)) + 1;
    bool was_cancelled = task_is_cancelled(t);
    task_forgive(t);
    packet_write(&be->stream.out, seq, BYTES_NONE);
    if (stream_flush(t, &be->stream, deadline, &why))
        (void)next_packet(t, be, &ignored, seq, deadline, &why);
    if (was_cancelled)
        task_cancel(t);
}

struct exchange {
    struct auth_client client;
    struct login_relay *relay;    /* NULL: `client` answers */
};

static bool answer_server(struct task *t, struct backend *be, struct exchange *x,
                          struct bytes payload, uint8_t *seq, struct fault *why)
{
    struct buf answer = { 0 };
    bool has_answer = true, done;
    if (x->relay != NULL)
        done = x->relay->answer(t, x->relay, payload, x->client.is_private, &answer, &has_answer, why);
    else
        done = auth_client_next(&x->client, payload, &answer, &has_answer, why) ||
               about_account(be, why);
    if (done && has_answer)
        packet_write(&be->stream.out, seq, buf_bytes(&answer));
    if (answer.mem != NULL)
        explicit_bzero(answer.mem, answer.cap);
    buf_release(&answer);
    if (!done)
        finish_badly(t, be, seq);
    return done;
}

/* What comes first: a token for the plugin of the greeting, or (a relay) a plugin that no account has, so
 * that the server says which one this account has, and sends a scramble for it. */
static void begin_exchange(struct backend *be, struct exchange *x, const struct greeting *g,
                           struct login_relay *relay, uint8_t *seq)
{
    struct buf token = { 0 };
    *x = (struct exchange){ .relay = relay };
    auth_client_begin(&x->client, &be->pool->account->secret, stream_is_private(&be->stream),
                      g->plugin, g->scramble, &token);
    if (relay != NULL)
        write_login(be, BYTES_LITERAL("volvox"), BYTES_NONE, seq);
    else
        write_login(be, auth_plugin_name(x->client.plugin), buf_bytes(&token), seq);
    if (token.mem != NULL)
        explicit_bzero(token.mem, token.cap);
    buf_release(&token);
}

/* The entries of the server's OK, in the task's arena. */
static bool log_in(struct task *t, struct backend *be, struct login_relay *relay, struct bytes *entries,
                   double deadline, struct fault *why)
{
    enum { TURNS_MOST = 16 };
    struct greeting g;
    struct exchange x;
    uint8_t seq;
    struct bytes payload;
    if (!greet(t, be, &g, &seq, deadline, why))
        return false;
    begin_exchange(be, &x, &g, relay, &seq);
    for (int turns = 0; turns < TURNS_MOST; turns++) {
        if (!stream_flush(t, &be->stream, deadline, why) ||
            !next_packet(t, be, &payload, &seq, deadline, why))
            return false;
        uint8_t kind = payload.len > 0 ? payload.data[0] : 0xFF;
        if (kind == 0x00) {
            read_welcome(be, payload, entries);
            return true;
        }
        if (kind == 0xFF)
            return refused(payload, why);
        if (!answer_server(t, be, &x, payload, &seq, why))
            return false;
    }
    return fault_set(why, BLAME_SERVER, CR_SERVER_LOST, "volvox: server %s does not finish its login",
                     be->server->name);
}

static const char report_all[] =
    "@@session.session_track_system_variables='*',@@session.session_track_state_change=ON,"
    "@@session.session_track_schema=ON,@@session.session_track_transaction_info='CHARACTERISTICS'";

/* All that lie beside one of these are reported by its name: see session/unclear.c.  (Of those with
 * two names, the one that older servers know too.) */
static const char first_of_their_kind[] = ",@@session.autocommit=@@session.autocommit"
                                          ",@@session.tx_isolation=@@session.tx_isolation"
                                          ",@@session.tx_read_only=@@session.tx_read_only";

/* The character set is set by name as well: a server silently takes its default for a collation that
 * it does not know, and a reset forgets that of the login. */
static size_t tracking_sql(const struct backend *be, const struct state *s, char *out, size_t size)
{
    struct bytes charset = state_value(s, BYTES_LITERAL("character_set_client"));
    struct bytes collation = state_value(s, BYTES_LITERAL("collation_connection"));
    int n = 0;
    n = snprintf(out, size, "SET ");
    if (charset.len > 0)
        n += snprintf(out + n, size - (size_t)n, "NAMES '%.*s' COLLATE '%.*s',", BYTES_FMT(charset),
                      BYTES_FMT(collation));
    n += snprintf(out + n, size - (size_t)n,
                  "%s%s", report_all, be->reports_vaguely ? first_of_their_kind : "");
    /* MariaDB forgets with a reset what these flags have done. */
    for (size_t i = 0; be->is_mariadb && i < ARRAY_LEN(flag_defaults); i++)
        if ((be->caps & flag_defaults[i].cap) != 0)
            n += snprintf(out + n, size - (size_t)n, ",@@session.%s=%s", flag_defaults[i].name,
                          flag_defaults[i].sql);
    return (size_t)n;
}

/* What the server would report by itself, and how it reads texts: asked in the same send as it is
 * told to report all. */
static void ask_usual(struct backend *be)
{
    struct buf sql = { 0 };
    for (unsigned i = 0; i < tracking_count(be->is_mariadb); i++) {
        buf_add(&sql, i == 0 ? BYTES_LITERAL("SELECT @@session.") : BYTES_LITERAL(",@@session."));
        buf_add(&sql, bytes_str(tracking_names[i]));
    }
    buf_add(&sql, BYTES_LITERAL(",CAST(@@session.sql_mode AS BINARY)"));
    backend_write(be, COM_QUERY, buf_bytes(&sql));
    buf_release(&sql);
}

/* init_connect failed: the server says so to the first command, and closes.  True if it is something
 * else. */
static bool is_refusal(struct fault *why)
{
    if (why->code == ER_NEW_ABORTING_CONNECTION)
        why->blame = BLAME_POLICY; /* no other server's matter */
    return why->blame == BLAME_QUERY;
}

/* `mode`: data NULL if it can't be said. */
static bool read_usual(struct task *t, struct backend *be, struct bytes *mode, double deadline,
                       struct fault *why)
{
    struct bytes values[TRACKING_VARIABLES + 1] = { BYTES_NONE };
    unsigned n = tracking_count(be->is_mariadb);
    struct ask_rows rows = { .values = values, .n_columns = n + 1, .max_rows = 1 };
    bool ok = backend_read_rows(t, be, &rows, deadline, why);
    if (!ok && !is_refusal(why))
        return false;
    bool is_known = ok && rows.n_rows == 1;
    *mode = values[n];
    values[n] = BYTES_NONE;
    tracking_drop(be->usual);
    be->usual = is_known ? tracking_of(values) : tracking_by_default(be->is_mariadb);
    /* (the flag's mode, which a reset takes away, is set again: see flag_defaults) */
    if (!is_known || (be->is_mariadb && (be->caps & CAP_IGNORE_SPACE) != 0))
        *mode = BYTES_NONE;
    return true;
}

/* Its clients are not to be sent elsewhere by the server: they would pass Volvox by. */
static bool hide_redirection(struct task *t, struct backend *be, double deadline, struct fault *why)
{
    return !be->redirects ||
           backend_ask(t, be, COM_QUERY, BYTES_LITERAL("SET @@session.redirect_url=''"), deadline, why);
}

bool backend_report(struct task *t, struct backend *be, const struct tracking *as, struct fault *why)
{
    struct buf sql = { 0 };
    buf_add(&sql, BYTES_LITERAL("SET "));
    if (as != NULL)
        tracking_write_set(as, &sql);
    else
        buf_add(&sql, bytes_str(report_all));
    if (as == NULL && be->reports_vaguely)
        buf_add(&sql, bytes_str(first_of_their_kind));
    double deadline = worker_now(task_worker(t)) + 10;
    bool ok = backend_ask(t, be, COM_QUERY, buf_bytes(&sql), deadline, why);
    if (ok)
        be->reports_as_asked = as != NULL;
    buf_release(&sql);
    return ok;
}

/* The state that a session begins in. */
static void set_fresh(struct backend *be, const struct state *login, const struct state_var *mode)
{
    struct bytes schema = be->state != NULL ? be->state->schema : BYTES_NONE;
    struct state *now = state_changed(login, &schema, mode, mode->value.data != NULL);
    state_drop(be->state);
    state_drop(be->fresh);
    be->state = now;
    be->fresh = state_take(now);
}

bool backend_track(struct task *t, struct backend *be, double deadline, struct fault *why)
{
    char sql[768];
    if ((be->caps & CAP_SESSION_TRACK) == 0)
        return true;
    struct state_var mode = { .name = BYTES_LITERAL("sql_mode") };
    struct state *s = state_at_login(be->collation, 45);
    size_t n = tracking_sql(be, s, sql, sizeof sql);
    ask_usual(be);
    backend_write(be, COM_QUERY, bytes_of(sql, n));
    bool ok = stream_flush(t, &be->stream, deadline, why) &&
              read_usual(t, be, &mode.value, deadline, why) &&
              backend_read_answer(t, be, NULL, deadline, why);
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
        tracking_drop(be->usual);
        be->usual = NULL;
        ok = true;
    }
    set_fresh(be, s, &mode);
    state_drop(s);
    be->reports_as_asked = false;
    be->gtids = be->usual != NULL ? be->usual->gtids : TRACK_NO_GTIDS;
    return ok && hide_redirection(t, be, deadline, why);
}

/* What the server runs at each login is for the clients' sessions: session/init_connect.c. */
static bool undo_init_connect(struct task *t, struct backend *be, double deadline, struct fault *why)
{
    if (!atomic_load_explicit(&be->server->has_init_connect, memory_order_relaxed))
        return true;
    bool ok = backend_ask(t, be, COM_RESET_CONNECTION, BYTES_NONE, deadline, why);
    return ok || (is_refusal(why) && why->code == ER_MUST_CHANGE_PASSWORD);
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

bool fault_is_about_account(const struct fault *why)
{
    if (why->blame != BLAME_SERVER)
        return why->blame == BLAME_POLICY || why->blame == BLAME_CLIENT;
    switch (why->code) {
    case ER_ACCESS_DENIED:
    case 1203:                    /* max_user_connections, of all       */
    case 1226:                    /* ... of this one                    */
    case 1251:                    /* its plugin can't be used like this */
    case 1275:
    case 1524:                    /* its plugin is not loaded           */
    case 1698:                    /* denied without a password          */
    case ER_MUST_CHANGE_PASSWORD:
    case 1862:                    /* expired                            */
    case 3118:                    /* locked, MySQL                      */
    case 3159:                    /* wants TLS                          */
    case 3955:                    /* locked after failures              */
    case 4151:                    /* locked, MariaDB                    */
        return true;
    default:
        return false;
    }
}

static void note_failure(const struct backend *be, const struct fault *why)
{
    struct server *server = be->server;
    const char *user = be->pool->account->server_user;
    if (why->blame == BLAME_CLIENT) /* who should have answered has left */
        return;
    if (be->has_greeted && fault_is_about_account(why)) {
        count(be->pool->pools->worker, accounts_refused);
        log_info("server refused an account", "server=%s user=%s code=%u why=%s", server->name,
                 log_quote(bytes_str(user)), why->code, log_quote(bytes_str(why->text)));
        return;
    }
    atomic_fetch_add_explicit(&server->connect_failures, 1, memory_order_relaxed);
    atomic_store_explicit(&server->last_failure_us, clock_us(), memory_order_relaxed);
    count(be->pool->pools->worker, backends_failed);
    log_warn("connection to server failed", "server=%s user=%s code=%u why=%s", server->name,
             log_quote(bytes_str(user)), why->code, log_quote(bytes_str(why->text)));
}

static struct backend *give_up(struct task *t, struct backend *be, struct fault *why)
{
    struct server *server = be->server;
    if (why->blame == BLAME_TIME && !task_is_cancelled(t)) /* too slow: another one may do */
        fault_set(why, BLAME_SERVER, CR_SERVER_LOST,
                  "volvox: no connection to server %s within connect_timeout", server->name);
    note_failure(be, why);
    be->pool->n_held--;
    list_leave(&be->all);
    stream_close(&be->stream);
    state_drop(be->state);
    tracking_drop(be->usual);
    state_drop(be->fresh);
    backend_statements_forget(be);
    server_drop(server);
    mem_free(be);
    return NULL;
}

/* Named in the login, or entered later by those who can. */
static void name_schema(struct backend *be, struct bytes schema)
{
    struct state *login = state_at_login(be->collation, 45);
    be->state = state_changed(login, &schema, NULL, 0);
    state_drop(login);
}

/* `schema` is named in the login unless it is empty. */
static struct backend *open_in(struct task *t, struct pool *p, const struct lease_terms *terms,
                               struct bytes schema, struct login_relay *relay, double deadline,
                               struct fault *why)
{
    struct worker *w = task_worker(t);
    const struct settings *limits = &worker_config(w)->settings;
    double by = worker_now(w) + limits->connect_timeout_ms / 1000.0;
    if (deadline == 0 || (by < deadline && relay == NULL))
        deadline = by;            /* (who answers for the account may be slower than servers) */
    if (p->account->is_relayed && relay == NULL) {
        fault_set(why, BLAME_POLICY, ER_ACCESS_DENIED,
                  "volvox: the password of '%.80s' is not known here, only its client's own connection "
                  "can be used", p->account->server_user);
        return NULL;
    }
    struct backend *be = mem_zalloc(sizeof *be);
    be->place = BACKEND_OPENING;
    be->pool = p;
    be->server = server_take(p->server);
    be->collation = terms->collation;
    if (schema.len > 0)
        name_schema(be, schema);
    list_init(&be->statements_used);
    list_init(&be->followers);
    p->n_held++;
    list_push_back(&p->pools->all, &be->all);
    atomic_fetch_add_explicit(&be->server->connects, 1, memory_order_relaxed);
    struct keepalive keepalive = limits->server_keepalive;
    set_expiry(be, limits);
    be->stream.watch.on_read.fd = -1;
    int fd = stream_dial(t, &be->server->address, MIN(by, deadline), why);
    if (fd < 0)
        return give_up(t, be, why);
    socket_keepalive(fd, &keepalive);
    stream_open(&be->stream, w, fd, BLAME_SERVER);
    struct bytes entries = BYTES_NONE;
    if (!introduce(t, be, terms->client, deadline, why) ||
        !log_in(t, be, relay, &entries, deadline, why))
        return give_up(t, be, why);
    if ((be->caps & CAP_SESSION_TRACK) == 0) {
        state_drop(be->state);
        be->state = NULL;             /* nobody will say what becomes of it */
    }
    if (!begin_compression(t, be, deadline, why) || !undo_init_connect(t, be, deadline, why) ||
        !backend_track(t, be, deadline, why))
        return give_up(t, be, why);
    welcome_note(p->pools, be->server, be->usual, entries);
    count(w, backends_opened);
    log_debug("backend opened", "server=%s thread=%u user=%s", be->server->name, be->thread_id,
              log_quote(bytes_str(p->account->server_user)));
    return be;
}

/* MySQL lets nobody enter a schema in the sandbox: only its login can name one. */
struct backend *backend_open(struct task *t, struct pool *p, const struct lease_terms *terms,
                             struct login_relay *relay, double deadline, struct fault *why)
{
    struct bytes schema = terms->state != NULL ? terms->state->schema : BYTES_NONE;
    /* (the client answers once) */
    struct backend *be = open_in(t, p, terms, relay != NULL ? schema : BYTES_NONE, relay, deadline, why);
    if (be == NULL || be->sandbox != SANDBOX_IN || be->is_mariadb || relay != NULL || schema.len == 0)
        return be;
    backend_write(be, COM_QUIT, BYTES_NONE);
    stream_linger(t, &be->stream, 2.0);
    backend_discard(be);
    return open_in(t, p, terms, schema, NULL, deadline, why);
}
