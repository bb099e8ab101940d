/*
 * tls_ends.h - two ends that speak TLS: both streams of ours, or the other one OpenSSL's by hand.
 */
#ifndef UNIT_NET_TLS_ENDS_H
#define UNIT_NET_TLS_ENDS_H

#include "unit/net/certificates.h"
#include "unit/net/sockets.h"

#include "net/inside.h"

#include <openssl/err.h>

static struct made ca, server, client, stranger, revoked, expired;
static char *crl;

static inline int make_all(void **state)
{
    (void)state;
    ca = make_certificate("authority", NULL, NULL);
    server = make_certificate("db.test", "DNS:db.test,IP:192.0.2.7", &ca);
    client = make_certificate("alice", NULL, &ca);
    revoked = make_certificate("mallory", NULL, &ca);
    expired = make_certificate_for("db.test", "DNS:db.test", &ca, -7200, -3600);
    stranger = make_certificate("stranger", NULL, NULL);
    crl = make_crl(&ca, &revoked);
    return 0;
}

static inline int free_all(void **state)
{
    struct made *all[] = { &ca, &server, &client, &stranger, &revoked, &expired };
    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(all); i++)
        made_free(all[i]);
    mem_free(crl);
    return 0;
}

/* ---- contexts ------------------------------------------------------------------------ */

static inline struct tls_terms serving(const struct made *own)
{
    return (struct tls_terms){ .is_server = true,
                               .want = TLS_PREFERRED,
                               .certificate = bytes_str(own->certificate),
                               .key = bytes_str(own->key),
                               .ciphers = "",
                               .ciphersuites = "",
                               .peer = "" };
}

static inline struct tls_terms calling(enum tls_want want, const char *peer)
{
    return (struct tls_terms){ .want = want, .ciphers = "", .ciphersuites = "", .peer = peer };
}

static inline struct tls_context *get(const struct tls_terms *terms)
{
    struct fault why = FAULT_NONE;
    enum tls_part wrong;
    struct tls_context *c = tls_context_get(terms, &wrong, &why);
    if (c == NULL)
        fail_msg("%s", why.text);
    return c;
}

/* ---- both ends in this process ------------------------------------------------------- */

/* A pair of streams, one for each end, that shake hands. */
struct pair {
    struct stream server, client;
    struct tls_context *server_context, *client_context;
    struct fault server_why, client_why;
    bool server_ok, client_ok, client_done;
    struct task *waits;
};

static inline void shake_as_client(struct task *t, void *arg)
{
    struct pair *p = arg;
    p->client_ok = stream_start_tls(t, &p->client, p->client_context, after(t, 10), &p->client_why);
    p->client_done = true;
    if (p->waits != NULL)
        task_wake(p->waits);
}

static inline void open_pair(struct task *t, struct pair *p)
{
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    stream_open(&p->server, task_worker(t), ends[0], BLAME_CLIENT);
    stream_open(&p->client, task_worker(t), ends[1], BLAME_SERVER);
}

/* `kind` of the terms: what each end goes by. */
static inline void shake(struct task *t, struct pair *p, const struct tls_terms *of_server,
                         const struct tls_terms *of_client)
{
    memset(p, 0, sizeof *p);
    open_pair(t, p);
    p->server_context = get(of_server);
    p->client_context = get(of_client);
    assert_true(task_start(task_worker(t), "client", shake_as_client, p));
    p->server_ok = stream_start_tls(t, &p->server, p->server_context, after(t, 10), &p->server_why);
    if (!p->server_ok)
        shutdown(stream_fd(&p->server), SHUT_RDWR);
    while (!p->client_done) {
        p->waits = t;
        task_park(t, after(t, 10));
    }
}

static inline void close_pair(struct pair *p)
{
    stream_close(&p->server);
    stream_close(&p->client);
    tls_context_drop(p->server_context);
    tls_context_drop(p->client_context);
}

static inline void says(struct task *t, struct stream *st, const char *text)
{
    struct fault why = FAULT_NONE;
    if (!stream_put(t, st, bytes_str(text), after(t, 10), &why) ||
        !stream_flush(t, st, after(t, 10), &why))
        fail_msg("%s", why.text);
}

static inline void hears(struct task *t, struct stream *st, const char *text)
{
    struct fault why = FAULT_NONE;
    size_t n = strlen(text);
    if (!stream_need(t, st, n, after(t, 10), &why))
        fail_msg("%s", why.text);
    assert_memory_equal(buf_head(&st->in), text, n);
    buf_skip(&st->in, n);
}

static inline void assert_talks(struct task *t, struct pair *p)
{
    if (!p->server_ok || !p->client_ok)
        fail_msg("server: %s; client: %s", p->server_why.text, p->client_why.text);
    says(t, &p->client, "hello");
    hears(t, &p->server, "hello");
    says(t, &p->server, "good day");
    hears(t, &p->client, "good day");
}

/* ---- the other end by hand ----------------------------------------------------------- */

/* OpenSSL on a plain descriptor; its calls are tried until they need no more. */
struct hand {
    SSL_CTX *ctx;
    SSL *ssl;
    int fd;
    bool done;
    int result;
};

static inline void hand_open(struct hand *h, int fd, int version)
{
    h->ctx = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_max_proto_version(h->ctx, version);
    h->ssl = SSL_new(h->ctx);
    SSL_set_fd(h->ssl, fd);
    SSL_set_connect_state(h->ssl);
    h->fd = fd;
    h->done = false;
}

static inline void hand_open_server(struct hand *h, int fd)
{
    h->ctx = SSL_CTX_new(TLS_server_method());
    must(SSL_CTX_use_certificate(h->ctx, server.x) == 1);
    must(SSL_CTX_use_PrivateKey(h->ctx, server.pair) == 1);
    SSL_CTX_set_num_tickets(h->ctx, 0);
    h->ssl = SSL_new(h->ctx);
    SSL_set_fd(h->ssl, fd);
    SSL_set_accept_state(h->ssl);
    h->fd = fd;
    h->done = false;
}

static inline void hand_shake(struct task *t, void *arg)
{
    struct hand *h = arg;
    do {
        ERR_clear_error();
        h->result = SSL_do_handshake(h->ssl);
        int error = SSL_get_error(h->ssl, h->result);
        if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE)
            break;
        task_park(t, after(t, 0.001));
    } while (true);
    h->done = true;
}

static inline void hand_close(struct hand *h)
{
    SSL_free(h->ssl);
    SSL_CTX_free(h->ctx);
    close(h->fd);
    ERR_clear_error();
}

/* A stream of ours with such a client at the other end. */
static inline void meet_hand(struct task *t, struct stream *st, struct hand *h, int version)
{
    struct tls_terms s = serving(&server);
    struct fault why = FAULT_NONE;
    struct tls_context *c = get(&s);
    hand_open(h, open_stream(t, st), version);
    assert_true(task_start(task_worker(t), "hand", hand_shake, h));
    if (!stream_start_tls(t, st, c, after(t, 10), &why))
        fail_msg("%s", why.text);
    while (!h->done)
        task_park(t, after(t, 0.001));
    assert_int_equal(h->result, 1);
    tls_context_drop(c);
}

#endif
