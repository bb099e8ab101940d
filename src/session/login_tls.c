/*
 * login_tls.c - TLS on the way in; see inside.h.
 *
 *   greeting: we have TLS ─► the client's first packet asks for it ─► handshake ─► its packet again
 *
 * What the first packet says counts for nothing but the wish for TLS; what came with it in clear
 * goes into the handshake and nowhere else (stream_start_tls()).
 */
#include "session/inside.h"

#include "base/log.h"

#include <openssl/evp.h>

static struct tls_context *context_of(const struct session *s)
{
    const struct listener_config *l = session_listener(s);
    return l != NULL ? l->tls_context : NULL;
}

uint32_t login_tls_offer(const struct session *s)
{
    return context_of(s) != NULL ? CAP_SSL : 0;
}

bool login_tls_start(struct task *t, struct session *s, double deadline, struct fault *why)
{
    struct worker *w = session_worker(s);
    struct tls_facts facts;
    char host[ADDRESS_TEXT_BYTES];
    struct tls_context *c = context_of(s);
    must(c != NULL);              /* else it was not offered */
    if (stream_start_tls(t, &s->client, c, deadline, why)) {
        count(w, tls_from_clients);
        if (stream_tls(&s->client, &facts) && facts.was_resumed)
            count(w, tls_from_clients_resumed);
        return true;
    }
    count(w, tls_from_clients_failed);
    session_host(s, host);
    log_info("TLS handshake with client failed", "session=%u host=%s why=%s", s->id, host,
             log_quote(bytes_str(why->text)));
    if (why->code == 0 || why->blame != BLAME_CLIENT) {   /* gone, or too slow: no word helps */
        why->blame = BLAME_CLIENT;
        why->code = 0;
        return false;
    }
    /* As servers do, in clear again; who wants to know more finds it in the log. */
    return fault_set(why, BLAME_POLICY, ER_HANDSHAKE_ERROR, "Bad handshake");
}

bool login_tls_required(const struct session *s)
{
    const struct listener_config *l = session_listener(s);
    return (l == NULL || l->tls == TLS_REQUIRED) && !stream_is_private(&s->client);
}

bool login_tls_missing(const struct group_state *g, struct fault *why)
{
    const char *state = g != NULL && g->is_mariadb ? "08004" : "HY000";
    return fault_set_state(why, BLAME_POLICY, 3159, state,
                           "Connections using insecure transport are prohibited while "
                           "--require_secure_transport=ON.");
}

bool login_tls_allows(const struct session *s, const struct user_config *u)
{
    bool by_name = u->tls_subject[0] != '\0' || u->tls_issuer[0] != '\0';
    if (u->tls == USER_TLS_X509 || by_name)
        return stream_tls_peer_is(&s->client, u->tls_subject, u->tls_issuer);
    return u->tls == USER_TLS_ANY || stream_is_private(&s->client);
}

size_t login_tls_proof(const struct talk *k, char out[TLS_PROOF_BYTES])
{
    uint8_t fingerprint[32], sum[32];
    unsigned len = sizeof sum;
    if (k->n_stored == 0 || !stream_tls_fingerprint(k->client, fingerprint))
        return 0;
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    must(md != NULL && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1);
    must(EVP_DigestUpdate(md, k->stored, k->n_stored) == 1);
    must(EVP_DigestUpdate(md, k->stored_scramble, sizeof k->stored_scramble) == 1);
    must(EVP_DigestUpdate(md, fingerprint, sizeof fingerprint) == 1);
    must(EVP_DigestFinal_ex(md, sum, &len) == 1);
    EVP_MD_CTX_free(md);
    out[0] = '\1';
    for (unsigned i = 0; i < sizeof sum; i++)
        snprintf(out + 1 + 2 * i, 3, "%02X", sum[i]);
    return 1 + 2 * sizeof sum;
}
