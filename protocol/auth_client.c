/*
 * auth_client.c - what to answer a server that wants to know who we are; see protocol.h.
 *
 *   native, ed25519          switch ─► token
 *   caching_sha2             token ─► 0x03, or 0x04 ─► password, or 0x02 ─► key ─► encrypted
 * password sha256                   password, or 0x01 ─► key ─► encrypted password
 *   mysql_clear_password     switch ─► password
 *   parsec                   switch ─► (nothing) ─► salt ─► scramble and signature
 */
#include "protocol/inside.h"

#include <openssl/crypto.h>

static struct bytes password_of(const struct auth_client *c)
{
    return bytes_of(c->secret->clear, c->secret->clear_len);
}

static bool too_little(const struct auth_client *c, struct bytes plugin, struct fault *why)
{
    return fault_set(why, BLAME_POLICY, ER_ACCESS_DENIED,
                     "it wants %.*s, but only %s is known of the password: set server_password",
                     (int)MIN(plugin.len, (size_t)30), (const char *)plugin.data,
                     secret_words(c->secret));
}

static bool not_private(const struct auth_client *c, struct fault *why)
{
    return fault_set(why, BLAME_POLICY, ER_ACCESS_DENIED,
                     "it wants %.*s, and the connection to it is not encrypted",
                     BYTES_FMT(auth_plugin_name(c->plugin)));
}

static void write_clear(const struct auth_client *c, struct buf *out)
{
    buf_add(out, password_of(c));
    write_u8(out, 0);
}

static void write_token(struct auth_client *c, struct buf *out)
{
    uint8_t token[ED25519_SIGNATURE_BYTES];
    size_t n = 0;
    if (c->plugin == AUTH_ED25519)
        n = auth_sign(c->scramble, c->secret, token) ? sizeof token : 0;
    else
        n = auth_token_make(c->plugin, c->scramble, c->secret, token);
    buf_add(out, bytes_of(token, n));
    OPENSSL_cleanse(token, sizeof token);
}

/* To a server's switch, or to its greeting. */
static bool first_answer(struct auth_client *c, struct buf *out, struct fault *why)
{
    c->stage = AUTH_ANSWERED;
    switch (c->plugin) {
    case AUTH_NATIVE:
    case AUTH_CACHING_SHA2:
    case AUTH_ED25519:
        write_token(c, out);
        return true;
    case AUTH_SHA256:
        if (c->is_private || !c->secret->has_password) {
            write_clear(c, out);
            return true;
        }
        write_u8(out, SHA256_REQUEST_KEY);
        c->stage = AUTH_WANTS_KEY;
        return true;
    case AUTH_CLEAR:
        if (!c->is_private)
            return not_private(c, why);
        write_clear(c, out);
        return true;
    case AUTH_PARSEC:
        c->stage = AUTH_WANTS_SALT;
        return true;
    case AUTH_UNKNOWN:
        break;
    }
    must(!"a plugin that we know");
}

void auth_client_begin(struct auth_client *c, const struct secret *secret, bool is_private,
                       struct bytes plugin, const uint8_t scramble[SCRAMBLE_BYTES],
                       struct buf *token)
{
    *c = (struct auth_client){ .secret = secret, .is_private = is_private };
    memcpy(c->scramble, scramble, SCRAMBLE_BYTES);
    c->plugin = auth_plugin_by_name(plugin);
    bool has_scramble = c->plugin == AUTH_CACHING_SHA2 || c->plugin == AUTH_SHA256;
    if (!has_scramble || !secret_logs_in(secret, c->plugin))
        c->plugin = AUTH_NATIVE; /* if that is wrong, too, the server will say what is right */
    must(first_answer(c, token, NULL));
}

static bool take_switch(struct auth_client *c, struct bytes payload, struct buf *answer,
                        struct fault *why)
{
    struct bytes plugin, data;
    if (!auth_switch_read(payload, &plugin, &data, why))
        return false;
    c->plugin = auth_plugin_by_name(plugin);
    if (c->plugin == AUTH_UNKNOWN)
        return fault_set(why, BLAME_POLICY, CR_AUTH_PLUGIN_CANNOT_LOAD,
                         "it wants the authentication plugin '%.*s', which Volvox does not have",
                         (int)MIN(plugin.len, (size_t)60), (const char *)plugin.data);
    if (c->secret->has_password && !secret_logs_in(c->secret, c->plugin))
        return too_little(c, plugin, why);
    if (data.len > 0)
        memcpy(c->scramble, data.data, MIN(data.len, sizeof c->scramble));
    return first_answer(c, answer, why);
}

static bool nonsense(struct fault *why)
{
    return fault_set(why, BLAME_SERVER, ER_MALFORMED_PACKET,
                     "it sent what its authentication plugin never sends");
}

/* The server wants the password itself. */
static bool full_answer(struct auth_client *c, struct buf *answer)
{
    if (c->is_private) {
        write_clear(c, answer);
    } else {
        write_u8(answer, SHA2_REQUEST_KEY);
        c->stage = AUTH_WANTS_KEY;
    }
    return true;
}

static bool take_data(struct auth_client *c, struct bytes data, struct buf *answer,
                      bool *has_answer, struct fault *why)
{
    uint8_t signed_salt[PARSEC_ANSWER_BYTES];
    switch (c->stage) {
    case AUTH_WANTS_KEY:
        c->stage = AUTH_ANSWERED;
        return rsa_encrypt_password(data, c->scramble, c->secret, answer, why);
    case AUTH_WANTS_SALT:
        c->stage = AUTH_ANSWERED;
        if (!parsec_answer(password_of(c), c->scramble, data, signed_salt))
            return nonsense(why);
        buf_add(answer, bytes_of(signed_salt, sizeof signed_salt));
        return true;
    case AUTH_ANSWERED:
        break;
    }
    if (c->plugin != AUTH_CACHING_SHA2 || data.len != 1)
        return nonsense(why);
    if (data.data[0] == SHA2_FULL_AUTH)
        return full_answer(c, answer);
    *has_answer = false;
    return data.data[0] == SHA2_FAST_OK || nonsense(why);
}

bool auth_client_next(struct auth_client *c, struct bytes payload, struct buf *answer,
                      bool *has_answer, struct fault *why)
{
    uint8_t kind = payload.len > 0 ? payload.data[0] : 0;
    *has_answer = true;
    if (kind == EOF_HEADER)
        return take_switch(c, payload, answer, why);
    if (kind == NEXT_FACTOR_HEADER)
        return fault_set(why, BLAME_POLICY, ER_ACCESS_DENIED,
                         "it wants a second factor, which Volvox can't give");
    /* MariaDB leaves out the header where the data can't be mistaken for another packet. */
    if (kind == MORE_DATA_HEADER)
        payload = bytes_skip(payload, 1);
    return take_data(c, payload, answer, has_answer, why);
}
