/*
 * login.c - who a visitor is: greeting, password, OK; the same again for COM_CHANGE_USER.
 *
 * An unknown user and a wrong password are one road, as on the data port.
 */
#include "admin/inside.h"

#include "base/log.h"
#include "base/str.h"

#define ADMIN_CAPS                                                                                    \
    (CAP_LONG_PASSWORD | CAP_FOUND_ROWS | CAP_LONG_FLAG | CAP_CONNECT_WITH_DB | CAP_NO_SCHEMA |       \
     CAP_ODBC | CAP_IGNORE_SPACE | CAP_PROTOCOL_41 | CAP_INTERACTIVE | CAP_IGNORE_SIGPIPE |           \
     CAP_TRANSACTIONS | CAP_RESERVED | CAP_SECURE_CONNECTION | CAP_MULTI_STATEMENTS |                 \
     CAP_MULTI_RESULTS | CAP_PS_MULTI_RESULTS | CAP_PLUGIN_AUTH | CAP_CONNECT_ATTRS |                 \
     CAP_PLUGIN_AUTH_LENENC | CAP_DEPRECATE_EOF)

void visitor_begin(struct visitor *v)
{
    v->status = STATUS_AUTOCOMMIT;
    v->select_limit = 0;
}

static const struct config *config_of(const struct visitor *v)
{
    return v->admin->host.config(v->admin->host.arg);
}

static double login_deadline(struct task *t, const struct visitor *v)
{
    return worker_now(task_worker(t)) + config_of(v)->settings.login_timeout_ms / 1000.0;
}

/* What plays the part of operators that do not exist. */
static const struct admin_user_config nobody = {
    .secret = { .has_password = true, .forms = KNOWN_SHA1_TWICE | KNOWN_SHA256_TWICE },
};

static bool deny(const struct visitor *v, struct bytes user, bool with_password, struct fault *why)
{
    log_warn("admin login denied", "client=%u user=%s host=%s", v->facts.id, log_quote(user), v->facts.host);
    event_note("admin", NULL, "login of '%.*s' from %s denied", (int)MIN(user.len, (size_t)80),
               (const char *)user.data, v->facts.host);
    return fault_set(why, BLAME_POLICY, ER_ACCESS_DENIED,
                     "Access denied for user '%.*s'@'%s' (using password: %s)",
                     (int)MIN(user.len, (size_t)80), (const char *)user.data, v->facts.host,
                     with_password ? "YES" : "NO");
}

/* By the configuration of when it began; visitor_serve() looks again before each command. */
static bool check(struct talk *k, struct visitor *v, struct bytes user, const struct offer *offer,
                  uint8_t proven[32], struct fault *why)
{
    struct config *c = config_take(v->admin->host.config(v->admin->host.arg));
    const struct admin_user_config *u = config_admin_user(c, user);
    const struct admin_user_config *who = u != NULL ? u : &nobody;
    struct proof p = { .secret = &who->secret, .exists = u != NULL };
    bool ok = check_password(k, offer, &p, why);
    if (ok && !p.is_right)
        ok = deny(v, user, !p.was_empty, why);
    memcpy(proven, who->secret.mark, sizeof who->secret.mark);
    proof_release(&p);
    config_drop(c);
    return ok;
}

/* Operators are slowed by the same count as clients. */
static bool identify(struct talk *k, struct visitor *v, struct bytes user, const struct offer *offer,
                     uint8_t proven[32], struct fault *why)
{
    struct comer c;
    struct address from = { .len = sizeof from.un };
    if (getpeername(stream_fd(&v->stream), &from.any, &from.len) != 0)
        from.len = 0;
    comer_init(&c, v->admin->host.shared, &config_of(v)->settings, &from, user);
    if (!comer_wait(k, &c, why))
        return false;
    if (check(k, v, user, offer, proven, why)) {
        comer_succeeded(k, &c);
        return true;
    }
    if (why->code == ER_ACCESS_DENIED)
        comer_failed(k, &c);
    return false;
}

static bool admit(struct talk *k, struct visitor *v, struct bytes user, struct bytes schema,
                  const struct offer *offer, struct fault *why)
{
    uint8_t proven[sizeof v->proven];
    bool ok = identify(k, v, user, offer, proven, why);
    v->seq = k->seq;
    if (!ok)
        return false;
    visitor_begin(v);
    str_copy(v->facts.user, sizeof v->facts.user, user);
    memcpy(v->proven, proven, sizeof v->proven);
    v->facts.schema[0] = '\0';
    if (!use_schema(v, schema, why))
        return false;
    log_info("admin login", "client=%u user=%s host=%s", v->facts.id, log_quote(user), v->facts.host);
    visitor_ok(v, "");
    return visitor_flush(k->t, v, k->deadline, why);
}

/* What is offered. */
static uint64_t caps_of(const struct visitor *v)
{
    const struct config *c = config_of(v);
    bool has_tls = c->admin.tls != TLS_DISABLED && c->settings.tls_context != NULL;
    return ADMIN_CAPS | (has_tls ? CAP_SSL : 0);
}

/* As on the data port: what came before is not believed, the packet comes again. */
static bool start_tls(struct talk *k, struct visitor *v, struct bytes *payload, struct fault *why)
{
    struct tls_context *c = tls_context_take(config_of(v)->settings.tls_context);
    bool ok = c != NULL && stream_start_tls(k->t, &v->stream, c, k->deadline, why);
    tls_context_drop(c);
    if (ok)
        return talk_read(k, payload, why);
    log_info("TLS handshake with operator failed", "client=%u host=%s why=%s", v->facts.id,
             v->facts.host, log_quote(bytes_str(why->text)));
    return fault_set(why, BLAME_POLICY, why->code, "Bad handshake");
}

static bool check_transport(const struct visitor *v, struct fault *why)
{
    if (config_of(v)->admin.tls != TLS_REQUIRED || stream_is_private(&v->stream))
        return true;
    return fault_set(why, BLAME_POLICY, 3159,
                     "volvox: operators must use TLS here, or a unix socket ([admin] tls = required)");
}

static void greet(struct visitor *v, uint64_t caps)
{
    struct greeting g = {
        .version = BYTES_LITERAL(ADMIN_VERSION),
        .thread_id = v->facts.id,
        .caps = caps,
        .collation = ADMIN_COLLATION,
        .status = STATUS_AUTOCOMMIT,
        .plugin = auth_plugin_name(AUTH_NATIVE),
    };
    scramble_make(v->scramble);
    memcpy(g.scramble, v->scramble, sizeof g.scramble);
    greeting_write(&v->stream.out, &v->seq, &g);
}

static struct talk talk_with(struct task *t, struct visitor *v)
{
    struct talk k = { .t = t, .client = &v->stream, .rsa = v->admin->host.shared->rsa,
                      .deadline = login_deadline(t, v), .caps = v->caps, .usual = AUTH_NATIVE,
                      .seq = v->seq };
    memcpy(k.scramble, v->scramble, sizeof k.scramble);
    return k;
}

bool visitor_login(struct task *t, struct visitor *v, struct fault *why)
{
    struct bytes payload;
    struct login l;
    uint64_t caps = caps_of(v);
    greet(v, caps);
    struct talk k = talk_with(t, v);
    bool ok = talk_flush(&k, why) && talk_read(&k, &payload, why) &&
              (!login_asks_for_tls(payload, caps, &l) || start_tls(&k, v, &payload, why));
    v->seq = k.seq;
    if (!ok || !login_read(payload, caps, &l, why))
        return false;
    if (l.is_ssl_request)
        return fault_set(why, BLAME_POLICY, ER_HANDSHAKE_ERROR, "Bad handshake");
    v->caps = k.caps = l.caps;
    struct offer offer = { .plugin = l.plugin, .token = l.auth };
    return check_transport(v, why) && admit(&k, v, l.user, l.schema, &offer, why);
}

bool visitor_change_user(struct task *t, struct visitor *v, struct bytes payload, struct fault *why)
{
    struct talk k = talk_with(t, v);
    struct change_user c;
    if (!change_user_read(payload, v->caps, &c, why))
        return false;
    statements_close(v);
    v->facts.user[0] = '\0';
    struct offer offer = { .plugin = c.plugin, .token = c.auth, .is_change = true };
    return admit(&k, v, c.user, c.schema, &offer, why);
}
