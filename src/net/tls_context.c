/*
 * tls_context.c - what connections of one kind have in common; see net.h.
 *
 * Made on the control thread when a configuration is loaded, used by all.  A reload that changes
 * nothing gives the contexts that there are: their sessions go on, and so do connections that
 * would end because theirs has changed.
 */
#include "net/inside.h"

#include "base/mem.h"

#include <arpa/inet.h>
#include <stdatomic.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

static struct {
    pthread_mutex_t lock;
    struct list contexts;
    uint64_t last_number;
} all = { .lock = PTHREAD_MUTEX_INITIALIZER, .contexts = { &all.contexts, &all.contexts } };

/* ---- what went wrong ----------------------------------------------------------------- */

const char *tls_reason(void)
{
    const char *text = ERR_reason_error_string(ERR_peek_last_error());
    ERR_clear_error();
    return text != NULL ? text : "no reason given";
}

static bool refuse(enum tls_part part, enum tls_part *wrong, const char *text, struct fault *why)
{
    *wrong = part;
    return fault_set(why, BLAME_POLICY, 0, "%s", text);
}

/* ---- PEM ----------------------------------------------------------------------------- */

/* For a key with a pass phrase: there is nobody to ask. */
static int no_pass_phrase(char *text, int size, int writing, void *arg)
{
    (void)text, (void)size, (void)writing, (void)arg;
    return -1;
}

static BIO *open_pem(struct bytes pem)
{
    BIO *in = BIO_new_mem_buf(pem.data, (int)MIN(pem.len, (size_t)INT32_MAX));
    must(in != NULL);
    ERR_clear_error();
    return in;
}

/* There was something to read, and reading stopped because there is no more. */
static bool ends_well(int n)
{
    if (n == 0 || ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
        return false;
    ERR_clear_error();
    return true;
}

/* Give each certificate to take(ctx, certificate), which does not keep the reference. */
static bool use_certificates(SSL_CTX *ctx, struct bytes pem,
                             bool (*take)(SSL_CTX *ctx, X509 *x, int i))
{
    BIO *in = open_pem(pem);
    int n = 0;
    bool ok = true;
    for (X509 *x; ok && (x = PEM_read_bio_X509_AUX(in, NULL, no_pass_phrase, NULL)) != NULL; n++) {
        ok = take(ctx, x, n);
        X509_free(x);
    }
    ok = ok && ends_well(n);
    BIO_free(in);
    return ok;
}

static bool show(SSL_CTX *ctx, X509 *x, int i)
{
    return i == 0 ? SSL_CTX_use_certificate(ctx, x) == 1 : SSL_CTX_add1_chain_cert(ctx, x) == 1;
}

/* Clients are told the names, so that they can choose a certificate. */
static bool believe(SSL_CTX *ctx, X509 *x, int i)
{
    (void)i;
    return X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), x) == 1 &&
           SSL_CTX_add_client_CA(ctx, x) == 1;
}

static bool use_key(SSL_CTX *ctx, struct bytes pem, enum tls_part *wrong, struct fault *why)
{
    BIO *in = open_pem(pem);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(in, NULL, no_pass_phrase, NULL);
    bool fits = key != NULL && SSL_CTX_use_PrivateKey(ctx, key) == 1;
    if (!fits)
        refuse(TLS_PART_KEY, wrong,
               key == NULL ? "no private key without a pass phrase in it" : tls_reason(), why);
    EVP_PKEY_free(key);
    BIO_free(in);
    ERR_clear_error();
    return fits;
}

/* What is revoked is refused, and so is a signer of whom no list says anything. */
static bool use_crl(SSL_CTX *ctx, struct bytes pem)
{
    X509_STORE *store = SSL_CTX_get_cert_store(ctx);
    BIO *in = open_pem(pem);
    bool ok = true;
    int n = 0;
    for (X509_CRL *crl; ok && (crl = PEM_read_bio_X509_CRL(in, NULL, no_pass_phrase, NULL)) != NULL;
         n++) {
        ok = X509_STORE_add_crl(store, crl) == 1;
        X509_CRL_free(crl);
    }
    ok = ok && ends_well(n);
    BIO_free(in);
    return ok &&
           X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL) == 1;
}

/* ---- from terms to a context --------------------------------------------------------- */

static bool set_identity(SSL_CTX *ctx, const struct tls_terms *terms, enum tls_part *wrong,
                         struct fault *why)
{
    if (terms->certificate.len == 0) {
        if (terms->is_server)
            tls_use_own_certificate(ctx);
        return true;
    }
    if (!use_certificates(ctx, terms->certificate, show))
        return refuse(TLS_PART_CERTIFICATE, wrong, tls_reason(), why);
    return use_key(ctx, terms->key, wrong, why);
}

static bool set_believed(SSL_CTX *ctx, const struct tls_terms *terms, enum tls_part *wrong,
                         struct fault *why)
{
    bool verifies = terms->is_server ? terms->ca.len > 0 : terms->want >= TLS_VERIFY_CA;
    if (terms->ca.len > 0 && !use_certificates(ctx, terms->ca, believe))
        return refuse(TLS_PART_CA, wrong, tls_reason(), why);
    if (terms->ca.len == 0 && verifies)
        must(SSL_CTX_set_default_verify_paths(ctx) == 1);
    if (terms->crl.len > 0 && !use_crl(ctx, terms->crl))
        return refuse(TLS_PART_CRL, wrong, tls_reason(), why);
    /* A client needs none, but who shows one must be believed, as with servers. */
    SSL_CTX_set_verify(ctx, verifies ? SSL_VERIFY_PEER | SSL_VERIFY_CLIENT_ONCE : SSL_VERIFY_NONE,
                       NULL);
    return true;
}

static bool set_protocol(SSL_CTX *ctx, const struct tls_terms *terms, enum tls_part *wrong,
                         struct fault *why)
{
    int least = terms->min_version == TLS_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION;
    must(SSL_CTX_set_min_proto_version(ctx, least) == 1);
    if (terms->ciphers[0] != '\0' && SSL_CTX_set_cipher_list(ctx, terms->ciphers) != 1)
        return refuse(TLS_PART_CIPHERS, wrong, tls_reason(), why);
    if (terms->ciphersuites[0] != '\0' && SSL_CTX_set_ciphersuites(ctx, terms->ciphersuites) != 1)
        return refuse(TLS_PART_CIPHERSUITES, wrong, tls_reason(), why);
    /* Who closes without a goodbye has closed: the protocol above knows where its packets end. */
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                 SSL_OP_IGNORE_UNEXPECTED_EOF | SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_read_ahead(ctx, 1);
    return true;
}

/* The name or the address must be the certificate's; a name is also told to the server. */
static void set_peer(struct tls_context *c, const struct tls_terms *terms)
{
    X509_VERIFY_PARAM *param = SSL_CTX_get0_param(c->ctx);
    struct in6_addr ip;
    bool is_ip =
        inet_pton(AF_INET, terms->peer, &ip) == 1 || inet_pton(AF_INET6, terms->peer, &ip) == 1;
    if (terms->want == TLS_VERIFY_IDENTITY) {
        X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
        must(is_ip ? X509_VERIFY_PARAM_set1_ip_asc(param, terms->peer) == 1
                   : X509_VERIFY_PARAM_set1_host(param, terms->peer, 0) == 1);
    }
    if (!is_ip && terms->peer[0] != '\0')
        c->sni = mem_strdup(terms->peer);
}

/* OpenSSL has a session that could be resumed; the last one is kept. */
static int keep_session(SSL *ssl, SSL_SESSION *session)
{
    if (SSL_get_app_data(ssl) != NULL) /* a tls_line, perhaps with a server that is not believed */
        return 0;
    struct tls_context *c = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    pthread_mutex_lock(&c->lock);
    SSL_SESSION *old = c->session;
    c->session = session;
    pthread_mutex_unlock(&c->lock);
    SSL_SESSION_free(old);
    return 1; /* the reference is ours now */
}

void tls_forget_session(struct tls_context *c)
{
    pthread_mutex_lock(&c->lock);
    SSL_SESSION *old = c->session;
    c->session = NULL;
    pthread_mutex_unlock(&c->lock);
    SSL_SESSION_free(old);
}

static void set_sessions(struct tls_context *c)
{
    SSL_CTX *ctx = c->ctx;
    if (c->is_server) {
        SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
        must(SSL_CTX_set_session_id_context(ctx, c->digest, sizeof c->digest) == 1);
        tls_use_ticket_keys(ctx);
        return;
    }
    SSL_CTX_set_app_data(ctx, c);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, keep_session);
}

static void free_context(struct tls_context *c)
{
    SSL_SESSION_free(c->session);
    SSL_CTX_free(c->ctx);
    pthread_mutex_destroy(&c->lock);
    mem_free(c->sni);
    mem_free(c);
}

static struct tls_context *make(const struct tls_terms *terms, const uint8_t digest[32],
                                enum tls_part *wrong, struct fault *why)
{
    struct tls_context *c = mem_zalloc(sizeof *c);
    ref_init(&c->ref);
    must(pthread_mutex_init(&c->lock, NULL) == 0);
    c->want = terms->want;
    c->is_server = terms->is_server;
    memcpy(c->digest, digest, sizeof c->digest);
    ERR_clear_error();
    c->ctx = SSL_CTX_new(c->is_server ? TLS_server_method() : TLS_client_method());
    must(c->ctx != NULL);
    if (!set_protocol(c->ctx, terms, wrong, why) || !set_identity(c->ctx, terms, wrong, why) ||
        !set_believed(c->ctx, terms, wrong, why)) {
        free_context(c);
        return NULL;
    }
    if (!c->is_server)
        set_peer(c, terms);
    set_sessions(c);
    return c;
}

/* ---- the list of all ----------------------------------------------------------------- */

static void add(EVP_MD_CTX *md, struct bytes b)
{
    uint64_t len = b.len;
    must(EVP_DigestUpdate(md, &len, sizeof len) == 1 && EVP_DigestUpdate(md, b.data, b.len) == 1);
}

static void digest_terms(const struct tls_terms *t, uint8_t out[32])
{
    const uint8_t small[] = { t->is_server, (uint8_t)t->want, (uint8_t)t->min_version };
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    must(md != NULL && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1);
    add(md, bytes_of(small, sizeof small));
    add(md, t->certificate);
    add(md, t->key);
    add(md, t->ca);
    add(md, t->crl);
    add(md, bytes_str(t->ciphers));
    add(md, bytes_str(t->ciphersuites));
    add(md, bytes_str(t->peer));
    must(EVP_DigestFinal_ex(md, out, NULL) == 1);
    EVP_MD_CTX_free(md);
}

static struct tls_context *find(const uint8_t digest[32])
{
    list_for_each(link, &all.contexts) {
        struct tls_context *c = list_entry(link, struct tls_context, link);
        if (memcmp(c->digest, digest, sizeof c->digest) == 0)
            return tls_context_take(c);
    }
    return NULL;
}

struct tls_context *tls_context_get(const struct tls_terms *terms, enum tls_part *wrong,
                                    struct fault *why)
{
    uint8_t digest[32];
    digest_terms(terms, digest);
    pthread_mutex_lock(&all.lock);
    struct tls_context *c = find(digest);
    if (c == NULL && (c = make(terms, digest, wrong, why)) != NULL) {
        c->number = ++all.last_number;
        list_push_back(&all.contexts, &c->link);
    }
    pthread_mutex_unlock(&all.lock);
    return c;
}

struct tls_context *tls_context_take(struct tls_context *c)
{
    if (c != NULL)
        ref_take(&c->ref);
    return c;
}

void tls_context_drop(struct tls_context *c)
{
    if (c == NULL)
        return;
    pthread_mutex_lock(&all.lock);
    bool last = ref_drop(&c->ref);
    if (last)
        list_leave(&c->link);
    pthread_mutex_unlock(&all.lock);
    if (last)
        free_context(c);
}

/* ---- what is asked of it ------------------------------------------------------------- */

enum tls_want tls_context_want(const struct tls_context *c)
{
    return c != NULL ? c->want : TLS_DISABLED;
}

uint64_t tls_context_number(const struct tls_context *c)
{
    return c != NULL ? c->number : 0;
}

static int64_t seconds(const ASN1_TIME *at)
{
    struct tm tm;
    return ASN1_TIME_to_tm(at, &tm) == 1 ? (int64_t)timegm(&tm) : 0;
}

bool tls_context_validity(const struct tls_context *c, int64_t *from, int64_t *until)
{
    const X509 *x = SSL_CTX_get0_certificate(c->ctx);
    if (x == NULL)
        return false;
    *from = seconds(X509_get0_notBefore(x));
    *until = seconds(X509_get0_notAfter(x));
    return true;
}

SSL *tls_begin(struct tls_context *c)
{
    SSL *ssl = SSL_new(c->ctx);
    must(ssl != NULL);
    if (c->is_server) {
        SSL_set_accept_state(ssl);
        return ssl;
    }
    SSL_set_connect_state(ssl);
    if (c->sni != NULL)
        SSL_set_tlsext_host_name(ssl, c->sni);
    /* A copy, because OpenSSL uses each one only once, and several connections may be made before
     * the server gives another. */
    pthread_mutex_lock(&c->lock);
    SSL_SESSION *session = c->session != NULL ? SSL_SESSION_dup(c->session) : NULL;
    pthread_mutex_unlock(&c->lock);
    if (session != NULL)
        SSL_set_session(ssl, session);
    SSL_SESSION_free(session);
    return ssl;
}
