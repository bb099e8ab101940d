/*
 * tls.c - TLS as a layer, and the handshakes that begin it; see net.h.
 *
 *      stream  ──send──►  SSL_write  ──►  BIO  ──►  held  ──►  below
 *              ◄─receive─ SSL_read   ◄──  BIO  ◄──────────────  below
 *
 * The BIO never refuses what OpenSSL wants to write: what the socket does not take is held here.
 * So a write is never left half done inside OpenSSL, and reading never has to wait until something
 * can be written (an answer to the other side's change of keys).
 */
#include "net/inside.h"

#include "base/mem.h"

#include <errno.h>

#include <openssl/err.h>
#include <openssl/evp.h>

enum {
    RECORD_MOST = 16 << 10, /* plain bytes in one record                                  */
    HELD_MOST = 64 << 10,   /* who makes us answer so much without reading it is cut off   */
    AT_ONCE = 64 << 10,     /* received for one call: records that bring us nothing must not
                               keep the worker                                             */
};

struct tls {
    struct layer layer;
    SSL *ssl;
    struct tls_context *context;
    struct buf held;      /* records that the socket has not taken                      */
    uint32_t may_receive; /* of AT_ONCE, what is left                                   */
    int error;            /* errno of the last failure below                            */
    bool at_end : 1;      /* the socket gave 0                                          */
    bool has_failed : 1;  /* OpenSSL must not be asked to say goodbye                   */
    bool is_starved : 1;  /* what OpenSSL has received makes no whole record            */
};

static const struct layer_kind tls_kind;

static struct tls *tls_of(const struct layer *l)
{
    return container_of(l, struct tls, layer);
}

/* ---- what OpenSSL reads from and writes to ------------------------------------------- */

static bool would_block(int error)
{
    return error == EAGAIN || error == EWOULDBLOCK;
}

static ssize_t receive_below(struct layer *l, void *to, size_t room)
{
    ssize_t n;
    do
        n = layer_receive_below(l, to, room);
    while (n < 0 && errno == EINTR);
    return n;
}

static int bio_read(BIO *bio, char *to, size_t room, size_t *got)
{
    struct tls *x = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    *got = 0;
    room = MIN(room, (size_t)x->may_receive);
    ssize_t n = -1;
    errno = EAGAIN;
    if (room > 0)
        n = receive_below(&x->layer, to, room);
    if (n > 0) {
        x->may_receive -= (uint32_t)n;
        *got = (size_t)n;
        return 1;
    }
    x->at_end = n == 0;
    x->error = n < 0 ? errno : 0;
    if (n < 0 && would_block(errno))
        BIO_set_retry_read(bio);
    return 0;
}

static int flush_held(struct tls *x)
{
    while (buf_len(&x->held) > 0) {
        ssize_t n = layer_send_below(&x->layer, buf_bytes(&x->held));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        buf_skip(&x->held, (size_t)n);
    }
    buf_give_up(&x->held);
    return 0;
}

static int bio_write(BIO *bio, const char *data, size_t len, size_t *taken)
{
    struct tls *x = BIO_get_data(bio);
    ssize_t n = 0;
    BIO_clear_retry_flags(bio);
    *taken = 0;
    if (flush_held(x) == 0)
        n = layer_send_below(&x->layer, bytes_of(data, len));
    if (n < 0 && !would_block(errno) && errno != EINTR) {
        x->error = errno;
        return 0;
    }
    size_t sent = n > 0 ? (size_t)n : 0;
    if (sent < len) {
        if (!buf_reserve(&x->held, len - sent, HELD_MOST, NULL)) {
            x->error = ENOBUFS;
            return 0;
        }
        memcpy(buf_end(&x->held), data + sent, len - sent);
        buf_wrote(&x->held, len - sent);
    }
    *taken = len;
    return 1;
}

static long bio_control(BIO *bio, int what, long number, void *arg)
{
    const struct tls *x = BIO_get_data(bio);
    (void)number, (void)arg;
    return what == BIO_CTRL_FLUSH || (what == BIO_CTRL_EOF && x->at_end);
}

static BIO_METHOD *method;

static void make_method(void)
{
    method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "volvox stream");
    must(method != NULL);
    must(BIO_meth_set_read_ex(method, bio_read) == 1 &&
         BIO_meth_set_write_ex(method, bio_write) == 1);
    must(BIO_meth_set_ctrl(method, bio_control) == 1);
}

static BIO *bio_new(struct tls *x)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    must(pthread_once(&once, make_method) == 0);
    BIO *bio = BIO_new(method);
    must(bio != NULL);
    BIO_set_data(bio, x);
    BIO_set_init(bio, 1);
    return bio;
}

/* ---- the layer ----------------------------------------------------------------------- */

/* Before each call of OpenSSL: errors of another connection may lie in this thread's queue. */
static void begin_call(struct tls *x)
{
    ERR_clear_error();
    x->may_receive = AT_ONCE;
    x->error = 0;
}

/* What a call that failed means to recv() and send(). */
static ssize_t failed_call(struct tls *x, int result)
{
    int error = SSL_get_error(x->ssl, result);
    x->is_starved = error == SSL_ERROR_WANT_READ;
    if (error == SSL_ERROR_ZERO_RETURN)
        return 0;
    if (error == SSL_ERROR_WANT_READ) {
        errno = EAGAIN;
        return -1;
    }
    x->has_failed = true;
    ERR_clear_error();
    errno = x->error != 0 && !would_block(x->error) ? x->error : EPROTO;
    return -1;
}

/* As long as OpenSSL has something, of which it gives no more than a record at a time. */
static ssize_t tls_receive(struct layer *l, void *to, size_t room)
{
    struct tls *x = tls_of(l);
    size_t got = 0, n;
    begin_call(x);
    x->is_starved = false;
    do {
        int result = SSL_read_ex(x->ssl, (uint8_t *)to + got, room - got, &n);
        if (result != 1) {
            ssize_t means = failed_call(x, result);
            return got > 0 ? (ssize_t)got : means;
        }
        got += n;
    } while (got < room && SSL_has_pending(x->ssl));
    return (ssize_t)got;
}

static ssize_t tls_peek(struct layer *l)
{
    struct tls *x = tls_of(l);
    uint8_t byte;
    size_t n;
    begin_call(x);
    int result = SSL_peek_ex(x->ssl, &byte, 1, &n);
    return result == 1 ? 1 : failed_call(x, result);
}

static int tls_flush(struct layer *l)
{
    return flush_held(tls_of(l));
}

static ssize_t tls_send(struct layer *l, struct bytes data)
{
    struct tls *x = tls_of(l);
    size_t n;
    if (data.len == 0)
        return 0;
    if (flush_held(x) < 0)
        return -1;
    begin_call(x);
    int result = SSL_write_ex(x->ssl, data.data, MIN(data.len, (size_t)RECORD_MOST), &n);
    if (result == 1)
        return (ssize_t)n;
    failed_call(x, result);
    x->has_failed = true;
    errno = x->error != 0 ? x->error : EPIPE;
    return -1;
}

static bool tls_holds(const struct layer *l)
{
    return buf_len(&tls_of(l)->held) > 0;
}

static bool tls_has_more(const struct layer *l)
{
    const struct tls *x = tls_of(l);
    return buf_len(&l->early) > 0 || (SSL_has_pending(x->ssl) && !x->is_starved);
}

static void tls_goodbye(struct layer *l)
{
    struct tls *x = tls_of(l);
    if (x->has_failed || SSL_in_init(x->ssl))
        return;
    begin_call(x);
    SSL_shutdown(x->ssl);
    ERR_clear_error();
}

static void tls_free(struct layer *l)
{
    struct tls *x = tls_of(l);
    /* Without a goodbye OpenSSL would take the session for compromised, and never resume it. */
    if (!x->has_failed)
        SSL_set_shutdown(x->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(x->ssl);
    buf_release(&x->held);
    tls_context_drop(x->context);
    mem_free(x);
}

static const struct layer_kind tls_kind = {
    .name = "TLS",
    .is_private = true,
    .receive = tls_receive,
    .send = tls_send,
    .flush = tls_flush,
    .holds = tls_holds,
    .has_more = tls_has_more,
    .peek = tls_peek,
    .goodbye = tls_goodbye,
    .free = tls_free,
};

static struct tls *tls_new(struct tls_context *c)
{
    struct tls *x = mem_zalloc(sizeof *x);
    x->layer.kind = &tls_kind;
    x->context = tls_context_take(c);
    x->ssl = tls_begin(c);
    BIO *bio = bio_new(x);
    SSL_set_bio(x->ssl, bio, bio);
    return x;
}

/* ---- shaking hands ------------------------------------------------------------------- */

/* "certificate verify failed (certificate has expired)" */
bool tls_say_refused(enum blame blame, const char *reason, long verdict, struct fault *why)
{
    unsigned code = blame == BLAME_CLIENT ? ER_HANDSHAKE_ERROR : CR_SSL_CONNECTION_ERROR;
    if (verdict == X509_V_OK)
        return fault_set(why, blame, code, "volvox: TLS handshake with %s failed: %s",
                         blame_name(blame), reason);
    return fault_set(why, blame, code, "volvox: TLS handshake with %s failed: %s (%s)",
                     blame_name(blame), reason, X509_verify_cert_error_string(verdict));
}

bool tls_say_failed(const SSL *ssl, enum blame blame, bool at_end, struct fault *why)
{
    bool verifies = SSL_get_verify_mode(ssl) != SSL_VERIFY_NONE;
    const char *reason = tls_reason();
    if (at_end)
        return fault_set(why, blame, 0, "volvox: %s closed the connection during the TLS handshake",
                         blame_name(blame));
    return tls_say_refused(blame, reason, verifies ? SSL_get_verify_result(ssl) : X509_V_OK, why);
}

static bool flush_handshake(struct task *t, struct stream *st, struct tls *x, double deadline,
                            struct fault *why)
{
    while (flush_held(x) < 0) {
        if (!would_block(errno))
            return fault_set(why, st->blame, 0, "volvox: %s is lost during the TLS handshake: %s",
                             blame_name(st->blame), strerror(errno));
        if (!stream_wait_writable(t, st, deadline, why))
            return false;
    }
    return true;
}

static bool shake_hands(struct task *t, struct stream *st, struct tls *x, double deadline,
                        struct fault *why)
{
    for (;;) {
        begin_call(x);
        int result = SSL_do_handshake(x->ssl);
        int error = SSL_get_error(x->ssl, result);
        bool failed = result != 1 && error != SSL_ERROR_WANT_READ;
        bool gone = x->at_end || (x->error != 0 && !would_block(x->error));
        if (failed)
            tls_say_failed(x->ssl, st->blame, gone, why);
        /* In any case: there may be a last word, which says what was wrong. */
        bool flushed = flush_handshake(t, st, x, deadline, failed ? NULL : why);
        if (failed || !flushed)
            return false;
        if (result == 1)
            return true;
        if (!stream_wait_readable(t, st, deadline, why))
            return false;
    }
}

bool stream_start_tls(struct task *t, struct stream *st, struct tls_context *c, double deadline,
                      struct fault *why)
{
    struct tls *x = tls_new(c);
    must(st->top == NULL);
    stream_push_layer(st, &x->layer);
    if (shake_hands(t, st, x, deadline, why)) {
        st->in_filled = true; /* more than the handshake may have come */
        return true;
    }
    x->has_failed = true;
    if (!c->is_server)
        tls_forget_session(c);
    st->peer_closed |= x->at_end;
    layers_free(st->top);
    st->top = NULL;
    st->in_filled = false;
    return false;
}

/* ---- what came of it ----------------------------------------------------------------- */

static struct tls *tls_in(const struct stream *st)
{
    struct layer *l = stream_layer(st, &tls_kind);
    return l != NULL ? tls_of(l) : NULL;
}

bool stream_tls(const struct stream *st, struct tls_facts *out)
{
    struct tls *x = tls_in(st);
    if (x == NULL)
        return false;
    *out = (struct tls_facts){ .version = SSL_get_version(x->ssl),
                               .cipher = SSL_get_cipher_name(x->ssl),
                               .was_resumed = SSL_session_reused(x->ssl) };
    return true;
}

static bool name_is(const X509_NAME *name, const char *wanted)
{
    if (wanted[0] == '\0')
        return true;
    char *text = X509_NAME_oneline(name, NULL, 0);
    bool equal = text != NULL && strcmp(text, wanted) == 0;
    OPENSSL_free(text);
    return equal;
}

bool stream_tls_peer_is(const struct stream *st, const char *subject, const char *issuer)
{
    struct tls *x = tls_in(st);
    X509 *peer = x != NULL ? SSL_get0_peer_certificate(x->ssl) : NULL;
    return peer != NULL && SSL_get_verify_result(x->ssl) == X509_V_OK &&
           name_is(X509_get_subject_name(peer), subject) &&
           name_is(X509_get_issuer_name(peer), issuer);
}

bool stream_tls_fingerprint(const struct stream *st, uint8_t sha256[32])
{
    struct tls *x = tls_in(st);
    X509 *own = x != NULL ? SSL_get_certificate(x->ssl) : NULL;
    return own != NULL && X509_digest(own, EVP_sha256(), sha256, NULL) == 1;
}
