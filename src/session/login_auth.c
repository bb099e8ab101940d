/*
 * login_auth.c - have a client prove its password; see session.h.
 *
 * Which plugin?  The client's own, if what is known of the password can be checked with it; else
 * the one of the greeting, if that can; else ed25519; else caching_sha2_password, whose full
 * authentication brings the password itself, which can be checked whatever is known.
 *
 * An account that does not exist is asked for the proof of another one: the same packets, the same
 * work.
 */
#include "session/session.h"

#include "base/mem.h"

bool talk_read(struct talk *k, struct bytes *payload, struct fault *why)
{
    struct stream *in = k->client;
    size_t need = FRAME_HEADER;
    struct packet p;
    while (stream_need(k->t, in, need, k->deadline, why)) {
        if (packet_find(buf_bytes(&in->in), 128 << 10, &p, &need, why)) {
            /* (within compressed frames servers don't look) */
            if (p.seq != k->seq && stream_compression(in) == NULL) {
                k->seq = p.next_seq;
                return fault_set(why, BLAME_CLIENT, ER_PACKETS_OUT_OF_ORDER,
                                 "Got packets out of order");
            }
            *payload = arena_copy(task_arena(k->t),
                                  packet_payload(buf_bytes(&in->in), &p, task_arena(k->t)));
            explicit_bzero(buf_head(&in->in), p.wire_len); /* it may have been a password */
            buf_skip(&in->in, p.wire_len);
            k->seq = p.next_seq;
            return true;
        }
        if (need == 0) {
            k->seq = (uint8_t)(frame_seq(buf_head(&in->in)) + 1);
            why->blame = BLAME_CLIENT;
            return false;
        }
    }
    why->blame = BLAME_CLIENT; /* also for being too slow: servers close without a word */
    why->code = 0;
    return false;
}

bool talk_flush(struct talk *k, struct fault *why)
{
    return stream_flush(k->t, k->client, k->deadline, why);
}

void talk_note_stored(struct talk *k, struct bytes stored, const uint8_t scramble[SCRAMBLE_BYTES])
{
    must(stored.len <= sizeof k->stored);
    memcpy(k->stored, stored.data, stored.len);
    memcpy(k->stored_scramble, scramble, sizeof k->stored_scramble);
    k->n_stored = (uint8_t)stored.len;
}

static bool ask(struct talk *k, struct bytes *answer, struct fault *why)
{
    return talk_flush(k, why) && talk_read(k, answer, why);
}

void proof_release(struct proof *p)
{
    if (p->learnt.forms != 0)
        secret_release(&p->learnt);
}

/* ---- passwords that come themselves --------------------------------------------------------- */

static int copy_clear(struct bytes answer, uint8_t password[PASSWORD_MAX_BYTES])
{
    if (answer.len == 0 || answer.data[answer.len - 1] != 0 || answer.len - 1 > PASSWORD_MAX_BYTES)
        return -1;
    if (answer.len > 1)
        memcpy(password, answer.data, answer.len - 1);
    return (int)answer.len - 1;
}

/* It comes as it is where nobody can read along, else encrypted for our key, which the client may
 * ask for first. */
static bool take_password(struct talk *k, struct bytes answer, uint8_t request,
                          uint8_t password[PASSWORD_MAX_BYTES], int *len, struct fault *why)
{
    bool is_encrypted = !stream_is_private(k->client);
    *len = -1;
    if (k->rsa != NULL && answer.len == 1 && answer.data[0] == request) {
        auth_more_write(&k->client->out, &k->seq, rsa_key_public_pem(k->rsa));
        if (!ask(k, &answer, why))
            return false;
        is_encrypted = true;
    }
    if (!is_encrypted)
        *len = copy_clear(answer, password);
    else if (k->rsa != NULL)
        *len = rsa_key_decrypt(k->rsa, answer, k->scramble, password, PASSWORD_MAX_BYTES);
    explicit_bzero((void *)answer.data, answer.len); /* in our own arena */
    return true;
}

static bool full_authentication(struct talk *k, uint8_t password[PASSWORD_MAX_BYTES], int *len,
                                struct fault *why)
{
    struct bytes answer;
    const uint8_t full = SHA2_FULL_AUTH;
    auth_more_write(&k->client->out, &k->seq, bytes_of(&full, 1));
    return ask(k, &answer, why) && take_password(k, answer, SHA2_REQUEST_KEY, password, len, why);
}

/* Is it the account's?  Then it is known from now on. */
static void prove_clear(struct talk *k, struct proof *p, const uint8_t *password, int len)
{
    struct clear_proof c;
    struct bytes given = bytes_of(password, (size_t)MAX(len, 0));
    clear_proof_begin(&c, given, p->secret);
    while (!clear_proof_step(&c))
        task_breathe(k->t);
    p->is_right = c.matches && len >= 0 && p->exists;
    if (p->is_right && (p->secret->forms & KNOWN_CLEAR) == 0)
        secret_from_clear(&p->learnt, given);
}

/* ---- one plugin each ------------------------------------------------------------------------- */

static bool is_empty(struct bytes token)
{
    return token.len == 0 || (token.len == 1 && token.data[0] == 0);
}

static void prove_native(struct talk *k, struct bytes token, struct proof *p)
{
    p->is_right = auth_token_matches(AUTH_NATIVE, k->scramble, token, p->secret) && p->exists;
    if (!p->is_right || token.len == 0)
        return;
    talk_note_stored(k, bytes_of(p->secret->sha1_twice, sizeof p->secret->sha1_twice), k->scramble);
    if ((p->secret->forms & KNOWN_SHA1) != 0)
        return;
    secret_copy(&p->learnt, p->secret);
    secret_learn_native(&p->learnt, k->scramble, token.data);
}

static bool prove_sha2(struct talk *k, struct bytes token, struct proof *p, struct fault *why)
{
    const uint8_t fast_ok = SHA2_FAST_OK;
    uint8_t password[PASSWORD_MAX_BYTES];
    int len;
    p->is_right = auth_token_matches(AUTH_CACHING_SHA2, k->scramble, token, p->secret) && p->exists;
    if (is_empty(token))
        return true;
    if (p->is_right) {
        auth_more_write(&k->client->out, &k->seq, bytes_of(&fast_ok, 1));
        return true;
    }
    if (!full_authentication(k, password, &len, why))
        return false;
    prove_clear(k, p, password, len);
    explicit_bzero(password, sizeof password);
    return true;
}

static bool prove_sha256(struct talk *k, struct bytes token, struct proof *p, struct fault *why)
{
    uint8_t password[PASSWORD_MAX_BYTES];
    int len;
    if (is_empty(token)) {
        p->is_right = !p->secret->has_password && p->exists;
        return true;
    }
    if (!take_password(k, token, SHA256_REQUEST_KEY, password, &len, why))
        return false;
    prove_clear(k, p, password, len);
    explicit_bzero(password, sizeof password);
    return true;
}

static void prove_sent_clear(struct talk *k, struct bytes token, struct proof *p)
{
    uint8_t password[PASSWORD_MAX_BYTES];
    prove_clear(k, p, password, copy_clear(token, password));
    explicit_bzero(password, sizeof password);
}

/* ---- which one ------------------------------------------------------------------------------- */

static bool will_do(const struct talk *k, enum auth_plugin plugin, const struct proof *p)
{
    switch (plugin) {
    case AUTH_NATIVE:
    case AUTH_ED25519:
        return secret_checks(p->secret, plugin) && !p->must_tell;
    case AUTH_CACHING_SHA2:
    case AUTH_SHA256:
        return true;
    case AUTH_CLEAR:
        return stream_is_private(k->client);
    case AUTH_PARSEC:
    case AUTH_UNKNOWN:
        break;
    }
    return false;
}

static enum auth_plugin choose(const struct talk *k, enum auth_plugin offered,
                               const struct proof *p)
{
    const enum auth_plugin order[] = { offered, k->usual, AUTH_ED25519 };
    for (size_t i = 0; i < ARRAY_LEN(order); i++)
        if (will_do(k, order[i], p))
            return order[i];
    return AUTH_CACHING_SHA2;
}

static bool cannot_switch(struct fault *why)
{
    return fault_set(why, BLAME_POLICY, ER_NOT_SUPPORTED_AUTH_MODE,
                     "Client does not support authentication protocol requested by server; "
                     "consider upgrading MySQL client");
}

/* Ask for a token of that plugin; `nonce` is for ed25519. */
static bool switch_to(struct talk *k, enum auth_plugin plugin,
                      const uint8_t nonce[ED25519_NONCE_BYTES], struct bytes *token,
                      struct fault *why)
{
    if ((k->caps & CAP_PLUGIN_AUTH) == 0)
        return cannot_switch(why);
    /* With the greeting's scramble, as servers do: Connector/C answers a COM_CHANGE_USER with a
     * token made from that one, whatever the switch says. */
    if (plugin == AUTH_ED25519)
        auth_switch_write(&k->client->out, &k->seq, auth_plugin_name(plugin),
                          bytes_of(nonce, ED25519_NONCE_BYTES));
    else
        auth_switch_write_scramble(&k->client->out, &k->seq, plugin, k->scramble);
    return ask(k, token, why);
}

static enum auth_plugin offered_plugin(const struct talk *k, const struct offer *offer)
{
    return (k->caps & CAP_PLUGIN_AUTH) != 0 ? auth_plugin_by_name(offer->plugin) : AUTH_NATIVE;
}

/* For another plugin than the greeting's that brought no scramble: Connector/C then sends nothing,
 * whatever the password, and takes only a switch for an answer. */
static bool waits_for_switch(const struct talk *k, const struct offer *offer)
{
    return (k->caps & CAP_PLUGIN_AUTH) != 0 && offer->token.len == 0 &&
           auth_plugin_by_name(offer->plugin) != k->usual;
}

bool check_password(struct talk *k, const struct offer *offer, struct proof *p, struct fault *why)
{
    uint8_t nonce[ED25519_NONCE_BYTES];
    struct bytes token = offer->token;
    enum auth_plugin offered = waits_for_switch(k, offer) ? AUTH_UNKNOWN : offered_plugin(k, offer),
                     plugin = choose(k, offered, p);
    bool can_switch = (k->caps & CAP_PLUGIN_AUTH) != 0;
    /* A signature needs a nonce of 32 bytes, which no greeting has. */
    bool must_switch =
        plugin != offered || plugin == AUTH_ED25519 || (offer->is_change && can_switch);
    nonce_make(nonce);
    if (must_switch && !switch_to(k, plugin, nonce, &token, why))
        return false;
    p->was_empty = is_empty(token);
    switch (plugin) {
    case AUTH_NATIVE:
        prove_native(k, token, p);
        return true;
    case AUTH_CACHING_SHA2:
        return prove_sha2(k, token, p, why);
    case AUTH_SHA256:
        return prove_sha256(k, token, p, why);
    case AUTH_CLEAR:
        prove_sent_clear(k, token, p);
        return true;
    case AUTH_ED25519:
        p->is_right = auth_signature_matches(nonce, token, p->secret) && p->exists;
        if (p->is_right)
            talk_note_stored(k, bytes_of(p->secret->ed25519, sizeof p->secret->ed25519),
                             k->scramble);
        return true;
    case AUTH_PARSEC:
    case AUTH_UNKNOWN:
        break;
    }
    must(!"a plugin that will do");
}

bool offer_tells(const struct talk *k, const struct offer *offer)
{
    enum auth_plugin p = offered_plugin(k, offer);
    return !offer->is_change && !waits_for_switch(k, offer) &&
           (p == AUTH_CACHING_SHA2 || p == AUTH_SHA256 ||
            (p == AUTH_CLEAR && stream_is_private(k->client)));
}

bool offer_proves(struct talk *k, const struct offer *offer, const struct secret *secret)
{
    enum auth_plugin p = offered_plugin(k, offer);
    if (offer->is_change || waits_for_switch(k, offer) ||
        !auth_token_matches(p, k->scramble, offer->token, secret))
        return false;
    if (p == AUTH_NATIVE && offer->token.len > 0)
        talk_note_stored(k, bytes_of(secret->sha1_twice, sizeof secret->sha1_twice), k->scramble);
    return true;
}

bool ask_password(struct talk *k, const struct offer *offer, struct secret *told, struct fault *why)
{
    uint8_t password[PASSWORD_MAX_BYTES];
    struct bytes token = offer->token;
    bool tells = offer_tells(k, offer), done = true;
    enum auth_plugin plugin = tells ? offered_plugin(k, offer) : AUTH_CACHING_SHA2;
    int len = 0;
    *told = (struct secret){ 0 };
    if (!tells && !switch_to(k, plugin, NULL, &token, why))
        return false;
    if (plugin == AUTH_CLEAR)
        len = copy_clear(token, password);
    else if (!is_empty(token) && plugin == AUTH_SHA256)
        done = take_password(k, token, SHA256_REQUEST_KEY, password, &len, why);
    else if (!is_empty(token))
        done = full_authentication(k, password, &len, why);
    if (done && len >= 0)
        secret_from_clear(told, bytes_of(password, (size_t)len));
    explicit_bzero(password, sizeof password);
    return done;
}
