/*
 * inside.h - what the files of net/ share.
 */
#ifndef NET_INSIDE_H
#define NET_INSIDE_H

#include "net/net.h"

#include "base/list.h"
#include "base/ref.h"

#include <pthread.h>

#include <openssl/ssl.h>

/* stream.c: park until the descriptor is ready; false with `why` (TIME). */
bool stream_wait_writable(struct task *t, struct stream *st, double deadline, struct fault *why);

/* stream.c: the connection is lost, because of `error` if that is not 0; false with `why`. */
bool stream_say_lost(const struct stream *st, int error, struct fault *why);

/* layer.c: what the next receive would give, not taken out of the stream: 1 something, else as recv(). */
ssize_t stream_peek(struct stream *st);
/* layer.c: free a stack of layers; NULL is fine. */
void layers_free(struct layer *top);

/* ---- TLS ---- */

struct tls_context {
    struct list link;         /* in the list of all, under its mutex                    */
    struct ref ref;           /* reaches zero only under that mutex                     */
    uint8_t digest[32];       /* of the terms                                           */
    uint64_t number;
    enum tls_want want;
    bool is_server;
    char *sni;                /* name to tell the server, or NULL                       */
    SSL_CTX *ctx;
    pthread_mutex_t lock;     /* of what follows                                        */
    SSL_SESSION *session;     /* the last one with this server, or NULL                 */
};

/* tls_context.c: a new connection's object (the caller frees it), with a session to resume. */
SSL *tls_begin(struct tls_context *c);
/* A handshake failed: don't try that session again. */
void tls_forget_session(struct tls_context *c);
/* What this thread's last call of OpenSSL failed of, in words; forgets it. */
const char *tls_reason(void);

/* tls.c: why a handshake failed, in words; `at_end`: the other side has closed. */
bool tls_say_failed(const SSL *ssl, enum blame blame, bool at_end, struct fault *why);
/* tls.c: `verdict`: OpenSSL's X509_V_* about the other side's certificate. */
bool tls_say_refused(enum blame blame, const char *reason, long verdict, struct fault *why);

/* tls_keys.c: what the whole process shares. */

/* Sessions of clients are given to them as tickets; who has one goes on with it within this time. */
enum { TLS_TICKET_S = 3600 };
void tls_use_ticket_keys(SSL_CTX *ctx);
/* Show the certificate that was made for this process. */
void tls_use_own_certificate(SSL_CTX *ctx);

#endif
