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
    *k = (struct talk){ .t = t, .s = s, .client = &s->client, .rsa = s->home->shared->rsa,
                        .caps = s->caps, .seq = seq };
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

static uint64_t offered_compression(const struct session *s, const struct group_state *g)
{
    const struct listener_config *l = session_listener(s);
    if (l == NULL)
        return 0;
    if (l->compression != COMPRESSION_OF_SERVERS)
        return compression_caps(l->compression);
    return g != NULL ? g->caps & (CAP_COMPRESS | CAP_ZSTD) : CAP_COMPRESS;
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
    greeting.caps |= login_tls_offer(s);
    greeting.caps |= offered_compression(s, known ? g : NULL);
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

static void note_denied(const struct session *s, struct bytes user)
{
    char host[ADDRESS_TEXT_BYTES];
    session_host(s, host);
    count(session_worker(s), logins_denied);
    audit(s, "login denied", user, host);
}

bool access_denied(const struct session *s, struct bytes user, bool with_password, struct fault *why)
{
    char host[ADDRESS_TEXT_BYTES];
    session_host(s, host);
    return fault_set(why, BLAME_POLICY, ER_ACCESS_DENIED,
                     "Access denied for user '%.*s'@'%s' (using password: %s)",
                     (int)MIN(user.len, (size_t)80), (const char *)user.data, host,
                     with_password ? "YES" : "NO");
}

static bool deny(const struct session *s, struct bytes user, bool with_password, struct fault *why)
{
    note_denied(s, user);
    return access_denied(s, user, with_password, why);
}

static bool enter_quota(struct session *s, const struct user_config *u, const struct account *a,
                        struct fault *why)
{
    s->has_quota = u->max_connections > 0 &&
                   quota_take(s->home->shared, bytes_str(a->name), u->max_connections);
    if (s->has_quota || u->max_connections == 0)
        return true;
    return fault_set_state(why, BLAME_POLICY, 1203, "42000",
                           "User %s already has more than 'max_user_connections' active connections",
                           a->name);
}

/* ---- users of the file ------------------------------------------------------------------------ */

/* What plays the part of unknown users where no user has a password. */
static const struct user_config nobody = {
    .has_server_password = true,
    .secret = { .has_password = true, .forms = KNOWN_SHA1_TWICE | KNOWN_SHA256_TWICE },
};

/* Is what is known not enough to log in at the servers, whatever the client's token tells?  A native
 * token tells what native needs, which is what MariaDB's accounts have. */
static bool must_tell(const struct user_config *u, const struct secret *known, enum auth_plugin usual)
{
    uint32_t enough = KNOWN_CLEAR | (usual == AUTH_NATIVE ? KNOWN_SHA1_TWICE : 0);
    return !u->has_server_password && known->has_password && (known->forms & enough) == 0;
}

/* In the store of what logins told: of this user as long as the file has the same of it. */
static struct bytes learnt_key(struct talk *k, const struct user_config *u)
{
    struct bytes parts[] = { BYTES_LITERAL("file "),
                             bytes_of(u->secret.mark, sizeof u->secret.mark), bytes_str(u->name) };
    return arena_join(task_arena(k->t), parts, ARRAY_LEN(parts));
}

/* The account of who has proven to be this user. */
static struct account *account_of_user(struct talk *k, const struct user_config *u,
                                       struct account *learnt, const struct proof *p)
{
    struct account_store *store = &k->s->home->shared->learnt;
    struct account *a = learnt;
    if (p->learnt.forms != 0)
        a = account_new(u->name, u->server_user, &p->learnt, true);
    if (a != NULL && a != learnt)
        account_store_put(store, learnt_key(k, u), a, worker_now_us(task_worker(k->t)));
    struct account *found = account_take(a != NULL && !u->has_server_password ? a : u->account);
    if (a != learnt)
        account_drop(a);
    return found;
}

static bool check_in_file(struct talk *k, const struct claim *r, const struct comer *c,
                          const struct user_config *u, struct account **account, struct fault *why)
{
    struct session *s = k->s;
    uint64_t proven_us;
    bool exists = u != NULL && !u->asks_servers;
    const struct user_config *who = exists ? u : config_decoy(s->config, r->user);
    if (who == NULL)
        who = &nobody;
    struct account *learnt = account_store_find(&s->home->shared->learnt, learnt_key(k, who),
                                                worker_now_us(task_worker(k->t)), &proven_us);
    struct proof p = { .secret = learnt != NULL ? &learnt->secret : &who->secret,
                       .exists = exists };
    p.must_tell = must_tell(who, p.secret, k->usual);
    bool done = check_password(k, &r->offer, &p, why);
    if (done && !p.is_right) {
        comer_failed(k, c);
        done = deny(s, r->user, !p.was_empty, why);
    }
    if (done)
        *account = account_of_user(k, u, learnt, &p);
    proof_release(&p);
    account_drop(learnt);
    return done;
}

/* ---- the schema -------------------------------------------------------------------------------- */

/* Its name came in the client's character set.  From here on it is known as servers report it. */
static bool learn_schema(struct task *t, struct session *s, struct bytes schema, struct fault *why)
{
    struct backend *be = s->lease;
    struct ok ok;
    struct track_walk walk;
    struct track track;
    if (be->sandbox == SANDBOX_IN)
        return true;
    if (!align_settle(t, s, why) ||
        !backend_ask_ok(t, be, COM_INIT_DB, schema, &ok, stall_deadline(t), why))
        return false;
    track_begin(&walk, ok.track);
    while (track_next(&walk, &track))
        if (track.type == TRACK_SCHEMA)
            schema = track.value;
    session_set_state(s, state_changed(s->state, &schema, NULL, 0));
    backend_set_state(be, s->state);
    return true;
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
    bool is_named_in_utf8 = name_is_ascii(schema) || state_is_utf8(s->state);
    if (is_named_in_utf8)
        session_set_state(s, state_changed(s->state, &schema, NULL, 0));
    struct outcome out = { .by = SERVED_HERE };
    bool ok = obtain(k->t, s, &cmd, &plan, &attempt, &out);
    if (ok) {
        s->lease->schema_is_old = is_named_in_utf8;
        ok = align(k->t, s, &cmd, &plan, &out.why);
    }
    if (ok && !is_named_in_utf8)
        ok = learn_schema(k->t, s, schema, &out.why);
    if (!ok)
        *why = out.why;
    if (s->lease != NULL && ((s->pins & (PIN_ACCOUNT | PIN_EXPIRED)) == 0 || !ok))
        let_go(s, ok ? PUT_CLEAN : PUT_CLOSE);
    return ok;
}

static bool welcome(struct talk *k, bool is_mariadb, bool is_change, struct fault *why)
{
    struct session *s = k->s;
    char proof[TLS_PROOF_BYTES];
    struct ok ok = { .status = STATUS_AUTOCOMMIT };
    struct buf track = { 0 };
    tell_welcome(s, s->phase == SESSION_LOGIN ? WELCOME_LOGIN : WELCOME_CHANGED, &track);
    ok.track = buf_bytes(&track);
    if (is_mariadb && !is_change)
        ok.info = bytes_of(proof, login_tls_proof(k, proof));
    ok_write(&s->client.out, &k->seq, &ok, 0x00, s->caps);
    buf_release(&track);
    count(session_worker(s), logins_ok);
    if (s->config->settings.audit) {
        char host[ADDRESS_TEXT_BYTES];
        session_host(s, host);
        audit(s, "login", bytes_str(s->account->name), host);
    }
    return talk_flush(k, why);
}

/* ---- login ---------------------------------------------------------------------------------------- */

/* Whose options hold for this name, and who checks it: NULL and the file for one that is in neither. */
static const struct user_config *options_for(const struct session *s, struct bytes name)
{
    const struct user_config *u = config_user(s->config, name);
    return u != NULL ? u : config_any_user(s->config);
}

static bool is_for_servers(const struct session *s, const struct user_config *u)
{
    return u != NULL && u->asks_servers &&
           s->config->groups[session_group_index(s, u)].auth == AUTH_SERVERS;
}

static bool identify(struct talk *k, const struct claim *r, const struct comer *c,
                     const struct user_config *u, struct account **account, struct fault *why)
{
    if (!comer_wait(k, c, why))
        return false;
    if (!is_for_servers(k->s, u))
        return check_in_file(k, r, c, u, account, why);
    if (ask_servers(k, r, u, account, why))
        return true;
    if (why->code == ER_ACCESS_DENIED || why->code == 1698) {
        comer_failed(k, c);
        note_denied(k->s, r->user);
    }
    return false;
}

static bool admit(struct talk *k, const struct claim *r, struct topology *topology,
                  struct fault *why)
{
    struct session *s = k->s;
    struct comer comer;
    struct address from;
    struct account *account;
    const struct user_config *u = options_for(s, r->user);
    unsigned group = session_group_index(s, u != NULL ? u : &nobody);
    const struct group_state *g = group_state_of(s, group, topology);
    if (!begin_accepts(r->collation, g, why))
        return false;
    begin_state(s, r->collation, g, r->offer.is_change ? AT_CHANGE_USER : AT_LOGIN);
    session_address(s, &from);
    comer_init(&comer, s->home->shared, &s->config->settings, &from, r->user);
    if (!identify(k, r, &comer, u, &account, why))
        return false;
    if (!login_tls_allows(s, u)) {
        account_drop(account);
        return deny(s, r->user, r->offer.token.len > 0 || r->offer.is_change, why);
    }
    s->account = account;
    s->user = u;
    comer_succeeded(k, &comer);
    if (!enter_quota(s, u, account, why))
        return false;
    struct bytes schema = r->schema.len > 0 ? r->schema : bytes_str(u->schema);
    if (!enter_schema(k, schema, why) || (!r->offer.is_change && !init_connect_run(k->t, s, g, why)))
        return false;
    if (!r->offer.is_change)
        counts_begin(s);
    return welcome(k, g != NULL && g->is_mariadb, r->offer.is_change, why);
}

static bool bad_handshake(struct fault *why)
{
    return fault_set(why, BLAME_POLICY, ER_HANDSHAKE_ERROR, "Bad handshake");
}

/* The client's packet; after a handshake the one within TLS.  MySQL wants the collation in both to be
 * the same, and looks at no other field. */
static bool read_login(struct talk *k, uint64_t offered, const struct group_state *g, struct login *l,
                       struct fault *why)
{
    struct bytes payload;
    struct login first;
    k->s->caps = CAP_PROTOCOL_41; /* a refusal has its SQLSTATE */
    if (!proxied_read(k->t, k->s, k->deadline, why) || !talk_read(k, &payload, why))
        return false;
    bool asks = login_asks_for_tls(payload, offered, &first);
    if (asks && (!login_tls_start(k->t, k->s, k->deadline, why) || !talk_read(k, &payload, why)))
        return false;
    if (!login_read(payload, offered, l, why)) {
        /* 1043 Bad handshake, as servers say */
        why->blame = BLAME_POLICY;
        return false;
    }
    bool is_mariadb = g != NULL && g->is_mariadb;
    k->s->caps = k->caps = l->caps;
    if (l->is_ssl_request || (asks && !is_mariadb && l->collation != first.collation))
        return bad_handshake(why);
    k->s->multi_statements = (l->caps & CAP_MULTI_STATEMENTS) != 0;
    return true;
}

/* MariaDB before 11.4 does not tell a client without TLS why. */
static bool check_transport(struct talk *k, const struct login *l, const struct group_state *g,
                            struct fault *why)
{
    if (!login_tls_required(k->s))
        return true;
    if (g != NULL && g->is_mariadb && g->version_number < 110400)
        return deny(k->s, l->user, l->auth.len > 0, why);
    return login_tls_missing(g, why);
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

/* From the OK on.  A client names its level for zstd, and none for zlib. */
static void begin_compression(struct session *s, const struct login *l)
{
    enum compression agreed = compression_agreed(l->caps);
    const struct listener_config *listener = session_listener(s);
    if (agreed == COMPRESSION_OFF)
        return;
    unsigned level = listener != NULL ? listener->compression_level : 0;
    if (agreed == COMPRESSION_ZSTD && (level == 0 || l->zstd_level < level))
        level = l->zstd_level;
    stream_compress(&s->client, agreed, level);
}

bool log_in(struct task *t, struct session *s)
{
    struct fault why = FAULT_NONE;
    struct login l;
    struct topology *topology = topology_take(worker_topology(task_worker(t)));
    struct talk k;
    begin_talk(&k, t, s, 0);
    const struct group_state *g = greeting_group(s, topology);
    k.usual = usual_plugin(g);
    uint64_t offered = greet(&k, g, &why);
    bool ok = offered != 0 && read_login(&k, offered, g, &l, &why) && check_transport(&k, &l, g, &why);
    if (ok) {
        struct claim r = { .user = l.user, .schema = l.schema, .collation = l.collation,
                           .offer = { .plugin = l.plugin, .token = l.auth } };
        ok = admit(&k, &r, topology, &why);
    }
    if (!ok)
        turn_away(&k, &why);
    else
        begin_compression(s, &l);
    topology_drop(topology);
    return ok;
}

/* ---- changing user, resetting ------------------------------------------------------------------------ */

/* Everything but the connection and the account goes.  A held backend is cleaned before the client
 * hears OK: its locks must be gone by then. */
static bool forget_everything(struct task *t, struct session *s, uint32_t kept_pins,
                              struct fault *why)
{
    statements_forget(s);
    uint32_t pins = s->pins & ~PIN_LEAVABLE;
    session_pin(s, s->pins & kept_pins);
    s->last_ticket = 0;           /* the next account must not come back to it */
    if (s->lease == NULL)
        return true;
    bool is_replica = (pins & PIN_REPLICATION) != 0;
    bool ok = pins == 0 || is_replica || backend_reset(t, s->lease, stall_deadline(t), why);
    if (s->pins == 0 || !ok || is_replica)
        let_go(s, ok && !is_replica ? PUT_CLEAN : PUT_CLOSE);
    /* (another connection may do, unless there can be no other) */
    return ok || (why->blame != BLAME_TIME && s->pins == 0);
}

/* The client's packet, out of its buffer.  One that makes no sense is answered when the session has
 * been reset, as servers do. */
static bool read_change(struct task *t, struct session *s, struct command *cmd, struct claim *r,
                        struct fault *why)
{
    struct change_user c;
    bool ok = change_user_read(bytes_of(cmd->head + 1, cmd->head_len - 1), s->caps, &c, why);
    if (ok)
        *r = (struct claim){
            .user = arena_copy(task_arena(t), c.user),
            .schema = arena_copy(task_arena(t), c.schema),
            .collation = c.collation,
            .offer = { .plugin = arena_copy(task_arena(t), c.plugin),
                       .token = arena_copy(task_arena(t), c.auth),
                       .is_change = true },
        };
    else
        why->blame = BLAME_POLICY;
    buf_skip(&s->client.in, cmd->wire_len);
    cmd->taken = true;
    return ok;
}

/* MariaDB: who has failed so often on one connection is not listened to any more. */
enum { FAILED_CHANGES_MOST = 3 };

/* Was it refused so that MariaDB's client may go on as who it was?  (Not if the conversation broke
 * off.) */
static bool is_refusal(const struct session *s, const struct fault *why)
{
    return why->blame != BLAME_CLIENT && why->blame != BLAME_TIME &&
           why->code != ER_PACKETS_OUT_OF_ORDER && !s->client.broken;
}

/* As who it was, in its schema, with the server's character set; a reset from here on goes by the
 * one that was asked for. */
static void go_on_as_before(struct session *s, struct former *former,
                            const struct topology *topology)
{
    uint16_t asked = s->collation;
    former_return(s, former);
    begin_state(s, 0, session_group(s, topology), AT_CHANGE_USER);
    session_set_state(s, state_changed(s->state, &former->state->schema, NULL, 0));
    state_drop(former->state);
    s->collation = asked;
    s->failed_changes += s->failed_changes < FAILED_CHANGES_MOST;
}

/* So that passwords can't be tried out quickly. */
static void pause_as_mariadb(struct task *t)
{
    (void)task_park(t, worker_now(task_worker(t)) + 1);
}

bool change_user(struct task *t, struct session *s, struct command *cmd, struct fault *why)
{
    struct talk k;
    struct claim r;
    struct former former;
    struct config *config = config_take(worker_config(task_worker(t)));
    struct topology *topology = topology_take(worker_topology(task_worker(t)));
    bool goes_on = s->mode.is_mariadb;
    begin_talk(&k, t, s, 1);
    k.usual = usual_plugin(greeting_group(s, topology));
    cmd->ends_session = true;     /* unless all goes well */
    bool is_read = read_change(t, s, cmd, &r, why);
    bool ok = forget_everything(t, s, PIN_ACCOUNT, why) && former_leave(s, &former, config, why);
    if (!ok)
        goto out;
    if (is_read && s->failed_changes == FAILED_CHANGES_MOST)
        is_read = fault_set(why, BLAME_POLICY, ER_UNKNOWN_COM, "Unknown command");
    ok = is_read && admit(&k, &r, topology, why);
    goes_on = ok || (goes_on && !former.is_lost && is_refusal(s, why));
    if (goes_on && !ok) {
        go_on_as_before(s, &former, topology);
        why->blame = BLAME_POLICY; /* whoever it was about, it was not the account's connection */
        pause_as_mariadb(t);
    } else {
        former_forget(&former);
    }
    cmd->ends_session = !goes_on;
    cmd->error_seq = k.seq;
out:
    topology_drop(topology);
    config_drop(config);
    return ok;
}

static bool answer_reset_ok(struct task *t, struct session *s, struct fault *why)
{
    struct ok ok = { .status = STATUS_AUTOCOMMIT };
    struct buf track = { 0 };
    uint8_t seq = 1;
    tell_welcome(s, WELCOME_RESET, &track);
    ok.track = buf_bytes(&track);
    ok_write(&s->client.out, &seq, &ok, 0x00, s->caps);
    buf_release(&track);
    return stream_flush(t, &s->client, 0, why);
}

bool reset_connection(struct task *t, struct session *s, struct command *cmd, struct fault *why)
{
    struct bytes schema = arena_copy(task_arena(t), s->state->schema);
    struct topology *topology = topology_take(worker_topology(task_worker(t)));
    /* (the only connection of the session's account stays) */
    bool is_bound = (s->pins & PIN_ACCOUNT) != 0;
    bool ok = forget_everything(t, s, PIN_ACCOUNT, why);
    cmd->ends_session = is_bound && s->lease == NULL;
    begin_state(s, s->collation, session_group(s, topology), AT_RESET);
    session_set_state(s, state_changed(s->state, &schema, NULL, 0));
    topology_drop(topology);
    return ok && answer_reset_ok(t, s, why);
}
