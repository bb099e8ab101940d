/* tls_line.c - TLS with a server on a thread that may wait; see net.h. */
#include "net/inside.h"

#include "base/clock.h"
#include "base/mem.h"

#include <errno.h>
#include <poll.h>

#include <openssl/err.h>

struct tls_line {
    SSL *ssl;
    int fd;
    int objection; /* to the certificate: the first of OpenSSL's X509_V_ERR_* */
};

/* Go on whatever is wrong, but remember it. */
static int note_objection(int ok, X509_STORE_CTX *ctx)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(ctx, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct tls_line *l = SSL_get_app_data(ssl);
    if (!ok && l->objection == X509_V_OK)
        l->objection = X509_STORE_CTX_get_error(ctx);
    return 1;
}

static bool wait_for(int fd, short events, uint64_t deadline_us)
{
    struct pollfd waiting = { .fd = fd, .events = events };
    uint64_t now = clock_us();
    return now < deadline_us && poll(&waiting, 1, (int)((deadline_us - now) / 1000) + 1) > 0;
}

/* After a call that did not succeed: wait until it can be tried again.  False with errno, 0 when
 * the server has closed. */
static bool may_try_again(struct tls_line *l, int result, uint64_t deadline_us)
{
    int error = SSL_get_error(l->ssl, result);
    bool wants_read = error == SSL_ERROR_WANT_READ;
    if (!wants_read && error != SSL_ERROR_WANT_WRITE) {
        errno = error == SSL_ERROR_ZERO_RETURN || error == SSL_ERROR_SYSCALL ? 0 : EPROTO;
        return false;
    }
    if (wait_for(l->fd, wants_read ? POLLIN : POLLOUT, deadline_us))
        return true;
    errno = ETIMEDOUT;
    return false;
}

static bool shake_hands(struct tls_line *l, uint64_t deadline_us, struct fault *why)
{
    for (;;) {
        ERR_clear_error();
        int result = SSL_do_handshake(l->ssl);
        if (result == 1)
            return true;
        if (may_try_again(l, result, deadline_us))
            continue;
        if (errno == ETIMEDOUT)
            return fault_set(why, BLAME_TIME, 0, "the TLS handshake was not over in time");
        return tls_say_failed(l->ssl, BLAME_SERVER, errno == 0, why);
    }
}

static bool take_fingerprint(const X509 *x, struct tls_fingerprint *out, struct fault *why)
{
    if (x != NULL && X509_digest(x, EVP_sha1(), out->sha1, NULL) == 1 &&
        X509_digest(x, EVP_sha256(), out->sha256, NULL) == 1)
        return true;
    return fault_set(why, BLAME_SERVER, CR_SSL_CONNECTION_ERROR, "the server shows no certificate");
}

struct tls_line *tls_meet(struct tls_context *c, int fd, uint64_t deadline_us,
                          struct tls_fingerprint *out, struct fault *why)
{
    struct tls_line *l = mem_alloc(sizeof *l);
    *l = (struct tls_line){ .ssl = tls_begin(c), .fd = fd, .objection = X509_V_OK };
    *why = FAULT_NONE;
    SSL_set_app_data(l->ssl, l);
    SSL_set_session(l->ssl, NULL); /* all of it: the certificate is wanted */
    if (c->want >= TLS_VERIFY_CA)
        SSL_set_verify(l->ssl, SSL_VERIFY_PEER, note_objection);
    must(SSL_set_fd(l->ssl, fd) == 1);
    if (!shake_hands(l, deadline_us, why) ||
        !take_fingerprint(SSL_get0_peer_certificate(l->ssl), out, why)) {
        tls_line_close(l);
        return NULL;
    }
    if (l->objection != X509_V_OK)
        tls_say_refused(BLAME_SERVER, "certificate verify failed", l->objection, why);
    return l;
}

ssize_t tls_line_receive(struct tls_line *l, void *to, size_t room, uint64_t deadline_us)
{
    size_t n;
    for (;;) {
        ERR_clear_error();
        int result = SSL_read_ex(l->ssl, to, room, &n);
        if (result == 1)
            return (ssize_t)n;
        if (!may_try_again(l, result, deadline_us))
            return errno == 0 ? 0 : -1;
    }
}

bool tls_line_send(struct tls_line *l, struct bytes data, uint64_t deadline_us)
{
    size_t n;
    for (;;) {
        ERR_clear_error();
        int result = SSL_write_ex(l->ssl, data.data, data.len, &n);
        if (result == 1)
            return true;
        if (!may_try_again(l, result, deadline_us))
            return false;
    }
}

void tls_line_close(struct tls_line *l)
{
    if (SSL_is_init_finished(l->ssl))
        SSL_shutdown(l->ssl);
    SSL_free(l->ssl);
    ERR_clear_error();
    mem_free(l);
}
