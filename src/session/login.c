/*
 * login.c - from the greeting to the first OK, top to bottom, under one deadline; the same
 * again for COM_CHANGE_USER; and COM_RESET_CONNECTION.  See inside.h.
 *
 * An unknown user and a wrong password are one road: the same packets, the same work, the same
 * words.
 */
#include "session/inside.h"

#include "base/log.h"
#include "base/mem.h"

static void begin_talk(struct talk *k, struct task *t, struct session *s, uint8_t seq)
{
    *k = (struct talk){ .t = t, .s = s, .seq = seq };
    k->deadline = worker_now(task_worker(t)) + s->config->settings.login_timeout_ms / 1000.0;
    scramble_derive(s->home->shared->scramble_secret, (uint64_t)s->id_round << 32 | s->id,
                    k->scramble);
}

/* ---- the greeting ----------------------------------------------------------------------- */

/* The group whose servers the greeting speaks for: the listener's, else the first. */
static const struct group_state *greeting_group(const struct session *s, const struct topology *topology)
{
    unsigned g = s->listener_group >= 0 ? (unsigned)s->listener_group : 0;
    return g < topology->n_groups ? &topology->groups[g] : NULL;
}

static enum auth_plugin usual_plugin(const struct group_state *g)
{
    return g == NULL || g->is_mariadb || g->version[0] == '\0' ? AUTH_NATIVE : AUTH_CACHING_SHA2;
}

static uint64_t greet(struct talk *k, const struct group_state *g, struct fault *why)
{
    struct session *s = k->s;
    bool known = g != NULL && g->version[0] != '\0';
    struct greeting greeting = {
        .version = bytes_str(known ? g->version : s->config->settings.server_version),
        .thread_id = s->id,
        .caps = shape_offer(known ? g->caps : 0),
        .collation = known && g->collation < 256 ? (uint8_t)g->collation : 45,
        .status = STATUS_AUTOCOMMIT,
        .plugin = auth_plugin_name(usual_plugin(g)),
    };
    if (known && g->is_mariadb)   /* that bit would say "I am MySQL" */
        greeting.caps &= ~CAP_LONG_PASSWORD;
    memcpy(greeting.scramble, k->scramble, sizeof k->scramble);
    greeting_write(&s->client.out, &k->seq, &greeting);
    return talk_flush(k, why) ? greeting.caps : 0;
}

/* ---- who may come in ---------------------------------------------------------------------------- */

/* With `audit` on, whatever the log level. */
static void audit(const struct session *s, const char *event, struct bytes user, const char *host)
{
    if (s->config->settings.audit || log_wants(LOG_AREA, LOG_INFO))
        log_line(LOG_INFO, event, "session=%u user=%s host=%s", s->id, log_quote(user), host);
}

static bool deny(const struct session *s, struct bytes user, bool with_password, struct fault *why)
{
    char host[ADDRESS_TEXT_BYTES];
    session_host(s, host);
    count(session_worker(s), logins_denied);
    audit(s, "login denied", user, host);
    return fault_set(why, BLAME_POLICY, ER_ACCESS_DENIED,
                     "Access denied for user '%.*s'@'%s' (using password: %s)",
                     (int)MIN(user.len, (size_t)80), (const char *)user.data, host,
                     with_password ? "YES" : "NO");
}

static bool enter_quota(struct session *s, const struct user_config *u, struct fault *why)
{
    s->has_quota = u->max_connections > 0;
    if (!s->has_quota || quota_take(s->home->shared, u))
        return true;
    s->has_quota = false;
    return fault_set_state(why, BLAME_POLICY, 1203, "42000",
                           "User %s already has more than 'max_user_connections' active connections",
                           u->name);
}

/* ---- the state a session begins in ----------------------------------------------------------- */

/* The collation that a server takes a login's for.  MariaDB reads what was the default of its
 * character set before 11.5 as "the default", which a variable names since then. */
static unsigned login_collation(unsigned collation, unsigned usual, const struct group_state *g)
{
    if (g == NULL || g->version[0] == '\0')
        return collation != 0 ? collation : usual;
    if (collation == UTF8MB3_GENERAL && g->utf8mb3_collation != 0)
        return g->utf8mb3_collation;
    if (collation == UTF8MB4_GENERAL && g->utf8mb4_collation != 0)
        return g->utf8mb4_collation;
    return collation_known(collation, g->is_mariadb, g->version_number) ? collation : usual;
}

/* In the words of the servers. */
static bool accept_charset(unsigned collation, const struct group_state *g, struct fault *why)
{
    const struct collation *c = collation_by_id(collation);
    if (c == NULL || charset_is_for_clients(c->charset) || g == NULL ||
        !collation_known(collation, g->is_mariadb, g->version_number))
        return true;
    return fault_set(why, BLAME_POLICY, ER_WRONG_VALUE_FOR_VAR,
                     "Variable 'character_set_client' can't be set to the value of '%s'", c->charset);
}

static void begin_state(struct session *s, unsigned collation, const struct group_state *g)
{
    unsigned usual = g != NULL && g->collation != 0 ? g->collation : UTF8MB4_GENERAL;
    s->collation = (uint16_t)login_collation(collation, usual, g);
    s->status = STATUS_AUTOCOMMIT;
    s->insert_id = 0;
    s->has_new_id = s->says_own_id = false;
    s->mode = (struct lexer_mode){ .is_mariadb = g != NULL && g->is_mariadb,
                                   .version = g != NULL ? g->version_number : 0 };
    session_set_state(s, state_at_login(s->collation, usual));
}

/* The server says whether there is such a schema and whether the account may use it: now, whoever
 * was in it on that connection before. */
static bool enter_schema(struct talk *k, struct bytes schema, struct fault *why)
{
    struct session *s = k->s;
    struct command cmd = { .code = COM_INIT_DB, .whole = true };
    struct plan plan = { .role = ROLE_ANY };
    struct attempt attempt = { .n_avoid = 0 };
    if (schema.len == 0)
        return true;
    cmd.st.reads_only = false;
    session_set_state(s, state_changed(s->state, &schema, NULL, 0));
    struct outcome out = { .by = SERVED_HERE };
    bool ok = obtain(k->t, s, &cmd, &plan, &attempt, &out);
    if (ok) {
        s->lease->schema_is_old = true;
        ok = align(k->t, s, &cmd, &plan, &out.why);
    }
    if (!ok)
        *why = out.why;
    if (s->lease != NULL)
        let_go(s, ok ? PUT_CLEAN : PUT_CLOSE);
    return ok;
}

static bool welcome(struct talk *k, struct bytes schema, bool is_mariadb, struct fault *why)
{
    struct session *s = k->s;
    struct ok ok = { .status = STATUS_AUTOCOMMIT };
    struct buf track = { 0 };
    if (schema.len > 0 && !is_mariadb && (s->caps & CAP_SESSION_TRACK) != 0) {
        track_write(&track, TRACK_SCHEMA, schema);
        ok.track = buf_bytes(&track);
        ok.status |= STATUS_SESSION_STATE_CHANGED;
    }
    ok_write(&s->client.out, &k->seq, &ok, 0x00, s->caps);
    buf_release(&track);
    count(session_worker(s), logins_ok);
    if (s->config->settings.audit) {
        char host[ADDRESS_TEXT_BYTES];
        session_host(s, host);
        audit(s, "login", bytes_str(s->user->name), host);
    }
    return talk_flush(k, why);
}

/* ---- login ---------------------------------------------------------------------------------------- */

/* Who asks for what, whichever packet said so. */
struct claim {
    struct bytes user, schema, plugin, token;
    unsigned collation;
    bool always_switch;           /* COM_CHANGE_USER */
};

static bool admit(struct talk *k, const struct claim *r, const struct group_state *greeted,
                  struct topology *topology, struct fault *why)
{
    struct session *s = k->s;
    const struct user_config *u = config_user(s->config, r->user);
    bool proven;
    if (!check_password(k, r->plugin, r->token, u != NULL ? &u->secret : NULL, r->always_switch,
                        usual_plugin(greeted), &proven, why))
        return false;
    if (u == NULL || !proven)
        return deny(s, r->user, r->token.len > 0 || r->always_switch, why);
    if (!enter_quota(s, u, why))
        return false;
    s->user = u;
    const struct group_state *g = session_group(s, topology);
    if (!accept_charset(r->collation, g, why))
        return false;
    struct bytes schema = r->schema.len > 0 ? r->schema : bytes_str(u->schema);
    begin_state(s, r->collation, g);
    return enter_schema(k, schema, why) && welcome(k, schema, g != NULL && g->is_mariadb, why);
}

static bool read_login(struct talk *k, uint64_t offered, struct login *l, struct fault *why)
{
    struct bytes payload;
    k->s->caps = CAP_PROTOCOL_41; /* a refusal has its SQLSTATE */
    if (!talk_read(k, &payload, why))
        return false;
    if (!login_read(payload, offered, l, why)) {
        /* 1043 Bad handshake, as servers say */
        why->blame = BLAME_POLICY;
        return false;
    }
    if (l->is_ssl_request)
        return fault_set(why, BLAME_POLICY, ER_HANDSHAKE_ERROR, "Bad handshake");
    k->s->caps = l->caps;
    k->s->multi_statements = (l->caps & CAP_MULTI_STATEMENTS) != 0;
    return true;
}

/* Tell the client why, give it time to read that and to close first. */
static void turn_away(struct talk *k, const struct fault *why)
{
    struct fault broken;
    struct session *s = k->s;
    if (why->blame == BLAME_CLIENT && why->code == 0) {
        count(session_worker(s), logins_aborted);
        return;
    }
    task_forgive(k->t);
    if (tell_error(k->t, s, why, k->seq, &broken))
        stream_linger(k->t, &s->client, s->config->settings.linger_ms / 1000.0);
}

bool log_in(struct task *t, struct session *s)
{
    struct fault why = FAULT_NONE;
    struct login l;
    struct topology *topology = topology_take(worker_topology(task_worker(t)));
    struct talk k;
    begin_talk(&k, t, s, 0);
    const struct group_state *g = greeting_group(s, topology);
    uint64_t offered = greet(&k, g, &why);
    bool ok = offered != 0 && read_login(&k, offered, &l, &why);
    if (ok) {
        struct claim r = { .user = l.user, .schema = l.schema, .plugin = l.plugin, .token = l.auth,
                             .collation = l.collation };
        ok = admit(&k, &r, g, topology, &why);
    }
    if (!ok)
        turn_away(&k, &why);
    topology_drop(topology);
    return ok;
}

/* ---- changing user, resetting ------------------------------------------------------------------------ */

/* Everything but the connection and the account goes.  A held backend is cleaned before the client
 * hears OK: its locks must be gone by then. */
static bool forget_everything(struct task *t, struct session *s, struct fault *why)
{
    statements_forget(s);
    uint32_t pins = s->pins & ~PIN_PASSING;
    session_pin(s, 0);
    s->last_ticket = 0;           /* the next account must not come back to it */
    if (s->lease == NULL)
        return true;
    bool is_replica = (pins & PIN_REPLICATION) != 0;
    bool ok = pins == 0 || is_replica || backend_reset(t, s->lease, stall_deadline(t), why);
    let_go(s, ok && !is_replica ? PUT_CLEAN : PUT_CLOSE);
    return ok || why->blame != BLAME_TIME;
}

bool change_user(struct task *t, struct session *s, struct command *cmd, struct fault *why)
{
    struct change_user c;
    struct talk k;
    struct config *config = config_take(worker_config(task_worker(t)));
    struct topology *topology = topology_take(worker_topology(task_worker(t)));
    begin_talk(&k, t, s, 1);
    cmd->ends_session = true;     /* unless all goes well */
    bool ok = change_user_read(bytes_of(cmd->head + 1, cmd->head_len - 1), s->caps, &c, why);
    if (!ok) {
        why->blame = BLAME_POLICY;
        goto out;
    }
    struct claim r = {
        .user = arena_copy(task_arena(t), c.user),
        .schema = arena_copy(task_arena(t), c.schema),
        .plugin = arena_copy(task_arena(t), c.plugin),
        .token = arena_copy(task_arena(t), c.auth),
        .collation = c.collation,
        .always_switch = (s->caps & CAP_PLUGIN_AUTH) != 0,
    };
    buf_skip(&s->client.in, cmd->wire_len);
    cmd->taken = true;
    ok = forget_everything(t, s, why);
    if (ok && !session_follow_group(s, config))
        ok = fault_set(why, BLAME_POLICY, ER_UNKNOWN_ERROR, "volvox: the session's group is gone");
    if (ok) {
        if (s->has_quota)
            quota_drop(s->home->shared, s->user);
        s->has_quota = false;
        config_drop(s->config);
        s->config = config_take(config);
        s->user = NULL;
        ok = admit(&k, &r, greeting_group(s, topology), topology, why);
    }
    if (ok)
        cmd->ends_session = false;
    cmd->error_seq = k.seq;
out:
    topology_drop(topology);
    config_drop(config);
    return ok;
}

bool reset_connection(struct task *t, struct session *s, struct command *cmd, struct fault *why)
{
    (void)cmd;
    struct bytes schema = arena_copy(task_arena(t), s->state->schema);
    struct topology *topology = topology_take(worker_topology(task_worker(t)));
    bool ok = forget_everything(t, s, why);
    begin_state(s, s->collation, session_group(s, topology));
    session_set_state(s, state_changed(s->state, &schema, NULL, 0));
    topology_drop(topology);
    return ok && answer_ok(t, s, 1, why);
}
