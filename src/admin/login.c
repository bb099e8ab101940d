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

struct proof {
    struct task *t;
    struct visitor *v;
    double deadline;
    bool always_switch;           /* COM_CHANGE_USER: tokens made from the old scramble */
};

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

static bool ask(struct proof *p, struct bytes *answer, struct fault *why)
{
    return visitor_flush(p->t, p->v, p->deadline, why) &&
           visitor_read(p->t, p->v, answer, p->deadline, why);
}

/* The token did not do: the password itself, encrypted. */
static bool full_authentication(struct proof *p, const struct secret *secret, bool *proven,
                                struct fault *why)
{
    struct visitor *v = p->v;
    const struct rsa_key *rsa = v->admin->host.shared->rsa;
    const uint8_t full = SHA2_FULL_AUTH;
    uint8_t password[256];
    struct bytes answer;
    *proven = false;
    auth_more_write(&v->stream.out, &v->seq, bytes_of(&full, 1));
    if (!ask(p, &answer, why))
        return false;
    if (rsa == NULL)
        return true;
    if (answer.len == 1 && answer.data[0] == SHA2_REQUEST_KEY) {
        auth_more_write(&v->stream.out, &v->seq, rsa_key_public_pem(rsa));
        if (!ask(p, &answer, why))
            return false;
    }
    int n = rsa_key_decrypt(rsa, answer, v->scramble, password, sizeof password);
    *proven = n >= 0 && auth_clear_matches(bytes_of(password, (size_t)MAX(n, 0)), secret);
    explicit_bzero(password, sizeof password);
    return true;
}

static bool check_password(struct proof *p, struct bytes plugin_name, struct bytes token,
                           const struct secret *secret, bool *proven, struct fault *why)
{
    struct visitor *v = p->v;
    const uint8_t fast_ok = SHA2_FAST_OK;
    bool can_switch = (v->caps & CAP_PLUGIN_AUTH) != 0;
    enum auth_plugin plugin = can_switch ? auth_plugin_by_name(plugin_name) : AUTH_NATIVE;
    bool must_switch = can_switch && (p->always_switch || plugin == AUTH_UNKNOWN);
    if (plugin == AUTH_UNKNOWN)
        plugin = AUTH_NATIVE;
    if (must_switch) {
        auth_switch_write(&v->stream.out, &v->seq, plugin, v->scramble);
        if (!ask(p, &token, why))
            return false;
    }
    *proven = auth_token_matches(plugin, v->scramble, token, secret);
    if (plugin != AUTH_CACHING_SHA2 || token.len == 0 || (token.len == 1 && token.data[0] == 0))
        return true;
    if (!*proven)
        return full_authentication(p, secret, proven, why);
    auth_more_write(&v->stream.out, &v->seq, bytes_of(&fast_ok, 1));
    return true;
}

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
static bool admit(struct proof *p, struct bytes user, struct bytes schema, struct bytes plugin,
                  struct bytes token, struct fault *why)
{
    struct visitor *v = p->v;
    struct config *c = config_take(v->admin->host.config(v->admin->host.arg));
    const struct admin_user_config *u = config_admin_user(c, user);
    uint8_t digest[sizeof v->proven] = { 0 };
    bool proven, ok;
    ok = check_password(p, plugin, token, u != NULL ? &u->secret : NULL, &proven, why);
    if (ok && (u == NULL || !proven))
        ok = deny(v, user, token.len > 0 || p->always_switch, why);
    if (ok)
        memcpy(digest, u->secret.sha256_twice, sizeof digest);
    config_drop(c);
    if (!ok)
        return false;
    visitor_begin(v);
    str_copy(v->facts.user, sizeof v->facts.user, user);
    memcpy(v->proven, digest, sizeof v->proven);
    v->facts.schema[0] = '\0';
    if (!use_schema(v, schema, why))
        return false;
    log_info("admin login", "client=%u user=%s host=%s", v->facts.id, log_quote(user), v->facts.host);
    visitor_ok(v, "");
    return visitor_flush(p->t, v, p->deadline, why);
}

static void greet(struct visitor *v)
{
    struct greeting g = {
        .version = BYTES_LITERAL(ADMIN_VERSION),
        .thread_id = v->facts.id,
        .caps = ADMIN_CAPS,
        .collation = ADMIN_COLLATION,
        .status = STATUS_AUTOCOMMIT,
        .plugin = auth_plugin_name(AUTH_NATIVE),
    };
    scramble_make(v->scramble);
    memcpy(g.scramble, v->scramble, sizeof g.scramble);
    greeting_write(&v->stream.out, &v->seq, &g);
}

bool visitor_login(struct task *t, struct visitor *v, struct fault *why)
{
    struct proof p = { .t = t, .v = v, .deadline = login_deadline(t, v) };
    struct bytes payload;
    struct login l;
    greet(v);
    if (!ask(&p, &payload, why))
        return false;
    if (!login_read(payload, ADMIN_CAPS, &l, why))
        return false;
    if (l.is_ssl_request)
        return fault_set(why, BLAME_POLICY, ER_HANDSHAKE_ERROR, "Bad handshake");
    v->caps = l.caps;
    return admit(&p, l.user, l.schema, l.plugin, l.auth, why);
}

bool visitor_change_user(struct task *t, struct visitor *v, struct bytes payload, struct fault *why)
{
    struct proof p = { .t = t, .v = v, .deadline = login_deadline(t, v),
                       .always_switch = (v->caps & CAP_PLUGIN_AUTH) != 0 };
    struct change_user c;
    if (!change_user_read(payload, v->caps, &c, why))
        return false;
    statements_close(v);
    v->facts.user[0] = '\0';
    return admit(&p, c.user, c.schema, c.plugin, c.auth, why);
}
