/*
 * tls.c - TLS with servers; see inside.h.
 *
 * A connection is what its pool's context said when it was made.  After a reload that changes the
 * context (other options, or other files under the same names) it serves what it is serving, and
 * is closed when it is put back (backend_is_fresh()).
 */
#include "pool/inside.h"

#include "base/log.h"

void pool_follow_tls(struct pool *p, const struct config *now)
{
    if (p->config_number == now->number && now->number != 0)
        return;
    p->config_number = now->number;
    const struct server_config *s = config_server(now, bytes_str(p->server->name));
    if (s == NULL || s->tls_context == p->tls)
        return;
    tls_context_drop(p->tls);
    p->tls = tls_context_take(s->tls_context);
}

static void count_handshake(struct backend *be, bool ok)
{
    struct worker *w = be->pool->pools->worker;
    struct tls_facts facts;
    if (!ok) {
        count(w, tls_to_servers_failed);
        return;
    }
    count(w, tls_to_servers);
    if (stream_tls(&be->stream, &facts) && facts.was_resumed)
        count(w, tls_to_servers_resumed);
}

/* The first part of the login, with nothing in it that is worth reading. */
static void write_request(struct backend *be, uint8_t *seq)
{
    struct login l = backend_login(be);
    l.is_ssl_request = true;
    login_write(&be->stream.out, seq, &l);
}

bool backend_start_tls(struct task *t, struct backend *be, const struct greeting *g, uint8_t *seq,
                       double deadline, struct fault *why)
{
    struct tls_context *c = be->pool->tls;
    be->tls_number = tls_context_number(c);
    if (c == NULL)
        return true;
    if ((g->caps & CAP_SSL) == 0) {
        if (tls_context_want(c) < TLS_REQUIRED)
            return true;
        count_handshake(be, false);
        return fault_set(why, BLAME_SERVER, CR_SSL_CONNECTION_ERROR,
                         "volvox: server %s offers no TLS, and its section or its group's asks for it",
                         be->server->name);
    }
    be->caps |= CAP_SSL;
    write_request(be, seq);
    /* (the pool may get another context while we are parked) */
    c = tls_context_take(c);
    bool ok = stream_flush(t, &be->stream, deadline, why) &&
              stream_start_tls(t, &be->stream, c, deadline, why);
    tls_context_drop(c);
    count_handshake(be, ok);
    return ok;
}
