/*
 * login_servers.c - auth = servers: who clients are, the servers say; see inside.h.
 *
 * What is needed is not only a yes: to serve the session with pooled connections Volvox must be
 * able to log in as the account by itself, again and again.  So it depends on the account's plugin:
 *
 *   caching_sha2, sha256, clear   the client tells its password (TLS, RSA); we log in with it
 *   native                        the client's token for the server's scramble is relayed; then the
 * account itself may read its own hash (MariaDB), and hash and token together tell SHA1(password),
 * which is all that native needs ed25519, parsec, others       everything is relayed; it tells
 * nothing, so the session keeps the connection that was proven for it, and has no other
 * (PIN_ACCOUNT)
 *
 * A client that begins with caching_sha2 tells its password before anybody is asked, whatever the
 * account's plugin may be.  Otherwise the server is asked first, with a login that names no plugin
 * it knows: it then says which one the account has (and makes one up for accounts that do not
 * exist).
 *
 * What has been learnt is remembered.  A client that proves it is let in without a question to the
 * servers for accounts_recheck, and after that once a connection made with it has been accepted.
 */
#include "session/inside.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/random.h"

enum { NAME_MOST_BYTES = 400 }; /* MariaDB: 128 characters of at most 3 bytes */

struct asking {
    struct login_relay relay;
    struct talk *k;
    const struct claim *r;
    const char *server_user;
    struct bytes key;          /* in the store */
    struct auth_client client; /* answers with `told` */
    struct secret told;        /* forms is 0: nothing */
    bool has_begun;            /* the client has been asked something */
    bool is_native;            /* it has sent a native token: */
    bool was_empty;
    uint8_t scramble[SCRAMBLE_BYTES], token[20];
};

/* ---- what the server asks, the client answers ------------------------------------------------ */

static bool ask_client(struct asking *a, struct bytes *answer, struct fault *why)
{
    a->has_begun = true;
    return talk_flush(a->k, why) && talk_read(a->k, answer, why);
}

static bool pass_on(struct asking *a, struct bytes payload, struct buf *answer, struct fault *why)
{
    struct bytes said;
    packet_write(&a->k->client->out, &a->k->seq, payload);
    if (!ask_client(a, &said, why))
        return false;
    buf_add(answer, said);
    return true;
}

static bool pass_native(struct asking *a, struct bytes data, struct buf *answer, struct fault *why)
{
    struct bytes token;
    memcpy(a->scramble, data.data, sizeof a->scramble);
    auth_switch_write_scramble(&a->k->client->out, &a->k->seq, AUTH_NATIVE, a->scramble);
    if (!ask_client(a, &token, why))
        return false;
    a->was_empty = token.len == 0;
    a->is_native = token.len == sizeof a->token;
    if (a->is_native)
        memcpy(a->token, token.data, sizeof a->token);
    buf_add(answer, token);
    return true;
}

static bool ask_for_password(struct asking *a, bool is_private, struct fault *why)
{
    a->has_begun = true;
    if (!ask_password(a->k, &a->r->offer, &a->told, why))
        return false;
    if (a->told.forms == 0) /* no password, or not encrypted where it must be */
        return access_denied(a->k->s, a->r->user, true, why);
    a->client = (struct auth_client){ .secret = &a->told, .is_private = is_private };
    return true;
}

static bool can_switch(const struct asking *a, struct fault *why)
{
    return (a->k->caps & CAP_PLUGIN_AUTH) != 0 ||
           fault_set(why, BLAME_POLICY, ER_NOT_SUPPORTED_AUTH_MODE,
                     "Client does not support authentication protocol requested by server; "
                     "consider upgrading MySQL client");
}

/* Other plugins may send the password as it is, which is right only where nobody can read along. */
static bool may_pass(const struct asking *a, struct bytes plugin, bool is_private,
                     struct fault *why)
{
    enum auth_plugin p = auth_plugin_by_name(plugin);
    if (p == AUTH_ED25519 || p == AUTH_PARSEC ||
        bytes_equal(plugin, BYTES_LITERAL("auth_gssapi_client")))
        return true;
    if (is_private && stream_is_private(a->k->client))
        return true;
    return fault_set(
        why, BLAME_POLICY, ER_ACCESS_DENIED,
        "volvox: the account's plugin '%.*s' may send the password as it is, and not both "
        "connections are encrypted",
        (int)MIN(plugin.len, (size_t)60), (const char *)plugin.data);
}

/* The server says which plugin the account has. */
static bool on_switch(struct asking *a, struct bytes payload, bool is_private, struct buf *answer,
                      bool *has_answer, struct fault *why)
{
    struct bytes plugin, data;
    if (!auth_switch_read(payload, &plugin, &data, why) || !can_switch(a, why))
        return false;
    enum auth_plugin p = auth_plugin_by_name(plugin);
    bool tells = p == AUTH_CACHING_SHA2 || p == AUTH_SHA256 || p == AUTH_CLEAR ||
                 /* Connector/C would make its token for another scramble */
                 (p == AUTH_NATIVE && a->r->offer.is_change);
    if (tells)
        return ask_for_password(a, is_private, why) &&
               auth_client_next(&a->client, payload, answer, has_answer, why);
    if (p == AUTH_NATIVE)
        return pass_native(a, data, answer, why);
    return may_pass(a, plugin, is_private, why) && pass_on(a, payload, answer, why);
}

static bool answer_server(struct task *t, struct login_relay *r, struct bytes payload,
                          bool is_private, struct buf *answer, bool *has_answer, struct fault *why)
{
    struct asking *a = container_of(r, struct asking, relay);
    (void)t;
    uint8_t kind = payload.len > 0 ? payload.data[0] : 0;
    *has_answer = true;
    if (kind == 0xFE && !(a->told.forms != 0))
        return on_switch(a, payload, is_private, answer, has_answer, why);
    if (a->told.forms != 0 || kind == 0x02)
        return auth_client_next(&a->client, payload, answer, has_answer, why);
    return pass_on(a, payload, answer, why);
}

/* ---- which server, and what it says ---------------------------------------------------------- */

/* The primary knows the accounts best; without it any member does. */
static struct server *choose(struct talk *k, const struct user_config *u, struct server *failed,
                             struct fault *why)
{
    struct session *s = k->s;
    struct topology *topology = worker_topology(task_worker(k->t));
    const struct group_state *g = group_state_of(s, session_group_index(s, u), topology);
    struct server *const avoid[] = { failed };
    if (g == NULL) {
        fault_set(why, BLAME_OURS, ER_UNKNOWN_ERROR, "volvox: the session's group is gone");
        return NULL;
    }
    unsigned group = (unsigned)(g - topology->groups);
    struct server *server =
        failed == NULL ? topology_pick(topology, group, PICK_PRIMARY, 0, NULL, 0, why) : NULL;
    if (server == NULL)
        server = topology_pick(topology, group, PICK_ANY, random_u64(), avoid, failed != NULL, why);
    return server != NULL ? server_take(server) : NULL;
}

/* Where the client answers the server itself, there is one login, and it names the schema: where
 * the password has expired it can't be entered later. */
static struct state *state_to_log_in(const struct session *s, const struct claim *r)
{
    bool is_clear = name_is_ascii(r->schema) || state_is_utf8(s->state);
    return state_changed(s->state, r->schema.len > 0 && is_clear ? &r->schema : NULL, NULL, 0);
}

static struct backend *log_in_there(struct talk *k, struct server *server, struct account *account,
                                    struct asking *asking, struct fault *why)
{
    struct session *s = k->s;
    struct state *state = asking != NULL ? state_to_log_in(s, asking->r) : state_take(s->state);
    struct lease_terms terms = {
        .server = server,
        .account = account,
        .fit = s->caps & CAPS_FIT,
        .state = state,
        .collation = s->collation,
        .client = session_ends_for(s, server),
    };
    count(task_worker(k->t), logins_at_servers);
    struct backend *be =
        pool_open(k->t, &terms, asking != NULL ? &asking->relay : NULL, k->deadline, why);
    state_drop(state);
    return be;
}

/* Log in as the account; if a server can't be reached, at another one. */
static struct backend *prove_there(struct talk *k, const struct user_config *u,
                                   struct account *account, struct asking *asking,
                                   struct fault *why)
{
    struct server *failed = NULL;
    struct backend *be = NULL;
    for (int tries = 0; tries < 2 && be == NULL; tries++) {
        struct server *server = choose(k, u, failed, why);
        if (failed != NULL)
            server_drop(failed);
        failed = NULL;
        if (server == NULL)
            return NULL;
        be = log_in_there(k, server, account, asking, why);
        failed = server;
        if (be == NULL && (why->blame != BLAME_SERVER || fault_is_about_account(why) ||
                           (asking != NULL && asking->has_begun)))
            break;
    }
    server_drop(failed);
    return be;
}

/* ---- what is learnt -------------------------------------------------------------------------- */

static void remember(const struct asking *a, struct account *account)
{
    account_store_put(&a->k->s->home->shared->learnt, a->key, account,
                      worker_now_us(task_worker(a->k->t)));
}

/* "'*40HEX'" in the account's own words: is it that of the token? */
static bool learn_from(const struct asking *a, struct bytes words, struct secret *secret)
{
    enum { HASH_BYTES = 41 };
    for (size_t at = 0; at + HASH_BYTES <= words.len; at++) {
        if (words.data[at] != '*' ||
            !secret_from_hash(secret, bytes_of(words.data + at, HASH_BYTES)))
            continue;
        secret_learn_native(secret, a->scramble, a->token);
        if (secret_logs_in(secret, AUTH_NATIVE))
            return true;
        secret_release(secret);
    }
    return false;
}

/* What can be known of the password of who has just logged in; forms is 0: nothing.  False: the
 * connection broke. */
static bool learn(struct asking *a, struct backend *be, struct secret *secret, struct fault *why)
{
    struct bytes words;
    *secret = (struct secret){ 0 };
    if (a->told.forms != 0) {
        secret_copy(secret, &a->told);
        return true;
    }
    if (a->was_empty) {
        secret_from_clear(secret, BYTES_NONE);
        return true;
    }
    if (!a->is_native || !be->is_mariadb)
        return true;
    if (!backend_ask_row(a->k->t, be, BYTES_LITERAL("SHOW CREATE USER"), &words, 1, why)) {
        if (why->code == ER_MUST_CHANGE_PASSWORD)
            be->sandbox = SANDBOX_IN;
        return why->blame == BLAME_QUERY;
    }
    if (!learn_from(a, words, secret))
        *secret = (struct secret){ 0 };
    return true;
}

/* The session has this connection and no other. */
static void bind_session(struct session *s, struct backend *be)
{
    lease_hold(s, be);
    session_pin(s, s->pins | PIN_ACCOUNT);
}

/* Nothing was known before.  The account, proven by the client, whatever is known now. */
static bool ask_about_stranger(struct asking *a, const struct user_config *u,
                               struct account **account, struct fault *why)
{
    struct talk *k = a->k;
    struct secret secret;
    struct account *relayed =
        account_new(arena_strdup(task_arena(k->t), a->r->user), a->server_user, NULL, true);
    struct backend *be = prove_there(k, u, relayed, a, why);
    bool done = be != NULL && learn(a, be, &secret, why);
    if (!done) {
        if (be != NULL)
            pool_put(be, PUT_CLOSE);
        account_drop(relayed);
        return false;
    }
    if (secret.forms == 0) {
        *account = relayed;
        bind_session(k->s, be);
        return true;
    }
    *account = account_new(relayed->name, a->server_user, &secret, true);
    account_drop(relayed);
    if (a->is_native)
        talk_note_stored(k, bytes_of(secret.sha1_twice, sizeof secret.sha1_twice), a->scramble);
    secret_release(&secret);
    remember(a, *account);
    backend_adopt(be, *account);
    pool_put(be, PUT_CLEAN);
    return true;
}

/* Does it hold?  Takes over the reference, gives it back if so. */
static bool ask_about(struct asking *a, const struct user_config *u, struct account *account,
                      struct fault *why)
{
    struct backend *be = prove_there(a->k, u, account, NULL, why);
    if (be == NULL) {
        account_drop(account);
        return false;
    }
    remember(a, account);
    pool_put(be, PUT_CLEAN);
    return true;
}

/* The same for one that has held before. */
static bool ask_again(struct asking *a, const struct user_config *u, struct account *account,
                      struct fault *why)
{
    remember(a, account); /* meanwhile others need not ask as well */
    struct account *held = account_take(account);
    bool holds = ask_about(a, u, account, why);
    if (!holds)
        account_store_forget(&a->k->s->home->shared->learnt, a->key, held);
    account_drop(held);
    return holds;
}

/* ---- the road -------------------------------------------------------------------------------- */

static struct account *known_account(const struct asking *a, uint64_t *proven_us)
{
    return account_store_find(&a->k->s->home->shared->learnt, a->key,
                              worker_now_us(task_worker(a->k->t)), proven_us);
}

static bool is_fresh(const struct talk *k, uint64_t proven_us)
{
    uint64_t recheck_us = (uint64_t)k->s->config->settings.accounts_recheck_s * 1000000;
    return worker_now_us(task_worker(k->t)) < proven_us + recheck_us;
}

static void say_fast_ok(struct talk *k, const struct offer *offer)
{
    const uint8_t fast_ok = SHA2_FAST_OK;
    if (auth_plugin_by_name(offer->plugin) == AUTH_CACHING_SHA2 && offer->token.len > 1)
        auth_more_write(&k->client->out, &k->seq, bytes_of(&fast_ok, 1));
}

/* The client tells its password. */
static bool ask_about_told(struct asking *a, const struct user_config *u, struct account *known,
                           uint64_t proven_us, struct account **account, struct fault *why)
{
    struct talk *k = a->k;
    if (!ask_password(k, &a->r->offer, &a->told, why))
        return false;
    if (a->told.forms == 0) /* no password, or not encrypted where it must be */
        return access_denied(a->k->s, a->r->user, true, why);
    if (known != NULL && secret_equal(&known->secret, &a->told) && is_fresh(k, proven_us)) {
        *account = account_take(known);
        return true;
    }
    *account =
        account_new(arena_strdup(task_arena(k->t), a->r->user), a->server_user, &a->told, true);
    return ask_about(a, u, *account, why);
}

static bool ask_somehow(struct asking *a, const struct user_config *u, struct account **account,
                        struct fault *why)
{
    const struct offer *offer = &a->r->offer;
    uint64_t proven_us = 0;
    struct account *known = known_account(a, &proven_us);
    bool done;
    if (known != NULL && offer_proves(a->k, offer, &known->secret)) {
        say_fast_ok(a->k, offer);
        *account = known;
        return is_fresh(a->k, proven_us) || ask_again(a, u, known, why);
    }
    if (offer_tells(a->k, offer) || (known != NULL && offer->is_change))
        done = ask_about_told(a, u, known, proven_us, account, why);
    else
        done = ask_about_stranger(a, u, account, why);
    account_drop(known);
    return done;
}

/* In the store.  Servers that are told where clients come from may have several accounts of a name.
 */
static struct bytes key_for(struct session *s, struct arena *arena, const struct user_config *u,
                            struct bytes user)
{
    const char *group = s->config->groups[session_group_index(s, u)].name;
    struct bytes parts[] = { BYTES_LITERAL("servers "), bytes_str(group),    BYTES_LITERAL("\0"),
                             session_told_ip(s, u),     BYTES_LITERAL("\0"), user };
    return arena_join(arena, parts, ARRAY_LEN(parts));
}

bool ask_servers(struct talk *k, const struct claim *r, const struct user_config *u,
                 struct account **account, struct fault *why)
{
    struct arena *arena = task_arena(k->t);
    struct asking a = { .relay = { answer_server }, .k = k, .r = r };
    if (r->user.len > NAME_MOST_BYTES)
        return access_denied(k->s, r->user, r->offer.token.len > 0, why);
    a.server_user = u->server_user[0] != '\0' ? u->server_user : arena_strdup(arena, r->user);
    a.key = key_for(k->s, arena, u, r->user);
    bool done = ask_somehow(&a, u, account, why);
    if (a.told.forms != 0)
        secret_release(&a.told);
    explicit_bzero(a.token, sizeof a.token);
    return done;
}

bool account_renew(struct session *s)
{
    uint64_t proven_us;
    if (!s->user->asks_servers || s->account->is_relayed)
        return false;
    struct bytes key = key_for(s, task_arena(s->task), s->user, bytes_str(s->account->name));
    struct account *now = account_store_find(&s->home->shared->learnt, key,
                                             worker_now_us(session_worker(s)), &proven_us);
    if (now == NULL || now == s->account) {
        account_drop(now);
        return false;
    }
    account_drop(s->account);
    s->account = now;
    return true;
}
