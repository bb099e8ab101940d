/*
 * login_auth.c - have a client prove its password; see inside.h.
 *
 * An unknown user and a wrong password are one road: the same packets, the same work.
 */
#include "session/inside.h"

bool talk_read(struct talk *k, struct bytes *payload, struct fault *why)
{
    struct stream *in = &k->s->client;
    size_t need = FRAME_HEADER;
    struct packet p;
    while (stream_need(k->t, in, need, k->deadline, why)) {
        if (packet_find(buf_bytes(&in->in), 128 << 10, &p, &need, why)) {
            if (p.seq != k->seq) {
                k->seq = p.next_seq;
                return fault_set(why, BLAME_CLIENT, ER_PACKETS_OUT_OF_ORDER,
                                 "Got packets out of order");
            }
            *payload = arena_copy(task_arena(k->t),
                                  packet_payload(buf_bytes(&in->in), &p, task_arena(k->t)));
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
    return stream_flush(k->t, &k->s->client, k->deadline, why);
}

/* The token did not do: ask for the password itself, encrypted.  Servers ask unknown users too. */
static bool full_authentication(struct talk *k, const struct secret *secret, bool *proven,
                                struct fault *why)
{
    struct session *s = k->s;
    const struct rsa_key *rsa = s->home->shared->rsa;
    struct bytes answer;
    uint8_t password[256];
    const uint8_t full = SHA2_FULL_AUTH;
    *proven = false;
    auth_more_write(&s->client.out, &k->seq, bytes_of(&full, 1));
    if (!talk_flush(k, why) || !talk_read(k, &answer, why))
        return false;
    if (answer.len == 1 && answer.data[0] == SHA2_REQUEST_KEY) {
        auth_more_write(&s->client.out, &k->seq, rsa_key_public_pem(rsa));
        if (!talk_flush(k, why) || !talk_read(k, &answer, why))
            return false;
    }
    int n = rsa_key_decrypt(rsa, answer, k->scramble, password, sizeof password);
    *proven = n >= 0 && auth_clear_matches(bytes_of(password, (size_t)MAX(n, 0)), secret);
    explicit_bzero(password, sizeof password);
    return true;
}

bool check_password(struct talk *k, struct bytes plugin_name, struct bytes token,
                    const struct secret *secret, bool always_switch, enum auth_plugin usual,
                    bool *proven, struct fault *why)
{
    struct session *s = k->s;
    const uint8_t fast_ok = SHA2_FAST_OK;
    bool can_switch = (s->caps & CAP_PLUGIN_AUTH) != 0;
    enum auth_plugin plugin = can_switch ? auth_plugin_by_name(plugin_name) : AUTH_NATIVE;
    /* What the client offers is nothing we know: ask for what our servers would ask for. */
    bool must_switch = can_switch && (always_switch || plugin == AUTH_UNKNOWN);
    if (plugin == AUTH_UNKNOWN)
        plugin = usual;
    if (must_switch) {
        /* With the greeting's scramble, as servers do: Connector/C answers a COM_CHANGE_USER with a
         * token made from that one, whatever the switch says. */
        auth_switch_write(&s->client.out, &k->seq, plugin, k->scramble);
        if (!talk_flush(k, why) || !talk_read(k, &token, why))
            return false;
    }
    *proven = auth_token_matches(plugin, k->scramble, token, secret);
    if (plugin != AUTH_CACHING_SHA2 || token.len == 0 || (token.len == 1 && token.data[0] == 0))
        return true;
    if (!*proven)
        return full_authentication(k, secret, proven, why);
    auth_more_write(&s->client.out, &k->seq, bytes_of(&fast_ok, 1));
    return true;
}
